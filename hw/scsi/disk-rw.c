/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * disk-rw.c - commands that touch the medium (SBC-3, section 5; for the tray MMC-6,
 * section 6.42).
 *
 * Thread class: LOOP_CALL(bus->loop).
 *
 * Invariants
 * 1. What goes to the block layer lies within the medium (in_range).
 * 2. A command that works in steps has its place in r->pos and r->left, in bytes,
 *    and at most STEP bytes of its own memory.
 */
#include "hw/scsi/scsi-impl.h"

#define STEP (512 * 1024)              /* bytes of one step                   */
#define UNMAP_MAX 255                  /* descriptors, as page B0h says       */

static bool in_range(const ScsiDisk *s, uint64_t lba, uint64_t n)
{
    return lba <= s->blocks && n <= s->blocks - lba;
}

/* Of commands that write: refused on a medium that is protected. */
static bool may_write(ScsiDisk *s, ScsiReq *r)
{
    if (!blk_writable(s->d.conf.blk)) {
        scsi_check(r, SENSE_PROTECTED);
        return false;
    }
    return true;
}

/* ---- reading and writing ------------------------------------------------- */

static void moved(ScsiReq *r)
{
    r->moved = r->xfer;
    scsi_good(r);
}

static void transfer(ScsiReq *r)
{
    r->req.iov = scsi_data(r, &r->req.niov);
    scsi_io(r, moved);
}

static void read_after_flush(ScsiReq *r)
{
    r->req.op = BLK_READ;
    r->req.flags = 0;
    r->req.off = r->pos;
    r->req.len = r->xfer;
    transfer(r);
}

static void flush_then(ScsiReq *r, void (*then)(ScsiReq *r))
{
    r->req.op = BLK_FLUSH;
    r->req.flags = 0;
    r->req.off = r->req.len = 0;
    r->req.niov = 0;
    scsi_io(r, then);
}

static void read_write(ScsiDisk *s, ScsiReq *r, bool write)
{
    uint64_t lba = scsi_cdb_lba(r->cdb), block = s->d.conf.logical;
    bool fua = r->cdb[0] > 0x1f && r->cdb[1] & 8;

    if (r->cdb[0] > 0x1f && r->cdb[1] & 0xe0) {    /* protection: not there   */
        scsi_check(r, SENSE_BAD_FIELD);
        return;
    }
    if (write && !may_write(s, r)) {
        return;
    }
    if (UNLIKELY(!in_range(s, lba, r->xfer / block))) {
        scsi_check(r, SENSE_LBA_RANGE);
        return;
    }
    if (!r->xfer) {
        scsi_good(r);
        return;
    }
    if (UNLIKELY(!write && fua)) {
        r->pos = lba * block;
        flush_then(r, read_after_flush);
        return;
    }
    r->req.op = write ? BLK_WRITE : BLK_READ;
    r->req.flags = write && fua ? BLKF_FUA : 0;
    r->req.off = lba * block;
    r->req.len = r->xfer;
    transfer(r);
}

/* ---- VERIFY --------------------------------------------------------------- */

static void verify_step(ScsiReq *r);

static void verify_read(ScsiReq *r)
{
    uint64_t n = r->one.iov_len, at = r->xfer - r->left, skip = at;

    for (unsigned i = 0; i < r->niov && n; i++) {
        const uint8_t *p = r->iov[i].iov_base;
        uint64_t len = r->iov[i].iov_len, part;

        if (skip >= len) {
            skip -= len;
            continue;
        }
        part = MIN2(len - skip, n);
        if (memcmp(p + skip, r->buf + (r->one.iov_len - n), part)) {
            scsi_check(r, SENSE_MISCOMPARE);
            return;
        }
        n -= part;
        skip = 0;
    }
    r->pos += r->one.iov_len;
    r->left -= r->one.iov_len;
    verify_step(r);
}

static void verify_step(ScsiReq *r)
{
    if (!r->left) {
        moved(r);
        return;
    }
    r->one = (struct iovec){ r->buf, MIN2(r->left, STEP) };
    r->req.op = BLK_READ;
    r->req.flags = 0;
    r->req.off = r->pos;
    r->req.len = r->one.iov_len;
    r->req.iov = &r->one;
    r->req.niov = 1;
    scsi_io(r, verify_read);
}

static void verify(ScsiDisk *s, ScsiReq *r)
{
    uint64_t lba = scsi_cdb_lba(r->cdb), n = scsi_cdb_count(r->cdb);

    if ((r->cdb[1] & 6) == 4 || (r->cdb[1] & 6) == 6) {
        scsi_check(r, SENSE_BAD_FIELD);
        return;
    }
    if (!in_range(s, lba, n)) {
        scsi_check(r, SENSE_LBA_RANGE);
        return;
    }
    if (!r->xfer) {
        scsi_good(r);                  /* the medium is good throughout       */
        return;
    }
    scsi_room(r, STEP);
    r->pos = lba * s->d.conf.logical;
    r->left = r->xfer;
    verify_step(r);
}

/* ---- WRITE SAME, UNMAP ---------------------------------------------------- */

static void same_step(ScsiReq *r)
{
    if (!r->left) {
        moved(r);
        return;
    }
    r->one = (struct iovec){ r->buf, MIN2(r->left, STEP) };
    r->req.op = BLK_WRITE;
    r->req.flags = 0;
    r->req.off = r->pos;
    r->req.len = r->one.iov_len;
    r->req.iov = &r->one;
    r->req.niov = 1;
    r->pos += r->one.iov_len;
    r->left -= r->one.iov_len;
    scsi_io(r, same_step);
}

static bool all_zero(const uint8_t *p, size_t n)
{
    return !n || (!p[0] && !memcmp(p, p + 1, n - 1));
}

static void write_same(ScsiDisk *s, ScsiReq *r)
{
    uint64_t lba = scsi_cdb_lba(r->cdb), n = scsi_cdb_count(r->cdb);
    uint32_t block = (uint32_t)s->d.conf.logical;
    bool unmap = r->cdb[1] & 8, none = r->cdb[1] & 1;
    uint8_t *b;

    if (!may_write(s, r)) {
        return;
    }
    /* Anchors, logical addresses in the data: not there; nothing to write. */
    if (r->cdb[1] & 0x16 || !n) {
        scsi_check(r, SENSE_BAD_FIELD);
        return;
    }
    if (!in_range(s, lba, n)) {
        scsi_check(r, SENSE_LBA_RANGE);
        return;
    }
    if (n * block > s->max_io) {
        scsi_check(r, SENSE_BAD_FIELD);
        return;
    }
    b = scsi_room(r, STEP > block ? STEP : block);
    if (r->xfer && scsi_fetch(r, b, block) < block) {
        scsi_check(r, SENSE_BAD_LENGTH);
        return;
    }
    /* What is not zero is written, though it might be unmapped. */
    if (none || all_zero(b, block)) {
        r->req.op = BLK_ZERO;
        r->req.flags = unmap ? BLKF_MAY_UNMAP : 0;
        r->req.off = lba * block;
        r->req.len = n * block;
        r->req.niov = 0;
        scsi_io(r, moved);
        return;
    }
    for (uint32_t at = block; at + block <= STEP; at += block) {
        memcpy(b + at, b, block);
    }
    r->pos = lba * block;
    r->left = n * block;
    same_step(r);
}

static void unmap_step(ScsiReq *r)
{
    const ScsiDisk *s = (const ScsiDisk *)r->dev;
    uint64_t block = s->d.conf.logical;
    const uint8_t *p = r->buf + 8 + r->pos;

    while (r->left) {
        uint64_t lba = ld_be64(p), n = ld_be32(p + 8);

        r->pos += 16;
        r->left--;
        p += 16;
        if (!in_range(s, lba, n)) {
            scsi_check(r, SENSE_LBA_RANGE);
            return;
        }
        if (n) {
            r->req.op = BLK_DISCARD;
            r->req.flags = 0;
            r->req.off = lba * block;
            r->req.len = n * block;
            r->req.niov = 0;
            scsi_io(r, unmap_step);
            return;
        }
    }
    moved(r);
}

static void unmap(ScsiDisk *s, ScsiReq *r)
{
    uint32_t most = 8 + 16 * UNMAP_MAX, n;
    uint8_t *b;

    if (!r->xfer) {
        scsi_good(r);
        return;
    }
    if (r->cdb[1] & 1) {               /* anchor                              */
        scsi_check(r, SENSE_BAD_FIELD);
        return;
    }
    b = scsi_room(r, most);
    n = scsi_fetch(r, b, most);
    if (n < 8 || r->xfer < ld_be16(b) + 2u || n < ld_be16(b + 2) + 8u ||
        ld_be16(b + 2) & 15) {
        scsi_check(r, SENSE_BAD_LENGTH);
        return;
    }
    if (!may_write(s, r)) {
        return;
    }
    r->pos = 0;
    r->left = ld_be16(b + 2) / 16;
    unmap_step(r);
}

/* ---- the tray ------------------------------------------------------------- */

static MACHINE_CALL void tell_tray(ScsiReq *r)
{
    blk_tray_moved(r->dev->conf.blk, r->step);
}

static void tray(ScsiDisk *s, ScsiReq *r)
{
    bool start = r->cdb[4] & 1, load_eject = r->cdb[4] & 2;

    if (r->cdb[4] >> 4 || !load_eject || !(s->cd || s->removable)) {
        scsi_good(r);                  /* power conditions; motors            */
        return;
    }
    if (!start && s->locked && !s->tray_open) {
        scsi_check(r, blk_has_medium(s->d.conf.blk) ? SENSE_NO_REMOVAL
                   : SENSE(2, 0x53, 2));
        return;
    }
    if (s->tray_open == !start) {
        scsi_good(r);
        return;
    }
    s->tray_open = !start;
    r->step = !start;
    scsi_in_main(r, tell_tray);
}

/* ---- dispatch ------------------------------------------------------------- */

static bool needs_medium(uint8_t op)
{
    static const uint8_t list[] = {
        0x00, 0x08, 0x0a, 0x28, 0x2a, 0x2b, 0x2e, 0x2f, 0x41, 0x42,
        0x88, 0x8a, 0x8e, 0x8f, 0x93, 0xa8, 0xaa, 0xae, 0xaf, 0x35,
    };

    return memchr(list, op, sizeof(list)) != NULL;
}

static bool disk_plain(ScsiDisk *s, ScsiReq *r)
{
    switch (r->cdb[0]) {
    case 0x00: case 0x04: case 0x16: case 0x17: case 0x56: case 0x57:
        scsi_good(r);
        return true;
    case 0x2b:                         /* SEEK                                */
        if (in_range(s, scsi_cdb_lba(r->cdb), 1)) {
            scsi_good(r);
        } else {
            scsi_check(r, SENSE_LBA_RANGE);
        }
        return true;
    case 0x1b:
        tray(s, r);
        return true;
    case 0x1e:
        s->locked = r->cdb[4] & 1;
        scsi_good(r);
        return true;
    default:
        return false;
    }
}

bool disk_medium(ScsiDisk *s, ScsiReq *r)
{
    uint8_t op = r->cdb[0];

    if (UNLIKELY(!disk_ready(s)) && needs_medium(op)) {
        scsi_check(r, SENSE_NO_MEDIUM);
        return true;
    }
    switch (op) {
    case 0x08: case 0x28: case 0x88: case 0xa8:
        read_write(s, r, false);
        return true;
    case 0x0a: case 0x2a: case 0x8a: case 0xaa:
    case 0x2e: case 0x8e: case 0xae:   /* WRITE AND VERIFY                    */
        read_write(s, r, true);
        return true;
    case 0x35:
        flush_then(r, scsi_good);
        return true;
    case 0x2f: case 0x8f: case 0xaf:
        verify(s, r);
        return true;
    case 0x41: case 0x93:
        write_same(s, r);
        return true;
    case 0x42:
        if (s->cd) {
            return false;
        }
        unmap(s, r);
        return true;
    default:
        return disk_plain(s, r);
    }
}
