/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fdsets.c - descriptors that clients pass over Unix sockets: kept by name for
 * one session (getfd), or in sets for all (add-fd).
 *
 * MACHINE_CALL; a session's list is under mon_lock, because a session may end in
 * another thread. Invariant: a named descriptor is owned by the list, or by the
 * one who took it.
 */
#include <ctype.h>
#include <unistd.h>
#include "core/fdset.h"
#include "mon-impl.h"
#include "schema/schema.h"

static int received(Error **errp)
{
    int fd = mon_current && !mon_current->capture
        ? chr_take_fd(&mon_current->front) : -1;

    if (fd < 0) {
        error_set(errp, "No file descriptor supplied via SCM_RIGHTS");
    }
    return fd;
}

/* Takes the named entry out; NULL: none. */
static MonFd *unlink_fd(Monitor *m, const char *name)
{
    MonFd **p, *f = NULL;

    pthread_mutex_lock(&mon_lock);
    for (p = &m->fds; *p; p = &(*p)->next) {
        if (!strcmp((*p)->name, name)) {
            f = *p;
            *p = f->next;
            break;
        }
    }
    pthread_mutex_unlock(&mon_lock);
    return f;
}

static int free_entry(MonFd *f)
{
    int fd = f->fd;

    g_free(f->name);
    g_free(f);
    return fd;
}

bool cmd_getfd(const void *arg, void *ret, Error **errp)
{
    const GetfdArg *a = arg;
    int fd = received(errp);
    MonFd *f;

    if (fd < 0) {
        return false;
    }
    if (isdigit((unsigned char)a->fdname[0])) {
        close(fd);
        return error_set(errp, "Parameter 'fdname' expects a name not starting "
                         "with a digit");
    }
    f = unlink_fd(mon_current, a->fdname);
    if (f) {
        close(free_entry(f));
    }
    f = g_new0(MonFd, 1);
    f->name = g_strdup(a->fdname);
    f->fd = fd;
    pthread_mutex_lock(&mon_lock);
    f->next = mon_current->fds;
    mon_current->fds = f;
    pthread_mutex_unlock(&mon_lock);
    return true;
}

bool cmd_closefd(const void *arg, void *ret, Error **errp)
{
    const ClosefdArg *a = arg;
    MonFd *f = mon_current ? unlink_fd(mon_current, a->fdname) : NULL;

    if (!f) {
        return error_set(errp, "File descriptor named '%s' not found",
                         a->fdname);
    }
    close(free_entry(f));
    return true;
}

int mon_take_named_fd(const char *name, Error **errp)
{
    MonFd *f = mon_current ? unlink_fd(mon_current, name) : NULL;

    if (!f) {
        error_set(errp, "File descriptor named '%s' has not been found", name);
        return -1;
    }
    return free_entry(f);
}

int mon_take_fd(const char *name, Error **errp)
{
    char *end;

    if (isdigit((unsigned char)name[0])) {
        long n = strtol(name, &end, 10);

        if (*end || n > INT32_MAX) {
            error_set(errp, "Invalid file descriptor number '%s'", name);
            return -1;
        }
        return n;
    }
    return mon_take_named_fd(name, errp);
}

bool cmd_add_fd(const void *arg, void *ret, Error **errp)
{
    const AddFdArg *a = arg;
    AddfdInfo *r = ret;
    int fd = received(errp);

    if (fd < 0) {
        return false;
    }
    r->fd = fd;
    if (!fdset_add(fd, a->has_fdset_id, a->fdset_id, a->opaque, &r->fdset_id,
                   errp)) {
        close(fd);
        return false;
    }
    return true;
}

bool cmd_remove_fd(const void *arg, void *ret, Error **errp)
{
    const RemoveFdArg *a = arg;

    return fdset_remove(a->fdset_id, a->has_fd, a->fd, errp);
}

bool cmd_query_fdsets(const void *arg, void *ret, Error **errp)
{
    FdsetInfoList *l = ret;

    for (Fdset *s = fdset_first(); s; s = s->next) {
        FdsetInfo *i = SCHEMA_ADD(l);

        i->fdset_id = s->id;
        for (FdsetFd *f = s->fds; f; f = f->next) {
            if (!f->removed) {
                FdsetFdInfo *e = SCHEMA_ADD(&i->fds);

                e->fd = f->fd;
                e->opaque = g_strdup(f->opaque);
            }
        }
    }
    return true;
}
