/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * boot-info.h - the low-memory area in which Multiboot and PVH kernels find
 * what they are told: structures and strings, one after the other. MACHINE_CALL.
 */
#ifndef TERN_HW_FW_BOOT_INFO_H
#define TERN_HW_FW_BOOT_INFO_H

#include "hw/fw/blob.h"

#define BOOT_INFO_ADDR 0x90000u
#define BOOT_INFO_ROOM 0xfc00u

typedef struct BootInfo {
    uint8_t data[BOOT_INFO_ROOM];
    uint32_t used;
} BootInfo;

/* Room of len bytes, 8-aligned and zero; its guest address, NULL for the error
 * "… too long". The host's bytes are at boot_info_at(). */
uint32_t boot_info_take(BootInfo *b, uint32_t len, Error **errp);
static inline uint8_t *boot_info_at(BootInfo *b, uint32_t addr)
{
    return b->data + (addr - BOOT_INFO_ADDR);
}
/* A NUL-terminated string; 0 with *errp. */
uint32_t boot_info_text(BootInfo *b, const char *text, Error **errp);
/* Becomes a blob; frees b either way. */
bool boot_info_place(BootInfo *b, Error **errp) MACHINE_CALL;

#endif
