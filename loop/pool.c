/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pool.c - worker threads for calls that block. Each loop has its own workers.
 *
 * Thread class: pool_submit in a loop's thread; run() in a worker, which
 * belongs to no loop; done() in the submitter's loop.
 *
 * Invariants:
 * 1. A pool's lists and counts change only under its lock, a leaf.
 * 2. While tasks wait, each has an idle worker or all allowed workers exist.
 * 3. A worker does not touch a task after it has posted its completion.
 */
#include <time.h>
#include "loop-impl.h"

#define THREADS_MAX 64
#define IDLE_SECONDS 10

void pool_init(Pool *p)
{
    /* Once for each Loop's memory, which is used again. */
    if (!p->ready) {
        pthread_condattr_t attr;

        pthread_mutex_init(&p->lock, NULL);
        pthread_condattr_init(&attr);
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        pthread_cond_init(&p->wake, &attr);
        pthread_cond_init(&p->gone, NULL);
        pthread_condattr_destroy(&attr);
        p->ready = true;
    }
    p->min = 0;
    p->max = THREADS_MAX;
    p->stop = false;
}

/* Under the lock. Returns false when the worker is to end. */
static bool worker_wait(Pool *p)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += IDLE_SECONDS;
    while (!p->first) {
        int ret;

        if (p->stop || p->threads > p->max) {
            return false;
        }
        p->idle++;
        ret = pthread_cond_timedwait(&p->wake, &p->lock, &until);
        p->idle--;
        if (ret == ETIMEDOUT && !p->first) {
            if (p->threads > p->min) {
                return false;
            }
            clock_gettime(CLOCK_MONOTONIC, &until);
            until.tv_sec += IDLE_SECONDS;
        }
    }
    return true;
}

static void *worker(void *arg)
{
    Pool *p = arg;

    pthread_mutex_lock(&p->lock);
    while (worker_wait(p)) {
        PoolTask *t = p->first;

        p->first = t->next;
        p->queued--;
        pthread_mutex_unlock(&p->lock);
        t->ret = t->run(t->arg);
        loop_post(t->loop, &t->work);
        pthread_mutex_lock(&p->lock);
    }
    if (--p->threads == 0) {
        pthread_cond_broadcast(&p->gone);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* Under the lock. */
static bool worker_start(Pool *p)
{
    p->threads++;
    if (thread_try(NULL, "worker", worker, p)) {
        return true;
    }
    p->threads--;
    return false;
}

static void task_done(void *arg)
{
    PoolTask *t = arg;

    t->done(t->arg, t->ret);
}

void pool_submit(PoolTask *t)
{
    Loop *l = loop_self();
    Pool *p = &l->pool;
    bool lost = false, wake;

    assert(l);
    t->loop = l;
    t->next = NULL;
    t->work = (Work){ .fn = task_done, .arg = t };
    pthread_mutex_lock(&p->lock);
    if (!p->first) {
        p->last = &p->first;
    }
    *p->last = t;
    p->last = &t->next;
    p->queued++;
    if (p->queued > p->idle && p->threads < p->max) {
        /* Without any worker it is done here, before the host has threads to
         * give again: late is better than never. */
        lost = !worker_start(p) && p->threads == 0;
    }
    if (lost) {
        p->first = NULL;
        p->queued = 0;
    }
    wake = p->idle > 0;
    pthread_mutex_unlock(&p->lock);
    /* After the lock, which the worker would only wait for. */
    if (wake) {
        pthread_cond_signal(&p->wake);
    }
    if (lost) {
        t->ret = t->run(t->arg);
        loop_post(l, &t->work);
    }
}

void loop_set_pool(Loop *l, unsigned min, unsigned max)
{
    Pool *p = &l->pool;

    assert(max > 0 && min <= max);
    pthread_mutex_lock(&p->lock);
    p->min = min;
    p->max = max;
    while (p->threads < min && worker_start(p)) {
        continue;
    }
    pthread_cond_broadcast(&p->wake);  /* those above max end                 */
    pthread_mutex_unlock(&p->lock);
}

void pool_limits(unsigned min_threads, unsigned max_threads)
{
    loop_set_pool(loop_main, min_threads, max_threads);
}

void pool_stop(Pool *p)
{
    pthread_mutex_lock(&p->lock);
    assert(!p->first);
    p->stop = true;
    pthread_cond_broadcast(&p->wake);
    while (p->threads) {
        pthread_cond_wait(&p->gone, &p->lock);
    }
    pthread_mutex_unlock(&p->lock);
}

/* ---- from a coroutine ---------------------------------------------------- */

typedef struct CoTask {
    PoolTask task;
    int64_t (*run)(void *arg);
    void *arg;
    Co *co;
    int64_t ret;
    bool ended;
} CoTask;

static int64_t co_task_run(void *arg)
{
    CoTask *c = arg;

    return c->run(c->arg);
}

static void co_task_done(void *arg, int64_t ret)
{
    CoTask *c = arg;

    c->ret = ret;
    c->ended = true;
    co_resume(c->co);
}

int64_t pool_co_run(int64_t (*run)(void *arg), void *arg)
{
    CoTask c = {
        .task = { .run = co_task_run, .done = co_task_done, .arg = &c },
        .run = run, .arg = arg, .co = co_self(),
    };

    assert(c.co);
    pool_submit(&c.task);
    while (!c.ended) {
        co_yield();
    }
    return c.ret;
}
