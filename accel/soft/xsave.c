/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xsave.c - FXSAVE, FXRSTOR and the XSAVE family.
 * Intel SDM vol. 1, 10.5 and chapter 13.
 *
 * Thread class: the vCPU's thread.
 * Invariant: components are x87 (0), SSE (1), AVX (2) and PKRU (9).
 */
#include "soft.h"

#define H(name) static const Slot *name(SoftCpu *c, const Slot *s)
#define XC_X87 1u
#define XC_SSE 2u
#define XC_AVX 4u
#define XC_PKRU 0x200u
#define XC_ALL (XC_X87 | XC_SSE | XC_AVX | XC_PKRU)
#define AT_AVX 576
#define AT_PKRU 2688                   /* in the standard format */
#define IMAGE 2752

static void x87_pack(SoftCpu *c, const Slot *s, uint8_t *b)
{
    FxImage *f = &c->fx;

    memcpy(b, f, 24);
    if (s->osz != 8) {
        st_le32(b + 8, f->fip);
        st_le32(b + 12, c->fcs);
        st_le32(b + 16, f->fdp);
        st_le32(b + 20, c->fds);
    }
    memcpy(b + 32, f->st, 128);
}

static void x87_unpack(SoftCpu *c, const Slot *s, const uint8_t *b)
{
    FxImage *f = &c->fx;

    memcpy(f, b, 24);
    f->rsvd = 0;
    if (s->osz != 8) {
        f->fip = ld_le32(b + 8);
        c->fcs = ld_le16(b + 12);
        f->fdp = ld_le32(b + 16);
        c->fds = ld_le16(b + 20);
    } else {
        c->fcs = c->fds = 0;
    }
    f->fcw = (f->fcw & 0x1f7f) | 0x40;
    f->fsw &= 0x7f7f;
    if (f->fsw & 0x3f & ~f->fcw) {
        f->fsw |= 0x8080;
    }
    memcpy(f->st, b + 32, 128);
    for (int i = 0; i < 8; i++) {
        memset(f->st[i].pad, 0, 6);
    }
}

static unsigned xmm_count(const SoftCpu *c) { return c->code64 ? 16 : 8; }

static void sse_pack(SoftCpu *c, uint8_t *b)
{
    for (unsigned i = 0; i < xmm_count(c); i++) {
        memcpy(b + 160 + 16 * i, &c->x->vec[i], 16);
    }
}
static void sse_unpack(SoftCpu *c, const uint8_t *b)
{
    for (unsigned i = 0; i < xmm_count(c); i++) {
        memcpy(&c->x->vec[i], b + 160 + 16 * i, 16);
    }
}

H(fxsave)
{
    uint8_t b[512] = { 0 };
    unsigned n = c->x->efer >> 14 & 1 && c->cpl == 0 && c->code64 ? 160 : 416;
    uint64_t la;

    if (c->x->cr0 & 12) {
        soft_fault(c, s, EXC_NM);
    }
    la = ea(c, s, 512, true);
    if (la & 15) {
        SOFT_GP0(c, s);
    }
    x87_pack(c, s, b);
    st_le32(b + 24, c->x->mxcsr);
    st_le32(b + 28, 0xffff);
    sse_pack(c, b);
    if (!c->code64 && n == 416) {
        n = 288;
    }
    soft_st_bytes(c, s, la, b, n);
    NEXT;
}
H(fxrstor)
{
    uint8_t b[512];
    uint64_t la;

    if (c->x->cr0 & 12) {
        soft_fault(c, s, EXC_NM);
    }
    la = ea(c, s, 512, false);
    if (la & 15) {
        SOFT_GP0(c, s);
    }
    soft_ld_bytes(c, s, la, b, 416);
    if (c->x->cr4 & 0x200) {
        if (ld_le32(b + 24) & 0xffff0000) {
            SOFT_GP0(c, s);
        }
        c->x->mxcsr = ld_le32(b + 24);
        if (!(c->x->efer >> 14 & 1 && c->cpl == 0 && c->code64)) {
            sse_unpack(c, b);
        }
    }
    x87_unpack(c, s, b);
    NEXT;
}

/* Components that are not in their initial state. */
static uint32_t in_use(SoftCpu *c)
{
    static const uint8_t zero[16 * 16];
    FxImage *f = &c->fx;
    uint32_t u = 0;

    if (f->fcw != 0x37f || f->fsw || f->ftw || f->fop || f->fip || f->fdp ||
        memcmp(f->st, zero, 128)) {
        u |= XC_X87;
    }
    for (unsigned i = 0; i < xmm_count(c); i++) {
        X86Vec *v = &c->x->vec[i];

        if (v->q[0] | v->q[1]) {
            u |= XC_SSE;
        }
        if (v->q[2] | v->q[3]) {
            u |= XC_AVX;
        }
    }
    return u | (c->x->pkru ? XC_PKRU : 0);
}

/* Offset of a component in an area of format xcomp (0: standard). */
static unsigned component_at(uint64_t xcomp, uint32_t bit)
{
    if (!xcomp) {
        return bit == XC_AVX ? AT_AVX : AT_PKRU;
    }
    return bit == XC_AVX ? 576 : xcomp & XC_AVX ? 832 : 576;
}

static uint64_t area(SoftCpu *c, const Slot *s, bool write, uint32_t *mask)
{
    uint64_t la;

    if (!(c->x->cr4 >> 18 & 1)) {
        SOFT_UD(c, s);
    }
    if (c->x->cr0 & 8) {
        soft_fault(c, s, EXC_NM);
    }
    la = ea(c, s, 576, write);
    if (la & 63) {
        SOFT_GP0(c, s);
    }
    *mask = c->r[X86_RAX] & c->x->xcr0 & XC_ALL;
    return la;
}

enum { XS_SAVE, XS_OPT, XS_C, XS_S };

static void save_avx(SoftCpu *c, const Slot *s, uint64_t la)
{
    uint8_t b[256] = { 0 };

    for (unsigned i = 0; i < xmm_count(c); i++) {
        memcpy(b + 16 * i, &c->x->vec[i].q[2], 16);
    }
    soft_st_bytes(c, s, la, b, 16 * xmm_count(c));
}

H(xsave)
{
    bool compact = s->sub >= XS_C;
    uint32_t mask, use, write;
    uint64_t la, xcomp = 0, hdr;
    uint8_t b[512] = { 0 };

    if (s->sub == XS_S && c->cpl) {
        SOFT_GP0(c, s);
    }
    la = area(c, s, true, &mask);
    use = in_use(c);
    if (compact) {
        /* MXCSR belongs to SSE here */
        if (c->x->mxcsr != 0x1f80) {
            use |= XC_SSE;
        }
        xcomp = 1ull << 63 | mask;
    }
    write = s->sub == XS_SAVE ? mask : mask & use;
    soft_probe_write(c, s, la, 576);
    x87_pack(c, s, b);
    sse_pack(c, b);
    if (write & XC_X87) {
        soft_st_bytes(c, s, la, b, 24);
        soft_st_bytes(c, s, la + 32, b + 32, 128);
    }
    if (write & XC_SSE) {
        soft_st_bytes(c, s, la + 160, b + 160, 16 * xmm_count(c));
    }
    if (compact ? write & XC_SSE : mask & (XC_SSE | XC_AVX)) {
        st32(c, s, la + 24, c->x->mxcsr);
        st32(c, s, la + 28, 0xffff);
    }
    if (write & XC_AVX) {
        save_avx(c, s, la + component_at(xcomp, XC_AVX));
    }
    if (write & XC_PKRU) {
        st64(c, s, la + component_at(xcomp, XC_PKRU), c->x->pkru);
    }
    hdr = compact ? 0 : ld64(c, s, la + 512) & ~(uint64_t)mask;
    st64(c, s, la + 512, hdr | (mask & use));
    if (compact) {
        st64(c, s, la + 520, xcomp);
    }
    NEXT;
}

static void restore_avx(SoftCpu *c, const Slot *s, uint64_t la)
{
    uint8_t b[256];

    soft_ld_bytes(c, s, la, b, 16 * xmm_count(c));
    for (unsigned i = 0; i < xmm_count(c); i++) {
        memcpy(&c->x->vec[i].q[2], b + 16 * i, 16);
    }
}

H(xrstor)
{
    static const uint8_t init[24] = { 0x7f, 3 };
    uint8_t b[576];
    uint32_t mask, have;
    uint64_t la, bv, xcomp;
    bool mx;

    if (s->sub && c->cpl) {
        SOFT_GP0(c, s);
    }
    la = area(c, s, false, &mask);
    soft_ld_bytes(c, s, la, b, 576);
    bv = ld_le64(b + 512);
    xcomp = ld_le64(b + 520);
    if (bv & ~c->x->xcr0 || (xcomp >> 63 ? xcomp << 1 >> 1 & ~c->x->xcr0 ||
                             bv & ~xcomp : xcomp != 0) ||
        (s->sub && !(xcomp >> 63)) || ld_le64(b + 528) || ld_le64(b + 536)) {
        SOFT_GP0(c, s);
    }
    have = mask & bv;
    /* MXCSR: with SSE or AVX asked for; in the compact format with SSE */
    mx = xcomp ? mask & XC_SSE : mask & (XC_SSE | XC_AVX);
    if (mx && (!xcomp || have & XC_SSE) && ld_le32(b + 24) & 0xffff0000) {
        SOFT_GP0(c, s);
    }
    if (mask & XC_AVX && have & XC_AVX) {
        restore_avx(c, s, la + component_at(xcomp, XC_AVX));
    } else if (mask & XC_AVX) {
        for (unsigned i = 0; i < xmm_count(c); i++) {
            c->x->vec[i].q[2] = c->x->vec[i].q[3] = 0;
        }
    }
    if (mask & XC_PKRU) {
        uint32_t v = have & XC_PKRU ?
            ld32(c, s, la + component_at(xcomp, XC_PKRU)) : 0;

        if (v != c->x->pkru) {
            c->x->pkru = v;
            soft_tlb_flush(c, true);
        }
    }
    if (mx) {
        c->x->mxcsr = !xcomp || have & XC_SSE ? ld_le32(b + 24) : 0x1f80;
    }
    if (mask & XC_SSE) {
        if (!(have & XC_SSE)) {
            memset(b + 160, 0, 256);
        }
        sse_unpack(c, b);
    }
    if (mask & XC_X87) {
        if (!(have & XC_X87)) {
            memset(b, 0, 160);
            memcpy(b, init, sizeof(init));
        }
        x87_unpack(c, s, b);
    }
    NEXT;
}

static bool bind_fx(Xlate *x)
{
    x->s->fn = x->arg ? fxrstor : fxsave;
    return true;
}
static bool bind_xs(Xlate *x)
{
    x->s->sub = x->arg & 3;
    x->s->fn = x->arg >= 4 ? xrstor : xsave;
    return true;
}

const Bind soft_binds_xsave[] = {
    { "fxsave", bind_fx, 0 }, { "fxrstor", bind_fx, 1 },
    { "xsave", bind_xs, XS_SAVE }, { "xsaveopt", bind_xs, XS_OPT },
    { "xsavec", bind_xs, XS_C }, { "xsaves", bind_xs, XS_S },
    { "xrstor", bind_xs, 4 }, { "xrstors", bind_xs, 5 },
    { 0 }
};
