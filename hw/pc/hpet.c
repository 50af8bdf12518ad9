/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hpet.c - the high-precision event timers (IA-PC HPET specification 1.0a,
 * section 2.3).
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. The main counter stands at `counter` while it is halted, and goes on from
 *    there with the virtual clock from `started` while it runs.
 * 2. With legacy replacement on, the PIT's and the RTC's inputs are swallowed,
 *    and timers 0 and 1 own IRQ 0 and IRQ 8; otherwise the inputs pass.
 * 3. Periodic interrupts come at least PERIOD_MIN apart, whatever a guest asks.
 */
#include <glib.h>
#include "accel.h"
#include "hw/pc/ticks.h"
#include "pc.h"

#define CLK_NS 10
#define MIN_TIMERS 3
#define MAX_TIMERS 32
#define LINES 32
#define PERIOD_MIN (20 * NS_PER_US)

#define CFG_ENABLE 1
#define CFG_LEGACY 2

#define T_LEVEL 0x0002u
#define T_ENABLE 0x0004u
#define T_PERIODIC 0x0008u
#define T_PERIODIC_CAP 0x0010u
#define T_SIZE_CAP 0x0020u
#define T_SETVAL 0x0040u
#define T_32BIT 0x0100u
#define T_ROUTE_SHIFT 9
#define T_FSB 0x4000u
#define T_FSB_CAP 0x8000u
#define T_WRITABLE 0x7f4eu

typedef struct Hpet Hpet;
typedef struct HpetTimer {
    Hpet *hpet;
    uint8_t n;
    uint64_t config, cmp, period, fsb;
    Timer timer;
} HpetTimer;

struct Hpet {
    Device dev;
    MemRegion io;
    IrqLine irq[LINES], pit_enable;
    TickSource ticks;                  /* of timer 0 in the PIT's place       */
    uint8_t timers;
    uint32_t flags, intcap;
    bool offset_saved;
    uint64_t config, isr, counter;
    int64_t started;                   /* CLOCK_VM ns                         */
    uint8_t rtc_level, pit_level;
    HpetTimer t[MAX_TIMERS];
    bool mapped;
};

static bool hpet_on(const Hpet *s)
{
    return s->config & CFG_ENABLE;
}

static bool hpet_legacy(const Hpet *s)
{
    return s->config & CFG_LEGACY;
}

static uint64_t hpet_counter(const Hpet *s)
{
    uint64_t ns = (uint64_t)clock_ns(CLOCK_VM) - s->started;

    return hpet_on(s) ? s->counter + ns / CLK_NS : s->counter;
}

/* ---- interrupts --------------------------------------------------------- */

static IrqLine *timer_line(HpetTimer *t)
{
    Hpet *s = t->hpet;

    if (t->n < 2 && hpet_legacy(s)) {
        return &s->irq[t->n ? 8 : 0];
    }
    return &s->irq[t->config >> T_ROUTE_SHIFT & 31];
}

static void timer_irq(HpetTimer *t, bool set)
{
    Hpet *s = t->hpet;
    uint64_t bit = 1ull << t->n;
    IrqLine *line = timer_line(t);

    if (!set || !(t->config & T_ENABLE) || !hpet_on(s)) {
        s->isr &= ~bit;
        if (!(t->config & T_FSB)) {
            irq_lower(line);
        }
    } else if (t->config & T_FSB) {
        mem_store(&mem_system, t->fsb >> 32, 4, (uint32_t)t->fsb,
                  MEM_ATTRS_NONE);
    } else if (t->config & T_LEVEL) {
        s->isr |= bit;
        irq_raise(line);
    } else {
        s->isr &= ~bit;
        irq_pulse(line);
    }
}

/* ---- timers ------------------------------------------------------------- */

/* Ticks until the counter meets the comparator; 0 when it has passed it. */
static uint64_t ticks_left(const HpetTimer *t, uint64_t now)
{
    if (t->config & T_32BIT) {
        int32_t d = (uint32_t)t->cmp - (uint32_t)now;

        return d > 0 ? d : 0;
    } else {
        int64_t d = t->cmp - now;

        return d > 0 ? d : 0;
    }
}

static void timer_arm(HpetTimer *t, int64_t at_least)
{
    int64_t now = clock_ns(CLOCK_VM);
    uint64_t left = ticks_left(t, hpet_counter(t->hpet));
    int64_t at = left > INT64_MAX / 4 / CLK_NS ? INT64_MAX / 4
                                               : (int64_t)left * CLK_NS;

    timer_set(&t->timer, now + MAX2(at, at_least));
}

static void hpet_fire(void *arg)
{
    HpetTimer *t = arg;
    uint64_t now, left, ticks = 0;

    machine_assert_locked();
    now = hpet_counter(t->hpet);
    left = ticks_left(t, now);
    if (left && left > (uint64_t)PERIOD_MIN / CLK_NS) {
        timer_arm(t, 0);               /* the deadline was beyond the clock   */
        return;
    }
    if (t->config & T_PERIODIC && t->period) {
        uint64_t late = t->config & T_32BIT ? (uint32_t)now - (uint32_t)t->cmp
                                            : now - t->cmp;

        ticks = left ? 1 : late / t->period + 1;
        t->cmp += ticks * t->period;
        if (t->config & T_32BIT) {
            t->cmp = (uint32_t)t->cmp;
        }
        timer_arm(t, PERIOD_MIN);
    } else if (t->config & T_32BIT) {
        /* The counter comes by again after it has wrapped. */
        timer_set(&t->timer, clock_ns(CLOCK_VM) + (CLK_NS * 0x100000000ll));
    }
    if (t->n == 0 && ticks && hpet_legacy(t->hpet) &&
        !(t->config & (T_FSB | T_LEVEL))) {
        ticks_add(&t->hpet->ticks, ticks);
    } else {
        timer_irq(t, true);
    }
}

/* A comparator that the guest has just written meets at once a time that has
 * passed meanwhile; one that was there before waits for the counter to come by
 * again. */
static void timer_start(HpetTimer *t, bool written)
{
    uint64_t now;

    if (!hpet_on(t->hpet) || !(t->config & T_ENABLE)) {
        return;
    }
    now = hpet_counter(t->hpet);
    if (written || ticks_left(t, now) ||
        (t->config & T_PERIODIC && t->period)) {
        timer_arm(t, 0);
    } else if (t->config & T_32BIT) {
        timer_set(&t->timer, clock_ns(CLOCK_VM) +
                  (int64_t)(uint32_t)(t->cmp - now) * CLK_NS);
    } else {
        timer_clear(&t->timer);
    }
}

/* What timer 0 owes goes with its setting. */
static MACHINE_CALL void ticks_stop(HpetTimer *t)
{
    if (t->n == 0) {
        ticks_forget(&t->hpet->ticks);
    }
}

static MACHINE_CALL void timer_stop(HpetTimer *t)
{
    ticks_stop(t);
    timer_clear(&t->timer);
    timer_irq(t, false);
}

/* ---- registers ---------------------------------------------------------- */

static uint64_t hpet_caps(const Hpet *s)
{
    return (uint64_t)CLK_NS * 1000000 << 32 | 0x8086u << 16 | 1 << 15 |
           1 << 13 | (uint64_t)(s->timers - 1) << 8 | 1;
}

static uint64_t reg64(Hpet *s, uint64_t off)
{
    HpetTimer *t;

    if (off >= 0x100) {
        unsigned n = (off - 0x100) / 0x20;

        if (n >= s->timers) {
            return 0;
        }
        t = &s->t[n];
        switch (off & 0x18) {
        case 0x00:
            return t->config;
        case 0x08:
            return t->cmp;
        case 0x10:
            return t->fsb;
        default:
            return 0;
        }
    }
    switch (off & ~7ull) {
    case 0x00:
        return hpet_caps(s);
    case 0x10:
        return s->config;
    case 0x20:
        return s->isr;
    case 0xf0:
        return hpet_counter(s);
    default:
        return 0;
    }
}

static uint64_t hpet_read(void *dev, uint64_t off, unsigned size)
{
    uint64_t v = reg64(dev, off & ~7ull);

    return size == 8 ? v : off & 4 ? v >> 32 : (uint32_t)v;
}

static void half(uint64_t *v, bool high, uint32_t w)
{
    *v = high ? (*v & UINT32_MAX) | (uint64_t)w << 32
              : (*v & ~(uint64_t)UINT32_MAX) | w;
}

static MACHINE_CALL void timer_config(HpetTimer *t, uint32_t v)
{
    uint64_t old = t->config, writable = T_WRITABLE;

    ticks_stop(t);
    if (!(old & T_FSB_CAP)) {
        writable &= ~(uint64_t)T_FSB;
    }
    /* A line that moves or changes kind lets go of the old one first. */
    if (t->hpet->isr >> t->n & 1 && (old ^ v) & (T_LEVEL | T_FSB | T_ENABLE |
                                                 31u << T_ROUTE_SHIFT)) {
        timer_irq(t, false);
    }
    t->config = (old & ~writable) | (v & writable);
    if (t->config & T_32BIT) {
        t->cmp = (uint32_t)t->cmp;
        t->period = (uint32_t)t->period;
    }
    if (!(t->config & T_ENABLE)) {
        timer_clear(&t->timer);
    } else if (!(old & T_ENABLE)) {
        timer_start(t, false);
    }
}

static MACHINE_CALL void timer_compare(HpetTimer *t, bool high, uint32_t v)
{
    if (high && t->config & T_32BIT) {
        return;
    }
    ticks_stop(t);
    if (!(t->config & T_PERIODIC) || t->config & T_SETVAL) {
        half(&t->cmp, high, v);
    }
    if (t->config & T_PERIODIC) {
        /* Below half the range, so that "passed" stays recognisable. */
        half(&t->period, high, v & (high || t->config & T_32BIT ? 0x7fffffffu
                                                                : UINT32_MAX));
    }
}

/* One access: both halves of a 64-bit write belong to one value. */
static void timer_compared(HpetTimer *t)
{
    t->config &= ~(uint64_t)T_SETVAL;
    timer_start(t, true);
}

static MACHINE_CALL void timer_write(HpetTimer *t, uint64_t off, uint64_t v,
                                     unsigned size)
{
    switch (off & 0x1c) {
    case 0x00:
        timer_config(t, v);
        break;
    case 0x08:
        timer_compare(t, false, v);
        if (size == 8) {
            timer_compare(t, true, v >> 32);
        }
        timer_compared(t);
        break;
    case 0x0c:
        timer_compare(t, true, v);
        timer_compared(t);
        break;
    case 0x10:
    case 0x14:
        half(&t->fsb, off & 4, v);
        if (size == 8) {
            half(&t->fsb, true, v >> 32);
        }
        break;
    default:
        break;
    }
}

static MACHINE_CALL void legacy_switch(Hpet *s, bool on)
{
    ticks_forget(&s->ticks);
    if (on) {
        irq_lower(&s->pit_enable);
        irq_lower(&s->irq[0]);
        irq_lower(&s->irq[8]);
    } else {
        irq_lower(&s->irq[0]);
        irq_raise(&s->pit_enable);
        irq_set(&s->irq[0], s->pit_level);
        irq_set(&s->irq[8], s->rtc_level);
    }
}

static MACHINE_CALL void hpet_config(Hpet *s, uint32_t v)
{
    uint64_t old = s->config, now = hpet_counter(s);

    s->config = v & (CFG_ENABLE | CFG_LEGACY);
    if (hpet_on(s) && !(old & CFG_ENABLE)) {
        s->started = clock_ns(CLOCK_VM);
        for (int i = 0; i < s->timers; i++) {
            if (s->isr >> i & 1) {
                timer_irq(&s->t[i], true);
            }
            timer_start(&s->t[i], false);
        }
    } else if (!hpet_on(s) && old & CFG_ENABLE) {
        s->counter = now;
        for (int i = 0; i < s->timers; i++) {
            timer_stop(&s->t[i]);
        }
    }
    if ((old ^ s->config) & CFG_LEGACY) {
        legacy_switch(s, hpet_legacy(s));
    }
}

static MACHINE_CALL void hpet_write(void *dev, uint64_t off, uint64_t v,
                                    unsigned size)
{
    Hpet *s = dev;

    TRACE(hpet_write, "0x%03x <- 0x%08" PRIx64, (unsigned)off, v);
    if (off >= 0x100) {
        unsigned n = (off - 0x100) / 0x20;

        if (n < s->timers) {
            timer_write(&s->t[n], off, v, size);
        }
        return;
    }
    switch (off) {
    case 0x10:
        hpet_config(s, v);
        break;
    case 0x20:
        for (int i = 0; i < s->timers; i++) {
            if (v >> i & 1 && s->isr >> i & 1) {
                timer_irq(&s->t[i], false);
            }
        }
        break;
    case 0xf0:
    case 0xf4:
        if (!hpet_on(s)) {
            half(&s->counter, off & 4, v);
            if (size == 8) {
                half(&s->counter, true, v >> 32);
            }
        }
        break;
    default:
        break;
    }
}

static const MemOps hpet_ops = {
    .read = hpet_read, .write = hpet_write, .min = 4, .max = 8,
    .valid_min = 4, .valid_max = 8,
};

/* ---- the device --------------------------------------------------------- */

static void hpet_pulse(void *arg)
{
    timer_irq(&((Hpet *)arg)->t[0], true);
}

static void hpet_in(void *to, int n, int level)
{
    Hpet *s = to;

    if (n == 0) {
        s->pit_level = level != 0;
    } else {
        s->rtc_level = level != 0;
    }
    if (!hpet_legacy(s)) {
        irq_set(&s->irq[n ? 8 : 0], level);
    }
}

static MACHINE_CALL bool hpet_realize(Device *dev, Error **errp)
{
    Hpet *s = (Hpet *)dev;

    if (!s->intcap) {
        return error_set(errp, "Hpet.hpet-intcap property not initialized");
    }
    s->timers = MIN2(MAX2(s->timers, MIN_TIMERS), MAX_TIMERS);
    for (int i = 0; i < MAX_TIMERS; i++) {
        HpetTimer *t = &s->t[i];

        t->hpet = s;
        t->n = i;
        timer_init(&t->timer, NULL, CLOCK_VM, hpet_fire, t);
    }
    s->ticks = (TickSource){ .pulse = hpet_pulse, .arg = s };
    mem_init_io(&s->io, "hpet", 0x400, &hpet_ops, s);
    device_region(dev, &s->io);
    /* An FSB write may be to the local APIC, and so be an interrupt whose end
     * comes back to a level-triggered timer. */
    s->io.flags |= MRF_REENTRANT;
    mem_add(mem_system.root, PC_HPET_ADDR, &s->io);
    s->mapped = true;
    device_gpio_out(dev, "sysbus-irq", s->irq, LINES);
    device_gpio_out(dev, NULL, &s->pit_enable, 1);
    device_gpio_in(dev, NULL, hpet_in, 2);
    return true;
}

static MACHINE_CALL void hpet_unrealize(Device *dev)
{
    Hpet *s = (Hpet *)dev;

    for (int i = 0; i < MAX_TIMERS; i++) {
        timer_clear(&s->t[i].timer);
    }
    ticks_forget(&s->ticks);
    if (s->mapped) {
        mem_fini(&s->io);
        s->mapped = false;
    }
}

static MACHINE_CALL void hpet_reset(Device *dev, ResetKind kind)
{
    Hpet *s = (Hpet *)dev;

    for (int i = 0; i < s->timers; i++) {
        HpetTimer *t = &s->t[i];

        timer_stop(t);
        t->cmp = UINT64_MAX;
        t->period = t->fsb = 0;
        t->config = T_PERIODIC_CAP | T_SIZE_CAP |
                    (s->flags & 1 ? T_FSB_CAP : 0) |
                    (uint64_t)s->intcap << 32;
    }
    s->config = s->isr = s->counter = 0;
    s->started = 0;
    s->rtc_level = s->pit_level = 0;
    irq_raise(&s->pit_enable);
}

static bool hpet_after_load(void *opaque, int version, Error **errp)
{
    Hpet *s = opaque;

    s->config &= CFG_ENABLE | CFG_LEGACY;
    s->isr &= (1ull << s->timers) - 1;
    for (int i = 0; i < s->timers; i++) {
        HpetTimer *t = &s->t[i];

        t->config = (t->config & T_WRITABLE) | T_PERIODIC_CAP | T_SIZE_CAP |
                    (s->flags & 1 ? T_FSB_CAP : 0) |
                    (uint64_t)s->intcap << 32;
        if (!(s->flags & 1)) {
            t->config &= ~(uint64_t)T_FSB;
        }
    }
    return true;
}

static const VmState timer_state = {
    .name = "timer", .version = 1, .oldest = 1,
    .fields = (const VmField[]){
        VM_U64(HpetTimer, config), VM_U64(HpetTimer, cmp),
        VM_U64(HpetTimer, period), VM_U64(HpetTimer, fsb),
        VM_TIMER(HpetTimer, timer),
        VM_END
    },
};

static const VmState hpet_state = {
    .name = "hpet", .version = 1, .oldest = 1, .after_load = hpet_after_load,
    .fields = (const VmField[]){
        VM_U64(Hpet, config), VM_U64(Hpet, isr), VM_U64(Hpet, counter),
        VM_I64(Hpet, started), VM_U8(Hpet, rtc_level), VM_U8(Hpet, pit_level),
        VM_STRUCTS(Hpet, t, &timer_state),
        VM_END
    },
};

static const Prop hpet_props[] = {
    PROP_U8("timers", Hpet, timers, MIN_TIMERS, .desc = "comparators, 3 to 32"),
    PROP_BIT32("msi", Hpet, flags, 0, false,
               .desc = "on/off"),
    PROP_U32("hpet-intcap", Hpet, intcap, 0,
             .desc = "mask of the I/O APIC inputs a timer may use"),
    PROP_BOOL("hpet-offset-saved", Hpet, offset_saved, true,
              .desc = "the counter's offset is part of the saved state"),
    PROP_END
};

DEVICE(hpet, {
    .name = "hpet", .category = "misc", .on = &bus_system,
    .flags = DT_INTERNAL | DT_NO_HOTPLUG,
    .desc = "High-precision event timers",
    .doc = "The board's HPET, with legacy replacement of the PIT and the RTC.",
    .size = sizeof(Hpet), .props = hpet_props, .vmstate = &hpet_state,
    .realize = hpet_realize, .unrealize = hpet_unrealize, .reset = hpet_reset,
});

Device *hpet_create(IrqLine gsi[PC_GSI_COUNT], IrqLine in[2], Error **errp)
{
    Device *d = device_make("hpet");
    Hpet *s = (Hpet *)d;

    if (!s->intcap) {
        /* Only pin 2, where the board's 8254 is, is free for it. */
        device_set_int(d, "hpet-intcap", 1 << 2);
    }
    if (!device_realize(d, NULL, errp)) {
        device_free(d);
        return NULL;
    }
    for (int i = 0; i < PC_GSI_COUNT; i++) {
        device_gpio_connect(d, "sysbus-irq", i, gsi[i]);
    }
    in[0] = device_gpio_get(d, NULL, 0);
    in[1] = device_gpio_get(d, NULL, 1);
    return d;
}
