/* SPDX-License-Identifier: GPL-2.0-or-later */
/* glue.h - between the engine and the house. */
#ifndef ACCEL_SOFT_GLUE_H
#define ACCEL_SOFT_GLUE_H

#include "accel.h"
#include "soft.h"

extern const SoftHooks soft_machine_hooks;
/* The memory listener and the hook for host-side writes. */
void soft_memory_start(void) MACHINE_CALL;
void soft_memory_stop(void) MACHINE_CALL;
/* Enter and leave the part in which guest memory is used without a lock. */
void soft_guest_in(SoftCpu *c);
void soft_guest_out(SoftCpu *c);
static inline SoftCpu *soft_of(const Cpu *cpu)
{
    return __atomic_load_n((SoftCpu *const *)&cpu->accel, __ATOMIC_ACQUIRE);
}
/* The paravirtual clock; the TSC was set. In the vCPU's thread, between
 * soft_guest_out and soft_guest_in. */
bool soft_kvmclock_is(const X86Cpu *x, uint32_t msr);
uint64_t soft_kvmclock_read(const X86Cpu *x, uint32_t msr);
void soft_kvmclock_write(X86Cpu *x, uint32_t msr, uint64_t v);
void soft_kvmclock_moved(X86Cpu *x);
uint64_t soft_features(unsigned word, bool migratable);
void soft_cpuid(uint32_t leaf, uint32_t sub, uint32_t out[4]);

#endif
