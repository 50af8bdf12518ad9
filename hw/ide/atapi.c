/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * atapi.c - packets of CD-ROM drives: how their data travels, reading (ATA/
 * ATAPI-7, T13 1532D volume 2, section 9.8; MMC-6, sections 6 and 4.1).
 *
 * Thread class: MACHINE_CALL; completions run in the main loop.
 *
 * Invariants
 * 1. A PIO block is at most the byte count that the guest gave, and never odd but
 *    at the end of the data.
 * 2. Disc blocks that travel by PIO are one stream, cut by the byte count alone:
 *    buf[reply_pos, reply_len) has been read and not been offered.
 */
#include "hw/ide/ide.h"

enum { SENSE_NOT_READY = 2, SENSE_ILLEGAL = 5, SENSE_ATTENTION = 6 };
enum { ASC_INVALID_OP = 0x20, ASC_LBA_RANGE = 0x21, ASC_INVALID_FIELD = 0x24,
       ASC_MEDIUM_CHANGED = 0x28, ASC_NO_MEDIUM = 0x3a };

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
    bool dma = d->job == JOB_DISC_DMA || d->job == JOB_REPLY_DMA ||
               d->job == JOB_DISC_RAW;

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
    d->limit = (uint16_t)(d->lcyl | d->hcyl << 8);
    d->count = IR_CD;
    d->status = ST_READY | ST_SEEK;
    ide_pio(d, 12, END_PACKET);
}

/* The guest wants no bytes at a time, and this would be some. */
static MACHINE_CALL bool no_room(IdeDrive *d)
{
    if (d->packet_dma || d->limit) {
        return false;
    }
    ide_abort(d);
    ide_irq(d);
    return true;
}

/* Bytes of a PIO block, at most. */
static uint32_t block_most(const IdeDrive *d)
{
    return d->limit == 0 || d->limit == 0xffff ? 0xfffe : d->limit;
}

/* Offers the next piece of what is in buf as one PIO block. */
static MACHINE_CALL void offer(IdeDrive *d, IdeEnd end)
{
    uint32_t most = block_most(d), n = d->reply_len - d->reply_pos;

    if (n > most) {
        n = most > 1 ? most & ~1u : 1;
        d->limit = (uint16_t)n;
    }
    d->lcyl = n;
    d->hcyl = n >> 8;
    d->count = (d->count & ~7) | IR_IO;
    d->status = ST_READY | ST_SEEK;
    d->after = end;
    d->pos = d->reply_pos;
    d->end = d->reply_pos += n;
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
    d->reply_pos = 0;
    d->reply_len = len;
    if (d->packet_dma) {
        d->job = JOB_REPLY_DMA;
        d->status = ST_READY | ST_SEEK | ST_DRQ;
        ide_dma_begin(d);
        return;
    }
    offer(d, END_REPLY);
}

/* ---- the disc ------------------------------------------------------------ */

/* More of the disc behind what is left of buf. */
static MACHINE_CALL void disc_ask(IdeDrive *d)
{
    uint32_t keep = d->reply_len - d->reply_pos;

    memmove(d->buf, d->buf + d->reply_pos, keep);
    d->reply_pos = 0;
    d->reply_len = keep;
    d->now = MIN2(d->left, (IDE_BUF - keep) / d->block);
    d->iov[0] = (struct iovec){ d->buf + keep, d->now * 2048u };
    d->niov = 1;
    ide_submit(d, BLK_READ, d->lba * 2048, d->now * 2048ull);
}

/* Raw sectors: sync, address and mode around the data, no error codes. */
static void make_raw(IdeDrive *d, uint8_t *first)
{
    for (uint32_t i = d->now; i-- > 0;) {
        uint8_t *to = first + i * 2352u;
        uint64_t f = d->lba + i + 150;

        memmove(to + 16, first + i * 2048u, 2048);
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
    uint32_t have = d->reply_len - d->reply_pos;

    if (end == END_DISC && d->left && have < block_most(d)) {
        disc_ask(d);
    } else if (have) {
        offer(d, end);
    } else {
        atapi_ok(d);
    }
}

/* All of buf's data to the guest's memory; false: there is no room for it. */
static MACHINE_CALL bool give(IdeDrive *d)
{
    while (d->reply_pos < d->reply_len) {
        uint64_t got = ide_gather(d, d->reply_len - d->reply_pos, true);

        for (unsigned i = 0; i < d->niov; i++) {
            uint32_t n = (uint32_t)MIN2(d->iov[i].iov_len,
                                        d->reply_len - d->reply_pos);

            memcpy(d->iov[i].iov_base, d->buf + d->reply_pos, n);
            d->reply_pos += n;
        }
        ide_release(d, true, got);
        if (!got) {
            return false;
        }
    }
    return true;
}

void atapi_dma_round(IdeDrive *d)
{
    IdeBus *b = ide_bus(d);
    uint64_t want, got;

    b->dma->save(b->dma_opaque);
    if (d->job == JOB_REPLY_DMA) {
        give(d);
        d->count = (d->count & ~7) | IR_IO | IR_CD;
        ide_dma_end(d, true);
        return;
    }
    if (d->job == JOB_DISC_RAW) {
        disc_ask(d);
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

static MACHINE_CALL void disc_failed(IdeDrive *d, int ret)
{
    if (blk_error_action(d->conf.blk, true, -ret) == BLKA_STOP) {
        d->retry = true;
        d->status |= ST_BUSY;
        return;
    }
    atapi_error(d, ret == -ENOMEDIUM ? SENSE_NOT_READY : SENSE_ILLEGAL,
                ret == -ENOMEDIUM ? ASC_NO_MEDIUM : ASC_LBA_RANGE);
}

void atapi_disc_done(IdeDrive *d, int ret)
{
    if (ret < 0) {
        disc_failed(d, ret);
        return;
    }
    if (d->job != JOB_DISC_DMA) {
        if (d->block == 2352) {
            make_raw(d, d->buf + d->reply_len);
        }
        d->reply_len += d->now * d->block;
    }
    d->lba += d->now;
    d->left -= d->now;
    if (d->job == JOB_DISC_PIO) {
        atapi_next(d, END_DISC);
        return;
    }
    if (d->job == JOB_DISC_RAW && !give(d)) {
        ide_dma_end(d, false);
    } else if (d->left) {
        atapi_dma_round(d);
    } else {
        d->count = (d->count & ~7) | IR_IO | IR_CD;
        ide_dma_end(d, true);
    }
}

static MACHINE_CALL bool disc_has(IdeDrive *d, uint32_t lba, uint32_t n)
{
    uint64_t all = atapi_blocks(d);

    if (lba < all && n <= all - lba) {
        return true;
    }
    atapi_error(d, SENSE_ILLEGAL, ASC_LBA_RANGE);
    return false;
}

static MACHINE_CALL void disc_read(IdeDrive *d, uint32_t lba, uint32_t n,
                                   uint32_t block)
{
    if (!n) {
        atapi_ok(d);
        return;
    }
    if (!disc_has(d, lba, n)) {
        return;
    }
    d->lba = lba;
    d->left = n;
    d->block = block;
    d->reply_pos = d->reply_len = 0;
    if (d->packet_dma) {
        d->job = block == 2048 ? JOB_DISC_DMA : JOB_DISC_RAW;
        d->status = ST_READY | ST_SEEK | ST_DRQ;
        ide_dma_begin(d);
        return;
    }
    d->job = JOB_DISC_PIO;
    disc_ask(d);
}

static MACHINE_CALL void read_cd(IdeDrive *d)
{
    const uint8_t *p = d->packet;
    uint32_t n = (uint32_t)p[6] << 16 | (uint32_t)p[7] << 8 | p[8];
    uint8_t fields = p[9] & 0xf8;

    if (!n) {
        atapi_ok(d);
    } else if (!disc_has(d, ld_be32(p + 2), n)) {
        return;
    } else if (!fields) {
        atapi_ok(d);
    } else if (fields != 0x10 && fields != 0xf8) {
        atapi_error(d, SENSE_ILLEGAL, ASC_INVALID_FIELD);
    } else if (!no_room(d)) {
        disc_read(d, ld_be32(p + 2), n, fields == 0x10 ? 2048 : 2352);
    }
}

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

/* Those that give data (and READ CD, which looks itself whether it does). */
static bool gives_data(uint8_t op)
{
    static const uint8_t ops[] = { 0x03, 0x12, 0x25, 0x28, 0x43, 0x46, 0x4a,
                                   0x51, 0x5a, 0xa8, 0xad, 0xbd };

    return memchr(ops, op, sizeof(ops));
}

/* What stands in the way of a command; it has been told. */
static MACHINE_CALL bool refused(IdeDrive *d, uint8_t op)
{
    bool present = !d->tray_open && blk_has_medium(d->conf.blk);

    /* A change that was told of is there until its sense is asked for. */
    if (d->sense == SENSE_ATTENTION && !always(op)) {
        d->error = SENSE_ATTENTION << 4;
        d->status = ST_ERR;
        d->count = 0;
        ide_irq(d);
        return true;
    }
    if (d->changed && present && !always(op)) {
        bool absent = d->changed == CD_CHANGED;

        d->changed = absent ? CD_TOLD_ABSENT : CD_SAME;
        atapi_error(d, absent ? SENSE_NOT_READY : SENSE_ATTENTION,
                    absent ? ASC_NO_MEDIUM : ASC_MEDIUM_CHANGED);
        return true;
    }
    if (needs_medium(op) && !present) {
        atapi_error(d, SENSE_NOT_READY, ASC_NO_MEDIUM);
        return true;
    }
    return gives_data(op) && no_room(d);
}

void atapi_run(IdeDrive *d)
{
    const uint8_t *p = d->packet;

    if (refused(d, p[0])) {
        return;
    }
    switch (p[0]) {
    case 0x00:                         /* TEST UNIT READY                     */
    case 0xbb:                         /* SET CD SPEED                        */
        atapi_ok(d);
        break;
    case 0x1b:
        atapi_start_stop(d);
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
