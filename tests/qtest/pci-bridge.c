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
    CHECK_EQ(qtest_inl(q, DOWN), 1u << 5);
    if (qtest_has_clock(q)) {          /* another's runs, and so it is later  */
        s = qtest_qmp(q, "{'execute': 'device_del', 'arguments': {'id': "
                      "'n'}}");
        CHECK(strstr(s, "Device n is already in the process of unplug"));
        free(s);
        qtest_clock_step(q, 10000000);
    }
    /* Asked again. */
    qtest_qmp_ok(q, "{'execute': 'device_del', 'arguments': {'id': 'n'}}");
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

/* ---- the bridge's own hot-plug controller -------------------------------- */

#define SHPC 0xe0000000u
#define LATE 0x28                      /* slot 5                              */

static uint32_t slot_word(QTest *q, unsigned slot)
{
    return qtest_readl(q, SHPC + 0x24 + 4 * (slot - 1));
}

static unsigned shpc_command(QTest *q, unsigned code, unsigned slot)
{
    qtest_writew(q, SHPC + 0x14, (uint16_t)(code | slot << 8));
    CHECK_EQ(qtest_readl(q, SHPC + 0x20) >> 16 & 1, 1u);
    qtest_writel(q, SHPC + 0x20, 1 << 16);
    return qtest_readw(q, SHPC + 0x16);
}

static void late_bridge(QTest *q)
{
    qtest_qmp_ok(q, "{'execute': 'device_add', 'arguments': {'driver': "
                 "'pci-bridge', 'id': 'late', 'chassis_nr': 9, 'addr': '5'}}");
    qpci_write(q, LATE, 0x10, 4, SHPC);
    qpci_write(q, LATE, 0x14, 4, 0);
    qpci_write(q, LATE, 0x18, 4, 0x050500);
    qpci_write(q, LATE, 4, 2, 6);
}

TEST(devices_below_a_bridge_that_came_late)
{
    QTest *q = start();
    unsigned there = 5 << 8 | 3 << 3;
    char *s;

    late_bridge(q);
    CHECK_EQ(qtest_readl(q, SHPC + 4), 31u);
    CHECK_EQ(qtest_readl(q, SHPC + 0xc), 0xe001011fu);
    CHECK_EQ(qtest_readl(q, SHPC + 0x20), 0x0fu);
    CHECK_EQ(slot_word(q, 3), 0x7f000d0fu);
    s = qtest_qmp(q, "{'execute': 'device_add', 'arguments': {'driver': "
                  "'pci-testdev', 'bus': 'late', 'addr': '0'}}");
    CHECK(strstr(s, "Unsupported PCI slot 0 for standard hotplug controller. "
                 "Valid slots are between 1 and 31."));
    free(s);
    qtest_qmp_ok(q, "{'execute': 'device_add', 'arguments': {'driver': "
                 "'pci-testdev', 'bus': 'late', 'addr': '3', 'id': 'd'}}");
    CHECK_EQ(slot_word(q, 3), 0x7f0d000fu);
    CHECK_EQ(qpci_read(q, there, 0, 4), 0x00051b36u);
    qtest_writel(q, SHPC + 0x20, 0);               /* interrupts              */
    CHECK_EQ(qtest_readl(q, SHPC + 0x18), 0u);
    qtest_writeb(q, SHPC + 0x24 + 4 * 2 + 3, 0);
    CHECK_EQ(qtest_readl(q, SHPC + 0x18), 1u << 3);
    if (qtest_has_clock(q)) {                      /* pending, as SHPC says   */
        CHECK_EQ(qpci_read(q, LATE, 0x43, 1), 0x80u);
    }
    qtest_writeb(q, SHPC + 0x24 + 4 * 2 + 2, 0x1f);
    CHECK_EQ(qtest_readl(q, SHPC + 0x18), 0u);
    CHECK_EQ(qpci_read(q, LATE, 0x43, 1), 0u);
    CHECK_EQ(shpc_command(q, 6, 3), 0u);           /* on                      */
    CHECK_EQ(slot_word(q, 3), 6u);
    CHECK_EQ(shpc_command(q, 0x21, 3), 4u);        /* not from there          */
    CHECK_EQ(shpc_command(q, 0x48, 0), 4u);
    /* Asked to go, it goes when the slot is off. */
    qtest_qmp_ok(q, "{'execute': 'device_del', 'arguments': {'id': 'd'}}");
    CHECK_EQ(slot_word(q, 3), 0x00040006u);
    CHECK_EQ(qtest_readl(q, SHPC + 0x18), 1u << 3);
    CHECK_EQ(qpci_read(q, there, 0, 4), 0x00051b36u);
    qtest_writeb(q, SHPC + 0x24 + 4 * 2 + 2, 0x1f);
    CHECK_EQ(shpc_command(q, 0x3f, 3), 0u);
    free(qtest_event(q, "DEVICE_DELETED"));
    CHECK_EQ(slot_word(q, 3), 0x00090d3fu);
    CHECK_EQ(qpci_read(q, there, 0, 4), UINT32_MAX);
    qtest_quit(q);
}

TEST(commands_of_the_hot_plug_controller)
{
    QTest *q = start();

    late_bridge(q);
    qtest_qmp_ok(q, "{'execute': 'device_add', 'arguments': {'driver': "
                 "'pci-testdev', 'bus': 'late', 'addr': '7', 'id': 'd'}}");
    CHECK_EQ(shpc_command(q, 0x40, 0), 0u);        /* 33 MHz                  */
    CHECK_EQ(shpc_command(q, 0x41, 0), 8u);
    CHECK_EQ(shpc_command(q, 0x47, 0), 8u);
    CHECK_EQ(shpc_command(q, 0x49, 0), 0u);        /* all on                  */
    CHECK_EQ(slot_word(q, 7), 0x7f0d0006u);
    CHECK_EQ(slot_word(q, 8), 0x7f000d0fu);
    CHECK_EQ(shpc_command(q, 0x4a, 0), 4u);
    CHECK_EQ(shpc_command(q, 0x02, 0), 4u);        /* no slot                 */
    CHECK_EQ(shpc_command(q, 0x05, 31), 0u);
    /* A slot that the guest does not use gives its device up at once. */
    qtest_qmp_ok(q, "{'execute': 'device_add', 'arguments': {'driver': "
                 "'pci-testdev', 'bus': 'late', 'addr': '9', 'id': 'e'}}");
    qtest_qmp_ok(q, "{'execute': 'device_del', 'arguments': {'id': 'e'}}");
    free(qtest_event(q, "DEVICE_DELETED"));
    qtest_quit(q);
}
