/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cirrus-vga: registers and their lock, banks, extended write modes, every
 * raster operation, colour expansion, patterns, transparency, data from the
 * processor, blits out of bounds, and the pointer in a picture.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tests/libqtest.h"
#include "tests/tern-test.h"

#define CHECK_HEX(a, b) CHECK_EQ((uint64_t)(a), (uint64_t)(b))
#define SIZE (4u << 20)

typedef struct Card {
    QTest *q;
    uint64_t mem, regs;
} Card;

static void reg(const Card *c, uint16_t port, uint8_t i, uint8_t v)
{
    qtest_outb(c->q, port, i);
    qtest_outb(c->q, port + 1, v);
}

static uint8_t reg_of(const Card *c, uint16_t port, uint8_t i)
{
    qtest_outb(c->q, port, i);
    return qtest_inb(c->q, port + 1);
}

static Card start(const char *options)
{
    Card c = { qtest_start("-machine pc -nodefaults -m 16 -device "
                           "cirrus-vga%s", options), 0, 0 };
    int devfn = qpci_find(c.q, 0x1013, 0x00b8, 0);

    if (devfn >= 0) {
        c.mem = qpci_map(c.q, (unsigned)devfn, 0, NULL);
        c.regs = qpci_map(c.q, (unsigned)devfn, 1, NULL);
    }
    qtest_outb(c.q, 0x3c2, 0x67);
    return c;
}

/* 8 bits a dot, linear. */
static Card start_linear(const char *options)
{
    Card c = start(options);

    reg(&c, 0x3c4, 0x06, 0x12);
    reg(&c, 0x3c4, 0x07, 0x01);
    return c;
}

TEST(registers_and_their_lock)
{
    Card c = start("");

    CHECK_HEX(reg_of(&c, 0x3d4, 0x27), 0xb8);
    CHECK_HEX(reg_of(&c, 0x3c4, 0x06), 0x0f);
    reg(&c, 0x3c4, 0x06, 0x12);
    CHECK_HEX(reg_of(&c, 0x3c4, 0x06), 0x12);
    reg(&c, 0x3c4, 0x06, 0);
    CHECK_HEX(reg_of(&c, 0x3c4, 0x06), 0x0f);
    reg(&c, 0x3c4, 0x17, 0xff);         /* the bus cannot be changed          */
    CHECK_HEX(reg_of(&c, 0x3c4, 0x17), 0xe7);
    CHECK_HEX(reg_of(&c, 0x3c4, 0x25), 0xff);      /* there is none           */
    reg(&c, 0x3ce, 0x00, 0xa5);         /* eight bits, not VGA's four         */
    CHECK_HEX(reg_of(&c, 0x3ce, 0x00), 0xa5);
    reg(&c, 0x3ce, 0x21, 0xff);
    CHECK_HEX(reg_of(&c, 0x3ce, 0x21), 0x1f);
    CHECK_HEX(reg_of(&c, 0x3ce, 0x3f), 0xff);
    qtest_quit(c.q);
}

TEST(hidden_dac_is_the_fifth_access)
{
    Card c = start("");

    qtest_outb(c.q, 0x3c6, 0x3f);
    for (int i = 0; i < 4; i++) {
        CHECK_HEX(qtest_inb(c.q, 0x3c6), 0x3f);
    }
    qtest_outb(c.q, 0x3c6, 0xe1);
    CHECK_HEX(qtest_inb(c.q, 0x3c6), 0x3f);
    qtest_inb(c.q, 0x3c8);              /* the count starts anew              */
    for (int i = 0; i < 4; i++) {
        qtest_inb(c.q, 0x3c6);
    }
    CHECK_HEX(qtest_inb(c.q, 0x3c6), 0xe1);
    CHECK_HEX(qtest_inb(c.q, 0x3c6), 0x3f);
    qtest_quit(c.q);
}

TEST(banks)
{
    Card c = start_linear("");

    for (uint32_t i = 0; i < 64; i++) {
        qtest_writel(c.q, c.mem + i * 0x10000, i);
    }
    reg(&c, 0x3ce, 0x09, 0x20);         /* times 4 KiB                        */
    CHECK_HEX(qtest_readl(c.q, 0xa0000), 2);
    reg(&c, 0x3ce, 0x0b, 0x20);         /* times 16 KiB                       */
    CHECK_HEX(qtest_readl(c.q, 0xa0000), 8);
    reg(&c, 0x3ce, 0x0b, 0x21);         /* two banks of 32 KiB                */
    reg(&c, 0x3ce, 0x0a, 0x40);
    CHECK_HEX(qtest_readl(c.q, 0xa8000), 16);
    qtest_writel(c.q, 0xa8000, 0x12345678);
    CHECK_HEX(qtest_readl(c.q, c.mem + 0x100000), 0x12345678);
    reg(&c, 0x3ce, 0x0a, 0xff);
    CHECK_HEX(qtest_readl(c.q, 0xac000), 0xffffffff);      /* past the end    */
    reg(&c, 0x3c4, 0x07, 0x00);         /* plain VGA: a window of planes      */
    reg(&c, 0x3ce, 0x06, 0x05);
    CHECK_HEX(qtest_readb(c.q, 0xa8000), qtest_readb(c.q, c.mem + 0x20000));
    qtest_quit(c.q);
}

TEST(write_modes_four_and_five)
{
    Card c = start_linear("");

    reg(&c, 0x3ce, 0x00, 0x11);
    reg(&c, 0x3ce, 0x01, 0xf7);
    reg(&c, 0x3ce, 0x0b, 0x06);         /* eight dots a byte                  */
    reg(&c, 0x3ce, 0x05, 0x45);
    qtest_writeb(c.q, 0xa0001, 0xa0);
    reg(&c, 0x3ce, 0x05, 0x44);
    qtest_writeb(c.q, 0xa0002, 0x81);
    reg(&c, 0x3ce, 0x05, 0x40);
    reg(&c, 0x3ce, 0x0b, 0x00);
    CHECK_HEX(qtest_readq(c.q, c.mem + 8), 0x1111111111f711f7ull);
    CHECK_HEX(qtest_readq(c.q, c.mem + 16), 0xf7000000000000f7ull);
    qtest_quit(c.q);
}

/* ---- blits --------------------------------------------------------------- */
typedef struct Blit {
    uint32_t w, h, dp, sp, dst, src;
    uint8_t mode, rop, ext;
} Blit;

static void blit(const Card *c, const Blit *b)
{
    uint64_t at = c->regs + 0x100;

    qtest_writel(c->q, at + 0x08, (b->w - 1) | (b->h - 1) << 16);
    qtest_writel(c->q, at + 0x0c, b->dp | b->sp << 16);
    qtest_writel(c->q, at + 0x10, b->dst);
    qtest_writel(c->q, at + 0x14, b->src);
    qtest_writeb(c->q, at + 0x18, b->mode);
    qtest_writeb(c->q, at + 0x1a, b->rop);
    qtest_writeb(c->q, at + 0x1b, b->ext);
    qtest_writeb(c->q, at + 0x40, 0);
    qtest_writeb(c->q, at + 0x40, 2);
}

static uint8_t status(const Card *c)
{
    return qtest_readb(c->q, c->regs + 0x140);
}

static void colors(const Card *c, uint32_t bg, uint32_t fg)
{
    qtest_writel(c->q, c->regs + 0x100, bg);
    qtest_writel(c->q, c->regs + 0x104, fg);
}

TEST(raster_operations)
{
    /* source 0101, destination 0011, a nibble of the result each */
    static const struct {
        uint8_t code, result;
    } rows[] = {
        { 0x00, 0x0 }, { 0x05, 0x1 }, { 0x06, 0x3 }, { 0x09, 0x4 },
        { 0x0b, 0xc }, { 0x0d, 0x5 }, { 0x0e, 0xf }, { 0x50, 0x2 },
        { 0x59, 0x6 }, { 0x6d, 0x7 }, { 0x90, 0xe }, { 0x95, 0x9 },
        { 0xad, 0xd }, { 0xd0, 0xa }, { 0xd6, 0xb }, { 0xda, 0x8 },
    };
    Card c = start_linear("");
    Blit b = { 64, 3, 128, 64, 0x2000, 0x1000, 0, 0, 0 };
    uint8_t out[64];

    qtest_memset(c.q, c.mem + 0x1000, 0x55, 64 * 3);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (b.mode = 0; b.mode < 0x40; b.mode += 0x10) {
            qtest_memset(c.q, c.mem + 0x2000, 0x33, 128 * 4);
            b.rop = rows[i].code;
            blit(&c, &b);
            CHECK_HEX(status(&c), 0);
            qtest_read(c.q, c.mem + 0x2000 + 2 * 128, out, sizeof(out));
            CHECK_HEX(out[0], rows[i].result * 0x11u);
            CHECK_HEX(out[63], rows[i].result * 0x11u);
            CHECK_HEX(qtest_readb(c.q, c.mem + 0x2000 + 64), 0x33);
        }
    }
    qtest_quit(c.q);
}

/* Overlapping: a line is moved up by one, and down by one. */
TEST(directions)
{
    Card c = start_linear("");
    Blit b = { 8, 1, 8, 8, 0x1001, 0x1000, 0, 0x0d, 0 };

    qtest_writeq(c.q, c.mem + 0x1000, 0x8877665544332211ull);
    blit(&c, &b);
    CHECK_HEX(qtest_readq(c.q, c.mem + 0x1000), 0x1111111111111111ull);
    qtest_writeq(c.q, c.mem + 0x1000, 0x8877665544332211ull);
    b = (Blit){ 8, 1, 8, 8, 0x1008, 0x1007, 1, 0x0d, 0 };
    blit(&c, &b);
    CHECK_HEX(qtest_readq(c.q, c.mem + 0x1001), 0x8877665544332211ull);
    qtest_quit(c.q);
}

TEST(colour_expansion)
{
    Card c = start_linear("");
    Blit b = { 8, 2, 16, 8, 0x2000, 0x1000, 0x80, 0x0d, 0 };

    colors(&c, 0x44332211, 0xccbbaa99);
    qtest_writew(c.q, c.mem + 0x1000, 0x0fa0);     /* two lines of bits       */
    blit(&c, &b);
    CHECK_HEX(qtest_readq(c.q, c.mem + 0x2000), 0x1111111111991199ull);
    CHECK_HEX(qtest_readq(c.q, c.mem + 0x2010), 0x9999999911111111ull);
    b.mode = 0x90;                      /* 16 bits a dot                      */
    blit(&c, &b);
    CHECK_HEX(qtest_readq(c.q, c.mem + 0x2000), 0x2211aa992211aa99ull);
    b.mode = 0xb0;
    blit(&c, &b);
    CHECK_HEX(qtest_readq(c.q, c.mem + 0x2000), 0x44332211ccbbaa99ull);
    b.mode = 0x88;                      /* 0 leaves what was there            */
    qtest_memset(c.q, c.mem + 0x2000, 0xee, 32);
    blit(&c, &b);
    CHECK_HEX(qtest_readq(c.q, c.mem + 0x2000), 0xeeeeeeeeee99ee99ull);
    b.ext = 2;                          /* 1 does, 0 is background            */
    qtest_memset(c.q, c.mem + 0x2000, 0xee, 32);
    blit(&c, &b);
    CHECK_HEX(qtest_readq(c.q, c.mem + 0x2000), 0x1111111111ee11eeull);
    qtest_quit(c.q);
}

TEST(patterns_and_solid_fills)
{
    Card c = start_linear("");
    Blit b = { 20, 9, 32, 8, 0x2000, 0x1000, 0x40, 0x0d, 0 };

    for (uint32_t i = 0; i < 8; i++) {
        qtest_writeq(c.q, c.mem + 0x1000 + i * 8,
                     0x0706050403020100ull + i * 0x1010101010101010ull);
    }
    blit(&c, &b);
    CHECK_HEX(qtest_readq(c.q, c.mem + 0x2000), 0x0706050403020100ull);
    CHECK_HEX(qtest_readl(c.q, c.mem + 0x2010), 0x03020100u);
    CHECK_HEX(qtest_readq(c.q, c.mem + 0x2000 + 7 * 32),
              0x7776757473727170ull);
    CHECK_HEX(qtest_readq(c.q, c.mem + 0x2000 + 8 * 32),
              0x0706050403020100ull);
    colors(&c, 0, 0x00000077);
    b.mode = 0xc0;                      /* one bit a dot                      */
    blit(&c, &b);
    CHECK_HEX(qtest_readq(c.q, c.mem + 0x2000 + 32), 0x7700000000000000ull);
    b.ext = 4;
    blit(&c, &b);
    CHECK_HEX(qtest_readq(c.q, c.mem + 0x2000), 0x7777777777777777ull);
    CHECK_HEX(qtest_readl(c.q, c.mem + 0x2000 + 8 * 32 + 16), 0x77777777u);
    qtest_quit(c.q);
}

TEST(transparency_by_colour)
{
    Card c = start_linear("");
    Blit b = { 8, 1, 8, 8, 0x2000, 0x1000, 0x08, 0x0d, 0 };

    reg(&c, 0x3ce, 0x34, 0x22);
    reg(&c, 0x3ce, 0x35, 0x33);
    qtest_writeq(c.q, c.mem + 0x1000, 0x3322443322551122ull);
    qtest_memset(c.q, c.mem + 0x2000, 0xee, 8);
    blit(&c, &b);
    CHECK_HEX(qtest_readq(c.q, c.mem + 0x2000), 0x33ee4433ee5511eeull);
    b.mode = 0x18;
    qtest_memset(c.q, c.mem + 0x2000, 0xee, 8);
    blit(&c, &b);
    CHECK_HEX(qtest_readq(c.q, c.mem + 0x2000), 0xeeee443322551122ull);
    qtest_quit(c.q);
}

TEST(data_from_the_processor)
{
    static const uint64_t ways[] = { 0, 16 << 20, 0xa0000 };
    Card c = start_linear("");
    Blit b = { 6, 2, 16, 0, 0x2000, 0, 0x04, 0x0d, 0 };

    for (unsigned i = 0; i < 3; i++) {
        uint64_t at = i < 2 ? c.mem + ways[i] : ways[i];

        qtest_memset(c.q, c.mem + 0x2000, 0xee, 32);
        blit(&c, &b);
        CHECK_HEX(status(&c), 3);
        qtest_writel(c.q, at, 0x44332211);
        qtest_writel(c.q, at, 0xffff6655);         /* up to a whole dword     */
        qtest_writel(c.q, at + 4, 0xaa998877);
        CHECK_HEX(status(&c), 3);
        qtest_writel(c.q, at, 0xffffccbb);
        CHECK_HEX(status(&c), 0);
        CHECK_HEX(qtest_readq(c.q, c.mem + 0x2000), 0xeeee665544332211ull);
        CHECK_HEX(qtest_readq(c.q, c.mem + 0x2010), 0xeeeeccbbaa998877ull);
    }
    blit(&c, &b);                       /* given up: reset                    */
    qtest_writel(c.q, c.mem, 1);
    qtest_writeb(c.q, c.regs + 0x140, 4);
    qtest_writeb(c.q, c.regs + 0x140, 0);
    CHECK_HEX(status(&c), 0);
    qtest_writel(c.q, c.mem, 0x87654321);
    CHECK_HEX(qtest_readl(c.q, c.mem), 0x87654321);
    qtest_quit(c.q);
}

/* Nothing is written outside, whatever the registers say. */
TEST(out_of_bounds)
{
    static const Blit rows[] = {
        { 64, 2, 64, 64, SIZE - 64, 0, 0, 0x0e, 0 },
        { 64, 2, 64, 64, 0, SIZE - 64, 0, 0x0d, 0 },
        { 64, 2, 64, 64, 63, 4096, 1, 0x0e, 0 },
        { 8192, 2048, 8191, 8191, 0, 0, 0, 0x0e, 0 },
        { 8192, 2048, 8191, 8191, SIZE - 1, SIZE - 1, 1, 0x0e, 0 },
        { 64, 1, 0, 0, 0, 0, 0, 0x0e, 0 },
        { 8192, 1, 8191, 8191, SIZE - 1, 0, 0xc0, 0x0e, 4 },
        { 8192, 2048, 8191, 0, SIZE - 4096, 0, 0x04, 0x0e, 0 },
    };
    Card c = start_linear("");

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        blit(&c, &rows[i]);
        CHECK_HEX(status(&c), 0);
        CHECK_HEX(qtest_readq(c.q, c.mem), 0);
        CHECK_HEX(qtest_readq(c.q, c.mem + SIZE - 8), 0);
    }
    qtest_quit(c.q);
}

TEST(without_the_blitter)
{
    Card c = start_linear(",blitter=off");
    Blit b = { 8, 1, 8, 8, 0x2000, 0x1000, 0, 0x0e, 0 };

    blit(&c, &b);
    CHECK_HEX(qtest_readq(c.q, c.mem + 0x2000), 0);
    qtest_quit(c.q);
}

/* ---- the pointer --------------------------------------------------------- */
static void mode_640_480(const Card *c)
{
    static const uint8_t crtc[][2] = {
        { 0x01, 79 }, { 0x07, 0x12 }, { 0x09, 0x40 }, { 0x12, 0xdf },
        { 0x13, 80 }, { 0x17, 0xe3 }, { 0x18, 0xff }, { 0x1b, 0x22 },
    };

    for (size_t i = 0; i < sizeof(crtc) / sizeof(crtc[0]); i++) {
        reg(c, 0x3d4, crtc[i][0], crtc[i][1]);
    }
    reg(c, 0x3ce, 0x05, 0x40);
    reg(c, 0x3ce, 0x06, 0x05);
    reg(c, 0x3c4, 0x04, 0x0e);
    qtest_inb(c->q, 0x3da);
    qtest_outb(c->q, 0x3c0, 0x20);
}

static void dac(const Card *c, uint8_t i, uint8_t r, uint8_t g, uint8_t b)
{
    qtest_outb(c->q, 0x3c8, i);
    qtest_outb(c->q, 0x3c9, r);
    qtest_outb(c->q, 0x3c9, g);
    qtest_outb(c->q, 0x3c9, b);
}

static bool look(const Card *c, uint8_t *rgb)
{
    char path[] = "/tmp/tern-cirrus-XXXXXX";
    int fd = mkstemp(path), w, h;
    bool ok;
    FILE *f;

    close(fd);
    qtest_qmp_ok(c->q, "{'execute':'screendump','arguments':{'filename':"
                 "'%s'}}", path);
    f = fopen(path, "rb");
    ok = f && fscanf(f, "P6 %d %d 255", &w, &h) == 2 && fgetc(f) == '\n' &&
         w == 640 && h == 480 && fread(rgb, 3, 640 * 480, f) == 640 * 480;
    if (f) {
        fclose(f);
    }
    unlink(path);
    return ok;
}

static uint32_t dot(const uint8_t *rgb, int x, int y)
{
    rgb += (y * 640 + x) * 3;
    return (uint32_t)(rgb[0] << 16 | rgb[1] << 8 | rgb[2]);
}

TEST(pointer)
{
    Card c = start_linear("");
    uint8_t *rgb = malloc(640 * 480 * 3);

    mode_640_480(&c);
    dac(&c, 0, 1, 2, 4);
    reg(&c, 0x3c4, 0x12, 0x02);         /* its own two colours                */
    dac(&c, 0, 63, 0, 0);
    dac(&c, 15, 0, 63, 0);
    /* 32 lines of four dots: see-through, inverted, red, green */
    for (uint32_t y = 0; y < 32; y++) {
        qtest_writel(c.q, c.mem + SIZE - 0x4000 + y * 4, 0x50);
        qtest_writel(c.q, c.mem + SIZE - 0x4000 + 128 + y * 4, 0x30);
    }
    reg(&c, 0x3c4, 0x13, 0);
    reg(&c, 0x3c4, 0x10 | 0x40, 12);    /* x 98: low bits in the index        */
    reg(&c, 0x3c4, 0x11 | 0x20, 25);    /* y 201                              */
    reg(&c, 0x3c4, 0x12, 0x01);
    CHECK(look(&c, rgb));
    CHECK_HEX(dot(rgb, 98, 201), 0x070810);
    CHECK_HEX(dot(rgb, 99, 201), 0xf8f7ef);
    CHECK_HEX(dot(rgb, 100, 232), 0xff0000);
    CHECK_HEX(dot(rgb, 101, 201), 0x00ff00);
    CHECK_HEX(dot(rgb, 101, 233), 0x070810);
    reg(&c, 0x3c4, 0x10, 0);            /* it moves, and leaves no trace      */
    CHECK(look(&c, rgb));
    CHECK_HEX(dot(rgb, 101, 201), 0x070810);
    CHECK_HEX(dot(rgb, 3, 201), 0x00ff00);
    reg(&c, 0x3c4, 0x12, 0x00);
    CHECK(look(&c, rgb));
    CHECK_HEX(dot(rgb, 3, 201), 0x070810);
    free(rgb);
    qtest_quit(c.q);
}

TEST(refuses_other_sizes)
{
    char *text;

    CHECK_EQ(qtest_run(&text, "-machine pc -nodefaults -device "
                       "cirrus-vga,vgamem_mb=2"), 1);
    CHECK(strstr(text, "Invalid cirrus_vga ram size '2'"));
    free(text);
}

TEST(on_the_isa_bus)
{
    QTest *q = qtest_start("-machine isapc -nodefaults -m 16 -vga cirrus");
    Card c = { q, 0, 0 };

    qtest_outb(q, 0x3c2, 0x67);
    CHECK_HEX(reg_of(&c, 0x3d4, 0x27), 0xa0);
    CHECK_HEX(reg_of(&c, 0x3c4, 0x17), 0x38);
    qtest_quit(q);
}
