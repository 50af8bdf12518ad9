/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd-qom.c - commands over the object tree and the type catalogue, and over
 * objects that users make.
 *
 * MACHINE_CALL.
 */
#include <glib.h>
#include "iothread.h"
#include "mon-impl.h"
#include "obj.h"
#include "opt.h"
#include "schema/schema.h"

/* ---- the tree -- */
static Obj *find(const char *path, Error **errp) MACHINE_CALL;
static Obj *find(const char *path, Error **errp)
{
    bool ambiguous = false;
    Obj *o = obj_resolve(path, &ambiguous);

    if (!o && (ambiguous || !*path)) {
        error_set(errp, "Path '%s' is ambiguous", path);
    } else if (!o) {
        error_set_class(errp, ERROR_DEVICE_NOT_FOUND, "Device '%s' not found",
                        path);
    }
    return o;
}

static ObjectPropertyInfo *add(ObjectPropertyInfoList *l, const char *name,
                               const char *type)
{
    ObjectPropertyInfo *i = SCHEMA_ADD(l);

    i->name = g_strdup(name);
    i->type = g_strdup(type);
    return i;
}

bool cmd_qom_list(const void *arg, void *ret, Error **errp)
{
    ObjectPropertyInfoList *l = ret;
    Obj *o = find(((const QomListArg *)arg)->path, errp);
    const Prop *t;

    if (!o) {
        return false;
    }
    add(l, "type", "string");
    for (Obj *at = o; at; at = at->kind->inner ? at->kind->inner(at) : NULL) {
        for (unsigned i = 0; at->kind->props && (t = at->kind->props(at, i));
             i++) {
            for (; t->name; t++) {
                /* A row that the outer one has too is the outer one's. */
                if (obj_prop_holder(o, t->name) == at) {
                    add(l, t->name, prop_type_name(t));
                }
            }
        }
    }
    for (Obj *c = o->first; c; c = c->next) {
        g_autofree char *type = g_strdup_printf("child<%s>", obj_type(c));

        add(l, c->name, type);
    }
    return true;
}

void hmp_qom_list(const Json *args)
{
    QomListArg a = { (char *)json_get_str(args, "path") };
    ObjectPropertyInfoList l = { 0 };
    Error *err = NULL;

    if (!a.path) {
        mon_puts("/\n");
        return;
    }
    if (!cmd_qom_list(&a, &l, &err)) {
        mon_printf("Error: %s\n", error_text(err));
        error_free(err);
    }
    for (size_t i = 0; i < l.n; i++) {
        mon_printf("%s (%s)\n", l.v[i].name, l.v[i].type);
    }
    schema_free(&qt_ObjectPropertyInfoList, &l);
}

bool cmd_qom_get(const void *arg, void *ret, Error **errp)
{
    const QomGetArg *a = arg;
    Obj *o = find(a->path, errp);

    return o && (*(Json **)ret = obj_get(o, a->property, errp));
}

void hmp_print_qom_get(const void *ret, const Json *args)
{
    char *s = json_text(*(Json *const *)ret, true, NULL);

    mon_printf("%s\n", s);
    g_free(s);
}

static bool set(const char *path, const char *property, const Json *value,
                bool text, Error **errp) MACHINE_CALL;
static bool set(const char *path, const char *property, const Json *value,
                bool text, Error **errp)
{
    Obj *o = find(path, errp);

    if (!o) {
        return false;
    }
    if (!obj_prop(o, property) &&
        (!strcmp(property, "type") || obj_child(o, property))) {
        return error_set(errp, "Property '%s.%s' is not writable", obj_type(o),
                         property);
    }
    return obj_set(o, property, value, text, errp);
}

bool cmd_qom_set(const void *arg, void *ret, Error **errp)
{
    const QomSetArg *a = arg;

    return set(a->path, a->property, a->value, false, errp);
}

void hmp_qom_set(const Json *args)
{
    const char *s = json_get_str(args, "value");
    bool json = json_get(args, "json") != NULL;
    Error *err = NULL;
    Json *v = json ? json_parse(s, strlen(s), &err) : json_str(s);

    if (!v || !set(json_get_str(args, "path"), json_get_str(args, "property"),
                   v, !json, &err)) {
        mon_printf("Error: %s\n", error_text(err));
        error_free(err);
    }
    json_free(v);
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(Obj *const *)a)->name, (*(Obj *const *)b)->name);
}

static void print_tree(Obj *o, const char *name, int indent) MACHINE_CALL;
static void print_tree(Obj *o, const char *name, int indent)
{
    g_autoptr(GPtrArray) kids = g_ptr_array_new();

    mon_printf("%*s/%s (%s)\n", indent, "", name, obj_type(o));
    for (Obj *c = o->first; c; c = c->next) {
        g_ptr_array_add(kids, c);
    }
    g_ptr_array_sort(kids, by_name);
    for (unsigned i = 0; i < kids->len; i++) {
        Obj *c = kids->pdata[i];

        print_tree(c, c->name, indent + 2);
    }
}

void hmp_info_qom_tree(const Json *args)
{
    const char *path = json_get_str(args, "path");
    bool ambiguous = false;
    Obj *o = obj_resolve(path ? path : "/machine", &ambiguous);

    if (!o) {
        mon_printf(ambiguous ? "Path '%s' is ambiguous.\n"
                             : "Path '%s' could not be resolved.\n",
                   path ? path : "/machine");
        return;
    }
    print_tree(o, o->parent ? o->name : "", 0);
}

/* ---- the type catalogue -- */
typedef struct TypeWalk {
    ObjectTypeInfoList *list;
    const char *implements, *name;     /* filter; name looked for             */
    bool abstract_too, found;
} TypeWalk;

static void list_type(const char *name, const char *parent, bool abstract,
                      void *arg)
{
    TypeWalk *w = arg;
    ObjectTypeInfo *i;

    if ((abstract && !w->abstract_too) ||
        (w->implements && !type_is_a(name, w->implements))) {
        return;
    }
    i = SCHEMA_ADD(w->list);
    i->name = g_strdup(name);
    i->abstract = i->has_abstract = abstract;
    i->parent = g_strdup(parent);
}

bool cmd_qom_list_types(const void *arg, void *ret, Error **errp)
{
    const QomListTypesArg *a = arg;
    TypeWalk w = { .list = ret, .implements = a->implements,
                   .abstract_too = a->has_abstract && a->abstract };

    type_each(list_type, &w);
    return true;
}

static void find_type(const char *name, const char *parent, bool abstract,
                      void *arg)
{
    TypeWalk *w = arg;

    if (!strcmp(name, w->name)) {
        w->found = true;
    }
}

static void list_rows(ObjectPropertyInfoList *l, const char *type)
{
    const Prop *t;

    for (unsigned n = 0; (t = type_props(type, n)); n++) {
        for (; t->name; t++) {
            ObjectPropertyInfo *i = add(l, t->name, prop_type_name(t));

            i->description = g_strdup(t->desc);
        }
    }
}

bool cmd_qom_list_properties(const void *arg, void *ret, Error **errp)
{
    TypeWalk w = { .name = ((const QomListPropertiesArg *)arg)->typename };

    type_each(find_type, &w);
    if (!w.found) {
        return error_set_class(errp, ERROR_DEVICE_NOT_FOUND,
                               "Class '%s' not found", w.name);
    }
    add(ret, "type", "string");
    list_rows(ret, w.name);
    return true;
}

/* ---- objects that users make -- */
bool cmd_object_add(const void *arg, void *ret, Error **errp)
{
    const OpenArg *a = arg;
    g_autofree char *type = g_strdup(json_get_str(a->obj, "qom-type"));
    g_autofree char *id = g_strdup(json_get_str(a->obj, "id"));
    Json *props = json_copy(a->obj);
    Obj *o;

    json_free(json_take(props, "qom-type"));
    json_free(json_take(props, "id"));
    o = user_obj_add(type, id, props, a->text, errp);
    json_free(props);
    return o != NULL;
}

void hmp_object_add(const Json *args)
{
    Opts o = { 0 };
    OpenArg a = { 0 };
    Error *err = NULL;

    if (opts_parse(&o, json_get_str(args, "object"), "qom-type", 0, &err) &&
        schema_parse(&qt_ObjectOptions, o.obj, o.text, &a, &err)) {
        cmd_object_add(&a, NULL, &err);
    }
    hmp_error(err);
    schema_free(&qt_ObjectOptions, &a);
    opts_free(&o);
}

bool cmd_object_del(const void *arg, void *ret, Error **errp)
{
    return user_obj_del(((const ObjectDelArg *)arg)->id, errp);
}

static int64_t int_of(Obj *o, const char *name) MACHINE_CALL;
static int64_t int_of(Obj *o, const char *name)
{
    Json *v = obj_get(o, name, NULL);
    int64_t i = v && json_kind(v) == JSON_INT ? json_int_of(v) : 0;

    json_free(v);
    return i;
}

static void iothread_one(Obj *o, void *list)
{
    IOThreadInfo *i = SCHEMA_ADD((IOThreadInfoList *)list);

    machine_assert_locked();
    i->id = g_strdup(o->name);
    i->thread_id = loop_thread_id(iothread_loop(o));
    i->poll_max_ns = int_of(o, "poll-max-ns");
    i->poll_grow = int_of(o, "poll-grow");
    i->poll_shrink = int_of(o, "poll-shrink");
    i->aio_max_batch = int_of(o, "aio-max-batch");
}

bool cmd_query_iothreads(const void *arg, void *ret, Error **errp)
{
    iothread_each(iothread_one, ret);
    return true;
}

void hmp_print_info_iothreads(const void *ret, const Json *args)
{
    const IOThreadInfoList *l = ret;

    for (size_t i = 0; i < l->n; i++) {
        const IOThreadInfo *t = &l->v[i];

        mon_printf("%s:\n", t->id);
        mon_printf("  thread_id=%" PRId64 "\n", t->thread_id);
        mon_printf("  poll-max-ns=%" PRId64 "\n", t->poll_max_ns);
        mon_printf("  poll-grow=%" PRId64 "\n", t->poll_grow);
        mon_printf("  poll-shrink=%" PRId64 "\n", t->poll_shrink);
        mon_printf("  aio-max-batch=%" PRId64 "\n", t->aio_max_batch);
    }
}
