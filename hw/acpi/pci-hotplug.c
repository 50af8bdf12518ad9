/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-hotplug.c - the board's PCI hot-plug registers, which the DSDT's methods
 * read and write (interface as published in QEMU's docs/specs/acpi_pci_hotplug):
 * 0x00 slots plugged, 0x04 slots asked to go, 0x08 eject, 0x0c removable slots,
 * 0x10 bus select, 0x14 slot's ACPI index.
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. A device leaves only when the guest writes its slot to the eject register,
 *    or at a reset while its removal is pending.
 */
#include <glib.h>
#include "hw/acpi/pci-hotplug.h"

#define GPE_PCI 1
#define IO_LEN 0x18

int acpi_pci_hotplug_number(const PciBus *bus)
{
    const AcpiPciHotplug *h = bus->hotplug_opaque;

    for (unsigned i = 0; h && i < h->nbus; i++) {
        if (h->bus[i] == bus) {
            return (int)i;
        }
    }
    return -1;
}

static AcpiPciHotplug *hotplug_of(PciBus *bus, unsigned *n)
{
    int i = acpi_pci_hotplug_number(bus);

    *n = i < 0 ? 0 : (unsigned)i;
    return i < 0 ? NULL : bus->hotplug_opaque;
}

static MACHINE_CALL bool plug(PciBus *bus, PciDevice *d, Error **errp)
{
    unsigned n;
    AcpiPciHotplug *h = hotplug_of(bus, &n);

    if (!h) {
        return error_set(errp, "Bus '%s' does not support hotplugging",
                         bus->bus.name);
    }
    /* The guest looks at a slot once its function 0 is there. */
    if (d->dev.hotplugged && PCI_FUNC(d->devfn) == 0) {
        h->up[n] |= 1u << PCI_SLOT(d->devfn);
        acpi_gpe_raise(h->pm, GPE_PCI);
    }
    return true;
}

static MACHINE_CALL bool unplug_request(PciBus *bus, PciDevice *d, Error **errp)
{
    unsigned n;
    AcpiPciHotplug *h = hotplug_of(bus, &n);

    if (!h) {
        return error_set(errp, "Bus '%s' does not support hotplugging",
                         bus->bus.name);
    }
    h->down[n] |= 1u << PCI_SLOT(d->devfn);
    acpi_gpe_raise(h->pm, GPE_PCI);
    return true;
}

bool acpi_pci_slot_fixed(const PciBus *bus, unsigned slot)
{
    for (unsigned fn = 0; fn < 8; fn++) {
        const PciDevice *d = bus->devices[PCI_DEVFN(slot, fn)];
        const PciInfo *info = d ? d->dev.type->on_info : NULL;

        if (d && (d->dev.type->flags & DT_NO_HOTPLUG ||
                  (info->bridge && !d->dev.hotplugged) ||
                  info->no_hotplug)) {
            return true;
        }
    }
    return false;
}

static MACHINE_CALL void eject(AcpiPciHotplug *h, unsigned n, uint32_t slots)
{
    PciBus *bus = h->bus[n];

    for (unsigned slot = 0; slot < 32; slot++) {
        if (!(slots >> slot & 1) || acpi_pci_slot_fixed(bus, slot)) {
            continue;
        }
        h->down[n] &= ~(1u << slot);
        h->up[n] &= ~(1u << slot);
        for (int fn = 7; fn >= 0; fn--) {
            PciDevice *d = bus->devices[PCI_DEVFN(slot, fn)];

            if (d) {
                device_unplug(&d->dev);
            }
        }
    }
}

static uint64_t hp_read(void *dev, uint64_t off, unsigned size) NO_TSA;
static uint64_t hp_read(void *dev, uint64_t off, unsigned size)
{
    AcpiPciHotplug *h = dev;
    unsigned n = h->select;
    uint32_t v = 0;
    PciDevice *d;

    if (off == 0x10) {
        return h->select;
    }
    if (n >= h->nbus || !h->bus[n]) {
        return 0;
    }
    switch (off) {
    case 0x00:
        v = h->up[n];
        h->up[n] = 0;
        return v;
    case 0x04:
        return h->down[n];
    case 0x0c:
        for (unsigned slot = 0; slot < 32; slot++) {
            v |= (uint32_t)!acpi_pci_slot_fixed(h->bus[n], slot) << slot;
        }
        return v;
    case 0x14:
        d = h->index_slot < 32
            ? h->bus[n]->devices[PCI_DEVFN(h->index_slot, 0)] : NULL;
        return d ? d->acpi_index : 0;
    default:
        return 0;
    }
}

static void hp_write(void *dev, uint64_t off, uint64_t v, unsigned size)
    NO_TSA;
static void hp_write(void *dev, uint64_t off, uint64_t v, unsigned size)
{
    AcpiPciHotplug *h = dev;

    if (off == 0x10) {
        h->select = v < h->nbus ? v : UINT32_MAX;
    } else if (off == 0x08 && h->select < h->nbus &&
               h->bus[h->select]) {
        eject(h, h->select, v);
    } else if (off == 0x14) {
        h->index_slot = v ? (uint32_t)__builtin_ctzll(v) : UINT32_MAX;
    }
}

static const MemOps hp_ops = { .read = hp_read, .write = hp_write, .min = 4,
                               .max = 4, .valid_min = 1, .valid_max = 4 };

void acpi_pci_hotplug_init(AcpiPciHotplug *h, Device *owner, AcpiPm *pm,
                           MemRegion *io)
{
    h->pm = pm;
    h->select = h->index_slot = UINT32_MAX;
    mem_init_io(&h->io, "acpi-pci-hotplug", IO_LEN, &hp_ops, h);
    /* An eject takes devices apart, whose BARs are unmapped meanwhile. */
    h->io.flags |= MRF_REENTRANT;
    device_region(owner, &h->io);
    mem_add(io, PCIHP_PORT, &h->io);
}

static MACHINE_CALL void take(AcpiPciHotplug *h, unsigned n, PciBus *bus)
{
    h->bus[n] = bus;
    bus->hotplug_opaque = h;
    bus->hotplug = plug;
    bus->hot_unplug = unplug_request;
    bus->bus.hotpluggable = true;
}

static MACHINE_CALL void drop(AcpiPciHotplug *h, unsigned n)
{
    PciBus *bus = h->bus[n];

    if (bus) {
        bus->hotplug = NULL;
        bus->hot_unplug = NULL;
        bus->hotplug_opaque = NULL;
        bus->bus.hotpluggable = false;
    }
    h->bus[n] = NULL;
    h->up[n] = h->down[n] = 0;
}

/* A bridge's bus comes while the machine is made, or goes. */
static MACHINE_CALL void bridged(PciBus *root, PciBus *below, bool on)
{
    AcpiPciHotplug *h = root->hotplug_opaque;
    int n = acpi_pci_hotplug_number(below);

    if (!on && n >= 0) {
        drop(h, (unsigned)n);
    } else if (on && h->nbus < PCIHP_BUSES) {
        take(h, h->nbus++, below);
    }
}

void acpi_pci_hotplug_bus(AcpiPciHotplug *h, PciBus *bus, bool below)
{
    take(h, h->nbus++, bus);
    if (below) {
        bus->bridged = bridged;
    }
}

void acpi_pci_hotplug_fini(AcpiPciHotplug *h)
{
    if (h->nbus && h->bus[0]) {
        h->bus[0]->bridged = NULL;
    }
    for (unsigned i = 0; i < h->nbus; i++) {
        drop(h, i);
    }
    h->nbus = 0;
    mem_fini(&h->io);
}

void acpi_pci_hotplug_reset(AcpiPciHotplug *h)
{
    for (unsigned i = 0; i < h->nbus; i++) {
        /* Who agreed to go before the reset has gone after it. */
        if (h->bus[i]) {
            eject(h, i, h->down[i]);
        }
        h->up[i] = h->down[i] = 0;
    }
    h->select = h->index_slot = UINT32_MAX;
}

const VmState acpi_pci_hotplug_state = {
    .name = "acpi-pci-hotplug", .version = 1, .oldest = 1,
    .fields = (const VmField[]){
        VM_U32(AcpiPciHotplug, select), VM_U32(AcpiPciHotplug, index_slot),
        VM_ARRAY(AcpiPciHotplug, up, VK_U32),
        VM_ARRAY(AcpiPciHotplug, down, VK_U32),
        VM_END
    },
};
