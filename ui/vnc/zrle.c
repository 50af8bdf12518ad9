/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * zrle.c - the encoding ZRLE (RFC 6143 7.7.6): tiles of 64 x 64 as one colour,
 * packed palette indices, runs, or plain pixels, whichever is shortest, and all
 * of a rectangle's through one zlib stream.
 *
 * Thread class: a worker, with a job that is its own.
 *
 * Invariants:
 * 1. A tile's bytes are at most those of its plain pixels and TILE_SLACK; the
 *    room is there before the tile is written.
 */
#include <string.h>
#include "ui/vnc/vnc.h"

#define SIDE 64
#define COLORS_MAX 127
#define SLOTS 1024                     /* of the hash, power of two           */
/* The kind, and a run's length bytes beyond the first for each 255 pixels. */
#define TILE_SLACK (1 + SIDE * SIDE / 255 + 1)

typedef struct Zrle {
    const VncFormat *f;
    uint8_t *at;                       /* where the next byte goes            */
    unsigned bytes, first;             /* of a CPIXEL, and where it begins    */
    bool low;                          /* it is the low bytes of ours         */
    uint32_t px[SIDE * SIDE];          /* the tile                            */
    uint8_t index[SIDE * SIDE];        /* colour of each pixel, by number     */
    uint32_t color[COLORS_MAX];
    unsigned colors;                   /* COLORS_MAX + 1: more                */
    size_t runs, singles;              /* of one colour; those of one pixel   */
    uint16_t slot[SLOTS];              /* number of a colour + 1              */
    VncJob *j;
    GByteArray *raw;                   /* tiles that are not yet deflated     */
    bool noisy;                        /* and are noise; else none is         */
} Zrle;

static void byte(Zrle *z, unsigned v)
{
    *z->at++ = (uint8_t)v;
}

static void cpixel(Zrle *z, uint32_t rgb)
{
    uint8_t b[4];

    if (z->low) {
        z->at[0] = (uint8_t)rgb;
        z->at[1] = (uint8_t)(rgb >> 8);
        z->at[2] = (uint8_t)(rgb >> 16);
    } else {
        vnc_pixel(z->f, rgb, b);
        memcpy(z->at, b + z->first, z->bytes);
    }
    z->at += z->bytes;
}

/* Three of four bytes suffice where the colours lie in them. */
static void cpixel_form(Zrle *z, bool native)
{
    const VncFormat *f = z->f;
    uint32_t bits = 0;

    z->bytes = f->bits / 8;
    z->first = 0;
    if (f->bits != 32 || f->depth > 24) {
        return;
    }
    for (int i = 0; i < 3; i++) {
        bits |= (uint32_t)f->max[i] << f->shift[i];
    }
    if (!(bits & 0xff000000)) {
        z->bytes = 3;
        z->first = f->big ? 1 : 0;
        z->low = native && !f->big;
    } else if (!(bits & 0xff)) {
        z->bytes = 3;
        z->first = f->big ? 0 : 1;
    }
}

static void run_length(Zrle *z, size_t n)
{
    for (n--; n >= 255; n -= 255) {
        byte(z, 255);
    }
    byte(z, (unsigned)n);
}

/* ---- what is in a tile --------------------------------------------------- */
static unsigned number_of(Zrle *z, uint32_t v)
{
    unsigned h = v * 2654435761u >> 22;

    while (z->slot[h] && z->color[z->slot[h] - 1] != v) {
        h = (h + 1) % SLOTS;
    }
    if (!z->slot[h]) {
        if (z->colors >= COLORS_MAX) {
            z->colors = COLORS_MAX + 1;
            return 0;
        }
        z->color[z->colors] = v;
        z->slot[h] = (uint16_t)++z->colors;
    }
    return z->slot[h] - 1u;
}

/* Colours, as long as a palette has room for them, and runs. */
static void look(Zrle *z, size_t n)
{
    uint32_t last = z->px[0];
    unsigned number;
    size_t i = 0, begin = 0;

    memset(z->slot, 0, sizeof(z->slot));
    z->colors = 0;
    z->runs = 1;
    z->singles = 0;
    number = number_of(z, last);
    for (; i < n && z->colors <= COLORS_MAX; i++) {
        if (z->px[i] != last) {
            z->singles += i - begin == 1;
            z->runs++;
            begin = i;
            last = z->px[i];
            number = number_of(z, last);
        }
        z->index[i] = (uint8_t)number;
    }
    for (; i < n; i++) {                /* only runs count now                */
        z->runs += z->px[i] != z->px[i - 1];
    }
    z->singles += n - begin == 1;
}

/* ---- kinds of tiles ------------------------------------------------------ */
static unsigned index_bits(unsigned colors)
{
    return colors <= 2 ? 1 : colors <= 4 ? 2 : 4;
}

static void palette(Zrle *z, unsigned kind)
{
    byte(z, kind);
    for (unsigned i = 0; i < z->colors; i++) {
        cpixel(z, z->color[i]);
    }
}

static void packed(Zrle *z, int w, int h)
{
    unsigned bits = index_bits(z->colors);
    const uint8_t *p = z->index;

    palette(z, z->colors);
    for (int y = 0; y < h; y++, p += w) {
        unsigned v = 0, have = 0;

        for (int x = 0; x < w; x++) {
            v = v << bits | p[x];
            have += bits;
            if (have == 8) {
                byte(z, v);
                v = have = 0;
            }
        }
        if (have) {
            byte(z, v << (8 - have));
        }
    }
}

static void plain_runs(Zrle *z, size_t n)
{
    byte(z, 128);
    for (size_t i = 0, k; i < n; i = k) {
        for (k = i + 1; k < n && z->px[k] == z->px[i]; k++) {
        }
        cpixel(z, z->px[i]);
        run_length(z, k - i);
    }
}

static void palette_runs(Zrle *z, size_t n)
{
    palette(z, 128 + z->colors);
    for (size_t i = 0, k; i < n; i = k) {
        for (k = i + 1; k < n && z->index[k] == z->index[i]; k++) {
        }
        byte(z, k - i == 1 ? z->index[i] : z->index[i] | 128u);
        if (k - i > 1) {
            run_length(z, k - i);
        }
    }
}

static void plain(Zrle *z, size_t n)
{
    byte(z, 0);
    for (size_t i = 0; i < n; i++) {
        cpixel(z, z->px[i]);
    }
}

/* Few dots are what their neighbours let one expect: there is nothing in it for
 * zlib to find, and it takes longest to find that. */
static bool is_noise(const Zrle *z, size_t n)
{
    size_t known = 0;

    for (size_t i = 2; i < n; i++) {
        known += z->px[i] - z->px[i - 1] == z->px[i - 1] - z->px[i - 2];
    }
    return known * 16 < n;
}

static bool deflate_tiles(Zrle *z)
{
    VncCoder *k = z->j->coder;
    int level = z->j->compression < 0 ? 1 : z->j->compression;
    bool ok = !z->raw->len ||
        vnc_deflate(&k->zrle, &k->zrle_on, &k->zrle_level,
                    z->noisy ? level | VNC_HUFFMAN : level, z->raw->data,
                    z->raw->len, z->j->out);

    g_byte_array_set_size(z->raw, 0);
    return ok;
}

/* Returns whether it is noise. */
static bool tile(Zrle *z, int w, int h)
{
    size_t n = (size_t)w * (size_t)h, best = n * z->bytes, cost;
    enum { PLAIN, PACKED, RUNS, PALETTE_RUNS } how = PLAIN;

    look(z, n);
    if (z->colors == 1) {
        palette(z, 1);
        return false;
    }
    cost = (z->bytes + 1) * z->runs;
    if (cost < best) {
        best = cost;
        how = RUNS;
    }
    cost = z->colors * z->bytes + 2 * z->runs - z->singles;
    if (z->colors <= COLORS_MAX && cost < best) {
        best = cost;
        how = PALETTE_RUNS;
    }
    cost = z->colors * z->bytes +
        (size_t)h * (((size_t)w * index_bits(z->colors) + 7) / 8);
    if (z->colors <= 16 && cost < best) {
        how = PACKED;
    }
    switch (how) {
    case PACKED: packed(z, w, h); break;
    case RUNS: plain_runs(z, n); break;
    case PALETTE_RUNS: palette_runs(z, n); break;
    default: plain(z, n); return is_noise(z, n);
    }
    return false;
}

/* ---- a rectangle --------------------------------------------------------- */
static bool one_tile(Zrle *z, const uint32_t *from, int stride, int w, int h)
{
    unsigned len = z->raw->len, n;
    bool noisy, ok = true;
    uint8_t *begin;

    for (int i = 0; i < h; i++) {
        vnc_dots(z->px + i * w, from + (size_t)i * (size_t)stride, w);
    }
    begin = vnc_room(z->raw, (size_t)(w * h) * z->bytes + TILE_SLACK);
    z->at = begin;
    noisy = tile(z, w, h);
    n = (unsigned)(z->at - begin);
    if (len && noisy != z->noisy) {     /* what was before goes first         */
        uint8_t *mine = g_memdup2(begin, n);

        g_byte_array_set_size(z->raw, len);
        ok = deflate_tiles(z);
        g_byte_array_append(z->raw, mine, n);
        g_free(mine);
    } else {
        g_byte_array_set_size(z->raw, len + n);
    }
    z->noisy = noisy;
    return ok;
}

bool vnc_zrle(VncJob *j, VncRect r, const uint32_t *pixels)
{
    Zrle *z = g_new(Zrle, 1);
    unsigned len_at;
    bool ok = true;

    z->f = &j->format;
    z->j = j;
    z->raw = g_byte_array_new();
    z->low = z->noisy = false;
    cpixel_form(z, j->native);
    vnc_rect_head(j, r, ENC_ZRLE);
    len_at = j->out->len;
    vnc_bytes_put(j->out, 0, 4);
    for (int y = 0; ok && y < r.h; y += SIDE) {
        for (int x = 0; ok && x < r.w; x += SIDE) {
            ok = one_tile(z, pixels + (size_t)y * (size_t)r.w + x, r.w,
                          MIN2(SIDE, r.w - x), MIN2(SIDE, r.h - y));
        }
    }
    ok = ok && deflate_tiles(z);
    st_be32(j->out->data + len_at, j->out->len - len_at - 4);
    g_byte_array_free(z->raw, true);
    g_free(z);
    return ok;
}
