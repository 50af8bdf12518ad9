/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * drives.c - ide-hd and ide-cd: properties, start-up, saved state.
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. buf is IDE_BUF bytes from realize to unrealize; identify is filled.
 */
#include <glib.h>
#include "hw/ide/ide.h"
#include "pc.h"

/* A guest that asks again sees the new size; the geometry stays. */
static MACHINE_CALL void resized(void *dev)
{
    IdeDrive *d = dev;
    int64_t len = blk_length(d->conf.blk);

    if (len >= 0) {
        d->sectors = (uint64_t)len / 512;
        ide_identify_size(d);
    }
}

static const BlkDevOps disk_ops = { .resized = resized };

static MACHINE_CALL bool disk_size(IdeDrive *d, Error **errp)
{
    int64_t len = blk_length(d->conf.blk);

    if (!blk_has_medium(d->conf.blk) || len < 0) {
        return error_set(errp, "Device needs media, but drive is empty");
    }
    if (!blk_writable(d->conf.blk)) {
        return error_set(errp, "Block node is read-only");
    }
    d->sectors = (uint64_t)len / 512;
    return true;
}

static MACHINE_CALL void tell_board(const IdeDrive *d)
{
    IdeBus *b = ide_bus(d);
    const char *dot = strrchr(b->bus.name, '.');
    unsigned bus = dot ? (unsigned)atoi(dot + 1) : 2;
    static const uint8_t codes[] = { [TRANS_NONE] = 0, [TRANS_LBA] = 1,
                                     [TRANS_LARGE] = 2, [TRANS_RECHS] = 3 };

    if (!pc || b->sata || bus > 1 || d->cdrom ||
        device_of(&b->bus.owner->obj) == NULL) {
        return;
    }
    cmos_disk(bus * 2 + d->unit, (uint16_t)d->conf.cyls,
              (uint8_t)d->conf.heads, (uint8_t)d->conf.secs, codes[d->trans]);
}

static MACHINE_CALL bool names_default(IdeDrive *d, Error **errp)
{
    const Drive *o = drive_of(d->conf.blk);

    if (!d->serial && o && o->serial) {
        d->serial = g_strdup(o->serial);
    }
    if (!d->serial) {
        d->serial = g_strdup_printf("QM%05u", ide_bus(d)->serial + d->unit);
    }
    if (!d->ver) {
        d->ver = g_strdup("2.5+");
    }
    return true;
}

static MACHINE_CALL bool drive_realize(IdeDrive *d, Error **errp)
{
    if (!d->conf.blk) {
        if (!d->cdrom) {
            return error_set(errp, "No drive specified");
        }
        d->conf.blk = blk_new(NULL);
    }
    if (d->conf.discard_granularity != UINT32_MAX &&
        d->conf.discard_granularity && d->conf.discard_granularity != 512) {
        return error_set(errp, "discard_granularity must be 512 for ide");
    }
    if (d->conf.logical && d->conf.logical != 512) {
        return error_set(errp, "logical_block_size must be 512 for IDE");
    }
    if ((!d->cdrom && !disk_size(d, errp)) ||
        !blk_conf_apply(&d->conf, d->cdrom, !d->cdrom, errp) ||
        !names_default(d, errp) ||
        (!d->cdrom && !blk_conf_geometry(&d->conf, &d->trans, 65535, 16, 255,
                                         errp))) {
        return false;
    }
    if (!blk_attach_dev(d->conf.blk, d, &d->dev.obj,
                        d->cdrom ? &ide_cd_ops : &disk_ops, errp)) {
        return false;
    }
    d->buf_size = IDE_BUF;
    d->buf = g_malloc0(IDE_BUF);
    d->mult = IDE_MULT;
    if (d->cdrom) {
        d->block = 2048;
        d->sectors = atapi_blocks(d) * 4;
        ide_identify_cdrom(d);
    } else {
        ide_security_init(d);
        ide_identify_disk(d);
        tell_board(d);
    }
    return true;
}

static MACHINE_CALL bool hd_realize(Device *dev, Error **errp)
{
    return drive_realize((IdeDrive *)dev, errp);
}

static MACHINE_CALL bool cd_realize(Device *dev, Error **errp)
{
    ((IdeDrive *)dev)->cdrom = true;
    return drive_realize((IdeDrive *)dev, errp);
}

static MACHINE_CALL void ide_unrealize(Device *dev)
{
    IdeDrive *d = (IdeDrive *)dev;

    if (ide_bus(d)->cancel) {
        ide_bus(d)->cancel(ide_bus(d)->dma_opaque);
    }
    ide_cancel(d);
    blk_detach_dev(d->conf.blk);
    g_clear_pointer(&d->buf, g_free);
}

static MACHINE_CALL void ide_drive_reset(Device *dev, ResetKind kind)
{
    IdeDrive *d = (IdeDrive *)dev;

    /* The controller resets the task files; this is the mechanics. */
    d->smart = false;
    ide_security_power(d);
    if (d->cdrom) {
        ide_identify_cdrom(d);
    } else {
        ide_identify_disk(d);
    }
}

static bool disk_sound(const IdeDrive *d)
{
    return d->mult <= IDE_MULT && d->secs && d->heads &&
           d->now <= IDE_BUF / 512 &&
           (!d->left || (d->lba <= d->sectors &&
                         d->left <= d->sectors - d->lba));
}

static bool disc_sound(const IdeDrive *d)
{
    return d->reply_pos <= d->reply_len && d->reply_len <= d->buf_size &&
           d->changed < CD_CHANGE_COUNT &&
           (d->block == 2048 || d->block == 2352);
}

static bool ide_loaded(void *opaque, int version, Error **errp)
{
    IdeDrive *d = opaque;

    if (d->pos > d->end || d->end > d->buf_size || d->after >= END_COUNT ||
        d->job >= JOB_COUNT || !(d->cdrom ? disc_sound : disk_sound)(d)) {
        d->pos = d->end = d->reply_pos = d->reply_len = 0;
        return error_set(errp, "ide: unit %u: a transfer beyond its buffer "
                         "or disk", d->unit);
    }
    return true;
}

static bool ide_before_load(void *opaque, Error **errp)
{
    machine_assert_locked();
    ide_cancel(opaque);
    return true;
}

const VmState ide_drive_state = {
    .name = "ide-drive", .version = 2, .oldest = 2,
    .before_load = ide_before_load, .after_load = ide_loaded,
    .fields = (const VmField[]){
        VM_BYTES(IdeDrive, identify), VM_U8(IdeDrive, feature),
        VM_U8(IdeDrive, error), VM_U8(IdeDrive, count),
        VM_U8(IdeDrive, sector), VM_U8(IdeDrive, lcyl), VM_U8(IdeDrive, hcyl),
        VM_U8(IdeDrive, select), VM_U8(IdeDrive, status),
        VM_U8(IdeDrive, hob_feature), VM_U8(IdeDrive, hob_count),
        VM_U8(IdeDrive, hob_sector), VM_U8(IdeDrive, hob_lcyl),
        VM_U8(IdeDrive, hob_hcyl), VM_U8(IdeDrive, command),
        VM_BOOL(IdeDrive, lba48), VM_U32(IdeDrive, mult),
        VM_U32(IdeDrive, heads), VM_U32(IdeDrive, secs),
        VM_BOOL(IdeDrive, smart), VM_BOOL(IdeDrive, reset_under_way),
        VM_VBYTES(IdeDrive, buf, buf_size, IDE_BUF),
        VM_U32(IdeDrive, pos), VM_U32(IdeDrive, end), VM_U8(IdeDrive, after),
        VM_U8(IdeDrive, job), VM_U64(IdeDrive, lba), VM_U32(IdeDrive, left),
        VM_U32(IdeDrive, now), VM_BOOL(IdeDrive, waiting_dma),
        VM_BOOL(IdeDrive, retry), VM_BYTES(IdeDrive, packet),
        VM_BOOL(IdeDrive, packet_dma), VM_U32(IdeDrive, reply_pos),
        VM_U32(IdeDrive, reply_len), VM_U32(IdeDrive, block),
        VM_U8(IdeDrive, sense), VM_U8(IdeDrive, asc), VM_U8(IdeDrive, ascq),
        VM_BOOL(IdeDrive, tray_open), VM_BOOL(IdeDrive, tray_locked),
        VM_U8(IdeDrive, changed), VM_U16(IdeDrive, limit),
        VM_BOOL(IdeDrive, event_new), VM_BOOL(IdeDrive, event_eject),
        VM_END
    },
    .sections = (const VmState *const[]){ &ide_security_state, NULL },
};

#define COMMON_ROWS \
    PROP_BLK_SIZE_ROWS(IdeDrive, conf), PROP_BLK_ERROR_ROWS(IdeDrive, conf), \
    PROP_STR("ver", IdeDrive, ver), PROP_U64("wwn", IdeDrive, wwn, 0), \
    PROP_STR("serial", IdeDrive, serial), PROP_STR("model", IdeDrive, model)

static const Prop hd_props[] = {
    COMMON_ROWS,
    PROP_BLK_GEOMETRY_ROWS(IdeDrive, conf),
    PROP_ENUM("bios-chs-trans", IdeDrive, trans, &blk_conf_trans, 0,
              .desc = "Logical CHS translation algorithm"),
    PROP_U16("rotation_rate", IdeDrive, rotation, 0),
    PROP_BOOL("security", IdeDrive, sec.on, false,
              .desc = "The ATA security feature set (on/off)"),
    PROP_BOOTINDEX,
    PROP_END
};

static const Prop cd_props[] = {
    COMMON_ROWS,
    PROP_BOOTINDEX,
    PROP_END
};

static char *disk_fw_name(const Device *dev)
{
    return g_strdup("drive");
}

#define IDE_DEVICE(sym, nm, props_, realize_, desc_, doc_) \
DEVICE(sym, { \
    .name = nm, .category = "storage", .desc = desc_, .doc = doc_, \
    .on = &bus_ide, .size = sizeof(IdeDrive), .props = props_, \
    .vmstate = &ide_drive_state, \
    .realize = realize_, .unrealize = ide_unrealize, \
    .reset = ide_drive_reset, .fw_name = disk_fw_name, \
})

IDE_DEVICE(ide_hd, "ide-hd", hd_props, hd_realize, "virtual IDE disk",
           "A hard disk on an IDE or SATA port.");
IDE_DEVICE(ide_cd, "ide-cd", cd_props, cd_realize, "virtual IDE CD-ROM",
           "A CD-ROM or DVD-ROM drive on an IDE or SATA port.");

/* ---- a board's ----------------------------------------------------------- */

bool ide_drives_create(IdeBus *b, int bus, Error **errp)
{
    for (int unit = 0; unit < 2; unit++) {
        Drive *d = drive_find(IF_IDE, bus, unit);
        Device *dev;

        if (!d) {
            continue;
        }
        dev = device_make(d->cdrom ? "ide-cd" : "ide-hd");
        device_set_int(dev, "unit", unit);
        if (!device_set(dev, "drive", d->id, errp) ||
            !device_realize(dev, &b->bus, errp)) {
            device_free(dev);
            return false;
        }
        d->claimed = true;
    }
    return true;
}
