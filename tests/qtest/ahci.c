/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ich9-ahci: a disk and a CD-ROM drive through command lists and PRD tables, by
 * PIO, DMA, packets and native queueing; errors and resets.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tests/libqtest.h"
#include "tests/tern-test.h"

#define DISK (8 << 20)
#define LIST 0x100000                  /* of port n: + n * 0x10000            */
#define FIS 0x108000
#define TABLES 0x200000                /* of slot n: + n * 0x1000             */
#define DATA 0x400000
enum { GHC = 4, IS = 8, P_CLB = 0, P_FB = 8, P_IS = 0x10, P_IE = 0x14,
       P_CMD = 0x18, P_TFD = 0x20, P_SIG = 0x24, P_SSTS = 0x28, P_SCTL = 0x2c,
       P_SACT = 0x34, P_CI = 0x38 };

typedef struct Ahci {
    char image[64];
    QTest *q;
    uint64_t bar;
    unsigned devfn;
} Ahci;

static uint32_t get(Ahci *a, unsigned port, unsigned reg)
{
    return qtest_readl(a->q, a->bar + 0x100 + 0x80 * port + reg);
}

static void set(Ahci *a, unsigned port, unsigned reg, uint32_t v)
{
    qtest_writel(a->q, a->bar + 0x100 + 0x80 * port + reg, v);
}

static void start_port(Ahci *a, unsigned n)
{
    set(a, n, P_CLB, LIST + n * 0x10000);
    set(a, n, P_FB, FIS + n * 0x10000);
    set(a, n, P_IE, UINT32_MAX);
    set(a, n, P_CMD, 0x16);
    set(a, n, P_SCTL, 1);
    usleep(2000);
    set(a, n, P_SCTL, 0);
    for (int i = 0; i < 1000 && get(a, n, P_TFD) & 0x88; i++) {
        usleep(1000);
    }
    set(a, n, P_IS, UINT32_MAX);
    set(a, n, P_CMD, 0x17);
}

static Ahci *start(void)
{
    Ahci *a = calloc(1, sizeof(*a));
    int fd;

    strcpy(a->image, "/tmp/tern-ahci-XXXXXX");
    fd = mkstemp(a->image);
    if (fd < 0 || ftruncate(fd, DISK)) {
        abort();
    }
    close(fd);
    a->q = qtest_start("-machine pc -nodefaults -m 16 -device ich9-ahci,id=a,"
                       "addr=5 -blockdev driver=file,node-name=f,filename=%s "
                       "-blockdev driver=raw,node-name=d,file=f -device ide-hd,"
                       "drive=d,bus=a.0 -blockdev driver=null-co,node-name=n,"
                       "size=104857600,read-zeroes=on,read-only=on -device "
                       "ide-cd,drive=n,bus=a.1", a->image);
    a->devfn = 5 << 3;
    a->bar = qpci_map(a->q, a->devfn, 5, NULL);
    qtest_writel(a->q, a->bar + GHC, 0x80000002);
    start_port(a, 0);
    start_port(a, 1);
    return a;
}

static void stop(Ahci *a)
{
    qtest_quit(a->q);
    unlink(a->image);
    free(a);
}

typedef struct Cmd {
    uint8_t op, feature;
    uint64_t lba;
    uint16_t count;
    uint32_t bytes;                    /* of data                             */
    uint32_t piece;                    /* bytes of a PRD entry; 0: one entry  */
    bool write;
    const uint8_t *packet;
    bool queued;
} Cmd;

static void prepare(Ahci *a, unsigned port, unsigned slot, const Cmd *c)
{
    uint64_t table = TABLES + slot * 0x1000, at = DATA + slot * 0x20000;
    uint32_t piece = c->piece ? c->piece : c->bytes, n = 0;
    uint8_t f[0x40] = { 0x27, 0x80, c->op };

    f[3] = c->queued ? (uint8_t)c->count : c->feature;
    f[11] = c->queued ? (uint8_t)(c->count >> 8) : 0;
    for (unsigned i = 0; i < 3; i++) {
        f[4 + i] = (uint8_t)(c->lba >> 8 * i);
        f[8 + i] = (uint8_t)(c->lba >> (24 + 8 * i));
    }
    f[7] = 0x40;
    f[12] = c->queued ? (uint8_t)(slot << 3) : (uint8_t)c->count;
    f[13] = c->queued ? 0 : (uint8_t)(c->count >> 8);
    qtest_write(a->q, table, f, sizeof(f));
    if (c->packet) {
        qtest_write(a->q, table + 0x40, c->packet, 12);
    }
    for (uint32_t left = c->bytes; left; n++) {
        uint32_t len = left < piece ? left : piece;

        qtest_writeq(a->q, table + 0x80 + 16 * n, at);
        qtest_writel(a->q, table + 0x80 + 16 * n + 12, len - 1);
        at += len;
        left -= len;
    }
    table |= 0;
    qtest_writel(a->q, LIST + port * 0x10000 + 32 * slot,
                 5 | (c->packet ? 0x20 : 0) | (c->write ? 0x40 : 0) | n << 16);
    qtest_writel(a->q, LIST + port * 0x10000 + 32 * slot + 4, 0);
    qtest_writeq(a->q, LIST + port * 0x10000 + 32 * slot + 8, table);
}

static void wait_for(Ahci *a, unsigned port, unsigned reg, uint32_t mask)
{
    for (int i = 0; i < 5000 && get(a, port, reg) & mask; i++) {
        if (get(a, port, P_IS) & 1u << 30) {
            break;
        }
        usleep(1000);
    }
}

/* Runs it in slot 0; the task file's status. */
static uint8_t run(Ahci *a, unsigned port, const Cmd *c)
{
    prepare(a, port, 0, c);
    set(a, port, P_IS, UINT32_MAX);
    set(a, port, P_CI, 1);
    wait_for(a, port, P_CI, 1);
    return (uint8_t)get(a, port, P_TFD);
}

TEST(controller)
{
    Ahci *a = start();

    CHECK_EQ(qpci_read(a->q, a->devfn, 0, 4), 0x29228086u);
    CHECK_EQ(qpci_read(a->q, a->devfn, 8, 4), 0x01060102u);
    CHECK_EQ(qtest_readl(a->q, a->bar), 0xc0141f05u);
    CHECK_EQ(qtest_readl(a->q, a->bar + 0x0c), 0x3fu);
    CHECK_EQ(get(a, 0, P_SSTS), 0x113u);
    CHECK_EQ(get(a, 1, P_SSTS), 0x113u);
    CHECK_EQ(get(a, 2, P_SSTS), 0u);
    CHECK_EQ(get(a, 0, P_SIG), 0x101u);
    CHECK_EQ(get(a, 1, P_SIG), 0xeb140101u);
    stop(a);
}

TEST(identify_by_pio)
{
    Ahci *a = start();
    Cmd c = { .op = 0xec, .bytes = 512, .piece = 100 };
    uint16_t id[256];

    CHECK_EQ(run(a, 0, &c) & 0x89, 0);
    qtest_read(a->q, DATA, id, 512);
    CHECK_EQ(id[0], 0x0040);
    CHECK_EQ(id[75], 31);
    CHECK_EQ(id[76] & 0x100, 0x100);
    CHECK_EQ(id[100] | id[101] << 16, DISK / 512);
    CHECK_EQ(qtest_readl(a->q, LIST + 4), 512u);
    c.op = 0xa1;
    CHECK_EQ(run(a, 1, &c) & 0x89, 0);
    qtest_read(a->q, DATA, id, 512);
    CHECK_EQ(id[0], 0x85c0);
    stop(a);
}

static void pattern(uint8_t *b, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++) {
        b[i] = (uint8_t)(i * 5 + seed + (i >> 9));
    }
}

static void there_and_back(Ahci *a, uint8_t wr, uint8_t rd, bool queued,
                           uint32_t piece)
{
    static uint8_t out[65536], in[65536];
    Cmd w = { .op = wr, .lba = 0x123, .count = 128, .bytes = sizeof(out),
              .piece = piece, .write = true, .queued = queued };
    Cmd r = { .op = rd, .lba = 0x123, .count = 128, .bytes = sizeof(in),
              .piece = piece, .queued = queued };

    pattern(out, sizeof(out), wr);
    qtest_write(a->q, DATA, out, sizeof(out));
    if (queued) {
        set(a, 0, P_SACT, 1);
    }
    CHECK_EQ(run(a, 0, &w) & 0x89, 0);
    wait_for(a, 0, P_SACT, 1);
    qtest_memset(a->q, DATA, 0, sizeof(out));
    if (queued) {
        set(a, 0, P_SACT, 1);
    }
    CHECK_EQ(run(a, 0, &r) & 0x89, 0);
    wait_for(a, 0, P_SACT, 1);
    qtest_read(a->q, DATA, in, sizeof(in));
    CHECK(!memcmp(in, out, sizeof(in)));
}

TEST(data)
{
    Ahci *a = start();

    there_and_back(a, 0x35, 0x25, false, 0);       /* DMA                     */
    there_and_back(a, 0x35, 0x25, false, 1536);
    there_and_back(a, 0x34, 0x24, false, 1000);    /* PIO                     */
    there_and_back(a, 0x61, 0x60, true, 0);        /* queued                  */
    there_and_back(a, 0x61, 0x60, true, 4098);
    CHECK_NE(get(a, 0, P_IS), 0u);
    CHECK_EQ(qtest_readl(a->q, a->bar + IS) & 1, 1u);
    stop(a);
}

TEST(many_queued)
{
    Ahci *a = start();
    uint8_t b[1024];

    for (unsigned i = 0; i < 31; i++) {
        Cmd c = { .op = 0x61, .lba = 2 * i, .count = 2, .bytes = 1024,
                  .write = true, .queued = true };

        prepare(a, 0, i, &c);
        pattern(b, sizeof(b), i);
        qtest_write(a->q, DATA + i * 0x20000, b, sizeof(b));
    }
    set(a, 0, P_SACT, 0x7fffffff);
    set(a, 0, P_CI, 0x7fffffff);
    wait_for(a, 0, P_SACT, UINT32_MAX);
    CHECK_EQ(get(a, 0, P_SACT), 0u);
    CHECK_EQ(get(a, 0, P_CI), 0u);
    for (unsigned i = 0; i < 31; i++) {
        Cmd c = { .op = 0x25, .lba = 2 * i, .count = 2, .bytes = 1024 };
        uint8_t got[1024];

        pattern(b, sizeof(b), i);
        CHECK_EQ(run(a, 0, &c) & 0x89, 0);
        qtest_read(a->q, DATA, got, sizeof(got));
        CHECK(!memcmp(b, got, sizeof(b)));
    }
    stop(a);
}

TEST(packets)
{
    static const uint8_t inquiry[12] = { 0x12, 0, 0, 0, 36 };
    static const uint8_t tur[12] = { 0 };
    static const uint8_t rd[12] = { 0x28, 0, 0, 0, 0, 16, 0, 0, 4 };
    Ahci *a = start();
    Cmd c = { .op = 0xa0, .bytes = 36, .packet = inquiry, .lba = 36 << 8 };
    uint8_t b[36];

    CHECK_EQ(run(a, 1, &c) & 0x89, 0);
    qtest_read(a->q, DATA, b, sizeof(b));
    CHECK(!memcmp(b + 8, "QEMU    QEMU DVD-ROM    ", 24));
    c = (Cmd){ .op = 0xa0, .packet = tur };
    run(a, 1, &c);
    start_port(a, 1);
    c = (Cmd){ .op = 0xa0, .packet = rd, .bytes = 8192, .feature = 1 };
    qtest_memset(a->q, DATA, 0xee, 8192);
    CHECK_EQ(run(a, 1, &c) & 0x89, 0);
    CHECK_EQ(qtest_readb(a->q, DATA + 8191), 0);
    stop(a);
}

TEST(errors_stop_the_port)
{
    Ahci *a = start();
    Cmd bad = { .op = 0x25, .lba = DISK / 512, .count = 1, .bytes = 512 };
    Cmd good = { .op = 0x25, .lba = 0, .count = 1, .bytes = 512 };

    CHECK_EQ(run(a, 0, &bad) & 1, 1);
    CHECK_EQ(get(a, 0, P_IS) >> 30 & 1, 1u);
    set(a, 0, P_CMD, 0x16);
    CHECK_EQ(get(a, 0, P_CMD) & 0x8000, 0u);
    CHECK_EQ(get(a, 0, P_CI), 0u);
    start_port(a, 0);
    CHECK_EQ(run(a, 0, &good) & 0x89, 0);
    stop(a);
}

TEST(ports_take_no_drive_later)
{
    Ahci *a = start();
    char *said = qtest_qmp(a->q, "{'execute': 'device_add', 'arguments': {"
                           "'driver': 'ide-cd', 'bus': 'a.4'}}");

    CHECK_CONTAINS(said, "Bus 'a.4' does not support hotplugging");
    free(said);
    stop(a);
}

TEST(controller_leaves_under_load)
{
    Ahci *a = start();

    for (unsigned i = 0; i < 31; i++) {
        Cmd c = { .op = 0x61, .lba = 128 * i, .count = 128, .bytes = 65536,
                  .write = true, .queued = true };

        prepare(a, 0, i, &c);
    }
    set(a, 0, P_SACT, 0x7fffffff);
    set(a, 0, P_CI, 0x7fffffff);
    qtest_qmp_ok(a->q, "{'execute': 'device_del', 'arguments': {'id': 'a'}}");
    qtest_outl(a->q, 0xae10, 0);
    qtest_outl(a->q, 0xae08, 1u << 5);
    free(qtest_event(a->q, "DEVICE_DELETED"));
    CHECK_EQ(qpci_read(a->q, a->devfn, 0, 4), UINT32_MAX);
    stop(a);
}
