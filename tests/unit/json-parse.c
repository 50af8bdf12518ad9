/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * json-parse.c - the streaming parser: what it takes, how it refuses, where it
 * goes on. The refusals are those that QMP clients know, word for word.
 */
#include <time.h>
#include <glib.h>
#include "json.h"
#include "tests/tern-test.h"

/* What came out, one line per value or error. */
static void note(void *arg, Json *v, Error *err)
{
    GString *out = arg;
    if (err) {
        g_string_append_printf(out, "! %s\n", error_text(err));
        error_free(err);
        CHECK(!v);
        return;
    }
    char *t = json_text(v, false, NULL);
    g_string_append_printf(out, "%s\n", t);
    g_free(t);
    json_free(v);
}

static char *parse_all(const char *in, size_t n, size_t step, bool flush)
{
    GString *out = g_string_new(NULL);
    JsonParser *p = json_parser_new(note, out);
    for (size_t at = 0; at < n; at += step) {
        json_parser_feed(p, in + at, MIN2(step, n - at));
    }
    if (flush) {
        json_parser_flush(p);
    }
    json_parser_free(p);
    return g_string_free(out, FALSE);
}

typedef struct Case {
    const char *in, *out;
} Case;

#define PE "! JSON parse error, "
#define VALUE PE "expecting value\n"

/* Each is followed by a line break, as a client would send it. */
static const Case cases[] = {
    { "{\"a\": [1, 2, {}], \"b\": null}",
      "{\"a\": [1, 2, {}], \"b\": null}\n" },
    { " [ ] ", "[]\n" }, { "{}{}", "{}\n{}\n" }, { "1 2", "1\n2\n" },
    { "'a\"b'", "\"a\\\"b\"\n" }, { "'a\\'b'", "\"a'b\"\n" },
    { "\"a'b\"", "\"a'b\"\n" },
    { "x", PE "invalid keyword 'x'\n" },
    { "xyz abc",
      PE "invalid keyword 'xyz'\n" PE "invalid keyword 'abc'\n" },
    { "@", PE "stray '@'\n" },
    { "{\"a\"}", PE "missing : in object pair\n" },
    { "{\"a\":}", VALUE }, { "{\"a\":1,}", VALUE }, { "{,}", VALUE },
    { "[1,]", VALUE }, { "[,1]", VALUE }, { "]", VALUE }, { "}", VALUE },
    { "{]", VALUE }, { "[}", VALUE }, { ",", VALUE }, { ":", VALUE },
    { "[1 2]", PE "expected separator in list\n" },
    { "{\"a\":1 \"b\":2}", PE "expected separator in dict\n" },
    { "{1:2}", PE "key is not a string in object\n" },
    { "{\"a\" 1}", PE "missing : in object pair\n" },
    { "{\"a\":1,\"a\":2}", PE "duplicate key\n" },
    { "tRue", PE "invalid keyword 't'\n" PE "stray 'R'\n" },
    { "\"\\x\"", PE "invalid escape sequence in string\n" },
    { "\"\\u12\"", PE "\\u12\" is not a valid Unicode character\n" },
    { "\"\\u00zz\"", PE "\\u00zz is not a valid Unicode character\n" },
    { "\"\\ud800\"", PE "\\ud800 is not a valid Unicode character\n" },
    { "\"\\ud800\\u0041\"", PE "\\ud800 is not a valid Unicode character\n" },
    { "\"\\udc00\"", PE "\\udc00 is not a valid Unicode character\n" },
    { "\"\\uffff\"", PE "\\uffff is not a valid Unicode character\n" },
    { "\"\\ud83f\\udffe\"",
      PE "\\ud83f\\udffe is not a valid Unicode character\n" },
    { "\"\\ud83d\\ude00\\u00e9\\/\"", "\"\\uD83D\\uDE00\\u00E9/\"\n" },
    { "\"\\u0000\"", "\"\\u0000\"\n" },
    { "\"a\001b\"", PE "stray '\"a\001'\n" },
    { "\"a\nb\"\n1", PE "stray '\"a\n'\n1\n" },
    { "\"\xff", PE "stray '\"\xff'\n" },
    { "\"\xc3(\"", PE "invalid UTF-8 sequence in string\n" },
    { "\"\xc0\x80\"", PE "invalid UTF-8 sequence in string\n" },
    { "\"\xed\xa0\x80\"", PE "invalid UTF-8 sequence in string\n" },
    { "\"\xf4\x90\x80\x80\"", PE "invalid UTF-8 sequence in string\n" },
    { "\"\xe2\x82\"", PE "invalid UTF-8 sequence in string\n" },
    { "\"\xc3\xa9\"", "\"\\u00E9\"\n" },
    { "01", PE "stray '01'\n" }, { "-x", PE "stray '-x'\n" },
    { "- 1", PE "stray '- '\n" }, { "1.e5", PE "stray '1.e'\n" },
    { ".5", PE "stray '.'\n" }, { "+1", PE "stray '+'\n" },
    { "1-2", "1\n-2\n" }, { "0x10", "0\n" PE "invalid keyword 'x'\n10\n" },
    { "-0", "0\n" }, { "1.0", "1\n" }, { "12.5e1", "125\n" },
    { "1E5", "100000\n" }, { "1e-5", "1.0000000000000001e-05\n" },
    { "18446744073709551615", "18446744073709551615\n" },
    { "18446744073709551616", "1.8446744073709552e+19\n" },
    { "-9223372036854775808", "-9223372036854775808\n" },
    { "-9223372036854775809", "-9.2233720368547758e+18\n" },
    { "1e999", PE "number out of range\n" },
    { "%d", PE "stray '%'\n" },
    { "{\"a\":%s}", PE "stray '%'\n" VALUE },
    { "garbage {\"a\":1}", PE "invalid keyword 'garbage'\n{\"a\": 1}\n" },
    { "{\"a\": ZZ {\"b\":1}", PE "stray 'Z'\n{\"b\": 1}\n" },
    { "{\"a\": @ zz \n{\"b\":1}", PE "stray '@'\n{\"b\": 1}\n" },
    { "{\"a\": \xff{\"b\":1}", PE "stray '\xff'\n{\"b\": 1}\n" },
    { "{\"a\":1}}", "{\"a\": 1}\n" VALUE },
    { "{\"a\":[}", "" }, { "{\"a\":[}]", VALUE },
    { "{\"a\":tru,\"b\":\"\\x\"}", PE "invalid keyword 'tru'\n" },
    { "\\", PE "stray '\\'\n" }, { "/* c */", PE "stray '/'\n" },
    { "", "" }, { " \t\r", "" }, { "{\"a\":1", "" },
};

TEST(cases_in_one_piece_and_byte_by_byte)
{
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char *in = g_strconcat(cases[i].in, "\n", NULL);
        for (size_t step = 1; step < 5000; step += 4998) {
            char *out = parse_all(in, strlen(in), step, false);
            if (strcmp(cases[i].out, out)) {
                FAIL("%s, step %zu: %s", cases[i].in, step, out);
            }
            g_free(out);
        }
        g_free(in);
    }
}

TEST(one_value)
{
    static const Case one[] = {
        { "", "Expecting a JSON value" }, { "  ", "Expecting a JSON value" },
        { "1 2", "Expecting at most one JSON value" },
        { "{}}", "Expecting at most one JSON value" },
        { "{}@", "Expecting at most one JSON value" },
        { "{\"a\"", "JSON parse error, premature EOI" },
        { "{\"a", "JSON parse error, stray '\"a'" },
        { "{\"a\":nul", "JSON parse error, invalid keyword 'nul'" },
        { "{\"a\":1-", "JSON parse error, stray '-'" },
        { "[1,", "JSON parse error, premature EOI" },
        { "1e", "JSON parse error, stray '1e'" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(one); i++) {
        Error *err = NULL;
        Json *v = json_parse(one[i].in, strlen(one[i].in), &err);
        CHECK(!v);
        REQUIRE(err);
        CHECK_STR(error_text(err), one[i].out);
        error_free(err);
    }
    CHECK(!json_parse("x", 1, NULL));
    Json *v = json_parse("{}\n trailing", 3, NULL);
    CHECK(v && json_count(v) == 0);
    json_free(v);
    v = json_parse("42", 2, NULL);
    CHECK_EQ(json_int_of(v), 42);
    json_free(v);
    v = json_parse("true", 4, NULL);
    CHECK(v && json_bool_of(v));
}

/* ---- limits ------------------------------------------------------------- */

TEST(depth)
{
    GString *s = g_string_new(NULL);
    for (int i = 0; i < JSON_MAX_DEPTH; i++) {
        g_string_append_c(s, '[');
    }
    for (int i = 0; i < JSON_MAX_DEPTH; i++) {
        g_string_append_c(s, ']');
    }
    Json *v = json_parse(s->str, s->len, NULL);
    CHECK(v);
    json_free(v);
    g_string_prepend(s, "[");
    char *out = parse_all(s->str, s->len, s->len, false);
    CHECK(g_str_has_prefix(out, "! JSON nesting depth limit exceeded\n" VALUE));
    g_free(out);
    g_string_free(s, TRUE);
}

typedef struct Count {
    unsigned values, errors;
    char last[80];
} Count;

static void count_one(void *arg, Json *v, Error *err)
{
    Count *c = arg;
    c->values += v != NULL;
    c->errors += err != NULL;
    if (err) {
        g_strlcpy(c->last, error_text(err), sizeof(c->last));
    }
    json_free(v);
    error_free(err);
}

TEST(size)
{
    Count c = { 0 };
    JsonParser *p = json_parser_new(count_one, &c);
    char *chunk = g_malloc(MiB);
    memset(chunk, 'a', MiB);
    json_parser_feed(p, "{\"a\": \"", 7);
    for (int i = 0; i < 64; i++) {
        json_parser_feed(p, chunk, MiB);
    }
    json_parser_feed(p, "aaaaaa", 6);
    CHECK_EQ(c.errors, 1u);
    CHECK_STR(c.last, "JSON token size limit exceeded");
    json_parser_feed(p, chunk, MiB);
    json_parser_feed(p, "\"}\n{}", 5);
    CHECK_EQ(c.values, 1u);
    json_parser_reset(p);
    c = (Count){ 0 };
    memset(chunk, '7', MiB);           /* a number, and then a word           */
    for (int i = 0; i < 65; i++) {
        json_parser_feed(p, chunk, MiB);
    }
    CHECK_STR(c.last, "JSON token size limit exceeded");
    json_parser_reset(p);
    memset(chunk, 'q', MiB);
    for (int i = 0; i < 65; i++) {
        json_parser_feed(p, chunk, MiB);
    }
    CHECK_EQ(c.errors, 2u);
    json_parser_free(p);
    g_free(chunk);
}

TEST(tokens)
{
    Count c = { 0 };
    JsonParser *p = json_parser_new(count_one, &c);
    GString *s = g_string_new(NULL);
    for (int i = 0; i < 4096; i++) {
        g_string_append(s, "1,");
    }
    json_parser_feed(p, "[", 1);
    for (int i = 0; i < 256; i++) {
        json_parser_feed(p, s->str, s->len);
    }
    CHECK_EQ(c.errors, 1u);
    CHECK_STR(c.last, "JSON token count limit exceeded");
    json_parser_reset(p);
    json_parser_feed(p, "[1, 2]", 6);
    CHECK_EQ(c.values, 1u);
    json_parser_free(p);
    g_string_free(s, TRUE);
}

/* ---- life --------------------------------------------------------------- */

static JsonParser *suicidal;

static void free_inside(void *arg, Json *v, Error *err)
{
    json_free(v);
    error_free(err);
    CHECK_EQ(++*(int *)arg, 1);
    json_parser_free(suicidal);
}

TEST(freed_from_inside)
{
    int calls = 0;
    suicidal = json_parser_new(free_inside, &calls);
    json_parser_feed(suicidal, "{} {} @ {}", 10);
    CHECK_EQ(calls, 1);
}

TEST(reset)
{
    GString *out = g_string_new(NULL);
    JsonParser *p = json_parser_new(note, out);
    json_parser_feed(p, "{\"a\": [\"half", 12);
    json_parser_reset(p);
    json_parser_feed(p, "[1]", 3);
    CHECK_STR(out->str, "[1]\n");
    json_parser_free(p);
    g_string_free(out, TRUE);
}

/* ---- hostile bytes ------------------------------------------------------ */

static uint64_t seed = 88172645463325252ull;

static uint64_t draw(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

/* However input is cut, the same comes out. */
TEST(random_bytes)
{
    static const char likely[] = "{}[],:\"'\\ \n\tu0123dDeE+-.truefalsn\xff"
                                 "\xc3\xa9\001%";
    char in[200];
    for (int i = 0; i < 20000; i++) {
        size_t n = draw() % sizeof(in);
        for (size_t j = 0; j < n; j++) {
            in[j] = draw() % 8 ? likely[draw() % (sizeof(likely) - 1)] :
                    (char)draw();
        }
        char *whole = parse_all(in, n, sizeof(in), true);
        char *cut = parse_all(in, n, 1 + draw() % 7, true);
        CHECK_STR(whole, cut);
        g_free(whole);
        g_free(cut);
    }
}

/* Damaged copies of a real command. */
TEST(mutations)
{
    static const char command[] =
        "{\"execute\": \"device_add\", \"arguments\": {\"driver\": "
        "\"virtio-net-pci\", \"id\": \"n\\u0031\", \"mq\": true, \"vectors\": "
        "[1, -2.5e3, null, {\"x\": 'y'}]}, \"id\": 18446744073709551615}\r\n";
    for (int i = 0; i < 20000; i++) {
        char in[sizeof(command)];
        memcpy(in, command, sizeof(command));
        for (uint64_t k = 1 + draw() % 4; k; k--) {
            in[draw() % (sizeof(command) - 1)] = (char)draw();
        }
        char *whole = parse_all(in, sizeof(in) - 1, sizeof(in), true);
        char *cut = parse_all(in, sizeof(in) - 1, 1 + draw() % 20, true);
        CHECK_STR(whole, cut);
        g_free(whole);
        g_free(cut);
    }
}

/* Many members must not take quadratic time. */
TEST(many_members)
{
    GString *s = g_string_new("{");
    for (int i = 0; i < 200000; i++) {
        g_string_append_printf(s, "%s\"k%d\":%d", i ? "," : "", i, i);
    }
    g_string_append_c(s, '}');
    clock_t from = clock();
    Json *v = json_parse(s->str, s->len, NULL);
    REQUIRE(v);
    CHECK_EQ(json_count(v), 200000u);
    CHECK_EQ(json_int_of(json_get(v, "k199999")), 199999);
    CHECK_LT((clock() - from) / CLOCKS_PER_SEC, 5);
    json_free(v);
    g_string_free(s, TRUE);
}
