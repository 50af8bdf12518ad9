/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cpu.c - the CPU as a device: its properties, realize, reset.
 *
 * Thread class: MACHINE_CALL.
 *
 * 1. Order of what a property's value comes from: row, model, machine's compat,
 *    -cpu and -global, the user's own.
 * 2. Realize works out features and CPUID once; afterwards they do not change.
 */
#include <glib.h>
#include "accel.h"
#include "opt.h"
#include "pc.h"
#include "x86-cpu.h"

/* ---- computed properties ------------------------------------------------- */

static X86CpuDev *dev_of(const Obj *o)
{
    return container_of(o, X86CpuDev, x.cpu.dev.obj);
}

static Json *vendor_get(const Obj *o, const Prop *p, Error **errp)
{
    return json_str(dev_of(o)->x.vendor);
}

static bool vendor_set(Obj *o, const Prop *p, const Json *v, Error **errp)
{
    X86CpuDev *d = dev_of(o);
    const char *s = json_kind(v) == JSON_STR ? json_str_of(v) : "";

    if (strlen(s) != 12) {
        return error_set(errp, "Property '.vendor' doesn't take value '%s'",
                         s);
    }
    strcpy(d->x.vendor, s);
    return true;
}

static Json *model_id_get(const Obj *o, const Prop *p, Error **errp)
{
    return json_str(dev_of(o)->x.model_id);
}

static bool model_id_set(Obj *o, const Prop *p, const Json *v, Error **errp)
{
    X86CpuDev *d = dev_of(o);

    if (json_kind(v) != JSON_STR) {
        return error_set(errp, "Invalid parameter type for 'model-id', "
                         "expected: string");
    }
    g_strlcpy(d->x.model_id, json_str_of(v), sizeof(d->x.model_id));
    return true;
}

static Json *tsc_get(const Obj *o, const Prop *p, Error **errp)
{
    return json_int(dev_of(o)->x.tsc_khz * 1000);
}

static bool tsc_set(Obj *o, const Prop *p, const Json *v, Error **errp)
{
    uint64_t hz = 0;

    if (json_kind(v) == JSON_STR) {
        if (!opt_size(p->name, json_str_of(v), 1, &hz, errp)) {
            return false;
        }
    } else if (json_kind(v) == JSON_INT && json_int_of(v) >= 0) {
        hz = json_int_of(v);
    }
    dev_of(o)->x.tsc_khz = hz / 1000;
    return true;
}

static const struct { const char *name; uint32_t min, max; } id_rows[] = {
    { "family", 0, 0xff + 0xf }, { "model", 0, 0xff }, { "stepping", 0, 0xf },
};

static uint32_t *id_field(X86CpuDev *d, const char *name)
{
    return *name == 'f' ? &d->x.family
         : *name == 'm' ? &d->x.model : &d->x.stepping;
}

static Json *id_get(const Obj *o, const Prop *p, Error **errp)
{
    return json_int(*id_field(dev_of(o), p->name));
}

static bool id_set(Obj *o, const Prop *p, const Json *v, Error **errp)
{
    int64_t n = -1;

    if (json_kind(v) == JSON_STR) {
        if (!opt_i64(p->name, json_str_of(v), &n, errp)) {
            return false;
        }
    } else if (json_kind(v) == JSON_INT) {
        n = json_int_of(v);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(id_rows); i++) {
        if (strcmp(id_rows[i].name, p->name) == 0 &&
            (n < id_rows[i].min || n > id_rows[i].max)) {
            return error_set(errp, "Property .%s doesn't take value %" PRId64
                             " (minimum: %u, maximum: %u)", p->name, n,
                             id_rows[i].min, id_rows[i].max);
        }
    }
    *id_field(dev_of(o), p->name) = n;
    return true;
}

static Json *words_json(const uint64_t words[FW_COUNT])
{
    static const char *const regs[] = { "EAX", "EBX", "ECX", "EDX" };
    Json *list = json_list();

    for (unsigned w = 0; w < FW_COUNT; w++) {
        const X86WordSource *s = x86_word(w);
        Json *e;

        if (s->msr) {
            continue;
        }
        e = json_obj();
        json_set_int(e, "cpuid-input-eax", s->leaf);
        json_set_str(e, "cpuid-register", regs[s->reg]);
        if (s->has_sub) {
            json_set_int(e, "cpuid-input-ecx", s->sub);
        }
        json_set_int(e, "features", words[w]);
        json_add(list, e);
    }
    return list;
}

static Json *words_get(const Obj *o, const Prop *p, Error **errp)
{
    const X86CpuDev *d = dev_of(o);

    return words_json(strcmp(p->name, "feature-words") == 0 ? d->x.features
                                                            : d->x.filtered);
}

static Json *unavailable_get(const Obj *o, const Prop *p, Error **errp)
{
    return x86_feature_list(dev_of(o)->x.filtered);
}

static Json *crash_get(const Obj *o, const Prop *p, Error **errp)
{
    error_set(errp, "No crash occurred");
    return NULL;
}

static Json *memory_get(const Obj *o, const Prop *p, Error **errp) NO_TSA;
static Json *memory_get(const Obj *o, const Prop *p, Error **errp)
{
    const Obj *root = &mem_system.root->obj;
    g_autofree char *path = root->parent ? obj_path(root) : NULL;

    return json_str(path ? path : "");
}

/* ---- rows ---------------------------------------------------------------- */

#define X X86CpuDev
#define HV(n, b) \
    PROP_BIT64(n, X, hv, b, false, .type = "bool", .desc = "on/off")

const Prop x86_cpu_props[] = {
#include "cpu-props.def"
    PROP_END
};
/* What only means something where the host's processor is the model. */
const Prop x86_cpu_max_props[] = {
#include "cpu-props.def"
    PROP_BOOL("migratable", X, migratable, true),
    PROP_BOOL("host-cache-info", X, host_cache_info, false),
    PROP_END
};
#undef X
#undef HV

/* ---- the model's values -------------------------------------------------- */

#define MODEL_FIELD(m, f) ({ \
    const X86Model *m_ = (m); \
    while (!m_->f && m_->from) { \
        m_ = m_->from; \
    } \
    m_->f; \
})

const char *x86_model_vendor(const X86Model *m)
{
    return MODEL_FIELD(m, vendor);
}

const char *x86_model_id(const X86Model *m)
{
    const char *id = MODEL_FIELD(m, id);

    return id ? id : "";
}

static void host_ids(X86CpuDev *d) MACHINE_CALL;
static void host_ids(X86CpuDev *d)
{
    uint32_t r[4];

    x86_host_cpuid(0, 0, r);
    st_le32(d->x.vendor, r[1]);
    st_le32(d->x.vendor + 4, r[3]);
    st_le32(d->x.vendor + 8, r[2]);
    x86_host_cpuid(1, 0, r);
    d->x.stepping = r[0] & 15;
    d->x.family = (r[0] >> 8 & 15) +
                  ((r[0] >> 8 & 15) == 15 ? r[0] >> 20 & 0xff : 0);
    d->x.model = (r[0] >> 4 & 15) | (r[0] >> 12 & 0xf0);
}

static void host_model_id(X86CpuDev *d)
{
    uint32_t r[4];

    memset(d->x.model_id, 0, sizeof(d->x.model_id));
    for (unsigned i = 0; i < 3; i++) {
        __asm__ ("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
                 : "a"(0x80000002 + i), "c"(0));
        memcpy(d->x.model_id + i * 16, r, 16);
    }
}

/* max and host: the accelerator's processor; its features come at realize,
 * because migratable=off may still be said. */
static void init_max(X86CpuDev *d) MACHINE_CALL;
static void init_max(X86CpuDev *d)
{
    uint32_t r[4];

    d->min_level = d->min_xlevel = d->min_xlevel2 = 0;
    if (accel_is("kvm")) {
        host_ids(d);
        host_model_id(d);
        x86_host_cpuid(0, 0, r);
        d->min_level = r[0];
        x86_host_cpuid(0x80000000, 0, r);
        d->min_xlevel = r[0];
        x86_host_cpuid(0xc0000000, 0, r);
        d->min_xlevel2 = r[0];
        d->host_phys_bits = true;
        d->pmu = true;
    } else {
        strcpy(d->x.vendor, "AuthenticAMD");
        strcpy(d->x.model_id, "Tern software CPU");
        /* name, caches, address sizes */
        d->min_xlevel = 0x80000008;
        d->x.family = 15;
        d->x.model = 107;
        d->x.stepping = 1;
    }
}

static void init_model(X86CpuDev *d, const X86Model *m) MACHINE_CALL;
static void init_model(X86CpuDev *d, const X86Model *m)
{
    static const char kvm_on[] = "kvmclock kvm-nopiodelay kvm-asyncpf "
        "kvm-steal-time kvm-pv-eoi kvmclock-stable-bit x2apic",
        kvm_off[] = "acpi monitor svm", sw_off[] = "vme",
        soft_off[] = "vme svm";
    static const X86Model kvm_row = { .add = kvm_on, .drop = kvm_off };
    uint64_t *f = d->x.features, on[FW_COUNT], off[FW_COUNT];
    X86Model lists = kvm_row;

    x86_model_features(m, f);
    f[FW_1_ECX] |= 1u << 31;           /* it is a guest                       */
    strcpy(d->x.vendor, x86_model_vendor(m));
    g_strlcpy(d->x.model_id, x86_model_id(m), sizeof(d->x.model_id));
    d->x.family = MODEL_FIELD(m, family);
    d->x.model = MODEL_FIELD(m, model);
    d->x.stepping = MODEL_FIELD(m, stepping);
    d->min_level = MODEL_FIELD(m, level);
    d->min_xlevel = MODEL_FIELD(m, xlevel);
    d->min_xlevel2 = MODEL_FIELD(m, xlevel2);
    d->caches = MODEL_FIELD(m, caches);
    d->legacy_cache = !d->caches;
    if (accel_is("kvm")) {
        X86Model drops = { .add = kvm_off };
        uint32_t family = d->x.family, mod = d->x.model, st = d->x.stepping;

        x86_model_features(&lists, on);
        x86_model_features(&drops, off);
        if (!accel_irq.apic_in_kernel) {
            on[FW_1_ECX] &= ~(1ull << 21);
        }
        host_ids(d);                   /* the vendor decides on instructions  */
        d->x.family = family;
        d->x.model = mod;
        d->x.stepping = st;
    } else {
        X86Model drops = {
            .add = accel_is("soft") ? soft_off : sw_off
        };

        memset(on, 0, sizeof(on));
        x86_model_features(&drops, off);
    }
    for (unsigned w = 0; w < FW_COUNT; w++) {
        f[w] = (f[w] | on[w]) & ~off[w];
    }
}

static bool cpu_has_work(const Cpu *cpu)
{
    unsigned in = __atomic_load_n(&cpu->interrupt, __ATOMIC_SEQ_CST);

    return (in & ~CPU_INT_HARD) ||
           ((in & CPU_INT_HARD) &&
            (x86_cpu((Cpu *)cpu)->regs.rflags & 0x200));
}

void x86_cpu_init(Device *dev)
{
    X86CpuDev *d = container_of(dev, X86CpuDev, x.cpu.dev);
    const X86CpuType *ct = x86_cpu_type(dev->type);

    d->x.def = ct->model;
    d->x.cpu.has_work = cpu_has_work;
    d->x.cpu.stopped = true;
    d->x.regs.mcg_cap = 1u << 24 | 1u << 8 | X86_MCE_BANKS;
    if (ct->kind == CPU_MODEL) {
        init_model(d, ct->model);
    } else if (ct->kind != CPU_BASE) {
        init_max(d);
    }
}

/* ---- realize ------------------------------------------------------------- */

static bool realize_phys_bits(X86CpuDev *d, Error **errp) MACHINE_CALL;
static bool realize_phys_bits(X86CpuDev *d, Error **errp)
{
    X86Cpu *c = &d->x;
    uint32_t r[4], host;

    if (!(c->features[FW_8000_0001_EDX] & 1u << 29)) {
        if (c->phys_bits) {
            return error_set(errp, "phys-bits is not user-configurable in 32 "
                             "bit");
        }
        c->phys_bits = c->features[FW_1_EDX] & 1u << 17 ? 36 : 32;
        return true;
    }
    x86_host_cpuid(0x80000008, 0, r);
    host = r[0] & 0xff ? r[0] & 0xff : 36;
    if (accel_is("kvm")) {
        if (d->host_phys_bits) {
            c->phys_bits = host;
            if (d->host_phys_bits_limit) {
                c->phys_bits = MIN2(host, d->host_phys_bits_limit);
            }
        } else if (c->phys_bits && c->phys_bits != host && d->check) {
            static uint32_t warned;

            if (warned != c->phys_bits) {
                warned = c->phys_bits;
                warn_report("Host physical bits (%u) does not match phys-bits "
                            "property (%u)", host, c->phys_bits);
            }
        }
    }
    if (!c->phys_bits) {
        c->phys_bits = 40;
    }
    if (c->phys_bits < 32 || c->phys_bits > 52) {
        return error_set(errp, "phys-bits should be between 32 and 52  (but "
                         "is %u)", c->phys_bits);
    }
    return true;
}

static void realize_ucode(X86CpuDev *d)
{
    CpuKind kind = x86_cpu_type(d->x.cpu.dev.type)->kind;
    uint64_t host = 0;

    if ((kind == CPU_HOST || kind == CPU_MAX) && accel &&
        accel->type->feature_msr) {
        host = accel->type->feature_msr(0x8b);
    }
    if (!d->x.ucode_rev) {
        d->x.ucode_rev = host ? host
                       : strcmp(d->x.vendor, "GenuineIntel") == 0
                       ? 0x100000000ull : 0x01000065;
    }
}

static void realize_machine_checks(X86Cpu *c)
{
    uint32_t both = 1u << 7 | 1u << 14;            /* MCE, MCA                */

    if (c->family < 6 || (c->features[FW_1_EDX] & both) != both) {
        c->regs.mcg_cap = 0;
    }
}

static bool realize_caches(X86CpuDev *d, Error **errp)
{
    if (d->legacy_cache) {
        d->caches = NULL;
    } else if (!d->caches) {
        const X86CpuType *ct = x86_cpu_type(d->x.cpu.dev.type);

        return error_set(errp, "CPU model '%s' doesn't support "
                         "legacy-cache=off", ct->name);
    }
    return true;
}

static bool kernel_lapic(X86Cpu *c, Error **errp) MACHINE_CALL;
static bool kernel_lapic(X86Cpu *c, Error **errp)
{
    Device *lapic = device_make("kvm-apic");

    device_set_int(lapic, "id", c->apic_id);
    obj_put(&c->cpu.dev.obj, "lapic", &lapic->obj);
    if (!device_realize(lapic, NULL, errp)) {
        obj_remove(&lapic->obj);
        device_free(lapic);
        return false;
    }
    return true;
}

static bool realize_lapic(X86CpuDev *d, Error **errp) MACHINE_CALL;
static bool realize_lapic(X86CpuDev *d, Error **errp)
{
    X86Cpu *c = &d->x;

    if (!(c->features[FW_1_EDX] & 1u << 9)) {
        return true;                   /* an old CPU, the PIC drives its pin  */
    }
    if (!(accel_irq.apic_in_kernel ? kernel_lapic(c, errp)
                                   : apic_create(c, errp))) {
        return false;
    }
    c->lapic = (Device *)obj_child(&c->cpu.dev.obj, "lapic");
    return true;
}

static void drop_lapic(X86CpuDev *d) MACHINE_CALL;
static void drop_lapic(X86CpuDev *d)
{
    Device *lapic = d->x.lapic;

    if (lapic) {
        device_unrealize(lapic);
        obj_remove(&lapic->obj);
        device_free(lapic);
        d->x.lapic = NULL;
        d->x.apic = NULL;
    }
}

static void cpu_reset_fn(void *arg, ResetKind kind) MACHINE_CALL;
static void cpu_reset_fn(void *arg, ResetKind kind)
{
    device_reset(arg, kind);
}

/* A CPU plugged into a running machine begins once its command is done; it then
 * waits for the guest's start-up IPI. */
static void start_plugged(void *arg)
{
    machine_assert_locked();
    for (unsigned i = 0; i < cpu_count; i++) {
        if (cpus[i] == arg && run_state_is_running()) {
            cpus[i]->stopped = false;
            cpu_kick(cpus[i]);
        }
    }
}

bool x86_cpu_realize(Device *dev, Error **errp)
{
    X86CpuDev *d = container_of(dev, X86CpuDev, x.cpu.dev);
    const X86CpuType *ct = x86_cpu_type(dev->type);

    if (ct->kind == CPU_HOST && !accel_is("kvm")) {
        error_set(errp, "CPU model 'host' requires KVM or HVF");
        error_hint(errp, "-cpu max gives all that this accelerator has");
        return false;
    }
    if (!x86_cpu_locate(d, errp) || !x86_expand(d, true, errp) ||
        !realize_phys_bits(d, errp) || !realize_caches(d, errp) ||
        !x86_hyperv_check(d, errp)) {
        return false;
    }
    realize_ucode(d);
    realize_machine_checks(&d->x);
    x86_cpuid_build(d);
    if (!realize_lapic(d, errp)) {
        return false;
    }
    x86_regs_reset(&d->x, false);
    if (!cpu_thread_start(&d->x.cpu, errp)) {
        drop_lapic(d);
        return false;
    }
    reset_register(cpu_reset_fn, dev);
    if (dev->hotplugged) {
        loop_post_fn(loop_main, start_plugged, &d->x.cpu);
    }
    if (cpu_board_plugged) {
        cpu_board_plugged(&d->x.cpu);
    }
    return true;
}

bool x86_cpu_unplug_asked(Device *dev, Error **errp)
{
    X86CpuDev *d = container_of(dev, X86CpuDev, x.cpu.dev);

    return cpu_board_unplug
        ? cpu_board_unplug(&d->x.cpu, errp)
        : error_set(errp, "CPU hot unplug not supported without ACPI");
}

void x86_cpu_unrealize(Device *dev)
{
    X86CpuDev *d = container_of(dev, X86CpuDev, x.cpu.dev);

    reset_unregister(cpu_reset_fn, dev);
    cpu_thread_stop(&d->x.cpu);
    drop_lapic(d);
    g_free(d->x.cpuid);
    d->x.cpuid = NULL;
    d->x.ncpuid = 0;
}

void x86_cpu_reset(Device *dev, ResetKind kind)
{
    X86CpuDev *d = container_of(dev, X86CpuDev, x.cpu.dev);

    __atomic_store_n(&d->x.cpu.interrupt, 0, __ATOMIC_SEQ_CST);
    d->x.cpu.crash = false;
    x86_regs_reset(&d->x, false);
    if (d->x.lapic) {
        device_reset(d->x.lapic, kind);
    }
    if (accel && accel->type->cpu_reset) {
        accel->type->cpu_reset(&d->x.cpu);
    }
}
