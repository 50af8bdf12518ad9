/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * irq.c - INTx: from a function's pin through bridges to a line of the root bus
 * (PCI Local Bus 3.0, section 2.2.6; PCI-to-PCI Bridge 1.2, section 9.1).
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. irq_state is the level that the device wants; irq_sent is irq_state unless
 *    the command register disables INTx, and is what the root bus counts.
 * 2. irq_count[line] is the number of functions that hold the line.
 */
#include "hw/pci/pci-impl.h"

static void send(PciDevice *d, int delta) MACHINE_CALL;
static void send(PciDevice *d, int delta)
{
    int pin = d->config[PCI_INTERRUPT_PIN] - 1;
    PciBus *bus = pci_bus(d);

    while (bus->bridge) {
        pin = bus->map_irq ? bus->map_irq(d, pin)
                           : (pin + PCI_SLOT(d->devfn)) % 4;
        d = bus->bridge;
        bus = bus->parent;
    }
    if (!bus->map_irq || !bus->set_irq) {
        return;
    }
    pin = bus->map_irq(d, pin);
    if (pin < 0 || pin >= bus->nlines) {
        return;
    }
    bus->irq_count[pin] += delta;
    bus->set_irq(bus->irq_opaque, pin, bus->irq_count[pin] != 0);
}

void pci_irq_refresh(PciDevice *d)
{
    uint16_t cmd = ld_le16(d->config + PCI_COMMAND);
    uint8_t want = d->irq_state && !(cmd & PCI_COMMAND_INTX_DISABLE);

    if (d->irq_state) {
        d->config[PCI_STATUS] |= PCI_STATUS_INTERRUPT;
    } else {
        d->config[PCI_STATUS] &= ~PCI_STATUS_INTERRUPT;
    }
    if (want != d->irq_sent && d->config[PCI_INTERRUPT_PIN]) {
        d->irq_sent = want;
        send(d, want ? 1 : -1);
    }
}

void pci_irq(PciDevice *d, int level)
{
    if (d->config && d->irq_state != !!level) {
        d->irq_state = !!level;
        pci_irq_refresh(d);
    }
}

static void line_set(void *to, int n, int level) NO_TSA;
static void line_set(void *to, int n, int level)
{
    pci_irq(to, level);
}

IrqLine pci_irq_line(PciDevice *d)
{
    return irq_line(line_set, d, 0);
}

void pci_set_pin(PciDevice *d, int pin)
{
    d->config[PCI_INTERRUPT_PIN] = pin;
    d->cmask[PCI_INTERRUPT_PIN] = 0xff;
}

void pci_root_irqs(PciBus *b, void (*set_irq)(void *, int, int),
                   int (*map_irq)(PciDevice *, int), void *opaque, int nlines)
{
    b->set_irq = set_irq;
    b->map_irq = map_irq;
    b->irq_opaque = opaque;
    b->nlines = MIN2(nlines, (int)ARRAY_SIZE(b->irq_count));
}
