/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * x87.c - the x87 unit: the host's runs each instruction on the guest's
 * image, so that results, tags and condition bits are the processor's own.
 * Intel SDM vol. 1, chapter 8; vol. 2 (FXSAVE image).
 *
 * Thread class: the vCPU's thread.
 * Invariants:
 * 1. A waiting instruction is never run on the host while the image has an
 *    unmasked exception pending; the guest gets its #MF instead.
 * 2. The host's unit is reinitialised after each instruction.
 */
#include "thunk.h"

#define H(name) static const Slot *name(SoftCpu *c, const Slot *s)

/* Full tag of one register: 0 valid, 1 zero, 2 special. */
static unsigned full_tag(uint64_t mant, uint16_t se)
{
    unsigned e = se & 0x7fff;

    if (e == 0x7fff || (e && !(mant >> 63))) {
        return 2;
    }
    if (!e) {
        return mant ? 2 : 1;
    }
    return 0;
}

uint16_t soft_x87_tags(const FxImage *f)
{
    unsigned top = f->fsw >> 11 & 7;
    uint16_t tags = 0;

    for (unsigned i = 0; i < 8; i++) {
        unsigned st = (i - top) & 7;
        unsigned t = f->ftw >> i & 1 ? full_tag(f->st[st].mant, f->st[st].se) :
            3;

        tags |= t << 2 * i;
    }
    return tags;
}

void soft_x87_load(SoftCpu *c)
{
    X86Regs *x = c->x;
    FxImage *f = &c->fx;
    unsigned top = x->fsw >> 11 & 7;

    memset(f, 0, sizeof(*f));
    f->fcw = x->fcw;
    f->fsw = x->fsw;
    f->fop = x->fop;
    f->fip = x->fip;
    f->fdp = x->fdp;
    f->mxcsr = 0x1f80;
    c->fcs = x->fcs;
    c->fds = x->fds;
    for (unsigned i = 0; i < 8; i++) {
        f->ftw |= (x->ftag >> 2 * i & 3) == 3 ? 0 : 1 << i;
        f->st[(i - top) & 7].mant = x->fpr[i].mant;
        f->st[(i - top) & 7].se = x->fpr[i].se;
    }
}

void soft_x87_save(SoftCpu *c)
{
    X86Regs *x = c->x;
    FxImage *f = &c->fx;
    unsigned top = f->fsw >> 11 & 7;

    x->fcw = f->fcw;
    x->fsw = f->fsw;
    x->ftag = soft_x87_tags(f);
    x->fop = f->fop;
    x->fip = f->fip;
    x->fdp = f->fdp;
    x->fcs = c->fcs;
    x->fds = c->fds;
    for (unsigned i = 0; i < 8; i++) {
        x->fpr[i].mant = f->st[(i - top) & 7].mant;
        x->fpr[i].se = f->st[(i - top) & 7].se;
    }
}

/* An MMX instruction: TOP becomes 0, every tag valid; MMn is register n. */
void soft_mmx_enter(SoftCpu *c)
{
    FxImage *f = &c->fx, old;
    unsigned top = f->fsw >> 11 & 7;

    if (top) {
        old = *f;
        for (unsigned i = 0; i < 8; i++) {
            f->st[i] = old.st[(i - top) & 7];
        }
        f->fsw &= ~0x3800;
    }
    f->ftw = 0xff;
}

void soft_x87_pending(SoftCpu *c, const Slot *s)
{
    bool error = c->fx.fsw & 0x80;

    if (error && c->x->cr0 & 0x20) {
        soft_fault(c, s, EXC_MF);
    }
    c->ferr = error;
    if (c->hooks->ferr && !c->hooks->ferr(c, error) && error) {
        /* waits for IRQ 13 or any other interrupt */
        if (c->hooks->nap) {
            c->hooks->nap(c);
        }
        soft_again(c, s);
    }
}

static void need_x87(SoftCpu *c, const Slot *s, bool waits)
{
    if (c->fpu_bad) {
        soft_fault(c, s, EXC_NM);
    }
    if (waits) {
        soft_x87_wait(c, s);
    }
}

static void note_last(SoftCpu *c, const Slot *s, uint64_t la)
{
    FxImage *f = &c->fx;

    f->fip = ip_of(c, s);
    f->fop = s->sub << 8 | s->rep;
    c->fcs = c->code64 ? 0 : c->x->seg[SEG_CS].sel;
    if (s->mem) {
        f->fdp = la;
        c->fds = c->code64 || s->seg >= 6 ? 0 : c->x->seg[s->seg].sel;
    }
}

/* An error stands and is ignored: nothing may trap in the host. */
static uint64_t run_pending(SoftCpu *c, const Slot *s)
{
    const Thunk *t = s->p;
    FxImage *x = &c->fx;
    uint16_t fcw = x->fcw;
    uint64_t f;

    x->fcw |= 0x3f;
    x->fsw &= 0x7f7f;
    f = t->fn(x, &c->vtmp[0], (void *)(uintptr_t)(fl_get(c) | 2), NULL, c->r);
    if (x->fcw == (fcw | 0x3f)) {       /* not fldcw */
        x->fcw = fcw;
    }
    if (x->fsw & ~x->fcw & 0x3f) {
        x->fsw |= 0x8080;
    }
    return f;
}

H(x87_op)
{
    const Thunk *t = s->p;
    uint64_t la = 0, off = 0, f;
    uint64_t fip = c->fx.fip, fdp = c->fx.fdp;
    uint16_t fop = c->fx.fop;

    need_x87(c, s, t->waits);
    if (t->mem) {
        off = ea_off(c, s);
        la = seg_lin(c, s, s->seg, off, t->size, t->mem_wr);
        if (t->mem_wr) {
            soft_probe_write(c, s, la, t->size);
        }
        /* a store that an unmasked exception suppresses keeps the memory */
        soft_ld_bytes(c, s, la, &c->vtmp[0], t->size);
    }
    if (UNLIKELY(c->fx.fsw & 0x80)) {
        f = run_pending(c, s);
    } else {
        f = t->fn(&c->fx, &c->vtmp[0], (void *)(uintptr_t)(fl_get(c) | 2),
                  NULL, c->r);
    }
    if (t->mem_wr) {
        soft_st_bytes(c, s, la, &c->vtmp[0], t->size);
    }
    if (t->flags) {
        fl_set(c, f);
    }
    c->fx.fip = fip;
    c->fx.fdp = fdp;
    c->fx.fop = fop;
    if (t->waits) {
        note_last(c, s, off);
    }
    NEXT;
}

static void put(Thunk *t, const char *b, unsigned n)
{
    memcpy(t->code + t->len, b, n);
    t->len += n;
}
#define PUT(t, str) put(t, str, sizeof(str) - 1)

static bool bind_x87(Xlate *x)
{
    const Insn *in = x->in;
    const InsnFlagSet *fs = &insn_flag_sets[in->row->flags];
    uint8_t op[2] = { in->opcode, in->modrm };
    Thunk t = { 0 };

    t.waits = in->row->exc != XC_X87_NW;
    t.mem = x->s->mem;
    if (t.mem) {
        t.size = in->o[0].size;
        t.mem_rd = in->o[0].rd;
        t.mem_wr = in->o[0].wr;
        op[1] = (in->modrm & 0x38) | 6;             /* (rsi) */
    }
    t.flags = fs->wr != 0;
    PUT(&t, "\x48\x0f\xae\x0f");                    /* fxrstor64 (rdi) */
    if (fs->rd) {
        PUT(&t, "\x52\x9d");                        /* push rdx; popfq */
    }
    put(&t, (const char *)op, 2);
    if (t.flags) {
        PUT(&t, "\x9c\x58");                        /* pushfq; pop rax */
    }
    PUT(&t, "\x48\x0f\xae\x07\xdb\xe3\xc3");        /* fxsave64; fninit; ret */
    x->s->sub = in->opcode & 7;
    x->s->rep = in->modrm;
    x->s->p = soft_thunk(&t);
    x->s->fn = x87_op;
    return x->s->p != NULL;
}

H(wait_)
{
    if ((c->x->cr0 & 10) == 10) {
        soft_fault(c, s, EXC_NM);
    }
    soft_x87_wait(c, s);
    NEXT;
}
static bool bind_wait(Xlate *x) { x->s->fn = wait_; return true; }

H(fnstcw)
{
    need_x87(c, s, false);
    st16(c, s, ea(c, s, 2, true), c->fx.fcw);
    NEXT;
}
H(fnstsw)
{
    need_x87(c, s, false);
    if (s->mem) {
        st16(c, s, ea(c, s, 2, true), c->fx.fsw);
    } else {
        *(una_16 *)c->r = c->fx.fsw;
    }
    NEXT;
}
static bool bind_fnst(Xlate *x)
{
    x->s->fn = x->arg ? fnstsw : fnstcw;
    return true;
}
H(fnclex)
{
    need_x87(c, s, false);
    c->fx.fsw &= 0x7f00;
    NEXT;
}
static void x87_init(SoftCpu *c)
{
    FxImage *f = &c->fx;

    /* the registers keep their contents; the stack turns under TOP */
    soft_mmx_enter(c);
    f->fcw = 0x37f;
    f->fsw = 0;
    f->ftw = 0;
    f->fop = 0;
    f->fip = f->fdp = 0;
    c->fcs = c->fds = 0;
}
H(fninit)
{
    need_x87(c, s, false);
    x87_init(c);
    NEXT;
}
H(fnop_old)
{
    need_x87(c, s, false);
    NEXT;
}
static bool bind_fnone(Xlate *x)
{
    static Handler *const t[] = { fnclex, fninit, fnop_old };

    x->s->fn = t[x->arg];
    return true;
}
H(emms)
{
    if (c->x->cr0 & 4) {
        SOFT_UD(c, s);
    }
    need_x87(c, s, true);
    soft_mmx_enter(c);
    c->fx.ftw = 0;
    NEXT;
}
static bool bind_emms(Xlate *x) { x->s->fn = emms; return true; }

/* ---- environments -------------------------------------------------------- */
static unsigned env_size(const Slot *s) { return s->osz == 2 ? 14 : 28; }

/* Real and vm86 images hold linear addresses, protected ones selectors. */
static void env_pack(SoftCpu *c, const Slot *s, uint8_t *b)
{
    FxImage *f = &c->fx;
    bool real = !soft_pe(c) || soft_v86(c);
    uint16_t tags = soft_x87_tags(f);
    uint32_t ip = f->fip, dp = f->fdp;

    if (real) {
        ip += c->fcs << 4;
        dp += c->fds << 4;
    }
    if (s->osz == 2) {
        st_le16(b, f->fcw);
        st_le16(b + 2, f->fsw);
        st_le16(b + 4, tags);
        st_le16(b + 6, ip);
        st_le16(b + 8, real ? (ip >> 4 & 0xf000) | (f->fop & 0x7ff) : c->fcs);
        st_le16(b + 10, dp);
        st_le16(b + 12, real ? dp >> 4 & 0xf000 : c->fds);
        return;
    }
    st_le32(b, f->fcw | 0xffff0000);
    st_le32(b + 4, f->fsw | 0xffff0000);
    st_le32(b + 8, tags | 0xffff0000);
    if (real) {
        st_le32(b + 12, (ip & 0xffff) | 0xffff0000);
        st_le32(b + 16, (ip >> 4 & 0xffff000) | (f->fop & 0x7ff));
        st_le32(b + 20, (dp & 0xffff) | 0xffff0000);
        st_le32(b + 24, dp >> 4 & 0xffff000);
    } else {
        st_le32(b + 12, ip);
        st_le32(b + 16, c->fcs | (uint32_t)(f->fop & 0x7ff) << 16);
        st_le32(b + 20, dp);
        st_le32(b + 24, c->fds | 0xffff0000);
    }
}

/* ES and B follow the exception flags and masks. */
static void status_fix(FxImage *f)
{
    f->fsw &= 0x7f7f;
    if (f->fsw & 0x3f & ~f->fcw) {
        f->fsw |= 0x8080;
    }
}

static void env_unpack(SoftCpu *c, const Slot *s, const uint8_t *b)
{
    FxImage *f = &c->fx, old = *f;
    bool real = !soft_pe(c) || soft_v86(c);
    unsigned w = s->osz == 2 ? 2 : 4, top, was = old.fsw >> 11 & 7;
    uint16_t tags;

    f->fcw = (ld_le16(b) & 0x1f7f) | 0x40;
    f->fsw = ld_le16(b + w);
    tags = ld_le16(b + 2 * w);
    if (w == 2) {
        f->fip = ld_le16(b + 6);
        c->fcs = real ? 0 : ld_le16(b + 8);
        f->fdp = ld_le16(b + 10);
        c->fds = real ? 0 : ld_le16(b + 12);
        if (real) {
            f->fop = ld_le16(b + 8) & 0x7ff;
            f->fip |= (ld_le16(b + 8) & 0xf000) << 4;
            f->fdp |= (ld_le16(b + 12) & 0xf000) << 4;
        }
    } else if (real) {
        uint32_t v = ld_le32(b + 16);

        f->fip = ld_le16(b + 12) | (v & 0xffff000) << 4;
        f->fop = v & 0x7ff;
        f->fdp = ld_le16(b + 20) | (ld_le32(b + 24) & 0xffff000) << 4;
        c->fcs = c->fds = 0;
    } else {
        f->fip = ld_le32(b + 12);
        c->fcs = ld_le16(b + 16);
        f->fop = ld_le16(b + 18) & 0x7ff;
        f->fdp = ld_le32(b + 20);
        c->fds = ld_le16(b + 24);
    }
    f->ftw = 0;
    for (unsigned i = 0; i < 8; i++) {
        f->ftw |= (tags >> 2 * i & 3) == 3 ? 0 : 1 << i;
    }
    /* the physical registers stay where they are under a new TOP */
    top = f->fsw >> 11 & 7;
    for (unsigned i = 0; i < 8; i++) {
        f->st[(i - top) & 7] = old.st[(i - was) & 7];
    }
    status_fix(f);
}

H(fnstenv)
{
    unsigned n = env_size(s);
    uint8_t b[28];
    uint64_t la;

    need_x87(c, s, false);
    la = ea(c, s, n, true);
    env_pack(c, s, b);
    soft_st_bytes(c, s, la, b, n);
    c->fx.fcw |= 0x3f;
    status_fix(&c->fx);
    NEXT;
}
H(fldenv)
{
    unsigned n = env_size(s);
    uint8_t b[28];

    need_x87(c, s, true);
    soft_ld_bytes(c, s, ea(c, s, n, false), b, n);
    env_unpack(c, s, b);
    NEXT;
}
H(fnsave)
{
    unsigned n = env_size(s);
    uint8_t b[108];
    uint64_t la;

    need_x87(c, s, false);
    la = ea(c, s, n + 80, true);
    env_pack(c, s, b);
    for (unsigned i = 0; i < 8; i++) {
        memcpy(b + n + 10 * i, &c->fx.st[i], 10);
    }
    soft_st_bytes(c, s, la, b, n + 80);
    x87_init(c);
    NEXT;
}
H(frstor)
{
    unsigned n = env_size(s);
    uint8_t b[108];

    need_x87(c, s, true);
    soft_ld_bytes(c, s, ea(c, s, n + 80, false), b, n + 80);
    env_unpack(c, s, b);
    for (unsigned i = 0; i < 8; i++) {
        memcpy(&c->fx.st[i], b + n + 10 * i, 10);
    }
    NEXT;
}
static bool bind_env(Xlate *x)
{
    static Handler *const t[] = { fnstenv, fldenv, fnsave, frstor };

    x->s->fn = t[x->arg];
    return true;
}

const Bind soft_binds_x87[] = {
    { "wait", bind_wait, 0 },
    { "fnstcw", bind_fnst, 0 }, { "fnstsw", bind_fnst, 1 },
    { "fnstsw.ax", bind_fnst, 1 },
    { "fnclex", bind_fnone, 0 }, { "fninit", bind_fnone, 1 },
    { "fneni", bind_fnone, 2 }, { "fndisi", bind_fnone, 2 },
    { "fnsetpm", bind_fnone, 2 }, { "emms", bind_emms, 0 },
    { "fnstenv", bind_env, 0 }, { "fldenv", bind_env, 1 },
    { "fnsave", bind_env, 2 }, { "frstor", bind_env, 3 },
    { "*f", bind_x87, 0 },
    { 0 }
};
