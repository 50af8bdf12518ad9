/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2-create.c - making images, and allocating space beforehand.
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. The header is written last: a file that was not finished is no image.
 * 2. Metadata lies in a row: header, refcount table, refcount blocks, L1 table.
 */
#include "block/qcow2-create.h"

static const PropEnum compat_enum = {
    .type = "Qcow2CompatLevel",
    .names = (const char *const[]){ "0.10", "1.1", "v2", "v3", NULL },
};
static const PropEnum compression_enum = {
    .type = "Qcow2CompressionType",
    .names = (const char *const[]){ "zlib", "zstd", NULL },
};
static const PropEnum prealloc_enum = {
    .type = "PreallocMode",
    .names = (const char *const[]){ "off", "metadata", "falloc", "full", NULL },
};

const Prop q2_create_props[] = {
    PROP_BOOL("encryption", Q2Create, encryption, false,
              .flags = PF_NO_DEFAULT,
              .desc = "Encrypt the image with format 'aes'. (Deprecated in "
                      "favor of encrypt.format=aes)"),
    PROP_STR("encrypt.format", Q2Create, encrypt_format,
             .desc = "Encrypt the image, format choices: 'aes', 'luks'"),
    PROP_STR("encrypt.key-secret", Q2Create, luks.key_secret,
             .desc = "ID of secret providing qcow AES key or LUKS passphrase"),
    CRYPTO_CREATE_PROPS("encrypt.", Q2Create, luks),
    PROP_SIZE("cluster_size", Q2Create, cluster_size, 65536,
              .desc = "qcow2 cluster size"),
    PROP_BOOL("extended_l2", Q2Create, extended_l2, false,
              .desc = "Extended L2 tables"),
    PROP_ENUM("preallocation", Q2Create, preallocation, &prealloc_enum, 0,
              .flags = PF_NO_DEFAULT,
              .desc = "Preallocation mode (allowed values: off, metadata, "
                      "falloc, full)"),
    PROP_ENUM("compression_type", Q2Create, compression, &compression_enum, 0,
              .desc = "Compression method used for image cluster compression"),
    BLK_CREATE_SIZE,
    PROP_ENUM("compat", Q2Create, compat, &compat_enum, 1,
              .flags = PF_NO_DEFAULT,
              .desc = "Compatibility level (v2 [0.10] or v3 [1.1])"),
    BLK_CREATE_BACKING,
    BLK_CREATE_BACKING_FMT,
    PROP_STR("data_file", Q2Create, data_file,
             .desc = "File name of an external data file"),
    PROP_BOOL("data_file_raw", Q2Create, data_file_raw, false,
              .flags = PF_NO_DEFAULT,
              .desc = "The external data file must stay valid as a raw image"),
    PROP_BOOL("lazy_refcounts", Q2Create, lazy_refcounts, false,
              .desc = "Postpone refcount updates"),
    PROP_U64("refcount_bits", Q2Create, refcount_bits, 16,
             .desc = "Width of a reference count entry in bits"),
    PROP_END
};

/* ---- options ------------------------------------------------------------- */

#define V3_HINT "compatibility level 1.1 and above (use version=v3 or greater)"

static bool v3_only(const Q2Create *c, Error **errp)
{
    if (c->lazy_refcounts) {
        return error_set(errp, "Lazy refcounts only supported with " V3_HINT);
    }
    if (c->refcount_bits != 16) {
        return error_set(errp, "Different refcount widths than 16 bits require "
                         "compatibility level 1.1 or above (use version=v3 or "
                         "greater)");
    }
    if (c->data_file) {
        return error_set(errp, "External data files are only supported with "
                         V3_HINT);
    }
    if (c->extended_l2) {
        return error_set(errp, "Extended L2 entries are only supported with "
                         V3_HINT);
    }
    if (c->compression) {
        return error_set(errp, "Non-zlib compression type is only supported "
                         "with " V3_HINT);
    }
    return true;
}

bool q2_create_ok(Q2Create *c, Error **errp)
{
    bool v2 = c->compat == 0 || c->compat == 2;

    if (c->cluster_size < 512 || c->cluster_size > 2 * MiB ||
        !IS_POW2(c->cluster_size)) {
        return error_set(errp, "Cluster size must be a power of two between "
                         "%d and %dk", 512, 2048);
    }
    if (!IS_POW2(c->refcount_bits) || c->refcount_bits > 64) {
        return error_set(errp, "Refcount width must be a power of two and may "
                         "not exceed 64 bits");
    }
    if (c->extended_l2 && c->cluster_size < 16384 && !v2) {
        return error_set(errp, "Extended L2 entries are only supported with "
                         "cluster sizes of at least %d bytes", 16384);
    }
    if (v2 && !v3_only(c, errp)) {
        return false;
    }
    if (c->preallocation && c->b.backing_file && !c->extended_l2) {
        return error_set(errp, "Backing file and preallocation can only be "
                         "used at the same time if extended_l2 is enabled");
    }
    if (c->data_file_raw && !c->data_file) {
        return error_set(errp, "data-file-raw requires data-file");
    }
    if (c->data_file_raw && c->b.backing_file) {
        return error_set(errp, "Backing file and data-file-raw cannot be used "
                         "at the same time");
    }
    if (c->data_file_raw && !c->preallocation) {
        c->preallocation = PREALLOC_METADATA;
    }
    if (c->b.size % 512) {
        return error_set(errp, "Image size must be a multiple of %d bytes",
                         512);
    }
    return q2_crypt_create_ok(c, errp);
}

/* ---- layout -------------------------------------------------------------- */

/* A header for the options, in s; the places of tables are set too. */
static bool layout(const Q2Create *c, Qcow2 *s, uint64_t *blocks, Error **errp)
{
    uint64_t cs = c->cluster_size, all, table = 1, l1, n;

    s->version = c->compat == 0 || c->compat == 2 ? 2 : 3;
    s->cluster_size = (uint32_t)cs;
    s->cluster_bits = (uint32_t)__builtin_ctzll(cs);
    s->refcount_order = (uint32_t)__builtin_ctzll(c->refcount_bits);
    s->header_length = s->version < 3 ? 72 : 112;
    s->ref_bits_entries = s->cluster_bits + 3 - s->refcount_order;
    s->compression = (uint8_t)c->compression;
    s->ext_l2 = c->extended_l2;
    s->l2_entry = s->ext_l2 ? 16 : 8;
    s->l2_bits = s->cluster_bits - (s->ext_l2 ? 4 : 3);
    s->disk_size = c->b.size;
    s->data_ext = c->data_file;
    s->data_file_name = c->data_file;
    s->incompat = (c->data_file ? Q2I_DATA_FILE : 0) |
                  (c->compression ? Q2I_COMPRESSION : 0) |
                  (c->extended_l2 ? Q2I_EXTL2 : 0);
    s->compat = c->lazy_refcounts ? Q2C_LAZY : 0;
    s->autoclear = c->data_file_raw ? Q2A_RAW_DATA : 0;
    l1 = (c->b.size + q2_l1_covers(s) - 1) / q2_l1_covers(s);
    if (l1 > Q2_L1_BYTES_MAX / 8) {
        return error_set(errp, "The image size is too large for file format "
                         "'qcow2' (try using a larger cluster size)");
    }
    s->l1_size = (uint32_t)l1;
    *blocks = 1;
    for (;;) {
        all = 1 + table + *blocks + (l1 * 8 + cs - 1) / cs;
        n = (all + (UINT64_C(1) << s->ref_bits_entries) - 1) >>
            s->ref_bits_entries;
        if (n <= *blocks && *blocks <= table * cs / 8) {
            break;
        }
        *blocks = MAX2(*blocks, n);
        table = (*blocks * 8 + cs - 1) / cs;
    }
    s->reftable_off = cs;
    s->reftable_clusters = (uint32_t)table;
    s->l1_off = (1 + table + *blocks) * cs;
    s->ref_max = all;                  /* for the writer: clusters in all     */
    return true;
}

static int write_tables(Qcow2 *s, uint64_t blocks)
{
    uint64_t cs = s->cluster_size, all = s->ref_max, at;
    g_autofree uint8_t *buf = g_malloc0(cs);
    uint64_t per = cs / 8, mask = (UINT64_C(1) << s->ref_bits_entries) - 1;
    int ret = 0;

    for (uint64_t t = 0; ret >= 0 && t < s->reftable_clusters; t++) {
        memset(buf, 0, cs);
        for (uint64_t i = 0; i < per && t * per + i < blocks; i++) {
            at = (1 + s->reftable_clusters + t * per + i) * cs;
            st_be64(buf + i * 8, at);
        }
        ret = blk_co_pwrite(s->node.file, (1 + t) * cs, buf, cs, 0);
    }
    for (uint64_t b = 0, i = 0; ret >= 0 && b < blocks; b++) {
        memset(buf, 0, cs);
        for (; i < all && i >> s->ref_bits_entries == b; i++) {
            q2_ref_store(s, buf, i & mask, 1);
        }
        ret = blk_co_pwrite(s->node.file, (1 + s->reftable_clusters + b) * cs,
                            buf, cs, 0);
    }
    at = ALIGN_UP((uint64_t)s->l1_size * 8, cs);
    memset(buf, 0, cs);
    for (uint64_t i = 0; ret >= 0 && i < at; i += cs) {
        ret = blk_co_pwrite(s->node.file, s->l1_off + i, buf, cs, 0);
    }
    return ret;
}

/* ---- space beforehand ---------------------------------------------------- */

static int reserve(Qcow2 *s, uint64_t at, uint64_t n, uint64_t *got,
                   uint64_t *host)
{
    int64_t h;

    *got = n;
    *host = at;
    if (s->data_ext) {
        s->got_fresh = at >= s->data_fresh;
        s->data_fresh = MAX2(s->data_fresh, at + n * s->cluster_size);
        return 0;
    }
    h = q2_alloc(s, n, false, got);
    *host = (uint64_t)h;
    return h < 0 ? (int)h : 0;
}

/* With the lock: clusters for entries that have none. */
static int reserve_slice(Qcow2 *s, uint64_t at, uint64_t end)
{
    uint64_t cs = s->cluster_size, got, host = 0, sub;
    Q2Entry *e;
    uint32_t i;
    bool zero;
    int ret = q2_slice_for_write(s, at, &e, &i);

    while (ret >= 0 && at < end) {
        uint64_t n = 0;

        while (at + n * cs < end && !q2_entry(s, e, i + (uint32_t)n)) {
            n++;
        }
        if (!n) {
            at += cs;
            i++;
            continue;
        }
        ret = reserve(s, at, n, &got, &host);
        if (ret >= 0 && !s->got_fresh && s->version < 3) {
            ret = blk_co_zero(s->data, host, got * cs, 0);
        }
        /* What is zero in the file is not so when it was decrypted. */
        zero = s->got_fresh && !s->crypt;
        for (uint64_t k = 0; ret >= 0 && k < got; k++, i++, at += cs) {
            sub = s->node.backing || s->over_backing ? 0
                : zero ? UINT32_MAX : UINT64_C(0xffffffff) << 32;
            q2_entry_set(s, e, i, (host + k * cs) | Q2_COPIED |
                         (zero || s->version < 3 || s->ext_l2 ? 0 : Q2_ZERO),
                         sub);
        }
        s->reserved_end = MAX2(s->reserved_end, host + got * cs);
    }
    if (e) {
        q2_cache_put(e);
    }
    return ret;
}

int q2_preallocate(Qcow2 *s, uint64_t off, uint64_t len)
{
    uint64_t cs = s->cluster_size, slice = cs << s->slice_bits;
    uint64_t at = ALIGN_DOWN(off, cs), end = ALIGN_UP(off + len, cs);
    int ret = 0;

    if (s->crypt && s->version < 3) {
        /* Nothing but encrypted zeroes reads as zeroes. */
        return q2_zero_or_write(s, off, len);
    }
    q2_lock(s);
    while (ret >= 0 && at < end) {
        uint64_t stop = MIN2(end, ALIGN_DOWN(at, slice) + slice);

        ret = reserve_slice(s, at, stop);
        at = stop;
    }
    q2_unlock(s);
    return ret;
}

bool q2_prealloc_range(Qcow2 *s, uint64_t off, uint64_t len, BlkPrealloc mode,
                       Error **errp)
{
    uint64_t was = s->data->length;
    BlkPrealloc below = mode == PREALLOC_METADATA ? PREALLOC_OFF : mode;
    int ret = len ? q2_preallocate(s, off, len) : 0;

    if (ret < 0) {
        return error_set_errno(errp, -ret, "Could not preallocate metadata");
    }
    if (s->reserved_end <= was) {
        return true;
    }
    return blk_node_truncate(s->data, s->reserved_end, below, false, errp);
}

/* The image on c's file, which is in the maker's hands, outside the graph. */
static MACHINE_CALL bool preallocate(Q2Create *c, Error **errp)
{
    Qcow2 *s = q2_private_open(c->b.file, c->luks.key_secret, errp);
    bool ok;

    if (!s) {
        return false;
    }
    s->over_backing = c->b.backing_file;
    ok = q2_prealloc_range(s, 0, c->b.size, (BlkPrealloc)c->preallocation,
                           errp);
    return q2_private_close(s, errp) && ok;
}

/* ---- creating ------------------------------------------------------------ */

/* An empty file for the guest's data. */
bool q2_data_file_create(const Q2Create *c, Error **errp)
{
    BlkImageSpec spec = { .filename = c->data_file, .format = "raw",
                          .size = (int64_t)c->b.size };

    return blk_image_make(&spec, errp);
}

bool q2_create(BlkCreate *b, Error **errp)
{
    Q2Create *c = container_of(b, Q2Create, b);
    Qcow2 s = { .node = { .file = b->file, .read_only = false } };
    uint64_t blocks = 0;
    int ret;

    if (!q2_create_ok(c, errp) || !layout(c, &s, &blocks, errp) ||
        (c->data_file && !q2_data_file_create(c, errp))) {
        return false;
    }
    s.node.backing_name = b->backing_file;
    s.node.backing_format = b->backing_fmt;
    ret = write_tables(&s, blocks);
    ret = ret < 0 ? ret : q2_header_write(&s);
    if (ret < 0) {
        return error_set_errno(errp, -ret, "Could not write qcow2 header");
    }
    return q2_crypt_create(c, errp) &&
           (!c->preallocation || preallocate(c, errp));
}
