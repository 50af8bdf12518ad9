/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ioevent.c - register writes that KVM answers itself: ioeventfds and batched
 * ("coalesced") writes. (Linux KVM API: KVM_IOEVENTFD,
 * KVM_REGISTER_COALESCED_MMIO, struct kvm_coalesced_mmio_ring.)
 *
 * Thread class: MACHINE_CALL; kvm_coalesced_pending from any thread.
 *
 * 1. An ioeventfd or a zone that KVM refuses only costs speed: the dispatcher
 *    matches events itself, and writes then come one by one.
 * 2. The ring has one reader, which holds the machine lock, and is not entered
 *    again from the writes that it replays.
 */
#include <glib.h>
#include <unistd.h>
#include "kvm.h"
#include "mem.h"

#define PAGE 4096

/* ---- ioeventfds ---------------------------------------------------------- */

static void event_tell(const MemIoEvent *e, uint64_t addr, bool pio,
                       bool assign)
{
    struct kvm_ioeventfd io = {
        .addr = addr, .len = e->size, .fd = e->fd,
        .datamatch = e->match ? e->value : 0,
        .flags = (e->match ? KVM_IOEVENTFD_FLAG_DATAMATCH : 0) |
                 (pio ? KVM_IOEVENTFD_FLAG_PIO : 0) |
                 (assign ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN),
    };

    if (kvm_ioctl(kvm->vm, KVM_IOEVENTFD, &io) < 0 && assign) {
        kvm_refused("an ioeventfd was refused: the device it belongs to will "
                    "be slower");
    }
}

static void event_add_mem(MemListener *l, const MemIoEvent *e, uint64_t addr)
{
    event_tell(e, addr, false, true);
}

static void event_del_mem(MemListener *l, const MemIoEvent *e, uint64_t addr)
{
    event_tell(e, addr, false, false);
}

static void event_add_io(MemListener *l, const MemIoEvent *e, uint64_t addr)
{
    event_tell(e, addr, true, true);
}

static void event_del_io(MemListener *l, const MemIoEvent *e, uint64_t addr)
{
    event_tell(e, addr, true, false);
}

/* ---- batched writes ------------------------------------------------------ */

static void zone_tell(uint64_t first, uint64_t last, bool pio, bool on)
{
    uint64_t size = last - first + 1;
    struct kvm_coalesced_mmio_zone z = {
        .addr = first, .size = size > UINT32_MAX ? UINT32_MAX : size,
        .pio = pio,
    };

    kvm_ioctl(kvm->vm, on ? KVM_REGISTER_COALESCED_MMIO
                          : KVM_UNREGISTER_COALESCED_MMIO, &z);
}

static void zone_mem(MemListener *l, uint64_t first, uint64_t last, bool on)
{
    zone_tell(first, last, false, on);
}

static void zone_io(MemListener *l, uint64_t first, uint64_t last, bool on)
{
    zone_tell(first, last, true, on);
}

static struct kvm_coalesced_mmio_ring *ring(void)
{
    const KvmCpu *k = cpu_count ? kvm_cpu(cpus[0]) : NULL;

    return k && kvm->coalesced_page
         ? (void *)((char *)k->run + kvm->coalesced_page * PAGE) : NULL;
}

bool kvm_coalesced_pending(const Cpu *cpu)
{
    const struct kvm_coalesced_mmio_ring *r;

    if (!kvm->coalesced_page) {
        return false;
    }
    r = (void *)((char *)kvm_cpu(cpu)->run + kvm->coalesced_page * PAGE);
    return __atomic_load_n(&r->first, __ATOMIC_RELAXED) !=
           __atomic_load_n(&r->last, __ATOMIC_ACQUIRE);
}

void kvm_coalesced_flush(void)
{
    static bool inside;
    struct kvm_coalesced_mmio_ring *r = ring();
    uint32_t max = (PAGE - sizeof(*r)) / sizeof(r->coalesced_mmio[0]);

    if (!r || inside) {
        return;
    }
    inside = true;
    for (uint32_t at; (at = __atomic_load_n(&r->first, __ATOMIC_RELAXED)) !=
                      __atomic_load_n(&r->last, __ATOMIC_ACQUIRE);) {
        struct kvm_coalesced_mmio e = r->coalesced_mmio[at % max];

        mem_write(e.pio ? &mem_io : &mem_system, e.phys_addr, e.data,
                  MIN2(e.len, sizeof(e.data)), MEM_ATTRS_NONE);
        __atomic_store_n(&r->first, (at + 1) % max, __ATOMIC_RELEASE);
    }
    inside = false;
}

/* ---- listeners ----------------------------------------------------------- */

static MemListener mem_events = {
    .name = "kvm-events", .priority = 20,
}, io_events = {
    .name = "kvm-io-events", .priority = 20,
};

void kvm_io_init(void)
{
    bool ioeventfd = kvm_cap(KVM_CAP_IOEVENTFD);

    if (ioeventfd) {
        mem_events.event_add = event_add_mem;
        mem_events.event_del = event_del_mem;
        io_events.event_add = event_add_io;
        io_events.event_del = event_del_io;
    }
    if (kvm->coalesced_page) {
        mem_events.coalesced = zone_mem;
        if (kvm_cap(KVM_CAP_COALESCED_PIO)) {
            io_events.coalesced = zone_io;
        }
        mem_coalesced_flush = kvm_coalesced_flush;
    }
    mem_listen(&mem_system, &mem_events);
    mem_listen(&mem_io, &io_events);
}

void kvm_io_fini(void)
{
    mem_coalesced_flush = NULL;
    mem_unlisten(&mem_system, &mem_events);
    mem_unlisten(&mem_io, &io_events);
}
