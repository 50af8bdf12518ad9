/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * prop.h - property rows. One row serves the option parser, range check,
 * `-device X,help`, device-list-properties, qom-get/-set, `info qtree`, the manual
 * and machine-version compat. Rows are const data; a wrong field type fails at
 * compile time.
 */
#ifndef TERN_PROP_H
#define TERN_PROP_H

#include "json.h"

typedef struct Obj Obj;

typedef enum PropKind {
    PK_BOOL,                           /* bool                                */
    PK_BIT32, PK_BIT64,                /* one bit of a uint32_t / uint64_t    */
    PK_U8, PK_U16, PK_U32, PK_U64, PK_I32, PK_I64,
    PK_SIZE,                           /* uint64_t, text may have a suffix    */
    PK_SIZE32,                         /* uint32_t, text may have a suffix    */
    PK_STR,                            /* char *, owned (g_free)              */
    PK_ENUM,                           /* int; aux = const PropEnum *         */
    PK_AUTO,                           /* OnOffAuto                           */
    PK_MAC,                            /* uint8_t[6]                          */
    PK_UUID,                           /* uint8_t[16]; "auto" draws one       */
    PK_PCI_ADDR,                       /* int32_t devfn, -1 unset; "1f.7"     */
    PK_REF,                            /* pointer; aux = const PropRef *      */
    PK_ARRAY_U32,                      /* PropArray; a list, or text "1:2:3"  */
    PK_CALL,                           /* no storage: get and/or set          */
} PropKind;

typedef enum OnOffAuto { OOA_AUTO, OOA_ON, OOA_OFF } OnOffAuto;

typedef struct PropEnum {
    const char *type;                  /* QAPI name: "FdcDriveType"           */
    const char *const *names;          /* NULL-terminated, index = value; a
                                          NULL-string hole is written ""      */
} PropEnum;

/* What a PK_REF points at: found by id when set, told when taken and let go.
 * With a type "link<T>" the target is an Obj, and its path is shown. */
typedef struct PropRef {
    const char *type;                  /* "str" for drive/chardev/netdev as the
                                          peer shows them, or "link<memory-backend>" */
    /* Finds and claims for owner. Error text as the peer's. MACHINE_CALL. */
    void *(*claim)(Obj *owner, const char *prop, const char *id, Error **errp);
    void (*release)(Obj *owner, void *target);
    const char *(*id)(const void *target);         /* for printing            */
} PropRef;

typedef struct PropArray {
    uint32_t *v;                       /* owned                               */
    uint32_t n;
} PropArray;

/* Value for machine versions <= upto (major * 100 + minor: 7.1 is 701); the row
 * with the lowest upto that still covers the machine wins. End: value NULL. */
typedef struct PropCompat {
    uint16_t upto;
    const char *value;
} PropCompat;

typedef enum PropFlags {
    PF_LIVE     = 1 << 0,              /* may be set after realize            */
    PF_READONLY = 1 << 1,              /* qom-get only; not an option         */
    PF_REQUIRED = 1 << 2,              /* realize refuses when never set      */
    PF_HIDDEN   = 1 << 3,              /* not in help (still introspected)    */
    PF_NO_DEFAULT = 1 << 4,            /* introspection shows no default-value */
    PF_OUTPUT   = 1 << 5,              /* PK_STR shown as JSON from get       */
} PropFlags;

typedef struct Prop {
    const char *name;
    PropKind kind;
    uint8_t bit;
    uint16_t flags;
    uint32_t offset;
    uint64_t def;                      /* integer, bool, enum index, bit      */
    const char *def_str;               /* PK_STR, PK_MAC…; NULL: unset        */
    uint64_t min, max;                 /* max == 0: the kind's whole range; for
                                          signed kinds cast from int64_t      */
    const void *aux;
    const PropCompat *compat;
    const char *type;                  /* type name shown; NULL: by kind      */
    const char *desc;                  /* help and manual line                */
    /* Computed value (owned by the caller); optional for stored kinds. */
    Json *(*get)(const Obj *o, const struct Prop *p, Error **errp);
    /* After-the-fact hook for stored kinds on PF_LIVE, or the setter of PK_CALL
     * (value: JSON of any kind; strings when from text). */
    bool (*set)(Obj *o, const struct Prop *p, const Json *v, Error **errp);
    /* Frees what a PK_CALL setter holds; may be called again.                */
    void (*drop)(Obj *o);
} Prop;

#define FIELD_IS(T, f, t) \
    (0 * sizeof(char[1 - 2 * !__builtin_types_compatible_p( \
        __typeof__(((T *)0)->f), t)]))
#define PROP_ROW_(n, K, T, f, t, ...) { .name = n, .kind = K, \
    .offset = offsetof(T, f) + FIELD_IS(T, f, t), ##__VA_ARGS__ }
#define PROP_BOOL(n, T, f, d, ...) \
    PROP_ROW_(n, PK_BOOL, T, f, bool, .def = d, ##__VA_ARGS__)
#define PROP_BIT32(n, T, f, b, d, ...) \
    PROP_ROW_(n, PK_BIT32, T, f, uint32_t, .bit = b, .def = d, ##__VA_ARGS__)
#define PROP_BIT64(n, T, f, b, d, ...) \
    PROP_ROW_(n, PK_BIT64, T, f, uint64_t, .bit = b, .def = d, ##__VA_ARGS__)
#define PROP_U8(n, T, f, d, ...) \
    PROP_ROW_(n, PK_U8, T, f, uint8_t, .def = d, ##__VA_ARGS__)
#define PROP_U16(n, T, f, d, ...) \
    PROP_ROW_(n, PK_U16, T, f, uint16_t, .def = d, ##__VA_ARGS__)
#define PROP_U32(n, T, f, d, ...) \
    PROP_ROW_(n, PK_U32, T, f, uint32_t, .def = d, ##__VA_ARGS__)
#define PROP_U64(n, T, f, d, ...) \
    PROP_ROW_(n, PK_U64, T, f, uint64_t, .def = d, ##__VA_ARGS__)
#define PROP_I32(n, T, f, d, ...) \
    PROP_ROW_(n, PK_I32, T, f, int32_t, .def = (uint64_t)(int64_t)(d), \
              ##__VA_ARGS__)
#define PROP_I64(n, T, f, d, ...) \
    PROP_ROW_(n, PK_I64, T, f, int64_t, .def = (uint64_t)(d), ##__VA_ARGS__)
#define PROP_SIZE(n, T, f, d, ...) \
    PROP_ROW_(n, PK_SIZE, T, f, uint64_t, .def = d, ##__VA_ARGS__)
#define PROP_SIZE32(n, T, f, d, ...) \
    PROP_ROW_(n, PK_SIZE32, T, f, uint32_t, .def = d, ##__VA_ARGS__)
#define PROP_STR(n, T, f, ...) \
    PROP_ROW_(n, PK_STR, T, f, char *, ##__VA_ARGS__)
#define PROP_ENUM(n, T, f, e, d, ...) \
    PROP_ROW_(n, PK_ENUM, T, f, int, .aux = e, .def = d, ##__VA_ARGS__)
#define PROP_AUTO(n, T, f, d, ...) \
    PROP_ROW_(n, PK_AUTO, T, f, OnOffAuto, .def = d, ##__VA_ARGS__)
#define PROP_MAC(n, T, f, ...) \
    PROP_ROW_(n, PK_MAC, T, f, uint8_t[6], ##__VA_ARGS__)
#define PROP_UUID(n, T, f, ...) \
    PROP_ROW_(n, PK_UUID, T, f, uint8_t[16], ##__VA_ARGS__)
#define PROP_PCI_ADDR(n, T, f, ...) \
    PROP_ROW_(n, PK_PCI_ADDR, T, f, int32_t, .def = (uint64_t)-1ll, \
              ##__VA_ARGS__)
#define PROP_REF(n, T, f, ref, ...) { .name = n, .kind = PK_REF, \
    .offset = offsetof(T, f), .aux = ref, ##__VA_ARGS__ }
#define PROP_ARRAY_U32(n, T, f, ...) \
    PROP_ROW_(n, PK_ARRAY_U32, T, f, PropArray, ##__VA_ARGS__)
#define PROP_CALL(n, ty, getter, setter, ...) { .name = n, .kind = PK_CALL, \
    .type = ty, .get = getter, .set = setter, ##__VA_ARGS__ }
#define PROP_END { .name = NULL }

/* Walkers over one table; `base` is the struct the offsets are of. */
const Prop *prop_find(const Prop *table, const char *name);
/* Defaults, then compat values for machine_version (0: newest). */
void prop_defaults(Obj *base, const Prop *table, unsigned machine_version);
/* owner_name is used in messages: "Property 'owner.name' not found". */
bool prop_set(Obj *base, const Prop *p, const Json *v, bool text,
              const char *owner_name, Error **errp) MACHINE_CALL;
bool prop_set_text(Obj *base, const Prop *p, const char *text,
                   const char *owner_name, Error **errp) MACHINE_CALL;
Json *prop_get(const Obj *base, const Prop *p, Error **errp) MACHINE_CALL;
/* For `info qtree`: the peer's way of printing ("\"x\"", "0x1f", "on"). */
char *prop_print(const Obj *base, const Prop *p) MACHINE_CALL;
const char *prop_type_name(const Prop *p);
const char *prop_desc(const Prop *p);  /* the row's, else the kind's; or NULL */
Json *prop_default(const Prop *p);     /* NULL: none to show                  */
/* One help line as the peer prints: "  name=<type> - desc (default: x)". */
char *prop_help_line(const Prop *p);
void prop_release(Obj *base, const Prop *table);   /* strings, refs, arrays   */

#endif
