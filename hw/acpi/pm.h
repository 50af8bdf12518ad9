/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pm.h - ACPI fixed hardware that power-management chips embed: PM1 event and
 * control blocks, the PM timer, general-purpose events (ACPI 6.3, section 4.8).
 * MACHINE_CALL.
 */
#ifndef TERN_HW_ACPI_PM_H
#define TERN_HW_ACPI_PM_H

#include "device.h"
#include "runstate.h"

#define ACPI_GPE_LEN_MAX 16
/* Bits of PM1 status and enable. */
enum { PM1_TMR = 1 << 0, PM1_GBL = 1 << 5, PM1_PWRBTN = 1 << 8,
       PM1_SLPBTN = 1 << 9, PM1_RTC = 1 << 10, PM1_WAK = 1 << 15 };
enum { PM1_CNT_SCI_EN = 1, PM1_CNT_SLP_EN = 1 << 13 };

typedef struct AcpiPm {
    MemRegion evt_io, cnt_io, tmr_io, gpe_io;
    IrqLine sci;
    Timer timer;
    uint16_t sts, en, cnt;
    uint8_t gpe[ACPI_GPE_LEN_MAX];     /* status, then enable                 */
    uint8_t gpe_len;                   /* both halves                         */
    int64_t overflow;                  /* PM timer's next, in ticks           */
    bool s3_off, s4_off;
    uint8_t s4_val;
    bool acpi_only;                    /* no SMM: SCI enabled from the start  */
    Notify powerdown, wakeup;
} AcpiPm;
extern const VmState acpi_pm_state;
/* The one with the board's general-purpose events; NULL: no ACPI. */
extern AcpiPm *acpi_board_pm;

/* Registers into `io` at 0, 4 and 8; the GPE block into gpe_parent at gpe_port. */
void acpi_pm_init(AcpiPm *pm, Device *owner, MemRegion *io, IrqLine sci)
    MACHINE_CALL;
void acpi_gpe_init(AcpiPm *pm, Device *owner, MemRegion *parent, uint16_t port,
                   unsigned len) MACHINE_CALL;
void acpi_pm_fini(AcpiPm *pm) MACHINE_CALL;
void acpi_pm_reset(AcpiPm *pm) MACHINE_CALL;
/* The APM command port enables or disables ACPI. */
void acpi_pm_enable(AcpiPm *pm, bool on) MACHINE_CALL;
/* Raises a general-purpose event: bit n of the status half. */
void acpi_gpe_raise(AcpiPm *pm, unsigned bit) MACHINE_CALL;
void acpi_sci_update(AcpiPm *pm) MACHINE_CALL;

#endif
