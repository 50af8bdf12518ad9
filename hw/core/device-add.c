/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * device-add.c - devices that a user adds and removes: -device, device_add,
 * device_del.
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. A device that device_add does not return leaves no trace: no id, no slot,
 *    no node.
 * 2. A removal that was asked for is asked for once, until the guest answers.
 */
#include <glib.h>
#include "hw/core/core.h"
#include "loop.h"
#include "machine.h"
#include "opt.h"

bool device_hotplug_phase(void)
{
    return machine && machine->ready;
}

/* What old scripts say. */
static const char *modern_name(const char *driver)
{
    static const struct { const char *old, *now; } rows[] = {
        { "ide-drive", "ide-hd" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (!strcmp(rows[i].old, driver)) {
            warn_report("'%s' is an old name: use %s", driver, rows[i].now);
            return rows[i].now;
        }
    }
    return driver;
}

static bool not_pluggable(Error **errp)
{
    return error_set(errp, "Parameter 'driver' expects a pluggable device "
                     "type");
}

static bool check_type(const char *driver, const DeviceType **out,
                       Error **errp) MACHINE_CALL;
static bool check_type(const char *driver, const DeviceType **out,
                       Error **errp)
{
    const DeviceType *t = device_type_find(driver);

    if (!t && !type_is_a(driver, "device")) {
        OptWords w = { .n = 0 };

        SET_EACH(device_types, DeviceType, d) {
            if (!((*d)->flags & (DT_ABSTRACT | DT_INTERNAL))) {
                opt_word_add(&w, (*d)->name);
            }
        }
        error_set(errp, "'%s' is not a valid device model name", driver);
        return opt_suggest(&w, driver, errp);
    }
    if (!t || (t->flags & DT_ABSTRACT)) {
        return error_set(errp, "Parameter 'driver' expects a non-abstract "
                         "device type");
    }
    *out = t;
    return !(t->flags & DT_INTERNAL) || not_pluggable(errp);
}

static bool choose_bus(const DeviceType *t, const char *path, Bus **out,
                       Error **errp) MACHINE_CALL;
static bool choose_bus(const DeviceType *t, const char *path, Bus **out,
                       Error **errp)
{
    Bus *bus = NULL;

    if (path) {
        bus = bus_find(path, errp);
        if (!bus) {
            return false;
        }
        if (!t->on || !bus_is(bus, t->on)) {
            return error_set(errp, "Device '%s' can't go on %s bus", t->name,
                             bus->type->name);
        }
    } else if (t->on) {
        bus = bus_find_type(t->on);
        if (!bus) {
            return error_set(errp, "No '%s' bus found for device '%s'",
                             t->on->name, t->name);
        }
    }
    if (bus && device_hotplug_phase() && !bus->hotpluggable) {
        return error_set(errp, "Bus '%s' does not support hotplugging",
                         bus->name);
    }
    *out = bus;
    return !device_hotplug_phase() || !(t->flags & DT_NO_HOTPLUG) ||
           not_pluggable(errp);
}

/* false: bad or taken. */
static bool name_device(Device *dev, const Json *opts, bool text, Error **errp)
    MACHINE_CALL;
static bool name_device(Device *dev, const Json *opts, bool text, Error **errp)
{
    const Json *v = json_get(opts, "id");
    const char *id;

    if (!v) {
        obj_add(obj_dir("machine/peripheral-anon"), "device[*]", &dev->obj);
        return true;
    }
    id = json_kind(v) == JSON_STR ? json_str_of(v) : "";
    if (!opt_id_ok(id)) {
        error_set(errp, "Parameter 'id' expects an identifier");
        error_hint(errp, "Identifiers consist of letters, digits, '-', '.', "
                   "'_', starting with a letter.");
        return false;
    }
    if (!obj_add(obj_dir("machine/peripheral"), id, &dev->obj)) {
        return text && !device_hotplug_phase()
               ? error_set(errp, "Duplicate ID '%s' for device", id)
               : error_set(errp, "Duplicate device ID '%s'", id);
    }
    dev->id = g_strdup(id);
    return true;
}

static bool set_given(Device *dev, const Json *opts, bool text, Error **errp)
    MACHINE_CALL;
static bool set_given(Device *dev, const Json *opts, bool text, Error **errp)
{
    dev->given = json_obj();
    for (size_t i = 0; i < json_count(opts); i++) {
        const char *key = json_key_at(opts, i);
        Json *v = json_value_at(opts, i);

        if (strcmp(key, "driver") == 0 || strcmp(key, "bus") == 0 ||
            strcmp(key, "id") == 0) {
            continue;
        }
        if (!obj_set(&dev->obj, key, v, text, errp)) {
            return false;
        }
        json_set(dev->given, key, json_copy(v));
    }
    return true;
}

Device *device_add(const Json *opts, bool text, Error **errp)
{
    const char *driver = json_get_str(opts, "driver");
    const DeviceType *t = NULL;
    Device *dev;
    Bus *bus = NULL;

    if (!driver) {
        error_set(errp, "Parameter 'driver' is missing");
        return NULL;
    }
    if (!check_type(modern_name(driver), &t, errp) ||
        !choose_bus(t, json_get_str(opts, "bus"), &bus, errp)) {
        return NULL;
    }
    dev = device_new(t->name, errp);
    if (!dev) {
        return NULL;
    }
    dev->hotplugged = device_hotplug_phase();
    if (!name_device(dev, opts, text, errp) ||
        !set_given(dev, opts, text, errp) ||
        !device_realize(dev, bus, errp)) {
        device_free(dev);
        return NULL;
    }
    return dev;
}

/* A guest that was not listening is asked again by the next request; requests
 * closer than this are one. */
#define UNPLUG_AGAIN_NS (5 * 1000000)

bool device_request_unplug(Device *dev, Error **errp)
{
    Bus *bus = dev->bus;

    if (dev->pending_unplug &&
        clock_ns(CLOCK_VM) - dev->asked_ns < UNPLUG_AGAIN_NS) {
        return error_set(errp, "Device %s is already in the process of unplug",
                         dev->id ? dev->id : dev->type->name);
    }
    if (bus && !bus->hotpluggable) {
        return error_set(errp, "Bus '%s' does not support hotplugging",
                         bus->name);
    }
    if (dev->type->flags & DT_NO_HOTPLUG) {
        return error_set(errp, "Device '%s' does not support hotplugging",
                         dev->type->name);
    }
    if (dev->type->request_unplug) {
        return dev->type->request_unplug(dev, errp);
    }
    if (bus && bus->type->request_unplug) {
        dev->pending_unplug = true;
        dev->asked_ns = clock_ns(CLOCK_VM);
        if (!bus->type->request_unplug(bus, dev, errp)) {
            dev->pending_unplug = false;
            return false;
        }
        return true;
    }
    device_unplug(dev);
    return true;
}

void device_unplug(Device *dev)
{
    /* What is below goes first, and is announced first. */
    for (Bus *b = dev->children; b; b = b->next) {
        while (b->first && b->first != dev->inner) {
            device_unplug(b->first);
        }
    }
    if (dev->inner) {
        for (Bus *b = dev->inner->children; b; b = b->next) {
            while (b->first) {
                device_unplug(b->first);
            }
        }
        device_deleted(dev->inner);
    }
    device_unrealize(dev);
    device_deleted(dev);
    device_free(dev);
}
