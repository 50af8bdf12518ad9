/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * scsi.c - SCSI host device (virtio 1.2, section 5.6): commands, task management,
 * events, on their way between queues and the SCSI layer.
 *
 * Thread class: LOOP_CALL(bus.loop), which is the loop of all queues; what is said
 * otherwise runs under the machine lock.
 *
 * Invariants
 * 1. A command's data lies in its chain behind the header (to the device) or
 *    behind the response (from it).
 * 2. A task management request is answered when the commands it ends have ended.
 */
#include <glib.h>
#include "hw/virtio/vscsi.h"

#define CMD_HEAD 19                    /* before the command block            */
#define RESP_HEAD 12                   /* before the sense data               */

static uint32_t load(const uint32_t *p)
{
    return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static void notify_later(VirtioScsi *s, Virtq *q)
{
    loop_post(q->loop, &s->queues[q->index].notify);
}

/* ---- answers ------------------------------------------------------------- */

static void ctl_less(VscsiCtl *c)
{
    if (!--c->left) {
        uint8_t b[5] = { 0, 0, 0, 0, c->response };
        bool tmf = c->e.in_len < 5;

        virtq_write(&c->e, 0, tmf ? b + 4 : b, tmf ? 1 : 5);
        virtq_push(c->e.q, &c->e, tmf ? 1 : 5);
        notify_later((VirtioScsi *)c->e.q->v, c->e.q);
    }
}

static void respond(VscsiReq *q, uint8_t response)
{
    VirtioScsi *s = (VirtioScsi *)q->e.q->v;
    ScsiReq *r = &q->r;
    uint8_t b[RESP_HEAD + VSCSI_SENSE_MAX] = { 0 };
    uint32_t room = q->resp_len - RESP_HEAD, n = 0;

    if (response == VIRTIO_SCSI_S_OK) {
        n = MIN2(r->sense_len, MIN2(room, VSCSI_SENSE_MAX));
        st_le32(b, n);
        /* of what was to move: nothing is left of nothing */
        st_le32(b + 4, r->status == SCSI_GOOD && r->dir != SCSI_NONE
                ? (uint32_t)(q->buf_len - r->moved) : 0);
        b[10] = r->status;
        memcpy(b + RESP_HEAD, r->sense, n);
    }
    b[11] = response;
    virtq_write(&q->e, 0, b, RESP_HEAD + n);
    virtq_push(q->e.q, &q->e, q->resp_len + (r->dir == SCSI_IN ? r->moved : 0));
    notify_later(s, q->e.q);
}

static void command_done(ScsiReq *r)
{
    VscsiReq *q = container_of(r, VscsiReq, r);
    VirtioScsi *s = (VirtioScsi *)q->e.q->v;
    VscsiCtl *waiter = q->waiter;

    q->waiter = NULL;
    if (!r->aborted) {
        respond(q, VIRTIO_SCSI_S_OK);
    } else if (__atomic_load_n(&s->resetting, __ATOMIC_ACQUIRE)) {
        virtq_drop(q->e.q, &q->e);
    } else {
        respond(q, q->by_reset ? VIRTIO_SCSI_S_RESET : VIRTIO_SCSI_S_ABORTED);
    }
    if (waiter) {
        ctl_less(waiter);
    }
}

/* ---- commands ------------------------------------------------------------ */

/* The eight bytes of an address: 1, target, and a LUN of the flat kind. */
static bool address(const uint8_t *p, unsigned *target, uint16_t *lun)
{
    *target = p[1];
    *lun = (uint16_t)((p[2] & 0x3f) << 8 | p[3]);
    return p[0] == 1 && (!p[2] || p[2] >> 6 == 1);
}

/* Gives the command its buffer: the chain's part behind `skip` bytes. */
static void set_buffer(VscsiReq *q, bool in, uint32_t skip)
{
    const VirtqElem *e = &q->e;
    const struct iovec *iov = in ? e->iov + e->nout : e->iov;
    unsigned n = in ? e->nin : e->nout;

    q->r.iov_len = (in ? e->in_len : e->out_len) - skip;
    if (n && iov[0].iov_len == skip) {
        q->r.iov = iov + 1;
        q->r.niov = n - 1;
        return;
    }
    if (q->own_cap < n) {
        g_free(q->own);
        q->own_cap = (uint16_t)n;
        q->own = g_new(struct iovec, n);
    }
    q->r.niov = virtq_cut(iov, n, skip, 0, q->own);
    q->r.iov = q->own;
}

/* VIRTIO_SCSI_S_OK: to be submitted. */
static uint8_t prepare(VirtioScsi *s, VscsiReq *q, uint32_t head)
{
    uint8_t b[CMD_HEAD + VSCSI_CDB_MAX];
    uint64_t out, in;
    unsigned target;

    virtq_read(&q->e, 0, b, head);
    q->tag = ld_le64(b + 8);
    out = q->e.out_len - head;
    in = q->e.in_len - q->resp_len;
    q->buf_len = MAX2(out, in);
    memset(q->r.cdb, 0, sizeof(q->r.cdb));
    memcpy(q->r.cdb, b + CMD_HEAD, MIN2(head - CMD_HEAD, SCSI_CDB));
    q->r.done = command_done;
    q->waiter = NULL;
    q->by_reset = false;
    q->r.dir = SCSI_NONE;
    q->r.moved = 0;
    if (!address(b, &target, &q->r.lun) ||
        !scsi_target_exists(&s->bus, target)) {
        return VIRTIO_SCSI_S_BAD_TARGET;
    }
    scsi_begin(&s->bus, &q->r, target);
    if (out && in) {
        return VIRTIO_SCSI_S_FAILURE;  /* both ways: not offered              */
    }
    if (q->r.dir != SCSI_NONE &&
        q->r.xfer > (q->r.dir == SCSI_IN ? in : out)) {
        return VIRTIO_SCSI_S_OVERRUN;
    }
    if (q->r.dir != SCSI_NONE) {
        set_buffer(q, q->r.dir == SCSI_IN,
                   q->r.dir == SCSI_IN ? q->resp_len : head);
    }
    return VIRTIO_SCSI_S_OK;
}

/* false: the chain is no request; the device is broken. */
static bool command(VirtioScsi *s, VscsiReq *q)
{
    uint32_t head = CMD_HEAD + load(&s->cdb_size);
    uint8_t st;

    q->resp_len = RESP_HEAD + load(&s->sense_size);
    if (UNLIKELY(q->e.out_len < head || q->e.in_len < q->resp_len)) {
        virtio_broken(&s->v, "wrong size for virtio-scsi headers");
        virtq_drop(q->e.q, &q->e);
        return false;
    }
    st = prepare(s, q, head);
    if (UNLIKELY(st != VIRTIO_SCSI_S_OK)) {
        respond(q, st);
        return true;
    }
    scsi_submit(&q->r);
    return true;
}

void vscsi_command(Virtq *q)
{
    VirtioScsi *s = (VirtioScsi *)q->v;
    VscsiReq *r;

    do {
        virtq_want_kicks(q, false);
        while ((r = virtq_pop(q)) && command(s, r)) {
        }
        virtq_want_kicks(q, true);
    } while (!virtq_empty(q));
}

/* ---- task management ----------------------------------------------------- */

/* Which commands of a unit a function means. */
typedef struct Choice {
    bool one;
    uint64_t tag;
    bool cancel, reset;
} Choice;

/* Commands found. */
static unsigned apply(VscsiCtl *c, ScsiDevice *d, const Choice *h)
{
    ScsiReq *next;
    unsigned found = 0;

    for (ScsiReq *r = d->active; r; r = next) {
        VscsiReq *q = container_of(r, VscsiReq, r);

        next = r->next;
        if (h->one && q->tag != h->tag) {
            continue;
        }
        found++;
        if (h->cancel) {
            if (!q->waiter) {
                q->waiter = c;
                c->left++;
            }
            q->by_reset = h->reset;
            scsi_cancel(r);
        }
    }
    if (h->reset) {
        scsi_unit_reset(d);
    }
    return found;
}

static uint8_t tmf_unit(VirtioScsi *s, VscsiCtl *c, const uint8_t *b,
                        Choice h)
{
    unsigned target, found;
    uint16_t lun;
    ScsiDevice *d;

    if (!address(b + 8, &target, &lun) ||
        !scsi_target_exists(&s->bus, target)) {
        return VIRTIO_SCSI_S_BAD_TARGET;
    }
    d = scsi_find(&s->bus, target, lun);
    if (!d) {
        return VIRTIO_SCSI_S_INCORRECT_LUN;
    }
    h.tag = ld_le64(b + 16);
    found = apply(c, d, &h);
    return found && !h.cancel ? VIRTIO_SCSI_S_FUNCTION_SUCCEEDED
                              : VIRTIO_SCSI_S_OK;
}

static uint8_t tmf_nexus(VirtioScsi *s, VscsiCtl *c, const uint8_t *b)
{
    Choice h = { .cancel = true, .reset = true };
    unsigned target;
    uint16_t lun;

    if (!address(b + 8, &target, &lun) ||
        !scsi_target_exists(&s->bus, target)) {
        return VIRTIO_SCSI_S_BAD_TARGET;
    }
    for (ScsiDevice *d = s->bus.targets[target]; d; d = d->next) {
        apply(c, d, &h);
    }
    return VIRTIO_SCSI_S_OK;
}

static uint8_t tmf(VirtioScsi *s, VscsiCtl *c, const uint8_t *b)
{
    switch (ld_le32(b + 4)) {
    case VIRTIO_SCSI_T_TMF_ABORT_TASK:
        return tmf_unit(s, c, b, (Choice){ .one = true, .cancel = true });
    case VIRTIO_SCSI_T_TMF_QUERY_TASK:
        return tmf_unit(s, c, b, (Choice){ .one = true });
    case VIRTIO_SCSI_T_TMF_ABORT_TASK_SET:
    case VIRTIO_SCSI_T_TMF_CLEAR_TASK_SET:
        return tmf_unit(s, c, b, (Choice){ .cancel = true });
    case VIRTIO_SCSI_T_TMF_QUERY_TASK_SET:
        return tmf_unit(s, c, b, (Choice){ .one = false });
    case VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET:
        return tmf_unit(s, c, b, (Choice){ .cancel = true, .reset = true });
    case VIRTIO_SCSI_T_TMF_I_T_NEXUS_RESET:
        return tmf_nexus(s, c, b);
    default:
        return VIRTIO_SCSI_S_FUNCTION_REJECTED;
    }
}

static bool control(VirtioScsi *s, VscsiCtl *c)
{
    uint8_t b[24] = { 0 };
    uint32_t n = (uint32_t)virtq_read(&c->e, 0, b, sizeof(b)), type;

    type = n >= 4 ? ld_le32(b) : UINT32_MAX;
    c->left = 1;
    if (type == VIRTIO_SCSI_T_TMF && n >= 24 && c->e.in_len >= 1) {
        c->response = tmf(s, c, b);
    } else if ((type == VIRTIO_SCSI_T_AN_QUERY ||
                type == VIRTIO_SCSI_T_AN_SUBSCRIBE) && n >= 16 &&
               c->e.in_len >= 5) {
        c->response = VIRTIO_SCSI_S_OK;
    } else {
        virtio_broken(&s->v, "wrong size for virtio-scsi headers");
        virtq_drop(c->e.q, &c->e);
        return false;
    }
    ctl_less(c);
    return true;
}

void vscsi_control(Virtq *q)
{
    VscsiCtl *c;

    while ((c = virtq_pop(q)) && control((VirtioScsi *)q->v, c)) {
    }
}

/* ---- events -------------------------------------------------------------- */

typedef struct Event {
    VirtioScsi *s;
    uint8_t b[sizeof(struct virtio_scsi_event)];
} Event;

static void send_event(void *arg)
{
    Event *ev = arg;
    VirtioScsi *s = ev->s;
    Virtq *q = s->v.queues[1];
    VirtqElem *e = virtq_ready(q) ? virtq_pop(q) : NULL;

    if (!e) {
        s->missed = true;
        return;
    }
    if (s->missed) {
        ev->b[3] |= 0x80;
        s->missed = false;
    }
    if (e->in_len < sizeof(ev->b)) {
        virtio_broken(&s->v, "virtio-scsi event buffer too short");
        virtq_drop(q, e);
        return;
    }
    virtq_write(e, 0, ev->b, sizeof(ev->b));
    virtq_push(q, e, sizeof(ev->b));
    virtq_notify(q);
}

void vscsi_event(VirtioScsi *s, ScsiDevice *d, uint32_t event, uint32_t reason)
{
    Event ev = { .s = s };

    if (!(s->v.status & VIRTIO_DRIVER_OK)) {
        return;
    }
    if (!s->v.running) {
        s->missed = true;              /* told when the guest runs again      */
        return;
    }
    st_le32(ev.b, event);
    ev.b[4] = 1;
    ev.b[5] = (uint8_t)d->id;
    ev.b[6] = d->lun < 256 ? 0 : (uint8_t)(0x40 | d->lun >> 8);
    ev.b[7] = (uint8_t)d->lun;
    st_le32(ev.b + 12, reason);
    virtq_run(s->v.queues[1], send_event, &ev);
}

/* Buffers are there again: what was missed is told. */
void vscsi_event_kick(Virtq *q)
{
    VirtioScsi *s = (VirtioScsi *)q->v;

    if (s->missed) {
        Event ev = { .s = s };

        send_event(&ev);
    }
}

/* ---- a new machine takes kept commands over ------------------------------ */

static void forget_saved(VirtioScsi *s) MACHINE_CALL;
static void forget_saved(VirtioScsi *s)
{
    virtq_saved_free(s->saved, s->nsaved);
    s->saved = NULL;
    s->nsaved = 0;
}

void vscsi_before_save(void *opaque)
{
    VirtioScsi *s = opaque;
    uint32_t n = 0;

    machine_assert_locked();
    forget_saved(s);
    for (const ScsiReq *r = s->bus.kept; r; r = r->next_kept) {
        n++;
    }
    s->nsaved = n;
    s->saved = g_new0(VirtqSaved, n);
    for (ScsiReq *r = s->bus.kept; r; r = r->next_kept) {
        virtq_save(&container_of(r, VscsiReq, r)->e, &s->saved[--n]);
    }
}

bool vscsi_before_load(void *opaque, Error **errp)
{
    machine_assert_locked();
    forget_saved(opaque);
    return true;
}

static bool keep(VirtioScsi *s, VscsiReq *q)
{
    uint32_t head = CMD_HEAD + load(&s->cdb_size);

    q->resp_len = RESP_HEAD + load(&s->sense_size);
    if (q->e.q->index < VSCSI_FIXED || q->e.out_len < head ||
        q->e.in_len < q->resp_len ||
        prepare(s, q, head) != VIRTIO_SCSI_S_OK || !q->r.dev) {
        return false;
    }
    q->r.in_flight = false;
    scsi_keep(&q->r);
    return true;
}

bool vscsi_after_load(void *opaque, int version, Error **errp)
{
    VirtioScsi *s = opaque;
    bool ok = true;

    machine_assert_locked();
    if (s->cdb_size > VSCSI_CDB_MAX || s->sense_size > VSCSI_SENSE_MAX) {
        ok = error_set(errp, "virtio-scsi: command blocks of %u bytes, sense of "
                       "%u", s->cdb_size, s->sense_size);
    }
    for (uint32_t i = 0; ok && i < s->nsaved; i++) {
        VscsiReq *q = virtq_restore(&s->v, &s->saved[i], errp);

        ok = q != NULL;
        if (ok && !keep(s, q)) {
            virtq_drop(q->e.q, &q->e);
            ok = error_set(errp, "virtio-scsi: request %u of the stream is none",
                           i);
        }
    }
    forget_saved(s);
    return ok;
}
