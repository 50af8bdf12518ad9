/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mtree.c - `info mtree`: region trees and flat maps as text.
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. Each tree is printed once, under the names of all spaces that have it as
 *    root; targets of aliases follow, each once, in order of first mention.
 * 2. Children are in order of address, then priority, then age (newest first).
 */
#include <glib.h>
#include "mem-impl.h"

typedef struct Out {
    void (*print)(void *arg, const char *line);
    void *arg;
    bool owners, disabled;
    GPtrArray *targets;                /* MemRegion: still to be printed      */
} Out;

static void out_line(const Out *o, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void out_line(const Out *o, const char *fmt, ...)
{
    va_list ap;
    char *line;

    va_start(ap, fmt);
    line = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    o->print(o->arg, line);
    g_free(line);
}

/* " owner:{dev path=…}" and the like; caller frees. */
static char *owner_text(const Out *o, const MemRegion *mr) MACHINE_CALL;
static char *owner_text(const Out *o, const MemRegion *mr)
{
    const Obj *parent = mr->obj.parent;
    char *path, *text;

    if (!o->owners) {
        return g_strdup("");
    }
    if (!parent) {
        return g_strdup(" orphan");
    }
    path = obj_path(parent);
    if (strcmp(obj_type(parent), "container") == 0) {
        text = g_strdup_printf(" parent:{obj path=%s}", path);
    } else if (!type_is_a(obj_type(parent), "device")) {
        text = g_strdup_printf(" owner:{obj path=%s}", path);
    } else if (g_str_has_prefix(path, "/machine/peripheral/") &&
               !strchr(path + strlen("/machine/peripheral/"), '/')) {
        text = g_strdup_printf(" owner:{dev id=%s}", parent->name);
    } else {
        text = g_strdup_printf(" owner:{dev path=%s}", path);
    }
    g_free(path);
    return text;
}

/* ---- trees --------------------------------------------------------------- */

static int child_order(const void *pa, const void *pb)
{
    const MemRegion *a = *(MemRegion *const *)pa;
    const MemRegion *b = *(MemRegion *const *)pb;

    if (a->addr != b->addr) {
        return a->addr < b->addr ? -1 : 1;
    }
    return b->priority - a->priority;
}

static void print_region(const Out *o, MemRegion *mr, unsigned level,
                         uint64_t base) MACHINE_CALL;

static void print_children(const Out *o, MemRegion *mr, unsigned level,
                           uint64_t base) MACHINE_CALL;
static void print_children(const Out *o, MemRegion *mr, unsigned level,
                           uint64_t base)
{
    GPtrArray *all = g_ptr_array_new();

    for (MemRegion *c = mr->first; c; c = c->next) {
        g_ptr_array_add(all, c);
    }
    /* A merge sort: equals stay in order. */
    g_ptr_array_sort(all, child_order);
    for (guint i = 0; i < all->len; i++) {
        print_region(o, g_ptr_array_index(all, i), level, base);
    }
    g_ptr_array_free(all, true);
}

static void print_region(const Out *o, MemRegion *mr, unsigned level,
                         uint64_t base)
{
    uint64_t first = base + mr->addr;
    char *owner, *of = NULL;

    if (mr->kind == MR_ALIAS &&
        !g_ptr_array_find(o->targets, mr->alias, NULL)) {
        g_ptr_array_add(o->targets, mr->alias);
    }
    if (!(mr->flags & MRF_OFF) || o->disabled) {
        owner = owner_text(o, mr);
        if (mr->kind == MR_ALIAS) {
            of = g_strdup_printf(" @%s %016" PRIx64 "-%016" PRIx64,
                                 mr->alias->name, mr->alias_off,
                                 mr->alias_off + mr->last);
        }
        out_line(o, "%*s%016" PRIx64 "-%016" PRIx64
                 " (prio %d, %s): %s%s%s%s%s", level * 2, "", first,
                 first + mr->last, mr->priority, region_kind_name(mr),
                 of ? "alias " : "", mr->name,
                 of ? of : "", mr->flags & MRF_OFF ? " [disabled]" : "", owner);
        g_free(of);
        g_free(owner);
    }
    if (mr->kind != MR_ALIAS) {
        print_children(o, mr, level + 1, first);
    }
}

static void print_trees(const Out *o) MACHINE_CALL;
static void print_trees(const Out *o)
{
    GPtrArray *done = g_ptr_array_new();

    for (MemSpace *as = mem_spaces; as; as = as->next) {
        if (!as->root || g_ptr_array_find(done, as->root, NULL)) {
            continue;
        }
        for (MemSpace *b = as; b; b = b->next) {
            if (b->root == as->root) {
                out_line(o, "address-space: %s", b->name);
            }
        }
        print_region(o, as->root, 1, 0);
        out_line(o, "%s", "");
        g_ptr_array_add(done, as->root);
    }
    g_ptr_array_free(done, true);
    for (guint i = 0; i < o->targets->len; i++) {
        MemRegion *mr = g_ptr_array_index(o->targets, i);

        out_line(o, "memory-region: %s", mr->name);
        print_region(o, mr, 1, 0);
        out_line(o, "%s", "");
    }
}

/* ---- flat maps ----------------------------------------------------------- */

static void print_map(const Out *o, const MapBox *box) MACHINE_CALL;
static void print_map(const Out *o, const MapBox *box)
{
    out_line(o, " Root memory region: %s", box->root ? box->root->name
                                                     : "(none)");
    if (box->map.n == 0) {
        out_line(o, "  No rendered FlatView");
    }
    for (uint32_t i = 0; i < box->map.n; i++) {
        const FlatRange *r = &box->map.r[i];
        char *owner = owner_text(o, r->mr);
        char at[24] = "";

        if (r->off) {
            snprintf(at, sizeof(at), " @%016" PRIx64, r->off);
        }
        out_line(o, "  %016" PRIx64 "-%016" PRIx64 " (prio %d, %s): %s%s%s",
                 r->first, r->last, r->mr->priority,
                 r->readonly ? "rom" : region_kind_name(r->mr), r->mr->name,
                 at, owner);
        g_free(owner);
    }
}

static void print_flat(const Out *o) MACHINE_CALL;
static void print_flat(const Out *o)
{
    GPtrArray *done = g_ptr_array_new();

    for (MemSpace *as = mem_spaces; as; as = as->next) {
        const FlatMap *map = mem_map(as);

        if (g_ptr_array_find(done, map, NULL)) {
            continue;
        }
        out_line(o, "FlatView #%u", done->len);
        for (MemSpace *b = as; b; b = b->next) {
            if (mem_map(b) == map && b->root) {
                out_line(o, " AS \"%s\", root: %s%s%s", b->name, b->root->name,
                         b->root->alias ? ", alias " : "",
                         b->root->alias ? b->root->alias->name : "");
            }
        }
        print_map(o, map_box(map));
        out_line(o, "%s", "");
        g_ptr_array_add(done, (void *)map);
    }
    g_ptr_array_free(done, true);
}

void mem_print_tree(void (*print)(void *arg, const char *line), void *arg,
                    bool flat, bool owners, bool disabled)
{
    Out o = { print, arg, owners, disabled, g_ptr_array_new() };

    flat ? print_flat(&o) : print_trees(&o);
    g_ptr_array_free(o.targets, true);
}
