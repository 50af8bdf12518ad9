/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hextile.c - the encoding hextile (RFC 6143 7.7.4): tiles of 16 x 16 as a
 * background and rectangles on it, or as plain pixels where that is shorter.
 *
 * Thread class: a worker, with a job that is its own.
 *
 * Invariants:
 * 1. A tile takes at most TILE_MOST bytes; the room is there before it is
 *    written.
 */
#include <string.h>
#include "ui/vnc/vnc.h"

#define SIDE 16
#define TILE_MOST (1 + 2 * 4 + 1 + SIDE * SIDE * 6)

enum { HEX_RAW = 1, HEX_BG = 2, HEX_FG = 4, HEX_SUBRECTS = 8, HEX_COLORED = 16 };

typedef struct Hextile {
    VncJob *j;
    uint8_t *at;                       /* where the next byte goes            */
    uint32_t px[SIDE * SIDE];          /* the tile, in lines of SIDE          */
    int w, h;
    uint32_t bg, fg;                   /* as the client has them              */
    bool has_bg, has_fg;
} Hextile;

static unsigned pixel(const Hextile *x, uint32_t rgb, uint8_t *out)
{
    if (x->j->native) {
        memcpy(out, &rgb, 4);
        return 4;
    }
    return vnc_pixel(&x->j->format, rgb, out);
}

/* How many colours, up to 3 for more than two; the more frequent one of two is
 * the background. */
static int colors_of(const Hextile *x, uint32_t *bg, uint32_t *fg)
{
    int n_fg = 0, colors = 1;

    *bg = x->px[0];
    for (int y = 0; y < x->h; y++) {
        const uint32_t *p = x->px + y * SIDE;

        for (int i = 0; i < x->w; i++) {
            if (p[i] == *bg) {
                continue;
            }
            if (colors == 1) {
                *fg = p[i];
                colors = 2;
            } else if (p[i] != *fg) {
                return 3;
            }
            n_fg++;
        }
    }
    if (n_fg * 2 > x->w * x->h) {
        uint32_t v = *bg;

        *bg = *fg;
        *fg = v;
    }
    return colors;
}

static uint8_t *put_rect(uint8_t *out, int x, int y, int w, int h)
{
    out[0] = (uint8_t)(x << 4 | y);
    out[1] = (uint8_t)((w - 1) << 4 | (h - 1));
    return out + 2;
}

/* Rectangles of one colour on the background: bytes of them in out. */
static size_t rects_of_two(const Hextile *x, uint32_t fg, uint8_t *out,
                           unsigned *count)
{
    uint32_t line[SIDE];               /* bits of the dots that are left      */
    const uint8_t *begin = out;

    for (int y = 0; y < x->h; y++) {
        line[y] = 0;
        for (int i = 0; i < x->w; i++) {
            line[y] |= (uint32_t)(x->px[y * SIDE + i] == fg) << i;
        }
    }
    for (int y = 0; y < x->h; y++) {
        while (line[y]) {
            int i = __builtin_ctz(line[y]);
            int w = __builtin_ctz(~(line[y] >> i)), h = 1;
            uint32_t mask = ((1u << w) - 1) << i;

            line[y] &= ~mask;
            for (; y + h < x->h && (line[y + h] & mask) == mask; h++) {
                line[y + h] &= ~mask;
            }
            out = put_rect(out, i, y, w, h);
            ++*count;
        }
    }
    return (size_t)(out - begin);
}

/* The rectangle of one colour whose corner is (i, y), marked as done. */
static void grow(const Hextile *x, int i, int y, VncRect *r, uint16_t *done)
{
    const uint32_t *at = x->px + y * SIDE + i;
    int w = 1, h = 1;

    while (i + w < x->w && !(done[y] & 1 << (i + w)) && at[w] == at[0]) {
        w++;
    }
    for (; y + h < x->h; h++) {
        int k = 0;

        while (k < w && at[h * SIDE + k] == at[0]) {
            k++;
        }
        if (k < w) {
            break;
        }
    }
    for (int k = 0; k < h; k++) {
        done[y + k] |= (uint16_t)(((1 << w) - 1) << i);
    }
    r->w = w;
    r->h = h;
}

/* Rectangles of all colours but the background's; 0: too many to pay, or it
 * looks so after a few lines. */
static size_t rects_of_many(const Hextile *x, uint32_t bg, uint8_t *out,
                            unsigned *count)
{
    size_t most = (size_t)(x->w * x->h) * x->j->format.bits / 8;
    uint16_t done[SIDE] = { 0 };
    const uint8_t *begin = out;

    for (int y = 0; y < x->h; y++) {
        if (y == 3 && (size_t)(out - begin) * (size_t)x->h > most * 4) {
            return 0;
        }
        for (int i = 0; i < x->w; i++) {
            uint32_t v = x->px[y * SIDE + i];
            VncRect r;

            if (v == bg || done[y] & 1 << i) {
                continue;
            }
            grow(x, i, y, &r, done);
            out += pixel(x, v, out);
            out = put_rect(out, i, y, r.w, r.h);
            if (++*count > 255 || (size_t)(out - begin) > most) {
                return 0;
            }
        }
    }
    return (size_t)(out - begin);
}

static void plain(Hextile *x)
{
    const VncJob *j = x->j;

    *x->at++ = HEX_RAW;
    for (int y = 0; y < x->h; y++) {
        vnc_pixels(&j->format, j->native, x->px + y * SIDE, (size_t)x->w,
                   x->at);
        x->at += (size_t)x->w * j->format.bits / 8;
    }
    x->has_bg = x->has_fg = false;
}

static void tile(Hextile *x)
{
    uint32_t bg = 0, fg = 0;
    int colors = colors_of(x, &bg, &fg);
    unsigned flags = 0, count = 0;
    uint8_t rects[SIDE * SIDE * 6];
    size_t n = 0;

    if (colors > 1) {
        n = colors > 2 ? rects_of_many(x, bg, rects, &count)
                       : rects_of_two(x, fg, rects, &count);
        if (!n) {
            plain(x);
            return;
        }
        flags |= colors > 2 ? HEX_SUBRECTS | HEX_COLORED : HEX_SUBRECTS;
    }
    if (!x->has_bg || x->bg != bg) {
        flags |= HEX_BG;
    }
    if (colors == 2 && (!x->has_fg || x->fg != fg)) {
        flags |= HEX_FG;
    }
    *x->at++ = (uint8_t)flags;
    if (flags & HEX_BG) {
        x->at += pixel(x, bg, x->at);
    }
    if (flags & HEX_FG) {
        x->at += pixel(x, fg, x->at);
    }
    x->bg = bg;
    x->has_bg = true;
    x->has_fg = colors == 2 || (x->has_fg && colors == 1);
    x->fg = colors == 2 ? fg : x->fg;
    if (n) {
        *x->at++ = (uint8_t)count;
        memcpy(x->at, rects, n);
        x->at += n;
    }
}

void vnc_hextile(VncJob *j, VncRect r, const uint32_t *pixels)
{
    Hextile x = { .j = j };

    vnc_rect_head(j, r, ENC_HEXTILE);
    for (int y = 0; y < r.h; y += SIDE) {
        for (int i = 0; i < r.w; i += SIDE) {
            const uint32_t *from = pixels + (size_t)y * (size_t)r.w + i;

            x.w = MIN2(SIDE, r.w - i);
            x.h = MIN2(SIDE, r.h - y);
            for (int k = 0; k < x.h; k++, from += r.w) {
                for (int c = 0; c < x.w; c++) {
                    x.px[k * SIDE + c] = from[c] & 0xffffff;
                }
            }
            x.at = vnc_room(j->out, TILE_MOST);
            tile(&x);
            g_byte_array_set_size(j->out, (unsigned)(x.at - j->out->data));
        }
    }
}
