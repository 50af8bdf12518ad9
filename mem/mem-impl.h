/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mem-impl.h - what the files of mem/ share and nobody else sees. */
#ifndef TERN_MEM_IMPL_H
#define TERN_MEM_IMPL_H

#include "mem.h"
#include "loop.h"

#define MEM_PAGE 4096u                 /* of dirty logs                       */

/* A flat map with its owner count (under the machine lock). */
typedef struct MapBox {
    uint32_t refs;                     /* 0: static, never freed              */
    MemRegion *root;                   /* what it shows; NULL: nothing        */
    FlatMap map;
} MapBox;
static inline MapBox *map_box(const FlatMap *map)
{
    return container_of(map, MapBox, map);
}

/* An ioeventfd at its place in a space. */
typedef struct EventAt {
    uint64_t addr;
    MemIoEvent e;
} EventAt;
typedef struct MemEvents {
    uint32_t n;
    EventAt at[];                      /* sorted                              */
} MemEvents;

/* ---- region.c */
extern const ObjKind mem_region_kind;

/* Flags are read by vCPUs without a lock. */
static inline unsigned region_flags(const MemRegion *mr)
{
    return __atomic_load_n(&mr->flags, __ATOMIC_RELAXED);
}
static inline void region_flag(MemRegion *mr, unsigned flag, bool on)
{
    __atomic_store_n(&mr->flags, on ? mr->flags | flag : mr->flags & ~flag,
                     __ATOMIC_RELAXED);
}
/* Whether it shows anything itself, apart from its children. */
static inline bool region_solid(const MemRegion *mr)
{
    return mr->kind != MR_CONTAINER && mr->kind != MR_ALIAS;
}
/* "ram", "rom", "romd" or "i/o"; of an alias, its target's. */
const char *region_kind_name(const MemRegion *mr);

/* ---- flat.c */
/* The region whose picture root's is, so that spaces can share maps; NULL:
 * nothing to see. */
MemRegion *flat_root(MemRegion *root);
/* Renders; the caller owns the one reference. */
MapBox *flat_render(MemRegion *root);
bool flat_equal(const FlatMap *a, const FlatMap *b);
/* Index of the first range that ends at or after addr; n: none. */
uint32_t flat_search(const FlatMap *map, uint64_t addr);
/* Same place, region and access: the range was not replaced. */
static inline bool range_same(const FlatRange *a, const FlatRange *b)
{
    return a->first == b->first && a->last == b->last && a->mr == b->mr &&
           a->off == b->off && a->host == b->host &&
           a->readonly == b->readonly && a->romd == b->romd;
}

/* ---- space.c */
extern MemSpace *mem_spaces;           /* in order of creation                */
/* mr, which may be part of a space, changed: the next commit looks. */
void mem_changed(const MemRegion *mr) MACHINE_CALL;
void mem_changed_all(void) MACHINE_CALL;
void mem_changed_events(void) MACHINE_CALL;
/* Publishes now, also inside mem_begin. */
void mem_publish(void) MACHINE_CALL;

/* ---- dispatch.c: by MACHINE_CALL, or ANY_THREAD for MRF_LOCKLESS regions */
MemResult dispatch_read(MemRegion *mr, uint64_t off, uint64_t *val,
                        unsigned size, MemAttrs attrs);
MemResult dispatch_write(MemRegion *mr, uint64_t off, uint64_t val,
                         unsigned size, MemAttrs attrs);
/* Signals the ioeventfd that this write is meant for; false: there is none. */
bool dispatch_event(MemRegion *mr, uint64_t off, uint64_t val, unsigned size);
/* How many of `len` bytes at off one access may take: 1, 2, 4 or 8. */
unsigned dispatch_size(const MemRegion *mr, uint64_t off, uint64_t len);
static inline uint64_t size_mask(unsigned size)
{
    return size >= 8 ? UINT64_MAX : (1ull << size * 8) - 1;
}
static inline MemResult worse(MemResult a, MemResult b)
{
    return a > b ? a : b;
}

/* ---- ram.c */
extern RamBlock *ram_blocks;
/* What a block is made of; fd: taken over, -1: anonymous. */
typedef struct RamSpec {
    const char *id;
    uint64_t used, max;                /* max 0: used                         */
    uint64_t align;                    /* of the host address; power of two   */
    int fd;
    uint64_t fd_off;
    uint32_t flags;                    /* RamFlags                            */
} RamSpec;
RamBlock *ram_make(const RamSpec *spec, Error **errp) MACHINE_CALL;
/* RAM_MERGE and RAM_DUMP as the machine has them. */
uint32_t ram_default_flags(void);
void ram_set_merge(RamBlock *rb, bool on) MACHINE_CALL;
void ram_set_dump(RamBlock *rb, bool on) MACHINE_CALL;
/* The page size of the file system behind fd, or of the host. */
uint64_t ram_fd_page_size(int fd);

/* ---- prealloc.c */
/* Backs every page with memory, without changing what it holds; like: thread
 * whose CPU affinity the helpers take over, or 0. */
bool ram_prealloc(RamBlock *rb, unsigned threads, pid_t like, Error **errp);
/* mode: MPOL_*; nodes: `n` words. */
bool ram_bind(RamBlock *rb, int mode, const unsigned long *nodes, unsigned n,
              Error **errp);

/* ---- dirty.c */
extern bool log_global;
void dirty_block_added(RamBlock *rb) MACHINE_CALL;
void dirty_block_freed(RamBlock *rb);

#endif
