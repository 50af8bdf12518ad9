/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * img-extent.c - where the bytes that a chain of images shows come from.
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. An answer covers at least one byte, and no more than was asked about.
 * 2. What no image holds reads as zeroes.
 */
#include "tools/img.h"

BlkNode *img_skip_filters(BlkNode *n)
{
    while (n && n->drv->filter && n->file && strcmp(n->drv->name, "raw")) {
        n = n->file;
    }
    return n;
}

BlkNode *img_backing(BlkNode *n)
{
    n = img_skip_filters(n);
    return n ? img_skip_filters(n->backing) : NULL;
}

int img_extent(BlkNode *n, const BlkNode *base, uint64_t off, uint64_t len,
               ImgExtent *x)
{
    BlkExtent e;
    int ret;

    *x = (ImgExtent){ .start = off, .len = len };
    for (n = img_skip_filters(n); n && n != base; n = img_backing(n)) {
        if (off >= n->length) {        /* a short backing file                */
            x->zero = x->present = true;
            return 0;
        }
        ret = blk_node_extent(n, off, MIN2(x->len, n->length - off), &e);
        if (ret < 0) {
            return ret;
        }
        if (!e.len) {
            return -EIO;
        }
        if (e.flags & BLKX_ALLOCATED) {
            x->len = e.len;
            x->present = true;
            x->zero = e.flags & BLKX_ZERO;
            x->data = e.flags & BLKX_DATA;
            x->compressed = e.flags & BLKX_COMPRESSED;
            x->has_offset = e.flags & BLKX_OFFSET;
            x->offset = x->has_offset ? e.map : 0;
            x->file = x->has_offset ? e.file : NULL;
            return 0;
        }
        x->len = off + e.len < n->length || !img_backing(n) ? e.len
                                                            : MIN2(x->len,
                                                                   e.len);
        x->depth++;
    }
    x->depth = MAX2(x->depth - 1, 0);
    x->zero = n == NULL;
    return 0;
}
