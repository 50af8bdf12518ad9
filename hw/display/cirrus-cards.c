/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cirrus-cards.c - cirrus-vga (PCI, 1013:00b8: video memory and blitter data in
 * BAR 0, registers in BAR 1) and isa-cirrus-vga.
 *
 * Thread class: machine lock.
 */
#include "isa.h"
#include "pci.h"
#include "hw/display/cirrus.h"

/* ---- PCI ----------------------------------------------------------------- */
typedef struct CirrusPci {
    PciDevice pci;
    Cirrus card;
    MemRegion bar0;
    bool global_vmstate;
} CirrusPci;

static MACHINE_CALL bool pci_realize(Device *dev, Error **errp)
{
    CirrusPci *s = (CirrusPci *)dev;
    PciBus *bus = (PciBus *)dev->bus;
    Cirrus *c = &s->card;

    if (!cirrus_init(c, dev, errp)) {
        return false;
    }
    vga_ports_init(&c->ports, &c->vga, bus->io);
    vga_map_window(&c->vga, bus->mem);
    mem_init(&s->bar0, "cirrus-pci-bar0", 32 << 20);
    device_region(dev, &s->bar0);
    mem_add(&s->bar0, 0, &c->linear);
    mem_add(&s->bar0, 16 << 20, &c->data);
    pci_bar(&s->pci, 0, PCI_BAR_MEM32 | PCI_BAR_PREF, &s->bar0);
    pci_bar(&s->pci, 1, PCI_BAR_MEM32, &c->mmio);
    return true;
}

static MACHINE_CALL void pci_unrealize(Device *dev)
{
    CirrusPci *s = (CirrusPci *)dev;
    Cirrus *c = &s->card;

    mem_remove(&s->bar0, &c->linear);
    mem_remove(&s->bar0, &c->data);
    mem_fini(&s->bar0);
    vga_ports_fini(&c->ports);
    vga_unmap_window(&c->vga, ((PciBus *)dev->bus)->mem);
    cirrus_fini(c);
}

static MACHINE_CALL void pci_reset(Device *dev, ResetKind kind)
{
    CirrusPci *s = (CirrusPci *)dev;

    cirrus_reset(&s->card);
}

#define CARD_PROPS(T) \
    PROP_U32("vgamem_mb", T, card.vga.vgamem_mb, 4, \
             .desc = "video memory in MiB: 4, 8 or 16"), \
    PROP_BOOL("blitter", T, card.blitter, true, .desc = "the BitBLT engine")

static const Prop pci_props[] = {
    CARD_PROPS(CirrusPci),
    PROP_BOOL("global-vmstate", CirrusPci, global_vmstate, false,
              .desc = "accepted; Tern names its state by the device",
              .flags = PF_HIDDEN),
    PROP_END
};
static const VmState pci_state = {
    .name = "cirrus-vga", .version = 1, .oldest = 1,
    .fields = (const VmField[]){
        VM_STRUCT(CirrusPci, card, &cirrus_state), VM_END
    },
};

DEVICE(cirrus_vga, {
    .name = "cirrus-vga", .category = "display", .size = sizeof(CirrusPci),
    .desc = "Cirrus CLGD 54xx VGA",
    .doc = "The Cirrus Logic GD5446, for old guests that have a driver for it "
           "and none for newer cards.",
    .on = &bus_pci,
    .on_info = &(const PciInfo){
        .vendor = 0x1013, .device = 0x00b8, .class_code = 0x030000,
        .romfile = "vgabios-cirrus.bin", .no_hotplug = true,
    },
    .props = pci_props, .vmstate = &pci_state, .flags = DT_NO_HOTPLUG,
    .realize = pci_realize, .unrealize = pci_unrealize, .reset = pci_reset,
});

/* ---- ISA ----------------------------------------------------------------- */
typedef struct CirrusIsa {
    IsaDevice isa;
    Cirrus card;
} CirrusIsa;

static MACHINE_CALL bool isa_realize(Device *dev, Error **errp)
{
    CirrusIsa *s = (CirrusIsa *)dev;
    IsaBus *bus = isa_bus(&s->isa);
    Cirrus *c = &s->card;

    c->is_isa = true;
    if (!cirrus_init(c, dev, errp)) {
        return false;
    }
    vga_ports_init(&c->ports, &c->vga, bus->io);
    s->isa.port = 0x3b0;
    vga_map_window(&c->vga, bus->mem);
    return true;
}

static MACHINE_CALL void isa_unrealize(Device *dev)
{
    CirrusIsa *s = (CirrusIsa *)dev;

    vga_ports_fini(&s->card.ports);
    vga_unmap_window(&s->card.vga, isa_bus(&s->isa)->mem);
    cirrus_fini(&s->card);
}

static MACHINE_CALL void isa_reset(Device *dev, ResetKind kind)
{
    CirrusIsa *s = (CirrusIsa *)dev;

    cirrus_reset(&s->card);
}

static const Prop isa_props[] = { CARD_PROPS(CirrusIsa), PROP_END };
static const VmState isa_state = {
    .name = "isa-cirrus-vga", .version = 1, .oldest = 1,
    .fields = (const VmField[]){
        VM_STRUCT(CirrusIsa, card, &cirrus_state), VM_END
    },
};

DEVICE(isa_cirrus_vga, {
    .name = "isa-cirrus-vga", .category = "display",
    .size = sizeof(CirrusIsa), .desc = "Cirrus CLGD 54xx VGA on the ISA bus",
    .doc = "The card of -vga cirrus on a machine without PCI.",
    .on = &bus_isa, .props = isa_props, .vmstate = &isa_state,
    .realize = isa_realize, .unrealize = isa_unrealize, .reset = isa_reset,
});
