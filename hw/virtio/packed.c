/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * packed.c - the packed ring (virtio 1.2, section 2.8).
 *
 * Thread class: LOOP_CALL(queue's loop).
 *
 * Invariants
 * 1. last_avail and used_idx are below num; avail_wrap and used_wrap are the
 *    counters of those places.
 * 2. A descriptor's flags are read before its other words, and written after
 *    them; of several filled at once the first one's flags are written last.
 * 3. Requests that are not with the device are on the list `free`.
 */
#include "hw/virtio/ring.h"

#define AVAIL_BIT (1u << VRING_PACKED_DESC_F_AVAIL)
#define USED_BIT (1u << VRING_PACKED_DESC_F_USED)
#define OFF_ID 12
#define OFF_FLAGS 14
#define EVENT_OFF 0
#define EVENT_FLAGS 2

static inline uint8_t *slot(const Virtq *q, unsigned i)
{
    return q->map[0].host + 16 * (size_t)i;
}

static bool is_available(const Virtq *q, uint16_t i, bool wrap)
{
    uint16_t flags = ring_ld16_acquire(slot(q, i) + OFF_FLAGS);

    return !(flags & AVAIL_BIT) == !wrap && !(flags & USED_BIT) == wrap;
}

bool packed_empty(const Virtq *q)
{
    return !is_available(q, q->last_avail, q->avail_wrap);
}

/* In a packed ring `next` of a descriptor is the buffer's id. */
static VirtqElem *packed_walk(Virtq *q, uint16_t pos)
{
    uint16_t i = pos, seen = 0;
    VirtqElem *e;
    VirtqDesc d;

    if (pos >= q->num || !q->nfree) {
        virtio_broken(q->v, "queue %u: more chains than the ring holds",
                      q->index);
        return NULL;
    }
    e = virtq_request_at(q, q->free[q->nfree - 1]);
    if (!chain_begin(e, q)) {
        return NULL;
    }
    do {
        if (seen == q->num) {
            chain_end(e, 0);
            virtio_broken(q->v, "queue %u: Looped descriptor", q->index);
            return NULL;
        }
        chain_read_packed(q->map[0].host, i, &d);
        if (d.flags & VRING_DESC_F_INDIRECT) {
            if (seen || !chain_add_indirect(e, &d, false)) {
                chain_end(e, 0);
                virtio_broken(q->v, "queue %u: bad indirect table", q->index);
                return NULL;
            }
            d.flags &= ~VRING_DESC_F_NEXT;
        } else if (!chain_add(e, &d)) {
            return NULL;
        }
        seen++;
        if (++i == q->num) {
            i = 0;
        }
    } while (d.flags & VRING_DESC_F_NEXT);
    q->nfree--;
    e->head = d.next;
    e->pos = pos;
    e->ndesc = seen;
    e->busy = true;
    q->inuse += 1;
    return e;
}

VirtqElem *packed_pop(Virtq *q)
{
    VirtqElem *e;

    if (packed_empty(q)) {
        return NULL;
    }
    e = packed_walk(q, q->last_avail);
    if (!e) {
        return NULL;
    }
    q->last_avail += e->ndesc;
    if (q->last_avail >= q->num) {
        q->last_avail -= q->num;
        q->avail_wrap = !q->avail_wrap;
    }
    if (virtio_has(q->v, VIRTIO_F_EVENT_IDX) && !q->kicks_off) {
        packed_want_kicks(q, true);
    }
    return e;
}

void packed_fill(Virtq *q, VirtqElem *e, uint32_t written, unsigned index)
{
    uint32_t at = q->used_idx + q->filled;
    bool wrap = q->used_wrap;
    uint16_t flags;
    uint8_t *p;

    if (at >= q->num) {
        at -= q->num;
        wrap = !wrap;
    }
    p = slot(q, at);
    flags = (wrap ? AVAIL_BIT | USED_BIT : 0) |
            (written ? VRING_DESC_F_WRITE : 0);
    ring_st32(p + 8, written);
    ring_st16(p + OFF_ID, e->head);
    if (index) {
        ring_st16_release(p + OFF_FLAGS, flags);
    } else {
        q->first_flags = flags;
    }
    ring_dirty(q, 0, 16 * (uint64_t)at, 16);
    q->filled += e->ndesc;
}

void packed_flush(Virtq *q)
{
    ring_st16_release(slot(q, q->used_idx) + OFF_FLAGS, q->first_flags);
    ring_dirty(q, 0, 16 * (uint64_t)q->used_idx, 16);
    q->used_idx += q->filled;
    q->filled = 0;
    if (q->used_idx >= q->num) {
        q->used_idx -= q->num;
        q->used_wrap = !q->used_wrap;
        q->signalled -= q->num;        /* as seen from the new lap            */
    }
}

bool packed_should_notify(Virtq *q)
{
    uint16_t flags = ring_ld16(q->map[1].host + EVENT_FLAGS);
    uint16_t event = ring_ld16(q->map[1].host + EVENT_OFF);
    uint16_t was = q->signalled, off = event & 0x7fff;
    bool valid = q->signalled_valid;

    q->signalled = q->used_idx;
    q->signalled_valid = true;
    if (flags == VRING_PACKED_EVENT_FLAG_DISABLE) {
        return false;
    }
    if (flags != VRING_PACKED_EVENT_FLAG_DESC ||
        !virtio_has(q->v, VIRTIO_F_EVENT_IDX)) {
        return true;
    }
    if ((event >> 15) != q->used_wrap) {
        off -= q->num;
    }
    return !valid || ring_passed(off, q->used_idx, was);
}

void packed_want_kicks(Virtq *q, bool on)
{
    uint8_t *p = q->map[2].host;
    uint16_t flags = VRING_PACKED_EVENT_FLAG_DISABLE;

    if (on && virtio_has(q->v, VIRTIO_F_EVENT_IDX)) {
        ring_st16(p + EVENT_OFF, q->last_avail | q->avail_wrap << 15);
        flags = VRING_PACKED_EVENT_FLAG_DESC;
    } else if (on) {
        flags = VRING_PACKED_EVENT_FLAG_ENABLE;
    }
    ring_st16_release(p + EVENT_FLAGS, flags);
    ring_dirty(q, 2, 0, 4);
}

void packed_want_more(Virtq *q)
{
    uint8_t *p = q->map[2].host;

    ring_st16_release(p + EVENT_FLAGS, VRING_PACKED_EVENT_FLAG_ENABLE);
    ring_dirty(q, 2, 0, 4);
}

static void measure_table(const Virtq *q, const VirtqDesc *d, uint64_t sum[2])
{
    uint64_t len = d->len;
    uint8_t *t;

    if (d->len % 16 || d->addr % 8) {
        return;
    }
    t = mem_map_ram(q->v->dma, d->addr, &len, false);
    for (unsigned k = 0; t && k < len / 16 && k < VIRTQ_SIZE_MAX; k++) {
        VirtqDesc in;

        chain_read_packed(t, k, &in);
        sum[(in.flags & VRING_DESC_F_WRITE) != 0] += in.len;
    }
    if (t) {
        mem_unmap_ram(q->v->dma, t, len, false, 0);
    }
}

bool packed_has_room(Virtq *q, uint64_t in, uint64_t out, uint64_t sum[2])
{
    uint16_t i = q->last_avail;
    bool wrap = q->avail_wrap, inside = false;

    for (unsigned seen = 0; seen < q->num; seen++) {
        VirtqDesc d;

        if (!inside && !is_available(q, i, wrap)) {
            return false;
        }
        chain_read_packed(q->map[0].host, i, &d);
        if (d.flags & VRING_DESC_F_INDIRECT) {
            measure_table(q, &d, sum);
            inside = false;
        } else {
            sum[(d.flags & VRING_DESC_F_WRITE) != 0] += d.len;
            inside = d.flags & VRING_DESC_F_NEXT;
        }
        if (!inside && sum[1] >= in && sum[0] >= out) {
            return true;
        }
        if (++i == q->num) {
            i = 0;
            wrap = !wrap;
        }
    }
    return false;
}
