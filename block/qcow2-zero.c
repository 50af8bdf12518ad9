/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2-zero.c - zeroes without writing them, and discards: changes of L2 entries
 * that give clusters back.
 *
 * Thread class: LOOP_CALL(node's loop).
 *
 * Invariants
 * 1. An entry is changed only while no write fills its cluster.
 * 2. What is discarded reads as zeroes, never as what the backing file holds, but
 *    for `full`.
 * 3. With a raw data file the data file is written: its bytes are the disk's.
 */
#include "block/qcow2.h"

typedef struct Change {
    Qcow2 *s;
    bool discard, full, unmap;
} Change;

/* The new entry in place of old; false: it stays. */
static bool entry_change(const Change *c, uint64_t *v, uint64_t *sub)
{
    const Qcow2 *s = c->s;
    bool backing = s->node.backing, host = *v & Q2_OFFSET;
    bool none = !*v && !*sub, comp = *v & Q2_COMPRESSED;
    bool keep = !comp && (host || s->data_ext) && (*v & Q2_COPIED) &&
                !c->discard && !c->unmap && s->version >= 3;

    if (none && (c->discard || !backing)) {
        return false;
    }
    if (c->full || s->version < 3) {
        /* Version 2 has no zeroes but where nothing shows through. */
        if (backing && !c->full) {
            return false;
        }
        *v = 0;
        *sub = 0;
        return true;
    }
    *v = keep ? (*v & Q2_OFFSET) | Q2_COPIED : 0;
    *sub = s->ext_l2 ? UINT64_C(0xffffffff) << 32 : 0;
    *v |= s->ext_l2 ? 0 : Q2_ZERO;
    return true;
}

static void free_old(Qcow2 *s, uint64_t old, uint64_t now, uint64_t guest)
{
    if (s->data_ext) {
        if ((old & Q2_COPIED) && !(now & Q2_COPIED) && s->pass_discard &&
            !s->data_raw) {
            blk_co_discard(s->data, guest, s->cluster_size);
        }
    } else if ((old & Q2_COMPRESSED) ||
               (old & Q2_OFFSET) != (now & Q2_OFFSET)) {
        q2_free_entry(s, old);
    }
}

/* Whole clusters of one slice. With the lock. */
static int change_slice(const Change *c, uint64_t at, uint64_t end)
{
    Qcow2 *s = c->s;
    Q2Entry *e;
    uint32_t i;
    int ret = q2_slice_for_write(s, at, &e, &i);

    if (ret < 0) {
        return ret;
    }
    s->pass_discard = s->discard_request;
    for (; at < end; at += s->cluster_size, i++) {
        uint64_t old = q2_entry(s, e, i), v = old;
        uint64_t sub = q2_entry_sub(s, e, i), was = sub;

        if (!entry_change(c, &v, &sub) || (v == old && sub == was)) {
            continue;
        }
        q2_entry_set(s, e, i, v, sub);
        free_old(s, old, v, at);
    }
    s->pass_discard = s->discard_other;
    q2_cache_put(e);
    return 0;
}

/* Whole clusters. */
static int change(const Change *c, uint64_t off, uint64_t end)
{
    Qcow2 *s = c->s;
    uint64_t slice = (uint64_t)s->cluster_size << s->slice_bits, stop;
    int ret = 0;

    q2_lock(s);
    while (ret >= 0 && off < end) {
        uint64_t same;
        Q2Map m;

        ret = s->corrupt ? -EIO : q2_map(s, off, end - off, &m);
        if (ret < 0) {
            break;
        }
        /* of a cluster only part of which is so the rest is to be changed */
        same = ALIGN_DOWN(m.len, s->cluster_size);
        if (same &&
            ((m.kind == Q2K_NONE && (c->discard || !s->node.backing)) ||
             (m.kind == Q2K_ZERO && !c->full))) {
            off += same;
            continue;
        }
        stop = MIN2(end, ALIGN_DOWN(off, slice) + slice);
        q2_flights_wait(s, off, stop - off);
        ret = change_slice(c, off, stop);
        off = stop;
    }
    if (ret >= 0 && q2_frees_due(s)) {
        ret = q2_meta_write(s, true);
    }
    q2_unlock(s);
    return ret;
}

static bool all_zero(Qcow2 *s, uint64_t off, uint64_t len)
{
    while (len) {
        BlkExtent x;

        if (q2_extent(&s->node, off, len, &x) < 0 || !x.len ||
            !(x.flags & BLKX_ZERO)) {
            return false;
        }
        off += x.len;
        len -= x.len;
    }
    return true;
}

/* Less than a cluster. */
static int zero_part(Qcow2 *s, uint64_t off, uint64_t len)
{
    g_autofree uint8_t *buf = NULL;
    struct iovec iov;

    if (!len || all_zero(s, off, len)) {
        return 0;
    }
    buf = g_malloc0(len);
    iov = (struct iovec){ buf, len };
    return q2_write(s, off, len, &iov, 1, 0);
}

/* Subclusters within one cluster: bits of its entry. */
static int zero_subclusters(Qcow2 *s, uint64_t off, uint64_t end)
{
    uint64_t cluster = ALIGN_DOWN(off, s->cluster_size), v, sub, mask;
    unsigned a = (unsigned)((off - cluster) >> s->sub_bits);
    unsigned b = (unsigned)((end - cluster) >> s->sub_bits);
    Q2Entry *e;
    uint32_t i;
    int ret;

    mask = (UINT64_C(1) << b) - (UINT64_C(1) << a);
    q2_lock(s);
    q2_flights_wait(s, cluster, s->cluster_size);
    ret = q2_slice_for_write(s, off, &e, &i);
    if (ret >= 0) {
        v = q2_entry(s, e, i);
        sub = q2_entry_sub(s, e, i);
        if (v & Q2_COMPRESSED) {
            ret = -ENOTSUP;
        } else {
            q2_entry_set(s, e, i, v, (sub & ~mask) | mask << 32);
        }
        q2_cache_put(e);
    }
    q2_unlock(s);
    return ret;
}

/* [off, end) within one cluster, not all of it. */
static int zero_within(Qcow2 *s, uint64_t off, uint64_t end)
{
    uint64_t first = ALIGN_UP(off, s->sub_size);
    uint64_t last = ALIGN_DOWN(end, s->sub_size);
    int ret = -ENOTSUP;

    if (off >= end) {
        return 0;
    }
    if (s->ext_l2 && first < last) {
        ret = zero_subclusters(s, first, last);
    }
    if (ret == -ENOTSUP) {
        return zero_part(s, off, end - off);
    }
    ret = ret < 0 ? ret : zero_part(s, off, first - off);
    return ret < 0 ? ret : zero_part(s, last, end - last);
}

/* Invariant 3: where all of it is mapped the data file makes the zeroes. */
static int zero_raw(Qcow2 *s, uint64_t off, uint64_t len, unsigned flags)
{
    unsigned epoch;
    Q2Map m = { .len = 0 };
    int ret = 0;

    for (uint64_t at = 0; ret >= 0 && at < len; at += m.len) {
        q2_lock(s);
        ret = s->corrupt ? -EIO : q2_map(s, off + at, len - at, &m);
        q2_unlock(s);
        if (ret >= 0 && (m.kind != Q2K_DATA || !m.copied)) {
            ret = -ENOTSUP;
        }
    }
    if (ret >= 0) {
        epoch = q2_io_begin(s);
        ret = blk_co_zero(s->data, off, len, flags);
        s->unsynced = true;
        q2_io_end(s, epoch);
    }
    return ret;
}

int q2_zero(Qcow2 *s, uint64_t off, uint64_t len, unsigned flags)
{
    uint64_t cs = s->cluster_size, end = off + len;
    uint64_t first = ALIGN_UP(off, cs), last = ALIGN_DOWN(end, cs);
    Change c = { .s = s, .unmap = flags & BLKF_MAY_UNMAP };
    int ret;

    if (s->data_raw && !s->crypt) {
        return zero_raw(s, off, len, flags);
    }
    if (s->data_raw || (s->version < 3 && s->node.backing)) {
        return -ENOTSUP;
    }
    if (end >= s->node.length && end == MAX2(s->node.length, s->disk_size)) {
        last = ALIGN_UP(end, cs);      /* nothing is behind                   */
    }
    if (first > last || (first == last && first > off && last < end)) {
        ret = zero_within(s, off, MIN2(first, end));
        return ret < 0 || first >= end ? ret : zero_within(s, first, end);
    }
    ret = zero_within(s, off, MIN2(first, end));
    if (ret >= 0 && first < last) {
        ret = change(&c, first, last);
    }
    if (ret >= 0 && last < end && last >= first) {
        ret = zero_within(s, last, end);
    }
    return ret;
}

int q2_discard(Qcow2 *s, uint64_t off, uint64_t len, bool full)
{
    uint64_t cs = s->cluster_size, end = off + len;
    uint64_t first = ALIGN_UP(off, cs), last = ALIGN_DOWN(end, cs);
    Change c = { .s = s, .discard = true, .full = full, .unmap = true };

    if (end >= s->node.length) {
        last = ALIGN_UP(end, cs);
    }
    if (first >= last || (s->data_raw && !full)) {
        return 0;
    }
    return change(&c, first, last);
}

int q2_zero_or_write(Qcow2 *s, uint64_t off, uint64_t len)
{
    int ret = q2_zero(s, off, len, 0);
    g_autofree uint8_t *buf = NULL;
    struct iovec iov;

    if (ret != -ENOTSUP) {
        return ret;
    }
    iov = (struct iovec){ NULL, MIN2(len, 1 * MiB) };
    iov.iov_base = buf = g_malloc0(iov.iov_len);
    for (ret = 0; ret >= 0 && len; ) {
        uint64_t part = MIN2(len, iov.iov_len);

        ret = q2_write(s, off, part, &iov, 1, 0);
        off += part;
        len -= part;
    }
    return ret;
}
