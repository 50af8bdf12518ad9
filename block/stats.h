/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stats.h - histograms and intervals of a backend, private to block/. */
#ifndef TERN_BLOCK_STATS_H
#define TERN_BLOCK_STATS_H

#include "block/backend.h"

typedef struct BlkHistogram {
    unsigned n;                        /* boundaries                          */
    uint64_t *bounds, *bins;           /* ns; n + 1 bins                      */
    uint64_t words[];
} BlkHistogram;
typedef struct BlkPeriod {             /* one kind of request                 */
    uint64_t n, min, max, sum;         /* ns                                  */
} BlkPeriod;
typedef struct BlkInterval {
    unsigned seconds;
    int64_t begun_ns;
    BlkPeriod now[3], past[3];         /* reads, writes, flushes              */
} BlkInterval;

void blk_interval_add(BlkBackend *b, unsigned seconds) MACHINE_CALL;
/* kind: 0 reads, 1 writes, 2 flushes; v NULL: ends it. False: they do not rise. */
bool blk_histogram_set(BlkBackend *b, int kind, const uint64_t *v, size_t n)
    MACHINE_CALL;

#endif
