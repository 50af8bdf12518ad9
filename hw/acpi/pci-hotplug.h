/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pci-hotplug.h - PCI hot-plug through ACPI events. MACHINE_CALL. */
#ifndef TERN_HW_ACPI_PCI_HOTPLUG_H
#define TERN_HW_ACPI_PCI_HOTPLUG_H

#include "hw/acpi/pm.h"
#include "pci.h"

#define PCIHP_PORT 0xae00
#define PCIHP_BUSES 256

typedef struct AcpiPciHotplug {
    MemRegion io;
    AcpiPm *pm;
    PciBus *bus[PCIHP_BUSES];          /* by BSEL                             */
    uint32_t nbus;
    uint32_t up[PCIHP_BUSES], down[PCIHP_BUSES];
    uint32_t select;                   /* BSEL, UINT32_MAX: none              */
    uint32_t index_slot;               /* slot whose ACPI index is asked      */
    bool legacy;
} AcpiPciHotplug;
extern const VmState acpi_pci_hotplug_state;

void acpi_pci_hotplug_init(AcpiPciHotplug *h, Device *owner, AcpiPm *pm,
                           MemRegion *io) MACHINE_CALL;
/* Gives a bus its number; its devices are then plugged and unplugged here.
 * below: so do buses of bridges that come with the machine. */
void acpi_pci_hotplug_bus(AcpiPciHotplug *h, PciBus *bus, bool below)
    MACHINE_CALL;
/* The number of a bus; -1: it has none. */
int acpi_pci_hotplug_number(const PciBus *bus);
bool acpi_pci_slot_fixed(const PciBus *bus, unsigned slot) MACHINE_CALL;
void acpi_pci_hotplug_fini(AcpiPciHotplug *h) MACHINE_CALL;
void acpi_pci_hotplug_reset(AcpiPciHotplug *h) MACHINE_CALL;

#endif
