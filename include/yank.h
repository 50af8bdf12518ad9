/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * yank.h - connections that query-yank lists and yank breaks: what may make this
 * program wait for another one. Each owner keeps a point of its own.
 */
#ifndef TERN_YANK_H
#define TERN_YANK_H

#include "base.h"

typedef enum YankKind { YANK_NODE, YANK_CHARDEV, YANK_MIGRATION } YankKind;

typedef struct YankPoint {
    struct YankPoint *next;            /* private, as all that follows        */
    YankKind kind;
    char *name;                        /* NULL: not in the list               */
    int fd;                            /* -1: not connected                   */
    bool pulled;                       /* atomic                              */
} YankPoint;

/* Enters y under this name (of a node or a chardev), or takes it out; out twice
 * is once. ANY_THREAD. */
void yank_add(YankPoint *y, YankKind kind, const char *name);
void yank_remove(YankPoint *y);
/* The connection's socket; -1 before it is closed. ANY_THREAD. */
void yank_connected(YankPoint *y, int fd);
/* Whether a connection of y was ever broken by yank. ANY_THREAD. */
static inline bool yank_pulled(const YankPoint *y)
{
    return __atomic_load_n(&y->pulled, __ATOMIC_ACQUIRE);
}

/* Calls fn for each, oldest first; fn calls nothing of this file. ANY_THREAD. */
void yank_each(void (*fn)(const YankPoint *y, void *arg), void *arg);
/* Shuts the connections of these down, in both directions, or does nothing when
 * one of them is not there: false. name is not looked at for the migration.
 * Never waits. ANY_THREAD. */
typedef struct YankName {
    YankKind kind;
    const char *name;
} YankName;
bool yank_pull(const YankName *names, size_t n);

#endif
