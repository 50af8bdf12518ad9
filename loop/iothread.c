/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * iothread.c - the user-creatable objects iothread and main-loop, as the
 * reference machine's object-properties list them.
 *
 * Thread class: MACHINE_CALL throughout.
 *
 * Invariants:
 * 1. `live` holds the values that the loop works by; a refused value goes back
 *    to them.
 * 2. An iothread that something refers to, and the main-loop object, stay.
 */
#include "iothread.h"

enum { BATCH, POOL_MIN, POOL_MAX, POLL_MAX, POLL_GROW, POLL_SHRINK, PARAMS };

typedef struct EventLoop {
    Obj obj;
    int64_t v[PARAMS], live[PARAMS];
    Loop *loop;                        /* NULL: not complete                  */
    unsigned users;
} EventLoop;

static EventLoop *main_loop_obj;       /* at most one                         */

static bool pool_fits(const EventLoop *e, Error **errp)
{
    if (e->v[POOL_MIN] > e->v[POOL_MAX] || e->v[POOL_MAX] == 0 ||
        e->v[POOL_MAX] > INT32_MAX) {
        return error_set(errp, "bad thread-pool-min/thread-pool-max values");
    }
    return true;
}

static void params_apply(EventLoop *e)
{
    loop_set_batch(e->loop, e->v[BATCH]);
    loop_set_pool(e->loop, e->v[POOL_MIN], e->v[POOL_MAX]);
    if (e->loop != loop_main) {
        loop_set_polling(e->loop, e->v[POLL_MAX], e->v[POLL_GROW],
                         e->v[POLL_SHRINK]);
    }
    memcpy(e->live, e->v, sizeof(e->live));
}

static bool param_set(Obj *o, const Prop *p, const Json *v, Error **errp)
{
    EventLoop *e = (EventLoop *)o;
    int64_t *field = (int64_t *)((char *)e + p->offset);
    bool ok = true;

    if (*field < 0) {
        ok = error_set(errp, "%s value must be in range [0, %" PRId64 "]",
                       p->name, INT64_MAX);
    } else if (e->loop) {
        ok = pool_fits(e, errp);
    }
    if (!ok) {
        *field = e->live[field - e->v];
    } else if (e->loop) {
        params_apply(e);
    }
    return ok;
}

#define PARAM(nm, i, d, ...) \
    PROP_I64(nm, EventLoop, v[i], d, .type = "int", .flags = PF_LIVE, \
             .set = param_set, ##__VA_ARGS__)

static const Prop base_props[] = {
    PARAM("aio-max-batch", BATCH, 0,
          .desc = "requests in one submission to the host, 0: no limit"),
    PARAM("thread-pool-min", POOL_MIN, 0,
          .desc = "worker threads that are kept"),
    PARAM("thread-pool-max", POOL_MAX, 64,
          .desc = "worker threads at most"),
    PROP_END
};

static const Prop iothread_props[] = {
    PARAM("poll-max-ns", POLL_MAX, 32768,
          .desc = "longest time to poll before sleeping, 0: never poll"),
    PARAM("poll-grow", POLL_GROW, 0,
          .desc = "factor by which the polling time grows, 0: two"),
    PARAM("poll-shrink", POLL_SHRINK, 0,
          .desc = "divisor by which the polling time shrinks, 0: to nothing"),
    PROP_END
};

static bool iothread_complete(Obj *o, Error **errp)
{
    EventLoop *e = (EventLoop *)o;

    if (!pool_fits(e, errp)) {
        return false;
    }
    e->loop = loop_new(o->name, errp);
    if (!e->loop) {
        return false;
    }
    params_apply(e);
    return true;
}

static bool in_use(Obj *o, Error **errp)
{
    return error_set(errp, "object '%s' is in use, can not be deleted",
                     o->name);
}

static bool iothread_can_delete(Obj *o, Error **errp)
{
    return ((EventLoop *)o)->users == 0 || in_use(o, errp);
}

static MACHINE_CALL void iothread_finish(Obj *o)
{
    EventLoop *e = (EventLoop *)o;

    if (e->loop) {
        loop_free(e->loop);
        e->loop = NULL;
    }
}

USER_TYPE(iothread_type, {
    .name = "iothread", .parent = "event-loop-base",
    .desc = "thread that serves devices",
    .doc = "A device that is given an iothread by its `iothread` property is "
           "served there, beside the main loop and the vCPUs.",
    .size = sizeof(EventLoop), .props = iothread_props,
    .base_props = base_props, .early = true,
    .complete = iothread_complete, .can_delete = iothread_can_delete,
    .finish = iothread_finish,
});

static bool main_loop_complete(Obj *o, Error **errp)
{
    EventLoop *e = (EventLoop *)o;

    if (main_loop_obj) {
        return error_set(errp, "only one main-loop instance allowed");
    }
    if (!pool_fits(e, errp)) {
        return false;
    }
    main_loop_obj = e;
    e->loop = loop_main;
    params_apply(e);
    return true;
}

static void main_loop_finish(Obj *o)
{
    if (main_loop_obj == (EventLoop *)o) {
        main_loop_obj = NULL;
    }
}

USER_TYPE(main_loop_type, {
    .name = "main-loop", .parent = "event-loop-base",
    .desc = "settings of the main loop",
    .doc = "At most one; it has no thread of its own.",
    .size = sizeof(EventLoop), .base_props = base_props, .early = true,
    .complete = main_loop_complete, .can_delete = in_use,
    .finish = main_loop_finish,
});

TYPE_NAME(event_loop_base, {
    .name = "event-loop-base", .parent = "object", .abstract = true,
});

/* ---- for others ---------------------------------------------------------- */

Loop *iothread_loop(Obj *iothread)
{
    return ((EventLoop *)iothread)->loop;
}

static void *ref_claim(Obj *owner, const char *prop, const char *id,
                       Error **errp)
{
    Obj *o;

    machine_assert_locked();
    o = user_obj_find(id);
    if (!o) {
        error_set_class(errp, ERROR_DEVICE_NOT_FOUND, "Device '%s' not found",
                        id);
        return NULL;
    }
    if (user_obj_type(o) != &iothread_type) {
        error_set(errp, "Invalid parameter type for '%s', expected: iothread",
                  prop);
        return NULL;
    }
    ((EventLoop *)o)->users++;
    return o;
}

static void ref_release(Obj *owner, void *target)
{
    ((EventLoop *)target)->users--;
}

static const char *ref_id(const void *target)
{
    return ((const Obj *)target)->name;
}

const PropRef prop_ref_iothread = {
    .type = "link<iothread>", .claim = ref_claim, .release = ref_release,
    .id = ref_id,
};

void iothread_each(void (*fn)(Obj *iothread, void *arg), void *arg)
{
    for (Obj *o = obj_dir("objects")->first; o; o = o->next) {
        if (user_obj_type(o) == &iothread_type) {
            fn(o, arg);
        }
    }
}
