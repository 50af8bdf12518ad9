/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lock.c - the machine lock.
 *
 * Thread class: ANY_THREAD.
 * Invariants:
 *  1. The thread whose `mine` is set holds `mutex`; no other has it set.
 *  2. Who finds the lock taken queues at `gate`; while anyone queues, nobody
 *     goes past the gate. So a vCPU that takes and drops the lock in a tight
 *     loop stands behind the main loop after one more turn, at most.
 *  3. The gate is only held while waiting for the mutex, never while holding it
 *     for work: order gate -> mutex.
 *  4. The profile's table is guarded by the lock itself.
 */
#include <pthread.h>
#include <glib.h>
#include <time.h>
#include "base.h"
#include "lock-profile.h"

#define SPINS 100

Domain machine_domain;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static unsigned queued;                /* atomic                              */
static __thread bool mine;

static inline void pause_briefly(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

/* Most critical sections are shorter than going to sleep. */
static bool take_soon(void)
{
    for (int i = 0; i < SPINS; i++) {
        if (__atomic_load_n(&queued, __ATOMIC_RELAXED)) {
            return false;
        }
        if (!pthread_mutex_trylock(&mutex)) {
            return true;
        }
        pause_briefly();
    }
    return false;
}

/* ---- profile ------------------------------------------------------------- */

static bool profiling;                 /* atomic                              */
static LockSite sites[256];
static size_t site_count;

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * UINT64_C(1000000000) + t.tv_nsec;
}

static void profile_add(const char *where, uint64_t ns)
{
    size_t i = 0;

    while (i < site_count && sites[i].where != where) {
        i++;
    }
    if (i == site_count) {
        if (i == ARRAY_SIZE(sites)) {
            return;
        }
        sites[site_count++] = (LockSite){ .where = where };
    }
    sites[i].count++;
    sites[i].wait_ns += ns;
}

void lock_profile_set(bool on)
{
    __atomic_store_n(&profiling, on, __ATOMIC_RELAXED);
}

bool lock_profile_get(void)
{
    return __atomic_load_n(&profiling, __ATOMIC_RELAXED);
}

void lock_profile_reset(void)
{
    site_count = 0;
}

size_t lock_profile_read(LockSite *out, size_t room)
{
    size_t n = MIN2(room, site_count);

    memcpy(out, sites, n * sizeof(*out));
    return n;
}

const void *lock_profile_object(void)
{
    return &mutex;
}

/* ---- the lock ------------------------------------------------------------ */

static NO_TSA void take(void)
{
    if (!take_soon()) {
        __atomic_add_fetch(&queued, 1, __ATOMIC_RELAXED);
        pthread_mutex_lock(&gate);
        pthread_mutex_lock(&mutex);
        __atomic_sub_fetch(&queued, 1, __ATOMIC_RELAXED);
        pthread_mutex_unlock(&gate);
    }
}

NO_TSA void machine_lock_at(const char *where)
{
    g_assert(!mine);
    if (UNLIKELY(lock_profile_get())) {
        uint64_t before = now_ns();

        take();
        profile_add(where, now_ns() - before);
    } else {
        take();
    }
    mine = true;
}

NO_TSA void machine_unlock(void)
{
    g_assert(mine);
    mine = false;
    pthread_mutex_unlock(&mutex);
}

bool machine_locked(void)
{
    return mine;
}

NO_TSA void machine_assert_locked(void)
{
    g_assert(mine);
}
