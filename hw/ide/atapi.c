/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * atapi.c - packets of CD-ROM drives: how their data travels, reading, the tray
 * (ATA/ATAPI-7, T13 1532D volume 2, section 9.8; MMC-6, sections 6 and 4.1).
 *
 * Thread class: MACHINE_CALL; completions run in the main loop.
 *
 * Invariants
 * 1. A PIO block is at most the byte count that the guest gave, and never odd but
 *    at the end of the data.
 * 2. Disc blocks are read through buf, at most IDE_BUF bytes at a time.
 */
#include "hw/ide/ide.h"

enum { SENSE_NOT_READY = 2, SENSE_ILLEGAL = 5, SENSE_ATTENTION = 6 };
enum { ASC_INVALID_OP = 0x20, ASC_LBA_RANGE = 0x21, ASC_INVALID_FIELD = 0x24,
       ASC_MEDIUM_CHANGED = 0x28, ASC_NO_MEDIUM = 0x3a,
       ASC_REMOVAL_PREVENTED = 0x53, ASC_READ_ERROR = 0x11 };

uint64_t atapi_blocks(const IdeDrive *d)
{
    int64_t n = blk_has_medium(d->conf.blk) && !d->tray_open
        ? blk_length(d->conf.blk) : 0;

    return n > 0 ? (uint64_t)n / 2048 : 0;
}

void atapi_ok(IdeDrive *d)
{
    d->error = 0;
    d->status = ST_READY | ST_SEEK;
    d->count = (d->count & ~7) | IR_IO | IR_CD;
    d->job = JOB_NONE;
    ide_irq(d);
}

void atapi_error(IdeDrive *d, uint8_t sense, uint8_t asc)
{
    bool dma = d->job == JOB_DISC_DMA || d->job == JOB_REPLY_DMA;

    d->error = sense << 4;
    d->status = ST_READY | ST_ERR;
    d->count = (d->count & ~7) | IR_IO | IR_CD;
    d->sense = sense;
    d->asc = asc;
    d->job = JOB_NONE;
    d->pos = d->end = 0;
    if (dma) {
        ide_bus(d)->dma->finished(ide_bus(d)->dma_opaque, false);
    }
    ide_irq(d);
}

/* ---- packets ------------------------------------------------------------- */

void ide_packet(IdeDrive *d)
{
    d->packet_dma = d->feature & 1;
    if (d->packet_dma && !ide_bus(d)->dma) {
        ide_abort(d);
        ide_irq(d);
        return;
    }
    d->count = IR_CD;
    d->status = ST_READY | ST_SEEK;
    ide_pio(d, 12, END_PACKET);
}

/* Offers the next piece of buf[pos, end of data) as one PIO block. */
static MACHINE_CALL void offer(IdeDrive *d, uint32_t from, uint32_t to,
                               IdeEnd end)
{
    uint32_t most = (uint32_t)(d->lcyl | d->hcyl << 8), n = to - from;

    most = most == 0 || most == 0xffff ? 0xfffe : most;
    if (n > most) {
        n = most & ~1u ? most & ~1u : most;
    }
    d->lcyl = n;
    d->hcyl = n >> 8;
    d->count = (d->count & ~7) | IR_IO;
    d->status = ST_READY | ST_SEEK;
    d->after = end;
    d->pos = from;
    d->end = from + n;
    d->reply_pos = from + n;
    d->reply_len = to;
    d->status |= ST_DRQ;
    ide_irq(d);
}

void atapi_reply(IdeDrive *d, uint32_t len, uint32_t max)
{
    len = MIN2(len, max);
    if (!len) {
        atapi_ok(d);
        return;
    }
    if (d->packet_dma) {
        d->job = JOB_REPLY_DMA;
        d->reply_pos = 0;
        d->reply_len = len;
        d->status = ST_READY | ST_SEEK | ST_DRQ;
        ide_dma_begin(d);
        return;
    }
    offer(d, 0, len, END_REPLY);
}

/* ---- the disc ------------------------------------------------------------ */

static MACHINE_CALL void disc_ask(IdeDrive *d)
{
    uint32_t most = IDE_BUF / (d->block == 2352 ? 2352 : 2048);

    d->now = MIN2(d->left, most);
    d->iov[0] = (struct iovec){ d->buf, d->now * 2048u };
    d->niov = 1;
    ide_submit(d, BLK_READ, d->lba * 2048, d->now * 2048ull);
}

/* Raw sectors: sync, address and mode around the data, no error codes. */
static void make_raw(IdeDrive *d)
{
    for (uint32_t i = d->now; i-- > 0;) {
        uint8_t *to = d->buf + i * 2352u;
        uint64_t f = d->lba + i + 150;

        memmove(to + 16, d->buf + i * 2048u, 2048);
        memset(to, 0xff, 12);
        to[0] = to[11] = 0;
        to[12] = (uint8_t)(f / 75 / 60 % 100 / 10 << 4 | f / 75 / 60 % 10);
        to[13] = (uint8_t)(f / 75 % 60 / 10 << 4 | f / 75 % 60 % 10);
        to[14] = (uint8_t)(f % 75 / 10 << 4 | f % 75 % 10);
        to[15] = 1;
        memset(to + 2064, 0, 288);
    }
}

void atapi_next(IdeDrive *d, IdeEnd end)
{
    if (d->reply_pos < d->reply_len) {
        offer(d, d->reply_pos, d->reply_len, end);
    } else if (end == END_DISC && d->left) {
        disc_ask(d);
    } else {
        atapi_ok(d);
    }
}

void atapi_dma_round(IdeDrive *d)
{
    IdeBus *b = ide_bus(d);
    uint64_t want, got;

    b->dma->save(b->dma_opaque);
    if (d->job == JOB_REPLY_DMA) {
        uint32_t at = 0;

        got = ide_gather(d, d->reply_len, true);
        for (unsigned i = 0; i < d->niov; i++) {
            uint32_t n = (uint32_t)MIN2(d->iov[i].iov_len, d->reply_len - at);

            memcpy(d->iov[i].iov_base, d->buf + at, n);
            at += n;
        }
        ide_release(d, true, got);
        d->count = (d->count & ~7) | IR_IO | IR_CD;
        ide_dma_end(d, true);
        return;
    }
    want = MIN2(d->left * 2048ull, IDE_ROUND);
    got = ide_whole(d, ide_gather(d, want, true), 2048);
    if (!got) {
        ide_release(d, true, 0);
        ide_dma_end(d, false);
        return;
    }
    d->now = (uint32_t)(got / 2048);
    ide_submit(d, BLK_READ, d->lba * 2048, got);
}

void atapi_disc_done(IdeDrive *d, int ret)
{
    if (ret < 0) {
        if (blk_error_action(d->conf.blk, true, -ret) == BLKA_STOP) {
            d->retry = true;
            d->status |= ST_BUSY;
            return;
        }
        atapi_error(d, ret == -ENOMEDIUM ? SENSE_NOT_READY : SENSE_ILLEGAL,
                    ret == -ENOMEDIUM ? ASC_NO_MEDIUM : ASC_LBA_RANGE);
        return;
    }
    if (d->job == JOB_DISC_PIO) {
        if (d->block == 2352) {
            make_raw(d);
        }
        d->lba += d->now;
        d->left -= d->now;
        offer(d, 0, d->now * d->block, END_DISC);
        return;
    }
    d->lba += d->now;
    d->left -= d->now;
    if (d->left) {
        atapi_dma_round(d);
        return;
    }
    d->count = (d->count & ~7) | IR_IO | IR_CD;
    ide_dma_end(d, true);
}

static MACHINE_CALL void disc_read(IdeDrive *d, uint32_t lba, uint32_t n,
                                   uint32_t block)
{
    uint64_t all = atapi_blocks(d);

    if (!n) {
        atapi_ok(d);
        return;
    }
    if (lba >= all || n > all - lba) {
        atapi_error(d, SENSE_ILLEGAL, ASC_LBA_RANGE);
        return;
    }
    d->lba = lba;
    d->left = n;
    d->block = block;
    if (d->packet_dma && block == 2048) {
        d->job = JOB_DISC_DMA;
        d->status = ST_READY | ST_SEEK | ST_DRQ;
        ide_dma_begin(d);
        return;
    }
    if (d->packet_dma) {
        atapi_error(d, SENSE_ILLEGAL, ASC_INVALID_FIELD);
        return;
    }
    d->job = JOB_DISC_PIO;
    disc_ask(d);
}

static MACHINE_CALL void read_cd(IdeDrive *d)
{
    const uint8_t *p = d->packet;
    uint32_t n = (uint32_t)p[6] << 16 | (uint32_t)p[7] << 8 | p[8];

    if (!n) {
        atapi_ok(d);
        return;
    }
    if (ld_be32(p + 2) >= atapi_blocks(d)) {
        atapi_error(d, SENSE_ILLEGAL, ASC_LBA_RANGE);
        return;
    }
    switch (p[9] & 0xf8) {
    case 0x00:
        atapi_ok(d);
        break;
    case 0x10:
        disc_read(d, ld_be32(p + 2), n, 2048);
        break;
    case 0xf8:
        disc_read(d, ld_be32(p + 2), n, 2352);
        break;
    default:
        atapi_error(d, SENSE_ILLEGAL, ASC_INVALID_FIELD);
        break;
    }
}

/* ---- the tray ------------------------------------------------------------ */

static MACHINE_CALL void start_stop(IdeDrive *d)
{
    bool start = d->packet[4] & 1, load_eject = d->packet[4] & 2;

    if (d->packet[4] >> 4) {           /* power conditions                    */
        atapi_ok(d);
        return;
    }
    if (load_eject && !start && d->tray_locked) {
        atapi_error(d, blk_has_medium(d->conf.blk) ? SENSE_ILLEGAL
                    : SENSE_NOT_READY, ASC_REMOVAL_PREVENTED);
        return;
    }
    if (load_eject && d->tray_open == start) {
        d->tray_open = !start;
        blk_tray_moved(d->conf.blk, d->tray_open);
        if (start && blk_has_medium(d->conf.blk)) {
            d->attention = d->event_new = true;
        }
    }
    atapi_ok(d);
}

static void cd_change(void *dev, bool load)
{
    IdeDrive *d = dev;
    int64_t n = load ? blk_length(d->conf.blk) : 0;

    d->sectors = n > 0 ? (uint64_t)n / 512 : 0;
    d->changed = true;
    d->tray_open = !load;
    d->event_new = load;
    d->event_eject = !load;
    d->attention = load;
}

static bool cd_eject_request(void *dev, bool force)
{
    IdeDrive *d = dev;

    d->event_eject = true;
    if (force) {
        d->tray_locked = false;
    }
    return true;
}

static bool cd_tray_open(void *dev)
{
    return ((IdeDrive *)dev)->tray_open;
}

static bool cd_locked(void *dev)
{
    return ((IdeDrive *)dev)->tray_locked;
}

const BlkDevOps ide_cd_ops = {
    .change_media = cd_change, .eject_request = cd_eject_request,
    .tray_open = cd_tray_open, .locked = cd_locked, .removable = true,
};

/* ---- dispatch ------------------------------------------------------------ */

/* Commands that work whatever has happened to the medium. */
static bool always(uint8_t op)
{
    return op == 0x03 || op == 0x12 || op == 0x46 || op == 0x4a;
}

static bool needs_medium(uint8_t op)
{
    return op == 0x00 || op == 0x25 || op == 0x28 || op == 0xa8 ||
           op == 0xbe || op == 0x2b || op == 0x43 || op == 0x51 || op == 0xad;
}

void atapi_run(IdeDrive *d)
{
    const uint8_t *p = d->packet;

    if (d->attention && !always(p[0])) {
        d->attention = false;
        atapi_error(d, SENSE_ATTENTION, ASC_MEDIUM_CHANGED);
        return;
    }
    if (needs_medium(p[0]) &&
        (d->tray_open || !blk_has_medium(d->conf.blk))) {
        atapi_error(d, SENSE_NOT_READY, ASC_NO_MEDIUM);
        return;
    }
    switch (p[0]) {
    case 0x00:                         /* TEST UNIT READY                     */
    case 0xbb:                         /* SET CD SPEED                        */
        atapi_ok(d);
        break;
    case 0x1b:
        start_stop(d);
        break;
    case 0x1e:                         /* PREVENT REMOVAL                     */
        d->tray_locked = p[4] & 1;
        atapi_ok(d);
        break;
    case 0x28:
        disc_read(d, ld_be32(p + 2), ld_be16(p + 7), 2048);
        break;
    case 0xa8:
        disc_read(d, ld_be32(p + 2), ld_be32(p + 6), 2048);
        break;
    case 0xbe:
        read_cd(d);
        break;
    case 0x2b:                         /* SEEK                                */
        if (ld_be32(p + 2) < atapi_blocks(d)) {
            atapi_ok(d);
        } else {
            atapi_error(d, SENSE_ILLEGAL, ASC_LBA_RANGE);
        }
        break;
    default:
        if (!atapi_info(d)) {
            atapi_error(d, SENSE_ILLEGAL, ASC_INVALID_OP);
        }
        break;
    }
}
