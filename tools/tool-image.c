/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tool-image.c - images as the tools open them: by name, by --image-opts, with a
 * cache mode; sizes as they read them.
 *
 * Thread class: MACHINE_CALL.
 */
#include "opt.h"
#include "tools/tool.h"

static const char share_conflict[] = "--force-share/-U conflicts with image "
                                     "options";

static MACHINE_CALL BlkBackend *backend_on(BlkNode *n, const ToolOpen *o,
                                           Error **errp)
{
    BlkBackend *b = blk_new(NULL);
    uint64_t perm = BLKP_CONSISTENT_READ, shared = BLKP_ALL;

    if (o->alone && !o->share) {
        shared = BLKP_CONSISTENT_READ | BLKP_WRITE_UNCHANGED;
    }
    if (o->flags & BLKO_RDWR) {
        perm |= BLKP_WRITE | BLKP_RESIZE;
    }
    if (!blk_set_perm(b, perm, shared, errp) || !blk_insert(b, n, errp)) {
        blk_unref(b);
        b = NULL;
    } else {
        blk_set_write_cache(b, !o->writethrough);
    }
    blk_node_unref(n);
    return b;
}

static MACHINE_CALL BlkNode *open_by_opts(const char *text, unsigned flags,
                                          bool share, Error **errp)
{
    Error *err = NULL;
    Opts opts = { 0 };
    const char *ref;
    BlkNode *n = NULL;

    if (!opts_parse(&opts, text, "file", OPT_FLAT | OPT_QUIET, &err)) {
        error_move(errp, err);
        return NULL;
    }
    ref = json_get_str(opts.obj, "file");
    if (ref && json_count(opts.obj) == 1) {
        error_set(errp, "Cannot find device='%s' nor node-name='%s'", ref, ref);
    } else if (share && json_get(opts.obj, "force-share") &&
               g_strcmp0(json_get_str(opts.obj, "force-share"), "on")) {
        error_set(errp, "%s", share_conflict);
    } else {
        n = blk_open(NULL, opts.obj, flags | BLKO_DRIVE_TEXT, errp);
    }
    opts_free(&opts);
    return n;
}

static bool options_add(Json *to, const char *text, Error **errp)
{
    Opts o = { 0 };

    if (!opts_parse(&o, text, NULL, OPT_FLAT | OPT_QUIET, errp)) {
        return false;
    }
    while (json_count(o.obj)) {
        g_autofree char *key = g_strdup(json_key_at(o.obj, 0));

        json_set(to, key, json_take(o.obj, key));
    }
    opts_free(&o);
    return true;
}

BlkBackend *tool_open_err(const char *filename, const ToolOpen *o, Error **errp)
{
    unsigned flags = o->flags | (o->share ? BLKO_FORCE_SHARE : 0);
    Json *opts;
    BlkNode *n;

    if (o->image_opts) {
        n = open_by_opts(filename, flags, o->share, errp);
    } else {
        opts = json_obj();
        if (o->options && !options_add(opts, o->options, errp)) {
            json_free(opts);
            return NULL;
        }
        if (o->format) {
            json_set_str(opts, "driver", o->format);
        }
        if (o->aio) {
            json_set_str(opts, o->format && blk_driver_find(o->format) &&
                         blk_driver_find(o->format)->protocol
                         ? "aio" : "file.aio", o->aio);
        }
        n = blk_open(filename, opts, flags | BLKO_DRIVE_TEXT, errp);
        json_free(opts);
    }
    return n ? backend_on(n, o, errp) : NULL;
}

BlkBackend *tool_open(const char *filename, const ToolOpen *o)
{
    Error *err = NULL;
    BlkBackend *b;

    if (o->image_opts && o->format) {
        error_reportf("--image-opts and --format are mutually exclusive");
        return NULL;
    }
    b = tool_open_err(filename, o, &err);
    if (!b) {
        if (strcmp(error_text(err), share_conflict)) {
            error_prepend(&err, "Could not open '%s': ", filename);
        }
        error_report(err);
    }
    return b;
}

void tool_close(BlkBackend *b)
{
    if (!b) {
        return;
    }
    blk_drain(b);
    blk_unref(b);
}

/* ---- numbers -------------------------------------------------------------- */

int64_t tool_range(const char *name, const char *text, int64_t min,
                   int64_t max)
{
    int64_t v = tool_size(text);

    if (v == -ERANGE || v > max || (v >= 0 && v < min)) {
        error_reportf("Invalid %s specified. Must be between %" PRId64 " and %"
                      PRId64 ".", name, min, max);
    } else if (v < 0) {
        error_reportf("Invalid %s specified. You may use k, M, G, T, P or E "
                      "suffixes for", name);
        error_reportf("kilobytes, megabytes, gigabytes, terabytes, petabytes "
                      "and exabytes.");
    } else {
        return v;
    }
    return -EINVAL;
}
