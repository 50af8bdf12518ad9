/* SPDX-License-Identifier: GPL-2.0-or-later */
/* convert.h - copying of images by tern-img convert. MACHINE_CALL. */
#ifndef TERN_TOOLS_CONVERT_H
#define TERN_TOOLS_CONVERT_H

#include "tools/img.h"

typedef struct CopySource {
    BlkBackend *b;
    const char *name;
    uint64_t start, len;               /* in the target; bytes                */
} CopySource;
typedef struct Copy {
    CopySource *src;
    int nsrc;
    BlkBackend *target;
    uint64_t total;                    /* bytes of all sources                */
    uint64_t backed;                   /* the target's backing file's length;
                                          0: it has none                      */
    bool over_backing;                 /* what the source's top layer does not
                                          hold is the target's backing file's */
    bool zero_init;                    /* the target reads as zeroes          */
    bool compress, offload, any_order, salvage, quiet;
    uint32_t sparse;                   /* bytes of zeroes that become a hole;
                                          0: none does                        */
    uint32_t cluster;                  /* of the target; 0: none              */
    uint32_t compress_align;
    unsigned workers;
    int64_t rate;                      /* bytes a second; 0: no limit         */
} Copy;
/* 0, or -errno after the error has been printed. */
int copy_run(const Copy *c) MACHINE_CALL;
/* Can the target keep bitmaps at all? */
bool bitmaps_fit(BlkNode *to) MACHINE_CALL;
/* --bitmaps; the errors have been printed. */
bool bitmaps_check(BlkNode *from, bool skip_broken) MACHINE_CALL;
bool bitmaps_copy(BlkNode *from, BlkNode *to) MACHINE_CALL;

#endif
