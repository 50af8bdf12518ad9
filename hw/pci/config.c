/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * config.c - configuration registers of a function: masks, side effects, saved
 * state (PCI Local Bus 3.0, section 6.2).
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. A write changes only bits of wmask, and clears only bits of w1cmask.
 * 2. After every write and load: BARs are mapped where the registers say,
 *    bus_master is the command register's bit, the INTx line follows the
 *    disable bit.
 */
#include <glib.h>
#include "hw/pci/pci-impl.h"

uint32_t pci_config_read_default(PciDevice *d, uint32_t off, unsigned size)
{
    uint32_t v = 0;

    for (unsigned i = 0; i < size && off + i < d->config_size; i++) {
        v |= (uint32_t)d->config[off + i] << (8 * i);
    }
    return v;
}

static bool touches_bars(const PciDevice *d, uint32_t off, unsigned size)
{
    if (pci_info(d)->bridge) {
        return pci_overlaps(off, size, PCI_BASE_ADDRESS_0, 8) ||
               pci_overlaps(off, size, PCI_ROM_ADDRESS1, 4);
    }
    return pci_overlaps(off, size, PCI_BASE_ADDRESS_0, 24) ||
           pci_overlaps(off, size, PCI_ROM_ADDRESS, 4);
}

void pci_config_write_default(PciDevice *d, uint32_t off, uint32_t v,
                              unsigned size)
{
    PciBridge *br = pci_bridge_of(d);
    uint16_t control = ld_le16(d->config + PCI_BRIDGE_CONTROL);

    for (unsigned i = 0; i < size && off + i < d->config_size; i++) {
        uint8_t *c = &d->config[off + i], b = v >> (8 * i);
        uint8_t w = d->wmask[off + i], w1c = d->w1cmask[off + i];

        *c = (*c & ~w) | (b & w);
        *c &= ~(b & w1c);
    }
    if (pci_overlaps(off, size, PCI_COMMAND, 2)) {
        d->bus_master = d->config[PCI_COMMAND] & PCI_COMMAND_MASTER;
        pci_update_mappings(d);
        pci_irq_refresh(d);
    } else if (touches_bars(d, off, size)) {
        pci_update_mappings(d);
    }
    msi_config_write(d, off, size);
    msix_config_write(d, off, size);
    if (br) {
        pci_bridge_written(br, off, size, control);
    }
}

uint32_t pci_config_read(PciDevice *d, uint32_t off, unsigned size)
{
    uint32_t all = size == 4 ? UINT32_MAX : (1u << 8 * size) - 1;

    if (off >= d->config_size || size > d->config_size - off) {
        return all;
    }
    return d->config_read(d, off, size) & all;
}

void pci_config_write(PciDevice *d, uint32_t off, uint32_t v, unsigned size)
{
    if (off < d->config_size && size <= d->config_size - off) {
        d->config_write(d, off, v, size);
    }
}

void pci_set_word(PciDevice *d, unsigned off, uint16_t v)
{
    st_le16(d->config + off, v);
}

/* ---- as a root bus sees it ---------------------------------------------- */

static PciDevice *addressed(PciBus *root, uint32_t addr) MACHINE_CALL;
static PciDevice *addressed(PciBus *root, uint32_t addr)
{
    return pci_find_below(root, addr >> 16, addr >> 8);
}

void pci_data_write(PciBus *root, uint32_t addr, uint32_t v, unsigned size)
{
    PciDevice *d = addressed(root, addr);

    if (d) {
        TRACE(pci_cfg_write, "%s %02x:%02x.%x off 0x%x size %u <- 0x%x",
              d->dev.type->name, (uint8_t)(addr >> 16), PCI_SLOT(d->devfn),
              PCI_FUNC(d->devfn), addr & 0xff, size, v);
        pci_config_write(d, addr & 0xff, v, size);
    }
}

uint32_t pci_data_read(PciBus *root, uint32_t addr, unsigned size)
{
    PciDevice *d = addressed(root, addr);
    uint32_t v = size == 4 ? UINT32_MAX : (1u << 8 * size) - 1;

    if (d) {
        v = pci_config_read(d, addr & 0xff, size);
        TRACE(pci_cfg_read, "%s %02x:%02x.%x off 0x%x size %u -> 0x%x",
              d->dev.type->name, (uint8_t)(addr >> 16), PCI_SLOT(d->devfn),
              PCI_FUNC(d->devfn), addr & 0xff, size, v);
    }
    return v;
}

/* ---- saved state -------------------------------------------------------- */

static bool check_config(const PciDevice *d, Error **errp)
{
    for (uint32_t i = 0; i < d->config_size; i++) {
        /* What no guest can write has to be what this function is built as. */
        uint8_t fixed = d->cmask[i] & ~d->wmask[i] & ~d->w1cmask[i];

        if ((d->config[i] ^ d->load_ref[i]) & fixed) {
            return error_set(errp, "%s: configuration register 0x%x is 0x%02x "
                             "in the stream, 0x%02x here", d->dev.type->name,
                             i, d->config[i], d->load_ref[i]);
        }
    }
    if (d->irq_state > 1) {
        return error_set(errp, "%s: interrupt level %u", d->dev.type->name,
                         d->irq_state);
    }
    return true;
}

void pci_config_recover(PciDevice *d)
{
    if (d->load_ref) {
        memcpy(d->config, d->load_ref, d->config_size);
        g_free(d->load_ref);
        d->load_ref = NULL;
    }
}

static bool pci_before_load(void *s, Error **errp)
{
    PciDevice *d = s;

    machine_assert_locked();
    pci_config_recover(d);
    d->load_ref = g_memdup2(d->config, d->config_size);
    pci_irq(d, 0);
    return true;
}

static bool pci_after_load(void *s, int version, Error **errp)
{
    PciDevice *d = s;
    bool ok = check_config(d, errp);

    machine_assert_locked();
    if (!ok) {
        memcpy(d->config, d->load_ref, d->config_size);
        d->irq_state = 0;
    }
    g_free(d->load_ref);
    d->load_ref = NULL;
    d->bus_master = d->config[PCI_COMMAND] & PCI_COMMAND_MASTER;
    pci_update_mappings(d);
    pci_irq_refresh(d);
    msix_loaded(d);
    if (pci_bridge_of(d)) {
        pci_bridge_update(pci_bridge_of(d));
    }
    return ok;
}

static bool is_express(const void *s)
{
    return ((const PciDevice *)s)->config_size > 256;
}

typedef struct ConfigSpace {
    uint8_t header[256], extended[4096 - 256];
} ConfigSpace;
static const VmState config_header = {
    .name = "config", .version = 1, .oldest = 1,
    .fields = (const VmField[]){ VM_BYTES(ConfigSpace, header), VM_END },
};
static const VmState config_extended = {
    .name = "config-extended", .version = 1, .oldest = 1,
    .fields = (const VmField[]){ VM_BYTES(ConfigSpace, extended), VM_END },
};
static const VmState express_vmstate = {
    .name = "pci-express", .version = 1, .oldest = 1, .needed = is_express,
    .fields = (const VmField[]){
        VM_PSTRUCT(PciDevice, config, &config_extended),
        VM_END
    },
};

const VmState pci_vmstate = {
    .name = "pci-device", .version = 1, .oldest = 1,
    .fields = (const VmField[]){
        VM_PSTRUCT(PciDevice, config, &config_header),
        VM_U8(PciDevice, irq_state),
        VM_END
    },
    .sections = (const VmState *const[]){
        &express_vmstate, &msix_vmstate, NULL,
    },
    .before_load = pci_before_load,
    .after_load = pci_after_load,
};
