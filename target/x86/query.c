/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * query.c - what QMP and HMP ask about vCPUs and CPU models.
 *
 * Thread class: MACHINE_CALL.
 *
 * 1. query-cpus-fast does not touch a vCPU.
 * 2. A model is asked about by making a CPU of it, which is never realized.
 */
#include <glib.h>
#include "accel.h"
#include "monitor.h"
#include "numa.h"
#include "pc.h"
#include "x86-cpu.h"
#include "schema/schema.h"

/* ---- vCPUs --------------------------------------------------------------- */

static void fill_place(CpuInstanceProperties *p, X86Place at, int node)
{
    if (node >= 0) {
        p->has_node_id = true;
        p->node_id = node;
    }
    p->has_socket_id = p->has_core_id = p->has_thread_id = true;
    p->socket_id = at.socket;
    p->core_id = at.core;
    p->thread_id = at.thread;
    if (machine->dies > 1) {
        p->has_die_id = true;
        p->die_id = at.die;
    }
}

bool cmd_query_cpus_fast(const void *arg, void *ret, Error **errp)
{
    CpuInfoFastList *list = ret;

    list->v = g_new0(CpuInfoFast, cpu_count);
    for (unsigned i = 0; i < cpu_count; i++) {
        const X86Cpu *c = x86_cpu(cpus[i]);
        CpuInfoFast *f = &list->v[list->n++];

        f->cpu_index = c->cpu.index;
        f->qom_path = obj_path(&c->cpu.dev.obj);
        f->thread_id = c->cpu.thread_id;
        f->target = SYS_EMU_TARGET_X86_64;
        f->props = g_new0(CpuInstanceProperties, 1);
        fill_place(f->props, x86_place(machine, c->apic_id),
                   numa_of_cpu(c->cpu.index));
    }
    return true;
}

void hmp_print_info_cpus(const void *ret, const Json *args)
{
    const CpuInfoFastList *list = ret;

    for (size_t i = 0; i < list->n; i++) {
        mon_printf("%c CPU #%" PRId64 ": thread_id=%" PRId64 "\n",
                   list->v[i].cpu_index == mon_cpu_index() ? '*' : ' ',
                   list->v[i].cpu_index, list->v[i].thread_id);
    }
}

void hmp_cpu(const Json *args)
{
    int64_t n = json_int_of(json_get(args, "index"));

    if (n < 0 || n > UINT32_MAX || !cpu_by_index(n)) {
        mon_puts("invalid CPU index\n");
        return;
    }
    mon_cpu_index_set(n);
}

bool cmd_query_hotpluggable_cpus(const void *arg, void *ret, Error **errp)
{
    HotpluggableCPUList *list = ret;
    const char *type = x86_cpu_type_chosen();

    if (!type) {
        return error_set(errp, "The feature 'query-hotpluggable-cpus' is not "
                         "enabled");
    }
    list->v = g_new0(HotpluggableCPU, machine->max_cpus);
    /* The last place comes first, as clients have always seen it. */
    for (unsigned i = machine->max_cpus; i-- > 0;) {
        HotpluggableCPU *h = &list->v[list->n++];
        uint32_t id = machine_apic_id(machine, i);
        const X86Cpu *c = x86_cpu_by_apic_id(id);

        h->type = g_strdup(type);
        h->vcpus_count = 1;
        fill_place(&h->props, x86_place(machine, id), numa_of_cpu(i));
        if (c) {
            h->qom_path = obj_path(&c->cpu.dev.obj);
        }
    }
    return true;
}

void hmp_print_info_hotpluggable_cpus(const void *ret, const Json *args)
{
    const HotpluggableCPUList *list = ret;

    mon_puts("Hotpluggable CPUs:\n");
    for (size_t i = 0; i < list->n; i++) {
        const HotpluggableCPU *h = &list->v[i];
        const CpuInstanceProperties *p = &h->props;

        mon_printf("  type: \"%s\"\n  vcpus_count: \"%" PRId64 "\"\n",
                   h->type, h->vcpus_count);
        if (h->qom_path) {
            mon_printf("  qom_path: \"%s\"\n", h->qom_path);
        }
        mon_puts("  CPUInstance Properties:\n");
        if (p->has_node_id) {
            mon_printf("    node-id: \"%" PRId64 "\"\n", p->node_id);
        }
        if (p->has_socket_id) {
            mon_printf("    socket-id: \"%" PRId64 "\"\n", p->socket_id);
        }
        if (p->has_die_id) {
            mon_printf("    die-id: \"%" PRId64 "\"\n", p->die_id);
        }
        if (p->has_core_id) {
            mon_printf("    core-id: \"%" PRId64 "\"\n", p->core_id);
        }
        if (p->has_thread_id) {
            mon_printf("    thread-id: \"%" PRId64 "\"\n", p->thread_id);
        }
    }
}

/* ---- models -------------------------------------------------------------- */

static X86CpuDev *model_new(const DeviceType *t, Error **errp) MACHINE_CALL;
static X86CpuDev *model_new(const DeviceType *t, Error **errp)
{
    Device *dev = device_new(t->name, errp);

    return dev ? container_of(dev, X86CpuDev, x.cpu.dev) : NULL;
}

/* What the accelerator lacks for this model. */
static void missing(const X86CpuType *ct, X86CpuDev *d, StrList *out)
    MACHINE_CALL;
static void missing(const X86CpuType *ct, X86CpuDev *d, StrList *out)
{
    uint64_t lost[FW_COUNT];
    Json *names;

    out->v = g_new0(char *, 1);
    if (ct->kind == CPU_HOST && !accel_is("kvm")) {
        out->v[out->n++] = g_strdup("kvm");
        return;
    }
    for (unsigned w = 0; w < FW_COUNT; w++) {
        lost[w] = d->x.features[w] & ~x86_host_word(w, false);
    }
    names = x86_feature_list(lost);
    g_free(out->v);
    out->v = g_new0(char *, json_count(names) + 1);
    for (size_t i = 0; i < json_count(names); i++) {
        out->v[out->n++] = g_strdup(json_str_of(json_at(names, i)));
    }
    json_free(names);
}

typedef struct Definitions {
    CpuDefinitionInfoList *list;
    size_t cap;
} Definitions;

static void define(const DeviceType *t, const X86CpuType *ct, void *arg)
{
    Definitions *all = arg;
    CpuDefinitionInfo *i;
    X86CpuDev *d;

    machine_assert_locked();
    d = model_new(t, NULL);
    if (!d) {
        return;
    }
    if (all->list->n == all->cap) {
        all->cap = all->cap ? all->cap * 2 : 64;
        all->list->v = g_renew(CpuDefinitionInfo, all->list->v, all->cap);
    }
    i = &all->list->v[all->list->n++];
    memset(i, 0, sizeof(*i));
    i->name = g_strdup(ct->name);
    i->typename = g_strdup(t->name);
    i->has_migration_safe = true;
    i->migration_safe = ct->kind == CPU_MODEL || ct->kind == CPU_BASE;
    i->static_ = ct->kind == CPU_BASE;
    i->has_unavailable_features = true;
    if (x86_expand(d, false, NULL)) {
        missing(ct, d, &i->unavailable_features);
    }
    if (ct->form == CT_NAME || ct->form == CT_SAME) {
        i->alias_of = g_strdup_printf("%s-v%u", ct->model->name,
                                      ct->model->version);
    }
    device_free(&d->x.cpu.dev);
}

static int definition_order(const void *a, const void *b)
{
    const CpuDefinitionInfo *x = a, *y = b;
    bool xm = x->alias_of || x->migration_safe, ym = y->alias_of ||
                                                     y->migration_safe;

    /* max and host come first, then base, then names backwards. */
    if (xm != ym || x->static_ != y->static_) {
        return xm != ym ? xm - ym : y->static_ - x->static_;
    }
    return -strcmp(x->name, y->name);
}

bool cmd_query_cpu_definitions(const void *arg, void *ret, Error **errp)
{
    Definitions all = { .list = ret };

    x86_cpu_types_each(define, &all);
    qsort(all.list->v, all.list->n, sizeof(all.list->v[0]), definition_order);
    return true;
}

/* ---- query-cpu-model-expansion ------------------------------------------- */

/* Every property that an option can set, as it stands. */
static Json *expand_full(X86CpuDev *d) MACHINE_CALL;
static Json *expand_full(X86CpuDev *d)
{
    Json *out = json_obj();
    const Prop *p;

    for (unsigned i = 0; (p = device_type_props(d->x.cpu.dev.type, i)); i++) {
        for (; p->name; p++) {
            Json *v;

            if (p->flags & PF_READONLY || (p->kind == PK_CALL && !p->set)) {
                continue;
            }
            v = obj_get(&d->x.cpu.dev.obj, p->name, NULL);
            if (v && json_kind(v) != JSON_NULL) {
                json_set(out, p->name, v);
            } else {
                json_free(v);
            }
        }
    }
    json_set_bool(out, "realized", false);
    /* The address space that it will see. */
    json_set_str(out, "memory", "/machine/unattached/system[0]");
    return out;
}

/* The difference to "base", which never changes. */
static Json *expand_static(X86CpuDev *d) MACHINE_CALL;
static Json *expand_static(X86CpuDev *d)
{
    static const char *const ids[] = {
        "min-level", "min-xlevel", "family", "model", "stepping", "model-id",
        "vendor", "lmce",
    };
    Json *out = json_obj();
    size_t n;
    const char *const *names = x86_feature_names(&n);

    for (unsigned i = 0; i < ARRAY_SIZE(ids); i++) {
        json_set(out, ids[i], obj_get(&d->x.cpu.dev.obj, ids[i], NULL));
    }
    for (size_t i = 0; i < n; i++) {
        json_set(out, names[i], obj_get(&d->x.cpu.dev.obj, names[i], NULL));
    }
    return out;
}

static bool apply_props(X86CpuDev *d, const Json *props, Error **errp)
    MACHINE_CALL;
static bool apply_props(X86CpuDev *d, const Json *props, Error **errp)
{
    for (size_t i = 0; props && i < json_count(props); i++) {
        if (!obj_set(&d->x.cpu.dev.obj, json_key_at(props, i),
                     json_value_at(props, i), false, errp)) {
            return false;
        }
    }
    return true;
}

bool cmd_query_cpu_model_expansion(const void *arg, void *ret, Error **errp)
{
    const QueryCpuModelExpansionArg *a = arg;
    CpuModelExpansionInfo *r = ret;
    const DeviceType *t = x86_cpu_type_find(a->model.name);
    const Json *props = a->model.props;
    X86CpuDev *d;

    if (!t) {
        error_set(errp, "CPU model '%s' not found", a->model.name);
        return x86_cpu_type_suggest(a->model.name, errp);
    }
    if (props && json_kind(props) != JSON_OBJ) {
        return error_set(errp, "Invalid parameter type for 'model.props', "
                         "expected: object");
    }
    d = model_new(t, errp);
    if (!d) {
        return false;
    }
    if (!apply_props(d, props, errp) || !x86_expand(d, false, errp)) {
        device_free(&d->x.cpu.dev);
        return false;
    }
    if (a->type == CPU_MODEL_EXPANSION_TYPE_STATIC_) {
        r->model.name = g_strdup("base");
        r->model.props = expand_static(d);
    } else {
        r->model.name = g_strdup(a->model.name);
        r->model.props = expand_full(d);
    }
    device_free(&d->x.cpu.dev);
    return true;
}

/* ---- accelerator --------------------------------------------------------- */

bool cmd_query_kvm(const void *arg, void *ret, Error **errp)
{
    KvmInfo *r = ret;

    r->enabled = accel_is("kvm");
    r->present = accel_find("kvm") != NULL;
    return true;
}

void hmp_print_info_kvm(const void *ret, const Json *args)
{
    const KvmInfo *k = ret;

    mon_printf("kvm support: %s\n", !k->present ? "not compiled"
                                  : k->enabled ? "enabled" : "disabled");
    if (accel) {
        mon_printf("accelerator: %s (%s)\n", accel->type->name,
                   accel->type->desc ? accel->type->desc : "");
    }
}

/* ---- NMI ----------------------------------------------------------------- */

bool cmd_inject_nmi(const void *arg, void *ret, Error **errp)
{
    for (unsigned i = 0; i < cpu_count; i++) {
        X86Cpu *c = x86_cpu(cpus[i]);

        if (c->apic) {
            x86_nmi(c);
        } else {
            cpu_interrupt(&c->cpu, CPU_INT_NMI);
        }
    }
    return true;
}
