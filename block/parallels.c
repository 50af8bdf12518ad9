/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * parallels.c - Parallels disk images ("WithoutFreeSpace" and its later form
 * "WithouFreSpacExt"; Parallels Expandable Image File Format): a header, a table
 * of clusters, clusters in the order of first writing.
 *
 * Thread class: LOOP_CALL(node's loop); open, close and create MACHINE_CALL.
 *
 * Invariants
 * 1. While the image is open for writing its header says "in use".
 * 2. New clusters lie behind all that the table names and behind the file's end.
 */
#include <glib.h>
#include "block/mapped.h"

#define HEADER 64
#define IN_USE 0x746f6e59u
#define EXT_MAGIC UINT64_C(0xab234cef23dcea87)

typedef struct Parallels {
    MapNode m;
    uint32_t entries, unit;            /* unit: bytes that an entry counts in */
    uint64_t next, data_start;
    bool marked, unclean;
} Parallels;
typedef struct ParallelsCreate {
    BlkCreate base;
    uint64_t cluster;
} ParallelsCreate;

static int pl_find(BlkNode *n, uint64_t off, MapAt *at)
{
    Parallels *p = (Parallels *)n;
    uint64_t index = off / p->m.cluster;
    uint32_t e = 0;
    int ret = index < p->entries ? tab_le32(&p->m.tab, HEADER + index * 4, &e)
                                 : 0;

    if (ret >= 0 && e) {
        at->state = MAP_DATA;
        at->map = e * (uint64_t)p->unit + off % p->m.cluster;
    }
    return ret;
}

static int mark(Parallels *p, bool in_use)
{
    uint8_t b[4];

    st_le32(b, in_use ? IN_USE : 0);
    return tab_write(&p->m.tab, 44, b, 4);
}

static int pl_place(BlkNode *n, uint64_t off, BlkNode **file, uint64_t *map)
{
    Parallels *p = (Parallels *)n;

    if (off / p->m.cluster >= p->entries) {
        return -EINVAL;
    }
    if (p->next / p->unit > UINT32_MAX) {
        return -EFBIG;
    }
    *map = p->next;
    p->next += p->m.cluster;
    return 0;
}

static int pl_link(BlkNode *n, uint64_t off, uint64_t map)
{
    Parallels *p = (Parallels *)n;
    uint8_t b[4];

    st_le32(b, (uint32_t)(map / p->unit));
    return tab_write(&p->m.tab, HEADER + off / p->m.cluster * 4, b, 4);
}

static const MapOps pl_ops = { .find = pl_find, .place = pl_place,
                               .link = pl_link };

static bool header_read(Parallels *p, const uint8_t *h, Error **errp)
{
    BlkNode *n = &p->m.node;
    bool ext = !memcmp(h, "WithouFreSpacExt", 16);
    uint32_t tracks = ld_le32(h + 28);
    uint64_t sectors = ld_le64(h + 36);

    if ((!ext && memcmp(h, "WithoutFreeSpace", 16)) || ld_le32(h + 16) != 2) {
        return error_set(errp, "Image not in Parallels format");
    }
    if (!tracks) {
        return error_set(errp, "Invalid image: Zero sectors per track");
    }
    if (tracks > INT32_MAX / 513) {
        return error_set(errp, "Invalid image: Too big cluster");
    }
    if (ld_le32(h + 32) > INT32_MAX / 4) {
        return error_set(errp, "Catalog too large");
    }
    sectors = ext ? sectors : (uint32_t)sectors;
    if (sectors > (INT64_MAX - 512) / 512) {
        return error_set(errp, "Image size is too large");
    }
    p->entries = ld_le32(h + 32);
    p->m.cluster = tracks * UINT64_C(512);
    p->unit = ext ? tracks * 512 : 512;
    p->data_start = ld_le32(h + 48) * UINT64_C(512);
    if (!p->data_start) {
        p->data_start = ALIGN_UP(HEADER + p->entries * UINT64_C(4), 512);
    }
    p->unclean = ld_le32(h + 44) == IN_USE;
    n->length = sectors * 512;
    if (ld_le64(h + 56)) {
        uint64_t magic = 0;

        tab_le64(&p->m.tab, MIN2(ld_le64(h + 56), INT64_MAX / 512) * 512,
                 &magic);
        if (magic != EXT_MAGIC) {
            return error_set(errp, "Wrong parallels Format Extension magic: 0x%"
                             PRIx64 ", expected: 0x%" PRIx64, magic,
                             (uint64_t)EXT_MAGIC);
        }
        if (!n->read_only) {
            return error_set(errp, "Images with a format extension can be "
                             "opened read-only only");
        }
    }
    return true;
}

/* Invariant 2, with tables that name places behind the end. */
static bool end_find(Parallels *p, Error **errp)
{
    BlkNode *n = &p->m.node;
    uint64_t end = MAX2(n->file->length, p->data_start);

    if (n->read_only) {
        return true;
    }
    if (!map_inside(n->file, HEADER, p->entries * UINT64_C(4))) {
        return error_set(errp, "The catalog lies beyond the end of the file");
    }
    for (uint32_t i = 0; i < p->entries; i++) {
        uint32_t e;
        int ret = tab_le32(&p->m.tab, HEADER + i * UINT64_C(4), &e);

        if (ret < 0) {
            return error_set_errno(errp, -ret, "Could not read the catalog");
        }
        end = MAX2(end, e ? e * (uint64_t)p->unit + p->m.cluster : 0);
    }
    p->next = ALIGN_UP(end, p->unit == 512 ? 512 : p->m.cluster);
    return true;
}

static MACHINE_CALL bool pl_open(BlkNode *n, Error **errp)
{
    Parallels *p = (Parallels *)n;
    uint8_t h[HEADER];
    int ret = blk_co_pread(n->file, 0, h, sizeof(h));

    p->m.ops = &pl_ops;
    p->m.tab.file = n->file;
    if (ret < 0) {
        return error_set_errno(errp, -ret, "Could not read the header");
    }
    if (!header_read(p, h, errp) || !end_find(p, errp)) {
        tab_free(&p->m.tab);
        return false;
    }
    n->limits.align = 512;
    if (!n->read_only && !(n->flags & BLKO_INACTIVE)) {
        ret = mark(p, true);
        if (ret < 0) {
            tab_free(&p->m.tab);
            return error_set_errno(errp, -ret, "Could not mark the image");
        }
        p->marked = true;
    }
    return true;
}

static MACHINE_CALL void pl_close(BlkNode *n)
{
    Parallels *p = (Parallels *)n;

    if (p->marked) {
        mark(p, false);
    }
    tab_free(&p->m.tab);
}

static int pl_probe(const uint8_t *buf, size_t n, const char *filename)
{
    return n >= HEADER && (!memcmp(buf, "WithouFreSpacExt", 16) ||
                           !memcmp(buf, "WithoutFreeSpace", 16)) &&
           ld_le32(buf + 16) == 2 ? 100 : 0;
}

static void pl_info(BlkNode *n, BlkNodeInfo *i)
{
    i->dirty = ((Parallels *)n)->unclean;
    i->unallocated_are_zero = true;
}

static void say(BlkCheck *c, const char *what, uint32_t index)
{
    if (c->say) {
        g_autofree char *line = g_strdup_printf("%s cluster %u %s",
                                                "ERROR", index, what);

        c->say(c->arg, line);
    }
}

static int pl_check(BlkNode *n, BlkCheck *c, int fix, Error **errp)
{
    Parallels *p = (Parallels *)n;
    uint64_t high = p->data_start, prev = 0;

    if (p->unclean) {
        if (c->say) {
            c->say(c->arg, fix & BLKC_FIX_ERRORS
                   ? "Repairing image was not closed correctly"
                   : "ERROR image was not closed correctly");
        }
        c->corruptions++;
        if (fix & BLKC_FIX_ERRORS) {
            c->corruptions_fixed++;
            p->unclean = false;
        }
    }
    c->total_clusters = p->entries;
    for (uint32_t i = 0; i < p->entries; i++) {
        uint64_t at;
        uint32_t e;

        if (tab_le32(&p->m.tab, HEADER + i * UINT64_C(4), &e) < 0) {
            c->check_errors++;
            return 0;
        }
        at = e * (uint64_t)p->unit;
        if (!e) {
            prev = 0;
            continue;
        }
        if (!map_inside(n->file, at, 1)) {
            uint8_t zero[4] = { 0 };

            say(c, "is outside image", i);
            c->corruptions++;
            c->corruptions_fixed += fix & BLKC_FIX_ERRORS &&
                tab_write(&p->m.tab, HEADER + i * UINT64_C(4), zero, 4) >= 0;
            prev = 0;
            continue;
        }
        c->allocated_clusters++;
        c->fragmented_clusters += prev && at != prev + p->m.cluster;
        prev = at;
        high = MAX2(high, at + p->m.cluster);
    }
    c->image_end_offset = high;
    if (n->file->length > ALIGN_UP(high, 512)) {
        uint64_t over = n->file->length - high;

        c->leaks += (over + p->m.cluster - 1) / p->m.cluster;
    }
    return 0;
}

/* ---- making images ------------------------------------------------------- */

static MACHINE_CALL bool pl_create(BlkCreate *b, Error **errp)
{
    ParallelsCreate *c = (ParallelsCreate *)b;
    uint64_t entries, start;
    uint8_t h[HEADER] = { 0 };
    uint64_t sectors = b->size / 512;
    int ret;

    if (!c->cluster || c->cluster % 512) {
        return error_set(errp, "Cluster size must be a multiple of 512 bytes");
    }
    if (b->size % 512) {
        return error_set(errp, "Image size must be a multiple of 512 bytes");
    }
    if (c->cluster > INT32_MAX / 513 * UINT64_C(512) ||
        b->size > c->cluster * (UINT64_C(1) << 28)) {
        return error_set(errp, "Image size is too large for this cluster size");
    }
    entries = (b->size + c->cluster - 1) / c->cluster;
    start = ALIGN_UP(HEADER + entries * 4, c->cluster);
    memcpy(h, "WithouFreSpacExt", 16);
    st_le32(h + 16, 2);
    st_le32(h + 20, 16);
    st_le32(h + 24, (uint32_t)(sectors / 16 / 32));
    st_le32(h + 28, (uint32_t)(c->cluster / 512));
    st_le32(h + 32, (uint32_t)entries);
    st_le64(h + 36, sectors);
    st_le32(h + 48, (uint32_t)(start / 512));
    if (!blk_node_truncate(b->file, start, PREALLOC_OFF, false, errp)) {
        return false;
    }
    ret = blk_co_pwrite(b->file, 0, h, sizeof(h), 0);
    return ret >= 0 || error_set_errno(errp, -ret, "Failed to create Parallels "
                                       "image");
}

static const Prop pl_create_props[] = {
    PROP_SIZE("cluster_size", ParallelsCreate, cluster, MiB,
              .desc = "Parallels image cluster size"),
    PROP_END
};
static const BlkChildRow pl_children[] = {
    { .name = "file", .role = ROLE_STORAGE }, { .name = NULL }
};

BLK_DRIVER(parallels_driver, {
    .name = "parallels", .desc = "Parallels disk image",
    .size = sizeof(Parallels),
    .doc = "Expandable images of Parallels.",
    .children = pl_children, .open = pl_open, .close = pl_close,
    .co_run = map_run, .probe = pl_probe, .extent = map_extent,
    .allocated = map_allocated, .info = pl_info, .check = pl_check,
    .create_props = pl_create_props, .create_size = sizeof(ParallelsCreate),
    .create = pl_create,
});
