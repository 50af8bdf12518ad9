/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * encode.c - pixels of an update as a VNC client wants them: formats, and the
 * encodings raw and zlib (RFC 6143 7.7); the others have files of their own.
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

uint8_t *vnc_room(GByteArray *a, size_t n)
{
    unsigned at = a->len;

    g_byte_array_set_size(a, (unsigned)(at + n));
    return a->data + at;
}

bool vnc_deflate(z_stream *z, bool *on, int *level, int want, const void *in,
                 size_t n, GByteArray *out)
{
    size_t at = out->len;

    int strategy = want & VNC_HUFFMAN ? Z_HUFFMAN_ONLY : Z_DEFAULT_STRATEGY;

    if (!*on) {
        if (deflateInit2(z, want & 15, Z_DEFLATED, MAX_WBITS, 9,
                         strategy) != Z_OK) {
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
        deflateParams(z, want & 15, strategy);
        g_byte_array_append(out, none, (unsigned)sizeof(none) - z->avail_out);
        at = out->len;
        z->avail_in = (unsigned)n;
        *level = want;
    }
    do {
        size_t space = n / 2 + 4096;

        z->next_out = vnc_room(out, space);
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
               vnc_room(j->out, n * j->format.bits / 8));
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

        j->lossy = j->may_lose[i];
        switch (j->encoding) {
        case ENC_HEXTILE: vnc_hextile(j, r, j->pixels[i]); break;
        case ENC_ZLIB: j->failed = !zlib(j, r, j->pixels[i]); break;
        case ENC_ZRLE: j->failed = !vnc_zrle(j, r, j->pixels[i]); break;
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
