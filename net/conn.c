/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conn.c - frames over a stream socket: four bytes of length, big endian, and the
 * frame.
 *
 * Thread class: machine lock.
 *
 * Invariants
 * 1. in[taken..have) is what has been read and not been handed on; it holds one
 *    frame of the largest size at least.
 * 2. While stuck the socket is not read: the other side waits.
 * 3. out[out_at..out_at + out_n) is what the socket has not taken yet: the frames
 *    of a turn go out together at its end. While blocked, EPOLLOUT is awaited.
 */
#include <sys/epoll.h>
#include <unistd.h>
#include "monitor.h"
#include "net/conn.h"

#define IN_MAX (128 * 1024)
#define OUT_MAX (256 * 1024)
#define OUT_ENOUGH (64 * 1024)         /* goes out at once                    */

static void happened(void *arg, unsigned events);

static MACHINE_CALL void watch(NetConn *c)
{
    unsigned want = c->fd < 0 ? 0 : (c->stuck ? 0 : EPOLLIN) |
                                    (c->blocked ? EPOLLOUT : 0);

    if (want != c->events) {
        c->events = want;
        loop_fd(loop_main, c->fd, want, happened, c);
    }
}

static void flush(void *arg);

void net_conn_begin(NetConn *c, int fd)
{
    if (!c->in) {
        c->in = g_malloc(IN_MAX);
        c->out = g_malloc(OUT_MAX);
    }
    c->fd = fd;
    c->have = c->taken = c->out_at = c->out_n = 0;
    c->stuck = c->blocked = false;
    c->events = 0;
    c->flush = (Work){ .fn = flush, .arg = c };
    watch(c);
    net_resume(c->port);
}

void net_conn_end(NetConn *c, const char *why)
{
    if (c->fd >= 0) {
        if (c->events) {
            loop_fd(loop_main, c->fd, 0, NULL, NULL);
        }
        work_cancel(loop_main, &c->flush);
        close(c->fd);
        c->fd = -1;
    }
    c->events = 0;
    c->stuck = c->blocked = false;
    c->have = c->taken = c->out_n = 0;
    c->changed(c, false, why);
    net_resume(c->port);               /* what waits is dropped               */
    net_conn_next(c);
}

/* Hands on the frames that are whole. False: the connection was ended. */
static MACHINE_CALL bool hand_on(NetConn *c)
{
    c->stuck = false;
    while (c->have - c->taken >= 4) {
        size_t n = ld_be32(c->in + c->taken);
        struct iovec v = { c->in + c->taken + 4, n };

        if (n > NET_MAX_FRAME) {
            error_reportf("serious error: oversized packet received,"
                          "connection terminated.");
            net_conn_end(c, NULL);
            return false;
        }
        if (c->have - c->taken - 4 < n) {
            break;
        }
        if (n && !net_send(c->port, &v, 1)) {
            c->stuck = true;
            return true;
        }
        c->taken += 4 + n;
    }
    memmove(c->in, c->in + c->taken, c->have - c->taken);
    c->have -= c->taken;
    c->taken = 0;
    return true;
}

static MACHINE_CALL void receive(NetConn *c)
{
    for (unsigned turn = 0; turn < 16 && !c->stuck; turn++) {
        size_t room = IN_MAX - c->have;
        ssize_t n = recv(c->fd, c->in + c->have, room, MSG_DONTWAIT);

        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            break;
        }
        if (n <= 0) {
            net_conn_end(c, NULL);
            return;
        }
        c->have += n;
        if (!hand_on(c)) {
            return;
        }
        if ((size_t)n < room) {
            break;
        }
    }
}

static MACHINE_CALL void send_rest(NetConn *c)
{
    ssize_t n = send(c->fd, c->out + c->out_at, c->out_n,
                     MSG_DONTWAIT | MSG_NOSIGNAL);

    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        net_conn_end(c, NULL);
        return;
    }
    n = MAX2(n, 0);
    c->out_at += n;
    c->out_n -= n;
    if (!c->out_n) {
        c->out_at = 0;
    }
    c->blocked = c->out_n != 0;
    watch(c);
}

static void flush(void *arg)
{
    machine_assert_locked();
    NetConn *c = arg;

    if (c->fd >= 0 && c->out_n && !c->blocked) {
        send_rest(c);
        if (c->fd >= 0 && !c->out_n) {
            net_resume(c->port);
        }
    }
}

static void happened(void *arg, unsigned events)
{
    machine_assert_locked();
    NetConn *c = arg;

    if (c->blocked) {
        c->blocked = false;
        flush(c);
    }
    if (c->fd >= 0 && !c->stuck &&
        (events & (EPOLLIN | EPOLLHUP | EPOLLERR))) {
        receive(c);
    } else if (c->fd >= 0 && (events & (EPOLLHUP | EPOLLERR))) {
        net_conn_end(c, NULL);
    }
    watch(c);
}

ssize_t net_conn_send(NetConn *c, const struct iovec *iov, int niov)
{
    size_t n = net_iov_len(iov, niov);
    uint8_t *at;

    if (c->fd < 0 || n > NET_MAX_FRAME) {
        return n;
    }
    if (!c->blocked && c->out_n >= OUT_ENOUGH) {
        send_rest(c);
        if (c->fd < 0) {
            return n;
        }
    }
    if (c->out_n + n + 4 > OUT_MAX) {
        return 0;
    }
    if (c->out_at + c->out_n + n + 4 > OUT_MAX) {
        memmove(c->out, c->out + c->out_at, c->out_n);
        c->out_at = 0;
    }
    at = c->out + c->out_at + c->out_n;
    st_be32(at, n);
    net_iov_read(iov, niov, 0, at + 4, n);
    c->out_n += n + 4;
    if (!c->blocked) {
        loop_post(loop_main, &c->flush);
    }
    return n;
}

void net_conn_resume(NetConn *c)
{
    if (c->fd >= 0 && c->stuck && hand_on(c)) {
        watch(c);
    }
}
