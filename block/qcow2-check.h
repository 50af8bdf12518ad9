/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qcow2-check.h - a check that is running, private to the driver. */
#ifndef TERN_BLOCK_QCOW2_CHECK_H
#define TERN_BLOCK_QCOW2_CHECK_H

#include "block/qcow2.h"

typedef struct Q2Wrong {               /* a refcount that is not as counted   */
    uint64_t cluster, have, want;
} Q2Wrong;
typedef struct Q2Check {
    Qcow2 *s;
    BlkCheck *c;
    int fix;
    bool fix_flags;                    /* "copied" flags are mended           */
    uint64_t n;                        /* clusters of the file                */
    bool wide, rebuild;
    uint64_t refcount_errors;          /* of corruptions: a rebuild mends them */
    uint16_t *refs16;                  /* counted; one of the two             */
    uint32_t *refs32;
    uint8_t *buf;                      /* a cluster                           */
    uint32_t old_order;                /* refcount order before a rebuild     */
    uint64_t next;                     /* where the next cluster would follow */
    GArray *wrong;                     /* Q2Wrong                             */
} Q2Check;

void q2_say(Q2Check *k, const char *fmt, ...) PRINTF_LIKE(2, 3);
uint64_t q2_check_refs(const Q2Check *k, uint64_t i);
void q2_check_count(Q2Check *k, uint64_t off, uint64_t len);
int q2_bitmaps_count(Q2Check *k);
/* qcow2-repair.c */
void q2_check_wrong(Q2Check *k, uint64_t i, uint64_t have, uint64_t want);
int q2_check_mend(Q2Check *k, bool missing);
int q2_check_build(Q2Check *k);        /* the structure anew                  */
/* qcow2-check.c: how wide refcounts are from here on. */
void q2_width_set(Qcow2 *s, uint32_t order);
/* qcow2-check.c: with another width. -ERANGE: a count is too large. */
int q2_check_rebuild(Qcow2 *s, uint32_t order);

#endif
