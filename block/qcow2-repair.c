/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2-repair.c - sets refcounts to what was counted; where their own structure
 * is broken, makes it anew behind the image's last cluster.
 *
 * Thread class: as co_run, the node drained, with the lock.
 *
 * Invariants
 * 1. The new structure is on disk before the header names it; the old one stays
 *    as it is until then.
 */
#include "block/qcow2-check.h"

void q2_check_wrong(Q2Check *k, uint64_t i, uint64_t have, uint64_t want)
{
    Q2Wrong w = { i, have, want };

    g_array_append_val(k->wrong, w);
}

/* ---- the structure anew -------------------------------------------------- */

/* How large: the blocks that cover all of it, and the table. */
static bool plan(const Q2Check *k, uint64_t base, uint64_t *blocks,
                 uint64_t *clusters)
{
    const Qcow2 *s = k->s;
    uint64_t per = s->cluster_size / 8, all, n;

    *blocks = 1;
    for (;;) {
        *clusters = (*blocks + per - 1) / per;
        all = base + *blocks + *clusters;
        n = (all + (UINT64_C(1) << s->ref_bits_entries) - 1) >>
            s->ref_bits_entries;
        if (n <= *blocks) {
            return *clusters <= Q2_REFTABLE_BYTES_MAX >> s->cluster_bits;
        }
        *blocks = n;
    }
}

static int write_blocks(Q2Check *k, uint64_t base, uint64_t blocks,
                        uint64_t clusters)
{
    Qcow2 *s = k->s;
    uint64_t per = UINT64_C(1) << s->ref_bits_entries, c = 0;
    int ret = 0;

    for (uint64_t b = 0; ret >= 0 && b < blocks; b++) {
        memset(k->buf, 0, s->cluster_size);
        for (uint64_t i = 0; i < per; i++, c++) {
            uint64_t v = c < base ? q2_check_refs(k, c)
                                  : c < base + blocks + clusters;

            q2_ref_store(s, k->buf, i, MIN2(v, s->ref_max));
        }
        ret = blk_co_pwrite(s->node.file, (base + b) << s->cluster_bits, k->buf,
                            s->cluster_size, 0);
    }
    return ret;
}

static void uncount(Q2Check *k, uint64_t off, uint64_t len)
{
    uint64_t end = (off + len + k->s->cluster_size - 1) >> k->s->cluster_bits;

    for (uint64_t i = off >> k->s->cluster_bits; i < end && i < k->n; i++) {
        if (k->wide) {
            k->refs32[i] -= k->refs32[i] > 0;
        } else {
            k->refs16[i] -= k->refs16[i] > 0;
        }
    }
}

/* The old table and blocks are not referred to any more. */
static void drop_old(Q2Check *k)
{
    Qcow2 *s = k->s;

    uncount(k, s->reftable_off,
            (uint64_t)s->reftable_clusters << s->cluster_bits);
    for (uint32_t i = 0; i < s->reftable_size; i++) {
        if (s->reftable[i] && s->reftable[i] % s->cluster_size == 0) {
            uncount(k, s->reftable[i], s->cluster_size);
        }
    }
}

static void table_set(Qcow2 *s, uint64_t *table, uint64_t off,
                      uint64_t clusters)
{
    s->reftable = table;
    s->reftable_size = (uint32_t)clusters << (s->cluster_bits - 3);
    s->reftable_off = off;
    s->reftable_clusters = (uint32_t)clusters;
    s->ref_dirty_first = UINT32_MAX;
    s->ref_dirty_end = 0;
    q2_cache_drop_all(&s->refc);
}

/* The header names the new structure; where that fails, the old one again, whose
 * entries have this width. */
static int turn(Q2Check *k, uint64_t base, uint64_t blocks, uint64_t clusters)
{
    Qcow2 *s = k->s;
    uint64_t off = (base + blocks) << s->cluster_bits;
    uint64_t *old = s->reftable, old_off = s->reftable_off;
    uint64_t old_clusters = s->reftable_clusters;
    uint32_t entries = (uint32_t)clusters << (s->cluster_bits - 3);
    g_autofree uint64_t *disk = g_new0(uint64_t, entries);
    uint64_t *table = g_new0(uint64_t, entries);
    int ret;

    for (uint64_t i = 0; i < blocks; i++) {
        table[i] = (base + i) << s->cluster_bits;
        st_be64(&disk[i], table[i]);
    }
    s->unsynced = true;
    ret = blk_co_pwrite(s->node.file, off, disk, (size_t)entries * 8, 0);
    ret = ret < 0 ? ret : q2_barrier(s);
    if (ret >= 0) {
        table_set(s, table, off, clusters);
        ret = q2_header_turn(s);
        if (ret < 0) {
            table_set(s, old, old_off, old_clusters);
            q2_width_set(s, k->old_order);
            q2_header_back(s);
        }
    }
    g_free(ret < 0 ? table : old);
    return ret;
}

int q2_check_build(Q2Check *k)
{
    Qcow2 *s = k->s;
    uint64_t base = k->n, blocks, clusters;
    int ret;

    drop_old(k);
    if (!plan(k, base, &blocks, &clusters)) {
        return -EFBIG;
    }
    ret = write_blocks(k, base, blocks, clusters);
    ret = ret < 0 ? ret : turn(k, base, blocks, clusters);
    if (ret >= 0) {
        k->c->corruptions_fixed += k->refcount_errors;
        k->c->leaks_fixed = k->c->leaks;
        s->free_hint = 0;
        s->fresh = MAX2(s->fresh, (base + blocks + clusters) <<
                                  s->cluster_bits);
        g_array_set_size(k->wrong, 0);
    }
    return ret;
}

/* ---- one by one ---------------------------------------------------------- */

static int set_one(Q2Check *k, const Q2Wrong *w)
{
    Qcow2 *s = k->s;
    uint64_t off = w->cluster << s->cluster_bits;
    bool up = w->want > w->have;
    uint64_t gap = up ? w->want - w->have : w->have - w->want;
    int ret = 0;

    while (ret >= 0 && gap) {          /* twice at most                       */
        int64_t part = (int64_t)MIN2(gap, (uint64_t)INT64_MAX);

        ret = q2_ref_add(s, off, 1, up ? part : -part);
        gap -= (uint64_t)part;
    }
    return ret;
}

/* missing: refcounts that are too low; else those that are too high. */
int q2_check_mend(Q2Check *k, bool missing)
{
    int ret = 0;

    if (missing && k->rebuild && (k->fix & BLKC_FIX_ERRORS)) {
        q2_say(k, "Rebuilding refcount structure");
        return q2_check_build(k);
    }
    for (guint i = 0; ret >= 0 && i < k->wrong->len; i++) {
        const Q2Wrong *w = &g_array_index(k->wrong, Q2Wrong, i);

        if ((w->have < w->want) != missing) {
            continue;
        }
        ret = set_one(k, w);
        if (ret == -ERANGE) {          /* it stays wrong, the others need not */
            q2_say(k, "ERROR cluster %" PRIu64 ": %" PRIu64 " references do not "
                   "fit in %u bits; convert the image to make a clean copy",
                   w->cluster, w->want, 1u << k->s->refcount_order);
            ret = 0;
        } else if (ret >= 0 && missing) {
            k->c->corruptions_fixed++;
        } else if (ret >= 0) {
            k->c->leaks_fixed++;
        }
    }
    return ret;
}
