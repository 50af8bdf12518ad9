/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * multiboot.c - starts a Multiboot 1 kernel (Multiboot Specification 0.6.96,
 * sections 3.1 header, 3.2 machine state, 3.3 boot information).
 *
 * Thread class: machine lock.
 */
#include <glib.h>
#include "hw/fw/boot-info.h"
#include "hw/fw/elf.h"

#define HEADER_MAGIC 0x1badb002u
#define LOADER_MAGIC 0x2badb002u
#define HEADER_WITHIN 8192
#define INFO_SIZE 120
#define MODULES_MAX 256

enum {                                 /* header flags                        */
    WANT_VIDEO = 1 << 2, HAS_ADDRESSES = 1 << 16,
    REQUIRED = 0xffff, KNOWN = 7,
};
enum {                                 /* information flags                   */
    INFO_MEMORY = 1 << 0, INFO_BOOT_DEVICE = 1 << 1, INFO_CMDLINE = 1 << 2,
    INFO_MODULES = 1 << 3, INFO_MAP = 1 << 6, INFO_LOADER = 1 << 9,
};

bool multiboot_is(const KernelFile *k, uint32_t *header_off)
{
    uint64_t end = MIN2(k->len, (uint64_t)HEADER_WITHIN);

    for (uint32_t at = 0; at + 12 <= end; at += 4) {
        const uint8_t *h = k->data + at;

        if (ld_le32(h) == HEADER_MAGIC &&
            !(HEADER_MAGIC + ld_le32(h + 4) + ld_le32(h + 8))) {
            *header_off = at;
            return true;
        }
    }
    return false;
}

/* ---- the kernel ---------------------------------------------------------- */

/* The header says what of the file goes where. */
static MACHINE_CALL
bool load_by_address(Pc *p, const KernelFile *k, uint32_t off,
                            uint64_t *entry, uint64_t *high, Error **errp)
{
    const uint8_t *h = k->data + off;
    uint32_t header = ld_le32(h + 12), load = ld_le32(h + 16);
    uint32_t load_end = ld_le32(h + 20), bss_end = ld_le32(h + 24);
    uint64_t from, len, room, top = blob_ram_top(p);

    if (header < load || header - load > off) {
        return error_set(errp, "invalid load_addr address");
    }
    from = off - (header - load);
    len = load_end ? (uint64_t)load_end - load : k->len - from;
    if (load_end && load_end < load) {
        return error_set(errp, "invalid load_end_addr address");
    }
    if (len > k->len - from) {
        return error_set(errp, "kernel '%s' is truncated", k->path);
    }
    room = bss_end ? (uint64_t)bss_end - load : len;
    if (bss_end && (bss_end < load || room < len)) {
        return error_set(errp, "invalid bss_end_addr address");
    }
    if (load >= top || room > top - load) {
        error_set(errp, "kernel '%s' does not fit into the guest's memory",
                  k->path);
        error_hint(errp, "Give the guest more memory with -m.");
        return false;
    }
    *entry = ld_le32(h + 28);
    *high = load + room;
    return blob_add(k->path, load, g_memdup2(k->data + from, len), len,
                    room - len, errp);
}

static MACHINE_CALL bool load_kernel(Pc *p, const KernelFile *k, uint32_t off,
                        uint64_t *entry, uint64_t *high, Error **errp)
{
    uint32_t flags = ld_le32(k->data + off + 4);
    uint64_t low;

    if (flags & REQUIRED & ~KNOWN) {
        return error_set(errp, "kernel '%s' requires Multiboot features 0x%x "
                         "that are unknown", k->path,
                         flags & REQUIRED & ~KNOWN);
    }
    if (flags & WANT_VIDEO) {
        warn_report("kernel '%s' asks for a video mode, which is left as it is",
                    k->path);
    }
    if (flags & HAS_ADDRESSES) {
        if (k->len - off < 32) {
            return error_set(errp, "kernel '%s' is truncated", k->path);
        }
        return load_by_address(p, k, off, entry, high, errp);
    }
    if (elf_is_64(k)) {
        return error_set(errp, "Cannot load x86-64 image, give a 32bit one.");
    }
    return elf_load(p, k, entry, &low, high, errp);
}

/* ---- modules: -initrd "file arguments,file arguments", commas doubled ---- */

/* The next piece of *list up to a single comma; NULL at its end. */
static char *next_module(const char **list)
{
    GString *s;
    const char *p = *list;

    if (!p) {
        return NULL;
    }
    s = g_string_new(NULL);
    while (*p && (*p != ',' || p[1] == ',')) {
        g_string_append_c(s, *p);
        p += *p == ',' ? 2 : 1;
    }
    *list = *p ? p + 1 : NULL;
    return g_string_free(s, FALSE);
}

static MACHINE_CALL
bool load_module(Pc *p, BootInfo *b, const char *text, uint64_t *at,
                        uint8_t *row, Error **errp)
{
    const char *name = text + strspn(text, " ");
    g_autofree char *file = g_strndup(name, strcspn(name, " "));
    uint64_t len, top = blob_ram_top(p);
    uint32_t cmdline;
    uint8_t *data;

    if (!blob_read_file("module", file, p->below_4g, &data, &len, errp)) {
        return false;
    }
    *at = ALIGN_UP(*at, 4096);
    if (*at >= top || len > top - *at) {
        g_free(data);
        error_set(errp, "module '%s' does not fit into the guest's memory",
                  file);
        error_hint(errp, "Give the guest more memory with -m.");
        return false;
    }
    cmdline = boot_info_text(b, name, errp);
    if (!cmdline) {
        g_free(data);
        return false;
    }
    st_le32(row, *at);
    st_le32(row + 4, *at + len);
    st_le32(row + 8, cmdline);
    if (!len) {
        g_free(data);
        return true;
    }
    *at += len;
    return blob_add(file, *at - len, data, len, 0, errp);
}

static MACHINE_CALL
bool load_modules(Pc *p, BootInfo *b, uint8_t *info, uint64_t at,
                         Error **errp)
{
    const char *list = p->m.initrd;
    uint32_t rows, n = 0;
    char *text;
    bool ok = true;

    if (!list) {
        return true;
    }
    rows = boot_info_take(b, MODULES_MAX * 16, errp);
    while (ok && (text = next_module(&list))) {
        ok = n < MODULES_MAX ||
             error_set(errp, "more than %u modules", MODULES_MAX);
        ok = ok && load_module(p, b, text, &at, boot_info_at(b, rows) + n * 16,
                               errp);
        n++;
        g_free(text);
    }
    st_le32(info, ld_le32(info) | INFO_MODULES);
    st_le32(info + 20, n);
    st_le32(info + 24, rows);
    return ok;
}

/* ---- information --------------------------------------------------------- */

/* Entries begin with their size, which does not count itself. */
static bool put_map(Pc *p, BootInfo *b, uint8_t *info, KernelStart *start,
                    Error **errp)
{
    E820 map[16];
    unsigned n = e820_fill(p, map, true);
    uint32_t at = boot_info_take(b, KERNEL_MAP_ROWS * 24, errp);

    if (!at) {
        return false;
    }
    start->map_at = at;
    start->row_head = 20;
    start->row_skip = 4;
    start->count_at = start->ebx + 44;
    start->count_by = 24;
    start->memory_at = start->ebx + 4;
    for (unsigned i = 0; i < n; i++) {
        uint8_t *e = boot_info_at(b, at) + i * 24;

        st_le32(e, 20);
        st_le64(e + 4, map[i].addr);
        st_le64(e + 12, map[i].len);
        st_le32(e + 20, map[i].type);
    }
    st_le32(info + 44, n * 24);
    st_le32(info + 48, at);
    return true;
}

static MACHINE_CALL
bool fill(Pc *p, const KernelFile *k, BootInfo *b, uint64_t kernel_end,
          KernelStart *start, Error **errp)
{
    g_autofree char *text = p->m.append && *p->m.append
        ? g_strdup_printf("%s %s", k->path, p->m.append) : g_strdup(k->path);
    uint32_t cmdline, loader;
    uint8_t *i;

    start->ebx = boot_info_take(b, INFO_SIZE, errp);
    i = boot_info_at(b, start->ebx);
    st_le32(i, INFO_MEMORY | INFO_BOOT_DEVICE | INFO_CMDLINE | INFO_MAP |
               INFO_LOADER);
    st_le32(i + 4, 639);               /* KiB below the extended data area    */
    st_le32(i + 8, blob_ram_top(p) / KiB - 1024);
    st_le32(i + 12, 0x8000ffffu);      /* no partition                        */
    cmdline = boot_info_text(b, text, errp);
    if (!cmdline || !put_map(p, b, i, start, errp)) {
        return false;
    }
    loader = boot_info_text(b, "tern", errp);
    if (!loader) {
        return false;
    }
    st_le32(i + 16, cmdline);
    st_le32(i + 64, loader);
    return load_modules(p, b, i, kernel_end, errp);
}

bool multiboot_load(Pc *p, const KernelFile *k, uint32_t header_off,
                    Error **errp)
{
    KernelStart start = { .eax = LOADER_MAGIC };
    uint64_t entry, high;
    BootInfo *b;

    if (!load_kernel(p, k, header_off, &entry, &high, errp)) {
        return false;
    }
    start.entry = entry;
    b = g_new0(BootInfo, 1);
    if (!fill(p, k, b, high, &start, errp)) {
        g_free(b);
        return false;
    }
    return boot_info_place(b, errp) &&
           kernel_start(&start, "multiboot_dma.bin", errp);
}
