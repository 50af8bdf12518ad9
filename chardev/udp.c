/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * udp.c - a port over datagrams.
 *
 * Thread class: MACHINE_CALL, in the main loop.
 *
 * Invariants
 * 1. One datagram at a time is kept until the front end has taken all of it;
 *    meanwhile the socket is not watched.
 */
#include <glib.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "chardev/addr.h"
#include "chardev/chr-priv.h"

typedef struct UdpChr {
    CharPort p;
    char *host, *port, *localaddr, *localport;
    bool ipv4, ipv6;
    Json *remote_arg, *local_arg;      /* chardev-add's own form              */
    int fd;
    unsigned events;
    uint8_t buf[4096];
    unsigned at, n;
} UdpChr;

static void udp_event(void *arg, unsigned events);

static void watch(UdpChr *c, unsigned events)
{
    if (events != c->events) {
        c->events = events;
        loop_fd(loop_main, c->fd, events, udp_event, c);
    }
}

static void give(UdpChr *c)
{
    int room;

    while (c->at < c->n && (room = chr_can_receive(&c->p)) > 0) {
        unsigned n = MIN2((unsigned)room, c->n - c->at), at = c->at;

        c->at += n;
        chr_receive(&c->p, c->buf + at, n);
    }
    if (c->fd >= 0) {
        watch(c, c->at == c->n && chr_can_receive(&c->p) > 0 ? EPOLLIN : 0);
    }
}

static void udp_event(void *arg, unsigned events)
{
    UdpChr *c = arg;
    ssize_t n = recv(c->fd, c->buf, sizeof(c->buf), MSG_DONTWAIT);

    /* Errors are of single datagrams (a refusing port), not of the socket. */
    c->at = 0;
    c->n = MAX2(n, 0);
    give(c);
}

static ssize_t udp_write(CharPort *p, const void *buf, size_t n)
{
    ssize_t w = send(((UdpChr *)p)->fd, buf, MIN2(n, 65507), MSG_NOSIGNAL);

    return w < 0 ? (ssize_t)n : w;     /* lost, as datagrams may be           */
}

static void udp_accept_input(CharPort *p)
{
    give((UdpChr *)p);
}

static bool addresses(UdpChr *c, SockAddr *remote, SockAddr *local,
                      Error **errp)
{
    if (c->remote_arg) {
        if (!addr_from_json(remote, c->remote_arg, errp) ||
            (c->local_arg && !addr_from_json(local, c->local_arg, errp))) {
            return false;
        }
        return (remote->kind == ADDR_INET && local->kind == ADDR_INET) ||
               error_set(errp, "chardev: udp: only IP addresses can be used");
    }
    if (!c->port) {
        return error_set(errp, "chardev: udp: remote port not specified");
    }
    remote->host = g_strdup(c->host && *c->host ? c->host : "localhost");
    remote->port = g_strdup(c->port);
    remote->ipv4 = c->ipv4 ? OOA_ON : OOA_AUTO;
    remote->ipv6 = c->ipv6 ? OOA_ON : OOA_AUTO;
    local->host = g_strdup(c->localaddr);
    local->port = g_strdup(c->localport ? c->localport : "0");
    return true;
}

static bool udp_open(CharPort *p, Error **errp)
{
    UdpChr *c = (UdpChr *)p;
    SockAddr remote = { 0 }, local = { 0 };

    c->fd = -1;
    if (addresses(c, &remote, &local, errp)) {
        c->fd = addr_datagram(&remote, &local, errp);
    }
    addr_clear(&remote);
    addr_clear(&local);
    p->open = c->fd >= 0;
    return p->open;
}

static void udp_close(CharPort *p)
{
    UdpChr *c = (UdpChr *)p;

    watch(c, 0);
    close(c->fd);
    c->fd = -1;
}

/* udp:[host]:port[@[localaddr]:localport] */
static bool udp_short(const char *text, Json *opts, Error **errp)
{
    char **side, **a, **b;
    bool ok;

    if (strncmp(text, "udp:", 4)) {
        return false;
    }
    side = g_strsplit(text + 4, "@", 2);
    a = g_strsplit(side[0] ? side[0] : "", ":", 2);
    b = g_strsplit(side[0] && side[1] ? side[1] : "", ":", 2);
    ok = a[0] && a[1] && *a[1] && (!side[1] || (b[0] && b[1] && *b[1]));
    if (ok) {
        json_set_str(opts, "host", a[0]);
        json_set_str(opts, "port", a[1]);
        if (side[1]) {
            json_set_str(opts, "localaddr", b[0]);
            json_set_str(opts, "localport", b[1]);
        }
    } else {
        error_set(errp, "'%s' is not of the form "
                  "udp:host:port@localaddr:localport", text);
    }
    g_strfreev(side);
    g_strfreev(a);
    g_strfreev(b);
    return ok;
}

static const Prop udp_props[] = {
    PROP_STR("host", UdpChr, host, .desc = "where datagrams go"),
    PROP_STR("port", UdpChr, port, .desc = "its port"),
    PROP_STR("localaddr", UdpChr, localaddr, .desc = "where they come from"),
    PROP_STR("localport", UdpChr, localport, .desc = "its port"),
    PROP_BOOL("ipv4", UdpChr, ipv4, false, .desc = "with IPv4"),
    PROP_BOOL("ipv6", UdpChr, ipv6, false, .desc = "with IPv6"),
    PROP_CALL("remote", "SocketAddress", NULL, addr_prop_set, .flags = PF_HIDDEN,
              .offset = offsetof(UdpChr, remote_arg),
              .desc = "where datagrams go, as in chardev-add"),
    PROP_CALL("local", "SocketAddress", NULL, addr_prop_set, .flags = PF_HIDDEN,
              .offset = offsetof(UdpChr, local_arg),
              .desc = "where they come from, as in chardev-add"),
    PROP_END
};

CHAR_DRIVER(chr_udp, {
    .name = "udp", .type = "chardev-udp", .size = sizeof(UdpChr),
    .desc = "UDP datagrams", .doc = "Sends and receives datagrams.",
    .props = udp_props, .short_form = udp_short, .open = udp_open,
    .close = udp_close, .write = udp_write,
    .accept_input = udp_accept_input,
});
