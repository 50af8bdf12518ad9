/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2-check.c - counts what refers to each cluster of the file and compares it
 * with the refcounts; `check -r` mends them.
 *
 * Thread class: as co_run, the node drained.
 *
 * Invariants
 * 1. Memory is bounded by the file's length, not by what tables say: a reference
 *    behind the file's end is a finding.
 * 2. Mending adds references before flags, and flags before references go away.
 */
#include <stdarg.h>
#include "block/qcow2-check.h"

void q2_say(Q2Check *k, const char *fmt, ...)
{
    g_autofree char *text = NULL;
    va_list ap;

    if (!k->c->say) {
        return;
    }
    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    k->c->say(k->c->arg, text);
}

uint64_t q2_check_refs(const Q2Check *k, uint64_t i)
{
    return i >= k->n ? 0 : k->wide ? k->refs32[i] : k->refs16[i];
}

static void refs_inc(Q2Check *k, uint64_t i)
{
    if (k->wide) {
        k->refs32[i] += k->refs32[i] != UINT32_MAX;
    } else {
        k->refs16[i] += k->refs16[i] != UINT16_MAX;
    }
}

/* One more reference to the clusters of an area (invariant 1). */
void q2_check_count(Q2Check *k, uint64_t off, uint64_t len)
{
    unsigned bits = k->s->cluster_bits;
    uint64_t first = off >> bits, last;

    if (!len) {
        return;
    }
    if (off > INT64_MAX || len > INT64_MAX ||
        off + len >= k->s->node.file->length + k->s->cluster_size) {
        q2_say(k, "ERROR: counting reference for region exceeding the end of "
               "the file by one cluster or more: offset 0x%" PRIx64 " size 0x%"
               PRIx64, off, len);
        k->c->corruptions++;
        if (first >= k->n) {
            return;
        }
        len = MIN2(len, (k->n << bits) - off);
    }
    last = (off + len - 1) >> bits;
    for (uint64_t i = first; i <= last; i++) {
        refs_inc(k, i);
    }
}

/* ---- L2 tables ----------------------------------------------------------- */

static void fragment(Q2Check *k, uint64_t off)
{
    if (k->next && off != k->next) {
        k->c->fragmented_clusters++;
    }
    k->next = off + k->s->cluster_size;
    k->c->allocated_clusters++;
}

static void count_compressed(Q2Check *k, uint64_t v, bool active)
{
    uint64_t at, first;
    uint32_t len;

    if (k->s->data_ext) {
        q2_say(k, "ERROR compressed cluster %" PRIu64 " in an image with a "
               "data file", v);
        k->c->corruptions++;
        return;
    }
    if (v & Q2_COPIED) {
        q2_say(k, "ERROR: coffset=0x%" PRIx64 ": copied flag must never be set "
               "for compressed clusters", v & Q2_OFFSET);
        k->c->corruptions++;
    }
    q2_compressed_at(k->s, v, &at, &len);
    first = ALIGN_DOWN(at, k->s->cluster_size);
    q2_check_count(k, first, at + len - first);
    if (active) {
        k->c->allocated_clusters++;
        k->c->compressed_clusters++;
        k->c->fragmented_clusters++;
    }
}

static void count_odd(Q2Check *k, uint64_t v, uint64_t sub, bool active)
{
    uint64_t off = v & Q2_OFFSET;

    if (v & Q2_COMPRESSED) {
        count_compressed(k, v, active);
        return;
    }
    if (v & Q2_RESERVED || ((v & Q2_ZERO) &&
                            (k->s->version < 3 || k->s->ext_l2))) {
        q2_say(k, "ERROR found l2 entry with reserved bits set: %" PRIx64, v);
        k->c->corruptions++;
    }
    if (off & (k->s->cluster_size - 1)) {
        q2_say(k, "ERROR offset=%" PRIx64 ": Cluster is not properly aligned; "
               "L2 entry corrupted.", off);
        k->c->corruptions++;
        return;
    }
    if ((sub & sub >> 32 & UINT32_MAX) || (!off && !k->s->data_ext &&
                                           (uint32_t)sub)) {
        q2_say(k, "ERROR offset=%" PRIx64 ": Subcluster bitmap is invalid", off);
        k->c->corruptions++;
    }
    if (k->s->data_ext) {
        k->c->allocated_clusters += active && (v & Q2_COPIED);
    } else if (off) {
        if (active) {
            fragment(k, off);
        }
        q2_check_count(k, off, k->s->cluster_size);
    }
}

static void count_table(Q2Check *k, const uint8_t *t, bool active)
{
    const Qcow2 *s = k->s;
    uint32_t n = 1u << s->l2_bits;
    uint64_t odd = Q2_COMPRESSED | Q2_RESERVED | Q2_ZERO |
                   ((uint64_t)s->cluster_size - 512);

    for (uint32_t i = 0; i < n; i++) {
        uint64_t v = ld_be64(t + (size_t)i * s->l2_entry);
        uint64_t sub = s->ext_l2 ? ld_be64(t + (size_t)i * 16 + 8) : 0, c;

        if (!v && !sub) {
            continue;
        }
        c = (v & Q2_OFFSET) >> s->cluster_bits;
        if (UNLIKELY((v & odd) || sub || s->data_ext || c >= k->n || !c)) {
            count_odd(k, v, sub, active);
            continue;
        }
        if (active) {
            fragment(k, v & Q2_OFFSET);
        }
        refs_inc(k, c);
    }
}

static bool table_at(Q2Check *k, uint64_t l1e, uint64_t *at)
{
    *at = l1e & Q2_OFFSET;
    if (l1e & Q2_L1_RESERVED) {
        q2_say(k, "ERROR found L1 entry with reserved bits set: %" PRIx64, l1e);
        k->c->corruptions++;
    }
    if (*at & (k->s->cluster_size - 1)) {
        q2_say(k, "ERROR l2_offset=%" PRIx64 ": Table is not cluster aligned; "
               "L1 entry corrupted", *at);
        k->c->corruptions++;
        return false;
    }
    return *at && (*at >> k->s->cluster_bits) < k->n;
}

static int count_l1(Q2Check *k, uint64_t off, const uint64_t *l1, uint32_t n,
                    bool active)
{
    uint64_t at;
    int ret;

    q2_check_count(k, off, (uint64_t)n * 8);
    for (uint32_t i = 0; i < n; i++) {
        if (!l1[i]) {
            continue;
        }
        if (!table_at(k, l1[i], &at)) {
            if (at) {
                q2_check_count(k, ALIGN_DOWN(at, k->s->cluster_size),
                               k->s->cluster_size);
            }
            continue;
        }
        refs_inc(k, at >> k->s->cluster_bits);
        ret = blk_co_pread(k->s->node.file, at, k->buf, k->s->cluster_size);
        if (ret < 0) {
            k->c->check_errors++;
            return ret;
        }
        count_table(k, k->buf, active);
    }
    return 0;
}

static int count_snapshots(Q2Check *k)
{
    Qcow2 *s = k->s;
    int ret = 0;

    for (uint32_t i = 0; ret >= 0 && s->snaps && i < s->n_snaps; i++) {
        const Q2Snap *p = &s->snaps[i];
        g_autofree uint64_t *l1 = NULL;

        if (p->l1_size > Q2_L1_BYTES_MAX / 8 ||
            !q2_area_ok(s, p->l1_off, p->l1_size, 8)) {
            q2_say(k, "ERROR snapshot %s (%s) l1_offset=%#" PRIx64 ": L1 table "
                   "is not cluster aligned; snapshot table entry corrupted",
                   p->id, p->name, p->l1_off);
            k->c->corruptions++;
            continue;
        }
        l1 = g_try_new0(uint64_t, MAX2(p->l1_size, 1));
        ret = l1 ? blk_co_pread(s->node.file, p->l1_off, l1,
                                (size_t)p->l1_size * 8) : -ENOMEM;
        for (uint32_t j = 0; ret >= 0 && j < p->l1_size; j++) {
            l1[j] = ld_be64(&l1[j]);
        }
        ret = ret < 0 ? ret : count_l1(k, p->l1_off, l1, p->l1_size, false);
    }
    q2_check_count(k, s->snaps_off, s->n_snaps ? s->snaps_size : 0);
    return ret;
}

static int count_all(Q2Check *k)
{
    Qcow2 *s = k->s;
    int ret;

    q2_check_count(k, 0, s->cluster_size);
    ret = count_l1(k, s->l1_off, s->l1, s->l1_size, true);
    ret = ret < 0 ? ret : count_snapshots(k);
    ret = ret < 0 ? ret : q2_bitmaps_count(k);
    q2_check_count(k, s->crypt_off, s->crypt_len);
    q2_check_count(k, s->reftable_off,
                   (uint64_t)s->reftable_clusters << s->cluster_bits);
    for (uint32_t i = 0; ret >= 0 && i < s->reftable_size; i++) {
        uint64_t off = s->reftable[i];

        if (!off) {
            continue;
        }
        if (off % s->cluster_size || off >> s->cluster_bits >= k->n) {
            q2_say(k, off % s->cluster_size
                   ? "ERROR refcount block %u is not cluster aligned; refcount "
                     "table entry corrupted"
                   : "ERROR refcount block %u is outside image", i);
            k->c->corruptions++;
            k->refcount_errors++;
            k->rebuild = true;
            continue;
        }
        q2_check_count(k, off, s->cluster_size);
        if (q2_check_refs(k, off >> s->cluster_bits) != 1) {
            q2_say(k, "ERROR refcount block %u refcount=%" PRIu64, i,
                   q2_check_refs(k, off >> s->cluster_bits));
            k->rebuild = true;
        }
    }
    return ret;
}

/* ---- comparing ----------------------------------------------------------- */

static void one_cluster(Q2Check *k, uint64_t i, uint64_t have, bool first)
{
    BlkCheck *c = k->c;
    uint64_t want = q2_check_refs(k, i);
    bool leak = have > want;
    int fix = leak ? BLKC_FIX_LEAKS : BLKC_FIX_ERRORS;

    if (want) {
        c->image_end_offset = (i + 1) << k->s->cluster_bits;
    }
    if (LIKELY(have == want)) {
        return;
    }
    if (first) {
        q2_say(k, "%s cluster %" PRIu64 " refcount=%" PRIu64 " reference=%"
               PRIu64, k->fix & fix ? "Repairing"
               : leak ? "Leaked" : "ERROR", i, have, want);
        if (leak) {
            c->leaks++;
        } else {
            c->corruptions++;
            /* What the width cannot say stays wrong. */
            k->refcount_errors += want <= k->s->ref_max;
        }
    }
    if (k->fix & fix) {
        q2_check_wrong(k, i, have, want);
    }
}

/* Walks all refcounts, and what lies between blocks. */
static int compare(Q2Check *k)
{
    Qcow2 *s = k->s;
    uint64_t per = UINT64_C(1) << s->ref_bits_entries;

    for (uint64_t b = 0; b < s->reftable_size || b * per < k->n; b++) {
        uint64_t off = b < s->reftable_size ? s->reftable[b] : 0;
        bool there = off && !(off % s->cluster_size) &&
                     off >> s->cluster_bits < k->n;
        int ret = there ? blk_co_pread(s->node.file, off, k->buf,
                                       s->cluster_size) : 0;

        if (ret < 0) {
            k->c->check_errors++;
            return ret;
        }
        if (!there && b * per >= k->n) {
            continue;
        }
        for (uint64_t i = 0; i < per; i++) {
            uint64_t c = b * per + i;
            uint64_t have = there ? q2_ref_load(s, k->buf, i) : 0;

            if (!there && c >= k->n) {
                break;
            }
            if (!there && q2_check_refs(k, c)) {
                k->rebuild = true;
            }
            one_cluster(k, c, have, true);
        }
    }
    return 0;
}

/* Is a flag as it should be? While nothing is mended, what the refcount table
 * says decides: a cluster that it counts too often is copied for nothing, and
 * that is a leak's affair. */
static bool flag_ok(Q2Check *k, uint64_t c, bool copied)
{
    uint64_t stored;

    if (LIKELY((q2_check_refs(k, c) == 1) == copied)) {
        return true;
    }
    return !k->fix && !copied && q2_ref_get(k->s, c, &stored) >= 0 &&
           stored > 1;
}

static int flags_table(Q2Check *k, uint64_t at, bool *changed)
{
    Qcow2 *s = k->s;
    int ret = blk_co_pread(s->node.file, at, k->buf, s->cluster_size);

    *changed = false;
    for (uint32_t i = 0; ret >= 0 && i < 1u << s->l2_bits; i++) {
        uint8_t *p = k->buf + (size_t)i * s->l2_entry;
        uint64_t v = ld_be64(p), c = (v & Q2_OFFSET) >> s->cluster_bits;

        if (v & Q2_COMPRESSED || (!c && !s->data_ext) || s->data_ext) {
            continue;
        }
        if (flag_ok(k, c, v & Q2_COPIED)) {
            continue;
        }
        q2_say(k, "%s OFLAG_COPIED data cluster: l2_entry=%" PRIx64
               " refcount=%" PRIu64, k->fix_flags ? "Repairing" : "ERROR", v,
               q2_check_refs(k, c));
        k->c->corruptions++;
        if (k->fix_flags) {
            st_be64(p, v ^ Q2_COPIED);
            k->c->corruptions_fixed++;
            *changed = true;
        }
    }
    return ret;
}

static int flags(Q2Check *k)
{
    Qcow2 *s = k->s;
    uint64_t at;
    bool changed;
    int ret = 0;

    for (uint32_t i = 0; ret >= 0 && i < s->l1_size; i++) {
        at = s->l1[i] & Q2_OFFSET;
        if (!at || at & (s->cluster_size - 1) || at >> s->cluster_bits >= k->n) {
            continue;
        }
        if (!flag_ok(k, at >> s->cluster_bits, s->l1[i] & Q2_COPIED)) {
            q2_say(k, "%s OFLAG_COPIED L2 cluster: l1_index=%u l1_entry=%"
                   PRIx64 " refcount=%" PRIu64,
                   k->fix_flags ? "Repairing" : "ERROR", i,
                   s->l1[i], q2_check_refs(k, at >> s->cluster_bits));
            k->c->corruptions++;
            if (k->fix_flags) {
                s->l1[i] ^= Q2_COPIED;
                s->l1_dirty_first = MIN2(s->l1_dirty_first, i);
                s->l1_dirty_end = MAX2(s->l1_dirty_end, i + 1);
                k->c->corruptions_fixed++;
            }
        }
        ret = flags_table(k, at, &changed);
        if (ret >= 0 && changed) {
            ret = blk_co_pwrite(s->node.file, at, k->buf, s->cluster_size, 0);
            q2_cache_drop_all(&s->l2c);
            s->unsynced = true;
        }
    }
    return ret;
}

/* ---- the whole ----------------------------------------------------------- */

static bool check_begin(Q2Check *k, Error **errp)
{
    Qcow2 *s = k->s;

    k->n = (s->node.file->length + 2 * (uint64_t)s->cluster_size - 1) >>
           s->cluster_bits;
    k->wide = s->refcount_order > 4;
    k->buf = g_malloc(s->cluster_size);
    k->wrong = g_array_new(false, false, sizeof(Q2Wrong));
    if (k->wide) {
        k->refs32 = calloc(MAX2(k->n, 1), sizeof(*k->refs32));
    } else {
        k->refs16 = calloc(MAX2(k->n, 1), sizeof(*k->refs16));
    }
    if (k->wide ? !k->refs32 : !k->refs16) {
        return error_set(errp, "Not enough memory for %" PRIu64 " clusters",
                         k->n);
    }
    return true;
}

static void check_end(Q2Check *k)
{
    free(k->refs16);
    free(k->refs32);
    g_free(k->buf);
    g_array_free(k->wrong, true);
}

static int check_run(Q2Check *k)
{
    Qcow2 *s = k->s;
    int ret = count_all(k);

    k->c->total_clusters = (s->disk_size + s->cluster_size - 1) >>
                           s->cluster_bits;
    ret = ret < 0 ? ret : compare(k);
    /* Leaks that are mended leave flags behind that were right before. */
    k->fix_flags = k->fix & BLKC_FIX_ERRORS ||
                   (k->fix && !k->c->corruptions && !k->c->check_errors);
    if (ret >= 0 && k->fix) {
        ret = q2_check_mend(k, true);
    }
    ret = ret < 0 ? ret : flags(k);
    if (ret >= 0 && k->fix) {
        ret = q2_meta_write(s, false);
        ret = ret < 0 ? ret : q2_barrier(s);
        ret = ret < 0 ? ret : q2_check_mend(k, false);
        ret = ret < 0 ? ret : q2_flush(s);
    }
    return ret;
}

/* Nothing is wrong any more: the marks in the header go. */
static int marks_clear(Q2Check *k)
{
    Qcow2 *s = k->s;
    const BlkCheck *c = k->c;
    bool clean = c->corruptions == c->corruptions_fixed &&
                 c->leaks == c->leaks_fixed && !c->check_errors;

    if (!k->fix || !clean || !(s->incompat & (Q2I_DIRTY | Q2I_CORRUPT)) ||
        !(k->fix & BLKC_FIX_ERRORS)) {
        return 0;
    }
    s->incompat &= ~(uint64_t)(Q2I_DIRTY | Q2I_CORRUPT);
    s->corrupt = s->corrupt_said = s->unsettled = false;
    return q2_features_write(s);
}

int q2_check(BlkNode *n, BlkCheck *c, int fix, Error **errp)
{
    Q2Check k = { .s = q2_of(n), .c = c, .fix = fix,
                  .old_order = q2_of(n)->refcount_order };
    Qcow2 *s = k.s;
    int ret = 0;

    q2_lock(s);
    if (!n->read_only && !(n->flags & BLKO_INACTIVE)) {
        s->settling = true;
        ret = q2_meta_write(s, true);
        s->settling = false;
    }
    if (ret >= 0) {
        ret = check_begin(&k, errp) ? check_run(&k) : -ENOMEM;
        ret = ret < 0 ? ret : marks_clear(&k);
        check_end(&k);
    }
    q2_unlock(s);
    if (ret < 0 && errp && !*errp) {
        error_set_errno(errp, -ret, "Check failed");
    }
    return ret;
}

static uint64_t width_max(uint32_t order)
{
    return order == 6 ? INT64_MAX : (UINT64_C(1) << (1u << order)) - 1;
}

void q2_width_set(Qcow2 *s, uint32_t order)
{
    q2_cache_drop_all(&s->refc);
    s->refcount_order = order;
    s->ref_bits_entries = s->cluster_bits + 3 - order;
    s->ref_max = width_max(order);
}

int q2_check_rebuild(Qcow2 *s, uint32_t order)
{
    BlkCheck c = { 0 };
    Q2Check k = { .s = s, .c = &c, .old_order = s->refcount_order };
    uint64_t max = width_max(order);
    int ret;

    q2_lock(s);
    s->settling = true;
    ret = q2_flush(s);
    s->settling = false;
    if (ret < 0 || !check_begin(&k, NULL)) {
        q2_unlock(s);
        return ret < 0 ? ret : -ENOMEM;
    }
    ret = count_all(&k);
    ret = ret < 0 ? ret : c.corruptions ? -EINVAL : 0;
    for (uint64_t i = 0; ret >= 0 && i < k.n; i++) {
        ret = q2_check_refs(&k, i) > max ? -ERANGE : 0;
    }
    if (ret >= 0) {
        q2_width_set(s, order);
        ret = q2_check_build(&k);
        if (ret < 0) {
            q2_width_set(s, k.old_order);
        }
    }
    check_end(&k);
    q2_unlock(s);
    return ret;
}
