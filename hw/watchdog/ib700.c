/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ib700.c - the watchdog of iBASE's IB700 board: a write to port 0x443 starts it
 * with one of sixteen times, 30 seconds down to none in steps of two; a write to
 * port 0x441 stops it (IB700 user's manual, "Watchdog timer").
 *
 * Thread class: machine lock.
 */
#include "hw/watchdog/watchdog.h"
#include "isa.h"

#define PORT_STOP 0x441
#define PORT_START 0x443

typedef struct Ib700 {
    IsaDevice isa;
    MemRegion stop, start;
    Timer timer;
} Ib700;

static uint64_t ib700_read(void *dev, uint64_t off, unsigned size)
{
    return 0xff;
}

static void stop_write(void *dev, uint64_t off, uint64_t v, unsigned size)
{
    timer_clear(&((Ib700 *)dev)->timer);
}

static void start_write(void *dev, uint64_t off, uint64_t v, unsigned size)
{
    int64_t seconds = 30 - 2 * (int64_t)(v & 15);

    timer_set(&((Ib700 *)dev)->timer,
              clock_ns(CLOCK_VM) + seconds * NS_PER_S);
}

static const MemOps stop_ops = { .read = ib700_read, .write = stop_write,
                                 .max = 1 };
static const MemOps start_ops = { .read = ib700_read, .write = start_write,
                                  .max = 1 };

static void ib700_expired(void *arg)
{
    machine_assert_locked();
    watchdog_fired();
}

static MACHINE_CALL bool ib700_realize(Device *dev, Error **errp)
{
    Ib700 *s = (Ib700 *)dev;

    timer_init(&s->timer, NULL, CLOCK_VM, ib700_expired, s);
    mem_init_io(&s->stop, "ib700-stop", 1, &stop_ops, s);
    isa_map(&s->isa, &s->stop, PORT_STOP);
    mem_init_io(&s->start, "ib700-start", 1, &start_ops, s);
    isa_map(&s->isa, &s->start, PORT_START);
    return true;
}

static MACHINE_CALL void ib700_unrealize(Device *dev)
{
    Ib700 *s = (Ib700 *)dev;

    timer_clear(&s->timer);
    isa_unmap(&s->isa, &s->start);
    isa_unmap(&s->isa, &s->stop);
}

static MACHINE_CALL void ib700_reset(Device *dev, ResetKind kind)
{
    timer_clear(&((Ib700 *)dev)->timer);
}

static const VmState ib700_state = {
    .name = "ib700_wdt", .version = 1, .oldest = 1,
    .fields = (const VmField[]){ VM_TIMER(Ib700, timer), VM_END },
};

DEVICE(ib700, {
    .name = "ib700", .category = "watchdog", .on = &bus_isa,
    .desc = "iBASE 700",
    .doc = "A watchdog at ports 0x441 and 0x443, of at most 30 seconds. What "
           "it does when it fires is the choice of -action watchdog=.",
    .size = sizeof(Ib700), .vmstate = &ib700_state,
    .realize = ib700_realize, .unrealize = ib700_unrealize,
    .reset = ib700_reset,
});
