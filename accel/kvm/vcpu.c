/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vcpu.c - a vCPU of KVM: creation, the run loop, kicks, interrupts that Tern's
 * own controllers deliver (kernel-irqchip=off and split).
 * (Linux KVM API: KVM_CREATE_VCPU, KVM_RUN, KVM_INTERRUPT, KVM_NMI, KVM_SMI.)
 *
 * Thread class: the vCPU's thread; kvm_cpu_kick any thread.
 *
 * 1. Only KVM_RUN lies between cpu_guest_enter and cpu_guest_leave, so that
 *    an exclusive section may begin with the machine lock held.
 * 2. A kick sets a reason (exit_request, interrupt), then sends SIGUSR1. The
 *    handler sets immediate_exit, so that a signal just before KVM_RUN is not
 *    lost; it is cleared after KVM_RUN, before the reasons are looked at.
 * 3. X86Regs are the truth while `valid`; they are put back before KVM_RUN.
 * 4. The loop is left only after KVM_RUN was interrupted or reported something
 *    that needs no completion: no half-done access is ever saved or reset over.
 */
#include <errno.h>
#include <glib.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "kvm.h"
#include "pc.h"

#define KICK_SIGNAL SIGUSR1

/* ---- kicks --------------------------------------------------------------- */

static void kick_arrived(int sig)
{
    const Cpu *cpu = cpu_current;

    if (cpu && cpu->accel) {
        __atomic_store_n(&kvm_cpu(cpu)->run->immediate_exit, 1,
                         __ATOMIC_SEQ_CST);
    }
}

void kvm_signals_init(void)
{
    struct sigaction sa = { .sa_handler = kick_arrived };

    sigaction(KICK_SIGNAL, &sa, NULL);
}

void kvm_cpu_kick(Cpu *cpu)
{
    KvmCpu *k = __atomic_load_n((KvmCpu **)&cpu->accel, __ATOMIC_ACQUIRE);

    if (!k) {
        return;
    }
    if (cpu == cpu_current) {
        __atomic_store_n(&k->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
    } else if (!__atomic_exchange_n(&k->kicked, true, __ATOMIC_SEQ_CST)) {
        syscall(SYS_tgkill, getpid(), k->tid, KICK_SIGNAL);
    }
}

/* ---- creation ------------------------------------------------------------ */

static void kick_unblock(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, KICK_SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* With a local APIC in the kernel HLT and the wait for a start-up IPI are the
 * kernel's: the vCPU is always inside. */
static bool has_work_in_kernel(const Cpu *cpu)
{
    return true;
}

/* Interrupt controllers in Tern: what the last exit said of IF. */
static bool has_work_in_tern(const Cpu *cpu)
{
    unsigned in = __atomic_load_n(&cpu->interrupt, __ATOMIC_SEQ_CST);

    return (in & ~CPU_INT_HARD) ||
           ((in & CPU_INT_HARD) && kvm_cpu(cpu)->if_flag);
}

static void cpu_setup_optional(KvmCpu *k)
{
    uint64_t mcg = kvm->mcg_cap & ~0xffull;

    if (kvm->mcg && x86_mce_banks(x86_cpu(k->cpu))) {
        /* Ten banks and what the host offers of SER_P, CMCI stays out. */
        mcg = (kvm->mcg_cap & (1ull << 24 | 1ull << 8)) | X86_MCE_BANKS;
        if (kvm_ioctl(k->fd, KVM_X86_SETUP_MCE, &mcg) < 0) {
            kvm_refused("the host refused KVM_X86_SETUP_MCE");
        }
        x86_cpu(k->cpu)->regs.mcg_cap = mcg;
    }
}

static void cpu_setup_tsc(KvmCpu *k)
{
    int khz = kvm->tsc_khz ? kvm_ioctl_n(k->fd, KVM_GET_TSC_KHZ, 0) : 0;
    int64_t wish = x86_cpu(k->cpu)->tsc_khz;

    if (wish && khz > 0 && wish != khz &&
        (!kvm_cap(KVM_CAP_TSC_CONTROL) ||
         kvm_ioctl_n(k->fd, KVM_SET_TSC_KHZ, wish) < 0)) {
        kvm_refused("TSC frequency mismatch between VM (%" PRId64 " kHz) and "
                    "host (%d kHz), and TSC scaling unavailable: the guest "
                    "gets the host's", wish, khz);
        wish = 0;
    }
    if (k->cpu->index == 0 && (wish || khz > 0)) {
        x86_tsc_hz_set((wish ? wish : khz) * 1000ull);
    }
}

/* KVM keeps a vCPU as long as its VM: one that was unplugged waits for the next
 * of its APIC id. */
static int parked_take(uint32_t id)
{
    for (unsigned i = 0; kvm->parked && i < kvm->parked->len; i++) {
        KvmParked *p = &g_array_index(kvm->parked, KvmParked, i);
        int fd = p->fd;

        if (p->apic_id == id) {
            g_array_remove_index_fast(kvm->parked, i);
            return fd;
        }
    }
    return kvm_ioctl_n(kvm->vm, KVM_CREATE_VCPU, id);
}

static void park(uint32_t id, int fd)
{
    KvmParked p = { id, fd };

    if (!kvm->parked) {
        kvm->parked = g_array_new(FALSE, FALSE, sizeof(KvmParked));
    }
    g_array_append_val(kvm->parked, p);
}

/* All but the dirty ring. */
static void cpu_free(Cpu *cpu, KvmCpu *k)
{
    munmap(k->run, kvm->run_size);
    if (k->stats >= 0) {
        close(k->stats);
    }
    park(x86_cpu(cpu)->apic_id, k->fd);
    g_aligned_free(k->xsave);
    g_free(k);
}

bool kvm_cpu_init(Cpu *cpu, Error **errp)
{
    X86Cpu *c = x86_cpu(cpu);
    KvmCpu *k = g_new0(KvmCpu, 1);

    k->cpu = cpu;
    k->tid = cpu->thread_id;
    k->fd = parked_take(c->apic_id);
    if (k->fd < 0) {
        error_set(errp, "CPU %u: KVM_CREATE_VCPU failed: %s", cpu->index,
                  strerror(-k->fd));
        g_free(k);
        return false;
    }
    k->run = mmap(NULL, kvm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED,
                  k->fd, 0);
    if (k->run == MAP_FAILED) {
        error_set(errp, "CPU %u: its KVM page cannot be mapped: %s",
                  cpu->index, strerror(errno));
        park(c->apic_id, k->fd);
        g_free(k);
        return false;
    }
    k->stats = kvm_ioctl_n(k->fd, KVM_GET_STATS_FD, 0);
    if (kvm->xsave_size) {
        k->xsave = g_aligned_alloc0(1, kvm->xsave_size, 4096);
    }
    cpu_setup_optional(k);
    if (!kvm_ring_map(k, errp) || !kvm_hyperv_init(k, errp) ||
        !kvm_cpuid_set(k, errp)) {
        kvm_hyperv_fini(k);
        kvm_ring_unmap(k);
        cpu_free(cpu, k);
        return false;
    }
    cpu_setup_tsc(k);
    kvm_feature_msrs_put(k);
    k->valid = k->full = true;
    cpu->has_work = accel_irq.apic_in_kernel ? has_work_in_kernel
                                             : has_work_in_tern;
    __atomic_store_n((KvmCpu **)&cpu->accel, k, __ATOMIC_RELEASE);
    kick_unblock();
    return true;
}

void kvm_cpu_fini(Cpu *cpu)
{
    KvmCpu *k = kvm_cpu(cpu);
    sigset_t set;

    sigfillset(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    __atomic_store_n((KvmCpu **)&cpu->accel, NULL, __ATOMIC_RELEASE);
    kvm_hyperv_fini(k);
    kvm_ring_unmap(k);
    cpu_free(cpu, k);
}

/* ---- interrupts from Tern's own controllers ------------------------------ */

static unsigned interrupts_pending(const Cpu *cpu)
{
    return __atomic_load_n(&cpu->interrupt, __ATOMIC_SEQ_CST);
}

static void inject_intr(Cpu *cpu) MACHINE_CALL;
static void inject_intr(Cpu *cpu)
{
    KvmCpu *k = kvm_cpu(cpu);
    struct kvm_interrupt irq;
    int vector;

    if (!(interrupts_pending(cpu) & CPU_INT_HARD) ||
        !k->run->ready_for_interrupt_injection || !k->run->if_flag) {
        return;
    }
    vector = x86_irq_ack(x86_cpu(cpu));
    if (vector >= 0) {
        irq.irq = vector;
        if (kvm_ioctl(k->fd, KVM_INTERRUPT, &irq) < 0) {
            kvm_refused("an interrupt was lost: KVM_INTERRUPT refused");
        }
    }
}

/* INIT and SIPI of a software local APIC. */
static void take_init(Cpu *cpu) MACHINE_CALL;
static void take_init(Cpu *cpu)
{
    if (interrupts_pending(cpu) & (CPU_INT_INIT | CPU_INT_SIPI)) {
        kvm_cpu_get(cpu);
        apic_attend(x86_cpu(cpu));
    }
}

static void pre_run(Cpu *cpu) MACHINE_CALL;
static void pre_run(Cpu *cpu)
{
    KvmCpu *k = kvm_cpu(cpu);
    unsigned pending = interrupts_pending(cpu);

    if (pending & CPU_INT_NMI) {
        cpu_interrupt_clear(cpu, CPU_INT_NMI);
        if (kvm_ioctl(k->fd, KVM_NMI, NULL) < 0) {
            kvm_refused("an NMI was lost: KVM_NMI refused");
        }
    }
    if (pending & CPU_INT_SMI) {
        cpu_interrupt_clear(cpu, CPU_INT_SMI);
        if (kvm_ioctl(k->fd, KVM_SMI, NULL) < 0) {
            kvm_refused("the host's KVM has no system management mode: an "
                        "SMI was lost");
        }
    }
    cpu_interrupt_clear(cpu, CPU_INT_POLL | CPU_INT_A20);
    if (!accel_irq.pic_in_kernel) {
        if (!accel_irq.apic_in_kernel) {
            take_init(cpu);
            if (x86_cpu(cpu)->apic) {
                k->run->cr8 = apic_tpr_get(x86_cpu(cpu));
            }
        }
        inject_intr(cpu);
        k->run->request_interrupt_window =
            (interrupts_pending(cpu) & CPU_INT_HARD) != 0;
    }
}

static bool pre_run_needed(const Cpu *cpu)
{
    return !accel_irq.pic_in_kernel || interrupts_pending(cpu);
}

static void post_run(Cpu *cpu)
{
    KvmCpu *k = kvm_cpu(cpu);
    X86Cpu *c = x86_cpu(cpu);

    if (accel_irq.pic_in_kernel) {
        return;
    }
    k->if_flag = k->run->if_flag;
    if (!accel_irq.apic_in_kernel && c->apic &&
        k->run->cr8 != apic_tpr_get(c)) {
        machine_lock();
        apic_tpr_set(c, k->run->cr8);
        machine_unlock();
    }
}

/* ---- the run loop -------------------------------------------------------- */

/* KVM_RUN once. Returns 0 or -errno. */
static int kvm_run_once(Cpu *cpu)
{
    KvmCpu *k = kvm_cpu(cpu);
    int r;

    cpu_guest_enter(cpu);
    if (cpu_should_leave(cpu)) {
        __atomic_store_n(&k->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
    }
    r = ioctl(k->fd, KVM_RUN, 0) < 0 ? -errno : 0;
    __atomic_store_n(&k->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&k->kicked, false, __ATOMIC_SEQ_CST);
    cpu_guest_leave(cpu);
    return r;
}

static void run_failed(Cpu *cpu, int err)
{
    machine_lock();
    fprintf(stderr, "error: kvm run failed %s\n", strerror(err));
    kvm_internal_error(cpu, "KVM_RUN failed");
    machine_unlock();
}

/* The banks were changed here (the registers are still valid): KVM gets them,
 * and with them the exception. */
static void take_machine_check(Cpu *cpu)
{
    X86Regs *r = &x86_cpu(cpu)->regs;

    machine_lock();
    cpu_interrupt_clear(cpu, CPU_INT_MCE);
    r->mce_dirty = 0;
    kvm_mce_put(x86_cpu(cpu));
    if (r->mce_pending) {
        r->mce_pending = 0;
        r->exc_injected = 1;
        r->exc_pending = r->exc_has_error = 0;
        r->exc_nr = 18;
        if (r->mp_state == KVM_MP_STATE_HALTED) {
            r->mp_state = KVM_MP_STATE_RUNNABLE;
        }
    }
    machine_unlock();
}

/* Brings KVM up to date before KVM_RUN. */
static void prepare(Cpu *cpu)
{
    KvmCpu *k = kvm_cpu(cpu);

    if (k->valid && x86_cpu(cpu)->regs.mce_dirty) {
        take_machine_check(cpu);
    }
    if (k->valid) {
        kvm_cpu_put(cpu, k->full);
    }
    if (pre_run_needed(cpu)) {
        machine_lock();
        pre_run(cpu);
        machine_unlock();
        if (k->valid) {
            kvm_cpu_put(cpu, k->full);
        }
    }
}

/*
 * Runs without the machine lock until something wants the vCPU outside. KVM
 * finishes an instruction that came out for an access only when it is entered
 * again; so the loop ends only after an entry that was interrupted.
 */
static void run_unlocked(Cpu *cpu)
{
    const KvmCpu *k = kvm_cpu(cpu);

    for (;;) {
        int r;

        prepare(cpu);
        r = kvm_run_once(cpu);
        post_run(cpu);
        if (r == -EINTR || r == -EAGAIN) {
            /* EAGAIN: an INIT took the vCPU out of its first sleep. */
            if (cpu_should_leave(cpu)) {
                return;
            }
        } else if (r < 0 && !(r == -EFAULT &&
                              k->run->exit_reason == KVM_EXIT_SHUTDOWN)) {
            run_failed(cpu, -r);
            return;
        } else if (!kvm_handle_exit(cpu)) {
            return;
        }
    }
}

void kvm_cpu_exec(Cpu *cpu)
{
    if (cpu->halted && !accel_irq.apic_in_kernel) {
        if (cpu->has_work && !cpu->has_work(cpu)) {
            return;
        }
        cpu->halted = false;
    }
    machine_unlock();
    run_unlocked(cpu);
    machine_lock();
}
