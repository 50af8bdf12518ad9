/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * soft-diff.c - the software CPU against the processor it runs on: random
 * instances of every user-mode form of the instruction table, run natively
 * from a signal frame and in the engine, and every visible effect compared.
 * Code of 32 and 16 bits runs in segments of a local descriptor table.
 *
 * SOFT_SEED=n SOFT_CASE=n runs one case and prints it; SOFT_ROW=name keeps to
 * one name; SOFT_CASES=n sets their number.
 */
#include <asm/ldt.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/ucontext.h>
#include <ucontext.h>
#include "config.h"
#include "tests/tern-test.h"
#include "soft-rig.h"

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

/* ---- native -------------------------------------------------------------- */
static ucontext_t saved;
static uint8_t saved_fp[4096] __attribute__((aligned(64)));
static volatile sig_atomic_t phase;
static uint64_t current;

static void xstate_bits(uint8_t *fp)
{
    uint64_t bv = ld_le64(fp + 512);

    st_le64(fp + 512, bv | 7);
}

static void handler(int sig, siginfo_t *info, void *ctx)
{
    static const int where[16] = {
        REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
        REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15
    };
    ucontext_t *u = ctx;
    greg_t *g = u->uc_mcontext.gregs;
    uint8_t *fp = (uint8_t *)u->uc_mcontext.fpregs;

    if (phase == 0) {
        memcpy(&saved.uc_mcontext.gregs, g, sizeof(u->uc_mcontext.gregs));
        memcpy(saved_fp, fp, 832);
        for (int i = 0; i < 16; i++) {
            g[where[i]] = in.r[i];
        }
        g[REG_RIP] = in.rip;
        g[REG_EFL] = in.flags;
        if (mode != MODE_64) {
            g[REG_CSGSFS] = (g[REG_CSGSFS] & 0x0000ffffffff0000) | code_sel |
                (greg_t)((uint64_t)data_sel << 48);
        }
        memcpy(fp, in.fx, 416);
        memcpy(fp + 576, in.ymmh, 256);
        xstate_bits(fp);
        phase = 1;
        return;
    }
    if (sig == SIGFPE && phase != 1) {
        soft_vec_trap(ctx);
    }
    if (phase != 1) {
        printf("# signal %d at %p outside a native run: case %" PRIu64 "\n",
               sig, info->si_addr, current);
        fflush(stdout);
        signal(sig, SIG_DFL);
        return;
    }
    for (int i = 0; i < 16; i++) {
        native.r[i] = g[where[i]];
    }
    native.rip = g[REG_RIP];
    native.flags = g[REG_EFL];
    native.trap = g[REG_TRAPNO];
    native.err = g[REG_ERR];
    native.cr2 = g[REG_CR2];
    memcpy(native.fx, fp, 512);
    memset(native.ymmh, 0, 256);
    if (ld_le64(fp + 512) & 4) {
        memcpy(native.ymmh, fp + 576, 256);
    }
    if (!(ld_le64(fp + 512) & 2)) {
        memset(native.fx + 160, 0, 256);
    }
    if (!(ld_le64(fp + 512) & 1)) {
        memset(native.fx, 0, 24);
        native.fx[0] = 0x7f, native.fx[1] = 3;
        memset(native.fx + 32, 0, 128);
    }
    memcpy(g, &saved.uc_mcontext.gregs, sizeof(u->uc_mcontext.gregs));
    memcpy(fp, saved_fp, 832);
    phase = 2;
}

static void run_native(void)
{
    memcpy(arena, in.mem, PAGES * 4096);
    phase = 0;
    __asm__ volatile("mov %0, %%ds; mov %0, %%es; mov %1, %%gs"
                     : : "r"(data_sel), "r"(LDT_SEL(LDT_GS)));
    raise(SIGUSR1);
    memcpy(native.mem, arena, ARENA_LEN);
}

/* ---- the engine ---------------------------------------------------------- */
static X86Seg soft_segment(uint16_t sel)
{
    const struct user_desc *d = &ldt[sel >> 3];
    X86Seg g = { .sel = sel, .limit = 0xffffffff, .attr = 0xcf3 };

    if (sel & 4) {
        g.base = d->base_addr;
        g.limit = d->limit_in_pages ? d->limit << 12 | 0xfff : d->limit;
        g.attr = 0xf3 | d->contents << 2 | d->seg_32bit << 10 |
            d->limit_in_pages << 11;
    }
    return g;
}

static void run_soft(void)
{
    X86Regs *x = rig.c->x;
    FxImage *f = (FxImage *)in.fx;
    unsigned top = f->fsw >> 11 & 7;

    rig_long(&rig, 3, 0x1000);
    if (mode != MODE_64) {
        x->seg[X86_CS] = soft_segment(code_sel);
        x->seg[X86_SS] = x->seg[X86_DS] = x->seg[X86_ES] =
            soft_segment(data_sel);
    }
    x->seg[X86_GS] = soft_segment(LDT_SEL(LDT_GS));
    memcpy(x->gpr, in.r, sizeof(in.r));
    x->rip = in.rip;
    x->rflags = in.flags;
    x->fcw = f->fcw;
    x->fsw = f->fsw;
    x->mxcsr = f->mxcsr;
    x->ftag = soft_x87_tags(f);
    for (unsigned i = 0; i < 8; i++) {
        x->fpr[i].mant = f->st[(i - top) & 7].mant;
        x->fpr[i].se = f->st[(i - top) & 7].se;
    }
    for (unsigned i = 0; i < 16; i++) {
        memcpy(&x->vec[i], in.fx + 160 + 16 * i, 16);
        memcpy(&x->vec[i].q[2], in.ymmh + 16 * i, 16);
    }
    memcpy(rig.ram + PA_ARENA, in.mem, ARENA_LEN);
    memcpy(rig.ram + PA_CODE + 2048, code + 2048, 64);
    rig.gen[PA_CODE >> 12] = (rig.gen[PA_CODE >> 12] + 2) & ~1u;
    soft_load(rig.c);
    rig.take_exceptions = true;
    for (int i = 0; i < 1000 && soft_run(rig.c) != SOFT_DEBUG; i++) {
    }
    soft_save(rig.c);
    memcpy(soft.r, x->gpr, sizeof(soft.r));
    soft.rip = x->rip;
    soft.flags = x->rflags;
    soft.trap = rig.exc;
    soft.err = rig.err;
    soft.cr2 = x->cr2;
    memcpy(soft.fx, &rig.c->fx, 160);
    for (unsigned i = 0; i < 16; i++) {
        memcpy(soft.fx + 160 + 16 * i, &x->vec[i], 16);
        memcpy(soft.ymmh + 16 * i, &x->vec[i].q[2], 16);
    }
    st_le32(soft.fx + 24, x->mxcsr);
    memcpy(soft.mem, rig.ram + PA_ARENA, ARENA_LEN);
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

/* ---- comparison ---------------------------------------------------------- */
static uint32_t flag_bits(unsigned fb)
{
    return (fb & FB_C ? 1 : 0) | (fb & FB_P ? 4 : 0) | (fb & FB_A ? 16 : 0) |
        (fb & FB_Z ? 64 : 0) | (fb & FB_S ? 128 : 0) | (fb & FB_O ? 2048 : 0);
}

static void show(const char *what, unsigned i, uint64_t a, uint64_t b,
                 uint64_t was)
{
    printf("#   %s%u: native %016" PRIx64 " soft %016" PRIx64 " before %016"
           PRIx64 "\n", what, i, a, b, was);
}

/* Which of several faults of one access comes first is the processor's choice
 * (SDM vol. 3, table 6-2): a misaligned operand beyond its segment, the two
 * operands of a comparison. */
static bool same_class(const InsnRow *r, int a, int b)
{
    bool seg = (a == 12 || a == 13) && (b == 12 || b == 13);

    return mode != MODE_64 && (seg || (!strcmp(r->name, "cmps") &&
                                       a >= 12 && a <= 14 &&
                                       b >= 12 && b <= 14));
}

static bool compare(const Insn *d)
{
    const InsnRow *r = d->row;
    uint32_t fm = 0xcd5 & ~flag_bits(undefined);
    FxImage *a = (FxImage *)native.fx, *b = (FxImage *)soft.fx;
    bool ok = true;
    bool x87 = r->feat == FEAT_FPU || (r->op & 0xf8) == 0xd8 ||
        r->feat == FEAT_MMX;

#define DIFF(what, i, p, q, w) do { if ((p) != (q)) { ok = false; \
    show(what, i, p, q, w); } } while (0)
    for (unsigned i = 0; i < (mode == MODE_64 ? 16 : 8); i++) {
        /* bsf and bsr of zero leave the destination undefined in name only */
        DIFF("r", i, native.r[i], soft.r[i], in.r[i]);
    }
    DIFF("rip", 0, native.rip, soft.rip, in.rip);
    if (!same_class(r, native.trap, soft.trap)) {
        DIFF("trap", 0, native.trap, soft.trap, 0);
    }
    if (native.trap == 14 && soft.trap == 14) {
        DIFF("err", 0, native.err, soft.err, 0);
        /* masked stores fault somewhere in their range */
        if (!strstr(r->name, "maskmov") && strcmp(r->name, "cmps")) {
            DIFF("cr2", 0, native.cr2, soft.cr2, 0);
        }
    }
    if (native.trap != 13 || native.rip != in.rip) {
        DIFF("flags", 0, native.flags & fm, soft.flags & fm, in.flags);
    }
    for (unsigned i = 0; i < 16; i++) {
        uint64_t p[2], q[2];

        memcpy(p, native.fx + 160 + 16 * i, 16);
        memcpy(q, soft.fx + 160 + 16 * i, 16);
        DIFF("xmm.lo", i, p[0], q[0], 0);
        DIFF("xmm.hi", i, p[1], q[1], 0);
        memcpy(p, native.ymmh + 16 * i, 16);
        memcpy(q, soft.ymmh + 16 * i, 16);
        DIFF("ymm.lo", i, p[0], q[0], 0);
        DIFF("ymm.hi", i, p[1], q[1], 0);
    }
    DIFF("mxcsr", 0, a->mxcsr, b->mxcsr, ((FxImage *)in.fx)->mxcsr);
    DIFF("fcw", 0, a->fcw, b->fcw, 0);
    DIFF("fsw", 0, a->fsw, b->fsw, ((FxImage *)in.fx)->fsw);
    DIFF("ftw", 0, a->ftw, b->ftw, ((FxImage *)in.fx)->ftw);
    for (unsigned i = 0; i < 8; i++) {
        DIFF("st", i, a->st[i].mant, b->st[i].mant, 0);
        DIFF("st.se", i, a->st[i].se, b->st[i].se, 0);
    }
    (void)x87;
    for (unsigned i = 0; i < ARENA_LEN && ok; i += 8) {
        DIFF("mem", i, ld_le64(native.mem + i), ld_le64(soft.mem + i),
             ld_le64(in.mem + i));
    }
#undef DIFF
    return ok;
}

static void setup(void)
{
    static uint8_t stack[65536];
    stack_t ss = { .ss_sp = stack, .ss_size = sizeof(stack) };
    struct sigaction sa = { .sa_sigaction = handler,
                            .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
    uint64_t next = 0x2000;

    arena = mmap((void *)ARENA, ARENA_LEN, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    REQUIRE(arena == (void *)ARENA);
    mprotect(arena + PAGES * 4096, 4096, PROT_READ);
    mmap((void *)(ARENA - 65536), 65536, PROT_NONE,
         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    mmap((void *)(ARENA + ARENA_LEN), 65536, PROT_NONE,
         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    code = mmap((void *)CODE, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    REQUIRE(code == (void *)CODE);
    memset(code, 0xf4, 4096);
    sigaltstack(&ss, NULL);
    for (unsigned i = 0; i < 6; i++) {
        sigaction((const int[]){ SIGUSR1, SIGSEGV, SIGILL, SIGFPE, SIGTRAP,
                                 SIGBUS }[i], &sa, NULL);
    }
    for (unsigned i = 0; i < LDT_COUNT; i++) {
        ldt[i].entry_number = i;
        ldt[i].useable = 1;
        has_ldt = !syscall(SYS_modify_ldt, 1, &ldt[i], sizeof(ldt[i])) &&
            (has_ldt || !i);
    }
    REQUIRE(rig_open(&rig));
    for (unsigned i = 0; i <= PAGES; i++) {
        rig_map(&rig, 0x1000, ARENA + i * 4096, PA_ARENA + i * 4096,
                (1ull << 63) | (i == PAGES ? 0x65 : 0x67), &next);
    }
    rig_map(&rig, 0x1000, CODE, PA_CODE, 0x67, &next);
    memset(rig.ram + PA_CODE, 0xf4, 4096);
}

static bool host_has(unsigned feat)
{
    uint32_t a = 7, b, c = 0, d;

    __builtin_cpu_init();
    __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    switch (feat) {
    case FEAT_AVX: return __builtin_cpu_supports("avx");
    case FEAT_AVX2: return __builtin_cpu_supports("avx2");
    case FEAT_FMA: return __builtin_cpu_supports("fma");
    case FEAT_SSE4A: return __builtin_cpu_supports("sse4a");
    case FEAT_SHA: return b >> 29 & 1;
    case FEAT_VAES: return c >> 9 & 1;
    case FEAT_VPCLMUL: return c >> 10 & 1;
    default: return true;
    }
}

static unsigned tested[4096];

static void pick_mode(void)
{
    unsigned k = has_ldt ? rnd() >> 20 & 15 : 15;

    mode = k < 4 ? MODE_32 : k < 7 ? MODE_16 : MODE_64;
    code_sel = mode == MODE_32 ? LDT_SEL(LDT_CODE32) : LDT_SEL(LDT_CODE16);
    data_sel = mode == MODE_16 || k == 1 ? LDT_SEL(LDT_DATA) :
        k == 2 ? LDT_SEL(LDT_LIMITED) : k == 3 ? LDT_SEL(LDT_DOWN) : FLAT_DATA;
}

static bool one(uint64_t s, uint64_t n, const char *only, bool *ran)
{
    const InsnRow *r;
    char text[128];
    Insn d;

    seed = (s + n) * 0x9e3779b97f4a7c15ull | 1;
    rnd();
    rnd();
    *ran = false;
    pick_mode();
    r = &insn_rows[rnd() % insn_row_count];
    if (!wanted(r, mode) || (only && strcmp(only, r->name)) || !host_has(r->feat) ||
        !make_case(r, &d)) {
        return true;
    }
    *ran = true;
    current = n;
    run_native();
    run_soft();
    tested[r - insn_rows]++;
    if (compare(&d)) {
        return true;
    }
    printf("# SOFT_SEED=%" PRIu64 " SOFT_CASE=%" PRIu64 ": ", s, n);
    for (int i = 0; i < d.len; i++) {
        printf("%02x", d.bytes[i]);
    }
    printf(" %u bits %s\n", 16u << mode, insn_text(&d, CODE + 2048, text, sizeof(text)));
    return false;
}

TEST(agrees_with_the_host)
{
    const char *e = getenv("SOFT_CASES"), *only = getenv("SOFT_ROW");
    uint64_t cases = e ? strtoull(e, NULL, 0) : getenv("TEST_SLOW") ?
        4000000 : 100000;
    uint64_t s = getenv("SOFT_SEED") ? strtoull(getenv("SOFT_SEED"), NULL, 0) :
        1, n = 0, ran = 0, bad = 0;
    bool did;

#ifdef CONFIG_TSAN
    SKIP("the thread sanitizer delays the signals that native code raises");
#endif

    TEST_LIMIT(1800);
    setup();
    if (getenv("SOFT_CASE")) {
        CHECK(one(s, strtoull(getenv("SOFT_CASE"), NULL, 0), NULL, &did));
        return;
    }
    for (; ran < cases && n < 100 * cases; n++) {
        bad += !one(s, n, only, &did);
        ran += did;
        if (bad > 200) {
            break;
        }
    }
    printf("# %" PRIu64 " cases\n", ran);
    CHECK_EQ(bad, 0u);
    if (!only && !bad) {
        for (unsigned i = 0; i < insn_row_count; i++) {
            if ((wanted(&insn_rows[i], MODE_64) ||
                 (has_ldt && wanted(&insn_rows[i], MODE_32))) && host_has(insn_rows[i].feat) &&
                !tested[i]) {
                tt_fail(__FILE__, __LINE__, "never tested: %s (%02x)",
                        insn_rows[i].name, insn_rows[i].op);
            }
        }
    }
    rig_close(&rig);
}
