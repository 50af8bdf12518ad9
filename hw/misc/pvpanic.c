/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pvpanic.c - by which a guest's kernel tells that it crashed (the interface is
 * that of the kernel's drivers/misc/pvpanic: one byte; read: events that may be
 * told, write: events that happened; 1 panicked, 2 crash kernel loaded). On ISA
 * at port 0x505, and as a PCI function with the byte in BAR 0.
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. At most one ISA device: firmware is told of one port.
 */
#include "isa.h"
#include "hw/misc/misc.h"
#include "machine.h"
#include "pci.h"

enum { EVENT_PANICKED = 1, EVENT_CRASHLOADED = 2, EVENTS = 3 };

typedef struct Pvpanic {
    MemRegion mr;
    uint8_t events;                    /* property                            */
} Pvpanic;

typedef struct PvpanicIsa {
    IsaDevice isa;
    Pvpanic p;
    uint16_t port;                     /* property                            */
} PvpanicIsa;

typedef struct PvpanicPci {
    PciDevice pci;
    Pvpanic p;
} PvpanicPci;

static PvpanicIsa *on_isa;

uint16_t pvpanic_port(void)
{
    return on_isa ? on_isa->port : 0;
}

static uint64_t pvpanic_read(void *dev, uint64_t off, unsigned size)
{
    return ((Pvpanic *)dev)->events;
}

static void pvpanic_write(void *dev, uint64_t off, uint64_t v, unsigned size)
{
    /* The property limits what is announced, not what is heard. */
    if (v & ~(uint64_t)EVENTS) {
        guest_fault("pvpanic", "unknown event 0x%" PRIx64, v);
    }
    if (v & EVENTS) {
        guest_panicked(v & EVENTS, NULL);
    }
}

static const MemOps pvpanic_ops = {
    .read = pvpanic_read, .write = pvpanic_write, .max = 1, .valid_max = 4,
};

static void pvpanic_reset(Device *dev, ResetKind kind)
{
}

/* ---- ISA ---------------------------------------------------------------- */

static MACHINE_CALL bool isa_realize(Device *dev, Error **errp)
{
    PvpanicIsa *s = (PvpanicIsa *)dev;
    uint8_t port[2];

    if (on_isa) {
        return error_set(errp, "duplicate fw_cfg file name: etc/pvpanic-port");
    }
    if (!s->port) {
        return error_set(errp, "pvpanic: ioport 0 is not a port it can have");
    }
    if (fwcfg_present()) {
        st_le16(port, s->port);
        fwcfg_replace_file("etc/pvpanic-port", port, sizeof(port));
    }
    mem_init_io(&s->p.mr, "pvpanic", 1, &pvpanic_ops, &s->p);
    isa_map(&s->isa, &s->p.mr, s->port);
    on_isa = s;
    return true;
}

static MACHINE_CALL void isa_unrealize(Device *dev)
{
    PvpanicIsa *s = (PvpanicIsa *)dev;

    isa_unmap(&s->isa, &s->p.mr);
    on_isa = NULL;
}

static const Prop isa_props[] = {
    PROP_U16("ioport", PvpanicIsa, port, 0x505, .desc = "the port"),
    PROP_U8("events", PvpanicIsa, p.events, EVENTS,
            .desc = "events announced to the guest: 1 panicked, 2 crash loaded"),
    PROP_END
};

DEVICE(pvpanic_isa, {
    .name = "pvpanic", .category = "misc", .on = &bus_isa,
    .desc = "reports a guest's crash",
    .doc = "A guest's kernel that panics says so at this port: the event "
           "GUEST_PANICKED follows, and what -action panic= asks for.",
    .size = sizeof(PvpanicIsa),
    .props = isa_props, .vmstate = &vm_none,
    .realize = isa_realize, .unrealize = isa_unrealize,
    .reset = pvpanic_reset,
});

/* ---- PCI ---------------------------------------------------------------- */

static MACHINE_CALL bool pci_realize(Device *dev, Error **errp)
{
    PvpanicPci *s = (PvpanicPci *)dev;

    mem_init_io(&s->p.mr, "pvpanic-pci", 2, &pvpanic_ops, &s->p);
    pci_bar(&s->pci, 0, PCI_BAR_MEM32, &s->p.mr);
    return true;
}

static MACHINE_CALL void pci_unrealize(Device *dev)
{
    mem_fini(&((PvpanicPci *)dev)->p.mr);
}

static const Prop pci_props[] = {
    PROP_U8("events", PvpanicPci, p.events, EVENTS,
            .desc = "events announced to the guest: 1 panicked, 2 crash loaded"),
    PROP_END
};

DEVICE(pvpanic_pci, {
    .name = "pvpanic-pci", .category = "misc", .on = &bus_pci,
    .desc = "reports a guest's crash",
    .doc = "The same as pvpanic, as a PCI function for machines without an ISA "
           "bus.",
    .on_info = &(const PciInfo){
        .vendor = 0x1b36, .device = 0x0011, .class_code = 0x088000,
        .revision = 1, .no_hotplug = true,
    },
    .size = sizeof(PvpanicPci),
    .props = pci_props, .vmstate = &vm_none,
    .realize = pci_realize, .unrealize = pci_unrealize,
    .reset = pvpanic_reset,
});
