/* SPDX-License-Identifier: GPL-2.0-or-later */
/* img-dd.c - `dd`: copies blocks of an image to a new one. MACHINE_CALL. */
#include "tools/img.h"
#include "tools/reader.h"

typedef struct DdArgs {
    ImgArgs base;
    const char *out_fmt;
    const char *in, *out;
    int64_t bs, count, skip;           /* count, skip in blocks; -1: not given */
} DdArgs;

static const ToolOpt dd_opts[] = {
    { NULL, 'O', TK_STR, 0, offsetof(DdArgs, out_fmt), "output_fmt",
      "Format of the output; raw when not given." },
    { .name = NULL }
};

static bool operand(DdArgs *a, char *text)
{
    char *value = strchr(text, '=');
    g_autofree char *name = value ? g_strndup(text, value - text)
                                  : g_strdup(text);

    value = value ? value + 1 : text;
    if (!strcmp(name, "if")) {
        a->in = value;
    } else if (!strcmp(name, "of")) {
        a->out = value;
    } else if (!strcmp(name, "bs")) {
        return (a->bs = tool_range("bs", value, 1, INT32_MAX)) > 0;
    } else if (!strcmp(name, "count")) {
        return (a->count = tool_number("count", value, INT64_MAX)) >= 0;
    } else if (!strcmp(name, "skip")) {
        return (a->skip = tool_number("skip", value, INT64_MAX)) >= 0;
    } else {
        error_reportf("unrecognized operand %s", name);
        return false;
    }
    return true;
}

/* Output: size bytes of the input from its byte `from` on. */
static MACHINE_CALL int copy(BlkBackend *in, BlkBackend *out, uint64_t from,
                             uint64_t size)
{
    Reader *r = reader_new(in, 2 * MiB);
    uint64_t at = 0;
    int ret = 0;

    reader_start(r, from, size);
    while (at < size && ret >= 0) {
        uint8_t *p;
        size_t n = 0;

        ret = reader_next(r, &p, &n);
        if (ret < 0) {
            error_reportf("error while reading from input image file: %s",
                          strerror(-ret));
            break;
        }
        ret = blk_pwrite(out, at, p, n, 0);
        if (ret < 0) {
            error_reportf("error while writing to output image file: %s",
                          strerror(-ret));
        }
        at += n;
    }
    reader_free(r);
    return ret < 0;
}

static uint64_t blocks(int64_t n, int64_t bs)
{
    return n > INT64_MAX / bs ? INT64_MAX : (uint64_t)(n * bs);
}

static MACHINE_CALL int dd(const DdArgs *a)
{
    ToolOpen o = { .format = a->base.fmt, .image_opts = a->base.image_opts,
                   .share = a->base.share };
    ToolOpen w = { .format = a->out_fmt, .flags = BLKO_RDWR };
    BlkImageSpec spec = { .filename = a->out, .format = a->out_fmt };
    const BlkDriver *d = blk_driver_find(a->out_fmt);
    BlkBackend *in = tool_open(a->in, &o), *out;
    uint64_t size, from = 0;
    Error *err = NULL;
    int ret;

    if (!in) {
        return 1;
    }
    if (!d || (!d->create && strcmp(d->name, "raw"))) {
        error_reportf(d ? "Format driver '%s' does not support image creation"
                        : "Unknown file format", a->out_fmt);
        tool_close(in);
        return 1;
    }
    size = blk_root(in)->length;
    if (a->count >= 0) {
        size = MIN2(size, blocks(a->count, a->bs));
    }
    if (a->skip > 0) {
        from = blocks(a->skip, a->bs);
        if (from > size) {
            error_reportf("%s: cannot skip to specified offset", a->in);
            from = size;
        }
    }
    size -= from;
    spec.size = (int64_t)size;
    if (!blk_image_make(&spec, &err)) {
        error_prepend(&err, "%s: error while creating output image: ", a->out);
        error_report(err);
        tool_close(in);
        return 1;
    }
    out = tool_open(a->out, &w);
    ret = out ? copy(in, out, from, size) : 1;
    tool_close(out);
    tool_close(in);
    return ret;
}

static MACHINE_CALL int dd_run(const ImgCmd *cmd, int argc, char **argv)
{
    DdArgs a = { .out_fmt = "raw", .bs = 512, .count = -1, .skip = -1 };
    int at, status;

    if (!img_args(cmd, argc, argv, &a, &at, &status)) {
        return status;
    }
    for (; at < argc; at++) {
        if (!operand(&a, argv[at])) {
            return 1;
        }
    }
    if (!a.in || !a.out) {
        error_reportf("Must specify both input and output files");
        return 1;
    }
    if (a.base.image_opts && a.base.fmt) {
        error_reportf("--image-opts and --format are mutually exclusive");
        return 1;
    }
    return dd(&a);
}

IMG_CMD(img_dd, {
    .name = "dd",
    .operands = "[bs=block_size] [count=blocks] [skip=blocks] if=input "
                "of=output",
    .summary = "Copies blocks of an image to a new one.",
    .doc = "Blocks have 512 bytes unless bs says otherwise.",
    .tables = { img_opt_help, img_opt_object, img_opt_image_opts, img_opt_share,
                img_opt_fmt, dd_opts, NULL },
    .run = dd_run,
});
