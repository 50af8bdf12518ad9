/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mapped.c - requests over a map of clusters, for the formats that are simpler
 * than qcow2.
 *
 * Thread class: LOOP_CALL(node's loop).
 *
 * Invariants
 * 1. A new cluster's data is written whole before the entry that points to it.
 * 2. The map changes only under the node's lock; a writer that waited for the
 *    lock looks again.
 * 3. Places are never given twice: what a failed write leaves behind is lost.
 */
#include <glib.h>
#include "block/iov.h"
#include "block/mapped.h"

/* How far a request may look at once: bounds what a coroutine allocates. */
#define STEPS_MAX 65536u               /* clusters in one answer: a disk may
                                          be as large as its header says      */
#define PART_MAX (8 * MiB)

static int find(BlkNode *n, uint64_t off, MapAt *at)
{
    const MapNode *m = (const MapNode *)n;
    uint64_t in = off % m->cluster;

    *at = (MapAt){ .file = n->file, .len = MIN2(m->cluster - in,
                                                n->length - off) };
    return m->ops->find(n, off, at);
}

/* ---- reading ------------------------------------------------------------- */

static int read_backing(BlkNode *n, uint64_t off, uint64_t len,
                        const struct iovec *iov, unsigned niov)
{
    uint64_t in = n->backing && off < n->backing->length
                ? MIN2(len, n->backing->length - off) : 0;
    g_autofree struct iovec *part = g_new(struct iovec, niov);
    int ret = 0;

    if (in) {
        ret = blk_co_preadv(n->backing, off, in, part,
                            iov_slice(iov, niov, 0, in, part), 0);
    }
    if (in < len) {
        iov_zero(iov, niov, in, len - in);
    }
    return ret;
}

static int read_packed(BlkNode *n, uint64_t off, uint64_t len,
                       const struct iovec *iov, unsigned niov)
{
    const MapNode *m = (const MapNode *)n;
    g_autofree uint8_t *buf = g_try_malloc(m->cluster);
    int ret = buf ? m->ops->unpack(n, ALIGN_DOWN(off, m->cluster), buf,
                                   m->cluster) : -ENOMEM;

    if (ret >= 0) {
        iov_from_buf(iov, niov, 0, buf + off % m->cluster, len);
    }
    return ret;
}

static int read_data(BlkNode *n, uint64_t off, const MapAt *at,
                     const struct iovec *iov, unsigned niov)
{
    const MapNode *m = (const MapNode *)n;
    g_autofree uint8_t *buf = NULL;
    int ret;

    if (!m->ops->crypt && map_inside(at->file, at->map, at->len)) {
        return blk_co_preadv(at->file, at->map, at->len, iov, niov, 0);
    }
    buf = g_try_malloc(at->len);
    ret = buf ? blk_co_pread(at->file, at->map, buf, at->len) : -ENOMEM;
    if (ret >= 0 && m->ops->crypt) {
        ret = m->ops->crypt(n, false, off, buf, at->len);
    }
    if (ret >= 0) {
        iov_from_buf(iov, niov, 0, buf, at->len);
    }
    return ret;
}

static int read_at(BlkNode *n, uint64_t off, const MapAt *at,
                   const struct iovec *iov, unsigned niov)
{
    switch (at->state) {
    case MAP_DATA:
        return read_data(n, off, at, iov, niov);
    case MAP_PACKED:
        return read_packed(n, off, at->len, iov, niov);
    case MAP_ZERO:
        iov_zero(iov, niov, 0, at->len);
        return 0;
    default:
        return read_backing(n, off, at->len, iov, niov);
    }
}

/* Clusters that follow each other in the file are one request. */
static int find_run(BlkNode *n, uint64_t off, uint64_t len, MapAt *at)
{
    int ret = find(n, off, at);
    unsigned steps = 0;

    at->len = MIN2(at->len, len);
    while (ret >= 0 && at->len < len && at->state != MAP_PACKED &&
           ++steps < STEPS_MAX) {
        MapAt next;

        if (find(n, off + at->len, &next) < 0 || next.state != at->state ||
            (at->state == MAP_DATA &&
             (next.file != at->file || next.map != at->map + at->len))) {
            break;
        }
        at->len += MIN2(next.len, len - at->len);
    }
    return ret;
}

static int map_read(BlkNode *n, uint64_t off, uint64_t len,
                    const struct iovec *iov, unsigned niov)
{
    g_autofree struct iovec *part = g_new(struct iovec, MAX2(niov, 1));
    int ret = 0;

    for (uint64_t done = 0; ret >= 0 && done < len;) {
        MapAt at;

        ret = find_run(n, off + done, MIN2(len - done, PART_MAX), &at);
        if (ret >= 0) {
            ret = read_at(n, off + done, &at, part,
                          iov_slice(iov, niov, done, at.len, part));
            done += at.len;
        }
    }
    return ret;
}

/* ---- writing ------------------------------------------------------------- */

/* A place behind the end of the file shows zeroes by itself: only the data is
 * written, and the cluster's last bytes so that it is there whole. */
static int write_fresh(BlkNode *n, uint64_t off, uint64_t len,
                       const struct iovec *iov, unsigned niov, BlkNode *file,
                       uint64_t map)
{
    const MapNode *m = (const MapNode *)n;
    uint64_t in = off % m->cluster, end = map + m->cluster;
    uint8_t zeroes[512] = { 0 };
    int ret = 0;

    if (iov) {
        ret = blk_co_pwritev(file, map + in, len, iov, niov, 0);
    }
    if (ret >= 0 && (!iov || in + len < m->cluster) && file->length < end) {
        size_t tail = MIN2(sizeof(zeroes), iov ? m->cluster - in - len
                                               : m->cluster);

        ret = blk_co_pwrite(file, end - tail, zeroes, tail, 0);
    }
    return ret < 0 ? ret : m->ops->link(n, off - in, map);
}

static bool shows_zeroes(const BlkNode *n, uint64_t start, const MapAt *at)
{
    return at->state == MAP_ZERO ||
           (at->state == MAP_NONE &&
            (!n->backing || start >= n->backing->length));
}

/* The whole cluster as it will be, at a new place (invariant 1). */
static int write_whole(BlkNode *n, uint64_t off, uint64_t len, const MapAt *was,
                       const struct iovec *iov, unsigned niov, BlkNode *file,
                       uint64_t map)
{
    const MapNode *m = (const MapNode *)n;
    uint64_t start = ALIGN_DOWN(off, m->cluster), size = m->cluster;
    bool packed = m->ops->must_pack && m->ops->must_pack(n, start);
    g_autofree uint8_t *buf = g_try_malloc0(size);
    struct iovec all = { buf, MIN2(size, n->length - start) };
    MapAt old = *was;
    int ret = buf ? 0 : -ENOMEM;

    old.len = all.iov_len;
    old.map -= off - start;            /* was: of off                         */
    if (ret >= 0 && (off > start || len < all.iov_len)) {
        ret = read_at(n, start, &old, &all, 1);
    }
    if (ret < 0) {
        return ret;
    }
    if (iov) {
        iov_to_buf(iov, niov, 0, buf + (off - start), len);
    } else {
        memset(buf + (off - start), 0, len);
    }
    if (packed) {
        return m->ops->pack(n, start, buf, size);
    }
    ret = m->ops->crypt ? m->ops->crypt(n, true, start, buf, size) : 0;
    ret = ret < 0 ? ret : blk_co_pwrite(file, map, buf, size, 0);
    return ret < 0 ? ret : m->ops->link(n, start, map);
}

static int write_new(BlkNode *n, uint64_t off, uint64_t len, const MapAt *was,
                     const struct iovec *iov, unsigned niov)
{
    const MapNode *m = (const MapNode *)n;
    uint64_t start = ALIGN_DOWN(off, m->cluster), map = 0, end;
    BlkNode *file = was->file;
    int ret = 0;

    if (m->ops->must_pack && m->ops->must_pack(n, start)) {
        return write_whole(n, off, len, was, iov, niov, file, 0);
    }
    end = file->length;
    ret = m->ops->place(n, start, &file, &map);
    if (ret < 0) {
        return ret;
    }
    if (!m->ops->crypt && map >= end && shows_zeroes(n, start, was)) {
        return write_fresh(n, off, len, iov, niov, file, map);
    }
    return write_whole(n, off, len, was, iov, niov, file, map);
}

static int write_data(BlkNode *n, uint64_t off, const MapAt *at,
                      const struct iovec *iov, unsigned niov)
{
    const MapNode *m = (const MapNode *)n;
    g_autofree uint8_t *buf = NULL;
    int ret;

    if (!iov) {
        ret = blk_co_zero(at->file, at->map, at->len, 0);
        return ret;
    }
    if (!m->ops->crypt) {
        return blk_co_pwritev(at->file, at->map, at->len, iov, niov, 0);
    }
    buf = g_try_malloc(at->len);
    if (!buf) {
        return -ENOMEM;
    }
    iov_to_buf(iov, niov, 0, buf, at->len);
    ret = m->ops->crypt(n, true, off, buf, at->len);
    return ret < 0 ? ret : blk_co_pwrite(at->file, at->map, buf, at->len, 0);
}

/* One piece, inside a cluster unless it is data already. iov NULL: zeroes. */
static int write_piece(BlkNode *n, uint64_t off, uint64_t len, uint64_t *done,
                       const struct iovec *iov, unsigned niov)
{
    MapNode *m = (MapNode *)n;
    MapAt at;
    int ret = iov || !m->ops->crypt ? find_run(n, off, len, &at)
                                    : find(n, off, &at);

    if (ret < 0) {
        return ret;
    }
    if (at.state == MAP_DATA && (iov || !m->ops->crypt)) {
        *done = MIN2(at.len, len);
        at.len = *done;
        return write_data(n, off, &at, iov, niov);
    }
    if (!m->ops->place) {
        return -ENOTSUP;
    }
    co_mutex_lock(&m->lock);
    ret = find(n, off, &at);           /* invariant 2 */
    *done = MIN2(at.len, len);
    if (ret >= 0 && (at.state != MAP_DATA || (!iov && m->ops->crypt))) {
        ret = write_new(n, off, *done, &at, iov, niov);
    } else if (ret >= 0) {
        at.len = *done;
        ret = write_data(n, off, &at, iov, niov);
    }
    co_mutex_unlock(&m->lock);
    return ret;
}

static int map_write(BlkNode *n, BlkReq *req)
{
    g_autofree struct iovec *part = g_new(struct iovec, MAX2(req->niov, 1));
    int ret = 0;

    for (uint64_t done = 0; ret >= 0 && done < req->len;) {
        uint64_t want = MIN2(req->len - done, PART_MAX), did = 0;
        unsigned k = iov_slice(req->iov, req->niov, done, want, part);
        g_autofree struct iovec *own = NULL;
        MapAt at;

        /* A piece ends where its vector must: look first. */
        ret = find_run(n, req->off + done, want, &at);
        if (ret < 0) {
            break;
        }
        own = g_new(struct iovec, k);
        k = iov_slice(part, k, 0, MIN2(at.len, want), own);
        ret = write_piece(n, req->off + done, MIN2(at.len, want), &did, own, k);
        done += did;
    }
    return ret;
}

static int map_pack(BlkNode *n, BlkReq *req)
{
    MapNode *m = (MapNode *)n;
    g_autofree uint8_t *buf = NULL;
    int ret = 0;

    if (!m->ops->pack) {
        return -ENOTSUP;
    }
    if (req->off % m->cluster ||
        (req->len % m->cluster && req->off + req->len != n->length)) {
        return -EINVAL;
    }
    buf = g_try_malloc(m->cluster);
    if (!buf) {
        return -ENOMEM;
    }
    for (uint64_t done = 0; ret >= 0 && done < req->len;) {
        size_t len = MIN2(m->cluster, req->len - done);

        memset(buf, 0, m->cluster);
        iov_to_buf(req->iov, req->niov, done, buf, len);
        co_mutex_lock(&m->lock);
        ret = m->ops->pack(n, req->off + done, buf, m->cluster);
        co_mutex_unlock(&m->lock);
        done += len;
    }
    return ret;
}

/* ---- zeroes -------------------------------------------------------------- */

/* -EAGAIN: write them. */
static int zero_cluster(BlkNode *n, uint64_t off, const MapAt *at, bool unmap)
{
    MapNode *m = (MapNode *)n;
    int ret;

    if (at->state == MAP_ZERO ||
        (at->state == MAP_NONE &&
         (!n->backing || off >= n->backing->length))) {
        return 0;
    }
    if (off % m->cluster || !m->ops->zero ||
        (at->len < m->cluster && off + at->len != n->length)) {
        return -EAGAIN;
    }
    co_mutex_lock(&m->lock);
    ret = m->ops->zero(n, off, unmap);
    co_mutex_unlock(&m->lock);
    return ret == -ENOTSUP ? -EAGAIN : ret;
}

static int map_zero(BlkNode *n, const BlkReq *req)
{
    int ret = 0;

    for (uint64_t done = 0; ret >= 0 && done < req->len;) {
        uint64_t off = req->off + done, did;
        MapAt at;

        ret = find(n, off, &at);
        at.len = MIN2(at.len, req->len - done);
        did = at.len;
        if (ret >= 0) {
            ret = zero_cluster(n, off, &at, req->flags & BLKF_MAY_UNMAP);
        }
        if (ret == -EAGAIN) {
            ret = write_piece(n, off, at.len, &did, NULL, 0);
        }
        done += did;
    }
    return ret;
}

/* ---- all kinds ----------------------------------------------------------- */

static int flush(BlkNode *n)
{
    const MapNode *m = (const MapNode *)n;

    return m->ops->flush ? m->ops->flush(n) : blk_co_flush(n->file);
}

int map_run(BlkNode *n, BlkReq *req)
{
    int ret;

    switch (req->op) {
    case BLK_READ:
        return map_read(n, req->off, req->len, req->iov, req->niov);
    case BLK_WRITE:
        ret = req->flags & BLKF_COMPRESSED ? map_pack(n, req)
                                           : map_write(n, req);
        break;
    case BLK_ZERO:
        ret = map_zero(n, req);
        break;
    case BLK_FLUSH:
        return flush(n);
    case BLK_DISCARD:
        return 0;
    default:
        return -ENOTSUP;
    }
    return ret >= 0 && req->flags & BLKF_FUA ? flush(n) : ret;
}

int map_extent(BlkNode *n, uint64_t off, uint64_t len, BlkExtent *x)
{
    MapAt at;
    int ret = find_run(n, off, MIN2(len, n->length - off), &at);

    if (ret < 0) {
        return ret;
    }
    x->len = at.len;
    x->file = n;
    switch (at.state) {
    case MAP_NONE:
        x->flags = n->backing ? 0 : BLKX_ZERO;
        break;
    case MAP_ZERO:
        x->flags = BLKX_ZERO | BLKX_ALLOCATED;
        break;
    case MAP_PACKED:
        x->flags = BLKX_DATA | BLKX_ALLOCATED | BLKX_COMPRESSED;
        break;
    case MAP_DATA:
        x->flags = BLKX_DATA | BLKX_ALLOCATED | BLKX_OFFSET;
        if (((MapNode *)n)->ops->crypt) {
            x->flags &= ~BLKX_OFFSET;
        } else {
            x->flags |= BLKX_RECURSE;
        }
        x->file = at.file;
        x->map = at.map;
        break;
    }
    return 0;
}

int64_t map_allocated(BlkNode *n)
{
    return n->file->drv->allocated ? n->file->drv->allocated(n->file)
                                   : -ENOTSUP;
}
