/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qcow2-bitmap.h - persistent dirty bitmaps, private to the driver. */
#ifndef TERN_BLOCK_QCOW2_BITMAP_H
#define TERN_BLOCK_QCOW2_BITMAP_H

#include "block/bitmap.h"
#include "block/qcow2.h"

#define Q2_BITMAPS_MAX      65535
#define Q2_BITMAP_DIR_MAX   (Q2_BITMAPS_MAX * UINT64_C(1048))
#define Q2_BITMAP_TABLE_MAX 0x8000000u /* entries                             */
#define Q2_BITMAP_BYTES_MAX (512 * MiB)

enum { Q2B_IN_USE = 1, Q2B_AUTO = 2, Q2B_EXTRA_OK = 4, Q2B_KNOWN = 7 };

typedef struct Q2Bitmap {              /* an entry of the directory           */
    char *name;
    uint64_t table;                    /* offset of the table                 */
    uint32_t entries;                  /* of the table                        */
    uint32_t flags;                    /* Q2B_*                               */
    uint32_t extra_size;
    uint8_t *extra;
    uint8_t type, bits;                /* bits: log2 of the granularity       */
    uint64_t at;                       /* in the directory                    */
    struct Q2Bitmap *next;
} Q2Bitmap;

void q2_bitmap_free(Q2Bitmap *b);
/* An entry's bytes in a directory. */
uint64_t q2_bitmap_entry_size(size_t name, uint32_t extra);
/* Reads a table, entries in host order; each is checked. g_free. */
int q2_bitmap_table(Qcow2 *s, const Q2Bitmap *b, uint64_t **table);
/* Bytes of a bitmap of so many guest bytes. */
uint64_t q2_bitmap_bytes(uint64_t size, unsigned bits);

#endif
