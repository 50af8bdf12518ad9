/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2-cache.c - pieces of L2 tables and refcount blocks in memory, and the
 * order in which they reach the file.
 *
 * Thread class: LOOP_CALL(node's loop), with the node's lock.
 *
 * Invariants
 * 1. What is dirty stays in memory, and dirty, until it has been written.
 * 2. Refcount blocks, then the refcount table, then (behind a barrier that also
 *    covers data) L2 slices, then the L1 table, then what gives clusters back.
 *    Between two of these that both wrote lies a barrier.
 * 3. A piece that is pinned keeps its place.
 */
#include "block/qcow2.h"

#define IOV_MAX_RUN 64

/* ---- finding ------------------------------------------------------------- */

static uint32_t bucket(const Q2Cache *c, uint64_t off)
{
    return (uint32_t)((off / c->size) * UINT64_C(0x9e3779b97f4a7c15) >> 32) &
           c->mask;
}

void q2_cache_init(Q2Cache *c, Qcow2 *s, uint64_t bytes, uint32_t size, bool l2)
{
    uint32_t n = (uint32_t)MAX2(bytes / size, 4), h = 16;

    while (h < n) {
        h *= 2;
    }
    *c = (Q2Cache){ .s = s, .l2 = l2, .n = n, .size = size, .mask = h - 1 };
    c->e = g_new0(Q2Entry, n);
    c->hash = g_new0(uint32_t, h);
}

void q2_cache_fini(Q2Cache *c)
{
    for (uint32_t i = 0; i < c->filled; i++) {
        free(c->e[i].data);
    }
    g_free(c->e);
    g_free(c->hash);
    *c = (Q2Cache){ 0 };
}

Q2Entry *q2_cache_peek(Q2Cache *c, uint64_t off)
{
    for (uint32_t i = c->hash[bucket(c, off)]; i; i = c->e[i - 1].next) {
        if (c->e[i - 1].off == off) {
            return &c->e[i - 1];
        }
    }
    return NULL;
}

static void unhash(Q2Cache *c, Q2Entry *e)
{
    uint32_t *at = &c->hash[bucket(c, e->off)];

    if (!e->off) {
        return;
    }
    while (&c->e[*at - 1] != e) {
        at = &c->e[*at - 1].next;
    }
    *at = e->next;
    c->dirty -= e->dirty;
    e->dirty = false;
    e->off = 0;
}

static void rehash(Q2Cache *c, Q2Entry *e, uint64_t off)
{
    uint32_t *at = &c->hash[bucket(c, off)];

    e->off = off;
    e->shape = Q2S_UNKNOWN;
    e->next = *at;
    *at = (uint32_t)(e - c->e) + 1;
}

/* ---- room ---------------------------------------------------------------- */

static Q2Entry *victim(Q2Cache *c)
{
    Q2Entry *dirty = NULL;

    /* Two rounds: the first takes the marks away. */
    for (uint32_t i = 0; i < 2 * c->n; i++) {
        Q2Entry *e = &c->e[c->hand];

        c->hand = c->hand + 1 < c->n ? c->hand + 1 : 0;
        if (!e->off || (!e->pins && !e->used && !e->dirty)) {
            return e;
        }
        if (!e->pins && !e->used && !dirty) {
            dirty = e;
        }
        e->used = false;
    }
    return dirty;
}

static int make_room(Q2Cache *c, Q2Entry **out)
{
    Q2Entry *e;
    int ret;

    if (c->filled < c->n) {
        e = &c->e[c->filled];
        if (posix_memalign((void **)&e->data, 4096, c->size)) {
            e->data = NULL;
            return -ENOMEM;
        }
        c->filled++;
        *out = e;
        return 0;
    }
    e = victim(c);
    if (e && e->dirty) {
        ret = c->l2 ? q2_meta_write(c->s, false) : q2_cache_write(c);
        if (ret < 0) {
            return ret;
        }
    }
    if (!e) {
        return -ENOBUFS;
    }
    unhash(c, e);
    if (!e->data && posix_memalign((void **)&e->data, 4096, c->size)) {
        e->data = NULL;
        return -ENOMEM;
    }
    *out = e;
    return 0;
}

int q2_cache_get(Q2Cache *c, uint64_t off, Q2Entry **out)
{
    Q2Entry *e = q2_cache_peek(c, off);
    int ret;

    if (!e) {
        c->misses++;
        ret = make_room(c, &e);
        if (ret >= 0) {
            q2_event(c->s, c->l2 ? "l2_load" : "refblock_load");
            e->pins++;
            ret = blk_co_pread(c->s->node.file, off, e->data, c->size);
            e->pins--;
        }
        if (ret < 0) {
            return ret;
        }
        rehash(c, e, off);
    }
    c->hits++;
    e->used = true;
    e->pins++;
    *out = e;
    return 0;
}

int q2_cache_new(Q2Cache *c, uint64_t off, Q2Entry **out)
{
    Q2Entry *e = q2_cache_peek(c, off);
    int ret;

    if (!e) {
        ret = make_room(c, &e);
        if (ret < 0) {
            return ret;
        }
        rehash(c, e, off);
    }
    memset(e->data, 0, c->size);
    e->used = true;
    e->pins++;
    q2_cache_dirty(c, e);
    *out = e;
    return 0;
}

void q2_cache_forget(Q2Cache *c, uint64_t off, uint64_t len)
{
    for (uint64_t at = ALIGN_DOWN(off, c->size); at < off + len;
         at += c->size) {
        Q2Entry *e = q2_cache_peek(c, at);

        if (e) {
            unhash(c, e);
        }
    }
}

void q2_cache_drop_all(Q2Cache *c)
{
    for (uint32_t i = 0; i < c->filled; i++) {
        unhash(c, &c->e[i]);
        c->e[i].used = false;
    }
}

void q2_cache_shrink(Q2Cache *c)
{
    for (uint32_t i = 0; i < c->filled; i++) {
        Q2Entry *e = &c->e[i];

        if (e->pins || e->dirty || e->used) {
            e->used = false;
            continue;
        }
        unhash(c, e);
        free(e->data);
        e->data = NULL;
    }
    /* Trailing places without memory may be filled again. */
    while (c->filled && !c->e[c->filled - 1].data) {
        c->filled--;
    }
    c->hand = 0;
}

/* ---- to the file --------------------------------------------------------- */

static int by_offset(const void *a, const void *b)
{
    const Q2Entry *x = *(Q2Entry *const *)a, *y = *(Q2Entry *const *)b;

    return x->off < y->off ? -1 : x->off > y->off;
}

/* Writes n pieces that lie in a row. */
static int write_run(Q2Cache *c, Q2Entry **e, unsigned n)
{
    struct iovec iov[IOV_MAX_RUN];
    uint64_t len = (uint64_t)n * c->size;
    int ret = q2_overlap_check(c->s, c->l2 ? Q2O_L2 | Q2O_INACTIVE_L2
                                           : Q2O_REFBLOCK, e[0]->off, len);

    for (unsigned i = 0; i < n; i++) {
        iov[i] = (struct iovec){ e[i]->data, c->size };
    }
    if (ret >= 0) {
        q2_event(c->s, c->l2 ? "l2_update" : "refblock_update");
        c->s->unsynced = true;
        ret = blk_co_pwritev(c->s->node.file, e[0]->off, len, iov, n, 0);
    }
    for (unsigned i = 0; ret >= 0 && i < n; i++) {
        e[i]->dirty = false;
        c->dirty--;
    }
    return ret;
}

int q2_cache_write(Q2Cache *c)
{
    Q2Entry **list;
    unsigned n = 0;
    int ret = 0;

    if (!c->dirty) {
        return 0;
    }
    list = g_new(Q2Entry *, c->dirty);
    for (uint32_t i = 0; i < c->filled; i++) {
        if (c->e[i].off && c->e[i].dirty) {
            list[n++] = &c->e[i];
        }
    }
    qsort(list, n, sizeof(*list), by_offset);
    for (unsigned i = 0, k; ret >= 0 && i < n; i += k) {
        for (k = 1; k < IOV_MAX_RUN && i + k < n &&
                    list[i + k]->off == list[i]->off + k * c->size; k++) {
        }
        ret = write_run(c, list + i, k);
    }
    g_free(list);
    return ret;
}

int q2_barrier(Qcow2 *s)
{
    int ret;

    if (!s->unsynced) {
        return 0;
    }
    s->unsynced = false;
    if (s->node.flags & BLKO_NO_FLUSH) {
        return 0;                      /* the order in the cache is enough    */
    }
    q2_event(s, "flush_to_disk");
    ret = s->data_ext ? blk_co_flush(s->data) : 0;
    if (ret >= 0) {
        ret = blk_co_flush(s->node.file);
    }
    if (ret < 0) {
        s->unsynced = true;
    }
    return ret;
}

static int reftable_write(Qcow2 *s)
{
    uint32_t first = ALIGN_DOWN(s->ref_dirty_first, 64);
    uint32_t end = MIN2(ALIGN_UP(s->ref_dirty_end, 64), s->reftable_size);
    g_autofree uint64_t *buf = NULL;
    int ret;

    if (s->ref_dirty_first >= s->ref_dirty_end) {
        return 0;
    }
    buf = g_new(uint64_t, end - first);
    for (uint32_t i = first; i < end; i++) {
        st_be64(&buf[i - first], s->reftable[i]);
    }
    ret = q2_overlap_check(s, Q2O_REFTABLE, s->reftable_off + first * 8,
                           (end - first) * 8);
    if (ret >= 0) {
        q2_event(s, "reftable_update");
        s->unsynced = true;
        ret = blk_co_pwrite(s->node.file, s->reftable_off + first * 8, buf,
                            (end - first) * 8, 0);
    }
    if (ret >= 0) {
        s->ref_dirty_first = UINT32_MAX;
        s->ref_dirty_end = 0;
    }
    return ret;
}

/* A barrier where something was written, and something else is to follow. */
static int step(Qcow2 *s, bool next, int ret)
{
    return ret >= 0 && next ? q2_barrier(s) : ret;
}

int q2_meta_write(Qcow2 *s, bool frees)
{
    bool table = s->ref_dirty_first < s->ref_dirty_end;
    bool l1 = s->l1_dirty_first < s->l1_dirty_end;
    int ret;

    if (s->corrupt && !(s->node.flags & BLKO_CHECK)) {
        return -EIO;
    }
    if (s->lazy && !s->settling) {
        /* The mark says that refcounts are to be counted anew. */
        ret = s->refc.dirty || table ? q2_dirty_set(s, true) : 0;
    } else {
        ret = q2_cache_write(&s->refc);
        ret = step(s, table, ret);
        ret = ret < 0 ? ret : reftable_write(s);
    }
    ret = step(s, s->l2c.dirty || l1, ret);
    ret = ret < 0 ? ret : q2_cache_write(&s->l2c);
    ret = step(s, l1, ret);
    ret = ret < 0 ? ret : q2_l1_write(s);
    if (ret >= 0 && frees && (s->frees->len || s->frees_old->len)) {
        ret = q2_barrier(s);
        ret = ret < 0 ? ret : q2_frees_apply(s);
        ret = ret < 0 ? ret : q2_cache_write(&s->refc);
    }
    return ret;
}

int q2_flush(Qcow2 *s)
{
    int ret;

    q2_event(s, "flush_to_os");
    ret = q2_meta_write(s, true);
    ret = ret < 0 ? ret : q2_barrier(s);
    if (ret >= 0) {
        s->reuse_barrier = false;
    }
    return ret;
}
