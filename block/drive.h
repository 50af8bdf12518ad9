/* SPDX-License-Identifier: GPL-2.0-or-later */
/* drive.h - what the files of -drive share. */
#ifndef TERN_BLOCK_DRIVE_H
#define TERN_BLOCK_DRIVE_H

#include "block/throttle.h"

/* Older names of options become today's. */
bool drive_text_rename(Json *opts, Error **errp);
bool drive_limits_take(Json *opts, BlkLimitsSet *s, char **group, Error **errp);
bool drive_stats_take(Json *opts, BlkBackend *b, Error **errp) MACHINE_CALL;
/* A temporary image over n, which it takes over; NULL: n is gone too. */
BlkNode *drive_overlay(BlkNode *n, unsigned rdwr, Error **errp) MACHINE_CALL;

#endif
