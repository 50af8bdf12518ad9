/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The main loop: waiting without the lock, waking, other threads that step it,
 * nesting, signals, GMainContext. */
#include <glib.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include "loop.h"
#include "tests/tern-test.h"

static void quit_now(void *arg)
{
    loop_quit();
}

static void *quit_thread(void *arg)
{
    loop_post_fn(loop_main, quit_now, NULL);
    return NULL;
}

TEST(runs_until_quit)
{
    pthread_t t;

    machine_lock();
    loop_quit();
    loop_run();                        /* asked before it ran                 */
    for (int i = 0; i < 200; i++) {
        thread_start(&t, "quitter", quit_thread, NULL);
        loop_run();
        pthread_join(t, NULL);
    }
    machine_unlock();
}

static void set_flag(void *arg)
{
    *(bool *)arg = true;
}

typedef struct Vcpu {
    Timer timer;
    int fd;
    bool fired, ready, ended;
    int calls;
} Vcpu;

static void vcpu_event(void *arg, unsigned events)
{
    Vcpu *v = arg;
    uint64_t n;

    CHECK(machine_locked());
    v->calls++;
    CHECK_EQ(read(v->fd, &n, 8), 8);
}

/* Sets a timer and adds a descriptor while the main thread sleeps for ever. */
static void *vcpu_sets(void *arg)
{
    const uint64_t one = 1;
    Vcpu *v = arg;
    bool fired;

    usleep(5000);
    machine_lock();
    CHECK(loop_self() == loop_main);
    timer_set(&v->timer, clock_ns(CLOCK_RT) + NS_PER_MS);
    machine_unlock();
    CHECK(loop_self() == NULL);
    do {
        usleep(1000);
        machine_lock();
        fired = v->fired;
        machine_unlock();
    } while (!fired);                  /* nothing else wakes the main thread  */
    usleep(5000);
    machine_lock();
    loop_fd(loop_main, v->fd, EPOLLIN, vcpu_event, v);
    machine_unlock();
    usleep(5000);
    CHECK_EQ(write(v->fd, &one, 8), 8);
    return NULL;
}

TEST(timers_and_fds_of_a_vcpu_wake_the_main_thread)
{
    Vcpu v = { .fd = eventfd(0, EFD_NONBLOCK) };
    pthread_t t;

    machine_lock();
    timer_init(&v.timer, NULL, CLOCK_RT, set_flag, &v.fired);
    thread_start(&t, "vcpu", vcpu_sets, &v);
    while (!v.fired || !v.calls) {
        loop_step(true);
    }
    machine_unlock();
    pthread_join(t, NULL);
    machine_lock();
    loop_fd(loop_main, v.fd, 0, NULL, NULL);
    machine_unlock();
    close(v.fd);
}

/* Other threads wait in loop_step for what any thread's turn may do. */
typedef struct Waiter {
    pthread_t thread;
    Work work;
    bool done;
} Waiter;

static int waits;

static void *waiter_run(void *arg)
{
    Waiter *w = arg;

    for (int i = 0; i < 300; i++) {
        machine_lock();
        w->done = false;
        w->work = (Work){ .fn = set_flag, .arg = &w->done };
        loop_post(loop_main, &w->work);
        while (!w->done) {
            loop_step(true);
        }
        waits++;
        machine_unlock();
    }
    return NULL;
}

TEST(several_threads_step_while_main_runs)
{
    Waiter w[3];

    waits = 0;
    for (int i = 0; i < 3; i++) {
        thread_start(&w[i].thread, "vcpu", waiter_run, &w[i]);
    }
    machine_lock();
    while (waits < 900) {
        /* Ends by itself only when another's turn wakes it. */
        loop_step(true);
    }
    machine_unlock();
    for (int i = 0; i < 3; i++) {
        pthread_join(w[i].thread, NULL);
    }
}

/* The main thread does not run its loop: it waits for a vCPU that steps. */
TEST(a_vcpu_steps_while_main_is_away)
{
    Waiter w;

    waits = 0;
    thread_start(&w.thread, "vcpu", waiter_run, &w);
    pthread_join(w.thread, NULL);
    CHECK_EQ(waits, 300);
}

/* A pipe's byte is what a waiter needs; whoever gets it must tell the other. */
static int byte_fd[2];
static int bytes;

static void byte_event(void *arg, unsigned events)
{
    char c;

    CHECK_EQ(read(byte_fd[0], &c, 1), 1);     /* would block for ever if stale */
    bytes++;
}

static void *byte_waiter(void *arg)
{
    machine_lock();
    while (bytes < 500) {
        loop_step(true);
    }
    machine_unlock();
    return NULL;
}

static void *byte_writer(void *arg)
{
    for (int i = 0; i < 500; i++) {
        CHECK_EQ(write(byte_fd[1], "x", 1), 1);
        if (i % 10 == 0) {
            usleep(100);
        }
    }
    return NULL;
}

TEST(no_stale_event_reaches_a_callback)
{
    pthread_t t[3];

    REQUIRE_EQ(pipe(byte_fd), 0);      /* blocking on purpose                 */
    machine_lock();
    loop_fd(loop_main, byte_fd[0], EPOLLIN, byte_event, NULL);
    for (int i = 0; i < 2; i++) {
        thread_start(&t[i], "vcpu", byte_waiter, NULL);
    }
    thread_start(&t[2], "writer", byte_writer, NULL);
    while (bytes < 500) {
        loop_step(true);
    }
    machine_unlock();
    for (int i = 0; i < 3; i++) {
        pthread_join(t[i], NULL);
    }
    machine_lock();
    loop_fd(loop_main, byte_fd[0], 0, NULL, NULL);
    machine_unlock();
    close(byte_fd[0]);
    close(byte_fd[1]);
}

/* Another thread takes the event that wakes the main thread before that one has
 * run: it must be told, or it sleeps on. */
static void *byte_snatcher(void *arg)
{
    for (int i = 0; i < 1000; i++) {
        machine_lock();
        CHECK_EQ(write(byte_fd[1], "x", 1), 1);
        loop_step(false);
        machine_unlock();
        while (__atomic_load_n((int *)arg, __ATOMIC_ACQUIRE) <= i) {
            sched_yield();
        }
    }
    return NULL;
}

TEST(main_is_told_of_what_others_did)
{
    int seen = 0;
    pthread_t t;

    REQUIRE_EQ(pipe(byte_fd), 0);
    machine_lock();
    bytes = 0;
    loop_fd(loop_main, byte_fd[0], EPOLLIN, byte_event, NULL);
    thread_start(&t, "vcpu", byte_snatcher, &seen);
    while (seen < 1000) {
        while (bytes == seen) {
            loop_step(true);
        }
        __atomic_store_n(&seen, bytes, __ATOMIC_RELEASE);
    }
    machine_unlock();
    pthread_join(t, NULL);
    machine_lock();
    loop_fd(loop_main, byte_fd[0], 0, NULL, NULL);
    machine_unlock();
    close(byte_fd[0]);
    close(byte_fd[1]);
}

static bool inner_done;
static int nested;

static void nest(void *arg)
{
    Work w = { .fn = set_flag, .arg = &inner_done };

    nested++;
    inner_done = false;
    loop_post(loop_main, &w);
    while (!inner_done) {
        loop_step(true);
    }
}

static void nest_fd(void *arg, unsigned events)
{
    char c;

    CHECK_EQ(read(byte_fd[0], &c, 1), 1);
    nest(NULL);
}

TEST(callbacks_may_step)
{
    Timer t;

    machine_lock();
    loop_post_fn(loop_main, nest, NULL);
    loop_post_fn(loop_main, nest, NULL);
    timer_init(&t, NULL, CLOCK_RT, nest, NULL);
    timer_set(&t, 0);
    REQUIRE_EQ(pipe(byte_fd), 0);
    loop_fd(loop_main, byte_fd[0], EPOLLIN, nest_fd, NULL);
    CHECK_EQ(write(byte_fd[1], "xx", 2), 2);
    while (nested < 5) {
        loop_step(true);
    }
    loop_fd(loop_main, byte_fd[0], 0, NULL, NULL);
    close(byte_fd[0]);
    close(byte_fd[1]);
    machine_unlock();
}

/* Two are ready; whichever comes first runs the loop, which serves the other. */
static int pair[2][2], pair_calls;

static void pair_event(void *arg, unsigned events)
{
    char c;

    CHECK_EQ(read(*(int *)arg, &c, 1), 1);    /* blocks if the event is stale */
    if (pair_calls++ == 0) {
        loop_step(false);
    }
}

TEST(events_served_by_a_nested_turn_are_forgotten)
{
    machine_lock();
    for (int i = 0; i < 2; i++) {
        REQUIRE_EQ(pipe(pair[i]), 0);
        loop_fd(loop_main, pair[i][0], EPOLLIN, pair_event, &pair[i][0]);
        CHECK_EQ(write(pair[i][1], "x", 1), 1);
    }
    loop_step(true);
    CHECK_EQ(pair_calls, 2);
    for (int i = 0; i < 2; i++) {
        loop_fd(loop_main, pair[i][0], 0, NULL, NULL);
        close(pair[i][0]);
        close(pair[i][1]);
    }
    machine_unlock();
}

static int signo_seen, signal_calls;
static pid_t from_seen;

static void on_signal(void *arg, int signo, pid_t from)
{
    CHECK(machine_locked());
    CHECK_STR(arg, "x");
    signo_seen = signo;
    from_seen = from;
    signal_calls++;
}

static void *kill_soon(void *arg)
{
    usleep(3000);
    kill(getpid(), SIGUSR2);
    return NULL;
}

TEST(signals_come_as_events)
{
    static char x[] = "x";
    pthread_t t;

    machine_lock();
    loop_signal(SIGUSR1, on_signal, x);
    loop_signal(SIGUSR2, on_signal, x);
    kill(getpid(), SIGUSR1);
    while (!signal_calls) {
        loop_step(true);
    }
    CHECK_EQ(signo_seen, SIGUSR1);
    CHECK_EQ(from_seen, getpid());
    thread_start(&t, "killer", kill_soon, NULL);
    while (signal_calls < 2) {
        loop_step(true);
    }
    CHECK_EQ(signo_seen, SIGUSR2);
    pthread_join(t, NULL);
    loop_signal(SIGUSR1, NULL, NULL);
    loop_signal(SIGUSR2, NULL, NULL);
    CHECK(signal(SIGUSR1, SIG_DFL) == SIG_DFL);
    machine_unlock();
}

/* ---- GMainContext -------------------------------------------------------- */

static int idle_calls, timeout_calls, pipe_calls;

static gboolean on_idle(gpointer arg)
{
    CHECK(machine_locked());
    return ++idle_calls < 3;
}

static gboolean on_timeout(gpointer arg)
{
    timeout_calls++;
    return G_SOURCE_REMOVE;
}

static gboolean on_pipe(GIOChannel *ch, GIOCondition c, gpointer arg)
{
    char b;

    CHECK_EQ(read(byte_fd[0], &b, 1), 1);
    pipe_calls++;
    nest(NULL);                        /* a nested turn inside a dispatch     */
    return G_SOURCE_CONTINUE;
}

static void *pipe_soon(void *arg)
{
    usleep(2000);
    CHECK_EQ(write(byte_fd[1], "xxx", 3), 3);
    return NULL;
}

TEST(glib_sources_run)
{
    GIOChannel *ch;
    pthread_t t;
    bool posted = false;
    guint id;

    REQUIRE_EQ(pipe(byte_fd), 0);
    machine_lock();
    loop_use_glib();
    loop_use_glib();
    g_idle_add(on_idle, NULL);
    g_timeout_add(3, on_timeout, NULL);
    ch = g_io_channel_unix_new(byte_fd[0]);
    id = g_io_add_watch(ch, G_IO_IN, on_pipe, NULL);
    thread_start(&t, "writer", pipe_soon, NULL);
    loop_post_fn(loop_main, set_flag, &posted);
    while (idle_calls < 3 || !timeout_calls || pipe_calls < 3 || !posted) {
        loop_step(true);
    }
    pthread_join(t, NULL);
    g_source_remove(id);
    g_io_channel_unref(ch);
    machine_unlock();
    close(byte_fd[0]);
    close(byte_fd[1]);
}
