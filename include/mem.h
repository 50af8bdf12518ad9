/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mem.h - guest address spaces: region tree, immutable flat map, dispatch, DMA,
 * listeners, ioeventfds. RAM blocks: ram.h.
 *
 * Writers edit the tree under the machine lock between mem_begin() and
 * mem_commit(); commit publishes one FlatMap. Readers (vCPUs, iothreads) search
 * it inside an epoch, without a lock. Ranges are first and last address, so that
 * 2^64 bytes fit.
 */
#ifndef TERN_MEM_H
#define TERN_MEM_H

#include "obj.h"
#include "ram.h"

typedef enum MemResult {
    MEM_OK, MEM_DECODE_ERROR,          /* nothing there                       */
    MEM_DEVICE_ERROR, MEM_DENIED,      /* re-entrant or protected             */
} MemResult;
typedef struct MemAttrs {
    uint16_t requester;                /* PCI requester id, for MSI           */
    bool smm : 1, user : 1, secure : 1, unspecified : 1;
} MemAttrs;
#define MEM_ATTRS_NONE ((MemAttrs){ .unspecified = true })

/*
 * Register access. off is relative to the region; size 1, 2, 4 or 8. Sizes
 * outside min..max are split or widened by the dispatcher (little endian): a
 * widened access keeps its offset, a write's upper bytes are 0. An access from a
 * CPU or DMA is cut into naturally aligned pieces of at most valid_max bytes
 * inside the region first, unless `unaligned`. Called with the machine lock
 * unless the region is MRF_LOCKLESS.
 */
typedef struct MemOps {
    uint64_t (*read)(void *dev, uint64_t off, unsigned size);
    void (*write)(void *dev, uint64_t off, uint64_t val, unsigned size);
    /* Instead of the above, where attributes or a result matter. */
    MemResult (*read_attrs)(void *dev, uint64_t off, uint64_t *val,
                            unsigned size, MemAttrs attrs);
    MemResult (*write_attrs)(void *dev, uint64_t off, uint64_t val,
                             unsigned size, MemAttrs attrs);
    uint8_t min, max;                  /* what the callbacks take; 0 -> 1, 4  */
    uint8_t valid_min, valid_max;      /* what the guest may; 0 -> 1, and the
                                          larger of max and 4. Other sizes read
                                          0: MEM_DECODE_ERROR                 */
    bool unaligned;
} MemOps;

typedef enum MrKind {
    MR_CONTAINER, MR_IO, MR_RAM,
    MR_ROM,                            /* guest writes are ignored            */
    MR_ROMD,                           /* reads RAM, writes go to ops; or all
                                          to ops when romd_off                */
    MR_ALIAS,
} MrKind;
typedef enum MrFlags {
    MRF_OFF       = 1 << 0,            /* not mapped                          */
    MRF_LOCKLESS  = 1 << 1,            /* ops need no machine lock, and never
                                          wait for it: they run in an epoch   */
    MRF_COALESCED = 1 << 2,            /* writes may be batched               */
    MRF_FLUSH_COALESCED = 1 << 3,      /* drain batched writes before access  */
    MRF_READONLY  = 1 << 4,            /* an alias through which writes drop  */
    MRF_ROMD_OFF  = 1 << 5,
    MRF_REENTRANT = 1 << 6,            /* may be entered while entered        */
    MRF_OWN_RAM   = 1 << 12,           /* private from here                   */
    MRF_ALIASED   = 1 << 13,
    MRF_ROOT      = 1 << 14,
    MRF_SEEN      = 1 << 15,           /* has been in a flat map              */
} MrFlags;

typedef struct MemRegion MemRegion;
typedef struct MemIoEvent MemIoEvent;
struct MemRegion {
    Obj obj;                           /* path below its owner                */
    const char *name;
    MrKind kind;
    uint16_t flags;
    int16_t priority;                  /* in its container; higher hides lower */
    uint64_t addr;                     /* in its container                    */
    uint64_t last;                     /* size - 1                            */
    const MemOps *ops;
    void *dev;
    bool *entered;                     /* shared by a device's regions        */
    MemRegion *container, *first, *next;           /* private                 */
    MemRegion *alias;
    uint64_t alias_off;
    RamBlock *ram;
    MemIoEvent *events;                /* private                             */
    uint8_t dirty_clients;             /* MemDirty mask being logged          */
    uint8_t coalesced;                 /* private                             */
};

/* Initialisers: fill *mr; no allocation but for RAM. size 0 means 2^64. */
void mem_init(MemRegion *mr, const char *name, uint64_t size);  /* container */
void mem_init_io(MemRegion *mr, const char *name, uint64_t size,
                 const MemOps *ops, void *dev);
void mem_init_alias(MemRegion *mr, const char *name, MemRegion *of,
                    uint64_t off, uint64_t size);
/* RAM of its own, zeroed; id names the block in dumps and migration. */
bool mem_init_ram(MemRegion *mr, const char *id, uint64_t size, Error **errp);
bool mem_init_rom(MemRegion *mr, const char *id, uint64_t size, Error **errp);
bool mem_init_romd(MemRegion *mr, const char *id, uint64_t size,
                   const MemOps *ops, void *dev, Error **errp);
void mem_init_block(MemRegion *mr, const char *name, RamBlock *ram);
/* Unmaps, waits for readers, frees RAM of its own. */
void mem_fini(MemRegion *mr) MACHINE_CALL;

void mem_begin(void) MACHINE_CALL;     /* nests                               */
void mem_commit(void) MACHINE_CALL;
void mem_add(MemRegion *container, uint64_t addr, MemRegion *mr) MACHINE_CALL;
void mem_add_prio(MemRegion *container, uint64_t addr, MemRegion *mr,
                  int priority) MACHINE_CALL;
void mem_remove(MemRegion *container, MemRegion *mr) MACHINE_CALL;
void mem_set_enabled(MemRegion *mr, bool on) MACHINE_CALL;
void mem_set_address(MemRegion *mr, uint64_t addr) MACHINE_CALL;
void mem_set_size(MemRegion *mr, uint64_t size) MACHINE_CALL;
void mem_set_readonly(MemRegion *mr, bool on) MACHINE_CALL;
void mem_set_romd(MemRegion *mr, bool direct) MACHINE_CALL;
void mem_set_alias_offset(MemRegion *mr, uint64_t off) MACHINE_CALL;
void mem_set_coalescing(MemRegion *mr, bool on) MACHINE_CALL;
static inline uint64_t mem_size(const MemRegion *mr)   /* 0 means 2^64 */
{
    return mr->last + 1;
}

/* ---- address spaces ------------------------------------------------------ */
typedef struct FlatRange {
    uint64_t first, last;              /* guest addresses                     */
    MemRegion *mr;
    uint64_t off;                      /* of `first` within mr                */
    uint8_t *host;                     /* RAM or readable ROM; else NULL      */
    bool readonly, romd, coalesced;
    uint8_t dirty_clients;
} FlatRange;
typedef struct FlatMap {               /* immutable                           */
    uint32_t n;
    FlatRange r[];                     /* ascending, disjoint                 */
} FlatMap;
typedef struct MemSpace {
    const char *name;
    MemRegion *root;
    FlatMap *map;                      /* atomic; read inside an epoch        */
    struct MemListener *listeners;
    struct MemSpace *next;             /* private                             */
    struct MemEvents *events;          /* private                             */
} MemSpace;
/* "memory" and "I/O". Their roots exist from the start: "system", 2^64 bytes, and
 * "io", 64 KiB, which answers all ones where no device does. */
extern MemSpace mem_system, mem_io;
void mem_space_init(MemSpace *as, const char *name, MemRegion *root)
    MACHINE_CALL;
void mem_space_fini(MemSpace *as) MACHINE_CALL;
/* The map of this moment; valid until epoch_exit. */
static inline const FlatMap *mem_map(const MemSpace *as)
{
    return __atomic_load_n(&as->map, __ATOMIC_ACQUIRE);
}
/* NULL: hole. */
const FlatRange *mem_find(const FlatMap *map, uint64_t addr);

/* Accesses by CPUs and DMA: any length, crossing ranges. Takes and drops the
 * machine lock for locked regions when the caller does not hold it, so a caller
 * that may meet them is not inside an epoch. Guest RAM is written through the
 * dirty hook. Holes read 0 (MEM_DECODE_ERROR); writes to ROM are dropped. The
 * result is the worst of the pieces. ANY_THREAD (not from an iothread into
 * locked MMIO: answers MEM_DENIED). */
MemResult mem_read(MemSpace *as, uint64_t addr, void *buf, uint64_t len,
                   MemAttrs attrs);
MemResult mem_write(MemSpace *as, uint64_t addr, const void *buf, uint64_t len,
                    MemAttrs attrs);
MemResult mem_set(MemSpace *as, uint64_t addr, uint8_t byte, uint64_t len,
                  MemAttrs attrs);
/* Single access of 1, 2, 4, 8 bytes, little endian, atomic when aligned RAM. */
MemResult mem_load(MemSpace *as, uint64_t addr, unsigned size, uint64_t *val,
                   MemAttrs attrs);
MemResult mem_store(MemSpace *as, uint64_t addr, unsigned size, uint64_t val,
                    MemAttrs attrs);
/* Loader and debugger: also writes ROM. */
MemResult mem_poke(MemSpace *as, uint64_t addr, const void *buf, uint64_t len)
    MACHINE_CALL;
/* The region's own register access, as the dispatcher does it. */
MemResult mem_dispatch_read(MemRegion *mr, uint64_t off, uint64_t *val,
                            unsigned size, MemAttrs attrs) MACHINE_CALL;
MemResult mem_dispatch_write(MemRegion *mr, uint64_t off, uint64_t val,
                             unsigned size, MemAttrs attrs) MACHINE_CALL;

/*
 * Mapping for DMA: host pointer to at most *len bytes of RAM from addr (shortens
 * *len at the end of a range); NULL when it is not RAM. Keeps the RAM block alive
 * until unmapped; unmap of a written mapping marks [0, used) dirty.
 */
void *mem_map_ram(MemSpace *as, uint64_t addr, uint64_t *len, bool write);
void mem_unmap_ram(MemSpace *as, void *host, uint64_t len, bool write,
                   uint64_t used);

/* ---- dirty logs -------------------------------------------------------- */
/* Counts; all pages start dirty. */
void mem_log(MemRegion *mr, MemDirty client, bool on) MACHINE_CALL;
/* DIRTY_MIGRATION for all RAM there is and will be. */
void mem_log_global(bool on) MACHINE_CALL;
/* Pulls what accelerators hold, then reads and clears a snapshot of a region's
 * bits: bit i of out = page i of 4 KiB. Returns whether any was set. */
bool mem_log_sync_clear(MemRegion *mr, MemDirty client, uint64_t off,
                        uint64_t len, uint8_t *out) MACHINE_CALL;
/* The same for a block, without a region. */
bool ram_log_sync_clear(RamBlock *rb, MemDirty client, uint64_t off,
                        uint64_t len, uint8_t *out) MACHINE_CALL;

/* ---- listeners ----------------------------------------------------------- */
typedef struct MemListener {
    const char *name;
    int priority;                      /* ascending for add, descending for del */
    void (*begin)(struct MemListener *l) MACHINE_PTR;
    void (*add)(struct MemListener *l, const FlatRange *r) MACHINE_PTR;
    void (*del)(struct MemListener *l, const FlatRange *r) MACHINE_PTR;
    void (*log)(struct MemListener *l, const FlatRange *r) MACHINE_PTR;
                                       /* dirty_clients changed               */
    void (*log_sync)(struct MemListener *l, const FlatRange *r) MACHINE_PTR;
    /* After bits of this part of a range were cleared: trap writes again. */
    void (*log_clear)(struct MemListener *l, const FlatRange *part) MACHINE_PTR;
    void (*event_add)(struct MemListener *l, const MemIoEvent *e,
                      uint64_t addr) MACHINE_PTR;
    void (*event_del)(struct MemListener *l, const MemIoEvent *e,
                      uint64_t addr) MACHINE_PTR;
    void (*coalesced)(struct MemListener *l, uint64_t first, uint64_t last,
                      bool on) MACHINE_PTR;
    void (*commit)(struct MemListener *l) MACHINE_PTR; /* new map is out      */
    struct MemListener *next;          /* private                             */
} MemListener;
void mem_listen(MemSpace *as, MemListener *l) MACHINE_CALL;
void mem_unlisten(MemSpace *as, MemListener *l) MACHINE_CALL;

/* ---- ioeventfds: matched here for every accelerator ---------------------- */
struct MemIoEvent {
    uint64_t off;                      /* in the region                       */
    uint8_t size;                      /* 0: any                              */
    bool match;                        /* only this value                     */
    uint64_t value;
    int fd;
    MemIoEvent *next;
};
void mem_event_add(MemRegion *mr, uint64_t off, unsigned size, bool match,
                   uint64_t value, int fd) MACHINE_CALL;
void mem_event_del(MemRegion *mr, uint64_t off, unsigned size, bool match,
                   uint64_t value, int fd) MACHINE_CALL;

/* ---- backends ------------------------------------------------------------ */
/* memory-backend-*: the block; NULL: not a backend. */
RamBlock *mem_backend_ram(Obj *backend) MACHINE_CALL;
/* Takes it for one user ("can't use already busy memdev: id"), and lets go. */
bool mem_backend_claim(Obj *backend, Error **errp) MACHINE_CALL;
void mem_backend_release(Obj *backend) MACHINE_CALL;
/* The region over the whole block, named as the backend. */
MemRegion *mem_backend_region(Obj *backend) MACHINE_CALL;
bool mem_is_backend(const Obj *o);
extern const PropRef prop_ref_memdev;
/* Flushes coalesced writes that an accelerator holds. */
extern void (*mem_coalesced_flush)(void);
/* `info mtree [-f][-o][-D]`, by lines without their end. */
void mem_print_tree(void (*print)(void *arg, const char *line), void *arg,
                    bool flat, bool owners, bool disabled) MACHINE_CALL;

#endif
