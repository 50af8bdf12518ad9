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
 */
#include <pthread.h>
#include <glib.h>
#include "base.h"

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

NO_TSA void machine_lock(void)
{
    g_assert(!mine);
    if (!take_soon()) {
        __atomic_add_fetch(&queued, 1, __ATOMIC_RELAXED);
        pthread_mutex_lock(&gate);
        pthread_mutex_lock(&mutex);
        __atomic_sub_fetch(&queued, 1, __ATOMIC_RELAXED);
        pthread_mutex_unlock(&gate);
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
