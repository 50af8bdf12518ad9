/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reset.c - the order in which a board is reset: devices of bus_main in order
 * of realize, each before what is below it, then the registered functions.
 *
 * Thread class: MACHINE_CALL, no vCPU running.
 */
#include <glib.h>
#include "device.h"

typedef struct ResetFn {
    void (*fn)(void *arg, ResetKind kind);
    void *arg;
} ResetFn;
static GArray *functions;

void device_reset(Device *dev, ResetKind kind)
{
    if (dev->bus && dev->bus->type->reset_device) {
        dev->bus->type->reset_device(dev, kind);
    }
    if (dev->type->reset) {
        dev->type->reset(dev, kind);
    }
    for (Bus *b = dev->children; b; b = b->next) {
        bus_reset(b, kind);
    }
}

static bool is_on(const Bus *bus, const Device *dev)
{
    const Device *d = bus->first;

    while (d && d != dev) {
        d = d->next;
    }
    return d;
}

/* One device's reset may take others away: those that had agreed to go. */
void bus_reset(Bus *bus, ResetKind kind)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new();

    if (bus->type->reset) {
        bus->type->reset(bus);
    }
    for (Device *d = bus->first; d; d = d->next) {
        g_ptr_array_add(all, d);
    }
    for (guint i = 0; i < all->len; i++) {
        Device *d = all->pdata[i];

        if (is_on(bus, d) && d->realized) {
            device_reset(d, kind);
        }
    }
}

void reset_register(void (*fn)(void *arg, ResetKind kind), void *arg)
{
    ResetFn r = { fn, arg };

    if (!functions) {
        functions = g_array_new(false, false, sizeof(ResetFn));
    }
    g_array_append_val(functions, r);
}

void reset_unregister(void (*fn)(void *arg, ResetKind kind), void *arg)
{
    for (guint i = 0; functions && i < functions->len; i++) {
        ResetFn *r = &g_array_index(functions, ResetFn, i);

        if (r->fn == fn && r->arg == arg) {
            g_array_remove_index(functions, i);
            return;
        }
    }
}

void devices_reset(ResetKind kind)
{
    if (bus_main) {
        bus_reset(bus_main, kind);
    }
    for (guint i = 0; functions && i < functions->len; i++) {
        ResetFn r = g_array_index(functions, ResetFn, i);

        r.fn(r.arg, kind);
    }
}
