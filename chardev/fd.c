/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fd.c - character ports over descriptors: the common part, and file, pipe,
 * stdio and null.
 *
 * Thread class: the port's loop, or the machine lock.
 *
 * Invariants:
 * 1. Input is watched only while the front end has room: a full front end costs
 *    no wake-ups.
 * 2. Input that has ended is not watched again; output goes on.
 */
#include <fcntl.h>
#include <glib.h>
#include <sys/epoll.h>
#include <termios.h>
#include <unistd.h>
#include "chardev/chr-priv.h"
#include "monitor.h"

/* ---- common -------------------------------------------------------------- */

static void fd_event(void *arg, unsigned events);
static void fd_out_event(void *arg, unsigned events);

static void update(FdChr *c)
{
    bool both = c->in == c->out;
    unsigned in = c->in_on ? EPOLLIN : 0, out = c->out_on ? EPOLLOUT : 0;

    if (both) {
        in |= out;
    }
    if (in != c->in_events && c->in >= 0) {
        c->in_events = in;
        loop_fd(c->p.loop, c->in, in, fd_event, c);
    }
    if (!both && out != c->out_events && c->out >= 0) {
        c->out_events = out;
        loop_fd(c->p.loop, c->out, out, fd_out_event, c);
    }
}

static void fd_read(FdChr *c)
{
    uint8_t buf[4096];
    int room = chr_can_receive(&c->p);
    ssize_t n;

    if (room <= 0) {
        c->in_on = false;
        return;
    }
    n = read(c->in, buf, MIN2((size_t)room, sizeof(buf)));
    if (n > 0) {
        chr_receive(&c->p, buf, n);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        c->in_on = false;
        c->in_ended = true;
        update(c);
        chr_event(&c->p, CHR_CLOSED);
    }
}

static void fd_out_event(void *arg, unsigned events)
{
    FdChr *c = arg;

    c->out_on = false;
    update(c);
    chr_writable(&c->p);
}

static void fd_event(void *arg, unsigned events)
{
    FdChr *c = arg;

    if (c->out_on && c->in == c->out && events & (EPOLLOUT | EPOLLERR)) {
        fd_out_event(c, events);
    }
    if (c->in_on && events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        fd_read(c);
    }
    update(c);
}

static void watch_now(void *arg)
{
    FdChr *c = arg;

    if (loop_self() != c->p.loop) {    /* it has moved meanwhile              */
        loop_post(c->p.loop, &c->watch_work);
        return;
    }
    if (c->in >= 0 && !c->in_ended && chr_can_receive(&c->p) > 0) {
        c->in_on = true;
    }
    if (c->out >= 0 && __atomic_exchange_n(&c->want_out, false,
                                           __ATOMIC_ACQ_REL)) {
        c->out_on = true;
    }
    update(c);
}

/* Callers may be in another thread than the port's loop. */
static void ask_watch(FdChr *c)
{
    if (loop_self() == c->p.loop) {
        watch_now(c);
    } else {
        loop_post(c->p.loop, &c->watch_work);
    }
}

void fdchr_accept_input(CharPort *p)
{
    ask_watch((FdChr *)p);
}

void fdchr_want_write(CharPort *p)
{
    FdChr *c = (FdChr *)p;

    __atomic_store_n(&c->want_out, true, __ATOMIC_RELEASE);
    ask_watch(c);
}

static void leave_loop(void *arg)
{
    FdChr *c = arg;
    bool out = c->out_on;

    work_cancel(c->p.loop, &c->watch_work);
    c->in_on = c->out_on = false;
    update(c);
    c->want_out |= out;
}

void fdchr_set_loop(CharPort *p, Loop *l)
{
    machine_assert_locked();
    loop_run_sync(p->loop, leave_loop, p);
    p->loop = l;
    loop_run_sync(l, watch_now, p);
}

ssize_t fdchr_write(CharPort *p, const void *buf, size_t n)
{
    FdChr *c = (FdChr *)p;
    ssize_t w;

    if (c->out < 0) {
        return n;
    }
    do {
        w = write(c->out, buf, n);
    } while (w < 0 && errno == EINTR);
    return w < 0 ? -errno : w;
}

void fdchr_start(FdChr *c, int in, int out)
{
    c->in = in;
    c->out = out;
    c->watch_work = (Work){ .fn = watch_now, .arg = c };
    if (in >= 0) {
        fcntl(in, F_SETFL, fcntl(in, F_GETFL) | O_NONBLOCK);
    }
    if (out >= 0) {
        fcntl(out, F_SETFL, fcntl(out, F_GETFL) | O_NONBLOCK);
    }
    c->p.open = true;
}

void fdchr_stop(FdChr *c, bool close_fds)
{
    int in = c->in, out = c->out;

    machine_assert_locked();
    loop_run_sync(c->p.loop, leave_loop, c);
    c->in = c->out = -1;
    if (close_fds) {
        if (in >= 0) {
            fdset_close(in);
        }
        if (out >= 0 && out != in) {
            fdset_close(out);
        }
    }
}

/* ---- null ---------------------------------------------------------------- */

static bool null_open(CharPort *p, Error **errp)
{
    return true;
}

static bool null_short(const char *text, Json *opts, Error **errp)
{
    return !strcmp(text, "null");
}

CHAR_DRIVER(chr_null, {
    .name = "null", .type = "chardev-null", .size = sizeof(CharPort),
    .desc = "takes everything, gives nothing",
    .doc = "A port that nothing is connected to.",
    .short_form = null_short, .open = null_open, .no_oob = true,
});

/* ---- file ---------------------------------------------------------------- */

typedef struct FileChr {
    FdChr fd;
    char *path, *in_path;
    bool append;
} FileChr;

static bool file_open(CharPort *p, Error **errp)
{
    FileChr *c = (FileChr *)p;
    int in = -1, out;

    c->fd.in = c->fd.out = -1;
    if (!c->path) {
        return error_set(errp, "chardev: file: no filename given");
    }
    out = host_open(c->path, O_WRONLY | O_CREAT | O_CLOEXEC |
                    (c->append ? O_APPEND : O_TRUNC), 0666, NULL);
    if (out < 0) {
        return error_set_errno(errp, errno, "Could not open '%s'", c->path);
    }
    if (c->in_path) {
        in = host_open(c->in_path, O_RDONLY | O_CLOEXEC, 0, NULL);
        if (in < 0) {
            error_set_errno(errp, errno, "Could not open '%s'", c->in_path);
            fdset_close(out);
            return false;
        }
    }
    fdchr_start(&c->fd, in, out);
    return true;
}

static void file_close(CharPort *p)
{
    fdchr_stop((FdChr *)p, true);
}

static bool file_short(const char *text, Json *opts, Error **errp)
{
    if (strncmp(text, "file:", 5)) {
        return false;
    }
    json_set_str(opts, "path", text + 5);
    return true;
}

static void file_name(const CharPort *p, char *buf, size_t n)
{
    snprintf(buf, n, "file");
}

static const Prop file_props[] = {
    PROP_STR("path", FileChr, path, .desc = "file that is written"),
    PROP_STR("input-path", FileChr, in_path, .desc = "file that is read"),
    PROP_BOOL("append", FileChr, append, false,
              .desc = "keep what the file holds"),
    PROP_END
};

static const char *const file_renamed[] = { "out", "path",
                                            "in", "input-path", NULL };

CHAR_DRIVER(chr_file, {
    .parent = "chardev-fd",
    .name = "file", .type = "chardev-file", .size = sizeof(FileChr),
    .desc = "writes a file", .doc = "Writes what is sent to a file.",
    .props = file_props, .renamed = file_renamed, .short_form = file_short,
    .open = file_open,
    .close = file_close, .write = fdchr_write, .filename = file_name,
    .accept_input = fdchr_accept_input, .want_write = fdchr_want_write,
    .set_loop = fdchr_set_loop,
});

/* ---- pipe ---------------------------------------------------------------- */

typedef struct PipeChr {
    FdChr fd;
    char *path;
} PipeChr;

static int open_end(const char *path, const char *end)
{
    char *name = g_strconcat(path, end, NULL);
    /* For both: neither end then waits for, or is ended by, the other side. */
    int fd = open(name, O_RDWR | O_CLOEXEC | O_NONBLOCK);

    g_free(name);
    return fd;
}

static bool pipe_open(CharPort *p, Error **errp)
{
    PipeChr *c = (PipeChr *)p;
    int in, out;

    c->fd.in = c->fd.out = -1;
    if (!c->path) {
        return error_set(errp, "chardev: pipe: no device path given");
    }
    in = open_end(c->path, ".in");
    out = open_end(c->path, ".out");
    if (in < 0 || out < 0) {
        if (in >= 0) {
            close(in);
        }
        if (out >= 0) {
            close(out);
        }
        in = out = open_end(c->path, "");
        if (in < 0) {
            return error_set_errno(errp, errno, "Could not open '%s'",
                                   c->path);
        }
    }
    fdchr_start(&c->fd, in, out);
    return true;
}

static bool pipe_short(const char *text, Json *opts, Error **errp)
{
    if (strncmp(text, "pipe:", 5)) {
        return false;
    }
    json_set_str(opts, "path", text + 5);
    return true;
}

static const Prop pipe_props[] = {
    PROP_STR("path", PipeChr, path,
             .desc = "a FIFO, or two of them without their .in and .out"),
    PROP_END
};

static const char *const pipe_renamed[] = { "device", "path", NULL };

CHAR_DRIVER(chr_pipe, {
    .name = "pipe", .type = "chardev-pipe", .parent = "chardev-fd",
    .size = sizeof(PipeChr), .desc = "FIFOs of the host",
    .doc = "Reads PATH.in and writes PATH.out, or does both on PATH.",
    .props = pipe_props, .renamed = pipe_renamed, .short_form = pipe_short,
    .open = pipe_open, .close = file_close, .write = fdchr_write,
    .accept_input = fdchr_accept_input, .want_write = fdchr_want_write,
    .set_loop = fdchr_set_loop,
});

/* ---- stdio --------------------------------------------------------------- */

typedef struct StdioChr {
    FdChr fd;
    bool signal;
} StdioChr;

static bool stdio_used, tty_saved, echo_on;
static struct termios tty_before;
static int in_flags, out_flags;

static void tty_restore(void)
{
    if (tty_saved) {
        tcsetattr(0, TCSANOW, &tty_before);
    }
    fcntl(0, F_SETFL, in_flags);
    fcntl(1, F_SETFL, out_flags);
}

static void tty_apply(StdioChr *c)
{
    struct termios t = tty_before;

    if (!tty_saved) {
        return;
    }
    if (!echo_on) {
        t.c_iflag &= ~(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR |
                       ICRNL | IXON);
        t.c_oflag |= OPOST;
        t.c_lflag &= ~(ECHO | ECHONL | ICANON | IEXTEN);
        t.c_cflag = (t.c_cflag & ~(CSIZE | PARENB)) | CS8;
        t.c_cc[VMIN] = 1;
        t.c_cc[VTIME] = 0;
    }
    if (!c->signal) {
        t.c_lflag &= ~ISIG;
    }
    tcsetattr(0, TCSANOW, &t);
}

static void stdio_echo(CharPort *p, bool on)
{
    echo_on = on;
    tty_apply((StdioChr *)p);
}

static bool stdio_open(CharPort *p, Error **errp)
{
    StdioChr *c = (StdioChr *)p;

    c->fd.in = c->fd.out = -1;
    if (stdio_used) {
        return error_set(errp, "cannot use stdio by multiple character "
                         "devices");
    }
    stdio_used = true;
    in_flags = fcntl(0, F_GETFL);
    out_flags = fcntl(1, F_GETFL);
    tty_saved = tcgetattr(0, &tty_before) == 0;
    atexit(tty_restore);
    fdchr_start(&c->fd, 0, 1);
    tty_apply(c);
    return true;
}

static void stdio_close(CharPort *p)
{
    fdchr_stop((FdChr *)p, false);
    tty_restore();
    stdio_used = false;
}

static bool stdio_short(const char *text, Json *opts, Error **errp)
{
    return !strcmp(text, "stdio");
}

static const Prop stdio_props[] = {
    PROP_BOOL("signal", StdioChr, signal, true,
              .desc = "Ctrl-C and the like still make signals"),
    PROP_END
};

CHAR_DRIVER(chr_stdio, {
    .parent = "chardev-fd",
    .name = "stdio", .type = "chardev-stdio", .size = sizeof(StdioChr),
    .desc = "standard input and output",
    .doc = "The terminal, or wherever the program's standard input and output "
           "lead.",
    .props = stdio_props, .short_form = stdio_short, .open = stdio_open,
    .close = stdio_close, .write = fdchr_write, .set_echo = stdio_echo,
    .accept_input = fdchr_accept_input, .want_write = fdchr_want_write,
    .set_loop = fdchr_set_loop,
});
