/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * clock.c - the clocks, and control of the virtual one (clock_gettime(2)).
 *
 * Thread class: reading is ANY_THREAD and takes no lock; control runs under the
 * machine lock.
 *
 * Invariants:
 * 1. The virtual clock's three words change only under the machine lock and
 *    between two increments of `seq`; a reader that saw an odd or a changed
 *    `seq` reads again.
 * 2. The virtual clock never goes back but by clock_vm_set and clock_vm_step.
 * 3. In manual mode only clock_vm_step and clock_vm_set move it.
 */
#include <time.h>
#include "loop-impl.h"

/* Rounds of timers that arm themselves again for the same instant, after which
 * clock_vm_step leaves the rest to the loop: a guest chooses periods. */
#define INSTANT_ROUNDS_MAX 4096

static uint32_t seq;
static VmMode mode;
static int64_t base;                   /* VM_RUNNING: minus the host's clock;
                                          else the time itself                */

static inline int64_t host_ns(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

VmMode clock_vm_read(int64_t *now)
{
    uint32_t before;
    VmMode m;
    int64_t b;

    do {
        before = __atomic_load_n(&seq, __ATOMIC_ACQUIRE);
        m = __atomic_load_n(&mode, __ATOMIC_ACQUIRE);
        b = __atomic_load_n(&base, __ATOMIC_ACQUIRE);
        /* Read inside, so that a reader who is late cannot add the host's time
         * to an offset that is no longer valid. */
        *now = m == VM_RUNNING ? b + host_ns(CLOCK_MONOTONIC) : b;
    } while ((before & 1) || LOAD_RELAXED(&seq) != before);
    return m;
}

/* to NULL: keeps the time. */
static void vm_change(VmMode m, const int64_t *to)
{
    int64_t host, b = base;

    assert(machine_locked());
    /* A full barrier: no reader of the old words has read a later host time
     * than ours, so stopping never takes back what it saw. */
    __atomic_exchange_n(&seq, seq + 1, __ATOMIC_SEQ_CST);
    host = host_ns(CLOCK_MONOTONIC);
    b += mode == VM_RUNNING ? host : 0;
    b = to ? *to : b;
    b -= m == VM_RUNNING ? host : 0;
    __atomic_store_n(&mode, m, __ATOMIC_RELEASE);
    __atomic_store_n(&base, b, __ATOMIC_RELEASE);
    __atomic_store_n(&seq, seq + 1, __ATOMIC_RELEASE);
}

int64_t clock_ns(Clock c)
{
    int64_t now;

    switch (c) {
    case CLOCK_HOST:
        return host_ns(CLOCK_REALTIME);
    case CLOCK_VM:
        clock_vm_read(&now);
        return now;
    default:
        return host_ns(CLOCK_MONOTONIC);
    }
}

static void wake_one(Loop *l, void *arg)
{
    loop_wake_sleeper(l);
}

void clock_vm_run(bool on)
{
    VmMode want = on ? VM_RUNNING : VM_STOPPED;

    if (mode != VM_MANUAL && mode != want) {
        vm_change(want, NULL);
        loop_each(wake_one, NULL);
    }
}

void clock_vm_manual(void)
{
    vm_change(VM_MANUAL, NULL);
    loop_each(wake_one, NULL);
}

void clock_vm_set(int64_t ns)
{
    vm_change(mode, &ns);
    loop_each(wake_one, NULL);
}

static void deadline_one(Loop *l, void *arg)
{
    int64_t *first = arg, d = timers_vm_deadline(l);

    if (d >= 0 && (*first < 0 || d < *first)) {
        *first = d;
    }
}

int64_t clock_vm_deadline(void)
{
    int64_t first = -1;

    loop_each(deadline_one, &first);
    return first;
}

static void run_one_here(void *arg)
{
    timers_run_vm(arg);
}

static void run_one(Loop *l, void *arg)
{
    int64_t d = timers_vm_deadline(l);

    machine_assert_locked();
    if (d >= 0 && d <= *(int64_t *)arg) {
        loop_run_sync(l, run_one_here, l);
    }
}

int64_t clock_vm_step(int64_t to)
{
    int64_t now, next = clock_vm_deadline();
    VmMode m = clock_vm_read(&now);
    unsigned rounds = 0;

    assert(m == VM_MANUAL);
    if (to < 0) {
        to = MAX2(next, now);
    }
    for (; next >= 0 && next <= to; next = clock_vm_deadline()) {
        if (next > now) {
            now = next;
            rounds = 0;
            vm_change(VM_MANUAL, &now);
        } else if (++rounds > INSTANT_ROUNDS_MAX) {
            break;
        }
        loop_each(run_one, &now);
        /* A callback may have moved the clock itself. */
        clock_vm_read(&now);
    }
    if (to > now) {
        vm_change(VM_MANUAL, &to);
    }
    loop_each(wake_one, NULL);
    return clock_ns(CLOCK_VM);
}
