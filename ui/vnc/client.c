/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * client.c - a VNC client's connection: bytes in and out, through TLS and
 * WebSocket where these are used.
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. `in` holds at most VNC_IN_MAX bytes: a message that needs more ends the
 *    connection.
 * 2. While REPLIES_MAX bytes wait to be sent nothing is read.
 * 3. At most `connections` clients have not got in yet.
 * 4. A client that is gone is freed when no job of its is with a worker.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "ui/vnc/vnc.h"

/* Answers that may wait: who sends and does not read is not read from either. */
#define REPLIES_MAX (16u << 20)

static void watch(VncClient *c) MACHINE_CALL;
static void on_event(void *arg, unsigned events);

/* ---- plain bytes --------------------------------------------------------- */
static ssize_t raw_read(void *arg, void *buf, size_t n)
{
    ssize_t r = recv(((VncClient *)arg)->fd, buf, n, MSG_DONTWAIT);

    return r < 0 ? -errno : r;
}

static ssize_t raw_write(void *arg, const void *buf, size_t n)
{
    ssize_t r = send(((VncClient *)arg)->fd, buf, n,
                     MSG_NOSIGNAL | MSG_DONTWAIT);

    return r < 0 ? -errno : r;
}

static const TlsIo raw_io = { raw_read, raw_write };

static ssize_t get(VncClient *c, void *buf, size_t n)
{
    return c->tls && c->phase != VNC_TLS_FIRST
        ? tls_read(c->tls, buf, n, NULL) : raw_read(c, buf, n);
}

static ssize_t put(VncClient *c, const void *buf, size_t n)
{
    return c->tls ? tls_write(c->tls, buf, n, NULL) : raw_write(c, buf, n);
}

/* ---- out ----------------------------------------------------------------- */
static void flush(VncClient *c) MACHINE_CALL;
static void flush(VncClient *c)
{
    while (c->out_at < c->out->len) {
        ssize_t n = put(c, c->out->data + c->out_at, c->out->len - c->out_at);

        if (n == -EAGAIN || n == -EINTR) {
            break;
        }
        if (n <= 0) {
            vnc_client_end(c);
            return;
        }
        c->out_at += (size_t)n;
    }
    if (c->out_at == c->out->len) {
        c->out_at = 0;
        if (c->out->len > 1 << 16) {
            g_byte_array_free(c->out, true);
            c->out = g_byte_array_new();
        } else {
            g_byte_array_set_size(c->out, 0);
        }
    }
}

size_t vnc_backlog(const VncClient *c)
{
    return c->out->len - c->out_at;
}

void vnc_send(VncClient *c, const void *p, size_t n)
{
    if (c->phase == VNC_GONE || !n) {
        return;
    }
    if (vnc_sasl_layer(c)) {
        if (!vnc_sasl_encode(c, p, n, c->out)) {
            vnc_client_end(c);
            return;
        }
    } else if (c->websocket && c->phase > VNC_WS_HEAD) {
        ws_out(c->out, p, n);
    } else {
        g_byte_array_append(c->out, p, (unsigned)n);
    }
    if (!(c->events & EPOLLOUT) || vnc_backlog(c) >= REPLIES_MAX) {
        watch(c);
    }
}

void vnc_bytes_put(GByteArray *out, uint64_t v, unsigned size)
{
    uint8_t b[8];

    for (unsigned i = 0; i < size; i++) {
        b[i] = (uint8_t)(v >> 8 * (size - 1 - i));
    }
    g_byte_array_append(out, b, size);
}

void vnc_send_u8(VncClient *c, uint8_t v)
{
    vnc_send(c, &v, 1);
}

void vnc_send_u16(VncClient *c, uint16_t v)
{
    v = htobe16(v);
    vnc_send(c, &v, 2);
}

void vnc_send_u32(VncClient *c, uint32_t v)
{
    v = htobe32(v);
    vnc_send(c, &v, 4);
}

/* ---- in ------------------------------------------------------------------ */
void vnc_expect(VncClient *c, size_t n,
                ssize_t (*fn)(VncClient *, const uint8_t *, size_t))
{
    c->need = n;
    c->next = fn;
}

static void digest(VncClient *c) MACHINE_CALL;
static void digest(VncClient *c)
{
    while (c->phase >= VNC_VERSION && c->phase < VNC_GONE &&
           c->in->len >= c->need) {
        size_t before = c->need;
        ssize_t (*fn)(VncClient *, const uint8_t *, size_t) = c->next;
        ssize_t used = fn(c, c->in->data, c->in->len);

        if (used < 0 || c->need > VNC_IN_MAX) {
            vnc_client_end(c);
            return;
        }
        g_byte_array_remove_range(c->in, 0, (unsigned)used);
        if (!used && c->need <= before && c->next == fn) {
            return;                     /* waits for something else           */
        }
    }
}

static bool ws_head(VncClient *c) MACHINE_CALL;
static bool ws_head(VncClient *c)
{
    GByteArray *reply = g_byte_array_new();
    ssize_t used = ws_request((char *)c->raw_in->data, c->raw_in->len, reply);

    if (used) {
        g_byte_array_append(c->out, reply->data, reply->len);
    }
    g_byte_array_free(reply, true);
    if (used < 0 || (!used && c->raw_in->len > WS_HEAD_MAX)) {
        flush(c);
        vnc_client_end(c);
        return false;
    }
    if (used > 0) {
        g_byte_array_remove_range(c->raw_in, 0, (unsigned)used);
        c->phase = VNC_VERSION;
        vnc_hello(c);
    }
    return used > 0;
}

/* What is in raw_in goes to in, through WebSocket's framing. */
static void unframe(VncClient *c) MACHINE_CALL;
static void unframe(VncClient *c)
{
    GByteArray *reply;
    bool end = false;
    size_t n;

    if (c->phase == VNC_WS_HEAD && !ws_head(c)) {
        return;
    }
    if (vnc_sasl_layer(c)) {
        if (!vnc_sasl_decode(c, c->raw_in->data, c->raw_in->len, c->in)) {
            vnc_client_end(c);
            return;
        }
        g_byte_array_set_size(c->raw_in, 0);
        return;
    }
    if (!c->websocket) {
        g_byte_array_append(c->in, c->raw_in->data, c->raw_in->len);
        g_byte_array_set_size(c->raw_in, 0);
        return;
    }
    reply = g_byte_array_new();
    n = ws_in(&c->ws, c->raw_in->data, c->raw_in->len, reply, &end);
    g_byte_array_append(c->in, c->raw_in->data, (unsigned)n);
    g_byte_array_set_size(c->raw_in, 0);
    g_byte_array_append(c->out, reply->data, reply->len);
    g_byte_array_free(reply, true);
    if (end) {
        vnc_client_end(c);
    }
}

static void receive(VncClient *c) MACHINE_CALL;
static void receive(VncClient *c)
{
    uint8_t buf[16384];

    for (int turns = 0; turns < 16 && c->phase != VNC_GONE &&
         vnc_backlog(c) < REPLIES_MAX; turns++) {
        ssize_t n = get(c, buf, sizeof(buf));

        if (n == -EAGAIN || n == -EINTR) {
            return;
        }
        if (n <= 0) {
            vnc_client_end(c);
            return;
        }
        g_byte_array_append(c->raw_in, buf, (unsigned)n);
        unframe(c);
        digest(c);
        if (c->phase == VNC_TLS_FIRST) {
            return;
        }
    }
}

/* ---- TLS ----------------------------------------------------------------- */
static void tls_go(VncClient *c) MACHINE_CALL;
static void tls_go(VncClient *c)
{
    Error *err = NULL;

    switch (tls_handshake(c->tls, &err)) {
    case TLS_DONE:
        if (c->tls_wanted) {            /* wss: the handshake came first      */
            c->phase = VNC_WS_HEAD;
            c->tls_wanted = false;
        } else {
            c->phase = VNC_AUTH;
            vnc_auth_go(c, c->subauth);
        }
        receive(c);
        break;
    case TLS_WANT_READ: case TLS_WANT_WRITE:
        break;
    default:
        /* No line of its own: anybody who can connect could fill a log. */
        TRACE(vnc_tls_failed, "%s", error_text(err));
        error_free(err);
        vnc_client_end(c);
        break;
    }
}

bool vnc_start_tls(VncClient *c)
{
    Error *err = NULL;

    flush(c);
    if (c->phase == VNC_GONE || vnc_backlog(c)) {
        return false;
    }
    c->tls = tls_session_new(c->srv->creds, &raw_io, c, NULL, c->srv->tls_authz,
                             &err);
    if (!c->tls) {
        error_free(err);
        return false;
    }
    c->phase = VNC_TLS_FIRST;
    return true;
}

/* ---- events -------------------------------------------------------------- */
static void watch(VncClient *c)
{
    unsigned want = 0;

    if (c->phase == VNC_GONE) {
        return;
    }
    if (vnc_backlog(c) < REPLIES_MAX) {
        want |= EPOLLIN;
    }
    if (vnc_backlog(c)) {
        want |= EPOLLOUT;
    }
    if (want != c->events) {
        c->events = want;
        loop_fd(loop_main, c->fd, want, on_event, c);
    }
}

static void on_event(void *arg, unsigned events)
{
    VncClient *c = arg;

    machine_assert_locked();
    if (c->phase == VNC_TLS_FIRST) {
        tls_go(c);
    } else {
        if (events & EPOLLOUT) {
            flush(c);
        }
        if (c->phase != VNC_GONE && events & ~(unsigned)EPOLLOUT) {
            receive(c);
        }
    }
    if (c->phase != VNC_GONE) {
        flush(c);
    }
    if (c->phase != VNC_GONE) {
        vnc_update_try(c);
    }
    watch(c);
}

/* ---- life ---------------------------------------------------------------- */
/* Of those that have not got in yet, who waits longest makes room. */
static void make_room(VncServer *s) MACHINE_CALL;
static void make_room(VncServer *s)
{
    VncClient *oldest = NULL;
    unsigned n = 0;

    for (VncClient *c = s->clients; c; c = c->next_client) {
        if (c->phase < VNC_RUN) {
            oldest = c;                 /* new ones are at the list's head    */
            n++;
        }
    }
    if (oldest && n >= s->connections) {
        vnc_client_end(oldest);
    }
}

VncClient *vnc_client_new(VncServer *s, int fd, bool websocket, bool skip_auth)
{
    VncClient *c = g_new0(VncClient, 1);
    int on = 1;

    make_room(s);
    c->srv = s;
    c->fd = fd;
    c->websocket = websocket;
    c->skip_auth = skip_auth;
    c->raw_in = g_byte_array_new();
    c->in = g_byte_array_new();
    c->out = g_byte_array_new();
    c->coder = vnc_coder_new();
    c->quality = c->compression = -1;
    c->last_x = c->last_y = -1;
    c->absolute = true;
    vnc_format_default(&c->format);
    addr_of_socket(fd, false, &c->local);
    addr_of_socket(fd, true, &c->remote);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    c->next_client = s->clients;
    s->clients = c;
    s->n_clients++;
    vnc_event_connected(c);
    c->phase = VNC_VERSION;
    if (websocket) {
        c->phase = VNC_WS_HEAD;
        if (s->creds) {
            c->tls_wanted = true;
            if (!vnc_start_tls(c)) {
                vnc_client_end(c);
                return NULL;
            }
        }
    } else {
        vnc_hello(c);
    }
    watch(c);
    return c;
}

static void client_free(VncClient *c) MACHINE_CALL;
static void client_free(VncClient *c)
{
    vnc_sasl_end(c);
    g_byte_array_free(c->raw_in, true);
    g_byte_array_free(c->in, true);
    g_byte_array_free(c->out, true);
    addr_clear(&c->local);
    addr_clear(&c->remote);
    g_free(c->sasl_user);
    g_free(c->dirty);
    g_free(c->blurred);
    vnc_coder_free(c->coder);
    g_free(c);
}

/* The connection ends at once; the struct goes when nobody is in its midst: a
 * work of the main loop's end of turn. */
static void free_late(void *arg)
{
    machine_assert_locked();
    client_free(arg);
}

void vnc_client_end(VncClient *c)
{
    VncServer *s = c->srv;
    VncClient **p = &s->clients;

    if (c->phase == VNC_GONE) {
        return;
    }
    if (c->out_at < c->out->len && c->phase != VNC_TLS_FIRST) {
        /* the last words, if they fit */
        put(c, c->out->data + c->out_at, c->out->len - c->out_at);
    }
    vnc_event_disconnected(c);
    vnc_keys_up(c);
    c->phase = VNC_GONE;
    loop_fd(loop_main, c->fd, 0, NULL, NULL);
    if (c->tls) {
        tls_session_free(c->tls);
        c->tls = NULL;
    }
    close(c->fd);
    c->fd = -1;
    while (*p != c) {
        p = &(*p)->next_client;
    }
    *p = c->next_client;
    s->n_clients--;
    if (c->job) {
        c->job->client = NULL;          /* the job takes the coder along      */
        c->coder = NULL;
        c->job = NULL;
    }
    vnc_interval(s);
    loop_post_fn(loop_main, free_late, c);
}
