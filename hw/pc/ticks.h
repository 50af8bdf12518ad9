/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ticks.h - the periodic interrupt 0 of the interval timers, so that a guest
 * whose processor was kept from running still counts every tick. MACHINE_CALL.
 */
#ifndef TERN_HW_PC_TICKS_H
#define TERN_HW_PC_TICKS_H

#include "irq.h"

/* Where the ticks come from: pulse makes one edge on interrupt 0. */
typedef struct TickSource {
    void (*pulse)(void *arg) MACHINE_PTR;
    void *arg;
    uint32_t lost;                     /* still owed to the guest             */
} TickSource;

/* n > 0 periods have ended. An edge is made; those that it does not stand for,
 * with one that waited before, are owed, up to an hour's at 18.2 Hz. */
void ticks_add(TickSource *s, uint64_t n) MACHINE_CALL;
/* The guest has set the source anew, or it has gone: nothing is owed. */
void ticks_forget(TickSource *s) MACHINE_CALL;
/* A vCPU has taken interrupt 0: the next that is owed follows at once. */
void ticks_taken(void) MACHINE_CALL;

/* Whether an edge of interrupt 0 waits, by way of the PIC or the IOAPIC, for a
 * vCPU that can take it. Local APICs in the kernel do not tell: false. */
bool pic_irq0_waits(void) MACHINE_CALL;
bool ioapic_irq0_waits(void) MACHINE_CALL;
/* A local APIC hands vector to its vCPU: is it the IOAPIC's interrupt 0? */
bool ioapic_irq0_is(int vector) MACHINE_CALL;
/* The processor that the PIC's INTR is wired to listens to it. */
bool apic_takes_intr(void) MACHINE_CALL;
/* A request of vector waits in a local APIC. */
bool apic_vector_waits(uint8_t vector) MACHINE_CALL;

#endif
