/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * query.c - query-pci and `info pci`: what the configuration registers say.
 *
 * Thread class: MACHINE_CALL.
 */
#include <glib.h>
#include "hw/pci/pci-impl.h"

static Json *query_class(const PciDevice *d)
{
    uint16_t cls = ld_le16(d->config + PCI_CLASS_DEVICE);
    Json *o = json_obj();

    if (pci_class_desc(cls)) {
        json_set_str(o, "desc", pci_class_desc(cls));
    }
    json_set_int(o, "class", cls);
    return o;
}

static Json *query_id(const PciDevice *d)
{
    const uint8_t *c = d->config;
    Json *o = json_obj();

    json_set_int(o, "device", ld_le16(c + PCI_DEVICE_ID));
    json_set_int(o, "vendor", ld_le16(c + PCI_VENDOR_ID));
    if ((c[PCI_HEADER_TYPE] & 0x7f) == PCI_HEADER_TYPE_NORMAL) {
        json_set_int(o, "subsystem", ld_le16(c + PCI_SUBSYSTEM_ID));
        json_set_int(o, "subsystem-vendor",
                     ld_le16(c + PCI_SUBSYSTEM_VENDOR_ID));
    }
    return o;
}

static Json *query_regions(const PciDevice *d)
{
    Json *list = json_list();

    for (int i = 0; i < 7; i++) {
        const PciBar *b = &d->bar[i];
        Json *o;

        if (!b->mr) {
            continue;
        }
        o = json_obj();
        json_set_int(o, "bar", i);
        json_set_int(o, "size", b->size);
        json_set_int(o, "address", (int64_t)b->addr);
        if ((b->kind & 3) == PCI_BAR_IO) {
            json_set_str(o, "type", "io");
        } else {
            json_set_str(o, "type", "memory");
            json_set_bool(o, "prefetch", b->kind & PCI_BAR_PREF);
            json_set_bool(o, "mem_type_64", (b->kind & 3) == PCI_BAR_MEM64);
        }
        json_add(list, o);
    }
    return list;
}

static Json *query_range(const PciDevice *d, PciBridgeWindow w)
{
    uint64_t base, limit;
    Json *o = json_obj();

    pci_bridge_range(d, w, &base, &limit);
    json_set_int(o, "base", base);
    json_set_int(o, "limit", limit);
    return o;
}

static Json *query_devices(PciBus *bus);

static Json *query_bridge(PciBridge *br)
{
    const PciDevice *d = &br->pci;
    Json *o = json_obj(), *bus = json_obj();

    json_set_int(bus, "number", d->config[PCI_PRIMARY_BUS]);
    json_set_int(bus, "secondary", d->config[PCI_SECONDARY_BUS]);
    json_set_int(bus, "subordinate", d->config[PCI_SUBORDINATE_BUS]);
    json_set(bus, "io_range", query_range(d, BRIDGE_IO));
    json_set(bus, "memory_range", query_range(d, BRIDGE_MEM));
    json_set(bus, "prefetchable_range", query_range(d, BRIDGE_PREF));
    json_set(o, "bus", bus);
    if (d->config[PCI_SECONDARY_BUS] && br->bus.bus.name) {
        json_set(o, "devices", query_devices(&br->bus));
    }
    return o;
}

static Json *query_device(PciDevice *d)
{
    PciBridge *br = pci_bridge_of(d);
    Json *o = json_obj();

    json_set_int(o, "bus", pci_bus_num(pci_bus(d)));
    json_set_int(o, "slot", PCI_SLOT(d->devfn));
    json_set_int(o, "function", PCI_FUNC(d->devfn));
    json_set(o, "class_info", query_class(d));
    json_set(o, "id", query_id(d));
    if (d->config[PCI_INTERRUPT_PIN]) {
        json_set_int(o, "irq", d->config[PCI_INTERRUPT_LINE]);
    }
    json_set_int(o, "irq_pin", d->config[PCI_INTERRUPT_PIN]);
    json_set_str(o, "qdev_id", d->dev.id ? d->dev.id : "");
    if (br) {
        json_set(o, "pci_bridge", query_bridge(br));
    }
    json_set(o, "regions", query_regions(d));
    return o;
}

static Json *query_devices(PciBus *bus)
{
    Json *list = json_list();

    for (unsigned i = 0; i < 256; i++) {
        if (bus->devices[i] && bus->devices[i]->config) {
            json_add(list, query_device(bus->devices[i]));
        }
    }
    return list;
}

Json *pci_query(void)
{
    PciBus *root = pci_root();
    Json *list = json_list(), *o;

    if (root) {
        o = json_obj();
        json_set_int(o, "bus", pci_bus_num(root));
        json_set(o, "devices", query_devices(root));
        json_add(list, o);
    }
    return list;
}

/* ---- for people --------------------------------------------------------- */

typedef struct Out {
    void (*out)(void *arg, const char *line);
    void *arg;
} Out;

static void say(const Out *o, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void say(const Out *o, const char *fmt, ...)
{
    va_list ap;
    char *s;

    va_start(ap, fmt);
    s = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    o->out(o->arg, s);
    g_free(s);
}

static void print_range(const PciDevice *d, PciBridgeWindow w, const char *fmt_io,
                        const Out *o)
{
    uint64_t base, limit;

    pci_bridge_range(d, w, &base, &limit);
    if (w == BRIDGE_IO) {
        say(o, "      %s range [0x%04" PRIx64 ", 0x%04" PRIx64 "]", fmt_io,
            base, limit);
    } else {
        say(o, "      %s range [0x%08" PRIx64 ", 0x%08" PRIx64 "]", fmt_io,
            base, limit);
    }
}

static void print_bus(PciBus *bus, const Out *o);

static void print_bar(const PciBar *b, int i, const Out *o)
{
    uint64_t last = b->addr + b->size - 1;

    if ((b->kind & 3) == PCI_BAR_IO) {
        say(o, "      BAR%d: I/O at 0x%04" PRIx64 " [0x%04" PRIx64 "].", i,
            b->addr, last);
    } else {
        say(o, "      BAR%d: %d bit%s memory at 0x%08" PRIx64 " [0x%08" PRIx64
            "].", i, (b->kind & 3) == PCI_BAR_MEM64 ? 64 : 32,
            b->kind & PCI_BAR_PREF ? " prefetchable" : "", b->addr, last);
    }
}

static void print_device(PciDevice *d, const Out *o)
{
    const uint8_t *c = d->config;
    uint16_t cls = ld_le16(c + PCI_CLASS_DEVICE);
    const char *desc = pci_class_desc(cls);
    PciBridge *br = pci_bridge_of(d);
    char number[16];

    snprintf(number, sizeof(number), "Class %04u", cls);
    say(o, "  Bus %2d, device %3d, function %d:", pci_bus_num(pci_bus(d)),
        PCI_SLOT(d->devfn), PCI_FUNC(d->devfn));
    say(o, "    %s: PCI device %04x:%04x", desc ? desc : number,
        ld_le16(c + PCI_VENDOR_ID), ld_le16(c + PCI_DEVICE_ID));
    if ((c[PCI_HEADER_TYPE] & 0x7f) == PCI_HEADER_TYPE_NORMAL) {
        say(o, "      PCI subsystem %04x:%04x",
            ld_le16(c + PCI_SUBSYSTEM_VENDOR_ID),
            ld_le16(c + PCI_SUBSYSTEM_ID));
    }
    if (c[PCI_INTERRUPT_PIN]) {
        say(o, "      IRQ %d, pin %c", c[PCI_INTERRUPT_LINE],
            'A' + c[PCI_INTERRUPT_PIN] - 1);
    }
    if (br) {
        say(o, "      BUS %d.", c[PCI_PRIMARY_BUS]);
        say(o, "      secondary bus %d.", c[PCI_SECONDARY_BUS]);
        say(o, "      subordinate bus %d.", c[PCI_SUBORDINATE_BUS]);
        print_range(d, BRIDGE_IO, "IO", o);
        print_range(d, BRIDGE_MEM, "memory", o);
        print_range(d, BRIDGE_PREF, "prefetchable memory", o);
    }
    for (int i = 0; i < 7; i++) {
        if (d->bar[i].mr) {
            print_bar(&d->bar[i], i, o);
        }
    }
    say(o, "      id \"%s\"", d->dev.id ? d->dev.id : "");
    if (br && c[PCI_SECONDARY_BUS] && br->bus.bus.name) {
        print_bus(&br->bus, o);
    }
}

static void print_bus(PciBus *bus, const Out *o)
{
    for (unsigned i = 0; i < 256; i++) {
        if (bus->devices[i] && bus->devices[i]->config) {
            print_device(bus->devices[i], o);
        }
    }
}

void pci_print(void (*out)(void *arg, const char *line), void *arg)
{
    PciBus *root = pci_root();
    Out o = { out, arg };

    if (root) {
        print_bus(root, &o);
    } else {
        out(arg, "No PCI buses are present.");
    }
}
