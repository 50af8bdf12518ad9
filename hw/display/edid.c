/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * edid.c - what a monitor says of itself: VESA E-EDID standard, release A2
 * (EDID 1.4), with one CTA-861 extension block for the modes that the base
 * block cannot name, and where its timing is too large for a detailed timing
 * a DisplayID 1.3 block (its type I timing).
 *
 * Thread class: any.
 */
#include "hw/display/vga.h"

#define DPI 100
#define DESCRIPTOR 18

/* Modes at 60 Hz (video codes: at 50 or 60), and where each is named. */
typedef struct EdidMode {
    uint16_t x, y;
    uint8_t at, bit;                   /* established timings: byte, mask     */
    uint8_t aspect;                    /* standard timing: 1 16:10, 2 4:3, 3
                                          5:4, 4 16:9                         */
    uint8_t vic;                       /* CTA video code                      */
} EdidMode;
#define III 72                         /* at: offset in established timings III */
static const EdidMode modes[] = {
    { 5120, 2160, .vic = 125 }, { 4096, 2160, .vic = 101 },
    { 3840, 2160, .vic = 96 }, { 2560, 1080, .vic = 89 },
    { 1920, 1080, .vic = 31 }, { 3840, 2160, .vic = 97 },
    { 2048, 1152, .aspect = 4 }, { 1920, 1080, .aspect = 4 },
    { 1920, 1200, .aspect = 1 }, { 1600, 1200, .aspect = 2 },
    { 1680, 1050, .aspect = 1 }, { 1440, 900, .aspect = 1 },
    { 1280, 1024, .aspect = 3 }, { 1280, 960, .aspect = 2 },
    { 1280, 768, .at = III + 7, .bit = 0x40 },
    { 1920, 1440, .at = III + 11, .bit = 0x20, .aspect = 2 },
    { 1856, 1392, .at = III + 10, .bit = 0x08, .aspect = 2 },
    { 1792, 1344, .at = III + 10, .bit = 0x20, .aspect = 2 },
    { 1400, 1050, .at = III + 8, .bit = 0x02 },
    { 1360, 768, .at = III + 8, .bit = 0x80 },
    { 1024, 768, .at = 36, .bit = 0x08 }, { 800, 600, .at = 35, .bit = 0x01 },
    { 640, 480, .at = 35, .bit = 0x20 },
};

static void checksum(uint8_t *block)
{
    unsigned sum = 0;

    for (int i = 0; i < 127; i++) {
        sum += block[i];
    }
    block[127] = (uint8_t)-sum;
}

/* sRGB's primaries and white point, in 1024ths (CIE 1931). */
static void colors(uint8_t *e)
{
    static const uint16_t xy[8] = { 655, 338, 307, 614, 154, 61, 320, 337 };

    e[25] = (uint8_t)((xy[0] & 3) << 6 | (xy[1] & 3) << 4 | (xy[2] & 3) << 2 |
                      (xy[3] & 3));
    e[26] = (uint8_t)((xy[4] & 3) << 6 | (xy[5] & 3) << 4 | (xy[6] & 3) << 2 |
                      (xy[7] & 3));
    for (int i = 0; i < 8; i++) {
        e[27 + i] = (uint8_t)(xy[i] >> 2);
    }
}

/* Lengths of what surrounds the picture, by dots and by lines. */
typedef struct EdidTiming {
    uint32_t x, xblank, xfront, xsync, y, yblank, yfront, ysync;
    uint64_t clock;                    /* in 10 kHz                           */
} EdidTiming;

static EdidTiming timing_of(const EdidWish *w)
{
    uint32_t x = w->xres, y = w->yres;
    EdidTiming t = { x, x * 35 / 100, x * 25 / 100, x * 3 / 100,
                     y, y * 35 / 1000, y * 5 / 1000, y * 5 / 1000, 0 };

    t.clock = (uint64_t)(x + t.xblank) * (y + t.yblank) * w->refresh_mhz /
              10000000;
    return t;
}

static bool too_large(const EdidTiming *t)
{
    return t->clock > 0xffff || t->x > 4095 || t->y > 4095;
}

static void detailed(uint8_t *d, const EdidWish *w, const EdidTiming *t)
{
    st_le16(d, (uint16_t)t->clock);
    d[2] = (uint8_t)t->x;
    d[3] = (uint8_t)t->xblank;
    d[4] = (uint8_t)((t->x >> 8 & 15) << 4 | (t->xblank >> 8 & 15));
    d[5] = (uint8_t)t->y;
    d[6] = (uint8_t)t->yblank;
    d[7] = (uint8_t)((t->y >> 8 & 15) << 4 | (t->yblank >> 8 & 15));
    d[8] = (uint8_t)t->xfront;
    d[9] = (uint8_t)t->xsync;
    d[10] = (uint8_t)((t->yfront & 15) << 4 | (t->ysync & 15));
    d[11] = (uint8_t)((t->xfront >> 8 & 3) << 6 | (t->xsync >> 8 & 3) << 4 |
                      (t->yfront >> 4 & 3) << 2 | (t->ysync >> 4 & 3));
    d[12] = (uint8_t)w->width_mm;
    d[13] = (uint8_t)w->height_mm;
    d[14] = (uint8_t)((w->width_mm >> 8 & 15) << 4 |
                      (w->height_mm >> 8 & 15));
    d[17] = 0x18;                       /* digital, separate sync             */
}

/* A section with one timing: lengths are one less than they are. */
static void display_id(uint8_t *e, const EdidTiming *t)
{
    const uint32_t lengths[] = { t->x, t->xblank, t->xfront, t->xsync,
                                 t->y, t->yblank, t->yfront, t->ysync };
    unsigned sum = 0, at = 12;

    e[0] = 0x70;
    e[1] = 0x13;                        /* version 1.3                        */
    e[2] = 23;                          /* bytes of data                      */
    e[3] = 3;                           /* a monitor of its own               */
    e[5] = 3;                           /* type I timings                     */
    e[7] = 20;
    st_le16(e + 8, (uint16_t)t->clock);
    e[10] = (uint8_t)(t->clock >> 16);
    e[11] = 0x88;                       /* preferred, of unknown aspect       */
    for (size_t i = 0; i < ARRAY_SIZE(lengths); i++, at += 2) {
        st_le16(e + at, (uint16_t)(lengths[i] - 1));
    }
    for (unsigned i = 1; i < at; i++) {
        sum += e[i];
    }
    e[at] = (uint8_t)-sum;
    checksum(e);
}

static void text(uint8_t *d, uint8_t tag, const char *s)
{
    size_t n = MIN2(strlen(s), 13);

    d[3] = tag;
    memset(d + 5, ' ', 13);
    memcpy(d + 5, s, n);
    if (n < 13) {
        d[5 + n] = '\n';
    }
}

/* Refresh rates of 50 to 125 Hz, lines at 30 to 160 kHz, any clock. */
static void range(uint8_t *d)
{
    static const uint8_t bytes[] = { 50, 125, 30, 160, 255, 1, '\n' };

    d[3] = 0xfd;
    memset(d + 5, ' ', 13);
    memcpy(d + 5, bytes, sizeof(bytes));
}

static void name_modes(uint8_t *e, uint8_t *iii, const EdidWish *w)
{
    uint8_t *cta = e + 128;
    int standard = 38, codes = 5;

    for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
        const EdidMode *m = &modes[i];

        if ((w->xmax && m->x > w->xmax) || (w->ymax && m->y > w->ymax)) {
            continue;
        }
        if (m->aspect && standard < 54) {
            e[standard++] = (uint8_t)(m->x / 8 - 31);
            e[standard++] = (uint8_t)((m->aspect - 1) << 6);
        } else if (m->vic) {
            cta[codes++] = m->vic;
        } else if (m->at >= III && standard == 54) {
            iii[m->at - III] |= m->bit;
        } else if (m->at && m->at < III) {
            e[m->at] |= m->bit;
        }                               /* III is for what has no other room  */
    }
    while (standard < 54) {
        e[standard++] = 1;
    }
    cta[0] = 2;
    cta[1] = 3;
    cta[2] = (uint8_t)codes;            /* where detailed timings would be    */
    cta[4] = (uint8_t)(0x40 | (codes - 5));        /* video codes             */
    for (int i = codes; i + 18 <= 127; i += 18) {
        cta[i + 3] = 0x10;              /* no descriptor                      */
    }
}

void edid_make(uint8_t *out, unsigned room, const EdidWish *wish)
{
    static const uint8_t head[] = { 0, 255, 255, 255, 255, 255, 255, 0 };
    const char *vendor = wish->vendor ? wish->vendor : "RHT";
    EdidWish w = *wish;
    EdidTiming t;
    uint8_t *d = out + 54, *iii;
    bool third;

    w.xres = w.xres ? MIN2(w.xres, 0xffff) : 1280;
    w.yres = w.yres ? MIN2(w.yres, 0xffff) : 800;
    w.refresh_mhz = w.refresh_mhz ? w.refresh_mhz : 75000;
    if (!w.width_mm || !w.height_mm) {
        w.width_mm = w.xres * 254 / 10 / DPI;
        w.height_mm = w.yres * 254 / 10 / DPI;
    }
    memset(out, 0, room);
    memcpy(out, head, sizeof(head));
    st_be16(out + 8, (uint16_t)((vendor[0] - '@') << 10 |
                                (vendor[1] - '@') << 5 | (vendor[2] - '@')));
    st_le16(out + 10, 0x1234);
    if (w.serial) {
        st_le32(out + 12, (uint32_t)strtoul(w.serial, NULL, 0));
    }
    out[16] = 42;                       /* week and year of making            */
    out[17] = 2014 - 1990;
    out[18] = 1;
    out[19] = 4;
    out[20] = 0xa5;                     /* digital, 8 bits, DisplayPort       */
    out[21] = (uint8_t)MIN2(w.width_mm / 10, 255);
    out[22] = (uint8_t)MIN2(w.height_mm / 10, 255);
    out[23] = 0x78;                     /* gamma 2.2                          */
    out[24] = 0x06;                     /* sRGB, native mode first            */
    colors(out);
    t = timing_of(&w);
    third = too_large(&t) && room >= EDID_MAX;
    if (!too_large(&t)) {
        detailed(d, &w, &t);
        d += DESCRIPTOR;
    }
    iii = d;
    iii[3] = 0xf7;
    iii[5] = 10;
    range(d += DESCRIPTOR);
    text(d += DESCRIPTOR, 0xfc, w.name ? w.name : "QEMU Monitor");
    d += DESCRIPTOR;
    if (d < out + 126) {
        d[3] = 0x10;                    /* no descriptor                      */
    }
    name_modes(out, iii, &w);
    out[126] = (uint8_t)(third ? 2 : 1);
    checksum(out);
    checksum(out + 128);
    if (third) {
        display_id(out + 256, &t);
    }
}
