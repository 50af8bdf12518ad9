/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gate.c - far jumps, calls, returns, IRET.
 * Intel SDM vol. 3, 5.8; vol. 2 (JMP, CALL, RET, IRET).
 *
 * Thread class: the vCPU's thread.
 */
#include "seg.h"

static void check_ip(SoftCpu *c, const Slot *s, Desc d, uint64_t ip)
{
    if (c->lma && DESC_L(d)) {
        if (!soft_canonical(ip, c->x->cr4)) {
            SOFT_GP0(c, s);
        }
    } else if (ip > soft_desc_limit(d)) {
        SOFT_GP0(c, s);
    }
}

static void new_stack(SoftCpu *c, const Slot *s, unsigned cpl, NewStack *k,
                      uint16_t *ss, Desc *sd)
{
    *k = (NewStack){ .cpl = cpl };
    soft_tss_stack(c, s, cpl, ss, &k->sp);
    if (c->lma) {
        k->wide = true;
        k->mask = ~0ull;
        return;
    }
    *sd = soft_stack_desc(c, s, *ss, cpl, EXC_TS);
    soft_desc_to_seg(*sd, *ss, &k->seg);
    k->mask = k->seg.attr & 0x400 ? 0xffffffff : 0xffff;
    k->err = *ss & ~3;
}

/* The stack of now, for pushes that must not commit rSP yet. */
static void this_stack(SoftCpu *c, NewStack *k)
{
    *k = (NewStack){ .cpl = c->cpl, .seg = c->x->seg[SEG_SS],
                     .sp = c->r[X86_RSP], .wide = c->code64 };
    k->mask = c->code64 ? ~0ull : c->mode & MW_SS32 ? 0xffffffff : 0xffff;
}

static void null_ss(SoftCpu *c, unsigned cpl)
{
    c->x->seg[SEG_SS] = (X86Seg){ .sel = cpl, .attr = cpl << 5 | 0x400,
                                  .limit = 0xffffffff };
}

/* Through a call gate. */
static void gate_jump(SoftCpu *c, const Slot *s, uint16_t gsel, Desc g,
                      bool call)
{
    unsigned n = c->lma ? 8 : DESC_TYPE(g) == 12 ? 4 : 2, words = g.hi & 31;
    uint16_t sel = g.lo >> 16, ss = 0;
    uint64_t ip = (g.lo & 0xffff) | (n > 2 ? g.hi & 0xffff0000 : 0);
    uint64_t old_ip = ip_next(c, s);
    unsigned cpl = c->cpl;
    NewStack k, old;
    Desc d, sd = { 0 };

    if (DESC_DPL(g) < c->cpl || DESC_DPL(g) < (gsel & 3u)) {
        soft_fault_err(c, s, EXC_GP, gsel & ~3);
    }
    if (!DESC_P(g)) {
        soft_fault_err(c, s, EXC_NP, gsel & ~3);
    }
    if (c->lma) {
        ip |= (uint64_t)soft_desc_upper(c, s, gsel) << 32;
    }
    if (!(sel & ~3)) {
        SOFT_GP0(c, s);
    }
    if (!soft_desc_read(c, s, sel, &d) || !DESC_S(d) || !DESC_CODE(d) ||
        DESC_DPL(d) > c->cpl ||
        (c->lma && (!DESC_L(d) || DESC_D(d))) ||
        (!call && !DESC_CONF(d) && DESC_DPL(d) != c->cpl)) {
        soft_fault_err(c, s, EXC_GP, sel & ~3);
    }
    if (!DESC_P(d)) {
        soft_fault_err(c, s, EXC_NP, sel & ~3);
    }
    this_stack(c, &old);
    k = old;
    if (call && !DESC_CONF(d) && DESC_DPL(d) < c->cpl) {
        cpl = DESC_DPL(d);
        new_stack(c, s, cpl, &k, &ss, &sd);
        check_ip(c, s, d, ip);
        soft_stk_push(c, s, &k, c->x->seg[SEG_SS].sel, n);
        soft_stk_push(c, s, &k, c->r[X86_RSP], n);
        for (unsigned i = c->lma ? 0 : words; i-- > 0;) {
            uint64_t at = sp_cut(c, c->r[X86_RSP] + i * n);

            soft_stk_push(c, s, &k, ld_n(c, s, stack_lin(c, s, at, n, false),
                                         n), n);
        }
    }
    check_ip(c, s, d, ip);
    if (call) {
        soft_stk_push(c, s, &k, c->x->seg[SEG_CS].sel, n);
        soft_stk_push(c, s, &k, old_ip, n);
    }
    soft_desc_accessed(c, s, sel, &d);
    if (cpl != c->cpl) {
        c->cpl = cpl;
        if (c->lma) {
            null_ss(c, cpl);
        } else {
            soft_desc_to_seg(sd, ss, &c->x->seg[SEG_SS]);
        }
    }
    soft_cs_set(c, sel, d, cpl);
    c->r[X86_RSP] = (c->r[X86_RSP] & ~k.mask) | (k.sp & k.mask);
    if (k.mask == 0xffffffff) {
        c->r[X86_RSP] = (uint32_t)k.sp;
    }
    c->r[R_IP] = ip;
}

/* To the task of a TSS descriptor, or of a task gate. */
static void task_jump(SoftCpu *c, const Slot *s, uint16_t sel, Desc d,
                      bool call)
{
    if (c->lma || DESC_DPL(d) < c->cpl || DESC_DPL(d) < (sel & 3u)) {
        soft_fault_err(c, s, EXC_GP, sel & ~3);
    }
    if (!DESC_P(d)) {
        soft_fault_err(c, s, EXC_NP, sel & ~3);
    }
    if (DESC_TYPE(d) == 5) {
        sel = d.lo >> 16;
        if (sel & 4 || !soft_desc_read(c, s, sel, &d) || DESC_S(d) ||
            (DESC_TYPE(d) & ~8) != 1) {
            soft_fault_err(c, s, EXC_GP, sel & ~3);
        }
        if (!DESC_P(d)) {
            soft_fault_err(c, s, EXC_NP, sel & ~3);
        }
    }
    soft_task_switch(c, s, sel, d, call ? TASK_CALL : TASK_JUMP,
                     ip_next(c, s), false, 0);
}

/* A target of real and virtual-8086 mode. */
static void check_ip_real(SoftCpu *c, const Slot *s, uint64_t ip)
{
    if (ip > c->x->seg[SEG_CS].limit) {
        SOFT_GP0(c, s);
    }
}

void soft_far_jump(SoftCpu *c, const Slot *s, uint16_t sel, uint64_t ip,
                   bool call)
{
    unsigned n = s->osz;
    NewStack k;
    Desc d;

    if (!soft_pe(c) || soft_v86(c)) {
        check_ip_real(c, s, ip);
        if (call) {
            uint64_t sp = c->r[X86_RSP];

            /* both words are written before rSP moves */
            st_n(c, s, stack_lin(c, s, sp_cut(c, sp - 2 * n), n, true),
                 ip_next(c, s), n);
            st_n(c, s, stack_lin(c, s, sp_cut(c, sp - n), n, true),
                 c->x->seg[SEG_CS].sel, n);
            sp_set(c, sp - 2 * n);
        }
        soft_seg_real(c, SEG_CS, sel);
        soft_mode_update(c);
        c->r[R_IP] = ip;
        return;
    }
    if (!(sel & ~3)) {
        SOFT_GP0(c, s);
    }
    if (!soft_desc_read(c, s, sel, &d)) {
        soft_fault_err(c, s, EXC_GP, sel & ~3);
    }
    if (!DESC_S(d)) {
        switch (DESC_TYPE(d)) {
        case 1: case 9: case 5:
            task_jump(c, s, sel, d, call);
            return;
        case 4:
            if (c->lma) {
                break;
            }
            /* fall through */
        case 12:
            gate_jump(c, s, sel, d, call);
            return;
        }
        soft_fault_err(c, s, EXC_GP, sel & ~3);
    }
    if (!DESC_CODE(d) ||
        (DESC_CONF(d) ? DESC_DPL(d) > c->cpl :
         (sel & 3u) > c->cpl || DESC_DPL(d) != c->cpl) ||
        (c->lma && DESC_L(d) && DESC_D(d))) {
        soft_fault_err(c, s, EXC_GP, sel & ~3);
    }
    if (!DESC_P(d)) {
        soft_fault_err(c, s, EXC_NP, sel & ~3);
    }
    check_ip(c, s, d, ip);
    this_stack(c, &k);
    if (call) {
        soft_stk_push(c, s, &k, c->x->seg[SEG_CS].sel, n);
        soft_stk_push(c, s, &k, ip_next(c, s), n);
    }
    soft_desc_accessed(c, s, sel, &d);
    if (call) {
        sp_set(c, k.sp);
    }
    soft_cs_set(c, sel, d, c->cpl);
    c->r[R_IP] = ip;
}

/* After a return to less privilege: data segments that it may not have. */
static void drop_segments(SoftCpu *c)
{
    static const uint8_t segs[] = { SEG_ES, SEG_DS, SEG_FS, SEG_GS };

    for (unsigned i = 0; i < 4; i++) {
        X86Seg *g = &c->x->seg[segs[i]];
        bool conf = (g->attr & 0x1c) == 0x1c;

        if (g->attr & 0x80 && !conf && (g->attr >> 5 & 3u) < c->cpl) {
            uint64_t base = g->base;

            *g = (X86Seg){ .sel = 0, .base = segs[i] >= SEG_FS && c->lma ?
                           base : 0 };
            soft_seg_update(c, segs[i]);
        }
    }
}

/* Common to RETF and IRET: CS:IP were taken from the stack, `at` bytes are
 * used, imm are dropped on both stacks. iret: flags to load as well. */
static void return_to(SoftCpu *c, const Slot *s, uint16_t sel, uint64_t ip,
                      unsigned at, unsigned imm, bool iret, uint32_t flags)
{
    unsigned n = s->osz, rpl = sel & 3;
    bool outer = rpl > c->cpl, wide = iret && c->code64;
    uint64_t sp = 0;
    uint16_t ss = 0;
    uint32_t mask = F_ARITH | F_TF | F_DF | F_NT | F_AC | F_ID | F_RF;
    Desc d, sd = { 0 };
    unsigned old_cpl = c->cpl;

    if (!(sel & ~3)) {
        SOFT_GP0(c, s);
    }
    if (!soft_desc_read(c, s, sel, &d) || !DESC_S(d) || !DESC_CODE(d) ||
        rpl < c->cpl || (DESC_CONF(d) ? DESC_DPL(d) > rpl :
                         DESC_DPL(d) != rpl) ||
        (c->lma && DESC_L(d) && DESC_D(d))) {
        soft_fault_err(c, s, EXC_GP, sel & ~3);
    }
    if (!DESC_P(d)) {
        soft_fault_err(c, s, EXC_NP, sel & ~3);
    }
    if (outer || wide) {
        sp = peek_n(c, s, at + imm, n);
        ss = peek_n(c, s, at + imm + n, n);
        if (!(ss & ~3)) {
            if (!c->lma || !DESC_L(d) || rpl == 3 || (ss & 3u) != rpl) {
                SOFT_GP0(c, s);
            }
        } else {
            sd = soft_stack_desc(c, s, ss, rpl, EXC_GP);
        }
    }
    check_ip(c, s, d, ip);
    soft_desc_accessed(c, s, sel, &d);
    if (iret) {
        if (n == 2) {
            mask &= 0xffff;
        }
        if (c->cpl == 0) {
            mask |= F_IOPL | (n > 2 ? F_VIF | F_VIP : 0);
        }
        if (c->cpl <= (c->eflags >> 12 & 3)) {
            mask |= F_IF;
        }
    }
    c->cpl = rpl;
    if (outer || wide) {
        if (ss & ~3) {
            soft_desc_to_seg(sd, ss, &c->x->seg[SEG_SS]);
        } else {
            null_ss(c, rpl);
            c->x->seg[SEG_SS].sel = ss;
        }
        soft_cs_set(c, sel, d, rpl);
        if (c->code64) {
            c->r[X86_RSP] = sp + imm;
        } else if (c->mode & MW_SS32) {
            c->r[X86_RSP] = (uint32_t)(sp + imm);
        } else {
            *(una_16 *)&c->r[X86_RSP] = sp + imm;
        }
    } else {
        sp_set(c, c->r[X86_RSP] + at + imm);
        soft_cs_set(c, sel, d, rpl);
    }
    if (rpl != old_cpl) {
        drop_segments(c);
    }
    c->r[R_IP] = ip;
    if (iret) {
        soft_eflags_write(c, flags, mask);
    }
}

void soft_far_ret(SoftCpu *c, const Slot *s, unsigned imm)
{
    unsigned n = s->osz;
    uint64_t ip = peek_n(c, s, 0, n);
    uint16_t sel = peek_n(c, s, n, n);

    if (!soft_pe(c) || soft_v86(c)) {
        check_ip_real(c, s, ip);
        sp_set(c, c->r[X86_RSP] + 2 * n + imm);
        soft_seg_real(c, SEG_CS, sel);
        soft_mode_update(c);
        c->r[R_IP] = ip;
        return;
    }
    return_to(c, s, sel, ip, 2 * n, imm, false, 0);
}

static void iret_real(SoftCpu *c, const Slot *s)
{
    unsigned n = s->osz;
    uint64_t ip = peek_n(c, s, 0, n);
    uint16_t sel = peek_n(c, s, n, n);
    uint32_t f = peek_n(c, s, 2 * n, n);
    uint32_t mask = F_ARITH | F_TF | F_IF | F_DF | F_NT;

    if (soft_v86(c)) {
        if ((c->eflags >> 12 & 3) != 3) {
            SOFT_GP0(c, s);
        }
    } else {
        mask |= F_IOPL;
    }
    check_ip_real(c, s, ip);
    if (n > 2) {
        mask |= F_AC | F_ID | F_RF;
    }
    sp_set(c, c->r[X86_RSP] + 3 * n);
    soft_seg_real(c, SEG_CS, sel);
    c->r[R_IP] = ip;
    soft_eflags_write(c, f, mask);
}

/* Back into virtual-8086 mode. */
static void iret_v86(SoftCpu *c, const Slot *s, uint64_t ip, uint16_t cs,
                     uint32_t flags)
{
    static const uint8_t order[] = { SEG_SS, SEG_ES, SEG_DS, SEG_FS, SEG_GS };
    uint16_t v[5];
    uint32_t sp = peek_n(c, s, 12, 4);

    for (unsigned i = 0; i < 5; i++) {
        v[i] = peek_n(c, s, 16 + 4 * i, 4);
    }
    if (ip > 0xffff) {
        SOFT_GP0(c, s);
    }
    soft_eflags_write(c, flags, F_VALID | F_ARITH);
    c->cpl = 3;
    soft_seg_real(c, SEG_CS, cs);
    for (unsigned i = 0; i < 5; i++) {
        soft_seg_real(c, order[i], v[i]);
    }
    soft_mode_update(c);
    c->r[X86_RSP] = sp;
    c->r[R_IP] = ip;
}

void soft_iret(SoftCpu *c, const Slot *s)
{
    unsigned n = s->osz;
    uint64_t ip;
    uint16_t sel;
    uint32_t flags;

    c->nmi_masked = false;
    if (c->x->nmi_pending) {
        c->x->nmi_pending = 0;
        soft_kick(c, KICK_NMI);
    }
    if (!soft_pe(c) || soft_v86(c)) {
        iret_real(c, s);
        return;
    }
    if (c->eflags & F_NT) {
        uint16_t back;
        Desc d;

        if (c->lma) {
            SOFT_GP0(c, s);
        }
        back = soft_ld_sys(c, s, c->x->tr.base, 2);
        if (back & 4 || !soft_desc_read(c, s, back, &d) || DESC_S(d) ||
            (DESC_TYPE(d) != 3 && DESC_TYPE(d) != 11)) {
            soft_fault_err(c, s, EXC_TS, back & ~3);
        }
        if (!DESC_P(d)) {
            soft_fault_err(c, s, EXC_NP, back & ~3);
        }
        soft_task_switch(c, s, back, d, TASK_IRET, ip_next(c, s), false, 0);
        return;
    }
    ip = peek_n(c, s, 0, n);
    sel = peek_n(c, s, n, n);
    flags = peek_n(c, s, 2 * n, n);
    if (n == 4 && flags & F_VM && c->cpl == 0 && !c->lma) {
        iret_v86(c, s, ip, sel, flags);
        return;
    }
    return_to(c, s, sel, ip, 3 * n, 0, true, flags);
}
