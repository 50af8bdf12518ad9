/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * msi.c - message signalled interrupts (PCI Local Bus 3.0, section 6.8.1) and
 * the way out for messages of all kinds.
 *
 * Thread class: MACHINE_CALL, but for msi_send and msi_notify: ANY_THREAD.
 *
 * Invariants
 * 1. A pending bit is set only for a masked vector below msi_nvec.
 */
#include <glib.h>
#include "accel.h"
#include "hw/pci/pci-impl.h"

void (*msi_deliver)(MsiMessage m);

void msi_send(MsiMessage m, uint16_t requester)
{
    TRACE(msi_send, "addr 0x%" PRIx64 " data 0x%x requester %04x", m.addr,
          m.data, requester);
    if (m.addr >> 20 != 0xfee && m.addr >> 32 == 0) {
        /* A driver that polls may have it stored in memory. */
        mem_store(&mem_system, m.addr, 4, m.data,
                  (MemAttrs){ .requester = requester });
    } else if (accel_irq.apic_in_kernel && accel_irq.send_msi) {
        accel_irq.send_msi(m);
    } else if (msi_deliver) {
        msi_deliver(m);
    }
}

/* ---- the capability ----------------------------------------------------- */

typedef struct MsiRegs {
    unsigned flags, addr, addr_hi, data, mask, pending;
    bool is64, has_mask;
} MsiRegs;

static MsiRegs regs_of(const PciDevice *d)
{
    unsigned at = d->msi_cap;
    uint16_t flags = ld_le16(d->config + at + PCI_MSI_FLAGS);
    bool is64 = flags & PCI_MSI_FLAGS_64BIT;

    return (MsiRegs){
        .flags = at + PCI_MSI_FLAGS,
        .addr = at + PCI_MSI_ADDRESS_LO,
        .addr_hi = at + PCI_MSI_ADDRESS_HI,
        .data = at + (is64 ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32),
        .mask = at + (is64 ? PCI_MSI_MASK_64 : PCI_MSI_MASK_32),
        .pending = at + (is64 ? PCI_MSI_PENDING_64 : PCI_MSI_PENDING_32),
        .is64 = is64,
        .has_mask = flags & PCI_MSI_FLAGS_MASKBIT,
    };
}

bool msi_init(PciDevice *d, uint8_t off, unsigned nvec, bool addr64,
              bool per_vector_mask, Error **errp)
{
    unsigned log2 = 0, size = addr64 ? 14 : 10;
    MsiRegs r;
    int at;

    while (1u << log2 < nvec) {
        log2++;
    }
    if (nvec == 0 || nvec > 32) {
        return error_set(errp, "%s: %u MSI vectors; MSI has 1 to 32",
                         d->dev.type->name, nvec);
    }
    if (per_vector_mask) {
        size = addr64 ? 24 : 20;
    }
    at = pci_cap(d, PCI_CAP_ID_MSI, off, size, errp);
    if (at < 0) {
        return false;
    }
    d->msi_cap = at;
    d->msi_nvec = nvec;
    st_le16(d->config + at + PCI_MSI_FLAGS, log2 << 1 |
            (addr64 ? PCI_MSI_FLAGS_64BIT : 0) |
            (per_vector_mask ? PCI_MSI_FLAGS_MASKBIT : 0));
    r = regs_of(d);
    st_le16(d->wmask + r.flags, PCI_MSI_FLAGS_ENABLE |
            (log2 ? PCI_MSI_FLAGS_QSIZE : 0));
    st_le32(d->wmask + r.addr, 0xfffffffc);
    if (addr64) {
        st_le32(d->wmask + r.addr_hi, UINT32_MAX);
    }
    st_le16(d->wmask + r.data, UINT16_MAX);
    if (per_vector_mask) {
        st_le32(d->wmask + r.mask, UINT32_MAX >> (32 - nvec));
        /* Pending bits come and go by themselves. */
        st_le32(d->cmask + r.pending, 0);
    }
    return true;
}

bool msi_enabled(const PciDevice *d)
{
    return d->msi_cap && (d->config[d->msi_cap + PCI_MSI_FLAGS] &
                          PCI_MSI_FLAGS_ENABLE);
}

static MsiMessage message(const PciDevice *d, const MsiRegs *r, unsigned vec)
{
    uint16_t flags = ld_le16(d->config + r->flags);
    unsigned n = 1u << ((flags & PCI_MSI_FLAGS_QSIZE) >> 4);
    MsiMessage m = {
        .addr = ld_le32(d->config + r->addr),
        .data = ld_le16(d->config + r->data),
    };

    if (r->is64) {
        m.addr |= (uint64_t)ld_le32(d->config + r->addr_hi) << 32;
    }
    m.data = (m.data & ~(n - 1)) | (vec & (n - 1));
    return m;
}

static uint16_t requester_of(const PciDevice *d)
{
    return pci_bus_num(pci_bus(d)) << 8 | d->devfn;
}

static void notify(PciDevice *d, unsigned vec)
{
    MsiRegs r;

    if (!msi_enabled(d) || vec >= d->msi_nvec) {
        return;
    }
    r = regs_of(d);
    if (r.has_mask && (ld_le32(d->config + r.mask) & (1u << vec))) {
        st_le32(d->config + r.pending,
                ld_le32(d->config + r.pending) | 1u << vec);
        return;
    }
    msi_send(message(d, &r, vec), requester_of(d));
}

typedef struct Posted {
    PciDevice *d;
    unsigned vec;
} Posted;

static bool is_device(Device *dev, void *arg)
{
    Device **want = arg;

    if (dev == *want) {
        *want = NULL;
        return false;
    }
    return true;
}

static void run_posted(void *arg) NO_TSA;
static void run_posted(void *arg)
{
    Posted *p = arg;
    Device *left = &p->d->dev;

    /* The device may have gone in the meantime. */
    device_each(is_device, &left);
    if (!left) {
        notify(p->d, p->vec);
    }
    g_free(p);
}

void msi_notify(PciDevice *d, unsigned vec)
{
    if (machine_locked()) {
        notify(d, vec);
    } else {
        Posted *p = g_new(Posted, 1);

        *p = (Posted){ d, vec };
        loop_post_fn(loop_main, run_posted, p);
    }
}

void msi_config_write(PciDevice *d, uint32_t off, unsigned size)
{
    uint32_t ready;
    uint16_t flags;
    MsiRegs r;

    if (!d->msi_cap || !pci_overlaps(off, size, d->msi_cap, 24)) {
        return;
    }
    r = regs_of(d);
    flags = ld_le16(d->config + r.flags);
    if ((flags & PCI_MSI_FLAGS_QSIZE) >> 4 >
        (flags & PCI_MSI_FLAGS_QMASK) >> 1) {
        guest_fault(d->dev.type->name, "more MSI vectors enabled than there "
                    "are");
        flags &= ~PCI_MSI_FLAGS_QSIZE;
        flags |= (flags & PCI_MSI_FLAGS_QMASK) << 3;
        st_le16(d->config + r.flags, flags);
    }
    if (!msi_enabled(d)) {
        return;
    }
    pci_irq(d, 0);
    if (!r.has_mask) {
        return;
    }
    ready = ld_le32(d->config + r.pending) & ~ld_le32(d->config + r.mask);
    st_le32(d->config + r.pending, ld_le32(d->config + r.pending) & ~ready);
    for (unsigned vec = 0; vec < d->msi_nvec; vec++) {
        if (ready & (1u << vec)) {
            notify(d, vec);
        }
    }
}

void msi_reset(PciDevice *d)
{
    MsiRegs r;

    if (!d->msi_cap) {
        return;
    }
    r = regs_of(d);
    st_le16(d->config + r.flags, ld_le16(d->config + r.flags) &
            ~(PCI_MSI_FLAGS_QSIZE | PCI_MSI_FLAGS_ENABLE));
    st_le32(d->config + r.addr, 0);
    if (r.is64) {
        st_le32(d->config + r.addr_hi, 0);
    }
    st_le16(d->config + r.data, 0);
    if (r.has_mask) {
        st_le32(d->config + r.mask, 0);
        st_le32(d->config + r.pending, 0);
    }
}
