/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * socket.c - the socket port's connection: bytes both ways, descriptors beside
 * them (unix(7), SCM_RIGHTS), Telnet and WebSocket where asked for.
 *
 * Thread class: the port's loop; writes from any thread under write_lock.
 *
 * Invariants
 * 1. The socket is registered with the port's loop exactly while phase is
 *    SOCK_UP and events is not 0.
 * 2. Input is read only as far as the front end has room; without room only
 *    the other end's going is watched for.
 * 3. tx holds what one write made of its bytes (at most CHUNK of them):
 *    nothing more is taken before it is sent.
 * 4. Descriptors that came and were not taken are closed when new ones come,
 *    and with the connection.
 */
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "chardev/socket.h"

#define CHUNK (32 * KiB)

/* ---- what the loop waits for --------------------------------------------- */

static void data_event(void *arg, unsigned events);

/* Input is here already, for which the socket shows no event. */
static bool ready(const SockChr *c)
{
    return c->early->len || (c->tls && tls_pending(c->tls));
}

static void update_watch(SockChr *c)
{
    bool room = chr_can_receive(&c->p) > 0;
    unsigned events;

    if (c->phase != SOCK_UP) {
        return;
    }
    events = room ? EPOLLIN : c->half_closed ? 0 : EPOLLRDHUP;
    if (c->want_out) {
        events |= EPOLLOUT;
    }
    if (room && ready(c)) {
        loop_post(c->p.loop, &c->watch_work);
    }
    if (events != c->events) {
        c->events = events;
        loop_fd(c->p.loop, c->fd, events, data_event, c);
    }
}

static void read_some(SockChr *c);

static void watch_now(void *arg)
{
    SockChr *c = arg;

    if (loop_self() != c->p.loop) {    /* it has moved meanwhile              */
        loop_post(c->p.loop, &c->watch_work);
        return;
    }
    if (c->phase == SOCK_UP && ready(c) &&
        chr_can_receive(&c->p) > 0) {
        read_some(c);
    }
    update_watch(c);
}

void sock_init(SockChr *c)
{
    c->fd = -1;
    c->early = g_byte_array_new();
    c->tx = g_byte_array_new();
    c->watch_work = (Work){ .fn = watch_now, .arg = c };
}

/* Callers may be in another thread than the port's loop. */
static void ask_watch(SockChr *c)
{
    if (loop_self() == c->p.loop) {
        update_watch(c);
    } else {
        loop_post(c->p.loop, &c->watch_work);
    }
}

void sock_accept_input(CharPort *p)
{
    ask_watch((SockChr *)p);
}

void sock_want_write(CharPort *p)
{
    SockChr *c = (SockChr *)p;

    c->want_out = true;
    ask_watch(c);
}

/* ---- out ----------------------------------------------------------------- */

ssize_t sock_send(SockChr *c, const void *buf, size_t n)
{
    ssize_t r;

    if (c->tls) {
        return tls_write(c->tls, buf, n, NULL);
    }
    do {
        r = send(c->fd, buf, n, MSG_NOSIGNAL);
    } while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : r;
}

/* Sends from buf, with the descriptors that wait; bytes, or -errno. */
static ssize_t send_some(SockChr *c, const void *buf, size_t n)
{
    struct iovec iov = { (void *)buf, n };
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int) * SOCK_FDS)];
    } ctl;
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    size_t len;
    ssize_t r;

    if (!c->n_out_fds) {
        return sock_send(c, buf, n);
    }
    len = sizeof(int) * c->n_out_fds;
    memset(&ctl, 0, sizeof(ctl));
    msg.msg_control = &ctl;
    msg.msg_controllen = CMSG_SPACE(len);
    ctl.head.cmsg_len = CMSG_LEN(len);
    ctl.head.cmsg_level = SOL_SOCKET;
    ctl.head.cmsg_type = SCM_RIGHTS;
    memcpy(CMSG_DATA(&ctl.head), c->out_fds, len);
    do {
        r = sendmsg(c->fd, &msg, MSG_NOSIGNAL);
    } while (r < 0 && errno == EINTR);
    if (r < 0) {
        return -errno;
    }
    c->n_out_fds = 0;
    return r;
}

/* 0: all is sent; else -errno. write_lock is held. */
static int flush_tx(SockChr *c)
{
    while (c->tx_at < c->tx->len) {
        ssize_t r = send_some(c, c->tx->data + c->tx_at,
                              c->tx->len - c->tx_at);

        if (r < 0) {
            return r;
        }
        c->tx_at += r;
    }
    g_byte_array_set_size(c->tx, 0);
    c->tx_at = 0;
    return 0;
}

static ssize_t write_up(SockChr *c, const uint8_t *buf, size_t n)
{
    int r = flush_tx(c);

    if (r < 0) {
        return r;
    }
    /* TLS wants the same bytes again when there was no room: they are kept. */
    if (c->websocket || c->tls || (c->telnet && memchr(buf, 0xff, n))) {
        n = MIN2(n, CHUNK);
        if (!c->websocket && !c->telnet) {
            g_byte_array_append(c->tx, buf, n);
        } else if (c->websocket) {
            ws_out(c->tx, buf, n);
        } else {
            telnet_out(c->tx, buf, n);
        }
        r = flush_tx(c);
        if (r == -EAGAIN) {            /* taken, and sent when there is room  */
            c->want_out = true;
            loop_post(c->p.loop, &c->watch_work);
        }
        return r < 0 && r != -EAGAIN ? r : (ssize_t)n;
    }
    return send_some(c, buf, n);
}

ssize_t sock_write(CharPort *p, const void *buf, size_t n)
{
    SockChr *c = (SockChr *)p;

    if (c->phase != SOCK_UP) {
        return n;                      /* nobody there: as on an open line    */
    }
    /* After an error the reader ends the connection, when it has read what
     * came before. */
    return write_up(c, buf, n);
}

static void write_room(SockChr *c)
{
    int r;

    pthread_mutex_lock(&c->p.write_lock);
    r = flush_tx(c);
    pthread_mutex_unlock(&c->p.write_lock);
    if (r != -EAGAIN) {
        c->want_out = false;
        chr_writable(&c->p);
    }
}

bool sock_add_fds(CharPort *p, const int *fds, int n)
{
    SockChr *c = (SockChr *)p;

    if (c->addr.kind == ADDR_INET || n < 0 || n > SOCK_FDS) {
        return false;
    }
    pthread_mutex_lock(&p->write_lock);
    c->n_out_fds = n;
    memcpy(c->out_fds, fds, n * sizeof(int));
    pthread_mutex_unlock(&p->write_lock);
    return true;
}

/* ---- in ------------------------------------------------------------------ */

/* write_lock is held. */
static void drop_in_fds(SockChr *c)
{
    while (c->n_in_fds) {
        close(c->in_fds[--c->n_in_fds]);
    }
}

int sock_take_fds(CharPort *p, int *fds, int n)
{
    SockChr *c = (SockChr *)p;
    int got;

    pthread_mutex_lock(&p->write_lock);
    got = MIN2(n, (int)c->n_in_fds);
    memcpy(fds, c->in_fds, got * sizeof(int));
    c->n_in_fds -= got;
    memmove(c->in_fds, c->in_fds + got, c->n_in_fds * sizeof(int));
    pthread_mutex_unlock(&p->write_lock);
    return got;
}

static void keep_fds(SockChr *c, const int *fds, unsigned n)
{
    pthread_mutex_lock(&c->p.write_lock);
    drop_in_fds(c);
    for (unsigned i = 0; i < n; i++) {
        int flags = fcntl(fds[i], F_GETFL);

        /* What the sender had set stays with the open file otherwise. */
        if (flags >= 0 && flags & O_NONBLOCK) {
            fcntl(fds[i], F_SETFL, flags & ~O_NONBLOCK);
        }
        c->in_fds[c->n_in_fds++] = fds[i];
    }
    pthread_mutex_unlock(&c->p.write_lock);
}

ssize_t sock_recv(SockChr *c, void *buf, size_t n)
{
    ssize_t r;

    if (c->tls) {
        /* One thread at a time in the session: writers come from others. */
        pthread_mutex_lock(&c->p.write_lock);
        r = tls_read(c->tls, buf, n, NULL);
        pthread_mutex_unlock(&c->p.write_lock);
        return r;
    }
    do {
        r = recv(c->fd, buf, n, MSG_DONTWAIT);
    } while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : r;
}

static ssize_t recv_some(SockChr *c, uint8_t *buf, size_t n)
{
    struct iovec iov = { buf, n };
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int) * SOCK_FDS)];
    } ctl;
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    ssize_t r;

    if (c->early->len) {
        n = MIN2(n, (size_t)c->early->len);
        memcpy(buf, c->early->data, n);
        g_byte_array_remove_range(c->early, 0, n);
        return n;
    }
    if (c->addr.kind == ADDR_INET || c->tls) {
        return sock_recv(c, buf, n);
    }
    msg.msg_control = &ctl;
    msg.msg_controllen = sizeof(ctl);
    do {
        r = recvmsg(c->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (r < 0 && errno == EINTR);
    if (r < 0) {
        return -errno;
    }
    for (struct cmsghdr *h = CMSG_FIRSTHDR(&msg); h;
         h = CMSG_NXTHDR(&msg, h)) {
        if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS) {
            int fds[SOCK_FDS];
            size_t len = MIN2(h->cmsg_len - CMSG_LEN(0), sizeof(fds));

            memcpy(fds, CMSG_DATA(h), len);
            keep_fds(c, fds, len / sizeof(int));
        }
    }
    return r;
}

/* Frames in buf become data; false: the connection is to end. */
static bool unframe(SockChr *c, uint8_t *buf, ssize_t *n)
{
    GByteArray *reply = g_byte_array_new();
    bool end = false;

    *n = ws_in(&c->ws, buf, *n, reply, &end);
    if (reply->len) {
        pthread_mutex_lock(&c->p.write_lock);
        /* A client that pings and never reads gets no more answers. */
        if (c->tx->len < 2 * CHUNK) {
            g_byte_array_append(c->tx, reply->data, reply->len);
            if (flush_tx(c) == -EAGAIN) {
                c->want_out = true;
            }
        }
        pthread_mutex_unlock(&c->p.write_lock);
    }
    g_byte_array_free(reply, true);
    return !end;
}

static void read_some(SockChr *c)
{
    uint8_t buf[4096];
    int room = chr_can_receive(&c->p), fd = c->fd;
    bool more = true, brk = false;
    ssize_t n;

    if (room <= 0) {
        return;
    }
    n = recv_some(c, buf, MIN2((size_t)room, sizeof(buf)));
    if (n <= 0) {
        if (n != -EAGAIN) {
            sock_down(c);
        }
        return;
    }
    if (c->telnet) {
        n = telnet_in(&c->tn, buf, n, &brk);
    } else if (c->websocket) {
        more = unframe(c, buf, &n);
    }
    if (n > 0) {
        chr_receive(&c->p, buf, n);
    }
    if (c->phase != SOCK_UP || c->fd != fd) {
        return;                        /* the front end closed it             */
    }
    if (brk) {
        chr_event(&c->p, CHR_BREAK);
    }
    if (!more) {
        sock_down(c);
    }
}

/* The other end went while the front end has no room. */
static void look_for_end(SockChr *c)
{
    uint8_t byte;
    ssize_t n = recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

    if (n > 0 && c->p.front) {
        c->half_closed = true;         /* the front end shall have it first   */
    } else if (n >= 0 || errno != EAGAIN) {
        sock_down(c);
    }
}

static void data_event(void *arg, unsigned events)
{
    SockChr *c = arg;

    if (events & EPOLLOUT || (c->want_out && events & EPOLLERR)) {
        write_room(c);
    }
    if (c->phase == SOCK_UP &&
        events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
        if (chr_can_receive(&c->p) > 0) {
            read_some(c);
        } else if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
            look_for_end(c);
        }
    }
    update_watch(c);
}

/* ---- beginning and end --------------------------------------------------- */

static void up_now(void *arg)
{
    SockChr *c = arg;

    pthread_mutex_lock(&c->p.write_lock);
    c->phase = SOCK_UP;
    c->want_out = flush_tx(c) == -EAGAIN;
    pthread_mutex_unlock(&c->p.write_lock);
    c->half_closed = false;
    c->events = 0;
    chr_event(&c->p, CHR_OPENED);
    update_watch(c);
}

void sock_up(SockChr *c)
{
    c->tn = (Telnet){ 0 };
    c->ws = (WebSock){ .head_n = 0 };
    if (c->telnet) {
        g_byte_array_append(c->tx, telnet_hello, sizeof(telnet_hello));
    }
    loop_run_sync(c->p.loop, up_now, c);
}

void sock_down(SockChr *c)
{
    bool was_up = c->phase == SOCK_UP;
    int fd = c->fd;

    if (fd < 0) {
        return;
    }
    if (was_up && c->events) {
        loop_fd(c->p.loop, fd, 0, NULL, NULL);
    }
    if (was_up && c->tls) {
        tls_bye(c->tls);
    }
    pthread_mutex_lock(&c->p.write_lock);
    c->phase = SOCK_DOWN;
    c->fd = -1;
    c->old_tls = c->tls;
    c->tls = NULL;
    c->events = 0;
    c->want_out = false;
    g_byte_array_set_size(c->tx, 0);
    g_byte_array_set_size(c->early, 0);
    c->tx_at = c->n_out_fds = 0;
    drop_in_fds(c);
    addr_clear(&c->local);
    addr_clear(&c->remote);
    pthread_mutex_unlock(&c->p.write_lock);
    yank_connected(&c->yank, -1);
    close(fd);
    if (was_up) {
        chr_event(&c->p, CHR_CLOSED);
        chr_writable(&c->p);
    }
    loop_post(loop_main, &c->again_work);
}

static void stop_now(void *arg)
{
    SockChr *c = arg;

    work_cancel(c->p.loop, &c->watch_work);
    if (c->phase == SOCK_UP) {
        sock_down(c);
    }
}

void sock_stop(SockChr *c)
{
    loop_run_sync(c->p.loop, stop_now, c);
}

static void leave_loop(void *arg)
{
    SockChr *c = arg;

    work_cancel(c->p.loop, &c->watch_work);
    if (c->phase == SOCK_UP && c->events) {
        loop_fd(c->p.loop, c->fd, 0, NULL, NULL);
        c->events = 0;
    }
}

void sock_set_loop(CharPort *p, Loop *l)
{
    machine_assert_locked();
    loop_run_sync(p->loop, leave_loop, p);
    p->loop = l;
    loop_run_sync(l, watch_now, p);
}

void sock_filename(const CharPort *p, char *buf, size_t n)
{
    SockChr *c = (SockChr *)p;
    const char *proto = c->websocket ? "websocket" : c->telnet ? "telnet"
                                                               : "tcp";
    char *here, *there;
    bool up;

    pthread_mutex_lock(&c->p.write_lock);
    up = c->phase == SOCK_UP && c->addr.kind != ADDR_FD;
    if (c->addr.kind == ADDR_UNIX) {
        proto = "unix";
    } else if (c->addr.kind == ADDR_FD) {
        proto = "fd";
    }
    here = addr_text(up && c->local.port ? &c->local : &c->addr);
    there = up && c->remote.port ? addr_text(&c->remote) : NULL;
    snprintf(buf, n, "%s%s:%s%s%s%s", c->phase == SOCK_UP ? "" :
             "disconnected:", proto, here, c->server ? ",server=on" : "",
             there ? " <-> " : "", there ? there : "");
    pthread_mutex_unlock(&c->p.write_lock);
    g_free(here);
    g_free(there);
}
