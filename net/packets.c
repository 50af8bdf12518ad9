/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * packets.c - frames as datagrams, and the addresses that the backends over
 * sockets are given.
 *
 * Thread class: machine lock.
 *
 * Invariants
 * 1. While stuck, buf holds the frame that the peer has no room for, and the
 *    socket is not read.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "monitor.h"
#include "net/conn.h"

#define BATCH 64                       /* frames of one turn                  */
#define PARTS 1000                     /* of a message, below the system's    */

static void happened(void *arg, unsigned events);

static MACHINE_CALL void watch(NetDgram *d, bool out)
{
    unsigned want = (d->stuck ? 0 : EPOLLIN) | (out ? EPOLLOUT : 0);

    if (want != d->events) {
        d->events = want;
        loop_fd(loop_main, d->fd, want, happened, d);
    }
}

static MACHINE_CALL bool hand_on(NetDgram *d)
{
    struct iovec v = { d->buf, d->have };

    d->stuck = d->have && !net_send(d->port, &v, 1);
    return !d->stuck;
}

static void happened(void *arg, unsigned events)
{
    machine_assert_locked();
    NetDgram *d = arg;

    if (events & EPOLLOUT) {
        watch(d, false);
        net_resume(d->port);
    }
    for (unsigned i = 0; i < BATCH && !d->stuck; i++) {
        ssize_t n = recv(d->fd, d->buf, NET_MAX_FRAME, MSG_DONTWAIT);

        if (n < 0) {                   /* also the errors of what was sent    */
            break;
        }
        d->have = n;
        hand_on(d);
    }
    watch(d, d->events & EPOLLOUT);
}

void net_dgram_start(NetDgram *d, NetPort *p, int fd)
{
    d->port = p;
    d->fd = fd;
    d->buf = g_malloc(NET_MAX_FRAME);
    watch(d, false);
}

void net_dgram_close(NetDgram *d)
{
    if (!d->buf) {
        return;
    }
    if (d->events) {
        loop_fd(loop_main, d->fd, 0, NULL, NULL);
    }
    close(d->fd);
    if (d->path) {
        unlink(d->path);
    }
    g_clear_pointer(&d->path, g_free);
    g_clear_pointer(&d->buf, g_free);
}

ssize_t net_dgram_send(NetDgram *d, const struct iovec *iov, int niov)
{
    size_t n = net_iov_len(iov, niov);
    g_autofree uint8_t *flat = NULL;
    struct iovec one;
    struct msghdr m = { .msg_iov = (struct iovec *)(uintptr_t)iov,
                        .msg_iovlen = niov };

    if (d->to_len) {
        m.msg_name = &d->to;
        m.msg_namelen = d->to_len;
    }
    if (n > NET_MAX_FRAME) {
        return n;
    }
    if (niov > PARTS) {
        flat = g_malloc(n);
        net_iov_read(iov, niov, 0, flat, n);
        one = (struct iovec){ flat, n };
        m.msg_iov = &one;
        m.msg_iovlen = 1;
    }
    if (sendmsg(d->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
        errno == EAGAIN) {
        watch(d, true);
        return 0;
    }
    return n;
}

void net_dgram_resume(NetDgram *d)
{
    if (d->stuck && hand_on(d)) {
        watch(d, d->events & EPOLLOUT);
    }
}

int net_mcast_open(const struct sockaddr_in *group, const struct in_addr *from,
                   Error **errp)
{
    struct ip_mreq mreq = { .imr_multiaddr = group->sin_addr };
    int on = 1, fd;

    if (!net_is_mcast(group, errp)) {
        return -1;
    }
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        error_set_errno(errp, errno, "can't create datagram socket");
        return -1;
    }
    if (from) {
        mreq.imr_interface = *from;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on))) {
        error_set_errno(errp, errno, "can't set socket option SO_REUSEADDR");
    } else if (bind(fd, (const void *)group, sizeof(*group))) {
        error_set_errno(errp, errno, "can't bind ip=%s to socket",
                        inet_ntoa(group->sin_addr));
    } else if (setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &mreq,
                          sizeof(mreq))) {
        error_set_errno(errp, errno, "can't add socket to multicast group %s",
                        inet_ntoa(group->sin_addr));
    } else if (setsockopt(fd, IPPROTO_IP, IP_MULTICAST_LOOP, &on, sizeof(on))) {
        error_set_errno(errp, errno, "can't force multicast message to "
                        "loopback");
    } else if (from && setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, from,
                                  sizeof(*from))) {
        error_set_errno(errp, errno, "can't set the default network send "
                        "interface");
    } else {
        return fd;
    }
    close(fd);
    return -1;
}

/* ---- addresses ----------------------------------------------------------- */

bool net_resolve4(const char *host, const char *port, struct sockaddr_in *to,
                  Error **errp)
{
    struct addrinfo hints = { .ai_family = AF_INET }, *res;
    char *end;
    unsigned long n = strtoul(port, &end, 10);

    *to = (struct sockaddr_in){ .sin_family = AF_INET };
    if (host && *host) {
        if (getaddrinfo(host, NULL, &hints, &res)) {
            return error_set(errp, "can't resolve host address '%s'", host);
        }
        to->sin_addr = ((struct sockaddr_in *)res->ai_addr)->sin_addr;
        freeaddrinfo(res);
    }
    if (end == port || *end || n > 65535) {
        return error_set(errp, "port number '%s' is invalid", port);
    }
    to->sin_port = htons(n);
    return true;
}

bool net_host_port(const char *text, struct sockaddr_in *to, Error **errp)
{
    const char *colon = strchr(text, ':');
    g_autofree char *host = NULL;

    if (!colon) {
        return error_set(errp, "host address '%s' doesn't contain ':' "
                         "separating host from port", text);
    }
    host = g_strndup(text, colon - text);
    return net_resolve4(host, colon + 1, to, errp);
}

bool net_is_mcast(const struct sockaddr_in *a, Error **errp)
{
    return IN_MULTICAST(ntohl(a->sin_addr.s_addr)) ||
           error_set(errp, "specified mcastaddr %s (0x%08x) does not contain a "
                     "multicast address", inet_ntoa(a->sin_addr),
                     ntohl(a->sin_addr.s_addr));
}

int net_take_fd(const NetPort *p, const char *text, Error **errp)
{
    int fd, flags;

    if (mon_current) {
        fd = mon_take_fd(text, errp);
        if (fd < 0) {
            return -1;
        }
    } else {
        char *end;
        long v = strtol(text, &end, 10);

        if (end == text || *end || v < 0 || v > INT_MAX) {
            error_set(errp, "Unable to parse FD number %s", text);
            return -1;
        }
        fd = v;
    }
    flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        error_set_errno(errp, errno, "%s: Can't use file descriptor %d",
                        p->name, fd);
        return -1;
    }
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    return fd;
}

int net_fd_type(int fd, Error **errp)
{
    int type;
    socklen_t len = sizeof(type);

    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len)) {
        error_set(errp, "can't get socket option SO_TYPE");
        error_hint(errp, "%s.", strerror(errno));
        return -1;
    }
    if (type != SOCK_STREAM && type != SOCK_DGRAM) {
        error_set(errp, "socket type=%d for fd=%d must be either SOCK_DGRAM or "
                  "SOCK_STREAM", type, fd);
        return -1;
    }
    return type;
}

const char *net_fd_family(int fd)
{
    struct sockaddr_storage ss = { 0 };
    socklen_t len = sizeof(ss);

    getsockname(fd, (void *)&ss, &len);
    return ss.ss_family == AF_UNIX ? "unix" : "inet";
}
