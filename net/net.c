/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net.c - network ports: the registry, the way of a frame between peers, the
 * queue of frames for which there is no room, links.
 *
 * Thread class: machine lock.
 *
 * Invariants
 * 1. A frame is handed to a port only while no earlier one waits for it.
 * 2. A port that was refused hears of room exactly once.
 * 3. What waits for a port is bounded; the newest is dropped.
 */
#include <glib.h>
#include "net.h"
#include "opt.h"

#define QUEUE_MAX 10000                /* frames                              */

struct NetFrame {
    NetFrame *next;
    size_t n;
    uint8_t data[];
};

static NetPort *ports;                 /* in order of creation                */

const NetDriver *net_driver_find(const char *name)
{
    SET_EACH(net_drivers, NetDriver, d) {
        if (!(*d)->internal && !strcmp((*d)->name, name)) {
            return *d;
        }
    }
    return NULL;
}

bool net_type_suggest(const char *name, Error **errp)
{
    OptWords w = { .n = 0 };

    SET_EACH(net_drivers, NetDriver, d) {
        if (!(*d)->internal) {
            opt_word_add(&w, (*d)->name);
        }
    }
    return opt_suggest(&w, name, errp);
}

NetPort *net_first(void)
{
    return ports;
}

NetPort *net_find(const char *name)
{
    for (NetPort *p = ports; p; p = p->next) {
        if (!strcmp(p->name, name)) {
            return p;
        }
    }
    return NULL;
}

NetPort *net_queue(NetPort *p, unsigned i)
{
    for (NetPort *q = ports; q; q = q->next) {
        if (q->queue == i && q->drv == p->drv && !strcmp(q->name, p->name)) {
            return q;
        }
    }
    return NULL;
}

void net_port_init(NetPort *p, const NetDriver *drv, const char *name)
{
    NetPort **at = &ports;

    p->drv = drv;
    p->name = g_strdup(name);
    p->last = &p->first;
    while (*at) {
        at = &(*at)->next;
    }
    *at = p;
}

static void queue_drop(NetPort *p)
{
    while (p->first) {
        NetFrame *f = p->first;

        p->first = f->next;
        g_free(f);
    }
    p->last = &p->first;
    p->waiting = 0;
}

void net_port_fini(NetPort *p)
{
    NetPort **at = &ports, *peer = p->peer;

    if (!p->name) {
        return;
    }
    while (*at && *at != p) {
        at = &(*at)->next;
    }
    if (*at) {
        *at = p->next;
    }
    while (p->filters) {
        NetFilter *f = p->filters;

        net_filter_del(f);
        if (f->gone) {
            f->gone(f);
        }
    }
    queue_drop(p);
    if (peer) {
        peer->peer = NULL;
        p->peer = NULL;
        queue_drop(peer);
        if (peer->card) {
            peer->card->netdev = NULL;
            peer->link_down = true;
        }
        peer->hears = false;
        if (peer->drv->link) {
            peer->drv->link(peer);
        }
    }
    g_free(p->name);
    g_free(p->model);
    p->name = p->model = NULL;
}

NetPort *net_queue_add(NetPort *p)
{
    NetPort *q = g_malloc0(p->drv->size);

    net_port_init(q, p->drv, p->name);
    for (NetPort *o = ports; o; o = o->next) {
        q->queue += o != q && o->drv == p->drv && !strcmp(o->name, p->name);
    }
    return q;
}

void net_connect(NetPort *a, NetPort *b)
{
    a->peer = b;
    b->peer = a;
}

bool net_link_up(const NetPort *p)
{
    return !p->link_down && !(p->peer && p->peer->link_down);
}

/* ---- frames -------------------------------------------------------------- */

size_t net_iov_len(const struct iovec *iov, int niov)
{
    size_t n = 0;

    for (int i = 0; i < niov; i++) {
        n += iov[i].iov_len;
    }
    return n;
}

size_t net_iov_read(const struct iovec *iov, int niov, size_t off, void *buf,
                    size_t n)
{
    size_t done = 0;

    for (int i = 0; i < niov && done < n; i++) {
        size_t len = iov[i].iov_len, part;

        if (off >= len) {
            off -= len;
            continue;
        }
        part = MIN2(len - off, n - done);
        memcpy((uint8_t *)buf + done, (uint8_t *)iov[i].iov_base + off, part);
        done += part;
        off = 0;
    }
    return done;
}

static MACHINE_CALL void filters_show(NetPort *from, NetPort *to,
                                      const struct iovec *iov, int niov)
{
    for (NetFilter *f = from->filters; f; f = f->next) {
        f->frame(f, true, iov, niov, from->vnet);
    }
    for (NetFilter *f = to->filters; f; f = f->next) {
        f->frame(f, false, iov, niov, from->vnet);
    }
}

ssize_t net_send(NetPort *p, const struct iovec *iov, int niov)
{
    NetPort *to = p->peer;
    ssize_t ret;

    if (!to || !net_link_up(p)) {
        return net_iov_len(iov, niov);
    }
    if (to->first) {
        p->hears = true;
        return 0;
    }
    if (UNLIKELY(p->filters || to->filters)) {
        filters_show(p, to, iov, niov);
    }
    ret = to->drv->send(to, iov, niov);
    if (!ret) {
        p->hears = true;
    }
    return ret;
}

void net_send_copy(NetPort *p, const void *buf, size_t n)
{
    struct iovec iov = { (void *)(uintptr_t)buf, n };
    NetPort *to = p->peer;
    NetFrame *f;

    if (net_send(p, &iov, 1) || !to || to->waiting >= QUEUE_MAX) {
        return;
    }
    f = g_malloc(sizeof(*f) + n);
    f->next = NULL;
    f->n = n;
    memcpy(f->data, buf, n);
    *to->last = f;
    to->last = &f->next;
    to->waiting++;
}

void net_resume(NetPort *p)
{
    NetPort *from = p->peer;

    while (p->first) {
        NetFrame *f = p->first;
        struct iovec iov = { f->data, f->n };

        if (net_link_up(p) && !p->drv->send(p, &iov, 1)) {
            return;
        }
        if (p->first != f) {           /* the port was reset from within      */
            return;
        }
        p->first = f->next;
        if (!p->first) {
            p->last = &p->first;
        }
        p->waiting--;
        g_free(f);
    }
    if (from && from->hears) {
        from->hears = false;
        if (from->drv->resume) {
            from->drv->resume(from);
        }
    }
}

/* ---- filters ------------------------------------------------------------- */

void net_filter_add(NetPort *p, NetFilter *f)
{
    NetFilter **at = &p->filters;

    while (*at) {
        at = &(*at)->next;
    }
    *at = f;
    f->next = NULL;
    f->port = p;
}

void net_filter_del(NetFilter *f)
{
    NetFilter **at = f->port ? &f->port->filters : NULL;

    while (at && *at && *at != f) {
        at = &(*at)->next;
    }
    if (at && *at) {
        *at = f->next;
    }
    f->port = NULL;
}

/* ---- links --------------------------------------------------------------- */

static MACHINE_CALL void link_changed(NetPort *p)
{
    if (p->drv->link) {
        p->drv->link(p);
    }
    /* What came meanwhile is dropped; a card may begin again. */
    if (p->first) {
        net_resume(p);
    }
}

bool net_link_set(const char *name, bool up, Error **errp)
{
    bool found = false;

    for (NetPort *p = ports; p; p = p->next) {
        if (strcmp(p->name, name)) {
            continue;
        }
        found = true;
        if (p->link_down == !up) {
            continue;
        }
        p->link_down = !up;
        link_changed(p);
        if (p->peer) {
            link_changed(p->peer);
        }
    }
    if (!found) {
        error_set_class(errp, ERROR_DEVICE_NOT_FOUND, "Device '%s' not found",
                        name);
    }
    return found;
}

/* ---- sums ---------------------------------------------------------------- */

uint32_t net_csum_add(uint32_t sum, const void *buf, size_t n)
{
    const uint8_t *p = buf;
    uint64_t s = 0;

    for (; n >= 4; p += 4, n -= 4) {
        s += ld_be32(p);
    }
    if (n >= 2) {
        s += ld_be16(p);
        p += 2;
        n -= 2;
    }
    if (n) {
        s += (uint32_t)p[0] << 8;
    }
    s = (s & 0xffffffff) + (s >> 32);
    s = (s & 0xffff) + (s >> 16 & 0xffff) + (s >> 32);
    s += sum & 0xffff;
    s += sum >> 16;
    return (s & 0xffff) + (s >> 16);
}

uint32_t net_crc32(const uint8_t *p, size_t n)
{
    uint32_t crc = ~0u;

    for (size_t i = 0; i < n; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            bool carry = (crc >> 31) ^ (p[i] >> bit & 1);

            crc <<= 1;
            crc ^= carry ? 0x04c11db7 : 0;
        }
    }
    return crc;
}
