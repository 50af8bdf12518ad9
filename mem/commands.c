/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * commands.c - what monitors ask about memory: query-memdev, the list of RAM
 * blocks, the tree of regions.
 *
 * Thread class: machine lock.
 */
#include <glib.h>
#include "mem/backend.h"
#include "monitor.h"
#include "schema/schema.h"

bool cmd_query_memdev(const void *arg, void *ret, Error **errp)
{
    MemdevList *l = ret;

    for (Obj *o = obj_dir("objects")->first; o; o = o->next) {
        const MemBackend *b = (const MemBackend *)o;
        Memdev *m;

        if (!mem_is_backend(o)) {
            continue;
        }
        m = SCHEMA_ADD(l);
        m->id = g_strdup(o->name);
        m->size = b->rb ? b->rb->used : b->size;
        m->merge = backend_flag(b, BF_MERGE);
        m->dump = backend_flag(b, BF_DUMP);
        m->prealloc = backend_flag(b, BF_PREALLOC);
        m->share = backend_flag(b, BF_SHARE);
        m->has_reserve = true;
        m->reserve = backend_flag(b, BF_RESERVE);
        m->policy = (HostMemPolicy)b->policy;
        for (unsigned n = 0; n < NODES_MAX; n++) {
            unsigned bits = 8 * sizeof(unsigned long);

            if (b->nodes[n / bits] >> n % bits & 1) {
                *SCHEMA_ADD(&m->host_nodes) = n;
            }
        }
    }
    return true;
}

void hmp_print_info_memdev(const void *ret, const Json *args)
{
    const MemdevList *l = ret;
    static const char *const yes[2] = { "false", "true" };

    for (size_t i = 0; i < l->n; i++) {
        const Memdev *m = &l->v[i];

        mon_printf("memory backend: %s\n  size:  %" PRIu64 "\n  merge: %s\n"
                   "  dump: %s\n  prealloc: %s\n  share: %s\n", m->id, m->size,
                   yes[m->merge], yes[m->dump], yes[m->prealloc],
                   yes[m->share]);
        if (m->has_reserve) {
            mon_printf("  reserve: %s\n", yes[m->reserve]);
        }
        mon_printf("  policy: %s\n  host nodes: ",
                   backend_policy_names[m->policy]);
        for (size_t k = 0; k < m->host_nodes.n; k++) {
            mon_printf("%s%u", k ? "," : "", m->host_nodes.v[k]);
        }
        mon_puts("\n");
    }
    mon_puts("\n");
}

static void size_text(char *buf, size_t n, uint64_t v)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
    unsigned u = 0;

    while (v >= 1024 && !(v % 1024) && u + 1 < ARRAY_SIZE(units)) {
        v /= 1024;
        u++;
    }
    snprintf(buf, n, "%" PRIu64 " %s", v, units[u]);
}

static void block_line(RamBlock *rb, void *arg)
{
    char page[32];

    size_text(page, sizeof(page), rb->page_size);
    g_string_append_printf(arg, "%24s %8s  0x%016" PRIx64 " 0x%016" PRIx64
                           " 0x%016" PRIx64 "\n", rb->id ? rb->id : "", page,
                           rb->ram_addr, rb->used, rb->max);
}

bool cmd_x_query_ramblock(const void *arg, void *ret, Error **errp)
{
    GString *s = g_string_new(NULL);

    g_string_append_printf(s, "%24s %8s  %18s %18s %18s\n", "Block Name",
                           "PSize", "Offset", "Used", "Total");
    ram_each(block_line, s);
    ((HumanReadableText *)ret)->human_readable_text = g_string_free(s, FALSE);
    return true;
}

static void tree_line(void *arg, const char *line)
{
    mon_printf("%s\n", line);
}

void hmp_info_mtree(const Json *args)
{
    const Json *f = json_get(args, "flat"), *o = json_get(args, "owner"),
               *d = json_get(args, "disabled");

    mem_print_tree(tree_line, NULL, f && json_bool_of(f),
                   o && json_bool_of(o), d && json_bool_of(d));
}
