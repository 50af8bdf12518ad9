/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mc146818.c - the real-time clock and its CMOS memory (Motorola MC146818A data
 * sheet; century byte at 0x32 as PC firmware expects it).
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. The time of day is base + phase + (clock - base_at): registers 0..9 are computed
 *    when read while the clock runs, and stored while SET or the divider holds
 *    it.
 * 2. The interrupt line is high exactly while a flag of register C is set whose
 *    enable in register B is set.
 */
#include <glib.h>
#include <time.h>
#include "mc146818.h"
#include "pc.h"

#define REG_A 10
#define REG_B 11
#define REG_C 12
#define REG_D 13
#define A_UIP 0x80
#define B_SET 0x80
#define B_PIE 0x40
#define B_AIE 0x20
#define B_UIE 0x10
#define B_DM 0x04
#define B_24H 0x02
#define C_IRQF 0x80
#define C_PF 0x40
#define C_AF 0x20
#define C_UF 0x10
#define REG_SHUTDOWN 0x0f
#define SHUTDOWN_S3 0xfe               /* firmware: go to the waking vector   */
#define REG_CENTURY 0x32
#define REG_CENTURY_PS2 0x37
#define UIP_NS (244 * NS_PER_US)

typedef struct Rtc {
    IsaDevice isa;
    MemRegion io, index_io;
    IrqLine irq;
    int32_t base_year;
    uint16_t iobase;
    uint8_t irq_nr;
    int lost_policy;
    uint8_t cmos[128], index;
    int64_t base;                      /* s since 1970 at base_at             */
    int64_t phase;                     /* ns of that second                   */
    int64_t base_at;                   /* ns on the chosen clock              */
    int64_t last_update;               /* second already reported by UF, AF   */
    int64_t next_periodic;             /* CLOCK ns, -1: off                   */
    uint32_t lost;                     /* ticks to be delivered again         */
    Timer periodic, second, coalesced;
    Clock clock;
    Notify sleep;
} Rtc;

static const PropEnum lost_tick_enum = {
    .type = "LostTickPolicy",
    .names = (const char *const[]){ "discard", "delay", "slew", NULL },
};
enum { LOST_DISCARD, LOST_DELAY, LOST_SLEW };

/* ---- time --------------------------------------------------------------- */

static bool rtc_held(const Rtc *s)
{
    return s->cmos[REG_B] & B_SET || (s->cmos[REG_A] & 0x70) > 0x20;
}

/* Rounded down, before 1970 too. */
static int64_t to_seconds(int64_t ns)
{
    return ns / NS_PER_S - (ns % NS_PER_S < 0);
}

static int64_t rtc_since_base(const Rtc *s)
{
    return s->phase + clock_ns(s->clock) - s->base_at;
}

/* Seconds since 1970. */
static int64_t rtc_now(const Rtc *s)
{
    return s->base + to_seconds(rtc_since_base(s));
}

/* Nanoseconds of the second. */
static int64_t rtc_phase(const Rtc *s)
{
    int64_t ns = rtc_since_base(s);

    return ns - to_seconds(ns) * NS_PER_S;
}

static uint8_t to_reg(const Rtc *s, int v)
{
    return s->cmos[REG_B] & B_DM ? v : v / 10 << 4 | v % 10;
}

static int from_reg(const Rtc *s, uint8_t v)
{
    if (s->cmos[REG_B] & B_DM) {
        return v;
    }
    return (v >> 4) * 10 + (v & 15);
}

static uint8_t hour_reg(const Rtc *s, int hour)
{
    int h = hour % 12;

    if (s->cmos[REG_B] & B_24H) {
        return to_reg(s, hour);
    }
    return to_reg(s, h ? h : 12) | (hour >= 12 ? 0x80 : 0);
}

static void rtc_put_time(Rtc *s, int64_t sec)
{
    time_t t = sec;
    struct tm tm;
    int year;

    gmtime_r(&t, &tm);
    year = tm.tm_year + 1900 - s->base_year;
    s->cmos[0] = to_reg(s, tm.tm_sec);
    s->cmos[2] = to_reg(s, tm.tm_min);
    s->cmos[4] = hour_reg(s, tm.tm_hour);
    s->cmos[6] = to_reg(s, tm.tm_wday + 1);
    s->cmos[7] = to_reg(s, tm.tm_mday);
    s->cmos[8] = to_reg(s, tm.tm_mon + 1);
    s->cmos[9] = to_reg(s, ((year % 100) + 100) % 100);
    s->cmos[REG_CENTURY] = to_reg(s, year / 100);
    s->cmos[REG_CENTURY_PS2] = s->cmos[REG_CENTURY];
}

static int64_t rtc_get_time(const Rtc *s)
{
    struct tm tm = { 0 };
    int h = from_reg(s, s->cmos[4] & 0x7f);

    tm.tm_sec = from_reg(s, s->cmos[0]);
    tm.tm_min = from_reg(s, s->cmos[2]);
    if (!(s->cmos[REG_B] & B_24H)) {
        h = h % 12 + (s->cmos[4] & 0x80 ? 12 : 0);
    }
    tm.tm_hour = h;
    tm.tm_mday = from_reg(s, s->cmos[7]);
    tm.tm_mon = from_reg(s, s->cmos[8]) - 1;
    tm.tm_year = from_reg(s, s->cmos[9]) +
                 from_reg(s, s->cmos[REG_CENTURY]) * 100 +
                 MIN2(MAX2(s->base_year, -9999), 9999) - 1900;
    return timegm(&tm);
}

/* ---- interrupts --------------------------------------------------------- */

static void rtc_irq_update(Rtc *s)
{
    uint8_t c = s->cmos[REG_C] & s->cmos[REG_B] & 0x70;

    if (c) {
        s->cmos[REG_C] |= C_IRQF;
    } else {
        s->cmos[REG_C] &= ~C_IRQF;
    }
    irq_set(&s->irq, c != 0);
}

static int64_t rtc_period_ns(const Rtc *s)
{
    unsigned rate = s->cmos[REG_A] & 15;

    if (!rate || (s->cmos[REG_A] & 0x70) > 0x20) {
        return 0;
    }
    if (rate <= 2) {
        rate += 7;                     /* 256 and 128 Hz stand twice          */
    }
    return ((1ll << (rate - 1)) * NS_PER_S) / 32768;
}

static void rtc_periodic_set(Rtc *s)
{
    int64_t p = rtc_period_ns(s);

    if (p && s->cmos[REG_B] & B_PIE) {
        int64_t now = clock_ns(s->clock);

        /* On the grid of the divider, which counts from the time base. */
        s->next_periodic = now - (now - s->base_at) % p + p;
        timer_set(&s->periodic, s->next_periodic);
    } else {
        s->next_periodic = -1;
        timer_clear(&s->periodic);
        s->lost = 0;
        timer_clear(&s->coalesced);
    }
}

static void rtc_coalesced_fire(void *arg)
{
    Rtc *s = arg;

    if (!s->lost) {
        return;
    }
    if (!(s->cmos[REG_C] & C_PF)) {
        s->lost--;
        s->cmos[REG_C] |= C_PF;
        rtc_irq_update(s);
    }
    timer_set(&s->coalesced, clock_ns(s->clock) +
              MAX2(rtc_period_ns(s) / 8, 100 * NS_PER_US));
}

static void rtc_periodic_fire(void *arg)
{
    Rtc *s = arg;
    int64_t p = rtc_period_ns(s), now = clock_ns(s->clock), late;

    if (!p || s->next_periodic < 0) {
        return;
    }
    late = (now - s->next_periodic) / p;
    if (late > 0 || s->cmos[REG_C] & C_PF) {
        if (s->lost_policy == LOST_SLEW) {
            int64_t more = MAX2(late, 0) + !!(s->cmos[REG_C] & C_PF);

            /* Bounded: a guest asleep for hours is not flooded. */
            s->lost = MIN2(s->lost + more, 65536);
            timer_set(&s->coalesced, now + p / 8);
        }
    }
    s->cmos[REG_C] |= C_PF;
    rtc_irq_update(s);
    s->next_periodic += (MAX2(late, 0) + 1) * p;
    timer_set(&s->periodic, s->next_periodic);
}

/* Alarm bytes with both top bits set match anything. */
static bool alarm_field(const Rtc *s, int reg, uint8_t now)
{
    return (s->cmos[reg] & 0xc0) == 0xc0 || s->cmos[reg] == now;
}

static bool alarm_at(const Rtc *s, int64_t sec)
{
    int of_day = (sec % 86400 + 86400) % 86400;

    return alarm_field(s, 1, to_reg(s, of_day % 60)) &&
           alarm_field(s, 3, to_reg(s, of_day / 60 % 60)) &&
           alarm_field(s, 5, hour_reg(s, of_day / 3600));
}

static void rtc_second_set(Rtc *s)
{
    /* UF is only watched by guests that enable or read it; keep it cheap. */
    if (rtc_held(s) || !(s->cmos[REG_B] & (B_UIE | B_AIE))) {
        timer_clear(&s->second);
        return;
    }
    timer_set(&s->second, clock_ns(s->clock) + NS_PER_S - rtc_phase(s));
}

static void rtc_seconds_pass(Rtc *s)
{
    int64_t sec = rtc_now(s);
    bool alarm = false;

    if (rtc_held(s) || sec == s->last_update) {
        return;
    }
    /* Any alarm comes once in the last day or not at all. */
    if (sec < s->last_update || sec - s->last_update > 86400) {
        s->last_update = sec < s->last_update ? sec - 1 : sec - 86400;
    }
    while (s->last_update < sec) {
        alarm |= alarm_at(s, ++s->last_update);
    }
    s->cmos[REG_C] |= C_UF;
    if (alarm) {
        s->cmos[REG_C] |= C_AF;
        if (s->cmos[REG_B] & B_AIE) {
            request_wakeup(1);
        }
    }
    rtc_irq_update(s);
}

static void rtc_second_fire(void *arg)
{
    Rtc *s = arg;

    rtc_seconds_pass(s);
    rtc_second_set(s);
}

/* ---- registers ---------------------------------------------------------- */

static MACHINE_CALL void rtc_changed(Rtc *s)
{
    char *path = obj_path(&s->isa.dev.obj);

    rtc_changed_event(rtc_now(s) -
                      clock_ns(CLOCK_HOST) / NS_PER_S, path);
    g_free(path);
}

/* phase: of the second, ns; the divider does not notice that the time above it
 * is set. */
static MACHINE_CALL void rtc_set_from_regs(Rtc *s, int64_t phase)
{
    s->base = rtc_get_time(s);
    s->phase = phase;
    s->base_at = clock_ns(s->clock);
    s->last_update = s->base;
    rtc_changed(s);
}

static MACHINE_CALL void rtc_write_a(Rtc *s, uint8_t v)
{
    bool was_held = rtc_held(s);

    if (!was_held && (v & 0x70) > 0x20) {
        rtc_put_time(s, rtc_now(s));
    }
    s->cmos[REG_A] = (v & 0x7f) | (s->cmos[REG_A] & A_UIP);
    if (was_held && !rtc_held(s)) {
        /* The first update comes half a second after the divider starts. */
        rtc_set_from_regs(s, NS_PER_S / 2);
    }
    rtc_periodic_set(s);
    rtc_second_set(s);
}

static MACHINE_CALL void rtc_write_b(Rtc *s, uint8_t v)
{
    uint8_t old = s->cmos[REG_B];
    bool was_held = rtc_held(s);

    rtc_seconds_pass(s);
    if (!was_held && v & B_SET) {
        rtc_put_time(s, rtc_now(s));
        v &= ~B_UIE;
    }
    s->cmos[REG_B] = v;
    if (was_held && !rtc_held(s)) {
        rtc_set_from_regs(s, rtc_phase(s));
    }
    rtc_irq_update(s);
    if ((old ^ v) & B_PIE) {
        rtc_periodic_set(s);
    }
    rtc_second_set(s);
}

static MACHINE_CALL void rtc_write(void *dev, uint64_t off, uint64_t val,
                                   unsigned size)
{
    Rtc *s = dev;
    uint8_t v = val, index;

    if (!(off & 1)) {
        s->index = v & 0x7f;
        return;
    }
    TRACE(rtc_write, "rtc 0x%02x <- 0x%02x", s->index, v);
    index = s->index == REG_CENTURY_PS2 ? REG_CENTURY : s->index;
    switch (index) {
    case 1:
    case 3:
    case 5:
        rtc_seconds_pass(s);
        s->cmos[index] = v;
        break;
    case REG_CENTURY:
    case 0:
    case 2:
    case 4:
    case 6 ... 9:
        if (!rtc_held(s)) {
            rtc_put_time(s, rtc_now(s));
            s->cmos[index] = v;
            rtc_set_from_regs(s, rtc_phase(s));
            rtc_second_set(s);
        } else {
            s->cmos[index] = v;
        }
        break;
    case REG_A:
        rtc_write_a(s, v);
        break;
    case REG_B:
        rtc_write_b(s, v);
        break;
    case REG_C:
    case REG_D:
        break;
    default:
        s->cmos[index] = v;
        break;
    }
}

static uint8_t rtc_read_c(Rtc *s)
{
    uint8_t v;

    rtc_seconds_pass(s);
    v = s->cmos[REG_C];
    s->cmos[REG_C] = 0;
    rtc_irq_update(s);
    rtc_second_set(s);
    return v;
}

static uint64_t rtc_read(void *dev, uint64_t off, unsigned size)
{
    Rtc *s = dev;

    if (!(off & 1)) {
        return 0xff;
    }
    switch (s->index) {
    case 0:
    case 2:
    case 4:
    case 6 ... 9:
    case REG_CENTURY:
    case REG_CENTURY_PS2:
        if (!rtc_held(s)) {
            rtc_put_time(s, rtc_now(s));
        }
        return s->cmos[s->index];
    case REG_A:
        return (s->cmos[REG_A] & ~A_UIP) |
               (!rtc_held(s) && rtc_phase(s) >= NS_PER_S - UIP_NS ? A_UIP : 0);
    case REG_C:
        return rtc_read_c(s);
    default:
        return s->cmos[s->index];
    }
}

static const MemOps rtc_ops = {
    .read = rtc_read, .write = rtc_write, .max = 1,
};

void rtc_set_cmos(Device *rtc, unsigned index, uint8_t v)
{
    ((Rtc *)rtc)->cmos[index & 127] = v;
}

uint8_t rtc_get_cmos(Device *rtc, unsigned index)
{
    return ((Rtc *)rtc)->cmos[index & 127];
}

static bool forget_lost(Device *dev, void *arg)
{
    if (strcmp(dev->type->name, "mc146818rtc") == 0) {
        ((Rtc *)dev)->lost = 0;
    }
    return true;
}

void rtc_forget_lost(void)
{
    device_each(forget_lost, NULL);
}

/* ---- the device --------------------------------------------------------- */

static Json *rtc_time_get(const Obj *o, const Prop *p, Error **errp)
{
    const Rtc *s = (const Rtc *)o;
    time_t t = rtc_now(s);
    struct tm tm;
    Json *j = json_obj();

    gmtime_r(&t, &tm);
    json_set_int(j, "tm_year", tm.tm_year);
    json_set_int(j, "tm_sec", tm.tm_sec);
    json_set_int(j, "tm_mday", tm.tm_mday);
    json_set_int(j, "tm_mon", tm.tm_mon);
    json_set_int(j, "tm_hour", tm.tm_hour);
    json_set_int(j, "tm_min", tm.tm_min);
    return j;
}

static void rtc_sleep(Notify *n, void *data)
{
    container_of(n, Rtc, sleep)->cmos[REG_SHUTDOWN] = SHUTDOWN_S3;
}

static MACHINE_CALL bool rtc_realize(Device *dev, Error **errp)
{
    Rtc *s = (Rtc *)dev;
    int64_t start = clock_ns(CLOCK_HOST) + rtc_config.offset_ns;

    s->clock = rtc_config.clock;
    if (s->base_year == 2000) {        /* the century byte tells              */
        s->base_year = 0;
    }
    if (rtc_config.has_date) {
        s->base = rtc_config.date;
    } else {
        s->base = to_seconds(start);
        s->phase = start - s->base * NS_PER_S;
    }
    s->base_at = clock_ns(s->clock);
    s->last_update = s->base;
    s->next_periodic = -1;
    s->cmos[REG_A] = 0x26;
    s->cmos[REG_B] = B_24H;
    s->cmos[REG_D] = 0x80;
    rtc_put_time(s, s->base);
    timer_init(&s->periodic, NULL, s->clock, rtc_periodic_fire, s);
    timer_init(&s->second, NULL, s->clock, rtc_second_fire, s);
    timer_init(&s->coalesced, NULL, s->clock, rtc_coalesced_fire, s);
    mem_init_io(&s->io, "rtc", 2, &rtc_ops, s);
    isa_map(&s->isa, &s->io, s->iobase);
    device_gpio_out(dev, NULL, &s->irq, 1);
    s->sleep.fn = rtc_sleep;
    notify_add(&suspend_notify, &s->sleep);
    return true;
}

static MACHINE_CALL void rtc_unrealize(Device *dev)
{
    Rtc *s = (Rtc *)dev;

    notify_del(&suspend_notify, &s->sleep);
    timer_clear(&s->periodic);
    timer_clear(&s->second);
    timer_clear(&s->coalesced);
    isa_unmap(&s->isa, &s->io);
}

/* Battery-backed: reset only drops interrupts, and a wake-up not even those. */
static void rtc_reset(Device *dev, ResetKind kind)
{
    Rtc *s = (Rtc *)dev;

    if (kind == RESET_WAKE) {
        return;
    }
    s->cmos[REG_B] &= ~(B_PIE | B_AIE | B_UIE | 0x08);
    s->cmos[REG_C] = 0;
    s->lost = 0;
    rtc_irq_update(s);
    rtc_periodic_set(s);
    rtc_second_set(s);
}

/* The host's monotonic clock means nothing elsewhere. */
static void rtc_before_save(void *opaque)
{
    Rtc *s = opaque;

    if (s->clock == CLOCK_RT) {
        int64_t phase = rtc_phase(s);

        s->base = rtc_now(s);
        s->phase = phase;
        s->base_at = clock_ns(s->clock);
    }
}

#define SEC_MAX (1ll << 40)

static bool rtc_after_load(void *opaque, int version, Error **errp)
{
    Rtc *s = opaque;

    machine_assert_locked();
    if (s->base < -SEC_MAX || s->base > SEC_MAX || s->phase < 0 ||
        s->phase >= NS_PER_S || s->base_at < 0 || s->next_periodic < -1 ||
        s->last_update < -SEC_MAX || s->last_update > SEC_MAX) {
        return error_set(errp, "mc146818rtc: a time is out of range");
    }
    if (s->clock == CLOCK_RT) {
        s->base_at = clock_ns(s->clock);
    }
    s->index &= 127;
    s->lost = MIN2(s->lost, 65536);
    if (s->clock != CLOCK_VM) {
        rtc_periodic_set(s);
        rtc_second_set(s);
    }
    return true;
}

static const VmState rtc_state = {
    .name = "mc146818rtc", .version = 1, .oldest = 1,
    .before_save = rtc_before_save, .after_load = rtc_after_load,
    .fields = (const VmField[]){
        VM_BYTES(Rtc, cmos), VM_U8(Rtc, index), VM_I64(Rtc, base),
        VM_I64(Rtc, phase), VM_I64(Rtc, base_at), VM_I64(Rtc, last_update),
        VM_I64(Rtc, next_periodic), VM_U32(Rtc, lost), VM_TIMER(Rtc, periodic),
        VM_TIMER(Rtc, second), VM_TIMER(Rtc, coalesced),
        VM_END
    },
};

static const Prop rtc_props[] = {
    PROP_I32("base_year", Rtc, base_year, 1980, .desc = "year of value 0"),
    PROP_U16("iobase", Rtc, iobase, 0x70, .desc = "index port"),
    PROP_U8("irq", Rtc, irq_nr, 8, .desc = "ISA interrupt"),
    PROP_ENUM("lost_tick_policy", Rtc, lost_policy, &lost_tick_enum, 0,
              .desc = "what becomes of periodic ticks that the guest missed"),
    PROP_CALL("date", "struct tm", rtc_time_get, NULL,
              .flags = PF_READONLY | PF_HIDDEN, .desc = "time of day"),
    PROP_END
};

DEVICE(mc146818, {
    .name = "mc146818rtc", .category = "misc", .on = &bus_isa,
    .flags = DT_INTERNAL | DT_NO_HOTPLUG,
    .desc = "MC146818 real-time clock",
    .doc = "The PC's real-time clock and CMOS memory; -rtc sets it.",
    .size = sizeof(Rtc), .props = rtc_props, .vmstate = &rtc_state,
    .realize = rtc_realize, .unrealize = rtc_unrealize, .reset = rtc_reset,
});

Device *rtc_create(IsaBus *isa, IrqLine irq8, Error **errp)
{
    Device *d = device_make("mc146818rtc");

    device_set_int(d, "base_year", 2000);
    if (rtc_config.slew) {
        device_set(d, "lost_tick_policy", "slew", NULL);
    }
    if (!device_realize(d, &isa->bus, errp)) {
        device_free(d);
        return NULL;
    }
    device_gpio_connect(d, NULL, 0, irq8);
    return d;
}
