/* SPDX-License-Identifier: GPL-2.0-or-later */
/* monitor/hmp-args.c, hmp-expr.c: patterns, expressions, and their messages. */
#include "tests/tern-test.h"
#include "monitor/mon-impl.h"

/* JSON text of the arguments, or the message. */
static char *args(const char *pattern, const char *text)
{
    GString *why = g_string_new(NULL);
    Json *v = hmp_args_parse(pattern, "cmd", text, why);
    char *s = v ? json_text(v, false, NULL) : g_strdup(why->str);

    json_free(v);
    g_string_free(why, true);
    return s;
}

#define GIVES(pattern, text, want) do { \
    char *s_ = args(pattern, text); \
    CHECK_STR(s_, want); \
    g_free(s_); \
} while (0)

TEST(words)
{
    GIVES("a:str b?:str", " x", "{\"a\": \"x\"}");
    GIVES("a:str b?:str", " x  \"y z\" ", "{\"a\": \"x\", \"b\": \"y z\"}");
    GIVES("a:str", " \"q\\\"\\\\\\n\"", "{\"a\": \"q\\\"\\\\\\n\"}");
    GIVES("a:str", "", "cmd: string expected");
    GIVES("a:file", "", "cmd: filename expected");
    GIVES("a:device", "", "cmd: block device name expected");
    GIVES("a:str", " \"x", "unterminated string\ncmd: string expected");
    GIVES("a:str", " \"\\q\"",
          "unsupported escape code: '\\q'\ncmd: string expected");
    GIVES("a:str", " x y", "cmd: extraneous characters at the end of line");
    GIVES("a:str b:rest", " x  y z  ", "{\"a\": \"x\", \"b\": \"y z\"}");
    GIVES("", "  ", "{}");
    GIVES("", " x", "cmd: extraneous characters at the end of line");
}

TEST(expressions)
{
    mon_register_get = NULL;
    GIVES("v:expr", " 1+2|4", "{\"v\": 7}");
    GIVES("v:expr", " 1+1|1", "{\"v\": 2}");
    GIVES("v:expr", " 1|2^3&1", "{\"v\": 0}");
    GIVES("v:expr", " ( 1 + 2 ) * 3", "{\"v\": 9}");
    GIVES("v:expr", " -7/2", "{\"v\": -3}");
    GIVES("v:expr", " -7%3", "{\"v\": -1}");
    GIVES("v:expr", " ~0", "{\"v\": -1}");
    GIVES("v:expr", " 'a'", "{\"v\": 97}");
    GIVES("v:expr", " 010", "{\"v\": 8}");
    GIVES("v:expr", " 0x8000000000000000 / -1",
          "{\"v\": -9223372036854775808}");
    GIVES("v:expr", " 0x8000000000000000 % -1", "{\"v\": 0}");
    GIVES("v:expr", "", "unexpected end of expression");
    GIVES("v:expr", " 1+", "unexpected end of expression");
    GIVES("v:expr", " (1+2", "')' expected");
    GIVES("v:expr", " 7/0", "division by zero");
    GIVES("v:expr", " 7%0", "division by zero");
    GIVES("v:expr", " z", "invalid char 'z' in expression");
    GIVES("v:expr", " 'ab'", "missing terminating ' character");
    GIVES("v:expr", " '", "character constant expected");
    GIVES("v:expr", " $foo", "unknown register");
    GIVES("v:expr", " 99999999999999999999", "number too large");
    GIVES("v:expr", " 1 2", "cmd: extraneous characters at the end of line");
}

TEST(expressions_do_not_overflow_the_stack)
{
    char deep[20001];

    memset(deep, '(', 20000);
    deep[20000] = 0;
    GIVES("v:expr", deep, "expression is nested too deeply");
    memset(deep, '-', 20000);
    GIVES("v:expr", deep, "expression is nested too deeply");
}

TEST(integers_and_sizes)
{
    GIVES("v:int", " 0x100000000",
          "'cmd' has failed: integer is for 32-bit values");
    GIVES("v:int", " 0xffffffff", "{\"v\": 4294967295}");
    GIVES("v?:int", "", "{}");
    GIVES("v:mib", " 10", "{\"v\": 10485760}");
    GIVES("v:mib", " 1G", "{\"v\": 1073741824}");
    GIVES("v:mib", " -1", "enter a positive value");
    GIVES("v:size", " 1k", "{\"v\": 1024}");
    GIVES("v:size", " x", "cmd: invalid size");
    GIVES("v:time", " 10ms", "{\"v\": 0.01}");
    GIVES("v:time", " 1x", "cmd: invalid time");
    GIVES("v:bool", " on", "{\"v\": true}");
    GIVES("v:bool", " off", "{\"v\": false}");
    GIVES("v:bool", " onn", "Expected 'on' or 'off'");
    GIVES("v:bool", "", "Expected 'on' or 'off'");
}

TEST(flags)
{
    GIVES("-f:force -n:new a?:str", " -f x", "{\"force\": true, \"a\": \"x\"}");
    GIVES("-f:force -n:new a?:str", " -n -f",
          "{\"new\": true, \"force\": true}");
    GIVES("-f:force a?:str", " -q x", "cmd: unsupported option -q");
    GIVES("a:str -f:format=str b?:str", " x -f png y",
          "{\"a\": \"x\", \"format\": \"png\", \"b\": \"y\"}");
    GIVES("v:expr", " -1", "{\"v\": -1}");
    GIVES("a:str", " -x", "{\"a\": \"-x\"}");
}

TEST(formats)
{
    GIVES("f:fmt a:expr", "/4xb 1",
          "{\"count\": 4, \"format\": \"x\", \"size\": 1, \"a\": 1}");
    GIVES("f:fmt a:expr", " /d 1",
          "{\"count\": 1, \"format\": \"d\", \"size\": 1, \"a\": 1}");
    /* What was said before stays. */
    GIVES("f:fmt a:expr", " 1",
          "{\"count\": 1, \"format\": \"d\", \"size\": 1, \"a\": 1}");
    GIVES("f:fmt a:expr", "/xg 1",
          "{\"count\": 1, \"format\": \"x\", \"size\": 8, \"a\": 1}");
    GIVES("f:fmt a:expr", "/z 1", "invalid char in format: 'z'");
    GIVES("f:fmt a:expr", "/99999999999x 1",
          "{\"count\": 2147483647, \"format\": \"x\", \"size\": 8, \"a\": 1}");
    GIVES("f:fmt a:expr", "/x", "unexpected end of expression");
}

TEST(options)
{
    GIVES("d:opts=driver", " e1000,id=a,x=1,,2",
          "{\"driver\": \"e1000\", \"id\": \"a\", \"x\": \"1,2\"}");
    GIVES("d:opts=driver", "", "{}");
    GIVES("d:opts", " a=b", "{\"a\": \"b\"}");
}

TEST(random_patterns_and_lines)
{
    static const char *const kinds[] = {
        "str", "file", "device", "rest", "int", "expr", "size", "mib", "time",
        "bool", "fmt", "opts=k",
    };
    static const char letters[] = "abc \"\\'/-+()$0x9,=%&|^~\t\n\x80\xff";
    uint32_t seed = 7;

    for (int round = 0; round < 20000; round++) {
        char pattern[100] = "", line[40];
        int n = 0;

        for (int i = 0; i < 3; i++) {
            seed = seed * 1664525 + 1013904223;
            n += snprintf(pattern + n, sizeof(pattern) - n, "%c%s:%s ", 'a' + i,
                          seed & 256 ? "?" : "",
                          kinds[(seed >> 16) % ARRAY_SIZE(kinds)]);
        }
        for (n = 0; n < 39; n++) {
            seed = seed * 1664525 + 1013904223;
            line[n] = letters[(seed >> 16) % (sizeof(letters) - 1)];
        }
        line[(seed >> 8) % 40] = 0;
        line[39] = 0;
        g_free(args(pattern, line));
    }
}
