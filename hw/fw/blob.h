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
/* Hands all blobs over, in the order they were added, and forgets them. */
void blob_take_all(void (*fn)(void *arg, const char *name, uint64_t addr,
                              const uint8_t *data, uint64_t len,
                              uint64_t zero), void *arg) MACHINE_CALL;
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
/* How a kernel is entered in flat 32-bit mode, and, for one that firmware
 * starts, where it is told what only firmware knows. Addresses of 0: nowhere. */
#define KERNEL_MAP_ROWS 32             /* of 24 bytes, room for all           */
typedef struct KernelStart {
    uint32_t entry, eax, ebx;
    uint32_t map_at;                   /* e820 rows                           */
    uint32_t row_head, row_skip;       /* a word before each, where it begins */
    uint32_t count_at, count_by;       /* number of rows times this           */
    uint32_t rsdp_at;
    uint32_t memory_at;                /* KiB of low, of high memory          */
} KernelStart;
/* After all blobs are there: they become the named boot ROM's where firmware
 * runs. */
bool kernel_start(const KernelStart *how, const char *rom, Error **errp)
    MACHINE_CALL;
/* What firmware may need for its tables at the top of low RAM. */
#define FIRMWARE_ROOM 0x80000u
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
