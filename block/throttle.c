/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * throttle.c - leaky buckets: each request fills its buckets, which leak at the
 * average rate; a request waits while a bucket of its direction is over its brim.
 *
 * Thread class: as throttle.h says.
 *
 * Invariants
 * 1. Requests of one direction of a member leave in the order they came.
 * 2. A request is counted once, when it leaves.
 */
#include <glib.h>
#include "block/throttle.h"

#define VALUE_MAX 1000000000000000ll

const char *const blk_bucket_names[BUCKETS] = {
    "bps-total", "bps-read", "bps-write",
    "iops-total", "iops-read", "iops-write",
};

static BlkGroup *groups;

/* ---- groups -------------------------------------------------------------- */

static bool both_ways(const BlkBucket *b)
{
    return (b[0].avg && (b[1].avg || b[2].avg)) ||
           (b[0].max && (b[1].max || b[2].max));
}

static bool bucket_check(const BlkBucket *b, Error **errp)
{
    if (b->avg < 0 || b->max < 0 || b->avg > VALUE_MAX || b->max > VALUE_MAX) {
        return error_set(errp, "bps/iops/max values must be within [0, %lld]",
                         VALUE_MAX);
    }
    if (!b->length) {
        return error_set(errp, "the burst length cannot be 0");
    }
    if (b->length > 1 && !b->max) {
        return error_set(errp, "burst length set without burst rate");
    }
    if (b->max && b->length > VALUE_MAX / b->max) {
        return error_set(errp, "burst length too high for this burst rate");
    }
    if (b->max && !b->avg) {
        return error_set(errp, "bps_max/iops_max require corresponding "
                         "bps/iops values");
    }
    if (b->max && b->max < b->avg) {
        return error_set(errp, "bps_max/iops_max cannot be lower than "
                         "bps/iops");
    }
    return true;
}

bool blk_limits_check(const BlkLimitsSet *s, Error **errp)
{
    const BlkBucket *b = s->bucket;

    if (both_ways(b) || both_ways(b + BUCKET_IOPS_TOTAL)) {
        return error_set(errp, "bps/iops/max total values and read/write "
                         "values cannot be used at the same time");
    }
    if (s->iops_size && !b[BUCKET_IOPS_TOTAL].avg &&
        !b[BUCKET_IOPS_READ].avg && !b[BUCKET_IOPS_WRITE].avg) {
        return error_set(errp, "iops size requires an iops value to be set");
    }
    for (int i = 0; i < BUCKETS; i++) {
        if (!bucket_check(&b[i], errp)) {
            return false;
        }
    }
    return true;
}

bool blk_limits_any(const BlkLimitsSet *s)
{
    for (int i = 0; i < BUCKETS; i++) {
        if (s->bucket[i].avg > 0) {
            return true;
        }
    }
    return false;
}

BlkGroup *blk_group_find(const char *name)
{
    BlkGroup *g = groups;

    while (g && strcmp(g->name, name)) {
        g = g->next;
    }
    return g;
}

BlkGroup *blk_group_get(const char *name)
{
    BlkGroup *g = blk_group_find(name);

    if (g) {
        g->refs++;
        return g;
    }
    g = g_new0(BlkGroup, 1);
    g->name = g_strdup(name);
    g->refs = 1;
    pthread_mutex_init(&g->lock, NULL);
    for (int i = 0; i < BUCKETS; i++) {
        g->set.bucket[i].length = 1;
    }
    g->next = groups;
    groups = g;
    return g;
}

void blk_group_unref(BlkGroup *g)
{
    BlkGroup **at = &groups;

    if (--g->refs) {
        return;
    }
    while (*at != g) {
        at = &(*at)->next;
    }
    *at = g->next;
    pthread_mutex_destroy(&g->lock);
    g_free(g->name);
    g_free(g);
}

void blk_group_set(BlkGroup *g, const BlkLimitsSet *s)
{
    pthread_mutex_lock(&g->lock);
    g->set = *s;
    for (int i = 0; i < BUCKETS; i++) {
        g->set.bucket[i].level = g->set.bucket[i].burst = 0;
    }
    g->leaked_ns = clock_ns(CLOCK_RT);
    pthread_mutex_unlock(&g->lock);
}

void blk_group_read(BlkGroup *g, BlkLimitsSet *s)
{
    pthread_mutex_lock(&g->lock);
    *s = g->set;
    pthread_mutex_unlock(&g->lock);
}

/* ---- buckets: the group's mutex is held ---------------------------------- */

static void leak(BlkGroup *g, int64_t now)
{
    double s = (double)(now - g->leaked_ns) / 1e9;

    g->leaked_ns = now;
    for (int i = 0; i < BUCKETS; i++) {
        BlkBucket *b = &g->set.bucket[i];

        b->level = MAX2(b->level - (double)b->avg * s, 0.0);
        b->burst = MAX2(b->burst - (double)b->max * s, 0.0);
    }
}

/* Seconds until the bucket is no more over its brim. */
static double bucket_wait(const BlkBucket *b)
{
    double brim, over;

    if (!b->avg) {
        return 0;
    }
    brim = b->max ? (double)b->max * (double)b->length : (double)b->avg / 10;
    over = b->level - brim;
    if (over > 0) {
        return over / (double)b->avg;
    }
    over = b->length > 1 ? b->burst - (double)b->max / 10 : 0;
    return over > 0 ? over / (double)b->max : 0;
}

static double group_wait(const BlkGroup *g, bool write)
{
    const int mine[] = {
        BUCKET_BPS_TOTAL, write ? BUCKET_BPS_WRITE : BUCKET_BPS_READ,
        BUCKET_IOPS_TOTAL, write ? BUCKET_IOPS_WRITE : BUCKET_IOPS_READ,
    };
    double most = 0;

    for (size_t i = 0; i < ARRAY_SIZE(mine); i++) {
        most = MAX2(most, bucket_wait(&g->set.bucket[mine[i]]));
    }
    return most;
}

static void fill(BlkBucket *b, double units)
{
    b->level += units;
    if (b->length > 1) {
        b->burst += units;
    }
}

static void count(BlkGroup *g, bool write, uint64_t bytes)
{
    BlkBucket *b = g->set.bucket;
    double ops = 1;

    if (g->set.iops_size && bytes > (uint64_t)g->set.iops_size) {
        ops = (double)bytes / (double)g->set.iops_size;
    }
    fill(&b[BUCKET_BPS_TOTAL], (double)bytes);
    fill(&b[write ? BUCKET_BPS_WRITE : BUCKET_BPS_READ], (double)bytes);
    fill(&b[BUCKET_IOPS_TOTAL], ops);
    fill(&b[write ? BUCKET_IOPS_WRITE : BUCKET_IOPS_READ], ops);
}

/* May a request leave? Counts it then, else *at: when to ask again. */
static bool may_leave(BlkGroup *g, bool write, uint64_t bytes, bool forced,
                      int64_t *at)
{
    int64_t now = clock_ns(CLOCK_RT);
    double wait;

    pthread_mutex_lock(&g->lock);
    leak(g, now);
    wait = forced ? 0 : group_wait(g, write);
    if (wait <= 0) {
        count(g, write, bytes);
    }
    pthread_mutex_unlock(&g->lock);
    *at = now + (int64_t)(wait * 1e9) + 1;
    return wait <= 0;
}

/* ---- members ------------------------------------------------------------- */

static bool is_write(const BlkReq *req)
{
    return req->op != BLK_READ;
}

static void pump(BlkLimiter *l, bool write)
{
    int64_t at;

    while (l->first[write]) {
        BlkReq *req = l->first[write];

        if (!may_leave(l->group, write, req->len, l->open, &at)) {
            timer_set(&l->timer[write], at);
            return;
        }
        l->first[write] = req->next;
        l->go(l->arg, req);
    }
}

static void pump_reads(void *arg)
{
    pump(arg, false);
}

static void pump_writes(void *arg)
{
    pump(arg, true);
}

void blk_limiter_init(BlkLimiter *l, BlkGroup *g, Loop *loop,
                      void (*go)(void *arg, BlkReq *req), void *arg)
{
    *l = (BlkLimiter){ .group = g, .loop = loop, .go = go, .arg = arg };
    timer_init(&l->timer[0], loop, CLOCK_RT, pump_reads, l);
    timer_init(&l->timer[1], loop, CLOCK_RT, pump_writes, l);
}

static void timers_clear(void *arg)
{
    BlkLimiter *l = arg;

    timer_clear(&l->timer[0]);
    timer_clear(&l->timer[1]);
}

void blk_limiter_fini(BlkLimiter *l)
{
    if (l->loop == loop_main) {
        timers_clear(l);
    } else {
        loop_run_sync(l->loop, timers_clear, l);
    }
    blk_group_unref(l->group);
}

void blk_limiter_submit(BlkLimiter *l, BlkReq *req)
{
    bool write = is_write(req);
    int64_t at;

    if (req->op == BLK_FLUSH || req->op == BLK_IOCTL) {
        l->go(l->arg, req);
        return;
    }
    if (!l->first[write] &&
        may_leave(l->group, write, req->len, l->open, &at)) {
        l->go(l->arg, req);
        return;
    }
    if (!l->first[write]) {
        l->last[write] = &l->first[write];
        timer_set(&l->timer[write], at);
    }
    req->next = NULL;
    *l->last[write] = req;
    l->last[write] = &req->next;
}

void blk_limiter_open(BlkLimiter *l, bool on)
{
    l->open += on ? 1 : -1u;
    if (on) {
        timers_clear(l);
        pump(l, false);
        pump(l, true);
    }
}
