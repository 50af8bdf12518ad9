/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * toy-isa.c - a made-up ISA card: four ports that add bytes. The small example
 * of docs/add-a-device.md.
 *
 * Port 0: write adds to the sum, read gives its low byte; port 1: high byte;
 * port 2: write 1 raises the interrupt line, 0 lowers it; port 3: identity 'T'.
 *
 * Thread: the machine lock.
 * 1. The line's level is irq_level, also after a load.
 */
#include "isa.h"

typedef struct ToyIsa {
    IsaDevice isa;
    MemRegion ports;
    IrqLine line;
    uint32_t iobase, irq;               /* properties                       */
    bool saturate;
    uint16_t sum;                       /* what the guest sees              */
    uint8_t irq_level;
} ToyIsa;

static uint64_t toy_read(void *dev, uint64_t off, unsigned size)
{
    const ToyIsa *s = dev;

    switch (off) {
    case 0: return s->sum & 0xff;
    case 1: return s->sum >> 8;
    case 2: return s->irq_level;
    default: return 'T';
    }
}

static void toy_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    ToyIsa *s = dev;

    switch (off) {
    case 0:
        s->sum = s->saturate && s->sum + val > UINT16_MAX ? UINT16_MAX
                                                          : s->sum + val;
        break;
    case 2:
        s->irq_level = val & 1;
        irq_set(&s->line, s->irq_level);
        break;
    default:
        guest_fault("toy-isa", "write of port %" PRIu64, off);
    }
}

static const MemOps toy_ops = {
    .read = toy_read, .write = toy_write, .min = 1, .max = 1,
};

static MACHINE_CALL bool toy_realize(Device *dev, Error **errp)
{
    ToyIsa *s = (ToyIsa *)dev;

    if (!isa_irq(&s->isa, s->irq, &s->line, errp)) {
        return false;
    }
    mem_init_io(&s->ports, "toy-isa", 4, &toy_ops, s);
    isa_map(&s->isa, &s->ports, s->iobase);
    return true;
}

static MACHINE_CALL void toy_unrealize(Device *dev)
{
    ToyIsa *s = (ToyIsa *)dev;

    irq_lower(&s->line);
    isa_unmap(&s->isa, &s->ports);
}

static MACHINE_CALL void toy_reset(Device *dev, ResetKind kind)
{
    ToyIsa *s = (ToyIsa *)dev;

    s->sum = 0;
    s->irq_level = 0;
    irq_lower(&s->line);
}

static bool toy_loaded(void *opaque, int version, Error **errp)
{
    ToyIsa *s = opaque;

    if (s->irq_level > 1) {
        return error_set(errp, "toy-isa: interrupt level %u", s->irq_level);
    }
    irq_set(&s->line, s->irq_level);
    return true;
}

static const Prop toy_props[] = {
    PROP_U32("iobase", ToyIsa, iobase, 0x310, .max = 0xfffc,
             .desc = "first of its four ports"),
    PROP_U32("irq", ToyIsa, irq, 5, .max = 15, .desc = "interrupt line"),
    PROP_BOOL("saturate", ToyIsa, saturate, true,
              .desc = "the sum stops at its largest value",
              .compat = (const PropCompat[]){ { 602, "off" }, { 0 } }),
    PROP_END
};

static const VmState toy_state = {
    .name = "toy-isa", .version = 1, .oldest = 1, .after_load = toy_loaded,
    .fields = (const VmField[]){
        VM_U16(ToyIsa, sum), VM_U8(ToyIsa, irq_level),
        VM_END
    },
};

DEVICE(toy_isa, {
    .name = "toy-isa", .category = "misc", .size = sizeof(ToyIsa),
    .desc = "toy that adds bytes",
    .doc = "Adds the bytes that the guest writes to its first port. An example "
           "for authors of devices.",
    .on = &bus_isa,
    .props = toy_props, .vmstate = &toy_state,
    .realize = toy_realize, .unrealize = toy_unrealize, .reset = toy_reset,
});
