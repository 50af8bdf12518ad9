/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lend.c - data that the host moves, without its being read here: sent from the
 * page cache, or copied between files.
 *
 * Thread class: LOOP_CALL(the backend's or node's loop); copies as blk_co_*.
 *
 * Invariants
 * 1. What is lent shows the bytes' contents at some time until they are received.
 *    So only what a node shows by itself is lent, not what a filter keeps as it
 *    was; and formats lend only what they never give to other data meanwhile.
 * 2. A copy passes by no node that would have to know of it.
 */
#include "block/backend.h"

int blk_node_lend(BlkNode *n, uint64_t off, uint64_t len, uint64_t *at,
                  bool now)
{
    if (!n->drv->lend || n->cor_self || n->cor_unit || blk_debug_nodes) {
        return -1;
    }
    return n->drv->lend(n, off, len, at, now);
}

int blk_lend(BlkBackend *b, uint64_t off, uint64_t len, uint64_t *at,
             bool now)
{
    const BlkNode *n = b->node;

    if (!n || b->limiter || __atomic_load_n(&b->quiesce, __ATOMIC_ACQUIRE) ||
        !len || off > n->length || len > n->length - off) {
        return -1;
    }
    return blk_node_lend(b->node, off, len, at, now);
}

/* ---- copies -------------------------------------------------------------- */

/* The node at the bottom, where only nodes that pass on lie between (invariant
 * 2), and where in it; NULL: another. */
static BlkNode *copy_target(BlkNode *to, uint64_t off, uint64_t len,
                            uint64_t *at)
{
    BlkNode *n = to;
    BlkExtent x;

    for (;; n = n->file) {
        if (n->read_only || n->bitmaps || n->write_threshold || n->gated ||
            n->cor_unit || (n->probed && off < 512)) {
            return NULL;
        }
        if (!n->drv->filter || !n->file) {
            break;
        }
        if (strcmp(n->drv->name, "raw")) {
            return NULL;
        }
    }
    if (!n->drv->copy_range || off > to->length || len > to->length - off ||
        blk_node_extent(to, off, len, &x) < 0 ||
        !(x.flags & BLKX_OFFSET) || x.file != n || x.map > n->length ||
        len > n->length - x.map) {
        return NULL;
    }
    *at = x.map;
    return n;
}

static bool is_plain(const BlkNode *n, const BlkExtent *x)
{
    bool passes = n->drv->filter ? !strcmp(n->drv->name, "raw") &&
                                   x->file == n->file : true;

    return (x->flags & (BLKX_DATA | BLKX_OFFSET | BLKX_ALLOCATED)) ==
               (BLKX_DATA | BLKX_OFFSET | BLKX_ALLOCATED) &&
           !(x->flags & (BLKX_ZERO | BLKX_COMPRESSED)) && passes;
}

int blk_co_copy_host(BlkNode *from, uint64_t from_off, BlkNode *to,
                     uint64_t to_off, uint64_t len)
{
    uint64_t end = to_off + len, at;
    BlkNode *bottom;
    BlkExtent x;
    int ret = 0;

    if (blk_debug_nodes || from->cor_self) {
        return -ENOTSUP;
    }
    bottom = copy_target(to, to_off, len, &at);
    if (!bottom) {
        return -ENOTSUP;
    }
    while (len && ret >= 0) {
        ret = blk_node_extent(from, from_off, len, &x);
        if (ret >= 0 && (!x.len || !is_plain(from, &x) ||
                         x.file->drv->copy_range != bottom->drv->copy_range)) {
            return -ENOTSUP;
        }
        if (ret >= 0) {
            ret = bottom->drv->copy_range(x.file, x.map, bottom, at, x.len);
        }
        from_off += x.len;
        at += x.len;
        len -= x.len;
    }
    to->wr_highest = MAX2(to->wr_highest, end);
    return ret;
}
