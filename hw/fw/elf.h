/* SPDX-License-Identifier: GPL-2.0-or-later */
/* elf.h - ELF kernels, private to hw/fw. MACHINE_CALL. */
#ifndef TERN_HW_FW_ELF_H
#define TERN_HW_FW_ELF_H

#include "hw/fw/blob.h"

bool elf_is(const KernelFile *k);
bool elf_is_64(const KernelFile *k);
/* Puts the PT_LOAD segments of a 32- or 64-bit little-endian x86 ELF at their
 * physical addresses below blob_ram_top(); entry is e_entry, [low, high) what
 * they cover. */
bool elf_load(Pc *p, const KernelFile *k, uint64_t *entry, uint64_t *low,
              uint64_t *high, Error **errp) MACHINE_CALL;
/* Value of a note with a 4- or 8-byte descriptor; false: there is none. */
bool elf_note(const KernelFile *k, const char *name, uint32_t type,
              uint64_t *value);

#endif
