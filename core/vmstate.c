/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmstate.c - encoder and decoder of saved-state tables.
 *
 * A section on the wire, integers big-endian:
 *   u32 length of what follows; u8 name length; name; u16 version;
 *   u64 signature of the field list at that version; fields; optional parts,
 *   each a section of its own; u32 0.
 *
 * Thread class: machine lock, machine stopped.
 *
 * Invariants:
 * 1. The decoder never reads beyond the length of the section it is in, and
 *    never writes outside the fields that the table names.
 * 2. Every byte of a section is consumed, or loading fails.
 */
#include <glib.h>
#include "loop.h"
#include "vmstate.h"

#define VM_MAX_DEPTH 16

const VmState vm_none = {
    .name = "none", .version = 1, .oldest = 1,
    .fields = (const VmField[]){ VM_END },
};

/* ---- writing --------------------------------------------------------------------- */

void vmbuf_free(VmBuf *b)
{
    g_free(b->p);
    *b = (VmBuf){ 0 };
}

static uint8_t *vmbuf_grow(VmBuf *b, size_t n)
{
    if (b->cap - b->n < n) {
        b->cap = MAX2(b->cap * 2, b->n + n + 256);
        b->p = g_realloc(b->p, b->cap);
    }
    b->n += n;
    return b->p + b->n - n;
}

static void put_u16(VmBuf *b, uint16_t v)
{
    st_be16(vmbuf_grow(b, 2), v);
}

static void put_u32(VmBuf *b, uint32_t v)
{
    st_be32(vmbuf_grow(b, 4), v);
}

static void put_u64(VmBuf *b, uint64_t v)
{
    st_be64(vmbuf_grow(b, 8), v);
}

static void put_bytes(VmBuf *b, const void *p, size_t n)
{
    if (n) {
        memcpy(vmbuf_grow(b, n), p, n);
    }
}

static void save_fields(const VmState *v, void *s, VmBuf *b, int version);

static uint32_t live_count(const VmField *f, const void *s)
{
    uint32_t n;

    if (f->kind != VK_VBYTES && f->kind != VK_VSTRUCT) {
        return f->count;
    }
    memcpy(&n, (const char *)s + f->count_off, sizeof(n));
    return MIN2(n, f->count_max);
}

static void save_one(const VmField *f, void *at, VmBuf *b)
{
    switch (f->kind) {
    case VK_BOOL:
        *vmbuf_grow(b, 1) = *(bool *)at;
        break;
    case VK_U8:
        *vmbuf_grow(b, 1) = *(uint8_t *)at;
        break;
    case VK_U16:
        put_u16(b, *(uint16_t *)at);
        break;
    case VK_U32:
        put_u32(b, *(uint32_t *)at);
        break;
    case VK_U64:
        put_u64(b, *(uint64_t *)at);
        break;
    case VK_BYTES:
        put_bytes(b, at, f->size);
        break;
    case VK_TIMER:
        put_u64(b, ((Timer *)at)->deadline);
        break;
    case VK_STRUCT:
        save_fields(f->sub, at, b, f->sub->version);
        break;
    case VK_PSTRUCT:
        save_fields(f->sub, *(void **)at, b, f->sub->version);
        break;
    default:
        break;
    }
}

static void save_fields(const VmState *v, void *s, VmBuf *b, int version)
{
    if (v->before_save) {
        v->before_save(s);
    }
    for (const VmField *f = v->fields; f && f->name; f++) {
        char *at = (char *)s + f->offset;
        uint32_t n = live_count(f, s);

        if (f->kind == VK_VBYTES) {
            put_u32(b, n);
            put_bytes(b, *(uint8_t **)at, n);
            continue;
        }
        if (f->kind == VK_VSTRUCT) {
            put_u32(b, n);
            for (uint32_t i = 0; i < n; i++) {
                save_fields(f->sub, *(char **)at + (size_t)i * f->size, b,
                            f->sub->version);
            }
            continue;
        }
        for (uint32_t i = 0; i < n; i++) {
            save_one(f, at + (size_t)i * f->size, b);
        }
    }
}

void vmstate_save(const VmState *v, void *s, VmBuf *out)
{
    size_t start = out->n, name = strlen(v->name);

    put_u32(out, 0);
    *vmbuf_grow(out, 1) = name;
    put_bytes(out, v->name, name);
    put_u16(out, v->version);
    put_u64(out, vmstate_signature(v));
    save_fields(v, s, out, v->version);
    for (const VmState *const *p = v->sections; p && *p; p++) {
        if (!(*p)->needed || (*p)->needed(s)) {
            vmstate_save(*p, s, out);
        }
    }
    put_u32(out, 0);
    st_be32(out->p + start, out->n - start - 4);
}

/* ---- signature ----------------------------------------------------------------------- */

static uint64_t mix(uint64_t h, const void *p, size_t n)
{
    const uint8_t *b = p;

    while (n--) {
        h = (h ^ *b++) * 0x100000001b3ull;     /* FNV-1a */
    }
    return h;
}

static uint64_t signature_at(const VmState *v, int version, unsigned depth)
{
    uint64_t h = 0xcbf29ce484222325ull;

    for (const VmField *f = v->fields; f && f->name && depth; f++) {
        uint32_t row[4] = { f->kind, f->kind == VK_PSTRUCT ||
                            f->kind == VK_STRUCT || f->kind == VK_VSTRUCT ||
                            f->kind == VK_TIMER ? 0 : f->size,
                            f->count, f->since };

        if (f->since > version) {
            continue;
        }
        h = mix(h, f->name, strlen(f->name) + 1);
        h = mix(h, row, sizeof(row));
        if (f->sub) {
            uint64_t sub = signature_at(f->sub, f->sub->version, depth - 1);

            h = mix(h, &sub, sizeof(sub));
        }
    }
    return h;
}

uint64_t vmstate_signature(const VmState *v)
{
    return signature_at(v, v->version, VM_MAX_DEPTH);
}

/* ---- reading --------------------------------------------------------------------------- */

typedef struct In {
    const uint8_t *p;
    size_t left;
    const char *section;
} In;

static bool take(In *in, const char *field, size_t n, const uint8_t **p,
                 Error **errp)
{
    if (in->left < n) {
        return error_set(errp, "%s: section ends at field '%s'", in->section,
                         field);
    }
    *p = in->p;
    in->p += n;
    in->left -= n;
    return true;
}

static bool load_fields(const VmState *v, void *s, In *in, int version,
                        unsigned depth, Error **errp);

static bool load_one(const VmField *f, void *at, In *in, unsigned depth,
                     Error **errp)
{
    static const uint8_t widths[] = {
        [VK_BOOL] = 1, [VK_U8] = 1, [VK_U16] = 2, [VK_U32] = 4, [VK_U64] = 8,
        [VK_TIMER] = 8,
    };
    const uint8_t *p;
    size_t n = f->kind == VK_BYTES ? f->size
             : f->kind < sizeof(widths) ? widths[f->kind] : 0;

    if (n && !take(in, f->name, n, &p, errp)) {
        return false;
    }
    switch (f->kind) {
    case VK_BOOL:
        if (*p > 1) {
            return error_set(errp, "%s: field '%s' is %u, not 0 or 1",
                             in->section, f->name, *p);
        }
        *(bool *)at = *p;
        return true;
    case VK_U8:
        *(uint8_t *)at = *p;
        return true;
    case VK_U16:
        *(uint16_t *)at = ld_be16(p);
        return true;
    case VK_U32:
        *(uint32_t *)at = ld_be32(p);
        return true;
    case VK_U64:
        *(uint64_t *)at = ld_be64(p);
        return true;
    case VK_BYTES:
        memcpy(at, p, n);
        return true;
    case VK_TIMER: {
        int64_t deadline = ld_be64(p);

        if (deadline < 0) {
            timer_clear(at);
        } else {
            timer_set(at, deadline);
        }
        return true;
    }
    case VK_STRUCT:
        return load_fields(f->sub, at, in, f->sub->version, depth - 1, errp);
    case VK_PSTRUCT:
        return load_fields(f->sub, *(void **)at, in, f->sub->version,
                           depth - 1, errp);
    default:
        return error_set(errp, "%s: field '%s' has no loader", in->section,
                         f->name);
    }
}

static bool load_counted(const VmField *f, void *s, In *in, unsigned depth,
                         Error **errp)
{
    char *at = (char *)s + f->offset;
    const uint8_t *p;
    uint32_t n, have;

    if (!take(in, f->name, 4, &p, errp)) {
        return false;
    }
    n = ld_be32(p);
    if (n > f->count_max) {
        return error_set(errp, "%s: field '%s' has %u elements, at most %u fit",
                         in->section, f->name, n, f->count_max);
    }
    if (f->kind == VK_VBYTES) {
        if (!take(in, f->name, n, &p, errp)) {
            return false;
        }
        *(uint8_t **)at = g_realloc(*(uint8_t **)at, n ? n : 1);
        memcpy(*(uint8_t **)at, p, n);
        memcpy((char *)s + f->count_off, &n, sizeof(n));
        return true;
    }
    memcpy(&have, (char *)s + f->count_off, sizeof(have));
    if (n != have) {
        return error_set(errp, "%s: field '%s' has %u elements, this machine "
                         "has %u", in->section, f->name, n, have);
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!load_fields(f->sub, *(char **)at + (size_t)i * f->size, in,
                         f->sub->version, depth - 1, errp)) {
            return false;
        }
    }
    return true;
}

static bool load_fields(const VmState *v, void *s, In *in, int version,
                        unsigned depth, Error **errp)
{
    if (!depth) {
        return error_set(errp, "%s: state nested too deeply", in->section);
    }
    if (v->before_load && !v->before_load(s, errp)) {
        return false;
    }
    for (const VmField *f = v->fields; f && f->name; f++) {
        if (f->since > version) {
            continue;
        }
        if (f->kind == VK_VBYTES || f->kind == VK_VSTRUCT) {
            if (!load_counted(f, s, in, depth, errp)) {
                return false;
            }
            continue;
        }
        for (uint32_t i = 0; i < f->count; i++) {
            if (!load_one(f, (char *)s + f->offset + (size_t)i * f->size, in,
                          depth, errp)) {
                return false;
            }
        }
    }
    /* A section's own after_load waits for its optional parts. */
    return depth == VM_MAX_DEPTH || !v->after_load ||
           v->after_load(s, version, errp);
}

static const VmState *part_find(const VmState *v, const char *name, size_t n)
{
    for (const VmState *const *p = v->sections; p && *p; p++) {
        if (strlen((*p)->name) == n && !memcmp((*p)->name, name, n)) {
            return *p;
        }
    }
    return NULL;
}

static bool load_section(const VmState *v, void *s, In *in, unsigned depth,
                         Error **errp)
{
    const uint8_t *p;
    uint32_t len;
    uint64_t sig;
    int version;
    size_t n;
    In body;

    if (!depth) {
        return error_set(errp, "%s: parts nested too deeply", v->name);
    }
    if (!take(in, "length", 4, &p, errp)) {
        return false;
    }
    len = ld_be32(p);
    if (!take(in, "body", len, &p, errp)) {
        return false;
    }
    body = (In){ p, len, v->name };
    if (!take(&body, "name", 1, &p, errp)) {
        return false;
    }
    n = *p;
    if (!take(&body, "name", n, &p, errp)) {
        return false;
    }
    if (strlen(v->name) != n || memcmp(v->name, p, n)) {
        return error_set(errp, "%s: the stream has section '%.*s' in its place",
                         v->name, (int)n, (const char *)p);
    }
    if (!take(&body, "version", 2, &p, errp)) {
        return false;
    }
    version = ld_be16(p);
    if (version < v->oldest || version > v->version) {
        return error_set(errp, "%s: version %d not in %u..%u", v->name,
                         version, v->oldest, v->version);
    }
    if (!take(&body, "signature", 8, &p, errp)) {
        return false;
    }
    sig = ld_be64(p);
    if (sig != signature_at(v, version, VM_MAX_DEPTH)) {
        return error_set(errp, "%s: the stream's fields of version %d are not "
                         "this program's", v->name, version);
    }
    if (!load_fields(v, s, &body, version, VM_MAX_DEPTH, errp)) {
        return false;
    }
    for (;;) {
        const VmState *part;

        if (body.left < 4) {
            return error_set(errp, "%s: section ends before its last part",
                             v->name);
        }
        if (!ld_be32(body.p)) {
            break;
        }
        if (body.left < 5 || body.left - 5 < body.p[4]) {
            return error_set(errp, "%s: section ends inside a part's name",
                             v->name);
        }
        part = part_find(v, (const char *)body.p + 5, body.p[4]);
        if (!part) {
            return error_set(errp, "%s: unknown part '%.*s'", v->name,
                             body.p[4], (const char *)body.p + 5);
        }
        if (!load_section(part, s, &body, depth - 1, errp)) {
            return false;
        }
    }
    if (body.left != 4) {
        return error_set(errp, "%s: %zu bytes left over", v->name,
                         body.left - 4);
    }
    return !v->after_load || v->after_load(s, version, errp);
}

bool vmstate_load(const VmState *v, void *s, const uint8_t *in, size_t len,
                  Error **errp)
{
    In all = { in, len, v->name };

    if (!load_section(v, s, &all, VM_MAX_DEPTH, errp)) {
        return false;
    }
    return !all.left || error_set(errp, "%s: %zu bytes left over", v->name,
                                  all.left);
}

/* ---- for people ---------------------------------------------------------------------------- */

static Json *dump_one(const VmField *f, void *at)
{
    GString *hex;
    Json *j;

    switch (f->kind) {
    case VK_BOOL:
        return json_bool(*(bool *)at);
    case VK_U8:
        return json_int(*(uint8_t *)at);
    case VK_U16:
        return json_int(*(uint16_t *)at);
    case VK_U32:
        return json_int(*(uint32_t *)at);
    case VK_U64:
        return json_uint(*(uint64_t *)at);
    case VK_TIMER:
        return json_int(((Timer *)at)->deadline);
    case VK_STRUCT:
        return vmstate_dump(f->sub, at);
    case VK_PSTRUCT:
        return vmstate_dump(f->sub, *(void **)at);
    default:
        hex = g_string_new(NULL);
        for (uint32_t i = 0; i < f->size; i++) {
            g_string_append_printf(hex, "%02x", ((uint8_t *)at)[i]);
        }
        j = json_str(hex->str);
        g_string_free(hex, TRUE);
        return j;
    }
}

Json *vmstate_dump(const VmState *v, void *s)
{
    Json *obj = json_obj();

    if (v->before_save) {
        v->before_save(s);
    }
    for (const VmField *f = v->fields; f && f->name; f++) {
        char *at = (char *)s + f->offset;
        uint32_t n = live_count(f, s);
        bool counted = f->kind == VK_VBYTES || f->kind == VK_VSTRUCT;
        VmField row = *f;
        Json *list;

        if (f->kind == VK_VBYTES) {
            row.kind = VK_BYTES;
            row.size = n;
            json_set(obj, f->name, dump_one(&row, *(void **)at));
            continue;
        }
        if (f->kind == VK_VSTRUCT) {
            at = *(char **)at;
            row.kind = VK_STRUCT;
        }
        if (!counted && f->count == 1) {
            json_set(obj, f->name, dump_one(&row, at));
            continue;
        }
        list = json_list();
        for (uint32_t i = 0; i < n; i++) {
            json_add(list, dump_one(&row, at + (size_t)i * f->size));
        }
        json_set(obj, f->name, list);
    }
    for (const VmState *const *p = v->sections; p && *p; p++) {
        if (!(*p)->needed || (*p)->needed(s)) {
            json_set(obj, (*p)->name, vmstate_dump(*p, s));
        }
    }
    return obj;
}
