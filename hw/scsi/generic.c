/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * generic.c - scsi-generic and scsi-block: units that are devices of the host,
 * which get the guest's command blocks by SG_IO (Linux, scsi/sg.h).
 *
 * Thread class: MACHINE_CALL for start-up, else LOOP_CALL(bus->loop); the ioctl
 * itself runs where the block layer runs such.
 *
 * Invariants
 * 1. From run to ran, r->buf holds the sg_io_hdr that the host works on.
 * 2. No command moves more than the guest's buffer: xfer is bounded by it.
 */
#include <glib.h>
#include <scsi/scsi.h>
#include <scsi/sg.h>
#include <sys/ioctl.h>
#include "hw/scsi/scsi-impl.h"

typedef struct ScsiPass {
    ScsiDevice d;
    uint32_t timeout;                  /* seconds; properties                 */
    uint64_t max_unmap, max_io;
    uint16_t rotation;
    int32_t scsi_version;
    int kind;                          /* peripheral device type              */
    uint32_t block;                    /* bytes of a logical block            */
} ScsiPass;

/* ---- start-up ------------------------------------------------------------ */

/* READ CAPACITY (10): the block size, 512 where there is none. */
static MACHINE_CALL uint32_t block_size(ScsiPass *s)
{
    uint8_t cdb[10] = { 0x25 }, buf[8] = { 0 }, sense[32];
    sg_io_hdr_t h = {
        .interface_id = 'S', .dxfer_direction = SG_DXFER_FROM_DEV,
        .cmd_len = sizeof(cdb), .cmdp = cdb, .dxferp = buf,
        .dxfer_len = sizeof(buf), .sbp = sense, .mx_sb_len = sizeof(sense),
        .timeout = 6000,
    };
    uint32_t n;

    if (blk_ioctl(s->d.conf.blk, SG_IO, &h) < 0 || h.status || h.host_status) {
        return 512;
    }
    n = ld_be32(buf + 4);
    return IS_POW2(n) && n >= 512 && n <= 65536 ? n : 512;
}

static MACHINE_CALL bool pass_realize(Device *dev, Error **errp)
{
    ScsiPass *s = (ScsiPass *)dev;
    BlkConf *c = &s->d.conf;
    struct sg_scsi_id id = { 0 };
    int version = 0, ret;

    if (!c->blk) {
        return error_set(errp, "drive property not set");
    }
    ret = blk_ioctl(c->blk, SG_GET_VERSION_NUM, &version);
    if (ret < 0) {
        error_set(errp, "cannot get SG_IO version number: %s", strerror(-ret));
        error_hint(errp, "Is this a SCSI device?");
        return false;
    }
    if (version < 30000) {
        return error_set(errp, "scsi generic interface too old");
    }
    if (blk_ioctl(c->blk, SG_GET_SCSI_ID, &id) < 0) {
        return error_set(errp, "SG_GET_SCSI_ID ioctl failed");
    }
    s->kind = id.scsi_type;
    s->block = s->kind == 0 || s->kind == 5 ? block_size(s) : 512;
    c->logical = c->physical = s->block;
    c->discard_granularity = s->block;
    return blk_conf_apply(c, !blk_writable(c->blk), true, errp) &&
           scsi_unit_attach(&s->d, NULL, errp);
}

static MACHINE_CALL void pass_unrealize(Device *dev)
{
    scsi_unit_detach((ScsiDevice *)dev);
}

static void pass_reset(Device *dev, ResetKind kind)
{
}

/* ---- commands ------------------------------------------------------------ */

static uint8_t cdb_length(uint8_t op)
{
    static const uint8_t by_group[] = { 6, 10, 10, 0, 16, 12, 0, 0 };

    return by_group[op >> 5];
}

static void ran(ScsiReq *r)
{
    const sg_io_hdr_t *h = (const void *)r->buf;

    if (h->host_status || (h->driver_status & 0x0f &&
                           (h->driver_status & 0x0f) != 8)) {
        scsi_check(r, SENSE_IO);
        return;
    }
    r->sense_len = h->sb_len_wr;
    r->moved = r->xfer - MIN2((uint64_t)MAX2(h->resid, 0), r->xfer);
    if (h->status == SCSI_CHECK && r->sense_len >= 14) {
        r->dev->sense = (ScsiSense){ r->sense[2] & 15, r->sense[12],
                                     r->sense[13] };
    }
    scsi_finish(r, h->status);
}

static void pass_run(ScsiDevice *d, ScsiReq *r)
{
    const ScsiPass *s = (const ScsiPass *)d;
    unsigned niov = 0;
    const struct iovec *iov = r->dir == SCSI_NONE ? NULL
                                                  : scsi_data(r, &niov);
    sg_io_hdr_t *h;

    if (!cdb_length(r->cdb[0]) || niov > IOV_MAX) {
        scsi_check(r, SENSE_BAD_OPCODE);
        return;
    }
    h = (void *)scsi_room(r, sizeof(*h));
    *h = (sg_io_hdr_t){
        .interface_id = 'S', .cmd_len = cdb_length(r->cdb[0]), .cmdp = r->cdb,
        .dxfer_direction = r->dir == SCSI_NONE ? SG_DXFER_NONE
            : r->dir == SCSI_IN ? SG_DXFER_FROM_DEV : SG_DXFER_TO_DEV,
        .iovec_count = (unsigned short)niov, .dxferp = (void *)(uintptr_t)iov,
        .dxfer_len = (unsigned)r->xfer, .sbp = r->sense,
        .mx_sb_len = sizeof(r->sense), .timeout = s->timeout * 1000,
    };
    r->one = (struct iovec){ h, 0 };
    r->req.op = BLK_IOCTL;
    r->req.flags = 0;
    r->req.off = SG_IO;
    r->req.len = 0;
    r->req.iov = &r->one;
    r->req.niov = 1;
    scsi_io(r, ran);
}

static void pass_parse(ScsiDevice *d, ScsiReq *r)
{
    scsi_parse(r, ((const ScsiPass *)d)->block);
}

/* ---- tables -------------------------------------------------------------- */

#define PASS_ROWS \
    PROP_DRIVE("drive", ScsiPass, d.conf.blk, \
               .desc = "Node name or ID of a block device to use as a " \
                       "backend"), \
    PROP_BOOL("share-rw", ScsiPass, d.conf.share_rw, false), \
    PROP_U32("io_timeout", ScsiPass, timeout, 30, .max = 3600), \
    PROP_BOOTINDEX

static const Prop generic_rows[] = {
    PASS_ROWS,
    PROP_END
};

static const Prop block_rows[] = {
    PASS_ROWS, PROP_BLK_ERROR_ROWS(ScsiPass, d.conf),
    PROP_U64("max_unmap_size", ScsiPass, max_unmap, GiB),
    PROP_U64("max_io_size", ScsiPass, max_io, INT32_MAX),
    PROP_U16("rotation_rate", ScsiPass, rotation, 0),
    PROP_I32("scsi_version", ScsiPass, scsi_version, -1),
    PROP_END
};

static const ScsiType pass_type = { .run = pass_run, .parse = pass_parse };

static char *pass_fw_name(const Device *dev)
{
    return g_strdup(((const ScsiPass *)dev)->kind == 0 ||
                    ((const ScsiPass *)dev)->kind == 5 ? "disk" : "device");
}

#define SCSI_PASS(sym, nm, up, rows, desc_, doc_) \
DEVICE(sym, { \
    .name = nm, .category = "storage", .desc = desc_, .doc = doc_, \
    .parent = up, .on = &bus_scsi, .on_info = &pass_type, \
    .size = sizeof(ScsiPass), .props = rows, .vmstate = &vm_none, \
    .realize = pass_realize, .unrealize = pass_unrealize, \
    .reset = pass_reset, .fw_name = pass_fw_name, \
})

SCSI_PASS(scsi_generic, "scsi-generic", NULL, generic_rows,
          "pass through generic scsi device (/dev/sg*)",
          "A SCSI device of the host, by its /dev/sg* file: the guest's commands "
          "go there as they are.");
SCSI_PASS(scsi_block, "scsi-block", "scsi-disk-base", block_rows,
          "SCSI block device passthrough",
          "A SCSI disk of the host, by its block device: the guest's commands go "
          "there as they are.");
