/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hyperv.c - hv-* : the Hyper-V enlightenments a guest may be offered (Microsoft
 * "Hypervisor Top Level Functional Specification" 6.0b, chapter 2.4 and 3).
 *
 * Thread class: MACHINE_CALL.
 *
 * 1. Only what the accelerator can give is offered. One that has no enlightenments
 *    at all costs a warning; one that lacks what is asked for, the CPU.
 * 2. hv-passthrough offers all that there is, and its words are the host's.
 */
#include <glib.h>
#include "accel.h"
#include "x86-cpu.h"

#define B(hv) (1u << (hv))

static const struct {
    const char *name, *text;
    uint32_t needs;                    /* by HvBit                            */
} hv_about[HV_COUNT] = {
    [HV_RELAXED] = { "hv-relaxed", "relaxed timing", 0 },
    [HV_VAPIC] = { "hv-vapic", "virtual APIC", 0 },
    [HV_TIME] = { "hv-time", "clocksources", 0 },
    [HV_CRASH] = { "hv-crash", "crash MSRs", 0 },
    [HV_RESET] = { "hv-reset", "reset MSR", 0 },
    [HV_VPINDEX] = { "hv-vpindex", "VP_INDEX MSR", 0 },
    [HV_RUNTIME] = { "hv-runtime", "VP_RUNTIME MSR", 0 },
    [HV_SYNIC] = { "hv-synic", "synthetic interrupt controller",
                   B(HV_VPINDEX) },
    [HV_STIMER] = { "hv-stimer", "synthetic timers",
                    B(HV_SYNIC) | B(HV_TIME) },
    [HV_FREQUENCIES] = { "hv-frequencies", "frequency MSRs", 0 },
    [HV_REENLIGHTENMENT] = { "hv-reenlightenment", "reenlightenment MSRs", 0 },
    [HV_TLBFLUSH] = { "hv-tlbflush", "paravirtualized TLB flush",
                      B(HV_VPINDEX) },
    [HV_EVMCS] = { "hv-evmcs", "enlightened VMCS", B(HV_VAPIC) },
    [HV_IPI] = { "hv-ipi", "paravirtualized IPI", B(HV_VPINDEX) },
    [HV_STIMER_DIRECT] = { "hv-stimer-direct", "direct mode synthetic timers",
                           B(HV_STIMER) },
    [HV_AVIC] = { "hv-avic/hv-apicv", "AVIC/APICv support", 0 },
    [HV_XMM_INPUT] = { "hv-xmm-input", "XMM fast hypercall input", 0 },
    [HV_EMSR_BITMAP] = { "hv-emsr-bitmap", "enlightened MSR-Bitmap", 0 },
    [HV_TLBFLUSH_EXT] = { "hv-tlbflush-ext", "Extended gva ranges for TLB "
                          "flush hypercalls", B(HV_TLBFLUSH) },
    [HV_TLBFLUSH_DIRECT] = { "hv-tlbflush-direct", "direct TLB flush",
                             B(HV_VAPIC) },
    [HV_SYNDBG] = { "hv-syndbg", "Enable synthetic kernel debugger channel",
                    B(HV_SYNIC) | B(HV_RELAXED) },
};

/* TLFS 2.4: which privileges and hints a switch brings, and needs. */
static const struct {
    uint8_t hv, leaf, reg;             /* leaf 3: privileges, 4: hints, 10    */
    uint32_t bits;
} hv_rows[] = {
    { HV_RELAXED, 4, 0, 1u << 5 }, { HV_VAPIC, 3, 0, 1u << 4 },
    { HV_TIME, 3, 0, 1u << 1 | 1u << 9 },
    { HV_CRASH, 3, 3, 1u << 10 }, { HV_RESET, 3, 0, 1u << 7 },
    { HV_VPINDEX, 3, 0, 1u << 6 }, { HV_RUNTIME, 3, 0, 1u << 0 },
    { HV_SYNIC, 3, 0, 1u << 2 }, { HV_STIMER, 3, 0, 1u << 3 },
    { HV_FREQUENCIES, 3, 0, 1u << 11 }, { HV_FREQUENCIES, 3, 3, 1u << 8 },
    { HV_REENLIGHTENMENT, 3, 0, 1u << 13 },
    { HV_TLBFLUSH, 4, 0, 1u << 2 | 1u << 11 }, { HV_EVMCS, 4, 0, 1u << 14 },
    { HV_IPI, 4, 0, 1u << 10 | 1u << 11 },
    { HV_STIMER_DIRECT, 3, 3, 1u << 19 }, { HV_AVIC, 4, 0, 1u << 9 },
    { HV_XMM_INPUT, 3, 3, 1u << 4 }, { HV_EMSR_BITMAP, 10, 0, 1u << 19 },
    { HV_TLBFLUSH_EXT, 3, 3, 1u << 14 },
    { HV_TLBFLUSH_DIRECT, 10, 0, 1u << 17 }, { HV_SYNDBG, 3, 3, 1u << 11 },
};

/* What else the guest is told. */
enum {
    CAN_HYPERCALL = 1u << 5,           /* leaf 3 EAX                          */
    CAN_POST_AND_SIGNAL = 3u << 4,     /* EBX                                 */
    CAN_REPARTITION = 1u << 3,         /* EDX                                 */
    USE_APIC_MSRS = 1u << 3,           /* leaf 4 EAX                          */
    NO_NONARCH_CORESHARING = 1u << 18,
};

/* ---- which --------------------------------------------------------------- */

static bool host_leaf(uint32_t leaf, uint32_t out[4]) MACHINE_CALL;
static bool host_leaf(uint32_t leaf, uint32_t out[4])
{
    memset(out, 0, 4 * sizeof(out[0]));
    return accel && accel->type->cpu_hyperv &&
           accel->type->cpu_hyperv(0x40000000 | leaf, out);
}

static uint32_t host_features(void) MACHINE_CALL;
static uint32_t host_features(void)
{
    uint32_t have = B(HV_COUNT) - 1, out[4];

    for (unsigned i = 0; i < ARRAY_SIZE(hv_rows); i++) {
        uint32_t bits = hv_rows[i].bits;

        host_leaf(hv_rows[i].leaf, out);
        if ((out[hv_rows[i].reg] & bits) != bits) {
            have &= ~B(hv_rows[i].hv);
        }
    }
    return have;
}

static bool features_check(uint32_t wish, uint32_t have, Error **errp)
{
    for (unsigned b = 0; b < HV_COUNT; b++) {
        if (wish & ~have & B(b)) {
            return error_set(errp, "Hyper-V %s (%s) is not supported by kernel",
                             hv_about[b].text, hv_about[b].name);
        }
    }
    for (unsigned b = 0; b < HV_COUNT; b++) {
        uint32_t lacks = wish & B(b) ? hv_about[b].needs & ~wish : 0;

        if (lacks) {
            unsigned n = __builtin_ctz(lacks);

            return error_set(errp, "Hyper-V %s (%s) requires Hyper-V %s (%s)",
                             hv_about[b].text, hv_about[b].name,
                             hv_about[n].text, hv_about[n].name);
        }
    }
    return true;
}

bool x86_hyperv_check(X86CpuDev *d, Error **errp)
{
    X86Hyperv *h = &d->x.hyperv;
    bool first = d->x.cpu.index == 0;
    uint32_t out[4];

    *h = (X86Hyperv){ .enforce = d->hv_enforce,
                      .synic_kvm_only = d->hv_synic_kvm_only };
    if (!d->hv && !d->hv_passthrough && d->hv_spinlocks == UINT32_MAX) {
        return true;
    }
    if (!host_leaf(0, out)) {
        if (d->check && first && d->hv) {
            warn_report("%s%s: the guest runs without Hyper-V enlightenments, "
                        "%s", hv_about[__builtin_ctzll(d->hv)].name,
                        d->hv & (d->hv - 1) ? " and others" : "",
                        accel_is("kvm") ? "which the host's KVM has not"
                                        : "which need KVM");
        }
        return true;
    }
    h->on = true;
    h->features = d->hv_passthrough ? host_features() : d->hv;
    if (first && d->hv_vendor && strlen(d->hv_vendor) > 12) {
        warn_report("hv-vendor-id truncated to 12 characters");
    }
    return d->hv_passthrough ||
           features_check(h->features, host_features(), errp);
}

/* ---- leaves -------------------------------------------------------------- */

static uint32_t hv_bits(const X86Hyperv *h, unsigned leaf, unsigned reg)
{
    uint32_t bits = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(hv_rows); i++) {
        if (hv_rows[i].leaf == leaf && hv_rows[i].reg == reg &&
            h->features & B(hv_rows[i].hv)) {
            bits |= hv_rows[i].bits;
        }
    }
    return bits;
}

static uint32_t hv_hints(const X86CpuDev *d) MACHINE_CALL;
static uint32_t hv_hints(const X86CpuDev *d)
{
    uint32_t hints = hv_bits(&d->x.hyperv, 4, 0), out[4];

    host_leaf(4, out);
    if ((d->x.hyperv.features & (B(HV_VAPIC) | B(HV_AVIC))) == B(HV_VAPIC)) {
        hints |= USE_APIC_MSRS;
    }
    if (d->hv_no_nonarch == OOA_ON) {
        hints |= NO_NONARCH_CORESHARING;
    } else if (d->hv_no_nonarch == OOA_AUTO) {
        hints |= out[0] & NO_NONARCH_CORESHARING;
    }
    return hints;
}

/* Leaves 0, 2 and 5 by the user's words. */
static void own_words(const X86CpuDev *d, X86CpuidLeaf l[6])
{
    char vendor[13] = "Microsoft Hv";

    if (d->hv_vendor) {
        memset(vendor, 0, sizeof(vendor));
        memcpy(vendor, d->hv_vendor, MIN2(strlen(d->hv_vendor), 12));
    }
    l[0].ebx = ld_le32(vendor);
    l[0].ecx = ld_le32(vendor + 4);
    l[0].edx = ld_le32(vendor + 8);
    l[2].eax = d->hv_build;
    l[2].ebx = (uint32_t)d->hv_major << 16 | d->hv_minor;
    l[2].ecx = d->hv_spack;
    l[2].edx = (uint32_t)d->hv_sbranch << 24 | (d->hv_snumber & 0xffffff);
    l[4].ebx = d->hv_spinlocks;
    l[5].eax = d->hv_max_vps;
    l[5].ebx = 0x40;
}

static void host_words(X86CpuidLeaf l[6]) MACHINE_CALL;
static void host_words(X86CpuidLeaf l[6])
{
    uint32_t out[4];

    for (unsigned i = 0; i < 6; i++) {
        host_leaf(i, out);
        if (i != 1 && i != 3) {
            l[i].eax = out[0];
            l[i].ebx = out[1];
        }
        if (i != 3 && i != 4) {
            l[i].ecx = out[2];
            l[i].edx = out[3];
        }
    }
}

unsigned x86_hyperv_leaves(const X86CpuDev *d, X86CpuidLeaf *out)
{
    const X86Hyperv *h = &d->x.hyperv;
    bool nested = h->features & (B(HV_EVMCS) | B(HV_EMSR_BITMAP) |
                                 B(HV_TLBFLUSH_DIRECT));
    bool debugger = h->features & B(HV_SYNDBG);
    unsigned n = nested ? 11 : 6;

    if (!h->on) {
        return 0;
    }
    memset(out, 0, X86_HV_LEAVES * sizeof(*out));
    for (unsigned i = 0; i < n; i++) {
        out[i].leaf = 0x40000000 + i;
    }
    if (d->hv_passthrough) {
        host_words(out);
    } else {
        own_words(d, out);
    }
    out[0].eax = debugger ? 0x40000082 : nested ? 0x4000000a : 0x40000005;
    out[1].eax = 0x31237648;           /* "Hv#1"                              */
    out[3].eax = hv_bits(h, 3, 0) | CAN_HYPERCALL;
    out[3].ebx = h->features & B(HV_SYNIC) && !h->synic_kvm_only
               ? CAN_POST_AND_SIGNAL : 0;
    out[3].edx = hv_bits(h, 3, 3) | CAN_REPARTITION;
    out[4].eax = hv_hints(d);
    if (nested) {
        out[10].eax = hv_bits(h, 10, 0);
    }
    if (debugger) {
        out[n++] = (X86CpuidLeaf){
            .leaf = 0x40000080, .ebx = 0x7263694d, .ecx = 0x666f736f,
            .edx = 0x53562074,         /* "Microsoft VS"                      */
        };
        out[n++] = (X86CpuidLeaf){ .leaf = 0x40000081, .eax = 0x31235356 };
        out[n++] = (X86CpuidLeaf){ .leaf = 0x40000082, .eax = 2 };
    }
    return n;
}
