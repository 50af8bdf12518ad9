/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * caps.c - capability lists (PCI Local Bus 3.0, section 6.7; PCI Express Base
 * 3.0, section 7.9.3; PCI Power Management 1.2, section 3.2).
 *
 * Thread class: MACHINE_CALL, in realize.
 *
 * Invariants
 * 1. used[i] is set for each byte that the header or a capability occupies.
 */
#include "hw/pci/pci-impl.h"

static int first_free(const PciDevice *d, unsigned size)
{
    unsigned run = 0;

    for (unsigned off = PCI_STD_HEADER_SIZEOF; off < 256; off++) {
        if (d->used[off]) {
            run = 0;
            continue;
        }
        if (run == 0 && off % 4) {
            continue;
        }
        if (++run == size) {
            return off + 1 - size;
        }
    }
    return -1;
}

/* The capability that owns byte off, for the message. */
static uint8_t owner_of(const PciDevice *d, unsigned off)
{
    uint8_t at = d->config[PCI_CAPABILITY_LIST], best = 0;

    for (unsigned n = 0; at && n < 48; n++) {
        if (at <= off && at > best) {
            best = at;
        }
        at = d->config[at + PCI_CAP_LIST_NEXT];
    }
    return best;
}

int pci_cap(PciDevice *d, uint8_t id, uint8_t off, uint8_t size, Error **errp)
{
    uint8_t *c = d->config;

    if (!off) {
        int at = first_free(d, size);

        if (at < 0) {
            error_set(errp, "%s: no room for capability 0x%x of %u bytes",
                      d->dev.type->name, id, size);
            return -1;
        }
        off = at;
    }
    for (unsigned i = off; i < off + size; i++) {
        if (i >= 256 || d->used[i]) {
            uint8_t there = owner_of(d, i);

            error_set(errp, "%s:%02x:%02x.%x Attempt to add PCI capability %x "
                      "at offset %x overlaps existing capability %x at offset "
                      "%x", "0000", pci_bus_num(pci_bus(d)),
                      PCI_SLOT(d->devfn), PCI_FUNC(d->devfn), id, off,
                      there ? c[there] : 0, i);
            return -1;
        }
    }
    c[off + PCI_CAP_LIST_ID] = id;
    c[off + PCI_CAP_LIST_NEXT] = c[PCI_CAPABILITY_LIST];
    c[PCI_CAPABILITY_LIST] = off;
    c[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
    memset(d->used + off, 0xff, ALIGN_UP(size, 4));
    /* The owner opens the bits that a guest may write. */
    memset(d->wmask + off, 0, size);
    memset(d->cmask + off, 0xff, size);
    return off;
}

int pcie_ext_cap(PciDevice *d, uint16_t id, uint8_t ver, uint16_t off,
                 uint16_t size)
{
    uint8_t *c = d->config;
    uint16_t at = 256, next = 0;

    if (d->config_size < 4096 || off < 256 || off % 4 || size > 4096 - off) {
        return -1;
    }
    /* The list is in ascending order of creation and begins at 0x100. */
    if (off != 256) {
        while ((next = ld_le32(c + at) >> 20)) {
            at = next;
        }
        st_le32(c + at, (ld_le32(c + at) & 0xfffff) | (uint32_t)off << 20);
    }
    st_le32(c + off, id | (uint32_t)(ver & 15) << 16);
    memset(d->used + off, 0xff, size);
    memset(d->wmask + off, 0, size);
    memset(d->cmask + off, 0xff, size);
    return off;
}

void pci_pm_cap(PciDevice *d, uint8_t off)
{
    int at = pci_cap(d, PCI_CAP_ID_PM, off, PCI_PM_SIZEOF, NULL);

    if (at < 0) {
        return;
    }
    st_le16(d->config + at + PCI_PM_PMC, 3);           /* version 1.2         */
    st_le16(d->config + at + PCI_PM_CTRL, PCI_PM_CTRL_NO_SOFT_RESET);
    st_le16(d->wmask + at + PCI_PM_CTRL, PCI_PM_CTRL_STATE_MASK);
    st_le16(d->cmask + at + PCI_PM_CTRL, 0xffff & ~PCI_PM_CTRL_STATE_MASK);
}
