/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reopen.c - new options for nodes that are in use.
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. All nodes are drained while any of them changes.
 * 2. A node that refuses stays as it was, and those after it do; those before it
 *    in the list keep their new options.
 */
#include <glib.h>
#include "block/backend.h"
#include "block/reopen.h"

/* Options of every node: taken out of opts into n. */
typedef struct Common {
    int discard, detect_zeroes;
    bool read_only;
    unsigned flags;
} Common;

static Common common_of(const BlkNode *n)
{
    return (Common){ n->discard, n->detect_zeroes, n->read_only, n->flags };
}

static void common_set(BlkNode *n, const Common *c)
{
    n->discard = c->discard;
    n->detect_zeroes = c->detect_zeroes;
    n->read_only = c->read_only;
    n->flags = c->flags;
}

static bool take_bool(Json *obj, const char *key, bool def, bool *out,
                      Error **errp)
{
    Json *v = obj ? json_take(obj, key) : NULL;
    bool ok = !v || json_kind(v) == JSON_BOOL;

    *out = v && ok ? json_bool_of(v) : def;
    json_free(v);
    return ok || error_set(errp, "Invalid parameter type for '%s', expected: "
                           "boolean", key);
}

static bool take_choice(Json *obj, const char *key, const char *const *names,
                        int *out, Error **errp)
{
    Json *v = json_take(obj, key);
    const char *s = v && json_kind(v) == JSON_STR ? json_str_of(v) : NULL;
    bool ok = !v;

    *out = 0;
    for (int i = 0; s && names[i]; i++) {
        if (!strcmp(names[i], s)) {
            *out = i;
            ok = true;
        }
    }
    if (!ok) {
        error_set(errp, "Parameter '%s' does not accept value '%s'", key,
                  s ? s : "");
    }
    json_free(v);
    return ok;
}

static bool common_take(BlkNode *n, Json *opts, Common *c, Error **errp)
{
    static const char *const discards[] = { "ignore", "unmap", NULL };
    static const char *const zeroes[] = { "off", "on", "unmap", NULL };
    Json *cache = json_take(opts, "cache");
    bool direct, no_flush, auto_ro, force;
    bool ok = take_bool(cache, "direct", false, &direct, errp) &&
              take_bool(cache, "no-flush", false, &no_flush, errp) &&
              take_bool(opts, "read-only", false, &c->read_only, errp) &&
              take_bool(opts, "auto-read-only", false, &auto_ro, errp) &&
              take_bool(opts, "force-share", false, &force, errp) &&
              take_choice(opts, "discard", discards, &c->discard, errp) &&
              take_choice(opts, "detect-zeroes", zeroes, &c->detect_zeroes,
                          errp);

    json_free(cache);
    c->flags = n->flags & ~(BLKO_DIRECT | BLKO_NO_FLUSH | BLKO_RDWR |
                            BLKO_UNMAP | BLKO_AUTO_RDONLY);
    c->flags |= (direct ? BLKO_DIRECT : 0) | (no_flush ? BLKO_NO_FLUSH : 0) |
                (c->read_only ? 0 : BLKO_RDWR) |
                (c->discard ? BLKO_UNMAP : 0) |
                (auto_ro ? BLKO_AUTO_RDONLY : 0);
    if (ok && c->detect_zeroes == ZEROES_UNMAP && !c->discard) {
        ok = error_set(errp, "setting detect-zeroes to unmap is not allowed "
                       "without setting discard operation to unmap");
    }
    return ok;
}

/* ---- children ------------------------------------------------------------ */

/* A child by the name it has must stay; backing may be exchanged. */
static MACHINE_CALL bool children_take(BlkNode *n, Json *opts, Error **errp)
{
    const BlkChildRow *row = n->drv->children;

    for (; row && row->name; row++) {
        Json *v = json_take(opts, row->name);
        const char *want = v && json_kind(v) == JSON_STR ? json_str_of(v) : NULL;
        const BlkChild *c = n->children;
        bool ok = true;

        while (c && strcmp(c->name, row->name)) {
            c = c->next;
        }
        if (want && (!c || strcmp(c->node->name, want))) {
            ok = row->role == ROLE_BACKING || row->role == ROLE_FILTERED ||
                 !strcmp(row->name, "file")
                ? blk_child_swap(n, row, want, errp)
                : error_set(errp, "Cannot change the child '%s' of '%s'",
                            row->name, n->name);
        } else if (v && json_kind(v) == JSON_NULL) {
            blk_child_detach(n, row->name);
        } else if (!v && row->role != ROLE_BACKING && c && !row->by_driver) {
            ok = error_set(errp, "Parameter '%s' is missing", row->name);
        }
        json_free(v);
        if (!ok) {
            return false;
        }
    }
    return true;
}

bool blk_child_swap(BlkNode *n, const BlkChildRow *row, const char *name,
                    Error **errp)
{
    BlkNode *to = blk_node_find(name), *old = NULL;

    if (!to) {
        return error_set(errp, "Cannot find device='' nor node-name='%s'",
                         name);
    }
    for (BlkChild *c = n->children; c; c = c->next) {
        if (!strcmp(c->name, row->name)) {
            old = c->node;
        }
    }
    if (old) {
        blk_node_ref(old);
        blk_child_detach(n, row->name);
    }
    blk_node_ref(to);
    if (!blk_child_attach(n, to, row->name, row->role, errp)) {
        if (old) {
            blk_child_attach(n, old, row->name, row->role, NULL);
        }
        return false;
    }
    blk_node_unref(old);
    if (n->drv->filter && n->file && !n->drv->truncate) {
        n->length = n->file->length;
    }
    return true;
}

/* ---- one node ------------------------------------------------------------ */

/* Options of the driver that are as before need nobody's consent. */
static MACHINE_CALL bool same_take(BlkNode *n, Json *opts, Error **errp)
{
    for (size_t i = 0; i < json_count(opts);) {
        const char *key = json_key_at(opts, i);
        const Prop *p = n->drv->props ? prop_find(n->drv->props, key) : NULL;
        Json *now = p ? prop_get((Obj *)n, p, NULL) : NULL;
        bool same = now && json_equal(now, json_value_at(opts, i));

        if (!p) {
            json_free(now);
            return error_set(errp, "Parameter '%s' is unexpected", key);
        }
        json_free(now);
        if (!same) {
            return error_set(errp, "Cannot change the option '%s'", key);
        }
        json_free(json_take(opts, key));
    }
    return true;
}

static MACHINE_CALL bool reopen_one(BlkNode *n, const Json *given, Error **errp)
{
    Json *opts = json_copy(given);
    Common old = common_of(n), new;
    const char *drv = json_get_str(opts, "driver");
    bool ok;

    if (!drv || strcmp(drv, n->drv->name)) {
        json_free(opts);
        return error_set(errp, "Cannot change the option 'driver'");
    }
    json_free(json_take(opts, "driver"));
    json_free(json_take(opts, "node-name"));
    ok = common_take(n, opts, &new, errp);
    if (ok && new.read_only && n->perm & (BLKP_WRITE | BLKP_RESIZE) &&
        blk_written_by_device(n)) {
        ok = error_set(errp, "Read-only block node '%s' cannot support "
                       "read-write users", n->name);
    }
    ok = ok && children_take(n, opts, errp);
    if (ok) {
        common_set(n, &new);
        ok = n->drv->reopen ? n->drv->reopen(n, opts, new.flags, errp)
                            : same_take(n, opts, errp);
        if (!ok) {
            common_set(n, &old);
        }
    }
    if (ok && blk_perms_refresh(n, errp)) {
        json_free(n->opts);
        n->opts = json_copy(given);
        blk_filename_refresh(n);
    } else if (ok) {
        common_set(n, &old);
        ok = false;
    }
    json_free(opts);
    return ok;
}

bool blk_reopen(const Json *list, Error **errp)
{
    bool ok = true;

    for (size_t i = 0; i < json_count(list); i++) {
        const char *name = json_get_str(json_at(list, i), "node-name");

        if (!name) {
            return error_set(errp, "node-name not specified");
        }
        if (!blk_node_find(name)) {
            return error_set(errp, "Failed to find node with node-name='%s'",
                             name);
        }
    }
    for (BlkBackend *b = blk_next(NULL); b; b = blk_next(b)) {
        blk_drain_begin(b);
    }
    for (size_t i = 0; ok && i < json_count(list); i++) {
        const Json *o = json_at(list, i);
        BlkNode *n = blk_node_find(json_get_str(o, "node-name"));

        ok = reopen_one(n, o, errp);
    }
    for (BlkBackend *b = blk_next(NULL); b; b = blk_next(b)) {
        blk_drain_end(b);
    }
    return ok;
}
