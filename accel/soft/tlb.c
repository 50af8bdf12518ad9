/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tlb.c - software TLB, the guest's page tables, the slow paths of memory.
 * Intel SDM vol. 3, chapter 4; AMD64 APM vol. 2, chapter 5.
 *
 * Thread class: the vCPU's thread.
 * Invariants:
 * 1. A write tag is set only for RAM whose page is writable, dirty, not
 *    logged, and holds no decoded code.
 * 2. Accessed and dirty bits are set by compare-exchange on the entry that
 *    was judged.
 */
#include "soft.h"

#define PTE_P 1ull
#define PTE_W 2ull
#define PTE_U 4ull
#define PTE_A 0x20ull
#define PTE_D 0x40ull
#define PTE_PS 0x80ull
#define PTE_G 0x100ull
#define PTE_NX (1ull << 63)
#define CR0_WP (1ull << 16)
#define CR0_AM (1ull << 18)
#define CR0_PG (1ull << 31)
#define CR4_PSE (1ull << 4)
#define CR4_PAE (1ull << 5)
#define CR4_LA57 (1ull << 12)
#define CR4_SMEP (1ull << 20)
#define CR4_SMAP (1ull << 21)
#define CR4_PKE (1ull << 22)
#define EFER_NXE (1ull << 11)

enum { PF_P = 1, PF_W = 2, PF_U = 4, PF_RSVD = 8, PF_I = 16, PF_PK = 32 };

typedef struct Walk {
    uint64_t pa;
    bool user, write, exec, dirty;     /* rights as the tables say           */
    bool global;
    uint32_t err;
    uint8_t pkey;
} Walk;

/* The host's page of a physical one, where it is RAM or ROM. */
static const uint8_t *table_host(SoftCpu *c, uint64_t pa)
{
    unsigned i = pa >> 12 & (ARRAY_SIZE(c->tables) - 1);
    SoftPage p;

    if (LIKELY(c->tables[i].pa == pa)) {
        return c->tables[i].host;
    }
    if (!c->hooks->page(c, pa, &p) || !p.host) {
        return NULL;
    }
    c->tables[i].pa = pa;
    c->tables[i].host = p.host;
    return p.host;
}

uint64_t soft_phys_ld(SoftCpu *c, uint64_t pa, unsigned size)
{
    const uint8_t *h;

    pa &= c->a20_mask;
    h = (pa & 0xfff) + size <= 4096 ? table_host(c, pa & ~0xfffull) : NULL;
    if (LIKELY(h != NULL)) {
        h += pa & 0xfff;
        switch (size) {
        case 1: return *(const volatile una_8 *)h;
        case 2: return *(const volatile una_16 *)h;
        case 4: return *(const volatile una_32 *)h;
        default: return *(const volatile una_64 *)h;
        }
    }
    return c->hooks->read(c, pa, size);
}

void soft_phys_st(SoftCpu *c, uint64_t pa, uint64_t v, unsigned size)
{
    c->hooks->write(c, pa & c->a20_mask, v, size);
}

/* Sets bits in a table entry unless it changed meanwhile. */
static bool entry_mark(SoftCpu *c, uint64_t pa, uint64_t old, uint64_t bits,
                       unsigned size)
{
    SoftPage p;
    void *h;

    if ((old & bits) == bits) {
        return true;
    }
    pa &= c->a20_mask;
    if (!c->hooks->page(c, pa & ~0xfffull, &p) || !p.host || p.readonly) {
        return true;                    /* tables in ROM stay as they are */
    }
    if (p.gen && *p.gen & 1) {
        soft_code_written(c, p.gen, p.host, NULL);
    }
    h = p.host + (pa & 0xfff);
    if (p.slow_write) {
        c->hooks->write(c, pa, old | bits, size);
        return true;
    }
    if (size == 4) {
        uint32_t o = old;

        return __atomic_compare_exchange_n((uint32_t *)h, &o, old | bits,
                                           false, __ATOMIC_SEQ_CST,
                                           __ATOMIC_SEQ_CST);
    }
    return __atomic_compare_exchange_n((uint64_t *)h, &old, old | bits, false,
                                       __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static uint64_t reserved_bits(SoftCpu *c, int level, bool large)
{
    uint64_t rsvd = 0x000fffffffffffffull & ~c->phys_mask;

    if (!(c->x->efer & EFER_NXE)) {
        rsvd |= PTE_NX;
    }
    if (!c->lma) {
        rsvd |= 0x7ff0000000000000ull;
    }
    if (level >= 4) {
        rsvd |= PTE_PS;
    } else if (large) {
        rsvd |= level == 3 ? 0x3fffe000ull : 0x1fe000ull;
    }
    return rsvd;
}

static int mmu_of(const SoftCpu *c)
{
    return (const TlbEntry(*)[TLB_SIZE])c->tlb - c->tlbs;
}

/* Rights of one kind of access; the error code's P, PK bits when denied. */
static uint32_t denied(SoftCpu *c, const Walk *w, int acc, int mmu)
{
    X86Regs *x = c->x;
    bool user = mmu == MMU_USER;

    if (user && !w->user) {
        return PF_P;
    }
    if (acc == ACC_EXEC) {
        if (!w->exec || (!user && w->user && x->cr4 & CR4_SMEP)) {
            return PF_P;
        }
        return 0;
    }
    if (mmu == MMU_SMAP && w->user) {
        return PF_P;
    }
    if (w->user && x->cr4 & CR4_PKE && c->lma) {
        unsigned k = x->pkru >> 2 * w->pkey & 3;

        if (k & 1 || (acc == ACC_WRITE && k & 2 &&
                      (user || x->cr0 & CR0_WP))) {
            return PF_P | PF_PK;
        }
    }
    if (acc == ACC_WRITE && !w->write && (user || x->cr0 & CR0_WP)) {
        return PF_P;
    }
    return 0;
}

/* Walks PAE, 4-level and 5-level tables for an access; NO_ACCESS: only looks.
 * The page is marked as accessed, and dirty for a write, if it may be. */
#define NO_ACCESS (-1)
static bool walk_long(SoftCpu *c, uint64_t la, int acc, Walk *w)
{
    X86Regs *x = c->x;
    uint64_t table = x->cr3 & 0x000ffffffffff000ull, e, at;
    int level = !c->lma ? 2 : x->cr4 & CR4_LA57 ? 5 : 4;

    if (!c->lma) {
        e = c->pdpte[la >> 30 & 3];
        if (!(e & PTE_P)) {
            w->err = 0;
            return false;
        }
        table = e & c->phys_mask & ~0xfffull;
    }
    w->user = w->write = w->exec = true;
    for (;; level--) {
        unsigned sh = 12 + 9 * (level - 1);
        bool leaf;

        at = table + (la >> sh & 511) * 8;
again:
        e = soft_phys_ld(c, at, 8);
        if (!(e & PTE_P)) {
            w->err = 0;
            return false;
        }
        leaf = level == 1 || (level <= 3 && e & PTE_PS);
        if (level == 3 && !c->lma) {
            leaf = false;
        }
        if (e & reserved_bits(c, level, leaf && level > 1)) {
            w->err = PF_P | PF_RSVD;
            return false;
        }
        w->user &= !!(e & PTE_U);
        w->write &= !!(e & PTE_W);
        w->exec &= !(e & PTE_NX);
        if (!leaf) {
            if (acc != NO_ACCESS && !entry_mark(c, at, e, PTE_A, 8)) {
                goto again;
            }
            table = e & c->phys_mask & ~0xfffull;
            continue;
        }
        w->dirty = e & PTE_D;
        w->global = e & PTE_G && x->cr4 >> 7 & 1;
        w->pkey = e >> 59 & 15;
        w->pa = (e & c->phys_mask & ~((1ull << sh) - 1)) |
            (la & ((1ull << sh) - 1));
        if (acc != NO_ACCESS && !denied(c, w, acc, mmu_of(c))) {
            bool write = acc == ACC_WRITE;

            if (!entry_mark(c, at, e, PTE_A | (write ? PTE_D : 0), 8)) {
                goto again;
            }
            w->dirty |= write;
        }
        return true;
    }
}

static bool walk_32(SoftCpu *c, uint64_t la, int acc, Walk *w)
{
    X86Regs *x = c->x;
    uint64_t dir = (x->cr3 & 0xfffff000) + (la >> 22 & 1023) * 4, at;
    uint32_t e;

    w->exec = true;
again_dir:
    at = dir;
    e = soft_phys_ld(c, at, 4);
    if (!(e & PTE_P)) {
        w->err = 0;
        return false;
    }
    w->user = e & PTE_U;
    w->write = e & PTE_W;
    if (e & PTE_PS && x->cr4 & CR4_PSE) {
        if (e & (1u << 21)) {
            w->err = PF_P | PF_RSVD;
            return false;
        }
        w->pa = (e & 0xffc00000) | (uint64_t)(e >> 13 & 0xff) << 32 |
            (la & 0x3fffff);
    } else {
        if (acc != NO_ACCESS && !entry_mark(c, at, e, PTE_A, 4)) {
            goto again_dir;
        }
        at = (e & 0xfffff000) + (la >> 12 & 1023) * 4;
        e = soft_phys_ld(c, at, 4);
        if (!(e & PTE_P)) {
            w->err = 0;
            return false;
        }
        w->user &= !!(e & PTE_U);
        w->write &= !!(e & PTE_W);
        w->pa = (e & 0xfffff000) | (la & 0xfff);
    }
    w->dirty = e & PTE_D;
    w->global = e & PTE_G && x->cr4 >> 7 & 1;
    if (acc != NO_ACCESS && !denied(c, w, acc, mmu_of(c))) {
        bool write = acc == ACC_WRITE;

        if (!entry_mark(c, at, e, PTE_A | (write ? PTE_D : 0), 4)) {
            goto again_dir;
        }
        w->dirty |= write;
    }
    return true;
}

bool soft_load_pdptes(SoftCpu *c, uint64_t cr3)
{
    uint64_t v[4];

    for (int i = 0; i < 4; i++) {
        v[i] = soft_phys_ld(c, (cr3 & 0xffffffe0) + 8 * i, 8);
        if (v[i] & PTE_P &&
            v[i] & (0x1e6 | (~c->phys_mask & ~0xfffull))) {
            return false;
        }
    }
    memcpy(c->pdpte, v, sizeof(v));
    return true;
}

static bool canonical(const SoftCpu *c, uint64_t la)
{
    return soft_canonical(la, c->x->cr4);
}

bool soft_translate(SoftCpu *c, uint64_t la, uint64_t *pa)
{
    Walk w = { 0 };

    if (!(c->x->cr0 & CR0_PG)) {
        *pa = la & c->a20_mask;
        return true;
    }
    if (c->lma && !canonical(c, la)) {
        return false;
    }
    if (!(c->x->cr4 & CR4_PAE ? walk_long(c, la, NO_ACCESS, &w) :
          walk_32(c, la, NO_ACCESS, &w))) {
        return false;
    }
    *pa = w.pa & c->a20_mask;
    return true;
}

_Noreturn static void page_fault(SoftCpu *c, const Slot *s, uint64_t la,
                                 uint32_t err, int acc, int mmu)
{
    if (acc == ACC_WRITE) {
        err |= PF_W;
    }
    if (mmu == MMU_USER) {
        err |= PF_U;
    }
    if (acc == ACC_EXEC &&
        (c->x->cr4 & CR4_SMEP || (c->x->efer & EFER_NXE &&
                                  c->x->cr4 & CR4_PAE))) {
        err |= PF_I;
    }
    c->x->cr2 = la;
    soft_fault_err(c, s, EXC_PF, err);
}

_Noreturn static void bad_address(SoftCpu *c, const Slot *s)
{
    soft_fault_err(c, s, s && s->seg == 7 ? EXC_SS : EXC_GP, 0);
}

static bool watched(const SoftCpu *c, uint64_t la)
{
    uint64_t dr7 = c->x->dr[7];

    for (int i = 0; i < 4; i++) {
        if (dr7 >> 2 * i & 3 && dr7 >> (16 + 4 * i) & 3 &&
            !((c->x->dr[i] ^ la) & ~0xfffull)) {
            return true;
        }
    }
    return false;
}

static uint16_t *writable_of(SoftCpu *c, uintptr_t host)
{
    return &c->writable[host >> 12 & (ARRAY_SIZE(c->writable) - 1)];
}
static void write_forget(SoftCpu *c, TlbEntry *e)
{
    if (e->w != TLB_NONE) {
        --*writable_of(c, e->add + e->w);
        e->w = TLB_NONE;
    }
}

static void list_local(SoftCpu *c, unsigned entry, bool global)
{
    uint8_t *g = &c->tlb_global[0][0] + entry;

    if (!global && *g) {
        if (c->local_count < ARRAY_SIZE(c->local)) {
            c->local[c->local_count] = entry;
        }
        c->local_count += c->local_count <= ARRAY_SIZE(c->local);
    }
    *g = global;
}

/* Translates, judges, fills the TLB; faults when it must. */
/* Whether this access is one that has to be aligned: then no data of the user
 * is in the TLB, so that every access comes here. */
static bool strict(const SoftCpu *c)
{
    return UNLIKELY(c->strict) && mmu_of(c) == MMU_USER;
}
static void align_check(SoftCpu *c, const Slot *s, uint64_t la, unsigned size)
{
    if (strict(c) && la & (size - 1)) {
        soft_fault_err(c, s, EXC_AC, 0);
    }
}

static uint64_t fill(SoftCpu *c, const Slot *s, uint64_t la, int acc,
                     SoftPage *page)
{
    int mmu = mmu_of(c);
    TlbEntry *e = tlb_of(c, la);
    Walk w = { .pa = la, .user = true, .write = true, .exec = true,
               .dirty = true };
    uint64_t tag = la & ~0xfffull;

    if (c->lma && !canonical(c, la)) {
        bad_address(c, s);
    }
    if (c->x->cr0 & CR0_PG) {
        bool found = c->x->cr4 & CR4_PAE ?
            walk_long(c, la, acc, &w) :
            walk_32(c, la, acc, &w);
        uint32_t err;

        if (!found) {
            page_fault(c, s, la, w.err, acc, mmu);
        }
        err = denied(c, &w, acc, mmu);
        if (err) {
            page_fault(c, s, la, err, acc, mmu);
        }
    } else {
        w.pa = (uint32_t)la;
    }
    w.pa &= c->a20_mask;
    *page = (SoftPage){ 0 };
    if (!c->hooks->page(c, w.pa & ~0xfffull, page) || !page->host) {
        page->host = NULL;
        return w.pa;
    }
    if (acc == ACC_WRITE && page->gen &&
        __atomic_load_n(page->gen, __ATOMIC_RELAXED) & 1) {
        soft_code_written(c, page->gen, page->host, s);
    }
    if ((c->x->dr[7] & 0xff && watched(c, la)) ||
        (UNLIKELY(soft_watch_count) && soft_watch_page(la)) ||
        (acc != ACC_EXEC && strict(c))) {
        return w.pa;
    }
    list_local(c, e - c->tlbs[0], w.global);
    write_forget(c, e);
    e->add = (uintptr_t)page->host - tag;
    e->r = strict(c) || denied(c, &w, ACC_READ, mmu) ? TLB_NONE : tag;
    e->x = denied(c, &w, ACC_EXEC, mmu) ? TLB_NONE : tag;
    e->w = strict(c) || !w.dirty || page->readonly || page->slow_write ||
        (page->gen && __atomic_load_n(page->gen, __ATOMIC_RELAXED) & 1) ||
        denied(c, &w, ACC_WRITE, mmu) ? TLB_NONE : tag;
    if (e->w != TLB_NONE) {
        ++*writable_of(c, e->add + e->w);
    }
    return w.pa;
}

/* Debug registers that watch this access; reported after the instruction. */
static void watch(SoftCpu *c, uint64_t la, unsigned size, bool write)
{
    uint64_t dr7 = c->x->dr[7];

    if (UNLIKELY(soft_watch_count)) {
        soft_watch_hit(c, la, size, write);
    }
    if (!(dr7 & 0xff)) {
        return;
    }
    for (int i = 0; i < 4; i++) {
        unsigned rw = dr7 >> (16 + 4 * i) & 3, n = dr7 >> (18 + 4 * i) & 3;
        unsigned len = n == 0 ? 1 : n == 1 ? 2 : n == 2 ? 8 : 4;
        uint64_t at = c->x->dr[i] & ~(uint64_t)(len - 1);

        if (dr7 >> 2 * i & 3 && (rw == 3 || (rw == 1 && write)) &&
            la < at + len && at < la + size) {
            c->pend_db |= 1ull << i;
        }
    }
}

static void store_host(void *h, uint64_t v, unsigned size)
{
    switch (size) {
    case 1: *(volatile una_8 *)h = v; break;
    case 2: *(volatile una_16 *)h = v; break;
    case 4: *(volatile una_32 *)h = v; break;
    default: *(volatile una_64 *)h = v; break;
    }
}

static uint64_t lin_add(const SoftCpu *c, uint64_t la, unsigned n)
{
    return c->lma && c->code64 ? la + n : (uint32_t)(la + n);
}

/* The two pages of an access, before anything is done in either; where it ends
 * beyond what is canonical no table is asked. True: both are RAM. */
static bool both_pages(SoftCpu *c, const Slot *s, uint64_t la, unsigned size,
                       int acc)
{
    uint64_t last = lin_add(c, la, size - 1);
    SoftPage p;
    bool ram;

    if (c->lma && !canonical(c, last)) {
        bad_address(c, s);
    }
    fill(c, s, la, acc, &p);
    ram = p.host;
    fill(c, s, last & ~0xfffull, acc, &p);
    align_check(c, s, la, size);
    return ram && p.host;
}

uint64_t soft_ld_slow(SoftCpu *c, const Slot *s, uint64_t la, unsigned size)
{
    SoftPage p;
    uint64_t pa, v = 0;

    if ((la & 0xfff) + size > 4096) {
        both_pages(c, s, la, size, ACC_READ);
        for (unsigned i = 0; i < size; i++) {
            v |= (uint64_t)ld8(c, s, lin_add(c, la, i)) << 8 * i;
        }
        return v;
    }
    pa = fill(c, s, la, ACC_READ, &p);
    align_check(c, s, la, size);
    watch(c, la, size, false);
    if (!p.host) {
        return c->hooks->read(c, pa, size);
    }
    switch (size) {
    case 1: return *(volatile una_8 *)(p.host + (la & 0xfff));
    case 2: return *(volatile una_16 *)(p.host + (la & 0xfff));
    case 4: return *(volatile una_32 *)(p.host + (la & 0xfff));
    default: return *(volatile una_64 *)(p.host + (la & 0xfff));
    }
}

void soft_st_slow(SoftCpu *c, const Slot *s, uint64_t la, uint64_t v,
                  unsigned size)
{
    SoftPage p;
    uint64_t pa;

    if ((la & 0xfff) + size > 4096) {
        both_pages(c, s, la, size, ACC_WRITE);
        for (unsigned i = 0; i < size; i++) {
            st8(c, s, lin_add(c, la, i), v >> 8 * i);
        }
        return;
    }
    pa = fill(c, s, la, ACC_WRITE, &p);
    align_check(c, s, la, size);
    watch(c, la, size, true);
    if (!p.host || p.readonly || p.slow_write) {
        c->hooks->write(c, pa, v, size);
        return;
    }
    store_host(p.host + (la & 0xfff), v, size);
}

void soft_lock_begin(SoftCpu *c)
{
    if (!c->rmw_device) {
        c->exclusive = true;
        c->hooks->exclusive(c, true);
    }
}

void soft_lock_end(SoftCpu *c)
{
    if (c->exclusive) {
        c->exclusive = false;
        c->hooks->exclusive(c, false);
    }
}

void *soft_rmw_slow(SoftCpu *c, const Slot *s, uint64_t la, unsigned size)
{
    SoftPage p;

    if ((la & 0xfff) + size > 4096) {
        c->rmw_device = !both_pages(c, s, la, size, ACC_WRITE);
        return NULL;
    }
    fill(c, s, la, ACC_WRITE, &p);
    align_check(c, s, la, size);
    c->rmw_device = !p.host;
    watch(c, la, size, true);
    if (!p.host || p.readonly || p.slow_write) {
        return NULL;
    }
    return p.host + (la & 0xfff);
}

/* How operands of more than a register's size are aligned: SDM vol. 3, table
 * 6-7. The pieces they are moved in are not checked again. */
static bool bytes_check(SoftCpu *c, const Slot *s, uint64_t la, unsigned n,
                        bool write)
{
    unsigned to = n == 10 ? 8 : n == 14 || n == 94 ? 2 :
        n == 28 || n == 108 ? 4 : n & (n - 1) ? 1 : MIN2(n, 16u);
    SoftPage p;

    if (c->lma && UNLIKELY(!canonical(c, lin_add(c, la, n - 1)))) {
        bad_address(c, s);
    }
    if (!strict(c)) {
        return false;
    }
    if (la & (to - 1)) {
        fill(c, s, la, write ? ACC_WRITE : ACC_READ, &p);
        fill(c, s, lin_add(c, la, n - 1), write ? ACC_WRITE : ACC_READ, &p);
        soft_fault_err(c, s, EXC_AC, 0);
    }
    return true;
}

void soft_probe_write(SoftCpu *c, const Slot *s, uint64_t la, unsigned n)
{
    SoftPage p;
    uint64_t last = lin_add(c, la, n - 1);

    bytes_check(c, s, la, n, true);
    if (tlb_of(c, la)->w != (la & ~0xfffull)) {
        fill(c, s, la, ACC_WRITE, &p);
    }
    if ((la ^ last) & ~0xfffull && tlb_of(c, last)->w != (last & ~0xfffull)) {
        fill(c, s, last & ~0xfffull, ACC_WRITE, &p);
    }
}

void soft_ld_bytes(SoftCpu *c, const Slot *s, uint64_t la, void *p, unsigned n)
{
    bool single = bytes_check(c, s, la, n, false);
    uint8_t *b = p;

    while (n) {
        unsigned k = single ? 1 : n >= 8 ? 8 : n >= 4 ? 4 : n >= 2 ? 2 : 1;
        uint64_t v = ld_n(c, s, la, k);

        memcpy(b, &v, k);
        b += k;
        n -= k;
        la = lin_add(c, la, k);
    }
}

void soft_st_bytes(SoftCpu *c, const Slot *s, uint64_t la, const void *p,
                   unsigned n)
{
    bool single = bytes_check(c, s, la, n, true);
    const uint8_t *b = p;

    if (n > 8) {
        soft_probe_write(c, s, la, n);
    }
    while (n) {
        unsigned k = single ? 1 : n >= 8 ? 8 : n >= 4 ? 4 : n >= 2 ? 2 : 1;
        uint64_t v = 0;

        memcpy(&v, b, k);
        st_n(c, s, la, v, k);
        b += k;
        n -= k;
        la = lin_add(c, la, k);
    }
}

static void sys_mmu(SoftCpu *c)
{
    c->tlb = c->tlbs[c->x->cr4 & CR4_SMAP ? MMU_SMAP : MMU_KERNEL];
}

uint64_t soft_ld_sys(SoftCpu *c, const Slot *s, uint64_t la, unsigned size)
{
    uint64_t v;

    sys_mmu(c);
    v = ld_n(c, s, c->lma ? la : (uint32_t)la, size);
    soft_mmu_pick(c);
    return v;
}

void soft_st_sys(SoftCpu *c, const Slot *s, uint64_t la, uint64_t v,
                 unsigned size)
{
    sys_mmu(c);
    st_n(c, s, c->lma ? la : (uint32_t)la, v, size);
    soft_mmu_pick(c);
}

void soft_probe_sys(SoftCpu *c, const Slot *s, uint64_t la, unsigned n)
{
    sys_mmu(c);
    soft_probe_write(c, s, la, n);
    soft_mmu_pick(c);
}

const uint8_t *soft_fetch_host(SoftCpu *c, uint64_t la, uint32_t **gen)
{
    SoftPage p;

    fill(c, NULL, la, ACC_EXEC, &p);
    *gen = p.gen;
    return p.host ? p.host + (la & 0xfff) : NULL;
}

static void entry_clear(SoftCpu *c, unsigned i)
{
    TlbEntry *e = c->tlbs[0] + i;

    write_forget(c, e);
    e->r = e->x = TLB_NONE;
    (&c->tlb_global[0][0])[i] = 1;
}

static void flush_all(SoftCpu *c)
{
    for (unsigned i = 0; i < ARRAY_SIZE(c->tables); i++) {
        c->tables[i].pa = ~0ull;
    }
    for (unsigned i = 0; i < MMU_COUNT * TLB_SIZE; i++) {
        TlbEntry *e = c->tlbs[0] + i;

        e->r = e->w = e->x = TLB_NONE;
    }
    memset(c->writable, 0, sizeof(c->writable));
    memset(c->tlb_global, 1, sizeof(c->tlb_global));
    c->local_count = 0;
}

void soft_tlb_flush(SoftCpu *c, bool global)
{
    const uint8_t *keep = &c->tlb_global[0][0];

    if (global) {
        flush_all(c);
    } else if (c->local_count <= ARRAY_SIZE(c->local)) {
        for (unsigned k = 0; k < c->local_count; k++) {
            if (!keep[c->local[k]]) {
                entry_clear(c, c->local[k]);
            }
        }
    } else {
        for (unsigned i = 0; i < MMU_COUNT * TLB_SIZE; i++) {
            if (!keep[i]) {
                entry_clear(c, i);
            }
        }
    }
    c->local_count = 0;
}

void soft_tlb_flush_page(SoftCpu *c, uint64_t la)
{
    for (unsigned m = 0; m < MMU_COUNT; m++) {
        TlbEntry *e = &c->tlbs[m][la >> 12 & (TLB_SIZE - 1)];

        write_forget(c, e);
        e->r = e->x = TLB_NONE;
    }
}

void soft_tlb_drop_page(SoftCpu *c, const uint8_t *host)
{
    uint16_t *left = writable_of(c, (uintptr_t)host);

    for (unsigned i = 0; *left && i < MMU_COUNT * TLB_SIZE; i++) {
        TlbEntry *e = c->tlbs[0] + i;

        if (e->w != TLB_NONE && e->add + e->w == (uintptr_t)host) {
            write_forget(c, e);
        }
    }
}

void soft_mmu_pick(SoftCpu *c)
{
    unsigned m = c->cpl == 3 ? MMU_USER :
        c->x->cr4 & CR4_SMAP && !(c->eflags & F_AC) ? MMU_SMAP : MMU_KERNEL;
    bool check = c->eflags & F_AC && c->x->cr0 & CR0_AM;

    c->tlb = c->tlbs[m];
    if (m == MMU_USER && UNLIKELY(check != c->strict)) {
        c->strict = check;
        soft_tlb_flush(c, true);
    }
}
