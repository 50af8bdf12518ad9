/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * types.c - the catalogue of type names behind qom-list-types: sources register
 * themselves, rows name the abstract types that nothing else declares.
 *
 * Thread class: machine lock.
 */
#include "obj.h"

#define TYPE_DEPTH_MAX 32

void type_each(void (*fn)(const char *name, const char *parent, bool abstract,
                          void *arg), void *arg)
{
    SET_EACH(type_names, TypeName, t) {
        fn((*t)->name, (*t)->parent, (*t)->abstract, arg);
    }
    SET_EACH(type_sources, TypeSource, s) {
        (*s)->each(fn, arg);
    }
}

struct find {
    const char *name, *parent;
    bool found;
};

static void find_one(const char *name, const char *parent, bool abstract,
                     void *arg)
{
    struct find *f = arg;

    if (!f->found && !strcmp(name, f->name)) {
        f->found = true;
        f->parent = parent;
    }
}

bool type_is_a(const char *type, const char *ancestor)
{
    if (!strcmp(ancestor, "user-creatable") && user_type_find(type)) {
        return true;
    }
    /* Bounded: a cycle of rows is a bug that must not hang a monitor. */
    for (int i = 0; type && i < TYPE_DEPTH_MAX; i++) {
        struct find f = { .name = type };

        if (!strcmp(type, ancestor)) {
            return true;
        }
        type_each(find_one, &f);
        if (!f.found) {
            return false;
        }
        type = f.parent;
    }
    return false;
}

const Prop *type_props(const char *type, unsigned i)
{
    SET_EACH(type_sources, TypeSource, s) {
        const Prop *p = (*s)->props ? (*s)->props(type, i) : NULL;

        if (p) {
            return p;
        }
    }
    return NULL;
}

TYPE_NAME(object_type, { "object", NULL, true });
TYPE_NAME(interface_type, { "interface", NULL, true });
TYPE_NAME(container_type, { "container", "object", false });
TYPE_NAME(device_type, { "device", "object", true });
TYPE_NAME(bus_type, { "bus", "object", true });
TYPE_NAME(irq_type, { "irq", "object", false });
TYPE_NAME(sysbus_type, { "sys-bus-device", "device", true });
TYPE_NAME(cpu_type, { "cpu", "device", true });
TYPE_NAME(accel_type, { "accel", "object", true });
TYPE_NAME(chardev_type, { "chardev", "object", true });
