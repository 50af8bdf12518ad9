/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ticks.c - periodic ticks on interrupt 0 that outlive a late vCPU. An edge that
 * is made while the one before waits would be lost in the interrupt controller's
 * request bit, and kernels that count time by them (or test the timer by counting
 * a few) would go wrong on a busy host.
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. A tick is owed only while an edge waits at a controller from which a vCPU
 *    can take it, so that each is followed by ticks_taken().
 * 2. One source owes at a time: the PIT, or the HPET when it has the line.
 */
#include <glib.h>
#include "hw/pc/ticks.h"
#include "pc.h"

#define LOST_MAX 65536

static TickSource *owing;

static MACHINE_CALL bool irq0_waits(void)
{
    return pic_irq0_waits() || ioapic_irq0_waits();
}

void ticks_add(TickSource *s, uint64_t n)
{
    bool waited = irq0_waits();

    s->pulse(s->arg);
    n -= !waited;
    if (n && irq0_waits()) {
        s->lost = MIN2(s->lost + n, LOST_MAX);
        owing = s;
    }
}

void ticks_forget(TickSource *s)
{
    s->lost = 0;
    if (owing == s) {
        owing = NULL;
    }
}

void ticks_taken(void)
{
    TickSource *s = owing;

    if (!s || irq0_waits()) {
        return;
    }
    if (--s->lost == 0) {
        owing = NULL;
    }
    s->pulse(s->arg);
}
