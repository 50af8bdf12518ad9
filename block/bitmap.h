/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bitmap.h - dirty bitmaps of a node: which parts were written since a bitmap was
 * made or cleared. Formats that store them read and write the words.
 *
 * Thread class: MACHINE_CALL with the node drained; setting in the node's loop.
 */
#ifndef TERN_BLOCK_BITMAP_H
#define TERN_BLOCK_BITMAP_H

#include "block/driver.h"

#define BLK_BITMAP_NAME_MAX 1023

typedef struct BlkBitmap {
    char *name;
    uint32_t granularity;              /* bytes of one bit, power of 2        */
    bool enabled, persistent, busy, inconsistent, read_only;
    uint64_t size;                     /* of the node, bytes                  */
    uint64_t *bits;                    /* bit i: bytes from i * granularity   */
    size_t words;
    struct BlkBitmap *next;
} BlkBitmap;

/* A bitmap of n, without a bit set; granularity 0: the default. */
BlkBitmap *blk_bitmap_new(BlkNode *n, const char *name, uint32_t granularity,
                          Error **errp) MACHINE_CALL;
void blk_bitmap_free(BlkNode *n, BlkBitmap *b) MACHINE_CALL;
void blk_bitmaps_free(BlkNode *n) MACHINE_CALL;    /* all                     */
BlkBitmap *blk_bitmap_find(BlkNode *n, const char *name);      /* NULL: none  */
uint64_t blk_bitmap_count(const BlkBitmap *b);     /* dirty bytes             */
void blk_bitmap_set(BlkBitmap *b, uint64_t off, uint64_t len, bool on);
bool blk_bitmap_get(const BlkBitmap *b, uint64_t off);
/* The first dirty (or clean) byte from off on, in steps of the granularity;
 * b->size: none. */
uint64_t blk_bitmap_next(const BlkBitmap *b, uint64_t off, bool dirty);
/* Whatever is dirty in `from` becomes dirty in b; granularities may differ. */
void blk_bitmap_merge(BlkBitmap *b, const BlkBitmap *from);
void blk_bitmap_resize(BlkBitmap *b, uint64_t size);
/* What a bitmap with default granularity has on n. */
uint32_t blk_bitmap_default(BlkNode *n);
/* A write: told to all enabled bitmaps of n. */
void blk_bitmaps_dirty(BlkNode *n, uint64_t off, uint64_t len);

/* ---- as a user asks for it: refused with a reason --------------------------- */
/* A bitmap for recording; persistent: the format must be able to store it.
 * who: what an error calls n. */
BlkBitmap *blk_bitmap_add(BlkNode *n, const char *name, uint32_t granularity,
                          bool persistent, const char *who, Error **errp)
    MACHINE_CALL;
/* May it be changed? consistent: and does it mean anything? */
bool blk_bitmap_usable(const BlkBitmap *b, bool consistent, Error **errp);
/* Takes a persistent bitmap out of the image; b itself stays. */
bool blk_bitmap_unstore(BlkNode *n, BlkBitmap *b, Error **errp) MACHINE_CALL;
bool blk_bitmap_merge_checked(BlkBitmap *b, const BlkBitmap *from,
                              Error **errp);

#endif
