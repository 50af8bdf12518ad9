/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * region.c - the tree of regions that address spaces are drawn from.
 *
 * Thread class: the tree belongs to the machine lock. vCPUs read a region's
 * kind, ops, dev, ram and entered (fixed since its initialiser), and flags, last
 * and events (atomic), without it.
 *
 * Invariants:
 * 1. A container's children are in order of priority, highest first; among equals
 *    the one added last comes first and so hides the others.
 * 2. A region is in at most one container; it shows elsewhere through aliases.
 * 3. Every change goes through mem_changed, so that the outermost mem_commit
 *    publishes it.
 */
#include <assert.h>
#include <glib.h>
#include "mem-impl.h"

/* ---- initialisers -------------------------------------------------------- */

static void region_init(MemRegion *mr, const char *name, uint64_t size,
                        MrKind kind)
{
    memset(mr, 0, sizeof(*mr));
    mr->obj.kind = &mem_region_kind;
    mr->name = name;
    mr->kind = kind;
    mr->last = size - 1;
}

void mem_init(MemRegion *mr, const char *name, uint64_t size)
{
    region_init(mr, name, size, MR_CONTAINER);
}

void mem_init_io(MemRegion *mr, const char *name, uint64_t size,
                 const MemOps *ops, void *dev)
{
    region_init(mr, name, size, MR_IO);
    mr->ops = ops;
    mr->dev = dev;
}

void mem_init_alias(MemRegion *mr, const char *name, MemRegion *of,
                    uint64_t off, uint64_t size)
{
    region_init(mr, name, size, MR_ALIAS);
    mr->alias = of;
    mr->alias_off = off;
    region_flag(of, MRF_ALIASED, true);
}

void mem_init_block(MemRegion *mr, const char *name, RamBlock *ram)
{
    region_init(mr, name, ram->used, MR_RAM);
    mr->ram = ram;
}

static bool region_init_own(MemRegion *mr, const char *id, uint64_t size,
                            MrKind kind, Error **errp)
    TSA(requires_capability(machine_domain));
static bool region_init_own(MemRegion *mr, const char *id, uint64_t size,
                            MrKind kind, Error **errp)
{
    const char *slash;
    RamBlock *rb = ram_new(id, size, -1, 0, ram_default_flags(), errp);

    if (!rb) {
        memset(mr, 0, sizeof(*mr));
        return false;
    }
    /* "0000:00:02.0/vga.vram" is the region "vga.vram". */
    slash = rb->id[0] == '/' ? NULL : strchr(rb->id, '/');
    region_init(mr, slash ? slash + 1 : rb->id, size, kind);
    mr->ram = rb;
    region_flag(mr, MRF_OWN_RAM, true);
    return true;
}

/* These are for realize callbacks, which hold the lock by their own contract. */
bool mem_init_ram(MemRegion *mr, const char *id, uint64_t size, Error **errp)
{
    machine_assert_locked();
    return region_init_own(mr, id, size, MR_RAM, errp);
}

bool mem_init_rom(MemRegion *mr, const char *id, uint64_t size, Error **errp)
{
    machine_assert_locked();
    return region_init_own(mr, id, size, MR_ROM, errp);
}

bool mem_init_romd(MemRegion *mr, const char *id, uint64_t size,
                   const MemOps *ops, void *dev, Error **errp)
{
    machine_assert_locked();
    if (!region_init_own(mr, id, size, MR_ROMD, errp)) {
        return false;
    }
    mr->ops = ops;
    mr->dev = dev;
    return true;
}

static void event_free(void *p)
{
    g_free(p);
}

void mem_fini(MemRegion *mr)
{
    MemIoEvent *e = mr->events;

    mem_begin();
    if (mr->container) {
        mem_remove(mr->container, mr);
    }
    while (mr->first) {
        mem_remove(mr, mr->first);
    }
    if (e) {
        mem_changed_events();
    }
    mem_publish();
    mem_commit();
    if (region_flags(mr) & MRF_SEEN) {
        epoch_drain();
    }
    mr->events = NULL;
    while (e) {
        MemIoEvent *next = e->next;

        event_free(e);
        e = next;
    }
    if (region_flags(mr) & MRF_OWN_RAM) {
        ram_free(mr->ram);
        mr->name = "";                 /* it pointed into the block's id      */
    }
    mr->ram = NULL;
    if (mr->obj.parent) {
        obj_remove(&mr->obj);
    }
}

/* ---- editing ------------------------------------------------------------- */

static void region_link(MemRegion *container, MemRegion *mr)
{
    MemRegion **at = &container->first;

    while (*at && (*at)->priority > mr->priority) {
        at = &(*at)->next;
    }
    mr->next = *at;
    *at = mr;
    mr->container = container;
}

static void region_unlink(MemRegion *mr)
{
    MemRegion **at = &mr->container->first;

    while (*at != mr) {
        at = &(*at)->next;
    }
    *at = mr->next;
    mr->next = NULL;
    mr->container = NULL;
}

void mem_add_prio(MemRegion *container, uint64_t addr, MemRegion *mr,
                  int priority)
{
    assert(!mr->container && mr != container);
    assert(priority >= INT16_MIN && priority <= INT16_MAX);
    mem_begin();
    mr->addr = addr;
    mr->priority = priority;
    region_link(container, mr);
    mem_changed(mr);
    mem_commit();
}

void mem_add(MemRegion *container, uint64_t addr, MemRegion *mr)
{
    mem_add_prio(container, addr, mr, 0);
}

void mem_remove(MemRegion *container, MemRegion *mr)
{
    assert(mr->container == container);
    mem_begin();
    mem_changed(mr);
    region_unlink(mr);
    mem_commit();
}

static void region_set_flag(MemRegion *mr, unsigned flag, bool on)
    MACHINE_CALL;
static void region_set_flag(MemRegion *mr, unsigned flag, bool on)
{
    if (!!(mr->flags & flag) == on) {
        return;
    }
    mem_begin();
    region_flag(mr, flag, on);
    mem_changed(mr);
    mem_commit();
}

void mem_set_enabled(MemRegion *mr, bool on)
{
    region_set_flag(mr, MRF_OFF, !on);
}

void mem_set_readonly(MemRegion *mr, bool on)
{
    region_set_flag(mr, MRF_READONLY, on);
}

void mem_set_romd(MemRegion *mr, bool direct)
{
    region_set_flag(mr, MRF_ROMD_OFF, !direct);
}

void mem_set_coalescing(MemRegion *mr, bool on)
{
    region_set_flag(mr, MRF_COALESCED, on);
}

void mem_set_address(MemRegion *mr, uint64_t addr)
{
    MemRegion *container = mr->container;

    if (mr->addr == addr) {
        return;
    }
    mem_begin();
    mr->addr = addr;
    if (container) {
        region_unlink(mr);
        region_link(container, mr);
    }
    mem_changed(mr);
    mem_commit();
}

void mem_set_size(MemRegion *mr, uint64_t size)
{
    if (mr->last == size - 1) {
        return;
    }
    mem_begin();
    __atomic_store_n(&mr->last, size - 1, __ATOMIC_RELAXED);
    mem_changed(mr);
    mem_commit();
}

void mem_set_alias_offset(MemRegion *mr, uint64_t off)
{
    assert(mr->kind == MR_ALIAS);
    if (mr->alias_off == off) {
        return;
    }
    mem_begin();
    mr->alias_off = off;
    mem_changed(mr);
    mem_commit();
}

/* ---- ioeventfds ---------------------------------------------------------- */

static bool event_is(const MemIoEvent *e, uint64_t off, unsigned size,
                     bool match, uint64_t value, int fd)
{
    return e->off == off && e->size == size && e->match == match &&
           (!match || e->value == value) && e->fd == fd;
}

void mem_event_add(MemRegion *mr, uint64_t off, unsigned size, bool match,
                   uint64_t value, int fd)
{
    MemIoEvent *e = g_new0(MemIoEvent, 1);

    *e = (MemIoEvent){
        .off = off, .size = size, .match = match,
        .value = match ? value & (size ? size_mask(size) : UINT64_MAX) : 0,
        .fd = fd, .next = mr->events,
    };
    mem_begin();
    __atomic_store_n(&mr->events, e, __ATOMIC_RELEASE);
    mem_changed_events();
    mem_commit();
}

void mem_event_del(MemRegion *mr, uint64_t off, unsigned size, bool match,
                   uint64_t value, int fd)
{
    MemIoEvent **at = &mr->events, *e;

    if (match && size) {
        value &= size_mask(size);
    }
    while (*at && !event_is(*at, off, size, match, value, fd)) {
        at = &(*at)->next;
    }
    e = *at;
    assert(e);
    mem_begin();
    __atomic_store_n(at, e->next, __ATOMIC_RELEASE);
    mem_changed_events();
    mem_commit();
    epoch_free(event_free, e);
}

/* ---- the object tree's view ---------------------------------------------- */

const char *region_kind_name(const MemRegion *mr)
{
    for (int i = 0; mr->kind == MR_ALIAS && i < 64; i++) {
        mr = mr->alias;
    }
    switch (mr->kind) {
    case MR_RAM:
        return mr->flags & MRF_READONLY ? "rom" : "ram";
    case MR_ROM:
        return "rom";
    case MR_ROMD:
        return mr->flags & MRF_ROMD_OFF ? "i/o" : "romd";
    default:
        return "i/o";
    }
}

static const char *region_type_name(const Obj *o)
{
    return "memory-region";
}

static Json *region_get_container(const Obj *o, const Prop *p, Error **errp)
{
    const MemRegion *mr = container_of(o, MemRegion, obj);
    char *path;
    Json *v;

    machine_assert_locked();
    if (!mr->container || !mr->container->obj.parent) {
        return json_str("");
    }
    path = obj_path(&mr->container->obj);
    v = json_str(path);
    g_free(path);
    return v;
}

static Json *region_get_addr(const Obj *o, const Prop *p, Error **errp)
{
    return json_uint(container_of(o, MemRegion, obj)->addr);
}

static Json *region_get_size(const Obj *o, const Prop *p, Error **errp)
{
    const MemRegion *mr = container_of(o, MemRegion, obj);

    return json_uint(mr->last == UINT64_MAX ? UINT64_MAX : mr->last + 1);
}

static Json *region_get_priority(const Obj *o, const Prop *p, Error **errp)
{
    return json_int(container_of(o, MemRegion, obj)->priority);
}

static const Prop region_props[] = {
    PROP_CALL("container", "link<memory-region>", region_get_container, NULL,
              .flags = PF_READONLY, .desc = "what it is mapped in"),
    PROP_CALL("addr", "uint64", region_get_addr, NULL,
              .flags = PF_READONLY, .desc = "its place there"),
    PROP_CALL("size", "uint64", region_get_size, NULL,
              .flags = PF_READONLY, .desc = "bytes"),
    PROP_CALL("priority", "uint32", region_get_priority, NULL,
              .flags = PF_READONLY, .desc = "higher hides lower"),
    PROP_END
};

static const Prop *region_tables(const Obj *o, unsigned i)
{
    return i == 0 ? region_props : NULL;
}

const ObjKind mem_region_kind = {
    .type_name = region_type_name,
    .props = region_tables,
};

TYPE_NAME(memory_region_type, {
    .name = "memory-region", .parent = "object",
});
