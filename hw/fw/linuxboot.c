/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * linuxboot.c - starts a Linux bzImage by way of firmware: its parts become
 * fw_cfg items, and a boot ROM (linuxboot-rom.S) copies them and jumps to the
 * real-mode entry (the Linux/x86 boot protocol, version 2.02 and later).
 *
 * Thread class: machine lock.
 */
#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include "hw/fw/blob.h"
#include "hw/fw/fw-cfg.h"
#include "hw/fw/roms.h"

#define SETUP_AT   0x10000u
#define CMDLINE_AT 0x20000u
#define KERNEL_AT  0x100000u
#define CMDLINE_MOST 0xffffu

enum {
    H_SETUP_SECTS = 0x1f1, H_VID_MODE = 0x1fa, H_VERSION = 0x206, H_LOADER = 0x210,
    H_LOADFLAGS = 0x211, H_INITRD = 0x218, H_INITRD_LEN = 0x21c,
    H_HEAP_END = 0x224, H_CMDLINE = 0x228, H_INITRD_MAX = 0x22c,
};

extern const uint8_t linuxboot_rom[];
extern const uint32_t linuxboot_rom_size;

static bool add_initrd(Pc *p, uint8_t *setup, unsigned version,
                       uint64_t kernel_end, Error **errp)
{
    uint64_t top = version >= 0x203 ? ld_le32(setup + H_INITRD_MAX)
                                    : 0x37ffffff;
    uint64_t len, at, ram_top = p->below_4g - FIRMWARE_ROOM;
    uint8_t *data;

    top = MIN2(top ? top : 0x37ffffff, ram_top - 1);
    if (!blob_read_file("initrd", p->m.initrd, p->below_4g, &data, &len,
                        errp)) {
        return false;
    }
    at = len <= top ? ALIGN_DOWN(top + 1 - len, 4096) : 0;
    if (at < kernel_end) {
        g_free(data);
        error_set(errp, "initrd is too large, cannot support.(max: %" PRIu64
                  ", need %" PRIu64 ")", top > kernel_end ? top - kernel_end
                  : 0, len);
        error_hint(errp, "Give the guest more memory with -m.");
        return false;
    }
    fwcfg_add_u32(FW_INITRD_ADDR, at);
    fwcfg_add_u32(FW_INITRD_SIZE, len);
    fwcfg_add_item(FW_INITRD_DATA, data, len);
    g_free(data);
    st_le32(setup + H_INITRD, at);
    st_le32(setup + H_INITRD_LEN, len);
    return true;
}

/* vga= of the command line is the loader's to carry out: the kernel's real-mode
 * code, which sets the mode, does not read it (boot protocol, "Special command
 * line options"). */
static bool add_video_mode(const char *text, uint8_t *setup, Error **errp)
{
    static const struct { const char *name; uint16_t mode; } names[] = {
        { "normal", 0xffff }, { "ext", 0xfffe }, { "ask", 0xfffd },
    };
    const char *at = text;
    char *end;
    unsigned long mode;

    while ((at = strstr(at, "vga=")) && at > text && at[-1] != ' ') {
        at++;
    }
    if (!at) {
        return true;
    }
    at += 4;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        size_t n = strlen(names[i].name);

        if (!strncmp(at, names[i].name, n) && (!at[n] || at[n] == ' ')) {
            st_le16(setup + H_VID_MODE, names[i].mode);
            return true;
        }
    }
    mode = strtoul(at, &end, 0);
    if (end == at || (*end && *end != ' ')) {
        return error_set(errp, "invalid 'vga=' kernel parameter.");
    }
    st_le16(setup + H_VID_MODE, (uint16_t)mode);
    return true;
}

static bool add_cmdline(Pc *p, uint8_t *setup, Error **errp)
{
    const char *text = p->m.append ? p->m.append : "";
    size_t len = strlen(text);

    if (len > CMDLINE_MOST) {
        return error_set(errp, "kernel command line is %zu bytes, at most %u "
                         "are taken", len, CMDLINE_MOST);
    }
    fwcfg_add_u32(FW_CMDLINE_ADDR, CMDLINE_AT);
    fwcfg_add_u32(FW_CMDLINE_SIZE, len + 1);
    fwcfg_add_item(FW_CMDLINE_DATA, text, len + 1);
    st_le32(setup + H_CMDLINE, CMDLINE_AT);
    return add_video_mode(text, setup, errp);
}

bool linuxboot_load(Pc *p, const KernelFile *k, Error **errp)
{
    unsigned sects = k->data[H_SETUP_SECTS] ? k->data[H_SETUP_SECTS] : 4;
    unsigned version = ld_le16(k->data + H_VERSION);
    uint64_t len = (sects + 1) * 512ull, body;
    uint8_t *setup;
    bool ok;

    if (version < 0x202 || !(k->data[H_LOADFLAGS] & 1)) {
        return error_set(errp, "kernel '%s' is too old: boot protocol %x.%02x",
                         k->path, version >> 8, version & 255);
    }
    if (len >= k->len) {
        return error_set(errp, "kernel '%s' is truncated", k->path);
    }
    body = k->len - len;
    if (p->below_4g < KERNEL_AT + FIRMWARE_ROOM ||
        body > p->below_4g - KERNEL_AT - FIRMWARE_ROOM) {
        error_set(errp, "kernel '%s' does not fit into the guest's memory",
                  k->path);
        error_hint(errp, "Give the guest more memory with -m.");
        return false;
    }
    setup = g_memdup2(k->data, len);
    setup[H_LOADER] = 0xb0;            /* a loader without an assigned number */
    setup[H_LOADFLAGS] |= 0x80;        /* there is a heap                     */
    st_le16(setup + H_HEAP_END, CMDLINE_AT - SETUP_AT - 0x200);
    ok = add_cmdline(p, setup, errp) &&
         (!p->m.initrd || add_initrd(p, setup, version, KERNEL_AT + body,
                                     errp));
    if (ok) {
        fwcfg_add_u32(FW_KERNEL_ADDR, KERNEL_AT);
        fwcfg_add_u32(FW_KERNEL_SIZE, body);
        fwcfg_add_item(FW_KERNEL_DATA, k->data + len, body);
        fwcfg_add_u32(FW_SETUP_ADDR, SETUP_AT);
        fwcfg_add_u32(FW_SETUP_SIZE, len);
        fwcfg_add_item(FW_SETUP_DATA, setup, len);
    }
    g_free(setup);
    return ok && boot_rom_add("linuxboot_dma.bin",
                              g_memdup2(linuxboot_rom, linuxboot_rom_size),
                              linuxboot_rom_size, errp);
}
