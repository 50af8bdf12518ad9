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
#include <signal.h>
#include <sys/syscall.h>
#include <sys/ucontext.h>
#include <ucontext.h>
#include "config.h"
#include "tests/tern-test.h"
#include "soft-cases.h"

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

    /* a handler starts with the flags of what it interrupts: no AC here */
    __asm__ volatile("pushfq; andl $~0x40000, (%%rsp); popfq" : : : "memory",
                     "cc");
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
 * (SDM vol. 3, table 6-2): a misaligned operand beyond its segment, or in a
 * page that is not there; the two operands of a comparison. */
static bool same_class(const InsnRow *r, int a, int b)
{
    bool seg = (a == 12 || a == 13) && (b == 12 || b == 13);
    bool two = a >= 12 && a <= 14 && b >= 12 && b <= 14;

    if (in.flags & F_AC && (a == 17 || b == 17)) {
        int other = a == 17 ? b : a;

        return other == 12 || other == 14 ||
            (other == 13 && mode != MODE_64);
    }
    return mode != MODE_64 && (seg || (two && !strcmp(r->name, "cmps")));
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
        /* bsf and bsr of zero leave the destination undefined in name only;
         * how much of popa was done before its fault is the processor's */
        if (native.trap && soft.trap && !strcmp(r->name, "popa")) {
            continue;
        }
        DIFF("r", i, native.r[i], soft.r[i], in.r[i]);
    }
    DIFF("rip", 0, native.rip, soft.rip, in.rip);
    if (!same_class(r, native.trap, soft.trap)) {
        DIFF("trap", 0, native.trap, soft.trap, 0);
    }
    if (native.trap == 14 && soft.trap == 14) {
        /* natively a kernel lives in the upper half: present or not */
        DIFF("err", 0, native.err | native.cr2 >> 63,
             soft.err | native.cr2 >> 63, 0);
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

/* For the life of the process: the same addresses natively and in the guest. */
static void maps(void)
{
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
}

static void setup(void)
{
    static uint8_t stack[65536];
    stack_t ss = { .ss_sp = stack, .ss_size = sizeof(stack) };
    struct sigaction sa = { .sa_sigaction = handler,
                            .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
    uint64_t next = 0x2000;

    if (!arena) {
        maps();
    }
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

/* Where processors differ by right: a masked store may fault for bytes that it
 * leaves alone (Intel SDM, MASKMOVDQU, "mask of all 0s"), and some have a bit of
 * MXCSR for misaligned operands (AMD APM volume 1, 4.2.2), which others refuse. */
static bool either_is_right(const InsnRow *r)
{
    if (strstr(r->name, "maskmovq") || strstr(r->name, "maskmovdqu")) {
        return native.trap == EXC_PF && soft.trap != EXC_PF;
    }
    if (strstr(r->name, "ldmxcsr")) {
        return ld_le32(native.fx + 24) & 1 << 17 && soft.trap == EXC_GP;
    }
    return false;
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
    if (!wanted(r, mode) || (only && strcmp(only, r->name)) ||
        !host_has(r->feat) || !make_case(r, &d)) {
        return true;
    }
    current = n;
    run_native();
    run_soft();
    if (either_is_right(r)) {
        return true;
    }
    *ran = true;
    tested[r - insn_rows]++;
    if (compare(&d)) {
        return true;
    }
    printf("# SOFT_SEED=%" PRIu64 " SOFT_CASE=%" PRIu64 ": ", s, n);
    for (int i = 0; i < d.len; i++) {
        printf("%02x", d.bytes[i]);
    }
    printf(" %u bits %s; trap %d at %" PRIx64 "\n", 16u << mode,
           insn_text(&d, CODE + 2048, text, sizeof(text)), native.trap,
           native.cr2);
    return false;
}

/* Instructions that user code may not have: which exception, and that it comes
 * before any of their operands. */
static bool refused(const InsnRow *r)
{
    static const char *const vary[] = {     /* with the kernel's settings */
        "rdpmc", "rdtsc", "rdtscp", "syscall", "sysenter", "vmcall", "vmmcall",
        "invlpga", "skinit", "clgi", "stgi", "vmrun", "vmload", "vmsave", "in",
        "out", "ins", "outs", "xsaves", "xrstors", "monitorx", "mwaitx",
        "invpcid", "vmread", "vmwrite",
    };

    for (unsigned i = 0; i < ARRAY_SIZE(vary); i++) {
        if (!strcmp(r->name, vary[i])) {
            return false;
        }
    }
    return r->attr & IA_CPL0 && r->feat != FEAT_SVM && r->feat != FEAT_VMX &&
        !(r->attr & IA_O64);
}

TEST(refuses_as_the_host)
{
    unsigned rows = 0;

#ifdef CONFIG_TSAN
    SKIP("the thread sanitizer delays the signals that native code raises");
#endif
    TEST_LIMIT(300);
    setup();
    mode = MODE_64;
    for (unsigned i = 0; i < insn_row_count; i++) {
        const InsnRow *r = &insn_rows[i];
        bool met = false;
        char text[128];
        uint8_t b[16];
        Insn d;

        seed = i + 1;
        for (int n = 0; refused(r) && n < 300; n++) {
            encode(r, b);
            if (insn_decode(&d, b, 15, MODE_64) != INSN_OK || d.row != r ||
                d.lock) {
                continue;
            }
            memset(&in, 0, sizeof(in));
            random_fp();
            for (int k = 0; k < 16; k++) {
                in.r[k] = odd_value();
            }
            in.flags = 0x202;
            in.rip = CODE + 2048;
            memset(code + 2048, 0xf4, 96);
            memcpy(code + 2048, b, d.len);
            met = true;
            run_native();
            run_soft();
            if (native.trap != soft.trap || native.rip != soft.rip ||
                native.err != soft.err) {
                tt_fail(__FILE__, __LINE__, "%s: native %d, soft %d",
                        insn_text(&d, CODE + 2048, text, sizeof(text)),
                        native.trap, soft.trap);
                break;
            }
        }
        rows += met;
    }
    printf("# %u rows\n", rows);
    CHECK(rows > 20);
    rig_close(&rig);
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

    TEST_LIMIT(3500);
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
            const InsnRow *r = &insn_rows[i];
            bool here = wanted(r, MODE_64) || (has_ldt && wanted(r, MODE_32));

            if (here && host_has(r->feat) && !tested[i]) {
                tt_fail(__FILE__, __LINE__, "never tested: %s (%02x)",
                        r->name, r->op);
            }
        }
    }
    rig_close(&rig);
}
