/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The board of machine type pc, as a driver meets it: ids, RAM, CMOS, BARs. */
#include "tests/libqtest.h"
#include "tests/tern-test.h"

TEST(memory)
{
    QTest *q = qtest_start("-machine pc -m 16 -nodefaults");
    uint8_t out[300], in[300];

    for (size_t i = 0; i < sizeof(out); i++) {
        out[i] = i * 7;
    }
    qtest_write(q, 0x100000, out, sizeof(out));
    qtest_read(q, 0x100000, in, sizeof(in));
    CHECK_MEM(in, out, sizeof(in));
    qtest_writeq(q, 0x200000, 0x0123456789abcdefull);
    CHECK_EQ(qtest_readq(q, 0x200000), 0x0123456789abcdefull);
    CHECK_EQ(qtest_readl(q, 0x200000), 0x89abcdefu);
    CHECK_EQ(qtest_readw(q, 0x200006), 0x0123);
    CHECK_EQ(qtest_readb(q, 0x200001), 0xcd);
    qtest_memset(q, 0x200000, 0x5a, 4);
    CHECK_EQ(qtest_readq(q, 0x200000), 0x012345675a5a5a5aull);
    /* Beyond RAM there is nothing to write to. */
    qtest_writel(q, 0x40000000, 1);
    CHECK_NE(qtest_readl(q, 0x40000000), 1u);
    qtest_quit(q);
}

TEST(pci_host_and_isa_bridge)
{
    QTest *q = qtest_start("-machine pc -nodefaults");

    CHECK_EQ(qpci_find(q, 0x8086, 0x1237, 0), 0);
    CHECK_EQ(qpci_find(q, 0x8086, 0x7000, 0), 1 << 3);
    CHECK_EQ(qpci_read(q, 0, 8, 4) >> 16, 0x0600u);
    CHECK_EQ(qpci_read(q, 31 << 3, 0, 4), 0xffffffffu);
    qtest_quit(q);
}

TEST(bars_are_sized_and_mapped)
{
    QTest *q = qtest_start("-machine pc -nodefaults -device pci-testdev");
    int devfn = qpci_find(q, 0x1b36, 0x0005, 0);
    uint64_t size = 0, at;

    REQUIRE(devfn > 0);
    at = qpci_map(q, devfn, 0, &size);
    CHECK_EQ(size, 4096u);
    CHECK_NE(at, 0u);
    CHECK_EQ(qpci_read(q, devfn, 0x10, 4), (uint32_t)at);
    at = qpci_map(q, devfn, 1, &size);
    CHECK_EQ(size, 256u);
    CHECK_EQ(qpci_read(q, devfn, 0x14, 4), (uint32_t)at | 1);
    CHECK_EQ(qpci_map(q, devfn, 5, NULL), 0u);
    qtest_quit(q);
}

TEST(cmos_keeps_what_is_written)
{
    QTest *q = qtest_start("-machine pc -nodefaults -m 64");

    qtest_outb(q, 0x70, 0x7e);
    qtest_outb(q, 0x71, 0x42);
    qtest_outb(q, 0x70, 0x7e);
    CHECK_EQ(qtest_inb(q, 0x71), 0x42);
    qtest_outb(q, 0x70, 0x0d);          /* register D: battery good         */
    CHECK_EQ(qtest_inb(q, 0x71), 0x80);
    qtest_outb(q, 0x70, 0x35);          /* memory above 16 MiB, 64 KiB each */
    CHECK_EQ(qtest_inb(q, 0x71), (64 - 16) * 16 >> 8);
    qtest_quit(q);
}

TEST(clock_moves_on_command_only)
{
    QTest *q = qtest_start("-machine pc -nodefaults");
    int64_t t;

    if (!qtest_has_clock(q)) {
        qtest_quit(q);
        SKIP("the clock runs freely");
    }
    t = qtest_clock_step(q, 0);
    usleep(2000);
    CHECK_EQ(qtest_clock_step(q, 0), t);
    CHECK_EQ(qtest_clock_step(q, 1000), t + 1000);
    CHECK_EQ(qtest_clock_set(q, t + 5000), t + 5000);
    qtest_quit(q);
}

TEST(monitor)
{
    QTest *q = qtest_start("-machine pc -nodefaults");
    char *text = qtest_qmp(q, "{'execute': 'query-name'}");

    CHECK_CONTAINS(text, "\"return\"");
    free(text);
    text = qtest_qmp(q, "{'execute': 'no-such-command', 'id': 7}");
    CHECK_CONTAINS(text, "CommandNotFound");
    free(text);
    text = qtest_hmp(q, "info pci");
    CHECK_CONTAINS(text, "PCI device 8086:1237");
    free(text);
    qtest_qmp_ok(q, "{'execute': 'system_reset'}");
    text = qtest_event(q, "RESET");
    CHECK_CONTAINS(text, "host-qmp-system-reset");
    free(text);
    CHECK(!qtest_event_seen(q, "RESET"));
    qtest_quit(q);
}

TEST(unknown_device_is_refused)
{
    char *text;

    CHECK_EQ(qtest_run(&text, "-machine pc -display none -device nosuch"), 1);
    CHECK_CONTAINS(text,
                   "-device nosuch: 'nosuch' is not a valid device model name");
    free(text);
}
