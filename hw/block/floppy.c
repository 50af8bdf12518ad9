/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * floppy.c - a floppy drive and its media: formats by image size (ECMA-125, ISO/
 * IEC 9529, and the usual denser ones).
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. sectors, tracks and heads describe the medium, 0 without one.
 */
#include <glib.h>
#include "hw/block/fdc.h"
#include "pc.h"

const PropEnum floppy_kinds = {
    .type = "FdcDriveType",
    .names = (const char *const[]){ "144", "288", "120", "none", "auto",
                                    NULL },
};

enum { RATE_500, RATE_300, RATE_250, RATE_1000 };

static const struct {
    uint8_t kind, sectors, tracks, heads, rate;
} formats[] = {
    { FLOPPY_144, 18, 80, 2, RATE_500 }, { FLOPPY_144, 20, 80, 2, RATE_500 },
    { FLOPPY_144, 21, 80, 2, RATE_500 }, { FLOPPY_144, 21, 82, 2, RATE_500 },
    { FLOPPY_144, 21, 83, 2, RATE_500 }, { FLOPPY_144, 22, 80, 2, RATE_500 },
    { FLOPPY_144, 23, 80, 2, RATE_500 }, { FLOPPY_144, 24, 80, 2, RATE_500 },
    { FLOPPY_288, 36, 80, 2, RATE_1000 }, { FLOPPY_288, 39, 80, 2, RATE_1000 },
    { FLOPPY_288, 40, 80, 2, RATE_1000 }, { FLOPPY_288, 44, 80, 2, RATE_1000 },
    { FLOPPY_288, 48, 80, 2, RATE_1000 },
    { FLOPPY_144, 9, 80, 2, RATE_250 }, { FLOPPY_144, 10, 80, 2, RATE_250 },
    { FLOPPY_144, 10, 82, 2, RATE_250 }, { FLOPPY_144, 10, 83, 2, RATE_250 },
    { FLOPPY_144, 13, 80, 2, RATE_250 }, { FLOPPY_144, 14, 80, 2, RATE_250 },
    { FLOPPY_120, 15, 80, 2, RATE_500 }, { FLOPPY_120, 18, 82, 2, RATE_500 },
    { FLOPPY_120, 18, 83, 2, RATE_500 }, { FLOPPY_120, 11, 80, 2, RATE_250 },
    { FLOPPY_120, 9, 40, 2, RATE_300 }, { FLOPPY_120, 9, 40, 1, RATE_300 },
    { FLOPPY_120, 10, 41, 2, RATE_300 }, { FLOPPY_120, 10, 42, 2, RATE_300 },
    { FLOPPY_120, 8, 40, 2, RATE_250 }, { FLOPPY_120, 8, 40, 1, RATE_250 },
};

static char *floppy_path(const Device *dev)
{
    return g_strdup_printf("floppy@%x", ((const Floppy *)dev)->unit);
}

static MACHINE_CALL bool floppy_plug(Bus *bus, Device *dev, Error **errp)
{
    FloppyBus *b = (FloppyBus *)bus;
    Floppy *f = (Floppy *)dev;

    if (f->unit == UINT32_MAX) {
        f->unit = b->drive[0] ? 1 : 0;
    }
    if (f->unit >= 2) {
        return error_set(errp, "Can't create floppy unit %u, bus supports only "
                         "2 units", f->unit);
    }
    if (b->drive[f->unit]) {
        return error_set(errp, "Floppy unit %u is in use", f->unit);
    }
    b->drive[f->unit] = f;
    b->bus.full = b->drive[0] && b->drive[1];
    return true;
}

static MACHINE_CALL void floppy_unplug(Bus *bus, Device *dev)
{
    FloppyBus *b = (FloppyBus *)bus;

    for (int i = 0; i < 2; i++) {
        if (b->drive[i] == (Floppy *)dev) {
            b->drive[i] = NULL;
            b->bus.full = false;
        }
    }
}

static const Prop floppy_bus_props[] = {
    PROP_U32("unit", Floppy, unit, UINT32_MAX),
    PROP_END
};

BUS_TYPE(bus_floppy, {
    .name = "floppy-bus", .size = sizeof(FloppyBus), .max_devices = 2,
    .props = floppy_bus_props, .plug = floppy_plug, .unplug = floppy_unplug,
    .fw_path = floppy_path,
});

/* ---- media --------------------------------------------------------------- */

bool floppy_present(const Floppy *f)
{
    return f && f->sectors;
}

uint64_t floppy_offset(const Floppy *f)
{
    return (((uint64_t)f->track * f->heads + f->head) * f->sectors +
            f->sector - 1) * 512;
}

/* The row for an image of len bytes: of its size, else the kind's first. */
static int format_find(const Floppy *f, int64_t len)
{
    int want = f->kind == FLOPPY_AUTO ? f->fallback : f->kind, like = -1;

    for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
        int64_t size = (int64_t)512 * formats[i].sectors * formats[i].tracks *
                       formats[i].heads;

        if (size == len &&
            (f->kind == FLOPPY_AUTO || formats[i].kind == f->kind)) {
            return (int)i;
        }
        if (like < 0 && formats[i].kind == want) {
            like = (int)i;
        }
    }
    return like;
}

void floppy_look(Floppy *f)
{
    int64_t len = blk_length(f->conf.blk);
    int i = len > 0 ? format_find(f, len) : -1;

    f->read_only = !blk_writable(f->conf.blk);
    f->sectors = f->tracks = f->heads = 0;
    if (i < 0) {
        return;
    }
    if (f->kind == FLOPPY_AUTO) {
        f->kind = formats[i].kind;
    }
    f->sectors = formats[i].sectors;
    f->tracks = formats[i].tracks;
    f->heads = formats[i].heads;
    f->rate = formats[i].rate;
}

static void floppy_change(void *dev, bool load)
{
    Floppy *f = dev;

    machine_assert_locked();
    f->changed = true;
    if (!load) {
        blk_set_perm(f->conf.blk, 0, BLKP_ALL, NULL);
    }
    floppy_look(f);
    if (load && !blk_conf_apply(&f->conf, f->read_only, false, NULL)) {
        f->read_only = true;           /* another one writes to it            */
    }
}

static bool floppy_never(void *dev)
{
    return false;
}

static const BlkDevOps floppy_ops = {
    .change_media = floppy_change, .locked = floppy_never,
    .removable = true, .no_io_status = true,
};

/* ---- the drive ----------------------------------------------------------- */

static MACHINE_CALL bool floppy_realize(Device *dev, Error **errp)
{
    static const uint8_t cmos[] = { 4, 5, 2, 0, 0 };
    Floppy *f = (Floppy *)dev;
    FloppyBus *b = (FloppyBus *)dev->bus;

    if (!f->conf.blk) {
        f->conf.blk = blk_new(NULL);
    }
    if ((f->conf.logical && f->conf.logical != 512) ||
        (f->conf.physical && f->conf.physical != 512)) {
        return error_set(errp, "Physical and logical block size must be 512 "
                         "for floppy");
    }
    if (!blk_conf_apply(&f->conf, !blk_writable(f->conf.blk), false, errp) ||
        !blk_attach_dev(f->conf.blk, f, &dev->obj, &floppy_ops, errp)) {
        return false;
    }
    f->kind = f->kind_given;
    if (f->kind == FLOPPY_AUTO) {
        f->kind = b->kinds[f->unit];
    }
    f->fallback = b->fallback;
    floppy_look(f);
    if (f->kind == FLOPPY_AUTO) {
        f->kind = f->fallback;
    }
    f->changed = true;
    if (pc) {
        cmos_floppy(f->unit, cmos[f->kind]);
    }
    return true;
}

static MACHINE_CALL void floppy_unrealize(Device *dev)
{
    blk_detach_dev(((Floppy *)dev)->conf.blk);
}

static MACHINE_CALL void floppy_reset(Device *dev, ResetKind kind)
{
    Floppy *f = (Floppy *)dev;

    f->track = f->head = 0;
    f->sector = 1;
}

static bool floppy_loaded(void *opaque, int version, Error **errp)
{
    Floppy *f = opaque;

    if (f->head > 1 || !f->sector) {
        f->head = 0;
        f->sector = 1;
        return error_set(errp, "floppy: a head or sector that does not exist");
    }
    return true;
}

static const VmState floppy_state = {
    .name = "floppy", .version = 1, .oldest = 1, .after_load = floppy_loaded,
    .fields = (const VmField[]){
        VM_U8(Floppy, track), VM_U8(Floppy, head), VM_U8(Floppy, sector),
        VM_BOOL(Floppy, changed),
        VM_END
    },
};

static const Prop floppy_props[] = {
    PROP_BLK_SIZE_ROWS(Floppy, conf),
    PROP_ENUM("drive-type", Floppy, kind_given, &floppy_kinds, FLOPPY_AUTO,
              .desc = "FDC drive type"),
    PROP_END
};

DEVICE(floppy, {
    .name = "floppy", .category = "storage", .desc = "virtual floppy drive",
    .doc = "A drive on a floppy controller. Its medium's format follows from "
           "the size of the image.",
    .on = &bus_floppy, .size = sizeof(Floppy), .props = floppy_props,
    .vmstate = &floppy_state,
    .realize = floppy_realize, .unrealize = floppy_unrealize,
    .reset = floppy_reset,
});
