/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * compress.c - the filter "compress": whatever is written becomes compressed
 * clusters of the format below.
 *
 * Thread class: LOOP_CALL(node's loop); open MACHINE_CALL.
 *
 * Invariants
 * 1. Writes below are whole clusters, or end with the image: the node's alignment
 *    is the cluster size, so that what is smaller is completed on the way here.
 */
#include "block/driver.h"

static MACHINE_CALL bool compress_open(BlkNode *n, Error **errp)
{
    BlkNodeInfo i = { 0 };

    if (n->file->drv->info) {
        n->file->drv->info(n->file, &i);
    }
    if (!i.compress_align) {
        return error_set(errp, "Compression is not supported for underlying "
                         "format: %s", n->file->drv->name);
    }
    n->length = n->file->length;
    n->limits = n->file->limits;
    n->limits.align = i.compress_align;
    n->limits.short_tail = true;
    return true;
}

static void compress_submit(BlkNode *n, BlkReq *req)
{
    if (req->op == BLK_WRITE) {
        req->flags |= BLKF_COMPRESSED;
    }
    blk_node_submit(n->file, req);
}

static int compress_sync(BlkNode *n, BlkReq *req)
{
    if (req->op == BLK_WRITE) {
        req->flags |= BLKF_COMPRESSED;
    }
    return blk_node_sync(n->file, req);
}

static const BlkChildRow compress_children[] = {
    { .name = "file", .role = ROLE_FILTERED },
    { .name = NULL }
};

BLK_DRIVER(compress_driver, {
    .name = "compress", .desc = "compressing writes", .size = sizeof(BlkNode),
    .doc = "Writes to the image below are compressed, as that one's format "
           "does it.",
    .children = compress_children, .filter = true, .open = compress_open,
    .submit = compress_submit, .sync = compress_sync,
});
