/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * packed.c - reading of disks whose parts are compressed one by one.
 *
 * Thread class: LOOP_CALL(node's loop).
 *
 * Invariants
 * 1. A part takes memory only when its lengths are at most PACKED_PART_MAX and its
 *    packed bytes are inside the file.
 */
#include <glib.h>
#include "block/iov.h"
#include "block/mapped.h"
#include "block/packed.h"

bool packed_read_only(BlkNode *n, Error **errp)
{
    if (!n->read_only) {
        if (!n->auto_read_only) {
            return error_set(errp, "Image is read-only");
        }
        n->read_only = true;
    }
    return true;
}

/* Makes the part's bytes the ones that are kept. Under the lock. */
static int unpack(PackedNode *k, const PackedPart *p)
{
    BlkNode *file = k->node.file;
    g_autofree uint8_t *in = NULL;
    uint8_t *data;
    int ret;

    if (k->data && k->data_off == p->off && k->data_len == p->len) {
        return 0;
    }
    if (p->kind != PACKED_ZLIB || p->len > PACKED_PART_MAX ||
        p->size > PACKED_PART_MAX || !map_inside(file, p->at, p->size)) {
        return -EIO;
    }
    in = g_try_malloc(MAX2(p->size, 1));
    data = k->data_len == p->len ? k->data : g_try_realloc(k->data, p->len);
    if (!in || !data) {
        return -ENOMEM;
    }
    k->data = data;
    k->data_len = 0;
    ret = blk_co_pread(file, p->at, in, p->size);
    ret = ret < 0 ? ret : map_inflate(in, p->size, data, p->len, 15);
    if (ret >= 0) {
        k->data_off = p->off;
        k->data_len = p->len;
    }
    return ret < 0 ? -EIO : 0;
}

static int part_read(PackedNode *k, const PackedPart *p, uint64_t off,
                     uint64_t len, const BlkReq *req)
{
    uint64_t done = off - req->off;
    int ret = 0;

    if (p->kind == PACKED_ZERO) {
        iov_zero(req->iov, req->niov, done, len);
    } else if (p->kind == PACKED_RAW) {
        g_autofree struct iovec *iov = g_new(struct iovec, req->niov);
        unsigned n = iov_slice(req->iov, req->niov, done, len, iov);

        ret = blk_co_preadv(k->node.file, p->at + (off - p->off), len, iov, n,
                            0);
    } else {
        co_mutex_lock(&k->lock);
        ret = unpack(k, p);
        if (ret >= 0) {
            iov_from_buf(req->iov, req->niov, done, k->data + (off - p->off),
                         len);
        }
        co_mutex_unlock(&k->lock);
    }
    return ret;
}

int packed_run(BlkNode *n, BlkReq *req)
{
    PackedNode *k = (PackedNode *)n;
    uint64_t off = req->off, end = off + req->len;
    int ret = 0;

    if (req->op != BLK_READ) {
        return req->op == BLK_FLUSH ? 0 : -ENOTSUP;
    }
    while (ret >= 0 && off < end) {
        PackedPart p;

        ret = k->find(n, off, &p);
        if (ret >= 0) {
            uint64_t len = MIN2(end, p.off + p.len) - off;

            ret = part_read(k, &p, off, len, req);
            off += len;
        }
    }
    return ret;
}

int packed_extent(BlkNode *n, uint64_t off, uint64_t len, BlkExtent *x)
{
    PackedNode *k = (PackedNode *)n;
    PackedPart p;
    int ret = k->find(n, off, &p);

    if (ret < 0) {
        return ret;
    }
    *x = (BlkExtent){ .len = MIN2(len, p.off + p.len - off), .file = n->file,
                      .flags = BLKX_ALLOCATED | BLKX_DATA };
    if (p.kind == PACKED_ZERO) {
        x->flags = BLKX_ALLOCATED | BLKX_ZERO;
    } else if (p.kind == PACKED_RAW) {
        x->flags |= BLKX_OFFSET;
        x->map = p.at + (off - p.off);
    } else {
        x->flags |= BLKX_COMPRESSED;
    }
    return 0;
}

void packed_close(BlkNode *n)
{
    PackedNode *k = (PackedNode *)n;

    g_clear_pointer(&k->data, g_free);
    k->data_len = 0;
}
