/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci.c - PCI buses and functions: creation, reset, what both have in common
 * (PCI Local Bus 3.0, sections 2.2, 4.3 and 6.2).
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. bus->devices[devfn] names a function exactly while it is plugged there.
 * 2. config, wmask, w1cmask, cmask and used have config_size bytes while the
 *    function is plugged.
 */
#include <glib.h>
#include "hw/pci/pci-impl.h"

#define FEATURE_LNKSTA_DLLLA 9
#define FEATURE_EXTCAP_INIT 10
#define CLASS_ETHERNET 0x0200

TYPE_NAME(type_pci_device, { "pci-device", "device", true });

static Json *get_legacy_addr(const Obj *o, const Prop *p, Error **errp)
{
    const PciDevice *d = (const PciDevice *)o;
    int devfn = d->addr_prop;

    return devfn < 0 ? json_str("")
                     : json_strf("%02x.%x", PCI_SLOT(devfn), PCI_FUNC(devfn));
}

static const Prop pci_props[] = {
    PROP_PCI_ADDR("addr", PciDevice, addr_prop,
                  .desc = "Slot and optional function number, example: 06.0 "
                          "or 06"),
    PROP_STR("romfile", PciDevice, romfile),
    PROP_U32("romsize", PciDevice, romsize, UINT32_MAX),
    PROP_U32("rombar", PciDevice, rombar, 1),
    PROP_BOOL("multifunction", PciDevice, multifunction, false,
              .desc = "on/off"),
    PROP_BIT32("x-pcie-lnksta-dllla", PciDevice, features,
               FEATURE_LNKSTA_DLLLA, true, .desc = "on/off"),
    PROP_BIT32("x-pcie-extcap-init", PciDevice, features, FEATURE_EXTCAP_INIT,
               true, .desc = "on/off"),
    PROP_STR("failover_pair_id", PciDevice, failover_pair_id),
    PROP_U32("acpi-index", PciDevice, acpi_index, 0),
    PROP_CALL("legacy-addr", "str", get_legacy_addr, NULL,
              .flags = PF_READONLY | PF_HIDDEN),
    PROP_END
};

/* ---- plugging ----------------------------------------------------------- */

static void free_config(PciDevice *d)
{
    g_free(d->config);
    g_free(d->wmask);
    g_free(d->w1cmask);
    g_free(d->cmask);
    g_free(d->used);
    g_free(d->load_ref);
    d->config = d->wmask = d->w1cmask = d->cmask = d->used = NULL;
    d->load_ref = NULL;
}

static void make_config(PciDevice *d)
{
    d->config_size = pci_info(d)->express ? 4096 : 256;
    d->config = g_malloc0(d->config_size);
    d->wmask = g_malloc0(d->config_size);
    d->w1cmask = g_malloc0(d->config_size);
    d->cmask = g_malloc0(d->config_size);
    d->used = g_malloc0(d->config_size);
    if (!d->config_read) {
        d->config_read = pci_config_read_default;
    }
    if (!d->config_write) {
        d->config_write = pci_config_write_default;
    }
}

static void init_header(PciDevice *d)
{
    const PciInfo *info = pci_info(d);
    uint8_t *c = d->config;

    st_le16(c + PCI_VENDOR_ID, info->vendor);
    st_le16(c + PCI_DEVICE_ID, info->device);
    c[PCI_REVISION_ID] = info->revision;
    c[PCI_CLASS_PROG] = info->class_code;
    st_le16(c + PCI_CLASS_DEVICE, info->class_code >> 8);
    c[PCI_HEADER_TYPE] = (info->bridge ? PCI_HEADER_TYPE_BRIDGE : 0) |
                         (d->multifunction ? 0x80 : 0);
    if (!info->bridge) {
        bool own = info->subvendor || info->subdevice;

        st_le16(c + PCI_SUBSYSTEM_VENDOR_ID, own ? info->subvendor : 0x1af4);
        st_le16(c + PCI_SUBSYSTEM_ID, own ? info->subdevice : 0x1100);
    }
}

static void init_masks(PciDevice *d)
{
    st_le16(d->wmask + PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY |
            PCI_COMMAND_MASTER | PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE);
    st_le16(d->w1cmask + PCI_STATUS, PCI_STATUS_PARITY |
            PCI_STATUS_SIG_TARGET_ABORT | PCI_STATUS_REC_TARGET_ABORT |
            PCI_STATUS_REC_MASTER_ABORT | PCI_STATUS_SIG_SYSTEM_ERROR |
            PCI_STATUS_DETECTED_PARITY);
    d->wmask[PCI_CACHE_LINE_SIZE] = 0xff;
    d->wmask[PCI_INTERRUPT_LINE] = 0xff;
    memset(d->wmask + PCI_STD_HEADER_SIZEOF, 0xff,
           d->config_size - PCI_STD_HEADER_SIZEOF);
    memset(d->used, 0xff, PCI_STD_HEADER_SIZEOF);

    st_le32(d->cmask + PCI_VENDOR_ID, UINT32_MAX);
    st_le16(d->cmask + PCI_STATUS, PCI_STATUS_CAP_LIST);
    st_le32(d->cmask + PCI_CLASS_REVISION, UINT32_MAX);
    d->cmask[PCI_HEADER_TYPE] = 0xff;
    d->cmask[PCI_CAPABILITY_LIST] = 0xff;
    if (!pci_info(d)->bridge) {
        st_le32(d->cmask + PCI_SUBSYSTEM_VENDOR_ID, UINT32_MAX);
    }
}

static PciBus *root_of(PciBus *b)
{
    while (b->parent) {
        b = b->parent;
    }
    return b;
}

static bool index_is_free(PciBus *bus, void *arg)
{
    const PciDevice *d = arg;

    for (Device *dev = bus->bus.first; dev; dev = dev->next) {
        const PciDevice *other = (const PciDevice *)dev;

        if (other != d && other->config &&
            other->acpi_index == d->acpi_index) {
            return false;
        }
    }
    return true;
}

static bool check_props(PciBus *bus, PciDevice *d, Error **errp)
{
    if (d->romsize != UINT32_MAX && !IS_POW2(d->romsize)) {
        return error_set(errp, "ROM size %u is not a power of two",
                         d->romsize);
    }
    if (d->acpi_index > 16383) {
        return error_set(errp, "acpi-index should be less or equal to 16383");
    }
    if (d->acpi_index && !pci_bus_each(root_of(bus), index_is_free, d)) {
        return error_set(errp, "a PCI device with acpi-index = %" PRIu32
                         " already exist", d->acpi_index);
    }
    if (d->failover_pair_id && *d->failover_pair_id) {
        if (bus->bus.type != &bus_pcie) {
            return error_set(errp, "failover primary device must be on "
                             "PCIExpress bus");
        }
        if (pci_info(d)->class_code >> 8 != CLASS_ETHERNET) {
            return error_set(errp, "failover primary device is not an "
                             "Ethernet device");
        }
    }
    return true;
}

static MACHINE_CALL bool pci_plug(Bus *b, Device *dev, Error **errp)
{
    PciDevice *d = (PciDevice *)dev;
    PciBus *bus = (PciBus *)b, *root = root_of(bus);
    const PciInfo *info = pci_info(d);

    if (!check_props(bus, d, errp) || !pci_take_slot(bus, d, errp)) {
        return false;
    }
    make_config(d);
    init_header(d);
    init_masks(d);
    if (!d->romfile && info->romfile) {
        d->romfile = g_strdup(info->romfile);
    }
    d->dma = root->dma_space ? root->dma_space(root, d) : &mem_system;
    return true;
}

static MACHINE_CALL void pci_unplug(Bus *b, Device *dev)
{
    PciDevice *d = (PciDevice *)dev;
    PciBus *bus = (PciBus *)b;

    if (d->config) {
        pci_irq(d, 0);
        msix_fini(d);
        pci_rom_drop(d);
        pci_bars_drop(d);
        free_config(d);
    }
    if (bus->devices[d->devfn] == d) {
        bus->devices[d->devfn] = NULL;
    }
}

static MACHINE_CALL bool pci_plugged(Bus *b, Device *dev, Error **errp)
{
    PciDevice *d = (PciDevice *)dev;
    PciBus *bus = (PciBus *)b;

    if (!pci_rom_add(d, errp)) {
        return false;
    }
    return !dev->hotplugged || !bus->hotplug || bus->hotplug(bus, d, errp);
}

static MACHINE_CALL bool pci_request_unplug(Bus *b, Device *dev, Error **errp)
{
    PciBus *bus = (PciBus *)b;

    if (bus->hot_unplug) {
        return bus->hot_unplug(bus, (PciDevice *)dev, errp);
    }
    device_unplug(dev);
    return true;
}

/* RST#: every function of the bus (section 2.2.1). */
static MACHINE_CALL void pci_reset_device(Device *dev, ResetKind kind)
{
    PciDevice *d = (PciDevice *)dev;
    uint8_t *c = d->config;

    if (!c) {
        return;
    }
    pci_config_recover(d);
    pci_irq(d, 0);
    for (unsigned i = PCI_COMMAND; i < PCI_STATUS + 2; i++) {
        c[i] &= ~(d->wmask[i] | d->w1cmask[i]);
    }
    c[PCI_CACHE_LINE_SIZE] = 0;
    c[PCI_INTERRUPT_LINE] = 0;
    /* Beyond capabilities, what the type does not set itself is scratch. */
    for (unsigned i = PCI_STD_HEADER_SIZEOF; i < d->config_size; i++) {
        if (!d->used[i]) {
            c[i] = 0;
        }
    }
    d->bus_master = false;
    pci_bars_reset(d);
    msi_reset(d);
    msix_reset(d);
    pci_update_mappings(d);
    if (pci_bridge_of(d)) {
        pci_bridge_reset(pci_bridge_of(d));
    }
}

/* ---- names -------------------------------------------------------------- */

static void pci_print_device(const Device *dev,
                             void (*out)(void *arg, const char *line),
                             void *arg)
{
    const PciDevice *d = (const PciDevice *)dev;
    const uint8_t *c = d->config;
    uint16_t cls = ld_le16(c + PCI_CLASS_DEVICE);
    const char *desc = pci_class_desc(cls);
    char *name = desc ? g_strdup(desc) : g_strdup_printf("Class %04x", cls);
    char *s = g_strdup_printf("class %s, addr %02x:%02x.%x, pci id %04x:%04x "
                              "(sub %04x:%04x)", name,
                              pci_bus_num(pci_bus(d)), PCI_SLOT(d->devfn),
                              PCI_FUNC(d->devfn), ld_le16(c + PCI_VENDOR_ID),
                              ld_le16(c + PCI_DEVICE_ID),
                              ld_le16(c + PCI_SUBSYSTEM_VENDOR_ID),
                              ld_le16(c + PCI_SUBSYSTEM_ID));

    out(arg, s);
    g_free(s);
    g_free(name);
    for (int i = 0; i < 7; i++) {
        const PciBar *bar = &d->bar[i];

        if (bar->mr) {
            s = g_strdup_printf("bar %d: %s at 0x%" PRIx64 " [0x%" PRIx64 "]",
                                i, (bar->kind & 3) == PCI_BAR_IO ? "i/o"
                                                                 : "mem",
                                bar->addr, bar->addr + bar->size - 1);
            out(arg, s);
            g_free(s);
        }
    }
}

static char *pci_fw_path(const Device *dev)
{
    const PciDevice *d = (const PciDevice *)dev;
    const char *known = pci_class_fw_name(pci_info(d)->class_code >> 8);
    char *own = dev->type->fw_name ? dev->type->fw_name(dev) : NULL;
    GString *s = g_string_new(own ? own : known);

    if (!own && !known) {
        g_string_printf(s, "pci%04x,%04x", ld_le16(d->config + PCI_VENDOR_ID),
                        ld_le16(d->config + PCI_DEVICE_ID));
    }
    g_free(own);
    g_string_append_printf(s, "@%x", PCI_SLOT(d->devfn));
    if (PCI_FUNC(d->devfn)) {
        g_string_append_printf(s, ",%x", PCI_FUNC(d->devfn));
    }
    return g_string_free(s, false);
}

static void path_to(const PciDevice *d, GString *s)
{
    const PciBus *b = pci_bus(d);

    if (b->bridge) {
        path_to(b->bridge, s);
    } else {
        g_string_append(s, "0000:00");
    }
    g_string_append_printf(s, ":%02x.%x", PCI_SLOT(d->devfn),
                           PCI_FUNC(d->devfn));
}

static char *pci_dev_path(const Device *dev)
{
    GString *s = g_string_new(NULL);

    path_to((const PciDevice *)dev, s);
    return g_string_free(s, false);
}

#define PCI_BUS_ROWS                                                        \
    .size = sizeof(PciBus), .device_base = "pci-device",                    \
    .props = pci_props, .vmstate = &pci_vmstate,                            \
    .plug = pci_plug, .unplug = pci_unplug, .plugged = pci_plugged,         \
    .request_unplug = pci_request_unplug, .reset_device = pci_reset_device, \
    .fw_path = pci_fw_path, .dev_path = pci_dev_path,                       \
    .print = pci_print_device

BUS_TYPE(bus_pci, { .name = "PCI", PCI_BUS_ROWS });
BUS_TYPE(bus_pcie, { .name = "PCIE", .parent = "PCI", PCI_BUS_ROWS });

/* ---- search ------------------------------------------------------------- */

bool pci_bus_each(PciBus *bus, bool (*fn)(PciBus *bus, void *arg), void *arg)
{
    if (!fn(bus, arg)) {
        return false;
    }
    for (Device *dev = bus->bus.first; dev; dev = dev->next) {
        PciBridge *br = pci_bridge_of((PciDevice *)dev);

        if (br && br->bus.bus.name && !pci_bus_each(&br->bus, fn, arg)) {
            return false;
        }
    }
    return true;
}

PciBus *pci_root(void)
{
    Bus *b = bus_find_type(&bus_pci);

    return b ? root_of((PciBus *)b) : NULL;
}

uint8_t pci_bus_num(const PciBus *b)
{
    return b->bridge && b->bridge->config
           ? b->bridge->config[PCI_SECONDARY_BUS] : 0;
}

/* The bus below b on the way to bus number nr. Each step goes down one level of
 * the real tree, so numbers that a guest nested wrongly lead nowhere, not in a
 * circle. */
static PciBus *toward(PciBus *b, uint8_t nr)
{
    for (Device *dev = b->bus.first; dev; dev = dev->next) {
        PciBridge *br = pci_bridge_of((PciDevice *)dev);
        const uint8_t *c = br ? br->pci.config : NULL;

        if (c && br->bus.bus.name && c[PCI_SECONDARY_BUS] &&
            c[PCI_SECONDARY_BUS] <= nr && nr <= c[PCI_SUBORDINATE_BUS]) {
            return &br->bus;
        }
    }
    return NULL;
}

PciDevice *pci_find_below(PciBus *root, uint8_t bus_nr, uint8_t devfn)
{
    while (root && pci_bus_num(root) != bus_nr) {
        root = toward(root, bus_nr);
    }
    return root ? root->devices[devfn] : NULL;
}

PciDevice *pci_find(uint8_t bus_nr, uint8_t devfn)
{
    return pci_find_below(pci_root(), bus_nr, devfn);
}

/* ---- creation ----------------------------------------------------------- */

PciBus *pci_root_new(Device *host, const char *name, bool express,
                     MemRegion *mem, MemRegion *io, uint8_t devfn_min)
{
    PciBus *b = g_new0(PciBus, 1);

    b->bus.allocated = true;
    b->mem = mem;
    b->io = io;
    b->devfn_min = devfn_min;
    bus_init(&b->bus, express ? &bus_pcie : &bus_pci, host, name);
    return b;
}

PciDevice *pci_new(int devfn, bool multifunction, const char *type)
{
    PciDevice *d = (PciDevice *)device_make(type);

    d->addr_prop = devfn;
    d->multifunction = multifunction;
    return d;
}

PciDevice *pci_make(PciBus *bus, int devfn, const char *type, Error **errp)
{
    PciDevice *d = pci_new(devfn, false, type);

    if (!device_realize(&d->dev, &bus->bus, errp)) {
        device_free(&d->dev);
        return NULL;
    }
    return d;
}

/* ---- DMA ---------------------------------------------------------------- */

static MemAttrs dma_attrs(const PciDevice *d)
{
    return (MemAttrs){
        .requester = pci_bus_num(pci_bus(d)) << 8 | d->devfn,
    };
}

MemResult pci_dma_read(PciDevice *d, uint64_t addr, void *buf, uint64_t len)
{
    if (!d->bus_master) {
        return MEM_DECODE_ERROR;
    }
    return mem_read(d->dma, addr, buf, len, dma_attrs(d));
}

MemResult pci_dma_write(PciDevice *d, uint64_t addr, const void *buf,
                        uint64_t len)
{
    if (!d->bus_master) {
        return MEM_DECODE_ERROR;
    }
    return mem_write(d->dma, addr, buf, len, dma_attrs(d));
}
