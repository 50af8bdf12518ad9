/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * host.c - configuration mechanism 1 (PCI Local Bus 3.0, section
 * 3.2.2.3.2): an address register that takes 32-bit accesses only, and a window
 * of four bytes onto the register that it selects.
 *
 * Thread class: MACHINE_CALL.
 */
#include "hw/pci/pci-impl.h"

TYPE_NAME(type_pci_host, { "pci-host-bridge", "sys-bus-device", true });

#define ENABLE 0x80000000u

static uint64_t index_read(void *dev, uint64_t off, unsigned size)
{
    return ((PciHostPorts *)dev)->address;
}

static void index_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    ((PciHostPorts *)dev)->address = val;
}

/* The dispatcher holds the machine lock for both windows. */
static uint64_t data_read(void *dev, uint64_t off, unsigned size) NO_TSA;
static uint64_t data_read(void *dev, uint64_t off, unsigned size)
{
    PciHostPorts *h = dev;

    if (!(h->address & ENABLE)) {
        return UINT64_MAX;
    }
    return pci_data_read(h->root, (h->address & 0xfffffc) | off, size);
}

static void data_write(void *dev, uint64_t off, uint64_t val, unsigned size)
    NO_TSA;
static void data_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    PciHostPorts *h = dev;

    if (h->address & ENABLE) {
        pci_data_write(h->root, (h->address & 0xfffffc) | off, val, size);
    }
}

static const MemOps index_ops = {
    .read = index_read, .write = index_write,
    .min = 4, .max = 4, .valid_min = 4, .valid_max = 4,
};

static const MemOps data_ops = {
    .read = data_read, .write = data_write, .min = 1, .max = 4,
};

void pci_host_ports_init(PciHostPorts *h, Device *owner, PciBus *root,
                         MemRegion *io, uint16_t port)
{
    h->root = root;
    h->address = 0;
    mem_init_io(&h->index, "pci-conf-idx", 4, &index_ops, h);
    mem_init_io(&h->data, "pci-conf-data", 4, &data_ops, h);
    device_region(owner, &h->index);
    device_region(owner, &h->data);
    /* Writing a register remaps BARs, which enters devices of this one. */
    h->data.entered = NULL;
    h->index.entered = NULL;
    mem_add(io, port, &h->index);
    mem_add(io, port + 4, &h->data);
}

void pci_host_ports_fini(PciHostPorts *h)
{
    mem_fini(&h->data);
    mem_fini(&h->index);
}
