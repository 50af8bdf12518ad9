/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * create.c - making images: the file by its protocol, in it the format.
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. Every option is the format's or the protocol's; one that is neither is
 *    refused before a file is touched.
 * 2. A backing file is opened, and so seen to exist, before the image is made,
 *    unless the caller says not to.
 */
#include <glib.h>
#include "block/driver.h"
#include "opt.h"

/* A struct of d's creation options with their defaults; d may be NULL. */
static BlkCreate *create_new(const BlkDriver *d)
{
    BlkCreate *c;

    c = g_malloc0(MAX2(d ? d->create_size : 0, sizeof(BlkCreate)));
    if (d && d->create_props) {
        prop_defaults((Obj *)c, d->create_props, 0);
    }
    return c;
}

static void create_free(const BlkDriver *d, BlkCreate *c)
{
    char *own[] = { c->filename, c->backing_file, c->backing_fmt };

    /* Rows may stand for these too; each is freed once. */
    c->filename = c->backing_file = c->backing_fmt = NULL;
    if (d && d->create_props) {
        prop_release((Obj *)c, d->create_props);
    }
    for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
        g_free(own[i]);
    }
    g_free(c);
}

static bool enum_ok(const Prop *p, const Json *v, Error **errp)
{
    const PropEnum *e = p->aux;

    if (p->kind != PK_ENUM || json_kind(v) != JSON_STR) {
        return true;
    }
    for (const char *const *name = e->names; *name; name++) {
        if (!strcmp(*name, json_str_of(v))) {
            return true;
        }
    }
    return error_set(errp, "invalid parameter value: %s", json_str_of(v));
}

static MACHINE_CALL bool option_set(BlkCreate *c, const BlkDriver *d,
                                    const char *key, const Json *v, bool text,
                                    Error **errp)
{
    const Prop *p = prop_find(d->create_props, key);

    return enum_ok(p, v, errp) &&
           prop_set((Obj *)c, p, v, text, d->name, errp);
}

static bool has_option(const BlkDriver *d, const char *key)
{
    return d && d->create_props && prop_find(d->create_props, key);
}

/* Hands the options out (invariant 1); the format comes first. */
static MACHINE_CALL bool options_set(const BlkDriver *d, BlkCreate *c,
                                     const BlkDriver *proto, BlkCreate *pc,
                                     Json *opts, bool text, Error **errp)
{
    for (size_t i = 0; opts && i < json_count(opts); i++) {
        const char *key = json_key_at(opts, i);
        const Json *v = json_value_at(opts, i);

        if (has_option(d, key)) {
            if (!option_set(c, d, key, v, text, errp)) {
                return false;
            }
        } else if (has_option(proto, key)) {
            if (!option_set(pc, proto, key, v, text, errp)) {
                return false;
            }
        } else {
            return error_set(errp, "Invalid parameter '%s'", key);
        }
    }
    return true;
}

static char *take_str(Json *opts, const char *key)
{
    Json *v = opts ? json_take(opts, key) : NULL;
    char *s = v && json_kind(v) == JSON_STR ? g_strdup(json_str_of(v)) : NULL;

    json_free(v);
    return s;
}

static bool take_size(Json *opts, bool text, uint64_t *size, Error **errp)
{
    Json *v = opts ? json_take(opts, "size") : NULL;
    bool ok = true;

    if (v && json_kind(v) == JSON_STR && text) {
        ok = opt_size("size", json_str_of(v), 1, size, errp);
    } else if (v && (json_kind(v) == JSON_INT || json_kind(v) == JSON_UINT) &&
               (json_kind(v) == JSON_UINT || json_int_of(v) >= 0)) {
        *size = json_uint_of(v);
    } else if (v) {
        ok = error_set(errp, "Parameter 'size' expects a size");
    }
    json_free(v);
    return ok;
}

/* Sees to the backing file (invariant 2); its size is the default one. */
static MACHINE_CALL bool backing_check(BlkCreate *c, const BlkDriver *d,
                                       const char *filename, uint64_t *size,
                                       Error **errp)
{
    g_autofree char *path = NULL;
    Json *opts;
    BlkNode *n;

    if (!c->backing_file && !c->backing_fmt) {
        return true;
    }
    if (!d->backing) {
        return error_set(errp, c->backing_file
                         ? "Backing file not supported for file format '%s'"
                         : "Backing format not supported for file format '%s'",
                         d->name);
    }
    if (c->backing_fmt && !blk_driver_find(c->backing_fmt)) {
        return error_set(errp, "Unknown backing file format '%s'",
                         c->backing_fmt);
    }
    if (!c->backing_file || c->backing_unsafe) {
        return true;
    }
    if (!strcmp(c->backing_file, filename)) {
        return error_set(errp, "Error: Trying to create an image with the "
                         "same filename as the backing file");
    }
    path = blk_path_combine(filename, c->backing_file);
    opts = json_obj();
    if (c->backing_fmt) {
        json_set_str(opts, "driver", c->backing_fmt);
    }
    n = blk_open(path, opts, BLKO_NO_IO | BLKO_FORCE_SHARE, errp);
    json_free(opts);
    if (!n) {
        error_hint(errp, "Could not open backing image.");
        return false;
    }
    if (*size == UINT64_MAX) {
        *size = n->length;
    }
    blk_node_unref(n);
    return true;
}

/* A device is there already: it must be large enough, and stops looking like
 * what it held. */
static MACHINE_CALL bool device_make(const char *filename, uint64_t size,
                                     Error **errp)
{
    BlkNode *n;
    int ret;
    bool ok;

    n = blk_open(filename, NULL, BLKO_RDWR, errp);
    if (!n) {
        error_prepend(errp, "Protocol driver 'host_device' does not support "
                      "image creation, and opening the image failed: ");
        return false;
    }
    ok = blk_node_truncate(n->file ? n->file : n, size, PREALLOC_OFF, false,
                           errp);
    ret = ok ? blk_co_zero(n, 0, MIN2(n->length, 512), 0) : 0;
    if (ret < 0) {
        ok = error_set_errno(errp, -ret, "Failed to clear the new image's "
                             "first sector");
    }
    blk_node_unref(n);
    return ok;
}

static MACHINE_CALL bool file_make(const BlkDriver *proto, BlkCreate *pc,
                                   const char *filename, uint64_t size,
                                   Error **errp)
{
    if (!proto->create) {
        return device_make(filename, size, errp);
    }
    pc->filename = g_strdup(filename);
    pc->size = size;
    return proto->create(pc, errp);
}

/* The new file, opened for the format's code. */
static MACHINE_CALL bool format_make(const BlkDriver *d, BlkCreate *c,
                                     const char *filename, Error **errp)
{
    const char *rest = filename;
    g_autofree char *driver = blk_filename_driver(filename, &rest, errp);
    Json *opts;
    bool ok;

    if (!driver) {
        return false;
    }
    opts = json_obj();
    json_set_str(opts, "driver", driver);
    json_set_str(opts, "filename", rest);
    c->file = blk_node_open(opts, true, BLKO_RDWR | BLKO_UNMAP, errp);
    if (!c->file) {
        return false;
    }
    ok = d->create(c, errp);
    blk_node_unref(c->file);
    c->file = NULL;
    return ok;
}

static MACHINE_CALL bool make(const BlkDriver *d, BlkCreate *c,
                              const BlkDriver *proto, BlkCreate *pc,
                              const char *filename, Error **errp)
{
    if (!d->create || d == proto) {    /* raw                                 */
        return file_make(proto, pc, filename, c->size, errp);
    }
    return file_make(proto, pc, filename, 0, errp) &&
           format_make(d, c, filename, errp);
}

static const BlkDriver *protocol_of(const char *filename, Error **errp)
{
    const char *rest;
    g_autofree char *name = blk_filename_driver(filename, &rest, errp);
    const BlkDriver *d = name ? blk_driver_find(name) : NULL;

    if (d && !d->create && strcmp(d->name, "host_device")) {
        error_set(errp, "Protocol driver '%s' does not support image creation",
                  d->name);
        return NULL;
    }
    return d;
}

bool blk_image_create(const char *filename, const char *format, Json *opts,
                      bool text, uint64_t size, Error **errp)
{
    const BlkDriver *d = blk_driver_find(format), *proto;
    BlkCreate *c, *pc;
    bool ok;

    if (!d) {
        return error_set(errp, "Unknown file format '%s'", format);
    }
    proto = protocol_of(filename, errp);
    if (!proto) {
        return false;
    }
    if (!d->create && strcmp(d->name, "raw") && d != proto) {
        return error_set(errp, "Format driver '%s' does not support image "
                         "creation", d->name);
    }
    c = create_new(d == proto ? NULL : d);
    pc = create_new(proto);
    c->backing_file = take_str(opts, "backing_file");
    c->backing_fmt = take_str(opts, "backing_fmt");
    c->backing_unsafe = opts && json_get(opts, "unsafe");
    json_free(opts ? json_take(opts, "unsafe") : NULL);
    ok = take_size(opts, text, &size, errp) &&
         options_set(d == proto ? NULL : d, c, proto, pc, opts, text, errp) &&
         backing_check(c, d, filename, &size, errp);
    if (ok && size == UINT64_MAX) {
        ok = error_set(errp, "Image creation needs a size parameter");
    }
    if (ok) {
        c->size = size;
        ok = make(d, c, proto, pc, filename, errp);
    }
    create_free(proto, pc);
    create_free(d == proto ? NULL : d, c);
    return ok;
}
