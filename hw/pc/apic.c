/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * apic.c - the local APIC of a vCPU in software: acceptance, priorities, local
 * vector table, INIT and start-up (Intel SDM volume 3, chapter "Advanced
 * Programmable Interrupt Controller").
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. The vCPU's CPU_INT_HARD bit is set exactly while an interrupt is
 *    deliverable: an IRR bit above the processor priority, or the PIC's INTR
 *    let through LINT0. Each change of what that depends on ends in
 *    apic_update.
 * 2. TMR has a bit for each vector in IRR or ISR that came level-triggered; its
 *    EOI goes to the I/O APIC.
 * 3. INIT and SIPI change registers only in apic_attend, which the vCPU's own
 *    thread calls.
 */
#include <glib.h>
#include <linux/kvm.h>
#include "accel.h"
#include "hw/pc/apic.h"
#include "hw/pc/ticks.h"

X86Apic *apics;

/* ---- bit vectors -------------------------------------------------------- */

static int highest(const uint32_t v[8])
{
    for (int i = 7; i >= 0; i--) {
        if (v[i]) {
            return i * 32 + 31 - __builtin_clz(v[i]);
        }
    }
    return -1;
}

static bool bit_get(const uint32_t v[8], uint8_t n)
{
    return v[n >> 5] >> (n & 31) & 1;
}

static void bit_put(uint32_t v[8], uint8_t n, bool on)
{
    uint32_t bit = 1u << (n & 31);

    v[n >> 5] = on ? v[n >> 5] | bit : v[n >> 5] & ~bit;
}

/* ---- priorities --------------------------------------------------------- */

static uint8_t apic_ppr(const X86Apic *s)
{
    int in_service = highest(s->isr);
    uint8_t served = in_service < 0 ? 0 : in_service & 0xf0;

    return s->tpr >= served ? s->tpr : served;
}

uint8_t apic_arbitration(const X86Apic *s)
{
    int waiting = highest(s->irr);
    uint8_t p = apic_ppr(s), w = waiting < 0 ? 0 : waiting & 0xf0;

    return p >= w ? p : w;
}

/* The PIC's INTR reaches the vCPU: through LINT0 as ExtINT, or directly when
 * the APIC is switched off. */
static bool lint0_open(const X86Apic *s)
{
    uint32_t l = s->lvt[LVT_LINT0];

    return !(s->base & BASE_ENABLE) ||
           (!(l & LVT_MASKED) && LVT_MODE(l) == DM_EXTINT);
}

static bool apic_extint(const X86Apic *s)
{
    return s->lint[0] && lint0_open(s);
}

bool apic_takes_intr(void)
{
    const X86Apic *s = apics;

    while (s && !(s->base & BASE_BSP)) {
        s = s->next;
    }
    return s ? lint0_open(s) : !accel_irq.apic_in_kernel;
}

bool apic_vector_waits(uint8_t vector)
{
    for (const X86Apic *s = apics; s; s = s->next) {
        if (bit_get(s->irr, vector)) {
            return true;
        }
    }
    return false;
}

static int apic_deliverable(const X86Apic *s)
{
    int n;

    if (!apic_is_on(s)) {
        return -1;
    }
    n = highest(s->irr);
    return n >= 0 && (n & 0xf0) > (apic_ppr(s) & 0xf0) ? n : -1;
}

void apic_update(X86Apic *s)
{
    if (!s->wait_sipi && (apic_deliverable(s) >= 0 || apic_extint(s))) {
        cpu_interrupt(&s->cpu->cpu, CPU_INT_HARD);
    } else {
        cpu_interrupt_clear(&s->cpu->cpu, CPU_INT_HARD);
    }
}

/* ---- acceptance --------------------------------------------------------- */

void apic_accept(X86Apic *s, uint8_t vector, bool level)
{
    if (vector < 16) {
        apic_error(s, ESR_RECEIVE_ILLEGAL);
        return;
    }
    if (!apic_is_on(s)) {
        return;
    }
    TRACE(apic_accept, "apic %u vector 0x%02x level %d", s->id, vector, level);
    bit_put(s->irr, vector, true);
    bit_put(s->tmr, vector, level);
    apic_update(s);
}

void apic_error(X86Apic *s, uint32_t bit)
{
    uint32_t l = s->lvt[LVT_ERROR];

    s->errors |= bit;
    /* An error entry with an illegal vector would only report itself. */
    if (!(l & LVT_MASKED) && (l & 0xff) >= 16) {
        apic_accept(s, l & 0xff, false);
    }
}

void apic_lvt_event(X86Apic *s, unsigned n)
{
    uint32_t l = s->lvt[n];
    Cpu *cpu = &s->cpu->cpu;

    if (l & LVT_MASKED) {
        return;
    }
    switch (LVT_MODE(l)) {
    case DM_FIXED:
        apic_accept(s, l & 0xff, false);
        break;
    case DM_SMI:
        cpu_interrupt(cpu, CPU_INT_SMI);
        break;
    case DM_NMI:
        cpu_interrupt(cpu, CPU_INT_NMI);
        break;
    case DM_INIT:
        cpu_interrupt(cpu, CPU_INT_INIT);
        break;
    default:
        break;
    }
}

/* ---- local pins --------------------------------------------------------- */

static MACHINE_CALL void apic_lint_set(void *to, int n, int level)
{
    X86Apic *s = to;
    uint32_t *l = &s->lvt[LVT_LINT0 + n];
    bool was = s->lint[n];

    s->lint[n] = level != 0;
    if (*l & LVT_MASKED || LVT_MODE(*l) == DM_EXTINT) {
        apic_update(s);
        return;
    }
    if (LVT_MODE(*l) == DM_FIXED && n == 0 && *l & LVT_LEVEL) {
        /* A level asks once until its EOI; the pin going low takes a request
         * back that nobody has taken. */
        if (level && !(*l & LVT_REMOTE_IRR)) {
            *l |= LVT_REMOTE_IRR;
            apic_accept(s, *l & 0xff, true);
        } else if (!level) {
            *l &= ~LVT_REMOTE_IRR;
            bit_put(s->irr, *l & 0xff, false);
        }
    } else if (level && !was) {
        apic_lvt_event(s, LVT_LINT0 + n);
    }
    apic_update(s);
}

IrqLine apic_lint0(X86Cpu *c)
{
    return irq_line(apic_lint_set, c->apic, 0);
}

void x86_nmi(X86Cpu *c)
{
    if (c->apic) {
        apic_lint_set(c->apic, 1, 1);
        apic_lint_set(c->apic, 1, 0);
    } else {
        cpu_interrupt(&c->cpu, CPU_INT_NMI);
    }
}

/* ---- what the vCPU asks ------------------------------------------------- */

int apic_ack(X86Cpu *c)
{
    X86Apic *s = c->apic;
    int n = apic_deliverable(s);

    if (n >= 0) {
        bit_put(s->irr, n, false);
        bit_put(s->isr, n, true);
        if (ioapic_irq0_is(n)) {
            ticks_taken();
        }
    } else if (apic_extint(s) && !s->wait_sipi) {
        n = pic_ack();
    }
    apic_update(s);
    return n;
}

bool apic_has_irq(X86Cpu *c)
{
    const X86Apic *s = c->apic;

    return !s->wait_sipi && (apic_deliverable(s) >= 0 || apic_extint(s));
}

int x86_irq_ack(X86Cpu *c)
{
    if (c->apic) {
        return apic_ack(c);
    }
    return pic_pending() ? pic_ack() : -1;
}

bool x86_irq_pending(X86Cpu *c)
{
    return c->apic ? apic_has_irq(c) : pic_pending();
}

void apic_eoi(X86Apic *s)
{
    int n = highest(s->isr);
    uint32_t *l = &s->lvt[LVT_LINT0];

    if (n < 0) {
        return;
    }
    bit_put(s->isr, n, false);
    if (bit_get(s->tmr, n)) {
        if (*l & LVT_REMOTE_IRR && (*l & 0xff) == (uint32_t)n) {
            *l &= ~LVT_REMOTE_IRR;
            apic_lint_set(s, 0, s->lint[0]);
        }
        ioapic_eoi(n);
    }
    apic_update(s);
}

uint8_t apic_tpr_get(X86Cpu *c)
{
    return c->apic ? c->apic->tpr >> 4 : 0;
}

void apic_tpr_set(X86Cpu *c, uint8_t v)
{
    if (c->apic) {
        c->apic->tpr = v << 4;
        apic_update(c->apic);
    }
}

uint64_t apic_base_get(X86Cpu *c)
{
    return c->apic ? c->apic->base : c->regs.apic_base;
}

/* Registers that do not survive the APIC being switched off or an INIT. */
static MACHINE_CALL void apic_clear(X86Apic *s)
{
    s->tpr = 0;
    s->svr = 0xff;
    s->ldr = 0;
    s->dfr = UINT32_MAX;
    memset(s->isr, 0, sizeof(s->isr));
    memset(s->tmr, 0, sizeof(s->tmr));
    memset(s->irr, 0, sizeof(s->irr));
    for (int i = 0; i < LVT_COUNT; i++) {
        s->lvt[i] = LVT_MASKED;
    }
    s->esr = s->errors = s->icr = s->icr_dest = 0;
    s->divide = s->initial_count = 0;
    s->loaded = 0;
    s->tsc_deadline = 0;
    apic_timer_update(s);
}

bool apic_base_set(X86Cpu *c, uint64_t v)
{
    X86Apic *s = c->apic;
    uint64_t old, mode, reserved;
    unsigned bits = c->phys_bits >= 32 && c->phys_bits <= 52 ? c->phys_bits
                                                             : 52;

    if (!s) {
        c->regs.apic_base = v;
        return true;
    }
    old = s->base & (BASE_ENABLE | BASE_X2);
    mode = v & (BASE_ENABLE | BASE_X2);
    reserved = 0xffull | 1 << 9 | ~((1ull << bits) - 1);
    if (!(c->features[FW_1_ECX] & 1u << 21)) {
        reserved |= BASE_X2;
    }
    if (v & reserved || mode == BASE_X2 ||
        (!old && mode == (BASE_ENABLE | BASE_X2)) ||
        (old == (BASE_ENABLE | BASE_X2) && mode == BASE_ENABLE)) {
        return false;
    }
    s->base = (v & ~BASE_BSP) | (s->base & BASE_BSP);
    c->regs.apic_base = s->base;
    if (old && !mode) {
        apic_clear(s);
    }
    if (mode & BASE_X2 && !(old & BASE_X2)) {
        s->id = s->initial_id;
        s->ldr = s->initial_id >> 4 << 16 | 1u << (s->initial_id & 15);
    }
    apic_update(s);
    return true;
}

/* ---- INIT and start-up -------------------------------------------------- */

static void apic_set_wait(X86Apic *s, bool wait)
{
    s->wait_sipi = wait;
    s->cpu->cpu.halted = wait;
    s->cpu->regs.halted = wait;
    s->cpu->regs.mp_state = wait ? KVM_MP_STATE_UNINITIALIZED
                                 : KVM_MP_STATE_RUNNABLE;
}

void apic_init_reset(X86Cpu *c)
{
    X86Apic *s = c->apic;
    uint64_t base;

    if (!s) {
        x86_regs_reset(c, true);
        return;
    }
    base = s->base;
    x86_regs_reset(c, true);
    s->base = c->regs.apic_base = base;
    apic_clear(s);
    if (base & BASE_X2) {
        s->ldr = s->initial_id >> 4 << 16 | 1u << (s->initial_id & 15);
    }
    cpu_interrupt_clear(&c->cpu, CPU_INT_INIT | CPU_INT_SIPI);
    apic_set_wait(s, !(base & BASE_BSP));
    apic_update(s);
}

void apic_sipi(X86Cpu *c, uint8_t vector)
{
    X86Seg *cs = &c->regs.seg[X86_CS];

    if (c->apic && c->apic->wait_sipi) {
        cs->sel = vector << 8;
        cs->base = (uint64_t)vector << 12;
        cs->limit = 0xffff;
        c->regs.rip = 0;
        apic_set_wait(c->apic, false);
        apic_update(c->apic);
    }
}

bool apic_attend(X86Cpu *c)
{
    unsigned pending = __atomic_load_n(&c->cpu.interrupt, __ATOMIC_SEQ_CST);

    if (!(pending & (CPU_INT_INIT | CPU_INT_SIPI))) {
        return false;
    }
    if (pending & CPU_INT_INIT) {
        apic_init_reset(c);
        /* A SIPI that came along came after the INIT. */
        if (!(pending & CPU_INT_SIPI)) {
            return true;
        }
    }
    cpu_interrupt_clear(&c->cpu, CPU_INT_SIPI);
    if (c->apic) {
        apic_sipi(c, c->apic->sipi_vector);
    }
    return true;
}

/* ---- the device --------------------------------------------------------- */

static MACHINE_CALL void apic_reset(Device *dev, ResetKind kind)
{
    X86Apic *s = (X86Apic *)dev;
    bool bsp = s->cpu->cpu.index == 0;

    apic_clear(s);
    s->id = s->initial_id;
    s->base = PC_LAPIC_ADDR | BASE_ENABLE | (bsp ? BASE_BSP : 0);
    s->cpu->regs.apic_base = s->base;
    s->sipi_vector = 0;
    s->lint[0] = s->lint[1] = 0;
    if (bsp) {
        /* Virtual wire from power on: firmware without APIC code works. */
        s->lvt[LVT_LINT0] = DM_EXTINT << 8;
    }
    cpu_interrupt_clear(&s->cpu->cpu, CPU_INT_INIT | CPU_INT_SIPI |
                        CPU_INT_NMI | CPU_INT_SMI | CPU_INT_HARD);
    apic_set_wait(s, !bsp);
    apic_update(s);
}

static MACHINE_CALL void apic_board_reset(void *arg, ResetKind kind)
{
    apic_reset(arg, kind);
}

static MACHINE_CALL bool apic_realize(Device *dev, Error **errp)
{
    X86Apic *s = (X86Apic *)dev, **p = &apics;

    if (!s->cpu) {
        return error_set(errp, "apic: is a part of a vCPU, and not made "
                         "without one");
    }
    s->id = s->initial_id;
    apic_timer_init(s);
    while (*p) {
        p = &(*p)->next;
    }
    *p = s;
    apic_mmio_map(s);
    reset_register(apic_board_reset, s);
    msi_deliver = apic_msi_any;
    return true;
}

static MACHINE_CALL void apic_unrealize(Device *dev)
{
    X86Apic *s = (X86Apic *)dev, **p = &apics;

    reset_unregister(apic_board_reset, s);
    apic_mmio_unmap(s);
    timer_clear(&s->timer);
    while (*p && *p != s) {
        p = &(*p)->next;
    }
    if (*p) {
        *p = s->next;
    }
    s->cpu->apic = NULL;
}

static MACHINE_CALL bool apic_after_load(void *opaque, int version,
                                         Error **errp)
{
    X86Apic *s = opaque;

    if (s->loaded < 0 || s->loaded > INT64_MAX / 2) {
        return error_set(errp, "apic: the timer's load time is out of range");
    }
    s->wait_sipi = s->wait_sipi != 0;
    s->cpu->regs.apic_base = s->base;
    apic_timer_update(s);
    apic_update(s);
    return true;
}

static const VmState apic_state = {
    .name = "apic", .version = 1, .oldest = 1, .after_load = apic_after_load,
    .fields = (const VmField[]){
        VM_U32(X86Apic, id), VM_U64(X86Apic, base), VM_U8(X86Apic, tpr),
        VM_U8(X86Apic, wait_sipi), VM_U8(X86Apic, sipi_vector),
        VM_BYTES(X86Apic, lint), VM_U32(X86Apic, svr), VM_U32(X86Apic, ldr),
        VM_U32(X86Apic, dfr), VM_ARRAY(X86Apic, isr, VK_U32),
        VM_ARRAY(X86Apic, tmr, VK_U32), VM_ARRAY(X86Apic, irr, VK_U32),
        VM_ARRAY(X86Apic, lvt, VK_U32), VM_U32(X86Apic, esr),
        VM_U32(X86Apic, errors), VM_U32(X86Apic, icr),
        VM_U32(X86Apic, icr_dest), VM_U32(X86Apic, divide),
        VM_U32(X86Apic, initial_count), VM_I64(X86Apic, loaded),
        VM_U64(X86Apic, tsc_deadline), VM_TIMER(X86Apic, timer),
        VM_END
    },
};

static const Prop apic_props[] = {
    PROP_U32("id", X86Apic, initial_id, 0, .flags = PF_NO_DEFAULT,
             .desc = "initial APIC id"),
    PROP_U8("version", X86Apic, version, 0x14,
            .desc = "version register's low byte"),
    PROP_BIT32("vapic", X86Apic, vapic, 0, true,
               .desc = "on/off"),
    PROP_END
};

DEVICE(apic, {
    .name = "apic", .category = "misc", .parent = "apic-common",
    .flags = DT_INTERNAL | DT_NO_HOTPLUG, .desc = "Local APIC",
    .doc = "The local APIC of a vCPU, for accelerators that have none of "
           "their own.",
    .size = sizeof(X86Apic), .props = apic_props, .vmstate = &apic_state,
    .realize = apic_realize, .unrealize = apic_unrealize, .reset = apic_reset,
});
TYPE_NAME(apic_common_type, { "apic-common", "device", true });

bool apic_create(X86Cpu *c, Error **errp)
{
    X86Apic *s = (X86Apic *)device_make("apic");

    s->cpu = c;
    device_set_int(&s->dev, "id", c->apic_id);
    obj_put(&c->cpu.dev.obj, "lapic", &s->dev.obj);
    if (!device_realize(&s->dev, NULL, errp)) {
        device_free(&s->dev);
        return false;
    }
    c->apic = s;
    apic_reset(&s->dev, RESET_COLD);
    return true;
}
