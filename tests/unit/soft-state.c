/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * soft-state.c - what state the table says an instruction needs, and what the
 * engine raises without it: every row of x87, MMX, SSE, AVX and XSAVE under
 * every setting of CR0.EM, TS, MP, CR4.OSFXSR, OSXSAVE, XCR0 and a pending
 * x87 exception; misaligned operands; real mode.
 * Intel SDM vol. 2, 2.4 and vol. 3, tables 23-2 to 23-5; vol. 1, 8.3.12.
 */
#include "config.h"
#include "tests/tern-test.h"
#include "soft-cases.h"

enum { S_EM = 1, S_TS = 2, S_MP = 4, S_FXSR = 8, S_XSAVE = 16, S_AVX = 32,
       S_MF = 64, S_COUNT = 128 };

static bool has_operand(const InsnRow *r, unsigned lo, unsigned hi)
{
    for (int i = 0; i < 4; i++) {
        unsigned k = OSPEC_KIND(r->o[i]);

        if (k >= lo && k <= hi) {
            return true;
        }
    }
    return false;
}

/* The exception of a row under a state, -1: none. */
static int expected(const InsnRow *r, bool mem, unsigned k)
{
    int nm = k & S_TS ? EXC_NM : -1, mf = k & S_MF ? EXC_MF : -1;
    bool sse = k & S_FXSR && !(k & S_EM);

    switch (r->exc) {
    case XC_NONE: case XC_13: return -1;
    case XC_X87: return k & (S_EM | S_TS) ? EXC_NM : mf;
    case XC_X87_NW: case XC_FXSR: return k & (S_EM | S_TS) ? EXC_NM : -1;
    case XC_WAIT: return (k & (S_MP | S_TS)) == (S_MP | S_TS) ? EXC_NM : mf;
    case XC_XSAVE: return k & S_XSAVE ? nm : EXC_UD;
    case XC_XCR: return k & S_XSAVE ? -1 : EXC_UD;
    case XC_MMX: case XC_MMX_FP:
        if (has_operand(r, OK_V, OK_U) ? !sse : k & S_EM) {
            return EXC_UD;
        }
        /* from memory to a vector: no x87 state in it */
        return nm >= 0 || (mem && r->op == 0x2a) ? nm : mf;
    default:
        if (r->map >= MAP_V1 ? (k & (S_XSAVE | S_AVX)) != (S_XSAVE | S_AVX) :
            !sse) {
            return EXC_UD;
        }
        return nm;
    }
}

static bool is_mem(const Insn *d)
{
    return d->modrm_there && d->modrm < 0xc0;
}

static bool plain_address(const Insn *d)
{
    return d->base != BASE_NONE &&
        (d->index == BASE_NONE || d->row->exc == XC_12);
}

/* One plain instance of the row, in the mode of now. */
static bool instance(const InsnRow *r, Insn *d)
{
    uint8_t b[16];

    for (int i = 0; i < 100000; i++) {
        encode(r, b);
        if (insn_decode(d, b, 15, mode) == INSN_OK && d->row == r &&
            d->seg_override == SEG_NONE && !d->p67 && !d->lock &&
            d->base != BASE_RIP && (!is_mem(d) || plain_address(d))) {
            return true;
        }
    }
    return false;
}

/* Registers so that memory operands are at ARENA, aligned, and harmless. */
static void prepare(const Insn *d, unsigned k, unsigned off)
{
    X86Regs *x = rig.c->x;

    rig_long(&rig, 0, 0x1000);
    x->cr0 = (x->cr0 & ~0xeull) | (k & S_EM ? 4 : 0) | (k & S_TS ? 8 : 0) |
        (k & S_MP ? 2 : 0);
    x->cr4 = (x->cr4 & ~0x40200ull) | (k & S_FXSR ? 0x200 : 0) |
        (k & S_XSAVE ? 0x40000 : 0);
    x->xcr0 = k & S_AVX ? 7 : 3;
    for (int i = 0; i < 16; i++) {
        x->gpr[i] = 0;
    }
    x->gpr[X86_RSP] = x->gpr[X86_RDI] = ARENA + 0x800;
    if (d->base != BASE_NONE && d->modrm_there) {
        x->gpr[d->base] = ARENA + 0x800 + off - (uint64_t)d->disp;
    }
    x->rip = CODE;
    memset(x->vec, 0, sizeof(x->vec));
    x->fcw = 0x37f;
    x->fsw = k & S_MF ? 0x81 : 0;
    x->fcw &= k & S_MF ? ~1 : ~0;
    x->ftag = 0xffff;
    memset(rig.ram + PA_ARENA, 0, 4096);
    memcpy(rig.ram + PA_CODE, d->bytes, d->len);
    memcpy(rig.ram + PA_CODE + d->len, "\x0f\x0b", 2);
    rig.gen[PA_CODE >> 12] = (rig.gen[PA_CODE >> 12] + 2) & ~1u;
}

static void open_rig(void)
{
    uint64_t next = 0x2000;

    mode = MODE_64;
    REQUIRE(rig_open(&rig));
    rig.take_exceptions = true;
    rig.c->cr4_valid |= 1ull << 22;
    rig_map(&rig, 0x1000, ARENA, PA_ARENA, 0x67, &next);
    rig_map(&rig, 0x1000, CODE, PA_CODE, 0x67, &next);
}

/* The exception of the instruction, -1: it went through to the ud2. */
static int run_one(const Insn *d)
{
    int r = SOFT_KICK;

    rig.exc = -1;
    soft_load(rig.c);
    for (int i = 0; i < 100 && r == SOFT_KICK; i++) {
        r = soft_run(rig.c);
    }
    soft_save(rig.c);
    if (r != SOFT_DEBUG) {
        return -2;
    }
    return rig.exc == EXC_UD && rig.c->x->rip == CODE + d->len ? -1 : rig.exc;
}

static const char *text_of(const Insn *d)
{
    static char text[128];

    return insn_text(d, CODE, text, sizeof(text));
}

/* Loads of a control structure from zeroed memory, which they may refuse, and
 * privileged writes of registers. */
static bool picky(const InsnRow *r)
{
    return !strcmp(r->name, "xrstor") || !strcmp(r->name, "xrstors") ||
        !strcmp(r->name, "xsetbv") || !strcmp(r->name, "xgetbv");
}

TEST(every_row_needs_its_state)
{
#ifdef CONFIG_TSAN
    SKIP("exceptions leave the engine by a jump, which the thread sanitizer "
         "does not follow so many times");
#endif
    unsigned rows = 0;

    TEST_LIMIT(300);
    seed = 1;
    open_rig();
    for (unsigned i = 0; i < insn_row_count; i++) {
        const InsnRow *r = &insn_rows[i];
        Insn d;

        if (r->exc == XC_NONE || !soft_bind(i)) {
            continue;
        }
        if (!instance(r, &d)) {
            tt_fail(__FILE__, __LINE__, "no instance of %s", r->name);
            continue;
        }
        rows++;
        for (unsigned k = 0; k < S_COUNT; k++) {
            int want = expected(r, is_mem(&d), k), got;

            prepare(&d, k, 0);
            got = run_one(&d);
            if (got != want && !(want == -1 && picky(r) && got == EXC_GP)) {
                tt_fail(__FILE__, __LINE__,
                        "%s: state %02x: exception %d, not %d", text_of(&d),
                        k, got, want);
                break;
            }
        }
    }
    printf("# %u rows\n", rows);
    CHECK(rows > 900);
    rig_close(&rig);
}

TEST(misaligned_operands)
{
    unsigned rows = 0;

    TEST_LIMIT(300);
    seed = 2;
    open_rig();
    for (unsigned i = 0; i < insn_row_count; i++) {
        const InsnRow *r = &insn_rows[i];
        bool strict = r->exc == XC_1 ||
            (r->map < MAP_V1 && (r->exc == XC_2 || r->exc == XC_4)) ||
            (r->exc == XC_MMX_FP && OSPEC_SIZE(r->o[1]) == OZ_dq);
        int got;
        Insn d;

        if (r->exc < XC_MMX_FP || r->exc == XC_12 || !soft_bind(i)) {
            continue;
        }
        for (int n = 0; n < 40; n++) {
            if (instance(r, &d) && is_mem(&d)) {
                break;
            }
        }
        if (!is_mem(&d)) {
            continue;
        }
        rows++;
        prepare(&d, S_FXSR | S_XSAVE | S_AVX, 1);
        got = run_one(&d);
        if (got != (strict ? EXC_GP : -1)) {
            tt_fail(__FILE__, __LINE__, "%s: exception %d", text_of(&d), got);
        }
    }
    printf("# %u rows\n", rows);
    CHECK(rows > 500);
    rig_close(&rig);
}

/* VEX is not there in real mode: its bytes are les and lds with a register. */
TEST(vex_is_refused_in_real_mode)
{
    uint8_t andn[] = { 0xc4, 0xe2, 0x78, 0xf2, 0xc1, 0xf4 };
    uint8_t vaddps[] = { 0xc5, 0xf4, 0x58, 0xc2, 0xf4 };

    REQUIRE(rig_open(&rig));
    rig.take_exceptions = true;
    for (int i = 0; i < 2; i++) {
        X86Regs *x = rig.c->x;

        rig_real(&rig);
        x = rig.c->x;
        x->cr4 = 0x40600;
        memcpy(rig.ram + 0x7c00, i ? vaddps : andn, i ? 5 : 6);
        rig.gen[7] = (rig.gen[7] + 2) & ~1u;
        soft_load(rig.c);
        CHECK_EQ(soft_run(rig.c), SOFT_DEBUG);
        CHECK_EQ(rig.exc, EXC_UD);
        CHECK_EQ(rig.c->r[R_IP], 0x7c00u);
    }
    rig_close(&rig);
}

/* ---- forms that cannot be compared with the host ------------------------- */
/* What the instruction is at; it must be there: whatever it does, it is not
 * #UD. In 64-bit mode, or in flat 32-bit code without paging. */
static bool is_there(const Insn *d)
{
    X86Regs *x = rig.c->x;
    uint64_t at = CODE;
    int r;

    prepare(d, S_FXSR | S_XSAVE | S_AVX, 0);
    x->cr4 |= 1ull << 22;
    x->star = 0x0010001000000000;
    if (mode == MODE_32) {
        at = PA_CODE;
        x->cr0 = 0x31;
        x->cr4 &= ~0x20ull;
        x->efer = 0;
        for (int i = 0; i < 6; i++) {
            x->seg[i] = rig_seg(0x10, i == X86_CS ? 0xc9b : 0xc93);
            x->gpr[i] = PA_ARENA;
        }
        x->rip = at;
    }
    rig.exc = -1;
    rig.c->single_req = true;
    soft_load(rig.c);
    r = soft_run(rig.c);
    soft_save(rig.c);
    rig.c->single_req = false;
    x->halted = 0;
    return !(r == SOFT_DEBUG && rig.exc == EXC_UD && x->rip == at);
}

/* Each form of the table is compared with the host, or is met here, or belongs
 * to virtualization, which is not offered. SOFT_LIST=1 prints which. */
TEST(every_form_is_tested)
{
    unsigned host = 0, here = 0, none = 0;
    bool list = getenv("SOFT_LIST");

    TEST_LIMIT(300);
    seed = 3;
    open_rig();
    for (unsigned i = 0; i < insn_row_count; i++) {
        const InsnRow *r = &insn_rows[i];
        bool met = false;
        Insn d;

        if (wanted(r, MODE_64) || wanted(r, MODE_32)) {
            host++;
            if (list) {
                printf("# host %u %02x %s\n", r->map, r->op, r->name);
            }
            continue;
        }
        if (!soft_bind(i)) {
            CHECK(r->feat == FEAT_VMX || r->feat == FEAT_SVM);
            none++;
            continue;
        }
        mode = r->attr & IA_I64 ? MODE_32 : MODE_64;
        /* a register that is not there is #UD, too */
        for (int n = 0; n < 60 && !met; n++) {
            met = instance(r, &d) && is_there(&d);
        }
        here++;
        if (list) {
            printf("# here %u %02x %s\n", r->map, r->op, r->name);
        }
        /* ud0 is #UD; rsm is, outside of SMM (soft-modes has it inside) */
        if (met != (strcmp(r->name, "ud0") && strcmp(r->name, "rsm"))) {
            tt_fail(__FILE__, __LINE__, "%s: %s", r->name,
                    met ? "there" : "not there");
        }
    }
    printf("# %u forms compared with the host, %u here, %u of virtualization\n",
           host, here, none);
    CHECK_EQ(host + here + none, insn_row_count);
    rig_close(&rig);
}
