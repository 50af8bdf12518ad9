/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * schema.c - walkers over the tables generated from schema/: JSON to struct, and
 * checking. Wire format: the QMP description of QEMU's published protocol
 * (members, unions told apart by a tag, alternates by JSON kind).
 *
 * ANY_THREAD. Invariants:
 *  1. After a failed parse the struct is all zero and owns nothing.
 *  2. Recursion is bounded by the depth of the JSON value, which the parser
 *     bounds.
 *  3. A walk without a struct (out NULL) only checks.
 */
#include <glib.h>
#include "monitor.h"
#include "opt.h"

typedef struct Path {                  /* where we are, for messages          */
    const struct Path *up;
    const char *name;                  /* NULL: element `index`               */
    size_t index;
} Path;

typedef struct Walk {
    bool text;
    Error **errp;
} Walk;

static void path_print(GString *s, const Path *p)
{
    if (!p) {
        return;
    }
    path_print(s, p->up);
    if (!p->name) {
        g_string_append_printf(s, "[%zu]", p->index);
    } else {
        g_string_append_printf(s, "%s%s", s->len ? "." : "", p->name);
    }
}

static char *path_text(const Path *p)
{
    GString *s = g_string_new(NULL);

    path_print(s, p);
    if (!s->len) {
        g_string_append(s, "null");
    }
    return g_string_free(s, FALSE);
}

/* The member's own name, as the peer shows it for a bad value. */
static char *path_leaf(const Path *p)
{
    return p && p->name ? g_strdup(p->name) : path_text(p);
}

static bool bad_kind(const Walk *w, const Path *p, const char *expected)
{
    char *name = path_text(p);

    error_set(w->errp, "Invalid parameter type for '%s', expected: %s", name,
              expected);
    g_free(name);
    return false;
}

static bool bad_value(const Walk *w, const Path *p, const char *fmt,
                      const char *what)
{
    char *name = path_leaf(p), *tail = g_strdup_printf(fmt, what);

    error_set(w->errp, "Parameter '%s' %s", name, tail);
    g_free(name);
    g_free(tail);
    return false;
}

int schema_enum(const QType *t, const char *name)
{
    for (int i = 0; t->values[i]; i++) {
        if (!strcmp(t->values[i], name)) {
            return i;
        }
    }
    return -1;
}

void *schema_list_add(void *list, size_t size)
{
    QList *l = list;
    char *e;

    if (!(l->n & (l->n - 1))) {        /* full at powers of two               */
        l->v = g_realloc_n(l->v, l->n ? l->n * 2 : 1, size);
    }
    e = (char *)l->v + l->n++ * size;
    return memset(e, 0, size);
}

/* ---- JSON to struct -- */
static bool parse(const Walk *w, const Path *path, const QType *t,
                  const Json *v, void *out);

static const struct {
    int64_t min, max;
    const char *name;                  /* as the peer's messages have it      */
} int_kinds[] = {
    [QB_INT] = { INT64_MIN, INT64_MAX, "int64" },
    [QB_I8] = { INT8_MIN, INT8_MAX, "int8_t" },
    [QB_I16] = { INT16_MIN, INT16_MAX, "int16_t" },
    [QB_I32] = { INT32_MIN, INT32_MAX, "int32_t" },
    [QB_I64] = { INT64_MIN, INT64_MAX, "int64" },
    [QB_U8] = { 0, UINT8_MAX, "uint8_t" },
    [QB_U16] = { 0, UINT16_MAX, "uint16_t" },
    [QB_U32] = { 0, UINT32_MAX, "uint32_t" },
};

static bool store_int(const Walk *w, const Path *path, const QType *t,
                      int64_t i, void *out)
{
    if (i < int_kinds[t->builtin].min || i > int_kinds[t->builtin].max) {
        return bad_value(w, path, "expects %s", int_kinds[t->builtin].name);
    }
    if (out) {
        memcpy(out, &i, t->size);      /* little-endian host                  */
    }
    return true;
}

static bool parse_int(const Walk *w, const Path *path, const QType *t,
                      const Json *v, void *out)
{
    int64_t i;

    if (json_kind(v) == JSON_INT) {
        i = json_int_of(v);
    } else if (json_kind(v) == JSON_UINT) {
        return t->builtin == QB_INT || t->builtin == QB_I64
            ? bad_kind(w, path, "integer")
            : bad_value(w, path, "expects %s", int_kinds[t->builtin].name);
    } else if (w->text && json_kind(v) == JSON_STR) {
        if (!opt_i64("", json_str_of(v), &i, NULL)) {
            return bad_value(w, path, "expects an %s value", "int64");
        }
    } else {
        return bad_kind(w, path, "integer");
    }
    return store_int(w, path, t, i, out);
}

static bool parse_uint64(const Walk *w, const Path *path, const QType *t,
                         const Json *v, void *out)
{
    bool ok = false;
    uint64_t u = 0;

    if (json_kind(v) == JSON_UINT ||
        (json_kind(v) == JSON_INT && json_int_of(v) >= 0)) {
        u = json_uint_of(v);
        ok = true;
    } else if (json_kind(v) == JSON_INT && t->builtin == QB_U64) {
        u = json_int_of(v);            /* clients write large values so       */
        ok = true;
    } else if (w->text && json_kind(v) == JSON_STR) {
        const char *s = json_str_of(v);

        ok = t->builtin == QB_SIZE ? opt_size("", s, 1, &u, NULL)
                                   : opt_u64("", s, &u, NULL);
        if (!ok) {
            return bad_value(w, path, "expects a %s value",
                             t->builtin == QB_SIZE ? "size" : "uint64");
        }
    }
    if (!ok) {
        return bad_value(w, path, "expects %s", "uint64");
    }
    if (out) {
        memcpy(out, &u, sizeof(u));
    }
    return true;
}

static bool parse_number(const Walk *w, const Path *path, const Json *v,
                         double *out)
{
    double d;

    switch (json_kind(v)) {
    case JSON_INT:
    case JSON_UINT:
    case JSON_DOUBLE:
        d = json_double_of(v);
        break;
    case JSON_STR:
        if (w->text) {
            char *end;

            d = g_ascii_strtod(json_str_of(v), &end);
            if (end == json_str_of(v) || *end) {
                return bad_value(w, path, "expects %s", "a number");
            }
            break;
        }
        /* fall through */
    default:
        return bad_kind(w, path, "number");
    }
    if (out) {
        *out = d;
    }
    return true;
}

static bool parse_bool(const Walk *w, const Path *path, const Json *v,
                       bool *out)
{
    bool b;

    if (json_kind(v) == JSON_BOOL) {
        b = json_bool_of(v);
    } else if (!w->text || json_kind(v) != JSON_STR) {
        return bad_kind(w, path, "boolean");
    } else if (!opt_bool("", json_str_of(v), &b, NULL)) {
        return bad_value(w, path, "expects %s", "'on' or 'off'");
    }
    if (out) {
        *out = b;
    }
    return true;
}

static bool parse_builtin(const Walk *w, const Path *path, const QType *t,
                          const Json *v, void *out)
{
    switch (t->builtin) {
    case QB_STR:
        if (json_kind(v) != JSON_STR) {
            return bad_kind(w, path, "string");
        }
        if (out) {
            *(char **)out = g_strdup(json_str_of(v));
        }
        return true;
    case QB_BOOL:
        return parse_bool(w, path, v, out);
    case QB_NUMBER:
        return parse_number(w, path, v, out);
    case QB_U64:
    case QB_SIZE:
        return parse_uint64(w, path, t, v, out);
    case QB_NULL:
        return json_kind(v) == JSON_NULL || bad_kind(w, path, "null");
    case QB_ANY:
        if (out) {
            *(Json **)out = json_copy(v);
        }
        return true;
    default:
        return parse_int(w, path, t, v, out);
    }
}

static bool parse_enum(const Walk *w, const Path *path, const QType *t,
                       const Json *v, void *out)
{
    int i;

    if (json_kind(v) != JSON_STR) {
        return bad_kind(w, path, "string");
    }
    i = schema_enum(t, json_str_of(v));
    if (i < 0) {
        OptWords words = { .n = 0 };

        for (i = 0; t->values[i]; i++) {
            opt_word_add(&words, t->values[i]);
        }
        bad_value(w, path, "does not accept value '%s'", json_str_of(v));
        return opt_suggest(&words, json_str_of(v), w->errp);
    }
    if (out) {
        *(int *)out = i;
    }
    return true;
}

/* "0,2-5" */
static bool parse_ranges(const Walk *w, const Path *path, const QType *t,
                         const char *s, void *out)
{
    while (*s) {
        char *end;
        unsigned long long a = strtoull(s, &end, 0), b = a;

        if (end != s && *end == '-') {
            s = end + 1;
            b = strtoull(s, &end, 0);
        }
        if (end == s || b < a || b - a > 65535 || (*end && *end != ',')) {
            return bad_value(w, path, "expects a %s value or range", "uint64");
        }
        for (; a <= b; a++) {
            char *e = out ? schema_list_add(out, t->size) : NULL;
            bool ok = t->builtin == QB_U64 || t->builtin == QB_SIZE;

            if (!ok) {
                ok = store_int(w, path, t, a, e);
            } else if (e) {
                memcpy(e, &a, sizeof(a));
            }
            if (!ok) {
                return false;
            }
        }
        s = *end ? end + 1 : end;
    }
    return true;
}

static bool is_integer(const QType *t)
{
    return t->meta == QM_BUILTIN && t->builtin >= QB_INT &&
           t->builtin <= QB_SIZE;
}

static bool parse_list(const Walk *w, const Path *path, const QType *t,
                       const Json *v, void *out)
{
    const QType *et = t->element;
    bool numbered = w->text && json_kind(v) == JSON_OBJ;
    bool alone = w->text && json_kind(v) == JSON_STR;

    if (alone && is_integer(et)) {
        return parse_ranges(w, path, et, json_str_of(v), out);
    }
    if (json_kind(v) != JSON_LIST && !numbered && !alone) {
        return bad_kind(w, path, "array");
    }
    for (size_t i = 0; alone ? i < 1 : i < json_count(v); i++) {
        Path here = { path, NULL, i };
        const Json *e = v;
        char key[24];

        if (numbered) {
            snprintf(key, sizeof(key), "%zu", i);
            e = json_get(v, key);
            if (!e) {
                return bad_kind(w, path, "array");
            }
        } else if (!alone) {
            e = json_at(v, i);
        }
        if (!parse(w, &here, et, e,
                   out ? schema_list_add(out, et->size) : NULL)) {
            return false;
        }
    }
    return true;
}

struct has {
    const char *name;
    bool found;
};

static void has_one(void *arg, const char *name, const Prop *const rows[3])
{
    struct has *h = arg;

    h->found |= !strcmp(h->name, name);
}

void open_set_each(const char *set, OpenSetFn *fn, void *arg)
{
    SET_EACH(open_sets, OpenSet, s) {
        if (!strcmp((*s)->name, set)) {
            (*s)->each(fn, arg);
        }
    }
}

bool open_set_has(const char *set, const char *name)
{
    struct has h = { name, false };

    open_set_each(set, has_one, &h);
    return h.found;
}

static void word_one(void *arg, const char *name, const Prop *const rows[3])
{
    opt_word_add(arg, name);
}

/* The hint which of the set's names may have been meant; false. */
static bool open_set_suggest(const char *set, const char *name, Error **errp)
{
    OptWords w = { .n = 0 };

    open_set_each(set, word_one, &w);
    return opt_suggest(&w, name, errp);
}

static const QVariant *variant_find(const QType *t, const char *name)
{
    for (const QVariant *b = t->variants; b && b->name; b++) {
        if (!strcmp(b->name, name)) {
            return b;
        }
    }
    return NULL;
}

static bool parse_member(const Walk *w, const Path *path, const QMember *m,
                         const Json *v, char *out)
{
    Path here = { path, m->name, 0 };

    if (!v && (m->flags & QF_OPT)) {
        return true;
    }
    if (!v) {
        char *name = path_text(&here);

        error_set(w->errp, "Parameter '%s' is missing", name);
        g_free(name);
        return false;
    }
    if (!out) {
        return parse(w, &here, m->type, v, NULL);
    }
    if (m->has_offset) {
        *(bool *)(out + m->has_offset) = true;
    }
    out += m->offset;
    if (m->flags & QF_PTR) {
        *(void **)out = g_malloc0(m->type->size);
        out = *(char **)out;
    }
    return parse(w, &here, m->type, v, out);
}

/* The members of t in object v; counts those that were there. *rest: a branch
 * that only a registry knows follows. */
static bool parse_members(const Walk *w, const Path *path, const QType *t,
                          const Json *v, char *out, size_t *seen, bool *rest)
{
    const Json *tag = NULL;

    if (t->open_set) {
        out = NULL;
        *rest = true;
    }
    for (const QMember *m = t->members; m->name; m++) {
        const Json *mv = json_get(v, m->name);

        *seen += mv != NULL;
        if (t->tag && !strcmp(m->name, t->tag)) {
            tag = mv;
            if (t->open_set && tag && json_kind(tag) == JSON_STR) {
                Path here = { path, m->name, 0 };

                if (!open_set_has(t->open_set, json_str_of(tag))) {
                    bad_value(w, &here, "does not accept value '%s'",
                              json_str_of(tag));
                    return open_set_suggest(t->open_set, json_str_of(tag),
                                            w->errp);
                }
                continue;
            }
        }
        if (!parse_member(w, path, m, mv, out)) {
            return false;
        }
    }
    if (tag) {
        const QVariant *b = variant_find(t, json_str_of(tag));

        if (b) {
            *rest = false;
            return parse_members(w, path, b->type, v,
                                 out ? out + b->offset : NULL, seen, rest);
        }
    }
    return true;
}

static bool is_member(const QType *t, const Json *v, const char *key)
{
    for (const QMember *m = t->members; m->name; m++) {
        if (!strcmp(m->name, key)) {
            return true;
        }
    }
    if (t->tag) {
        const char *tag = json_get_str(v, t->tag);
        const QVariant *b = tag ? variant_find(t, tag) : NULL;

        return b && is_member(b->type, v, key);
    }
    return false;
}

static void members_add(OptWords *w, const QType *t, const Json *v)
{
    for (const QMember *m = t->members; m->name; m++) {
        opt_word_add(w, m->name);
    }
    if (t->tag) {
        const char *tag = json_get_str(v, t->tag);
        const QVariant *b = tag ? variant_find(t, tag) : NULL;

        if (b) {
            members_add(w, b->type, v);
        }
    }
}

static bool parse_object(const Walk *w, const Path *path, const QType *t,
                         const Json *v, void *out)
{
    size_t seen = 0;
    bool rest = false;

    if (json_kind(v) != JSON_OBJ) {
        return bad_kind(w, path, "object");
    }
    if (!parse_members(w, path, t, v, out, &seen, &rest)) {
        return false;
    }
    for (size_t i = 0; !rest && seen < json_count(v) && i < json_count(v);
         i++) {
        if (!is_member(t, v, json_key_at(v, i))) {
            Path here = { path, json_key_at(v, i), 0 };
            char *name = path_text(&here);
            OptWords words = { .n = 0 };

            error_set(w->errp, w->text ? "Invalid parameter '%s'"
                                       : "Parameter '%s' is unexpected", name);
            g_free(name);
            members_add(&words, t, v);
            return opt_suggest(&words, json_key_at(v, i), w->errp);
        }
    }
    if (out && t->open_set) {
        OpenArg *a = out;

        a->obj = json_copy(v);
        a->text = w->text;
    }
    return true;
}

static bool branch_fits(const QType *t, JsonKind k)
{
    switch (t->meta) {
    case QM_ENUM:
        return k == JSON_STR;
    case QM_STRUCT:
    case QM_UNION:
        return k == JSON_OBJ;
    case QM_LIST:
        return k == JSON_LIST;
    case QM_BUILTIN:
        return k == JSON_STR ? t->builtin == QB_STR
            : k == JSON_BOOL ? t->builtin == QB_BOOL
            : k == JSON_NULL ? t->builtin == QB_NULL
            : k == JSON_INT || k == JSON_UINT
                ? is_integer(t) || t->builtin == QB_NUMBER
            : k == JSON_DOUBLE && t->builtin == QB_NUMBER;
    default:
        return true;
    }
}

static bool in_place(const QType *t)   /* branch of an alternate: no pointer  */
{
    return (t->meta != QM_STRUCT && t->meta != QM_UNION) || t->open_set;
}

static bool parse_alternate(const Walk *w, const Path *path, const QType *t,
                            const Json *v, void *out)
{
    for (const QVariant *b = t->variants; b->name; b++) {
        char *to = NULL;

        if (!branch_fits(b->type, json_kind(v))) {
            continue;
        }
        if (out) {
            to = (char *)out + b->offset;
            *(int *)out = b - t->variants;
            if (!in_place(b->type)) {
                *(void **)to = g_malloc0(b->type->size);
                to = *(char **)to;
            }
        }
        return parse(w, path, b->type, v, to);
    }
    return bad_kind(w, path, t->name);
}

static bool parse(const Walk *w, const Path *path, const QType *t,
                  const Json *v, void *out)
{
    switch (t->meta) {
    case QM_ENUM:
        return parse_enum(w, path, t, v, out);
    case QM_STRUCT:
    case QM_UNION:
        return parse_object(w, path, t, v, out);
    case QM_LIST:
        return parse_list(w, path, t, v, out);
    case QM_ALTERNATE:
        return parse_alternate(w, path, t, v, out);
    default:
        return parse_builtin(w, path, t, v, out);
    }
}

bool schema_parse(const QType *t, const Json *v, bool text, void *out,
                  Error **errp)
{
    Walk w = { text, errp };

    memset(out, 0, t->size);
    if (!parse(&w, NULL, t, v, out)) {
        schema_free(t, out);
        memset(out, 0, t->size);
        return false;
    }
    return true;
}

bool schema_check(const QType *t, const Json *v, Error **errp)
{
    Walk w = { false, errp };

    return parse(&w, NULL, t, v, NULL);
}
