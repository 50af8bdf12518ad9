/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vec-misc.c - vector forms whose memory accesses depend on a mask or an
 * index, and MXCSR.
 * Intel SDM vol. 2 (VGATHER, VMASKMOV, MASKMOVDQU, LDMXCSR).
 *
 * Thread class: the vCPU's thread.
 * Invariant: a gather that faults keeps the elements it has, with their masks
 * cleared.
 */
#include "soft.h"
#include "vec-misc.h"

#define H(name) static const Slot *name(SoftCpu *c, const Slot *s)

static void need_avx(SoftCpu *c, const Slot *s)
{
    if (c->avx_bad) {
        soft_fault(c, s, c->avx_bad);
    }
}
static void need_sse(SoftCpu *c, const Slot *s)
{
    if (c->sse_bad) {
        soft_fault(c, s, c->sse_bad);
    }
}

/* sub: element bytes; rep: vector bytes. */
H(maskmov_ld)
{
    unsigned e = s->sub, n = s->rep / e;
    X86Vec r = { 0 }, *m = &c->x->vec[s->rb];
    uint64_t off;

    need_avx(c, s);
    off = ea_off(c, s);
    for (unsigned i = 0; i < n; i++) {
        if (e == 4 ? m->d[i] >> 31 : m->q[i] >> 63) {
            uint64_t la = seg_lin(c, s, s->seg, off + i * e, e, false);

            if (e == 4) {
                r.d[i] = ld32(c, s, la);
            } else {
                r.q[i] = ld64(c, s, la);
            }
        }
    }
    c->x->vec[s->ra] = r;
    NEXT;
}
H(maskmov_st)
{
    unsigned e = s->sub, n = s->rep / e;
    X86Vec *m = &c->x->vec[s->rb], *v = &c->x->vec[s->rc];
    uint64_t off;

    need_avx(c, s);
    off = ea_off(c, s);
    for (int pass = 0; pass < 2; pass++) {
        for (unsigned i = 0; i < n; i++) {
            uint64_t la;

            if (!(e == 4 ? m->d[i] >> 31 : m->q[i] >> 63)) {
                continue;
            }
            la = seg_lin(c, s, s->seg, off + i * e, e, true);
            if (!pass) {
                soft_probe_write(c, s, la, e);
            } else {
                st_n(c, s, la, e == 4 ? v->d[i] : v->q[i], e);
            }
        }
    }
    NEXT;
}
bool soft_b_maskmov(Xlate *x)
{
    const Insn *in = x->in;
    bool wide = in->row->attr & IA_W1 || in->row->op == 0x2d ||
        in->row->op == 0x2f;

    x->s->sub = wide ? 8 : 4;
    x->s->rep = in->vex_l ? 32 : 16;
    x->s->fn = x->s->mem == 1 ? maskmov_st : maskmov_ld;
    return true;
}

/* sub: element bytes; osz: index bytes; rep: elements; lock: result bytes */
H(gather)
{
    X86Vec *d = &c->x->vec[s->ra], *m = &c->x->vec[s->rc];
    X86Vec *ix = &c->x->vec[s->index];
    unsigned e = s->sub, n = s->rep;

    need_avx(c, s);
    /* elements that are not gathered: all mask bits as the sign says */
    for (unsigned i = 0; i < n; i++) {
        if (e == 4) {
            m->d[i] = (int32_t)m->d[i] >> 31;
        } else {
            m->q[i] = (int64_t)m->q[i] >> 63;
        }
    }
    for (unsigned i = 0; i < n; i++) {
        int64_t k = s->osz == 4 ? (int32_t)ix->d[i] : (int64_t)ix->q[i];
        uint64_t off = c->r[s->base] + ((uint64_t)k << s->shift) + s->disp;
        uint64_t la;

        if (!(e == 4 ? m->d[i] : m->q[i] != 0)) {
            continue;
        }
        off = off << s->ash >> s->ash;
        la = seg_lin(c, s, s->seg, off, e, false);
        if (e == 4) {
            d->d[i] = ld32(c, s, la);
            m->d[i] = 0;
        } else {
            d->q[i] = ld64(c, s, la);
            m->q[i] = 0;
        }
    }
    for (unsigned i = n * e / 4; i < 16; i++) {
        d->d[i] = 0;
        m->d[i] = 0;
    }
    NEXT;
}
bool soft_b_gather(Xlate *x)
{
    const Insn *in = x->in;
    unsigned e = in->row->attr & IA_W1 ? 8 : 4;
    unsigned i = in->row->op & 1 ? 8 : 4, bytes = in->vex_l ? 32 : 16;

    x->s->sub = e;
    x->s->osz = i;
    x->s->rep = bytes / MAX2(e, i);
    x->s->fn = gather;
    return true;
}

/* maskmovq, maskmovdqu: bytes to DS:rDI */
H(maskmov_bytes)
{
    uint64_t off = reg_n(c, X86_RDI * 8, s->asz);
    const uint8_t *v, *m;

    if (s->sub == 8) {
        if (c->x->cr0 & 4) {
            SOFT_UD(c, s);
        }
        if (c->fpu_bad) {
            soft_fault(c, s, EXC_NM);
        }
        soft_x87_wait(c, s);
        soft_mmx_enter(c);
        v = (const uint8_t *)&c->fx.st[s->ra].mant;
        m = (const uint8_t *)&c->fx.st[s->rb].mant;
    } else {
        if (s->rep) {
            need_avx(c, s);
        } else {
            need_sse(c, s);
        }
        v = c->x->vec[s->ra].b;
        m = c->x->vec[s->rb].b;
    }
    for (int pass = 0; pass < 2; pass++) {
        for (unsigned i = 0; i < s->sub; i++) {
            uint64_t la;

            if (!(m[i] & 0x80)) {
                continue;
            }
            la = seg_lin(c, s, s->seg, off + i, 1, true);
            if (pass) {
                st8(c, s, la, v[i]);
            } else {
                soft_probe_write(c, s, la, 1);
            }
        }
    }
    NEXT;
}
bool soft_b_maskbytes(Xlate *x)
{
    x->s->sub = x->arg;
    x->s->rep = x->in->vex;
    if (x->s->seg == 7) {
        x->s->seg = SEGB_NONE;
    }
    x->s->fn = maskmov_bytes;
    return true;
}

H(vzero)
{
    unsigned n = c->code64 ? 16 : 8;

    need_avx(c, s);
    for (unsigned i = 0; i < n; i++) {
        X86Vec *v = &c->x->vec[i];

        if (s->sub) {
            v->q[0] = v->q[1] = 0;
        }
        memset(&v->q[2], 0, 48);
    }
    NEXT;
}
bool soft_b_vzero(Xlate *x)
{
    x->s->sub = x->arg;
    x->s->fn = vzero;
    return true;
}

H(ldmxcsr)
{
    uint32_t v;

    if (s->rep) {
        need_avx(c, s);
    } else {
        need_sse(c, s);
    }
    v = ld32(c, s, ea(c, s, 4, false));
    if (v & 0xffff0000) {
        SOFT_GP0(c, s);
    }
    c->x->mxcsr = v;
    NEXT;
}
H(stmxcsr)
{
    if (s->rep) {
        need_avx(c, s);
    } else {
        need_sse(c, s);
    }
    st32(c, s, ea(c, s, 4, true), c->x->mxcsr);
    NEXT;
}
bool soft_b_mxcsr(Xlate *x)
{
    x->s->rep = x->in->vex;
    x->s->fn = x->arg ? stmxcsr : ldmxcsr;
    return true;
}
