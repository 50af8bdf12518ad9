/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * i8259.c - the pair of 8259A interrupt controllers (Intel 8259A data sheet,
 * order 231468) with the edge/level control registers of the PIIX (order
 * 290550, section 2.5.4).
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. The output line is a function of irr, imr, isr, priority and mode: it is
 *    recomputed after each change, never remembered.
 * 2. The slave's output is input 2 of the master.
 */
#include <glib.h>
#include "accel.h"
#include "hw/pc/irq-view.h"
#include "hw/pc/ticks.h"
#include "pc.h"

typedef struct Pic {
    IsaDevice isa;
    MemRegion io, elcr_io;
    IrqLine out;
    uint32_t iobase, elcr_addr;
    uint8_t elcr_mask;
    bool master;
    uint8_t lines, irr, imr, isr, elcr;
    uint8_t priority_add;              /* input with the highest priority     */
    uint8_t irq_base, read_isr, poll, special_mask, init_state, auto_eoi,
            rotate_auto, special_nested, init4, single;
    uint64_t rose[8];                  /* for people: how often               */
} Pic;

static Pic *pics[2];                   /* master, slave                       */

/* Rank of the highest set bit of mask, 8: none; 0 is the first in line. */
static int pic_rank(const Pic *s, uint8_t mask)
{
    for (int rank = 0; rank < 8; rank++) {
        if (mask >> ((rank + s->priority_add) & 7) & 1) {
            return rank;
        }
    }
    return 8;
}

/* The input that would be served, -1: none. */
static int pic_choice(const Pic *s)
{
    uint8_t in_service = s->isr;
    int rank = pic_rank(s, s->irr & ~s->imr), busy;

    if (rank == 8) {
        return -1;
    }
    if (s->special_mask) {
        in_service &= ~s->imr;
    }
    /* In special fully nested mode the slave's line may interrupt itself. */
    if (s->special_nested && s->master) {
        in_service &= ~(1 << 2);
    }
    busy = pic_rank(s, in_service);
    return rank < busy ? (rank + s->priority_add) & 7 : -1;
}

static void pic_update(Pic *s)
{
    irq_set(&s->out, pic_choice(s) >= 0);
}

static void pic_in(void *to, int n, int level)
{
    Pic *s = to;
    uint8_t bit = 1 << n;

    s->rose[n] += level && !(s->lines & bit);
    if (s->elcr & bit) {
        s->irr = level ? s->irr | bit : s->irr & ~bit;
    } else if (level && !(s->lines & bit)) {
        s->irr |= bit;                 /* stays when the line falls: a pulse
                                          is an interrupt                     */
    }
    s->lines = level ? s->lines | bit : s->lines & ~bit;
    pic_update(s);
}

static void pic_take(Pic *s, int n)
{
    if (s->auto_eoi) {
        if (s->rotate_auto) {
            s->priority_add = (n + 1) & 7;
        }
    } else {
        s->isr |= 1 << n;
    }
    if (!(s->elcr >> n & 1)) {
        s->irr &= ~(1 << n);
    }
    pic_update(s);
}

int pic_ack(void)
{
    Pic *m = pics[0], *sl = pics[1];
    int n, n2, vector;

    if (!m) {
        return 0xff;
    }
    n = pic_choice(m);
    if (n < 0) {
        return m->irq_base + 7;        /* spurious                            */
    }
    if (n != 2 || !sl) {
        vector = m->irq_base + n;
    } else {
        n2 = pic_choice(sl);
        if (n2 < 0) {
            n2 = 7;
        } else {
            pic_take(sl, n2);
        }
        vector = sl->irq_base + n2;
    }
    pic_take(m, n);
    if (n == 0) {
        ticks_taken();
    }
    return vector;
}

bool pic_irq0_waits(void)
{
    return pics[0] && pics[0]->irr & ~pics[0]->imr & 1 && apic_takes_intr();
}

bool pic_pending(void)
{
    return pics[0] && pic_choice(pics[0]) >= 0;
}

/* For an accelerator with local APICs of its own. */
static MACHINE_CALL int pic_ack_pending(void)
{
    return pic_pending() ? pic_ack() : -1;
}

static void pic_init_reset(Pic *s, uint8_t asking)
{
    s->irr = asking;
    s->lines = s->imr = s->isr = 0;
    s->priority_add = s->irq_base = s->read_isr = s->poll = 0;
    s->special_mask = s->init_state = s->auto_eoi = s->rotate_auto = 0;
    s->special_nested = s->init4 = s->single = 0;
    pic_update(s);
}

static void pic_icw1(Pic *s, uint8_t v)
{
    /* Edge detection starts afresh: a source that drives its line again is
     * heard even if the line was high. Level inputs go on asking. */
    pic_init_reset(s, s->irr & s->elcr);
    s->init_state = 1;
    s->init4 = v & 1;
    s->single = v >> 1 & 1;
    if (v & 8) {
        LOG(LOG_UNIMP, "i8259: level sensitive irq not supported\n");
    }
}

static void pic_ocw2(Pic *s, uint8_t v)
{
    uint8_t level = v & 7;
    int rank;

    switch (v >> 5) {
    case 0:
    case 4:                            /* rotate in automatic EOI mode        */
        s->rotate_auto = v >> 7;
        return;
    case 1:
    case 5:                            /* non-specific EOI, with rotation     */
        rank = pic_rank(s, s->special_mask ? s->isr & ~s->imr : s->isr);
        if (rank < 8) {
            int n = (rank + s->priority_add) & 7;

            s->isr &= ~(1 << n);
            if (v >> 5 == 5) {
                s->priority_add = (n + 1) & 7;
            }
        }
        break;
    case 3:
        s->isr &= ~(1 << level);
        break;
    case 6:
        s->priority_add = (level + 1) & 7;
        break;
    case 7:
        s->isr &= ~(1 << level);
        s->priority_add = (level + 1) & 7;
        break;
    default:
        break;
    }
    pic_update(s);
}

static void pic_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    Pic *s = dev;
    uint8_t v = val;

    if (off == 0) {
        if (v & 0x10) {
            pic_icw1(s, v);
        } else if (v & 8) {            /* OCW3 */
            if (v & 4) {
                s->poll = 1;
            }
            if (v & 2) {
                s->read_isr = v & 1;
            }
            if (v & 0x40) {
                s->special_mask = v >> 5 & 1;
                pic_update(s);
            }
        } else {
            pic_ocw2(s, v);
        }
        return;
    }
    switch (s->init_state) {
    case 0:
        s->imr = v;
        pic_update(s);
        break;
    case 1:
        s->irq_base = v & 0xf8;
        s->init_state = s->single ? (s->init4 ? 3 : 0) : 2;
        break;
    case 2:
        s->init_state = s->init4 ? 3 : 0;
        break;
    default:
        s->special_nested = v >> 4 & 1;
        s->auto_eoi = v >> 1 & 1;
        s->init_state = 0;
        break;
    }
}

static uint64_t pic_read(void *dev, uint64_t off, unsigned size)
{
    Pic *s = dev;

    if (s->poll) {
        int n = pic_choice(s);

        s->poll = 0;
        if (n < 0) {
            return 0;
        }
        pic_take(s, n);
        return n | 0x80;
    }
    return off ? s->imr : s->read_isr ? s->isr : s->irr;
}

static uint64_t elcr_read(void *dev, uint64_t off, unsigned size)
{
    return ((Pic *)dev)->elcr;
}

static void elcr_write(void *dev, uint64_t off, uint64_t v, unsigned size)
{
    Pic *s = dev;

    s->elcr = v & s->elcr_mask;
}

static const MemOps pic_ops = {
    .read = pic_read, .write = pic_write, .max = 1,
};
static const MemOps elcr_ops = { .read = elcr_read, .write = elcr_write,
                                 .max = 1 };

static MACHINE_CALL bool pic_realize(Device *dev, Error **errp)
{
    Pic *s = (Pic *)dev;

    mem_init_io(&s->io, "pic", 2, &pic_ops, s);
    mem_init_io(&s->elcr_io, "elcr", 1, &elcr_ops, s);
    isa_map(&s->isa, &s->io, s->iobase);
    if (s->elcr_addr != UINT32_MAX) {
        isa_map(&s->isa, &s->elcr_io, s->elcr_addr);
    }
    device_gpio_out(dev, NULL, &s->out, 1);
    device_gpio_in(dev, NULL, pic_in, 8);
    pics[!s->master] = s;
    if (s->master) {
        accel_pic_ack = pic_ack_pending;
    }
    return true;
}

static MACHINE_CALL void pic_unrealize(Device *dev)
{
    Pic *s = (Pic *)dev;

    isa_unmap(&s->isa, &s->io);
    if (s->elcr_addr != UINT32_MAX) {
        isa_unmap(&s->isa, &s->elcr_io);
    }
    if (pics[!s->master] == s) {
        pics[!s->master] = NULL;
    }
}

static void pic_reset(Device *dev, ResetKind kind)
{
    Pic *s = (Pic *)dev;

    s->elcr = 0;
    pic_init_reset(s, 0);
}

static bool pic_after_load(void *opaque, int version, Error **errp)
{
    Pic *s = opaque;

    s->priority_add &= 7;
    s->elcr &= s->elcr_mask;
    if (s->init_state > 3) {
        return error_set(errp, "i8259: initialisation state %u is not one",
                         s->init_state);
    }
    return true;
}

static const VmState pic_state = {
    .name = "i8259", .version = 1, .oldest = 1, .after_load = pic_after_load,
    .fields = (const VmField[]){
        VM_U8(Pic, lines), VM_U8(Pic, irr), VM_U8(Pic, imr), VM_U8(Pic, isr),
        VM_U8(Pic, elcr), VM_U8(Pic, priority_add), VM_U8(Pic, irq_base),
        VM_U8(Pic, read_isr), VM_U8(Pic, poll), VM_U8(Pic, special_mask),
        VM_U8(Pic, init_state), VM_U8(Pic, auto_eoi), VM_U8(Pic, rotate_auto),
        VM_U8(Pic, special_nested), VM_U8(Pic, init4), VM_U8(Pic, single),
        VM_END
    },
};

static const Prop pic_props[] = {
    PROP_U32("iobase", Pic, iobase, UINT32_MAX, .desc = "first port"),
    PROP_U32("elcr_addr", Pic, elcr_addr, UINT32_MAX,
             .desc = "port of the edge/level register"),
    PROP_U8("elcr_mask", Pic, elcr_mask, UINT8_MAX,
            .desc = "inputs that may be level-triggered"),
    PROP_BOOL("master", Pic, master, false, .desc = "first of the pair"),
    PROP_END
};

DEVICE(i8259, {
    .name = "isa-i8259", .category = "misc", .on = &bus_isa,
    .parent = "pic-common", .flags = DT_INTERNAL | DT_NO_HOTPLUG,
    .desc = "8259A interrupt controller",
    .doc = "One of the PC's two programmable interrupt controllers.",
    .size = sizeof(Pic), .props = pic_props, .vmstate = &pic_state,
    .realize = pic_realize, .unrealize = pic_unrealize, .reset = pic_reset,
});
TYPE_NAME(pic_common_type, { "pic-common", "isa-device", true });

static void pic_regs(Device *dev, PicRegs *r)
{
    const Pic *s = (const Pic *)dev;

    *r = (PicRegs){
        .irr = s->irr, .imr = s->imr, .isr = s->isr,
        .priority_add = s->priority_add, .irq_base = s->irq_base,
        .read_isr = s->read_isr, .elcr = s->elcr,
        .special_nested = s->special_nested,
    };
}

static const uint64_t *pic_counts(Device *dev, unsigned *first, unsigned *n)
{
    Pic *s = (Pic *)dev;

    *first = s->master ? 0 : 8;
    *n = 8;
    return s->rose;
}

IRQ_VIEW(i8259_view, {
    .type = "isa-i8259", .title = "isa-i8259", .pic = pic_regs,
    .counts = pic_counts,
});

static MACHINE_CALL Device *pic_make(IsaBus *isa, bool master, IrqLine out,
                                     Error **errp)
{
    Device *d = device_make("isa-i8259");

    device_set_int(d, "iobase", master ? 0x20 : 0xa0);
    device_set_int(d, "elcr_addr", master ? 0x4d0 : 0x4d1);
    device_set_int(d, "elcr_mask", master ? 0xf8 : 0xde);
    device_set_int(d, "master", master);
    if (!device_realize(d, &isa->bus, errp)) {
        device_free(d);
        return NULL;
    }
    device_gpio_connect(d, NULL, 0, out);
    return d;
}

bool pic_create(IsaBus *isa, IrqLine intr, IrqLine in[16], Error **errp)
{
    Device *m = pic_make(isa, true, intr, errp), *s;

    if (!m) {
        return false;
    }
    s = pic_make(isa, false, device_gpio_get(m, NULL, 2), errp);
    if (!s) {
        return false;
    }
    for (int i = 0; i < 8; i++) {
        in[i] = device_gpio_get(m, NULL, i);
        in[8 + i] = device_gpio_get(s, NULL, i);
    }
    return true;
}
