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

static bool modes_check(const NbdArgs *a, unsigned *flags, bool *writethrough,
                        Error **errp)
{
    static const char *const aios[] = { "native", "io_uring", "threads" };
    const char *cache = a->nocache ? "none" : a->cache ? a->cache
                                                       : "writeback";
    bool known = !a->aio;

    if (a->nocache && a->cache) {
        return error_set(errp, "-n and --cache can only be specified once");
    }
    if (!tool_cache(cache, flags, writethrough)) {
        return error_set(errp, "Invalid cache mode `%s'", cache);
    }
    for (size_t i = 0; i < ARRAY_SIZE(aios); i++) {
        known |= a->aio && !strcmp(a->aio, aios[i]);
    }
    if (!known) {
        return error_set(errp, "Invalid aio mode '%s'", a->aio);
    }
    if (!a->discard || !strcmp(a->discard, "unmap") ||
        !strcmp(a->discard, "on")) {
        *flags |= BLKO_UNMAP;
    } else if (strcmp(a->discard, "ignore") && strcmp(a->discard, "off")) {
        return error_set(errp, "Invalid discard mode `%s'", a->discard);
    }
    if (a->detect_zeroes && strcmp(a->detect_zeroes, "off") &&
        strcmp(a->detect_zeroes, "on") && strcmp(a->detect_zeroes, "unmap")) {
        return error_set(errp, "Failed to parse detect_zeroes mode: invalid "
                         "parameter value: %s", a->detect_zeroes);
    }
    if (a->detect_zeroes && !strcmp(a->detect_zeroes, "unmap") &&
        !(*flags & BLKO_UNMAP)) {
        return error_set(errp, "setting detect-zeroes to unmap is not allowed "
                         "without setting discard operation to unmap");
    }
    return true;
}

static MACHINE_CALL BlkNode *node_open(const NbdArgs *a, unsigned flags,
                                       Error **errp)
{
    Opts given = { 0 };
    Json *opts;
    BlkNode *n;

    if (a->image_opts) {
        if (!opts_parse(&given, a->file, "file", OPT_FLAT, errp)) {
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
            json_set_str(opts, "file.aio", a->aio);
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

/* "id", "name", or snapshot.id=…,snapshot.name=… */
static MACHINE_CALL bool snapshot_load(BlkNode *n, const char *text,
                                       Error **errp)
{
    const char *id = text, *name = NULL;
    Opts o = { 0 };
    int ret;

    if (g_str_has_prefix(text, "snapshot.")) {
        if (!opts_parse(&o, text, NULL, OPT_FLAT, errp)) {
            return false;
        }
        id = json_get_str(o.obj, "snapshot.id");
        name = json_get_str(o.obj, "snapshot.name");
    }
    if (!n->drv->snapshots || !n->drv->snapshots->load) {
        opts_free(&o);
        return error_set(errp, "Failed to load snapshot: Block format '%s' used "
                         "by device '' does not support temporarily loading "
                         "internal snapshots", n->drv->name);
    }
    ret = n->drv->snapshots->load(n, id, name, NULL);
    if (ret < 0 && !name) {
        ret = n->drv->snapshots->load(n, NULL, text, NULL);
    }
    opts_free(&o);
    return ret >= 0 || error_set_errno(errp, -ret, "Failed to load snapshot");
}

/* Takes over n. */
static MACHINE_CALL BlkNode *part_of(BlkNode *n, const char *offset,
                                     Error **errp)
{
    Json *o = json_obj();
    uint64_t off;
    BlkNode *part;

    if (!opt_size("offset", offset, 1, &off, NULL)) {
        json_free(o);
        blk_node_unref(n);
        error_set(errp, "Invalid offset '%s'", offset);
        return NULL;
    }
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
    bool ro = a->read_only || a->load, writethrough = false;
    unsigned flags = ro || a->snapshot ? 0 : BLKO_RDWR;
    BlkBackend *b;
    BlkNode *n;

    if (a->image_opts && a->format) {
        error_set(errp, "--image-opts and -f are mutually exclusive");
        return NULL;
    }
    if (!modes_check(a, &flags, &writethrough, errp) ||
        !(n = node_open(a, flags, errp))) {
        return NULL;
    }
    if (a->load && !snapshot_load(n, a->load, errp)) {
        blk_node_unref(n);
        return NULL;
    }
    n = a->snapshot ? overlay(n, errp) : n;
    n = n && a->offset ? part_of(n, a->offset, errp) : n;
    if (!n) {
        return NULL;
    }
    b = blk_new(NULL);
    if (!blk_set_perm(b, BLKP_CONSISTENT_READ | (ro ? 0 : BLKP_WRITE),
                      BLKP_ALL, errp) || !blk_insert(b, n, errp)) {
        blk_unref(b);
        b = NULL;
    } else {
        blk_set_write_cache(b, !writethrough);
    }
    blk_node_unref(n);
    return b;
}
