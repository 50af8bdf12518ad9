/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ferr.c - the x87 error line of the PC/AT: with CR0.NE clear an unmasked
 * exception raises IRQ 13 instead of #MF; a write to port 0xf0 lowers the
 * line and lets the processor go on (Intel SDM vol. 1, D.2).
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. ferr_ignored only while the processor reports an error: IGNNE# is its
 *    answer to this one, not to the next.
 */
#include "pc-board.h"

static MemRegion ferr_io;
static IrqLine ferr_irq;
static bool ferr_ignored;

bool pc_ferr(bool error)
{
    machine_assert_locked();
    if (!error) {
        ferr_ignored = false;
    }
    irq_set(&ferr_irq, error && !ferr_ignored);
    return ferr_ignored;
}

bool pc_ferr_ignored(void)
{
    machine_assert_locked();
    return ferr_ignored;
}

void pc_ferr_ignore(bool ignored)
{
    machine_assert_locked();
    ferr_ignored = ignored;
}

static uint64_t ferr_read(void *dev, uint64_t off, unsigned size)
{
    return ~0ull;
}

static void ferr_write(void *dev, uint64_t off, uint64_t v, unsigned size)
{
    ferr_ignored = true;
    irq_set(&ferr_irq, 0);
}

static const MemOps ferr_ops = {
    .read = ferr_read, .write = ferr_write, .max = 1,
};

void pc_ferr_create(Pc *p)
{
    ferr_irq = p->gsi[13];
    mem_init_io(&ferr_io, "ioportF0", 1, &ferr_ops, NULL);
    mem_add(mem_io.root, 0xf0, &ferr_io);
}
