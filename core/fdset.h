/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fdset.h - see fdset.c; fdset_open and fdset_close are in monitor.h. */
#ifndef TERN_FDSET_H
#define TERN_FDSET_H

#include "error.h"

typedef struct FdsetFd {
    struct FdsetFd *next;
    char *opaque;
    int fd;
    bool removed;                      /* goes with the last duplicate        */
} FdsetFd;
typedef struct FdsetDup {
    struct FdsetDup *next;
    int fd;
} FdsetDup;
typedef struct Fdset {
    struct Fdset *next;
    int64_t id;
    FdsetFd *fds;
    FdsetDup *dups;
} Fdset;

Fdset *fdset_first(void);
/* Takes fd over on success. */
bool fdset_add(int fd, bool has_id, int64_t id, const char *opaque,
               int64_t *got_id, Error **errp);
bool fdset_remove(int64_t id, bool has_fd, int64_t fd, Error **errp);
void fdset_drop_unused(void);

#endif
