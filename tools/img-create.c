/* SPDX-License-Identifier: GPL-2.0-or-later */
/* img-create.c - `create`: a new image. MACHINE_CALL. */
#include "tools/img.h"

typedef struct CreateArgs {
    ImgArgs base;
    const char *backing, *backing_fmt;
    char *options;
    bool unsafe;
} CreateArgs;
#define AT(f) offsetof(CreateArgs, f)

static const ToolOpt create_opts[] = {
    { NULL, 'b', TK_STR, 0, AT(backing), "backing_file",
      "What the new image shows where nothing has been written to it. The size "
      "is the backing file's unless one is given." },
    { NULL, 'F', TK_STR, 0, AT(backing_fmt), "backing_fmt",
      "Format of the backing file." },
    { NULL, 'u', TK_FLAG, 0, AT(unsafe), NULL,
      "Does not open the backing file." },
    { NULL, 'o', TK_OPTS, 0, AT(options), "options",
      "Options of the format, name=value with commas between; help lists "
      "them." },
    { .name = NULL }
};

bool img_wants_help(const char *options)
{
    g_auto(GStrv) parts = g_strsplit(options ? options : "", ",", -1);

    for (char **p = parts; *p; p++) {
        if (!strcmp(*p, "help") || !strcmp(*p, "?")) {
            return true;
        }
    }
    return false;
}

int img_options_help(const char *fmt, const char *filename)
{
    Error *err = NULL;

    return blk_image_make_help(fmt, filename, &err) ? 0 : tool_fail(NULL, err);
}

static MACHINE_CALL int create_run(const ImgCmd *cmd, int argc, char **argv)
{
    CreateArgs a = { .base.fmt = "raw" };
    BlkImageSpec spec = { .size = -1 };
    Error *err = NULL;
    int at, status;

    if (!img_args(cmd, argc, argv, &a, &at, &status)) {
        return status;
    }
    if (img_wants_help(a.options)) {
        return img_options_help(a.base.fmt, at < argc ? argv[at] : NULL);
    }
    if (at >= argc) {
        return tool_usage_error("Expecting image file name");
    }
    spec.filename = argv[at++];
    if (at < argc) {
        spec.size = tool_number("image size", argv[at++], INT64_MAX);
        if (spec.size < 0) {
            return 1;
        }
    }
    if (at < argc) {
        return tool_usage_error("Unexpected argument: %s", argv[at]);
    }
    spec.format = a.base.fmt;
    spec.options = a.options;
    spec.backing = a.backing;
    spec.backing_fmt = a.backing_fmt;
    spec.backing_unsafe = a.unsafe;
    spec.announce = !a.base.quiet;
    return blk_image_make(&spec, &err) ? 0 : tool_fail(spec.filename, err);
}

IMG_CMD(img_create, {
    .name = "create", .operands = "filename [size]",
    .summary = "Makes a new image.",
    .doc = "The format is raw unless -f says otherwise. An image with a backing "
           "file stores only what is different from it.",
    .tables = { img_opt_help, img_opt_object, img_opt_quiet, img_opt_fmt,
                create_opts, NULL },
    .run = create_run,
});
