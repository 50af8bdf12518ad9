/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kvm.h - what the files of accel/kvm share (Linux KVM API, virt/kvm/api.rst of
 * the kernel's documentation). Private to this folder.
 */
#ifndef TERN_KVM_H
#define TERN_KVM_H

#include <glib.h>
#include <linux/kvm.h>
#include <linux/kvm_para.h>
#include <sys/ioctl.h>
#include <time.h>
#include "accel.h"
#include "machine.h"
#include "x86.h"

typedef enum KvmIrqchip {
    KVM_CHIP_ON, KVM_CHIP_OFF, KVM_CHIP_SPLIT,
} KvmIrqchip;

/* Offsets of state components in a standard XSAVE image; 0: not here. */
typedef struct KvmXsaveLayout {
    uint32_t avx, opmask, zmm_hi, hi16, pkru;
} KvmXsaveLayout;

typedef struct KvmParked {             /* an unplugged vCPU                   */
    uint32_t apic_id;
    int fd;
} KvmParked;

typedef struct Kvm {
    Accel accel;
    int irqchip_wish;                  /* KvmIrqchip                          */
    int irqchip;                       /* what it came to                     */
    uint32_t dirty_ring_size;          /* entries per vCPU; 0: bitmap         */
    int64_t shadow_mem;                /* bytes; < 0: the kernel's choice     */
    int notify_vmexit;                 /* 0 run, 1 internal-error, 2 disable  */
    uint32_t notify_window;
    int fd, vm;
    int run_size;                      /* bytes of the mapped kvm_run         */
    int xsave_size;                    /* bytes of KVM_GET_XSAVE2; 0: no XSAVE */
    KvmXsaveLayout xc;
    int coalesced_page;                /* in kvm_run, pages; 0: none          */
    uint32_t max_slots;
    bool sregs2, xcrs, debugregs, events_payload, triple_fault, sipi_events;
    bool tsc_deadline, tsc_khz, mcg, readonly_mem, resample, mp_state;
    uint64_t mcg_cap;
    uint32_t adjust_clock;             /* KVM_CAP_ADJUST_CLOCK's flags        */
    struct kvm_msr_list *msrs;         /* that the host saves                 */
    struct kvm_msr_list *feature_msrs;
    struct kvm_cpuid2 *cpuid;          /* what the host supports              */
    bool hv_probed;
    struct kvm_cpuid2 *hv_cpuid;       /* enlightenments; NULL: none, or not
                                          asked yet                           */
    GArray *parked;                    /* of KvmParked; NULL: none            */
} Kvm;

/* Cpu.accel of this accelerator. Only the vCPU's thread touches it while it
 * runs, but for what cpu_kick needs. */
typedef struct KvmCpu {
    Cpu *cpu;
    int fd;
    int stats;                         /* KVM_GET_STATS_FD of it, or < 0: to
                                          ask while it runs would wait for it */
    int tid;
    struct kvm_run *run;
    void *xsave;                       /* kvm.xsave_size bytes, page aligned  */
    bool valid;                        /* X86Regs hold what KVM holds; they go
                                          back before the next run            */
    bool full;                         /* … with what only reset and load set */
    bool kicked;                       /* atomic: a signal is on its way      */
    bool if_flag;                      /* at the last exit                    */
    bool single_step, debugging;       /* KVM_SET_GUEST_DEBUG is in force     */
    uint64_t tsc;                      /* guest TSC to put with `full`        */
    struct kvm_dirty_gfn *ring;        /* NULL: bitmap                        */
    uint32_t ring_at;
    struct KvmSynic *synic;            /* NULL: none                          */
} KvmCpu;

extern Kvm *kvm;                       /* the one VM; NULL before init        */

static inline KvmCpu *kvm_cpu(const Cpu *cpu)
{
    return cpu->accel;
}

/* ioctls: >= 0, or -errno. Interrupted calls are repeated. ANY_THREAD. */
int kvm_ioctl(int fd, unsigned long req, void *arg);
int kvm_ioctl_n(int fd, unsigned long req, unsigned long arg);
int kvm_cap(int cap);                  /* of the VM once there is one         */
int kvm_enable_cap(int fd, uint32_t cap, uint64_t arg0, uint64_t arg1);
/* Warns once per key ("msr 0x10a") that the host refused something. */
void kvm_refused(const char *fmt, ...) PRINTF_LIKE(1, 2) ANY_THREAD;

/* vcpu.c; cpu_exec and its company, in the vCPU's thread. */
bool kvm_cpu_init(Cpu *cpu, Error **errp) MACHINE_CALL;
void kvm_cpu_fini(Cpu *cpu) MACHINE_CALL;
void kvm_cpu_exec(Cpu *cpu) MACHINE_CALL;
void kvm_cpu_kick(Cpu *cpu) ANY_THREAD;
void kvm_signals_init(void);

/* exits.c: true: go on running, without the machine lock throughout. */
bool kvm_handle_exit(Cpu *cpu);
void kvm_internal_error(Cpu *cpu, const char *what) MACHINE_CALL;

/* regs.c, msrs.c */
void kvm_cpu_get(Cpu *cpu);
uint64_t *kvm_cpu_gpr(Cpu *cpu);       /* as AccelType.cpu_gpr                 */
void kvm_cpu_put(Cpu *cpu, bool full);
void kvm_cpu_reset(Cpu *cpu) MACHINE_CALL;
void kvm_xsave_layout(void);
void kvm_msrs_get(X86Cpu *c);
void kvm_msrs_put(X86Cpu *c, bool full);
void kvm_mce_put(X86Cpu *c);            /* banks of machine checks alone      */
bool kvm_has_msr(uint32_t msr);
/* Capability MSRs and microcode revision, once per vCPU. */
void kvm_feature_msrs_put(const KvmCpu *k);
/* A feature MSR's value on this host; 0: not there. */
uint64_t kvm_feature_msr(uint32_t msr);
int kvm_msr_read(const KvmCpu *k, uint32_t msr, uint64_t *v);
int kvm_msr_write(const KvmCpu *k, uint32_t msr, uint64_t v);

/* cpuid.c */
bool kvm_cpuid_probe(int fd, struct kvm_cpuid2 **out, Error **errp);
uint64_t kvm_cpu_features(unsigned word, bool migratable);
void kvm_host_cpuid(uint32_t leaf, uint32_t sub, uint32_t out[4]);
bool kvm_cpuid_set(const KvmCpu *k, Error **errp);

/* hyperv.c */
bool kvm_hyperv_leaf(uint32_t leaf, uint32_t out[4]) MACHINE_CALL;
bool kvm_hyperv_init(KvmCpu *k, Error **errp) MACHINE_CALL;
/* After reset and load: pages as the registers say. */
void kvm_hyperv_reset(KvmCpu *k) MACHINE_CALL;
void kvm_hyperv_fini(KvmCpu *k) MACHINE_CALL;
/* false: nothing that is known, the machine stops. */
bool kvm_hyperv_exit(Cpu *cpu);

/* mem.c, ioevent.c, dirty.c */
bool kvm_mem_init(Error **errp) MACHINE_CALL;
void kvm_mem_fini(void) MACHINE_CALL;
/* Host address and block of a slot's page, for the dirty ring. */
void kvm_slot_page_dirty(uint32_t slot, uint64_t page) MACHINE_CALL;
void kvm_io_init(void) MACHINE_CALL;
void kvm_io_fini(void) MACHINE_CALL;
void kvm_coalesced_flush(void) MACHINE_CALL;
bool kvm_coalesced_pending(const Cpu *cpu);
bool kvm_ring_init(Error **errp);
bool kvm_ring_map(KvmCpu *k, Error **errp);
void kvm_ring_unmap(KvmCpu *k);
void kvm_ring_reap(void) MACHINE_CALL;
/* Has each vCPU out of guest code, then reaps. */
void kvm_ring_sync(void) MACHINE_CALL;

/* irqchip.c */
bool kvm_irqchip_init(Error **errp) MACHINE_CALL;
void kvm_irqchip_fini(void) MACHINE_CALL;

/* chips.c: local APIC state rides with the vCPU's full state. */
void kvm_lapic_put(Cpu *cpu);
void kvm_lapic_get(Cpu *cpu);
void kvm_lapic_page(Cpu *cpu, uint32_t page[256]);

/* clock.c */
bool kvm_cpus_made(Accel *a, Error **errp) MACHINE_CALL;

/* guestdbg.c */
bool kvm_breakpoint(Cpu *cpu, uint64_t addr, uint64_t len, int type,
                    bool insert);
bool kvm_single_step(Cpu *cpu, bool on);
/* True: the debugger's; false: the guest's own, put back as an exception. */
bool kvm_debug_exit(Cpu *cpu) MACHINE_CALL;
void kvm_debug_apply(Cpu *cpu);

#endif
