/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ops-fuse.c - arithmetic and the conditional branch after it in one handler
 * (64-bit code). The condition comes from the operands; the flags are set all
 * the same.
 *
 * Thread class: the vCPU's thread.
 * Invariant: the branch's own slot stays as it is. Whoever arrives there by
 * another way, after a miss of the TLB for example, finds it.
 */
#include "alu.h"

#define S8 int8_t
#define S16 int16_t
#define S32 int32_t
#define S64 int64_t

/* Conditions by their number in the opcode, from operands and result. */
#define CC_2(n) (a < b)
#define CC_3(n) (a >= b)
#define CC_4(n) (r == 0)
#define CC_5(n) (r != 0)
#define CC_6(n) (a <= b)
#define CC_7(n) (a > b)
#define CC_8(n) ((S##n)r < 0)
#define CC_9(n) ((S##n)r >= 0)
#define CC_12(n) ((S##n)a < (S##n)b)
#define CC_13(n) ((S##n)a >= (S##n)b)
#define CC_14(n) ((S##n)a <= (S##n)b)
#define CC_15(n) ((S##n)a > (S##n)b)
/* After a logical operation, which clears OF and CF. */
#define LC_4(n) CC_4(n)
#define LC_5(n) CC_5(n)
#define LC_8(n) CC_8(n)
#define LC_9(n) CC_9(n)
#define LC_12(n) CC_8(n)
#define LC_13(n) CC_9(n)
#define LC_14(n) ((S##n)r <= 0)
#define LC_15(n) ((S##n)r > 0)

/* The branch's slot comes next; its imm and disp lead to the targets. */
#define FINISH(cond) \
    if (cond) { \
        BRANCH_OF(s + 1, 0, c->r[R_IP] + s[1].imm); \
    } \
    BRANCH_OF(s + 1, 1, c->r[R_IP] + s[1].disp)

#define F_CMP(op, n, kind, k) \
H(op##n##_rr_##k) { T##n a = REG(n, s->ra), b = REG(n, s->rb), r; \
    OP_##op(n, a, b); FINISH(kind##_##k(n)); } \
H(op##n##_ri_##k) { T##n a = REG(n, s->ra), b = s->imm, r; \
    OP_##op(n, a, b); FINISH(kind##_##k(n)); } \
F_CMPM(op, n, kind, k, b) F_CMPM(op, n, kind, k, f)
#define F_CMPM(op, n, kind, k, e) \
H(op##n##_mi##e##_##k) { uint64_t la = EA_##e(n / 8, 0); T##n a, b, r; \
    FAST_LD(n, a, la, soft_alu_general); b = s->imm; \
    OP_##op(n, a, b); FINISH(kind##_##k(n)); } \
H(op##n##_mr##e##_##k) { uint64_t la = EA_##e(n / 8, 0); T##n a, b, r; \
    FAST_LD(n, a, la, soft_alu_general); b = REG(n, s->rb); \
    OP_##op(n, a, b); FINISH(kind##_##k(n)); } \
H(op##n##_rm##e##_##k) { uint64_t la = EA_##e(n / 8, 0); T##n a, b, r; \
    FAST_LD(n, b, la, soft_alu_general); a = REG(n, s->ra); \
    OP_##op(n, a, b); FINISH(kind##_##k(n)); }
/* Operations that write their register. */
#define F_WR(op, n, k) \
H(op##n##_rr_##k) { T##n a = REG(n, s->ra), b = REG(n, s->rb), r; \
    OP_##op(n, a, b); SETREG(n, s->ra, r); FINISH(CC_##k(n)); } \
H(op##n##_ri_##k) { T##n a = REG(n, s->ra), b = s->imm, r; \
    OP_##op(n, a, b); SETREG(n, s->ra, r); FINISH(CC_##k(n)); }
#define F_UN(op, n, k) \
H(op##n##_r_##k) { T##n a = REG(n, s->ra), r; \
    OP_##op(n, a); SETREG(n, s->ra, r); FINISH(CC_##k(n)); }

#define CCS(M, op, n) \
    M(op, n, CC, 2) M(op, n, CC, 3) M(op, n, CC, 4) M(op, n, CC, 5) \
    M(op, n, CC, 6) M(op, n, CC, 7) M(op, n, CC, 8) M(op, n, CC, 9) \
    M(op, n, CC, 12) M(op, n, CC, 13) M(op, n, CC, 14) M(op, n, CC, 15)
#define LCS(M, op, n) \
    M(op, n, LC, 4) M(op, n, LC, 5) M(op, n, LC, 8) M(op, n, LC, 9) \
    M(op, n, LC, 12) M(op, n, LC, 13) M(op, n, LC, 14) M(op, n, LC, 15)
#define ZCS(M, op, n) M(op, n, 4) M(op, n, 5) M(op, n, 8) M(op, n, 9)
#define WIDTHS(L, M, op) L(M, op, 32) L(M, op, 64)

CCS(F_CMP, cmp, 8) WIDTHS(CCS, F_CMP, cmp)
LCS(F_CMP, test, 8) WIDTHS(LCS, F_CMP, test)
WIDTHS(ZCS, F_WR, and)
WIDTHS(ZCS, F_WR, add)
WIDTHS(ZCS, F_WR, sub)
WIDTHS(ZCS, F_UN, inc)
WIDTHS(ZCS, F_UN, dec)

/* [form][condition] */
#define T_CMP(op, n, kind, k) \
    [F_RR][k] = op##n##_rr_##k, [F_RI][k] = op##n##_ri_##k, \
    [F_MI + EA_BASE][k] = op##n##_mib_##k, \
    [F_MI + EA_WIDE][k] = op##n##_mif_##k, \
    [F_MR + EA_BASE][k] = op##n##_mrb_##k, \
    [F_MR + EA_WIDE][k] = op##n##_mrf_##k, \
    [F_RM + EA_BASE][k] = op##n##_rmb_##k, \
    [F_RM + EA_WIDE][k] = op##n##_rmf_##k,
#define T_WR(op, n, k) \
    [F_RR][k] = op##n##_rr_##k, [F_RI][k] = op##n##_ri_##k,
#define T_UN(op, n, k) [F_RR][k] = op##n##_r_##k,
typedef Handler *const Fused[F_COUNT][16];
#define TWO(L, M, op) [2] = { L(M, op, 32) }, [3] = { L(M, op, 64) }
/* [log2 of the size] */
static Fused fused_cmp[4] = {
    [0] = { CCS(T_CMP, cmp, 8) }, TWO(CCS, T_CMP, cmp)
};
static Fused fused_test[4] = {
    [0] = { LCS(T_CMP, test, 8) }, TWO(LCS, T_CMP, test)
};
static Fused fused_and[4] = { TWO(ZCS, T_WR, and) };
static Fused fused_add[4] = { TWO(ZCS, T_WR, add) };
static Fused fused_sub[4] = { TWO(ZCS, T_WR, sub) };
static Fused fused_inc[4] = { TWO(ZCS, T_UN, inc) };
static Fused fused_dec[4] = { TWO(ZCS, T_UN, dec) };
static Fused *const fused[] = {
    [ALU_CMP] = fused_cmp, [ALU_TEST] = fused_test, [ALU_AND] = fused_and,
    [ALU_ADD] = fused_add, [ALU_SUB] = fused_sub, [ALU_INC] = fused_inc,
    [ALU_DEC] = fused_dec
};

void soft_fuse(Slot *s, unsigned condition)
{
    Handler *fn;
    AluForm f;

    if (soft_alu_form(s, &f) && fused[f.op]) {
        fn = fused[f.op][f.size][f.form][condition & 15];
        if (fn) {
            s->fn = fn;
        }
    }
}
