/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * backend-sync.c - requests that wait, and drained sections.
 *
 * Thread class: MACHINE_CALL. Where all nodes can, the calling thread does the
 * request itself: the main loop runs nobody's callbacks meanwhile, as must be
 * while a machine is being built. Else the main loop runs while they wait.
 *
 * Invariants
 * 1. Between drain_begin and drain_end nothing is in flight but what the caller
 *    itself waits for.
 */
#include <glib.h>
#include "block/backend.h"
#include "block/throttle.h"

typedef struct Wait {
    BlkReq req;
    struct iovec iov;
    bool over;                         /* atomic                              */
} Wait;

static void nudge(void *arg)
{
}

static void wait_done(BlkReq *req)
{
    Wait *w = container_of(req, Wait, req);
    bool foreign = req->blk->loop != loop_main;

    __atomic_store_n(&w->over, true, __ATOMIC_RELEASE);
    if (foreign) {
        loop_post_fn(loop_main, nudge, NULL);
    }
}

static void submit(void *arg)
{
    Wait *w = arg;

    blk_submit(w->req.blk, &w->req);
}

static int run_here(BlkBackend *b, BlkReq *req)
{
    bool over;
    int ret;

    req->acct = 0;
    ret = blk_prepare(b, req, &over);
    return over ? ret : blk_node_sync(b->node, req);
}

static MACHINE_CALL int run(BlkBackend *b, Wait *w)
{
    w->req.iov = &w->iov;
    w->req.niov = 1;
    if (b->loop == loop_main && blk_node_can_sync(b->node)) {
        return run_here(b, &w->req);
    }
    w->req.blk = b;
    w->req.sync = true;
    w->req.done = wait_done;
    if (b->loop == loop_main) {
        blk_submit(b, &w->req);
    } else {
        loop_run_sync(b->loop, submit, w);
    }
    while (!__atomic_load_n(&w->over, __ATOMIC_ACQUIRE)) {
        loop_step(true);
    }
    return w->req.ret;
}

int blk_pread(BlkBackend *b, uint64_t off, void *buf, size_t n)
{
    Wait w = { .req = { .op = BLK_READ, .off = off, .len = n },
               .iov = { buf, n } };

    return run(b, &w);
}

int blk_pwrite(BlkBackend *b, uint64_t off, const void *buf, size_t n,
               unsigned flags)
{
    Wait w = { .req = { .op = BLK_WRITE, .off = off, .len = n, .flags = flags },
               .iov = { (void *)(uintptr_t)buf, n } };

    return run(b, &w);
}

int blk_flush(BlkBackend *b)
{
    Wait w = { .req = { .op = BLK_FLUSH } };

    return run(b, &w);
}

int blk_ioctl(BlkBackend *b, unsigned long what, void *arg)
{
    Wait w = { .req = { .op = BLK_IOCTL, .off = what }, .iov = { arg, 0 } };

    return run(b, &w);
}

typedef struct Open {
    BlkBackend *b;
    bool on;
} Open;

void blk_nodes_open(BlkNode *n, bool on)
{
    if (n->drv->drained) {
        n->drv->drained(n, on);
    }
    for (BlkChild *c = n->children; c; c = c->next) {
        blk_nodes_open(c->node, on);
    }
}

static void limits_open(void *arg)
{
    Open *o = arg;

    if (o->b->limiter) {
        blk_limiter_open(o->b->limiter, o->on);
    }
    if (o->b->node) {
        blk_nodes_open(o->b->node, o->on);
    }
}

/* Nothing is held back by limits in a drained section. */
static MACHINE_CALL void limits_set_open(BlkBackend *b, bool on)
{
    Open o = { b, on };

    if (b->loop == loop_main) {
        limits_open(&o);
    } else {
        loop_run_sync(b->loop, limits_open, &o);
    }
}

/* Is something in flight? The last one to end wakes the main loop. */
static bool flying(BlkBackend *b)
{
    return __atomic_or_fetch(&b->in_flight, FLIGHT_WATCHED,
                             __ATOMIC_ACQ_REL) != FLIGHT_WATCHED;
}

/* What waits is looked at first: it flies before it waits no more. */
static bool busy(BlkBackend *b, bool drained)
{
    bool waits = !drained && __atomic_load_n(&b->waiting, __ATOMIC_ACQUIRE);

    return flying(b) || waits;
}

static void watch_end(BlkBackend *b)
{
    __atomic_and_fetch(&b->in_flight, ~FLIGHT_WATCHED, __ATOMIC_ACQ_REL);
}

void blk_drain_begin(BlkBackend *b)
{
    if (__atomic_add_fetch(&b->quiesce, 1, __ATOMIC_ACQ_REL) == 1) {
        if (b->ops && b->ops->drained_begin) {
            b->ops->drained_begin(b->dev);
        }
        limits_set_open(b, true);
    }
    while (flying(b)) {
        loop_step(true);
    }
}

void blk_drain_end(BlkBackend *b)
{
    if (__atomic_sub_fetch(&b->quiesce, 1, __ATOMIC_ACQ_REL)) {
        return;
    }
    watch_end(b);
    limits_set_open(b, false);
    if (b->ops && b->ops->drained_end) {
        b->ops->drained_end(b->dev);
    }
    if (b->loop != loop_main) {
        loop_post(b->loop, &b->resume);
    } else {
        blk_resume(b);
    }
}

struct BlkDrain {
    BlkNode *node;
    unsigned n;
    BlkBackend *v[];
};

static bool reaches(const BlkNode *from, const BlkNode *to)
{
    if (from == to) {
        return true;
    }
    for (const BlkChild *c = from ? from->children : NULL; c; c = c->next) {
        if (reaches(c->node, to)) {
            return true;
        }
    }
    return false;
}

BlkDrain *blk_node_drain_begin(BlkNode *n)
{
    BlkDrain *d;
    unsigned count = 0;

    for (BlkBackend *b = blk_next(NULL); b; b = b->next) {
        count++;
    }
    d = g_malloc0(sizeof(*d) + count * sizeof(d->v[0]));
    d->node = n;
    for (BlkBackend *b = blk_next(NULL); b; b = b->next) {
        if (b->node && reaches(b->node, n)) {
            blk_ref(b);
            d->v[d->n++] = b;
        }
    }
    for (unsigned i = 0; i < d->n; i++) {
        blk_drain_begin(d->v[i]);
    }
    /* Requests that a format or a client of the node makes by itself. */
    while (n->running && n->loop == loop_main && !co_self()) {
        loop_step(true);
    }
    return d;
}

void blk_node_drain_end(BlkDrain *d)
{
    for (unsigned i = 0; i < d->n; i++) {
        blk_drain_end(d->v[i]);
        blk_unref(d->v[i]);
    }
    g_free(d);
}

void blk_drain(BlkBackend *b)
{
    bool drained = __atomic_load_n(&b->quiesce, __ATOMIC_ACQUIRE);

    while (busy(b, drained)) {
        loop_step(true);
    }
    if (!drained) {
        watch_end(b);
    }
}

void blk_drain_all(void)
{
    for (BlkBackend *b = blk_next(NULL); b; b = b->next) {
        blk_drain(b);
    }
}

int blk_flush_all(void)
{
    int ret = 0;

    for (BlkBackend *b = blk_next(NULL); b; b = b->next) {
        if (b->node && !b->node->read_only) {
            int r = blk_flush(b);

            ret = ret ? ret : r;
        }
    }
    return ret;
}
