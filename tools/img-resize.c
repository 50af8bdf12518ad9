/* SPDX-License-Identifier: GPL-2.0-or-later */
/* img-resize.c - `resize`: another virtual size. MACHINE_CALL. */
#include "opt.h"
#include "tools/img.h"

typedef struct ResizeArgs {
    ImgArgs base;
    const char *prealloc;
    bool shrink;
} ResizeArgs;

static const ToolOpt resize_opts[] = {
    { "preallocation", 0, TK_STR, 0, offsetof(ResizeArgs, prealloc), "mode",
      "off, metadata, falloc or full: whether space for what is new is taken "
      "at once." },
    { "shrink", 0, TK_FLAG, 0, offsetof(ResizeArgs, shrink), NULL,
      "Allows the image to become smaller; what lies beyond its new end is "
      "lost." },
    { .name = NULL }
};

static bool prealloc_read(const char *text, BlkPrealloc *p)
{
    static const char *const names[] = { "off", "metadata", "falloc", "full" };

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (!strcmp(text, names[i])) {
            *p = (BlkPrealloc)i;
            return true;
        }
    }
    error_reportf("Invalid preallocation mode '%s'", text);
    return false;
}

/* The last argument may begin with a minus: it is read before options are. */
typedef struct Target {
    int relative;                      /* -1, 0, 1                            */
    uint64_t bytes;
} Target;

static bool target_read(const char *text, Target *t)
{
    Error *err = NULL;

    t->relative = *text == '+' ? 1 : *text == '-' ? -1 : 0;
    text += t->relative != 0;
    if (!opt_size("size", text, 1, &t->bytes, &err)) {
        error_report(err);
        return false;
    }
    return true;
}

static MACHINE_CALL int resize(BlkBackend *b, const ResizeArgs *a,
                               const Target *t, BlkPrealloc prealloc)
{
    uint64_t now = blk_root(b)->length, want = t->bytes;
    Error *err = NULL;

    if (t->relative) {
        want = t->relative > 0 ? now + want : now - want;
    }
    if ((int64_t)want <= 0 || (t->relative < 0 && t->bytes >= now)) {
        error_reportf("New image size must be positive");
        return 1;
    }
    if (want <= now && prealloc != PREALLOC_OFF) {
        error_reportf("Preallocation can only be used for growing images");
        return 1;
    }
    if (want < now && !a->shrink) {
        error_reportf("Use the --shrink option to perform a shrink operation.");
        warn_report("Shrinking an image will delete all data beyond the "
                    "shrunken image's end. Before performing such an "
                    "operation, make sure there is no important data there.");
        return 1;
    }
    if (!blk_node_truncate(blk_root(b), want, prealloc, true, &err)) {
        return tool_fail(NULL, err);
    }
    img_say(&a->base, "Image resized.\n");
    return 0;
}

static MACHINE_CALL int resize_run(const ImgCmd *cmd, int argc, char **argv)
{
    ResizeArgs a = { .prealloc = "off" };
    BlkPrealloc prealloc;
    ToolOpen o = { .flags = BLKO_RDWR };
    Target target;
    BlkBackend *b;
    int at, status;

    if (argc < 3) {
        return tool_usage_error("Not enough arguments");
    }
    if (!img_args(cmd, argc - 1, argv, &a, &at, &status)) {
        return status;
    }
    if (!prealloc_read(a.prealloc, &prealloc)) {
        return 1;
    }
    if (at + 1 != argc - 1) {
        return tool_usage_error("Expecting image file name and size");
    }
    if (!target_read(argv[argc - 1], &target)) {
        return 1;
    }
    o.format = a.base.fmt;
    o.image_opts = a.base.image_opts;
    b = tool_open(argv[at], &o);
    if (!b) {
        return 1;
    }
    status = resize(b, &a, &target, prealloc);
    tool_close(b);
    return status;
}

IMG_CMD(img_resize, {
    .name = "resize", .operands = "filename [+ | -]size",
    .summary = "Changes an image's size, to a value or by a difference.",
    .doc = "The guest's file systems and partitions are not changed: make them "
           "smaller before the image, larger after it.",
    .tables = { img_opt_help, img_opt_object, img_opt_image_opts, img_opt_fmt,
                resize_opts, img_opt_quiet, NULL },
    .run = resize_run,
});
