/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * img-bitmap.c - `bitmap`: persistent dirty bitmaps of an image are made, removed
 * and changed.
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. Steps happen in the order in which they were given; the first that fails
 *    is the last.
 */
#include "block/bitmap.h"
#include "tools/img.h"

enum { DO_ADD, DO_REMOVE, DO_CLEAR, DO_ENABLE, DO_DISABLE, DO_MERGE };

typedef struct BitmapArgs {
    ImgArgs base;
    GArray *steps;                     /* of ToolStep                         */
    const char *src, *src_fmt, *granularity;
} BitmapArgs;
#define AT(f) offsetof(BitmapArgs, f)

static const ToolOpt bitmap_opts[] = {
    { "add", 0, TK_STEP, DO_ADD, AT(steps), NULL,
      "Makes the bitmap; it records what is written from then on." },
    { "remove", 0, TK_STEP, DO_REMOVE, AT(steps), NULL, "Removes it." },
    { "clear", 0, TK_STEP, DO_CLEAR, AT(steps), NULL,
      "Forgets what it has recorded." },
    { "enable", 0, TK_STEP, DO_ENABLE, AT(steps), NULL,
      "Records from now on." },
    { "disable", 0, TK_STEP, DO_DISABLE, AT(steps), NULL,
      "Records no longer." },
    { "merge", 0, TK_STEP, DO_MERGE, AT(steps), "source",
      "Adds what another bitmap has recorded." },
    { "source-file", 'b', TK_STR, 0, AT(src), "source_file",
      "The image with the bitmaps of --merge; the same when not given." },
    { "source-format", 'F', TK_STR, 0, AT(src_fmt), "source_fmt",
      "Its format." },
    { "granularity", 'g', TK_STR, 0, AT(granularity), "granularity",
      "With --add: how many bytes one bit stands for." },
    { .name = NULL }
};

typedef struct Bitmap {
    BlkNode *n, *src;
    const char *name;
    uint32_t granularity;              /* 0: the default                      */
} Bitmap;

static MACHINE_CALL BlkBitmap *find(BlkNode *n, const char *name, Error **errp)
{
    BlkBitmap *b = blk_bitmap_find(n, name);

    if (!b) {
        error_set(errp, "Dirty bitmap '%s' not found", name);
    }
    return b;
}

static MACHINE_CALL bool step_do(const Bitmap *m, const ToolStep *s,
                                 Error **errp)
{
    BlkBitmap *b, *from;

    if (s->what == DO_ADD) {
        return blk_bitmap_add(m->n, m->name, m->granularity, true, m->n->name,
                              errp) != NULL;
    }
    b = find(m->n, m->name, errp);
    if (!b || !blk_bitmap_usable(b, s->what != DO_REMOVE, errp)) {
        return false;
    }
    switch (s->what) {
    case DO_REMOVE:
        if (!blk_bitmap_unstore(m->n, b, errp)) {
            return false;
        }
        blk_bitmap_free(m->n, b);
        return true;
    case DO_CLEAR:
        blk_bitmap_set(b, 0, b->size, false);
        return true;
    case DO_MERGE:
        from = find(m->src, s->value, errp);
        return from && blk_bitmap_merge_checked(b, from, errp);
    default:
        b->enabled = s->what == DO_ENABLE;
        return true;
    }
}

static MACHINE_CALL int steps_do(const BitmapArgs *a, const Bitmap *m)
{
    static const char *const names[] = { "add", "remove", "clear", "enable",
                                         "disable", "merge" };
    Error *err = NULL;

    for (guint i = 0; i < a->steps->len; i++) {
        const ToolStep *s = &g_array_index(a->steps, ToolStep, i);

        if (!step_do(m, s, &err)) {
            error_prepend(&err, "Operation %s on bitmap %s failed: ",
                          names[s->what], m->name);
            return tool_fail(NULL, err);
        }
    }
    return 0;
}

static bool has_step(const BitmapArgs *a, int what)
{
    for (guint i = 0; a->steps && i < a->steps->len; i++) {
        if (g_array_index(a->steps, ToolStep, i).what == what) {
            return true;
        }
    }
    return false;
}

static bool args_ok(const BitmapArgs *a, uint32_t *granularity)
{
    int64_t g;

    if (a->granularity) {
        g = tool_range("granularity", a->granularity, 0, INT64_MAX);
        if (g < 0) {
            return false;
        }
        /* What no bitmap can have is refused when it is made. */
        *granularity = g > UINT32_MAX ? 1 : (uint32_t)g;
    }
    if (!a->steps) {
        error_reportf("Need at least one of --add, --remove, --clear, "
                      "--enable, --disable, or --merge");
        return false;
    }
    if (a->granularity && !has_step(a, DO_ADD)) {
        error_reportf("granularity only supported with --add");
    } else if (a->src_fmt && !a->src) {
        error_reportf("-F only supported with -b");
    } else if (a->src && !has_step(a, DO_MERGE)) {
        error_reportf("Merge bitmap source file only supported with --merge");
    } else {
        return true;
    }
    return false;
}

static MACHINE_CALL int bitmap_run(const ImgCmd *cmd, int argc, char **argv)
{
    BitmapArgs a = { .src = NULL };
    ToolOpen o = { .flags = BLKO_RDWR };
    BlkBackend *b, *src = NULL;
    Bitmap m = { .granularity = 0 };
    int at, status;

    if (!img_args(cmd, argc, argv, &a, &at, &status)) {
        return status;
    }
    if (!args_ok(&a, &m.granularity)) {
        return 1;
    }
    if (at + 2 != argc) {
        error_reportf("Expecting filename and bitmap name");
        return 1;
    }
    o.format = a.base.fmt;
    o.image_opts = a.base.image_opts;
    b = tool_open(argv[at], &o);
    if (b && a.src) {
        src = tool_open(a.src, &(ToolOpen){ .format = a.src_fmt });
    }
    if (b && (src || !a.src)) {
        m.n = blk_root(b);
        m.src = src ? blk_root(src) : m.n;
        m.name = argv[at + 1];
        status = steps_do(&a, &m);
    }
    tool_close(src);
    tool_close(b);
    g_array_free(a.steps, true);
    return status;
}

IMG_CMD(img_bitmap, {
    .name = "bitmap", .operands = "filename bitmap",
    .summary = "Makes, removes and changes a dirty bitmap that is stored in "
               "an image.",
    .doc = "Several changes happen in the order in which they are given. info "
           "lists the bitmaps of an image.",
    .tables = { img_opt_help, img_opt_object, img_opt_image_opts, img_opt_quiet,
                img_opt_fmt, bitmap_opts, NULL },
    .run = bitmap_run,
});
