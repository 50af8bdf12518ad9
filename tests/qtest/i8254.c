/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The 8254: counts, modes, latches, gates, and channel 0's interrupt. */
#include <stdlib.h>
#include "tests/libqtest.h"
#include "tests/tern-test.h"

#define HZ 1193182ll

static QTest *start(void)
{
    QTest *q = qtest_start("-machine pc -nodefaults -m 16");
    char *path;

    if (!qtest_has_clock(q)) {
        qtest_quit(q);
        SKIP("the clock runs freely");
    }
    path = qtest_path(q, "isa-pit", 0);
    qtest_irq_intercept_out(q, path);
    free(path);
    return q;
}

/* Moves on by n ticks and a half. */
static void ticks(QTest *q, int64_t n)
{
    qtest_clock_step(q, (2 * n + 1) * 1000000000 / (2 * HZ));
}

static void program(QTest *q, unsigned ch, unsigned mode, unsigned count)
{
    qtest_outb(q, 0x43, ch << 6 | 0x30 | mode << 1);
    qtest_outb(q, 0x40 + ch, count);
    qtest_outb(q, 0x40 + ch, count >> 8);
}

static unsigned count(QTest *q, unsigned ch)
{
    unsigned v;

    qtest_outb(q, 0x43, ch << 6);
    v = qtest_inb(q, 0x40 + ch);
    return v | qtest_inb(q, 0x40 + ch) << 8;
}

static unsigned status(QTest *q, unsigned ch)
{
    qtest_outb(q, 0x43, 0xe0 | 2 << ch);
    return qtest_inb(q, 0x40 + ch);
}

TEST(reset_state)
{
    QTest *q = start();

    for (unsigned ch = 0; ch < 3; ch++) {
        CHECK_EQ(status(q, ch), 0x86u);
    }
    CHECK_EQ(qtest_inb(q, 0x43), 0);
    CHECK_EQ(qtest_inb(q, 0x61) & 0x2f, 0x20);
    qtest_quit(q);
}

TEST(mode_0_interrupt_on_terminal_count)
{
    QTest *q = start();
    unsigned n;

    program(q, 0, 0, 1000);
    CHECK(!qtest_irq(q, 0));
    CHECK_EQ(status(q, 0), 0x30u);
    ticks(q, 400);
    CHECK_EQ(count(q, 0), 600u);
    ticks(q, 500);
    CHECK(!qtest_irq(q, 0));
    ticks(q, 110);
    CHECK(qtest_irq(q, 0));
    CHECK_EQ(status(q, 0), 0xb0u);
    n = qtest_irq_raised(q, 0);
    ticks(q, 200000);                  /* once only, and counts on            */
    CHECK_EQ(qtest_irq_raised(q, 0), n);
    /* A new count takes the output down again. */
    qtest_outb(q, 0x40, 0);
    CHECK(!qtest_irq(q, 0));
    qtest_outb(q, 0x40, 1);
    ticks(q, 256);
    CHECK(qtest_irq(q, 0));
    qtest_quit(q);
}

TEST(mode_2_rate)
{
    QTest *q = start();
    unsigned n;

    program(q, 0, 2, 100);
    n = qtest_irq_raised(q, 0);
    ticks(q, 1000);
    CHECK_EQ(qtest_irq_raised(q, 0), n + 10);
    ticks(q, 50);
    CHECK_GT(count(q, 0), 0u);
    CHECK_LE(count(q, 0), 100u);
    /* Mode 6 is mode 2. */
    program(q, 0, 6, 0);
    CHECK_EQ(status(q, 0) & 0x0e, 0x04u);
    n = qtest_irq_raised(q, 0);
    ticks(q, 65537);
    CHECK_EQ(qtest_irq_raised(q, 0), n + 1);
    qtest_quit(q);
}

TEST(mode_3_square_wave)
{
    QTest *q = start();
    unsigned n;

    program(q, 0, 3, 1001);            /* high 501, low 500                   */
    CHECK(qtest_irq(q, 0));
    ticks(q, 499);
    CHECK(qtest_irq(q, 0));
    CHECK_EQ(count(q, 0), 1001 - 2 * 499u);
    ticks(q, 2);
    CHECK(!qtest_irq(q, 0));
    n = qtest_irq_raised(q, 0);
    ticks(q, 5000);
    CHECK_EQ(qtest_irq_raised(q, 0), n + 5);
    qtest_quit(q);
}

TEST(mode_4_strobe)
{
    QTest *q = start();

    program(q, 0, 4, 300);
    CHECK(qtest_irq(q, 0));
    ticks(q, 299);
    CHECK(qtest_irq(q, 0));
    CHECK_EQ(count(q, 0), 1u);
    ticks(q, 0);
    ticks(q, 0);
    CHECK(!qtest_irq(q, 0));
    ticks(q, 20);
    CHECK(qtest_irq(q, 0));
    qtest_quit(q);
}

TEST(latches_and_read_back)
{
    QTest *q = start();
    unsigned v;

    program(q, 1, 2, 5000);
    ticks(q, 1000);
    qtest_outb(q, 0x43, 0x40);
    ticks(q, 1000);
    qtest_outb(q, 0x43, 0x40);         /* the first latch stands              */
    v = qtest_inb(q, 0x41);
    v |= qtest_inb(q, 0x41) << 8;
    CHECK_EQ(v, 4000u);
    v = qtest_inb(q, 0x41);            /* unlatched                           */
    v |= qtest_inb(q, 0x41) << 8;
    CHECK_LE(v, 3000u);
    /* Status and count of all three in one command: status first. */
    qtest_outb(q, 0x43, 0xce);
    CHECK_EQ(qtest_inb(q, 0x41) & 0x3f, 0x34);
    v = qtest_inb(q, 0x41);
    v |= qtest_inb(q, 0x41) << 8;
    CHECK_LE(v, 3000u);
    /* High byte only. */
    qtest_outb(q, 0x43, 0x64);
    qtest_outb(q, 0x41, 0x12);
    CHECK_EQ(status(q, 1) & 0x3f, 0x24u);
    CHECK_EQ(qtest_inb(q, 0x41), 0x12);
    ticks(q, 10);
    CHECK_EQ(qtest_inb(q, 0x41), 0x11);
    qtest_quit(q);
}

TEST(bcd)
{
    QTest *q = start();

    qtest_outb(q, 0x43, 0x75);
    qtest_outb(q, 0x41, 0x00);
    qtest_outb(q, 0x41, 0x20);         /* two thousand                        */
    ticks(q, 500);
    CHECK_EQ(count(q, 1), 0x1500u);
    qtest_outb(q, 0x41, 0x00);
    qtest_outb(q, 0x41, 0x00);         /* ten thousand                        */
    ticks(q, 1);
    CHECK_EQ(count(q, 1), 0x9999u);
    qtest_quit(q);
}

TEST(gate_of_channel_2)
{
    QTest *q = start();

    qtest_outb(q, 0x61, 0x01);
    program(q, 2, 0, 1000);
    ticks(q, 300);
    CHECK_EQ(qtest_inb(q, 0x61) & 0x21, 0x01);
    qtest_outb(q, 0x61, 0x00);         /* stands still                        */
    ticks(q, 5000);
    CHECK_EQ(count(q, 2), 700u);
    CHECK_EQ(qtest_inb(q, 0x61) & 0x21, 0x00);
    qtest_outb(q, 0x61, 0x01);
    ticks(q, 690);
    CHECK_EQ(qtest_inb(q, 0x61) & 0x21, 0x01);
    ticks(q, 20);
    CHECK_EQ(qtest_inb(q, 0x61) & 0x21, 0x21);
    /* Mode 1 waits for a rising gate. */
    program(q, 2, 1, 100);
    ticks(q, 200);
    CHECK_EQ(qtest_inb(q, 0x61) & 0x20, 0x20);
    qtest_outb(q, 0x61, 0x00);
    qtest_outb(q, 0x61, 0x01);
    CHECK_EQ(qtest_inb(q, 0x61) & 0x20, 0x00);
    ticks(q, 99);
    CHECK_EQ(qtest_inb(q, 0x61) & 0x20, 0x00);
    ticks(q, 2);
    CHECK_EQ(qtest_inb(q, 0x61) & 0x20, 0x20);
    /* The speaker's bit is kept, the refresh signal toggles. */
    qtest_outb(q, 0x61, 0x02);
    CHECK_EQ(qtest_inb(q, 0x61) & 0x03, 0x02);
    qtest_quit(q);
}

TEST(refresh_toggles)
{
    QTest *q = start();
    unsigned changes = 0;
    int before = -1;

    for (int i = 0; i < 20; i++) {
        int now = qtest_inb(q, 0x61) & 0x10;

        changes += before >= 0 && now != before;
        before = now;
        qtest_clock_step(q, 15085);
    }
    CHECK_EQ(changes, 19u);
    qtest_quit(q);
}

TEST(fastest_rate_does_not_flood)
{
    QTest *q = start();
    unsigned n;

    program(q, 0, 2, 2);
    n = qtest_irq_raised(q, 0);
    qtest_clock_step(q, 10000000);
    CHECK_LE(qtest_irq_raised(q, 0) - n, 1001u);
    qtest_quit(q);
}
