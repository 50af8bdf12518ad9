/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * loop.h - event loops, timers, coroutines, worker pool, epochs.
 *
 * The main loop holds the machine lock while callbacks run, and drives the
 * default GMainContext once loop_use_glib() was called; an iothread's loop is
 * epoll with adaptive polling and never takes the machine lock. All data-path
 * objects belong to one loop.
 */
#ifndef TERN_LOOP_H
#define TERN_LOOP_H

#include <pthread.h>
#include <sys/uio.h>
#include "error.h"

typedef struct Loop Loop;

/* ---- work and loops ------------------------------------------------------ */
/* Embedded by its owner; posting one that is queued already does nothing. */
typedef struct Work {
    void (*fn)(void *arg);
    void *arg;
    struct Work *next;                 /* private                             */
    bool queued;                       /* private, atomic                     */
} Work;

extern Loop *const loop_main;          /* exists before main() runs           */
Loop *loop_self(void) ANY_THREAD;      /* this thread's; a vCPU holding the
                                          machine lock gets loop_main; NULL:
                                          no loop's                           */
Loop *loop_new(const char *name, Error **errp) ANY_THREAD;  /* own thread     */
/* Joins after the works that are queued have run. No fd and no timer may be
 * left, and no task in its pool. */
void loop_free(Loop *l) MACHINE_CALL;
/* Adaptive polling: ns to spin before sleeping, 0 off; grow/shrink factors,
 * 0: double / to zero. No effect on loop_main. */
void loop_set_polling(Loop *l, int64_t max_ns, int64_t grow, int64_t shrink)
    ANY_THREAD;
/* Most requests that one submission to the kernel should hold; 0: no limit. */
void loop_set_batch(Loop *l, int64_t max) ANY_THREAD;
int64_t loop_batch(const Loop *l) ANY_THREAD;
int loop_thread_id(const Loop *l);
const char *loop_name(const Loop *l);

/* fn runs in l, in order of posting, after the fd callbacks and timers of the
 * turn. So a work that a callback posts to its own loop runs once at the end of
 * the turn: the place to submit what the turn has gathered. */
void loop_post(Loop *l, Work *w) ANY_THREAD;
/* One-off form that allocates; for rare paths. */
void loop_post_fn(Loop *l, void (*fn)(void *), void *arg) ANY_THREAD;
/* Forgets a queued work; after return fn is not running and will not run (call
 * from l's thread, or under the machine lock for loop_main). */
void work_cancel(Loop *l, Work *w);
/* Runs fn in l and waits; the one wait allowed under the machine lock. */
void loop_run_sync(Loop *l, void (*fn)(void *), void *arg) MACHINE_CALL;

/* events: EPOLLIN, EPOLLOUT, EPOLLPRI; 0 removes. Replaces an earlier
 * registration of fd, which must be removed before fd is closed.
 * Level-triggered; fn gets EPOLLERR and EPOLLHUP too. LOOP_CALL(l), or
 * MACHINE_CALL for loop_main. fn may remove itself. A file that cannot be
 * waited for (a regular one) counts as always ready. */
typedef void LoopFdFn(void *arg, unsigned events);
void loop_fd(Loop *l, int fd, unsigned events, LoopFdFn *fn, void *arg);
/* A cheap check that the adaptive poller may call instead of waiting for the
 * registered fd: true when there is work (or poll has done some). fn(arg, 0)
 * follows: the work is there, fd need not be read. NULL removes.
 * LOOP_CALL(l). */
void loop_poll(Loop *l, int fd, bool (*poll)(void *arg));
/* Told when the poller begins and ends to look at fd by itself, so that the
 * other side may be asked not to notify meanwhile. poll is called once more
 * after spin(arg, false). LOOP_CALL(l). */
void loop_poll_spin(Loop *l, int fd, void (*spin)(void *arg, bool on));

/* main.c's body: runs until loop_quit(). Holds the machine lock except while
 * waiting. */
void loop_run(void) MACHINE_CALL;
void loop_quit(void) ANY_THREAD;
/* Runs loop_main once (block: waits for an event). For synchronous waits of
 * control code: while (!done) loop_step(true). MACHINE_CALL. */
bool loop_step(bool block) MACHINE_CALL;
/* From here on loop_main drives the default GMainContext as well; for parts
 * whose library attaches sources to it. Until then no GMainContext exists. */
void loop_use_glib(void) MACHINE_CALL;
/* fn runs in loop_main after signal signo has come, once for any number that
 * came meanwhile; from: the sender's process id, 0 when it was the kernel. fn
 * NULL: back to the default action. */
void loop_signal(int signo, void (*fn)(void *arg, int signo, pid_t from),
                 void *arg) MACHINE_CALL;

/* ---- clocks and timers --------------------------------------------------- */
typedef enum Clock {
    CLOCK_RT,                          /* host monotonic; runs always         */
    CLOCK_HOST,                        /* wall clock; may jump                */
    CLOCK_VM,                          /* virtual: stops with the machine     */
    CLOCK_VM_RT,                       /* virtual under soft rate control, else
                                          as CLOCK_RT                         */
    CLOCK__COUNT
} Clock;
int64_t clock_ns(Clock c) ANY_THREAD;
/* CLOCK_VM control: by machine start/stop, and by the qtest accelerator, which
 * takes the clock over: it moves only by clock_vm_step, and each due timer
 * fires at its own deadline. MACHINE_CALL. */
void clock_vm_run(bool on) MACHINE_CALL;
void clock_vm_manual(void) MACHINE_CALL;
/* Moves to `to` (ns), or to the next deadline when to < 0; returns the time. */
int64_t clock_vm_step(int64_t to) MACHINE_CALL;
int64_t clock_vm_deadline(void) MACHINE_CALL;      /* -1: none                */
void clock_vm_set(int64_t ns) MACHINE_CALL;        /* migration               */

typedef struct Timer {
    int64_t deadline;                  /* ns on `clock`; -1: not armed        */
    void (*fn)(void *arg);
    void *arg;
    Loop *loop;
    Clock clock;
    uint32_t slot;                     /* private: place in the heap          */
} Timer;
/* In loop l (NULL: loop_main). A timer is embedded by its owner and must be
 * cleared before the owner goes. */
void timer_init(Timer *t, Loop *l, Clock c, void (*fn)(void *), void *arg);
/* Fires once at the deadline or soon after it; timers with equal deadlines fire
 * in the order of setting. A deadline that has passed (or is negative) fires in
 * the loop's next turn. Replaces an earlier deadline. From l's thread, or any
 * thread for timers of loop_main with the machine lock; timer_set_any may be
 * called from any thread. */
void timer_set(Timer *t, int64_t deadline_ns);
void timer_set_any(Timer *t, int64_t deadline_ns) ANY_THREAD;
void timer_clear(Timer *t);            /* threads as timer_set                */
static inline bool timer_armed(const Timer *t)
{
    return __atomic_load_n(&t->deadline, __ATOMIC_RELAXED) >= 0;
}
#define NS_PER_S  1000000000ll
#define NS_PER_MS 1000000ll
#define NS_PER_US 1000ll

/* ---- coroutines: metadata code only -------------------------------------- */
typedef struct Co Co;
Co *co_new(void (*fn)(void *arg), void *arg);      /* freed when fn returns   */
void co_enter(Co *co);                 /* runs until yield or end; any thread's
                                          first enter ties it to loop_self()  */
void co_yield(void);
Co *co_self(void);                     /* NULL outside                        */
/* Enters it from its loop (the caller's, when it was never entered). A wake
 * that finds it still running makes its next yield return at once. */
void co_wake(Co *co) ANY_THREAD;
void co_sleep_ns(int64_t ns);
typedef struct CoQueue {
    Co *first, **last;
} CoQueue;
void co_queue_wait(CoQueue *q);
bool co_queue_next(CoQueue *q);        /* wakes the first waiter              */
void co_queue_all(CoQueue *q);
typedef struct CoMutex {
    bool held;
    CoQueue waiters;
} CoMutex;
void co_mutex_lock(CoMutex *m);
void co_mutex_unlock(CoMutex *m);

/* ---- worker pool --------------------------------------------------------- */
typedef struct PoolTask {
    int64_t (*run)(void *arg);         /* in a worker; may block              */
    void (*done)(void *arg, int64_t ret);          /* in the submitter's loop */
    void *arg;
    Loop *loop;                        /* private from here                   */
    int64_t ret;
    struct PoolTask *next;
    Work work;
} PoolTask;
void pool_submit(PoolTask *t);         /* from a loop's thread                */
/* Each loop has its own workers: started when tasks wait, at most max (64), and
 * ended after some idle seconds down to min (0). */
void loop_set_pool(Loop *l, unsigned min, unsigned max) ANY_THREAD;
void pool_limits(unsigned min_threads, unsigned max_threads);  /* loop_main's */
int64_t pool_co_run(int64_t (*run)(void *arg), void *arg);  /* in a coroutine */

/* ---- epochs: published data that readers use without a lock -------------- */
void epoch_enter(void) ANY_THREAD;     /* nestable; do not wait inside        */
void epoch_exit(void) ANY_THREAD;
/* Runs fn(p) in loop_main after every reader that could see p has left. */
void epoch_free(void (*fn)(void *), void *p) MACHINE_CALL;
void epoch_drain(void) MACHINE_CALL;   /* waits until all such fn have run    */

/* Threads of ours: name shown with -name debug-threads=on; signals blocked. t
 * NULL: detached. Ends the program when the host has no thread to give. */
void thread_start(pthread_t *t, const char *name, void *(*fn)(void *),
                  void *arg);
void thread_names(bool on);

#endif
