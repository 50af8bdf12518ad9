/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The floppy controller: resets, seeks, DMA and PIO data, write protection. */
#include <fcntl.h>
#include "tests/libqtest.h"
#include "tests/tern-test.h"

static char path[64];

static QTest *floppy_start(const char *more)
{
    uint8_t sector[512];
    int fd;

    snprintf(path, sizeof(path), "fdc-test-%d.img", getpid());
    fd = open(path, O_CREAT | O_TRUNC | O_RDWR, 0600);
    for (uint32_t i = 0; i < 2880; i++) {
        memset(sector, (int)(i * 5 + 1), sizeof(sector));
        memcpy(sector, &i, 4);
        if (write(fd, sector, sizeof(sector)) != sizeof(sector)) {
            abort();
        }
    }
    close(fd);
    return qtest_start("-machine pc -m 16 -nodefaults "
                       "-drive file=%s,format=raw,if=floppy%s", path, more);
}

static void floppy_end(QTest *q)
{
    qtest_quit(q);
    unlink(path);
}

static void out(QTest *q, uint8_t v)
{
    qtest_outb(q, 0x3f5, v);
}

static unsigned results(QTest *q, uint8_t r[16])
{
    unsigned n = 0;

    for (int i = 0; i < 10000 && n < 16; i++) {
        uint8_t m = qtest_inb(q, 0x3f4);

        if ((m & 0xd0) == 0xd0) {
            r[n++] = qtest_inb(q, 0x3f5);
        } else if (n) {
            break;
        }
    }
    return n;
}

static void chip_start(QTest *q)
{
    uint8_t r[16];

    qtest_outb(q, 0x3f2, 0x18);
    qtest_outb(q, 0x3f2, 0x1c);
    for (int i = 0; i < 4; i++) {
        out(q, 8);
        CHECK_EQ(results(q, r), 2u);
        CHECK_EQ(r[0], 0xc0 | i);
    }
    qtest_outb(q, 0x3f7, 0);            /* 500 kbit/s                        */
    out(q, 3);
    out(q, 0xdf);
    out(q, 2);
}

static void dma_setup(QTest *q, uint32_t addr, uint16_t len, bool to_memory)
{
    qtest_outb(q, 0x0a, 6);
    qtest_outb(q, 0x0c, 0);
    qtest_outb(q, 0x04, addr);
    qtest_outb(q, 0x04, addr >> 8);
    qtest_outb(q, 0x0c, 0);
    qtest_outb(q, 0x05, len - 1);
    qtest_outb(q, 0x05, (len - 1) >> 8);
    qtest_outb(q, 0x0b, to_memory ? 0x46 : 0x4a);
    qtest_outb(q, 0x81, addr >> 16);
    qtest_outb(q, 0x0a, 2);
}

static void transfer(QTest *q, uint8_t op, uint8_t c, uint8_t h, uint8_t s,
                     uint8_t eot)
{
    out(q, op);
    out(q, h << 2);
    out(q, c);
    out(q, h);
    out(q, s);
    out(q, 2);
    out(q, eot);
    out(q, 0x1b);
    out(q, 0xff);
}

static uint8_t image_byte(uint64_t off)
{
    uint8_t c = 0;
    int fd = open(path, O_RDONLY);

    if (pread(fd, &c, 1, (off_t)off) != 1) {
        abort();
    }
    close(fd);
    return c;
}

TEST(read_by_dma)
{
    QTest *q = floppy_start("");
    uint8_t r[16] = { 0 };

    chip_start(q);
    CHECK_EQ(qtest_inb(q, 0x3f7) & 0x80, 0x80);
    dma_setup(q, 0x20000, 1024, true);
    transfer(q, 0xe6, 3, 1, 17, 18);
    CHECK_EQ(results(q, r), 7u);
    CHECK_EQ(r[0] & 0xc0, 0);
    CHECK_EQ(qtest_readl(q, 0x20000), 3 * 36 + 18 + 16u);
    CHECK_EQ(qtest_readl(q, 0x20200), 3 * 36 + 18 + 17u);
    CHECK_EQ(qtest_inb(q, 0x3f7) & 0x80, 0);
    floppy_end(q);
}

TEST(write_by_dma)
{
    QTest *q = floppy_start("");
    uint8_t r[16] = { 0 };

    chip_start(q);
    qtest_memset(q, 0x20000, 0x77, 512);
    dma_setup(q, 0x20000, 512, false);
    transfer(q, 0xc5, 0, 0, 5, 18);
    CHECK_EQ(results(q, r), 7u);
    CHECK_EQ(r[0] & 0xc0, 0);
    CHECK_EQ(image_byte(4 * 512), 0x77);
    CHECK_EQ(image_byte(5 * 512 - 1), 0x77);
    CHECK_EQ(image_byte(5 * 512), 5);
    floppy_end(q);
}

TEST(write_protected)
{
    QTest *q = floppy_start(",readonly=on");
    uint8_t r[16] = { 0 };

    chip_start(q);
    dma_setup(q, 0x20000, 512, false);
    transfer(q, 0xc5, 0, 0, 5, 18);
    CHECK_EQ(results(q, r), 7u);
    CHECK_EQ(r[0] & 0xc0, 0x40);
    CHECK_EQ(r[1] & 2, 2);
    floppy_end(q);
}

TEST(sectors_that_do_not_exist)
{
    static const uint8_t bad[][3] = {
        { 81, 0, 1 }, { 255, 1, 1 }, { 0, 0, 19 }, { 0, 0, 255 }, { 0, 0, 0 },
    };
    QTest *q = floppy_start("");
    uint8_t r[16];

    chip_start(q);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]) - 1; i++) {
        dma_setup(q, 0x20000, 512, true);
        transfer(q, 0x46, bad[i][0], bad[i][1], bad[i][2], 18);
        CHECK_EQ(results(q, r), 7u);
        CHECK_EQ(r[0] & 0xc0, 0x40);
    }
    floppy_end(q);
}
