/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * x86-cpu.h - the CPU device and CPU models; private to target/x86.
 */
#ifndef TERN_X86_CPU_H
#define TERN_X86_CPU_H

#include "machine.h"
#include "x86.h"

/* ---- cache topology (CPUID 4 and 8000001D; AMD 80000005/6) --------------- */
typedef struct X86Cache {
    uint8_t type;                      /* 1 data, 2 code, 3 unified; 0: none  */
    uint8_t level;
    uint8_t partitions;                /* 1..                                 */
    uint16_t line, ways;
    uint8_t lines_per_tag;             /* AMD's leaves                        */
    uint32_t sets;
    bool self_init, no_wbinvd, inclusive, complex_index, die_wide;
} X86Cache;
typedef struct X86Caches {
    X86Cache l1d, l1i, l2, l3;
} X86Caches;
extern const X86Caches x86_caches_legacy_amd, x86_caches_legacy;

/* ---- models -------------------------------------------------------------- */
struct X86Model {
    const char *name;
    unsigned version;
    const X86Model *from;              /* an earlier version                  */
    const char *vendor;                /* NULL: as in `from`                  */
    int family, model, stepping;       /* 0: as in `from`                     */
    uint32_t level, xlevel, xlevel2;
    const char *id, *note;
    const char *add, *drop;            /* names of features, spaces between   */
    const X86Caches *caches;
};
typedef enum CpuKind { CPU_MODEL, CPU_BASE, CPU_MAX, CPU_HOST } CpuKind;
/* DeviceType.on_info of a CPU type. */
typedef struct X86CpuType {
    const X86Model *model;             /* NULL for base, max, host            */
    CpuKind kind;
    const char *name;                  /* as in -cpu                          */
    enum { CT_VERSION, CT_NAME, CT_SAME, CT_SPECIAL } form;
    const char *desc;                  /* -cpu help, where not from the model */
} X86CpuType;
const X86CpuType *x86_cpu_type(const DeviceType *t);
/* By -cpu name; NULL: none. */
const DeviceType *x86_cpu_type_find(const char *name);
/* The hint which model, or which feature, may have been meant; false. */
bool x86_cpu_type_suggest(const char *name, Error **errp);
bool x86_feature_suggest(const char *name, Error **errp);
void x86_cpu_types_each(void (*fn)(const DeviceType *t, const X86CpuType *ct,
                                   void *arg), void *arg);
/* The model's ids; base: zeros. */
const X86Model *x86_model_first(const X86Model *m);
/* Its feature words, without what an accelerator adds. */
void x86_model_features(const X86Model *m, uint64_t out[FW_COUNT]);

/* ---- the CPU device ------------------------------------------------------ */
typedef struct X86CpuDev {
    X86Cpu x;                          /* first                               */
    /* Features the user named, on and off. */
    uint64_t user_on[FW_COUNT], user_off[FW_COUNT];
    bool check, enforce, force_features, migratable, kvm, expose_tcg;
    bool host_phys_bits, fill_mtrr_mask, pmu, lmce, l3_cache, cpuid_0xb;
    bool full_auto_level, intel_pt_auto_level, legacy_cache, host_cache_info;
    bool vmware_freq, vendor_cpuid_only, kvm_no_smi_migration;
    bool kvm_pv_enforce, migrate_smi_count, start_powered_off;
    uint8_t host_phys_bits_limit;
    uint32_t level_wish, xlevel_wish, xlevel2_wish;    /* UINT32_MAX: unset     */
    uint32_t min_level, min_xlevel, min_xlevel2, level_func7;
    uint64_t lbr_fmt;
    /* Hyper-V */
    uint64_t hv;                       /* what was asked for, by HvBit        */
    bool hv_passthrough, hv_enforce, hv_synic_kvm_only;
    uint32_t hv_spinlocks;
    OnOffAuto hv_no_nonarch;
    char *hv_vendor;
    uint32_t hv_build, hv_spack, hv_snumber;
    uint16_t hv_major, hv_minor;
    uint8_t hv_sbranch;
    int32_t hv_max_vps;
    const X86Caches *caches;
    /* Whether the table has been filled in by realize. */
    bool expanded;
} X86CpuDev;

static inline X86CpuDev *x86_dev(const X86Cpu *c)
{
    return (X86CpuDev *)c;
}

extern const Prop x86_cpu_props[], x86_cpu_max_props[],
                  x86_cpu_feature_props[];
extern const VmState x86_cpu_vm;
void x86_cpu_init(Device *dev) MACHINE_CALL;
bool x86_cpu_realize(Device *dev, Error **errp) MACHINE_CALL;
void x86_cpu_unrealize(Device *dev) MACHINE_CALL;
bool x86_cpu_unplug_asked(Device *dev, Error **errp) MACHINE_CALL;
void x86_cpu_reset(Device *dev, ResetKind kind) MACHINE_CALL;
/* The model's value of a field, from the nearest version that has one. */
const char *x86_model_vendor(const X86Model *m);
const char *x86_model_id(const X86Model *m);

/* features.c: a property row's name to bits; false: not a feature. */
bool x86_feature_find(const char *name, uint64_t bits[FW_COUNT]);
const char *x86_word_text(X86Word w, char *buf, size_t n);
/* All names, sorted; *n of them. Static. */
const char *const *x86_feature_names(size_t *n);

/* expand.c: features and levels from model, user and accelerator; filters.
 * filter: false for query-cpu-model-expansion. */
bool x86_expand(X86CpuDev *d, bool filter, Error **errp) MACHINE_CALL;
/* What the accelerator can give. */
uint64_t x86_host_word(X86Word w, bool migratable);
void x86_host_cpuid(uint32_t leaf, uint32_t sub, uint32_t out[4]);
/* Names of the bits set in words; caller owns. */
Json *x86_feature_list(const uint64_t words[FW_COUNT]);

/* cpuid.c: fills cpuid and ncpuid. */
void x86_cpuid_build(X86CpuDev *d) MACHINE_CALL;
/* hyperv.c: decides what x.hyperv offers. */
bool x86_hyperv_check(X86CpuDev *d, Error **errp) MACHINE_CALL;
/* Its leaves, at most X86_HV_LEAVES; returns how many (0: no hv-*). */
unsigned x86_hyperv_leaves(const X86CpuDev *d, X86CpuidLeaf *out) MACHINE_CALL;
#define X86_HV_LEAVES 14

/* info-regs.c: a copy of the registers, taken in the vCPU's thread. */
void x86_regs_read(X86Cpu *c, X86Regs *out) MACHINE_CALL;
/* $name of HMP expressions. */
bool x86_register_get(int cpu_index, const char *name, uint64_t *v);

/* topo.c */
typedef struct X86Shifts {
    unsigned core, die, socket;        /* bits below core, die, socket id     */
} X86Shifts;
X86Shifts x86_shifts(const Machine *m);
/* APIC id, place and index of a CPU that is about to be realized: from whichever
 * of them the user gave. */
bool x86_cpu_locate(X86CpuDev *d, Error **errp) MACHINE_CALL;
/* Device type of the board's CPUs; NULL: it has none. */
const char *x86_cpu_type_chosen(void);

#endif
