/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * insn-short.h - the manuals' operand letters as constants.  Only for
 * insn-table.c, where the short names are local.
 */
#define W_(o) ((o) | OSPEC_W)
#define RW(o) ((o) | OSPEC_RW)
#define _ 0
#define O2(k, z) OSPEC(OK_##k, OZ_##z)

#define Eb O2(E, b)
#define Ew O2(E, w)
#define Ed O2(E, d)
#define Ev O2(E, v)
#define Ey O2(E, y)
#define Eq O2(E, q)
#define Rd O2(R, d)
#define Rv O2(R, v)
#define Ry O2(R, y)
#define Rk O2(R, k)
#define Rq O2(R, q)
#define Mz O2(M, 0)
#define Mb O2(M, b)
#define Mw O2(M, w)
#define Md O2(M, d)
#define Mq O2(M, q)
#define Mv O2(M, v)
#define My O2(M, y)
#define Mp O2(M, p)
#define Ma O2(M, a)
#define Ms O2(M, s)
#define Mt O2(M, t)
#define Mdq O2(M, dq)
#define Mqq O2(M, qq)
#define Mx O2(M, x)
#define Menv O2(M, env)
#define Mfst O2(M, fst)
#define M512 O2(M, 512)
#define Mvar O2(M, var)
#define Gb O2(G, b)
#define Gw O2(G, w)
#define Gd O2(G, d)
#define Gv O2(G, v)
#define Gz O2(G, z)
#define Gy O2(G, y)
#define Gk O2(G, k)
#define Gq O2(G, q)
#define Zb O2(Z, b)
#define Zv O2(Z, v)
#define By O2(B, y)
#define Ib O2(I, b)
#define Iw O2(I, w)
#define Iv O2(I, v)
#define Ibs O2(IS, b)
#define Iz O2(IS, z)
#define Jb O2(J, b)
#define Jz O2(J, z)
#define Ob O2(O, b)
#define Ov O2(O, v)
#define Ap O2(A, p)
#define Sw O2(S, w)
#define Ck O2(C, k)
#define Dk O2(D, k)
#define Xb O2(X, b)
#define Xv O2(X, v)
#define Xz O2(X, z)
#define Yb O2(Y, b)
#define Yv O2(Y, v)
#define Yz O2(Y, z)
#define Pq O2(P, q)
#define Qd O2(Q, d)
#define Qq O2(Q, q)
#define Nq O2(N, q)
#define Vx O2(V, x)
#define Vdq O2(V, dq)
#define Vqq O2(V, qq)
#define Wx O2(W, x)
#define Wxh O2(W, xh)
#define Wxq O2(W, xq)
#define Wxe O2(W, xe)
#define Wb O2(W, b)
#define Ww O2(W, w)
#define Wd O2(W, d)
#define Wq O2(W, q)
#define Wdq O2(W, dq)
#define Ux O2(U, x)
#define Udq O2(U, dq)
#define Hx O2(H, x)
#define Hdq O2(H, dq)
#define Hqq O2(H, qq)
#define Lx O2(L, x)
#define Ldq O2(L, dq)
#define VSd O2(VSIB, d)
#define VSq O2(VSIB, q)
#define STi O2(ST, t)
#define ST0 O2(ST0, t)
#define XM0 O2(XMM0, dq)
#define ONE O2(ONE, b)
#define rAL OSPEC_FIX(OK_FIX, OZ_b, 0)
#define rCL OSPEC_FIX(OK_FIX, OZ_b, 1)
#define rAX OSPEC_FIX(OK_FIX, OZ_v, 0)
#define rAXz OSPEC_FIX(OK_FIX, OZ_z, 0)
#define rAXw OSPEC_FIX(OK_FIX, OZ_w, 0)
#define rDXw OSPEC_FIX(OK_FIX, OZ_w, 2)
#define sES OSPEC_FIX(OK_FIXSEG, OZ_v, 0)
#define sCS OSPEC_FIX(OK_FIXSEG, OZ_v, 1)
#define sSS OSPEC_FIX(OK_FIXSEG, OZ_v, 2)
#define sDS OSPEC_FIX(OK_FIXSEG, OZ_v, 3)
#define sFS OSPEC_FIX(OK_FIXSEG, OZ_v, 4)
#define sGS OSPEC_FIX(OK_FIXSEG, OZ_v, 5)

#define I64 IA_I64
#define O64 IA_O64
#define D64 IA_D64
#define F64 IA_F64
#define LK IA_LOCK
#define NS IA_NOSFX
#define SX IA_SFX
#define BR IA_BRANCH
#define EN IA_END
#define K0 (IA_CPL0 | IA_END)
#define PM IA_PROT
#define MM IA_RMMEM
#define MR IA_RMREG
#define MX IA_MXCSR
#define AL IA_ALIGN
#define UN IA_UNALIGN
#define L0 IA_L0
#define L1 IA_L1
#define W0 IA_W0
#define W1 IA_W1
#define X_ 0xff

/* A row's exception class (InsnExc), from its operands, feature, attributes. */
#define KD(o, k) (OSPEC_KIND(o) == OK_##k)
#define ANY4(t, a, b, c, d) (t(a) || t(b) || t(c) || t(d))
#define IS_MMX(o) (KD(o, P) || KD(o, Q) || KD(o, N))
#define IS_VEC(o) (KD(o, V) || KD(o, W) || KD(o, U) || KD(o, H) || \
                   KD(o, L) || KD(o, XMM0))
#define IS_VSIB(o) KD(o, VSIB)
#define IS_MEM(o) (KD(o, M) || KD(o, W) || KD(o, E))
#define IS_WIDE(o) ((KD(o, M) || KD(o, W)) && \
                    (OSPEC_SIZE(o) == OZ_dq || OSPEC_SIZE(o) == OZ_qq || \
                     OSPEC_SIZE(o) == OZ_x))
#define XC_VEC(map, ft, at, a, b, c, d) \
    (FEAT_##ft == FEAT_MMX || ANY4(IS_MMX, a, b, c, d) ? \
         (at) & IA_MXCSR ? XC_MMX_FP : XC_MMX : \
     !((a) | (b) | (c) | (d)) ? XC_8 : \
     ANY4(IS_VSIB, a, b, c, d) ? XC_12 : \
     KD(a, M) && !(b) ? XC_5 : \
     !ANY4(IS_VEC, a, b, c, d) ? MAP_##map >= MAP_V1 ? XC_13 : XC_NONE : \
     FEAT_##ft == FEAT_F16C ? XC_11 : \
     (at) & IA_RMREG || !ANY4(IS_MEM, a, b, c, d) ? XC_7 : \
     (at) & IA_ALIGN ? XC_1 : \
     !ANY4(IS_WIDE, a, b, c, d) ? (at) & IA_MXCSR ? XC_3 : XC_5 : \
     (at) & IA_MXCSR ? XC_2 : (at) & IA_UNALIGN ? XC_5 : XC_4)
#define XC_SYS(ft, a) \
    (FEAT_##ft == FEAT_FXSR ? XC_FXSR : \
     FEAT_##ft == FEAT_SSE && ((a) & 0x3fff) == Md ? XC_5 : \
     FEAT_##ft < FEAT_XSAVE || FEAT_##ft > FEAT_XSAVES ? XC_NONE : \
     (a) ? XC_XSAVE : XC_XCR)
