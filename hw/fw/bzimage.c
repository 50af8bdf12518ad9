/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bzimage.c - starts a Linux bzImage without firmware at its 64-bit entry point,
 * or its 32-bit one where it has no other (the Linux/x86 boot protocol, version
 * 2.04 and later, "64-bit boot protocol" and "32-bit boot protocol").
 *
 * Low memory, all rebuilt at every reset:
 *   0x0500 GDT, 0x9000 page tables (first 4 GiB, 2-MiB pages), 0x10000
 *   boot parameters, 0x20000 command line; the kernel at its preferred address;
 *   the initrd as high as the kernel allows.
 *
 * Thread class: machine lock.
 */
#include <glib.h>
#include "hw/fw/blob.h"

#define GDT_ADDR     0x500
#define PT_ADDR      0x9000            /* PML4, PDPT, four PDs                */
#define PARAMS_ADDR  0x10000
#define CMDLINE_ADDR 0x20000
#define CMDLINE_ROOM 0x10000
#define LOW_TOP      0x9fc00

/* Offsets in the setup header, which is part of the boot parameters. */
enum {
    H_SETUP_SECTS = 0x1f1, H_BOOT_FLAG = 0x1fe, H_JUMP = 0x200, H_MAGIC = 0x202,
    H_VERSION = 0x206, H_LOADER = 0x210, H_LOADFLAGS = 0x211,
    H_CODE32 = 0x214, H_INITRD = 0x218, H_INITRD_LEN = 0x21c, H_HEAP_END = 0x224,
    H_CMDLINE = 0x228, H_INITRD_MAX = 0x22c, H_ALIGN = 0x230,
    H_RELOCATABLE = 0x234, H_XLOADFLAGS = 0x236, H_CMDLINE_SIZE = 0x238,
    H_PREF = 0x258, H_INIT_SIZE = 0x260,
    P_RSDP = 0x070, P_E820_COUNT = 0x1e8, P_E820 = 0x2d0,
};

static uint64_t entry_point;

bool bzimage_is(const KernelFile *k)
{
    return k->len > 0x268 && ld_le16(k->data + H_BOOT_FLAG) == 0xaa55 &&
           !memcmp(k->data + H_MAGIC, "HdrS", 4);
}

/* The older entry: flat, 32 bits, no paging. */
static void state32(X86Regs *r)
{
    memset(r->gpr, 0, sizeof(r->gpr));
    boot_regs_flat32(r, entry_point);
    r->gdt = (X86Table){ .base = GDT_ADDR, .limit = 5 * 8 - 1 };
    r->gpr[X86_RSI] = PARAMS_ADDR;
}

static void state64(X86Regs *r)
{
    state32(r);
    r->seg[X86_CS].attr = 0xa9b;
    r->cr3 = PT_ADDR;
    r->cr4 = 1 << 5;                   /* PAE                                 */
    r->efer = 1 << 8 | 1 << 10;        /* LME, LMA                            */
    r->cr0 = 0x80000011u;              /* PG, ET, PE                          */
}

static MACHINE_CALL bool low_tables(bool wide, Error **errp)
{
    /* Flat code is described for the mode that the kernel starts in. */
    uint64_t gdt[5] = {
        0, 0, wide ? 0x00af9b000000ffffull : 0x00cf9b000000ffffull,
        0x00cf93000000ffffull,
        0x00008b0000000067ull,
    };
    uint8_t *g = g_malloc0(sizeof(gdt)), *pt = g_malloc0(6 * 4096);

    for (int i = 0; i < 5; i++) {
        st_le64(g + i * 8, gdt[i]);
    }
    st_le64(pt, (PT_ADDR + 0x1000) | 3);
    for (int i = 0; i < 4; i++) {
        st_le64(pt + 0x1000 + i * 8, (PT_ADDR + 0x2000 + i * 0x1000) | 3);
        for (int j = 0; j < 512; j++) {
            st_le64(pt + 0x2000 + i * 0x1000 + j * 8,
                    ((uint64_t)i << 30 | (uint64_t)j << 21) | 0x83);
        }
    }
    if (!blob_add("linux gdt", GDT_ADDR, g, sizeof(gdt), 0, errp)) {
        g_free(pt);
        return false;
    }
    return blob_add("linux page tables", PT_ADDR, pt, 6 * 4096, 0, errp);
}

/* As high as the header allows, so that the kernel can unpack beneath. */
static MACHINE_CALL
bool load_initrd(Pc *p, uint8_t *params, uint64_t kernel_end,
                        Error **errp)
{
    uint64_t top = ld_le32(params + H_INITRD_MAX), len, at;
    uint8_t *data;

    if (!top) {
        top = 0x37ffffff;
    }
    if (ld_le16(params + H_XLOADFLAGS) & 2) {
        top = UINT32_MAX;              /* may lie anywhere below 4 GiB        */
    }
    top = MIN2(top, blob_ram_top(p) - 1);
    if (!blob_read_file("initrd", p->m.initrd, blob_ram_top(p), &data, &len,
                        errp)) {
        return false;
    }
    at = len <= top ? (top + 1 - len) & ~4095ull : 0;
    if (len > top || at < kernel_end) {
        g_free(data);
        error_set(errp, "initrd is too large, cannot support.(max: %" PRIu64
                  ", need %" PRIu64 ")", kernel_end < top ? top - kernel_end
                  : 0, len);
        error_hint(errp, "Give the guest more memory with -m.");
        return false;
    }
    st_le32(params + H_INITRD, at);
    st_le32(params + H_INITRD_LEN, len);
    return blob_add("initrd", at, data, len, 0, errp);
}

static MACHINE_CALL bool load_cmdline(Pc *p, uint8_t *params, Error **errp)
{
    const char *text = p->m.append ? p->m.append : "";
    uint64_t most = ld_le32(params + H_CMDLINE_SIZE), len = strlen(text);

    most = MIN2(most ? most : 255, CMDLINE_ROOM - 1);
    if (len > most) {
        return error_set(errp, "kernel command line is %" PRIu64 " bytes, "
                         "this kernel takes at most %" PRIu64, len, most);
    }
    st_le32(params + H_CMDLINE, CMDLINE_ADDR);
    return blob_add("cmdline", CMDLINE_ADDR, g_memdup2(text, len + 1), len + 1,
                    0, errp);
}

static void fill_params(Pc *p, uint8_t *params)
{
    E820 map[16];
    unsigned n = e820_fill(p, map, true);

    params[H_LOADER] = 0xb0;           /* a loader without an assigned number */
    params[H_LOADFLAGS] |= 1;
    params[P_E820_COUNT] = n;
    for (unsigned i = 0; i < n; i++) {
        uint8_t *e = params + P_E820 + i * 20;

        st_le64(e, map[i].addr);
        st_le64(e + 8, map[i].len);
        st_le32(e + 16, map[i].type);
    }
    st_le64(params + P_RSDP, direct_rsdp);
}

bool bzimage_load(Pc *p, const KernelFile *k, Error **errp)
{
    unsigned sects = k->data[H_SETUP_SECTS] ? k->data[H_SETUP_SECTS] : 4;
    uint64_t setup = (sects + 1) * 512ull, at, init_size, body;
    uint64_t align = ld_le32(k->data + H_ALIGN), hdr_end, top = blob_ram_top(p);
    unsigned version = ld_le16(k->data + H_VERSION);
    bool wide = version >= 0x20c && (k->data[H_XLOADFLAGS] & 1);
    uint8_t *params;

    if (version < 0x204 ||
        !(k->data[H_LOADFLAGS] & 1)) {
        error_set(errp, "kernel '%s' is too old for a start without firmware",
                  k->path);
        error_hint(errp, "Start it through firmware: add -bios bios-256k.bin");
        return false;
    }
    if (setup >= k->len) {
        return error_set(errp, "kernel '%s' is truncated", k->path);
    }
    body = k->len - setup;
    at = version >= 0x20a ? ld_le64(k->data + H_PREF) : MiB;
    init_size = MAX2(version >= 0x20a ? ld_le32(k->data + H_INIT_SIZE) : 0,
                     body);
    if (at < MiB || at >= top || init_size > top - at) {
        /* The preferred place is not RAM: the lowest aligned one is. */
        at = version >= 0x205 && k->data[H_RELOCATABLE] && align
           ? ALIGN_UP(MiB, align) : at;
    }
    if (at < MiB || at >= top || init_size > top - at) {
        error_set(errp, "kernel '%s' needs %" PRIu64 " MiB of memory at 0x%"
                  PRIx64, k->path, (uint64_t)(init_size / MiB + 1), at);
        error_hint(errp, "Give the guest more memory with -m.");
        return false;
    }
    params = g_malloc0(4096);
    hdr_end = MIN2(0x202u + k->data[0x201], 0x290u);
    memcpy(params + H_SETUP_SECTS, k->data + H_SETUP_SECTS,
           hdr_end - H_SETUP_SECTS);
    fill_params(p, params);
    if (!load_cmdline(p, params, errp) ||
        (p->m.initrd && !load_initrd(p, params, at + init_size, errp)) ||
        !low_tables(wide, errp)) {
        g_free(params);
        return false;
    }
    st_le32(params + H_CODE32, at);
    entry_point = wide ? at + 0x200 : at;
    boot_state_set(wide ? state64 : state32);
    return blob_add("boot parameters", PARAMS_ADDR, params, 4096, 0, errp) &&
           blob_add("kernel", at, g_memdup2(k->data + setup, body), body, 0,
                    errp);
}
