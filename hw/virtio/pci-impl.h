/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-impl.h - what the files of the PCI transport share with each other alone.
 */
#ifndef HW_VIRTIO_PCI_IMPL_H
#define HW_VIRTIO_PCI_IMPL_H

#include "virtio-pci.h"

/* BARs, as the peer has them. */
enum { VPCI_BAR_LEGACY, VPCI_BAR_MSIX, VPCI_BAR_PIO, VPCI_BAR_MODERN = 4 };
/* Areas of the modern BAR. */
enum { VPCI_AREA = 0x1000, VPCI_COMMON = 0, VPCI_ISR = 0x1000,
       VPCI_CONFIG = 0x2000, VPCI_NOTIFY = 0x3000 };
#define VPCI_LEGACY_NOTIFY 16

typedef struct VirtioPciQueue {
    VirtioPci *p;
    Virtq *q;
    int kick_fd;                       /* -1: none                            */
    int irq_fd;                        /* atomic; -1: none                    */
    uint16_t irq_vector;
} VirtioPciQueue;

static inline bool vpci_flag(const VirtioPci *p, unsigned bit)
{
    return p->flags >> bit & 1;
}
static inline uint32_t vpci_notify_step(const VirtioPci *p)
{
    return vpci_flag(p, VPCI_PAGE_PER_VQ) ? 0x1000 : 4;
}
static inline Virtq *vpci_selected(const VirtioPci *p)
{
    return p->v->queue_sel < p->v->nqueues ? p->v->queues[p->v->queue_sel]
                                           : NULL;
}

/* pci-modern.c */
bool vpci_modern_init(VirtioPci *p, Error **errp) MACHINE_CALL;
void vpci_modern_fini(VirtioPci *p) MACHINE_CALL;
uint32_t vpci_config_read(PciDevice *d, uint32_t off, unsigned size);
void vpci_window_write(VirtioPci *p, uint32_t off, unsigned size) MACHINE_CALL;
void vpci_window_reset(VirtioPci *p);

/* pci-legacy.c */
void vpci_legacy_init(VirtioPci *p) MACHINE_CALL;
void vpci_legacy_fini(VirtioPci *p) MACHINE_CALL;

/* pci.c */
uint8_t vpci_isr_take(VirtioPci *p) MACHINE_CALL;
void vpci_set_status(VirtioPci *p, uint8_t status) MACHINE_CALL;
/* A vector as the guest may have it: none beyond the table. */
uint16_t vpci_vector(const VirtioPci *p, uint16_t vec);
void vpci_set_vector(VirtioPci *p, Virtq *q, uint16_t vec) MACHINE_CALL;

#endif
