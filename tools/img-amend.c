/* SPDX-License-Identifier: GPL-2.0-or-later */
/* img-amend.c - `amend`: other options for an image. MACHINE_CALL. */
#include "tools/img.h"

typedef struct AmendArgs {
    ImgArgs base;
    char *options;
    bool force;
} AmendArgs;

static const ToolOpt amend_opts[] = {
    { "force", 0, TK_FLAG, 0, offsetof(AmendArgs, force), NULL,
      "Allows what may lose data, as the last password of an encrypted "
      "image." },
    { NULL, 'o', TK_OPTS, 0, offsetof(AmendArgs, options), "options",
      "The options, name=value with commas between; help lists them." },
    { .name = NULL }
};

static void progress(void *arg, double part)
{
    progress_set(part);
}

static MACHINE_CALL int help(const AmendArgs *a, const char *filename)
{
    ToolOpen o = { .image_opts = a->base.image_opts, .flags = BLKO_NO_IO };
    const char *fmt = a->base.fmt;
    Error *err = NULL;
    BlkBackend *b = NULL;
    int ret;

    if (!fmt && filename) {
        b = tool_open(filename, &o);
        if (!b) {
            return 1;
        }
        fmt = blk_root(b)->drv->name;
    } else if (!fmt) {
        return tool_usage_error("Expecting one image file name");
    }
    ret = blk_image_amend_help(fmt, &err) ? 0 : tool_fail(NULL, err);
    tool_close(b);
    return ret;
}

static MACHINE_CALL int amend_run(const ImgCmd *cmd, int argc, char **argv)
{
    AmendArgs a = { .base.cache = "writeback" };
    ToolOpen o = { .flags = BLKO_RDWR };
    Error *err = NULL;
    BlkBackend *b;
    int at, status;

    if (!img_args(cmd, argc, argv, &a, &at, &status)) {
        return status;
    }
    if (!a.options) {
        return tool_usage_error("Must specify options (-o)");
    }
    if (img_wants_help(a.options)) {
        return help(&a, at + 1 == argc ? argv[at] : NULL);
    }
    if (at + 1 != argc) {
        error_reportf("Expecting one image file name");
        return 1;
    }
    if (!tool_cache(a.base.cache, &o.flags, &o.writethrough)) {
        error_reportf("Invalid cache option: %s", a.base.cache);
        return 1;
    }
    o.format = a.base.fmt;
    o.image_opts = a.base.image_opts;
    b = tool_open(argv[at], &o);
    if (!b) {
        return 1;
    }
    progress_begin(a.base.progress && !a.base.quiet, 1);
    status = !blk_image_amend(blk_root(b), a.options,
                              &(BlkAmend){ .progress = progress,
                                           .force = a.force }, &err);
    if (status) {
        error_report(err);
    } else {
        progress_set(1);
    }
    tool_close(b);
    progress_end();
    return status;
}

IMG_CMD(img_amend, {
    .name = "amend", .operands = "filename",
    .summary = "Changes options that an image was made with.",
    .tables = { img_opt_help, img_opt_object, img_opt_image_opts,
                img_opt_progress, img_opt_quiet, img_opt_fmt, img_opt_cache,
                amend_opts, NULL },
    .run = amend_run,
});
