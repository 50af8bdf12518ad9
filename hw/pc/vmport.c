/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmport.c - VMware's backdoor port, 0x5658: an access with the magic number in
 * EAX and a command in CX is answered in the general registers of the processor
 * that made it (open-vm-tools, backdoor_def.h: commands 10, 19, 20, 45, 68). The
 * mouse's commands are the pointer's, in vmmouse.c.
 *
 * Thread class: machine lock, in the thread of the vCPU.
 *
 * Invariants:
 * 1. Registers are touched only for a vCPU's own access with the magic number;
 *    any other one reads as all ones.
 */
#include "accel.h"
#include "hw/pc/vmport.h"
#include "isa.h"
#include "machine.h"
#include "pc.h"

#define PORT 0x5658
#define MAGIC 0x564d5868
#define COMMANDS 0x80
#define BUS_HZ 1000000000              /* what the local APIC's timer counts  */

typedef struct Vmport {
    IsaDevice isa;
    MemRegion mr;
    bool set_eax, refuse, tell_type, more;         /* properties              */
    uint32_t version;
    uint8_t type;
    VmportCall *call[COMMANDS];
    void *opaque[COMMANDS];
} Vmport;

Device *vmport_device;

void vmport_register(Device *port, unsigned command, VmportCall *call,
                     void *opaque)
{
    Vmport *s = (Vmport *)port;

    s->call[command] = call;
    s->opaque[command] = opaque;
}

static uint32_t get_version(void *dev, uint64_t *gpr)
{
    const Vmport *s = dev;

    gpr[X86_RBX] = MAGIC;
    if (s->tell_type) {
        gpr[X86_RCX] = s->type;
    }
    return s->version;
}

static uint32_t get_uuid(void *dev, uint64_t *gpr)
{
    gpr[X86_RBX] = ld_le32(guest_uuid + 4);
    gpr[X86_RCX] = ld_le32(guest_uuid + 8);
    gpr[X86_RDX] = ld_le32(guest_uuid + 12);
    return ld_le32(guest_uuid);
}

static uint32_t get_memory(void *dev, uint64_t *gpr)
{
    gpr[X86_RBX] = 0x1177;
    return machine->ram_size;
}

/* Only where both clocks are the host's. */
static uint32_t get_clocks(void *dev, uint64_t *gpr)
{
    uint64_t hz = accel_is("kvm") ? x86_tsc_hz() : 0;

    if (!hz) {
        gpr[X86_RBX] = UINT32_MAX;
        return gpr[X86_RAX];
    }
    gpr[X86_RBX] = hz >> 32;
    gpr[X86_RCX] = BUS_HZ;
    return hz;
}

static uint32_t get_vcpu(void *dev, uint64_t *gpr)
{
    const X86Cpu *c = x86_cpu(cpu_current);
    bool x2apic = c->features[FW_1_ECX] >> 21 & 1;

    return x2apic && accel_irq.apic_in_kernel ? 1 << 3 : 0;
}

static uint32_t answer(Vmport *s, uint64_t *gpr)
{
    unsigned command = gpr[X86_RCX] & 0xffff;

    if ((uint32_t)gpr[X86_RAX] == MAGIC && command < COMMANDS &&
        s->call[command]) {
        return s->call[command](s->opaque[command], gpr);
    }
    return s->refuse ? UINT32_MAX : gpr[X86_RAX];
}

static MACHINE_CALL uint32_t port_access(Vmport *s, bool set)
{
    uint64_t *gpr = cpu_current && accel->type->cpu_gpr
                  ? accel->type->cpu_gpr(cpu_current) : NULL;
    uint32_t v;

    if (!gpr) {
        return UINT32_MAX;
    }
    v = answer(s, gpr);
    if (set) {
        gpr[X86_RAX] = v;
    }
    return v;
}

static uint64_t port_read(void *dev, uint64_t off, unsigned size)
{
    Vmport *s = dev;

    machine_assert_locked();
    return off ? UINT32_MAX : port_access(s, s->set_eax);
}

static void port_write(void *dev, uint64_t off, uint64_t v, unsigned size)
{
    machine_assert_locked();
    if (!off) {
        port_access(dev, true);
    }
}

static const MemOps port_ops = {
    .read = port_read, .write = port_write, .min = 1, .max = 4,
};

static MACHINE_CALL bool vmport_realize(Device *dev, Error **errp)
{
    Vmport *s = (Vmport *)dev;

    vmport_register(dev, 10, get_version, s);
    vmport_register(dev, 20, get_memory, s);
    if (s->more) {
        vmport_register(dev, 19, get_uuid, s);
        vmport_register(dev, 45, get_clocks, s);
        vmport_register(dev, 68, get_vcpu, s);
    }
    mem_init_io(&s->mr, "vmport", 4, &port_ops, s);
    isa_map(&s->isa, &s->mr, PORT);
    vmport_device = dev;
    return true;
}

static MACHINE_CALL void vmport_unrealize(Device *dev)
{
    Vmport *s = (Vmport *)dev;

    vmport_device = NULL;
    isa_unmap(&s->isa, &s->mr);
}

static void vmport_reset(Device *dev, ResetKind kind)
{
}

#define UP_TO_5_0 (const PropCompat[]){ { 500, "off" }, { 0 } }

static const Prop vmport_props[] = {
    PROP_BOOL("x-read-set-eax", Vmport, set_eax, true, .compat = UP_TO_5_0,
              .desc = "a read of any width sets all of EAX"),
    PROP_BOOL("x-signal-unsupported-cmd", Vmport, refuse, true,
              .compat = UP_TO_5_0,
              .desc = "unknown commands set EAX to all ones"),
    PROP_BOOL("x-report-vmx-type", Vmport, tell_type, true,
              .compat = UP_TO_5_0, .desc = "ECX tells the product"),
    PROP_BOOL("x-cmds-v2", Vmport, more, true, .compat = UP_TO_5_0,
              .desc = "has the commands for UUID, clocks and vCPU"),
    PROP_U32("vmware-vmx-version", Vmport, version, 6,
             .desc = "version of the product"),
    PROP_U8("vmware-vmx-type", Vmport, type, 2, .desc = "the product"),
    PROP_END
};

DEVICE(vmport, {
    .name = "vmport", .category = "misc", .on = &bus_isa,
    .flags = DT_INTERNAL | DT_NO_HOTPLUG,
    .desc = "VMware's port",
    .doc = "Port 0x5658, at which guest software for VMware asks for version, "
           "memory, UUID and clocks, and finds its mouse.",
    .size = sizeof(Vmport), .props = vmport_props, .vmstate = &vm_none,
    .realize = vmport_realize, .unrealize = vmport_unrealize,
    .reset = vmport_reset,
});

bool vmport_create(IsaBus *isa, Device *i8042, Error **errp)
{
    static const char *const types[] = { "vmport", "vmmouse" };

    for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
        Device *d = device_make(types[i]);

        if (i) {
            device_set_ref(d, "i8042", i8042);
        }
        if (!device_realize(d, &isa->bus, errp)) {
            device_free(d);
            return false;
        }
    }
    return true;
}
