/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ram.h - RAM blocks: host memory that guests see, and the one hook through
 * which host-side writes to it go.
 */
#ifndef TERN_RAM_H
#define TERN_RAM_H

#include "error.h"

typedef struct RamBlock RamBlock;
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
    uint32_t pins;                     /* atomic: owner and mappings          */
    uint64_t *dirty[3];                /* atomic, one bit per 4 KiB, by MemDirty
                                          bit; NULL until first needed. VGA,
                                          MIGRATION: written since the last
                                          clear; CODE: has translations       */
    uint32_t logging;                  /* atomic: MemDirty mask               */
    uint16_t log_users[3];             /* private                             */
    bool dead;                         /* private: freed, still mapped by DMA */
    RamBlock *next;                    /* by size, largest first              */
};
/* Anonymous or file-backed (fd >= 0, taken over) RAM. */
RamBlock *ram_new(const char *id, uint64_t size, int fd, uint64_t fd_off,
                  uint32_t flags, Error **errp) MACHINE_CALL;
/* Anonymous RAM of `used` bytes that ram_resize may change up to `max`. */
RamBlock *ram_new_resizable(const char *id, uint64_t used, uint64_t max,
                            Error **errp) MACHINE_CALL;
bool ram_resize(RamBlock *rb, uint64_t used, Error **errp) MACHINE_CALL;
/* Gives the memory back after readers and DMA mappings have left. */
void ram_free(RamBlock *rb) MACHINE_CALL;
/* Keep a block's memory although its owner lets go of it. ANY_THREAD. */
void ram_pin(RamBlock *rb);
void ram_unpin(RamBlock *rb);
/* Takes host pages away; they read 0 (a file's hole) again. off, len: multiples
 * of page_size. ANY_THREAD. */
bool ram_discard(RamBlock *rb, uint64_t off, uint64_t len, Error **errp);
RamBlock *ram_find(const char *id) MACHINE_CALL;
void ram_each(void (*fn)(RamBlock *rb, void *arg), void *arg) MACHINE_CALL;
/* The block and offset of a host pointer; NULL: not guest RAM. */
RamBlock *ram_of_host(const void *host, uint64_t *off);
/* The one hook for host-side writes: marks dirty for all logging clients and
 * drops translated code. ANY_THREAD. */
void ram_dirty(RamBlock *rb, uint64_t off, uint64_t len);
extern void (*ram_code_hook)(RamBlock *rb, uint64_t off, uint64_t len);
/* The soft CPU: whether the 4-KiB page at off holds translated code.
 * ANY_THREAD. */
void ram_code_set(RamBlock *rb, uint64_t off, bool on);
/* MemDirty mask of those who must hear of the next write to the 4-KiB page at
 * off; 0: a CPU may write it directly until a listener's log, log_clear or its
 * own ram_code_set says otherwise. ANY_THREAD. */
unsigned ram_page_watch(const RamBlock *rb, uint64_t off);
static inline bool ram_is_logged(const RamBlock *rb, uint64_t off)
{
    return ram_page_watch(rb, off) != 0;
}
/* Copies to and from guest RAM that others change meanwhile: 1, 2, 4 and 8
 * aligned bytes are one access. They do not mark dirty. ANY_THREAD. */
void ram_copy_in(void *host, const void *buf, uint64_t n);     /* into RAM    */
void ram_copy_out(void *buf, const void *host, uint64_t n);
void ram_fill(void *host, uint8_t byte, uint64_t n);

#endif
