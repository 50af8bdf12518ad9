/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bochs.c - growing images of Bochs ("Redolog", "Growing"; Bochs user manual, disk
 * image modes): a catalog of extents, each with a bitmap of its sectors before
 * them. Read only.
 *
 * Thread class: LOOP_CALL(node's loop); open and close MACHINE_CALL.
 *
 * Invariants
 * 1. The catalog is read entry by entry: nothing is sized by the header.
 */
#include <glib.h>
#include "block/mapped.h"
#include "block/packed.h"

#define CATALOG_MAX (1u * 1024 * 1024)             /* entries                 */
#define EXTENT_MAX  (8u * 1024 * 1024)             /* bytes                   */
#define NOWHERE UINT32_MAX

typedef struct Bochs {
    MapNode m;
    uint32_t catalog_at, entries, extent;
    uint64_t data, stride;             /* first extent; from one to the next  */
    uint32_t bitmap_bytes;             /* in whole sectors                    */
} Bochs;

static int bochs_find(BlkNode *n, uint64_t off, MapAt *at)
{
    Bochs *b = (Bochs *)n;
    uint64_t index = off / b->extent, in = off % b->extent, base;
    uint32_t sector = (uint32_t)(in / 512), e = NOWHERE, more;
    uint8_t bits = 0;
    bool set;
    int ret = index < b->entries
        ? tab_le32(&b->m.tab, b->catalog_at + index * 4, &e) : 0;

    if (ret < 0 || e == NOWHERE) {
        at->state = MAP_ZERO;
        return ret;
    }
    base = b->data + e * b->stride;
    ret = tab_read(&b->m.tab, base + sector / 8, &bits, 1);
    set = bits >> sector % 8 & 1;
    /* As far as one byte of the bitmap says the same. */
    for (more = 1; sector % 8 + more < 8 &&
         (bits >> (sector % 8 + more) & 1) == set; more++) {
    }
    at->len = MIN2(at->len, more * 512 - in % 512);
    at->state = set ? MAP_DATA : MAP_ZERO;
    at->file = n->file;
    at->map = base + b->bitmap_bytes + in;
    return ret;
}

static const MapOps bochs_ops = { .find = bochs_find };

static bool header_read(Bochs *b, const uint8_t *h, Error **errp)
{
    uint32_t version = ld_le32(h + 64), bitmap = ld_le32(h + 76);
    uint64_t size;

    if (strncmp((const char *)h, "Bochs Virtual HD Image", 32) ||
        strncmp((const char *)h + 32, "Redolog", 16) ||
        strncmp((const char *)h + 48, "Growing", 16) ||
        (version != 0x10000 && version != 0x20000)) {
        return error_set(errp, "Image not in Bochs format");
    }
    size = ld_le64(h + (version == 0x10000 ? 84 : 88)) / 512 * 512;
    b->catalog_at = ld_le32(h + 68);
    b->entries = ld_le32(h + 72);
    b->extent = ld_le32(h + 80);
    if (b->entries > CATALOG_MAX) {
        return error_set(errp, "Catalog size is too large");
    }
    if (b->extent < 512) {
        return error_set(errp, "Extent size must be at least 512");
    }
    if (!IS_POW2(b->extent)) {
        return error_set(errp, "Extent size %u is not a power of two",
                         b->extent);
    }
    if (b->extent > EXTENT_MAX) {
        return error_set(errp, "Extent size %u is too large", b->extent);
    }
    if (b->entries < size / b->extent + (size % b->extent != 0)) {
        return error_set(errp, "Catalog size is too small for this disk size");
    }
    b->bitmap_bytes = bitmap ? (uint32_t)MIN2(ALIGN_UP((uint64_t)bitmap, 512),
                                              1u << 30) : 512;
    b->data = b->catalog_at + (uint64_t)b->entries * 4;
    b->stride = (uint64_t)b->bitmap_bytes + b->extent;
    b->m.node.length = size;
    b->m.cluster = b->extent;
    return true;
}

static MACHINE_CALL void bochs_close(BlkNode *n)
{
    tab_free(&((Bochs *)n)->m.tab);
}

static MACHINE_CALL bool bochs_open(BlkNode *n, Error **errp)
{
    Bochs *b = (Bochs *)n;
    uint8_t h[512];
    int ret;

    if (!packed_read_only(n, errp)) {
        return false;
    }
    ret = blk_co_pread(n->file, 0, h, sizeof(h));
    if (ret < 0) {
        return error_set_errno(errp, -ret, "Could not read the header");
    }
    b->m.ops = &bochs_ops;
    b->m.tab.file = n->file;
    n->limits.align = 512;
    return header_read(b, h, errp);
}

static int bochs_probe(const uint8_t *buf, size_t n, const char *filename)
{
    uint32_t version = n >= 512 ? ld_le32(buf + 64) : 0;

    return (version == 0x10000 || version == 0x20000) &&
           !strncmp((const char *)buf, "Bochs Virtual HD Image", 32) &&
           !strncmp((const char *)buf + 32, "Redolog", 16) &&
           !strncmp((const char *)buf + 48, "Growing", 16) ? 100 : 0;
}

static const BlkChildRow bochs_children[] = {
    { .name = "file", .role = ROLE_STORAGE }, { .name = NULL }
};

BLK_DRIVER(bochs_driver, {
    .name = "bochs", .desc = "Bochs growing image", .size = sizeof(Bochs),
    .doc = "Growing disk images of Bochs, read only.",
    .children = bochs_children, .open = bochs_open, .close = bochs_close,
    .co_run = map_run, .probe = bochs_probe, .extent = map_extent,
    .allocated = map_allocated,
});
