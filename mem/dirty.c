/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dirty.c - which pages of RAM were written: one bit per 4 KiB and client, and
 * the hook that all host-side writes pass.
 *
 * Thread class: marking ANY_THREAD; switching and reading under the machine
 * lock.
 *
 * Invariants:
 * 1. A bitmap is made when first needed, and lives as long as its block.
 * 2. A writer stores data, then sets the bit; a reader takes the bit, then reads
 *    data. Both sides of the bit are atomic read-modify-writes, so a write is
 *    either in what the reader reads or marked for the next time.
 * 3. Cleared bits are announced (log_clear) after they were cleared, so that a
 *    CPU that then writes again marks again.
 */
#include <assert.h>
#include <glib.h>
#include "mem-impl.h"

enum { VGA, CODE, MIGRATION };         /* bit numbers of MemDirty             */

bool log_global;

static unsigned client_index(MemDirty client)
{
    return __builtin_ctz(client);
}

static uint64_t *bitmap(const RamBlock *rb, unsigned which)
{
    return __atomic_load_n(&rb->dirty[which], __ATOMIC_ACQUIRE);
}

static uint64_t words_of(const RamBlock *rb)
{
    return (rb->max / MEM_PAGE + 63) / 64;
}

/* Zeroed memory comes untouched from the kernel when it is much. */
static uint64_t *bitmap_make(RamBlock *rb, unsigned which)
{
    uint64_t *old = bitmap(rb, which), *new;

    if (old) {
        return old;
    }
    new = g_malloc0(words_of(rb) * 8);
    if (!__atomic_compare_exchange_n(&rb->dirty[which], &old, new, false,
                                     __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        g_free(new);
        return old;
    }
    return new;
}

/* The bits of word w that belong to pages first..last. */
static uint64_t word_mask(uint64_t w, uint64_t first, uint64_t last)
{
    uint64_t mask = UINT64_MAX;

    if (w == first / 64) {
        mask &= UINT64_MAX << first % 64;
    }
    if (w == last / 64) {
        mask &= UINT64_MAX >> (63 - last % 64);
    }
    return mask;
}

static void bits_set(uint64_t *map, uint64_t first, uint64_t last)
{
    for (uint64_t w = first / 64; w <= last / 64; w++) {
        __atomic_fetch_or(&map[w], word_mask(w, first, last),
                          __ATOMIC_SEQ_CST);
    }
}

static bool bits_any(const uint64_t *map, uint64_t first, uint64_t last)
{
    for (uint64_t w = first / 64; w <= last / 64; w++) {
        if (__atomic_load_n(&map[w], __ATOMIC_SEQ_CST) &
            word_mask(w, first, last)) {
            return true;
        }
    }
    return false;
}

/* ---- marking ------------------------------------------------------------- */

void ram_dirty(RamBlock *rb, uint64_t off, uint64_t len)
{
    uint32_t on = __atomic_load_n(&rb->logging, __ATOMIC_RELAXED);
    uint64_t first, last;

    if (LIKELY(!on) || len == 0 || off >= rb->max) {
        return;
    }
    len = MIN2(len, rb->max - off);
    first = off / MEM_PAGE;
    last = (off + len - 1) / MEM_PAGE;
    if (on & DIRTY_VGA) {
        bits_set(bitmap(rb, VGA), first, last);
    }
    if (on & DIRTY_MIGRATION) {
        bits_set(bitmap(rb, MIGRATION), first, last);
    }
    if ((on & DIRTY_CODE) && ram_code_hook &&
        bits_any(bitmap(rb, CODE), first, last)) {
        ram_code_hook(rb, off, len);
    }
}

void ram_code_set(RamBlock *rb, uint64_t off, bool on)
{
    uint64_t page = off / MEM_PAGE, bit = 1ull << page % 64;
    uint64_t *map;

    if (off >= rb->max) {
        return;
    }
    map = bitmap_make(rb, CODE);
    if (on) {
        __atomic_fetch_or(&map[page / 64], bit, __ATOMIC_SEQ_CST);
        __atomic_fetch_or(&rb->logging, DIRTY_CODE, __ATOMIC_SEQ_CST);
    } else {
        __atomic_fetch_and(&map[page / 64], ~bit, __ATOMIC_SEQ_CST);
    }
}

unsigned ram_page_watch(const RamBlock *rb, uint64_t off)
{
    uint32_t on = __atomic_load_n(&rb->logging, __ATOMIC_SEQ_CST);
    uint64_t page = off / MEM_PAGE, bit = 1ull << page % 64;
    unsigned watch = 0;

    if (LIKELY(!on) || off >= rb->max) {
        return 0;
    }
    for (unsigned i = VGA; i <= MIGRATION; i++) {
        if (on & 1u << i) {
            bool set = __atomic_load_n(&bitmap(rb, i)[page / 64],
                                       __ATOMIC_SEQ_CST) & bit;

            /* Code pages are watched when set, the others until set. */
            if (set == (i == CODE)) {
                watch |= 1u << i;
            }
        }
    }
    return watch;
}

/* ---- switching ----------------------------------------------------------- */

static void block_log(RamBlock *rb, unsigned which, bool on) MACHINE_CALL;
static void block_log(RamBlock *rb, unsigned which, bool on)
{
    if (on) {
        if (rb->log_users[which]++ == 0) {
            bits_set(bitmap_make(rb, which), 0, rb->max / MEM_PAGE - 1);
            __atomic_fetch_or(&rb->logging, 1u << which, __ATOMIC_SEQ_CST);
        }
    } else {
        assert(rb->log_users[which] > 0);
        if (--rb->log_users[which] == 0) {
            __atomic_fetch_and(&rb->logging, ~(1u << which), __ATOMIC_SEQ_CST);
        }
    }
}

void mem_log(MemRegion *mr, MemDirty client, bool on)
{
    unsigned which = client_index(client);

    if (!mr->ram || which == CODE || !!(mr->dirty_clients & client) == on) {
        return;
    }
    mem_begin();
    block_log(mr->ram, which, on);
    mr->dirty_clients ^= client;
    mem_changed(mr);
    mem_commit();
}

static void log_global_one(RamBlock *rb, void *arg)
{
    machine_assert_locked();
    block_log(rb, MIGRATION, *(bool *)arg);
}

void mem_log_global(bool on)
{
    if (log_global == on) {
        return;
    }
    mem_begin();
    log_global = on;
    ram_each(log_global_one, &on);
    mem_changed_all();
    mem_commit();
}

void dirty_block_added(RamBlock *rb)
{
    if (log_global) {
        block_log(rb, MIGRATION, true);
    }
}

void dirty_block_freed(RamBlock *rb)
{
    for (unsigned i = 0; i < ARRAY_SIZE(rb->dirty); i++) {
        g_free(rb->dirty[i]);
    }
}

/* ---- reading ------------------------------------------------------------- */

/* The part of r that shows [off, off + len) of its block; false: none. */
static bool range_part(const FlatRange *r, const RamBlock *rb, uint64_t off,
                       uint64_t len, FlatRange *part)
{
    uint64_t r_end = r->off + (r->last - r->first), end = off + (len - 1);
    uint64_t first = MAX2(off, r->off), last = MIN2(end, r_end);

    if (r->mr->ram != rb || !r->host || first > last) {
        return false;
    }
    *part = *r;
    part->first = r->first + (first - r->off);
    part->last = r->first + (last - r->off);
    part->off = first;
    part->host = rb->host + first;
    return true;
}

/* Tells listeners of each place where that part of the block shows. */
static void tell_parts(const RamBlock *rb, uint64_t off, uint64_t len,
                       bool clear) MACHINE_CALL;
static void tell_parts(const RamBlock *rb, uint64_t off, uint64_t len,
                       bool clear)
{
    for (MemSpace *as = mem_spaces; as; as = as->next) {
        const FlatMap *map = mem_map(as);

        for (uint32_t i = 0; as->listeners && i < map->n; i++) {
            FlatRange part;

            if (!range_part(&map->r[i], rb, off, len, &part)) {
                continue;
            }
            for (MemListener *l = as->listeners; l; l = l->next) {
                if (clear && l->log_clear) {
                    l->log_clear(l, &part);
                } else if (!clear && l->log_sync) {
                    l->log_sync(l, &map->r[i]);
                }
            }
        }
    }
}

/* Takes the bits of pages first..last; out: from bit 0 on. */
static bool bits_take(uint64_t *map, uint64_t first, uint64_t last,
                      uint8_t *out)
{
    bool any = false;

    for (uint64_t w = first / 64; w <= last / 64; w++) {
        uint64_t mask = word_mask(w, first, last), got;

        if (!(__atomic_load_n(&map[w], __ATOMIC_SEQ_CST) & mask)) {
            continue;
        }
        got = __atomic_fetch_and(&map[w], ~mask, __ATOMIC_SEQ_CST) & mask;
        any |= got != 0;
        while (got && out) {
            uint64_t page = w * 64 + __builtin_ctzll(got) - first;

            out[page / 8] |= 1u << page % 8;
            got &= got - 1;
        }
    }
    return any;
}

bool ram_log_sync_clear(RamBlock *rb, MemDirty client, uint64_t off,
                        uint64_t len, uint8_t *out)
{
    unsigned which = client_index(client);
    uint64_t first, last;
    bool any;

    if (len == 0 || off >= rb->max) {
        return false;
    }
    len = MIN2(len, rb->max - off);
    first = off / MEM_PAGE;
    last = (off + len - 1) / MEM_PAGE;
    if (out) {
        memset(out, 0, (last - first) / 8 + 1);
    }
    if (which == CODE || !bitmap(rb, which)) {
        return false;
    }
    tell_parts(rb, off, len, false);
    any = bits_take(bitmap(rb, which), first, last, out);
    if (any) {
        tell_parts(rb, off, len, true);
    }
    return any;
}

bool mem_log_sync_clear(MemRegion *mr, MemDirty client, uint64_t off,
                        uint64_t len, uint8_t *out)
{
    return mr->ram && ram_log_sync_clear(mr->ram, client, off, len, out);
}
