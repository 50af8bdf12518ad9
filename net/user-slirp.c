/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * user-slirp.c - the user network's stack: libslirp fed by the main loop.
 *
 * Thread class: machine lock; the library is entered by its holder only.
 *
 * Invariants
 * 1. The library is polled only while the guest takes what it sends.
 * 2. What it is waiting for is asked of it before each sleep.
 */
#include <arpa/inet.h>
#include <glib.h>
#include <libslirp.h>
#include "net/user-priv.h"

#define BACKLOG_MAX 64                 /* frames that wait for the guest      */

/* ---- the library's needs ------------------------------------------------- */

static ssize_t on_packet(const void *buf, size_t len, void *opaque)
{
    machine_assert_locked();
    UserStack *s = opaque;

    net_send_copy(&s->user->port, buf, len);
    return len;
}

static void on_guest_error(const char *msg, void *opaque)
{
    guest_fault("user network", "%s", msg);
}

static int64_t on_clock(void *opaque)
{
    return clock_ns(CLOCK_VM);
}

typedef struct StackTimer {
    Timer timer;
    SlirpTimerCb fn;
    void *arg;
} StackTimer;

static void timer_fired(void *arg)
{
    StackTimer *t = arg;

    t->fn(t->arg);
}

static void *on_timer_new(SlirpTimerCb cb, void *cb_opaque, void *opaque)
{
    StackTimer *t = g_new0(StackTimer, 1);

    t->fn = cb;
    t->arg = cb_opaque;
    timer_init(&t->timer, NULL, CLOCK_VM, timer_fired, t);
    return t;
}

static void on_timer_free(void *timer, void *opaque)
{
    timer_clear(&((StackTimer *)timer)->timer);
    g_free(timer);
}

static void on_timer_mod(void *timer, int64_t expire_ms, void *opaque)
{
    timer_set(&((StackTimer *)timer)->timer, expire_ms * NS_PER_MS);
}

static void on_poll_fd(int fd, void *opaque)
{
}

/* The stack has moved: what waited for room in it may go on. */
static void nudge(void *arg)
{
    machine_assert_locked();
    user_forwards_resume(arg);
}

static void on_notify(void *opaque)
{
    loop_post(loop_main, &((UserStack *)opaque)->nudge);
}

static const SlirpCb callbacks = {
    .send_packet = on_packet, .guest_error = on_guest_error,
    .clock_get_ns = on_clock, .timer_new = on_timer_new,
    .timer_free = on_timer_free, .timer_mod = on_timer_mod,
    .register_poll_fd = on_poll_fd, .unregister_poll_fd = on_poll_fd,
    .notify = on_notify,
};

/* ---- its descriptors in the main loop ------------------------------------ */

typedef struct StackSource {
    GSource source;
    UserStack *stack;
} StackSource;

static int add_poll(int fd, int events, void *opaque)
{
    UserStack *s = opaque;
    unsigned i = s->nfds++;
    gushort want = (events & SLIRP_POLL_IN ? G_IO_IN : 0) |
                   (events & SLIRP_POLL_OUT ? G_IO_OUT : 0) |
                   (events & SLIRP_POLL_PRI ? G_IO_PRI : 0) |
                   (events & SLIRP_POLL_ERR ? G_IO_ERR : 0) |
                   (events & SLIRP_POLL_HUP ? G_IO_HUP : 0);
    GPollFD *p;

    if (i == s->fds->len) {
        g_ptr_array_add(s->fds, g_new0(GPollFD, 1));
    }
    p = g_ptr_array_index(s->fds, i);
    p->revents = 0;
    if (i >= s->polled || p->fd != fd) {
        if (i < s->polled) {
            g_source_remove_poll(s->source, p);
        }
        p->fd = fd;
        p->events = want;
        g_source_add_poll(s->source, p);
    }
    p->events = want;
    return (int)i;
}

static int poll_result(int idx, void *opaque)
{
    UserStack *s = opaque;
    gushort got;

    if (idx < 0 || (unsigned)idx >= s->nfds) {
        return 0;
    }
    got = ((GPollFD *)g_ptr_array_index(s->fds, idx))->revents;
    return (got & G_IO_IN ? SLIRP_POLL_IN : 0) |
           (got & G_IO_OUT ? SLIRP_POLL_OUT : 0) |
           (got & G_IO_PRI ? SLIRP_POLL_PRI : 0) |
           (got & G_IO_ERR ? SLIRP_POLL_ERR : 0) |
           (got & G_IO_HUP ? SLIRP_POLL_HUP : 0);
}

static gboolean source_prepare(GSource *source, gint *timeout)
{
    UserStack *s = ((StackSource *)source)->stack;
    NetPort *peer = s->user->port.peer;
    uint32_t wait = UINT32_MAX;

    s->nfds = 0;
    if (!peer || peer->waiting < BACKLOG_MAX) {
        slirp_pollfds_fill(s->slirp, &wait, add_poll, s);
    }
    for (unsigned i = s->nfds; i < s->polled; i++) {
        g_source_remove_poll(source, g_ptr_array_index(s->fds, i));
    }
    s->polled = s->nfds;
    *timeout = wait > INT32_MAX ? -1 : (gint)wait;
    s->due = wait == UINT32_MAX ? INT64_MAX
                                : clock_ns(CLOCK_RT) + wait * NS_PER_MS;
    return false;
}

static gboolean source_check(GSource *source)
{
    UserStack *s = ((StackSource *)source)->stack;

    for (unsigned i = 0; i < s->nfds; i++) {
        if (((GPollFD *)g_ptr_array_index(s->fds, i))->revents) {
            return true;
        }
    }
    return clock_ns(CLOCK_RT) >= s->due;
}

static gboolean source_dispatch(GSource *source, GSourceFunc fn, gpointer arg)
{
    UserStack *s = ((StackSource *)source)->stack;

    slirp_pollfds_poll(s->slirp, 0, poll_result, s);
    return true;
}

static GSourceFuncs source_funcs = {
    .prepare = source_prepare, .check = source_check,
    .dispatch = source_dispatch,
};

/* ---- life ---------------------------------------------------------------- */

static MACHINE_CALL void stack_close(UserNet *u)
{
    UserStack *s = u->stack;

    user_forwards_close(s);
    if (s->source) {
        g_source_destroy(s->source);
        g_source_unref(s->source);
    }
    work_cancel(loop_main, &s->nudge);
    if (s->slirp) {
        slirp_cleanup(s->slirp);
    }
    g_ptr_array_free(s->fds, true);
    if (s->smb_dir) {
        user_smb_remove(s);
    }
    g_free(s);
    u->stack = NULL;
}

static void make_source(UserStack *s)
{
    machine_assert_locked();
    loop_use_glib();
    s->source = g_source_new(&source_funcs, sizeof(StackSource));
    ((StackSource *)s->source)->stack = s;
    g_source_attach(s->source, NULL);
}

static MACHINE_CALL bool stack_open(UserNet *u, Error **errp)
{
    UserStack *s = g_new0(UserStack, 1);
    SlirpConfig cfg = { .version = 1 };
    bool ok;

    s->user = u;
    s->fds = g_ptr_array_new_with_free_func(g_free);
    s->nudge = (Work){ .fn = nudge, .arg = s };
    u->stack = s;
    ok = user_config(u, s, &cfg, errp);
    if (ok) {
        s->slirp = slirp_new(&cfg, &callbacks, s);
        ok = s->slirp || error_set(errp, "the user network cannot be set up");
    }
    g_free((void *)cfg.vdnssearch);
    g_free(s->tftp_path);
    s->tftp_path = NULL;
    if (!ok) {
        stack_close(u);
        return false;
    }
    make_source(s);
    snprintf(u->port.info, sizeof(u->port.info), "net=%s,restrict=%s",
             inet_ntoa(cfg.vnetwork), u->restricted ? "on" : "off");
    for (guint i = u->guestfwd ? u->guestfwd->len : 0; ok && i > 0; i--) {
        ok = user_guestfwd_add(s, g_ptr_array_index(u->guestfwd, i - 1), errp);
    }
    for (guint i = u->hostfwd ? u->hostfwd->len : 0; ok && i > 0; i--) {
        ok = user_hostfwd_add(s, g_ptr_array_index(u->hostfwd, i - 1), errp);
    }
    ok = ok && (!u->smb || user_smb_start(s, errp));
    if (!ok) {
        stack_close(u);
    }
    return ok;
}

static MACHINE_CALL void stack_input(UserNet *u, const uint8_t *frame, size_t n)
{
    UserStack *s = u->stack;

    slirp_input(s->slirp, frame, (int)n);
    /* It may wait for new descriptors now. */
    loop_post(loop_main, &s->nudge);
}

static MACHINE_CALL bool stack_hostfwd(UserNet *u, const char *rule, bool add,
                                       Error **errp)
{
    return add ? user_hostfwd_add(u->stack, rule, errp)
               : user_hostfwd_remove(u->stack, rule, errp);
}

static MACHINE_CALL char *stack_info(UserNet *u)
{
    char *text = slirp_connection_info(((UserStack *)u->stack)->slirp);
    char *copy = g_strdup(text);

    free(text);
    return copy;
}

extern const UserOps user_ops_table;
const UserOps user_ops_table = {
    .open = stack_open, .close = stack_close, .input = stack_input,
    .hostfwd = stack_hostfwd, .info = stack_info,
};
