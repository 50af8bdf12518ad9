/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cirrus-cursor.c - the GD5446's hardware pointer (Technical Reference Manual,
 * chapter on the hardware cursor): 32 or 64 dots square, two planes in the last
 * 16 KiB of video memory.
 *
 * Thread class: machine lock.
 */
#include "hw/display/cirrus.h"

static int cursor_size(const Cirrus *c)
{
    unsigned r = c->vga.seq[SR_CURSOR];

    return !(r & 1) ? 0 : r & 4 ? 64 : 32;
}

static uint32_t cursor_color(const Cirrus *c, unsigned i)
{
    uint32_t rgb = 0;

    for (unsigned k = 0; k < 3; k++) {
        unsigned v = c->cursor_dac[i * 3 + k] & 63;

        rgb = rgb << 8 | v << 2 | (v & 1) * 3;
    }
    return rgb;
}

/* Both planes: 64 bits of each line. */
static const uint8_t *cursor_planes(const Cirrus *c, int size)
{
    unsigned at = c->vga.seq[SR_CURSOR_AT] & (size == 64 ? 0x3c : 0x3f);

    return c->vga.mem + c->vga.size - 0x4000 + at * 256;
}

static void again(Vga *v, int y, int lines)
{
    if (!lines) {
        return;
    }
    v->again_from = v->again_to ? MIN2(v->again_from, y) : y;
    v->again_to = MAX2(v->again_to, y + lines);
}

void cirrus_cursor_prepare(Vga *v)
{
    Cirrus *c = cirrus_of(v);
    int size = cursor_size(c), bytes = size == 64 ? 1024 : size ? 256 : 0;
    const uint8_t *now = cursor_planes(c, size);
    uint32_t color[2] = { cursor_color(c, 0), cursor_color(c, 15) };

    if (size == c->drawn_size && c->cursor_x == c->drawn_x &&
        c->cursor_y == c->drawn_y && !memcmp(now, c->drawn, (size_t)bytes) &&
        !memcmp(color, c->drawn_color, sizeof(color))) {
        return;
    }
    again(v, c->drawn_y, c->drawn_size);
    again(v, c->cursor_y, size);
    c->drawn_x = c->cursor_x;
    c->drawn_y = c->cursor_y;
    c->drawn_size = size;
    memcpy(c->drawn, now, (size_t)bytes);
    memcpy(c->drawn_color, color, sizeof(color));
}

/* Planes 1 and 0 of a dot: 0 see-through, 1 inverted, 2 background, 3
 * foreground. */
void cirrus_cursor_line(Vga *v, int y, uint32_t *line)
{
    const Cirrus *c = cirrus_of(v);
    int size = c->drawn_size, row = y - c->drawn_y;
    const uint8_t *p0, *p1;

    if (row < 0 || row >= size) {
        return;
    }
    p0 = c->drawn + row * (size == 64 ? 16 : 4);
    p1 = p0 + (size == 64 ? 8 : 128);
    for (int x = 0; x < size && c->drawn_x + x < v->shown.width; x++) {
        unsigned bit = 0x80u >> (x & 7);
        bool b0 = p0[x / 8] & bit, b1 = p1[x / 8] & bit;
        uint32_t *dot = &line[c->drawn_x + x];

        if (b1) {
            *dot = c->drawn_color[b0];
        } else if (b0) {
            *dot ^= 0xffffff;
        }
    }
}
