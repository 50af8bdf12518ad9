/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * prop.c - property rows: storage, defaults, reading.
 *
 * Thread class: MACHINE_CALL for values; the rows are const data.
 * Invariants:
 *  1. Storage is touched through its row only as the row's kind says; the row
 *     macros check at compile time that the field has that type.
 *  2. A PK_STR value and a PropArray are owned by the struct; a PK_REF is
 *     claimed from its target exactly while it is not NULL.
 */
#include <glib.h>
#include "obj.h"
#include "prop-priv.h"

const PropEnum prop_on_off_auto = {
    "OnOffAuto", (const char *const[]){ "auto", "on", "off", NULL },
};

const Prop *prop_find(const Prop *table, const char *name)
{
    for (; table && table->name; table++) {
        if (!strcmp(table->name, name)) {
            return table;
        }
    }
    return NULL;
}

size_t prop_bytes(const Prop *p)
{
    switch (p->kind) {
    case PK_BOOL:
        return sizeof(bool);
    case PK_U8:
        return 1;
    case PK_U16:
        return 2;
    case PK_BIT32:
    case PK_U32:
    case PK_I32:
    case PK_SIZE32:
    case PK_PCI_ADDR:
        return 4;
    case PK_BIT64:
    case PK_U64:
    case PK_I64:
    case PK_SIZE:
        return 8;
    case PK_ENUM:
        return sizeof(int);
    case PK_AUTO:
        return sizeof(OnOffAuto);
    case PK_STR:
    case PK_REF:
        return sizeof(void *);
    case PK_MAC:
        return 6;
    case PK_UUID:
        return 16;
    case PK_ARRAY_U32:
        return sizeof(PropArray);
    case PK_CALL:
        return 0;
    }
    g_assert_not_reached();
}

bool prop_is_word(const Prop *p)
{
    return p->kind <= PK_SIZE32 || p->kind == PK_ENUM || p->kind == PK_AUTO ||
           p->kind == PK_PCI_ADDR;
}

uint64_t prop_word(const Obj *base, const Prop *p)
{
    const void *at = prop_at(base, p);
    switch (p->kind) {
    case PK_BOOL:
        return *(const bool *)at;
    case PK_BIT32:
        return *(const uint32_t *)at >> p->bit & 1;
    case PK_BIT64:
        return *(const uint64_t *)at >> p->bit & 1;
    case PK_U8:
        return *(const uint8_t *)at;
    case PK_U16:
        return *(const uint16_t *)at;
    case PK_U32:
    case PK_SIZE32:
        return *(const uint32_t *)at;
    case PK_I32:
    case PK_PCI_ADDR:
        return (uint64_t)(int64_t)*(const int32_t *)at;
    case PK_ENUM:
        return (uint64_t)(int64_t)*(const int *)at;
    case PK_AUTO:
        return *(const OnOffAuto *)at;
    default:
        return *(const uint64_t *)at;
    }
}

void prop_word_put(Obj *base, const Prop *p, uint64_t v)
{
    void *at = prop_at(base, p);
    switch (p->kind) {
    case PK_BOOL:
        *(bool *)at = v != 0;
        break;
    case PK_BIT32:
        *(uint32_t *)at = (*(uint32_t *)at & ~(1u << p->bit)) |
                          (uint32_t)(v != 0) << p->bit;
        break;
    case PK_BIT64:
        *(uint64_t *)at = (*(uint64_t *)at & ~(1ull << p->bit)) |
                          (uint64_t)(v != 0) << p->bit;
        break;
    case PK_U8:
        *(uint8_t *)at = (uint8_t)v;
        break;
    case PK_U16:
        *(uint16_t *)at = (uint16_t)v;
        break;
    case PK_U32:
    case PK_SIZE32:
        *(uint32_t *)at = (uint32_t)v;
        break;
    case PK_I32:
    case PK_PCI_ADDR:
        *(int32_t *)at = (int32_t)v;
        break;
    case PK_ENUM:
        *(int *)at = (int)v;
        break;
    case PK_AUTO:
        *(OnOffAuto *)at = (OnOffAuto)v;
        break;
    default:
        *(uint64_t *)at = v;
        break;
    }
}

/* ---- defaults ----------------------------------------------------------- */

static void default_put(Obj *base, const Prop *p)
{
    if (prop_is_word(p)) {
        prop_word_put(base, p, p->def);
        return;
    }
    if (p->kind != PK_CALL) {
        memset(prop_at(base, p), 0, prop_bytes(p));
    }
    if (p->def_str && p->kind != PK_REF) {
        Json *v = json_str(p->def_str);
        bool ok = prop_store(base, p, v, true, "", NULL);
        g_assert(ok);
        json_free(v);
    }
}

static const char *compat_value(const Prop *p, unsigned version)
{
    const char *value = NULL;
    unsigned best = UINT16_MAX + 1u;
    for (const PropCompat *c = p->compat; c && c->value; c++) {
        if (version <= c->upto && c->upto < best) {
            best = c->upto;
            value = c->value;
        }
    }
    return value;
}

void prop_defaults(Obj *base, const Prop *table, unsigned machine_version)
{
    for (const Prop *p = table; p && p->name; p++) {
        if (p->flags & PF_READONLY) {
            continue;                  /* the owner's, not ours to fill       */
        }
        default_put(base, p);
        const char *compat = machine_version ?
            compat_value(p, machine_version) : NULL;
        if (compat) {
            Json *v = json_str(compat);
            bool ok = prop_store(base, p, v, true, "", NULL);
            g_assert(ok);
            json_free(v);
        }
    }
}

void prop_drop(Obj *base, const Prop *p)
{
    void *at = prop_at(base, p);
    if (p->drop) {
        p->drop(base);
    } else if (p->kind == PK_STR) {
        g_free(*(char **)at);
        *(char **)at = NULL;
    } else if (p->kind == PK_ARRAY_U32) {
        PropArray *a = at;
        g_free(a->v);
        *a = (PropArray){ 0 };
    } else if (p->kind == PK_REF) {
        const PropRef *ref = p->aux;
        void *target = *(void **)at;
        *(void **)at = NULL;
        if (target && ref->release) {
            ref->release(base, target);
        }
    }
}

void prop_release(Obj *base, const Prop *table)
{
    for (const Prop *p = table; p && p->name; p++) {
        if (p->drop || (p->kind != PK_CALL && !(p->flags & PF_READONLY))) {
            prop_drop(base, p);
        }
    }
}

/* ---- reading ------------------------------------------------------------ */

static Json *str_get(const Prop *p, const char *s, Error **errp)
{
    if (!(p->flags & PF_OUTPUT)) {
        return json_str(s ? s : "");
    }
    return s ? json_parse(s, strlen(s), errp) : json_null();
}

static Json *uuid_get(const uint8_t *u)
{
    return json_strf("%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-"
                     "%02x%02x%02x%02x%02x%02x", u[0], u[1], u[2], u[3], u[4],
                     u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13],
                     u[14], u[15]);
}

static Json *array_get(const PropArray *a)
{
    Json *list = json_list();
    for (uint32_t i = 0; i < a->n; i++) {
        json_add(list, json_uint(a->v[i]));
    }
    return list;
}

static Json *ref_get(const PropRef *ref, const void *target)
{
    if (target && g_str_has_prefix(ref->type, "link<")) {
        machine_assert_locked();
        char *path = obj_path(target);
        Json *v = json_str(path);
        g_free(path);
        return v;
    }
    const char *id = target ? ref->id(target) : NULL;
    return json_str(id ? id : "");
}

static Json *name_get(const Prop *p, uint64_t index)
{
    const char *const *names = prop_names(p)->names;
    for (uint64_t i = 0; names[i]; i++) {
        if (i == index) {
            return json_str(names[i]);
        }
    }
    return json_str("");
}

Json *prop_get(const Obj *base, const Prop *p, Error **errp)
{
    if (p->get) {
        return p->get(base, p, errp);
    }
    if (p->kind == PK_CALL) {
        error_set(errp, "Property '%s' is not readable", p->name);
        return NULL;
    }
    const void *at = prop_at(base, p);
    switch (p->kind) {
    case PK_BOOL:
    case PK_BIT32:
    case PK_BIT64:
        return json_bool(prop_word(base, p));
    case PK_U8:
    case PK_U16:
    case PK_U32:
    case PK_U64:
    case PK_SIZE:
    case PK_SIZE32:
        return json_uint(prop_word(base, p));
    case PK_I32:
    case PK_I64:
    case PK_PCI_ADDR:
        return json_int((int64_t)prop_word(base, p));
    case PK_ENUM:
    case PK_AUTO:
        return name_get(p, prop_word(base, p));
    case PK_STR:
        return str_get(p, *(char *const *)at, errp);
    case PK_MAC: {
        const uint8_t *m = at;
        return json_strf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2],
                         m[3], m[4], m[5]);
    }
    case PK_UUID:
        return uuid_get(at);
    case PK_REF:
        return ref_get(p->aux, *(void *const *)at);
    case PK_ARRAY_U32:
        return array_get(at);
    case PK_CALL:
        break;
    }
    g_assert_not_reached();
}
