/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conn-open.c - how a backend's stream begins and begins again: listening, one
 * connection at a time; connecting, by a worker; a descriptor from outside.
 *
 * Thread class: machine lock; connect_run in a worker.
 *
 * Invariants
 * 1. Listening sockets are watched exactly while there is no connection.
 * 2. A connecting task whose backend has gone has c NULL and closes what it got.
 */
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "net/conn.h"

#define CONNECT_MS 10000

typedef struct NetConnTask {
    PoolTask task;
    NetConn *c;
    SockAddr addr;
    int fd;
    Error *err;
} NetConnTask;

static MACHINE_CALL void connected(NetConn *c, int fd)
{
    int on = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    net_conn_begin(c, fd);
    c->changed(c, true, NULL);
}

/* ---- listening ----------------------------------------------------------- */

static MACHINE_CALL void watch_listeners(NetConn *c, bool on);

static void somebody(void *arg, unsigned events)
{
    machine_assert_locked();
    NetConn *c = arg;

    for (int i = 0; i < c->nlisten && c->fd < 0; i++) {
        int fd = addr_accept(c->listen_fd[i]);

        if (fd >= 0) {
            watch_listeners(c, false);
            connected(c, fd);
        }
    }
}

static void watch_listeners(NetConn *c, bool on)
{
    for (int i = 0; i < c->nlisten; i++) {
        loop_fd(loop_main, c->listen_fd[i], on ? EPOLLIN : 0, somebody, c);
    }
}

bool net_conn_listen(NetConn *c, Error **errp)
{
    c->nlisten = addr_listen(&c->addr, c->listen_fd, errp);
    if (c->nlisten < 0) {
        c->nlisten = 0;
        return false;
    }
    watch_listeners(c, true);
    return true;
}

/* ---- connecting ---------------------------------------------------------- */

static int64_t connect_run(void *arg)
{
    NetConnTask *t = arg;

    t->fd = addr_connect(&t->addr, CONNECT_MS, &t->err);
    return 0;
}

static void connect_done(void *arg, int64_t ret)
{
    machine_assert_locked();
    NetConnTask *t = arg;
    NetConn *c = t->c;

    if (c) {
        c->task = NULL;
    }
    if (c && t->fd >= 0) {
        connected(c, t->fd);
    } else if (c) {
        net_conn_end(c, error_text(t->err));
    } else if (t->fd >= 0) {
        close(t->fd);
    }
    error_free(t->err);
    addr_clear(&t->addr);
    g_free(t);
}

static void connect_again(void *arg)
{
    machine_assert_locked();
    net_conn_connect(arg);
}

void net_conn_connect(NetConn *c)
{
    NetConnTask *t = g_new0(NetConnTask, 1);

    if (!c->again.fn) {
        timer_init(&c->again, NULL, CLOCK_RT, connect_again, c);
    }
    t->c = c;
    t->fd = -1;
    addr_copy(&t->addr, &c->addr);
    t->task = (PoolTask){ .run = connect_run, .done = connect_done, .arg = t };
    c->task = t;
    pool_submit(&t->task);
}

void net_conn_next(NetConn *c)
{
    if (c->nlisten) {
        watch_listeners(c, true);
    } else if (c->reconnect && c->again.fn) {
        timer_set(&c->again, clock_ns(CLOCK_RT) + c->reconnect * NS_PER_S);
    }
}

void net_conn_use(NetConn *c, int fd)
{
    connected(c, fd);
}

void net_conn_close(NetConn *c)
{
    if (c->again.fn) {
        timer_clear(&c->again);
    }
    c->reconnect = 0;
    if (c->task) {
        c->task->c = NULL;
        c->task = NULL;
    }
    if (c->fd < 0) {
        watch_listeners(c, false);
    }
    for (int i = 0; i < c->nlisten; i++) {
        close(c->listen_fd[i]);
    }
    if (c->nlisten && c->addr.kind == ADDR_UNIX && !c->addr.abstract) {
        unlink(c->addr.path);
    }
    c->nlisten = 0;
    if (c->fd >= 0) {
        if (c->events) {
            loop_fd(loop_main, c->fd, 0, NULL, NULL);
        }
        work_cancel(loop_main, &c->flush);
        if (c->out_n) {
            send(c->fd, c->out + c->out_at, c->out_n,
                 MSG_DONTWAIT | MSG_NOSIGNAL);
        }
        close(c->fd);
        c->fd = -1;
    }
    addr_clear(&c->addr);
    g_clear_pointer(&c->in, g_free);
    g_clear_pointer(&c->out, g_free);
}
