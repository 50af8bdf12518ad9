/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cpu.h - a vCPU as the rest of the house sees it: its thread, its run states,
 * its interrupt inputs. The registers are in x86.h. accel/vcpu.c owns the thread
 * protocol; an accelerator supplies AccelType (accel.h).
 */
#ifndef TERN_CPU_H
#define TERN_CPU_H

#include "device.h"

/* Pending inputs of a vCPU, bits of Cpu.interrupt (atomic). */
typedef enum CpuInterrupt {
    CPU_INT_HARD = 1 << 0,             /* INTR line of the PIC or local APIC  */
    CPU_INT_NMI  = 1 << 1,
    CPU_INT_SMI  = 1 << 2,
    CPU_INT_INIT = 1 << 3,
    CPU_INT_SIPI = 1 << 4,
    CPU_INT_MCE  = 1 << 5,
    CPU_INT_A20  = 1 << 6,             /* A20 mask changed                    */
    CPU_INT_POLL = 1 << 7,             /* APIC asks the vCPU to look at it    */
} CpuInterrupt;

typedef struct Cpu {
    Device dev;
    uint32_t index;                    /* 0.. in order of creation            */
    int64_t thread_id;                 /* host tid                            */
    pthread_t thread;
    pthread_cond_t *cond;              /* wakes halted/stopped; private       */
    uint32_t interrupt;                /* CpuInterrupt, atomic                */
    bool halted;                       /* HLT or wait-for-SIPI                */
    bool stop, stopped, created, unplug, exit_request;   /* under machine lock */
    bool running;                      /* inside the accelerator              */
    bool crash;                        /* triple fault or internal error seen */
    bool (*has_work)(const struct Cpu *cpu);       /* would leave HLT         */
    void *accel;                       /* the accelerator's own               */
    Work *work_first;                  /* cpu_run work, private               */
} Cpu;

/* All vCPUs in index order. MACHINE_CALL, or inside an epoch. */
extern Cpu **cpus;
extern unsigned cpu_count;
extern __thread Cpu *cpu_current;      /* NULL outside vCPU threads           */

/* Sets a bit and makes the vCPU notice. ANY_THREAD. */
void cpu_interrupt(Cpu *cpu, unsigned mask) ANY_THREAD;
void cpu_interrupt_clear(Cpu *cpu, unsigned mask) ANY_THREAD;
void cpu_kick(Cpu *cpu) ANY_THREAD;
/* Runs fn in the vCPU's thread and waits (machine lock dropped meanwhile). */
void cpu_run(Cpu *cpu, void (*fn)(Cpu *cpu, void *arg), void *arg)
    MACHINE_CALL;
void cpu_run_async(Cpu *cpu, void (*fn)(Cpu *cpu, void *arg), void *arg)
    MACHINE_CALL;
/* Brings registers from / marks them dirty for the accelerator. Works with a
 * running vCPU too, for which it briefly leaves guest code. */
void cpu_sync(Cpu *cpu) MACHINE_CALL;
void cpu_sync_all(void) MACHINE_CALL;
/* Stop all vCPUs and wait until each has left guest code; start them again. */
void cpus_pause(void) MACHINE_CALL;
void cpus_resume(void) MACHINE_CALL;
/* In a vCPU thread that has asked for reset, shutdown or stop: runs no further
 * guest code until cpus_resume. Elsewhere nothing. */
void cpu_stop_self(void) MACHINE_CALL;
/*
 * For one thread that stops the world for a moment (cross-page atomics, memory
 * slots): begin waits until no other vCPU is between guest_enter and guest_leave
 * and keeps them out until end. Called without the machine lock, unless the
 * accelerator's guest sections never take it (kvm: only KVM_RUN is inside).
 */
void cpus_exclusive_begin(void);
void cpus_exclusive_end(void);
/* Accelerators bracket guest code with these, without the machine lock; enter
 * waits while somebody is exclusive. */
void cpu_guest_enter(Cpu *cpu);
void cpu_guest_leave(Cpu *cpu);
/* There is something to do outside guest code: work, stop, unplug. An
 * accelerator's cpu_exec returns then. ANY_THREAD for the vCPU itself. */
bool cpu_should_leave(const Cpu *cpu);
/* Starts the thread (sleeping until cpus_resume) and waits until the accelerator
 * has taken the vCPU in; adds it to `cpus`. Stop: the reverse. */
bool cpu_thread_start(Cpu *cpu, Error **errp) MACHINE_CALL;
void cpu_thread_stop(Cpu *cpu) MACHINE_CALL;
Cpu *cpu_by_index(uint32_t index) MACHINE_CALL;    /* NULL: none               */
/* A board that tells its guest of vCPUs sets these: one has been realized; one
 * is asked to go (it goes when the guest lets it). */
extern void (*cpu_board_plugged)(Cpu *cpu) MACHINE_PTR;
extern bool (*cpu_board_unplug)(Cpu *cpu, Error **errp) MACHINE_PTR;

#endif
