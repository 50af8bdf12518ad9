/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * serial-isa.c - isa-serial: a 16550A at one of the PC's four places.
 *
 * Thread class: machine lock.
 */
#include "hw/char/serial.h"
#include "isa.h"

typedef struct IsaSerial {
    IsaDevice isa;
    MemRegion io;
    Serial s;
    uint32_t index, iobase, irq_nr;
    bool wakeup;
} IsaSerial;

static const uint16_t ports[4] = { 0x3f8, 0x2f8, 0x3e8, 0x2e8 };
static const uint8_t irqs[4] = { 4, 3, 4, 3 };
static unsigned used;                  /* ports taken, a bit each             */

static bool isa_serial_realize(Device *dev, Error **errp)
{
    machine_assert_locked();
    IsaSerial *s = (IsaSerial *)dev;
    uint32_t i = s->index;

    if (i == UINT32_MAX) {
        for (i = 0; i < 4 && used >> i & 1; i++) {
        }
    }
    if (i >= 4) {
        return error_set(errp, "Max. supported number of ISA serial ports is "
                         "4.");
    }
    s->index = i;
    if (s->iobase == UINT32_MAX) {
        s->iobase = ports[i];
    }
    if (s->irq_nr == UINT32_MAX) {
        s->irq_nr = irqs[i];
    }
    if (s->iobase > 0xfff8) {
        return error_set(errp, "iobase 0x%x is not an I/O port", s->iobase);
    }
    s->s.baudbase = 115200;
    if (!isa_irq(&s->isa, s->irq_nr, &s->s.irq, errp) ||
        !serial_realize(&s->s, errp)) {
        return false;
    }
    used |= 1u << i;
    mem_init_io(&s->io, "serial", 8, &serial_ops, &s->s);
    isa_map(&s->isa, &s->io, s->iobase);
    return true;
}

static void isa_serial_unrealize(Device *dev)
{
    machine_assert_locked();
    IsaSerial *s = (IsaSerial *)dev;

    isa_unmap(&s->isa, &s->io);
    serial_unrealize(&s->s);
    used &= ~(1u << s->index);
}

static void isa_serial_reset(Device *dev, ResetKind kind)
{
    machine_assert_locked();
    serial_reset(&((IsaSerial *)dev)->s);
}

static const VmState isa_serial_state = {
    .name = "isa-serial", .version = 1, .oldest = 1,
    .fields = (const VmField[]){
        VM_STRUCT(IsaSerial, s, &serial_state), VM_END
    },
};

static const Prop isa_serial_props[] = {
    PROP_U32("index", IsaSerial, index, UINT32_MAX,
             .desc = "0 to 3: COM1 to COM4; the first free by default"),
    PROP_U32("iobase", IsaSerial, iobase, UINT32_MAX, .desc = "first port"),
    PROP_U32("irq", IsaSerial, irq_nr, UINT32_MAX, .desc = "ISA interrupt"),
    PROP_CHR("chardev", IsaSerial, s.front,
             .desc = "ID of a chardev to use as a backend"),
    PROP_BOOL("wakeup", IsaSerial, wakeup, false,
              .desc = "input wakes the machine from suspension"),
    PROP_END
};

DEVICE(isa_serial, {
    .name = "isa-serial", .category = "input", .on = &bus_isa,
    .desc = "16550A serial port",
    .doc = "A serial port at COM1 to COM4, or at iobase= and irq=.",
    .size = sizeof(IsaSerial), .props = isa_serial_props,
    .vmstate = &isa_serial_state, .realize = isa_serial_realize,
    .unrealize = isa_serial_unrealize, .reset = isa_serial_reset,
});
