/* SPDX-License-Identifier: GPL-2.0-or-later */
/* img-check.c - `check`: faults of an image's metadata. MACHINE_CALL. */
#include "tools/img.h"

typedef struct CheckArgs {
    ImgArgs base;
    const char *repair;
} CheckArgs;

static const ToolOpt check_opts[] = {
    { "repair", 'r', TK_STR, 0, offsetof(CheckArgs, repair), "leaks | all",
      "Repairs: leaks, which is safe, or everything, which may choose wrongly." },
    { .name = NULL }
};

enum { CHECK_FAILED = 1, CORRUPT = 2, LEAKS = 3, UNSUPPORTED = 63 };

static void say(void *arg, const char *line)
{
    fprintf(stderr, "%s\n", line);
}

static void print_human(const ImgArgs *a, const BlkCheck *c)
{
    if (!(c->corruptions || c->leaks || c->check_errors)) {
        img_say(a, "No errors were found on the image.\n");
    }
    if (c->corruptions) {
        img_say(a, "\n%" PRIu64 " errors were found on the image.\n"
                "Data may be corrupted, or further writes to the image may "
                "corrupt it.\n", c->corruptions);
    }
    if (c->leaks) {
        img_say(a, "\n%" PRIu64 " leaked clusters were found on the image.\n"
                "This means waste of disk space, but no harm to data.\n",
                c->leaks);
    }
    if (c->check_errors) {
        img_say(a, "\n%" PRIu64 " internal errors have occurred during the "
                "check.\n", c->check_errors);
    }
    if (c->total_clusters && c->allocated_clusters) {
        double all = (double)c->allocated_clusters;

        img_say(a, "%" PRIu64 "/%" PRIu64 " = %0.2f%% allocated, %0.2f%% "
                "fragmented, %0.2f%% compressed clusters\n",
                c->allocated_clusters, c->total_clusters,
                all * 100 / (double)c->total_clusters,
                (double)c->fragmented_clusters * 100 / all,
                (double)c->compressed_clusters * 100 / all);
    }
    if (c->image_end_offset) {
        img_say(a, "Image end offset: %" PRIu64 "\n", c->image_end_offset);
    }
}

static void put(Json *o, const char *key, uint64_t v, bool always)
{
    if (v || always) {
        json_set(o, key, json_uint(v));
    }
}

/* Members in the order in which scripts have seen them. */
static void print_json(const ImgArgs *a, const char *filename,
                       const BlkNode *n, const BlkCheck *c)
{
    Json *o = json_obj();
    g_autofree char *text = NULL;

    put(o, "image-end-offset", c->image_end_offset, false);
    put(o, "compressed-clusters", c->compressed_clusters, false);
    put(o, "total-clusters", c->total_clusters, false);
    put(o, "corruptions", c->corruptions, false);
    put(o, "corruptions-fixed", c->corruptions_fixed, false);
    put(o, "check-errors", c->check_errors, true);
    put(o, "leaks", c->leaks, false);
    put(o, "leaks-fixed", c->leaks_fixed, false);
    put(o, "allocated-clusters", c->allocated_clusters, false);
    json_set_str(o, "filename", filename);
    json_set_str(o, "format", n->drv->name);
    put(o, "fragmented-clusters", c->fragmented_clusters, false);
    text = json_text(o, true, NULL);
    img_say(a, "%s\n", text);
    json_free(o);
}

static MACHINE_CALL int check_once(BlkNode *n, BlkCheck *c, int fix)
{
    Error *err = NULL;
    int ret;

    *c = (BlkCheck){ .say = say };
    if (!n->drv->check) {
        error_reportf("This image format does not support checks");
        return UNSUPPORTED;
    }
    ret = n->drv->check(n, c, fix, &err);
    if (ret < 0) {
        if (err) {
            error_report(err);
        }
        error_reportf("Check failed: %s", strerror(-ret));
        return CHECK_FAILED;
    }
    error_free(err);
    return 0;
}

/* After repairs the image is checked once more. */
static MACHINE_CALL int check(BlkNode *n, const char *filename,
                              const ImgArgs *a, int fix)
{
    BlkCheck c, fixed;
    int ret = check_once(n, &c, fix);

    if (ret) {
        return ret;
    }
    if (c.corruptions_fixed || c.leaks_fixed) {
        if (!a->json) {
            img_say(a, "The following inconsistencies were found and "
                    "repaired:\n\n    %" PRIu64 " leaked clusters\n    %"
                    PRIu64 " corruptions\n\nDouble checking the fixed image "
                    "now...\n", c.leaks_fixed, c.corruptions_fixed);
        }
        fixed = c;
        ret = check_once(n, &c, 0);
        if (ret) {
            return ret;
        }
        c.leaks_fixed = fixed.leaks_fixed;
        c.corruptions_fixed = fixed.corruptions_fixed;
    }
    if (a->json) {
        print_json(a, filename, n, &c);
    } else {
        print_human(a, &c);
    }
    if (c.check_errors) {
        error_reportf("Check failed");
        return CHECK_FAILED;
    }
    return c.corruptions ? CORRUPT : c.leaks ? LEAKS : 0;
}

static MACHINE_CALL int check_run(const ImgCmd *cmd, int argc, char **argv)
{
    CheckArgs a = { .base.src_cache = "writeback" };
    ToolOpen o = { .flags = BLKO_UNMAP | BLKO_CHECK };
    int at, status, fix = 0;
    BlkBackend *b;

    if (!img_args(cmd, argc, argv, &a, &at, &status)) {
        return status;
    }
    if (a.repair) {
        if (!strcmp(a.repair, "leaks")) {
            fix = BLKC_FIX_LEAKS;
        } else if (!strcmp(a.repair, "all")) {
            fix = BLKC_FIX_LEAKS | BLKC_FIX_ERRORS;
        } else {
            return tool_usage_error("Unknown option value for -r (expecting "
                                    "'leaks' or 'all'): %s", a.repair);
        }
        o.flags |= BLKO_RDWR;
    }
    if (at + 1 != argc) {
        return tool_usage_error("Expecting one image file name");
    }
    if (!tool_cache(a.base.src_cache, &o.flags, &o.writethrough)) {
        error_reportf("Invalid source cache option: %s", a.base.src_cache);
        return 1;
    }
    o.format = a.base.fmt;
    o.image_opts = a.base.image_opts;
    o.share = a.base.share;
    b = tool_open(argv[at], &o);
    if (!b) {
        return 1;
    }
    status = check(blk_root(b), argv[at], &a.base, fix);
    tool_close(b);
    return status;
}

IMG_CMD(img_check, {
    .name = "check", .operands = "filename",
    .summary = "Looks for faults in an image's metadata.",
    .doc = "Leaked clusters waste space and harm nothing. Exit status: 0 no "
           "fault, 1 the check was not completed, 2 corruptions, 3 leaks only, "
           "63 the format has no check.",
    .tables = { img_opt_help, img_opt_object, img_opt_image_opts, img_opt_quiet,
                img_opt_fmt, img_opt_output, check_opts, img_opt_src_cache,
                img_opt_share, NULL },
    .run = check_run,
});
