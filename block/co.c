/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * co.c - sequential access to nodes, for formats' code: in a coroutine it yields,
 * elsewhere it waits; and the requests of nodes whose driver is such code.
 *
 * Thread class: LOOP_CALL(node's loop) in a coroutine; MACHINE_CALL outside.
 *
 * Invariants
 * 1. co_run is entered outside a coroutine only while nothing else runs on the
 *    node, so that it never finds a lock held.
 * 2. A write past the end of a node that can grow moves its length.
 */
#include <glib.h>
#include "block/driver.h"

typedef struct Wait {
    BlkReq *req;
    Co *co;                            /* NULL: the main loop is run          */
    Loop *home;
    bool over;                         /* atomic                              */
} Wait;

static void nudge(void *arg)
{
}

static void wait_done(BlkReq *req)
{
    Wait *w = (Wait *)(uintptr_t)blk_slot(req)->w[0];
    Co *co = w->co;
    bool foreign = loop_self() != w->home;

    __atomic_store_n(&w->over, true, __ATOMIC_RELEASE);
    if (co) {
        co_wake(co);
    } else if (foreign) {
        loop_post_fn(loop_main, nudge, NULL);
    }
}

typedef struct Post {
    BlkNode *node;
    BlkReq *req;
} Post;

static void submit_posted(void *arg)
{
    Post *p = arg;

    blk_node_submit(p->node, p->req);
}

/* Does the node, with those below it, serve requests on the spot? */
bool blk_node_can_sync(const BlkNode *n)
{
    if (n->gate.flying || n->running ||
        n->loop != loop_main || (!n->drv->sync && !n->drv->co_run)) {
        return false;
    }
    for (const BlkChild *c = n->children; c; c = c->next) {
        if (!blk_node_can_sync(c->node)) {
            return false;
        }
    }
    return true;
}

/* Moves the ends of the nodes that pass a write on (invariant 2). */
static void grown(BlkNode *n, const BlkReq *req)
{
    uint64_t end = req->off + req->len;

    for (; n && n->length < end; n = n->drv->filter ? n->file : NULL) {
        n->length = ALIGN_UP(end, 512);
    }
}

static int run_sync(BlkNode *n, BlkReq *req)
{
    return blk_node_sync(n, req);
}

int blk_co_req(BlkNode *n, BlkReq *req)
{
    Wait w = { .req = req, .co = co_self(), .home = loop_self() };
    BlkReq asked = *req;
    BlkSlot *s;
    int ret;

    if (!w.co && blk_node_can_sync(n)) {
        ret = run_sync(n, req);
    } else {
        req->depth = 0;
        s = blk_push(req, wait_done);
        s->w[0] = (uintptr_t)&w;
        if (n->loop == w.home) {
            blk_node_submit(n, req);
        } else {
            Post p = { n, req };

            machine_assert_locked();
            loop_run_sync(n->loop, submit_posted, &p);
        }
        while (!__atomic_load_n(&w.over, __ATOMIC_ACQUIRE)) {
            if (w.co) {
                co_yield();
            } else {
                machine_assert_locked();
                loop_step(true);
            }
        }
        ret = req->ret;
    }
    if (ret >= 0 && (asked.op == BLK_WRITE || asked.op == BLK_ZERO)) {
        grown(n, &asked);
    }
    return ret > 0 ? 0 : ret;
}

/* ---- by kind ------------------------------------------------------------- */

int blk_co_preadv(BlkNode *n, uint64_t off, uint64_t len,
                  const struct iovec *iov, unsigned niov, unsigned flags)
{
    BlkReq req = { .op = BLK_READ, .flags = flags, .off = off, .len = len,
                   .iov = iov, .niov = niov };

    return len ? blk_co_req(n, &req) : 0;
}

int blk_co_pwritev(BlkNode *n, uint64_t off, uint64_t len,
                   const struct iovec *iov, unsigned niov, unsigned flags)
{
    BlkReq req = { .op = BLK_WRITE, .flags = flags, .off = off, .len = len,
                   .iov = iov, .niov = niov };

    if (n->read_only) {
        return -EACCES;
    }
    return len ? blk_co_req(n, &req) : 0;
}

int blk_co_pread(BlkNode *n, uint64_t off, void *buf, size_t len)
{
    struct iovec iov = { buf, len };
    uint64_t in = off < n->length ? MIN2(len, n->length - off) : 0;

    if (in < len) {
        memset((char *)buf + in, 0, len - in);
        iov.iov_len = in;
    }
    return blk_co_preadv(n, off, in, &iov, 1, 0);
}

int blk_co_backing_preadv(BlkNode *n, uint64_t off, uint64_t len,
                          const struct iovec *iov, unsigned niov)
{
    BlkNode *b = n->backing;
    uint64_t in = b && off < b->length ? MIN2(len, b->length - off) : 0;
    struct iovec part[16], *v = niov <= ARRAY_SIZE(part)
        ? part : g_new(struct iovec, niov);
    uint64_t at = 0;
    unsigned n_in = 0;
    int ret;

    /* v: what lies within the backing node; the rest is zeroed here. */
    for (unsigned i = 0; i < niov && at < len; i++) {
        size_t all = MIN2(iov[i].iov_len, len - at);
        size_t below = at < in ? MIN2(all, in - at) : 0;

        if (below) {
            v[n_in].iov_base = iov[i].iov_base;
            v[n_in++].iov_len = below;
        }
        memset((char *)iov[i].iov_base + below, 0, all - below);
        at += all;
    }
    ret = in ? blk_co_preadv(b, off, in, v, n_in, 0) : 0;
    if (v != part) {
        g_free(v);
    }
    return ret;
}

int blk_co_pwrite(BlkNode *n, uint64_t off, const void *buf, size_t len,
                  unsigned flags)
{
    struct iovec iov = { (void *)(uintptr_t)buf, len };

    return blk_co_pwritev(n, off, len, &iov, 1, flags);
}

/* Where the node cannot make zeroes itself: written from a small buffer. */
static int zero_by_writing(BlkNode *n, uint64_t off, uint64_t len,
                           unsigned flags)
{
    size_t part = MIN2(len, 1 * MiB);
    void *buf = g_malloc0(part);
    int ret = 0;

    while (len && ret >= 0) {
        part = MIN2(len, part);
        ret = blk_co_pwrite(n, off, buf, part, flags);
        off += part;
        len -= part;
    }
    g_free(buf);
    return ret;
}

int blk_co_zero(BlkNode *n, uint64_t off, uint64_t len, unsigned flags)
{
    BlkReq req = { .op = BLK_ZERO, .flags = flags, .off = off, .len = len };
    int ret;

    if (n->read_only) {
        return -EACCES;
    }
    ret = len ? blk_co_req(n, &req) : 0;
    if (ret == -ENOTSUP && !(flags & BLKF_NO_FALLBACK)) {
        ret = zero_by_writing(n, off, len, flags & BLKF_FUA);
    }
    return ret;
}

int blk_co_discard(BlkNode *n, uint64_t off, uint64_t len)
{
    BlkReq req = { .op = BLK_DISCARD, .off = off, .len = len };

    if (n->read_only) {
        return -EACCES;
    }
    return len ? blk_co_req(n, &req) : 0;
}

int blk_co_flush(BlkNode *n)
{
    BlkReq req = { .op = BLK_FLUSH };

    return blk_co_req(n, &req);
}

int blk_co_copy(BlkNode *from, uint64_t from_off, BlkNode *to, uint64_t to_off,
                uint64_t len, unsigned flags)
{
    size_t part = MIN2(len, 1 * MiB);
    g_autofree void *buf = NULL;
    int ret = 0;

    if (!flags && !blk_co_copy_host(from, from_off, to, to_off, len)) {
        return 0;
    }
    buf = g_malloc(part);
    while (len && ret >= 0) {
        part = MIN2(len, part);
        ret = blk_co_pread(from, from_off, buf, part);
        if (ret >= 0) {
            ret = blk_co_pwrite(to, to_off, buf, part, flags);
        }
        from_off += part;
        to_off += part;
        len -= part;
    }
    return ret;
}

/* ---- extents ------------------------------------------------------------- */

int blk_node_extent(BlkNode *n, uint64_t off, uint64_t len, BlkExtent *x)
{
    int ret;

    *x = (BlkExtent){ .len = len, .file = n, .map = off,
                      .flags = BLKX_DATA | BLKX_OFFSET | BLKX_ALLOCATED };
    if (off >= n->length) {
        x->len = 0;
        x->flags = BLKX_EOF;
        return 0;
    }
    len = MIN2(len, n->length - off);
    x->len = len;
    if (n->drv->extent) {
        ret = n->drv->extent(n, off, len, x);
    } else if (n->drv->filter && n->file) {
        ret = blk_node_extent(n->file, off, len, x);
    } else {
        ret = 0;
    }
    if (ret >= 0 && (x->flags & BLKX_RECURSE) && x->file && x->file != n) {
        BlkExtent below;

        if (blk_node_extent(x->file, x->map, x->len, &below) >= 0 &&
            below.len) {
            x->len = MIN2(x->len, below.len);
            if (below.flags & BLKX_ZERO) {
                x->flags |= BLKX_ZERO;
            }
        }
    }
    x->flags &= ~BLKX_RECURSE;
    if (!n->drv->backing && !n->drv->filter) {
        x->flags |= BLKX_ALLOCATED;    /* there is nothing below              */
    }
    if (ret >= 0 && off + x->len >= n->length) {
        x->flags |= BLKX_EOF;
    }
    return ret;
}

/* ---- requests of sequential drivers -------------------------------------- */

/* Zeroes that the driver cannot make itself are written, as part of the same
 * request. */
int blk_co_run(BlkNode *n, BlkReq *req)
{
    BlkReq part = { .op = BLK_WRITE, .off = req->off,
                    .flags = req->flags & BLKF_FUA };
    int ret = n->drv->co_run(n, req);
    uint64_t end = req->off + req->len;
    g_autofree uint8_t *buf = NULL;
    struct iovec iov;

    if (ret != -ENOTSUP || req->op != BLK_ZERO ||
        (req->flags & BLKF_NO_FALLBACK)) {
        return ret;
    }
    iov = (struct iovec){ NULL, MIN2(req->len, 1 * MiB) };
    iov.iov_base = buf = g_malloc0(iov.iov_len);
    part.iov = &iov;
    part.niov = 1;
    for (ret = 0; ret >= 0 && part.off < end; part.off += part.len) {
        part.len = iov.iov_len = MIN2(end - part.off, iov.iov_len);
        ret = n->drv->co_run(n, &part);
    }
    return ret;
}

static void co_body(void *arg)
{
    BlkReq *req = arg;
    BlkNode *n = (BlkNode *)(uintptr_t)req->drv[0];
    int ret = blk_co_run(n, req);

    n->running--;
    blk_complete(req, ret);
}

/* The driver may use req's slots and drv words below this layer's depth for
 * nothing: it makes requests of its own. */
void blk_co_submit(BlkNode *n, BlkReq *req)
{
    req->drv[0] = (uintptr_t)n;
    n->running++;
    co_enter(co_new(co_body, req));
}
