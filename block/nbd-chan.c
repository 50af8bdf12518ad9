/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nbd-chan.c - a stream socket on which coroutines wait, and NBD's error numbers.
 *
 * Thread class: LOOP_CALL(channel's loop), in coroutines.
 *
 * Invariants
 * 1. At most one coroutine waits to read and one to write; each is woken by its
 *    event, or by chan_shutdown, never by the other's.
 * 2. What somebody waits for is watched. What nobody waits for any more is
 *    watched until it happens: mostly it is waited for again before.
 */
#include <glib.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>
#include "block/iov.h"
#include "block/nbd.h"

#define AHEAD (32 * KiB)
#define IOV_PART 64

static const struct {
    uint32_t wire;
    int err;
} errors[] = {
    { 1, EPERM }, { 5, EIO }, { 12, ENOMEM }, { 22, EINVAL }, { 28, ENOSPC },
    { 75, EOVERFLOW }, { 95, ENOTSUP }, { 108, ESHUTDOWN },
};

int nbd_errno_to_wire(int err)
{
    if (err == EROFS) {
        return 1;
    }
    if (err == EDQUOT || err == EFBIG) {
        return 28;
    }
    for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
        if (errors[i].err == err) {
            return (int)errors[i].wire;
        }
    }
    return err ? 22 : 0;
}

int nbd_errno_of_wire(uint32_t wire)
{
    for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
        if (errors[i].wire == wire) {
            return errors[i].err;
        }
    }
    return EINVAL;
}

const char *nbd_rep_name(uint32_t type)
{
    static const char *const names[] = {
        "?", "unsupported", "denied by policy", "invalid",
        "platform lacks support", "TLS required", "export unknown",
        "server shutting down", "block size required", "request too big" };

    return type & 0x80000000u && (type & 0xff) < ARRAY_SIZE(names)
        ? names[type & 0xff] : "<unknown>";
}

/* ---- waiting ------------------------------------------------------------- */

static unsigned waited_for(const NbdChan *c)
{
    return (c->reader ? EPOLLIN : 0u) | (c->writer ? EPOLLOUT : 0u);
}

static void watch(NbdChan *c, unsigned want);

static void ready(void *arg, unsigned events)
{
    NbdChan *c = arg;
    Co *r = c->reader, *w = c->writer;
    bool bad = events & (EPOLLERR | EPOLLHUP);

    /* Happened, and nobody cares: looked at no longer (invariant 2). */
    if (bad || events & ~waited_for(c)) {
        watch(c, bad ? 0 : waited_for(c));
    }
    if (r && (bad || events & EPOLLIN)) {
        c->reader = NULL;
    } else {
        r = NULL;
    }
    if (w && (bad || events & EPOLLOUT)) {
        c->writer = NULL;
    } else {
        w = NULL;
    }
    if (w) {
        co_wake(w);
    }
    if (r) {
        co_wake(r);
    }
}

static void watch(NbdChan *c, unsigned want)
{
    if (c->fd >= 0 && want != c->events) {
        loop_fd(c->loop, c->fd, want, want ? ready : NULL, c);
        c->events = want;
    }
}

static int wait_for(NbdChan *c, bool read)
{
    Co **slot = read ? &c->reader : &c->writer;

    if (c->dead) {
        return -ESHUTDOWN;
    }
    *slot = co_self();
    watch(c, c->events | waited_for(c));
    co_yield();
    if (*slot == co_self()) {          /* woken by someone else               */
        *slot = NULL;
    }
    return c->dead ? -ESHUTDOWN : 0;
}

void chan_init(NbdChan *c, Loop *loop, int fd)
{
    int on = 1;

    *c = (NbdChan){ .loop = loop, .fd = fd };
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

void chan_detach(NbdChan *c)
{
    if (c->fd >= 0 && c->events) {
        loop_fd(c->loop, c->fd, 0, NULL, NULL);
        c->events = 0;
    }
}

void chan_attach(NbdChan *c, Loop *loop)
{
    c->loop = loop;
    watch(c, waited_for(c));
}

void chan_shutdown(NbdChan *c)
{
    Co *r = c->reader, *w = c->writer;

    if (c->dead) {
        return;
    }
    c->dead = true;
    c->reader = c->writer = NULL;
    watch(c, 0);
    if (c->fd >= 0) {
        shutdown(c->fd, SHUT_RDWR);
    }
    if (r) {
        co_wake(r);
    }
    if (w) {
        co_wake(w);
    }
}

void chan_close(NbdChan *c)
{
    chan_detach(c);
    tls_session_free(c->tls);
    c->tls = NULL;
    if (c->fd >= 0) {
        close(c->fd);
    }
    c->fd = -1;
    g_clear_pointer(&c->buf, g_free);
    c->at = c->have = 0;
}

/* ---- bytes --------------------------------------------------------------- */

static ssize_t raw_read(NbdChan *c, void *buf, size_t n)
{
    ssize_t got;

    if (c->tls) {
        return tls_read(c->tls, buf, n, NULL);
    }
    got = recv(c->fd, buf, n, 0);
    return got < 0 ? -errno : got;
}

/* Some bytes, at least one. */
static ssize_t some(NbdChan *c, void *buf, size_t n)
{
    for (;;) {
        ssize_t got = c->dead ? -ESHUTDOWN : raw_read(c, buf, n);

        if (got == -EAGAIN) {
            int ret = wait_for(c, true);

            if (ret < 0) {
                return ret;
            }
        } else if (got != -EINTR) {
            return got ? got : -ENODATA;
        }
    }
}

int chan_read(NbdChan *c, void *buf, size_t n)
{
    uint8_t *p = buf;
    size_t all = n;

    while (n) {
        ssize_t got;

        if (c->have) {
            size_t part = MIN2(n, c->have);

            memcpy(p, c->buf + c->at, part);
            c->at += part;
            c->have -= part;
            p += part;
            n -= part;
            continue;
        }
        if (n < AHEAD && !c->exact) {
            c->buf = c->buf ? c->buf : g_malloc(AHEAD);
            got = some(c, c->buf, AHEAD);
            c->at = 0;
            c->have = got < 0 ? 0 : (size_t)got;
        } else {
            got = some(c, p, n);
            p += got < 0 ? 0 : got;
            n -= got < 0 ? 0 : (size_t)got;
        }
        if (got < 0) {
            return got == -ENODATA && n < all ? -EIO : (int)got;
        }
    }
    return 0;
}

int chan_readv(NbdChan *c, const struct iovec *iov, unsigned niov, size_t off,
               size_t n)
{
    for (unsigned i = 0; i < niov && n; i++) {
        size_t part;
        int ret;

        if (off >= iov[i].iov_len) {
            off -= iov[i].iov_len;
            continue;
        }
        part = MIN2(iov[i].iov_len - off, n);
        ret = chan_read(c, (char *)iov[i].iov_base + off, part);
        if (ret < 0) {
            return ret;
        }
        off = 0;
        n -= part;
    }
    return 0;
}

int chan_skip(NbdChan *c, size_t n)
{
    uint8_t buf[4096];
    int ret = 0;

    while (n && ret >= 0) {
        size_t part = MIN2(n, sizeof(buf));

        ret = chan_read(c, buf, part);
        n -= part;
    }
    return ret;
}

static ssize_t raw_writev(NbdChan *c, const struct iovec *iov, unsigned niov)
{
    struct msghdr m = { .msg_iov = (struct iovec *)(uintptr_t)iov,
                        .msg_iovlen = niov };
    ssize_t put;

    if (c->tls) {
        return tls_write(c->tls, iov[0].iov_base, iov[0].iov_len, NULL);
    }
    put = sendmsg(c->fd, &m, MSG_NOSIGNAL);
    return put < 0 ? -errno : put;
}

int chan_writev(NbdChan *c, const struct iovec *iov, unsigned niov)
{
    struct iovec part[IOV_PART];
    size_t total = 0, off = 0;

    for (unsigned i = 0; i < niov; i++) {
        total += iov[i].iov_len;
    }
    while (off < total) {
        unsigned k = 0;
        size_t skip = off;
        ssize_t put;

        for (unsigned i = 0; i < niov && k < IOV_PART; i++) {
            if (skip >= iov[i].iov_len) {
                skip -= iov[i].iov_len;
                continue;
            }
            part[k++] = (struct iovec){ (char *)iov[i].iov_base + skip,
                                        iov[i].iov_len - skip };
            skip = 0;
        }
        put = c->dead ? -ESHUTDOWN : raw_writev(c, part, k);
        if (put == -EAGAIN) {
            int ret = wait_for(c, false);

            if (ret < 0) {
                return ret;
            }
        } else if (put < 0 && put != -EINTR) {
            return (int)put;
        } else if (put > 0) {
            off += (size_t)put;
        }
    }
    return 0;
}

int chan_sendfile(NbdChan *c, int fd, uint64_t at, size_t n)
{
    off_t off = (off_t)at;
    ssize_t put = c->dead ? -ESHUTDOWN : sendfile(c->fd, fd, &off, n);

    if (put >= 0) {
        return put ? (int)put : -ENODATA;
    }
    if (!c->dead && errno == EAGAIN) {
        return wait_for(c, false);
    }
    return c->dead ? -ESHUTDOWN : errno == EINTR ? 0 : -errno;
}

int chan_write(NbdChan *c, const void *buf, size_t n)
{
    struct iovec iov = { (void *)(uintptr_t)buf, n };

    return chan_writev(c, &iov, 1);
}

/* ---- TLS ----------------------------------------------------------------- */

static ssize_t io_read(void *arg, void *buf, size_t n)
{
    ssize_t got = recv(((NbdChan *)arg)->fd, buf, n, 0);

    return got < 0 ? -errno : got;
}

static ssize_t io_write(void *arg, const void *buf, size_t n)
{
    ssize_t put = send(((NbdChan *)arg)->fd, buf, n, MSG_NOSIGNAL);

    return put < 0 ? -errno : put;
}

bool chan_tls(NbdChan *c, Obj *creds, const char *hostname, const char *authz,
              Error **errp)
{
    static const TlsIo io = { io_read, io_write };
    TlsSession *s;

    if (c->have) {                     /* plain text behind the last message  */
        return error_set(errp, "Unexpected data before the TLS handshake");
    }
    s = tls_session_new(creds, &io, c, hostname, authz, errp);
    if (!s) {
        return false;
    }
    for (;;) {
        TlsStatus st = tls_handshake(s, errp);
        int ret;

        if (st == TLS_DONE || st == TLS_FAILED) {
            if (st == TLS_DONE) {
                c->tls = s;
                return true;
            }
            break;
        }
        ret = wait_for(c, st == TLS_WANT_READ);
        if (ret < 0) {
            error_set_errno(errp, -ret, "TLS handshake failed");
            break;
        }
    }
    tls_session_free(s);
    return false;
}
