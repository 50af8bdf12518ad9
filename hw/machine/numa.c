/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * numa.c - -numa: nodes of memory and vCPUs, distances between them, and what
 * the monitor shows of them.
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. After numa_complete() nodes 0..numa_count-1 are present, their sizes add up
 *    to the guest's memory, and each vCPU has a node.
 * 2. Memory comes either from main memory (mem=) or from one backend for each
 *    node that has any (memdev=), never from both.
 */
#include <glib.h>
#include "monitor.h"
#include "numa.h"
#include "opt.h"
#include "schema/schema.h"
#include "hw/machine/startup.h"
#include "x86.h"

unsigned numa_count;
bool numa_has_distances;

static NumaNode *nodes;
static int16_t *cpu_node;              /* by index; -1: not told              */
static bool any_mem, any_memdev, any_cpu;

NumaNode *numa_node(unsigned i)
{
    return &nodes[i];
}

bool numa_by_backends(void)
{
    return any_memdev;
}

int numa_of_cpu(unsigned index)
{
    return numa_count && cpu_node && index < machine->max_cpus
         ? cpu_node[index] : -1;
}

void numa_fill_region(MemRegion *all)
{
    uint64_t at = 0;

    for (unsigned i = 0; i < numa_count; i++) {
        if (nodes[i].backend) {
            mem_add(all, at, mem_backend_region(nodes[i].backend));
            at += nodes[i].size;
        }
    }
}

/* ---- vCPUs --------------------------------------------------------------- */

static void cpus_begin(void)
{
    if (!cpu_node) {
        cpu_node = g_new(int16_t, machine->max_cpus);
        memset(cpu_node, 0xff, machine->max_cpus * sizeof(*cpu_node));
    }
}

static bool cpu_put(unsigned index, unsigned node, Error **errp)
{
    if (cpu_node[index] >= 0 && cpu_node[index] != (int)node) {
        return error_set(errp, "CPU is already assigned to node-id: %d",
                         cpu_node[index]);
    }
    cpu_node[index] = (int16_t)node;
    any_cpu = true;
    return true;
}

/* "3" or "2-5" of cpus=. */
static MACHINE_CALL bool cpu_range(const char *text, unsigned node,
                                   Error **errp)
{
    g_auto(GStrv) part = g_strsplit(text, "-", 2);
    uint64_t first = 0, last;

    if (!part[0] || !opt_u64("cpus", part[0], &first, NULL) ||
        (part[1] && !opt_u64("cpus", part[1], &last, NULL))) {
        return error_set(errp, "Parameter 'cpus' expects a uint64 value or "
                         "range");
    }
    if (!part[1]) {
        last = first;
    }
    if (last < first || last - first >= 65536) {
        return error_set(errp, "Parameter 'cpus' expects a uint64 value or "
                         "range");
    }
    for (uint64_t i = first; i <= last; i++) {
        if (i >= machine->max_cpus) {
            return error_set(errp, "CPU index (%" PRIu64 ") should be smaller "
                             "than maxcpus (%u)", i, machine->max_cpus);
        }
        if (!cpu_put((unsigned)i, node, errp)) {
            return false;
        }
    }
    return true;
}

static MACHINE_CALL bool node_cpus(const Json *v, unsigned node, Error **errp)
{
    if (!v) {
        return true;
    }
    cpus_begin();
    if (json_kind(v) == JSON_STR) {
        return cpu_range(json_str_of(v), node, errp);
    }
    for (size_t i = 0; i < json_count(v); i++) {
        if (!cpu_range(json_str_of(json_at(v, i)), node, errp)) {
            return false;
        }
    }
    return true;
}

/* ---- -numa node ---------------------------------------------------------- */

/* Unsigned number up to most; `there` tells whether it was given. */
static bool number(const Json *o, const char *key, uint64_t most,
                   const char *type, uint64_t *out, bool *there, Error **errp)
{
    const char *s = json_get_str(o, key);

    *there = s != NULL;
    if (s && (!opt_u64(key, s, out, NULL) || *out > most)) {
        return error_set(errp, "Parameter '%s' expects %s", key, type);
    }
    return true;
}

static bool known(const Json *o, const char *const *names, Error **errp)
{
    for (size_t i = 0; i < json_count(o); i++) {
        const char *key = json_key_at(o, i);
        size_t k = 0;

        while (names[k] && strcmp(names[k], key)) {
            k++;
        }
        if (!names[k]) {
            return error_set(errp, "Invalid parameter '%s'", key);
        }
    }
    return true;
}

static bool no_hmat(Error **errp)
{
    return error_set(errp, "ACPI Heterogeneous Memory Attribute Table (HMAT) "
                     "is disabled, enable it with -machine hmat=on before "
                     "using any of hmat specific options");
}

static MACHINE_CALL bool node_memory(NumaNode *n, const char *mem,
                                     const char *memdev, Error **errp)
{
    if ((mem && (memdev || any_memdev)) || (memdev && any_mem)) {
        return error_set(errp, "numa configuration should use either mem= or "
                         "memdev=,mixing both is not allowed");
    }
    if (mem) {
        if (machine_version > 500 || !machine_version) {
            error_set(errp, "Parameter -numa node,mem is not supported by "
                      "this machine type");
            error_hint(errp, "Use -numa node,memdev instead");
            return false;
        }
        warn_report("Parameter -numa node,mem is deprecated, use -numa "
                    "node,memdev instead");
        any_mem = true;
        return opt_size("mem", mem, MiB, &n->size, errp);
    }
    if (memdev) {
        n->backend = user_obj_find(memdev);
        if (!n->backend || !mem_is_backend(n->backend)) {
            return error_set(errp, "memdev=%s is ambiguous", memdev);
        }
        n->size = mem_size(mem_backend_region(n->backend));
        any_memdev = true;
    }
    return true;
}

static MACHINE_CALL bool add_node(const Json *o, Error **errp)
{
    static const char *const names[] = { "type", "nodeid", "cpus", "mem",
                                         "memdev", "initiator", NULL };
    uint64_t id = numa_count;
    bool there;

    if (!known(o, names, errp) ||
        !number(o, "nodeid", UINT16_MAX, "uint16_t", &id, &there, errp)) {
        return false;
    }
    if (id >= NUMA_NODES_MAX) {
        return error_set(errp, "Max number of NUMA nodes reached: %" PRIu64,
                         id);
    }
    if (nodes[id].present) {
        return error_set(errp, "Duplicate NUMA nodeid: %" PRIu64, id);
    }
    if (json_get(o, "initiator")) {
        return no_hmat(errp);
    }
    if (!node_cpus(json_get(o, "cpus"), (unsigned)id, errp) ||
        !node_memory(&nodes[id], json_get_str(o, "mem"),
                     json_get_str(o, "memdev"), errp)) {
        return false;
    }
    nodes[id].present = true;
    numa_count++;
    return true;
}

/* ---- -numa dist, cpu ----------------------------------------------------- */

static bool add_distance(const Json *o, Error **errp)
{
    static const char *const names[] = { "type", "src", "dst", "val", NULL };
    uint64_t v[3] = { 0 };

    if (!known(o, names, errp)) {
        return false;
    }
    for (int i = 0; i < 3; i++) {
        bool there;

        if (!number(o, names[i + 1], i == 2 ? UINT8_MAX : UINT16_MAX,
                    i == 2 ? "uint8_t" : "uint16_t", &v[i], &there, errp)) {
            return false;
        }
        if (!there) {
            return error_set(errp, "Parameter '%s' is missing", names[i + 1]);
        }
    }
    if (v[0] >= NUMA_NODES_MAX || v[1] >= NUMA_NODES_MAX) {
        return error_set(errp, "Parameter '%s' expects an integer between 0 "
                         "and %d", v[0] >= NUMA_NODES_MAX ? "src" : "dst",
                         NUMA_NODES_MAX - 1);
    }
    if (!nodes[v[0]].present || !nodes[v[1]].present) {
        return error_set(errp, "Source/Destination NUMA node is missing. "
                         "Please use '-numa node' option to declare it "
                         "first.");
    }
    if (v[2] < NUMA_LOCAL) {
        return error_set(errp, "NUMA distance (%" PRIu64 ") is invalid, it "
                         "shouldn't be less than %d.", v[2], NUMA_LOCAL);
    }
    if (v[0] == v[1] && v[2] != NUMA_LOCAL) {
        return error_set(errp, "Local distance of node %" PRIu64 " should be "
                         "%d.", v[0], NUMA_LOCAL);
    }
    nodes[v[0]].distance[v[1]] = (uint8_t)v[2];
    numa_has_distances = true;
    return true;
}

static MACHINE_CALL bool add_cpu(const Json *o, Error **errp)
{
    static const char *const names[] = { "type", "node-id", "socket-id",
                                         "die-id", "core-id", "thread-id",
                                         NULL };
    uint64_t v[5] = { 0 };
    bool there[5], match = false;

    if (!known(o, names, errp)) {
        return false;
    }
    for (int i = 0; i < 5; i++) {
        if (!number(o, names[i + 1], INT64_MAX, "int64", &v[i], &there[i],
                    errp)) {
            return false;
        }
    }
    if (!there[0]) {
        return error_set(errp, "Missing mandatory node-id property");
    }
    if (v[0] >= NUMA_NODES_MAX || !nodes[v[0]].present) {
        return error_set(errp, "Invalid node-id=%" PRIu64 ", NUMA node must "
                         "be defined with -numa node,nodeid=ID before it's "
                         "used with -numa cpu,node-id=ID", v[0]);
    }
    cpus_begin();
    for (unsigned i = 0; i < machine->max_cpus; i++) {
        X86Place at = x86_place(machine, machine_apic_id(machine, i));
        const uint64_t is[5] = { v[0], at.socket, at.die, at.core,
                                 at.thread };
        bool same = true;

        for (int k = 1; k < 5; k++) {
            same = same && (!there[k] || v[k] == is[k]);
        }
        if (same && !cpu_put(i, (unsigned)v[0], errp)) {
            return false;
        }
        match = match || same;
    }
    return match || error_set(errp, "no match found");
}

/* As -numa has it: its functions read text. */
static void numa_text(GString *out, const char *key, const Json *v)
{
    for (size_t i = 0; json_kind(v) == JSON_LIST && i < json_count(v); i++) {
        numa_text(out, key, json_at(v, i));
    }
    if (json_kind(v) == JSON_STR) {
        g_autofree char *esc = opt_escape(json_str_of(v));

        g_string_append_printf(out, ",%s=%s", key, esc);
    } else if (json_kind(v) != JSON_LIST) {
        g_string_append_printf(out, ",%s=%" PRId64 "%s", key, json_int_of(v),
                               strcmp(key, "mem") ? "" : "b");
    }
}

bool cmd_set_numa_node(const void *arg, void *ret, Error **errp)
{
    Json *all = schema_json(&qt_NumaOptions, arg);
    g_autoptr(GString) text = g_string_new(json_get_str(all, "type"));
    bool ok;

    if (machine->ready) {
        json_free(all);
        return error_set(errp, "The command is permitted only before the "
                         "machine has been created");
    }
    for (size_t i = 0; i < json_count(all); i++) {
        if (strcmp(json_key_at(all, i), "type")) {
            numa_text(text, json_key_at(all, i), json_value_at(all, i));
        }
    }
    json_free(all);
    ok = numa_option(text->str, NULL, errp);
    return ok;
}

bool numa_option(const char *arg, const char *kind, Error **errp)
{
    const char *type;
    bool ok = false;
    Opts o;

    if (!opts_parse(&o, arg, "type", OPT_FLAT | OPT_REPEAT | OPT_PLAIN, errp)) {
        return false;
    }
    type = json_get_str(o.obj, "type");
    if (!machine->max_cpus || machine->type->no_cpus) {
        error_set(errp, "NUMA is not supported by this machine-type");
        goto out;
    }
    if (!nodes) {
        nodes = g_new0(NumaNode, NUMA_NODES_MAX);
    }
    if (!type) {
        error_set(errp, "Parameter 'type' is missing");
    } else if (!strcmp(type, "node")) {
        ok = add_node(o.obj, errp);
    } else if (!strcmp(type, "dist")) {
        ok = add_distance(o.obj, errp);
    } else if (!strcmp(type, "cpu")) {
        ok = add_cpu(o.obj, errp);
    } else if (!strcmp(type, "hmat-lb") || !strcmp(type, "hmat-cache")) {
        no_hmat(errp);
    } else {
        const OptWords w = { { "node", "dist", "cpu", "hmat-lb" }, 4 };

        error_set(errp, "Parameter 'type' does not accept value '%s'", type);
        opt_suggest(&w, type, errp);
    }
out:
    opts_free(&o);
    return ok;
}

/* ---- all of it ----------------------------------------------------------- */

static MACHINE_CALL bool check_memory(const Machine *m, Error **errp)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < numa_count; i++) {
        if (!nodes[i].present) {
            return error_set(errp, "numa: Node ID missing: %u", i);
        }
        sum += nodes[i].size;
    }
    if (sum != m->ram_size) {
        return error_set(errp, "total memory for NUMA nodes (0x%" PRIx64
                         ") should equal RAM size (0x%" PRIx64 ")", sum,
                         m->ram_size);
    }
    for (unsigned i = 0; i < numa_count; i++) {
        for (unsigned k = 0; k < i; k++) {
            if (nodes[i].backend && nodes[i].backend == nodes[k].backend) {
                return error_set(errp, "memory backend %s can't be used "
                                 "multiple times.", nodes[i].backend->name);
            }
        }
        if (nodes[i].backend && !mem_backend_claim(nodes[i].backend, errp)) {
            return false;
        }
    }
    return true;
}

static bool check_distances(Error **errp)
{
    bool asymmetric = false;

    for (unsigned i = 0; i < numa_count; i++) {
        for (unsigned k = i; k < numa_count; k++) {
            uint8_t there = nodes[i].distance[k], back = nodes[k].distance[i];

            if (i == k) {
                nodes[i].distance[i] = NUMA_LOCAL;
            } else if (!there && !back) {
                return error_set(errp, "The distance between node %u and %u "
                                 "is missing, at least one distance value "
                                 "between each nodes should be provided.", i,
                                 k);
            }
            asymmetric = asymmetric || (there && back && there != back);
        }
    }
    for (unsigned i = 0; i < numa_count; i++) {
        for (unsigned k = 0; k < numa_count; k++) {
            if (nodes[i].distance[k]) {
                continue;
            }
            if (asymmetric) {
                return error_set(errp, "At least one asymmetrical pair of "
                                 "distances is given, please provide "
                                 "distances for both directions of all node "
                                 "pairs.");
            }
            nodes[i].distance[k] = nodes[k].distance[i];
        }
    }
    return true;
}

/* Where nothing is said, sockets go round the nodes; else the rest is node 0's,
 * and the user hears of it. */
static MACHINE_CALL void place_cpus(const Machine *m)
{
    g_autoptr(GString) left = g_string_new(NULL);

    cpus_begin();
    for (unsigned i = 0; i < m->max_cpus; i++) {
        X86Place at = x86_place(m, machine_apic_id(m, i));

        if (cpu_node[i] >= 0) {
            continue;
        }
        if (!any_cpu) {
            cpu_node[i] = (int16_t)(at.socket % numa_count);
            continue;
        }
        cpu_node[i] = 0;
        g_string_append_printf(left, "%sCPU %u [socket-id: %u, ",
                               left->len ? ", " : "", i, at.socket);
        if (m->dies > 1) {
            g_string_append_printf(left, "die-id: %u, ", at.die);
        }
        g_string_append_printf(left, "core-id: %u, thread-id: %u]", at.core,
                               at.thread);
    }
    if (left->len) {
        warn_report("CPU(s) not present in any NUMA nodes: %s", left->str);
        warn_report("All CPU(s) up to maxcpus should be described in NUMA "
                    "config, ability to start up with partial NUMA mappings "
                    "is obsoleted and will be removed in future");
    }
}

bool numa_complete(Machine *m, Error **errp)
{
    if (!numa_count) {
        return true;
    }
    if (any_memdev && m->memory_backend) {
        return error_set(errp, "'-machine memory-backend' and '-numa memdev' "
                         "properties are mutually exclusive");
    }
    if (!check_memory(m, errp) ||
        (numa_has_distances && !check_distances(errp))) {
        return false;
    }
    place_cpus(m);
    return true;
}

/* ---- info numa ----------------------------------------------------------- */

bool cmd_x_query_numa(const void *arg, void *ret, Error **errp)
{
    HumanReadableText *r = ret;
    GString *s = g_string_new(NULL);

    g_string_append_printf(s, "%u nodes\n", numa_count);
    for (unsigned i = 0; i < numa_count; i++) {
        g_string_append_printf(s, "node %u cpus:", i);
        for (unsigned k = 0; k < cpu_count; k++) {
            if (numa_of_cpu(cpus[k]->index) == (int)i) {
                g_string_append_printf(s, " %u", cpus[k]->index);
            }
        }
        g_string_append_printf(s, "\nnode %u size: %" PRIu64 " MB\n"
                               "node %u plugged: 0 MB\n", i,
                               nodes[i].size / MiB, i);
    }
    r->human_readable_text = g_string_free(s, FALSE);
    return true;
}
