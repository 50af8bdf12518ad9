/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bitmap.c - dirty bitmaps in memory.
 *
 * Thread class: as bitmap.h says.
 *
 * Invariants
 * 1. Bits beyond the node's end are clear.
 * 2. Names of a node's bitmaps differ.
 */
#include <glib.h>
#include "block/bitmap.h"

static uint64_t bits_of(const BlkBitmap *b)
{
    return b->size / b->granularity + (b->size % b->granularity != 0);
}

uint32_t blk_bitmap_default(BlkNode *n)
{
    BlkNodeInfo i = { 0 };

    if (n->drv->info) {
        n->drv->info(n, &i);
    }
    return i.cluster_size >= 4096 ? (uint32_t)MIN2(i.cluster_size, 64 * KiB)
                                  : 64 * KiB;
}

BlkBitmap *blk_bitmap_find(BlkNode *n, const char *name)
{
    BlkBitmap *b = n->bitmaps;

    while (b && strcmp(b->name, name)) {
        b = b->next;
    }
    return b;
}

static bool new_ok(BlkNode *n, const char *name, uint32_t granularity,
                   Error **errp)
{
    if (!name[0]) {
        return error_set(errp, "Bitmap name cannot be empty");
    }
    if (strlen(name) > BLK_BITMAP_NAME_MAX) {
        return error_set(errp, "Bitmap name too long: %s", name);
    }
    if (granularity < 512 || !IS_POW2(granularity)) {
        return error_set(errp, granularity < 512
                         ? "Granularity must be at least 512"
                         : "Granularity must be power of 2");
    }
    if (blk_bitmap_find(n, name)) {
        return error_set(errp, "Bitmap already exists: %s", name);
    }
    return true;
}

BlkBitmap *blk_bitmap_new(BlkNode *n, const char *name, uint32_t granularity,
                          Error **errp)
{
    BlkBitmap *b, **at = &n->bitmaps;

    granularity = granularity ? granularity : blk_bitmap_default(n);
    if (!new_ok(n, name, granularity, errp)) {
        return NULL;
    }
    b = g_new0(BlkBitmap, 1);
    b->granularity = granularity;
    b->size = n->length;
    b->words = bits_of(b) / 64 + 1;
    b->bits = g_try_new0(uint64_t, b->words);
    if (!b->bits) {
        g_free(b);
        error_set(errp, "No memory for bitmap '%s'", name);
        return NULL;
    }
    b->name = g_strdup(name);
    b->enabled = true;
    b->next = *at;
    *at = b;
    return b;
}

void blk_bitmap_free(BlkNode *n, BlkBitmap *b)
{
    BlkBitmap **at = &n->bitmaps;

    while (*at != b) {
        at = &(*at)->next;
    }
    *at = b->next;
    g_free(b->name);
    g_free(b->bits);
    g_free(b);
}

void blk_bitmaps_free(BlkNode *n)
{
    while (n->bitmaps) {
        blk_bitmap_free(n, n->bitmaps);
    }
}

uint64_t blk_bitmap_count(const BlkBitmap *b)
{
    uint64_t n = 0;

    for (size_t i = 0; i < b->words; i++) {
        n += (uint64_t)__builtin_popcountll(b->bits[i]);
    }
    return n * b->granularity;
}

void blk_bitmap_set(BlkBitmap *b, uint64_t off, uint64_t len, bool on)
{
    uint64_t i, end;

    if (off >= b->size || !len) {
        return;
    }
    len = MIN2(len, b->size - off);
    i = off / b->granularity;
    end = (off + len - 1) / b->granularity + 1;
    while (i < end) {
        unsigned first = i % 64;
        unsigned n = (unsigned)MIN2(end - i, 64 - first);
        uint64_t mask = (n == 64 ? ~0ull : (1ull << n) - 1) << first;

        if (on) {
            b->bits[i / 64] |= mask;
        } else {
            b->bits[i / 64] &= ~mask;
        }
        i += n;
    }
}

bool blk_bitmap_get(const BlkBitmap *b, uint64_t off)
{
    uint64_t i = off / b->granularity;

    return off < b->size && b->bits[i / 64] >> i % 64 & 1;
}

uint64_t blk_bitmap_next(const BlkBitmap *b, uint64_t off, bool dirty)
{
    uint64_t i = off / b->granularity, end = bits_of(b);

    while (i < end) {
        uint64_t w = (dirty ? b->bits[i / 64] : ~b->bits[i / 64]) >> i % 64;

        if (w) {
            i += (uint64_t)__builtin_ctzll(w);
            return i < end ? MAX2(off, i * b->granularity) : b->size;
        }
        i = (i / 64 + 1) * 64;
    }
    return b->size;
}

void blk_bitmap_merge(BlkBitmap *b, const BlkBitmap *from)
{
    uint64_t off = blk_bitmap_next(from, 0, true);

    while (off < from->size) {
        uint64_t end = blk_bitmap_next(from, off, false);

        blk_bitmap_set(b, off, end - off, true);
        off = blk_bitmap_next(from, end, true);
    }
}

void blk_bitmap_resize(BlkBitmap *b, uint64_t size)
{
    uint64_t old = b->size;
    size_t words;
    BlkBitmap next = *b;

    next.size = size;
    words = bits_of(&next) / 64 + 1;
    if (size < old) {
        /* Invariant 1. */
        uint64_t keep = ALIGN_UP(size, b->granularity);

        if (keep < old) {
            blk_bitmap_set(b, keep, old - keep, false);
        }
    }
    b->bits = g_renew(uint64_t, b->bits, words);
    if (words > b->words) {
        memset(b->bits + b->words, 0, (words - b->words) * sizeof(*b->bits));
    }
    b->words = words;
    b->size = size;
}

void blk_bitmaps_dirty(BlkNode *n, uint64_t off, uint64_t len)
{
    for (BlkBitmap *b = n->bitmaps; b; b = b->next) {
        if (b->enabled) {
            blk_bitmap_set(b, off, len, true);
        }
    }
}

/* ---- as a user asks for it ----------------------------------------------- */

BlkBitmap *blk_bitmap_add(BlkNode *n, const char *name, uint32_t granularity,
                          bool persistent, const char *who, Error **errp)
{
    BlkBitmap *b;

    if (!name[0]) {
        error_set(errp, "Bitmap name cannot be empty");
        return NULL;
    }
    if (granularity && (granularity < 512 || !IS_POW2(granularity))) {
        error_set(errp, "Granularity must be power of 2 and at least 512");
        return NULL;
    }
    if (persistent && !n->drv->bitmaps) {
        error_set_errno(errp, EOPNOTSUPP, "Can't store persistent bitmaps to "
                        "%s", who);
        return NULL;
    }
    if (persistent &&
        !n->drv->bitmaps->can_store(n, name, granularity ? granularity
                                    : blk_bitmap_default(n), errp)) {
        return NULL;
    }
    b = blk_bitmap_new(n, name, granularity, errp);
    if (b) {
        b->persistent = persistent;
    }
    return b;
}

bool blk_bitmap_usable(const BlkBitmap *b, bool consistent, Error **errp)
{
    if (b->busy) {
        return error_set(errp, "Bitmap '%s' is currently in use by another "
                         "operation and cannot be used", b->name);
    }
    if (b->read_only) {
        return error_set(errp, "Bitmap '%s' is readonly and cannot be "
                         "modified", b->name);
    }
    if (consistent && b->inconsistent) {
        error_set(errp, "Bitmap '%s' is inconsistent and cannot be used",
                  b->name);
        error_hint(errp, "Try block-dirty-bitmap-remove to delete this bitmap "
                   "from disk");
        return false;
    }
    return true;
}

bool blk_bitmap_unstore(BlkNode *n, BlkBitmap *b, Error **errp)
{
    Error *err = NULL;
    int ret = 0;

    if (b->persistent && n->drv->bitmaps) {
        ret = n->drv->bitmaps->remove(n, b->name, &err);
    }
    if (ret < 0 && !err) {
        error_set_errno(&err, -ret, "Failed to remove bitmap '%s'", b->name);
    }
    if (ret < 0) {
        error_move(errp, err);
    }
    return ret >= 0;
}

bool blk_bitmap_merge_checked(BlkBitmap *b, const BlkBitmap *from,
                              Error **errp)
{
    BlkBitmap source = *from;

    source.read_only = false;          /* it is only looked at                */
    if (!blk_bitmap_usable(&source, true, errp)) {
        return false;
    }
    if (from->size != b->size) {
        return error_set(errp, "Bitmaps are of different sizes (destination "
                         "size is %" PRIu64 ", source size is %" PRIu64
                         ") and can't be merged", b->size, from->size);
    }
    blk_bitmap_merge(b, from);
    return true;
}
