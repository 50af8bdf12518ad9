/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bus.c - the ISA bus: ports, interrupt lines and DMA channels of the bridge
 * that provides it (IEEE P996 draft, sections 2 and 4).
 *
 * Thread class: MACHINE_CALL.
 */
#include <glib.h>
#include "isa.h"

TYPE_NAME(type_isa_device, { "isa-device", "device", true });

static char *isa_fw_path(const Device *dev)
{
    const IsaDevice *d = (const IsaDevice *)dev;
    char *name = dev->type->fw_name ? dev->type->fw_name(dev)
                                    : g_strdup(dev->type->name);
    char *s;

    if (!d->port) {
        return name;
    }
    s = g_strdup_printf("%s@%04x", name, d->port);
    g_free(name);
    return s;
}

BUS_TYPE(bus_isa, {
    .name = "ISA",
    .size = sizeof(IsaBus),
    .device_base = "isa-device",
    .fw_path = isa_fw_path,
});

IsaBus *isa_bus_new(Device *owner, MemRegion *mem, MemRegion *io)
{
    IsaBus *b = g_new0(IsaBus, 1);

    b->bus.allocated = true;
    b->mem = mem;
    b->io = io;
    bus_init(&b->bus, &bus_isa, owner, "isa.0");
    return b;
}

void isa_map(IsaDevice *d, MemRegion *mr, uint16_t port)
{
    if (!d->port) {
        d->port = port;
    }
    device_region(&d->dev, mr);
    mem_add(isa_bus(d)->io, port, mr);
}

void isa_unmap(IsaDevice *d, MemRegion *mr)
{
    mem_fini(mr);
}

bool isa_irq(IsaDevice *d, unsigned n, IrqLine *out, Error **errp)
{
    if (n >= ARRAY_SIZE(isa_bus(d)->irq)) {
        return error_set(errp, "%s: interrupt %u is not one of the bus's 0 to "
                         "15", d->dev.type->name, n);
    }
    *out = isa_bus(d)->irq[n];
    return true;
}

IsaDma *isa_dma(IsaBus *bus, int channel)
{
    return channel >= 0 && channel < 8 ? bus->dma[channel > 3] : NULL;
}

/* Owner of the bus on a board that has no bridge to it. */
static MACHINE_CALL bool bridge_realize(Device *dev, Error **errp)
{
    return true;
}

static MACHINE_CALL void bridge_reset(Device *dev, ResetKind kind)
{
}

DEVICE(isabus_bridge, {
    .name = "isabus-bridge", .category = "bridge", .on = &bus_system,
    .size = sizeof(Device),
    .desc = "carries the ISA bus of a board without PCI",
    .flags = DT_INTERNAL, .vmstate = &vm_none,
    .realize = bridge_realize, .reset = bridge_reset,
});
