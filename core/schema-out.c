/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * schema-out.c - walkers over the tables generated from schema/: struct to JSON,
 * and freeing.
 *
 * ANY_THREAD. Invariant: a zeroed struct owns nothing and can be freed.
 */
#include <glib.h>
#include "monitor.h"

static const QVariant *variant_find(const QType *t, const char *name)
{
    for (const QVariant *b = t->variants; b && b->name; b++) {
        if (!strcmp(b->name, name)) {
            return b;
        }
    }
    return NULL;
}

static bool in_place(const QType *t)   /* branch of an alternate: no pointer  */
{
    return (t->meta != QM_STRUCT && t->meta != QM_UNION) || t->open_set;
}

/* ---- struct to JSON -- */
static bool is_there(const QMember *m, const char *p)
{
    if (!(m->flags & QF_OPT)) {
        return true;
    }
    return m->has_offset ? *(const bool *)(p + m->has_offset)
                         : *(void *const *)(p + m->offset) != NULL;
}

/* The branch that p's tag selects; NULL: none. */
static const QVariant *union_branch(const QType *t, const char *p)
{
    const QMember *m = t->members;
    int i;

    while (strcmp(m->name, t->tag)) {
        m++;
    }
    i = *(const int *)(p + m->offset);
    return variant_find(t, m->type->values[i]);
}

static void emit_int(const QType *t, const void *p, JsonOut *out)
{
    uint64_t u = 0;

    memcpy(&u, p, t->size);
    switch (t->builtin) {
    case QB_I8:
        json_out_int(out, (int8_t)u);
        break;
    case QB_I16:
        json_out_int(out, (int16_t)u);
        break;
    case QB_I32:
        json_out_int(out, (int32_t)u);
        break;
    case QB_INT:
    case QB_I64:
        json_out_int(out, u);
        break;
    default:
        json_out_uint(out, u);
        break;
    }
}

static void emit_builtin(const QType *t, const void *p, JsonOut *out)
{
    const char *s;

    switch (t->builtin) {
    case QB_STR:
        s = *(char *const *)p;
        json_out_str(out, s ? s : "");
        break;
    case QB_BOOL:
        json_out_bool(out, *(const bool *)p);
        break;
    case QB_NUMBER:
        json_out_double(out, *(const double *)p);
        break;
    case QB_NULL:
        json_out_null(out);
        break;
    case QB_ANY:
        if (*(Json *const *)p) {
            json_out_value(out, *(Json *const *)p);
        } else {
            json_out_null(out);
        }
        break;
    default:
        emit_int(t, p, out);
        break;
    }
}

static void emit_members(const QType *t, const char *p, JsonOut *out)
{
    const QVariant *b;

    for (const QMember *m = t->members; m->name; m++) {
        const char *at = p + m->offset;

        if (is_there(m, p)) {
            json_out_key(out, m->name);
            schema_emit(m->type, m->flags & QF_PTR ? *(void *const *)at : at,
                        out);
        }
    }
    if (t->tag) {
        b = union_branch(t, p);
        if (b) {
            emit_members(b->type, p + b->offset, out);
        }
    }
}

void schema_emit(const QType *t, const void *p, JsonOut *out)
{
    const QVariant *b;
    const QList *l;
    const char *at;

    switch (t->meta) {
    case QM_ENUM:
        json_out_str(out, t->values[*(const int *)p]);
        break;
    case QM_STRUCT:
    case QM_UNION:
        if (t->open_set) {
            json_out_value(out, ((const OpenArg *)p)->obj);
            break;
        }
        json_out_begin(out, '{');
        emit_members(t, p, out);
        json_out_end(out, '}');
        break;
    case QM_LIST:
        l = p;
        json_out_begin(out, '[');
        for (size_t i = 0; i < l->n; i++) {
            json_out_sep(out);
            schema_emit(t->element, (char *)l->v + i * t->element->size, out);
        }
        json_out_end(out, ']');
        break;
    case QM_ALTERNATE:
        b = &t->variants[*(const int *)p];
        at = (const char *)p + b->offset;
        schema_emit(b->type, in_place(b->type) ? at : *(void *const *)at, out);
        break;
    default:
        emit_builtin(t, p, out);
        break;
    }
}

Json *schema_json(const QType *t, const void *p)
{
    JsonOut out = { .first = true };
    Json *v;

    schema_emit(t, p, &out);
    v = json_parse(out.buf, out.n, NULL);
    g_free(out.buf);
    return v;
}

/* ---- freeing -- */
static void free_members(const QType *t, char *p)
{
    const QVariant *b = t->tag ? union_branch(t, p) : NULL;

    if (b) {
        free_members(b->type, p + b->offset);
    }
    for (const QMember *m = t->members; m->name; m++) {
        if (m->flags & QF_PTR) {
            void **at = (void **)(p + m->offset);

            if (*at) {
                schema_free(m->type, *at);
                g_free(*at);
            }
        } else {
            schema_free(m->type, p + m->offset);
        }
    }
}

void schema_free(const QType *t, void *p)
{
    const QVariant *b;
    QList *l;
    void *at;

    switch (t->meta) {
    case QM_STRUCT:
    case QM_UNION:
        if (t->open_set) {
            json_free(((OpenArg *)p)->obj);
        } else {
            free_members(t, p);
        }
        break;
    case QM_LIST:
        l = p;
        for (size_t i = 0; i < l->n; i++) {
            schema_free(t->element, (char *)l->v + i * t->element->size);
        }
        g_free(l->v);
        break;
    case QM_ALTERNATE:
        b = &t->variants[*(int *)p];
        at = (char *)p + b->offset;
        if (in_place(b->type)) {
            schema_free(b->type, at);
        } else if (*(void **)at) {
            schema_free(b->type, *(void **)at);
            g_free(*(void **)at);
        }
        break;
    case QM_BUILTIN:
        if (t->builtin == QB_STR) {
            g_free(*(char **)p);
        }
        break;
    case QM_ANY:
        json_free(*(Json **)p);
        break;
    default:
        break;
    }
}
