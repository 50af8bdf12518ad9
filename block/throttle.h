/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * throttle.h - limits of bytes and requests a second, shared by the members of a
 * group.
 *
 * Thread class: groups ANY_THREAD under their own mutex; a limiter in its loop.
 */
#ifndef TERN_BLOCK_THROTTLE_H
#define TERN_BLOCK_THROTTLE_H

#include <pthread.h>
#include "block/driver.h"

enum { BUCKET_BPS_TOTAL, BUCKET_BPS_READ, BUCKET_BPS_WRITE, BUCKET_IOPS_TOTAL,
       BUCKET_IOPS_READ, BUCKET_IOPS_WRITE, BUCKETS };

typedef struct BlkBucket {
    int64_t avg, max, length;          /* units a second; seconds; 0: no limit */
    double level, burst;               /* units not yet leaked                */
} BlkBucket;
typedef struct BlkLimitsSet {
    BlkBucket bucket[BUCKETS];
    int64_t iops_size;                 /* bytes that count as one request     */
} BlkLimitsSet;

typedef struct BlkGroup {
    char *name;
    int refs;
    bool object;                       /* made as one                         */
    pthread_mutex_t lock;              /* of what follows                     */
    BlkLimitsSet set;
    int64_t leaked_ns;                 /* when the levels were computed       */
    struct BlkGroup *next;
} BlkGroup;

/* A member: what waits, in order of arrival, reads apart from writes. */
typedef struct BlkLimiter {
    BlkGroup *group;
    Loop *loop;
    BlkReq *first[2], **last[2];
    Timer timer[2];
    unsigned open;                     /* drained: nobody waits               */
    void (*go)(void *arg, BlkReq *req);
    void *arg;
} BlkLimiter;

/* blk_throttle.c: */
bool blk_limits_check(const BlkLimitsSet *s, Error **errp);
bool blk_limits_any(const BlkLimitsSet *s);
BlkGroup *blk_group_find(const char *name) MACHINE_CALL;
BlkGroup *blk_group_get(const char *name) MACHINE_CALL;    /* made if needed  */
void blk_group_unref(BlkGroup *g) MACHINE_CALL;
void blk_group_set(BlkGroup *g, const BlkLimitsSet *s) ANY_THREAD;
void blk_group_read(BlkGroup *g, BlkLimitsSet *s) ANY_THREAD;

void blk_limiter_init(BlkLimiter *l, BlkGroup *g, Loop *loop,
                      void (*go)(void *arg, BlkReq *req), void *arg)
    MACHINE_CALL;
void blk_limiter_fini(BlkLimiter *l) MACHINE_CALL; /* nothing waits           */
/* go(req) now or later. */
void blk_limiter_submit(BlkLimiter *l, BlkReq *req);
/* While open nothing is held back, and what waited goes. In l's loop. */
void blk_limiter_open(BlkLimiter *l, bool on);

/* A backend's own limits. set: NULL ends them; group NULL: its own name's. */
bool blk_throttle_set(BlkBackend *b, const BlkLimitsSet *s, const char *group,
                      Error **errp) MACHINE_CALL;
void blk_throttle_fini(BlkBackend *b) MACHINE_CALL;
/* For query-block. */
struct BlockDeviceInfo;
void blk_limits_fill(const BlkBackend *b, struct BlockDeviceInfo *i);

/* The names of the buckets: "bps-total". */
extern const char *const blk_bucket_names[BUCKETS];

#endif
