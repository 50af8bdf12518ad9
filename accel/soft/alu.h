/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * alu.h - what the handlers of two-operand arithmetic share: operands, the
 * operations with their flags, and which handler a slot has.
 *
 * Thread class: the vCPU's thread.
 */
#ifndef ACCEL_SOFT_ALU_H
#define ACCEL_SOFT_ALU_H

#include "soft.h"

#define H(name) static const Slot *name(SoftCpu *c, const Slot *s)

#define T8 uint8_t
#define T16 uint16_t
#define T32 uint32_t
#define T64 uint64_t
#define REG(n, o) (*(una_##n *)RP(c, o))
#define SETREG(n, o, v) reg_set(c, o, v, n / 8)

#define OP_add(n, a, b) r = a + b; fl_add(c, a, b, (T##n)r, n / 8)
#define OP_or(n, a, b) r = a | b; fl_logic(c, (T##n)r, n / 8)
#define OP_adc(n, a, b) r = a + b + fl_c(c); fl_add(c, a, b, (T##n)r, n / 8)
#define OP_sbb(n, a, b) r = a - b - fl_c(c); fl_sub(c, a, b, (T##n)r, n / 8)
#define OP_and(n, a, b) r = a & b; fl_logic(c, (T##n)r, n / 8)
#define OP_sub(n, a, b) r = a - b; fl_sub(c, a, b, (T##n)r, n / 8)
#define OP_xor(n, a, b) r = a ^ b; fl_logic(c, (T##n)r, n / 8)
#define OP_cmp(n, a, b) OP_sub(n, a, b)
#define OP_test(n, a, b) OP_and(n, a, b)
#define OP_inc(n, a) r = a + 1; { bool cf = fl_c(c); \
    fl_add(c, a, 1, (T##n)r, n / 8); fl_cf_of(c, cf, fl_o(c)); }
#define OP_dec(n, a) r = a - 1; { bool cf = fl_c(c); \
    fl_sub(c, a, 1, (T##n)r, n / 8); fl_cf_of(c, cf, fl_o(c)); }
#define OP_not(n, a) r = ~a
#define OP_neg(n, a) r = -a; fl_sub(c, 0, a, (T##n)r, n / 8)

enum { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP,
       ALU_TEST, ALU_INC, ALU_DEC };
/* Forms of two operands: the first's kind and the second's, register,
 * immediate or memory; each of the latter by EaForm. */
enum { F_RR, F_RI, F_RM, F_MR = F_RM + 3, F_MI = F_MR + 3,
       F_COUNT = F_MI + 3 };

/* Operation, log2 of the size, and form of a slot without lock that ops-alu.c
 * bound; false: it is another one. */
typedef struct AluForm {
    unsigned op, size, form;
} AluForm;
bool soft_alu_form(const Slot *s, AluForm *f);
/* The handler for any address of such a slot. */
Handler soft_alu_general;

/* Replaces the handler of a slot before a conditional branch by one that does
 * both, where there is one. */
void soft_fuse(Slot *s, unsigned condition);

#endif
