/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bus.c - buses, and finding them by name, path or type.
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. A bus is on its owner's list from bus_init to bus_fini; bus_main has no
 *    owner.
 * 2. bus->first is in order of plugging; searches go the newest first, for it
 *    decides which of several buses a device without bus= gets.
 */
#include <glib.h>
#include "hw/core/core.h"

Bus *bus_main;

static char *system_fw_path(const Device *dev)
{
    return dev->type->fw_name ? dev->type->fw_name(dev)
                              : g_strdup(dev->type->name);
}

static void system_print(const Device *dev,
                         void (*out)(void *arg, const char *line), void *arg)
{
    for (Obj *o = dev->obj.first; o; o = o->next) {
        MemRegion *mr = (MemRegion *)o;
        char *s;

        if (strcmp(obj_type(o), "memory-region") != 0 || !mr->container ||
            mr->container != mem_system.root) {
            continue;
        }
        s = g_strdup_printf("mmio %016" PRIx64 "/%016" PRIx64, mr->addr,
                            mem_size(mr));
        out(arg, s);
        g_free(s);
    }
}

BUS_TYPE(bus_system, {
    .name = "System",
    .size = sizeof(Bus),
    .device_base = "sys-bus-device",
    .fw_path = system_fw_path,
    .print = system_print,
});

/* ---- node --------------------------------------------------------------- */

static const char *node_type_name(const Obj *o)
{
    return ((const Bus *)o)->type->name;
}

static Json *get_realized(const Obj *o, const Prop *p, Error **errp)
{
    const Bus *bus = (const Bus *)o;

    return json_bool(!bus->owner || bus->owner->realized);
}

static Json *get_handler(const Obj *o, const Prop *p, Error **errp)
{
    return json_str("");
}

static const Prop bus_props[] = {
    PROP_CALL("realized", "bool", get_realized, NULL, .flags = PF_READONLY),
    PROP_CALL("hotplug-handler", "link<hotplug-handler>", get_handler, NULL,
              .flags = PF_READONLY),
    PROP_END
};

static const Prop *node_props(const Obj *o, unsigned i)
{
    return i == 0 ? bus_props : NULL;
}

const ObjKind obj_bus = {
    .type_name = node_type_name,
    .props = node_props,
};

static void source_each(void (*fn)(const char *, const char *, bool, void *),
                        void *arg)
{
    SET_EACH(bus_types, BusType, p) {
        fn((*p)->name, (*p)->parent ? (*p)->parent : "bus", false, arg);
    }
}

static const Prop *source_props(const char *type, unsigned i)
{
    return i == 0 && (bus_type_find(type) || strcmp(type, "bus") == 0)
           ? bus_props : NULL;
}

TYPE_SOURCE(bus_type_source, {
    .each = source_each,
    .props = source_props,
});

const BusType *bus_type_find(const char *name)
{
    SET_EACH(bus_types, BusType, p) {
        if (strcmp((*p)->name, name) == 0) {
            return *p;
        }
    }
    return NULL;
}

bool bus_is(const Bus *bus, const BusType *want)
{
    const BusType *t = bus->type;

    while (t && t != want) {
        t = t->parent ? bus_type_find(t->parent) : NULL;
    }
    return t != NULL;
}

/* ---- creation ----------------------------------------------------------- */

/* The n-th bus of a type without a name of its own: "ide.0", "ide.1". */
static unsigned next_number(const BusType *type)
{
    static GHashTable *numbers;
    unsigned n;

    if (!numbers) {
        numbers = g_hash_table_new(NULL, NULL);
    }
    n = GPOINTER_TO_UINT(g_hash_table_lookup(numbers, type));
    g_hash_table_insert(numbers, (void *)(uintptr_t)type,
                        GUINT_TO_POINTER(n + 1));
    return n;
}

static unsigned count_children(const Device *dev)
{
    unsigned n = 0;

    for (Bus *b = dev->children; b; b = b->next) {
        n++;
    }
    return n;
}

static char *auto_name(const BusType *type, const Device *owner) MACHINE_CALL;
static char *auto_name(const BusType *type, const Device *owner)
{
    char *low, *name = NULL;

    if (owner && owner->id) {
        return g_strdup_printf("%s.%u", owner->id, count_children(owner));
    }
    low = g_ascii_strdown(type->name, -1);
    do {                               /* the board names some itself         */
        g_free(name);
        name = g_strdup_printf("%s.%u", low, next_number(type));
    } while (bus_find(name, NULL));
    g_free(low);
    return name;
}

void bus_init(Bus *bus, const BusType *type, Device *owner, const char *name)
{
    Bus **p;

    bus->obj.kind = &obj_bus;
    bus->type = type;
    bus->owner = owner;
    bus->name = name ? g_strdup(name) : auto_name(type, owner);
    if (owner) {
        for (p = &owner->children; *p; p = &(*p)->next) {
        }
        *p = bus;
        obj_add(&owner->obj, bus->name, &bus->obj);
    }
}

void bus_fini(Bus *bus)
{
    while (bus->first) {
        if (bus->owner && bus->first == bus->owner->inner) {
            device_unrealize(bus->first);
        } else {
            device_unplug(bus->first);
        }
    }
    if (bus->owner) {
        Bus **p = &bus->owner->children;

        while (*p && *p != bus) {
            p = &(*p)->next;
        }
        if (*p) {
            *p = bus->next;
        }
    }
    if (bus->obj.parent) {
        obj_remove(&bus->obj);
    }
    g_free(bus->name);
    bus->name = NULL;
    bus->next = NULL;
    if (bus->allocated) {
        g_free(bus);
    }
}

void bus_main_init(void)
{
    if (!bus_main) {
        bus_main = g_new0(Bus, 1);
        bus_main->allocated = true;
        bus_init(bus_main, &bus_system, NULL, "main-system-bus");
        obj_add(obj_dir("machine/unattached"), "sysbus", &bus_main->obj);
    }
}

void bus_attach(Bus *bus, Device *dev)
{
    Device **p = &bus->first;

    while (*p) {
        p = &(*p)->next;
    }
    *p = dev;
    dev->next = NULL;
    dev->bus = bus;
}

void bus_detach(Device *dev)
{
    Device **p = &dev->bus->first;

    while (*p && *p != dev) {
        p = &(*p)->next;
    }
    if (*p) {
        *p = dev->next;
    }
    dev->next = NULL;
    dev->bus = NULL;
}

Device **bus_newest_first(const Bus *bus)
{
    GPtrArray *a = g_ptr_array_new();
    guint n;

    for (Device *d = bus->first; d; d = d->next) {
        g_ptr_array_add(a, d);
    }
    n = a->len;
    for (guint i = 0; i < n / 2; i++) {
        void *t = a->pdata[i];

        a->pdata[i] = a->pdata[n - 1 - i];
        a->pdata[n - 1 - i] = t;
    }
    g_ptr_array_add(a, NULL);
    return (Device **)g_ptr_array_free(a, false);
}

/* ---- search ------------------------------------------------------------- */

static bool bus_is_full(const Bus *bus)
{
    unsigned n = 0;

    if (bus->full) {
        return true;
    }
    if (!bus->type->max_devices) {
        return false;
    }
    for (Device *d = bus->first; d; d = d->next) {
        n++;
    }
    return n >= bus->type->max_devices;
}

typedef struct Search {
    const char *name;                  /* NULL: any                           */
    const BusType *type;               /* NULL: any                           */
    Bus *full;                         /* fits, but has no room               */
} Search;

static Bus *search(Bus *bus, Search *s);

static Bus *search_below(Device *dev, Search *s)
{
    Bus *list[64], *found = NULL;
    unsigned n = 0;

    for (Bus *b = dev->children; b && n < ARRAY_SIZE(list); b = b->next) {
        list[n++] = b;
    }
    while (n && !found) {
        found = search(list[--n], s);
    }
    /* A composite's inner device has its own buses. */
    for (Obj *o = dev->obj.first; o && !found; o = o->next) {
        Device *sub = device_of(o);

        if (sub && !sub->bus) {
            found = search_below(sub, s);
        }
    }
    return found;
}

static Bus *search(Bus *bus, Search *s)
{
    Device **list;
    Bus *found = NULL;

    if ((!s->name || strcmp(bus->name, s->name) == 0) &&
        (!s->type || bus_is(bus, s->type))) {
        if (!bus_is_full(bus)) {
            return bus;
        }
        if (!s->full) {
            s->full = bus;
        }
    }
    list = bus_newest_first(bus);
    for (Device **d = list; *d && !found; d++) {
        found = search_below(*d, s);
    }
    g_free(list);
    return found;
}

Bus *bus_find_type(const BusType *type)
{
    Search s = { .type = type };

    return bus_main ? search(bus_main, &s) : NULL;
}

static void hint_devices(const Bus *bus, Error **errp)
{
    GString *s = g_string_new(NULL);
    Device **list = bus_newest_first(bus);

    for (Device **d = list; *d; d++) {
        g_string_append_printf(s, "%s\"%s\"", s->len ? ", " : "",
                               (*d)->type->name);
        if ((*d)->id) {
            g_string_append_printf(s, "/\"%s\"", (*d)->id);
        }
    }
    error_hint(errp, "devices at \"%s\": %s", bus->name, s->str);
    g_free(list);
    g_string_free(s, true);
}

static void hint_buses(const Device *dev, Error **errp)
{
    GString *s = g_string_new(NULL);

    for (Bus *b = dev->children; b; b = b->next) {
        char *one = g_strdup_printf("\"%s\"", b->name);

        /* The newest first here, too. */
        if (s->len) {
            g_string_prepend(s, ", ");
        }
        g_string_prepend(s, one);
        g_free(one);
    }
    error_hint(errp, "child buses at \"%s\": %s",
               dev->id ? dev->id : dev->type->name, s->str);
    g_string_free(s, true);
}

/* By id, then by type, then by alias. */
static Device *device_on(const Bus *bus, const char *elem)
{
    Device **list = bus_newest_first(bus), *hit = NULL;

    for (int how = 0; how < 3 && !hit; how++) {
        for (Device **d = list; *d && !hit; d++) {
            const char *name = how == 0 ? (*d)->id
                             : how == 1 ? (*d)->type->name : (*d)->type->alias;

            if (name && strcmp(name, elem) == 0) {
                hit = *d;
            }
        }
    }
    g_free(list);
    return hit;
}

static char *take_element(const char **pos)
{
    const char *end;
    char *elem;

    while (**pos == '/') {
        ++*pos;
    }
    end = strchrnul(*pos, '/');
    elem = g_strndup(*pos, end - *pos);
    *pos = end;
    while (**pos == '/') {
        ++*pos;
    }
    return elem;
}

/* From one bus a device and, if the path goes on, a bus of it. */
static Bus *walk_one(Bus *bus, const char **pos, Error **errp)
{
    char *elem = take_element(pos);
    Device *dev = device_on(bus, elem);
    Bus *b = NULL;

    if (!dev) {
        error_set_class(errp, ERROR_DEVICE_NOT_FOUND, "Device '%s' not found",
                        elem);
        hint_devices(bus, errp);
        goto out;
    }
    if (!**pos) {
        if (!dev->children) {
            error_set(errp, "Device '%s' has no child bus", elem);
        } else if (dev->children->next) {
            error_set(errp, "Device '%s' has multiple child buses", elem);
            hint_buses(dev, errp);
        } else {
            b = dev->children;
        }
        goto out;
    }
    g_free(elem);
    elem = take_element(pos);
    for (b = dev->children; b && strcmp(b->name, elem) != 0; b = b->next) {
    }
    if (!b) {
        error_set(errp, "Bus '%s' not found", elem);
        hint_buses(dev, errp);
    }
out:
    g_free(elem);
    return b;
}

Bus *bus_find(const char *path, Error **errp)
{
    const char *pos = path;
    Bus *bus = bus_main;

    if (*pos != '/') {
        Search s = { 0 };
        char *elem = take_element(&pos);

        s.name = elem;
        bus = bus_main && *elem ? search(bus_main, &s) : NULL;
        if (!bus) {
            bus = s.full;
        }
        if (!bus) {
            error_set(errp, "Bus '%s' not found", elem);
        }
        g_free(elem);
    } else {
        while (*pos == '/') {
            pos++;
        }
        if (!bus) {
            error_set(errp, "Bus '%s' not found", path);
        }
    }
    while (bus && *pos) {
        bus = walk_one(bus, &pos, errp);
    }
    if (bus && bus_is_full(bus)) {
        error_set(errp, "Bus '%s' is full", path);
        return NULL;
    }
    return bus;
}
