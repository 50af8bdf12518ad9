/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ops-alu.c - moves and two-operand arithmetic, one handler per operation,
 * size, operand kinds and address form.
 *
 * Thread class: the vCPU's thread.
 */
#include "alu.h"

/* Handlers of any address, which the others end in when the TLB misses. */
#define GENERAL(name) __attribute__((noinline)) H(name)

/* Operations that write their first operand. */
#define ALU_W(op, n) \
H(op##n##_rr) { T##n a = REG(n, s->ra), b = REG(n, s->rb), r; \
    OP_##op(n, a, b); SETREG(n, s->ra, r); NEXT; } \
H(op##n##_ri) { T##n a = REG(n, s->ra), b = s->imm, r; \
    OP_##op(n, a, b); SETREG(n, s->ra, r); NEXT; } \
ALU_WG(op, n) ALU_WM(op, n, b) ALU_WM(op, n, f)
#define ALU_WG(op, n) \
GENERAL(op##n##_rmg) { T##n b = ld##n(c, s, EA_g(n / 8, false)), r; \
    T##n a = REG(n, s->ra); \
    OP_##op(n, a, b); SETREG(n, s->ra, r); NEXT; } \
GENERAL(op##n##_mrg) { uint64_t la = EA_g(n / 8, true); \
    una_##n *p = rmw##n(c, s, la); T##n a, b = REG(n, s->rb), r; \
    if (LIKELY(p != NULL)) { a = *p; OP_##op(n, a, b); *p = r; NEXT; } \
    a = ld##n(c, s, la); \
    OP_##op(n, a, b); st##n(c, s, la, r); NEXT; } \
GENERAL(op##n##_mig) { uint64_t la = EA_g(n / 8, true); \
    una_##n *p = rmw##n(c, s, la); T##n a, b = s->imm, r; \
    if (LIKELY(p != NULL)) { a = *p; OP_##op(n, a, b); *p = r; NEXT; } \
    a = ld##n(c, s, la); \
    OP_##op(n, a, b); st##n(c, s, la, r); NEXT; }
#define ALU_WM(op, n, e) \
H(op##n##_rm##e) { uint64_t la = EA_##e(n / 8, false); T##n a, b, r; \
    FAST_LD(n, b, la, op##n##_rmg); a = REG(n, s->ra); \
    OP_##op(n, a, b); SETREG(n, s->ra, r); NEXT; } \
H(op##n##_mr##e) { uint64_t la = EA_##e(n / 8, true); T##n a, b, r; \
    FAST_AT(n, p, la, op##n##_mrg); a = *p; b = REG(n, s->rb); \
    OP_##op(n, a, b); *p = r; NEXT; } \
H(op##n##_mi##e) { uint64_t la = EA_##e(n / 8, true); T##n a, b, r; \
    FAST_AT(n, p, la, op##n##_mig); a = *p; b = s->imm; \
    OP_##op(n, a, b); *p = r; NEXT; }
/* Operations that only set flags. */
#define ALU_F(op, n) \
H(op##n##_rr) { T##n a = REG(n, s->ra), b = REG(n, s->rb), r; \
    OP_##op(n, a, b); NEXT; } \
H(op##n##_ri) { T##n a = REG(n, s->ra), b = s->imm, r; \
    OP_##op(n, a, b); NEXT; } \
ALU_FG(op, n) ALU_FM(op, n, b) ALU_FM(op, n, f)
#define ALU_FG(op, n) \
GENERAL(op##n##_rmg) { T##n b = ld##n(c, s, EA_g(n / 8, false)), r; \
    T##n a = REG(n, s->ra); OP_##op(n, a, b); NEXT; } \
GENERAL(op##n##_mrg) { T##n a = ld##n(c, s, EA_g(n / 8, false)), r; \
    T##n b = REG(n, s->rb); OP_##op(n, a, b); NEXT; } \
GENERAL(op##n##_mig) { T##n a = ld##n(c, s, EA_g(n / 8, false)), r; \
    T##n b = s->imm; OP_##op(n, a, b); NEXT; }
#define ALU_FM(op, n, e) \
H(op##n##_rm##e) { uint64_t la = EA_##e(n / 8, false); T##n a, b, r; \
    FAST_LD(n, b, la, op##n##_rmg); a = REG(n, s->ra); \
    OP_##op(n, a, b); NEXT; } \
H(op##n##_mr##e) { uint64_t la = EA_##e(n / 8, false); T##n a, b, r; \
    FAST_LD(n, a, la, op##n##_mrg); b = REG(n, s->rb); \
    OP_##op(n, a, b); NEXT; } \
H(op##n##_mi##e) { uint64_t la = EA_##e(n / 8, false); T##n a, b, r; \
    FAST_LD(n, a, la, op##n##_mig); b = s->imm; \
    OP_##op(n, a, b); NEXT; }
#define ALL(K, op) K(op, 8) K(op, 16) K(op, 32) K(op, 64)
ALL(ALU_W, add)
ALL(ALU_W, or)
ALL(ALU_W, adc)
ALL(ALU_W, sbb)
ALL(ALU_W, and)
ALL(ALU_W, sub)
ALL(ALU_W, xor)
ALL(ALU_F, cmp)
ALL(ALU_F, test)

/* lock: the operation on memory by compare-exchange. */
#define ALU_LOCK(op, n) \
static T##n op##n##_lock(SoftCpu *c, const Slot *s, T##n b) \
{ \
    uint64_t la = ea(c, s, n / 8, true); \
    una_##n *p = rmw##n(c, s, la); \
    T##n a, r; \
    uint64_t fres = c->fres, faux = c->faux; \
    if (LIKELY(p != NULL)) { \
        a = *(volatile una_##n *)p; \
        do { \
            c->fres = fres; \
            c->faux = faux; \
            OP_##op(n, a, b); \
        } while (!__atomic_compare_exchange_n((T##n *)p, &a, r, false, \
                                              __ATOMIC_SEQ_CST, \
                                              __ATOMIC_SEQ_CST)); \
        return a; \
    } \
    soft_lock_begin(c); \
    a = ld##n(c, s, la); \
    OP_##op(n, a, b); \
    st##n(c, s, la, r); \
    soft_lock_end(c); \
    return a; \
} \
H(op##n##_lock_r) { op##n##_lock(c, s, REG(n, s->rb)); NEXT; } \
H(op##n##_lock_i) { op##n##_lock(c, s, s->imm); NEXT; }
ALL(ALU_LOCK, add)
ALL(ALU_LOCK, or)
ALL(ALU_LOCK, adc)
ALL(ALU_LOCK, sbb)
ALL(ALU_LOCK, and)
ALL(ALU_LOCK, sub)
ALL(ALU_LOCK, xor)

#define FORMS(op, n) { op##n##_rr, op##n##_ri, \
    op##n##_rmb, op##n##_rmf, op##n##_rmg, \
    op##n##_mrb, op##n##_mrf, op##n##_mrg, \
    op##n##_mib, op##n##_mif, op##n##_mig }
#define SIZES(op) { FORMS(op, 8), FORMS(op, 16), FORMS(op, 32), FORMS(op, 64) }
static Handler *const alu_table[9][4][F_COUNT] = {
    SIZES(add), SIZES(or), SIZES(adc), SIZES(sbb), SIZES(and), SIZES(sub),
    SIZES(xor), SIZES(cmp), SIZES(test)
};
#define LKS(op) { { op##8_lock_r, op##8_lock_i }, \
    { op##16_lock_r, op##16_lock_i }, { op##32_lock_r, op##32_lock_i }, \
    { op##64_lock_r, op##64_lock_i } }
static Handler *const lock_table[7][4][2] = {
    LKS(add), LKS(or), LKS(adc), LKS(sbb), LKS(and), LKS(sub), LKS(xor)
};

/* The same without flags, for where they are dead. */
#define NF_add(a, b) (a + b)
#define NF_or(a, b) (a | b)
#define NF_and(a, b) (a & b)
#define NF_sub(a, b) (a - b)
#define NF_xor(a, b) (a ^ b)
#define NOFLAGS(op, n) \
H(op##n##_rr_nf) { T##n a = REG(n, s->ra), b = REG(n, s->rb); \
    SETREG(n, s->ra, NF_##op(a, b)); NEXT; } \
H(op##n##_ri_nf) { T##n a = REG(n, s->ra), b = s->imm; \
    SETREG(n, s->ra, NF_##op(a, b)); NEXT; } \
NOFLAGSM(op, n, b) NOFLAGSM(op, n, f)
#define NOFLAGSM(op, n, e) \
H(op##n##_rm##e##_nf) { uint64_t la = EA_##e(n / 8, 0); T##n a, b; \
    FAST_LD(n, b, la, op##n##_rmg); a = REG(n, s->ra); \
    SETREG(n, s->ra, NF_##op(a, b)); NEXT; }
#define WIDE(M, op) M(op, 32) M(op, 64)
WIDE(NOFLAGS, add)
WIDE(NOFLAGS, or)
WIDE(NOFLAGS, and)
WIDE(NOFLAGS, sub)
WIDE(NOFLAGS, xor)
#define NF_FORMS(op, n) { op##n##_rr_nf, op##n##_ri_nf, op##n##_rmb_nf, \
    op##n##_rmf_nf }
#define NF_SIZES(op) { NF_FORMS(op, 32), NF_FORMS(op, 64) }
static Handler *const noflags_table[ALU_TEST + 1][2][4] = {
    [ALU_ADD] = NF_SIZES(add), [ALU_OR] = NF_SIZES(or),
    [ALU_AND] = NF_SIZES(and), [ALU_SUB] = NF_SIZES(sub),
    [ALU_XOR] = NF_SIZES(xor)
};

static unsigned log_size(unsigned n)
{
    return n == 1 ? 0 : n == 2 ? 1 : n == 4 ? 2 : 3;
}

static unsigned form_of(const Xlate *x)
{
    const Insn *in = x->in;
    bool imm = in->o[1].kind == OK_I || in->o[1].kind == OK_IS;

    return !x->s->mem ? (imm ? F_RI : F_RR) : x->form +
        (x->s->mem == 2 ? F_RM : imm ? F_MI : F_MR);
}

static bool bind_alu(Xlate *x)
{
    const Insn *in = x->in;
    unsigned k = log_size(in->o[0].size);
    bool imm = in->o[1].kind == OK_I || in->o[1].kind == OK_IS;

    if (in->lock) {
        if (x->arg > 6) {
            return false;
        }
        x->s->fn = lock_table[x->arg][k][imm];
        return true;
    }
    x->s->sub = x->arg;
    x->s->rep = k << 4 | form_of(x);
    x->s->fn = alu_table[x->arg][k][form_of(x)];
    x->pure = !x->s->mem;
    if (k >= 2 && form_of(x) < F_RM + EA_GENERAL) {
        x->noflags = noflags_table[x->arg][k - 2][form_of(x)];
    }
    return true;
}

const Slot *soft_alu_general(SoftCpu *c, const Slot *s)
{
    unsigned form = s->rep & 15;

    form = form < F_RM ? form : form < F_MR ? F_RM + EA_GENERAL :
        form < F_MI ? F_MR + EA_GENERAL : F_MI + EA_GENERAL;
    return alu_table[s->sub][s->rep >> 4][form](c, s);
}

/* ---- mov, movzx, movsx, lea ---------------------------------------------- */
#define MOVS(n) \
H(mov##n##_rr) { SETREG(n, s->ra, REG(n, s->rb)); NEXT; } \
H(mov##n##_ri) { SETREG(n, s->ra, s->imm); NEXT; } \
MOVG(n) MOVM(n, b) MOVM(n, f)
#define MOVG(n) \
GENERAL(mov##n##_rmg) { \
    SETREG(n, s->ra, ld##n(c, s, EA_g(n / 8, false))); NEXT; } \
GENERAL(mov##n##_mrg) { \
    st##n(c, s, EA_g(n / 8, true), REG(n, s->rb)); NEXT; } \
GENERAL(mov##n##_mig) { st##n(c, s, EA_g(n / 8, true), s->imm); NEXT; }
#define MOVM(n, e) \
H(mov##n##_rm##e) { uint64_t la = EA_##e(n / 8, false); T##n v; \
    FAST_LD(n, v, la, mov##n##_rmg); SETREG(n, s->ra, v); NEXT; } \
H(mov##n##_mr##e) { uint64_t la = EA_##e(n / 8, true); \
    FAST_AT(n, p, la, mov##n##_mrg); *p = REG(n, s->rb); NEXT; } \
H(mov##n##_mi##e) { uint64_t la = EA_##e(n / 8, true); \
    FAST_AT(n, p, la, mov##n##_mig); *p = s->imm; NEXT; }
MOVS(8) MOVS(16) MOVS(32) MOVS(64)
static Handler *const mov_table[4][F_COUNT] = {
    FORMS(mov, 8), FORMS(mov, 16), FORMS(mov, 32), FORMS(mov, 64)
};

static bool bind_mov(Xlate *x)
{
    const Insn *in = x->in;

    x->s->fn = mov_table[log_size(in->o[0].size)][form_of(x)];
    x->pure = !x->s->mem;
    return true;
}

/* d: destination, n: source, T: type the source is taken as */
#define EXT(nm, d, n, T) \
H(nm##d##n##_r) { SETREG(d, s->ra, (int64_t)(T)REG(n, s->rb)); NEXT; } \
GENERAL(nm##d##n##_g) { \
    SETREG(d, s->ra, (int64_t)(T)ld##n(c, s, EA_g(n / 8, 0))); NEXT; } \
EXTM(nm, d, n, T, b) EXTM(nm, d, n, T, f)
#define EXTM(nm, d, n, T, e) \
H(nm##d##n##_##e) { uint64_t la = EA_##e(n / 8, 0); T v; \
    FAST_LD(n, v, la, nm##d##n##_g); SETREG(d, s->ra, (int64_t)v); NEXT; }
#define EXTS(nm, n, T) EXT(nm, 16, n, T) EXT(nm, 32, n, T) EXT(nm, 64, n, T)
EXTS(zx, 8, uint8_t)
EXTS(zx, 16, uint16_t)
EXTS(sx, 8, int8_t)
EXTS(sx, 16, int16_t)
EXTS(sx, 32, int32_t)
#define ER(nm, d, n) { nm##d##n##_r, nm##d##n##_b, nm##d##n##_f, \
    nm##d##n##_g }
#define ERS(nm, n) { ER(nm, 16, n), ER(nm, 32, n), ER(nm, 64, n) }
static Handler *const ext_table[5][3][4] = {
    ERS(zx, 8), ERS(zx, 16), ERS(sx, 8), ERS(sx, 16), ERS(sx, 32)
};

static bool bind_ext(Xlate *x)
{
    x->s->fn = ext_table[x->arg][log_size(x->in->opsize) - 1]
        [!x->s->mem ? 0 : 1 + x->form];
    x->pure = !x->s->mem;
    return true;
}

H(lea64) { c->r[s->ra >> 3] = ea_off(c, s); NEXT; }
H(lea64_b) { c->r[s->ra >> 3] = EA_b(8, 0); NEXT; }
H(lea64_f) { c->r[s->ra >> 3] = ea_flat(c, s); NEXT; }
H(lea32) { c->r[s->ra >> 3] = (uint32_t)ea_off(c, s); NEXT; }
H(lea32_b) { c->r[s->ra >> 3] = (uint32_t)EA_b(4, 0); NEXT; }
H(lea16) { *(una_16 *)RP(c, s->ra) = ea_off(c, s); NEXT; }
static bool bind_lea(Xlate *x)
{
    if (x->in->opsize == 8) {
        x->s->fn = x->form == EA_BASE ? lea64_b : x->form == EA_WIDE ?
            lea64_f : lea64;
    } else {
        x->s->fn = x->in->opsize == 2 ? lea16 : x->form == EA_BASE ? lea32_b :
            lea32;
    }
    x->pure = true;
    return true;
}

/* ---- inc, dec, not, neg -------------------------------------------------- */
#define UNARY(op, n) \
H(op##n##_r) { T##n a = REG(n, s->ra), r; OP_##op(n, a); \
    SETREG(n, s->ra, r); NEXT; } \
H(op##n##_m) { \
    uint64_t la = ea(c, s, n / 8, true); \
    una_##n *p = rmw##n(c, s, la); \
    T##n a, r; \
    uint64_t fres = c->fres, faux = c->faux; \
    if (UNLIKELY(!p)) { \
        if (s->lock) { soft_lock_begin(c); } \
        a = ld##n(c, s, la); OP_##op(n, a); st##n(c, s, la, r); \
        if (s->lock) { soft_lock_end(c); } \
        NEXT; \
    } \
    if (!s->lock) { a = *p; OP_##op(n, a); *p = r; NEXT; } \
    a = *(volatile una_##n *)p; \
    do { c->fres = fres; c->faux = faux; OP_##op(n, a); \
    } while (!__atomic_compare_exchange_n((T##n *)p, &a, r, false, \
                                          __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)); \
    NEXT; }
ALL(UNARY, inc)
ALL(UNARY, dec)
ALL(UNARY, not)
ALL(UNARY, neg)
#define UNARY_NF(op, n, e) \
H(op##n##_nf) { T##n a = REG(n, s->ra); SETREG(n, s->ra, e); NEXT; }
UNARY_NF(inc, 32, a + 1) UNARY_NF(inc, 64, a + 1)
UNARY_NF(dec, 32, a - 1) UNARY_NF(dec, 64, a - 1)
UNARY_NF(neg, 32, -a) UNARY_NF(neg, 64, -a)
#define UN(op) { { op##8_r, op##8_m }, { op##16_r, op##16_m }, \
    { op##32_r, op##32_m }, { op##64_r, op##64_m } }
static Handler *const unary_table[4][4][2] = { UN(inc), UN(dec), UN(not),
                                               UN(neg) };
bool soft_alu_form(const Slot *s, AluForm *f)
{
    f->op = s->sub;
    f->size = s->rep >> 4;
    f->form = s->rep & 15;
    if (f->size > 3 || s->lock) {
        return false;
    }
    if (f->op == ALU_INC || f->op == ALU_DEC) {
        return s->fn == unary_table[f->op - ALU_INC][f->size][0];
    }
    return f->op <= ALU_TEST && f->form < F_COUNT &&
        s->fn == alu_table[f->op][f->size][f->form];
}

static bool bind_unary(Xlate *x)
{
    static Handler *const nf[4][2] = { { inc32_nf, inc64_nf },
        { dec32_nf, dec64_nf }, { 0 }, { neg32_nf, neg64_nf } };

    x->pure = !x->s->mem;
    if (x->pure && x->in->o[0].size >= 4) {
        x->noflags = nf[x->arg][x->in->o[0].size / 8];
    }
    x->s->sub = ALU_INC + x->arg;
    x->s->rep = log_size(x->in->o[0].size) << 4;
    x->s->fn = unary_table[x->arg][log_size(x->in->o[0].size)][!!x->s->mem];
    return true;
}

/* ---- push, pop ----------------------------------------------------------- */
GENERAL(push_r)
{
    push_n(c, s, reg_n(c, s->ra, s->osz), s->osz);
    NEXT;
}
GENERAL(push_i)
{
    push_n(c, s, s->imm, s->osz);
    NEXT;
}
#define PUSH64(nm, v, slow) \
H(nm) { \
    uint64_t sp = c->r[X86_RSP] - 8; \
    FAST_AT(64, p, sp, slow); \
    *p = v; \
    c->r[X86_RSP] = sp; NEXT; }
PUSH64(push64_r, c->r[s->ra >> 3], push_r)
PUSH64(push64_i, s->imm, push_i)
H(push_m)
{
    uint64_t v = ld_n(c, s, ea(c, s, s->osz, false), s->osz);

    push_n(c, s, v, s->osz);
    NEXT;
}
H(push_seg)
{
    /* only the selector's 16 bits are written with a 32-bit operand on some
     * processors; the whole slot, zero extended, on others */
    push_n(c, s, c->x->seg[s->ra].sel, s->osz);
    NEXT;
}
GENERAL(pop_r)
{
    uint64_t v = peek_n(c, s, 0, s->osz);

    sp_set(c, c->r[X86_RSP] + s->osz);
    reg_set(c, s->ra, v, s->osz);
    NEXT;
}
H(pop64_r)
{
    uint64_t v, sp = c->r[X86_RSP];

    FAST_LD(64, v, sp, pop_r);
    c->r[X86_RSP] = sp + 8;
    c->r[s->ra >> 3] = v;
    NEXT;
}
H(pop_m)
{
    uint64_t v = peek_n(c, s, 0, s->osz), sp = c->r[X86_RSP];
    Slot t = *s;

    /* a base of rSP counts after the pop */
    if (s->base == X86_RSP) {
        t.disp += s->osz;
    }
    t.fn = NULL;
    if (t.check) {
        (void)sp;
    }
    st_n(c, s, ea(c, &t, s->osz, true), v, s->osz);
    sp_set(c, c->r[X86_RSP] + s->osz);
    NEXT;
}
static bool bind_push(Xlate *x)
{
    const Insn *in = x->in;

    switch (in->o[0].kind) {
    case OK_G:
        x->s->fn = in->mode == MODE_64 && in->opsize == 8 ? push64_r : push_r;
        return true;
    case OK_M: x->s->fn = push_m; return true;
    case OK_S: x->s->fn = push_seg; return true;
    default:
        x->s->fn = in->mode == MODE_64 && in->opsize == 8 ? push64_i : push_i;
        return true;
    }
}
H(pop_seg)
{
    uint16_t sel = peek_n(c, s, 0, s->osz == 2 ? 2 : s->osz);

    soft_seg_load(c, s, s->ra, sel);
    sp_set(c, c->r[X86_RSP] + s->osz);
    if (s->ra == SEG_SS) {
        c->shadow = 3;
        c->mode |= MW_SINGLE;
    }
    NEXT;
}
static bool bind_pop(Xlate *x)
{
    const Insn *in = x->in;

    switch (in->o[0].kind) {
    case OK_G:
        x->s->fn = in->mode == MODE_64 && in->opsize == 8 ? pop64_r : pop_r;
        return true;
    case OK_M: x->s->fn = pop_m; return true;
    default: x->s->fn = pop_seg; return true;
    }
}

/* ---- cmov, setcc --------------------------------------------------------- */
#define CMOV(n) \
H(cmov##n##_r) { \
    T##n v = REG(n, s->rb), o = REG(n, s->ra); \
    SETREG(n, s->ra, fl_cond(c, s->sub) ? v : o); NEXT; } \
GENERAL(cmov##n##_g) { \
    T##n v = ld##n(c, s, EA_g(n / 8, false)), o = REG(n, s->ra); \
    SETREG(n, s->ra, fl_cond(c, s->sub) ? v : o); NEXT; } \
H(cmov##n##_f) { uint64_t la = EA_f(n / 8, false); T##n v, o; \
    FAST_LD(n, v, la, cmov##n##_g); o = REG(n, s->ra); \
    SETREG(n, s->ra, fl_cond(c, s->sub) ? v : o); NEXT; }
CMOV(16) CMOV(32) CMOV(64)
#define SETCC(k) H(setcc_##k) { \
    *(uint8_t *)RP(c, s->ra) = fl_cond(c, k); NEXT; }
#define CMOVCC(k) H(cmov64_##k) { uint64_t v = REG(64, s->rb); \
    if (fl_cond(c, k)) { SETREG(64, s->ra, v); } NEXT; } \
H(cmov32_##k) { uint32_t v = REG(32, s->rb), o = REG(32, s->ra); \
    SETREG(32, s->ra, fl_cond(c, k) ? v : o); NEXT; }
#define EACH(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7) \
    M(8) M(9) M(10) M(11) M(12) M(13) M(14) M(15)
EACH(SETCC)
EACH(CMOVCC)
#define LIST(nm) { nm##0, nm##1, nm##2, nm##3, nm##4, nm##5, nm##6, nm##7, \
    nm##8, nm##9, nm##10, nm##11, nm##12, nm##13, nm##14, nm##15 }
static Handler *const setcc_table[16] = LIST(setcc_);
static Handler *const cmov_table[2][16] = { LIST(cmov32_), LIST(cmov64_) };
static bool bind_cmov(Xlate *x)
{
    static Handler *const t[3][3] = { { cmov16_r, cmov16_f, cmov16_g },
        { cmov32_r, cmov32_f, cmov32_g }, { cmov64_r, cmov64_f, cmov64_g } };

    x->s->sub = x->in->opcode & 15;
    x->s->fn = t[log_size(x->in->opsize) - 1]
        [!x->s->mem ? 0 : x->form == EA_GENERAL ? 2 : 1];
    if (!x->s->mem && x->in->opsize >= 4) {
        x->s->fn = cmov_table[x->in->opsize / 8][x->s->sub];
    }
    x->pure = !x->s->mem;
    return true;
}
H(setcc)
{
    uint8_t v = fl_cond(c, s->sub);

    st8(c, s, ea(c, s, 1, true), v);
    NEXT;
}
static bool bind_setcc(Xlate *x)
{
    x->s->sub = x->in->opcode & 15;
    x->s->fn = x->s->mem ? setcc : setcc_table[x->s->sub];
    x->pure = !x->s->mem;
    return true;
}

H(nop) { NEXT; }
static bool bind_nop(Xlate *x)
{
    x->s->fn = nop;
    x->pure = true;
    return true;
}

/* mov to and from an absolute offset */
H(moffs_ld)
{
    uint64_t la = seg_lin(c, s, s->seg, s->imm, s->sub, false);

    reg_set(c, 0, ld_n(c, s, la, s->sub), s->sub);
    NEXT;
}
H(moffs_st)
{
    uint64_t la = seg_lin(c, s, s->seg, s->imm, s->sub, true);

    st_n(c, s, la, reg_n(c, 0, s->sub), s->sub);
    NEXT;
}
static bool bind_moffs(Xlate *x)
{
    const Insn *in = x->in;

    x->s->imm = in->addrsize == 8 ? (uint64_t)in->disp : in->addrsize == 4 ?
        (uint32_t)in->disp : (uint16_t)in->disp;
    x->s->sub = in->o[0].size;
    x->s->fn = in->o[0].kind == OK_M ? moffs_st : moffs_ld;
    return true;
}

const Bind soft_binds_int[] = {
    { "add", bind_alu, 0 }, { "or", bind_alu, 1 }, { "adc", bind_alu, 2 },
    { "sbb", bind_alu, 3 }, { "and", bind_alu, 4 }, { "sub", bind_alu, 5 },
    { "xor", bind_alu, 6 }, { "cmp", bind_alu, 7 }, { "test", bind_alu, 8 },
    { "test.alias", bind_alu, 8 },
    { "mov", bind_mov, 0 }, { "mov.imm", bind_mov, 0 },
    { "movabs", bind_moffs, 0 },
    { "movzb", bind_ext, 0 }, { "movzw", bind_ext, 1 },
    { "movsb", bind_ext, 2 }, { "movsw", bind_ext, 3 },
    { "lea", bind_lea, 0 },
    { "inc", bind_unary, 0 }, { "dec", bind_unary, 1 },
    { "not", bind_unary, 2 }, { "neg", bind_unary, 3 },
    { "push", bind_push, 0 }, { "pop", bind_pop, 0 },
    { "cmovo", bind_cmov, 0 }, { "cmovno", bind_cmov, 0 },
    { "cmovb", bind_cmov, 0 }, { "cmovae", bind_cmov, 0 },
    { "cmove", bind_cmov, 0 }, { "cmovne", bind_cmov, 0 },
    { "cmovbe", bind_cmov, 0 }, { "cmova", bind_cmov, 0 },
    { "cmovs", bind_cmov, 0 }, { "cmovns", bind_cmov, 0 },
    { "cmovp", bind_cmov, 0 }, { "cmovnp", bind_cmov, 0 },
    { "cmovl", bind_cmov, 0 }, { "cmovge", bind_cmov, 0 },
    { "cmovle", bind_cmov, 0 }, { "cmovg", bind_cmov, 0 },
    { "seto", bind_setcc, 0 }, { "setno", bind_setcc, 0 },
    { "setb", bind_setcc, 0 }, { "setae", bind_setcc, 0 },
    { "sete", bind_setcc, 0 }, { "setne", bind_setcc, 0 },
    { "setbe", bind_setcc, 0 }, { "seta", bind_setcc, 0 },
    { "sets", bind_setcc, 0 }, { "setns", bind_setcc, 0 },
    { "setp", bind_setcc, 0 }, { "setnp", bind_setcc, 0 },
    { "setl", bind_setcc, 0 }, { "setge", bind_setcc, 0 },
    { "setle", bind_setcc, 0 }, { "setg", bind_setcc, 0 },
    { "nop.90", bind_nop, 0 }, { "pause", bind_nop, 0 },
    { "nop.hint", bind_nop, 0 }, { "endbr64", bind_nop, 0 },
    { "endbr32", bind_nop, 0 }, { "prefetch", bind_nop, 0 },
    { "prefetchw", bind_nop, 0 }, { "prefetchw.alias", bind_nop, 0 },
    { "prefetchnta", bind_nop, 0 }, { "prefetcht0", bind_nop, 0 },
    { "prefetcht1", bind_nop, 0 }, { "prefetcht2", bind_nop, 0 },
    { "movsxd", bind_ext, 4 },
    { 0 }
};
