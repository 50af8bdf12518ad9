/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * msrs.c - model-specific registers between X86Regs and KVM (Intel SDM vol. 4;
 * AMD APM vol. 2 appendix A; Linux "KVM-specific MSRs").
 *
 * Thread class: as regs.c.
 *
 * 1. An MSR moves only if the host lists it (KVM_GET_MSR_INDEX_LIST) or KVM
 *    always has it.
 * 2. A refused MSR is skipped; a warning comes once per MSR, and only where the
 *    value would have meant something to the guest (not zero).
 */
#include <glib.h>
#include "kvm.h"
#include "loop.h"

enum {
    M_FULL = 1,                        /* put only after reset and load       */
    M_ALWAYS = 2,                      /* not in the host's list, but there   */
    M_VM = 4,                          /* the machine's, put by its first CPU */
};
typedef struct MsrRow {
    uint32_t msr;
    uint16_t offset;                   /* of a uint64_t in X86Regs            */
    uint8_t flags;
    uint32_t hv;                       /* HvBits; 0: not one of Hyper-V's     */
} MsrRow;
#define ROW(nr, field, fl) { nr, offsetof(X86Regs, field), fl, 0 }
#define HV_ANY UINT32_MAX
#define HV_ROW(nr, field, bits) \
    { nr, offsetof(X86Regs, hv.field), M_FULL | M_ALWAYS, bits }
#define HV_VM_ROW(nr, field, bits) \
    { nr, offsetof(X86Regs, hv.field), M_FULL | M_ALWAYS | M_VM, bits }
#define HV_SINT(n) HV_ROW(0x40000090 + n, sint[n], 1u << HV_SYNIC)
#define HV_TIMER(n) HV_ROW(0x400000b0 + n, stimer[n], 1u << HV_STIMER)
#define HV_PARAM(n) HV_VM_ROW(0x40000100 + n, crash[n], 1u << HV_CRASH)

static const MsrRow rows[] = {
    ROW(0x174, sysenter_cs, 0), ROW(0x175, sysenter_esp, 0),
    ROW(0x176, sysenter_eip, 0), ROW(0x277, pat, 0),
    ROW(0xc0000081, star, 0), ROW(0xc0000082, lstar, 0),
    ROW(0xc0000083, cstar, 0), ROW(0xc0000084, fmask, 0),
    ROW(0xc0000102, kernel_gs_base, 0), ROW(0xc0000103, tsc_aux, 0),
    ROW(0x03b, tsc_adjust, M_FULL), ROW(0x1a0, misc_enable, 0),
    ROW(0x03a, feature_control, 0), ROW(0x048, spec_ctrl, 0),
    ROW(0xc001011f, virt_ssbd, 0), ROW(0xda0, xss, 0),
    ROW(0x1d9, debugctl, M_FULL), ROW(0x09e, smbase, M_FULL),
    ROW(0x034, smi_count, M_FULL),
    ROW(MSR_KVM_WALL_CLOCK_NEW, kvm_wall_clock, M_FULL),
    ROW(MSR_KVM_SYSTEM_TIME_NEW, kvm_system_time, M_FULL),
    ROW(MSR_KVM_ASYNC_PF_EN, kvm_async_pf, M_FULL),
    ROW(MSR_KVM_ASYNC_PF_INT, kvm_async_pf_int, M_FULL),
    ROW(MSR_KVM_PV_EOI_EN, kvm_pv_eoi, M_FULL),
    ROW(MSR_KVM_STEAL_TIME, kvm_steal_time, M_FULL),
    ROW(MSR_KVM_POLL_CONTROL, kvm_poll_control, M_FULL),
    /* The hypercall page is refused to a guest that has no name. */
    HV_VM_ROW(0x40000000, guest_os_id, HV_ANY),
    HV_VM_ROW(0x40000001, hypercall, HV_ANY),
    HV_ROW(0x40000010, vp_runtime, 1u << HV_RUNTIME),
    HV_VM_ROW(0x40000021, reference_tsc, 1u << HV_TIME),
    HV_ROW(0x40000073, apic_assist, 1u << HV_VAPIC),
    HV_ROW(0x40000080, scontrol, 1u << HV_SYNIC),
    HV_ROW(0x40000082, siefp, 1u << HV_SYNIC),
    HV_ROW(0x40000083, simp, 1u << HV_SYNIC),
    HV_SINT(0), HV_SINT(1), HV_SINT(2), HV_SINT(3), HV_SINT(4), HV_SINT(5),
    HV_SINT(6), HV_SINT(7), HV_SINT(8), HV_SINT(9), HV_SINT(10), HV_SINT(11),
    HV_SINT(12), HV_SINT(13), HV_SINT(14), HV_SINT(15),
    HV_TIMER(0), HV_TIMER(1), HV_TIMER(2), HV_TIMER(3), HV_TIMER(4),
    HV_TIMER(5), HV_TIMER(6), HV_TIMER(7),
    HV_PARAM(0), HV_PARAM(1), HV_PARAM(2), HV_PARAM(3), HV_PARAM(4),
    HV_VM_ROW(0x40000105, crash_ctl, 1u << HV_CRASH),
    HV_VM_ROW(0x40000106, reenlighten, 1u << HV_REENLIGHTENMENT),
    HV_VM_ROW(0x40000107, tsc_emulate, 1u << HV_REENLIGHTENMENT),
    HV_VM_ROW(0x40000108, tsc_status, 1u << HV_REENLIGHTENMENT),
    /* After the rest: it depends on TSC and local APIC. */
    ROW(0x6e0, tsc_deadline, M_FULL),
};
#define MSR_TSC 0x10
#define MSR_MTRR_DEF 0x2ff

static const uint32_t mtrr_fixed[11] = {
    0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e,
    0x26f,
};

/* ---- single ones --------------------------------------------------------- */

static bool listed(const struct kvm_msr_list *l, uint32_t msr)
{
    for (uint32_t i = 0; i < l->nmsrs; i++) {
        if (l->indices[i] == msr) {
            return true;
        }
    }
    return false;
}

bool kvm_has_msr(uint32_t msr)
{
    return listed(kvm->msrs, msr);
}

/* struct kvm_msrs with room for one entry. */
typedef struct OneMsr {
    struct { uint32_t nmsrs, pad; } head;
    struct kvm_msr_entry e[1];
} OneMsr;

int kvm_msr_read(const KvmCpu *k, uint32_t msr, uint64_t *v)
{
    OneMsr m = { .head.nmsrs = 1, .e = { { .index = msr } } };
    int r = kvm_ioctl(k->fd, KVM_GET_MSRS, &m);

    *v = m.e[0].data;
    return r == 1 ? 0 : r < 0 ? r : -EINVAL;
}

int kvm_msr_write(const KvmCpu *k, uint32_t msr, uint64_t v)
{
    OneMsr m = { .head.nmsrs = 1, .e = { { .index = msr, .data = v } } };
    int r = kvm_ioctl(k->fd, KVM_SET_MSRS, &m);

    return r == 1 ? 0 : r < 0 ? r : -EINVAL;
}

uint64_t kvm_feature_msr(uint32_t msr)
{
    OneMsr m = { .head.nmsrs = 1, .e = { { .index = msr } } };

    if (!listed(kvm->feature_msrs, msr) ||
        kvm_ioctl(kvm->fd, KVM_GET_MSRS, &m) != 1) {
        return 0;
    }
    return m.e[0].data;
}

static void feature_put(const KvmCpu *k, uint32_t msr, uint64_t v)
{
    uint64_t is = 0;

    if (!listed(kvm->feature_msrs, msr) ||
        (kvm_msr_read(k, msr, &is) == 0 && is == v)) {
        return;
    }
    if (kvm_msr_write(k, msr, v) < 0) {
        kvm_refused("the host refused MSR %#x = %#llx; the guest sees %#llx",
                    msr, (unsigned long long)v, (unsigned long long)is);
    }
}

void kvm_feature_msrs_put(const KvmCpu *k)
{
    static const uint8_t words[] = {
        FW_ARCH_CAP, FW_CORE_CAP, FW_PERF_CAP, FW_VMX_MISC,
        FW_VMX_EPT_VPID, FW_VMX_VMFUNC,
    };
    const X86Cpu *c = x86_cpu(k->cpu);

    for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
        const X86WordSource *s = x86_word(words[i]);

        if (words[i] < FW_VMX_PROCBASED || c->features[words[i]]) {
            feature_put(k, s->msr, c->features[words[i]]);
        }
    }
    feature_put(k, 0x8b, c->ucode_rev);
}

/* ---- batches ------------------------------------------------------------- */

#define BATCH 160
typedef struct Batch {
    struct { uint32_t nmsrs, pad; } head;          /* as struct kvm_msrs      */
    struct kvm_msr_entry e[BATCH];
    uint64_t *to[BATCH];               /* get: where it goes                  */
} Batch;

static void batch_add(Batch *b, uint32_t msr, uint64_t *field)
{
    uint32_t n = b->head.nmsrs;

    if (n < BATCH) {
        b->e[n] = (struct kvm_msr_entry){ .index = msr, .data = *field };
        b->to[n] = field;
        b->head.nmsrs = n + 1;
    }
}

/* One ioctl as long as the host takes all; around what it refuses otherwise. */
static void batch_run(Batch *b, const KvmCpu *k, unsigned long req)
{
    uint32_t all = b->head.nmsrs, at = 0;
    Batch *part = b;

    while (at < all) {
        int r;

        part->head.nmsrs = all - at;
        r = kvm_ioctl(k->fd, req, &part->head);
        r = MAX2(r, 0);
        for (int i = 0; req == KVM_GET_MSRS && i < r; i++) {
            *b->to[at + i] = part->e[i].data;
        }
        at += r;
        if (at == all) {
            break;
        }
        if (req == KVM_SET_MSRS && b->e[at].data) {
            kvm_refused("the host refused MSR %#x = %#llx; the guest runs "
                        "without it", b->e[at].index,
                        (unsigned long long)b->e[at].data);
        }
        at++;
        if (part == b) {
            part = g_new0(Batch, 1);
        }
        memcpy(part->e, &b->e[at], (all - at) * sizeof(b->e[0]));
    }
    if (part != b) {
        g_free(part);
    }
}

static bool row_wanted(const MsrRow *row, const X86Cpu *c, bool full)
{
    const X86Hyperv *hv = &c->hyperv;

    if (row->hv && !(hv->on && (row->hv == HV_ANY ||
                                row->hv & hv->features))) {
        return false;
    }
    return (full || !(row->flags & M_FULL)) &&
           (row->flags & M_ALWAYS || kvm_has_msr(row->msr));
}

static void batch_rows(Batch *b, X86Cpu *c, bool full, bool put)
{
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        if (row_wanted(&rows[i], c, full) &&
            !(put && rows[i].flags & M_VM && c->cpu.index)) {
            batch_add(b, rows[i].msr,
                      (uint64_t *)((char *)&c->regs + rows[i].offset));
        }
    }
}

static void batch_mtrrs(Batch *b, X86Cpu *c)
{
    X86Regs *r = &c->regs;

    if (!(c->features[FW_1_EDX] & 1u << 12)) {
        return;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(mtrr_fixed); i++) {
        batch_add(b, mtrr_fixed[i], &r->mtrr_fixed[i]);
    }
    for (unsigned i = 0; i < X86_MTRR_VAR; i++) {
        batch_add(b, 0x200 + 2 * i, &r->mtrr_base[i]);
        batch_add(b, 0x201 + 2 * i, &r->mtrr_mask[i]);
    }
    batch_add(b, MSR_MTRR_DEF, &r->mtrr_deftype);
}

static void batch_mce(Batch *b, X86Regs *r)
{
    if (!kvm->mcg || !(r->mcg_cap & 0xff)) {
        return;
    }
    batch_add(b, 0x17a, &r->mcg_status);
    if (r->mcg_cap & 1u << 8) {
        batch_add(b, 0x17b, &r->mcg_ctl);
    }
    for (unsigned i = 0; i < (r->mcg_cap & 0xff) * 4 &&
                         i < ARRAY_SIZE(r->mce_banks); i++) {
        batch_add(b, 0x400 + i, &r->mce_banks[i]);
    }
}

void kvm_mce_put(X86Cpu *c)
{
    Batch *b = g_new0(Batch, 1);

    batch_mce(b, &c->regs);
    batch_run(b, kvm_cpu(&c->cpu), KVM_SET_MSRS);
    g_free(b);
}

void kvm_msrs_get(X86Cpu *c)
{
    const KvmCpu *k = kvm_cpu(&c->cpu);
    Batch *b = g_new0(Batch, 1);
    uint64_t tsc;

    batch_rows(b, c, true, false);
    batch_mtrrs(b, c);
    batch_mce(b, &c->regs);
    batch_run(b, k, KVM_GET_MSRS);
    g_free(b);
    if (kvm_msr_read(k, MSR_TSC, &tsc) == 0) {
        c->regs.tsc_offset = tsc - x86_tsc_base();
    }
}

void kvm_msrs_put(X86Cpu *c, bool full)
{
    KvmCpu *k = kvm_cpu(&c->cpu);
    Batch *b = g_new0(Batch, 1);

    if (full) {
        /* TSC first: adjust and deadline are relative to it. */
        batch_add(b, MSR_TSC, &k->tsc);
        batch_mtrrs(b, c);
        batch_mce(b, &c->regs);
    }
    batch_rows(b, c, full, true);
    batch_run(b, k, KVM_SET_MSRS);
    g_free(b);
}
