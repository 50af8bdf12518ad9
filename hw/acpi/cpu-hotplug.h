/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cpu-hotplug.h - vCPUs come and go through ACPI events. MACHINE_CALL. */
#ifndef TERN_HW_ACPI_CPU_HOTPLUG_H
#define TERN_HW_ACPI_CPU_HOTPLUG_H

#include "hw/acpi/aml.h"
#include "hw/acpi/pm.h"
#include "pc.h"

#define CPUHP_PORT 0xaf00
#define CPUHP_LEN 12                   /* of the registers that the DSDT uses */

typedef struct CpuSlot {
    uint8_t inserting, removing, ejecting;
    uint32_t ost_event, ost_status;    /* what the guest told last            */
} CpuSlot;

typedef struct AcpiCpuHotplug {
    MemRegion io;
    AcpiPm *pm;
    bool modern;                       /* no longer the map of present CPUs   */
    uint32_t select;                   /* number of a vCPU                    */
    uint8_t command;
    CpuSlot slot[256];
} AcpiCpuHotplug;
extern const VmState acpi_cpu_hotplug_state;

void acpi_cpu_hotplug_init(AcpiCpuHotplug *h, Device *owner, AcpiPm *pm,
                           MemRegion *io) MACHINE_CALL;
void acpi_cpu_hotplug_fini(AcpiCpuHotplug *h) MACHINE_CALL;
void acpi_cpu_hotplug_reset(AcpiCpuHotplug *h) MACHINE_CALL;
/* DSDT: the registers' device and the processors, which are all that there may
 * ever be; \_GPE._E02 calls \_SB.CPUS.CSCN. */
void acpi_cpu_aml(Aml *a) MACHINE_CALL;

#endif
