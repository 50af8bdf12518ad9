/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * prop-set.c - setting properties from JSON values and from option text.
 *
 * From JSON a value must have the row's JSON type. From text it is a string
 * that is converted; a list of strings (a key given several times) means
 * its last.
 *
 * Thread class: MACHINE_CALL.
 * Invariants:
 *  1. A refused value leaves the property as it was, also when the row's hook
 *     refuses it.
 *  2. A reference is claimed before the old one is let go.
 */
#include <ctype.h>
#include <sys/random.h>
#include <glib.h>
#include "obj.h"
#include "opt.h"
#include "prop-priv.h"

#define ARRAY_MAX 4096

static bool type_fault(const Prop *p, const char *expected, Error **errp)
{
    return error_set(errp, "Invalid parameter type for '%s', expected: %s",
                     p->name, expected);
}

static bool value_fault(const Prop *p, const char *owner, const char *s,
                        Error **errp)
{
    return error_set(errp, "Property '%s.%s' doesn't take value '%s'", owner,
                     p->name, s);
}

/* ---- integers ----------------------------------------------------------- */

static bool is_signed(const Prop *p)
{
    return p->kind == PK_I32 || p->kind == PK_I64;
}

/* The peer's name of the kind's C type, as it appears in messages. */
static const char *c_type(const Prop *p)
{
    switch (p->kind) {
    case PK_U8:
        return "uint8_t";
    case PK_U16:
        return "uint16_t";
    case PK_U32:
        return "uint32_t";
    case PK_I32:
        return "int32_t";
    case PK_I64:
        return "int64_t";
    default:
        return "uint64_t";
    }
}

static bool in_kind(const Prop *p, uint64_t v)
{
    switch (p->kind) {
    case PK_U8:
        return v <= UINT8_MAX;
    case PK_U16:
        return v <= UINT16_MAX;
    case PK_U32:
        return v <= UINT32_MAX;
    case PK_I32:
        return (int64_t)v >= INT32_MIN && (int64_t)v <= INT32_MAX;
    default:
        return true;
    }
}

static bool range_check(const Prop *p, const char *owner, uint64_t v,
                        Error **errp)
{
    if (!in_kind(p, v)) {
        return error_set(errp, "Parameter '%s' expects %s", p->name,
                         c_type(p));
    }
    if (p->kind == PK_SIZE32 && v > UINT32_MAX) {
        return error_set(errp, "Property %s.%s doesn't take value %" PRIu64
                         " (maximum: %u)", owner, p->name, v, UINT32_MAX);
    }
    if (!p->max && !p->min) {
        return true;
    }
    if (is_signed(p)) {
        int64_t i = (int64_t)v;
        if (i < (int64_t)p->min || i > (int64_t)p->max) {
            return error_set(errp, "Property %s.%s doesn't take value %" PRId64
                             " (minimum: %" PRId64 ", maximum: %" PRId64 ")",
                             owner, p->name, i, (int64_t)p->min,
                             (int64_t)p->max);
        }
    } else if (v < p->min || (p->max && v > p->max)) {
        return error_set(errp, "Property %s.%s doesn't take value %" PRIu64
                         " (minimum: %" PRIu64 ", maximum: %" PRIu64 ")",
                         owner, p->name, v, p->min,
                         p->max ? p->max : UINT64_MAX);
    }
    return true;
}

/* Text in C notation; unsigned kinds take a negative number as its complement,
 * which only 64-bit ones have room for. */
static bool int_of_text(const Prop *p, const char *s, uint64_t *out,
                        Error **errp)
{
    char *end;
    errno = 0;
    uint64_t v = is_signed(p) ? (uint64_t)strtoll(s, &end, 0) :
                 strtoull(s, &end, 0);
    if (end == s || *end || errno) {
        return error_set(errp, "Parameter '%s' expects integer", p->name);
    }
    *out = v;
    return true;
}

static bool int_of_json(const Prop *p, const Json *v, uint64_t *out,
                        Error **errp)
{
    JsonKind k = json_kind(v);
    if (k == JSON_INT) {
        *out = (uint64_t)json_int_of(v);
        return true;
    }
    if (is_signed(p)) {
        return type_fault(p, "integer", errp);
    }
    if (k != JSON_UINT) {
        return error_set(errp, "Parameter '%s' expects uint64", p->name);
    }
    *out = json_uint_of(v);
    return true;
}

static bool size_of_text(const Prop *p, const char *s, uint64_t *out,
                         Error **errp)
{
    return opt_size(p->name, s, 1, out, NULL) ||
           error_set(errp, "Parameter '%s' expects size", p->name);
}

static bool int_store(Obj *base, const Prop *p, const Json *v, bool text,
                      const char *owner, Error **errp)
{
    uint64_t word;
    bool ok;
    if (!text) {
        ok = int_of_json(p, v, &word, errp);
    } else if (p->kind == PK_SIZE || p->kind == PK_SIZE32) {
        ok = size_of_text(p, json_str_of(v), &word, errp);
    } else {
        ok = int_of_text(p, json_str_of(v), &word, errp);
    }
    if (!ok || !range_check(p, owner, word, errp)) {
        return false;
    }
    prop_word_put(base, p, word);
    return true;
}

/* ---- bool, enum, address ------------------------------------------------ */

static bool bool_store(Obj *base, const Prop *p, const Json *v, bool text,
                       Error **errp)
{
    bool b;
    if (text) {
        if (!opt_bool(p->name, json_str_of(v), &b, errp)) {
            return false;
        }
    } else if (json_kind(v) == JSON_BOOL) {
        b = json_bool_of(v);
    } else {
        return type_fault(p, "boolean", errp);
    }
    prop_word_put(base, p, b);
    return true;
}

static bool name_store(Obj *base, const Prop *p, const char *s, Error **errp)
{
    const char *const *names = prop_names(p)->names;
    for (unsigned i = 0; names[i]; i++) {
        if (*s && !strcmp(names[i], s)) {
            prop_word_put(base, p, i);
            return true;
        }
    }
    OptWords w = { .n = 0 };
    for (unsigned i = 0; names[i]; i++) {
        opt_word_add(&w, names[i]);
    }
    error_set(errp, "Parameter '%s' does not accept value '%s'", p->name, s);
    return opt_suggest(&w, s, errp);
}

/* "1f.7", "1f", with or without 0x. False: not of that form. */
static bool addr_parse(const char *s, int32_t *devfn)
{
    char *end;
    unsigned long fn = 0;
    if (!isxdigit((uint8_t)*s)) {
        return false;
    }
    unsigned long slot = strtoul(s, &end, 16);
    if (*end == '.') {
        const char *t = end + 1;
        if (!isxdigit((uint8_t)*t)) {
            return false;
        }
        fn = strtoul(t, &end, 16);
    }
    if (*end || slot > 31 || fn > 7) {
        return false;
    }
    *devfn = (int32_t)(slot << 3 | fn);
    return true;
}

static bool addr_store(Obj *base, const Prop *p, const Json *v,
                       const char *owner, Error **errp)
{
    int32_t devfn;
    if (json_kind(v) == JSON_STR) {
        if (!addr_parse(json_str_of(v), &devfn)) {
            return value_fault(p, owner, json_str_of(v), errp);
        }
    } else if (json_kind(v) == JSON_INT) {
        int64_t i = json_int_of(v);
        if (i < -1 || i > 255) {
            return error_set(errp, "Parameter '%s' expects a value between -1 "
                             "and 255", p->name);
        }
        devfn = (int32_t)i;
    } else {
        return error_set(errp, "Invalid parameter type for '%s', expected int "
                         "or str", p->name);
    }
    prop_word_put(base, p, (uint64_t)(int64_t)devfn);
    return true;
}

/* ---- strings and what they name ----------------------------------------- */

static bool str_store(Obj *base, const Prop *p, const char *s)
{
    char **at = prop_at(base, p);
    char *old = *at;
    *at = g_strdup(s);
    g_free(old);
    return true;
}

static bool uuid_store(Obj *base, const Prop *p, const char *owner,
                       const char *s, Error **errp)
{
    uint8_t uuid[16];
    if (!strcmp(s, "auto")) {
        if (getrandom(uuid, sizeof(uuid), 0) != sizeof(uuid)) {
            return error_set_errno(errp, errno, "Cannot draw a UUID for '%s'",
                                   p->name);
        }
        uuid[6] = 0x40 | (uuid[6] & 0x0f);         /* RFC 4122, 4.4           */
        uuid[8] = 0x80 | (uuid[8] & 0x3f);
    } else if (!opt_uuid(s, uuid, NULL)) {
        return error_set(errp, "Property '%s.%s' doesn't take value '%s'",
                         owner, p->name, s);
    }
    memcpy(prop_at(base, p), uuid, sizeof(uuid));
    return true;
}

static bool ref_store(Obj *base, const Prop *p, const char *id, Error **errp)
{
    const PropRef *ref = p->aux;
    void *target = NULL;
    if (*id == '/' && g_str_has_prefix(ref->type, "link<")) {
        machine_assert_locked();
        const Obj *o = obj_resolve(id, NULL);
        id = o && o->name ? o->name : id;
    }
    if (*id) {
        target = ref->claim(base, p->name, id, errp);
        if (!target) {
            return false;
        }
    }
    prop_drop(base, p);
    *(void **)prop_at(base, p) = target;
    return true;
}

/* Rows whose text form and JSON form are the same string. */
static bool named_store(Obj *base, const Prop *p, const Json *v,
                        const char *owner, Error **errp)
{
    if (json_kind(v) != JSON_STR) {
        return type_fault(p, "string", errp);
    }
    const char *s = json_str_of(v);
    switch (p->kind) {
    case PK_STR:
        return str_store(base, p, s);
    case PK_MAC:
        return opt_mac(s, prop_at(base, p), NULL) ||
               value_fault(p, owner, s, errp);
    case PK_UUID:
        return uuid_store(base, p, owner, s, errp);
    case PK_REF:
        return ref_store(base, p, s, errp);
    default:
        return name_store(base, p, s, errp);
    }
}

/* ---- arrays ------------------------------------------------------------- */

static bool array_store(Obj *base, const Prop *p, const Json *v, bool text,
                        const char *owner, Error **errp)
{
    const Json *list = v;
    Json *made = NULL;
    if (text && json_kind(v) == JSON_STR) {
        made = json_list();
        char **words = g_strsplit(json_str_of(v), ":", ARRAY_MAX + 1);
        for (char **w = words; *w && **words; w++) {
            json_add(made, json_str(*w));
        }
        g_strfreev(words);
        list = made;
    } else if (json_kind(v) != JSON_LIST) {
        return type_fault(p, "array", errp);
    }
    Prop element = { .name = p->name, .kind = PK_U32, .min = p->min,
                     .max = p->max };
    size_t n = json_count(list);
    uint32_t *values = g_new0(uint32_t, n + 1);
    bool ok = n <= ARRAY_MAX ||
        error_set(errp, "Parameter '%s' has more than %u elements", p->name,
                  ARRAY_MAX);
    for (size_t i = 0; ok && i < n; i++) {
        const Json *e = json_at(list, i);
        bool word = text && json_kind(e) == JSON_STR;
        ok = int_store((Obj *)&values[i], &element, e, word, owner, errp);
    }
    json_free(made);
    if (!ok) {
        g_free(values);
        return false;
    }
    prop_drop(base, p);
    *(PropArray *)prop_at(base, p) = (PropArray){ values, (uint32_t)n };
    return true;
}

/* ---- computed ----------------------------------------------------------- */

/* A setter of its own sees no text for a number or a boolean that came as JSON.
 * Lists pass: some rows of type "int" take several. */
static bool call_check(const Prop *p, const Json *v, Error **errp)
{
    const char *type = p->type ? p->type : "";
    JsonKind kind = json_kind(v);
    if (!strcmp(type, "bool")) {
        return kind == JSON_BOOL || type_fault(p, "boolean", errp);
    }
    if (kind == JSON_INT || kind == JSON_UINT || kind == JSON_LIST) {
        return true;
    }
    if (!strcmp(type, "size") || g_str_has_prefix(type, "uint")) {
        return error_set(errp, "Parameter '%s' expects uint64", p->name);
    }
    return !g_str_has_prefix(type, "int") || type_fault(p, "integer", errp);
}

/* ---- entry -------------------------------------------------------------- */

static bool store(Obj *base, const Prop *p, const Json *v, bool text,
                  const char *owner, Error **errp)
{
    switch (p->kind) {
    case PK_BOOL:
    case PK_BIT32:
    case PK_BIT64:
        return bool_store(base, p, v, text, errp);
    case PK_U8:
    case PK_U16:
    case PK_U32:
    case PK_U64:
    case PK_I32:
    case PK_I64:
    case PK_SIZE:
    case PK_SIZE32:
        return int_store(base, p, v, text, owner, errp);
    case PK_STR:
    case PK_ENUM:
    case PK_AUTO:
    case PK_MAC:
    case PK_UUID:
    case PK_REF:
        return named_store(base, p, v, owner, errp);
    case PK_PCI_ADDR:
        return addr_store(base, p, v, owner, errp);
    case PK_ARRAY_U32:
        return array_store(base, p, v, text, owner, errp);
    case PK_CALL:
        if (!p->set) {
            break;
        }
        return (text || call_check(p, v, errp)) && p->set(base, p, v, errp);
    }
    return error_set(errp, "Property '%s.%s' is not writable", owner, p->name);
}

bool prop_store(Obj *base, const Prop *p, const Json *v, bool text,
                const char *owner, Error **errp)
{
    /* Only an array and a setter of its own have a use for several values. */
    if (text && p->kind != PK_ARRAY_U32 && p->kind != PK_CALL) {
        if (json_kind(v) == JSON_LIST && json_count(v)) {
            v = json_at(v, json_count(v) - 1);
        }
        if (json_kind(v) != JSON_STR) {
            return type_fault(p, "string", errp);
        }
    }
    return store(base, p, v, text, owner, errp);
}

/* Stores, asks the row's hook, and puts the old value back if it refuses. */
static bool store_hooked(Obj *base, const Prop *p, const Json *v, bool text,
                         const char *owner, Error **errp)
{
    uint8_t old[16], fresh[16];
    size_t n = prop_bytes(p);
    bool owns = p->kind == PK_STR || p->kind == PK_REF ||
                p->kind == PK_ARRAY_U32;
    void *at = prop_at(base, p);
    memcpy(old, at, n);
    if (owns) {
        memset(at, 0, n);              /* keeps the old value alive           */
    }
    bool stored = prop_store(base, p, v, text, owner, errp);
    bool ok = stored && p->set(base, p, v, errp);
    if (ok && !owns) {
        return true;
    }
    if (ok) {
        memcpy(fresh, at, n);
        memcpy(at, old, n);
        prop_drop(base, p);
        memcpy(at, fresh, n);
        return true;
    }
    if (stored && owns) {
        prop_drop(base, p);
    }
    memcpy(at, old, n);
    return false;
}

bool prop_set(Obj *base, const Prop *p, const Json *v, bool text,
              const char *owner_name, Error **errp)
{
    if (p->flags & PF_READONLY) {
        return error_set(errp, "Property '%s.%s' is not writable", owner_name,
                         p->name);
    }
    if (p->set && p->kind != PK_CALL) {
        return store_hooked(base, p, v, text, owner_name, errp);
    }
    return prop_store(base, p, v, text, owner_name, errp);
}

bool prop_set_text(Obj *base, const Prop *p, const char *text,
                   const char *owner_name, Error **errp)
{
    Json *v = json_str(text);
    bool ok = prop_set(base, p, v, true, owner_name, errp);
    json_free(v);
    return ok;
}
