/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * packed.h - read-only formats whose disk is a row of parts, each compressed by
 * itself: reading with the last part kept. LOOP_CALL(node's loop).
 */
#ifndef TERN_BLOCK_PACKED_H
#define TERN_BLOCK_PACKED_H

#include "block/driver.h"

#define PACKED_PART_MAX (64u * 1024 * 1024)        /* bytes, before and after */

typedef enum PackedKind { PACKED_ZERO, PACKED_RAW, PACKED_ZLIB, PACKED_BZIP2,
                          PACKED_UNKNOWN } PackedKind;
typedef struct PackedPart {
    uint64_t off, len;                 /* of the disk                         */
    uint64_t at, size;                 /* of the file                         */
    PackedKind kind;
} PackedPart;
typedef struct PackedNode {
    BlkNode node;
    /* The part that off is in. 0 or -errno. */
    int (*find)(BlkNode *n, uint64_t off, PackedPart *p);
    CoMutex lock;                      /* of what follows                     */
    uint8_t *data;                     /* the last part's bytes               */
    uint64_t data_off, data_len;
} PackedNode;

int packed_run(BlkNode *n, BlkReq *req);
int packed_extent(BlkNode *n, uint64_t off, uint64_t len, BlkExtent *x);
void packed_close(BlkNode *n) MACHINE_CALL;
/* Refuses to be opened for writing, or gives it up. */
bool packed_read_only(BlkNode *n, Error **errp) MACHINE_CALL;

#endif
