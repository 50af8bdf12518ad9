/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * x86.h - architectural state of an x86-64 vCPU, one flat struct with registers
 * in hardware numbering; what accelerators, monitors and saved state share
 * (Intel SDM volumes 1 and 3, AMD APM volume 2).
 */
#ifndef TERN_X86_H
#define TERN_X86_H

#include "cpu.h"

enum { X86_RAX, X86_RCX, X86_RDX, X86_RBX, X86_RSP, X86_RBP, X86_RSI, X86_RDI };
enum { X86_ES, X86_CS, X86_SS, X86_DS, X86_FS, X86_GS, X86_SEG_COUNT };

/* attr: descriptor bits 40..55 as in VMX/SVM access rights without the gap:
 * type 0-3, S 4, DPL 5-6, P 7, AVL 8, L 9, DB 10, G 11. */
typedef struct X86Seg {
    uint16_t sel, attr;
    uint32_t limit;                    /* in bytes, granularity applied       */
    uint64_t base;
} X86Seg;
typedef struct X86Table {
    uint64_t base;
    uint16_t limit;
} X86Table;

typedef union X86Vec {                 /* one vector register                 */
    uint8_t b[64];
    uint16_t w[32];
    uint32_t d[16];
    uint64_t q[8];
    float s[16];
    double f[8];
} __attribute__((aligned(64))) X86Vec;

#define X86_MTRR_VAR 8
#define X86_MCE_BANKS 10

/* Hyper-V's MSRs, where the accelerator has them. */
typedef struct X86HvRegs {
    uint64_t guest_os_id, hypercall, vp_runtime, reference_tsc, apic_assist;
    uint64_t scontrol, siefp, simp, sint[16];
    uint64_t stimer[8];                /* configuration and count of four     */
    uint64_t crash[5], crash_ctl, reenlighten, tsc_emulate, tsc_status;
} X86HvRegs;

typedef struct X86Regs {
    uint64_t gpr[16];
    uint64_t rip, rflags;              /* the engine may keep flags lazily; a
                                          cpu_sync makes rflags true          */
    X86Seg seg[X86_SEG_COUNT], ldt, tr;
    X86Table gdt, idt;
    uint64_t cr0, cr2, cr3, cr4, cr8, xcr0;
    uint64_t dr[8];
    uint64_t efer, star, lstar, cstar, fmask, kernel_gs_base;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
    uint64_t pat, apic_base, misc_enable, feature_control, spec_ctrl, virt_ssbd;
    uint64_t tsc_offset, tsc_adjust, tsc_deadline, tsc_aux, xss, smbase;
    uint64_t smi_count;
    uint64_t mtrr_deftype, mtrr_fixed[11];
    uint64_t mtrr_base[X86_MTRR_VAR], mtrr_mask[X86_MTRR_VAR];
    uint64_t mcg_cap, mcg_status, mcg_ctl, mce_banks[X86_MCE_BANKS * 4];
    uint64_t debugctl;
    uint64_t kvm_wall_clock, kvm_system_time, kvm_async_pf, kvm_async_pf_int,
             kvm_pv_eoi, kvm_steal_time, kvm_poll_control;
    uint32_t pkru, mxcsr;
    /* x87: fpr in physical order; tag is the full 16-bit word. */
    struct { uint64_t mant; uint16_t se; } fpr[8];
    uint16_t fcw, fsw, ftag, fop;
    uint64_t fip, fdp;
    uint16_t fcs, fds;
    X86Vec vec[32];
    uint64_t opmask[8];
    /* Events in flight. */
    uint8_t halted, smm, nmi_blocked, nmi_pending, sti_shadow, ss_shadow;
    uint8_t mp_state;                  /* KVM_MP_STATE_*                      */
    uint8_t exc_pending, exc_injected, exc_nr, exc_has_error;
    uint32_t exc_error;
    uint64_t exc_payload;
    uint8_t int_injected, int_nr, int_soft;
    uint8_t ignne;                     /* go on in spite of an x87 error      */
    uint8_t mce_pending;               /* #MC is to be raised                 */
    uint8_t mce_dirty;                 /* banks were changed from outside     */
    X86HvRegs hv;
} X86Regs;

typedef struct Machine Machine;
typedef struct X86Model X86Model;      /* target/x86: named CPU model         */
typedef struct X86Apic X86Apic;        /* hw/pc: software local APIC          */

/* Feature words, by the CPUID leaf and register they come from. */
typedef enum X86Word {
    FW_1_EDX, FW_1_ECX, FW_7_EBX, FW_7_ECX, FW_7_EDX, FW_7_1_EAX,
    FW_8000_0001_EDX, FW_8000_0001_ECX, FW_8000_0007_EDX, FW_8000_0008_EBX,
    FW_C000_0001_EDX, FW_KVM, FW_KVM_HINTS, FW_SVM, FW_XSAVE, FW_6_EAX,
    FW_XSAVE_XCR0_LO, FW_XSAVE_XCR0_HI, FW_XSAVE_XSS_LO, FW_XSAVE_XSS_HI,
    FW_ARCH_CAP, FW_CORE_CAP, FW_PERF_CAP, FW_14_0_ECX,
    FW_SGX_12_0_EAX, FW_SGX_12_0_EBX, FW_SGX_12_1_EAX,
    FW_VMX_PROCBASED, FW_VMX_SECONDARY, FW_VMX_PINBASED, FW_VMX_EXIT,
    FW_VMX_ENTRY, FW_VMX_MISC, FW_VMX_EPT_VPID, FW_VMX_BASIC, FW_VMX_VMFUNC,
    FW_COUNT
} X86Word;

/* Where a word is read: CPUID, or an MSR. */
typedef struct X86WordSource {
    uint32_t leaf, sub;
    uint8_t reg;                       /* 0 EAX, 1 EBX, 2 ECX, 3 EDX          */
    bool has_sub;
    uint32_t msr;                      /* not 0: this, instead of CPUID       */
} X86WordSource;
const X86WordSource *x86_word(X86Word w);
/* The name of a feature as -cpu knows it; NULL: it has none. */
const char *x86_feature_name(X86Word w, unsigned bit);

typedef struct X86CpuidLeaf {
    uint32_t leaf, sub, eax, ebx, ecx, edx;
    bool has_sub;
} X86CpuidLeaf;

/* hv-* switches: Hyper-V enlightenments, in the order in which they are told. */
typedef enum HvBit {
    HV_RELAXED, HV_VAPIC, HV_TIME, HV_CRASH, HV_RESET, HV_VPINDEX, HV_RUNTIME,
    HV_SYNIC, HV_STIMER, HV_FREQUENCIES, HV_REENLIGHTENMENT, HV_TLBFLUSH,
    HV_EVMCS, HV_IPI, HV_STIMER_DIRECT, HV_AVIC, HV_XMM_INPUT,
    HV_EMSR_BITMAP, HV_TLBFLUSH_EXT, HV_TLBFLUSH_DIRECT, HV_SYNDBG, HV_COUNT
} HvBit;
typedef struct X86Hyperv {             /* what a vCPU offers its guest        */
    bool on, enforce, synic_kvm_only;
    uint32_t features;                 /* by HvBit                            */
} X86Hyperv;

typedef struct X86Cpu {
    Cpu cpu;
    X86Regs regs;
    X86Apic *apic;                     /* NULL: in the kernel                 */
    Device *lapic;                     /* the local APIC's device, of either
                                          kind: the CPU's child "lapic", so that
                                          it finds its CPU as its Obj.parent  */
    uint32_t apic_id;
    int32_t socket_id, die_id, core_id, thread_id, node_id;
    uint64_t features[FW_COUNT];       /* what CPUID says                     */
    uint64_t filtered[FW_COUNT];       /* asked for, not available            */
    uint32_t family, model, stepping;
    uint32_t level, xlevel, level2;
    char vendor[13], model_id[49];
    uint32_t phys_bits;
    uint64_t ucode_rev;                /* what MSR 0x8b shows                 */
    int64_t tsc_khz;                   /* asked for; 0: the accelerator's own */
    X86Hyperv hyperv;
    const X86Model *def;
    X86CpuidLeaf *cpuid;               /* the table the guest sees            */
    unsigned ncpuid;
} X86Cpu;

static inline X86Cpu *x86_cpu(Cpu *c)
{
    return (X86Cpu *)c;
}
/* CPUID as the guest sees it. For engines without hardware help. */
void x86_cpuid(const X86Cpu *c, uint32_t leaf, uint32_t sub, uint32_t out[4]);
/* Banks of machine checks; 0: the model has none. */
static inline unsigned x86_mce_banks(const X86Cpu *c)
{
    return c->regs.mcg_cap & 0xff;
}
/* Power-on or INIT values. */
void x86_regs_reset(X86Cpu *c, bool init);

/*
 * -cpu TEXT: model name, then +feature, -feature or property=value; checked and
 * kept for every CPU made later. "help" prints the models and features and leaves
 * *help true.
 */
bool x86_cpu_option(const char *text, bool *help, Error **errp) MACHINE_CALL;
/* For the board: m->cpus vCPUs of m->cpu_model (or the machine's default), with
 * ids by topology, realized, asleep until cpus_resume. */
bool x86_cpus_new(Machine *m, Error **errp) MACHINE_CALL;
/* APIC id <-> place in the topology of the machine. */
typedef struct X86Place {
    uint32_t socket, die, core, thread;
} X86Place;
uint32_t x86_apic_id(const Machine *m, X86Place at);
X86Place x86_place(const Machine *m, uint32_t apic_id);
X86Cpu *x86_cpu_by_apic_id(uint32_t id) MACHINE_CALL;          /* NULL: none    */

/* ---- software local APIC (hw/pc/apic.c), for soft and qtest -------------- */
/* Highest deliverable vector, acknowledged; -1: none (spurious: see apic). */
int apic_ack(X86Cpu *c) MACHINE_CALL;
/* True when INTR would be taken now, given IF. */
bool apic_has_irq(X86Cpu *c) MACHINE_CALL;
uint64_t apic_base_get(X86Cpu *c) MACHINE_CALL;
bool apic_base_set(X86Cpu *c, uint64_t v) MACHINE_CALL;
/* CR8 form, 0..15; the vCPU itself may ask without the lock. */
uint8_t apic_tpr_get(X86Cpu *c);
void apic_tpr_set(X86Cpu *c, uint8_t v) MACHINE_CALL;
/* x2APIC registers by MSR index 0x800..0x8ff; false: #GP. */
bool apic_msr_read(X86Cpu *c, uint32_t msr, uint64_t *v) MACHINE_CALL;
bool apic_msr_write(X86Cpu *c, uint32_t msr, uint64_t v) MACHINE_CALL;
void apic_tsc_deadline_set(X86Cpu *c, uint64_t tsc) MACHINE_CALL;
/* 0: none, or passed. */
uint64_t apic_tsc_deadline_get(X86Cpu *c) MACHINE_CALL;
/* Starts a vCPU that waits for a start-up IPI at vector << 12. */
void apic_sipi(X86Cpu *c, uint8_t vector) MACHINE_CALL;
/* INIT: registers and APIC; afterwards all but the boot processor wait. */
void apic_init_reset(X86Cpu *c) MACHINE_CALL;
/* Carries out INIT and SIPI that CPU_INT_INIT and CPU_INT_SIPI announce, and
 * clears the bits. In the vCPU's thread, with c->regs in sync; true: registers
 * have changed. */
bool apic_attend(X86Cpu *c) MACHINE_CALL;
/* The register page in the layout of a memory-mapped APIC: register r at
 * page[r / 4]. */
void apic_page(X86Cpu *c, uint32_t page[256]) MACHINE_CALL;
uint64_t x86_tsc(const X86Cpu *c) ANY_THREAD;      /* guest TSC now           */
uint64_t x86_tsc_hz(void) ANY_THREAD;
/* Ticks of CLOCK_VM: x86_tsc is this plus regs.tsc_offset. */
uint64_t x86_tsc_base(void) ANY_THREAD;
void x86_tsc_hz_set(uint64_t hz);      /* before the first vCPU; else 1 GHz   */

/* ---- translation and disassembly (target/x86) ---------------------------- */
/* Guest linear -> physical by the guest's tables, no side effects; false: not
 * mapped. */
bool x86_gva2gpa(X86Cpu *c, uint64_t va, uint64_t *pa) MACHINE_CALL;
bool x86_regs_gva2gpa(const X86Regs *r, uint64_t va, uint64_t *pa);
/* Notes of a core file about all vCPUs, appended; true: the first one is in long
 * mode. */
struct _GByteArray;
bool x86_core_notes(struct _GByteArray *out) MACHINE_CALL;
/* Calls fn for the ranges that the first vCPU with paging on maps, at most some
 * 200,000; false: there is none. */
bool x86_mappings_each(void (*fn)(void *arg, uint64_t va, uint64_t pa,
                                  uint64_t len), void *arg) MACHINE_CALL;
/* Text of one instruction at code[0..n); returns its length, 0: bad. bits 16,
 * 32 or 64. */
int x86_disas(const uint8_t *code, size_t n, uint64_t rip, int bits, char *out,
              size_t out_size);

#endif
