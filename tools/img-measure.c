/* SPDX-License-Identifier: GPL-2.0-or-later */
/* img-measure.c - `measure`: how large a new image would be. MACHINE_CALL. */
#include "tools/convert.h"

typedef struct MeasureArgs {
    ImgArgs base;
    const char *out_fmt, *snapshot, *size;
    char *options;
} MeasureArgs;
#define AT(f) offsetof(MeasureArgs, f)

static const ToolOpt measure_opts[] = {
    { NULL, 'O', TK_STR, 0, AT(out_fmt), "output_fmt",
      "Format of the new image; raw when not given." },
    { NULL, 'o', TK_OPTS, 0, AT(options), "options",
      "Its creation options." },
    { "snapshot", 'l', TK_STR, 0, AT(snapshot), "snapshot_param",
      "Measures an internal snapshot of the image." },
    { "size", 's', TK_STR, 0, AT(size), "N",
      "Measures an empty image of this virtual size." },
    { .name = NULL }
};

static void print(const MeasureArgs *a, const BlkMeasure *m)
{
    if (a->base.json) {
        Json *o = json_obj();
        g_autofree char *text = NULL;

        if (m->bitmaps >= 0) {
            json_set_int(o, "bitmaps", m->bitmaps);
        }
        json_set(o, "required", json_uint(m->required));
        json_set(o, "fully-allocated", json_uint(m->fully_allocated));
        text = json_text(o, true, NULL);
        printf("%s\n", text);
        json_free(o);
        return;
    }
    printf("required size: %" PRIu64 "\nfully allocated size: %" PRIu64 "\n",
           m->required, m->fully_allocated);
    if (m->bitmaps >= 0) {
        printf("bitmaps size: %" PRId64 "\n", m->bitmaps);
    }
}

static bool args_check(const MeasureArgs *a, int files, int64_t *size)
{
    if (a->size && (*size = tool_number("image size", a->size,
                                        INT64_MAX)) < 0) {
        return false;
    }
    if (files > 1) {
        error_reportf("At most one filename argument is allowed.");
    } else if (!files && (a->base.image_opts || a->base.fmt || a->snapshot)) {
        error_reportf("--image-opts, -f, and -l require a filename argument.");
    } else if (!files && !a->size) {
        error_reportf("Either --size N or one filename must be specified.");
    } else if (files && a->size) {
        error_reportf("--size N cannot be used together with a filename.");
    } else {
        return true;
    }
    return false;
}

static MACHINE_CALL int measure(const MeasureArgs *a, BlkNode *in, int64_t size)
{
    Error *err = NULL;
    BlkMeasure m;

    if (a->options && img_wants_help(a->options)) {
        /* Convert and create have that; here it is a parameter like another. */
        error_reportf("Invalid parameter '%s'",
                      strchr(a->options, '?') ? "?" : "help");
        error_reportf("Invalid options for file format '%s'", a->out_fmt);
        return 1;
    }
    if (blk_image_measure(a->out_fmt, a->options, (uint64_t)size, in, &m,
                          &err)) {
        print(a, &m);
        return 0;
    }
    if (g_str_has_prefix(error_text(err), "Invalid parameter '")) {
        error_report(err);
        error_reportf("Invalid options for file format '%s'", a->out_fmt);
    } else {
        error_report(err);
    }
    return 1;
}

static MACHINE_CALL int measure_run(const ImgCmd *cmd, int argc, char **argv)
{
    MeasureArgs a = { .out_fmt = "raw" };
    ToolOpen o = { 0 };
    BlkBackend *b = NULL;
    Error *err = NULL;
    int64_t size = 0;
    int at, status;

    if (!img_args(cmd, argc, argv, &a, &at, &status) ||
        !args_check(&a, argc - at, &size)) {
        return status;
    }
    if (at < argc) {
        o.format = a.base.fmt;
        o.image_opts = a.base.image_opts;
        o.share = a.base.share;
        b = tool_open(argv[at], &o);
        if (!b) {
            return 1;
        }
        if (a.snapshot && !img_snapshot_show(blk_root(b), a.snapshot, &err)) {
            if (err) {
                error_prepend(&err, "Failed to load snapshot: ");
                error_report(err);
            }
            tool_close(b);
            return 1;
        }
    }
    status = measure(&a, b ? blk_root(b) : NULL, size);
    tool_close(b);
    return status;
}

IMG_CMD(img_measure, {
    .name = "measure", .operands = "[filename]",
    .summary = "Tells how much space a new image would take up on the host.",
    .doc = "Required is what it takes to hold the contents, fully allocated "
           "what it can grow to.",
    .tables = { img_opt_help, img_opt_object, img_opt_image_opts, img_opt_share,
                img_opt_fmt, img_opt_output, measure_opts, NULL },
    .run = measure_run,
});
