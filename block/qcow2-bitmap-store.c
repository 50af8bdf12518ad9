/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2-bitmap-store.c - dirty bitmaps between the file and memory.
 * (the specification: Bitmaps)
 *
 * Thread class: MACHINE_CALL, the node drained.
 *
 * Invariants
 * 1. While an image is open for writing every bitmap on disk is marked in use:
 *    what a kill leaves is known to be out of date.
 * 2. New data, tables and directory are on disk before the header names them; the
 *    old ones are given back after. What fails leaves the old directory.
 */
#include "block/qcow2-bitmap.h"

/* ---- loading ------------------------------------------------------------- */

static MACHINE_CALL bool fits_disk(const Qcow2 *s, const Q2Bitmap *e,
                                   Error **errp)
{
    uint64_t bytes, cs = s->cluster_size;

    if (e->type != 1 || e->flags & ~(uint32_t)Q2B_KNOWN || e->bits < 9 ||
        e->bits > 31 || (e->extra_size && !(e->flags & Q2B_EXTRA_OK))) {
        return error_set(errp, "Bitmap '%s' doesn't satisfy the constraints",
                         e->name);
    }
    bytes = q2_bitmap_bytes(s->node.length, e->bits);
    if (!(e->flags & Q2B_IN_USE) && (bytes > Q2_BITMAP_BYTES_MAX ||
                                     e->entries != (bytes + cs - 1) / cs)) {
        return error_set(errp, "Bitmap '%s' doesn't satisfy the constraints",
                         e->name);
    }
    return true;
}

/* The bytes of a bitmap that cluster i of its data holds, to or from buf. */
static uint8_t *part(const Qcow2 *s, BlkBitmap *b, uint64_t i, uint64_t *len)
{
    uint64_t at = i * s->cluster_size;
    uint64_t all = q2_bitmap_bytes(b->size,
                                   (unsigned)__builtin_ctz(b->granularity));

    *len = at < all ? MIN2(all - at, s->cluster_size) : 0;
    return (uint8_t *)b->bits + at;
}

/* Words are in host order, bytes on disk from the lowest bit on. */
static void words_swap(BlkBitmap *b)
{
    for (size_t i = 0; i < b->words; i++) {
        b->bits[i] = ld_le64(&b->bits[i]);
    }
}

static int data_load(Qcow2 *s, const Q2Bitmap *e, BlkBitmap *b)
{
    g_autofree uint64_t *t = NULL;
    int ret = q2_bitmap_table(s, e, &t);
    uint64_t len;

    for (uint32_t i = 0; ret >= 0 && i < e->entries; i++) {
        uint8_t *p = part(s, b, i, &len);

        if (t[i] & Q2_OFFSET) {
            ret = blk_co_pread(s->node.file, t[i], p, len);
        } else if (t[i]) {
            memset(p, 0xff, len);
        }
    }
    words_swap(b);
    /* Nothing is set behind the end. */
    len = (b->size >> e->bits) + !!(b->size & (b->granularity - 1));
    for (uint64_t i = len; i < b->words * 64; i++) {
        b->bits[i / 64] &= ~(UINT64_C(1) << i % 64);
    }
    return ret;
}

static MACHINE_CALL bool one_load(Qcow2 *s, const Q2Bitmap *e, Error **errp)
{
    BlkBitmap *b;
    int ret;

    if (!fits_disk(s, e, errp)) {
        return false;
    }
    b = blk_bitmap_find(&s->node, e->name);
    if (b && b->persistent) {
        b->read_only = s->node.read_only;
        return true;                   /* it stayed while we reopened         */
    }
    b = blk_bitmap_new(&s->node, e->name, 1u << e->bits, errp);
    if (!b) {
        return false;
    }
    b->persistent = true;
    b->enabled = e->flags & Q2B_AUTO;
    b->read_only = s->node.read_only;
    if (e->flags & Q2B_IN_USE) {
        b->inconsistent = true;
        b->enabled = false;
        return true;
    }
    ret = data_load(s, e, b);
    return ret >= 0 || error_set_errno(errp, -ret, "Could not read bitmap '%s' "
                                       "from disk", e->name);
}

static int flags_write(Qcow2 *s, const Q2Bitmap *e, uint32_t flags)
{
    uint8_t p[4];

    st_be32(p, flags);
    s->unsynced = true;
    return blk_co_pwrite(s->node.file, s->bitmap_dir_off + e->at + 12, p,
                         sizeof(p), 0);
}

/* Invariant 1. */
int q2_bitmaps_begin(Qcow2 *s)
{
    int ret = 0;

    for (Q2Bitmap *e = s->bitmaps; ret >= 0 && e; e = e->next) {
        if (!(e->flags & Q2B_IN_USE)) {
            ret = flags_write(s, e, e->flags | Q2B_IN_USE);
        }
    }
    ret = ret < 0 ? ret : q2_barrier(s);
    for (Q2Bitmap *e = s->bitmaps; ret >= 0 && e; e = e->next) {
        e->flags |= Q2B_IN_USE;
    }
    for (BlkBitmap *b = s->node.bitmaps; ret >= 0 && b; b = b->next) {
        b->read_only &= !b->persistent;
    }
    return ret;
}

bool q2_bitmaps_load(Qcow2 *s, Error **errp)
{
    if (s->node.flags & (BLKO_CHECK | BLKO_NO_IO | BLKO_INACTIVE)) {
        return true;
    }
    for (const Q2Bitmap *e = s->bitmaps; e; e = e->next) {
        if (!one_load(s, e, errp)) {
            return false;
        }
    }
    s->bitmaps_loaded = true;
    return true;
}

/* ---- storing ------------------------------------------------------------- */

static bool all_are(const uint8_t *p, uint64_t len, uint8_t byte)
{
    return !len || (p[0] == byte && !memcmp(p, p + 1, len - 1));
}

/* The entry for cluster i of b's data; what is not all alike is written. */
static int cluster_store(Qcow2 *s, BlkBitmap *b, uint64_t i, uint64_t *entry)
{
    g_autofree uint8_t *buf = NULL;
    uint64_t len;
    const uint8_t *p = part(s, b, i, &len);
    int64_t at;
    int ret;

    *entry = 0;
    if (all_are(p, len, 0)) {
        return 0;
    }
    if (len == s->cluster_size && all_are(p, len, 0xff)) {
        *entry = 1;
        return 0;
    }
    buf = g_malloc0(s->cluster_size);
    memcpy(buf, p, len);
    at = q2_alloc(s, 1, true, NULL);
    if (at < 0) {
        return (int)at;
    }
    *entry = (uint64_t)at;
    ret = q2_overlap_check(s, 0, (uint64_t)at, s->cluster_size);
    s->unsynced = true;
    return ret < 0 ? ret : blk_co_pwrite(s->node.file, (uint64_t)at, buf,
                                         s->cluster_size, 0);
}

/* len bytes at a new place. */
static int place(Qcow2 *s, const void *buf, uint64_t len, uint64_t *off)
{
    int64_t at = q2_alloc(s, (len + s->cluster_size - 1) >> s->cluster_bits,
                          true, NULL);
    int ret;

    if (at < 0) {
        return (int)at;
    }
    ret = q2_overlap_check(s, 0, (uint64_t)at, len);
    s->unsynced = true;
    ret = ret < 0 ? ret : blk_co_pwrite(s->node.file, (uint64_t)at, buf, len,
                                        0);
    if (ret < 0) {
        q2_free(s, (uint64_t)at, len);
    } else {
        *off = (uint64_t)at;
    }
    return ret;
}

static int table_store(Qcow2 *s, BlkBitmap *b, Q2Bitmap *e)
{
    g_autofree uint64_t *t = g_try_new0(uint64_t, MAX2(e->entries, 1));
    uint32_t done = 0;
    int ret = t ? 0 : -ENOMEM;

    words_swap(b);                     /* to bytes, and back below            */
    while (ret >= 0 && done < e->entries) {
        ret = cluster_store(s, b, done, &t[done]);
        done++;
    }
    words_swap(b);
    for (uint32_t i = 0; i < done; i++) {
        st_be64(&t[i], t[i]);
    }
    if (ret >= 0 && e->entries) {
        ret = place(s, t, (uint64_t)e->entries * 8, &e->table);
    }
    for (uint32_t i = 0; ret < 0 && i < done; i++) {
        uint64_t off = ld_be64(&t[i]) & Q2_OFFSET;

        if (off) {
            q2_free(s, off, s->cluster_size);
        }
    }
    return ret;
}

/* Gives back what an entry of the directory has. */
static int entry_drop(Qcow2 *s, const Q2Bitmap *e)
{
    g_autofree uint64_t *t = NULL;
    int ret = q2_bitmap_table(s, e, &t);

    for (uint32_t i = 0; ret >= 0 && i < e->entries; i++) {
        if (t[i] & Q2_OFFSET) {
            q2_free(s, t[i] & Q2_OFFSET, s->cluster_size);
        }
    }
    if (e->entries) {
        q2_free(s, e->table, (uint64_t)e->entries * 8);
    }
    return ret;
}

static int entry_store(Qcow2 *s, BlkBitmap *b, Q2Bitmap **out)
{
    Q2Bitmap *e = g_new0(Q2Bitmap, 1);
    uint64_t bytes;
    int ret;

    e->name = g_strdup(b->name);
    e->type = 1;
    e->bits = (uint8_t)__builtin_ctz(b->granularity);
    e->flags = b->enabled ? Q2B_AUTO : 0;
    bytes = q2_bitmap_bytes(b->size, e->bits);
    e->entries = (uint32_t)((bytes + s->cluster_size - 1) / s->cluster_size);
    ret = bytes > Q2_BITMAP_BYTES_MAX ? -EFBIG : table_store(s, b, e);
    if (ret < 0) {
        q2_bitmap_free(e);
        e = NULL;
    }
    *out = e;
    return ret;
}

/* ---- the directory ------------------------------------------------------- */

static uint8_t *dir_bytes(Q2Bitmap *list, uint64_t *len, uint32_t *n)
{
    uint8_t *dir;

    *len = *n = 0;
    for (Q2Bitmap *e = list; e; e = e->next, ++*n) {
        e->at = *len;
        *len += q2_bitmap_entry_size(strlen(e->name), e->extra_size);
    }
    dir = g_malloc0(MAX2(*len, 1));
    for (Q2Bitmap *e = list; e; e = e->next) {
        uint8_t *p = dir + e->at;

        st_be64(p, e->table);
        st_be32(p + 8, e->entries);
        st_be32(p + 12, e->flags);
        p[16] = e->type;
        p[17] = e->bits;
        st_be16(p + 18, (uint16_t)strlen(e->name));
        st_be32(p + 20, e->extra_size);
        if (e->extra_size) {
            memcpy(p + 24, e->extra, e->extra_size);
        }
        memcpy(p + 24 + e->extra_size, e->name, strlen(e->name));
    }
    return dir;
}

/* The header turns to a directory of the list (invariant 2). */
static int dir_turn(Qcow2 *s, Q2Bitmap *list)
{
    uint64_t old = s->bitmap_dir_off, old_len = s->bitmap_dir_size, at = 0, len;
    uint32_t old_n = s->n_bitmaps, n;
    uint64_t bits = s->autoclear;
    g_autofree uint8_t *dir = dir_bytes(list, &len, &n);
    int ret = n ? place(s, dir, len, &at) : 0;

    if (ret < 0) {
        return ret;
    }
    ret = q2_meta_write(s, false);
    ret = ret < 0 ? ret : q2_barrier(s);
    if (ret >= 0) {
        s->bitmap_dir_off = at;
        s->bitmap_dir_size = len;
        s->n_bitmaps = n;
        s->autoclear = n ? bits | Q2A_BITMAPS : bits & ~(uint64_t)Q2A_BITMAPS;
        ret = q2_header_turn(s);
        if (ret < 0) {
            s->bitmap_dir_off = old;
            s->bitmap_dir_size = old_len;
            s->n_bitmaps = old_n;
            s->autoclear = bits;
            q2_header_back(s);
        }
    }
    if (ret >= 0 && old_n) {
        q2_free(s, old, old_len);
    } else if (ret < 0 && n) {
        q2_free(s, at, len);
    }
    return ret;
}

typedef struct Store {
    Q2Bitmap *list, **last;            /* the new directory                   */
    Q2Bitmap *gone;                    /* old entries that are not in it      */
} Store;

static void put(Store *st, Q2Bitmap *e)
{
    e->next = NULL;
    *st->last = e;
    st->last = &e->next;
}

static BlkBitmap *of_node(Qcow2 *s, const char *name)
{
    BlkBitmap *b = blk_bitmap_find(&s->node, name);

    return b && b->persistent ? b : NULL;
}

static Q2Bitmap *on_disk(const Qcow2 *s, const char *name)
{
    Q2Bitmap *e = s->bitmaps;

    while (e && strcmp(e->name, name)) {
        e = e->next;
    }
    return e;
}

static Q2Bitmap *same(const Q2Bitmap *e)
{
    Q2Bitmap *c = g_memdup2(e, sizeof(*e));

    c->name = g_strdup(e->name);
    c->extra = g_memdup2(e->extra, e->extra_size);
    return c;
}

static int entries_store(Qcow2 *s, Store *st)
{
    Q2Bitmap *e;
    int ret = 0;

    /* Those that are there keep their order; new ones follow. */
    for (const Q2Bitmap *old = s->bitmaps; ret >= 0 && old; old = old->next) {
        BlkBitmap *b = of_node(s, old->name);

        if (b) {
            ret = b->inconsistent ? 0 : entry_store(s, b, &e);
            if (ret >= 0) {
                put(st, b->inconsistent ? same(old) : e);
            }
        }
    }
    for (BlkBitmap *b = s->node.bitmaps; ret >= 0 && b; b = b->next) {
        if (b->persistent && !on_disk(s, b->name)) {
            ret = entry_store(s, b, &e);
            if (ret >= 0) {
                put(st, e);
            }
        }
    }
    return ret;
}

static bool kept(const Store *st, const Q2Bitmap *e)
{
    for (const Q2Bitmap *x = st->list; x; x = x->next) {
        if (x->table == e->table) {
            return true;
        }
    }
    return false;
}

/* After the header turned, or did not: what is not referred to goes. */
static void drop_others(Qcow2 *s, Q2Bitmap *gone, const Store *keep)
{
    for (const Q2Bitmap *e = gone; e; e = e->next) {
        if (!kept(keep, e)) {
            entry_drop(s, e);
        }
    }
}

static bool wanted(const Qcow2 *s)
{
    for (const BlkBitmap *b = s->node.bitmaps; b; b = b->next) {
        if (b->persistent) {
            return true;
        }
    }
    return s->bitmaps != NULL;
}

int q2_bitmaps_store(Qcow2 *s)
{
    Store st = { .last = &st.list }, old;
    int ret;

    if (!s->bitmaps_loaded || s->node.read_only || s->corrupt || !wanted(s)) {
        return 0;
    }
    ret = entries_store(s, &st);
    ret = ret < 0 ? ret : dir_turn(s, st.list);
    old = (Store){ .list = s->bitmaps };
    if (ret < 0) {
        drop_others(s, st.list, &old);
        s->bitmaps = st.list;
    } else {
        drop_others(s, old.list, &st);
    }
    q2_bitmaps_free(s);
    s->bitmaps = ret < 0 ? old.list : st.list;
    return ret;
}

/* ---- what commands ask --------------------------------------------------- */

static bool cannot(Error **errp, const Qcow2 *s, const char *name,
                   const char *why)
{
    return error_set(errp, "Can't make bitmap '%s' persistent in '%s': %s",
                     name, s->node.name, why);
}

static bool can_store(BlkNode *n, const char *name, uint32_t granularity,
                      Error **errp)
{
    const Qcow2 *s = q2_of(n);
    unsigned bits = (unsigned)__builtin_ctz(granularity | 1u << 31);
    uint64_t dir = q2_bitmap_entry_size(strlen(name), 0);
    uint32_t count = 1;

    if (s->version < 3) {
        return cannot(errp, s, name, "Cannot store dirty bitmaps in qcow2 v2 "
                      "files");
    }
    if (strlen(name) > BLK_BITMAP_NAME_MAX) {
        return cannot(errp, s, name, "Name length exceeds maximum (1023 "
                      "characters)");
    }
    if (bits < 9 || bits > 31) {
        return cannot(errp, s, name, bits < 9
                      ? "Granularity is under minimum (512 bytes)"
                      : "Granularity exceeds maximum (2147483648 bytes)");
    }
    if (q2_bitmap_bytes(n->length, bits) > Q2_BITMAP_BYTES_MAX) {
        return cannot(errp, s, name, "Too much space will be occupied by the "
                      "bitmap. Use larger granularity");
    }
    for (const BlkBitmap *b = n->bitmaps; b; b = b->next) {
        count += b->persistent;
        dir += b->persistent ? q2_bitmap_entry_size(strlen(b->name), 0) : 0;
    }
    if (count > Q2_BITMAPS_MAX) {
        return cannot(errp, s, name, "Maximum number of persistent bitmaps is "
                      "already reached");
    }
    return dir <= Q2_BITMAP_DIR_MAX ||
           cannot(errp, s, name, "Not enough space in the bitmap directory");
}

static int bitmap_remove(BlkNode *n, const char *name, Error **errp)
{
    Qcow2 *s = q2_of(n);
    Q2Bitmap **at = &s->bitmaps, *e;
    uint64_t len;
    uint32_t count;
    int ret;

    while (*at && strcmp((*at)->name, name)) {
        at = &(*at)->next;
    }
    e = *at;
    if (!e) {
        return 0;                      /* it has not been stored yet          */
    }
    *at = e->next;
    q2_lock(s);
    ret = dir_turn(s, s->bitmaps);
    if (ret >= 0) {
        entry_drop(s, e);
        q2_meta_write(s, true);
    }
    q2_unlock(s);
    if (ret < 0) {
        *at = e;
        /* Places are those of the old directory again. */
        g_free(dir_bytes(s->bitmaps, &len, &count));
        error_set_errno(errp, -ret, "Failed to update bitmap extension");
        return ret;
    }
    q2_bitmap_free(e);
    return 0;
}

const BlkBitmapOps q2_bitmap_ops = {
    .can_store = can_store, .remove = bitmap_remove,
};
