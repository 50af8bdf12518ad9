/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * smm.c - system management mode: entry, the save area, RSM.
 * AMD64 APM vol. 2, 10.2-10.3 (64-bit save area, revision 0x20064).
 *
 * Thread class: the vCPU's thread.
 */
#include "soft.h"

#define SMM_REV 0x00020064u

static const uint16_t seg_at[] = { 0x7e00, 0x7e10, 0x7e20, 0x7e30, 0x7e40,
                                   0x7e50 };

static void put_seg(SoftCpu *c, uint64_t at, const X86Seg *g)
{
    soft_phys_st(c, at, g->sel, 2);
    soft_phys_st(c, at + 2, g->attr, 2);
    soft_phys_st(c, at + 4, g->limit, 4);
    soft_phys_st(c, at + 8, g->base, 8);
}

static void get_seg(SoftCpu *c, uint64_t at, X86Seg *g)
{
    g->sel = soft_phys_ld(c, at, 2);
    g->attr = soft_phys_ld(c, at + 2, 2);
    g->limit = soft_phys_ld(c, at + 4, 4);
    g->base = soft_phys_ld(c, at + 8, 8);
}

void soft_smm_enter(SoftCpu *c)
{
    X86Regs *x = c->x;
    uint64_t b = x->smbase + 0x8000;

    x->smm = 1;
    if (c->hooks->smm) {
        c->hooks->smm(c, true);
    }
    soft_tlb_flush(c, true);
    for (unsigned i = 0; i < 6; i++) {
        put_seg(c, b + seg_at[i], &x->seg[i]);
    }
    soft_phys_st(c, b + 0x7e64, x->gdt.limit, 4);
    soft_phys_st(c, b + 0x7e68, x->gdt.base, 8);
    put_seg(c, b + 0x7e70, &x->ldt);
    soft_phys_st(c, b + 0x7e84, x->idt.limit, 4);
    soft_phys_st(c, b + 0x7e88, x->idt.base, 8);
    put_seg(c, b + 0x7e90, &x->tr);
    soft_phys_st(c, b + 0x7ec8, c->halted, 1);
    soft_phys_st(c, b + 0x7ed0, x->efer, 8);
    soft_phys_st(c, b + 0x7efc, SMM_REV, 4);
    soft_phys_st(c, b + 0x7f00, x->smbase, 4);
    soft_phys_st(c, b + 0x7f48, x->cr4, 8);
    soft_phys_st(c, b + 0x7f50, x->cr3, 8);
    soft_phys_st(c, b + 0x7f58, x->cr0, 8);
    soft_phys_st(c, b + 0x7f60, x->dr[7], 8);
    soft_phys_st(c, b + 0x7f68, x->dr[6], 8);
    soft_phys_st(c, b + 0x7f70, eflags_get(c), 8);
    soft_phys_st(c, b + 0x7f78, c->r[R_IP], 8);
    for (unsigned i = 0; i < 16; i++) {
        soft_phys_st(c, b + 0x7ff8 - 8 * i, c->r[i], 8);
    }
    c->halted = false;
    c->nmi_masked = true;
    x->efer = 0;
    x->cr0 &= ~0x8000000dull;
    x->cr4 = 0;
    x->dr[7] = 0x400;
    fl_set(c, 0);
    c->eflags = 0;
    c->cpl = 0;
    c->shadow = 0;
    for (unsigned i = 0; i < 6; i++) {
        x->seg[i] = (X86Seg){ .limit = 0xffffffff, .attr = 0x893 };
    }
    x->seg[SEG_CS].sel = x->smbase >> 4;
    x->seg[SEG_CS].base = x->smbase;
    c->r[R_IP] = 0x8000;
    c->link_from = NULL;
    soft_mode_update(c);
}

void soft_rsm(SoftCpu *c, const Slot *s)
{
    X86Regs *x = c->x;
    uint64_t b = x->smbase + 0x8000;

    if (!x->smm) {
        SOFT_UD(c, s);
    }
    x->efer = soft_phys_ld(c, b + 0x7ed0, 8);
    x->cr4 = soft_phys_ld(c, b + 0x7f48, 8);
    x->cr3 = soft_phys_ld(c, b + 0x7f50, 8);
    x->cr0 = soft_phys_ld(c, b + 0x7f58, 8);
    x->dr[7] = soft_phys_ld(c, b + 0x7f60, 4);
    x->dr[6] = soft_phys_ld(c, b + 0x7f68, 4);
    for (unsigned i = 0; i < 16; i++) {
        c->r[i] = soft_phys_ld(c, b + 0x7ff8 - 8 * i, 8);
    }
    c->r[R_IP] = soft_phys_ld(c, b + 0x7f78, 8);
    for (unsigned i = 0; i < 6; i++) {
        get_seg(c, b + seg_at[i], &x->seg[i]);
    }
    x->gdt.limit = soft_phys_ld(c, b + 0x7e64, 4);
    x->gdt.base = soft_phys_ld(c, b + 0x7e68, 8);
    get_seg(c, b + 0x7e70, &x->ldt);
    x->idt.limit = soft_phys_ld(c, b + 0x7e84, 4);
    x->idt.base = soft_phys_ld(c, b + 0x7e88, 8);
    get_seg(c, b + 0x7e90, &x->tr);
    if (soft_phys_ld(c, b + 0x7efc, 4) & 0x20000) {
        x->smbase = soft_phys_ld(c, b + 0x7f00, 4);
    }
    c->halted = soft_phys_ld(c, b + 0x7ec8, 1) & 1;
    soft_eflags_write(c, soft_phys_ld(c, b + 0x7f70, 4), F_VALID | F_ARITH);
    c->cpl = x->cr0 & 1 ? c->eflags & F_VM ? 3 : x->seg[SEG_SS].attr >> 5 & 3 :
        0;
    x->smm = 0;
    c->nmi_masked = false;
    if (c->hooks->smm) {
        c->hooks->smm(c, false);
    }
    if (x->cr0 >> 31 && x->cr4 & 0x20 && !(x->efer & 0x400)) {
        soft_load_pdptes(c, x->cr3);
    }
    soft_tlb_flush(c, true);
    soft_mode_update(c);
}
