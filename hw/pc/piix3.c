/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * piix3.c - the 82371SB PCI-to-ISA bridge: PIRQ routing and the reset control
 * register (Intel 82371SB data sheet, order 290550, sections 2.2 and 2.5).
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. A GSI that PIRQs share is high while any of the PIRQs routed to it is high:
 *    levels are kept as one bit per PIRQ.
 */
#include <glib.h>
#include "pc.h"

#define PIRQ_ROUTE 0x60
#define PIRQ_OFF 0x80

typedef struct Piix3 {
    PciDevice pci;
    MemRegion rcr_io;
    uint8_t rcr;
    uint8_t pirq;                      /* levels, bit per PIRQ                */
    bool mapped;
} Piix3;

static void piix3_gsi_update(Piix3 *s, unsigned gsi)
{
    int level = 0;

    for (int i = 0; i < 4; i++) {
        if (s->pci.config[PIRQ_ROUTE + i] == gsi) {
            level |= s->pirq >> i & 1;
        }
    }
    irq_set(&pc->gsi[gsi], level);
}

static void piix3_set_pirq(void *opaque, int line, int level)
{
    Piix3 *s = opaque;
    uint8_t gsi = s->pci.config[PIRQ_ROUTE + line];

    s->pirq = (s->pirq & ~(1 << line)) | !!level << line;
    if (gsi < 16) {
        piix3_gsi_update(s, gsi);
    }
}

/* Slot n's INTA goes to PIRQ (n - 1) mod 4, the board's wiring. */
static int piix3_map_irq(PciDevice *d, int pin)
{
    return (pin + PCI_SLOT(d->devfn) - 1) & 3;
}

static MACHINE_CALL
void piix3_config_write(PciDevice *d, uint32_t off, uint32_t v,
                               unsigned size)
{
    Piix3 *s = (Piix3 *)d;
    uint8_t old[4];

    memcpy(old, d->config + PIRQ_ROUTE, 4);
    pci_config_write_default(d, off, v, size);
    for (int i = 0; i < 4; i++) {
        uint8_t now = d->config[PIRQ_ROUTE + i];

        if (now != old[i]) {
            if (old[i] < 16) {
                piix3_gsi_update(s, old[i]);
            }
            if (now < 16) {
                piix3_gsi_update(s, now);
            }
        }
    }
}

static uint64_t rcr_read(void *dev, uint64_t off, unsigned size)
{
    return ((Piix3 *)dev)->rcr;
}

static void rcr_write(void *dev, uint64_t off, uint64_t v, unsigned size)
{
    Piix3 *s = dev;

    /* Bit 2 going up resets; bit 1 chose hard or soft, alike here. */
    s->rcr = v & 2;
    if (v & 4) {
        request_reset(WHY_GUEST_RESET);
    }
}

static const MemOps rcr_ops = { .read = rcr_read, .write = rcr_write, .max = 1 };

static MACHINE_CALL bool piix3_realize(Device *dev, Error **errp)
{
    Piix3 *s = (Piix3 *)dev;
    PciDevice *d = &s->pci;

    d->config_write = piix3_config_write;
    for (unsigned i = 0x40; i < 0x100; i++) {
        d->wmask[i] = 0xff;
    }
    mem_init_io(&s->rcr_io, "piix3-reset-control", 1, &rcr_ops, s);
    device_region(dev, &s->rcr_io);
    mem_add_prio(mem_io.root, 0xcf9, &s->rcr_io, 1);
    s->mapped = true;
    pci_root_irqs(pc->pci, piix3_set_pirq, piix3_map_irq, s, 4);
    return true;
}

static MACHINE_CALL void piix3_unrealize(Device *dev)
{
    Piix3 *s = (Piix3 *)dev;

    if (s->mapped) {
        mem_remove(mem_io.root, &s->rcr_io);
        s->mapped = false;
    }
}

static void piix3_reset(Device *dev, ResetKind kind)
{
    Piix3 *s = (Piix3 *)dev;
    uint8_t *c = s->pci.config;

    c[0x04] = 0x07;                    /* master, memory and I/O              */
    c[0x05] = 0x00;
    c[0x06] = 0x00;
    c[0x07] = 0x02;                    /* medium DEVSEL                       */
    memset(c + 0x40, 0, 0xc0);
    c[0x4c] = 0x4d;
    c[0x4e] = 0x03;
    memset(c + PIRQ_ROUTE, PIRQ_OFF, 4);
    c[0x69] = 0x02;
    c[0x70] = 0x80;
    c[0x76] = 0x0c;
    c[0x77] = 0x0c;
    c[0x78] = 0x02;
    c[0xa0] = 0x08;
    c[0xa8] = 0x0f;
    s->pirq = 0;
    s->rcr = 0;
}

static bool piix3_after_load(void *opaque, int version, Error **errp)
{
    Piix3 *s = opaque;

    s->pirq &= 15;
    s->rcr &= 2;
    return true;
}

static const VmState piix3_state = {
    .name = "PIIX3", .version = 1, .oldest = 1, .after_load = piix3_after_load,
    .fields = (const VmField[]){
        VM_U8(Piix3, rcr), VM_U8(Piix3, pirq),
        VM_END
    },
};

static const PciInfo piix3_info = {
    .vendor = 0x8086, .device = 0x7000, .class_code = 0x060100,
    .no_hotplug = true,
};

TYPE_NAME(piix3_parent, { "pci-piix3", "pci-device", true });

DEVICE(piix3, {
    .name = "PIIX3", .category = "bridge", .on = &bus_pci,
    .on_info = &piix3_info, .flags = DT_INTERNAL | DT_NO_HOTPLUG,
    .desc = "ISA bridge",
    .doc = "The 82371SB PCI-to-ISA bridge: the ISA bus, PCI interrupt routing "
           "and the reset control register of the pc machine.",
    .parent = "pci-piix3", .size = sizeof(Piix3), .vmstate = &piix3_state,
    .realize = piix3_realize, .unrealize = piix3_unrealize,
    .reset = piix3_reset,
});

PciDevice *piix3_create(Pc *p, int devfn, Error **errp)
{
    PciDevice *d = pci_new(devfn, true, "PIIX3");

    if (!device_realize(&d->dev, &p->pci->bus, errp)) {
        device_free(&d->dev);
        return NULL;
    }
    p->isa = isa_bus_new(&d->dev, mem_system.root, mem_io.root);
    p->piix3 = &d->dev;
    return d;
}
