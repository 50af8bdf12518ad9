/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VGA and its relatives: registers, planes and write modes, Bochs modes and
 * their bounds, EDID, and the pictures that screendump gives of them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tests/libqtest.h"
#include "tests/tern-test.h"

/* Registers and dots, whatever their types. */
#define CHECK_HEX(a, b) CHECK_EQ((uint64_t)(a), (uint64_t)(b))
#define WINDOW 0xa0000ull

typedef struct Card {
    QTest *q;
    uint64_t mem, regs;
    int width, height;                 /* of the last picture                 */
    uint8_t *rgb;
} Card;

static Card start(const char *device)
{
    Card c = { qtest_start("-machine pc -nodefaults -m 16 -device %s", device),
               0, 0, 0, 0, NULL };
    int devfn = qpci_find(c.q, 0x1234, 0x1111, 0);

    if (devfn >= 0) {
        c.mem = qpci_map(c.q, (unsigned)devfn, 0, NULL);
        c.regs = qpci_map(c.q, (unsigned)devfn, 2, NULL);
    }
    qtest_outb(c.q, 0x3c2, 0x67);
    return c;
}

static void stop(Card *c)
{
    free(c->rgb);
    qtest_quit(c->q);
}

static void reg(Card *c, uint16_t port, uint8_t i, uint8_t v)
{
    qtest_outb(c->q, port, i);
    qtest_outb(c->q, port + 1, v);
}

static uint8_t reg_of(Card *c, uint16_t port, uint8_t i)
{
    qtest_outb(c->q, port, i);
    return qtest_inb(c->q, port + 1);
}

static void attr(Card *c, uint8_t i, uint8_t v)
{
    qtest_inb(c->q, 0x3da);
    qtest_outb(c->q, 0x3c0, i);
    qtest_outb(c->q, 0x3c0, v);
}

static void screen_on(Card *c)
{
    qtest_inb(c->q, 0x3da);
    qtest_outb(c->q, 0x3c0, 0x20);
}

static void vbe(Card *c, uint16_t i, uint16_t v)
{
    qtest_outw(c->q, 0x1ce, i);
    qtest_outw(c->q, 0x1d0, v);
}

static uint16_t vbe_of(Card *c, uint16_t i)
{
    qtest_outw(c->q, 0x1ce, i);
    return qtest_inw(c->q, 0x1d0);
}

static void vbe_mode(Card *c, uint16_t w, uint16_t h, uint16_t bpp)
{
    vbe(c, 4, 0);
    vbe(c, 1, w);
    vbe(c, 2, h);
    vbe(c, 3, bpp);
    vbe(c, 4, 0x41);
    screen_on(c);
}

/* Takes a picture; false: there was none, or no PPM. */
static bool look(Card *c)
{
    char path[] = "/tmp/tern-vga-XXXXXX";
    int fd = mkstemp(path);
    size_t n;
    FILE *f;
    bool ok;

    close(fd);
    qtest_qmp_ok(c->q, "{'execute':'screendump','arguments':{'filename':"
                 "'%s'}}", path);
    f = fopen(path, "rb");
    ok = f && fscanf(f, "P6 %d %d 255", &c->width, &c->height) == 2 &&
         fgetc(f) == '\n';
    n = ok ? (size_t)c->width * (size_t)c->height * 3 : 0;
    free(c->rgb);
    c->rgb = malloc(n + 1);
    ok = ok && fread(c->rgb, 1, n + 1, f) == n;
    if (f) {
        fclose(f);
    }
    unlink(path);
    return ok;
}

static uint32_t dot(Card *c, int x, int y)
{
    uint8_t *p = c->rgb + ((size_t)y * (size_t)c->width + (size_t)x) * 3;

    return (uint32_t)(p[0] << 16 | p[1] << 8 | p[2]);
}

/* DAC registers 0..63 as red 0-3, green 0-3, blue 0-3 in thirds. */
static void palette(Card *c)
{
    qtest_outb(c->q, 0x3c6, 0xff);
    qtest_outb(c->q, 0x3c8, 0);
    for (unsigned i = 0; i < 64; i++) {
        qtest_outb(c->q, 0x3c9, (i >> 4 & 3) * 21);
        qtest_outb(c->q, 0x3c9, (i >> 2 & 3) * 21);
        qtest_outb(c->q, 0x3c9, (i & 3) * 21);
    }
    for (uint8_t i = 0; i < 16; i++) {
        attr(c, i, i);
    }
    attr(c, 0x12, 15);
    attr(c, 0x10, 1);
}

static const uint8_t thirds[4] = { 0, 0x57, 0xa8, 0xff };
static uint32_t color_of(unsigned i)
{
    return (uint32_t)thirds[i >> 4 & 3] << 16 |
           (uint32_t)thirds[i >> 2 & 3] << 8 | thirds[i & 3];
}

TEST(registers_hold_the_bits_there_are)
{
    Card c = start("VGA");
    static const struct { uint16_t port; uint8_t i, bits; } rows[] = {
        { 0x3c4, 0, 0x03 }, { 0x3c4, 1, 0x3d }, { 0x3c4, 2, 0x0f },
        { 0x3c4, 3, 0x3f }, { 0x3c4, 4, 0x0e }, { 0x3ce, 0, 0x0f },
        { 0x3ce, 1, 0x0f }, { 0x3ce, 2, 0x0f }, { 0x3ce, 3, 0x1f },
        { 0x3ce, 4, 0x03 }, { 0x3ce, 5, 0x7b }, { 0x3ce, 6, 0x0f },
        { 0x3ce, 7, 0x0f }, { 0x3ce, 8, 0xff }, { 0x3d4, 0x0a, 0xff },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        reg(&c, rows[i].port, rows[i].i, 0xff);
        CHECK_HEX(reg_of(&c, rows[i].port, rows[i].i), rows[i].bits);
        reg(&c, rows[i].port, rows[i].i, 0);
        CHECK_HEX(reg_of(&c, rows[i].port, rows[i].i), 0);
    }
    /* CRTC 0 to 7 are locked by bit 7 of 11, but for line compare's bit 8 */
    reg(&c, 0x3d4, 0x11, 0x80);
    reg(&c, 0x3d4, 1, 0x55);
    reg(&c, 0x3d4, 7, 0xff);
    CHECK_HEX(reg_of(&c, 0x3d4, 1), 0);
    CHECK_HEX(reg_of(&c, 0x3d4, 7), 0x10);
    /* the other scheme's ports do not answer */
    CHECK_HEX(qtest_inb(c.q, 0x3b5), 0xff);
    qtest_outb(c.q, 0x3c2, 0x66);
    CHECK_HEX(qtest_inb(c.q, 0x3d5), 0xff);
    qtest_outb(c.q, 0x3b4, 0x11);
    CHECK_HEX(qtest_inb(c.q, 0x3b5), 0x80);
    stop(&c);
}

TEST(dac_counts_through_its_registers)
{
    Card c = start("VGA");
    static const uint8_t rgb[6] = { 1, 2, 3, 61, 62, 63 };

    qtest_outb(c.q, 0x3c8, 255);
    for (int i = 0; i < 6; i++) {
        qtest_outb(c.q, 0x3c9, rgb[i]);
    }
    CHECK_HEX(qtest_inb(c.q, 0x3c8), 1);
    qtest_outb(c.q, 0x3c7, 255);
    CHECK_HEX(qtest_inb(c.q, 0x3c7), 3);
    for (int i = 0; i < 6; i++) {
        CHECK_HEX(qtest_inb(c.q, 0x3c9), rgb[i]);
    }
    stop(&c);
}

/* 640 x 480 in 16 colours, as BIOS mode 12 */
static void mode_12(Card *c)
{
    static const uint8_t crtc[25] = {
        0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b, 0x3e, 0, 0x40, 0, 0, 0, 0, 0,
        0, 0xea, 0x0c, 0xdf, 0x28, 0, 0xe7, 4, 0xe3, 0xff };

    reg(c, 0x3c4, 1, 1);
    reg(c, 0x3c4, 2, 15);
    reg(c, 0x3c4, 4, 6);
    reg(c, 0x3ce, 5, 0);
    reg(c, 0x3ce, 6, 5);
    reg(c, 0x3ce, 8, 0xff);
    for (uint8_t i = 0; i < 25; i++) {
        reg(c, 0x3d4, i, crtc[i]);
    }
    palette(c);
    screen_on(c);
}

TEST(planes_and_write_modes)
{
    Card c = start("VGA");

    mode_12(&c);
    /* mode 0 by map mask, each plane alone */
    for (uint8_t p = 0; p < 4; p++) {
        reg(&c, 0x3c4, 2, (uint8_t)(1 << p));
        qtest_writeb(c.q, WINDOW + 5, (uint8_t)(0x11 << p));
    }
    for (uint8_t p = 0; p < 4; p++) {
        reg(&c, 0x3ce, 4, p);
        CHECK_HEX(qtest_readb(c.q, WINDOW + 5), 0x11 << p);
    }
    CHECK_HEX(qtest_readl(c.q, c.mem + 20), 0x88442211);
    /* set/reset with a bit mask keeps the latch elsewhere */
    reg(&c, 0x3c4, 2, 15);
    reg(&c, 0x3ce, 0, 0x05);
    reg(&c, 0x3ce, 1, 0x0f);
    reg(&c, 0x3ce, 8, 0xf0);
    qtest_readb(c.q, WINDOW + 5);
    qtest_writeb(c.q, WINDOW + 5, 0);
    CHECK_HEX(qtest_readl(c.q, c.mem + 20), 0x08f402f1);
    /* rotate and xor */
    reg(&c, 0x3ce, 1, 0);
    reg(&c, 0x3ce, 8, 0xff);
    reg(&c, 0x3ce, 3, 0x18 | 4);
    qtest_writel(c.q, c.mem + 40, 0x0f0f0f0f);
    qtest_readb(c.q, WINDOW + 10);
    qtest_writeb(c.q, WINDOW + 10, 0x12);
    CHECK_HEX(qtest_readl(c.q, c.mem + 40), 0x2e2e2e2e);
    /* mode 1 copies the latch, mode 2 takes a colour, mode 3 masks by data */
    reg(&c, 0x3ce, 3, 0);
    reg(&c, 0x3ce, 5, 1);
    qtest_readb(c.q, WINDOW + 5);
    qtest_writeb(c.q, WINDOW + 11, 0x99);
    CHECK_HEX(qtest_readl(c.q, c.mem + 44), 0x08f402f1);
    reg(&c, 0x3ce, 5, 2);
    qtest_writeb(c.q, WINDOW + 12, 0x0a);
    CHECK_HEX(qtest_readl(c.q, c.mem + 48), 0xff00ff00);
    reg(&c, 0x3ce, 5, 3);
    reg(&c, 0x3ce, 0, 0x06);
    qtest_writel(c.q, c.mem + 52, 0x12345678);
    qtest_readb(c.q, WINDOW + 13);
    qtest_writeb(c.q, WINDOW + 13, 0xf0);
    CHECK_HEX(qtest_readl(c.q, c.mem + 52), 0x02f4f608);
    /* read mode 1: compare, with planes that do not matter */
    reg(&c, 0x3ce, 5, 8);
    reg(&c, 0x3ce, 2, 0x0a);
    reg(&c, 0x3ce, 7, 0x0f);
    qtest_writel(c.q, c.mem + 56, 0x300ff00f);
    CHECK_HEX(qtest_readb(c.q, WINDOW + 14), 0x30);
    reg(&c, 0x3ce, 7, 0x03);
    CHECK_HEX(qtest_readb(c.q, WINDOW + 14), 0xf0);
    stop(&c);
}

TEST(picture_in_sixteen_colours)
{
    Card c = start("VGA");

    mode_12(&c);
    qtest_writel(c.q, c.mem, 0x0f3355aa);
    qtest_writel(c.q, c.mem + 479 * 320 + 316, 0x01010101);
    CHECK(look(&c));
    CHECK_HEX(c.width, 640);
    CHECK_HEX(c.height, 480);
    for (int x = 0; x < 8; x++) {
        unsigned s = 7 - (unsigned)x;
        unsigned i = (0xaa >> s & 1) | (0x55 >> s & 1) << 1 |
                     (0x33 >> s & 1) << 2 | (0x0f >> s & 1) << 3;

        CHECK_HEX(dot(&c, x, 0), color_of(i));
    }
    CHECK_HEX(dot(&c, 638, 479), 0);
    CHECK_HEX(dot(&c, 639, 479), color_of(15));
    /* colour select, and a plane switched off */
    attr(&c, 0x14, 0x03);
    attr(&c, 0x10, 0x81);
    attr(&c, 0x12, 0x07);
    screen_on(&c);
    CHECK(look(&c));
    CHECK_HEX(dot(&c, 639, 479), color_of(0x37));
    /* start address, and the part below line compare from 0 */
    reg(&c, 0x3d4, 0x0c, 0x25);
    reg(&c, 0x3d4, 0x0d, 0x30);
    reg(&c, 0x3d4, 0x09, 0);
    reg(&c, 0x3d4, 0x07, 0x2e);
    reg(&c, 0x3d4, 0x18, 99);
    CHECK(look(&c));
    CHECK_HEX(dot(&c, 639, 479 - 119), color_of(0x30));
    CHECK_HEX(dot(&c, 0, 100), color_of(0x30 | 1));
    /* the screen goes dark while the palette is the CPU's */
    qtest_inb(c.q, 0x3da);
    qtest_outb(c.q, 0x3c0, 0);
    CHECK(look(&c));
    CHECK_HEX(c.width, 640);
    CHECK_HEX(dot(&c, 0, 100), 0);
    stop(&c);
}

TEST(text_of_nine_dots)
{
    Card c = start("VGA");

    mode_12(&c);
    reg(&c, 0x3d4, 0x11, 0);
    reg(&c, 0x3d4, 7, 0x1f);
    reg(&c, 0x3d4, 0x12, 0x8f);
    reg(&c, 0x3d4, 9, 0x4f);
    reg(&c, 0x3d4, 0x0a, 0x20);
    reg(&c, 0x3c4, 1, 0);
    reg(&c, 0x3c4, 4, 2);
    reg(&c, 0x3ce, 5, 0x10);
    reg(&c, 0x3ce, 6, 0x0e);
    attr(&c, 0x10, 4);
    screen_on(&c);
    /* glyph c4 (a line) and 41 in plane 2, line 3 of the cell */
    qtest_writeb(c.q, c.mem + (0xc4 * 32 + 3) * 4 + 2, 0xff);
    qtest_writeb(c.q, c.mem + (0x41 * 32 + 3) * 4 + 2, 0x81);
    qtest_writew(c.q, 0xb8000, 0x1ec4);
    qtest_writew(c.q, 0xb8000 + 162, 0x2b41);
    CHECK_HEX(qtest_readw(c.q, 0xb8000 + 162), 0x2b41);
    CHECK_HEX(qtest_readw(c.q, c.mem + 81 * 4), 0x2b41);
    CHECK(look(&c));
    CHECK_HEX(c.width, 720);
    CHECK_HEX(c.height, 400);
    for (int x = 0; x < 9; x++) {
        CHECK_HEX(dot(&c, x, 3), color_of(0x0e));
        CHECK_HEX(dot(&c, x, 2), color_of(0x01));
        CHECK_HEX(dot(&c, 9 + x, 19), color_of(x % 7 ? 0x02 : x == 7 || !x
                                               ? 0x0b : 0x02));
    }
    /* the second font is for attribute bit 3 */
    reg(&c, 0x3c4, 3, 0x20);
    CHECK(look(&c));
    CHECK_HEX(dot(&c, 3, 3), color_of(0x01));
    /* the cursor, in the lit half of its blinking */
    reg(&c, 0x3d4, 0x0f, 80);
    reg(&c, 0x3d4, 0x0a, 13);
    reg(&c, 0x3d4, 0x0b, 14);
    qtest_writew(c.q, 0xb8000 + 160, 0x0720);
    CHECK(look(&c));
    CHECK_HEX(dot(&c, 0, 16 + 12), 0);
    CHECK_HEX(dot(&c, 0, 16 + 13), color_of(7));
    CHECK_HEX(dot(&c, 8, 16 + 14), color_of(7));
    CHECK_HEX(dot(&c, 0, 16 + 15), 0);
    qtest_clock_step(c.q, 300 * 1000000);
    CHECK(look(&c));
    CHECK_HEX(dot(&c, 0, 16 + 13), 0);
    stop(&c);
}

TEST(linear_modes)
{
    Card c = start("VGA");

    palette(&c);
    vbe_mode(&c, 800, 600, 32);
    CHECK_HEX(vbe_of(&c, 6), 800);
    qtest_writel(c.q, c.mem + (599 * 800 + 799) * 4, 0xff123456);
    CHECK(look(&c));
    CHECK_HEX(c.width, 800);
    CHECK_HEX(c.height, 600);
    CHECK_HEX(dot(&c, 799, 599), 0x123456);
    CHECK_HEX(dot(&c, 798, 599), 0);
    /* the same bytes the other way round */
    if (c.regs) {
        CHECK_HEX(qtest_readl(c.q, c.regs + 0x604), 0x1e1e1e1e);
        qtest_writel(c.q, c.regs + 0x604, 0xbebebebe);
        CHECK(look(&c));
        CHECK_HEX(dot(&c, 799, 599), 0x3412ff);
        qtest_writel(c.q, c.regs + 0x604, 0x1e1e1e1e);
    }
    /* a window of a larger picture */
    vbe(&c, 6, 1000);
    vbe(&c, 8, 16);
    vbe(&c, 9, 7);
    qtest_writel(c.q, c.mem + ((7 + 5) * 1000 + 16 + 3) * 4, 0xabcdef);
    CHECK(look(&c));
    CHECK_HEX(dot(&c, 3, 5), 0xabcdef);
    vbe_mode(&c, 64, 32, 24);
    qtest_write(c.q, c.mem + (31 * 64 + 63) * 3, "\x03\x02\x01", 3);
    CHECK(look(&c));
    CHECK_HEX(dot(&c, 63, 31), 0x010203);
    vbe_mode(&c, 64, 32, 16);
    qtest_writew(c.q, c.mem + 2, 0x07e0);
    qtest_writew(c.q, c.mem + 4, 0xf81f);
    CHECK(look(&c));
    CHECK_HEX(dot(&c, 1, 0), 0x00ff00);
    CHECK_HEX(dot(&c, 2, 0), 0xff00ff);
    vbe_mode(&c, 64, 32, 15);
    qtest_writew(c.q, c.mem + 2, 0x03e0);
    CHECK(look(&c));
    CHECK_HEX(dot(&c, 1, 0), 0x00ff00);
    vbe_mode(&c, 64, 32, 8);
    qtest_writeb(c.q, c.mem + 65, 0x2d);
    CHECK(look(&c));
    CHECK_HEX(dot(&c, 1, 1), color_of(0x2d));
    /* through the window, by banks; the memory is cleared by the mode */
    vbe_mode(&c, 1024, 768, 8);
    CHECK_HEX(qtest_readb(c.q, c.mem + 65), 0);
    vbe(&c, 5, 2);
    qtest_writeb(c.q, WINDOW + 0x1234, 0x77);
    CHECK_HEX(qtest_readb(c.q, c.mem + 0x21234), 0x77);
    CHECK_HEX(qtest_readb(c.q, WINDOW + 0x1234), 0x77);
    vbe(&c, 4, 0);
    vbe(&c, 4, 0xc1);
    CHECK_HEX(qtest_readb(c.q, c.mem + 0x21234), 0x77);
    stop(&c);
}

TEST(bounds_of_linear_modes)
{
    Card c = start("VGA,vgamem_mb=1");

    CHECK_HEX(vbe_of(&c, 0), 0xb0c5);
    CHECK_HEX(vbe_of(&c, 10), 16);
    vbe(&c, 0, 0xb0c6);
    CHECK_HEX(vbe_of(&c, 0), 0xb0c5);
    vbe(&c, 4, 2);
    CHECK_HEX(vbe_of(&c, 1), 16000);
    CHECK_HEX(vbe_of(&c, 2), 12000);
    CHECK_HEX(vbe_of(&c, 3), 32);
    vbe_mode(&c, 65535, 65535, 32);
    CHECK_HEX(vbe_of(&c, 1), 16000);
    CHECK_HEX(vbe_of(&c, 2), (1 << 20) / 64000);
    CHECK(look(&c));
    CHECK_HEX(c.width, 16000);
    vbe_mode(&c, 1, 0, 77);
    CHECK_HEX(vbe_of(&c, 1), 8);
    CHECK_HEX(vbe_of(&c, 2), 1);
    CHECK_HEX(vbe_of(&c, 3), 8);
    vbe_mode(&c, 512, 512, 32);
    vbe(&c, 8, 60000);
    vbe(&c, 9, 60000);
    CHECK(look(&c));
    for (uint16_t i = 0; i < 20; i++) {
        vbe(&c, i, 0xffff);
    }
    screen_on(&c);
    CHECK(look(&c));
    stop(&c);
}

TEST(edid_is_sound)
{
    Card c = start("VGA,xres=1024,yres=768");
    uint8_t e[256];
    unsigned sum;

    qtest_read(c.q, c.regs, e, sizeof(e));
    CHECK(!memcmp(e, "\0\xff\xff\xff\xff\xff\xff\0", 8));
    for (int block = 0; block < 2; block++) {
        sum = 0;
        for (int i = 0; i < 128; i++) {
            sum += e[block * 128 + i];
        }
        CHECK_HEX(sum & 0xff, 0);
    }
    CHECK_HEX(e[54 + 2] | (e[54 + 4] >> 4) << 8, 1024);
    CHECK_HEX(e[54 + 5] | (e[54 + 7] >> 4) << 8, 768);
    CHECK_HEX(e[126], 1);
    CHECK_HEX(e[128], 2);
    stop(&c);
    c = start("VGA,edid=off");
    CHECK_HEX(qtest_readl(c.q, c.regs), 0xffffffff);
    stop(&c);
}

TEST(bochs_display_needs_no_vga)
{
    Card c = start("bochs-display,id=b");

    CHECK(look(&c));
    CHECK_HEX(c.width, 640);
    qtest_writew(c.q, c.regs + 0x502, 320);
    qtest_writew(c.q, c.regs + 0x504, 200);
    qtest_writew(c.q, c.regs + 0x506, 32);
    qtest_writew(c.q, c.regs + 0x508, 0x41);
    qtest_writel(c.q, c.mem + 4, 0x00c0ffee);
    CHECK(look(&c));
    CHECK_HEX(c.width, 320);
    CHECK_HEX(c.height, 200);
    CHECK_HEX(dot(&c, 1, 0), 0xc0ffee);
    CHECK_HEX(qtest_inb(c.q, 0x3cc), 0xff);
    stop(&c);
}

TEST(screendump_refusals)
{
    Card c = start("VGA,id=v -device secondary-vga,id=w");
    static const struct { const char *args, *want; } rows[] = {
        { "'filename':'/proc/nope/x'",
          "failed to open file '/proc/nope/x': No such file or directory" },
        { "'filename':'/dev/null','head':0",
          "'head' must be specified together with 'device'" },
        { "'filename':'/dev/null','device':'nope'", "Device 'nope' not found" },
        { "'filename':'/dev/null','device':'v','head':3",
          "Device v (head 3) is not bound to a QemuConsole" },
        { "'filename':'/dev/null','device':'w','head':0", "\"return\"" },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *r = qtest_qmp(c.q, "{'execute':'screendump','arguments':{%s}}",
                            rows[i].args);

        CHECK_CONTAINS(r, rows[i].want);
        free(r);
    }
    stop(&c);
    c.q = qtest_start("-machine pc -nodefaults -m 16");
    c.rgb = NULL;
    {
        char *r = qtest_qmp(c.q, "{'execute':'screendump','arguments':"
                            "{'filename':'/dev/null'}}");

        CHECK_CONTAINS(r, "There is no console to take a screendump from");
        free(r);
    }
    stop(&c);
}

/* Whatever registers hold, a picture is made of it and nothing else happens. */
TEST(odd_modes)
{
    static const uint16_t ports[] = { 0x3c0, 0x3c2, 0x3c4, 0x3c5, 0x3ce, 0x3cf,
                                      0x3d4, 0x3d5, 0x3b4, 0x3b5, 0x3c6,
                                      0x3c8, 0x3c9 };
    Card c = start("VGA,vgamem_mb=2");

    srand(3);
    for (int i = 0; i < 6000; i++) {
        if (rand() % 8) {
            qtest_outb(c.q, ports[(unsigned)rand() % 13], (uint8_t)rand());
        } else if (rand() % 4) {
            vbe(&c, (uint16_t)(rand() % 11), rand() % 3
                ? (uint16_t)(rand() % 2000) : (uint16_t)rand());
        } else {
            qtest_writeb(c.q, WINDOW + (uint64_t)(rand() % 0x20000),
                         (uint8_t)rand());
            qtest_readb(c.q, WINDOW + (uint64_t)(rand() % 0x20000));
        }
        if (i % 40 == 0) {
            screen_on(&c);
            qtest_qmp_ok(c.q, "{'execute':'screendump','arguments':"
                         "{'filename':'/dev/null'}}");
        }
    }
    stop(&c);
}
