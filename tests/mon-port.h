/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mon-port.h - a monitor on one end of a socket pair, the test on the other. The
 * port is a character device backend of its own.
 */
#ifndef TESTS_MON_PORT_H
#define TESTS_MON_PORT_H

#include <fcntl.h>
#include <glib.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include "chr.h"
#include "monitor.h"

typedef struct TestPort {
    CharPort port;
    int fd;                            /* the monitor's end                   */
    int client;                        /* the test's                          */
    int scm_fd;                        /* for chr_take_fd                     */
    bool listening;
} TestPort;

static void port_readable(void *arg, unsigned events)
{
    TestPort *t = arg;
    uint8_t buf[16384];
    int room = chr_can_receive(&t->port);
    ssize_t n;

    (void)events;
    if (room <= 0) {
        loop_fd(t->port.loop, t->fd, 0, NULL, NULL);
        t->listening = false;
        return;
    }
    n = read(t->fd, buf, MIN2((size_t)room, sizeof(buf)));
    if (n > 0) {
        chr_receive(&t->port, buf, n);
    } else if (n == 0 || errno != EAGAIN) {
        loop_fd(t->port.loop, t->fd, 0, NULL, NULL);
        t->listening = false;
        t->port.open = false;
        chr_event(&t->port, CHR_CLOSED);
    }
}

static void port_unlisten(void *arg)
{
    TestPort *t = arg;

    if (t->listening) {
        loop_fd(t->port.loop, t->fd, 0, NULL, NULL);
        t->listening = false;
    }
}

static void port_listen(CharPort *p)
{
    TestPort *t = (TestPort *)p;

    if (t->port.open && !t->listening) {
        t->listening = true;
        loop_fd(p->loop, t->fd, EPOLLIN, port_readable, t);
    }
}

static ssize_t port_write(CharPort *p, const void *buf, size_t n)
{
    ssize_t r = send(((TestPort *)p)->fd, buf, n, MSG_NOSIGNAL);

    return r < 0 ? -errno : r;
}

static void port_listen_now(void *arg)
{
    port_listen(arg);
}

static void port_in_loop(Loop *l, void (*fn)(void *), void *arg)
{
    machine_assert_locked();
    if (l == loop_main) {
        fn(arg);
    } else {
        loop_run_sync(l, fn, arg);
    }
}

static void port_set_loop(CharPort *p, Loop *l)
{
    port_in_loop(p->loop, port_unlisten, p);
    p->loop = l;
    port_in_loop(l, port_listen_now, p);
}

static int port_take_fds(CharPort *p, int *fds, int n)
{
    TestPort *t = (TestPort *)p;

    if (n < 1 || t->scm_fd < 0) {
        return 0;
    }
    fds[0] = t->scm_fd;
    t->scm_fd = -1;
    return 1;
}

static const CharDriver port_driver = {
    .name = "test-port", .type = "chardev-test", .size = sizeof(TestPort),
    .write = port_write, .accept_input = port_listen,
    .set_loop = port_set_loop, .take_fds = port_take_fds, .internal = true,
};

static inline TestPort *test_port_new(void)
{
    TestPort *t = g_new0(TestPort, 1);
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds)) {
        abort();
    }
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    fcntl(fds[1], F_SETFL, O_NONBLOCK);
    t->fd = fds[0];
    t->client = fds[1];
    t->scm_fd = -1;
    t->port.drv = &port_driver;
    t->port.label = g_strdup("test");
    t->port.log_fd = -1;
    t->port.open = true;
    t->port.loop = loop_main;
    pthread_mutex_init(&t->port.write_lock, NULL);
    return t;
}

static inline void test_port_free(TestPort *t)
{
    port_unlisten(t);
    close(t->fd);
    close(t->client);
    g_free(t->port.label);
    pthread_mutex_destroy(&t->port.write_lock);
    g_free(t);
}

/* The client hangs up, and another one connects. */
static inline void test_port_reconnect(TestPort *t, bool at_once)
{
    int fds[2];

    close(t->client);
    while (t->port.open && !at_once) {
        loop_step(true);
    }
    if (t->port.open) {                /* as if the backend had noticed       */
        port_unlisten(t);
        t->port.open = false;
        chr_event(&t->port, CHR_CLOSED);
    }
    close(t->fd);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds)) {
        abort();
    }
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    fcntl(fds[1], F_SETFL, O_NONBLOCK);
    t->fd = fds[0];
    t->client = fds[1];
    t->port.open = true;
    port_listen(&t->port);
    chr_event(&t->port, CHR_OPENED);
}

static inline void say(TestPort *t, const char *s)
{
    size_t n = strlen(s);

    while (n) {
        ssize_t r = write(t->client, s, n);

        if (r > 0) {
            s += r;
            n -= r;
        } else {
            loop_step(false);
        }
    }
}

/* All that comes until `end` was seen or nothing came for a while. g_free it. */
static inline char *hear_until(TestPort *t, const char *end)
{
    GString *s = g_string_new(NULL);
    int quiet = 0;

    while (quiet < 200 && !(end && strstr(s->str, end))) {
        char buf[4096];
        ssize_t r = read(t->client, buf, sizeof(buf));

        if (r > 0) {
            g_string_append_len(s, buf, r);
            quiet = 0;
        } else if (r == 0) {
            break;
        } else {
            if (!loop_step(false)) {
                struct pollfd p = { t->client, POLLIN, 0 };

                machine_unlock();
                poll(&p, 1, 1);
                machine_lock();
            }
            quiet++;
        }
    }
    return g_string_free(s, false);
}

/* One request, one line of reply. */
static inline char *ask(TestPort *t, const char *request)
{
    say(t, request);
    return hear_until(t, "\r\n");
}

#endif
