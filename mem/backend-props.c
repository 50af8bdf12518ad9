/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * backend-props.c - the properties of memory-backend-ram, -file and -memfd.
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. A switch that the user did not give follows the type and the machine.
 * 2. What shapes the block (size, share, mem-path, …) is fixed once it is made;
 *    the rest acts on the block at once.
 */
#include <glib.h>
#include "backend.h"
#include "mem-opts.h"
#include "opt.h"

const char *const backend_policy_names[] = {
    "default", "preferred", "bind", "interleave", NULL,
};

static MemBackend *backend_of(const Obj *o)
{
    return container_of(o, MemBackend, obj);
}

/* ---- switches ------------------------------------------------------------ */

bool backend_flag(const MemBackend *b, BackendFlag f)
{
    if (b->given & 1u << f) {
        return b->flags & 1u << f;
    }
    switch (f) {
    case BF_SHARE:
        return strcmp(obj_type(&b->obj), "memory-backend-memfd") == 0;
    case BF_DUMP:
        return mem_dump_default;
    case BF_MERGE:
        return mem_merge_default;
    case BF_RESERVE:
    case BF_SEAL:
        return true;
    default:
        return false;
    }
}

static Json *flag_get(const Obj *o, const Prop *p, Error **errp)
{
    return json_bool(backend_flag(backend_of(o), p->bit));
}

static bool flag_apply(MemBackend *b, const Prop *p, bool on, Error **errp)
    MACHINE_CALL;
static bool flag_apply(MemBackend *b, const Prop *p, bool on, Error **errp)
{
    switch (p->bit) {
    case BF_MERGE:
        ram_set_merge(b->rb, on);
        return true;
    case BF_DUMP:
        ram_set_dump(b->rb, on);
        return true;
    case BF_PREALLOC:
        if (on && !backend_flag(b, BF_RESERVE)) {
            return error_set(errp, "'prealloc=on' and 'reserve=off' are "
                             "incompatible");
        }
        return !on || backend_flag(b, BF_PREALLOC) ||
               backend_prealloc(b, errp);
    default:
        return true;
    }
}

static bool flag_set(Obj *o, const Prop *p, const Json *v, Error **errp)
{
    MemBackend *b = backend_of(o);
    bool on;

    machine_assert_locked();
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
    if (b->rb && !(p->flags & PF_LIVE)) {
        return error_set(errp, "cannot change property '%s' of %s.", p->name,
                         obj_type(o));
    }
    if (b->rb && !flag_apply(b, p, on, errp)) {
        return false;
    }
    /* Memory that is there cannot be un-allocated. */
    if (b->rb && p->bit == BF_PREALLOC && !on) {
        return true;
    }
    b->given |= 1u << p->bit;
    b->flags = on ? b->flags | 1u << p->bit : b->flags & ~(1u << p->bit);
    return true;
}

#define SWITCH(n, b, ...) \
    PROP_CALL(n, "bool", flag_get, flag_set, .bit = b, ##__VA_ARGS__)

/* ---- numbers ------------------------------------------------------------- */

static bool value_u64(const Prop *p, const Json *v, bool size, uint64_t *out,
                      Error **errp)
{
    if (json_kind(v) == JSON_STR) {
        return size ? opt_size(p->name, json_str_of(v), 1, out, errp)
                    : opt_u64(p->name, json_str_of(v), out, errp);
    }
    if ((json_kind(v) == JSON_INT && json_int_of(v) >= 0) ||
        json_kind(v) == JSON_UINT) {
        *out = json_uint_of(v);
        return true;
    }
    return error_set(errp, "Parameter '%s' expects uint64", p->name);
}

static Json *size_get(const Obj *o, const Prop *p, Error **errp)
{
    return json_uint(*(const uint64_t *)((const char *)o + p->offset));
}

static bool size_set(Obj *o, const Prop *p, const Json *v, Error **errp)
{
    MemBackend *b = backend_of(o);
    uint64_t n;

    if (b->rb) {
        return error_set(errp, "cannot change property '%s' of %s", p->name,
                         obj_type(o));
    }
    if (!value_u64(p, v, true, &n, errp)) {
        return false;
    }
    /* An alignment of 0 is none; sizes of 0 are refused. */
    if (n == 0 && p->offset != offsetof(MemBackend, align)) {
        return error_set(errp, "property '%s' of %s doesn't take value '0'",
                         p->name, obj_type(o));
    }
    *(uint64_t *)((char *)o + p->offset) = n;
    return true;
}

#define BYTES(n, f, ...) \
    PROP_CALL(n, "int", size_get, size_set, \
              .offset = offsetof(MemBackend, f), ##__VA_ARGS__)

static Json *threads_get(const Obj *o, const Prop *p, Error **errp)
{
    return json_int(MAX2(backend_of(o)->threads, 1));
}

static bool threads_set(Obj *o, const Prop *p, const Json *v, Error **errp)
{
    uint64_t n;

    if (!value_u64(p, v, false, &n, errp)) {
        return false;
    }
    if (n == 0 || n > UINT32_MAX) {
        return error_set(errp, "property '%s' of %s doesn't take value '%"
                         PRIu64 "'", p->name, obj_type(o), n);
    }
    backend_of(o)->threads = n;
    return true;
}

/* ---- NUMA ---------------------------------------------------------------- */

static Json *policy_get(const Obj *o, const Prop *p, Error **errp)
{
    return json_str(backend_policy_names[backend_of(o)->policy]);
}

static bool policy_set(Obj *o, const Prop *p, const Json *v, Error **errp)
{
    if (json_kind(v) != JSON_STR) {
        return error_set(errp, "Invalid parameter type for '%s', expected: "
                         "string", p->name);
    }
    for (int i = 0; backend_policy_names[i]; i++) {
        if (strcmp(backend_policy_names[i], json_str_of(v)) == 0) {
            backend_of(o)->policy = i;
            return true;
        }
    }
    error_set(errp, "Parameter '%s' does not accept value '%s'", p->name,
              json_str_of(v));
    error_hint(errp, "It takes default, preferred, bind or interleave.");
    return false;
}

static bool node_has(const MemBackend *b, unsigned i)
{
    const unsigned bits = 8 * sizeof(b->nodes[0]);

    return b->nodes[i / bits] >> i % bits & 1;
}

static void node_put(unsigned long *nodes, unsigned i)
{
    const unsigned bits = 8 * sizeof(nodes[0]);

    nodes[i / bits] |= 1ul << i % bits;
}

bool backend_has_nodes(const MemBackend *b)
{
    for (unsigned i = 0; i < NODE_WORDS; i++) {
        if (b->nodes[i]) {
            return true;
        }
    }
    return false;
}

static Json *nodes_get(const Obj *o, const Prop *p, Error **errp)
{
    Json *list = json_list();

    for (unsigned i = 0; i < NODES_MAX; i++) {
        if (node_has(backend_of(o), i)) {
            json_add(list, json_int(i));
        }
    }
    return list;
}

static bool nodes_put_range(unsigned long *nodes, uint64_t first, uint64_t last,
                            Error **errp)
{
    if (last >= NODES_MAX) {
        return error_set(errp, "Invalid host-nodes value: %" PRIu64, last);
    }
    for (uint64_t i = first; i <= last; i++) {
        node_put(nodes, i);
    }
    return true;
}

/* "0", "0-3", "0-1,4" */
static bool nodes_parse(const Prop *p, const char *s, unsigned long *nodes,
                        Error **errp)
{
    char **parts = g_strsplit(s, ",", -1);
    bool ok = true;

    for (char **part = parts; ok && *part; part++) {
        char *dash = strchr(*part, '-');
        uint64_t first, last;

        if (dash) {
            *dash = '\0';
        }
        ok = opt_u64(p->name, *part, &first, NULL) &&
             (!dash || opt_u64(p->name, dash + 1, &last, NULL));
        last = ok && dash ? last : ok ? first : 0;
        if (!ok || first > last) {
            ok = error_set(errp, "Parameter '%s' expects a uint64 value or "
                           "range", p->name);
        } else {
            ok = nodes_put_range(nodes, first, last, errp);
        }
    }
    g_strfreev(parts);
    return ok;
}

static bool nodes_put_json(const Prop *p, const Json *v, unsigned long *nodes,
                           Error **errp)
{
    uint64_t n;

    if (json_kind(v) == JSON_STR) {
        return nodes_parse(p, json_str_of(v), nodes, errp);
    }
    return value_u64(p, v, false, &n, errp) &&
           nodes_put_range(nodes, n, n, errp);
}

static bool nodes_set(Obj *o, const Prop *p, const Json *v, Error **errp)
{
    unsigned long nodes[NODE_WORDS] = { 0 };

    if (json_kind(v) == JSON_LIST) {
        for (size_t i = 0; i < json_count(v); i++) {
            if (!nodes_put_json(p, json_at(v, i), nodes, errp)) {
                return false;
            }
        }
    } else if (!nodes_put_json(p, v, nodes, errp)) {
        return false;
    }
    memcpy(backend_of(o)->nodes, nodes, sizeof(nodes));
    return true;
}

/* ---- prealloc-context ---------------------------------------------------- */

static Json *context_get(const Obj *o, const Prop *p, Error **errp)
{
    char *path;
    Json *v;

    machine_assert_locked();
    if (!backend_of(o)->context) {
        return json_str("");
    }
    path = obj_path(backend_of(o)->context);
    v = json_str(path);
    g_free(path);
    return v;
}

static bool context_set(Obj *o, const Prop *p, const Json *v, Error **errp)
{
    const char *id;
    Obj *target;

    machine_assert_locked();
    if (json_kind(v) != JSON_STR) {
        return error_set(errp, "Invalid parameter type for '%s', expected: "
                         "string", p->name);
    }
    id = json_str_of(v);
    if (!*id) {
        backend_of(o)->context = NULL;
        return true;
    }
    target = *id == '/' ? obj_resolve(id, NULL) : user_obj_find(id);
    if (!target) {
        return error_set_class(errp, ERROR_DEVICE_NOT_FOUND,
                               "Device '%s' not found", id);
    }
    if (strcmp(obj_type(target), "thread-context") != 0) {
        return error_set(errp, "Invalid parameter type for '%s', expected: "
                         "thread-context", p->name);
    }
    backend_of(o)->context = target;
    return true;
}

/* ---- tables -------------------------------------------------------------- */

const Prop backend_props[] = {
    SWITCH("share", BF_SHARE, .flags = PF_NO_DEFAULT,
           .desc = "Mark the memory as private to QEMU or shared"),
    BYTES("size", size, .flags = PF_REQUIRED,
          .desc = "Size of the memory region (ex: 500M)"),
    SWITCH("dump", BF_DUMP, .flags = PF_LIVE,
           .desc = "Set to 'off' to exclude from core dump"),
    PROP_CALL("prealloc-threads", "int", threads_get, threads_set,
              .flags = PF_LIVE,
              .desc = "Number of CPU threads to use for prealloc"),
    SWITCH("x-use-canonical-path-for-ramblock-id", BF_CANONICAL,
           .flags = PF_LIVE),
    PROP_CALL("policy", "HostMemPolicy", policy_get, policy_set,
              .flags = PF_LIVE, .desc = "Set the NUMA policy"),
    PROP_CALL("prealloc-context", "link<thread-context>", context_get,
              context_set, .flags = PF_LIVE,
              .desc = "Context to use for creating CPU threads for "
                      "preallocation"),
    SWITCH("prealloc", BF_PREALLOC, .flags = PF_LIVE,
           .desc = "Preallocate memory"),
    SWITCH("reserve", BF_RESERVE,
           .desc = "Reserve swap space (or huge pages) if applicable"),
    PROP_CALL("host-nodes", "int", nodes_get, nodes_set, .flags = PF_LIVE,
              .desc = "Binds memory to the list of NUMA host nodes"),
    SWITCH("merge", BF_MERGE, .flags = PF_LIVE,
           .desc = "Mark memory as mergeable"),
    PROP_END
};

const Prop backend_file_props[] = {
    SWITCH("readonly", BF_READONLY),
    BYTES("align", align),
    SWITCH("pmem", BF_PMEM),
    PROP_STR("mem-path", MemBackend, path, .type = "string", .flags = PF_REQUIRED),
    SWITCH("discard-data", BF_DISCARD, .flags = PF_LIVE),
    PROP_END
};

const Prop backend_memfd_props[] = {
    SWITCH("hugetlb", BF_HUGETLB, .flags = PF_LIVE, .desc = "Use huge pages"),
    SWITCH("seal", BF_SEAL, .flags = PF_LIVE,
           .desc = "Seal growing & shrinking"),
    BYTES("hugetlbsize", huge_size, .desc = "Huge pages size (ex: 2M, 1G)"),
    PROP_END
};
