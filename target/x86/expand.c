/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * expand.c - from a model and the user's wishes to the features and CPUID levels
 * a guest gets: what max and host contain, features that need others, levels that
 * features imply, and what the accelerator cannot give.
 *
 * Thread class: MACHINE_CALL.
 *
 * 1. What the user switched on or off is never changed by anything but the
 *    filter, and the filter says so (check, on by default) or refuses (enforce).
 */
#include <glib.h>
#include "accel.h"
#include "x86-cpu.h"

#define BIT(n) (1ull << (n))

/* ---- what the accelerator gives ------------------------------------------ */

void x86_host_cpuid(uint32_t leaf, uint32_t sub, uint32_t out[4])
{
    if (accel && accel->type->cpu_cpuid) {
        accel->type->cpu_cpuid(leaf, sub, out);
        return;
    }
    __asm__ ("cpuid" : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3])
             : "a"(leaf), "c"(sub));
}

/* Bits that are state, not to be moved to another host. */
static uint64_t word_migratable(X86Word w)
{
    uint64_t named = 0;

    switch (w) {
    case FW_8000_0007_EDX:
        return 0;                      /* invariant TSC                       */
    case FW_XSAVE_XCR0_LO:
    case FW_XSAVE_XCR0_HI:
    case FW_XSAVE_XSS_LO:
    case FW_XSAVE_XSS_HI:
        return ~0ull;
    default:
        break;
    }
    for (unsigned b = 0; b < 64; b++) {
        named |= x86_feature_name(w, b) ? BIT(b) : 0;
    }
    return named;
}

uint64_t x86_host_word(X86Word w, bool migratable)
{
    uint64_t v = ~0ull;

    if (accel && accel->type->cpu_features) {
        v = accel->type->cpu_features(w, migratable);
    }
    return migratable ? v & word_migratable(w) : v;
}

/* Features that max and host do not switch on by themselves. */
static uint64_t word_no_auto(X86Word w)
{
    switch (w) {
    case FW_KVM:
        return accel_is("kvm") ? 0 : ~0ull;    /* elsewhere on request        */
    case FW_KVM_HINTS:
        return ~0ull;                  /* a promise only the user can give    */
    case FW_8000_0001_ECX:
        return BIT(22);                /* TOPOEXT: depends on -smp            */
    case FW_8000_0008_EBX:
        return BIT(25);                /* VIRT_SSBD: migrates only with help  */
    default:
        return 0;
    }
}

/* ---- features that need others ------------------------------------------- */

typedef struct Need {
    uint8_t word, needs_word;
    uint64_t mask, needs;
} Need;
#define ALL ~0ull

static const Need needs[] = {
    { FW_ARCH_CAP, FW_7_EDX, ALL, BIT(29) },
    { FW_CORE_CAP, FW_7_EDX, ALL, BIT(30) },
    { FW_PERF_CAP, FW_1_ECX, ALL, BIT(15) },
    { FW_VMX_PROCBASED, FW_1_ECX, ALL, BIT(5) },
    { FW_VMX_PINBASED, FW_1_ECX, ALL, BIT(5) },
    { FW_VMX_EXIT, FW_1_ECX, ALL, BIT(5) },
    { FW_VMX_ENTRY, FW_1_ECX, ALL, BIT(5) },
    { FW_VMX_MISC, FW_1_ECX, ALL, BIT(5) },
    { FW_VMX_BASIC, FW_1_ECX, ALL, BIT(5) },
    { FW_8000_0001_EDX, FW_8000_0001_EDX, BIT(27), BIT(29) },
    { FW_VMX_ENTRY, FW_8000_0001_EDX, BIT(9), BIT(29) },
    { FW_VMX_EXIT, FW_VMX_PINBASED, BIT(22), BIT(6) },
    { FW_VMX_SECONDARY, FW_VMX_PROCBASED, ALL, BIT(31) },
    { FW_VMX_SECONDARY, FW_1_ECX, BIT(11), BIT(30) },
    { FW_VMX_SECONDARY, FW_7_EBX, BIT(12), BIT(10) },
    { FW_VMX_SECONDARY, FW_7_EBX, BIT(16), BIT(18) },
    { FW_VMX_SECONDARY, FW_8000_0001_EDX, BIT(3), BIT(27) },
    { FW_VMX_EPT_VPID, FW_VMX_SECONDARY, 0xffffffff, BIT(1) },
    { FW_VMX_EPT_VPID, FW_VMX_SECONDARY, 0xffffffffull << 32, BIT(5) },
    { FW_VMX_VMFUNC, FW_VMX_SECONDARY, ALL, BIT(13) },
    { FW_SVM, FW_8000_0001_ECX, ALL, BIT(2) },
    { FW_14_0_ECX, FW_7_EBX, ALL, BIT(25) },
    { FW_SGX_12_0_EAX, FW_7_EBX, ALL, BIT(2) },
    { FW_SGX_12_0_EBX, FW_7_EBX, ALL, BIT(2) },
    { FW_SGX_12_1_EAX, FW_7_EBX, ALL, BIT(2) },
    { FW_XSAVE, FW_1_ECX, ALL, BIT(26) },
};

/* Filtered bits of a word, and a warning for each that has a name. */
static void mark_unavailable(X86CpuDev *d, X86Word w, uint64_t mask,
                             const char *text)
{
    uint64_t lost = d->x.features[w] & mask;
    char where[40];

    if (!d->force_features) {
        d->x.features[w] &= ~mask;
    }
    d->x.filtered[w] |= lost;
    for (unsigned b = 0; text && b < 64; b++) {
        const char *name = lost >> b & 1 ? x86_feature_name(w, b) : NULL;

        if (lost >> b & 1) {
            warn_report("%s: %s%s%s [bit %u]", text,
                        x86_word_text(w, where, sizeof(where)),
                        name ? "." : "", name ? name : "", b);
        }
    }
}

static void apply_needs(X86CpuDev *d)
{
    for (unsigned i = 0; i < ARRAY_SIZE(needs); i++) {
        const Need *n = &needs[i];
        uint64_t *f = d->x.features;

        if ((f[n->needs_word] & n->needs) == n->needs) {
            continue;
        }
        if (d->user_on[n->word] & f[n->word] & n->mask) {
            mark_unavailable(d, n->word,
                             d->user_on[n->word] & f[n->word] & n->mask,
                             "This feature depends on other features that "
                             "were not requested");
        }
        f[n->word] &= ~n->mask;
    }
}

/* ---- XSAVE --------------------------------------------------------------- */

/* State component -> the feature that brings it (SDM vol. 1, 13.1). */
static const struct { uint8_t component, word, bit; } components[] = {
    { 2, FW_1_ECX, 28 },               /* AVX                                 */
    { 3, FW_7_EBX, 14 }, { 4, FW_7_EBX, 14 },      /* MPX                     */
    { 5, FW_7_EBX, 16 }, { 6, FW_7_EBX, 16 },
    { 7, FW_7_EBX, 16 },               /* AVX-512                             */
    { 9, FW_7_ECX, 3 },                /* PKU                                 */
    { 17, FW_7_EDX, 24 }, { 18, FW_7_EDX, 24 },    /* AMX tiles               */
};

static void set_components(X86CpuDev *d)
{
    uint64_t *f = d->x.features, mask = 3;

    f[FW_XSAVE_XCR0_LO] = f[FW_XSAVE_XCR0_HI] = 0;
    f[FW_XSAVE_XSS_LO] = f[FW_XSAVE_XSS_HI] = 0;
    if (!(f[FW_1_ECX] & BIT(26))) {
        return;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(components); i++) {
        if (f[components[i].word] & BIT(components[i].bit)) {
            mask |= BIT(components[i].component);
        }
    }
    f[FW_XSAVE_XCR0_LO] = mask & 0xffffffff;
    f[FW_XSAVE_XCR0_HI] = mask >> 32;
}

/* ---- levels -------------------------------------------------------------- */

static void at_least(uint32_t *level, uint32_t leaf)
{
    *level = MAX2(*level, leaf);
}

static void auto_levels(X86CpuDev *d, uint32_t *func7)
{
    const uint64_t *f = d->x.features;

    for (unsigned w = 0; w < FW_COUNT; w++) {
        const X86WordSource *s = x86_word(w);

        if (!f[w] || s->msr || s->leaf >> 16 == 0x4000) {
            continue;
        }
        if (s->leaf >= 0xc0000000) {
            at_least(&d->min_xlevel2, s->leaf);
        } else if (s->leaf >= 0x80000000) {
            at_least(&d->min_xlevel, s->leaf);
        } else {
            at_least(&d->min_level, s->leaf);
        }
        if (s->leaf == 7) {
            at_least(func7, s->sub);
        }
    }
    if (f[FW_7_EBX] & BIT(25) && d->intel_pt_auto_level) {
        at_least(&d->min_level, 0x14);
    }
    if (machine && machine->dies > 1 &&
        (strcmp(d->x.vendor, "GenuineIntel") == 0 || !d->vendor_cpuid_only)) {
        at_least(&d->min_level, 0x1f);
    }
    if (f[FW_8000_0001_ECX] & BIT(2)) {
        at_least(&d->min_xlevel, 0x8000000a);
    }
    if (f[FW_7_ECX] & BIT(16)) {
        /* who uses 57-bit addresses asks there how wide they are */
        at_least(&d->min_xlevel, 0x80000008);
    }
    if (f[FW_7_EBX] & BIT(2)) {
        at_least(&d->min_level, 0x12);
    }
}

static void set_levels(X86CpuDev *d)
{
    uint32_t func7 = 0;

    if (d->full_auto_level) {
        auto_levels(d, &func7);
    }
    if (d->level_func7 == UINT32_MAX) {
        d->level_func7 = func7;
    }
    d->x.level = d->level_wish == UINT32_MAX ? d->min_level : d->level_wish;
    d->x.xlevel = d->xlevel_wish == UINT32_MAX ? d->min_xlevel
                                               : d->xlevel_wish;
    d->x.level2 = d->xlevel2_wish == UINT32_MAX ? d->min_xlevel2
                                                : d->xlevel2_wish;
    d->level_wish = d->x.level;
    d->xlevel_wish = d->x.xlevel;
    d->xlevel2_wish = d->x.level2;
}

/* ---- the whole ----------------------------------------------------------- */

/* AMD repeats part of leaf 1 in its extended leaf (APM vol. 3, E.4.2). */
#define AMD_ALIASES 0x0183f3ffull

static void expand_all(X86CpuDev *d) MACHINE_CALL;
static void expand_all(X86CpuDev *d)
{
    CpuKind kind = x86_cpu_type(d->x.cpu.dev.type)->kind;
    uint64_t *f = d->x.features;

    if (kind == CPU_MAX || kind == CPU_HOST) {
        for (unsigned w = 0; w < FW_COUNT; w++) {
            uint64_t auto_on = x86_host_word(w, d->migratable) &
                               ~word_no_auto(w);

            f[w] |= auto_on & ~d->user_off[w] & ~d->user_on[w];
        }
    }
    if (!d->kvm) {
        f[FW_KVM] = f[FW_KVM_HINTS] = 0;
    }
    apply_needs(d);
    set_components(d);
    set_levels(d);
}

static bool filter(X86CpuDev *d, Error **errp) MACHINE_CALL;
static bool filter(X86CpuDev *d, Error **errp)
{
    const char *who = accel_is("soft") ? "TCG" : "host";
    g_autofree char *text = g_strdup_printf("%s doesn't support requested "
                                            "feature", who);
    bool tell = d->check || d->enforce, lost = false;

    for (unsigned w = 0; w < FW_COUNT; w++) {
        uint64_t have = x86_host_word(w, false);
        uint64_t missing = d->x.features[w] & ~have;

        if (missing) {
            mark_unavailable(d, w, missing, tell ? text : NULL);
        }
        lost |= d->x.filtered[w] != 0;
    }
    if (lost && d->enforce) {
        return error_set(errp, "%s support requested features",
                         accel_is("soft") ? "TCG doesn't" : "Host doesn't");
    }
    return true;
}

bool x86_expand(X86CpuDev *d, bool do_filter, Error **errp)
{
    uint64_t *f = d->x.features;

    expand_all(d);
    d->expanded = true;
    if (!do_filter) {
        return true;
    }
    memset(d->x.filtered, 0, sizeof(d->x.filtered));
    if (!filter(d, errp)) {
        return false;
    }
    set_components(d);
    f[FW_XSAVE_XCR0_LO] &= x86_host_word(FW_XSAVE_XCR0_LO, false);
    f[FW_XSAVE_XCR0_HI] &= x86_host_word(FW_XSAVE_XCR0_HI, false);
    if (strcmp(d->x.vendor, "AuthenticAMD") == 0) {
        f[FW_8000_0001_EDX] = (f[FW_8000_0001_EDX] & ~AMD_ALIASES) |
                              (f[FW_1_EDX] & AMD_ALIASES);
    }
    return true;
}
