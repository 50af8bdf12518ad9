/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ops-sys.h - what the files of system instructions share. */
#ifndef ACCEL_SOFT_OPS_SYS_H
#define ACCEL_SOFT_OPS_SYS_H

#include "soft.h"

#define H(name) static const Slot *name(SoftCpu *c, const Slot *s)

void soft_need_cpl0(SoftCpu *c, const Slot *s);
BindFn soft_b_msr;
/* Rows that soft_b_msr serves; arg chooses. */
enum { M_RDMSR, M_WRMSR, M_RDTSC, M_RDTSCP, M_RDPMC, M_CPUID, M_WBINVD,
       M_INVLPG, M_INVPCID, M_MONITOR, M_MWAIT, M_CLAC, M_STAC, M_XGETBV,
       M_XSETBV, M_SWAPGS, M_RDFS, M_RDGS, M_WRFS, M_WRGS, M_RDPID, M_RDRAND,
       M_RDPKRU, M_WRPKRU, M_FENCE, M_CLFLUSH, M_MOVNTI };
#define SOFT_BINDS_MSR \
    { "rdmsr", soft_b_msr, M_RDMSR }, { "wrmsr", soft_b_msr, M_WRMSR }, \
    { "rdtsc", soft_b_msr, M_RDTSC }, { "rdtscp", soft_b_msr, M_RDTSCP }, \
    { "rdpmc", soft_b_msr, M_RDPMC }, { "cpuid", soft_b_msr, M_CPUID }, \
    { "wbinvd", soft_b_msr, M_WBINVD }, { "invd", soft_b_msr, M_WBINVD }, \
    { "invlpg", soft_b_msr, M_INVLPG }, \
    { "invpcid", soft_b_msr, M_INVPCID }, \
    { "monitor", soft_b_msr, M_MONITOR }, { "mwait", soft_b_msr, M_MWAIT }, \
    { "clac", soft_b_msr, M_CLAC }, { "stac", soft_b_msr, M_STAC }, \
    { "xgetbv", soft_b_msr, M_XGETBV }, { "xsetbv", soft_b_msr, M_XSETBV }, \
    { "swapgs", soft_b_msr, M_SWAPGS }, { "rdfsbase", soft_b_msr, M_RDFS }, \
    { "rdgsbase", soft_b_msr, M_RDGS }, { "wrfsbase", soft_b_msr, M_WRFS }, \
    { "wrgsbase", soft_b_msr, M_WRGS }, { "rdpid", soft_b_msr, M_RDPID }, \
    { "rdrand", soft_b_msr, M_RDRAND }, { "rdseed", soft_b_msr, M_RDRAND }, \
    { "rdpkru", soft_b_msr, M_RDPKRU }, { "wrpkru", soft_b_msr, M_WRPKRU }, \
    { "lfence", soft_b_msr, M_FENCE }, { "mfence", soft_b_msr, M_FENCE }, \
    { "sfence", soft_b_msr, M_FENCE }, { "clflush", soft_b_msr, M_CLFLUSH }, \
    { "clflushopt", soft_b_msr, M_CLFLUSH }, \
    { "clwb", soft_b_msr, M_CLFLUSH }, { "movnti", soft_b_msr, M_MOVNTI },

#endif
