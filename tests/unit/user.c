/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * user.c, types.c - user-creatable objects and the catalogue of types.
 */
#include <glib.h>
#include "obj.h"
#include "tests/tern-test.h"

typedef struct Toy {
    Obj obj;
    uint64_t size;
    uint32_t count;
    int64_t period;
    char *path, *note;
    bool share;
} Toy;

static int completes, finishes;
static bool refuse, busy, busy_with_reason;

static bool toy_complete(Obj *o, Error **errp)
{
    completes++;
    CHECK(o->parent != NULL);
    return !refuse || error_set(errp, "toy '%s' refuses", o->name);
}

static bool toy_can_delete(Obj *o, Error **errp)
{
    if (busy_with_reason) {
        return error_set(errp, "still wanted");
    }
    return !busy;
}

static void toy_finish(Obj *o)
{
    finishes++;
}

static const Prop toy_props[] = {
    PROP_SIZE("size", Toy, size, 0, .flags = PF_REQUIRED),
    PROP_U32("count", Toy, count, 1),
    PROP_I64("period", Toy, period, 0),
    PROP_STR("note", Toy, note, .flags = PF_LIVE),
    PROP_END
};
static const Prop toy_base_props[] = {
    PROP_STR("path", Toy, path),
    PROP_BOOL("share", Toy, share, false),
    PROP_END
};

USER_TYPE(toy_type, {
    .name = "toy", .parent = "toy-base", .desc = "for tests",
    .size = sizeof(Toy), .props = toy_props, .base_props = toy_base_props,
    .complete = toy_complete, .can_delete = toy_can_delete,
    .finish = toy_finish,
});
TYPE_NAME(toy_base, { "toy-base", "object", true });

/* Adds and says what came of it: "" or the error. */
static MACHINE_CALL void add_is(const char *type, const char *id,
                                const char *props, bool text,
                                const char *wanted)
{
    Error *err = NULL;
    Json *v = json_parse(props, strlen(props), NULL);
    Obj *o = user_obj_add(type, id, v, text, &err);
    CHECK_STR(err ? error_text(err) : "", wanted);
    CHECK(!o == !!err);
    error_free(err);
    json_free(v);
}

TEST(refusals)
{
    machine_lock();
    add_is(NULL, "t", "{}", true, "Parameter 'qom-type' is missing");
    add_is("nope", "t", "{}", true,
           "Parameter 'qom-type' does not accept value 'nope'");
    add_is("toy-base", "t", "{}", true,
           "Parameter 'qom-type' does not accept value 'toy-base'");
    add_is("toy", NULL, "{}", true, "Parameter 'id' is missing");
    add_is("toy", "9", "{}", true, "Parameter 'id' expects an identifier");
    add_is("toy", "t", "{}", true, "Parameter 'size' is missing");
    add_is("toy", "t", "{'size': 'x'}", true,
           "Parameter 'size' expects a size value");
    add_is("toy", "t", "{'size': '-1'}", true,
           "Parameter 'size' expects a size value");
    add_is("toy", "t", "{'size': '1k', 'count': 'x'}", true,
           "Parameter 'count' expects a uint64 value");
    add_is("toy", "t", "{'size': '1k', 'count': '99999999999'}", true,
           "Parameter 'count' expects uint32_t");
    add_is("toy", "t", "{'size': '1k', 'period': 'x'}", true,
           "Parameter 'period' expects an int64 value");
    add_is("toy", "t", "{'size': '1k', 'share': 'maybe'}", true,
           "Parameter 'share' expects 'on' or 'off'");
    add_is("toy", "t", "{'size': '1k', 'foo': '1'}", true,
           "Invalid parameter 'foo'");
    add_is("toy", "t", "{'size': 1024, 'foo': 1}", false,
           "Parameter 'foo' is unexpected");
    add_is("toy", "t", "{'size': '1k'}", false,
           "Parameter 'size' expects uint64");
    add_is("toy", "t", "{'size': 1024, 'share': 'on'}", false,
           "Invalid parameter type for 'share', expected: boolean");
    CHECK_EQ(completes, 0);
    CHECK(!user_obj_find("t"));
    refuse = true;
    add_is("toy", "t", "{'size': '1k', 'path': '/x'}", true,
           "toy 't' refuses");
    refuse = false;
    CHECK(!user_obj_find("t"));
    CHECK_EQ(finishes, 0);
    machine_unlock();
}

static MACHINE_CALL void del_is(const char *id, const char *wanted)
{
    Error *err = NULL;
    bool ok = user_obj_del(id, &err);
    CHECK_STR(ok ? "" : error_text(err), wanted);
    error_free(err);
}

TEST(life)
{
    machine_lock();
    completes = finishes = 0;
    add_is("toy", "t", "{'size': ['1k', '1.5k'], 'share': 'on', 'path': 'p'}",
           true, "");
    Toy *t = (Toy *)user_obj_find("t");
    REQUIRE(t);
    CHECK_EQ(t->size, 1536u);
    CHECK(t->share);
    CHECK_STR(t->path, "p");
    CHECK(user_obj_type(&t->obj) == user_type_find("toy"));
    CHECK(!user_obj_type(obj_root()));
    CHECK(obj_resolve("/objects/t", NULL) == &t->obj);
    CHECK_STR(obj_type(&t->obj), "toy");
    add_is("toy", "t", "{'size': 1}", false, "attempt to add duplicate "
           "property 't' to object (type 'container')");
    CHECK(!obj_set_text(&t->obj, "count", "5", NULL));
    CHECK(obj_set_text(&t->obj, "note", "5", NULL));
    busy = true;
    del_is("t", "object 't' is in use, can not be deleted");
    CHECK(!user_obj_del("t", NULL));
    busy_with_reason = true;
    del_is("t", "still wanted");
    busy = busy_with_reason = false;
    CHECK_EQ(finishes, 0);
    del_is("t", "");
    CHECK_EQ(finishes, 1);
    del_is("t", "object 't' not found");
    machine_unlock();
}

typedef struct Seen {
    int toys, bases, roots;
    GHashTable *names;
} Seen;

static void seen_one(const char *name, const char *parent, bool abstract,
                     void *arg)
{
    Seen *s = arg;
    if (!g_hash_table_add(s->names, (void *)name)) {
        FAIL("type '%s' is listed twice", name);
    }
    s->toys += !strcmp(name, "toy") && !strcmp(parent, "toy-base") &&
               !abstract;
    s->bases += !strcmp(name, "toy-base") && abstract;
    s->roots += !parent;
}

static void has_parent(const char *name, const char *parent, bool abstract,
                       void *arg)
{
    if (parent && !g_hash_table_contains(arg, parent)) {
        FAIL("type '%s' has the parent '%s', which nobody lists", name, parent);
    }
}

TEST(catalogue)
{
    Seen s = { .names = g_hash_table_new(g_str_hash, g_str_equal) };
    type_each(seen_one, &s);
    CHECK_EQ(s.toys, 1);
    CHECK_EQ(s.bases, 1);
    CHECK_EQ(s.roots, 2);              /* object, interface                   */
    type_each(has_parent, s.names);
    g_hash_table_unref(s.names);
    CHECK(type_is_a("toy", "toy-base") && type_is_a("toy", "object"));
    CHECK(type_is_a("toy", "toy") && type_is_a("toy", "user-creatable"));
    CHECK(!type_is_a("toy-base", "toy") && !type_is_a("nope", "object"));
    CHECK(!type_is_a("toy", "device"));
    CHECK(type_props("toy", 0) == toy_props);
    CHECK(type_props("toy", 1) == toy_base_props);
    CHECK(!type_props("toy", 2) && !type_props("toy-base", 0));
}
