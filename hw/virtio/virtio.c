/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio.c - what all virtio devices have in common: status, features,
 * configuration space, reset, and when queues run (virtio 1.2, sections 2.1 to
 * 2.5 and 3.1).
 *
 * Thread class: MACHINE_CALL, but for virtio_broken and virtio_config_changed:
 * ANY_THREAD.
 *
 * Invariants
 * 1. Kicks reach a queue's loop by eventfd exactly while `running`.
 * 2. A queue's rings are mapped, unmapped and its loop changed only while no
 *    loop touches it: after kicks are off and the device has quiesced.
 * 3. features is a subset of offered.
 */
#include <glib.h>
#include <stdarg.h>
#include "hw/virtio/ring.h"
#include "runstate.h"

typedef struct VirtioHooks {
    Virtio *v;
    RunNotify run;
    MemListener mem;
} VirtioHooks;

char *virtio_name(const Virtio *v)
{
    const Device *fn = v->dev.bus ? v->dev.bus->owner : NULL;

    return device_path(fn ? fn : &v->dev);
}

char *virtio_bus_name(const Virtio *v)
{
    const Device *fn = v->dev.bus ? v->dev.bus->owner : NULL;

    return fn && fn->id ? g_strdup_printf("%s.0", fn->id) : NULL;
}

/* ---- faults and news ----------------------------------------------------- */

static void tell_broken(void *arg)
{
    Virtio *v = arg;

    if (virtio_is_broken(v) && (v->features >> VIRTIO_F_VERSION_1 & 1)) {
        v->status |= VIRTIO_NEEDS_RESET;
        virtio_config_changed(v);
    }
}

void virtio_broken(Virtio *v, const char *fmt, ...)
{
    char text[160];
    va_list ap;

    if (__atomic_exchange_n(&v->broken, true, __ATOMIC_RELAXED)) {
        return;
    }
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    guest_fault(v->dev.type->name, "%s", text);
    loop_post(loop_main, &v->broken_work);
}

static void tell_config(void *arg)
{
    Virtio *v = arg;

    if (v->status & VIRTIO_DRIVER_OK) {
        v->generation++;
        v->transport->interrupt(v->transport_arg, NULL);
    }
}

void virtio_config_changed(Virtio *v)
{
    if (machine_locked()) {
        tell_config(v);
    } else {
        loop_post(loop_main, &v->config_work);
    }
}

/* ---- running ------------------------------------------------------------- */

static void kick_again(void *arg)
{
    virtq_kicked(arg);
}

void virtq_run(Virtq *q, void (*fn)(void *arg), void *arg)
{
    if (q->loop == loop_main) {
        fn(arg);
    } else {
        loop_run_sync(q->loop, fn, arg);
    }
}

static void forget_work(void *arg)
{
    Virtq *q = arg;

    work_cancel(q->loop, &q->work);
}

/* Off: no loop touches a queue any more. On: and looks at each once, for the
 * guest may have kicked meanwhile. */
static void set_running(Virtio *v, bool on) MACHINE_CALL;
static void set_running(Virtio *v, bool on)
{
    const VirtioType *t = virtio_type(v);

    if (v->running == on) {
        return;
    }
    if (!on) {
        v->transport->kicks(v->transport_arg, false);
        for (uint32_t i = 0; i < v->nqueues; i++) {
            virtq_run(v->queues[i], forget_work, v->queues[i]);
        }
        v->running = false;
        if (t->quiesce) {
            t->quiesce(v, false);
        }
        return;
    }
    v->running = true;
    v->transport->kicks(v->transport_arg, true);
    if (t->resume) {
        t->resume(v);
    }
    for (uint32_t i = 0; i < v->nqueues; i++) {
        if (v->queues[i]->mapped) {
            loop_post(v->queues[i]->loop, &v->queues[i]->work);
        }
    }
}

static void update_running(Virtio *v) MACHINE_CALL;
static void update_running(Virtio *v)
{
    set_running(v, (v->status & VIRTIO_DRIVER_OK) && !virtio_is_broken(v) &&
                !v->disabled && run_state_is_running());
}

void virtio_set_disabled(Virtio *v, bool on)
{
    v->disabled = on && v->use_disabled_flag;
    update_running(v);
}

static void run_changed(RunNotify *n, bool running, RunStateNr s)
{
    VirtioHooks *h = container_of(n, VirtioHooks, run);

    machine_assert_locked();
    set_running(h->v, running && (h->v->status & VIRTIO_DRIVER_OK) &&
                !h->v->disabled && !virtio_is_broken(h->v));
}

void virtq_kicked(Virtq *q)
{
    if (q->mapped && !virtio_is_broken(q->v)) {
        q->kick(q);
    }
}

void virtq_kicked_by_register(Virtq *q)
{
    Virtio *v = q->v;

    if (!v->running && ((v->features >> VIRTIO_F_VERSION_1 & 1) ||
                        v->disabled || !run_state_is_running())) {
        return;                        /* looked at when it runs              */
    }
    if (q->loop == loop_main) {
        virtq_kicked(q);
    } else if (v->running) {
        loop_post(q->loop, &q->work);
    }
}

/* ---- rings that move in memory ------------------------------------------- */

static bool part_is_there(const FlatMap *map, const struct VirtqMap *m,
                          uint64_t addr)
{
    const FlatRange *r = mem_find(map, addr);

    return r && r->host && r->host + (addr - r->first) == m->host &&
           r->last - addr >= m->len - 1;
}

static void memory_changed(MemListener *l)
{
    Virtio *v = container_of(l, VirtioHooks, mem)->v;
    bool stale = false;

    machine_assert_locked();
    epoch_enter();
    for (uint32_t i = 0; i < v->nqueues && !stale; i++) {
        const Virtq *q = v->queues[i];
        const FlatMap *map = mem_map(v->dma);

        stale = q->mapped && !(part_is_there(map, &q->map[0], q->desc) &&
                               part_is_there(map, &q->map[1], q->avail) &&
                               part_is_there(map, &q->map[2], q->used));
    }
    epoch_exit();
    if (!stale) {
        return;
    }
    set_running(v, false);
    for (uint32_t i = 0; i < v->nqueues; i++) {
        if (v->queues[i]->mapped) {
            virtq_map(v->queues[i]);
        }
    }
    update_running(v);
}

/* ---- queues -------------------------------------------------------------- */

Virtq *virtq_add(Virtio *v, uint16_t size, size_t request, VirtqFn *kick)
{
    Virtq *q = g_new0(Virtq, 1);

    q->v = v;
    q->index = v->nqueues;
    q->num_max = size;
    q->loop = loop_main;
    q->kick = kick;
    q->request_size = ALIGN_UP(request, 16);
    q->requests = g_malloc0((size_t)size * q->request_size);
    q->free = g_new(uint16_t, size);
    q->work = (Work){ .fn = kick_again, .arg = q };
    virtq_clear(q);
    v->queues = g_renew(Virtq *, v->queues, v->nqueues + 1);
    v->queues[v->nqueues++] = q;
    return q;
}

void virtq_set_loop(Virtq *q, Loop *l)
{
    q->loop = l;
}

void virtq_set_address(Virtq *q, uint64_t desc, uint64_t avail, uint64_t used)
{
    q->desc = desc;
    q->avail = avail;
    q->used = used;
    virtq_map(q);
}

/* Section 2.7.2: one piece, the used ring on the next page of 4 KiB. */
void virtq_legacy_address(Virtq *q, uint64_t base)
{
    uint64_t avail = base + 16 * (uint64_t)q->num;

    if (!base) {
        q->desc = q->avail = q->used = 0;
        virtq_unmap(q);
        return;
    }
    virtq_set_address(q, base, avail,
                      ALIGN_UP(avail + 6 + 2 * (uint64_t)q->num, 4096));
}

void virtq_enabled(Virtq *q)
{
    Virtio *v = q->v;

    /* One more after DRIVER_OK (a queue that was reset): its kicks, too. */
    if (v->running) {
        set_running(v, false);
        update_running(v);
    }
}

void virtq_reset(Virtq *q)
{
    Virtio *v = q->v;
    bool was = v->running;

    set_running(v, false);
    if (virtio_type(v)->queue_reset) {
        virtio_type(v)->queue_reset(q);
    }
    virtq_clear(q);
    if (was) {
        update_running(v);
    }
}

/* ---- life ---------------------------------------------------------------- */

void virtio_init(Virtio *v, uint32_t config_len)
{
    VirtioHooks *h = g_new0(VirtioHooks, 1);

    v->config_len = config_len;
    v->config = g_malloc0(MAX2(config_len, 1));
    v->config_vector = VIRTIO_NO_VECTOR;
    v->broken_work = (Work){ .fn = tell_broken, .arg = v };
    v->config_work = (Work){ .fn = tell_config, .arg = v };
    h->v = v;
    h->run = (RunNotify){ .fn = run_changed, .priority = 100 };
    h->mem = (MemListener){ .name = "virtio", .commit = memory_changed };
    v->hooks = h;
}

void virtio_fini(Virtio *v)
{
    work_cancel(loop_main, &v->broken_work);
    work_cancel(loop_main, &v->config_work);
    for (uint32_t i = 0; i < v->nqueues; i++) {
        virtq_free(v->queues[i]);
    }
    g_free(v->queues);
    g_free(v->config);
    g_free(v->hooks);
    v->queues = NULL;
    v->nqueues = 0;
    v->config = NULL;
    v->hooks = NULL;
}

bool virtio_settle(Virtio *v, Error **errp)
{
    const VirtioType *t = virtio_type(v);
    uint64_t bits = v->host_features;

    v->dma = v->transport->dma(v->transport_arg);
    if (t->features) {
        bits = t->features(v, bits);
    }
    v->offered = bits;
    run_notify_add(&v->hooks->run);
    mem_listen(v->dma, &v->hooks->mem);
    return true;
}

void virtio_unsettle(Virtio *v)
{
    virtio_reset(v);
    mem_unlisten(v->dma, &v->hooks->mem);
    run_notify_del(&v->hooks->run);
}

void virtio_reset(Virtio *v)
{
    const VirtioType *t = virtio_type(v);

    set_running(v, false);
    if (t->quiesce) {
        t->quiesce(v, true);
    }
    work_cancel(loop_main, &v->broken_work);
    work_cancel(loop_main, &v->config_work);
    for (uint32_t i = 0; i < v->nqueues; i++) {
        virtq_clear(v->queues[i]);
    }
    v->broken = v->disabled = false;
    v->features = 0;
    v->generation = 0;
    v->queue_sel = 0;
    v->config_vector = VIRTIO_NO_VECTOR;
    __atomic_store_n(&v->isr, 0, __ATOMIC_RELAXED);
    if (v->status) {
        uint8_t old = v->status;

        v->status = 0;
        if (t->status) {
            t->status(v, old);
        }
    }
    v->dev.type->reset(&v->dev, RESET_BUS);
}

/* ---- status and features ------------------------------------------------- */

void virtio_set_features(Virtio *v, uint64_t bits)
{
    if (v->status & VIRTIO_FEATURES_OK) {
        guest_fault(v->dev.type->name, "features after FEATURES_OK");
        return;
    }
    v->features = bits & v->offered;
}

static bool features_fit(const Virtio *v)
{
    /* A device that must go through the platform's addresses is of no use to a
     * driver that does not (section 6.1). */
    return !(v->offered >> VIRTIO_F_PLATFORM & 1) ||
           (v->features >> VIRTIO_F_PLATFORM & 1);
}

void virtio_set_status(Virtio *v, uint8_t status)
{
    const VirtioType *t = virtio_type(v);
    uint8_t old = v->status;

    if (!status) {
        virtio_reset(v);
        return;
    }
    if ((status & ~old & VIRTIO_FEATURES_OK) && !features_fit(v)) {
        status &= ~VIRTIO_FEATURES_OK;
    }
    if (virtio_is_broken(v) && (old & VIRTIO_NEEDS_RESET)) {
        status |= VIRTIO_NEEDS_RESET;
    }
    v->status = status;
    if (t->chosen && ((status & ~old & VIRTIO_FEATURES_OK) ||
                      ((status & ~old & VIRTIO_DRIVER_OK) &&
                       !(v->features >> VIRTIO_F_VERSION_1 & 1)))) {
        t->chosen(v);
    }
    if (t->status) {
        t->status(v, old);
    }
    update_running(v);
}

/* ---- configuration space ------------------------------------------------- */

uint32_t virtio_config_get(Virtio *v, uint32_t off, unsigned size)
{
    const VirtioType *t = virtio_type(v);
    uint32_t val = 0;

    if (off >= v->config_len || size > v->config_len - off) {
        return UINT32_MAX;
    }
    if (t->config_read) {
        t->config_read(v);
    }
    for (unsigned i = 0; i < size; i++) {
        val |= (uint32_t)v->config[off + i] << 8 * i;
    }
    return val;
}

void virtio_config_set(Virtio *v, uint32_t off, uint32_t val, unsigned size)
{
    const VirtioType *t = virtio_type(v);

    if (off >= v->config_len || size > v->config_len - off ||
        !t->config_write) {
        return;
    }
    if (t->config_read) {
        t->config_read(v);
    }
    for (unsigned i = 0; i < size; i++) {
        v->config[off + i] = val >> 8 * i;
    }
    t->config_write(v, off, size);
}
