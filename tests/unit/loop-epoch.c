/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Epochs: nothing is freed under a reader, everything is freed in the end. */
#include <sched.h>
#include "loop.h"
#include "tests/tern-test.h"

#define ALIVE 0x1234567890abcdefull

typedef struct Version {
    uint64_t magic, n;
    char pad[200];
} Version;

static Version *published;
static int64_t made, freed, reads;
static bool stop;

static Version *version_make(uint64_t n)
{
    Version *v = malloc(sizeof(*v));

    *v = (Version){ .magic = ALIVE, .n = n };
    made++;
    return v;
}

static void version_free(void *p)
{
    Version *v = p;

    CHECK(machine_locked());
    CHECK(v->magic == ALIVE);
    v->magic = 0;
    freed++;
    free(v);
}

static void *reader(void *arg)
{
    uint64_t last = 0;
    int64_t n = 0;

    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        Version *v;

        epoch_enter();
        v = __atomic_load_n(&published, __ATOMIC_ACQUIRE);
        CHECK(v->magic == ALIVE);
        CHECK_GE(v->n, last);
        last = v->n;
        epoch_enter();                 /* nests                               */
        epoch_exit();
        if (n % 128 == 0) {
            sched_yield();
        }
        CHECK(v->magic == ALIVE);
        epoch_exit();
        n++;
        __atomic_add_fetch(&reads, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void publish(uint64_t n)
{
    Version *old = published;

    __atomic_store_n(&published, version_make(n), __ATOMIC_RELEASE);
    epoch_free(version_free, old);
}

TEST(readers_keep_what_they_see)
{
    pthread_t t[3];

    machine_lock();
    published = version_make(0);
    for (int i = 0; i < 3; i++) {
        thread_start(&t[i], "reader", reader, NULL);
    }
    /* On a loaded host the writer could be done before a reader starts. */
    while (__atomic_load_n(&reads, __ATOMIC_RELAXED) < 3) {
        sched_yield();
    }
    for (int i = 1; i <= 10000; i++) {
        publish(i);
        if (i % 10 == 0) {
            loop_step(false);
        }
        if (i % 1000 == 0) {
            epoch_drain();
            CHECK_EQ(made - freed, 1);
        }
    }
    machine_unlock();
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    for (int i = 0; i < 3; i++) {
        pthread_join(t[i], NULL);
    }
    CHECK_GT(reads, 0);
    printf("# %" PRId64 " reads of 10000 versions\n", reads);
    machine_lock();
    while (made - freed != 1) {
        loop_step(true);               /* by itself, without a drain          */
    }
    version_free(published);
    machine_unlock();
}

static int phase;                      /* atomic                              */

static void *slow_reader(void *arg)
{
    epoch_enter();
    __atomic_store_n(&phase, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&phase, __ATOMIC_SEQ_CST) == 1) {
        usleep(100);
    }
    epoch_exit();
    return NULL;
}

static void set_flag(void *arg)
{
    *(bool *)arg = true;
}

TEST(a_reader_inside_delays_and_its_exit_frees)
{
    bool gone = false;
    pthread_t t;

    thread_start(&t, "reader", slow_reader, NULL);
    while (__atomic_load_n(&phase, __ATOMIC_SEQ_CST) != 1) {
        sched_yield();
    }
    machine_lock();
    epoch_free(set_flag, &gone);
    CHECK(!gone);                      /* never inside the call               */
    for (int i = 0; i < 20; i++) {
        loop_step(true);
        CHECK(!gone);
    }
    __atomic_store_n(&phase, 2, __ATOMIC_SEQ_CST);
    while (!gone) {
        loop_step(true);
    }
    machine_unlock();
    pthread_join(t, NULL);
    /* With nobody inside the next turn frees. */
    machine_lock();
    gone = false;
    epoch_free(set_flag, &gone);
    CHECK(!gone);
    loop_step(false);
    CHECK(gone);
    machine_unlock();
}

static void free_another(void *arg)
{
    epoch_free(set_flag, arg);
}

TEST(freeing_may_free_more)
{
    bool gone = false;

    machine_lock();
    epoch_free(free_another, &gone);
    epoch_drain();
    CHECK(gone);
    machine_unlock();
}

TEST(figures)
{
    int n = 1000000;
    int64_t began = clock_ns(CLOCK_RT);

    for (int i = 0; i < n; i++) {
        epoch_enter();
        epoch_exit();
    }
    printf("# epoch_enter and epoch_exit: %.1f ns\n",
           (double)(clock_ns(CLOCK_RT) - began) / n);
}
