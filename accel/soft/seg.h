/* SPDX-License-Identifier: GPL-2.0-or-later */
/* seg.h - what the files about segmentation and gates share. */
#ifndef ACCEL_SOFT_SEG_H
#define ACCEL_SOFT_SEG_H

#include "soft.h"

#define DESC_TYPE(d) ((d).hi >> 8 & 15)
#define DESC_S(d) ((d).hi >> 12 & 1)
#define DESC_DPL(d) ((d).hi >> 13 & 3)
#define DESC_P(d) ((d).hi >> 15 & 1)
#define DESC_L(d) ((d).hi >> 21 & 1)
#define DESC_D(d) ((d).hi >> 22 & 1)
#define DESC_CODE(d) ((d).hi >> 11 & 1)
#define DESC_CONF(d) ((d).hi >> 10 & 1)

/* A stack that a privilege change builds before it takes effect. */
typedef struct NewStack {
    X86Seg seg;
    uint64_t sp, mask;
    unsigned cpl;
    uint32_t err;                      /* error code of #SS                   */
    bool wide;                         /* long mode: no segment               */
} NewStack;

uint32_t soft_desc_upper(SoftCpu *c, const Slot *s, uint16_t sel);
Desc soft_stack_desc(SoftCpu *c, const Slot *s, uint16_t ss, unsigned cpl,
                     int vec);
void soft_stk_push(SoftCpu *c, const Slot *s, NewStack *k, uint64_t v,
                   unsigned n);
void soft_tss_busy(SoftCpu *c, const Slot *s, uint16_t sel, bool busy);

#endif
