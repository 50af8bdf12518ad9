/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2-header.c - the first cluster of a qcow2 image: header and extensions.
 * (docs/interop/qcow2.txt: Header, Header extensions, Feature name table)
 *
 * Thread class: MACHINE_CALL to read; LOOP_CALL(node's loop) to write.
 *
 * Invariants
 * 1. No field is used before it was compared with its bounds.
 * 2. The header is rewritten as a whole in one request that ends inside the
 *    first cluster; fields and extensions that are not known stay.
 */
#include "block/qcow2.h"

enum { EXT_END = 0, EXT_BACKING_FORMAT = 0xe2792aca, EXT_FEATURES = 0x6803f857,
       EXT_BITMAPS = 0x23852875, EXT_CRYPT = 0x0537be77,
       EXT_DATA_FILE = 0x44415441 };

static const struct {
    uint8_t type, bit;
    const char *name;
} features[] = {
    { 0, 0, "dirty bit" }, { 0, 1, "corrupt bit" },
    { 0, 2, "external data file" }, { 0, 3, "compression type" },
    { 0, 4, "extended L2 entries" }, { 1, 0, "lazy refcounts" },
    { 2, 0, "bitmaps" }, { 2, 1, "raw external data" },
};

bool q2_area_ok(const Qcow2 *s, uint64_t off, uint64_t entries, size_t size)
{
    return off % s->cluster_size == 0 && off <= INT64_MAX &&
           entries <= (INT64_MAX - off) / size;
}

static MACHINE_CALL bool area(const Qcow2 *s, uint64_t off, uint64_t entries,
                              size_t size, const char *what, Error **errp)
{
    return q2_area_ok(s, off, entries, size) ||
           error_set(errp, "%s offset invalid", what);
}

/* ---- extensions ---------------------------------------------------------- */

static MACHINE_CALL bool unknown_features(const Qcow2 *s, const uint8_t *table,
                                          uint32_t len, Error **errp)
{
    uint64_t left = s->incompat & ~(uint64_t)Q2I_KNOWN;
    GString *text = g_string_new("");

    for (uint32_t i = 0; table && i + 48 <= len; i += 48) {
        uint8_t bit = table[i + 1];

        if (table[i] == 0 && bit < 64 && left >> bit & 1) {
            left &= ~(UINT64_C(1) << bit);
            g_string_append_printf(text, "%s%.46s", text->len ? ", " : "",
                                   (const char *)table + i + 2);
        }
    }
    if (left) {
        g_string_append_printf(text, "%sUnknown incompatible feature: %" PRIx64,
                               text->len ? ", " : "", left);
    }
    error_set(errp, "Unsupported qcow2 feature(s): %s", text->str);
    g_string_free(text, true);
    return false;
}

static MACHINE_CALL bool bitmaps_extension(Qcow2 *s, const uint8_t *p,
                                           uint32_t len, Error **errp)
{
    if (len != 24) {
        return error_set(errp, "bitmaps_ext: Invalid extension length");
    }
    if (!(s->autoclear & Q2A_BITMAPS)) {
        warn_report("a program lacking bitmap support modified this file, so "
                    "all bitmaps are now considered inconsistent");
        return true;
    }
    s->n_bitmaps = ld_be32(p);
    s->bitmap_dir_size = ld_be64(p + 8);
    s->bitmap_dir_off = ld_be64(p + 16);
    if (ld_be32(p + 4)) {
        return error_set(errp, "bitmaps_ext: Reserved field is not zero");
    }
    if (s->n_bitmaps > 65535) {
        return error_set(errp, "bitmaps_ext: image has %u bitmaps, exceeding "
                         "the QEMU supported maximum of %d", s->n_bitmaps,
                         65535);
    }
    if (!s->n_bitmaps) {
        return error_set(errp, "found bitmaps extension with zero bitmaps");
    }
    if (s->bitmap_dir_off % s->cluster_size) {
        return error_set(errp, "bitmaps_ext: invalid bitmap directory offset");
    }
    if (s->bitmap_dir_size > 65535 * 1048 ||
        !q2_area_ok(s, s->bitmap_dir_off, s->bitmap_dir_size, 1)) {
        return error_set(errp, "bitmaps_ext: bitmap directory size (%" PRIu64
                         ") exceeds the maximum supported size (%d)",
                         s->bitmap_dir_size, 65535 * 1048);
    }
    return true;
}

static MACHINE_CALL bool one_extension(Qcow2 *s, uint32_t magic,
                                       const uint8_t *p, uint32_t len,
                                       Error **errp)
{
    BlkNode *n = &s->node;
    Q2Ext x = { magic, len, NULL };

    switch (magic) {
    case EXT_BACKING_FORMAT:
        if (len >= 16) {
            return error_set(errp, "ERROR: ext_backing_format: len=%u too "
                             "large (>=%d)", len, 16);
        }
        g_free(n->backing_format);
        n->backing_format = g_strndup((const char *)p, len);
        return true;
    case EXT_FEATURES:
        if (s->incompat & ~(uint64_t)Q2I_KNOWN) {
            return unknown_features(s, p, len, errp);
        }
        return true;
    case EXT_BITMAPS:
        return bitmaps_extension(s, p, len, errp);
    case EXT_CRYPT:
        if (s->crypt_method != 2) {
            return error_set(errp, "CRYPTO header extension only expected with "
                             "LUKS encryption method");
        }
        if (len != 16) {
            return error_set(errp, "CRYPTO header extension size %u, but "
                             "expected size %d", len, 16);
        }
        s->crypt_off = ld_be64(p);
        s->crypt_len = ld_be64(p + 8);
        if (s->crypt_off % s->cluster_size ||
            !q2_area_ok(s, s->crypt_off, s->crypt_len, 1)) {
            return error_set(errp, "Encryption header offset '%" PRIu64 "' is "
                             "not a multiple of cluster size '%u'",
                             s->crypt_off, s->cluster_size);
        }
        return true;
    case EXT_DATA_FILE:
        g_free(s->data_file_name);
        s->data_file_name = g_strndup((const char *)p, len);
        return true;
    default:
        x.data = g_memdup2(p, len);
        g_array_append_val(s->unknown_ext, x);
        return true;
    }
}

/* buf: the first cluster; the extensions lie in [at, end). */
static MACHINE_CALL bool extensions(Qcow2 *s, const uint8_t *buf, uint64_t at,
                                    uint64_t end, Error **errp)
{
    while (at + 8 <= end) {
        uint32_t magic = ld_be32(buf + at), len = ld_be32(buf + at + 4);

        at += 8;
        if (magic == EXT_END) {
            break;
        }
        if (len > end - at) {
            return error_set(errp, "Header extension too large");
        }
        if (!one_extension(s, magic, buf + at, len, errp)) {
            return false;
        }
        at += ALIGN_UP((uint64_t)len, 8);
    }
    return !(s->incompat & ~(uint64_t)Q2I_KNOWN) ||
           unknown_features(s, NULL, 0, errp);
}

/* ---- reading ------------------------------------------------------------- */

static MACHINE_CALL bool version_3(Qcow2 *s, const uint8_t *h, Error **errp)
{
    s->version = ld_be32(h + 4);
    s->cluster_bits = ld_be32(h + 20);
    if (s->version < 2 || s->version > 3) {
        return error_set(errp, "Unsupported qcow2 version %u", s->version);
    }
    if (s->cluster_bits < 9 || s->cluster_bits > 21) {
        return error_set(errp, "Unsupported cluster size: 2^%u",
                         s->cluster_bits);
    }
    s->cluster_size = 1u << s->cluster_bits;
    s->refcount_order = 4;
    s->header_length = 72;
    if (s->version == 2) {
        return true;
    }
    s->incompat = ld_be64(h + 72);
    s->compat = ld_be64(h + 80);
    s->autoclear = ld_be64(h + 88);
    s->refcount_order = ld_be32(h + 96);
    s->header_length = ld_be32(h + 100);
    if (s->header_length < 104) {
        return error_set(errp, "qcow2 header too short");
    }
    if (s->header_length > s->cluster_size) {
        return error_set(errp, "qcow2 header exceeds cluster size");
    }
    return true;
}

static MACHINE_CALL bool features_ok(Qcow2 *s, Error **errp)
{
    bool bit = s->incompat & Q2I_COMPRESSION;

    if (bit != (s->compression != 0)) {
        return error_set(errp, "qcow2: Compression type incompatible feature "
                         "bit must %sbe set", bit ? "not " : "");
    }
    if (s->compression > 1) {
        return error_set(errp, "qcow2: unknown compression type: %u",
                         s->compression);
    }
    if ((s->incompat & Q2I_CORRUPT) && !s->node.read_only &&
        !(s->node.flags & BLKO_CHECK)) {
        return error_set(errp, "qcow2: Image is corrupt; cannot be opened "
                         "read/write");
    }
    if (s->refcount_order > 6) {
        return error_set(errp, "Reference count entry width too large; may not "
                         "exceed 64 bits");
    }
    if (s->crypt_method > 2) {
        return error_set(errp, "Unsupported encryption method %u",
                         s->crypt_method);
    }
    s->ext_l2 = s->incompat & Q2I_EXTL2;
    if (s->ext_l2 && s->cluster_bits < 14) {
        return error_set(errp, "Cluster size must be at least %d bytes with "
                         "extended L2 entries", 1 << 14);
    }
    return true;
}

static MACHINE_CALL bool tables_ok(Qcow2 *s, const uint8_t *h, Error **errp)
{
    uint64_t entries;

    s->disk_size = ld_be64(h + 24);
    s->l1_size = ld_be32(h + 36);
    s->l1_off = ld_be64(h + 40);
    s->reftable_off = ld_be64(h + 48);
    s->reftable_clusters = ld_be32(h + 56);
    s->n_snaps = ld_be32(h + 60);
    s->snaps_off = ld_be64(h + 64);
    if (!s->reftable_clusters && !(s->node.flags & BLKO_CHECK)) {
        return error_set(errp, "Image does not contain a reference count "
                         "table");
    }
    if (s->reftable_clusters > Q2_REFTABLE_BYTES_MAX >> s->cluster_bits) {
        return error_set(errp, "Reference count table too large");
    }
    s->reftable_size = s->reftable_clusters << (s->cluster_bits - 3);
    if (!area(s, s->reftable_off, s->reftable_size, 8,
              "Reference count table", errp)) {
        return false;
    }
    if (s->n_snaps > Q2_SNAPSHOTS_MAX) {
        return error_set(errp, "Snapshot table too large");
    }
    if (!area(s, s->snaps_off, s->n_snaps, 40, "Snapshot table", errp)) {
        return false;
    }
    if (s->l1_size > Q2_L1_BYTES_MAX / 8) {
        return error_set(errp, "Active L1 table too large");
    }
    if (!area(s, s->l1_off, s->l1_size, 8, "Active L1 table", errp)) {
        return false;
    }
    entries = s->disk_size / q2_l1_covers(s) +
              !!(s->disk_size % q2_l1_covers(s));
    if (s->disk_size > INT64_MAX - 512 || entries > INT32_MAX) {
        return error_set(errp, "Image is too big");
    }
    if (s->l1_size < entries) {
        return error_set(errp, "L1 table is too small");
    }
    s->vm_state_off = entries * q2_l1_covers(s);
    return true;
}

static MACHINE_CALL bool backing_name(Qcow2 *s, const uint8_t *buf,
                                      Error **errp)
{
    uint64_t off = ld_be64(buf + 8);
    uint32_t len = ld_be32(buf + 16);

    if (!off) {
        return true;
    }
    if (off > s->cluster_size) {
        return error_set(errp, "Invalid backing file offset");
    }
    if (len > MIN2(1023, s->cluster_size - off)) {
        return error_set(errp, "Backing file name too long");
    }
    g_free(s->node.backing_name);
    s->node.backing_name = g_strndup((const char *)buf + off, len);
    if (s->data_raw) {
        return error_set(errp, "Image with a raw external data file cannot "
                         "have a backing file");
    }
    return true;
}

static MACHINE_CALL bool first_cluster(Qcow2 *s, const uint8_t *buf,
                                       Error **errp)
{
    uint64_t end = ld_be64(buf + 8);
    size_t known = 112;

    s->crypt_method = ld_be32(buf + 32);
    s->compression = s->header_length > 104 ? buf[104] : 0;
    if (s->header_length > known) {
        s->header_rest = g_memdup2(buf + known, s->header_length - known);
    }
    s->unknown_ext = g_array_new(false, false, sizeof(Q2Ext));
    if (end > s->cluster_size) {
        return error_set(errp, "Invalid backing file offset");
    }
    if (!extensions(s, buf, s->header_length, end ? end : s->cluster_size,
                    errp) || !features_ok(s, errp)) {
        return false;
    }
    s->data_ext = s->incompat & Q2I_DATA_FILE;
    s->data_raw = s->data_ext && (s->autoclear & Q2A_RAW_DATA);
    s->l2_entry = s->ext_l2 ? 16 : 8;
    s->l2_bits = s->cluster_bits - (s->ext_l2 ? 4 : 3);
    s->sub_bits = s->cluster_bits - (s->ext_l2 ? 5 : 0);
    s->sub_size = 1u << s->sub_bits;
    s->ref_bits_entries = s->cluster_bits + 3 - s->refcount_order;
    s->ref_max = s->refcount_order == 6 ? INT64_MAX
               : (UINT64_C(1) << (1u << s->refcount_order)) - 1;
    return tables_ok(s, buf, errp) && backing_name(s, buf, errp);
}

bool q2_header_read(Qcow2 *s, Error **errp)
{
    g_autofree uint8_t *buf = NULL;
    uint8_t h[112];
    int ret = blk_co_pread(s->node.file, 0, h, sizeof(h));

    if (ret < 0) {
        return error_set_errno(errp, -ret, "Could not read qcow2 header");
    }
    if (ld_be32(h) != Q2_MAGIC) {
        return error_set(errp, "Image is not in qcow2 format");
    }
    if (!version_3(s, h, errp)) {
        return false;
    }
    buf = g_malloc(s->cluster_size);
    ret = blk_co_pread(s->node.file, 0, buf, s->cluster_size);
    if (ret < 0) {
        return error_set_errno(errp, -ret, "Could not read qcow2 header");
    }
    return first_cluster(s, buf, errp);
}

void q2_header_free(Qcow2 *s)
{
    for (guint i = 0; s->unknown_ext && i < s->unknown_ext->len; i++) {
        g_free(g_array_index(s->unknown_ext, Q2Ext, i).data);
    }
    if (s->unknown_ext) {
        g_array_free(s->unknown_ext, true);
    }
    s->unknown_ext = NULL;
    g_clear_pointer(&s->header_rest, g_free);
    g_clear_pointer(&s->data_file_name, g_free);
}

/* ---- writing ------------------------------------------------------------- */

typedef struct Out {
    uint8_t *buf;
    uint64_t at, size;
    bool full;
} Out;

static void put_ext(Out *o, uint32_t magic, const void *data, uint32_t len)
{
    uint64_t all = 8 + ALIGN_UP((uint64_t)len, 8);

    if (o->full || all > o->size - o->at) {
        o->full = true;
        return;
    }
    st_be32(o->buf + o->at, magic);
    st_be32(o->buf + o->at + 4, len);
    if (len) {
        memcpy(o->buf + o->at + 8, data, len);
    }
    o->at += all;
}

static void put_fixed(const Qcow2 *s, uint8_t *h)
{
    st_be32(h, Q2_MAGIC);
    st_be32(h + 4, s->version);
    st_be32(h + 20, s->cluster_bits);
    st_be64(h + 24, s->disk_size);
    st_be32(h + 32, s->crypt_method);
    st_be32(h + 36, s->l1_size);
    st_be64(h + 40, s->l1_off);
    st_be64(h + 48, s->reftable_off);
    st_be32(h + 56, s->reftable_clusters);
    st_be32(h + 60, s->n_snaps);
    st_be64(h + 64, s->snaps_off);
    if (s->version >= 3) {
        st_be64(h + 72, s->incompat);
        st_be64(h + 80, s->compat);
        st_be64(h + 88, s->autoclear);
        st_be32(h + 96, s->refcount_order);
        st_be32(h + 100, s->header_length);
        if (s->header_length > 104) {
            h[104] = s->compression;
        }
        if (s->header_length > 112) {
            memcpy(h + 112, s->header_rest, s->header_length - 112);
        }
    }
}

static void put_features(Out *o)
{
    uint8_t t[ARRAY_SIZE(features) * 48] = { 0 };

    for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
        t[i * 48] = features[i].type;
        t[i * 48 + 1] = features[i].bit;
        strncpy((char *)t + i * 48 + 2, features[i].name, 45);
    }
    put_ext(o, EXT_FEATURES, t, sizeof(t));
}

static void put_extensions(const Qcow2 *s, Out *o)
{
    const BlkNode *n = &s->node;
    uint8_t p[24];

    if (n->backing_format && *n->backing_format) {
        put_ext(o, EXT_BACKING_FORMAT, n->backing_format,
                strlen(n->backing_format));
    }
    if (s->data_ext && s->data_file_name) {
        put_ext(o, EXT_DATA_FILE, s->data_file_name,
                strlen(s->data_file_name));
    }
    if (s->crypt_off) {
        st_be64(p, s->crypt_off);
        st_be64(p + 8, s->crypt_len);
        put_ext(o, EXT_CRYPT, p, 16);
    }
    if (s->version >= 3 && o->size > 4096) {
        put_features(o);
    }
    if (s->n_bitmaps) {
        st_be32(p, s->n_bitmaps);
        st_be32(p + 4, 0);
        st_be64(p + 8, s->bitmap_dir_size);
        st_be64(p + 16, s->bitmap_dir_off);
        put_ext(o, EXT_BITMAPS, p, 24);
    }
    for (guint i = 0; s->unknown_ext && i < s->unknown_ext->len; i++) {
        const Q2Ext *x = &g_array_index(s->unknown_ext, Q2Ext, i);

        put_ext(o, x->magic, x->data, x->len);
    }
    put_ext(o, EXT_END, NULL, 0);
}

int q2_header_write(Qcow2 *s)
{
    const char *name = s->node.backing_name;
    g_autofree uint8_t *buf = g_malloc0(s->cluster_size);
    Out o = { .buf = buf, .at = s->header_length, .size = s->cluster_size };
    size_t len = name ? strlen(name) : 0;

    put_fixed(s, buf);
    put_extensions(s, &o);
    if (o.full || len > 1023 || len > o.size - o.at) {
        return -ENOSPC;
    }
    if (len) {
        memcpy(buf + o.at, name, len);
        st_be64(buf + 8, o.at);
        st_be32(buf + 16, len);
    }
    s->unsynced = true;
    /* All of the cluster: what was longer before must not stay behind. */
    return blk_co_pwrite(s->node.file, 0, buf, s->cluster_size, 0);
}

int q2_features_write(Qcow2 *s)
{
    uint8_t p[24];

    if (s->version < 3) {
        return 0;
    }
    st_be64(p, s->incompat);
    st_be64(p + 8, s->compat);
    st_be64(p + 16, s->autoclear);
    s->unsynced = true;
    return blk_co_pwrite(s->node.file, 72, p, sizeof(p), 0);
}

int q2_dirty_set(Qcow2 *s, bool on)
{
    uint64_t was = s->incompat;
    int ret;

    if (s->version < 3 || !!(was & Q2I_DIRTY) == on) {
        return 0;
    }
    /* Before: what follows breaks the rules. After: nothing may be behind. */
    ret = q2_barrier(s);
    if (ret < 0) {
        return ret;
    }
    s->incompat = on ? was | Q2I_DIRTY : was & ~(uint64_t)Q2I_DIRTY;
    ret = q2_features_write(s);
    if (ret >= 0) {
        ret = q2_barrier(s);
    }
    if (ret < 0) {
        s->incompat = was;
    }
    return ret;
}

int q2_header_turn(Qcow2 *s)
{
    int ret = q2_header_write(s);

    return ret < 0 ? ret : q2_barrier(s);
}

void q2_header_back(Qcow2 *s)
{
    if (q2_header_turn(s) < 0) {
        /* Nobody knows which header the file has: nothing may build on it. */
        s->corrupt = true;
        error_reportf("Block node '%s' is read-only from here on: its header "
                      "could not be written", s->node.name);
    }
}
