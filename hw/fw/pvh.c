/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pvh.c - starts an ELF kernel by the PVH boot protocol (Xen's "x86/HVM direct
 * boot ABI": note XEN_ELFNOTE_PHYS32_ENTRY, struct hvm_start_info version 1).
 *
 * Thread class: machine lock.
 */
#include <glib.h>
#include "hw/fw/boot-info.h"
#include "hw/fw/elf.h"

#define NOTE_PHYS32_ENTRY 18
#define START_MAGIC 0x336ec578u
#define START_SIZE 56
#define MODULE_SIZE 32
#define MAP_SIZE 24

bool pvh_is(const KernelFile *k, uint64_t *entry)
{
    return elf_note(k, "Xen", NOTE_PHYS32_ENTRY, entry);
}

/* At the top of low RAM, away from where the kernel unpacks itself. */
static MACHINE_CALL bool load_initrd(Pc *p, BootInfo *b, uint64_t kernel_end,
                        uint32_t module, Error **errp)
{
    uint64_t len, at, top = blob_ram_top(p);
    uint8_t *data, *m = boot_info_at(b, module);

    if (!blob_read_file("initrd", p->m.initrd, p->below_4g, &data, &len,
                        errp)) {
        return false;
    }
    at = len < top ? ALIGN_DOWN(top - len, 4096) : 0;
    if (at < kernel_end) {
        g_free(data);
        error_set(errp, "initrd is too large, cannot support.(max: %" PRIu64
                  ", need %" PRIu64 ")", kernel_end < top ? top - kernel_end
                  : 0, len);
        error_hint(errp, "Give the guest more memory with -m.");
        return false;
    }
    st_le64(m, at);
    st_le64(m + 8, len);
    return blob_add("initrd", at, data, len, 0, errp);
}

static uint32_t put_map(Pc *p, BootInfo *b, unsigned *n, Error **errp)
{
    E820 map[16];
    uint32_t at;

    *n = e820_fill(p, map, true);
    at = boot_info_take(b, KERNEL_MAP_ROWS * MAP_SIZE, errp);
    for (unsigned i = 0; at && i < *n; i++) {
        uint8_t *e = boot_info_at(b, at) + i * MAP_SIZE;

        st_le64(e, map[i].addr);
        st_le64(e + 8, map[i].len);
        st_le32(e + 16, map[i].type);
    }
    return at;
}

static MACHINE_CALL
bool fill(Pc *p, BootInfo *b, uint64_t kernel_end, KernelStart *how,
          Error **errp)
{
    const char *text = p->m.append ? p->m.append : "";
    uint32_t start = boot_info_take(b, START_SIZE, errp);
    uint32_t module = boot_info_take(b, MODULE_SIZE, errp);
    unsigned n;
    uint32_t map = put_map(p, b, &n, errp);
    uint32_t cmdline = boot_info_text(b, text, errp);
    uint8_t *s = boot_info_at(b, start);

    if (!cmdline || (p->m.initrd && !load_initrd(p, b, kernel_end, module,
                                                 errp))) {
        return false;
    }
    st_le32(s, START_MAGIC);
    st_le32(s + 4, 1);
    st_le32(s + 12, p->m.initrd ? 1 : 0);
    st_le64(s + 16, p->m.initrd ? module : 0);
    st_le64(s + 24, cmdline);
    st_le64(s + 32, direct_rsdp);
    st_le64(s + 40, map);
    st_le32(s + 48, n);
    how->ebx = start;
    how->map_at = map;
    how->count_at = start + 48;
    how->count_by = 1;
    how->rsdp_at = start + 32;
    return true;
}

bool pvh_load(Pc *p, const KernelFile *k, uint64_t entry, Error **errp)
{
    uint64_t elf_entry, low, high;
    KernelStart start = { .entry = entry };
    BootInfo *b;

    if (!elf_load(p, k, &elf_entry, &low, &high, errp)) {
        return false;
    }
    if (entry < low || entry >= high) {
        return error_set(errp, "kernel '%s' has its PVH entry outside itself, "
                         "at 0x%" PRIx64, k->path, entry);
    }
    b = g_new0(BootInfo, 1);
    if (!fill(p, b, high, &start, errp)) {
        g_free(b);
        return false;
    }
    return boot_info_place(b, errp) && kernel_start(&start, "pvh.bin", errp);
}
