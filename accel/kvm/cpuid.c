/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cpuid.c - which CPUID features this host's KVM can give, and handing a vCPU
 * its table. (Linux KVM API: KVM_GET_SUPPORTED_CPUID, KVM_SET_CPUID2.)
 *
 * Thread class: any; kvm_cpuid_set in the vCPU's thread.
 *
 * 1. What is offered is what KVM supports, corrected where KVM emulates without
 *    saying so (x2APIC, TSC deadline, hypervisor bit) or where X86Regs cannot
 *    hold the state (AMX tiles).
 */
#include <errno.h>
#include <glib.h>
#include "kvm.h"

bool kvm_cpuid_probe(int fd, struct kvm_cpuid2 **out, Error **errp)
{
    for (uint32_t n = 64; n <= 4096; n *= 2) {
        struct kvm_cpuid2 *c = g_malloc0(sizeof(*c) +
                                         n * sizeof(c->entries[0]));
        int err;

        c->nent = n;
        err = kvm_ioctl(fd, KVM_GET_SUPPORTED_CPUID, c);
        if (err >= 0) {
            *out = c;
            return true;
        }
        g_free(c);
        if (err != -E2BIG && err != -ENOMEM) {
            return error_set(errp, "failed to initialize kvm: "
                             "KVM_GET_SUPPORTED_CPUID: %s", strerror(-err));
        }
    }
    return error_set(errp, "failed to initialize kvm: "
                     "KVM_GET_SUPPORTED_CPUID has no end");
}

static const struct kvm_cpuid_entry2 *entry(uint32_t leaf, uint32_t sub)
{
    for (uint32_t i = 0; kvm && i < kvm->cpuid->nent; i++) {
        const struct kvm_cpuid_entry2 *e = &kvm->cpuid->entries[i];

        if (e->function == leaf &&
            (!(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) ||
             e->index == sub)) {
            return e;
        }
    }
    return NULL;
}

void kvm_host_cpuid(uint32_t leaf, uint32_t sub, uint32_t out[4])
{
    const struct kvm_cpuid_entry2 *e = entry(leaf, sub);

    out[0] = e ? e->eax : 0;
    out[1] = e ? e->ebx : 0;
    out[2] = e ? e->ecx : 0;
    out[3] = e ? e->edx : 0;
}

#define BIT(n) (1ull << (n))

static uint64_t msr_word(const X86WordSource *s)
{
    uint64_t v = kvm_feature_msr(s->msr);

    if (s->msr == 0x10a) {
        /* TSX control is no use without TSX. */
        uint32_t l7[4];

        kvm_host_cpuid(7, 0, l7);
        if (!(l7[1] & (BIT(4) | BIT(11)))) {
            v &= ~BIT(7);
        }
    }
    return v;
}

static uint64_t word_fixed(unsigned word, uint64_t v)
{
    uint32_t l[4];

    switch (word) {
    case FW_1_ECX:
        v |= BIT(31);                  /* hypervisor                          */
        if (accel_irq.apic_in_kernel) {
            v |= BIT(21);              /* x2APIC                              */
            if (kvm->tsc_deadline) {
                v |= BIT(24);
            }
        } else {
            v &= ~(BIT(21) | BIT(24));
        }
        v &= ~BIT(3);                  /* MONITOR needs exits switched off    */
        break;
    case FW_6_EAX:
        v |= BIT(2);                   /* ARAT                                */
        break;
    case FW_7_EDX:
        v &= ~(BIT(22) | BIT(24) | BIT(25));           /* AMX                 */
        if (!kvm_feature_msr(0x10a)) {
            v &= ~BIT(29);
        }
        break;
    case FW_XSAVE:
        v &= ~BIT(4);                  /* XFD belongs to AMX                  */
        break;
    case FW_XSAVE_XCR0_LO:
        v &= ~(BIT(17) | BIT(18));
        break;
    case FW_8000_0001_ECX:
        kvm_host_cpuid(0x80000001, 0, l);
        v |= l[3] & BIT(29) ? BIT(0) : 0;              /* LAHF in 64-bit mode */
        break;
    case FW_8000_0001_EDX:
        /* Intel's KVM hides SYSCALL outside 64-bit mode; the guest has it. */
        v |= v & BIT(29) ? BIT(11) : 0;
        break;
    case FW_KVM:
        if (!accel_irq.apic_in_kernel) {
            v &= ~(BIT(KVM_FEATURE_PV_UNHALT) | BIT(KVM_FEATURE_ASYNC_PF_INT) |
                   BIT(KVM_FEATURE_PV_SEND_IPI));
        }
        break;
    }
    return v;
}

uint64_t kvm_cpu_features(unsigned word, bool migratable)
{
    const X86WordSource *s = x86_word(word);
    uint32_t out[4];

    if (s->msr) {
        return msr_word(s);
    }
    kvm_host_cpuid(s->leaf, s->sub, out);
    return word_fixed(word, out[s->reg]);
}

bool kvm_cpuid_set(const KvmCpu *k, Error **errp)
{
    const X86Cpu *c = x86_cpu(k->cpu);
    struct kvm_cpuid2 *t = g_malloc0(sizeof(*t) +
                                     c->ncpuid * sizeof(t->entries[0]));
    int err;

    for (unsigned i = 0; i < c->ncpuid; i++) {
        const X86CpuidLeaf *l = &c->cpuid[i];

        t->entries[i] = (struct kvm_cpuid_entry2){
            .function = l->leaf, .index = l->sub,
            .flags = l->has_sub ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
            .eax = l->eax, .ebx = l->ebx, .ecx = l->ecx, .edx = l->edx,
        };
    }
    t->nent = c->ncpuid;
    err = kvm_ioctl(k->fd, KVM_SET_CPUID2, t);
    g_free(t);
    return err >= 0 || error_set(errp, "CPU %u: the host refused the CPUID "
                                 "table: %s", c->cpu.index, strerror(-err));
}
