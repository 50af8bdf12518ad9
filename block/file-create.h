/* SPDX-License-Identifier: GPL-2.0-or-later */
/* file-create.h - what a new host file may be asked to be. */
#ifndef TERN_BLOCK_FILE_CREATE_H
#define TERN_BLOCK_FILE_CREATE_H

#include "block/driver.h"

typedef struct FileCreate {
    BlkCreate head;
    int prealloc;                      /* BlkPrealloc                         */
    bool nocow;
    uint64_t extent_hint;              /* bytes                               */
} FileCreate;

#endif
