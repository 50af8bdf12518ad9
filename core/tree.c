/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tree.c - the object tree that clients walk (include/obj.h).
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. A child's name is unique below its parent; children stand in the order of
 *    their creation.
 * 2. The tree never frees an object: who removes it does.
 */
#include <assert.h>
#include <glib.h>
#include "obj.h"
#include "opt.h"

static const char *container_type(const Obj *o)
{
    return "container";
}

const ObjKind obj_container = { .type_name = container_type };

static Obj root = { .kind = &obj_container };

Obj *obj_root(void)
{
    return &root;
}

Obj *obj_child(const Obj *o, const char *name)
{
    for (Obj *c = o->first; c; c = c->next) {
        if (!strcmp(c->name, name)) {
            return c;
        }
    }
    return NULL;
}

/* The least number that no child of that base name has. */
static unsigned free_number(const Obj *parent, const char *base, size_t n)
{
    unsigned children = 0, first = 0;

    for (Obj *c = parent->first; c; c = c->next) {
        children++;
    }
    bool *used = g_new0(bool, children + 1);
    for (Obj *c = parent->first; c; c = c->next) {
        if (!strncmp(c->name, base, n) && c->name[n] == '[') {
            unsigned long i = strtoul(c->name + n + 1, NULL, 10);

            used[MIN2(i, (unsigned long)children)] = true;
        }
    }
    while (first < children && used[first]) {
        first++;
    }
    g_free(used);
    return first;
}

bool obj_add(Obj *parent, const char *name, Obj *child)
{
    size_t n = strlen(name);
    char *full;
    Obj **p;

    assert(!child->parent && !child->name);
    if (n > 3 && !strcmp(name + n - 3, "[*]")) {
        full = g_strdup_printf("%.*s[%u]", (int)n - 3, name,
                               free_number(parent, name, n - 3));
    } else if (obj_child(parent, name)) {
        return false;
    } else {
        full = g_strdup(name);
    }
    child->name = full;
    child->parent = parent;
    child->next = NULL;
    for (p = &parent->first; *p; p = &(*p)->next) {
    }
    *p = child;
    return true;
}

void obj_put(Obj *parent, const char *name, Obj *child)
{
    bool ok = obj_add(parent, name, child);

    assert(ok);
    (void)ok;
}

void obj_remove(Obj *o)
{
    if (!o->parent) {
        return;
    }
    for (Obj **p = &o->parent->first; *p; p = &(*p)->next) {
        if (*p == o) {
            *p = o->next;
            break;
        }
    }
    g_free(o->name);
    o->name = NULL;
    o->parent = o->next = NULL;
}

Obj *obj_dir(const char *path)
{
    Obj *at = &root;
    g_auto(GStrv) part = g_strsplit(path, "/", -1);

    for (char **p = part; *p; p++) {
        Obj *c;

        if (!**p) {
            continue;
        }
        c = obj_child(at, *p);
        if (!c) {
            c = g_new0(Obj, 1);
            c->kind = &obj_container;
            obj_put(at, *p, c);
        }
        at = c;
    }
    return at;
}

char *obj_path(const Obj *o)
{
    GString *s = g_string_new(NULL);

    for (; o && o != &root; o = o->parent) {
        g_string_prepend(s, o->name ? o->name : "?");
        g_string_prepend_c(s, '/');
    }
    if (!s->len) {
        g_string_append_c(s, '/');
    }
    return g_string_free(s, FALSE);
}

const char *obj_type(const Obj *o)
{
    return o->kind->type_name(o);
}

/* ---- resolving ---------------------------------------------------------- */

/* A link property stands for the object it names. */
static MACHINE_CALL Obj *follow(Obj *o, const char *name)
{
    const Prop *p = obj_prop(o, name);
    Json *v;
    Obj *to = NULL;
    const char *s;

    if (!p || strncmp(prop_type_name(p), "link<", 5)) {
        return NULL;
    }
    v = obj_get(o, name, NULL);
    s = v && json_kind(v) == JSON_STR ? json_str_of(v) : NULL;
    if (s && *s == '/') {
        to = obj_resolve(s, NULL);
    }
    json_free(v);
    return to;
}

static MACHINE_CALL Obj *walk(Obj *at, char **part)
{
    for (; at && *part; part++) {
        if (!**part) {
            continue;
        }
        Obj *c = obj_child(at, *part);

        at = c ? c : follow(at, *part);
    }
    return at;
}

static MACHINE_CALL Obj *walk_partial(Obj *at, char **part,
                                      unsigned *hits)
{
    Obj *found = walk(at, part);

    if (found) {
        (*hits)++;
    }
    for (Obj *c = at->first; c && *hits < 2; c = c->next) {
        Obj *sub = walk_partial(c, part, hits);

        found = found ? found : sub;
    }
    return found;
}

Obj *obj_resolve(const char *path, bool *ambiguous)
{
    g_auto(GStrv) part = g_strsplit(path, "/", -1);
    unsigned hits = 0;
    Obj *o;

    if (ambiguous) {
        *ambiguous = false;
    }
    if (*path == '/') {
        return walk(&root, part);
    }
    o = walk_partial(&root, part, &hits);
    if (hits > 1) {
        if (ambiguous) {
            *ambiguous = true;
        }
        return NULL;
    }
    return o;
}

/* ---- properties --------------------------------------------------------- */

static const Prop *own_prop(const Obj *o, const char *name)
{
    const Prop *t, *p;

    for (unsigned i = 0; o->kind->props && (t = o->kind->props(o, i)); i++) {
        p = prop_find(t, name);
        if (p) {
            return p;
        }
    }
    return NULL;
}

Obj *obj_prop_holder(const Obj *o, const char *name)
{
    while (o && !own_prop(o, name)) {
        o = o->kind->inner ? o->kind->inner(o) : NULL;
    }
    return (Obj *)(uintptr_t)o;
}

const Prop *obj_prop(const Obj *o, const char *name)
{
    o = obj_prop_holder(o, name);
    return o ? own_prop(o, name) : NULL;
}

bool obj_suggest(const Obj *o, const char *name, Error **errp)
{
    OptWords w = { .n = 0 };
    const Prop *t;

    for (const Obj *at = o; at; at = at->kind->inner
                            ? at->kind->inner((Obj *)(uintptr_t)at) : NULL) {
        for (unsigned i = 0; at->kind->props && (t = at->kind->props(at, i));
             i++) {
            for (; t->name; t++) {
                opt_word_add(&w, t->name);
            }
        }
    }
    return opt_suggest(&w, name, errp);
}

/* "not found", with the name that may have been meant. */
static bool no_property(const Obj *o, const char *name, Error **errp)
{
    error_set(errp, "Property '%s.%s' not found", obj_type(o), name);
    return obj_suggest(o, name, errp);
}

bool obj_set(Obj *o, const char *name, const Json *v, bool text, Error **errp)
{
    Obj *holder = obj_prop_holder(o, name);
    const Prop *p = holder ? own_prop(holder, name) : NULL;

    o = holder ? holder : o;
    if (!p && strcmp(name, "type") && !obj_child(o, name)) {
        return no_property(o, name, errp);
    }
    if (!p || p->flags & PF_READONLY || (p->kind == PK_CALL && !p->set)) {
        return error_set(errp, "Property '%s.%s' is not writable", obj_type(o),
                         name);
    }
    if (o->kind->may_set && !o->kind->may_set(o, p, errp)) {
        return false;
    }
    return prop_set(o, p, v, text, obj_type(o), errp);
}

bool obj_set_text(Obj *o, const char *name, const char *text, Error **errp)
{
    Json *v = json_str(text);
    bool ok = obj_set(o, name, v, true, errp);

    json_free(v);
    return ok;
}

Json *obj_get(const Obj *o, const char *name, Error **errp)
{
    const Obj *holder = obj_prop_holder(o, name);
    const Prop *p = holder ? own_prop(holder, name) : NULL;
    Obj *c;

    o = holder ? holder : o;
    if (p) {
        if (p->kind == PK_CALL && !p->get) {
            error_set(errp, "Property '%s.%s' is not readable", obj_type(o),
                      name);
            return NULL;
        }
        return prop_get(o, p, errp);
    }
    if (!strcmp(name, "type")) {
        return json_str(obj_type(o));
    }
    c = obj_child(o, name);
    if (c) {
        char *path = obj_path(c);
        Json *v = json_str(path);

        g_free(path);
        return v;
    }
    error_set(errp, "Property '%s.%s' not found", obj_type(o), name);
    return NULL;
}

void obj_defaults(Obj *o, unsigned machine_version)
{
    const Prop *t;

    for (unsigned i = 0; o->kind->props && (t = o->kind->props(o, i)); i++) {
        prop_defaults(o, t, machine_version);
    }
}

void obj_release(Obj *o)
{
    const Prop *t;

    for (unsigned i = 0; o->kind->props && (t = o->kind->props(o, i)); i++) {
        prop_release(o, t);
    }
}
