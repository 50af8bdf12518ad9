/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cor.h - copy on read, private to block/. LOOP_CALL(node's loop). */
#ifndef TERN_BLOCK_COR_H
#define TERN_BLOCK_COR_H

#include "block/driver.h"

/* Reads from n; what n's backing nodes above `below` (NULL: all of them) hold is
 * written to n as well. Nothing else may touch the clusters meanwhile. With
 * BLKF_PREFETCH nothing is given to the buffers. flags: of the requests to n,
 * BLKF_INNER when req is n's own. 0 or -errno. */
int blk_cor_read(BlkNode *n, BlkNode *below, BlkReq *req, unsigned flags);
/* What reads of n have to be alone on, bytes. */
uint64_t blk_cor_unit(BlkNode *n);
/* Reads of n, which is in use by nobody yet, copy to n. */
void blk_cor_enable(BlkNode *n) MACHINE_CALL;

#endif
