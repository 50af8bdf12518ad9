/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * raw.c - the format without metadata: the bytes of the file below, or a window
 * of it.
 *
 * Thread class: LOOP_CALL(node's loop); open and close MACHINE_CALL.
 *
 * Invariants
 * 1. The window lies within the file when the node is opened.
 * 2. While the format was guessed, a write may not make block 0 look like another
 *    format's header: the next start would follow it.
 */
#include <glib.h>
#include "block/driver.h"

typedef struct Raw {
    BlkNode node;
    uint64_t offset, size;             /* properties                          */
} Raw;

/* A guest that owns block 0 of a guessed image could name other host files. */
static bool changes_format(const BlkReq *req)
{
    uint8_t head[512];
    size_t n = 0;

    for (unsigned i = 0; i < req->niov && n < sizeof(head); i++) {
        size_t part = MIN2(req->iov[i].iov_len, sizeof(head) - n);

        memcpy(head + n, req->iov[i].iov_base, part);
        n += part;
    }
    SET_EACH(blk_drivers, BlkDriver, d) {
        if ((*d)->probe && strcmp((*d)->name, "raw") &&
            (*d)->probe(head, n, "") > 0) {
            return true;
        }
    }
    return n >= 4 && !memcmp(head, "QFI\xfb", 4);
}

static bool forbidden(const BlkNode *n, const BlkReq *req)
{
    return UNLIKELY(n->probed) && req->op == BLK_WRITE && req->off < 512 &&
           (req->off || req->len < 512 || changes_format(req));
}

static void raw_done(BlkReq *req)
{
    BlkSlot *s = blk_slot(req);

    req->off = s->w[0];
    blk_complete(req, req->ret);
}

static void raw_submit(BlkNode *n, BlkReq *req)
{
    const Raw *r = (const Raw *)n;

    if (forbidden(n, req)) {
        blk_complete(req, -EPERM);
        return;
    }
    if (UNLIKELY(blk_debug_nodes) && req->op <= BLK_WRITE) {
        blk_debug_event(n->file, req->op == BLK_READ ? "read_aio"
                                                     : "write_aio");
    }
    if (r->offset && req->op != BLK_FLUSH) {
        BlkSlot *s = blk_push(req, raw_done);

        if (!s) {
            return;
        }
        s->w[0] = req->off;
        req->off += r->offset;
    }
    blk_node_submit(n->file, req);
}

static int raw_sync(BlkNode *n, BlkReq *req)
{
    if (forbidden(n, req)) {
        return -EPERM;
    }
    if (UNLIKELY(blk_debug_nodes) && req->op <= BLK_WRITE) {
        blk_debug_event(n->file, req->op == BLK_READ ? "read_aio"
                                                     : "write_aio");
    }
    req->off += ((const Raw *)n)->offset;
    return blk_node_sync(n->file, req);
}

static int raw_lend(BlkNode *n, uint64_t off, uint64_t len, uint64_t *at,
                    bool now)
{
    return blk_node_lend(n->file, off + ((const Raw *)n)->offset, len, at,
                         now);
}

static MACHINE_CALL bool raw_open(BlkNode *n, Error **errp)
{
    Raw *r = (Raw *)n;
    uint64_t room = n->file->length;

    if (r->offset > room) {
        return error_set(errp, "Offset (%" PRIu64 ") cannot be greater than "
                         "size of the containing file (%" PRIu64 ")",
                         r->offset, room);
    }
    if (r->size && r->size > room - r->offset) {
        return error_set(errp, "The sum of offset (%" PRIu64 ") and size (%"
                         PRIu64 ") has to be smaller or equal to the  actual "
                         "size of the containing file (%" PRIu64 ")",
                         r->offset, r->size, room);
    }
    if (r->size % 512) {
        return error_set(errp, "Specified size is not multiple of 512");
    }
    n->length = r->size ? r->size : room - r->offset;
    n->limits = n->file->limits;
    n->limits.align = 1;               /* the node below aligns               */
    return true;
}

static MACHINE_CALL bool raw_truncate(BlkNode *n, uint64_t len,
                                      BlkPrealloc prealloc, bool exact,
                                      Error **errp)
{
    Raw *r = (Raw *)n;

    if (r->size) {
        return error_set(errp, "Cannot resize fixed-size raw disks");
    }
    if (len > INT64_MAX - r->offset) {
        return error_set(errp, "Disk size too large for the chosen offset");
    }
    if (!blk_node_truncate(n->file, len + r->offset, prealloc, exact, errp)) {
        return false;
    }
    n->length = n->file->length - r->offset;
    return true;
}

static void raw_file_resized(BlkNode *n)
{
    const Raw *r = (const Raw *)n;

    if (!r->size) {
        n->length = n->file->length - MIN2(r->offset, n->file->length);
    }
}

static int raw_extent(BlkNode *n, uint64_t off, uint64_t len, BlkExtent *x)
{
    int ret = blk_node_extent(n->file, off + ((Raw *)n)->offset, len, x);

    if (ret >= 0 && !x->len) {
        /* The file has become shorter. */
        *x = (BlkExtent){ .len = len, .flags = BLKX_ZERO | BLKX_ALLOCATED };
    }
    x->flags &= ~BLKX_EOF;
    return ret;
}

static int raw_probe(const uint8_t *buf, size_t n, const char *filename)
{
    return 1;
}

static int64_t raw_allocated(BlkNode *n)
{
    return n->file->drv->allocated ? n->file->drv->allocated(n->file)
                                   : -ENOTSUP;
}

static const Prop raw_props[] = {
    PROP_SIZE("offset", Raw, offset, 0, .desc = "start of the data in the file"),
    PROP_SIZE("size", Raw, size, 0, .desc = "length of the data; 0: the rest"),
    PROP_END
};

static const BlkChildRow raw_children[] = {
    { .name = "file", .role = ROLE_FILTERED },
    { .name = NULL }
};

static const char *const raw_strong[] = { "offset", "size", NULL };

BLK_DRIVER(raw_driver, {
    .name = "raw", .desc = "bytes as they are", .size = sizeof(Raw),
    .doc = "The data is the file's, from offset on. Nothing is stored beside it.",
    .props = raw_props, .children = raw_children,
    .filter = true, .reopens = true, .open = raw_open, .submit = raw_submit,
    .sync = raw_sync, .lend = raw_lend, .probe = raw_probe, .truncate = raw_truncate,
    .file_resized = raw_file_resized, .allocated = raw_allocated,
    .extent = raw_extent, .strong = raw_strong,
});
