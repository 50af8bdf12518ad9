/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ring.c - the split ring, and what both kinds of ring have in common (virtio
 * 1.2, sections 2.6 and 2.7).
 *
 * Thread class: LOOP_CALL(queue's loop); mapping and clearing MACHINE_CALL with
 * the queue at rest.
 *
 * Invariants
 * 1. While `mapped` the three parts of the ring are pinned RAM, naturally
 *    aligned, of the size that num asks for; nothing else is read or written.
 * 2. inuse counts requests that are with the device; it is at most num.
 * 3. A head is with the device at most once.
 * 4. A broken device's rings are neither read nor written.
 */
#include <glib.h>
#include "hw/virtio/ring.h"

#define AVAIL_FLAGS 0
#define AVAIL_IDX 2
#define AVAIL_RING 4
#define USED_FLAGS 0
#define USED_IDX 2
#define USED_RING 4

static inline uint16_t avail_entry(const Virtq *q, uint16_t i)
{
    return ring_ld16(q->map[1].host + AVAIL_RING + 2 * (i & (q->num - 1)));
}

/* The guest's event index lies behind the available ring, ours behind the used
 * one. */
static inline uint16_t used_event(const Virtq *q)
{
    return ring_ld16(q->map[1].host + AVAIL_RING + 2 * q->num);
}

static inline void set_avail_event(Virtq *q, uint16_t v)
{
    uint32_t off = USED_RING + 8 * q->num;

    ring_st16(q->map[2].host + off, v);
    ring_dirty(q, 2, off, 2);
}

static inline bool usable(const Virtq *q)
{
    return LIKELY(q->mapped && !virtio_is_broken(q->v));
}

/* ---- pop ----------------------------------------------------------------- */

static bool split_walk(Virtq *q, VirtqElem *e, uint16_t head)
{
    uint16_t i = head;

    for (unsigned seen = 0; seen < q->num; seen++) {
        VirtqDesc d;

        chain_read(q->map[0].host, i, &d);
        if (d.flags & VRING_DESC_F_INDIRECT) {
            return chain_add_indirect(e, &d, true);
        }
        if (!chain_add(e, &d)) {
            return false;
        }
        if (!(d.flags & VRING_DESC_F_NEXT)) {
            return true;
        }
        i = d.next;
        if (i >= q->num) {
            chain_end(e, 0);
            virtio_broken(q->v, "queue %u: Desc next is %u", q->index, i);
            return false;
        }
    }
    chain_end(e, 0);
    virtio_broken(q->v, "queue %u: Looped descriptor", q->index);
    return false;
}

static VirtqElem *split_take(Virtq *q, uint16_t head)
{
    VirtqElem *e;

    if (head >= q->num) {
        virtio_broken(q->v, "queue %u: Guest says index %u is available",
                      q->index, head);
        return NULL;
    }
    e = virtq_request_at(q, head);
    if (!chain_begin(e, q) || !split_walk(q, e, head)) {
        return NULL;
    }
    e->head = e->pos = head;
    e->ndesc = 1;
    e->busy = true;
    q->inuse++;
    return e;
}

/* Chains that wait; -1: the index is nonsense. */
static int split_waiting(Virtq *q)
{
    uint16_t idx = ring_ld16_acquire(q->map[1].host + AVAIL_IDX);
    uint16_t n = idx - q->last_avail;

    if (n > q->num) {
        virtio_broken(q->v, "queue %u: Guest moved used index from %u to %u",
                      q->index, q->last_avail, idx);
        return -1;
    }
    return n;
}

static VirtqElem *split_pop(Virtq *q)
{
    VirtqElem *e;

    if (split_waiting(q) <= 0) {
        return NULL;
    }
    e = split_take(q, avail_entry(q, q->last_avail));
    if (e) {
        q->last_avail++;
        if (virtio_has(q->v, VIRTIO_F_EVENT_IDX) && !q->kicks_off) {
            set_avail_event(q, q->last_avail);
        }
    }
    return e;
}

void *virtq_pop(Virtq *q)
{
    if (!usable(q)) {
        return NULL;
    }
    return q->packed ? packed_pop(q) : split_pop(q);
}

bool virtq_empty(Virtq *q)
{
    if (!usable(q)) {
        return true;
    }
    return q->packed ? packed_empty(q) : split_waiting(q) <= 0;
}

void virtq_unpop(Virtq *q, VirtqElem *e)
{
    virtq_drop(q, e);
    if (!q->packed) {
        q->last_avail--;
    } else if (q->last_avail < e->ndesc) {
        q->last_avail += q->num - e->ndesc;
        q->avail_wrap = !q->avail_wrap;
    } else {
        q->last_avail -= e->ndesc;
    }
}

void virtq_drop(Virtq *q, VirtqElem *e)
{
    chain_end(e, 0);
    q->inuse--;
    if (q->packed) {
        q->free[q->nfree++] = ((uint8_t *)e - q->requests) / q->request_size;
    }
}

/* ---- push ---------------------------------------------------------------- */

void virtq_fill(Virtq *q, VirtqElem *e, uint64_t written, unsigned index)
{
    uint32_t len = MIN2(written, (uint64_t)UINT32_MAX);

    if (usable(q)) {
        if (q->packed) {
            packed_fill(q, e, len, index);
        } else {
            uint16_t i = (q->used_idx + index) & (q->num - 1);
            uint32_t off = USED_RING + 8 * i;

            ring_st32(q->map[2].host + off, e->head);
            ring_st32(q->map[2].host + off + 4, len);
            ring_dirty(q, 2, off, 8);
        }
    }
    chain_end(e, written);
    q->inuse--;
    if (q->packed) {
        q->free[q->nfree++] = ((uint8_t *)e - q->requests) / q->request_size;
    }
}

void virtq_flush(Virtq *q, unsigned count)
{
    uint16_t was = q->used_idx;

    if (!usable(q)) {
        return;
    }
    if (q->packed) {
        packed_flush(q);
        return;
    }
    q->used_idx += count;
    ring_st16_release(q->map[2].host + USED_IDX, q->used_idx);
    ring_dirty(q, 2, USED_IDX, 2);
    if ((uint16_t)(q->used_idx - q->signalled) < (uint16_t)(q->used_idx - was)) {
        q->signalled_valid = false;
    }
}

void virtq_push(Virtq *q, VirtqElem *e, uint64_t written)
{
    virtq_fill(q, e, written, 0);
    virtq_flush(q, 1);
}

/* ---- notifications ------------------------------------------------------- */

static bool split_should_notify(Virtq *q)
{
    const Virtio *v = q->v;
    uint16_t was = q->signalled;
    bool valid = q->signalled_valid;

    if (virtio_has(v, VIRTIO_F_NOTIFY_ON_EMPTY) && !q->inuse &&
        virtq_empty(q)) {
        return true;
    }
    if (!virtio_has(v, VIRTIO_F_EVENT_IDX)) {
        return !(ring_ld16(q->map[1].host + AVAIL_FLAGS) &
                 VRING_AVAIL_F_NO_INTERRUPT);
    }
    q->signalled = q->used_idx;
    q->signalled_valid = true;
    return !valid || ring_passed(used_event(q), q->used_idx, was);
}

/* What is written before is out before what comes after is read. On x86 any
 * atomic exchange is that, costs less, and the thread sanitizer knows it. */
static void full_barrier(void)
{
#if defined(__x86_64__)
    uint32_t x = 0;

    __atomic_exchange_n(&x, 1, __ATOMIC_SEQ_CST);
#else
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

void virtq_notify(Virtq *q)
{
    bool want;

    if (!usable(q)) {
        return;
    }
    /* The used index is out before the guest's wish is read. */
    full_barrier();
    want = q->packed ? packed_should_notify(q) : split_should_notify(q);
    if (want) {
        q->v->transport->interrupt(q->v->transport_arg, q);
    }
}

void virtq_want_kicks(Virtq *q, bool on)
{
    q->kicks_off = !on;
    if (!usable(q)) {
        return;
    }
    if (q->packed) {
        packed_want_kicks(q, on);
    } else if (virtio_has(q->v, VIRTIO_F_EVENT_IDX)) {
        if (on) {
            set_avail_event(q, q->last_avail);
        }
    } else {
        ring_st16(q->map[2].host + USED_FLAGS,
                  on ? 0 : VRING_USED_F_NO_NOTIFY);
        ring_dirty(q, 2, USED_FLAGS, 2);
    }
    if (on) {
        full_barrier();
    }
}

/* Kicks at last_avail have been given already for what lies there. */
void virtq_want_more(Virtq *q)
{
    q->kicks_off = false;
    if (!usable(q)) {
        return;
    }
    if (q->packed) {
        packed_want_more(q);
    } else if (virtio_has(q->v, VIRTIO_F_EVENT_IDX)) {
        set_avail_event(q, ring_ld16(q->map[1].host + AVAIL_IDX));
    } else {
        virtq_want_kicks(q, true);
    }
    full_barrier();
}

bool virtq_ready(const Virtq *q)
{
    return usable(q) && (q->v->status & VIRTIO_DRIVER_OK);
}

/* ---- room ---------------------------------------------------------------- */

/* Adds the lengths of a chain; false: it makes no sense (pop will say so). */
static bool measure(Virtq *q, const uint8_t *table, unsigned num, unsigned i,
                    uint64_t sum[2])
{
    for (unsigned seen = 0; seen < num && i < num; seen++) {
        VirtqDesc d;

        chain_read(table, i, &d);
        if (d.flags & VRING_DESC_F_INDIRECT) {
            uint64_t len = d.len;
            uint8_t *t;
            bool ok;

            if (table != q->map[0].host || d.len % 16 || d.addr % 8) {
                return false;
            }
            t = mem_map_ram(q->v->dma, d.addr, &len, false);
            if (!t) {
                return false;
            }
            ok = len == d.len && measure(q, t, len / 16, 0, sum);
            mem_unmap_ram(q->v->dma, t, len, false, 0);
            return ok;
        }
        sum[(d.flags & VRING_DESC_F_WRITE) != 0] += d.len;
        if (!(d.flags & VRING_DESC_F_NEXT)) {
            return true;
        }
        i = d.next;
    }
    return false;
}

/* sum: bytes to read, bytes to write. */
static bool scan(Virtq *q, uint64_t in, uint64_t out, uint64_t sum[2])
{
    int n;

    if (!usable(q)) {
        return false;
    }
    if (q->packed) {
        return packed_has_room(q, in, out, sum);
    }
    n = split_waiting(q);
    for (int i = 0; i < n; i++) {
        uint16_t head = avail_entry(q, q->last_avail + i);

        if (!measure(q, q->map[0].host, q->num, head, sum)) {
            return true;               /* whoever pops it finds the fault     */
        }
        if (sum[1] >= in && sum[0] >= out) {
            return true;
        }
    }
    return false;
}

bool virtq_has_room(Virtq *q, uint64_t in, uint64_t out)
{
    uint64_t sum[2] = { 0, 0 };

    return scan(q, in, out, sum);
}

uint64_t virtq_in_bytes(Virtq *q, uint64_t most)
{
    uint64_t sum[2] = { 0, 0 };

    scan(q, most, 0, sum);
    return sum[1];
}

/* ---- mapping ------------------------------------------------------------- */

static void unmap_part(Virtq *q, struct VirtqMap *m)
{
    if (m->host) {
        mem_unmap_ram(q->v->dma, m->host, m->len, false, 0);
        *m = (struct VirtqMap){ 0 };
    }
}

static bool map_part(Virtq *q, unsigned n, uint64_t addr, uint64_t len,
                     bool write)
{
    struct VirtqMap *m = &q->map[n];
    uint64_t got = len;

    if (!addr) {
        return false;
    }
    m->host = mem_map_ram(q->v->dma, addr, &got, write);
    if (!m->host) {
        return false;
    }
    m->len = got;
    m->ram = ram_of_host(m->host, &m->off);
    return got == len && m->ram;
}

void virtq_unmap(Virtq *q)
{
    for (unsigned i = 0; i < 3; i++) {
        unmap_part(q, &q->map[i]);
    }
    q->mapped = false;
}

static void fill_free(Virtq *q)
{
    q->nfree = 0;
    for (unsigned i = q->num_max; i > 0; i--) {
        if (!((VirtqElem *)virtq_request_at(q, i - 1))->busy) {
            q->free[q->nfree++] = i - 1;
        }
    }
}

bool virtq_map(Virtq *q)
{
    uint64_t n = q->num;
    bool ok;

    virtq_unmap(q);
    q->packed = virtio_has(q->v, VIRTIO_F_PACKED);
    if (!n || n > q->num_max || (!q->packed && !IS_POW2(n))) {
        virtio_broken(q->v, "queue %u: size %u", q->index, q->num);
        return false;
    }
    if (q->desc % 16 || q->avail % (q->packed ? 4 : 2) || q->used % 4) {
        virtio_broken(q->v, "queue %u: ring not aligned", q->index);
        return false;
    }
    if (q->packed) {
        ok = map_part(q, 0, q->desc, 16 * n, true) &&
             map_part(q, 1, q->avail, 4, false) &&
             map_part(q, 2, q->used, 4, true);
        fill_free(q);
    } else {
        ok = map_part(q, 0, q->desc, 16 * n, false) &&
             map_part(q, 1, q->avail, 6 + 2 * n, false) &&
             map_part(q, 2, q->used, 6 + 8 * n, true);
    }
    if (!ok) {
        virtq_unmap(q);
        virtio_broken(q->v, "queue %u: Cannot map its rings", q->index);
        return false;
    }
    q->mapped = true;
    return true;
}

/* ---- life ---------------------------------------------------------------- */

void virtq_clear(Virtq *q)
{
    virtq_unmap(q);
    for (unsigned i = 0; i < q->num_max; i++) {
        VirtqElem *e = virtq_request_at(q, i);

        if (e->busy) {
            chain_end(e, 0);
        }
    }
    q->num = q->num_max;
    q->desc = q->avail = q->used = 0;
    q->last_avail = q->used_idx = q->signalled = 0;
    q->signalled_valid = q->enabled = q->kicks_off = q->packed = false;
    q->avail_wrap = q->used_wrap = true;
    q->inuse = q->filled = 0;
    q->vector = VIRTIO_NO_VECTOR;
}

void virtq_free(Virtq *q)
{
    virtq_clear(q);
    for (unsigned i = 0; i < q->num_max; i++) {
        VirtqElem *e = virtq_request_at(q, i);

        if (e->iov != e->inline_iov) {
            g_free(e->iov);
        }
    }
    g_free(q->requests);
    g_free(q->free);
    g_free(q);
}
