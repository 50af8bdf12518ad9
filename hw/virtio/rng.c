/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rng.c - entropy device (virtio 1.2, section 5.4): fills what the guest makes
 * available with random bytes, at most max-bytes per period.
 *
 * Thread class: the machine lock.
 *
 * Invariants
 * 1. At most one request is with the backend. Chains stay in the ring until its
 *    bytes are there, so nothing is in flight when the machine is saved.
 * 2. quota <= max_bytes; the timer runs while quota < max_bytes.
 */
#include <linux/virtio_ids.h>
#include "rng.h"
#include "virtio-pci.h"

typedef struct VirtioRng {
    Virtio v;
    RngBackend *rng, *own;
    uint64_t max_bytes;
    uint32_t period;
    uint64_t quota;
    Timer refill;
    RngReq req;
} VirtioRng;

static void ask(VirtioRng *s) MACHINE_CALL;
static void ask(VirtioRng *s)
{
    Virtq *q = s->v.queues[0];
    VirtqElem *e;
    uint64_t n;

    if (s->req.from || !s->quota || !virtq_ready(q)) {
        return;
    }
    e = virtq_pop(q);
    if (!e) {
        return;
    }
    n = MIN2(e->in_len, (uint64_t)RNG_MAX);
    virtq_unpop(q, e);
    /* A chain with no room for anything is given back as it is. */
    s->req.want = MIN2(MAX2(n, 1), s->quota);
    rng_request(s->rng, &s->req);
}

static void arrived(RngReq *r, const uint8_t *buf, size_t n)
{
    VirtioRng *s = container_of(r, VirtioRng, req);
    Virtq *q = s->v.queues[0];
    VirtqElem *e;
    size_t put;

    machine_assert_locked();
    while (n && virtq_ready(q) && (e = virtq_pop(q))) {
        put = virtq_write(e, 0, buf, n);
        virtq_push(q, e, put);
        buf += put;
        n -= put;
        s->quota -= MIN2(s->quota, put);
    }
    virtq_notify(q);
    if (s->quota < s->max_bytes && !timer_armed(&s->refill)) {
        timer_set(&s->refill, clock_ns(CLOCK_VM) + s->period * NS_PER_MS);
    }
    ask(s);
}

static void kicked(Virtq *q)
{
    machine_assert_locked();
    ask((VirtioRng *)q->v);
}

static void refill(void *arg)
{
    VirtioRng *s = arg;

    machine_assert_locked();
    s->quota = s->max_bytes;
    ask(s);
}

static MACHINE_CALL void quiesce(Virtio *v, bool forget)
{
    rng_cancel(&((VirtioRng *)v)->req);
}

static MACHINE_CALL bool rng_realize(Device *dev, Error **errp)
{
    VirtioRng *s = (VirtioRng *)dev;

    if (!s->period) {
        return error_set(errp, "'period' parameter expects a positive integer");
    }
    if (s->max_bytes > INT64_MAX) {
        return error_set(errp, "'max-bytes' parameter must be non-negative, "
                         "and less than 2^63");
    }
    if (!s->rng) {
        s->rng = s->own = rng_default(&dev->obj);
    }
    virtio_init(&s->v, 0);
    virtq_add(&s->v, 8, sizeof(VirtqElem), kicked);
    timer_init(&s->refill, NULL, CLOCK_VM, refill, s);
    s->req.done = arrived;
    s->quota = s->max_bytes;
    return true;
}

static MACHINE_CALL void rng_unrealize(Device *dev)
{
    VirtioRng *s = (VirtioRng *)dev;

    timer_clear(&s->refill);
    rng_cancel(&s->req);
    virtio_fini(&s->v);
    if (s->own) {
        rng_default_free(s->own);
        s->rng = s->own = NULL;
    }
}

static MACHINE_CALL void rng_reset(Device *dev, ResetKind kind)
{
    VirtioRng *s = (VirtioRng *)dev;

    timer_clear(&s->refill);
    s->quota = s->max_bytes;
}

static bool rng_loaded(void *opaque, int version, Error **errp)
{
    VirtioRng *s = opaque;

    if (s->quota > s->max_bytes) {
        return error_set(errp, "virtio-rng: quota %" PRIu64 " above max-bytes",
                         s->quota);
    }
    return true;
}

static const VmState rng_state = {
    .name = "virtio-rng", .version = 1, .oldest = 1, .after_load = rng_loaded,
    .fields = (const VmField[]){
        VM_U64(VirtioRng, quota), VM_TIMER(VirtioRng, refill),
        VM_END
    },
};

static const Prop rng_rows[] = {
    PROP_U64("max-bytes", VirtioRng, max_bytes, INT64_MAX),
    PROP_U32("period", VirtioRng, period, 1 << 16),
    PROP_REF("rng", VirtioRng, rng, &prop_ref_rng),
    PROP_END
};

static const Prop rng_pci_rows[] = {
    VIRTIO_PCI_IOEVENTFD(true),
    VIRTIO_PCI_VECTORS_COMPAT(VIRTIO_VECTORS_AUTO, 701, "0"),
    PROP_END
};

static const VirtioType rng_type = {
    .id = VIRTIO_ID_RNG, .quiesce = quiesce,
};

VIRTIO_DEVICE(virtio_rng, "virtio-rng", "misc", rng_pci_rows, VIRTIO_ID_RNG,
              0x1005, 0x00ff00,
    .doc = "Gives the guest random bytes from the host, at most max-bytes in "
           "each period of milliseconds.",
    .on_info = &rng_type, .size = sizeof(VirtioRng), .props = rng_rows,
    .vmstate = &rng_state, .realize = rng_realize,
    .unrealize = rng_unrealize, .reset = rng_reset);
