/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dirty-rate.c - calc-dirty-rate: how fast the guest writes its memory, from
 * checksums of pages drawn at random before and after some seconds, or from the
 * log that migration uses.
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. One measurement at a time. The blocks it looks at are pinned meanwhile.
 * 2. At most SAMPLES_MAX pages are looked at in one turn of the main loop.
 */
#include <glib.h>
#include <zlib.h>
#include "loop.h"
#include "mem.h"
#include "monitor.h"
#include "schema/schema.h"

#define PAGE 4096u
#define BLOCK_MIN (128ull << 20)       /* smaller blocks are not memory proper */
#define SAMPLES_MAX 65536u
#define CHUNK (64ull << 20)
enum { PAGES_DEFAULT = 512, PAGES_MIN = 128, PAGES_MAX = 16384 };

typedef struct Sample {
    RamBlock *rb;
    uint64_t off;
    uint32_t sum;
} Sample;

static struct {
    DirtyRateInfo info;
    GArray *samples;                   /* Sample                              */
    GPtrArray *blocks;                 /* pinned                              */
    uint64_t bytes;                    /* of the blocks                       */
    uint64_t pages;                    /* found written, by the log           */
    int64_t began;
    Timer timer;
} rate;

static uint32_t page_sum(const Sample *s)
{
    uint8_t buf[PAGE];

    ram_copy_out(buf, s->rb->host + s->off, PAGE);
    return (uint32_t)crc32(0, buf, PAGE);
}

static void block_take(RamBlock *rb, void *arg)
{
    if (!rb->dead && rb->used >= BLOCK_MIN) {
        ram_pin(rb);
        g_ptr_array_add(rate.blocks, rb);
        rate.bytes += rb->used;
    }
}

static void samples_draw(void)
{
    for (unsigned i = 0; i < rate.blocks->len; i++) {
        RamBlock *rb = rate.blocks->pdata[i];
        uint64_t n = (rb->used * rate.info.sample_pages) >> 30;

        /* Fewer of each where the guest is so large that there are too many. */
        n = MIN2(n, (uint64_t)SAMPLES_MAX / rate.blocks->len);
        for (uint64_t k = 0; k < n; k++) {
            uint64_t at = (uint64_t)g_random_int() << 32 | g_random_int();
            Sample s = { rb, at % (rb->used / PAGE) * PAGE, 0 };

            s.sum = page_sum(&s);
            g_array_append_val(rate.samples, s);
        }
    }
}

static uint64_t samples_changed(void)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < rate.samples->len; i++) {
        const Sample *s = &g_array_index(rate.samples, Sample, i);

        n += page_sum(s) != s->sum;
    }
    return n;
}

/* Pages in the log, which is cleared. */
static uint64_t log_take(void) MACHINE_CALL;
static uint64_t log_take(void)
{
    uint8_t *bits = g_malloc(CHUNK / PAGE / 8);
    uint64_t n = 0;

    for (unsigned i = 0; i < rate.blocks->len; i++) {
        RamBlock *rb = rate.blocks->pdata[i];

        for (uint64_t at = 0; at < rb->used; at += CHUNK) {
            uint64_t len = MIN2(rb->used - at, CHUNK);

            memset(bits, 0, CHUNK / PAGE / 8);
            if (ram_log_sync_clear(rb, DIRTY_MIGRATION, at, len, bits)) {
                for (uint64_t k = 0; k < len / PAGE / 8; k++) {
                    n += (unsigned)__builtin_popcount(bits[k]);
                }
            }
        }
    }
    g_free(bits);
    return n;
}

static void rate_end(void *arg) MACHINE_CALL;
static void rate_end(void *arg)
{
    double s = (double)(clock_ns(CLOCK_RT) - rate.began) / (double)NS_PER_S;
    double mib = 0;

    if (rate.info.mode == DIRTY_RATE_MEASURE_MODE_DIRTY_BITMAP) {
        mib = (double)log_take() * PAGE / (double)(1 << 20);
        mem_log_global(false);
    } else if (rate.samples->len) {
        mib = (double)rate.bytes / (double)(1 << 20) *
              (double)samples_changed() / (double)rate.samples->len;
    }
    rate.info.has_dirty_rate = true;
    rate.info.dirty_rate = (int64_t)(mib / s);
    rate.info.status = DIRTY_RATE_STATUS_MEASURED;
    g_ptr_array_free(rate.blocks, true);
    g_array_free(rate.samples, true);
}

static bool rate_check(const CalcDirtyRateArg *a, int mode, Error **errp)
{
    if (rate.info.status == DIRTY_RATE_STATUS_MEASURING) {
        return error_set(errp, "the dirty rate is already being measured.");
    }
    if (a->calc_time < 1 || a->calc_time > 60) {
        return error_set(errp, "calc-time is out of range[1, 60].");
    }
    if (mode != DIRTY_RATE_MEASURE_MODE_PAGE_SAMPLING) {
        if (a->has_sample_pages) {
            return error_set(errp, "either sample-pages or dirty-ring can be "
                             "specified.");
        }
        if (mode == DIRTY_RATE_MEASURE_MODE_DIRTY_RING) {
            return error_set(errp, "mode dirty-ring is not enabled, use other "
                             "method instead.");
        }
    }
    if (a->has_sample_pages && (a->sample_pages < PAGES_MIN ||
                                a->sample_pages > PAGES_MAX)) {
        return error_set(errp, "sample-pages is out of range[%d, %d].",
                         PAGES_MIN, PAGES_MAX);
    }
    return true;
}

bool cmd_calc_dirty_rate(const void *arg, void *ret, Error **errp)
{
    const CalcDirtyRateArg *a = arg;
    int mode = a->has_mode ? (int)a->mode
                           : DIRTY_RATE_MEASURE_MODE_PAGE_SAMPLING;

    if (!rate_check(a, mode, errp)) {
        return false;
    }
    rate.began = clock_ns(CLOCK_RT);
    rate.info = (DirtyRateInfo){
        .status = DIRTY_RATE_STATUS_MEASURING, .calc_time = a->calc_time,
        .mode = mode, .start_time = rate.began / NS_PER_S,
    };
    rate.bytes = 0;
    rate.blocks = g_ptr_array_new();
    rate.samples = g_array_new(false, false, sizeof(Sample));
    ram_each(block_take, NULL);
    g_ptr_array_set_free_func(rate.blocks, (GDestroyNotify)ram_unpin);
    if (mode == DIRTY_RATE_MEASURE_MODE_DIRTY_BITMAP) {
        mem_log_global(true);
        log_take();
    } else {
        rate.info.sample_pages = a->has_sample_pages
            ? (uint64_t)a->sample_pages : PAGES_DEFAULT;
        samples_draw();
    }
    timer_init(&rate.timer, NULL, CLOCK_RT, rate_end, NULL);
    timer_set(&rate.timer, rate.began + a->calc_time * NS_PER_S);
    return true;
}

bool cmd_query_dirty_rate(const void *arg, void *ret, Error **errp)
{
    *(DirtyRateInfo *)ret = rate.info;
    return true;
}

/* ---- for people ---------------------------------------------------------- */

void hmp_print_info_dirty_rate(const void *ret, const Json *args)
{
    const DirtyRateInfo *i = ret;

    mon_printf("Status: %s\n", qt_DirtyRateStatus.values[i->status]);
    mon_printf("Start Time: %" PRId64 " (ms)\n", i->start_time);
    if (i->mode == DIRTY_RATE_MEASURE_MODE_PAGE_SAMPLING) {
        mon_printf("Sample Pages: %" PRIu64 " (per GB)\n", i->sample_pages);
    }
    mon_printf("Period: %" PRId64 " (sec)\n", i->calc_time);
    mon_printf("Mode: %s\n", qt_DirtyRateMeasureMode.values[i->mode]);
    if (i->has_dirty_rate) {
        mon_printf("Dirty rate: %" PRId64 " (MB/s)\n", i->dirty_rate);
    } else {
        mon_puts("Dirty rate: (not ready)\n");
    }
}

void hmp_calc_dirty_rate(const Json *args)
{
    const Json *n = json_get(args, "sample_pages_per_GB");
    CalcDirtyRateArg a = {
        .calc_time = json_int_of(json_get(args, "second")),
        .has_sample_pages = n != NULL, .sample_pages = n ? json_int_of(n) : 0,
        .has_mode = true,
    };
    bool ring = json_get(args, "ring"), bitmap = json_get(args, "bitmap");
    Error *err = NULL;

    if (ring && bitmap) {
        mon_puts("Either dirty ring or dirty bitmap can be specified!\n");
        return;
    }
    a.mode = ring ? DIRTY_RATE_MEASURE_MODE_DIRTY_RING
           : bitmap ? DIRTY_RATE_MEASURE_MODE_DIRTY_BITMAP
                    : DIRTY_RATE_MEASURE_MODE_PAGE_SAMPLING;
    if (!cmd_calc_dirty_rate(&a, NULL, &err)) {
        mon_printf("Error: %s\n", error_text(err));
        error_free(err);
        return;
    }
    mon_printf("Starting dirty rate measurement with period %" PRId64
               " seconds\n[Please use 'info dirty_rate' to check results]\n",
               a.calc_time);
}
