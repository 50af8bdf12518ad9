/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * device.c - device types and the life cycle of their instances.
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. A device is on `devices` exactly while it is realized.
 * 2. Whatever device_realize did is undone when it returns false; the device
 *    then is as device_new left it, but for its properties.
 * 3. A device that is on a bus has been accepted by the bus's plug.
 * 4. An unrealized device has no devices below it.
 */
#include <glib.h>
#include "hw/core/core.h"
#include "machine.h"

static GPtrArray *devices;

/* ---- types -------------------------------------------------------------- */

const DeviceType *device_type_find(const char *name)
{
    SET_EACH(device_types, DeviceType, p) {
        if (strcmp((*p)->name, name) == 0) {
            return *p;
        }
    }
    SET_EACH(device_types, DeviceType, p) {
        if ((*p)->alias && strcmp((*p)->alias, name) == 0) {
            return *p;
        }
    }
    return NULL;
}

const char *device_type_parent(const DeviceType *t)
{
    if (t->parent) {
        return t->parent;
    }
    return t->on && t->on->device_base ? t->on->device_base : "device";
}

static Json *get_parent_bus(const Obj *o, const Prop *p, Error **errp)
    NO_TSA;
static Json *get_parent_bus(const Obj *o, const Prop *p, Error **errp)
{
    const Device *dev = (const Device *)o;
    char *path = dev->bus ? obj_path(&dev->bus->obj) : NULL;
    Json *v = json_str(path ? path : "");

    g_free(path);
    return v;
}

static Json *get_realized(const Obj *o, const Prop *p, Error **errp)
{
    return json_bool(((const Device *)o)->realized);
}

static Json *get_hotplugged(const Obj *o, const Prop *p, Error **errp)
{
    return json_bool(((const Device *)o)->hotplugged);
}

static Json *get_hotpluggable(const Obj *o, const Prop *p, Error **errp)
{
    const Device *dev = (const Device *)o;

    return json_bool(!(dev->type->flags & DT_NO_HOTPLUG) &&
                     (!dev->bus || dev->bus->hotpluggable));
}

static const Prop common_props[] = {
    PROP_CALL("parent_bus", "link<bus>", get_parent_bus, NULL,
              .flags = PF_READONLY | PF_HIDDEN),
    PROP_CALL("realized", "bool", get_realized, NULL,
              .flags = PF_READONLY | PF_HIDDEN),
    PROP_CALL("hotplugged", "bool", get_hotplugged, NULL,
              .flags = PF_READONLY | PF_HIDDEN),
    PROP_CALL("hotpluggable", "bool", get_hotpluggable, NULL,
              .flags = PF_READONLY | PF_HIDDEN),
    PROP_END
};

const Prop *device_type_props(const DeviceType *t, unsigned i)
{
    const Prop *tables[4];
    unsigned n = 0;

    if (t->props) {
        tables[n++] = t->props;
    }
    if (t->base_props) {
        tables[n++] = t->base_props;
    }
    if (t->on && t->on->props) {
        tables[n++] = t->on->props;
    }
    tables[n++] = common_props;
    return i < n ? tables[i] : NULL;
}

const Prop *device_type_options(const DeviceType *t, unsigned i)
{
    for (; t; t = t->inner) {
        const Prop *table;
        unsigned n = 0;

        for (; (table = device_type_props(t, n)); n++) {
            if (n == i && (table != common_props || !t->inner)) {
                return table;
            }
        }
        /* An outer one's common rows are counted by the innermost. */
        n -= t->inner != NULL;
        if (i < n) {
            return device_type_props(t, i);
        }
        i -= n;
    }
    return NULL;
}

static void source_each(void (*fn)(const char *, const char *, bool, void *),
                        void *arg)
{
    SET_EACH(device_types, DeviceType, p) {
        fn((*p)->name, device_type_parent(*p), (*p)->flags & DT_ABSTRACT, arg);
    }
}

static const Prop *source_props(const char *type, unsigned i)
{
    const DeviceType *t = device_type_find(type);

    if (t && strcmp(t->name, type) == 0) {
        return device_type_options(t, i);
    }
    /* An abstract parent: what its bus gives to all. */
    SET_EACH(bus_types, BusType, p) {
        if ((*p)->device_base && strcmp((*p)->device_base, type) == 0) {
            if ((*p)->props && i == 0) {
                return (*p)->props;
            }
            return i == ((*p)->props != NULL) ? common_props : NULL;
        }
    }
    return strcmp(type, "device") == 0 && i == 0 ? common_props : NULL;
}

TYPE_SOURCE(device_type_source, {
    .each = source_each,
    .props = source_props,
});

/* ---- the node in the object tree ---------------------------------------- */

static const char *node_type_name(const Obj *o)
{
    return ((const Device *)o)->type->name;
}

static const Prop *node_props(const Obj *o, unsigned i)
{
    return device_type_props(((const Device *)o)->type, i);
}

static bool node_may_set(const Obj *o, const Prop *p, Error **errp)
{
    const Device *dev = (const Device *)o;

    if (!dev->realized || (p->flags & PF_LIVE)) {
        return true;
    }
    if (dev->id) {
        return error_set(errp, "Attempt to set property '%s' on device '%s' "
                         "(type '%s') after it was realized", p->name, dev->id,
                         dev->type->name);
    }
    return error_set(errp, "Attempt to set property '%s' on anonymous device "
                     "(type '%s') after it was realized", p->name,
                     dev->type->name);
}

static Obj *node_inner(const Obj *o)
{
    const Device *dev = (const Device *)o;

    return dev->inner ? &dev->inner->obj : NULL;
}

const ObjKind obj_device = {
    .type_name = node_type_name,
    .props = node_props,
    .may_set = node_may_set,
    .inner = node_inner,
};

Device *device_of(const Obj *o)
{
    return o && o->kind == &obj_device ? (Device *)(uintptr_t)o : NULL;
}

/* ---- life cycle --------------------------------------------------------- */

static Device *new_of_type(const DeviceType *t, Error **errp) MACHINE_CALL;
static Device *new_of_type(const DeviceType *t, Error **errp)
{
    Device *dev = g_malloc0(MAX2(t->size, sizeof(Device)));

    dev->type = t;
    dev->obj.kind = &obj_device;
    dev->bootindex = -1;
    obj_defaults(&dev->obj, machine_version);
    if (t->init) {
        t->init(dev);
    }
    if (t->inner) {
        dev->inner = new_of_type(t->inner, errp);
        if (!dev->inner) {
            device_free(dev);
            return NULL;
        }
        obj_put(&dev->obj, t->inner_name, &dev->inner->obj);
    }
    if (!device_globals_apply(&dev->obj, t->name, errp)) {
        device_free(dev);
        return NULL;
    }
    return dev;
}

Device *device_new(const char *type, Error **errp)
{
    const DeviceType *t = device_type_find(type);

    if (!t && !type_is_a(type, "device")) {
        error_set(errp, "'%s' is not a valid device model name", type);
        return NULL;
    }
    if (!t || (t->flags & DT_ABSTRACT)) {
        error_set(errp, "Parameter 'driver' expects a non-abstract device "
                  "type");
        return NULL;
    }
    return new_of_type(t, errp);
}

Device *device_make(const char *type)
{
    const DeviceType *t = device_type_find(type);
    Error *err = NULL;
    Device *dev;

    if (!t) {
        error_reportf("this build lacks the device '%s'", type);
        exit(1);
    }
    dev = new_of_type(t, &err);
    if (!dev) {
        /* Only a -global can refuse here, and the user has to hear of it. */
        error_report(err);
        exit(1);
    }
    return dev;
}

bool device_set(Device *dev, const char *prop, const char *text, Error **errp)
{
    return obj_set_text(&dev->obj, prop, text, errp);
}

void device_set_int(Device *dev, const char *prop, int64_t v)
{
    const Prop *p = obj_prop(&dev->obj, prop);
    Error *err = NULL;
    Json *j;

    if (p && (p->kind == PK_BOOL || p->kind == PK_BIT32 ||
              p->kind == PK_BIT64)) {
        j = json_bool(v != 0);
    } else {
        j = json_int(v);
    }
    if (!obj_set(&dev->obj, prop, j, false, &err)) {
        fprintf(stderr, "%s.%s: %s\n", dev->type->name, prop, error_text(err));
        abort();
    }
    json_free(j);
}

void device_set_ref(Device *dev, const char *prop, void *target)
{
    Obj *o = obj_prop_holder(&dev->obj, prop);
    const Prop *p = o ? obj_prop(o, prop) : NULL;

    if (!p || p->kind != PK_REF || dev->realized) {
        fprintf(stderr, "%s.%s: not a reference to set\n", dev->type->name,
                prop);
        abort();
    }
    memcpy((char *)o + p->offset, &target, sizeof(target));
}

static bool check_required(Device *dev, Error **errp) MACHINE_CALL;
static bool check_required(Device *dev, Error **errp)
{
    const Prop *t;

    for (unsigned i = 0; (t = device_type_props(dev->type, i)); i++) {
        for (const Prop *p = t; p->name; p++) {
            void *v;

            if (!(p->flags & PF_REQUIRED) ||
                (p->kind != PK_STR && p->kind != PK_REF)) {
                continue;
            }
            memcpy(&v, (char *)dev + p->offset, sizeof(v));
            if (!v) {
                return error_set(errp, "%s: '%s' property not set",
                                 dev->type->name, p->name);
            }
        }
    }
    return true;
}

static bool find_bus(Device *dev, Bus **bus, Error **errp) MACHINE_CALL;
static bool find_bus(Device *dev, Bus **bus, Error **errp)
{
    const BusType *on = dev->type->on;

    if (!*bus && on == &bus_system) {
        bus_main_init();
        *bus = bus_main;
    }
    if (!on) {
        *bus = NULL;
        return true;
    }
    if (!*bus) {
        return error_set(errp, "No '%s' bus found for device '%s'", on->name,
                         dev->type->name);
    }
    if (!bus_is(*bus, on)) {
        return error_set(errp, "Device '%s' can't go on %s bus",
                         dev->type->name, (*bus)->type->name);
    }
    return true;
}

static void leave_bus(Device *dev) MACHINE_CALL;
static void leave_bus(Device *dev)
{
    Bus *bus = dev->bus;

    if (bus) {
        if (bus->type->unplug) {
            bus->type->unplug(bus, dev);
        }
        bus_detach(dev);
    }
}

static void undo_realize(Device *dev) MACHINE_CALL;
static void undo_realize(Device *dev)
{
    dev->live = false;
    for (Bus *b = dev->children; b; b = b->next) {
        /* The inner one is unrealized by the type, as it was realized. */
        while (b->first && b->first != dev->inner) {
            device_unplug(b->first);
        }
    }
    if (dev->type->unrealize) {
        dev->type->unrealize(dev);
    }
    dev->realized = false;
    if (devices) {
        g_ptr_array_remove(devices, dev);
    }
    leave_bus(dev);
}

bool device_realize(Device *dev, Bus *bus, Error **errp)
{
    const DeviceType *t = dev->type;
    bool unattached = false;

    if (dev->realized) {
        return error_set(errp, "Device '%s' is realized already", t->name);
    }
    if (!find_bus(dev, &bus, errp) || !check_required(dev, errp)) {
        return false;
    }
    if (bus) {
        bus_attach(bus, dev);
        if (bus->type->plug && !bus->type->plug(bus, dev, errp)) {
            bus_detach(dev);
            return false;
        }
    }
    if (!dev->obj.parent) {
        unattached = obj_add(obj_dir("machine/unattached"), "device[*]",
                             &dev->obj);
    }
    if (t->realize && !t->realize(dev, errp)) {
        goto fail;
    }
    if (!devices) {
        devices = g_ptr_array_new();
    }
    g_ptr_array_add(devices, dev);
    dev->realized = true;
    /* A hot-plugged device has missed the power-on reset of the others. */
    if (dev->hotplugged) {
        device_reset(dev, RESET_COLD);
    }
    dev->live = true;
    if (bus && bus->type->plugged && !bus->type->plugged(bus, dev, errp)) {
        undo_realize(dev);
        if (unattached) {
            obj_remove(&dev->obj);
        }
        return false;
    }
    return true;

fail:
    leave_bus(dev);
    if (unattached) {
        obj_remove(&dev->obj);
    }
    return false;
}

void device_unrealize(Device *dev)
{
    if (dev->realized) {
        undo_realize(dev);
    }
}

/* Nodes that the device did not take back: their memory goes with it. */
static void drop_nodes(Device *dev) MACHINE_CALL;
static void drop_nodes(Device *dev)
{
    while (dev->obj.first) {
        Obj *o = dev->obj.first;
        Device *sub = device_of(o);

        if (sub) {
            device_unrealize(sub);
            device_free(sub);
        } else {
            obj_remove(o);
        }
    }
}

void device_free(Device *dev)
{
    device_unrealize(dev);
    while (dev->children) {
        bus_fini(dev->children);
    }
    gpio_free_all(dev);
    drop_nodes(dev);
    obj_release(&dev->obj);
    if (dev->obj.parent) {
        obj_remove(&dev->obj);
    }
    json_free(dev->given);
    g_free(dev->id);
    g_free(dev);
}

void device_each(bool (*fn)(Device *dev, void *arg), void *arg)
{
    for (guint i = 0; devices && i < devices->len; i++) {
        if (!fn(g_ptr_array_index(devices, i), arg)) {
            return;
        }
    }
}

void device_exit(void)
{
    /* Each free may take others, below it, along. */
    while (devices && devices->len) {
        Device *dev = g_ptr_array_index(devices, devices->len - 1);

        device_unrealize(dev);
        device_free(dev);
    }
    if (devices) {
        g_ptr_array_free(devices, true);
        devices = NULL;
    }
    globals_free();
    if (bus_main) {
        bus_fini(bus_main);
        bus_main = NULL;
    }
}

void device_region(Device *dev, MemRegion *mr)
{
    char *name = g_strdup_printf("%s[*]", mr->name ? mr->name : "region");

    mr->entered = &dev->entered;
    if (!mr->obj.parent) {
        obj_add(&dev->obj, name, &mr->obj);
    }
    g_free(name);
}

char *device_path(const Device *dev)
{
    return dev->id ? g_strdup(dev->id) : obj_path(&dev->obj);
}

Device *device_find(const char *what)
{
    Obj *o = NULL;

    if (what[0] != '/') {
        o = obj_child(obj_dir("machine/peripheral"), what);
    }
    return device_of(o ? o : obj_resolve(what, NULL));
}

void *device_claim(const char *id, const char *type, Error **errp)
{
    Device *d = device_find(id);

    if (!d || !type_is_a(d->type->name, type)) {
        error_set_class(errp, ERROR_DEVICE_NOT_FOUND, "Device '%s' not found",
                        id);
        return NULL;
    }
    return d;
}

const char *device_claimed_id(const void *device)
{
    return ((const Device *)device)->id;
}

/* "/pci@i0cf8/ide@1,1/drive@0/disk@0": each bus adds its segment. */
char *device_boot_path(const Device *dev)
{
    g_autofree char *path = device_fw_path(dev);

    return dev->type->fw_below
        ? g_strdup_printf("%s/%s", path, dev->type->fw_below)
        : g_steal_pointer(&path);
}

char *device_fw_path(const Device *dev)
{
    char *above, *here, *all;

    if (!dev || !dev->bus) {
        return g_strdup("");
    }
    above = device_fw_path(dev->bus->owner);
    here = dev->bus->type->fw_path ? dev->bus->type->fw_path(dev) : NULL;
    if (!here || !*here) {
        g_free(here);
        return above;
    }
    all = g_strdup_printf("%s/%s", above, here);
    g_free(above);
    g_free(here);
    return all;
}
