/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * access.c - accesses of any length to an address space; RAM mapped for DMA.
 *
 * Thread class: ANY_THREAD unless the header says otherwise.
 *
 * Invariants:
 * 1. A range found in a map is used inside the epoch, or under the machine lock,
 *    that it was found in.
 * 2. The machine lock is never waited for inside an epoch that this file
 *    entered: its holder may wait for readers.
 * 3. RAM is written before it is marked dirty.
 * 4. A mapping holds a pin on its block, which outlives the block's owner.
 */
#include <assert.h>
#include "mem-impl.h"
#include "trace.h"

#if defined(__SANITIZE_THREAD__)
# define MEM_TSAN 1
#elif defined(__has_feature)
# if __has_feature(thread_sanitizer)
#  define MEM_TSAN 1
# endif
#endif

/* ---- copies that race with the guest by design --------------------------- */

/* The private side needs no alignment. */
#define COPY_IN(T, host, buf) do { \
    T v_; \
    memcpy(&v_, buf, sizeof(v_)); \
    __atomic_store_n((T *)(host), v_, __ATOMIC_RELAXED); \
} while (0)
#define COPY_OUT(T, buf, host) do { \
    T v_ = __atomic_load_n((const T *)(host), __ATOMIC_RELAXED); \
    memcpy(buf, &v_, sizeof(v_)); \
} while (0)

static inline bool aligned(const void *host, unsigned size)
{
    return ((uintptr_t)host & (size - 1)) == 0;
}

#ifdef MEM_TSAN
/* An instruction that the sanitizer does not see: guest RAM has no owner. */
static void raw_copy(void *to, const void *from, uint64_t n)
{
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
}

static void raw_fill(void *to, uint8_t byte, uint64_t n)
{
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(byte) : "memory");
}
#else
# define raw_copy memcpy
# define raw_fill memset
#endif

void ram_copy_in(void *host, const void *buf, uint64_t n)
{
    switch (aligned(host, n & 15) ? n : 0) {
    case 1:
        COPY_IN(uint8_t, host, buf);
        break;
    case 2:
        COPY_IN(uint16_t, host, buf);
        break;
    case 4:
        COPY_IN(uint32_t, host, buf);
        break;
    case 8:
        COPY_IN(uint64_t, host, buf);
        break;
    default:
        raw_copy(host, buf, n);
    }
}

void ram_copy_out(void *buf, const void *host, uint64_t n)
{
    switch (aligned(host, n & 15) ? n : 0) {
    case 1:
        COPY_OUT(uint8_t, buf, host);
        break;
    case 2:
        COPY_OUT(uint16_t, buf, host);
        break;
    case 4:
        COPY_OUT(uint32_t, buf, host);
        break;
    case 8:
        COPY_OUT(uint64_t, buf, host);
        break;
    default:
        raw_copy(buf, host, n);
    }
}

void ram_fill(void *host, uint8_t byte, uint64_t n)
{
    raw_fill(host, byte, n);
}

void (*mem_coalesced_flush)(void);

/* ---- one access, piece by piece ------------------------------------------ */

typedef enum Op { OP_READ, OP_WRITE, OP_SET } Op;
typedef struct Access {
    MemSpace *as;
    uint64_t addr, len;
    uint8_t *buf;                      /* NULL for OP_SET                     */
    Op op;
    uint8_t byte;
    MemAttrs attrs;
    MemResult res;
} Access;

static void access_advance(Access *a, uint64_t n)
{
    /* The space ends at 2^64: what is left over is nowhere. */
    if (a->addr + n < a->addr && n < a->len) {
        if (a->op == OP_READ) {
            memset(a->buf + n, 0, a->len - n);
        }
        a->res = worse(a->res, MEM_DECODE_ERROR);
        n = a->len;
    }
    a->addr += n;
    a->len -= n;
    if (a->buf) {
        a->buf += n;
    }
}

static void access_hole(Access *a, const FlatMap *map)
{
    uint32_t next = flat_search(map, a->addr);
    uint64_t n = a->len;

    if (next < map->n) {
        n = MIN2(n, map->r[next].first - a->addr);
    }
    if (a->op == OP_READ) {
        memset(a->buf, 0, n);
    }
    if (UNLIKELY(log_mask & LOG_GUEST_ERRORS)) {
        guest_fault(a->as->name, "%s at 0x%" PRIx64 ": nothing is there",
                    a->op == OP_READ ? "read" : "write", a->addr);
    }
    a->res = worse(a->res, MEM_DECODE_ERROR);
    access_advance(a, n);
}

static bool range_direct(const FlatRange *r, Op op)
{
    return op == OP_READ ? r->host != NULL
                         : r->readonly || (r->host && !r->romd);
}

static void access_direct(Access *a, const FlatRange *r)
{
    uint64_t at = a->addr - r->first, left = r->last - a->addr;
    uint64_t n = a->len - 1 > left ? left + 1 : a->len;

    if (a->op == OP_READ) {
        ram_copy_out(a->buf, r->host + at, n);
    } else if (!r->readonly) {
        if (a->op == OP_WRITE) {
            ram_copy_in(r->host + at, a->buf, n);
        } else {
            ram_fill(r->host + at, a->byte, n);
        }
        ram_dirty(r->mr->ram, r->off + at, n);
    }
    access_advance(a, n);
}

static uint64_t access_value(const Access *a, unsigned size)
{
    uint8_t b[8];

    if (a->op == OP_SET) {
        return a->byte * 0x0101010101010101ull & size_mask(size);
    }
    memcpy(b, a->buf, size);
    return ld_le64(b) & size_mask(size);
}

static void access_register(Access *a, MemRegion *mr, uint64_t off)
{
    unsigned size = dispatch_size(mr, off, a->len);
    MemResult res;

    if (a->op == OP_READ) {
        uint8_t b[8];
        uint64_t val;

        res = dispatch_read(mr, off, &val, size, a->attrs);
        st_le64(b, val);
        memcpy(a->buf, b, size);
    } else {
        res = dispatch_write(mr, off, access_value(a, size), size, a->attrs);
    }
    a->res = worse(a->res, res);
    access_advance(a, size);
}

static void access_denied(Access *a, const MemRegion *mr, uint64_t off)
{
    unsigned size = dispatch_size(mr, off, a->len);

    guest_fault(mr->name, "DMA of an iothread's device to a register at 0x%"
                PRIx64 " that only the machine may touch: refused", a->addr);
    if (a->op == OP_READ) {
        memset(a->buf, 0, size);
    }
    a->res = worse(a->res, MEM_DENIED);
    access_advance(a, size);
}

/* Whether an ioeventfd takes this write, before anyone waits for a lock. */
static bool access_event(Access *a, MemRegion *mr, uint64_t off)
{
    unsigned size;

    if (a->op == OP_READ || !__atomic_load_n(&mr->events, __ATOMIC_RELAXED)) {
        return false;
    }
    size = dispatch_size(mr, off, a->len);
    if (!dispatch_event(mr, off, access_value(a, size), size)) {
        return false;
    }
    access_advance(a, size);
    return true;
}

/* One piece. `locked`: the caller holds the machine lock, else it is in an
 * epoch. Returns false when the piece needs the lock. */
static bool access_piece(Access *a, bool locked)
{
    const FlatMap *map = mem_map(a->as);
    const FlatRange *r = mem_find(map, a->addr);
    MemRegion *mr;
    uint64_t off;
    unsigned flags;

    if (!r) {
        access_hole(a, map);
        return true;
    }
    if (LIKELY(range_direct(r, a->op))) {
        access_direct(a, r);
        return true;
    }
    mr = r->mr;
    off = r->off + (a->addr - r->first);
    flags = region_flags(mr);
    if (access_event(a, mr, off)) {
        return true;
    }
    if (!locked && !(flags & MRF_LOCKLESS)) {
        Loop *l = loop_self();

        if (l && l != loop_main) {
            access_denied(a, mr, off);
            return true;
        }
        return false;
    }
    if (UNLIKELY(flags & MRF_FLUSH_COALESCED) && locked &&
        mem_coalesced_flush) {
        mem_coalesced_flush();
    }
    access_register(a, mr, off);
    return true;
}

static MemResult access_run(Access *a) NO_TSA
{
    bool held = machine_locked();

    while (a->len) {
        bool done;

        if (held) {
            access_piece(a, true);
            continue;
        }
        epoch_enter();
        done = access_piece(a, false);
        epoch_exit();
        if (!done) {
            /* Looked up again: the map may be another by now. */
            machine_lock();
            access_piece(a, true);
            machine_unlock();
        }
    }
    return a->res;
}

MemResult mem_read(MemSpace *as, uint64_t addr, void *buf, uint64_t len,
                   MemAttrs attrs)
{
    Access a = { .as = as, .addr = addr, .len = len, .buf = buf,
                 .op = OP_READ, .attrs = attrs };

    return access_run(&a);
}

MemResult mem_write(MemSpace *as, uint64_t addr, const void *buf, uint64_t len,
                    MemAttrs attrs)
{
    Access a = { .as = as, .addr = addr, .len = len, .buf = (uint8_t *)buf,
                 .op = OP_WRITE, .attrs = attrs };

    return access_run(&a);
}

MemResult mem_set(MemSpace *as, uint64_t addr, uint8_t byte, uint64_t len,
                  MemAttrs attrs)
{
    Access a = { .as = as, .addr = addr, .len = len, .byte = byte,
                 .op = OP_SET, .attrs = attrs };

    return access_run(&a);
}

MemResult mem_load(MemSpace *as, uint64_t addr, unsigned size, uint64_t *val,
                   MemAttrs attrs)
{
    uint8_t b[8] = { 0 };
    MemResult res = mem_read(as, addr, b, size, attrs);

    *val = ld_le64(b);
    return res;
}

MemResult mem_store(MemSpace *as, uint64_t addr, unsigned size, uint64_t val,
                    MemAttrs attrs)
{
    uint8_t b[8];

    st_le64(b, val);
    return mem_write(as, addr, b, size, attrs);
}

MemResult mem_poke(MemSpace *as, uint64_t addr, const void *buf, uint64_t len)
{
    const uint8_t *from = buf;
    MemResult res = MEM_OK;

    while (len) {
        const FlatMap *map = mem_map(as);
        const FlatRange *r = mem_find(map, addr);
        uint32_t i = flat_search(map, addr);
        uint64_t left = r ? r->last - addr :
                        i < map->n ? map->r[i].first - addr - 1 : UINT64_MAX;
        uint64_t n = len - 1 > left ? left + 1 : len;

        if (!r) {
            res = worse(res, MEM_DECODE_ERROR);
        } else if (!r->mr->ram || (r->mr->ram->flags & RAM_READONLY)) {
            res = worse(res, MEM_DENIED);
        } else {
            uint64_t off = r->off + (addr - r->first);

            ram_copy_in(r->mr->ram->host + off, from, n);
            ram_dirty(r->mr->ram, off, n);
        }
        if (addr + n < addr) {
            return n < len ? worse(res, MEM_DECODE_ERROR) : res;
        }
        addr += n;
        from += n;
        len -= n;
    }
    return res;
}

/* ---- mapping for DMA ----------------------------------------------------- */

static void *map_in(const FlatMap *map, uint64_t addr, uint64_t *len,
                    bool write)
{
    const FlatRange *r = mem_find(map, addr);
    uint64_t got;
    uint8_t *host;

    if (!r || !r->host || (write && (r->readonly || r->romd))) {
        return NULL;
    }
    host = r->host + (addr - r->first);
    got = r->last - addr;              /* less one                            */
    /* The next range may go on in the same block. */
    while (got < *len - 1 && r + 1 < map->r + map->n &&
           r[1].first == r->last + 1 && r[1].host && r[1].mr == r->mr &&
           r[1].host == host + got + 1 &&
           !(write && (r[1].readonly || r[1].romd))) {
        r++;
        got = r->last - addr;
    }
    if (got < *len - 1) {
        *len = got + 1;
    }
    ram_pin(r->mr->ram);
    return host;
}

void *mem_map_ram(MemSpace *as, uint64_t addr, uint64_t *len, bool write)
{
    void *host;

    if (*len == 0) {
        return NULL;
    }
    epoch_enter();
    host = map_in(mem_map(as), addr, len, write);
    epoch_exit();
    return host;
}

void mem_unmap_ram(MemSpace *as, void *host, uint64_t len, bool write,
                   uint64_t used)
{
    uint64_t off;
    RamBlock *rb = ram_of_host(host, &off);

    assert(rb);
    if (write && used) {
        ram_dirty(rb, off, MIN2(used, len));
    }
    ram_unpin(rb);
}
