/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mem.h - guest address spaces: RAM blocks, region tree, immutable flat map,
 * dispatch, DMA, dirty logs, ioeventfds.
 *
 * Writers edit the tree under the machine lock between mem_begin() and
 * mem_commit(); commit publishes one FlatMap. Readers (vCPUs, iothreads) search
 * it inside an epoch, without a lock. Ranges are first and last address, so that
 * 2^64 bytes fit.
 */
#ifndef TERN_MEM_H
#define TERN_MEM_H

#include "obj.h"

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
 * outside min..max are split or widened by the dispatcher (little endian).
 * Called with the machine lock unless the region is MRF_LOCKLESS.
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
    uint8_t valid_min, valid_max;      /* what the guest may; 0 -> 1, max     */
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
    MRF_LOCKLESS  = 1 << 1,            /* ops take no machine lock            */
    MRF_COALESCED = 1 << 2,            /* writes may be batched               */
    MRF_FLUSH_COALESCED = 1 << 3,      /* drain batched writes before access  */
    MRF_READONLY  = 1 << 4,            /* an alias through which writes drop  */
    MRF_ROMD_OFF  = 1 << 5,
    MRF_REENTRANT = 1 << 6,            /* may be entered while entered        */
} MrFlags;

typedef struct RamBlock RamBlock;
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

/* ---- address spaces -------------------------------------------------------- */
typedef struct FlatRange {
    uint64_t first, last;              /* guest addresses                     */
    MemRegion *mr;
    uint64_t off;                      /* of `first` within mr                */
    uint8_t *host;                     /* RAM or readable ROM; else NULL      */
    bool readonly, romd;
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
} MemSpace;
extern MemSpace mem_system, mem_io;    /* "memory" and "I/O"                  */
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
 * machine lock for locked regions when the caller does not hold it. Guest RAM is
 * written through the dirty hook. ANY_THREAD (not from an iothread into locked
 * MMIO: answers MEM_DENIED). */
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

/* ---- RAM blocks ------------------------------------------------------------ */
typedef enum RamFlags {
    RAM_SHARED = 1 << 0, RAM_PREALLOC = 1 << 1, RAM_READONLY = 1 << 2,
    RAM_MERGE = 1 << 3, RAM_DUMP = 1 << 4, RAM_PMEM = 1 << 5,
    RAM_NORESERVE = 1 << 6, RAM_RESIZABLE = 1 << 7,
} RamFlags;
typedef enum MemDirty {
    DIRTY_VGA = 1 << 0, DIRTY_CODE = 1 << 1, DIRTY_MIGRATION = 1 << 2,
} MemDirty;
struct RamBlock {
    char *id;                          /* "pc.ram", "0000:00:02.0/vga.vram"   */
    uint8_t *host;
    uint64_t used, max;                /* bytes, multiples of page_size       */
    uint64_t page_size;
    uint64_t ram_addr;                 /* place in the flat list of blocks    */
    int fd;                            /* -1: anonymous                       */
    uint64_t fd_off;
    uint32_t flags;
    uint32_t pins;                     /* atomic                              */
    uint8_t *dirty[3];                 /* one bit per 4 KiB, by MemDirty bit  */
    RamBlock *next;
};
/* Anonymous or file-backed (fd >= 0, taken over) RAM. */
RamBlock *ram_new(const char *id, uint64_t size, int fd, uint64_t fd_off,
                  uint32_t flags, Error **errp) MACHINE_CALL;
void ram_free(RamBlock *rb) MACHINE_CALL;          /* after readers have left */
RamBlock *ram_find(const char *id) MACHINE_CALL;
void ram_each(void (*fn)(RamBlock *rb, void *arg), void *arg) MACHINE_CALL;
/* The block and offset of a host pointer; NULL: not guest RAM. */
RamBlock *ram_of_host(const void *host, uint64_t *off);
/* The one hook for host-side writes: marks dirty for all logging clients and
 * drops translated code. ANY_THREAD. */
void ram_dirty(RamBlock *rb, uint64_t off, uint64_t len);
extern void (*ram_code_hook)(RamBlock *rb, uint64_t off, uint64_t len);

/* ---- dirty logs ------------------------------------------------------------- */
void mem_log(MemRegion *mr, MemDirty client, bool on) MACHINE_CALL;
/* Pulls what accelerators hold, then reads and clears a snapshot of a region's
 * bits: bit i of out = page i of 4 KiB. Returns whether any was set. */
bool mem_log_sync_clear(MemRegion *mr, MemDirty client, uint64_t off,
                        uint64_t len, uint8_t *out) MACHINE_CALL;

/* ---- listeners ---------------------------------------------------------------- */
typedef struct MemListener {
    const char *name;
    int priority;                      /* ascending for add, descending for del */
    void (*begin)(struct MemListener *l) MACHINE_PTR;
    void (*add)(struct MemListener *l, const FlatRange *r) MACHINE_PTR;
    void (*del)(struct MemListener *l, const FlatRange *r) MACHINE_PTR;
    void (*log)(struct MemListener *l, const FlatRange *r) MACHINE_PTR;
                                       /* dirty_clients changed               */
    void (*log_sync)(struct MemListener *l, const FlatRange *r) MACHINE_PTR;
    void (*event_add)(struct MemListener *l, const MemIoEvent *e,
                      uint64_t addr) MACHINE_PTR;
    void (*event_del)(struct MemListener *l, const MemIoEvent *e,
                      uint64_t addr) MACHINE_PTR;
    void (*coalesced)(struct MemListener *l, uint64_t first, uint64_t last,
                      bool on) MACHINE_PTR;
    void (*commit)(struct MemListener *l) MACHINE_PTR;
    struct MemListener *next;          /* private                             */
} MemListener;
void mem_listen(MemSpace *as, MemListener *l) MACHINE_CALL;
void mem_unlisten(MemSpace *as, MemListener *l) MACHINE_CALL;

/* ---- ioeventfds: matched here for every accelerator ---------------------------- */
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

/* ---- backends ------------------------------------------------------------------ */
/* memory-backend-*: claims the block for a machine or a dimm. */
RamBlock *mem_backend_ram(Obj *backend);
extern const PropRef prop_ref_memdev;
/* Flushes coalesced writes that an accelerator holds. */
extern void (*mem_coalesced_flush)(void);
/* `info mtree [-f][-d][-o]`. */
typedef struct JsonOut JsonOut;
void mem_print_tree(void (*print)(void *arg, const char *line), void *arg,
                    bool flat, bool owners, bool disabled) MACHINE_CALL;

#endif
