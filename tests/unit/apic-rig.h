/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * apic-rig.h - a board of six vCPUs without an engine, for the unit tests of its
 * interrupt controllers: each access is made as if by the vCPU named.
 */
#ifndef TESTS_UNIT_APIC_RIG_H
#define TESTS_UNIT_APIC_RIG_H

#include "hw/pc/apic.h"
#include "tests/board-start.h"

/* Each program uses a part of this. */
#pragma GCC diagnostic ignored "-Wunused-function"


#define CPUS 6
#define ID 0x020
#define TPR 0x080
#define APR 0x090
#define PPR 0x0a0
#define EOI 0x0b0
#define LDR 0x0d0
#define DFR 0x0e0
#define SVR 0x0f0
#define ISR 0x100
#define TMR 0x180
#define IRR 0x200
#define ESR 0x280
#define ICR 0x300
#define ICR2 0x310
#define LVTT 0x320
#define LINT0 0x350
#define LINT1 0x360
#define LVTERR 0x370
#define TICR 0x380
#define TCCR 0x390
#define TDCR 0x3e0

/* The lock stays held: one thread, one test after the other. */
static void board(void) TSA(assert_capability(machine_domain));
static NO_TSA void board(void)
{
    static const char *argv[] = {
        "tern", "-accel", "qtest", "-machine", "pc", "-m", "16", "-smp", "6",
        "-nodefaults", "-display", "none", "-cpu", "max", NULL,
    };

    board_start(ARRAY_SIZE(argv) - 1, argv);
    cpu_current = NULL;
    devices_reset(RESET_COLD);
}

static uint32_t rd(unsigned cpu, unsigned reg)
{
    uint64_t v = 0;

    cpu_current = cpus[cpu];
    mem_load(&mem_system, PC_LAPIC_ADDR + reg, 4, &v, MEM_ATTRS_NONE);
    cpu_current = NULL;
    return v;
}

static void wr(unsigned cpu, unsigned reg, uint32_t v)
{
    cpu_current = cpus[cpu];
    mem_store(&mem_system, PC_LAPIC_ADDR + reg, 4, v, MEM_ATTRS_NONE);
    cpu_current = NULL;
}

static X86Cpu *cpu(unsigned i)
{
    return x86_cpu(cpus[i]);
}

static bool asked(unsigned i, unsigned mask)
{
    return (cpus[i]->interrupt & mask) != 0;
}

static bool waits(unsigned i, uint8_t vector)
{
    return rd(i, IRR + vector / 32 * 16) >> vector % 32 & 1;
}

static NO_TSA int ack(unsigned i)
{
    return apic_ack(cpu(i));
}

static NO_TSA void attend(unsigned i)
{
    apic_attend(cpu(i));
}

/* All on, out of wait-for-SIPI, logical id 1 << n. */
static void all_on(void) TSA(assert_capability(machine_domain));
static NO_TSA void all_on(void)
{
    board();
    for (unsigned i = 0; i < CPUS; i++) {
        apic_sipi(cpu(i), 0x10);
        wr(i, SVR, 0x1ff);
        wr(i, LDR, 1u << (24 + i));
        wr(i, LINT0, 0x10000);
    }
}

static void ipi(unsigned from, uint32_t dest, uint32_t icr)
{
    wr(from, ICR2, dest << 24);
    wr(from, ICR, icr);
}

static NO_TSA void out(uint16_t port, uint8_t v)
{
    mem_store(&mem_io, port, 1, v, MEM_ATTRS_NONE);
}

/* The 8259 pair, vectors 8 and 70. */
static NO_TSA void pics_on(uint8_t mask)
{
    for (unsigned i = 0; i < 2; i++) {
        uint16_t port = i ? 0xa0 : 0x20;
        const uint8_t icw[] = { 0x11, i ? 0x70 : 0x08, i ? 2 : 4, 1, mask };

        for (unsigned n = 0; n < sizeof(icw); n++) {
            out(port + !!n, icw[n]);
        }
    }
}

static NO_TSA void entry(unsigned pin, uint32_t low, uint32_t high)
{
    const uint32_t v[2] = { low, high };

    for (int i = 1; i >= 0; i--) {
        mem_store(&mem_system, PC_IOAPIC_ADDR, 4, 0x10 + pin * 2 + i,
                  MEM_ATTRS_NONE);
        mem_store(&mem_system, PC_IOAPIC_ADDR + 0x10, 4, v[i],
                  MEM_ATTRS_NONE);
    }
}

static NO_TSA void step(int64_t ns)
{
    clock_vm_step(clock_ns(CLOCK_VM) + ns);
}

/* Without looking at timers. */
static NO_TSA void set_time(int64_t later)
{
    clock_vm_set(clock_ns(CLOCK_VM) + later);
}

#endif
