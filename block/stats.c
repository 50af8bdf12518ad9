/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stats.c - what a backend's requests have come to: counts, latency histograms,
 * intervals that are looked at.
 *
 * Thread class: blk_account LOOP_CALL(backend's loop), the rest MACHINE_CALL. The
 * figures are plain words: a reader in another thread may see some of a request's
 * and not the others.
 *
 * Invariants
 * 1. A histogram has one bin more than boundaries; these rise strictly.
 */
#include <glib.h>
#include "block/stats.h"

static int kind_of(BlkOp op)           /* of histograms and intervals; -1     */
{
    return op == BLK_READ ? 0 : op == BLK_WRITE ? 1 : op == BLK_FLUSH ? 2 : -1;
}

static void histogram_add(BlkHistogram *h, uint64_t ns)
{
    unsigned i = 0;

    while (i < h->n && ns >= h->bounds[i]) {
        i++;
    }
    h->bins[i]++;
}

/* The period that now lies in; what came before it is kept as the last one. */
static BlkPeriod *interval_now(BlkInterval *i, int64_t now)
{
    int64_t len = (int64_t)i->seconds * NS_PER_S;

    if (now - i->begun_ns >= len) {
        for (int k = 0; k < 3; k++) {
            i->past[k] = now - i->begun_ns >= 2 * len ? (BlkPeriod){ 0 }
                                                      : i->now[k];
            i->now[k] = (BlkPeriod){ 0 };
        }
        i->begun_ns = now - (now - i->begun_ns) % len;
    }
    return i->now;
}

static void interval_add(BlkInterval *i, int kind, uint64_t ns, int64_t now)
{
    BlkPeriod *p = interval_now(i, now) + kind;

    p->min = p->n ? MIN2(p->min, ns) : ns;
    p->max = MAX2(p->max, ns);
    p->sum += ns;
    p->n++;
}

static void timed(BlkBackend *b, BlkOp op, uint64_t ns, int64_t now)
{
    int kind = kind_of(op);

    if (kind < 0) {
        return;
    }
    if (UNLIKELY(b->histogram[kind] != NULL)) {
        histogram_add(b->histogram[kind], ns);
    }
    for (guint i = 0; UNLIKELY(b->intervals != NULL) && i < b->intervals->len;
         i++) {
        interval_add(b->intervals->pdata[i], kind, ns, now);
    }
}

void blk_account(BlkBackend *b, const BlkReq *req)
{
    BlkStats *s = &b->stats[req->op];
    int64_t now = clock_ns(CLOCK_RT);
    uint64_t ns = (uint64_t)(now - req->start_ns);

    if (req->ret < 0) {
        s->failed++;
        if (!b->account_failed) {
            return;
        }
    } else {
        s->ops++;
        s->bytes += req->len;
    }
    s->ns += ns;
    b->last_ns = now;
    timed(b, req->op, ns, now);
}

void blk_stats_free(BlkBackend *b)
{
    for (int i = 0; i < 3; i++) {
        g_clear_pointer(&b->histogram[i], g_free);
    }
    if (b->intervals) {
        g_ptr_array_free(b->intervals, true);
        b->intervals = NULL;
    }
}

void blk_interval_add(BlkBackend *b, unsigned seconds)
{
    BlkInterval *i = g_new0(BlkInterval, 1);

    i->seconds = seconds;
    i->begun_ns = clock_ns(CLOCK_RT);
    if (!b->intervals) {
        b->intervals = g_ptr_array_new_with_free_func(g_free);
    }
    g_ptr_array_add(b->intervals, i);
}

bool blk_histogram_set(BlkBackend *b, int kind, const uint64_t *v, size_t n)
{
    BlkHistogram *h;

    for (size_t i = 0; i < n; i++) {
        if (v[i] <= (i ? v[i - 1] : 0)) {
            return false;
        }
    }
    g_clear_pointer(&b->histogram[kind], g_free);
    if (v) {
        h = g_malloc0(sizeof(*h) + (2 * n + 1) * sizeof(uint64_t));
        h->n = (unsigned)n;
        h->bounds = h->words;
        h->bins = h->words + n;
        if (n) {
            memcpy(h->bounds, v, n * sizeof(*v));
        }
        b->histogram[kind] = h;
    }
    return true;
}
