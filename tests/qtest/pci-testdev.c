/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pci-testdev: the header of each test, counted stores, eventfd'ed stores. */
#include "tests/libqtest.h"
#include "tests/tern-test.h"

typedef struct Dev {
    QTest *q;
    int devfn;
    uint64_t mem, io;
} Dev;

static Dev start(const char *more)
{
    Dev d = { qtest_start("-machine pc -nodefaults -m 16 -device "
                          "pci-testdev%s", more), 0, 0, 0 };

    d.devfn = qpci_find(d.q, 0x1b36, 0x0005, 0);
    if (d.devfn >= 0) {
        d.mem = qpci_map(d.q, d.devfn, 0, NULL);
        d.io = qpci_map(d.q, d.devfn, 1, NULL);
    }
    return d;
}

static uint32_t count(Dev *d)
{
    return qtest_readl(d->q, d->mem + 12);
}

TEST(headers_of_memory_tests)
{
    static const struct {
        uint32_t word0, offset, data;
        const char *name;
    } rows[] = {
        { 0x100, 0x800, 0xfa, "mmio-no-eventfd" },
        { 0x101, 0x801, 0xce, "mmio-wildcard-eventfd" },
        { 0x102, 0x802, 0xfa, "mmio-datamatch-eventfd" },
    };
    Dev d = start("");
    char name[32] = "";

    REQUIRE(d.mem);
    CHECK_EQ(qtest_readq(d.q, d.mem), 0u);
    for (unsigned i = 0; i < 3; i++) {
        qtest_writeb(d.q, d.mem, i);
        CHECK_EQ(qtest_readl(d.q, d.mem), rows[i].word0);
        CHECK_EQ(qtest_readl(d.q, d.mem + 4), rows[i].offset);
        CHECK_EQ(qtest_readl(d.q, d.mem + 8), rows[i].data);
        CHECK_EQ(qtest_readl(d.q, d.mem + 12), 0u);
        for (unsigned k = 0; k < sizeof(name) - 1; k++) {
            name[k] = qtest_readb(d.q, d.mem + 16 + k);
        }
        CHECK_STR(name, rows[i].name);
    }
    qtest_writeb(d.q, d.mem, 3);
    CHECK_EQ(qtest_readq(d.q, d.mem), 0u);
    CHECK_EQ(qtest_readq(d.q, d.mem + 16), 0u);
    qtest_quit(d.q);
}

TEST(headers_of_port_tests)
{
    Dev d = start("");

    REQUIRE(d.io);
    for (unsigned i = 0; i < 3; i++) {
        qtest_outb(d.q, d.io, i);
        CHECK_EQ(qtest_inl(d.q, d.io), 0x103u + i);
        CHECK_EQ(qtest_inl(d.q, d.io + 4), 0x83 + i);
        CHECK_EQ(qtest_inl(d.q, d.io + 16), 0x74726f70u);       /* "port" */
    }
    /* One test is chosen; both BARs show it. */
    CHECK_EQ(qtest_readl(d.q, d.mem), 0x105u);
    qtest_outb(d.q, d.io, 3);
    CHECK_EQ(qtest_inl(d.q, d.io), 0u);
    qtest_quit(d.q);
}

TEST(stores_are_counted)
{
    Dev d = start("");

    REQUIRE(d.mem);
    qtest_writeb(d.q, d.mem + 0x800, 0xfa);
    CHECK_EQ(count(&d), 0u);
    qtest_writeb(d.q, d.mem, 0);
    qtest_writeb(d.q, d.mem + 0x800, 0xfa);
    qtest_writeb(d.q, d.mem + 0x800, 0xfb);
    qtest_writeb(d.q, d.mem + 0x801, 0xfa);
    CHECK_EQ(count(&d), 1u);
    qtest_writew(d.q, d.mem + 0x800, 0xfa);
    CHECK_EQ(count(&d), 2u);
    /* The header is not for writing. */
    qtest_writel(d.q, d.mem + 4, 0x55);
    qtest_writel(d.q, d.mem + 12, 0x77);
    CHECK_EQ(qtest_readl(d.q, d.mem + 4), 0x800u);
    CHECK_EQ(count(&d), 2u);
    qtest_writeb(d.q, d.mem, 0);
    CHECK_EQ(count(&d), 0u);
    qtest_outb(d.q, d.io, 0);
    qtest_outb(d.q, d.io + 0x83, 0xfa);
    CHECK_EQ(qtest_inl(d.q, d.io + 12), 1u);
    qtest_quit(d.q);
}

TEST(eventfds_take_the_stores)
{
    Dev d = start("");

    REQUIRE(d.mem);
    qtest_writeb(d.q, d.mem, 1);
    qtest_writeb(d.q, d.mem + 0x801, 0x12);
    CHECK_EQ(count(&d), 0u);
    /* Wider than the eventfd's byte: the store arrives. */
    qtest_writel(d.q, d.mem + 0x800, 0x12);
    CHECK_EQ(count(&d), 1u);
    qtest_writeb(d.q, d.mem, 2);
    qtest_writeb(d.q, d.mem + 0x802, 0xfa);
    CHECK_EQ(count(&d), 0u);
    qtest_writew(d.q, d.mem + 0x802, 0xfa);
    CHECK_EQ(count(&d), 1u);
    qtest_outb(d.q, d.io, 1);
    qtest_outb(d.q, d.io + 0x84, 1);
    CHECK_EQ(qtest_inl(d.q, d.io + 12), 0u);
    qtest_outw(d.q, d.io + 0x84, 1);
    CHECK_EQ(qtest_inl(d.q, d.io + 12), 1u);
    qtest_quit(d.q);
}

TEST(membar)
{
    Dev d = start(",membar=64k");
    uint64_t size = 0, at;

    REQUIRE(d.mem);
    at = qpci_map(d.q, d.devfn, 2, &size);
    CHECK_NE(at, 0u);
    CHECK_EQ(size, 65536u);
    CHECK_EQ(qpci_read(d.q, d.devfn, 0x18, 4) & 15, 12u);
    qtest_writel(d.q, at, 0x11223344);
    CHECK_EQ(qtest_readl(d.q, at), 0u);
    qtest_quit(d.q);
}

TEST(plugged_while_running)
{
    QTest *q = qtest_start("-machine pc -nodefaults -m 16");
    char *reply;

    qtest_qmp_ok(q, "{'execute': 'device_add', 'arguments': {'driver': "
                 "'pci-testdev', 'id': 'td', 'addr': '0x9'}}");
    CHECK_EQ(qpci_find(q, 0x1b36, 0x0005, 0), 9 << 3);
    reply = qtest_qmp(q, "{'execute': 'device_add', 'arguments': {'driver': "
                      "'pci-testdev', 'id': 'td'}}");
    CHECK_CONTAINS(reply, "Duplicate device ID 'td'");
    free(reply);
    reply = qtest_qmp(q, "{'execute': 'device_add', 'arguments': {'driver': "
                      "'pci-testdev', 'addr': '9.0'}}");
    CHECK_CONTAINS(reply, "PCI: slot 9 function 0 not available for "
                   "pci-testdev, in use by pci-testdev,id=td");
    free(reply);
    reply = qtest_qmp(q, "{'execute': 'device_del', 'arguments': {'id': "
                      "'no'}}");
    CHECK_CONTAINS(reply, "\"class\": \"DeviceNotFound\"");
    CHECK_CONTAINS(reply, "Device 'no' not found");
    free(reply);
    qtest_qmp_ok(q, "{'execute': 'device_del', 'arguments': {'id': 'td'}}");
    if (qtest_has_clock(q)) {          /* another's runs, and so it is later  */
        reply = qtest_qmp(q, "{'execute': 'device_del', 'arguments': {'id': "
                          "'td'}}");
        CHECK_CONTAINS(reply, "Device td is already in the process of unplug");
        free(reply);
        qtest_clock_step(q, 10000000);
    }
    qtest_qmp_ok(q, "{'execute': 'device_del', 'arguments': {'id': 'td'}}");
    qtest_quit(q);
}
