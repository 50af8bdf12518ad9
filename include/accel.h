/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * accel.h - accelerators: what runs guest instructions. kvm, soft (also called
 * tcg) and qtest register themselves here.
 */
#ifndef TERN_ACCEL_H
#define TERN_ACCEL_H

#include "cpu.h"
#include "pci.h"

typedef struct Machine Machine;
typedef struct Accel Accel;
typedef struct AccelType {
    const char *name, *alias;          /* "kvm"; "soft" answers to "tcg"      */
    const char *type;                  /* QOM type: "kvm-accel"               */
    const char *desc;
    size_t size;                       /* of the Accel struct                 */
    const Prop *props;
    /* Usable here, judged without creating a VM; *why (static) when not. */
    bool (*usable)(const char **why) MACHINE_PTR;
    /* ... and worth preferring when the user left the choice to us. */
    bool (*preferred)(void) MACHINE_PTR;
    bool (*init)(Accel *a, Machine *m, Error **errp) MACHINE_PTR;
    void (*fini)(Accel *a) MACHINE_PTR;
    /* In the vCPU's thread, machine lock held. */
    bool (*cpu_init)(Cpu *cpu, Error **errp) MACHINE_PTR;
    void (*cpu_fini)(Cpu *cpu) MACHINE_PTR;
    /* Runs guest code until there is something to do; drops the machine lock
     * inside. */
    void (*cpu_exec)(Cpu *cpu) MACHINE_PTR;
    void (*cpu_kick)(Cpu *cpu);        /* ANY_THREAD: leave cpu_exec soon     */
    /* Registers between accelerator and X86Regs. NULL: regs are the truth. */
    void (*cpu_get)(Cpu *cpu);
    void (*cpu_put)(Cpu *cpu, bool full);
    /* After reset or load, from any context with vCPUs stopped. */
    void (*cpu_reset)(Cpu *cpu);
    /* Feature words it can give; NULL: all. */
    uint64_t (*cpu_features)(unsigned word, bool migratable);
    /* gdb stub */
    bool (*breakpoint)(Cpu *cpu, uint64_t addr, uint64_t len, int type,
                       bool insert);
    bool (*single_step)(Cpu *cpu, bool on);
    unsigned flags;
} AccelType;
enum { ACCEL_NO_CPU = 1, ACCEL_IRQCHIP = 2 };      /* qtest; may have kernel irqchip */
struct Accel {
    Obj obj;
    const AccelType *type;
};
#define ACCEL(sym, ...) SET_MEMBER(accel_types, AccelType, sym, __VA_ARGS__)

extern Accel *accel;                   /* the one in use                      */
/* From -accel / -machine accel= / -enable-kvm settings; the first that comes up
 * is used. Rule of choice: see docs. */
bool accel_start(Machine *m, Error **errp) MACHINE_CALL;
bool accel_is(const char *name);

/* Interrupt services of the kernel irqchip; set by kvm, else NULL members. */
typedef struct AccelIrq {
    bool pic_in_kernel, ioapic_in_kernel, apic_in_kernel, pit_in_kernel;
    void (*set_gsi)(int gsi, int level);
    void (*send_msi)(MsiMessage m);
    /* MSI route + irqfd; return gsi or -errno. */
    int (*msi_route_add)(MsiMessage m, uint16_t requester);
    void (*msi_route_update)(int gsi, MsiMessage m);
    void (*msi_route_del)(int gsi);
    int (*irqfd)(int gsi, int fd, int resample_fd, bool assign);
} AccelIrq;
extern AccelIrq accel_irq;

#endif
