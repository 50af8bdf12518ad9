/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bridge.c - the type-1 header: bus numbers, forwarding windows, bridge control
 * (PCI-to-PCI Bridge Architecture 1.2, sections 3.2 and 4).
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. Each window shows in the parent's space what base, limit and the command
 *    register say, and is off where the range is empty.
 * 2. `bus.bus.name` is NULL unless the bus below exists.
 */
#include "hw/pci/pci-impl.h"

PciBridge *pci_bridge_of(PciDevice *d)
{
    return pci_info(d)->bridge ? (PciBridge *)d : NULL;
}

static void init_registers(PciDevice *d)
{
    uint8_t *w = d->wmask, *c = d->config;

    memset(w + PCI_PRIMARY_BUS, 0xff, 4);
    w[PCI_IO_BASE] = w[PCI_IO_LIMIT] = (uint8_t)PCI_IO_RANGE_MASK;
    st_le16(w + PCI_MEMORY_BASE, 0xfff0);
    st_le16(w + PCI_MEMORY_LIMIT, 0xfff0);
    st_le16(w + PCI_PREF_MEMORY_BASE, 0xfff0);
    st_le16(w + PCI_PREF_MEMORY_LIMIT, 0xfff0);
    memset(w + PCI_PREF_BASE_UPPER32, 0xff, 8);
    st_le16(c + PCI_PREF_MEMORY_BASE, PCI_PREF_RANGE_TYPE_64);
    st_le16(c + PCI_PREF_MEMORY_LIMIT, PCI_PREF_RANGE_TYPE_64);
    d->cmask[PCI_PREF_MEMORY_BASE] = PCI_PREF_RANGE_TYPE_MASK;
    d->cmask[PCI_PREF_MEMORY_LIMIT] = PCI_PREF_RANGE_TYPE_MASK;
    /* Status of both sides: 66 MHz, fast back to back. */
    st_le16(c + PCI_STATUS, PCI_STATUS_66MHZ | PCI_STATUS_FAST_BACK);
    st_le16(c + PCI_SEC_STATUS, PCI_STATUS_66MHZ | PCI_STATUS_FAST_BACK);
    st_le16(d->w1cmask + PCI_SEC_STATUS, 0xf900);
    st_le16(w + PCI_BRIDGE_CONTROL, 0x0bff);
    st_le16(d->w1cmask + PCI_BRIDGE_CONTROL, 0x0400);
}

static void init_window(PciBridge *b, MemRegion *mr, const char *name,
                        MemRegion *of) MACHINE_CALL;
static void init_window(PciBridge *b, MemRegion *mr, const char *name,
                        MemRegion *of)
{
    mem_init_alias(mr, name, of, 0, 1);
    device_region(&b->pci.dev, mr);
    mem_set_enabled(mr, false);
}

static void tell_root(PciBridge *b, bool on) MACHINE_CALL;
static void tell_root(PciBridge *b, bool on)
{
    PciBus *root = &b->bus;

    while (root->parent) {
        root = root->parent;
    }
    if (root->bridged && !b->pci.dev.hotplugged) {
        root->bridged(root, &b->bus, on);
    }
}

void pci_bridge_init(PciBridge *b, const BusType *type)
{
    PciBus *up = pci_bus(&b->pci);
    const char *name = b->bus_name ? b->bus_name : b->pci.dev.id;

    init_registers(&b->pci);
    mem_begin();
    mem_init(&b->mem, "pci_bridge_pci", 0);
    mem_init(&b->io, "pci_bridge_io", 65536);
    device_region(&b->pci.dev, &b->mem);
    device_region(&b->pci.dev, &b->io);
    init_window(b, &b->win_mem, "pci_bridge_mem", &b->mem);
    init_window(b, &b->win_pref, "pci_bridge_pref_mem", &b->mem);
    init_window(b, &b->win_io, "pci_bridge_io", &b->io);
    init_window(b, &b->win_vga[0], "pci_bridge_vga_io_lo", &b->io);
    init_window(b, &b->win_vga[1], "pci_bridge_vga_io_hi", &b->io);
    init_window(b, &b->win_vga[2], "pci_bridge_vga_mem", &b->mem);
    mem_add_prio(up->mem, 0, &b->win_mem, 1);
    mem_add_prio(up->mem, 0, &b->win_pref, 1);
    mem_add_prio(up->io, 0, &b->win_io, 1);
    mem_add_prio(up->io, 0x3b0, &b->win_vga[0], 1);
    mem_add_prio(up->io, 0x3c0, &b->win_vga[1], 1);
    mem_add_prio(up->mem, 0xa0000, &b->win_vga[2], 1);
    mem_set_size(&b->win_vga[0], 0xc);
    mem_set_alias_offset(&b->win_vga[0], 0x3b0);
    mem_set_size(&b->win_vga[1], 0x20);
    mem_set_alias_offset(&b->win_vga[1], 0x3c0);
    mem_set_size(&b->win_vga[2], 0x20000);
    mem_set_alias_offset(&b->win_vga[2], 0xa0000);
    mem_commit();
    b->bus.parent = up;
    b->bus.bridge = &b->pci;
    b->bus.mem = &b->mem;
    b->bus.io = &b->io;
    bus_init(&b->bus.bus, type, &b->pci.dev, name);
    tell_root(b, true);
}

void pci_bridge_fini(PciBridge *b)
{
    MemRegion *all[] = { &b->win_mem, &b->win_pref, &b->win_io,
                         &b->win_vga[0], &b->win_vga[1], &b->win_vga[2],
                         &b->mem, &b->io };

    tell_root(b, false);
    bus_fini(&b->bus.bus);
    mem_begin();
    for (size_t i = 0; i < 6; i++) {
        if (all[i]->container) {
            mem_remove(all[i]->container, all[i]);
        }
    }
    mem_commit();
    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        mem_fini(all[i]);
    }
}

static void set_window(MemRegion *mr, bool on, uint64_t base, uint64_t limit)
    MACHINE_CALL;
static void set_window(MemRegion *mr, bool on, uint64_t base, uint64_t limit)
{
    mem_set_enabled(mr, false);
    if (on && base <= limit) {
        mem_set_address(mr, base);
        mem_set_alias_offset(mr, base);
        mem_set_size(mr, limit - base + 1);
        mem_set_enabled(mr, true);
    }
}

void pci_bridge_range(const PciDevice *d, PciBridgeWindow w, uint64_t *base,
                      uint64_t *limit)
{
    const uint8_t *c = d->config;

    switch (w) {
    case BRIDGE_IO:
        *base = (c[PCI_IO_BASE] & 0xf0) << 8;
        *limit = (c[PCI_IO_LIMIT] & 0xf0) << 8 | 0xfff;
        if ((c[PCI_IO_BASE] & PCI_IO_RANGE_TYPE_MASK) ==
            PCI_IO_RANGE_TYPE_32) {
            *base |= (uint64_t)ld_le16(c + PCI_IO_BASE_UPPER16) << 16;
            *limit |= (uint64_t)ld_le16(c + PCI_IO_LIMIT_UPPER16) << 16;
        }
        break;
    case BRIDGE_MEM:
        *base = (uint64_t)(ld_le16(c + PCI_MEMORY_BASE) & 0xfff0) << 16;
        *limit = (uint64_t)(ld_le16(c + PCI_MEMORY_LIMIT) & 0xfff0) << 16 |
                 0xfffff;
        break;
    case BRIDGE_PREF:
        *base = (uint64_t)(ld_le16(c + PCI_PREF_MEMORY_BASE) & 0xfff0) << 16;
        *limit = (uint64_t)(ld_le16(c + PCI_PREF_MEMORY_LIMIT) & 0xfff0) << 16
                 | 0xfffff;
        if (ld_le16(c + PCI_PREF_MEMORY_BASE) & PCI_PREF_RANGE_TYPE_64) {
            *base |= (uint64_t)ld_le32(c + PCI_PREF_BASE_UPPER32) << 32;
            *limit |= (uint64_t)ld_le32(c + PCI_PREF_LIMIT_UPPER32) << 32;
        }
        break;
    }
}

void pci_bridge_update(PciBridge *b)
{
    const uint8_t *c = b->pci.config;
    uint16_t cmd = ld_le16(c + PCI_COMMAND);
    bool vga = c[PCI_BRIDGE_CONTROL] & PCI_BRIDGE_CTL_VGA;
    bool mem = cmd & PCI_COMMAND_MEMORY, io = cmd & PCI_COMMAND_IO;
    uint64_t base, limit;

    if (!b->bus.bus.name) {
        return;
    }
    mem_begin();
    pci_bridge_range(&b->pci, BRIDGE_MEM, &base, &limit);
    set_window(&b->win_mem, mem, base, limit);
    pci_bridge_range(&b->pci, BRIDGE_PREF, &base, &limit);
    set_window(&b->win_pref, mem, base, limit);
    pci_bridge_range(&b->pci, BRIDGE_IO, &base, &limit);
    set_window(&b->win_io, io && limit <= UINT16_MAX, base, limit);
    mem_set_enabled(&b->win_vga[0], vga && io);
    mem_set_enabled(&b->win_vga[1], vga && io);
    mem_set_enabled(&b->win_vga[2], vga && mem);
    mem_commit();
}

void pci_bridge_written(PciBridge *b, uint32_t off, unsigned size,
                        uint16_t old_control)
{
    uint16_t control = ld_le16(b->pci.config + PCI_BRIDGE_CONTROL);

    if (!b->bus.bus.name) {
        return;
    }
    if (pci_overlaps(off, size, PCI_COMMAND, 2) ||
        pci_overlaps(off, size, PCI_IO_BASE, 2) ||
        pci_overlaps(off, size, PCI_MEMORY_BASE, 20) ||
        pci_overlaps(off, size, PCI_BRIDGE_CONTROL, 2)) {
        pci_bridge_update(b);
    }
    if ((control & ~old_control) & PCI_BRIDGE_CTL_BUS_RESET) {
        bus_reset(&b->bus.bus, RESET_BUS);
    }
}

void pci_bridge_reset(PciBridge *b)
{
    uint8_t *c = b->pci.config;

    memset(c + PCI_PRIMARY_BUS, 0, 4);
    for (unsigned i = PCI_IO_BASE; i < PCI_CAPABILITY_LIST; i++) {
        c[i] &= ~(b->pci.wmask[i] | b->pci.w1cmask[i]);
    }
    st_le16(c + PCI_BRIDGE_CONTROL, 0);
    pci_bridge_update(b);
}
