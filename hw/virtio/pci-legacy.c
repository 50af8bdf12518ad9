/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-legacy.c - the old interface: registers in the I/O BAR 0 (virtio 1.2,
 * section 4.1.4.10).
 *
 * 0 device features (4), 4 driver features (4), 8 queue page frame (4), 12 queue
 * size (2), 14 queue select (2), 16 queue notify (2), 18 status (1), 19 ISR (1);
 * with MSI-X enabled 20 config vector (2), 22 queue vector (2); then the device's
 * configuration.
 *
 * Thread class: MACHINE_CALL.
 */
#include "hw/virtio/pci-impl.h"

#define PAGE_SHIFT 12

static uint32_t config_offset(const VirtioPci *p)
{
    return msix_enabled(&p->pci) ? 24 : 20;
}

static uint32_t register_read(VirtioPci *p, uint64_t off) MACHINE_CALL;
static uint32_t register_read(VirtioPci *p, uint64_t off)
{
    Virtio *v = p->v;
    const Virtq *q = vpci_selected(p);

    switch (off) {
    case 0:
        return v->offered;
    case 4:
        return v->features;
    case 8:
        return q ? q->desc >> PAGE_SHIFT : 0;
    case 12:
        return q ? q->num : 0;
    case 14:
        return v->queue_sel;
    case 18:
        return v->status;
    case 19:
        return vpci_isr_take(p);
    case 20:
        return v->config_vector;
    case 22:
        return q ? q->vector : VIRTIO_NO_VECTOR;
    default:
        return 0;
    }
}

static uint64_t legacy_read(void *dev, uint64_t off, unsigned size)
{
    VirtioPci *p = dev;
    uint32_t at = config_offset(p);

    machine_assert_locked();
    return off >= at ? virtio_config_get(p->v, off - at, size)
                     : register_read(p, off);
}

static void set_pfn(VirtioPci *p, uint32_t val) MACHINE_CALL;
static void set_pfn(VirtioPci *p, uint32_t val)
{
    Virtq *q = vpci_selected(p);

    if (!val) {
        vpci_set_status(p, 0);
    } else if (q && !p->v->running) {
        virtq_legacy_address(q, (uint64_t)val << PAGE_SHIFT);
    } else if (q) {
        guest_fault(p->pci.dev.type->name, "queue %u moved while it runs",
                    q->index);
    }
}

static void register_write(VirtioPci *p, uint64_t off, uint32_t val)
    MACHINE_CALL;
static void register_write(VirtioPci *p, uint64_t off, uint32_t val)
{
    Virtio *v = p->v;
    Virtq *q = vpci_selected(p);

    switch (off) {
    case 4:
        if (val & 1u << VIRTIO_F_BAD) {
            val = 0;                   /* a driver that takes what it is given */
        }
        virtio_set_features(v, val);
        break;
    case 8:
        set_pfn(p, val);
        break;
    case 14:
        if (val < VIRTIO_QUEUES_MAX) {
            v->queue_sel = val;
        }
        break;
    case 16:
        if (val < v->nqueues) {
            virtq_kicked_by_register(v->queues[val]);
        }
        break;
    case 18:
        vpci_set_status(p, val);
        break;
    case 20:
        v->config_vector = vpci_vector(p, val);
        break;
    case 22:
        if (q) {
            vpci_set_vector(p, q, val);
        }
        break;
    default:
        guest_fault(p->pci.dev.type->name, "write of register %" PRIu64, off);
    }
}

static void legacy_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    VirtioPci *p = dev;
    uint32_t at = config_offset(p);

    machine_assert_locked();
    if (off >= at) {
        virtio_config_set(p->v, off - at, val, size);
    } else {
        register_write(p, off, val);
    }
}

static const MemOps legacy_ops = {
    .read = legacy_read, .write = legacy_write, .min = 1, .max = 4,
};

void vpci_legacy_init(VirtioPci *p)
{
    uint64_t need = (p->nvectors ? 24 : 20) + p->v->config_len, size = 32;

    while (size < need) {
        size *= 2;
    }
    mem_init_io(&p->io, "virtio-pci", size, &legacy_ops, p);
    pci_bar(&p->pci, VPCI_BAR_LEGACY, PCI_BAR_IO, &p->io);
}

void vpci_legacy_fini(VirtioPci *p)
{
    mem_fini(&p->io);
}
