/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2-io.c - guest reads and writes: straight to the file where the mapping is
 * cached and nothing is to be allocated, else step by step.
 *
 * Thread class: LOOP_CALL(node's loop).
 *
 * Invariants
 * 1. Data is in the file before the L2 entry is changed in memory; so the barrier
 *    that goes before L2 tables covers it.
 * 2. A guest cluster that is being filled is in `flights`; who wants to allocate
 *    there, or to change its entry, waits.
 * 3. A data request counts in `io` from before it looks at the mapping until it
 *    is over; what it saw is not given to others meanwhile.
 * 4. The rest of a new cluster is written with the data in one request; where
 *    the file is known to be zero and so is the rest, it is left alone.
 */
#include "block/qcow2.h"

/* ---- vectors ------------------------------------------------------------- */

struct iovec *q2_iov_part(const struct iovec *iov, unsigned niov, uint64_t off,
                          uint64_t len, unsigned *n)
{
    struct iovec *out = g_new(struct iovec, niov + 2);
    unsigned k = 0;

    for (unsigned i = 0; i < niov && len; i++) {
        uint64_t part;

        if (off >= iov[i].iov_len) {
            off -= iov[i].iov_len;
            continue;
        }
        part = MIN2(len, iov[i].iov_len - off);
        out[k++] = (struct iovec){ (uint8_t *)iov[i].iov_base + off, part };
        off = 0;
        len -= part;
    }
    *n = k;
    return out;
}

/* to_iov with buf NULL: zeroes. */
static void copy(const struct iovec *iov, unsigned niov, uint64_t off,
                 uint8_t *buf, uint64_t len, bool to_iov)
{
    for (unsigned i = 0; i < niov && len; i++) {
        uint64_t part;
        uint8_t *at;

        if (off >= iov[i].iov_len) {
            off -= iov[i].iov_len;
            continue;
        }
        part = MIN2(len, iov[i].iov_len - off);
        at = (uint8_t *)iov[i].iov_base + off;
        if (!buf) {
            memset(at, 0, part);
        } else if (to_iov) {
            memcpy(at, buf, part);
        } else {
            memcpy(buf, at, part);
        }
        buf = buf ? buf + part : NULL;
        off = 0;
        len -= part;
    }
}

void q2_iov_zero(const struct iovec *iov, unsigned niov, uint64_t off,
                 uint64_t len)
{
    copy(iov, niov, off, NULL, len, true);
}

void q2_iov_copy(const struct iovec *iov, unsigned niov, uint64_t off,
                 uint8_t *buf, uint64_t len, bool to_iov)
{
    copy(iov, niov, off, buf, len, to_iov);
}

/* ---- reading ------------------------------------------------------------- */

static int read_below(BlkNode *n, uint64_t off, uint64_t len,
                      const struct iovec *iov, unsigned niov, uint64_t at)
{
    uint64_t in = n && off < n->length ? MIN2(len, n->length - off) : 0;
    g_autofree struct iovec *part = NULL;
    unsigned k;

    if (in < len) {
        q2_iov_zero(iov, niov, at + in, len - in);
    }
    if (!in) {
        return 0;
    }
    part = q2_iov_part(iov, niov, at, in, &k);
    return blk_co_preadv(n, off, in, part, k, 0);
}

static int read_data(Qcow2 *s, const Q2Map *m, uint64_t off, uint64_t len,
                     const struct iovec *iov, unsigned niov, uint64_t at)
{
    g_autofree uint8_t *buf = NULL;
    struct iovec one;
    int ret;

    q2_event(s, "read_aio");
    if (!s->crypt) {
        return read_below(s->data, m->host, len, iov, niov, at);
    }
    buf = g_try_malloc(len);
    if (!buf) {
        return -ENOMEM;
    }
    one = (struct iovec){ buf, len };
    ret = read_below(s->data, m->host, len, &one, 1, 0);
    ret = ret < 0 ? ret : q2_decrypt(s, m->host, off, buf, len);
    if (ret >= 0) {
        q2_iov_copy(iov, niov, at, buf, len, true);
    }
    return ret;
}

static int read_compressed(Qcow2 *s, const Q2Map *m, uint64_t off, uint64_t len,
                           const struct iovec *iov, unsigned niov, uint64_t at)
{
    g_autofree uint8_t *buf = g_malloc(len);
    int ret = q2_compressed_read(s, m->host, off & (s->cluster_size - 1), len,
                                 buf);

    if (ret >= 0) {
        q2_iov_copy(iov, niov, at, buf, len, true);
    }
    return ret;
}

static int read_run(Qcow2 *s, const Q2Map *m, uint64_t off,
                    const struct iovec *iov, unsigned niov, uint64_t at)
{
    switch (m->kind) {
    case Q2K_DATA:
        return read_data(s, m, off, m->len, iov, niov, at);
    case Q2K_COMPRESSED:
        return read_compressed(s, m, off, m->len, iov, niov, at);
    case Q2K_ZERO:
    case Q2K_ZERO_ALLOC:
        q2_iov_zero(iov, niov, at, m->len);
        return 0;
    case Q2K_NONE:
    case Q2K_NONE_ALLOC:
        q2_event(s, "read_backing_aio");
        return read_below(s->node.backing, off, m->len, iov, niov, at);
    default:
        return -EIO;
    }
}

int q2_read(Qcow2 *s, uint64_t off, uint64_t len, const struct iovec *iov,
            unsigned niov, uint64_t at)
{
    unsigned epoch = q2_io_begin(s);
    int ret = 0;

    while (ret >= 0 && len) {
        Q2Map m;

        if (!q2_map_peek(s, off, len, &m) || m.kind == Q2K_BAD || s->data_ext) {
            q2_lock(s);
            ret = q2_map(s, off, len, &m);
            q2_unlock(s);
        }
        ret = ret < 0 ? ret : read_run(s, &m, off, iov, niov, at);
        off += m.len;
        at += m.len;
        len -= m.len;
    }
    q2_io_end(s, epoch);
    return ret;
}

/* ---- writing ------------------------------------------------------------- */

typedef struct Write {                 /* one step of a write                 */
    Qcow2 *s;
    uint64_t off, len;                 /* guest                               */
    const struct iovec *iov;
    unsigned niov;
    uint64_t at;                       /* in iov                              */
    Q2Flight flight;
    uint64_t host;                     /* of flight.first                     */
    uint64_t from, to;                 /* guest range that is written         */
    bool fresh, own, whole;            /* own: clusters are new; whole: all
                                          subclusters are written             */
    bool head_zero, tail_zero;         /* what surrounds the data is zero     */
} Write;

static const Q2Flight *flight_in(const Qcow2 *s, uint64_t first, uint64_t end)
{
    for (const Q2Flight *f = s->flights; f; f = f->next) {
        if (f->first < end && first < f->end) {
            return f;
        }
    }
    return NULL;
}

static void flights_pause(Qcow2 *s)
{
    if (co_self()) {
        q2_unlock(s);
        co_queue_wait(&s->flight_over);
    } else {
        q2_unlock(s);
        machine_assert_locked();
        loop_step(true);
    }
    q2_lock(s);
}

void q2_flights_wait(Qcow2 *s, uint64_t off, uint64_t len)
{
    while (flight_in(s, off, off + len)) {
        flights_pause(s);
    }
}

void q2_flight_begin(Qcow2 *s, Q2Flight *f)
{
    f->next = s->flights;
    s->flights = f;
}

void q2_flight_end(Qcow2 *s, Q2Flight *f)
{
    Q2Flight **at = &s->flights;

    while (*at != f) {
        at = &(*at)->next;
    }
    *at = f->next;
    co_queue_all(&s->flight_over);
}

static int write_data(Qcow2 *s, uint64_t host, uint64_t guest, uint64_t len,
                      const struct iovec *iov, unsigned niov)
{
    g_autofree uint8_t *buf = NULL;
    struct iovec one;
    int ret = s->data_ext ? 0 : q2_overlap_check(s, 0, host, len);

    if (ret >= 0 && s->crypt) {
        buf = g_try_malloc(len);
        if (!buf) {
            return -ENOMEM;
        }
        q2_iov_copy(iov, niov, 0, buf, len, false);
        ret = q2_encrypt(s, host, guest, buf, len);
        one = (struct iovec){ buf, len };
        iov = &one;
        niov = 1;
    }
    q2_event(s, "write_aio");
    ret = ret < 0 ? ret : blk_co_pwritev(s->data, host, len, iov, niov, 0);
    s->unsynced = true;
    return ret;
}

/* With the lock, which it lets go. */
static int write_in_place(Write *w, const Q2Map *m)
{
    Qcow2 *s = w->s;
    unsigned epoch = q2_io_begin(s), k;
    struct iovec *part;
    int ret;

    q2_unlock(s);
    w->len = MIN2(w->len, m->len);
    part = q2_iov_part(w->iov, w->niov, w->at, w->len, &k);
    ret = write_data(s, m->host, w->off, w->len, part, k);
    g_free(part);
    q2_io_end(s, epoch);
    return ret;
}

static bool reads_zero(const Qcow2 *s, Q2Kind k, uint64_t off)
{
    const BlkNode *b = s->node.backing;

    return k == Q2K_ZERO || k == Q2K_ZERO_ALLOC ||
           ((k == Q2K_NONE || k == Q2K_NONE_ALLOC) &&
            (!b || off >= b->length));
}

/* What surrounds [off, off + len) in its clusters: how much is to be copied, and
 * is it zero? Subclusters need no more than themselves. */
static int surroundings(Write *w, bool had_data)
{
    Qcow2 *s = w->s;
    uint64_t unit = had_data ? s->cluster_size : s->sub_size;
    uint64_t end = w->off + w->len;
    Q2Map m;
    int ret = 0;

    w->whole = had_data;
    w->from = ALIGN_DOWN(w->off, unit);
    w->to = ALIGN_UP(end, unit);
    if (w->from < w->off) {
        ret = q2_map(s, w->from, w->off - w->from, &m);
        w->head_zero = ret >= 0 && m.len == w->off - w->from &&
                       reads_zero(s, m.kind, w->from);
    }
    if (ret >= 0 && end < w->to) {
        ret = q2_map(s, end, w->to - end, &m);
        w->tail_zero = ret >= 0 && m.len == w->to - end &&
                       reads_zero(s, m.kind, end);
    }
    return ret;
}

/* Of the clusters from off on, those that are to be replaced: entries in one
 * slice that have no cluster of their own. */
static int count_new(Write *w, uint64_t *clusters, bool *had_data)
{
    Qcow2 *s = w->s;
    uint64_t cs = s->cluster_size, first = ALIGN_DOWN(w->off, cs);
    uint64_t end = w->off + w->len, slice = cs << s->slice_bits, at = first;

    end = MIN2(end, ALIGN_DOWN(w->off, slice) + slice);
    *had_data = false;
    for (; at < end; at += cs) {
        bool data;
        Q2Map m;
        int ret = q2_map(s, at, cs, &m);

        if (ret < 0) {
            return ret;
        }
        if (m.kind != Q2K_NONE && m.kind != Q2K_ZERO &&
            m.kind != Q2K_COMPRESSED && m.copied) {
            break;
        }
        data = m.kind != Q2K_NONE && m.kind != Q2K_ZERO;
        /* With subclusters the two kinds are surrounded differently. */
        if (s->ext_l2 && at > first && data != *had_data) {
            break;
        }
        *had_data |= data;
    }
    *clusters = (at - first) / cs;
    return 0;
}

static int take_clusters(Write *w, uint64_t clusters)
{
    Qcow2 *s = w->s;
    uint64_t got = clusters;
    int64_t host;

    w->own = true;
    if (s->data_ext) {
        w->host = w->flight.first;
        w->fresh = w->host >= s->data_fresh && !s->crypt;
        s->data_fresh = MAX2(s->data_fresh,
                             w->host + (clusters << s->cluster_bits));
    } else {
        host = q2_alloc(s, clusters, false, &got);
        if (host < 0) {
            return (int)host;
        }
        w->host = (uint64_t)host;
        w->fresh = s->got_fresh && !s->crypt;
    }
    w->flight.end = w->flight.first + (got << s->cluster_bits);
    w->len = MIN2(w->len, w->flight.end - w->off);
    return 0;
}

/* Chooses where the data goes, with the lock. */
static int prepare(Write *w, const Q2Map *m)
{
    Qcow2 *s = w->s;
    uint64_t cs = s->cluster_size, clusters;
    bool had_data = false;
    int ret;

    w->flight.first = ALIGN_DOWN(w->off, cs);
    if ((m->kind == Q2K_ZERO_ALLOC || m->kind == Q2K_NONE_ALLOC) && m->copied) {
        w->len = MIN2(w->len, m->len);
        w->flight.end = ALIGN_UP(w->off + w->len, cs);
        w->host = m->host - (w->off - w->flight.first);
        return surroundings(w, false);
    }
    ret = count_new(w, &clusters, &had_data);
    ret = ret < 0 ? ret : take_clusters(w, MAX2(clusters, 1));
    if (ret >= 0) {
        ret = surroundings(w, had_data || !s->ext_l2);
        if (ret < 0 && !s->data_ext) {
            q2_free(s, w->host, w->flight.end - w->flight.first);
        }
    }
    return ret;
}

/* Old contents for the head or tail of what is written. */
static int old_data(Write *w, uint64_t from, uint64_t to, bool zero,
                    uint8_t **buf)
{
    struct iovec iov = { NULL, to - from };

    *buf = NULL;
    if (from == to) {
        return 0;
    }
    *buf = zero ? g_try_malloc0(to - from) : g_try_malloc(to - from);
    if (!*buf) {
        return -ENOMEM;
    }
    iov.iov_base = *buf;
    q2_event(w->s, "cow_read");
    return zero ? 0 : q2_read(w->s, from, to - from, &iov, 1, 0);
}

/* Without the lock: head, data and tail in one request (invariant 4). */
static int fill(Write *w)
{
    uint64_t end = w->off + w->len, from = w->from, to = w->to;
    g_autofree uint8_t *head = NULL, *tail = NULL;
    struct iovec *iov;
    unsigned k;
    int ret;

    from = w->fresh && w->head_zero ? w->off : from;
    to = w->fresh && w->tail_zero ? end : to;
    ret = old_data(w, from, w->off, w->head_zero, &head);
    ret = ret < 0 ? ret : old_data(w, end, to, w->tail_zero, &tail);
    if (ret < 0) {
        return ret;
    }
    if (head || tail) {
        q2_event(w->s, "cow_write");
    }
    iov = q2_iov_part(w->iov, w->niov, w->at, w->len, &k);
    if (head) {
        memmove(iov + 1, iov, k * sizeof(*iov));
        iov[0] = (struct iovec){ head, w->off - from };
        k++;
    }
    if (tail) {
        iov[k++] = (struct iovec){ tail, to - end };
    }
    ret = write_data(w->s, w->host + (from - w->flight.first), from, to - from,
                     iov, k);
    g_free(iov);
    return ret;
}

static uint64_t sub_mask(const Write *w, uint64_t cluster)
{
    const Qcow2 *s = w->s;
    uint64_t from = MAX2(w->from, cluster);
    uint64_t to = MIN2(w->to, cluster + s->cluster_size);
    unsigned a = (unsigned)((from - cluster) >> s->sub_bits);
    unsigned b = (unsigned)((to - cluster) >> s->sub_bits);

    return (UINT64_C(1) << b) - (UINT64_C(1) << a);
}

/* With the lock: the L2 entries now name what was written. */
static int link_clusters(Write *w)
{
    Qcow2 *s = w->s;
    uint64_t cs = s->cluster_size, host = w->host, old, sub, mask;
    Q2Entry *e;
    uint32_t i;
    int ret = q2_slice_for_write(s, w->flight.first, &e, &i);

    if (ret < 0) {
        return ret;
    }
    for (uint64_t at = w->flight.first; at < w->flight.end; at += cs, i++) {
        old = q2_entry(s, e, i);
        sub = q2_entry_sub(s, e, i);
        if (w->own && !s->data_ext) {
            q2_free_entry(s, old);
        }
        if (s->ext_l2) {
            mask = w->whole ? UINT32_MAX : sub_mask(w, at);
            sub = old & Q2_COMPRESSED ? 0 : sub;
            sub = (sub | mask) & ~(mask << 32);
        }
        q2_entry_set(s, e, i, host | Q2_COPIED, sub);
        host += cs;
    }
    q2_cache_put(e);
    return 0;
}

/* One step: *w->len is what was written. With nothing written it is 0. */
static int write_step(Write *w)
{
    Qcow2 *s = w->s;
    uint64_t first = ALIGN_DOWN(w->off, s->cluster_size);
    const Q2Flight *f;
    Q2Map m;
    int ret;

    q2_lock(s);
    ret = s->corrupt ? -EIO : q2_map(s, w->off, w->len, &m);
    if (ret >= 0 && m.kind == Q2K_DATA && m.copied) {
        return write_in_place(w, &m);
    }
    if (ret >= 0 && flight_in(s, first, first + s->cluster_size)) {
        flights_pause(s);
        q2_unlock(s);
        w->len = 0;
        return 0;
    }
    for (f = s->flights; f; f = f->next) {
        if (f->first > w->off) {
            w->len = MIN2(w->len, f->first - w->off);
        }
    }
    ret = ret < 0 ? ret : prepare(w, &m);
    if (ret < 0) {
        q2_unlock(s);
        return ret;
    }
    q2_flight_begin(s, &w->flight);
    q2_unlock(s);
    ret = fill(w);
    q2_lock(s);
    ret = ret < 0 ? ret : link_clusters(w);
    if (ret < 0 && w->own && !s->data_ext) {
        q2_free(s, w->host, w->flight.end - w->flight.first);
    }
    q2_flight_end(s, &w->flight);
    q2_unlock(s);
    return ret;
}

int q2_write(Qcow2 *s, uint64_t off, uint64_t len, const struct iovec *iov,
             unsigned niov, uint64_t at)
{
    int ret = 0;

    while (ret >= 0 && len) {
        Write w = { .s = s, .off = off, .len = MIN2(len, 64 * MiB), .iov = iov,
                    .niov = niov, .at = at };

        ret = write_step(&w);
        off += w.len;
        at += w.len;
        len -= w.len;
    }
    return ret;
}
