/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * disk.c - scsi-hd and scsi-cd: properties, start-up, media, saved state.
 *
 * Thread class: MACHINE_CALL; disk_run is LOOP_CALL(bus->loop).
 *
 * Invariants
 * 1. blocks, and all that the guest can change, belong to the bus's loop; changes
 *    that come from the machine enter it by scsi_run.
 */
#include <glib.h>
#include "hw/scsi/scsi-impl.h"

static void disk_run(ScsiDevice *d, ScsiReq *r)
{
    ScsiDisk *s = (ScsiDisk *)d;

    if (LIKELY(disk_medium(s, r)) || disk_info(s, r) ||
        (s->cd && cd_command(s, r))) {
        return;
    }
    scsi_check(r, SENSE_BAD_OPCODE);
}

static void disk_unit_reset(ScsiDevice *d)
{
    ScsiDisk *s = (ScsiDisk *)d;

    s->locked = false;
    s->event_new = s->event_eject = false;
}

/* A new medium is news after the empty drive was. */
static void disk_told(ScsiDevice *d, ScsiSense s)
{
    if (s.asc == SENSE_WAS_EMPTY.asc && disk_ready((ScsiDisk *)d)) {
        d->attention = SENSE_CHANGED;
    }
}

/* ---- news from the machine ----------------------------------------------- */

static uint64_t blocks_now(ScsiDisk *s)
{
    int64_t n = blk_has_medium(s->d.conf.blk) ? blk_length(s->d.conf.blk) : 0;

    return n > 0 ? (uint64_t)n / s->d.conf.logical : 0;
}

typedef struct News {
    ScsiDisk *s;
    uint64_t blocks;
    bool load, force, answer;
} News;

static void in_loop_change(void *arg)
{
    const News *n = arg;
    ScsiDisk *s = n->s;

    s->blocks = n->blocks;
    s->tray_open = !n->load;
    s->event_new = n->load;
    s->event_eject = false;
    scsi_set_attention(&s->d, SENSE_WAS_EMPTY);
}

static void change_media(void *dev, bool load)
{
    ScsiDisk *s = dev;
    News n = { .s = s, .blocks = blocks_now(s), .load = load };

    machine_assert_locked();
    scsi_run(scsi_bus(&s->d), in_loop_change, &n);
}

static void in_loop_eject(void *arg)
{
    const News *n = arg;

    n->s->event_eject = true;
    if (n->force) {
        n->s->locked = false;
    }
}

static bool eject_request(void *dev, bool force)
{
    ScsiDisk *s = dev;
    News n = { .s = s, .force = force };

    machine_assert_locked();
    scsi_run(scsi_bus(&s->d), in_loop_eject, &n);
    return true;
}

static void in_loop_tray(void *arg)
{
    News *n = arg;

    n->answer = n->s->tray_open;
}

static void in_loop_locked(void *arg)
{
    News *n = arg;

    n->answer = n->s->locked;
}

static bool tray_open(void *dev)
{
    News n = { .s = dev };

    machine_assert_locked();
    scsi_run(scsi_bus(&n.s->d), in_loop_tray, &n);
    return n.answer;
}

static bool locked(void *dev)
{
    News n = { .s = dev };

    machine_assert_locked();
    scsi_run(scsi_bus(&n.s->d), in_loop_locked, &n);
    return n.answer;
}

static void in_loop_size(void *arg)
{
    const News *n = arg;

    n->s->blocks = n->blocks;
}

static void resized(void *dev)
{
    ScsiDisk *s = dev;
    ScsiBus *b = scsi_bus(&s->d);
    News n = { .s = s, .blocks = blocks_now(s) };

    machine_assert_locked();
    scsi_run(b, in_loop_size, &n);
    if (b->hba->changed && s->d.linked) {
        b->hba->changed(b, &s->d, SENSE_CAPACITY);
    }
}

static const BlkDevOps fixed_ops = { .resized = resized };
static const BlkDevOps removable_ops = {
    .change_media = change_media, .eject_request = eject_request,
    .tray_open = tray_open, .locked = locked, .resized = resized,
    .removable = true,
};

/* ---- start-up ------------------------------------------------------------ */

static MACHINE_CALL void set_texts(ScsiDisk *s)
{
    const Drive *o = drive_of(s->d.conf.blk);

    if (!s->serial && o && o->serial) {
        s->serial = g_strdup(o->serial);
    }
    if (!s->device_id && s->serial) {
        s->device_id = g_strndup(s->serial, 20);
    }
    if (!s->ver) {
        s->ver = g_strdup("2.5+");
    }
    if (!s->vendor) {
        s->vendor = g_strdup("QEMU");
    }
    if (!s->product) {
        s->product = g_strdup(s->cd ? "QEMU CD-ROM" : "QEMU HARDDISK");
    }
}

static MACHINE_CALL bool drive_ok(ScsiDisk *s, Error **errp)
{
    if (!s->d.conf.blk) {
        if (!s->cd) {
            return error_set(errp, "drive property not set");
        }
        s->d.conf.blk = blk_new(NULL);
    }
    if (!s->cd && !s->removable && !blk_has_medium(s->d.conf.blk)) {
        return error_set(errp, "Device needs media, but drive is empty");
    }
    return true;
}

static MACHINE_CALL bool disk_realize(Device *dev, Error **errp)
{
    ScsiDisk *s = (ScsiDisk *)dev;
    BlkConf *c = &s->d.conf;

    if (!drive_ok(s, errp)) {
        return false;
    }
    if (s->cd) {
        c->logical = c->physical = 2048;
    }
    if (c->discard_granularity == UINT32_MAX) {
        c->discard_granularity = MAX2(MAX2(c->physical, c->logical), 4096);
    }
    if (!blk_conf_apply(c, s->cd || (blk_has_medium(c->blk) &&
                                     !blk_writable(c->blk)), !s->cd, errp)) {
        return false;
    }
    if (!s->cd && blk_has_medium(c->blk) &&
        !blk_conf_geometry(c, NULL, 65535, 255, 255, errp)) {
        return false;
    }
    set_texts(s);
    if (!scsi_unit_attach(&s->d, s->cd || s->removable ? &removable_ops
                          : &fixed_ops, errp)) {
        return false;
    }
    s->blocks = blocks_now(s);
    return true;
}

static MACHINE_CALL bool cd_realize(Device *dev, Error **errp)
{
    ((ScsiDisk *)dev)->cd = true;
    return disk_realize(dev, errp);
}

static MACHINE_CALL void disk_unrealize(Device *dev)
{
    scsi_unit_detach((ScsiDevice *)dev);
}

static MACHINE_CALL void disk_reset(Device *dev, ResetKind kind)
{
    ScsiDisk *s = (ScsiDisk *)dev;

    s->blocks = blocks_now(s);
    s->tray_open = false;
    disk_unit_reset(&s->d);
}

static char *disk_fw_name(const Device *dev)
{
    return g_strdup("disk");
}

/* ---- tables -------------------------------------------------------------- */

static const VmState disk_state = {
    .name = "scsi-disk", .version = 1, .oldest = 1,
    .fields = (const VmField[]){
        VM_BOOL(ScsiDisk, tray_open), VM_BOOL(ScsiDisk, locked),
        VM_BOOL(ScsiDisk, event_new), VM_BOOL(ScsiDisk, event_eject),
        VM_END
    },
};

#define COMMON_ROWS \
    PROP_BLK_SIZE_ROWS(ScsiDisk, d.conf), \
    PROP_BLK_ERROR_ROWS(ScsiDisk, d.conf), \
    PROP_STR("ver", ScsiDisk, ver), PROP_STR("serial", ScsiDisk, serial), \
    PROP_STR("vendor", ScsiDisk, vendor), \
    PROP_STR("product", ScsiDisk, product), \
    PROP_STR("device_id", ScsiDisk, device_id), \
    PROP_U64("wwn", ScsiDisk, wwn, 0), \
    PROP_U64("port_wwn", ScsiDisk, port_wwn, 0), \
    PROP_U16("port_index", ScsiDisk, port_index, 0), \
    PROP_U64("max_io_size", ScsiDisk, max_io, INT32_MAX), \
    PROP_I32("scsi_version", ScsiDisk, scsi_version, 5), \
    PROP_BOOL("quirk_mode_page_vendor_specific_apple", ScsiDisk, \
              quirk_apple_vendor, false, .desc = "on/off"), \
    PROP_BOOTINDEX

static const Prop hd_rows[] = {
    COMMON_ROWS,
    PROP_BOOL("removable", ScsiDisk, removable, false, .desc = "on/off"),
    PROP_BOOL("dpofua", ScsiDisk, dpofua, false, .desc = "on/off"),
    PROP_U64("max_unmap_size", ScsiDisk, max_unmap, GiB),
    PROP_U16("rotation_rate", ScsiDisk, rotation, 0),
    PROP_BLK_GEOMETRY_ROWS(ScsiDisk, d.conf),
    PROP_END
};

static const Prop cd_rows[] = {
    COMMON_ROWS,
    PROP_BOOL("quirk_mode_page_apple_vendor", ScsiDisk, quirk_apple_page, false,
              .desc = "on/off"),
    PROP_BOOL("quirk_mode_page_truncated", ScsiDisk, quirk_truncated, false,
              .desc = "on/off"),
    PROP_BOOL("quirk_mode_sense_rom_use_dbd", ScsiDisk, quirk_dbd, false,
              .desc = "on/off"),
    PROP_END
};

static const ScsiType hd_type = { .kind = 0, .run = disk_run,
                                  .reset = disk_unit_reset,
                                  .told = disk_told };
static const ScsiType cd_type = { .kind = 5, .run = disk_run,
                                  .reset = disk_unit_reset,
                                  .told = disk_told };

TYPE_NAME(type_scsi_disk_base, { "scsi-disk-base", "scsi-device", true });

#define SCSI_DISK(sym, nm, rows, ty, realize_, desc_, doc_) \
DEVICE(sym, { \
    .name = nm, .category = "storage", .desc = desc_, .doc = doc_, \
    .parent = "scsi-disk-base", .on = &bus_scsi, .on_info = ty, \
    .size = sizeof(ScsiDisk), .props = rows, .vmstate = &disk_state, \
    .realize = realize_, .unrealize = disk_unrealize, .reset = disk_reset, \
    .fw_name = disk_fw_name, \
})

SCSI_DISK(scsi_hd, "scsi-hd", hd_rows, &hd_type, disk_realize,
          "virtual SCSI disk", "A disk on a SCSI bus.");
SCSI_DISK(scsi_cd, "scsi-cd", cd_rows, &cd_type, cd_realize,
          "virtual SCSI CD-ROM", "A CD-ROM or DVD-ROM drive on a SCSI bus.");
