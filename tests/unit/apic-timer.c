/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The local APIC's timer, and the ticks of interrupt 0 that a late vCPU gets. */
#include "tests/unit/apic-rig.h"

#define TICK (10 * NS_PER_MS)

/* Channel 0 of the PIT in mode 2. */
static NO_TSA void pit_ticks_on(void)
{
    out(0x43, 0x34);
    out(0x40, 11932 & 0xff);
    out(0x40, 11932 >> 8);
}

static NO_TSA void hpet_store(unsigned reg, uint64_t v)
{
    mem_store(&mem_system, PC_HPET_ADDR + reg, 8, v, MEM_ATTRS_NONE);
}

/* Timer 0 of the HPET in the PIT's place, periodic. */
static NO_TSA void hpet_ticks_on(void)
{
    hpet_store(0x10, 0);
    hpet_store(0xf0, 0);
    hpet_store(0x100, 0x4c);
    hpet_store(0x108, TICK / 10);
    hpet_store(0x10, 3);
}

static NO_TSA void eoi_apic(void)
{
    wr(0, EOI, 0);
}

static NO_TSA void eoi_pic(void)
{
    out(0x20, 0x20);
}

/* Periods that end before the vCPU takes interrupt 0 are told one by one; what is
 * set anew owes nothing. */
static NO_TSA void ticks_are_told(void (*on)(void), int vector,
                                  void (*eoi)(void))
{
    unsigned n = 0;

    on();
    if (x86_irq_ack(cpu(0)) >= 0) {    /* an output that rests high           */
        eoi();
    }
    set_time(4 * TICK + TICK / 2);     /* the loop is late                    */
    step(1);
    while (x86_irq_ack(cpu(0)) == vector && n < 100) {
        n++;
        CHECK_EQ(x86_irq_ack(cpu(0)), -1);
        eoi();
    }
    CHECK_EQ(n, 4u);
    step(TICK);
    step(TICK);                        /* the vCPU is late                    */
    for (n = 0; n < 2; n++) {
        CHECK_EQ(x86_irq_ack(cpu(0)), vector);
        eoi();
    }
    CHECK_EQ(x86_irq_ack(cpu(0)), -1);
    step(TICK);
    step(TICK);
    step(TICK);
    on();
    CHECK_EQ(x86_irq_ack(cpu(0)), vector);
    eoi();
    CHECK_EQ(x86_irq_ack(cpu(0)), -1);
}

TEST(ticks_of_a_late_vcpu)
{
    all_on();
    pics_on(0xff);
    entry(2, 0x58, 0);
    ticks_are_told(pit_ticks_on, 0x58, eoi_apic);
    ticks_are_told(hpet_ticks_on, 0x58, eoi_apic);
    /* Nobody listens: nothing is owed when somebody does. */
    entry(2, 0x10058, 0);
    for (int i = 0; i < 5; i++) {
        step(TICK);
    }
    entry(2, 0x58, 0);
    CHECK_EQ(x86_irq_ack(cpu(0)), -1);

    board();
    pics_on(0xfe);
    ticks_are_told(pit_ticks_on, 8, eoi_pic);
    ticks_are_told(hpet_ticks_on, 8, eoi_pic);
}

TEST(timer)
{
    all_on();
    wr(1, TDCR, 0xb);                  /* divide by 1: 1 ns                   */
    wr(1, LVTT, 0x90);
    wr(1, TICR, 1000);
    step(400);
    CHECK_EQ(rd(1, TCCR), 600u);
    CHECK_EQ(ack(1), -1);
    step(600);
    CHECK_EQ(rd(1, TCCR), 0u);
    CHECK_EQ(ack(1), 0x90);
    wr(1, EOI, 0);
    step(5000);
    CHECK_EQ(ack(1), -1);
    /* Periodic, by 16. */
    wr(1, TDCR, 0x3);
    wr(1, LVTT, 0x20091);
    wr(1, TICR, 10000);
    step(160000);
    CHECK_EQ(ack(1), 0x91);
    wr(1, EOI, 0);
    CHECK_EQ(rd(1, TCCR), 10000u);
    step(80000);
    CHECK_EQ(rd(1, TCCR), 5000u);
    step(80000);
    CHECK_EQ(ack(1), 0x91);
    wr(1, EOI, 0);
    /* Another divisor: the count goes on, four times as fast. */
    step(80000);
    wr(1, TDCR, 0x1);
    CHECK_EQ(rd(1, TCCR), 5000u);
    step(20000);
    CHECK_EQ(ack(1), 0x91);
    wr(1, EOI, 0);
    /* Masked it counts in silence. */
    wr(1, LVTT, 0x30091);
    step(1000000);
    CHECK_EQ(ack(1), -1);
    wr(1, TICR, 0);
    CHECK_EQ(rd(1, TCCR), 0u);
}

/* The count has ended, the loop has not been able to tell yet: what the guest
 * then changes does not lose the interrupt. */
TEST(timer_that_is_late)
{
    all_on();
    wr(1, TDCR, 0xb);
    wr(1, LVTT, 0x90);
    wr(1, TICR, 1000);
    set_time(5000);
    wr(1, LVTT, 0x92);
    step(1);
    CHECK_EQ(ack(1), 0x92);
    wr(1, EOI, 0);
    wr(1, LVTT, 0x93);                 /* but there is no second one          */
    step(1);
    CHECK_EQ(ack(1), -1);
}

TEST(timer_of_a_nanosecond)
{
    int64_t t0;
    unsigned n = 0;

    all_on();
    wr(1, TDCR, 0xb);
    wr(1, LVTT, 0x20091);
    wr(1, TICR, 1);
    t0 = clock_ns(CLOCK_VM);
    while (clock_ns(CLOCK_VM) < t0 + NS_PER_MS && n < 100000) {
        clock_vm_step(-1);
        n++;
    }
    CHECK_LE(n, 60u);
    wr(1, TICR, 0);
}

TEST(timer_deadline)
{
    uint64_t now;

    all_on();
    if (!x86_tsc_hz()) {
        SKIP("no time stamp counter without an engine");
    }
    wr(1, LVTT, 0x40093);
    wr(1, TICR, 1000);                 /* not in this mode                    */
    CHECK_EQ(rd(1, TICR), 0u);
    now = x86_tsc(cpu(1));
    apic_tsc_deadline_set(cpu(1), now + x86_tsc_hz() / 1000);
    CHECK_EQ(apic_tsc_deadline_get(cpu(1)), now + x86_tsc_hz() / 1000);
    step(NS_PER_MS / 2);
    CHECK_EQ(ack(1), -1);
    step(NS_PER_MS);
    CHECK_EQ(ack(1), 0x93);
    CHECK_EQ(apic_tsc_deadline_get(cpu(1)), 0u);
    wr(1, EOI, 0);
    apic_tsc_deadline_set(cpu(1), 1);  /* passed                              */
    CHECK_EQ(ack(1), 0x93);
    wr(1, EOI, 0);
    apic_tsc_deadline_set(cpu(1), UINT64_MAX);
    wr(1, LVTT, 0x93);
    CHECK_EQ(apic_tsc_deadline_get(cpu(1)), 0u);
}
