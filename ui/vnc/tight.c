/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tight.c - the encodings Tight and Tight PNG (RFB protocol, 7.7.4 and 7.7.5 of
 * the community's edition): one colour, palettes, whole colours through zlib,
 * JPEG where loss is allowed, PNG.
 *
 * Thread class: a worker, with a job that is its own.
 *
 * Invariants:
 * 1. A rectangle is at most 2048 wide, and its data less than 4 MiB.
 */
#include <string.h>
#include "ui/vnc/vnc.h"

#define SIDE 256                       /* of the squares that are looked at   */
#define COLORS 64                      /* of a palette                        */
#define SMALL 12                       /* bytes that zlib would not shrink    */
#define JPEG_LEAST 256                 /* pixels                              */

enum { STREAM_FULL, STREAM_MONO, STREAM_INDEXED };
enum { CTL_FILL = 0x80, CTL_JPEG = 0x90, CTL_PNG = 0xa0, CTL_FILTER = 0x40 };

typedef struct Palette {
    unsigned n;                        /* COLORS + 1: more                    */
    uint32_t color[COLORS];
    uint8_t of[256];                   /* hash to index + 1                   */
} Palette;

static unsigned hash(uint32_t v)
{
    return (v * 2654435761u) >> 24;
}

/* Index of a colour, added when it is new; COLORS: no room. */
static unsigned palette_put(Palette *p, uint32_t v)
{
    unsigned h = hash(v);

    while (p->of[h & 255] && p->color[p->of[h & 255] - 1] != v) {
        h++;
    }
    if (!p->of[h & 255]) {
        if (p->n >= COLORS) {
            p->n = COLORS + 1;
            return COLORS;
        }
        p->color[p->n] = v;
        p->of[h & 255] = (uint8_t)++p->n;
    }
    return p->of[h & 255] - 1u;
}

static void palette_make(Palette *p, const uint32_t *px, size_t n)
{
    uint32_t last = ~0u;

    memset(p, 0, sizeof(*p));
    for (size_t i = 0; i < n && p->n <= COLORS; i++) {
        if (px[i] != last) {
            last = px[i];
            palette_put(p, last);
        }
    }
}

static bool three_bytes(const VncFormat *f)
{
    return f->bits == 32 && f->depth == 24 && f->max[0] == 255 &&
           f->max[1] == 255 && f->max[2] == 255;
}

/* n TPIXELs. */
static void tpixels(const VncJob *j, const uint32_t *px, size_t n,
                    GByteArray *out)
{
    unsigned at = out->len, bytes = three_bytes(&j->format)
        ? 3 : j->format.bits / 8u;
    uint8_t *p;

    g_byte_array_set_size(out, (unsigned)(at + n * bytes));
    p = out->data + at;
    if (bytes == 3) {
        for (size_t i = 0; i < n; i++) {
            *p++ = (uint8_t)(px[i] >> 16);
            *p++ = (uint8_t)(px[i] >> 8);
            *p++ = (uint8_t)px[i];
        }
    } else {
        vnc_pixels(&j->format, j->native, px, n, p);
    }
}

static void compact(GByteArray *out, size_t n)
{
    for (int i = 0; i < 3; i++) {
        unsigned byte = (unsigned)(i < 2 ? n & 127 : n & 255);

        n >>= 7;
        if (i == 2 || !n) {
            vnc_bytes_put(out, byte, 1);
            return;
        }
        vnc_bytes_put(out, byte | 128, 1);
    }
}

/* Data of a basic rectangle through stream k. */
static bool basic_data(VncJob *j, int k, const void *data, size_t n)
{
    VncCoder *c = j->coder;
    GByteArray *z;
    bool ok;

    if (n < SMALL) {
        g_byte_array_append(j->out, data, (unsigned)n);
        return true;
    }
    z = g_byte_array_new();
    ok = vnc_deflate(&c->tight[k], &c->tight_on[k], &c->tight_level[k],
                     j->compression < 0 ? 1 : j->compression, data, n, z);
    compact(j->out, z->len);
    g_byte_array_append(j->out, z->data, z->len);
    g_byte_array_free(z, true);
    return ok;
}

static bool basic_full(VncJob *j, const uint32_t *px, size_t n)
{
    GByteArray *raw = g_byte_array_new();
    bool ok;

    vnc_bytes_put(j->out, STREAM_FULL << 4, 1);
    tpixels(j, px, n, raw);
    ok = basic_data(j, STREAM_FULL, raw->data, raw->len);
    g_byte_array_free(raw, true);
    return ok;
}

static bool basic_palette(VncJob *j, Palette *p, const uint32_t *px, int w,
                          int h)
{
    bool mono = p->n == 2, ok;
    size_t n = (size_t)w * (size_t)h, bytes = 0;
    uint8_t *data = g_malloc(n + (size_t)h);
    int stream = mono ? STREAM_MONO : STREAM_INDEXED;

    vnc_bytes_put(j->out, CTL_FILTER | (unsigned)stream << 4, 1);
    vnc_bytes_put(j->out, 1, 1);
    vnc_bytes_put(j->out, p->n - 1, 1);
    tpixels(j, p->color, p->n, j->out);
    for (int y = 0; mono && y < h; y++) {
        for (int x = 0; x < w; x += 8) {
            unsigned byte = 0;

            for (int b = 0; b < 8 && x + b < w; b++) {
                byte |= (unsigned)(px[y * w + x + b] == p->color[1]) << (7 - b);
            }
            data[bytes++] = (uint8_t)byte;
        }
    }
    for (size_t i = 0; !mono && i < n; i++) {
        data[bytes++] = (uint8_t)palette_put(p, px[i]);
    }
    ok = basic_data(j, stream, data, bytes);
    g_free(data);
    return ok;
}

/* ---- pictures ------------------------------------------------------------ */
/* The control byte, a length and a picture that a library makes. */
static bool picture(VncJob *j, unsigned control, const uint32_t *px, int w,
                    int h)
{
    GByteArray *data = g_byte_array_new();
    bool ok = control == CTL_PNG
        ? j->pictures->png(data, px, w, h, w * 4,
                           j->compression < 0 ? 1 : j->compression)
        : j->pictures->jpeg(data, px, w, h, w * 4, 10 + j->quality * 10);

    vnc_bytes_put(j->out, control, 1);
    compact(j->out, data->len);
    g_byte_array_append(j->out, data->data, data->len);
    g_byte_array_free(data, true);
    return ok;
}

static bool may_lose(const VncJob *j, int w, int h)
{
    return j->pictures && j->pictures->jpeg && j->lossy && j->quality >= 0 &&
           j->format.bits > 8 && w * h >= JPEG_LEAST && w >= 8 && h >= 8;
}

/* ---- a rectangle --------------------------------------------------------- */
static bool square(VncJob *j, VncRect r, const uint32_t *px)
{
    size_t n = (size_t)r.w * (size_t)r.h;
    Palette p;

    palette_make(&p, px, n);
    vnc_rect_head(j, r, j->encoding);
    if (p.n == 1) {
        vnc_bytes_put(j->out, CTL_FILL, 1);
        tpixels(j, p.color, 1, j->out);
        return true;
    }
    if (p.n > COLORS && may_lose(j, r.w, r.h)) {
        return picture(j, CTL_JPEG, px, r.w, r.h);
    }
    if (j->encoding == ENC_TIGHT_PNG) {
        return picture(j, CTL_PNG, px, r.w, r.h);
    }
    /* an index costs a byte: palettes that are larger than the gain do not pay */
    if (p.n <= COLORS && p.n * 4 < n) {
        return basic_palette(j, &p, px, r.w, r.h);
    }
    return basic_full(j, px, n);
}

int vnc_tight(VncJob *j, VncRect r, const uint32_t *pixels)
{
    uint32_t *px = g_new(uint32_t, SIDE * SIDE);
    int count = 0;

    for (int y = 0; y < r.h; y += SIDE) {
        for (int x = 0; x < r.w; x += SIDE) {
            VncRect part = { r.x + x, r.y + y, MIN2(SIDE, r.w - x),
                             MIN2(SIDE, r.h - y) };

            for (int i = 0; i < part.h; i++) {
                const uint32_t *from = pixels + (size_t)(y + i) *
                    (size_t)r.w + x;

                vnc_dots(px + i * part.w, from, part.w);
            }
            if (!square(j, part, px)) {
                g_free(px);
                return -1;
            }
            count++;
        }
    }
    g_free(px);
    return count;
}
