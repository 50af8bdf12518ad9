/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * help.c - what the device tables say to people and clients: -device help,
 * -device X,help, device-list-properties.
 *
 * Thread class: MACHINE_CALL. Nothing here makes an object.
 */
#include <glib.h>
#include "hw/core/core.h"

static const struct {
    const char *key, *title;
} categories[] = {
    { "bridge", "Controller/Bridge/Hub" },
    { "usb", "USB" },
    { "storage", "Storage" },
    { "network", "Network" },
    { "input", "Input" },
    { "display", "Display" },
    { "sound", "Sound" },
    { "misc", "Misc" },
    { "cpu", "CPU" },
    { "watchdog", "Watchdog" },
    { NULL, "Uncategorized" },
};

static bool in_category(const DeviceType *t, unsigned c)
{
    unsigned own = 0;

    while (categories[own].key &&
           g_strcmp0(categories[own].key, t->category) != 0) {
        own++;
    }
    return own == c;
}

static int by_name(const void *a, const void *b)
{
    const DeviceType *x = *(const DeviceType *const *)a;
    const DeviceType *y = *(const DeviceType *const *)b;
    int d = g_ascii_strcasecmp(x->name, y->name);

    return d ? d : strcmp(x->name, y->name);
}

static char *type_line(const DeviceType *t)
{
    GString *s = g_string_new(NULL);

    g_string_append_printf(s, "name \"%s\"", t->name);
    if (t->on) {
        g_string_append_printf(s, ", bus %s", t->on->name);
    }
    if (t->alias) {
        g_string_append_printf(s, ", alias \"%s\"", t->alias);
    }
    if (t->desc) {
        g_string_append_printf(s, ", desc \"%s\"", t->desc);
    }
    return g_string_free(s, false);
}

static void help_all(void (*out)(void *arg, const char *line), void *arg)
{
    GPtrArray *all = g_ptr_array_new();
    bool any = false;

    SET_EACH(device_types, DeviceType, p) {
        if (!((*p)->flags & (DT_INTERNAL | DT_ABSTRACT))) {
            g_ptr_array_add(all, (void *)(uintptr_t)*p);
        }
    }
    if (all->len) {
        qsort(all->pdata, all->len, sizeof(void *), by_name);
    }
    for (unsigned c = 0; c < ARRAY_SIZE(categories); c++) {
        bool open = false;

        for (guint i = 0; i < all->len; i++) {
            const DeviceType *t = g_ptr_array_index(all, i);
            char *line;

            if (!in_category(t, c)) {
                continue;
            }
            if (!open) {
                if (any) {
                    out(arg, "");
                }
                line = g_strdup_printf("%s devices:", categories[c].title);
                out(arg, line);
                g_free(line);
                open = any = true;
            }
            line = type_line(t);
            out(arg, line);
            g_free(line);
        }
    }
    g_ptr_array_free(all, true);
}

static int by_prop_name(const void *a, const void *b)
{
    return strcmp((*(const Prop *const *)a)->name,
                  (*(const Prop *const *)b)->name);
}

/* Second forms of other rows ("legacy-addr") and plain state are not told. */
static bool is_told(const Prop *p)
{
    return !g_str_has_prefix(p->name, "legacy-") &&
           (p->flags & (PF_HIDDEN | PF_READONLY)) !=
           (PF_HIDDEN | PF_READONLY);
}

/* Rows that are options; the devices' common rows are state. */
static bool is_option(const Prop *p)
{
    return is_told(p) && !(p->flags & (PF_HIDDEN | PF_READONLY));
}

static void help_one(const DeviceType *t,
                     void (*out)(void *arg, const char *line), void *arg)
{
    GPtrArray *rows = g_ptr_array_new();
    const Prop *table;
    char *s;

    for (unsigned i = 0; (table = device_type_options(t, i)); i++) {
        for (const Prop *p = table; p->name; p++) {
            if (is_option(p)) {
                g_ptr_array_add(rows, (void *)(uintptr_t)p);
            }
        }
    }
    if (rows->len) {
        qsort(rows->pdata, rows->len, sizeof(void *), by_prop_name);
        s = g_strdup_printf("%s options:", t->name);
    } else {
        s = g_strdup_printf("There are no options for %s.", t->name);
    }
    out(arg, s);
    g_free(s);
    for (guint i = 0; i < rows->len; i++) {
        s = prop_help_line(g_ptr_array_index(rows, i));
        out(arg, s);
        g_free(s);
    }
    g_ptr_array_free(rows, true);
}

static const DeviceType *concrete_type(const char *name, Error **errp)
{
    const DeviceType *t = device_type_find(name);

    if (!t && !type_is_a(name, "object")) {
        error_set_class(errp, ERROR_DEVICE_NOT_FOUND, "Device '%s' not found",
                        name);
        return NULL;
    }
    if (!t || (t->flags & DT_ABSTRACT)) {
        error_set(errp, "Parameter 'typename' expects a non-abstract device "
                  "type");
        return NULL;
    }
    return t;
}

bool device_help(const Json *opts, void (*out)(void *arg, const char *line),
                 void *arg, Error **errp)
{
    const char *driver = json_get_str(opts, "driver");
    const DeviceType *t;
    bool asked = json_get(opts, "help") || json_get(opts, "?");

    if ((!driver && asked) ||
        (driver && (strcmp(driver, "help") == 0 || strcmp(driver, "?") == 0))) {
        help_all(out, arg);
        return true;
    }
    if (!driver || !asked) {
        return false;
    }
    t = concrete_type(driver, errp);
    if (t) {
        help_one(t, out, arg);
    }
    return true;
}

Json *device_list_properties(const char *type, Error **errp)
{
    const DeviceType *t = concrete_type(type, errp);
    const Prop *table;
    Json *list;

    if (!t) {
        return NULL;
    }
    list = json_list();
    for (unsigned i = 0; (table = device_type_options(t, i)); i++) {
        for (const Prop *p = table; p->name; p++) {
            Json *o, *def;

            if (!is_told(p)) {
                continue;
            }
            o = json_obj();
            def = prop_default(p);
            if (def) {
                json_set(o, "default-value", def);
            }
            json_set_str(o, "name", p->name);
            if (p->desc) {
                json_set_str(o, "description", p->desc);
            }
            json_set_str(o, "type", prop_type_name(p));
            json_add(list, o);
        }
    }
    if (t->inner) {
        Json *o = json_obj();
        char *type = g_strdup_printf("child<%s>", t->inner->name);

        json_set_str(o, "name", t->inner_name);
        json_set_str(o, "type", type);
        json_add(list, o);
        g_free(type);
    }
    return list;
}
