/* SPDX-License-Identifier: GPL-2.0-or-later */
/* reopen.h - changes of nodes in use, private to block/. */
#ifndef TERN_BLOCK_REOPEN_H
#define TERN_BLOCK_REOPEN_H

#include "block/driver.h"

bool blk_reopen(const Json *list, Error **errp) MACHINE_CALL;
bool blk_child_swap(BlkNode *n, const BlkChildRow *row, const char *name,
                    Error **errp) MACHINE_CALL;
/* n's wishes to its children, after its own options have changed. */
bool blk_perms_refresh(BlkNode *n, Error **errp) MACHINE_CALL;
/* Does a device or export write to n? */
bool blk_written_by_device(const BlkNode *n);

#endif
