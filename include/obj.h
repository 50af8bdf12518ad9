/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * obj.h - the object tree that clients see (qom-list, qom-get, paths). Every live
 * thing that has a path embeds an Obj first: devices, buses, backends, vCPUs,
 * the machine. The tree owns names and links, not the objects. MACHINE_CALL
 * throughout.
 */
#ifndef TERN_OBJ_H
#define TERN_OBJ_H

#include "prop.h"

/* How the tree reads one kind of node; const, one per kind. */
typedef struct ObjKind {
    const char *(*type_name)(const Obj *o);        /* "virtio-blk-pci"        */
    const Prop *(*props)(const Obj *o, unsigned i);/* i-th table; NULL: no more */
    bool (*may_set)(const Obj *o, const Prop *p, Error **errp);
    /* The object whose properties o answers for as well; NULL: none. */
    Obj *(*inner)(const Obj *o);
} ObjKind;

struct Obj {
    const ObjKind *kind;
    char *name;                        /* "device[3]", "pci.0", the id        */
    Obj *parent, *first, *next;        /* children in order of creation       */
};

extern const ObjKind obj_container;    /* a plain node, type "container"      */

Obj *obj_root(void) MACHINE_CALL;
/* Finds or makes a container below root: "machine/peripheral". */
Obj *obj_dir(const char *path) MACHINE_CALL;
/* Adds under parent; a name that ends in "[*]" takes the first free number.
 * false: name taken. */
bool obj_add(Obj *parent, const char *name, Obj *child) MACHINE_CALL;
/* The fixed form for names that cannot clash; asserts. */
void obj_put(Obj *parent, const char *name, Obj *child) MACHINE_CALL;
void obj_remove(Obj *o) MACHINE_CALL;  /* children must be gone               */
Obj *obj_child(const Obj *o, const char *name) MACHINE_CALL;
char *obj_path(const Obj *o) MACHINE_CALL;         /* absolute; caller g_frees */
/* Absolute or partial path; a partial one resolves when unique. Link and ref
 * properties are followed. *ambiguous may be NULL. */
Obj *obj_resolve(const char *path, bool *ambiguous) MACHINE_CALL;
const char *obj_type(const Obj *o);

/* Its own row or that of what it answers for. */
const Prop *obj_prop(const Obj *o, const char *name);
/* To an error about `name`: the hint which property may have been meant; false. */
bool obj_suggest(const Obj *o, const char *name, Error **errp);
/* Which of the two has that property; NULL: neither. */
Obj *obj_prop_holder(const Obj *o, const char *name);
bool obj_set(Obj *o, const char *name, const Json *v, bool text, Error **errp)
    MACHINE_CALL;
bool obj_set_text(Obj *o, const char *name, const char *text, Error **errp)
    MACHINE_CALL;
Json *obj_get(const Obj *o, const char *name, Error **errp) MACHINE_CALL;
void obj_defaults(Obj *o, unsigned machine_version) MACHINE_CALL;
void obj_release(Obj *o) MACHINE_CALL; /* property values of all tables       */

/*
 * The type catalogue behind qom-list-types, -object help and the like. Device
 * types, bus types, machine types and backends register themselves by their own
 * sets; names with no implementation row of their own (abstract parents) join
 * here.
 */
typedef struct TypeName {
    const char *name, *parent;
    bool abstract;
} TypeName;
#define TYPE_NAME(sym, ...) SET_MEMBER(type_names, TypeName, sym, __VA_ARGS__)
/* Calls fn for each type; parent NULL at the root. */
void type_each(void (*fn)(const char *name, const char *parent, bool abstract,
                          void *arg), void *arg);
bool type_is_a(const char *type, const char *ancestor);
/* A registry that contributes types (device_types, user_types, …) says how. */
typedef struct TypeSource {
    void (*each)(void (*fn)(const char *, const char *, bool, void *),
                 void *arg);
    /* Property tables of a type of this source; NULL: not mine / no more. */
    const Prop *(*props)(const char *type, unsigned i);
} TypeSource;
#define TYPE_SOURCE(sym, ...) \
    SET_MEMBER(type_sources, TypeSource, sym, __VA_ARGS__)
const Prop *type_props(const char *type, unsigned i);

/* ---- user-creatable objects: -object, object-add ------------------------- */
typedef struct UserType {
    const char *name;                  /* "memory-backend-ram"                */
    const char *parent;                /* QOM parent, "object" by default     */
    const char *desc, *doc;
    size_t size;                       /* of the struct; Obj first            */
    const Prop *props, *base_props;    /* base: shared with sisters, may be NULL */
    bool early;                        /* made before chardevs and machine    */
    bool after_net;                    /* made after the network backends     */
    bool (*complete)(Obj *o, Error **errp) MACHINE_PTR;
    bool (*can_delete)(Obj *o, Error **errp) MACHINE_PTR;  /* NULL: always    */
    void (*finish)(Obj *o) MACHINE_PTR;
    /* Frees what PK_CALL rows have stored, also of an object that was never
     * complete; NULL: nothing. */
    void (*release)(Obj *o) MACHINE_PTR;
} UserType;
#define USER_TYPE(sym, ...) SET_MEMBER(user_types, UserType, sym, __VA_ARGS__)
const UserType *user_type_find(const char *name);
/* props: object of properties (qom-type and id already removed). */
Obj *user_obj_add(const char *type, const char *id, const Json *props,
                  bool text, Error **errp) MACHINE_CALL;
bool user_obj_del(const char *id, Error **errp) MACHINE_CALL;
Obj *user_obj_find(const char *id) MACHINE_CALL;   /* below /objects          */
const UserType *user_obj_type(const Obj *o);       /* NULL: not user-creatable */

#endif
