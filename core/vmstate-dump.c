/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmstate-dump.c - saved state as JSON, for people and tests.
 *
 * Thread class: MACHINE_CALL, machine stopped.
 */
#include <glib.h>
#include "loop.h"
#include "vmstate-priv.h"

static Json *bytes_dump(const uint8_t *p, size_t n)
{
    static const char hex[] = "0123456789abcdef";
    char *s = g_malloc(n * 2 + 1);
    for (size_t i = 0; i < n; i++) {
        s[2 * i] = hex[p[i] >> 4];
        s[2 * i + 1] = hex[p[i] & 15];
    }
    s[2 * n] = 0;
    Json *v = json_str(s);
    g_free(s);
    return v;
}

static Json *one_dump(const VmField *f, void *at)
{
    switch (f->kind) {
    case VK_BOOL:
        return json_bool(*(bool *)at);
    case VK_U8:
        return json_uint(*(uint8_t *)at);
    case VK_U16:
        return json_uint(*(uint16_t *)at);
    case VK_U32:
        return json_uint(*(uint32_t *)at);
    case VK_U64:
        return json_uint(*(uint64_t *)at);
    case VK_BYTES:
        return bytes_dump(at, f->size);
    case VK_TIMER:
        return json_int(((Timer *)at)->deadline);
    default:
        return vmstate_dump(f->sub, at);
    }
}

static Json *field_dump(const VmField *f, void *s)
{
    char *at = vmfield_at(f, s);
    uint32_t n = vmfield_count(f, s);
    if (f->kind == VK_VBYTES) {
        return bytes_dump((uint8_t *)at, n);
    }
    if (n == 1 && f->kind != VK_VSTRUCT) {
        return one_dump(f, at);
    }
    Json *list = json_list();
    for (uint32_t i = 0; i < n; i++) {
        json_add(list, one_dump(f, at + (size_t)i * f->size));
    }
    return list;
}

Json *vmstate_dump(const VmState *v, void *s)
{
    Json *obj = json_obj();
    if (v->before_save) {
        v->before_save(s);
    }
    for (const VmField *f = v->fields; f && f->name; f++) {
        if (vmfield_in(f, v->version)) {
            json_set(obj, f->name, field_dump(f, s));
        }
    }
    for (const VmState *const *part = v->sections; part && *part; part++) {
        if (!(*part)->needed || (*part)->needed(s)) {
            json_set(obj, (*part)->name, vmstate_dump(*part, s));
        }
    }
    return obj;
}
