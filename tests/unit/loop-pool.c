/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Worker threads: limits, completions, stopping. */
#include <sched.h>
#include "loop.h"
#include "tests/tern-test.h"

typedef struct Job {
    PoolTask task;
    int id;
    bool done;
} Job;

static int running, most, completed;

static void lock_step(int n)
{
    int seen = __atomic_load_n(&most, __ATOMIC_RELAXED);

    while (n > seen && !__atomic_compare_exchange_n(&most, &seen, n, true,
                                                    __ATOMIC_RELAXED,
                                                    __ATOMIC_RELAXED)) {
        continue;
    }
}

static int64_t job_run(void *arg)
{
    Job *j = arg;

    lock_step(__atomic_add_fetch(&running, 1, __ATOMIC_SEQ_CST));
    CHECK(loop_self() == NULL);
    usleep(j->id % 4 * 50);
    __atomic_sub_fetch(&running, 1, __ATOMIC_SEQ_CST);
    return j->id * 3;
}

static void job_done(void *arg, int64_t ret)
{
    Job *j = arg;

    CHECK_EQ(ret, j->id * 3);
    CHECK(loop_self() == j->task.loop);
    CHECK(!j->done);
    j->done = true;
    __atomic_add_fetch(&completed, 1, __ATOMIC_RELEASE);
}

static Job jobs[2000];

static void jobs_submit(int first, int n)
{
    for (int i = first; i < first + n; i++) {
        jobs[i] = (Job){
            .task = { .run = job_run, .done = job_done, .arg = &jobs[i] },
            .id = i,
        };
        pool_submit(&jobs[i].task);
    }
}

TEST(tasks_complete_within_limits)
{
    machine_lock();
    pool_limits(0, 5);
    jobs_submit(0, 500);
    while (completed < 500) {
        loop_step(true);
    }
    CHECK_LE(most, 5);
    CHECK_GE(most, 2);
    /* One worker: strictly in order, never two at once. */
    pool_limits(0, 1);
    usleep(20000);                     /* those above it see it               */
    most = completed = 0;
    jobs_submit(0, 50);
    while (completed < 50) {
        loop_step(true);
    }
    CHECK_LE(most, 1);
    pool_limits(0, 64);
    machine_unlock();
}

static void io_submit(void *arg)
{
    int first = (int)(intptr_t)arg;

    jobs_submit(first, 500);
}

TEST(each_loop_gets_its_own_back)
{
    Loop *l[3];

    completed = 0;
    machine_lock();
    for (intptr_t i = 0; i < 3; i++) {
        l[i] = loop_new("io", NULL);
        loop_set_pool(l[i], i, 4);
        loop_run_sync(l[i], io_submit, (void *)(i * 500));
    }
    jobs_submit(1500, 500);
    while (__atomic_load_n(&completed, __ATOMIC_ACQUIRE) < 2000) {
        loop_step(false);
        sched_yield();
    }
    for (int i = 0; i < 3; i++) {
        loop_free(l[i]);               /* its workers end                     */
    }
    machine_unlock();
}

static int left;

static int64_t no_work(void *arg)
{
    return 0;
}

static void resubmit(void *arg, int64_t ret)
{
    if (left-- > 0) {
        pool_submit(arg);
    }
}

TEST(done_may_submit_again)
{
    PoolTask t = { .run = no_work, .done = resubmit, .arg = &t };
    int64_t began;
    int n = 3000;

    machine_lock();
    left = n;
    began = clock_ns(CLOCK_RT);
    pool_submit(&t);
    while (left >= 0) {
        loop_step(true);
    }
    printf("# to a worker and back: %" PRId64 " ns\n",
           (clock_ns(CLOCK_RT) - began) / n);
    machine_unlock();
}
