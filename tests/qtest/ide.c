/* SPDX-License-Identifier: GPL-2.0-or-later */
/* IDE disks and CD-ROM drives as a driver meets them: PIO, DMA, packets. */
#include <fcntl.h>
#include "tests/libqtest.h"
#include "tests/tern-test.h"

#define SECTORS 20480
#define PRD 0x10000
#define BUF 0x20000

static char path[64];

static void image_make(void)
{
    uint8_t sector[512];
    int fd;

    snprintf(path, sizeof(path), "ide-test-%d.raw", getpid());
    fd = open(path, O_CREAT | O_TRUNC | O_RDWR, 0600);
    for (uint32_t i = 0; i < SECTORS; i++) {
        memset(sector, (int)(i * 3 + 1), sizeof(sector));
        memcpy(sector, &i, 4);
        if (write(fd, sector, sizeof(sector)) != sizeof(sector)) {
            abort();
        }
    }
    close(fd);
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

static QTest *disk_start(void)
{
    image_make();
    return qtest_start("-machine pc -m 16 -nodefaults "
                       "-drive file=%s,format=raw,if=ide", path);
}

static void disk_end(QTest *q)
{
    qtest_quit(q);
    unlink(path);
}

static uint8_t wait_ready(QTest *q, uint16_t base)
{
    uint8_t s = 0x80;

    for (int i = 0; i < 10000 && s & 0x80; i++) {
        s = qtest_inb(q, base + 7);
    }
    return s;
}

static void address28(QTest *q, uint32_t lba, uint8_t count)
{
    qtest_outb(q, 0x1f2, count);
    qtest_outb(q, 0x1f3, lba);
    qtest_outb(q, 0x1f4, lba >> 8);
    qtest_outb(q, 0x1f5, lba >> 16);
    qtest_outb(q, 0x1f6, 0xe0 | (lba >> 24 & 15));
}

static void identify_read(QTest *q, uint16_t id[256])
{
    qtest_outb(q, 0x1f6, 0xa0);
    qtest_outb(q, 0x1f7, 0xec);
    CHECK_EQ(wait_ready(q, 0x1f0), 0x58);
    for (int i = 0; i < 256; i++) {
        id[i] = qtest_inw(q, 0x1f0);
    }
}

TEST(a_disk_grows)
{
    QTest *q = disk_start();
    uint16_t id[256];

    identify_read(q, id);              /* without it the peer hears nothing   */
    qtest_qmp_ok(q, "{\"execute\":\"block_resize\",\"arguments\":{"
                 "\"device\":\"ide0-hd0\",\"size\":%u}}", 2 * SECTORS * 512);
    identify_read(q, id);
    CHECK_EQ(id[1], 20);
    CHECK_EQ(id[60] | id[61] << 16, 2 * SECTORS);
    CHECK_EQ(id[100] | id[101] << 16, 2 * SECTORS);
    address28(q, 2 * SECTORS - 1, 1);
    qtest_outb(q, 0x1f7, 0x20);
    CHECK_EQ(wait_ready(q, 0x1f0), 0x58);
    disk_end(q);
}

TEST(identify)
{
    QTest *q = disk_start();
    uint16_t id[256];

    identify_read(q, id);
    CHECK_EQ(id[0], 0x40);
    CHECK_EQ(id[1], 20);
    CHECK_EQ(id[10], 0x514d);           /* "QM00001"                         */
    CHECK_EQ(id[60] | id[61] << 16, SECTORS);
    CHECK_EQ(qtest_inb(q, 0x1f7), 0x50);
    qtest_outb(q, 0x1f7, 0xa1);
    CHECK_EQ(wait_ready(q, 0x1f0), 0x41);
    CHECK_EQ(qtest_inb(q, 0x1f1), 4);
    disk_end(q);
}

TEST(pio_sectors)
{
    QTest *q = disk_start();

    address28(q, 100, 2);
    qtest_outb(q, 0x1f7, 0x20);
    for (unsigned i = 100; i < 102; i++) {
        CHECK_EQ(wait_ready(q, 0x1f0), 0x58);
        CHECK_EQ(qtest_inl(q, 0x1f0), i);
        for (int j = 0; j < 127; j++) {
            CHECK_EQ(qtest_inl(q, 0x1f0), ((i * 3 + 1) & 255) * 0x01010101u);
        }
    }
    CHECK_EQ(wait_ready(q, 0x1f0), 0x50);
    CHECK_EQ(qtest_inb(q, 0x1f3), 102);
    CHECK_EQ(qtest_inb(q, 0x1f2), 0);
    /* A multiple block of four, written. */
    address28(q, 200, 4);
    qtest_outb(q, 0x1f7, 0xc5);
    CHECK_EQ(wait_ready(q, 0x1f0), 0x58);
    for (int j = 0; j < 1024; j++) {
        qtest_outw(q, 0x1f0, 0x5aa5);
    }
    CHECK_EQ(wait_ready(q, 0x1f0), 0x50);
    qtest_outb(q, 0x1f7, 0xe7);
    CHECK_EQ(wait_ready(q, 0x1f0), 0x50);
    CHECK_EQ(image_byte(200 * 512), 0xa5);
    CHECK_EQ(image_byte(204 * 512 - 1), 0x5a);
    CHECK_EQ(image_byte(204 * 512), 204);
    disk_end(q);
}

TEST(beyond_the_end)
{
    QTest *q = disk_start();

    /* The last sector comes, the next does not. */
    address28(q, SECTORS - 1, 2);
    qtest_outb(q, 0x1f7, 0x20);
    CHECK_EQ(wait_ready(q, 0x1f0), 0x58);
    for (int i = 0; i < 128; i++) {
        qtest_inl(q, 0x1f0);
    }
    CHECK_EQ(wait_ready(q, 0x1f0), 0x41);
    CHECK_EQ(qtest_inb(q, 0x1f1), 4);
    /* CHS sector 0. */
    address28(q, 0, 1);
    qtest_outb(q, 0x1f6, 0xa0);
    qtest_outb(q, 0x1f7, 0x20);
    CHECK_EQ(wait_ready(q, 0x1f0) & 1, 1);
    disk_end(q);
}

static uint16_t dma_start(QTest *q)
{
    int devfn = qpci_find(q, 0x8086, 0x7010, 0);

    return (uint16_t)qpci_map(q, (unsigned)devfn, 4, NULL);
}

static void prd_put(QTest *q, unsigned n, uint32_t addr, uint32_t len, bool last)
{
    qtest_writel(q, PRD + n * 8, addr);
    qtest_writel(q, PRD + n * 8 + 4, (len & 0xffff) | (last ? 1u << 31 : 0));
}

static uint8_t dma_run(QTest *q, uint16_t bm, uint8_t cmd, bool to_memory)
{
    qtest_outl(q, bm + 4, PRD);
    qtest_outb(q, bm + 2, 0x66);
    qtest_outb(q, bm, to_memory ? 8 : 0);
    qtest_outb(q, 0x1f7, cmd);
    qtest_outb(q, bm, to_memory ? 9 : 1);
    for (int i = 0; i < 10000; i++) {
        uint8_t s = qtest_inb(q, bm + 2);

        if (s & 4 || !(s & 1)) {
            return s;
        }
    }
    return 0xff;
}

TEST(dma_both_ways)
{
    QTest *q = disk_start();
    uint16_t bm = dma_start(q);
    uint8_t st;

    REQUIRE(bm);
    /* Pieces that split a sector. */
    prd_put(q, 0, BUF, 100, false);
    prd_put(q, 1, BUF + 0x1000, 0x10000, false);
    prd_put(q, 2, BUF + 0x20000, 131072 - 65536 - 100, true);
    address28(q, 1000, 0);
    st = dma_run(q, bm, 0xc8, true);
    CHECK_EQ(st & 7, 4);
    qtest_outb(q, bm, 0);
    CHECK_EQ(wait_ready(q, 0x1f0), 0x50);
    CHECK_EQ(qtest_readl(q, BUF), 1000u);
    CHECK_EQ(qtest_readb(q, BUF + 0x1000), (1000 * 3 + 1) & 255);
    CHECK_EQ(qtest_readl(q, BUF + 0x1000 + 512 - 100), 1001u);
    CHECK_EQ(qtest_readl(q, BUF + 0x20000 + 131072 - 65536 - 100 - 512), 1255u);
    /* And back, elsewhere, with a table that is too long. */
    prd_put(q, 0, BUF + 0x20000, 4096, true);
    qtest_memset(q, BUF + 0x20000, 0xc3, 4096);
    address28(q, 5000, 4);
    st = dma_run(q, bm, 0xca, false);
    CHECK_EQ(st & 7, 5);
    qtest_outb(q, bm, 0);
    CHECK_EQ(qtest_inb(q, bm + 2) & 1, 0);
    CHECK_EQ(image_byte(5000 * 512), 0xc3);
    CHECK_EQ(image_byte(5004 * 512 - 1), 0xc3);
    CHECK_EQ(image_byte(5004 * 512), 5004 & 255);
    disk_end(q);
}

TEST(dma_with_a_table_too_short)
{
    QTest *q = disk_start();
    uint16_t bm = dma_start(q);

    REQUIRE(bm);
    prd_put(q, 0, BUF, 700, true);
    address28(q, 10, 8);
    CHECK_EQ(dma_run(q, bm, 0xc8, true) & 1, 0);
    CHECK_EQ(wait_ready(q, 0x1f0) & 0x89, 0);
    /* Not memory at all. */
    prd_put(q, 0, 0xf0000000, 4096, true);
    address28(q, 10, 8);
    CHECK_EQ(dma_run(q, bm, 0xc8, true) & 1, 0);
    qtest_outb(q, 0x1f7, 0xe7);
    CHECK_EQ(wait_ready(q, 0x1f0), 0x50);
    disk_end(q);
}

TEST(long_addresses)
{
    QTest *q = disk_start();

    qtest_outb(q, 0x1f6, 0xe0);
    for (int i = 2; i <= 5; i++) {
        qtest_outb(q, 0x1f0 + i, 0);
    }
    qtest_outb(q, 0x1f2, 1);
    qtest_outb(q, 0x1f3, 0x34);
    qtest_outb(q, 0x1f4, 0x12);
    qtest_outb(q, 0x1f5, 0);
    qtest_outb(q, 0x1f7, 0x24);
    CHECK_EQ(wait_ready(q, 0x1f0), 0x58);
    CHECK_EQ(qtest_inl(q, 0x1f0), 0x1234u);
    /* A high byte that leads far beyond the disk. */
    qtest_outb(q, 0x3f6, 4);
    qtest_outb(q, 0x3f6, 0);
    qtest_outb(q, 0x1f6, 0xe0);
    qtest_outb(q, 0x1f5, 0xff);
    qtest_outb(q, 0x1f5, 0);
    qtest_outb(q, 0x1f2, 0);
    qtest_outb(q, 0x1f2, 1);
    qtest_outb(q, 0x1f7, 0x24);
    CHECK_EQ(wait_ready(q, 0x1f0), 0x41);
    disk_end(q);
}

TEST(software_reset)
{
    QTest *q = disk_start();

    address28(q, 1, 1);
    qtest_outb(q, 0x1f7, 0x20);
    qtest_outb(q, 0x3f6, 4);
    qtest_outb(q, 0x3f6, 0);
    CHECK_EQ(wait_ready(q, 0x1f0), 0x50);
    CHECK_EQ(qtest_inb(q, 0x1f1), 1);
    CHECK_EQ(qtest_inb(q, 0x1f2), 1);
    CHECK_EQ(qtest_inb(q, 0x1f3), 1);
    CHECK_EQ(qtest_inb(q, 0x1f4), 0);
    disk_end(q);
}

/* ---- security ------------------------------------------------------------ */

static QTest *safe_start(void)
{
    image_make();
    return qtest_start("-machine pc -m 16 -nodefaults "
                       "-drive file=%s,format=raw,if=none,id=d "
                       "-device ide-hd,drive=d,bus=ide.0,security=on", path);
}

/* A command that takes a password; what the block's first word says. */
static uint8_t secret(QTest *q, uint8_t cmd, uint16_t how, const char *word)
{
    uint8_t b[512] = { (uint8_t)how, (uint8_t)(how >> 8) };

    memcpy(b + 2, word, strlen(word));
    qtest_outb(q, 0x1f6, 0xa0);
    qtest_outb(q, 0x1f7, cmd);
    if (wait_ready(q, 0x1f0) == 0x58) {
        for (int i = 0; i < 512; i += 2) {
            qtest_outw(q, 0x1f0, (uint16_t)(b[i] | b[i + 1] << 8));
        }
    }
    return wait_ready(q, 0x1f0);
}

static uint8_t plain(QTest *q, uint8_t cmd)
{
    address28(q, 100, 1);
    qtest_outb(q, 0x1f7, cmd);
    return wait_ready(q, 0x1f0);
}

static uint16_t word_of(QTest *q, int word)
{
    uint16_t v = 0;

    CHECK_EQ(plain(q, 0xec), 0x58);
    for (int i = 0; i < 256; i++) {
        uint16_t w = qtest_inw(q, 0x1f0);

        v = i == word ? w : v;
    }
    return v;
}

static uint8_t sector_read(QTest *q)
{
    uint8_t st = plain(q, 0x20);

    for (int i = 0; i < 128 && st == 0x58; i++) {
        qtest_inl(q, 0x1f0);
    }
    return st;
}

static void power_cycle(QTest *q)
{
    qtest_qmp_ok(q, "{'execute': 'system_reset'}");
    qtest_qmp_ok(q, "{'execute': 'query-status'}");
}

TEST(security_locks_at_power_on)
{
    QTest *q = safe_start();

    CHECK_EQ(word_of(q, 82) & 2, 2);
    CHECK_EQ(word_of(q, 92), 0xfffe);
    CHECK_EQ(word_of(q, 128), 1);
    CHECK_EQ(secret(q, 0xf1, 0, "open sesame"), 0x50);
    CHECK_EQ(word_of(q, 85) & 2, 2);
    CHECK_EQ(word_of(q, 128), 3);
    CHECK_EQ(sector_read(q), 0x58);
    qtest_outb(q, 0x3f6, 4);                       /* no power cycle           */
    qtest_outb(q, 0x3f6, 0);
    CHECK_EQ(sector_read(q), 0x58);
    power_cycle(q);
    CHECK_EQ(word_of(q, 128), 7);
    CHECK_EQ(sector_read(q), 0x41);
    CHECK_EQ(qtest_inb(q, 0x1f1), 4);
    CHECK_EQ(plain(q, 0xca), 0x41);
    CHECK_EQ(secret(q, 0xf1, 0, "another"), 0x41);
    CHECK_EQ(secret(q, 0xf2, 0, "open wheat"), 0x41);
    CHECK_EQ(sector_read(q), 0x41);
    CHECK_EQ(secret(q, 0xf2, 0, "open sesame"), 0x50);
    CHECK_EQ(sector_read(q), 0x58);
    CHECK_EQ(secret(q, 0xf6, 0, "open wheat"), 0x41);
    CHECK_EQ(secret(q, 0xf6, 0, "open sesame"), 0x50);
    CHECK_EQ(word_of(q, 128), 1);
    power_cycle(q);
    CHECK_EQ(sector_read(q), 0x58);
    disk_end(q);
}

TEST(security_counts_wrong_passwords)
{
    QTest *q = safe_start();

    CHECK_EQ(secret(q, 0xf1, 1, "master"), 0x50);
    CHECK_EQ(secret(q, 0xf1, 0x100, "user"), 0x50);
    power_cycle(q);
    CHECK_EQ(word_of(q, 128), 0x107);
    /* At the maximum level the master does not open. */
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(secret(q, 0xf2, 1, "master"), 0x41);
    }
    CHECK_EQ(word_of(q, 128), 0x117);
    CHECK_EQ(secret(q, 0xf2, 0, "user"), 0x41);
    power_cycle(q);
    CHECK_EQ(secret(q, 0xf2, 0, "user"), 0x50);
    CHECK_EQ(plain(q, 0xf5), 0x50);
    CHECK_EQ(word_of(q, 128), 0x10b);
    CHECK_EQ(secret(q, 0xf6, 0, "user"), 0x41);    /* frozen                   */
    disk_end(q);
}

TEST(security_erases)
{
    QTest *q = safe_start();

    CHECK_EQ(secret(q, 0xf1, 1, "master"), 0x50);
    CHECK_EQ(secret(q, 0xf1, 0x100, "user"), 0x50);
    power_cycle(q);
    CHECK_EQ(secret(q, 0xf4, 1, "master"), 0x41);  /* not prepared             */
    CHECK_EQ(plain(q, 0xf3), 0x50);
    CHECK_EQ(word_of(q, 128), 0x107);
    CHECK_EQ(secret(q, 0xf4, 1, "master"), 0x41);  /* not just before          */
    CHECK_EQ(image_byte(612), 4);
    CHECK_EQ(plain(q, 0xf3), 0x50);
    CHECK_EQ(secret(q, 0xf4, 1, "master"), 0x50);
    CHECK_EQ(word_of(q, 128), 1);
    CHECK_EQ(sector_read(q), 0x58);
    for (uint64_t i = 0; i < SECTORS; i += 97) {
        CHECK_EQ(image_byte(i * 512 + 100), 0);
    }
    disk_end(q);
}

/* Not asked for, it is not there. */
TEST(security_is_off)
{
    QTest *q = disk_start();

    CHECK_EQ(word_of(q, 82) & 2, 0);
    CHECK_EQ(word_of(q, 128), 0);
    CHECK_EQ(secret(q, 0xf1, 0, "open"), 0x41);
    CHECK_EQ(plain(q, 0xf5), 0x50);
    disk_end(q);
}

/* ---- CD-ROM -------------------------------------------------------------- */

static uint8_t packet(QTest *q, const uint8_t p[12], uint16_t limit)
{
    qtest_outb(q, 0x176, 0xa0);
    qtest_outb(q, 0x171, 0);
    qtest_outb(q, 0x174, limit);
    qtest_outb(q, 0x175, limit >> 8);
    qtest_outb(q, 0x177, 0xa0);
    CHECK_EQ(wait_ready(q, 0x170) & 0x88, 8);
    CHECK_EQ(qtest_inb(q, 0x172) & 3, 1);
    for (int i = 0; i < 12; i += 2) {
        qtest_outw(q, 0x170, (uint16_t)(p[i] | p[i + 1] << 8));
    }
    return wait_ready(q, 0x170);
}

TEST(cdrom)
{
    QTest *q;
    uint8_t st;

    image_make();
    q = qtest_start("-machine pc -m 16 -nodefaults "
                    "-drive file=%s,format=raw,if=ide,index=2,media=cdrom",
                    path);
    CHECK_EQ(qtest_inb(q, 0x174), 0x14);
    CHECK_EQ(qtest_inb(q, 0x175), 0xeb);
    /* READ(10) of two blocks from 50, in pieces of 1,000 bytes. */
    st = packet(q, (const uint8_t[12]){ 0x28, 0, 0, 0, 0, 50, 0, 0, 2 }, 1000);
    CHECK_EQ(st, 0x58);
    CHECK_EQ(qtest_inb(q, 0x172) & 3, 2);
    CHECK_EQ(qtest_inb(q, 0x174) | qtest_inb(q, 0x175) << 8, 1000);
    CHECK_EQ(qtest_inl(q, 0x170), 200u);
    for (int i = 0; i < 249; i++) {
        qtest_inl(q, 0x170);
    }
    CHECK_EQ(wait_ready(q, 0x170), 0x58);
    for (int i = 0; i < 4; i++) {
        int n = (qtest_inb(q, 0x174) | qtest_inb(q, 0x175) << 8) / 2;

        while (n-- > 0) {
            qtest_inw(q, 0x170);
        }
        st = wait_ready(q, 0x170);
    }
    CHECK_EQ(st, 0x50);
    CHECK_EQ(qtest_inb(q, 0x172) & 3, 3);
    /* Capacity. */
    CHECK_EQ(packet(q, (const uint8_t[12]){ 0x25 }, 8), 0x58);
    CHECK_EQ(__builtin_bswap32(qtest_inl(q, 0x170)), (uint32_t)(SECTORS / 4 - 1));
    CHECK_EQ(__builtin_bswap32(qtest_inl(q, 0x170)), (uint32_t)(2048));
    CHECK_EQ(wait_ready(q, 0x170), 0x50);
    /* Beyond the end: illegal request, out of range. */
    st = packet(q, (const uint8_t[12]){ 0x28, 0, 0xff, 0xff, 0xff, 0xff, 0, 0,
                                        2 }, 2048);
    CHECK_EQ(st & 1, 1);
    CHECK_EQ(qtest_inb(q, 0x171), 0x50);
    CHECK_EQ(packet(q, (const uint8_t[12]){ 3, 0, 0, 0, 18 }, 18), 0x58);
    CHECK_EQ(qtest_inw(q, 0x170) & 0xff, 0xf0);
    CHECK_EQ(qtest_inw(q, 0x170) & 0xff, 5);
    qtest_quit(q);
    unlink(path);
}

static QTest *cd_start(void)
{
    image_make();
    return qtest_start("-machine pc -m 16 -nodefaults "
                       "-drive file=%s,format=raw,if=ide,index=2,media=cdrom",
                       path);
}

static uint32_t block_bytes(QTest *q)
{
    return qtest_inb(q, 0x174) | (uint32_t)qtest_inb(q, 0x175) << 8;
}

/* 35 blocks are one stream, cut by the byte count and by nothing else: not by a
 * buffer's end, nor by what the last piece left in the registers. */
TEST(cd_stream_is_cut_by_the_byte_count)
{
    QTest *q = cd_start();
    uint32_t left = 35 * 2048, at = 0;

    CHECK_EQ(packet(q, (const uint8_t[12]){ 0x28, 0, 0, 0, 0, 8, 0, 0, 35 },
                    30000), 0x58);
    while (left) {
        uint32_t n = block_bytes(q);

        CHECK(n == (left < 30000 ? left : 30000));
        for (uint32_t i = 0; i < n; i += 4, at += 4) {
            uint32_t v = qtest_inl(q, 0x170), s = 32 + at / 512;

            if (at % 512 == 0) {
                CHECK_EQ(v, s);
            } else if (v != ((s * 3 + 1) & 255) * 0x01010101u) {
                CHECK_EQ(at, 0u);
            }
        }
        left -= n;
        CHECK_EQ(wait_ready(q, 0x170), left ? 0x58 : 0x50);
    }
    disk_end(q);
}

TEST(cd_byte_count_of_none_is_refused)
{
    QTest *q = cd_start();

    CHECK_EQ(packet(q, (const uint8_t[12]){ 0x12, 0, 0, 0, 36 }, 0), 0x41);
    CHECK_EQ(qtest_inb(q, 0x171), 4);
    CHECK_EQ(packet(q, (const uint8_t[12]){ 0 }, 0), 0x50);
    disk_end(q);
}

TEST(cd_lock_and_tray_end_with_a_reset)
{
    QTest *q = cd_start();

    CHECK_EQ(packet(q, (const uint8_t[12]){ 0x1e, 0, 0, 0, 1 }, 0), 0x50);
    CHECK_EQ(packet(q, (const uint8_t[12]){ 0x1b, 0, 0, 0, 2 }, 0), 0x41);
    qtest_outb(q, 0x177, 8);                       /* DEVICE RESET             */
    CHECK_EQ(qtest_inb(q, 0x174), 0x14);
    CHECK_EQ(packet(q, (const uint8_t[12]){ 0x1b, 0, 0, 0, 2 }, 0), 0x50);
    CHECK_EQ(packet(q, (const uint8_t[12]){ 0 }, 0), 0x41);
    qtest_outb(q, 0x177, 8);
    CHECK_EQ(packet(q, (const uint8_t[12]){ 0 }, 0), 0x50);
    disk_end(q);
}

/* A disc that the user changed: gone, then another; by REQUEST SENSE it is over. */
TEST(cd_change_is_told_in_two_steps)
{
    QTest *q = cd_start();

    qtest_qmp_ok(q, "{'execute': 'blockdev-change-medium', 'arguments': {"
                 "'device': 'ide1-cd0', 'filename': '%s', 'format': 'raw'}}",
                 path);
    CHECK_EQ(packet(q, (const uint8_t[12]){ 0 }, 0), 0x41);
    CHECK_EQ(qtest_inb(q, 0x171), 0x20);
    CHECK_EQ(packet(q, (const uint8_t[12]){ 0 }, 0), 0x41);
    CHECK_EQ(qtest_inb(q, 0x171), 0x60);
    CHECK_EQ(packet(q, (const uint8_t[12]){ 0 }, 0), 0x01);
    CHECK_EQ(packet(q, (const uint8_t[12]){ 3, 0, 0, 0, 4 }, 18), 0x58);
    CHECK_EQ(qtest_inl(q, 0x170), (uint32_t)0x000600f0);
    CHECK_EQ(packet(q, (const uint8_t[12]){ 0 }, 0), 0x50);
    disk_end(q);
}

TEST(empty_cdrom)
{
    QTest *q = qtest_start("-machine pc -m 16 -nodefaults -drive "
                           "if=ide,index=2,media=cdrom");

    CHECK_EQ(packet(q, (const uint8_t[12]){ 0 }, 0), 0x41);
    CHECK_EQ(qtest_inb(q, 0x171), 0x20);
    qtest_quit(q);
}
