/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * json.c - JSON values (RFC 8259).
 *
 * Thread class: ANY_THREAD for reading; a value is written by its one owner.
 * Invariants:
 *  1. A value has one parent or one owner. null, true and false are shared
 *     constants, which nobody writes or frees.
 *  2. JSON_UINT only holds values above INT64_MAX, so kinds compare.
 *  3. An object above INDEX_MIN members has either no index or a whole one:
 *     what a client sends cannot make lookup quadratic.
 *  4. Strings are UTF-8 with U+0000 written as C0 80.
 */
#include <glib.h>
#include "json-priv.h"

#define INDEX_MIN 24

static Json const_null = { .kind = JSON_NULL };
static Json const_false = { .kind = JSON_BOOL, .b = false };
static Json const_true = { .kind = JSON_BOOL, .b = true };

/* ---- UTF-8 (RFC 3629) --------------------------------------------------- */

bool utf8_is_char(uint32_t cp)
{
    return cp <= 0x10ffff && !(cp >= 0xd800 && cp <= 0xdfff) &&
           !(cp >= 0xfdd0 && cp <= 0xfdef) && (cp & 0xfffe) != 0xfffe;
}

unsigned utf8_next(const char *p, size_t n, uint32_t *cp)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    const uint8_t *b = (const uint8_t *)p;
    if (!n) {
        return 0;
    }
    if (b[0] < 0x80) {
        *cp = b[0];
        return 1;
    }
    unsigned len = b[0] >= 0xf8 ? 0 : b[0] >= 0xf0 ? 4 : b[0] >= 0xe0 ? 3 :
                   b[0] >= 0xc0 ? 2 : 0;
    if (!len || n < len) {
        return 0;
    }
    uint32_t c = b[0] & (0x7f >> len);
    for (unsigned i = 1; i < len; i++) {
        if ((b[i] & 0xc0) != 0x80) {
            return 0;
        }
        c = c << 6 | (b[i] & 0x3f);
    }
    if (c < least[len] || !utf8_is_char(c)) {
        return 0;
    }
    *cp = c;
    return len;
}

unsigned utf8_put(char *p, uint32_t cp)
{
    if (cp && cp < 0x80) {
        p[0] = cp;
        return 1;
    }
    if (cp < 0x800) {
        p[0] = 0xc0 | cp >> 6;
        p[1] = 0x80 | (cp & 0x3f);
        return 2;
    }
    if (cp < 0x10000) {
        p[0] = 0xe0 | cp >> 12;
        p[1] = 0x80 | (cp >> 6 & 0x3f);
        p[2] = 0x80 | (cp & 0x3f);
        return 3;
    }
    p[0] = 0xf0 | cp >> 18;
    p[1] = 0x80 | (cp >> 12 & 0x3f);
    p[2] = 0x80 | (cp >> 6 & 0x3f);
    p[3] = 0x80 | (cp & 0x3f);
    return 4;
}

static bool plain_ascii(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (s[i] & 0x80) {
            return false;
        }
    }
    return true;
}

/* A copy with what is not UTF-8 replaced by U+FFFD. */
static char *utf8_clean(const char *s, size_t n)
{
    if (plain_ascii(s, n)) {
        char *copy = g_malloc(n + 1);
        memcpy(copy, s, n);
        copy[n] = 0;
        return copy;
    }
    GString *g = g_string_sized_new(n + 8);
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        unsigned len = utf8_next(s + i, n - i, &cp);
        if (!len && s[i] == (char)0xc0 && i + 1 < n &&
            s[i + 1] == (char)0x80) {
            len = 2;                   /* invariant 4                         */
        }
        if (len) {
            g_string_append_len(g, s + i, len);
            i += len;
        } else {
            g_string_append(g, "\xef\xbf\xbd");
            i++;
        }
    }
    return g_string_free(g, FALSE);
}

/* ---- making ------------------------------------------------------------- */

static Json *json_new(JsonKind kind)
{
    Json *v = g_new0(Json, 1);
    v->kind = kind;
    return v;
}

Json *json_null(void)
{
    return &const_null;
}

Json *json_bool(bool b)
{
    return b ? &const_true : &const_false;
}

Json *json_int(int64_t i)
{
    Json *v = json_new(JSON_INT);
    v->i = i;
    return v;
}

Json *json_uint(uint64_t u)
{
    if (u <= INT64_MAX) {
        return json_int((int64_t)u);
    }
    Json *v = json_new(JSON_UINT);
    v->u = u;
    return v;
}

Json *json_double(double d)
{
    Json *v = json_new(JSON_DOUBLE);
    v->d = d;
    return v;
}

Json *json_str_take(char *s)
{
    Json *v = json_new(JSON_STR);
    v->s = s;
    return v;
}

Json *json_str(const char *s)
{
    return json_str_take(utf8_clean(s, strlen(s)));
}

Json *json_strf(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *s = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    if (!plain_ascii(s, strlen(s))) {
        char *clean = utf8_clean(s, strlen(s));
        g_free(s);
        s = clean;
    }
    return json_str_take(s);
}

Json *json_list(void)
{
    return json_new(JSON_LIST);
}

Json *json_obj(void)
{
    return json_new(JSON_OBJ);
}

Json *json_copy(const Json *v)
{
    Json *c;
    switch (v->kind) {
    case JSON_NULL:
    case JSON_BOOL:
        return (Json *)v;
    case JSON_INT:
    case JSON_UINT:
    case JSON_DOUBLE:
        c = json_new(v->kind);
        c->u = v->u;
        return c;
    case JSON_STR:
        return json_str_take(g_strdup(v->s));
    case JSON_LIST:
        c = json_list();
        for (uint32_t i = 0; i < v->n; i++) {
            json_add(c, json_copy(v->list[i]));
        }
        return c;
    case JSON_OBJ:
        c = json_obj();
        for (uint32_t i = 0; i < v->n; i++) {
            json_append(c, g_strdup(v->obj[i].key), json_copy(v->obj[i].v));
        }
        return c;
    }
    g_assert_not_reached();
}

void json_free(Json *v)
{
    if (!v || v->kind <= JSON_BOOL) {
        return;
    }
    if (v->kind == JSON_STR) {
        g_free(v->s);
    } else if (v->kind == JSON_LIST) {
        for (uint32_t i = 0; i < v->n; i++) {
            json_free(v->list[i]);
        }
        g_free(v->list);
    } else if (v->kind == JSON_OBJ) {
        for (uint32_t i = 0; i < v->n; i++) {
            g_free(v->obj[i].key);
            json_free(v->obj[i].v);
        }
        g_free(v->obj);
        g_free(v->index);
    }
    g_free(v);
}

/* ---- reading ------------------------------------------------------------ */

JsonKind json_kind(const Json *v)
{
    return v->kind;
}

const char *json_kind_name(JsonKind k)
{
    static const char *const names[] = {
        [JSON_NULL] = "null", [JSON_BOOL] = "boolean",
        [JSON_INT] = "integer", [JSON_UINT] = "integer",
        [JSON_DOUBLE] = "number", [JSON_STR] = "string",
        [JSON_LIST] = "array", [JSON_OBJ] = "object",
    };
    return names[k];
}

bool json_bool_of(const Json *v)
{
    g_assert(v->kind == JSON_BOOL);
    return v->b;
}

int64_t json_int_of(const Json *v)
{
    g_assert(v->kind == JSON_INT);
    return v->i;
}

uint64_t json_uint_of(const Json *v)
{
    g_assert(v->kind == JSON_UINT || (v->kind == JSON_INT && v->i >= 0));
    return v->u;
}

double json_double_of(const Json *v)
{
    switch (v->kind) {
    case JSON_INT:
        return (double)v->i;
    case JSON_UINT:
        return (double)v->u;
    default:
        g_assert(v->kind == JSON_DOUBLE);
        return v->d;
    }
}

const char *json_str_of(const Json *v)
{
    g_assert(v->kind == JSON_STR);
    return v->s;
}

size_t json_count(const Json *v)
{
    g_assert(v->kind == JSON_LIST || v->kind == JSON_OBJ);
    return v->n;
}

/* ---- lists -------------------------------------------------------------- */

Json *json_at(const Json *list, size_t i)
{
    g_assert(list->kind == JSON_LIST && i < list->n);
    return list->list[i];
}

void json_add(Json *list, Json *v)
{
    g_assert(list->kind == JSON_LIST && v);
    if (list->n == list->cap) {
        list->cap = list->cap ? list->cap * 2 : 4;
        list->list = g_renew(Json *, list->list, list->cap);
    }
    list->list[list->n++] = v;
}

Json *json_take_at(Json *list, size_t i)
{
    Json *v = json_at(list, i);
    memmove(list->list + i, list->list + i + 1,
            (list->n - i - 1) * sizeof(Json *));
    list->n--;
    return v;
}

/* ---- objects ------------------------------------------------------------ */

static uint32_t key_hash(const char *key)
{
    /* Keyed by a load address, so that a client cannot choose collisions. */
    uint64_t h = 0xcbf29ce484222325ull ^ (uintptr_t)&const_null;
    for (; *key; key++) {
        h = (h ^ (uint8_t)*key) * 0x100000001b3ull;
        h ^= h >> 29;
    }
    return (uint32_t)(h ^ h >> 32);
}

static void index_put(Json *obj, uint32_t pos)
{
    uint32_t at = key_hash(obj->obj[pos].key) & obj->index_mask;
    while (obj->index[at]) {
        at = (at + 1) & obj->index_mask;
    }
    obj->index[at] = pos + 1;
}

static void index_build(Json *obj)
{
    uint32_t size = 64;
    while (size < obj->n * 4) {
        size *= 2;
    }
    g_free(obj->index);
    obj->index = g_new0(uint32_t, size);
    obj->index_mask = size - 1;
    for (uint32_t i = 0; i < obj->n; i++) {
        index_put(obj, i);
    }
}

static void index_drop(Json *obj)
{
    g_free(obj->index);
    obj->index = NULL;
}

/* Position, or -1. Small objects, and the ones read only now and then, are
 * searched in order; lookups never write, so readers may share. */
static ssize_t obj_find(const Json *obj, const char *key)
{
    g_assert(obj->kind == JSON_OBJ);
    if (obj->index) {
        uint32_t at = key_hash(key) & obj->index_mask;
        for (; obj->index[at]; at = (at + 1) & obj->index_mask) {
            uint32_t pos = obj->index[at] - 1;
            if (!strcmp(obj->obj[pos].key, key)) {
                return pos;
            }
        }
        return -1;
    }
    for (uint32_t i = 0; i < obj->n; i++) {
        if (!strcmp(obj->obj[i].key, key)) {
            return i;
        }
    }
    return -1;
}

void json_append(Json *obj, char *key, Json *v)
{
    if (obj->n == obj->cap) {
        obj->cap = obj->cap ? obj->cap * 2 : 4;
        obj->obj = g_renew(JsonMember, obj->obj, obj->cap);
    }
    obj->obj[obj->n++] = (JsonMember){ key, v };
    if (obj->index && obj->n * 2 <= obj->index_mask) {
        index_put(obj, obj->n - 1);
    } else if (obj->n > INDEX_MIN) {
        index_build(obj);
    }
}

Json *json_get(const Json *obj, const char *key)
{
    ssize_t i = obj_find(obj, key);
    return i < 0 ? NULL : obj->obj[i].v;
}

const char *json_get_str(const Json *obj, const char *key)
{
    const Json *v = json_get(obj, key);
    return v && v->kind == JSON_STR ? v->s : NULL;
}

void json_set(Json *obj, const char *key, Json *v)
{
    g_assert(v);
    ssize_t i = obj_find(obj, key);
    if (i >= 0) {
        json_free(obj->obj[i].v);
        obj->obj[i].v = v;
    } else {
        json_append(obj, utf8_clean(key, strlen(key)), v);
    }
}

void json_set_str(Json *obj, const char *key, const char *s)
{
    json_set(obj, key, json_str(s));
}

void json_set_int(Json *obj, const char *key, int64_t i)
{
    json_set(obj, key, json_int(i));
}

void json_set_bool(Json *obj, const char *key, bool b)
{
    json_set(obj, key, json_bool(b));
}

Json *json_take(Json *obj, const char *key)
{
    ssize_t i = obj_find(obj, key);
    if (i < 0) {
        return NULL;
    }
    Json *v = obj->obj[i].v;
    g_free(obj->obj[i].key);
    memmove(obj->obj + i, obj->obj + i + 1,
            (obj->n - i - 1) * sizeof(JsonMember));
    obj->n--;
    index_drop(obj);
    return v;
}

const char *json_key_at(const Json *obj, size_t i)
{
    g_assert(obj->kind == JSON_OBJ && i < obj->n);
    return obj->obj[i].key;
}

Json *json_value_at(const Json *obj, size_t i)
{
    g_assert(obj->kind == JSON_OBJ && i < obj->n);
    return obj->obj[i].v;
}

/* ---- comparing ---------------------------------------------------------- */

static bool obj_equal(const Json *a, const Json *b)
{
    for (uint32_t i = 0; i < a->n; i++) {
        const Json *w = json_get(b, a->obj[i].key);
        if (!w || !json_equal(a->obj[i].v, w)) {
            return false;
        }
    }
    return true;
}

bool json_equal(const Json *a, const Json *b)
{
    if (a->kind != b->kind || a->n != b->n) {
        return false;
    }
    switch (a->kind) {
    case JSON_NULL:
        return true;
    case JSON_BOOL:
        return a->b == b->b;
    case JSON_INT:
    case JSON_UINT:
        return a->u == b->u;
    case JSON_DOUBLE:
        return a->d == b->d;
    case JSON_STR:
        return !strcmp(a->s, b->s);
    case JSON_LIST:
        for (uint32_t i = 0; i < a->n; i++) {
            if (!json_equal(a->list[i], b->list[i])) {
                return false;
            }
        }
        return true;
    case JSON_OBJ:
        return obj_equal(a, b);
    }
    g_assert_not_reached();
}
