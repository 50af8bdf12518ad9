/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The DMA controllers' registers; tests/unit/i8257.c moves bytes with them. */
#include "tests/libqtest.h"
#include "tests/tern-test.h"

static unsigned reg16(QTest *q, uint16_t port, uint16_t clear)
{
    unsigned v;

    qtest_outb(q, clear, 0);
    v = qtest_inb(q, port);
    return v | qtest_inb(q, port) << 8;
}

static void set16(QTest *q, uint16_t port, uint16_t clear, unsigned v)
{
    qtest_outb(q, clear, 0);
    qtest_outb(q, port, v);
    qtest_outb(q, port, v >> 8);
}

TEST(channels)
{
    QTest *q = qtest_start("-machine pc -nodefaults -m 16");

    for (unsigned n = 0; n < 4; n++) {
        set16(q, 2 * n, 0x0c, 0x1234 + n);
        set16(q, 2 * n + 1, 0x0c, 0x5678 + n);
        set16(q, 0xc0 + 4 * n, 0xd8, 0x9abc + n);
        set16(q, 0xc2 + 4 * n, 0xd8, 0xdef0 + n);
    }
    for (unsigned n = 0; n < 4; n++) {
        CHECK_EQ(reg16(q, 2 * n, 0x0c), 0x1234 + n);
        CHECK_EQ(reg16(q, 2 * n + 1, 0x0c), 0x5678 + n);
        CHECK_EQ(reg16(q, 0xc0 + 4 * n, 0xd8), 0x9abc + n);
        CHECK_EQ(reg16(q, 0xc2 + 4 * n, 0xd8), 0xdef0 + n);
    }
    /* The flip-flop alternates, and each controller has its own. */
    qtest_outb(q, 0x0c, 0);
    qtest_outb(q, 0xd8, 0);
    CHECK_EQ(qtest_inb(q, 0x00), 0x34);
    CHECK_EQ(qtest_inb(q, 0xc0), 0xbc);
    CHECK_EQ(qtest_inb(q, 0x00), 0x12);
    CHECK_EQ(qtest_inb(q, 0xc0), 0x9a);
    qtest_quit(q);
}

TEST(pages)
{
    static const uint16_t ports[] = { 0x87, 0x83, 0x81, 0x82,
                                      0x8f, 0x8b, 0x89, 0x8a };
    QTest *q = qtest_start("-machine pc -nodefaults -m 16");

    for (unsigned i = 0; i < 8; i++) {
        CHECK_EQ(qtest_inb(q, ports[i]), 0);
        qtest_outb(q, ports[i], 0x10 + i);
    }
    for (unsigned i = 0; i < 8; i++) {
        CHECK_EQ(qtest_inb(q, ports[i]), 0x10 + i);
    }
    qtest_quit(q);
}

TEST(masks_and_requests)
{
    QTest *q = qtest_start("-machine pc -nodefaults -m 16");

    CHECK_EQ(qtest_inb(q, 0x0f), 0x0f);
    qtest_outb(q, 0x0a, 0x02);
    CHECK_EQ(qtest_inb(q, 0x0f), 0x0b);
    qtest_outb(q, 0x0a, 0x06);
    CHECK_EQ(qtest_inb(q, 0x0f), 0x0f);
    qtest_outb(q, 0x0f, 0x05);
    CHECK_EQ(qtest_inb(q, 0x0f), 0x05);
    qtest_outb(q, 0x0e, 0);
    CHECK_EQ(qtest_inb(q, 0x0f), 0x00);
    qtest_outb(q, 0x09, 0x05);
    CHECK_EQ(qtest_inb(q, 0x08), 0x20);
    qtest_outb(q, 0x09, 0x01);
    CHECK_EQ(qtest_inb(q, 0x08), 0x00);
    qtest_outb(q, 0x0d, 0);            /* master clear                        */
    CHECK_EQ(qtest_inb(q, 0x0f), 0x0f);
    qtest_quit(q);
}
