/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * boot-order.c - bootindex properties to the list that firmware reads: firmware
 * paths by ascending index, a line each, "HALT" last under -boot strict; and the
 * letters of -boot order= and once=, which the board keeps where its firmware
 * looks (CMOS).
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. once= lasts from start-up to the first reset after it.
 */
#include <glib.h>
#include "hw/fw/roms.h"
#include "monitor.h"
#include "schema/schema.h"

typedef struct Entry {
    int32_t index;
    const Device *dev;
    char *path;                        /* of what is no device                */
} Entry;

static Entry others[8];
static unsigned nothers;

void boot_order_add(const char *path, int32_t bootindex)
{
    size_t len;
    char *list;

    if (nothers < ARRAY_SIZE(others)) {
        others[nothers++] = (Entry){ bootindex, NULL, g_strdup(path) };
    }
    list = boot_order_list(&len);
    fwcfg_replace_file("bootorder", list, len);
    g_free(list);
}

/* ---- letters ------------------------------------------------------------- */

static bool started;                   /* the reset of start-up is behind us  */

bool boot_order_set(const char *order, Error **errp)
{
    if (!boot_order_apply) {
        return error_set(errp, "no function defined to set boot device list "
                         "for this architecture");
    }
    return boot_order_ok(order, errp) &&
           boot_order_apply(order, errp);
}

static MACHINE_CALL void order_reset(void *arg, ResetKind kind)
{
    size_t len;
    char *list;

    if (kind != RESET_COLD) {
        return;
    }
    if (started && machine->boot_once) {
        boot_order_set(machine->boot_order ? machine->boot_order : "cad", NULL);
        g_free(machine->boot_once);
        machine->boot_once = NULL;
    }
    started = true;
    /* Devices come and go, and their bootindex may be set at any time. */
    list = boot_order_list(&len);
    fwcfg_replace_file("bootorder", list, len);
    g_free(list);
}

void boot_order_watch(void)
{
    reset_register(order_reset, NULL);
}

/* boot_set LETTERS */
bool cmd_x_tern_boot_set(const void *arg, void *ret, Error **errp)
{
    return boot_order_set(((const XTernBootSetArg *)arg)->bootdevice, errp);
}

void hmp_boot_set(const Json *args)
{
    const char *order = json_get_str(args, "bootdevice");
    Error *err = NULL;

    if (boot_order_set(order, &err)) {
        mon_printf("boot device list now set to %s\n", order);
    } else {
        mon_printf("%s\n", error_text(err));
        error_free(err);
    }
}

/* ---- paths --------------------------------------------------------------- */

static bool collect(Device *dev, void *arg)
{
    GArray *list = arg;
    Entry e = { dev->bootindex, dev, NULL };

    if (dev->bootindex >= 0 && obj_prop(&dev->obj, "bootindex")) {
        g_array_append_val(list, e);
    }
    return true;
}

static int by_index(const void *a, const void *b)
{
    int32_t x = ((const Entry *)a)->index, y = ((const Entry *)b)->index;

    return x < y ? -1 : x > y;
}

char *boot_order_list(size_t *len)
{
    GArray *list = g_array_new(FALSE, FALSE, sizeof(Entry));
    GString *s = g_string_new(NULL);

    device_each(collect, list);
    g_array_append_vals(list, others, nothers);
    g_array_sort(list, by_index);
    for (guint i = 0; i < list->len; i++) {
        const Entry *e = &g_array_index(list, Entry, i);
        char *path = e->dev ? device_boot_path(e->dev) : g_strdup(e->path);

        if (path) {
            g_string_append_printf(s, "%s%s", s->len ? "\n" : "", path);
        }
        g_free(path);
    }
    if (machine->boot_strict && s->len) {
        g_string_append_printf(s, "\nHALT");
    }
    g_array_free(list, TRUE);
    *len = s->len ? s->len + 1 : 0;
    return g_string_free(s, FALSE);
}
