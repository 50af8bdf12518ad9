/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ring.h - what the files of the ring library share with each other and with the
 * device's core.
 */
#ifndef HW_VIRTIO_RING_H
#define HW_VIRTIO_RING_H

#include <endian.h>
#include <linux/virtio_ring.h>
#include "virtio.h"

typedef struct VirtqDesc {             /* one read of a descriptor            */
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next;              /* next: the id in a packed ring       */
} VirtqDesc;

static inline uint16_t ring_ld16(const uint8_t *p)
{
    return le16toh(__atomic_load_n((const uint16_t *)p, __ATOMIC_RELAXED));
}
static inline uint16_t ring_ld16_acquire(const uint8_t *p)
{
    return le16toh(__atomic_load_n((const uint16_t *)p, __ATOMIC_ACQUIRE));
}
static inline void ring_st16(uint8_t *p, uint16_t v)
{
    __atomic_store_n((uint16_t *)p, htole16(v), __ATOMIC_RELAXED);
}
static inline void ring_st16_release(uint8_t *p, uint16_t v)
{
    __atomic_store_n((uint16_t *)p, htole16(v), __ATOMIC_RELEASE);
}
static inline void ring_st32(uint8_t *p, uint32_t v)
{
    __atomic_store_n((uint32_t *)p, htole32(v), __ATOMIC_RELAXED);
}
static inline bool virtio_is_broken(const Virtio *v)
{
    return __atomic_load_n(&v->broken, __ATOMIC_RELAXED);
}
/* Has `event` been passed on the way from `was` to `now`? Section 2.7.7.1. */
static inline bool ring_passed(uint16_t event, uint16_t now, uint16_t was)
{
    return (uint16_t)(now - event - 1) < (uint16_t)(now - was);
}
/* What was written at off of part n (0 desc, 1 avail, 2 used). */
static inline void ring_dirty(const Virtq *q, unsigned n, uint64_t off,
                              uint64_t len)
{
    ram_dirty(q->map[n].ram, q->map[n].off + off, len);
}
/* state.c: what firmware calls the device below its function. */
char *virtio_fw_path(const Device *dev);
/* chain.c. Maps [addr, addr + len) to the element; false: broken already. */
bool chain_begin(VirtqElem *e, Virtq *q);
bool chain_add(VirtqElem *e, const VirtqDesc *d);
/* The entries of an indirect table. next: they are linked (split ring). */
bool chain_add_indirect(VirtqElem *e, const VirtqDesc *d, bool linked);
void chain_read(const uint8_t *table, unsigned i, VirtqDesc *d);
void chain_read_packed(const uint8_t *table, unsigned i, VirtqDesc *d);
/* Gives the buffers back; the first `written` bytes of the writable part are
 * dirty. */
void chain_end(VirtqElem *e, uint64_t written);

/* packed.c */
VirtqElem *packed_pop(Virtq *q);
void packed_fill(Virtq *q, VirtqElem *e, uint32_t written, unsigned index);
void packed_flush(Virtq *q);
bool packed_should_notify(Virtq *q);
bool packed_empty(const Virtq *q);
void packed_want_kicks(Virtq *q, bool on);
void packed_want_more(Virtq *q);
bool packed_has_room(Virtq *q, uint64_t in, uint64_t out, uint64_t sum[2]);

/* ring.c: finds the rings in memory; MACHINE_CALL, the queue at rest. */
bool virtq_map(Virtq *q) MACHINE_CALL;
void virtq_unmap(Virtq *q) MACHINE_CALL;
/* All chains are forgotten and the indices as after reset. */
void virtq_clear(Virtq *q) MACHINE_CALL;
void virtq_free(Virtq *q) MACHINE_CALL;

#endif
