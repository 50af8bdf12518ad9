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
#ifdef __SSE2__
#include <emmintrin.h>
#endif
#include "ui/vnc/vnc.h"

#define SIDE 16
#define TILE_MOST (1 + 2 * 4 + 1 + SIDE * SIDE * 6)

enum { HEX_RAW = 1, HEX_BG = 2, HEX_FG = 4, HEX_SUBRECTS = 8, HEX_COLORED = 16 };

typedef struct Hextile {
    VncJob *j;
    uint8_t *at;                       /* where the next byte goes            */
    uint32_t store[4 + SIDE * SIDE];
    uint32_t *px;                      /* the tile in it, in lines of SIDE    */
    int w, h;
    /* A bit for each dot of a line: it is not background and not yet in a
     * rectangle; it differs from the one to the left; from the one above. */
    uint16_t rest[SIDE], edge[SIDE], step[SIDE];
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

/* Bits of the SIDE dots that differ. */
static unsigned differ(const uint32_t *a, const uint32_t *b)
{
    unsigned bits = 0;
#ifdef __SSE2__
    __m128i eq[4];

    for (int i = 0; i < 4; i++) {
        eq[i] = _mm_cmpeq_epi32(_mm_loadu_si128((const void *)(a + i * 4)),
                                _mm_loadu_si128((const void *)(b + i * 4)));
    }
    bits = (unsigned)_mm_movemask_epi8(_mm_packs_epi16(
        _mm_packs_epi32(eq[0], eq[1]), _mm_packs_epi32(eq[2], eq[3])));
    return bits ^ 0xffff;
#else
    for (int i = 0; i < SIDE; i++) {
        bits |= (unsigned)(a[i] != b[i]) << i;
    }
    return bits;
#endif
}

static void fill(uint32_t *line, uint32_t v)
{
    for (int i = 0; i < SIDE; i++) {
        line[i] = v;
    }
}

/* How many colours, up to 3 for more than two; the more frequent one of two is
 * the background. Sets the bits. */
static int look(Hextile *x, uint32_t *bg, uint32_t *fg)
{
    const unsigned all = (1u << x->w) - 1;
    uint32_t one[SIDE], two[SIDE];
    int n_fg = 0, colors = 1;

    *bg = x->px[0];
    fill(one, *bg);
    for (int y = 0; y < x->h; y++) {
        const uint32_t *p = x->px + y * SIDE;
        unsigned other = differ(p, one) & all;

        x->rest[y] = (uint16_t)other;
        n_fg += __builtin_popcount(other);
        if (other && colors == 1) {
            *fg = p[__builtin_ctz(other)];
            fill(two, *fg);
            colors = 2;
        }
        if (other && colors == 2 && differ(p, two) & other) {
            colors = 3;
        }
    }
    if (colors == 2 && n_fg * 2 > x->w * x->h) {
        uint32_t v = *bg;

        *bg = *fg;
        *fg = v;
        for (int y = 0; y < x->h; y++) {
            x->rest[y] ^= (uint16_t)all;
        }
    }
    for (int y = 0; colors > 1 && y < x->h; y++) {
        const uint32_t *p = x->px + y * SIDE;

        x->edge[y] = (uint16_t)differ(p, p - 1);
        x->step[y] = y ? (uint16_t)differ(p, p - SIDE) : 0xffff;
    }
    return colors;
}

/* Rectangles of other colours than the background: bytes of them in out; 0: too
 * many to pay, or it looks so after a few lines. */
static size_t rects(Hextile *x, bool colored, uint8_t *out, unsigned *count)
{
    size_t most = (size_t)(x->w * x->h) * x->j->format.bits / 8;
    const uint8_t *begin = out;

    for (int y = 0; y < x->h; y++) {
        if (y == 3 && (size_t)(out - begin) * (size_t)x->h > most * 4) {
            return 0;
        }
        while (x->rest[y]) {
            int i = __builtin_ctz(x->rest[y]), h = 1;
            /* up to the next that is another colour, or is done */
            unsigned end = (x->edge[y] | ~x->rest[y] | 1u << x->w) >> (i + 1);
            int w = __builtin_ctz(end) + 1;
            unsigned mask = ((1u << w) - 1) << i;

            x->rest[y] &= (uint16_t)~mask;
            for (; y + h < x->h && !(x->step[y + h] & mask); h++) {
                x->rest[y + h] &= (uint16_t)~mask;
            }
            if (colored) {
                out += pixel(x, x->px[y * SIDE + i], out);
            }
            out[0] = (uint8_t)(i << 4 | y);
            out[1] = (uint8_t)((w - 1) << 4 | (h - 1));
            out += 2;
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
    int colors = look(x, &bg, &fg);
    unsigned flags = 0, count = 0;
    uint8_t data[SIDE * SIDE * 6 + 6];
    size_t n = 0;

    if (colors > 1) {
        n = rects(x, colors > 2, data, &count);
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
        memcpy(x->at, data, n);
        x->at += n;
    }
}

void vnc_hextile(VncJob *j, VncRect r, const uint32_t *pixels)
{
    Hextile x = { .j = j };

    x.px = x.store + 4;
    vnc_rect_head(j, r, ENC_HEXTILE);
    for (int y = 0; y < r.h; y += SIDE) {
        for (int i = 0; i < r.w; i += SIDE) {
            const uint32_t *from = pixels + (size_t)y * (size_t)r.w + i;

            x.w = MIN2(SIDE, r.w - i);
            x.h = MIN2(SIDE, r.h - y);
            for (int k = 0; k < x.h; k++, from += r.w) {
                vnc_dots(x.px + k * SIDE, from, x.w);
            }
            x.at = vnc_room(j->out, TILE_MOST);
            tile(&x);
            g_byte_array_set_size(j->out, (unsigned)(x.at - j->out->data));
        }
    }
}
