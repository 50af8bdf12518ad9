/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * request.c - the way of a request through nodes: slots of layers, the checks of
 * a node's alignment, and the slow path of requests that do not fit it.
 *
 * Thread class: LOOP_CALL(node's loop).
 *
 * Invariants
 * 1. A request that fits is passed on without memory of its own.
 * 2. On a node with an alignment, a read-modify-write has no other write to its
 *    blocks beside it; nor has a serialising request, or a read that copies, on
 *    its clusters. Those that conflict go in order of arrival.
 * 3. A slot that was pushed is popped exactly once, before its done is called.
 */
#include <glib.h>
#include "block/bitmap.h"
#include "block/cor.h"
#include "schema/schema.h"

BlkSlot *blk_push(BlkReq *req, void (*done)(BlkReq *req))
{
    BlkSlot *s;

    if (req->depth >= BLK_SLOTS) {
        blk_complete(req, -ELOOP);
        return NULL;
    }
    s = &req->slot[req->depth++];
    s->done = done;
    return s;
}

void blk_complete(BlkReq *req, int ret)
{
    req->ret = ret;
    req->depth--;
    req->slot[req->depth].done(req);
}

static bool is_write(const BlkReq *req)
{
    return req->op == BLK_WRITE || req->op == BLK_ZERO ||
           req->op == BLK_DISCARD;
}

/* Whoever follows a node's writes learns of one before it can be seen. */
static void note_write(BlkNode *n, const BlkReq *req)
{
    uint64_t end = req->off + req->len;

    if (req->op != BLK_DISCARD && end > n->wr_highest) {
        n->wr_highest = end;
    }
    if (UNLIKELY(n->bitmaps != NULL)) {
        blk_bitmaps_dirty(n, req->off, req->len);
    }
    if (UNLIKELY(n->write_threshold && end > n->write_threshold)) {
        BlockWriteThresholdEvent e = {
            .node_name = n->name, .amount_exceeded = end - n->write_threshold,
            .write_threshold = n->write_threshold,
        };

        n->write_threshold = 0;
        monitor_event(&event_BLOCK_WRITE_THRESHOLD, &e);
    }
}

static void to_driver(BlkNode *n, BlkReq *req)
{
    if (is_write(req)) {
        note_write(n, req);
    }
    if (LIKELY(n->drv->submit != NULL)) {
        n->drv->submit(n, req);
    } else {
        blk_co_submit(n, req);
    }
}

static int to_driver_sync(BlkNode *n, BlkReq *req)
{
    if (is_write(req)) {
        note_write(n, req);
    }
    return n->drv->sync ? n->drv->sync(n, req) : blk_co_run(n, req);
}

/* ---- the gate (invariant 2) ---------------------------------------------- */

/* Words of a slot in a gate: node, with 1 when alone; the request's own range;
 * the neighbours in the list of those let in. */
enum { W_NODE, W_OFF, W_LEN, W_NEXT, W_PREV };

static void start(BlkNode *n, BlkReq *req);

static bool fits(const BlkNode *n, const BlkReq *req)
{
    uint64_t a = n->limits.align;

    return req->off % a == 0 &&
           (req->len % a == 0 ||
            (n->limits.short_tail && req->off + req->len == n->length));
}

static bool is_alone(const BlkNode *n, const BlkReq *req)
{
    return !fits(n, req) || req->flags & BLKF_SERIALISING ||
           req->op == BLK_READ;
}

static BlkSlot *slot_at(uint64_t w)
{
    return (BlkSlot *)(uintptr_t)w;
}

/* The slot that a request which is in the gate, or waits, has in it. */
static BlkSlot *gate_slot(BlkReq *req)
{
    return &req->slot[req->depth - 1];
}

/* Do two want the same bytes, one of them for itself? In whole units. */
static bool conflict(const BlkNode *n, const BlkSlot *a, const BlkSlot *b)
{
    uint64_t unit = MAX2(n->limits.align, n->cor_unit);

    return ((a->w[W_NODE] | b->w[W_NODE]) & 1) &&
           ALIGN_DOWN(a->w[W_OFF], unit) <
               ALIGN_UP(b->w[W_OFF] + b->w[W_LEN], unit) &&
           ALIGN_DOWN(b->w[W_OFF], unit) <
               ALIGN_UP(a->w[W_OFF] + a->w[W_LEN], unit);
}

/* May s go, before those that wait from `until` on? */
static bool gate_free(const BlkNode *n, const BlkSlot *s, const BlkReq *until)
{
    const BlkGate *g = &n->gate;

    if (!g->alone && !g->first && !(s->w[W_NODE] & 1)) {
        return true;
    }
    for (const BlkSlot *o = g->flying; o; o = slot_at(o->w[W_NEXT])) {
        if (conflict(n, o, s)) {
            return false;
        }
    }
    for (BlkReq *r = g->first; r && r != until; r = r->next) {
        if (conflict(n, gate_slot(r), s)) {
            return false;
        }
    }
    return true;
}

static void gate_enter(BlkNode *n, BlkSlot *s)
{
    BlkGate *g = &n->gate;

    g->alone += s->w[W_NODE] & 1;
    s->w[W_PREV] = 0;
    s->w[W_NEXT] = (uintptr_t)g->flying;
    if (g->flying) {
        g->flying->w[W_PREV] = (uintptr_t)s;
    }
    g->flying = s;
}

static void gate_leave(BlkNode *n, BlkSlot *s)
{
    BlkGate *g = &n->gate;
    BlkSlot *next = slot_at(s->w[W_NEXT]), *prev = slot_at(s->w[W_PREV]);

    g->alone -= s->w[W_NODE] & 1;
    if (prev) {
        prev->w[W_NEXT] = (uintptr_t)next;
    } else {
        g->flying = next;
    }
    if (next) {
        next->w[W_PREV] = (uintptr_t)prev;
    }
    for (BlkReq **at = &g->first; g->first && *at;) {
        BlkReq *req = *at;

        if (!gate_free(n, gate_slot(req), req)) {
            at = &req->next;
            continue;
        }
        *at = req->next;
        if (!*at) {
            g->last = at;
        }
        gate_enter(n, gate_slot(req));
        start(n, req);
        at = &g->first;                /* the list may have changed           */
    }
}

/* ---- bounced requests ---------------------------------------------------- */

typedef struct Bounce {
    BlkReq req;                        /* what the node is asked              */
    BlkReq *user;
    BlkNode *node;
    struct iovec iov;
    uint64_t first, end;               /* aligned                             */
    bool patched;                      /* the write half has begun            */
} Bounce;

static size_t iov_copy(const struct iovec *iov, unsigned n, uint8_t *buf,
                       size_t len, bool to_iov)
{
    size_t done = 0;

    for (unsigned i = 0; i < n && done < len; i++) {
        size_t part = MIN2(iov[i].iov_len, len - done);

        if (to_iov) {
            memcpy(iov[i].iov_base, buf + done, part);
        } else {
            memcpy(buf + done, iov[i].iov_base, part);
        }
        done += part;
    }
    return done;
}

static void bounce_end(Bounce *b, int ret)
{
    BlkReq *user = b->user;

    free(b->iov.iov_base);
    g_free(b);
    blk_complete(user, ret);
}

static void bounce_done(BlkReq *req)
{
    Bounce *b = container_of(req, Bounce, req);
    BlkReq *user = b->user;
    uint8_t *at = (uint8_t *)b->iov.iov_base + (user->off - b->first);

    if (req->ret < 0 || b->patched) {
        bounce_end(b, req->ret);
        return;
    }
    if (user->op == BLK_READ) {
        iov_copy(user->iov, user->niov, at, user->len, true);
        bounce_end(b, 0);
        return;
    }
    if (user->op == BLK_ZERO) {
        memset(at, 0, user->len);
    } else {
        iov_copy(user->iov, user->niov, at, user->len, false);
    }
    b->patched = true;
    req->op = BLK_WRITE;
    req->flags = user->flags & BLKF_FUA;
    req->depth = 1;
    to_driver(b->node, req);
}

/* A buffer of our own, aligned: read, patched, written. */
static void bounce(BlkNode *n, BlkReq *user)
{
    uint64_t a = n->limits.align;
    Bounce *b = g_new0(Bounce, 1);
    void *p = NULL;

    b->user = user;
    b->node = n;
    b->first = ALIGN_DOWN(user->off, a);
    b->end = ALIGN_UP(user->off + user->len, a);
    if (n->limits.short_tail) {
        b->end = MIN2(b->end, MAX2(n->length, user->off + user->len));
    }
    if (posix_memalign(&p, MAX2(n->limits.mem_align, sizeof(void *)),
                       b->end - b->first)) {
        g_free(b);
        blk_complete(user, -ENOMEM);
        return;
    }
    b->iov = (struct iovec){ p, b->end - b->first };
    b->req.off = b->first;
    b->req.len = b->iov.iov_len;
    b->req.iov = &b->iov;
    b->req.niov = 1;
    b->req.depth = 1;
    b->req.slot[0].done = bounce_done;
    if (user->op == BLK_WRITE && fits(n, user)) {
        iov_copy(user->iov, user->niov, p, user->len, false);
        b->patched = true;
        b->req.op = BLK_WRITE;
        b->req.flags = user->flags & BLKF_FUA;
    } else {
        b->req.op = BLK_READ;
    }
    to_driver(n, &b->req);
}

static bool memory_fits(const BlkNode *n, const BlkReq *req)
{
    if (req->niov > n->limits.max_iov) {
        return false;
    }
    for (unsigned i = 0; i < req->niov; i++) {
        if (((uintptr_t)req->iov[i].iov_base | req->iov[i].iov_len) %
            n->limits.mem_align) {
            return false;
        }
    }
    return true;
}

static void start_inner(BlkNode *n, BlkReq *req)
{
    bool data = req->op == BLK_READ || req->op == BLK_WRITE;

    if (req->op == BLK_DISCARD && !fits(n, req)) {
        /* A hint: the sectors that it covers whole. */
        uint64_t end = ALIGN_DOWN(req->off + req->len, n->limits.align);

        req->off = ALIGN_UP(req->off, n->limits.align);
        req->len = end > req->off ? end - req->off : 0;
        if (!req->len) {
            blk_complete(req, 0);
            return;
        }
        to_driver(n, req);
    } else if (!fits(n, req) || (data && !memory_fits(n, req))) {
        if (req->len > 64 * MiB) {
            blk_complete(req, -EINVAL);
            return;
        }
        bounce(n, req);
    } else {
        to_driver(n, req);
    }
}

static void cor_body(void *arg)
{
    BlkReq *req = arg;
    BlkNode *n = (BlkNode *)(uintptr_t)req->drv[0];

    blk_complete(req, blk_cor_read(n, NULL, req, BLKF_INNER));
}

static void start(BlkNode *n, BlkReq *req)
{
    if (UNLIKELY(n->cor_self) && req->op == BLK_READ) {
        req->drv[0] = (uintptr_t)n;
        co_enter(co_new(cor_body, req));
    } else {
        start_inner(n, req);
    }
}

static void gated_done(BlkReq *req)
{
    BlkSlot *s = blk_slot(req);
    BlkNode *n = (BlkNode *)(uintptr_t)(s->w[W_NODE] & ~1ull);

    req->off = s->w[W_OFF];
    req->len = s->w[W_LEN];
    gate_leave(n, s);
    blk_complete(req, req->ret);
}

static void submit_gated(BlkNode *n, BlkReq *req)
{
    BlkGate *g = &n->gate;
    BlkSlot *s;

    if (!(is_write(req) || (n->cor_unit && req->op == BLK_READ))) {
        start(n, req);
        return;
    }
    s = blk_push(req, gated_done);
    if (!s) {
        return;
    }
    s->w[W_NODE] = (uintptr_t)n | is_alone(n, req);
    s->w[W_OFF] = req->off;
    s->w[W_LEN] = req->len;
    if (!gate_free(n, s, NULL)) {
        if (!g->first) {
            g->last = &g->first;
        }
        req->next = NULL;
        *g->last = req;
        g->last = &req->next;
        return;
    }
    gate_enter(n, s);
    start(n, req);
}

void blk_node_submit(BlkNode *n, BlkReq *req)
{
    bool gated = n->limits.align > 1 || n->gated || n->cor_unit;

    if (LIKELY(!gated) || req->op == BLK_FLUSH || req->op == BLK_IOCTL) {
        req->flags &= ~BLKF_INNER;
        to_driver(n, req);
    } else if (req->flags & BLKF_INNER) {
        req->flags &= ~BLKF_INNER;
        start_inner(n, req);
    } else {
        submit_gated(n, req);
    }
}

/* ---- without a loop ------------------------------------------------------ */

/* One buffer: that is what synchronous requests have. */
static int sync_bounced(BlkNode *n, BlkReq *req)
{
    uint64_t a = n->limits.align, first = ALIGN_DOWN(req->off, a);
    uint64_t end = n->limits.short_tail
        ? MIN2(ALIGN_UP(req->off + req->len, a),
               MAX2(n->length, req->off + req->len))
        : ALIGN_UP(req->off + req->len, a);
    struct iovec iov = { NULL, end - first };
    BlkReq own = { .op = BLK_READ, .off = first, .len = end - first,
                   .iov = &iov, .niov = 1 };
    int ret;

    if (posix_memalign(&iov.iov_base, MAX2(n->limits.mem_align, sizeof(void *)),
                       end - first)) {
        return -ENOMEM;
    }
    ret = to_driver_sync(n, &own);
    if (ret >= 0) {
        uint8_t *at = (uint8_t *)iov.iov_base + (req->off - first);

        if (req->op == BLK_READ) {
            iov_copy(req->iov, req->niov, at, req->len, true);
        } else {
            if (req->op == BLK_ZERO) {
                memset(at, 0, req->len);
            } else {
                iov_copy(req->iov, req->niov, at, req->len, false);
            }
            own.op = BLK_WRITE;
            own.flags = req->flags;
            ret = to_driver_sync(n, &own);
        }
    }
    free(iov.iov_base);
    return ret;
}

int blk_node_sync(BlkNode *n, BlkReq *req)
{
    bool data = req->op == BLK_READ || req->op == BLK_WRITE;

    if (n->cor_self && req->op == BLK_READ && !(req->flags & BLKF_INNER)) {
        return blk_cor_read(n, NULL, req, BLKF_INNER);
    }
    req->flags &= ~BLKF_INNER;

    if (n->limits.align > 1 && data && (!fits(n, req) || !memory_fits(n, req))) {
        return sync_bounced(n, req);
    }
    if (req->op == BLK_ZERO && !fits(n, req)) {
        return req->len > 64 * MiB ? -EINVAL : sync_bounced(n, req);
    }
    return to_driver_sync(n, req);
}
