/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * slot.c - which slot and function a new PCI function gets (PCI Local Bus 3.0,
 * section 3.2.2.3.4: functions other than 0 need a function 0 that says
 * "multifunction").
 *
 * Thread class: MACHINE_CALL.
 */
#include "hw/pci/pci-impl.h"

static bool choose(PciBus *bus, PciDevice *d, Error **errp)
{
    unsigned first = ALIGN_UP(bus->devfn_min, 8);

    for (unsigned devfn = first; devfn < 256; devfn += 8) {
        if (!bus->devices[devfn]) {
            d->addr_prop = devfn;
            return true;
        }
    }
    return error_set(errp, "PCI: no slot/function available for %s, all in use "
                     "or reserved", d->dev.type->name);
}

static bool check_multifunction(PciBus *bus, PciDevice *d, Error **errp)
{
    uint8_t slot = PCI_SLOT(d->addr_prop);
    PciDevice *zero = bus->devices[PCI_DEVFN(slot, 0)];

    if (PCI_FUNC(d->addr_prop)) {
        if (zero && !zero->multifunction) {
            return error_set(errp, "PCI: single function device can't be "
                             "populated in function %x.%x", slot,
                             PCI_FUNC(d->addr_prop));
        }
        return true;
    }
    if (d->multifunction) {
        return true;
    }
    for (unsigned fn = 1; fn < 8; fn++) {
        if (bus->devices[PCI_DEVFN(slot, fn)]) {
            return error_set(errp, "PCI: %x.0 indicates single function, but "
                             "%x.%x is already populated.", slot, slot, fn);
        }
    }
    return true;
}

bool pci_take_slot(PciBus *bus, PciDevice *d, Error **errp)
{
    const char *name = d->dev.type->name;
    bool chosen = d->addr_prop < 0;
    PciDevice *there;
    uint8_t slot, fn;

    if (chosen && !choose(bus, d, errp)) {
        return false;
    }
    slot = PCI_SLOT(d->addr_prop);
    fn = PCI_FUNC(d->addr_prop);
    there = bus->devices[(uint8_t)d->addr_prop];
    if ((unsigned)d->addr_prop < bus->devfn_min) {
        return error_set(errp, "PCI: slot %d function %d not available for %s, "
                         "reserved", slot, fn, name);
    }
    if (there) {
        return error_set(errp, "PCI: slot %d function %d not available for %s, "
                         "in use by %s,id=%s", slot, fn, name,
                         there->dev.type->name,
                         there->dev.id ? there->dev.id : "(null)");
    }
    there = bus->devices[PCI_DEVFN(slot, 0)];
    if (d->dev.hotplugged && there && fn) {
        return error_set(errp, "PCI: slot %d function 0 already occupied by "
                         "%s, new func %s cannot be exposed to guest.", slot,
                         there->dev.type->name, name);
    }
    if (!check_multifunction(bus, d, errp)) {
        /* Free again, in case the caller tries another bus. */
        if (chosen) {
            d->addr_prop = -1;
        }
        return false;
    }
    d->devfn = d->addr_prop;
    bus->devices[d->devfn] = d;
    return true;
}
