/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bars.c - base address registers and what they map (PCI Local Bus 3.0,
 * section 6.2.5).
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. bar[i].addr is where bar[i].mr is mapped, or UINT64_MAX, and then it is not
 *    mapped.
 * 2. A BAR is mapped only if its whole range lies in its address space, does not
 *    start at 0 and is not the all-ones pattern of a guest that is sizing it.
 */
#include "hw/pci/pci-impl.h"

unsigned pci_bar_reg(const PciDevice *d, int n)
{
    if (n == 6) {
        return pci_info(d)->bridge ? PCI_ROM_ADDRESS1 : PCI_ROM_ADDRESS;
    }
    return PCI_BASE_ADDRESS_0 + 4 * n;
}

static bool is_io(const PciBar *b)
{
    return (b->kind & 3) == PCI_BAR_IO;
}

static bool is_64(const PciBar *b)
{
    return (b->kind & 3) == PCI_BAR_MEM64;
}

static uint32_t type_bits(const PciBar *b, int n)
{
    if (n == 6) {
        return 0;
    }
    if (is_io(b)) {
        return PCI_BASE_ADDRESS_SPACE_IO;
    }
    return (is_64(b) ? PCI_BASE_ADDRESS_MEM_TYPE_64 : 0) |
           (b->kind & PCI_BAR_PREF ? PCI_BASE_ADDRESS_MEM_PREFETCH : 0);
}

void pci_bar(PciDevice *d, int n, unsigned kind, MemRegion *mr)
{
    PciBar *b = &d->bar[n];
    unsigned reg = pci_bar_reg(d, n);
    uint64_t mask;

    b->mr = mr;
    b->size = mem_size(mr);
    b->addr = UINT64_MAX;
    b->kind = kind;
    mask = ~(b->size - 1);
    st_le32(d->config + reg, type_bits(b, n));
    if (n == 6) {
        mask |= PCI_ROM_ADDRESS_ENABLE;
    }
    st_le32(d->wmask + reg, mask);
    st_le32(d->cmask + reg, n == 6 ? 0 : UINT32_MAX);
    if (is_64(b)) {
        st_le32(d->config + reg + 4, 0);
        st_le32(d->wmask + reg + 4, mask >> 32);
        st_le32(d->cmask + reg + 4, UINT32_MAX);
    }
    device_region(&d->dev, mr);
}

uint64_t pci_bar_address(const PciDevice *d, int n)
{
    const PciBar *b = &d->bar[n];
    const uint8_t *reg = d->config + pci_bar_reg(d, n);
    uint16_t cmd = ld_le16(d->config + PCI_COMMAND);
    uint64_t addr, last;

    if (is_io(b)) {
        addr = ld_le32(reg) & ~(uint32_t)(b->size - 1);
        last = addr + b->size - 1;
        return (cmd & PCI_COMMAND_IO) && addr && last <= UINT16_MAX
               ? addr : UINT64_MAX;
    }
    if (!(cmd & PCI_COMMAND_MEMORY)) {
        return UINT64_MAX;
    }
    addr = is_64(b) ? ld_le64(reg) : ld_le32(reg);
    if (n == 6 && !(addr & PCI_ROM_ADDRESS_ENABLE)) {
        return UINT64_MAX;
    }
    addr &= ~(b->size - 1);
    last = addr + b->size - 1;
    if (last <= addr || !addr || last == UINT64_MAX ||
        (!is_64(b) && last >= UINT32_MAX)) {
        return UINT64_MAX;
    }
    return addr;
}

static void unmap(PciBar *b) MACHINE_CALL;
static void unmap(PciBar *b)
{
    /* The device may have finished the region by itself. */
    if (b->addr != UINT64_MAX && b->mr->container) {
        mem_remove(b->mr->container, b->mr);
    }
    b->addr = UINT64_MAX;
}

void pci_update_mappings(PciDevice *d)
{
    PciBus *bus = pci_bus(d);

    mem_begin();
    for (int i = 0; i < 7; i++) {
        PciBar *b = &d->bar[i];
        uint64_t addr;

        if (!b->mr) {
            continue;
        }
        addr = pci_bar_address(d, i);
        if (addr == b->addr) {
            continue;
        }
        unmap(b);
        b->addr = addr;
        TRACE(pci_map, "%s %02x.%x bar %d at 0x%" PRIx64 " size 0x%" PRIx64,
              d->dev.type->name, PCI_SLOT(d->devfn), PCI_FUNC(d->devfn), i,
              addr, b->size);
        if (addr != UINT64_MAX) {
            mem_add_prio(is_io(b) ? bus->io : bus->mem, addr, b->mr, 1);
        }
    }
    mem_commit();
}

void pci_bars_reset(PciDevice *d)
{
    for (int i = 0; i < 7; i++) {
        const PciBar *b = &d->bar[i];
        uint8_t *reg = d->config + pci_bar_reg(d, i);

        if (!b->mr) {
            continue;
        }
        st_le32(reg, type_bits(b, i));
        if (is_64(b)) {
            st_le32(reg + 4, 0);
        }
    }
}

void pci_bars_drop(PciDevice *d)
{
    mem_begin();
    for (int i = 0; i < 7; i++) {
        if (d->bar[i].mr) {
            unmap(&d->bar[i]);
            d->bar[i].mr = NULL;
        }
    }
    mem_commit();
}
