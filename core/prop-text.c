/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * prop-text.c - property rows for people and introspection: type names,
 * defaults, help lines, `info qtree`.
 *
 * Thread class: ANY_THREAD for rows, MACHINE_CALL for values.
 */
#include <glib.h>
#include "prop-priv.h"

const char *prop_type_name(const Prop *p)
{
    static const char *const names[] = {
        [PK_BOOL] = "bool", [PK_BIT32] = "bool", [PK_BIT64] = "bool",
        [PK_U8] = "uint8", [PK_U16] = "uint16", [PK_U32] = "uint32",
        [PK_U64] = "uint64", [PK_I32] = "int32", [PK_I64] = "int64",
        [PK_SIZE] = "size", [PK_SIZE32] = "size", [PK_STR] = "str",
        [PK_MAC] = "str", [PK_UUID] = "str", [PK_PCI_ADDR] = "int32",
        [PK_ARRAY_U32] = "uint32",
    };
    if (p->type) {
        return p->type;
    }
    if (p->kind == PK_ENUM || p->kind == PK_AUTO) {
        return prop_names(p)->type;
    }
    if (p->kind == PK_REF) {
        return ((const PropRef *)p->aux)->type;
    }
    return p->kind == PK_CALL ? "string" : names[p->kind];
}

const char *prop_desc(const Prop *p)
{
    if (p->desc) {
        return *p->desc ? p->desc : NULL;
    }
    switch (p->kind) {
    case PK_BIT32:
    case PK_BIT64:
        return "on/off";
    case PK_AUTO:
        return "on/off/auto";
    case PK_MAC:
        return "Ethernet 6-byte MAC Address, example: 52:54:00:12:34:56";
    case PK_PCI_ADDR:
        return "Slot and optional function number, example: 06.0 or 06";
    case PK_UUID:
        return "UUID (aka GUID) or \"auto\" for random value (default)";
    default:
        return NULL;
    }
}

Json *prop_default(const Prop *p)
{
    if (p->flags & (PF_NO_DEFAULT | PF_READONLY)) {
        return NULL;
    }
    switch (p->kind) {
    case PK_BOOL:
    case PK_BIT32:
    case PK_BIT64:
        return json_bool(p->def);
    case PK_U8:
    case PK_U16:
    case PK_U32:
    case PK_U64:
    case PK_SIZE:
    case PK_SIZE32:
        return json_uint(p->def);
    case PK_I32:
    case PK_I64:
    case PK_PCI_ADDR:
        return json_int((int64_t)p->def);
    case PK_ENUM:
    case PK_AUTO:
        return json_str(prop_names(p)->names[p->def]);
    case PK_UUID:
        return p->def_str ? json_str(p->def_str) : NULL;
    default:
        return NULL;
    }
}

char *prop_help_line(const Prop *p)
{
    const char *desc = prop_desc(p);
    Json *def = prop_default(p);
    GString *s = g_string_new(NULL);
    g_string_printf(s, "  %s=<%s>", p->name, prop_type_name(p));
    if (desc || def) {
        g_string_append_printf(s, "%*s - %s", (int)MAX2(24 - (int)s->len, 0),
                               "", desc ? desc : "");
    }
    if (def) {
        char *text = json_text(def, false, NULL);
        g_string_append_printf(s, " (default: %s)", text);
        g_free(text);
        json_free(def);
    }
    return g_string_free(s, FALSE);
}

/* "512 (512 B)": three digits and a binary unit. */
static char *size_print(uint64_t v)
{
    static const char *const units[] = {
        "", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei",
    };
    unsigned i = 0;
    double d = (double)v;
    for (; d >= 1000 && i + 1 < ARRAY_SIZE(units); i++) {
        d /= 1024;
    }
    return g_strdup_printf("%" PRIu64 " (%0.3g %sB)", v, d, units[i]);
}

char *prop_print(const Obj *base, const Prop *p)
{
    if (p->kind == PK_PCI_ADDR && !p->get) {
        int32_t devfn = *(int32_t *)prop_at(base, p);
        return devfn < 0 ? g_strdup("<unset>") :
               g_strdup_printf("%02x.%x", devfn >> 3, devfn & 7);
    }
    Json *v = prop_get(base, p, NULL);
    char *text;
    if (!v) {
        return g_strdup("<unknown>");
    }
    switch (json_kind(v)) {
    case JSON_INT:
        if (p->kind == PK_SIZE || p->kind == PK_SIZE32) {
            text = size_print(json_uint_of(v));
        } else {
            text = g_strdup_printf("%" PRId64 " (0x%" PRIx64 ")",
                                   json_int_of(v), json_int_of(v));
        }
        break;
    case JSON_UINT:
        text = p->kind == PK_SIZE ? size_print(json_uint_of(v)) :
               g_strdup_printf("%" PRIu64 " (0x%" PRIx64 ")",
                               json_uint_of(v), json_uint_of(v));
        break;
    case JSON_STR:
        text = g_strdup_printf("\"%s\"", json_str_of(v));
        break;
    default:
        text = json_text(v, false, NULL);
        break;
    }
    json_free(v);
    return text;
}
