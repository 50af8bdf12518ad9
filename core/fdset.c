/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fdset.c - sets of file descriptors that stand behind names /dev/fdset/N: one
 * set holds the same file opened in different modes, so that a sandboxed process
 * can "open" what it may not open itself.
 *
 * MACHINE_CALL. Invariant: a set exists while it holds a descriptor or a
 * duplicate of one is open; a removed descriptor goes when the last duplicate
 * does.
 */
#include <fcntl.h>
#include <glib.h>
#include <unistd.h>
#include "fdset.h"
#include "monitor.h"

static Fdset *sets;                    /* by ascending id                     */

Fdset *fdset_first(void)
{
    return sets;
}

static Fdset *fdset_find(int64_t id)
{
    Fdset *s = sets;

    while (s && s->id != id) {
        s = s->next;
    }
    return s;
}

static Fdset *fdset_make(int64_t id)
{
    Fdset **p = &sets, *s;

    if (id < 0) {                      /* the first free number               */
        id = 0;
        for (s = sets; s && s->id == id; s = s->next) {
            id++;
        }
    }
    while (*p && (*p)->id < id) {
        p = &(*p)->next;
    }
    if (*p && (*p)->id == id) {
        return *p;
    }
    s = g_new0(Fdset, 1);
    s->id = id;
    s->next = *p;
    *p = s;
    return s;
}

bool fdset_add(int fd, bool has_id, int64_t id, const char *opaque,
               int64_t *got_id, Error **errp)
{
    Fdset *s;
    FdsetFd *f, **last;

    if (has_id && id < 0) {
        return error_set(errp, "Parameter 'fdset-id' expects a non-negative "
                         "value");
    }
    s = fdset_make(has_id ? id : -1);
    f = g_new0(FdsetFd, 1);
    f->fd = fd;
    f->opaque = g_strdup(opaque);
    for (last = &s->fds; *last; last = &(*last)->next) {
    }
    *last = f;
    *got_id = s->id;
    return true;
}

static void fdset_tidy(Fdset *s)
{
    Fdset **p;

    if (!s->dups) {
        for (FdsetFd **q = &s->fds, *f; (f = *q);) {
            if (f->removed) {
                *q = f->next;
                close(f->fd);
                g_free(f->opaque);
                g_free(f);
            } else {
                q = &f->next;
            }
        }
    }
    if (s->fds || s->dups) {
        return;
    }
    for (p = &sets; *p != s; p = &(*p)->next) {
    }
    *p = s->next;
    g_free(s);
}

bool fdset_remove(int64_t id, bool has_fd, int64_t fd, Error **errp)
{
    Fdset *s = fdset_find(id);
    bool any = false;

    for (FdsetFd *f = s ? s->fds : NULL; f; f = f->next) {
        if (!has_fd || f->fd == fd) {
            f->removed = true;
            any = true;
        }
    }
    if (any) {
        fdset_tidy(s);
        return true;
    }
    return has_fd
        ? error_set(errp, "File descriptor named 'fdset-id:%" PRId64 ", fd:%"
                    PRId64 "' not found", id, fd)
        : error_set(errp, "File descriptor named 'fdset-id:%" PRId64
                    "' not found", id);
}

int fdset_open(int64_t set, int flags, Error **errp)
{
    Fdset *s = fdset_find(set);

    if (!s) {
        error_set(errp, "/dev/fdset/%" PRId64 ": there is no such set; add-fd "
                  "makes one", set);
        errno = ENOENT;
        return -1;
    }
    for (FdsetFd *f = s->fds; f; f = f->next) {
        int mode = fcntl(f->fd, F_GETFL), d;
        FdsetDup *dup;

        if (f->removed || mode < 0 ||
            (mode & O_ACCMODE) != (flags & O_ACCMODE)) {
            continue;
        }
        d = fcntl(f->fd, F_DUPFD_CLOEXEC, 3);
        if (d < 0) {
            error_set_errno(errp, errno, "/dev/fdset/%" PRId64, set);
            return -1;
        }
        if ((mode ^ flags) & (O_DIRECT | O_APPEND)) {
            fcntl(d, F_SETFL, (mode & ~(O_DIRECT | O_APPEND)) |
                  (flags & (O_DIRECT | O_APPEND)));
        }
        dup = g_new0(FdsetDup, 1);
        dup->fd = d;
        dup->next = s->dups;
        s->dups = dup;
        return d;
    }
    error_set(errp, "/dev/fdset/%" PRId64 ": no descriptor in it is open for "
              "%s", set, (flags & O_ACCMODE) == O_RDONLY ? "reading only"
              : (flags & O_ACCMODE) == O_WRONLY ? "writing only"
              : "reading and writing");
    errno = EACCES;
    return -1;
}

/* A descriptor of a set; errors with errno. */
static int open_in_set(const char *path, int flags, Error **errp)
{
    const char *set = path + strlen("/dev/fdset/");
    Error *err = NULL;
    char *end;
    uint64_t nr = g_ascii_strtoull(set, &end, 10);
    int fd;

    if (end == set || *end || nr > INT64_MAX) {
        error_set(errp, "Could not parse fdset %s", path);
        errno = EINVAL;
        return -1;
    }
    flags &= ~O_CLOEXEC;
    fd = fdset_open((int64_t)nr, flags, &err);
    if (fd < 0) {
        int e = errno;

        error_set_errno(errp, e, "Could not dup FD for %s flags %x", path,
                        (unsigned)flags);
        error_hint(errp, "%s", error_text(err));
        error_free(err);
        errno = e;
    }
    return fd;
}

int host_open(const char *path, int flags, unsigned mode, Error **errp)
{
    return g_str_has_prefix(path, "/dev/fdset/")
        ? open_in_set(path, flags, errp) : open(path, flags, mode);
}

void fdset_close(int fd)
{
    for (Fdset *s = sets; s; s = s->next) {
        for (FdsetDup **p = &s->dups, *d; (d = *p); p = &d->next) {
            if (d->fd == fd) {
                *p = d->next;
                g_free(d);
                close(fd);
                fdset_tidy(s);
                return;
            }
        }
    }
    close(fd);
}

/* With no client left that could use them, sets that nobody opened go. */
void fdset_drop_unused(void)
{
    Fdset *next;

    for (Fdset *s = sets; s; s = next) {
        next = s->next;
        for (FdsetFd *f = s->fds; f; f = f->next) {
            f->removed |= s->dups == NULL;
        }
        fdset_tidy(s);
    }
}
