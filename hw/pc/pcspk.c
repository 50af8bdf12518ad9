/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pcspk.c - system control port B, 0x61: the gate and output of the interval
 * timer's channel 2, the speaker's enable bit and the refresh signal (IBM PC AT
 * Technical Reference, "System Board I/O").
 *
 * Thread class: machine lock.
 */
#include <glib.h>
#include "pc.h"
#include "ui.h"

#define REFRESH_NS 15085               /* of the toggle                       */
#define CHANNEL 2

typedef struct PcSpk {
    IsaDevice isa;
    MemRegion io;
    char *audiodev;
    uint32_t iobase;
    bool migrate;
    Device *pit;
    uint8_t on;
} PcSpk;

static MACHINE_CALL uint64_t pcspk_read(void *dev, uint64_t off, unsigned size)
{
    PcSpk *s = dev;
    int refresh = clock_ns(CLOCK_VM) / REFRESH_NS & 1;

    return pit_channel_gate_get(s->pit, CHANNEL) | s->on << 1 | refresh << 4 |
           pit_channel_out(s->pit, CHANNEL) << 5;
}

static MACHINE_CALL void pcspk_write(void *dev, uint64_t off, uint64_t v,
                                     unsigned size)
{
    PcSpk *s = dev;

    s->on = v >> 1 & 1;
    pit_channel_gate(s->pit, CHANNEL, v & 1);
}

static const MemOps pcspk_ops = {
    .read = pcspk_read, .write = pcspk_write, .max = 1,
};

static MACHINE_CALL bool pcspk_realize(Device *dev, Error **errp)
{
    PcSpk *s = (PcSpk *)dev;

    if (!s->pit) {
        return error_set(errp, "pcspk: No \"pit\" set or available");
    }
    mem_init_io(&s->io, "pcspk", 1, &pcspk_ops, s);
    isa_map(&s->isa, &s->io, s->iobase);
    return true;
}

static MACHINE_CALL void pcspk_unrealize(Device *dev)
{
    PcSpk *s = (PcSpk *)dev;

    isa_unmap(&s->isa, &s->io);
}

static void pcspk_reset(Device *dev, ResetKind kind)
{
    ((PcSpk *)dev)->on = 0;
}

static bool pcspk_after_load(void *opaque, int version, Error **errp)
{
    PcSpk *s = opaque;

    s->on &= 1;
    return true;
}

static const VmState pcspk_state = {
    .name = "pcspk", .version = 1, .oldest = 1, .after_load = pcspk_after_load,
    .fields = (const VmField[]){ VM_U8(PcSpk, on), VM_END },
};

static void *pit_claim(Obj *owner, const char *prop, const char *id,
                       Error **errp)
{
    machine_assert_locked();
    return device_claim(id, "pit-common", errp);
}

static const PropRef pit_ref = {
    .type = "link<pit-common>", .claim = pit_claim, .id = device_claimed_id,
};

static const Prop pcspk_props[] = {
    PROP_STR("audiodev", PcSpk, audiodev,
             .desc = "ID of an audiodev to use as a backend"),
    PROP_U32("iobase", PcSpk, iobase, 0x61, .desc = "port"),
    PROP_BOOL("migrate", PcSpk, migrate, true,
              .desc = "the port's state is saved"),
    PROP_REF("pit", PcSpk, pit, &pit_ref, .flags = PF_HIDDEN,
             .desc = "the interval timer whose channel 2 it gates"),
    PROP_END
};

DEVICE(pcspk, {
    .name = "isa-pcspk", .category = "sound", .on = &bus_isa,
    .flags = DT_INTERNAL | DT_NO_HOTPLUG,
    .desc = "PC speaker",
    .doc = "Port 0x61: the PC speaker and channel 2 of the interval timer.",
    .size = sizeof(PcSpk), .props = pcspk_props, .vmstate = &pcspk_state,
    .realize = pcspk_realize, .unrealize = pcspk_unrealize,
    .reset = pcspk_reset,
});

Device *pcspk_create(IsaBus *isa, Device *pit, Error **errp)
{
    Device *d = device_make("isa-pcspk");

    if (pc && pc->pcspk_audiodev && !audiodev_exists(pc->pcspk_audiodev)) {
        device_free(d);
        error_set(errp, "Property 'isa-pcspk.audiodev' can't find value '%s'",
                  pc->pcspk_audiodev);
        return NULL;
    }
    device_set_ref(d, "pit", pit);
    if (pc && pc->pcspk_audiodev &&
        !device_set(d, "audiodev", pc->pcspk_audiodev, errp)) {
        device_free(d);
        return NULL;
    }
    if (!device_realize(d, &isa->bus, errp)) {
        device_free(d);
        return NULL;
    }
    return d;
}
