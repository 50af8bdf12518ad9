/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lock.c - the machine lock: exclusion, and that nobody starves.
 */
#include <pthread.h>
#include <time.h>
#include "base.h"
#include "lock-profile.h"
#include "tests/tern-test.h"

static uint64_t shared, goal;
static bool stop;

static void *count_up(void *arg)
{
    for (int i = 0; i < 20000; i++) {
        CHECK(!machine_locked());
        machine_lock();
        shared++;
        machine_assert_locked();
        machine_unlock();
    }
    return NULL;
}

TEST(excludes)
{
    pthread_t t[4];
    shared = 0;
    for (int i = 0; i < 4; i++) {
        pthread_create(&t[i], NULL, count_up, NULL);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(t[i], NULL);
    }
    CHECK_EQ(shared, 80000u);
}

/* As a guest that polls a device register: takes and drops without a pause. */
static void *hog(void *arg)
{
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        machine_lock();
        for (volatile int i = 0; i < 200; i++) {
        }
        shared++;
        machine_unlock();
    }
    return NULL;
}

static int64_t now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000ll + ts.tv_nsec / 1000;
}

TEST(nobody_starves)
{
    pthread_t t[3];
    int64_t worst = 0;
    stop = false;
    for (int i = 0; i < 3; i++) {
        pthread_create(&t[i], NULL, hog, NULL);
    }
    for (int i = 0; i < 300; i++) {
        int64_t from = now_us();
        machine_lock();
        worst = MAX2(worst, now_us() - from);
        goal++;
        machine_unlock();
        usleep(100);
    }
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    for (int i = 0; i < 3; i++) {
        pthread_join(t[i], NULL);
    }
    /* Generous: the host may be busy. A starved thread waits for seconds. */
    CHECK_LT(worst, 1000000);
    CHECK_EQ(goal, 300u);
}

TEST(knows_its_holder)
{
    CHECK(!machine_locked());
    machine_lock();
    CHECK(machine_locked());
    machine_unlock();
    CHECK(!machine_locked());
}

TEST(profile)
{
    LockSite s[4];

    machine_lock();
    lock_profile_reset();
    CHECK(!lock_profile_get());
    lock_profile_set(true);
    machine_unlock();
    for (int i = 0; i < 3; i++) {
        machine_lock();
        machine_unlock();
    }
    machine_lock();
    lock_profile_set(false);
    CHECK_EQ(lock_profile_read(s, 4), 2u);
    CHECK_EQ(s[0].count, 3u);
    CHECK_CONTAINS(s[0].where, "tests/unit/lock.c:");
    CHECK_EQ(lock_profile_read(s, 1), 1u);
    machine_unlock();
    machine_lock();
    CHECK_EQ(lock_profile_read(s, 4), 2u);
    lock_profile_reset();
    CHECK_EQ(lock_profile_read(s, 4), 0u);
    machine_unlock();
}
