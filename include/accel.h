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
    /* Once, after the board has made its first vCPUs: devices of its own. */
    bool (*cpus_made)(Accel *a, Error **errp) MACHINE_PTR;
    void (*cpu_fini)(Cpu *cpu) MACHINE_PTR;
    /* Runs guest code until there is something to do; drops the machine lock
     * inside. */
    void (*cpu_exec)(Cpu *cpu) MACHINE_PTR;
    void (*cpu_kick)(Cpu *cpu);        /* ANY_THREAD: leave cpu_exec soon     */
    /* Registers between accelerator and X86Regs. NULL: regs are the truth. */
    void (*cpu_get)(Cpu *cpu);
    void (*cpu_put)(Cpu *cpu, bool full);
    /* In its thread, within an access that it makes: the general registers by
     * X86_RAX…, to be read and changed. NULL: none can be seen. */
    uint64_t *(*cpu_gpr)(Cpu *cpu);
    /* After reset or load, from any context with vCPUs stopped. */
    void (*cpu_reset)(Cpu *cpu);
    /* Feature words it can give; NULL: all. */
    uint64_t (*cpu_features)(unsigned word, bool migratable);
    /* What the accelerator's CPUID says (the table it would give a guest);
     * NULL: the host's. */
    void (*cpu_cpuid)(uint32_t leaf, uint32_t sub, uint32_t out[4]);
    /* A capability MSR as the host has it; 0: it has not. NULL: none. */
    uint64_t (*feature_msr)(uint32_t msr);
    /* Hyper-V CPUID leaf (0x4000....) as far as it can give it; false: no
     * enlightenments at all. NULL: the same. */
    bool (*cpu_hyperv)(uint32_t leaf, uint32_t out[4]) MACHINE_PTR;
    /* gdb stub */
    bool (*breakpoint)(Cpu *cpu, uint64_t addr, uint64_t len, int type,
                       bool insert);
    bool (*single_step)(Cpu *cpu, bool on);
    unsigned flags;
} AccelType;
/* Why the guest last stopped for a debugger: filled by the accelerator before its
 * request_debug. type as in breakpoint(); -1: a step or a breakpoint. */
typedef struct DebugStop {
    unsigned cpu;                      /* index                               */
    int type;
    uint64_t addr;
} DebugStop;
extern DebugStop accel_debug_stop;

enum { ACCEL_NO_CPU = 1, ACCEL_IRQCHIP = 2 };      /* qtest; may have kernel irqchip */
struct Accel {
    Obj obj;
    const AccelType *type;
};
#define ACCEL(sym, ...) SET_MEMBER(accel_types, AccelType, sym, __VA_ARGS__)

extern Accel *accel;                   /* the one in use                      */
extern const ObjKind obj_accel;        /* its node; kinds by type->type       */
/* -accel TEXT: checks the name and keeps the wish; "help" prints the list and
 * leaves *help true. */
bool accel_option(const char *text, bool *help, Error **errp) MACHINE_CALL;
/* -machine KEY=VALUE that are really the accelerator's (kernel-irqchip,
 * kvm-shadow-mem, igd-passthru…); false without an error: not one of them. */
bool accel_machine_option(const char *key, const char *value, Error **errp)
    MACHINE_CALL;
/* From -accel / -machine accel= / -enable-kvm settings; the first that comes up
 * is used. One explicit name is obeyed. In a list, or without any choice, kvm
 * counts only where it is backed by hardware, then the next, then soft. */
bool accel_start(Machine *m, Error **errp) MACHINE_CALL;
void accel_stop(void) MACHINE_CALL;    /* end of the program, vCPUs gone      */
bool accel_is(const char *name);
const AccelType *accel_find(const char *name_or_alias);

/* Interrupt services of the kernel irqchip; set by kvm, else NULL members.
 * set_gsi(n) reaches both 8259 and IOAPIC: a board with pic_in_kernel and
 * ioapic_in_kernel raises each GSI once. Without ioapic_in_kernel but with
 * apic_in_kernel (split) the IOAPIC calls msi_route_update(pin, message) for
 * each unmasked pin, so that its EOIs are reported to accel_ioapic_eoi. */
typedef struct AccelIrq {
    bool pic_in_kernel, ioapic_in_kernel, apic_in_kernel, pit_in_kernel;
    void (*set_gsi)(int gsi, int level);
    void (*send_msi)(MsiMessage m);
    /* MSI route + irqfd; return gsi or -errno. */
    int (*msi_route_add)(MsiMessage m, uint16_t requester);
    void (*msi_route_update)(int gsi, MsiMessage m);
    void (*msi_route_del)(int gsi);
    int (*irqfd)(int gsi, int fd, int resample_fd, bool assign);
    /* Registers of a kernel local APIC, register r at page[r / 4]; synced. */
    void (*lapic_page)(Cpu *cpu, uint32_t page[256]);
} AccelIrq;
extern AccelIrq accel_irq;
/* Between a kernel local APIC and interrupt controllers in Tern (irqchip split).
 * Set by the IOAPIC: the guest ended a level interrupt with this vector. */
extern void (*accel_ioapic_eoi)(uint8_t vector) MACHINE_PTR;
/* Set by the 8259 pair: acknowledges and returns its vector; -1: none. */
extern int (*accel_pic_ack)(void) MACHINE_PTR;
/* The 8254 in the kernel ("kvm-pit"), for the speaker port: a channel as it counts
 * now; false: not that device. load_time is on CLOCK_VM. */
typedef struct KvmPitChannel {
    uint32_t count;
    uint8_t mode, gate;
    int64_t load_time;
} KvmPitChannel;
bool kvm_pit_channel(Device *pit, unsigned n, KvmPitChannel *out) MACHINE_CALL;
void kvm_pit_set_gate(Device *pit, unsigned n, bool on) MACHINE_CALL;
/* Whether vCPUs have system management mode; a kvm host may lack it. */
bool accel_has_smm(void);
extern bool accel_no_smm;
/* Guest-physical range the accelerator keeps for itself, for e820; 0: none. */
extern uint64_t accel_reserved_base, accel_reserved_size;

#endif
