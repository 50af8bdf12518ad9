/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dgram.c - the backend `dgram`: frames as datagrams of UDP (to one place or a
 * group) or of UNIX sockets.
 *
 * Thread class: machine lock.
 */
#include <arpa/inet.h>
#include <sys/un.h>
#include <unistd.h>
#include "net/conn.h"

typedef struct NetDgramPort {
    NetPort port;
    NetDgram d;
    Json *local, *remote;              /* properties                          */
} NetDgramPort;

static bool is_type(const Json *a, const char *type)
{
    return a && json_get_str(a, "type") &&
           !strcmp(json_get_str(a, "type"), type);
}

static const char *member(const Json *a, const char *of, const char *name,
                          Error **errp)
{
    const char *s = json_get_str(a, name);

    if (!s) {
        error_set(errp, "Parameter '%s.%s' is missing", of, name);
    }
    return s;
}

static bool inet_of(const Json *a, const char *of, struct sockaddr_in *to,
                    Error **errp)
{
    const char *host = member(a, of, "host", errp);
    const char *port = host ? member(a, of, "port", errp) : NULL;

    return port && net_resolve4(host, port, to, errp);
}

static MACHINE_CALL bool open_fd(NetDgramPort *s, Error **errp)
{
    const char *text = member(s->local, "local", "str", errp);
    int fd;

    if (!text) {
        return false;
    }
    if (s->remote) {
        return error_set(errp, "don't set remote with local.fd");
    }
    fd = net_take_fd(&s->port, text, errp);
    if (fd < 0 || net_fd_type(fd, errp) < 0) {
        return false;
    }
    snprintf(s->port.info, sizeof(s->port.info), "fd=%d %s", fd,
             net_fd_family(fd));
    net_dgram_start(&s->d, &s->port, fd);
    return true;
}

static MACHINE_CALL bool open_group(NetDgramPort *s,
                                    const struct sockaddr_in *to, Error **errp)
{
    struct sockaddr_in from;
    int fd;

    if (s->local && is_type(s->local, "fd")) {
        return open_fd(s, errp);
    }
    if (s->local && !inet_of(s->local, "local", &from, errp)) {
        return false;
    }
    fd = net_mcast_open(to, s->local ? &from.sin_addr : NULL, errp);
    if (fd < 0) {
        return false;
    }
    snprintf(s->port.info, sizeof(s->port.info), "mcast=%s:%u",
             inet_ntoa(to->sin_addr), ntohs(to->sin_port));
    memcpy(&s->d.to, to, sizeof(*to));
    s->d.to_len = sizeof(*to);
    net_dgram_start(&s->d, &s->port, fd);
    return true;
}

static MACHINE_CALL bool open_inet(NetDgramPort *s,
                                   const struct sockaddr_in *to, Error **errp)
{
    struct sockaddr_in from;
    char a[INET_ADDRSTRLEN], b[INET_ADDRSTRLEN];
    int fd, on = 1;

    if (!inet_of(s->local, "local", &from, errp)) {
        return false;
    }
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return error_set_errno(errp, errno, "can't create datagram socket");
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    inet_ntop(AF_INET, &from.sin_addr, a, sizeof(a));
    inet_ntop(AF_INET, &to->sin_addr, b, sizeof(b));
    if (bind(fd, (void *)&from, sizeof(from))) {
        error_set_errno(errp, errno, "can't bind ip=%s to socket", a);
        close(fd);
        return false;
    }
    snprintf(s->port.info, sizeof(s->port.info), "udp=%s:%u/%s:%u", a,
             ntohs(from.sin_port), b, ntohs(to->sin_port));
    memcpy(&s->d.to, to, sizeof(*to));
    s->d.to_len = sizeof(*to);
    net_dgram_start(&s->d, &s->port, fd);
    return true;
}

static bool unix_of(const Json *a, const char *of, struct sockaddr_un *un,
                    Error **errp)
{
    const char *path = member(a, of, "path", errp);

    *un = (struct sockaddr_un){ .sun_family = AF_UNIX };
    if (!path) {
        return false;
    }
    if (strlen(path) >= sizeof(un->sun_path)) {
        return error_set(errp, "UNIX socket path '%s' is too long", path);
    }
    memcpy(un->sun_path, path, strlen(path));
    return true;
}

static MACHINE_CALL bool open_unix(NetDgramPort *s, Error **errp)
{
    struct sockaddr_un from, to;
    int fd;

    if (!unix_of(s->local, "local", &from, errp) ||
        !unix_of(s->remote, "remote", &to, errp)) {
        return false;
    }
    if (unlink(from.sun_path) && errno != ENOENT) {
        return error_set_errno(errp, errno, "failed to unlink socket %s",
                               from.sun_path);
    }
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return error_set_errno(errp, errno, "can't create datagram socket");
    }
    if (bind(fd, (void *)&from, sizeof(from))) {
        error_set_errno(errp, errno, "can't bind unix=%s to socket",
                        from.sun_path);
        close(fd);
        return false;
    }
    snprintf(s->port.info, sizeof(s->port.info), "udp=%s:%s", from.sun_path,
             to.sun_path);
    memcpy(&s->d.to, &to, sizeof(to));
    s->d.to_len = sizeof(to);
    s->d.path = g_strdup(from.sun_path);
    net_dgram_start(&s->d, &s->port, fd);
    return true;
}

static MACHINE_CALL bool dgram_open(NetPort *p, Error **errp)
{
    NetDgramPort *s = (NetDgramPort *)p;
    struct sockaddr_in to;

    if (is_type(s->remote, "inet")) {
        if (!inet_of(s->remote, "remote", &to, errp)) {
            return false;
        }
        if (IN_MULTICAST(ntohl(to.sin_addr.s_addr))) {
            return open_group(s, &to, errp);
        }
    }
    if (!s->local) {
        return error_set(errp, "dgram requires local= parameter");
    }
    if (is_type(s->local, "fd")) {
        return open_fd(s, errp);
    }
    if (!s->remote) {
        return error_set(errp, "type=inet or type=unix requires remote "
                         "parameter");
    }
    if (g_strcmp0(json_get_str(s->local, "type"),
                  json_get_str(s->remote, "type"))) {
        return error_set(errp, "remote and local types must be the same");
    }
    if (is_type(s->local, "inet")) {
        return open_inet(s, &to, errp);
    }
    if (is_type(s->local, "unix")) {
        return open_unix(s, errp);
    }
    return error_set(errp, "only support inet, unix or fd type");
}

static MACHINE_CALL void dgram_close(NetPort *p)
{
    NetDgramPort *s = (NetDgramPort *)p;

    net_dgram_close(&s->d);
    json_free(s->local);
    json_free(s->remote);
    s->local = s->remote = NULL;
}

static MACHINE_CALL ssize_t dgram_send(NetPort *p, const struct iovec *iov,
                                       int niov)
{
    return net_dgram_send(&((NetDgramPort *)p)->d, iov, niov);
}

static MACHINE_CALL void dgram_resume(NetPort *p)
{
    net_dgram_resume(&((NetDgramPort *)p)->d);
}

static bool addr_set(Obj *o, const Prop *p, const Json *v, Error **errp)
{
    NetDgramPort *s = (NetDgramPort *)o;
    Json **at = *p->name == 'l' ? &s->local : &s->remote;
    g_autofree char *type = g_strdup_printf("%s.type", p->name);

    if (json_kind(v) != JSON_OBJ) {
        return error_set(errp, "Invalid parameter type for '%s', expected: "
                         "object", p->name);
    }
    if (!json_get_str(v, "type")) {
        return error_set(errp, "Parameter '%s' is missing", type);
    }
    json_free(*at);
    *at = json_copy(v);
    return true;
}

static const Prop dgram_props[] = {
    PROP_CALL("local", "SocketAddress", NULL, addr_set,
              .desc = "own address: local.type=inet, unix or fd, and its "
              "members"),
    PROP_CALL("remote", "SocketAddress", NULL, addr_set,
              .desc = "the other end's; a group's for many"),
    PROP_END
};

NET_DRIVER(dgram_driver, {
    .name = "dgram", .desc = "frames over a datagram socket",
    .size = sizeof(NetDgramPort),
    .doc = "Each frame is a datagram. With a multicast address all who use it "
           "share one network.",
    .props = dgram_props, .open = dgram_open, .close = dgram_close,
    .send = dgram_send, .resume = dgram_resume,
});
