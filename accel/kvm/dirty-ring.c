/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dirty-ring.c - dirty pages by per-vCPU rings instead of bitmaps
 * (Linux KVM API: KVM_CAP_DIRTY_LOG_RING, KVM_RESET_DIRTY_RINGS).
 *
 * Thread class: MACHINE_CALL; mapping in the vCPU's thread.
 *
 * 1. An entry is read only after its DIRTY flag was seen with acquire order, and
 *    given back with release order.
 * 2. A full ring stops its vCPU (KVM_EXIT_DIRTY_RING_FULL) until it is reaped:
 *    nothing is lost.
 */
#include <errno.h>
#include <glib.h>
#include <sys/mman.h>
#include "kvm.h"

#define PAGE 4096

static size_t ring_bytes(void)
{
    return kvm->dirty_ring_size * sizeof(struct kvm_dirty_gfn);
}

bool kvm_ring_init(Error **errp)
{
    uint32_t cap = KVM_CAP_DIRTY_LOG_RING_ACQ_REL;
    int most;

    if (!kvm->dirty_ring_size) {
        return true;
    }
    most = kvm_cap(cap);
    if (!most) {
        cap = KVM_CAP_DIRTY_LOG_RING;
        most = kvm_cap(cap);
    }
    if (!most) {
        kvm_refused("the host has no dirty ring: dirty-ring-size is passed "
                    "over, bitmaps are used");
        kvm->dirty_ring_size = 0;
        return true;
    }
    if (ring_bytes() > (size_t)most) {
        return error_set(errp, "KVM dirty ring size %u too big (maximum is "
                         "%zu).  Please use a smaller value.",
                         kvm->dirty_ring_size,
                         most / sizeof(struct kvm_dirty_gfn));
    }
    if (kvm_enable_cap(kvm->vm, cap, ring_bytes(), 0) < 0) {
        return error_set(errp, "Enabling of KVM dirty ring failed. Suggested "
                         "minimum value is 1024.");
    }
    return true;
}

bool kvm_ring_map(KvmCpu *k, Error **errp)
{
    void *p;

    if (!kvm->dirty_ring_size) {
        return true;
    }
    p = mmap(NULL, ring_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, k->fd,
             KVM_DIRTY_LOG_PAGE_OFFSET * PAGE);
    if (p == MAP_FAILED) {
        return error_set_errno(errp, errno, "CPU %u: its dirty ring cannot be "
                               "mapped", k->cpu->index);
    }
    k->ring = p;
    return true;
}

void kvm_ring_unmap(KvmCpu *k)
{
    if (k->ring) {
        munmap(k->ring, ring_bytes());
        k->ring = NULL;
    }
}

static unsigned ring_reap_one(KvmCpu *k) MACHINE_CALL;
static unsigned ring_reap_one(KvmCpu *k)
{
    unsigned n = 0;

    while (n < kvm->dirty_ring_size) {
        struct kvm_dirty_gfn *e =
            &k->ring[k->ring_at % kvm->dirty_ring_size];

        if (!(__atomic_load_n(&e->flags, __ATOMIC_ACQUIRE) &
              KVM_DIRTY_GFN_F_DIRTY)) {
            break;
        }
        kvm_slot_page_dirty(e->slot & 0xffff, e->offset);
        __atomic_store_n(&e->flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
        k->ring_at++;
        n++;
    }
    return n;
}

void kvm_ring_reap(void)
{
    unsigned n = 0;

    for (unsigned i = 0; i < cpu_count; i++) {
        KvmCpu *k = kvm_cpu(cpus[i]);

        n += k && k->ring ? ring_reap_one(k) : 0;
    }
    if (n && kvm_ioctl_n(kvm->vm, KVM_RESET_DIRTY_RINGS, 0) < 0) {
        kvm_refused("KVM_RESET_DIRTY_RINGS failed");
    }
}

void kvm_ring_sync(void)
{
    /* Leaving guest code moves what the processor has logged into the ring. */
    cpus_exclusive_begin();
    cpus_exclusive_end();
    kvm_ring_reap();
}
