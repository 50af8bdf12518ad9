/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * user.c - user-creatable objects: -object, object-add, object-del. They live
 * below /objects under their id.
 *
 * Thread class: machine lock.
 */
#include <glib.h>
#include "obj.h"
#include "opt.h"

/* Kept in front of the object's struct, which its type lays out. */
typedef struct UserHead {
    const UserType *type;
    uint64_t pad;
} UserHead;

static UserHead *head_of(const Obj *o)
{
    return (UserHead *)o - 1;
}

static const char *user_type_name(const Obj *o)
{
    return head_of(o)->type->name;
}

static const Prop *table_of(const UserType *t, unsigned i)
{
    const Prop *tables[3] = { NULL };
    unsigned n = 0;

    if (t->props) {
        tables[n++] = t->props;
    }
    if (t->base_props) {
        tables[n++] = t->base_props;
    }
    return i < n ? tables[i] : NULL;
}

static const Prop *user_props(const Obj *o, unsigned i)
{
    return table_of(head_of(o)->type, i);
}

static bool user_may_set(const Obj *o, const Prop *p, Error **errp)
{
    return !o->parent || (p->flags & PF_LIVE) ||
           error_set(errp, "cannot change property '%s' of '%s'", p->name,
                     user_type_name(o));
}

static const ObjKind user_kind = {
    .type_name = user_type_name, .props = user_props, .may_set = user_may_set,
};

const UserType *user_type_find(const char *name)
{
    SET_EACH(user_types, UserType, t) {
        if (!strcmp((*t)->name, name)) {
            return *t;
        }
    }
    return NULL;
}

const UserType *user_obj_type(const Obj *o)
{
    return o && o->kind == &user_kind ? head_of(o)->type : NULL;
}

static MACHINE_CALL void user_free(Obj *o)
{
    obj_release(o);
    g_free(head_of(o));
}

static MACHINE_CALL bool apply(Obj *o, const Json *props, bool text,
                               Error **errp)
{
    const Prop *p;

    for (size_t i = 0; props && i < json_count(props); i++) {
        if (!obj_set(o, json_key_at(props, i), json_value_at(props, i), text,
                     errp)) {
            return false;
        }
    }
    for (unsigned i = 0; (p = user_props(o, i)); i++) {
        for (; p->name; p++) {
            if (p->flags & PF_REQUIRED &&
                !(props && json_get(props, p->name))) {
                return error_set(errp, "Parameter '%s' is missing", p->name);
            }
        }
    }
    return true;
}

Obj *user_obj_add(const char *type, const char *id, const Json *props,
                  bool text, Error **errp)
{
    const UserType *t = user_type_find(type);
    UserHead *h;
    Obj *o;

    if (!t) {
        error_set(errp, "Parameter 'qom-type' does not accept value '%s'",
                  type);
        return NULL;
    }
    if (!opt_id_ok(id)) {
        error_set(errp, "Parameter 'id' expects an identifier");
        error_hint(errp, "Identifiers consist of letters, digits, '-', '.', "
                   "'_', starting with a letter.");
        return NULL;
    }
    if (user_obj_find(id)) {
        error_set(errp, "attempt to add duplicate property '%s' to object "
                  "(type 'container')", id);
        return NULL;
    }
    h = g_malloc0(sizeof(*h) + t->size);
    h->type = t;
    o = (Obj *)(h + 1);
    o->kind = &user_kind;
    obj_defaults(o, 0);
    if (!apply(o, props, text, errp)) {
        user_free(o);
        return NULL;
    }
    obj_put(obj_dir("objects"), id, o);
    if (t->complete && !t->complete(o, errp)) {
        obj_remove(o);
        user_free(o);
        return NULL;
    }
    return o;
}

bool user_obj_del(const char *id, Error **errp)
{
    Obj *o = user_obj_find(id);
    const UserType *t;

    if (!o) {
        return error_set(errp, "object '%s' not found", id);
    }
    t = head_of(o)->type;
    if (t->can_delete && !t->can_delete(o, errp)) {
        if (errp && !*errp) {
            error_set(errp, "object '%s' is in use, can not be deleted", id);
        }
        return false;
    }
    obj_remove(o);
    if (t->finish) {
        t->finish(o);
    }
    user_free(o);
    return true;
}

Obj *user_obj_find(const char *id)
{
    return obj_child(obj_dir("objects"), id);
}

static void user_types_each(void (*fn)(const char *, const char *, bool,
                                       void *), void *arg)
{
    SET_EACH(user_types, UserType, t) {
        fn((*t)->name, (*t)->parent ? (*t)->parent : "object", false, arg);
    }
}

static const Prop *user_types_props(const char *type, unsigned i)
{
    const UserType *t = user_type_find(type);

    return t ? table_of(t, i) : NULL;
}

TYPE_SOURCE(user_type_source, {
    .each = user_types_each, .props = user_types_props,
});
