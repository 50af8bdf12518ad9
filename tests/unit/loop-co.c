/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Coroutines: nesting, waking, queues, mutexes, workers, several threads. */
#include <fenv.h>
#include <sched.h>
#include <sys/wait.h>
#include "loop.h"
#include "tests/tern-test.h"

static char trail[4096];

static void mark(char c)
{
    size_t n = strlen(trail);

    trail[n] = c;
    trail[n + 1] = 0;
}

static void two_steps(void *arg)
{
    CHECK(co_self() == *(Co **)arg);
    mark('a');
    co_yield();
    CHECK(co_self() == *(Co **)arg);
    mark('b');
    co_yield();
    mark('c');
}

TEST(enter_and_yield)
{
    Co *co;

    machine_lock();
    trail[0] = 0;
    CHECK(!co_self());
    co = co_new(two_steps, &co);
    mark('1');
    co_enter(co);
    CHECK(!co_self());
    mark('2');
    co_enter(co);
    mark('3');
    co_enter(co);
    mark('4');
    CHECK_STR(trail, "1a2b3c4");
    machine_unlock();
}

static Co *inner;

static void inner_run(void *arg)
{
    mark('i');
    co_yield();
    mark('j');
}

static void outer_run(void *arg)
{
    Co *me = co_self();

    mark('o');
    inner = co_new(inner_run, NULL);
    co_enter(inner);
    CHECK(co_self() == me);
    mark('p');
    co_yield();
    co_enter(inner);
    mark('q');
}

TEST(coroutines_nest)
{
    Co *co;

    machine_lock();
    trail[0] = 0;
    co = co_new(outer_run, NULL);
    co_enter(co);
    mark('.');
    co_enter(co);
    CHECK_STR(trail, "oip.jq");
    machine_unlock();
}

/* Callee-saved registers and a deep stack survive. */
static int64_t deep(int n)
{
    volatile char pad[1000];
    int64_t sum;

    pad[n % 1000] = n;
    if (n == 0) {
        co_yield();
        return 0;
    }
    sum = deep(n - 1) + n;
    return sum + (pad[n % 1000] != (char)n);
}

static void deep_run(void *arg)
{
    *(int64_t *)arg = deep(300);
}

static void many_locals(void *arg)
{
    uint64_t a = 1, b = 2, c = 3, d = 4, e = 5, f = 6, g = 7;
    double x = 1.5;

    for (int i = 0; i < 1000; i++) {
        a += b, b ^= c, c += d, d ^= e, e += f, f ^= g, g += a;
        x *= 1.0001;
        co_yield();
    }
    *(uint64_t *)arg = a + b + c + d + e + f + g + (uint64_t)(x * 1000);
}

TEST(stacks_and_registers_survive)
{
    uint64_t got[8] = { 0 };
    int64_t sum = 0;
    Co *co[8];

    machine_lock();
    co[0] = co_new(deep_run, &sum);
    co_enter(co[0]);
    co_enter(co[0]);
    CHECK_EQ(sum, 300 * 301 / 2);
    for (int i = 0; i < 8; i++) {
        co[i] = co_new(many_locals, &got[i]);
    }
    for (int k = 0; k <= 1000; k++) {
        for (int i = 0; i < 8; i++) {
            co_enter(co[i]);
        }
    }
    for (int i = 1; i < 8; i++) {
        CHECK_EQ(got[i], got[0]);
    }
    CHECK(got[0] != 0);
    machine_unlock();
}

static __attribute__((noinline)) int overflow(int n)
{
    volatile char pad[4096];

    pad[0] = n;
    return n > 1000000 ? 0 : overflow(n + 1) + pad[0];
}

static void overflow_run(void *arg)
{
    overflow(0);
}

TEST(stack_overflow_faults)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    SKIP("the sanitizer takes the fault");
#endif
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        signal(SIGSEGV, SIG_DFL);
        machine_lock();
        co_enter(co_new(overflow_run, NULL));
        _exit(0);
    }
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

/* ---- waking -------------------------------------------------------------- */

static void sleeper(void *arg)
{
    int64_t began = clock_ns(CLOCK_RT);

    co_sleep_ns(2 * NS_PER_MS);
    CHECK_GE(clock_ns(CLOCK_RT) - began, 2 * NS_PER_MS);
    co_sleep_ns(0);
    ++*(int *)arg;
}

TEST(sleeping)
{
    int done = 0;

    machine_lock();
    for (int i = 0; i < 20; i++) {
        co_enter(co_new(sleeper, &done));
    }
    while (done < 20) {
        loop_step(true);
    }
    machine_unlock();
}

static void *wake_thread(void *arg)
{
    co_wake(arg);
    return NULL;
}

static void woken_by_threads(void *arg)
{
    pthread_t t;

    for (int i = 0; i < 50; i++) {
        thread_start(&t, "waker", wake_thread, co_self());
        co_yield();
        pthread_join(t, NULL);
        CHECK(machine_locked());
    }
    *(bool *)arg = true;
}

TEST(woken_from_other_threads)
{
    bool done = false;

    machine_lock();
    co_wake(co_new(woken_by_threads, &done));
    while (!done) {
        loop_step(true);
    }
    machine_unlock();
}

/* A wake that arrives while the coroutine itself steps the loop. */
static void steps_inside(void *arg)
{
    co_wake(co_self());
    while (loop_step(false)) {
        continue;
    }
    co_yield();                        /* has been woken: does not wait       */
    *(bool *)arg = true;
    co_wake(co_self());                /* and ends with a wake on its way     */
}

TEST(wake_of_a_running_coroutine)
{
    bool done = false;

    machine_lock();
    co_enter(co_new(steps_inside, &done));
    CHECK(done);
    CHECK(!loop_step(false));
    machine_unlock();
}

/* Coroutines of the main loop run in whichever thread holds the lock. */
static int hops;

static void hopper(void *arg)
{
    for (int i = 0; i < 300; i++) {
        co_wake(co_self());
        co_yield();
        CHECK(machine_locked());
        errno = i;
    }
    hops++;
}

static void *hop_thread(void *arg)
{
    machine_lock();
    while (hops < 20) {
        loop_step(true);
    }
    machine_unlock();
    return NULL;
}

TEST(coroutines_move_between_threads)
{
    pthread_t t[2];

    machine_lock();
    for (int i = 0; i < 20; i++) {
        co_enter(co_new(hopper, NULL));
    }
    for (int i = 0; i < 2; i++) {
        thread_start(&t[i], "vcpu", hop_thread, NULL);
    }
    while (hops < 20) {
        loop_step(true);
    }
    machine_unlock();
    for (int i = 0; i < 2; i++) {
        pthread_join(t[i], NULL);
    }
}

/* ---- queues and mutexes -------------------------------------------------- */

static CoQueue queue;
static int through;

static void queue_waiter(void *arg)
{
    co_queue_wait(&queue);
    mark('0' + (int)(intptr_t)arg);
    through++;
}

TEST(queue_is_first_come_first_served)
{
    Co *co[5];

    machine_lock();
    trail[0] = 0;
    CHECK(!co_queue_next(&queue));
    for (intptr_t i = 0; i < 5; i++) {
        co[i] = co_new(queue_waiter, (void *)i);
        co_enter(co[i]);
    }
    co_wake(co[4]);                    /* not by the queue: goes on waiting   */
    loop_step(false);
    CHECK_STR(trail, "");
    CHECK(co_queue_next(&queue));
    loop_step(false);
    CHECK_STR(trail, "0");
    co_queue_all(&queue);
    while (through < 5) {
        loop_step(true);
    }
    CHECK_STR(trail, "01234");
    CHECK(!co_queue_next(&queue));
    machine_unlock();
}

static CoMutex mutex;
static int inside, entries, finished;

static void mutex_user(void *arg)
{
    for (int i = 0; i < 200; i++) {
        co_mutex_lock(&mutex);
        CHECK_EQ(inside, 0);
        inside++;
        entries++;
        if (i % 3 == 0) {
            co_wake(co_self());
            co_yield();
        }
        inside--;
        co_mutex_unlock(&mutex);
        if (i % 5 == 0) {
            co_wake(co_self());
            co_yield();
        }
    }
    finished++;
}

TEST(mutex_excludes)
{
    machine_lock();
    for (int i = 0; i < 30; i++) {
        co_enter(co_new(mutex_user, NULL));
    }
    while (finished < 30) {
        loop_step(true);
    }
    CHECK_EQ(entries, 6000);
    CHECK(!mutex.held);
    machine_unlock();
}

/* ---- workers ------------------------------------------------------------- */

static int64_t square(void *arg)
{
    int64_t n = *(int64_t *)arg;

    CHECK(!co_self());
    return n * n;
}

static void squarer(void *arg)
{
    int64_t sum = 0;

    for (int64_t i = 0; i < 50; i++) {
        sum += pool_co_run(square, &i);
    }
    CHECK_EQ(sum, 40425);
    ++*(int *)arg;
}

TEST(coroutines_call_workers)
{
    int done = 0;

    machine_lock();
    for (int i = 0; i < 10; i++) {
        co_enter(co_new(squarer, &done));
    }
    while (done < 10) {
        loop_step(true);
    }
    machine_unlock();
}

static int io_done;

static void io_co(void *arg)
{
    int64_t i = 7;

    CHECK_EQ(pool_co_run(square, &i), 49);
    co_sleep_ns(100000);
    CHECK(loop_self() == arg);
    __atomic_add_fetch(&io_done, 1, __ATOMIC_RELEASE);
}

static void io_start(void *arg)
{
    for (int i = 0; i < 20; i++) {
        co_enter(co_new(io_co, arg));
    }
}

TEST(coroutines_in_iothreads)
{
    Loop *l[2] = { loop_new("a", NULL), loop_new("b", NULL) };

    machine_lock();
    for (int i = 0; i < 2; i++) {
        loop_run_sync(l[i], io_start, l[i]);
    }
    while (__atomic_load_n(&io_done, __ATOMIC_ACQUIRE) < 40) {
        sched_yield();
    }
    for (int i = 0; i < 2; i++) {
        loop_free(l[i]);
    }
    machine_unlock();
}

/* ---- figures ------------------------------------------------------------- */

static int64_t rounds;

static void spinner(void *arg)
{
    while (rounds-- > 0) {
        co_yield();
    }
}

static void nothing(void *arg)
{
}

TEST(figures)
{
    int n = 500000;
    int64_t began;
    Co *co;

    machine_lock();
    rounds = n;
    co = co_new(spinner, NULL);
    began = clock_ns(CLOCK_RT);
    while (rounds >= 0) {
        co_enter(co);
    }
    printf("# co_enter and co_yield (two switches): %.1f ns\n",
           (double)(clock_ns(CLOCK_RT) - began) / n);
    n = 100000;
    began = clock_ns(CLOCK_RT);
    for (int i = 0; i < n; i++) {
        co_enter(co_new(nothing, NULL));
    }
    printf("# co_new, run, end: %.1f ns\n",
           (double)(clock_ns(CLOCK_RT) - began) / n);
    machine_unlock();
}
