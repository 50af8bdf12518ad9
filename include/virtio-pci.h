/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-pci.h - the PCI function in front of a virtio device, as far as the
 * declarations of devices need it. VIRTIO_DEVICE declares a device and its three
 * PCI types, VIRTIO_MODERN_DEVICE one that never had the old interface.
 */
#ifndef TERN_VIRTIO_PCI_H
#define TERN_VIRTIO_PCI_H

#include "pci.h"
#include "virtio.h"

enum {                                 /* bits of VirtioPci.flags             */
    VPCI_IOEVENTFD, VPCI_PAGE_PER_VQ, VPCI_PIO_NOTIFY, VPCI_ATS, VPCI_AER,
    VPCI_EXTRA_STATE, VPCI_BUS_MASTER_BUG, VPCI_NO_PCIE, VPCI_DEVERR,
    VPCI_LNKCTL, VPCI_PM, VPCI_FLR, VPCI_ATS_ALIGNED,
};

typedef struct VirtioPci {
    PciDevice pci;
    Bus bus;                           /* the one device's                    */
    Virtio *v;                         /* NULL: not plugged                   */
    uint32_t flags, nvectors, class_code;          /* properties              */
    OnOffAuto disable_legacy;
    bool disable_modern, ignore_backend;
    bool legacy, modern;               /* interfaces offered                  */
    bool made;                         /* BARs and capabilities are there     */
    MemRegion io, mem, pio, pio_notify;
    MemRegion common, isr, config, notify;
    uint32_t notify_len;               /* bytes of the notify area            */
    uint8_t cfg_cap;                   /* window capability; 0: none          */
    bool msix_on;                      /* atomic: as the guest has set it     */
    uint32_t dfselect, gfselect;       /* what the guest sees                 */
    uint64_t driver_features;
    struct VirtioPciQueue *queues;     /* kick and interrupt fds              */
    bool kicks_on;
    Work irq_work;
} VirtioPci;

/* Rows of the function that not every device has. */
#define VIRTIO_PCI_VECTORS(d) \
    PROP_U32("vectors", VirtioPci, nvectors, d)
/* The same with another value up to a machine version. */
#define VIRTIO_PCI_VECTORS_COMPAT(d, upto, value) \
    PROP_U32("vectors", VirtioPci, nvectors, d, \
             .compat = (const PropCompat[]){ { upto, value }, { 0 } })
#define VIRTIO_PCI_IOEVENTFD(d) \
    PROP_BIT32("ioeventfd", VirtioPci, flags, VPCI_IOEVENTFD, d, \
               .desc = "on/off")
#define VIRTIO_PCI_CLASS \
    PROP_U32("class", VirtioPci, class_code, 0)
#define VIRTIO_VECTORS_AUTO UINT32_MAX /* one per queue and one               */

extern const Prop virtio_pci_rows[], virtio_pci_generic_rows[];
extern const VmState virtio_pci_vmstate;
bool virtio_pci_realize(Device *dev, Error **errp) MACHINE_CALL;
void virtio_pci_unrealize(Device *dev) MACHINE_CALL;
void virtio_pci_reset(Device *dev, ResetKind kind) MACHINE_CALL;

typedef enum VirtioPciMode { VIRTIO_PCI_GENERIC, VIRTIO_PCI_TRANSITIONAL,
                             VIRTIO_PCI_MODERN } VirtioPciMode;
typedef struct VirtioPciInfo {         /* DeviceType.on_info of the PCI types */
    PciInfo pci;                       /* device id: 0x1040 + type            */
    VirtioPciMode mode;
    uint16_t legacy_id;                /* PCI device id of the old interface;
                                          0: it never had one                 */
} VirtioPciInfo;

#define VIRTIO_PCI_TYPE_(sym, suffix, nm, end, alias_, cat, rows, base, ...) \
    DEVICE(sym##suffix, { \
        .name = nm end, .alias = alias_, .category = cat, \
        .doc = "PCI function with the virtio device " nm ".", \
        .parent = nm "-pci-base", .on = &bus_pci, \
        .on_info = &(const VirtioPciInfo){ __VA_ARGS__ }, \
        .size = sizeof(VirtioPci), .props = rows, .base_props = base, \
        .vmstate = &virtio_pci_vmstate, \
        .inner = &sym, .inner_name = "virtio-backend", \
        .realize = virtio_pci_realize, .unrealize = virtio_pci_unrealize, \
        .reset = virtio_pci_reset, \
    })
/* Of them all only network cards (id 1) have an option ROM. */
#define VIRTIO_PCI_IDS_(id, cls) \
    .pci = { .vendor = 0x1af4, .device = 0x1040 + (id), .class_code = cls, \
             .revision = 1, \
             .romfile = (id) == 1 ? "efi-virtio.rom" : NULL }

/*
 * sym: C name; nm: "virtio-blk"; cat: category; rows: Prop table over VirtioPci
 * (vectors, ioeventfd, class), may be empty; id: virtio device id; old: PCI
 * device id of the old interface; cls: PCI class code. The rest are members of
 * the device's own DeviceType ("virtio-blk-device").
 */
#define VIRTIO_DEVICE(sym, nm, cat, rows, id, old, cls, ...) \
    DEVICE(sym, { .name = nm "-device", .category = cat, .on = &bus_virtio, \
                  __VA_ARGS__ }); \
    TYPE_NAME(sym##_pci_base, { nm "-pci-base", "virtio-pci", true }); \
    VIRTIO_PCI_TYPE_(sym, _pci, nm, "-pci", nm, cat, rows, \
        virtio_pci_generic_rows, VIRTIO_PCI_IDS_(id, cls), \
        .mode = VIRTIO_PCI_GENERIC, .legacy_id = old); \
    VIRTIO_PCI_TYPE_(sym, _pci_old, nm, "-pci-transitional", NULL, cat, rows, \
        virtio_pci_rows, VIRTIO_PCI_IDS_(id, cls), \
        .mode = VIRTIO_PCI_TRANSITIONAL, .legacy_id = old); \
    VIRTIO_PCI_TYPE_(sym, _pci_new, nm, "-pci-non-transitional", NULL, cat, \
        rows, virtio_pci_rows, VIRTIO_PCI_IDS_(id, cls), \
        .mode = VIRTIO_PCI_MODERN)
/* One that knows the new interface only: "virtio-gpu-pci" alone. */
#define VIRTIO_MODERN_DEVICE(sym, nm, cat, rows, id, cls, ...) \
    DEVICE(sym, { .name = nm "-device", .category = cat, .on = &bus_virtio, \
                  __VA_ARGS__ }); \
    TYPE_NAME(sym##_pci_base, { nm "-pci-base", "virtio-pci", true }); \
    VIRTIO_PCI_TYPE_(sym, _pci, nm, "-pci", nm, cat, rows, \
        virtio_pci_generic_rows, VIRTIO_PCI_IDS_(id, cls), \
        .mode = VIRTIO_PCI_GENERIC)

#endif
