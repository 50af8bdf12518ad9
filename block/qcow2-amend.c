/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2-amend.c - changes options of an image that is there.
 *
 * Thread class: MACHINE_CALL, the node drained.
 *
 * Invariants
 * 1. What is refused is refused before anything is changed.
 * 2. A version goes down only when nothing is left that it cannot say.
 */
#include "block/qcow2-check.h"
#include "block/qcow2-create.h"

const Prop q2_amend_props[] = {
    CRYPTO_AMEND_PROPS("encrypt.", Q2Amend, luks),
    { .name = "size", .kind = PK_SIZE, .flags = PF_NO_DEFAULT,
      .offset = offsetof(Q2Amend, size), .desc = "Virtual disk size" },
    PROP_STR("compat", Q2Amend, compat,
             .desc = "Compatibility level (v2 [0.10] or v3 [1.1])"),
    PROP_STR("backing_file", Q2Amend, backing_file,
             .desc = "File name of a base image"),
    PROP_STR("backing_fmt", Q2Amend, backing_fmt,
             .desc = "Image format of the base image"),
    PROP_STR("data_file", Q2Amend, data_file,
             .desc = "File name of an external data file"),
    PROP_BOOL("data_file_raw", Q2Amend, data_file_raw, false,
              .flags = PF_NO_DEFAULT,
              .desc = "The external data file must stay valid as a raw image"),
    PROP_BOOL("lazy_refcounts", Q2Amend, lazy_refcounts, false,
              .flags = PF_NO_DEFAULT, .desc = "Postpone refcount updates"),
    PROP_U64("refcount_bits", Q2Amend, refcount_bits, 16,
             .flags = PF_NO_DEFAULT,
             .desc = "Width of a reference count entry in bits"),
    PROP_END
};

typedef struct Amend {
    Qcow2 *s;
    const Q2Amend *c;
    const uint8_t *given;
    uint32_t version;                  /* wanted                              */
    uint32_t order;
    bool lazy, raw;
} Amend;

static bool has(const Amend *a, const char *name)
{
    const Prop *p = prop_find(q2_amend_props, name);

    return p && a->given[p - q2_amend_props];
}

static bool has_crypto(const Amend *a)
{
    for (const Prop *p = q2_amend_props; p->name; p++) {
        if (g_str_has_prefix(p->name, "encrypt.") &&
            a->given[p - q2_amend_props]) {
            return true;
        }
    }
    return false;
}

/* Options that only a new image can have. */
static bool fixed_ok(const Amend *a, Error **errp)
{
    const Qcow2 *s = a->s;
    const Q2Amend *c = a->c;

    if (has_crypto(a) && !s->crypt_method) {
        return error_set(errp, "Can't amend encryption options - encryption "
                         "not present");
    }
    if (has_crypto(a) && s->crypt_method != 2) {
        return error_set(errp, "Only LUKS encryption options can be amended "
                         "for qcow2 with 'create' command");
    }
    if (has(a, "backing_file") || has(a, "backing_fmt")) {
        error_set(errp, "Cannot amend the backing file");
        error_hint(errp, "You can use 'qemu-img rebase' instead.");
        return false;
    }
    if (has(a, "data_file") && !s->data_ext) {
        return error_set(errp, "data-file can only be set for images that use "
                         "an external data file");
    }
    if (has(a, "data_file_raw") && c->data_file_raw && !s->data_raw) {
        return error_set(errp, "data-file-raw cannot be set on existing "
                         "images");
    }
    return true;
}

/* 0: none of them. */
static uint32_t version_of(const char *compat)
{
    return !strcmp(compat, "0.10") || !strcmp(compat, "v2") ? 2
         : !strcmp(compat, "1.1") || !strcmp(compat, "v3") ? 3 : 0;
}

static bool wanted_ok(Amend *a, Error **errp)
{
    const Qcow2 *s = a->s;
    const Q2Amend *c = a->c;
    uint64_t bits = c->refcount_bits;

    a->version = has(a, "compat") ? version_of(c->compat) : s->version;
    if (!a->version) {
        return error_set(errp, "Unknown compatibility level %s", c->compat);
    }
    a->lazy = has(a, "lazy_refcounts") ? c->lazy_refcounts
                                       : s->compat & Q2C_LAZY;
    a->raw = has(a, "data_file_raw") ? c->data_file_raw : s->data_raw;
    a->order = s->refcount_order;
    if (has(a, "refcount_bits")) {
        if (!IS_POW2(bits) || bits > 64) {
            return error_set(errp, "Refcount width must be a power of two and "
                             "may not exceed 64 bits");
        }
        a->order = (uint32_t)__builtin_ctzll(bits);
    }
    if (a->version == 2 && a->order != 4) {
        return error_set(errp, a->order != s->refcount_order
                         ? "Refcount widths other than 16 bits require "
                           "compatibility level 1.1 or above (use compat=1.1 "
                           "or greater)"
                         : "compat=0.10 requires refcount_bits=16");
    }
    if (has(a, "lazy_refcounts") && a->lazy && a->version == 2) {
        return error_set(errp, "Lazy refcounts only supported with "
                         "compatibility level 1.1 and above (use compat=1.1 or "
                         "greater)");
    }
    if (a->version == 2 && (s->incompat & ~(uint64_t)(Q2I_DIRTY |
                                                      Q2I_CORRUPT))) {
        return error_set(errp, "Cannot downgrade an image with incompatible "
                         "features set");
    }
    for (uint32_t i = 0; a->version == 2 && s->version > 2 && i < s->n_snaps;
         i++) {
        if (s->snaps[i].disk_size != s->disk_size) {
            return error_set(errp, "Internal snapshots prevent downgrade of "
                             "image");
        }
    }
    if (a->version == 2 && s->n_bitmaps) {
        return error_set(errp, "Cannot downgrade an image with bitmaps");
    }
    return true;
}

/* Entries that read as zeroes become none, or clusters of zeroes. */
static int expand_zeroes(Qcow2 *s)
{
    uint64_t cs = s->cluster_size, end = ALIGN_UP(s->disk_size, cs);
    g_autofree uint8_t *zeroes = g_malloc0(cs);
    struct iovec iov = { zeroes, cs };
    int ret = 0;

    for (uint64_t off = 0; ret >= 0 && off < end;) {
        Q2Map m;

        q2_lock(s);
        ret = q2_map(s, off, end - off, &m);
        q2_unlock(s);
        if (ret >= 0 && (m.kind == Q2K_ZERO || m.kind == Q2K_ZERO_ALLOC)) {
            m.len = s->node.backing ? cs : ALIGN_UP(m.len, cs);
            ret = s->node.backing ? q2_write(s, off, cs, &iov, 1, 0)
                                  : q2_discard(s, off, m.len, true);
        }
        off += m.len;
    }
    return ret;
}

/* An entry of a table that so many snapshots have. */
static int expand_entry(Qcow2 *s, Q2Entry *e, uint32_t i, uint64_t refs)
{
    uint64_t cs = s->cluster_size, old = q2_entry(s, e, i);
    g_autofree uint8_t *zeroes = NULL;
    int64_t at = 0;
    int ret = 0;

    if (s->node.backing) {
        at = q2_alloc(s, 1, true, NULL);
        if (at < 0) {
            return (int)at;
        }
        zeroes = g_malloc0(cs);
        s->unsynced = true;
        ret = blk_co_pwrite(s->node.file, (uint64_t)at, zeroes, cs, 0);
        if (ret >= 0 && refs > 1) {
            ret = q2_ref_add(s, (uint64_t)at, cs, (int64_t)refs - 1);
        }
        if (ret < 0) {
            q2_free(s, (uint64_t)at, cs);
            return ret;
        }
    }
    q2_entry_set(s, e, i, (uint64_t)at, 0);
    for (; refs; refs--) {
        q2_free_entry(s, old);
    }
    return 0;
}

static int expand_table(Qcow2 *s, uint64_t table)
{
    uint64_t refs = 0;
    int ret = q2_ref_get(s, table >> s->cluster_bits, &refs);

    for (uint64_t o = 0; ret >= 0 && o < s->cluster_size;
         o += s->slice_bytes) {
        Q2Entry *e;

        ret = q2_cache_get(&s->l2c, table + o, &e);
        if (ret < 0) {
            break;
        }
        for (uint32_t i = 0; ret >= 0 && i < 1u << s->slice_bits; i++) {
            uint64_t v = q2_entry(s, e, i);

            if (!(v & Q2_COMPRESSED) && (v & Q2_ZERO)) {
                ret = expand_entry(s, e, i, refs);
            }
        }
        q2_cache_put(e);
    }
    return ret;
}

/* The same of what snapshots show. Tables that the active one shares have no
 * such entries any more. Tables are changed where they are: for all who have
 * them they say the same as before. How many that are is true only when nothing
 * waits to be given back. */
static int expand_snapshots(Qcow2 *s)
{
    int ret = 0;

    for (int i = 0; s->n_snaps && i < 2 && ret >= 0; i++) {
        ret = q2_flush(s);
    }
    if (ret >= 0 && s->n_snaps && (s->frees->len || s->frees_old->len)) {
        ret = -EBUSY;
    }
    for (uint32_t k = 0; ret >= 0 && k < s->n_snaps; k++) {
        g_autofree uint64_t *l1 = NULL;

        ret = q2_snap_l1(s, &s->snaps[k], 0, &l1);
        for (uint32_t i = 0; ret >= 0 && i < s->snaps[k].l1_size; i++) {
            uint64_t at = l1[i] & Q2_OFFSET;

            if (at & (s->cluster_size - 1)) {
                ret = -EIO;
            } else if (at) {
                ret = expand_table(s, at);
            }
        }
    }
    return ret;
}

static int downgrade(Qcow2 *s)
{
    int ret = expand_zeroes(s);

    q2_lock(s);
    s->settling = true;
    ret = ret < 0 ? ret : expand_snapshots(s);
    ret = ret < 0 ? ret : q2_flush(s);
    s->settling = false;
    ret = ret < 0 ? ret : q2_dirty_set(s, false);
    if (ret >= 0) {
        s->version = 2;
        s->header_length = 72;
        s->compat = s->autoclear = s->incompat = 0;
        s->lazy = false;
        ret = q2_header_write(s);
        s->version = ret < 0 ? 3 : 2;
    }
    q2_unlock(s);
    return ret;
}

static int header_change(Amend *a)
{
    Qcow2 *s = a->s;
    int ret;

    if (a->version > s->version) {
        s->version = 3;
        s->header_length = 112;
    }
    if (a->version > 2) {
        s->compat = a->lazy ? s->compat | Q2C_LAZY
                            : s->compat & ~(uint64_t)Q2C_LAZY;
        s->autoclear = a->raw ? s->autoclear
                              : s->autoclear & ~(uint64_t)Q2A_RAW_DATA;
        s->data_raw = a->raw;
    }
    if (has(a, "data_file")) {
        g_free(s->data_file_name);
        s->data_file_name = g_strdup(a->c->data_file);
    }
    q2_lock(s);
    if (!a->lazy && s->lazy) {
        s->lazy = false;
        ret = q2_flush(s);
        ret = ret < 0 ? ret : q2_dirty_set(s, false);
    } else {
        ret = q2_flush(s);
    }
    ret = ret < 0 ? ret : q2_header_write(s);
    ret = ret < 0 ? ret : q2_flush(s);
    q2_unlock(s);
    return ret;
}

/* What takes one step, after the header. */
static MACHINE_CALL bool rest_change(Amend *a, bool force, Error **errp)
{
    Qcow2 *s = a->s;
    int ret;

    if (has(a, "size") &&
        !blk_node_truncate(&s->node, a->c->size, PREALLOC_OFF, false, errp)) {
        return false;
    }
    if (a->version < s->version) {
        ret = downgrade(s);
        if (ret < 0) {
            return error_set_errno(errp, -ret, "Failed to turn zero into data "
                                   "clusters");
        }
    }
    return !has_crypto(a) ||
           crypto_luks_amend(s->crypt, &a->c->luks, force, errp);
}

bool q2_amend(BlkNode *n, const BlkAmend *how, Error **errp)
{
    Amend a = { .s = q2_of(n), .given = how->given, .c = how->opts };
    int ret;

    if (!fixed_ok(&a, errp) || !wanted_ok(&a, errp)) {
        return false;
    }
    ret = header_change(&a);
    if (ret >= 0 && a.order != a.s->refcount_order) {
        ret = q2_check_rebuild(a.s, a.order);
    }
    if (ret == -ERANGE) {
        return error_set(errp, "Cannot decrease refcount entry width to %u "
                         "bits: a cluster has more references than that",
                         1u << a.order);
    }
    if (ret < 0) {
        return error_set_errno(errp, -ret, "Failed to change the image");
    }
    if (how->progress) {
        how->progress(how->arg, 0.5);
    }
    if (!rest_change(&a, how->force, errp)) {
        return false;
    }
    if (how->progress) {
        how->progress(how->arg, 1);
    }
    return true;
}
