/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-bridge.c - a PCI-to-PCI bridge: slot numbering (PCI-to-PCI Bridge 1.2,
 * section 13), the standard hot-plug controller (shpc.c), and hints how much
 * address space to leave for devices that come later.
 *
 * Devices below are plugged and unplugged through the board's ACPI where the bridge
 * was there from the start, else through its own controller.
 *
 * Thread class: MACHINE_CALL.
 */
#include <glib.h>
#include "hw/pci/shpc.h"

#define SHPC_CAP 0x40
#define NO_HINT UINT64_MAX

typedef struct PlainBridge {
    PciBridge b;
    uint8_t chassis;                   /* properties                          */
    OnOffAuto msi;
    bool shpc;
    uint32_t bus_hint;
    uint64_t io_hint, mem_hint, pref32_hint, pref64_hint;
    uint8_t slot_id;                   /* capability                          */
    Shpc hot;                          /* with shpc=on                        */
} PlainBridge;

/* ---- hot-plug controller ------------------------------------------------- */

static uint32_t bridge_config_read(PciDevice *d, uint32_t off, unsigned size)
    MACHINE_CALL;
static uint32_t bridge_config_read(PciDevice *d, uint32_t off, unsigned size)
{
    shpc_config_read(&((PlainBridge *)d)->hot);
    return pci_config_read_default(d, off, size);
}

static void bridge_config_write(PciDevice *d, uint32_t off, uint32_t v,
                                unsigned size) MACHINE_CALL;
static void bridge_config_write(PciDevice *d, uint32_t off, uint32_t v,
                                unsigned size)
{
    pci_config_write_default(d, off, v, size);
    shpc_config_write(&((PlainBridge *)d)->hot, off, size);
}

static MACHINE_CALL bool add_shpc(PlainBridge *s, Error **errp)
{
    PciDevice *d = &s->b.pci;

    if (!shpc_init(&s->hot, d, SHPC_CAP, errp)) {
        return false;
    }
    d->config_read = bridge_config_read;
    d->config_write = bridge_config_write;
    return true;
}

/* ---- hints --------------------------------------------------------------- */

static MACHINE_CALL bool add_hints(PlainBridge *s, Error **errp)
{
    PciDevice *d = &s->b.pci;
    uint8_t *c;
    int off;

    if (s->bus_hint == UINT32_MAX && s->io_hint == NO_HINT &&
        s->mem_hint == NO_HINT && s->pref32_hint == NO_HINT &&
        s->pref64_hint == NO_HINT) {
        return true;
    }
    if (s->pref32_hint != NO_HINT && s->pref64_hint != NO_HINT) {
        return error_set(errp, "PCI resource reserve cap: PREF32 and PREF64 "
                         "conflict");
    }
    if ((s->mem_hint != NO_HINT && s->mem_hint > UINT32_MAX) ||
        (s->pref32_hint != NO_HINT && s->pref32_hint > UINT32_MAX)) {
        return error_set(errp, "PCI resource reserve cap: mem-reserve and "
                         "pref32-reserve must be less than 4G");
    }
    off = pci_cap(d, PCI_CAP_ID_VNDR, 0, 32, errp);
    if (off < 0) {
        return false;
    }
    c = d->config + off;
    c[2] = 32;
    c[3] = 1;                          /* resource reservation                */
    st_le32(c + 4, s->bus_hint);
    st_le64(c + 8, s->io_hint);
    st_le32(c + 16, (uint32_t)s->mem_hint);
    st_le32(c + 20, (uint32_t)s->pref32_hint);
    st_le64(c + 24, s->pref64_hint);
    return true;
}

/* ---- life ---------------------------------------------------------------- */

static MACHINE_CALL bool add_slot_id(PlainBridge *s, Error **errp)
{
    PciDevice *d = &s->b.pci;
    int off = pci_cap(d, PCI_CAP_ID_SLOTID, 0, 4, errp);

    if (off < 0) {
        return false;
    }
    s->slot_id = (uint8_t)off;
    d->config[off + 2] = 0x20;         /* first of its chassis                */
    d->config[off + 3] = s->chassis;
    d->wmask[off + 3] = 0xff;
    return true;
}

static MACHINE_CALL bool bridge_realize(Device *dev, Error **errp)
{
    PlainBridge *s = (PlainBridge *)dev;

    if (!s->chassis) {
        return error_set(errp, "Bridge chassis not specified. Each bridge is "
                         "required to be assigned a unique chassis id > 0.");
    }
    pci_bridge_init(&s->b, &bus_pci);
    if ((s->shpc && !add_shpc(s, errp)) || !add_slot_id(s, errp) ||
        (s->shpc && s->msi != OOA_OFF &&
         !msi_init(&s->b.pci, 0, 1, true, true, errp)) ||
        !add_hints(s, errp)) {
        pci_bridge_fini(&s->b);
        if (s->shpc) {
            shpc_fini(&s->hot);
        }
        return false;
    }
    /* Buses that are there from the start the board's ACPI has taken. */
    if (s->shpc) {
        shpc_bus(&s->hot, &s->b.bus);
    }
    return true;
}

static MACHINE_CALL void bridge_unrealize(Device *dev)
{
    PlainBridge *s = (PlainBridge *)dev;

    if (s->shpc) {
        shpc_fini(&s->hot);
    }
    pci_bridge_fini(&s->b);
}

static MACHINE_CALL void bridge_reset(Device *dev, ResetKind kind)
{
    PlainBridge *s = (PlainBridge *)dev;

    s->b.pci.config[s->slot_id + 3] = s->chassis;
    if (s->shpc) {
        shpc_reset(&s->hot);
    }
}

static const Prop bridge_rows[] = {
    PROP_U8("chassis_nr", PlainBridge, chassis, 0),
    PROP_AUTO("msi", PlainBridge, msi, OOA_AUTO, .desc = "on/off/auto"),
    PROP_BOOL("shpc", PlainBridge, shpc, true, .desc = "on/off"),
    PROP_U32("bus-reserve", PlainBridge, bus_hint, UINT32_MAX),
    PROP_SIZE("io-reserve", PlainBridge, io_hint, NO_HINT),
    PROP_SIZE("mem-reserve", PlainBridge, mem_hint, NO_HINT),
    PROP_SIZE("pref32-reserve", PlainBridge, pref32_hint, NO_HINT),
    PROP_SIZE("pref64-reserve", PlainBridge, pref64_hint, NO_HINT),
    PROP_END
};

static const VmState bridge_state = {
    .name = "pci-bridge", .version = 1, .oldest = 1,
    .fields = (const VmField[]){
        VM_BYTES(PlainBridge, hot.regs),
        VM_END
    },
};

TYPE_NAME(type_base_pci_bridge, { "base-pci-bridge", "pci-device", true });

#define PLAIN_BRIDGE(sym, nm, up, id, desc_) \
DEVICE(sym, { \
    .name = nm, .category = "bridge", .desc = desc_, .parent = up, \
    .doc = "A PCI bridge with a bus of 32 slots, named as the bridge's id.", \
    .on = &bus_pci, .size = sizeof(PlainBridge), \
    .on_info = &(const PciInfo){ \
        .vendor = 0x1b36, .device = id, .class_code = 0x060400, \
        .bridge = true, \
    }, \
    .props = bridge_rows, .vmstate = &bridge_state, \
    .realize = bridge_realize, .unrealize = bridge_unrealize, \
    .reset = bridge_reset, \
})

PLAIN_BRIDGE(pci_bridge, "pci-bridge", "base-pci-bridge", 0x0001,
             "Standard PCI Bridge");
PLAIN_BRIDGE(pci_bridge_seat, "pci-bridge-seat", "pci-bridge", 0x000a,
             "Standard PCI Bridge (multiseat)");
