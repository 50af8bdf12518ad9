/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * encode.c - pixels of an update as a VNC client wants them: formats, and the
 * encodings raw, hextile, zlib and ZRLE (RFC 6143 7.7). Tight is in tight.c.
 *
 * Thread class: a worker, with a job that is its own.
 */
#include <string.h>
#include "ui/vnc/vnc.h"

/* ---- formats ------------------------------------------------------------- */
unsigned vnc_pixel(const VncFormat *f, uint32_t rgb, uint8_t *out)
{
    uint32_t v = 0;
    unsigned bytes = f->bits / 8;

    for (int i = 0; i < 3; i++) {
        uint32_t c = rgb >> (16 - 8 * i) & 255;

        v |= (c * f->max[i] + 127) / 255 << f->shift[i];
    }
    for (unsigned i = 0; i < bytes; i++) {
        out[f->big ? bytes - 1 - i : i] = (uint8_t)(v >> 8 * i);
    }
    return bytes;
}

void vnc_pixels(const VncFormat *f, bool native, const uint32_t *in, size_t n,
                uint8_t *out)
{
    if (native) {
        memcpy(out, in, n * 4);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        out += vnc_pixel(f, in[i], out);
    }
}

/* ---- helpers ------------------------------------------------------------- */
void vnc_rect_head(VncJob *j, VncRect r, int encoding)
{
    vnc_bytes_put(j->out, (uint16_t)r.x, 2);
    vnc_bytes_put(j->out, (uint16_t)r.y, 2);
    vnc_bytes_put(j->out, (uint16_t)r.w, 2);
    vnc_bytes_put(j->out, (uint16_t)r.h, 2);
    vnc_bytes_put(j->out, (uint32_t)encoding, 4);
}

static uint8_t *room(GByteArray *a, size_t n)
{
    unsigned at = a->len;

    g_byte_array_set_size(a, (unsigned)(at + n));
    return a->data + at;
}

bool vnc_deflate(z_stream *z, bool *on, int *level, int want, const void *in,
                 size_t n, GByteArray *out)
{
    size_t at = out->len;

    if (!*on) {
        if (deflateInit2(z, want, Z_DEFLATED, MAX_WBITS, 9,
                         Z_DEFAULT_STRATEGY) != Z_OK) {
            return false;
        }
        *on = true;
        *level = want;
    }
    z->next_in = (Bytef *)(uintptr_t)in;
    z->avail_in = (unsigned)n;
    if (*level != want) {
        uint8_t none[64];

        z->next_out = none;             /* little is pending after a flush    */
        z->avail_out = sizeof(none);
        z->avail_in = 0;
        deflateParams(z, want, Z_DEFAULT_STRATEGY);
        g_byte_array_append(out, none, (unsigned)sizeof(none) - z->avail_out);
        at = out->len;
        z->avail_in = (unsigned)n;
        *level = want;
    }
    do {
        size_t space = n / 2 + 4096;

        z->next_out = room(out, space);
        z->avail_out = (unsigned)space;
        if (deflate(z, Z_SYNC_FLUSH) == Z_STREAM_ERROR) {
            return false;
        }
        at += space - z->avail_out;
        g_byte_array_set_size(out, (unsigned)at);
    } while (!z->avail_out || z->avail_in);
    return true;
}

static int level_of(const VncJob *j, int usual)
{
    return j->compression < 0 ? usual : j->compression;
}

VncCoder *vnc_coder_new(void)
{
    return g_new0(VncCoder, 1);
}

void vnc_coder_free(VncCoder *k)
{
    if (!k) {
        return;
    }
    if (k->zlib_on) {
        deflateEnd(&k->zlib);
    }
    if (k->zrle_on) {
        deflateEnd(&k->zrle);
    }
    for (int i = 0; i < 4; i++) {
        if (k->tight_on[i]) {
            deflateEnd(&k->tight[i]);
        }
    }
    g_free(k);
}

/* ---- raw, zlib ----------------------------------------------------------- */
static void raw(VncJob *j, VncRect r, const uint32_t *p)
{
    size_t n = (size_t)r.w * (size_t)r.h;

    vnc_rect_head(j, r, ENC_RAW);
    vnc_pixels(&j->format, j->native, p, n,
               room(j->out, n * j->format.bits / 8));
}

static bool zlib(VncJob *j, VncRect r, const uint32_t *p)
{
    size_t n = (size_t)r.w * (size_t)r.h, bytes = n * j->format.bits / 8;
    const void *in = p;
    uint8_t *copy = NULL;
    unsigned len_at;
    bool ok;

    if (!j->native) {
        copy = g_malloc(bytes);
        vnc_pixels(&j->format, false, p, n, copy);
        in = copy;
    }
    vnc_rect_head(j, r, ENC_ZLIB);
    len_at = j->out->len;
    vnc_bytes_put(j->out, 0, 4);
    ok = vnc_deflate(&j->coder->zlib, &j->coder->zlib_on,
                     &j->coder->zlib_level, level_of(j, 1), in, bytes, j->out);
    st_be32(j->out->data + len_at, j->out->len - len_at - 4);
    g_free(copy);
    return ok;
}

/* ---- hextile ------------------------------------------------------------- */
enum { HEX_RAW = 1, HEX_BG = 2, HEX_FG = 4, HEX_SUBRECTS = 8, HEX_COLORED = 16 };

typedef struct Hextile {
    VncJob *j;
    const uint32_t *p;                 /* of the rectangle                    */
    int stride;
    uint32_t bg, fg;
    bool has_bg, has_fg;
} Hextile;

static void hex_pixel(GByteArray *out, const VncFormat *f, uint32_t rgb)
{
    uint8_t b[4];

    g_byte_array_append(out, b, vnc_pixel(f, rgb, b));
}

/* How many colours, up to 3 for more than two; the more frequent one of two is
 * the background. */
static int hex_colors(const Hextile *x, const uint32_t *p, int w, int h,
                      uint32_t *bg, uint32_t *fg)
{
    int n_fg = 0, colors = 1;

    *bg = p[0] & 0xffffff;
    for (int y = 0; y < h; y++, p += x->stride) {
        for (int i = 0; i < w; i++) {
            uint32_t v = p[i] & 0xffffff;

            if (v == *bg) {
                continue;
            }
            if (colors == 1) {
                *fg = v;
                colors = 2;
            } else if (v != *fg) {
                return 3;
            }
            n_fg++;
        }
    }
    if (n_fg * 2 > w * h) {
        uint32_t v = *bg;

        *bg = *fg;
        *fg = v;
    }
    return colors;
}

#define HEX_SUB_MAX (256 * 6)          /* bytes of as many rectangles as go   */

/* The rectangle of one colour whose corner is (i, y), marked as done. */
static void hex_grow(const Hextile *x, const uint32_t *p, int i, int y,
                     VncRect *r, uint16_t *done)
{
    const uint32_t *at = p + y * x->stride + i;
    uint32_t v = at[0] & 0xffffff;
    int rw = 1, rh = 1, w = r->w, h = r->h;

    while (i + rw < w && !(done[y] & 1 << (i + rw)) &&
           (at[rw] & 0xffffff) == v) {
        rw++;
    }
    for (; y + rh < h; rh++) {
        int k = 0;

        while (k < rw && (at[rh * x->stride + k] & 0xffffff) == v) {
            k++;
        }
        if (k < rw) {
            break;
        }
    }
    for (int k = 0; k < rh; k++) {
        done[y + k] |= (uint16_t)(((1 << rw) - 1) << i);
    }
    r->w = rw;
    r->h = rh;
}

/* Rectangles of other colours than the background: bytes of them in out; 0: too
 * many to pay, or it looks so after a few lines. */
static size_t hex_subrects(const Hextile *x, const uint32_t *p, int w, int h,
                           uint32_t bg, bool colored, uint8_t *out,
                           unsigned *count)
{
    const VncFormat *f = &x->j->format;
    size_t most = (size_t)w * (size_t)h * f->bits / 8, n = 0;
    uint16_t done[16] = { 0 };

    for (int y = 0; y < h; y++) {
        if (y == 3 && n * (size_t)h > most * 4) {
            return 0;
        }
        for (int i = 0; i < w; i++) {
            uint32_t v = p[y * x->stride + i] & 0xffffff;
            VncRect r = { .w = w, .h = h };

            if (v == bg || done[y] & 1 << i) {
                continue;
            }
            hex_grow(x, p, i, y, &r, done);
            if (colored) {
                n += vnc_pixel(f, v, out + n);
            }
            out[n++] = (uint8_t)(i << 4 | y);
            out[n++] = (uint8_t)((r.w - 1) << 4 | (r.h - 1));
            if (++*count > 255 || n > most) {
                return 0;
            }
        }
    }
    return n;
}

static void hex_tile(Hextile *x, const uint32_t *p, int w, int h)
{
    VncJob *j = x->j;
    uint32_t bg = 0, fg = 0;
    int colors = hex_colors(x, p, w, h, &bg, &fg);
    unsigned flags = 0, count = 0;
    uint8_t sub[HEX_SUB_MAX];
    size_t n = 0;

    if (colors > 1) {
        n = hex_subrects(x, p, w, h, bg, colors > 2, sub, &count);
        if (!n) {
            vnc_bytes_put(j->out, HEX_RAW, 1);
            for (int y = 0; y < h; y++) {
                vnc_pixels(&j->format, j->native, p + y * x->stride, (size_t)w,
                           room(j->out, (size_t)w * j->format.bits / 8));
            }
            x->has_bg = x->has_fg = false;
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
    vnc_bytes_put(j->out, flags, 1);
    if (flags & HEX_BG) {
        hex_pixel(j->out, &j->format, bg);
    }
    if (flags & HEX_FG) {
        hex_pixel(j->out, &j->format, fg);
    }
    x->bg = bg;
    x->has_bg = true;
    x->has_fg = colors == 2 || (x->has_fg && colors == 1);
    x->fg = colors == 2 ? fg : x->fg;
    if (n) {
        vnc_bytes_put(j->out, count, 1);
        g_byte_array_append(j->out, sub, (guint)n);
    }
}

static void hextile(VncJob *j, VncRect r, const uint32_t *p)
{
    Hextile x = { .j = j, .p = p, .stride = r.w };

    vnc_rect_head(j, r, ENC_HEXTILE);
    for (int y = 0; y < r.h; y += 16) {
        for (int i = 0; i < r.w; i += 16) {
            hex_tile(&x, p + y * r.w + i, MIN2(16, r.w - i), MIN2(16, r.h - y));
        }
    }
}

/* ---- ZRLE ---------------------------------------------------------------- */
typedef struct Zrle {
    const VncFormat *f;
    GByteArray *out;
    unsigned bytes, first;             /* of a CPIXEL, and where it begins    */
} Zrle;

static void cpixel(Zrle *z, uint32_t rgb)
{
    uint8_t b[4];

    vnc_pixel(z->f, rgb, b);
    g_byte_array_append(z->out, b + z->first, z->bytes);
}

/* Three of four bytes suffice where the colours lie in them. */
static void cpixel_form(Zrle *z)
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
    } else if (!(bits & 0xff)) {
        z->bytes = 3;
        z->first = f->big ? 0 : 1;
    }
}

static void zrle_run(Zrle *z, size_t n)
{
    n--;
    while (n >= 255) {
        vnc_bytes_put(z->out, 255, 1);
        n -= 255;
    }
    vnc_bytes_put(z->out, n, 1);
}

/* Up to 127 colours of a tile; returns their number, 128: more. *runs: how
 * often the colour changes; *singles: runs of one pixel. */
static unsigned zrle_palette(const uint32_t *t, size_t n, uint32_t *colors,
                             size_t *runs, size_t *singles)
{
    unsigned count = 0;

    *runs = *singles = 0;
    for (size_t i = 0; i < n;) {
        size_t k = i + 1;
        unsigned c = 0;

        while (k < n && t[k] == t[i]) {
            k++;
        }
        ++*runs;
        *singles += k - i == 1;
        if (count < 128) {
            while (c < count && colors[c] != t[i]) {
                c++;
            }
            if (c == count && ++count < 128) {
                colors[c] = t[i];
            }
        }
        i = k;
    }
    return count;
}

static unsigned index_of(const uint32_t *colors, uint32_t v)
{
    unsigned c = 0;

    while (colors[c] != v) {
        c++;
    }
    return c;
}

static void zrle_packed(Zrle *z, const uint32_t *t, int w, int h,
                        const uint32_t *colors, unsigned count)
{
    unsigned bits = count <= 2 ? 1 : count <= 4 ? 2 : 4;

    vnc_bytes_put(z->out, count, 1);
    for (unsigned i = 0; i < count; i++) {
        cpixel(z, colors[i]);
    }
    for (int y = 0; y < h; y++) {
        unsigned byte = 0, have = 0;

        for (int x = 0; x < w; x++) {
            byte = byte << bits | index_of(colors, t[y * w + x]);
            have += bits;
            if (have == 8) {
                vnc_bytes_put(z->out, byte, 1);
                byte = have = 0;
            }
        }
        if (have) {
            vnc_bytes_put(z->out, byte << (8 - have), 1);
        }
    }
}

static void zrle_runs(Zrle *z, const uint32_t *t, size_t n,
                      const uint32_t *colors, unsigned count)
{
    vnc_bytes_put(z->out, 128 + count, 1);
    for (unsigned i = 0; i < count; i++) {
        cpixel(z, colors[i]);
    }
    for (size_t i = 0; i < n;) {
        size_t k = i + 1;

        while (k < n && t[k] == t[i]) {
            k++;
        }
        if (!count) {
            cpixel(z, t[i]);
            zrle_run(z, k - i);
        } else {
            unsigned c = index_of(colors, t[i]);

            vnc_bytes_put(z->out, k - i == 1 ? c : c | 128, 1);
            if (k - i > 1) {
                zrle_run(z, k - i);
            }
        }
        i = k;
    }
}

static void zrle_tile(Zrle *z, const uint32_t *t, int w, int h)
{
    uint32_t colors[128];
    size_t n = (size_t)w * (size_t)h, runs, singles;
    unsigned count = zrle_palette(t, n, colors, &runs, &singles);
    size_t best = n * z->bytes, cost;
    int how = 0;                        /* raw, packed, runs, palette runs    */

    if (count == 1) {
        vnc_bytes_put(z->out, 1, 1);
        cpixel(z, colors[0]);
        return;
    }
    cost = (z->bytes + 1) * runs;
    if (cost < best) {
        best = cost;
        how = 2;
    }
    if (count < 128) {
        cost = count * z->bytes + 2 * runs - singles;
        if (cost < best) {
            best = cost;
            how = 3;
        }
    }
    if (count <= 16) {
        cost = count * z->bytes + n * (count <= 2 ? 1 : count <= 4 ? 2 : 4) / 8;
        if (cost < best) {
            how = 1;
        }
    }
    switch (how) {
    case 0:
        vnc_bytes_put(z->out, 0, 1);
        for (size_t i = 0; i < n; i++) {
            cpixel(z, t[i]);
        }
        break;
    case 1: zrle_packed(z, t, w, h, colors, count); break;
    case 2: zrle_runs(z, t, n, colors, 0); break;
    default: zrle_runs(z, t, n, colors, count); break;
    }
}

static bool zrle(VncJob *j, VncRect r, const uint32_t *p)
{
    Zrle z = { .f = &j->format, .out = g_byte_array_new() };
    uint32_t tile[64 * 64];
    unsigned len_at;
    bool ok;

    cpixel_form(&z);
    for (int y = 0; y < r.h; y += 64) {
        for (int x = 0; x < r.w; x += 64) {
            int w = MIN2(64, r.w - x), h = MIN2(64, r.h - y);

            for (int i = 0; i < w * h; i++) {
                tile[i] = p[(y + i / w) * r.w + x + i % w] & 0xffffff;
            }
            zrle_tile(&z, tile, w, h);
        }
    }
    vnc_rect_head(j, r, ENC_ZRLE);
    len_at = j->out->len;
    vnc_bytes_put(j->out, 0, 4);
    ok = vnc_deflate(&j->coder->zrle, &j->coder->zrle_on, &j->coder->zrle_level,
                     level_of(j, 1), z.out->data, z.out->len, j->out);
    st_be32(j->out->data + len_at, j->out->len - len_at - 4);
    g_byte_array_free(z.out, true);
    return ok;
}

/* ---- the message --------------------------------------------------------- */
int64_t vnc_encode(void *job)
{
    VncJob *j = job;
    unsigned n = j->n_head;

    j->out = g_byte_array_new();
    vnc_bytes_put(j->out, 0, 4);        /* type, padding, number              */
    g_byte_array_append(j->out, j->head->data, j->head->len);
    for (unsigned i = 0; i < j->n_rects && !j->failed; i++) {
        VncRect r = j->rects[i];
        int wrote = 1;

        switch (j->encoding) {
        case ENC_HEXTILE: hextile(j, r, j->pixels[i]); break;
        case ENC_ZLIB: j->failed = !zlib(j, r, j->pixels[i]); break;
        case ENC_ZRLE: j->failed = !zrle(j, r, j->pixels[i]); break;
        case ENC_TIGHT: case ENC_TIGHT_PNG:
            wrote = vnc_tight(j, r, j->pixels[i]);
            j->failed = wrote < 0;
            break;
        default: raw(j, r, j->pixels[i]); break;
        }
        n += (unsigned)wrote;
    }
    if (n >= 0xffff) {
        /* more than can be counted: ends by a marker where it is known */
        if (!j->last_rect) {
            j->failed = true;
        }
        vnc_rect_head(j, (VncRect){ 0, 0, 0, 0 }, ENC_LAST_RECT);
        n = 0xffff;
    }
    st_be16(j->out->data + 2, (uint16_t)n);
    return 0;
}
