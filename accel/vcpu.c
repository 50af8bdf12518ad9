/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vcpu.c - vCPU threads: creation, kicks, stop and go, work sent to a vCPU's
 * thread, sleep in HLT, exclusive sections. The same protocol for every
 * accelerator; what runs guest code is AccelType.cpu_exec.
 *
 * Thread class: cpu_thread runs in the vCPU's thread; functions are MACHINE_CALL
 * unless their prototype says ANY_THREAD.
 *
 * 1. stop, stopped, created, unplug and the list of work belong to the machine
 *    lock. `interrupt`, `exit_request` and `running` are atomic.
 * 2. Whoever changes something a vCPU may sleep on changes it first, then calls
 *    cpu_wake (or cpu_kick, which contains it); a sleeper takes a ticket, looks,
 *    and sleeps only while the ticket is current. So no wake-up is lost, though
 *    the machine lock itself is not what the condition waits on.
 * 3. A vCPU clears exit_request before it looks for reasons to leave; a reason
 *    that comes later sets it again.
 * 4. `running` is true only between cpu_guest_enter and cpu_guest_leave. While
 *    ex_owner is set no `running` of another thread stays true.
 * 5. wake_lock and ex_lock are leaf mutexes.
 */
#include <errno.h>
#include <glib.h>
#include <unistd.h>
#include <sys/syscall.h>
#include "accel.h"
#include "loop.h"

Cpu **cpus;
unsigned cpu_count;
void (*cpu_board_plugged)(Cpu *cpu);
bool (*cpu_board_unplug)(Cpu *cpu, Error **errp);
__thread Cpu *cpu_current;

/* What is private to this file beside the fields of Cpu. */
typedef struct Sleep {
    pthread_cond_t cond;               /* Cpu.cond points here                */
    uint64_t ticket;                   /* under wake_lock                     */
    Error *error;                      /* of cpu_init                         */
    bool thread, joined;
} Sleep;

typedef struct CpuJob {
    Work work;
    Cpu *cpu;
    void (*fn)(Cpu *cpu, void *arg);
    void *arg;
    bool *done;                        /* NULL: asynchronous, freed when run  */
} CpuJob;

static pthread_mutex_t wake_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t done_cond = PTHREAD_COND_INITIALIZER;
static uint64_t done_ticket;           /* under wake_lock                     */

static pthread_mutex_t ex_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t ex_cond = PTHREAD_COND_INITIALIZER;
static bool ex_owner;                  /* atomic; written under ex_lock       */
static __thread bool ex_was_running;

static Sleep *cpu_sleep_of(const Cpu *cpu)
{
    return container_of(cpu->cond, Sleep, cond);
}

/* ---- sleeping and waking ------------------------------------------------- */

static void cpu_wake(Cpu *cpu)
{
    Sleep *s = cpu_sleep_of(cpu);

    pthread_mutex_lock(&wake_lock);
    s->ticket++;
    pthread_cond_signal(&s->cond);
    pthread_mutex_unlock(&wake_lock);
}

static uint64_t ticket_take(const uint64_t *ticket)
{
    uint64_t t;

    pthread_mutex_lock(&wake_lock);
    t = *ticket;
    pthread_mutex_unlock(&wake_lock);
    return t;
}

/* Sleeps until the ticket is no longer current; the machine lock is dropped
 * meanwhile. */
static void ticket_sleep(const uint64_t *ticket, uint64_t mine,
                         pthread_cond_t *cond) MACHINE_CALL;
static void ticket_sleep(const uint64_t *ticket, uint64_t mine,
                         pthread_cond_t *cond)
{
    machine_unlock();
    pthread_mutex_lock(&wake_lock);
    while (*ticket == mine) {
        pthread_cond_wait(cond, &wake_lock);
    }
    pthread_mutex_unlock(&wake_lock);
    machine_lock();
}

/* Something that threads wait for in this file has come true. */
static void done_signal(void)
{
    pthread_mutex_lock(&wake_lock);
    done_ticket++;
    pthread_cond_broadcast(&done_cond);
    pthread_mutex_unlock(&wake_lock);
}

/* ---- kicks and interrupts ------------------------------------------------ */

static void accel_kick(Cpu *cpu)
{
    const Accel *a = accel;

    if (a && a->type->cpu_kick) {
        a->type->cpu_kick(cpu);
    }
}

void cpu_kick(Cpu *cpu)
{
    __atomic_store_n(&cpu->exit_request, true, __ATOMIC_SEQ_CST);
    if (cpu != cpu_current) {
        accel_kick(cpu);
        cpu_wake(cpu);
    }
}

void cpu_interrupt(Cpu *cpu, unsigned mask)
{
    unsigned old = __atomic_fetch_or(&cpu->interrupt, mask, __ATOMIC_SEQ_CST);

    /* A bit that stands already has been announced; its owner looks again
     * after clearing it. */
    if ((old & mask) != mask) {
        accel_kick(cpu);
        if (cpu != cpu_current) {
            cpu_wake(cpu);
        }
    }
}

void cpu_interrupt_clear(Cpu *cpu, unsigned mask)
{
    __atomic_fetch_and(&cpu->interrupt, ~mask, __ATOMIC_SEQ_CST);
}

bool cpu_should_leave(const Cpu *cpu)
{
    return __atomic_load_n(&cpu->exit_request, __ATOMIC_SEQ_CST);
}

/* ---- exclusive sections -------------------------------------------------- */

static bool cpu_running(const Cpu *cpu)
{
    return __atomic_load_n(&cpu->running, __ATOMIC_SEQ_CST);
}

void cpu_guest_enter(Cpu *cpu)
{
    __atomic_store_n(&cpu->running, true, __ATOMIC_SEQ_CST);
    if (LIKELY(!__atomic_load_n(&ex_owner, __ATOMIC_SEQ_CST))) {
        return;
    }
    pthread_mutex_lock(&ex_lock);
    while (ex_owner) {
        __atomic_store_n(&cpu->running, false, __ATOMIC_SEQ_CST);
        pthread_cond_broadcast(&ex_cond);
        pthread_cond_wait(&ex_cond, &ex_lock);
    }
    __atomic_store_n(&cpu->running, true, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&ex_lock);
}

void cpu_guest_leave(Cpu *cpu)
{
    __atomic_store_n(&cpu->running, false, __ATOMIC_SEQ_CST);
    if (UNLIKELY(__atomic_load_n(&ex_owner, __ATOMIC_SEQ_CST))) {
        pthread_mutex_lock(&ex_lock);
        pthread_cond_broadcast(&ex_cond);
        pthread_mutex_unlock(&ex_lock);
    }
}

/* The array changes only under ex_lock (and the machine lock). */
static bool others_running(bool kick)
{
    bool any = false;

    for (unsigned i = 0; i < cpu_count; i++) {
        if (cpus[i] != cpu_current && cpu_running(cpus[i])) {
            any = true;
            if (kick) {
                accel_kick(cpus[i]);
            }
        }
    }
    return any;
}

void cpus_exclusive_begin(void)
{
    Cpu *self = cpu_current;
    bool kick = true;

    ex_was_running = self && cpu_running(self);
    if (ex_was_running) {
        cpu_guest_leave(self);
    }
    pthread_mutex_lock(&ex_lock);
    while (ex_owner) {
        pthread_cond_wait(&ex_cond, &ex_lock);
    }
    __atomic_store_n(&ex_owner, true, __ATOMIC_SEQ_CST);
    while (others_running(kick)) {
        kick = false;
        pthread_cond_wait(&ex_cond, &ex_lock);
    }
    pthread_mutex_unlock(&ex_lock);
}

void cpus_exclusive_end(void)
{
    pthread_mutex_lock(&ex_lock);
    __atomic_store_n(&ex_owner, false, __ATOMIC_SEQ_CST);
    pthread_cond_broadcast(&ex_cond);
    pthread_mutex_unlock(&ex_lock);
    if (ex_was_running) {
        ex_was_running = false;
        cpu_guest_enter(cpu_current);
    }
}

/* ---- work for a vCPU's thread -------------------------------------------- */

static void cpu_jobs_run(Cpu *cpu) MACHINE_CALL;
static void cpu_jobs_run(Cpu *cpu)
{
    while (cpu->work_first) {
        CpuJob *j = container_of(cpu->work_first, CpuJob, work);
        bool *done = j->done;

        cpu->work_first = j->work.next;
        j->fn(cpu, j->arg);
        if (done) {
            *done = true;              /* j is on the waiter's stack          */
            done_signal();
        } else {
            g_free(j);
        }
    }
}

static void cpu_job_queue(Cpu *cpu, CpuJob *j) MACHINE_CALL;
static void cpu_job_queue(Cpu *cpu, CpuJob *j)
{
    Work **at = &cpu->work_first;

    while (*at) {
        at = &(*at)->next;
    }
    *at = &j->work;
    cpu_kick(cpu);
}

static bool cpu_has_thread(const Cpu *cpu)
{
    return cpu->cond && cpu_sleep_of(cpu)->thread;
}

void cpu_run(Cpu *cpu, void (*fn)(Cpu *cpu, void *arg), void *arg)
{
    bool done = false;
    CpuJob j = { .cpu = cpu, .fn = fn, .arg = arg, .done = &done };

    if (cpu == cpu_current || !cpu_has_thread(cpu)) {
        fn(cpu, arg);
        return;
    }
    cpu_job_queue(cpu, &j);
    for (;;) {
        uint64_t t = ticket_take(&done_ticket);

        /* Two vCPUs may send work to each other. */
        if (cpu_current) {
            cpu_jobs_run(cpu_current);
        }
        if (done) {
            return;
        }
        ticket_sleep(&done_ticket, t, &done_cond);
    }
}

void cpu_run_async(Cpu *cpu, void (*fn)(Cpu *cpu, void *arg), void *arg)
{
    CpuJob *j;

    if (!cpu_has_thread(cpu)) {
        fn(cpu, arg);
        return;
    }
    j = g_new0(CpuJob, 1);
    *j = (CpuJob){ .cpu = cpu, .fn = fn, .arg = arg };
    cpu_job_queue(cpu, j);
}

static void do_get(Cpu *cpu, void *arg)
{
    accel->type->cpu_get(cpu);
}

void cpu_sync(Cpu *cpu)
{
    if (accel && accel->type->cpu_get && cpu->created) {
        cpu_run(cpu, do_get, NULL);
    }
}

void cpu_sync_all(void)
{
    for (unsigned i = 0; i < cpu_count; i++) {
        cpu_sync(cpus[i]);
    }
}

/* ---- stop and go --------------------------------------------------------- */

static bool cpus_all_stopped(void) MACHINE_CALL;
static bool cpus_all_stopped(void)
{
    for (unsigned i = 0; i < cpu_count; i++) {
        if (!cpus[i]->stopped) {
            return false;
        }
    }
    return true;
}

void cpus_pause(void)
{
    for (unsigned i = 0; i < cpu_count; i++) {
        Cpu *cpu = cpus[i];

        if (cpu == cpu_current || !cpu_has_thread(cpu)) {
            cpu->stop = false;
            cpu->stopped = true;
            __atomic_store_n(&cpu->exit_request, true, __ATOMIC_SEQ_CST);
        } else if (!cpu->stopped) {
            cpu->stop = true;
            cpu_kick(cpu);
        }
    }
    for (;;) {
        uint64_t t = ticket_take(&done_ticket);

        if (cpu_current) {
            cpu_jobs_run(cpu_current);
        }
        if (cpus_all_stopped()) {
            return;
        }
        ticket_sleep(&done_ticket, t, &done_cond);
    }
}

void cpus_resume(void)
{
    for (unsigned i = 0; i < cpu_count; i++) {
        cpus[i]->stop = false;
        cpus[i]->stopped = false;
        cpu_kick(cpus[i]);
    }
}

void cpu_stop_self(void)
{
    if (cpu_current) {
        machine_assert_locked();
        cpu_current->stopped = true;
        __atomic_store_n(&cpu_current->exit_request, true, __ATOMIC_SEQ_CST);
        done_signal();
    }
}

/* ---- the thread ---------------------------------------------------------- */

static bool cpu_idle(const Cpu *cpu)
{
    return cpu->stopped ||
           (cpu->halted && !(cpu->has_work && cpu->has_work(cpu)));
}

/* Sees to everything but guest code; returns when there is guest code to run. */
static void cpu_attend(Cpu *cpu) MACHINE_CALL;
static void cpu_attend(Cpu *cpu)
{
    Sleep *s = cpu_sleep_of(cpu);

    for (;;) {
        uint64_t t = ticket_take(&s->ticket);

        __atomic_store_n(&cpu->exit_request, false, __ATOMIC_SEQ_CST);
        cpu_jobs_run(cpu);
        if (cpu->stop) {
            cpu->stop = false;
            cpu->stopped = true;
            done_signal();
        }
        if (cpu->unplug || !cpu_idle(cpu)) {
            return;
        }
        ticket_sleep(&s->ticket, t, &s->cond);
    }
}

static void *cpu_thread(void *arg)
{
    Cpu *cpu = arg;
    const AccelType *t = accel->type;

    machine_lock();
    cpu_current = cpu;
    cpu->thread_id = syscall(SYS_gettid);
    if (!t->cpu_init || t->cpu_init(cpu, &cpu_sleep_of(cpu)->error)) {
        cpu->created = true;
        done_signal();
        for (;;) {
            cpu_attend(cpu);
            if (cpu->unplug) {
                break;
            }
            t->cpu_exec(cpu);
        }
        cpu_jobs_run(cpu);
        if (t->cpu_fini) {
            t->cpu_fini(cpu);
        }
        cpu->created = false;
    }
    cpu_sleep_of(cpu)->joined = true;
    done_signal();
    machine_unlock();
    return NULL;
}

/* ---- creation and removal ------------------------------------------------ */

/* Puts a new array in place; readers of the old one may be inside an epoch. */
static void cpus_publish(Cpu **list, unsigned n) MACHINE_CALL;
static void cpus_publish(Cpu **list, unsigned n)
{
    Cpu **old = cpus;

    pthread_mutex_lock(&ex_lock);
    /* A reader takes count, then array: it must not find a count above what
     * the array holds. */
    if (n < cpu_count) {
        __atomic_store_n(&cpu_count, n, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&cpus, list, __ATOMIC_RELEASE);
    __atomic_store_n(&cpu_count, n, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&ex_lock);
    if (old) {
        epoch_free(g_free, old);
    }
}

static void cpu_list_add(Cpu *cpu) MACHINE_CALL;
static void cpu_list_add(Cpu *cpu)
{
    Cpu **list = g_new0(Cpu *, cpu_count + 1);
    unsigned at = cpu_count;

    while (at > 0 && cpus[at - 1]->index > cpu->index) {
        at--;
    }
    for (unsigned i = 0; i < cpu_count; i++) {
        list[i < at ? i : i + 1] = cpus[i];
    }
    list[at] = cpu;
    cpus_publish(list, cpu_count + 1);
}

static void cpu_list_del(Cpu *cpu) MACHINE_CALL;
static void cpu_list_del(Cpu *cpu)
{
    Cpu **list = g_new0(Cpu *, cpu_count);
    unsigned n = 0;

    for (unsigned i = 0; i < cpu_count; i++) {
        if (cpus[i] != cpu) {
            list[n++] = cpus[i];
        }
    }
    cpus_publish(list, n);
}

Cpu *cpu_by_index(uint32_t index)
{
    for (unsigned i = 0; i < cpu_count; i++) {
        if (cpus[i]->index == index) {
            return cpus[i];
        }
    }
    return NULL;
}

static void cpu_forget(Cpu *cpu) MACHINE_CALL;
static void cpu_forget(Cpu *cpu)
{
    Sleep *s = cpu_sleep_of(cpu);

    cpu_list_del(cpu);
    cpu->cond = NULL;
    pthread_cond_destroy(&s->cond);
    error_free(s->error);
    g_free(s);
}

bool cpu_thread_start(Cpu *cpu, Error **errp)
{
    Sleep *s = g_new0(Sleep, 1);
    char name[32];

    pthread_cond_init(&s->cond, NULL);
    cpu->cond = &s->cond;
    cpu->stopped = true;
    cpu_list_add(cpu);
    if (!accel || accel->type->flags & ACCEL_NO_CPU) {
        cpu->thread_id = syscall(SYS_gettid);
        cpu->created = true;
        return true;
    }
    s->thread = true;
    snprintf(name, sizeof(name), "CPU %u/%s", cpu->index,
             accel->type->alias ? accel->type->alias : accel->type->name);
    for (char *p = strchr(name, '/'); *p; p++) {
        *p = g_ascii_toupper(*p);
    }
    thread_start(&cpu->thread, name, cpu_thread, cpu);
    for (;;) {
        uint64_t t = ticket_take(&done_ticket);

        if (cpu->created || s->joined) {
            break;
        }
        ticket_sleep(&done_ticket, t, &done_cond);
    }
    if (!cpu->created) {
        machine_unlock();
        pthread_join(cpu->thread, NULL);
        machine_lock();
        error_move(errp, s->error);
        s->error = NULL;
        cpu_forget(cpu);
        return false;
    }
    return true;
}

void cpu_thread_stop(Cpu *cpu)
{
    if (!cpu->cond) {
        return;
    }
    if (cpu_has_thread(cpu)) {
        cpu->unplug = true;
        cpu_kick(cpu);
        machine_unlock();
        pthread_join(cpu->thread, NULL);
        machine_lock();
    }
    cpu->created = false;
    cpu->unplug = false;
    cpu_forget(cpu);
}
