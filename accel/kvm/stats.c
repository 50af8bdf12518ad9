/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stats.c - counters of the VM and its vCPUs (KVM_GET_STATS_FD; the kernel's
 * documentation virt/kvm/api.rst, section 4.133).
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants:
 * 1. What the kernel writes is bounded before it is used; a descriptor that
 *    points outside the data is left out.
 */
#include <glib.h>
#include <unistd.h>
#include "cpu.h"
#include "kvm.h"
#include "monitor.h"
#include "obj.h"
#include "schema/schema.h"

#define DESC_MAX 4096                  /* counters of one thing               */
#define DATA_MAX (1u << 20)            /* bytes of their values               */

typedef struct StatsFile {
    int fd;
    struct kvm_stats_header head;
    size_t step;                       /* bytes of a descriptor and its name  */
    uint8_t *descs;
    uint64_t *data;
    size_t ndata;
} StatsFile;

/* ---- the file ------------------------------------------------------------ */

static void file_free(StatsFile *f)
{
    g_free(f->descs);
    g_free(f->data);
}

static const struct kvm_stats_desc *desc_at(const StatsFile *f, unsigned i)
{
    return (const void *)(f->descs + i * f->step);
}

static bool desc_fits(const StatsFile *f, const struct kvm_stats_desc *d)
{
    return d->offset % 8 == 0 && d->offset / 8 <= f->ndata &&
           d->size <= f->ndata - d->offset / 8;
}

/* Of the VM or a vCPU; false: this kernel has no such file. fd stays the
 * caller's. */
static bool file_read(StatsFile *f, int fd)
{
    size_t n, most = 0;
    ssize_t got;

    *f = (StatsFile){ .fd = fd };
    if (f->fd < 0 || pread(f->fd, &f->head, sizeof(f->head), 0) !=
                     sizeof(f->head) || f->head.name_size > 256 ||
        !f->head.name_size || f->head.num_desc > DESC_MAX) {
        file_free(f);
        return false;
    }
    f->step = sizeof(struct kvm_stats_desc) + f->head.name_size;
    n = f->step * f->head.num_desc;
    f->descs = g_malloc0(n + 1);
    if (pread(f->fd, f->descs, n, f->head.desc_offset) != (ssize_t)n) {
        file_free(f);
        return false;
    }
    for (unsigned i = 0; i < f->head.num_desc; i++) {
        size_t end = desc_at(f, i)->offset + 8ul * desc_at(f, i)->size;

        f->descs[i * f->step + f->step - 1] = '\0';
        most = MAX(most, end);
    }
    most = MIN(most, DATA_MAX);
    f->data = g_malloc0(most + 8);
    got = pread(f->fd, f->data, most, f->head.data_offset);
    f->ndata = got > 0 ? got / 8 : 0;
    return true;
}

static int vm_file(void)
{
    return kvm_ioctl_n(kvm->vm, KVM_GET_STATS_FD, 0);
}

static void vm_close(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

/* ---- values -------------------------------------------------------------- */

static bool wanted(const char *name, const StrList *names)
{
    for (size_t i = 0; names && i < names->n; i++) {
        if (!strcmp(names->v[i], name)) {
            return true;
        }
    }
    return !names;
}

static void list_values(const StatsFile *f, const StrList *names,
                        StatsList *to)
{
    for (unsigned i = 0; i < f->head.num_desc; i++) {
        const struct kvm_stats_desc *d = desc_at(f, i);
        const uint64_t *v = f->data + d->offset / 8;
        Stats *s;

        if (!desc_fits(f, d) || !d->size || !wanted(d->name, names)) {
            continue;
        }
        s = SCHEMA_ADD(to);
        s->name = g_strdup(d->name);
        if (d->size > 1) {
            s->value.kind = 2;
            for (unsigned k = 0; k < d->size; k++) {
                *(uint64_t *)SCHEMA_ADD(&s->value.u.list) = v[k];
            }
        } else if ((d->flags & KVM_STATS_UNIT_MASK) ==
                   KVM_STATS_UNIT_BOOLEAN) {
            s->value.kind = 1;
            s->value.u.boolean = *v != 0;
        } else {
            s->value.kind = 0;
            s->value.u.scalar = *v;
        }
    }
}

static void list_schema(const StatsFile *f, StatsSchemaValueList *to)
{
    for (unsigned i = 0; i < f->head.num_desc; i++) {
        const struct kvm_stats_desc *d = desc_at(f, i);
        unsigned type = d->flags & KVM_STATS_TYPE_MASK;
        unsigned unit = (d->flags & KVM_STATS_UNIT_MASK) >>
                        KVM_STATS_UNIT_SHIFT;
        StatsSchemaValue *s;

        if (!desc_fits(f, d) || !d->size || type > KVM_STATS_TYPE_MAX ||
            unit > KVM_STATS_UNIT_MAX >> KVM_STATS_UNIT_SHIFT) {
            continue;
        }
        s = SCHEMA_ADD(to);
        s->name = g_strdup(d->name);
        s->type = (StatsType)type;     /* the same order                      */
        s->has_unit = unit != 0;
        s->unit = unit ? (StatsUnit)(unit - 1) : 0;
        s->has_base = d->exponent != 0;
        s->base = (d->flags & KVM_STATS_BASE_MASK) == KVM_STATS_BASE_POW2
                  ? 2 : 10;
        s->exponent = d->exponent;
        s->has_bucket_size = type == KVM_STATS_TYPE_LINEAR_HIST;
        s->bucket_size = d->bucket_size;
    }
}

/* ---- commands ------------------------------------------------------------ */

/* Names wanted of KVM's; *none: KVM is not among the providers. */
static const StrList *names_of(const StatsFilter *a, bool *none)
{
    *none = a->has_providers;
    for (size_t i = 0; a->has_providers && i < a->providers.n; i++) {
        if (a->providers.v[i].provider == STATS_PROVIDER_KVM) {
            *none = false;
            return a->providers.v[i].has_names ? &a->providers.v[i].names
                                               : NULL;
        }
    }
    return NULL;
}

static void add_result(int fd, char *path, const StrList *names,
                       StatsResultList *to)
{
    StatsFile f;
    StatsResult *r;

    if (!file_read(&f, fd)) {
        g_free(path);
        return;
    }
    r = SCHEMA_ADD(to);
    r->provider = STATS_PROVIDER_KVM;
    r->qom_path = path;
    list_values(&f, names, &r->stats);
    file_free(&f);
}

bool cmd_query_stats(const void *arg, void *ret, Error **errp)
{
    const StatsFilter *a = arg;
    bool none;
    int vm;
    const StrList *names = names_of(a, &none);

    if (none || !kvm) {
        return true;
    }
    if (a->target == STATS_TARGET_VM) {
        vm = vm_file();
        add_result(vm, NULL, names, ret);
        vm_close(vm);
        return true;
    }
    for (unsigned i = 0; i < cpu_count; i++) {
        Cpu *cpu = cpus[i];

        char *path = obj_path(&cpu->dev.obj);

        if (cpu->accel && wanted(path, a->u.vcpu.has_vcpus ? &a->u.vcpu.vcpus
                                                           : NULL)) {
            add_result(kvm_cpu(cpu)->stats, path, names, ret);
        } else {
            g_free(path);
        }
    }
    return true;
}

static void add_schema(int fd, StatsTarget target, StatsSchemaList *to)
{
    StatsFile f;
    StatsSchema *s;

    if (file_read(&f, fd)) {
        s = SCHEMA_ADD(to);
        s->provider = STATS_PROVIDER_KVM;
        s->target = target;
        list_schema(&f, &s->stats);
        file_free(&f);
    }
}

bool cmd_query_stats_schemas(const void *arg, void *ret, Error **errp)
{
    int vm;

    if (!kvm) {
        return true;
    }
    vm = vm_file();
    add_schema(vm, STATS_TARGET_VM, ret);
    vm_close(vm);
    for (unsigned i = 0; i < cpu_count; i++) {
        Cpu *cpu = cpus[i];

        if (cpu->accel) {
            add_schema(kvm_cpu(cpu)->stats, STATS_TARGET_VCPU, ret);
            break;
        }
    }
    return true;
}

static bool in_list(const char *name, const char *list)
{
    size_t n = strlen(name);

    for (const char *p = list; p; p = strchr(p, ',')) {
        p += *p == ',';
        if (!strncmp(p, name, n) && (!p[n] || p[n] == ',')) {
            return true;
        }
    }
    return !list || !strcmp(list, "*");
}

/* "ns", "KiB", "10^3 cycles"; empty for a plain count. */
static void unit_text(const struct kvm_stats_desc *d, GString *to)
{
    static const char *const units[] = { "", "bytes", "seconds", "cycles",
                                         "boolean" };
    static const char *const small[] = { "ms", "us", "ns" };
    static const char *const large[] = { "KiB", "MiB", "GiB", "TiB" };
    unsigned u = (d->flags & KVM_STATS_UNIT_MASK) >> KVM_STATS_UNIT_SHIFT;
    bool two = (d->flags & KVM_STATS_BASE_MASK) == KVM_STATS_BASE_POW2;
    int e = d->exponent;

    if (u == 2 && !two && e < 0 && e >= -9 && e % 3 == 0) {
        g_string_append(to, small[-e / 3 - 1]);
    } else if (u == 1 && two && e > 0 && e <= 40 && e % 10 == 0) {
        g_string_append(to, large[e / 10 - 1]);
    } else {
        if (e) {
            g_string_append_printf(to, "* %d^%d%s", two ? 2 : 10, e,
                                   u ? " " : "");
        }
        g_string_append(to, u < ARRAY_SIZE(units) ? units[u] : "");
    }
}

static void print_values(const StatsFile *f, const struct kvm_stats_desc *d)
{
    const uint64_t *v = &f->data[d->offset / 8];
    unsigned type = d->flags & KVM_STATS_TYPE_MASK;

    if (type == KVM_STATS_TYPE_LINEAR_HIST || type == KVM_STATS_TYPE_LOG_HIST) {
        for (unsigned k = 0; k < d->size; k++) {
            mon_printf("[%u]=%" PRIu64 " ", type == KVM_STATS_TYPE_LOG_HIST
                       ? k + 1 : k * d->bucket_size, v[k]);
        }
    } else if ((d->flags & KVM_STATS_UNIT_MASK) == KVM_STATS_UNIT_BOOLEAN) {
        mon_puts(v[0] ? "yes" : "no");
    } else {
        mon_printf("%" PRIu64, v[0]);
    }
}

/* Of several vCPUs, or with the provider given, there is no line of it. */
static void print_stats(int fd, const char *names, bool head)
{
    static const char *const types[] = {
        "cumulative", "instant", "peak", "linear-histogram", "log2-histogram",
    };
    StatsFile f;

    if (!file_read(&f, fd)) {
        return;
    }
    for (unsigned i = f.head.num_desc; i-- > 0;) {
        const struct kvm_stats_desc *d = desc_at(&f, i);
        g_autoptr(GString) unit = g_string_new(NULL);
        unsigned type = d->flags & KVM_STATS_TYPE_MASK;

        if (!desc_fits(&f, d) || !d->size || type >= ARRAY_SIZE(types) ||
            !in_list(d->name, names)) {
            continue;
        }
        if (head) {
            mon_puts("provider: kvm\n");
            head = false;
        }
        unit_text(d, unit);
        mon_printf("    %s (%s%s%s): ", d->name, types[type],
                   unit->len ? ", " : "", unit->str);
        print_values(&f, d);
        mon_puts("\n");
    }
    file_free(&f);
}

void hmp_info_stats(const Json *args)
{
    const char *target = json_get_str(args, "target");
    const char *names = json_get_str(args, "names");
    const char *provider = json_get_str(args, "provider");
    int vm;

    if (strcmp(target, "vm") && strcmp(target, "vcpu")) {
        mon_printf("invalid stats target %s\n", target);
        return;
    }
    if (provider && strcmp(provider, "kvm")) {
        mon_printf("invalid stats provider %s\n", provider);
        return;
    }
    if (!kvm) {
        return;
    }
    if (!strcmp(target, "vm")) {
        vm = vm_file();
        print_stats(vm, names, !provider);
        vm_close(vm);
        return;
    }
    for (unsigned i = 0; i < cpu_count; i++) {
        Cpu *cpu = cpus[i];

        if (cpu->accel && cpu->index == (uint32_t)mon_cpu_index()) {
            print_stats(kvm_cpu(cpu)->stats, names, !provider);
        }
    }
}
