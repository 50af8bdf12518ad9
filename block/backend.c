/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * backend.c - what a device holds: the root node, its permissions, the straight
 * path of requests, what to do about errors.
 *
 * Thread class: requests LOOP_CALL(backend's loop), the rest MACHINE_CALL.
 *
 * Invariants
 * 1. in_flight counts requests handed to the node and not yet given back; those
 *    of another thread until their done has returned, so that nothing of theirs
 *    runs in a drained section. (In the main loop done may itself drain.)
 * 2. done is never called in the stack of blk_submit.
 * 3. While quiesce is not 0 no request but a synchronous one is handed down.
 * 4. A request that leaves the medium's range never reaches a node.
 */
#include <glib.h>
#include "block/backend.h"
#include "block/throttle.h"
#include "monitor.h"
#include "runstate.h"
#include "schema/schema.h"

#pragma weak request_stop              /* the image tools have no machine     */
#pragma weak run_notify_add

static BlkBackend *backends;           /* in order of creation                */

static const char *backend_who(void *arg)
{
    const BlkBackend *b = arg;

    return b->name[0] ? b->name : b->dev_obj && b->dev_obj->name
        ? b->dev_obj->name : "block device";
}

BlkBackend *blk_new(const char *name)
{
    BlkBackend *b = g_new0(BlkBackend, 1), **at = &backends;

    b->name = g_strdup(name ? name : "");
    b->refs = 1;
    b->shared = BLKP_ALL;
    b->loop = loop_main;
    b->write_cache = true;
    b->account_invalid = b->account_failed = true;
    b->werror = BLKA_ENOSPC;
    b->rerror = BLKA_REPORT;
    b->parent = (BlkParent){ .who = backend_who, .arg = b, .role = "root",
                             .blk = b };
    b->resume = (Work){ .fn = blk_resume, .arg = b };
    while (*at) {
        at = &(*at)->next;
    }
    *at = b;
    return b;
}

void blk_ref(BlkBackend *b)
{
    b->refs++;
}

void blk_unref(BlkBackend *b)
{
    BlkBackend **at = &backends;

    if (!b || --b->refs) {
        return;
    }
    blk_throttle_fini(b);
    blk_eject(b);
    blk_stats_free(b);
    while (*at != b) {
        at = &(*at)->next;
    }
    *at = b->next;
    g_free(b->name);
    g_free(b);
}

BlkBackend *blk_next(BlkBackend *b)
{
    return b ? b->next : backends;
}

BlkBackend *blk_find(const char *name)
{
    for (BlkBackend *b = backends; b; b = b->next) {
        if (b->name[0] && !strcmp(b->name, name)) {
            return b;
        }
    }
    return NULL;
}

const char *blk_name(const BlkBackend *b)
{
    return b->name;
}

void blk_empty_ro_set(BlkBackend *b, bool read_only)
{
    b->empty_ro = read_only;
}

void blk_name_clear(BlkBackend *b)
{
    b->name[0] = 0;
}

Obj *blk_dev(const BlkBackend *b)
{
    return b->dev_obj;
}

void blk_dev_claim(BlkBackend *b, Obj *owner)
{
    b->dev_obj = owner;
}

/* ---- the node ------------------------------------------------------------ */

bool blk_insert(BlkBackend *b, BlkNode *n, Error **errp)
{
    if (!blk_insert_quietly(b, n, errp)) {
        return false;
    }
    if (b->ops && b->ops->change_media) {
        b->ops->change_media(b->dev, true);
    }
    return true;
}

bool blk_insert_quietly(BlkBackend *b, BlkNode *n, Error **errp)
{
    b->parent.perm = b->perm;
    b->parent.shared = b->shared;
    if (!blk_parent_add(n, &b->parent, errp)) {
        return false;
    }
    b->node = n;
    if (b->quiesce) {
        blk_nodes_open(n, true);
    }
    if (n->loop != b->loop) {
        blk_node_set_loop(n, b->loop);
    }
    return true;
}

void blk_eject(BlkBackend *b)
{
    if (!b->node) {
        return;
    }
    blk_eject_quietly(b);
    if (b->ops && b->ops->change_media) {
        b->ops->change_media(b->dev, false);
    }
}

void blk_eject_quietly(BlkBackend *b)
{
    BlkNode *n = b->node;

    blk_drain_begin(b);
    b->empty_ro = n->read_only;
    b->node = NULL;
    blk_nodes_open(n, false);
    blk_parent_del(n, &b->parent);
    blk_drain_end(b);
}

void blk_backend_resized(BlkBackend *b)
{
    if (b->ops && b->ops->resized) {
        b->ops->resized(b->dev);
    }
}

BlkNode *blk_root(BlkBackend *b)
{
    return b->node;
}

bool blk_set_perm(BlkBackend *b, uint64_t perm, uint64_t shared, Error **errp)
{
    if (b->node &&
        !blk_parent_change(b->node, &b->parent, perm, shared, errp)) {
        return false;
    }
    b->perm = perm;
    b->shared = shared;
    return true;
}

bool blk_set_loop(BlkBackend *b, Loop *l, Error **errp)
{
    if (l == b->loop) {
        return true;
    }
    if (b->node && (b->node->parents != &b->parent || b->parent.next)) {
        return error_set(errp, "Cannot change iothread of active block backend");
    }
    blk_drain_begin(b);
    if (b->node) {
        blk_node_set_loop(b->node, l);
    }
    b->loop = l;
    if (b->limiter) {
        BlkGroup *g = blk_group_get(b->limiter->group->name);
        unsigned open = b->limiter->open;
        void (*go)(void *, BlkReq *) = b->limiter->go;

        blk_limiter_fini(b->limiter);
        blk_limiter_init(b->limiter, g, l, go, b);
        b->limiter->open = open;
    }
    blk_drain_end(b);
    return true;
}

Loop *blk_loop(const BlkBackend *b)
{
    return b->loop;
}

/* ---- the device ---------------------------------------------------------- */

bool blk_attach_dev(BlkBackend *b, void *dev, Obj *obj, const BlkDevOps *ops,
                    Error **errp)
{
    if (b->dev || (b->dev_obj && b->dev_obj != obj)) {
        return error_set(errp, "Drive '%s' is already in use by another device",
                         b->name);
    }
    b->dev = dev;
    b->dev_obj = obj;
    b->ops = ops;
    return true;
}

void blk_detach_dev(BlkBackend *b)
{
    blk_drain(b);
    b->dev = NULL;
    b->dev_obj = NULL;
    b->ops = NULL;
    blk_set_perm(b, 0, BLKP_ALL, NULL);
}

void blk_on_error(BlkBackend *b, BlkAction rerror, BlkAction werror)
{
    b->rerror = rerror;
    b->werror = werror;
}

void blk_account_set(BlkBackend *b, bool invalid, bool failed)
{
    b->account_invalid = invalid;
    b->account_failed = failed;
}

bool blk_has_io_status(const BlkBackend *b)
{
    return b->dev && b->ops && !b->ops->no_io_status &&
           (b->werror == BLKA_ENOSPC || b->werror == BLKA_STOP ||
            b->rerror == BLKA_STOP);
}

static void started(RunNotify *n, bool running, RunStateNr s)
{
    for (BlkBackend *b = backends; running && b; b = b->next) {
        b->io_error = b->io_nospace = false;
    }
}

/* Requests that stopped the machine are made again when it goes on. */
static MACHINE_CALL void status_keep(BlkBackend *b, int err)
{
    static RunNotify notify = { .fn = started };
    static bool watched;

    if (!watched && run_notify_add) {
        watched = true;
        run_notify_add(&notify);
    }
    b->io_error = true;
    b->io_nospace = err == ENOSPC;
}

static MACHINE_CALL void error_tell(BlkBackend *b, BlkAction a, bool read,
                                    int err)
{
    BlockIoErrorEvent e = {
        .device = b->name,
        .node_name = b->node ? b->node->name : NULL,
        .operation = read ? IO_OPERATION_TYPE_READ : IO_OPERATION_TYPE_WRITE,
        .action = a == BLKA_STOP ? BLOCK_ERROR_ACTION_STOP
            : a == BLKA_IGNORE ? BLOCK_ERROR_ACTION_IGNORE
            : BLOCK_ERROR_ACTION_REPORT,
        .nospace = err == ENOSPC, .has_nospace = blk_has_io_status(b),
        .reason = (char *)(uintptr_t)strerror(err),
    };

    monitor_event(&event_BLOCK_IO_ERROR, &e);
}

BlkAction blk_error_action(BlkBackend *b, bool read, int err)
{
    BlkAction a = read ? b->rerror : b->werror;

    if (a == BLKA_ENOSPC) {
        a = err == ENOSPC ? BLKA_STOP : BLKA_REPORT;
    }
    if (a == BLKA_STOP) {
        status_keep(b, err);
    }
    error_tell(b, a, read, err);
    if (a == BLKA_STOP && request_stop) {
        request_stop(RS_IO_ERROR);
    }
    return a;
}

bool blk_has_medium(const BlkBackend *b)
{
    return b->node != NULL;
}

bool blk_writable(const BlkBackend *b)
{
    return b->node && !b->node->read_only;
}

bool blk_write_cache(const BlkBackend *b)
{
    return b->write_cache;
}

void blk_set_write_cache(BlkBackend *b, bool on)
{
    b->write_cache = on;
}

int64_t blk_length(BlkBackend *b)
{
    return b->node ? (int64_t)b->node->length : -ENOMEDIUM;
}

const BlkLimits *blk_limits(BlkBackend *b)
{
    static const BlkLimits none = { .align = 1, .mem_align = 1,
                                    .max_iov = 1024 };

    return b->node ? &b->node->limits : &none;
}

/* ---- the straight path --------------------------------------------------- */

/* BlkReq.acct: was a write; zeroes have been written. */
enum { ACCT_ZEROED = 1, ACCT_FELL_BACK = 2 };

static void nudge(void *arg)
{
    /* The main loop wakes, and with it who waits for a drain. */
}

/* After the last one b may go at any time. */
static void landed(BlkBackend *b)
{
    bool here = b->loop == loop_main;

    if (__atomic_sub_fetch(&b->in_flight, FLIGHT_ONE, __ATOMIC_ACQ_REL) ==
        FLIGHT_WATCHED && !here) {
        loop_post_fn(loop_main, nudge, NULL);
    }
}

static void backend_done(BlkReq *req);

/* Zeroes of a driver that has no way to make them are written. */
static void zero_late(void *arg)
{
    BlkReq *req = arg;

    req->ret = blk_co_zero(req->blk->node, req->off, req->len,
                           req->flags & (uint32_t)~BLKF_MAY_UNMAP);
    req->acct |= ACCT_FELL_BACK;
    backend_done(req);
}

static void backend_done(BlkReq *req)
{
    BlkBackend *b = req->blk;
    bool here = b->loop == loop_main;

    if (UNLIKELY(req->ret == -ENOTSUP && req->op == BLK_ZERO &&
                 !(req->flags & BLKF_NO_FALLBACK) &&
                 !(req->acct & ACCT_FELL_BACK))) {
        co_enter(co_new(zero_late, req));
        return;
    }
    if (req->acct & ACCT_ZEROED) {
        req->op = BLK_WRITE;
    }
    blk_account(b, req);
    if (LIKELY(here)) {
        landed(b);
    }
    req->done(req);
    if (!here) {
        landed(b);
    }
}

static void answer_late(void *arg)
{
    BlkReq *req = arg;

    blk_complete(req, req->ret);
}

static void answer(BlkBackend *b, BlkReq *req, int ret)
{
    req->ret = ret;
    req->work = (Work){ .fn = answer_late, .arg = req };
    loop_post(b->loop, &req->work);
}

static bool all_zero(const BlkReq *req)
{
    for (unsigned i = 0; i < req->niov; i++) {
        const uint8_t *p = req->iov[i].iov_base;
        size_t n = req->iov[i].iov_len;

        if (n && (p[0] || memcmp(p, p + 1, n - 1))) {
            return false;
        }
    }
    return true;
}

static int check(const BlkBackend *b, const BlkReq *req)
{
    if (!b->node) {
        return -ENOMEDIUM;
    }
    if (req->op == BLK_FLUSH || req->op == BLK_IOCTL) {
        return 0;
    }
    if (req->off > b->node->length || req->len > b->node->length - req->off) {
        return -EIO;
    }
    if (req->op != BLK_READ && b->node->read_only) {
        return -EPERM;
    }
    return 0;
}

int blk_prepare(BlkBackend *b, BlkReq *req, bool *over)
{
    BlkNode *n = b->node;
    int ret = check(b, req);

    *over = true;
    if (UNLIKELY(ret < 0)) {
        return ret;
    }
    switch (req->op) {
    case BLK_WRITE:
        if (!b->write_cache) {
            req->flags |= BLKF_FUA;
        }
        if (n->flags & BLKO_NO_FLUSH) {
            req->flags &= ~BLKF_FUA;
        }
        if (UNLIKELY(n->detect_zeroes) && all_zero(req)) {
            req->op = BLK_ZERO;
            req->acct |= ACCT_ZEROED;
            if (n->detect_zeroes == ZEROES_UNMAP) {
                req->flags |= BLKF_MAY_UNMAP;
            }
        }
        break;
    case BLK_FLUSH:
        *over = n->flags & BLKO_NO_FLUSH || n->read_only;
        return 0;
    case BLK_DISCARD:
        if (!n->discard) {
            return 0;
        }
        break;
    case BLK_ZERO:
        if (!n->discard) {
            req->flags &= ~BLKF_MAY_UNMAP;
        }
        break;
    default:
        break;
    }
    *over = !req->len && req->op != BLK_IOCTL;
    return 0;
}

static void to_node(BlkBackend *b, BlkReq *req)
{
    if (LIKELY(!b->limiter)) {
        blk_node_submit(b->node, req);
    } else {
        blk_limiter_submit(b->limiter, req);
    }
}

static void hand_down(BlkBackend *b, BlkReq *req)
{
    bool over;
    int ret = blk_prepare(b, req, &over);

    __atomic_add_fetch(&b->in_flight, FLIGHT_ONE, __ATOMIC_ACQ_REL);
    req->start_ns = clock_ns(CLOCK_RT);
    if (UNLIKELY(over)) {
        answer(b, req, ret);
    } else {
        to_node(b, req);
    }
}

void blk_submit(BlkBackend *b, BlkReq *req)
{
    req->blk = b;
    req->acct = 0;
    req->depth = 1;
    req->slot[0].done = backend_done;
    if (UNLIKELY(__atomic_load_n(&b->quiesce, __ATOMIC_ACQUIRE)) && !req->sync) {
        if (!b->waiting) {
            b->waiting_last = &b->waiting;
        }
        req->next = NULL;
        __atomic_store_n(b->waiting_last, req, __ATOMIC_RELEASE);
        b->waiting_last = &req->next;
        return;
    }
    hand_down(b, req);
}

void blk_resume(void *arg)
{
    BlkBackend *b = arg;

    /* Who drains sees a request here or there, and b stays until the end. */
    __atomic_add_fetch(&b->in_flight, FLIGHT_ONE, __ATOMIC_ACQ_REL);
    while (b->waiting && !__atomic_load_n(&b->quiesce, __ATOMIC_ACQUIRE)) {
        BlkReq *req = b->waiting;

        __atomic_store_n(&b->waiting, req->next, __ATOMIC_RELEASE);
        hand_down(b, req);
    }
    landed(b);
}

void blk_cancel(BlkReq *req)
{
    BlkBackend *b = req->blk;

    for (BlkReq **at = &b->waiting; b->waiting && *at; at = &(*at)->next) {
        if (*at == req) {
            __atomic_add_fetch(&b->in_flight, FLIGHT_ONE, __ATOMIC_ACQ_REL);
            __atomic_store_n(at, req->next, __ATOMIC_RELEASE);
            if (!req->next) {
                b->waiting_last = at;
            }
            req->start_ns = clock_ns(CLOCK_RT);
            answer(b, req, -ECANCELED);
            return;
        }
    }
}

static void plug(BlkNode *n, bool on)
{
    for (; n; n = n->file) {
        if (on && n->drv->plug) {
            n->drv->plug(n);
        } else if (!on && n->drv->unplug) {
            n->drv->unplug(n);
        }
    }
}

void blk_plug(BlkBackend *b)
{
    plug(b->node, true);
}

void blk_unplug(BlkBackend *b)
{
    plug(b->node, false);
}
