/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * loop.c - posted work, waking, and the loops of iothreads (epoll(7),
 * eventfd(2)).
 *
 * Thread class: loop_post and what it needs run in any thread; the rest of a
 * loop belongs to its thread, and of loop_main to the machine lock's holder.
 *
 * Invariants:
 * 1. Whoever gives a loop something to do makes that visible first and then
 *    reads `sleepers`; the loop raises `sleepers` first and then looks for
 *    things to do. So one of the two sees the other, and no wake-up is lost.
 * 2. `wake_sent` is cleared after wake_fd was read and before the loop looks
 *    for things to do.
 * 3. A work is in exactly one list of one loop while `queued` is set, but for
 *    the moment between a poster's claim and its push.
 * 4. A Loop's memory and wake_fd are used again and never given back, because a
 *    poster may still be on its way out of loop_post when the last work has
 *    run.
 */
#include <glib.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>
#include "loop-impl.h"

#define POLL_MAX_NS 32768              /* a new loop's, as the peer's default */
#define WORK_PASSES 4
#define HITS_MAX 16                    /* turns without asking the kernel     */

__thread Loop *loop_of_thread;

static Loop main_loop = {
    .name = (char *)"main", .is_main = true, .epfd = -1, .wake_fd = -1,
    .host_fd = -1, .timer_lock = PTHREAD_MUTEX_INITIALIZER,
    .heap = { [0 ... CLOCK__COUNT - 1] = { .pass = INT64_MIN } },
};
Loop *const loop_main = &main_loop;

static pthread_mutex_t loops_lock = PTHREAD_MUTEX_INITIALIZER;
static Loop *loops, *spare;            /* under loops_lock                    */

/* The thread that runs constructors is the one that will run main(). */
static void __attribute__((constructor)) loop_first_thread(void)
{
    loop_of_thread = &main_loop;
    pool_init(&main_loop.pool);
}

Loop *loop_self(void)
{
    if (loop_of_thread) {
        return loop_of_thread;
    }
    return machine_locked() ? loop_main : NULL;
}

void loop_assert(const Loop *l)
{
    if (l->is_main) {
        assert(machine_locked());
    } else {
        assert(loop_of_thread == l);
    }
}

int loop_thread_id(const Loop *l)
{
    return l->is_main ? getpid() : l->tid;
}

const char *loop_name(const Loop *l)
{
    return l->name;
}

void loop_set_polling(Loop *l, int64_t max_ns, int64_t grow, int64_t shrink)
{
    STORE_RELAXED(&l->poll_grow, grow);
    STORE_RELAXED(&l->poll_shrink, shrink);
    STORE(&l->poll_max, max_ns);
    loop_wake_sleeper(l);
}

void loop_set_batch(Loop *l, int64_t max)
{
    STORE_RELAXED(&l->batch, max);
}

int64_t loop_batch(const Loop *l)
{
    return LOAD_RELAXED(&l->batch);
}

/* ---- posted work --------------------------------------------------------- */

void loop_wake(Loop *l)
{
    const uint64_t one = 1;
    int saved = errno;                 /* also called from signal handlers    */

    if (!swap_flag(&l->wake_sent, true)) {
        /* Cannot fail but by a full counter, which wakes as well. */
        ssize_t n = write(l->wake_fd, &one, sizeof(one));
        (void)n;
    }
    errno = saved;
}

void loop_post(Loop *l, Work *w)
{
    Work *head;

    if (swap_flag(&w->queued, true)) {
        return;
    }
    head = LOAD_RELAXED(&l->posted);
    do {
        w->next = head;
    } while (!__atomic_compare_exchange_n(&l->posted, &head, w, true,
                                          __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
    loop_wake_sleeper(l);
}

typedef struct OneOff {
    Work work;
    void (*fn)(void *arg);
    void *arg;
} OneOff;

static void one_off_run(void *arg)
{
    OneOff o = *(OneOff *)arg;

    g_free(arg);
    o.fn(o.arg);
}

void loop_post_fn(Loop *l, void (*fn)(void *), void *arg)
{
    OneOff *o = g_new(OneOff, 1);

    *o = (OneOff){ .work = { .fn = one_off_run, .arg = o }, fn, arg };
    loop_post(l, &o->work);
}

static void list_append(WorkList *to, Work *first, Work **last)
{
    if (to->first) {
        *to->last = first;
    } else {
        to->first = first;
    }
    to->last = last;
}

/* Moves what was posted to `incoming`, oldest first. */
static void works_take(Loop *l)
{
    Work *w, *oldest = NULL, **last;

    if (!LOAD_RELAXED(&l->posted)) {
        return;
    }
    w = __atomic_exchange_n(&l->posted, NULL, __ATOMIC_SEQ_CST);
    last = &w->next;
    while (w) {
        Work *next = w->next;

        w->next = oldest;
        oldest = w;
        w = next;
    }
    if (oldest) {
        list_append(&l->incoming, oldest, last);
    }
}

static bool works_pass(Loop *l)
{
    WorkList *run = &l->running;
    bool any = false;

    works_take(l);
    if (l->incoming.first) {
        list_append(run, l->incoming.first, l->incoming.last);
        l->incoming = (WorkList){ NULL };
    }
    while (run->first) {
        Work *w = run->first;
        void (*fn)(void *) = w->fn;
        void *arg = w->arg;

        run->first = w->next;
        /* A swap, so that what a poster wrote before it found the work queued
         * is seen by fn. */
        swap_flag(&w->queued, false);
        fn(arg);
        any = true;
    }
    return any;
}

/* A few passes, because a work often posts the next: a turn of the loop costs
 * more. */
bool works_run(Loop *l)
{
    bool any = works_pass(l);

    for (int i = 1; i < WORK_PASSES && LOAD_RELAXED(&l->posted); i++) {
        works_pass(l);
    }
    return any;
}

static bool list_remove(WorkList *list, Work *w)
{
    for (Work **p = &list->first; *p; p = &(*p)->next) {
        if (*p == w) {
            *p = w->next;
            if (!*p) {
                list->last = p;
            }
            return true;
        }
    }
    return false;
}

void work_cancel(Loop *l, Work *w)
{
    loop_assert(l);
    if (!LOAD(&w->queued)) {
        return;
    }
    for (;;) {
        works_take(l);
        if (list_remove(&l->incoming, w) || list_remove(&l->running, w)) {
            swap_flag(&w->queued, false);
            return;
        }
        /* A poster has claimed it and is about to push it. */
        sched_yield();
    }
}

typedef struct SyncRun {
    Work work;
    void (*fn)(void *arg);
    void *arg;
    sem_t done;
} SyncRun;

static void sync_run(void *arg)
{
    SyncRun *s = arg;

    s->fn(s->arg);
    sem_post(&s->done);
}

void loop_run_sync(Loop *l, void (*fn)(void *), void *arg)
{
    SyncRun s = { .work = { .fn = sync_run, .arg = &s }, fn, arg };

    if (l->is_main || l == loop_of_thread) {
        loop_assert(l);
        fn(arg);
        return;
    }
    sem_init(&s.done, 0, 0);
    loop_post(l, &s.work);
    while (sem_wait(&s.done) < 0) {
        assert(errno == EINTR);
    }
    sem_destroy(&s.done);
}

/* ---- waiting ------------------------------------------------------------- */

int64_t loop_timeout(Loop *l)
{
    if (LOAD(&l->posted) || l->incoming.first || l->running.first ||
        l->n_always) {
        return 0;
    }
    return timers_timeout(l);
}

int loop_wait(int epfd, struct epoll_event *ev, int64_t ns)
{
    static bool no_pwait2;             /* atomic; older kernel, seccomp       */
    struct timespec ts = { ns / NS_PER_S, ns % NS_PER_S };
    int n;

    if (ns <= 0) {
        n = epoll_wait(epfd, ev, LOOP_EVENTS, ns < 0 ? -1 : 0);
        return n < 0 ? 0 : n;
    }
    if (!LOAD_RELAXED(&no_pwait2)) {
        n = epoll_pwait2(epfd, ev, LOOP_EVENTS, &ts, NULL);
        if (n >= 0 || errno == EINTR) {
            return n < 0 ? 0 : n;
        }
        STORE_RELAXED(&no_pwait2, true);
    }
    struct pollfd p = { .fd = epfd, .events = POLLIN };

    ppoll(&p, 1, &ts, NULL);
    n = epoll_wait(epfd, ev, LOOP_EVENTS, 0);
    return n < 0 ? 0 : n;
}

/* ---- loops with a thread of their own ------------------------------------ */

static bool loop_open_fds(Loop *l)
{
    struct epoll_event ev = { .events = EPOLLIN, .data.u64 = EVENT_WAKE };

    if (l->wake_fd < 0) {
        l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    }
    l->epfd = epoll_create1(EPOLL_CLOEXEC);
    return l->wake_fd >= 0 && l->epfd >= 0 &&
           epoll_ctl(l->epfd, EPOLL_CTL_ADD, l->wake_fd, &ev) == 0;
}

void loop_open(Loop *l)
{
    if (!loop_open_fds(l)) {
        error_reportf("cannot make the main loop: %s", strerror(errno));
        exit(1);
    }
}

static void loop_turn(Loop *l)
{
    struct epoll_event ev[LOOP_EVENTS];
    int64_t max = LOAD_RELAXED(&l->poll_max), began = 0, ns = 0;
    Spin spin = SPIN_NONE;
    int n = 0;

    if (max > 0) {
        began = clock_ns(CLOCK_RT);
        l->spin_ns = MIN2(l->spin_ns, max);
    }
    if (max > 0 && l->spin_ns) {
        spin = fds_spin(l, began);
    }
    if (spin == SPIN_HIT && ++l->hits < HITS_MAX) {
        n = 0;
    } else if (spin != SPIN_NONE) {
        l->hits = 0;
        n = loop_wait(l->epfd, ev, 0);
    } else {
        STORE(&l->sleepers, 1);
        ns = LOAD(&l->stop) ? 0 : loop_timeout(l);
        if (ns && l->spinning && fds_spin_end(l)) {
            ns = 0;
        }
        n = loop_wait(l->epfd, ev, ns);
        STORE_RELAXED(&l->sleepers, 0);
    }
    if (max > 0) {
        fds_adapt(l, clock_ns(CLOCK_RT) - began, max);
    }
    fds_dispatch(l, ev, n, true);
    timers_run(l);
    works_run(l);
}

static void *loop_thread(void *arg)
{
    Loop *l = arg;

    loop_of_thread = l;
    l->tid = gettid();
    /* Or the kernel adds up to 50 µs to each timer. */
    prctl(PR_SET_TIMERSLACK, 1);
    sem_post(&l->started);
    while (!LOAD(&l->stop) || loop_timeout(l) == 0) {
        loop_turn(l);
    }
    return NULL;
}

Loop *loop_new(const char *name, Error **errp)
{
    char thread_name[16];
    Loop *l;

    pthread_mutex_lock(&loops_lock);
    l = spare;
    if (l) {
        spare = l->next;
    }
    pthread_mutex_unlock(&loops_lock);
    if (!l) {
        l = g_new0(Loop, 1);
        l->wake_fd = -1;
        pthread_mutex_init(&l->timer_lock, NULL);
        sem_init(&l->started, 0, 0);
    }
    l->name = g_strdup(name);
    l->poll_max = POLL_MAX_NS;
    l->poll_grow = l->poll_shrink = l->batch = l->spin_ns = 0;
    l->host_fd = -1;
    STORE(&l->stop, false);
    timers_init(l);
    pool_init(&l->pool);
    snprintf(thread_name, sizeof(thread_name), "IO %s", name);
    if (!loop_open_fds(l) ||
        !thread_try(&l->thread, thread_name, loop_thread, l)) {
        error_set_errno(errp, errno, "cannot start the thread of '%s'", name);
        goto fail;
    }
    while (sem_wait(&l->started) < 0) {
        assert(errno == EINTR);
    }
    pthread_mutex_lock(&loops_lock);
    l->next = loops;
    loops = l;
    pthread_mutex_unlock(&loops_lock);
    return l;

fail:
    if (l->epfd >= 0) {
        close(l->epfd);
    }
    g_free(l->name);
    pthread_mutex_lock(&loops_lock);
    l->next = spare;
    spare = l;
    pthread_mutex_unlock(&loops_lock);
    return NULL;
}

void loop_free(Loop *l)
{
    Loop **p;

    assert(!l->is_main && loop_of_thread != l);
    pool_stop(&l->pool);
    STORE(&l->stop, true);
    loop_wake(l);
    pthread_join(l->thread, NULL);
    assert(l->nfds == 0);
    timers_release(l);
    fds_release(l);
    close(l->epfd);
    g_free(l->name);
    l->name = NULL;
    pthread_mutex_lock(&loops_lock);
    for (p = &loops; *p != l; p = &(*p)->next) {
        continue;
    }
    *p = l->next;
    l->next = spare;
    spare = l;
    pthread_mutex_unlock(&loops_lock);
}

void loop_each(void (*fn)(Loop *l, void *arg), void *arg)
{
    Loop *all[64], *l;
    unsigned n, skip = 0;

    fn(loop_main, arg);
    do {
        unsigned i = 0;

        pthread_mutex_lock(&loops_lock);
        for (n = 0, l = loops; l && n < ARRAY_SIZE(all); l = l->next) {
            if (i++ >= skip) {
                all[n++] = l;
            }
        }
        pthread_mutex_unlock(&loops_lock);
        for (i = 0; i < n; i++) {
            fn(all[i], arg);
        }
        skip += n;
    } while (n == ARRAY_SIZE(all));
}
