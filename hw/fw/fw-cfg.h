/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fw-cfg.h - the rest of fw_cfg's interface (see machine.h). MACHINE_CALL. */
#ifndef TERN_HW_FW_FW_CFG_H
#define TERN_HW_FW_FW_CFG_H

#include "machine.h"

/* A file that the guest may write by DMA; `written` runs after each write. Takes
 * over data. */
bool fwcfg_add_writable(const char *name, void *data, size_t len,
                        void (*written)(void *arg, uint64_t off, uint64_t len),
                        void *arg);
/* New contents of a file that is there; keeps its callbacks. */
void fwcfg_update_file(const char *name, const void *data, size_t len);
void fwcfg_each_file(void (*fn)(void *arg, const char *name, const void *data,
                                uint32_t len), void *arg);

/* Numbered items. */
enum {
    FW_UUID = 0x02, FW_RAM_SIZE = 0x03, FW_NOGRAPHIC = 0x04, FW_NB_CPUS = 0x05,
    FW_KERNEL_ADDR = 0x07, FW_KERNEL_SIZE = 0x08, FW_KERNEL_CMDLINE = 0x09,
    FW_INITRD_ADDR = 0x0a, FW_INITRD_SIZE = 0x0b, FW_BOOT_DEVICE = 0x0c,
    FW_NUMA = 0x0d, FW_BOOT_MENU = 0x0e, FW_MAX_CPUS = 0x0f,
    FW_KERNEL_ENTRY = 0x10, FW_KERNEL_DATA = 0x11, FW_INITRD_DATA = 0x12,
    FW_CMDLINE_ADDR = 0x13, FW_CMDLINE_SIZE = 0x14, FW_CMDLINE_DATA = 0x15,
    FW_SETUP_ADDR = 0x16, FW_SETUP_SIZE = 0x17, FW_SETUP_DATA = 0x18,
    FW_ACPI_TABLES = 0x8000, FW_SMBIOS_ENTRIES = 0x8001,
    FW_IRQ0_OVERRIDE = 0x8002, FW_HPET = 0x8004,
};

#endif
