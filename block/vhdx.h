/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vhdx.h - what the parts of the vhdx driver share. MACHINE_CALL. */
#ifndef TERN_BLOCK_VHDX_H
#define TERN_BLOCK_VHDX_H

#include "block/mapped.h"

#define VHDX_HEADER1 (64 * KiB)
#define VHDX_HEADER2 (128 * KiB)
#define VHDX_REGION1 (192 * KiB)
#define VHDX_REGION2 (256 * KiB)
#define VHDX_TABLE   (64 * KiB)        /* of regions, of metadata             */
#define VHDX_BLOCK_MIN (1 * MiB)
#define VHDX_BLOCK_MAX (256 * MiB)
#define VHDX_SIZE_MAX (64 * TiB)
#define VHDX_LOG_SECTOR 4096u
enum { BAT_NOT_PRESENT, BAT_UNDEFINED, BAT_ZERO, BAT_UNMAPPED,
       BAT_PRESENT = 6, BAT_PARTLY = 7 };

/* GUIDs as they stand in the file. */
extern const uint8_t vhdx_guid_bat[16], vhdx_guid_meta[16],
    vhdx_guid_params[16], vhdx_guid_size[16], vhdx_guid_page83[16],
    vhdx_guid_logical[16], vhdx_guid_physical[16], vhdx_guid_parent[16];

typedef struct Vhdx {
    MapNode m;
    uint8_t header[4096];              /* the current one                     */
    uint64_t seq;
    int current;                       /* 0 or 1: which header it is          */
    uint64_t bat, bat_len, meta, log, log_len;
    uint32_t ratio;                    /* data blocks for one bitmap entry    */
    uint64_t next;                     /* where new blocks go                 */
    bool written;                      /* the GUIDs have been renewed         */
} Vhdx;

uint32_t vhdx_crc(uint32_t crc, const void *buf, size_t n);
/* Of a structure whose checksum stands at byte 4. */
uint32_t vhdx_sum(const uint8_t *buf, size_t n);
/* Writes both headers, one after the other; log: whether the log's GUID stays. */
int vhdx_header_write(Vhdx *v, bool data, bool log);
/* Applies what the log holds. */
bool vhdx_log_replay(Vhdx *v, Error **errp) MACHINE_CALL;

typedef struct VhdxCreate {
    BlkCreate base;
    uint64_t block, log;
    bool state_zero;
    int subformat;
} VhdxCreate;
extern const Prop vhdx_create_props[];
bool vhdx_create(BlkCreate *b, Error **errp) MACHINE_CALL;

#endif
