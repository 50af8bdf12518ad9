/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * global.c - -global driver.prop=value: defaults that the user set for all
 * devices of a type, or of the types below it.
 *
 * Thread class: MACHINE_CALL.
 */
#include <glib.h>
#include "hw/core/core.h"

typedef struct Global {
    char *driver, *prop, *value;
    bool used;
    struct Global *next;
} Global;
static Global *globals;

void device_global_add(const char *driver, const char *prop, const char *value)
{
    Global *g = g_new0(Global, 1), **p = &globals;

    g->driver = g_strdup(driver);
    g->prop = g_strdup(prop);
    g->value = g_strdup(value);
    while (*p) {
        p = &(*p)->next;
    }
    *p = g;
}

bool device_globals_apply(Obj *o, const char *type, Error **errp)
{
    for (Global *g = globals; g; g = g->next) {
        if (strcmp(g->driver, type) != 0 && !type_is_a(type, g->driver)) {
            continue;
        }
        g->used = true;
        if (!obj_set_text(o, g->prop, g->value, errp)) {
            error_prepend(errp, "can't apply global %s.%s=%s: ", g->driver,
                          g->prop, g->value);
            return false;
        }
    }
    return true;
}

void globals_free(void)
{
    while (globals) {
        Global *g = globals;

        globals = g->next;
        g_free(g->driver);
        g_free(g->prop);
        g_free(g->value);
        g_free(g);
    }
}

static bool has_option(const DeviceType *t, const char *name)
{
    const Prop *p;

    for (unsigned i = 0; (p = device_type_options(t, i)); i++) {
        if (prop_find(p, name)) {
            return true;
        }
    }
    return false;
}

/* Types that may still come by hot-plug can use theirs later. */
void device_globals_check(void)
{
    for (Global *g = globals; g; g = g->next) {
        const DeviceType *t = device_type_find(g->driver);

        if (g->used) {
            continue;
        }
        if (!type_is_a(g->driver, "device")) {
            warn_report("global %s.%s has invalid class name", g->driver,
                        g->prop);
        } else if (t && !(t->flags & DT_ABSTRACT) && !has_option(t, g->prop)) {
            warn_report("global %s.%s=%s not used: there is no such property",
                        g->driver, g->prop, g->value);
        } else if (t && (t->flags & DT_NO_HOTPLUG)) {
            warn_report("global %s.%s=%s not used", g->driver, g->prop,
                        g->value);
        }
    }
}
