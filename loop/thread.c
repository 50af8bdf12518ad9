/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * thread.c - starting threads (pthreads(7)).
 *
 * Thread class: ANY_THREAD; thread_names is set before the first thread starts.
 *
 * Invariants:
 * 1. Our threads begin with all signals blocked, so that the main thread gets
 *    them, but for those that a thread's own instruction raises.
 */
#include <glib.h>
#include <signal.h>
#include "loop-impl.h"

typedef struct Start {
    void *(*fn)(void *arg);
    void *arg;
    char name[16];                     /* the kernel's limit                  */
} Start;

static bool names;                     /* atomic                              */

void thread_names(bool on)
{
    STORE_RELAXED(&names, on);
}

static void *thread_begin(void *arg)
{
    Start s = *(Start *)arg;

    g_free(arg);
    if (LOAD_RELAXED(&names)) {
        pthread_setname_np(pthread_self(), s.name);
    }
    return s.fn(s.arg);
}

bool thread_try(pthread_t *t, const char *name, void *(*fn)(void *), void *arg)
{
    static const int own[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP };
    Start *s = g_new(Start, 1);
    pthread_t detached;
    sigset_t all, old;
    int ret;

    *s = (Start){ fn, arg };
    g_strlcpy(s->name, name, sizeof(s->name));
    sigfillset(&all);
    for (unsigned i = 0; i < ARRAY_SIZE(own); i++) {
        sigdelset(&all, own[i]);
    }
    pthread_sigmask(SIG_SETMASK, &all, &old);
    ret = pthread_create(t ? t : &detached, NULL, thread_begin, s);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (ret) {
        g_free(s);
        errno = ret;
        return false;
    }
    if (!t) {
        pthread_detach(detached);
    }
    return true;
}

void thread_start(pthread_t *t, const char *name, void *(*fn)(void *),
                  void *arg)
{
    if (!thread_try(t, name, fn, arg)) {
        error_reportf("cannot start the thread '%s': %s", name,
                      strerror(errno));
        exit(1);
    }
}
