/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * i8254.c - the 8254 programmable interval timer (Intel 8254 data sheet, order
 * 231164).
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. A channel's count and output are functions of the virtual clock, its load
 *    time, its count and its mode: nothing ticks. While its gate or a half
 *    written count holds it, `held` ticks have passed.
 * 2. Only channel 0 has a timer, because only its output is wired to an
 *    interrupt. The timer rests at least EVENT_MIN between events, whatever a
 *    guest asks.
 */
#include <glib.h>
#include "accel.h"
#include "hw/pc/ticks.h"
#include "pc.h"

#define PIT_HZ 1193182
#define EVENT_MIN (10 * NS_PER_US)
#define PERIODS_UNKNOWN UINT64_MAX     /* after loading: one is due           */

typedef struct PitChannel {
    int32_t count;                     /* 1..65536                            */
    uint16_t latched;
    uint8_t count_latched, status_latched, status;
    uint8_t read_state, write_state, write_latch, rw_mode, mode, bcd, gate;
    uint8_t counting;                  /* else: held                          */
    uint8_t waiting;                   /* for a count, or for its trigger     */
    int64_t loaded;                    /* CLOCK_VM ns                         */
    uint64_t held;                     /* ticks                               */
} PitChannel;

typedef struct Pit {
    IsaDevice isa;
    MemRegion io;
    IrqLine irq;
    uint32_t iobase;
    Timer timer;
    TickSource ticks;
    uint64_t periods;                  /* of channel 0 that have ticked        */
    PitChannel ch[3];
    uint8_t irq_off;                   /* HPET has taken the line             */
} Pit;

enum { RW_LATCH = 0, RW_LSB, RW_MSB, RW_WORD0, RW_WORD1 };

/* ---- the counting element ----------------------------------------------- */

static uint64_t pit_ticks(const PitChannel *c, int64_t now)
{
    int64_t d = now - c->loaded;

    if (!c->counting) {
        return c->held;
    }
    return d <= 0 ? 0 : (uint64_t)((__int128)d * PIT_HZ / NS_PER_S);
}

static int pit_out(const PitChannel *c, int64_t now)
{
    uint64_t d = pit_ticks(c, now), n = c->count;

    if (c->waiting) {
        return c->mode != 0;
    }
    switch (c->mode) {
    case 0:
    case 1:
        return d >= n;
    case 2:
        return !c->counting || d % n != n - 1;
    case 3:
        return !c->counting || d % n < (n + 1) / 2;
    default:
        return d != n;
    }
}

static uint16_t pit_count(const PitChannel *c, int64_t now)
{
    uint64_t d = pit_ticks(c, now), n = c->count, v;
    uint64_t range = c->bcd ? 10000 : 65536;

    switch (c->mode) {
    case 0:
    case 1:
    case 4:
    case 5:                            /* counts on through zero              */
        v = (n + range - d % range) % range;
        break;
    case 3:                            /* counts down by two                  */
        v = n - 2 * d % n;
        break;
    default:
        v = n - d % n;
        break;
    }
    if (c->bcd) {
        v %= 10000;
        v = v % 10 | v / 10 % 10 << 4 | v / 100 % 10 << 8 | v / 1000 << 12;
    }
    return v;
}

static int64_t ticks_to_ns(uint64_t ticks)
{
    return ((__int128)ticks * NS_PER_S + PIT_HZ - 1) / PIT_HZ;
}

/* Next change of the output that the interrupt sees; -1: none. */
static int64_t pit_next(const PitChannel *c, int64_t now)
{
    uint64_t d = pit_ticks(c, now), next, n = c->count, half = (n + 1) / 2;

    if (c->waiting || !c->counting) {
        return -1;
    }
    switch (c->mode) {
    case 0:
    case 1:
        if (d >= n) {
            return -1;
        }
        next = n;
        break;
    case 2:                            /* its low tick is made with the rise  */
        next = d - d % n + n;
        break;
    case 3:
        next = d - d % n + (d % n < half ? half : n);
        break;
    default:
        if (d > n) {
            return -1;
        }
        next = d < n ? n : n + 1;
        break;
    }
    return c->loaded + ticks_to_ns(next);
}

static void pit_arm(Pit *s, int64_t now)
{
    int64_t next = pit_next(&s->ch[0], now);

    if (next < 0) {
        timer_clear(&s->timer);
    } else {
        timer_set(&s->timer, next);
    }
}

/* After a change of channel 0 by the guest. */
static MACHINE_CALL void pit_update(Pit *s, int64_t now)
{
    ticks_forget(&s->ticks);
    s->periods = pit_ticks(&s->ch[0], now) / s->ch[0].count;
    if (!s->irq_off) {
        irq_set(&s->irq, pit_out(&s->ch[0], now));
    }
    pit_arm(s, now);
}

static void pit_pulse(void *arg)
{
    Pit *s = arg;

    machine_assert_locked();
    irq_lower(&s->irq);
    irq_raise(&s->irq);
}

static void pit_fire(void *arg)
{
    Pit *s = arg;
    PitChannel *c = &s->ch[0];
    int64_t now = clock_ns(CLOCK_VM), next;
    uint64_t periods = pit_ticks(c, now) / c->count;

    machine_assert_locked();
    if (!s->irq_off) {
        if ((c->mode == 2 || c->mode == 3) && periods != s->periods) {
            ticks_add(&s->ticks, s->periods == PERIODS_UNKNOWN
                                     ? 1 : periods - s->periods);
        } else if (c->mode >= 4) {
            irq_lower(&s->irq);         /* a low tick that may be over        */
        }
        irq_set(&s->irq, pit_out(c, now));
    }
    s->periods = periods;
    next = pit_next(&s->ch[0], now);
    if (next >= 0) {
        timer_set(&s->timer, MAX2(next, now + EVENT_MIN));
    }
}

static bool gate_holds(const PitChannel *c)
{
    return !c->gate && c->mode != 1 && c->mode != 5;
}

/* The output goes to its mode's rest until a count is written. */
static MACHINE_CALL void pit_stop(Pit *s, PitChannel *c, uint64_t held)
{
    c->waiting = 1;
    c->held = held;
    c->counting = 0;
    if (c == &s->ch[0]) {
        pit_update(s, clock_ns(CLOCK_VM));
    }
}

static MACHINE_CALL void pit_load(Pit *s, PitChannel *c, uint32_t v)
{
    int64_t now = clock_ns(CLOCK_VM);

    if (c->bcd) {
        v = (v & 15) + (v >> 4 & 15) * 10 + (v >> 8 & 15) * 100 +
            (v >> 12) * 1000;
        v = v > 9999 ? 9999 : v;
        c->count = v ? (int32_t)v : 10000;
    } else {
        c->count = v ? (int32_t)v : 0x10000;
    }
    /* Modes 1 and 5 start by their gate, whose edges only channel 2 has. */
    c->waiting = (c->mode == 1 || c->mode == 5) && c == &s->ch[2];
    c->held = 0;
    c->counting = !gate_holds(c);
    c->loaded = now;
    if (c == &s->ch[0]) {
        pit_update(s, now);
    }
}

/* ---- registers ---------------------------------------------------------- */

static void pit_latch_count(PitChannel *c)
{
    if (!c->count_latched) {
        c->latched = pit_count(c, clock_ns(CLOCK_VM));
        c->count_latched = c->rw_mode;
    }
}

static void pit_read_back(Pit *s, uint8_t v)
{
    for (int i = 0; i < 3; i++) {
        PitChannel *c = &s->ch[i];

        if (!(v & 2 << i)) {
            continue;
        }
        if (!(v & 0x20)) {
            pit_latch_count(c);
        }
        if (!(v & 0x10) && !c->status_latched) {
            c->status = pit_out(c, clock_ns(CLOCK_VM)) << 7 |
                        (c->rw_mode == RW_WORD0 ? 3 : c->rw_mode) << 4 |
                        c->mode << 1 | c->bcd;
            c->status_latched = 1;
        }
    }
}

static MACHINE_CALL void pit_control(Pit *s, uint8_t v)
{
    PitChannel *c;
    uint8_t rw;

    if (v >> 6 == 3) {
        pit_read_back(s, v);
        return;
    }
    c = &s->ch[v >> 6];
    rw = v >> 4 & 3;
    if (rw == 0) {
        pit_latch_count(c);
        return;
    }
    c->rw_mode = c->read_state = c->write_state = rw;
    c->mode = v >> 1 & 7;
    if (c->mode > 5) {
        c->mode &= 3;                  /* modes 6 and 7 are 2 and 3           */
    }
    c->bcd = v & 1;
    pit_stop(s, c, 0);
}

static MACHINE_CALL void pit_write(void *dev, uint64_t off, uint64_t val,
                                   unsigned size)
{
    Pit *s = dev;
    PitChannel *c;

    if (off == 3) {
        pit_control(s, val);
        return;
    }
    c = &s->ch[off];
    switch (c->write_state) {
    case RW_LSB:
        pit_load(s, c, val & 0xff);
        break;
    case RW_MSB:
        pit_load(s, c, (val & 0xff) << 8);
        break;
    case RW_WORD0:
        c->write_latch = val;
        c->write_state = RW_WORD1;
        if (c->mode == 0) {            /* half a count stops it               */
            pit_stop(s, c, pit_ticks(c, clock_ns(CLOCK_VM)));
        }
        break;
    case RW_WORD1:
        pit_load(s, c, c->write_latch | (val & 0xff) << 8);
        c->write_state = RW_WORD0;
        break;
    default:
        break;
    }
}

static uint64_t pit_read(void *dev, uint64_t off, unsigned size)
{
    Pit *s = dev;
    PitChannel *c;
    uint16_t n;

    if (off == 3) {
        return 0;                      /* the control word cannot be read     */
    }
    c = &s->ch[off];
    if (c->status_latched) {
        c->status_latched = 0;
        return c->status;
    }
    if (c->count_latched) {
        switch (c->count_latched) {
        case RW_MSB:
            c->count_latched = 0;
            return c->latched >> 8;
        case RW_WORD0:
            c->count_latched = RW_MSB;
            return c->latched & 0xff;
        default:
            c->count_latched = 0;
            return c->latched & 0xff;
        }
    }
    n = pit_count(c, clock_ns(CLOCK_VM));
    switch (c->read_state) {
    case RW_MSB:
        return n >> 8;
    case RW_WORD0:
        c->read_state = RW_WORD1;
        return n & 0xff;
    case RW_WORD1:
        c->read_state = RW_WORD0;
        return n >> 8;
    default:
        return n & 0xff;
    }
}

/* The channel of a PIT in the kernel, as one of ours. */
static MACHINE_CALL bool kernel_channel(Device *pit, int n, PitChannel *c)
{
    KvmPitChannel k;

    if (!kvm_pit_channel(pit, n, &k)) {
        return false;
    }
    *c = (PitChannel){
        .count = k.count ? MIN2(k.count, 0x10000) : 0x10000,
        .mode = k.mode > 5 ? k.mode & 3 : k.mode, .gate = k.gate,
        .counting = 1, .loaded = k.load_time,
    };
    return true;
}

int pit_channel_out(Device *pit, int n)
{
    PitChannel c;

    return pit_out(kernel_channel(pit, n, &c) ? &c : &((Pit *)pit)->ch[n],
                   clock_ns(CLOCK_VM));
}

int pit_channel_gate_get(Device *pit, int n)
{
    PitChannel c;

    return kernel_channel(pit, n, &c) ? c.gate : ((Pit *)pit)->ch[n].gate;
}

static void gate_set(PitChannel *c, int level) MACHINE_CALL;
static void gate_set(PitChannel *c, int level)
{
    int64_t now = clock_ns(CLOCK_VM);
    bool was = c->gate;

    if (level == was) {
        return;
    }
    if (!level) {
        c->gate = 0;
        if (gate_holds(c) && c->counting) {
            c->held = pit_ticks(c, now);
            c->counting = 0;
        }
        return;
    }
    c->gate = 1;
    switch (c->mode) {
    case 0:
    case 4:                            /* goes on where it stopped            */
        if (!c->waiting) {
            c->loaded = now - ticks_to_ns(c->held);
            c->counting = 1;
        }
        break;
    case 1:
    case 5:
        c->waiting = 0;
        /* fall through */
    default:
        if (!c->waiting) {
            c->loaded = now;
            c->counting = 1;
        }
        break;
    }
}

void pit_channel_gate(Device *pit, int n, int level)
{
    PitChannel c;

    if (kernel_channel(pit, n, &c)) {
        kvm_pit_set_gate(pit, n, level);
    } else {
        gate_set(&((Pit *)pit)->ch[n], level);
    }
}

/* HPET's legacy routing takes IRQ 0 away. */
static MACHINE_CALL void pit_irq_control(void *to, int n, int enable)
{
    Pit *s = to;

    s->irq_off = !enable;
    if (enable) {
        pit_update(s, clock_ns(CLOCK_VM));
    } else {
        irq_lower(&s->irq);
        ticks_forget(&s->ticks);
    }
}

static const MemOps pit_ops = {
    .read = pit_read, .write = pit_write, .max = 1,
};

static MACHINE_CALL bool pit_realize(Device *dev, Error **errp)
{
    Pit *s = (Pit *)dev;

    timer_init(&s->timer, NULL, CLOCK_VM, pit_fire, s);
    s->ticks = (TickSource){ .pulse = pit_pulse, .arg = s };
    mem_init_io(&s->io, "pit", 4, &pit_ops, s);
    isa_map(&s->isa, &s->io, s->iobase);
    device_gpio_out(dev, NULL, &s->irq, 1);
    device_gpio_in(dev, NULL, pit_irq_control, 1);
    return true;
}

static MACHINE_CALL void pit_unrealize(Device *dev)
{
    Pit *s = (Pit *)dev;

    timer_clear(&s->timer);
    ticks_forget(&s->ticks);
    isa_unmap(&s->isa, &s->io);
}

static MACHINE_CALL void pit_reset(Device *dev, ResetKind kind)
{
    Pit *s = (Pit *)dev;
    int64_t now = clock_ns(CLOCK_VM);

    s->irq_off = 0;
    for (int i = 0; i < 3; i++) {
        s->ch[i] = (PitChannel){
            .count = 0x10000, .mode = 3, .gate = i != 2, .counting = 1,
            .loaded = now,
        };
    }
    irq_lower(&s->irq);
    ticks_forget(&s->ticks);
    s->periods = 0;
    pit_arm(s, now);
}

static bool channel_after_load(void *opaque, int version, Error **errp)
{
    PitChannel *c = opaque;

    if (c->count < 1 || c->count > 0x10000 || c->mode > 5 ||
        c->read_state > RW_WORD1 || c->write_state > RW_WORD1 ||
        c->rw_mode > RW_WORD0 || c->count_latched > RW_WORD0 ||
        c->loaded < -NS_PER_S || c->loaded > INT64_MAX / 2 || c->held >> 40) {
        return error_set(errp, "i8254: channel state out of range");
    }
    return true;
}

static const VmState channel_state = {
    .name = "channel", .version = 1, .oldest = 1,
    .after_load = channel_after_load,
    .fields = (const VmField[]){
        VM_I32(PitChannel, count), VM_U16(PitChannel, latched),
        VM_U8(PitChannel, count_latched), VM_U8(PitChannel, status_latched),
        VM_U8(PitChannel, status), VM_U8(PitChannel, read_state),
        VM_U8(PitChannel, write_state), VM_U8(PitChannel, write_latch),
        VM_U8(PitChannel, rw_mode), VM_U8(PitChannel, mode),
        VM_U8(PitChannel, bcd), VM_U8(PitChannel, gate),
        VM_U8(PitChannel, counting), VM_U8(PitChannel, waiting),
        VM_I64(PitChannel, loaded), VM_U64(PitChannel, held),
        VM_END
    },
};

static MACHINE_CALL bool pit_after_load(void *opaque, int version, Error **errp)
{
    Pit *s = opaque;

    s->periods = PERIODS_UNKNOWN;
    ticks_forget(&s->ticks);
    return true;
}

static const VmState pit_state = {
    .name = "i8254", .version = 1, .oldest = 1, .after_load = pit_after_load,
    .fields = (const VmField[]){
        VM_STRUCTS(Pit, ch, &channel_state), VM_TIMER(Pit, timer),
        VM_U8(Pit, irq_off),
        VM_END
    },
};

static const Prop pit_props[] = {
    PROP_U32("iobase", Pit, iobase, UINT32_MAX, .desc = "first port"),
    PROP_END
};

DEVICE(i8254, {
    .name = "isa-pit", .category = "misc", .on = &bus_isa,
    .parent = "pit-common", .flags = DT_INTERNAL | DT_NO_HOTPLUG,
    .desc = "8254 interval timer",
    .doc = "The PC's programmable interval timer.",
    .size = sizeof(Pit), .props = pit_props, .vmstate = &pit_state,
    .realize = pit_realize, .unrealize = pit_unrealize, .reset = pit_reset,
});
TYPE_NAME(pit_common_type, { "pit-common", "isa-device", true });

Device *pit_create(IsaBus *isa, IrqLine irq0, Error **errp)
{
    Device *d = device_make("isa-pit");

    device_set_int(d, "iobase", 0x40);
    if (!device_realize(d, &isa->bus, errp)) {
        device_free(d);
        return NULL;
    }
    device_gpio_connect(d, NULL, 0, irq0);
    if (pc && pc->hpet_dev) {
        device_gpio_connect(pc->hpet_dev, NULL, 0, device_gpio_get(d, NULL, 0));
    }
    return d;
}
