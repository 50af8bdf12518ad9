/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * flat.c - draws a region tree as a flat map, and searches one.
 *
 * Thread class: rendering under the machine lock; searching ANY_THREAD, inside
 * an epoch or under the machine lock.
 *
 * Invariants:
 * 1. Ranges are ascending and disjoint; neighbours that continue one another are
 *    one range.
 * 2. What is drawn first stays: children before their parent, higher priority
 *    before lower; the rest fills the gaps.
 * 3. Places are computed in 128 bits, so that neither a region of 2^64 bytes nor
 *    an alias that begins below its target overflows.
 */
#include <glib.h>
#include "mem-impl.h"

/* Containers in containers through aliases; deeper is a loop. */
#define DEPTH_MAX 64

typedef __int128 Wide;

typedef struct View {
    MapBox *box;
    uint32_t cap;
} View;

/* ---- drawing ------------------------------------------------------------- */

static void view_insert(View *v, uint32_t at, const FlatRange *r)
{
    FlatMap *map = &v->box->map;

    if (map->n == v->cap) {
        v->cap = v->cap * 2;
        v->box = g_realloc(v->box, sizeof(MapBox) +
                                   v->cap * sizeof(FlatRange));
        map = &v->box->map;
    }
    memmove(&map->r[at + 1], &map->r[at], (map->n - at) * sizeof(map->r[0]));
    map->r[at] = *r;
    map->n++;
}

static FlatRange range_make(MemRegion *mr, Wide base, uint64_t first,
                            uint64_t last, bool readonly)
{
    FlatRange r = {
        .first = first, .last = last, .mr = mr,
        .off = (uint64_t)((Wide)first - base),
        .readonly = readonly || mr->kind == MR_ROM,
        .coalesced = mr->flags & MRF_COALESCED,
    };

    if (mr->ram) {
        r.romd = mr->kind == MR_ROMD && !(mr->flags & MRF_ROMD_OFF);
        r.readonly |= mr->ram->flags & RAM_READONLY;
        if (mr->kind != MR_ROMD || r.romd) {
            r.host = mr->ram->host + r.off;
        }
        r.dirty_clients = mr->dirty_clients |
                          (log_global ? DIRTY_MIGRATION : 0);
    }
    return r;
}

/* Draws mr into the parts of [first, last] that are still free. */
static void view_fill(View *v, MemRegion *mr, Wide base, uint64_t first,
                      uint64_t last, bool readonly)
{
    uint32_t i = flat_search(&v->box->map, first);

    region_flag(mr, MRF_SEEN, true);
    for (;;) {
        const FlatRange *next = i < v->box->map.n ? &v->box->map.r[i] : NULL;
        uint64_t end = last;
        FlatRange r;

        if (next && next->first <= first) {
            if (next->last >= last) {
                return;
            }
            first = next->last + 1;
            i++;
            continue;
        }
        if (next && next->first <= last) {
            end = next->first - 1;
        }
        r = range_make(mr, base, first, end, readonly);
        view_insert(v, i, &r);
        if (end == last) {
            return;
        }
        first = end + 1;
        i++;
    }
}

static void view_draw(View *v, MemRegion *mr, Wide base, Wide first, Wide last,
                      bool readonly, unsigned depth)
{
    Wide end = base + mr->last;

    if ((mr->flags & MRF_OFF) || depth > DEPTH_MAX) {
        return;
    }
    first = MAX2(first, base);
    last = MIN2(last, end);
    if (first > last) {
        return;
    }
    readonly |= mr->flags & MRF_READONLY;
    if (mr->kind == MR_ALIAS) {
        view_draw(v, mr->alias, base - mr->alias_off, first, last, readonly,
                  depth + 1);
        return;
    }
    for (MemRegion *c = mr->first; c; c = c->next) {
        view_draw(v, c, base + c->addr, first, last, readonly, depth + 1);
    }
    if (region_solid(mr)) {
        view_fill(v, mr, base, first, last, readonly);
    }
}

static void view_merge(FlatMap *map)
{
    uint32_t out = 0;

    for (uint32_t i = 1; i < map->n; i++) {
        FlatRange *a = &map->r[out], *b = &map->r[i];

        if (a->last + 1 == b->first && a->mr == b->mr &&
            a->off + (b->first - a->first) == b->off &&
            a->readonly == b->readonly && a->romd == b->romd &&
            a->dirty_clients == b->dirty_clients) {
            a->last = b->last;
        } else {
            map->r[++out] = *b;
        }
    }
    map->n = map->n ? out + 1 : 0;
}

MapBox *flat_render(MemRegion *root)
{
    View v = { .cap = 16 };

    v.box = g_malloc(sizeof(MapBox) + v.cap * sizeof(FlatRange));
    *v.box = (MapBox){ .refs = 1, .root = root };
    if (root) {
        view_draw(&v, root, 0, 0, UINT64_MAX, false, 0);
    }
    view_merge(&v.box->map);
    return g_realloc(v.box, sizeof(MapBox) +
                            v.box->map.n * sizeof(FlatRange));
}

MemRegion *flat_root(MemRegion *mr)
{
    for (int i = 0; mr && i < DEPTH_MAX; i++) {
        MemRegion *only = NULL;
        unsigned n = 0;

        if (mr->flags & MRF_OFF) {
            return NULL;
        }
        if (mr->flags & MRF_READONLY) {
            return mr;
        }
        if (mr->kind == MR_ALIAS) {
            if (mr->alias_off || mr->last < mr->alias->last) {
                return mr;
            }
            mr = mr->alias;
            continue;
        }
        if (region_solid(mr)) {
            return mr;
        }
        for (MemRegion *c = mr->first; c && n < 2; c = c->next) {
            if (!(c->flags & MRF_OFF)) {
                n++;
                only = c;
            }
        }
        if (n == 0) {
            return NULL;
        }
        if (n > 1 || only->addr || only->last > mr->last) {
            return mr;
        }
        mr = only;
    }
    return mr;
}

bool flat_equal(const FlatMap *a, const FlatMap *b)
{
    if (a->n != b->n) {
        return false;
    }
    for (uint32_t i = 0; i < a->n; i++) {
        if (!range_same(&a->r[i], &b->r[i]) ||
            a->r[i].dirty_clients != b->r[i].dirty_clients ||
            a->r[i].coalesced != b->r[i].coalesced) {
            return false;
        }
    }
    return true;
}

/* ---- searching ----------------------------------------------------------- */

uint32_t flat_search(const FlatMap *map, uint64_t addr)
{
    uint32_t lo = 0, hi = map->n;

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;

        if (map->r[mid].last < addr) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

const FlatRange *mem_find(const FlatMap *map, uint64_t addr)
{
    /* Only guesses: each is checked against the map at hand, so that a map that
     * took a freed one's place does no harm. */
    static __thread uint32_t guesses[4];
    uint32_t *guess = &guesses[(uintptr_t)map / 64 % ARRAY_SIZE(guesses)];
    uint32_t i = *guess;

    if (LIKELY(i < map->n && map->r[i].first <= addr &&
               addr <= map->r[i].last)) {
        return &map->r[i];
    }
    i = flat_search(map, addr);
    if (i == map->n || map->r[i].first > addr) {
        return NULL;
    }
    *guess = i;
    return &map->r[i];
}
