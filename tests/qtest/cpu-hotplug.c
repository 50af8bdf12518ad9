/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The board's registers for vCPUs that come and go: the map that guests see
 * first, events, ejection, reports, and what makes no sense.
 */
#include <stdlib.h>
#include <string.h>
#include "tests/libqtest.h"
#include "tests/tern-test.h"

enum { SELECT = 0xaf00, FLAGS = 0xaf04, COMMAND = 0xaf05, DATA = 0xaf08 };
enum { GPE_STATUS = 0xafe0 };

static void plug(QTest *q, int core)
{
    qtest_qmp_ok(q, "{'execute': 'device_add', 'arguments': {'driver': "
                 "'qemu64-x86_64-cpu', 'id': 'c%d', 'socket-id': 0, "
                 "'core-id': %d, 'thread-id': 0}}", core, core);
}

static unsigned vcpus(QTest *q)
{
    char *s = qtest_qmp(q, "{'execute': 'query-cpus-fast'}");
    unsigned n = 0;

    for (const char *p = s; (p = strstr(p, "\"cpu-index\"")); p++) {
        n++;
    }
    free(s);
    return n;
}

static uint8_t cmos(QTest *q, uint8_t index)
{
    qtest_outb(q, 0x70, index);
    return qtest_inb(q, 0x71);
}

TEST(map_then_registers)
{
    QTest *q = qtest_start("-machine pc -m 16 -nodefaults -smp 2,maxcpus=4");

    CHECK_EQ(qtest_inb(q, SELECT), 3);         /* both are there              */
    CHECK_EQ(qtest_inb(q, SELECT + 31), 0);
    qtest_outl(q, SELECT, 3);                  /* does not leave the map      */
    CHECK_EQ(qtest_inb(q, SELECT), 3);
    qtest_outl(q, SELECT, 0);
    CHECK_EQ(qtest_inb(q, FLAGS), 1);
    qtest_outl(q, SELECT, 2);
    CHECK_EQ(qtest_inb(q, FLAGS), 0);
    qtest_outb(q, COMMAND, 3);
    CHECK_EQ(qtest_inl(q, DATA), 2u);          /* APIC id                     */
    qtest_outl(q, SELECT, 4);                  /* there is none               */
    CHECK_EQ(qtest_inl(q, DATA), 0u);
    qtest_outb(q, FLAGS, 8);
    qtest_outb(q, COMMAND, 0);
    qtest_outl(q, SELECT, 0xffffffff);
    qtest_outb(q, FLAGS, 0xff);
    CHECK_EQ(vcpus(q), 2u);
    qtest_quit(q);
}

TEST(plug_eject_and_plug_again)
{
    QTest *q = qtest_start("-machine pc -m 16 -nodefaults -smp 1,maxcpus=3");
    char *s;

    qtest_outl(q, SELECT, 0);
    CHECK_EQ(cmos(q, 0x5f), 0);
    for (int turn = 0; turn < 2; turn++) {
        plug(q, 2);
        CHECK_EQ(vcpus(q), 2u);
        CHECK_EQ(cmos(q, 0x5f), 1);
        CHECK_EQ(qtest_inb(q, GPE_STATUS) & 4, 4);
        qtest_outb(q, GPE_STATUS, 4);
        qtest_outl(q, SELECT, 0);
        qtest_outb(q, COMMAND, 0);             /* the one with news           */
        CHECK_EQ(qtest_inl(q, DATA), 2u);
        CHECK_EQ(qtest_inb(q, FLAGS), 3);
        qtest_outb(q, FLAGS, 2);
        CHECK_EQ(qtest_inb(q, FLAGS), 1);
        qtest_qmp_ok(q, "{'execute': 'device_del', 'arguments': {'id': "
                     "'c2'}}");
        CHECK_EQ(qtest_inb(q, GPE_STATUS) & 4, 4);
        qtest_outb(q, GPE_STATUS, 4);
        CHECK_EQ(vcpus(q), 2u);                /* the guest has not agreed    */
        CHECK_EQ(qtest_inb(q, FLAGS), 5);
        qtest_outb(q, FLAGS, 4);
        qtest_outb(q, FLAGS, 8);
        qtest_outb(q, FLAGS, 8);
        CHECK_EQ(vcpus(q), 1u);
        CHECK_EQ(qtest_inb(q, FLAGS), 0);
        CHECK_EQ(cmos(q, 0x5f), 0);
    }
    /* The boot processor cannot be ejected. */
    qtest_outl(q, SELECT, 0);
    qtest_outb(q, FLAGS, 8);
    CHECK_EQ(vcpus(q), 1u);
    qtest_outb(q, COMMAND, 1);
    qtest_outl(q, DATA, 0x103);
    qtest_outb(q, COMMAND, 2);
    qtest_outl(q, DATA, 7);
    s = qtest_qmp(q, "{'execute': 'query-acpi-ospm-status'}");
    CHECK(strstr(s, "\"slot\": \"0\", \"slot-type\": \"CPU\", \"source\": 259, "
                 "\"status\": 7"));
    free(s);
    /* A reset goes back to the map, where all are that are there. */
    plug(q, 1);
    qtest_qmp_ok(q, "{'execute': 'system_reset'}");
    CHECK_EQ(qtest_inb(q, SELECT), 3);
    qtest_quit(q);
}
