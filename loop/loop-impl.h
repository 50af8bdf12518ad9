/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * loop-impl.h - what the files of loop/ know of each other. Nothing outside
 * includes it.
 */
#ifndef LOOP_LOOP_IMPL_H
#define LOOP_LOOP_IMPL_H

#include <assert.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include "loop.h"

#if defined(__SANITIZE_THREAD__)
# define LOOP_TSAN 1
#elif defined(__has_feature)
# if __has_feature(thread_sanitizer)
#  define LOOP_TSAN 1
# endif
#endif
#if defined(__SANITIZE_ADDRESS__)
# define LOOP_ASAN 1
#elif defined(__has_feature)
# if __has_feature(address_sanitizer)
#  define LOOP_ASAN 1
# endif
#endif

typedef struct FdSlot {
    LoopFdFn *fn;                      /* NULL: nobody's                      */
    void *arg;
    bool (*poll)(void *arg);
    void (*spin)(void *arg, bool on);
    uint32_t gen;                      /* tells stale events from fresh ones  */
    unsigned events;
    bool always;                       /* epoll refuses it: always ready      */
} FdSlot;

typedef struct HeapItem {
    int64_t key;                       /* deadline, raised to the pass's time */
    uint64_t order;
    Timer *timer;
} HeapItem;

typedef struct TimerHeap {
    HeapItem *v;
    uint32_t n, cap;
    int64_t pass;                      /* time of the pass under way, or
                                          INT64_MIN                           */
} TimerHeap;

typedef struct Pool {
    pthread_mutex_t lock;
    pthread_cond_t wake, gone;
    PoolTask *first, **last;
    unsigned queued, threads, idle, min, max;
    bool stop, ready;                  /* ready: wake and gone exist          */
} Pool;

typedef struct WorkList {
    Work *first, **last;               /* last NULL: empty                    */
} WorkList;

struct Loop {
    char *name;
    bool is_main;
    bool stop;                         /* atomic                              */
    int epfd, wake_fd, tid;
    pthread_t thread;
    sem_t started;
    Loop *next;                        /* in the registry, or among the spare */

    Work *posted;                      /* atomic; newest first                */
    WorkList incoming, running;        /* owner's                             */
    int sleepers;                      /* atomic; who must be woken           */
    bool wake_sent;                    /* atomic; wake_fd is or will be
                                          readable                            */

    FdSlot *fds;                       /* by fd                               */
    unsigned fds_cap, nfds, n_always;
    int *polled;                       /* fds with a poll function            */
    unsigned n_polled, polled_cap;

    int64_t poll_max, poll_grow, poll_shrink, batch;   /* atomic              */
    int64_t spin_ns;                   /* now                                 */
    bool spinning;
    unsigned hits;                     /* since the kernel was last asked     */

    pthread_mutex_t timer_lock;        /* leaf                                */
    TimerHeap heap[CLOCK__COUNT];
    uint64_t timer_order;
    uint32_t timers_armed;             /* atomic for readers without the lock */
    int host_fd;                       /* tells of jumps of the wall clock    */

    uint64_t turn;
    Pool pool;
};

/* What epoll_event.data says beside (gen << 32 | fd). */
#define EVENT_WAKE ((uint64_t)-1)
#define EVENT_HOST ((uint64_t)-2)
#define LOOP_EVENTS 64

#define LOAD(p)        __atomic_load_n(p, __ATOMIC_SEQ_CST)
#define LOAD_RELAXED(p) __atomic_load_n(p, __ATOMIC_RELAXED)
#define STORE(p, v)    __atomic_store_n(p, v, __ATOMIC_SEQ_CST)
#define STORE_RELAXED(p, v) __atomic_store_n(p, v, __ATOMIC_RELAXED)
static inline bool swap_flag(bool *p, bool v)
{
    return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST);
}

/* loop.c */
extern __thread Loop *loop_of_thread;
void loop_open(Loop *l);               /* epfd and wake_fd                    */
void loop_wake(Loop *l) ANY_THREAD;    /* whether it sleeps or not            */
static inline void loop_wake_sleeper(Loop *l)
{
    if (LOAD(&l->sleepers)) {
        loop_wake(l);
    }
}
void loop_assert(const Loop *l);       /* the caller may touch l's data       */
int64_t loop_timeout(Loop *l);         /* ns, 0: do not wait, -1: for ever    */
int loop_wait(int epfd, struct epoll_event *ev, int64_t ns);
bool works_run(Loop *l);
/* Calls fn for each live loop, without a lock held. MACHINE_CALL keeps them. */
void loop_each(void (*fn)(Loop *l, void *arg), void *arg) MACHINE_CALL;

/* fds.c: returns true when a callback ran */
bool fds_dispatch(Loop *l, const struct epoll_event *ev, int n, bool may_drain);
typedef enum Spin {
    SPIN_NONE,                         /* nothing came                        */
    SPIN_EVENT,                        /* ask the kernel, without waiting     */
    SPIN_HIT,                          /* something was done                  */
} Spin;
Spin fds_spin(Loop *l, int64_t began);
bool fds_spin_end(Loop *l);
void fds_adapt(Loop *l, int64_t idle_ns, int64_t max_ns);
void fds_release(Loop *l);

/* main-loop.c */
void main_loop_open(void) ANY_THREAD;

/* signal.c */
bool signals_pending(void);
bool signals_run(void) MACHINE_CALL;

/* timer.c */
void timers_init(Loop *l);
void timers_release(Loop *l);
int64_t timers_timeout(Loop *l);       /* as loop_timeout                     */
bool timers_run(Loop *l);
bool timers_run_vm(Loop *l);
int64_t timers_vm_deadline(Loop *l) ANY_THREAD;    /* -1: none                */
void timers_host_jumped(Loop *l);

/* clock.c */
typedef enum VmMode { VM_STOPPED, VM_RUNNING, VM_MANUAL } VmMode;
VmMode clock_vm_read(int64_t *now) ANY_THREAD;

/* pool.c */
void pool_init(Pool *p);
void pool_stop(Pool *p);

/* coroutine.c: enters co, or makes its next yield return at once; in its loop */
void co_resume(Co *co);
/* Around what locks and unlocks in the thread's name; for the sanitizer. */
void *co_fiber_leave(void);
void co_fiber_return(void *fiber);

/* thread.c */
bool thread_try(pthread_t *t, const char *name, void *(*fn)(void *), void *arg);

#endif
