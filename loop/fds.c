/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fds.c - which file descriptors a loop waits for, their callbacks, and
 * adaptive polling (epoll(7)).
 *
 * Thread class: the loop's thread; for loop_main the machine lock's holder.
 *
 * Invariants:
 * 1. An event counts only while its slot's generation is the one it was asked
 *    under: a callback may remove or replace any fd, and the number may have
 *    been given out anew.
 * 2. No pointer into fds[] lives across a callback, which may grow the table.
 * 3. Polling is fair: after some turns fed by poll functions alone the kernel
 *    is asked as well.
 */
#include <glib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "loop-impl.h"

#define SPIN_FIRST_NS 4000

static inline void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

static FdSlot *slot_of(Loop *l, int fd)
{
    return fd >= 0 && (unsigned)fd < l->fds_cap && l->fds[fd].fn ? &l->fds[fd]
                                                                 : NULL;
}

static FdSlot *slot_make(Loop *l, int fd)
{
    if ((unsigned)fd >= l->fds_cap) {
        unsigned cap = MAX2(l->fds_cap * 2, (unsigned)fd + 16);

        l->fds = g_renew(FdSlot, l->fds, cap);
        memset(l->fds + l->fds_cap, 0, (cap - l->fds_cap) * sizeof(*l->fds));
        l->fds_cap = cap;
    }
    return &l->fds[fd];
}

static void polled_remove(Loop *l, int fd)
{
    for (unsigned i = 0; i < l->n_polled; i++) {
        if (l->polled[i] == fd) {
            l->polled[i] = l->polled[--l->n_polled];
            return;
        }
    }
}

static void fd_remove(Loop *l, int fd)
{
    FdSlot *s = slot_of(l, fd);

    if (!s) {
        return;
    }
    if (s->always) {
        l->n_always--;
    } else {
        /* Fails only if the owner closed fd first; then it is gone anyway. */
        epoll_ctl(l->epfd, EPOLL_CTL_DEL, fd, NULL);
    }
    polled_remove(l, fd);
    *s = (FdSlot){ .gen = s->gen + 1 };
    l->nfds--;
}

void loop_fd(Loop *l, int fd, unsigned events, LoopFdFn *fn, void *arg)
{
    struct epoll_event ev;
    FdSlot *s;
    bool there;
    int ret;

    loop_assert(l);
    if (!events) {
        fd_remove(l, fd);
        return;
    }
    assert(fd >= 0 && fn);
    if (l->is_main) {
        main_loop_open();
    }
    s = slot_make(l, fd);
    there = s->fn && !s->always;
    l->nfds += !s->fn;
    l->n_always -= s->always;
    s->fn = fn;
    s->arg = arg;
    s->events = events;
    s->gen++;
    ev.events = events;
    ev.data.u64 = (uint64_t)(s->gen & INT32_MAX) << 32 | (uint32_t)fd;
    ret = epoll_ctl(l->epfd, there ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &ev);
    /* Closed before it was removed, and opened again; or another's duplicate. */
    if (ret < 0 && errno == (there ? ENOENT : EEXIST)) {
        ret = epoll_ctl(l->epfd, there ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd,
                        &ev);
    }
    s->always = ret < 0;
    l->n_always += s->always;
    if (s->always && l->is_main) {
        loop_wake_sleeper(l);          /* another thread may wait for nothing */
    }
}

void loop_poll(Loop *l, int fd, bool (*poll)(void *arg))
{
    FdSlot *s = slot_of(l, fd);

    loop_assert(l);
    assert(s || !poll);
    if (!s || (!poll && !s->poll)) {
        return;
    }
    polled_remove(l, fd);
    s->poll = poll;
    if (!poll) {
        return;
    }
    if (l->n_polled == l->polled_cap) {
        l->polled_cap = l->polled_cap * 2 + 4;
        l->polled = g_renew(int, l->polled, l->polled_cap);
    }
    l->polled[l->n_polled++] = fd;
    if (l->spinning && s->spin) {
        s->spin(s->arg, true);
    }
}

void loop_poll_spin(Loop *l, int fd, void (*spin)(void *arg, bool on))
{
    FdSlot *s = slot_of(l, fd);

    loop_assert(l);
    assert(s);
    s->spin = spin;
    if (l->spinning && s->poll && spin) {
        spin(s->arg, true);
    }
}

/* ---- events -------------------------------------------------------------- */

static bool always_dispatch(Loop *l, uint64_t turn)
{
    bool any = false;

    for (unsigned fd = 0; l->n_always && fd < l->fds_cap; fd++) {
        FdSlot s = l->fds[fd];

        if (s.fn && s.always && (s.events & (EPOLLIN | EPOLLOUT))) {
            s.fn(s.arg, s.events & (EPOLLIN | EPOLLOUT));
            any = true;
            if (l->turn != turn) {
                break;
            }
        }
    }
    return any;
}

bool fds_dispatch(Loop *l, const struct epoll_event *ev, int n, bool may_drain)
{
    uint64_t turn = l->turn, count;
    bool any = false;

    for (int i = 0; i < n; i++) {
        uint64_t what = ev[i].data.u64;
        FdSlot *s = slot_of(l, what & UINT32_MAX);
        unsigned events;

        if (what == EVENT_WAKE) {
            if (may_drain) {
                ssize_t got = read(l->wake_fd, &count, sizeof(count));
                (void)got;
                STORE(&l->wake_sent, false);
            }
            continue;
        }
        if (what == EVENT_HOST) {
            timers_host_jumped(l);
            continue;
        }
        if (!s || (s->gen & INT32_MAX) != what >> 32) {
            continue;
        }
        events = ev[i].events & (s->events | EPOLLERR | EPOLLHUP);
        if (events) {
            s->fn(s->arg, events);
            any = true;
        }
        if (l->turn != turn) {
            /* fn ran the loop: the rest of ev was dealt with or will be told
             * again. */
            return true;
        }
    }
    if (l->n_always) {
        any |= always_dispatch(l, turn);
    }
    return any;
}

/* ---- adaptive polling ---------------------------------------------------- */

/* One look at everything polled. */
static bool polled_look(Loop *l)
{
    bool any = false;

    for (unsigned i = 0; i < l->n_polled; i++) {
        int fd = l->polled[i];
        FdSlot s = l->fds[fd];

        if (s.poll(s.arg)) {
            any = true;
            if (slot_of(l, fd)) {
                s = l->fds[fd];
                s.fn(s.arg, 0);
            }
        }
    }
    return any;
}

static void spin_tell(Loop *l, bool on)
{
    l->spinning = on;
    for (unsigned i = 0; i < l->n_polled; i++) {
        FdSlot s = l->fds[l->polled[i]];

        if (s.spin) {
            s.spin(s.arg, on);
        }
    }
}

/* Looks until there was something, spin_ns have passed since `began` or a timer
 * is due. */
Spin fds_spin(Loop *l, int64_t began)
{
    int64_t ns = loop_timeout(l), end;

    if (ns == 0) {
        return SPIN_EVENT;
    }
    end = began + (ns > 0 ? MIN2(l->spin_ns, ns) : l->spin_ns);
    if (!l->spinning) {
        spin_tell(l, true);
    }
    do {
        struct epoll_event ev;

        if (polled_look(l) || LOAD_RELAXED(&l->posted)) {
            return SPIN_HIT;
        }
        if (l->n_polled < l->nfds && epoll_wait(l->epfd, &ev, 1, 0) > 0) {
            return SPIN_EVENT;
        }
        if (LOAD_RELAXED(&l->stop)) {
            break;
        }
        cpu_relax();
    } while (clock_ns(CLOCK_RT) < end);
    return SPIN_NONE;
}

/* Before sleeping; true: something came after all. */
bool fds_spin_end(Loop *l)
{
    spin_tell(l, false);
    return polled_look(l);
}

/* idle_ns: from the start of the wait to the first event. */
void fds_adapt(Loop *l, int64_t idle_ns, int64_t max_ns)
{
    int64_t grow = LOAD_RELAXED(&l->poll_grow);
    int64_t shrink = LOAD_RELAXED(&l->poll_shrink);
    int64_t next;

    if (idle_ns <= l->spin_ns) {
        return;
    }
    if (idle_ns > max_ns) {
        l->spin_ns = shrink ? l->spin_ns / shrink : 0;
    } else if (l->spin_ns == 0) {
        l->spin_ns = MIN2(SPIN_FIRST_NS, max_ns);
    } else if (!__builtin_mul_overflow(l->spin_ns, grow ? grow : 2, &next)) {
        l->spin_ns = MIN2(next, max_ns);
    } else {
        l->spin_ns = max_ns;
    }
}

void fds_release(Loop *l)
{
    g_free(l->fds);
    g_free(l->polled);
    l->fds = NULL;
    l->polled = NULL;
    l->fds_cap = l->polled_cap = l->n_polled = 0;
    l->spinning = false;
}
