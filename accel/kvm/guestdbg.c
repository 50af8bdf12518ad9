/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guestdbg.c - breakpoints, watchpoints and single steps for a debugger
 * (Linux KVM API: KVM_SET_GUEST_DEBUG; Intel SDM vol. 3 chapter 18).
 *
 * Thread class: MACHINE_CALL with the vCPUs stopped; kvm_debug_exit and
 * kvm_debug_apply in the vCPU's thread.
 *
 * 1. The debug registers' four places are shared by hardware breakpoints and
 *    watchpoints, the same in every vCPU.
 * 2. A trap that is not of the debugger's making goes back to the guest as the
 *    exception it was.
 * 3. A software breakpoint is an INT3 byte over the first byte of the
 *    instruction, which is kept here.
 */
#include <glib.h>
#include "kvm.h"

/* Types as the gdb remote protocol numbers them. */
enum { BP_SOFT, BP_HARD, BP_WRITE, BP_READ, BP_ACCESS };

typedef struct Hard {
    uint64_t addr, len;
    int type;
} Hard;
typedef struct Soft {
    uint64_t addr;
    uint8_t byte;
} Soft;

static Hard hard[4];
static unsigned hard_count;
static GArray *soft;                   /* of Soft                             */

static uint32_t dr7_of(void)
{
    static const uint8_t len_code[] = { [1] = 0, [2] = 1, [4] = 3, [8] = 2 };
    uint32_t dr7 = hard_count ? 0x0600 : 0;

    for (unsigned i = 0; i < hard_count; i++) {
        uint32_t rw = hard[i].type == BP_HARD ? 0
                    : hard[i].type == BP_WRITE ? 1 : 3;
        uint32_t len = hard[i].type == BP_HARD ? 0 : len_code[hard[i].len];

        dr7 |= 2u << i * 2 | (rw | len << 2) << (16 + i * 4);
    }
    return dr7;
}

void kvm_debug_apply(Cpu *cpu)
{
    KvmCpu *k = kvm_cpu(cpu);
    struct kvm_guest_debug d = { 0 };

    if (!k) {
        return;
    }
    if (k->single_step) {
        d.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP;
    }
    if (soft && soft->len) {
        d.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP;
    }
    if (hard_count) {
        d.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP;
        for (unsigned i = 0; i < hard_count; i++) {
            d.arch.debugreg[i] = hard[i].addr;
        }
        d.arch.debugreg[7] = dr7_of();
    }
    if (!d.control && !k->debugging) {
        return;
    }
    k->debugging = d.control != 0;
    if (kvm_ioctl(k->fd, KVM_SET_GUEST_DEBUG, &d) < 0) {
        kvm_refused("the host refused KVM_SET_GUEST_DEBUG: no breakpoints");
    }
}

static void apply_one(Cpu *cpu, void *arg)
{
    kvm_debug_apply(cpu);
}

static void apply_all(void) MACHINE_CALL;
static void apply_all(void)
{
    for (unsigned i = 0; i < cpu_count; i++) {
        cpu_run(cpus[i], apply_one, NULL);
    }
}

/* ---- break- and watchpoints ---------------------------------------------- */

static bool soft_poke(Cpu *cpu, uint64_t addr, uint8_t *byte, bool write)
    NO_TSA;
static bool soft_poke(Cpu *cpu, uint64_t addr, uint8_t *byte, bool write)
{
    uint64_t pa;

    cpu_sync(cpu);
    if (!x86_gva2gpa(x86_cpu(cpu), addr, &pa)) {
        return false;
    }
    return write ? mem_poke(&mem_system, pa, byte, 1) == MEM_OK
                 : mem_read(&mem_system, pa, byte, 1, MEM_ATTRS_NONE) ==
                       MEM_OK;
}

static bool soft_set(Cpu *cpu, uint64_t addr, bool insert)
{
    uint8_t int3 = 0xcc;

    if (!soft) {
        soft = g_array_new(FALSE, FALSE, sizeof(Soft));
    }
    for (unsigned i = 0; i < soft->len; i++) {
        Soft *s = &g_array_index(soft, Soft, i);

        if (s->addr == addr) {
            if (insert) {
                return true;
            }
            soft_poke(cpu, addr, &s->byte, true);
            g_array_remove_index(soft, i);
            return true;
        }
    }
    if (insert) {
        Soft s = { .addr = addr };

        if (!soft_poke(cpu, addr, &s.byte, false) ||
            !soft_poke(cpu, addr, &int3, true)) {
            return false;
        }
        g_array_append_val(soft, s);
    }
    return insert;
}

static bool hard_set(uint64_t addr, uint64_t len, int type, bool insert)
{
    for (unsigned i = 0; i < hard_count; i++) {
        if (hard[i].addr == addr && hard[i].type == type &&
            (hard[i].len == len || type == BP_HARD)) {
            if (!insert) {
                hard[i] = hard[--hard_count];
            }
            return true;
        }
    }
    if (!insert || hard_count == ARRAY_SIZE(hard)) {
        return false;
    }
    if (type != BP_HARD && (!IS_POW2(len) || len > 8 || addr % len)) {
        return false;
    }
    hard[hard_count++] = (Hard){ addr, len, type };
    return true;
}

bool kvm_breakpoint(Cpu *cpu, uint64_t addr, uint64_t len, int type,
                    bool insert) NO_TSA;
bool kvm_breakpoint(Cpu *cpu, uint64_t addr, uint64_t len, int type,
                    bool insert)
{
    bool done = type == BP_SOFT ? soft_set(cpu, addr, insert)
              : type == BP_READ ? false
              : hard_set(addr, len, type, insert);

    if (done) {
        apply_all();
    }
    return done;
}

bool kvm_single_step(Cpu *cpu, bool on) NO_TSA;
bool kvm_single_step(Cpu *cpu, bool on)
{
    KvmCpu *k = kvm_cpu(cpu);

    if (k) {
        k->single_step = on;
        cpu_run(cpu, apply_one, NULL);
    }
    return k != NULL;
}

/* ---- a trap -------------------------------------------------------------- */

static bool trap_is_ours(const KvmCpu *k,
                         const struct kvm_debug_exit_arch *a)
{
    accel_debug_stop.type = -1;
    if (a->exception == 1) {
        if (k->single_step && a->dr6 & 1u << 14) {
            return true;
        }
        for (unsigned i = 0; i < hard_count; i++) {
            if (a->dr6 & 1u << i) {
                if (hard[i].type != BP_HARD) {
                    accel_debug_stop.type = hard[i].type;
                    accel_debug_stop.addr = hard[i].addr;
                }
                return true;
            }
        }
        return false;
    }
    for (unsigned i = 0; soft && i < soft->len; i++) {
        if (g_array_index(soft, Soft, i).addr == a->pc) {
            return true;
        }
    }
    return false;
}

bool kvm_debug_exit(Cpu *cpu)
{
    KvmCpu *k = kvm_cpu(cpu);
    const struct kvm_debug_exit_arch *a = &k->run->debug.arch;
    X86Regs *r = &x86_cpu(cpu)->regs;

    accel_debug_stop.cpu = cpu->index;
    if (trap_is_ours(k, a)) {
        return true;
    }
    kvm_cpu_get(cpu);
    r->exc_injected = 1;
    r->exc_nr = a->exception;
    r->exc_has_error = 0;
    if (a->exception == 1) {
        r->dr[6] = a->dr6;
    }
    return false;
}
