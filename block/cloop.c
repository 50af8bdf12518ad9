/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cloop.c - compressed loop images, version 2 (the cloop kernel module): blocks of
 * one size, each a zlib stream, and a table of where they begin. Read only.
 *
 * Thread class: LOOP_CALL(node's loop); open and close MACHINE_CALL.
 *
 * Invariants
 * 1. The table was seen to rise when the image was opened; it is not kept, and
 *    what is read of it later is checked again.
 */
#include <glib.h>
#include "block/mapped.h"
#include "block/packed.h"

#define HEADER 136                     /* script, block size, count           */
#define TABLE_MAX (512 * MiB)
#define BLOCKS_MAX ((uint32_t)(UINT32_MAX / 8))

typedef struct Cloop {
    PackedNode p;
    Tab tab;
    uint32_t block, blocks;
} Cloop;

static int cloop_find(BlkNode *n, uint64_t off, PackedPart *p)
{
    Cloop *c = (Cloop *)n;
    uint64_t index = off / c->block, end;
    int ret;

    *p = (PackedPart){ .off = index * c->block, .len = c->block,
                       .kind = PACKED_ZLIB };
    if (index >= c->blocks) {
        return -EIO;
    }
    ret = tab_be64(&c->tab, HEADER + index * 8, &p->at);
    ret = ret < 0 ? ret : tab_be64(&c->tab, HEADER + index * 8 + 8, &end);
    if (ret < 0 || end < p->at) {
        return -EIO;
    }
    p->size = end - p->at;
    return 0;
}

/* Invariant 1. */
static bool table_check(Cloop *c, Error **errp)
{
    BlkNode *file = c->p.node.file;
    uint64_t size = ((uint64_t)c->blocks + 1) * 8, last = 0;
    g_autofree uint8_t *buf = g_malloc(64 * KiB);

    /* Entries behind the end of a file that was cut off read as 0. */
    size = MIN2(size, file->length > HEADER ? file->length - HEADER + 8 : 8);
    for (uint64_t at = 0; at < size;) {
        size_t n = MIN2(size - at, 64 * KiB) & ~(size_t)7;
        int ret = n ? blk_co_pread(file, HEADER + at, buf, n) : 0;

        if (ret < 0) {
            return error_set_errno(errp, -ret, "Could not read the table");
        }
        for (size_t i = 0; i < n; i += 8) {
            uint64_t v = ld_be64(buf + i), index = (at + i) / 8;

            if (index && v < last) {
                return error_set(errp, "offsets not monotonically increasing "
                                 "at index %" PRIu64 ", image file is corrupt",
                                 index);
            }
            /* What deflate can make of a block at the worst. */
            if (index && v - last > 2 * (uint64_t)PACKED_PART_MAX) {
                return error_set(errp, "invalid compressed block size at index "
                                 "%" PRIu64 ", image file is corrupt", index);
            }
            last = v;
        }
        at += MAX2(n, 8);
    }
    return true;
}

static MACHINE_CALL void cloop_close(BlkNode *n)
{
    tab_free(&((Cloop *)n)->tab);
    packed_close(n);
}

static MACHINE_CALL bool cloop_open(BlkNode *n, Error **errp)
{
    Cloop *c = (Cloop *)n;
    uint8_t b[8];
    int ret;

    if (!packed_read_only(n, errp)) {
        return false;
    }
    ret = blk_co_pread(n->file, 128, b, sizeof(b));
    if (ret < 0) {
        return error_set_errno(errp, -ret, "Could not read the header");
    }
    c->block = ld_be32(b);
    c->blocks = ld_be32(b + 4);
    if (!c->block) {
        return error_set(errp, "block_size cannot be zero");
    }
    if (c->block % 512) {
        return error_set(errp, "block_size %u must be a multiple of 512",
                         c->block);
    }
    if (c->block > PACKED_PART_MAX) {
        return error_set(errp, "block_size %u must be 64 MB or less", c->block);
    }
    if (c->blocks > BLOCKS_MAX) {
        return error_set(errp, "n_blocks %u must be %u or less", c->blocks,
                         BLOCKS_MAX);
    }
    if (((uint64_t)c->blocks + 1) * 8 > TABLE_MAX) {
        return error_set(errp, "image requires too many offsets, try increasing "
                         "block size");
    }
    c->tab.file = n->file;
    c->p.find = cloop_find;
    n->length = (uint64_t)c->block * c->blocks;
    n->limits.align = 512;
    return table_check(c, errp);
}

static int cloop_probe(const uint8_t *buf, size_t n, const char *filename)
{
    static const char magic[] = "#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 "
                                "&& mount -r -t iso9660 /dev/cloop $1\n";
    size_t len = MIN2(n, sizeof(magic) - 1);

    return len && !memcmp(buf, magic, len) ? 2 : 0;
}

static MACHINE_CALL void cloop_info(BlkNode *n, BlkNodeInfo *i)
{
    i->cluster_size = 0;
}

static const BlkChildRow cloop_children[] = {
    { .name = "file", .role = ROLE_STORAGE }, { .name = NULL }
};

BLK_DRIVER(cloop_driver, {
    .name = "cloop", .desc = "compressed loop image", .size = sizeof(Cloop),
    .doc = "Images of the cloop kernel module, read only.",
    .children = cloop_children, .open = cloop_open, .close = cloop_close,
    .co_run = packed_run, .probe = cloop_probe, .extent = packed_extent,
    .allocated = map_allocated, .info = cloop_info,
});
