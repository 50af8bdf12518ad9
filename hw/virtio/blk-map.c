/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blk-map.c - virtio-blk's queues on several iothreads: the property
 * iothread-vq-mapping, and the way of a request between its queue's loop and the
 * loop of the drive, where they are two.
 *
 * Thread class: MACHINE_CALL for the property; a queue's two stacks are pushed to
 * by one side and emptied by the other, from any thread.
 *
 * Invariants
 * 1. Without a mapping every queue is in the drive's loop and nothing here runs.
 * 2. A request on a stack is counted in `busy`.
 * 3. Each iothread of the mapping is claimed once, from realize to unrealize.
 */
#include <glib.h>
#include "hw/virtio/blk.h"

/* ---- the property -------------------------------------------------------- */

/* As it was given; the device's function has it, among what the user has set. */
static const Json *mapping_of(const VirtioBlk *s)
{
    const Device *fn = s->v.dev.bus ? s->v.dev.bus->owner : NULL;
    const Json *v = fn && fn->given ? json_get(fn->given, VBLK_MAPPING) : NULL;

    return v && json_kind(v) == JSON_LIST ? v : NULL;
}

Json *vblk_map_get(const Obj *o, const Prop *p, Error **errp)
{
    const Json *v = mapping_of((const VirtioBlk *)o);

    return v ? json_copy(v) : json_list();
}

bool vblk_map_set(Obj *o, const Prop *p, const Json *v, Error **errp)
{
    return json_kind(v) == JSON_LIST ||
           error_set(errp, "Invalid parameter type for '%s', expected: array",
                     p->name);
}

/* ---- who serves what ----------------------------------------------------- */

static MACHINE_CALL Obj *claim(VirtioBlk *s, const Json *item, size_t n,
                               Error **errp)
{
    const char *id = json_kind(item) == JSON_OBJ
        ? json_get_str(item, "iothread") : NULL;
    Obj *t;

    if (!id) {
        error_set(errp, "Parameter 'iothread-vq-mapping[%zu].iothread' is "
                  "missing", n);
        return NULL;
    }
    for (size_t i = 0; i < json_count(item); i++) {
        const char *key = json_key_at(item, i);

        if (strcmp(key, "iothread") && strcmp(key, "vqs")) {
            error_set(errp, "Parameter 'iothread-vq-mapping[%zu].%s' is "
                      "unexpected", n, key);
            return NULL;
        }
    }
    for (unsigned i = 0; i < s->nthreads; i++) {
        if (!strcmp(s->threads[i]->name, id)) {
            error_set(errp, "duplicate IOThread name \"%s\" in "
                      "iothread-vq-mapping", id);
            return NULL;
        }
    }
    t = user_obj_find(id);
    if (!t) {
        error_set(errp, "IOThread \"%s\" object does not exist", id);
        return NULL;
    }
    return prop_ref_iothread.claim(&s->v.dev.obj, "iothread-vq-mapping", id,
                                   errp);
}

static MACHINE_CALL bool assign(VirtioBlk *s, Obj *t, const Json *vqs,
                                Error **errp)
{
    if (json_kind(vqs) != JSON_LIST) {
        return error_set(errp, "Invalid parameter type for 'vqs', expected: "
                         "array");
    }
    for (size_t i = 0; i < json_count(vqs); i++) {
        const Json *e = json_at(vqs, i);
        int64_t n = json_kind(e) == JSON_INT ? json_int_of(e) : -1;

        if (n < 0 || n >= s->num_queues) {
            return error_set(errp, "vq index %" PRId64 " for IOThread \"%s\" "
                             "must be less than num_queues %u in "
                             "iothread-vq-mapping", n, t->name,
                             s->num_queues);
        }
        if (s->loops[n]) {
            return error_set(errp, "cannot assign vq %" PRId64 " to IOThread "
                             "\"%s\" because it is already assigned", n,
                             t->name);
        }
        s->loops[n] = iothread_loop(t);
    }
    return true;
}

static MACHINE_CALL bool assign_all(VirtioBlk *s, unsigned listed, Error **errp)
{
    if (listed && listed != s->nthreads) {
        return error_set(errp, "either all items in iothread-vq-mapping must "
                         "have vqs or none of them must have it");
    }
    for (unsigned i = 0; i < s->num_queues; i++) {
        if (!listed) {
            s->loops[i] = iothread_loop(s->threads[i % s->nthreads]);
        } else if (!s->loops[i]) {
            return error_set(errp, "missing vq %u IOThread assignment in "
                             "iothread-vq-mapping", i);
        }
    }
    return true;
}

bool vblk_map_apply(VirtioBlk *s, Error **errp)
{
    const Json *mapping = mapping_of(s);
    size_t n = mapping ? json_count(mapping) : 0;
    unsigned listed = 0;

    if (!n) {
        return true;
    }
    if (s->iothread) {
        return error_set(errp, "iothread and iothread-vq-mapping properties "
                         "cannot be set at the same time");
    }
    if (n > VIRTIO_QUEUES_MAX) {
        return error_set(errp, "iothread-vq-mapping has more than %d items",
                         VIRTIO_QUEUES_MAX);
    }
    s->threads = g_new0(Obj *, n);
    s->loops = g_new0(Loop *, s->num_queues);
    for (size_t i = 0; i < n; i++) {
        const Json *item = json_at(mapping, i);
        Obj *t = claim(s, item, i, errp);
        const Json *vqs = t ? json_get(item, "vqs") : NULL;

        if (!t) {
            return false;
        }
        s->threads[s->nthreads++] = t;
        if (vqs && !assign(s, t, vqs, errp)) {
            return false;
        }
        listed += vqs != NULL;
    }
    return assign_all(s, listed, errp);
}

void vblk_map_drop(VirtioBlk *s)
{
    for (unsigned i = 0; i < s->nthreads; i++) {
        prop_ref_iothread.release(&s->v.dev.obj, s->threads[i]);
    }
    s->nthreads = 0;
    g_free(s->threads);
    g_free(s->loops);
    s->threads = NULL;
    s->loops = NULL;
}

/* ---- between two loops --------------------------------------------------- */

static void push(VblkReq **stack, VblkReq *r)
{
    r->next = __atomic_load_n(stack, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(stack, &r->next, r, true,
                                        __ATOMIC_RELEASE, __ATOMIC_RELAXED)) {
    }
}

/* All of them, the oldest first. */
static VblkReq *take(VblkReq **stack)
{
    VblkReq *r = __atomic_exchange_n(stack, NULL, __ATOMIC_ACQUIRE);
    VblkReq *first = NULL;

    while (r) {
        VblkReq *next = r->next;

        r->next = first;
        first = r;
        r = next;
    }
    return first;
}

static VirtioBlk *drive_owner(const VblkQueue *vq)
{
    return (VirtioBlk *)vq->q->v;
}

/* In the drive's loop. */
static void submit_all(void *arg)
{
    VblkQueue *vq = arg;
    BlkBackend *b = drive_owner(vq)->conf.blk;
    VblkReq *r = take(&vq->down);

    blk_plug(b);
    while (r) {
        VblkReq *next = r->next;

        blk_submit(b, &r->req);
        r = next;
    }
    blk_unplug(b);
}

/* In the queue's loop. */
static void finish_all(void *arg)
{
    VblkQueue *vq = arg;
    VblkReq *r = take(&vq->up);

    while (r) {
        VblkReq *next = r->next;

        vblk_done(r);
        r = next;
    }
}

void vblk_hand_down(VblkQueue *vq, VblkReq *r)
{
    push(&vq->down, r);
    loop_post(blk_loop(drive_owner(vq)->conf.blk), &vq->submit);
}

void vblk_hand_up(VblkQueue *vq, VblkReq *r)
{
    push(&vq->up, r);
    loop_post(vq->q->loop, &vq->finish);
}

void vblk_map_queue(VblkQueue *vq)
{
    VirtioBlk *s = drive_owner(vq);
    Loop *drive = blk_loop(s->conf.blk);

    virtq_set_loop(vq->q, s->loops ? s->loops[vq->q->index] : drive);
    vq->foreign = vq->q->loop != drive;
    vq->submit = (Work){ .fn = submit_all, .arg = vq };
    vq->finish = (Work){ .fn = finish_all, .arg = vq };
}
