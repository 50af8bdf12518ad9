/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hyperv.c - Hyper-V enlightenments that KVM gives: which there are, switching
 * them on for a vCPU, and what of them comes out of the kernel (Linux KVM API:
 * KVM_GET_SUPPORTED_HV_CPUID, KVM_CAP_HYPERV_*, KVM_EXIT_HYPERV; Microsoft
 * "Hypervisor Top Level Functional Specification" 6.0b, 11.10 on the pages of the
 * synthetic interrupt controller, appendix A and B on hypercalls).
 *
 * Thread class: MACHINE_CALL; kvm_hyperv_exit the vCPU's thread, without the
 * machine lock.
 *
 * 1. A kernel that does not tell its enlightenments (before 5.1) has none here.
 * 2. The two pages of a synthetic interrupt controller lie over the guest's RAM
 *    while their MSRs say so; a reset takes them away and clears them.
 * 3. There is no VMBus: messages and signals find no connection.
 */
#include <errno.h>
#include <glib.h>
#include <unistd.h>
#include "kvm.h"
#include "runstate.h"

enum {
    MSR_VP_INDEX = 0x40000002, MSR_SCONTROL = 0x40000080,
    MSR_SVERSION = 0x40000081, MSR_SIEFP = 0x40000082, MSR_SIMP = 0x40000083,
};
enum {
    HCALL_POST_MESSAGE = 0x5c, HCALL_SIGNAL_EVENT = 0x5d,
    HCALL_FAST = 1 << 16,
    CONNECTION_MASK = 0xffffff,
};
enum {
    HV_INVALID_CODE = 2, HV_INVALID_PARAMETER = 3, HV_INVALID_ALIGNMENT = 4,
    HV_INSUFFICIENT_MEMORY = 11, HV_INVALID_PORT = 17,
    HV_INVALID_CONNECTION = 18,
};
#define HV_PAGE 0x1000
#define MESSAGE_SIZE 256               /* of HvPostMessage's input            */

struct KvmSynic {
    MemRegion page[2];                 /* of events (SIEFP), messages (SIMP)  */
    char name[2][32];
    bool mapped[2];
};

/* ---- what there is ------------------------------------------------------- */

static bool hv_ask(int fd, struct kvm_cpuid2 **out)
{
    enum { ROOM = 64 };
    struct kvm_cpuid2 *c = g_malloc0(sizeof(*c) +
                                     ROOM * sizeof(c->entries[0]));

    c->nent = ROOM;
    if (kvm_ioctl(fd, KVM_GET_SUPPORTED_HV_CPUID, c) < 0) {
        g_free(c);
        return false;
    }
    *out = c;
    return true;
}

/* Kernels before 5.11 tell it of a vCPU only: one that is never run. */
static bool hv_ask_vcpu(struct kvm_cpuid2 **out)
{
    int vm = kvm_ioctl_n(kvm->fd, KVM_CREATE_VM, 0);
    int cpu = vm >= 0 ? kvm_ioctl_n(vm, KVM_CREATE_VCPU, 0) : -1;
    bool ok = cpu >= 0 && hv_ask(cpu, out);

    if (cpu >= 0) {
        close(cpu);
    }
    if (vm >= 0) {
        close(vm);
    }
    return ok;
}

static bool hv_probe(void)
{
    if (kvm->hv_probed) {
        return kvm->hv_cpuid != NULL;
    }
    kvm->hv_probed = true;
    return kvm_cap(KVM_CAP_HYPERV) && kvm_cap(KVM_CAP_HYPERV_CPUID) &&
           (kvm_cap(KVM_CAP_SYS_HYPERV_CPUID)
            ? hv_ask(kvm->fd, &kvm->hv_cpuid) : hv_ask_vcpu(&kvm->hv_cpuid));
}

bool kvm_hyperv_leaf(uint32_t leaf, uint32_t out[4])
{
    if (!hv_probe()) {
        return false;
    }
    for (uint32_t i = 0; i < kvm->hv_cpuid->nent; i++) {
        const struct kvm_cpuid_entry2 *e = &kvm->hv_cpuid->entries[i];

        if (e->function == leaf) {
            out[0] = e->eax;
            out[1] = e->ebx;
            out[2] = e->ecx;
            out[3] = e->edx;
        }
    }
    return true;
}

/* ---- the pages of the synthetic interrupt controller --------------------- */

static MACHINE_CALL bool synic_make(KvmCpu *k, Error **errp)
{
    static const char *const names[] = { "event", "msg" };
    struct KvmSynic *s = g_new0(struct KvmSynic, 1);

    for (unsigned i = 0; i < 2; i++) {
        snprintf(s->name[i], sizeof(s->name[i]), "synic-%u-%s-page",
                 k->cpu->index, names[i]);
        if (!mem_init_ram(&s->page[i], s->name[i], HV_PAGE, errp)) {
            if (i) {
                mem_fini(&s->page[0]);
            }
            g_free(s);
            return false;
        }
    }
    k->synic = s;
    return true;
}

/* msr: SIEFP or SIMP; bit 0 enables the page at its address. */
static void synic_map(struct KvmSynic *s, unsigned i, uint64_t msr) MACHINE_CALL;
static void synic_map(struct KvmSynic *s, unsigned i, uint64_t msr)
{
    uint64_t at = msr & ~(uint64_t)(HV_PAGE - 1);
    bool on = msr & 1;

    if (on == s->mapped[i] && (!on || s->page[i].addr == at)) {
        return;
    }
    mem_begin();
    if (s->mapped[i]) {
        mem_remove(mem_system.root, &s->page[i]);
    }
    if (on) {
        mem_add_prio(mem_system.root, at, &s->page[i], 1);
    }
    s->mapped[i] = on;
    mem_commit();
}

void kvm_hyperv_reset(KvmCpu *k)
{
    const X86HvRegs *r = &x86_cpu(k->cpu)->regs.hv;

    if (k->synic) {
        synic_map(k->synic, 0, r->siefp);
        synic_map(k->synic, 1, r->simp);
        for (unsigned i = 0; i < 2; i++) {
            if (!k->synic->mapped[i]) {
                memset(k->synic->page[i].ram->host, 0, HV_PAGE);
            }
        }
    }
}

void kvm_hyperv_fini(KvmCpu *k)
{
    if (k->synic) {
        for (unsigned i = 0; i < 2; i++) {
            synic_map(k->synic, i, 0);
            mem_fini(&k->synic->page[i]);
        }
        g_free(k->synic);
        k->synic = NULL;
    }
}

/* ---- switching on -------------------------------------------------------- */

static MACHINE_CALL bool synic_enable(KvmCpu *k, bool kvm_only, Error **errp)
{
    int err = kvm_enable_cap(k->fd, kvm_only ? KVM_CAP_HYPERV_SYNIC
                                             : KVM_CAP_HYPERV_SYNIC2, 0, 0);

    if (err < 0) {
        return error_set(errp, "failed to turn on HyperV SynIC in KVM: %s",
                         strerror(-err));
    }
    kvm_msr_write(k, MSR_SVERSION, 1);
    return kvm_only || synic_make(k, errp);
}

static bool vp_index_set(const KvmCpu *k, Error **errp)
{
    if (!kvm_cap(KVM_CAP_HYPERV_VP_INDEX) ||
        kvm_msr_write(k, MSR_VP_INDEX, k->cpu->index) < 0) {
        return error_set(errp, "kernel doesn't allow setting HyperV VP_INDEX");
    }
    return true;
}

/* Version 1 of the enlightened VMCS is what there is; it goes into leaf 10. */
static bool evmcs_enable(const KvmCpu *k, Error **errp)
{
    X86Cpu *c = x86_cpu(k->cpu);
    uint16_t v = 0;
    int err = kvm_enable_cap(k->fd, KVM_CAP_HYPERV_ENLIGHTENED_VMCS,
                             (uintptr_t)&v, 0);

    if (err < 0) {
        return error_set(errp, "failed to enable Hyper-V enlightened VMCS: %s",
                         strerror(-err));
    }
    if ((v & 0xff) > 1 || v >> 8 < 1) {
        return error_set(errp, "eVMCS version range [1..1] is not supported by "
                         "kernel (supported: [%d..%d])", v & 0xff, v >> 8);
    }
    for (unsigned i = 0; i < c->ncpuid; i++) {
        if (c->cpuid[i].leaf == 0x4000000a) {
            c->cpuid[i].eax |= v;
        }
    }
    return true;
}

bool kvm_hyperv_init(KvmCpu *k, Error **errp)
{
    const X86Hyperv *h = &x86_cpu(k->cpu)->hyperv;
    int err = 0;

    if (!h->on) {
        return true;
    }
    if ((h->features & 1u << HV_VPINDEX && !vp_index_set(k, errp)) ||
        (h->features & 1u << HV_SYNIC &&
         !synic_enable(k, h->synic_kvm_only, errp)) ||
        (h->features & 1u << HV_EVMCS && !evmcs_enable(k, errp))) {
        return false;
    }
    if (h->enforce) {
        err = kvm_enable_cap(k->fd, KVM_CAP_HYPERV_ENFORCE_CPUID, 1, 0);
    }
    return err >= 0 || error_set(errp, "failed to enable "
                                 "KVM_CAP_HYPERV_ENFORCE_CPUID: %s",
                                 strerror(-err));
}

/* ---- exits --------------------------------------------------------------- */

static bool exit_synic(KvmCpu *k, const struct kvm_hyperv_exit *e)
{
    if (!k->synic || e->u.synic.msr < MSR_SCONTROL ||
        e->u.synic.msr > MSR_SIMP) {
        return false;
    }
    machine_lock();
    if (e->u.synic.msr == MSR_SIEFP) {
        synic_map(k->synic, 0, e->u.synic.evt_page);
    } else if (e->u.synic.msr == MSR_SIMP) {
        synic_map(k->synic, 1, e->u.synic.msg_page);
    }
    machine_unlock();
    return true;
}

static bool input_ok(uint64_t at, void *to, size_t n)
{
    return mem_read(&mem_system, at, to, n, MEM_ATTRS_NONE) == MEM_OK;
}

static uint16_t post_message(uint64_t input, uint64_t at)
{
    uint8_t message[MESSAGE_SIZE];

    if (input & HCALL_FAST) {
        return HV_INVALID_CODE;
    }
    if (at & 3) {
        return HV_INVALID_ALIGNMENT;
    }
    if (!input_ok(at, message, sizeof(message))) {
        return HV_INSUFFICIENT_MEMORY;
    }
    return ld_le32(message + 12) > MESSAGE_SIZE - 16 ? HV_INVALID_PARAMETER
                                                     : HV_INVALID_CONNECTION;
}

static uint16_t signal_event(uint64_t input, uint64_t param)
{
    uint8_t raw[8];

    if (!(input & HCALL_FAST)) {
        if (param & 7) {
            return HV_INVALID_ALIGNMENT;
        }
        if (!input_ok(param, raw, sizeof(raw))) {
            return HV_INSUFFICIENT_MEMORY;
        }
        param = ld_le64(raw);
    }
    if (param & 0xffff00000000ull) {   /* flag numbers begin at 0             */
        return HV_INVALID_PORT;
    }
    return param & ~(uint64_t)CONNECTION_MASK ? HV_INVALID_PARAMETER
                                              : HV_INVALID_CONNECTION;
}

static void exit_hcall(struct kvm_hyperv_exit *e)
{
    uint64_t input = e->u.hcall.input;

    switch (input & 0xffff) {
    case HCALL_POST_MESSAGE:
        e->u.hcall.result = post_message(input, e->u.hcall.params[0]);
        break;
    case HCALL_SIGNAL_EVENT:
        e->u.hcall.result = signal_event(input, e->u.hcall.params[0]);
        break;
    default:
        e->u.hcall.result = HV_INVALID_CODE;
        break;
    }
}

bool kvm_hyperv_exit(Cpu *cpu)
{
    KvmCpu *k = kvm_cpu(cpu);
    struct kvm_hyperv_exit *e = &k->run->hyperv;

    switch (e->type) {
    case KVM_EXIT_HYPERV_SYNIC:
        return exit_synic(k, e);
    case KVM_EXIT_HYPERV_HCALL:
        exit_hcall(e);
        return true;
    case KVM_EXIT_HYPERV_SYNDBG:
        /* Nobody debugs: there is nothing to send or to receive. */
        e->u.syndbg.status = 0;
        return x86_cpu(cpu)->hyperv.features & 1u << HV_SYNDBG;
    }
    return false;
}
