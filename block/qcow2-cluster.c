/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2-cluster.c - from guest offsets to places in the file: L1 and L2 tables.
 * (the specification: Cluster mapping, Extended L2 Entries)
 *
 * Thread class: LOOP_CALL(node's loop), with the node's lock where it may wait.
 *
 * Invariants
 * 1. An entry is checked (alignment, reserved bits) before its offset is used; a
 *    bad one marks the image and fails the request, others go on.
 * 2. An L2 table that an L1 entry without "copied" names is never written: it is
 *    copied first.
 * 3. Of a piece whose entries are known to be a run none is looked at: memory
 *    that is far from the processor. What changes a piece ends that.
 * 4. The L1 table in memory is ahead of the file only within l1_dirty.
 */
#include "block/qcow2.h"

/* ---- entries ------------------------------------------------------------- */

uint64_t q2_entry(const Qcow2 *s, const Q2Entry *e, uint32_t i)
{
    return ld_be64(e->data + (size_t)i * s->l2_entry);
}

uint64_t q2_entry_sub(const Qcow2 *s, const Q2Entry *e, uint32_t i)
{
    return s->ext_l2 ? ld_be64(e->data + (size_t)i * 16 + 8) : 0;
}

void q2_entry_set(Qcow2 *s, Q2Entry *e, uint32_t i, uint64_t v, uint64_t sub)
{
    st_be64(e->data + (size_t)i * s->l2_entry, v);
    if (s->ext_l2) {
        st_be64(e->data + (size_t)i * 16 + 8, sub);
    }
    q2_cache_dirty(&s->l2c, e);
}

void q2_compressed_at(const Qcow2 *s, uint64_t entry, uint64_t *off,
                      uint32_t *len)
{
    unsigned x = 62 - (s->cluster_bits - 8);
    uint64_t sectors;

    *off = entry & ((UINT64_C(1) << MIN2(x, 56)) - 1);
    sectors = ((entry & (Q2_COMPRESSED - 1)) >> x) + 1;
    *len = (uint32_t)(sectors * 512 - (*off & 511));
}

static Q2Kind kind_plain(const Qcow2 *s, uint64_t v)
{
    uint64_t off = v & Q2_OFFSET;

    if (v & Q2_COMPRESSED) {
        return s->data_ext ? Q2K_BAD : Q2K_COMPRESSED;
    }
    if ((v & Q2_RESERVED) || off & (s->cluster_size - 1) ||
        ((v & Q2_ZERO) && s->version < 3)) {
        return Q2K_BAD;
    }
    if (!off && !(s->data_ext && (v & Q2_COPIED))) {
        return v & Q2_ZERO ? Q2K_ZERO : Q2K_NONE;
    }
    return v & Q2_ZERO ? Q2K_ZERO_ALLOC : Q2K_DATA;
}

/* Of one subcluster; *alike: how many from it on are of that kind. */
static Q2Kind kind_sub(const Qcow2 *s, uint64_t v, uint64_t sub, unsigned i,
                       unsigned *alike)
{
    Q2Kind whole = kind_plain(s, v & ~Q2_ZERO), k = Q2K_BAD;
    uint32_t data = (uint32_t)sub, zero = (uint32_t)(sub >> 32), same;

    *alike = 32 - i;
    if (whole == Q2K_COMPRESSED) {
        return whole;
    }
    if (whole == Q2K_BAD || (v & Q2_ZERO) || (data & zero) ||
        (whole == Q2K_NONE && data)) {
        return Q2K_BAD;
    }
    if (data >> i & 1) {
        k = Q2K_DATA;
        same = ~data;
    } else if (zero >> i & 1) {
        k = whole == Q2K_NONE ? Q2K_ZERO : Q2K_ZERO_ALLOC;
        same = ~zero;
    } else {
        k = whole == Q2K_NONE ? Q2K_NONE : Q2K_NONE_ALLOC;
        same = data | zero;
    }
    same >>= i;
    *alike = same ? MIN2(*alike, (unsigned)__builtin_ctz(same)) : *alike;
    return k;
}

static bool has_host(Q2Kind k)
{
    return k == Q2K_DATA || k == Q2K_ZERO_ALLOC || k == Q2K_NONE_ALLOC;
}

/* ---- runs ---------------------------------------------------------------- */

/* Looked at once, when it has been loaded (invariant 3). */
static void shape_find(const Qcow2 *s, Q2Entry *e)
{
    uint32_t n = 1u << s->slice_bits;
    uint64_t v = q2_entry(s, e, 0), cs = s->cluster_size;

    e->shape = Q2S_ANY;
    if (s->ext_l2 || kind_plain(s, v) != Q2K_DATA ||
        (v & Q2_OFFSET) > Q2_OFFSET - n * cs) {
        return;
    }
    for (uint32_t i = 1; i < n; i++) {
        if (q2_entry(s, e, i) != v + i * cs) {
            return;
        }
    }
    e->run = v;
    e->shape = Q2S_RUN;
}

static void map_run(const Qcow2 *s, const Q2Entry *e, uint32_t i, uint64_t in,
                    Q2Map *m)
{
    m->kind = Q2K_DATA;
    m->copied = e->run & Q2_COPIED;
    m->host = (e->run & Q2_OFFSET) + ((uint64_t)i << s->cluster_bits) + in;
    m->len = ((uint64_t)((1u << s->slice_bits) - i) << s->cluster_bits) - in;
}

/* Fills m from entry i on, for at most len bytes from offset `in` of it. */
static void map_plain(const Qcow2 *s, const Q2Entry *e, uint32_t i,
                      uint64_t in, uint64_t len, Q2Map *m)
{
    uint64_t cs = s->cluster_size, v = q2_entry(s, e, i), want;
    uint32_t end = 1u << s->slice_bits;

    m->kind = kind_plain(s, v);
    m->copied = v & Q2_COPIED;
    m->host = has_host(m->kind) ? (v & Q2_OFFSET) + in : v;
    m->len = cs - in;
    if (m->kind == Q2K_COMPRESSED || m->kind == Q2K_BAD) {
        return;
    }
    want = v;
    while (m->len < len && ++i < end) {
        want += has_host(m->kind) ? cs : 0;
        if (q2_entry(s, e, i) != want) {
            break;
        }
        m->len += cs;
    }
}

static void map_ext(const Qcow2 *s, const Q2Entry *e, uint32_t i, uint64_t in,
                    uint64_t len, Q2Map *m)
{
    uint64_t cs = s->cluster_size, v = q2_entry(s, e, i), want = v;
    unsigned sub = (unsigned)(in >> s->sub_bits), alike;
    uint32_t end = 1u << s->slice_bits;

    m->kind = kind_sub(s, v, q2_entry_sub(s, e, i), sub, &alike);
    m->copied = v & Q2_COPIED;
    m->host = has_host(m->kind) ? (v & Q2_OFFSET) + in : v;
    m->len = ((uint64_t)(sub + alike) << s->sub_bits) - in;
    if (m->kind == Q2K_COMPRESSED || m->kind == Q2K_BAD) {
        return;
    }
    while (m->len < len && sub + alike == 32 && ++i < end) {
        want += has_host(m->kind) ? cs : 0;
        sub = 0;
        if (q2_entry(s, e, i) != want ||
            kind_sub(s, want, q2_entry_sub(s, e, i), 0, &alike) != m->kind) {
            break;
        }
        m->len += (uint64_t)alike << s->sub_bits;
    }
}

static uint32_t slice_index(const Qcow2 *s, uint64_t off)
{
    return (uint32_t)(off >> s->cluster_bits) & ((1u << s->slice_bits) - 1);
}

static uint64_t slice_off(const Qcow2 *s, uint64_t table, uint64_t off)
{
    uint64_t i = off >> s->cluster_bits & ((UINT64_C(1) << s->l2_bits) - 1);

    return table + (i >> s->slice_bits) * s->slice_bytes;
}

static void map_slice(const Qcow2 *s, Q2Entry *e, uint64_t off, uint64_t len,
                      Q2Map *m)
{
    uint64_t in = off & (s->cluster_size - 1);

    if (UNLIKELY(e->shape == Q2S_UNKNOWN)) {
        shape_find(s, e);
    }
    if (e->shape == Q2S_RUN) {
        map_run(s, e, slice_index(s, off), in, m);
    } else if (s->ext_l2) {
        map_ext(s, e, slice_index(s, off), in, len, m);
    } else {
        map_plain(s, e, slice_index(s, off), in, len, m);
    }
    m->len = MIN2(m->len, len);
}

/* Where no L2 table is: all that follows without one. */
static void map_nothing(const Qcow2 *s, uint64_t off, uint64_t len, Q2Map *m)
{
    uint64_t covers = q2_l1_covers(s), i = off / covers;

    *m = (Q2Map){ .kind = Q2K_NONE };
    m->len = covers - off % covers;
    while (m->len < len && ++i < s->l1_size && !(s->l1[i] & Q2_OFFSET)) {
        m->len += covers;
    }
    if (i >= s->l1_size) {
        m->len = len;
    }
    m->len = MIN2(m->len, len);
}

bool q2_map_peek(Qcow2 *s, uint64_t off, uint64_t len, Q2Map *m)
{
    uint64_t i = off >> (s->cluster_bits + s->l2_bits), table;
    Q2Entry *e;

    if (i >= s->l1_size) {
        return false;
    }
    table = s->l1[i] & Q2_OFFSET;
    if (!table) {
        map_nothing(s, off, len, m);
        return true;
    }
    e = q2_cache_peek(&s->l2c, slice_off(s, table, off));
    if (!e) {
        return false;
    }
    e->used = true;
    map_slice(s, e, off, len, m);
    return true;
}

/* Invariant 1, of an L1 entry. */
static int l1_check(Qcow2 *s, uint64_t i)
{
    uint64_t table = s->l1[i] & Q2_OFFSET;

    if (table & (s->cluster_size - 1)) {
        q2_corrupt(s, true, table, 0, "L2 table offset %#" PRIx64 " unaligned "
                   "(L1 index: %#" PRIx64 ")", table, i);
        return -EIO;
    }
    return 0;
}

static int bad_entry(Qcow2 *s, uint64_t off, uint64_t v)
{
    uint64_t table = s->l1[off / q2_l1_covers(s)] & Q2_OFFSET;

    q2_corrupt(s, true, v & Q2_OFFSET, s->cluster_size,
               v & Q2_ZERO && !(v & (s->cluster_size - 1) & Q2_OFFSET)
               ? "Preallocated zero cluster offset %#" PRIx64 " unaligned "
                 "(L2 offset: %#" PRIx64 ", L2 index: %#x)"
               : "Cluster allocation offset %#" PRIx64 " unaligned (L2 offset: "
                 "%#" PRIx64 ", L2 index: %#x)", v & Q2_OFFSET, table,
               (unsigned)(off >> s->cluster_bits) & ((1u << s->l2_bits) - 1));
    return -EIO;
}

int q2_map(Qcow2 *s, uint64_t off, uint64_t len, Q2Map *m)
{
    uint64_t i = off >> (s->cluster_bits + s->l2_bits), table;
    Q2Entry *e;
    int ret;

    table = i < s->l1_size ? s->l1[i] & Q2_OFFSET : 0;
    if (!table) {
        map_nothing(s, off, len, m);
        return 0;
    }
    ret = l1_check(s, i);
    ret = ret < 0 ? ret : q2_cache_get(&s->l2c, slice_off(s, table, off), &e);
    if (ret < 0) {
        return ret;
    }
    map_slice(s, e, off, len, m);
    q2_cache_put(e);
    if (m->kind == Q2K_DATA && s->data_ext && m->host != off) {
        q2_corrupt(s, true, m->host, s->cluster_size, "External data file host "
                   "cluster offset %#" PRIx64 " does not match guest cluster "
                   "offset: %#" PRIx64 ", L2 index: %#x)",
                   ALIGN_DOWN(m->host, s->cluster_size),
                   ALIGN_DOWN(off, s->cluster_size), slice_index(s, off));
        return -EIO;
    }
    return m->kind == Q2K_BAD ? bad_entry(s, off, m->host) : 0;
}

/* ---- L1 ------------------------------------------------------------------ */

static void l1_set(Qcow2 *s, uint64_t i, uint64_t v)
{
    s->l1[i] = v;
    s->l1_dirty_first = MIN2(s->l1_dirty_first, (uint32_t)i);
    s->l1_dirty_end = MAX2(s->l1_dirty_end, (uint32_t)i + 1);
}

static int l1_store(Qcow2 *s, uint64_t at, const uint64_t *l1, uint32_t first,
                    uint32_t end)
{
    g_autofree uint64_t *buf = g_new(uint64_t, MAX2(end - first, 1));

    for (uint32_t i = first; i < end; i++) {
        st_be64(&buf[i - first], l1[i]);
    }
    s->unsynced = true;
    return blk_co_pwrite(s->node.file, at + (uint64_t)first * 8, buf,
                         (size_t)(end - first) * 8, 0);
}

int q2_l1_write(Qcow2 *s)
{
    uint32_t first, end;
    int ret;

    if (s->l1_dirty_first >= s->l1_dirty_end) {
        return 0;
    }
    q2_event(s, "l1_update");
    first = ALIGN_DOWN(s->l1_dirty_first, 64);
    end = MIN2(ALIGN_UP(s->l1_dirty_end, 64), s->l1_size);
    ret = q2_overlap_check(s, Q2O_L1, s->l1_off + (uint64_t)first * 8,
                           (uint64_t)(end - first) * 8);
    ret = ret < 0 ? ret : l1_store(s, s->l1_off, s->l1, first, end);
    if (ret >= 0) {
        s->l1_dirty_first = UINT32_MAX;
        s->l1_dirty_end = 0;
    }
    return ret;
}

/* A larger copy elsewhere; the header turns to it behind a barrier. */
int q2_l1_grow(Qcow2 *s, uint64_t min)
{
    uint64_t cs = s->cluster_size, size, clusters, old_off = s->l1_off;
    uint32_t old_size = s->l1_size;
    uint64_t *l1;
    int64_t at;
    int ret;

    if (min <= s->l1_size) {
        return 0;
    }
    size = MAX2(min, s->l1_size + s->l1_size / 2);
    size = MIN2(size, MAX2(min, Q2_L1_BYTES_MAX / 8));
    if (size > Q2_L1_BYTES_MAX / 8) {
        return -EFBIG;
    }
    clusters = (size * 8 + cs - 1) / cs;
    q2_event(s, "l1_grow_alloc_table");
    at = q2_alloc(s, clusters, true, NULL);
    if (at < 0) {
        return (int)at;
    }
    l1 = g_new0(uint64_t, clusters * cs / 8);
    memcpy(l1, s->l1, (size_t)old_size * 8);
    /* All that the old table knows is on disk, and the new one whole. */
    ret = q2_meta_write(s, false);
    q2_event(s, "l1_grow_write_table");
    ret = ret < 0 ? ret : l1_store(s, (uint64_t)at, l1, 0,
                                   (uint32_t)(clusters * cs / 8));
    ret = ret < 0 ? ret : q2_barrier(s);
    if (ret >= 0) {
        q2_event(s, "l1_grow_activate_table");
        s->l1_off = (uint64_t)at;
        s->l1_size = (uint32_t)size;
        ret = q2_header_turn(s);
        if (ret < 0) {
            s->l1_off = old_off;
            s->l1_size = old_size;
            q2_header_back(s);
        }
    }
    if (ret < 0) {
        g_free(l1);
        q2_free(s, (uint64_t)at, clusters * cs);
        return ret;
    }
    g_free(s->l1);
    s->l1 = l1;
    if (old_size) {
        q2_free(s, old_off, (uint64_t)old_size * 8);
    }
    return 0;
}

/* ---- L2 tables for writing ----------------------------------------------- */

/* All slices of the new table at `at`: as in `old`, or empty (old: 0). */
static int table_fill(Qcow2 *s, uint64_t at, uint64_t old)
{
    int ret = 0;

    for (uint64_t o = 0; ret >= 0 && o < s->cluster_size; o += s->slice_bytes) {
        Q2Entry *from = NULL, *to;

        q2_event(s, old ? "l2_alloc_cow_read" : "l2_alloc_write");
        ret = old ? q2_cache_get(&s->l2c, old + o, &from) : 0;
        if (ret < 0) {
            break;
        }
        ret = q2_cache_new(&s->l2c, at + o, &to);
        if (ret >= 0) {
            if (from) {
                memcpy(to->data, from->data, s->slice_bytes);
            }
            q2_cache_put(to);
        }
        if (from) {
            q2_cache_put(from);
        }
    }
    return ret;
}

static int table_make(Qcow2 *s, uint64_t i, uint64_t *table)
{
    uint64_t old = s->l1[i] & Q2_OFFSET;
    int64_t at = q2_alloc(s, 1, true, NULL);
    int ret;

    if (at < 0) {
        return (int)at;
    }
    ret = table_fill(s, (uint64_t)at, old);
    if (ret < 0) {
        q2_cache_forget(&s->l2c, (uint64_t)at, s->cluster_size);
        q2_free(s, (uint64_t)at, s->cluster_size);
        return ret;
    }
    l1_set(s, i, (uint64_t)at | Q2_COPIED);
    if (old) {
        q2_free(s, old, s->cluster_size);
    }
    *table = (uint64_t)at;
    return 0;
}

int q2_slice_for_write(Qcow2 *s, uint64_t off, Q2Entry **e, uint32_t *i)
{
    uint64_t n = off >> (s->cluster_bits + s->l2_bits), table;
    int ret;

    *e = NULL;
    if (s->corrupt) {
        return -EIO;
    }
    ret = n < s->l1_size ? 0 : q2_l1_grow(s, n + 1);
    ret = ret < 0 ? ret : l1_check(s, n);
    if (ret < 0) {
        return ret;
    }
    table = s->l1[n] & Q2_OFFSET;
    if (!(s->l1[n] & Q2_COPIED) || !table) {
        ret = table_make(s, n, &table);
    }
    ret = ret < 0 ? ret : q2_cache_get(&s->l2c, slice_off(s, table, off), e);
    *i = slice_index(s, off);
    return ret;
}
