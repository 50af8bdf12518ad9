/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * space.c - address spaces: publishing flat maps, and telling listeners what
 * became different.
 *
 * Thread class: machine lock, but for the published maps themselves.
 *
 * Invariants:
 * 1. A space's map is replaced whole; the old one is freed by epoch.
 * 2. Spaces whose picture is the same region's share one map.
 * 3. A listener hears begin, then all deletions, then all additions and log
 *    changes in order of address, then ioeventfds, then commit; the new map is
 *    out before the ioeventfds and commit. It hears nothing when nothing changed
 *    for its space.
 * 4. Outside mem_begin … mem_commit every map shows its tree.
 */
#include <assert.h>
#include <glib.h>
#include "mem-impl.h"

/* ---- the two spaces of every machine ------------------------------------- */

static uint64_t port_read_none(void *dev, uint64_t off, unsigned size)
{
    return UINT64_MAX;
}

static void port_write_none(void *dev, uint64_t off, uint64_t val,
                            unsigned size)
{
}

static const MemOps port_ops = {
    .read = port_read_none, .write = port_write_none,
};

static MemRegion system_root = {
    .obj.kind = &mem_region_kind, .name = "system", .kind = MR_CONTAINER,
    .flags = MRF_ROOT, .last = UINT64_MAX,
};
static MemRegion port_root = {
    .obj.kind = &mem_region_kind, .name = "io", .kind = MR_IO,
    .flags = MRF_ROOT | MRF_LOCKLESS, .last = 0xffff, .ops = &port_ops,
};

static MapBox empty_box;
/* A MapBox of one range, which C has no initialiser for. */
static struct {
    uint32_t refs;
    MemRegion *root;
    struct {
        uint32_t n;
        FlatRange r[1];
    } map;
} port_box = {
    .root = &port_root,
    .map = { .n = 1, .r = { { .last = 0xffff, .mr = &port_root } } },
};
_Static_assert(offsetof(__typeof__(port_box), map) == offsetof(MapBox, map) &&
               offsetof(__typeof__(port_box.map), r) == offsetof(FlatMap, r),
               "laid out like a MapBox");

MemSpace mem_io = {
    .name = "I/O", .root = &port_root, .map = (FlatMap *)&port_box.map,
};
MemSpace mem_system = {
    .name = "memory", .root = &system_root, .map = &empty_box.map,
    .next = &mem_io,
};
MemSpace *mem_spaces = &mem_system;

/* ---- maps ---------------------------------------------------------------- */

static void box_free(void *p)
{
    g_free(p);
}

static MapBox *box_ref(MapBox *box)
{
    if (box->refs) {
        box->refs++;
    }
    return box;
}

/* `seen`: readers may have found it. */
static void box_unref(MapBox *box, bool seen) MACHINE_CALL;
static void box_unref(MapBox *box, bool seen)
{
    if (box->refs && --box->refs == 0) {
        if (seen) {
            epoch_free(box_free, box);
        } else {
            box_free(box);
        }
    }
}

/* ---- listeners ----------------------------------------------------------- */

#define EACH_LISTENER(as, l) \
    for (MemListener *l = (as)->listeners; l; l = l->next)

/* Lists are short; from the back is the list from the front, n times. */
static MemListener *listener_back(const MemSpace *as, const MemListener *before)
{
    MemListener *l = as->listeners;

    while (l && l->next != before) {
        l = l->next;
    }
    return l;
}

static void tell_begin(MemSpace *as) MACHINE_CALL;
static void tell_begin(MemSpace *as)
{
    EACH_LISTENER(as, l) {
        if (l->begin) {
            l->begin(l);
        }
    }
}

static void tell_commit(MemSpace *as) MACHINE_CALL;
static void tell_commit(MemSpace *as)
{
    EACH_LISTENER(as, l) {
        if (l->commit) {
            l->commit(l);
        }
    }
}

static void listener_add(MemListener *l, const FlatRange *r) MACHINE_CALL;
static void listener_add(MemListener *l, const FlatRange *r)
{
    if (l->add) {
        l->add(l, r);
    }
    if (r->coalesced && l->coalesced) {
        l->coalesced(l, r->first, r->last, true);
    }
}

static void listener_del(MemListener *l, const FlatRange *r) MACHINE_CALL;
static void listener_del(MemListener *l, const FlatRange *r)
{
    if (r->coalesced && l->coalesced) {
        l->coalesced(l, r->first, r->last, false);
    }
    if (l->del) {
        l->del(l, r);
    }
}

static void tell_kept(MemSpace *as, const FlatRange *old, const FlatRange *new)
    MACHINE_CALL;
static void tell_kept(MemSpace *as, const FlatRange *old, const FlatRange *new)
{
    EACH_LISTENER(as, l) {
        if (old->dirty_clients != new->dirty_clients && l->log) {
            l->log(l, new);
        }
        if (old->coalesced != new->coalesced && l->coalesced) {
            l->coalesced(l, new->first, new->last, new->coalesced);
        }
    }
}

/* One pass over both maps: what went, or what came and what changed. */
static void tell_ranges(MemSpace *as, const FlatMap *old, const FlatMap *new,
                        bool adding) MACHINE_CALL;
static void tell_ranges(MemSpace *as, const FlatMap *old, const FlatMap *new,
                        bool adding)
{
    uint32_t i = 0, j = 0;

    while (i < old->n || j < new->n) {
        const FlatRange *o = i < old->n ? &old->r[i] : NULL;
        const FlatRange *n = j < new->n ? &new->r[j] : NULL;

        if (o && n && range_same(o, n)) {
            if (adding) {
                tell_kept(as, o, n);
            }
            i++;
            j++;
        } else if (o && (!n || o->first <= n->first)) {
            for (MemListener *l = NULL;
                 !adding && (l = listener_back(as, l)); ) {
                listener_del(l, o);
            }
            i++;
        } else {
            if (adding) {
                EACH_LISTENER(as, l) {
                    listener_add(l, n);
                }
            }
            j++;
        }
    }
}

/* ---- ioeventfds ---------------------------------------------------------- */

static int event_order(const void *pa, const void *pb)
{
    const EventAt *a = pa, *b = pb;
    const uint64_t ka[] = { a->addr, a->e.size, a->e.match, a->e.value };
    const uint64_t kb[] = { b->addr, b->e.size, b->e.match, b->e.value };

    for (size_t i = 0; i < ARRAY_SIZE(ka); i++) {
        if (ka[i] != kb[i]) {
            return ka[i] < kb[i] ? -1 : 1;
        }
    }
    return a->e.fd - b->e.fd;
}

/* Puts them into `to` unless it is NULL; returns how many there are. */
static uint32_t events_collect(const FlatMap *map, EventAt *to)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < map->n; i++) {
        const FlatRange *r = &map->r[i];
        uint64_t end = r->off + (r->last - r->first);

        for (const MemIoEvent *e = r->mr->events; e; e = e->next) {
            if (e->off < r->off || e->off > end) {
                continue;
            }
            if (to) {
                to[n] = (EventAt){ r->first + (e->off - r->off), *e };
                to[n].e.next = NULL;
            }
            n++;
        }
    }
    return n;
}

static MemEvents *events_of(const FlatMap *map)
{
    uint32_t n = events_collect(map, NULL);
    MemEvents *ev = g_malloc(sizeof(*ev) + n * sizeof(EventAt));

    ev->n = n;
    if (n) {
        events_collect(map, ev->at);
        qsort(ev->at, n, sizeof(EventAt), event_order);
    }
    return ev;
}

static void tell_event(MemSpace *as, const EventAt *at, bool add) MACHINE_CALL;
static void tell_event(MemSpace *as, const EventAt *at, bool add)
{
    EACH_LISTENER(as, l) {
        if (add && l->event_add) {
            l->event_add(l, &at->e, at->addr);
        } else if (!add && l->event_del) {
            l->event_del(l, &at->e, at->addr);
        }
    }
}

static void tell_events(MemSpace *as, const MemEvents *old,
                        const MemEvents *new) MACHINE_CALL;
static void tell_events(MemSpace *as, const MemEvents *old,
                        const MemEvents *new)
{
    /* Deletions first: an eventfd may move. */
    for (int add = 0; add < 2; add++) {
        uint32_t i = 0, j = 0;

        while (i < old->n || j < new->n) {
            int c = i == old->n ? 1 : j == new->n ? -1 :
                    event_order(&old->at[i], &new->at[j]);

            if (c < 0 && !add) {
                tell_event(as, &old->at[i], false);
            } else if (c > 0 && add) {
                tell_event(as, &new->at[j], true);
            }
            i += c <= 0;
            j += c >= 0;
        }
    }
}

static const MemEvents no_events;

static bool events_equal(const MemEvents *a, const MemEvents *b)
{
    if (a->n != b->n) {
        return false;
    }
    for (uint32_t i = 0; i < a->n; i++) {
        if (event_order(&a->at[i], &b->at[i])) {
            return false;
        }
    }
    return true;
}

/* ---- committing ---------------------------------------------------------- */

static unsigned depth;
static bool changed, events_changed;

static void space_update(MemSpace *as, MapBox *box) MACHINE_CALL;
static void space_update(MemSpace *as, MapBox *box)
{
    MapBox *old = map_box(as->map);
    MemEvents *events = NULL;
    bool same = box == old || flat_equal(&box->map, &old->map);

    if (as->listeners) {
        events = events_of(&box->map);
        if (events_equal(as->events ? as->events : &no_events, events)) {
            g_free(events);
            events = NULL;
        }
    }
    if (same && !events) {
        return;
    }
    tell_begin(as);
    if (!same) {
        tell_ranges(as, &old->map, &box->map, false);
        tell_ranges(as, &old->map, &box->map, true);
        __atomic_store_n(&as->map, &box_ref(box)->map, __ATOMIC_RELEASE);
    }
    if (events) {
        tell_events(as, as->events ? as->events : &no_events, events);
        g_free(as->events);
        as->events = events;
    }
    tell_commit(as);
    if (!same) {
        box_unref(old, true);
    }
}

static MapBox *box_find(GPtrArray *boxes, const MemRegion *root)
{
    for (guint i = 0; i < boxes->len; i++) {
        MapBox *box = g_ptr_array_index(boxes, i);

        if (box->root == root) {
            return box;
        }
    }
    return NULL;
}

static void publish_round(void) MACHINE_CALL;
static void publish_round(void)
{
    GPtrArray *boxes = g_ptr_array_new();
    MemSpace *next;

    for (MemSpace *as = mem_spaces; as; as = next) {
        MemRegion *root = flat_root(as->root);
        MapBox *box = root ? box_find(boxes, root) : &empty_box;

        next = as->next;
        if (!box) {
            MapBox *old = map_box(as->map);

            box = flat_render(root);
            if (old->refs && old->root == root &&
                flat_equal(&old->map, &box->map)) {
                box_unref(box, false);
                box = box_ref(old);
            }
            g_ptr_array_add(boxes, box);
        }
        space_update(as, box);
    }
    for (guint i = 0; i < boxes->len; i++) {
        box_unref(g_ptr_array_index(boxes, i), false);
    }
    g_ptr_array_free(boxes, true);
}

void mem_publish(void)
{
    static bool publishing;

    /* A listener that edits the tree gets a round of its own afterwards. */
    if (publishing) {
        return;
    }
    publishing = true;
    while (changed || events_changed) {
        changed = events_changed = false;
        publish_round();
    }
    publishing = false;
}

void mem_begin(void)
{
    depth++;
}

void mem_commit(void)
{
    assert(depth > 0);
    if (--depth == 0) {
        mem_publish();
    }
}

void mem_changed(const MemRegion *mr)
{
    for (const MemRegion *m = mr; m; m = m->container) {
        if (m->flags & (MRF_ROOT | MRF_ALIASED)) {
            changed = true;
            return;
        }
    }
}

void mem_changed_all(void)
{
    changed = true;
}

void mem_changed_events(void)
{
    events_changed = true;
}

/* ---- spaces and listeners ------------------------------------------------ */

void mem_space_init(MemSpace *as, const char *name, MemRegion *root)
{
    MemSpace **at = &mem_spaces;

    *as = (MemSpace){ .name = name, .root = root, .map = &empty_box.map };
    while (*at) {
        at = &(*at)->next;
    }
    *at = as;
    if (root) {
        region_flag(root, MRF_ROOT, true);
    }
    mem_begin();
    changed = true;
    mem_commit();
}

void mem_space_fini(MemSpace *as)
{
    MemSpace **at = &mem_spaces;
    MapBox *old = map_box(as->map);

    while (as->listeners) {
        mem_unlisten(as, as->listeners);
    }
    while (*at != as) {
        at = &(*at)->next;
    }
    *at = as->next;
    as->root = NULL;
    __atomic_store_n(&as->map, &empty_box.map, __ATOMIC_RELEASE);
    box_unref(old, true);
    g_free(as->events);
    as->events = NULL;
}

void mem_listen(MemSpace *as, MemListener *l)
{
    MemListener **at = &as->listeners;
    const FlatMap *map = mem_map(as);

    while (*at && (*at)->priority <= l->priority) {
        at = &(*at)->next;
    }
    l->next = *at;
    *at = l;
    if (!as->events) {
        as->events = events_of(map);
    }
    if (l->begin) {
        l->begin(l);
    }
    for (uint32_t i = 0; i < map->n; i++) {
        listener_add(l, &map->r[i]);
    }
    for (uint32_t i = 0; l->event_add && i < as->events->n; i++) {
        l->event_add(l, &as->events->at[i].e, as->events->at[i].addr);
    }
    if (l->commit) {
        l->commit(l);
    }
}

void mem_unlisten(MemSpace *as, MemListener *l)
{
    MemListener **at = &as->listeners;
    const FlatMap *map = mem_map(as);

    if (l->begin) {
        l->begin(l);
    }
    for (uint32_t i = 0; l->event_del && i < as->events->n; i++) {
        l->event_del(l, &as->events->at[i].e, as->events->at[i].addr);
    }
    for (uint32_t i = 0; i < map->n; i++) {
        listener_del(l, &map->r[i]);
    }
    if (l->commit) {
        l->commit(l);
    }
    while (*at != l) {
        at = &(*at)->next;
    }
    *at = l->next;
    l->next = NULL;
    if (!as->listeners) {
        g_free(as->events);
        as->events = NULL;
    }
}
