/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * runstate.h - is the machine running, why not, and who asked for it to stop,
 * reset or power down.
 */
#ifndef TERN_RUNSTATE_H
#define TERN_RUNSTATE_H

#include "error.h"

/* QMP RunState, in the protocol's order. */
typedef enum RunStateNr {
    RS_DEBUG, RS_INMIGRATE, RS_INTERNAL_ERROR, RS_IO_ERROR, RS_PAUSED,
    RS_POSTMIGRATE, RS_PRELAUNCH, RS_FINISH_MIGRATE, RS_RESTORE_VM, RS_RUNNING,
    RS_SAVE_VM, RS_SHUTDOWN, RS_SUSPENDED, RS_WATCHDOG, RS_GUEST_PANICKED,
    RS_COLO,
} RunStateNr;
typedef enum ShutdownWhy {             /* QMP ShutdownCause                   */
    WHY_NONE, WHY_HOST_ERROR, WHY_HOST_QMP_QUIT, WHY_HOST_QMP_RESET,
    WHY_HOST_SIGNAL, WHY_HOST_UI, WHY_GUEST_SHUTDOWN, WHY_GUEST_RESET,
    WHY_GUEST_PANIC, WHY_SUBSYSTEM_RESET, WHY_SNAPSHOT_LOAD,
} ShutdownWhy;

RunStateNr run_state(void) ANY_THREAD;
const char *run_state_name(RunStateNr s);
/* -singlestep: told to clients; each instruction is one in any case. */
extern bool run_singlestep;
bool run_state_is_running(void) ANY_THREAD;
void run_state_set(RunStateNr s) MACHINE_CALL;
/* Stops vCPUs and the virtual clock, flushes disks; event STOP. From a vCPU
 * thread it only asks. */
void vm_stop(RunStateNr why) MACHINE_CALL;
/* The same at the end of the program, which clients hear of as SHUTDOWN. */
void vm_stop_for_exit(void) MACHINE_CALL;
bool vm_start(Error **errp) MACHINE_CALL;          /* event RESUME            */

/* Requests are carried out by the main loop. ANY_THREAD. */
void request_reset(ShutdownWhy why);
void request_shutdown(ShutdownWhy why);
void request_powerdown(void);
void request_suspend(void);
void request_wakeup(int reason);       /* 0 none, 1 rtc, 2 pmtimer, 3 other   */
void request_stop(RunStateNr why);
void request_debug(void);
void wakeup_enable(int reason, bool on);
bool wakeup_supported(void);
void wakeup_support_set(bool on);
/* Resets the board at once, vCPUs paused; sends RESET for a cold one. */
void system_reset_now(int kind, ShutdownWhy why) MACHINE_CALL;
/* The guest said it panicked (pvpanic, fw). bits: 1 panicked, 2 crash loaded. */
void guest_panicked(unsigned bits, const char *info) ANY_THREAD;
/* The same by Hyper-V's crash registers, which the event tells. */
void guest_panicked_hyperv(const uint64_t reg[5]) MACHINE_CALL;

/* A dump of memory is being written: the machine may not run (dump.c). */
bool dump_active(void) MACHINE_CALL;

/* -action and set-action. */
typedef struct Actions {
    int reboot;                        /* 0 reset, 1 shutdown                 */
    int shutdown;                      /* 0 poweroff, 1 pause                 */
    int panic;                         /* 0 pause, 1 shutdown, 2 exit-failure, 3 none */
    int watchdog;                      /* reset shutdown poweroff pause debug
                                          none inject-nmi                     */
} Actions;
extern Actions actions;
/* what: reboot, shutdown, panic, watchdog. */
bool action_set(const char *what, const char *value, Error **errp) MACHINE_CALL;

typedef struct RunNotify {
    void (*fn)(struct RunNotify *n, bool running, RunStateNr s);
    int priority;                      /* ascending on start, reverse on stop */
    struct RunNotify *next;
} RunNotify;
void run_notify_add(RunNotify *n) MACHINE_CALL;
void run_notify_del(RunNotify *n) MACHINE_CALL;

/* Events of the power button kind: ACPI listens. */
typedef struct Notify {
    void (*fn)(struct Notify *n, void *data);
    struct Notify *next;
} Notify;
typedef struct NotifyList {
    Notify *first;
} NotifyList;
void notify_add(NotifyList *l, Notify *n);
void notify_del(NotifyList *l, Notify *n);
void notify_call(NotifyList *l, void *data);
extern NotifyList powerdown_notify, suspend_notify, wakeup_notify,
                  shutdown_notify, exit_notify;

#endif
