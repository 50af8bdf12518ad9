/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * introspect.c - query-qmp-schema: commands, events and types in QEMU's published
 * form (QAPI documentation, "Client JSON Protocol introspection"). Types have
 * numbers for names, all integer types are "int", members that may be left out
 * have a null default.
 *
 * MACHINE_CALL. Invariants:
 *  1. What is described can be used: commands without a handler and values of an
 *     open set whose part is not linked in are left out.
 *  2. An entity is described once; what it names is described too.
 */
#include <glib.h>
#include "chr.h"
#include "monitor.h"
#include "net.h"
#include "obj.h"
#include "schema/schema.h"

/* A type to describe: of the schema, a branch made from property rows, or the
 * enumeration of a property. */
typedef struct Item {
    const QType *t;
    const Prop *rows[3];
    const PropEnum *pe;
    char name[12];
} Item;

typedef struct Walk {
    GPtrArray *items;                  /* Item *, in order of first use       */
    GHashTable *by_key;                /* QType, Prop row or PropEnum -> Item */
    GHashTable *lists;                 /* name of a builtin or list -> QType  */
    GHashTable *open_enums;            /* QType of a tag -> name of its set   */
    unsigned next;
    JsonOut *o;
} Walk;

/* ---- open sets -- */
static void users_each(OpenSetFn *fn, void *arg)
{
    SET_EACH(user_types, UserType, t) {
        const Prop *base = (*t)->base_props;

        fn(arg, (*t)->name, (const Prop *[3]){ base ? base : (*t)->props,
                                               base ? (*t)->props : NULL });
    }
}
OPEN_SET(user_set, { "user_types", users_each });

static void chars_each(OpenSetFn *fn, void *arg)
{
    SET_EACH(char_drivers, CharDriver, t) {
        const Prop *rows[3] = { (*t)->props };

        if (!(*t)->internal) {
            fn(arg, (*t)->name, rows);
            if ((*t)->alias) {
                fn(arg, (*t)->alias, rows);
            }
        }
    }
}
OPEN_SET(char_set, { "char_drivers", chars_each });

static void nets_each(OpenSetFn *fn, void *arg)
{
    SET_EACH(net_drivers, NetDriver, t) {
        fn(arg, (*t)->name, (const Prop *[3]){ (*t)->props });
    }
}
OPEN_SET(net_set, { "net_drivers", nets_each });

/* ---- names -- */
static const char *builtin_name(const QType *t)
{
    switch (t->builtin) {
    case QB_STR:
    case QB_BOOL:
    case QB_NUMBER:
    case QB_NULL:
    case QB_ANY:
        return t->name;
    default:
        return "int";
    }
}

static Item *item_for(Walk *w, const void *key)
{
    Item *it = g_hash_table_lookup(w->by_key, key);

    if (!it) {
        it = g_new0(Item, 1);
        snprintf(it->name, sizeof(it->name), "%u", w->next++);
        g_ptr_array_add(w->items, it);
        g_hash_table_insert(w->by_key, (void *)key, it);
    }
    return it;
}

static const QType empty_type;         /* stands for no arguments, no reply   */

static void list_note(Walk *w, const char *name, const QType *t)
{
    if (!g_hash_table_contains(w->lists, name)) {
        g_hash_table_insert(w->lists, g_strdup(name), (void *)t);
    }
}

/* Notes that t is used, and writes its name to buf. */
static const char *name_of(Walk *w, const QType *t, char buf[16])
{
    char inner[16];

    if (!t) {
        item_for(w, &empty_type)->t = &empty_type;
        return strcpy(buf, item_for(w, &empty_type)->name);
    }
    switch (t->meta) {
    case QM_BUILTIN:
    case QM_ANY:
        /* One entity for all integers. */
        if (!strcmp(builtin_name(t), "int")) {
            t = &qt_int;
        }
        list_note(w, builtin_name(t), t);
        return strcpy(buf, builtin_name(t));
    case QM_LIST:
        snprintf(buf, 16, "[%s]", name_of(w, t->element, inner));
        list_note(w, buf, t);          /* lists of any integers are one       */
        return buf;
    default:
        item_for(w, t)->t = t;
        return strcpy(buf, item_for(w, t)->name);
    }
}

static const char *name_of_rows(Walk *w, const Prop *const rows[3],
                                char buf[16])
{
    Item *it;

    if (!rows[0] || !rows[0]->name) {
        return name_of(w, NULL, buf);
    }
    it = item_for(w, rows[1] ? rows[1] : rows[0]);
    memcpy(it->rows, rows, sizeof(it->rows));
    return strcpy(buf, it->name);
}

static const char *name_of_prop(Walk *w, const Prop *p, char buf[16])
{
    const QType *t = &qt_int;

    switch (p->kind) {
    case PK_ENUM:
        item_for(w, p->aux)->pe = p->aux;
        return strcpy(buf, item_for(w, p->aux)->name);
    case PK_BOOL:
    case PK_BIT32:
    case PK_BIT64:
        t = &qt_bool;
        break;
    case PK_STR:
    case PK_AUTO:
    case PK_MAC:
    case PK_UUID:
    case PK_PCI_ADDR:
    case PK_REF:
        t = &qt_str;
        break;
    case PK_ARRAY_U32:
    case PK_CALL:
        t = &qt_any;
        break;
    default:
        break;
    }
    return name_of(w, t, buf);
}

/* ---- writing; with o NULL only the names are noted -- */
static void put_str(Walk *w, const char *key, const char *s)
{
    if (w->o) {
        json_out_key(w->o, key);
        json_out_str(w->o, s);
    }
}

static void put_begin(Walk *w, const char *key, char c)
{
    if (w->o && key) {
        json_out_key(w->o, key);
    } else if (w->o) {
        json_out_sep(w->o);
    }
    if (w->o) {
        json_out_begin(w->o, c);
    }
}

static void put_end(Walk *w, char c)
{
    if (w->o) {
        json_out_end(w->o, c);
    }
}

static void put_features(Walk *w, const char *words)
{
    char **v;

    if (!words || !w->o) {
        return;
    }
    v = g_strsplit(words, " ", -1);
    put_begin(w, "features", '[');
    for (int i = 0; v[i]; i++) {
        json_out_sep(w->o);
        json_out_str(w->o, v[i]);
    }
    put_end(w, ']');
    g_strfreev(v);
}

static void put_entity(Walk *w, const char *name, const char *meta)
{
    put_begin(w, NULL, '{');
    put_str(w, "name", name);
    put_str(w, "meta-type", meta);
}

static void put_member(Walk *w, const char *name, const char *type,
                       bool optional, const char *features)
{
    put_begin(w, NULL, '{');
    put_str(w, "name", name);
    put_str(w, "type", type);
    if (optional && w->o) {
        json_out_key(w->o, "default");
        json_out_null(w->o);
    }
    put_features(w, features);
    put_end(w, '}');
}

/* ---- entities -- */
static void put_builtin(Walk *w, const QType *t)
{
    static const char *const json[] = {
        [QB_STR] = "string", [QB_BOOL] = "boolean", [QB_NUMBER] = "number",
        [QB_NULL] = "null", [QB_ANY] = "value", [QB_INT] = "int",
    };

    put_entity(w, builtin_name(t), "builtin");
    put_str(w, "json-type", json[t->builtin]);
    put_end(w, '}');
}

struct extra {
    Walk *w;
    const QType *known;                /* enumeration                         */
    bool pairs;                        /* {"name": x} instead of x            */
};

static void put_value(Walk *w, const char *name, bool pair,
                      const char *features)
{
    if (!pair && w->o) {
        json_out_sep(w->o);
        json_out_str(w->o, name);
    } else if (pair) {
        put_begin(w, NULL, '{');
        put_str(w, "name", name);
        put_features(w, features);
        put_end(w, '}');
    }
}

static void put_extra_value(void *arg, const char *name,
                            const Prop *const rows[3])
{
    struct extra *x = arg;

    if (schema_enum(x->known, name) < 0) {
        put_value(x->w, name, x->pairs, NULL);
    }
}

static void put_enum(Walk *w, const QType *t, const char *name)
{
    const char *set = g_hash_table_lookup(w->open_enums, t);

    put_entity(w, name, "enum");
    for (int pairs = 1; pairs >= 0; pairs--) {
        struct extra x = { w, t, pairs };

        put_begin(w, pairs ? "members" : "values", '[');
        for (int i = 0; t->values[i]; i++) {
            if (!set || open_set_has(set, t->values[i])) {
                put_value(w, t->values[i], pairs,
                          t->value_features ? t->value_features[i] : NULL);
            }
        }
        if (set) {
            open_set_each(set, put_extra_value, &x);
        }
        put_end(w, ']');
    }
    put_end(w, '}');
}

static void put_prop_enum(Walk *w, const PropEnum *e, const char *name)
{
    put_entity(w, name, "enum");
    for (int pairs = 1; pairs >= 0; pairs--) {
        put_begin(w, pairs ? "members" : "values", '[');
        for (int i = 0; e->names[i]; i++) {
            put_value(w, e->names[i], pairs, NULL);
        }
        put_end(w, ']');
    }
    put_end(w, '}');
}

static void put_case(Walk *w, const char *name, const char *type)
{
    put_begin(w, NULL, '{');
    put_str(w, "case", name);
    put_str(w, "type", type);
    put_end(w, '}');
}

static void put_extra_case(void *arg, const char *name,
                           const Prop *const rows[3])
{
    struct extra *x = arg;
    char buf[16];

    if (schema_enum(x->known, name) < 0) {
        put_case(x->w, name, name_of_rows(x->w, rows, buf));
    }
}

static const QType *tag_type(const QType *t)
{
    const QMember *m = t->members;

    while (strcmp(m->name, t->tag)) {
        m++;
    }
    return m->type;
}

static void put_variants(Walk *w, const QType *t)
{
    const QType *tag = tag_type(t);
    char buf[16];

    if (t->open_set) {
        g_hash_table_insert(w->open_enums, (void *)tag, (void *)t->open_set);
    }
    put_str(w, "tag", t->tag);
    put_begin(w, "variants", '[');
    for (int i = 0; tag->values[i]; i++) {
        const QType *type = NULL;

        if (t->open_set && !open_set_has(t->open_set, tag->values[i])) {
            continue;
        }
        for (const QVariant *b = t->variants; b->name; b++) {
            if (!strcmp(b->name, tag->values[i])) {
                type = b->type;
            }
        }
        put_case(w, tag->values[i], name_of(w, type, buf));
    }
    if (t->open_set) {
        struct extra x = { w, tag, false };

        open_set_each(t->open_set, put_extra_case, &x);
    }
    put_end(w, ']');
}

static void put_object(Walk *w, const QType *t, const char *name)
{
    char buf[16];

    put_entity(w, name, "object");
    put_begin(w, "members", '[');
    for (const QMember *m = t->members; m && m->name; m++) {
        put_member(w, m->name, name_of(w, m->type, buf), m->flags & QF_OPT,
                   m->features);
    }
    put_end(w, ']');
    if (t->tag) {
        put_variants(w, t);
    }
    put_features(w, t->features);
    put_end(w, '}');
}

static void put_rows(Walk *w, const Item *it)
{
    char buf[16];

    put_entity(w, it->name, "object");
    put_begin(w, "members", '[');
    for (int i = 0; i < 3 && it->rows[i]; i++) {
        for (const Prop *p = it->rows[i]; p->name; p++) {
            if (!(p->flags & PF_READONLY)) {
                put_member(w, p->name, name_of_prop(w, p, buf),
                           !(p->flags & PF_REQUIRED), NULL);
            }
        }
    }
    put_end(w, ']');
    put_end(w, '}');
}

static void put_alternate(Walk *w, const QType *t, const char *name)
{
    char buf[16];

    put_entity(w, name, "alternate");
    put_begin(w, "members", '[');
    for (const QVariant *b = t->variants; b->name; b++) {
        put_begin(w, NULL, '{');
        put_str(w, "type", name_of(w, b->type, buf));
        put_end(w, '}');
    }
    put_end(w, ']');
    put_end(w, '}');
}

static void put_list(Walk *w, const QType *t)
{
    char name[16], element[16];

    put_entity(w, name_of(w, t, name), "array");
    put_str(w, "element-type", name_of(w, t->element, element));
    put_end(w, '}');
}

static void put_item(Walk *w, Item *it)
{
    if (it->pe) {
        put_prop_enum(w, it->pe, it->name);
    } else if (it->rows[0]) {
        put_rows(w, it);
    } else if (it->t->meta == QM_ENUM && it->t->values) {
        put_enum(w, it->t, it->name);
    } else if (it->t->meta == QM_ALTERNATE) {
        put_alternate(w, it->t, it->name);
    } else {
        put_object(w, it->t, it->name);
    }
}

static void put_commands(Walk *w)
{
    char buf[16];

    for (unsigned i = 0; i < qmp_command_count; i++) {
        const Command *c = command_find(commands[i].name);

        if (c) {
            put_entity(w, c->name, "command");
            put_str(w, "arg-type", name_of(w, c->arg, buf));
            put_str(w, "ret-type", name_of(w, c->ret, buf));
            if (c->flags & CMD_OOB && w->o) {
                json_out_key(w->o, "allow-oob");
                json_out_bool(w->o, true);
            }
            put_features(w, c->features);
            put_end(w, '}');
        }
    }
    for (unsigned i = 0; events[i]; i++) {
        put_entity(w, events[i]->name, "event");
        put_str(w, "arg-type", name_of(w, events[i]->arg, buf));
        put_features(w, events[i]->features);
        put_end(w, '}');
    }
}

static void put_all(Walk *w)
{
    GHashTableIter i;
    void *t;

    put_begin(w, NULL, '[');
    put_commands(w);
    for (unsigned n = 0; n < w->items->len; n++) {
        put_item(w, w->items->pdata[n]);
    }
    g_hash_table_iter_init(&i, w->lists);
    while (w->o && g_hash_table_iter_next(&i, NULL, &t)) {
        if (((const QType *)t)->meta == QM_LIST) {
            put_list(w, t);
        } else {
            put_builtin(w, t);
        }
    }
    put_end(w, ']');
}

bool cmd_query_qmp_schema(const void *arg, void *ret, Error **errp)
{
    JsonOut *out = ret;
    Walk w = { .items = g_ptr_array_new_with_free_func(g_free) };

    w.by_key = g_hash_table_new(NULL, NULL);
    w.lists = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    w.open_enums = g_hash_table_new(NULL, NULL);
    put_all(&w);                       /* what is used, and by which names    */
    out->first = true;                 /* the value follows its key           */
    w.o = out;
    put_all(&w);
    g_hash_table_destroy(w.by_key);
    g_hash_table_destroy(w.lists);
    g_hash_table_destroy(w.open_enums);
    g_ptr_array_free(w.items, true);
    return true;
}
