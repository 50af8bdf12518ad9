/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The choice of an accelerator, with accelerators made up for it, and the vCPU
 * threads of one whose guest code is a counter.
 */
#include <glib.h>
#include "tests/tern-test.h"
#include "accel.h"
#include "loop.h"
#include "machine.h"

/* ---- accelerators to choose from ----------------------------------------- */

typedef struct Fake {
    Accel accel;
    uint32_t level;
} Fake;
static const Prop fake_props[] = {
    PROP_U32("level", Fake, level, 3),
    PROP_END
};
static unsigned inits, finis;

static bool fine_init(Accel *a, Machine *m, Error **errp)
{
    inits++;
    return true;
}

static bool bad_init(Accel *a, Machine *m, Error **errp)
{
    return error_set(errp, "it is broken");
}

static void fake_fini(Accel *a)
{
    finis++;
}

static bool no(void)
{
    return false;
}

static bool not_usable(const char **why)
{
    *why = "it is Sunday";
    return false;
}

static void count_exec(Cpu *cpu);
static void count_kick(Cpu *cpu);

#define FAKE(sym, nm, ...) ACCEL(sym, { .name = nm, .type = nm "-accel", \
    .size = sizeof(Fake), .props = fake_props, .fini = fake_fini, \
    ##__VA_ARGS__ })
FAKE(f_fine, "t-fine", .init = fine_init, .cpu_exec = count_exec,
     .cpu_kick = count_kick);
FAKE(f_weak, "t-weak", .init = fine_init, .preferred = no);
FAKE(f_bad, "t-bad", .init = bad_init);
FAKE(f_gone, "t-gone", .init = fine_init, .usable = not_usable);

static const MachineType pc_like = { .name = "t-pc" }, none_like = {
    .name = "t-none", .no_cpus = true,
};

/* -accel ... and -machine accel=; gives the name of what came up, or NULL. */
static MACHINE_CALL const char *choose(const MachineType *t, const char *list,
                                       const char *const *options, char **why)
{
    Machine m = { .type = t, .accel_list = (char *)list };
    const char *name = NULL;
    Error *err = NULL;
    bool help;

    m.obj.kind = &obj_container;
    for (; options && *options; options++) {
        if (!accel_option(*options, &help, &err)) {
            break;
        }
    }
    if (!err && accel_start(&m, &err)) {
        name = accel->type->name;
    }
    if (why) {
        *why = err ? g_strdup(error_text(err)) : NULL;
    }
    error_free(err);
    accel_stop();
    return name;
}
#define OPTIONS(...) (const char *const[]){ __VA_ARGS__, NULL }

static void swallow(ReportSink *s, const char *text)
{
}

static ReportSink silent = { swallow };

TEST(one_name_is_obeyed)
{
    g_autofree char *why = NULL;

    machine_lock();
    CHECK_STR(choose(&pc_like, NULL, OPTIONS("t-fine"), NULL), "t-fine");
    CHECK_STR(choose(&pc_like, NULL, OPTIONS("t-weak"), NULL), "t-weak");
    CHECK_STR(choose(&pc_like, "t-weak", NULL, NULL), "t-weak");
    CHECK_STR(choose(&pc_like, NULL, OPTIONS("t-bad"), &why), NULL);
    CHECK_STR(why, "-accel t-bad: it is broken");
    machine_unlock();
}

TEST(lists_take_the_first_that_is_worth_it)
{
    machine_lock();
    report_sink(&silent);
    CHECK_STR(choose(&pc_like, "t-weak:t-fine", NULL, NULL), "t-fine");
    CHECK_STR(choose(&pc_like, "t-gone:t-weak:t-fine", NULL, NULL), "t-fine");
    CHECK_STR(choose(&pc_like, "t-bad:t-fine", NULL, NULL), "t-fine");
    CHECK_STR(choose(&pc_like, "nobody:t-fine", NULL, NULL), "t-fine");
    CHECK_STR(choose(&pc_like, NULL, OPTIONS("t-weak", "t-fine"), NULL),
              "t-fine");
    CHECK_STR(choose(&pc_like, NULL, OPTIONS("nobody", "t-fine"), NULL),
              "t-fine");
    /* No guest code runs on such a machine: being usable is enough. */
    CHECK_STR(choose(&none_like, "t-weak:t-fine", NULL, NULL), "t-weak");
    CHECK_STR(choose(&none_like, "t-gone:t-fine", NULL, NULL), "t-fine");
    report_sink(NULL);
    machine_unlock();
}

TEST(refusals)
{
    char *why;

    machine_lock();
    choose(&pc_like, NULL, OPTIONS("nobody"), &why);
    CHECK_STR(why, "-accel nobody: invalid accelerator nobody");
    g_free(why);
    choose(&pc_like, "nobody", NULL, &why);
    CHECK_STR(why, "invalid accelerator nobody");
    g_free(why);
    choose(&pc_like, "t-fine", OPTIONS("t-fine"), &why);
    CHECK_STR(why, "The -accel and \"-machine accel=\" options are "
              "incompatible");
    g_free(why);
    choose(&pc_like, NULL, OPTIONS("t-fine,colour=red"), &why);
    CHECK_STR(why, "Property 't-fine-accel.colour' not found");
    g_free(why);
    choose(&pc_like, NULL, OPTIONS("t-fine,level=x"), &why);
    CHECK(why != NULL);
    g_free(why);
    machine_unlock();
}

/* ---- vCPU threads -------------------------------------------------------- */

/* "Guest code" that counts; each in a cache line of its own. */
static struct { _Alignas(64) uint64_t n; } counters[4];
static Cpu vcpus[4];
static uint32_t exec_exits;

static void count_exec(Cpu *cpu)
{
    machine_assert_locked();
    machine_unlock();
    while (!cpu_should_leave(cpu)) {
        cpu_guest_enter(cpu);
        for (unsigned i = 0; i < 100 && !cpu_should_leave(cpu); i++) {
            __atomic_fetch_add(&counters[cpu->index].n, 1, __ATOMIC_RELAXED);
        }
        cpu_guest_leave(cpu);
    }
    __atomic_fetch_add(&exec_exits, 1, __ATOMIC_RELAXED);
    machine_lock();
}

static void count_kick(Cpu *cpu)
{
}

static uint64_t counter(unsigned i)
{
    return __atomic_load_n(&counters[i].n, __ATOMIC_RELAXED);
}

static void count_work(Cpu *cpu, void *arg)
{
    uint32_t *n = arg;

    machine_assert_locked();
    CHECK(cpu_current == cpu);
    (*n)++;
}

TEST(threads_stop_go_and_work)
{
    static Machine m = { .type = &pc_like, .accel_list = (char *)"t-fine" };
    static uint32_t done;

    machine_lock();
    m.obj.kind = &obj_container;
    REQUIRE(accel_start(&m, NULL));
    for (unsigned i = 0; i < 4; i++) {
        vcpus[i].index = i;
        REQUIRE(cpu_thread_start(&vcpus[i], NULL));
    }
    REQUIRE_EQ(cpu_count, 4u);
    for (unsigned round = 0; round < 50; round++) {
        uint64_t was[4];

        for (unsigned i = 0; i < 4; i++) {
            was[i] = counter(i);
            cpu_run(&vcpus[i], count_work, &done);     /* while stopped       */
            CHECK_EQ(counter(i), was[i]);
        }
        cpus_resume();
        for (unsigned i = 0; i < 4; i++) {
            cpu_run(&vcpus[i], count_work, &done);     /* while running       */
        }
        machine_unlock();
        for (unsigned i = 0; i < 4; i++) {
            while (counter(i) == was[i]) {
                sched_yield();
            }
        }
        machine_lock();
        cpus_pause();
        CHECK(vcpus[round % 4].stopped);
    }
    CHECK_EQ(done, 400u);
    machine_unlock();
}

TEST(exclusive_sections_are_alone)
{
    machine_lock();
    if (!accel) {
        machine_unlock();
        SKIP("the test before did not come so far");
    }
    cpus_resume();
    machine_unlock();
    for (unsigned round = 0; round < 200; round++) {
        uint64_t was[4];

        cpus_exclusive_begin();
        for (unsigned i = 0; i < 4; i++) {
            was[i] = counter(i);
        }
        sched_yield();
        for (unsigned i = 0; i < 4; i++) {
            CHECK_EQ(counter(i), was[i]);
        }
        cpus_exclusive_end();
    }
    machine_lock();
    cpus_pause();
    machine_unlock();
}

static bool woken_by_nmi(const Cpu *cpu)
{
    return __atomic_load_n(&cpu->interrupt, __ATOMIC_SEQ_CST) & CPU_INT_NMI;
}

static void unhalt(Cpu *cpu, void *arg)
{
    cpu->halted = false;
}

TEST(halted_until_an_interrupt)
{
    uint64_t was;

    machine_lock();
    if (!accel) {
        machine_unlock();
        SKIP("the test before did not come so far");
    }
    vcpus[1].halted = true;
    vcpus[1].has_work = woken_by_nmi;
    cpus_resume();
    was = counter(1);
    machine_unlock();
    for (uint64_t n = counter(0); counter(0) < n + 100000;) {
        sched_yield();
    }
    CHECK_EQ(counter(1), was);
    cpu_interrupt(&vcpus[1], CPU_INT_NMI);
    while (counter(1) == was) {
        sched_yield();
    }
    machine_lock();
    cpu_run(&vcpus[1], unhalt, NULL);
    cpus_pause();
    machine_unlock();
}

TEST(threads_end)
{
    machine_lock();
    if (!accel) {
        machine_unlock();
        SKIP("the test before did not come so far");
    }
    cpus_resume();
    for (unsigned i = 0; i < 4; i++) {
        cpu_thread_stop(&vcpus[i]);
        CHECK_EQ(cpu_count, 3u - i);
    }
    accel_stop();
    CHECK_EQ(finis, inits);
    machine_unlock();
}
