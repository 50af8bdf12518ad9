/* SPDX-License-Identifier: GPL-2.0-or-later */
/* roms.h - option ROMs that firmware finds in fw_cfg. MACHINE_CALL. */
#ifndef TERN_HW_FW_ROMS_H
#define TERN_HW_FW_ROMS_H

#include "pc.h"

/* Adds genroms/NAME; takes over data. bootindex -1: not in the boot order. */
bool rom_add(const char *name, void *data, uint32_t len, int32_t bootindex,
             Error **errp) MACHINE_CALL;
/* The same for a ROM of ours that is booted from before all else: sets the
 * checksum in its last byte. */
bool boot_rom_add(const char *name, uint8_t *data, uint32_t len, Error **errp)
    MACHINE_CALL;
/* An entry of the boot order that is no device; rebuilds the fw_cfg file. */
void boot_order_add(const char *path, int32_t bootindex) MACHINE_CALL;

#endif
