/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * boot-order.c - bootindex properties to the list that firmware reads: firmware
 * paths by ascending index, a line each, "HALT" last under -boot strict.
 *
 * Thread class: machine lock.
 */
#include <glib.h>
#include "machine.h"

typedef struct Entry {
    int32_t index;
    const Device *dev;
} Entry;

static bool collect(Device *dev, void *arg)
{
    GArray *list = arg;
    Entry e = { dev->bootindex, dev };

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
    g_array_sort(list, by_index);
    for (guint i = 0; i < list->len; i++) {
        char *path = device_fw_path(g_array_index(list, Entry, i).dev);

        if (path) {
            g_string_append_printf(s, "%s%s", s->len ? "\n" : "", path);
        }
        g_free(path);
    }
    if (machine->boot_strict) {
        g_string_append_printf(s, "%sHALT", s->len ? "\n" : "");
    }
    g_array_free(list, TRUE);
    *len = s->len ? s->len + 1 : 0;
    return g_string_free(s, FALSE);
}
