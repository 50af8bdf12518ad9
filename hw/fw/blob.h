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
    uint8_t *data;                     /* mapped, read-only                   */
    uint64_t len;
} KernelFile;
/* Each says whether the file is of its kind, then loads it. */
bool bzimage_is(const KernelFile *k);
bool bzimage_load(Pc *p, const KernelFile *k, Error **errp) MACHINE_CALL;
bool multiboot_is(const KernelFile *k, uint32_t *header_off);
bool multiboot_load(Pc *p, const KernelFile *k, Error **errp) MACHINE_CALL;
bool pvh_is(const KernelFile *k, uint32_t *entry);
bool pvh_load(Pc *p, const KernelFile *k, Error **errp) MACHINE_CALL;
/* Loads PT_LOAD segments of a 32- or 64-bit little-endian x86 ELF at their
 * physical addresses. */
bool elf_load(const KernelFile *k, uint64_t *entry, uint64_t *low,
              uint64_t *high, Error **errp) MACHINE_CALL;
/* Reads a file whole (bounded by `most`); *data is g_malloc'd. */
bool blob_read_file(const char *what, const char *path, uint64_t most,
                    uint8_t **data, uint64_t *len, Error **errp);

/* e820: RAM and reserved ranges, ascending. Returns how many. */
typedef struct E820 {
    uint64_t addr, len;
    uint32_t type;                     /* 1 RAM, 2 reserved                   */
} E820;
unsigned e820_fill(const Pc *p, E820 out[16], bool low_holes);
/* Flat 32-bit protected mode, paging off, interrupts off. */
void boot_regs_flat32(X86Regs *r, uint32_t eip);

#endif
