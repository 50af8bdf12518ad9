/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * prop.c, prop-set.c, prop-text.c - property rows, against the words that
 * scripts and management tools know.
 */
#include <glib.h>
#include "obj.h"
#include "tests/tern-test.h"

typedef struct Thing {
    Obj obj;
    bool flag, plain;
    uint32_t bits;
    uint64_t wide_bits;
    uint8_t u8;
    uint16_t u16;
    uint32_t u32, ranged, size32;
    uint64_t u64, size;
    int32_t i32, signed_range;
    int64_t i64;
    char *str, *json;
    int mode;
    OnOffAuto aut;
    uint8_t mac[6], uuid[16];
    int32_t addr;
    void *drive;
    Obj *link;
    PropArray array;
    int calls;
    uint32_t live, fixed;
    char *live_str;
} Thing;

/* ---- what references point at ------------------------------------------- */

typedef struct Target {
    Obj obj;
    const char *id;
    int claims;
} Target;

static Target targets[] = { { .id = "d0" }, { .id = "d1" } };

static void *target_claim(Obj *owner, const char *prop, const char *id,
                          Error **errp)
{
    for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
        if (!strcmp(targets[i].id, id)) {
            targets[i].claims++;
            return &targets[i];
        }
    }
    error_set(errp, "Property 'thing.%s' can't find value '%s'", prop, id);
    return NULL;
}

static void target_release(Obj *owner, void *target)
{
    ((Target *)target)->claims--;
}

static const char *target_id(const void *target)
{
    return ((const Target *)target)->id;
}

static const PropRef ref_drive = {
    "str", target_claim, target_release, target_id,
};
static const PropRef ref_link = {
    "link<target>", target_claim, target_release, target_id,
};

/* ---- the rows ----------------------------------------------------------- */

static Json *call_get(const Obj *o, const Prop *p, Error **errp)
{
    return json_int(((const Thing *)o)->calls);
}

static bool call_set(Obj *o, const Prop *p, const Json *v, Error **errp)
{
    ((Thing *)o)->calls++;
    return json_kind(v) == JSON_STR ||
        error_set(errp, "%s wants text", p->name);
}

/* Refuses 13 and "no". */
static bool live_set(Obj *o, const Prop *p, const Json *v, Error **errp)
{
    Thing *t = (Thing *)o;
    t->calls++;
    if (t->live == 13 || !g_strcmp0(t->live_str, "no")) {
        return error_set(errp, "unlucky");
    }
    return true;
}

static const PropEnum modes = {
    "FdcDriveType", (const char *const[]){ "144", "288", "", "auto", NULL },
};

static const Prop props[] = {
    PROP_BOOL("plain", Thing, plain, true),
    PROP_BIT32("bit", Thing, bits, 3, true,
               .compat = (const PropCompat[]){ { 701, "off" }, { 0, NULL } }),
    PROP_BIT64("wide", Thing, wide_bits, 40, false),
    PROP_U8("u8", Thing, u8, 7),
    PROP_U16("u16", Thing, u16, 256,
             .compat = (const PropCompat[]){
                 { 701, "128" }, { 500, "64" }, { 602, "100" }, { 0, NULL } }),
    PROP_U32("u32", Thing, u32, UINT32_MAX),
    PROP_U32("ranged", Thing, ranged, 8, .min = 4, .max = 16),
    PROP_U64("u64", Thing, u64, 0),
    PROP_I32("i32", Thing, i32, -1),
    PROP_I32("signed-range", Thing, signed_range, 0,
             .min = (uint64_t)-5ll, .max = 5),
    PROP_I64("i64", Thing, i64, -7),
    PROP_SIZE("size", Thing, size, 2 * GiB),
    PROP_SIZE32("size32", Thing, size32, UINT32_MAX),
    PROP_STR("str", Thing, str),
    PROP_STR("named", Thing, json, .def_str = "x"),
    PROP_ENUM("mode", Thing, mode, &modes, 3, .desc = "drive type"),
    PROP_AUTO("aut", Thing, aut, OOA_AUTO),
    PROP_MAC("mac", Thing, mac),
    PROP_UUID("uuid", Thing, uuid, .type = "QemuUUID"),
    PROP_PCI_ADDR("addr", Thing, addr),
    PROP_REF("drive", Thing, drive, &ref_drive,
             .desc = "Node name or ID of a block device to use as a backend"),
    PROP_REF("link", Thing, link, &ref_link),
    PROP_ARRAY_U32("array", Thing, array, .min = 1, .max = 100),
    PROP_CALL("call", "int", call_get, call_set),
    PROP_CALL("switch", "bool", call_get, call_set),
    PROP_CALL("weight", "size", call_get, call_set),
    PROP_CALL("told", "string", NULL, call_set),
    PROP_CALL("shown", "bool", call_get, NULL),
    PROP_U32("live", Thing, live, 1, .flags = PF_LIVE, .set = live_set),
    PROP_STR("live-str", Thing, live_str, .flags = PF_LIVE, .set = live_set),
    PROP_U32("fixed", Thing, fixed, 0, .flags = PF_READONLY),
    PROP_END
};

static const char *thing_type(const Obj *o)
{
    return "thing";
}

static const Prop *thing_props(const Obj *o, unsigned i)
{
    return i ? NULL : props;
}

static const ObjKind thing_kind = {
    .type_name = thing_type, .props = thing_props,
};

static Thing *thing_new(unsigned version)
{
    Thing *t = g_new0(Thing, 1);
    t->obj.kind = &thing_kind;
    prop_defaults(&t->obj, props, version);
    return t;
}

static void thing_free(Thing *t)
{
    prop_release(&t->obj, props);
    g_free(t);
}

/* Sets from text ("t:...") or JSON; checks the error, or what get shows. */
static MACHINE_CALL void set_is(Thing *t, const char *name, const char *value,
                                const char *wanted)
{
    const Prop *p = prop_find(props, name);
    Error *err = NULL;
    bool text = g_str_has_prefix(value, "t:");
    Json *v = text ? json_str(value + 2) :
              json_parse(value, strlen(value), &err);
    CHECK(p && v);
    char *got;
    if (prop_set(&t->obj, p, v, text, "thing", &err)) {
        Json *now = prop_get(&t->obj, p, NULL);
        got = json_text(now, false, NULL);
        json_free(now);
    } else {
        got = g_strdup(err ? error_text(err) : "no error");
        error_free(err);
    }
    if (strcmp(got, wanted)) {
        FAIL("%s=%s: %s\n# wanted: %s", name, value, got, wanted);
    }
    g_free(got);
    json_free(v);
}

typedef struct Case {
    const char *name, *value, *wanted;
} Case;

#define ONOFF(n) "Parameter '" n "' expects 'on' or 'off'"
#define ACCEPT(n, v) "Parameter '" n "' does not accept value '" v "'"
#define EXPECTS(n, v) "Parameter '" n "' expects " v
#define TYPE(n, v) "Invalid parameter type for '" n "', expected: " v
#define TAKES(n, v) "Property 'thing." n "' doesn't take value '" v "'"
#define RANGE(n, v, a, b) "Property thing." n " doesn't take value " v \
    " (minimum: " a ", maximum: " b ")"

static const Case cases[] = {
    { "plain", "t:off", "false" }, { "plain", "t:y", "true" },
    { "plain", "false", "false" }, { "plain", "t:1", ONOFF("plain") },
    { "plain", "t:", ONOFF("plain") }, { "plain", "t:ON", ONOFF("plain") },
    { "plain", "\"on\"", TYPE("plain", "boolean") },
    { "plain", "1", TYPE("plain", "boolean") },
    { "plain", "[]", TYPE("plain", "boolean") },
    { "bit", "t:off", "false" }, { "bit", "true", "true" },
    { "bit", "null", TYPE("bit", "boolean") },
    { "wide", "true", "true" },
    { "u8", "t:255", "255" }, { "u8", "t:256", EXPECTS("u8", "uint8_t") },
    { "u8", "t:-1", EXPECTS("u8", "uint8_t") },
    { "u16", "t:0x10", "16" }, { "u16", "t:010", "8" }, { "u16", "t:+1", "1" },
    { "u16", "t:99999", EXPECTS("u16", "uint16_t") },
    { "u16", "t:x", EXPECTS("u16", "integer") },
    { "u16", "t:", EXPECTS("u16", "integer") },
    { "u16", "t:1k", EXPECTS("u16", "integer") },
    { "u16", "70000", EXPECTS("u16", "uint16_t") },
    { "u16", "-1", EXPECTS("u16", "uint16_t") },
    { "u16", "\"256\"", EXPECTS("u16", "uint64") },
    { "u16", "1.5", EXPECTS("u16", "uint64") },
    { "u16", "99999999999999999999", EXPECTS("u16", "uint64") },
    { "u16", "null", EXPECTS("u16", "uint64") },
    { "u32", "t:4294967296", EXPECTS("u32", "uint32_t") },
    { "u32", "t:99999999999999999999", EXPECTS("u32", "integer") },
    { "u64", "t:18446744073709551615", "18446744073709551615" },
    { "u64", "t:-1", "18446744073709551615" },
    { "u64", "18446744073709551615", "18446744073709551615" },
    { "i32", "t:-2147483648", "-2147483648" },
    { "i32", "t:-2147483649", EXPECTS("i32", "int32_t") },
    { "i32", "99999999999", EXPECTS("i32", "int32_t") },
    { "i32", "t:99999999999999999999", EXPECTS("i32", "integer") },
    { "i32", "\"1\"", TYPE("i32", "integer") },
    { "i32", "1.0", TYPE("i32", "integer") },
    { "i32", "18446744073709551615", TYPE("i32", "integer") },
    { "i64", "t:-9223372036854775808", "-9223372036854775808" },
    { "ranged", "t:16", "16" },
    { "ranged", "t:3", RANGE("ranged", "3", "4", "16") },
    { "ranged", "17", RANGE("ranged", "17", "4", "16") },
    { "signed-range", "-5", "-5" },
    { "signed-range", "t:-6", RANGE("signed-range", "-6", "-5", "5") },
    { "signed-range", "t:6", RANGE("signed-range", "6", "-5", "5") },
    { "size", "t:1.5G", "1610612736" }, { "size", "t:0", "0" },
    { "size", "t:x", EXPECTS("size", "size") },
    { "size", "t:-1", EXPECTS("size", "size") },
    { "size", "\"1k\"", EXPECTS("size", "uint64") }, { "size", "5", "5" },
    { "size32", "t:5G", "Property thing.size32 doesn't take value 5368709120 "
      "(maximum: 4294967295)" },
    { "size32", "t:4k", "4096" },
    { "str", "t:a,b", "\"a,b\"" }, { "str", "\"\"", "\"\"" },
    { "str", "5", TYPE("str", "string") },
    { "mode", "t:288", "\"288\"" }, { "mode", "t:x", ACCEPT("mode", "x") },
    { "mode", "t:", ACCEPT("mode", "") },
    { "mode", "\"auto\"", "\"auto\"" }, { "mode", "5", TYPE("mode", "string") },
    { "aut", "t:on", "\"on\"" }, { "aut", "t:true", ACCEPT("aut", "true") },
    { "aut", "true", TYPE("aut", "string") },
    { "mac", "t:52-54-00-12-34-56", "\"52:54:00:12:34:56\"" },
    { "mac", "t:zz", TAKES("mac", "zz") }, { "mac", "t:", TAKES("mac", "") },
    { "mac", "1", TYPE("mac", "string") },
    { "uuid", "t:550e8400-e29b-41d4-a716-446655440000",
      "\"550e8400-e29b-41d4-a716-446655440000\"" },
    { "uuid", "t:zz", "Property 'thing.uuid' doesn't take value 'zz'" },
    { "addr", "t:4", "32" }, { "addr", "t:1f.7", "255" },
    { "addr", "t:0x4", "32" }, { "addr", "\"4.1\"", "33" },
    { "addr", "255", "255" }, { "addr", "-1", "-1" },
    { "addr", "t:20", TAKES("addr", "20") },
    { "addr", "t:4.8", TAKES("addr", "4.8") },
    { "addr", "t:4.", TAKES("addr", "4.") },
    { "addr", "t:-1", TAKES("addr", "-1") },
    { "addr", "t:4.1.1", TAKES("addr", "4.1.1") },
    { "addr", "t:", TAKES("addr", "") },
    { "addr", "256", EXPECTS("addr", "a value between -1 and 255") },
    { "addr", "true", "Invalid parameter type for 'addr', expected int or "
      "str" },
    { "drive", "t:d0", "\"d0\"" },
    { "drive", "t:nope", "Property 'thing.drive' can't find value 'nope'" },
    { "drive", "1", TYPE("drive", "string") }, { "drive", "t:", "\"\"" },
    { "array", "t:1:2:0x3", "[1, 2, 3]" }, { "array", "[4, 5]", "[4, 5]" },
    { "array", "t:", "[]" },
    { "array", "t:0", RANGE("array", "0", "1", "100") },
    { "array", "[\"1\"]", EXPECTS("array", "uint64") },
    { "array", "5", TYPE("array", "array") },
    { "call", "t:x", "1" }, { "call", "5", "call wants text" },
    { "call", "\"5\"", TYPE("call", "integer") },
    { "call", "true", TYPE("call", "integer") },
    { "switch", "\"on\"", TYPE("switch", "boolean") },
    { "weight", "\"1k\"", EXPECTS("weight", "uint64") },
    { "weight", "1.5", EXPECTS("weight", "uint64") },
    { "weight", "t:x", "1" },
    { "shown", "t:x", "Property 'thing.shown' is not writable" },
    { "fixed", "5", "Property 'thing.fixed' is not writable" },
};

TEST(setting)
{
    machine_lock();
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        Thing *t = thing_new(0);
        set_is(t, cases[i].name, cases[i].value, cases[i].wanted);
        thing_free(t);
    }
    machine_unlock();
    CHECK_EQ(targets[0].claims, 0);
}

TEST(a_refused_value_changes_nothing)
{
    machine_lock();
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const Prop *p = prop_find(props, cases[i].name);
        bool text = g_str_has_prefix(cases[i].value, "t:");
        Thing *t = thing_new(0);
        Json *v = text ? json_str(cases[i].value + 2) :
                  json_parse(cases[i].value, strlen(cases[i].value), NULL);
        Json *old = p->kind == PK_CALL ? NULL : prop_get(&t->obj, p, NULL);
        if (!prop_set(&t->obj, p, v, text, "thing", NULL) && old) {
            Json *now = prop_get(&t->obj, p, NULL);
            CHECK(json_equal(old, now));
            json_free(now);
        }
        json_free(old);
        json_free(v);
        thing_free(t);
    }
    machine_unlock();
}

TEST(defaults_and_machine_versions)
{
    static const struct {
        unsigned version, u16;
        bool bit;
    } rows[] = {
        { 0, 256, true }, { 702, 256, true }, { 701, 128, false },
        { 700, 128, false }, { 602, 100, false }, { 501, 100, false },
        { 500, 64, false }, { 206, 64, false },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        Thing *t = thing_new(rows[i].version);
        CHECK_EQ(t->u16, rows[i].u16);
        CHECK_EQ((int)t->bits, rows[i].bit ? 8 : 0);
        CHECK_EQ(t->i32, -1);
        CHECK_EQ(t->addr, -1);
        CHECK_EQ(t->size, 2 * GiB);
        CHECK_EQ(t->mode, 3);
        CHECK_STR(t->json, "x");
        CHECK(!t->str && t->plain && !t->drive && !t->array.v);
        thing_free(t);
    }
}

TEST(bits_leave_their_neighbours)
{
    Thing *t = thing_new(0);
    machine_lock();
    t->bits = UINT32_MAX;
    t->wide_bits = UINT64_MAX;
    set_is(t, "bit", "t:off", "false");
    set_is(t, "wide", "t:off", "false");
    CHECK_EQ(t->bits, ~8u);
    CHECK_EQ(t->wide_bits, ~(1ull << 40));
    machine_unlock();
    thing_free(t);
}

TEST(several_values_mean_the_last)
{
    Thing *t = thing_new(0);
    Json *v = json_parse("[\"1\", \"2\"]", 10, NULL);
    machine_lock();
    CHECK(prop_set(&t->obj, prop_find(props, "u8"), v, true, "thing", NULL));
    CHECK_EQ(t->u8, 2);
    CHECK(prop_set(&t->obj, prop_find(props, "array"), v, true, "thing", NULL));
    CHECK_EQ(t->array.n, 2u);
    CHECK(!prop_set(&t->obj, prop_find(props, "u8"), v, false, "thing", NULL));
    machine_unlock();
    json_free(v);
    thing_free(t);
}

TEST(references)
{
    machine_lock();
    Thing *t = thing_new(0);
    set_is(t, "drive", "t:d0", "\"d0\"");
    CHECK_EQ(targets[0].claims, 1);
    set_is(t, "drive", "t:d1", "\"d1\"");
    CHECK_EQ(targets[0].claims, 0);
    set_is(t, "drive", "t:nope",
           "Property 'thing.drive' can't find value 'nope'");
    CHECK(t->drive == &targets[1]);
    CHECK_EQ(targets[1].claims, 1);
    obj_put(obj_dir("objects"), "d0", &targets[0].obj);
    targets[0].obj.kind = &obj_container;
    set_is(t, "link", "t:d0", "\"/objects/d0\"");
    set_is(t, "link", "\"/objects/d0\"", "\"/objects/d0\"");
    CHECK_EQ(targets[0].claims, 1);
    set_is(t, "link", "\"/objects\"",
           "Property 'thing.link' can't find value 'objects'");
    thing_free(t);
    CHECK_EQ(targets[0].claims, 0);
    CHECK_EQ(targets[1].claims, 0);
    obj_remove(&targets[0].obj);
    machine_unlock();
}

TEST(a_hook_that_refuses)
{
    machine_lock();
    Thing *t = thing_new(0);
    set_is(t, "live", "5", "5");
    set_is(t, "live", "13", "unlucky");
    CHECK_EQ(t->live, 5u);
    CHECK_EQ(t->calls, 2);
    set_is(t, "live", "\"x\"", EXPECTS("live", "uint64"));
    CHECK_EQ(t->calls, 2);
    set_is(t, "live-str", "t:yes", "\"yes\"");
    set_is(t, "live-str", "t:no", "unlucky");
    CHECK_STR(t->live_str, "yes");
    set_is(t, "live-str", "t:other", "\"other\"");
    machine_unlock();
    thing_free(t);
}

TEST(drawn_uuid)
{
    machine_lock();
    Thing *t = thing_new(0), *u = thing_new(0);
    CHECK(prop_set_text(&t->obj, prop_find(props, "uuid"), "auto", "x", NULL));
    CHECK(prop_set_text(&u->obj, prop_find(props, "uuid"), "auto", "x", NULL));
    CHECK(memcmp(t->uuid, u->uuid, 16));
    CHECK_EQ(t->uuid[6] >> 4, 4);
    CHECK_EQ(t->uuid[8] >> 6, 2);
    thing_free(t);
    thing_free(u);
    machine_unlock();
}

TEST(help_lines)
{
    static const Case lines[] = {
        { "plain", NULL, "  plain=<bool>           -  (default: true)" },
        { "bit", NULL, "  bit=<bool>             - on/off (default: true)" },
        { "u32", NULL,
          "  u32=<uint32>           -  (default: 4294967295)" },
        { "i32", NULL, "  i32=<int32>            -  (default: -1)" },
        { "size", NULL, "  size=<size>            -  (default: 2147483648)" },
        { "size32", NULL,
          "  size32=<size>          -  (default: 4294967295)" },
        { "str", NULL, "  str=<str>" }, { "named", NULL, "  named=<str>" },
        { "mode", NULL,
          "  mode=<FdcDriveType>    - drive type (default: \"auto\")" },
        { "aut", NULL,
          "  aut=<OnOffAuto>        - on/off/auto (default: \"auto\")" },
        { "mac", NULL, "  mac=<str>              - Ethernet 6-byte MAC "
          "Address, example: 52:54:00:12:34:56" },
        { "addr", NULL, "  addr=<int32>           - Slot and optional function "
          "number, example: 06.0 or 06 (default: -1)" },
        { "drive", NULL, "  drive=<str>            - Node name or ID of a "
          "block device to use as a backend" },
        { "link", NULL, "  link=<link<target>>" },
        { "call", NULL, "  call=<int>" },
        { "signed-range", NULL, "  signed-range=<int32>   -  (default: 0)" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        char *s = prop_help_line(prop_find(props, lines[i].name));
        CHECK_STR(s, lines[i].wanted);
        g_free(s);
    }
    static const Prop lng = { .name = "virtio-pci-bus-master-bug-migration",
                              .kind = PK_BIT32 };
    char *s = prop_help_line(&lng);
    CHECK_STR(s, "  virtio-pci-bus-master-bug-migration=<bool> - on/off "
              "(default: false)");
    g_free(s);
}

TEST(printing)
{
    static const Case prints[] = {
        { "plain", "t:on", "true" }, { "u32", "t:7", "7 (0x7)" },
        { "u32", "t:4294967295", "4294967295 (0xffffffff)" },
        { "i32", "t:-1", "-1 (0xffffffffffffffff)" },
        { "u64", "t:18446744073709551615",
          "18446744073709551615 (0xffffffffffffffff)" },
        { "size", "t:2G", "2147483648 (2 GiB)" }, { "size", "t:0", "0 (0 B)" },
        { "size", "t:512", "512 (512 B)" },
        { "size32", "t:4294967295", "4294967295 (4 GiB)" },
        { "size", "t:1.5k", "1536 (1.5 KiB)" },
        { "str", "t:x", "\"x\"" }, { "aut", "t:on", "\"on\"" },
        { "addr", "t:4.1", "04.1" }, { "addr", "-1", "<unset>" },
        { "mac", "t:52:54:00:00:00:01", "\"52:54:00:00:00:01\"" },
        { "drive", "t:d1", "\"d1\"" },
    };
    machine_lock();
    for (size_t i = 0; i < ARRAY_SIZE(prints); i++) {
        const Prop *p = prop_find(props, prints[i].name);
        Thing *t = thing_new(0);
        bool text = prints[i].value[0] == 't';
        Json *v = text ? json_str(prints[i].value + 2) : json_int(-1);
        CHECK(prop_set(&t->obj, p, v, text, "x", NULL));
        char *s = prop_print(&t->obj, p);
        CHECK_STR(s, prints[i].wanted);
        g_free(s);
        json_free(v);
        thing_free(t);
    }
    Thing *t = thing_new(0);
    char *s = prop_print(&t->obj, prop_find(props, "str"));
    CHECK_STR(s, "\"\"");
    g_free(s);
    thing_free(t);
    machine_unlock();
}
