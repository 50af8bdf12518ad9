/* SPDX-License-Identifier: GPL-2.0-or-later */
/* reopen.h - changes of nodes in use, private to block/. */
#ifndef TERN_BLOCK_REOPEN_H
#define TERN_BLOCK_REOPEN_H

#include "block/driver.h"

bool blk_reopen(const Json *list, Error **errp) MACHINE_CALL;
/* Ends the driver's part of n, which is drained; next is blk_node_restate. */
void blk_node_unstate(BlkNode *n) MACHINE_CALL;
/* Begins it anew with the driver's own options of opts; children stay. False: the
 * driver's part is still ended. */
bool blk_node_restate(BlkNode *n, const Json *opts, bool text, Error **errp)
    MACHINE_CALL;
/* n becomes read-only or writable, with what it alone uses. */
bool blk_node_set_ro(BlkNode *n, bool read_only, Error **errp) MACHINE_CALL;
/* n's wishes to its children, after its own options have changed. */
bool blk_perms_refresh(BlkNode *n, Error **errp) MACHINE_CALL;
/* Does a device or export write to n? */
bool blk_written_by_device(const BlkNode *n);

#endif
