/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * socket-open.c - the socket port's connections: listening, connecting again,
 * handshakes; its options and its short forms.
 *
 * Thread class: MACHINE_CALL, in the main loop.
 *
 * Invariants
 * 1. One client at a time: while it is there nobody is accepted, and others
 *    wait in the host's queue.
 * 2. At most one of: listening, a timer to connect again, a connection being
 *    made, a connection.
 * 3. A handshake keeps at most WS_HEAD_MAX bytes.
 */
#include <glib.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "chardev/socket.h"
#include "opt.h"

#define CONNECT_MS 30000

/* ---- a connection begins ------------------------------------------------- */

bool chr_never_wait;

static void listen_on(SockChr *c, bool on);

static void head_event(void *arg, unsigned events)
{
    machine_assert_locked();
    SockChr *c = arg;
    uint8_t buf[1024];
    GByteArray *reply;
    ssize_t n = sock_recv(c, buf, sizeof(buf)), used;
    bool sent;

    if (n <= 0) {
        if (n != -EAGAIN) {
            loop_fd(loop_main, c->fd, 0, NULL, NULL);
            sock_down(c);
        }
        return;
    }
    g_byte_array_append(c->head, buf, n);
    reply = g_byte_array_new();
    used = ws_request((char *)c->head->data, c->head->len, reply);
    if (used) {
        loop_fd(loop_main, c->fd, 0, NULL, NULL);
        sent = sock_send(c, reply->data, reply->len) == (ssize_t)reply->len;
        if (used < 0 || !sent) {
            sock_down(c);
        } else {
            g_byte_array_append(c->early, c->head->data + used,
                                c->head->len - used);
            sock_up(c);
        }
    }
    g_byte_array_free(reply, true);
}

static void next_layer(SockChr *c)
{
    machine_assert_locked();
    if (c->websocket) {
        loop_fd(loop_main, c->fd, EPOLLIN, head_event, c);
        if (c->tls && tls_pending(c->tls)) {
            head_event(c, EPOLLIN);
        }
    } else {
        sock_up(c);
    }
}

static ssize_t raw_read(void *arg, void *buf, size_t n)
{
    ssize_t r = recv(((SockChr *)arg)->fd, buf, n, MSG_DONTWAIT);

    return r < 0 ? -errno : r;
}

static ssize_t raw_write(void *arg, const void *buf, size_t n)
{
    ssize_t r = send(((SockChr *)arg)->fd, buf, n, MSG_NOSIGNAL);

    return r < 0 ? -errno : r;
}

static const TlsIo raw_io = { raw_read, raw_write };

static void tls_event(void *arg, unsigned events)
{
    SockChr *c = arg;
    Error *err = NULL;

    machine_assert_locked();
    switch (tls_handshake(c->tls, &err)) {
    case TLS_WANT_READ:
        loop_fd(loop_main, c->fd, EPOLLIN, tls_event, c);
        break;
    case TLS_WANT_WRITE:
        loop_fd(loop_main, c->fd, EPOLLOUT, tls_event, c);
        break;
    case TLS_DONE:
        loop_fd(loop_main, c->fd, 0, NULL, NULL);
        next_layer(c);
        break;
    default:
        loop_fd(loop_main, c->fd, 0, NULL, NULL);
        warn_report("chardev %s: %s", c->p.label, error_text(err));
        error_free(err);
        sock_down(c);
        break;
    }
}

static void begin(SockChr *c, int fd)
{
    machine_assert_locked();
    int on = 1;
    bool nodelay = c->nodelay == OOA_ON || c->delay == OOA_OFF;

    c->fd = fd;
    yank_connected(&c->yank, fd);
    c->phase = SOCK_OPENING;
    addr_of_socket(fd, false, &c->local);
    addr_of_socket(fd, true, &c->remote);
    if (nodelay) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    }
    g_byte_array_set_size(c->head, 0);
    if (c->creds) {
        Error *err = NULL;

        c->tls = tls_session_new(c->creds, &raw_io, c,
                                 c->server ? NULL : c->addr.host,
                                 c->tls_authz, &err);
        if (!c->tls) {
            error_report(err);
            sock_down(c);
            return;
        }
        tls_event(c, 0);
    } else {
        next_layer(c);
    }
}

/* ---- listening ----------------------------------------------------------- */

static void listen_event(void *arg, unsigned events)
{
    SockChr *c = arg;

    for (unsigned i = 0; i < c->n_listen; i++) {
        int fd = accept4(c->listen_fd[i], NULL, NULL,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            listen_on(c, false);
            begin(c, fd);
            return;
        }
        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
            /* Out of descriptors, say: not again in this instant. */
            listen_on(c, false);
            timer_set(&c->again, clock_ns(CLOCK_RT) + NS_PER_S);
            return;
        }
    }
}

static void listen_on(SockChr *c, bool on)
{
    if (c->listening == on) {
        return;
    }
    c->listening = on;
    for (unsigned i = 0; i < c->n_listen; i++) {
        loop_fd(loop_main, c->listen_fd[i], on ? EPOLLIN : 0, listen_event, c);
    }
}

static bool start_server(SockChr *c, Error **errp)
{
    machine_assert_locked();
    int n;

    if (c->addr.kind == ADDR_FD) {
        n = 1;
        c->listen_fd[0] = addr_take_fd(&c->addr, errp);
        if (c->listen_fd[0] < 0) {
            return false;
        }
        if (listen(c->listen_fd[0], 1)) {
            error_set_errno(errp, errno, "Failed to listen on fd socket");
            close(c->listen_fd[0]);
            return false;
        }
    } else {
        n = addr_listen(&c->addr, c->listen_fd, errp);
        if (n < 0) {
            return false;
        }
    }
    c->n_listen = n;
    if (c->addr.kind == ADDR_INET) {
        SockAddr got;

        if (addr_of_socket(c->listen_fd[0], false, &got)) {
            addr_clear(&c->addr);
            c->addr = got;
        }
    }
    listen_on(c, true);
    if (c->wait != OOA_OFF && !chr_never_wait) {
        char name[512];

        sock_filename(&c->p, name, sizeof(name));
        info_report("QEMU waiting for connection on: %s", name);
        while (c->phase == SOCK_DOWN) {
            loop_step(true);
        }
    }
    return true;
}

/* ---- connecting ---------------------------------------------------------- */

typedef struct ConnectTask {
    PoolTask task;
    SockChr *c;                        /* NULL: closed meanwhile              */
    SockAddr addr;
    int fd;
    Error *err;
} ConnectTask;

static int64_t connect_run(void *arg)
{
    ConnectTask *t = arg;

    t->fd = addr_connect(&t->addr, CONNECT_MS, &t->err);
    return 0;
}

static void connect_done(void *arg, int64_t ret)
{
    ConnectTask *t = arg;
    SockChr *c = t->c;

    if (!c) {
        if (t->fd >= 0) {
            close(t->fd);
        }
    } else if (t->fd >= 0) {
        c->task = NULL;
        c->told_error = false;
        begin(c, t->fd);
    } else {
        c->task = NULL;
        if (!c->told_error) {          /* once, not every second              */
            error_reportf("Unable to connect character device %s: %s",
                          c->p.label, error_text(t->err));
            c->told_error = true;
        }
        timer_set(&c->again, clock_ns(CLOCK_RT) + c->reconnect * NS_PER_S);
    }
    error_free(t->err);
    addr_clear(&t->addr);
    g_free(t);
}

static void connect_again(SockChr *c)
{
    ConnectTask *t = g_new0(ConnectTask, 1);

    t->c = c;
    t->fd = -1;
    addr_copy(&t->addr, &c->addr);
    t->task = (PoolTask){ .run = connect_run, .done = connect_done, .arg = t };
    c->task = t;
    pool_submit(&t->task);
}

static void again(void *arg)
{
    SockChr *c = arg;

    if (c->phase != SOCK_DOWN || c->task) {
        return;
    }
    if (c->server) {
        listen_on(c, true);
    } else {
        connect_again(c);
    }
}

/* The connection has ended. */
static void ended(void *arg)
{
    SockChr *c = arg;

    machine_assert_locked();
    tls_session_free(c->old_tls);
    c->old_tls = NULL;
    if (c->phase != SOCK_DOWN) {
        return;
    }
    if (c->server) {
        listen_on(c, true);
    } else if (c->reconnect > 0) {
        timer_set(&c->again, clock_ns(CLOCK_RT) + c->reconnect * NS_PER_S);
    }
}

static bool start_client(SockChr *c, Error **errp)
{
    machine_assert_locked();
    int fd;

    if (c->reconnect > 0) {
        connect_again(c);
        return true;
    }
    fd = c->addr.kind == ADDR_FD ? addr_take_fd(&c->addr, errp)
                                 : addr_connect(&c->addr, CONNECT_MS, errp);
    if (fd < 0) {
        return false;
    }
    begin(c, fd);
    return true;
}

/* ---- options ------------------------------------------------------------- */

static bool make_addr(SockChr *c, Error **errp)
{
    SockAddr *a = &c->addr;

    if (c->addr_arg) {
        return addr_from_json(a, c->addr_arg, errp);
    }
    if (!!c->path + !!c->fd_name + !!c->host > 1) {
        return error_set(errp, "None or one of 'path', 'fd' or 'host' option "
                         "required.");
    }
    if (c->path) {
        a->kind = ADDR_UNIX;
        a->path = g_strdup(c->path);
        a->abstract = c->abstract;
        a->tight = c->tight;
    } else if (c->host) {
        if (!c->port) {
            return error_set(errp, "chardev: socket: no port given");
        }
        a->kind = ADDR_INET;
        a->host = g_strdup(c->host);
        a->port = g_strdup(c->port);
        a->to = c->to;
        a->ipv4 = c->ipv4;
        a->ipv6 = c->ipv6;
    } else {
        a->kind = ADDR_FD;
        a->fd = g_strdup(c->fd_name ? c->fd_name : "");
    }
    return true;
}

/* Options that the kind of address makes nothing of. */
static void warn_options(const SockChr *c)
{
    bool ip = c->addr.kind == ADDR_INET;
    const struct {
        bool given, fits;
        const char *name, *to;
    } rows[] = {
        { c->nodelay != OOA_AUTO, ip, "nodelay", "TCP" },
        { c->delay != OOA_AUTO, ip, "delay", "TCP" },
        { c->to, ip && c->server, "to", "a TCP server" },
        { c->ipv4 != OOA_AUTO, ip, "ipv4", "TCP" },
        { c->ipv6 != OOA_AUTO, ip, "ipv6", "TCP" },
        { c->abstract, c->addr.kind == ADDR_UNIX, "abstract", "Unix sockets" },
        { !c->tight, c->addr.kind == ADDR_UNIX && c->abstract, "tight",
          "abstract Unix sockets" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows) && !c->addr_arg; i++) {
        if (rows[i].given && !rows[i].fits) {
            warn_report("chardev %s: '%s': no effect: it belongs to %s",
                        c->p.label, rows[i].name, rows[i].to);
        }
    }
}

static bool check_options(SockChr *c, Error **errp)
{
    machine_assert_locked();
    if (c->addr.kind == ADDR_FD && c->reconnect > 0) {
        return error_set(errp, "'reconnect' option is incompatible with 'fd' "
                         "address type");
    }
    if (c->tls_authz && !c->tls_creds) {
        return error_set(errp, "'tls_authz' option requires 'tls_creds' "
                         "option");
    }
    if (c->server && c->reconnect > 0) {
        return error_set(errp, "'reconnect' option is incompatible with "
                         "socket in server listen mode");
    }
    if (!c->server && c->websocket) {
        return error_set(errp, "Websocket client is not implemented");
    }
    if (!c->server && c->wait == OOA_ON) {
        return error_set(errp, "'wait' option is incompatible with socket in "
                         "client connect mode");
    }
    if (c->reconnect < 0 || c->reconnect > INT32_MAX) {
        return error_set(errp, "'reconnect' is a number of seconds");
    }
    if (c->tn3270) {
        return error_set(errp, "tn3270 terminals are not supported; use "
                         "telnet=on");
    }
    if (c->telnet && c->websocket) {
        return error_set(errp, "telnet and websocket cannot be used "
                         "together");
    }
    warn_options(c);
    if (c->tls_creds) {
        c->creds = tls_creds_get(c->tls_creds, c->server, errp);
        return c->creds != NULL;
    }
    return true;
}

static void free_all(SockChr *c)
{
    machine_assert_locked();
    yank_remove(&c->yank);
    g_byte_array_free(c->head, true);
    g_byte_array_free(c->early, true);
    g_byte_array_free(c->tx, true);
    addr_clear(&c->addr);
    tls_session_free(c->tls);
    tls_session_free(c->old_tls);
    tls_creds_put(c->creds);
}

static bool sock_open(CharPort *p, Error **errp)
{
    SockChr *c = (SockChr *)p;
    g_autofree char *name = g_strconcat(p->label, p->mux_wanted ? "-base" : "",
                                        NULL);

    sock_init(c);
    c->head = g_byte_array_new();
    c->again_work = (Work){ .fn = ended, .arg = c };
    timer_init(&c->again, NULL, CLOCK_RT, again, c);
    yank_add(&c->yank, YANK_CHARDEV, name);
    if (make_addr(c, errp) && check_options(c, errp) &&
        (c->server ? start_server(c, errp) : start_client(c, errp))) {
        return true;
    }
    free_all(c);
    return false;
}

static void sock_close(CharPort *p)
{
    machine_assert_locked();
    SockChr *c = (SockChr *)p;

    sock_stop(c);
    if (c->phase == SOCK_OPENING) {
        loop_fd(loop_main, c->fd, 0, NULL, NULL);
        sock_down(c);
    }
    work_cancel(loop_main, &c->again_work);
    timer_clear(&c->again);
    listen_on(c, false);
    for (unsigned i = 0; i < c->n_listen; i++) {
        close(c->listen_fd[i]);
    }
    if (c->n_listen && c->addr.kind == ADDR_UNIX && !c->addr.abstract) {
        unlink(c->addr.path);
    }
    if (c->task) {
        c->task->c = NULL;
    }
    free_all(c);
}

/* A flag that may be left out: OnOffAuto, shown and set as a bool. */
static bool set_flag(Obj *o, const Prop *p, const Json *v, Error **errp)
{
    bool on;

    if (json_kind(v) == JSON_BOOL) {
        on = json_bool_of(v);
    } else if (json_kind(v) != JSON_STR) {
        return error_set(errp, "Invalid parameter type for '%s', expected: "
                         "boolean", p->name);
    } else if (!opt_bool(p->name, json_str_of(v), &on, errp)) {
        return false;
    }
    *(OnOffAuto *)((char *)o + p->offset) = on ? OOA_ON : OOA_OFF;
    return true;
}

#define FLAG(n, f, ...) PROP_CALL(n, "bool", NULL, set_flag, \
                                  .offset = offsetof(SockChr, f), ##__VA_ARGS__)
static const Prop sock_props[] = {
    PROP_STR("path", SockChr, path, .desc = "file of a Unix socket"),
    PROP_BOOL("abstract", SockChr, abstract, false,
              .desc = "path is an abstract name"),
    PROP_BOOL("tight", SockChr, tight, true,
              .desc = "an abstract name ends with its last character"),
    PROP_STR("host", SockChr, host, .desc = "name or address"),
    PROP_STR("port", SockChr, port, .desc = "number or service"),
    PROP_STR("fd", SockChr, fd_name, .desc = "an open socket"),
    PROP_U16("to", SockChr, to, 0, .desc = "last port to try"),
    FLAG("ipv4", ipv4, .desc = "with IPv4"),
    FLAG("ipv6", ipv6, .desc = "with IPv6"),
    PROP_BOOL("server", SockChr, server, false, .desc = "listen"),
    FLAG("wait", wait, .desc = "wait for the first client"),
    FLAG("delay", delay, .desc = "gather small packets"),
    FLAG("nodelay", nodelay, .desc = "send small packets at once"),
    PROP_I64("reconnect", SockChr, reconnect, 0,
             .desc = "seconds until a client connects again; 0: never"),
    PROP_BOOL("telnet", SockChr, telnet, false, .desc = "speak Telnet"),
    PROP_BOOL("tn3270", SockChr, tn3270, false, .desc = "speak TN3270"),
    PROP_BOOL("websocket", SockChr, websocket, false,
              .desc = "speak WebSocket"),
    PROP_STR("tls-creds", SockChr, tls_creds, .desc = "TLS credentials"),
    PROP_STR("tls-authz", SockChr, tls_authz, .desc = "who is let in"),
    PROP_CALL("addr", "SocketAddress", NULL, addr_prop_set, .flags = PF_HIDDEN,
              .offset = offsetof(SockChr, addr_arg),
              .desc = "the address, as in chardev-add"),
    PROP_END
};

/* ---- what the tree shows ------------------------------------------------- */

static Json *get_connected(const Obj *o, const Prop *p, Error **errp)
{
    return json_bool(((const SockChr *)o)->phase == SOCK_UP);
}

static Json *get_addr(const Obj *o, const Prop *p, Error **errp)
{
    return addr_json(&((const SockChr *)o)->addr);
}

static const Prop sock_shown[] = {
    PROP_CALL("connected", "bool", get_connected, NULL, .flags = PF_READONLY),
    PROP_CALL("addr", "SocketAddress", get_addr, NULL, .flags = PF_READONLY),
    PROP_END
};

/* ---- short forms --------------------------------------------------------- */

/* The options after the address: a=b, or a, or noa. The last two forms are
 * taken here without the warning that -chardev gives. */
static bool short_rest(const char *text, Json *opts, Error **errp)
{
    GString *full = g_string_new(NULL);
    Opts o;
    bool ok;

    while (*text) {
        size_t n = strcspn(text, "=,");
        bool off = n > 2 && !strncmp(text, "no", 2);

        if (text[n] == '=') {
            for (; text[n] && (text[n] != ',' || text[n + 1] == ','); n++) {
                n += text[n] == ',';
            }
            g_string_append_len(full, text, n);
        } else {
            g_string_append_len(full, text + 2 * off, n - 2 * off);
            g_string_append(full, off ? "=off" : "=on");
        }
        text += n;
        if (*text) {
            g_string_append_c(full, *text++);
        }
    }
    ok = opts_parse(&o, full->str, NULL, OPT_FLAT, errp);
    g_string_free(full, true);
    if (!ok) {
        return false;
    }
    while (json_count(o.obj)) {
        const char *k = json_key_at(o.obj, 0);
        char *key = g_strdup(k);

        if (!prop_find(sock_props, k) && strncmp(k, "log", 3)) {
            error_set(errp, "Invalid parameter '%s'", k);
            g_free(key);
            opts_free(&o);
            return false;
        }
        json_set(opts, key, json_take(o.obj, key));
        g_free(key);
    }
    opts_free(&o);
    return true;
}

static bool short_inet(const char *text, Json *opts, Error **errp)
{
    bool six = *text == '[';
    const char *end = six ? strchr(text, ']') : strchr(text, ':'), *port;
    char *s;

    if (end && six) {
        text++;
    }
    port = end ? end + six : NULL;
    if (!port || *port != ':' || !port[1] || port[1] == ',') {
        return error_set(errp, "'%s' is not of the form host:port", text);
    }
    s = g_strndup(text, end - text);
    json_set_str(opts, "host", s);
    g_free(s);
    port++;
    s = g_strndup(port, strcspn(port, ","));
    json_set_str(opts, "port", s);
    g_free(s);
    port += strcspn(port, ",");
    return short_rest(*port ? port + 1 : port, opts, errp);
}

static bool short_unix(const char *text, Json *opts, Error **errp)
{
    GString *path = g_string_new(NULL);
    bool ok;

    while (*text && (*text != ',' || text[1] == ',')) {
        text += *text == ',';
        g_string_append_c(path, *text++);
    }
    if (path->len) {
        json_set_str(opts, "path", path->str);
    }
    ok = short_rest(*text ? text + 1 : text, opts, errp);
    g_string_free(path, true);
    return ok;
}

static bool sock_short(const char *text, Json *opts, Error **errp)
{
    static const char *const protos[] = { "tcp", "telnet", "tn3270",
                                          "websocket" };

    if (!strncmp(text, "unix:", 5)) {
        return short_unix(text + 5, opts, errp);
    }
    for (size_t i = 0; i < ARRAY_SIZE(protos); i++) {
        size_t n = strlen(protos[i]);

        if (!strncmp(text, protos[i], n) && text[n] == ':') {
            if (i) {
                json_set_str(opts, protos[i], "on");
            }
            return short_inet(text + n + 1, opts, errp);
        }
    }
    return false;
}

static const char *const qmp_defaults[] = { "server", "on", "wait", "off",
                                            NULL };

CHAR_DRIVER(chr_socket, {
    .name = "socket", .type = "chardev-socket", .size = sizeof(SockChr),
    .desc = "Unix or TCP socket",
    .doc = "A client, or with server=on a server for one client at a time.",
    .props = sock_props, .shown = sock_shown, .short_form = sock_short,
    .open = sock_open, .close = sock_close, .write = sock_write,
    .accept_input = sock_accept_input, .want_write = sock_want_write,
    .set_loop = sock_set_loop, .take_fds = sock_take_fds,
    .add_fds = sock_add_fds, .filename = sock_filename,
    .qmp_defaults = qmp_defaults,
});
