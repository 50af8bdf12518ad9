/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * seg.c - descriptors and segment registers.
 * Intel SDM vol. 3, 3.4, 5.5-5.6; AMD64 APM vol. 2, 4.7-4.10.
 *
 * Thread class: the vCPU's thread.
 */
#include "soft.h"
#include "seg.h"

uint32_t soft_desc_limit(Desc d)
{
    uint32_t l = (d.lo & 0xffff) | (d.hi & 0xf0000);

    return d.hi & 0x800000 ? l << 12 | 0xfff : l;
}

uint64_t soft_desc_base(Desc d)
{
    return d.lo >> 16 | (d.hi & 0xff) << 16 | (d.hi & 0xff000000);
}

void soft_desc_to_seg(Desc d, uint16_t sel, X86Seg *out)
{
    out->sel = sel;
    out->attr = (d.hi >> 8 & 0xff) | (d.hi >> 20 & 15) << 8;
    out->limit = soft_desc_limit(d);
    out->base = soft_desc_base(d);
}

/* Linear address of a descriptor; false: outside its table. */
static bool desc_at(SoftCpu *c, uint16_t sel, unsigned size, uint64_t *la)
{
    X86Regs *x = c->x;
    uint32_t limit = sel & 4 ? x->ldt.limit : x->gdt.limit;
    uint64_t base = sel & 4 ? x->ldt.base : x->gdt.base;

    if ((sel & 4 && !(x->ldt.attr & 0x80)) || (sel | 7u) + size - 8 > limit) {
        return false;
    }
    *la = base + (sel & 0xfff8);
    return true;
}

bool soft_desc_read(SoftCpu *c, const Slot *s, uint16_t sel, Desc *d)
{
    uint64_t la, v;

    if (!desc_at(c, sel, 8, &la)) {
        return false;
    }
    v = soft_ld_sys(c, s, la, 8);
    d->lo = v;
    d->hi = v >> 32;
    return true;
}

void soft_desc_accessed(SoftCpu *c, const Slot *s, uint16_t sel, Desc *d)
{
    uint64_t la;

    if (!(d->hi & 0x100) && desc_at(c, sel, 8, &la)) {
        d->hi |= 0x100;
        soft_st_sys(c, s, la + 5, d->hi >> 8, 1);
    }
}

/* Upper half of a 16-byte system descriptor. */
uint32_t soft_desc_upper(SoftCpu *c, const Slot *s, uint16_t sel)
{
    uint64_t la;

    if (!desc_at(c, sel, 16, &la)) {
        soft_fault_err(c, s, EXC_GP, sel & ~3);
    }
    if (soft_ld_sys(c, s, la + 12, 4) & 0x1f00) {
        soft_fault_err(c, s, EXC_GP, sel & ~3);
    }
    return soft_ld_sys(c, s, la + 8, 4);
}

void soft_seg_real(SoftCpu *c, unsigned seg, uint16_t sel)
{
    X86Seg *g = &c->x->seg[seg];

    g->sel = sel;
    g->base = (uint32_t)sel << 4;
    if (soft_v86(c)) {
        g->limit = 0xffff;
        g->attr = 0xf3;
    } else if (seg == SEG_CS) {
        g->attr = (g->attr & ~0x6f) | 0x13;
    }
    soft_seg_update(c, seg);
}

static void seg_null(SoftCpu *c, unsigned seg, uint16_t sel)
{
    X86Seg *g = &c->x->seg[seg];

    *g = (X86Seg){ .sel = sel };
    if (seg == SEG_SS) {
        g->attr = c->cpl << 5 | 0x400;  /* keeps the privilege level */
        g->limit = 0xffffffff;
    }
    soft_seg_update(c, seg);
}

void soft_seg_load(SoftCpu *c, const Slot *s, unsigned seg, uint16_t sel)
{
    unsigned rpl = sel & 3, dpl;
    Desc d;

    if (!soft_pe(c) || soft_v86(c)) {
        soft_seg_real(c, seg, sel);
        return;
    }
    if (!(sel & ~3)) {
        if (seg == SEG_SS && (!c->code64 || c->cpl == 3 || rpl != c->cpl)) {
            SOFT_GP0(c, s);
        }
        seg_null(c, seg, sel);
        return;
    }
    if (!soft_desc_read(c, s, sel, &d)) {
        soft_fault_err(c, s, EXC_GP, sel & ~3);
    }
    dpl = DESC_DPL(d);
    if (seg == SEG_SS) {
        if (rpl != c->cpl || dpl != c->cpl || !DESC_S(d) || DESC_CODE(d) ||
            !(d.hi & 0x200)) {
            soft_fault_err(c, s, EXC_GP, sel & ~3);
        }
    } else if (!DESC_S(d) || (DESC_CODE(d) && !(d.hi & 0x200)) ||
               (!(DESC_CODE(d) && d.hi & 0x400) &&
                (rpl > dpl || c->cpl > dpl))) {
        soft_fault_err(c, s, EXC_GP, sel & ~3);
    }
    if (!DESC_P(d)) {
        soft_fault_err(c, s, seg == SEG_SS ? EXC_SS : EXC_NP, sel & ~3);
    }
    soft_desc_accessed(c, s, sel, &d);
    soft_desc_to_seg(d, sel, &c->x->seg[seg]);
    soft_seg_update(c, seg);
}

void soft_cs_set(SoftCpu *c, uint16_t sel, Desc d, unsigned cpl)
{
    soft_desc_to_seg(d, (sel & ~3) | cpl, &c->x->seg[SEG_CS]);
    c->cpl = cpl;
    soft_mode_update(c);
}

void soft_ss_set(SoftCpu *c, uint16_t sel, Desc d)
{
    soft_desc_to_seg(d, sel, &c->x->seg[SEG_SS]);
    soft_seg_update(c, SEG_SS);
}

/* Limits and rights; faults with #SS for the stack segment. */
uint64_t soft_seg_check(SoftCpu *c, const Slot *s, unsigned seg, uint64_t off,
                        unsigned size, bool write)
{
    const X86Seg *g = &c->x->seg[seg];
    unsigned type = g->attr & 15;
    bool bad = false;

    off = (uint32_t)off;
    if (soft_pe(c) && !soft_v86(c)) {
        bad = !(g->attr & 0x80) || (type & 8 ? write || !(type & 2) :
                                    write && !(type & 2));
    }
    if ((type & 12) == 4 && soft_pe(c)) {           /* expand-down data */
        uint32_t top = g->attr & 0x400 ? 0xffffffff : 0xffff;

        bad |= off <= g->limit || off + size - 1 > top;
    } else {
        bad |= off + size - 1 > g->limit;
    }
    if (bad) {
        soft_fault_err(c, s, seg == SEG_SS ? EXC_SS : EXC_GP, 0);
    }
    return (uint32_t)(off + g->base);
}

uint64_t soft_stack_lin(SoftCpu *c, const Slot *s, uint64_t off, unsigned n,
                        bool write)
{
    if (!(c->mode & MW_NOCHK << SEG_SS)) {
        return soft_seg_check(c, s, SEG_SS, off, n, write);
    }
    return (uint32_t)(off + c->segbase[SEG_SS]);
}

/* Stack pointer of privilege level dpl from the TSS. */
void soft_tss_stack(SoftCpu *c, const Slot *s, unsigned dpl, uint16_t *ss,
                    uint64_t *sp)
{
    X86Seg *t = &c->x->tr;
    unsigned at;

    if (c->lma) {
        at = 4 + 8 * dpl;
        if (at + 7 > t->limit) {
            soft_fault_err(c, s, EXC_TS, t->sel & ~3);
        }
        *sp = soft_ld_sys(c, s, t->base + at, 8);
        *ss = 0;
    } else if (t->attr & 8) {
        at = 4 + 8 * dpl;
        if (at + 5 > t->limit) {
            soft_fault_err(c, s, EXC_TS, t->sel & ~3);
        }
        *sp = soft_ld_sys(c, s, t->base + at, 4);
        *ss = soft_ld_sys(c, s, t->base + at + 4, 2);
    } else {
        at = 2 + 4 * dpl;
        if (at + 3 > t->limit) {
            soft_fault_err(c, s, EXC_TS, t->sel & ~3);
        }
        *sp = soft_ld_sys(c, s, t->base + at, 2);
        *ss = soft_ld_sys(c, s, t->base + at + 2, 2);
    }
}

/* Judges a stack segment for level cpl, as a privilege change does. */
Desc soft_stack_desc(SoftCpu *c, const Slot *s, uint16_t ss, unsigned cpl,
                     int vec)
{
    Desc d;

    if (!(ss & ~3)) {
        soft_fault_err(c, s, vec, vec == EXC_TS ? ss & ~3 : 0);
    }
    if (!soft_desc_read(c, s, ss, &d) || (ss & 3) != cpl ||
        DESC_DPL(d) != cpl || !DESC_S(d) || DESC_CODE(d) || !(d.hi & 0x200)) {
        soft_fault_err(c, s, vec, ss & ~3);
    }
    if (!DESC_P(d)) {
        soft_fault_err(c, s, EXC_SS, ss & ~3);
    }
    soft_desc_accessed(c, s, ss, &d);
    return d;
}

/* ---- a stack that is not in force yet ------------------------------------ */
void soft_stk_push(SoftCpu *c, const Slot *s, NewStack *k, uint64_t v,
                   unsigned n)
{
    uint64_t off = (k->sp - n) & k->mask, la = off;

    if (!k->wide) {
        uint32_t top = off + n - 1;
        bool down = (k->seg.attr & 12) == 4;

        if (down ? off <= k->seg.limit :
            top > k->seg.limit || top < (uint32_t)off) {
            soft_fault_err(c, s, EXC_SS, k->err);
        }
        la = (uint32_t)(off + k->seg.base);
    } else if (!soft_canonical(off, c->x->cr4)) {
        soft_fault_err(c, s, EXC_SS, k->err);
    }
    c->tlb = c->tlbs[k->cpl == 3 ? MMU_USER : c->x->cr4 >> 21 & 1 ? MMU_SMAP :
                     MMU_KERNEL];
    st_n(c, s, la, v, n);
    soft_mmu_pick(c);
    k->sp = (k->sp & ~k->mask) | off;
}

/* ---- LDTR, TR ------------------------------------------------------------ */
void soft_ldt_load(SoftCpu *c, const Slot *s, uint16_t sel)
{
    uint64_t upper = 0;
    Desc d;

    if (!(sel & ~3)) {
        c->x->ldt = (X86Seg){ .sel = sel };
        return;
    }
    if (sel & 4 || !soft_desc_read(c, s, sel, &d) || DESC_S(d) ||
        DESC_TYPE(d) != 2) {
        soft_fault_err(c, s, EXC_GP, sel & ~3);
    }
    if (!DESC_P(d)) {
        soft_fault_err(c, s, EXC_NP, sel & ~3);
    }
    if (c->lma) {
        upper = (uint64_t)soft_desc_upper(c, s, sel) << 32;
    }
    soft_desc_to_seg(d, sel, &c->x->ldt);
    c->x->ldt.base |= upper;
}

void soft_tr_load(SoftCpu *c, const Slot *s, uint16_t sel)
{
    uint64_t upper = 0, la;
    Desc d;

    if (!(sel & ~3)) {
        SOFT_GP0(c, s);
    }
    if (sel & 4 || !soft_desc_read(c, s, sel, &d) || DESC_S(d) ||
        !(DESC_TYPE(d) == 9 || (DESC_TYPE(d) == 1 && !c->lma))) {
        soft_fault_err(c, s, EXC_GP, sel & ~3);
    }
    if (!DESC_P(d)) {
        soft_fault_err(c, s, EXC_NP, sel & ~3);
    }
    if (c->lma) {
        upper = (uint64_t)soft_desc_upper(c, s, sel) << 32;
    }
    d.hi |= 0x200;
    desc_at(c, sel, 8, &la);
    soft_st_sys(c, s, la + 5, d.hi >> 8, 1);
    soft_desc_to_seg(d, sel, &c->x->tr);
    c->x->tr.base |= upper;
}

/* Sets or clears the busy bit of a TSS descriptor. */
void soft_tss_busy(SoftCpu *c, const Slot *s, uint16_t sel, bool busy)
{
    uint64_t la;
    Desc d;

    if (desc_at(c, sel, 8, &la) && soft_desc_read(c, s, sel, &d)) {
        d.hi = busy ? d.hi | 0x200 : d.hi & ~0x200u;
        soft_st_sys(c, s, la + 5, d.hi >> 8, 1);
    }
}
