/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * accel.c - the accelerator `soft`, also called tcg: vCPUs that the engine
 * runs.
 *
 * Thread class: as AccelType says.
 */
#include <glib.h>
#include "glue.h"
#include "loop.h"
#include "pc.h"
#include "runstate.h"

#define BLOCK_POOL (64u << 20)

typedef struct Soft {
    Accel accel;
    char *thread;
    uint32_t tb_size;
    bool split_wx, one_insn;
} Soft;

static bool soft_usable(const char **why) { return true; }
static bool soft_preferred(void) { return true; }

static MACHINE_CALL bool soft_accel_init(Accel *a, Machine *m, Error **errp)
{
    Soft *s = (Soft *)a;

    if (s->thread && strcmp(s->thread, "single") &&
        strcmp(s->thread, "multi")) {
        return error_set(errp, "Invalid 'thread' setting %s", s->thread);
    }
    soft_memory_start();
    return true;
}

static MACHINE_CALL void soft_accel_fini(Accel *a)
{
    soft_memory_stop();
}

static unsigned pending(const Cpu *cpu)
{
    return __atomic_load_n(&cpu->interrupt, __ATOMIC_SEQ_CST);
}

static bool soft_has_work(const Cpu *cpu)
{
    const SoftCpu *c = soft_of(cpu);
    unsigned p = pending(cpu);

    return p & (CPU_INT_NMI | CPU_INT_SMI | CPU_INT_INIT | CPU_INT_SIPI |
                CPU_INT_MCE) ||
        (p & CPU_INT_HARD && c && c->eflags & F_IF);
}

static MACHINE_CALL bool soft_cpu_init(Cpu *cpu, Error **errp)
{
    X86Cpu *x = x86_cpu(cpu);
    SoftCpu *c = g_aligned_alloc0(1, sizeof(*c), 64);
    uint32_t r[4];

    if (!soft_init(c, &x->regs, &soft_machine_hooks, x, BLOCK_POOL)) {
        g_aligned_free(c);
        return error_set(errp, "CPU %u: no memory for decoded code",
                         cpu->index);
    }
    c->phys_mask = (1ull << (x->phys_bits ? x->phys_bits : 40)) - 1;
    x86_cpuid(x, 7, 0, r);
    if (!(r[1] & 1u << 20)) {
        c->cr4_valid &= ~(1ull << 21);
    }
    if (!(r[1] & 1u << 7)) {
        c->cr4_valid &= ~(1ull << 20);
    }
    if (!(r[1] & 1)) {
        c->cr4_valid &= ~(1ull << 16);
    }
    if (!(r[2] & 1u << 16)) {
        c->cr4_valid &= ~(1ull << 12);
    }
    if (!(r[2] & 4)) {
        c->cr4_valid &= ~(1ull << 11);
    }
    if (!(r[2] & 8)) {
        c->cr4_valid &= ~(1ull << 22);
        c->xcr0_valid &= ~0x200ull;
    }
    x86_cpuid(x, 1, 0, r);
    if (!(r[2] & 1u << 26)) {
        c->cr4_valid &= ~(1ull << 18);
    }
    if (!(r[2] & 1u << 28)) {
        c->xcr0_valid &= ~4ull;
    }
    if (!(r[2] & 1u << 17)) {
        c->cr4_valid &= ~(1ull << 17);
    }
    soft_load(c);
    cpu->has_work = soft_has_work;
    __atomic_store_n((SoftCpu **)&cpu->accel, c, __ATOMIC_RELEASE);
    return true;
}

static MACHINE_CALL void soft_cpu_fini(Cpu *cpu)
{
    SoftCpu *c = soft_of(cpu);

    __atomic_store_n((SoftCpu **)&cpu->accel, NULL, __ATOMIC_RELEASE);
    soft_fini(c);
    g_aligned_free(c);
}

static void soft_cpu_kick(Cpu *cpu)
{
    SoftCpu *c = soft_of(cpu);

    if (c) {
        soft_kick(c, KICK_EXIT | KICK_IRQ);
    }
}

/* Requests that stand in Cpu.interrupt. True: registers were reloaded. */
static void take_requests(Cpu *cpu) MACHINE_CALL;
static void take_requests(Cpu *cpu)
{
    SoftCpu *c = soft_of(cpu);
    unsigned p = pending(cpu);

    if (p & (CPU_INT_INIT | CPU_INT_SIPI)) {
        soft_save(c);
        if (apic_attend(x86_cpu(cpu))) {
            soft_load(c);
        }
    }
    if (p & CPU_INT_A20) {
        cpu_interrupt_clear(cpu, CPU_INT_A20);
        soft_kick(c, KICK_FLUSH);
    }
    c->a20_mask = pc && !pc_a20() ? ~(1ull << 20) : ~0ull;
    if (p & CPU_INT_NMI) {
        cpu_interrupt_clear(cpu, CPU_INT_NMI);
        soft_kick(c, KICK_NMI);
    }
    if (p & CPU_INT_SMI && !c->x->smm) {
        cpu_interrupt_clear(cpu, CPU_INT_SMI);
        soft_kick(c, KICK_SMI);
    }
    if (p & CPU_INT_MCE) {
        cpu_interrupt_clear(cpu, CPU_INT_MCE);
        soft_kick(c, KICK_MCE);
    }
    if (p & CPU_INT_POLL) {
        cpu_interrupt_clear(cpu, CPU_INT_POLL);
    }
    if (p & CPU_INT_HARD) {
        soft_kick(c, KICK_IRQ);
    }
}

static MACHINE_CALL void soft_cpu_exec(Cpu *cpu)
{
    SoftCpu *c = soft_of(cpu);
    int r;

    take_requests(cpu);
    if (cpu->halted) {
        if (!soft_has_work(cpu) &&
            !(__atomic_load_n(&c->kick, __ATOMIC_SEQ_CST) &
              (KICK_NMI | KICK_SMI | KICK_MCE))) {
            return;
        }
        cpu->halted = false;
        c->halted = false;
    }
    do {
        machine_unlock();
        soft_guest_in(c);
        r = soft_run(c);
        soft_guest_out(c);
        machine_lock();
        take_requests(cpu);
    } while (r == SOFT_KICK && !cpu_should_leave(cpu) && !cpu->halted);
    if (r == SOFT_HALT) {
        cpu->halted = true;
    } else if (r == SOFT_SHUTDOWN) {
        request_reset(WHY_GUEST_RESET);
        cpu_stop_self();
    } else if (r == SOFT_DEBUG) {
        accel_debug_stop = (DebugStop){ .cpu = cpu->index, .type = -1 };
        if (c->watch_type) {
            accel_debug_stop.type = c->watch_type;
            accel_debug_stop.addr = c->watch_addr;
            c->watch_type = 0;
        }
        request_debug();
        cpu_stop_self();
    }
}

/* With the machine lock, as the object that a state is saved from is. */
static MACHINE_CALL void soft_cpu_get(Cpu *cpu)
{
    SoftCpu *c = soft_of(cpu);

    if (c) {
        soft_save(c);
        c->x->ignne = pc && !cpu->index && pc_ferr_ignored();
    }
}

static MACHINE_CALL void soft_cpu_put(Cpu *cpu, bool full)
{
    SoftCpu *c = soft_of(cpu);

    if (c) {
        soft_load(c);
        c->halted = cpu->halted;
        if (pc && !cpu->index) {
            pc_ferr_ignore(c->x->ignne);
            c->ferr = c->x->ignne;      /* its end is to be told of */
        }
    }
}

static uint64_t *soft_cpu_gpr(Cpu *cpu)
{
    SoftCpu *c = soft_of(cpu);

    return c ? c->r : NULL;
}

static MACHINE_CALL void soft_cpu_reset(Cpu *cpu)
{
    soft_cpu_put(cpu, true);
}

static bool soft_breakpoint(Cpu *cpu, uint64_t addr, uint64_t len, int type,
                            bool insert)
{
    if (!soft_point_set(addr, len, type, insert)) {
        return false;
    }
    for (unsigned i = 0; i < cpu_count; i++) {
        SoftCpu *c = soft_of(cpus[i]);

        if (c) {
            soft_flush_blocks(c);
            soft_tlb_flush(c, true);
            soft_mode_update(c);
        }
    }
    return true;
}

static bool soft_single_step(Cpu *cpu, bool on)
{
    SoftCpu *c = soft_of(cpu);

    c->single_req = on;
    soft_mode_update(c);
    return true;
}

static const Prop soft_props[] = {
    PROP_STR("thread", Soft, thread, .type = "string",
             .desc = "single or multi: one thread for each vCPU either way"),
    PROP_U32("tb-size", Soft, tb_size, 0, .type = "int",
             .desc = "accepted; the cache of decoded code sizes itself"),
    PROP_BOOL("split-wx", Soft, split_wx, false,
              .desc = "accepted; executable memory is never writable"),
    PROP_BOOL("one-insn-per-tb", Soft, one_insn, false,
              .desc = "accepted"),
    PROP_END
};

ACCEL(accel_soft, {
    .name = "soft", .alias = "tcg", .type = "tcg-accel",
    .desc = "the software CPU", .size = sizeof(Soft), .props = soft_props,
    .usable = soft_usable, .preferred = soft_preferred,
    .init = soft_accel_init, .fini = soft_accel_fini,
    .cpu_init = soft_cpu_init, .cpu_fini = soft_cpu_fini,
    .cpu_exec = soft_cpu_exec, .cpu_kick = soft_cpu_kick,
    .cpu_get = soft_cpu_get, .cpu_put = soft_cpu_put,
    .cpu_gpr = soft_cpu_gpr,
    .cpu_reset = soft_cpu_reset, .cpu_features = soft_features, .cpu_cpuid = soft_cpuid,
    .breakpoint = soft_breakpoint, .single_step = soft_single_step,
});
