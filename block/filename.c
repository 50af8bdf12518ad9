/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * filename.c - what a node is called for people: the plain name where opening that
 * again would give the same, else json:{…} with the options that matter.
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. blk_open of a node's name gives a node with the same contents.
 */
#include <glib.h>
#include "block/driver.h"

static bool is_strong(const BlkDriver *d, const char *name)
{
    for (const char *const *s = d->strong; s && *s; s++) {
        size_t n = strlen(*s);

        if (!strcmp(*s, name) || ((*s)[n - 1] == '.' &&
                                  !strncmp(*s, name, n))) {
            return true;
        }
    }
    return false;
}

static bool was_given(const BlkNode *n, const char *name)
{
    return n->opts && json_get(n->opts, name);
}

/* "name.0.key" for each member of each. */
static void list_flatten(const char *name, const Json *list, Json *out)
{
    for (size_t i = 0; i < json_count(list); i++) {
        const Json *o = json_at(list, i);

        for (size_t k = 0; json_kind(o) == JSON_OBJ && k < json_count(o); k++) {
            g_autofree char *key = g_strdup_printf("%s.%zu.%s", name, i,
                                                   json_key_at(o, k));

            json_set(out, key, json_copy(json_value_at(o, k)));
        }
    }
}

/* The options of n itself that change what it shows. */
static MACHINE_CALL bool own_opts(BlkNode *n, Json *out)
{
    bool any = false;

    for (const Prop *p = n->drv->props; p && p->name; p++) {
        Json *v;

        if (!is_strong(n->drv, p->name) || !was_given(n, p->name)) {
            continue;
        }
        v = json_get(n->opts, p->name);
        if (json_kind(v) == JSON_LIST) {
            list_flatten(p->name, v, out);
            any = true;
            continue;
        }
        v = prop_get((Obj *)n, p, NULL);
        if (v) {
            json_set(out, p->name, v);
            any = true;
        }
    }
    return any;
}

/* Is the backing node another than the image says? */
static bool backing_overridden(const BlkNode *n)
{
    g_autofree char *path = NULL;

    if (!n->drv->backing || (!n->backing && !n->backing_name) ||
        (!n->backing && n->flags & BLKO_NO_BACKING)) {
        return false;
    }
    if (!n->backing || !n->backing_name) {
        return true;
    }
    path = blk_path_combine(n->file ? n->file->filename : "", n->backing_name);
    return strcmp(path, n->backing->filename) != 0;
}

Json *blk_node_full_opts(BlkNode *n)
{
    Json *v = json_obj();

    json_set_str(v, "driver", n->drv->name);
    own_opts(n, v);
    if (n->drv->protocol && !n->children) {
        if (n->filename && n->filename[0] && prop_find(n->drv->props,
                                                       "filename")) {
            json_set_str(v, "filename", n->filename);
        }
        return v;
    }
    for (BlkChild *c = n->children; c; c = c->next) {
        if (c->role != ROLE_BACKING || backing_overridden(n)) {
            json_set(v, c->name, blk_node_full_opts(c->node));
        }
    }
    if (!n->backing && backing_overridden(n)) {
        json_set(v, "backing", json_null());
    }
    return v;
}

static MACHINE_CALL char *json_name(BlkNode *n)
{
    Json *v = blk_node_full_opts(n);
    g_autofree char *text = json_text(v, false, NULL);

    json_free(v);
    return g_strconcat("json:", text, NULL);
}

static MACHINE_CALL bool plain(BlkNode *n)
{
    Json *own = json_obj();
    bool any = own_opts(n, own);

    json_free(own);
    /* A filter is never found by looking at the file. */
    return !any && n->file &&
           (!n->drv->filter || !strcmp(n->drv->name, "raw")) &&
           !backing_overridden(n) && !g_str_has_prefix(n->file->filename,
                                                       "json:");
}

void blk_filename_refresh(BlkNode *n)
{
    char *s = n->drv->filename ? n->drv->filename(n) : NULL;

    if (!s && n->drv->protocol && !n->children) {
        if (n->filename && n->filename[0]) {
            return;                    /* its open has said                   */
        }
        s = json_name(n);
    } else if (!s) {
        s = plain(n) ? g_strdup(n->file->filename) : json_name(n);
    }
    g_free(n->filename);
    n->filename = s;
}
