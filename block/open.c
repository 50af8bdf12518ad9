/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * open.c - from options to nodes: -blockdev objects, and new options for a node
 * that is in use.
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. An option that no node took is an error that names it.
 * 2. A node whose opening failed leaves nothing behind.
 */
#include <glib.h>
#include "block/reopen.h"
#include "opt.h"

#define DEPTH_MAX 256

static const PropEnum discard_enum = {
    .type = "BlockdevDiscardOptions",
    .names = (const char *const[]){ "ignore", "unmap", NULL },
};
static const PropEnum zeroes_enum = {
    .type = "BlockdevDetectZeroesOptions",
    .names = (const char *const[]){ "off", "on", "unmap", NULL },
};

const Prop blk_node_props[] = {
    PROP_STR("node-name", BlkNode, name, .desc = "name of the node"),
    PROP_ENUM("discard", BlkNode, discard, &discard_enum, 0,
              .desc = "whether discards reach the file"),
    PROP_BOOL("read-only", BlkNode, read_only, false,
              .desc = "refuse writes"),
    PROP_BOOL("auto-read-only", BlkNode, auto_read_only, false,
              .desc = "read-only where the file cannot be written"),
    PROP_BOOL("force-share", BlkNode, force_share, false,
              .desc = "read although others write"),
    PROP_ENUM("detect-zeroes", BlkNode, detect_zeroes, &zeroes_enum, 0,
              .desc = "turn writes of zeroes into holes"),
    PROP_END
};

static unsigned depth;

/* ---- options to node ----------------------------------------------------- */

static bool take_bool(Json *obj, const char *key, bool text, bool *out,
                      bool *given, Error **errp)
{
    Json *v = obj ? json_take(obj, key) : NULL;
    bool ok = true;

    *given = v != NULL;
    if (!v) {
        return true;
    }
    if (json_kind(v) == JSON_BOOL) {
        *out = json_bool_of(v);
    } else if (text && json_kind(v) == JSON_STR) {
        ok = opt_bool(key, json_str_of(v), out, errp);
    } else {
        ok = error_set(errp, "Invalid parameter type for '%s', expected: "
                       "boolean", key);
    }
    json_free(v);
    return ok;
}

/* cache.direct, cache.no-flush: an object, or two keys with a dot. */
static bool take_cache(Json *opts, bool text, unsigned *flags, Error **errp)
{
    static const struct {
        const char *name, *dotted;
        unsigned flag;
    } rows[] = {
        { "direct", "cache.direct", BLKO_DIRECT },
        { "no-flush", "cache.no-flush", BLKO_NO_FLUSH },
    };
    Json *cache = json_take(opts, "cache");
    bool ok = true;

    if (cache && json_kind(cache) != JSON_OBJ) {
        json_free(cache);
        return error_set(errp, "Invalid parameter type for 'cache', expected: "
                         "object");
    }
    for (size_t i = 0; ok && i < ARRAY_SIZE(rows); i++) {
        bool on = false, given;

        ok = take_bool(cache, rows[i].name, text, &on, &given, errp);
        if (ok && !given) {
            ok = take_bool(opts, rows[i].dotted, text, &on, &given, errp);
        }
        if (ok && given) {
            *flags = on ? *flags | rows[i].flag : *flags & ~rows[i].flag;
        }
    }
    if (ok && cache && json_count(cache)) {
        ok = error_set(errp, "Parameter 'cache.%s' is unexpected",
                       json_key_at(cache, 0));
    }
    json_free(cache);
    return ok;
}

/* What stands under "a.b", or under "b" in the object "a". */
static Json *take_nested(Json *opts, const char *name)
{
    const char *dot = strchr(name, '.');
    g_autofree char *head = dot ? g_strndup(name, (gsize)(dot - name)) : NULL;
    Json *v = json_get(opts, name), *in;

    if (v) {
        return json_take(opts, name);
    }
    in = head ? json_get(opts, head) : NULL;
    if (!in || json_kind(in) != JSON_OBJ) {
        return NULL;
    }
    v = take_nested(in, dot + 1);
    if (!json_count(in)) {
        json_free(json_take(opts, head));
    }
    return v;
}

/* "name.0.key", "name.1" … as a list; NULL: none. */
static Json *take_list(Json *opts, const char *name)
{
    g_autofree char *prefix = g_strconcat(name, ".", NULL);
    Json *list = json_list();

    for (size_t k = 0;; k++) {
        g_autofree char *at = g_strdup_printf("%s%zu", prefix, k);
        Json *item = json_take(opts, at);

        for (size_t i = 0; i < json_count(opts);) {
            g_autofree char *key = g_strdup(json_key_at(opts, i));

            if (strncmp(key, at, strlen(at)) || key[strlen(at)] != '.') {
                i++;
                continue;
            }
            item = item ? item : json_obj();
            json_set(item, key + strlen(at) + 1, json_take(opts, key));
        }
        if (!item) {
            break;
        }
        json_add(list, item);
    }
    if (!json_count(list)) {
        json_free(list);
        return NULL;
    }
    return list;
}

/* An object that holds the options of rows with a dot is theirs. */
static bool is_nest(const Prop *p, const Json *opts)
{
    const Json *v = json_get(opts, p->name);
    const char *name = p->name;
    size_t n = strlen(name);

    if (!v || json_kind(v) != JSON_OBJ) {
        return false;
    }
    for (p++; p->name; p++) {
        if (!strncmp(p->name, name, n) && p->name[n] == '.') {
            return true;
        }
    }
    return false;
}

static MACHINE_CALL bool take_props(BlkNode *n, const Prop *table, Json *opts,
                                    bool text, Error **errp)
{
    for (const Prop *p = table; p && p->name; p++) {
        Json *v = is_nest(p, opts) ? NULL : take_nested(opts, p->name);
        bool ok;

        if (!v && p->kind == PK_CALL && p->type && !strcmp(p->type, "list")) {
            v = take_list(opts, p->name);
        }
        ok = !v || prop_set((Obj *)n, p, v, text, n->drv->name, errp);

        json_free(v);
        if (!ok) {
            return false;
        }
        if (!v && p->flags & PF_REQUIRED) {
            return error_set(errp, "Parameter '%s' is missing", p->name);
        }
    }
    return true;
}

/* Takes what is said of a child: under `key`, or by dotted keys; NULL: nothing. */
static Json *child_take(const char *key, Json *opts)
{
    g_autofree char *prefix = g_strdup_printf("%s.", key);
    Json *v = json_take(opts, key), *obj;

    if (v && json_kind(v) != JSON_OBJ) {
        return v;
    }
    obj = v ? v : json_obj();
    for (size_t i = 0; i < json_count(opts);) {
        const char *k = json_key_at(opts, i);

        if (!strncmp(k, prefix, strlen(prefix))) {
            g_autofree char *full = g_strdup(k);

            json_set(obj, full + strlen(prefix), json_take(opts, full));
        } else {
            i++;
        }
    }
    if (!json_count(obj)) {
        json_free(obj);
        obj = NULL;
    }
    return obj;
}

/* The driver, which nobody named, from the name of the file. */
static MACHINE_CALL bool protocol_name(Json *opts, Error **errp)
{
    g_autofree char *name = g_strdup(json_get_str(opts, "filename"));
    const char *rest = name;
    g_autofree char *driver = NULL;

    driver = name ? blk_filename_driver(name, &rest, errp) : NULL;
    if (!driver && name) {
        return false;
    }
    if (driver) {
        json_set_str(opts, "filename", rest);
        json_set_str(opts, "driver", driver);
    }
    return driver || error_set(errp, "Must specify either driver or file");
}

/* An image of a format that nobody named. Takes over v. */
static MACHINE_CALL BlkNode *by_content(Json *v, unsigned inherit, Error **errp)
{
    Json *name = json_take(v, "filename");
    BlkNode *n = blk_open(json_str_of(name), v, inherit, errp);

    json_free(name);
    json_free(v);
    return n;
}

/* The child `key` from what child_take gave (taken over): a reference by name or
 * an object of options. */
static MACHINE_CALL BlkNode *open_child(const BlkNode *user,
                                        const BlkChildRow *row, Json *v,
                                        bool text, unsigned inherit,
                                        Error **errp)
{
    bool image = row->role == ROLE_BACKING ||
                 (row->role != ROLE_STORAGE && strcmp(user->drv->name, "raw"));
    const char *key = row->name;
    BlkNode *n;

    if (v && json_kind(v) == JSON_STR) {
        const char *name = json_str_of(v);

        n = blk_node_find(name);
        if (n) {
            blk_node_ref(n);
        } else {
            error_set(errp, "Cannot find device='%s' nor node-name='%s'", name,
                      name);
        }
        json_free(v);
        return n;
    }
    if (!v || json_kind(v) != JSON_OBJ) {
        json_free(v);
        error_set(errp, inherit & BLKO_DRIVE_TEXT
                  ? "A block device must be specified for \"%s\""
                  : "Parameter '%s' is missing", key);
        return NULL;
    }
    if (image && !json_get(v, "driver") && json_get_str(v, "filename")) {
        return by_content(v, inherit, errp);
    }
    if ((inherit & BLKO_DRIVE_TEXT || json_get_str(v, "filename")) &&
        !json_get(v, "driver") && !protocol_name(v, errp)) {
        json_free(v);
        return NULL;
    }
    return blk_node_open(v, text, inherit, errp);
}

/* What was said of children that the driver did not open. */
static bool child_opts_used(const BlkNode *n, Error **errp)
{
    const Json *v;

    if (!n->child_opts || !json_count(n->child_opts)) {
        return true;
    }
    v = json_value_at(n->child_opts, 0);
    if (n->flags & BLKO_NO_BACKING && json_kind(v) == JSON_NULL) {
        return true;
    }
    if (n->child_text && json_kind(v) == JSON_OBJ) {
        return error_set(errp, "Block format '%s' does not support the option "
                         "'%s.%s'", n->drv->name,
                         json_key_at(n->child_opts, 0), json_key_at(v, 0));
    }
    return error_set(errp, "Parameter '%s' is unexpected",
                     json_key_at(n->child_opts, 0));
}

bool blk_child_open(BlkNode *n, const char *name, const char *filename,
                    const char *format, BlkNode **out, Error **errp)
{
    Json *v = n->child_opts ? json_take(n->child_opts, name) : NULL;
    unsigned flags = n->flags;
    const BlkChildRow *row = n->drv->children;
    g_autofree char *path = NULL;
    Json *opts;

    *out = NULL;
    while (row->name && strcmp(row->name, name)) {
        row++;
    }
    if (row->role == ROLE_BACKING) {
        flags &= ~(BLKO_RDWR | BLKO_AUTO_RDONLY | BLKO_COPY_ON_READ);
    }
    if (v && json_kind(v) == JSON_NULL) {
        json_free(v);
        return true;
    }
    if (v && json_kind(v) == JSON_STR && !*json_str_of(v)) {
        json_free(v);
        return true;
    }
    if (v && flags & BLKO_DRIVE_TEXT && json_kind(v) == JSON_OBJ &&
        !json_get(v, "driver") &&
        (json_get(v, "filename") || json_get(v, "file.filename"))) {
        /* Another file than the image says, of a format to be found. */
        g_autofree char *other = g_strdup(json_get_str(v, "filename"));

        json_free(json_take(v, "filename"));
        *out = blk_open(other, v, flags, errp);
        json_free(v);
        return *out != NULL;
    }
    if (v && (json_kind(v) == JSON_STR || json_get(v, "driver") ||
              json_get(v, "filename"))) {
        *out = open_child(n, row, v, n->child_text, flags, errp);
        return *out != NULL;
    }
    if (!filename) {
        json_free(v);
        return true;
    }
    opts = v ? v : json_obj();
    if (format) {
        json_set_str(opts, "driver", format);
    }
    path = blk_path_combine(n->file ? n->file->filename : "", filename);
    *out = blk_open(path, opts, flags, errp);
    json_free(opts);
    return *out != NULL;
}

char *blk_path_combine(const char *base, const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz"
                      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");
    const char *slash = strrchr(base, '/');

    if (*name == '/' || (n && name[n] == ':') || !slash ||
        g_str_has_prefix(base, "json:")) {
        return g_strdup(name);
    }
    return g_strdup_printf("%.*s/%s", (int)(slash - base), base, name);
}

static bool name_ok(const BlkNode *n, Error **errp)
{
    machine_assert_locked();
    if (!n->name) {
        return true;
    }
    if (!opt_id_ok(n->name) || strlen(n->name) > 31) {
        return error_set(errp, strlen(n->name) > 31
                         ? "Node name too long" : "Invalid node-name: '%s'",
                         n->name);
    }
    if (blk_find(n->name)) {
        return error_set(errp, "node-name=%s is conflicting with a device id",
                         n->name);
    }
    if (blk_node_find(n->name)) {
        return error_set(errp, "Duplicate nodes with node-name='%s'", n->name);
    }
    return true;
}

static bool unknown_option(const BlkDriver *d, const char *key, unsigned flags,
                           Error **errp)
{
    if (!(flags & BLKO_DRIVE_TEXT)) {
        return error_set(errp, "Parameter '%s' is unexpected", key);
    }
    return error_set(errp, d->protocol
                     ? "Block protocol '%s' doesn't support the option '%s'"
                     : "Block format '%s' does not support the option '%s'",
                     d->name, key);
}

static MACHINE_CALL BlkNode *node_build(const BlkDriver *d, Json *opts,
                                        bool text, unsigned inherit,
                                        Error **errp)
{
    BlkNode *n = g_malloc0(d->size), *file = NULL;
    unsigned flags = inherit;
    bool ok;

    n->drv = d;
    n->seq = d->protocol && d->children ? blk_node_seq() : 0;
    n->opts = json_copy(opts);
    n->opts_text = text;
    prop_defaults((Obj *)n, blk_node_props, 0);
    if (d->props) {
        prop_defaults((Obj *)n, d->props, 0);
    }
    n->read_only = !(inherit & BLKO_RDWR);
    n->auto_read_only = inherit & BLKO_AUTO_RDONLY;
    n->force_share = inherit & BLKO_FORCE_SHARE;
    n->discard = !!(inherit & BLKO_UNMAP);
    ok = take_props(n, blk_node_props, opts, text, errp) &&
         take_cache(opts, text, &flags, errp) && name_ok(n, errp);
    flags &= ~(BLKO_RDWR | BLKO_AUTO_RDONLY | BLKO_FORCE_SHARE | BLKO_UNMAP);
    flags |= (n->read_only ? 0 : BLKO_RDWR) |
             (n->auto_read_only ? BLKO_AUTO_RDONLY : 0) |
             (n->force_share ? BLKO_FORCE_SHARE : 0) |
             (n->discard ? BLKO_UNMAP : 0);
    n->flags = flags;
    if (ok && n->force_share && !n->read_only) {
        ok = error_set(errp, "force-share=on can only be used with read-only "
                       "images");
    }
    if (ok && n->detect_zeroes == ZEROES_UNMAP && !n->discard) {
        ok = error_set(errp, "setting detect-zeroes to unmap is not allowed "
                       "without setting discard operation to unmap");
    }
    ok = ok && take_props(n, d->props, opts, text, errp);
    if (ok && d->children) {
        for (const BlkChildRow *c = d->children; c->name; c++) {
            Json *v = c->by_driver ? child_take(c->name, opts) : NULL;

            if (v) {
                n->child_text = text;
                n->child_opts = n->child_opts ? n->child_opts : json_obj();
                json_set(n->child_opts, c->name, v);
            }
        }
        /* What the format does not use reaches the file as it was asked. */
        file = open_child(n, &d->children[0],
                          child_take(d->children[0].name, opts), text,
                          (flags & ~BLKO_COPY_ON_READ) | BLKO_UNMAP, errp);
        ok = file != NULL;
    }
    if (ok && json_count(opts)) {
        ok = unknown_option(d, json_key_at(opts, 0), inherit, errp);
    }
    if (ok && file && !n->read_only && file->read_only && n->auto_read_only) {
        n->read_only = true;
    }
    if (ok) {
        n = blk_node_start(n, file, errp);
        if (n && !child_opts_used(n, errp)) {
            blk_node_unref(n);
            n = NULL;
        }
        return n;
    }
    blk_node_unref(file);
    if (d->props) {
        prop_release((Obj *)n, d->props);
    }
    g_free(n->name);
    json_free(n->child_opts);
    json_free(n->opts);
    g_free(n);
    return NULL;
}

/* ---- anew ---------------------------------------------------------------- */

/* The driver's part of the struct with the defaults and opts. */
static MACHINE_CALL bool state_set(BlkNode *n, const Json *opts, bool text,
                                   Error **errp)
{
    Json *v = json_copy(opts);
    bool ok;

    memset((char *)n + sizeof(*n), 0, n->drv->size - sizeof(*n));
    if (!n->drv->props) {
        json_free(v);
        return true;
    }
    prop_defaults((Obj *)n, n->drv->props, 0);
    ok = take_props(n, n->drv->props, v, text, errp);
    json_free(v);
    return ok;
}

/* What the driver opens itself stays: it is told to take those by name. */
static MACHINE_CALL void children_keep(BlkNode *n, GPtrArray *held)
{
    json_free(n->child_opts);
    n->child_opts = json_obj();
    n->child_text = false;
    for (const BlkChildRow *r = n->drv->children; r && r->name; r++) {
        BlkChild *c = n->children;

        if (!r->by_driver) {
            continue;
        }
        while (c && strcmp(c->name, r->name)) {
            c = c->next;
        }
        if (c) {
            blk_node_ref(c->node);
            g_ptr_array_add(held, c->node);
            json_set_str(n->child_opts, r->name, c->node->name);
            blk_child_detach(n, r->name);
        } else if (r->role == ROLE_BACKING) {
            json_set(n->child_opts, r->name, json_null());
        }
    }
}

bool blk_node_restate(BlkNode *n, const Json *opts, bool text, Error **errp)
{
    g_autoptr(GPtrArray) held = g_ptr_array_new();
    bool ok;

    children_keep(n, held);
    g_clear_pointer(&n->backing_name, g_free);
    g_clear_pointer(&n->backing_format, g_free);
    blk_limits_default(&n->limits);
    ok = state_set(n, opts, text, errp) && n->drv->open(n, errp);
    for (guint i = 0; i < held->len; i++) {
        blk_node_unref(held->pdata[i]);
    }
    return ok;
}

void blk_node_unstate(BlkNode *n)
{
    if (n->drv->close) {
        n->drv->close(n);
    }
    if (n->drv->props) {
        prop_release((Obj *)n, n->drv->props);
    }
}

/* ---- entry --------------------------------------------------------------- */

BlkNode *blk_node_open(Json *opts, bool text, unsigned inherit, Error **errp)
{
    Json *v = json_take(opts, "driver");
    const BlkDriver *d = NULL;
    BlkNode *n = NULL;

    if (depth >= DEPTH_MAX) {
        error_set(errp, "Nodes are nested more than %d deep", DEPTH_MAX);
    } else if (!v) {
        error_set(errp, "Parameter 'driver' is missing");
    } else if (json_kind(v) != JSON_STR) {
        error_set(errp, "Invalid parameter type for 'driver', expected: "
                  "string");
    } else if (!(d = blk_driver_find(json_str_of(v)))) {
        error_set(errp, "Parameter 'driver' does not accept value '%s'",
                  json_str_of(v));
        blk_driver_suggest(json_str_of(v), errp);
    } else {
        depth++;
        n = node_build(d, opts, text, inherit, errp);
        depth--;
    }
    json_free(v);
    json_free(opts);
    return n;
}

BlkNode *blk_open_json(const Json *opts, bool text, Error **errp)
{
    return blk_node_open(json_copy(opts), text, BLKO_RDWR, errp);
}

bool blk_blockdev_add(const Json *opts, bool text, Error **errp)
{
    BlkNode *n;

    if (!json_get(opts, "node-name")) {
        if (!json_get(opts, "driver")) {
            return error_set(errp, "Parameter 'driver' is missing");
        }
        return error_set(errp, "'node-name' must be specified for the root "
                         "node");
    }
    n = blk_open_json(opts, text, errp);
    if (n) {
        n->owned = true;
    }
    return n != NULL;
}
