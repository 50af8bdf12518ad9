/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qtree.c - `info qtree`: buses, devices, their lines, values and addresses.
 *
 * Thread class: MACHINE_CALL.
 */
#include <glib.h>
#include "hw/core/core.h"

typedef struct Printer {
    void (*out)(void *arg, const char *line);
    void *arg;
    unsigned indent;
} Printer;

static void say(Printer *p, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void say(Printer *p, const char *fmt, ...)
{
    va_list ap;
    char *s, *line;

    va_start(ap, fmt);
    s = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    line = g_strdup_printf("%*s%s", (int)p->indent, "", s);
    p->out(p->arg, line);
    g_free(line);
    g_free(s);
}

static void say_gpio(const char *name, bool out, unsigned n, void *arg)
{
    say(arg, "gpio-%s \"%s\" %u", out ? "out" : "in", name, n);
}

static void say_line(void *arg, const char *line)
{
    say(arg, "%s", line);
}

/* bootindex is a property of the object, not of the device's register set. */
static bool is_shown(const Prop *p)
{
    return !(p->flags & PF_HIDDEN) && p->kind != PK_CALL && p->kind != PK_ARRAY_U32 &&
           strcmp(p->name, "bootindex") != 0;
}

static void print_bus(Bus *bus, Printer *p) MACHINE_CALL;

static void print_device(Device *dev, Printer *p) MACHINE_CALL;
static void print_device(Device *dev, Printer *p)
{
    const Prop *table;
    Bus *list[64];
    unsigned n = 0;

    say(p, "dev: %s, id \"%s\"", dev->type->name, dev->id ? dev->id : "");
    p->indent += 2;
    gpio_each(dev, say_gpio, p);
    for (unsigned i = 0; (table = device_type_props(dev->type, i)); i++) {
        for (const Prop *row = table; row->name; row++) {
            if (is_shown(row)) {
                char *v = prop_print(&dev->obj, row);

                say(p, "%s = %s", row->name, v);
                g_free(v);
            }
        }
    }
    if (dev->bus && dev->bus->type->print) {
        dev->bus->type->print(dev, say_line, p);
    }
    for (Bus *b = dev->children; b && n < ARRAY_SIZE(list); b = b->next) {
        list[n++] = b;
    }
    while (n) {
        print_bus(list[--n], p);
    }
    p->indent -= 2;
}

static void print_bus(Bus *bus, Printer *p)
{
    Device **list = bus_newest_first(bus);

    say(p, "bus: %s", bus->name);
    p->indent += 2;
    say(p, "type %s", bus->type->name);
    for (Device **d = list; *d; d++) {
        print_device(*d, p);
    }
    p->indent -= 2;
    g_free(list);
}

void device_print_tree(void (*out)(void *arg, const char *line), void *arg)
{
    Printer p = { .out = out, .arg = arg };

    if (bus_main) {
        print_bus(bus_main, &p);
    }
}
