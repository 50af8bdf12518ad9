/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * apic-timer.c - the local APIC's timer: one-shot, periodic, TSC-deadline
 * (Intel SDM volume 3, "APIC Timer").
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. The count is a function of the virtual clock, the load time, the initial
 *    count and the divisor: nothing ticks. One tick of the undivided timer is a
 *    nanosecond.
 * 2. The host timer is armed exactly while an unmasked event lies ahead.
 * 3. Periodic events come at least PERIOD_MIN apart, whatever a guest asks.
 */
#include "hw/pc/apic.h"

#define PERIOD_MIN (20 * NS_PER_US)

enum { MODE_ONE_SHOT, MODE_PERIODIC, MODE_DEADLINE };

static unsigned timer_mode(uint32_t lvt)
{
    return lvt >> 17 & 3;
}

/* Divide register to shift: 0 divides by 2, 7 by 1. */
static unsigned divide_shift(uint32_t divide)
{
    return ((divide & 3) + (divide >> 1 & 4) + 1) & 7;
}

static uint64_t ticks_since_load(const X86Apic *s, int64_t now)
{
    return now <= s->loaded ? 0
           : (uint64_t)(now - s->loaded) >> divide_shift(s->divide);
}

uint32_t apic_timer_count(const X86Apic *s)
{
    uint64_t t;

    if (!s->initial_count || timer_mode(s->lvt[LVT_TIMER]) >= MODE_DEADLINE) {
        return 0;
    }
    t = ticks_since_load(s, clock_ns(CLOCK_VM));
    if (timer_mode(s->lvt[LVT_TIMER]) == MODE_PERIODIC) {
        return s->initial_count - t % s->initial_count;
    }
    return t >= s->initial_count ? 0 : s->initial_count - t;
}

/* The next end of the count after `now`, or the one that has not been told of
 * yet; -1: none. */
static int64_t count_end(const X86Apic *s, int64_t now)
{
    unsigned shift = divide_shift(s->divide);
    uint64_t t = ticks_since_load(s, now), n = s->initial_count;

    if (!n) {
        return -1;
    }
    if (timer_mode(s->lvt[LVT_TIMER]) == MODE_PERIODIC) {
        n *= t / n + 1;
    } else if (t >= n && !timer_armed(&s->timer)) {
        return -1;                     /* has been; while armed it is late    */
    }
    return s->loaded + (int64_t)(n << shift);
}

/* Nanoseconds until the guest's TSC reaches the deadline, rounded up. */
static int64_t deadline_ns(const X86Apic *s)
{
    uint64_t hz = x86_tsc_hz();
    int64_t left = s->tsc_deadline - x86_tsc(s->cpu);
    __int128 ns;

    if (left <= 0 || !hz) {
        return 0;
    }
    ns = ((__int128)left * NS_PER_S + hz - 1) / hz;
    return ns > INT64_MAX / 4 ? INT64_MAX / 4 : (int64_t)ns;
}

static MACHINE_CALL void update_at(X86Apic *s, int64_t now)
{
    uint32_t lvt = s->lvt[LVT_TIMER];
    int64_t at = -1;

    if (timer_mode(lvt) < MODE_DEADLINE) {
        if (!(lvt & LVT_MASKED) && s->initial_count) {
            at = count_end(s, now);
        }
    } else if (timer_mode(lvt) == MODE_DEADLINE && s->tsc_deadline) {
        at = now + deadline_ns(s);
    }
    if (at < 0) {
        timer_clear(&s->timer);
    } else {
        timer_set(&s->timer, at);
    }
}

void apic_timer_update(X86Apic *s)
{
    update_at(s, clock_ns(CLOCK_VM));
}

static void apic_timer_fire(void *arg)
{
    X86Apic *s = arg;
    int64_t now = clock_ns(CLOCK_VM), at;

    machine_assert_locked();
    switch (timer_mode(s->lvt[LVT_TIMER])) {
    case MODE_PERIODIC:
        at = count_end(s, now);
        if (at >= 0) {
            timer_set(&s->timer, MAX2(at, now + PERIOD_MIN));
        }
        break;
    case MODE_DEADLINE:
        at = deadline_ns(s);
        if (at > 0) {                  /* the clocks disagree a little        */
            timer_set(&s->timer, now + MAX2(at, NS_PER_US));
            return;
        }
        s->tsc_deadline = 0;
        break;
    default:
        break;
    }
    apic_lvt_event(s, LVT_TIMER);
}

void apic_timer_init(X86Apic *s)
{
    timer_init(&s->timer, NULL, CLOCK_VM, apic_timer_fire, s);
}

void apic_timer_lvt(X86Apic *s, uint32_t old)
{
    bool was = timer_mode(old) >= MODE_DEADLINE;
    bool is = timer_mode(s->lvt[LVT_TIMER]) >= MODE_DEADLINE;

    if (was != is) {
        s->initial_count = 0;
        s->tsc_deadline = 0;
    }
    apic_timer_update(s);
}

void apic_timer_load(X86Apic *s, uint32_t v)
{
    if (timer_mode(s->lvt[LVT_TIMER]) >= MODE_DEADLINE) {
        return;
    }
    s->initial_count = v;
    s->loaded = clock_ns(CLOCK_VM);
    /* However long this thread is kept from going on, the end is ahead. */
    update_at(s, s->loaded);
}

void apic_timer_divide(X86Apic *s, uint32_t v)
{
    int64_t now = clock_ns(CLOCK_VM);
    uint32_t count = apic_timer_count(s);

    s->divide = v;
    if (s->initial_count && count) {
        /* The count goes on from where it stands, at the new pace. */
        s->loaded = now - ((int64_t)(s->initial_count - count)
                           << divide_shift(v));
    }
    apic_timer_update(s);
}

void apic_tsc_deadline_set(X86Cpu *c, uint64_t tsc)
{
    X86Apic *s = c->apic;

    if (!s || timer_mode(s->lvt[LVT_TIMER]) != MODE_DEADLINE) {
        return;
    }
    s->tsc_deadline = tsc;
    if (tsc && !deadline_ns(s)) {
        timer_clear(&s->timer);
        s->tsc_deadline = 0;
        apic_lvt_event(s, LVT_TIMER);
        return;
    }
    apic_timer_update(s);
}

uint64_t apic_tsc_deadline_get(X86Cpu *c)
{
    return c->apic ? c->apic->tsc_deadline : c->regs.tsc_deadline;
}
