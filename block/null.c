/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * null.c - disks without a store: writes vanish, reads leave the buffer as it is,
 * or give zeroes. For measuring what the way there costs.
 *
 * Thread class: LOOP_CALL(node's loop); open and close MACHINE_CALL.
 */
#include <glib.h>
#include "block/driver.h"

typedef struct Null {
    BlkNode node;
    uint64_t size;                     /* properties                          */
    uint64_t latency_ns;
    bool read_zeroes;
} Null;

static void null_answer(const Null *d, BlkReq *req)
{
    if (d->read_zeroes && req->op == BLK_READ) {
        for (unsigned i = 0; i < req->niov; i++) {
            memset(req->iov[i].iov_base, 0, req->iov[i].iov_len);
        }
    }
}

static void null_work(void *arg)
{
    blk_complete(arg, 0);
}

static void null_late(void *arg)
{
    blk_complete(arg, 0);
}

_Static_assert(sizeof(Timer) <= sizeof(((BlkReq *)0)->drv), "timer fits");

static void null_submit(BlkNode *n, BlkReq *req)
{
    const Null *d = (const Null *)n;

    null_answer(d, req);
    if (d->latency_ns) {
        Timer *t = (Timer *)req->drv;

        timer_init(t, n->loop, CLOCK_RT, null_late, req);
        timer_set(t, clock_ns(CLOCK_RT) + (int64_t)d->latency_ns);
        return;
    }
    /* Never in the submitter's stack: done may submit again. */
    req->work = (Work){ .fn = null_work, .arg = req };
    loop_post(n->loop, &req->work);
}

static int null_sync(BlkNode *n, BlkReq *req)
{
    null_answer((const Null *)n, req);
    return 0;
}

static MACHINE_CALL bool null_open(BlkNode *n, Error **errp)
{
    Null *d = (Null *)n;

    if (d->size > INT64_MAX - 512) {
        return error_set(errp, "size is invalid");
    }
    n->length = ALIGN_UP(d->size, 512);
    return true;
}

static int64_t null_allocated(BlkNode *n)
{
    return 0;
}

static int null_extent(BlkNode *n, uint64_t off, uint64_t len, BlkExtent *x)
{
    /* What would be read is unknown, unless it is zeroes. */
    x->flags = ((Null *)n)->read_zeroes
        ? BLKX_ZERO | BLKX_OFFSET | BLKX_ALLOCATED : 0;
    return 0;
}

static bool null_parse_filename(const char *name, Json *opts, Error **errp)
{
    const char *drv = json_get_str(opts, "driver");

    return !strcmp(name, "//") ||
           error_set(errp, "The only allowed filename for this driver is "
                     "'%s://'", drv ? drv : "null-co");
}

static const char *const null_strong[] = { "size", "read-zeroes", NULL };

static char *null_filename(BlkNode *n)
{
    for (const char *const *s = n->drv->strong; *s; s++) {
        if (json_get(n->opts, *s)) {
            return NULL;
        }
    }
    return g_strconcat(n->drv->name, "://", NULL);
}

static const Prop null_props[] = {
    PROP_SIZE("size", Null, size, 1 << 30, .desc = "bytes"),
    PROP_U64("latency-ns", Null, latency_ns, 0, .max = 1ull << 40,
             .desc = "time that a request takes"),
    PROP_BOOL("read-zeroes", Null, read_zeroes, false,
              .desc = "reads give zeroes"),
    PROP_END
};


BLK_DRIVER(null_co_driver, {
    .name = "null-co", .desc = "nothing", .size = sizeof(Null),
    .doc = "Answers at once and stores nothing.", .props = null_props,
    .protocol = true, .prefix = "null-co:", .open = null_open,
    .submit = null_submit, .sync = null_sync,
    .allocated = null_allocated, .extent = null_extent,
    .strong = null_strong, .filename = null_filename,
    .parse_filename = null_parse_filename,
});

BLK_DRIVER(null_aio_driver, {
    .name = "null-aio", .desc = "nothing", .size = sizeof(Null),
    .doc = "The same as null-co under the name that benchmarks use.",
    .props = null_props, .protocol = true, .prefix = "null-aio:",
    .open = null_open, .submit = null_submit, .sync = null_sync,
    .allocated = null_allocated, .extent = null_extent,
    .strong = null_strong, .filename = null_filename,
    .parse_filename = null_parse_filename,
});
