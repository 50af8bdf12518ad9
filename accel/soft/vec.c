/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vec.c - MMX, SSE and AVX: the host's own instruction on the guest's
 * registers. The instruction is encoded anew with fixed registers: ModRM.reg
 * becomes xmm1, mm1 or rax; ModRM.rm xmm2, mm2, rax or (rsi); vvvv xmm3; the
 * fourth operand xmm4, or xmm0 where it is implicit.
 * Intel SDM vol. 1, 11.5 (SIMD exceptions); vol. 2, 2.3 (VEX).
 *
 * Thread class: the vCPU's thread.
 * Invariant: a form without a host instruction is refused when it is bound.
 */
#include <pthread.h>
#include <signal.h>
#include <ucontext.h>
#include "thunk.h"
#include "vec-misc.h"

#define H(name) static const Slot *name(SoftCpu *c, const Slot *s)
#define MX_MASKED 0x1f80u

static void put(Thunk *t, unsigned n, const char *bytes)
{
    if (t->len + n <= sizeof(t->code)) {
        memcpy(t->code + t->len, bytes, n);
        t->len += n;
    }
}
#define PUT(t, str) put(t, sizeof(str) - 1, str)
static void put1(Thunk *t, uint8_t b)
{
    put(t, 1, (const char *)&b);
}

/* Loads or stores register number reg (xmm or ymm, mm, rax) at a base:
 * 7 rdi, 6 rsi, 2 rdx, 1 rcx. */
static void put_move(Thunk *t, unsigned kind, unsigned reg, unsigned base,
                     bool store)
{
    uint8_t modrm = (reg & 7) << 3 | base;

    if (kind == OK_V && t->vex) {       /* vmovdqu ymm */
        PUT(t, "\xc5\xfe");
        put1(t, store ? 0x7f : 0x6f);
    } else if (kind == OK_V) {          /* movdqu xmm */
        PUT(t, "\xf3\x0f");
        put1(t, store ? 0x7f : 0x6f);
    } else if (kind == OK_P) {          /* movq mm */
        PUT(t, "\x0f");
        put1(t, store ? 0x7f : 0x6f);
    } else {                            /* mov rax */
        PUT(t, "\x48");
        put1(t, store ? 0x89 : 0x8b);
    }
    put1(t, modrm);
}

static unsigned host_reg(unsigned kind, unsigned number)
{
    return kind == OK_G ? 0 : number;
}

static void put_insn(Thunk *t, const Insn *in, unsigned reg_field,
                     unsigned rm_field, int v, bool is4)
{
    static const uint8_t pp[] = { [PFX_NP] = 0, [PFX_66] = 1, [PFX_F3] = 2,
                                  [PFX_F2] = 3, [PFX_ANY] = 0, [PFX_NR] = 0 };
    static const uint8_t pfx[] = { 0, 0x66, 0xf3, 0xf2 };
    const InsnRow *r = in->row;
    unsigned p = pp[r->pfx];

    if (in->vex) {
        put1(t, 0xc4);
        put1(t, 0xe0 | (r->map - MAP_V1 + 1));
        /* W means nothing for general registers outside 64-bit mode */
        bool w = in->vex_w && (in->mode == MODE_64 ||
                               r->attr & (IA_W0 | IA_W1));

        put1(t, w << 7 | (~(v < 0 ? 0 : v) & 15) << 3 |
             in->vex_l << 2 | p);
        put1(t, in->opcode);
    } else {
        if (p) {
            put1(t, pfx[p]);
        }
        if (in->rex & 8) {
            put1(t, 0x48);
        }
        put1(t, 0x0f);
        if (r->map != MAP_0F) {
            put1(t, r->map == MAP_38 ? 0x38 : 0x3a);
        }
        put1(t, in->opcode);
    }
    put1(t, (t->mem ? 0 : 0xc0) | reg_field << 3 | rm_field);
    if (is4) {
        put1(t, 4 << 4 | (in->imm & 15));
    } else if (in->imm_size) {
        put1(t, in->imm);
        if (OSPEC_KIND(r->o[2]) == OK_I && OSPEC_KIND(r->o[1]) == OK_I) {
            put1(t, in->imm2);          /* extrq */
        } else if (OSPEC_KIND(r->o[3]) == OK_I &&
                   OSPEC_KIND(r->o[2]) == OK_I) {
            put1(t, in->imm2);          /* insertq */
        }
    }
}

/* Implicit registers of the string comparisons. */
enum { STR_NO, STR_EXPLICIT = 1, STR_MASK = 2, STR_ANY = 4 };
static unsigned str_kind(const Insn *in)
{
    if ((in->row->map != MAP_3A && in->row->map != MAP_V3) ||
        (in->opcode & 0xfc) != 0x60) {
        return STR_NO;
    }
    return STR_ANY | (in->opcode < 0x62 ? STR_EXPLICIT : 0) |
        (in->opcode & 1 ? 0 : STR_MASK);
}

typedef struct Shape {
    int reg, rm, v, x;                  /* operand numbers, -1: none */
} Shape;

static Shape shape_of(const Insn *in)
{
    Shape f = { -1, -1, -1, -1 };

    for (int i = 0; i < in->nop; i++) {
        switch (OSPEC_KIND(in->row->o[i])) {
        case OK_G: case OK_V: case OK_P: f.reg = i; break;
        case OK_E: case OK_R: case OK_M: case OK_W: case OK_U: case OK_Q:
        case OK_N: f.rm = i; break;
        case OK_H: f.v = i; break;
        case OK_L: case OK_XMM0: f.x = i; break;
        }
    }
    return f;
}

static void put_loads(Thunk *t, const Insn *in, const Shape *f, bool store)
{
    bool is_xmm0 = f->x >= 0 && OSPEC_KIND(in->row->o[f->x]) == OK_XMM0;
    const struct { int i; uint8_t kind, reg, base; } m[] = {
        { f->reg, t->reg, 1, 7 }, { t->mem ? -1 : f->rm, t->rm, 2, 6 },
        { f->v, t->v, 3, 2 }, { f->x, t->x, is_xmm0 ? 0 : 4, 1 },
    };

    for (unsigned k = 0; k < 4; k++) {
        if (m[k].i >= 0 && (!store || in->o[m[k].i].wr)) {
            put_move(t, m[k].kind, host_reg(m[k].kind, m[k].reg), m[k].base,
                     store);
        }
    }
}

static void build(Thunk *t, const Insn *in, const Shape *f)
{
    unsigned str = str_kind(in);
    unsigned reg_field = in->row->ext != 0xff ? in->row->ext : f->reg >= 0 ?
        host_reg(t->reg, 1) : 0;
    unsigned rm_field = t->mem ? 6 : host_reg(t->rm, 2);

    put_loads(t, in, f, false);
    if (str & STR_EXPLICIT) {
        PUT(t, "\x49\x8b\x00\x49\x8b\x50\x10"); /* mov (r8),rax; 16(r8),rdx */
    }
    put_insn(t, in, reg_field, rm_field, f->v >= 0 ? 3 : -1,
             f->x >= 0 && in->vex);
    put_loads(t, in, f, true);
    if (str && !(str & STR_MASK)) {
        PUT(t, "\x49\x89\x48\x08");             /* mov rcx,8(r8) */
    } else if (str) {
        put_move(t, OK_V, 0, 1, true);          /* xmm0 to (rcx) */
    }
    if (t->flags) {
        PUT(t, "\x9c\x58");                     /* pushfq; pop rax */
    }
    if (t->mmx) {
        PUT(t, "\x0f\x77");                     /* emms */
    }
    if (t->vex) {
        PUT(t, "\xc5\xf8\x77");                 /* vzeroupper */
    }
    PUT(t, "\xc3");
}

static inline void *reg_ptr(SoftCpu *c, unsigned kind, unsigned n)
{
    switch (kind) {
    case OK_V: return &c->x->vec[n];
    case OK_P: return &c->fx.st[n];
    case OK_G: return &c->r[n];
    default: return NULL;
    }
}

/* ---- unmasked exceptions: the host's trap says exactly what happened ----- */
static __thread jmp_buf trap_jb;
static __thread volatile sig_atomic_t trap_armed;
static __thread uint32_t trap_mxcsr;

bool soft_vec_trap(void *ctx)
{
    ucontext_t *u = ctx;

    if (!trap_armed) {
        return false;
    }
    trap_armed = 0;
    trap_mxcsr = u->uc_mcontext.fpregs->mxcsr;
    _longjmp(trap_jb, 1);
}

static struct sigaction trap_before;
static void trap_handler(int sig, siginfo_t *info, void *ctx)
{
    soft_vec_trap(ctx);
    /* not ours: what would have happened without us */
    if (trap_before.sa_flags & SA_SIGINFO && trap_before.sa_sigaction) {
        trap_before.sa_sigaction(sig, info, ctx);
    } else {
        signal(sig, SIG_DFL);
    }
}
static pthread_once_t trap_once = PTHREAD_ONCE_INIT;
static void trap_install(void)
{
    struct sigaction sa = { .sa_sigaction = trap_handler,
                            .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK };

    sigaction(SIGFPE, NULL, &trap_before);
    if (trap_before.sa_handler == SIG_DFL) {
        sigaction(SIGFPE, &sa, NULL);
    }
}

/* Some SIMD exception is unmasked. */
static uint64_t run_unmasked(SoftCpu *c, const Slot *s, const Thunk *t,
                             void *reg, void *rm, void *v, void *x)
{
    uint32_t host = MX_MASKED;
    uint64_t f = 0;

    pthread_once(&trap_once, trap_install);
    if (_setjmp(trap_jb)) {
        __asm__ volatile("ldmxcsr %0" : : "m"(host));
        c->x->mxcsr = trap_mxcsr;
        soft_fault(c, s, c->x->cr4 & 0x400 ? EXC_XM : EXC_UD);
    }
    trap_armed = 1;
    __asm__ volatile("ldmxcsr %0" : : "m"(c->x->mxcsr));
    f = t->fn(reg, rm, v, x, c->r);
    __asm__ volatile("stmxcsr %0" : "=m"(c->x->mxcsr));
    __asm__ volatile("ldmxcsr %0" : : "m"(host));
    trap_armed = 0;
    return f;
}

static void check_state(SoftCpu *c, const Slot *s, const Thunk *t)
{
    unsigned bad = t->vex ? c->avx_bad : t->mmx ? 0 : c->sse_bad;

    if (t->mmx) {
        if (c->x->cr0 & 4) {
            SOFT_UD(c, s);
        }
        if (t->sse) {
            bad = c->sse_bad;
        }
        if (!bad && c->x->cr0 & 8) {
            bad = EXC_NM;
        }
    }
    if (bad) {
        soft_fault(c, s, bad);
    }
    if (t->mmx) {
        soft_x87_wait(c, s);
    }
}

/* The guest's SIMD control and flags around the thunk. Where the host's control
 * is the same and its flags are the guest's already, loading them would change
 * nothing; loading is what costs. */
static inline uint64_t run(SoftCpu *c, const Slot *s, const Thunk *t, void *reg,
                           void *rm, void *v, void *x)
{
    uint32_t host, want = c->x->mxcsr;
    uint64_t f;

    if (!t->mxcsr) {
        return t->fn(reg, rm, v, x, c->r);
    }
    if (UNLIKELY((want & MX_MASKED) != MX_MASKED)) {
        return run_unmasked(c, s, t, reg, rm, v, x);
    }
    __asm__ volatile("stmxcsr %0" : "=m"(host));
    if (LIKELY(!((want ^ host) & ~0x3fu) && !(host & ~want))) {
        f = t->fn(reg, rm, v, x, c->r);
        __asm__ volatile("stmxcsr %0" : "=m"(host));
        c->x->mxcsr = want | host;
        return f;
    }
    __asm__ volatile("ldmxcsr %0" : : "m"(want));
    f = t->fn(reg, rm, v, x, c->r);
    __asm__ volatile("stmxcsr %0" : "=m"(c->x->mxcsr));
    host = MX_MASKED;
    __asm__ volatile("ldmxcsr %0" : : "m"(host));
    return f;
}

/* The operand's own place where the TLB allows all that the form does with it
 * in one page; else a copy, with *copied set. */
static inline void *operand(SoftCpu *c, const Slot *s, const Thunk *t,
                            uint64_t la, bool *copied)
{
    const TlbEntry *e = tlb_of(c, la);
    uint64_t tag = (la + t->size - 1) & ~0xfffull;

    if (LIKELY((t->mem_wr ? e->w : e->r) == tag &&
               (la & ~0xfffull) == tag)) {
        *copied = false;
        return (void *)(e->add + la);
    }
    *copied = true;
    if (t->mem_rd) {
        soft_ld_bytes(c, s, la, &c->vtmp[0], t->size);
    } else {
        soft_probe_write(c, s, la, t->size);
    }
    return &c->vtmp[0];
}

/* Vector registers, and memory perhaps, are all there is. */
H(vec_plain)
{
    const Thunk *t = s->p;
    X86Vec *r = c->x->vec;
    void *rm = &r[s->rb];
    bool copied = false;
    uint64_t la = 0;

    if (UNLIKELY(t->vex ? c->avx_bad : c->sse_bad)) {
        check_state(c, s, t);
    }
    if (t->mem) {
        la = ea(c, s, t->size, t->mem_wr);
        if (UNLIKELY(la & t->align)) {
            SOFT_GP0(c, s);
        }
        rm = operand(c, s, t, la, &copied);
    }
    run(c, s, t, &r[s->ra], rm, &r[s->rc], NULL);
    if (UNLIKELY(copied && t->mem_wr)) {
        soft_st_bytes(c, s, la, rm, t->size);
    }
    NEXT;
}

H(vec_op)
{
    const Thunk *t = s->p;
    void *reg, *rm, *v, *x;
    bool copied = false;
    uint64_t f, la = 0;

    if (UNLIKELY(t->mmx | (t->vex ? c->avx_bad : c->sse_bad))) {
        check_state(c, s, t);
    }
    if (t->mem) {
        la = ea(c, s, t->size, t->mem_wr);
        if (UNLIKELY(la & t->align)) {
            SOFT_GP0(c, s);
        }
        rm = operand(c, s, t, la, &copied);
    } else {
        rm = reg_ptr(c, t->rm, s->rb);
    }
    if (UNLIKELY(t->mmx)) {
        soft_mmx_enter(c);
    }
    reg = reg_ptr(c, t->reg, s->ra);
    v = reg_ptr(c, t->v, s->rc);
    x = reg_ptr(c, t->x, t->xi);
    f = run(c, s, t, reg, rm, v, x);
    if (copied && t->mem_wr) {
        soft_st_bytes(c, s, la, rm, t->size);
    }
    if (t->flags) {
        fl_set(c, f);
    }
    if (UNLIKELY(t->mmx)) {
        if (t->mm_wr & 1) {
            c->fx.st[s->ra].se = 0xffff;
        }
        if (t->mm_wr & 2) {
            c->fx.st[s->rb].se = 0xffff;
        }
    }
    NEXT;
}

static unsigned kind_of(const Insn *in, int i)
{
    return i < 0 ? OK_NONE : in->o[i].kind;
}

static bool bind_vec(Xlate *x)
{
    const Insn *in = x->in;
    Shape f = shape_of(in);
    Thunk t = { .vex = in->vex };
    unsigned str = str_kind(in), xc = in->row->exc;

    t.reg = kind_of(in, f.reg);
    t.rm = kind_of(in, f.rm);
    t.v = kind_of(in, f.v);
    t.x = f.x >= 0 ? OK_V : OK_NONE;
    t.mem = t.rm == OK_M;
    t.mxcsr = xc == XC_2 || xc == XC_3 || xc == XC_11 || xc == XC_MMX_FP;
    t.flags = in->row->flags == FA;
    /* cvtpi2pd and cvtpi2ps from memory leave the x87 unit alone */
    t.mmx = (xc == XC_MMX || xc == XC_MMX_FP) &&
        !(t.mem && in->opcode == 0x2a);
    t.sse = t.reg == OK_V || OSPEC_KIND(in->row->o[1]) == OK_W ||
        t.rm == OK_V;
    if (t.reg == OK_P && in->o[f.reg].wr) {
        t.mm_wr |= 1;
    }
    if (t.rm == OK_P && in->o[f.rm].wr) {
        t.mm_wr |= 2;
    }
    if (f.x >= 0) {
        t.xi = OSPEC_KIND(in->row->o[f.x]) == OK_XMM0 ? 0 : in->o[f.x].reg;
    }
    if (str & STR_MASK) {
        t.x = OK_V;
        t.xi = 0;
    }
    if (t.mem) {
        const InsnOperand *o = &in->o[f.rm];

        t.size = o->size;
        t.mem_rd = o->rd;
        t.mem_wr = o->wr;
        if (xc == XC_1 || (!in->vex && (xc == XC_2 || xc == XC_4)) ||
            (xc == XC_MMX_FP && o->size == 16)) {
            t.align = o->size - 1;
        }
        t.rm = OK_NONE;
    }
    build(&t, in, &f);
    /* slot registers by encoding place instead of operand order */
    x->s->ra = f.reg >= 0 ? in->o[f.reg].reg : 0;
    x->s->rb = f.rm >= 0 ? in->o[f.rm].reg : 0;
    x->s->rc = f.v >= 0 ? in->o[f.v].reg : 0;
    x->s->p = soft_thunk(&t);
    x->s->fn = !t.mmx && !t.flags && t.reg == OK_V && t.x == OK_NONE &&
        (t.mem || t.rm == OK_V) && (t.v == OK_NONE || t.v == OK_V) ?
        vec_plain : vec_op;
    return x->s->p != NULL;
}

/* Forms that vec-misc.c does itself come first. */
const Bind soft_binds_vec[] = {
    SOFT_BINDS_VEC_MISC
    { "*v", bind_vec, 0 },
    { 0 }
};
