/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * apic-bus.c - messages to local APICs: interprocessor interrupts, the I/O
 * APIC, MSI (Intel SDM volume 3, "Determining IPI Destination", "Message
 * Signalled Interrupts").
 *
 * Thread class: machine lock; apic_msi_any: any thread.
 *
 * Invariants:
 * 1. A lowest-priority message reaches exactly one of the APICs addressed that
 *    are switched on, or none when there is none.
 */
#include <glib.h>
#include "hw/pc/apic.h"

static unsigned turn;                  /* tie-break of lowest priority        */

static bool logical_match(const X86Apic *s, uint32_t dest)
{
    if (apic_is_x2(s)) {
        return s->ldr >> 16 == dest >> 16 && s->ldr & dest & 0xffff;
    }
    if (s->dfr >> 28 == 0xf) {         /* flat                                */
        return s->ldr >> 24 & dest & 0xff;
    }
    if (s->dfr >> 28 == 0) {           /* cluster                             */
        return s->ldr >> 28 == (dest >> 4 & 0xf) && s->ldr >> 24 & dest & 0xf;
    }
    return false;
}

static bool addressed(const X86Apic *s, const ApicMessage *m)
{
    if (!(s->base & BASE_ENABLE)) {
        return false;
    }
    if (m->dest == DEST_ALL) {
        return true;
    }
    if (m->logical) {
        return logical_match(s, m->dest);
    }
    return m->dest == (apic_is_x2(s) ? s->initial_id : s->id);
}

static MACHINE_CALL void deliver_one(X86Apic *s, const ApicMessage *m)
{
    Cpu *cpu = &s->cpu->cpu;

    switch (m->delivery) {
    case DM_SMI:
        cpu_interrupt(cpu, CPU_INT_SMI);
        break;
    case DM_NMI:
        cpu_interrupt(cpu, CPU_INT_NMI);
        break;
    case DM_INIT:
        cpu_interrupt(cpu, CPU_INT_INIT);
        break;
    case DM_SIPI:
        /* Heard by a processor that waits for it, or that an INIT under way
         * will make wait. */
        if (s->wait_sipi ||
            __atomic_load_n(&cpu->interrupt, __ATOMIC_SEQ_CST) &
            CPU_INT_INIT) {
            s->sipi_vector = m->vector;
            cpu_interrupt(cpu, CPU_INT_SIPI);
        }
        break;
    case DM_RESERVED:
        break;
    default:
        apic_accept(s, m->vector, m->level);
        break;
    }
}

static bool has_vector(const X86Apic *s, uint8_t v)
{
    return (s->irr[v >> 5] | s->isr[v >> 5]) >> (v & 31) & 1;
}

static MACHINE_CALL void deliver_lowest(const ApicMessage *m)
{
    X86Apic *best = NULL;
    unsigned n = 0, best_n = 0, count = 0;

    for (X86Apic *s = apics; s; s = s->next) {
        count++;
    }
    /* From the one after the last served, so that equals take turns. */
    for (X86Apic *s = apics; s; s = s->next, n++) {
        unsigned away = (n + count - turn % count) % count;

        if (!addressed(s, m) || !apic_is_on(s)) {
            continue;
        }
        if (!(s->svr & SVR_NO_FOCUS) && has_vector(s, m->vector)) {
            best = s;                  /* focus processor                     */
            best_n = n;
            break;
        }
        if (!best || apic_arbitration(s) < apic_arbitration(best) ||
            (apic_arbitration(s) == apic_arbitration(best) &&
             away < (best_n + count - turn % count) % count)) {
            best = s;
            best_n = n;
        }
    }
    if (best) {
        turn = best_n + 1;
        apic_accept(best, m->vector, m->level);
    }
}

void apic_route(const ApicMessage *m, X86Apic *except)
{
    TRACE(apic_deliver, "dest 0x%x %s delivery %u vector 0x%02x level %d",
          m->dest, m->logical ? "logical" : "physical", m->delivery, m->vector,
          m->level);
    if (m->delivery == DM_LOWEST) {
        deliver_lowest(m);
        return;
    }
    for (X86Apic *s = apics; s; s = s->next) {
        if (s != except && addressed(s, m)) {
            deliver_one(s, m);
        }
    }
}

void apic_send_ipi(X86Apic *s)
{
    uint32_t icr = s->icr;
    unsigned shorthand = icr >> 18 & 3;
    ApicMessage m = {
        .dest = apic_is_x2(s) ? s->icr_dest : s->icr_dest >> 24,
        .logical = icr >> 11 & 1, .delivery = LVT_MODE(icr),
        .vector = icr, .level = icr >> 15 & 1,
    };

    if (m.delivery == DM_INIT && !(icr & 1 << 14) && icr & 1 << 15) {
        return;                        /* INIT deassert: arbitration ids only */
    }
    if (m.delivery == DM_EXTINT || m.delivery == DM_RESERVED) {
        return;
    }
    if ((m.delivery == DM_FIXED || m.delivery == DM_LOWEST) && m.vector < 16) {
        apic_error(s, ESR_SEND_ILLEGAL);
        return;
    }
    /* Fixed IPIs are edges whatever the bit says. */
    m.level = false;
    if (shorthand) {
        m.dest = DEST_ALL;
        m.logical = false;
    } else if (!apic_is_x2(s) && m.dest == 0xff) {
        m.dest = DEST_ALL;
    }
    if (shorthand == 1) {
        if (m.delivery != DM_INIT && m.delivery != DM_SIPI) {
            deliver_one(s, &m);
        }
        return;
    }
    apic_route(&m, shorthand == 3 ? s : NULL);
}

void apic_deliver(uint32_t dest, uint8_t dest_mode, uint8_t delivery,
                  uint8_t vector, bool level)
{
    apic_route(&(ApicMessage){
        .dest = dest == 0xff ? DEST_ALL : dest, .logical = dest_mode,
        .delivery = delivery & 7, .vector = vector, .level = level }, NULL);
}

void apic_deliver_msi(MsiMessage m)
{
    /* The upper half of the address extends the destination beyond 8 bits. */
    uint32_t dest = (m.addr >> 12 & 0xff) | (m.addr >> 40 & 0xffffff) << 8;

    apic_deliver(dest, m.addr >> 2 & 1, m.data >> 8 & 7, m.data,
                 m.data >> 15 & 1);
}

typedef struct LateMsi {
    MsiMessage m;
} LateMsi;

static void late_msi(void *arg)
{
    LateMsi *l = arg;

    machine_assert_locked();
    apic_deliver_msi(l->m);
    g_free(l);
}

void apic_msi_any(MsiMessage m)
{
    LateMsi *l;

    if (machine_locked()) {
        machine_assert_locked();
        apic_deliver_msi(m);
        return;
    }
    l = g_new(LateMsi, 1);
    l->m = m;
    loop_post_fn(loop_main, late_msi, l);
}
