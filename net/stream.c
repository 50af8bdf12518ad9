/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stream.c - the backend `stream`: frames over a stream socket of any family.
 *
 * Thread class: machine lock.
 */
#include "monitor.h"
#include "net/conn.h"
#include "opt.h"
#include "schema/schema.h"

typedef struct NetStream {
    NetPort port;
    NetConn conn;
    bool server;                       /* properties                          */
    uint32_t reconnect;
    Json *addr;
} NetStream;

static MACHINE_CALL void tell_up(NetStream *s)
{
    NetdevStreamConnectedEvent e = { .netdev_id = s->port.name };
    g_autofree char *text = NULL;
    Json *v;
    SockAddr a;

    if (!addr_of_socket(s->conn.fd, true, &a)) {
        a = (SockAddr){ .kind = ADDR_UNIX };
    }
    if (a.kind == ADDR_UNIX && (!a.path || !*a.path)) {
        /* A client without a name: the place where it came to. */
        addr_clear(&a);
        addr_copy(&a, &s->conn.addr);
    }
    if (a.kind == ADDR_FD || (a.kind == ADDR_UNIX && !a.path)) {
        addr_clear(&a);
        return;
    }
    text = addr_text(&a);
    snprintf(s->port.info, sizeof(s->port.info), "%s:%s",
             a.kind == ADDR_UNIX ? "unix" : "tcp", text);
    v = addr_json(&a);
    if (schema_parse(&qt_SocketAddress, v, false, &e.addr, NULL)) {
        monitor_event(&event_NETDEV_STREAM_CONNECTED, &e);
        schema_free(&qt_SocketAddress, &e.addr);
    }
    json_free(v);
    addr_clear(&a);
}

static MACHINE_CALL void changed(NetConn *c, bool up, const char *why)
{
    NetStream *s = (NetStream *)c->port;
    NetdevStreamDisconnectedEvent e = { .netdev_id = s->port.name };

    s->port.info[0] = '\0';
    if (up) {
        tell_up(s);
    } else if (why) {
        snprintf(s->port.info, sizeof(s->port.info), "connection error");
    } else {
        monitor_event(&event_NETDEV_STREAM_DISCONNECTED, &e);
    }
}

static MACHINE_CALL bool stream_open(NetPort *p, Error **errp)
{
    NetStream *s = (NetStream *)p;
    NetConn *c = &s->conn;
    const char *type = json_get_str(s->addr, "type");

    c->port = p;
    c->fd = -1;
    c->changed = changed;
    if (type && !strcmp(type, "fd")) {
        const char *text = json_get_str(s->addr, "str");
        int fd = text ? net_take_fd(p, text, errp) : -1;

        if (!text) {
            return error_set(errp, "Parameter 'addr.str' is missing");
        }
        if (fd < 0) {
            return false;
        }
        c->addr.kind = ADDR_FD;
        net_conn_use(c, fd);
        return true;
    }
    if (!addr_from_json(&c->addr, s->addr, errp)) {
        return false;
    }
    if (s->server && s->reconnect) {
        return error_set(errp, "'reconnect' option is incompatible with "
                         "socket in server mode");
    }
    if (s->server) {
        return net_conn_listen(c, errp);
    }
    c->reconnect = s->reconnect;
    net_conn_connect(c);
    return true;
}

static MACHINE_CALL void stream_close(NetPort *p)
{
    NetStream *s = (NetStream *)p;

    if (s->conn.port) {
        net_conn_close(&s->conn);
    }
    json_free(s->addr);
    s->addr = NULL;
}

static MACHINE_CALL ssize_t stream_send(NetPort *p, const struct iovec *iov,
                                        int niov)
{
    return net_conn_send(&((NetStream *)p)->conn, iov, niov);
}

static MACHINE_CALL void stream_resume(NetPort *p)
{
    net_conn_resume(&((NetStream *)p)->conn);
}

static bool addr_set(Obj *o, const Prop *p, const Json *v, Error **errp)
{
    NetStream *s = (NetStream *)o;

    if (json_kind(v) != JSON_OBJ) {
        return error_set(errp, "Invalid parameter type for '%s', expected: "
                         "object", p->name);
    }
    json_free(s->addr);
    s->addr = json_copy(v);
    return true;
}

static const Prop stream_props[] = {
    PROP_CALL("addr", "SocketAddress", NULL, addr_set, .flags = PF_REQUIRED,
              .desc = "where: addr.type=inet, unix or fd, and its members"),
    PROP_BOOL("server", NetStream, server, false,
              .desc = "wait there, rather than go there"),
    PROP_U32("reconnect", NetStream, reconnect, 0,
             .desc = "seconds after which a client tries again; 0: never"),
    PROP_END
};

NET_DRIVER(stream_driver, {
    .name = "stream", .desc = "frames over a stream socket",
    .size = sizeof(NetStream),
    .doc = "Each frame goes after its length in four bytes. A server serves one "
           "client at a time and waits for the next when it has gone.",
    .props = stream_props, .open = stream_open, .close = stream_close,
    .send = stream_send, .resume = stream_resume,
});
