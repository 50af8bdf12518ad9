/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * debugcon-isa.c - isa-debugcon: one port; what firmware and boot loaders write
 * to it appears, and a read tells that it is there.
 *
 * Thread class: machine lock.
 */
#include "chr.h"
#include "isa.h"

typedef struct DebugCon {
    IsaDevice isa;
    MemRegion io;
    CharFront front;
    uint32_t iobase, readback;
} DebugCon;

static uint64_t debugcon_read(void *dev, uint64_t off, unsigned size)
{
    return ((DebugCon *)dev)->readback;
}

static void debugcon_write(void *dev, uint64_t off, uint64_t val,
                           unsigned size)
{
    uint8_t c = val;

    chr_write_all(&((DebugCon *)dev)->front, &c, 1);
}

static const MemOps debugcon_ops = { .read = debugcon_read,
                                     .write = debugcon_write, .max = 1 };

static bool debugcon_realize(Device *dev, Error **errp)
{
    machine_assert_locked();
    DebugCon *d = (DebugCon *)dev;

    if (!d->front.port) {
        return error_set(errp, "Can't create debugcon device, empty char "
                         "device");
    }
    if (d->iobase > UINT16_MAX) {
        return error_set(errp, "iobase 0x%x is not an I/O port", d->iobase);
    }
    d->front.arg = d;
    chr_listen(&d->front, NULL);
    mem_init_io(&d->io, "isa-debugcon", 1, &debugcon_ops, d);
    isa_map(&d->isa, &d->io, d->iobase);
    return true;
}

static void debugcon_unrealize(Device *dev)
{
    machine_assert_locked();
    DebugCon *d = (DebugCon *)dev;

    isa_unmap(&d->isa, &d->io);
    chr_detach(&d->front);
}

static void debugcon_reset(Device *dev, ResetKind kind)
{
}

static const Prop debugcon_props[] = {
    PROP_U32("iobase", DebugCon, iobase, 0xe9, .desc = "the port"),
    PROP_CHR("chardev", DebugCon, front,
             .desc = "ID of a chardev to use as a backend"),
    PROP_U32("readback", DebugCon, readback, 0xe9,
             .desc = "what a read of the port gives"),
    PROP_END
};

DEVICE(isa_debugcon, {
    .name = "isa-debugcon", .category = "misc", .on = &bus_isa,
    .desc = "debug console port",
    .doc = "A port whose bytes go to a character device; SeaBIOS uses 0x402.",
    .size = sizeof(DebugCon), .props = debugcon_props, .vmstate = &vm_none,
    .realize = debugcon_realize, .unrealize = debugcon_unrealize,
    .reset = debugcon_reset,
});
