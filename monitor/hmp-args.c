/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hmp-args.c - the words behind an HMP command, by the pattern of its entry in
 * schema/, to a JSON object.
 *
 * Pattern: arguments between blanks, each `name:kind`, `name?:kind` when it may
 * be left out, or `-x:name` for a flag (`-x:name=kind`: a flag with a value).
 * `@...` after the kind tells completion where values come from. Kinds:
 *   str file device   a word, or "quoted text" with \n \r \" \' \\
 *   rest              everything up to the end of the line
 *   int               32-bit integer expression
 *   expr              64-bit integer expression
 *   dot               a dot, then a 32-bit integer expression
 *   size mib          bytes with a suffix k, M, G, T; number alone counts MiB for
 *                     mib, bytes for size
 *   time              seconds, or with suffix ms, us, ns
 *   bool              on or off
 *   fmt               /COUNT FORMAT SIZE, as three members count, format, size
 *   opts              key=value,... ; the members become the command's own;
 *                     opts=KEY names the key of a first value
 *
 * MACHINE_CALL (registers in expressions). Invariant: the result has each name
 * at most once and is freed by nobody but the caller.
 */
#include <ctype.h>
#include <math.h>
#include "mon-impl.h"
#include "opt.h"

typedef struct Args {
    const char *p;                     /* rest of the line                    */
    const char *name;                  /* command, for messages               */
    Json *obj;
    GString *why;
} Args;

static void skip(const char **p)
{
    while (isspace((unsigned char)**p)) {
        (*p)++;
    }
}

static bool fail(Args *a, const char *fmt, const char *what)
{
    g_string_printf(a->why, fmt, a->name, what);
    return false;
}

bool hmp_arg_at(const char **pattern, HmpArg *a)
{
    char word[sizeof(a->name) + sizeof(a->kind) + sizeof(a->extra)];
    char *colon, *at, *eq;
    size_t n;

    skip(pattern);
    n = strcspn(*pattern, " ");
    if (!n || n >= sizeof(word)) {
        return false;
    }
    memcpy(word, *pattern, n);
    word[n] = 0;
    *pattern += n;
    memset(a, 0, sizeof(*a));
    colon = strchr(word, ':');
    if (!colon) {
        return false;
    }
    *colon++ = 0;
    at = strchr(colon, '@');
    eq = strchr(colon, '=');
    if (at && (!eq || at < eq)) {
        *at++ = 0;
        g_strlcpy(a->extra, at, sizeof(a->extra));
    } else if (eq) {
        *eq++ = 0;
        g_strlcpy(a->extra, eq, sizeof(a->extra));
    }
    if (word[0] == '-') {              /* -x:name[=kind]                      */
        a->flag = word[1];
        a->optional = true;
        g_strlcpy(a->name, colon, sizeof(a->name));
        a->has_value = eq != NULL;
        g_strlcpy(a->kind, eq ? a->extra : "flag", sizeof(a->kind));
        return true;
    }
    if (word[0] && word[strlen(word) - 1] == '?') {
        a->optional = true;
        word[strlen(word) - 1] = 0;
    }
    g_strlcpy(a->name, word, sizeof(a->name));
    g_strlcpy(a->kind, colon, sizeof(a->kind));
    return true;
}

static char *quoted(const char **p, GString *why)
{
    static const char marks[] = "n\nr\r\\\\''\"\"";
    GString *s = g_string_new(NULL);
    const char *q = *p + 1;

    for (; *q && *q != '"'; q++) {
        char c = *q;

        if (c == '\\') {
            const char *m = marks;

            c = *++q;
            while (*m && *m != c) {
                m += 2;
            }
            if (!c || !*m) {
                g_string_printf(why, "unsupported escape code: '\\%c'\n", c);
                g_string_free(s, true);
                return NULL;
            }
            c = m[1];
        }
        g_string_append_c(s, c);
    }
    if (!*q) {
        g_string_assign(why, "unterminated string\n");
        g_string_free(s, true);
        return NULL;
    }
    *p = q + 1;
    return g_string_free(s, false);
}

char *hmp_word(const char **p, GString *why)
{
    const char *q;
    char *s;

    skip(p);
    if (!**p) {
        return NULL;
    }
    if (**p == '"') {
        return quoted(p, why);
    }
    for (q = *p; *q && !isspace((unsigned char)*q); q++) {
    }
    s = g_strndup(*p, q - *p);
    *p = q;
    return s;
}

static bool arg_word(Args *a, const HmpArg *h, const char *what)
{
    char *s;

    skip(&a->p);
    if (!*a->p && h->optional) {
        return true;
    }
    s = hmp_word(&a->p, a->why);
    if (!s) {                          /* the reason, then what was wanted    */
        g_string_append_printf(a->why, "%s: %s expected", a->name, what);
        return false;
    }
    json_set(a->obj, h->name, json_str(s));
    g_free(s);
    return true;
}

static bool arg_integer(Args *a, const HmpArg *h, bool narrow)
{
    int64_t v;

    if (!hmp_expr(&a->p, &v, a->why)) {
        return false;
    }
    if (narrow && (v < INT32_MIN || v > UINT32_MAX)) {
        return fail(a, "'%s' has failed: integer is for 32-bit values%s", "");
    }
    json_set(a->obj, h->name, json_int(v));
    return true;
}

/* A word that is a number with a unit. */
static bool arg_size(Args *a, const HmpArg *h, uint64_t unit)
{
    char *s = hmp_word(&a->p, a->why);
    uint64_t v;

    if (!s || !opt_size(h->name, s, unit, &v, NULL)) {
        g_free(s);
        return fail(a, "%s: invalid size%s", "");
    }
    g_free(s);
    json_set(a->obj, h->name, json_uint(v));
    return true;
}

static bool arg_mib(Args *a, const HmpArg *h)
{
    size_t n = 0;

    skip(&a->p);
    while (isdigit((unsigned char)a->p[n])) {
        n++;
    }
    if (n && strchr("bkKmMgGtTpPeE.", a->p[n]) && a->p[n]) {
        return arg_size(a, h, MiB);
    }
    if (!arg_integer(a, h, false)) {
        return false;
    }
    int64_t v = json_int_of(json_get(a->obj, h->name));
    if (v < 0) {
        g_string_assign(a->why, "enter a positive value");
        return false;
    }
    json_set(a->obj, h->name, json_uint((uint64_t)v << 20));
    return true;
}

static bool arg_time(Args *a, const HmpArg *h)
{
    static const struct { const char *unit; double by; } units[] = {
        { "ms", 1e-3 }, { "us", 1e-6 }, { "ns", 1e-9 }, { "s", 1 }, { "", 1 },
    };
    char *s = hmp_word(&a->p, a->why), *end;
    double d = s ? g_ascii_strtod(s, &end) : 0;
    bool ok = false;

    for (size_t i = 0; s && end != s && i < ARRAY_SIZE(units); i++) {
        if (!strcmp(end, units[i].unit) && isfinite(d)) {
            json_set(a->obj, h->name, json_double(d * units[i].by));
            ok = true;
            break;
        }
    }
    g_free(s);
    return ok || fail(a, "%s: invalid time%s", "");
}

static bool arg_bool(Args *a, const HmpArg *h)
{
    size_t n;

    skip(&a->p);
    if (!*a->p && h->optional) {
        return true;
    }
    for (n = 0; a->p[n] && !isspace((unsigned char)a->p[n]); n++) {
    }
    if (!(n == 2 && !memcmp(a->p, "on", 2)) &&
        !(n == 3 && !memcmp(a->p, "off", 3))) {
        g_string_assign(a->why, "Expected 'on' or 'off'");
        return false;
    }
    json_set(a->obj, h->name, json_bool(n == 2));
    a->p += n;
    return true;
}

/* What /fmt last said stays for the next command. */
static bool arg_fmt(Args *a)
{
    static char format = 'x';
    static int size = 4;
    int64_t count = 1;
    int this_size = 0;
    char this_format[2] = { 0 };

    skip(&a->p);
    if (*a->p == '/') {
        a->p++;
        if (isdigit((unsigned char)*a->p)) {
            count = 0;
        }
        for (; isdigit((unsigned char)*a->p); a->p++) {
            count = MIN2(count * 10 + (*a->p - '0'), (int64_t)INT32_MAX);
        }
        for (; *a->p && !isspace((unsigned char)*a->p); a->p++) {
            const char *s = strchr("b1h2w4g8L8", *a->p);

            if (strchr("oduxic", *a->p)) {
                this_format[0] = *a->p;
            } else if (s && !isdigit((unsigned char)*a->p)) {
                this_size = s[1] - '0';
            } else {
                g_string_printf(a->why, "invalid char in format: '%c'", *a->p);
                return false;
            }
        }
    }
    if (!this_format[0]) {
        this_format[0] = format;
    }
    if (this_format[0] != 'i' && this_size) {
        size = this_size;
    }
    format = this_format[0];
    json_set(a->obj, "count", json_int(count));
    json_set(a->obj, "format", json_str(this_format));
    json_set(a->obj, "size", json_int(format == 'i' ? this_size : size));
    return true;
}

static bool arg_rest(Args *a, const HmpArg *h)
{
    skip(&a->p);
    if (!*a->p) {
        return h->optional || fail(a, "%s: %s expected", "string");
    }
    size_t n = strlen(a->p);
    while (isspace((unsigned char)a->p[n - 1])) {
        n--;
    }
    char *s = g_strndup(a->p, n);
    json_set(a->obj, h->name, json_str(s));
    g_free(s);
    a->p += strlen(a->p);
    return true;
}

static bool arg_opts(Args *a, const HmpArg *h)
{
    Opts o = { 0 };
    Error *err = NULL;
    HmpArg line = { .name = "\001", .optional = true };
    char key1[sizeof(h->extra)];
    const char *text;

    arg_rest(a, &line);
    text = json_get_str(a->obj, line.name);
    if (!text) {
        return true;
    }
    /* What follows '@' is for completion. */
    g_strlcpy(key1, h->extra, MIN(sizeof(key1), strcspn(h->extra, "@") + 1));
    if (!opts_parse(&o, text, key1[0] ? key1 : NULL, OPT_FLAT, &err)) {
        g_string_printf(a->why, "Error: %s", error_text(err));
        error_free(err);
        return false;
    }
    json_free(json_take(a->obj, line.name));
    while (json_count(o.obj)) {
        char *key = g_strdup(json_key_at(o.obj, 0));

        json_set(a->obj, key, json_take(o.obj, key));
        g_free(key);
    }
    if (o.help && key1[0] && !json_get(a->obj, key1)) {
        json_set_str(a->obj, key1, "help");
    } else if (o.help) {
        json_set_bool(a->obj, "help", true);
    }
    opts_free(&o);
    return true;
}

static bool arg_value(Args *a, const HmpArg *h)
{
    const char *k = h->kind;

    if (!strcmp(k, "file")) {
        return arg_word(a, h, "filename");
    }
    if (!strcmp(k, "device")) {
        return arg_word(a, h, "block device name");
    }
    if (!strcmp(k, "str")) {
        return arg_word(a, h, "string");
    }
    if (!strcmp(k, "bool")) {
        return arg_bool(a, h);
    }
    if (!strcmp(k, "fmt")) {
        return arg_fmt(a);
    }
    if (!strcmp(k, "rest")) {
        return arg_rest(a, h);
    }
    if (!strcmp(k, "opts")) {
        return arg_opts(a, h);
    }
    skip(&a->p);
    if (!*a->p && h->optional) {
        return true;
    }
    if (!strcmp(k, "dot")) {
        if (*a->p != '.') {
            return true;
        }
        a->p++;
        skip(&a->p);
        return arg_integer(a, h, true);
    }
    if (!strcmp(k, "size")) {
        return arg_size(a, h, 1);
    }
    if (!strcmp(k, "mib")) {
        return arg_mib(a, h);
    }
    if (!strcmp(k, "time")) {
        return arg_time(a, h);
    }
    return arg_integer(a, h, !strcmp(k, "int"));
}

/* Flags stand before the other arguments, or where the pattern has them. */
static bool arg_flags(Args *a, const char *pattern)
{
    HmpArg h;

    for (;;) {
        const char *p = pattern;
        bool any = false, found = false;

        skip(&a->p);
        if (*a->p != '-' || !a->p[1] || isspace((unsigned char)a->p[1])) {
            return true;
        }
        while (hmp_arg_at(&p, &h)) {
            if (h.flag) {
                any = true;
                found |= h.flag == a->p[1];
            }
            if (found) {
                break;
            }
        }
        if (!any || (isspace((unsigned char)a->p[2]) || !a->p[2]) != true) {
            return true;               /* an argument that begins with '-'    */
        }
        if (!found) {
            char c[2] = { a->p[1], 0 };

            return fail(a, "%s: unsupported option -%s", c);
        }
        a->p += 2;
        if (!h.has_value) {
            json_set_bool(a->obj, h.name, true);
        } else if (!arg_value(a, &h)) {
            return false;
        }
    }
}

Json *hmp_args_parse(const char *pattern, const char *name, const char *text,
                     GString *why)
{
    Args a = { text, name, json_obj(), why };
    const char *p = pattern;
    bool ok = true;
    HmpArg h;

    while (ok && hmp_arg_at(&p, &h)) {
        const char *from = p;

        while (from > pattern && from[-1] != ' ') {
            from--;
        }
        ok = arg_flags(&a, from) && (h.flag || arg_value(&a, &h));
    }
    skip(&a.p);
    if (ok && *a.p) {
        ok = fail(&a, "%s: extraneous characters at the end of line%s", "");
    }
    if (!ok) {
        json_free(a.obj);
        return NULL;
    }
    return a.obj;
}
