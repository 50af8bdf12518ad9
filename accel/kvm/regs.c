/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * regs.c - registers between X86Regs and KVM: general, segment and control
 * registers, x87 and vector state, debug registers, events in flight.
 * (Linux KVM API: KVM_GET_REGS and its kin; Intel SDM vol. 1 chapters 8 and 13
 * for the FXSAVE and XSAVE images.)
 *
 * Thread class: the vCPU's thread, or any thread while the vCPU is stopped under
 * the machine lock (kvm_cpu_reset).
 *
 * 1. kvm_cpu_get does nothing while X86Regs are valid, so that a reader never
 *    overwrites what a writer has put there.
 * 2. A refused part is reported once and the rest is still put.
 */
#include <cpuid.h>
#include <glib.h>
#include "kvm.h"

/* ---- general registers --------------------------------------------------- */

static void refused(const Cpu *cpu, const char *what, int err)
{
    kvm_refused("CPU %u: the host refused %s: %s", cpu->index, what,
                strerror(-err));
}

/* KVM's order of the first eight. */
#define KVM_GPRS(X) \
    X(rax, X86_RAX) X(rbx, X86_RBX) X(rcx, X86_RCX) X(rdx, X86_RDX) \
    X(rsi, X86_RSI) X(rdi, X86_RDI) X(rsp, X86_RSP) X(rbp, X86_RBP) \
    X(r8, 8) X(r9, 9) X(r10, 10) X(r11, 11) X(r12, 12) X(r13, 13) X(r14, 14) \
    X(r15, 15)

static void gprs_get(const KvmCpu *k, X86Regs *r)
{
    struct kvm_regs kr;
    int err = kvm_ioctl(k->fd, KVM_GET_REGS, &kr);

    if (err < 0) {
        refused(k->cpu, "KVM_GET_REGS", err);
        return;
    }
#define GET(name, nr) r->gpr[nr] = kr.name;
    KVM_GPRS(GET)
#undef GET
    r->rip = kr.rip;
    r->rflags = kr.rflags;
}

static void gprs_put(const KvmCpu *k, const X86Regs *r)
{
    struct kvm_regs kr = { .rip = r->rip, .rflags = r->rflags | 2 };
    int err;

#define PUT(name, nr) kr.name = r->gpr[nr];
    KVM_GPRS(PUT)
#undef PUT
    err = kvm_ioctl(k->fd, KVM_SET_REGS, &kr);
    if (err < 0) {
        refused(k->cpu, "KVM_SET_REGS", err);
    }
}

/* ---- segments and control registers -------------------------------------- */

static void seg_from(X86Seg *s, const struct kvm_segment *k)
{
    s->sel = k->selector;
    s->base = k->base;
    s->limit = k->limit;
    s->attr = k->type | k->s << 4 | k->dpl << 5 |
              (k->present && !k->unusable) << 7 | k->avl << 8 | k->l << 9 |
              k->db << 10 | k->g << 11;
}

static void seg_to(struct kvm_segment *k, const X86Seg *s)
{
    bool present = s->attr >> 7 & 1;

    *k = (struct kvm_segment){
        .selector = s->sel, .base = s->base, .limit = s->limit,
        .type = s->attr & 15, .s = s->attr >> 4 & 1, .dpl = s->attr >> 5 & 3,
        .present = present, .avl = s->attr >> 8 & 1, .l = s->attr >> 9 & 1,
        .db = s->attr >> 10 & 1, .g = s->attr >> 11 & 1,
        .unusable = !present,
    };
}

#define KVM_SEGS(X) \
    X(es, seg[X86_ES]) X(cs, seg[X86_CS]) X(ss, seg[X86_SS]) \
    X(ds, seg[X86_DS]) X(fs, seg[X86_FS]) X(gs, seg[X86_GS]) X(ldt, ldt) \
    X(tr, tr)

static void sregs_get(const KvmCpu *k, X86Regs *r)
{
    struct kvm_sregs s;
    int err = kvm_ioctl(k->fd, KVM_GET_SREGS, &s);

    if (err < 0) {
        refused(k->cpu, "KVM_GET_SREGS", err);
        return;
    }
#define GET(name, field) seg_from(&r->field, &s.name);
    KVM_SEGS(GET)
#undef GET
    r->gdt.base = s.gdt.base;
    r->gdt.limit = s.gdt.limit;
    r->idt.base = s.idt.base;
    r->idt.limit = s.idt.limit;
    r->cr0 = s.cr0;
    r->cr2 = s.cr2;
    r->cr3 = s.cr3;
    r->cr4 = s.cr4;
    r->cr8 = s.cr8;
    r->efer = s.efer;
    r->apic_base = s.apic_base;
}

static void sregs_put(const KvmCpu *k, const X86Regs *r)
{
    struct kvm_sregs s = { 0 };
    int err;

#define PUT(name, field) seg_to(&s.name, &r->field);
    KVM_SEGS(PUT)
#undef PUT
    s.tr.present = 1;
    s.tr.unusable = 0;
    s.gdt.base = r->gdt.base;
    s.gdt.limit = r->gdt.limit;
    s.idt.base = r->idt.base;
    s.idt.limit = r->idt.limit;
    s.cr0 = r->cr0;
    s.cr2 = r->cr2;
    s.cr3 = r->cr3;
    s.cr4 = r->cr4;
    s.cr8 = r->cr8;
    s.efer = r->efer;
    s.apic_base = r->apic_base;
    if (r->int_injected) {
        s.interrupt_bitmap[r->int_nr / 64] = 1ull << r->int_nr % 64;
    }
    err = kvm_ioctl(k->fd, KVM_SET_SREGS, &s);
    if (err < 0) {
        refused(k->cpu, "KVM_SET_SREGS", err);
    }
}

/* ---- x87 and vectors ----------------------------------------------------- */

enum {                                 /* state components (SDM 1, 13.1)      */
    XC_X87 = 1 << 0, XC_SSE = 1 << 1, XC_AVX = 1 << 2, XC_OPMASK = 1 << 5,
    XC_ZMM_HI = 1 << 6, XC_HI16 = 1 << 7, XC_PKRU = 1 << 9,
};
#define XSAVE_BV 512                   /* offset of the header                */

/* Where the standard format keeps a component; 0: not on this host. */
static uint32_t xc_offset(unsigned bit)
{
    uint32_t a = 0, b = 0, c, d;

    if (!__get_cpuid_count(0xd, bit, &a, &b, &c, &d) || !a ||
        b + a > (uint32_t)kvm->xsave_size) {
        return 0;
    }
    return b;
}

void kvm_xsave_layout(void)
{
    kvm->xc = (KvmXsaveLayout){ xc_offset(2), xc_offset(5), xc_offset(6),
                                xc_offset(7), xc_offset(9) };
}

/* Full tag of physical register i from the abridged tag (SDM 1, 10.5.1.1). */
static unsigned full_tag(const X86Regs *r, unsigned i, bool valid)
{
    unsigned exp = r->fpr[i].se & 0x7fff;

    if (!valid) {
        return 3;
    }
    if (exp == 0 && r->fpr[i].mant == 0) {
        return 1;
    }
    return exp == 0 || exp == 0x7fff || !(r->fpr[i].mant >> 63) ? 2 : 0;
}

static void fx_from(X86Regs *r, const uint8_t *p)
{
    unsigned top;

    r->fcw = ld_le16(p);
    r->fsw = ld_le16(p + 2);
    r->fop = ld_le16(p + 6);
    r->fip = ld_le64(p + 8);
    r->fdp = ld_le64(p + 16);
    top = r->fsw >> 11 & 7;
    r->ftag = 0;
    for (unsigned i = 0; i < 8; i++) {
        unsigned phys = (top + i) & 7;

        r->fpr[phys].mant = ld_le64(p + 32 + i * 16);
        r->fpr[phys].se = ld_le16(p + 40 + i * 16);
    }
    for (unsigned i = 0; i < 8; i++) {
        r->ftag |= full_tag(r, i, p[4] >> i & 1) << i * 2;
    }
}

static void fx_to(const X86Regs *r, uint8_t *p)
{
    unsigned top = r->fsw >> 11 & 7;

    st_le16(p, r->fcw);
    st_le16(p + 2, r->fsw);
    p[4] = p[5] = 0;
    for (unsigned i = 0; i < 8; i++) {
        p[4] |= ((r->ftag >> i * 2 & 3) != 3) << i;
    }
    st_le16(p + 6, r->fop);
    st_le64(p + 8, r->fip);
    st_le64(p + 16, r->fdp);
    for (unsigned i = 0; i < 8; i++) {
        unsigned phys = (top + i) & 7;

        memset(p + 32 + i * 16, 0, 16);
        st_le64(p + 32 + i * 16, r->fpr[phys].mant);
        st_le16(p + 40 + i * 16, r->fpr[phys].se);
    }
}

static void x87_init(X86Regs *r)
{
    memset(r->fpr, 0, sizeof(r->fpr));
    r->fcw = 0x37f;
    r->ftag = 0xffff;
    r->fsw = r->fop = 0;
    r->fip = r->fdp = 0;
}

static void xsave_from(X86Regs *r, const uint8_t *p)
{
    const KvmXsaveLayout *o = &kvm->xc;
    uint64_t bv = ld_le64(p + XSAVE_BV);

    memset(r->vec, 0, sizeof(r->vec));
    memset(r->opmask, 0, sizeof(r->opmask));
    r->pkru = 0;
    r->mxcsr = ld_le32(p + 24);
    if (bv & XC_X87) {
        fx_from(r, p);
    } else {
        x87_init(r);
    }
    for (unsigned i = 0; i < 16; i++) {
        if (bv & XC_SSE) {
            memcpy(r->vec[i].b, p + 160 + i * 16, 16);
        }
        if (bv & XC_AVX && o->avx) {
            memcpy(r->vec[i].b + 16, p + o->avx + i * 16, 16);
        }
        if (bv & XC_ZMM_HI && o->zmm_hi) {
            memcpy(r->vec[i].b + 32, p + o->zmm_hi + i * 32, 32);
        }
        if (bv & XC_HI16 && o->hi16) {
            memcpy(r->vec[16 + i].b, p + o->hi16 + i * 64, 64);
        }
    }
    if (bv & XC_OPMASK && o->opmask) {
        memcpy(r->opmask, p + o->opmask, sizeof(r->opmask));
    }
    if (bv & XC_PKRU && o->pkru) {
        r->pkru = ld_le32(p + o->pkru);
    }
}

static bool any_set(const uint8_t *p, size_t n)
{
    while (n && !*p) {
        p++, n--;
    }
    return n > 0;
}

/* Copies a component and says whether it is out of its initial state. */
static uint64_t xc_put(uint8_t *p, uint32_t offset, const uint8_t *from,
                       uint32_t n, uint64_t bit)
{
    if (!offset) {
        return 0;
    }
    memcpy(p + offset, from, n);
    return any_set(from, n) ? bit : 0;
}

static void xsave_to(const X86Regs *r, uint8_t *p)
{
    const KvmXsaveLayout *o = &kvm->xc;
    uint64_t bv = XC_X87 | XC_SSE;
    uint8_t pkru[8] = { 0 };

    memset(p, 0, kvm->xsave_size);
    fx_to(r, p);
    st_le32(p + 24, r->mxcsr);
    st_le32(p + 28, 0xffff);
    for (unsigned i = 0; i < 16; i++) {
        memcpy(p + 160 + i * 16, r->vec[i].b, 16);
        bv |= xc_put(p, o->avx ? o->avx + i * 16 : 0, r->vec[i].b + 16, 16,
                     XC_AVX);
        bv |= xc_put(p, o->zmm_hi ? o->zmm_hi + i * 32 : 0,
                     r->vec[i].b + 32, 32, XC_ZMM_HI);
        bv |= xc_put(p, o->hi16 ? o->hi16 + i * 64 : 0, r->vec[16 + i].b, 64,
                     XC_HI16);
    }
    bv |= xc_put(p, o->opmask, (const uint8_t *)r->opmask, sizeof(r->opmask),
                 XC_OPMASK);
    st_le32(pkru, r->pkru);
    bv |= xc_put(p, o->pkru, pkru, 8, XC_PKRU);
    st_le64(p + XSAVE_BV, bv);
}

/* Hosts without XSAVE: struct kvm_fpu. */
static void fpu_get(const KvmCpu *k, X86Regs *r)
{
    struct kvm_fpu f;
    unsigned top;

    if (kvm_ioctl(k->fd, KVM_GET_FPU, &f) < 0) {
        return;
    }
    r->fcw = f.fcw;
    r->fsw = f.fsw;
    r->fop = f.last_opcode;
    r->fip = f.last_ip;
    r->fdp = f.last_dp;
    r->mxcsr = f.mxcsr;
    top = r->fsw >> 11 & 7;
    r->ftag = 0;
    for (unsigned i = 0; i < 8; i++) {
        r->fpr[(top + i) & 7].mant = ld_le64(f.fpr[i]);
        r->fpr[(top + i) & 7].se = ld_le16(f.fpr[i] + 8);
    }
    for (unsigned i = 0; i < 16; i++) {
        r->ftag |= i < 8 ? full_tag(r, i, f.ftwx >> i & 1) << i * 2 : 0;
        memcpy(r->vec[i].b, f.xmm[i], 16);
    }
}

static void fpu_put(const KvmCpu *k, const X86Regs *r)
{
    struct kvm_fpu f = {
        .fcw = r->fcw, .fsw = r->fsw, .last_opcode = r->fop,
        .last_ip = r->fip, .last_dp = r->fdp, .mxcsr = r->mxcsr,
    };
    unsigned top = r->fsw >> 11 & 7;

    for (unsigned i = 0; i < 16; i++) {
        if (i < 8) {
            st_le64(f.fpr[i], r->fpr[(top + i) & 7].mant);
            st_le16(f.fpr[i] + 8, r->fpr[(top + i) & 7].se);
            f.ftwx |= ((r->ftag >> i * 2 & 3) != 3) << i;
        }
        memcpy(f.xmm[i], r->vec[i].b, 16);
    }
    kvm_ioctl(k->fd, KVM_SET_FPU, &f);
}

static void vectors_get(const KvmCpu *k, X86Regs *r)
{
    struct kvm_xcrs x;
    int err;

    if (!kvm->xsave_size) {
        fpu_get(k, r);
        return;
    }
    err = kvm_ioctl(k->fd, kvm->xsave_size > 4096 ? KVM_GET_XSAVE2
                                                  : KVM_GET_XSAVE, k->xsave);
    if (err < 0) {
        refused(k->cpu, "KVM_GET_XSAVE", err);
        return;
    }
    xsave_from(r, k->xsave);
    if (kvm->xcrs && kvm_ioctl(k->fd, KVM_GET_XCRS, &x) >= 0) {
        for (unsigned i = 0; i < MIN2(x.nr_xcrs, KVM_MAX_XCRS); i++) {
            if (x.xcrs[i].xcr == 0) {
                r->xcr0 = x.xcrs[i].value;
            }
        }
    }
}

static void vectors_put(const KvmCpu *k, const X86Regs *r)
{
    struct kvm_xcrs x = { .nr_xcrs = 1, .xcrs = { { .value = r->xcr0 } } };
    int err;

    if (!kvm->xsave_size) {
        fpu_put(k, r);
        return;
    }
    xsave_to(r, k->xsave);
    err = kvm_ioctl(k->fd, KVM_SET_XSAVE, k->xsave);
    if (err < 0) {
        refused(k->cpu, "KVM_SET_XSAVE", err);
    }
    if (kvm->xcrs && kvm_ioctl(k->fd, KVM_SET_XCRS, &x) < 0) {
        kvm_refused("the host refused XCR0 %#" PRIx64, r->xcr0);
    }
}

/* ---- debug registers and events ------------------------------------------ */

static void debug_get(const KvmCpu *k, X86Regs *r)
{
    struct kvm_debugregs d;

    if (kvm->debugregs && kvm_ioctl(k->fd, KVM_GET_DEBUGREGS, &d) >= 0) {
        memcpy(r->dr, d.db, sizeof(d.db));
        r->dr[4] = r->dr[6] = d.dr6;
        r->dr[5] = r->dr[7] = d.dr7;
    }
}

static void debug_put(const KvmCpu *k, const X86Regs *r)
{
    struct kvm_debugregs d = { .dr6 = r->dr[6], .dr7 = r->dr[7] };
    int err;

    if (kvm->debugregs) {
        memcpy(d.db, r->dr, sizeof(d.db));
        err = kvm_ioctl(k->fd, KVM_SET_DEBUGREGS, &d);
        if (err < 0) {
            refused(k->cpu, "KVM_SET_DEBUGREGS", err);
        }
    }
}

static void events_get(const KvmCpu *k, X86Regs *r)
{
    struct kvm_vcpu_events e;
    struct kvm_mp_state mp;

    if (kvm_ioctl(k->fd, KVM_GET_VCPU_EVENTS, &e) >= 0) {
        r->exc_injected = e.exception.injected;
        r->exc_pending = kvm->events_payload ? e.exception.pending : 0;
        r->exc_nr = e.exception.nr;
        r->exc_has_error = e.exception.has_error_code;
        r->exc_error = e.exception.error_code;
        r->exc_payload = e.exception_has_payload ? e.exception_payload : 0;
        r->int_injected = e.interrupt.injected;
        r->int_nr = e.interrupt.nr;
        r->int_soft = e.interrupt.soft;
        r->sti_shadow = (e.interrupt.shadow & KVM_X86_SHADOW_INT_STI) != 0;
        r->ss_shadow = (e.interrupt.shadow & KVM_X86_SHADOW_INT_MOV_SS) != 0;
        r->nmi_blocked = e.nmi.masked;
        r->nmi_pending = e.nmi.pending || e.nmi.injected;
        r->smm = (e.flags & KVM_VCPUEVENT_VALID_SMM) ? e.smi.smm : 0;
    }
    if (kvm->mp_state && kvm_ioctl(k->fd, KVM_GET_MP_STATE, &mp) >= 0) {
        r->mp_state = mp.mp_state;
        r->halted = mp.mp_state == KVM_MP_STATE_HALTED;
    }
}

static void events_put(const KvmCpu *k, const X86Regs *r, bool full)
{
    struct kvm_vcpu_events e = {
        .exception = {
            .injected = r->exc_injected, .nr = r->exc_nr,
            .has_error_code = r->exc_has_error, .error_code = r->exc_error,
        },
        .interrupt = {
            .injected = r->int_injected, .nr = r->int_nr,
            .soft = r->int_soft,
            .shadow = (r->sti_shadow ? KVM_X86_SHADOW_INT_STI : 0) |
                      (r->ss_shadow ? KVM_X86_SHADOW_INT_MOV_SS : 0),
        },
        .nmi = { .masked = r->nmi_blocked, .pending = r->nmi_pending },
        .flags = KVM_VCPUEVENT_VALID_SHADOW,
    };
    struct kvm_mp_state mp = { .mp_state = r->mp_state };
    int err;

    if (kvm->events_payload) {
        e.flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
        e.exception.pending = r->exc_pending;
        e.exception_has_payload = r->exc_payload != 0;
        e.exception_payload = r->exc_payload;
    }
    if (full) {
        e.flags |= KVM_VCPUEVENT_VALID_NMI_PENDING;
        if (r->smm) {
            e.flags |= KVM_VCPUEVENT_VALID_SMM;
            e.smi.smm = 1;
        }
    }
    err = kvm_ioctl(k->fd, KVM_SET_VCPU_EVENTS, &e);
    if (err < 0) {
        refused(k->cpu, "KVM_SET_VCPU_EVENTS", err);
    }
    if (full && kvm->mp_state && accel_irq.apic_in_kernel) {
        err = kvm_ioctl(k->fd, KVM_SET_MP_STATE, &mp);
        if (err < 0) {
            refused(k->cpu, "KVM_SET_MP_STATE", err);
        }
    }
}

/* ---- all of it ----------------------------------------------------------- */

void kvm_cpu_get(Cpu *cpu)
{
    KvmCpu *k = kvm_cpu(cpu);
    X86Cpu *c = x86_cpu(cpu);

    if (!k || k->valid) {
        return;
    }
    gprs_get(k, &c->regs);
    sregs_get(k, &c->regs);
    vectors_get(k, &c->regs);
    debug_get(k, &c->regs);
    events_get(k, &c->regs);
    kvm_msrs_get(c);
    kvm_lapic_get(cpu);
    k->valid = true;
}

uint64_t *kvm_cpu_gpr(Cpu *cpu)
{
    kvm_cpu_get(cpu);
    return x86_cpu(cpu)->regs.gpr;
}

void kvm_cpu_put(Cpu *cpu, bool full)
{
    KvmCpu *k = kvm_cpu(cpu);
    X86Cpu *c = x86_cpu(cpu);

    gprs_put(k, &c->regs);
    sregs_put(k, &c->regs);
    vectors_put(k, &c->regs);
    kvm_msrs_put(c, full);
    if (full) {
        kvm_lapic_put(cpu);
    }
    debug_put(k, &c->regs);
    events_put(k, &c->regs, full);
    kvm_debug_apply(cpu);
    k->valid = k->full = false;
}

void kvm_cpu_reset(Cpu *cpu)
{
    KvmCpu *k = kvm_cpu(cpu);
    X86Regs *r = &x86_cpu(cpu)->regs;

    if (k) {
        k->tsc = r->tsc_offset + x86_tsc_base();
        k->valid = k->full = true;
        kvm_hyperv_reset(k);
    }
}
