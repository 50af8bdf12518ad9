/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * misc.h - what the firmware tables' builders and dumps ask of small devices.
 * MACHINE_CALL.
 */
#ifndef TERN_HW_MISC_MISC_H
#define TERN_HW_MISC_MISC_H

#include "base.h"

/* Port of the ISA pvpanic device; 0: the machine has none. */
uint16_t pvpanic_port(void) MACHINE_CALL;

/* Where the guest says that its note for crash is, not checked; false: it does
 * not say. */
bool vmcoreinfo_place(uint64_t *pa, uint32_t *size) MACHINE_CALL;

/* ---- vmgenid ------------------------------------------------------------- */
/* Where the id is in the page that firmware allocates. */
#define VMGENID_OFFSET 40
#define VMGENID_GUID_FILE "etc/vmgenid_guid"
#define VMGENID_ADDR_FILE "etc/vmgenid_addr"
/* The generation id in the byte order of memory; NULL: the machine has none. */
const uint8_t *vmgenid_guid(void) MACHINE_CALL;
/*
 * The terms of its SSDT (OEM table id "VMGENID"), without the table's header.
 * The 32-bit word at *addr is to become the address of VMGENID_GUID_FILE, and
 * the 8 bytes of VMGENID_ADDR_FILE that address plus VMGENID_OFFSET. NULL: the
 * machine has none.
 */
const uint8_t *vmgenid_ssdt(size_t *len, size_t *addr) MACHINE_CALL;

#endif
