/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * LSI53C895A as a driver meets it: SCRIPTS in memory that select a target and
 * follow its phases, with or without a disconnection between; selection of nobody,
 * phase mismatch, waiting for reselection, a controller that comes and goes.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tests/libqtest.h"
#include "tests/tern-test.h"

#define PROGRAM 0x100000u
#define MSG 0x101000u                  /* bytes: IDENTIFY, message in, status */
#define CDB 0x101010u
#define DATA 0x110000u
#define BLOCKS 4096u
enum { R_DSTAT = 0x0c, R_SSTAT1 = 0x0e, R_ISTAT = 0x14, R_DSP = 0x2c,
       R_DSPS = 0x30, R_SIST0 = 0x42, R_SIST1 = 0x43 };
enum { DIP = 1, SIP = 2, SIR = 4 };
enum { DO, DI, COMMAND, STATUS, MO = 6, MI };
/* instructions */
#define SELECT(t) (0x41000000u | (uint32_t)(t) << 16)
#define MOVE(phase, n) (0x08000000u | (uint32_t)(phase) << 24 | (n))
#define JUMP 0x80080000u
#define JUMP_WHEN(phase) (0x800b0000u | (uint32_t)(phase) << 24)
#define JUMP_IF(phase) (0x800a0000u | (uint32_t)(phase) << 24)
#define JUMP_BYTE(b) (0x800c0000u | (b))
#define INT 0x98080000u
#define CLEAR_ACK 0x60000040u
#define WAIT_DISCONNECT 0x48000000u
#define WAIT_RESELECT 0x50000000u
#define AT(n) (PROGRAM + 8u * (n))

typedef struct Chip {
    QTest *q;
    uint64_t regs;
    char image[64];
    uint32_t code;                     /* of the interrupt                    */
    uint8_t status, dstat, sist0, sist1;
} Chip;

static void find(Chip *c)
{
    int devfn = qpci_find(c->q, 0x1000, 0x0012, 0);

    REQUIRE(devfn >= 0);
    c->regs = qpci_map(c->q, (unsigned)devfn, 1, NULL);
    qpci_map(c->q, (unsigned)devfn, 0, NULL);
    qpci_map(c->q, (unsigned)devfn, 2, NULL);
    REQUIRE(c->regs);
}

static Chip start(void)
{
    Chip c = { .image = "/tmp/tern-lsi-XXXXXX" };
    int fd = mkstemp(c.image);

    if (fd < 0 || ftruncate(fd, BLOCKS * 512)) {
        abort();
    }
    close(fd);
    c.q = qtest_start("-machine pc -nodefaults -m 16 -device lsi53c895a,id=l "
                      "-drive if=none,id=d,format=raw,file=%s -device scsi-hd,"
                      "drive=d,bus=l.0,scsi-id=3,id=hd", c.image);
    find(&c);
    return c;
}

static void stop(Chip *c)
{
    qtest_quit(c->q);
    unlink(c->image);
}

/* Runs the program at PROGRAM to its interrupt. */
static void go(Chip *c)
{
    uint8_t istat = 0;

    qtest_writel(c->q, c->regs + R_DSP, PROGRAM);
    for (unsigned i = 0; i < 20000 && !(istat & (DIP | SIP)); i++) {
        istat = qtest_readb(c->q, c->regs + R_ISTAT);
    }
    CHECK(istat & (DIP | SIP));
    c->code = qtest_readl(c->q, c->regs + R_DSPS);
    c->sist0 = qtest_readb(c->q, c->regs + R_SIST0);
    c->sist1 = qtest_readb(c->q, c->regs + R_SIST1);
    c->dstat = qtest_readb(c->q, c->regs + R_DSTAT);
}

static void load(Chip *c, const uint32_t (*w)[2], unsigned n)
{
    qtest_write(c->q, PROGRAM, w, n * sizeof(*w));
}

/* What a driver does for each command: follows the target through its phases. */
static void program(Chip *c, unsigned target, uint32_t cdb_len, uint32_t len)
{
    enum { AGAIN = 3, LOST = 7, IN = 8, OUT = 10, MESSAGE = 12, LEFT = 16,
           ENDING = 22 };
    const uint32_t w[][2] = {
        { SELECT(target), AT(LOST) },
        { MOVE(MO, 1), MSG },
        { MOVE(COMMAND, cdb_len), CDB },
        { JUMP_WHEN(DI), AT(IN) },                         /* AGAIN           */
        { JUMP_IF(DO), AT(OUT) },
        { JUMP_IF(MI), AT(MESSAGE) },
        { JUMP_IF(STATUS), AT(ENDING) },
        { INT, 0x99 },                                     /* LOST            */
        { MOVE(DI, len), DATA },                           /* IN              */
        { JUMP, AT(AGAIN) },
        { MOVE(DO, len), DATA },                           /* OUT             */
        { JUMP, AT(AGAIN) },
        { MOVE(MI, 1), MSG + 1 },                          /* MESSAGE         */
        { JUMP_BYTE(4), AT(LEFT) },
        { CLEAR_ACK, 0 },
        { JUMP, AT(AGAIN) },
        { CLEAR_ACK, 0 },                                  /* LEFT            */
        { WAIT_DISCONNECT, 0 },
        { WAIT_RESELECT, AT(LOST) },
        { MOVE(MI, 1), MSG + 1 },
        { CLEAR_ACK, 0 },
        { JUMP, AT(AGAIN) },
        { MOVE(STATUS, 1), MSG + 2 },                      /* ENDING          */
        { MOVE(MI, 1), MSG + 1 },
        { CLEAR_ACK, 0 },
        { WAIT_DISCONNECT, 0 },
        { INT, 1 },
    };

    load(c, w, sizeof(w) / sizeof(w[0]));
}

/* One command of six or ten bytes that moves len bytes at DATA. */
static uint8_t run(Chip *c, const char *cdb, uint32_t cdb_len, uint32_t len)
{
    const uint8_t messages[3] = { 0xc0, 0xee, 0xee };

    program(c, 3, cdb_len, len);
    qtest_write(c->q, MSG, messages, sizeof(messages));
    qtest_write(c->q, CDB, cdb, cdb_len);
    go(c);
    CHECK_EQ(c->dstat & SIR, SIR);
    CHECK_EQ(c->code, 1u);
    CHECK_EQ(qtest_readb(c->q, MSG + 1), 0);               /* complete        */
    return qtest_readb(c->q, MSG + 2);
}

TEST(commands)
{
    Chip c = start();
    uint8_t b[64];

    CHECK_EQ(run(&c, "\x12\0\0\0\x24\0", 6, 36), 0);
    qtest_read(c.q, DATA, b, 36);
    CHECK(!memcmp(b + 8, "QEMU    QEMU HARDDISK   2.5+", 28));
    CHECK_EQ(run(&c, "\0\0\0\0\0\0", 6, 0), 2);            /* attention       */
    CHECK_EQ(run(&c, "\3\0\0\0\x12\0", 6, 18), 0);
    qtest_read(c.q, DATA, b, 18);
    CHECK_EQ(b[0], 0x70);
    CHECK_EQ(b[2], 6);
    CHECK_EQ(b[12], 0x29);
    CHECK_EQ(run(&c, "\0\0\0\0\0\0", 6, 0), 0);
    CHECK_EQ(run(&c, "\x25\0\0\0\0\0\0\0\0\0", 10, 8), 0);
    qtest_read(c.q, DATA, b, 8);
    CHECK(!memcmp(b, "\0\0\x0f\xff\0\0\2\0", 8));
    /* Something that it does not have. */
    CHECK_EQ(run(&c, "\x0b\0\0\0\0\0", 6, 0), 2);
    CHECK_EQ(run(&c, "\3\0\0\0\x12\0", 6, 18), 0);
    CHECK_EQ(qtest_readb(c.q, DATA + 12), 0x20);
    stop(&c);
}

TEST(data)
{
    Chip c = start();
    uint8_t *out = malloc(65536), *in = malloc(65536);

    CHECK_EQ(run(&c, "\0\0\0\0\0\0", 6, 0), 2);
    for (unsigned i = 0; i < 65536; i++) {
        out[i] = (uint8_t)(i * 7 + (i >> 8));
    }
    qtest_write(c.q, DATA, out, 65536);
    CHECK_EQ(run(&c, "\x2a\0\0\0\1\0\0\0\x80\0", 10, 65536), 0);
    qtest_memset(c.q, DATA, 0xcc, 65536 + 16);
    CHECK_EQ(run(&c, "\x28\0\0\0\1\0\0\0\x80\0", 10, 65536), 0);
    qtest_read(c.q, DATA, in, 65536);
    CHECK(!memcmp(in, out, 65536));
    CHECK_EQ(qtest_readb(c.q, DATA + 65536), 0xcc);
    CHECK_EQ(run(&c, "\x35\0\0\0\0\0\0\0\0\0", 10, 0), 0);
    free(in);
    free(out);
    stop(&c);
}

TEST(nobody_there)
{
    Chip c = start();

    program(&c, 5, 6, 0);
    go(&c);
    CHECK_EQ(c.sist1 & 4, 4);                              /* selection, time */
    CHECK_EQ(run(&c, "\0\0\0\0\0\0", 6, 0), 2);
    stop(&c);
}

/* The target has less than the program wants. */
TEST(phase_mismatch)
{
    Chip c = start();

    program(&c, 3, 6, 96);
    qtest_writeb(c.q, MSG, 0xc0);
    qtest_write(c.q, CDB, "\x12\0\0\0\x24\0", 6);
    go(&c);
    CHECK_EQ(c.sist0 & 0x80, 0x80);
    CHECK_EQ(qtest_readl(c.q, c.regs + 0x24) & 0xffffff, 96u - 36);
    CHECK_EQ(qtest_readb(c.q, c.regs + R_SSTAT1) & 7, STATUS);
    stop(&c);
}

TEST(signal_ends_waiting)
{
    static const uint32_t w[][2] = {
        { WAIT_RESELECT, AT(2) }, { INT, 5 }, { INT, 6 },
    };
    Chip c = start();

    load(&c, w, 3);
    qtest_writel(c.q, c.regs + R_DSP, PROGRAM);
    for (unsigned i = 0; i < 20; i++) {
        CHECK_EQ(qtest_readb(c.q, c.regs + R_ISTAT) & (DIP | SIP), 0);
    }
    qtest_writeb(c.q, c.regs + R_ISTAT, 0x20);             /* SIGP            */
    for (unsigned i = 0; i < 1000 &&
         !(qtest_readb(c.q, c.regs + R_ISTAT) & DIP); i++) {
    }
    CHECK_EQ(qtest_readl(c.q, c.regs + R_DSPS), 6u);
    qtest_readb(c.q, c.regs + R_DSTAT);
    stop(&c);
}

TEST(controller_comes_and_goes)
{
    Chip c = { .q = qtest_start("-machine pc -nodefaults -m 16 -blockdev "
                                "driver=null-co,node-name=n,size=2097152,"
                                "read-zeroes=on") };
    int devfn;

    qtest_qmp_ok(c.q, "{'execute': 'device_add', 'arguments': {'driver': "
                 "'lsi53c895a', 'id': 'l', 'addr': '6'}}");
    qtest_qmp_ok(c.q, "{'execute': 'device_add', 'arguments': {'driver': "
                 "'scsi-hd', 'drive': 'n', 'bus': 'l.0', 'scsi-id': 3}}");
    find(&c);
    devfn = qpci_find(c.q, 0x1000, 0x0012, 0);
    CHECK_EQ(devfn, 6 << 3);
    CHECK_EQ(run(&c, "\0\0\0\0\0\0", 6, 0), 2);
    CHECK_EQ(run(&c, "\x28\0\0\0\1\0\0\0\x80\0", 10, 65536), 0);
    /* A read is under way. */
    qtest_write(c.q, CDB, "\x28\0\0\0\1\0\0\0\x80\0", 10);
    qtest_writel(c.q, c.regs + R_DSP, PROGRAM);
    qtest_qmp_ok(c.q, "{'execute': 'device_del', 'arguments': {'id': 'l'}}");
    qtest_outl(c.q, 0xae10, 0);
    qtest_outl(c.q, 0xae08, 1u << 6);
    free(qtest_event(c.q, "DEVICE_DELETED"));
    CHECK_EQ(qpci_read(c.q, 6 << 3, 0, 4), UINT32_MAX);
    qtest_qmp_ok(c.q, "{'execute': 'blockdev-del', 'arguments': {'node-name': "
                 "'n'}}");
    qtest_quit(c.q);
}
