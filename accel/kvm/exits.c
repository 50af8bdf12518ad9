/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * exits.c - why KVM_RUN returned: port and memory accesses, HLT, shut-down,
 * internal errors. (Linux KVM API, "5. The kvm_run structure".)
 *
 * Thread class: the vCPU's thread, without the machine lock; what needs it takes
 * it. kvm_internal_error is MACHINE_CALL.
 *
 * 1. Whatever the kernel reports, the program goes on: an exit that Tern does
 *    not know stops the machine in state internal-error, with the registers and
 *    the instruction's bytes on stderr.
 * 2. Writes that KVM has batched come before the access at hand.
 */
#include <errno.h>
#include <glib.h>
#include <inttypes.h>
#include "kvm.h"
#include "runstate.h"
#include "trace.h"

#ifndef KVM_EXIT_MEMORY_FAULT
# define KVM_EXIT_MEMORY_FAULT 39
#endif

static MemAttrs cpu_attrs(const struct kvm_run *run)
{
    return (MemAttrs){ .smm = (run->flags & KVM_RUN_X86_SMM) != 0 };
}

/* ---- accesses ------------------------------------------------------------ */

static uint64_t ld_sized(const uint8_t *p, unsigned size)
{
    return size == 1 ? *p : size == 2 ? ld_le16(p)
         : size == 4 ? ld_le32(p) : ld_le64(p);
}

static void st_sized(uint8_t *p, unsigned size, uint64_t v)
{
    if (size == 1) {
        *p = v;
    } else if (size == 2) {
        st_le16(p, v);
    } else if (size == 4) {
        st_le32(p, v);
    } else {
        st_le64(p, v);
    }
}

static void flush_batched(const Cpu *cpu)
{
    if (kvm_coalesced_pending(cpu)) {
        machine_lock();
        kvm_coalesced_flush();
        machine_unlock();
    }
}

static bool exit_io(const Cpu *cpu, const struct kvm_run *run)
{
    uint8_t *p = (uint8_t *)run + run->io.data_offset;
    unsigned size = run->io.size;
    MemAttrs attrs = cpu_attrs(run);

    flush_batched(cpu);
    for (uint32_t i = 0; i < run->io.count; i++, p += size) {
        uint64_t v = ~0ull;

        if (run->io.direction == KVM_EXIT_IO_IN) {
            mem_load(&mem_io, run->io.port, size, &v, attrs);
            st_sized(p, size, v);
        } else {
            mem_store(&mem_io, run->io.port, size, ld_sized(p, size), attrs);
        }
    }
    return true;
}

static bool exit_mmio(const Cpu *cpu, struct kvm_run *run)
{
    uint32_t len = MIN2(run->mmio.len, sizeof(run->mmio.data));
    MemAttrs attrs = cpu_attrs(run);
    uint64_t v = ~0ull;

    flush_batched(cpu);
    if (!IS_POW2(len)) {
        if (run->mmio.is_write) {
            mem_write(&mem_system, run->mmio.phys_addr, run->mmio.data, len,
                      attrs);
        } else {
            memset(run->mmio.data, 0xff, len);
            mem_read(&mem_system, run->mmio.phys_addr, run->mmio.data, len,
                     attrs);
        }
    } else if (run->mmio.is_write) {
        mem_store(&mem_system, run->mmio.phys_addr, len,
                  ld_sized(run->mmio.data, len), attrs);
    } else {
        mem_load(&mem_system, run->mmio.phys_addr, len, &v, attrs);
        st_sized(run->mmio.data, len, v);
    }
    return true;
}

/* ---- errors -------------------------------------------------------------- */

static void dump_seg(const char *name, const X86Seg *s)
{
    fprintf(stderr, "%-3s=%04x %016" PRIx64 " %08x %04x\n", name, s->sel,
            s->base, s->limit, s->attr);
}

static void dump_code(X86Cpu *c) MACHINE_CALL;
static void dump_code(X86Cpu *c)
{
    uint64_t first = c->regs.seg[X86_CS].base + c->regs.rip;

    fprintf(stderr, "Code=");
    for (int i = -16; i < 32; i++) {
        uint64_t pa;
        uint8_t b;

        if (x86_gva2gpa(c, first + i, &pa) &&
            mem_read(&mem_system, pa, &b, 1, MEM_ATTRS_NONE) == MEM_OK) {
            fprintf(stderr, i == 0 ? "<%02x>%s" : "%02x%s", b,
                    i < 31 ? " " : "");
        } else {
            fprintf(stderr, i == 0 ? "<--> " : "-- ");
        }
    }
    fprintf(stderr, "\n");
}

static void dump_cpu(X86Cpu *c) MACHINE_CALL;
static void dump_cpu(X86Cpu *c)
{
    static const char *const gpr[] = {
        "RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
        "R8 ", "R9 ", "R10", "R11", "R12", "R13", "R14", "R15",
    };
    static const char *const seg[] = { "ES", "CS", "SS", "DS", "FS", "GS" };
    const X86Regs *r = &c->regs;

    for (int i = 0; i < 16; i++) {
        fprintf(stderr, "%s=%016" PRIx64 "%s", gpr[i], r->gpr[i],
                i % 4 == 3 ? "\n" : " ");
    }
    fprintf(stderr, "RIP=%016" PRIx64 " RFL=%08" PRIx64 "\n", r->rip,
            r->rflags);
    for (int i = 0; i < X86_SEG_COUNT; i++) {
        dump_seg(seg[i], &r->seg[i]);
    }
    dump_seg("LDT", &r->ldt);
    dump_seg("TR", &r->tr);
    fprintf(stderr, "GDT=     %016" PRIx64 " %08x\n"
            "IDT=     %016" PRIx64 " %08x\n", r->gdt.base, r->gdt.limit,
            r->idt.base, r->idt.limit);
    fprintf(stderr, "CR0=%08" PRIx64 " CR2=%016" PRIx64 " CR3=%016" PRIx64
            " CR4=%08" PRIx64 "\nEFER=%016" PRIx64 "\n", r->cr0, r->cr2,
            r->cr3, r->cr4, r->efer);
    dump_code(c);
}

void kvm_internal_error(Cpu *cpu, const char *what)
{
    kvm_cpu_get(cpu);
    dump_cpu(x86_cpu(cpu));
    fflush(stderr);
    LOG(LOG_ACCEL, "kvm: CPU %u: %s, RIP %#" PRIx64 "\n", cpu->index, what,
        x86_cpu(cpu)->regs.rip);
    cpu->crash = true;
    request_stop(RS_INTERNAL_ERROR);
    cpu_stop_self();
}

static void stop_with(Cpu *cpu, const char *what)
{
    machine_lock();
    kvm_internal_error(cpu, what);
    machine_unlock();
}

static bool exit_internal(Cpu *cpu, const struct kvm_run *run)
{
    uint32_t n = MIN2(run->internal.ndata, ARRAY_SIZE(run->internal.data));

    fprintf(stderr, "KVM internal error. Suberror: %u\n",
            run->internal.suberror);
    for (uint32_t i = 0; i < n; i++) {
        fprintf(stderr, "extra data[%u]: 0x%016llx\n", i,
                (unsigned long long)run->internal.data[i]);
    }
    if (run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION) {
        fprintf(stderr, "emulation failure\n");
    }
    stop_with(cpu, "KVM internal error");
    return false;
}

static bool exit_fail_entry(Cpu *cpu, const struct kvm_run *run)
{
    uint64_t reason = run->fail_entry.hardware_entry_failure_reason;

    fprintf(stderr, "KVM: entry failed, hardware error 0x%" PRIx64 "\n",
            reason);
    stop_with(cpu, "entry to the guest failed");
    return false;
}

/* ---- the rest ------------------------------------------------------------ */

static bool exit_shutdown(void)
{
    machine_lock();
    request_reset(WHY_GUEST_RESET);
    cpu_stop_self();
    machine_unlock();
    return false;
}

/* Only without a local APIC in the kernel. */
static bool exit_hlt(Cpu *cpu, const struct kvm_run *run)
{
    unsigned pending = __atomic_load_n(&cpu->interrupt, __ATOMIC_SEQ_CST);

    if ((pending & CPU_INT_HARD && run->if_flag) ||
        (pending & (CPU_INT_NMI | CPU_INT_SMI | CPU_INT_INIT))) {
        return true;
    }
    machine_lock();
    cpu->halted = true;
    machine_unlock();
    return false;
}

static bool exit_system_event(Cpu *cpu, const struct kvm_run *run)
{
    machine_lock();
    switch (run->system_event.type) {
    case KVM_SYSTEM_EVENT_SHUTDOWN:
        request_shutdown(WHY_GUEST_SHUTDOWN);
        cpu_stop_self();
        break;
    case KVM_SYSTEM_EVENT_RESET:
        request_reset(WHY_GUEST_RESET);
        cpu_stop_self();
        break;
    case KVM_SYSTEM_EVENT_CRASH:
        kvm_cpu_get(cpu);
        if (x86_cpu(cpu)->hyperv.features & 1u << HV_CRASH) {
            guest_panicked_hyperv(x86_cpu(cpu)->regs.hv.crash);
        } else {
            guest_panicked(1, NULL);
        }
        break;
    default:
        guest_fault("kvm", "system event %u", run->system_event.type);
        break;
    }
    machine_unlock();
    return false;
}

static bool exit_eoi(const struct kvm_run *run)
{
    machine_lock();
    if (accel_ioapic_eoi) {
        accel_ioapic_eoi(run->eoi.vector);
    }
    machine_unlock();
    return true;
}

static bool exit_debug(Cpu *cpu)
{
    bool mine;

    machine_lock();
    mine = kvm_debug_exit(cpu);
    if (mine) {
        request_debug();
        cpu_stop_self();
    }
    machine_unlock();
    return !mine;
}

static bool exit_ring_full(void)
{
    machine_lock();
    kvm_ring_reap();
    machine_unlock();
    return true;
}

static bool exit_msr(struct kvm_run *run)
{
    guest_fault("kvm", "%s of MSR %#x", run->exit_reason == KVM_EXIT_X86_RDMSR
                ? "read" : "write", run->msr.index);
    run->msr.error = 1;                /* #GP                                 */
    return true;
}

static bool exit_notice(Cpu *cpu, const struct kvm_run *run)
{
    if (run->notify.flags & KVM_NOTIFY_CONTEXT_INVALID ||
        kvm->notify_vmexit == 1) {
        fprintf(stderr, "KVM: the guest kept events out for too long\n");
        stop_with(cpu, "notify exit");
        return false;
    }
    return true;
}

bool kvm_handle_exit(Cpu *cpu)
{
    struct kvm_run *run = kvm_cpu(cpu)->run;

    switch (run->exit_reason) {
    case KVM_EXIT_IO:
        return exit_io(cpu, run);
    case KVM_EXIT_MMIO:
        return exit_mmio(cpu, run);
    case KVM_EXIT_IRQ_WINDOW_OPEN:
    case KVM_EXIT_INTR:
    case KVM_EXIT_SET_TPR:
    case KVM_EXIT_TPR_ACCESS:
    case KVM_EXIT_X86_BUS_LOCK:
        return true;
    case KVM_EXIT_HLT:
        return exit_hlt(cpu, run);
    case KVM_EXIT_SHUTDOWN:
        return exit_shutdown();
    case KVM_EXIT_IOAPIC_EOI:
        return exit_eoi(run);
    case KVM_EXIT_DEBUG:
        return exit_debug(cpu);
    case KVM_EXIT_DIRTY_RING_FULL:
        return exit_ring_full();
    case KVM_EXIT_X86_RDMSR:
    case KVM_EXIT_X86_WRMSR:
        return exit_msr(run);
    case KVM_EXIT_SYSTEM_EVENT:
        return exit_system_event(cpu, run);
    case KVM_EXIT_NOTIFY:
        return exit_notice(cpu, run);
    case KVM_EXIT_HYPERV:
        if (kvm_hyperv_exit(cpu)) {
            return true;
        }
        fprintf(stderr, "KVM: Hyper-V exit %u is not known\n",
                run->hyperv.type);
        break;
    case KVM_EXIT_INTERNAL_ERROR:
        return exit_internal(cpu, run);
    case KVM_EXIT_FAIL_ENTRY:
        return exit_fail_entry(cpu, run);
    case KVM_EXIT_UNKNOWN:
        fprintf(stderr, "KVM: unknown exit, hardware reason %" PRIx64 "\n",
                (uint64_t)run->hw.hardware_exit_reason);
        break;
    default:
        fprintf(stderr, "KVM: exit reason %u is not known\n",
                run->exit_reason);
        break;
    }
    stop_with(cpu, "unknown exit");
    return false;
}
