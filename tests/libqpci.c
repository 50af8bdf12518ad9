/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libqpci.c - PCI from the driver's side, for tests over qtest. PCI Local Bus
 * 3.0: 3.2.2.3.2 (configuration mechanism 1), 6.2.5.1 (sizing base addresses),
 * 6.7 (capabilities).
 *
 * Thread: one.
 */
#include "tests/libqtest.h"

#define CONFIG_ADDRESS 0xcf8
#define CONFIG_DATA 0xcfc
#define COMMAND 0x04
#define STATUS 0x06
#define BAR0 0x10
#define CAP_POINTER 0x34

static void point(QTest *q, unsigned devfn, unsigned off)
{
    qtest_outl(q, CONFIG_ADDRESS, 0x80000000u | devfn << 8 | (off & 0xfc));
}

uint32_t qpci_read(QTest *q, unsigned devfn, unsigned off, unsigned size)
{
    uint16_t port = CONFIG_DATA + (off & 3);

    point(q, devfn, off);
    return size == 1 ? qtest_inb(q, port) : size == 2 ? qtest_inw(q, port)
                                                      : qtest_inl(q, port);
}

void qpci_write(QTest *q, unsigned devfn, unsigned off, unsigned size,
                uint32_t v)
{
    uint16_t port = CONFIG_DATA + (off & 3);

    point(q, devfn, off);
    if (size == 1) {
        qtest_outb(q, port, v);
    } else if (size == 2) {
        qtest_outw(q, port, v);
    } else {
        qtest_outl(q, port, v);
    }
}

int qpci_find(QTest *q, uint16_t vendor, uint16_t device, unsigned n)
{
    for (unsigned devfn = 0; devfn < 256; devfn++) {
        uint32_t id = qpci_read(q, devfn, 0, 4);

        if (id == ((uint32_t)device << 16 | vendor) && n-- == 0) {
            return devfn;
        }
    }
    return -1;
}

unsigned qpci_cap(QTest *q, unsigned devfn, uint8_t id)
{
    unsigned off, steps = 0;

    if (!(qpci_read(q, devfn, STATUS, 2) & 0x10)) {
        return 0;
    }
    off = qpci_read(q, devfn, CAP_POINTER, 1) & 0xfc;
    while (off && steps++ < 48) {
        if (qpci_read(q, devfn, off, 1) == id) {
            return off;
        }
        off = qpci_read(q, devfn, off + 1, 1) & 0xfc;
    }
    return 0;
}

uint64_t qpci_map(QTest *q, unsigned devfn, unsigned n, uint64_t *size)
{
    unsigned off = BAR0 + 4 * n;
    uint32_t old = qpci_read(q, devfn, off, 4);
    bool io = old & 1, wide = !io && (old & 6) == 4;
    uint64_t mask, bytes, at;

    qpci_write(q, devfn, off, 4, 0xffffffff);
    mask = qpci_read(q, devfn, off, 4) & (io ? ~3u : ~15u);
    if (!mask) {
        return 0;
    }
    mask |= 0xffffffffull << 32;
    if (wide) {
        qpci_write(q, devfn, off + 4, 4, 0xffffffff);
        mask &= (uint64_t)qpci_read(q, devfn, off + 4, 4) << 32 | 0xffffffff;
    }
    if (io) {
        mask |= 0xffff0000;             /* upper half may read as zero      */
    }
    bytes = ~mask + 1;
    at = qpci_space(q, io, bytes);
    qpci_write(q, devfn, off, 4, at);
    if (wide) {
        qpci_write(q, devfn, off + 4, 4, 0);
    }
    qpci_write(q, devfn, COMMAND, 2,
               qpci_read(q, devfn, COMMAND, 2) | (io ? 1 : 2) | 4);
    if (size) {
        *size = bytes;
    }
    return at;
}
