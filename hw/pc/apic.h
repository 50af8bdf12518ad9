/* SPDX-License-Identifier: GPL-2.0-or-later */
/* apic.h - the software local APIC, private to apic*.c. MACHINE_CALL. */
#ifndef TERN_HW_PC_APIC_H
#define TERN_HW_PC_APIC_H

#include "pc.h"

enum { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR,
       LVT_COUNT };
#define LVT_MASKED (1u << 16)
#define LVT_LEVEL (1u << 15)
#define LVT_REMOTE_IRR (1u << 14)
#define LVT_PENDING (1u << 12)
#define LVT_MODE(l) ((l) >> 8 & 7)

enum { DM_FIXED, DM_LOWEST, DM_SMI, DM_RESERVED, DM_NMI, DM_INIT, DM_SIPI,
       DM_EXTINT };

#define SVR_ENABLE (1u << 8)
#define SVR_NO_FOCUS (1u << 9)

#define BASE_BSP (1ull << 8)
#define BASE_X2 (1ull << 10)
#define BASE_ENABLE (1ull << 11)

#define ESR_SEND_ILLEGAL (1u << 5)
#define ESR_RECEIVE_ILLEGAL (1u << 6)
#define ESR_REGISTER (1u << 7)

#define DEST_ALL UINT32_MAX            /* physical broadcast                  */

struct X86Apic {
    Device dev;
    X86Cpu *cpu;
    X86Apic *next;                     /* in order of creation                */
    uint32_t id;                       /* what the ID register shows          */
    uint32_t initial_id, vapic;
    uint8_t version;
    uint64_t base;                     /* IA32_APIC_BASE                      */
    uint8_t tpr, wait_sipi, sipi_vector, lint[2];
    uint32_t svr, ldr, dfr;
    uint32_t isr[8], tmr[8], irr[8];
    uint32_t lvt[LVT_COUNT];
    uint32_t esr, errors;              /* shown; gathered since then          */
    uint32_t icr, icr_dest;
    /* timer */
    uint32_t divide, initial_count;
    int64_t loaded;                    /* CLOCK_VM ns                         */
    uint64_t tsc_deadline;             /* 0: none                             */
    Timer timer;
};

extern X86Apic *apics;                 /* all of them                         */

static inline bool apic_is_x2(const X86Apic *s)
{
    return (s->base & (BASE_ENABLE | BASE_X2)) == (BASE_ENABLE | BASE_X2);
}
static inline bool apic_is_on(const X86Apic *s)
{
    return s->base & BASE_ENABLE && s->svr & SVR_ENABLE;
}

/* apic.c */
/* Accepts a fixed interrupt into IRR. */
void apic_accept(X86Apic *s, uint8_t vector, bool level) MACHINE_CALL;
void apic_error(X86Apic *s, uint32_t bit) MACHINE_CALL;
/* An event of LVT entry n. */
void apic_lvt_event(X86Apic *s, unsigned n) MACHINE_CALL;
/* Recomputes the vCPU's INTR. */
void apic_update(X86Apic *s) MACHINE_CALL;
/* Priority for arbitration: class of what is served or waits. */
uint8_t apic_arbitration(const X86Apic *s);

/* apic-regs.c: index is the register's offset / 16. false: no such register, or
 * (write) a value the mode refuses. */
bool apic_reg_read(X86Apic *s, unsigned index, uint32_t *v) MACHINE_CALL;
bool apic_reg_write(X86Apic *s, unsigned index, uint32_t v) MACHINE_CALL;
void apic_eoi(X86Apic *s) MACHINE_CALL;
bool apic_mmio_map(X86Apic *s) MACHINE_CALL;
void apic_mmio_unmap(X86Apic *s) MACHINE_CALL;

/* apic-bus.c */
typedef struct ApicMessage {
    uint32_t dest;
    bool logical, level;
    uint8_t delivery, vector;
} ApicMessage;
void apic_send_ipi(X86Apic *s) MACHINE_CALL;
/* To all that m addresses, but for `except`. */
void apic_route(const ApicMessage *m, X86Apic *except) MACHINE_CALL;
void apic_msi_any(MsiMessage m) ANY_THREAD;

/* apic-timer.c */
void apic_timer_init(X86Apic *s) MACHINE_CALL;
/* After a change of LVT, divisor, counts or deadline. */
void apic_timer_update(X86Apic *s) MACHINE_CALL;
void apic_timer_lvt(X86Apic *s, uint32_t old) MACHINE_CALL;
void apic_timer_divide(X86Apic *s, uint32_t v) MACHINE_CALL;
void apic_timer_load(X86Apic *s, uint32_t v) MACHINE_CALL;
uint32_t apic_timer_count(const X86Apic *s) MACHINE_CALL;

#endif
