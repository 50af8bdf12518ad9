/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * runstate.c - the machine's run state and the requests that change it.
 *
 * Thread class: requests come from any thread as atomic bits and are carried out
 * by the main loop; everything else holds the machine lock.
 *
 * Invariants:
 * 1. vCPUs execute only in RS_RUNNING; CLOCK_VM runs only then.
 * 2. One request bit is one request: asking twice before the main loop looks
 *    is asking once.
 * 3. Carried out in the order debug, suspend, shutdown, reset, wake-up,
 *    power-down, stop: a shutdown is never undone by a reset of the same turn.
 */
#include <glib.h>
#include "cpu.h"
#include "machine.h"
#include "monitor.h"
#include "blk.h"
#include "schema/schema.h"

bool (*boot_order_apply)(const char *order, Error **errp);
static int state_now = RS_PRELAUNCH;   /* atomic */
static RunNotify *run_notifies;

NotifyList powerdown_notify, suspend_notify, wakeup_notify, shutdown_notify,
           exit_notify;
Actions actions = { .panic = 1 };
int exit_status;

static const char *const state_names[] = {
    [RS_DEBUG] = "debug", [RS_INMIGRATE] = "inmigrate",
    [RS_INTERNAL_ERROR] = "internal-error", [RS_IO_ERROR] = "io-error",
    [RS_PAUSED] = "paused", [RS_POSTMIGRATE] = "postmigrate",
    [RS_PRELAUNCH] = "prelaunch", [RS_FINISH_MIGRATE] = "finish-migrate",
    [RS_RESTORE_VM] = "restore-vm", [RS_RUNNING] = "running",
    [RS_SAVE_VM] = "save-vm", [RS_SHUTDOWN] = "shutdown",
    [RS_SUSPENDED] = "suspended", [RS_WATCHDOG] = "watchdog",
    [RS_GUEST_PANICKED] = "guest-panicked", [RS_COLO] = "colo",
};

/* ---- lists --------------------------------------------------------------- */

void notify_add(NotifyList *l, Notify *n)
{
    Notify **p = &l->first;

    while (*p) {
        p = &(*p)->next;
    }
    n->next = NULL;
    *p = n;
}

void notify_del(NotifyList *l, Notify *n)
{
    for (Notify **p = &l->first; *p; p = &(*p)->next) {
        if (*p == n) {
            *p = n->next;
            return;
        }
    }
}

void notify_call(NotifyList *l, void *data)
{
    for (Notify *n = l->first, *next; n; n = next) {
        next = n->next;
        n->fn(n, data);
    }
}

void run_notify_add(RunNotify *n)
{
    RunNotify **p = &run_notifies;

    while (*p && (*p)->priority <= n->priority) {
        p = &(*p)->next;
    }
    n->next = *p;
    *p = n;
}

void run_notify_del(RunNotify *n)
{
    for (RunNotify **p = &run_notifies; *p; p = &(*p)->next) {
        if (*p == n) {
            *p = n->next;
            return;
        }
    }
}

/* Ascending priority on start, the reverse on stop: what feeds a device stops
 * before the device does. */
static void run_notify_call(bool running, RunStateNr s)
{
    unsigned n = 0;
    RunNotify **all;

    for (RunNotify *i = run_notifies; i; i = i->next) {
        n++;
    }
    all = g_new(RunNotify *, n + 1);
    n = 0;
    for (RunNotify *i = run_notifies; i; i = i->next) {
        all[n++] = i;
    }
    for (unsigned i = 0; i < n; i++) {
        RunNotify *r = all[running ? i : n - 1 - i];

        r->fn(r, running, s);
    }
    g_free(all);
}

/* ---- state --------------------------------------------------------------- */

RunStateNr run_state(void)
{
    return __atomic_load_n(&state_now, __ATOMIC_ACQUIRE);
}

bool run_singlestep;

bool run_state_is_running(void)
{
    return run_state() == RS_RUNNING;
}

const char *run_state_name(RunStateNr s)
{
    return state_names[s];
}

void run_state_set(RunStateNr s)
{
    TRACE(runstate_set, "current_run_state %s new_state %s",
          state_names[run_state()], state_names[s]);
    __atomic_store_n(&state_now, s, __ATOMIC_RELEASE);
}

static MACHINE_CALL void stop_now(RunStateNr why, bool tell)
{
    if (run_state() != RS_RUNNING) {
        /* A stopped machine may learn a better reason (shutdown, error). */
        if (why != RS_PAUSED && run_state() != RS_INMIGRATE &&
            run_state() != RS_PRELAUNCH) {
            run_state_set(why);
        }
        return;
    }
    clock_vm_run(false);
    cpus_pause();
    run_state_set(why);
    run_notify_call(false, why);
    if (tell) {
        monitor_event(&event_STOP, NULL);
    }
    blk_drain_all();
    blk_flush_all();
}

void vm_stop(RunStateNr why)
{
    if (cpu_current) {
        request_stop(why);
    } else {
        stop_now(why, true);
    }
}

void vm_stop_for_exit(void)
{
    stop_now(RS_SHUTDOWN, false);
}

bool vm_start(Error **errp)
{
    RunStateNr s = run_state();

    if (s == RS_RUNNING) {
        return true;
    }
    if (s == RS_SHUTDOWN || s == RS_INTERNAL_ERROR || s == RS_GUEST_PANICKED) {
        return error_set(errp, "Resetting the Virtual Machine is required");
    }
    if (s == RS_SUSPENDED) {
        return true;
    }
    if (s == RS_FINISH_MIGRATE || s == RS_RESTORE_VM || s == RS_SAVE_VM) {
        return error_set(errp, "Machine state '%s' does not allow to start it",
                         state_names[s]);
    }
    run_state_set(RS_RUNNING);
    clock_vm_run(true);
    run_notify_call(true, RS_RUNNING);
    monitor_event(&event_RESUME, NULL);
    cpus_resume();
    return true;
}

/* ---- requests ------------------------------------------------------------ */

enum {
    RQ_DEBUG = 1 << 0, RQ_SUSPEND = 1 << 1, RQ_SHUTDOWN = 1 << 2,
    RQ_RESET = 1 << 3, RQ_WAKEUP = 1 << 4, RQ_POWERDOWN = 1 << 5,
    RQ_STOP = 1 << 6, RQ_PANIC = 1 << 7,
};
static unsigned requests;              /* atomic */
static int reset_why, shutdown_why, wakeup_reason, stop_state;     /* atomic */
static unsigned wakeup_mask = ~0u;
static bool wakeup_is_supported;
static unsigned panic_bits;
static GuestPanicInformation panic_info;
static bool panic_has_info;            /* machine lock                        */

static void requests_run(void *arg);
static Work requests_work = { .fn = requests_run };

static void request(unsigned bit)
{
    __atomic_fetch_or(&requests, bit, __ATOMIC_SEQ_CST);
    loop_post(loop_main, &requests_work);
}

void request_reset(ShutdownWhy why)
{
    if (actions.reboot == 1 && why != WHY_SUBSYSTEM_RESET) {
        request_shutdown(why);
    } else {
        __atomic_store_n(&reset_why, why, __ATOMIC_RELAXED);
        request(RQ_RESET);
    }
    if (cpu_current) {
        cpu_current->stop = true;
        cpu_kick(cpu_current);
    }
}

void request_shutdown(ShutdownWhy why)
{
    __atomic_store_n(&shutdown_why, why, __ATOMIC_RELAXED);
    request(RQ_SHUTDOWN);
}

void request_powerdown(void)
{
    request(RQ_POWERDOWN);
}

void request_suspend(void)
{
    if (run_state() != RS_SUSPENDED) {
        request(RQ_SUSPEND);
    }
}

void request_wakeup(int reason)
{
    if (run_state() != RS_SUSPENDED ||
        (reason && !(wakeup_mask & 1u << reason))) {
        return;
    }
    __atomic_store_n(&wakeup_reason, reason, __ATOMIC_RELAXED);
    request(RQ_WAKEUP);
}

void wakeup_enable(int reason, bool on)
{
    if (on) {
        wakeup_mask |= 1u << reason;
    } else {
        wakeup_mask &= ~(1u << reason);
    }
}

bool wakeup_supported(void)
{
    return wakeup_is_supported;
}

void wakeup_support_set(bool on)
{
    wakeup_is_supported = on;
}

void request_stop(RunStateNr why)
{
    __atomic_store_n(&stop_state, why, __ATOMIC_RELAXED);
    request(RQ_STOP);
}

void request_debug(void)
{
    request(RQ_DEBUG);
}

void guest_panicked_hyperv(const uint64_t reg[5])
{
    char text[128];

    panic_info = (GuestPanicInformation){
        .type = GUEST_PANIC_INFORMATION_TYPE_HYPER_V,
        .u.hyper_v = { reg[0], reg[1], reg[2], reg[3], reg[4] },
    };
    panic_has_info = true;
    snprintf(text, sizeof(text), "HV crash parameters: (%#" PRIx64 " %#" PRIx64
             " %#" PRIx64 " %#" PRIx64 " %#" PRIx64 ")", reg[0], reg[1],
             reg[2], reg[3], reg[4]);
    guest_panicked(1, text);
}

void guest_panicked(unsigned bits, const char *info)
{
    LOG(LOG_GUEST_ERRORS, "Guest crashed%s%s\n", info ? ": " : "",
        info ? info : "");
    __atomic_fetch_or(&panic_bits, bits, __ATOMIC_RELAXED);
    request(RQ_PANIC);
}

/* ---- carrying them out --------------------------------------------------- */

static bool why_is_guest(ShutdownWhy w)
{
    return w >= WHY_GUEST_SHUTDOWN && w <= WHY_SUBSYSTEM_RESET;
}

void system_reset_now(int kind, ShutdownWhy why)
{
    cpus_pause();
    devices_reset(kind);
    for (unsigned i = 0; i < cpu_count; i++) {
        cpus[i]->stop = false;
    }
    if (kind != RESET_COLD) {
        return;
    }
    if (why != WHY_NONE && why != WHY_SNAPSHOT_LOAD) {
        monitor_event(&event_RESET, &(ResetEvent){
            .guest = why_is_guest(why), .reason = (int)why });
    }
    if (run_state() != RS_RUNNING && run_state() != RS_INMIGRATE &&
        run_state() != RS_FINISH_MIGRATE) {
        run_state_set(RS_PRELAUNCH);
    }
}

static MACHINE_CALL void do_suspend(void)
{
    cpus_pause();
    notify_call(&suspend_notify, NULL);
    run_state_set(RS_SUSPENDED);
    monitor_event(&event_SUSPEND, NULL);
}

static MACHINE_CALL void do_wakeup(void)
{
    int reason = __atomic_load_n(&wakeup_reason, __ATOMIC_RELAXED);

    system_reset_now(RESET_WAKE, WHY_NONE);
    notify_call(&wakeup_notify, &reason);
    run_state_set(RS_RUNNING);
    cpus_resume();
    monitor_event(&event_WAKEUP, NULL);
}

static MACHINE_CALL bool do_shutdown(void)
{
    ShutdownWhy why = __atomic_load_n(&shutdown_why, __ATOMIC_RELAXED);

    monitor_event(&event_SHUTDOWN, &(ShutdownEvent){
        .guest = why_is_guest(why), .reason = (int)why });
    notify_call(&shutdown_notify, &why);
    if (actions.shutdown == 1 && why != WHY_HOST_QMP_QUIT &&
        why != WHY_HOST_SIGNAL) {
        vm_stop(RS_SHUTDOWN);
        return false;
    }
    loop_quit();
    return true;
}

static MACHINE_CALL void do_panic(void)
{
    unsigned bits = __atomic_exchange_n(&panic_bits, 0, __ATOMIC_RELAXED);
    GuestPanicInformation *info = panic_has_info ? &panic_info : NULL;
    GuestPanicAction action = GUEST_PANIC_ACTION_PAUSE;

    panic_has_info = false;
    if (bits & 2) {
        monitor_event(&event_GUEST_CRASHLOADED, &(GuestCrashloadedEvent){
            .action = GUEST_PANIC_ACTION_RUN });
    }
    if (!(bits & 1)) {
        return;
    }
    if (actions.panic == 3) {
        action = GUEST_PANIC_ACTION_RUN;
    } else if (actions.panic == 2 ||
               (actions.panic == 1 && actions.shutdown == 0)) {
        action = GUEST_PANIC_ACTION_POWEROFF;
    }
    monitor_event(&event_GUEST_PANICKED, &(GuestPanickedEvent){
        .action = action, .info = info });
    if (action == GUEST_PANIC_ACTION_PAUSE) {
        vm_stop(RS_GUEST_PANICKED);
    } else if (action == GUEST_PANIC_ACTION_POWEROFF) {
        if (actions.panic == 2) {
            exit_status = 1;
        }
        request_shutdown(WHY_GUEST_PANIC);
    }
}

static void requests_run(void *arg)
{
    unsigned r = __atomic_exchange_n(&requests, 0, __ATOMIC_SEQ_CST);

    machine_assert_locked();
    if (r & RQ_DEBUG) {
        vm_stop(RS_DEBUG);
    }
    if (r & RQ_SUSPEND) {
        do_suspend();
    }
    if (r & RQ_PANIC) {
        do_panic();
    }
    if (r & RQ_SHUTDOWN) {
        do_shutdown();
        r &= ~RQ_RESET;
    }
    if (r & RQ_RESET) {
        system_reset_now(RESET_COLD, __atomic_load_n(&reset_why,
                                                     __ATOMIC_RELAXED));
        if (run_state() == RS_RUNNING) {
            cpus_resume();
        }
    }
    if (r & RQ_WAKEUP) {
        do_wakeup();
    }
    if (r & RQ_POWERDOWN) {
        monitor_event(&event_POWERDOWN, NULL);
        notify_call(&powerdown_notify, NULL);
    }
    if (r & RQ_STOP) {
        vm_stop(__atomic_load_n(&stop_state, __ATOMIC_RELAXED));
    }
}
