/* SPDX-License-Identifier: GPL-2.0-or-later */
/* smbus.h - an SMBus host controller with EEPROMs behind it. MACHINE_CALL. */
#ifndef TERN_HW_ACPI_SMBUS_H
#define TERN_HW_ACPI_SMBUS_H

#include "device.h"

#define SMBUS_EEPROMS 8

typedef struct Smbus {
    MemRegion io;
    uint8_t stat, ctl, cmd, addr, data0, data1, data[32], index, blkdata, auxctl;
    uint8_t eeprom[SMBUS_EEPROMS][256];
    uint8_t eeprom_at[SMBUS_EEPROMS];
} Smbus;
extern const VmState smbus_state;

void smbus_init(Smbus *s, Device *owner) MACHINE_CALL;
void smbus_fini(Smbus *s) MACHINE_CALL;
void smbus_reset(Smbus *s) MACHINE_CALL;
#endif
