/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * socket.c - the backend `socket`, older than stream and dgram, with both their
 * ways of sending frames.
 *
 * Thread class: machine lock.
 */
#include <arpa/inet.h>
#include <unistd.h>
#include "net/conn.h"

typedef struct NetSocket {
    NetPort port;
    char *fd, *listen, *connect, *mcast, *localaddr, *udp;    /* properties */
    NetConn conn;
    NetDgram d;
} NetSocket;

static MACHINE_CALL void changed(NetConn *c, bool up, const char *why)
{
    NetSocket *s = (NetSocket *)c->port;
    g_autofree char *text = NULL;
    SockAddr a;

    s->port.info[0] = '\0';
    if (!up) {
        return;
    }
    if (s->fd) {
        snprintf(s->port.info, sizeof(s->port.info), "socket: fd=%d", c->fd);
    } else if (addr_of_socket(c->fd, true, &a)) {
        text = addr_text(&a);
        snprintf(s->port.info, sizeof(s->port.info), "socket: %s %s",
                 s->listen ? "connection from" : "connect to", text);
        addr_clear(&a);
    }
}

static MACHINE_CALL bool open_fd(NetSocket *s, Error **errp)
{
    int fd = net_take_fd(&s->port, s->fd, errp);
    int type = fd < 0 ? -1 : net_fd_type(fd, errp);

    if (type < 0) {
        return false;
    }
    if (type == SOCK_STREAM) {
        net_conn_use(&s->conn, fd);
        return true;
    }
    snprintf(s->port.info, sizeof(s->port.info), "socket: fd=%d %s", fd,
             net_fd_family(fd));
    net_dgram_start(&s->d, &s->port, fd);
    return true;
}

static MACHINE_CALL bool open_stream(NetSocket *s, Error **errp)
{
    const char *text = s->listen ? s->listen : s->connect;
    struct sockaddr_in to;
    SockAddr *a = &s->conn.addr;

    if (!net_host_port(text, &to, errp)) {
        return false;
    }
    a->kind = ADDR_INET;
    a->ipv4 = OOA_ON;
    a->host = g_strdup(to.sin_addr.s_addr ? inet_ntoa(to.sin_addr) : "");
    a->port = g_strdup_printf("%u", ntohs(to.sin_port));
    if (s->listen) {
        return net_conn_listen(&s->conn, errp);
    }
    net_conn_connect(&s->conn);
    return true;
}

static MACHINE_CALL bool open_mcast(NetSocket *s, Error **errp)
{
    struct sockaddr_in to, from;
    int fd;

    if (!net_host_port(s->mcast, &to, errp) ||
        (s->localaddr && !net_resolve4(s->localaddr, "0", &from, errp))) {
        return false;
    }
    fd = net_mcast_open(&to, s->localaddr ? &from.sin_addr : NULL, errp);
    if (fd < 0) {
        return false;
    }
    snprintf(s->port.info, sizeof(s->port.info), "socket: mcast=%s:%u",
             inet_ntoa(to.sin_addr), ntohs(to.sin_port));
    memcpy(&s->d.to, &to, sizeof(to));
    s->d.to_len = sizeof(to);
    net_dgram_start(&s->d, &s->port, fd);
    return true;
}

static MACHINE_CALL bool open_udp(NetSocket *s, Error **errp)
{
    struct sockaddr_in to, from;
    int fd, on = 1;

    if (!s->localaddr) {
        return error_set(errp, "localaddr= is mandatory with udp=");
    }
    if (!net_host_port(s->localaddr, &from, errp) ||
        !net_host_port(s->udp, &to, errp)) {
        return false;
    }
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return error_set_errno(errp, errno, "can't create datagram socket");
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (void *)&from, sizeof(from))) {
        error_set_errno(errp, errno, "can't bind ip=%s to socket",
                        inet_ntoa(from.sin_addr));
        close(fd);
        return false;
    }
    snprintf(s->port.info, sizeof(s->port.info), "socket: udp=%s:%u",
             inet_ntoa(to.sin_addr), ntohs(to.sin_port));
    memcpy(&s->d.to, &to, sizeof(to));
    s->d.to_len = sizeof(to);
    net_dgram_start(&s->d, &s->port, fd);
    return true;
}

static MACHINE_CALL bool socket_open(NetPort *p, Error **errp)
{
    NetSocket *s = (NetSocket *)p;

    s->conn.port = p;
    s->conn.fd = -1;
    s->conn.changed = changed;
    if (!!s->fd + !!s->listen + !!s->connect + !!s->mcast + !!s->udp != 1) {
        return error_set(errp, "exactly one of listen=, connect=, mcast= or "
                         "udp= is required");
    }
    if (s->localaddr && !s->mcast && !s->udp) {
        return error_set(errp, "localaddr= is only valid with mcast= or udp=");
    }
    return s->fd ? open_fd(s, errp) : s->mcast ? open_mcast(s, errp)
         : s->udp ? open_udp(s, errp) : open_stream(s, errp);
}

static MACHINE_CALL void socket_close(NetPort *p)
{
    NetSocket *s = (NetSocket *)p;

    if (s->conn.port) {
        net_conn_close(&s->conn);
    }
    net_dgram_close(&s->d);
}

static MACHINE_CALL ssize_t socket_send(NetPort *p, const struct iovec *iov,
                                        int niov)
{
    NetSocket *s = (NetSocket *)p;

    return s->d.buf ? net_dgram_send(&s->d, iov, niov)
                    : net_conn_send(&s->conn, iov, niov);
}

static MACHINE_CALL void socket_resume(NetPort *p)
{
    NetSocket *s = (NetSocket *)p;

    net_dgram_resume(&s->d);
    net_conn_resume(&s->conn);
}

static const Prop socket_props[] = {
    PROP_STR("fd", NetSocket, fd, .desc = "an opened socket"),
    PROP_STR("listen", NetSocket, listen, .desc = "[host]:port to wait at"),
    PROP_STR("connect", NetSocket, connect, .desc = "host:port to go to"),
    PROP_STR("mcast", NetSocket, mcast,
             .desc = "group:port of a network that many share"),
    PROP_STR("localaddr", NetSocket, localaddr,
             .desc = "own address for mcast, own host:port for udp"),
    PROP_STR("udp", NetSocket, udp, .desc = "host:port to send datagrams to"),
    PROP_END
};

NET_DRIVER(socket_driver, {
    .name = "socket", .desc = "a network of several emulators over sockets",
    .size = sizeof(NetSocket),
    .doc = "One of listen, connect, mcast, udp and fd says how.",
    .props = socket_props, .open = socket_open, .close = socket_close,
    .send = socket_send, .resume = socket_resume,
});
