/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * irqchip.c - interrupt controllers in the kernel: whole (on), local APIC only
 * (split) or none (off); GSI routing, MSI routes, irqfd.
 * (Linux KVM API: KVM_CREATE_IRQCHIP, KVM_CAP_SPLIT_IRQCHIP,
 * KVM_SET_GSI_ROUTING, KVM_IRQFD, KVM_IRQ_LINE, KVM_SIGNAL_MSI.)
 *
 * Thread class: set_gsi, send_msi any thread; routes any thread under `lock`.
 *
 * 1. The kernel's table is replaced whole; `table` is what it was last given.
 * 2. GSI 0-15 reach both 8259 and IOAPIC (0 as pin 2), 16-23 the IOAPIC: so a
 *    board raises a GSI once. From 24 on a GSI is one MSI route.
 * 3. In split mode the IOAPIC in Tern keeps the routes of GSI 0-23 as messages, by
 *    msi_route_update: from them KVM knows which EOIs to report.
 * 4. `lock` is a leaf mutex.
 */
#include <errno.h>
#include <glib.h>
#include <pthread.h>
#include "kvm.h"

#define IOAPIC_PINS 24

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static GArray *table;                  /* of struct kvm_irq_routing_entry     */
static GArray *msi_used;               /* of bool, from GSI IOAPIC_PINS       */
static uint32_t max_gsi;

/* ---- the table ----------------------------------------------------------- */

static int table_tell(void)
{
    size_t bytes = table->len * sizeof(struct kvm_irq_routing_entry);
    struct kvm_irq_routing *r = g_malloc0(sizeof(*r) + bytes);
    int err;

    r->nr = table->len;
    if (bytes) {
        memcpy(r->entries, table->data, bytes);
    }
    err = kvm_ioctl(kvm->vm, KVM_SET_GSI_ROUTING, r);
    g_free(r);
    return err;
}

static void route_pin(uint32_t gsi, uint32_t chip, uint32_t pin)
{
    struct kvm_irq_routing_entry e = {
        .gsi = gsi, .type = KVM_IRQ_ROUTING_IRQCHIP,
        .u.irqchip = { .irqchip = chip, .pin = pin },
    };

    g_array_append_val(table, e);
}

static int routes_default(void)
{
    for (uint32_t i = 0; i < 8; i++) {
        if (i != 2) {
            route_pin(i, KVM_IRQCHIP_PIC_MASTER, i);
        }
    }
    for (uint32_t i = 8; i < 16; i++) {
        route_pin(i, KVM_IRQCHIP_PIC_SLAVE, i - 8);
    }
    for (uint32_t i = 0; i < IOAPIC_PINS; i++) {
        if (i == 0) {
            route_pin(i, KVM_IRQCHIP_IOAPIC, 2);
        } else if (i != 2) {
            route_pin(i, KVM_IRQCHIP_IOAPIC, i);
        }
    }
    return table_tell();
}

/* ---- services ------------------------------------------------------------ */

static void irq_set_gsi(int gsi, int level)
{
    struct kvm_irq_level l = { .irq = gsi, .level = level != 0 };

    if (kvm_ioctl(kvm->vm, KVM_IRQ_LINE, &l) < 0) {
        kvm_refused("KVM_IRQ_LINE refused for interrupt %d", gsi);
    }
}

static void irq_send_msi(MsiMessage m)
{
    struct kvm_msi msi = {
        .address_lo = m.addr, .address_hi = m.addr >> 32, .data = m.data,
    };

    /* 0: the guest has the interrupt blocked; that is its own affair. */
    if (kvm_ioctl(kvm->vm, KVM_SIGNAL_MSI, &msi) < 0) {
        kvm_refused("KVM_SIGNAL_MSI refused a message");
    }
}

static struct kvm_irq_routing_entry msi_entry(int gsi, MsiMessage m)
{
    return (struct kvm_irq_routing_entry){
        .gsi = gsi, .type = KVM_IRQ_ROUTING_MSI,
        .u.msi = { .address_lo = m.addr, .address_hi = m.addr >> 32,
                   .data = m.data },
    };
}

static struct kvm_irq_routing_entry *msi_find(int gsi)
{
    for (unsigned i = 0; i < table->len; i++) {
        struct kvm_irq_routing_entry *e =
            &g_array_index(table, struct kvm_irq_routing_entry, i);

        if (e->gsi == (uint32_t)gsi && e->type == KVM_IRQ_ROUTING_MSI) {
            return e;
        }
    }
    return NULL;
}

static int gsi_take(void)
{
    bool yes = true;

    for (unsigned i = 0; i < msi_used->len; i++) {
        if (!g_array_index(msi_used, bool, i)) {
            g_array_index(msi_used, bool, i) = true;
            return IOAPIC_PINS + i;
        }
    }
    if (IOAPIC_PINS + msi_used->len >= max_gsi) {
        return -ENOSPC;
    }
    g_array_append_val(msi_used, yes);
    return IOAPIC_PINS + msi_used->len - 1;
}

static void route_drop(int gsi)
{
    for (unsigned i = 0; i < table->len; i++) {
        const struct kvm_irq_routing_entry *e =
            &g_array_index(table, struct kvm_irq_routing_entry, i);

        if (e->gsi == (uint32_t)gsi && e->type == KVM_IRQ_ROUTING_MSI) {
            g_array_remove_index(table, i);
            break;
        }
    }
    if (gsi >= IOAPIC_PINS && gsi - IOAPIC_PINS < (int)msi_used->len) {
        g_array_index(msi_used, bool, gsi - IOAPIC_PINS) = false;
    }
}

static int irq_msi_route_add(MsiMessage m, uint16_t requester)
{
    struct kvm_irq_routing_entry e;
    int gsi, err;

    pthread_mutex_lock(&lock);
    gsi = gsi_take();
    if (gsi >= 0) {
        e = msi_entry(gsi, m);
        g_array_append_val(table, e);
        err = table_tell();
        if (err < 0) {
            route_drop(gsi);
            gsi = err;
        }
    }
    pthread_mutex_unlock(&lock);
    return gsi;
}

static void irq_msi_route_update(int gsi, MsiMessage m)
{
    struct kvm_irq_routing_entry e = msi_entry(gsi, m), *old;

    pthread_mutex_lock(&lock);
    old = msi_find(gsi);
    if (!old && gsi < IOAPIC_PINS && !accel_irq.ioapic_in_kernel) {
        g_array_append_val(table, e);
        table_tell();
    } else if (old && memcmp(old, &e, sizeof(e)) != 0) {
        *old = e;
        if (table_tell() < 0) {
            kvm_refused("an MSI route could not be changed");
        }
    }
    pthread_mutex_unlock(&lock);
}

static void irq_msi_route_del(int gsi)
{
    pthread_mutex_lock(&lock);
    route_drop(gsi);
    table_tell();
    pthread_mutex_unlock(&lock);
}

static int irq_irqfd(int gsi, int fd, int resample_fd, bool assign)
{
    struct kvm_irqfd f = {
        .fd = fd, .gsi = gsi, .flags = assign ? 0 : KVM_IRQFD_FLAG_DEASSIGN,
    };

    if (resample_fd >= 0 && assign) {
        if (!kvm->resample) {
            return -ENOTSUP;
        }
        f.flags |= KVM_IRQFD_FLAG_RESAMPLE;
        f.resamplefd = resample_fd;
    }
    return kvm_ioctl(kvm->vm, KVM_IRQFD, &f);
}

/* ---- creation ------------------------------------------------------------ */

static bool chip_whole(Error **errp)
{
    int err;

    if (!kvm_cap(KVM_CAP_IRQCHIP)) {
        kvm_refused("the host offers no interrupt controllers in the kernel: "
                    "kernel-irqchip=off is used");
        kvm->irqchip = KVM_CHIP_OFF;
        return true;
    }
    err = kvm_ioctl_n(kvm->vm, KVM_CREATE_IRQCHIP, 0);
    if (err < 0) {
        return error_set(errp, "Create kernel irqchip failed: %s",
                         strerror(-err));
    }
    accel_irq.pic_in_kernel = accel_irq.ioapic_in_kernel = true;
    accel_irq.apic_in_kernel = true;
    accel_irq.pit_in_kernel = kvm_cap(KVM_CAP_PIT2);
    return true;
}

static bool chip_split(Error **errp)
{
    int err = -ENOTSUP;

    if (kvm_cap(KVM_CAP_SPLIT_IRQCHIP)) {
        err = kvm_enable_cap(kvm->vm, KVM_CAP_SPLIT_IRQCHIP, IOAPIC_PINS, 0);
    }
    if (err < 0) {
        error_set(errp, "Could not enable split irqchip mode: %s",
                  strerror(-err));
        error_hint(errp, "use kernel-irqchip=on or kernel-irqchip=off");
        return false;
    }
    accel_irq.apic_in_kernel = true;
    return true;
}

bool kvm_irqchip_init(Error **errp)
{
    int gsis = kvm_cap(KVM_CAP_IRQ_ROUTING);

    kvm->irqchip = kvm->irqchip_wish;
    accel_irq = (AccelIrq){ 0 };
    if (kvm->irqchip == KVM_CHIP_ON && !chip_whole(errp)) {
        return false;
    }
    if (kvm->irqchip == KVM_CHIP_SPLIT && !chip_split(errp)) {
        return false;
    }
    if (kvm->irqchip == KVM_CHIP_OFF) {
        return true;
    }
    table = g_array_new(FALSE, TRUE, sizeof(struct kvm_irq_routing_entry));
    msi_used = g_array_new(FALSE, TRUE, sizeof(bool));
    max_gsi = gsis > IOAPIC_PINS ? gsis : IOAPIC_PINS;
    if (accel_irq.ioapic_in_kernel) {
        accel_irq.set_gsi = irq_set_gsi;
        if (gsis && routes_default() < 0) {
            return error_set(errp, "kvm: the host refused the routing of "
                             "interrupts");
        }
    }
    accel_irq.lapic_page = kvm_lapic_page;
    if (kvm_cap(KVM_CAP_SIGNAL_MSI)) {
        accel_irq.send_msi = irq_send_msi;
    }
    if (gsis) {
        accel_irq.msi_route_add = irq_msi_route_add;
        accel_irq.msi_route_update = irq_msi_route_update;
        accel_irq.msi_route_del = irq_msi_route_del;
    }
    if (kvm_cap(KVM_CAP_IRQFD)) {
        accel_irq.irqfd = irq_irqfd;
    }
    return true;
}

void kvm_irqchip_fini(void)
{
    accel_irq = (AccelIrq){ 0 };
    if (table) {
        g_array_free(table, TRUE);
        g_array_free(msi_used, TRUE);
        table = msi_used = NULL;
    }
}
