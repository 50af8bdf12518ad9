/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blk.c - block device (virtio 1.2, section 5.2): the way of a request from its
 * queue to the block layer and back.
 *
 * Thread class: LOOP_CALL(loop of the queue), which is the drive's unless
 * iothread-vq-mapping says otherwise (blk-map.c); what is said otherwise runs under
 * the machine lock.
 *
 * Invariants
 * 1. A request is popped and not pushed while, and only while, it is counted in
 *    `busy`, or kept: `busy` holds those with the block layer or on their way to
 *    the error policy; `kept` those that a stopped machine tries again.
 * 2. The data of a request lies in its chain: between the header's 16 bytes and
 *    the status byte; nothing else of the chain is given to the block layer.
 * 3. kept is touched by the machine lock's holder only.
 */
#include <glib.h>
#include "hw/virtio/blk.h"

#define HEADER 16

/* ---- answers ------------------------------------------------------------- */

static void notify_queue(void *arg)
{
    virtq_notify(((VblkQueue *)arg)->q);
}

static VblkQueue *queue_of(const VblkReq *r)
{
    VirtioBlk *s = (VirtioBlk *)r->e.q->v;

    return &s->queues[r->e.q->index];
}

/* The status byte is the last one of the chain. */
static void finish(VblkReq *r, uint8_t status)
{
    struct iovec *last = &r->e.iov[r->e.nout + r->e.nin - 1];
    VblkQueue *vq = queue_of(r);

    ram_copy_in((uint8_t *)last->iov_base + last->iov_len - 1, &status, 1);
    virtq_push(r->e.q, &r->e, r->e.in_len);
    /* One interrupt for all that this turn of the loop completes. */
    loop_post(vq->q->loop, &vq->notify);
}

static void nudge(void *arg)
{
    /* The main loop wakes, and with it quiesce. */
}

static void busy_less(VirtioBlk *s)
{
    if (!__atomic_sub_fetch(&s->busy, 1, __ATOMIC_SEQ_CST) &&
        __atomic_load_n(&s->resting, __ATOMIC_SEQ_CST)) {
        loop_post_fn(loop_main, nudge, NULL);
    }
}

static void finish_late(void *arg)
{
    VblkReq *r = arg;
    VirtioBlk *s = (VirtioBlk *)r->e.q->v;

    finish(r, r->status);
    busy_less(s);
}

static bool is_read(const VblkReq *r)
{
    return r->type == VIRTIO_BLK_T_IN;
}

/* In the main loop: what the error policy says. */
static void handle_error(void *arg)
{
    VblkReq *r = arg;
    VirtioBlk *s = (VirtioBlk *)r->e.q->v;
    BlkAction a;

    machine_assert_locked();
    a = blk_error_action(s->conf.blk, is_read(r), -r->req.ret);
    if (a == BLKA_STOP) {
        r->next = s->kept;
        s->kept = r;
        busy_less(s);
        return;
    }
    r->status = a == BLKA_IGNORE ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR;
    r->work.fn = finish_late;
    loop_post(r->e.q->loop, &r->work);
}

void vblk_done(VblkReq *r)
{
    BlkReq *req = &r->req;

    if (LIKELY(req->ret >= 0)) {
        finish(r, VIRTIO_BLK_S_OK);
        busy_less((VirtioBlk *)r->e.q->v);
        return;
    }
    if (req->ret == -ECANCELED) {
        busy_less((VirtioBlk *)r->e.q->v);
        return;                        /* quiesce drops it                    */
    }
    if (r->type == VIRTIO_BLK_T_DISCARD && req->ret == -ENOTSUP) {
        finish(r, VIRTIO_BLK_S_OK);
        busy_less((VirtioBlk *)r->e.q->v);
        return;
    }
    r->work = (Work){ .fn = handle_error, .arg = r };
    loop_post(loop_main, &r->work);
}

static void done(BlkReq *req)
{
    VblkReq *r = container_of(req, VblkReq, req);
    VblkQueue *vq = queue_of(r);

    if (LIKELY(!vq->foreign)) {
        vblk_done(r);
    } else {
        vblk_hand_up(vq, r);
    }
}

/* ---- requests ------------------------------------------------------------ */

static void cut(VblkReq *r, const struct iovec *iov, unsigned n, size_t skip,
                size_t trim)
{
    if (r->own_cap < n) {
        g_free(r->own);
        r->own_cap = n;
        r->own = g_new(struct iovec, n);
    }
    r->req.iov = r->own;
    r->req.niov = virtq_cut(iov, n, skip, trim, r->own);
}

static void set_data(VblkReq *r)
{
    const VirtqElem *e = &r->e;

    if (is_read(r)) {
        r->req.len = e->in_len - 1;
        if (LIKELY(e->iov[e->nout + e->nin - 1].iov_len == 1)) {
            r->req.iov = e->iov + e->nout;
            r->req.niov = e->nin - 1;
        } else {
            cut(r, e->iov + e->nout, e->nin, 0, 1);
        }
        return;
    }
    r->req.len = e->out_len - HEADER;
    if (LIKELY(e->iov[0].iov_len == HEADER)) {
        r->req.iov = e->iov + 1;
        r->req.niov = e->nout - 1;
    } else {
        cut(r, e->iov, e->nout, HEADER, 0);
    }
}

static bool range_ok(const VirtioBlk *s, uint64_t sector, uint64_t bytes)
{
    uint64_t sectors = __atomic_load_n(&s->sectors, __ATOMIC_RELAXED);

    return !(bytes & (s->conf.logical - 1)) && sector <= sectors &&
           bytes / 512 <= sectors - sector &&
           !(sector % (s->conf.logical / 512));
}

static void submit(VirtioBlk *s, VblkReq *r)
{
    r->req.flags = r->flags;
    r->req.done = done;
    __atomic_fetch_add(&s->busy, 1, __ATOMIC_RELAXED);
    if (LIKELY(!queue_of(r)->foreign)) {
        blk_submit(s->conf.blk, &r->req);
    } else {
        vblk_hand_down(queue_of(r), r);
    }
}

static void read_write(VirtioBlk *s, VblkReq *r)
{
    set_data(r);
    if (UNLIKELY(!range_ok(s, r->sector, r->req.len))) {
        finish(r, VIRTIO_BLK_S_IOERR);
        return;
    }
    r->req.op = is_read(r) ? BLK_READ : BLK_WRITE;
    r->req.off = r->sector * 512;
    r->flags = 0;
    submit(s, r);
}

static void get_id(VirtioBlk *s, VblkReq *r)
{
    char id[VIRTIO_BLK_ID_BYTES] = { 0 };
    size_t n = MIN2((size_t)r->e.in_len - 1, sizeof(id));

    strncpy(id, s->serial ? s->serial : "", sizeof(id));
    virtq_write(&r->e, 0, id, n);
    finish(r, VIRTIO_BLK_S_OK);
}

/* One segment, as max_*_seg says. */
static uint8_t ranged(VirtioBlk *s, VblkReq *r)
{
    struct virtio_blk_discard_write_zeroes d;
    bool zero = r->type == VIRTIO_BLK_T_WRITE_ZEROES;
    uint32_t most = zero ? s->max_write_zeroes : s->max_discard;
    uint32_t sectors, flags;
    uint64_t sector;

    if (!blk_writable(s->conf.blk)) {
        return VIRTIO_BLK_S_IOERR;
    }
    if (r->e.out_len > HEADER + sizeof(d)) {
        return VIRTIO_BLK_S_UNSUPP;
    }
    if (virtq_read(&r->e, HEADER, &d, sizeof(d)) != sizeof(d)) {
        return VIRTIO_BLK_S_IOERR;
    }
    sector = le64toh(d.sector);
    sectors = le32toh(d.num_sectors);
    flags = le32toh(d.flags);
    if (sectors > most || !range_ok(s, sector, (uint64_t)sectors * 512)) {
        return VIRTIO_BLK_S_IOERR;
    }
    if ((flags & ~VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP) || (flags && !zero)) {
        return VIRTIO_BLK_S_UNSUPP;
    }
    r->req.op = zero ? BLK_ZERO : BLK_DISCARD;
    r->req.off = sector * 512;
    r->req.len = (uint64_t)sectors * 512;
    r->req.niov = 0;
    r->flags = flags ? BLKF_MAY_UNMAP : 0;
    submit(s, r);
    return VIRTIO_BLK_S_OK;
}

static void other(VirtioBlk *s, VblkReq *r)
{
    uint8_t st = VIRTIO_BLK_S_UNSUPP;

    switch (r->type) {
    case VIRTIO_BLK_T_FLUSH:
        r->req.op = BLK_FLUSH;
        r->req.off = r->req.len = 0;
        r->req.niov = 0;
        r->flags = 0;
        submit(s, r);
        return;
    case VIRTIO_BLK_T_SCSI_CMD:        /* not offered; but one has a form     */
        if (r->e.nout < 2 || r->e.nin < 3) {
            st = VIRTIO_BLK_S_IOERR;
        }
        break;
    case VIRTIO_BLK_T_GET_ID:
        get_id(s, r);
        return;
    case VIRTIO_BLK_T_DISCARD:
    case VIRTIO_BLK_T_WRITE_ZEROES:
        if (s->v.host_features >> (r->type == VIRTIO_BLK_T_DISCARD
                                   ? VIRTIO_BLK_F_DISCARD
                                   : VIRTIO_BLK_F_WRITE_ZEROES) & 1) {
            st = ranged(s, r);
        }
        break;
    default:
        break;
    }
    if (st != VIRTIO_BLK_S_OK) {
        finish(r, st);
    }
}

/* false: the chain is no request; the device is broken. */
static bool start(VirtioBlk *s, VblkReq *r)
{
    struct virtio_blk_outhdr h;

    if (UNLIKELY(r->e.out_len < HEADER || !r->e.in_len)) {
        virtio_broken(&s->v, r->e.in_len ? "virtio-blk request outhdr too short"
                             : "virtio-blk missing headers");
        virtq_drop(r->e.q, &r->e);
        return false;
    }
    if (LIKELY(r->e.iov[0].iov_len == HEADER)) {
        ram_copy_out(&h, r->e.iov[0].iov_base, HEADER);
    } else {
        virtq_read(&r->e, 0, &h, HEADER);
    }
    /* A request with the barrier bit of old is one like any other. */
    r->type = le32toh(h.type) & ~(uint32_t)VIRTIO_BLK_T_BARRIER;
    r->sector = le64toh(h.sector);
    if (LIKELY(r->type <= VIRTIO_BLK_T_OUT)) {
        read_write(s, r);
    } else {
        other(s, r);
    }
    return true;
}

void vblk_kicked(Virtq *q)
{
    VirtioBlk *s = (VirtioBlk *)q->v;
    bool foreign = s->queues[q->index].foreign;
    VblkReq *r;

    if (!foreign) {
        blk_plug(s->conf.blk);
    }
    do {
        virtq_want_kicks(q, false);
        while ((r = virtq_pop(q)) && start(s, r)) {
        }
        virtq_want_kicks(q, true);
    } while (!virtq_empty(q));
    if (!foreign) {
        blk_unplug(s->conf.blk);
    }
}

/* ---- coming to rest ------------------------------------------------------ */

/* In the drive's loop, which alone writes req.blk and reads what is waiting. */
static void cancel_all(void *arg)
{
    VirtioBlk *s = arg;

    for (unsigned i = 0; i < s->v.nqueues; i++) {
        Virtq *q = s->v.queues[i];

        for (unsigned k = 0; k < q->num_max; k++) {
            VblkReq *r = virtq_request_at(q, k);

            if (r->req.blk) {
                blk_cancel(&r->req);
            }
        }
    }
}

/* The interrupts that are still due: now, or never. */
static void settle(void *arg)
{
    VblkQueue *vq = arg;

    work_cancel(vq->q->loop, &vq->notify);
    virtq_notify(vq->q);
}

static MACHINE_CALL void in_drive_loop(VirtioBlk *s, void (*fn)(void *arg))
{
    if (blk_loop(s->conf.blk) == loop_main) {
        fn(s);
    } else {
        loop_run_sync(blk_loop(s->conf.blk), fn, s);
    }
}

void vblk_quiesce(Virtio *v, bool forget)
{
    VirtioBlk *s = (VirtioBlk *)v;

    __atomic_store_n(&s->resting, true, __ATOMIC_SEQ_CST);
    blk_drain(s->conf.blk);
    /* What a drained section of somebody else holds back, and what is on its way
     * between the loops. */
    while (__atomic_load_n(&s->busy, __ATOMIC_SEQ_CST)) {
        if (forget) {
            in_drive_loop(s, cancel_all);
        }
        if (__atomic_load_n(&s->busy, __ATOMIC_SEQ_CST)) {
            loop_step(true);
        }
    }
    __atomic_store_n(&s->resting, false, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < v->nqueues; i++) {
        virtq_run(v->queues[i], settle, &s->queues[i]);
    }
    if (forget) {
        s->kept = NULL;                /* the queues forget them              */
    }
}

static void try_again(void *arg)
{
    VblkReq *r = arg;

    submit((VirtioBlk *)r->e.q->v, r);
}

void vblk_resume(Virtio *v)
{
    VirtioBlk *s = (VirtioBlk *)v;
    VblkReq *r = s->kept;

    s->kept = NULL;
    while (r) {
        VblkReq *next = r->next;

        virtq_run(r->e.q, try_again, r);
        r = next;
    }
}

/* ---- a new machine takes kept requests over ------------------------------ */

void vblk_before_save(void *opaque)
{
    VirtioBlk *s = opaque;
    uint32_t n = 0;

    machine_assert_locked();
    virtq_saved_free(s->saved, s->nsaved);
    for (VblkReq *r = s->kept; r; r = r->next) {
        n++;
    }
    s->nsaved = n;
    s->saved = g_new0(VirtqSaved, n);
    for (VblkReq *r = s->kept; r; r = r->next) {
        virtq_save(&r->e, &s->saved[--n]);
    }
}

bool vblk_before_load(void *opaque, Error **errp)
{
    VirtioBlk *s = opaque;

    virtq_saved_free(s->saved, s->nsaved);
    s->saved = NULL;
    s->nsaved = 0;
    return true;
}

/* As when it came, but for the policy: checked, and kept. */
static bool keep(VirtioBlk *s, VblkReq *r)
{
    struct virtio_blk_outhdr h;

    if (r->e.out_len < HEADER || !r->e.in_len) {
        return false;
    }
    virtq_read(&r->e, 0, &h, HEADER);
    r->type = le32toh(h.type) & ~(uint32_t)VIRTIO_BLK_T_BARRIER;
    r->sector = le64toh(h.sector);
    r->flags = 0;
    if (r->type <= VIRTIO_BLK_T_OUT) {
        set_data(r);
        r->req.op = is_read(r) ? BLK_READ : BLK_WRITE;
        r->req.off = r->sector * 512;
        if (!range_ok(s, r->sector, r->req.len)) {
            return false;
        }
    } else {
        /* The others are safe to leave out: a flush is what remains of them. */
        r->req.op = BLK_FLUSH;
        r->req.off = r->req.len = 0;
        r->req.niov = 0;
    }
    r->next = s->kept;
    s->kept = r;
    return true;
}

bool vblk_after_load(void *opaque, int version, Error **errp)
{
    VirtioBlk *s = opaque;
    bool ok = true;

    machine_assert_locked();
    for (uint32_t i = 0; ok && i < s->nsaved; i++) {
        VblkReq *r = virtq_restore(&s->v, &s->saved[i], errp);

        ok = r != NULL;
        if (ok && !keep(s, r)) {
            virtq_drop(r->e.q, &r->e);
            ok = error_set(errp, "virtio-blk: request %u of the stream is none",
                           i);
        }
    }
    virtq_saved_free(s->saved, s->nsaved);
    s->saved = NULL;
    s->nsaved = 0;
    return ok;
}

void vblk_queues_init(VirtioBlk *s)
{
    s->queues = g_new0(VblkQueue, s->num_queues);
    for (unsigned i = 0; i < s->num_queues; i++) {
        s->queues[i].q = virtq_add(&s->v, s->queue_size, sizeof(VblkReq),
                                   vblk_kicked);
        s->queues[i].notify = (Work){ .fn = notify_queue,
                                      .arg = &s->queues[i] };
        vblk_map_queue(&s->queues[i]);
    }
}

void vblk_queues_fini(VirtioBlk *s)
{
    for (unsigned i = 0; i < s->v.nqueues; i++) {
        Virtq *q = s->v.queues[i];

        for (unsigned k = 0; k < q->num_max; k++) {
            g_free(((VblkReq *)virtq_request_at(q, k))->own);
        }
    }
    g_free(s->queues);
    s->queues = NULL;
    virtq_saved_free(s->saved, s->nsaved);
    s->saved = NULL;
    s->nsaved = 0;
}
