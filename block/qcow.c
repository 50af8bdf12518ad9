/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow.c - the first qcow format ("QFI\xfb", version 1): two levels of tables,
 * a backing file, clusters compressed by deflate, AES.
 *
 * Thread class: LOOP_CALL(node's loop); open and create MACHINE_CALL.
 *
 * Invariants
 * 1. A table that is new is written whole before the entry that points to it.
 * 2. New places lie behind the file's end.
 */
#include <glib.h>
#include "block/crypto.h"
#include "block/mapped.h"
#include "block/qcow-create.h"

#define PACKED (UINT64_C(1) << 63)

typedef struct Qcow {
    MapNode m;
    char *encrypt_format, *key_secret; /* properties                          */
    unsigned cluster_bits, l2_bits;
    uint64_t l1_off, l1_size, next;
    bool encrypted;
    CryptoBlk *crypto;
} Qcow;

/* ---- the map ------------------------------------------------------------- */

/* Where the entry of off is; 0: no table for it. */
static int entry_at(Qcow *q, uint64_t off, uint64_t *at)
{
    uint64_t l1 = off >> (q->cluster_bits + q->l2_bits), table;
    int ret;

    *at = 0;
    if (l1 >= q->l1_size) {
        return -EIO;
    }
    ret = tab_be64(&q->m.tab, q->l1_off + l1 * 8, &table);
    if (ret >= 0 && table) {
        if (table > INT64_MAX - MiB) {
            return -EIO;
        }
        *at = table + (off >> q->cluster_bits) % (1u << q->l2_bits) * 8;
    }
    return ret;
}

static int entry_get(Qcow *q, uint64_t off, uint64_t *e)
{
    uint64_t at;
    int ret = entry_at(q, off, &at);

    *e = 0;
    return ret < 0 || !at ? ret : tab_be64(&q->m.tab, at, e);
}

static int qcow_find(BlkNode *n, uint64_t off, MapAt *at)
{
    Qcow *q = (Qcow *)n;
    uint64_t e;
    int ret = entry_get(q, off, &e);

    if (ret < 0 || !e) {
        return ret;
    }
    if (e & PACKED) {
        at->state = MAP_PACKED;
        return 0;
    }
    at->state = MAP_DATA;
    at->map = e + off % q->m.cluster;
    return at->map <= INT64_MAX - q->m.cluster ? 0 : -EIO;
}

static int qcow_place(BlkNode *n, uint64_t off, BlkNode **file, uint64_t *map)
{
    Qcow *q = (Qcow *)n;

    q->next = ALIGN_UP(q->next, q->m.cluster);
    *map = q->next;
    q->next += q->m.cluster;
    return 0;
}

static int table_new(Qcow *q, uint64_t off, uint64_t *entry)
{
    uint64_t size = UINT64_C(8) << q->l2_bits, at;
    g_autofree uint8_t *zero = g_malloc0(size);
    uint8_t b[8];
    int ret;

    at = ALIGN_UP(q->next, q->m.cluster);
    q->next = at + ALIGN_UP(size, 512);
    ret = tab_write(&q->m.tab, at, zero, size);
    if (ret >= 0) {
        st_be64(b, at);
        ret = tab_write(&q->m.tab, q->l1_off +
                        (off >> (q->cluster_bits + q->l2_bits)) * 8, b, 8);
    }
    *entry = at + (off >> q->cluster_bits) % (1u << q->l2_bits) * 8;
    return ret;
}

static int entry_set(Qcow *q, uint64_t off, uint64_t e)
{
    uint64_t at;
    uint8_t b[8];
    int ret = entry_at(q, off, &at);

    if (ret >= 0 && !at) {
        ret = table_new(q, off, &at);
    }
    st_be64(b, e);
    return ret < 0 ? ret : tab_write(&q->m.tab, at, b, 8);
}

static int qcow_link(BlkNode *n, uint64_t off, uint64_t map)
{
    return entry_set((Qcow *)n, off, map);
}

/* ---- compression --------------------------------------------------------- */

static int qcow_unpack(BlkNode *n, uint64_t off, uint8_t *buf, size_t len)
{
    Qcow *q = (Qcow *)n;
    g_autofree uint8_t *in = NULL;
    uint64_t e, at, size;
    int ret = entry_get(q, off, &e);

    if (ret < 0 || !(e & PACKED)) {
        return ret < 0 ? ret : -EIO;
    }
    at = e & ((UINT64_C(1) << (63 - q->cluster_bits)) - 1);
    size = (e & ~PACKED) >> (63 - q->cluster_bits) & (q->m.cluster - 1);
    if (!map_inside(n->file, at, 1)) {
        return -EIO;
    }
    in = g_malloc(size + 1);
    ret = blk_co_pread(n->file, at, in, size);
    return ret < 0 ? ret : map_inflate(in, size, buf, len, -12);
}

static int qcow_pack(BlkNode *n, uint64_t off, const uint8_t *buf, size_t len)
{
    Qcow *q = (Qcow *)n;
    g_autofree uint8_t *out = g_malloc(len);
    int64_t size = q->encrypted ? -ENOTSUP
                                : map_deflate(buf, len, out, len - 1, -12);
    uint64_t at = q->next;
    int ret;

    if (size == -ENOSPC) {             /* as it is                            */
        BlkNode *file = n->file;

        ret = qcow_place(n, off, &file, &at);
        ret = ret < 0 ? ret : blk_co_pwrite(n->file, at, buf, len, 0);
        return ret < 0 ? ret : entry_set(q, off, at);
    }
    if (size < 0) {
        return (int)size;
    }
    q->next += (uint64_t)size;
    ret = blk_co_pwrite(n->file, at, out, (size_t)size, 0);
    return ret < 0 ? ret : entry_set(q, off, at | PACKED |
                                     (uint64_t)size << (63 - q->cluster_bits));
}

static int qcow_crypt(BlkNode *n, bool encrypt, uint64_t off, void *buf,
                      size_t len)
{
    Qcow *q = (Qcow *)n;

    return encrypt ? crypto_encrypt(q->crypto, off, buf, buf, len)
                   : crypto_decrypt(q->crypto, off, buf, buf, len);
}

#define QCOW_OPS .find = qcow_find, .place = qcow_place, .link = qcow_link, \
                 .unpack = qcow_unpack, .pack = qcow_pack
static const MapOps qcow_ops = { QCOW_OPS };
static const MapOps qcow_aes_ops = { QCOW_OPS, .crypt = qcow_crypt };

/* ---- opening ------------------------------------------------------------- */

static bool header_check(Qcow *q, const uint8_t *h, Error **errp)
{
    BlkNode *n = &q->m.node;
    uint64_t size = ld_be64(h + 24), reach;

    if (ld_be32(h) != QCOW_MAGIC) {
        return error_set(errp, "Image not in qcow format");
    }
    if (ld_be32(h + 4) != 1) {
        return error_set(errp, "qcow (v1) does not support qcow version %u",
                         ld_be32(h + 4));
    }
    if (size <= 1) {
        return error_set(errp, "Image size is too small (must be at least 2 "
                         "bytes)");
    }
    if (h[32] < 9 || h[32] > 16) {
        return error_set(errp, "Cluster size must be between 512 and 64k");
    }
    /* The tables are of clusters' size, entries of eight bytes. */
    if (h[33] < 6 || h[33] > 13) {
        return error_set(errp, "L2 table size must be between 512 and 64k");
    }
    if (ld_be32(h + 36) > 1) {
        return error_set(errp, "invalid encryption method in qcow header");
    }
    q->cluster_bits = h[32];
    q->l2_bits = h[33];
    q->encrypted = ld_be32(h + 36) == 1;
    q->l1_off = ld_be64(h + 40);
    reach = UINT64_C(1) << (q->cluster_bits + q->l2_bits);
    if (size > UINT64_MAX - reach || size > INT64_MAX - 512 ||
        (size + reach - 1) / reach > INT32_MAX / 8) {
        return error_set(errp, "Image too large");
    }
    if (q->l1_off > INT64_MAX - GiB * 4) {
        return error_set(errp, "The L1 table lies beyond the end of the file");
    }
    q->l1_size = (size + reach - 1) / reach;
    q->m.cluster = UINT64_C(1) << q->cluster_bits;
    n->length = ALIGN_UP(size, 512);
    return true;
}

static bool backing_read(BlkNode *n, const uint8_t *h, Error **errp)
{
    uint32_t len = ld_be32(h + 16);
    int ret;

    if (!ld_be64(h + 8)) {
        return true;
    }
    if (len > 1023 || ld_be64(h + 8) > INT64_MAX / 2) {
        return error_set(errp, "Backing file name too long");
    }
    n->backing_name = g_malloc0(len + 1);
    ret = blk_co_pread(n->file, ld_be64(h + 8), n->backing_name, len);
    return ret >= 0 ||
           error_set_errno(errp, -ret, "Could not read the backing file name");
}

static MACHINE_CALL bool qcow_start(Qcow *q, Error **errp)
{
    BlkNode *n = &q->m.node;
    uint8_t h[48];
    int ret = blk_co_pread(n->file, 0, h, sizeof(h));

    if (ret < 0) {
        return error_set_errno(errp, -ret, "Could not read the header");
    }
    if (!header_check(q, h, errp)) {
        return false;
    }
    q->next = n->file->length;
    q->m.ops = q->encrypted ? &qcow_aes_ops : &qcow_ops;
    n->limits.align = q->encrypted ? 512 : 1;
    if (q->encrypt_format && strcmp(q->encrypt_format, "aes")) {
        return error_set(errp, "Header reported 'aes' encryption format but "
                         "options specify '%s'", q->encrypt_format);
    }
    if (q->encrypted) {
        q->crypto = crypto_aes_open(q->key_secret, "encrypt.",
                                    n->flags & BLKO_NO_IO, errp);
        if (!q->crypto) {
            return false;
        }
    }
    if (!backing_read(n, h, errp)) {
        return false;
    }
    return blk_backing_open(n, NULL, errp);
}

static MACHINE_CALL void qcow_close(BlkNode *n)
{
    Qcow *q = (Qcow *)n;

    tab_free(&q->m.tab);
    crypto_free(q->crypto);
    q->crypto = NULL;
}

static MACHINE_CALL bool qcow_open(BlkNode *n, Error **errp)
{
    Qcow *q = (Qcow *)n;

    q->m.tab.file = n->file;
    if (qcow_start(q, errp)) {
        return true;
    }
    qcow_close(n);
    return false;
}

static int qcow_probe(const uint8_t *buf, size_t n, const char *filename)
{
    return n >= 48 && ld_be32(buf) == QCOW_MAGIC && ld_be32(buf + 4) == 1 ? 100
                                                                          : 0;
}

static void qcow_info(BlkNode *n, BlkNodeInfo *i)
{
    Qcow *q = (Qcow *)n;

    i->cluster_size = q->m.cluster;
    i->encrypted = q->encrypted;
    i->compress_align = (uint32_t)q->m.cluster;
    i->unallocated_are_zero = !n->backing;
}

static MACHINE_CALL int qcow_empty(BlkNode *n)
{
    Qcow *q = (Qcow *)n;
    uint64_t end = q->l1_off + q->l1_size * 8;
    int ret = blk_co_zero(n->file, q->l1_off, q->l1_size * 8, 0);

    tab_free(&q->m.tab);
    if (ret >= 0 && blk_node_truncate(n->file, end, PREALLOC_OFF, false, NULL)) {
        q->next = n->file->length;
    }
    return ret;
}

static const Prop qcow_props[] = {
    PROP_STR("encrypt.format", Qcow, encrypt_format,
             .desc = "format of the encryption: aes"),
    PROP_STR("encrypt.key-secret", Qcow, key_secret,
             .desc = "ID of the secret that provides the AES decryption key"),
    PROP_END
};
static const BlkChildRow qcow_children[] = {
    { .name = "file", .role = ROLE_STORAGE },
    { .name = "backing", .role = ROLE_BACKING, .by_driver = true },
    { .name = NULL }
};

BLK_DRIVER(qcow_driver, {
    .name = "qcow", .desc = "QEMU's first copy-on-write format",
    .size = sizeof(Qcow),
    .doc = "An old format; qcow2 does all that it does.",
    .props = qcow_props, .children = qcow_children, .open = qcow_open,
    .close = qcow_close, .co_run = map_run, .probe = qcow_probe,
    .extent = map_extent, .allocated = map_allocated, .info = qcow_info,
    .make_empty = qcow_empty, .backing = true, .encrypts = true,
    .create_props = qcow_create_props, .create_size = sizeof(QcowCreate),
    .create = qcow_create,
});
