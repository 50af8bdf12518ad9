/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ops-flow.c - near control transfer, flags, stack frames, odds and ends of
 * the integer set.
 *
 * Thread class: the vCPU's thread.
 */
#include "alu.h"

static inline uint64_t ip_cut(uint64_t ip, unsigned n)
{
    return n == 8 ? ip : n == 4 ? (uint32_t)ip : (uint16_t)ip;
}

/* A near target outside the code segment faults at the branch. */
__attribute__((noinline, cold))
static void ip_judge(SoftCpu *c, const Slot *s, uint64_t ip)
{
    if (c->code64) {
        if (!soft_canonical(ip, c->x->cr4)) {
            SOFT_GP0(c, s);
        }
    } else if (!(c->mode & MW_NOCHK << SEG_CS) &&
               ip > c->x->seg[SEG_CS].limit) {
        SOFT_GP0(c, s);
    }
}
static inline bool ip_plain(uint64_t ip)
{
    return (ip + (1ull << 47)) >> 48 == 0;
}
static inline void ip_check(SoftCpu *c, const Slot *s, uint64_t ip)
{
    if (!c->code64 || UNLIKELY(!ip_plain(ip))) {
        ip_judge(c, s, ip);
    }
}

#define JCC(n) \
H(jcc_##n) { \
    uint64_t ip = c->r[R_IP] + s->off + s->len; \
    if (fl_cond(c, n)) { \
        ip = ip_cut(ip + s->imm, s->osz); \
        ip_check(c, s, ip); \
        BRANCH(0, ip); \
    } \
    BRANCH(1, ip_mask(c, ip)); }
JCC(0) JCC(1) JCC(2) JCC(3) JCC(4) JCC(5) JCC(6) JCC(7)
JCC(8) JCC(9) JCC(10) JCC(11) JCC(12) JCC(13) JCC(14) JCC(15)
/* 64-bit code: imm and disp are the way from the block's start. */
#define JCC64(n) \
H(jcc64_##n) { \
    if (fl_cond(c, n)) { \
        BRANCH(0, c->r[R_IP] + s->imm); \
    } \
    BRANCH(1, c->r[R_IP] + s->disp); }
JCC64(0) JCC64(1) JCC64(2) JCC64(3) JCC64(4) JCC64(5) JCC64(6) JCC64(7)
JCC64(8) JCC64(9) JCC64(10) JCC64(11) JCC64(12) JCC64(13) JCC64(14) JCC64(15)
static bool bind_jcc(Xlate *x)
{
    static Handler *const wide[16] = {
        jcc64_0, jcc64_1, jcc64_2, jcc64_3, jcc64_4, jcc64_5, jcc64_6,
        jcc64_7, jcc64_8, jcc64_9, jcc64_10, jcc64_11, jcc64_12, jcc64_13,
        jcc64_14, jcc64_15
    };
    static Handler *const t[16] = {
        jcc_0, jcc_1, jcc_2, jcc_3, jcc_4, jcc_5, jcc_6, jcc_7, jcc_8, jcc_9,
        jcc_10, jcc_11, jcc_12, jcc_13, jcc_14, jcc_15
    };

    x->s->fn = t[x->in->opcode & 15];
    if (x->in->mode == MODE_64) {
        x->s->fn = wide[x->in->opcode & 15];
        x->s->disp = x->s->off + x->s->len;
        x->s->imm += x->s->disp;
        if (x->s->off) {
            soft_fuse(x->s - 1, x->in->opcode & 15);
        }
    }
    return true;
}

H(jmp_rel64)
{
    BRANCH(0, c->r[R_IP] + s->imm);
}
H(jmp_rel)
{
    uint64_t ip = ip_cut(c->r[R_IP] + s->off + s->len + s->imm, s->osz);

    ip_check(c, s, ip);
    BRANCH(0, ip);
}
#define COLD(name) __attribute__((noinline)) H(name)
COLD(jmp_ind)
{
    uint64_t ip = rm_load(c, s, s->ra, s->osz);

    ip_check(c, s, ip);
    c->r[R_IP] = ip;
    JUMP;
}
#define JMP64(nm, get) \
H(nm) { \
    uint64_t ip; \
    get; \
    if (UNLIKELY(!ip_plain(ip))) { return jmp_ind(c, s); } \
    JUMP64(ip); }
JMP64(jmp64_r, ip = c->r[s->ra >> 3])
JMP64(jmp64_m, uint64_t la = EA_f(8, 0); FAST_LD(64, ip, la, jmp_ind))
static bool bind_jmp(Xlate *x)
{
    x->s->fn = x->in->o[0].kind == OK_J ? jmp_rel : jmp_ind;
    if (x->in->mode == MODE_64 && x->s->osz == 8 && x->s->fn == jmp_ind &&
        (!x->s->mem || x->form != EA_GENERAL)) {
        x->s->fn = x->s->mem ? jmp64_m : jmp64_r;
    }
    if (x->in->mode == MODE_64 && x->in->o[0].kind == OK_J) {
        x->s->fn = jmp_rel64;
        x->s->imm += x->s->off + x->s->len;
    }
    return true;
}
H(call_rel)
{
    uint64_t next = ip_next(c, s), ip = ip_cut(next + s->imm, s->osz);

    ip_check(c, s, ip);
    push_n(c, s, next, s->osz);
    BRANCH(0, ip);
}
COLD(call_rel64_slow)
{
    uint64_t next = c->r[R_IP] + s->disp, sp = c->r[X86_RSP] - 8;

    st64(c, s, sp, next);
    c->r[X86_RSP] = sp;
    BRANCH(0, c->r[R_IP] + s->imm);
}
H(call_rel64)
{
    uint64_t next = c->r[R_IP] + s->disp, sp = c->r[X86_RSP] - 8;

    FAST_AT(64, p, sp, call_rel64_slow);
    *p = next;
    c->r[X86_RSP] = sp;
    BRANCH(0, c->r[R_IP] + s->imm);
}
COLD(call_ind)
{
    uint64_t ip = rm_load(c, s, s->ra, s->osz);

    ip_check(c, s, ip);
    push_n(c, s, ip_next(c, s), s->osz);
    c->r[R_IP] = ip;
    JUMP;
}
#define CALL64(nm, get) \
H(nm) { \
    uint64_t ip, sp = c->r[X86_RSP] - 8; \
    get; \
    FAST_AT(64, p, sp, call_ind); \
    if (UNLIKELY(!ip_plain(ip))) { return call_ind(c, s); } \
    *p = c->r[R_IP] + s->off + s->len; \
    c->r[X86_RSP] = sp; \
    JUMP64(ip); }
CALL64(call64_r, ip = c->r[s->ra >> 3])
CALL64(call64_m, uint64_t la = EA_f(8, 0); FAST_LD(64, ip, la, call_ind))
static bool bind_call(Xlate *x)
{
    x->s->fn = x->in->o[0].kind != OK_J ? call_ind :
        x->in->mode == MODE_64 ? call_rel64 : call_rel;
    if (x->s->fn == call_rel64) {
        x->s->disp = x->s->off + x->s->len;
        x->s->imm += x->s->disp;
    }
    if (x->in->mode == MODE_64 && x->s->osz == 8 && x->s->fn == call_ind &&
        (!x->s->mem || x->form != EA_GENERAL)) {
        x->s->fn = x->s->mem ? call64_m : call64_r;
    }
    return true;
}
COLD(ret_near)
{
    uint64_t ip = peek_n(c, s, 0, s->osz);

    ip_check(c, s, ip);
    sp_set(c, c->r[X86_RSP] + s->osz + s->imm);
    c->r[R_IP] = ip;
    JUMP;
}
H(ret64)
{
    uint64_t ip, sp = c->r[X86_RSP];

    FAST_LD(64, ip, sp, ret_near);
    if (UNLIKELY(!ip_plain(ip))) {
        return ret_near(c, s);
    }
    c->r[X86_RSP] = sp + 8;
    JUMP64(ip);
}
static bool bind_ret(Xlate *x)
{
    x->s->fn = ret_near;
    if (x->in->mode == MODE_64 && !x->in->nop) {
        x->s->fn = ret64;
        x->s->osz = 8;
    }
    return true;
}

/* loopne, loope, loop, jcxz: by the opcode's low two bits */
H(loop)
{
    unsigned n = s->asz;
    uint64_t cx = reg_n(c, X86_RCX * 8, n), ip;
    bool take;

    if (s->sub != 3) {
        cx = (cx - 1) & mask_n(n);
    }
    take = s->sub == 3 ? !cx : cx && (s->sub == 2 || fl_z(c) == s->sub);
    ip = c->r[R_IP] + s->off + s->len;
    if (take) {
        ip = ip_cut(ip + s->imm, s->osz);
        ip_check(c, s, ip);
    }
    if (s->sub != 3) {
        reg_set(c, X86_RCX * 8, cx, n);
    }
    BRANCH(take ? 0 : 1, ip_mask(c, ip));
}
static bool bind_loop(Xlate *x)
{
    x->s->sub = x->in->opcode & 3;
    x->s->fn = loop;
    return true;
}

/* ---- frames -------------------------------------------------------------- */
H(leave)
{
    unsigned n = s->osz;
    uint64_t sp = sp_cut(c, c->r[X86_RBP]);
    uint64_t v = ld_n(c, s, stack_lin(c, s, sp, n, false), n);

    sp_set(c, sp + n);
    reg_set(c, X86_RBP * 8, v, n);
    NEXT;
}
H(enter)
{
    unsigned n = s->osz, level = s->sub & 31;
    uint64_t sp = c->r[X86_RSP], bp = c->r[X86_RBP], frame, at;

    sp = sp_cut(c, sp - n);
    st_n(c, s, stack_lin(c, s, sp, n, true), reg_n(c, X86_RBP * 8, n), n);
    frame = sp;
    for (unsigned i = 1; i < level; i++) {
        bp = sp_cut(c, bp - n);
        at = ld_n(c, s, stack_lin(c, s, bp, n, false), n);
        sp = sp_cut(c, sp - n);
        st_n(c, s, stack_lin(c, s, sp, n, true), at, n);
    }
    if (level) {
        sp = sp_cut(c, sp - n);
        st_n(c, s, stack_lin(c, s, sp, n, true), frame, n);
    }
    at = sp_cut(c, sp - s->imm);
    soft_probe_write(c, s, stack_lin(c, s, at, n, true), n);
    sp_set(c, at);
    /* the frame pointer follows the stack's width where that is narrower */
    reg_set(c, X86_RBP * 8, frame, n);
    NEXT;
}
static bool bind_frame(Xlate *x)
{
    x->s->sub = x->in->imm2;
    x->s->fn = x->arg ? enter : leave;
    return true;
}
H(pusha)
{
    unsigned n = s->osz;
    uint64_t sp = c->r[X86_RSP];

    for (unsigned i = 0; i < 16; i++) {
        uint64_t at = sp_cut(c, sp - ((i & 7) + 1) * n);
        uint64_t la = stack_lin(c, s, at, n, true);

        if (i < 8) {
            soft_probe_write(c, s, la, n);
        } else {
            st_n(c, s, la, reg_n(c, (i & 7) * 8, n), n);
        }
    }
    sp_set(c, sp_cut(c, sp - 8 * n));
    NEXT;
}
H(popa)
{
    unsigned n = s->osz;
    uint64_t v[8];

    for (unsigned i = 0; i < 8; i++) {
        v[7 - i] = peek_n(c, s, i * n, n);
    }
    sp_set(c, c->r[X86_RSP] + 8 * n);
    for (unsigned i = 0; i < 8; i++) {
        if (i != X86_RSP) {
            reg_set(c, i * 8, v[i], n);
        }
    }
    NEXT;
}
static bool bind_pusha(Xlate *x)
{
    x->s->fn = x->arg ? popa : pusha;
    return true;
}

/* ---- flags --------------------------------------------------------------- */
enum { FO_CLC, FO_STC, FO_CMC, FO_CLD, FO_STD, FO_SAHF, FO_LAHF, FO_SALC };
H(clc) { fl_cf_of(c, false, fl_o(c)); NEXT; }
H(stc) { fl_cf_of(c, true, fl_o(c)); NEXT; }
H(cmc) { fl_cf_of(c, !fl_c(c), fl_o(c)); NEXT; }
H(cld) { c->eflags &= ~F_DF; NEXT; }
H(std) { c->eflags |= F_DF; NEXT; }
H(sahf)
{
    fl_set(c, (c->r[X86_RAX] >> 8 & 0xd5) | (fl_o(c) ? F_OF : 0));
    NEXT;
}
H(lahf)
{
    ((uint8_t *)c->r)[1] = (fl_get(c) & 0xd5) | 2;
    NEXT;
}
H(salc)
{
    *(uint8_t *)c->r = fl_c(c) ? 0xff : 0;
    NEXT;
}
static bool bind_flag(Xlate *x)
{
    static Handler *const t[] = { clc, stc, cmc, cld, std, sahf, lahf, salc };

    x->s->fn = t[x->arg];
    return true;
}

/* ---- widening ------------------------------------------------------------ */
H(cbw)
{
    unsigned n = s->osz;

    reg_set(c, 0, sext_n(c->r[0], n / 2), n);
    NEXT;
}
H(cwd)
{
    unsigned n = s->osz;

    reg_set(c, X86_RDX * 8, sext_n(c->r[0], n) >> 63, n);
    NEXT;
}
static bool bind_widen(Xlate *x)
{
    x->s->fn = x->arg ? cwd : cbw;
    return true;
}
H(xlat)
{
    uint64_t off = c->r[X86_RBX] + (uint8_t)c->r[0];

    off = off << s->ash >> s->ash;
    *(uint8_t *)c->r = ld8(c, s, seg_lin(c, s, s->seg, off, 1, false));
    NEXT;
}
static bool bind_xlat(Xlate *x)
{
    if (x->s->seg == 7) {
        x->s->seg = SEGB_NONE;
    }
    x->s->fn = xlat;
    return true;
}

/* ---- decimal ------------------------------------------------------------- */
enum { D_DAA, D_DAS, D_AAA, D_AAS, D_AAM, D_AAD };
H(decimal)
{
    uint8_t al = c->r[0], ah = c->r[0] >> 8, old = al;
    bool af = fl_a(c), cf = fl_c(c), low = (al & 15) > 9 || af;

    switch (s->sub) {
    case D_DAA: case D_DAS: {
        bool high = old > 0x99 || cf;
        bool neg = s->sub == D_DAS;

        if (low) {
            al += neg ? -6 : 6;
        }
        if (high) {
            al += neg ? -0x60 : 0x60;
        }
        cf = high || (neg && low && old < 6);
        fl_logic(c, al, 1);
        c->faux |= low ? 8 : 0;
        fl_cf_of(c, cf, false);
        break;
    }
    case D_AAA: case D_AAS:
        if (low) {
            uint16_t ax = c->r[0];

            ax += s->sub == D_AAA ? 0x106 : -0x106;
            al = ax;
            ah = ax >> 8;
        }
        al &= 15;
        fl_logic(c, al, 1);
        c->faux |= low ? 8 : 0;
        fl_cf_of(c, low, false);
        break;
    case D_AAM:
        if (!(uint8_t)s->imm) {
            soft_fault(c, s, EXC_DE);
        }
        ah = al / (uint8_t)s->imm;
        al %= (uint8_t)s->imm;
        fl_logic(c, al, 1);
        break;
    case D_AAD:
        al += ah * (uint8_t)s->imm;
        ah = 0;
        fl_logic(c, al, 1);
        break;
    }
    *(una_16 *)c->r = al | ah << 8;
    NEXT;
}
static bool bind_decimal(Xlate *x)
{
    x->s->sub = x->arg;
    x->s->fn = decimal;
    return true;
}

H(bound)
{
    unsigned n = s->osz;
    uint64_t la = ea(c, s, 2 * n, false);
    int64_t lo = sext_n(ld_n(c, s, la, n), n);
    int64_t hi = sext_n(ld_n(c, s, la + n, n), n);
    int64_t v = sext_n(reg_n(c, s->ra, n), n);

    if (v < lo || v > hi) {
        soft_fault(c, s, EXC_BR);
    }
    NEXT;
}
static bool bind_bound(Xlate *x) { x->s->fn = bound; return true; }

const Bind soft_binds_flow[] = {
    { "jo", bind_jcc, 0 }, { "jno", bind_jcc, 0 }, { "jb", bind_jcc, 0 },
    { "jae", bind_jcc, 0 }, { "je", bind_jcc, 0 }, { "jne", bind_jcc, 0 },
    { "jbe", bind_jcc, 0 }, { "ja", bind_jcc, 0 }, { "js", bind_jcc, 0 },
    { "jns", bind_jcc, 0 }, { "jp", bind_jcc, 0 }, { "jnp", bind_jcc, 0 },
    { "jl", bind_jcc, 0 }, { "jge", bind_jcc, 0 }, { "jle", bind_jcc, 0 },
    { "jg", bind_jcc, 0 },
    { "jmp", bind_jmp, 0 }, { "call", bind_call, 0 }, { "ret", bind_ret, 0 },
    { "loop", bind_loop, 0 }, { "loope", bind_loop, 0 },
    { "loopne", bind_loop, 0 }, { "jcxz", bind_loop, 0 },
    { "leave", bind_frame, 0 }, { "enter", bind_frame, 1 },
    { "pusha", bind_pusha, 0 }, { "popa", bind_pusha, 1 },
    { "clc", bind_flag, FO_CLC }, { "stc", bind_flag, FO_STC },
    { "cmc", bind_flag, FO_CMC }, { "cld", bind_flag, FO_CLD },
    { "std", bind_flag, FO_STD }, { "sahf", bind_flag, FO_SAHF },
    { "lahf", bind_flag, FO_LAHF }, { "salc", bind_flag, FO_SALC },
    { "cbw", bind_widen, 0 }, { "cwd", bind_widen, 1 },
    { "xlat", bind_xlat, 0 },
    { "daa", bind_decimal, D_DAA }, { "das", bind_decimal, D_DAS },
    { "aaa", bind_decimal, D_AAA }, { "aas", bind_decimal, D_AAS },
    { "aam", bind_decimal, D_AAM }, { "aad", bind_decimal, D_AAD },
    { "bound", bind_bound, 0 },
    { 0 }
};
