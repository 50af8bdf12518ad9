/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * features.c - feature words and the names of their bits (features.def), and the
 * property rows made of them.
 *
 * Thread class: any; tables are const.
 *
 * 1. A name's property sets and shows all bits of that name.
 * 2. What the user sets is kept in user_on/user_off beside the feature words, so
 *    that it can be told from what the model says.
 */
#include <glib.h>
#include "opt.h"
#include "x86-cpu.h"

typedef struct Name {
    const char *name;
    uint8_t word, bit;
} Name;
#define FEATURE(w, b, n) { n, FW_##w, b },
#define FEATURE_AGAIN(w, b, n) { n, FW_##w, b },
#define SPELLING(other, n)
static const Name names[] = {
#include "features.def"
};
#undef FEATURE
#undef FEATURE_AGAIN
#undef SPELLING

#define FEATURE(w, b, n)
#define FEATURE_AGAIN(w, b, n)
#define SPELLING(other, n) { other, n },
static const struct { const char *other, *name; } spellings[] = {
#include "features.def"
};
#undef FEATURE
#undef FEATURE_AGAIN
#undef SPELLING

enum { A, B, C, D };
static const X86WordSource sources[FW_COUNT] = {
    [FW_1_EDX] = { 1, .reg = D }, [FW_1_ECX] = { 1, .reg = C },
    [FW_7_EBX] = { 7, 0, B, true }, [FW_7_ECX] = { 7, 0, C, true },
    [FW_7_EDX] = { 7, 0, D, true }, [FW_7_1_EAX] = { 7, 1, A, true },
    [FW_8000_0001_EDX] = { 0x80000001, .reg = D },
    [FW_8000_0001_ECX] = { 0x80000001, .reg = C },
    [FW_8000_0007_EDX] = { 0x80000007, .reg = D },
    [FW_8000_0008_EBX] = { 0x80000008, .reg = B },
    [FW_C000_0001_EDX] = { 0xc0000001, .reg = D },
    [FW_KVM] = { 0x40000001, .reg = A },
    [FW_KVM_HINTS] = { 0x40000001, .reg = D },
    [FW_SVM] = { 0x8000000a, .reg = D },
    [FW_XSAVE] = { 0xd, 1, A, true }, [FW_6_EAX] = { 6, .reg = A },
    [FW_XSAVE_XCR0_LO] = { 0xd, 0, A, true },
    [FW_XSAVE_XCR0_HI] = { 0xd, 0, D, true },
    [FW_XSAVE_XSS_LO] = { 0xd, 1, C, true },
    [FW_XSAVE_XSS_HI] = { 0xd, 1, D, true },
    [FW_ARCH_CAP] = { .msr = 0x10a }, [FW_CORE_CAP] = { .msr = 0xcf },
    [FW_PERF_CAP] = { .msr = 0x345 },
    [FW_14_0_ECX] = { 0x14, 0, C, true },
    [FW_SGX_12_0_EAX] = { 0x12, 0, A, true },
    [FW_SGX_12_0_EBX] = { 0x12, 0, B, true },
    [FW_SGX_12_1_EAX] = { 0x12, 1, A, true },
    [FW_VMX_PROCBASED] = { .msr = 0x48e },
    [FW_VMX_SECONDARY] = { .msr = 0x48b },
    [FW_VMX_PINBASED] = { .msr = 0x48d }, [FW_VMX_EXIT] = { .msr = 0x48f },
    [FW_VMX_ENTRY] = { .msr = 0x490 }, [FW_VMX_MISC] = { .msr = 0x485 },
    [FW_VMX_EPT_VPID] = { .msr = 0x48c }, [FW_VMX_BASIC] = { .msr = 0x480 },
    [FW_VMX_VMFUNC] = { .msr = 0x491 },
};

const X86WordSource *x86_word(X86Word w)
{
    return &sources[w];
}

const char *x86_feature_name(X86Word w, unsigned bit)
{
    /* State components go by the feature that brings them. */
    static const char *const components[] = {
        [2] = "avx", [3] = "mpx", [4] = "mpx", [5] = "avx512f",
        [6] = "avx512f", [7] = "avx512f", [9] = "pku", [17] = "amx-tile",
        [18] = "amx-tile",
    };

    if (w == FW_XSAVE_XCR0_LO) {
        return bit < ARRAY_SIZE(components) ? components[bit] : NULL;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        if (names[i].word == w && names[i].bit == bit) {
            return names[i].name;
        }
    }
    return NULL;
}

bool x86_feature_find(const char *name, uint64_t bits[FW_COUNT])
{
    bool found = false;

    for (unsigned i = 0; i < ARRAY_SIZE(spellings); i++) {
        if (strcmp(spellings[i].other, name) == 0) {
            name = spellings[i].name;
            break;
        }
    }
    memset(bits, 0, FW_COUNT * sizeof(bits[0]));
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        if (strcmp(names[i].name, name) == 0) {
            bits[names[i].word] |= 1ull << names[i].bit;
            found = true;
        }
    }
    return found;
}

bool x86_feature_suggest(const char *name, Error **errp)
{
    OptWords w = { .n = 0 };

    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        opt_word_add(&w, names[i].name);
    }
    return opt_suggest(&w, name, errp);
}

static int text_order(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char *const *x86_feature_names(size_t *n)
{
    static const char *all[ARRAY_SIZE(names)];

    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        all[i] = names[i].name;
    }
    qsort(all, ARRAY_SIZE(names), sizeof(all[0]), text_order);
    *n = ARRAY_SIZE(names);
    return all;
}

Json *x86_feature_list(const uint64_t words[FW_COUNT])
{
    Json *list = json_list();

    for (unsigned w = 0; w < FW_COUNT; w++) {
        for (unsigned b = 0; b < 64; b++) {
            const char *name = words[w] >> b & 1 ? x86_feature_name(w, b)
                                                 : NULL;

            if (name) {
                json_add(list, json_str(name));
            }
        }
    }
    return list;
}

const char *x86_word_text(X86Word w, char *buf, size_t n)
{
    static const char *const regs[] = { "EAX", "EBX", "ECX", "EDX" };
    const X86WordSource *s = &sources[w];

    if (s->msr) {
        snprintf(buf, n, "MSR(%XH)", s->msr);
    } else {
        snprintf(buf, n, "CPUID.%02XH:%s", s->leaf, regs[s->reg]);
    }
    return buf;
}

/* ---- property rows ------------------------------------------------------- */

static X86CpuDev *dev_of(const Obj *o)
{
    return container_of(o, X86CpuDev, x.cpu.dev.obj);
}

static Json *feature_get(const Obj *o, const Prop *p, Error **errp)
{
    const X86CpuDev *d = dev_of(o);
    uint64_t bits[FW_COUNT];
    bool all = x86_feature_find(p->name, bits);

    for (unsigned w = 0; w < FW_COUNT; w++) {
        all &= (d->x.features[w] & bits[w]) == bits[w];
    }
    return json_bool(all);
}

static bool feature_set(Obj *o, const Prop *p, const Json *v, Error **errp)
{
    X86CpuDev *d = dev_of(o);
    uint64_t bits[FW_COUNT];
    bool on;

    if (d->x.cpu.dev.realized) {
        return error_set(errp, "Attempt to set property '%s' on anonymous "
                         "device (type '%s') after it was realized", p->name,
                         d->x.cpu.dev.type->name);
    }
    if (json_kind(v) == JSON_STR) {
        if (!opt_bool(p->name, json_str_of(v), &on, errp)) {
            return false;
        }
    } else if (json_kind(v) == JSON_BOOL) {
        on = json_bool_of(v);
    } else {
        return error_set(errp, "Invalid parameter type for '%s', expected: "
                         "boolean", p->name);
    }
    x86_feature_find(p->name, bits);
    for (unsigned w = 0; w < FW_COUNT; w++) {
        d->x.features[w] = on ? d->x.features[w] | bits[w]
                              : d->x.features[w] & ~bits[w];
        d->user_on[w] = on ? d->user_on[w] | bits[w]
                           : d->user_on[w] & ~bits[w];
        d->user_off[w] = on ? d->user_off[w] & ~bits[w]
                            : d->user_off[w] | bits[w];
    }
    return true;
}

#define FEATURE(w, b, n) \
    PROP_CALL(n, "bool", feature_get, feature_set, .flags = PF_HIDDEN),
#define FEATURE_AGAIN(w, b, n)
#define SPELLING(other, n) \
    PROP_CALL(other, "bool", feature_get, feature_set, .flags = PF_HIDDEN),
const Prop x86_cpu_feature_props[] = {
#include "features.def"
    PROP_END
};
