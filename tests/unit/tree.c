/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tree.c - the object tree: names, paths, partial paths, properties.
 */
#include <glib.h>
#include "obj.h"
#include "tests/tern-test.h"

typedef struct Node {
    Obj obj;
    uint32_t speed;
    Obj *peer;
    char *label;
} Node;

static Json *back_get(const Obj *o, const Prop *p, Error **errp)
{
    machine_assert_locked();
    char *path = obj_path(o->parent);
    Json *v = json_str(path);
    g_free(path);
    return v;
}

static bool quiet_set(Obj *o, const Prop *p, const Json *v, Error **errp)
{
    return true;
}

static void *peer_claim(Obj *owner, const char *prop, const char *id,
                        Error **errp)
{
    machine_assert_locked();
    Obj *o = obj_resolve(id, NULL);
    if (!o) {
        error_set(errp, "Device '%s' not found", id);
    }
    return o;
}

static const char *peer_id(const void *target)
{
    return ((const Obj *)target)->name;
}

static const PropRef ref_peer = { "link<node>", peer_claim, NULL, peer_id };

static const Prop node_props[] = {
    PROP_U32("speed", Node, speed, 10),
    PROP_REF("peer", Node, peer, &ref_peer),
    PROP_CALL("back", "link<container>", back_get, NULL),
    PROP_CALL("secret", "string", NULL, quiet_set),
    PROP_END
};
static const Prop base_props[] = {
    PROP_STR("label", Node, label, .flags = PF_LIVE), PROP_END
};

static const Prop *props_of(const Obj *o, unsigned i)
{
    return i == 0 ? node_props : i == 1 ? base_props : NULL;
}

static const char *type_of(const Obj *o)
{
    return "node";
}

static bool frozen;

static bool may_set(const Obj *o, const Prop *p, Error **errp)
{
    return !frozen || (p->flags & PF_LIVE) || error_set(errp, "frozen");
}

static const ObjKind node_kind = {
    .type_name = type_of, .props = props_of, .may_set = may_set,
};

#define N 6
static Node nodes[N];

static MACHINE_CALL Obj *node(int i)
{
    nodes[i] = (Node){ .obj.kind = &node_kind };
    obj_defaults(&nodes[i].obj, 0);
    return &nodes[i].obj;
}

static MACHINE_CALL void node_gone(int i)
{
    obj_remove(&nodes[i].obj);
    obj_release(&nodes[i].obj);
}

static MACHINE_CALL void path_is(const Obj *o, const char *wanted)
{
    char *s = obj_path(o);
    CHECK_STR(s, wanted);
    g_free(s);
}

TEST(names_and_numbers)
{
    machine_lock();
    Obj *dir = obj_dir("test/names");
    CHECK(obj_dir("/test//names/") == dir);
    CHECK(obj_add(dir, "a", node(0)));
    CHECK(!obj_add(dir, "a", node(1)));
    CHECK(obj_add(dir, "dev[*]", node(1)));
    CHECK(obj_add(dir, "dev[*]", node(2)));
    CHECK(obj_add(dir, "device[*]", node(3)));
    CHECK_STR(nodes[1].obj.name, "dev[0]");
    CHECK_STR(nodes[2].obj.name, "dev[1]");
    CHECK_STR(nodes[3].obj.name, "device[0]");
    node_gone(1);
    CHECK(obj_add(dir, "dev[*]", node(1)));
    CHECK(!strcmp(nodes[1].obj.name, "dev[0]"));
    CHECK(obj_child(dir, "a") == &nodes[0].obj);
    CHECK(dir->first == &nodes[0].obj);
    path_is(&nodes[2].obj, "/test/names/dev[1]");
    path_is(obj_root(), "/");
    for (int i = 0; i < 4; i++) {
        node_gone(i);
    }
    CHECK(!dir->first);
    obj_remove(&nodes[0].obj);         /* twice does nothing                  */
    machine_unlock();
}

TEST(paths)
{
    bool ambiguous;
    machine_lock();
    Obj *left = obj_dir("test/left"), *right = obj_dir("test/right");
    obj_put(left, "only", node(0));
    obj_put(left, "both", node(1));
    obj_put(right, "both", node(2));
    obj_put(&nodes[0].obj, "inner", node(3));
    static const struct {
        const char *path;
        int node;
        bool ambiguous;
    } rows[] = {
        { "/test/left/only", 0 }, { "//test/left//only/", 0 },
        { "only", 0 }, { "left/only", 0 }, { "only/inner", 3 }, { "inner", 3 },
        { "left/both", 1 }, { "right/both", 2 },
        { "both", -1, true }, { "nope", -1 }, { "/only", -1 },
        { "/nope/x", -1 }, { "only/nope", -1 },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        Obj *o = obj_resolve(rows[i].path, &ambiguous);
        Obj *wanted = rows[i].node < 0 ? NULL : &nodes[rows[i].node].obj;
        if (o != wanted || ambiguous != rows[i].ambiguous) {
            FAIL("%s: %s%s", rows[i].path, o ? o->name : "none",
                 ambiguous ? ", ambiguous" : "");
        }
    }
    CHECK(obj_resolve("/", NULL) == obj_root());
    CHECK(!obj_resolve("both", NULL));
    CHECK(!obj_resolve("", &ambiguous) && ambiguous);
    /* Links lead on, by both kinds of property. */
    CHECK(obj_set_text(&nodes[1].obj, "peer", "only", NULL));
    CHECK(obj_resolve("/test/left/both/peer/inner", NULL) == &nodes[3].obj);
    CHECK(obj_resolve("/test/left/only/back/both", NULL) == &nodes[1].obj);
    CHECK(!obj_resolve("/test/left/only/peer", NULL));
    CHECK(!obj_resolve("/test/left/only/speed", NULL));
    for (int i = 3; i >= 0; i--) {
        node_gone(i);
    }
    machine_unlock();
}

static MACHINE_CALL void get_is(const char *name, const char *wanted)
{
    Error *err = NULL;
    Json *v = obj_get(&nodes[0].obj, name, &err);
    char *t = v ? json_text(v, false, NULL) : g_strdup(error_text(err));
    CHECK_STR(t, wanted);
    g_free(t);
    json_free(v);
    error_free(err);
}

static MACHINE_CALL void set_is(const char *name, const char *text,
                                const char *wanted)
{
    Error *err = NULL;
    bool ok = obj_set_text(&nodes[0].obj, name, text, &err);
    CHECK_STR(ok ? "" : error_text(err), wanted);
    error_free(err);
}

TEST(properties)
{
    machine_lock();
    Obj *dir = obj_dir("test/props");
    obj_put(dir, "n", node(0));
    obj_put(&nodes[0].obj, "child", node(1));
    get_is("speed", "10");
    get_is("label", "\"\"");
    get_is("type", "\"node\"");
    get_is("child", "\"/test/props/n/child\"");
    get_is("peer", "\"\"");
    get_is("back", "\"/test/props\"");
    get_is("nope", "Property 'node.nope' not found");
    get_is("secret", "Property 'node.secret' is not readable");
    set_is("speed", "20", "");
    get_is("speed", "20");
    set_is("peer", "child", "");
    get_is("peer", "\"/test/props/n/child\"");
    set_is("peer", "missing", "Device 'missing' not found");
    get_is("peer", "\"/test/props/n/child\"");
    set_is("nope", "1", "Property 'node.nope' not found");
    set_is("back", "x", "Property 'node.back' is not writable");
    set_is("type", "x", "Property 'node.type' is not writable");
    set_is("child", "x", "Property 'node.child' is not writable");
    frozen = true;
    set_is("speed", "30", "frozen");
    set_is("label", "x", "");
    frozen = false;
    get_is("label", "\"x\"");
    CHECK(obj_prop(&nodes[0].obj, "label") == base_props);
    CHECK(!obj_prop(obj_root(), "label"));
    CHECK_STR(obj_type(obj_root()), "container");
    node_gone(1);
    node_gone(0);
    machine_unlock();
}
