/* SPDX-License-Identifier: GPL-2.0-or-later */
/* thunk.h - host instructions on the guest's operands: vec*.c, thunk.c. */
#ifndef ACCEL_SOFT_THUNK_H
#define ACCEL_SOFT_THUNK_H

#include "soft.h"

/* Machine code around one host instruction. Arguments: what ModRM.reg, ModRM.rm,
 * VEX.vvvv and the fourth operand (or xmm0) name; guest GPRs. Returns the
 * host's flags where the form writes flags. */
typedef uint64_t ThunkFn(void *reg, void *rm, void *v, void *x, uint64_t *gpr);
typedef struct Thunk {
    ThunkFn *fn;
    struct Thunk *next;
    uint8_t len;
    uint8_t reg, rm, v, x;             /* OperandKind: OK_V, OK_P, OK_G, none */
    bool mem, mem_rd, mem_wr, mxcsr, flags, vex, mmx, sse, reads_flags, waits;
    uint8_t xi;                        /* number of the fourth register       */
    uint8_t mm_wr;                     /* MMX registers written: 1 reg, 2 rm  */
    uint16_t size, align;
    uint8_t code[96];
} Thunk;
/* Finds or makes a thunk with this code; NULL: no executable memory. */
const Thunk *soft_thunk(const Thunk *like);

#endif
