/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * soft-cases.h - random instances of the user-mode forms of the instruction
 * table, with registers and memory that suit them: for soft-diff.c and others.
 */
#ifndef TESTS_UNIT_SOFT_CASES_H
#define TESTS_UNIT_SOFT_CASES_H

#include <asm/ldt.h>
#include "soft-rig.h"

/* Each program uses a part of this. */
#pragma GCC diagnostic ignored "-Wunused-variable"

#define ARENA 0x10000000ull             /* linear and native */
#define PAGES 4u                        /* writable, then one read-only */
#define ARENA_LEN ((PAGES + 1) * 4096ull)
#define CODE 0x10100000ull
#define PA_ARENA 0x200000ull
#define PA_CODE 0x300000ull

/* Entries of the LDT: code and data of each mode. Flat 32-bit code has the
 * flat data segment of the system. */
enum { LDT_CODE32, LDT_CODE16, LDT_DATA, LDT_LIMITED, LDT_DOWN, LDT_GS,
       LDT_COUNT };
#define LDT_SEL(n) ((n) << 3 | 7)
#define FLAT_DATA 0x2b
#define GS_BASE 0x3000u
static struct user_desc ldt[LDT_COUNT] = {
    [LDT_CODE32] = { .limit = 0xfffff, .limit_in_pages = 1, .contents = 2,
                     .seg_32bit = 1 },
    [LDT_CODE16] = { .base_addr = CODE, .limit = 0xfffff, .limit_in_pages = 1,
                     .contents = 2 },
    [LDT_DATA] = { .base_addr = ARENA, .limit = 0xfffff, .limit_in_pages = 1,
                   .seg_32bit = 1 },
    [LDT_LIMITED] = { .base_addr = ARENA, .limit = 0x2fff, .seg_32bit = 1 },
    [LDT_DOWN] = { .base_addr = ARENA, .limit = 0x13ff, .contents = 1,
                   .seg_32bit = 1 },
    [LDT_GS] = { .base_addr = GS_BASE, .limit = 0xfffff, .limit_in_pages = 1,
                 .seg_32bit = 1 },
};
/* Of the case: mode, selectors. */
static int mode;
static uint16_t code_sel, data_sel;
static bool has_ldt;                    /* else 64-bit code only */

typedef struct State {
    uint64_t r[16], rip, flags;
    uint8_t fx[512];                    /* FXSAVE layout */
    uint8_t ymmh[256];
    int trap;
    uint64_t err, cr2;
    uint8_t mem[ARENA_LEN];
} State;

static State in, native, soft;
static uint8_t *arena, *code;
static Rig rig;
static uint64_t seed;

static uint64_t rnd(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed * 0x2545f4914f6cdd1dull;
}
/* ---- cases --------------------------------------------------------------- */
static uint64_t odd_value(void)
{
    static const uint64_t v[] = {
        0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff,
        0x80000000, 0xffffffff, 0x7fffffffffffffff, 0x8000000000000000,
        0xffffffffffffffff, 0x3ff0000000000000, 0x7ff0000000000000,
        0x7ff8000000000000, 0xfff0000000000001, 0x0010000000000000,
        0x000fffffffffffff, 0x3f8000003f800000, 0x7f800000ff800000,
        0x7fc000007f800001, 0x0080000000000001, 0x4330000000000000,
        0x5555555555555555, 0xc1e0000000000000, 0x41dfffffffc00000,
    };
    uint64_t k = rnd();

    switch (k & 3) {
    case 0: return v[(k >> 8) % ARRAY_SIZE(v)];
    case 1: return rnd() >> (k >> 8 & 63);
    case 2: return v[(k >> 8) % ARRAY_SIZE(v)] + (int)(k >> 16 & 7) - 3;
    default: return rnd();
    }
}

static bool wanted(const InsnRow *r, int m)
{
    static const char *const not_here[] = {
        "cpuid", "rdtsc", "rdtscp", "rdpmc", "rdrand", "rdseed", "int", "int3",
        "int1", "syscall", "sysenter", "sysexit", "sysret", "iret", "lret",
        "lcall", "ljmp", "ret", "wrfsbase", "wrgsbase", "rdfsbase", "rdgsbase",
        "popf", "pushf", "pop", "mov.toseg", "mov.fromseg", "lss", "lfs",
        "lgs", "xgetbv", "xsave", "xrstor", "xsaveopt", "xsavec", "rdpid",
        "rdpkru", "wrpkru", "monitor", "mwait", "lar", "lsl", "verr", "verw",
        "sldt", "str", "sgdt", "sidt", "smsw", "fxsave", "fxrstor", "fnstenv",
        "fldenv", "fnsave", "frstor", "jmp", "call", "push", "rsm", "ud0",
        "prefetchw.alias", "fneni", "fndisi", "fnsetpm", "xchg.acc", "sti",
        "cli", "clac", "stac", "swapgs", "in", "out", "ins", "outs", "hlt",
        "vmmcall", "vmcall", "clflushopt", "clwb", "les", "lds", "iret.l",
    };

    if (r->attr & (IA_CPL0 | IA_IO | IA_INTERCEPT) ||
        r->attr & (m == MODE_64 ? IA_I64 : IA_O64)) {
        return false;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(not_here); i++) {
        if (!strcmp(r->name, not_here[i])) {
            /* the plain forms of these are fine */
            return OSPEC_KIND(r->o[0]) == OK_J ||
                ((!strcmp(r->name, "push") || !strcmp(r->name, "pop")) &&
                 OSPEC_KIND(r->o[0]) != OK_FIXSEG);
        }
    }
    return true;
}

static unsigned encode(const InsnRow *r, uint8_t *b)
{
    unsigned n = 0;
    uint64_t k = rnd();
    uint8_t rex = k & 1 || mode != MODE_64 ? 0 : 0x40 | (k >> 1 & 15);

    if (!(k >> 50 & 7)) {
        b[n++] = "\x26\x2e\x36\x3e\x65\x65"[(k >> 53) % 6];
    }
    if (r->map >= MAP_V1) {
        static const uint8_t pp[] = { 0, 0, 0, 1, 2, 3 };
        /* AMD and Intel part over W of these outside 64-bit mode */
        bool part = mode != MODE_64 && (!strncmp(r->name, "vpextr", 6) ||
                                        !strncmp(r->name, "vpinsr", 6));
        bool w = r->attr & IA_W1 ? 1 : r->attr & IA_W0 || part ? 0 :
            k >> 5 & 1;
        bool l = r->attr & IA_L1 ? 1 : r->attr & IA_L0 ? 0 : k >> 6 & 1;
        unsigned v = 15;

        for (int i = 0; i < 4; i++) {
            unsigned kind = OSPEC_KIND(r->o[i]);

            if (kind == OK_H || kind == OK_B) {
                v = k >> 8 & 15;
            }
        }
        if (mode != MODE_64) {
            k |= 0xe0 << 12;            /* eight registers */
            v |= 8;
        }
        b[n++] = 0xc4;
        b[n++] = (k >> 12 & 0xe0) | (r->map - MAP_V1 + 1);
        b[n++] = w << 7 | v << 3 | l << 2 | pp[r->pfx];
    } else {
        if (r->pfx == PFX_66 || ((r->pfx == PFX_ANY || r->pfx == PFX_NR) &&
                                 !(k >> 5 & 3) && !(r->attr & IA_F64))) {
            b[n++] = 0x66;
        }
        if (r->pfx == PFX_F3) {
            b[n++] = 0xf3;
        } else if (r->pfx == PFX_F2) {
            b[n++] = 0xf2;
        } else if (r->attr & (IA_REP | IA_REPZ) && k >> 8 & 1) {
            b[n++] = k >> 9 & 1 ? 0xf3 : 0xf2;
        } else if (r->attr & IA_LOCK && !(k >> 10 & 3)) {
            b[n++] = 0xf0;
        }
        if (!(k >> 12 & 31)) {
            b[n++] = 0x67;
        }
        if (r->attr & IA_W1 && mode == MODE_64) {
            rex |= 0x48;
        }
        if (r->attr & IA_W0) {
            rex &= ~8;
        }
        if (rex) {
            b[n++] = rex;
        }
        if (r->map != MAP_1) {
            b[n++] = 0x0f;
        }
        if (r->map == MAP_38 || r->map == MAP_3A) {
            b[n++] = r->map == MAP_38 ? 0x38 : 0x3a;
        }
    }
    b[n++] = r->op + (r->attr & IA_PLUSR ? k >> 20 & 7 : 0);
    b[n] = rnd();
    if (r->ext != 0xff) {
        b[n] = (b[n] & 0xc7) | r->ext << 3;
    }
    if (r->rm != 0xff || r->attr & IA_RMREG) {
        b[n] |= 0xc0;
    }
    if (r->rm != 0xff) {
        b[n] = (b[n] & 0xf8) | r->rm;
    }
    n++;
    while (n < 15) {
        b[n++] = rnd();
    }
    return n;
}

static uint64_t data_base(void)
{
    return mode == MODE_64 || data_sel == FLAT_DATA ? 0 : ARENA;
}

static uint64_t arena_address(void)
{
    uint64_t k = rnd();

    /* an access over the end of a 4-GiB segment is the processor's choice */
    if (data_base() && !(k & 63)) {
        k |= 1;
    }
    switch (k & 63) {
    case 0: return ARENA - 4 + (k >> 8 & 7);
    case 1: return ARENA + PAGES * 4096 - 4 + (k >> 8 & 7);
    case 2: return ARENA + ARENA_LEN - 4 + (k >> 8 & 7);
    case 3: case 4: return ARENA + 4096 - 8 + (k >> 8 & 15);
    default:
        return ARENA + 1024 + (k >> 8) % (PAGES * 4096 - 2048) /
            (k & 64 ? 32 : 1) * (k & 64 ? 32 : 1);
    }
}

static void random_fp(void)
{
    FxImage *f = (FxImage *)in.fx;

    memset(in.fx, 0, sizeof(in.fx));
    f->fcw = 0x37f & ~(rnd() & 7 ? 0 : rnd() & 0x33f);
    f->fcw |= rnd() & 0xc00;
    if (!(rnd() & 7)) {
        f->fcw = (f->fcw & ~0x300) | (rnd() & 1 ? 0x200 : 0);
    }
    f->fsw = (rnd() & 0x3800) | (rnd() & 0x4700);
    f->ftw = rnd() & 3 ? 0xff : rnd();
    f->mxcsr = 0x1f80 | (rnd() & 0xe03f);
    if (!(rnd() & 15)) {
        f->mxcsr &= ~(rnd() & 0x1f80);
    }
    if (f->mxcsr & 0x3f & ~(f->mxcsr >> 7)) {
        f->mxcsr &= ~0x3f;
    }
    for (int i = 0; i < 8; i++) {
        uint64_t k = rnd();

        f->st[i].mant = k & 3 ? odd_value() | 1ull << 63 : odd_value();
        f->st[i].se = k >> 8 & 7 ? 0x3fff - 40 + (k >> 16) % 90 :
            k >> 16 & 1 ? 0x7fff : 0;
        f->st[i].se |= k >> 24 & 0x8000;
    }
    for (int i = 0; i < 32; i++) {
        uint64_t v = odd_value();

        memcpy(in.fx + 160 + 8 * i, &v, 8);
        v = odd_value();
        memcpy(in.ymmh + 8 * i, &v, 8);
    }
}

/* Steers the memory operand into the arena. */
static bool aim(const Insn *d)
{
    uint64_t to = arena_address(), now;
    bool mem = false;

    to -= d->seg_override == SEG_GS ? GS_BASE : data_base();
    for (int i = 0; i < d->nop; i++) {
        mem |= d->o[i].kind == OK_M;
        if (d->o[i].kind == OK_VSIB) {
            uint8_t *ix = in.fx + 160 + 16 * d->index;

            if (d->base == BASE_NONE || d->addrsize != 8 ||
                d->seg_override == SEG_GS) {
                return false;
            }
            for (int k = 0; k < 4; k++) {
                uint64_t v = rnd() & 0xff;

                st_le32(ix + 4 * k, d->row->op & 1 && k & 1 ? 0 : v);
                st_le32(in.ymmh + 16 * d->index + 4 * k,
                        d->row->op & 1 && k & 1 ? 0 : v);
            }
            in.r[d->base] = ARENA + 4096 - d->disp;
            return true;
        }
    }
    if (!mem) {
        return true;
    }
    if (!strcmp(d->row->name, "movabs")) {
        return true;
    }
    if (d->base == BASE_NONE || d->base == BASE_RIP ||
        d->base == d->index) {
        return false;
    }
    if (d->index != BASE_NONE) {
        in.r[d->index] &= 0xffff;
    }
    if (!strncmp(d->row->name, "bt", 2) && d->o[1].kind == OK_G) {
        in.r[d->o[1].reg] = (rnd() & 0xfff) - 0x800;
        if (d->o[1].reg == d->base || d->o[1].reg == d->index) {
            return false;
        }
    }
    now = d->disp;
    if (d->index != BASE_NONE) {
        now += in.r[d->index] * d->scale;
    }
    in.r[d->base] = to - now;
    return true;
}

static unsigned undefined;             /* FB_... after the case               */

/* Arithmetic on registers after the instruction, and half the time a branch:
 * the engine may leave out flags that are overwritten, and do an operation and
 * its branch at once. Nothing may depend on what is undefined. */
static void add_tail(unsigned at)
{
    static const uint8_t ops[] = { 0x01, 0x09, 0x21, 0x29, 0x31, 0x39, 0x11,
                                   0x19, 0x85, 0x89, 0x03, 0x2b, 0xaf, 0x40,
                                   0x90, 0xc1, 0xff, 0xf7, 0x83, 0xb6 };
    unsigned n = rnd() & 3;
    bool jump = rnd() & 1;

    while (n + jump) {
        uint8_t b[16] = { 0x48 | (rnd() & 13) }, op = ops[rnd() % sizeof(ops)];
        unsigned k = 1, mod = 0xc0 | (rnd() & 63);
        Insn d;

        if (!n) {
            b[0] = op = 0x70 | (rnd() & 15);
            jump = false;
        } else {
            n--;
            if (op == 0xaf || op == 0xb6 || (op & 0xcf) == 0x40 || op == 0x90) {
                b[k++] = 0x0f;
            }
            mod = op == 0xc1 ? 0xe0 | (mod & 15) | (mod & 8 ? 0x18 : 0) :
                op == 0xff ? mod & 0xcf : op == 0xf7 ? (mod & 7) | 0xd8 : mod;
            op += op == 0x40 || op == 0x90 ? rnd() & 15 : 0;
            b[k++] = op;
            b[k++] = mod;
        }
        b[k++] = rnd() % 15 + 1;        /* immediate or way                   */
        if (insn_decode(&d, b, 15, MODE_64) != INSN_OK ||
            insn_flag_sets[d.row->flags].rd & undefined) {
            continue;
        }
        memcpy(code + at, b, d.len);
        at += d.len;
        undefined &= ~insn_flag_sets[d.row->flags].wr;
        undefined |= insn_flag_sets[d.row->flags].undef;
    }
}

static bool make_case(const InsnRow *r, Insn *d)
{
    uint8_t b[16];

    encode(r, b);
    if (insn_decode(d, b, 15, mode) != INSN_OK || d->row != r) {
        return false;
    }
    if (!strcmp(r->name, "movabs")) {
        uint64_t to = arena_address() - data_base();

        memcpy(b + d->len - d->addrsize, &to, d->addrsize);
        insn_decode(d, b, 15, mode);
    }
    if (d->o[0].kind == OK_J) {
        memset(b + d->len - d->imm_size, 0, d->imm_size);
        b[d->len - d->imm_size] = rnd() & 15;
        insn_decode(d, b, 15, mode);
    }
    /* AMD and Intel part over 66 on near branches */
    if (r->attr & IA_F64 && d->p66) {
        return false;
    }
    for (int i = 0; i < 16; i++) {
        in.r[i] = odd_value();
    }
    in.r[X86_RSP] = (arena_address() & ~7ull) - data_base();
    in.r[X86_RBP] = arena_address() - data_base();
    in.r[X86_RSI] = arena_address() - data_base();
    in.r[X86_RDI] = arena_address() - data_base();
    if (r->attr & (IA_REP | IA_REPZ) && d->rep) {
        in.r[X86_RCX] = rnd() & 63;
    }
    if (strstr(r->name, "maskmovq") || strstr(r->name, "maskmovdqu")) {
        /* where these fault is the processor's choice */
        in.r[X86_RDI] = ARENA + 0x1800 + rnd() % 4096 - data_base();
    }
    if (!strcmp(r->name, "xlat")) {
        in.r[X86_RBX] = arena_address() - data_base();
    }
    for (unsigned i = 0; i < PAGES * 512; i++) {
        uint64_t v = i & 3 ? rnd() : odd_value();

        memcpy(in.mem + 8 * i, &v, 8);
    }
    /* into its own bytes would be a loop, or another instruction */
    if (d->o[0].kind == OK_J && ((int64_t)d->imm != (int8_t)d->imm ||
                                 (int64_t)d->imm < 0)) {
        return false;
    }
    random_fp();
    /* a 16-bit double shift by more than 16 has no defined result */
    if (!strncmp(r->name, "sh", 2) && strlen(r->name) == 4 &&
        d->opsize == 2 && d->nop == 3) {
        in.r[X86_RCX] &= ~0x10ull;
        if (d->imm & 0x10 || d->base == X86_RCX || d->index == X86_RCX) {
            return false;
        }
    }
    if (!aim(d)) {
        return false;
    }
    in.flags = 0x202 | (rnd() & 0xcd5);
    /* With CR0.AM alignment checks; AMD and Intel part over those of masked
     * moves and gathers. */
    if (!(rnd() >> 20 & 15) && r->exc != XC_12 && !strstr(r->name, "maskmov")) {
        in.flags |= F_AC;
    }
    if (!strcmp(r->name, "into")) {
        in.flags &= ~0x800ull;          /* its trap goes through no fault */
    }
    in.rip = mode == MODE_16 ? 2048 : CODE + 2048;
    for (int i = 0; i < 16 && mode != MODE_64; i++) {
        in.r[i] = i < 8 ? (uint32_t)in.r[i] : 0;
    }
    memset(code + 2048, 0xf4, 96);
    memcpy(code + 2048, b, d->len);
    undefined = insn_flag_sets[r->flags].undef;
    if (!(r->attr & IA_BRANCH)) {
        add_tail(2048 + d->len);
    }
    return true;
}

#endif
