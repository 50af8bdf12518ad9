/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lend.c - data that is sent from the host's page cache, without being read.
 *
 * Thread class: LOOP_CALL(the backend's or node's loop).
 *
 * Invariants
 * 1. What is lent shows the bytes' contents at some time until they are received.
 *    So only what a node shows by itself is lent, not what a filter keeps as it
 *    was; and formats lend only what they never give to other data meanwhile.
 */
#include "block/backend.h"

int blk_node_lend(BlkNode *n, uint64_t off, uint64_t len, uint64_t *at)
{
    if (!n->drv->lend || n->cor_self || n->cor_unit || blk_debug_nodes) {
        return -1;
    }
    return n->drv->lend(n, off, len, at);
}

int blk_lend(BlkBackend *b, uint64_t off, uint64_t len, uint64_t *at)
{
    const BlkNode *n = b->node;

    if (!n || b->limiter || __atomic_load_n(&b->quiesce, __ATOMIC_ACQUIRE) ||
        !len || off > n->length || len > n->length - off) {
        return -1;
    }
    return blk_node_lend(b->node, off, len, at);
}
