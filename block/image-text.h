/* SPDX-License-Identifier: GPL-2.0-or-later */
/* image-text.h - what images are, in words for people. ANY_THREAD. */
#ifndef TERN_BLOCK_IMAGE_TEXT_H
#define TERN_BLOCK_IMAGE_TEXT_H

#include <glib.h>
#include "block/driver.h"

char *blk_size_text(uint64_t bytes);   /* "1.5 KiB"; g_free                   */
void blk_snapshots_text(GString *out, const BlkSnapshot *s, int n);
/* Members one a line, four columns in for each level. */
void blk_specific_text(GString *out, const Json *v, int depth);

#endif
