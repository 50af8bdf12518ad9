/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * task.c - hardware task switches.
 * Intel SDM vol. 3, 7.2-7.3.
 *
 * Thread class: the vCPU's thread.
 * Invariant: after the new TSS is read, faults belong to the new task.
 */
#include "seg.h"

/* Offsets in a 32-bit TSS; the 16-bit one holds the same order in words. */
enum { TSS_BACK = 0, TSS_CR3 = 28, TSS_IP = 32, TSS_FLAGS = 36, TSS_GPR = 40,
       TSS_SEG = 72, TSS_LDT = 96, TSS_TRAP = 100 };
enum { TSS16_IP = 14, TSS16_FLAGS = 16, TSS16_GPR = 18, TSS16_SEG = 34,
       TSS16_LDT = 42 };

static void save_task(SoftCpu *c, const Slot *s, uint64_t ip, uint32_t flags)
{
    X86Regs *x = c->x;
    uint64_t b = x->tr.base;

    if (x->tr.attr & 8) {
        soft_st_sys(c, s, b + TSS_IP, ip, 4);
        soft_st_sys(c, s, b + TSS_FLAGS, flags, 4);
        for (unsigned i = 0; i < 8; i++) {
            soft_st_sys(c, s, b + TSS_GPR + 4 * i, c->r[i], 4);
        }
        for (unsigned i = 0; i < 6; i++) {
            soft_st_sys(c, s, b + TSS_SEG + 4 * i, x->seg[i].sel, 2);
        }
    } else {
        soft_st_sys(c, s, b + TSS16_IP, ip, 2);
        soft_st_sys(c, s, b + TSS16_FLAGS, flags, 2);
        for (unsigned i = 0; i < 8; i++) {
            soft_st_sys(c, s, b + TSS16_GPR + 2 * i, c->r[i], 2);
        }
        for (unsigned i = 0; i < 4; i++) {
            soft_st_sys(c, s, b + TSS16_SEG + 2 * i, x->seg[i].sel, 2);
        }
    }
}

typedef struct Task {
    uint32_t cr3, ip, flags, gpr[8];
    uint16_t seg[6], ldt;
    bool trap;
} Task;

static void read_task(SoftCpu *c, const Slot *s, uint64_t b, bool wide,
                      Task *t)
{
    memset(t, 0, sizeof(*t));
    if (wide) {
        t->cr3 = soft_ld_sys(c, s, b + TSS_CR3, 4);
        t->ip = soft_ld_sys(c, s, b + TSS_IP, 4);
        t->flags = soft_ld_sys(c, s, b + TSS_FLAGS, 4);
        for (unsigned i = 0; i < 8; i++) {
            t->gpr[i] = soft_ld_sys(c, s, b + TSS_GPR + 4 * i, 4);
        }
        for (unsigned i = 0; i < 6; i++) {
            t->seg[i] = soft_ld_sys(c, s, b + TSS_SEG + 4 * i, 2);
        }
        t->ldt = soft_ld_sys(c, s, b + TSS_LDT, 2);
        t->trap = soft_ld_sys(c, s, b + TSS_TRAP, 2) & 1;
        return;
    }
    t->ip = soft_ld_sys(c, s, b + TSS16_IP, 2);
    t->flags = soft_ld_sys(c, s, b + TSS16_FLAGS, 2);
    for (unsigned i = 0; i < 8; i++) {
        t->gpr[i] = soft_ld_sys(c, s, b + TSS16_GPR + 2 * i, 2) | 0xffff0000;
    }
    for (unsigned i = 0; i < 4; i++) {
        t->seg[i] = soft_ld_sys(c, s, b + TSS16_SEG + 2 * i, 2);
    }
    t->ldt = soft_ld_sys(c, s, b + TSS16_LDT, 2);
}

/* Loads the new task's segments; faults are #TS in the new task. */
static void load_segments(SoftCpu *c, const Task *t)
{
    static const uint8_t order[] = { SEG_ES, SEG_DS, SEG_FS, SEG_GS };
    Desc d;

    if (soft_v86(c)) {
        c->cpl = 3;
        for (unsigned i = 0; i < 6; i++) {
            soft_seg_real(c, i, t->seg[i]);
        }
        soft_mode_update(c);
        return;
    }
    if (t->ldt & ~3) {
        if (t->ldt & 4 || !soft_desc_read(c, NULL, t->ldt, &d) ||
            DESC_S(d) || DESC_TYPE(d) != 2 || !DESC_P(d)) {
            soft_fault_err(c, NULL, EXC_TS, t->ldt & ~3);
        }
        soft_desc_to_seg(d, t->ldt, &c->x->ldt);
    }
    if (!(t->seg[SEG_CS] & ~3) ||
        !soft_desc_read(c, NULL, t->seg[SEG_CS], &d) || !DESC_S(d) ||
        !DESC_CODE(d) ||
        (DESC_CONF(d) ? DESC_DPL(d) > (t->seg[SEG_CS] & 3u) :
         DESC_DPL(d) != (t->seg[SEG_CS] & 3u))) {
        soft_fault_err(c, NULL, EXC_TS, t->seg[SEG_CS] & ~3);
    }
    if (!DESC_P(d)) {
        soft_fault_err(c, NULL, EXC_NP, t->seg[SEG_CS] & ~3);
    }
    soft_desc_accessed(c, NULL, t->seg[SEG_CS], &d);
    soft_cs_set(c, t->seg[SEG_CS], d, t->seg[SEG_CS] & 3);
    d = soft_stack_desc(c, NULL, t->seg[SEG_SS], c->cpl, EXC_TS);
    soft_ss_set(c, t->seg[SEG_SS], d);
    for (unsigned i = 0; i < 4; i++) {
        uint16_t sel = t->seg[order[i]];

        if (sel & ~3) {
            if (!soft_desc_read(c, NULL, sel, &d) || !DESC_S(d) ||
                (DESC_CODE(d) && !(d.hi & 0x200)) ||
                (!(DESC_CODE(d) && DESC_CONF(d)) &&
                 ((sel & 3u) > DESC_DPL(d) || c->cpl > DESC_DPL(d)))) {
                soft_fault_err(c, NULL, EXC_TS, sel & ~3);
            }
            if (!DESC_P(d)) {
                soft_fault_err(c, NULL, EXC_NP, sel & ~3);
            }
        }
        soft_seg_load(c, NULL, order[i], sel);
    }
}

void soft_task_switch(SoftCpu *c, const Slot *s, uint16_t sel, Desc d,
                      int why, uint64_t ip, bool has_err, uint32_t err)
{
    X86Regs *x = c->x;
    bool wide = DESC_TYPE(d) & 8, busy = DESC_TYPE(d) & 2;
    uint32_t flags = eflags_get(c), limit = soft_desc_limit(d);
    uint64_t base = soft_desc_base(d);
    uint16_t old = x->tr.sel;
    Task t;

    if (why == TASK_IRET ? !busy : busy) {
        soft_fault_err(c, s, why == TASK_IRET ? EXC_TS : EXC_GP, sel & ~3);
    }
    if (limit < (wide ? 103 : 43)) {
        soft_fault_err(c, s, EXC_TS, sel & ~3);
    }
    read_task(c, s, base, wide, &t);
    soft_probe_sys(c, s, x->tr.base, x->tr.attr & 8 ? 104 : 44);
    if (why == TASK_IRET) {
        flags &= ~F_NT;
    }
    save_task(c, s, ip, flags);
    if (why == TASK_JUMP || why == TASK_IRET) {
        soft_tss_busy(c, s, old, false);
    }
    if (why == TASK_CALL || why == TASK_INT) {
        soft_st_sys(c, s, base, old, 2);
        t.flags |= F_NT;
    }
    if (why != TASK_IRET) {
        soft_tss_busy(c, s, sel, true);
    }
    d.hi |= 0x200;
    soft_desc_to_seg(d, sel, &x->tr);
    x->cr0 |= 8;
    if (wide && x->cr0 >> 31) {
        x->cr3 = t.cr3;
        if (x->cr4 & 0x20) {
            soft_load_pdptes(c, t.cr3);
        }
        soft_tlb_flush(c, false);
    }
    x->dr[7] &= ~0x155ull;
    c->r[R_IP] = t.ip;
    for (unsigned i = 0; i < 8; i++) {
        c->r[i] = t.gpr[i];
    }
    x->ldt = (X86Seg){ .sel = t.ldt };
    for (unsigned i = 0; i < 6; i++) {
        x->seg[i].sel = t.seg[i];
        if (!(t.flags & F_VM)) {
            x->seg[i].attr &= ~0x80;
        }
    }
    c->cpl = t.flags & F_VM ? 3 : t.seg[SEG_CS] & 3;
    soft_eflags_write(c, t.flags, F_VALID | F_ARITH);
    load_segments(c, &t);
    if (t.ip > x->seg[SEG_CS].limit) {
        soft_fault_err(c, NULL, EXC_GP, 0);
    }
    if (has_err) {
        push_n(c, NULL, err, wide ? 4 : 2);
    }
    if (t.trap) {
        c->pend_db |= 0x8000;
        c->mode |= MW_SINGLE;
    }
}
