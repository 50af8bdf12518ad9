/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vpc.h - what vpc.c and vpc-create.c share. */
#ifndef TERN_BLOCK_VPC_H
#define TERN_BLOCK_VPC_H

#include "block/driver.h"

#define VPC_FOOTER 512
#define VPC_FREE 0xffffffffu
#define VPC_CHS_MAX (65535u * 16 * 255)
#define VPC_SECTORS_MAX 0xff000000u    /* 2040 GiB                            */
enum { VPC_TYPE_FIXED = 2, VPC_TYPE_DYNAMIC = 3 };

typedef struct VpcCreate {
    BlkCreate base;
    int subformat;
    bool force_size;
} VpcCreate;
extern const Prop vpc_create_props[];
bool vpc_create(BlkCreate *b, Error **errp) MACHINE_CALL;
/* Of n bytes, the four at `field` counting as zero. */
uint32_t vpc_checksum(const uint8_t *buf, size_t n, size_t field);

#endif
