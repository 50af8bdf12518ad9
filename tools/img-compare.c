/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * img-compare.c - `compare`: do two images show the same? What both know to be
 * zeroes is not read; what is read of one is read of the other meanwhile.
 *
 * Thread class: MACHINE_CALL.
 */
#include "tools/img.h"
#include "tools/reader.h"

#define PART (256 * KiB)

typedef struct CompareArgs {
    ImgArgs base;
    const char *fmt2;
    bool strict;
} CompareArgs;

static const ToolOpt compare_opts[] = {
    { NULL, 'F', TK_STR, 0, offsetof(CompareArgs, fmt2), "fmt",
      "Format of the second image." },
    { NULL, 's', TK_FLAG, 0, offsetof(CompareArgs, strict), NULL,
      "Different sizes, or space taken up in one and not in the other, make "
      "images different." },
    { .name = NULL }
};

typedef struct Compare {
    const CompareArgs *a;
    BlkBackend *b[2];
    BlkNode *n[2];
    const char *name[2];
    uint64_t end[2];
    Reader *r[2];
} Compare;

enum { SAME = 0, DIFFERENT = 1, STATUS_FAILED = 3, READ_FAILED = 4, OPEN_FAILED
       = 2 };

static int mismatch(const Compare *c, uint64_t off)
{
    img_say(&c->a->base, "Content mismatch at offset %" PRIu64 "!\n", off);
    return DIFFERENT;
}

static int read_failed(const Compare *c, int which, uint64_t off, int ret)
{
    error_reportf("Error while reading offset %" PRIu64 " of %s: %s", off,
                  c->name[which], strerror(-ret));
    return READ_FAILED;
}

/* Sector by sector, as the mismatch is told. */
static uint64_t first_difference(const uint8_t *a, const uint8_t *b, size_t len)
{
    size_t at = 0;

    while (at < len && !memcmp(a + at, b + at, MIN2(512, len - at))) {
        at += 512;
    }
    return at;
}

static MACHINE_CALL int both_data(Compare *c, uint64_t off, uint64_t len)
{
    reader_start(c->r[0], off, len);
    reader_start(c->r[1], off, len);
    while (len) {
        uint8_t *p[2];
        size_t n = 0;

        for (int i = 0; i < 2; i++) {
            int ret = reader_next(c->r[i], &p[i], &n);

            if (ret < 0) {
                return read_failed(c, i, off, ret);
            }
        }
        if (memcmp(p[0], p[1], n)) {
            return mismatch(c, off + first_difference(p[0], p[1], n));
        }
        off += n;
        len -= n;
        progress_set((double)off / MAX2(c->end[0], c->end[1]));
    }
    return SAME;
}

/* Only image i has data. */
static MACHINE_CALL int must_be_zero(Compare *c, int i, uint64_t off,
                                     uint64_t len)
{
    reader_start(c->r[i], off, len);
    while (len) {
        uint8_t *p;
        size_t n = 0, zero;
        int ret = reader_next(c->r[i], &p, &n);

        if (ret < 0) {
            return read_failed(c, i, off, ret);
        }
        zero = zero_prefix(p, n);
        if (zero < n) {
            return mismatch(c, off + zero / 512 * 512);
        }
        off += n;
        len -= n;
    }
    return SAME;
}

static MACHINE_CALL int status_at(Compare *c, int i, uint64_t off, uint64_t len,
                                  ImgExtent *x)
{
    int ret = img_extent(c->n[i], NULL, off, len, x);

    if (ret < 0) {
        error_reportf("Sector allocation test failed for %s", c->name[i]);
    }
    return ret;
}

static bool ends(const Compare *c, const ImgExtent *x, int i)
{
    return x[i].start + x[i].len >= c->end[i];
}

static MACHINE_CALL int compare_common(Compare *c, uint64_t end)
{
    ImgExtent x[2] = { { .len = 0 } };
    uint64_t off = 0, len, total = MAX2(c->end[0], c->end[1]);
    int ret = SAME;

    while (off < end && ret == SAME) {
        for (int i = 0; i < 2; i++) {
            if (off >= x[i].start + x[i].len &&
                status_at(c, i, off, end - off, &x[i]) < 0) {
                return STATUS_FAILED;
            }
        }
        len = MIN2(x[0].start + x[0].len, x[1].start + x[1].len) - off;
        if (c->a->strict && (x[0].present != x[1].present ||
                             x[0].data != x[1].data ||
                             x[0].zero != x[1].zero ||
                             ends(c, x, 0) != ends(c, x, 1))) {
            img_say(&c->a->base, "Strict mode: Offset %" PRIu64
                    " block status mismatch!\n", off);
            return DIFFERENT;
        }
        if (!x[0].zero && !x[1].zero) {
            ret = both_data(c, off, len);
        } else if (!x[0].zero || !x[1].zero) {
            ret = must_be_zero(c, x[0].zero, off, len);
        }
        off += len;
        progress_set((double)off / total);
    }
    return ret;
}

/* What only one has must be zeroes. */
static MACHINE_CALL int compare_rest(Compare *c, uint64_t from)
{
    int i = c->end[1] > c->end[0], ret = SAME;
    uint64_t end = c->end[i];
    ImgExtent x;

    for (uint64_t off = from; off < end && ret == SAME; off += x.len) {
        if (status_at(c, i, off, end - off, &x) < 0) {
            return STATUS_FAILED;
        }
        if (x.present && !x.zero) {
            ret = must_be_zero(c, i, off, x.len);
        }
        progress_set((double)(off + x.len) / end);
    }
    return ret;
}

static MACHINE_CALL int compare(Compare *c)
{
    const ImgArgs *a = &c->a->base;
    uint64_t common = MIN2(c->end[0], c->end[1]);
    bool sizes = c->end[0] == c->end[1];
    int ret;

    if (c->a->strict && !sizes) {
        img_say(a, "Strict mode: Image size mismatch!\n");
        return DIFFERENT;
    }
    ret = compare_common(c, common);
    if (ret == SAME && !sizes) {
        img_say(a, "Warning: Image size mismatch!\n");
        ret = compare_rest(c, common);
    }
    if (ret == SAME) {
        img_say(a, "Images are identical.\n");
    }
    return ret;
}

static MACHINE_CALL int compare_run(const ImgCmd *cmd, int argc, char **argv)
{
    CompareArgs a = { .base.src_cache = "writeback" };
    ToolOpen o = { 0 };
    Compare c = { .a = &a };
    int at, status;

    if (!img_args(cmd, argc, argv, &a, &at, &status)) {
        return status;
    }
    if (at + 2 != argc) {
        tool_usage_error("Expecting two image file names");
        return 1;
    }
    if (!tool_cache(a.base.src_cache, &o.flags, &o.writethrough)) {
        error_reportf("Invalid source cache option: %s", a.base.src_cache);
        return OPEN_FAILED;
    }
    o.image_opts = a.base.image_opts;
    o.share = a.base.share;
    progress_begin(a.base.progress && !a.base.quiet, 2);
    status = SAME;
    for (int i = 0; i < 2 && status == SAME; i++) {
        o.format = i ? a.fmt2 : a.base.fmt;
        c.name[i] = argv[at + i];
        c.b[i] = tool_open(c.name[i], &o);
        if (c.b[i]) {
            c.n[i] = blk_root(c.b[i]);
            c.end[i] = c.n[i]->length;
            c.r[i] = reader_new(c.b[i], PART);
        } else {
            status = OPEN_FAILED;
        }
    }
    status = status == SAME ? compare(&c) : status;
    if (status == SAME) {
        progress_set(1);
    }
    for (int i = 0; i < 2; i++) {
        reader_free(c.r[i]);
        tool_close(c.b[i]);
    }
    progress_end();
    return status;
}

IMG_CMD(img_compare, {
    .name = "compare", .operands = "filename1 filename2",
    .summary = "Tells whether two images show a guest the same contents.",
    .doc = "Images of different size are the same when the rest of the larger "
           "one is zeroes.",
    .tables = { img_opt_help, img_opt_object, img_opt_image_opts, img_opt_fmt,
                compare_opts, img_opt_src_cache, img_opt_progress,
                img_opt_quiet, img_opt_share, NULL },
    .run = compare_run,
});
