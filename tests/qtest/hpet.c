/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The HPET: counter, comparators, legacy replacement, FSB delivery. */
#include <stdlib.h>
#include "tests/libqtest.h"
#include "tests/tern-test.h"

#define BASE 0xfed00000
#define CONFIG (BASE + 0x10)
#define STATUS (BASE + 0x20)
#define COUNTER (BASE + 0xf0)
#define TIMER(n) (BASE + 0x100 + 0x20 * (n))
#define COMPARE(n) (TIMER(n) + 8)
#define FSB(n) (TIMER(n) + 0x10)
#define CHIP "/machine/i440fx/ioapic"

/* Pin 2 of the I/O APIC as seen through irq_intercept_in. */
static QTest *start(const char *more)
{
    QTest *q = qtest_start("-machine pc -nodefaults -m 16 %s", more);

    if (!qtest_has_clock(q)) {
        qtest_quit(q);
        SKIP("the clock runs freely");
    }
    qtest_irq_intercept_in(q, CHIP);
    qtest_outb(q, 0x43, 0x30);         /* the 8254 is on pin 2 as well        */
    return q;
}

TEST(registers)
{
    QTest *q = start("");

    CHECK_EQ(qtest_readl(q, BASE), 0x8086a201u);
    CHECK_EQ(qtest_readl(q, BASE + 4), 10000000u);
    CHECK_EQ(qtest_readq(q, BASE), 0x009896808086a201ull);
    CHECK_EQ(qtest_readl(q, CONFIG), 0u);
    for (unsigned n = 0; n < 3; n++) {
        CHECK_EQ(qtest_readl(q, TIMER(n)), 0x30u);
        CHECK_EQ(qtest_readl(q, TIMER(n) + 4), 4u);
        CHECK_EQ(qtest_readq(q, COMPARE(n)), UINT64_MAX);
    }
    CHECK_EQ(qtest_readl(q, TIMER(3)), 0u);
    qtest_writel(q, TIMER(0), 0xffffffff);         /* no FSB, caps stay       */
    CHECK_EQ(qtest_readl(q, TIMER(0)), 0x3f7eu);
    qtest_quit(q);
}

TEST(counter)
{
    QTest *q = start("");

    qtest_clock_step(q, 1000);
    CHECK_EQ(qtest_readq(q, COUNTER), 0u);
    qtest_writel(q, COUNTER, 500);
    qtest_writel(q, CONFIG, 1);
    qtest_clock_step(q, 10000);
    CHECK_EQ(qtest_readl(q, COUNTER), 1500u);
    qtest_writel(q, COUNTER, 9);       /* running: no                         */
    CHECK_EQ(qtest_readl(q, COUNTER), 1500u);
    qtest_writel(q, CONFIG, 0);
    qtest_clock_step(q, 10000);
    CHECK_EQ(qtest_readl(q, COUNTER), 1500u);
    qtest_writeq(q, COUNTER, 0x1ffffffffull);
    qtest_writel(q, CONFIG, 1);
    qtest_clock_step(q, 10);
    CHECK_EQ(qtest_readq(q, COUNTER), 0x200000000ull);
    qtest_quit(q);
}

TEST(one_shot)
{
    QTest *q = start("");

    qtest_writel(q, TIMER(1), 0x404);  /* enabled, route 2, edge              */
    qtest_writeq(q, COMPARE(1), 1000);
    qtest_writel(q, CONFIG, 1);
    qtest_clock_step(q, 9990);
    CHECK_EQ(qtest_irq_raised(q, 2), 0u);
    qtest_clock_step(q, 10);
    CHECK_EQ(qtest_irq_raised(q, 2), 1u);
    CHECK(!qtest_irq(q, 2));
    CHECK_EQ(qtest_readl(q, STATUS), 0u);
    qtest_clock_step(q, 1000000);
    CHECK_EQ(qtest_irq_raised(q, 2), 1u);
    qtest_writeq(q, COMPARE(1), qtest_readq(q, COUNTER) + 100);
    qtest_clock_step(q, 1000);
    CHECK_EQ(qtest_irq_raised(q, 2), 2u);
    /* A time that has passed is now, but not by enabling alone. */
    qtest_writeq(q, COMPARE(1), 5);
    qtest_clock_step(q, 1);
    CHECK_EQ(qtest_irq_raised(q, 2), 3u);
    qtest_writel(q, TIMER(1), 0x400);
    qtest_writel(q, TIMER(1), 0x404);
    qtest_clock_step(q, 1000);
    CHECK_EQ(qtest_irq_raised(q, 2), 3u);
    qtest_quit(q);
}

TEST(level)
{
    QTest *q = start("");

    qtest_writel(q, TIMER(0), 0x406);
    qtest_writeq(q, COMPARE(0), 1000);
    qtest_writel(q, CONFIG, 1);
    qtest_clock_step(q, 10000);
    CHECK(qtest_irq(q, 2));
    CHECK_EQ(qtest_readl(q, STATUS), 1u);
    qtest_writel(q, STATUS, 6);        /* others'                             */
    CHECK(qtest_irq(q, 2));
    qtest_writel(q, STATUS, 1);
    CHECK(!qtest_irq(q, 2));
    CHECK_EQ(qtest_readl(q, STATUS), 0u);
    /* Disabling the timer lets go as well. */
    qtest_writeq(q, COMPARE(0), qtest_readq(q, COUNTER) + 100);
    qtest_clock_step(q, 1000);
    CHECK(qtest_irq(q, 2));
    qtest_writel(q, TIMER(0), 0x402);
    CHECK(!qtest_irq(q, 2));
    qtest_quit(q);
}

TEST(periodic)
{
    QTest *q = start("");

    qtest_writel(q, TIMER(0), 0x54c);  /* periodic, value may be set          */
    qtest_writel(q, COMPARE(0), 20000);
    CHECK_EQ(qtest_readl(q, TIMER(0)) & 0x40, 0u);
    qtest_writel(q, COMPARE(0), 10000);            /* now the period          */
    CHECK_EQ(qtest_readl(q, COMPARE(0)), 20000u);
    qtest_writel(q, CONFIG, 1);
    qtest_clock_step(q, 200000);
    CHECK_EQ(qtest_irq_raised(q, 2), 1u);
    CHECK_EQ(qtest_readl(q, COMPARE(0)), 30000u);
    qtest_clock_step(q, 1000000);
    CHECK_EQ(qtest_irq_raised(q, 2), 11u);
    CHECK_EQ(qtest_readl(q, COMPARE(0)), 130000u);
    /* Only the first timer can in some chips; here all can. */
    qtest_writel(q, TIMER(2), 0x54c);
    qtest_writel(q, COMPARE(2), qtest_readl(q, COUNTER) + 5000);
    qtest_writel(q, COMPARE(2), 5000);
    qtest_writel(q, TIMER(0), 0);
    qtest_clock_step(q, 100000);
    CHECK_EQ(qtest_irq_raised(q, 2), 13u);
    qtest_quit(q);
}

TEST(thirty_two_bits)
{
    QTest *q = start("");

    qtest_writel(q, COUNTER, 0xfffffff0);
    qtest_writel(q, TIMER(0), 0x504);
    qtest_writel(q, COMPARE(0), 0x10);
    qtest_writel(q, CONFIG, 1);
    qtest_clock_step(q, 310);
    CHECK_EQ(qtest_irq_raised(q, 2), 0u);
    qtest_clock_step(q, 10);
    CHECK_EQ(qtest_irq_raised(q, 2), 1u);
    /* The low half comes by again. */
    qtest_clock_step(q, 42949672960 - 10);
    CHECK_EQ(qtest_irq_raised(q, 2), 1u);
    qtest_clock_step(q, 10);
    CHECK_EQ(qtest_irq_raised(q, 2), 2u);
    qtest_quit(q);
}

TEST(legacy_replacement)
{
    QTest *q = start("");
    unsigned n;

    /* The 8254 ticks on pin 2 until the HPET takes it. */
    qtest_outb(q, 0x43, 0x34);
    qtest_outb(q, 0x40, 0xa9);
    qtest_outb(q, 0x40, 0x04);         /* 1000 Hz                             */
    qtest_clock_step(q, 10000000);
    n = qtest_irq_raised(q, 2);
    CHECK_GE(n, 9u);
    qtest_writel(q, CONFIG, 3);
    qtest_clock_step(q, 10000000);
    CHECK_EQ(qtest_irq_raised(q, 2), n);
    qtest_writel(q, TIMER(0), 4);      /* routes do not count                 */
    qtest_writel(q, TIMER(1), 4);
    qtest_writeq(q, COMPARE(0), qtest_readq(q, COUNTER) + 100);
    qtest_writeq(q, COMPARE(1), qtest_readq(q, COUNTER) + 100);
    qtest_clock_step(q, 1000);
    CHECK_EQ(qtest_irq_raised(q, 2), n + 1);
    CHECK_EQ(qtest_irq_raised(q, 8), 1u);
    /* Back to the 8254. */
    qtest_writel(q, CONFIG, 1);
    n = qtest_irq_raised(q, 2);
    qtest_clock_step(q, 10000000);
    CHECK_GE(qtest_irq_raised(q, 2), n + 9);
    qtest_quit(q);
}

TEST(rtc_in_legacy_mode)
{
    QTest *q = start("-rtc clock=vm");
    unsigned n;

    qtest_outb(q, 0x70, 11);
    qtest_outb(q, 0x71, 0x12);         /* once a second                       */
    qtest_writel(q, CONFIG, 2);
    n = qtest_irq_raised(q, 8);
    qtest_clock_step(q, 2000000000);
    CHECK_EQ(qtest_irq_raised(q, 8), n);
    /* What stands unread comes through when the HPET leaves. */
    qtest_writel(q, CONFIG, 0);
    CHECK(qtest_irq(q, 8));
    qtest_outb(q, 0x70, 12);
    CHECK_EQ(qtest_inb(q, 0x71) & 0x90, 0x90);
    CHECK(!qtest_irq(q, 8));
    qtest_quit(q);
}

TEST(fsb)
{
    QTest *q = start("-global hpet.msi=on");

    qtest_writel(q, 0xfee000f0, 0x1ff);            /* local APIC on           */
    CHECK_EQ(qtest_readl(q, TIMER(0)), 0x8030u);
    qtest_writel(q, FSB(0), 0x61);
    qtest_writel(q, FSB(0) + 4, 0xfee00000);
    qtest_writel(q, TIMER(0), 0x4404);
    qtest_writeq(q, COMPARE(0), 100);
    qtest_writel(q, CONFIG, 1);
    qtest_clock_step(q, 1000);
    CHECK_EQ(qtest_irq_raised(q, 2), 0u);
    CHECK_EQ(qtest_readl(q, 0xfee00230), 2u);
    /* Anywhere else it is a write like any other. */
    qtest_writel(q, FSB(0) + 4, 0x1000);
    qtest_writeq(q, COMPARE(0), qtest_readq(q, COUNTER) + 100);
    qtest_clock_step(q, 1000);
    CHECK_EQ(qtest_readl(q, 0x1000), 0x61u);
    /* Even into its own registers. */
    qtest_writel(q, FSB(0), 0);
    qtest_writel(q, FSB(0) + 4, CONFIG);
    qtest_writeq(q, COMPARE(0), qtest_readq(q, COUNTER) + 100);
    qtest_clock_step(q, 1000);
    CHECK_EQ(qtest_readl(q, CONFIG), 0u);
    qtest_quit(q);
}

TEST(more_timers)
{
    QTest *q = start("-global hpet.timers=32");

    CHECK_EQ(qtest_readl(q, BASE), 0x8086bf01u);
    qtest_writel(q, TIMER(17), 0x404);
    qtest_writeq(q, COMPARE(17), 100);
    qtest_writel(q, CONFIG, 1);
    qtest_clock_step(q, 1000);
    CHECK_EQ(qtest_irq_raised(q, 2), 1u);
    qtest_quit(q);
    q = start("-global hpet.timers=200");
    CHECK_EQ(qtest_readl(q, BASE), 0x8086bf01u);
    qtest_quit(q);
    q = start("-no-hpet");
    CHECK_NE(qtest_readl(q, BASE), 0x8086a201u);
    qtest_quit(q);
}

TEST(shortest_period_does_not_flood)
{
    QTest *q = start("");

    qtest_writel(q, TIMER(0), 0x54c);
    qtest_writel(q, COMPARE(0), 1);
    qtest_writel(q, COMPARE(0), 1);
    qtest_writel(q, CONFIG, 1);
    qtest_clock_step(q, 10000000);
    CHECK_LE(qtest_irq_raised(q, 2), 510u);
    CHECK_GE(qtest_irq_raised(q, 2), 100u);
    qtest_quit(q);
}
