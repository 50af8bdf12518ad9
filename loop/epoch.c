/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epoch.c - freeing what readers look at without a lock (epoch-based
 * reclamation: Fraser, Practical lock-freedom, 2004, section 5.2.3).
 *
 * Thread class: readers are ANY_THREAD; retiring and freeing run under the
 * machine lock.
 *
 * Invariants:
 * 1. A reader inside has its record's `epoch` set to a value that the global
 *    epoch had when it entered, or an earlier one; outside it is 0.
 * 2. A retired item carries the epoch that its retirement began. A reader whose
 *    epoch is at least that entered afterwards and cannot see the item.
 * 3. Items are freed in the order of retirement, and by loop_main or
 *    epoch_drain, never inside epoch_free.
 */
#include <glib.h>
#include <sched.h>
#include "loop-impl.h"

#define RETRY_NS NS_PER_MS

typedef struct Reader {
    uint64_t epoch;                    /* atomic                              */
    unsigned depth;                    /* its thread's                        */
    bool taken;                        /* under readers_lock                  */
    struct Reader *next;
} Reader;

typedef struct Retired {
    void (*fn)(void *p);
    void *p;
    uint64_t epoch;
    struct Retired *next;
} Retired;

static uint64_t epoch = 1;             /* atomic                              */
static Reader *readers;                /* under readers_lock; never shrinks   */
static pthread_mutex_t readers_lock = PTHREAD_MUTEX_INITIALIZER;
static __thread Reader *self;
static pthread_key_t reader_key;
static pthread_once_t reader_key_once = PTHREAD_ONCE_INIT;

/* Under the machine lock. */
static Retired *retired, **retired_last;
static bool waiting;                   /* atomic: a reader's exit may help    */
static Timer retry;

static void reclaim_run(void *arg);
static Work reclaim = { .fn = reclaim_run };

/* ---- readers ------------------------------------------------------------- */

static void reader_leave(void *arg)
{
    Reader *r = arg;

    pthread_mutex_lock(&readers_lock);
    r->taken = false;
    pthread_mutex_unlock(&readers_lock);
}

static void reader_key_make(void)
{
    pthread_key_create(&reader_key, reader_leave);
}

static __attribute__((noinline)) Reader *reader_join(void)
{
    Reader *r;

    pthread_once(&reader_key_once, reader_key_make);
    pthread_mutex_lock(&readers_lock);
    for (r = readers; r && r->taken; r = r->next) {
        continue;
    }
    if (!r) {
        r = aligned_alloc(64, ALIGN_UP(sizeof(*r), 64));
        assert(r);
        *r = (Reader){ .next = readers };
        readers = r;
    }
    r->taken = true;
    pthread_mutex_unlock(&readers_lock);
    pthread_setspecific(reader_key, r);
    self = r;
    return r;
}

void epoch_enter(void)
{
    Reader *r = self ? self : reader_join();

    if (r->depth++ == 0) {
        /* A full barrier: later reads come after the epoch is seen. On x86
         * the store is one, and a fence would cost four times as much. */
        STORE(&r->epoch, LOAD_RELAXED(&epoch));
#if !defined(LOOP_TSAN) && !defined(__x86_64__)
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
    }
}

void epoch_exit(void)
{
    Reader *r = self;

    assert(r && r->depth > 0);
    if (--r->depth == 0) {
        __atomic_store_n(&r->epoch, 0, __ATOMIC_RELEASE);
        /* Without a barrier the flag may be missed; then the timer looks. */
        if (UNLIKELY(LOAD_RELAXED(&waiting))) {
            loop_post(loop_main, &reclaim);
        }
    }
}

/* ---- freeing ------------------------------------------------------------- */

/* The earliest epoch that a reader may be in. */
static uint64_t readers_oldest(void)
{
    uint64_t oldest = UINT64_MAX;

    pthread_mutex_lock(&readers_lock);
    for (Reader *r = readers; r; r = r->next) {
        uint64_t e = LOAD(&r->epoch);

        if (e && e < oldest) {
            oldest = e;
        }
    }
    pthread_mutex_unlock(&readers_lock);
    return oldest;
}

/* Returns true when nothing is left. */
static bool reclaim_some(void)
{
    uint64_t oldest = retired ? readers_oldest() : 0;

    while (retired && retired->epoch <= oldest) {
        Retired *r = retired;

        retired = r->next;
        r->fn(r->p);
        g_free(r);
    }
    return !retired;
}

static void reclaim_run(void *arg)
{
    if (!reclaim_some()) {
        if (!retry.fn) {
            timer_init(&retry, loop_main, CLOCK_RT, reclaim_run, NULL);
        }
        STORE(&waiting, true);
        timer_set(&retry, clock_ns(CLOCK_RT) + RETRY_NS);
    } else {
        STORE(&waiting, false);
        if (retry.fn) {
            timer_clear(&retry);
        }
    }
}

void epoch_free(void (*fn)(void *), void *p)
{
    Retired *r = g_new(Retired, 1);

    assert(machine_locked());
    /* Also a full barrier after the caller has unpublished p. */
    *r = (Retired){ fn, p, __atomic_add_fetch(&epoch, 1, __ATOMIC_SEQ_CST) };
    if (!retired) {
        retired_last = &retired;
    }
    *retired_last = r;
    retired_last = &r->next;
    loop_post(loop_main, &reclaim);
}

void epoch_drain(void)
{
    assert(machine_locked() && !(self && self->depth));
    while (!reclaim_some()) {
        sched_yield();
    }
}
