/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * port92.c - system control port A of the PS/2 (IBM PS/2 Hardware Interface
 * Technical Reference, "System Control Port A"), and the A20 gate that it and
 * the keyboard controller drive.
 *
 * Thread class: machine lock; pc_a20: any thread.
 *
 * Invariants:
 * 1. The gate follows whichever source was driven last: software that uses one
 *    of the two need not know the other.
 */
#include <glib.h>
#include "pc.h"

#define RESET_BIT 1

typedef struct Port92 {
    IsaDevice isa;
    MemRegion io;
    IrqLine a20;
    uint8_t out;
    uint8_t gate;                      /* of A20, for saved state             */
} Port92;

/* ---- the gate ----------------------------------------------------------- */

static bool a20_on = true;             /* atomic                              */

bool pc_a20(void)
{
    return __atomic_load_n(&a20_on, __ATOMIC_SEQ_CST);
}

void pc_a20_set(int source, bool on)
{
    TRACE(pc_a20, "source %d on %d", source, on);
    if (on == pc_a20()) {
        return;
    }
    __atomic_store_n(&a20_on, on, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < cpu_count; i++) {
        cpu_interrupt(cpus[i], CPU_INT_A20);
    }
}

static void a20_line(void *to, int n, int level)
{
    machine_assert_locked();
    pc_a20_set(n, level);
}

IrqLine pc_a20_line(int source)
{
    return irq_line(a20_line, NULL, source);
}

/* ---- the port ----------------------------------------------------------- */

static uint64_t port92_read(void *dev, uint64_t off, unsigned size)
{
    return ((Port92 *)dev)->out;
}

static void port92_write(void *dev, uint64_t off, uint64_t v, unsigned size)
{
    Port92 *s = dev;
    uint8_t old = s->out;

    s->out = v;
    irq_set(&s->a20, v >> 1 & 1);
    if (v & RESET_BIT && !(old & RESET_BIT)) {
        request_reset(WHY_GUEST_RESET);
    }
}

static const MemOps port92_ops = {
    .read = port92_read, .write = port92_write, .max = 1,
};

static MACHINE_CALL bool port92_realize(Device *dev, Error **errp)
{
    Port92 *s = (Port92 *)dev;

    mem_init_io(&s->io, "port92", 1, &port92_ops, s);
    isa_map(&s->isa, &s->io, 0x92);
    device_gpio_out(dev, "a20", &s->a20, 1);
    return true;
}

static MACHINE_CALL void port92_unrealize(Device *dev)
{
    Port92 *s = (Port92 *)dev;

    isa_unmap(&s->isa, &s->io);
}

static MACHINE_CALL void port92_reset(Device *dev, ResetKind kind)
{
    Port92 *s = (Port92 *)dev;

    s->out &= ~RESET_BIT;
    /* A processor comes out of reset with the gate open. */
    pc_a20_set(1, true);
}

static void port92_before_save(void *opaque)
{
    Port92 *s = opaque;

    s->gate = pc_a20();
}

static bool port92_after_load(void *opaque, int version, Error **errp)
{
    Port92 *s = opaque;

    machine_assert_locked();
    pc_a20_set(1, s->gate != 0);
    return true;
}

static const VmState port92_state = {
    .name = "port92", .version = 1, .oldest = 1,
    .before_save = port92_before_save, .after_load = port92_after_load,
    .fields = (const VmField[]){ VM_U8(Port92, out), VM_U8(Port92, gate), VM_END },
};

DEVICE(port92, {
    .name = "port92", .category = "misc", .on = &bus_isa,
    .flags = DT_INTERNAL | DT_NO_HOTPLUG,
    .desc = "System control port A",
    .doc = "Port 0x92: the A20 gate and a fast reset.",
    .size = sizeof(Port92), .vmstate = &port92_state,
    .realize = port92_realize, .unrealize = port92_unrealize,
    .reset = port92_reset,
});

bool port92_create(IsaBus *isa, Error **errp)
{
    Device *d = device_make("port92");

    if (!device_realize(d, &isa->bus, errp)) {
        device_free(d);
        return false;
    }
    device_gpio_connect(d, "a20", 0, pc_a20_line(1));
    return true;
}
