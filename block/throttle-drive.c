/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * throttle-drive.c - limits of a backend, and the filter node "throttle".
 *
 * Thread class: requests LOOP_CALL(the loop of backend or node); the rest
 * MACHINE_CALL, drained.
 *
 * Invariants
 * 1. A drained backend or node holds no request back.
 */
#include <glib.h>
#include "block/backend.h"
#include "block/throttle.h"

/* ---- backends ------------------------------------------------------------ */

static void backend_go(void *arg, BlkReq *req)
{
    blk_node_submit(((BlkBackend *)arg)->node, req);
}

static MACHINE_CALL void limiter_end(BlkBackend *b)
{
    blk_limiter_fini(b->limiter);
    g_clear_pointer(&b->limiter, g_free);
}

void blk_throttle_fini(BlkBackend *b)
{
    if (b->limiter) {
        limiter_end(b);
    }
}

bool blk_throttle_set(BlkBackend *b, const BlkLimitsSet *s, const char *group,
                      Error **errp)
{
    BlkGroup *g;

    if (s && !blk_limits_check(s, errp)) {
        return false;
    }
    blk_drain_begin(b);
    if (!s) {
        blk_throttle_fini(b);
    } else {
        if (!group) {
            group = b->limiter ? b->limiter->group->name : b->name;
        }
        g = blk_group_get(group);
        blk_throttle_fini(b);
        blk_group_set(g, s);
        b->limiter = g_new0(BlkLimiter, 1);
        blk_limiter_init(b->limiter, g, b->loop, backend_go, b);
        b->limiter->open = 1;          /* until the drain ends                */
    }
    blk_drain_end(b);
    return true;
}

/* ---- the filter ---------------------------------------------------------- */

typedef struct Throttle {
    BlkNode node;
    char *group;                       /* property                            */
    BlkLimiter limiter;
} Throttle;

static void filter_go(void *arg, BlkReq *req)
{
    blk_node_submit(((BlkNode *)arg)->file, req);
}

static void throttle_submit(BlkNode *n, BlkReq *req)
{
    blk_limiter_submit(&((Throttle *)n)->limiter, req);
}

static int throttle_sync(BlkNode *n, BlkReq *req)
{
    return blk_node_sync(n->file, req);
}

static MACHINE_CALL bool throttle_open(BlkNode *n, Error **errp)
{
    Throttle *t = (Throttle *)n;
    BlkGroup *g = blk_group_find(t->group);

    if (!g || !g->object) {
        return error_set(errp, "Throttle group '%s' does not exist", t->group);
    }
    blk_limiter_init(&t->limiter, blk_group_get(t->group), n->loop, filter_go,
                     n);
    n->length = n->file->length;
    n->limits = n->file->limits;
    n->limits.align = 1;
    return true;
}

static MACHINE_CALL void throttle_close(BlkNode *n)
{
    blk_limiter_fini(&((Throttle *)n)->limiter);
}

static MACHINE_CALL void throttle_set_loop(BlkNode *n, Loop *to)
{
    Throttle *t = (Throttle *)n;
    unsigned open = t->limiter.open;
    BlkGroup *g = blk_group_get(t->limiter.group->name);

    blk_limiter_fini(&t->limiter);
    blk_limiter_init(&t->limiter, g, to, filter_go, n);
    t->limiter.open = open;
}

static void throttle_drained(BlkNode *n, bool on)
{
    blk_limiter_open(&((Throttle *)n)->limiter, on);
}

static const Prop throttle_props[] = {
    PROP_STR("throttle-group", Throttle, group, .flags = PF_REQUIRED,
             .desc = "the object whose limits hold"),
    PROP_END
};

static const BlkChildRow throttle_children[] = {
    { .name = "file", .role = ROLE_FILTERED },
    { .name = NULL }
};
static const char *const throttle_strong[] = { "throttle-group", NULL };

BLK_DRIVER(throttle_driver, {
    .name = "throttle", .desc = "limits", .size = sizeof(Throttle),
    .doc = "Passes requests on no faster than an object of type "
           "throttle-group allows.",
    .props = throttle_props, .children = throttle_children, .filter = true,
    .reopens = true, .open = throttle_open, .close = throttle_close,
    .submit = throttle_submit, .sync = throttle_sync,
    .set_loop = throttle_set_loop, .drained = throttle_drained,
    .strong = throttle_strong,
});
