/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hyperv.c - hv-* : the Hyper-V enlightenments a guest may be offered (Microsoft
 * "Hypervisor Top Level Functional Specification" 6.0b, chapter 2.4 and 3).
 *
 * Thread class: MACHINE_CALL.
 *
 * 1. Only what the accelerator can give is offered. The rest costs a warning, or
 *    with enforce the CPU.
 */
#include <glib.h>
#include "accel.h"
#include "x86-cpu.h"

static const char *const hv_names[HV_COUNT] = {
    [HV_RELAXED] = "hv-relaxed", [HV_VAPIC] = "hv-vapic",
    [HV_TIME] = "hv-time", [HV_CRASH] = "hv-crash", [HV_RESET] = "hv-reset",
    [HV_VPINDEX] = "hv-vpindex", [HV_RUNTIME] = "hv-runtime",
    [HV_SYNIC] = "hv-synic", [HV_STIMER] = "hv-stimer",
    [HV_FREQUENCIES] = "hv-frequencies",
    [HV_REENLIGHTENMENT] = "hv-reenlightenment",
    [HV_TLBFLUSH] = "hv-tlbflush", [HV_EVMCS] = "hv-evmcs",
    [HV_IPI] = "hv-ipi", [HV_STIMER_DIRECT] = "hv-stimer-direct",
    [HV_AVIC] = "hv-avic", [HV_XMM_INPUT] = "hv-xmm-input",
    [HV_EMSR_BITMAP] = "hv-emsr-bitmap",
    [HV_TLBFLUSH_EXT] = "hv-tlbflush-ext",
    [HV_TLBFLUSH_DIRECT] = "hv-tlbflush-direct", [HV_SYNDBG] = "hv-syndbg",
};

bool x86_hyperv_check(X86CpuDev *d, Error **errp)
{
    uint64_t have = accel && accel->type->cpu_hyperv
                  ? accel->type->cpu_hyperv() : 0;

    if (d->hv_passthrough) {
        d->hv = have;
    }
    if (d->hv_spinlocks != UINT32_MAX && !have) {
        d->hv_spinlocks = UINT32_MAX;
    }
    for (unsigned b = 0; b < HV_COUNT; b++) {
        if (!(d->hv & ~have & 1ull << b)) {
            continue;
        }
        if (d->enforce) {
            return error_set(errp, "Hyper-V enlightenment %s is not supported "
                             "by the host's KVM", hv_names[b]);
        }
        if (d->check && d->x.cpu.index == 0) {
            warn_report("%s: not supported by the host's KVM, the guest runs "
                        "without it", hv_names[b]);
        }
    }
    d->hv &= have;
    return true;
}

/* TLFS 2.4: which privileges and hints a switch brings. */
static const struct {
    uint8_t hv, leaf, reg;             /* leaf 3: privileges, 4: hints, 10    */
    uint32_t bits;
} hv_rows[] = {
    { HV_RELAXED, 4, 0, 1u << 5 }, { HV_VAPIC, 4, 0, 1u << 3 },
    { HV_VAPIC, 3, 0, 1u << 4 }, { HV_TIME, 3, 0, 1u << 1 | 1u << 9 },
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
    { HV_TLBFLUSH_DIRECT, 10, 0, 1u << 17 },
};

static uint32_t hv_bits(const X86CpuDev *d, unsigned leaf, unsigned reg)
{
    uint32_t bits = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(hv_rows); i++) {
        if (hv_rows[i].leaf == leaf && hv_rows[i].reg == reg &&
            d->hv >> hv_rows[i].hv & 1) {
            bits |= hv_rows[i].bits;
        }
    }
    return bits;
}

unsigned x86_hyperv_leaves(X86CpuDev *d, X86CpuidLeaf *out)
{
    uint32_t nested = hv_bits(d, 10, 0), hints = hv_bits(d, 4, 0);
    char vendor[13] = "Microsoft Hv";
    unsigned n = 0;

    if (!d->hv) {
        return 0;
    }
    if (d->hv_vendor) {
        memset(vendor, 0, sizeof(vendor));
        memcpy(vendor, d->hv_vendor, MIN2(strlen(d->hv_vendor), 12));
    }
    if (d->hv_no_nonarch == OOA_ON) {
        hints |= 1u << 18;
    }
    out[n++] = (X86CpuidLeaf){
        .leaf = 0x40000000, .eax = nested ? 0x4000000a : 0x40000005,
        .ebx = ld_le32(vendor), .ecx = ld_le32(vendor + 4),
        .edx = ld_le32(vendor + 8),
    };
    out[n++] = (X86CpuidLeaf){ .leaf = 0x40000001, .eax = 0x31237648 };
    out[n++] = (X86CpuidLeaf){
        .leaf = 0x40000002, .eax = d->hv_build,
        .ebx = (uint32_t)d->hv_major << 16 | d->hv_minor, .ecx = d->hv_spack,
        .edx = (uint32_t)d->hv_sbranch << 24 | d->hv_snumber,
    };
    out[n++] = (X86CpuidLeaf){
        .leaf = 0x40000003, .eax = hv_bits(d, 3, 0) | 1u << 5,
        .edx = hv_bits(d, 3, 3),
    };
    out[n++] = (X86CpuidLeaf){
        .leaf = 0x40000004, .eax = hints, .ebx = d->hv_spinlocks,
    };
    out[n++] = (X86CpuidLeaf){
        .leaf = 0x40000005,
        .eax = d->hv_max_vps > 0 ? (uint32_t)d->hv_max_vps : machine->max_cpus,
        .ebx = 0x40,
    };
    if (nested) {
        out[n++] = (X86CpuidLeaf){ .leaf = 0x4000000a, .eax = nested };
    }
    return n;
}
