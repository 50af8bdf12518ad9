/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * commit.c - what an image holds goes into its backing file, while both are in
 * use: the monitor's command "commit".
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. The image is emptied after what it held has been flushed to the backing file.
 * 2. The backing file is writable only while this runs.
 */
#include <glib.h>
#include "block/commands.h"

#define PART (2 * MiB)

static MACHINE_CALL int grow(BlkNode *base, uint64_t want)
{
    if (base->length >= want) {
        return 0;
    }
    return blk_node_truncate(base, want, PREALLOC_OFF, false, NULL) ? 0 : -EIO;
}

static int copy_data(BlkNode *n, uint64_t off, uint64_t len, void *buf)
{
    int ret = 0;

    while (len && ret >= 0) {
        size_t part = MIN2(len, PART);

        ret = blk_co_pread(n, off, buf, part);
        ret = ret < 0 ? ret : blk_co_pwrite(n->backing, off, buf, part, 0);
        off += part;
        len -= part;
    }
    return ret;
}

static int copy_all(BlkNode *n)
{
    g_autofree void *buf = g_malloc(PART);
    BlkExtent x;
    int ret = 0;

    for (uint64_t off = 0; off < n->length && ret >= 0; off += x.len) {
        ret = blk_node_extent(n, off, n->length - off, &x);
        if (ret >= 0 && !x.len) {
            return -EIO;
        }
        if (ret >= 0 && x.flags & BLKX_ALLOCATED) {
            ret = x.flags & BLKX_ZERO
                ? blk_co_zero(n->backing, off, x.len, BLKF_MAY_UNMAP)
                : copy_data(n, off, x.len, buf);
        }
    }
    return ret < 0 ? ret : blk_co_flush(n->backing);
}

/* What keeps the writes to the backing file within its permissions. */
static MACHINE_CALL int with_base(BlkNode *n, BlkNode *base)
{
    bool was_ro = base->read_only;
    int ret;

    if (was_ro && !blk_node_set_ro(base, false, NULL)) {
        return -EACCES;
    }
    ret = grow(base, n->length);
    ret = ret < 0 ? ret : copy_all(n);
    if (ret >= 0 && n->drv->make_empty) {
        ret = n->drv->make_empty(n);
        ret = ret < 0 ? ret : blk_co_flush(n);
    }
    if (was_ro) {
        blk_node_set_ro(base, true, NULL);
    }
    return ret;
}

int blk_node_commit(BlkNode *n)
{
    BlkDrain *d, *below;
    int ret;

    while (n->drv->filter && n->file) {
        n = n->file;
    }
    if (!n->backing) {
        return -ENOTSUP;
    }
    if (n->read_only) {
        return -EACCES;
    }
    d = blk_node_drain_begin(n);
    below = blk_node_drain_begin(n->backing);
    ret = with_base(n, n->backing);
    blk_node_drain_end(below);
    blk_node_drain_end(d);
    return ret;
}

static bool has_backing(BlkNode *n)
{
    while (n && n->drv->filter && n->file) {
        n = n->file;
    }
    return n && n->backing;
}

void hmp_commit(const Json *args)
{
    const char *device = json_get_str(args, "device");
    BlkBackend *b;
    int ret = 0;

    machine_assert_locked();
    if (!strcmp(device, "all")) {
        for (b = blk_next(NULL); b && ret >= 0; b = blk_next(b)) {
            if (has_backing(b->node)) {
                ret = blk_node_commit(b->node);
            }
        }
    } else {
        b = blk_find(device);
        if (!b || !b->node) {
            mon_printf(b ? "Device '%s' has no medium\n"
                         : "Device '%s' not found\n", device);
            return;
        }
        ret = blk_node_commit(b->node);
    }
    if (ret < 0) {
        mon_printf("'commit' error for '%s': %s\n", device, strerror(-ret));
    }
}
