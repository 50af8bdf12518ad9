/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * isa-debug-exit.c - a port for test guests: writing v ends the program with
 * status v * 2 + 1, so never with success.
 *
 * Thread class: MACHINE_CALL.
 */
#include "cpu.h"
#include "isa.h"
#include "settings.h"

typedef struct DebugExit {
    IsaDevice isa;
    MemRegion mr;
    uint32_t iobase, iosize;           /* properties                          */
} DebugExit;

static uint64_t exit_read(void *dev, uint64_t off, unsigned size)
{
    return 0;
}

static void exit_write(void *dev, uint64_t off, uint64_t v, unsigned size)
{
    machine_assert_locked();
    exit_status = (v << 1 | 1) & 0xff;
    /* The guest sees nothing of what comes after its write. */
    cpu_stop_self();
    loop_quit();
}

static const MemOps exit_ops = {
    .read = exit_read, .write = exit_write, .min = 1, .max = 4,
};

static MACHINE_CALL bool exit_realize(Device *dev, Error **errp)
{
    DebugExit *s = (DebugExit *)dev;

    if (!s->iosize || s->iobase > 0xffff || s->iosize > 0x10000 - s->iobase) {
        return error_set(errp, "isa-debug-exit: iobase 0x%x with iosize 0x%x "
                         "is not within ports 0 to 0xffff", s->iobase,
                         s->iosize);
    }
    mem_init_io(&s->mr, "isa-debug-exit", s->iosize, &exit_ops, s);
    isa_map(&s->isa, &s->mr, s->iobase);
    return true;
}

static MACHINE_CALL void exit_unrealize(Device *dev)
{
    DebugExit *s = (DebugExit *)dev;

    isa_unmap(&s->isa, &s->mr);
}

static void exit_reset(Device *dev, ResetKind kind)
{
}

static const Prop exit_props[] = {
    PROP_U32("iobase", DebugExit, iobase, 0x501, .desc = "first port"),
    PROP_U32("iosize", DebugExit, iosize, 2, .desc = "number of ports"),
    PROP_END
};

DEVICE(isa_debug_exit, {
    .name = "isa-debug-exit", .category = "misc", .on = &bus_isa,
    .desc = "ends the program from inside a guest",
    .doc = "A guest's write of v to its ports ends the program with status "
           "v * 2 + 1. For guests that are tests.",
    .size = sizeof(DebugExit),
    .props = exit_props, .vmstate = &vm_none,
    .realize = exit_realize, .unrealize = exit_unrealize,
    .reset = exit_reset,
});
