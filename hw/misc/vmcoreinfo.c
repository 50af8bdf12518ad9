/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmcoreinfo.c - by which a guest's kernel says where the note is that tells
 * crash how to read its memory (the kernel's qemu_fw_cfg driver and its
 * include/uapi/linux/qemu_fw_cfg.h: the file etc/vmcoreinfo of 16 bytes, written
 * by DMA: formats of host and guest, size, physical address).
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. At most one.
 * 2. What the guest wrote is only told; who reads the note checks it.
 */
#include <glib.h>
#include "hw/fw/fw-cfg.h"
#include "hw/misc/misc.h"

#define FORMAT_ELF 1
enum { HOST_FORMAT = 0, GUEST_FORMAT = 2, NOTE_SIZE = 4, NOTE_AT = 8,
       FILE_SIZE = 16 };

typedef struct Vmcoreinfo {
    Device dev;
    uint8_t said[FILE_SIZE];           /* as the guest wrote it, saved        */
    uint8_t *file;                     /* fw_cfg's copy                       */
    bool has;                          /* the guest wrote                     */
} Vmcoreinfo;

static Vmcoreinfo *the_one;

bool vmcoreinfo_place(uint64_t *pa, uint32_t *size)
{
    const Vmcoreinfo *s = the_one;

    if (!s || !s->has || ld_le16(s->said + GUEST_FORMAT) != FORMAT_ELF) {
        return false;
    }
    *size = ld_le32(s->said + NOTE_SIZE);
    *pa = ld_le64(s->said + NOTE_AT);
    return true;
}

static void file_written(void *arg, uint64_t off, uint64_t len)
{
    Vmcoreinfo *s = arg;

    memcpy(s->said, s->file, FILE_SIZE);
    s->has = true;
}

static void vmcoreinfo_reset(Device *dev, ResetKind kind)
{
    Vmcoreinfo *s = (Vmcoreinfo *)dev;

    if (kind != RESET_WAKE) {
        memset(s->said, 0, FILE_SIZE);
        st_le16(s->said + HOST_FORMAT, FORMAT_ELF);
        memcpy(s->file, s->said, FILE_SIZE);
        s->has = false;
    }
}

/* It is on no bus that would reset it. */
static void board_reset(void *arg, ResetKind kind)
{
    vmcoreinfo_reset(arg, kind);
}

static MACHINE_CALL bool vmcoreinfo_realize(Device *dev, Error **errp)
{
    Vmcoreinfo *s = (Vmcoreinfo *)dev;

    if (the_one) {
        return error_set(errp, "at most one vmcoreinfo device is permitted");
    }
    if (!fwcfg_present()) {
        return error_set(errp, "vmcoreinfo device requires fw_cfg with DMA");
    }
    s->file = g_malloc0(FILE_SIZE);
    if (!fwcfg_add_writable("etc/vmcoreinfo", s->file, FILE_SIZE, file_written,
                            s)) {
        return error_set(errp, "vmcoreinfo: fw_cfg has no room for its file");
    }
    reset_register(board_reset, s);
    the_one = s;
    return true;
}

static MACHINE_CALL void vmcoreinfo_unrealize(Device *dev)
{
    reset_unregister(board_reset, dev);
    the_one = NULL;
}

static bool vmcoreinfo_loaded(void *opaque, int version, Error **errp)
{
    Vmcoreinfo *s = opaque;

    memcpy(s->file, s->said, FILE_SIZE);
    return true;
}

static const Prop vmcoreinfo_props[] = { PROP_END };

static const VmState vmcoreinfo_state = {
    .name = "vmcoreinfo", .version = 1, .oldest = 1,
    .after_load = vmcoreinfo_loaded,
    .fields = (const VmField[]){ VM_BOOL(Vmcoreinfo, has),
                                 VM_BYTES(Vmcoreinfo, said), VM_END },
};

DEVICE(vmcoreinfo, {
    .name = "vmcoreinfo", .category = "misc", .flags = DT_NO_HOTPLUG,
    .desc = "where a guest's kernel keeps the note for crash",
    .doc = "A Linux guest tells by it where its note for the crash utility is; "
           "dump-guest-memory adds the note to what it writes.",
    .size = sizeof(Vmcoreinfo), .props = vmcoreinfo_props,
    .vmstate = &vmcoreinfo_state,
    .realize = vmcoreinfo_realize, .unrealize = vmcoreinfo_unrealize,
    .reset = vmcoreinfo_reset,
});
