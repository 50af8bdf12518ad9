/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * req.c - commands: what a command block says of its data, the way to the block
 * layer and back, sense data (SAM-5, section 5; SPC-4, sections 4.3 and 4.5).
 *
 * Thread class: LOOP_CALL(bus->loop), but for the error policy: machine lock.
 *
 * Invariants
 * 1. A command is in its unit's `active` list from scsi_submit to scsi_finish.
 * 2. Only bytes within the owner's buffer and within xfer are moved.
 * 3. r->buf is at most SCSI_REPLY_MAX bytes, or a unit's own fixed size.
 */
#include <glib.h>
#include "hw/scsi/scsi-impl.h"
#include "ram.h"

/* ---- command blocks ------------------------------------------------------ */

uint64_t scsi_cdb_lba(const uint8_t *c)
{
    switch (c[0] >> 5) {
    case 0:
        return (uint32_t)(c[1] & 31) << 16 | ld_be16(c + 2);
    case 4:
        return ld_be64(c + 2);
    default:
        return ld_be32(c + 2);
    }
}

uint32_t scsi_cdb_count(const uint8_t *c)
{
    switch (c[0] >> 5) {
    case 0:
        return c[4];
    case 1: case 2:
        return ld_be16(c + 7);
    case 4:
        return ld_be32(c + 10);
    case 5:
        return ld_be32(c + 6);
    default:
        return 0;
    }
}

/* Those that move nothing, whatever stands where others have a length. */
static bool no_data(uint8_t op)
{
    static const uint8_t list[] = {
        0x00, 0x01, 0x0b, 0x10, 0x11, 0x13, 0x16, 0x17, 0x19, 0x1b, 0x1e,
        0x2b, 0x33, 0x34, 0x35, 0x36, 0x47, 0x45, 0x4b, 0x4e, 0x56, 0x57,
        0x91, 0x92, 0xa6, 0xb3, 0xb6, 0xb9, 0xbb, 0xc0,
    };

    return memchr(list, op, sizeof(list)) != NULL;
}

static bool to_device(uint8_t op)
{
    static const uint8_t list[] = {
        0x04, 0x07, 0x0a, 0x15, 0x18, 0x1d, 0x2a, 0x2e, 0x2f, 0x30, 0x31,
        0x32, 0x38, 0x39, 0x3a, 0x3b, 0x3d, 0x3f, 0x40, 0x41, 0x42, 0x4c,
        0x50, 0x54, 0x55, 0x5d, 0x5f, 0x83, 0x89, 0x8a, 0x8e, 0x8f, 0x93,
        0xa4, 0xaa, 0xae, 0xaf, 0xb0, 0xb1, 0xb2, 0xbf,
    };

    return memchr(list, op, sizeof(list)) != NULL;
}

static bool in_blocks(uint8_t op)
{
    static const uint8_t list[] = { 0x28, 0x2a, 0x2e, 0x88, 0x8a,
                                    0x8e, 0xa8, 0xaa, 0xae };

    return memchr(list, op, sizeof(list)) != NULL;
}

void scsi_parse(ScsiReq *r, uint32_t block)
{
    const uint8_t *c = r->cdb;
    uint64_t n = scsi_cdb_count(c);

    switch (c[0]) {
    case 0x08: case 0x0a:
        n = (n ? n : 256) * block;
        break;
    case 0x12:
        n = ld_be16(c + 3);
        break;
    case 0x25:
        n = 8;
        break;
    case 0x05:
        n = 6;
        break;
    case 0x2f: case 0x8f: case 0xaf:   /* VERIFY: against data, or alone      */
        n = !(c[1] & 6) ? 0 : (c[1] & 6) == 6 ? block : n * block;
        break;
    case 0x41: case 0x93:              /* WRITE SAME: one block, or none      */
        n = c[0] == 0x93 && c[1] & 1 ? 0 : block;
        break;
    case 0x04:
        n = c[1] & 0x10 ? 12 : 0;
        break;
    case 0xad: case 0xbd:
        n = ld_be16(c + 8);
        break;
    case 0xac:                         /* descriptors                         */
        n = ld_be16(c + 8) * 8u + 8u;
        break;
    default:
        n = no_data(c[0]) ? 0 : in_blocks(c[0]) ? n * block : n;
        break;
    }
    r->xfer = n;
    r->dir = !n ? SCSI_NONE : to_device(c[0]) ? SCSI_OUT : SCSI_IN;
}

void scsi_begin(ScsiBus *b, ScsiReq *r, unsigned target)
{
    r->bus = b;
    r->target = (uint16_t)target;
    r->dev = scsi_find(b, target, r->lun);
    r->at = NULL;
    r->kept = r->aborted = false;
    r->moved = 0;
    r->status = SCSI_GOOD;
    r->sense_len = 0;
    r->step = 0;
    r->iov = NULL;
    r->niov = 0;
    r->iov_len = 0;
    if (r->dev && scsi_type(r->dev)->parse) {
        scsi_type(r->dev)->parse(r->dev, r);
    } else {
        scsi_parse(r, r->dev ? (uint32_t)r->dev->conf.logical : 512);
    }
}

/* ---- answers ------------------------------------------------------------- */

void scsi_finish(ScsiReq *r, uint8_t status)
{
    if (r->at) {
        *r->at = r->next;
        if (r->next) {
            r->next->at = r->at;
        }
        r->at = NULL;
    }
    r->status = status;
    r->done(r);
}

void scsi_good(ScsiReq *r)
{
    scsi_finish(r, SCSI_GOOD);
}

unsigned scsi_fixed_sense(uint8_t *to, ScsiSense s)
{
    memset(to, 0, 18);
    to[0] = 0x70;
    to[2] = s.key;
    to[7] = 10;
    to[12] = s.asc;
    to[13] = s.ascq;
    return 18;
}

void scsi_check(ScsiReq *r, ScsiSense s)
{
    r->sense_len = (uint8_t)scsi_fixed_sense(r->sense, s);
    if (r->dev) {
        r->dev->sense = s;
    }
    scsi_finish(r, SCSI_CHECK);
}

void scsi_set_attention(ScsiDevice *d, ScsiSense s)
{
    /* A reset says more than what happened before or after it. */
    if (d->attention.asc != SENSE_RESET.asc || !d->attention.key) {
        d->attention = s;
    }
}

void scsi_attention_told(ScsiDevice *d)
{
    ScsiSense s = d->attention;

    d->attention = SENSE_NONE;
    if (s.key && scsi_type(d)->told) {
        scsi_type(d)->told(d, s);
    }
}

uint8_t *scsi_room(ScsiReq *r, uint32_t n)
{
    uint64_t want = MAX2(n, MIN2(r->xfer, 65536));

    if (r->buf_len < want) {
        g_free(r->buf);
        r->buf_len = (uint32_t)want;
        r->buf = g_malloc(r->buf_len);
    }
    memset(r->buf, 0, (size_t)want);
    return r->buf;
}

static uint64_t to_owner(ScsiReq *r, const uint8_t *from, uint64_t n)
{
    uint64_t at = 0;

    for (unsigned i = 0; i < r->niov && at < n; i++) {
        uint64_t part = MIN2(r->iov[i].iov_len, n - at);

        ram_copy_in(r->iov[i].iov_base, from + at, part);
        at += part;
    }
    return at;
}

void scsi_reply(ScsiReq *r, uint32_t n)
{
    uint64_t all = MIN2(r->xfer, MAX2(n, MIN2(r->xfer, 65536)));

    r->moved = to_owner(r, r->buf, MIN2(all, r->buf_len));
    scsi_good(r);
}

uint32_t scsi_fetch(ScsiReq *r, uint8_t *to, uint32_t n)
{
    uint32_t at = 0;

    n = (uint32_t)MIN2(n, r->xfer);
    for (unsigned i = 0; i < r->niov && at < n; i++) {
        uint32_t part = (uint32_t)MIN2(r->iov[i].iov_len, n - at);

        ram_copy_out(to + at, r->iov[i].iov_base, part);
        at += part;
    }
    r->moved = at;
    return at;
}

const struct iovec *scsi_data(ScsiReq *r, unsigned *niov)
{
    uint64_t left = r->xfer;
    unsigned n = 0;

    if (LIKELY(r->iov_len == r->xfer)) {
        *niov = r->niov;
        return r->iov;
    }
    g_free(r->cut);
    r->cut = g_new(struct iovec, MAX2(r->niov, 1));
    for (; n < r->niov && left; n++) {
        r->cut[n] = r->iov[n];
        r->cut[n].iov_len = MIN2(r->iov[n].iov_len, left);
        left -= r->cut[n].iov_len;
    }
    *niov = n;
    return r->cut;
}

void scsi_req_free(ScsiReq *r)
{
    g_clear_pointer(&r->buf, g_free);
    g_clear_pointer(&r->cut, g_free);
    r->buf_len = 0;
}

/* ---- the block layer ----------------------------------------------------- */

static ScsiSense sense_of(int err)
{
    switch (err) {
    case -ENOMEDIUM:
        return SENSE_NO_MEDIUM;
    case -EPERM: case -EROFS: case -EACCES:
        return SENSE_PROTECTED;
    case -ENOSPC:
        return SENSE_NO_SPACE;
    case -ENOMEM:
        return SENSE(4, 0x44, 0);
    case -EINVAL:
        return SENSE_BAD_FIELD;
    default:
        return SENSE_IO;
    }
}

static void go_on(ScsiReq *r)
{
    if (r->aborted) {
        scsi_finish(r, SCSI_ABORTED);
    } else {
        r->then(r);
    }
}

/* In the loop again, with what the policy said. */
static void decided(void *arg)
{
    ScsiReq *r = arg;

    switch ((BlkAction)r->action) {
    case BLKA_IGNORE:
        go_on(r);
        break;
    case BLKA_STOP:
        if (!r->aborted) {
            scsi_keep(r);
            break;
        }
        go_on(r);
        break;
    default:
        if (r->aborted) {
            go_on(r);
        } else {
            scsi_check(r, sense_of(r->req.ret));
        }
        break;
    }
}

static void ask_policy(void *arg)
{
    ScsiReq *r = arg;

    machine_assert_locked();
    r->action = (uint8_t)blk_error_action(r->dev->conf.blk,
                                          r->req.op == BLK_READ, -r->req.ret);
    r->work.fn = decided;
    if (r->bus->loop == loop_main) {
        decided(r);
    } else {
        loop_post(r->bus->loop, &r->work);
    }
}

static void io_done(BlkReq *q)
{
    ScsiReq *r = container_of(q, ScsiReq, req);

    if (LIKELY(q->ret >= 0) || r->aborted) {
        go_on(r);
    } else if (q->ret == -ECANCELED) {
        r->aborted = true;
        go_on(r);
    } else if (q->ret == -ENOMEDIUM) {
        scsi_check(r, SENSE_NO_MEDIUM);
    } else {
        r->work = (Work){ .fn = ask_policy, .arg = r };
        loop_post(loop_main, &r->work);
    }
}

void scsi_io(ScsiReq *r, void (*then)(ScsiReq *r))
{
    r->then = then;
    r->req.done = io_done;
    r->in_flight = true;
    blk_submit(r->dev->conf.blk, &r->req);
}

/* ---- what only the machine may do ---------------------------------------- */

static void back_in_loop(void *arg)
{
    scsi_good(arg);
}

static void in_main(void *arg)
{
    ScsiReq *r = arg;

    machine_assert_locked();
    r->machine(r);
    r->work = (Work){ .fn = back_in_loop, .arg = r };
    loop_post(r->bus->loop, &r->work);
}

/* Keeps fn without calling it: no lock yet. */
NO_TSA void scsi_in_main(ScsiReq *r, void (*fn)(ScsiReq *r))
{
    r->machine = fn;
    r->work = (Work){ .fn = in_main, .arg = r };
    loop_post(loop_main, &r->work);
}

/* ---- submission, cancelling ---------------------------------------------- */

/* Commands that a pending attention does not hold up. */
static bool attention_waits(uint8_t op)
{
    return op == 0x12 || op == 0xa0 || op == 0x03 || op == 0x46 || op == 0x4a;
}

void scsi_submit(ScsiReq *r)
{
    ScsiDevice *d = r->dev;

    r->in_flight = false;
    if (d) {
        r->next = d->active;
        r->at = &d->active;
        if (r->next) {
            r->next->at = &r->next;
        }
        d->active = r;
        if (UNLIKELY(d->attention.key) && !attention_waits(r->cdb[0])) {
            ScsiSense s = d->attention;

            scsi_attention_told(d);
            scsi_check(r, s);
            return;
        }
        if (r->cdb[0] != 0x03) {
            d->sense = SENSE_NONE;
        }
    }
    if (!d || UNLIKELY(r->cdb[0] == 0xa0 || r->cdb[0] == 0x03)) {
        scsi_common(r);
        return;
    }
    scsi_type(d)->run(d, r);
}

void scsi_cancel(ScsiReq *r)
{
    r->aborted = true;
    if (r->kept) {
        ScsiReq **at = &r->bus->kept;

        while (*at != r) {
            at = &(*at)->next_kept;
        }
        *at = r->next_kept;
        r->kept = false;
        scsi_finish(r, SCSI_ABORTED);
    } else if (r->in_flight) {
        blk_cancel(&r->req);
    }
}

void scsi_cancel_all(ScsiDevice *d)
{
    ScsiReq *next;

    for (ScsiReq *r = d->active; r; r = next) {
        next = r->next;
        scsi_cancel(r);
    }
}

void scsi_unit_reset(ScsiDevice *d)
{
    scsi_cancel_all(d);
    d->sense = SENSE_NONE;
    d->attention = SENSE_RESET;
    if (scsi_type(d)->reset) {
        scsi_type(d)->reset(d);
    }
}

/* ---- kept for a machine that goes on ------------------------------------- */

void scsi_keep(ScsiReq *r)
{
    r->kept = true;
    r->next_kept = r->bus->kept;
    r->bus->kept = r;
}

static void again(void *arg)
{
    ScsiBus *b = arg;
    ScsiReq *r = b->kept, *next;

    b->kept = NULL;
    for (; r; r = next) {
        next = r->next_kept;
        r->kept = false;
        if (r->in_flight) {
            blk_submit(r->dev->conf.blk, &r->req);
        } else {
            scsi_submit(r);            /* one that came with a saved state    */
        }
    }
}

void scsi_resume(ScsiBus *b)
{
    if (b->kept) {
        scsi_run(b, again, b);
    }
}
