/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mem.c - the flat map as KVM memory slots: RAM, read-only ROM, dirty logging by
 * bitmap. (Linux KVM API: KVM_SET_USER_MEMORY_REGION, KVM_GET_DIRTY_LOG.)
 *
 * Thread class: MACHINE_CALL, as listener callbacks.
 *
 * 1. Changes are gathered between begin and commit and applied at commit,
 *    removals first. Where a removed slot overlaps an added one no vCPU is in
 *    guest code meanwhile, so that none sees a hole in RAM.
 * 2. A slot covers whole 4-KiB pages; the rest of an unaligned range is reached
 *    by exits.
 * 3. The dirty bits of a slot are pulled before it goes.
 */
#include <errno.h>
#include <glib.h>
#include "kvm.h"
#include "mem.h"
#include "trace.h"

#define PAGE 4096ull

typedef struct Slot {
    uint64_t gpa, size;                /* size 0: free                        */
    uint8_t *host;
    uint32_t flags;
    bool logged;                       /* KVM_MEM_LOG_DIRTY_PAGES is on       */
    RamBlock *block;
    uint64_t block_off;                /* of host                             */
} Slot;

static Slot *slots;
static uint32_t slot_cap;
static GArray *pending_del, *pending_add;          /* of FlatRange            */

/* ---- slots --------------------------------------------------------------- */

static Slot *slot_find(uint64_t gpa, uint64_t size)
{
    for (uint32_t i = 0; i < slot_cap; i++) {
        if (slots[i].size == size && slots[i].gpa == gpa && size) {
            return &slots[i];
        }
    }
    return NULL;
}

static Slot *slot_free(void)
{
    for (uint32_t i = 0; i < slot_cap; i++) {
        if (!slots[i].size) {
            return &slots[i];
        }
    }
    if (slot_cap < kvm->max_slots) {
        uint32_t n = MIN2(slot_cap ? slot_cap * 2 : 16, kvm->max_slots);

        slots = g_renew(Slot, slots, n);
        memset(slots + slot_cap, 0, (n - slot_cap) * sizeof(Slot));
        slot_cap = n;
        return slot_free();
    }
    return NULL;
}

static int slot_tell(const Slot *s, uint64_t size)
{
    struct kvm_userspace_memory_region r = {
        .slot = s - slots, .guest_phys_addr = s->gpa, .memory_size = size,
        .userspace_addr = (uintptr_t)s->host,
        .flags = s->flags | (s->logged ? KVM_MEM_LOG_DIRTY_PAGES : 0),
    };

    TRACE(kvm_set_user_memory,
          "slot %u flags %#x gpa %#llx size %#llx hva %#llx", r.slot, r.flags,
          (unsigned long long)r.guest_phys_addr,
          (unsigned long long)r.memory_size,
          (unsigned long long)r.userspace_addr);
    return kvm_ioctl(kvm->vm, KVM_SET_USER_MEMORY_REGION, &r);
}

/* The whole pages of a range; false: none, or not memory. */
static bool range_pages(const FlatRange *r, uint64_t *gpa, uint64_t *size)
{
    uint64_t first = ALIGN_UP(r->first, PAGE), end;

    if (!r->host || first < r->first) {
        return false;
    }
    end = r->last == UINT64_MAX ? UINT64_MAX & ~(PAGE - 1)
                                : ALIGN_DOWN(r->last + 1, PAGE);
    if (end <= first) {
        return false;
    }
    *gpa = first;
    *size = end - first;
    return true;
}

/* ---- dirty bitmap -------------------------------------------------------- */

static void slot_pull(const Slot *s)
{
    uint64_t pages = s->size / PAGE, words = ALIGN_UP(pages, 64) / 64;
    g_autofree uint64_t *bits = NULL;
    struct kvm_dirty_log log = { .slot = s - slots };
    int err;

    if (!s->logged || kvm->dirty_ring_size || !s->block) {
        return;
    }
    bits = g_new0(uint64_t, words);
    log.dirty_bitmap = bits;
    err = kvm_ioctl(kvm->vm, KVM_GET_DIRTY_LOG, &log);
    if (err < 0 && err != -ENOENT) {
        kvm_refused("KVM_GET_DIRTY_LOG failed (%s): all pages count as "
                    "dirty", strerror(-err));
        ram_dirty(s->block, s->block_off, s->size);
        return;
    }
    for (uint64_t p = 0; p < pages;) {
        uint64_t n = 0;

        if (!bits[p / 64]) {
            p = (p / 64 + 1) * 64;
            continue;
        }
        while (p + n < pages && bits[(p + n) / 64] >> (p + n) % 64 & 1) {
            n++;
        }
        if (n) {
            ram_dirty(s->block, s->block_off + p * PAGE, n * PAGE);
        }
        p += n + 1;
    }
}

void kvm_slot_page_dirty(uint32_t slot, uint64_t page)
{
    if (slot < slot_cap && slots[slot].block &&
        page < slots[slot].size / PAGE) {
        ram_dirty(slots[slot].block, slots[slot].block_off + page * PAGE,
                  PAGE);
    }
}

/* ---- applying ------------------------------------------------------------ */

static void range_del(const FlatRange *r) MACHINE_CALL;
static void range_del(const FlatRange *r)
{
    uint64_t gpa, size;
    Slot *s;

    if (!range_pages(r, &gpa, &size) || !(s = slot_find(gpa, size))) {
        return;
    }
    slot_pull(s);
    if (slot_tell(s, 0) < 0) {
        kvm_refused("a memory slot could not be removed");
    }
    memset(s, 0, sizeof(*s));
}

static void range_add(const FlatRange *r) MACHINE_CALL;
static void range_add(const FlatRange *r)
{
    uint64_t gpa, size;
    int err;
    Slot *s;

    if (!range_pages(r, &gpa, &size) ||
        ((r->readonly || r->romd) && !kvm->readonly_mem)) {
        return;
    }
    s = slot_free();
    if (!s) {
        kvm_refused("all %u memory slots of the host are in use: memory at "
                    "%#" PRIx64 " is missing", kvm->max_slots, gpa);
        return;
    }
    *s = (Slot){
        .gpa = gpa, .size = size, .host = r->host + (gpa - r->first),
        .flags = r->readonly || r->romd ? KVM_MEM_READONLY : 0,
        .logged = r->dirty_clients != 0,
    };
    s->block = ram_of_host(s->host, &s->block_off);
    err = slot_tell(s, size);
    if (err < 0) {
        error_reportf("kvm: memory at %#" PRIx64 ", %#" PRIx64 " bytes: the "
                      "host refused it: %s", gpa, size, strerror(-err));
        memset(s, 0, sizeof(*s));
    }
}

static bool pending_overlap(void)
{
    for (unsigned i = 0; i < pending_del->len; i++) {
        const FlatRange *d = &g_array_index(pending_del, FlatRange, i);

        for (unsigned j = 0; j < pending_add->len; j++) {
            const FlatRange *a = &g_array_index(pending_add, FlatRange, j);

            if (d->host && a->host && d->first <= a->last &&
                a->first <= d->last) {
                return true;
            }
        }
    }
    return false;
}

static void mem_commit_cb(MemListener *l) MACHINE_CALL;
static void mem_commit_cb(MemListener *l)
{
    bool alone = pending_overlap();

    if (alone) {
        cpus_exclusive_begin();
    }
    for (unsigned i = 0; i < pending_del->len; i++) {
        range_del(&g_array_index(pending_del, FlatRange, i));
    }
    for (unsigned i = 0; i < pending_add->len; i++) {
        range_add(&g_array_index(pending_add, FlatRange, i));
    }
    if (alone) {
        cpus_exclusive_end();
    }
    g_array_set_size(pending_del, 0);
    g_array_set_size(pending_add, 0);
}

static void mem_begin_cb(MemListener *l) MACHINE_CALL;
static void mem_begin_cb(MemListener *l)
{
    g_array_set_size(pending_del, 0);
    g_array_set_size(pending_add, 0);
}

static void mem_add_cb(MemListener *l, const FlatRange *r) MACHINE_CALL;
static void mem_add_cb(MemListener *l, const FlatRange *r)
{
    g_array_append_vals(pending_add, r, 1);
}

static void mem_del_cb(MemListener *l, const FlatRange *r) MACHINE_CALL;
static void mem_del_cb(MemListener *l, const FlatRange *r)
{
    g_array_append_vals(pending_del, r, 1);
}

static void mem_log_cb(MemListener *l, const FlatRange *r) MACHINE_CALL;
static void mem_log_cb(MemListener *l, const FlatRange *r)
{
    uint64_t gpa, size;
    bool on = r->dirty_clients != 0;
    Slot *s;

    if (!range_pages(r, &gpa, &size) || !(s = slot_find(gpa, size)) ||
        s->logged == on) {
        return;
    }
    slot_pull(s);
    s->logged = on;
    if (slot_tell(s, s->size) < 0) {
        kvm_refused("dirty logging could not be switched");
    }
}

static void mem_sync_cb(MemListener *l, const FlatRange *r) MACHINE_CALL;
static void mem_sync_cb(MemListener *l, const FlatRange *r)
{
    uint64_t gpa, size;
    Slot *s;

    if (kvm->dirty_ring_size) {
        kvm_ring_sync();
    } else if (range_pages(r, &gpa, &size) && (s = slot_find(gpa, size))) {
        slot_pull(s);
    }
}

static MemListener mem_listener;

bool kvm_mem_init(Error **errp)
{
    pending_del = g_array_new(FALSE, FALSE, sizeof(FlatRange));
    pending_add = g_array_new(FALSE, FALSE, sizeof(FlatRange));
    mem_listener = (MemListener){
        .name = "kvm-memory", .priority = 10,
        .begin = mem_begin_cb, .add = mem_add_cb, .del = mem_del_cb,
        .log = mem_log_cb, .log_sync = mem_sync_cb, .commit = mem_commit_cb,
    };
    mem_listen(&mem_system, &mem_listener);
    return true;
}

void kvm_mem_fini(void)
{
    if (!pending_del) {
        return;
    }
    mem_unlisten(&mem_system, &mem_listener);
    g_array_free(pending_del, TRUE);
    g_array_free(pending_add, TRUE);
    pending_del = pending_add = NULL;
    g_free(slots);
    slots = NULL;
    slot_cap = 0;
}
