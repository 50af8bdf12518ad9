/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-impl.h - what the files of hw/pci share with each other alone.
 */
#ifndef HW_PCI_PCI_IMPL_H
#define HW_PCI_PCI_IMPL_H

#include "pci.h"

static inline const PciInfo *pci_info(const PciDevice *d)
{
    return d->dev.type->on_info;
}
static inline PciBus *pci_bus(const PciDevice *d)
{
    return (PciBus *)d->dev.bus;
}
static inline bool pci_overlaps(uint32_t off, unsigned size, uint32_t at,
                                unsigned n)
{
    return off < at + n && at < off + size;
}

extern const VmState pci_vmstate;
/* Takes back what a load that broke off has written. */
void pci_config_recover(PciDevice *d);

/* slot.c: picks or checks the place; error as the peer's. */
bool pci_take_slot(PciBus *bus, PciDevice *d, Error **errp) MACHINE_CALL;

/* bars.c */
void pci_bars_drop(PciDevice *d) MACHINE_CALL;
uint64_t pci_bar_address(const PciDevice *d, int n);
unsigned pci_bar_reg(const PciDevice *d, int n);
void pci_bars_reset(PciDevice *d);

/* irq.c */
void pci_irq_refresh(PciDevice *d) MACHINE_CALL;

/* msi.c, msix.c: called by the default config write and by reset. */
void msi_config_write(PciDevice *d, uint32_t off, unsigned size) MACHINE_CALL;
void msi_reset(PciDevice *d);
void msix_config_write(PciDevice *d, uint32_t off, unsigned size) MACHINE_CALL;
void msix_reset(PciDevice *d) MACHINE_CALL;
void msix_loaded(PciDevice *d) MACHINE_CALL;
extern const VmState msix_vmstate;

/* rom.c */
bool pci_rom_add(PciDevice *d, Error **errp) MACHINE_CALL;
void pci_rom_drop(PciDevice *d) MACHINE_CALL;

/* bridge.c */
typedef enum PciBridgeWindow { BRIDGE_IO, BRIDGE_MEM, BRIDGE_PREF }
    PciBridgeWindow;
void pci_bridge_range(const PciDevice *d, PciBridgeWindow w, uint64_t *base,
                      uint64_t *limit);
/* The windows follow the registers. */
void pci_bridge_update(PciBridge *b) MACHINE_CALL;
void pci_bridge_reset(PciBridge *b) MACHINE_CALL;
void pci_bridge_written(PciBridge *b, uint32_t off, unsigned size,
                        uint16_t old_control) MACHINE_CALL;

/* class.c */
const char *pci_class_desc(uint16_t cls);          /* NULL: none              */
const char *pci_class_fw_name(uint16_t cls);       /* NULL: none              */

/* pci.c: buses below bus, itself first; fn returns false to stop. */
bool pci_bus_each(PciBus *bus, bool (*fn)(PciBus *bus, void *arg), void *arg);

#endif
