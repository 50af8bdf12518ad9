/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * model.c - the table of CPU models (models.def) as device types, and -cpu help.
 *
 * Thread class: MACHINE_CALL at start; tables are const.
 *
 * 1. Each -cpu name is one device type "<name>-x86_64-cpu".
 * 2. A name without a version means version 1 of its model on every machine type
 *    that Tern has; machines could choose otherwise.
 */
#include <glib.h>
#include "opt.h"
#include "x86-cpu.h"

/* ---- cache topologies of models that have their own ---------------------- */

#define ZEN_L1D { .type = 1, .level = 1, .line = 64, .ways = 8, \
    .partitions = 1, .sets = 64, .lines_per_tag = 1, .self_init = true, \
    .no_wbinvd = true }
#define ZEN_L1I(w, s) { .type = 2, .level = 1, .line = 64, .ways = w, \
    .partitions = 1, .sets = s, .lines_per_tag = 1, .self_init = true, \
    .no_wbinvd = true }
#define ZEN_L2 { .type = 3, .level = 2, .line = 64, .ways = 8, \
    .partitions = 1, .sets = 1024, .lines_per_tag = 1 }
#define ZEN_L3(s) { .type = 3, .level = 3, .line = 64, .ways = 16, \
    .partitions = 1, .sets = s, .lines_per_tag = 1, .self_init = true, \
    .inclusive = true, .complex_index = true }

static const X86Caches caches_EPYC = {
    ZEN_L1D, ZEN_L1I(4, 256), ZEN_L2, ZEN_L3(8192),
}, caches_Dhyana = {
    ZEN_L1D, ZEN_L1I(4, 256), ZEN_L2, ZEN_L3(8192),
}, caches_EPYC_Rome = {
    ZEN_L1D, ZEN_L1I(8, 64), ZEN_L2, ZEN_L3(16384),
}, caches_EPYC_Milan = {
    ZEN_L1D, ZEN_L1I(8, 64), ZEN_L2, ZEN_L3(32768),
};

/* ---- types --------------------------------------------------------------- */

#define CPU_CHILD(sym, cname, base, rows) \
    DEVICE(dev_##sym, { \
        .name = cname "-x86_64-cpu", .parent = base, \
        .desc = "CPU model " cname, .category = "cpu", \
        .on_info = &type_##sym, .size = sizeof(X86CpuDev), \
        .props = rows, .base_props = x86_cpu_feature_props, \
        .vmstate = &x86_cpu_vm, .init = x86_cpu_init, \
        .realize = x86_cpu_realize, .unrealize = x86_cpu_unrealize, \
        .request_unplug = x86_cpu_unplug_asked, .reset = x86_cpu_reset, \
    })
#define CPU_TYPE(sym, cname, rows) CPU_CHILD(sym, cname, "x86_64-cpu", rows)
#define CACHES(m) &caches_##m
#define MODEL(sym, mname, ver, ...) \
    static const X86Model sym = { .name = mname, .version = ver, \
                                  ##__VA_ARGS__ }; \
    static const X86CpuType type_##sym = { &sym, CPU_MODEL, \
                                           mname "-v" #ver, CT_VERSION, NULL }; \
    CPU_TYPE(sym, mname "-v" #ver, x86_cpu_props);
#define NAME(sym, mname) \
    static const X86CpuType type_##sym = { &sym##_v1, CPU_MODEL, mname, \
                                           CT_NAME, NULL }; \
    CPU_TYPE(sym, mname, x86_cpu_props);
#define SAME(sym, mname, of) \
    static const X86CpuType type_##sym = { &of, CPU_MODEL, mname, CT_SAME, \
                                           NULL }; \
    CPU_TYPE(sym, mname, x86_cpu_props);
#define SPECIAL(sym, mname, kd, base, rows, text) \
    static const X86CpuType type_##sym = { NULL, kd, mname, CT_SPECIAL, \
                                           text }; \
    CPU_CHILD(sym, mname, base, rows);

#include "models.def"
SPECIAL(m_base, "base", CPU_BASE, "x86_64-cpu", x86_cpu_props,
        "base CPU model type with no features enabled")
SPECIAL(m_host, "host", CPU_HOST, "max-x86_64-cpu", x86_cpu_max_props,
        "processor with all supported host features ")
SPECIAL(m_max, "max", CPU_MAX, "x86_64-cpu", x86_cpu_max_props,
        "Enables all features supported by the accelerator in the current "
        "host")

TYPE_NAME(type_cpu, { "cpu", "device", true });
TYPE_NAME(type_x86_cpu, { "x86_64-cpu", "cpu", true });

const X86CpuType *x86_cpu_type(const DeviceType *t)
{
    return t->vmstate == &x86_cpu_vm ? t->on_info : NULL;
}

const DeviceType *x86_cpu_type_find(const char *name)
{
    SET_EACH(device_types, DeviceType, p) {
        const X86CpuType *ct = x86_cpu_type(*p);

        if (ct && strcmp(ct->name, name) == 0) {
            return *p;
        }
    }
    return NULL;
}

bool x86_cpu_type_suggest(const char *name, Error **errp)
{
    OptWords w = { .n = 0 };

    SET_EACH(device_types, DeviceType, p) {
        const X86CpuType *ct = x86_cpu_type(*p);

        if (ct) {
            opt_word_add(&w, ct->name);
        }
    }
    return opt_suggest(&w, name, errp);
}

void x86_cpu_types_each(void (*fn)(const DeviceType *t, const X86CpuType *ct,
                                   void *arg), void *arg)
{
    SET_EACH(device_types, DeviceType, p) {
        const X86CpuType *ct = x86_cpu_type(*p);

        if (ct) {
            fn(*p, ct, arg);
        }
    }
}

/* ---- what a model says --------------------------------------------------- */

const X86Model *x86_model_first(const X86Model *m)
{
    while (m->from) {
        m = m->from;
    }
    return m;
}

static void apply_names(const char *list, bool on, uint64_t out[FW_COUNT])
{
    char **v = g_strsplit(list, " ", -1);

    for (unsigned i = 0; v[i]; i++) {
        uint64_t bits[FW_COUNT];

        if (*v[i] && x86_feature_find(v[i], bits)) {
            for (unsigned w = 0; w < FW_COUNT; w++) {
                out[w] = on ? out[w] | bits[w] : out[w] & ~bits[w];
            }
        }
    }
    g_strfreev(v);
}

void x86_model_features(const X86Model *m, uint64_t out[FW_COUNT])
{
    if (m->from) {
        x86_model_features(m->from, out);
    } else {
        memset(out, 0, FW_COUNT * sizeof(out[0]));
    }
    if (m->add) {
        apply_names(m->add, true, out);
    }
    if (m->drop) {
        apply_names(m->drop, false, out);
    }
}
