/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * insn-table.c - the instruction table, put together from its parts.
 * AMD64 APM vol. 3 appendix A, vol. 4 and 5; Intel SDM vol. 2 appendix A.
 *
 * Thread class: ANY_THREAD, constant data.
 * Invariant 1: where several rows of one opcode fit, the first one counts;
 * rows with a mandatory prefix therefore stand before those without.
 */
#include "insn.h"
#include "insn-short.h"

/* CF PF AF ZF SF OF */
#define ALL6 0x3f
const InsnFlagSet insn_flag_sets[INSN_FLAG_SETS] = {
    [FN] = { 0, 0, 0 },
    [FA] = { 0, ALL6, 0 },
    [FADC] = { FB_C, ALL6, 0 },
    [FLOG] = { 0, ALL6 & ~FB_A, FB_A },
    [FINC] = { 0, ALL6 & ~FB_C, 0 },
    [FSH] = { 0, ALL6 & ~FB_A, FB_A | FB_O },
    [FRO] = { 0, FB_C | FB_O, FB_O },
    [FRC] = { FB_C, FB_C | FB_O, FB_O },
    [FMUL] = { 0, FB_C | FB_O, FB_S | FB_Z | FB_A | FB_P },
    [FDIV] = { 0, 0, ALL6 },
    [FBT] = { 0, FB_C, FB_O | FB_S | FB_A | FB_P },
    [FBS] = { 0, FB_Z, ALL6 & ~FB_Z },
    [FCNT] = { 0, FB_C | FB_Z, FB_O | FB_S | FB_A | FB_P },
    [FZF] = { 0, FB_Z, 0 },
    [FCF] = { 0, FB_C, 0 },
    [FRCF] = { FB_C, FB_C, 0 },
    [FROF] = { FB_O, FB_O, 0 },
    [FCC] = { ALL6 & ~FB_A, 0, 0 },
    [FALL] = { 0, ALL6, 0 },
    [FRALL] = { ALL6, 0, 0 },
    [FSAHF] = { 0, ALL6 & ~FB_O, 0 },
    [FLAHF] = { ALL6 & ~FB_O, 0, 0 },
    [FDAA] = { FB_A | FB_C, ALL6 & ~FB_O, FB_O },
    [FAAA] = { FB_A, FB_A | FB_C, FB_O | FB_S | FB_Z | FB_P },
    [FAAM] = { 0, FB_S | FB_Z | FB_P, FB_O | FB_A | FB_C },
    [FCCX] = { FB_C | FB_Z | FB_P, 0, 0 },
    [FFCOMI] = { 0, ALL6, 0 },
    [FBMI] = { 0, FB_O | FB_S | FB_Z | FB_C, FB_A | FB_P },
    [FBEX] = { 0, FB_O | FB_Z | FB_C, FB_A | FB_P | FB_S },
    [FSALC] = { FB_C, 0, 0 },
    [FINTO] = { FB_O, ALL6, 0 },
    [FSTR] = { 0, ALL6, 0 },
    [FSTRN] = { 0, 0, 0 },
};

#define ROW(m, op_, p, e, r, n, a, b, c, d, f, ft, at, xc) \
    { .name = n, .o = { a, b, c, d }, .map = MAP_##m, .op = op_, \
      .pfx = PFX_##p, .ext = e, .rm = r, .flags = f, .feat = FEAT_##ft, \
      .exc = xc, .attr = at },

const InsnRow insn_rows[] = {
#define I(op, e, n, a, b, c, f, at) \
    ROW(1, op, ANY, e, X_, n, a, b, c, _, f, BASE, at, XC_NONE)
    ROW(1, 0x90, F3, X_, X_, "pause", _, _, _, _, FN, BASE, IA_NOSFX,
        XC_NONE)
    ROW(1, 0x9b, ANY, X_, X_, "wait", _, _, _, _, FN, BASE, IA_NOSFX, XC_WAIT)
#include "insn-main.def"
#undef I
#define X87(op, e, r, n, a, b, f, ft, at, xc) \
    ROW(1, op, ANY, e, r, n, a, b, _, _, f, ft, (at) | NS, xc)
#define FM(op, e, n, m, at) X87(op, e, X_, n, m, _, FN, FPU, (at) | MM, XC_X87)
#define FR(op, e, n, a, b, f, ft) X87(op, e, X_, n, a, b, f, ft, MR, XC_X87)
#define F0(op, e, r, n) X87(op, e, r, n, _, _, FN, FPU, MR, XC_X87)
#define FMN(op, e, n, m) X87(op, e, X_, n, m, _, FN, FPU, MM, XC_X87_NW)
#define F0N(op, e, r, n) X87(op, e, r, n, _, _, FN, FPU, MR, XC_X87_NW)
#include "insn-x87.def"
#undef FM
#undef FR
#undef F0
#undef FMN
#undef F0N
#define J(m, op, e, r, p, n, a, b, c, f, ft, at) \
    ROW(m, op, p, e, r, n, a, b, c, _, f, ft, at, XC_SYS(ft, a))
#include "insn-0f.def"
#undef J
#define MAP_V0F MAP_V1
#define MAP_V38 MAP_V2
#define MAP_V3A MAP_V3
#define S(m, op, e, p, n, a, b, c, d, ft, at) \
    ROW(m, op, p, e, X_, n, a, b, c, d, FN, ft, at, \
        XC_VEC(m, ft, at, a, b, c, d))
#define V(m, op, e, p, n, a, b, c, d, ft, at) \
    ROW(V##m, op, p, e, X_, n, a, b, c, d, FN, ft, at, \
        XC_VEC(V##m, ft, at, a, b, c, d))
#define SF(m, op, e, p, n, a, b, c, d, ft, at) \
    ROW(m, op, p, e, X_, n, a, b, c, d, FA, ft, at, \
        XC_VEC(m, ft, at, a, b, c, d))
#define VF(m, op, e, p, n, a, b, c, d, ft, at) \
    ROW(V##m, op, p, e, X_, n, a, b, c, d, FA, ft, at, \
        XC_VEC(V##m, ft, at, a, b, c, d))
#include "insn-sse.def"
#include "insn-vex.def"
};

const unsigned insn_row_count = sizeof(insn_rows) / sizeof(insn_rows[0]);
