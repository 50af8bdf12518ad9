/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ioapic.c - the I/O APIC (Intel 82093AA data sheet, order 290566; EOI register
 * of version 0x20 parts as in the ICH9 data sheet, section 13.5).
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. A level-triggered entry with remote IRR set is not delivered again until
 *    its EOI.
 * 2. irr keeps an edge until it is delivered, and mirrors the level of a
 *    level-triggered input.
 * 3. With local APICs in the kernel, each unmasked entry's message is the
 *    kernel's route of that pin.
 */
#include <glib.h>
#include "accel.h"
#include "hw/pc/irq-view.h"
#include "hw/pc/ticks.h"
#include "pc.h"

#define PINS PC_GSI_COUNT
#define ENT_VECTOR 0xffu
#define ENT_MODE_SHIFT 8
#define ENT_LOGICAL (1u << 11)
#define ENT_POLARITY (1u << 13)
#define ENT_REMOTE_IRR (1u << 14)
#define ENT_LEVEL (1u << 15)
#define ENT_MASKED (1u << 16)
#define ENT_RO ((1u << 12) | ENT_REMOTE_IRR)

typedef struct Ioapic {
    Device dev;
    MemRegion io;
    uint8_t version;
    uint8_t id, select;
    uint32_t irr;                      /* bit per pin                         */
    uint32_t level;                    /* input lines now                     */
    uint64_t entry[PINS];
    uint64_t rose[PINS];               /* for people: how often               */
    bool mapped;
} Ioapic;

static Ioapic *the_ioapic;

/* The bus message of an entry, as a device would write it. */
static MsiMessage ioapic_message(uint64_t e, uint8_t vector)
{
    return (MsiMessage){
        .addr = PC_LAPIC_ADDR | (e >> 56) << 12 | (e & ENT_LOGICAL ? 4 : 0),
        .data = vector | (e & 0x700) | 1 << 14 | (e & ENT_LEVEL),
    };
}

static MACHINE_CALL void ioapic_send(uint64_t e, uint8_t vector)
{
    if (accel_irq.apic_in_kernel) {
        if (accel_irq.send_msi) {
            accel_irq.send_msi(ioapic_message(e, vector));
        }
        return;
    }
    apic_deliver(e >> 56, e & ENT_LOGICAL ? 1 : 0, e >> ENT_MODE_SHIFT & 7,
                 vector, e & ENT_LEVEL);
}

static void ioapic_route(int n, uint64_t e)
{
    if (accel_irq.apic_in_kernel && accel_irq.msi_route_update &&
        !(e & ENT_MASKED)) {
        accel_irq.msi_route_update(n, ioapic_message(e, e & ENT_VECTOR));
    }
}

static MACHINE_CALL void ioapic_deliver(Ioapic *s, int n)
{
    uint64_t e = s->entry[n];
    uint8_t mode = e >> ENT_MODE_SHIFT & 7;
    bool level = e & ENT_LEVEL;
    int vector = e & ENT_VECTOR;

    if (e & ENT_MASKED || !(s->irr >> n & 1) ||
        (level && e & ENT_REMOTE_IRR)) {
        return;
    }
    if (level) {
        s->entry[n] |= ENT_REMOTE_IRR;
    } else {
        s->irr &= ~(1u << n);
    }
    if (mode == 7) {
        vector = pic_ack();
    }
    ioapic_send(e, vector);
}

/* Interrupt 0 is on pin 2; fixed or lowest priority, by edges, or 0. */
static uint8_t irq0_vector(const Ioapic *s)
{
    uint64_t e = s ? s->entry[2] : ENT_MASKED;

    return e & (ENT_MASKED | ENT_LEVEL | 6 << ENT_MODE_SHIFT) ? 0
                                                              : e & ENT_VECTOR;
}

bool ioapic_irq0_is(int vector)
{
    return vector > 0 && vector == irq0_vector(the_ioapic);
}

bool ioapic_irq0_waits(void)
{
    uint8_t v = irq0_vector(the_ioapic);

    return v && !accel_irq.apic_in_kernel && apic_vector_waits(v);
}

static MACHINE_CALL void ioapic_service(Ioapic *s)
{
    for (int n = 0; n < PINS; n++) {
        if (s->irr >> n & 1) {
            ioapic_deliver(s, n);
        }
    }
}

static MACHINE_CALL void ioapic_in(void *to, int n, int level)
{
    Ioapic *s = to;
    uint32_t bit = 1u << n;
    bool was = s->level & bit;

    s->rose[n] += level && !was;
    s->level = level ? s->level | bit : s->level & ~bit;
    if (s->entry[n] & ENT_LEVEL) {
        s->irr = level ? s->irr | bit : s->irr & ~bit;
    } else if (level && !was && !(s->entry[n] & ENT_MASKED)) {
        s->irr |= bit;
    }
    ioapic_deliver(s, n);
}

/* A pin that is still high after its EOI asks again; a guest that never
 * silences its device gets one interrupt per EOI, as hardware does. */
static MACHINE_CALL void ioapic_eoi_entry(Ioapic *s, int vector)
{
    for (int n = 0; n < PINS; n++) {
        if ((s->entry[n] & ENT_VECTOR) == (uint64_t)vector &&
            s->entry[n] & ENT_LEVEL && s->entry[n] & ENT_REMOTE_IRR) {
            s->entry[n] &= ~(uint64_t)ENT_REMOTE_IRR;
            ioapic_deliver(s, n);
        }
    }
}

void ioapic_eoi(int vector)
{
    if (the_ioapic) {
        ioapic_eoi_entry(the_ioapic, vector);
    }
}

/* A level interrupt ended by a local APIC in the kernel. */
static void kernel_eoi(uint8_t vector)
{
    machine_assert_locked();
    ioapic_eoi(vector);
}

static uint64_t ioapic_read(void *dev, uint64_t off, unsigned size)
{
    Ioapic *s = dev;
    unsigned n;

    switch (off & 0xff) {
    case 0x00:
        return s->select;
    case 0x10:
        if (size != 4) {
            return 0;
        }
        switch (s->select) {
        case 0:
        case 2:
            return (uint32_t)s->id << 24;
        case 1:
            return s->version | (PINS - 1) << 16;
        default:
            n = (s->select - 0x10) / 2;
            if (s->select < 0x10 || n >= PINS) {
                return 0;
            }
            return s->select & 1 ? s->entry[n] >> 32 : (uint32_t)s->entry[n];
        }
    default:
        return 0;
    }
}

static MACHINE_CALL void ioapic_write_entry(Ioapic *s, unsigned n, bool high,
                                            uint32_t v)
{
    uint64_t e = s->entry[n];

    if (high) {
        e = (uint32_t)e | (uint64_t)v << 32;
    } else {
        uint32_t keep = (uint32_t)e & ENT_RO;

        e = (e & ~0xffffffffull) | (v & ~ENT_RO) | keep;
    }
    if (!(e & ENT_LEVEL)) {
        /* Turning an entry to edge and back is how old guests clear its
         * remote IRR. */
        e &= ~(uint64_t)ENT_REMOTE_IRR;
    }
    s->entry[n] = e;
    ioapic_route(n, e);
    if (e & ENT_LEVEL) {
        s->irr = (s->irr & ~(1u << n)) | (s->level & 1u << n);
    }
    ioapic_service(s);
}

static MACHINE_CALL void ioapic_write(void *dev, uint64_t off, uint64_t val,
                                      unsigned size)
{
    Ioapic *s = dev;
    unsigned n;

    switch (off & 0xff) {
    case 0x00:
        s->select = val;
        break;
    case 0x10:
        if (size != 4) {
            break;
        }
        if (s->select == 0) {
            s->id = val >> 24 & 0x0f;
        } else if (s->select >= 0x10) {
            n = (s->select - 0x10) / 2;
            if (n < PINS) {
                ioapic_write_entry(s, n, s->select & 1, val);
            }
        }
        break;
    case 0x40:
        if (size == 4 && s->version == 0x20) {
            ioapic_eoi_entry(s, val & ENT_VECTOR);
        }
        break;
    default:
        break;
    }
}

static const MemOps ioapic_ops = {
    .read = ioapic_read, .write = ioapic_write, .min = 1, .max = 4,
};

static MACHINE_CALL bool ioapic_realize(Device *dev, Error **errp)
{
    Ioapic *s = (Ioapic *)dev;

    if (s->version != 0x11 && s->version != 0x20) {
        return error_set(errp, "IOAPIC only supports version 0x11 or 0x20 "
                         "(default: 0x20).");
    }
    mem_init_io(&s->io, "ioapic", 0x1000, &ioapic_ops, s);
    device_region(dev, &s->io);
    /* Delivery may reach a device's acknowledge path and come back. */
    s->io.flags |= MRF_REENTRANT;
    device_region(dev, &s->io);
    mem_add(mem_system.root, PC_IOAPIC_ADDR, &s->io);
    s->mapped = true;
    device_gpio_in(dev, NULL, ioapic_in, PINS);
    the_ioapic = s;
    accel_ioapic_eoi = kernel_eoi;
    return true;
}

static MACHINE_CALL void ioapic_unrealize(Device *dev)
{
    Ioapic *s = (Ioapic *)dev;

    if (s->mapped) {
        mem_fini(&s->io);
        s->mapped = false;
    }
    if (the_ioapic == s) {
        the_ioapic = NULL;
        accel_ioapic_eoi = NULL;
    }
}

static void ioapic_reset(Device *dev, ResetKind kind)
{
    Ioapic *s = (Ioapic *)dev;

    s->id = s->select = 0;
    s->irr = s->level = 0;
    for (int i = 0; i < PINS; i++) {
        s->entry[i] = ENT_MASKED;
    }
}

static bool ioapic_after_load(void *opaque, int version, Error **errp)
{
    Ioapic *s = opaque;

    s->irr &= (1u << PINS) - 1;
    s->level &= (1u << PINS) - 1;
    for (int i = 0; i < PINS; i++) {
        ioapic_route(i, s->entry[i]);
    }
    return true;
}

static const VmState ioapic_state = {
    .name = "ioapic", .version = 1, .oldest = 1,
    .after_load = ioapic_after_load,
    .fields = (const VmField[]){
        VM_U8(Ioapic, id), VM_U8(Ioapic, select), VM_U32(Ioapic, irr),
        VM_U32(Ioapic, level), VM_ARRAY(Ioapic, entry, VK_U64),
        VM_END
    },
};

static const Prop ioapic_props[] = {
    PROP_U8("version", Ioapic, version, 0x20,
             .desc = "version register: 0x11 or 0x20",
             .compat = (const PropCompat[]){ { 207, "0x11" }, { 0 } }),
    PROP_END
};

DEVICE(ioapic, {
    .name = "ioapic", .category = "misc", .on = &bus_system,
    .parent = "ioapic-common", .flags = DT_INTERNAL | DT_NO_HOTPLUG,
    .desc = "I/O APIC",
    .doc = "The board's I/O APIC with 24 inputs.",
    .size = sizeof(Ioapic), .props = ioapic_props, .vmstate = &ioapic_state,
    .realize = ioapic_realize, .unrealize = ioapic_unrealize,
    .reset = ioapic_reset,
});
TYPE_NAME(ioapic_common_type, { "ioapic-common", "sys-bus-device", true });

static void ioapic_regs(Device *dev, IoapicRegs *r)
{
    const Ioapic *s = (const Ioapic *)dev;

    r->version = s->version;
    r->id = s->id;
    r->select = s->select;
    r->irr = s->irr;
    memcpy(r->entry, s->entry, sizeof(r->entry));
}

static const uint64_t *ioapic_counts(Device *dev, unsigned *first, unsigned *n)
{
    *first = 0;
    *n = PINS;
    return ((Ioapic *)dev)->rose;
}

IRQ_VIEW(ioapic_view, {
    .type = "ioapic", .title = "ioapic", .ioapic = ioapic_regs,
    .counts = ioapic_counts,
});

Device *ioapic_create(IrqLine in[PC_GSI_COUNT], Error **errp)
{
    Device *d = device_make("ioapic");
    Obj *host = obj_resolve("/machine/i440fx", NULL);

    if (host) {
        obj_add(host, "ioapic", &d->obj);
    }
    if (!device_realize(d, NULL, errp)) {
        device_free(d);
        return NULL;
    }
    for (int i = 0; i < PINS; i++) {
        in[i] = device_gpio_get(d, NULL, i);
    }
    return d;
}
