/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * addr.c - addresses of sockets (POSIX.1-2017 getaddrinfo; unix(7) for the
 * abstract names).
 *
 * Thread class: ANY_THREAD; workers call addr_connect.
 *
 * Invariants
 * 1. A descriptor that is returned is non-blocking and close-on-exec; on
 *    failure none is left open.
 * 2. A listening socket that has been reported once is not reported again for
 *    the same connection, even where there is no descriptor for it.
 */
#include <fcntl.h>
#include <glib.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/un.h>
#include <unistd.h>
#include "chardev/addr.h"
#include "monitor.h"

#define BACKLOG 64                     /* connections that wait for accept    */

/* ---- values -------------------------------------------------------------- */

void addr_copy(SockAddr *to, const SockAddr *from)
{
    *to = *from;
    to->host = g_strdup(from->host);
    to->port = g_strdup(from->port);
    to->path = g_strdup(from->path);
    to->fd = g_strdup(from->fd);
}

void addr_clear(SockAddr *a)
{
    g_free(a->host);
    g_free(a->port);
    g_free(a->path);
    g_free(a->fd);
    *a = (SockAddr){ .kind = a->kind };
}

char *addr_text(const SockAddr *a)
{
    bool v6;

    switch (a->kind) {
    case ADDR_INET:
        v6 = a->host && strchr(a->host, ':');
        return g_strdup_printf("%s%s%s:%s", v6 ? "[" : "",
                               a->host ? a->host : "", v6 ? "]" : "", a->port);
    case ADDR_UNIX:
        return g_strdup_printf("%s%s%s", a->path,
                               a->abstract ? ",abstract=on" : "",
                               a->abstract && a->tight ? ",tight=on" : "");
    default:
        return g_strdup(a->fd);
    }
}

bool addr_of_socket(int fd, bool remote, SockAddr *out)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof(ss);
    char host[NI_MAXHOST], port[NI_MAXSERV];

    *out = (SockAddr){ 0 };
    if (remote ? getpeername(fd, (void *)&ss, &len)
               : getsockname(fd, (void *)&ss, &len)) {
        return false;
    }
    if (ss.ss_family == AF_UNIX) {
        struct sockaddr_un *un = (void *)&ss;
        size_t n = len > offsetof(struct sockaddr_un, sun_path)
                   ? len - offsetof(struct sockaddr_un, sun_path) : 0;

        out->kind = ADDR_UNIX;
        if (n && !un->sun_path[0]) {
            out->abstract = true;
            out->tight = n < sizeof(un->sun_path);
            out->path = g_strndup(un->sun_path + 1, n - 1);
        } else {
            out->path = g_strndup(un->sun_path, n);
        }
        return true;
    }
    if (getnameinfo((void *)&ss, len, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV)) {
        return false;
    }
    out->kind = ADDR_INET;
    out->host = g_strdup(host);
    out->port = g_strdup(port);
    out->ipv4 = ss.ss_family == AF_INET ? OOA_ON : OOA_AUTO;
    out->ipv6 = ss.ss_family == AF_INET6 ? OOA_ON : OOA_AUTO;
    return true;
}

static void json_flag(Json *o, const char *name, OnOffAuto v)
{
    if (v != OOA_AUTO) {
        json_set_bool(o, name, v == OOA_ON);
    }
}

Json *addr_json(const SockAddr *a)
{
    Json *o = json_obj();

    switch (a->kind) {
    case ADDR_INET:
        json_set_str(o, "port", a->port ? a->port : "");
        json_flag(o, "ipv4", a->ipv4);
        json_flag(o, "ipv6", a->ipv6);
        json_set_str(o, "host", a->host ? a->host : "");
        json_set_str(o, "type", "inet");
        break;
    case ADDR_UNIX:
        json_set_str(o, "path", a->path);
        if (a->abstract) {
            json_set_bool(o, "abstract", true);
            json_set_bool(o, "tight", a->tight);
        }
        json_set_str(o, "type", "unix");
        break;
    default:
        json_set_str(o, "str", a->fd);
        json_set_str(o, "type", "fd");
        break;
    }
    return o;
}

static OnOffAuto flag_of(const Json *o, const char *name)
{
    const Json *v = json_get(o, name);

    return !v || json_kind(v) != JSON_BOOL ? OOA_AUTO
           : json_bool_of(v) ? OOA_ON : OOA_OFF;
}

bool addr_from_json(SockAddr *a, const Json *v, Error **errp)
{
    const char *type = json_get_str(v, "type");
    const Json *d = json_get(v, "data"), *to;

    *a = (SockAddr){ 0 };
    d = d ? d : v;
    if (!type) {
        return error_set(errp, "Parameter 'addr.type' is missing");
    }
    if (!strcmp(type, "inet")) {
        a->host = g_strdup(json_get_str(d, "host"));
        a->port = g_strdup(json_get_str(d, "port"));
        a->ipv4 = flag_of(d, "ipv4");
        a->ipv6 = flag_of(d, "ipv6");
        a->keep_alive = flag_of(d, "keep-alive") == OOA_ON;
        to = json_get(d, "to");
        if (to && json_kind(to) == JSON_INT && json_int_of(to) >= 0 &&
            json_int_of(to) <= UINT16_MAX) {
            a->to = json_int_of(to);
        }
        return (a->host && a->port) ||
               error_set(errp, "Parameter 'addr.data.%s' is missing",
                         a->host ? "port" : "host");
    }
    if (!strcmp(type, "unix")) {
        a->kind = ADDR_UNIX;
        a->path = g_strdup(json_get_str(d, "path"));
        a->abstract = flag_of(d, "abstract") == OOA_ON;
        a->tight = flag_of(d, "tight") != OOA_OFF;
        return a->path ||
               error_set(errp, "Parameter 'addr.data.path' is missing");
    }
    if (!strcmp(type, "fd")) {
        a->kind = ADDR_FD;
        a->fd = g_strdup(json_get_str(d, "str"));
        return a->fd ||
               error_set(errp, "Parameter 'addr.data.str' is missing");
    }
    return error_set(errp, "socket addresses of type '%s' cannot be used here",
                     type);
}

/* ---- resolving ----------------------------------------------------------- */

static struct addrinfo *resolve(const SockAddr *a, int socktype, bool passive,
                                Error **errp)
{
    struct addrinfo hints = { .ai_socktype = socktype }, *res;
    const char *host = a->host && *a->host ? a->host : NULL;
    int rc;

    if (a->ipv4 == OOA_OFF && a->ipv6 == OOA_OFF) {
        error_set(errp, "Cannot disable IPv4 and IPv6 at same time");
        return NULL;
    }
    hints.ai_flags = passive ? AI_PASSIVE : 0;
    hints.ai_family = a->ipv6 == OOA_ON && a->ipv4 != OOA_ON ? AF_INET6
                    : a->ipv4 == OOA_ON && a->ipv6 != OOA_ON ? AF_INET
                    : a->ipv4 == OOA_OFF ? AF_INET6
                    : a->ipv6 == OOA_OFF ? AF_INET : AF_UNSPEC;
    rc = getaddrinfo(host, a->port && *a->port ? a->port : "0", &hints, &res);
    if (rc) {
        error_set(errp, "address resolution failed for %s:%s: %s",
                  host ? host : "", a->port ? a->port : "", gai_strerror(rc));
        return NULL;
    }
    return res;
}

static bool unix_name(const SockAddr *a, struct sockaddr_un *un,
                      socklen_t *len, Error **errp)
{
    size_t n = strlen(a->path), max = sizeof(un->sun_path) - a->abstract;

    memset(un, 0, sizeof(*un));
    un->sun_family = AF_UNIX;
    if (n > max) {
        error_set(errp, "UNIX socket path '%s' is too long", a->path);
        error_hint(errp, "Path must be less than %zu bytes", max);
        return false;
    }
    memcpy(un->sun_path + a->abstract, a->path, n);
    *len = a->abstract && a->tight
           ? offsetof(struct sockaddr_un, sun_path) + 1 + n : sizeof(*un);
    return true;
}

int addr_take_fd(const SockAddr *a, Error **errp)
{
    int type, fd;
    socklen_t len = sizeof(type);

    if (mon_current) {
        fd = mon_take_fd(a->fd, errp);
        if (fd < 0) {
            return -1;
        }
    } else {
        char *end;
        long v = strtol(a->fd, &end, 10);

        if (end == a->fd || *end || v < 0 || v > INT_MAX) {
            error_set(errp, "Unable to parse FD number %s", a->fd);
            return -1;
        }
        fd = v;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len)) {
        error_set(errp, "File descriptor '%s' is not a socket", a->fd);
        if (mon_current) {
            close(fd);
        }
        return -1;
    }
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    return fd;
}

/* ---- listening ----------------------------------------------------------- */

static int listen_unix(const SockAddr *a, Error **errp)
{
    struct sockaddr_un un;
    socklen_t len;
    int fd;

    if (!unix_name(a, &un, &len, errp)) {
        return -1;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        error_set_errno(errp, errno, "Failed to create Unix socket");
        return -1;
    }
    if (!a->abstract && unlink(a->path) && errno != ENOENT) {
        error_set_errno(errp, errno, "Failed to unlink socket %s", a->path);
        close(fd);
        return -1;
    }
    if (bind(fd, (void *)&un, len)) {
        error_set_errno(errp, errno, "Failed to bind socket to %s", a->path);
        close(fd);
        return -1;
    }
    if (listen(fd, BACKLOG)) {
        error_set_errno(errp, errno, "Failed to listen on socket");
        close(fd);
        return -1;
    }
    return fd;
}

static void set_port(struct addrinfo *e, unsigned port)
{
    if (e->ai_family == AF_INET) {
        ((struct sockaddr_in *)e->ai_addr)->sin_port = htons(port);
    } else {
        ((struct sockaddr_in6 *)e->ai_addr)->sin6_port = htons(port);
    }
}

static unsigned get_port(const struct addrinfo *e)
{
    return ntohs(e->ai_family == AF_INET
                 ? ((struct sockaddr_in *)e->ai_addr)->sin_port
                 : ((struct sockaddr_in6 *)e->ai_addr)->sin6_port);
}

static int listen_at(const struct addrinfo *e, int *err)
{
    int on = 1;
    int fd = socket(e->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
                    0);

    if (fd < 0) {
        *err = errno;
        return -1;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (e->ai_family == AF_INET6) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    }
    if (bind(fd, e->ai_addr, e->ai_addrlen) || listen(fd, BACKLOG)) {
        *err = errno;
        close(fd);
        return -1;
    }
    return fd;
}

static int listen_inet(const SockAddr *a, int *fds, Error **errp)
{
    struct addrinfo *res = resolve(a, SOCK_STREAM, true, errp);
    unsigned port, last, n = 0;
    int err = 0;

    if (!res) {
        return -1;
    }
    port = get_port(res);
    last = a->to > port ? a->to : port;
    for (; port <= last && !n; port++) {
        for (struct addrinfo *e = res; e && n < ADDR_LISTENERS;
             e = e->ai_next) {
            SockAddr got;

            set_port(e, port);
            fds[n] = listen_at(e, &err);
            if (fds[n] < 0) {
                continue;
            }
            /* A port that the host chose is for all addresses. */
            if (port == 0 && n == 0 && addr_of_socket(fds[0], false, &got)) {
                for (struct addrinfo *r = e; r; r = r->ai_next) {
                    set_port(r, strtoul(got.port, NULL, 10));
                }
                addr_clear(&got);
            }
            n++;
        }
    }
    freeaddrinfo(res);
    if (!n) {
        error_set_errno(errp, err, err == EADDRINUSE
                        ? "Failed to find an available port"
                        : "Failed to bind socket");
        return -1;
    }
    return n;
}

int addr_listen(const SockAddr *a, int *fds, Error **errp)
{
    if (a->kind == ADDR_INET) {
        return listen_inet(a, fds, errp);
    }
    fds[0] = listen_unix(a, errp);
    return fds[0] < 0 ? -1 : 1;
}

int addr_accept(int fd)
{
    static int spare = -1;             /* kept for invariant 2                */
    int s, err, flags = SOCK_NONBLOCK | SOCK_CLOEXEC;

    if (spare < 0) {
        spare = eventfd(0, EFD_CLOEXEC);
    }
    s = accept4(fd, NULL, NULL, flags);
    if (s >= 0) {
        return s;
    }
    err = errno;
    if ((err == EMFILE || err == ENFILE) && spare >= 0) {
        close(spare);
        s = accept4(fd, NULL, NULL, flags);
        if (s >= 0) {
            close(s);
        }
        spare = eventfd(0, EFD_CLOEXEC);
    }
    return -err;
}

/* ---- connecting ---------------------------------------------------------- */

/* 0, or an errno value. */
static int connect_within(int fd, const void *sa, socklen_t len, int limit_ms)
{
    struct pollfd pfd = { .fd = fd, .events = POLLOUT };
    int err = 0, rc;
    socklen_t n = sizeof(err);

    do {
        rc = connect(fd, sa, len);
    } while (rc < 0 && errno == EINTR);
    if (rc == 0) {
        return 0;
    }
    if (errno != EINPROGRESS) {
        return errno;
    }
    do {
        rc = poll(&pfd, 1, limit_ms);
    } while (rc < 0 && errno == EINTR);
    if (rc == 0) {
        return ETIMEDOUT;
    }
    return rc < 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &n) ? errno
                                                                    : err;
}

static int connect_unix(const SockAddr *a, int limit_ms, Error **errp)
{
    struct sockaddr_un un;
    socklen_t len;
    int fd, err;

    if (!unix_name(a, &un, &len, errp)) {
        return -1;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    err = fd < 0 ? errno : connect_within(fd, &un, len, limit_ms);
    if (err) {
        error_set_errno(errp, err, "Failed to connect to '%s'", a->path);
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    return fd;
}

int addr_connect(const SockAddr *a, int limit_ms, Error **errp)
{
    struct addrinfo *res;
    int err = 0, on = 1;

    if (a->kind == ADDR_UNIX) {
        return connect_unix(a, limit_ms, errp);
    }
    res = resolve(a, SOCK_STREAM, false, errp);
    if (!res) {
        return -1;
    }
    for (struct addrinfo *e = res; e; e = e->ai_next) {
        int fd = socket(e->ai_family,
                        SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

        if (fd < 0) {
            err = errno;
            continue;
        }
        err = connect_within(fd, e->ai_addr, e->ai_addrlen, limit_ms);
        if (!err) {
            freeaddrinfo(res);
            if (a->keep_alive) {
                setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
            }
            return fd;
        }
        close(fd);
    }
    freeaddrinfo(res);
    error_set_errno(errp, err, "Failed to connect to '%s:%s'",
                    a->host ? a->host : "", a->port);
    return -1;
}

/* ---- datagrams ----------------------------------------------------------- */

int addr_datagram(const SockAddr *remote, const SockAddr *local, Error **errp)
{
    static const SockAddr any;
    SockAddr from = local ? *local : any;
    struct addrinfo *to = resolve(remote, SOCK_DGRAM, false, errp), *here;
    int fd, on = 1;

    if (!to) {
        return -1;
    }
    from.ipv4 = to->ai_family == AF_INET ? OOA_ON : OOA_AUTO;
    from.ipv6 = to->ai_family == AF_INET6 ? OOA_ON : OOA_AUTO;
    here = resolve(&from, SOCK_DGRAM, true, errp);
    if (!here) {
        freeaddrinfo(to);
        return -1;
    }
    fd = socket(to->ai_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        error_set_errno(errp, errno, "Failed to create socket family %d",
                        to->ai_family);
    } else {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
        if (bind(fd, here->ai_addr, here->ai_addrlen)) {
            error_set_errno(errp, errno, "Failed to bind socket");
            close(fd);
            fd = -1;
        } else if (connect(fd, to->ai_addr, to->ai_addrlen)) {
            error_set_errno(errp, errno, "Failed to connect to '%s:%s'",
                            remote->host ? remote->host : "", remote->port);
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(to);
    freeaddrinfo(here);
    return fd;
}

/* ---- as properties ------------------------------------------------------- */

bool addr_prop_set(Obj *o, const Prop *p, const Json *v, Error **errp)
{
    Json **at = (Json **)((char *)o + p->offset);

    json_free(*at);
    *at = json_copy(v);
    return true;
}

void addr_props_release(Obj *o, const Prop *table)
{
    for (; table->name; table++) {
        if (table->set == addr_prop_set) {
            json_free(*(Json **)((char *)o + table->offset));
        }
    }
}
