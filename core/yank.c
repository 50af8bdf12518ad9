/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * yank.c - the list of connections that can be broken.
 *
 * Thread class: ANY_THREAD; the list is guarded by a leaf mutex. Invariants:
 *  1. A point's fd is an open socket: its owner takes it out before closing it.
 *  2. The owner hears of the break as of one by the other side, in its own
 *     thread; here nothing of it is touched but its point.
 */
#include <glib.h>
#include <pthread.h>
#include <sys/socket.h>
#include "yank.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static YankPoint *first;

void yank_add(YankPoint *y, YankKind kind, const char *name)
{
    YankPoint **at = &first;

    *y = (YankPoint){ .kind = kind, .name = g_strdup(name), .fd = -1 };
    pthread_mutex_lock(&lock);
    while (*at) {
        at = &(*at)->next;
    }
    *at = y;
    pthread_mutex_unlock(&lock);
}

void yank_remove(YankPoint *y)
{
    YankPoint **at = &first;

    if (!y->name) {
        return;
    }
    pthread_mutex_lock(&lock);
    while (*at != y) {
        at = &(*at)->next;
    }
    *at = y->next;
    pthread_mutex_unlock(&lock);
    g_free(y->name);
    y->name = NULL;
}

void yank_connected(YankPoint *y, int fd)
{
    pthread_mutex_lock(&lock);
    y->fd = fd;
    pthread_mutex_unlock(&lock);
}

void yank_each(void (*fn)(const YankPoint *y, void *arg), void *arg)
{
    pthread_mutex_lock(&lock);
    for (const YankPoint *y = first; y; y = y->next) {
        fn(y, arg);
    }
    pthread_mutex_unlock(&lock);
}

static YankPoint *find(const YankName *n)
{
    YankPoint *y = first;

    while (y && (y->kind != n->kind || (n->kind != YANK_MIGRATION &&
                                        strcmp(y->name, n->name)))) {
        y = y->next;
    }
    return y;
}

bool yank_pull(const YankName *names, size_t n)
{
    bool all = true;

    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < n && all; i++) {
        all = find(&names[i]) != NULL;
    }
    for (size_t i = 0; i < n && all; i++) {
        YankPoint *y = find(&names[i]);

        if (y->fd >= 0) {
            __atomic_store_n(&y->pulled, true, __ATOMIC_RELEASE);
            shutdown(y->fd, SHUT_RDWR);
        }
    }
    pthread_mutex_unlock(&lock);
    return all;
}
