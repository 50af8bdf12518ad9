/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ata-rw.c - sectors between the medium and the guest: PIO blocks, DMA rounds,
 * flushes, TRIM lists (ATA/ATAPI-7, T13 1532D volumes 1 and 2).
 *
 * Thread class: MACHINE_CALL; completions run in the main loop.
 *
 * Invariants
 * 1. A drive has at most one block request in flight, and is busy meanwhile.
 * 2. A DMA round covers whole sectors and at most IDE_ROUND bytes; its guest
 *    memory is mapped from gather to release.
 * 3. lba and left describe what is still to do, so that a round that failed can
 *    be done again.
 */
#include <glib.h>
#include "hw/ide/ide.h"

static void job_done(BlkReq *req);

static bool to_memory(const IdeDrive *d)
{
    return d->job == JOB_DMA_READ || d->job == JOB_DISC_DMA;
}

/* ---- guest memory of a round --------------------------------------------- */

static MACHINE_CALL bool map_segment(IdeDrive *d, uint64_t addr, uint64_t len,
                                     bool to_mem)
{
    IdeBus *b = ide_bus(d);
    MemSpace *as = b->dma->space(b->dma_opaque);

    while (len) {
        uint64_t part = len;
        void *p = d->niov < IDE_SEGMENTS
            ? mem_map_ram(as, addr, &part, to_mem) : NULL;

        if (!p || !part) {
            return false;
        }
        d->iov[d->niov++] = (struct iovec){ p, part };
        addr += part;
        len -= part;
    }
    return true;
}

uint64_t ide_gather(IdeDrive *d, uint64_t want, bool to_mem)
{
    IdeBus *b = ide_bus(d);
    uint64_t got = 0, addr, len;

    d->niov = 0;
    while (got < want && d->niov + 2 < IDE_SEGMENTS &&
           b->dma->next(b->dma_opaque, want - got, &addr, &len)) {
        if (!map_segment(d, addr, len, to_mem)) {
            guest_fault("ide", "DMA to %#" PRIx64 ", where no RAM is", addr);
            ide_release(d, to_mem, 0);
            return 0;
        }
        got += len;
    }
    return got;
}

void ide_release(IdeDrive *d, bool to_mem, uint64_t used)
{
    IdeBus *b = ide_bus(d);
    MemSpace *as = b->dma->space(b->dma_opaque);

    for (unsigned i = 0; i < d->niov; i++) {
        uint64_t n = MIN2(used, d->iov[i].iov_len);

        mem_unmap_ram(as, d->iov[i].iov_base, d->iov[i].iov_len, to_mem, n);
        used -= n;
    }
    d->niov = 0;
}

/* Leaves a part of a sector at the table's end out. */
uint64_t ide_whole(IdeDrive *d, uint64_t got, uint32_t unit)
{
    uint64_t extra = got % unit;

    got -= extra;
    while (extra && d->niov) {
        struct iovec *v = &d->iov[d->niov - 1];
        uint64_t n = MIN2(extra, v->iov_len);

        v->iov_len -= n;
        extra -= n;
        if (!v->iov_len) {
            IdeBus *b = ide_bus(d);

            mem_unmap_ram(b->dma->space(b->dma_opaque), v->iov_base, n, false,
                          0);
            d->niov--;
        }
    }
    return got;
}

/* ---- requests ------------------------------------------------------------ */

void ide_submit(IdeDrive *d, BlkOp op, uint64_t off, uint64_t len)
{
    d->in_flight = true;
    d->status |= ST_BUSY;
    d->req = (BlkReq){ .op = op, .off = off, .len = len, .iov = d->iov,
                       .niov = d->niov, .done = job_done };
    blk_submit(d->conf.blk, &d->req);
}

/* The registers show where the transfer has come to. */
static void show_address(IdeDrive *d)
{
    uint64_t a = d->lba;

    if (d->lba48) {
        d->sector = a;
        d->lcyl = a >> 8;
        d->hcyl = a >> 16;
        d->hob_sector = a >> 24;
        d->hob_lcyl = a >> 32;
        d->hob_hcyl = a >> 40;
    } else if (d->select & 0x40) {
        d->select = (d->select & 0xf0) | (a >> 24 & 15);
        d->hcyl = a >> 16;
        d->lcyl = a >> 8;
        d->sector = a;
    } else {
        uint64_t cyl = a / (d->heads * d->secs), r = a % (d->heads * d->secs);

        d->hcyl = cyl >> 8;
        d->lcyl = cyl;
        d->select = (d->select & 0xf0) | (r / d->secs & 15);
        d->sector = r % d->secs + 1;
    }
    d->count = d->left;
}

static MACHINE_CALL void fail(IdeDrive *d)
{
    bool dma = d->job == JOB_DMA_READ || d->job == JOB_DMA_WRITE ||
               d->job == JOB_TRIM || d->job == JOB_DISC_DMA;

    ide_abort(d);
    if (dma) {
        ide_bus(d)->dma->finished(ide_bus(d)->dma_opaque, false);
    }
    ide_irq(d);
}

/* What the user wants done about an error; true: nothing more here. */
static MACHINE_CALL bool handle_error(IdeDrive *d, int ret)
{
    bool read = d->req.op == BLK_READ;

    switch (blk_error_action(d->conf.blk, read, -ret)) {
    case BLKA_IGNORE:
        return false;
    case BLKA_STOP:
        d->retry = true;
        return true;
    default:
        fail(d);
        return true;
    }
}

/* ---- PIO ----------------------------------------------------------------- */

static MACHINE_CALL void pio_ask(IdeDrive *d)
{
    uint32_t most = d->now;

    if (d->lba >= d->sectors || MIN2(most, d->left) > d->sectors - d->lba) {
        ide_abort(d);
        ide_irq(d);
        return;
    }
    d->now = MIN2(most, d->left);
    d->iov[0] = (struct iovec){ d->buf, d->now * 512u };
    d->niov = 1;
    ide_submit(d, d->job == JOB_PIO_READ ? BLK_READ : BLK_WRITE, d->lba * 512,
               d->now * 512ull);
    d->now = most;
}

static MACHINE_CALL void pio_done(IdeDrive *d)
{
    uint32_t n = (uint32_t)(d->req.len / 512);

    d->lba += n;
    d->left -= n;
    show_address(d);
    d->status = ST_READY | ST_SEEK;
    if (d->job == JOB_PIO_READ) {
        ide_pio(d, n * 512, END_READ);
    } else if (d->left) {
        ide_pio(d, MIN2(d->now, d->left) * 512, END_WRITE);
    } else {
        d->job = JOB_NONE;
    }
    ide_irq(d);
}

void ide_rw_next(IdeDrive *d, IdeEnd end)
{
    if (end == END_READ && !d->left) {
        d->job = JOB_NONE;
        d->status = ST_READY | ST_SEEK;
        return;
    }
    d->status = ST_READY | ST_SEEK | ST_BUSY;
    pio_ask(d);
}

/* ---- DMA ----------------------------------------------------------------- */

/* Anything left in the table? */
static MACHINE_CALL bool table_left(IdeDrive *d)
{
    IdeBus *b = ide_bus(d);
    uint64_t addr, len;
    bool more;

    b->dma->save(b->dma_opaque);
    more = b->dma->next(b->dma_opaque, 1, &addr, &len);
    b->dma->restore(b->dma_opaque);
    return more;
}

void ide_dma_end(IdeDrive *d, bool irq)
{
    IdeBus *b = ide_bus(d);

    d->job = JOB_NONE;
    d->status = ST_READY | ST_SEEK;
    b->dma->finished(b->dma_opaque, irq && table_left(d));
    if (irq) {
        ide_irq(d);
    }
}

static MACHINE_CALL void trim_round(IdeDrive *d);

void ide_dma_round(IdeDrive *d)
{
    IdeBus *b = ide_bus(d);
    bool to_mem = to_memory(d);
    uint64_t want = MIN2((uint64_t)d->left * 512, IDE_ROUND), got;

    if (d->job == JOB_DISC_DMA || d->job == JOB_REPLY_DMA ||
        d->job == JOB_DISC_RAW) {
        atapi_dma_round(d);
        return;
    }
    if (d->job == JOB_TRIM) {
        trim_round(d);
        return;
    }
    b->dma->save(b->dma_opaque);
    got = ide_whole(d, ide_gather(d, want, to_mem), 512);
    if (!got) {
        /* The table is too short: no interrupt tells of it. */
        ide_release(d, to_mem, 0);
        ide_dma_end(d, false);
        return;
    }
    ide_submit(d, to_mem ? BLK_READ : BLK_WRITE, d->lba * 512, got);
}

static MACHINE_CALL void dma_done(IdeDrive *d)
{
    uint32_t n = (uint32_t)(d->req.len / 512);

    d->lba += n;
    d->left -= n;
    if (d->left) {
        ide_dma_round(d);
        return;
    }
    show_address(d);
    ide_dma_end(d, true);
}

/* ---- TRIM ---------------------------------------------------------------- */

/* The list is copied into buf first: a sector of 64 ranges at a time. */
static MACHINE_CALL void trim_ranges(IdeDrive *d)
{
    while (d->pos + 8 <= d->end) {
        uint64_t e = ld_le64(d->buf + d->pos), lba = e & ((1ull << 48) - 1);
        uint32_t n = (uint32_t)(e >> 48);

        d->pos += 8;
        if (!n) {
            continue;
        }
        if (lba >= d->sectors || n > d->sectors - lba) {
            fail(d);
            return;
        }
        d->niov = 0;
        ide_submit(d, BLK_DISCARD, lba * 512, n * 512ull);
        return;
    }
    d->pos = d->end = 0;
    if (d->left) {
        trim_round(d);
    } else {
        ide_dma_end(d, true);
    }
}

static MACHINE_CALL void trim_round(IdeDrive *d)
{
    uint32_t at = 0;
    uint64_t got = ide_gather(d, 512, false);

    if (got < 512) {
        ide_release(d, false, 0);
        ide_dma_end(d, false);
        return;
    }
    for (unsigned i = 0; i < d->niov && at < 512; i++) {
        uint32_t n = (uint32_t)MIN2(d->iov[i].iov_len, 512 - at);

        memcpy(d->buf + at, d->iov[i].iov_base, n);
        at += n;
    }
    ide_release(d, false, 0);
    d->left--;
    d->pos = 0;
    d->end = 512;
    trim_ranges(d);
}

/* ---- start, completion, again -------------------------------------------- */

void ide_dma_begin(IdeDrive *d)
{
    if (ide_bus(d)->dma->running(ide_bus(d)->dma_opaque)) {
        ide_dma_round(d);
    } else {
        d->waiting_dma = true;
    }
}

void ide_rw_start(IdeDrive *d, IdeJob job, bool lba48, bool multiple)
{
    IdeBus *b = ide_bus(d);
    uint32_t n;

    d->lba48 = lba48;
    n = lba48 ? (uint32_t)(d->hob_count << 8 | d->count) : d->count;
    n = n ? n : lba48 ? 65536 : 256;
    d->lba = ide_address(d);
    d->left = n;
    d->job = job;
    d->now = multiple ? d->mult : 1;
    if (job == JOB_TRIM) {
        d->lba = 0;
    } else if ((multiple && !d->mult) || d->lba >= d->sectors ||
               (n > d->sectors - d->lba && job != JOB_PIO_READ &&
                job != JOB_PIO_WRITE) ||
               ((job == JOB_DMA_READ || job == JOB_DMA_WRITE) && !b->dma)) {
        d->job = JOB_NONE;
        ide_abort(d);
        ide_irq(d);
        return;
    }
    d->status = ST_READY | ST_SEEK;
    if (job == JOB_PIO_READ) {
        d->status |= ST_BUSY;
        pio_ask(d);
    } else if (job == JOB_PIO_WRITE) {
        ide_pio(d, MIN2(d->now, n) * 512, END_WRITE);
    } else {
        d->status |= ST_DRQ;
        ide_dma_begin(d);
    }
}

void ide_flush(IdeDrive *d)
{
    d->job = JOB_FLUSH;
    d->niov = 0;
    ide_submit(d, BLK_FLUSH, 0, 0);
}

void ide_job_again(IdeDrive *d)
{
    IdeBus *b = ide_bus(d);

    switch (d->job) {
    case JOB_PIO_READ:
    case JOB_PIO_WRITE:
        pio_ask(d);
        break;
    case JOB_DMA_READ:
    case JOB_DMA_WRITE:
    case JOB_DISC_DMA:
        b->dma->restore(b->dma_opaque);
        ide_dma_round(d);
        break;
    case JOB_TRIM:
        d->pos -= 8;
        trim_ranges(d);
        break;
    case JOB_FLUSH:
        ide_flush(d);
        break;
    case JOB_DISC_PIO:
        atapi_next(d, END_DISC);
        break;
    case JOB_DISC_RAW:
        atapi_dma_round(d);
        break;
    case JOB_ERASE:
        ide_security_erase(d);
        break;
    default:
        break;
    }
}

static void job_done(BlkReq *req)
{
    IdeDrive *d = container_of(req, IdeDrive, req);

    machine_assert_locked();
    d->in_flight = false;
    if (d->job == JOB_DMA_READ || d->job == JOB_DMA_WRITE ||
        d->job == JOB_DISC_DMA) {
        ide_release(d, to_memory(d), req->ret < 0 ? 0 : req->len);
    }
    if (d->cancelled) {
        return;
    }
    d->status &= ~ST_BUSY;
    if (d->job == JOB_DISC_PIO || d->job == JOB_DISC_DMA ||
        d->job == JOB_DISC_RAW) {
        atapi_disc_done(d, req->ret);
        return;
    }
    if (req->ret < 0 && handle_error(d, req->ret)) {
        d->status |= d->retry ? ST_BUSY : 0;
        return;
    }
    switch (d->job) {
    case JOB_PIO_READ:
    case JOB_PIO_WRITE:
        pio_done(d);
        break;
    case JOB_DMA_READ:
    case JOB_DMA_WRITE:
        dma_done(d);
        break;
    case JOB_TRIM:
        trim_ranges(d);
        break;
    case JOB_ERASE:
        ide_security_erased(d);
        break;
    default:
        d->job = JOB_NONE;
        d->status = ST_READY | ST_SEEK;
        ide_irq(d);
        break;
    }
}
