/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blob.h - contents that are put into guest memory at every cold reset, and the
 * state the boot processor starts in when no firmware runs. MACHINE_CALL.
 */
#ifndef TERN_HW_FW_BLOB_H
#define TERN_HW_FW_BLOB_H

#include "pc.h"

/* Takes over data (g_free). Overlap with an earlier blob is an error that names
 * both. `zero` bytes follow the data. */
bool blob_add(const char *name, uint64_t addr, void *data, uint64_t len,
              uint64_t zero, Error **errp) MACHINE_CALL;
/* For `info roms`. */
void blob_each(void (*fn)(void *arg, const char *name, uint64_t addr,
                          uint64_t len), void *arg) MACHINE_CALL;
/* How vCPU 0 starts: called at cold reset after the blobs are in place. */
void boot_state_set(void (*fn)(X86Regs *r)) MACHINE_CALL;

/* One way to start a -kernel file. */
typedef struct KernelFile {
    const char *path;
    uint8_t *data;
    uint64_t len;
} KernelFile;
/* Each says whether the file is of its kind, then loads it. */
bool bzimage_is(const KernelFile *k);
bool bzimage_load(Pc *p, const KernelFile *k, Error **errp) MACHINE_CALL;
bool multiboot_is(const KernelFile *k, uint32_t *header_off);
bool multiboot_load(Pc *p, const KernelFile *k, uint32_t header_off,
                    Error **errp) MACHINE_CALL;
bool pvh_is(const KernelFile *k, uint64_t *entry);
bool pvh_load(Pc *p, const KernelFile *k, uint64_t entry, Error **errp)
    MACHINE_CALL;
/* bzImage by way of firmware: fw_cfg items for a boot ROM. */
bool linuxboot_load(Pc *p, const KernelFile *k, Error **errp) MACHINE_CALL;
/* Does at each reset what firmware would do with the board, and places what it
 * would leave for the kernel: ACPI tables. Before a loader runs. */
bool direct_setup(Pc *p, Error **errp) MACHINE_CALL;
extern bool direct_boot;               /* no firmware runs                    */
extern uint64_t direct_rsdp;           /* 0: no ACPI                          */
/* Reads a file whole (bounded by `most`); *data is g_malloc'd. */
bool blob_read_file(const char *what, const char *path, uint64_t most,
                    uint8_t **data, uint64_t *len, Error **errp);

/* e820: RAM and reserved ranges, ascending. Returns how many. */
typedef struct E820 {
    uint64_t addr, len;
    uint32_t type;                     /* 1 RAM, 2 reserved, 3 ACPI tables    */
} E820;
unsigned e820_fill(const Pc *p, E820 out[16], bool low_holes);
/* Takes the top `len` bytes of low RAM (whole pages) out of what the kernel may
 * use, as type 3; once. Returns where they begin. */
uint64_t e820_take_top(const Pc *p, uint64_t len);
/* End of the low RAM that loaders may fill. */
uint64_t blob_ram_top(const Pc *p);
/* Flat 32-bit protected mode, paging off, interrupts off. */
void boot_regs_flat32(X86Regs *r, uint32_t eip);

#endif
