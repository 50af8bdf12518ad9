/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * chips.c - the interrupt controllers in the kernel as devices: kvm-apic,
 * kvm-i8259, kvm-ioapic. They hold no logic; they carry state between the kernel
 * and saved state, set it at reset and take interrupt lines.
 * (Linux KVM API: KVM_GET_IRQCHIP, KVM_GET_LAPIC; Intel SDM vol. 3 chapter 11;
 * Intel 8259A and 82093AA data sheets for reset values.)
 *
 * Thread class: MACHINE_CALL; kvm_lapic_* as regs.c.
 *
 * 1. The local APIC's page rides with its vCPU: put with the vCPU's full state,
 *    fetched with its registers.
 */
#include <glib.h>
#include "hw/pc/irq-view.h"
#include "hw/pc/pc-board.h"
#include "kvm.h"

/* ---- local APIC ---------------------------------------------------------- */

typedef struct KvmApic {
    Device dev;
    X86Cpu *cpu;
    uint32_t id;
    uint8_t version;
    bool vapic;
    struct kvm_lapic_state state;
} KvmApic;

/* Messages written by devices: all local APICs share the window. */
static MemRegion msi_window;
static unsigned msi_window_users;

static uint64_t msi_window_read(void *dev, uint64_t off, unsigned size)
{
    return ~0ull;
}

static void msi_window_write(void *dev, uint64_t off, uint64_t val,
                             unsigned size)
{
    if (accel_irq.send_msi) {
        accel_irq.send_msi((MsiMessage){ 0xfee00000 + off, val });
    }
}

static const MemOps msi_window_ops = {
    .read = msi_window_read, .write = msi_window_write, .min = 4, .max = 4,
};

static void lapic_reg(KvmApic *a, unsigned reg, uint32_t v)
{
    st_le32(a->state.regs + reg, v);
}

static void kvm_apic_reset(Device *dev, ResetKind kind)
{
    KvmApic *a = container_of(dev, KvmApic, dev);

    memset(&a->state, 0, sizeof(a->state));
    lapic_reg(a, 0x20, a->id << 24);
    lapic_reg(a, 0x30, a->version | 5u << 16);
    lapic_reg(a, 0xe0, 0xffffffff);    /* DFR: flat                           */
    lapic_reg(a, 0xf0, 0xff);          /* SVR: off, vector ff                 */
    for (unsigned reg = 0x320; reg <= 0x370; reg += 0x10) {
        lapic_reg(a, reg, 0x10000);    /* LVT: masked                         */
    }
}

static bool kvm_apic_realize(Device *dev, Error **errp) MACHINE_CALL;
static bool kvm_apic_realize(Device *dev, Error **errp)
{
    KvmApic *a = container_of(dev, KvmApic, dev);

    if (!accel_irq.apic_in_kernel) {
        return error_set(errp, "kvm-apic needs KVM with its local APIC in the "
                         "kernel");
    }
    /* The APIC is its CPU's child (x86.h). */
    a->cpu = container_of(dev->obj.parent, X86Cpu, cpu.dev.obj);
    if (msi_window_users++ == 0) {
        mem_init_io(&msi_window, "kvm-apic-msi", 0x100000, &msi_window_ops,
                    a);
        msi_window.flags |= MRF_LOCKLESS;
        mem_add_prio(mem_system.root, 0xfee00000, &msi_window, 0x1000);
    }
    return true;
}

static void kvm_apic_unrealize(Device *dev) MACHINE_CALL;
static void kvm_apic_unrealize(Device *dev)
{
    if (--msi_window_users == 0) {
        mem_remove(mem_system.root, &msi_window);
        mem_fini(&msi_window);
    }
}

static const Prop kvm_apic_props[] = {
    PROP_U32("id", KvmApic, id, 0, .flags = PF_NO_DEFAULT),
    PROP_U8("version", KvmApic, version, 0x14),
    PROP_BOOL("vapic", KvmApic, vapic, true, .desc = "on/off"),
    PROP_END
};

static const VmState kvm_apic_vm = {
    .name = "kvm-apic", .version = 1,
    .fields = (const VmField[]){
        VM_U32(KvmApic, id), VM_BYTES(KvmApic, state.regs), VM_END
    },
};

DEVICE(dev_kvm_apic, {
    .name = "kvm-apic", .parent = "apic-common",
    .desc = "local APIC in KVM", .category = "misc",
    .size = sizeof(KvmApic), .props = kvm_apic_props,
    .vmstate = &kvm_apic_vm, .flags = DT_INTERNAL,
    .realize = kvm_apic_realize, .unrealize = kvm_apic_unrealize,
    .reset = kvm_apic_reset,
});

static KvmApic *lapic_of(const Cpu *cpu)
{
    Device *d = x86_cpu((Cpu *)cpu)->lapic;

    return d && d->type == &dev_kvm_apic ? container_of(d, KvmApic, dev)
                                         : NULL;
}

void kvm_lapic_put(Cpu *cpu)
{
    KvmApic *a = lapic_of(cpu);

    if (a && kvm_ioctl(kvm_cpu(cpu)->fd, KVM_SET_LAPIC, &a->state) < 0) {
        kvm_refused("CPU %u: the host refused its local APIC's state",
                    cpu->index);
    }
}

void kvm_lapic_get(Cpu *cpu)
{
    KvmApic *a = lapic_of(cpu);

    if (a) {
        kvm_ioctl(kvm_cpu(cpu)->fd, KVM_GET_LAPIC, &a->state);
    }
}

void kvm_lapic_page(Cpu *cpu, uint32_t page[256])
{
    const KvmApic *a = lapic_of(cpu);

    for (unsigned r = 0; a && r < 256; r++) {
        page[r] = ld_le32(a->state.regs + r * 4);
    }
}

/* ---- 8259 ---------------------------------------------------------------- */

typedef struct KvmPic {
    Device dev;
    bool master;
    uint32_t iobase, elcr_addr;
    uint8_t elcr_mask;
    struct kvm_pic_state state;
} KvmPic;

static void chip_move(void *state, size_t n, uint32_t id, unsigned long req)
{
    struct kvm_irqchip c = { .chip_id = id };

    if (req == KVM_SET_IRQCHIP) {
        memcpy(&c.chip, state, n);
    }
    if (kvm_ioctl(kvm->vm, req, &c) < 0) {
        kvm_refused("the host refused the state of interrupt controller %u",
                    id);
        return;
    }
    if (req == KVM_GET_IRQCHIP) {
        memcpy(state, &c.chip, n);
    }
}

static void pic_move(KvmPic *p, unsigned long req)
{
    chip_move(&p->state, sizeof(p->state), p->master ? KVM_IRQCHIP_PIC_MASTER
                                                     : KVM_IRQCHIP_PIC_SLAVE,
              req);
}

static void pic_before_save(void *s)
{
    pic_move(s, KVM_GET_IRQCHIP);
}

static bool pic_after_load(void *s, int version, Error **errp)
{
    pic_move(s, KVM_SET_IRQCHIP);
    return true;
}

static void pic_reset(Device *dev, ResetKind kind)
{
    KvmPic *p = container_of(dev, KvmPic, dev);

    memset(&p->state, 0, sizeof(p->state));
    p->state.elcr_mask = p->elcr_mask;
    pic_move(p, KVM_SET_IRQCHIP);
}

static void pic_line(void *to, int n, int level)
{
    const KvmPic *p = to;

    accel_irq.set_gsi((p->master ? 0 : 8) + n, level);
}

static bool pic_realize(Device *dev, Error **errp) MACHINE_CALL;
static bool pic_realize(Device *dev, Error **errp)
{
    if (!accel_irq.pic_in_kernel) {
        return error_set(errp, "kvm-i8259 needs KVM with kernel-irqchip=on");
    }
    device_gpio_in(dev, NULL, pic_line, 8);
    return true;
}

static const Prop pic_props[] = {
    PROP_U32("iobase", KvmPic, iobase, UINT32_MAX),
    PROP_U32("elcr_addr", KvmPic, elcr_addr, UINT32_MAX),
    PROP_U8("elcr_mask", KvmPic, elcr_mask, UINT8_MAX),
    PROP_BOOL("master", KvmPic, master, false, .desc = "on/off"),
    PROP_END
};

static const VmState pic_vm = {
    .name = "kvm-i8259", .version = 1,
    .before_save = pic_before_save, .after_load = pic_after_load,
    .fields = (const VmField[]){
        VM_U8(KvmPic, state.last_irr), VM_U8(KvmPic, state.irr),
        VM_U8(KvmPic, state.imr), VM_U8(KvmPic, state.isr),
        VM_U8(KvmPic, state.priority_add), VM_U8(KvmPic, state.irq_base),
        VM_U8(KvmPic, state.read_reg_select), VM_U8(KvmPic, state.poll),
        VM_U8(KvmPic, state.special_mask), VM_U8(KvmPic, state.init_state),
        VM_U8(KvmPic, state.auto_eoi),
        VM_U8(KvmPic, state.rotate_on_auto_eoi),
        VM_U8(KvmPic, state.special_fully_nested_mode),
        VM_U8(KvmPic, state.init4), VM_U8(KvmPic, state.elcr),
        VM_U8(KvmPic, state.elcr_mask), VM_END
    },
};

DEVICE(dev_kvm_pic, {
    .name = "kvm-i8259", .parent = "pic-common",
    .desc = "8259 interrupt controller in KVM", .category = "misc",
    .on = &bus_isa, .size = sizeof(KvmPic), .props = pic_props,
    .vmstate = &pic_vm, .flags = DT_INTERNAL, .realize = pic_realize,
    .reset = pic_reset,
});

/* ---- IOAPIC -------------------------------------------------------------- */

typedef struct KvmIoapic {
    Device dev;
    uint32_t gsi_base;
    struct kvm_ioapic_state state;
    uint64_t redir[KVM_IOAPIC_NUM_PINS];           /* for saved state         */
    uint64_t base_address;
} KvmIoapic;

static void ioapic_move(KvmIoapic *p, unsigned long req)
{
    chip_move(&p->state, sizeof(p->state), KVM_IRQCHIP_IOAPIC, req);
}

static void ioapic_before_save(void *s)
{
    KvmIoapic *p = s;

    ioapic_move(p, KVM_GET_IRQCHIP);
    for (unsigned i = 0; i < KVM_IOAPIC_NUM_PINS; i++) {
        p->redir[i] = p->state.redirtbl[i].bits;
    }
    p->base_address = p->state.base_address;
}

static bool ioapic_after_load(void *s, int version, Error **errp)
{
    KvmIoapic *p = s;

    for (unsigned i = 0; i < KVM_IOAPIC_NUM_PINS; i++) {
        p->state.redirtbl[i].bits = p->redir[i];
    }
    p->state.base_address = p->base_address;
    ioapic_move(p, KVM_SET_IRQCHIP);
    return true;
}

static void ioapic_reset(Device *dev, ResetKind kind)
{
    KvmIoapic *p = container_of(dev, KvmIoapic, dev);

    memset(&p->state, 0, sizeof(p->state));
    p->state.base_address = 0xfec00000;
    for (unsigned i = 0; i < KVM_IOAPIC_NUM_PINS; i++) {
        p->state.redirtbl[i].bits = 1u << 16;      /* masked                  */
    }
    ioapic_move(p, KVM_SET_IRQCHIP);
}

static void ioapic_line(void *to, int n, int level)
{
    const KvmIoapic *p = to;

    accel_irq.set_gsi(p->gsi_base + n, level);
}

static bool ioapic_realize(Device *dev, Error **errp) MACHINE_CALL;
static bool ioapic_realize(Device *dev, Error **errp)
{
    if (!accel_irq.ioapic_in_kernel) {
        return error_set(errp, "kvm-ioapic needs KVM with kernel-irqchip=on");
    }
    device_gpio_in(dev, NULL, ioapic_line, KVM_IOAPIC_NUM_PINS);
    return true;
}

static const Prop ioapic_props[] = {
    PROP_U32("gsi_base", KvmIoapic, gsi_base, 0),
    PROP_END
};

static const VmState ioapic_vm = {
    .name = "kvm-ioapic", .version = 1,
    .before_save = ioapic_before_save, .after_load = ioapic_after_load,
    .fields = (const VmField[]){
        VM_U64(KvmIoapic, base_address), VM_U32(KvmIoapic, state.id),
        VM_U32(KvmIoapic, state.ioregsel), VM_U32(KvmIoapic, state.irr),
        VM_ARRAY(KvmIoapic, redir, VK_U64), VM_END
    },
};

DEVICE(dev_kvm_ioapic, {
    .name = "kvm-ioapic", .parent = "ioapic-common",
    .desc = "IOAPIC in KVM", .category = "misc",
    .on = &bus_system, .size = sizeof(KvmIoapic), .props = ioapic_props,
    .vmstate = &ioapic_vm, .flags = DT_INTERNAL, .realize = ioapic_realize,
    .reset = ioapic_reset,
});

/* ---- for people ---------------------------------------------------------- */

static void pic_view(Device *dev, PicRegs *r)
{
    KvmPic *p = container_of(dev, KvmPic, dev);

    pic_move(p, KVM_GET_IRQCHIP);
    *r = (PicRegs){
        .irr = p->state.irr, .imr = p->state.imr, .isr = p->state.isr,
        .priority_add = p->state.priority_add, .irq_base = p->state.irq_base,
        .read_isr = p->state.read_reg_select, .elcr = p->state.elcr,
        .special_nested = p->state.special_fully_nested_mode,
    };
}

static void ioapic_view(Device *dev, IoapicRegs *r)
{
    KvmIoapic *p = container_of(dev, KvmIoapic, dev);

    ioapic_before_save(p);
    r->version = 0x11;
    r->id = p->state.id;
    r->select = p->state.ioregsel;
    r->irr = p->state.irr;
    for (unsigned i = 0; i < KVM_IOAPIC_NUM_PINS; i++) {
        r->entry[i] = p->redir[i];
    }
}

IRQ_VIEW(kvm_pic_view, {
    .type = "kvm-i8259", .title = "kvm-i8259", .pic = pic_view,
});
IRQ_VIEW(kvm_ioapic_view, {
    .type = "kvm-ioapic", .title = "kvm-ioapic", .ioapic = ioapic_view,
});

/* ---- for the board ------------------------------------------------------- */

static bool pic_make(Pc *p, bool master, Error **errp) MACHINE_CALL;
static bool pic_make(Pc *p, bool master, Error **errp)
{
    Device *d = device_make("kvm-i8259");

    device_set_int(d, "iobase", master ? 0x20 : 0xa0);
    device_set_int(d, "elcr_addr", master ? 0x4d0 : 0x4d1);
    device_set_int(d, "elcr_mask", master ? 0xf8 : 0xde);
    device_set_int(d, "master", master);
    if (!device_realize(d, &p->isa->bus, errp)) {
        device_free(d);
        return false;
    }
    return true;
}

bool kvm_irqchip_create(Pc *p, Error **errp)
{
    if (!pic_make(p, true, errp) || !pic_make(p, false, errp)) {
        return false;
    }
    if (!p->is_isapc && accel_irq.ioapic_in_kernel) {
        p->ioapic = device_make("kvm-ioapic");
        if (!device_realize(p->ioapic, NULL, errp)) {
            device_free(p->ioapic);
            p->ioapic = NULL;
            return false;
        }
    }
    return true;
}
