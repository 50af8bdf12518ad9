/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * topo.c - -smp, APIC ids by topology (Intel SDM vol. 3, 9.9.3), making the
 * board's CPUs, -cpu.
 *
 * Thread class: MACHINE_CALL.
 *
 * 1. sockets * dies * cores * threads = max_cpus, all at least 1, once -smp has
 *    been parsed.
 */
#include <glib.h>
#include "accel.h"
#include "hw/core/core.h"
#include "hw/pc/pc-board.h"
#include "machine-opts.h"
#include "monitor.h"
#include "opt.h"
#include "x86-cpu.h"

/* ---- -smp ---------------------------------------------------------------- */

typedef struct Smp {
    uint64_t cpus, sockets, dies, clusters, cores, threads, maxcpus;
    unsigned given;                    /* bit per field, in this order        */
} Smp;

static const char *const smp_names[] = {
    "cpus", "sockets", "dies", "clusters", "cores", "threads", "maxcpus",
};

static bool smp_read(const char *text, Smp *s, Error **errp)
{
    uint64_t *fields = &s->cpus;
    Opts o;

    if (!opts_parse(&o, text, "cpus", 0, errp)) {
        return false;
    }
    for (size_t i = 0; i < json_count(o.obj); i++) {
        const char *key = json_key_at(o.obj, i);
        const Json *v = json_value_at(o.obj, i);
        unsigned f = 0;
        int64_t n = 0;

        while (f < ARRAY_SIZE(smp_names) && strcmp(key, smp_names[f]) != 0) {
            f++;
        }
        if (f == ARRAY_SIZE(smp_names)) {
            error_set(errp, "Parameter 'smp.%s' is unexpected", key);
            opts_free(&o);
            return false;
        }
        if (json_kind(v) == JSON_STR
                ? !opt_i64(key, json_str_of(v), &n, NULL)
                : json_kind(v) != JSON_INT || ((n = json_int_of(v)), false)) {
            error_set(errp, "Parameter 'smp.%s' expects integer", key);
            opts_free(&o);
            return false;
        }
        fields[f] = n;
        s->given |= 1u << f;
    }
    opts_free(&o);
    return true;
}

static char *hierarchy(const Smp *s)
{
    return g_strdup_printf("sockets (%" PRIu64 ") * dies (%" PRIu64 ") * "
                           "cores (%" PRIu64 ") * threads (%" PRIu64 ")",
                           s->sockets, s->dies, s->cores, s->threads);
}

static uint64_t or_one(uint64_t n)
{
    return n ? n : 1;
}

/* Omitted ones: cores before sockets before threads since 6.2, earlier sockets
 * first. */
static void smp_fill(Smp *s, bool sockets_first)
{
    uint64_t all;

    s->dies = or_one(s->dies);
    all = s->maxcpus ? s->maxcpus : s->cpus;
    if (!all) {
        s->sockets = or_one(s->sockets);
        s->cores = or_one(s->cores);
        s->threads = or_one(s->threads);
    } else if (sockets_first) {
        if (!s->sockets) {
            s->cores = or_one(s->cores);
            s->threads = or_one(s->threads);
            s->sockets = all / (s->dies * s->cores * s->threads);
        } else if (!s->cores) {
            s->threads = or_one(s->threads);
            s->cores = all / (s->sockets * s->dies * s->threads);
        }
    } else if (!s->cores) {
        s->sockets = or_one(s->sockets);
        s->threads = or_one(s->threads);
        s->cores = all / (s->sockets * s->dies * s->threads);
    } else if (!s->sockets) {
        s->threads = or_one(s->threads);
        s->sockets = all / (s->dies * s->cores * s->threads);
    }
    if (!s->threads) {
        s->threads = all / (s->sockets * s->dies * s->cores);
    }
    s->maxcpus = all ? all : s->sockets * s->dies * s->cores * s->threads;
    s->cpus = s->cpus ? s->cpus : s->maxcpus;
}

static bool smp_check(const Smp *s, const Machine *m, Error **errp)
{
    g_autofree char *text = hierarchy(s);
    unsigned most = m->type->max_cpus ? m->type->max_cpus : 1;

    if (s->sockets * s->dies * s->cores * s->threads != s->maxcpus) {
        return error_set(errp, "Invalid CPU topology: product of the "
                         "hierarchy must match maxcpus: %s != maxcpus (%"
                         PRIu64 ")", text, s->maxcpus);
    }
    if (s->maxcpus < s->cpus) {
        return error_set(errp, "Invalid CPU topology: maxcpus must be equal "
                         "to or greater than smp: %s == maxcpus (%" PRIu64
                         ") < smp_cpus (%" PRIu64 ")", text, s->maxcpus,
                         s->cpus);
    }
    if (s->maxcpus > most) {
        return error_set(errp, "Invalid SMP CPUs %" PRIu64 ". The max CPUs "
                         "supported by machine '%s' is %u", s->maxcpus,
                         m->type->name, most);
    }
    return true;
}

bool machine_smp_set(Machine *m, const char *text, Error **errp)
{
    Smp s = { 0 };
    uint64_t *fields = &s.cpus;

    if (text && !smp_read(text, &s, errp)) {
        return false;
    }
    for (unsigned f = 0; f < ARRAY_SIZE(smp_names); f++) {
        if (fields[f] > 1u << 20) {
            return error_set(errp, "Invalid SMP CPUs %" PRId64 ". The max "
                             "CPUs supported by machine '%s' is %u",
                             (int64_t)fields[f], m->type->name,
                             m->type->max_cpus ? m->type->max_cpus : 1);
        }
        if (s.given & 1u << f && !fields[f]) {
            warn_report("Deprecated CPU topology (considered invalid): CPU "
                        "topology parameters must be greater than zero");
            break;
        }
    }
    if (s.clusters > 1) {
        return error_set(errp, "clusters not supported by this machine's CPU "
                         "topology");
    }
    smp_fill(&s, m->type->version && m->type->version < 602);
    if (!smp_check(&s, m, errp)) {
        return false;
    }
    m->cpus = s.cpus;
    m->max_cpus = s.maxcpus;
    m->sockets = s.sockets;
    m->dies = s.dies;
    m->cores = s.cores;
    m->threads = s.threads;
    return true;
}

/* ---- APIC ids ------------------------------------------------------------ */

static unsigned width(unsigned n)      /* bits to number n things             */
{
    return n > 1 ? 32 - __builtin_clz(n - 1) : 0;
}

X86Shifts x86_shifts(const Machine *m)
{
    X86Shifts s = { 0 };

    if (m) {
        s.core = width(m->threads);
        s.die = s.core + width(m->cores);
        s.socket = s.die + width(m->dies);
    }
    return s;
}

uint32_t x86_apic_id(const Machine *m, X86Place at)
{
    X86Shifts s = x86_shifts(m);

    return at.socket << s.socket | at.die << s.die | at.core << s.core |
           at.thread;
}

X86Place x86_place(const Machine *m, uint32_t id)
{
    X86Shifts s = x86_shifts(m);

    return (X86Place){
        .socket = id >> s.socket,
        .die = id >> s.die & ((1u << (s.socket - s.die)) - 1),
        .core = id >> s.core & ((1u << (s.die - s.core)) - 1),
        .thread = id & ((1u << s.core) - 1),
    };
}

uint32_t machine_apic_id(const Machine *m, unsigned i)
{
    X86Place at;
    unsigned threads = MAX2(m->threads, 1), cores = MAX2(m->cores, 1),
             dies = MAX2(m->dies, 1);

    at.thread = i % threads;
    at.core = i / threads % cores;
    at.die = i / (threads * cores) % dies;
    at.socket = i / (threads * cores * dies);
    return x86_apic_id(m, at);
}

X86Cpu *x86_cpu_by_apic_id(uint32_t id)
{
    for (unsigned i = 0; i < cpu_count; i++) {
        if (x86_cpu(cpus[i])->apic_id == id) {
            return x86_cpu(cpus[i]);
        }
    }
    return NULL;
}

static const DeviceType *chosen;       /* by -cpu                             */

/* ---- a CPU's place ------------------------------------------------------- */

static bool id_ok(const char *name, int32_t id, unsigned n, Error **errp)
{
    if (id < 0) {
        return error_set(errp, "CPU %s-id is not set", name);
    }
    if ((unsigned)id >= n) {
        return error_set(errp, "Invalid CPU %s-id: %d must be in range 0:%u",
                         name, id, n - 1);
    }
    return true;
}

static bool id_same(const X86Cpu *c, const char *name, int32_t *id,
                    uint32_t is, Error **errp)
{
    if (*id >= 0 && (uint32_t)*id != is) {
        return error_set(errp, "property %s-id: %d doesn't match set apic-id: "
                         "0x%x (%s-id: %u)", name, *id, c->apic_id, name, is);
    }
    *id = is;
    return true;
}

static bool locate_by_ids(X86Cpu *c, const Machine *m, Error **errp)
{
    if (!id_ok("socket", c->socket_id, m->sockets, errp)) {
        return false;
    }
    if (c->die_id < 0 && m->dies == 1) {
        c->die_id = 0;
    }
    if (!id_ok("die", c->die_id, m->dies, errp) ||
        !id_ok("core", c->core_id, m->cores, errp) ||
        !id_ok("thread", c->thread_id, m->threads, errp)) {
        return false;
    }
    c->apic_id = x86_apic_id(m, (X86Place){ c->socket_id, c->die_id,
                                            c->core_id, c->thread_id });
    return true;
}

bool x86_cpu_locate(X86CpuDev *d, Error **errp)
{
    const Machine *m = machine;
    X86Cpu *c = &d->x;
    X86Place at;
    unsigned i = 0;

    if (chosen && d->x.cpu.dev.type != chosen) {
        return error_set(errp, "Invalid CPU type, expected cpu type: '%s'",
                         chosen->name);
    }
    if (c->apic_id == UINT32_MAX && !locate_by_ids(c, m, errp)) {
        return false;
    }
    at = x86_place(m, c->apic_id);
    while (i < m->max_cpus && machine_apic_id(m, i) != c->apic_id) {
        i++;
    }
    if (i == m->max_cpus) {
        return error_set(errp, "Invalid CPU [socket: %u, die: %u, core: %u, "
                         "thread: %u] with APIC ID %u, valid index range 0:%u",
                         at.socket, at.die, at.core, at.thread, c->apic_id,
                         m->max_cpus - 1);
    }
    if (cpu_by_index(i)) {
        return error_set(errp, "CPU[%u] with APIC ID %u exists", i,
                         c->apic_id);
    }
    c->cpu.index = i;
    return id_same(c, "socket", &c->socket_id, at.socket, errp) &&
           id_same(c, "die", &c->die_id, at.die, errp) &&
           id_same(c, "core", &c->core_id, at.core, errp) &&
           id_same(c, "thread", &c->thread_id, at.thread, errp);
}

/* ---- -cpu ---------------------------------------------------------------- */

typedef struct HelpRow {
    const X86CpuType *ct;
} HelpRow;

static void help_add(const DeviceType *t, const X86CpuType *ct, void *arg)
{
    HelpRow r = { ct };

    g_array_append_val((GArray *)arg, r);
}

static int help_order(const void *a, const void *b)
{
    const X86CpuType *x = ((const HelpRow *)a)->ct, *y = ((const HelpRow *)b)->ct;

    if ((x->form == CT_SPECIAL) != (y->form == CT_SPECIAL)) {
        return x->form == CT_SPECIAL ? 1 : -1;
    }
    return strcmp(x->name, y->name);
}

static void help_print(const X86CpuType *ct)
{
    g_autofree char *desc = NULL;

    switch (ct->form) {
    case CT_SPECIAL:
        desc = g_strdup(ct->desc);
        break;
    case CT_NAME:
        desc = g_strdup("(alias configured by machine type)");
        break;
    case CT_SAME:
        desc = g_strdup_printf("(alias of %s-v%u)", ct->model->name,
                               ct->model->version);
        break;
    case CT_VERSION:
        desc = ct->model->note
             ? g_strdup_printf("%s [%s]", x86_model_id(ct->model),
                               ct->model->note)
             : g_strdup(x86_model_id(ct->model));
        g_strchomp(desc);
        break;
    }
    printf("x86 %-20s  %s\n", ct->name, desc);
}

static void cpu_help(void)
{
    GArray *rows = g_array_new(FALSE, FALSE, sizeof(HelpRow));
    size_t n, col = 0;
    const char *const *names = x86_feature_names(&n);

    x86_cpu_types_each(help_add, rows);
    qsort(rows->data, rows->len, sizeof(HelpRow), help_order);
    puts("Available CPUs:");
    for (unsigned i = 0; i < rows->len; i++) {
        help_print(g_array_index(rows, HelpRow, i).ct);
    }
    g_array_free(rows, TRUE);
    puts("\nRecognized CPUID flags:");
    for (size_t i = 0; i < n; i++) {
        if (col && col + strlen(names[i]) + 1 > 75) {
            putchar('\n');
            col = 0;
        }
        col += printf("%s%s", col ? " " : "  ", names[i]);
    }
    puts("\n");
}

/* "hv_relaxed" is the old spelling of "hv-relaxed". */
static void modern_spelling(const char *type, char *name)
{
    const Prop *t;

    for (unsigned n = 0; (t = type_props(type, n)); n++) {
        for (; t->name; t++) {
            if (!strcmp(t->name, name)) {
                return;
            }
        }
    }
    g_strdelimit(name, "_", '-');
}

/* "+f" and "-f" come after everything else, so that they win. */
static GHashTable *seen_words;

/* A later value of the same property, or +f and -f. */
static void warn_twice(const char *name, const char *value)
{
    const char *old = g_hash_table_lookup(seen_words, name);

    if (old && strcmp(old, value)) {
        warn_report("'%s' of the CPU is given twice: '%s' counts", name, value);
    }
    g_hash_table_insert(seen_words, g_strdup(name), g_strdup(value));
}

static bool option_word(const char *type, char *word, GPtrArray *late,
                        Error **errp) MACHINE_CALL;
static bool option_word(const char *type, char *word, GPtrArray *late,
                        Error **errp)
{
    char *eq = strchr(word, '=');
    uint64_t bits[FW_COUNT];

    if (*word == '+' || *word == '-') {
        if (!x86_feature_find(word + 1, bits)) {
            g_strdelimit(word + 1, "_", '-');
        }
        if (!x86_feature_find(word + 1, bits)) {
            error_set(errp, "Property '%s.%s' not found", type, word + 1);
            return x86_feature_suggest(word + 1, errp);
        }
        g_ptr_array_add(late, word);
        return true;
    }
    if (eq) {
        *eq = 0;
    }
    modern_spelling(type, word);
    warn_twice(word, eq ? eq + 1 : "on");
    device_global_add(type, word, eq ? eq + 1 : "on");
    return true;
}

bool x86_cpu_option(const char *text, bool *help, Error **errp)
{
    char **v = g_strsplit(text, ",", -1);
    GPtrArray *late = g_ptr_array_new();
    bool ok = true;

    seen_words = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    *help = false;
    if (!v[0] || !*v[0]) {
        ok = error_set(errp, "-cpu option cannot be empty");
    } else if (strcmp(v[0], "help") == 0 || strcmp(v[0], "?") == 0) {
        cpu_help();
        *help = true;
    } else {
        chosen = x86_cpu_type_find(v[0]);
        if (!chosen) {
            error_set(errp, "unable to find CPU model '%s'", v[0]);
            ok = x86_cpu_type_suggest(v[0], errp);
        }
        for (unsigned i = 1; ok && v[i]; i++) {
            ok = !*v[i] || option_word(chosen->name, v[i], late, errp);
        }
        for (unsigned i = 0; ok && i < late->len; i++) {
            const char *word = g_ptr_array_index(late, i);

            warn_twice(word + 1, *word == '+' ? "on" : "off");
            device_global_add(chosen->name, word + 1,
                              *word == '+' ? "on" : "off");
        }
    }
    g_hash_table_destroy(seen_words);
    g_ptr_array_free(late, TRUE);
    g_strfreev(v);
    return ok;
}

/* ---- the board's CPUs ---------------------------------------------------- */

static bool cpu_exists(int64_t index)
{
    machine_assert_locked();
    return index >= 0 && index <= UINT32_MAX && cpu_by_index(index);
}

bool x86_cpus_new(Machine *m, Error **errp)
{
    const char *model = m->cpu_model ? m->cpu_model : m->type->default_cpu;
    bool help;

    if (!x86_cpu_option(model ? model : "qemu64", &help, errp)) {
        return false;
    }
    mon_register_get = x86_register_get;
    mon_cpu_exists = cpu_exists;
    for (unsigned i = 0; i < m->cpus; i++) {
        Device *dev = device_new(chosen->name, errp);

        if (!dev) {
            return false;
        }
        device_set_int(dev, "apic-id", machine_apic_id(m, i));
        if (!device_realize(dev, NULL, errp)) {
            device_free(dev);
            return false;
        }
    }
    return !accel || !accel->type->cpus_made ||
           accel->type->cpus_made(accel, errp);
}

const char *x86_cpu_type_chosen(void)
{
    return cpu_count && chosen ? chosen->name : NULL;
}

bool pc_cpus(Pc *p, Error **errp)
{
    if (x86_cpus_new(&p->m, errp)) {
        return true;
    }
    if (!machine_go_on(false, errp)) {
        return false;
    }
    /* The rest is looked at with the plainest that there is. */
    g_free(p->m.cpu_model);
    p->m.cpu_model = g_strdup("base");
    return x86_cpus_new(&p->m, errp);
}
