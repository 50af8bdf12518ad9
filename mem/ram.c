/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ram.c - RAM blocks: host memory by mmap(2), madvise(2), fallocate(2).
 *
 * Thread class: making, freeing and resizing under the machine lock; ram_pin,
 * ram_unpin, ram_of_host and ram_discard ANY_THREAD.
 *
 * Invariants:
 * 1. A block is unmapped when its last pin goes: the owner's goes after all
 *    readers of the maps that showed the block have left, each DMA mapping holds
 *    one of its own.
 * 2. A block stays in the list until then, so that a mapping's host pointer still
 *    finds it; it leaves the list in loop_main, and is freed by epoch.
 * 3. No page is touched here unless RAM_PREALLOC asks for it.
 */
#include <assert.h>
#include <fcntl.h>
#include <glib.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "mem-impl.h"
#include "mem-opts.h"

/* Blocks from this size on are placed so that huge pages fit. */
#define HUGE_ALIGN (2 * MiB)
/* ... and from this size on ask for them: smaller ones are touched in places. */
#define HUGE_ASK   (32 * MiB)
/* Places in the list of blocks are multiples of 64 dirty-log words' worth. */
#define PLACE_ALIGN (64 * (uint64_t)MEM_PAGE)

bool mem_merge_default = true, mem_dump_default = true;
void (*ram_code_hook)(RamBlock *rb, uint64_t off, uint64_t len);
RamBlock *ram_blocks;                  /* atomic links                        */

uint32_t ram_default_flags(void)
{
    return (mem_merge_default ? RAM_MERGE : 0) |
           (mem_dump_default ? RAM_DUMP : 0);
}

/* ---- the list ------------------------------------------------------------ */

static RamBlock *next_of(RamBlock *const *link)
{
    return __atomic_load_n(link, __ATOMIC_ACQUIRE);
}

#define EACH_BLOCK(rb) \
    for (RamBlock *rb = next_of(&ram_blocks); rb; rb = next_of(&rb->next))

/* The tightest gap that the block fits into. */
static bool block_place(RamBlock *rb)
{
    uint64_t best = UINT64_MAX, best_gap = UINT64_MAX;

    if (!ram_blocks) {
        rb->ram_addr = 0;
        return true;
    }
    EACH_BLOCK(a) {
        uint64_t at = ALIGN_UP(a->ram_addr + a->max, PLACE_ALIGN);
        uint64_t end = UINT64_MAX;

        EACH_BLOCK(b) {
            if (b->ram_addr >= at && b->ram_addr < end) {
                end = b->ram_addr;
            }
        }
        if (at >= a->ram_addr && end - at >= rb->max && end - at < best_gap) {
            best = at;
            best_gap = end - at;
        }
    }
    rb->ram_addr = best;
    return best != UINT64_MAX;
}

static void block_link(RamBlock *rb)
{
    RamBlock **at = &ram_blocks;

    while (*at && (*at)->max >= rb->max) {
        at = &(*at)->next;
    }
    rb->next = *at;
    __atomic_store_n(at, rb, __ATOMIC_RELEASE);
}

static void block_unlink(RamBlock *rb)
{
    RamBlock **at = &ram_blocks;

    while (*at != rb) {
        at = &(*at)->next;
    }
    /* rb->next stays: a reader may stand on rb. */
    __atomic_store_n(at, rb->next, __ATOMIC_RELEASE);
}

RamBlock *ram_find(const char *id)
{
    EACH_BLOCK(rb) {
        if (!rb->dead && strcmp(rb->id, id) == 0) {
            return rb;
        }
    }
    return NULL;
}

void ram_each(void (*fn)(RamBlock *rb, void *arg), void *arg)
{
    RamBlock *next;

    for (RamBlock *rb = ram_blocks; rb; rb = next) {
        next = rb->next;
        if (!rb->dead) {
            fn(rb, arg);
        }
    }
}

RamBlock *ram_of_host(const void *host, uint64_t *off)
{
    RamBlock *found = NULL;

    epoch_enter();
    EACH_BLOCK(rb) {
        uint64_t at = (uintptr_t)host - (uintptr_t)rb->host;

        if (at < rb->max) {
            *off = at;
            found = rb;
            break;
        }
    }
    epoch_exit();
    return found;
}

/* ---- the end of a block -------------------------------------------------- */

static void block_destroy(void *p)
{
    RamBlock *rb = p;

    munmap(rb->host, rb->max);
    if (rb->fd >= 0) {
        close(rb->fd);
    }
    dirty_block_freed(rb);
    g_free(rb->id);
    g_free(rb);
}

static void block_retire(void *p) NO_TSA
{
    block_unlink(p);
    epoch_free(block_destroy, p);
}

void ram_pin(RamBlock *rb)
{
    __atomic_add_fetch(&rb->pins, 1, __ATOMIC_RELAXED);
}

void ram_unpin(RamBlock *rb)
{
    if (__atomic_sub_fetch(&rb->pins, 1, __ATOMIC_ACQ_REL) == 0) {
        loop_post_fn(loop_main, block_retire, rb);
    }
}

static void block_let_go(void *p)
{
    RamBlock *rb = p;

    /* In loop_main or epoch_drain: no detour when nobody else holds it. */
    if (__atomic_sub_fetch(&rb->pins, 1, __ATOMIC_ACQ_REL) == 0) {
        block_retire(rb);
    }
}

void ram_free(RamBlock *rb)
{
    if (rb) {
        assert(!rb->dead);
        rb->dead = true;
        epoch_free(block_let_go, rb);
    }
}

/* ---- making -------------------------------------------------------------- */

uint64_t ram_fd_page_size(int fd)
{
    struct statfs fs;

    if (fd >= 0 && fstatfs(fd, &fs) == 0 && fs.f_type == HUGETLBFS_MAGIC) {
        return fs.f_bsize;
    }
    return sysconf(_SC_PAGESIZE);
}

/* Maps `len` bytes at a multiple of align: reserves more, then places over it. */
static void *map_aligned(uint64_t len, uint64_t align, int prot, int flags,
                         int fd, uint64_t fd_off)
{
    uint64_t slack = align > (uint64_t)sysconf(_SC_PAGESIZE) ? align : 0;
    uint8_t *area, *at;
    void *got;

    if (len + slack < len) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    if (!slack) {
        return mmap(NULL, len, prot, flags, fd, fd_off);
    }
    area = mmap(NULL, len + slack, PROT_NONE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (area == MAP_FAILED) {
        return MAP_FAILED;
    }
    at = (uint8_t *)ALIGN_UP((uintptr_t)area, align);
    got = mmap(at, len, prot, flags | MAP_FIXED, fd, fd_off);
    if (got == MAP_FAILED) {
        int err = errno;

        munmap(area, len + slack);
        errno = err;
        return MAP_FAILED;
    }
    if (at > area) {
        munmap(area, at - area);
    }
    munmap(at + len, area + slack - at);
    return got;
}

static bool block_map(RamBlock *rb, uint64_t align, Error **errp)
{
    int prot = PROT_READ | (rb->flags & RAM_READONLY ? 0 : PROT_WRITE);
    int flags = rb->flags & RAM_SHARED ? MAP_SHARED : MAP_PRIVATE;
    void *host = MAP_FAILED;

    if (rb->fd < 0) {
        flags |= MAP_ANONYMOUS;
    }
    if (rb->flags & RAM_NORESERVE) {
        flags |= MAP_NORESERVE;
    }
    align = MAX2(align, rb->max >= HUGE_ALIGN ? HUGE_ALIGN : rb->page_size);
    align = MAX2(align, rb->page_size);
    if ((rb->flags & RAM_PMEM) && (rb->flags & RAM_SHARED) && rb->fd >= 0) {
        host = map_aligned(rb->max, align, prot,
                           (flags & ~MAP_SHARED) | MAP_SHARED_VALIDATE |
                           MAP_SYNC, rb->fd, rb->fd_off);
        if (host == MAP_FAILED) {
            warn_report("nvdimm: requesting persistence across crashes for "
                        "backend file failed: %s. Data may be lost after a "
                        "crash of the host.", strerror(errno));
        }
    }
    if (host == MAP_FAILED) {
        host = map_aligned(rb->max, align, prot, flags, rb->fd, rb->fd_off);
    }
    if (host == MAP_FAILED) {
        return rb->fd < 0
            ? error_set_errno(errp, errno, "cannot set up guest memory '%s'",
                              rb->id)
            : error_set_errno(errp, errno,
                              "unable to map backing store for guest RAM");
    }
    rb->host = host;
    return true;
}

/* Advice only: a host without KSM or huge pages still runs guests. */
static void block_advise(RamBlock *rb)
{
    madvise(rb->host, rb->max, MADV_DONTFORK);
    if (rb->max >= HUGE_ASK && !(rb->flags & RAM_SHARED)) {
        madvise(rb->host, rb->max, MADV_HUGEPAGE);
    }
    if ((rb->flags & RAM_MERGE) && rb->fd < 0) {
        madvise(rb->host, rb->max, MADV_MERGEABLE);
    }
    if (!(rb->flags & RAM_DUMP)) {
        madvise(rb->host, rb->max, MADV_DONTDUMP);
    }
}

RamBlock *ram_make(const RamSpec *spec, Error **errp)
{
    uint64_t used = spec->used, max = MAX2(spec->max, used);
    uint64_t page = ram_fd_page_size(spec->fd);
    const char *id = spec->id;
    int fd = spec->fd;
    RamBlock *rb;

    /* 2^62 leaves room for every sum of places and alignments below. */
    if (used == 0 || max >= 1ull << 62) {
        if (fd >= 0) {
            close(fd);
        }
        used ? error_set_errno(errp, ENOMEM,
                               "cannot set up guest memory '%s'", id)
             : error_set(errp, "memory block '%s' has no size", id);
        return NULL;
    }
    rb = g_new0(RamBlock, 1);
    *rb = (RamBlock){
        .id = g_strdup(id), .used = ALIGN_UP(used, page),
        .max = ALIGN_UP(max, page), .page_size = page, .fd = fd,
        .fd_off = spec->fd_off, .flags = spec->flags, .pins = 1,
    };
    if (ram_find(id)) {
        error_set(errp, "RAMBlock \"%s\" already registered", id);
        goto fail;
    }
    if (!block_place(rb)) {
        error_set_errno(errp, ENOMEM, "cannot set up guest memory '%s'", id);
        goto fail;
    }
    if (!block_map(rb, spec->align, errp)) {
        goto fail;
    }
    block_advise(rb);
    if ((spec->flags & RAM_PREALLOC) && !ram_prealloc(rb, 1, 0, errp)) {
        munmap(rb->host, rb->max);
        goto fail;
    }
    dirty_block_added(rb);
    block_link(rb);
    return rb;

fail:
    if (fd >= 0) {
        close(fd);
    }
    g_free(rb->id);
    g_free(rb);
    return NULL;
}

RamBlock *ram_new(const char *id, uint64_t size, int fd, uint64_t fd_off,
                  uint32_t flags, Error **errp)
{
    RamSpec spec = { .id = id, .used = size, .fd = fd, .fd_off = fd_off,
                     .flags = flags };

    return ram_make(&spec, errp);
}

RamBlock *ram_new_resizable(const char *id, uint64_t used, uint64_t max,
                            Error **errp)
{
    RamSpec spec = { .id = id, .used = used, .max = max, .fd = -1,
                     .flags = RAM_RESIZABLE | ram_default_flags() };

    return ram_make(&spec, errp);
}

/* ---- changing ------------------------------------------------------------ */

bool ram_resize(RamBlock *rb, uint64_t used, Error **errp)
{
    used = ALIGN_UP(used, rb->page_size);
    if (used == rb->used) {
        return true;
    }
    if (!(rb->flags & RAM_RESIZABLE)) {
        return error_set(errp, "Size mismatch: %s: 0x%" PRIx64 " != 0x%" PRIx64,
                         rb->id, used, rb->used);
    }
    if (used == 0 || used > rb->max) {
        return error_set(errp, "Size too large: %s: 0x%" PRIx64 " > 0x%" PRIx64,
                         rb->id, used, rb->max);
    }
    if (used < rb->used) {
        /* What comes back later comes back as zeroes. */
        if (!ram_discard(rb, used, rb->used - used, errp)) {
            return false;
        }
    }
    ram_dirty(rb, 0, used);
    rb->used = used;
    return true;
}

bool ram_discard(RamBlock *rb, uint64_t off, uint64_t len, Error **errp)
{
    if (off % rb->page_size || len % rb->page_size || off > rb->max ||
        len > rb->max - off) {
        return error_set(errp, "memory block '%s': cannot discard 0x%" PRIx64
                         " bytes at 0x%" PRIx64, rb->id, len, off);
    }
    if (len == 0) {
        return true;
    }
    if (rb->fd >= 0 &&
        fallocate(rb->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                  rb->fd_off + off, len) < 0) {
        return error_set_errno(errp, errno, "memory block '%s': cannot discard",
                               rb->id);
    }
    /* A private mapping has its own pages over the file's; shared anonymous
     * memory gives pages back only by removal. */
    if (madvise(rb->host + off, len, rb->fd < 0 && (rb->flags & RAM_SHARED)
                ? MADV_REMOVE : MADV_DONTNEED) < 0) {
        return error_set_errno(errp, errno, "memory block '%s': cannot discard",
                               rb->id);
    }
    ram_dirty(rb, off, len);
    return true;
}

static void block_advice(RamBlock *rb, uint32_t flag, bool on, int advice)
{
    madvise(rb->host, rb->max, advice);
    rb->flags = on ? rb->flags | flag : rb->flags & ~flag;
}

void ram_set_merge(RamBlock *rb, bool on)
{
    block_advice(rb, RAM_MERGE, on, on ? MADV_MERGEABLE : MADV_UNMERGEABLE);
}

void ram_set_dump(RamBlock *rb, bool on)
{
    block_advice(rb, RAM_DUMP, on, on ? MADV_DODUMP : MADV_DONTDUMP);
}
