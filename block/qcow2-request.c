/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2-request.c - requests as they come: passed straight to the file where the
 * mapping is cached; and what map and convert ask about extents.
 *
 * Thread class: LOOP_CALL(node's loop).
 *
 * Invariants
 * 1. A request that is passed on needs no metadata change, and counts in `io`
 *    and in node.running until it is back.
 * 2. Data is lent only while nothing is written here: a cluster that was given
 *    back and to another place would show there.
 */
#include "block/qcow2.h"

static void passed_done(BlkReq *req)
{
    BlkSlot *sl = blk_slot(req);
    Qcow2 *s = (Qcow2 *)(uintptr_t)sl->w[0];

    req->off = sl->w[1];
    s->unsynced |= req->op == BLK_WRITE;
    q2_io_end(s, (unsigned)sl->w[2]);
    s->node.running--;
    blk_complete(req, req->ret);
}

static void pass(Qcow2 *s, BlkNode *to, BlkReq *req, uint64_t host)
{
    BlkSlot *sl = blk_push(req, passed_done);

    if (!sl) {
        return;
    }
    sl->w[0] = (uintptr_t)s;
    sl->w[1] = req->off;
    sl->w[2] = q2_io_begin(s);
    s->node.running++;
    req->off = host;
    blk_node_submit(to, req);
}

static void zero_work(void *arg)
{
    blk_complete(arg, 0);
}

static bool pass_read(Qcow2 *s, BlkReq *req)
{
    BlkNode *b = s->node.backing;
    Q2Map m;

    if (s->crypt || s->data_ext || !req->len ||
        !q2_map_peek(s, req->off, req->len, &m) || m.len < req->len) {
        return false;
    }
    if (m.kind == Q2K_DATA && m.host + req->len <= s->data->length) {
        q2_event(s, "read_aio");
        pass(s, s->data, req, m.host);
        return true;
    }
    if ((m.kind == Q2K_NONE || m.kind == Q2K_NONE_ALLOC) && b &&
        req->off < b->length) {
        if (req->off + req->len > b->length) {
            return false;
        }
        pass(s, b, req, req->off);
        return true;
    }
    if (m.kind == Q2K_ZERO || m.kind == Q2K_ZERO_ALLOC ||
        m.kind == Q2K_NONE || m.kind == Q2K_NONE_ALLOC) {
        q2_iov_zero(req->iov, req->niov, 0, req->len);
        /* Never in the submitter's stack: done may submit again. */
        req->work = (Work){ .fn = zero_work, .arg = req };
        loop_post(s->node.loop, &req->work);
        return true;
    }
    return false;
}

int q2_lend(BlkNode *n, uint64_t off, uint64_t len, uint64_t *at,
            bool now)
{
    Qcow2 *s = q2_of(n);
    Q2Map m;

    if ((!n->read_only && !now) || s->crypt || s->data_ext || s->corrupt ||
        !q2_map_peek(s, off, len, &m) || m.len < len || m.kind != Q2K_DATA ||
        m.host + len > s->data->length) {
        return -1;
    }
    return blk_node_lend(s->data, m.host, len, at, now);
}

static bool meta_clean(const Qcow2 *s)
{
    return !s->l2c.dirty && !s->refc.dirty && !s->frees->len &&
           !s->frees_old->len && s->l1_dirty_first >= s->l1_dirty_end &&
           s->ref_dirty_first >= s->ref_dirty_end && !s->lock.held;
}

static bool pass_write(Qcow2 *s, BlkReq *req)
{
    Q2Map m;

    if (s->crypt || s->data_ext || s->corrupt || !req->len ||
        (req->flags & BLKF_COMPRESSED) ||
        ((req->flags & BLKF_FUA) && !meta_clean(s)) ||
        !q2_map_peek(s, req->off, req->len, &m) || m.len < req->len ||
        m.kind != Q2K_DATA || !m.copied ||
        m.host + req->len > s->data->length ||
        q2_overlap_check(s, 0, m.host, req->len) < 0) {
        return false;
    }
    q2_event(s, "write_aio");
    pass(s, s->data, req, m.host);
    return true;
}

void q2_submit(BlkNode *n, BlkReq *req)
{
    Qcow2 *s = q2_of(n);

    if ((req->op == BLK_READ && pass_read(s, req)) ||
        (req->op == BLK_WRITE && pass_write(s, req))) {
        return;
    }
    if (req->op == BLK_FLUSH && !s->data_ext && meta_clean(s) &&
        !n->read_only) {
        blk_node_submit(n->file, req);
        return;
    }
    blk_co_submit(n, req);
}

static int run_write(Qcow2 *s, BlkReq *req)
{
    if (req->flags & BLKF_COMPRESSED) {
        return q2_compressed_write(s, req->off, req->len, req->iov, req->niov);
    }
    return q2_write(s, req->off, req->len, req->iov, req->niov, 0);
}

static int run_flush(Qcow2 *s)
{
    int ret;

    if (s->node.read_only) {
        return 0;
    }
    q2_lock(s);
    s->unsynced = true;
    ret = q2_flush(s);
    q2_unlock(s);
    return ret;
}

int q2_run(BlkNode *n, BlkReq *req)
{
    Qcow2 *s = q2_of(n);
    int ret;

    switch (req->op) {
    case BLK_READ:
        return q2_read(s, req->off, req->len, req->iov, req->niov, 0);
    case BLK_WRITE:
        ret = run_write(s, req);
        break;
    case BLK_ZERO:
        ret = q2_zero(s, req->off, req->len, req->flags);
        break;
    case BLK_DISCARD:
        ret = q2_discard(s, req->off, req->len, false);
        break;
    case BLK_FLUSH:
        return run_flush(s);
    default:
        return -ENOTSUP;
    }
    if (ret >= 0 && (req->flags & BLKF_FUA)) {
        ret = run_flush(s);
    }
    return ret;
}

/* ---- extents ------------------------------------------------------------- */

static void describe(const Qcow2 *s, const Q2Map *m, BlkExtent *x)
{
    *x = (BlkExtent){ .len = m->len };
    switch (m->kind) {
    case Q2K_DATA:
        x->flags = BLKX_DATA | BLKX_ALLOCATED | (s->sparse ? BLKX_RECURSE : 0);
        break;
    case Q2K_ZERO:
    case Q2K_ZERO_ALLOC:
        x->flags = BLKX_ZERO | BLKX_ALLOCATED;
        break;
    case Q2K_COMPRESSED:
        x->flags = BLKX_DATA | BLKX_ALLOCATED | BLKX_COMPRESSED;
        break;
    default:
        x->flags = s->node.backing ? 0 : BLKX_ZERO;
        break;
    }
    if (!s->crypt && (m->kind == Q2K_DATA || m->kind == Q2K_ZERO_ALLOC ||
                      m->kind == Q2K_NONE_ALLOC)) {
        x->flags |= BLKX_OFFSET;
        x->map = m->host;
        x->file = s->data;
    }
}

int q2_extent(BlkNode *n, uint64_t off, uint64_t len, BlkExtent *x)
{
    Qcow2 *s = q2_of(n);
    BlkExtent next;
    Q2Map m;
    int ret;

    q2_lock(s);
    ret = q2_map(s, off, len, &m);
    describe(s, &m, x);
    while (ret >= 0 && x->len < len) {
        ret = q2_map(s, off + x->len, len - x->len, &m);
        describe(s, &m, &next);
        if (ret < 0 || next.flags != x->flags ||
            ((x->flags & BLKX_OFFSET) && next.map != x->map + x->len)) {
            ret = 0;
            break;
        }
        x->len += next.len;
    }
    q2_unlock(s);
    return ret;
}
