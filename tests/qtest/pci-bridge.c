/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-bridge: forwarding of configuration cycles and memory, and hot-plug below it
 * through the board's ACPI registers, with the guest's part played here.
 */
#include <stdlib.h>
#include <string.h>
#include "tests/libqtest.h"
#include "tests/tern-test.h"

#define BRIDGE 0x10                    /* slot 2                              */
#define BELOW 0x118                    /* bus 1, slot 3                       */
enum { UP = 0xae00, DOWN = 0xae04, EJECT = 0xae08, MAY = 0xae0c,
       SELECT = 0xae10 };
enum { QUEUES = 18 };                  /* of a virtio function's registers    */

static QTest *start(void)
{
    return qtest_start("-machine pc -nodefaults -m 16 -device pci-bridge,id=b1,"
                       "chassis_nr=7,addr=2 -device virtio-rng-pci,bus=b1,"
                       "addr=3 -device virtio-rng-pci,id=r,addr=4");
}

static void number(QTest *q)
{
    qpci_write(q, BRIDGE, 0x18, 1, 0);
    qpci_write(q, BRIDGE, 0x19, 1, 1);
    qpci_write(q, BRIDGE, 0x1a, 1, 1);
}

TEST(what_it_is)
{
    QTest *q = start();
    unsigned slot;

    CHECK_EQ(qpci_read(q, BRIDGE, 0, 4), 0x00011b36u);
    CHECK_EQ(qpci_read(q, BRIDGE, 8, 4), 0x06040000u);
    CHECK_EQ(qpci_read(q, BRIDGE, 0xe, 1), 1u);
    slot = qpci_cap(q, BRIDGE, 4);
    CHECK_EQ(qpci_read(q, BRIDGE, slot + 2, 2), 0x0720u);
    CHECK(qpci_cap(q, BRIDGE, 5) && qpci_cap(q, BRIDGE, 0x0c));
    qtest_quit(q);
}

TEST(cycles_and_memory_are_forwarded)
{
    QTest *q = start();
    uint64_t at = 0xe0000000;

    CHECK_EQ(qpci_read(q, BELOW, 0, 4), UINT32_MAX);
    number(q);
    CHECK_EQ(qpci_read(q, BELOW, 0, 4), 0x10051af4u);
    qpci_write(q, BELOW, 0x20, 4, (uint32_t)at);
    qpci_write(q, BELOW, 0x24, 4, 0);
    qpci_write(q, BELOW, 4, 2, 2);
    qpci_write(q, BRIDGE, 0x20, 4, 0xe000e000);
    CHECK_EQ(qtest_readw(q, at + QUEUES), 0u);
    qpci_write(q, BRIDGE, 4, 2, 6);
    CHECK_EQ(qtest_readw(q, at + QUEUES), 1u);
    qpci_write(q, BRIDGE, 0x20, 4, 0xe000e010);    /* an empty window         */
    CHECK_EQ(qtest_readw(q, at + QUEUES), 0u);
    qtest_quit(q);
}

TEST(devices_come_and_go_below)
{
    QTest *q = start();
    char *s;

    number(q);
    qtest_qmp_ok(q, "{'execute': 'device_add', 'arguments': {'driver': "
                 "'pci-testdev', 'bus': 'b1', 'addr': '5', 'id': 'n'}}");
    qtest_outl(q, SELECT, 1);
    CHECK_EQ(qtest_inl(q, UP), 1u << 5);
    CHECK_EQ(qtest_inl(q, UP), 0u);
    CHECK_EQ(qpci_read(q, 0x128, 0, 4), 0x00051b36u);
    qtest_qmp_ok(q, "{'execute': 'device_del', 'arguments': {'id': 'n'}}");
    s = qtest_qmp(q, "{'execute': 'device_del', 'arguments': {'id': 'n'}}");
    CHECK(strstr(s, "Device n is already in the process of unplug"));
    free(s);
    CHECK_EQ(qtest_inl(q, DOWN), 1u << 5);
    qtest_outl(q, EJECT, 1u << 5);
    free(qtest_event(q, "DEVICE_DELETED"));
    CHECK_EQ(qpci_read(q, 0x128, 0, 4), UINT32_MAX);
    CHECK_EQ(qtest_inl(q, DOWN), 0u);
    qtest_quit(q);
}

TEST(root_slots)
{
    QTest *q = start();

    qtest_outl(q, SELECT, 0);
    /* Host bridge, ISA bridge, and the bridge that others sit behind stay. */
    CHECK_EQ(qtest_inl(q, MAY) & 0x1f, 0x18u);
    qtest_outl(q, EJECT, 7);
    CHECK_EQ(qpci_read(q, BRIDGE, 0, 4), 0x00011b36u);
    qtest_qmp_ok(q, "{'execute': 'device_del', 'arguments': {'id': 'r'}}");
    qtest_outl(q, EJECT, 1u << 4);
    free(qtest_event(q, "DEVICE_DELETED"));
    CHECK_EQ(qpci_read(q, 0x20, 0, 4), UINT32_MAX);
    qtest_outl(q, SELECT, 99);
    qtest_outl(q, EJECT, UINT32_MAX);
    CHECK_EQ(qtest_inl(q, UP), 0u);
    qtest_quit(q);
}
