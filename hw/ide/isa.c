/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * isa.c - one IDE channel on the ISA bus, PIO only (ATA-1, X3.221).
 *
 * Thread class: MACHINE_CALL.
 */
#include "hw/ide/ide.h"
#include "isa.h"
#include "pc.h"

typedef struct IsaIde {
    IsaDevice isa;
    IdeBus bus;
    uint32_t iobase, iobase2, irq;     /* properties                          */
    MemRegion task, ctl;
} IsaIde;

static const MemOps task_ops = { .read = ide_port_read,
                                 .write = ide_port_write, .max = 4 };
static const MemOps ctl_ops = { .read = ide_status_read,
                                .write = ide_control_write, .max = 1 };

static MACHINE_CALL bool isa_ide_realize(Device *dev, Error **errp)
{
    static int count;
    IsaIde *s = (IsaIde *)dev;
    char name[16];
    IrqLine irq;

    if (!isa_irq(&s->isa, s->irq, &irq, errp)) {
        return false;
    }
    snprintf(name, sizeof(name), "ide.%d", count & 255);
    count++;
    ide_bus_init(&s->bus, dev, name, irq);
    mem_init_io(&s->task, "ide", 8, &task_ops, &s->bus);
    mem_init_io(&s->ctl, "ide-control", 1, &ctl_ops, &s->bus);
    isa_map(&s->isa, &s->task, s->iobase);
    isa_map(&s->isa, &s->ctl, s->iobase2);
    return true;
}

static MACHINE_CALL void isa_ide_unrealize(Device *dev)
{
    IsaIde *s = (IsaIde *)dev;

    isa_unmap(&s->isa, &s->task);
    isa_unmap(&s->isa, &s->ctl);
    ide_bus_fini(&s->bus);
}

static MACHINE_CALL void isa_ide_reset(Device *dev, ResetKind kind)
{
    ide_bus_reset(&((IsaIde *)dev)->bus);
}

static bool isa_ide_loaded(void *opaque, int version, Error **errp)
{
    IsaIde *s = opaque;

    return s->bus.unit < 2 ||
           error_set(errp, "isa-ide: unit %u chosen", s->bus.unit);
}

static const VmState isa_ide_state = {
    .name = "isa-ide", .version = 1, .oldest = 1, .after_load = isa_ide_loaded,
    .fields = (const VmField[]){
        VM_U8(IsaIde, bus.unit), VM_U8(IsaIde, bus.control),
        VM_END
    },
};

static const Prop isa_ide_props[] = {
    PROP_U32("iobase", IsaIde, iobase, 0x1f0, .max = 0xfff8),
    PROP_U32("iobase2", IsaIde, iobase2, 0x3f6, .max = 0xffff),
    PROP_U32("irq", IsaIde, irq, 14),
    PROP_END
};

DEVICE(isa_ide, {
    .name = "isa-ide", .category = "storage", .size = sizeof(IsaIde),
    .desc = "ISA IDE controller",
    .doc = "An IDE channel of the kind that ISA cards have.",
    .on = &bus_isa, .props = isa_ide_props, .vmstate = &isa_ide_state,
    .realize = isa_ide_realize,
    .unrealize = isa_ide_unrealize, .reset = isa_ide_reset,
});

Device *isa_ide_create(IsaBus *bus, int n, Error **errp)
{
    static const struct {
        uint16_t port, port2;
        uint8_t irq;
    } rows[2] = { { 0x1f0, 0x3f6, 14 }, { 0x170, 0x376, 15 } };
    Device *d = device_make("isa-ide");

    device_set_int(d, "iobase", rows[n].port);
    device_set_int(d, "iobase2", rows[n].port2);
    device_set_int(d, "irq", rows[n].irq);
    if (!device_realize(d, &bus->bus, errp)) {
        device_free(d);
        return NULL;
    }
    return ide_drives_create(&((IsaIde *)d)->bus, n, errp) ? d : NULL;
}
