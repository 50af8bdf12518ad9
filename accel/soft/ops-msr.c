/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ops-msr.c - model-specific registers, CPUID, time, TLB and cache control,
 * base registers, random numbers.
 * Intel SDM vol. 4, chapter 2; AMD64 APM vol. 2, appendix A.
 *
 * Thread class: the vCPU's thread.
 */
#include <sys/random.h>
#include "ops-sys.h"

static bool canonical(const SoftCpu *c, uint64_t v)
{
    return soft_canonical(v, c->cr4_valid);
}

/* Registers that are plain 64-bit words. */
static uint64_t *plain_msr(X86Regs *x, uint32_t msr)
{
    switch (msr) {
    case 0x174: return &x->sysenter_cs;
    case 0x175: return &x->sysenter_esp;
    case 0x176: return &x->sysenter_eip;
    case 0x277: return &x->pat;
    case 0x2ff: return &x->mtrr_deftype;
    case 0x250: return &x->mtrr_fixed[0];
    case 0x258: return &x->mtrr_fixed[1];
    case 0x259: return &x->mtrr_fixed[2];
    case 0x268 ... 0x26f: return &x->mtrr_fixed[3 + msr - 0x268];
    case 0x200 ... 0x20f:
        return msr & 1 ? &x->mtrr_mask[(msr - 0x200) / 2] :
            &x->mtrr_base[(msr - 0x200) / 2];
    case 0xc0000081: return &x->star;
    case 0xc0000082: return &x->lstar;
    case 0xc0000083: return &x->cstar;
    case 0xc0000084: return &x->fmask;
    case 0xc0000100: return &x->seg[SEG_FS].base;
    case 0xc0000101: return &x->seg[SEG_GS].base;
    case 0xc0000102: return &x->kernel_gs_base;
    case 0xc0000103: return &x->tsc_aux;
    default: return NULL;
    }
}

bool soft_msr_read(SoftCpu *c, uint32_t msr, uint64_t *v)
{
    uint64_t *p = plain_msr(c->x, msr);

    if (p) {
        *v = *p;
        return true;
    }
    switch (msr) {
    case 0x10: *v = c->hooks->tsc(c); return true;
    case 0xc0000080: *v = c->x->efer; return true;
    case 0xda0: *v = c->x->xss; return true;
    default: return c->hooks->msr_read(c, msr, v);
    }
}

static bool pat_good(uint64_t v)
{
    for (int i = 0; i < 64; i += 8) {
        unsigned t = v >> i & 0xff;

        if (t > 7 || t == 2 || t == 3) {
            return false;
        }
    }
    return true;
}

bool soft_msr_write(SoftCpu *c, uint32_t msr, uint64_t v)
{
    X86Regs *x = c->x;
    uint64_t *p = plain_msr(x, msr);

    switch (msr) {
    case 0xc0000080:
        if (v & ~(c->efer_valid | 0x400) ||
            ((v ^ x->efer) & 0x100 && x->cr0 >> 31)) {
            return false;
        }
        x->efer = (v & ~0x400ull) | (x->efer & 0x400);
        soft_tlb_flush(c, true);
        soft_mode_update(c);
        return true;
    case 0xda0:
        if (v) {
            return false;
        }
        x->xss = v;
        return true;
    case 0x175: case 0x176: case 0xc0000082: case 0xc0000083:
    case 0xc0000100: case 0xc0000101: case 0xc0000102:
        if (!canonical(c, v)) {
            return false;
        }
        break;
    case 0x277:
        if (!pat_good(v)) {
            return false;
        }
        break;
    case 0xc0000103:
        if (v >> 32) {
            return false;
        }
        break;
    }
    if (!p) {
        return c->hooks->msr_write(c, msr, v);
    }
    *p = v;
    if (msr == 0xc0000100 || msr == 0xc0000101) {
        soft_seg_update(c, msr == 0xc0000100 ? SEG_FS : SEG_GS);
    }
    return true;
}

static void put_pair(SoftCpu *c, uint64_t v)
{
    c->r[X86_RAX] = (uint32_t)v;
    c->r[X86_RDX] = v >> 32;
}
static uint64_t get_pair(const SoftCpu *c)
{
    return c->r[X86_RDX] << 32 | (uint32_t)c->r[X86_RAX];
}

H(rdmsr)
{
    uint64_t v;

    soft_need_cpl0(c, s);
    if (!soft_msr_read(c, c->r[X86_RCX], &v)) {
        SOFT_GP0(c, s);
    }
    put_pair(c, v);
    NEXT;
}
H(wrmsr)
{
    soft_need_cpl0(c, s);
    if (!soft_msr_write(c, c->r[X86_RCX], get_pair(c))) {
        SOFT_GP0(c, s);
    }
    NEXT;
}
H(rdtsc)
{
    if (c->cpl && c->x->cr4 & 4) {
        SOFT_GP0(c, s);
    }
    put_pair(c, c->hooks->tsc(c));
    if (s->sub == M_RDTSCP) {
        c->r[X86_RCX] = (uint32_t)c->x->tsc_aux;
    }
    NEXT;
}
H(rdpmc)
{
    if (c->cpl && !(c->x->cr4 & 0x100)) {
        SOFT_GP0(c, s);
    }
    /* no counter exists */
    SOFT_GP0(c, s);
}
H(cpuid)
{
    uint32_t out[4];

    c->hooks->cpuid(c, c->r[X86_RAX], c->r[X86_RCX], out);
    c->r[X86_RAX] = out[0];
    c->r[X86_RBX] = out[1];
    c->r[X86_RCX] = out[2];
    c->r[X86_RDX] = out[3];
    NEXT;
}
H(wbinvd)
{
    soft_need_cpl0(c, s);
    NEXT;
}
H(invlpg)
{
    soft_need_cpl0(c, s);
    soft_tlb_flush_page(c, c->code64 ? ea_off(c, s) + c->segbase[s->seg] :
                        (uint32_t)(ea_off(c, s) + c->segbase[s->seg]));
    NEXT;
}
H(invpcid)
{
    uint64_t type, la, desc, addr;

    soft_need_cpl0(c, s);
    type = reg_n(c, s->ra, c->code64 ? 8 : 4);
    la = ea(c, s, 16, false);
    desc = ld64(c, s, la);
    addr = ld64(c, s, la + 8);
    if (type > 3 || desc >> 12 || (type == 0 && !canonical(c, addr)) ||
        (type < 2 && desc && !(c->x->cr4 >> 17 & 1))) {
        SOFT_GP0(c, s);
    }
    soft_tlb_flush(c, true);
    NEXT;
}
/* For these it is #UD. */
static void there_at_cpl0(SoftCpu *c, const Slot *s)
{
    if (c->cpl) {
        SOFT_UD(c, s);
    }
}
H(monitor)
{
    uint64_t off = c->r[X86_RAX] << s->ash >> s->ash;

    there_at_cpl0(c, s);
    if ((uint32_t)c->r[X86_RCX]) {
        SOFT_GP0(c, s);
    }
    c->mon_addr = seg_lin(c, s, s->seg, off, 1, false);
    c->mon_armed = true;
    c->mon_value = ld64(c, s, c->mon_addr & ~7ull);
    NEXT;
}
/* Waiting may end for any reason at any time: it ends at once when the first
 * eight bytes there have changed or something is pending, else after a nap. */
H(mwait)
{
    there_at_cpl0(c, s);
    if (reg_n(c, X86_RCX * 8, 4) & ~1u) {
        SOFT_GP0(c, s);
    }
    if (c->mon_armed && c->hooks->nap) {
        c->mon_armed = false;
        if (ld64(c, s, c->mon_addr & ~7ull) == c->mon_value &&
            !__atomic_load_n(&c->kick, __ATOMIC_SEQ_CST)) {
            c->hooks->nap(c);
        }
    }
    NEXT;
}
H(stac)
{
    there_at_cpl0(c, s);
    if (s->sub == M_STAC) {
        c->eflags |= F_AC;
    } else {
        c->eflags &= ~F_AC;
    }
    soft_mmu_pick(c);
    NEXT;
}
H(xgetbv)
{
    if (!(c->x->cr4 >> 18 & 1)) {
        SOFT_UD(c, s);
    }
    if ((uint32_t)c->r[X86_RCX] > 1) {
        SOFT_GP0(c, s);
    }
    put_pair(c, c->x->xcr0);
    NEXT;
}
H(xsetbv)
{
    uint64_t v = get_pair(c);

    if (!(c->x->cr4 >> 18 & 1)) {
        SOFT_UD(c, s);
    }
    soft_need_cpl0(c, s);
    if ((uint32_t)c->r[X86_RCX] || !(v & 1) || v & ~c->xcr0_valid ||
        (v & 6) == 4) {
        SOFT_GP0(c, s);
    }
    c->x->xcr0 = v;
    soft_fpu_pick(c);
    NEXT;
}
H(swapgs)
{
    X86Regs *x = c->x;
    uint64_t v = x->kernel_gs_base;

    soft_need_cpl0(c, s);
    x->kernel_gs_base = x->seg[SEG_GS].base;
    x->seg[SEG_GS].base = v;
    c->segbase[SEG_GS] = v;
    NEXT;
}
H(rdbase)
{
    unsigned seg = s->sub == M_RDFS || s->sub == M_WRFS ? SEG_FS : SEG_GS;
    uint64_t v;

    if (!(c->x->cr4 >> 16 & 1)) {
        SOFT_UD(c, s);
    }
    if (s->sub <= M_RDGS) {
        reg_set(c, s->ra, c->x->seg[seg].base, s->osz);
        NEXT;
    }
    v = reg_n(c, s->ra, s->osz);
    if (!canonical(c, v)) {
        SOFT_GP0(c, s);
    }
    c->x->seg[seg].base = v;
    c->segbase[seg] = v;
    NEXT;
}
H(rdpid)
{
    reg_set(c, s->ra, (uint32_t)c->x->tsc_aux, 8);
    NEXT;
}
H(rdrand)
{
    uint64_t v = 0;
    bool ok = getrandom(&v, sizeof(v), GRND_NONBLOCK) == sizeof(v);

    reg_set(c, s->ra, ok ? v : 0, s->osz);
    fl_set(c, ok ? F_CF : 0);
    NEXT;
}
H(pkru)
{
    if (!(c->x->cr4 >> 22 & 1)) {
        SOFT_UD(c, s);
    }
    if ((uint32_t)c->r[X86_RCX] ||
        (s->sub == M_WRPKRU && (uint32_t)c->r[X86_RDX])) {
        SOFT_GP0(c, s);
    }
    if (s->sub == M_RDPKRU) {
        put_pair(c, c->x->pkru);
    } else {
        c->x->pkru = c->r[X86_RAX];
        soft_tlb_flush(c, true);
    }
    NEXT;
}
H(fence)
{
    /* Not the builtin: the thread sanitizer refuses it. */
    __asm__ volatile("mfence" : : : "memory");
    NEXT;
}
H(clflush)
{
    ld8(c, s, ea(c, s, 1, false));
    NEXT;
}
H(movnti)
{
    st_n(c, s, ea(c, s, s->sub, true), reg_n(c, s->rb, s->sub), s->sub);
    NEXT;
}

bool soft_b_msr(Xlate *x)
{
    static Handler *const t[] = {
        [M_RDMSR] = rdmsr, [M_WRMSR] = wrmsr, [M_RDTSC] = rdtsc,
        [M_RDTSCP] = rdtsc, [M_RDPMC] = rdpmc, [M_CPUID] = cpuid,
        [M_WBINVD] = wbinvd, [M_INVLPG] = invlpg, [M_INVPCID] = invpcid,
        [M_MONITOR] = monitor, [M_MWAIT] = mwait, [M_CLAC] = stac,
        [M_STAC] = stac, [M_XGETBV] = xgetbv, [M_XSETBV] = xsetbv,
        [M_SWAPGS] = swapgs, [M_RDFS] = rdbase, [M_RDGS] = rdbase,
        [M_WRFS] = rdbase, [M_WRGS] = rdbase, [M_RDPID] = rdpid,
        [M_RDRAND] = rdrand, [M_RDPKRU] = pkru, [M_WRPKRU] = pkru,
        [M_FENCE] = fence, [M_CLFLUSH] = clflush, [M_MOVNTI] = movnti,
    };

    x->s->fn = t[x->arg];
    x->s->sub = x->arg == M_MOVNTI ? x->in->o[0].size : x->arg;
    return true;
}
