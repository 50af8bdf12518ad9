/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * types.c - the catalogue of type names behind qom-list-types: sources register
 * themselves, rows name the abstract types that nothing else declares.
 *
 * Thread class: ANY_THREAD; the sets are constant once the program is linked.
 * Invariants:
 *  1. A type is listed once, and so is each of its ancestors.
 *  2. An abstract parent of `parents` is listed only while a type that is listed
 *     needs it, and no other file declares it.
 */
#include "obj.h"

#define TYPE_DEPTH_MAX 32

TYPE_NAME(object_type, { "object", NULL, true });
TYPE_NAME(interface_type, { "interface", NULL, true });
TYPE_NAME(container_type, { "container", "object", false });
TYPE_NAME(device_type, { "device", "object", true });
TYPE_NAME(bus_type, { "bus", "object", true });
TYPE_NAME(irq_type, { "irq", "object", false });
TYPE_NAME(sysbus_type, { "sys-bus-device", "device", true });

/* Abstract types and their parents, as clients know the hierarchy. */
static const struct {
    const char *name, *parent;
} parents[] = {
    { "apic-common", "device" },
    { "authz", "object" },
    { "base-pci-bridge", "pci-device" },
    { "can-host", "object" },
    { "ccid-card", "device" },
    { "chardev", "object" },
    { "chardev-fd", "chardev" },
    { "chardev-spice", "chardev" },
    { "confidential-guest-support", "object" },
    { "cpu", "device" },
    { "cpu-core", "device" },
    { "e1000-base", "pci-device" },
    { "event-loop-base", "object" },
    { "fw_cfg", "sys-bus-device" },
    { "generic-pc-machine", "x86-machine" },
    { "hda-audio", "hda-codec" },
    { "hda-codec", "device" },
    { "i2c-slave", "device" },
    { "ide-device", "device" },
    { "intel-hda-generic", "pci-device" },
    { "ioapic-common", "sys-bus-device" },
    { "iommu-memory-region", "memory-region" },
    { "ipack-device", "device" },
    { "ipmi-bmc", "device" },
    { "isa-device", "device" },
    { "ivshmem-common", "pci-device" },
    { "machine", "object" },
    { "megasas-base", "pci-device" },
    { "memory-backend", "object" },
    { "netfilter", "object" },
    { "pci-device", "device" },
    { "pci-ehci-usb", "pci-device" },
    { "pci-host-bridge", "sys-bus-device" },
    { "pci-ide", "pci-device" },
    { "pci-piix3", "pci-device" },
    { "pci-qxl", "pci-device" },
    { "pci-uhci-usb", "pci-device" },
    { "pci-vga", "pci-device" },
    { "pci-xhci", "pci-device" },
    { "pcie-host-bridge", "pci-host-bridge" },
    { "pcie-port", "base-pci-bridge" },
    { "pcie-root-port-base", "pcie-slot" },
    { "pcie-slot", "pcie-port" },
    { "pic-common", "isa-device" },
    { "pit-common", "isa-device" },
    { "pr-manager", "object" },
    { "ps2-device", "sys-bus-device" },
    { "rng-backend", "object" },
    { "scsi-device", "device" },
    { "scsi-disk-base", "scsi-device" },
    { "secret_common", "object" },
    { "smbus-device", "i2c-slave" },
    { "sys-bus-device", "device" },
    { "tls-creds", "object" },
    { "tpm-backend", "object" },
    { "u2f-key", "usb-device" },
    { "usb-device", "device" },
    { "usb-hid", "usb-device" },
    { "usb-serial-dev", "usb-device" },
    { "usb-storage-dev", "usb-device" },
    { "vhost-scsi-common", "virtio-scsi-common" },
    { "vhost-scsi-pci-base", "virtio-pci" },
    { "vhost-user-blk-pci-base", "virtio-pci" },
    { "vhost-user-fs-pci-base", "virtio-pci" },
    { "vhost-user-gpio-pci-base", "virtio-pci" },
    { "vhost-user-gpu-pci-base-type", "virtio-gpu-pci-base" },
    { "vhost-user-i2c-pci-base", "virtio-pci" },
    { "vhost-user-input-pci-base-type", "virtio-input-pci" },
    { "vhost-user-rng-pci-base", "virtio-pci" },
    { "vhost-user-scsi-pci-base", "virtio-pci" },
    { "vhost-user-vga-base-type", "virtio-vga-base" },
    { "vhost-user-vsock-pci-base", "virtio-pci" },
    { "vhost-vsock-common", "virtio-device" },
    { "vhost-vsock-pci-base", "virtio-pci" },
    { "virtio-9p-pci-base", "virtio-pci" },
    { "virtio-balloon-pci-base", "virtio-pci" },
    { "virtio-blk-pci-base", "virtio-pci" },
    { "virtio-bus", "bus" },
    { "virtio-crypto-pci-base-type", "virtio-pci" },
    { "virtio-device", "device" },
    { "virtio-gpu-base", "virtio-device" },
    { "virtio-gpu-gl-pci-base-type", "virtio-gpu-pci-base" },
    { "virtio-gpu-pci-base", "virtio-pci" },
    { "virtio-gpu-pci-base-type", "virtio-gpu-pci-base" },
    { "virtio-input-device", "virtio-device" },
    { "virtio-input-hid-device", "virtio-input-device" },
    { "virtio-input-hid-pci", "virtio-input-pci" },
    { "virtio-input-host-pci-base-type", "virtio-input-pci" },
    { "virtio-input-pci", "virtio-pci" },
    { "virtio-iommu-pci-base-type", "virtio-pci" },
    { "virtio-keyboard-pci-base-type", "virtio-input-hid-pci" },
    { "virtio-mem-pci-base", "virtio-pci" },
    { "virtio-mouse-pci-base-type", "virtio-input-hid-pci" },
    { "virtio-net-pci-base", "virtio-pci" },
    { "virtio-pci", "pci-device" },
    { "virtio-pmem-pci-base", "virtio-pci" },
    { "virtio-rng-pci-base", "virtio-pci" },
    { "virtio-scsi-common", "virtio-device" },
    { "virtio-scsi-pci-base", "virtio-pci" },
    { "virtio-serial-pci-base", "virtio-pci" },
    { "virtio-serial-port", "device" },
    { "virtio-tablet-pci-base-type", "virtio-input-hid-pci" },
    { "virtio-vga-base", "virtio-pci" },
    { "virtio-vga-base-type", "virtio-vga-base" },
    { "virtio-vga-gl-base-type", "virtio-vga-base" },
    { "vmbus-dev", "device" },
    { "x86-iommu", "sys-bus-device" },
    { "x86-machine", "machine" },
    { "x86_64-cpu", "cpu" },
};

/* Calls fn for the types that the program's files declare. */
static void declared_each(void (*fn)(const char *name, const char *parent,
                                     bool abstract, void *arg), void *arg)
{
    SET_EACH(type_names, TypeName, t) {
        fn((*t)->name, (*t)->parent, (*t)->abstract, arg);
    }
    SET_EACH(type_sources, TypeSource, s) {
        (*s)->each(fn, arg);
    }
}

static int parents_find(const char *name)
{
    for (size_t i = 0; name && i < ARRAY_SIZE(parents); i++) {
        if (!strcmp(parents[i].name, name)) {
            return (int)i;
        }
    }
    return -1;
}

/* What is known of each row of `parents`. */
typedef struct Marks {
    bool wanted[ARRAY_SIZE(parents)], declared[ARRAY_SIZE(parents)];
} Marks;

static void mark_one(const char *name, const char *parent, bool abstract,
                     void *arg)
{
    Marks *m = arg;
    int i = parents_find(name);

    if (i >= 0) {
        m->declared[i] = true;
    }
    for (i = parents_find(parent); i >= 0 && !m->wanted[i];
         i = parents_find(parents[i].parent)) {
        m->wanted[i] = true;
    }
}

void type_each(void (*fn)(const char *name, const char *parent, bool abstract,
                          void *arg), void *arg)
{
    Marks m = { 0 };

    declared_each(mark_one, &m);
    declared_each(fn, arg);
    for (size_t i = 0; i < ARRAY_SIZE(parents); i++) {
        if (m.wanted[i] && !m.declared[i]) {
            fn(parents[i].name, parents[i].parent, true, arg);
        }
    }
}

typedef struct Find {
    const char *name, *parent;
    bool found;
} Find;

static void find_one(const char *name, const char *parent, bool abstract,
                     void *arg)
{
    Find *f = arg;

    if (!f->found && !strcmp(name, f->name)) {
        f->found = true;
        f->parent = parent;
    }
}

/* NULL: has none, or is not known. */
static const char *parent_of(const char *type)
{
    Find f = { .name = type };
    int i;

    declared_each(find_one, &f);
    if (f.found) {
        return f.parent;
    }
    i = parents_find(type);
    return i < 0 ? NULL : parents[i].parent;
}

bool type_is_a(const char *type, const char *ancestor)
{
    if (!strcmp(ancestor, "user-creatable") && user_type_find(type)) {
        return true;
    }
    /* Bounded: a cycle of rows is a bug that must not hang a monitor. */
    for (int i = 0; type && i < TYPE_DEPTH_MAX; i++) {
        if (!strcmp(type, ancestor)) {
            return true;
        }
        type = parent_of(type);
    }
    return false;
}

const Prop *type_props(const char *type, unsigned i)
{
    SET_EACH(type_sources, TypeSource, s) {
        const Prop *p = (*s)->props ? (*s)->props(type, i) : NULL;

        if (p) {
            return p;
        }
    }
    return NULL;
}
