/* SPDX-License-Identifier: GPL-2.0-or-later */
/* img-map.c - `map`: where the data of an image lies. MACHINE_CALL. */
#include "tools/img.h"

typedef struct MapArgs {
    ImgArgs base;
    const char *start, *max;
} MapArgs;

static const ToolOpt map_opts[] = {
    { "start-offset", 's', TK_STR, 0, offsetof(MapArgs, start), "offset",
      "First byte to tell about." },
    { "max-length", 'l', TK_STR, 0, offsetof(MapArgs, max), "len",
      "How many bytes to tell about." },
    { .name = NULL }
};

static void line_json(const ImgExtent *x, bool first)
{
    printf("%s{ \"start\": %" PRIu64 ", \"length\": %" PRIu64
           ", \"depth\": %d, \"present\": %s, \"zero\": %s, \"data\": %s",
           first ? "" : ",\n", x->start, x->len, x->depth,
           x->present ? "true" : "false", x->zero ? "true" : "false",
           x->data ? "true" : "false");
    if (x->has_offset) {
        printf(", \"offset\": %" PRIu64, x->offset);
    }
    printf("}");
}

static bool line_human(const ImgExtent *x)
{
    if (x->data && !x->has_offset) {
        error_reportf("File contains external, encrypted or compressed "
                      "clusters.");
        return false;
    }
    if (x->data && !x->zero) {
        printf("%#-16" PRIx64 "%#-16" PRIx64 "%#-16" PRIx64 "%s\n", x->start,
               x->len, x->offset, x->file ? x->file->filename : "");
    }
    return true;
}

static bool joins(const ImgExtent *a, const ImgExtent *b)
{
    return a->len && a->zero == b->zero && a->data == b->data &&
           a->present == b->present && a->depth == b->depth &&
           a->has_offset == b->has_offset && a->file == b->file &&
           (!a->has_offset || a->offset + a->len == b->offset);
}

static MACHINE_CALL int map_print(BlkNode *n, uint64_t off, uint64_t end,
                                  bool json)
{
    ImgExtent run = { .len = 0 }, x;
    bool first = true;
    int ret;

    for (; off < end; off += x.len) {
        ret = img_extent(n, NULL, off, end - off, &x);
        if (ret < 0) {
            error_reportf("Failed to read image metadata: %s", strerror(-ret));
            return 1;
        }
        if (joins(&run, &x)) {
            run.len += x.len;
            continue;
        }
        if (run.len && json) {
            line_json(&run, first);
            first = false;
        } else if (run.len && !line_human(&run)) {
            return 1;
        }
        run = x;
    }
    if (!run.len) {                    /* nothing to tell, told as such       */
        run.start = off;
    }
    if (json) {
        line_json(&run, first);
        printf("]\n");
    } else if (!line_human(&run)) {
        return 1;
    }
    return 0;
}

static MACHINE_CALL int map_run(const ImgCmd *cmd, int argc, char **argv)
{
    MapArgs a = { 0 };
    ToolOpen o = { 0 };
    int64_t start = 0, max = -1;
    uint64_t end;
    BlkBackend *b;
    int at, status;

    if (!img_args(cmd, argc, argv, &a, &at, &status)) {
        return status;
    }
    if (a.start && (start = tool_number("start offset", a.start,
                                        INT64_MAX)) < 0) {
        return 1;
    }
    if (a.max && (max = tool_number("max length", a.max, INT64_MAX)) < 0) {
        return 1;
    }
    if (at + 1 != argc) {
        return tool_usage_error("Expecting one image file name");
    }
    o.format = a.base.fmt;
    o.image_opts = a.base.image_opts;
    o.share = a.base.share;
    b = tool_open(argv[at], &o);
    if (!b) {
        return 1;
    }
    if (a.base.json) {
        printf("[");
    } else {
        printf("%-16s%-16s%-16s%s\n", "Offset", "Length", "Mapped to", "File");
    }
    end = blk_root(b)->length;
    if (max >= 0 && (uint64_t)start < end && (uint64_t)max < end - start) {
        end = start + max;
    }
    status = map_print(blk_root(b), start, end, a.base.json);
    tool_close(b);
    return status;
}

IMG_CMD(img_map, {
    .name = "map", .operands = "filename",
    .summary = "Lists which file, of an image and its backing files, holds "
               "which bytes.",
    .doc = "Human output has only what is data in some file; json has all.",
    .tables = { img_opt_help, img_opt_object, img_opt_image_opts, img_opt_fmt,
                map_opts, img_opt_output, img_opt_share, NULL },
    .run = map_run,
});
