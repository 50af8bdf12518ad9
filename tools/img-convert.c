/* SPDX-License-Identifier: GPL-2.0-or-later */
/* img-convert.c - `convert`: arguments, images and target. MACHINE_CALL. */
#include "opt.h"
#include "tools/convert.h"

#define SPARSE_MAX (16 * MiB)

typedef struct ConvertArgs {
    ImgArgs base;
    const char *out_fmt, *backing, *backing_fmt, *snapshot, *sparse, *rate,
               *workers;
    char *options;
    bool target_opts, target_zero, bitmaps, skip_broken, offload, compress,
         skip_create, any_order, salvage;
} ConvertArgs;
#define AT(f) offsetof(ConvertArgs, f)

static const ToolOpt convert_opts[] = {
    { "target-image-opts", 0, TK_FLAG, 0, AT(target_opts), NULL,
      "The target's file name is a list of options; needs -n." },
    { "target-is-zero", 0, TK_FLAG, 0, AT(target_zero), NULL,
      "The existing target reads as zeroes: they are not written. Needs -n." },
    { "bitmaps", 0, TK_FLAG, 0, AT(bitmaps), NULL,
      "Copies the persistent dirty bitmaps of the image." },
    { "skip-broken-bitmaps", 0, TK_FLAG, 0, AT(skip_broken), NULL,
      "With --bitmaps: leaves inconsistent ones out." },
    { NULL, 'C', TK_FLAG, 0, AT(offload), NULL,
      "Lets the host copy, where it can without moving the data. Zeroes are "
      "not looked for." },
    { NULL, 'c', TK_FLAG, 0, AT(compress), NULL,
      "Compresses the target's clusters." },
    { NULL, 'n', TK_FLAG, 0, AT(skip_create), NULL,
      "Writes to a target that exists." },
    { NULL, 'O', TK_STR, 0, AT(out_fmt), "output_fmt",
      "Format of the target; raw when not given." },
    { NULL, 'B', TK_STR, 0, AT(backing), "backing_file",
      "The target's backing file, which must show what the source's does." },
    { NULL, 'F', TK_STR, 0, AT(backing_fmt), "backing_fmt",
      "Format of the backing file." },
    { NULL, 'o', TK_OPTS, 0, AT(options), "options",
      "Creation options of the target, name=value with commas between; help "
      "lists them." },
    { "snapshot", 'l', TK_STR, 0, AT(snapshot), "snapshot_param",
      "Copies an internal snapshot: its id or name, or snapshot.id=ID, "
      "snapshot.name=NAME." },
    { NULL, 'S', TK_STR, 0, AT(sparse), "sparse_size",
      "How many bytes of zeroes become a hole, 4k when not given; 0 writes "
      "all out." },
    { NULL, 'r', TK_STR, 0, AT(rate), "rate_limit", "Bytes a second." },
    { NULL, 'm', TK_STR, 0, AT(workers), "num_coroutines",
      "How many pieces are under way at once, 1 to 16; 8 when not given." },
    { NULL, 'W', TK_FLAG, 0, AT(any_order), NULL,
      "Allows writing out of order." },
    { "salvage", 0, TK_FLAG, 0, AT(salvage), NULL,
      "Goes on after errors of reading; zeroes stand for what is lost." },
    { .name = NULL }
};

typedef struct Convert {
    ConvertArgs a;
    Copy copy;
    const char *out;
    char **names;
    int nnames;
    unsigned src_flags, out_flags;
    bool src_wt, out_wt;
} Convert;

/* ---- arguments ------------------------------------------------------------ */

static bool workers_read(Convert *v)
{
    char *end;
    long n = 8;

    if (v->a.workers) {
        errno = 0;
        n = strtol(v->a.workers, &end, 0);
        if (errno || end == v->a.workers || *end || n < 1 || n > 16) {
            error_reportf("Invalid number of coroutines. Allowed number of "
                          "coroutines is between 1 and 16");
            return false;
        }
    }
    v->copy.workers = (unsigned)n;
    return true;
}

static bool sparse_read(Convert *v)
{
    int64_t n = 4096;

    if (v->a.sparse) {
        n = tool_number("buffer size for sparse output", v->a.sparse,
                        INT64_MAX);
        if (n < 0) {
            return false;
        }
        if (n % 512 || n > (int64_t)SPARSE_MAX) {
            error_reportf("Invalid buffer size for sparse output specified. "
                          "Valid sizes are multiples of 512 up to %" PRIu64
                          ". Select 0 to disable sparse detection (fully "
                          "allocates output).", SPARSE_MAX);
            return false;
        }
    }
    v->copy.sparse = (uint32_t)n;
    return true;
}

static bool conflicts(const Convert *v)
{
    const ConvertArgs *a = &v->a;

    if (a->offload && a->compress) {
        error_reportf("Cannot enable copy offloading when -c is used");
    } else if (a->offload && a->sparse) {
        error_reportf("Cannot enable copy offloading when -S is used");
    } else if (a->target_opts && !a->skip_create) {
        error_reportf("--target-image-opts requires use of -n flag");
    } else if (a->target_zero && !a->skip_create) {
        error_reportf("--target-is-zero requires use of -n flag");
    } else if (a->skip_broken && !a->bitmaps) {
        error_reportf("Use of --skip-broken-bitmaps requires --bitmaps");
    } else if (a->options && a->skip_create) {
        error_reportf("-o has no effect when skipping image creation");
    } else {
        return false;
    }
    return true;
}

static bool args_check(Convert *v)
{
    const ConvertArgs *a = &v->a;

    if (!sparse_read(v) || !workers_read(v)) {
        return false;
    }
    if (a->rate) {
        v->copy.rate = tool_number("rate limit", a->rate, INT64_MAX);
        if (v->copy.rate < 0) {
            return false;
        }
    }
    if (conflicts(v)) {
        return false;
    }
    if (!tool_cache(a->base.cache, &v->out_flags, &v->out_wt)) {
        error_reportf("Invalid cache option: %s", a->base.cache);
        return false;
    }
    if (!tool_cache(a->base.src_cache, &v->src_flags, &v->src_wt)) {
        error_reportf("Invalid source cache option: %s", a->base.src_cache);
        return false;
    }
    return true;
}

/* ---- sources -------------------------------------------------------------- */

static bool snapshot_param(const char *text, char **id, char **name)
{
    Error *err = NULL;
    Opts o = { 0 };

    if (!g_str_has_prefix(text, "snapshot.")) {
        *id = g_strdup(text);
        *name = g_strdup(text);
        return true;
    }
    if (!opts_parse(&o, text, NULL, OPT_FLAT | OPT_QUIET, &err)) {
        error_report(err);
        error_reportf("Failed in parsing snapshot param '%s'", text);
        return false;
    }
    for (size_t i = 0; i < json_count(o.obj); i++) {
        const char *k = json_key_at(o.obj, i);

        if (strcmp(k, "snapshot.id") && strcmp(k, "snapshot.name")) {
            error_reportf("Invalid parameter '%s'", k);
            error_reportf("Failed in parsing snapshot param '%s'", text);
            opts_free(&o);
            return false;
        }
    }
    *id = g_strdup(json_get_str(o.obj, "snapshot.id"));
    *name = g_strdup(json_get_str(o.obj, "snapshot.name"));
    opts_free(&o);
    return true;
}

/* An id or name alone is tried as the one, then as the other. */
bool img_snapshot_show(BlkNode *n, const char *text, Error **errp)
{
    const BlkSnapshotOps *ops = n->drv->snapshots;
    g_autofree char *id = NULL, *name = NULL;
    bool either = !g_str_has_prefix(text, "snapshot.");
    int ret;

    if (!snapshot_param(text, &id, &name)) {
        return false;
    }
    if (!ops || !ops->load) {
        return error_set(errp, "Block format '%s' used by device '' does not "
                         "support temporarily loading internal snapshots",
                         n->drv->name);
    }
    if (either) {
        ret = ops->load(n, id, NULL, NULL);
        if (ret < 0) {
            ret = ops->load(n, NULL, name, errp);
        }
    } else {
        ret = ops->load(n, id, name, errp);
    }
    return ret >= 0;
}

static MACHINE_CALL bool source_open(Convert *v, int i)
{
    ToolOpen o = { .format = v->a.base.fmt, .flags = v->src_flags,
                   .image_opts = v->a.base.image_opts,
                   .writethrough = v->src_wt, .share = v->a.base.share,
                   .alone = true };
    CopySource *s = &v->copy.src[i];
    Error *err = NULL;

    s->name = v->names[i];
    s->b = tool_open(s->name, &o);
    if (!s->b) {
        return false;
    }
    if (v->a.snapshot &&
        !img_snapshot_show(blk_root(s->b), v->a.snapshot, &err)) {
        if (err) {
            error_prepend(&err, "Failed to load snapshot: ");
            error_report(err);
        }
        return false;
    }
    s->start = v->copy.total;
    s->len = blk_root(s->b)->length;
    v->copy.total += s->len;
    return true;
}

static MACHINE_CALL bool sources_open(Convert *v)
{
    v->copy.src = g_new0(CopySource, v->nnames);
    for (int i = 0; i < v->nnames; i++) {
        v->copy.nsrc = i + 1;
        if (!source_open(v, i)) {
            return false;
        }
    }
    return true;
}

/* ---- target --------------------------------------------------------------- */

static bool create_failed(const Convert *v, Error *err)
{
    const char *text = error_text(err);

    if (!g_str_has_prefix(text, "Invalid parameter '") &&
        !g_str_has_prefix(text, "Unknown file format") &&
        !g_str_has_prefix(text, "Unknown protocol") &&
        !g_str_has_prefix(text, "Format driver '") &&
        !g_str_has_prefix(text, "Backing file ")) {
        error_prepend(&err, "%s: error while converting %s: ", v->out,
                      v->a.out_fmt);
    }
    error_report(err);
    return false;
}

static char *option_of(const Convert *v, const char *key)
{
    Opts o = { 0 };
    char *s = NULL;

    if (v->a.options && opts_parse(&o, v->a.options, NULL,
                                   OPT_FLAT | OPT_BARE | OPT_QUIET, NULL)) {
        s = g_strdup(json_get_str(o.obj, key));
        opts_free(&o);
    }
    return s;
}

static MACHINE_CALL bool target_create(Convert *v)
{
    const ConvertArgs *a = &v->a;
    const BlkDriver *d = blk_driver_find(a->out_fmt);
    g_autofree char *size = option_of(v, "size");
    g_autofree char *backing = option_of(v, "backing_file");
    g_autofree char *backing_fmt = option_of(v, "backing_fmt");
    g_autofree char *prealloc = option_of(v, "preallocation");
    BlkImageSpec spec = { .filename = v->out, .format = a->out_fmt,
                          .options = a->options, .backing = a->backing,
                          .backing_fmt = a->backing_fmt,
                          .size = size ? -1 : (int64_t)v->copy.total };
    Error *err = NULL;

    if (!d || (!d->create && !d->protocol && strcmp(d->name, "raw"))) {
        error_reportf(d ? "Format driver '%s' does not support image creation"
                        : "Unknown file format '%s'", a->out_fmt);
        return false;
    }
    if ((a->backing || backing) && !a->backing_fmt && !backing_fmt &&
        d->backing) {
        error_reportf("Use of backing file requires explicit backing format");
        return false;
    }
    if (v->nnames > 1 && (a->backing || backing)) {
        error_reportf("Having a backing file for the target makes no sense "
                      "when concatenating multiple input images");
        return false;
    }
    if (a->compress && prealloc && strcmp(prealloc, "off")) {
        error_reportf("Compression and preallocation not supported at the same "
                      "time");
        return false;
    }
    if (a->compress && (d->protocol || !d->create)) {
        error_reportf("Compression not supported for this file format");
        return false;
    }
    v->copy.over_backing = a->backing || backing;
    return blk_image_make(&spec, &err) || create_failed(v, err);
}

/* The password that a new image was made with opens it. */
static char *target_secret(const Convert *v)
{
    static const char *const keys[] = { "key-secret", "encrypt.key-secret" };

    for (size_t i = 0; !v->a.skip_create && i < ARRAY_SIZE(keys); i++) {
        g_autofree char *id = option_of(v, keys[i]);

        if (id) {
            return g_strdup_printf("%s=%s", keys[i], id);
        }
    }
    return NULL;
}

static MACHINE_CALL bool target_open(Convert *v)
{
    g_autofree char *secret = target_secret(v);
    ToolOpen o = { .format = v->a.target_opts ? NULL : v->a.out_fmt,
                   .flags = BLKO_RDWR | BLKO_UNMAP | v->out_flags,
                   .image_opts = v->a.target_opts, .writethrough = v->out_wt,
                   .options = secret };

    v->copy.target = tool_open(v->out, &o);
    return v->copy.target != NULL;
}

/* What a new image of this kind reads as. */
static bool new_is_zero(BlkNode *n, const BlkNodeInfo *i)
{
    if (!strcmp(n->drv->name, "luks") || n->backing) {
        return false;
    }
    for (; n; n = n->file) {
        if (!strcmp(n->drv->name, "host_device")) {
            return i->cluster_size && !i->encrypted;
        }
    }
    return true;
}

static MACHINE_CALL bool target_prepare(Convert *v)
{
    Copy *c = &v->copy;
    BlkNode *n = blk_root(c->target);
    BlkNodeInfo i = { .cluster_size = 0 };

    if (n->drv->info) {
        n->drv->info(n, &i);
    }
    if (n->length < c->total) {
        error_reportf("output file is smaller than input file");
        return false;
    }
    c->compress_align = i.compress_align;
    if (v->a.compress && !i.compress_align) {
        error_reportf("Compression not supported for this file format");
        return false;
    }
    c->cluster = v->a.sparse ? 0 : (uint32_t)i.cluster_size;
    if (c->over_backing && n->backing) {
        c->backed = n->backing->length;
    }
    if (!c->sparse) {
        c->zero_init = false;
    } else if (v->a.skip_create) {
        c->zero_init = v->a.target_zero ||
            (!n->backing && blk_co_zero(n, 0, ALIGN_DOWN(n->length, 512),
                                        BLKF_MAY_UNMAP |
                                        BLKF_NO_FALLBACK) >= 0);
    } else {
        c->zero_init = new_is_zero(n, &i) || c->over_backing;
    }
    return true;
}

static MACHINE_CALL int convert(Convert *v)
{
    Copy *c = &v->copy;
    const ConvertArgs *a = &v->a;
    BlkNode *n;

    if (!sources_open(v)) {
        return 1;
    }
    n = blk_root(c->src[0].b);
    if (a->bitmaps) {
        if (v->nnames > 1) {
            error_reportf("Copying bitmaps only possible with single source");
            return 1;
        }
        if (!bitmaps_check(n, a->skip_broken)) {
            return 1;
        }
    }
    if ((!a->skip_create && !target_create(v)) || !target_open(v) ||
        !target_prepare(v)) {
        return 1;
    }
    if (a->bitmaps && !bitmaps_fit(blk_root(c->target))) {
        error_reportf("Format driver '%s' does not support bitmaps",
                      blk_root(c->target)->drv->name);
        return 1;
    }
    c->compress = a->compress;
    c->offload = a->offload;
    c->any_order = a->any_order;
    c->salvage = a->salvage;
    c->quiet = a->base.quiet;
    if (copy_run(c) < 0) {
        return 1;
    }
    return a->bitmaps && !bitmaps_copy(n, blk_root(c->target));
}

static MACHINE_CALL int convert_run(const ImgCmd *cmd, int argc, char **argv)
{
    Convert v = { .a = { .base = { .cache = "unsafe",
                                   .src_cache = "writeback" } } };
    bool conflict;
    int at, status;

    if (!img_args(cmd, argc, argv, &v.a, &at, &status)) {
        return status;
    }
    conflict = (v.a.base.image_opts && v.a.base.fmt) ||
               (v.a.target_opts && v.a.out_fmt);
    v.a.out_fmt = v.a.out_fmt ? v.a.out_fmt : "raw";
    if (img_wants_help(v.a.options) && !v.a.skip_create) {
        return img_options_help(v.a.out_fmt, at < argc ? argv[argc - 1] : NULL);
    }
    if (!args_check(&v)) {
        return 1;
    }
    if (argc - at < 2) {
        error_reportf("Must specify image file name");
        return 1;
    }
    if (conflict) {
        error_reportf("--image-opts and --format are mutually exclusive");
        return 1;
    }
    v.names = argv + at;
    v.nnames = argc - at - 1;
    v.out = argv[argc - 1];
    progress_begin(v.a.base.progress && !v.a.base.quiet, 1);
    status = convert(&v);
    if (!status) {
        progress_set(1);
    }
    tool_close(v.copy.target);
    for (int i = 0; i < v.copy.nsrc; i++) {
        tool_close(v.copy.src[i].b);
    }
    progress_end();
    g_free(v.copy.src);
    return status;
}

IMG_CMD(img_convert, {
    .name = "convert", .operands = "filename [filename2 [...]] output_filename",
    .summary = "Copies what an image shows to a new image of any format.",
    .doc = "Zeroes become holes where the format has them. Several source "
           "images are put one after the other.",
    .tables = { img_opt_help, img_opt_object, img_opt_image_opts, img_opt_share,
                img_opt_progress, img_opt_quiet, img_opt_fmt, img_opt_cache,
                img_opt_src_cache, convert_opts, NULL },
    .run = convert_run,
});
