/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * coroutine.c - coroutines with a stack each (System V ABI AMD64 section 3.2.1
 * for what a switch must keep; makecontext(3) elsewhere), queues and mutexes of
 * coroutines.
 *
 * Thread class: a coroutine runs in the loop in which it was first entered; for
 * loop_main any holder of the machine lock may run it. co_new and co_wake are
 * ANY_THREAD.
 *
 * Invariants:
 * 1. A coroutine is active from its enter to its yield or end; only an inactive
 *    one is entered.
 * 2. `current` is only reached through functions that are not inlined: a
 *    coroutine of loop_main may go on in another thread than the one it yielded
 *    in, and the compiler must not keep the address of a thread's variable.
 * 3. The page below a stack is not mapped: an overflow faults.
 * 4. MXCSR and the x87 control word are not switched; nothing that yields
 *    changes them.
 */
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>
#include "loop-impl.h"

#if !defined(__x86_64__) || defined(CO_UCONTEXT)
# include <ucontext.h>
# define CO_USES_UCONTEXT 1
#endif
#ifdef LOOP_ASAN
# include <sanitizer/common_interface_defs.h>
# include <sanitizer/lsan_interface.h>
#endif
#ifdef LOOP_TSAN
# include <sanitizer/tsan_interface.h>
#endif

#define NOINLINE __attribute__((noinline))
/* The thread sanitizer keeps a record of calls for each stack. These functions
 * are left by a switch and not by returning, so they must not be in it. */
#if defined(LOOP_TSAN) && defined(__clang__)
# define UNRECORDED NOINLINE __attribute__((disable_sanitizer_instrumentation))
#elif defined(LOOP_TSAN)
# define UNRECORDED NOINLINE __attribute__((no_sanitize_thread))
#else
# define UNRECORDED
#endif

/* Address space only; memory is used as far down as calls went. */
#define STACK_SIZE (1024 * KiB)
#define GUARD_SIZE (64 * KiB)          /* of any page size                    */
#define SPARE_MAX  32                  /* stacks kept for later               */

#ifdef CO_USES_UCONTEXT
typedef ucontext_t CoRegs;
#else
typedef void *CoRegs;                  /* the stack pointer; rest is on it    */
#endif

/* At the top of its own stack. */
struct Co {
    void (*fn)(void *arg);
    void *arg;
    Loop *loop;                        /* NULL: never entered                 */
    Co *caller;                        /* NULL: a thread                      */
    CoRegs regs, caller_regs;
    char *base;                        /* of the mapping; the guard is there  */
    Co *next;                          /* in a queue, or among the spare      */
    Work wake;
    bool active, ended, again, queued;
#ifdef LOOP_ASAN
    void *fake, *caller_fake;
    const void *caller_bottom;
    size_t caller_size;
#endif
#ifdef LOOP_TSAN
    void *fiber, *caller_fiber;
#endif
};

static __thread Co *current;
#ifdef LOOP_TSAN
static __thread void *thread_fiber;    /* of the thread's own stack           */
#endif

static pthread_mutex_t spare_lock = PTHREAD_MUTEX_INITIALIZER;
static Co *spare;                      /* under spare_lock                    */
static unsigned n_spare;

static NOINLINE Co *current_get(void)
{
    __asm__ volatile("");
    return current;
}

static NOINLINE void current_set(Co *co)
{
    __asm__ volatile("");
    current = co;
}

/* ---- the switch ---------------------------------------------------------- */

static void co_main(void) __attribute__((noreturn));

#ifdef CO_USES_UCONTEXT

static void regs_init(Co *co)
{
    getcontext(&co->regs);
    co->regs.uc_stack.ss_sp = co->base + GUARD_SIZE;
    co->regs.uc_stack.ss_size = (char *)co - (co->base + GUARD_SIZE);
    co->regs.uc_link = NULL;
    makecontext(&co->regs, co_main, 0);
}

static UNRECORDED void regs_switch(CoRegs *save, CoRegs *to)
{
    swapcontext(save, to);
}

#else

void co_switch_stack(void **save, void *to)
    __attribute__((visibility("hidden")));

__asm__(
    ".text\n"
    ".p2align 4\n"
    ".globl co_switch_stack\n"
    ".hidden co_switch_stack\n"
    ".type co_switch_stack, @function\n"
    "co_switch_stack:\n"
    "    pushq %rbp\n"
    "    pushq %rbx\n"
    "    pushq %r12\n"
    "    pushq %r13\n"
    "    pushq %r14\n"
    "    pushq %r15\n"
    "    movq %rsp, (%rdi)\n"
    "    movq %rsi, %rsp\n"
    "    popq %r15\n"
    "    popq %r14\n"
    "    popq %r13\n"
    "    popq %r12\n"
    "    popq %rbx\n"
    "    popq %rbp\n"
    "    ret\n"
    ".size co_switch_stack, .-co_switch_stack\n");

static void regs_init(Co *co)
{
    void **sp = (void **)((uintptr_t)co & ~(uintptr_t)15);

    *--sp = NULL;                      /* co_main's return address: none      */
    *--sp = (void *)co_main;
    for (int i = 0; i < 6; i++) {
        *--sp = NULL;
    }
    co->regs = sp;
}

static UNRECORDED void regs_switch(CoRegs *save, CoRegs *to)
{
    co_switch_stack(save, *to);
}

#endif

/* The sanitizers want to know of both sides of each switch. */
static UNRECORDED void switch_in(Co *co)
{
#ifdef LOOP_ASAN
    __sanitizer_start_switch_fiber(&co->caller_fake, co->base + GUARD_SIZE,
                                   STACK_SIZE);
#endif
#ifdef LOOP_TSAN
    if (!co->caller) {
        thread_fiber = __tsan_get_current_fiber();
    }
    co->caller_fiber = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(co->fiber, 0);
#endif
    regs_switch(&co->caller_regs, &co->regs);
#ifdef LOOP_ASAN
    __sanitizer_finish_switch_fiber(co->caller_fake, NULL, NULL);
#endif
}

static UNRECORDED void switched_in(Co *co)
{
#ifdef LOOP_ASAN
    __sanitizer_finish_switch_fiber(co->fake, &co->caller_bottom,
                                    &co->caller_size);
#endif
}

static UNRECORDED void switch_out(Co *co)
{
#ifdef LOOP_ASAN
    __sanitizer_start_switch_fiber(co->ended ? NULL : &co->fake,
                                   co->caller_bottom, co->caller_size);
#endif
#ifdef LOOP_TSAN
    __tsan_switch_to_fiber(co->caller_fiber, 0);
#endif
    regs_switch(&co->regs, &co->caller_regs);
    switched_in(co);
}

static UNRECORDED void co_main(void)
{
    Co *co = current_get();

    switched_in(co);
    co->fn(co->arg);
    co->ended = true;
    current_set(co->caller);
    switch_out(co);
    __builtin_unreachable();
}

/* Around waits inside a coroutine: the sanitizer counts a mutex as held by the
 * stack that locked it, and the machine lock belongs to the thread's own. */
UNRECORDED void *co_fiber_leave(void)
{
#ifdef LOOP_TSAN
    void *fiber = __tsan_get_current_fiber();

    if (current_get()) {
        __tsan_switch_to_fiber(thread_fiber, 0);
        return fiber;
    }
#endif
    return NULL;
}

UNRECORDED void co_fiber_return(void *fiber)
{
#ifdef LOOP_TSAN
    if (fiber) {
        __tsan_switch_to_fiber(fiber, 0);
    }
#endif
}

/* ---- stacks -------------------------------------------------------------- */

static Co *stack_map(void)
{
    size_t size = GUARD_SIZE + STACK_SIZE;
    char *base = mmap(NULL, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE,
                      -1, 0);
    Co *co;

    if (base == MAP_FAILED || mprotect(base, GUARD_SIZE, PROT_NONE) < 0) {
        error_reportf("no memory for the stack of a coroutine: %s",
                      strerror(errno));
        abort();
    }
    co = (Co *)(base + ALIGN_DOWN(size - sizeof(*co), 64));
#ifdef LOOP_ASAN
    /* What only a waiting coroutine points to is not a leak. */
    __lsan_register_root_region(base + GUARD_SIZE, STACK_SIZE);
#endif
    co->base = base;
#ifdef LOOP_TSAN
    co->fiber = __tsan_create_fiber(0);
#endif
    return co;
}

static void stack_unmap(Co *co)
{
    char *base = co->base;

#ifdef LOOP_TSAN
    __tsan_destroy_fiber(co->fiber);
#endif
#ifdef LOOP_ASAN
    __lsan_unregister_root_region(base + GUARD_SIZE, STACK_SIZE);
#endif
    munmap(base, GUARD_SIZE + STACK_SIZE);
}

static Co *stack_take(void)
{
    Co *co;

    pthread_mutex_lock(&spare_lock);
    co = spare;
    if (co) {
        spare = co->next;
        n_spare--;
    }
    pthread_mutex_unlock(&spare_lock);
    return co ? co : stack_map();
}

static void stack_give(Co *co)
{
    bool keep;

    pthread_mutex_lock(&spare_lock);
    keep = n_spare < SPARE_MAX;
    if (keep) {
        co->next = spare;
        spare = co;
        n_spare++;
    }
    pthread_mutex_unlock(&spare_lock);
    if (!keep) {
        stack_unmap(co);
    }
}

/* ---- coroutines ---------------------------------------------------------- */

void co_resume(Co *co)
{
    if (co->active) {
        co->again = true;
    } else {
        co_enter(co);
    }
}

static void wake_run(void *arg)
{
    co_resume(arg);
}

Co *co_new(void (*fn)(void *arg), void *arg)
{
    Co *co = stack_take();

    *co = (Co){
        .fn = fn, .arg = arg, .base = co->base,
        .wake = { .fn = wake_run, .arg = co },
#ifdef LOOP_TSAN
        .fiber = co->fiber,
#endif
    };
    regs_init(co);
    return co;
}

Co *co_self(void)
{
    return current_get();
}

void co_enter(Co *co)
{
    if (!co->loop) {
        STORE(&co->loop, loop_self());
        assert(co->loop);
    }
    loop_assert(co->loop);
    assert(!co->active);
    co->active = true;
    co->caller = current_get();
    current_set(co);
    switch_in(co);
    if (!co->ended) {
        return;
    }
    work_cancel(co->loop, &co->wake);
    stack_give(co);
}

void co_yield(void)
{
    Co *co = current_get();

    assert(co);
    if (co->again) {
        co->again = false;
        return;
    }
    co->active = false;
    current_set(co->caller);
    switch_out(co);
}

void co_wake(Co *co)
{
    Loop *l = LOAD(&co->loop);

    if (!l) {
        l = loop_self();
    }
    loop_post(l ? l : loop_main, &co->wake);
}

void co_sleep_ns(int64_t ns)
{
    Co *co = current_get();
    Timer t;

    timer_init(&t, co->loop, CLOCK_RT, wake_run, co);
    timer_set(&t, clock_ns(CLOCK_RT) + MAX2(ns, 0));
    while (timer_armed(&t)) {
        co_yield();
    }
}

/* ---- queues and mutexes: of the coroutines of one loop ------------------- */

void co_queue_wait(CoQueue *q)
{
    Co *co = current_get();

    assert(co);
    if (!q->first) {
        q->last = &q->first;
    }
    co->next = NULL;
    co->queued = true;
    *q->last = co;
    q->last = &co->next;
    while (co->queued) {
        co_yield();
    }
}

bool co_queue_next(CoQueue *q)
{
    Co *co = q->first;

    if (!co) {
        return false;
    }
    q->first = co->next;
    co->queued = false;
    co_wake(co);
    return true;
}

void co_queue_all(CoQueue *q)
{
    while (co_queue_next(q)) {
        continue;
    }
}

void co_mutex_lock(CoMutex *m)
{
    if (!m->held) {
        m->held = true;
        return;
    }
    co_queue_wait(&m->waiters);
}

/* Hands the mutex on, so that waiters get it in order and none starves. */
void co_mutex_unlock(CoMutex *m)
{
    assert(m->held);
    m->held = co_queue_next(&m->waiters);
}
