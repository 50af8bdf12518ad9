/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gpio.c - named sets of lines of a device, for wiring by the machine and for
 * interception by tests.
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. A line that device_gpio_get hands out goes through the set, so that a probe
 *    put in later sees it.
 * 2. An output's line array belongs to the device; a probe replaces its entries
 *    and keeps what was there.
 */
#include <glib.h>
#include "hw/core/core.h"

typedef struct Gpio Gpio;
struct Gpio {
    char *name;                        /* NULL: the unnamed set               */
    bool out;
    unsigned n;
    Device *dev;
    IrqFn *fn;                         /* in                                  */
    IrqLine *lines;                    /* out: the device's                   */
    IrqLine *behind;                   /* out: what the probe displaced       */
    void (*probe)(void *arg, unsigned n, int level);
    void *probe_arg;
    Obj *nodes;                        /* in: "name[i]" in the tree           */
    Gpio *next;
};

static const char *irq_type_name(const Obj *o)
{
    return "irq";
}

static const Prop *irq_props(const Obj *o, unsigned i)
{
    return NULL;
}

static const ObjKind obj_irq = {
    .type_name = irq_type_name,
    .props = irq_props,
};

static Gpio *find(const Device *dev, const char *name, bool out)
{
    for (Gpio *g = dev->gpio; g; g = g->next) {
        if (g->out == out && g_strcmp0(g->name, name) == 0) {
            return g;
        }
    }
    return NULL;
}

static Gpio *add(Device *dev, const char *name, bool out, unsigned n)
{
    Gpio *g = g_new0(Gpio, 1);

    g->name = g_strdup(name);
    g->out = out;
    g->n = n;
    g->dev = dev;
    g->next = dev->gpio;
    dev->gpio = g;
    return g;
}

static void in_set(void *to, int n, int level)
{
    Gpio *g = to;

    if (g->probe) {
        g->probe(g->probe_arg, n, level);
    }
    g->fn(g->dev, n, level);
}

static void out_set(void *to, int n, int level)
{
    Gpio *g = to;

    g->probe(g->probe_arg, n, level);
    irq_set(&g->behind[n], level);
}

void device_gpio_in(Device *dev, const char *name, IrqFn *fn, unsigned n)
{
    Gpio *g = add(dev, name, false, n);

    g->fn = fn;
    g->nodes = g_new0(Obj, n);
    for (unsigned i = 0; i < n; i++) {
        char *s = g_strdup_printf("%s[%u]", name ? name : "unnamed-gpio-in",
                                  i);

        g->nodes[i].kind = &obj_irq;
        obj_add(&dev->obj, s, &g->nodes[i]);
        g_free(s);
    }
}

void device_gpio_out(Device *dev, const char *name, IrqLine *lines, unsigned n)
{
    add(dev, name, true, n)->lines = lines;
}

IrqLine device_gpio_get(Device *dev, const char *name, unsigned n)
{
    Gpio *g = find(dev, name, false);

    if (!g || n >= g->n) {
        return (IrqLine){ NULL };
    }
    return irq_line(in_set, g, n);
}

void device_gpio_connect(Device *dev, const char *name, unsigned n, IrqLine to)
{
    Gpio *g = find(dev, name, true);

    if (!g || n >= g->n) {
        return;
    }
    if (g->behind) {
        g->behind[n] = to;
    } else {
        g->lines[n] = to;
    }
}

bool device_gpio_intercept(Device *dev, const char *name, bool out,
                           void (*probe)(void *arg, unsigned n, int level),
                           void *arg)
{
    Gpio *g = find(dev, name, out);

    if (!g) {
        return false;
    }
    g->probe = probe;
    g->probe_arg = arg;
    if (out && !g->behind) {
        g->behind = g_new(IrqLine, g->n);
        memcpy(g->behind, g->lines, g->n * sizeof(IrqLine));
        for (unsigned i = 0; i < g->n; i++) {
            g->lines[i] = irq_line(out_set, g, i);
        }
    }
    return true;
}

void gpio_each(const Device *dev,
               void (*fn)(const char *name, bool out, unsigned n, void *arg),
               void *arg)
{
    for (Gpio *g = dev->gpio; g; g = g->next) {
        fn(g->name ? g->name : "", g->out, g->n, arg);
    }
}

void gpio_free_all(Device *dev)
{
    while (dev->gpio) {
        Gpio *g = dev->gpio;

        dev->gpio = g->next;
        for (unsigned i = 0; g->nodes && i < g->n; i++) {
            if (g->nodes[i].parent) {
                obj_remove(&g->nodes[i]);
            }
        }
        g_free(g->nodes);
        g_free(g->behind);
        g_free(g->name);
        g_free(g);
    }
}
