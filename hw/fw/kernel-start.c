/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kernel-start.c - how a Multiboot or PVH kernel is entered once it is known
 * where its parts go: by setting the boot processor's registers, or, where
 * firmware runs first, by a boot ROM (kernel-rom.S) that carries a table of the
 * parts and copies them from fw_cfg.
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. By firmware no part lies where the ROM and firmware still work while it is
 *    loaded: below ROM_LOW, and from the extended BIOS data to 1 MiB.
 */
#include <glib.h>
#include "hw/fw/blob.h"
#include "hw/fw/bytes.h"
#include "hw/fw/fw-cfg.h"
#include "hw/fw/roms.h"

#define ROM_LOW 0x8000u
#define EBDA    0x9fc00u
#define TABLE_WORDS 12
#define PIECES_MOST 1024

extern const uint8_t kernel_rom[];
extern const uint32_t kernel_rom_size;

static KernelStart start;

static void start_state(X86Regs *r)
{
    memset(r->gpr, 0, sizeof(r->gpr));
    boot_regs_flat32(r, start.entry);
    r->gpr[X86_RAX] = start.eax;
    r->gpr[X86_RBX] = start.ebx;
}

typedef struct Pieces {
    GByteArray *data, *rows;
    unsigned n;
    Error **errp;
    bool failed;
} Pieces;

static void add_piece(void *arg, const char *name, uint64_t addr,
                      const uint8_t *data, uint64_t len, uint64_t zero)
{
    Pieces *p = arg;
    uint64_t end = addr + len + zero;

    if (p->failed || end == addr) {
        return;
    }
    if (addr < ROM_LOW || (addr < 1 * MiB && end > EBDA)) {
        error_set(p->errp, "%s at 0x%" PRIx64 " lies where firmware works",
                  name, addr);
        error_hint(p->errp, "Without -bios it is started directly.");
        p->failed = true;
        return;
    }
    if (++p->n > PIECES_MOST) {
        error_set(p->errp, "kernel and modules have more than %u parts, which "
                  "firmware cannot load", PIECES_MOST);
        p->failed = true;
        return;
    }
    bytes_put(p->rows, addr, 4);
    bytes_put(p->rows, len, 4);
    bytes_put(p->rows, zero, 4);
    g_byte_array_append(p->data, data, len);
}

static MACHINE_CALL bool add_rom(const char *name, const Pieces *p,
                                 Error **errp)
{
    const KernelStart *k = &start;
    const uint32_t table[TABLE_WORDS] = {
        k->entry, k->eax, k->ebx, k->map_at, KERNEL_MAP_ROWS, k->row_head,
        k->row_skip, k->count_at, k->count_by, k->rsdp_at, k->memory_at, p->n,
    };
    GByteArray *rom = g_byte_array_new();
    uint32_t len;
    uint8_t *bytes;

    g_byte_array_append(rom, kernel_rom, kernel_rom_size);
    for (unsigned i = 0; i < TABLE_WORDS; i++) {
        bytes_put(rom, table[i], 4);
    }
    g_byte_array_append(rom, p->rows->data, p->rows->len);
    len = ALIGN_UP(rom->len + 1, 512);
    bytes = g_malloc0(len);
    memcpy(bytes, rom->data, rom->len);
    bytes[2] = len / 512;
    g_byte_array_free(rom, true);
    return boot_rom_add(name, bytes, len, errp);
}

static MACHINE_CALL bool start_by_rom(const char *rom, Error **errp)
{
    Pieces p = { g_byte_array_new(), g_byte_array_new(), .errp = errp };
    bool ok;

    blob_take_all(add_piece, &p);
    ok = !p.failed;
    if (ok) {
        fwcfg_add_u32(FW_KERNEL_ENTRY, start.entry);
        fwcfg_add_u32(FW_KERNEL_SIZE, p.data->len);
        fwcfg_add_item(FW_KERNEL_DATA, p.data->data, p.data->len);
        ok = add_rom(rom, &p, errp);
    }
    g_byte_array_free(p.data, true);
    g_byte_array_free(p.rows, true);
    return ok;
}

bool kernel_start(const KernelStart *how, const char *rom, Error **errp)
{
    start = *how;
    if (direct_boot) {
        boot_state_set(start_state);
        return true;
    }
    return start_by_rom(rom, errp);
}
