/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * query-stats.c - query-blockstats, limits in query-block, and the commands that
 * set histograms and limits.
 *
 * Thread class: MACHINE_CALL.
 */
#include <glib.h>
#include "block/stats.h"
#include "block/throttle.h"
#include "schema/schema.h"

static BlockLatencyHistogramInfo *histogram(const BlkHistogram *h)
{
    BlockLatencyHistogramInfo *i;

    if (!h) {
        return NULL;
    }
    i = SCHEMA_NEW(BlockLatencyHistogramInfo);
    for (unsigned k = 0; k < h->n; k++) {
        *SCHEMA_ADD(&i->boundaries) = h->bounds[k];
    }
    for (unsigned k = 0; k <= h->n; k++) {
        *SCHEMA_ADD(&i->bins) = h->bins[k];
    }
    return i;
}

static int64_t mean(const BlkPeriod *p)
{
    return p->n ? (int64_t)(p->sum / p->n) : 0;
}

static double depth(const BlkPeriod *p, const BlkInterval *i)
{
    return (double)p->sum / ((double)i->seconds * 1e9);
}

static void interval_fill(const BlkInterval *i, BlockDeviceTimedStats *t)
{
    const BlkPeriod *p = i->past[0].n || i->past[1].n || i->past[2].n
        ? i->past : i->now;

    t->interval_length = i->seconds;
    t->min_rd_latency_ns = (int64_t)p[0].min;
    t->max_rd_latency_ns = (int64_t)p[0].max;
    t->avg_rd_latency_ns = mean(&p[0]);
    t->min_wr_latency_ns = (int64_t)p[1].min;
    t->max_wr_latency_ns = (int64_t)p[1].max;
    t->avg_wr_latency_ns = mean(&p[1]);
    t->min_flush_latency_ns = (int64_t)p[2].min;
    t->max_flush_latency_ns = (int64_t)p[2].max;
    t->avg_flush_latency_ns = mean(&p[2]);
    t->avg_rd_queue_depth = depth(&p[0], i);
    t->avg_wr_queue_depth = depth(&p[1], i);
}

static void backend_stats(const BlkBackend *b, BlockDeviceStats *s)
{
    const BlkStats *r = &b->stats[BLK_READ], *w = &b->stats[BLK_WRITE];
    const BlkStats *f = &b->stats[BLK_FLUSH], *u = &b->stats[BLK_DISCARD];

    s->rd_bytes = (int64_t)r->bytes;
    s->wr_bytes = (int64_t)w->bytes;
    s->unmap_bytes = (int64_t)u->bytes;
    s->rd_operations = (int64_t)r->ops;
    s->wr_operations = (int64_t)w->ops;
    s->flush_operations = (int64_t)f->ops;
    s->unmap_operations = (int64_t)u->ops;
    s->rd_total_time_ns = (int64_t)r->ns;
    s->wr_total_time_ns = (int64_t)w->ns;
    s->flush_total_time_ns = (int64_t)f->ns;
    s->unmap_total_time_ns = (int64_t)u->ns;
    s->failed_rd_operations = (int64_t)r->failed;
    s->failed_wr_operations = (int64_t)w->failed;
    s->failed_flush_operations = (int64_t)f->failed;
    s->failed_unmap_operations = (int64_t)u->failed;
    s->invalid_rd_operations = (int64_t)r->invalid;
    s->invalid_wr_operations = (int64_t)w->invalid;
    s->invalid_flush_operations = (int64_t)f->invalid;
    s->invalid_unmap_operations = (int64_t)u->invalid;
    s->account_invalid = b->account_invalid;
    s->account_failed = b->account_failed;
    s->has_idle_time_ns = b->last_ns != 0;
    s->idle_time_ns = clock_ns(CLOCK_RT) - b->last_ns;
    for (guint i = 0; b->intervals && i < b->intervals->len; i++) {
        interval_fill(b->intervals->pdata[i], SCHEMA_ADD(&s->timed_stats));
    }
    s->rd_latency_histogram = histogram(b->histogram[0]);
    s->wr_latency_histogram = histogram(b->histogram[1]);
    s->flush_latency_histogram = histogram(b->histogram[2]);
}

/* flat: without what lies below a backing file or a filter's file. */
static MACHINE_CALL void node_stats(BlkNode *n, bool flat, BlockStats *s)
{
    s->node_name = g_strdup(n->name);
    s->stats.wr_highest_offset = (int64_t)n->wr_highest;
    s->driver_specific.obj = n->drv->counts ? n->drv->counts(n) : NULL;
    s->has_driver_specific = s->driver_specific.obj != NULL;
    if (s->has_driver_specific) {
        json_set_str(s->driver_specific.obj, "driver", n->drv->name);
    }
    if (n->file) {
        s->parent = SCHEMA_NEW(BlockStats);
        node_stats(n->file, flat, s->parent);
    }
    if (n->backing && !flat) {
        s->backing = SCHEMA_NEW(BlockStats);
        node_stats(n->backing, false, s->backing);
    }
}

bool cmd_query_blockstats(const void *arg, void *ret, Error **errp)
{
    const QueryBlockstatsArg *a = arg;
    BlockStatsList *l = ret;

    if (a->has_query_nodes && a->query_nodes) {
        for (BlkNode *n = blk_node_first(); n; n = n->next) {
            node_stats(n, true, SCHEMA_ADD(l));
        }
        return true;
    }
    for (BlkBackend *b = blk_next(NULL); b; b = blk_next(b)) {
        BlockStats *s;

        if (!b->name[0] && !b->dev_obj) {
            continue;
        }
        s = SCHEMA_ADD(l);
        if (b->node) {
            node_stats(b->node, false, s);
        }
        backend_stats(b, &s->stats);
        s->device = g_strdup(b->name);
        s->qdev = blk_dev_id(b);
    }
    return true;
}


void hmp_print_info_blockstats(const void *ret, const Json *args)
{
    const BlockStatsList *l = ret;

    for (size_t i = 0; i < l->n; i++) {
        const BlockStats *b = &l->v[i];
        const BlockDeviceStats *s = &b->stats;

        if (!b->device) {
            continue;
        }
        mon_printf("%s:", b->device);
        mon_printf(" rd_bytes=%" PRId64 " wr_bytes=%" PRId64
                   " rd_operations=%" PRId64 " wr_operations=%" PRId64
                   " flush_operations=%" PRId64 " wr_total_time_ns=%" PRId64
                   " rd_total_time_ns=%" PRId64 " flush_total_time_ns=%" PRId64
                   " rd_merged=%" PRId64 " wr_merged=%" PRId64
                   " idle_time_ns=%" PRId64 "\n",
                   s->rd_bytes, s->wr_bytes, s->rd_operations,
                   s->wr_operations, s->flush_operations, s->wr_total_time_ns,
                   s->rd_total_time_ns, s->flush_total_time_ns, s->rd_merged,
                   s->wr_merged, s->has_idle_time_ns ? s->idle_time_ns : 0);
    }
}

/* ---- histograms ---------------------------------------------------------- */

bool cmd_block_latency_histogram_set(const void *arg, void *ret, Error **errp)
{
    const BlockLatencyHistogramSetArg *a = arg;
    BlkBackend *b = blk_lookup(NULL, a->id, NULL);
    const struct {
        bool has;
        const Uint64List *v;
        const char *name;
    } rows[3] = {
        { a->has_boundaries_read, (const void *)&a->boundaries_read, "read" },
        { a->has_boundaries_write, (const void *)&a->boundaries_write, "write" },
        { a->has_boundaries_flush, (const void *)&a->boundaries_flush, "flush" },
    };
    static const uint64_t none;
    bool any = a->has_boundaries;

    if (!b && obj_resolve(a->id, NULL)) {
        return error_set(errp, "Device does not have a block device backend");
    }
    if (!b) {
        return blk_lookup(NULL, a->id, errp) != NULL;
    }
    for (int i = 0; i < 3; i++) {
        any |= rows[i].has;
    }
    for (int i = 0; i < 3; i++) {
        const Uint64List *v = rows[i].has ? rows[i].v
            : (const void *)&a->boundaries;

        if (any && !rows[i].has && !a->has_boundaries) {
            continue;
        }
        if (!blk_histogram_set(b, i, !any ? NULL : v->n ? v->v : &none,
                               any ? v->n : 0)) {
            return error_set(errp, "Device '%s' set %s boundaries fail", a->id,
                             rows[i].name);
        }
    }
    return true;
}

/* ---- limits -------------------------------------------------------------- */

typedef struct LimitField {            /* of BlockIOThrottle and DeviceInfo   */
    size_t avg, max, has_max, length, has_length;
} LimitField;

#define LIMIT_ROW(T, n) { offsetof(T, n), offsetof(T, n##_max), \
    offsetof(T, has_##n##_max), offsetof(T, n##_max_length), \
    offsetof(T, has_##n##_max_length) }
#define LIMIT_ROWS(T) { LIMIT_ROW(T, bps), LIMIT_ROW(T, bps_rd), \
    LIMIT_ROW(T, bps_wr), LIMIT_ROW(T, iops), LIMIT_ROW(T, iops_rd), \
    LIMIT_ROW(T, iops_wr) }
#define AT(p, off, type) (*(type *)((char *)(uintptr_t)(p) + (off)))

void blk_limits_fill(const BlkBackend *b, BlockDeviceInfo *i)
{
    static const LimitField rows[BUCKETS] = LIMIT_ROWS(BlockDeviceInfo);
    BlkLimitsSet s;

    if (!b->limiter) {
        return;
    }
    blk_group_read(b->limiter->group, &s);
    for (int k = 0; k < BUCKETS; k++) {
        const BlkBucket *x = &s.bucket[k];

        AT(i, rows[k].avg, int64_t) = x->avg;
        AT(i, rows[k].max, int64_t) = x->max;
        AT(i, rows[k].has_max, bool) = x->max != 0;
        AT(i, rows[k].length, int64_t) = x->length;
        AT(i, rows[k].has_length, bool) = x->max != 0;
    }
    i->iops_size = s.iops_size;
    i->has_iops_size = s.iops_size != 0;
    i->group = g_strdup(b->limiter->group->name);
}

bool cmd_block_set_io_throttle(const void *arg, void *ret, Error **errp)
{
    static const LimitField rows[BUCKETS] = LIMIT_ROWS(BlockIOThrottle);
    const BlockIOThrottle *a = arg;
    BlkBackend *b = blk_lookup(a->device, a->id, errp);
    BlkLimitsSet s = { 0 };

    if (!b) {
        return false;
    }
    if (!b->node) {
        return error_set(errp, "Device has no medium");
    }
    for (int k = 0; k < BUCKETS; k++) {
        s.bucket[k].avg = AT(a, rows[k].avg, int64_t);
        s.bucket[k].max = AT(a, rows[k].has_max, bool)
            ? AT(a, rows[k].max, int64_t) : 0;
        s.bucket[k].length = AT(a, rows[k].has_length, bool)
            ? AT(a, rows[k].length, int64_t) : 1;
    }
    s.iops_size = a->has_iops_size ? a->iops_size : 0;
    if (!blk_limits_check(&s, errp)) {
        return false;
    }
    return blk_throttle_set(b, blk_limits_any(&s) ? &s : NULL,
                            a->group ? a->group : a->device ? a->device : a->id,
                            errp);
}
