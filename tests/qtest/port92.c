/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Port 0x92: the A20 gate and a fast reset. */
#include <stdlib.h>
#include "tests/libqtest.h"
#include "tests/tern-test.h"

TEST(a20_and_reset)
{
    QTest *q = qtest_start("-machine pc -nodefaults -m 16");

    CHECK_EQ(qtest_inb(q, 0x92), 0);
    qtest_outb(q, 0x92, 2);
    CHECK_EQ(qtest_inb(q, 0x92), 2);
    qtest_outb(q, 0x92, 0);
    CHECK_EQ(qtest_inb(q, 0x92), 0);
    CHECK(!qtest_event_seen(q, "RESET"));
    qtest_outb(q, 0x92, 1);
    free(qtest_event(q, "RESET"));
    CHECK_EQ(qtest_inb(q, 0x92) & 1, 0);
    qtest_quit(q);
}

TEST(reset_needs_a_rising_bit)
{
    QTest *q = qtest_start("-machine pc -nodefaults -m 16 -no-reboot "
                           "-no-shutdown");
    char *event;

    qtest_outb(q, 0x92, 0xfe);
    CHECK_EQ(qtest_inb(q, 0x92), 0xfe);
    CHECK(!qtest_event_seen(q, "SHUTDOWN"));
    qtest_outb(q, 0x92, 3);
    event = qtest_event(q, "SHUTDOWN");
    CHECK(strstr(event, "guest-reset"));
    free(event);
    qtest_quit(q);
}
