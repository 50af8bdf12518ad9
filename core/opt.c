/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * opt.c - option text to JSON objects, and back.
 *
 * Two forms of text, as the command line has always had them. Flat (-device,
 * -drive): keys are plain, a value may stand alone for a key (implied) or a key
 * for a value (x, nox). Dotted (-blockdev, -machine): "a.b=c" makes objects,
 * "a.0=x,a.1=y" lists; each part of a key is a name or an index. In both, ",,"
 * in a value is a comma.
 *
 * Thread class: ANY_THREAD.
 * Invariants:
 *  1. While dotted text is read, every inner node is an object; those with
 *     index keys become lists at the end.
 *  2. No key has more than JSON_MAX_DEPTH parts.
 *  3. A list is made only when indices 0..n-1 are all there, so its length is
 *     bounded by the length of the text.
 */
#include <ctype.h>
#include <glib.h>
#include "opt.h"

static bool is_help(const char *s, size_t n)
{
    return (n == 4 && !memcmp(s, "help", 4)) || (n == 1 && *s == '?');
}

/* Reads a value up to a single comma; *s ends after it. Caller frees. */
static char *value_read(const char **s)
{
    GString *v = g_string_new(NULL);
    const char *p = *s;
    for (; *p; p++) {
        if (*p == ',' && *++p != ',') {
            break;
        }
        g_string_append_c(v, *p);
    }
    *s = p;
    return g_string_free(v, FALSE);
}

/* Without the values: one may be a password. */
static void say_twice(const char *key, const char *which, unsigned flags)
{
    if (!(flags & OPT_QUIET)) {
        warn_report("'%s' is given twice: the %s one counts", key, which);
    }
}

/* ---- flat --------------------------------------------------------------- */

/* Of these several make a list, with OPT_REPEAT. */
static bool collects(const char *key)
{
    static const char *const keys[] = {
        "hostfwd", "guestfwd", "dnssearch", "cpus", "host-nodes", "value",
        "path", NULL,
    };

    return g_strv_contains(keys, key);
}

static void flat_put(Opts *o, const char *key, char *value, unsigned flags)
{
    Json *old = json_get(o->obj, key);
    if (!old) {
        json_set_str(o->obj, key, value);
    } else if (!strcmp(key, "id")) {
        say_twice(key, "first", flags);
    } else if (!(flags & OPT_REPEAT) || !collects(key)) {
        say_twice(key, "last", flags);
        json_set_str(o->obj, key, value);
    } else if (json_kind(old) == JSON_LIST) {
        json_add(old, json_str(value));
    } else {
        Json *list = json_list();
        json_add(list, json_copy(old));
        json_add(list, json_str(value));
        json_set(o->obj, key, list);
    }
    g_free(value);
}

static bool flat_bare(Opts *o, const char *word, unsigned flags, Error **errp)
{
    bool off = g_str_has_prefix(word, "no");
    const char *key = off ? word + 2 : word;
    if (!(flags & OPT_BARE)) {
        return error_set(errp, "Expected '=' after parameter '%s'", word);
    }
    if (!(flags & OPT_QUIET)) {
        Error *warning = NULL;
        error_set(&warning, "short-form boolean option '%s' deprecated", word);
        error_hint(&warning, "Please use %s=%s instead", key,
                   off ? "off" : "on");
        warn_report_err(warning);
    }
    flat_put(o, key, g_strdup(off ? "off" : "on"), flags);
    return true;
}

static bool flat_parse(Opts *o, const char *s, const char *implied,
                       unsigned flags, Error **errp)
{
    for (bool first = true; *s; first = false) {
        size_t n = strcspn(s, "=,");
        if (s[n] != '=' && first && implied) {
            char *v = value_read(&s);
            if (!(flags & OPT_PLAIN) && is_help(v, strlen(v))) {
                o->help = true;
                g_free(v);
            } else {
                flat_put(o, implied, v, flags);
            }
            continue;
        }
        char *key = g_strndup(s, n);
        o->help |= is_help(s, n);
        bool ok = true;
        if (s[n] == '=') {
            s += n + 1;
            char *v = value_read(&s);
            flat_put(o, key, v, flags);
        } else {
            ok = is_help(s, n) || flat_bare(o, key, flags, errp);
            s += n + (s[n] == ',');
        }
        g_free(key);
        if (!ok) {
            return false;
        }
    }
    return true;
}

/* ---- dotted ------------------------------------------------------------- */

static bool is_index(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!isdigit((uint8_t)s[i])) {
            return false;
        }
    }
    return n > 0;
}

/* Length of a name at s: a letter, then letters, digits, '-', '_'; a vendor's
 * begins with "__its.domain_". 0: none. */
static size_t name_length(const char *s)
{
    const char *p = s;
    if (p[0] == '_' && p[1] == '_') {
        for (p += 2; isalnum((uint8_t)*p) || *p == '.' || *p == '-'; p++) {
        }
        if (*p++ != '_') {
            return 0;
        }
    }
    if (!isalpha((uint8_t)*p)) {
        return 0;
    }
    while (isalnum((uint8_t)*p) || *p == '-' || *p == '_') {
        p++;
    }
    return p - s;
}

/* Length of the next part of a key, 0 when it is malformed. */
static size_t part_length(const char *s, bool first)
{
    size_t n = strcspn(s, ".=,");
    if (first || !is_index(s, n)) {
        n = name_length(s);
    }
    return n && strchr(".=,", s[n]) ? n : 0;    /* also at the end: NUL      */
}

static bool inconsistent(const char *path, size_t n, Error **errp)
{
    return error_set(errp, "Parameters '%.*s.*' used inconsistently", (int)n,
                     path);
}

/* Puts value (taken) at the key of n bytes. */
static bool dotted_put(Json *at, const char *key, size_t n, char *value,
                       unsigned flags, Error **errp)
{
    const char *s = key;
    bool ok = true;
    for (unsigned depth = 0;; depth++) {
        if (depth == JSON_MAX_DEPTH) {
            ok = error_set(errp, "Parameter '%.40s...' has too many parts",
                           key);
            break;
        }
        size_t len = part_length(s, s == key);
        char *part = g_strndup(s, len);
        Json *old = json_get(at, part);
        s += len;
        if (s == key + n) {
            ok = !old || json_kind(old) != JSON_OBJ ||
                 inconsistent(key, n, errp);
            if (ok) {
                if (old) {
                    say_twice(part, "last", flags);
                }
                json_set_str(at, part, value);
            }
            g_free(part);
            break;
        }
        if (old && json_kind(old) != JSON_OBJ) {
            ok = inconsistent(key, s - key, errp);
            g_free(part);
            break;
        }
        if (!old) {
            old = json_obj();
            json_set(at, part, old);
        }
        g_free(part);
        at = old;
        s++;
    }
    g_free(value);
    return ok;
}

/* The bytes of a whole key at s, 0 when it is malformed. */
static size_t key_length(const char *s)
{
    const char *p = s;
    for (;;) {
        size_t n = part_length(p, p == s);
        if (!n) {
            return 0;
        }
        p += n;
        if (*p != '.') {
            return p - s;
        }
        p++;
    }
}

static bool dotted_one(Opts *o, const char **s, const char *implied,
                       unsigned flags, Error **errp)
{
    size_t n = strcspn(*s, "=,");
    const char *key = *s;
    if (n && key[n] != '=') {
        if (is_help(key, n)) {
            o->help = true;
            *s += n + (key[n] == ',');
            return true;
        }
        if (implied) {
            *s += n + (key[n] == ',');
            return dotted_put(o->obj, implied, strlen(implied),
                              g_strndup(key, n), flags, errp);
        }
    }
    size_t len = key_length(key);
    if (!len || len != n) {
        return error_set(errp, "Invalid parameter '%.*s'", (int)n, key);
    }
    if (key[n] != '=') {
        return error_set(errp, "Expected '=' after parameter '%.*s'", (int)n,
                         key);
    }
    *s += n + 1;
    return dotted_put(o->obj, key, n, value_read(s), flags, errp);
}

/* ---- lists -------------------------------------------------------------- */

/* Index keys of an object with n members; > n stands for all greater. */
static uint32_t index_of(const char *key, size_t n)
{
    uint64_t v = 0;
    for (; *key && v <= n; key++) {
        v = v * 10 + (*key - '0');
    }
    return (uint32_t)MIN2(v, (uint64_t)n + 1);
}

static Json *list_from(Json *obj, const char *path, Error **errp)
{
    size_t n = json_count(obj);
    Json **at = g_new0(Json *, n + 2);
    uint32_t top = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t index = index_of(json_key_at(obj, i), n);
        at[index] = json_value_at(obj, i);
        top = MAX2(top, index);
    }
    Json *list = json_list();
    for (uint32_t i = 0; i <= top; i++) {
        if (!at[i]) {
            error_set(errp, "Parameter '%s.%u' missing", path, i);
            json_free(list);
            list = NULL;
            break;
        }
        json_add(list, json_copy(at[i]));
    }
    g_free(at);
    return list;
}

/* Makes lists of the objects below obj that have index keys. */
static bool make_lists(Json *obj, const char *path, Error **errp)
{
    for (size_t i = 0; i < json_count(obj); i++) {
        const char *key = json_key_at(obj, i);
        Json *v = json_value_at(obj, i);
        if (json_kind(v) != JSON_OBJ) {
            continue;
        }
        char *sub = *path ? g_strdup_printf("%s.%s", path, key) :
                    g_strdup(key);
        bool ok = make_lists(v, sub, errp);
        size_t indices = 0, n = json_count(v);
        for (size_t j = 0; j < n; j++) {
            const char *k = json_key_at(v, j);
            indices += is_index(k, strlen(k));
        }
        if (ok && indices && indices < n) {
            ok = inconsistent(sub, strlen(sub), errp);
        } else if (ok && indices) {
            Json *list = list_from(v, sub, errp);
            ok = list != NULL;
            if (ok) {
                json_set(obj, key, list);
            }
        }
        g_free(sub);
        if (!ok) {
            return false;
        }
    }
    return true;
}

/* ---- entry -------------------------------------------------------------- */

bool opts_parse(Opts *o, const char *text, const char *implied, unsigned flags,
                Error **errp)
{
    bool ok = true;
    *o = (Opts){ .text = true };
    if (*text == '{') {
        o->text = false;
        o->obj = json_parse(text, strlen(text), errp);
        return o->obj != NULL;
    }
    o->obj = json_obj();
    if (flags & OPT_FLAT) {
        ok = flat_parse(o, text, implied, flags, errp);
    } else {
        for (bool first = true; ok && *text; first = false) {
            ok = dotted_one(o, &text, first ? implied : NULL, flags, errp);
        }
        ok = ok && make_lists(o->obj, "", errp);
    }
    if (!ok) {
        opts_free(o);
    }
    return ok;
}

void opts_free(Opts *o)
{
    json_free(o->obj);
    o->obj = NULL;
}

static void text_add(GString *s, const char *path, const Json *v)
{
    JsonKind kind = json_kind(v);
    if (kind == JSON_OBJ || kind == JSON_LIST) {
        for (size_t i = 0; i < json_count(v); i++) {
            char *sub = kind == JSON_OBJ ?
                g_strdup_printf("%s%s%s", path, *path ? "." : "",
                                json_key_at(v, i)) :
                g_strdup_printf("%s.%zu", path, i);
            text_add(s, sub, kind == JSON_OBJ ? json_value_at(v, i) :
                     json_at(v, i));
            g_free(sub);
        }
        return;
    }
    g_string_append_printf(s, "%s%s=", s->len ? "," : "", path);
    if (kind == JSON_BOOL) {
        g_string_append(s, json_bool_of(v) ? "on" : "off");
    } else if (kind == JSON_STR) {
        for (const char *p = json_str_of(v); *p; p++) {
            g_string_append(s, *p == ',' ? ",," : (char[]){ *p, 0 });
        }
    } else if (kind != JSON_NULL) {
        char *t = json_text(v, false, NULL);
        g_string_append(s, t);
        g_free(t);
    }
}

char *opts_text(const Json *obj)
{
    GString *s = g_string_new(NULL);
    text_add(s, "", obj);
    return g_string_free(s, FALSE);
}
