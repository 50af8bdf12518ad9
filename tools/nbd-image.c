/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nbd-image.c - the image that tern-nbd serves: cache, asynchronous I/O, a
 * temporary overlay, an internal snapshot, a part of it.
 *
 * Thread class: MACHINE_CALL.
 */
#include <unistd.h>
#include "opt.h"
#include "tools/nbd.h"

static const char *last(const GPtrArray *a)
{
    return a ? a->pdata[a->len - 1] : NULL;
}

static bool cache_read(NbdArgs *a, Error **errp)
{
    const char *mode = a->nocache ? "none" : a->cache ? last(a->cache)
                                                      : "writeback";

    if (a->nocache + (a->cache ? a->cache->len : 0) > 1) {
        return error_set(errp, "-n and --cache can only be specified once");
    }
    return tool_cache(mode, &a->flags, &a->writethrough) ||
           error_set(errp, "Invalid cache mode `%s'", mode);
}

static bool aio_read(const NbdArgs *a, Error **errp)
{
    static const char *const known[] = { "native", "io_uring", "threads" };
    const char *mode = last(a->aio);

    if (a->aio && a->aio->len > 1) {
        return error_set(errp, "--aio can only be specified once");
    }
    for (size_t i = 0; mode && i < ARRAY_SIZE(known); i++) {
        mode = strcmp(mode, known[i]) ? mode : NULL;
    }
    return !mode || error_set(errp, "Invalid aio mode '%s'", mode);
}

static bool discard_read(NbdArgs *a, Error **errp)
{
    const char *mode = last(a->discard);

    if (a->discard && a->discard->len > 1) {
        return error_set(errp, "--discard can only be specified once");
    }
    if (!mode || !strcmp(mode, "unmap") || !strcmp(mode, "on")) {
        a->flags |= BLKO_UNMAP;
        return true;
    }
    return !strcmp(mode, "ignore") || !strcmp(mode, "off") ||
           error_set(errp, "Invalid discard mode `%s'", mode);
}

static bool zeroes_read(const NbdArgs *a, Error **errp)
{
    const char *mode = a->detect_zeroes ? a->detect_zeroes : "off";
    bool unmap = !strcmp(mode, "unmap");

    if (!unmap && strcmp(mode, "off") && strcmp(mode, "on")) {
        return error_set(errp, "Failed to parse detect_zeroes mode: invalid "
                         "parameter value: %s", mode);
    }
    return !unmap || a->flags & BLKO_UNMAP ||
           error_set(errp, "setting detect-zeroes to unmap is not allowed "
                     "without setting discard operation to unmap");
}

/* In bytes, without a suffix. */
static bool offset_read(NbdArgs *a, Error **errp)
{
    char *end;

    if (!a->offset) {
        return true;
    }
    errno = 0;
    a->off = strtoull(a->offset, &end, 0);
    if (strchr(a->offset, '-')) {
        return opt_size("offset", a->offset, 1, &a->off, errp);
    }
    return (end != a->offset && !*end && !errno) ||
           error_set(errp, "Invalid offset '%s'", a->offset);
}

static bool shared_read(NbdArgs *a, Error **errp)
{
    const char *text = a->shared ? a->shared : "1";
    char *end;
    long v = strtol(text, &end, 0);

    if (end == text || *end || v < 0 || v > INT_MAX) {
        return error_set(errp, "Invalid shared device number '%s'", text);
    }
    a->clients = (unsigned)v;
    return true;
}

/* "id", "name", or snapshot.id=…,snapshot.name=… */
static bool snapshot_read(NbdArgs *a, Error **errp)
{
    Error *err = NULL;
    Opts o = { 0 };
    bool ok;

    if (!a->load || !g_str_has_prefix(a->load, "snapshot.")) {
        a->snap_id = g_strdup(a->load);
        return true;
    }
    ok = opts_parse(&o, a->load, NULL, OPT_FLAT | OPT_QUIET, &err);
    for (size_t i = 0; i < json_count(o.obj) && ok; i++) {
        const char *key = json_key_at(o.obj, i);

        ok = !strcmp(key, "snapshot.id") || !strcmp(key, "snapshot.name") ||
             error_set(&err, "Invalid parameter '%s'", key);
    }
    if (!ok) {
        error_report(err);
        error_set(errp, "Failed in parsing snapshot param `%s'", a->load);
    }
    a->snap_id = g_strdup(json_get_str(o.obj, "snapshot.id"));
    a->snap_name = g_strdup(json_get_str(o.obj, "snapshot.name"));
    opts_free(&o);
    return ok;
}

bool nbd_args_read(NbdArgs *a, Error **errp)
{
    return cache_read(a, errp) && aio_read(a, errp) && discard_read(a, errp) &&
           zeroes_read(a, errp) && offset_read(a, errp) &&
           snapshot_read(a, errp) && shared_read(a, errp);
}

static MACHINE_CALL BlkNode *node_open(const NbdArgs *a, unsigned flags,
                                       Error **errp)
{
    Opts given = { 0 };
    Json *opts;
    BlkNode *n;

    if (a->image_opts) {
        if (!opts_parse(&given, a->file, "file", OPT_FLAT | OPT_QUIET, errp)) {
            return NULL;
        }
        opts = json_copy(given.obj);
        opts_free(&given);
    } else {
        opts = json_obj();
        if (a->format) {
            json_set_str(opts, "driver", a->format);
        }
        if (a->aio) {
            json_set_str(opts, "file.aio", last(a->aio));
        }
        if (a->detect_zeroes) {
            json_set_str(opts, "detect-zeroes", a->detect_zeroes);
        }
    }
    n = blk_open(a->image_opts ? NULL : a->file, opts, flags, errp);
    json_free(opts);
    if (!n) {
        error_prepend(errp, "Failed to blk_new_open '%s': ", a->file);
    }
    return n;
}

/* Takes over n; writes go to a file that has no name. */
static MACHINE_CALL BlkNode *overlay(BlkNode *n, Error **errp)
{
    const char *dir = g_getenv("TMPDIR") ? g_getenv("TMPDIR") : "/var/tmp";
    g_autofree char *path = g_strdup_printf("%s/vl.XXXXXX", dir);
    int fd = mkstemp(path);
    Json *opts, *file;
    BlkNode *top = NULL;

    if (fd < 0) {
        error_set_errno(errp, errno, "Could not get temporary filename");
        blk_node_unref(n);
        return NULL;
    }
    close(fd);
    opts = json_obj();
    if (blk_image_create(path, "qcow2", opts, true, n->length, errp)) {
        Json *o = json_obj();

        file = json_obj();
        json_set_str(file, "driver", "file");
        json_set_str(file, "filename", path);
        json_set_str(o, "driver", "qcow2");
        json_set(o, "file", file);
        json_set_str(o, "backing", n->name);
        top = blk_node_open(o, false, BLKO_RDWR | BLKO_NO_FLUSH | BLKO_UNMAP,
                            errp);
    }
    json_free(opts);
    unlink(path);
    blk_node_unref(n);
    return top;
}

static MACHINE_CALL bool snapshot_load(BlkNode *n, const NbdArgs *a,
                                       Error **errp)
{
    const BlkSnapshotOps *ops = n->drv->snapshots;
    Error *err = NULL;
    int ret;

    if (!ops || !ops->load) {
        return error_set(errp, "Failed to load snapshot: Block format '%s' used "
                         "by device '' does not support temporarily loading "
                         "internal snapshots", n->drv->name);
    }
    ret = ops->load(n, a->snap_id, a->snap_name, &err);
    if (ret < 0 && !a->snap_name) {    /* it may be a name too                */
        error_free(err);
        err = NULL;
        ret = ops->load(n, NULL, a->snap_id, &err);
    }
    if (ret < 0 && !err) {
        error_set(&err, "%s", strerror(-ret));
    }
    error_prepend(&err, "Failed to load snapshot: ");
    error_move(errp, err);
    return ret >= 0;
}

/* Takes over n. */
static MACHINE_CALL BlkNode *part_of(BlkNode *n, uint64_t off, Error **errp)
{
    Json *o = json_obj();
    BlkNode *part;

    json_set_str(o, "driver", "raw");
    json_set_str(o, "file", n->name);
    json_set(o, "offset", json_uint(off));
    part = blk_node_open(o, false, n->read_only ? 0 : BLKO_RDWR | BLKO_UNMAP,
                         errp);
    blk_node_unref(n);
    return part;
}

BlkBackend *nbd_image_open(const NbdArgs *a, Error **errp)
{
    bool ro = a->read_only || a->load;
    unsigned flags = a->flags | (ro || a->snapshot ? 0 : BLKO_RDWR);
    BlkBackend *b;
    BlkNode *n;

    if (a->image_opts && a->format) {
        error_set(errp, "--image-opts and -f are mutually exclusive");
        return NULL;
    }
    n = node_open(a, flags, errp);
    if (!n) {
        return NULL;
    }
    if (a->load && !snapshot_load(n, a, errp)) {
        blk_node_unref(n);
        return NULL;
    }
    n = a->snapshot ? overlay(n, errp) : n;
    n = n && a->off ? part_of(n, a->off, errp) : n;
    if (!n) {
        return NULL;
    }
    b = blk_new(NULL);
    if (!blk_set_perm(b, BLKP_CONSISTENT_READ | (ro ? 0 : BLKP_WRITE),
                      BLKP_ALL, errp) || !blk_insert(b, n, errp)) {
        blk_unref(b);
        b = NULL;
    } else {
        blk_set_write_cache(b, !a->writethrough);
    }
    blk_node_unref(n);
    return b;
}
