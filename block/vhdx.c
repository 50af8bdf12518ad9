/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vhdx.c - Hyper-V's VHDX images ([MS-VHDX] version 1.00): fixed and dynamic,
 * without parents.
 *
 * Thread class: LOOP_CALL(node's loop); open and close MACHINE_CALL.
 *
 * Invariants
 * 1. The block table changes by single entries of eight bytes, which lie in one
 *    sector and cannot be torn; so no log is needed for them. What a log of
 *    another program holds is applied before anything is read.
 * 2. The headers' write GUIDs change before the first write of an opening.
 */
#include <glib.h>
#include "block/vhdx.h"

#define ENTRIES_MAX 2047u

const uint8_t vhdx_guid_bat[16] = {
    0x66, 0x77, 0xc2, 0x2d, 0x23, 0xf6, 0x00, 0x42,
    0x9d, 0x64, 0x11, 0x5e, 0x9b, 0xfd, 0x4a, 0x08 };
const uint8_t vhdx_guid_meta[16] = {
    0x06, 0xa2, 0x7c, 0x8b, 0x90, 0x47, 0x9a, 0x4b,
    0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e };
const uint8_t vhdx_guid_params[16] = {
    0x37, 0x67, 0xa1, 0xca, 0x36, 0xfa, 0x43, 0x4d,
    0xb3, 0xb6, 0x33, 0xf0, 0xaa, 0x44, 0xe7, 0x6b };
const uint8_t vhdx_guid_size[16] = {
    0x24, 0x42, 0xa5, 0x2f, 0x1b, 0xcd, 0x76, 0x48,
    0xb2, 0x11, 0x5d, 0xbe, 0xd8, 0x3b, 0xf4, 0xb8 };
const uint8_t vhdx_guid_page83[16] = {
    0xab, 0x12, 0xca, 0xbe, 0xe6, 0xb2, 0x23, 0x45,
    0x93, 0xef, 0xc3, 0x09, 0xe0, 0x00, 0xc7, 0x46 };
const uint8_t vhdx_guid_logical[16] = {
    0x1d, 0xbf, 0x41, 0x81, 0x6f, 0xa9, 0x09, 0x47,
    0xba, 0x47, 0xf2, 0x33, 0xa8, 0xfa, 0xab, 0x5f };
const uint8_t vhdx_guid_physical[16] = {
    0xc7, 0x48, 0xa3, 0xcd, 0x5d, 0x44, 0x71, 0x44,
    0x9c, 0xc9, 0xe9, 0x88, 0x52, 0x51, 0xc5, 0x56 };
const uint8_t vhdx_guid_parent[16] = {
    0x2d, 0x5f, 0xd3, 0xa8, 0x0b, 0xb3, 0x4d, 0x45,
    0xab, 0xf7, 0xd3, 0xd8, 0x48, 0x34, 0xab, 0x0c };

/* ---- checksums: CRC-32C (RFC 3720 section B.4) --------------------------- */

uint32_t vhdx_crc(uint32_t crc, const void *buf, size_t n)
{
    static uint32_t table[256];
    const uint8_t *p = buf;

    if (!table[1]) {
        for (uint32_t i = 1; i < 256; i++) {
            uint32_t c = i;

            for (int k = 0; k < 8; k++) {
                c = c >> 1 ^ (c & 1 ? 0x82f63b78u : 0);
            }
            table[i] = c;
        }
    }
    for (size_t i = 0; i < n; i++) {
        crc = crc >> 8 ^ table[(crc ^ p[i]) & 0xff];
    }
    return crc;
}

uint32_t vhdx_sum(const uint8_t *buf, size_t n)
{
    const uint8_t none[4] = { 0 };
    uint32_t crc = vhdx_crc(UINT32_MAX, buf, 4);

    crc = vhdx_crc(crc, none, 4);
    return ~vhdx_crc(crc, buf + 8, n - 8);
}

/* ---- the map ------------------------------------------------------------- */

static uint64_t entry_off(const Vhdx *v, uint64_t off)
{
    uint64_t block = off / v->m.cluster;

    return v->bat + (block + block / v->ratio) * 8;
}

static int vhdx_find(BlkNode *n, uint64_t off, MapAt *at)
{
    Vhdx *v = (Vhdx *)n;
    uint64_t e;
    int ret = tab_le64(&v->m.tab, entry_off(v, off), &e);

    if (ret < 0) {
        return ret;
    }
    switch (e & 7) {
    case BAT_PRESENT:
        at->state = MAP_DATA;
        at->map = (e >> 20) * MiB + off % v->m.cluster;
        return e >> 20 && (e >> 20) < INT64_MAX / MiB - 256 ? 0 : -EIO;
    case BAT_ZERO:
        at->state = MAP_ZERO;
        return 0;
    case BAT_PARTLY:
        return -EIO;
    default:
        return 0;
    }
}

static int vhdx_place(BlkNode *n, uint64_t off, BlkNode **file, uint64_t *map)
{
    Vhdx *v = (Vhdx *)n;

    *map = v->next;
    v->next += v->m.cluster;
    return 0;
}

static int vhdx_link(BlkNode *n, uint64_t off, uint64_t map)
{
    Vhdx *v = (Vhdx *)n;
    uint8_t b[8];

    st_le64(b, map / MiB << 20 | BAT_PRESENT);
    return tab_write(&v->m.tab, entry_off(v, off), b, 8);
}

static const MapOps vhdx_ops = { .find = vhdx_find, .place = vhdx_place,
                                 .link = vhdx_link };

int vhdx_header_write(Vhdx *v, bool data, bool log)
{
    uint8_t *h = v->header;
    int ret = 0;

    map_uuid(h + 16);
    if (data) {
        map_uuid(h + 32);
    }
    if (!log) {
        memset(h + 48, 0, 16);
    }
    for (int i = 0; i < 2 && ret >= 0; i++) {
        v->current = !v->current;
        st_le64(h + 8, ++v->seq);
        st_le32(h + 4, vhdx_sum(h, sizeof(v->header)));
        ret = blk_co_pwrite(v->m.node.file, v->current ? VHDX_HEADER2
                            : VHDX_HEADER1, h, sizeof(v->header), 0);
        ret = ret < 0 ? ret : blk_co_flush(v->m.node.file);
    }
    return ret;
}

static int vhdx_run(BlkNode *n, BlkReq *req)
{
    Vhdx *v = (Vhdx *)n;
    int ret = 0;

    if (UNLIKELY(!v->written) &&
        (req->op == BLK_WRITE || req->op == BLK_ZERO)) {
        co_mutex_lock(&v->m.lock);
        ret = v->written ? 0 : vhdx_header_write(v, true, false);
        v->written = ret >= 0;
        co_mutex_unlock(&v->m.lock);
    }
    return ret < 0 ? ret : map_run(n, req);
}

/* ---- opening ------------------------------------------------------------- */

static bool headers_read(Vhdx *v, Error **errp)
{
    BlkNode *file = v->m.node.file;
    uint8_t h[2][4096];
    int best = -1;

    for (int i = 0; i < 2; i++) {
        if (blk_co_pread(file, i ? VHDX_HEADER2 : VHDX_HEADER1, h[i],
                         sizeof(h[i])) < 0 ||
            memcmp(h[i], "head", 4) || ld_le16(h[i] + 66) != 1 ||
            ld_le32(h[i] + 4) != vhdx_sum(h[i], sizeof(h[i]))) {
            continue;
        }
        if (best < 0 || ld_le64(h[i] + 8) > ld_le64(h[best] + 8)) {
            best = i;
        }
    }
    if (best < 0) {
        return error_set(errp, "No valid VHDX header found");
    }
    memcpy(v->header, h[best], sizeof(v->header));
    v->current = best;
    v->seq = ld_le64(v->header + 8);
    v->log_len = ld_le32(v->header + 68);
    v->log = ld_le64(v->header + 72);
    if (v->log % MiB || v->log_len % MiB || v->log < MiB || !v->log_len ||
        v->log > INT64_MAX - v->log_len) {
        return error_set(errp, "The log of the image is not where it may be");
    }
    return true;
}

static bool overlap(uint64_t a, uint64_t alen, uint64_t b, uint64_t blen)
{
    return a < b + blen && b < a + alen;
}

static bool region_add(Vhdx *v, const uint8_t *e, Error **errp)
{
    uint64_t off = ld_le64(e + 16), len = ld_le32(e + 24);

    if (off % MiB || len % MiB || off < MiB || off > INT64_MAX - len ||
        overlap(off, len, v->log, v->log_len) ||
        (v->bat && overlap(off, len, v->bat, v->bat_len)) ||
        (v->meta && overlap(off, len, v->meta, MiB))) {
        return error_set(errp, "A region of the image overlaps another or is "
                         "not aligned");
    }
    if (!memcmp(e, vhdx_guid_bat, 16) && !v->bat) {
        v->bat = off;
        v->bat_len = len;
    } else if (!memcmp(e, vhdx_guid_meta, 16) && !v->meta && len >= MiB) {
        v->meta = off;
    } else if (ld_le32(e + 28) & 1) {
        return error_set(errp, "The image has a required region that is not "
                         "known");
    }
    return true;
}

static bool regions_read(Vhdx *v, Error **errp)
{
    g_autofree uint8_t *t = g_malloc(VHDX_TABLE);
    uint64_t at = VHDX_REGION1;

    for (;; at = VHDX_REGION2) {
        if (blk_co_pread(v->m.node.file, at, t, VHDX_TABLE) >= 0 &&
            !memcmp(t, "regi", 4) && ld_le32(t + 8) <= ENTRIES_MAX &&
            ld_le32(t + 4) == vhdx_sum(t, VHDX_TABLE)) {
            break;
        }
        if (at == VHDX_REGION2) {
            return error_set(errp, "No valid region table found");
        }
    }
    for (uint32_t i = 0; i < ld_le32(t + 8); i++) {
        if (!region_add(v, t + 16 + i * 32, errp)) {
            return false;
        }
    }
    return (v->bat && v->meta) ||
           error_set(errp, "The image lacks a block table or metadata");
}

/* A metadata item of n bytes; false: not there or not so. */
static bool item_read(Vhdx *v, const uint8_t *t, const uint8_t *guid, void *buf,
                      uint32_t n)
{
    for (uint32_t i = 0; i < ld_le16(t + 10); i++) {
        const uint8_t *e = t + 32 + i * 32;
        uint32_t off = ld_le32(e + 16), len = ld_le32(e + 20);

        if (!memcmp(e, guid, 16)) {
            return len >= n && off >= VHDX_TABLE && off <= MiB - n &&
                   blk_co_pread(v->m.node.file, v->meta + off, buf, n) >= 0;
        }
    }
    return false;
}

static bool metadata_read(Vhdx *v, Error **errp)
{
    g_autofree uint8_t *t = g_malloc(VHDX_TABLE);
    BlkNode *n = &v->m.node;
    uint8_t params[8], size[8], logical[4], physical[4];
    uint64_t block, blocks;

    if (blk_co_pread(n->file, v->meta, t, VHDX_TABLE) < 0 ||
        memcmp(t, "metadata", 8) || ld_le16(t + 10) > ENTRIES_MAX ||
        !item_read(v, t, vhdx_guid_params, params, 8) ||
        !item_read(v, t, vhdx_guid_size, size, 8) ||
        !item_read(v, t, vhdx_guid_logical, logical, 4) ||
        !item_read(v, t, vhdx_guid_physical, physical, 4)) {
        return error_set(errp, "The metadata of the image is not valid");
    }
    if (ld_le32(params + 4) & 2) {
        return error_set(errp, "VHDX images with a parent are not supported");
    }
    block = ld_le32(params);
    if (!IS_POW2(block) || block < VHDX_BLOCK_MIN || block > VHDX_BLOCK_MAX) {
        return error_set(errp, "Block size %" PRIu64 " is not valid", block);
    }
    if (ld_le32(logical) != 512) {
        return error_set(errp, "Logical sectors of %u bytes are not supported",
                         ld_le32(logical));
    }
    n->length = ld_le64(size);
    if (n->length % 512 || n->length > VHDX_SIZE_MAX) {
        return error_set(errp, "The virtual disk's size is not valid");
    }
    v->m.cluster = block;
    v->ratio = (uint32_t)((UINT64_C(1) << 23) * 512 / block);
    blocks = (n->length + block - 1) / block;
    if (blocks && (blocks + (blocks - 1) / v->ratio) * 8 > v->bat_len) {
        return error_set(errp, "The block table is too small");
    }
    return true;
}

/* Behind everything that a table of ours or a header names. */
static int end_find(Vhdx *v)
{
    BlkNode *n = &v->m.node;
    uint64_t end = MAX2(MAX2(v->bat + v->bat_len, v->meta + MiB),
                        MAX2(v->log + v->log_len, n->file->length));

    for (uint64_t off = 0; off < n->length && !n->read_only;
         off += v->m.cluster) {
        uint64_t e;
        int ret = tab_le64(&v->m.tab, entry_off(v, off), &e);

        if (ret < 0) {
            return ret;
        }
        if ((e & 7) == BAT_PRESENT && (e >> 20) < INT64_MAX / MiB - 256) {
            end = MAX2(end, (e >> 20) * MiB + v->m.cluster);
        }
    }
    v->next = ALIGN_UP(end, MiB);
    return 0;
}

static MACHINE_CALL bool vhdx_start(Vhdx *v, Error **errp)
{
    static const uint8_t none[16];
    BlkNode *n = &v->m.node;
    uint8_t id[8];

    if (blk_co_pread(n->file, 0, id, 8) < 0 || memcmp(id, "vhdxfile", 8)) {
        return error_set(errp, "Could not open '%s': Invalid argument",
                         n->file->filename);
    }
    if (!headers_read(v, errp)) {
        return false;
    }
    if (memcmp(v->header + 48, none, 16)) {
        if (n->read_only) {
            error_set(errp, "VHDX image file '%s' opened read-only, but "
                      "contains a log that needs to be replayed",
                      n->file->filename);
            error_hint(errp, "To replay the log, run:\nqemu-img check -r all "
                       "'%s'", n->file->filename);
            return false;
        }
        if (!vhdx_log_replay(v, errp)) {
            return false;
        }
    }
    n->limits.align = 512;
    return regions_read(v, errp) && metadata_read(v, errp) &&
           (end_find(v) >= 0 ||
            error_set(errp, "Could not read the block table"));
}

static MACHINE_CALL bool vhdx_open(BlkNode *n, Error **errp)
{
    Vhdx *v = (Vhdx *)n;

    v->m.ops = &vhdx_ops;
    v->m.tab.file = n->file;
    if (vhdx_start(v, errp)) {
        return true;
    }
    tab_free(&v->m.tab);
    return false;
}

static MACHINE_CALL void vhdx_close(BlkNode *n)
{
    tab_free(&((MapNode *)n)->tab);
}

static int vhdx_probe(const uint8_t *buf, size_t n, const char *filename)
{
    return n >= 8 && !memcmp(buf, "vhdxfile", 8) ? 100 : 0;
}

static void vhdx_info(BlkNode *n, BlkNodeInfo *i)
{
    i->cluster_size = ((MapNode *)n)->cluster;
    i->unallocated_are_zero = true;
}

static int vhdx_check(BlkNode *n, BlkCheck *c, int fix, Error **errp)
{
    Vhdx *v = (Vhdx *)n;

    for (uint64_t off = 0; off < n->length; off += v->m.cluster) {
        uint64_t e;

        if (tab_le64(&v->m.tab, entry_off(v, off), &e) < 0) {
            c->check_errors++;
            return 0;
        }
        if ((e & 7) == BAT_PRESENT &&
            !map_inside(n->file, (e >> 20) * MiB, 1)) {
            g_autofree char *line = g_strdup_printf("ERROR: block %" PRIu64
                " lies beyond the end of the file", off / v->m.cluster);

            if (c->say) {
                c->say(c->arg, line);
            }
            c->corruptions++;
        }
    }
    return 0;
}

static const BlkChildRow vhdx_children[] = {
    { .name = "file", .role = ROLE_STORAGE }, { .name = NULL }
};

BLK_DRIVER(vhdx_driver, {
    .name = "vhdx", .desc = "Hyper-V VHDX", .size = sizeof(Vhdx),
    .doc = "VHDX images, fixed and dynamic. A log that another program left is "
           "applied when the image is opened for writing.",
    .children = vhdx_children, .open = vhdx_open, .close = vhdx_close,
    .co_run = vhdx_run, .probe = vhdx_probe, .extent = map_extent,
    .allocated = map_allocated, .info = vhdx_info, .check = vhdx_check,
    .create_props = vhdx_create_props, .create_size = sizeof(VhdxCreate),
    .create = vhdx_create,
});
