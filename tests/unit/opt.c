/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * opt.c - option text, by the rules (and with the words) that scripts know.
 */
#include <glib.h>
#include "opt.h"
#include "tests/tern-test.h"

typedef struct Caught {
    ReportSink sink;
    GString *text;
} Caught;

static void catch_print(ReportSink *sink, const char *text)
{
    g_string_append(((Caught *)sink)->text, text);
}

/* What text becomes: JSON, "!" and the error, or JSON and " HELP"; reports
 * come first. */
static char *parsed(const char *text, const char *implied, unsigned flags)
{
    Caught c = { { catch_print }, g_string_new(NULL) };
    Error *err = NULL;
    Opts o;
    report_sink(&c.sink);
    if (!opts_parse(&o, text, implied, flags, &err)) {
        g_string_append_printf(c.text, "! %s", error_text(err));
        error_free(err);
        CHECK(!o.obj);
    } else {
        char *t = json_text(o.obj, false, NULL);
        g_string_append(c.text, t);
        g_string_append(c.text, o.help ? " HELP" : "");
        g_free(t);
        CHECK(o.text == (*text != '{'));
        opts_free(&o);
    }
    report_sink(NULL);
    return g_string_free(c.text, FALSE);
}

typedef struct Case {
    const char *in, *out;
} Case;

static void cases_run(const Case *c, size_t n, unsigned flags)
{
    for (size_t i = 0; i < n; i++) {
        char *out = parsed(c[i].in, "driver", flags);
        if (strcmp(out, c[i].out)) {
            FAIL("'%s': %s\n# wanted: %s", c[i].in, out, c[i].out);
        }
        g_free(out);
    }
}

#define TWICE(key, which) "warning: '" key "' is given twice: the " which \
    " one counts\n"

TEST(dotted)
{
    static const Case cases[] = {
        { "", "{}" },
        { "a", "{\"driver\": \"a\"}" },
        { "x.y", "{\"driver\": \"x.y\"}" },
        { "null-co,", "{\"driver\": \"null-co\"}" },
        { "qcow2,file.driver=file,file.filename=a,,b",
          "{\"driver\": \"qcow2\", \"file\": {\"driver\": \"file\", "
          "\"filename\": \"a,b\"}}" },
        { "null-co,driver=file", TWICE("driver", "last")
          "{\"driver\": \"file\"}" },
        { "null-co=a", "{\"null-co\": \"a\"}" },
        { "a=b=c", "{\"a\": \"b=c\"}" }, { "a==b", "{\"a\": \"=b\"}" },
        { "a=1,a=2", TWICE("a", "last") "{\"a\": \"2\"}" },
        { "a=1,,b=2", "{\"a\": \"1,b=2\"}" }, { "a=1,", "{\"a\": \"1\"}" },
        { "a=1,,", "{\"a\": \"1,\"}" }, { "a=1,,,", "{\"a\": \"1,\"}" },
        { "a=1,,,b=2", "{\"a\": \"1,\", \"b\": \"2\"}" },
        { "a.0=x,a.1=y", "{\"a\": [\"x\", \"y\"]}" },
        { "a.1=y,a.0=x", "{\"a\": [\"x\", \"y\"]}" },
        { "a.0.b=x,a.0.c=y", "{\"a\": [{\"b\": \"x\", \"c\": \"y\"}]}" },
        { "a.0.0=x", "{\"a\": [[\"x\"]]}" },
        { "a.0=x,a.00=y", "{\"a\": [\"y\"]}" },
        { "__com.x_a.b=1", "{\"__com.x_a\": {\"b\": \"1\"}}" },
        { "__9x_a=1", "{\"__9x_a\": \"1\"}" },
        { "A_b-9=1", "{\"A_b-9\": \"1\"}" },
        { "help", "{} HELP" }, { "?", "{} HELP" },
        { "help,x=1", "{\"x\": \"1\"} HELP" },
        { "d=n,?", "{\"d\": \"n\"} HELP" },
        { "help=1", "{\"help\": \"1\"}" },
        { "{\"a\": 1}", "{\"a\": 1}" },
        { "=x", "! Invalid parameter ''" }, { ",", "! Invalid parameter ''" },
        { ",a=b", "! Invalid parameter ''" },
        { "null,,co", "! Invalid parameter ''" },
        { "n,1a", "! Invalid parameter '1a'" },
        { "a..b=1", "! Invalid parameter 'a..b'" },
        { "a.=1", "! Invalid parameter 'a.'" },
        { ".a=1", "! Invalid parameter '.a'" },
        { "a.1a=1", "! Invalid parameter 'a.1a'" },
        { "a b=1", "! Invalid parameter 'a b'" },
        { "0.a=1", "! Invalid parameter '0.a'" },
        { "0=1", "! Invalid parameter '0'" },
        { "-a=1", "! Invalid parameter '-a'" },
        { "_a=1", "! Invalid parameter '_a'" },
        { "__com=1", "! Invalid parameter '__com'" },
        { "__com_=1", "! Invalid parameter '__com_'" },
        { "\xc3\xa9=1", "! Invalid parameter '\xc3\xa9'" },
        { "?=1", "! Invalid parameter '?'" },
        { "n,x.help", "! Expected '=' after parameter 'x.help'" },
        { "n,x", "! Expected '=' after parameter 'x'" },
        { "help,x", "! Expected '=' after parameter 'x'" },
        { "n,a,,b=2", "! Expected '=' after parameter 'a'" },
        { "a.1=1", "! Parameter 'a.0' missing" },
        { "a.0=1,a.2=1", "! Parameter 'a.1' missing" },
        { "a.99999999999999999999=1", "! Parameter 'a.0' missing" },
        { "a.0.1.x=1", "! Parameter 'a.0.0' missing" },
        { "a.0=1,a.b=1", "! Parameters 'a.*' used inconsistently" },
        { "a.b=1,a=1", "! Parameters 'a.*' used inconsistently" },
        { "a=1,a.b=1", "! Parameters 'a.*' used inconsistently" },
        { "a.0.b=1,a.0=1", "! Parameters 'a.0.*' used inconsistently" },
        { "{", "! JSON parse error, premature EOI" },
        { "{}}", "! Expecting at most one JSON value" },
    };
    cases_run(cases, ARRAY_SIZE(cases), 0);
}

#define SHORT(w, full) "warning: short-form boolean option '" w \
    "' deprecated\nPlease use " full " instead\n"

TEST(flat)
{
    static const Case cases[] = {
        { "", "{}" }, { "rtl8139", "{\"driver\": \"rtl8139\"}" },
        { "a,,b", "{\"driver\": \"a,b\"}" },
        { ",", "{\"driver\": \"\"}" }, { "=x", "{\"\": \"x\"}" },
        { "x,file.size=1", "{\"driver\": \"x\", \"file.size\": \"1\"}" },
        { "x,a=1,a=2", TWICE("a", "last")
          "{\"driver\": \"x\", \"a\": \"2\"}" },
        { "x,id=1,id=2", TWICE("id", "first")
          "{\"driver\": \"x\", \"id\": \"1\"}" },
        { "x,driver=y", TWICE("driver", "last") "{\"driver\": \"y\"}" },
        { "a=b=c,,,d=e", "{\"a\": \"b=c,\", \"d\": \"e\"}" },
        { "help", "{} HELP" }, { "x,help", "{\"driver\": \"x\"} HELP" },
        { "x,?", "{\"driver\": \"x\"} HELP" },
        { "x,server", SHORT("server", "server=on")
          "{\"driver\": \"x\", \"server\": \"on\"}" },
        { "x,nowait", SHORT("nowait", "wait=off")
          "{\"driver\": \"x\", \"wait\": \"off\"}" },
        { ",foo", SHORT("foo", "foo=on")
          "{\"driver\": \"\", \"foo\": \"on\"}" },
        { "{\"a\": [true]}", "{\"a\": [true]}" },
    };
    cases_run(cases, ARRAY_SIZE(cases), OPT_FLAT | OPT_BARE);
    char *out = parsed("x,server", NULL, OPT_FLAT);
    CHECK_STR(out, "! Expected '=' after parameter 'x'");
    g_free(out);
    out = parsed("u,hostfwd=a,hostfwd=b,hostfwd=c,x=1,x=2", "type",
                 OPT_FLAT | OPT_REPEAT);
    CHECK_STR(out, TWICE("x", "last") "{\"type\": \"u\", \"hostfwd\": "
              "[\"a\", \"b\", \"c\"], \"x\": \"2\"}");
    g_free(out);
    out = parsed("u,x=1,x=2", "type", OPT_FLAT | OPT_QUIET);
    CHECK_STR(out, "{\"type\": \"u\", \"x\": \"2\"}");
    g_free(out);
}

TEST(too_many_parts)
{
    GString *s = g_string_new("a");
    for (int i = 0; i < 60000; i++) {
        g_string_append(s, ".a");
    }
    g_string_append(s, "=1");
    char *out = parsed(s->str, NULL, 0);
    CHECK_CONTAINS(out, "too many parts");
    g_free(out);
    g_string_free(s, TRUE);
}

TEST(back_to_text)
{
    static const Case cases[] = {
        { "qcow2,file.driver=file,file.filename=a,,b,l.0=x,l.1.y=z",
          "driver=qcow2,file.driver=file,file.filename=a,,b,l.0=x,l.1.y=z" },
        { "{\"a\": true, \"b\": [1, false], \"c\": {\"d\": \"x,y\"}, "
          "\"e\": -2.5}", "a=on,b.0=1,b.1=off,c.d=x,,y,e=-2.5" },
        { "", "" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        Opts o;
        REQUIRE(opts_parse(&o, cases[i].in, "driver", 0, NULL));
        char *t = opts_text(o.obj);
        CHECK_STR(t, cases[i].out);
        g_free(t);
        opts_free(&o);
    }
}

/* ---- hostile text ------------------------------------------------------- */

static uint64_t seed = 1181783497276652981ull;

static uint64_t draw(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static void nothing(ReportSink *sink, const char *text)
{
}

/* Text of what was read reads as the same. */
TEST(random_text)
{
    static const char likely[] = "ab0199..,,==--__?{}\":no";
    ReportSink quiet = { nothing };
    report_sink(&quiet);
    char in[60];
    for (int i = 0; i < 60000; i++) {
        size_t n = draw() % (sizeof(in) - 1);
        for (size_t j = 0; j < n; j++) {
            in[j] = draw() % 16 ? likely[draw() % (sizeof(likely) - 1)] :
                    (char)(1 + draw() % 255);
        }
        in[n] = 0;
        Opts o, again;
        if (opts_parse(&o, in, draw() & 1 ? "driver" : NULL,
                       OPT_FLAT | OPT_BARE | OPT_REPEAT, NULL)) {
            opts_free(&o);
        }
        if (*in == '{' || !opts_parse(&o, in, "driver", 0, NULL)) {
            continue;
        }
        char *t = opts_text(o.obj);
        bool clean = g_utf8_validate(t, -1, NULL) && !strchr(t, '?') &&
                     !strstr(t, "\xef\xbf\xbd");
        if (clean) {
            bool ok = opts_parse(&again, t, NULL, 0, NULL);
            if (!ok || !json_equal(o.obj, again.obj)) {
                FAIL("'%s' as '%s'", in, t);
            }
            if (ok) {
                opts_free(&again);
            }
        }
        g_free(t);
        opts_free(&o);
    }
    report_sink(NULL);
}
