/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vpc.c - Virtual PC's disk images (Microsoft Virtual Hard Disk Image Format
 * Specification 1.0): fixed and dynamic.
 *
 * Thread class: LOOP_CALL(node's loop); open MACHINE_CALL.
 *
 * Invariants
 * 1. The footer at the file's end stays behind all blocks: it is written at its
 *    new place before the block that takes the old one.
 */
#include <glib.h>
#include "block/mapped.h"
#include "block/vpc.h"

typedef struct Vpc {
    MapNode m;
    bool fixed;
    uint32_t entries, bitmap;          /* bitmap: bytes before each block     */
    uint64_t table, next;              /* next: of the footer                 */
    uint8_t footer[VPC_FOOTER];
} Vpc;

/* ---- the map ------------------------------------------------------------- */

static int vpc_find(BlkNode *n, uint64_t off, MapAt *at)
{
    Vpc *v = (Vpc *)n;
    uint64_t index = off / v->m.cluster;
    uint32_t e = VPC_FREE;
    int ret;

    if (v->fixed) {
        at->state = MAP_DATA;
        at->map = off;
        return 0;
    }
    ret = index < v->entries ? tab_be32(&v->m.tab, v->table + index * 4, &e)
                             : -EIO;
    if (ret >= 0 && e != VPC_FREE) {
        at->state = MAP_DATA;
        at->map = e * UINT64_C(512) + v->bitmap + off % v->m.cluster;
    }
    return ret;
}

/* Footer first, then the bitmap that says that all sectors are here. */
static int vpc_place(BlkNode *n, uint64_t off, BlkNode **file, uint64_t *map)
{
    Vpc *v = (Vpc *)n;
    uint64_t at = v->next;
    g_autofree uint8_t *ones = g_malloc(v->bitmap);
    int ret;

    if (at / 512 >= VPC_FREE) {
        return -EFBIG;
    }
    memset(ones, 0xff, v->bitmap);
    ret = blk_co_pwrite(n->file, at + v->bitmap + v->m.cluster, v->footer,
                        VPC_FOOTER, 0);
    if (ret >= 0) {
        v->next = at + v->bitmap + v->m.cluster;
        ret = blk_co_pwrite(n->file, at, ones, v->bitmap, 0);
    }
    *map = at + v->bitmap;
    return ret;
}

static int vpc_link(BlkNode *n, uint64_t off, uint64_t map)
{
    Vpc *v = (Vpc *)n;
    uint8_t b[4];

    st_be32(b, (uint32_t)((map - v->bitmap) / 512));
    return tab_write(&v->m.tab, v->table + off / v->m.cluster * 4, b, 4);
}

static const MapOps vpc_ops = { .find = vpc_find, .place = vpc_place,
                                .link = vpc_link };

/* ---- opening ------------------------------------------------------------- */

uint32_t vpc_checksum(const uint8_t *buf, size_t n, size_t field)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < n; i++) {
        sum += i >= field && i < field + 4 ? 0 : buf[i];
    }
    return ~sum;
}

/* Programs whose geometry is the size, and those whose "current size" is. */
static uint64_t disk_size(const uint8_t *f)
{
    static const char exact[][5] = { "win ", "d2v ", "tap\0", "vpc ", "qem2" };
    uint64_t chs = (uint64_t)ld_be16(f + 56) * f[58] * f[59] * 512;

    for (size_t i = 0; i < ARRAY_SIZE(exact); i++) {
        if (i != 3 && !memcmp(f + 28, exact[i], 4)) {
            return ld_be64(f + 48);
        }
    }
    return chs == VPC_CHS_MAX * UINT64_C(512) ? ld_be64(f + 48) : chs;
}

static bool dynamic_open(Vpc *v, Error **errp)
{
    BlkNode *n = &v->m.node;
    uint64_t at = ld_be64(v->footer + 16);
    uint8_t h[1024];
    uint32_t block;
    int ret;

    if (at > INT64_MAX - 1024) {
        return error_set(errp, "Invalid header magic");
    }
    ret = blk_co_pread(n->file, at, h, sizeof(h));
    if (ret < 0) {
        return error_set_errno(errp, -ret, "Error reading dynamic VHD header");
    }
    if (memcmp(h, "cxsparse", 8)) {
        return error_set(errp, "Invalid header magic");
    }
    block = ld_be32(h + 32);
    if (!IS_POW2(block) || block < 512) {
        return error_set(errp, "Invalid block size %u", block);
    }
    v->m.cluster = block;
    v->bitmap = (uint32_t)ALIGN_UP((block / 512 + 7) / 8, 512);
    v->entries = ld_be32(h + 28);
    v->table = ld_be64(h + 16);
    if (v->entries * (uint64_t)block < n->length) {
        return error_set(errp, "Page table too small");
    }
    if (v->entries > INT32_MAX / 4) {
        return error_set(errp, "Max Table Entries too large (%d)",
                         (int)v->entries);
    }
    if (v->table > INT64_MAX - INT32_MAX ||
        !map_inside(n->file, v->table, v->entries * UINT64_C(4))) {
        return error_set(errp, "block-vpc: free_data_block_offset points after "
                         "the end of file. The image has been truncated.");
    }
    return true;
}

/* Where the footer is: behind table and blocks. */
static int end_find(Vpc *v)
{
    BlkNode *n = &v->m.node;
    uint64_t end = ALIGN_UP(v->table + v->entries * UINT64_C(4), 512);

    for (uint32_t i = 0; i < v->entries; i++) {
        uint32_t e;
        int ret = tab_be32(&v->m.tab, v->table + i * UINT64_C(4), &e);

        if (ret < 0) {
            return ret;
        }
        if (e != VPC_FREE) {
            end = MAX2(end, e * UINT64_C(512) + v->bitmap + v->m.cluster);
        }
    }
    v->next = end;
    return end > n->file->length ? -EINVAL : 0;
}

static bool footer_read(Vpc *v, Error **errp)
{
    BlkNode *n = &v->m.node;
    uint8_t *f = v->footer;
    int ret = blk_co_pread(n->file, 0, f, VPC_FOOTER);

    if (ret >= 0 && memcmp(f, "conectix", 8)) {
        if (n->file->length < VPC_FOOTER) {
            return error_set(errp, "invalid VPC image");
        }
        ret = blk_co_pread(n->file, n->file->length - VPC_FOOTER, f,
                           VPC_FOOTER);
        v->fixed = true;
        if (ret >= 0 && (memcmp(f, "conectix", 8) ||
                         ld_be32(f + 60) != VPC_TYPE_FIXED)) {
            return error_set(errp, "invalid VPC image");
        }
    }
    if (ret < 0) {
        return error_set_errno(errp, -ret, "Unable to read VHD header");
    }
    if (ld_be32(f + 64) != vpc_checksum(f, VPC_FOOTER, 64)) {
        return error_set(errp, "Incorrect header checksum");
    }
    return true;
}

static MACHINE_CALL bool vpc_start(Vpc *v, Error **errp)
{
    BlkNode *n = &v->m.node;
    uint32_t type;

    if (!footer_read(v, errp)) {
        return false;
    }
    type = ld_be32(v->footer + 60);
    n->length = disk_size(v->footer);
    if (n->length / 512 > VPC_SECTORS_MAX) {
        return error_set(errp, "The image size is too large");
    }
    n->length = ALIGN_UP(n->length, 512);
    n->limits.align = 512;
    v->m.ops = &vpc_ops;
    if (type == VPC_TYPE_FIXED) {
        v->fixed = true;
        v->m.cluster = 2 * MiB;
        return n->length <= n->file->length ||
               error_set(errp, "The image has been truncated");
    }
    if (type != VPC_TYPE_DYNAMIC) {
        return error_set(errp, "Images of type %u are not supported", type);
    }
    if (!dynamic_open(v, errp)) {
        return false;
    }
    return end_find(v) >= 0 ||
           error_set(errp, "block-vpc: free_data_block_offset points after the "
                     "end of file. The image has been truncated.");
}

static MACHINE_CALL bool vpc_open(BlkNode *n, Error **errp)
{
    Vpc *v = (Vpc *)n;

    v->m.tab.file = n->file;
    if (vpc_start(v, errp)) {
        return true;
    }
    tab_free(&v->m.tab);
    return false;
}

static MACHINE_CALL void vpc_close(BlkNode *n)
{
    tab_free(&((MapNode *)n)->tab);
}

static int vpc_probe(const uint8_t *buf, size_t n, const char *filename)
{
    return n >= 8 && !memcmp(buf, "conectix", 8) ? 100 : 0;
}

static void vpc_info(BlkNode *n, BlkNodeInfo *i)
{
    const Vpc *v = (const Vpc *)n;

    i->cluster_size = v->fixed ? 0 : v->m.cluster;
    i->unallocated_are_zero = true;
}

static const BlkChildRow vpc_children[] = {
    { .name = "file", .role = ROLE_STORAGE }, { .name = NULL }
};

BLK_DRIVER(vpc_driver, {
    .name = "vpc", .desc = "Virtual PC and Hyper-V VHD", .size = sizeof(Vpc),
    .doc = "VHD images, fixed and dynamic. Sizes are rounded up to what "
           "cylinders, heads and sectors can say unless force_size is on.",
    .children = vpc_children, .open = vpc_open, .close = vpc_close,
    .co_run = map_run, .probe = vpc_probe, .extent = map_extent,
    .allocated = map_allocated, .info = vpc_info,
    .create_props = vpc_create_props, .create_size = sizeof(VpcCreate),
    .create = vpc_create,
});
