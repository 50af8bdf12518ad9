/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vmdk.h - what the parts of the vmdk driver share. MACHINE_CALL. */
#ifndef TERN_BLOCK_VMDK_H
#define TERN_BLOCK_VMDK_H

#include "block/mapped.h"

#define VMDK_MAGIC 0x564d444bu         /* "KDMV"                              */
#define VMDK_DESC_MAX (1 * MiB)
#define VMDK_EXTENTS_MAX 1024
enum { VMDK_F_NL = 1, VMDK_F_RGD = 2, VMDK_F_ZERO = 4,
       VMDK_F_PACKED = 1 << 16, VMDK_F_MARKERS = 1 << 17 };

typedef struct VmdkExtent {
    BlkNode *file;
    char *name, *type;                 /* as the descriptor has them          */
    bool flat, packed, markers, zeroed;
    uint64_t start, len;               /* bytes of the disk                   */
    uint64_t flat_off;
    uint64_t grain, gd, rgd;           /* bytes; rgd 0: none                  */
    uint32_t gtes, gd_entries;
    uint64_t next;                     /* end of the file's allocations       */
    Tab tab;
} VmdkExtent;

typedef struct Vmdk {
    MapNode m;
    VmdkExtent **extents;
    unsigned n_extents;
    char *desc;                        /* text, NUL-terminated                */
    uint64_t desc_off, desc_room;      /* in file; room 0: a file of its own  */
    uint32_t cid, parent_cid;
    bool cid_new;                      /* this opening has given one          */
    char *create_type;
} Vmdk;

/* The value of `key` in a descriptor, without quotes; g_free. NULL: none. */
char *vmdk_desc_get(const char *desc, const char *key);
/* The next extent line after *at: RW n TYPE "name" [offset]. 1: one, 0: none is
 * left, -1: refused. */
typedef struct VmdkLine {
    char access[16], type[16], name[1024];
    uint64_t sectors, offset;
} VmdkLine;
int vmdk_desc_line(const char **at, VmdkLine *l, Error **errp);
/* Reads a sparse extent's header and checks it. */
bool vmdk_sparse_open(VmdkExtent *e, bool read_only, uint64_t *desc_off,
                      uint64_t *desc_len, Error **errp) MACHINE_CALL;
/* Writes a new content identifier. */
int vmdk_cid_renew(Vmdk *v);

typedef struct VmdkCreate {
    BlkCreate base;
    int subformat, adapter;
    bool compat6, zeroed_grain;
    char *hwversion, *toolsversion;
} VmdkCreate;
extern const Prop vmdk_create_props[];
bool vmdk_create(BlkCreate *b, Error **errp) MACHINE_CALL;

#endif
