/* SPDX-License-Identifier: GPL-2.0-or-later */
/* img-info.h - parts of `info` that others print too. */
#ifndef TERN_TOOLS_IMG_INFO_H
#define TERN_TOOLS_IMG_INFO_H

#include "tools/img.h"

void img_snapshots_print(const BlkSnapshot *s, int n);

#endif
