/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * timer.c - timers: for each loop and clock a heap of four children a node.
 *
 * Thread class: heaps are under the loop's timer_lock, a leaf, so that
 * timer_set_any can come from anywhere; callbacks run in the loop without it.
 *
 * Invariants:
 * 1. heap.v[t->slot - 1].timer == t while slot != 0, and then t->deadline >= 0.
 * 2. No child's (key, order) is below its parent's.
 * 3. One pass fires what was armed before it began and was due then. What its
 *    callbacks arm for the past waits for the next turn, behind all that is due
 *    now: so a timer that rearms itself for ever cannot starve another.
 * 4. A new first deadline wakes a sleeping loop.
 */
#include <glib.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include "loop-impl.h"

static inline bool before(const HeapItem *a, const HeapItem *b)
{
    return a->key < b->key || (a->key == b->key && a->order < b->order);
}

static inline void place(TimerHeap *h, uint32_t i, HeapItem it)
{
    h->v[i] = it;
    it.timer->slot = i + 1;
}

static void sift_up(TimerHeap *h, uint32_t i, HeapItem it)
{
    while (i > 0) {
        uint32_t up = (i - 1) / 4;

        if (!before(&it, &h->v[up])) {
            break;
        }
        place(h, i, h->v[up]);
        i = up;
    }
    place(h, i, it);
}

static void sift_down(TimerHeap *h, uint32_t i, HeapItem it)
{
    for (;;) {
        uint32_t child = i * 4 + 1, least = child;

        if (child >= h->n) {
            break;
        }
        for (uint32_t c = child + 1; c < h->n && c < child + 4; c++) {
            if (before(&h->v[c], &h->v[least])) {
                least = c;
            }
        }
        if (!before(&h->v[least], &it)) {
            break;
        }
        place(h, i, h->v[least]);
        i = least;
    }
    place(h, i, it);
}

static void heap_fix(TimerHeap *h, uint32_t i, HeapItem it)
{
    if (i > 0 && before(&it, &h->v[(i - 1) / 4])) {
        sift_up(h, i, it);
    } else {
        sift_down(h, i, it);
    }
}

/* Also writes down that t is not armed. */
static void heap_remove(Loop *l, TimerHeap *h, Timer *t)
{
    uint32_t i = t->slot - 1;
    HeapItem last = h->v[--h->n];

    t->slot = 0;
    STORE_RELAXED(&t->deadline, -1);
    STORE_RELAXED(&l->timers_armed, l->timers_armed - 1);
    if (i < h->n) {
        heap_fix(h, i, last);
    }
}

/* ---- arming -------------------------------------------------------------- */

void timer_init(Timer *t, Loop *l, Clock c, void (*fn)(void *), void *arg)
{
    *t = (Timer){
        .deadline = -1, .fn = fn, .arg = arg, .loop = l ? l : loop_main,
        .clock = c,
    };
}

static bool host_fd_arm(int fd)
{
    /* Never expires by itself; a change of the wall clock makes it readable. */
    const struct itimerspec never = { .it_value.tv_sec = INT32_MAX * 4ll };

    return timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET,
                           &never, NULL) == 0;
}

static void host_fd_open(Loop *l)
{
    struct epoll_event ev = { .events = EPOLLIN, .data.u64 = EVENT_HOST };

    if (l->is_main) {
        main_loop_open();
    }
    l->host_fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (l->host_fd >= 0) {
        epoll_ctl(l->epfd, EPOLL_CTL_ADD, l->host_fd, &ev);
        host_fd_arm(l->host_fd);
    }
}

void timers_host_jumped(Loop *l)
{
    uint64_t count;
    ssize_t n;

    pthread_mutex_lock(&l->timer_lock);
    n = read(l->host_fd, &count, sizeof(count));
    (void)n;
    host_fd_arm(l->host_fd);
    pthread_mutex_unlock(&l->timer_lock);
}

/* The loop is to look at its deadlines again. */
static void timer_first(Loop *l, Clock c, int64_t key)
{
    int64_t now;

    if (!LOAD(&l->sleepers)) {
        return;
    }
    if (c == CLOCK_VM) {
        VmMode m = clock_vm_read(&now);

        if (m == VM_STOPPED || (m == VM_MANUAL && key > now)) {
            return;
        }
    }
    loop_wake(l);
}

void timer_set_any(Timer *t, int64_t deadline)
{
    Loop *l = t->loop;
    TimerHeap *h = &l->heap[t->clock];
    int64_t first;
    HeapItem it;

    pthread_mutex_lock(&l->timer_lock);
    deadline = MAX2(deadline, 0);
    it = (HeapItem){ MAX2(deadline, h->pass), l->timer_order++, t };
    STORE_RELAXED(&t->deadline, deadline);
    first = h->n ? h->v[0].key : INT64_MAX;
    if (t->slot) {
        heap_fix(h, t->slot - 1, it);
    } else {
        if (h->n == h->cap) {
            h->cap = h->cap ? h->cap * 2 : 16;
            h->v = g_renew(HeapItem, h->v, h->cap);
        }
        if (t->clock == CLOCK_HOST && l->host_fd < 0) {
            host_fd_open(l);
        }
        STORE(&l->timers_armed, l->timers_armed + 1);
        sift_up(h, h->n++, it);
    }
    if (it.key < first) {
        timer_first(l, t->clock, it.key);
    }
    pthread_mutex_unlock(&l->timer_lock);
}

void timer_set(Timer *t, int64_t deadline)
{
    loop_assert(t->loop);
    timer_set_any(t, deadline);
}

void timer_clear(Timer *t)
{
    Loop *l = t->loop;

    loop_assert(l);
    pthread_mutex_lock(&l->timer_lock);
    if (t->slot) {
        heap_remove(l, &l->heap[t->clock], t);
    }
    pthread_mutex_unlock(&l->timer_lock);
}

/* ---- firing -------------------------------------------------------------- */

/* A virtual clock that stands still has no due timers; in manual mode those due
 * already are. */
static bool heap_now(Clock c, int64_t *now)
{
    if (c == CLOCK_VM) {
        return clock_vm_read(now) != VM_STOPPED;
    }
    *now = clock_ns(c);
    return true;
}

static bool heap_run(Loop *l, Clock c)
{
    TimerHeap *h = &l->heap[c];
    int64_t now, outer;
    uint64_t limit;
    bool any = false;

    if (!heap_now(c, &now)) {
        return false;
    }
    pthread_mutex_lock(&l->timer_lock);
    limit = l->timer_order;
    outer = h->pass;
    h->pass = now;
    while (h->n && h->v[0].key <= now && h->v[0].order < limit) {
        Timer *t = h->v[0].timer;
        void (*fn)(void *) = t->fn;
        void *arg = t->arg;

        heap_remove(l, h, t);
        pthread_mutex_unlock(&l->timer_lock);
        fn(arg);
        any = true;
        pthread_mutex_lock(&l->timer_lock);
    }
    h->pass = outer;
    pthread_mutex_unlock(&l->timer_lock);
    return any;
}

bool timers_run_vm(Loop *l)
{
    return heap_run(l, CLOCK_VM);
}

bool timers_run(Loop *l)
{
    unsigned some = 0;
    bool any = false;

    if (!LOAD_RELAXED(&l->timers_armed)) {
        return false;
    }
    pthread_mutex_lock(&l->timer_lock);
    for (Clock c = 0; c < CLOCK__COUNT; c++) {
        some |= (l->heap[c].n > 0) << c;
    }
    pthread_mutex_unlock(&l->timer_lock);
    for (Clock c = 0; c < CLOCK__COUNT; c++) {
        any |= (some >> c & 1) && heap_run(l, c);
    }
    return any;
}

int64_t timers_timeout(Loop *l)
{
    int64_t least = -1, now;

    if (!LOAD(&l->timers_armed)) {
        return -1;
    }
    pthread_mutex_lock(&l->timer_lock);
    for (Clock c = 0; c < CLOCK__COUNT; c++) {
        const TimerHeap *h = &l->heap[c];
        int64_t left;

        if (!h->n || !heap_now(c, &now)) {
            continue;
        }
        left = MAX2(h->v[0].key - now, 0);
        if (c == CLOCK_VM && left && clock_vm_read(&now) == VM_MANUAL) {
            continue;
        }
        if (least < 0 || left < least) {
            least = left;
        }
    }
    pthread_mutex_unlock(&l->timer_lock);
    return least;
}

int64_t timers_vm_deadline(Loop *l)
{
    const TimerHeap *h = &l->heap[CLOCK_VM];
    int64_t first = -1;

    pthread_mutex_lock(&l->timer_lock);
    if (h->n) {
        first = h->v[0].key;
    }
    pthread_mutex_unlock(&l->timer_lock);
    return first;
}

void timers_init(Loop *l)
{
    for (Clock c = 0; c < CLOCK__COUNT; c++) {
        l->heap[c] = (TimerHeap){ .pass = INT64_MIN };
    }
}

void timers_release(Loop *l)
{
    assert(l->timers_armed == 0);
    for (Clock c = 0; c < CLOCK__COUNT; c++) {
        g_free(l->heap[c].v);
        l->heap[c].v = NULL;
    }
    if (l->host_fd >= 0) {
        close(l->host_fd);
        l->host_fd = -1;
    }
}
