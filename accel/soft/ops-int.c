/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ops-int.c - shifts, multiplication, division, bits, exchanges, flags, BCD.
 * AMD64 APM vol. 3; Intel SDM vol. 2.
 *
 * Thread class: the vCPU's thread.
 */
#include "soft.h"

#define H(name) static const Slot *name(SoftCpu *c, const Slot *s)
typedef unsigned __int128 U128;
typedef __int128 S128;

Rm soft_rm_open(SoftCpu *c, const Slot *s, unsigned n)
{
    Rm m = { 0 };

    if (!s->mem) {
        m.v = reg_n(c, s->ra, n);
        return m;
    }
    m.la = ea(c, s, n, true);
    m.p = n == 1 ? (void *)rmw8(c, s, m.la) : n == 2 ?
        (void *)rmw16(c, s, m.la) : n == 4 ? (void *)rmw32(c, s, m.la) :
        (void *)rmw64(c, s, m.la);
    if (!m.p && s->lock) {
        soft_lock_begin(c);
    }
    m.v = ld_n(c, s, m.la, n);
    return m;
}

void soft_rm_close(SoftCpu *c, const Slot *s, Rm *m, uint64_t v, unsigned n)
{
    if (!s->mem) {
        reg_set(c, s->ra, v, n);
    } else {
        st_n(c, s, m->la, v, n);
        if (!m->p && s->lock) {
            soft_lock_end(c);
        }
    }
}

bool soft_rm_swap(SoftCpu *c, const Slot *s, Rm *m, uint64_t v, unsigned n)
{
    if (!s->mem || !m->p || !s->lock) {
        soft_rm_close(c, s, m, v, n);
        return true;
    }
#define CAS(T) { T o = m->v; bool ok = __atomic_compare_exchange_n( \
        (T *)m->p, &o, (T)v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
        m->v = o; return ok; }
    switch (n) {
    case 1: CAS(uint8_t)
    case 2: CAS(uint16_t)
    case 4: CAS(uint32_t)
    default: CAS(uint64_t)
    }
#undef CAS
}

/* ---- shifts and rotates -------------------------------------------------- */
enum { SH_ROL, SH_ROR, SH_RCL, SH_RCR, SH_SHL, SH_SHR, SH_SAR };

static inline void fl_shift(SoftCpu *c, uint64_t r, bool cf, bool of,
                            unsigned n)
{
    fl_logic(c, r, n);
    fl_cf_of(c, cf, of);
}

static uint64_t rotate_carry(SoftCpu *c, uint64_t a, unsigned k, unsigned n,
                             bool left)
{
    unsigned bits = 8 * n;
    U128 w = (U128)fl_c(c) << bits | a, m = ((U128)1 << (bits + 1)) - 1;
    bool cf;

    k %= bits + 1;
    if (!k) {
        return a;
    }
    w = left ? (w << k | w >> (bits + 1 - k)) & m :
        (w >> k | w << (bits + 1 - k)) & m;
    a = w & mask_n(n);
    cf = w >> bits & 1;
    fl_cf_of(c, cf, left ? (a >> (bits - 1) & 1) ^ cf :
             (a >> (bits - 1) ^ a >> (bits - 2)) & 1);
    return a;
}

static inline uint64_t shift(SoftCpu *c, unsigned op, uint64_t a, unsigned k,
                             unsigned n)
{
    unsigned bits = 8 * n, top = bits - 1;
    uint64_t r, m = mask_n(n);
    bool cf;

    switch (op) {
    case SH_SHL:
        r = a << k & m;
        cf = n == 8 ? a >> (64 - k) & 1 : (a << k) >> bits & 1;
        fl_shift(c, r, cf, (r >> top & 1) ^ cf, n);
        return r;
    case SH_SHR:
        r = a >> k;
        fl_shift(c, r, a >> (k - 1) & 1, (r ^ r << 1) >> top & 1, n);
        return r;
    case SH_SAR: {
        int64_t v = sext_n(a, n);

        r = (v >> k) & m;
        fl_shift(c, r, v >> (k - 1) & 1, false, n);
        return r;
    }
    case SH_ROL:
        k &= top;
        r = k ? (a << k | a >> (bits - k)) & m : a;
        fl_cf_of(c, r & 1, (r >> top & 1) ^ (r & 1));
        return r;
    case SH_ROR:
        k &= top;
        r = k ? (a >> k | a << (bits - k)) & m : a;
        fl_cf_of(c, r >> top & 1, (r >> top ^ r >> (top - 1)) & 1);
        return r;
    default:
        return rotate_carry(c, a, k, n, op == SH_RCL);
    }
}

#define SHIFT_H(op, n) \
H(sh_##op##n##_ri) { \
    unsigned k = s->imm; \
    uint64_t r = shift(c, op, reg_n(c, s->ra, n), k, n); \
    reg_set(c, s->ra, r, n); NEXT; }
#define SHIFT_HS(op) SHIFT_H(op, 1) SHIFT_H(op, 2) SHIFT_H(op, 4) SHIFT_H(op, 8)
SHIFT_HS(SH_SHL) SHIFT_HS(SH_SHR) SHIFT_HS(SH_SAR) SHIFT_HS(SH_ROL)
SHIFT_HS(SH_ROR)
#define SHIFT_NF(op, n, T, e) \
H(sh_##op##n##_nf) { T a = *(una_##n *)RP(c, s->ra); unsigned k = s->imm; \
    reg_set(c, s->ra, (uint##n##_t)(e), n / 8); NEXT; }
#define SHIFT_NFS(n) \
SHIFT_NF(SH_SHL, n, uint##n##_t, a << k) \
SHIFT_NF(SH_SHR, n, uint##n##_t, a >> k) \
SHIFT_NF(SH_SAR, n, int##n##_t, a >> k)
SHIFT_NFS(32)
SHIFT_NFS(64)
H(shift_any)
{
    unsigned n = s->osz, k = s->rep ? c->r[X86_RCX] : s->imm;
    Rm m;

    k &= n == 8 ? 63 : 31;
    m = soft_rm_open(c, s, n);
    soft_rm_close(c, s, &m, k ? shift(c, s->sub, m.v, k, n) : m.v, n);
    NEXT;
}
static bool bind_shift(Xlate *x)
{
#define ST(op) { sh_##op##1_ri, sh_##op##2_ri, sh_##op##4_ri, sh_##op##8_ri }
    static Handler *const t[7][4] = {
        [SH_SHL] = ST(SH_SHL), [SH_SHR] = ST(SH_SHR), [SH_SAR] = ST(SH_SAR),
        [SH_ROL] = ST(SH_ROL), [SH_ROR] = ST(SH_ROR)
    };
    static Handler *const nf[7][2] = {
        [SH_SHL] = { sh_SH_SHL32_nf, sh_SH_SHL64_nf },
        [SH_SHR] = { sh_SH_SHR32_nf, sh_SH_SHR64_nf },
        [SH_SAR] = { sh_SH_SAR32_nf, sh_SH_SAR64_nf }
    };
    unsigned n = x->in->o[0].size, k;

    x->s->osz = n;
    x->s->sub = x->arg;
    x->s->rep = x->in->o[1].kind == OK_G;          /* by CL */
    x->s->fn = shift_any;
    k = x->in->imm & (n == 8 ? 63 : 31);
    if (!x->s->mem && !x->s->rep && x->arg != SH_RCL && x->arg != SH_RCR && k) {
        x->s->imm = k;
        x->s->fn = t[x->arg][n == 1 ? 0 : n == 2 ? 1 : n == 4 ? 2 : 3];
        x->pure = true;
        x->noflags = n >= 4 ? nf[x->arg][n / 8] : NULL;
    }
    return true;
}

H(shiftd)
{
    unsigned n = s->osz, bits = 8 * n;
    unsigned k = (s->rep ? c->r[X86_RCX] : s->imm) & (n == 8 ? 63 : 31);
    uint64_t b = reg_n(c, s->rb, n), r;
    Rm m = soft_rm_open(c, s, n);
    bool cf;

    if (!k) {
        soft_rm_close(c, s, &m, m.v, n);
        NEXT;
    }
    if (s->sub) {                       /* right */
        U128 w = (U128)b << bits | m.v;

        if (n == 2) {
            w |= (U128)m.v << 32;
        }
        r = (uint64_t)(w >> k) & mask_n(n);
        cf = w >> (k - 1) & 1;
    } else {
        U128 w = (U128)m.v << bits | b;

        if (n == 2) {
            w = w << 16 | m.v;
            bits = 32;
        }
        r = (uint64_t)(w << k >> bits) & mask_n(n);
        cf = n == 2 && k > 16 ? m.v >> (32 - k) & 1 : m.v >> (8 * n - k) & 1;
    }
    fl_shift(c, r, cf, (r ^ m.v) >> (8 * n - 1) & 1, n);
    soft_rm_close(c, s, &m, r, n);
    NEXT;
}
static bool bind_shiftd(Xlate *x)
{
    x->s->sub = x->arg;
    x->s->rep = x->in->o[2].kind == OK_G;
    x->s->fn = shiftd;
    return true;
}

/* ---- multiplication, division -------------------------------------------- */
H(mul_acc)
{
    unsigned n = s->sub;
    uint64_t a = reg_n(c, 0, n), b = rm_load(c, s, s->ra, n);
    bool sgn = s->rep, over;
    uint64_t lo, hi;

    if (sgn) {
        S128 r = (S128)sext_n(a, n) * sext_n(b, n);

        lo = r;
        hi = (uint64_t)(r >> 8 * n);
        over = r != (S128)sext_n(lo, n);
    } else {
        U128 r = (U128)a * b;

        lo = r;
        hi = (uint64_t)(r >> 8 * n);
        over = (hi & mask_n(n)) != 0;
    }
    if (n == 1) {
        *(una_16 *)c->r = lo;
    } else {
        reg_set(c, 0, lo, n);
        reg_set(c, X86_RDX * 8, hi, n);
    }
    fl_logic(c, lo, n);
    fl_cf_of(c, over, over);
    NEXT;
}
static bool bind_mul(Xlate *x)
{
    x->s->sub = x->in->o[0].size;
    x->s->rep = x->arg;
    x->s->fn = mul_acc;
    return true;
}
static inline uint64_t imul(SoftCpu *c, uint64_t a, uint64_t b, unsigned n)
{
    S128 r = (S128)sext_n(a, n) * sext_n(b, n);
    bool over = r != (S128)sext_n((uint64_t)r, n);

    fl_logic(c, (uint64_t)r, n);
    fl_cf_of(c, over, over);
    return r;
}
H(imul_2)
{
    uint64_t b = rm_load(c, s, s->rb, s->osz);

    reg_set(c, s->ra, imul(c, reg_n(c, s->ra, s->osz), b, s->osz), s->osz);
    NEXT;
}
H(imul_3)
{
    uint64_t b = rm_load(c, s, s->rb, s->osz);

    reg_set(c, s->ra, imul(c, b, s->imm, s->osz), s->osz);
    NEXT;
}
#define IMUL_R(n, T) \
H(imul_##n##_r) { \
    T a = *(una_##n *)RP(c, s->ra), b = *(una_##n *)RP(c, s->rb), r; \
    bool over = __builtin_mul_overflow(a, b, &r); \
    c->fres = (int64_t)r; \
    c->faux = (uint64_t)over << 63; \
    reg_set(c, s->ra, (uint64_t)r, n / 8); NEXT; } \
H(imul_##n##_nf) { \
    uint##n##_t a = *(una_##n *)RP(c, s->ra), b = *(una_##n *)RP(c, s->rb); \
    reg_set(c, s->ra, (uint##n##_t)(a * b), n / 8); NEXT; }
IMUL_R(32, int32_t)
IMUL_R(64, int64_t)
static bool bind_imul(Xlate *x)
{
    x->s->fn = x->in->nop == 3 ? imul_3 : x->s->mem || x->s->osz == 2 ?
        imul_2 : x->s->osz == 4 ? imul_32_r : imul_64_r;
    x->pure = !x->s->mem;
    x->noflags = x->s->fn == imul_32_r ? imul_32_nf :
        x->s->fn == imul_64_r ? imul_64_nf : NULL;
    return true;
}

H(div_acc)
{
    unsigned n = s->sub;
    uint64_t b = rm_load(c, s, s->ra, n), lo = c->r[X86_RAX];
    uint64_t hi = c->r[X86_RDX], q, r;
    U128 a = n == 1 ? (uint16_t)lo : n == 8 ? (U128)hi << 64 | lo :
        (uint64_t)(hi & mask_n(n)) << 8 * n | (lo & mask_n(n));

    if (!b) {
        soft_fault(c, s, EXC_DE);
    }
    if (n == 8 && !hi) {
        q = lo / b;
        r = lo % b;
    } else if (n < 8) {
        if ((uint64_t)a / b > mask_n(n)) {
            soft_fault(c, s, EXC_DE);
        }
        q = (uint64_t)a / b;
        r = (uint64_t)a % b;
    } else {
        if (hi >= b) {
            soft_fault(c, s, EXC_DE);
        }
        __asm__("divq %4" : "=a"(q), "=d"(r) : "0"(lo), "1"(hi), "r"(b) :
                "cc");
    }
    if (n == 1) {
        *(una_16 *)c->r = (q & 0xff) | r << 8;
    } else {
        reg_set(c, 0, q, n);
        reg_set(c, X86_RDX * 8, r, n);
    }
    NEXT;
}
H(idiv_acc)
{
    unsigned n = s->sub;
    int64_t b = sext_n(rm_load(c, s, s->ra, n), n);
    uint64_t lo = c->r[X86_RAX], hi = c->r[X86_RDX];
    S128 a = n == 1 ? (S128)(int16_t)lo : n == 8 ? (S128)((U128)hi << 64 | lo) :
        n == 4 ? (S128)(int64_t)(hi << 32 | (uint32_t)lo) :
        (S128)(int32_t)(hi << 16 | (uint16_t)lo);
    S128 q, r;

    if (!b) {
        soft_fault(c, s, EXC_DE);
    }
    if (a == (int64_t)a && !((int64_t)a == INT64_MIN && b == -1)) {
        q = (int64_t)a / b;
        r = (int64_t)a % b;
    } else {
        q = a / b;
        r = a % b;
    }
    if (q != sext_n((uint64_t)q, n)) {
        soft_fault(c, s, EXC_DE);
    }
    if (n == 1) {
        *(una_16 *)c->r = ((uint64_t)q & 0xff) | ((uint64_t)r & 0xff) << 8;
    } else {
        reg_set(c, 0, q, n);
        reg_set(c, X86_RDX * 8, r, n);
    }
    NEXT;
}
static bool bind_div(Xlate *x)
{
    x->s->sub = x->in->o[0].size;
    x->s->fn = x->arg ? idiv_acc : div_acc;
    return true;
}

/* ---- bits ---------------------------------------------------------------- */
/* arg: 0 bt, 1 bts, 2 btr, 3 btc. A bit offset in a register reaches beyond
 * the operand in memory. */
H(bit_test)
{
    unsigned n = s->osz, bits = 8 * n;
    uint64_t at = s->rep ? s->imm : reg_n(c, s->rb, n), v, bit, r;
    Rm m = { 0 };

    if (s->mem && !s->rep) {
        int64_t k = sext_n(at, n) >> (n == 2 ? 4 : n == 4 ? 5 : 6);
        uint64_t off = (ea_off(c, s) + k * n) << s->ash >> s->ash;

        m.la = seg_lin(c, s, s->seg, off, n, s->sub != 0);
        if (!s->sub) {
            v = ld_n(c, s, m.la, n);
            m.p = NULL;
        } else {
            m.p = n == 2 ? (void *)rmw16(c, s, m.la) : n == 4 ?
                (void *)rmw32(c, s, m.la) : (void *)rmw64(c, s, m.la);
            if (!m.p && s->lock) {
                soft_lock_begin(c);
            }
            v = m.v = ld_n(c, s, m.la, n);
        }
    } else if (!s->sub) {
        v = rm_load(c, s, s->ra, n);
    } else {
        m = soft_rm_open(c, s, n);
        v = m.v;
    }
    bit = 1ull << (at & (bits - 1));
    if (s->sub) {
        do {
            v = m.v;
            r = s->sub == 1 ? v | bit : s->sub == 2 ? v & ~bit : v ^ bit;
        } while (!soft_rm_swap(c, s, &m, r, n));
    }
    fl_cf_of(c, v & bit, fl_o(c));
    NEXT;
}
static bool bind_bt(Xlate *x)
{
    x->s->sub = x->arg;
    x->s->rep = x->in->o[1].kind != OK_G;
    x->s->fn = bit_test;
    return true;
}

H(bsf)
{
    uint64_t v = rm_load(c, s, s->rb, s->osz);

    c->faux = 0;
    c->fres = v != 0;
    if (v) {
        reg_set(c, s->ra, s->sub ? 63 - __builtin_clzll(v) :
                __builtin_ctzll(v), s->osz);
    }
    NEXT;
}
H(tzcnt)
{
    unsigned n = s->osz;
    uint64_t v = rm_load(c, s, s->rb, n), r;

    r = !v ? 8 * n : s->sub ? (unsigned)__builtin_clzll(v) - (64 - 8 * n) :
        (unsigned)__builtin_ctzll(v);
    reg_set(c, s->ra, r, n);
    c->faux = 0;
    c->fres = r;
    fl_cf_of(c, !v, false);
    NEXT;
}
H(popcnt)
{
    uint64_t v = rm_load(c, s, s->rb, s->osz);

    reg_set(c, s->ra, __builtin_popcountll(v), s->osz);
    fl_set(c, v ? 0 : F_ZF);
    NEXT;
}
static bool bind_count(Xlate *x)
{
    static Handler *const t[5] = { bsf, bsf, tzcnt, tzcnt, popcnt };

    x->s->sub = x->arg & 1;
    x->s->fn = t[x->arg];
    return true;
}

H(bswap)
{
    unsigned o = s->ra;

    if (s->osz == 8) {
        c->r[o >> 3] = __builtin_bswap64(c->r[o >> 3]);
    } else if (s->osz == 4) {
        c->r[o >> 3] = __builtin_bswap32(c->r[o >> 3]);
    } else {
        *(una_16 *)RP(c, o) = 0;        /* what processors do */
    }
    NEXT;
}
static bool bind_bswap(Xlate *x)
{
    x->s->fn = bswap;
    return x->pure = true;
}

H(movbe)
{
    unsigned n = s->osz;
    uint64_t v;

    if (s->mem == 2) {
        v = ld_n(c, s, ea(c, s, n, false), n);
        reg_set(c, s->ra, __builtin_bswap64(v) >> (64 - 8 * n), n);
    } else {
        v = reg_n(c, s->rb, n);
        st_n(c, s, ea(c, s, n, true), __builtin_bswap64(v) >> (64 - 8 * n), n);
    }
    NEXT;
}
static bool bind_movbe(Xlate *x) { x->s->fn = movbe; return true; }

H(crc32)
{
    uint32_t crc = reg_n(c, s->ra, 4);
    uint64_t v = rm_load(c, s, s->rb, s->sub);

    for (unsigned i = 0; i < s->sub; i++) {
        crc ^= v >> 8 * i & 0xff;
        for (int k = 0; k < 8; k++) {
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
        }
    }
    reg_set(c, s->ra, crc, 8);
    NEXT;
}
static bool bind_crc32(Xlate *x)
{
    x->s->sub = x->in->o[1].size;
    x->s->fn = crc32;
    return true;
}

/* ---- BMI, ADX ------------------------------------------------------------ */
enum { B_ANDN, B_BLSR, B_BLSMSK, B_BLSI, B_BZHI, B_PEXT, B_PDEP, B_MULX,
       B_BEXTR, B_SHLX, B_SARX, B_SHRX, B_RORX, B_ADCX, B_ADOX };

static uint64_t pdep(uint64_t v, uint64_t m, bool extract)
{
    uint64_t r = 0, out = 1;

    for (; m; m &= m - 1) {
        uint64_t low = m & -m;

        if (extract ? v & low : v & out) {
            r |= extract ? out : low;
        }
        out <<= 1;
    }
    return r;
}

static void fl_bmi(SoftCpu *c, uint64_t r, unsigned n, bool cf)
{
    fl_logic(c, r, n);
    fl_cf_of(c, cf, false);
}

H(bmi)
{
    unsigned n = s->osz, bits = 8 * n;
    uint64_t a, b, r = 0;

    /* memory stands second or third; the other source is a register */
    switch (s->sub) {
    case B_ANDN: case B_PEXT: case B_PDEP:
        a = reg_n(c, s->rb, n);
        b = rm_load(c, s, s->rc, n);
        break;
    case B_MULX:
        a = reg_n(c, X86_RDX * 8, n);
        b = rm_load(c, s, s->rc, n);
        break;
    default:
        a = rm_load(c, s, s->rb, n);
        b = reg_n(c, s->rc, n);
        break;
    }
    switch (s->sub) {
    case B_ANDN: r = ~a & b & mask_n(n); fl_bmi(c, r, n, false); break;
    case B_BLSR: r = a & (a - 1); fl_bmi(c, r, n, !a); break;
    case B_BLSMSK: r = (a ^ (a - 1)) & mask_n(n); fl_bmi(c, r, n, !a); break;
    case B_BLSI: r = a & -a; fl_bmi(c, r, n, a); break;
    case B_BZHI:
        b &= 0xff;
        r = b < bits ? a & ((1ull << b) - 1) : a;
        fl_bmi(c, r, n, b >= bits);
        break;
    case B_PEXT: r = pdep(a, b, true); break;
    case B_PDEP: r = pdep(a, b, false); break;
    case B_BEXTR: {
        unsigned at = b & 0xff, len = b >> 8 & 0xff;

        r = at < bits ? a >> at : 0;
        if (len < bits) {
            r &= (1ull << len) - 1;
        }
        fl_bmi(c, r, n, false);
        break;
    }
    case B_SHLX: r = a << (b & (bits - 1)); break;
    case B_SHRX: r = a >> (b & (bits - 1)); break;
    case B_SARX: r = sext_n(a, n) >> (b & (bits - 1)); break;
    case B_RORX:
        b = s->imm & (bits - 1);
        r = b ? a >> b | a << (bits - b) : a;
        break;
    case B_MULX: {
        U128 p = (U128)a * b;

        reg_set(c, s->rb, (uint64_t)p, n);
        r = (uint64_t)(p >> bits);
        break;
    }
    case B_ADCX: case B_ADOX: {
        bool ox = s->sub == B_ADOX, ci = ox ? fl_o(c) : fl_c(c), co;
        uint64_t d = reg_n(c, s->ra, n);
        U128 w = (U128)d + a + ci;

        r = (uint64_t)w;
        co = w >> bits & 1;
        fl_cf_of(c, ox ? fl_c(c) : co, ox ? co : fl_o(c));
        break;
    }
    }
    reg_set(c, s->ra, r, n);
    NEXT;
}
static bool bind_bmi(Xlate *x)
{
    x->s->sub = x->arg;
    x->s->fn = bmi;
    return x->arg >= B_ADCX || (x->c->x->cr0 & 1 && !soft_v86(x->c));
}

/* ---- exchanges ----------------------------------------------------------- */
H(xchg_r)
{
    unsigned n = s->osz;
    uint64_t a = reg_n(c, s->ra, n), b = reg_n(c, s->rb, n);

    reg_set(c, s->ra, b, n);
    reg_set(c, s->rb, a, n);
    NEXT;
}
H(xchg_m)
{
    unsigned n = s->osz;
    uint64_t b = reg_n(c, s->rb, n);
    Rm m = soft_rm_open(c, s, n);

    while (!soft_rm_swap(c, s, &m, b, n)) {
    }
    reg_set(c, s->rb, m.v, n);
    NEXT;
}
static bool bind_xchg(Xlate *x)
{
    x->s->osz = x->in->o[0].size;
    x->s->fn = x->s->mem ? xchg_m : xchg_r;
    if (x->s->mem) {
        x->s->lock = 1;
    }
    return true;
}
H(xadd)
{
    unsigned n = s->osz;
    uint64_t b = reg_n(c, s->rb, n), r;
    Rm m = soft_rm_open(c, s, n);

    do {
        r = (m.v + b) & mask_n(n);
    } while (!soft_rm_swap(c, s, &m, r, n));
    fl_add(c, m.v, b, r, n);
    if (s->mem) {
        reg_set(c, s->rb, m.v, n);
    } else {
        reg_set(c, s->rb, m.v, n);
        reg_set(c, s->ra, r, n);
    }
    NEXT;
}
H(cmpxchg)
{
    unsigned n = s->osz;
    uint64_t a = reg_n(c, 0, n), b = reg_n(c, s->rb, n), v;
    Rm m = soft_rm_open(c, s, n);

    do {
        v = m.v;
        /* a register that does not match is not written at all */
        if (v != a && (!s->mem || (s->lock && m.p))) {
            break;
        }
    } while (!soft_rm_swap(c, s, &m, v == a ? b : v, n));
    fl_sub(c, a, v, (a - v) & mask_n(n), n);
    if (v != a) {
        reg_set(c, 0, v, n);
    }
    NEXT;
}
static bool bind_xadd(Xlate *x)
{
    x->s->osz = x->in->o[0].size;
    x->s->fn = x->arg ? cmpxchg : xadd;
    return true;
}

H(cmpxchg8b)
{
    uint64_t la = ea(c, s, 8, true), old, v;
    uint64_t want = c->r[X86_RDX] << 32 | (uint32_t)c->r[X86_RAX];
    uint64_t set = c->r[X86_RCX] << 32 | (uint32_t)c->r[X86_RBX];
    una_64 *p = rmw64(c, s, la);

    old = want;
    if (p) {
        __atomic_compare_exchange_n((uint64_t *)p, &old, set, false,
                                    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
        v = old;
    } else {
        soft_lock_begin(c);
        v = ld64(c, s, la);
        st64(c, s, la, v == want ? set : v);
        soft_lock_end(c);
    }
    if (v != want) {
        c->r[X86_RAX] = (uint32_t)v;
        c->r[X86_RDX] = v >> 32;
    }
    fl_set(c, (fl_get(c) & ~F_ZF) | (v == want ? F_ZF : 0));
    NEXT;
}
H(cmpxchg16b)
{
    uint64_t la = ea(c, s, 16, true), lo = c->r[X86_RAX], hi = c->r[X86_RDX];
    bool same;

    if (la & 15) {
        SOFT_GP0(c, s);
    }
    una_64 *p = rmw64(c, s, la);

    if (p) {
        __asm__ volatile("lock cmpxchg16b %0"
                         : "+m"(*(U128 *)p), "+a"(lo), "+d"(hi), "=@ccz"(same)
                         : "b"(c->r[X86_RBX]), "c"(c->r[X86_RCX]) : "memory");
    } else {
        uint64_t a, b;

        soft_lock_begin(c);
        a = ld64(c, s, la);
        b = ld64(c, s, la + 8);
        same = a == lo && b == hi;
        st64(c, s, la, same ? c->r[X86_RBX] : a);
        st64(c, s, la + 8, same ? c->r[X86_RCX] : b);
        soft_lock_end(c);
        lo = a;
        hi = b;
    }
    if (!same) {
        c->r[X86_RAX] = lo;
        c->r[X86_RDX] = hi;
    }
    fl_set(c, (fl_get(c) & ~F_ZF) | (same ? F_ZF : 0));
    NEXT;
}
static bool bind_cx8(Xlate *x)
{
    x->s->fn = x->arg ? cmpxchg16b : cmpxchg8b;
    return true;
}

const Bind soft_binds_misc[] = {
    { "rol", bind_shift, SH_ROL }, { "ror", bind_shift, SH_ROR },
    { "rcl", bind_shift, SH_RCL }, { "rcr", bind_shift, SH_RCR },
    { "shl", bind_shift, SH_SHL }, { "shr", bind_shift, SH_SHR },
    { "shl.alias", bind_shift, SH_SHL }, { "sar", bind_shift, SH_SAR },
    { "shld", bind_shiftd, 0 }, { "shrd", bind_shiftd, 1 },
    { "mul", bind_mul, 0 }, { "imul.acc", bind_mul, 1 },
    { "imul", bind_imul, 0 }, { "div", bind_div, 0 }, { "idiv", bind_div, 1 },
    { "bt", bind_bt, 0 }, { "bts", bind_bt, 1 }, { "btr", bind_bt, 2 },
    { "btc", bind_bt, 3 },
    { "bsf", bind_count, 0 }, { "bsr", bind_count, 1 },
    { "tzcnt", bind_count, 2 }, { "lzcnt", bind_count, 3 },
    { "popcnt", bind_count, 4 },
    { "bswap", bind_bswap, 0 }, { "movbe", bind_movbe, 0 },
    { "crc32", bind_crc32, 0 },
    { "andn", bind_bmi, B_ANDN }, { "blsr", bind_bmi, B_BLSR },
    { "blsmsk", bind_bmi, B_BLSMSK }, { "blsi", bind_bmi, B_BLSI },
    { "bzhi", bind_bmi, B_BZHI }, { "pext", bind_bmi, B_PEXT },
    { "pdep", bind_bmi, B_PDEP }, { "mulx", bind_bmi, B_MULX },
    { "bextr", bind_bmi, B_BEXTR }, { "shlx", bind_bmi, B_SHLX },
    { "sarx", bind_bmi, B_SARX }, { "shrx", bind_bmi, B_SHRX },
    { "rorx", bind_bmi, B_RORX }, { "adcx", bind_bmi, B_ADCX },
    { "adox", bind_bmi, B_ADOX },
    { "xchg", bind_xchg, 0 }, { "xchg.acc", bind_xchg, 0 },
    { "xadd", bind_xadd, 0 }, { "cmpxchg", bind_xadd, 1 },
    { "cmpxchg8b", bind_cx8, 0 }, { "cmpxchg16b", bind_cx8, 1 },
    { 0 }
};
