/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * apic-regs.c - the local APIC's registers, as a page of memory and as x2APIC
 * MSRs (Intel SDM volume 3, "Local APIC" and "Extended XAPIC (x2APIC)").
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. The page shows the APIC of the vCPU that accesses it; where no vCPU does
 *    (tests without one), the boot processor's.
 * 2. A page write outside the registers' reach is a message (MSI).
 */
#include <glib.h>
#include "hw/pc/apic.h"

#define REG(off) ((off) >> 4)

static MemRegion page;
static X86Apic *page_owner;

/* ---- common to both forms ----------------------------------------------- */

static uint32_t apic_ppr_reg(const X86Apic *s)
{
    uint8_t served = 0;

    for (int i = 7; i >= 0 && !served; i--) {
        if (s->isr[i]) {
            served = (i * 32 + 31 - __builtin_clz(s->isr[i])) & 0xf0;
        }
    }
    return (s->tpr & 0xf0) >= served ? s->tpr : served;
}

static int lvt_of(unsigned index)
{
    switch (index) {
    case REG(0x320):
        return LVT_TIMER;
    case REG(0x330):
        return LVT_THERMAL;
    case REG(0x340):
        return LVT_PERF;
    case REG(0x350):
        return LVT_LINT0;
    case REG(0x360):
        return LVT_LINT1;
    case REG(0x370):
        return LVT_ERROR;
    default:
        return -1;
    }
}

bool apic_reg_read(X86Apic *s, unsigned index, uint32_t *v)
{
    int l = lvt_of(index);

    if (l >= 0) {
        *v = s->lvt[l];
        return true;
    }
    switch (index) {
    case REG(0x020):
        *v = apic_is_x2(s) ? s->initial_id : s->id << 24;
        return true;
    case REG(0x030):
        *v = s->version | (LVT_COUNT - 1) << 16;
        return true;
    case REG(0x080):
        *v = s->tpr;
        return true;
    case REG(0x090):
        *v = apic_arbitration(s);
        return !apic_is_x2(s);
    case REG(0x0a0):
        *v = apic_ppr_reg(s);
        return true;
    case REG(0x0b0):
        *v = 0;
        return !apic_is_x2(s);
    case REG(0x0d0):
        *v = s->ldr;
        return true;
    case REG(0x0e0):
        *v = s->dfr;
        return !apic_is_x2(s);
    case REG(0x0f0):
        *v = s->svr;
        return true;
    case REG(0x100) ... REG(0x170):
        *v = s->isr[index & 7];
        return true;
    case REG(0x180) ... REG(0x1f0):
        *v = s->tmr[index & 7];
        return true;
    case REG(0x200) ... REG(0x270):
        *v = s->irr[index & 7];
        return true;
    case REG(0x280):
        *v = s->esr;
        return true;
    case REG(0x300):
        *v = s->icr;
        return true;
    case REG(0x310):
        *v = s->icr_dest;
        return !apic_is_x2(s);
    case REG(0x380):
        *v = s->initial_count;
        return true;
    case REG(0x390):
        *v = apic_timer_count(s);
        return true;
    case REG(0x3e0):
        *v = s->divide;
        return true;
    default:
        *v = 0;
        return false;
    }
}

static MACHINE_CALL void svr_write(X86Apic *s, uint32_t v)
{
    bool was = s->svr & SVR_ENABLE;

    s->svr = v & 0x3ff;
    if (was && !(v & SVR_ENABLE)) {
        for (int i = 0; i < LVT_COUNT; i++) {
            s->lvt[i] |= LVT_MASKED;
        }
        apic_timer_update(s);
    }
    apic_update(s);
}

static MACHINE_CALL bool lvt_write(X86Apic *s, int n, uint32_t v)
{
    static const uint32_t writable[LVT_COUNT] = {
        [LVT_TIMER] = 0x700ff, [LVT_THERMAL] = 0x107ff, [LVT_PERF] = 0x107ff,
        [LVT_LINT0] = 0x1a7ff, [LVT_LINT1] = 0x1a7ff, [LVT_ERROR] = 0x100ff,
    };
    const uint32_t status = LVT_REMOTE_IRR | LVT_PENDING;
    uint32_t old = s->lvt[n];

    if (apic_is_x2(s) && v & ~(writable[n] | status)) {
        return false;
    }
    s->lvt[n] = (v & writable[n]) | (old & LVT_REMOTE_IRR);
    if (!(s->svr & SVR_ENABLE)) {
        s->lvt[n] |= LVT_MASKED;
    }
    if (n == LVT_TIMER) {
        apic_timer_lvt(s, old);
    } else if (n == LVT_LINT0) {
        IrqLine l = apic_lint0(s->cpu);

        if (!(s->lvt[n] & LVT_LEVEL)) {
            s->lvt[n] &= ~LVT_REMOTE_IRR;
        }
        irq_set(&l, s->lint[0]);
    }
    return true;
}

static MACHINE_CALL bool plain_write(X86Apic *s, unsigned index, uint32_t v)
{
    bool x2 = apic_is_x2(s);

    switch (index) {
    case REG(0x020):
        s->id = v >> 24;
        return !x2;
    case REG(0x080):
        s->tpr = v;
        apic_update(s);
        return !x2 || v <= 0xff;
    case REG(0x0b0):
        apic_eoi(s);
        return true;
    case REG(0x0d0):
        s->ldr = v & 0xff000000u;
        return true;
    case REG(0x0e0):
        s->dfr = v | 0x0fffffff;
        return true;
    case REG(0x0f0):
        svr_write(s, v);
        return true;
    case REG(0x280):
        s->esr = s->errors;
        s->errors = 0;
        return true;
    case REG(0x300):
        s->icr = v & 0xccfff;
        apic_send_ipi(s);
        return true;
    case REG(0x310):
        s->icr_dest = v;
        return true;
    case REG(0x380):
        apic_timer_load(s, v);
        return true;
    case REG(0x3e0):
        apic_timer_divide(s, v & 0xb);
        return true;
    default:
        return false;
    }
}

/* Values that x2APIC refuses where xAPIC ignores them. */
static bool x2_refused(unsigned index, uint32_t v)
{
    switch (index) {
    case REG(0x020):
    case REG(0x0d0):
    case REG(0x0e0):
    case REG(0x310):
        return true;
    case REG(0x080):
        return v > 0xff;
    case REG(0x0b0):
    case REG(0x280):
        return v != 0;
    case REG(0x0f0):
        return v & ~0x3ffu;
    case REG(0x3e0):
        return v & ~0xbu;
    default:
        return false;
    }
}

bool apic_reg_write(X86Apic *s, unsigned index, uint32_t v)
{
    int l = lvt_of(index);

    TRACE(apic_write, "apic %u register 0x%x <- 0x%x", s->id, index << 4, v);
    if (apic_is_x2(s) && x2_refused(index, v)) {
        return false;
    }
    return l >= 0 ? lvt_write(s, l, v) : plain_write(s, index, v);
}

/* ---- x2APIC ------------------------------------------------------------- */

bool apic_msr_read(X86Cpu *c, uint32_t msr, uint64_t *v)
{
    X86Apic *s = c->apic;
    unsigned index = msr - 0x800;
    uint32_t low;

    if (!s || !apic_is_x2(s) || index > 0xff ||
        !apic_reg_read(s, index, &low)) {
        return false;
    }
    *v = low;
    if (index == REG(0x300)) {
        *v |= (uint64_t)s->icr_dest << 32;
    }
    return true;
}

bool apic_msr_write(X86Cpu *c, uint32_t msr, uint64_t v)
{
    X86Apic *s = c->apic;
    unsigned index = msr - 0x800;

    if (!s || !apic_is_x2(s) || index > 0xff) {
        return false;
    }
    if (index == REG(0x300)) {
        if ((uint32_t)v & ~0xccfffu) {
            return false;
        }
        s->icr_dest = v >> 32;
    } else if (v >> 32) {
        return false;
    }
    if (index == REG(0x3f0)) {         /* self IPI                            */
        if (v > 0xff) {
            return false;
        }
        if (v < 16) {
            apic_error(s, ESR_SEND_ILLEGAL);
        } else {
            apic_accept(s, v, false);
        }
        return true;
    }
    return apic_reg_write(s, index, v);
}

void apic_page(X86Cpu *c, uint32_t p[256])
{
    memset(p, 0, 1024);
    for (unsigned i = 0; i < 0x40; i++) {
        apic_reg_read(c->apic, i, &p[i * 4]);
    }
}

/* ---- the page ----------------------------------------------------------- */

static X86Apic *page_apic(void)
{
    return cpu_current ? x86_cpu(cpu_current)->apic : apics;
}

static MACHINE_CALL uint64_t page_read(void *dev, uint64_t off, unsigned size)
{
    X86Apic *s = page_apic();
    uint32_t v;

    if (!s || size < 4 || off & 15) {
        return 0;
    }
    if (off >= 0x1000 || apic_is_x2(s) || !(s->base & BASE_ENABLE)) {
        return UINT32_MAX;
    }
    if (!apic_reg_read(s, off >> 4, &v)) {
        apic_error(s, ESR_REGISTER);
        return 0;
    }
    return v;
}

static MACHINE_CALL void page_write(void *dev, uint64_t off, uint64_t v,
                                    unsigned size)
{
    X86Apic *s = page_apic();

    if (size < 4) {
        return;
    }
    if (off >= 0x1000 || off < 0x10) {
        apic_deliver_msi((MsiMessage){ PC_LAPIC_ADDR + off, v });
        return;
    }
    if (!s || off & 15 || apic_is_x2(s) || !(s->base & BASE_ENABLE)) {
        return;
    }
    if (!apic_reg_write(s, off >> 4, v)) {
        apic_error(s, ESR_REGISTER);
    }
}

static const MemOps page_ops = {
    .read = page_read, .write = page_write, .min = 1, .max = 4,
};

bool apic_mmio_map(X86Apic *s)
{
    if (page_owner) {
        return false;
    }
    page_owner = s;
    mem_init_io(&page, "apic-msi", 0x100000, &page_ops, NULL);
    obj_put(&s->dev.obj, "apic-msi[0]", &page.obj);
    /* Above RAM that a board might put there, as in the processor itself. */
    mem_add_prio(mem_system.root, PC_LAPIC_ADDR, &page, 0x1000);
    return true;
}

void apic_mmio_unmap(X86Apic *s)
{
    if (page_owner == s) {
        mem_fini(&page);
        page_owner = NULL;
    }
}
