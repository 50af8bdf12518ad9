/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * img-bench.c - `bench`: how long a number of requests takes.
 *
 * Thread class: MACHINE_CALL; requests end in the main loop.
 */
#include <time.h>
#include "tools/img.h"
#include "tools/reader.h"

typedef struct BenchArgs {
    ImgArgs base;
    const char *count, *depth, *flush, *aio, *offset, *pattern, *size, *step;
    bool native, no_drain, write;
} BenchArgs;
#define AT(f) offsetof(BenchArgs, f)

static const ToolOpt bench_opts[] = {
    { NULL, 'c', TK_STR, 0, AT(count), "count", "How many; 75000 when not "
      "given." },
    { NULL, 'd', TK_STR, 0, AT(depth), "depth", "How many at once; 64." },
    { "flush-interval", 0, TK_STR, 0, AT(flush), "flush_interval",
      "A flush after so many writes." },
    { NULL, 'i', TK_STR, 0, AT(aio), "aio", "threads, native or io_uring." },
    { NULL, 'n', TK_FLAG, 0, AT(native), NULL, "As -i native." },
    { "no-drain", 0, TK_FLAG, 0, AT(no_drain), NULL,
      "Flushes while writes are under way." },
    { NULL, 'o', TK_STR, 0, AT(offset), "offset", "Where the first begins." },
    { "pattern", 0, TK_STR, 0, AT(pattern), "pattern",
      "Value of the bytes that are written." },
    { NULL, 's', TK_STR, 0, AT(size), "buffer_size", "Bytes of each; 4k." },
    { NULL, 'S', TK_STR, 0, AT(step), "step_size",
      "From the beginning of one to that of the next; the size." },
    { NULL, 'w', TK_FLAG, 0, AT(write), NULL, "Writes, does not read." },
    { .name = NULL }
};

typedef struct Bench Bench;
typedef struct Slot {
    BlkReq req;
    struct iovec iov;
    Bench *b;
    struct Slot *next;                 /* free                                */
} Slot;
struct Bench {
    BlkBackend *blk;
    uint64_t image, at, step;
    size_t size;
    int64_t left, since_flush, flush_every;
    int depth, flying;
    bool write, drain, flushing;
    Slot *free, flush;
};

static void bench_fill(Bench *b);

static void failed(int ret)
{
    error_reportf("Failed request: %s", strerror(-ret));
    exit(1);
}

static void slot_done(BlkReq *req)
{
    Slot *s = container_of(req, Slot, req);
    Bench *b = s->b;

    if (req->ret < 0) {
        failed(req->ret);
    }
    b->flying--;
    s->next = b->free;
    b->free = s;
    bench_fill(b);
}

static void flush_done(BlkReq *req)
{
    Bench *b = container_of(req, Slot, req)->b;

    if (req->ret < 0) {
        failed(req->ret);
    }
    b->flushing = false;
    b->flying--;
    bench_fill(b);
}

static void flush_start(Bench *b)
{
    b->flush.b = b;
    b->flush.req = (BlkReq){ .op = BLK_FLUSH, .done = flush_done };
    b->flushing = true;
    b->since_flush = 0;
    b->flying++;
    blk_submit(b->blk, &b->flush.req);
}

static void request_start(Bench *b)
{
    Slot *s = b->free;

    b->free = s->next;
    s->req.op = b->write ? BLK_WRITE : BLK_READ;
    s->req.flags = 0;
    s->req.off = b->at;
    s->req.len = b->size;
    s->req.iov = &s->iov;
    s->req.niov = 1;
    s->req.done = slot_done;
    b->at += b->step;
    if (b->image <= b->at) {
        b->at = b->image ? b->at % b->image : 0;
    }
    b->left--;
    b->flying++;
    blk_submit(b->blk, &s->req);
}

static void bench_fill(Bench *b)
{
    bool due;

    blk_plug(b->blk);
    while (b->left && b->free && !(b->flushing && b->drain)) {
        due = b->flush_every && b->since_flush >= b->flush_every;
        if (due && !b->flushing) {
            if (b->drain && b->flying) {
                break;
            }
            flush_start(b);
            continue;
        }
        b->since_flush++;
        request_start(b);
    }
    blk_unplug(b->blk);
}

static bool int_read(const char *text, int64_t min, int64_t max, int64_t *v,
                     const char *what)
{
    char *end;

    if (!text) {
        return true;
    }
    errno = 0;
    *v = strtoll(text, &end, 0);
    if (errno || end == text || *end || *v < min || *v > max) {
        error_reportf("Invalid %s specified", what);
        return false;
    }
    return true;
}

static bool size_read(const char *text, const char *what, int64_t *v)
{
    if (text) {
        *v = tool_number(what, text, INT32_MAX);
    }
    return *v >= 0;
}

typedef struct Numbers {
    int64_t count, depth, flush, offset, pattern, size, step;
} Numbers;

static bool numbers_read(const BenchArgs *a, Numbers *n)
{
    *n = (Numbers){ .count = 75000, .depth = 64, .size = 4096 };
    if (!int_read(a->count, 0, INT32_MAX, &n->count, "request count") ||
        !int_read(a->depth, 1, INT32_MAX, &n->depth, "queue depth") ||
        !int_read(a->flush, 0, INT32_MAX, &n->flush, "flush interval") ||
        !int_read(a->pattern, 0, 255, &n->pattern, "pattern byte") ||
        !size_read(a->size, "buffer size", &n->size) ||
        !size_read(a->step, "step_size", &n->step)) {
        return false;
    }
    if (a->offset) {
        n->offset = tool_number("offset", a->offset, INT64_MAX);
        if (n->offset < 0) {
            return false;
        }
    }
    return true;
}

static bool numbers_fit(const BenchArgs *a, const Numbers *n)
{
    if (!a->write && n->flush) {
        error_reportf("--flush-interval is only available in write tests");
    } else if (n->flush && n->flush < n->depth) {
        error_reportf("Flush interval can't be smaller than depth");
    } else {
        return true;
    }
    return false;
}

static MACHINE_CALL int bench(const BenchArgs *a, const Numbers *n,
                              BlkBackend *blk)
{
    int64_t slots_n = MIN2(n->depth, MAX2(n->count, 1));
    uint64_t room = ALIGN_UP((uint64_t)MAX2(n->size, 1), 4096);
    Bench b = { .blk = blk, .image = blk_root(blk)->length,
                .at = (uint64_t)n->offset, .size = n->size,
                .step = n->step ? n->step : n->size, .left = n->count,
                .flush_every = n->flush, .drain = !a->no_drain,
                .write = a->write, .depth = (int)n->depth };
    g_autofree Slot *slots = g_new0(Slot, slots_n);
    /* What is only read may be the same memory for all. */
    size_t apart = a->write ? 0 : room;
    uint8_t *buf = buf_alloc(room + apart * (slots_n - 1));
    struct timespec from, to;

    printf("Sending %" PRId64 " %s requests, %" PRId64 " bytes each, %" PRId64
           " in parallel (starting at offset %" PRId64 ", step size %" PRIu64
           ")\n", n->count, a->write ? "write" : "read", n->size, n->depth,
           n->offset, b.step);
    if (n->flush) {
        printf("Sending flush every %" PRId64 " %srequests\n", n->flush, "");
    }
    memset(buf, a->write ? (int)n->pattern : 0, room + apart * (slots_n - 1));
    for (int64_t i = slots_n; i-- > 0;) {
        slots[i].b = &b;
        slots[i].iov = (struct iovec){ buf + i * apart, n->size };
        slots[i].next = b.free;
        b.free = &slots[i];
    }
    clock_gettime(CLOCK_MONOTONIC, &from);
    bench_fill(&b);
    while (b.flying) {
        loop_step(true);
    }
    clock_gettime(CLOCK_MONOTONIC, &to);
    printf("Run completed in %3.3f seconds.\n",
           (double)(to.tv_sec - from.tv_sec) +
           (double)(to.tv_nsec - from.tv_nsec) / 1e9);
    free(buf);
    return 0;
}

static MACHINE_CALL int bench_run(const ImgCmd *cmd, int argc, char **argv)
{
    BenchArgs a = { 0 };
    ToolOpen o = { 0 };
    BlkBackend *b;
    Numbers n;
    int at, status;

    if (!img_args(cmd, argc, argv, &a, &at, &status) || !numbers_read(&a, &n)) {
        return status;
    }
    if (a.native) {
        a.aio = "native";
    }
    if (a.aio && strcmp(a.aio, "threads") && strcmp(a.aio, "native") &&
        strcmp(a.aio, "io_uring")) {
        error_reportf("Invalid aio option: %s", a.aio);
        return 1;
    }
    if (a.base.cache &&
        !tool_cache(a.base.cache, &o.flags, &o.writethrough)) {
        error_reportf("Invalid cache mode");
        return 1;
    }
    if (at + 1 != argc) {
        return tool_usage_error("Expecting one image file name");
    }
    if (!numbers_fit(&a, &n)) {
        return 1;
    }
    o.format = a.base.fmt;
    o.image_opts = a.base.image_opts;
    o.share = a.base.share;
    o.aio = a.aio;
    o.flags |= a.write ? BLKO_RDWR : 0;
    b = tool_open(argv[at], &o);
    if (!b) {
        return 1;
    }
    status = bench(&a, &n, b);
    tool_close(b);
    return status;
}

IMG_CMD(img_bench, {
    .name = "bench", .operands = "filename",
    .summary = "Measures how long a run of reads or writes takes.",
    .doc = "Offsets that come to the image's end begin again at its start.",
    .tables = { img_opt_help, img_opt_image_opts, img_opt_share, img_opt_quiet,
                img_opt_fmt, img_opt_cache, bench_opts, NULL },
    .run = bench_run,
});
