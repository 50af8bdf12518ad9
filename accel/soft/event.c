/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * event.c - delivery of exceptions and interrupts.
 * Intel SDM vol. 3, 6.10-6.14, 20.1-20.3; AMD64 APM vol. 2, 8.7-8.9.
 *
 * Thread class: the vCPU's thread.
 * Invariant: registers change only after every push has succeeded.
 */
#include "seg.h"

/* Error code for a fault of the gate of vec itself; EXT is added to all. */
static uint32_t idt_err(int vec)
{
    return vec << 3 | 2;
}

static void event_real(SoftCpu *c, int vec, uint64_t ip)
{
    X86Regs *x = c->x;
    uint64_t sp = c->r[X86_RSP];
    uint32_t entry;
    NewStack k = { .cpl = 0, .seg = x->seg[SEG_SS], .sp = sp,
                   .mask = c->mode & MW_SS32 ? 0xffffffff : 0xffff };

    if (vec * 4 + 3u > x->idt.limit) {
        soft_fault_err(c, NULL, EXC_GP, idt_err(vec));
    }
    entry = soft_ld_sys(c, NULL, x->idt.base + vec * 4, 4);
    soft_stk_push(c, NULL, &k, eflags_get(c), 2);
    soft_stk_push(c, NULL, &k, x->seg[SEG_CS].sel, 2);
    soft_stk_push(c, NULL, &k, ip, 2);
    sp_set(c, k.sp);
    c->eflags &= ~(F_IF | F_TF | F_AC | F_RF);
    soft_seg_real(c, SEG_CS, entry >> 16);
    c->r[R_IP] = entry & 0xffff;
    soft_mode_update(c);
}

typedef struct Gate {
    uint16_t sel;
    uint64_t ip;
    unsigned type, dpl, ist;
    bool present;
} Gate;

static Gate gate_read(SoftCpu *c, int vec, int kind)
{
    X86Regs *x = c->x;
    unsigned size = c->lma ? 16 : 8;
    uint64_t lo, hi;
    Gate g = { 0 };

    if (vec * size + size - 1 > x->idt.limit) {
        soft_fault_err(c, NULL, EXC_GP, idt_err(vec));
    }
    lo = soft_ld_sys(c, NULL, x->idt.base + vec * size, 8);
    g.sel = lo >> 16;
    g.ip = (lo & 0xffff) | (lo >> 32 & 0xffff0000);
    g.type = lo >> 40 & 0x1f;
    g.dpl = lo >> 45 & 3;
    g.present = lo >> 47 & 1;
    if (c->lma) {
        hi = soft_ld_sys(c, NULL, x->idt.base + vec * size + 8, 8);
        g.ip |= hi << 32;
        g.ist = lo >> 32 & 7;
    } else if (g.type == 6 || g.type == 7) {
        g.ip &= 0xffff;
    }
    if (g.type != 14 && g.type != 15 &&
        (c->lma || (g.type != 5 && g.type != 6 && g.type != 7))) {
        soft_fault_err(c, NULL, EXC_GP, idt_err(vec));
    }
    if (kind == EV_SOFT && g.dpl < c->cpl) {
        soft_fault_err(c, NULL, EXC_GP, idt_err(vec));
    }
    if (!g.present) {
        soft_fault_err(c, NULL, EXC_NP, idt_err(vec));
    }
    return g;
}

static void push_v86_segments(SoftCpu *c, NewStack *k, unsigned n)
{
    static const uint8_t order[] = { SEG_GS, SEG_FS, SEG_DS, SEG_ES };

    for (unsigned i = 0; i < 4; i++) {
        soft_stk_push(c, NULL, k, c->x->seg[order[i]].sel, n);
    }
}

static void drop_v86_segments(SoftCpu *c)
{
    static const uint8_t order[] = { SEG_GS, SEG_FS, SEG_DS, SEG_ES };

    for (unsigned i = 0; i < 4; i++) {
        c->x->seg[order[i]] = (X86Seg){ 0 };
    }
}

/* The stack for a handler at level cpl; *ss, *sd what SS becomes. */
static void pick_stack(SoftCpu *c, const Gate *g, unsigned cpl, NewStack *k,
                       uint16_t *ss, Desc *sd)
{
    X86Seg *t = &c->x->tr;

    *k = (NewStack){ .cpl = cpl };
    if (c->lma) {
        k->wide = true;
        k->mask = ~0ull;
        if (g->ist) {
            unsigned at = 28 + 8 * g->ist;

            if (at + 7 > t->limit) {
                soft_fault_err(c, NULL, EXC_TS, t->sel & ~3);
            }
            k->sp = soft_ld_sys(c, NULL, t->base + at, 8);
        } else if (cpl != c->cpl) {
            soft_tss_stack(c, NULL, cpl, ss, &k->sp);
        } else {
            k->sp = c->r[X86_RSP];
        }
        k->sp &= ~15ull;
    } else if (cpl != c->cpl) {
        soft_tss_stack(c, NULL, cpl, ss, &k->sp);
        *sd = soft_stack_desc(c, NULL, *ss, cpl, EXC_TS);
        soft_desc_to_seg(*sd, *ss, &k->seg);
        k->mask = k->seg.attr & 0x400 ? 0xffffffff : 0xffff;
        k->err = *ss & ~3;
    } else {
        k->seg = c->x->seg[SEG_SS];
        k->sp = c->r[X86_RSP];
        k->mask = c->mode & MW_SS32 ? 0xffffffff : 0xffff;
    }
}

static void event_gate(SoftCpu *c, const Gate *g, bool has_err,
                       uint32_t err, uint64_t ip, uint32_t flags)
{
    unsigned n = c->lma ? 8 : g->type & 8 ? 4 : 2, cpl;
    bool v86 = soft_v86(c);
    uint16_t ss = 0;
    Desc d, sd = { 0 };
    NewStack k;

    if (!(g->sel & ~3)) {
        soft_fault_err(c, NULL, EXC_GP, 0);
    }
    if (!soft_desc_read(c, NULL, g->sel, &d) || !DESC_S(d) || !DESC_CODE(d) ||
        DESC_DPL(d) > c->cpl || (c->lma && (!DESC_L(d) || DESC_D(d)))) {
        soft_fault_err(c, NULL, EXC_GP, g->sel & ~3);
    }
    if (!DESC_P(d)) {
        soft_fault_err(c, NULL, EXC_NP, g->sel & ~3);
    }
    cpl = DESC_CONF(d) ? c->cpl : DESC_DPL(d);
    if (v86 && cpl) {
        soft_fault_err(c, NULL, EXC_GP, g->sel & ~3);
    }
    pick_stack(c, g, cpl, &k, &ss, &sd);
    if (c->lma ? !soft_canonical(g->ip, c->x->cr4) :
        g->ip > soft_desc_limit(d)) {
        soft_fault_err(c, NULL, EXC_GP, 0);
    }
    if (v86) {
        push_v86_segments(c, &k, n);
    }
    if (c->lma || cpl != c->cpl) {
        soft_stk_push(c, NULL, &k, c->x->seg[SEG_SS].sel, n);
        soft_stk_push(c, NULL, &k, c->r[X86_RSP], n);
    }
    soft_stk_push(c, NULL, &k, flags, n);
    soft_stk_push(c, NULL, &k, c->x->seg[SEG_CS].sel, n);
    soft_stk_push(c, NULL, &k, ip, n);
    if (has_err) {
        soft_stk_push(c, NULL, &k, err, n);
    }
    soft_desc_accessed(c, NULL, g->sel, &d);

    c->eflags &= ~(F_TF | F_NT | F_VM | F_RF);
    if (!(g->type & 1)) {
        c->eflags &= ~F_IF;
    }
    if (v86) {
        drop_v86_segments(c);
    }
    if (c->lma) {
        if (cpl != c->cpl) {
            c->x->seg[SEG_SS] = (X86Seg){ .sel = cpl, .limit = 0xffffffff,
                                          .attr = cpl << 5 | 0x400 };
        }
        c->r[X86_RSP] = k.sp;
    } else {
        if (cpl != c->cpl) {
            soft_desc_to_seg(sd, ss, &c->x->seg[SEG_SS]);
        }
        c->r[X86_RSP] = k.mask == 0xffff ?
            (c->r[X86_RSP] & ~0xffffull) | (k.sp & 0xffff) : (uint32_t)k.sp;
    }
    soft_cs_set(c, g->sel, d, cpl);
    c->r[R_IP] = g->ip;
}

static void event_task(SoftCpu *c, uint16_t sel, uint64_t ip, bool has_err,
                       uint32_t err)
{
    Desc d;

    if (sel & 4 || !soft_desc_read(c, NULL, sel, &d) || DESC_S(d) ||
        (DESC_TYPE(d) & ~8) != 1) {
        soft_fault_err(c, NULL, EXC_GP, sel & ~3);
    }
    if (!DESC_P(d)) {
        soft_fault_err(c, NULL, EXC_NP, sel & ~3);
    }
    soft_task_switch(c, NULL, sel, d, TASK_INT, ip, has_err, err);
}

void soft_event(SoftCpu *c, int vec, int kind, bool has_err, uint32_t err,
                uint64_t ip)
{
    uint32_t flags = eflags_get(c);
    Gate g;

    if (kind == EV_EXC && vec != EXC_BP && vec != EXC_OF &&
        (vec != EXC_DB || c->exc_soft)) {
        flags |= F_RF;
    }
    if (vec == EXC_DB) {
        c->x->dr[7] &= ~0x2000ull;      /* GD */
    }
    c->exc_soft = 0;
    c->shadow = 0;
    c->pend_db = 0;
    c->ext = kind != EV_SOFT;
    if (!soft_pe(c)) {
        event_real(c, vec, ip);
    } else {
        g = gate_read(c, vec, kind);
        if (g.type == 5) {
            c->eflags |= flags & F_RF;
            event_task(c, g.sel, ip, has_err, err);
        } else {
            event_gate(c, &g, has_err, err, ip, flags);
        }
    }
    c->ext = false;
}
