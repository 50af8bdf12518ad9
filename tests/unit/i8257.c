/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Transfers through the board's DMA controllers, to and from a device of the
 * test's.
 */
#include "pc.h"
#include "tests/board-start.h"

#define NONE MEM_ATTRS_NONE

typedef struct Taker {
    IsaDma *dma;
    uint8_t data[200000];
    int at, most;                      /* position in data; bytes per call    */
    bool to_memory, keep;
    unsigned calls;
    int len;
} Taker;

static Taker t;

static int taker_run(void *dev, int channel, int pos, int len)
{
    int n = len - pos, done;

    if (t.most && n > t.most) {
        n = t.most;
    }
    t.calls++;
    t.len = len;
    done = t.dma->xfer(t.dma->chip, channel, t.data + t.at, pos, n,
                       t.to_memory);
    t.at += done;
    if (pos + done == len && !t.keep) {
        t.dma->hold(t.dma->chip, channel, false);
    }
    return pos + done;
}

static void out(uint16_t port, uint8_t v)
{
    mem_store(&mem_io, port, 1, v, NONE);
}

static uint8_t in(uint16_t port)
{
    uint64_t v = 0;

    mem_load(&mem_io, port, 1, &v, NONE);
    return v;
}

static unsigned in16(uint16_t port, uint16_t clear)
{
    unsigned v;

    out(clear, 0);
    v = in(port);
    return v | in(port) << 8;
}

/* The lock stays held: one thread, one test after the other. */
static void board(int channel) TSA(assert_capability(machine_domain));
static NO_TSA void board(int channel)
{
    static const char *argv[] = {
        "tern", "-accel", "qtest", "-machine", "pc", "-m", "16",
        "-nodefaults", "-display", "none", NULL,
    };

    board_start(ARRAY_SIZE(argv) - 1, argv);
    devices_reset(RESET_COLD);
    memset(&t, 0, sizeof(t));
    t.dma = isa_dma(pc->isa, channel);
    t.dma->attach(t.dma->chip, channel, taker_run, NULL);
    mem_set(&mem_system, 0, 0, 1 * MiB, NONE);
}

static NO_TSA void settle(void)
{
    for (int i = 0; i < 3; i++) {
        loop_step(false);
    }
}

static void set_up_8(int ch, uint8_t mode, uint32_t at, unsigned n)
{
    static const uint16_t page[] = { 0x87, 0x83, 0x81, 0x82 };

    out(0x0a, 4 | ch);
    out(0x0b, mode | ch);
    out(0x0c, 0);
    out(2 * ch, at);
    out(2 * ch, at >> 8);
    out(page[ch], at >> 16);
    out(2 * ch + 1, n - 1);
    out(2 * ch + 1, (n - 1) >> 8);
    out(0x0a, ch);
}

static uint8_t byte(uint64_t at)
{
    uint8_t v = 0;

    mem_read(&mem_system, at, &v, 1, NONE);
    return v;
}

TEST(device_to_memory)
{
    board(2);
    for (int i = 0; i < 512; i++) {
        t.data[i] = i * 3;
    }
    t.to_memory = true;
    set_up_8(2, 0x44, 0x23456, 512);
    in(0x08);
    t.dma->hold(t.dma->chip, 2, true);
    CHECK_EQ(t.calls, 0u);             /* not from within the device's call   */
    settle();
    CHECK_EQ(t.calls, 1u);
    CHECK_EQ(t.len, 512);
    CHECK_EQ(byte(0x23456), 0);
    CHECK_EQ(byte(0x23457), 3);
    CHECK_EQ(byte(0x23655), (511 * 3) & 0xff);
    CHECK_EQ(byte(0x23656), 0);
    CHECK_EQ(in16(4, 0x0c), 0x3656u);
    CHECK_EQ(in16(5, 0x0c), 0xffffu);
    CHECK_EQ(in(0x08), 0x04);          /* terminal count, once                */
    CHECK_EQ(in(0x08), 0x00);
    CHECK_EQ(in(0x0f) & 4, 4);         /* and masked by it                    */
}

TEST(memory_to_device_in_pieces)
{
    uint8_t src[300];

    board(1);
    for (int i = 0; i < 300; i++) {
        src[i] = i ^ 0x5a;
    }
    mem_write(&mem_system, 0x1000, src, 300, NONE);
    t.most = 100;
    set_up_8(1, 0x48, 0x1000, 300);
    t.dma->hold(t.dma->chip, 1, true);
    settle();
    CHECK_EQ(t.at, 100);
    CHECK_EQ(in16(2, 0x0c), 0x1064u);
    CHECK_EQ(in16(3, 0x0c), 199u);
    CHECK_EQ(in(0x08) & 0xf2, 0x20);   /* it still asks                       */
    clock_vm_step(clock_ns(CLOCK_VM) + 10 * NS_PER_MS);
    CHECK_EQ(t.at, 300);
    CHECK_MEM(t.data, src, 300);
    CHECK_EQ(in(0x08), 0x02);
}

TEST(masked_or_disabled_waits)
{
    board(3);
    t.to_memory = true;
    set_up_8(3, 0x44, 0x1000, 16);
    out(0x0a, 7);
    t.dma->hold(t.dma->chip, 3, true);
    settle();
    CHECK_EQ(t.calls, 0u);
    out(0x08, 4);                      /* controller off                      */
    out(0x0a, 3);
    settle();
    CHECK_EQ(t.calls, 0u);
    out(0x08, 0);
    settle();
    CHECK_EQ(t.calls, 1u);
}

TEST(automatic_initialisation)
{
    board(1);
    t.keep = true;
    t.most = 64;
    set_up_8(1, 0x58, 0x2000, 64);
    t.dma->hold(t.dma->chip, 1, true);
    settle();
    clock_vm_step(clock_ns(CLOCK_VM) + 5 * NS_PER_MS);
    CHECK_GE(t.calls, 4u);
    CHECK_LE(t.calls, 8u);
    CHECK_EQ(in16(2, 0x0c), 0x2000u);
    CHECK_EQ(in16(3, 0x0c), 63u);
    CHECK_EQ(in(0x0f) & 2, 0);
    CHECK_EQ(in(0x08) & 2, 2);
    t.dma->hold(t.dma->chip, 1, false);
}

TEST(downwards_and_wrap)
{
    board(2);
    for (int i = 0; i < 8; i++) {
        t.data[i] = 0xa0 + i;
    }
    t.to_memory = true;
    set_up_8(2, 0x64, 0x30004, 8);
    t.dma->hold(t.dma->chip, 2, true);
    settle();
    CHECK_EQ(byte(0x30004), 0xa0);
    CHECK_EQ(byte(0x30000), 0xa4);
    CHECK_EQ(byte(0x3ffff), 0xa5);     /* stays in its 64 KiB                 */
    CHECK_EQ(byte(0x2ffff), 0);
    /* Upwards as well. */
    t.at = 0;
    set_up_8(2, 0x44, 0x3fffc, 8);
    t.dma->hold(t.dma->chip, 2, true);
    settle();
    CHECK_EQ(byte(0x3ffff), 0xa3);
    CHECK_EQ(byte(0x30000), 0xa4);
    CHECK_EQ(byte(0x40000), 0);
}

TEST(words)
{
    board(5);
    for (int i = 0; i < 1024; i++) {
        t.data[i] = i * 7;
    }
    t.to_memory = true;
    out(0xd4, 5);
    out(0xd6, 0x45);
    out(0xd8, 0);
    out(0xc4, 0x00);                   /* word 8000: byte 50000 on page 4     */
    out(0xc4, 0x80);
    out(0x8b, 0x05);                   /* the lowest page bit does not count  */
    out(0xc6, 511 & 0xff);
    out(0xc6, 511 >> 8);
    out(0xd4, 1);
    t.dma->hold(t.dma->chip, 5, true);
    settle();
    CHECK_EQ(t.len, 1024);
    CHECK_EQ(byte(0x50000), 0);
    CHECK_EQ(byte(0x50001), 7);
    CHECK_EQ(byte(0x503ff), (1023 * 7) & 0xff);
    CHECK_EQ(in(0xd0), 0x02);
}

TEST(verify_moves_nothing)
{
    board(2);
    memset(t.data, 0xee, 64);
    t.to_memory = true;
    set_up_8(2, 0x40, 0x6000, 64);
    t.dma->hold(t.dma->chip, 2, true);
    settle();
    CHECK_EQ(byte(0x6000), 0);
    CHECK_EQ(in(0x08), 0x04);
}
