/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ops-str.c - string instructions and port I/O.
 * Intel SDM vol. 1, 7.3.9; vol. 2 (REP).
 *
 * Thread class: the vCPU's thread.
 * Invariant: registers are updated after each element or run of elements, so
 * that a fault or an interrupt leaves a repeat that can go on.
 */
#include "soft.h"

#define H(name) static const Slot *name(SoftCpu *c, const Slot *s)

enum { S_MOVS, S_CMPS, S_STOS, S_LODS, S_SCAS, S_INS, S_OUTS };

static inline uint64_t idx(const SoftCpu *c, const Slot *s, unsigned r)
{
    return reg_n(c, r * 8, s->asz);
}
static inline void idx_add(SoftCpu *c, const Slot *s, unsigned r, int64_t by)
{
    reg_set(c, r * 8, idx(c, s, r) + by, s->asz);
}
static inline uint64_t src_lin(SoftCpu *c, const Slot *s, unsigned n)
{
    return seg_lin(c, s, s->seg, idx(c, s, X86_RSI), n, false);
}
static inline uint64_t dst_lin(SoftCpu *c, const Slot *s, unsigned n, bool w)
{
    uint64_t off = idx(c, s, X86_RDI);

    if (c->code64) {
        return off;
    }
    if (!(c->mode & MW_NOCHK << SEG_ES)) {
        return soft_seg_check(c, s, SEG_ES, off, n, w);
    }
    return (uint32_t)(off + c->segbase[SEG_ES]);
}

/* I/O permission of vm86, and of CPL above IOPL. */
static void io_check(SoftCpu *c, const Slot *s, uint16_t port, unsigned n)
{
    X86Regs *x = c->x;
    unsigned iopl = c->eflags >> 12 & 3, base, map;

    if (!soft_pe(c) || (!soft_v86(c) && c->cpl <= iopl)) {
        return;
    }
    if (!(x->tr.attr & 0x80) || (x->tr.attr & 13) != 9 || x->tr.limit < 103) {
        SOFT_GP0(c, s);
    }
    base = soft_ld_sys(c, s, x->tr.base + 102, 2);
    if (base + port / 8 + 1 > x->tr.limit) {
        SOFT_GP0(c, s);
    }
    map = soft_ld_sys(c, s, x->tr.base + base + port / 8, 2);
    if (map >> (port & 7) & ((1u << n) - 1)) {
        SOFT_GP0(c, s);
    }
}

/* A debug register that watches ports: a trap, when the access is done. */
static void io_watch(SoftCpu *c, uint16_t port, unsigned n)
{
    uint64_t dr7 = c->x->dr[7];

    if (LIKELY(!(dr7 & 0xff)) || !(c->x->cr4 & 8)) {
        return;
    }
    for (int i = 0; i < 4; i++) {
        unsigned len = (dr7 >> (18 + 4 * i) & 3) + 1;
        uint64_t at = c->x->dr[i] & ~(uint64_t)(len - 1);

        if (dr7 >> 2 * i & 3 && (dr7 >> (16 + 4 * i) & 3) == 2 &&
            port < at + len && at < port + n) {
            c->pend_db |= 1ull << i;
        }
    }
}
static uint64_t io_read(SoftCpu *c, uint16_t port, unsigned n)
{
    uint64_t v = c->hooks->in(c, port, n);

    io_watch(c, port, n);
    return v;
}
static void io_write(SoftCpu *c, uint16_t port, uint64_t v, unsigned n)
{
    c->hooks->out(c, port, v, n);
    io_watch(c, port, n);
}

/* One element. True: a compare that ends a repeat. */
static inline bool element(SoftCpu *c, const Slot *s, unsigned op, unsigned n)
{
    int64_t step = c->eflags & F_DF ? -(int64_t)n : (int64_t)n;
    uint64_t a, b, la;

    switch (op) {
    case S_MOVS:
        a = ld_n(c, s, src_lin(c, s, n), n);
        st_n(c, s, dst_lin(c, s, n, true), a, n);
        idx_add(c, s, X86_RSI, step);
        idx_add(c, s, X86_RDI, step);
        return false;
    case S_STOS:
        st_n(c, s, dst_lin(c, s, n, true), c->r[X86_RAX], n);
        idx_add(c, s, X86_RDI, step);
        return false;
    case S_LODS:
        a = ld_n(c, s, src_lin(c, s, n), n);
        reg_set(c, 0, a, n);
        idx_add(c, s, X86_RSI, step);
        return false;
    case S_CMPS:
        a = ld_n(c, s, src_lin(c, s, n), n);
        b = ld_n(c, s, dst_lin(c, s, n, false), n);
        fl_sub(c, a, b, (a - b) & mask_n(n), n);
        idx_add(c, s, X86_RSI, step);
        idx_add(c, s, X86_RDI, step);
        return (a == b) == (s->rep == 0xf2);
    case S_SCAS:
        a = reg_n(c, 0, n);
        b = ld_n(c, s, dst_lin(c, s, n, false), n);
        fl_sub(c, a, b, (a - b) & mask_n(n), n);
        idx_add(c, s, X86_RDI, step);
        return (a == b) == (s->rep == 0xf2);
    case S_INS:
        la = dst_lin(c, s, n, true);
        soft_probe_write(c, s, la, n);
        a = io_read(c, c->r[X86_RDX], n);
        st_n(c, s, la, a, n);
        idx_add(c, s, X86_RDI, step);
        return false;
    default:
        a = ld_n(c, s, src_lin(c, s, n), n);
        io_write(c, c->r[X86_RDX], a, n);
        idx_add(c, s, X86_RSI, step);
        return false;
    }
}

/* As element after element; false: an element overlaps itself. */
static bool copy_forward(uint8_t *to, const uint8_t *from, size_t len,
                         unsigned n)
{
    size_t apart = to - from, k;

    if (to <= from || apart >= len) {
        memmove(to, from, len);
        return true;
    }
    if (apart < n) {
        return false;
    }
    /* a pattern repeats: no piece reaches into what it is copied from */
    for (apart -= apart % n; len; len -= k) {
        k = MIN2(len, apart);
        memcpy(to, from, k);
        to += k;
        from += k;
    }
    return true;
}

/* Forward movs and stos inside one page at once; returns the elements done. */
static uint64_t bulk(SoftCpu *c, const Slot *s, unsigned op, unsigned n,
                     uint64_t count)
{
    uint64_t d, room, src;
    TlbEntry *e, *f;
    uint8_t *to;

    if ((op != S_MOVS && op != S_STOS) || c->eflags & F_DF || s->check ||
        (!c->code64 && !(c->mode & MW_NOCHK << SEG_ES)) || s->asz == 2) {
        return 0;
    }
    d = dst_lin(c, s, n, true);
    e = tlb_of(c, d);
    if (e->w != (d & ~0xfffull)) {
        return 0;
    }
    room = (4096 - (d & 0xfff)) / n;
    count = MIN2(count, room);
    to = (uint8_t *)(e->add + d);
    if (op == S_MOVS) {
        const uint8_t *from;

        src = src_lin(c, s, n);
        f = tlb_of(c, src);
        if (f->r != (src & ~0xfffull)) {
            return 0;
        }
        room = (4096 - (src & 0xfff)) / n;
        count = MIN2(count, room);
        from = (const uint8_t *)(f->add + src);
        if (!copy_forward(to, from, count * n, n)) {
            return 0;
        }
        idx_add(c, s, X86_RSI, count * n);
    } else if (c->r[X86_RAX] == (uint8_t)c->r[X86_RAX] * (~0ull / 255) ||
               n == 1) {
        memset(to, c->r[X86_RAX], count * n);
    } else {
        for (uint64_t i = 0; i < count; i++) {
            memcpy(to + i * n, &c->r[X86_RAX], n);
        }
    }
    idx_add(c, s, X86_RDI, count * n);
    return count;
}

static inline const Slot *string_op(SoftCpu *c, const Slot *s, unsigned op)
{
    unsigned n = s->sub, budget = 1024;

    if (op == S_INS || op == S_OUTS) {
        io_check(c, s, c->r[X86_RDX], n);
    }
    if (!s->rep) {
        element(c, s, op, n);
        NEXT;
    }
    for (;;) {
        uint64_t left = idx(c, s, X86_RCX), k;
        bool stop;

        if (!left) {
            NEXT;
        }
        k = bulk(c, s, op, n, left);
        if (k) {
            reg_set(c, X86_RCX * 8, left - k, s->asz);
            budget -= MIN2(budget, 1 + k / 64);
            stop = false;
        } else {
            stop = element(c, s, op, n);
            reg_set(c, X86_RCX * 8, left - 1, s->asz);
            budget--;
        }
        if (stop || left - (k ? k : 1) == 0) {
            NEXT;
        }
        /* an interrupt, a trap or a kick comes between two elements; a long
         * run lets the loop look at least now and then */
        if (!budget || c->mode & MW_SINGLE || c->pend_db ||
            __atomic_load_n(&c->kick, __ATOMIC_RELAXED)) {
            c->r[R_IP] = ip_of(c, s);
            c->link_from = NULL;
            LEAVE;
        }
    }
}
#define STR(nm, op) H(nm) { return string_op(c, s, op); }
STR(movs, S_MOVS)
STR(cmps, S_CMPS)
STR(stos, S_STOS)
STR(lods, S_LODS)
STR(scas, S_SCAS)
STR(ins, S_INS)
STR(outs, S_OUTS)
static bool bind_str(Xlate *x)
{
    static Handler *const t[] = { movs, cmps, stos, lods, scas, ins, outs };

    x->s->fn = t[x->arg];
    x->s->sub = x->in->o[x->arg == S_OUTS || x->arg == S_SCAS ? 1 : 0].size;
    if (x->s->seg == 7) {
        x->s->seg = SEGB_NONE;
    }
    return true;
}

H(in)
{
    uint16_t port = s->rep ? s->imm : c->r[X86_RDX];

    io_check(c, s, port, s->sub);
    reg_set(c, 0, io_read(c, port, s->sub), s->sub);
    NEXT;
}
H(out)
{
    uint16_t port = s->rep ? s->imm : c->r[X86_RDX];

    io_check(c, s, port, s->sub);
    io_write(c, port, reg_n(c, 0, s->sub), s->sub);
    NEXT;
}
static bool bind_io(Xlate *x)
{
    x->s->sub = x->in->o[x->arg].size;
    x->s->rep = x->in->opcode < 0xe8;
    x->s->fn = x->arg ? out : in;
    return true;
}

const Bind soft_binds_str[] = {
    { "movs", bind_str, S_MOVS }, { "cmps", bind_str, S_CMPS },
    { "stos", bind_str, S_STOS }, { "lods", bind_str, S_LODS },
    { "scas", bind_str, S_SCAS }, { "ins", bind_str, S_INS },
    { "outs", bind_str, S_OUTS }, { "in", bind_io, 0 }, { "out", bind_io, 1 },
    { 0 }
};
