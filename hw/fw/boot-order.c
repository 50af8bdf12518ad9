/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * boot-order.c - bootindex properties to the list that firmware reads: firmware
 * paths by ascending index, a line each, "HALT" last under -boot strict.
 *
 * Thread class: machine lock.
 */
#include <glib.h>
#include "hw/fw/roms.h"

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
        char *path = e->dev ? device_fw_path(e->dev) : g_strdup(e->path);

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
