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
    if (head_of(o)->type->release) {
        head_of(o)->type->release(o);
    }
    obj_release(o);
    g_free(head_of(o));
}

/* Numbers in option text are refused in the words of their own that -object
 * has always had. */
static bool number_check(const Prop *p, const Json *v, Error **errp)
{
    const char *s = json_kind(v) == JSON_STR ? json_str_of(v) : NULL;
    char *end;
    uint64_t size;

    if (!s) {
        return true;
    }
    switch (p->kind) {
    case PK_SIZE:
    case PK_SIZE32:
        return opt_size(p->name, s, 1, &size, NULL) ||
               error_set(errp, "Parameter '%s' expects a size value", p->name);
    case PK_U8:
    case PK_U16:
    case PK_U32:
    case PK_U64:
        errno = 0;
        (void)strtoull(s, &end, 0);
        return (end != s && !*end && !errno) ||
               error_set(errp, "Parameter '%s' expects a uint64 value",
                         p->name);
    case PK_I32:
    case PK_I64:
        errno = 0;
        (void)strtoll(s, &end, 0);
        return (end != s && !*end && !errno) ||
               error_set(errp, "Parameter '%s' expects an int64 value",
                         p->name);
    default:
        return true;
    }
}

static MACHINE_CALL bool apply_one(Obj *o, const char *name, const Json *v,
                                   bool text, Error **errp)
{
    const Prop *p = obj_prop(o, name);

    if (!p || p->flags & PF_READONLY || (p->kind == PK_CALL && !p->set)) {
        error_set(errp, text ? "Invalid parameter '%s'" :
                  "Parameter '%s' is unexpected", name);
        return obj_suggest(o, name, errp);
    }
    return (!text || number_check(p, v, errp)) &&
           obj_set(o, name, v, text, errp);
}

static MACHINE_CALL bool apply(Obj *o, const Json *props, bool text,
                               Error **errp)
{
    const Prop *p;

    for (size_t i = 0; props && i < json_count(props); i++) {
        if (!apply_one(o, json_key_at(props, i), json_value_at(props, i), text,
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
    const UserType *t = type ? user_type_find(type) : NULL;
    UserHead *h;
    Obj *o;

    if (!type || !id) {
        error_set(errp, "Parameter '%s' is missing", type ? "id" : "qom-type");
        return NULL;
    }
    if (!t) {
        OptWords w = { .n = 0 };

        SET_EACH(user_types, UserType, u) {
            opt_word_add(&w, (*u)->name);
        }
        error_set(errp, "Parameter 'qom-type' does not accept value '%s'",
                  type);
        opt_suggest(&w, type, errp);
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
    Error *err = NULL;

    if (!o) {
        return error_set(errp, "object '%s' not found", id);
    }
    t = head_of(o)->type;
    if (t->can_delete && !t->can_delete(o, &err)) {
        if (!err) {
            error_set(&err, "object '%s' is in use, can not be deleted", id);
        }
        error_move(errp, err);
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

TYPE_NAME(user_creatable_type, { "user-creatable", "interface", true });
