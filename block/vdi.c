/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vdi.c - VirtualBox disk images, version 1.1: a header, a map of 1-MiB blocks,
 * the blocks in the order in which they were first written.
 *
 * Thread class: LOOP_CALL(node's loop); open and create MACHINE_CALL.
 *
 * Invariants
 * 1. blocks_allocated in the file is past every block of the map: it is written
 *    before the entry that uses a new block.
 */
#include <glib.h>
#include "block/mapped.h"

#define SIGNATURE 0xbeda107fu
#define VERSION   0x00010001u
#define HEADER    512
#define BLOCK     MiB
#define BLOCKS_MAX 0x1fffff80u
#define FREE      0xffffffffu          /* and 0xfffffffe: discarded           */
enum { TYPE_DYNAMIC = 1, TYPE_STATIC = 2 };

typedef struct Vdi {
    MapNode m;
    uint32_t type, map_off, data_off, blocks, allocated, next;
} Vdi;
typedef struct VdiCreate {
    BlkCreate base;
    bool is_static;
    int prealloc;
} VdiCreate;

static int vdi_find(BlkNode *n, uint64_t off, MapAt *at)
{
    Vdi *v = (Vdi *)n;
    uint64_t index = off / BLOCK;
    uint32_t e;
    int ret = tab_le32(&v->m.tab, v->map_off + index * 4, &e);

    if (ret >= 0 && e < FREE - 1) {
        at->state = MAP_DATA;
        at->map = v->data_off + e * (uint64_t)BLOCK + off % BLOCK;
        ret = e < v->blocks ? 0 : -EIO;
    }
    return ret;
}

static int vdi_place(BlkNode *n, uint64_t off, BlkNode **file, uint64_t *map)
{
    Vdi *v = (Vdi *)n;

    if (v->next >= v->blocks) {
        return -EIO;                   /* a map that gives blocks twice       */
    }
    *map = v->data_off + v->next++ * (uint64_t)BLOCK;
    return 0;
}

static int vdi_link(BlkNode *n, uint64_t off, uint64_t map)
{
    Vdi *v = (Vdi *)n;
    uint8_t b[4];
    int ret;

    st_le32(b, v->next);
    ret = tab_write(&v->m.tab, 0x184, b, 4);
    if (ret >= 0) {
        st_le32(b, (uint32_t)((map - v->data_off) / BLOCK));
        ret = tab_write(&v->m.tab, v->map_off + off / BLOCK * 4, b, 4);
    }
    v->allocated = ret < 0 ? v->allocated : v->next;
    return ret;
}

static const MapOps vdi_ops = { .find = vdi_find, .place = vdi_place,
                                .link = vdi_link };

static bool is_null(const uint8_t *uuid)
{
    static const uint8_t none[16];

    return !memcmp(uuid, none, 16);
}

static bool header_check(const uint8_t *h, uint64_t size, Error **errp)
{
    uint32_t blocks = ld_le32(h + 0x180), ver = ld_le32(h + 0x44);
    const char *what = "unsupported VDI image";

    if (size > BLOCKS_MAX * (uint64_t)BLOCK) {
        return error_set(errp, "Unsupported VDI image size (size is 0x%" PRIx64
                         ", max supported is 0x%" PRIx64 ")", size,
                         BLOCKS_MAX * (uint64_t)BLOCK);
    }
    if (ld_le32(h + 0x40) != SIGNATURE) {
        return error_set(errp, "Image not in VDI format (bad signature %08x)",
                         ld_le32(h + 0x40));
    }
    if (ver != VERSION) {
        return error_set(errp, "%s (version %u.%u)", what, ver >> 16,
                         ver & 0xffff);
    }
    if (ld_le32(h + 0x154) % 512) {
        return error_set(errp, "%s (unaligned block map offset 0x%x)", what,
                         ld_le32(h + 0x154));
    }
    if (ld_le32(h + 0x158) % 512) {
        return error_set(errp, "%s (unaligned data offset 0x%x)", what,
                         ld_le32(h + 0x158));
    }
    if (ld_le32(h + 0x168) != 512) {
        return error_set(errp, "%s (sector size %u is not 512)", what,
                         ld_le32(h + 0x168));
    }
    if (ld_le32(h + 0x178) != BLOCK) {
        return error_set(errp, "%s (block size %u is not %u)", what,
                         ld_le32(h + 0x178), (unsigned)BLOCK);
    }
    if (size > blocks * (uint64_t)BLOCK) {
        return error_set(errp, "%s (disk size %" PRIu64 ", image bitmap has "
                         "room for %" PRIu64 ")", what, size,
                         blocks * (uint64_t)BLOCK);
    }
    if (!is_null(h + 0x1a8)) {
        return error_set(errp, "%s (non-NULL link UUID)", what);
    }
    if (!is_null(h + 0x1b8)) {
        return error_set(errp, "%s (non-NULL parent UUID)", what);
    }
    if (blocks > BLOCKS_MAX) {
        return error_set(errp, "%s (too many blocks %u, max is %u)", what,
                         blocks, BLOCKS_MAX);
    }
    return true;
}

static MACHINE_CALL bool vdi_open(BlkNode *n, Error **errp)
{
    Vdi *v = (Vdi *)n;
    uint8_t h[HEADER];
    uint64_t size;
    int ret = blk_co_pread(n->file, 0, h, sizeof(h));

    if (ret < 0) {
        return error_set_errno(errp, -ret, "Could not read the header");
    }
    size = ld_le64(h + 0x170);
    size = size > INT64_MAX - 511 ? size : ALIGN_UP(size, 512);
    if (!header_check(h, size, errp)) {
        return false;
    }
    v->type = ld_le32(h + 0x4c);
    v->map_off = ld_le32(h + 0x154);
    v->data_off = ld_le32(h + 0x158);
    v->blocks = ld_le32(h + 0x180);
    v->allocated = v->next = ld_le32(h + 0x184);
    v->m.ops = &vdi_ops;
    v->m.cluster = BLOCK;
    v->m.tab.file = n->file;
    n->length = size;
    n->limits.align = 512;
    return true;
}

static MACHINE_CALL void vdi_close(BlkNode *n)
{
    tab_free(&((MapNode *)n)->tab);
}

static int vdi_probe(const uint8_t *buf, size_t n, const char *filename)
{
    return n >= 0x50 && ld_le32(buf + 0x40) == SIGNATURE ? 100 : 0;
}

static void vdi_info(BlkNode *n, BlkNodeInfo *i)
{
    i->cluster_size = BLOCK;
    i->unallocated_are_zero = true;
}

static void say(BlkCheck *c, const char *fmt, uint64_t a, uint32_t b)
{
    if (c->say) {
        g_autofree char *line = g_strdup_printf(fmt, (unsigned long long)a, b);

        c->say(c->arg, line);
    }
}

static int vdi_check(BlkNode *n, BlkCheck *c, int fix, Error **errp)
{
    Vdi *v = (Vdi *)n;
    g_autofree uint8_t *seen = NULL;
    uint32_t used = 0;

    if (fix) {
        error_set(errp, "This image format does not support repairing");
        return -ENOTSUP;
    }
    if (!map_inside(n->file, v->map_off, v->blocks * UINT64_C(4))) {
        c->check_errors++;
        return 0;
    }
    seen = g_malloc0(v->blocks / 8 + 1);
    for (uint32_t i = 0; i < v->blocks; i++) {
        uint32_t e;

        if (tab_le32(&v->m.tab, v->map_off + i * UINT64_C(4), &e) < 0) {
            c->check_errors++;
            return 0;
        }
        if (e >= FREE - 1) {
            continue;
        }
        if (e >= v->blocks) {
            say(c, "ERROR: block index %llu out of range, is %u", i, e);
            c->corruptions++;
            continue;
        }
        used++;
        if (seen[e / 8] & 1 << e % 8) {
            say(c, "ERROR: block index %llu also used by %u", i, e);
            c->corruptions++;
        }
        seen[e / 8] |= (uint8_t)(1 << e % 8);
    }
    if (used != v->allocated) {
        say(c, "ERROR: allocated blocks mismatch, is %llu, should be %u", used,
            v->allocated);
        c->corruptions++;
    }
    return 0;
}

/* ---- making images ------------------------------------------------------- */

static void header_fill(const VdiCreate *c, uint32_t blocks, uint32_t map_len,
                        uint8_t *h)
{
    strcpy((char *)h, "<<< Tern VM Virtual Disk Image >>>\n");
    st_le32(h + 0x40, SIGNATURE);
    st_le32(h + 0x44, VERSION);
    st_le32(h + 0x48, 0x180);
    st_le32(h + 0x4c, c->is_static ? TYPE_STATIC : TYPE_DYNAMIC);
    st_le32(h + 0x154, HEADER);
    st_le32(h + 0x158, HEADER + map_len);
    st_le32(h + 0x168, 512);
    st_le64(h + 0x170, c->base.size);
    st_le32(h + 0x178, BLOCK);
    st_le32(h + 0x180, blocks);
    st_le32(h + 0x184, c->is_static ? blocks : 0);
    map_uuid(h + 0x188);
    map_uuid(h + 0x198);
}

static int table_write(const VdiCreate *c, uint32_t blocks, uint64_t map_len)
{
    g_autofree uint8_t *buf = g_malloc(TAB_PAGE);
    int ret = 0;

    for (uint64_t at = 0; at < map_len && ret >= 0; at += TAB_PAGE) {
        size_t part = MIN2(TAB_PAGE, map_len - at);

        for (size_t i = 0; i < part / 4; i++) {
            uint64_t index = at / 4 + i;

            st_le32(buf + i * 4, index >= blocks ? 0
                    : c->is_static ? (uint32_t)index : FREE);
        }
        ret = blk_co_pwrite(c->base.file, HEADER + at, buf, part, 0);
    }
    return ret;
}

static MACHINE_CALL bool vdi_create(BlkCreate *b, Error **errp)
{
    VdiCreate *c = (VdiCreate *)b;
    uint8_t h[HEADER] = { 0 };
    uint32_t blocks, map_len;
    int ret;

    if (b->size > BLOCKS_MAX * (uint64_t)BLOCK) {
        return error_set(errp, "Unsupported VDI image size (size is 0x%" PRIx64
                         ", max supported is 0x%" PRIx64 ")", b->size,
                         BLOCKS_MAX * (uint64_t)BLOCK);
    }
    blocks = (uint32_t)((b->size + BLOCK - 1) / BLOCK);
    map_len = (uint32_t)ALIGN_UP(blocks * UINT64_C(4), 512);
    header_fill(c, blocks, map_len, h);
    ret = table_write(c, blocks, map_len);
    if (ret >= 0 && c->is_static &&
        !blk_node_truncate(b->file, HEADER + map_len + blocks * (uint64_t)BLOCK,
                           (BlkPrealloc)c->prealloc, false, errp)) {
        return false;
    }
    ret = ret < 0 ? ret : blk_co_pwrite(b->file, 0, h, sizeof(h), 0);
    return ret >= 0 || error_set_errno(errp, -ret, "Error writing header");
}

static const Prop vdi_create_props[] = {
    PROP_BOOL("static", VdiCreate, is_static, false,
              .desc = "VDI static (pre-allocated) image"),
    PROP_END
};
static const BlkChildRow vdi_children[] = {
    { .name = "file", .role = ROLE_STORAGE }, { .name = NULL }
};

BLK_DRIVER(vdi_driver, {
    .name = "vdi", .desc = "VirtualBox disk image", .size = sizeof(Vdi),
    .doc = "Images of VirtualBox, dynamic and static, without parents.",
    .children = vdi_children, .open = vdi_open, .close = vdi_close,
    .co_run = map_run, .probe = vdi_probe, .extent = map_extent,
    .allocated = map_allocated, .info = vdi_info, .check = vdi_check,
    .create_props = vdi_create_props, .create_size = sizeof(VdiCreate),
    .create = vdi_create,
});
