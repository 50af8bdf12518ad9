/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * json.c, json-out.c - JSON values and their text.
 */
#include <float.h>
#include <math.h>
#include <glib.h>
#include "json.h"
#include "tests/tern-test.h"

static void text_is(Json *v, const char *wanted)
{
    size_t n = 0;
    char *t = json_text(v, false, &n);
    CHECK_STR(t, wanted);
    CHECK_EQ(n, strlen(wanted));
    g_free(t);
    json_free(v);
}

TEST(scalars)
{
    text_is(json_null(), "null");
    text_is(json_bool(true), "true");
    text_is(json_bool(false), "false");
    text_is(json_int(INT64_MIN), "-9223372036854775808");
    text_is(json_int(0), "0");
    text_is(json_uint(UINT64_MAX), "18446744073709551615");
    text_is(json_double(0.1), "0.10000000000000001");
    text_is(json_double(1e100), "1e+100");
    text_is(json_double(-0.0), "-0");
    text_is(json_double(123456789.125), "123456789.125");
    text_is(json_double(NAN), "null");
    text_is(json_double(-INFINITY), "null");
    Json *v = json_uint(5);
    CHECK_EQ((int)json_kind(v), JSON_INT);
    CHECK_EQ(json_uint_of(v), 5u);
    json_free(v);
    v = json_uint((uint64_t)INT64_MAX + 1);
    CHECK_EQ((int)json_kind(v), JSON_UINT);
    CHECK(json_double_of(v) == 9223372036854775808.0);
    json_free(v);
}

TEST(strings)
{
    text_is(json_str("\xc3\xa9\xf0\x9f\x98\x80\t\b\f\n\r\\\"/'\x7f\x01"),
            "\"\\u00E9\\uD83D\\uDE00\\t\\b\\f\\n\\r\\\\\\\"/'\\u007F\\u0001\"");
    text_is(json_str("a\xff" "b\xc3"), "\"a\\uFFFDb\\uFFFD\"");
    text_is(json_str("\xed\xa0\x80"), "\"\\uFFFD\\uFFFD\\uFFFD\"");
    text_is(json_str("x\xc0\x80y"), "\"x\\u0000y\"");
    text_is(json_str("\xc0\xaf"), "\"\\uFFFD\\uFFFD\"");
    text_is(json_strf("%d%s", 5, "\xfe"), "\"5\\uFFFD\"");
    text_is(json_str(""), "\"\"");
}

TEST(lists)
{
    Json *v = json_list();
    for (int i = 0; i < 9; i++) {
        json_add(v, json_int(i));
    }
    json_free(json_take_at(v, 0));
    json_free(json_take_at(v, 7));
    json_free(json_take_at(v, 3));
    CHECK_EQ(json_count(v), 6u);
    CHECK_EQ(json_int_of(json_at(v, 3)), 5);
    text_is(v, "[1, 2, 3, 5, 6, 7]");
}

TEST(objects_keep_their_order)
{
    Json *v = json_obj();
    json_set_int(v, "z", 1);
    json_set_str(v, "a", "x");
    json_set_bool(v, "m", true);
    json_set_int(v, "z", 2);
    CHECK_STR(json_key_at(v, 0), "z");
    CHECK_EQ(json_int_of(json_value_at(v, 0)), 2);
    CHECK_STR(json_get_str(v, "a"), "x");
    CHECK(!json_get_str(v, "z") && !json_get(v, "q"));
    Json *m = json_take(v, "a");
    CHECK(!json_take(v, "a"));
    json_set(v, "last", m);
    text_is(v, "{\"z\": 2, \"m\": true, \"last\": \"x\"}");
}

TEST(large_objects)
{
    Json *v = json_obj();
    char key[32];
    for (int i = 0; i < 5000; i++) {
        snprintf(key, sizeof(key), "key%d", i);
        json_set_int(v, key, i);
    }
    for (int i = 0; i < 5000; i += 7) {
        snprintf(key, sizeof(key), "key%d", i);
        json_free(json_take(v, key));
    }
    for (int i = 0; i < 5000; i++) {
        snprintf(key, sizeof(key), "key%d", i);
        const Json *e = json_get(v, key);
        CHECK((e != NULL) == (i % 7 != 0));
        if (e && json_int_of(e) != i) {
            FAIL("%s is %d", key, (int)json_int_of(e));
        }
    }
    json_set_int(v, "key7", -7);       /* builds the index again              */
    CHECK_EQ(json_int_of(json_get(v, "key7")), -7);
    CHECK_EQ(json_int_of(json_get(v, "key4999")), 4999);
    json_free(v);
}

TEST(pretty)
{
    Json *v = json_obj(), *l = json_list();
    json_add(l, json_int(1));
    json_add(l, json_list());
    json_add(l, json_obj());
    json_set(v, "a", l);
    json_set_str(v, "b", "c");
    char *t = json_text(v, true, NULL);
    CHECK_STR(t, "{\n"
              "    \"a\": [\n"
              "        1,\n"
              "        [\n"
              "        ],\n"
              "        {\n"
              "        }\n"
              "    ],\n"
              "    \"b\": \"c\"\n"
              "}");
    g_free(t);
    json_free(v);
}

TEST(writer_without_a_tree)
{
    JsonOut o = { .first = true };
    json_out_begin(&o, '{');
    json_out_key(&o, "return");
    json_out_begin(&o, '[');
    json_out_sep(&o);
    json_out_uint(&o, 7);
    json_out_sep(&o);
    json_out_null(&o);
    json_out_end(&o, ']');
    json_out_key(&o, "ok");
    json_out_bool(&o, false);
    json_out_end(&o, '}');
    CHECK_EQ(o.n, strlen("{\"return\": [7, null], \"ok\": false}"));
    CHECK_MEM(o.buf, "{\"return\": [7, null], \"ok\": false}", o.n);
    g_free(o.buf);
}

TEST(equality)
{
    const char *texts[] = {
        "null", "true", "false", "1", "1.0", "18446744073709551615", "\"1\"",
        "[]", "{}", "[1]", "[1, 2]", "[2, 1]", "{\"a\": 1, \"b\": 2}",
        "{\"a\": 1, \"b\": 3}", "{\"a\": 1, \"c\": 2}", "{\"a\": 1}",
    };
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        Json *a = json_parse(texts[i], strlen(texts[i]), NULL);
        REQUIRE(a);
        Json *copy = json_copy(a);
        CHECK(json_equal(a, copy));
        for (size_t j = 0; j < ARRAY_SIZE(texts); j++) {
            Json *b = json_parse(texts[j], strlen(texts[j]), NULL);
            if (json_equal(a, b) != (i == j)) {
                FAIL("%s and %s", texts[i], texts[j]);
            }
            json_free(b);
        }
        json_free(a);
        json_free(copy);
    }
    Json *a = json_parse("{'a': 1, 'b': 2}", 16, NULL);
    Json *b = json_parse("{'b': 2, 'a': 1}", 16, NULL);
    CHECK(json_equal(a, b));
    json_free(a);
    json_free(b);
}

TEST(kind_names)
{
    CHECK_STR(json_kind_name(JSON_INT), "integer");
    CHECK_STR(json_kind_name(JSON_UINT), "integer");
    CHECK_STR(json_kind_name(JSON_DOUBLE), "number");
    CHECK_STR(json_kind_name(JSON_OBJ), "object");
    CHECK_STR(json_kind_name(JSON_LIST), "array");
    CHECK_STR(json_kind_name(JSON_STR), "string");
    CHECK_STR(json_kind_name(JSON_BOOL), "boolean");
    CHECK_STR(json_kind_name(JSON_NULL), "null");
}

/* ---- random values come back -------------------------------------------- */

static uint64_t seed = 0x9e3779b97f4a7c15ull;

static uint64_t draw(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static Json *random_double(void)
{
    union {
        uint64_t u;
        double d;
    } v;
    do {
        v.u = draw();
    } while (!isfinite(v.d) || (fabs(v.d) < 1e20 && v.d == floor(v.d)));
    return json_double(v.d);
}

static char *random_text(void)
{
    GString *s = g_string_new(NULL);
    for (uint64_t n = draw() % 12; n; n--) {
        uint32_t cp = draw() % 3 ? 1 + draw() % 126 : draw() % 0x110000;
        if (cp && !(cp >= 0xd800 && cp <= 0xdfff) &&
            !(cp >= 0xfdd0 && cp <= 0xfdef) && (cp & 0xfffe) != 0xfffe) {
            g_string_append_unichar(s, cp);
        }
    }
    return g_string_free(s, FALSE);
}

static Json *random_value(unsigned depth)
{
    Json *v;
    char *s;
    switch (draw() % (depth ? 8 : 6)) {
    case 0:
        return json_null();
    case 1:
        return json_bool(draw() & 1);
    case 2:
        return json_int((int64_t)draw() >> draw() % 64);
    case 3:
        return json_uint(draw() >> draw() % 64);
    case 4:
        return random_double();
    case 5:
        s = random_text();
        v = json_str(s);
        g_free(s);
        return v;
    case 6:
        v = json_list();
        for (uint64_t n = draw() % 6; n; n--) {
            json_add(v, random_value(depth - 1));
        }
        return v;
    default:
        v = json_obj();
        for (uint64_t n = draw() % 6; n; n--) {
            s = random_text();
            json_set(v, s, random_value(depth - 1));
            g_free(s);
        }
        return v;
    }
}

TEST(random_round_trip)
{
    for (int i = 0; i < 4000; i++) {
        Json *v = random_value(5);
        size_t n;
        char *t = json_text(v, i & 1, &n);
        Error *err = NULL;
        Json *w = json_parse(t, n, &err);
        if (!w || !json_equal(v, w)) {
            FAIL("%s: %s", t, err ? error_text(err) : "differs");
        }
        for (size_t j = 0; j < n; j++) {
            if ((t[j] < ' ' && t[j] != '\n') || t[j] > '~') {
                FAIL("byte %02x in the text", (uint8_t)t[j]);
            }
        }
        error_free(err);
        json_free(w);
        json_free(v);
        g_free(t);
    }
}
