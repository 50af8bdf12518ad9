/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2-refcount.c - which clusters of the file are used, and by how many; giving
 * them out and taking them back. (the specification: Host cluster management)
 *
 * Thread class: LOOP_CALL(node's loop), with the node's lock.
 *
 * Invariants
 * 1. A refcount block is counted by itself or by one that was there before it.
 * 2. A cluster that is given back keeps its refcount until nothing on disk
 *    points to it and no request that saw the old pointer is in flight.
 * 3. A cluster whose refcount fell to 0 is given out only behind a barrier.
 */
#include "block/qcow2.h"

static uint64_t block_entries(const Qcow2 *s)
{
    return UINT64_C(1) << s->ref_bits_entries;
}

uint64_t q2_ref_load(const Qcow2 *s, const uint8_t *block, uint64_t i)
{
    unsigned width, per;

    switch (s->refcount_order) {
    case 3:
        return block[i];
    case 4:
        return ld_be16(block + i * 2);
    case 5:
        return ld_be32(block + i * 4);
    case 6:
        return ld_be64(block + i * 8);
    default:
        width = 1u << s->refcount_order;
        per = 8 / width;
        return block[i / per] >> (i % per * width) & ((1u << width) - 1);
    }
}

void q2_ref_store(const Qcow2 *s, uint8_t *block, uint64_t i, uint64_t v)
{
    unsigned width, per, shift;

    switch (s->refcount_order) {
    case 3:
        block[i] = (uint8_t)v;
        break;
    case 4:
        st_be16(block + i * 2, (uint16_t)v);
        break;
    case 5:
        st_be32(block + i * 4, (uint32_t)v);
        break;
    case 6:
        st_be64(block + i * 8, v);
        break;
    default:
        width = 1u << s->refcount_order;
        per = 8 / width;
        shift = i % per * width;
        block[i / per] = (uint8_t)((block[i / per] &
                                    ~(((1u << width) - 1) << shift)) |
                                   v << shift);
    }
}

/* ---- blocks -------------------------------------------------------------- */

/* The block of index b, pinned; *e NULL: there is none. */
static int block_get(Qcow2 *s, uint64_t b, Q2Entry **e)
{
    uint64_t off = b < s->reftable_size ? s->reftable[b] : 0;

    *e = NULL;
    if (!off) {
        return 0;
    }
    if (off % s->cluster_size) {
        q2_corrupt(s, true, off, 0, "Refblock offset %#" PRIx64
                   " unaligned (reftable index: %#" PRIx64 ")", off, b);
        return -EIO;
    }
    return q2_cache_get(&s->refc, off, e);
}

int q2_ref_get(Qcow2 *s, uint64_t cluster, uint64_t *v)
{
    Q2Entry *e;
    int ret = block_get(s, cluster >> s->ref_bits_entries, &e);

    *v = 0;
    if (ret >= 0 && e) {
        *v = q2_ref_load(s, e->data, cluster & (block_entries(s) - 1));
        q2_cache_put(e);
    }
    return ret;
}

static void table_set(Qcow2 *s, uint64_t b, uint64_t off)
{
    s->reftable[b] = off;
    s->ref_dirty_first = MIN2(s->ref_dirty_first, (uint32_t)b);
    s->ref_dirty_end = MAX2(s->ref_dirty_end, (uint32_t)b + 1);
}

static void fresh_used(Qcow2 *s, uint64_t end)
{
    s->fresh = MAX2(s->fresh, end);
}

/* Writes the larger table with its first blocks to clusters that no block
 * counts yet, from `base` on, and turns the header to it. */
static int table_move(Qcow2 *s, uint64_t b, uint32_t clusters, uint64_t blocks)
{
    uint64_t cs = s->cluster_size, base = b << s->ref_bits_entries;
    uint32_t entries = clusters << (s->cluster_bits - 3);
    uint64_t old_off = s->reftable_off, used = blocks + clusters;
    uint32_t old_clusters = s->reftable_clusters;
    g_autofree uint8_t *buf = g_malloc0(used * cs);
    uint64_t *table = g_new0(uint64_t, entries), *old = s->reftable;
    uint32_t old_size = s->reftable_size;
    bool turned = false;
    int ret;

    memcpy(table, old, (size_t)old_size * 8);
    for (uint64_t i = 0; i < blocks; i++) {
        table[b + i] = (base + i) * cs;
    }
    for (uint64_t i = 0; i < used; i++) {
        q2_ref_store(s, buf + (i >> s->ref_bits_entries) * cs,
                     i & (block_entries(s) - 1), 1);
    }
    for (uint32_t i = 0; i < entries; i++) {
        st_be64(buf + blocks * cs + (uint64_t)i * 8, table[i]);
    }
    fresh_used(s, (base + used) * cs);
    s->unsynced = true;
    q2_event(s, "reftable_grow");
    ret = q2_cache_write(&s->refc);
    q2_event(s, "refblock_alloc_write_table");
    ret = ret < 0 ? ret : blk_co_pwrite(s->node.file, base * cs, buf,
                                        used * cs, 0);
    ret = ret < 0 ? ret : q2_barrier(s);
    if (ret >= 0) {
        q2_event(s, "refblock_alloc_switch_table");
        s->reftable_off = (base + blocks) * cs;
        s->reftable_clusters = clusters;
        ret = q2_header_turn(s);
        turned = true;
    }
    if (ret < 0) {
        s->reftable_off = old_off;
        s->reftable_clusters = old_clusters;
        if (turned) {
            q2_header_back(s);
        }
        g_free(table);
        return ret;
    }
    s->reftable = table;
    s->reftable_size = entries;
    s->ref_dirty_first = UINT32_MAX;
    s->ref_dirty_end = 0;
    g_free(old);
    q2_free(s, old_off, (uint64_t)old_clusters * cs);
    return 0;
}

/* So that the table has room for block b, whose clusters are all free. */
static int table_grow(Qcow2 *s, uint64_t b)
{
    uint32_t per = s->cluster_size / 8;
    uint64_t clusters = s->reftable_clusters + s->reftable_clusters / 2 + 1;
    uint64_t blocks = 1;

    /* Block b and those behind it count themselves and the table. */
    for (;;) {
        clusters = MAX2(clusters, (b + blocks) / per + 1);
        if (blocks + clusters <= blocks << s->ref_bits_entries) {
            break;
        }
        blocks++;
    }
    if (clusters > Q2_REFTABLE_BYTES_MAX >> s->cluster_bits) {
        return -EFBIG;
    }
    return table_move(s, b, (uint32_t)clusters, blocks);
}

/* As block_get, but makes the block: in the first cluster that it counts. */
static int block_make(Qcow2 *s, uint64_t b, Q2Entry **e)
{
    uint64_t off;
    int ret = block_get(s, b, e);

    if (ret < 0 || *e) {
        return ret;
    }
    if (b >= s->reftable_size) {
        ret = table_grow(s, b);
        return ret < 0 ? ret : block_get(s, b, e);
    }
    off = b << (s->ref_bits_entries + s->cluster_bits);
    if (off >= Q2_OFFSET) {
        return -EFBIG;
    }
    ret = off ? q2_overlap_check(s, 0, off, s->cluster_size) : -EIO;
    ret = ret < 0 ? ret : q2_cache_new(&s->refc, off, e);
    q2_event(s, "refblock_alloc");
    if (ret >= 0) {
        q2_ref_store(s, (*e)->data, 0, 1);
        table_set(s, b, off);
        fresh_used(s, off + s->cluster_size);
    }
    return ret;
}

/* ---- counting ------------------------------------------------------------ */

static int add_range(Qcow2 *s, uint64_t first, uint64_t end, int64_t delta,
                     uint64_t *done)
{
    Q2Entry *e;
    int ret = 0;

    for (*done = first; *done < end;) {
        uint64_t b = *done >> s->ref_bits_entries;
        uint64_t stop = MIN2(end, (b + 1) << s->ref_bits_entries);

        ret = delta > 0 ? block_make(s, b, &e) : block_get(s, b, &e);
        if (ret < 0) {
            return ret;
        }
        for (; e && *done < stop; ++*done) {
            uint64_t i = *done & (block_entries(s) - 1);
            uint64_t v = q2_ref_load(s, e->data, i);

            if (delta > 0 ? (uint64_t)delta > s->ref_max - v
                          : v < (uint64_t)-delta) {
                q2_cache_put(e);
                return delta > 0 ? -ERANGE : -EINVAL;
            }
            v += (uint64_t)delta;
            q2_ref_store(s, e->data, i, v);
            q2_cache_dirty(&s->refc, e);
            if (!v && *done < s->free_hint) {
                s->free_hint = *done;
            }
        }
        if (!e) {
            return -EINVAL;
        }
        q2_cache_put(e);
    }
    return 0;
}

int q2_ref_add(Qcow2 *s, uint64_t off, uint64_t len, int64_t delta)
{
    uint64_t first = off >> s->cluster_bits, done, undone;
    uint64_t end = (off + len + s->cluster_size - 1) >> s->cluster_bits;
    int ret = add_range(s, first, end, delta, &done);

    if (ret < 0 && done > first) {
        add_range(s, first, done, -delta, &undone);
    }
    return ret;
}

/* ---- giving out ---------------------------------------------------------- */

/* Free clusters in a row from `at` on, at most n, not past the block's end. */
static uint64_t free_run(const Qcow2 *s, const uint8_t *block, uint64_t at,
                         uint64_t n)
{
    uint64_t i = at & (block_entries(s) - 1), k = 0;

    while (k < n && i + k < block_entries(s) &&
           !q2_ref_load(s, block, i + k)) {
        k++;
    }
    return k;
}

/* The next free cluster from `at` on, or the block's end. */
static uint64_t used_end(const Qcow2 *s, const uint8_t *block, uint64_t at)
{
    uint64_t i = at & (block_entries(s) - 1), base = at - i;

    while (i < block_entries(s) && q2_ref_load(s, block, i)) {
        i++;
    }
    return base + i;
}

/* The first run of free clusters (exact: of n) from the hint on. */
static int find_run(Qcow2 *s, uint64_t n, bool exact, uint64_t *at,
                    uint64_t *len)
{
    uint64_t c = s->free_hint;
    bool first = true;
    Q2Entry *e;
    int ret;

    *len = 0;
    *at = c;
    while (*len < n) {
        uint64_t b = c >> s->ref_bits_entries, k;

        /* A block that is missing is made: it takes the first cluster. */
        ret = block_make(s, b, &e);
        if (ret < 0) {
            return ret;
        }
        k = free_run(s, e->data, c, n - *len);
        if (k) {
            *at = *len ? *at : c;
            s->free_hint = first ? c : s->free_hint;
            first = false;
            *len += k;
            c += k;
        }
        if (!k || c & (block_entries(s) - 1)) {
            if (*len >= n || (*len && !exact)) {
                q2_cache_put(e);
                return 0;
            }
            *len = 0;
            c = used_end(s, e->data, c);
        }
        q2_cache_put(e);
    }
    return 0;
}

static int take_run(Qcow2 *s, uint64_t at, uint64_t n)
{
    uint64_t off = at << s->cluster_bits, len = n << s->cluster_bits;
    int ret;

    if (off + len > Q2_OFFSET) {
        return -EFBIG;
    }
    if (!at) {
        q2_corrupt(s, true, 0, 0, "Preventing invalid allocation of cluster "
                   "at offset 0");
        return -EIO;
    }
    ret = q2_overlap_check(s, 0, off, len);
    if (ret >= 0 && s->reuse_barrier && off < s->fresh) {
        ret = q2_meta_write(s, false);
        ret = ret < 0 ? ret : q2_barrier(s);
        s->reuse_barrier = ret < 0;
    }
    ret = ret < 0 ? ret : q2_ref_add(s, off, len, 1);
    if (ret >= 0) {
        s->free_hint = at == s->free_hint ? at + n : s->free_hint;
        s->got_fresh = off >= s->fresh;
        fresh_used(s, off + len);
    }
    return ret;
}

int64_t q2_alloc(Qcow2 *s, uint64_t n, bool exact, uint64_t *got)
{
    uint64_t at = 0, len = 0;
    int ret;

    if (s->corrupt) {
        return -EIO;
    }
    q2_event(s, "cluster_alloc");
    /* What was given back is used first when there is much of it. */
    if (q2_frees_due(s)) {
        ret = q2_meta_write(s, true);
        if (ret < 0) {
            return ret;
        }
    }
    ret = find_run(s, n, exact, &at, &len);
    ret = ret < 0 ? ret : take_run(s, at, len);
    if (got) {
        *got = len;
    }
    return ret < 0 ? ret : (int64_t)(at << s->cluster_bits);
}

int64_t q2_alloc_at(Qcow2 *s, uint64_t off, uint64_t n)
{
    uint64_t c = off >> s->cluster_bits, k;
    Q2Entry *e;
    int ret;

    if (s->corrupt) {
        return -EIO;
    }
    ret = block_make(s, c >> s->ref_bits_entries, &e);
    if (ret < 0) {
        return ret;
    }
    k = free_run(s, e->data, c, n);
    q2_cache_put(e);
    ret = k ? take_run(s, c, k) : 0;
    return ret < 0 ? ret : (int64_t)k;
}

int64_t q2_alloc_bytes(Qcow2 *s, uint32_t len)
{
    uint64_t cs = s->cluster_size, off = s->bytes_off, ref = 0;
    uint64_t left = off ? cs - (off & (cs - 1)) : 0;
    int64_t next = 0;
    int ret = 0;

    q2_event(s, "cluster_alloc_bytes");
    if (left == cs) {
        left = 0;
    }
    if (left) {
        ret = q2_ref_get(s, off >> s->cluster_bits, &ref);
        if (ret < 0 || !ref || ref >= s->ref_max) {
            left = 0;
        }
    }
    if (left < len) {
        next = q2_alloc(s, 1, true, NULL);
        if (next < 0) {
            return next;
        }
        if (!left || (uint64_t)next != ALIGN_UP(off, cs)) {
            off = (uint64_t)next;
            left = 0;
        }
    }
    /* One more user of the cluster that is shared with what came before. */
    ret = left ? q2_ref_add(s, off, 1, 1) : 0;
    if (ret < 0) {
        if (next) {
            q2_free(s, (uint64_t)next, cs);
        }
        return ret;
    }
    s->bytes_off = off + len;
    return (int64_t)off;
}

/* ---- taking back --------------------------------------------------------- */

void q2_free(Qcow2 *s, uint64_t off, uint64_t len)
{
    Q2Run r = { off, ALIGN_UP(len, s->cluster_size), s->pass_discard };
    Q2Run *last = s->frees->len
                  ? &g_array_index(s->frees, Q2Run, s->frees->len - 1) : NULL;

    s->frees_bytes += r.len;
    if (last && last->off + last->len == r.off && last->pass == r.pass) {
        last->len += r.len;
    } else {
        g_array_append_val(s->frees, r);
    }
}

void q2_free_entry(Qcow2 *s, uint64_t l2_entry)
{
    uint64_t off = l2_entry & Q2_OFFSET, at;
    uint32_t len;

    if (l2_entry & Q2_COMPRESSED) {
        s->memo_entry = 0;
        s->comp_gen++;
        q2_compressed_at(s, l2_entry, &at, &len);
        off = ALIGN_DOWN(at, s->cluster_size);
        q2_free(s, off, at + len - off);
    } else if (off && !s->data_ext) {
        q2_free(s, off, s->cluster_size);
    }
}

bool q2_frees_due(const Qcow2 *s)
{
    return s->frees->len > 4096 || s->frees_bytes > 256 * MiB;
}

static int run_apply(Qcow2 *s, const Q2Run *r)
{
    uint64_t end = r->off + r->len, ref, from = 0;
    int ret;

    q2_event(s, "cluster_free");
    ret = q2_ref_add(s, r->off, r->len, -1);

    if (ret < 0) {
        if (ret == -EINVAL) {
            q2_corrupt(s, false, r->off, r->len, "Cluster at %#" PRIx64 " was "
                       "given back that nobody had", r->off);
            return 0;
        }
        return ret;
    }
    for (uint64_t at = r->off; at <= end; at += s->cluster_size) {
        /* One that cannot be read counts as used: its run has been given
         * back, and must not be again. */
        if (at == end || q2_ref_get(s, at >> s->cluster_bits, &ref) < 0) {
            ref = 1;
        }
        if (!ref && !from) {
            from = at;
        } else if (ref && from) {
            q2_cache_forget(&s->l2c, from, at - from);
            if (s->bytes_off >= from && s->bytes_off <= at) {
                s->bytes_off = 0;
            }
            if (r->pass) {
                blk_co_discard(s->node.file, from, at - from);
            }
            from = 0;
        }
    }
    return 0;
}

/* Older ones first; newer ones wait for the requests that are in flight. */
int q2_frees_apply(Qcow2 *s)
{
    bool idle = !s->io[0] && !s->io[1];

    for (int round = 0; round < 2; round++) {
        GArray *done = s->frees_old;
        int ret = 0;

        if (!idle && s->io[!s->epoch]) {
            return 0;
        }
        while (ret >= 0 && done->len) {
            Q2Run r = g_array_index(done, Q2Run, done->len - 1);

            g_array_set_size(done, done->len - 1);
            ret = run_apply(s, &r);
            if (ret < 0) {
                g_array_append_val(done, r);
                return ret;
            }
            s->frees_bytes -= MIN2(r.len, s->frees_bytes);
            s->reuse_barrier = true;
        }
        s->frees_old = s->frees;
        s->frees = done;
        s->epoch = !s->epoch;
        if (!idle) {
            break;
        }
    }
    return 0;
}
