/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-net-rx.c - reception by the virtio network card (virtio 1.2, sections
 * 5.1.6.3, 5.1.6.4): filters, mergeable buffers, hashes.
 *
 * Thread class: the machine lock.
 *
 * Invariants
 * 1. The guest sees a frame's buffers all at once.
 */
#include "hw/net/virtio-net.h"

static bool in_table(const VirtioNet *s, const uint8_t *mac, unsigned from,
                     unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        if (!memcmp(s->macs + i * 6, mac, 6)) {
            return true;
        }
    }
    return false;
}

bool vnet_wants(const VirtioNet *s, const uint8_t *f, size_t n)
{
    if (s->promisc) {
        return true;
    }
    if (ld_be16(f + 12) == 0x8100 && n >= 18) {
        unsigned vid = ld_be16(f + 14) & 0xfff;

        if (!(s->vlans[vid / 32] >> vid % 32 & 1)) {
            return false;
        }
    }
    if (!memcmp(f, "\xff\xff\xff\xff\xff\xff", 6)) {
        return !s->nobcast;
    }
    if (f[0] & 1) {
        return !s->nomulti && (s->allmulti || s->multi_overflow ||
                               in_table(s, f, s->first_multi, s->nmacs));
    }
    return !s->nouni && (s->alluni || s->uni_overflow ||
                         !memcmp(f, s->mac, 6) ||
                         in_table(s, f, 0, s->first_multi));
}

/* The frame with the guest's header before it, into as many chains as needed. */
typedef struct Out {
    const uint8_t *head;
    size_t head_len;
    const struct iovec *iov;
    int niov;
    size_t skip, total, done;          /* total: head and frame               */
} Out;

static void fill(VirtqElem *e, Out *o)
{
    size_t at = 0, room = e->in_len;

    if (o->done < o->head_len) {
        size_t n = virtq_write(e, 0, o->head + o->done, o->head_len - o->done);

        at += n;
        o->done += n;
    }
    for (int i = 0; i < o->niov && o->done < o->total && at < room; i++) {
        /* Where this part begins in what is sent. */
        size_t len = o->iov[i].iov_len, first = o->head_len, off;

        for (int k = 0; k < i; k++) {
            first += o->iov[k].iov_len;
        }
        if (first + len <= o->done + o->skip) {
            continue;
        }
        off = o->done + o->skip - first;
        len = MIN2(len - off, room - at);
        virtq_write(e, at, (uint8_t *)o->iov[i].iov_base + off, len);
        at += len;
        o->done += len;
    }
}

static unsigned pair_of(VirtioNet *s, unsigned pair, const uint8_t *frame,
                        size_t n, struct virtio_net_hdr_v1_hash *h)
{
    uint16_t report = 0;
    uint32_t v;

    if (!s->hash.on) {
        return pair;
    }
    v = vnet_hash(&s->hash, frame, n, &report);
    h->hash_value = v;
    h->hash_report = report;
    if (!s->hash.rss) {
        return pair;
    }
    return report ? s->hash.table[v & s->hash.mask] : s->hash.plain;
}

static MACHINE_CALL unsigned deliver(VirtioNet *s, Virtq *q, Out *o)
{
    bool merge = virtio_has(&s->v, VIRTIO_NET_F_MRG_RXBUF);
    VirtqElem *got[VIRTQ_SIZE_MAX], *e;
    uint32_t len[VIRTQ_SIZE_MAX];
    unsigned n = 0;

    while (o->done < o->total && n < VIRTQ_SIZE_MAX && (e = virtq_pop(q))) {
        size_t before = o->done;

        if (!e->in_len || (!n && e->in_len < o->head_len)) {
            virtio_broken(&s->v, "virtio-net receive buffer of %" PRIu64
                          " bytes", e->in_len);
            return 0;
        }
        if (!merge && e->in_len < o->total) {
            virtq_unpop(q, e);
            return 0;                  /* no place for it: dropped            */
        }
        fill(e, o);
        len[n] = o->done - before;
        got[n++] = e;
    }
    if (!n || s->v.broken) {
        return 0;
    }
    if (o->head_len >= sizeof(struct virtio_net_hdr_v1)) {
        uint8_t count[2];

        st_le16(count, n);
        virtq_write(got[0], offsetof(struct virtio_net_hdr_v1, num_buffers),
                    count, 2);
    }
    for (unsigned i = 0; i < n; i++) {
        virtq_fill(q, got[i], len[i], i);
    }
    virtq_flush(q, n);
    return n;
}

ssize_t vnet_receive(VirtioNet *s, unsigned pair, const struct iovec *iov,
                     int niov)
{
    machine_assert_locked();
    size_t n = net_iov_len(iov, niov), vnet = s->net.port[pair].vnet;
    struct virtio_net_hdr_v1_hash h = { 0 };
    uint8_t frame[256];
    Out o = { .head = (uint8_t *)&h, .head_len = s->hdr_len, .iov = iov,
              .niov = niov, .skip = vnet };
    size_t got;
    Virtq *q;

    if (n < vnet + 14 || s->v.broken) {
        return n;
    }
    if (!(s->v.status & VIRTIO_DRIVER_OK) || pair >= s->pairs_on) {
        return n;                      /* nobody listens                      */
    }
    got = net_iov_read(iov, niov, vnet, frame,
                       s->hash.on ? sizeof(frame) : 18);
    if (!vnet_wants(s, frame, got)) {
        return n;
    }
    net_iov_read(iov, niov, 0, &h, MIN2(vnet, 10));
    pair = pair_of(s, pair, frame, got, &h);
    q = s->v.queues[pair * 2];
    o.total = n - vnet + s->hdr_len;
    o.skip = vnet;
    if (!virtq_ready(q)) {
        return s->v.running ? (ssize_t)n : 0;
    }
    if (!virtq_has_room(q, o.total, 0)) {
        virtq_want_more(q);
        if (!virtq_has_room(q, o.total, 0)) {
            return virtq_empty(q) || virtio_has(&s->v, VIRTIO_NET_F_MRG_RXBUF)
                ? 0 : (ssize_t)n;
        }
    }
    if (!q->kicks_off) {
        virtq_want_kicks(q, false);
    }
    if (deliver(s, q, &o)) {
        virtq_notify(q);
    }
    return n;
}

/* ---- hashes (5.1.6.4.3; Toeplitz as for Windows' receive-side scaling) ---- */

static uint32_t toeplitz(const uint8_t *key, const uint8_t *in, unsigned n)
{
    uint32_t window = ld_be32(key), hash = 0;

    for (unsigned i = 0; i < n; i++) {
        for (int b = 7; b >= 0; b--) {
            unsigned next = (i * 8 + (7 - b)) + 32;

            hash ^= in[i] >> b & 1 ? window : 0;
            window = window << 1 |
                     (next / 8 < VNET_KEY
                      ? key[next / 8] >> (7 - next % 8) & 1 : 0);
        }
    }
    return hash;
}

/* What of a packet goes into its hash. */
typedef struct Parts {
    const uint8_t *src, *dst, *ports;  /* ports NULL: none that can be told   */
    unsigned proto;
    bool v6, extended;                 /* extension headers                   */
} Parts;

/* The addresses that stand for a mobile node (RFC 6275: home address option,
 * routing header of type 2). */
static void mobile(Parts *p, const uint8_t *f, size_t at, size_t len,
                   unsigned kind)
{
    if (kind == 43 && len >= 24 && f[at + 2] == 2 && f[at + 3] == 1) {
        p->dst = f + at + 8;
    }
    for (size_t o = at + 2; kind == 60 && o + 2 <= at + len;) {
        if (f[o] == 0xc9 && f[o + 1] == 16 && o + 18 <= at + len) {
            p->src = f + o + 2;
        }
        o += f[o] ? 2u + f[o + 1] : 1;
    }
}

static void walk6(Parts *p, const uint8_t *f, size_t n, size_t at, bool ex)
{
    p->proto = f[at + 6];
    p->src = f + at + 8;
    p->dst = f + at + 24;
    at += 40;
    while (p->proto == 0 || p->proto == 43 || p->proto == 44 ||
           p->proto == 60) {
        size_t len = at + 8 > n ? n : p->proto == 44 ? 8 : f[at + 1] * 8u + 8;

        p->extended = true;
        if (len > n - at || (p->proto == 44 && (ld_be16(f + at + 2) & ~6))) {
            p->proto = 59;             /* a fragment, or cut off: no ports    */
            return;
        }
        if (ex) {
            mobile(p, f, at, len, p->proto);
        }
        p->proto = f[at];
        at += len;
    }
    p->ports = n >= at + 4 ? f + at : NULL;
}

static bool parts_find(Parts *p, const uint8_t *f, size_t n, bool ex)
{
    size_t at = 14;
    unsigned type = ld_be16(f + 12);

    if (type == 0x8100 && n >= 18) {
        type = ld_be16(f + 16);
        at = 18;
    }
    p->v6 = type == 0x86dd;
    if ((!p->v6 && type != 0x0800) || n < at + (p->v6 ? 40 : 20)) {
        return false;
    }
    if (p->v6) {
        walk6(p, f, n, at, ex);
        return true;
    }
    p->proto = f[at + 9];
    p->src = f + at + 12;
    p->dst = f + at + 16;
    if (!(ld_be16(f + at + 6) & 0x3fff) && n >= at + (f[at] & 15) * 4u + 4) {
        p->ports = f + at + (f[at] & 15) * 4u;
    }
    return true;
}

/* Types are three a family: addresses, with TCP's ports, with UDP's. */
static uint32_t hash_as(const VnetHash *h, const Parts *p, unsigned family,
                        uint16_t *report)
{
    static const uint8_t bits[3][3] = { { 0, 1, 2 }, { 3, 4, 5 }, { 6, 7, 8 } };
    unsigned kind = p->ports && p->proto == 6 ? 1
                  : p->ports && p->proto == 17 ? 2 : 0;
    unsigned len = p->v6 ? 16 : 4;
    uint8_t in[36];

    if (kind && !(h->types >> bits[family][kind] & 1)) {
        kind = 0;
    }
    if (!(h->types >> bits[family][kind] & 1)) {
        return 0;
    }
    *report = bits[family][kind] + 1;
    memcpy(in, p->src, len);
    memcpy(in + len, p->dst, len);
    if (kind) {
        memcpy(in + 2 * len, p->ports, 4);
    }
    return toeplitz(h->key, in, 2 * len + (kind ? 4 : 0));
}

uint32_t vnet_hash(const VnetHash *h, const uint8_t *f, size_t n,
                   uint16_t *report)
{
    Parts p = { 0 };
    uint32_t v;

    *report = 0;
    if (!parts_find(&p, f, n, h->types & 0x1c0)) {
        return 0;
    }
    if (p.extended && (h->types & 0x1c0)) {
        v = hash_as(h, &p, 2, report);
        if (*report) {
            return v;
        }
        p = (Parts){ 0 };
        parts_find(&p, f, n, false);
    }
    return hash_as(h, &p, p.v6, report);
}

bool vnet_hash_set(VirtioNet *s, const uint8_t *d, size_t n, bool rss)
{
    VnetHash h = { .on = true, .rss = rss };
    size_t at = 8, entries = 1, key;
    uint16_t pairs = 0;

    if (n < 8) {
        return false;
    }
    h.types = ld_le32(d);
    if (rss) {
        entries = ld_le16(d + 4) + 1u;
        h.mask = entries - 1;
        h.plain = ld_le16(d + 6);
        if (entries > VNET_TABLE || !IS_POW2(entries) ||
            n < at + entries * 2 + 3 || h.plain >= s->npairs) {
            return false;
        }
        for (size_t i = 0; i < entries; i++) {
            h.table[i] = ld_le16(d + at + i * 2);
            if (h.table[i] >= s->npairs) {
                return false;
            }
        }
        at += entries * 2;
        pairs = ld_le16(d + at);
        at += 2;
        if (!pairs || pairs > s->npairs) {
            return false;
        }
    } else {
        at = 4 + 8;                    /* reserved words                      */
        if (n < at + 1) {
            return false;
        }
    }
    key = d[at++];
    if (key > VNET_KEY || n < at + key || (h.types & ~VNET_HASHES)) {
        return false;
    }
    memcpy(h.key, d + at, key);
    h.on = h.types || rss;
    s->hash = h;
    if (rss) {
        s->pairs_on = pairs;
    }
    return true;
}
