/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * json-out.c - JSON text (RFC 8259), ASCII only, spaced as QMP clients know it.
 *
 * Thread class: ANY_THREAD; a JsonOut has one user.
 * Invariants:
 *  1. What is written parses back to an equal value; a number that JSON cannot
 *     say (infinity, not a number) is written as null.
 *  2. The buffer is grown before it is written: n <= cap.
 */
#include <math.h>
#include <glib.h>
#include "json-priv.h"

static char *out_room(JsonOut *o, size_t more)
{
    if (UNLIKELY(o->cap - o->n < more)) {
        size_t cap = MAX2(o->cap * 2, (size_t)256);
        while (cap - o->n < more) {
            cap *= 2;
        }
        o->buf = g_realloc(o->buf, cap);
        o->cap = cap;
    }
    return o->buf + o->n;
}

static void out_raw(JsonOut *o, const char *s, size_t n)
{
    memcpy(out_room(o, n), s, n);
    o->n += n;
}

static void out_newline(JsonOut *o)
{
    size_t n = (size_t)o->depth * 4;
    char *p = out_room(o, n + 1);
    p[0] = '\n';
    memset(p + 1, ' ', n);
    o->n += n + 1;
}

void json_out_begin(JsonOut *o, char open)
{
    out_raw(o, &open, 1);
    o->depth++;
    o->first = true;
}

void json_out_end(JsonOut *o, char close)
{
    g_assert(o->depth);
    o->depth--;
    if (o->pretty) {
        out_newline(o);
    }
    out_raw(o, &close, 1);
    o->first = false;
}

void json_out_sep(JsonOut *o)
{
    if (!o->first) {
        out_raw(o, ", ", o->pretty ? 1 : 2);
    }
    if (o->pretty) {
        out_newline(o);
    }
    o->first = false;
}

void json_out_key(JsonOut *o, const char *key)
{
    json_out_sep(o);
    json_out_str(o, key);
    out_raw(o, ": ", 2);
}

static unsigned put_u16(char *p, uint32_t v)
{
    static const char hex[] = "0123456789ABCDEF";
    p[0] = '\\';
    p[1] = 'u';
    p[2] = hex[v >> 12 & 15];
    p[3] = hex[v >> 8 & 15];
    p[4] = hex[v >> 4 & 15];
    p[5] = hex[v & 15];
    return 6;
}

/* One character that is not plain ASCII; returns the bytes it took. */
static unsigned out_char(JsonOut *o, const char *s)
{
    static const char *const marks = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (const char *m = marks; *m; m += 2) {
        if (*s == m[0]) {
            char two[2] = { '\\', m[1] };
            out_raw(o, two, 2);
            return 1;
        }
    }
    uint32_t cp;
    unsigned len = utf8_next(s, strnlen(s, 4), &cp);
    if (s[0] == (char)0xc0 && s[1] == (char)0x80) {
        cp = 0;
        len = 2;
    } else if (!len) {
        cp = 0xfffd;
        len = 1;
    }
    char *p = out_room(o, 12);
    if (cp >= 0x10000) {
        o->n += put_u16(p, 0xd800 + ((cp - 0x10000) >> 10));
        o->n += put_u16(p + 6, 0xdc00 + ((cp - 0x10000) & 0x3ff));
    } else {
        o->n += put_u16(p, cp);
    }
    return len;
}

void json_out_str(JsonOut *o, const char *s)
{
    out_raw(o, "\"", 1);
    while (*s) {
        size_t n = 0;
        while ((uint8_t)s[n] >= 0x20 && (uint8_t)s[n] < 0x7f &&
               s[n] != '"' && s[n] != '\\') {
            n++;
        }
        out_raw(o, s, n);
        s += n;
        if (*s) {
            s += out_char(o, s);
        }
    }
    out_raw(o, "\"", 1);
}

void json_out_uint(JsonOut *o, uint64_t u)
{
    char t[20], *p = t + sizeof(t);
    do {
        *--p = '0' + u % 10;
        u /= 10;
    } while (u);
    out_raw(o, p, t + sizeof(t) - p);
}

void json_out_int(JsonOut *o, int64_t i)
{
    if (i < 0) {
        out_raw(o, "-", 1);
        json_out_uint(o, -(uint64_t)i);
    } else {
        json_out_uint(o, (uint64_t)i);
    }
}

void json_out_bool(JsonOut *o, bool b)
{
    out_raw(o, b ? "true" : "false", b ? 4 : 5);
}

void json_out_double(JsonOut *o, double d)
{
    char t[G_ASCII_DTOSTR_BUF_SIZE];
    if (!isfinite(d)) {
        json_out_null(o);
        return;
    }
    /* 17 significant digits always read back as the same double. */
    g_ascii_formatd(t, sizeof(t), "%.17g", d);
    out_raw(o, t, strlen(t));
}

void json_out_null(JsonOut *o)
{
    out_raw(o, "null", 4);
}

void json_out_value(JsonOut *o, const Json *v)
{
    switch (v->kind) {
    case JSON_NULL:
        json_out_null(o);
        break;
    case JSON_BOOL:
        json_out_bool(o, v->b);
        break;
    case JSON_INT:
        json_out_int(o, v->i);
        break;
    case JSON_UINT:
        json_out_uint(o, v->u);
        break;
    case JSON_DOUBLE:
        json_out_double(o, v->d);
        break;
    case JSON_STR:
        json_out_str(o, v->s);
        break;
    case JSON_LIST:
        json_out_begin(o, '[');
        for (uint32_t i = 0; i < v->n; i++) {
            json_out_sep(o);
            json_out_value(o, v->list[i]);
        }
        json_out_end(o, ']');
        break;
    case JSON_OBJ:
        json_out_begin(o, '{');
        for (uint32_t i = 0; i < v->n; i++) {
            json_out_key(o, v->obj[i].key);
            json_out_value(o, v->obj[i].v);
        }
        json_out_end(o, '}');
        break;
    }
}

char *json_text(const Json *v, bool pretty, size_t *len)
{
    JsonOut o = { .pretty = pretty, .first = true };
    json_out_value(&o, v);
    if (len) {
        *len = o.n;
    }
    out_raw(&o, "", 1);
    return o.buf;
}
