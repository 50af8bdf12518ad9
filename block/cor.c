/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cor.c - copy on read: by the filter "copy-on-read", or by copy-on-read=on of a
 * drive on its node itself.
 *
 * Thread class: LOOP_CALL(node's loop); open and close MACHINE_CALL.
 *
 * Invariants
 * 1. Between the read of a cluster from below and its write here, the request is
 *    alone on the cluster (the node's gate).
 * 2. Whole clusters are copied, so that the write needs nothing from below.
 */
#include <glib.h>
#include "block/cor.h"
#include "block/iov.h"
#include "block/reopen.h"

#define PART (1 * MiB)

uint64_t blk_cor_unit(BlkNode *n)
{
    BlkNodeInfo i = { 0 };

    if (n->drv->info) {
        n->drv->info(n, &i);
    }
    return IS_POW2(i.cluster_size) ? MAX2(i.cluster_size, 4 * KiB) : 64 * KiB;
}

/* Is the run at off (of *len bytes, shortened) to be copied? -errno, 0, 1. */
static int wanted(BlkNode *n, BlkNode *below, uint64_t off, uint64_t *len)
{
    BlkExtent x;
    int ret = blk_node_extent(n, off, *len, &x);

    if (ret < 0 || !x.len) {
        return ret < 0 ? ret : -EIO;
    }
    *len = MIN2(*len, x.len);
    if (x.flags & BLKX_ALLOCATED) {
        return 0;
    }
    if (!below) {
        return 1;
    }
    for (BlkNode *k = n->backing; k; k = k->backing) {
        if (off >= k->length) {
            return 1;                  /* zeroes that hide what is below      */
        }
        ret = blk_node_extent(k, off, MIN2(*len, k->length - off), &x);
        if (ret < 0 || !x.len) {
            return ret < 0 ? ret : -EIO;
        }
        *len = MIN2(*len, x.len);
        if (x.flags & BLKX_ALLOCATED) {
            return 1;
        }
        if (k == below) {
            break;
        }
    }
    return 0;
}

static int inner(BlkNode *n, const BlkReq *like)
{
    BlkReq req = *like;

    return blk_co_req(n, &req);
}

static bool all_zero(const uint8_t *p, size_t n)
{
    return !p[0] && !memcmp(p, p + 1, n - 1);
}

/* The clusters of [off, off + len), at most PART; *got: bytes from off on that are
 * in buf, which begins with off's cluster. */
static int copy(BlkNode *n, const BlkReq *part, uint8_t *buf, uint64_t *got)
{
    uint64_t unit = blk_cor_unit(n), first = ALIGN_DOWN(part->off, unit);
    uint64_t end = MIN2(ALIGN_UP(part->off + part->len, unit), n->length);
    struct iovec iov = { buf, MIN2(end - first, MAX2(PART, unit)) };
    BlkReq req = { .op = BLK_READ, .flags = part->flags, .off = first,
                   .len = iov.iov_len, .iov = &iov, .niov = 1 };
    int ret = inner(n, &req);

    if (ret >= 0) {
        req.op = BLK_ZERO;
        ret = all_zero(buf, iov.iov_len) ? inner(n, &req) : -ENOTSUP;
        req.op = BLK_WRITE;
        ret = ret == -ENOTSUP ? inner(n, &req) : ret;
    }
    *got = first + iov.iov_len - part->off;
    return ret;
}

/* The part as it is, into the user's buffers. */
static int pass(BlkNode *n, const BlkReq *user, const BlkReq *part)
{
    g_autofree struct iovec *v = NULL;
    BlkReq req = *part;

    if (user->flags & BLKF_PREFETCH) {
        return 0;
    }
    v = g_new(struct iovec, user->niov);
    req.niov = iov_slice(user->iov, user->niov, part->off - user->off,
                         part->len, v);
    req.iov = v;
    return inner(n, &req);
}

int blk_cor_read(BlkNode *n, BlkNode *below, BlkReq *req, unsigned flags)
{
    uint64_t unit = blk_cor_unit(n), end = req->off + req->len, got;
    g_autofree uint8_t *buf = NULL;
    BlkReq part = { .op = BLK_READ, .flags = flags };
    int ret = 0;

    for (part.off = req->off; part.off < end && ret >= 0;
         part.off += part.len) {
        part.len = end - part.off;
        ret = wanted(n, below, part.off, &part.len);
        if (ret == 0) {
            ret = pass(n, req, &part);
        } else if (ret > 0) {
            if (!buf && !(buf = g_try_malloc(MAX2(PART, unit)))) {
                return -ENOMEM;
            }
            ret = copy(n, &part, buf, &got);
            part.len = MIN2(part.len, got);
            if (ret >= 0 && !(req->flags & BLKF_PREFETCH)) {
                iov_from_buf(req->iov, req->niov, part.off - req->off,
                             buf + part.off % unit, part.len);
            }
        }
    }
    return ret < 0 ? ret : 0;
}

void blk_cor_enable(BlkNode *n)
{
    n->cor_self = true;
    n->cor_unit = blk_cor_unit(n);
}

/* ---- the filter ---------------------------------------------------------- */

typedef struct CopyOnRead {
    BlkNode node;
    char *bottom;                      /* property                            */
    BlkNode *below;                    /* NULL: all the chain                 */
} CopyOnRead;

/* The node whose backing chain is copied from. */
static BlkNode *cow_of(BlkNode *n)
{
    while (n->drv->filter && n->file) {
        n = n->file;
    }
    return n;
}

static int cor_run(BlkNode *n, BlkReq *req)
{
    BlkReq own = { .op = req->op, .flags = req->flags, .off = req->off,
                   .len = req->len, .iov = req->iov, .niov = req->niov };

    if (req->op == BLK_READ && n->file->perm & BLKP_WRITE_UNCHANGED) {
        return blk_cor_read(n->file, ((CopyOnRead *)n)->below, req, 0);
    }
    return blk_co_req(n->file, &own);
}

static MACHINE_CALL bool bottom_find(CopyOnRead *c, Error **errp)
{
    BlkNode *k = cow_of(c->node.file);

    c->below = blk_node_find(c->bottom);
    if (!c->below) {
        return error_set(errp, "Bottom node '%s' not found", c->bottom);
    }
    if (c->below->drv->filter) {
        return error_set(errp, "Bottom node '%s' is a filter", c->bottom);
    }
    while (k && k != c->below) {
        k = k->backing;
    }
    return k || error_set(errp, "Bottom node '%s' is not in the backing chain",
                          c->bottom);
}

static MACHINE_CALL bool cor_open(BlkNode *n, Error **errp)
{
    CopyOnRead *c = (CopyOnRead *)n;

    if (c->bottom && !bottom_find(c, errp)) {
        return false;
    }
    n->length = n->file->length;
    n->limits = n->file->limits;
    n->limits.align = 1;
    n->cor_unit = blk_cor_unit(cow_of(n));
    if (!n->file->read_only) {
        n->perm_take = BLKP_WRITE_UNCHANGED;
    }
    return blk_perms_refresh(n, errp);
}

static const Prop cor_props[] = {
    PROP_STR("bottom", CopyOnRead, bottom,
             .desc = "the last node of the chain that is copied from"),
    PROP_END
};
static const BlkChildRow cor_children[] = {
    { .name = "file", .role = ROLE_FILTERED },
    { .name = NULL }
};

BLK_DRIVER(cor_driver, {
    .name = "copy-on-read", .desc = "copying what is read",
    .size = sizeof(CopyOnRead),
    .doc = "What is read from backing files is written to the image, so that "
           "the next read finds it there.",
    .props = cor_props, .children = cor_children, .filter = true,
    .open = cor_open, .co_run = cor_run,
});
