/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qcow-create.h - making qcow images. MACHINE_CALL. */
#ifndef TERN_BLOCK_QCOW_CREATE_H
#define TERN_BLOCK_QCOW_CREATE_H

#include "block/driver.h"

#define QCOW_MAGIC 0x514649fbu         /* "QFI\xfb"                           */

typedef struct QcowCreate {
    BlkCreate base;
    bool encryption;
    char *format, *key_secret;
} QcowCreate;
extern const Prop qcow_create_props[];
bool qcow_create(BlkCreate *b, Error **errp) MACHINE_CALL;

#endif
