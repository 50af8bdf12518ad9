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

typedef struct Amend {
    Qcow2 *s;
    const Q2Create *c;
    const uint8_t *given;
    uint32_t version;                  /* wanted                              */
    uint32_t order;
    bool lazy, raw;
} Amend;

static bool has(const Amend *a, const char *name)
{
    const Prop *p = prop_find(q2_create_props, name);

    return p && a->given[p - q2_create_props];
}

/* Options that only a new image can have. */
static bool fixed_ok(const Amend *a, Error **errp)
{
    const Qcow2 *s = a->s;
    const Q2Create *c = a->c;

    if (has(a, "cluster_size") && c->cluster_size != s->cluster_size) {
        return error_set(errp, "Changing the cluster size is not supported");
    }
    if (has(a, "preallocation")) {
        return error_set(errp, "Cannot change preallocation mode");
    }
    if (has(a, "encryption") && c->encryption != !!s->crypt_method) {
        return error_set(errp, "Changing the encryption flag is not supported");
    }
    if (has(a, "extended_l2") && c->extended_l2 != s->ext_l2) {
        return error_set(errp, "Changing the L2 entry format is not supported");
    }
    if (has(a, "compression_type") && c->compression != s->compression) {
        return error_set(errp, "Changing the compression type is not "
                         "supported");
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

static bool wanted_ok(Amend *a, Error **errp)
{
    const Qcow2 *s = a->s;
    const Q2Create *c = a->c;
    uint64_t bits = c->refcount_bits;

    a->version = !has(a, "compat") ? s->version
               : c->compat == 0 || c->compat == 2 ? 2 : 3;
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
    if (a->version == 2 && s->version > 2 && s->n_snaps) {
        return error_set(errp, "Cannot downgrade an image with snapshots");
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

static int downgrade(Qcow2 *s)
{
    int ret = expand_zeroes(s);

    q2_lock(s);
    s->settling = true;
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

bool q2_amend(BlkNode *n, const void *create, const uint8_t *given,
              void (*progress)(void *arg, double part), void *arg,
              Error **errp)
{
    const BlkCreate *b = create;
    Amend a = { .s = q2_of(n), .given = given,
                .c = (const Q2Create *)((const char *)b -
                                        offsetof(Q2Create, b)) };
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
    if (progress) {
        progress(arg, 0.5);
    }
    if ((has(&a, "backing_file") || has(&a, "backing_fmt")) &&
        !q2_set_backing(n, has(&a, "backing_file")
                        ? *b->backing_file ? b->backing_file : NULL
                        : n->backing_name,
                        has(&a, "backing_fmt") ? b->backing_fmt
                                               : n->backing_format, errp)) {
        return false;
    }
    if (has(&a, "size") &&
        !blk_node_truncate(n, b->size, PREALLOC_OFF, false, errp)) {
        return false;
    }
    if (a.version < a.s->version) {
        ret = downgrade(a.s);
        if (ret < 0) {
            return error_set_errno(errp, -ret, "Failed to turn zero into data "
                                   "clusters");
        }
    }
    if (progress) {
        progress(arg, 1);
    }
    return true;
}
