/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2-overlap.c - no write to the file hits metadata that it does not mean to:
 * the last line against images whose refcounts are wrong.
 *
 * Thread class: LOOP_CALL(node's loop).
 *
 * Invariants
 * 1. What is checked is what `overlap-check` asks for; tables that are read for
 *    the check alone (inactive-l2) only under "all".
 */
#include "block/qcow2.h"

static bool hits(uint64_t off, uint64_t len, uint64_t at, uint64_t size)
{
    return size && off < at + size && at < off + len;
}

static uint64_t table_bytes(const Qcow2 *s, uint64_t entries)
{
    return ALIGN_UP(entries * 8, s->cluster_size);
}

/* Cached tables: found by their offset, whatever else is cached. */
static bool hits_cached(Q2Cache *c, uint64_t off, uint64_t len)
{
    uint64_t first = ALIGN_DOWN(off, c->size);

    if (!c->n) {
        return false;
    }
    if ((len + off - first) / c->size > c->filled) {
        for (uint32_t i = 0; i < c->filled; i++) {
            if (c->e[i].off && hits(off, len, c->e[i].off, c->size)) {
                return true;
            }
        }
        return false;
    }
    for (uint64_t at = first; at < off + len; at += c->size) {
        if (q2_cache_peek(c, at)) {
            return true;
        }
    }
    return false;
}

static bool hits_reftable(const Qcow2 *s, uint64_t off, uint64_t len)
{
    /* Blocks count themselves, mostly: those near first. */
    for (uint32_t i = 0; i < s->reftable_size; i++) {
        if (s->reftable[i] && hits(off, len, s->reftable[i], s->cluster_size)) {
            return true;
        }
    }
    return false;
}

static bool hits_l1(const Qcow2 *s, uint64_t off, uint64_t len)
{
    for (uint32_t i = 0; i < s->l1_size; i++) {
        uint64_t at = s->l1[i] & Q2_OFFSET;

        if (at && hits(off, len, at, s->cluster_size)) {
            return true;
        }
    }
    return false;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static int tables_of(Qcow2 *s, const Q2Snap *p)
{
    g_autofree uint64_t *l1 = NULL;
    int ret;

    if (p->l1_size > Q2_L1_BYTES_MAX / 8 ||
        !q2_area_ok(s, p->l1_off, p->l1_size, 8)) {
        return 0;                      /* check says so                       */
    }
    l1 = g_try_new(uint64_t, MAX2(p->l1_size, 1));
    ret = l1 ? blk_co_pread(s->node.file, p->l1_off, l1,
                            (size_t)p->l1_size * 8) : -ENOMEM;
    for (uint32_t i = 0; ret >= 0 && i < p->l1_size; i++) {
        uint64_t at = ld_be64(&l1[i]) & Q2_OFFSET;

        if (at) {
            g_array_append_val(s->inactive_l2, at);
        }
    }
    return ret;
}

int q2_overlap_refresh(Qcow2 *s)
{
    int ret = 0;

    if (!(s->overlap & Q2O_INACTIVE_L2)) {
        return 0;
    }
    if (!s->inactive_l2) {
        s->inactive_l2 = g_array_new(false, false, sizeof(uint64_t));
    }
    g_array_set_size(s->inactive_l2, 0);
    for (uint32_t i = 0; ret >= 0 && s->snaps && i < s->n_snaps; i++) {
        ret = tables_of(s, &s->snaps[i]);
    }
    g_array_sort(s->inactive_l2, by_value);
    return ret;
}

static bool hits_inactive_l2(const Qcow2 *s, uint64_t off, uint64_t len)
{
    guint a = 0, b = s->inactive_l2 ? s->inactive_l2->len : 0;

    /* The first table that ends behind off. */
    while (a < b) {
        guint mid = a + (b - a) / 2;

        if (g_array_index(s->inactive_l2, uint64_t, mid) + s->cluster_size >
            off) {
            b = mid;
        } else {
            a = mid + 1;
        }
    }
    return s->inactive_l2 && a < s->inactive_l2->len &&
           g_array_index(s->inactive_l2, uint64_t, a) < off + len;
}

static uint32_t inactive(const Qcow2 *s, uint32_t what, uint64_t off,
                         uint64_t len)
{
    if ((what & Q2O_INACTIVE_L2) && hits_inactive_l2(s, off, len)) {
        return Q2O_INACTIVE_L2;
    }
    for (uint32_t i = 0; (what & Q2O_INACTIVE_L1) && i < s->n_snaps; i++) {
        if (s->snaps && hits(off, len, s->snaps[i].l1_off,
                             table_bytes(s, s->snaps[i].l1_size))) {
            return Q2O_INACTIVE_L1;
        }
    }
    return 0;
}

static uint32_t overlap_find(Qcow2 *s, uint32_t what, uint64_t off,
                             uint64_t len)
{
    if ((what & Q2O_HEADER) && off < s->cluster_size) {
        return Q2O_HEADER;
    }
    if ((what & Q2O_L1) &&
        hits(off, len, s->l1_off, table_bytes(s, s->l1_size))) {
        return Q2O_L1;
    }
    if ((what & Q2O_REFTABLE) && hits(off, len, s->reftable_off,
        (uint64_t)s->reftable_clusters << s->cluster_bits)) {
        return Q2O_REFTABLE;
    }
    if ((what & Q2O_SNAPSHOTS) && hits(off, len, s->snaps_off,
                                       s->n_snaps ? s->snaps_size : 0)) {
        return Q2O_SNAPSHOTS;
    }
    if ((what & Q2O_BITMAPS) && hits(off, len, s->bitmap_dir_off,
                                     s->n_bitmaps ? s->bitmap_dir_size : 0)) {
        return Q2O_BITMAPS;
    }
    /* The whole lists only for what was handed out; see the callers. */
    if ((what & Q2O_L2) && (hits_cached(&s->l2c, off, len) &&
                            hits_l1(s, off, len))) {
        return Q2O_L2;
    }
    if ((what & Q2O_REFBLOCK) && hits_cached(&s->refc, off, len) &&
        hits_reftable(s, off, len)) {
        return Q2O_REFBLOCK;
    }
    return inactive(s, what, off, len);
}

static const char *overlap_name(uint32_t what)
{
    switch (what) {
    case Q2O_HEADER:
        return "qcow2_header";
    case Q2O_L1:
        return "active L1 table";
    case Q2O_L2:
        return "active L2 table";
    case Q2O_REFTABLE:
        return "refcount table";
    case Q2O_REFBLOCK:
        return "refcount block";
    case Q2O_SNAPSHOTS:
        return "snapshot table";
    case Q2O_INACTIVE_L1:
        return "inactive L1 table";
    case Q2O_INACTIVE_L2:
        return "inactive L2 table";
    default:
        return "bitmap directory";
    }
}

int q2_overlap_check(Qcow2 *s, uint32_t except, uint64_t off, uint64_t len)
{
    uint32_t hit = overlap_find(s, s->overlap & ~except, off, len);

    if (LIKELY(!hit)) {
        return 0;
    }
    q2_corrupt(s, true, off, len, "Preventing invalid write on %s (overlaps "
               "with %s)", except ? "metadata" : "data",
               overlap_name(hit));
    return -EIO;
}
