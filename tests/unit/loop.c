/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Posted work and the loops of iothreads: order, cancelling, crossing threads,
 * descriptors, adaptive polling. */
#include <fcntl.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include "loop.h"
#include "tests/tern-test.h"

static int64_t now_ns(void)
{
    return clock_ns(CLOCK_RT);
}

static bool flag_get(const bool *p)
{
    return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

/* ---- posting ------------------------------------------------------------- */

typedef struct Item {
    Work work;
    int id, runs;
} Item;
static int order[100], n_order;

static void item_run(void *arg)
{
    Item *i = arg;

    i->runs++;
    order[n_order++ % 100] = i->id;
}

static void items_init(Item *v, int n)
{
    n_order = 0;
    for (int i = 0; i < n; i++) {
        v[i] = (Item){ .work = { .fn = item_run, .arg = &v[i] }, .id = i };
    }
}

TEST(work_runs_in_order_and_once)
{
    Item v[10];

    machine_lock();
    items_init(v, 10);
    for (int i = 0; i < 10; i++) {
        loop_post(loop_main, &v[i].work);
        loop_post(loop_main, &v[i].work);
    }
    CHECK(loop_step(false));
    CHECK_EQ(n_order, 10);
    for (int i = 0; i < 10; i++) {
        CHECK_EQ(order[i], i);
        CHECK_EQ(v[i].runs, 1);
    }
    CHECK(!loop_step(false));
    machine_unlock();
}

TEST(work_cancelled_does_not_run)
{
    Item v[5];

    machine_lock();
    items_init(v, 5);
    for (int i = 0; i < 5; i++) {
        loop_post(loop_main, &v[i].work);
    }
    work_cancel(loop_main, &v[4].work);
    work_cancel(loop_main, &v[0].work);
    work_cancel(loop_main, &v[2].work);
    work_cancel(loop_main, &v[2].work);
    loop_post(loop_main, &v[0].work);
    loop_step(false);
    CHECK_EQ(n_order, 3);
    CHECK_EQ(order[0], 1);
    CHECK_EQ(order[1], 3);
    CHECK_EQ(order[2], 0);
    machine_unlock();
}

static Item *victim;

static void cancel_other(void *arg)
{
    work_cancel(loop_main, &victim->work);
}

TEST(work_may_cancel_its_successor)
{
    Item v[3];
    Work w = { .fn = cancel_other };

    machine_lock();
    items_init(v, 3);
    victim = &v[1];
    loop_post(loop_main, &v[0].work);
    loop_post(loop_main, &w);
    loop_post(loop_main, &v[1].work);
    loop_post(loop_main, &v[2].work);
    loop_step(false);
    CHECK_EQ(n_order, 2);
    CHECK_EQ(v[1].runs, 0);
    CHECK_EQ(v[2].runs, 1);
    machine_unlock();
}

static int again_runs;

static void again(void *arg)
{
    again_runs++;
    loop_post(loop_main, arg);
}

TEST(work_that_posts_itself_does_not_hold_the_loop)
{
    Work w = { .fn = again, .arg = &w };

    machine_lock();
    loop_post(loop_main, &w);
    for (int i = 0; i < 10; i++) {
        CHECK(loop_step(true));
    }
    CHECK_GE(again_runs, 10);
    CHECK_LE(again_runs, 100);
    work_cancel(loop_main, &w);
    CHECK(!loop_step(false));
    machine_unlock();
}

#define POSTERS 3
#define POSTS 20000

typedef struct Poster {
    Loop *to;
    pthread_t thread;
    int64_t sum, expected;
} Poster;

static void add_one(void *arg)
{
    (*(int64_t *)arg)++;
}

static void *post_many(void *arg)
{
    Poster *p = arg;

    for (int i = 0; i < POSTS; i++) {
        loop_post_fn(p->to, add_one, &p->sum);
        if (i % 64 == 0) {
            sched_yield();
        }
    }
    return NULL;
}

TEST(posts_from_many_threads_all_arrive)
{
    Loop *io = loop_new("io", NULL);
    Poster p[POSTERS * 2] = { 0 };
    int64_t sum = 0;

    REQUIRE(io);
    for (int i = 0; i < POSTERS * 2; i++) {
        p[i].to = i % 2 ? io : loop_main;
        thread_start(&p[i].thread, "poster", post_many, &p[i]);
    }
    machine_lock();
    while (sum < POSTERS * POSTS) {
        loop_step(true);
        sum = 0;
        for (int i = 0; i < POSTERS * 2; i += 2) {
            sum += p[i].sum;
        }
    }
    machine_unlock();
    for (int i = 0; i < POSTERS * 2; i++) {
        pthread_join(p[i].thread, NULL);
    }
    machine_lock();
    loop_free(io);                     /* runs what is left                   */
    machine_unlock();
    for (int i = 0; i < POSTERS * 2; i++) {
        CHECK_EQ(p[i].sum, POSTS);
    }
}

/* One work, posted by two threads, cancelled and freed by its loop. */
typedef struct Race {
    Item item;
    bool stop;
    uint64_t seen, posted;
} Race;

static void race_run(void *arg)
{
    Race *r = arg;

    r->seen = __atomic_load_n(&r->posted, __ATOMIC_RELAXED);
    r->item.runs++;
}

static void *race_post(void *arg)
{
    Race *r = arg;

    while (!flag_get(&r->stop)) {
        __atomic_add_fetch(&r->posted, 1, __ATOMIC_RELAXED);
        loop_post(loop_main, &r->item.work);
    }
    return NULL;
}

TEST(cancel_races_with_posts)
{
    Race r = { .item.work = { .fn = race_run, .arg = &r } };
    pthread_t t[2];
    int runs;

    for (int i = 0; i < 2; i++) {
        thread_start(&t[i], "poster", race_post, &r);
    }
    machine_lock();
    for (int i = 0; i < 5000; i++) {
        work_cancel(loop_main, &r.item.work);
        if (i % 3 == 0) {
            loop_step(false);
        }
    }
    machine_unlock();
    __atomic_store_n(&r.stop, true, __ATOMIC_RELEASE);
    for (int i = 0; i < 2; i++) {
        pthread_join(t[i], NULL);
    }
    machine_lock();
    work_cancel(loop_main, &r.item.work);
    runs = r.item.runs;
    loop_step(false);
    CHECK_EQ(r.item.runs, runs);
    /* A post that found the work queued is covered by the run that follows. */
    loop_post(loop_main, &r.item.work);
    loop_step(false);
    CHECK_EQ(r.seen, r.posted);
    machine_unlock();
}

/* ---- iothreads ----------------------------------------------------------- */

typedef struct Where {
    Loop *self;
    int tid, runs;
} Where;

static void where_am_i(void *arg)
{
    Where *w = arg;

    w->self = loop_self();
    w->tid = gettid();
    w->runs++;
}

TEST(run_sync_runs_there_and_waits)
{
    Loop *io[3];
    Where w = { NULL };

    machine_lock();
    for (int i = 0; i < 3; i++) {
        io[i] = loop_new("io", NULL);
        REQUIRE(io[i]);
    }
    for (int i = 0; i < 3000; i++) {
        loop_run_sync(io[i % 3], where_am_i, &w);
        CHECK_EQ(w.runs, i + 1);
        CHECK(w.self == io[i % 3]);
        CHECK_EQ(w.tid, loop_thread_id(io[i % 3]));
    }
    loop_run_sync(loop_main, where_am_i, &w);
    CHECK(w.self == loop_main);
    CHECK_EQ(w.tid, gettid());
    CHECK_STR(loop_name(io[0]), "io");
    for (int i = 0; i < 3; i++) {
        loop_free(io[i]);
    }
    machine_unlock();
}

/* A vCPU's way: take the machine lock, wait for an iothread that posts to main. */
static int64_t main_sum;

static void to_main(void *arg)
{
    loop_post_fn(loop_main, add_one, &main_sum);
}

static void *sync_many(void *arg)
{
    for (int i = 0; i < 500; i++) {
        machine_lock();
        loop_run_sync(arg, to_main, NULL);
        machine_unlock();
    }
    return NULL;
}

TEST(run_sync_from_several_threads)
{
    Loop *io = loop_new("io", NULL);
    pthread_t t[2];

    for (int i = 0; i < 2; i++) {
        thread_start(&t[i], "vcpu", sync_many, io);
    }
    machine_lock();
    while (main_sum < 1000) {
        loop_step(true);
    }
    machine_unlock();
    for (int i = 0; i < 2; i++) {
        pthread_join(t[i], NULL);
    }
    machine_lock();
    loop_free(io);
    machine_unlock();
}

/* ---- descriptors --------------------------------------------------------- */

typedef struct Fd {
    int fd, calls;
    unsigned events;
    Loop *loop;
    bool remove;
    struct Fd *other;
} Fd;

static void fd_event(void *arg, unsigned events)
{
    Fd *f = arg;
    uint64_t n;

    f->calls++;
    f->events = events;
    if (f->other) {
        loop_fd(f->loop, f->other->fd, 0, NULL, NULL);
    }
    if (f->remove) {
        loop_fd(f->loop, f->fd, 0, NULL, NULL);
    } else if (read(f->fd, &n, sizeof(n)) != sizeof(n)) {
        FAIL("nothing to read");
    }
}

static Fd fd_make(Loop *l)
{
    return (Fd){ .fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), .loop = l };
}

static void fd_kick(const Fd *f)
{
    uint64_t one = 1;

    CHECK_EQ(write(f->fd, &one, 8), 8);
}

TEST(fd_callbacks)
{
    Fd f = fd_make(loop_main), g = fd_make(loop_main);

    machine_lock();
    loop_fd(loop_main, f.fd, EPOLLIN, fd_event, &f);
    loop_fd(loop_main, g.fd, EPOLLIN, fd_event, &g);
    CHECK(!loop_step(false));
    fd_kick(&f);
    CHECK(loop_step(true));
    CHECK_EQ(f.calls, 1);
    CHECK(f.events == EPOLLIN);
    CHECK(!loop_step(false));
    /* Each removes the other: only one may be called. */
    f.other = &g;
    g.other = &f;
    fd_kick(&f);
    fd_kick(&g);
    CHECK(loop_step(true));
    CHECK_EQ(f.calls + g.calls, 2);
    CHECK(!loop_step(false));
    /* Again after removal, and removing itself. */
    f.other = g.other = NULL;
    f.calls = g.calls = 0;
    f.remove = g.remove = true;
    loop_fd(loop_main, f.fd, EPOLLIN, fd_event, &f);
    loop_fd(loop_main, g.fd, EPOLLIN, fd_event, &g);
    fd_kick(&f);
    fd_kick(&g);
    for (int i = 0; i < 3; i++) {
        loop_step(false);
    }
    CHECK_EQ(f.calls, 1);
    CHECK_EQ(g.calls, 1);
    loop_fd(loop_main, f.fd, 0, NULL, NULL);
    loop_fd(loop_main, 999999, 0, NULL, NULL);
    close(f.fd);
    close(g.fd);
    machine_unlock();
}

/* The number of a closed descriptor is given out again at once. */
static Fd reborn;

static void fd_replace(void *arg, unsigned events)
{
    Fd *f = arg;
    int fd = f->other->fd;

    f->calls++;
    loop_fd(loop_main, fd, 0, NULL, NULL);
    close(fd);
    reborn = fd_make(loop_main);
    CHECK_EQ(reborn.fd, fd);
    loop_fd(loop_main, reborn.fd, EPOLLIN, fd_event, &reborn);
    loop_fd(loop_main, f->fd, 0, NULL, NULL);
}

TEST(fd_number_used_again)
{
    Fd f[2] = { fd_make(loop_main), fd_make(loop_main) };

    machine_lock();
    for (int i = 0; i < 2; i++) {
        f[i].other = &f[!i];
        loop_fd(loop_main, f[i].fd, EPOLLIN, fd_replace, &f[i]);
        fd_kick(&f[i]);
    }
    CHECK(loop_step(true));
    CHECK_EQ(f[0].calls + f[1].calls, 1);
    CHECK_EQ(reborn.calls, 0);
    fd_kick(&reborn);
    CHECK(loop_step(true));
    CHECK_EQ(reborn.calls, 1);
    loop_fd(loop_main, reborn.fd, 0, NULL, NULL);
    close(reborn.fd);
    close(f[f[0].calls ? 0 : 1].fd);
    machine_unlock();
}

static void hup_event(void *arg, unsigned events)
{
    *(unsigned *)arg = events;
}

TEST(fd_hangup_and_plain_files)
{
    unsigned events = 0, file_events = 0;
    int p[2], file = open("/proc/self/exe", O_RDONLY);

    machine_lock();
    REQUIRE_EQ(pipe(p), 0);
    loop_fd(loop_main, p[0], EPOLLIN, hup_event, &events);
    close(p[1]);
    loop_step(true);
    CHECK(events == EPOLLHUP);
    loop_fd(loop_main, p[0], 0, NULL, NULL);
    close(p[0]);
    /* epoll refuses a plain file; it is always ready. */
    REQUIRE(file >= 0);
    loop_fd(loop_main, file, EPOLLIN, hup_event, &file_events);
    CHECK(loop_step(true));
    CHECK(file_events == EPOLLIN);
    loop_fd(loop_main, file, 0, NULL, NULL);
    CHECK(!loop_step(false));
    close(file);
    machine_unlock();
}

/* ---- adaptive polling ---------------------------------------------------- */

typedef struct Ring {
    int fd;
    int head, tail, spins, by_poll, by_fd;   /* head atomic                   */
    bool quiet;                        /* atomic                              */
    bool late;
    Loop *loop;
    Work done;
} Ring;
static int ring_done;

static bool ring_poll(void *arg)
{
    Ring *r = arg;

    return __atomic_load_n(&r->head, __ATOMIC_SEQ_CST) != r->tail;
}

static void ring_event(void *arg, unsigned events)
{
    Ring *r = arg;
    uint64_t n;

    if (events) {
        r->by_fd++;
        CHECK_EQ(read(r->fd, &n, sizeof(n)), 8);
    } else {
        r->by_poll++;
    }
    while (ring_poll(r)) {
        r->tail++;
        __atomic_store_n(&ring_done, r->tail, __ATOMIC_RELEASE);
    }
}

static void ring_spin(void *arg, bool on)
{
    Ring *r = arg;

    __atomic_add_fetch(&r->spins, on, __ATOMIC_RELAXED);
    if (r->late && !on) {
        /* Put in by one who still saw that it need not notify. */
        __atomic_add_fetch(&r->head, 1, __ATOMIC_SEQ_CST);
    }
    __atomic_store_n(&r->quiet, on, __ATOMIC_SEQ_CST);
}

static void ring_start(void *arg)
{
    Ring *r = arg;

    loop_fd(r->loop, r->fd, EPOLLIN, ring_event, r);
    loop_poll(r->loop, r->fd, ring_poll);
    loop_poll_spin(r->loop, r->fd, ring_spin);
}

static void ring_stop(void *arg)
{
    Ring *r = arg;

    loop_fd(r->loop, r->fd, 0, NULL, NULL);
}

static void ring_rounds(int64_t max_ns, int rounds, bool pause, Ring *r)
{
    const uint64_t one = 1;
    Loop *io = loop_new("io", NULL);

    ring_done = 0;
    *r = (Ring){ .fd = eventfd(0, EFD_NONBLOCK), .loop = io };
    machine_lock();
    loop_set_polling(io, max_ns, 0, 0);
    loop_run_sync(io, ring_start, r);
    for (int i = 1; i <= rounds; i++) {
        __atomic_store_n(&r->head, i, __ATOMIC_SEQ_CST);
        if (!__atomic_load_n(&r->quiet, __ATOMIC_SEQ_CST)) {
            CHECK_EQ(write(r->fd, &one, 8), 8);
        }
        while (__atomic_load_n(&ring_done, __ATOMIC_ACQUIRE) != i) {
            sched_yield();
        }
        if (pause && i % 50 == 0) {
            usleep(2000);              /* longer than it polls                */
        }
    }
    loop_run_sync(io, ring_stop, r);
    loop_free(io);
    machine_unlock();
    close(r->fd);
}

TEST(polling_off_uses_the_descriptor)
{
    Ring r;

    ring_rounds(0, 500, false, &r);
    /* The turn in which polling was turned off may still have begun with it. */
    CHECK_GE(1, r.spins);
    CHECK_GE(1, r.by_poll);
    CHECK_GT(r.by_fd, 400);
}

TEST(polling_loses_nothing)
{
    Ring r;

    /* A busy machine may wake the loop so late that nothing is left to poll. */
    for (int i = 0; i < 10 && (!i || !r.by_poll); i++) {
        ring_rounds(500000, 3000, true, &r);
        CHECK_EQ(r.tail, 3000);
    }
    CHECK_GT(r.spins, 0);
    CHECK_GT(r.by_poll, 0);
}

TEST(polling_looks_once_more_before_it_sleeps)
{
    const uint64_t one = 1;
    Loop *io = loop_new("io", NULL);
    Ring r = { .fd = eventfd(0, EFD_NONBLOCK), .loop = io, .late = true };
    int64_t limit = 100000;

    ring_done = 0;
    machine_lock();
    loop_set_polling(io, limit, 0, 0);
    loop_run_sync(io, ring_start, &r);
    /* The first kicks make it poll; it ends by putting one in itself. */
    while (__atomic_load_n(&ring_done, __ATOMIC_ACQUIRE) < 100 ||
           (!__atomic_load_n(&r.spins, __ATOMIC_RELAXED) &&
            __atomic_load_n(&r.head, __ATOMIC_RELAXED) < 5000)) {
        int head = __atomic_add_fetch(&r.head, 1, __ATOMIC_SEQ_CST);

        CHECK_EQ(write(r.fd, &one, 8), 8);
        if (head % 500 == 0 && limit < 100000000) {
            limit *= 4;                /* on a busy machine it had to wait long */
            loop_set_polling(io, limit, 0, 0);
        }
        usleep(300);                   /* now it most likely sleeps           */
        while (__atomic_load_n(&ring_done, __ATOMIC_ACQUIRE) <
               __atomic_load_n(&r.head, __ATOMIC_SEQ_CST)) {
            sched_yield();             /* for ever, if it was forgotten       */
        }
    }
    loop_run_sync(io, ring_stop, &r);
    CHECK_GT(r.spins, 0);
    loop_free(io);
    machine_unlock();
    close(r.fd);
}

/* ---- figures ------------------------------------------------------------- */

static bool pong;
static Loop *ping_loop;

static void set_pong(void *arg)
{
    pong = true;
}

static void ping(void *arg)
{
    loop_post(loop_main, arg);
}

static void round_trips(const char *what, int64_t poll_ns)
{
    Work back = { .fn = set_pong }, there = { .fn = ping, .arg = &back };
    int64_t began;
    int n = 5000;

    ping_loop = loop_new("io", NULL);
    machine_lock();
    loop_set_polling(ping_loop, poll_ns, 0, 0);
    began = now_ns();
    for (int i = 0; i < n; i++) {
        pong = false;
        loop_post(ping_loop, &there);
        while (!pong) {
            loop_step(true);
        }
    }
    printf("# main to iothread and back, %s: %" PRId64 " ns\n", what,
           (now_ns() - began) / n);
    loop_free(ping_loop);
    machine_unlock();
}

TEST(figures)
{
    Work w = { .fn = set_pong };
    int64_t began;
    int n = 200000;

    machine_lock();
    began = now_ns();
    for (int i = 0; i < n; i++) {
        loop_post(loop_main, &w);
        work_cancel(loop_main, &w);
    }
    printf("# post and cancel: %" PRId64 " ns\n", (now_ns() - began) / n);
    began = now_ns();
    for (int i = 0; i < n; i++) {
        loop_post(loop_main, &w);
        loop_step(false);
    }
    printf("# post and turn of the main loop: %" PRId64 " ns\n",
           (now_ns() - began) / n);
    machine_unlock();
    round_trips("sleeping", 0);
    round_trips("polling", 1000000);
}
