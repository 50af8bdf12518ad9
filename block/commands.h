/* SPDX-License-Identifier: GPL-2.0-or-later */
/* commands.h - what the files of block commands share. */
#ifndef TERN_BLOCK_COMMANDS_H
#define TERN_BLOCK_COMMANDS_H

#include "block/backend.h"
#include "block/reopen.h"
#include "schema/schema.h"

void blk_snapshot_info(const BlkSnapshot *from, SnapshotInfo *s);
/* What n holds goes into its backing file; 0 or -errno. */
int blk_node_commit(BlkNode *n) MACHINE_CALL;
bool blk_snapshot_take(const char *device, const char *name, Error **errp)
    MACHINE_CALL;

#endif
