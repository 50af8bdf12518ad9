/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci.c - the PCI function in front of a virtio device: identity, interrupts,
 * kicks by eventfd, life (virtio 1.2, section 4.1).
 *
 * Thread class: MACHINE_CALL, but for the transport's interrupt: ANY_THREAD.
 *
 * Invariants
 * 1. A queue's kick_fd is watched by the queue's loop exactly while kicks_on.
 * 2. INTx is changed with the machine lock only; from other loops by irq_work.
 */
#include <glib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "accel.h"
#include "hw/virtio/pci-impl.h"
#include "hw/virtio/ring.h"

/* ---- interrupts ---------------------------------------------------------- */

static void raise_intx(void *arg)
{
    VirtioPci *p = arg;

    machine_assert_locked();
    if (p->v && __atomic_load_n(&p->v->isr, __ATOMIC_RELAXED) &&
        !msix_enabled(&p->pci)) {
        pci_irq(&p->pci, 1);
    }
}

static void interrupt(void *arg, Virtq *q)
{
    VirtioPci *p = arg;
    uint8_t bits = q ? 1 : 3;
    int fd;

    if ((__atomic_load_n(&p->v->isr, __ATOMIC_RELAXED) & bits) != bits) {
        __atomic_fetch_or(&p->v->isr, bits, __ATOMIC_RELAXED);
    }
    if (!__atomic_load_n(&p->msix_on, __ATOMIC_RELAXED)) {
        if (machine_locked()) {
            raise_intx(p);
        } else {
            loop_post(loop_main, &p->irq_work);
        }
        return;
    }
    fd = q ? __atomic_load_n(&p->queues[q->index].irq_fd, __ATOMIC_RELAXED)
           : -1;
    if (fd >= 0) {
        uint64_t one = 1;

        if (write(fd, &one, sizeof(one)) == sizeof(one)) {
            return;
        }
    }
    msix_notify(&p->pci, q ? q->vector : p->v->config_vector);
}

uint8_t vpci_isr_take(VirtioPci *p)
{
    uint8_t isr = __atomic_exchange_n(&p->v->isr, 0, __ATOMIC_RELAXED);

    pci_irq(&p->pci, 0);
    return isr;
}

uint16_t vpci_vector(const VirtioPci *p, uint16_t vec)
{
    return vec < p->nvectors && p->pci.msix ? vec : VIRTIO_NO_VECTOR;
}

void vpci_set_vector(VirtioPci *p, Virtq *q, uint16_t vec)
{
    /* What runs by an irqfd of the old vector goes the long way from here. */
    __atomic_store_n(&p->queues[q->index].irq_fd, -1, __ATOMIC_RELAXED);
    q->vector = vpci_vector(p, vec);
}

/* ---- kicks --------------------------------------------------------------- */

static void kicked(void *arg, unsigned events)
{
    VirtioPciQueue *pq = arg;
    uint64_t n;

    if (!events || read(pq->kick_fd, &n, sizeof(n)) == sizeof(n)) {
        virtq_kicked(pq->q);
    }
}

static bool poll_queue(void *arg)
{
    VirtioPciQueue *pq = arg;

    return !virtq_empty(pq->q);
}

static void spin_queue(void *arg, bool on)
{
    VirtioPciQueue *pq = arg;

    virtq_want_kicks(pq->q, !on);
}

static void watch(void *arg)
{
    VirtioPciQueue *pq = arg;

    loop_fd(pq->q->loop, pq->kick_fd, EPOLLIN, kicked, pq);
    if (pq->q->loop != loop_main) {
        loop_poll(pq->q->loop, pq->kick_fd, poll_queue);
        loop_poll_spin(pq->q->loop, pq->kick_fd, spin_queue);
    }
}

static void unwatch(void *arg)
{
    VirtioPciQueue *pq = arg;

    if (pq->q->loop != loop_main) {
        loop_poll(pq->q->loop, pq->kick_fd, NULL);
    }
    loop_fd(pq->q->loop, pq->kick_fd, 0, NULL, NULL);
}

static void events(VirtioPciQueue *pq, bool on) MACHINE_CALL;
static void events(VirtioPciQueue *pq, bool on)
{
    void (*set)(MemRegion *, uint64_t, unsigned, bool, uint64_t, int) =
        on ? mem_event_add : mem_event_del;
    VirtioPci *p = pq->p;
    uint16_t n = pq->q->index;

    if (p->modern) {
        set(&p->notify, (uint64_t)n * vpci_notify_step(p), 0, false, 0,
            pq->kick_fd);
        if (vpci_flag(p, VPCI_PIO_NOTIFY)) {
            set(&p->pio_notify, 0, 2, true, n, pq->kick_fd);
        }
    }
    if (p->legacy) {
        set(&p->io, VPCI_LEGACY_NOTIFY, 2, true, n, pq->kick_fd);
    }
}

static void irqfd(VirtioPciQueue *pq, bool on) MACHINE_CALL;
static void irqfd(VirtioPciQueue *pq, bool on)
{
    PciDevice *d = &pq->p->pci;

    if (!on) {
        __atomic_store_n(&pq->irq_fd, -1, __ATOMIC_RELAXED);
        if (pq->irq_vector != VIRTIO_NO_VECTOR) {
            msix_irqfd_free(d, pq->irq_vector);
            pq->irq_vector = VIRTIO_NO_VECTOR;
        }
        return;
    }
    if (accel_irq.apic_in_kernel && accel_irq.irqfd && msix_enabled(d) &&
        pq->q->vector != VIRTIO_NO_VECTOR) {
        int fd = msix_irqfd(d, pq->q->vector, NULL);

        if (fd >= 0) {
            pq->irq_vector = pq->q->vector;
            __atomic_store_n(&pq->irq_fd, fd, __ATOMIC_RELAXED);
        }
    }
}

static void kicks_start(VirtioPci *p) MACHINE_CALL;
static void kicks_start(VirtioPci *p)
{
    for (uint32_t i = 0; i < p->v->nqueues; i++) {
        VirtioPciQueue *pq = &p->queues[i];

        if (!pq->q->mapped) {
            continue;
        }
        pq->kick_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (pq->kick_fd < 0) {
            continue;                  /* then by register                    */
        }
        irqfd(pq, true);
        virtq_run(pq->q, watch, pq);
    }
    mem_begin();
    for (uint32_t i = 0; i < p->v->nqueues; i++) {
        if (p->queues[i].kick_fd >= 0) {
            events(&p->queues[i], true);
        }
    }
    mem_commit();
}

static void kicks_stop(VirtioPci *p) MACHINE_CALL;
static void kicks_stop(VirtioPci *p)
{
    mem_begin();
    for (uint32_t i = 0; i < p->v->nqueues; i++) {
        if (p->queues[i].kick_fd >= 0) {
            events(&p->queues[i], false);
        }
    }
    mem_commit();
    for (uint32_t i = 0; i < p->v->nqueues; i++) {
        VirtioPciQueue *pq = &p->queues[i];

        if (pq->kick_fd >= 0) {
            virtq_run(pq->q, unwatch, pq);
            close(pq->kick_fd);
            pq->kick_fd = -1;
        }
        irqfd(pq, false);
    }
}

static MACHINE_CALL void kicks(void *arg, bool on)
{
    VirtioPci *p = arg;

    if (p->kicks_on == on || !vpci_flag(p, VPCI_IOEVENTFD)) {
        return;
    }
    p->kicks_on = on;
    if (on) {
        kicks_start(p);
    } else {
        kicks_stop(p);
    }
}

static MACHINE_CALL MemSpace *dma(void *arg)
{
    return ((VirtioPci *)arg)->pci.dma;
}

static const VirtioTransport transport = {
    .interrupt = interrupt, .kicks = kicks, .dma = dma,
};

/* ---- configuration space ------------------------------------------------- */

void vpci_set_status(VirtioPci *p, uint8_t status)
{
    if (!status) {
        p->driver_features = 0;
        pci_irq(&p->pci, 0);
    }
    virtio_set_status(p->v, status);
}

static void follow_config(VirtioPci *p) MACHINE_CALL;
static void follow_config(VirtioPci *p)
{
    __atomic_store_n(&p->msix_on, msix_enabled(&p->pci), __ATOMIC_RELAXED);
}

static void config_write(PciDevice *d, uint32_t off, uint32_t val,
                         unsigned size)
{
    VirtioPci *p = (VirtioPci *)d;
    bool was = d->bus_master;

    machine_assert_locked();
    pci_config_write_default(d, off, val, size);
    follow_config(p);
    if (p->v && was != d->bus_master) {
        virtio_set_disabled(p->v, !d->bus_master);
    }
    if (p->cfg_cap) {
        vpci_window_write(p, off, size);
    }
}

/* ---- identity ------------------------------------------------------------ */

static const VirtioPciInfo *info_of(const VirtioPci *p)
{
    return p->pci.dev.type->on_info;
}

static bool choose_interfaces(VirtioPci *p, Error **errp)
{
    const VirtioPciInfo *info = info_of(p);

    p->legacy = p->disable_legacy != OOA_ON;
    p->modern = !p->disable_modern;
    if (info->mode == VIRTIO_PCI_TRANSITIONAL) {
        p->legacy = p->modern = true;
    } else if (info->mode == VIRTIO_PCI_MODERN) {
        p->legacy = false;
        p->modern = true;
    }
    if (!info->legacy_id) {
        if (p->disable_legacy == OOA_OFF && !p->v->no_legacy_check) {
            return error_set(errp, "device is modern-only, use "
                             "disable-legacy=on");
        }
        p->legacy = false;
    }
    if (!p->legacy && !p->modern) {
        error_set(errp, "device cannot work as neither modern nor legacy mode "
                  "is enabled");
        error_hint(errp, "Set either disable-modern or disable-legacy to off");
        return false;
    }
    p->disable_legacy = p->legacy ? OOA_OFF : OOA_ON;
    return true;
}

static void identify(VirtioPci *p)
{
    const VirtioPciInfo *info = info_of(p);
    uint8_t *c = p->pci.config;

    if (p->legacy) {
        st_le16(c + PCI_DEVICE_ID, info->legacy_id);
        st_le16(c + PCI_SUBSYSTEM_VENDOR_ID, 0x1af4);
        st_le16(c + PCI_SUBSYSTEM_ID, virtio_type(p->v)->id);
        c[PCI_REVISION_ID] = 0;
    }
    if (p->class_code) {
        st_le16(c + PCI_CLASS_DEVICE, p->class_code);
    } else {
        p->class_code = ld_le16(c + PCI_CLASS_DEVICE);
    }
    pci_set_pin(&p->pci, 1);
}

static bool add_transport_bits(VirtioPci *p, Error **errp)
{
    Virtio *v = p->v;
    bool platform = v->offered >> VIRTIO_F_PLATFORM & 1;

    if (p->legacy && platform) {
        return error_set(errp, "VIRTIO_F_IOMMU_PLATFORM was supported by "
                         "neither legacy nor transitional device");
    }
    v->offered |= 1ull << VIRTIO_F_BAD;
    if (p->modern) {
        v->offered |= 1ull << VIRTIO_F_VERSION_1;
    } else {
        v->offered &= UINT32_MAX;
    }
    v->may_legacy = p->legacy;
    return true;
}

/* ---- plugging ------------------------------------------------------------ */

static bool make_function(VirtioPci *p, Error **errp) MACHINE_CALL;
static bool make_function(VirtioPci *p, Error **errp)
{
    if (p->legacy) {
        vpci_legacy_init(p);
    }
    if (p->modern && !vpci_modern_init(p, errp)) {
        return false;
    }
    if (p->nvectors == VIRTIO_VECTORS_AUTO) {
        p->nvectors = p->v->nqueues + 1;
    }
    if (p->nvectors) {
        Error *err = NULL;

        if (!msix_init_bar(&p->pci, p->nvectors, VPCI_BAR_MSIX, &err)) {
            warn_report("unable to init msix vectors to %u", p->nvectors);
            error_free(err);
            p->nvectors = 0;
        }
    }
    p->made = true;
    return true;
}

static void unmake_function(VirtioPci *p) MACHINE_CALL;
static void unmake_function(VirtioPci *p)
{
    msix_fini(&p->pci);
    if (p->modern) {
        vpci_modern_fini(p);
    }
    if (p->legacy) {
        vpci_legacy_fini(p);
    }
    p->made = false;
}

static MACHINE_CALL bool vbus_plugged(Bus *bus, Device *dev, Error **errp)
{
    VirtioPci *p = container_of(bus, VirtioPci, bus);
    Virtio *v = (Virtio *)dev;

    p->v = v;
    v->transport = &transport;
    v->transport_arg = p;
    if (!choose_interfaces(p, errp)) {
        p->v = NULL;
        return false;
    }
    identify(p);
    if (!virtio_settle(v, errp)) {
        p->v = NULL;
        return false;
    }
    p->queues = g_new0(VirtioPciQueue, v->nqueues + 1);
    for (uint32_t i = 0; i < v->nqueues; i++) {
        p->queues[i] = (VirtioPciQueue){
            .p = p, .q = v->queues[i], .kick_fd = -1, .irq_fd = -1,
            .irq_vector = VIRTIO_NO_VECTOR,
        };
    }
    if (!add_transport_bits(p, errp) || !make_function(p, errp)) {
        virtio_unsettle(v);
        p->v = NULL;
        return false;
    }
    return true;
}

/* Before the device's own unrealize. */
static void leave(VirtioPci *p) MACHINE_CALL;
static void leave(VirtioPci *p)
{
    if (p->v) {
        virtio_unsettle(p->v);
        work_cancel(loop_main, &p->irq_work);
        unmake_function(p);
        p->v = NULL;
    }
    g_free(p->queues);
    p->queues = NULL;
}

BUS_TYPE(bus_virtio_pci, {
    .name = "virtio-pci-bus", .parent = "virtio-bus", .size = sizeof(Bus),
    .max_devices = 1, .plugged = vbus_plugged, .device_base = NULL,
    .fw_path = virtio_fw_path,
});

bool virtio_pci_realize(Device *dev, Error **errp)
{
    VirtioPci *p = (VirtioPci *)dev;

    p->irq_work = (Work){ .fn = raise_intx, .arg = p };
    p->pci.config_write = config_write;
    p->pci.config_read = vpci_config_read;
    bus_init(&p->bus, &bus_virtio_pci, dev, "virtio-bus");
    if (!device_realize(dev->inner, &p->bus, errp)) {
        leave(p);
        bus_fini(&p->bus);
        return false;
    }
    return true;
}

void virtio_pci_unrealize(Device *dev)
{
    VirtioPci *p = (VirtioPci *)dev;

    leave(p);
    device_unrealize(dev->inner);
    bus_fini(&p->bus);
}

void virtio_pci_reset(Device *dev, ResetKind kind)
{
    VirtioPci *p = (VirtioPci *)dev;

    p->dfselect = p->gfselect = 0;
    p->driver_features = 0;
    if (p->cfg_cap) {
        vpci_window_reset(p);
    }
    if (p->v) {
        virtio_reset(p->v);
    }
    follow_config(p);
}

/* ---- tables -------------------------------------------------------------- */

TYPE_NAME(type_virtio_pci, { "virtio-pci", "pci-device", true });

#define BIT(name, bit, def, ...) \
    PROP_BIT32(name, VirtioPci, flags, bit, def, .desc = "on/off", \
               ##__VA_ARGS__)
#define COMPAT(upto, value) \
    .compat = (const PropCompat[]){ { upto, value }, { 0 } }

#define COMMON_ROWS \
    BIT("virtio-pci-bus-master-bug-migration", VPCI_BUS_MASTER_BUG, false, \
        COMPAT(201, "on")), \
    BIT("migrate-extra", VPCI_EXTRA_STATE, true, COMPAT(204, "off")), \
    BIT("modern-pio-notify", VPCI_PIO_NOTIFY, false), \
    BIT("x-disable-pcie", VPCI_NO_PCIE, false, COMPAT(204, "on")), \
    BIT("page-per-vq", VPCI_PAGE_PER_VQ, false, COMPAT(207, "on")), \
    PROP_BOOL("x-ignore-backend-features", VirtioPci, ignore_backend, false, \
              COMPAT(207, "on")), \
    BIT("ats", VPCI_ATS, false), \
    BIT("x-ats-page-aligned", VPCI_ATS_ALIGNED, true, COMPAT(501, "off")), \
    BIT("x-pcie-deverr-init", VPCI_DEVERR, true, COMPAT(208, "off")), \
    BIT("x-pcie-lnkctl-init", VPCI_LNKCTL, true, COMPAT(208, "off")), \
    BIT("x-pcie-pm-init", VPCI_PM, true, COMPAT(208, "off")), \
    BIT("x-pcie-flr-init", VPCI_FLR, true, COMPAT(401, "off")), \
    BIT("aer", VPCI_AER, false), \
    PROP_END

const Prop virtio_pci_rows[] = { COMMON_ROWS };
const Prop virtio_pci_generic_rows[] = {
    PROP_AUTO("disable-legacy", VirtioPci, disable_legacy, OOA_AUTO,
              .desc = "on/off/auto", COMPAT(206, "off")),
    PROP_BOOL("disable-modern", VirtioPci, disable_modern, false,
              COMPAT(206, "on")),
    COMMON_ROWS
};

static bool after_load(void *s, int version, Error **errp)
{
    machine_assert_locked();
    follow_config(s);
    return true;
}

const VmState virtio_pci_vmstate = {
    .name = "virtio-pci", .version = 1, .oldest = 1, .after_load = after_load,
    .fields = (const VmField[]){
        VM_U32(VirtioPci, dfselect), VM_U32(VirtioPci, gfselect),
        VM_U64(VirtioPci, driver_features),
        VM_END
    },
};
