/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * signal.c - signals as events of the main loop (signal(7), signal-safety(7)).
 *
 * A handler rather than signalfd(2): a blocked signal mask would be inherited
 * by the helper programs that we start.
 *
 * Thread class: the handler runs wherever the kernel likes; the rest under the
 * machine lock.
 *
 * Invariants:
 * 1. The handler touches `pending`, `senders` and the main loop's wake_fd only.
 * 2. wake_fd exists before the first handler is set.
 */
#include <signal.h>
#include "loop-impl.h"

#define SIGNALS 65

typedef struct SignalRow {
    void (*fn)(void *arg, int signo, pid_t from);
    void *arg;
} SignalRow;

static SignalRow rows[SIGNALS];        /* under the machine lock              */
static uint64_t pending;               /* atomic; bit signo - 1               */
static pid_t senders[SIGNALS];         /* atomic                              */

static void signal_came(int signo, siginfo_t *info, void *ctx)
{
    pid_t from = info->si_code == SI_USER || info->si_code == SI_QUEUE ||
                 info->si_code == SI_TKILL ? info->si_pid : 0;

    STORE_RELAXED(&senders[signo], from);
    __atomic_fetch_or(&pending, 1ull << (signo - 1), __ATOMIC_SEQ_CST);
    loop_wake(loop_main);
}

void loop_signal(int signo, void (*fn)(void *arg, int signo, pid_t from),
                 void *arg)
{
    struct sigaction sa = { .sa_flags = SA_RESTART | SA_SIGINFO };

    assert(machine_locked() && signo > 0 && signo < SIGNALS);
    main_loop_open();
    sigfillset(&sa.sa_mask);
    rows[signo] = (SignalRow){ fn, arg };
    if (fn) {
        sa.sa_sigaction = signal_came;
    } else {
        sa.sa_handler = SIG_DFL;
        sa.sa_flags = 0;
    }
    sigaction(signo, &sa, NULL);
}

bool signals_pending(void)
{
    return LOAD(&pending) != 0;
}

bool signals_run(void)
{
    uint64_t todo;
    bool any = false;

    if (!LOAD_RELAXED(&pending)) {
        return false;
    }
    todo = __atomic_exchange_n(&pending, 0, __ATOMIC_SEQ_CST);
    while (todo) {
        int signo = __builtin_ctzll(todo) + 1;
        SignalRow r = rows[signo];

        todo &= todo - 1;
        if (r.fn) {
            r.fn(r.arg, signo, LOAD_RELAXED(&senders[signo]));
            any = true;
        }
    }
    return any;
}
