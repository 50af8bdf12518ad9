/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pty.c - a pseudo-terminal (pty(7)); the other end is /dev/pts/N.
 *
 * Thread class: MACHINE_CALL, in the main loop.
 *
 * Invariants
 * 1. The port is open while somebody has the other end open. The kernel says so
 *    only when asked (POLLHUP is level-triggered): once a second, and at each
 *    write.
 * 2. The descriptor is watched only while the port is open.
 */
#include <fcntl.h>
#include <glib.h>
#include <poll.h>
#include <sys/epoll.h>
#include <termios.h>
#include <unistd.h>
#include "chardev/chr-priv.h"
#include "monitor.h"

typedef struct PtyChr {
    CharPort p;
    int fd;
    char *name;
    unsigned events;
    bool want_out;
    Timer look;
    Work open_work;                    /* a write found it open               */
} PtyChr;

static void pty_event(void *arg, unsigned events);

static void update(PtyChr *c)
{
    unsigned events = 0;

    if (c->p.open) {
        events = (chr_can_receive(&c->p) > 0 ? EPOLLIN : 0) |
                 (c->want_out ? EPOLLOUT : 0);
    }
    if (events != c->events) {
        c->events = events;
        loop_fd(loop_main, c->fd, events, pty_event, c);
    }
    if (!events && !timer_armed(&c->look)) {
        timer_set(&c->look, clock_ns(CLOCK_RT) + NS_PER_S);
    }
}

static bool other_end(const PtyChr *c)
{
    struct pollfd pfd = { .fd = c->fd, .events = POLLOUT };

    return poll(&pfd, 1, 0) >= 0 && !(pfd.revents & POLLHUP);
}

static void set_state(PtyChr *c, bool open)
{
    if (c->p.open != open) {
        chr_event(&c->p, open ? CHR_OPENED : CHR_CLOSED);
        if (!open && c->want_out) {
            c->want_out = false;
            chr_writable(&c->p);
        }
    }
    update(c);
}

static void look(void *arg)
{
    set_state(arg, other_end(arg));
}

static void pty_event(void *arg, unsigned events)
{
    PtyChr *c = arg;
    uint8_t buf[4096];
    int room = chr_can_receive(&c->p);
    ssize_t n;

    if (events & EPOLLOUT && c->want_out) {
        c->want_out = false;
        chr_writable(&c->p);
    }
    if (events & EPOLLIN && room > 0) {
        n = read(c->fd, buf, MIN2((size_t)room, sizeof(buf)));
        if (n > 0) {
            chr_receive(&c->p, buf, n);
            if (c->fd >= 0) {
                update(c);
            }
            return;
        }
    }
    if (events & (EPOLLHUP | EPOLLERR)) {
        set_state(c, false);
    } else {
        update(c);
    }
}

static ssize_t pty_write(CharPort *p, const void *buf, size_t n)
{
    PtyChr *c = (PtyChr *)p;
    ssize_t w;

    if (!p->open) {
        if (!other_end(c)) {
            return n;                  /* nobody reads, nothing is kept       */
        }
        loop_post(loop_main, &c->open_work);
    }
    do {
        w = write(c->fd, buf, n);
    } while (w < 0 && errno == EINTR);
    return w >= 0 ? w : errno == EAGAIN ? -EAGAIN : (ssize_t)n;
}

static void pty_accept_input(CharPort *p)
{
    update((PtyChr *)p);
}

static void pty_want_write(CharPort *p)
{
    PtyChr *c = (PtyChr *)p;

    c->want_out = true;
    update(c);
}

static bool pty_open(CharPort *p, Error **errp)
{
    PtyChr *c = (PtyChr *)p;
    char name[128];
    struct termios t;
    int slave = -1;

    c->fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (c->fd >= 0 && !grantpt(c->fd) && !unlockpt(c->fd) &&
        !ptsname_r(c->fd, name, sizeof(name))) {
        slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    }
    if (slave < 0) {
        error_set_errno(errp, errno, "Failed to create PTY");
        if (c->fd >= 0) {
            close(c->fd);
        }
        return false;
    }
    tcgetattr(slave, &t);
    cfmakeraw(&t);
    tcsetattr(slave, TCSAFLUSH, &t);
    close(slave);                      /* from now on POLLHUP tells           */
    c->name = g_strdup(name);
    c->open_work = (Work){ .fn = look, .arg = c };
    timer_init(&c->look, NULL, CLOCK_RT, look, c);
    timer_set(&c->look, clock_ns(CLOCK_RT) + NS_PER_S);
    if (mon_is_hmp()) {
        mon_printf("char device redirected to %s (label %s)\n", name,
                   p->label);
    } else if (!mon_current) {
        printf("char device redirected to %s (label %s)\n", name, p->label);
        fflush(stdout);
    }
    return true;
}

static void pty_close(CharPort *p)
{
    PtyChr *c = (PtyChr *)p;

    p->open = false;
    update(c);
    timer_clear(&c->look);
    work_cancel(loop_main, &c->open_work);
    close(c->fd);
    c->fd = -1;
    g_free(c->name);
}

static void pty_name(const CharPort *p, char *buf, size_t n)
{
    snprintf(buf, n, "pty:%s", ((const PtyChr *)p)->name);
}

static bool pty_short(const char *text, Json *opts, Error **errp)
{
    return !strcmp(text, "pty");
}

CHAR_DRIVER(chr_pty, {
    .name = "pty", .type = "chardev-pty", .size = sizeof(PtyChr),
    .desc = "pseudo-terminal",
    .doc = "Makes a pseudo-terminal and says its name on standard output.",
    .short_form = pty_short, .open = pty_open, .close = pty_close,
    .write = pty_write, .accept_input = pty_accept_input,
    .want_write = pty_want_write, .filename = pty_name,
});
