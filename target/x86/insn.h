/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * insn.h - the instruction table, its decoder and its disassembler.
 *
 * One row per instruction form of x86-64-v3, the system set, x87, MMX, SSE
 * to SSE4a, AVX, AVX2 and their companions.  Sources: AMD64 Architecture
 * Programmer's Manual vol. 3-5, appendices A and B; Intel SDM vol. 2,
 * chapters 2-5 and appendix A.
 *
 * Thread class: ANY_THREAD; the table is constant, the index over it is
 * built once.
 */
#ifndef TARGET_X86_INSN_H
#define TARGET_X86_INSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INSN_MAX 15

enum InsnMode { MODE_16, MODE_32, MODE_64 };

enum InsnMap {
    MAP_1, MAP_0F, MAP_38, MAP_3A,
    MAP_V1, MAP_V2, MAP_V3,           /* VEX, mmmmm = 1, 2, 3 */
    MAP_COUNT
};

/* Where an operand lives; the letters are the manuals'. */
enum OperandKind {
    OK_NONE,
    OK_E,       /* ModRM.rm: general register or memory */
    OK_R,       /* ModRM.rm: general register only */
    OK_M,       /* ModRM.rm: memory only */
    OK_G,       /* ModRM.reg: general register */
    OK_Z,       /* low three bits of the opcode: general register */
    OK_B,       /* VEX.vvvv: general register */
    OK_I,       /* immediate, zero extended */
    OK_IS,      /* immediate, sign extended to the operand size */
    OK_J,       /* relative branch */
    OK_O,       /* memory at an absolute offset */
    OK_A,       /* far pointer in the code */
    OK_S,       /* ModRM.reg: segment register */
    OK_C,       /* ModRM.reg: control register */
    OK_D,       /* ModRM.reg: debug register */
    OK_X,       /* DS:rSI */
    OK_Y,       /* ES:rDI */
    OK_P,       /* ModRM.reg: MMX register */
    OK_Q,       /* ModRM.rm: MMX register or memory */
    OK_N,       /* ModRM.rm: MMX register only */
    OK_V,       /* ModRM.reg: vector register */
    OK_W,       /* ModRM.rm: vector register or memory */
    OK_U,       /* ModRM.rm: vector register only */
    OK_H,       /* VEX.vvvv: vector register */
    OK_L,       /* immediate bits 7:4: vector register */
    OK_VSIB,    /* memory with a vector index */
    OK_ST,      /* ModRM.rm: x87 stack register */
    OK_ST0,     /* top of the x87 stack */
    OK_XMM0,    /* the implicit mask register */
    OK_FIX,     /* fixed general register, number in the spec */
    OK_FIXSEG,  /* fixed segment register, number in the spec */
    OK_ONE,     /* the constant 1 */
};

/* Size rules. */
enum OperandSize {
    OZ_0,       /* no size of its own (lea, invlpg, prefetch) */
    OZ_b, OZ_w, OZ_d, OZ_q,
    OZ_v,       /* 2, 4, 8: operand size */
    OZ_z,       /* 2, 4: operand size, 8 counts as 4 */
    OZ_y,       /* 4, 8: operand size, 2 counts as 4 */
    OZ_k,       /* 4 or 8 by the mode: control and debug registers */
    OZ_p,       /* far pointer, 2 + operand size */
    OZ_a,       /* pair of operand-size integers (bound) */
    OZ_s,       /* descriptor-table register, 6 or 10 */
    OZ_t,       /* 10 */
    OZ_dq,      /* 16 */
    OZ_qq,      /* 32 */
    OZ_x,       /* 16 or 32 by VEX.L */
    OZ_xh, OZ_xq, OZ_xe,   /* x/2, x/4, x/8 */
    OZ_env,     /* 14 or 28 */
    OZ_fst,     /* 94 or 108 */
    OZ_512,     /* fxsave image */
    OZ_var,     /* decided by state (xsave) */
};

/* An operand spec: kind | size | fixed register | access. */
#define OSPEC(k, z) ((uint16_t)((k) | (z) << 5))
#define OSPEC_FIX(k, z, r) ((uint16_t)((k) | (z) << 5 | (r) << 10))
#define OSPEC_KIND(o) ((o) & 31)
#define OSPEC_SIZE(o) ((o) >> 5 & 31)
#define OSPEC_REG(o) ((o) >> 10 & 15)
#define OSPEC_W 0x4000                /* written, not read */
#define OSPEC_RW 0x8000               /* read and written */

/* Prefix that selects the row. */
enum InsnPfx {
    PFX_ANY,    /* 66, F2, F3 do not take part in the selection */
    PFX_NR,     /* not after F2 or F3; 66 is the operand size */
    PFX_NP,     /* none of 66, F2, F3 */
    PFX_66, PFX_F3, PFX_F2,
};

/* Flag sets: which of CF PF AF ZF SF OF are read, written, undefined. */
enum InsnFlags {
    FN,         /* none */
    FA,         /* writes all */
    FADC,       /* reads CF, writes all */
    FLOG,       /* writes all but AF, which is undefined */
    FINC,       /* writes all but CF, which stays */
    FSH,        /* shift: writes by count, AF undefined, OF for count 1 */
    FRO,        /* rotate: CF, OF by count */
    FRC,        /* rotate through carry: reads CF */
    FMUL,       /* CF OF, others undefined */
    FDIV,       /* all undefined */
    FBT,        /* CF, ZF stays, others undefined */
    FBS,        /* ZF, others undefined */
    FCNT,       /* CF ZF, others undefined */
    FZF,        /* ZF only */
    FCF,        /* CF only */
    FRCF,       /* reads and writes CF only */
    FROF,       /* reads and writes OF only */
    FCC,        /* reads by the condition in the opcode */
    FALL,       /* loads the whole register */
    FRALL,      /* reads the whole register */
    FSAHF,      /* writes SF ZF AF PF CF */
    FLAHF,      /* reads SF ZF AF PF CF */
    FDAA,       /* reads AF CF, OF undefined */
    FAAA,       /* reads AF, writes AF CF, others undefined */
    FAAM,       /* SF ZF PF, others undefined */
    FCCX,       /* fcmov: reads CF ZF PF */
    FFCOMI,     /* writes ZF PF CF, clears others */
    FBMI,       /* OF SF ZF CF, AF PF undefined */
    FBEX,       /* OF ZF CF, AF PF SF undefined */
    FSALC,      /* reads CF */
    FINTO,      /* reads OF */
    FSTR,       /* string compare: reads DF, writes all */
    FSTRN,      /* other string: reads DF */
    INSN_FLAG_SETS
};
typedef struct InsnFlagSet { uint8_t rd, wr, undef; } InsnFlagSet;
/* Bits of InsnFlagSet. */
enum { FB_C = 1, FB_P = 2, FB_A = 4, FB_Z = 8, FB_S = 16, FB_O = 32 };
extern const InsnFlagSet insn_flag_sets[INSN_FLAG_SETS];

/* CPUID features that rows carry; FEAT_BASE is always there. */
enum InsnFeature {
    FEAT_BASE, FEAT_FPU, FEAT_CX8, FEAT_CMOV, FEAT_MMX, FEAT_SSE, FEAT_SSE2,
    FEAT_SSE3, FEAT_SSSE3, FEAT_SSE41, FEAT_SSE42, FEAT_SSE4A, FEAT_AVX,
    FEAT_AVX2, FEAT_FMA, FEAT_F16C, FEAT_AES, FEAT_PCLMUL, FEAT_VAES,
    FEAT_VPCLMUL, FEAT_SHA, FEAT_BMI1, FEAT_BMI2, FEAT_ADX, FEAT_MOVBE,
    FEAT_POPCNT, FEAT_LZCNT, FEAT_RDRAND, FEAT_RDSEED, FEAT_CX16, FEAT_FXSR,
    FEAT_XSAVE, FEAT_XSAVEOPT, FEAT_XSAVEC, FEAT_XSAVES, FEAT_FSGSBASE,
    FEAT_RDTSCP, FEAT_RDPID, FEAT_INVPCID, FEAT_SMAP, FEAT_PKU, FEAT_SEP,
    FEAT_SYSCALL, FEAT_MONITOR, FEAT_CLFLUSH, FEAT_CLFLUSHOPT, FEAT_CLWB,
    FEAT_PREFETCHW, FEAT_TSC, FEAT_MSR, FEAT_LAHF, FEAT_LM, FEAT_SVM,
    FEAT_VMX, FEAT_RDPMC, FEAT_COUNT
};

/* Exception classes: what state a row needs, and how its memory operand and
 * arithmetic may fail beside #PF, #GP and #SS. XC_1 to XC_13 are the types of
 * SDM vol. 2, 2.4; without VEX they need CR4.OSFXSR and not CR0.EM, with it
 * CR4.OSXSAVE and XCR0 (#UD), both not CR0.TS (#NM). */
enum InsnExc {
    XC_NONE,
    XC_X87,     /* #NM by EM or TS, #MF for what is pending */
    XC_X87_NW,  /* the same, does not wait for what is pending */
    XC_WAIT,    /* #NM by TS with MP, #MF */
    XC_FXSR,    /* #NM by EM or TS */
    XC_XSAVE,   /* #UD without CR4.OSXSAVE, #NM by TS */
    XC_XCR,     /* #UD without CR4.OSXSAVE */
    XC_MMX,     /* #UD by EM, #NM by TS, #MF; vector operands as XC_4 */
    XC_MMX_FP,  /* the same; 16 bytes aligned; #XM */
    XC_1,       /* operand aligned under VEX, too: #GP */
    XC_2,       /* aligned without VEX; #XM */
    XC_3,       /* scalar: any alignment; #XM */
    XC_4,       /* aligned without VEX; no #XM */
    XC_5,       /* any alignment; no #XM (type 6 when there is only VEX) */
    XC_7,       /* registers only */
    XC_8,       /* no operand */
    XC_11,      /* F16C: any alignment; #XM */
    XC_12,      /* gather */
    XC_13,      /* VEX on general registers: no state, #UD in real mode */
};

/* Row attributes. */
enum {
    IA_I64     = 1u << 0,   /* invalid in 64-bit mode */
    IA_O64     = 1u << 1,   /* only in 64-bit mode */
    IA_D64     = 1u << 2,   /* 64-bit mode: operand size 8 unless 66 */
    IA_F64     = 1u << 3,   /* 64-bit mode: operand size 8 always */
    IA_LOCK    = 1u << 4,   /* lock allowed on a memory destination */
    IA_REP     = 1u << 5,   /* F2 and F3 repeat */
    IA_REPZ    = 1u << 6,   /* F3 repeats while equal, F2 while not */
    IA_CPL0    = 1u << 7,   /* #GP unless CPL is 0 */
    IA_IOPL    = 1u << 8,   /* CPL against IOPL, vm86 rules */
    IA_IO      = 1u << 9,   /* I/O permission */
    IA_PROT    = 1u << 10,  /* #UD in real and vm86 mode */
    IA_BRANCH  = 1u << 11,  /* ends a block: control transfer */
    IA_END     = 1u << 12,  /* ends a block: changes the machine's state */
    IA_ALIGN   = 1u << 13,  /* memory operand aligned, whatever the encoding */
    IA_UNALIGN = 1u << 14,  /* 16-byte operand may be unaligned without VEX */
    IA_MXCSR   = 1u << 15,  /* uses and updates MXCSR */
    IA_RMREG   = 1u << 16,  /* ModRM.mod is 3 */
    IA_RMMEM   = 1u << 17,  /* ModRM.mod is not 3 */
    IA_NOSFX   = 1u << 18,  /* AT&T name takes no size suffix */
    IA_SFX     = 1u << 19,  /* AT&T name takes one even beside a register */
    IA_PLUSR   = 1u << 20,  /* eight opcodes, register in the low bits */
    IA_MODRM   = 1u << 21,  /* a ModRM byte without an operand in it */
    IA_W0      = 1u << 22, IA_W1 = 1u << 23,
    IA_L0      = 1u << 24, IA_L1 = 1u << 25,
    IA_INTERCEPT = 1u << 26, /* an accelerator always handles it itself */
    IA_REGMOD  = 1u << 27,  /* ModRM.mod is ignored, taken as 3 */
    IA_NOREX2  = 1u << 28,  /* 16-bit operand size never applies */
    IA_UMIP    = 1u << 29,  /* #GP outside CPL 0 when CR4.UMIP is set */
    IA_ABS     = 1u << 30,  /* AT&T: indirect branch, printed with a star */
    IA_PFX66   = 1u << 31,  /* 66 must be absent (LM-only encodings) */
};

typedef struct InsnRow {
    const char *name;       /* a part after '.' tells forms apart */
    uint16_t o[4];          /* destination first */
    uint8_t map, op, pfx;
    uint8_t ext, rm;        /* required ModRM.reg, ModRM.rm; 0xff: any */
    uint8_t flags, feat, exc;
    uint32_t attr;
} InsnRow;

extern const InsnRow insn_rows[];
extern const unsigned insn_row_count;

enum { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_NONE = 0xff };
enum { BASE_NONE = 0xff, BASE_RIP = 0x10 };

/* A resolved operand: what is where, how many bytes, read or written. */
typedef struct InsnOperand {
    uint8_t kind;           /* OperandKind; E, R, G, Z, B, FIX become OK_G or
                               OK_M; V, W, U, H, L, XMM0 become OK_V or OK_M;
                               P, Q, N become OK_P or OK_M */
    uint8_t reg;            /* register number */
    bool high;              /* AH CH DH BH: reg is 0..3 */
    bool rd, wr;
    uint16_t size;          /* bytes; 0 when the row gives none */
} InsnOperand;

typedef struct Insn {
    const InsnRow *row;
    uint8_t len, mode, opsize, addrsize, nop;
    uint8_t rep;            /* 0, 0xf2, 0xf3: the last one seen */
    bool lock, p66, p67, modrm_there, vex, vex_l, vex_w, rex_there;
    uint8_t rex;            /* low four bits: WRXB (also from VEX) */
    uint8_t vvvv;
    uint8_t seg_override;   /* SEG_NONE, or as prefixed */
    uint8_t opcode, modrm, sib;
    uint8_t seg, base, index, scale;   /* of the memory operand; 1,2,4,8 */
    uint8_t disp_size, imm_size, imm_off, disp_off;
    int64_t disp;
    uint64_t imm;           /* extended as its row says */
    uint16_t imm2;          /* enter's level, extrq's second, the selector of
                               a far pointer */
    InsnOperand o[4];
    uint8_t bytes[INSN_MAX];
} Insn;

enum InsnResult {
    INSN_OK,
    INSN_MORE,              /* the buffer ended inside the instruction */
    INSN_UD,                /* no such form; len covers what was looked at */
    INSN_LONG,              /* more than 15 bytes */
};

/*
 * Decode one instruction from n bytes.  mode: the code segment's size.  A
 * lock prefix where the form has no lockable memory destination gives
 * INSN_UD with row and len set.  ANY_THREAD.
 */
enum InsnResult insn_decode(Insn *in, const uint8_t *buf, size_t n, int mode);

/*
 * AT&T text of a decoded instruction at address pc into buf; the mnemonic is
 * padded to eight columns.  Returns buf.  ANY_THREAD.
 */
char *insn_text(const Insn *in, uint64_t pc, char *buf, size_t size);

/* Bytes of an operand of size rule z in this instruction. */
unsigned insn_operand_bytes(const Insn *in, unsigned z);

#endif
