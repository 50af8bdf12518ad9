/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmstate.c - saved state to bytes and back, by walking field tables.
 *
 * All numbers are big-endian.
 *
 *     section  name length (u8), name, version (u16), signature (u64),
 *              body length (u32), body
 *     body     the fields of that version in table order, then the optional
 *              sections that are needed, until the body ends
 *     integer  its width; bool: one byte, 0 or 1; timer: its deadline (u64)
 *     bytes    as they are; counted bytes: count (u32) first
 *     structs  version (u16), signature (u64), then for each element its body
 *              length (u32) and body; counted structs: count (u32) first
 *
 * Thread class: MACHINE_CALL, machine stopped.
 * Invariants:
 *  1. A body is read within its own length and must be used up.
 *  2. A field's size comes from the table, never from the stream; a count from
 *     the stream is at most count_max and only decides an allocation when the
 *     owner left the pointer NULL.
 *  3. The signature covers names, kinds, widths and counts of the fields of the
 *     version that the stream states, so a table changed without a new version
 *     is found before a field is.
 */
#include <glib.h>
#include "loop.h"
#include "vmstate-priv.h"

const VmState vm_none = { .name = "none", .version = 1, .oldest = 1 };

void vmbuf_free(VmBuf *b)
{
    g_free(b->p);
    *b = (VmBuf){ 0 };
}

/* ---- the table ---------------------------------------------------------- */

static uint64_t hash_add(uint64_t h, const void *p, size_t n)
{
    for (const uint8_t *b = p; n; n--, b++) {
        h = (h ^ *b) * 0x100000001b3ull;           /* FNV-1a                  */
    }
    return h;
}

static uint64_t hash_u32(uint64_t h, uint32_t v)
{
    uint8_t b[4];
    st_le32(b, v);
    return hash_add(h, b, sizeof(b));
}

bool vmfield_in(const VmField *f, unsigned version)
{
    return f->since <= version;
}

uint64_t vmstate_signature_at(const VmState *v, unsigned version)
{
    uint64_t h = 0xcbf29ce484222325ull;
    for (const VmField *f = v->fields; f && f->name; f++) {
        if (!vmfield_in(f, version)) {
            continue;
        }
        h = hash_add(h, f->name, strlen(f->name) + 1);
        h = hash_u32(h, f->kind);
        h = hash_u32(h, f->sub || f->kind == VK_TIMER ? 0 : f->size);
        h = hash_u32(h, f->count);
        if (f->sub) {
            h = hash_add(h, f->sub->name, strlen(f->sub->name) + 1);
        }
    }
    return h;
}

uint64_t vmstate_signature(const VmState *v)
{
    uint64_t h = vmstate_signature_at(v, v->version);
    h = hash_u32(h, v->version);
    h = hash_u32(h, v->oldest);
    for (const VmField *f = v->fields; f && f->name; f++) {
        if (f->sub) {
            uint64_t sub = vmstate_signature(f->sub);
            h = hash_u32(hash_u32(h, (uint32_t)sub), sub >> 32);
        }
    }
    for (const VmState *const *part = v->sections; part && *part; part++) {
        uint64_t sub = vmstate_signature(*part);
        h = hash_add(h, (*part)->name, strlen((*part)->name) + 1);
        h = hash_u32(hash_u32(h, (uint32_t)sub), sub >> 32);
    }
    return h;
}

/* ---- saving ------------------------------------------------------------- */

static uint8_t *room(VmBuf *b, size_t n)
{
    if (b->cap - b->n < n) {
        size_t cap = MAX2(b->cap * 2, (size_t)512);
        while (cap - b->n < n) {
            cap *= 2;
        }
        b->p = g_realloc(b->p, cap);
        b->cap = cap;
    }
    b->n += n;
    return b->p + b->n - n;
}

static void put_bytes(VmBuf *b, const void *p, size_t n)
{
    if (n) {
        memcpy(room(b, n), p, n);
    }
}

static void put16(VmBuf *b, uint16_t v)
{
    st_be16(room(b, 2), v);
}

static void put32(VmBuf *b, uint32_t v)
{
    st_be32(room(b, 4), v);
}

static void put64(VmBuf *b, uint64_t v)
{
    st_be64(room(b, 8), v);
}

uint32_t vmfield_count(const VmField *f, const void *s)
{
    return f->kind == VK_VBYTES || f->kind == VK_VSTRUCT ?
        *(const uint32_t *)((const char *)s + f->count_off) : f->count;
}

void *vmfield_at(const VmField *f, void *s)
{
    void *at = (char *)s + f->offset;
    return f->kind == VK_PSTRUCT || f->kind == VK_VBYTES ||
           f->kind == VK_VSTRUCT ? *(void **)at : at;
}

static void save_body(const VmState *v, void *s, VmBuf *out);

static void save_structs(const VmField *f, void *s, VmBuf *out)
{
    char *at = vmfield_at(f, s);
    uint32_t n = vmfield_count(f, s);
    put16(out, f->sub->version);
    put64(out, vmstate_signature_at(f->sub, f->sub->version));
    for (uint32_t i = 0; i < n; i++) {
        size_t from = out->n;
        put32(out, 0);
        save_body(f->sub, at + (size_t)i * f->size, out);
        st_be32(out->p + from, (uint32_t)(out->n - from - 4));
    }
}

static void save_field(const VmField *f, void *s, VmBuf *out)
{
    const char *at = vmfield_at(f, s);
    uint32_t n = vmfield_count(f, s);
    if (f->kind == VK_VBYTES || f->kind == VK_VSTRUCT) {
        g_assert(n <= f->count_max);
        put32(out, n);
    }
    if (f->sub) {
        save_structs(f, s, out);
        return;
    }
    if (f->kind == VK_BYTES || f->kind == VK_VBYTES) {
        put_bytes(out, at, (size_t)f->size * n);
        return;
    }
    for (uint32_t i = 0; i < n; i++, at += f->size) {
        switch (f->kind) {
        case VK_U16:
            put16(out, *(const uint16_t *)at);
            break;
        case VK_U32:
            put32(out, *(const uint32_t *)at);
            break;
        case VK_U64:
            put64(out, *(const uint64_t *)at);
            break;
        case VK_TIMER:
            put64(out, (uint64_t)((const Timer *)at)->deadline);
            break;
        case VK_BOOL:
            *room(out, 1) = *(const bool *)at;
            break;
        default:
            *room(out, 1) = *(const uint8_t *)at;
            break;
        }
    }
}

static void save_body(const VmState *v, void *s, VmBuf *out)
{
    if (v->before_save) {
        v->before_save(s);
    }
    for (const VmField *f = v->fields; f && f->name; f++) {
        if (vmfield_in(f, v->version)) {
            save_field(f, s, out);
        }
    }
    for (const VmState *const *part = v->sections; part && *part; part++) {
        if (!(*part)->needed || (*part)->needed(s)) {
            vmstate_save(*part, s, out);
        }
    }
}

void vmstate_save(const VmState *v, void *s, VmBuf *out)
{
    size_t len = strlen(v->name);
    g_assert(len && len <= UINT8_MAX);
    *room(out, 1) = (uint8_t)len;
    put_bytes(out, v->name, len);
    put16(out, v->version);
    put64(out, vmstate_signature_at(v, v->version));
    size_t from = out->n;
    put32(out, 0);
    save_body(v, s, out);
    g_assert(out->n - from - 4 <= UINT32_MAX);
    st_be32(out->p + from, (uint32_t)(out->n - from - 4));
}

/* ---- loading ------------------------------------------------------------ */

/* What is left to read of the innermost body. */
typedef struct In {
    const uint8_t *p;
    size_t n;
} In;

/* The next n bytes, or NULL. */
static const uint8_t *take(In *in, size_t n)
{
    const uint8_t *p = in->p;
    if (in->n < n) {
        return NULL;
    }
    in->p += n;
    in->n -= n;
    return p;
}

static bool ends_early(Error **errp)
{
    return error_set(errp, "the state ends early");
}

static bool version_check(const VmState *v, unsigned version, uint64_t sig,
                          Error **errp)
{
    if (version > v->version) {
        return error_set(errp, "version %u is newer than %u, which is the "
                         "newest known here", version, v->version);
    }
    if (version < v->oldest) {
        return error_set(errp, "version %u is older than %u, which is the "
                         "oldest known here", version, v->oldest);
    }
    if (sig != vmstate_signature_at(v, version)) {
        return error_set(errp, "the list of fields of version %u differs from "
                         "the one known here", version);
    }
    return true;
}

static bool load_body(const VmState *v, void *s, unsigned version, In *in,
                      Error **errp);

static bool load_structs(const VmField *f, void *s, uint32_t n, In *in,
                         Error **errp)
{
    char *at = vmfield_at(f, s);
    const uint8_t *head = take(in, 10);
    if (!head) {
        return ends_early(errp);
    }
    unsigned version = ld_be16(head);
    if (!version_check(f->sub, version, ld_be64(head + 2), errp)) {
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *len = take(in, 4);
        In body = { .n = len ? ld_be32(len) : 0 };
        body.p = len ? take(in, body.n) : NULL;
        bool ok = body.p ? load_body(f->sub, at + (size_t)i * f->size, version,
                                     &body, errp) : ends_early(errp);
        if (!ok) {
            if (f->kind == VK_VSTRUCT || n > 1) {
                error_prepend(errp, "element %u: ", i);
            }
            return false;
        }
    }
    return true;
}

static bool load_timer(Timer *t, uint64_t raw, Error **errp)
{
    int64_t deadline = (int64_t)raw;
    if (deadline < -1) {
        return error_set(errp, "%" PRId64 " is not a time", deadline);
    }
    if (deadline < 0) {
        timer_clear(t);
    } else {
        timer_set(t, deadline);
    }
    return true;
}

static bool load_word(const VmField *f, void *at, const uint8_t *p,
                      Error **errp)
{
    switch (f->kind) {
    case VK_BOOL:
        if (*p > 1) {
            return error_set(errp, "%u is not a boolean", *p);
        }
        *(bool *)at = *p;
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
    case VK_TIMER:
        return load_timer(at, ld_be64(p), errp);
    default:
        *(uint8_t *)at = *p;
        return true;
    }
}

/* Reads the count of a counted field, and makes it the live one. */
static bool load_count(const VmField *f, void *s, uint32_t *n, In *in,
                       Error **errp)
{
    const uint8_t *p = take(in, 4);
    uint32_t *live = (uint32_t *)((char *)s + f->count_off);
    void **at = (void **)((char *)s + f->offset);
    if (!p) {
        return ends_early(errp);
    }
    *n = ld_be32(p);
    if (*n > f->count_max) {
        return error_set(errp, "count %u is above %u", *n, f->count_max);
    }
    if (*at && *n != *live) {
        return error_set(errp, "count is %u, but %u here; is the machine set "
                         "up in the same way?", *n, *live);
    }
    if (!*at && *n) {
        /* No element takes less of the stream than this. */
        if (in->n / (f->sub ? 4 : 1) < *n) {
            return ends_early(errp);
        }
        *at = g_malloc0((size_t)*n * f->size);
    }
    *live = *n;
    return true;
}

static bool load_field(const VmField *f, void *s, In *in, Error **errp)
{
    uint32_t n = f->count;
    if ((f->kind == VK_VBYTES || f->kind == VK_VSTRUCT) &&
        !load_count(f, s, &n, in, errp)) {
        return false;
    }
    if (f->sub) {
        return load_structs(f, s, n, in, errp);
    }
    char *at = vmfield_at(f, s);
    if (f->kind == VK_BYTES || f->kind == VK_VBYTES) {
        size_t bytes = (size_t)f->size * n;
        const uint8_t *p = take(in, bytes);
        if (!p) {
            return ends_early(errp);
        }
        if (bytes) {
            memcpy(at, p, bytes);
        }
        return true;
    }
    size_t width = f->kind == VK_TIMER ? 8 : f->size;
    for (uint32_t i = 0; i < n; i++, at += f->size) {
        const uint8_t *p = take(in, width);
        if (!p) {
            return ends_early(errp);
        }
        if (!load_word(f, at, p, errp)) {
            return false;
        }
    }
    return true;
}

static bool load_section(const VmState *v, void *s, In *in, Error **errp);

/* The name of the section that comes next; false: there is none. */
static bool peek_name(const In *in, char name[UINT8_MAX + 1])
{
    if (!in->n || !in->p[0] || in->n < 1u + in->p[0]) {
        return false;
    }
    memcpy(name, in->p + 1, in->p[0]);
    name[in->p[0]] = 0;
    return true;
}

static bool load_parts(const VmState *v, void *s, In *in, Error **errp)
{
    char name[UINT8_MAX + 1];
    const VmState *const *next = v->sections;
    while (in->n) {
        if (!peek_name(in, name)) {
            return ends_early(errp);
        }
        /* Parts come in table order, each at most once. */
        while (next && *next && strcmp((*next)->name, name)) {
            next++;
        }
        if (!next || !*next) {
            char *show = g_utf8_make_valid(name, -1);
            error_set(errp, "part '%s' is not known, or not due here", show);
            g_free(show);
            return false;
        }
        if (!load_section(*next, s, in, errp)) {
            return false;
        }
        next++;
    }
    return true;
}

static bool load_body(const VmState *v, void *s, unsigned version, In *in,
                      Error **errp)
{
    if (v->before_load && !v->before_load(s, errp)) {
        return false;
    }
    for (const VmField *f = v->fields; f && f->name; f++) {
        if (vmfield_in(f, version) && !load_field(f, s, in, errp)) {
            error_prepend(errp, "field '%s': ", f->name);
            return false;
        }
    }
    if (in->n && !v->sections) {
        return error_set(errp, "%zu bytes are left over", in->n);
    }
    return load_parts(v, s, in, errp) &&
           (!v->after_load || v->after_load(s, (int)version, errp));
}

/* Reads a section's head and body from in. */
static bool section_read(const VmState *v, void *s, In *in, Error **errp)
{
    char name[UINT8_MAX + 1];
    if (!peek_name(in, name)) {
        return ends_early(errp);
    }
    if (strcmp(name, v->name)) {
        char *show = g_utf8_make_valid(name, -1);
        error_set(errp, "the state is of '%s'", show);
        g_free(show);
        return false;
    }
    take(in, 1 + strlen(v->name));
    const uint8_t *head = take(in, 14);
    if (!head) {
        return ends_early(errp);
    }
    unsigned version = ld_be16(head);
    In body = { .n = ld_be32(head + 10) };
    if (!version_check(v, version, ld_be64(head + 2), errp)) {
        return false;
    }
    body.p = take(in, body.n);
    return body.p ? load_body(v, s, version, &body, errp) : ends_early(errp);
}

static bool load_section(const VmState *v, void *s, In *in, Error **errp)
{
    if (!section_read(v, s, in, errp)) {
        error_prepend(errp, "%s: ", v->name);
        return false;
    }
    return true;
}

bool vmstate_load(const VmState *v, void *s, const uint8_t *in, size_t len,
                  Error **errp)
{
    In all = { in, len };
    if (!load_section(v, s, &all, errp)) {
        return false;
    }
    if (all.n) {
        return error_set(errp, "%s: %zu bytes are left over", v->name, all.n);
    }
    return true;
}
