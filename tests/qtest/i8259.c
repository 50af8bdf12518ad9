/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The pair of 8259A interrupt controllers: each mode of the data sheet, by
 * polls. */
#include <stdlib.h>
#include "tests/libqtest.h"
#include "tests/tern-test.h"

static char *master, *slave;

static void line(QTest *q, unsigned n, int level)
{
    qtest_set_irq_in(q, n < 8 ? master : slave, NULL, n & 7, level);
}

static void set_up(QTest *q, uint8_t icw4)
{
    for (unsigned i = 0; i < 2; i++) {
        uint16_t port = i ? 0xa0 : 0x20;

        qtest_outb(q, port, 0x11);
        qtest_outb(q, port + 1, i ? 0x70 : 0x08);
        qtest_outb(q, port + 1, i ? 2 : 4);
        qtest_outb(q, port + 1, icw4);
        qtest_outb(q, port + 1, 0);
    }
    for (unsigned n = 0; n < 16; n++) {
        if (n != 2) {
            line(q, n, 0);
        }
    }
}

static QTest *start(uint8_t icw4)
{
    QTest *q = qtest_start("-machine pc -nodefaults -m 16");

    master = qtest_path(q, "isa-i8259", 0);
    slave = qtest_path(q, "isa-i8259", 1);
    set_up(q, icw4);
    return q;
}

static void end(QTest *q)
{
    free(master);
    free(slave);
    qtest_quit(q);
}

static uint8_t poll(QTest *q, uint16_t port)
{
    qtest_outb(q, port, 0x0c);
    return qtest_inb(q, port);
}

static uint8_t irr(QTest *q, uint16_t port)
{
    qtest_outb(q, port, 0x0a);
    return qtest_inb(q, port);
}

static uint8_t isr(QTest *q, uint16_t port)
{
    qtest_outb(q, port, 0x0b);
    return qtest_inb(q, port);
}

TEST(fully_nested)
{
    QTest *q = start(1);

    CHECK_EQ(poll(q, 0x20), 0);
    line(q, 5, 1);
    line(q, 3, 1);
    CHECK_EQ(irr(q, 0x20), 0x28);
    CHECK_EQ(poll(q, 0x20), 0x83);
    CHECK_EQ(isr(q, 0x20), 0x08);
    CHECK_EQ(irr(q, 0x20), 0x20);
    CHECK_EQ(poll(q, 0x20), 0);        /* 5 waits for 3                       */
    line(q, 1, 1);
    CHECK_EQ(poll(q, 0x20), 0x81);     /* 1 does not                          */
    qtest_outb(q, 0x20, 0x20);
    CHECK_EQ(isr(q, 0x20), 0x08);
    qtest_outb(q, 0x20, 0x20);
    CHECK_EQ(poll(q, 0x20), 0x85);
    qtest_outb(q, 0x20, 0x65);         /* specific                            */
    CHECK_EQ(isr(q, 0x20), 0);
    end(q);
}

TEST(cascade)
{
    QTest *q = start(1);

    line(q, 10, 1);
    line(q, 12, 1);
    CHECK_EQ(irr(q, 0xa0), 0x14);
    CHECK_EQ(irr(q, 0x20), 0x04);
    CHECK_EQ(poll(q, 0x20), 0x82);
    CHECK_EQ(poll(q, 0xa0), 0x82);
    CHECK_EQ(irr(q, 0x20), 0);
    qtest_outb(q, 0xa0, 0x20);         /* 12 comes next                       */
    CHECK_EQ(irr(q, 0x20), 0x04);
    CHECK_EQ(poll(q, 0x20), 0);
    qtest_outb(q, 0x20, 0x20);
    CHECK_EQ(poll(q, 0x20), 0x82);
    CHECK_EQ(poll(q, 0xa0), 0x84);
    end(q);
}

TEST(masks)
{
    QTest *q = start(1);

    qtest_outb(q, 0x21, 0x08);
    CHECK_EQ(qtest_inb(q, 0x21), 0x08);
    line(q, 3, 1);
    CHECK_EQ(irr(q, 0x20), 0x08);
    CHECK_EQ(poll(q, 0x20), 0);
    qtest_outb(q, 0x21, 0);
    CHECK_EQ(poll(q, 0x20), 0x83);
    /* Special mask mode: a masked level in service holds nobody back. */
    line(q, 6, 1);
    CHECK_EQ(poll(q, 0x20), 0);
    qtest_outb(q, 0x21, 0x08);
    CHECK_EQ(poll(q, 0x20), 0);
    qtest_outb(q, 0x20, 0x68);
    CHECK_EQ(poll(q, 0x20), 0x86);
    qtest_outb(q, 0x20, 0x48);
    end(q);
}

TEST(rotation)
{
    QTest *q = start(1);

    line(q, 3, 1);
    CHECK_EQ(poll(q, 0x20), 0x83);
    qtest_outb(q, 0x20, 0xa0);         /* EOI, 3 goes last                    */
    line(q, 3, 0);
    line(q, 3, 1);
    line(q, 1, 1);
    line(q, 6, 1);
    CHECK_EQ(poll(q, 0x20), 0x86);
    qtest_outb(q, 0x20, 0x20);
    CHECK_EQ(poll(q, 0x20), 0x81);
    qtest_outb(q, 0x20, 0x20);
    CHECK_EQ(poll(q, 0x20), 0x83);
    qtest_outb(q, 0x20, 0xe3);         /* specific, with rotation             */
    qtest_outb(q, 0x20, 0xc0 | 4);     /* 4 last: 5 is first                  */
    line(q, 5, 1);
    line(q, 4, 1);
    line(q, 0, 1);
    CHECK_EQ(poll(q, 0x20), 0x85);
    qtest_outb(q, 0x20, 0x20);
    CHECK_EQ(poll(q, 0x20), 0x80);
    qtest_outb(q, 0x20, 0x20);
    CHECK_EQ(poll(q, 0x20), 0x84);
    end(q);
}

TEST(automatic_end)
{
    QTest *q = start(3);

    line(q, 4, 1);
    CHECK_EQ(poll(q, 0x20), 0x84);
    CHECK_EQ(isr(q, 0x20), 0);
    qtest_outb(q, 0x20, 0x80);         /* rotating                            */
    line(q, 4, 0);
    line(q, 4, 1);
    CHECK_EQ(poll(q, 0x20), 0x84);
    line(q, 4, 0);
    line(q, 4, 1);
    line(q, 6, 1);
    CHECK_EQ(poll(q, 0x20), 0x86);
    end(q);
}

TEST(edges_and_levels)
{
    QTest *q = start(1);

    /* An edge is remembered though the line falls, and given once. */
    line(q, 5, 1);
    line(q, 5, 0);
    CHECK_EQ(poll(q, 0x20), 0x85);
    qtest_outb(q, 0x20, 0x20);
    CHECK_EQ(poll(q, 0x20), 0);
    line(q, 5, 1);
    line(q, 5, 1);
    CHECK_EQ(poll(q, 0x20), 0x85);
    qtest_outb(q, 0x20, 0x20);
    CHECK_EQ(poll(q, 0x20), 0);
    line(q, 5, 0);
    /* A level asks as long as it stands. */
    qtest_outb(q, 0x4d0, 0x20);
    line(q, 5, 1);
    CHECK_EQ(poll(q, 0x20), 0x85);
    qtest_outb(q, 0x20, 0x20);
    CHECK_EQ(poll(q, 0x20), 0x85);
    qtest_outb(q, 0x20, 0x20);
    line(q, 5, 0);
    CHECK_EQ(poll(q, 0x20), 0);
    /* Timer, keyboard, cascade, clock and FPU stay edges. */
    qtest_outb(q, 0x4d0, 0xff);
    qtest_outb(q, 0x4d1, 0xff);
    CHECK_EQ(qtest_inb(q, 0x4d0), 0xf8);
    CHECK_EQ(qtest_inb(q, 0x4d1), 0xde);
    end(q);
}

TEST(initialisation)
{
    QTest *q = start(1);

    qtest_outb(q, 0x21, 0x55);
    qtest_outb(q, 0x4d0, 0x80);
    line(q, 5, 1);
    line(q, 7, 1);
    CHECK_EQ(irr(q, 0x20), 0xa0);
    qtest_outb(q, 0x20, 0x11);
    /* The mask is clear and edges are forgotten; a level still stands. */
    CHECK_EQ(qtest_inb(q, 0x21), 0);
    CHECK_EQ(qtest_inb(q, 0x20), 0x80);
    qtest_outb(q, 0x21, 0x08);
    qtest_outb(q, 0x21, 0x04);
    qtest_outb(q, 0x21, 0x01);
    qtest_outb(q, 0x21, 0x12);         /* a mask again, not ICW5              */
    CHECK_EQ(qtest_inb(q, 0x21), 0x12);
    qtest_outb(q, 0x20, 0x13);         /* single: no ICW3                     */
    qtest_outb(q, 0x21, 0x08);
    qtest_outb(q, 0x21, 0x01);
    qtest_outb(q, 0x21, 0x34);
    CHECK_EQ(qtest_inb(q, 0x21), 0x34);
    qtest_outb(q, 0x20, 0x12);         /* nor ICW4                            */
    qtest_outb(q, 0x21, 0x08);
    qtest_outb(q, 0x21, 0x56);
    CHECK_EQ(qtest_inb(q, 0x21), 0x56);
    end(q);
}

TEST(output)
{
    QTest *q = start(1);

    qtest_irq_intercept_out(q, master);
    CHECK(!qtest_irq(q, 0));
    line(q, 9, 1);
    CHECK(qtest_irq(q, 0));
    qtest_outb(q, 0xa1, 0x02);
    qtest_outb(q, 0x21, 0x04);
    CHECK(!qtest_irq(q, 0));
    qtest_outb(q, 0x21, 0);
    CHECK(qtest_irq(q, 0));
    CHECK_EQ(poll(q, 0x20), 0x82);
    CHECK(!qtest_irq(q, 0));
    line(q, 0, 1);
    CHECK(qtest_irq(q, 0));
    end(q);
}

TEST(special_fully_nested)
{
    QTest *q = start(0x11);

    line(q, 12, 1);
    CHECK_EQ(poll(q, 0x20), 0x82);
    CHECK_EQ(poll(q, 0xa0), 0x84);
    /* The slave's more urgent line gets through while the slave is served. */
    line(q, 8, 1);
    CHECK_EQ(poll(q, 0x20), 0x82);
    CHECK_EQ(poll(q, 0xa0), 0x80);
    end(q);
}
