/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Clocks and timers, against a model that sorts. */
#include <sched.h>
#include "loop.h"
#include "tests/tern-test.h"

static uint64_t seed = 88172645463325252ull;

static uint32_t draw(uint32_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (seed >> 20) % below;
}

/* ---- a clock that stops and goes ----------------------------------------- */

static bool watchers_stop;

/* Readers of the virtual clock never see it go back while it stops and goes. */
static void *watch_clock(void *arg)
{
    int64_t last = clock_ns(CLOCK_VM);
    bool *back = arg;

    while (!__atomic_load_n(&watchers_stop, __ATOMIC_RELAXED)) {
        int64_t now = clock_ns(CLOCK_VM);

        *back |= now < last;
        last = now;
    }
    return NULL;
}

/* First of all: manual mode does not end. */
TEST(virtual_clock_stops_and_goes)
{
    bool back[2] = { false };
    pthread_t t[2];
    int64_t a, b;

    machine_lock();
    clock_vm_run(true);
    a = clock_ns(CLOCK_RT);
    for (int i = 0; i < 100000; i++) {
        clock_ns(CLOCK_VM);
    }
    printf("# clock_ns(CLOCK_VM): %" PRId64 " ns\n",
           (clock_ns(CLOCK_RT) - a) / 100000);
    for (int i = 0; i < 2; i++) {
        thread_start(&t[i], "watcher", watch_clock, &back[i]);
    }
    for (int i = 0; i < 20000; i++) {
        clock_vm_run(i % 2);
    }
    clock_vm_run(false);
    __atomic_store_n(&watchers_stop, true, __ATOMIC_RELAXED);
    for (int i = 0; i < 2; i++) {
        pthread_join(t[i], NULL);
        CHECK(!back[i]);
    }
    a = clock_ns(CLOCK_VM);
    usleep(100);
    CHECK_EQ(clock_ns(CLOCK_VM), a);
    clock_vm_set(77);
    CHECK_EQ(clock_ns(CLOCK_VM), 77);
    clock_vm_run(true);
    do {
        b = clock_ns(CLOCK_VM);
    } while (b == 77);
    CHECK_LT(b, 10 * NS_PER_S);
    machine_unlock();
}

/* ---- the virtual clock by hand: everything is exact ---------------------- */

static int64_t vm_begin(void)
{
    clock_vm_manual();
    return clock_ns(CLOCK_VM);
}

typedef struct Probe {
    Timer t;
    int id, fires, rearm;
    int64_t at, period;
} Probe;

static int fired[4096], n_fired;

static void probe_fire(void *arg)
{
    Probe *p = arg;

    CHECK(!timer_armed(&p->t));
    p->fires++;
    p->at = clock_ns(CLOCK_VM);
    fired[n_fired++ % 4096] = p->id;
    if (p->rearm > 0) {
        p->rearm--;
        timer_set(&p->t, p->at + p->period);
    }
}

static void probe_init(Probe *p, Loop *l, int id)
{
    *p = (Probe){ .id = id };
    timer_init(&p->t, l, CLOCK_VM, probe_fire, p);
}

TEST(manual_clock_moves_only_by_step)
{
    int64_t t0, t;

    machine_lock();
    t0 = vm_begin();
    clock_vm_run(true);
    t = clock_ns(CLOCK_RT);
    while (clock_ns(CLOCK_RT) < t + NS_PER_MS) {
        continue;
    }
    CHECK_EQ(clock_ns(CLOCK_VM), t0);
    CHECK_EQ(clock_vm_deadline(), -1);
    CHECK_EQ(clock_vm_step(-1), t0);
    CHECK_EQ(clock_vm_step(t0 + 100), t0 + 100);
    CHECK_EQ(clock_ns(CLOCK_VM), t0 + 100);
    clock_vm_set(5000000);
    CHECK_EQ(clock_ns(CLOCK_VM), 5000000);
    machine_unlock();
}

TEST(each_timer_fires_at_its_own_deadline)
{
    Probe p[4];
    int64_t t0;

    machine_lock();
    t0 = vm_begin();
    n_fired = 0;
    for (int i = 0; i < 4; i++) {
        probe_init(&p[i], NULL, i);
    }
    timer_set(&p[0].t, t0 + 300);
    timer_set(&p[1].t, t0 + 100);
    timer_set(&p[2].t, t0 + 300);
    timer_set(&p[3].t, t0 + 1001);
    p[1].rearm = 2;
    p[1].period = 150;                 /* 100, 250, 400                       */
    CHECK_EQ(clock_vm_deadline(), t0 + 100);
    CHECK_EQ(clock_vm_step(-1), t0 + 100);
    CHECK_EQ(n_fired, 1);
    CHECK_EQ(p[1].at, t0 + 100);
    CHECK_EQ(clock_vm_step(t0 + 1000), t0 + 1000);
    CHECK_EQ(n_fired, 5);
    CHECK_EQ(fired[1], 1);
    CHECK_EQ(fired[2], 0);             /* equal deadlines: order of setting   */
    CHECK_EQ(fired[3], 2);
    CHECK_EQ(fired[4], 1);
    CHECK_EQ(p[0].at, t0 + 300);
    CHECK_EQ(p[1].at, t0 + 400);
    CHECK(timer_armed(&p[3].t));
    CHECK_EQ(p[3].t.deadline, t0 + 1001);
    timer_clear(&p[3].t);
    CHECK(!timer_armed(&p[3].t));
    timer_clear(&p[3].t);
    CHECK_EQ(clock_vm_deadline(), -1);
    machine_unlock();
}

TEST(due_timers_fire_in_the_loop_too)
{
    Probe p;

    machine_lock();
    vm_begin();
    probe_init(&p, NULL, 0);
    timer_set(&p.t, clock_ns(CLOCK_VM) + 1);
    CHECK(!loop_step(false));
    timer_set(&p.t, clock_ns(CLOCK_VM));
    CHECK(loop_step(true));
    CHECK_EQ(p.fires, 1);
    timer_set(&p.t, -17);
    CHECK(timer_armed(&p.t));
    CHECK(loop_step(true));
    CHECK_EQ(p.fires, 2);
    machine_unlock();
}

TEST(a_period_of_nothing_does_not_hold_the_step)
{
    Probe p, q;
    int64_t t0;

    machine_lock();
    t0 = vm_begin();
    probe_init(&p, NULL, 0);
    probe_init(&q, NULL, 1);
    p.rearm = INT32_MAX;
    timer_set(&p.t, t0 + 10);
    timer_set(&q.t, t0 + 10);
    CHECK_EQ(clock_vm_step(t0 + 20), t0 + 20);
    CHECK_EQ(q.fires, 1);
    CHECK_LT(p.fires, 100000);
    /* Nor the loop, nor other timers. */
    timer_set(&q.t, t0 + 20);
    CHECK(loop_step(true));
    CHECK_EQ(q.fires, 2);
    timer_clear(&p.t);
    machine_unlock();
}

static int64_t io_at;
static Loop *io;

static void io_fire(void *arg)
{
    CHECK(loop_self() == io);
    io_at = clock_ns(CLOCK_VM);
}

static void io_arm(void *arg)
{
    timer_set(arg, clock_ns(CLOCK_VM) + 50);
}

static void io_clear(void *arg)
{
    timer_clear(arg);
}

TEST(step_fires_the_timers_of_iothreads)
{
    Timer t;
    int64_t t0;

    machine_lock();
    t0 = vm_begin();
    io = loop_new("io", NULL);
    timer_init(&t, io, CLOCK_VM, io_fire, &t);
    loop_run_sync(io, io_arm, &t);
    CHECK_EQ(clock_vm_deadline(), t0 + 50);
    clock_vm_step(t0 + 70);
    CHECK_EQ(io_at, t0 + 50);
    CHECK_EQ(clock_vm_deadline(), -1);
    loop_free(io);
    machine_unlock();
}

/* The model: an array searched for the least (deadline, order). */
#define MODEL 300
typedef struct Model {
    bool armed;
    int64_t deadline;
    uint64_t order;
} Model;
static Model model[MODEL];
static Probe probes[MODEL];
static uint64_t model_order;
static int64_t model_now;

static int model_next(int64_t upto)
{
    int best = -1;

    for (int i = 0; i < MODEL; i++) {
        if (model[i].armed && model[i].deadline <= upto &&
            (best < 0 || model[i].deadline < model[best].deadline ||
             (model[i].deadline == model[best].deadline &&
              model[i].order < model[best].order))) {
            best = i;
        }
    }
    return best;
}

static void model_fire(void *arg)
{
    Probe *p = arg;
    int i = p - probes, want = model_next(INT64_MAX);

    CHECK_EQ(i, want);
    CHECK_EQ(clock_ns(CLOCK_VM), MAX2(model[want].deadline, model_now));
    model_now = clock_ns(CLOCK_VM);
    model[i].armed = false;
    p->fires++;
}

TEST(heap_agrees_with_the_model)
{
    int64_t fires = 0;

    machine_lock();
    model_now = vm_begin();
    for (int i = 0; i < MODEL; i++) {
        timer_init(&probes[i].t, NULL, CLOCK_VM, model_fire, &probes[i]);
    }
    for (int round = 0; round < 30000; round++) {
        int i = draw(MODEL);
        uint32_t what = draw(10);

        if (what < 6) {
            int64_t d = model_now + 1 + draw(what < 3 ? 20 : 5000);

            timer_set(&probes[i].t, d);
            model[i] = (Model){ true, d, model_order++ };
        } else if (what < 8) {
            timer_clear(&probes[i].t);
            model[i].armed = false;
        } else {
            int64_t to = model_now + draw(200);
            int next = model_next(INT64_MAX);

            CHECK_EQ(clock_vm_deadline(),
                     next < 0 ? -1 : model[next].deadline);
            CHECK_EQ(clock_vm_step(to), to);
            model_now = to;
            CHECK_EQ(model_next(to), -1);
        }
        CHECK_EQ(timer_armed(&probes[i].t), model[i].armed);
    }
    for (int i = 0; i < MODEL; i++) {
        fires += probes[i].fires;
        timer_clear(&probes[i].t);
    }
    CHECK_GT(fires, 1000);
    CHECK_EQ(clock_vm_deadline(), -1);
    machine_unlock();
}

/* ---- clocks that run ----------------------------------------------------- */

static int64_t fired_at;

static void note_rt(void *arg)
{
    fired_at = clock_ns(CLOCK_RT);
}

TEST(real_timers_are_not_early)
{
    Timer t;

    machine_lock();
    timer_init(&t, NULL, CLOCK_RT, note_rt, NULL);
    for (int i = 0; i < 100; i++) {
        int64_t d = clock_ns(CLOCK_RT) + draw(300000);

        fired_at = 0;
        timer_set(&t, d);
        while (!fired_at) {
            loop_step(true);
        }
        CHECK_GE(fired_at, d);
    }
    machine_unlock();
}

TEST(wall_clock_timers_fire)
{
    Timer t;

    machine_lock();
    timer_init(&t, NULL, CLOCK_HOST, note_rt, NULL);
    fired_at = 0;
    timer_set(&t, clock_ns(CLOCK_HOST) + NS_PER_MS);
    while (!fired_at) {
        loop_step(true);
    }
    timer_set(&t, clock_ns(CLOCK_HOST) + 3600 * NS_PER_S);
    CHECK(!loop_step(false));
    timer_clear(&t);
    machine_unlock();
}

static Timer greedy;
static int greedy_fires;

static void greedy_fire(void *arg)
{
    greedy_fires++;
    timer_set(&greedy, 0);
}

TEST(a_timer_set_for_the_past_starves_no_other)
{
    Timer t[3];

    machine_lock();
    fired_at = 0;
    timer_init(&greedy, NULL, CLOCK_RT, greedy_fire, NULL);
    timer_set(&greedy, 0);
    for (int i = 0; i < 3; i++) {
        timer_init(&t[i], NULL, CLOCK_RT, note_rt, NULL);
        timer_set(&t[i], 1000 + i);
    }
    loop_step(true);
    for (int i = 0; i < 3; i++) {
        CHECK(!timer_armed(&t[i]));
    }
    CHECK_EQ(greedy_fires, 1);
    timer_clear(&greedy);
    machine_unlock();
}

#define SETTERS 3
static Timer shared[8];
static int64_t shared_fires;

static void shared_fire(void *arg)
{
    __atomic_add_fetch(&shared_fires, 1, __ATOMIC_RELAXED);
}

static void *set_any_many(void *arg)
{
    for (int i = 0; i < 20000; i++) {
        timer_set_any(&shared[i % 8], clock_ns(CLOCK_RT) + (i % 7) * 1000);
        if (i % 16 == 0) {
            sched_yield();
        }
    }
    return NULL;
}

TEST(timers_set_from_any_thread)
{
    Loop *l = loop_new("io", NULL);
    pthread_t t[SETTERS];

    for (int i = 0; i < 8; i++) {
        timer_init(&shared[i], i % 2 ? l : NULL, CLOCK_RT, shared_fire, NULL);
    }
    for (int i = 0; i < SETTERS; i++) {
        thread_start(&t[i], "setter", set_any_many, NULL);
    }
    machine_lock();
    for (int i = 0; i < 2000; i++) {
        timer_clear(&shared[0]);
        loop_step(false);
    }
    machine_unlock();
    for (int i = 0; i < SETTERS; i++) {
        pthread_join(t[i], NULL);
    }
    machine_lock();
    for (int i = 0; i < 8; i += 2) {
        while (timer_armed(&shared[i])) {
            loop_step(true);
        }
    }
    for (int i = 1; i < 8; i += 2) {
        while (timer_armed(&shared[i])) {
            sched_yield();             /* its loop must wake by itself        */
        }
        loop_run_sync(l, io_clear, &shared[i]);
    }
    CHECK_GT(shared_fires, 0);
    loop_free(l);
    machine_unlock();
}

/* ---- figures ------------------------------------------------------------- */

TEST(figures)
{
    static Timer t[1000];
    int64_t began;
    int n = 300000;

    machine_lock();
    began = clock_ns(CLOCK_RT);
    for (int i = 0; i < n; i++) {
        clock_ns(CLOCK_RT);
    }
    printf("# clock_ns(CLOCK_RT): %" PRId64 " ns\n",
           (clock_ns(CLOCK_RT) - began) / n);
    for (int i = 0; i < 1000; i++) {
        timer_init(&t[i], NULL, CLOCK_RT, shared_fire, NULL);
        timer_set(&t[i], INT64_MAX - draw(1000000));
    }
    began = clock_ns(CLOCK_RT);
    for (int i = 0; i < n; i++) {
        timer_set(&t[i % 1000], INT64_MAX - draw(1000000));
    }
    printf("# timer_set among 1000: %" PRId64 " ns\n",
           (clock_ns(CLOCK_RT) - began) / n);
    for (int i = 0; i < 1000; i++) {
        timer_clear(&t[i]);
    }
    began = clock_ns(CLOCK_RT);
    for (int i = 0; i < 300; i++) {
        for (int k = 0; k < 1000; k++) {
            timer_set(&t[k], draw(1000000));
        }
        loop_step(false);
    }
    printf("# timer_set and fire among 1000: %" PRId64 " ns\n",
           (clock_ns(CLOCK_RT) - began) / 300000);
    began = clock_ns(CLOCK_RT);
    for (int i = 0; i < n; i++) {
        timer_set(&t[0], 0);
        timer_clear(&t[0]);
    }
    printf("# timer_set and clear alone: %" PRId64 " ns\n",
           (clock_ns(CLOCK_RT) - began) / n);
    machine_unlock();
}
