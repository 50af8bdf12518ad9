/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dispatch.c - one register access to one region: sizes, re-entrancy,
 * ioeventfds.
 *
 * Thread class: the machine lock, or ANY_THREAD for MRF_LOCKLESS regions.
 *
 * Invariants:
 * 1. A callback is only given sizes from min to max, and an offset inside the
 *    region.
 * 2. While a locked region's callback runs, *entered is set; another access to a
 *    region with the same flag is refused, so that a device cannot be made to
 *    use its own registers by DMA.
 * 3. A refused read gives 0.
 */
#include <assert.h>
#include <unistd.h>
#include "trace.h"
#include "mem-impl.h"

static unsigned ops_min(const MemOps *ops)
{
    return ops->min ? ops->min : 1;
}

static unsigned ops_max(const MemOps *ops)
{
    return ops->max ? ops->max : 4;
}

static unsigned ops_valid_max(const MemOps *ops)
{
    return ops->valid_max ? ops->valid_max : MAX2(ops_max(ops), 4);
}

static uint64_t region_last(const MemRegion *mr)
{
    return __atomic_load_n(&mr->last, __ATOMIC_RELAXED);
}

unsigned dispatch_size(const MemRegion *mr, uint64_t off, uint64_t len)
{
    unsigned most = mr->ops ? ops_valid_max(mr->ops) : 4;
    uint64_t room = region_last(mr) - off;     /* less one                     */
    uint64_t step = off & -off;

    if (step && step < most && !(mr->ops && mr->ops->unaligned)) {
        most = step;
    }
    len = MIN2(len, most);
    if (len - 1 > room) {
        len = room + 1;
    }
    return len >= 8 ? 8 : len >= 4 ? 4 : len >= 2 ? 2 : 1;
}

static bool access_valid(const MemRegion *mr, uint64_t off, unsigned size)
{
    const MemOps *ops = mr->ops;
    uint64_t last = region_last(mr);

    return ops && off <= last && size - 1 <= last - off &&
           size >= (ops->valid_min ? ops->valid_min : 1) &&
           size <= ops_valid_max(ops) &&
           (ops->unaligned || (off & (size - 1)) == 0);
}

/* ---- re-entrancy --------------------------------------------------------- */

/* Sets the flag that must be cleared afterwards in *clear; false: refused. */
static bool region_enter(MemRegion *mr, uint64_t off, bool **clear)
{
    *clear = NULL;
    if (!mr->entered || (region_flags(mr) & (MRF_LOCKLESS | MRF_REENTRANT))) {
        return true;
    }
    if (*mr->entered) {
        guest_fault(mr->name, "the device was made to access its own "
                    "registers (offset 0x%" PRIx64 "): refused", off);
        return false;
    }
    *mr->entered = true;
    *clear = mr->entered;
    return true;
}

static void region_leave(bool *clear)
{
    if (clear) {
        *clear = false;
    }
}

/* ---- direct memory behind a region --------------------------------------- */

static bool region_direct(const MemRegion *mr, bool write)
{
    if (!mr->ram) {
        return false;
    }
    if (mr->kind == MR_ROMD) {
        return !write && !(region_flags(mr) & MRF_ROMD_OFF);
    }
    return true;
}

static MemResult direct_read(MemRegion *mr, uint64_t off, uint64_t *val,
                             unsigned size)
{
    uint8_t b[8] = { 0 };

    if (off > mr->ram->max || size > mr->ram->max - off) {
        return MEM_DECODE_ERROR;
    }
    ram_copy_out(b, mr->ram->host + off, size);
    *val = ld_le64(b);
    return MEM_OK;
}

static MemResult direct_write(MemRegion *mr, uint64_t off, uint64_t val,
                              unsigned size)
{
    uint8_t b[8];

    if (off > mr->ram->max || size > mr->ram->max - off) {
        return MEM_DECODE_ERROR;
    }
    if (mr->kind == MR_ROM || (region_flags(mr) & MRF_READONLY) ||
        (mr->ram->flags & RAM_READONLY)) {
        return MEM_OK;
    }
    st_le64(b, val);
    ram_copy_in(mr->ram->host + off, b, size);
    ram_dirty(mr->ram, off, size);
    return MEM_OK;
}

/* ---- sizes --------------------------------------------------------------- */

static MemResult call_read(MemRegion *mr, uint64_t off, uint64_t *val,
                           unsigned size, MemAttrs attrs)
{
    const MemOps *ops = mr->ops;
    MemResult res = MEM_OK;

    *val = 0;
    if (ops->read_attrs) {
        res = ops->read_attrs(mr->dev, off, val, size, attrs);
    } else if (ops->read) {
        *val = ops->read(mr->dev, off, size);
    } else {
        res = MEM_DECODE_ERROR;
    }
    *val &= size_mask(size);
    return res;
}

static MemResult call_write(MemRegion *mr, uint64_t off, uint64_t val,
                            unsigned size, MemAttrs attrs)
{
    const MemOps *ops = mr->ops;

    val &= size_mask(size);
    if (ops->write_attrs) {
        return ops->write_attrs(mr->dev, off, val, size, attrs);
    }
    if (!ops->write) {
        return MEM_DECODE_ERROR;
    }
    ops->write(mr->dev, off, val, size);
    return MEM_OK;
}

static unsigned piece_size(const MemOps *ops, unsigned size)
{
    return MAX2(MIN2(size, ops_max(ops)), ops_min(ops));
}

static void fault_size(const MemRegion *mr, const char *what, uint64_t off,
                       unsigned size)
{
    if (UNLIKELY(log_mask & LOG_GUEST_ERRORS)) {
        guest_fault(mr->name, "%s of %u bytes at offset 0x%" PRIx64
                    " is not one that it knows", what, size, off);
    }
}

MemResult dispatch_read(MemRegion *mr, uint64_t off, uint64_t *val,
                        unsigned size, MemAttrs attrs)
{
    MemResult res = MEM_OK;
    unsigned piece;
    bool *clear;

    *val = 0;
    if (region_direct(mr, false)) {
        return direct_read(mr, off, val, size);
    }
    if (!access_valid(mr, off, size)) {
        fault_size(mr, "read", off, size);
        return MEM_DECODE_ERROR;
    }
    if (!region_enter(mr, off, &clear)) {
        return MEM_DENIED;
    }
    piece = piece_size(mr->ops, size);
    for (unsigned i = 0; i < size; i += piece) {
        uint64_t v;

        res = worse(res, call_read(mr, off + i, &v, piece, attrs));
        *val |= v << i * 8;
    }
    *val &= size_mask(size);
    region_leave(clear);
    return res;
}

MemResult dispatch_write(MemRegion *mr, uint64_t off, uint64_t val,
                         unsigned size, MemAttrs attrs)
{
    MemResult res = MEM_OK;
    unsigned piece;
    bool *clear;

    val &= size_mask(size);
    if (region_direct(mr, true)) {
        return direct_write(mr, off, val, size);
    }
    if (!access_valid(mr, off, size)) {
        fault_size(mr, "write", off, size);
        return MEM_DECODE_ERROR;
    }
    if (dispatch_event(mr, off, val, size)) {
        return MEM_OK;
    }
    if (!region_enter(mr, off, &clear)) {
        return MEM_DENIED;
    }
    piece = piece_size(mr->ops, size);
    for (unsigned i = 0; i < size; i += piece) {
        res = worse(res, call_write(mr, off + i, val >> i * 8, piece, attrs));
    }
    region_leave(clear);
    return res;
}

MemResult mem_dispatch_read(MemRegion *mr, uint64_t off, uint64_t *val,
                            unsigned size, MemAttrs attrs)
{
    return dispatch_read(mr, off, val, size, attrs);
}

MemResult mem_dispatch_write(MemRegion *mr, uint64_t off, uint64_t val,
                             unsigned size, MemAttrs attrs)
{
    return dispatch_write(mr, off, val, size, attrs);
}

/* ---- ioeventfds ---------------------------------------------------------- */

bool dispatch_event(MemRegion *mr, uint64_t off, uint64_t val, unsigned size)
{
    const MemIoEvent *e = __atomic_load_n(&mr->events, __ATOMIC_ACQUIRE);

    for (; e; e = __atomic_load_n(&e->next, __ATOMIC_ACQUIRE)) {
        if (e->off == off && (e->size == 0 || e->size == size) &&
            (!e->match || e->value == (val & size_mask(size)))) {
            static const uint64_t one = 1;

            /* A full counter means that the reader has yet to look: as good. */
            if (write(e->fd, &one, sizeof(one)) < 0 && errno != EAGAIN) {
                return false;
            }
            return true;
        }
    }
    return false;
}
