/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * commands.c - device_add, device_del, device-list-properties, info qtree and
 * qdm, query-pci; the events about devices that go.
 *
 * Thread class: MACHINE_CALL.
 */
#include <glib.h>
#include "hw/core/core.h"
#include "monitor.h"
#include "pci.h"
#include "schema/schema.h"

static void mon_line(void *arg, const char *line)
{
    mon_printf("%s\n", line);
}

/* QMP's device_add takes values as text does: the slot "5" is also 5, a size
 * may be "1M". */
static Json *as_text(const Json *obj)
{
    Json *copy = json_obj();

    for (size_t i = 0; i < json_count(obj); i++) {
        Json *v = json_value_at(obj, i);

        if (json_kind(v) == JSON_BOOL) {
            v = json_str(json_bool_of(v) ? "on" : "off");
        } else if (json_kind(v) == JSON_INT) {
            char *text = json_text(v, false, NULL);

            v = json_str(text);
            g_free(text);
        } else {
            v = json_copy(v);
        }
        json_set(copy, json_key_at(obj, i), v);
    }
    return copy;
}

bool cmd_device_add(const void *arg, void *ret, Error **errp)
{
    const OpenArg *a = arg;
    Error *err = NULL;
    Device *dev;
    Json *opts;

    if (mon_is_hmp() && device_help(a->obj, mon_line, NULL, &err)) {
        error_move(errp, err);
        return !err;
    }
    opts = as_text(a->obj);
    dev = device_add(opts, true, errp);
    json_free(opts);
    return dev != NULL;
}

bool cmd_device_del(const void *arg, void *ret, Error **errp)
{
    const DeviceDelArg *a = arg;
    Obj *o = a->id[0] == '/' ? NULL
                             : obj_child(obj_dir("machine/peripheral"), a->id);
    Device *dev;

    if (!o) {
        o = obj_resolve(a->id, NULL);
    }
    if (!o) {
        return error_set_class(errp, ERROR_DEVICE_NOT_FOUND,
                               "Device '%s' not found", a->id);
    }
    dev = device_of(o);
    if (!dev) {
        return error_set(errp, "%s is not a hotpluggable device", a->id);
    }
    return device_request_unplug(dev, errp);
}

bool cmd_device_list_properties(const void *arg, void *ret, Error **errp)
{
    const DeviceListPropertiesArg *a = arg;
    Json *list = device_list_properties(a->typename, errp);
    bool ok = list && schema_parse(&qt_ObjectPropertyInfoList, list, false,
                                   ret, errp);

    json_free(list);
    return ok;
}

bool cmd_query_pci(const void *arg, void *ret, Error **errp)
{
    Json *list = pci_query();
    bool ok = schema_parse(&qt_PciRootInfoList, list, false, ret, errp);

    json_free(list);
    return ok;
}

void hmp_print_info_pci(const void *ret, const Json *args)
{
    pci_print(mon_line, NULL);
}

void hmp_info_qtree(const Json *args)
{
    device_print_tree(mon_line, NULL);
}

void hmp_info_qdm(const Json *args)
{
    Json *opts = json_obj();

    json_set_str(opts, "driver", "help");
    device_help(opts, mon_line, NULL, NULL);
    json_free(opts);
}

void device_deleted(const Device *dev)
{
    char *path = obj_path(&dev->obj);
    DeviceDeletedEvent data = { .device = dev->id, .path = path };

    monitor_event(&event_DEVICE_DELETED, &data);
    g_free(path);
}

void device_unplug_refused(Device *dev)
{
    char *path = obj_path(&dev->obj);
    DeviceUnplugGuestErrorEvent data = { .device = dev->id, .path = path };

    dev->pending_unplug = false;
    monitor_event(&event_DEVICE_UNPLUG_GUEST_ERROR, &data);
    g_free(path);
}
