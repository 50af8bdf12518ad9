/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * main-loop.c - the main loop: epoll(7), and the default GMainContext for parts
 * that ask for it.
 *
 * Thread class: the machine lock's holder; the lock is released while waiting.
 * Any holder may run a turn with loop_step: mostly the main thread, but also a
 * vCPU thread that must wait for an event.
 *
 * Invariants:
 * 1. What was true before the wait may be false after it. `turn` tells whether
 *    another thread ran a turn meanwhile; then the events in hand are dropped
 *    and the kernel is asked again under the lock. All registrations are
 *    level-triggered, so nothing is lost.
 * 2. A turn that did something wakes all others who wait in loop_step, because
 *    it may have been what they wait for.
 * 3. Only the main thread empties wake_fd while it sleeps; other threads have
 *    an eventfd of their own for the wake-ups of rule 2.
 */
#include <glib.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>
#include "loop-impl.h"

/* A thread other than the main one that waits in loop_step. */
typedef struct Stepper {
    int fd;
    struct Stepper *next;
} Stepper;

static pthread_once_t opened = PTHREAD_ONCE_INIT;
static Stepper *steppers;              /* these two: under the machine lock   */
static bool main_asleep;
static bool quit;                      /* atomic                              */

/* The GMainContext's descriptors; the first is ours. */
static GMainContext *context;
static GPollFD *gfds;
static int gfds_n, gfds_cap = 16, gprio;

static void main_loop_open_once(void)
{
    loop_open(loop_main);
}

void main_loop_open(void)
{
    pthread_once(&opened, main_loop_open_once);
}

/* ---- GMainContext -------------------------------------------------------- */

void loop_use_glib(void)
{
    if (context) {
        return;
    }
    main_loop_open();
    context = g_main_context_default();
    gfds = g_new(GPollFD, gfds_cap + 1);
    loop_wake_sleeper(loop_main);
}

/* Fills gfds from 1 on; returns the time to wait. */
static int64_t glib_prepare(int64_t ns)
{
    int ms;

    if (g_main_context_prepare(context, &gprio)) {
        ns = 0;
    }
    for (;;) {
        gfds_n = g_main_context_query(context, gprio, &ms, gfds + 1, gfds_cap);
        if (gfds_n <= gfds_cap) {
            break;
        }
        gfds_cap = gfds_n + 8;
        gfds = g_renew(GPollFD, gfds, gfds_cap + 1);
    }
    if (ms >= 0 && (ns < 0 || ms * NS_PER_MS < ns)) {
        ns = ms * NS_PER_MS;
    }
    return ns;
}

static bool glib_dispatch(void)
{
    if (!g_main_context_check(context, gprio, gfds + 1, gfds_n)) {
        return false;
    }
    g_main_context_dispatch(context);
    return true;
}

/* ---- one turn ------------------------------------------------------------ */

static void wait_ns(struct pollfd *p, unsigned n, int64_t ns)
{
    struct timespec ts = { ns / NS_PER_S, ns % NS_PER_S };

    ppoll(p, n, ns < 0 ? NULL : &ts, NULL);
}

/* The main thread's wait; returns the number of events. */
static int wait_main(Loop *l, struct epoll_event *ev, int64_t ns, bool glib)
    MACHINE_CALL
{
    int n;

    main_asleep = true;
    machine_unlock();
    if (glib) {
        _Static_assert(sizeof(GPollFD) == sizeof(struct pollfd), "as poll(2)");
        gfds[0] = (GPollFD){ .fd = l->epfd, .events = G_IO_IN };
        wait_ns((struct pollfd *)gfds, gfds_n + 1, ns);
        n = loop_wait(l->epfd, ev, 0);
    } else {
        n = loop_wait(l->epfd, ev, ns);
    }
    machine_lock();
    main_asleep = false;
    return n;
}

/* Another thread's. */
static int wait_stepper(Loop *l, struct epoll_event *ev, int64_t ns)
    MACHINE_CALL
{
    Stepper me = { eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), steppers };
    struct pollfd p[2] = {
        { .fd = l->epfd, .events = POLLIN }, { .fd = me.fd, .events = POLLIN },
    };
    Stepper **s;

    steppers = &me;
    machine_unlock();
    /* Without the second descriptor it has to look from time to time. */
    wait_ns(p, 2, me.fd < 0 && (ns < 0 || ns > NS_PER_MS) ? NS_PER_MS : ns);
    machine_lock();
    for (s = &steppers; *s != &me; s = &(*s)->next) {
        continue;
    }
    *s = me.next;
    if (me.fd >= 0) {
        close(me.fd);
    }
    return loop_wait(l->epfd, ev, 0);
}

static void tell_others(Loop *l, bool own) MACHINE_CALL
{
    const uint64_t one = 1;

    for (Stepper *s = steppers; s; s = s->next) {
        ssize_t n = write(s->fd, &one, sizeof(one));
        (void)n;
    }
    if (!own && main_asleep) {
        loop_wake(l);
    }
}

/* until: do not wait when it is set. Returns true when a callback ran, here or
 * in another thread meanwhile. */
static bool main_turn(bool block, const bool *until) MACHINE_CALL
{
    Loop *l = loop_main;
    struct epoll_event ev[LOOP_EVENTS];
    bool own = loop_of_thread == l, glib = own && context, any, tell;
    uint64_t turn = l->turn;
    int64_t ns;
    void *fiber;
    int n;

    main_loop_open();
    if (glib) {
        glib = g_main_context_acquire(context);
    }
    __atomic_add_fetch(&l->sleepers, 1, __ATOMIC_SEQ_CST);
    ns = block ? loop_timeout(l) : 0;
    if (signals_pending() || (until && LOAD(until))) {
        ns = 0;
    }
    if (glib) {
        ns = glib_prepare(ns);
    }
    fiber = co_fiber_leave();
    n = own ? wait_main(l, ev, ns, glib) : wait_stepper(l, ev, ns);
    co_fiber_return(fiber);
    __atomic_sub_fetch(&l->sleepers, 1, __ATOMIC_SEQ_CST);
    any = l->turn != turn;
    if (any) {
        n = loop_wait(l->epfd, ev, 0);
    }
    turn = ++l->turn;
    /* A wake-up that this thread takes may have been for another's timeout. */
    tell = !own && !main_asleep && LOAD(&l->wake_sent);
    any |= fds_dispatch(l, ev, n, own || !main_asleep);
    any |= signals_run();
    if (glib) {
        /* A nested turn has checked and dispatched already. */
        any |= l->turn == turn && glib_dispatch();
        g_main_context_release(context);
    }
    any |= timers_run(l);
    any |= works_run(l);
    if (any || tell) {
        tell_others(l, own);
    }
    return any;
}

bool loop_step(bool block)
{
    assert(machine_locked());
    return main_turn(block, NULL);
}

void loop_run(void)
{
    assert(machine_locked() && loop_of_thread == loop_main);
    prctl(PR_SET_TIMERSLACK, 1);
    while (!LOAD(&quit)) {
        main_turn(true, &quit);
    }
    STORE(&quit, false);
}

void loop_quit(void)
{
    STORE(&quit, true);
    loop_wake_sleeper(loop_main);
}
