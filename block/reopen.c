/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reopen.c - new options for nodes that are in use.
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. All nodes are drained while any of them changes.
 * 2. All nodes of the list take their new options, or none does.
 * 3. A node that was opened within another's options follows that one's access
 *    and caching, unless its own options say otherwise.
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
    bool direct = false, no_flush = false, auto_ro = false, force = false;
    bool ok = take_bool(cache, "direct", false, &direct, errp) &&
              take_bool(cache, "no-flush", false, &no_flush, errp) &&
              take_bool(opts, "read-only", false, &c->read_only, errp) &&
              take_bool(opts, "auto-read-only", false, &auto_ro, errp) &&
              take_bool(opts, "force-share", n->force_share, &force, errp) &&
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
    if (ok && force != n->force_share) {
        ok = error_set(errp, "Cannot change the option 'force-share'");
    }
    if (ok && c->detect_zeroes == ZEROES_UNMAP && !c->discard) {
        ok = error_set(errp, "setting detect-zeroes to unmap is not allowed "
                       "without setting discard operation to unmap");
    }
    return ok;
}

/* ---- children ------------------------------------------------------------ */

static BlkChild *child_of(BlkNode *n, const char *name)
{
    BlkChild *c = n->children;

    while (c && strcmp(c->name, name)) {
        c = c->next;
    }
    return c;
}

static bool uses(const BlkNode *n, const BlkNode *what)
{
    if (n == what) {
        return true;
    }
    for (const BlkChild *c = n->children; c; c = c->next) {
        if (uses(c->node, what)) {
            return true;
        }
    }
    return false;
}

/* The child is `to` from now on; NULL: there is none. */
static MACHINE_CALL bool child_swap(BlkNode *n, const BlkChildRow *row,
                                    BlkNode *to, Error **errp)
{
    BlkChild *c = child_of(n, row->name);
    BlkNode *old = c ? c->node : NULL;
    bool ok = true;

    if (old == to) {
        return true;
    }
    if (to && uses(to, n)) {
        return error_set(errp, "Making '%s' a %s child of '%s' would create a "
                         "cycle", to->name, row->name, n->name);
    }
    if (old) {
        blk_node_ref(old);
        blk_child_detach(n, row->name);
    }
    if (to) {
        blk_node_ref(to);
        ok = blk_child_attach(n, to, row->name, row->role, errp);
    }
    if (!ok && old) {
        blk_node_ref(old);
        blk_child_attach(n, old, row->name, row->role, NULL);
    }
    blk_node_unref(old);
    if (n->drv->filter && n->file && !n->drv->truncate) {
        n->length = n->file->length;
    }
    return ok;
}

/* ---- one node ------------------------------------------------------------ */

#define ROWS_MAX 4

typedef struct Item {
    BlkNode *node;
    const Json *given;
    Json *opts;                        /* what is left of given: the driver's */
    Common old, new;
    BlkNode *child[ROWS_MAX], *had[ROWS_MAX];      /* by row; had: referenced */
    bool swap[ROWS_MAX];
    bool begun;
} Item;

static MACHINE_CALL bool ro_set_alone(BlkNode *n, unsigned flags, Error **errp);

/* A node that was opened within n's options and says nothing of its own. */
static bool inherits(const BlkChild *c, const char *key)
{
    const BlkNode *n = c->node;

    return c->role != ROLE_BACKING && !n->owned && n->parents == &c->parent &&
           !c->parent.next && !json_get(n->opts, key);
}

/* Access and caching of what n's options hold follow n's. */
static MACHINE_CALL bool children_follow(BlkNode *n, Error **errp)
{
    const unsigned cache = BLKO_DIRECT | BLKO_NO_FLUSH;

    for (BlkChild *c = n->children; c; c = c->next) {
        unsigned flags = c->node->flags;

        if (inherits(c, "read-only")) {
            flags = (flags & ~BLKO_RDWR) | (n->flags & BLKO_RDWR);
        }
        if (inherits(c, "cache")) {
            flags = (flags & ~cache) | (n->flags & cache);
        }
        if (!ro_set_alone(c->node, flags, errp)) {
            return false;
        }
    }
    return true;
}

/* Options of the driver that are as before need nobody's consent. */
static MACHINE_CALL bool same_take(BlkNode *n, Json *opts, Error **errp)
{
    for (size_t i = 0; i < json_count(opts);) {
        const char *key = json_key_at(opts, i);
        const Prop *p = n->drv->props ? prop_find(n->drv->props, key) : NULL;
        Json *now = p ? prop_get((Obj *)n, p, NULL) : NULL;
        bool same = now && json_equal(now, json_value_at(opts, i));

        json_free(now);
        if (!p) {
            return error_set(errp, "Parameter '%s' is unexpected", key);
        }
        if (!same) {
            return error_set(errp, "Cannot change the option '%s'", key);
        }
        json_free(json_take(opts, key));
    }
    return true;
}

static void dead_submit(BlkNode *n, BlkReq *req)
{
    blk_complete(req, -EIO);
}

static int dead_sync(BlkNode *n, BlkReq *req)
{
    return -EIO;
}

/* What a node is whose driver could not be started with either options. */
static const BlkDriver dead_driver = {
    .name = "dead", .size = sizeof(BlkNode), .submit = dead_submit,
    .sync = dead_sync,
};

/* `it` may be NULL: nothing is exchanged. */
static MACHINE_CALL bool item_swap(Item *it, BlkNode *const *to, Error **errp)
{
    const BlkChildRow *rows = it ? it->node->drv->children : NULL;

    for (unsigned k = 0; rows && rows[k].name; k++) {
        if (it->swap[k] && !child_swap(it->node, &rows[k], to[k], errp)) {
            return false;
        }
    }
    return true;
}

/* The node with the options `opts` (NULL: those that it has) and flags. */
static MACHINE_CALL bool node_restart(BlkNode *n, const Json *opts, Item *it,
                                      const Common *c, Error **errp)
{
    Common old = common_of(n);

    blk_node_unstate(n);
    common_set(n, c);
    if (item_swap(it, it ? it->child : NULL, errp) &&
        children_follow(n, errp) && blk_perms_refresh(n, errp) &&
        blk_node_restate(n, opts ? opts : n->opts, !opts && n->opts_text,
                         errp)) {
        return true;
    }
    common_set(n, &old);
    item_swap(it, it ? it->had : NULL, NULL);
    children_follow(n, NULL);
    blk_perms_refresh(n, NULL);
    if (!blk_node_restate(n, n->opts, n->opts_text, NULL)) {
        n->drv = &dead_driver;
        error_hint(errp, "Node '%s' can no longer be used.", n->name);
    }
    return false;
}

static MACHINE_CALL bool node_change(BlkNode *n, const Json *opts, Item *it,
                                     const Common *c, Error **errp)
{
    Common old = common_of(n);
    bool ro = c->read_only != old.read_only;

    if (n->drv->reopens || (ro && !n->drv->protocol && !n->drv->filter)) {
        return node_restart(n, opts, it, c, errp);
    }
    if (c->read_only) {
        n->flags &= ~BLKO_RDWR;        /* nothing is written from here on     */
    }
    common_set(n, c);
    if (item_swap(it, it ? it->child : NULL, errp) &&
        (!n->drv->reopen || n->drv->reopen(n, (Json *)(uintptr_t)opts,
                                           c->flags, errp)) &&
        children_follow(n, errp) && blk_perms_refresh(n, errp)) {
        return true;
    }
    common_set(n, &old);
    item_swap(it, it ? it->had : NULL, NULL);
    if (n->drv->reopen) {
        n->drv->reopen(n, NULL, old.flags, NULL);
    }
    children_follow(n, NULL);
    blk_perms_refresh(n, NULL);
    return false;
}

/* With other flags alone. */
static MACHINE_CALL bool ro_set_alone(BlkNode *n, unsigned flags, Error **errp)
{
    Common c = common_of(n);

    if (flags == n->flags) {
        return true;
    }
    c.flags = flags;
    c.read_only = !(flags & BLKO_RDWR);
    return node_change(n, NULL, NULL, &c, errp);
}

bool blk_node_set_ro(BlkNode *n, bool read_only, Error **errp)
{
    BlkDrain *d = blk_node_drain_begin(n);
    bool ok = ro_set_alone(n, (n->flags & ~BLKO_RDWR) |
                              (read_only ? 0 : BLKO_RDWR), errp);

    blk_node_drain_end(d);
    return ok;
}

/* ---- what is asked for --------------------------------------------------- */

static MACHINE_CALL bool child_wish(Item *it, unsigned k, Error **errp)
{
    BlkNode *n = it->node;
    const BlkChildRow *row = &n->drv->children[k];
    BlkChild *c = child_of(n, row->name);
    Json *v = json_take(it->opts, row->name);
    bool ok = true;

    it->child[k] = c ? c->node : NULL;
    if (v && json_kind(v) == JSON_STR) {
        it->child[k] = blk_node_find(json_str_of(v));
        ok = it->child[k] ||
             error_set(errp, "Cannot find device='' nor node-name='%s'",
                       json_str_of(v));
    } else if (v && json_kind(v) == JSON_NULL) {
        it->child[k] = NULL;
    } else if (v) {
        ok = error_set(errp, "Reopening '%s' takes nodes by name for '%s'",
                       n->name, row->name);
    } else if (!row->by_driver) {
        ok = error_set(errp, "Parameter '%s' is missing", row->name);
    }
    it->swap[k] = !c ? it->child[k] != NULL : c->node != it->child[k];
    if (ok && it->swap[k] && row->role == ROLE_BACKING && n->read_only) {
        ok = error_set(errp, "Block node is read-only");
    }
    json_free(v);
    return ok;
}

static MACHINE_CALL bool item_read(Item *it, Error **errp)
{
    BlkNode *n = it->node;
    const char *drv = json_get_str(it->given, "driver");

    it->opts = json_copy(it->given);
    it->old = common_of(n);
    if (n->drv->backing && !json_get(it->opts, "backing") &&
        (n->backing || (n->backing_name && n->backing_name[0]))) {
        return error_set(errp, "backing is missing for '%s'", n->name);
    }
    if (!drv || strcmp(drv, n->drv->name)) {
        return error_set(errp, "Cannot change the option 'driver'");
    }
    json_free(json_take(it->opts, "driver"));
    json_free(json_take(it->opts, "node-name"));
    if (!common_take(n, it->opts, &it->new, errp)) {
        return false;
    }
    for (unsigned k = 0; n->drv->children && n->drv->children[k].name; k++) {
        if (!child_wish(it, k, errp)) {
            return false;
        }
    }
    if (it->new.read_only && n->perm & (BLKP_WRITE | BLKP_RESIZE) &&
        blk_written_by_device(n)) {
        return error_set(errp, "Read-only block node '%s' cannot support "
                         "read-write users", n->name);
    }
    return n->drv->reopens || n->drv->reopen || same_take(n, it->opts, errp);
}

static MACHINE_CALL bool item_apply(Item *it, Error **errp)
{
    BlkNode *n = it->node;

    for (unsigned k = 0; n->drv->children && n->drv->children[k].name; k++) {
        BlkChild *c = child_of(n, n->drv->children[k].name);

        it->had[k] = c ? c->node : NULL;
        if (it->had[k]) {
            blk_node_ref(it->had[k]);
        }
    }
    it->begun = node_change(n, it->opts, it, &it->new, errp);
    return it->begun;
}

static MACHINE_CALL void item_undo(Item *it)
{
    if (it->begun) {
        memcpy(it->child, it->had, sizeof(it->had));
        node_change(it->node, NULL, it, &it->old, NULL);
    }
}

static MACHINE_CALL void item_end(Item *it, bool ok)
{
    if (ok) {
        json_free(it->node->opts);
        it->node->opts = json_copy(it->given);
        it->node->opts_text = false;
        blk_filename_refresh(it->node);
    }
    for (unsigned k = 0; k < ROWS_MAX; k++) {
        blk_node_unref(it->had[k]);
    }
    json_free(it->opts);
}

/* ---- entry --------------------------------------------------------------- */

static MACHINE_CALL bool items_run(Item *v, size_t n, Error **errp)
{
    size_t i;

    for (i = 0; i < n; i++) {
        if (!item_read(&v[i], errp)) {
            return false;
        }
    }
    for (i = 0; i < n && item_apply(&v[i], errp); i++) {
    }
    for (size_t k = i; i < n && k-- > 0;) {
        item_undo(&v[k]);
    }
    return i == n;
}

bool blk_reopen(const Json *list, Error **errp)
{
    size_t n = json_count(list);
    g_autofree Item *v = g_new0(Item, n);
    bool ok;

    for (size_t i = 0; i < n; i++) {
        const char *name = json_get_str(json_at(list, i), "node-name");

        if (!name) {
            return error_set(errp, "node-name not specified");
        }
        v[i].given = json_at(list, i);
        v[i].node = blk_node_find(name);
        if (!v[i].node) {
            return error_set(errp, "Failed to find node with node-name='%s'",
                             name);
        }
    }
    for (BlkBackend *b = blk_next(NULL); b; b = blk_next(b)) {
        blk_drain_begin(b);
    }
    ok = items_run(v, n, errp);
    for (size_t i = 0; i < n; i++) {
        item_end(&v[i], ok);
    }
    for (BlkBackend *b = blk_next(NULL); b; b = blk_next(b)) {
        blk_drain_end(b);
    }
    return ok;
}
