/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cirrus-blit.c - the GD5446's BitBLT engine (Technical Reference Manual,
 * chapter on the BitBLT engine): raster operations, colour expansion, patterns,
 * transparency, from video memory or from the processor.
 *
 * A line is made whole (its source bytes, and which of them count), then
 * combined with the destination.
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. Every address is masked with size - 1; a line has at most BLT_LINE_MAX
 *    bytes, a blit 2048 lines (its registers' width): a blit always ends.
 * 2. blit.fed: need bytes make the next line, have < need of them have come,
 *    height lines are left, at least one.
 */
#include "hw/display/cirrus.h"

#define TILE_MAX 256

typedef struct Line {
    uint8_t src[BLT_LINE_MAX + 4];
    uint8_t on[BLT_LINE_MAX + 4];      /* ff: this byte is written            */
    uint32_t first, end;               /* bytes from .. to before             */
} Line;

/* ---- raster operations --------------------------------------------------- */
/* Truth table: bit 2 * source + destination. */
static unsigned rop_table(uint8_t rop)
{
    switch (rop) {
    case 0x00: return 0x0;
    case 0x05: return 0x8;
    case 0x06: return 0xa;
    case 0x09: return 0x4;
    case 0x0b: return 0x5;
    case 0x0d: return 0xc;
    case 0x0e: return 0xf;
    case 0x50: return 0x2;
    case 0x59: return 0x6;
    case 0x6d: return 0xe;
    case 0x90: return 0x7;
    case 0x95: return 0x9;
    case 0xad: return 0xd;
    case 0xd0: return 0x3;
    case 0xd6: return 0xb;
    case 0xda: return 0x1;
    default: return 0xa;                /* destination stays                  */
    }
}

typedef struct Rop {
    uint8_t m[4];
} Rop;

static Rop rop_make(uint8_t code)
{
    unsigned t = rop_table(code);
    Rop r;

    for (unsigned i = 0; i < 4; i++) {
        r.m[i] = t >> i & 1 ? 0xff : 0;
    }
    return r;
}

static inline uint8_t rop_apply(const Rop *r, uint8_t s, uint8_t d)
{
    return (uint8_t)((s & d & r->m[3]) | (s & ~d & r->m[2]) |
                     (~s & d & r->m[1]) | (~s & ~d & r->m[0]));
}

/* ---- a line's source ----------------------------------------------------- */
static uint8_t vram(const Vga *v, uint32_t at)
{
    return v->mem[at & (v->size - 1)];
}

static uint8_t color_byte(const Cirrus *c, bool fg, unsigned i)
{
    static const uint8_t more[2][3] = { { GR_BG1, GR_BG2, GR_BG3 },
                                        { GR_FG1, GR_FG2, GR_FG3 } };

    return i ? c->vga.gfx[more[fg][i - 1]] : fg ? c->fg : c->bg;
}

/* What GR2F leaves out at the left of an expanded line: pixels, and bytes. */
static uint32_t skip_pixels(const Cirrus *c, uint32_t *bytes)
{
    const Blit *b = &c->blit;
    uint32_t r = c->vga.gfx[GR_SKIP];

    if (b->bytes == 3 && b->mode & BLT_TRANSPARENT) {
        *bytes = r & 0x1f;
        return MIN2(*bytes / 3, 8);
    }
    *bytes = (r & 7) * b->bytes;
    return r & 7;
}

static uint32_t skip_bytes(const Cirrus *c)
{
    unsigned r = c->vga.gfx[GR_SKIP];

    return c->blit.bytes == 3 ? r & 0x1f : (r & 7) * c->blit.bytes;
}

/* The pixels of a byte of bits: from pixel px and byte x on, to the bits' or
 * the line's end. Returns the pixel that is next. */
static uint32_t line_expand(const Cirrus *c, Line *l, uint32_t px, uint32_t x,
                            uint8_t bits)
{
    const Blit *b = &c->blit;
    bool clear = b->mode & BLT_TRANSPARENT;
    bool turned = clear && b->ext & BLTX_INVERT;

    l->first = x;
    do {
        bool set = bits & 0x80u >> px % 8;

        for (uint32_t k = 0; k < b->bytes; k++) {
            l->src[x + k] = color_byte(c, clear ? !turned : set, k);
            l->on[x + k] = !clear || set != turned ? 0xff : 0;
        }
        x += b->bytes;
        px++;
    } while (px % 8 && x < b->width);
    l->end = x;
    return px;
}

/* Pixels from a tile's row. With 24 bits GR2F counts bytes of the line, but
 * pixels of the tile, whose rows are 32 bytes apart. */
static void line_pattern(const Cirrus *c, Line *l, const uint8_t *tile)
{
    const Blit *b = &c->blit;
    uint32_t size = 8u * b->bytes, x, px = skip_bytes(c);
    const uint8_t *row = tile + b->row * (b->bytes == 3 ? 32 : size);

    l->first = px;
    if (b->bytes == 3) {
        px *= 3;
    }
    for (x = l->first; x < b->width; x += b->bytes) {
        for (uint32_t k = 0; k < b->bytes; k++) {
            uint32_t at = (uint32_t)(row - tile) + px + k;

            l->src[x + k] = at < TILE_MAX ? tile[at] : 0;
            l->on[x + k] = 0xff;
        }
        px = (px + b->bytes) % size;
    }
    l->end = x;
}

static bool is_solid(const Blit *b)
{
    uint8_t both = BLT_PATTERN | BLT_EXPAND;

    return b->ext & BLTX_SOLID && (b->mode & (both | BLT_TRANSPARENT)) == both;
}

static void line_solid(const Cirrus *c, Line *l)
{
    const Blit *b = &c->blit;

    l->end = (b->width + b->bytes - 1) / b->bytes * b->bytes;
    for (uint32_t x = 0; x < l->end; x++) {
        l->src[x] = color_byte(c, true, x % b->bytes);
    }
    memset(l->on, 0xff, l->end);
}

/* ---- a line's way out ---------------------------------------------------- */
/* Transparency by colour: a result of the key's colour is not written. */
static bool is_key(const Cirrus *c, const uint8_t *result)
{
    const uint8_t *key = &c->vga.gfx[GR_TKEY];

    return result[0] == key[0] && (c->blit.bytes == 1 || result[1] == key[1]);
}

static bool is_keyed(const Blit *b)
{
    return (b->mode & (BLT_TRANSPARENT | BLT_EXPAND | BLT_PATTERN)) ==
        BLT_TRANSPARENT;
}

/* Pixels of 16 and 32 bits begin at multiples of their size where the engine
 * deals with pixels, not bytes. */
static uint32_t align(const Blit *b, uint32_t at)
{
    bool pixels = b->mode & (BLT_EXPAND | BLT_TRANSPARENT | BLT_PATTERN);

    return pixels && b->bytes != 3 ? at & ~(b->bytes - 1u) : at;
}

static void line_store(Cirrus *c, const Line *l, const Rop *rop)
{
    Vga *v = &c->vga;
    const Blit *b = &c->blit;
    bool keyed = is_keyed(b);
    uint32_t mask = v->size - 1, step = keyed ? b->bytes : 1, n, left;
    uint32_t at = b->dst - (b->mode & BLT_BACK ? b->width - 1 : 0);

    if (l->first >= l->end) {
        return;
    }
    at = align(b, at);
    for (uint32_t x = l->first; x < l->end; x += step) {
        uint8_t out[2] = { 0, 0 };

        for (uint32_t k = 0; k < step; k++) {
            out[k] = rop_apply(rop, l->src[x + k], vram(v, at + x + k));
        }
        if (keyed && is_key(c, out)) {
            continue;
        }
        for (uint32_t k = 0; k < step; k++) {
            if (l->on[x + k]) {
                v->mem[(at + x + k) & mask] = out[k];
            }
        }
    }
    at = (at + l->first) & mask;
    n = l->end - l->first;
    left = v->size - at;
    ram_dirty(v->vram.ram, at, MIN2(n, left));
    if (n > left) {
        ram_dirty(v->vram.ram, 0, n - left);
    }
}

/* Source and destination in one line of memory, so that what is written is read
 * again: a byte at a time, in the blit's direction. */
static bool line_overlaps(const Cirrus *c)
{
    const Blit *b = &c->blit;
    uint32_t mask = c->vga.size - 1;
    uint32_t dst = align(b, b->dst - 1), src = align(b, b->src - 1);
    uint32_t ahead = (b->mode & BLT_BACK ? src - dst : dst - src) & mask;

    return ahead && ahead < b->width;
}

static void line_in_order(Cirrus *c, Line *l, const Rop *rop)
{
    Blit *b = &c->blit;
    uint32_t width = b->width, at = b->dst;
    int32_t step = b->mode & BLT_BACK ? -1 : 1;
    uint32_t unit = b->mode & BLT_TRANSPARENT && b->bytes == 2 ? 2 : 1;
    uint32_t dst = align(b, b->dst), src = align(b, b->src);

    if (step < 0) {
        dst = align(b, b->dst - (unit - 1)) + unit - 1;
        src = align(b, b->src - (unit - 1)) + unit - 1;
    }
    for (uint32_t x = 0; x < width; x += unit) {
        uint32_t off = (uint32_t)(step * (int32_t)x);
        uint32_t low = step < 0 ? unit - 1 : 0;

        b->width = l->end = unit;
        b->dst = dst + off;
        for (uint32_t k = 0; k < unit; k++) {
            l->src[k] = vram(&c->vga, src + off - low + k);
        }
        line_store(c, l, rop);
    }
    b->width = width;
    b->dst = at;
}

/* ---- bounds -------------------------------------------------------------- */
/* The engine does nothing when a part would lie outside video memory, nor for
 * forward copies whose lines overlap their next. */
static bool fits(const Cirrus *c, uint32_t at, int32_t pitch)
{
    const Blit *b = &c->blit;
    int64_t span = (int64_t)pitch * (b->height - 1);
    int64_t first = at, last = at;

    if (b->mode & BLT_BACK) {
        first += span - (b->width - 1);
    } else {
        last += span + b->width - 1;
    }
    return pitch && first >= 0 && last < c->vga.size;
}

/* A line of bits: from memory at b->src, from `line`, or a pattern's one byte.
 * Returns how many bytes there were. */
static uint32_t expand_line(Cirrus *c, Line *l, const Rop *rop, int pattern)
{
    const Blit *b = &c->blit;
    uint32_t x, px = skip_pixels(c, &x);

    while (x < b->width) {
        uint8_t bits = pattern >= 0 ? (uint8_t)pattern
            : b->fed ? b->line[px / 8] : vram(&c->vga, b->src + px / 8);

        px = line_expand(c, l, px, x, bits);
        line_store(c, l, rop);
        x = l->end;
    }
    return MAX2((px + 7) / 8, 1u);
}

static bool lines_apart(const Blit *b)
{
    int32_t width = (int32_t)b->width;

    return b->mode & (BLT_EXPAND | BLT_BACK) || b->height == 1 ||
        (b->spitch >= width && b->dpitch >= width);
}

/* ---- blits --------------------------------------------------------------- */
static void line_next(Blit *b)
{
    b->dst += (uint32_t)b->dpitch;
    b->row = (b->row + 1) & 7;
    b->height--;
}

static uint32_t expand_bytes(const Cirrus *c)
{
    const Blit *b = &c->blit;
    uint32_t px = (b->width + b->bytes - 1) / b->bytes;

    return b->ext & BLTX_DWORDS ? (px + 31) / 32 * 4 : (px + 7) / 8;
}

static void line_from_memory(Cirrus *c, Line *l, const Rop *rop)
{
    Blit *b = &c->blit;
    Vga *v = &c->vga;
    bool back = b->mode & BLT_BACK;
    uint32_t at = back ? b->src - (b->width - 1) : b->src, extra;

    at = align(b, at);
    if (!(b->mode & BLT_PATTERN) && line_overlaps(c)) {
        memset(l->on, 0xff, 2);
        line_in_order(c, l, rop);
    } else {
        for (uint32_t x = 0; x <= b->width; x++) {
            l->src[x] = vram(v, at + x);
        }
        memset(l->on, 0xff, b->width);
        l->end = b->width;
        line_store(c, l, rop);
    }
    /* Whole pixels have passed, though the line may end within one. */
    extra = is_keyed(b) && b->bytes == 2 ? b->width & 1 : 0;
    b->src += (uint32_t)b->spitch + (back ? 0 - extra : extra);
    b->dst += back ? 0 - extra : extra;
}

static void blit_pattern(Cirrus *c, Line *l, const Rop *rop,
                         const uint8_t *tile)
{
    Blit *b = &c->blit;

    while (b->height) {
        if (b->mode & BLT_EXPAND) {
            expand_line(c, l, rop, tile[b->row]);
        } else {
            line_pattern(c, l, tile);
            line_store(c, l, rop);
        }
        line_next(b);
    }
}

static uint32_t tile_bytes(const Blit *b)
{
    return b->mode & BLT_EXPAND ? 8 : 64u * b->bytes;
}

static void blit_from_memory(Cirrus *c)
{
    Blit *b = &c->blit;
    Rop rop = rop_make(b->rop);
    uint8_t tile[TILE_MAX];
    Line l;

    l.first = 0;
    if (is_solid(b)) {
        line_solid(c, &l);
        for (; b->height; line_next(b)) {
            line_store(c, &l, &rop);
        }
    } else if (b->mode & BLT_PATTERN) {
        uint32_t at = b->src & ~63u & (c->vga.size - 1);

        /* Drawn over, a tile changes while it is used. */
        if (at + TILE_MAX <= c->vga.size) {
            blit_pattern(c, &l, &rop, c->vga.mem + at);
            return;
        }
        for (uint32_t i = 0; i < TILE_MAX; i++) {
            tile[i] = vram(&c->vga, at + i);
        }
        blit_pattern(c, &l, &rop, tile);
    } else if (fits(c, b->src, b->spitch) && lines_apart(b)) {
        for (; b->height; line_next(b)) {
            if (b->mode & BLT_EXPAND) {
                b->src += expand_line(c, &l, &rop, -1);
            } else {
                line_from_memory(c, &l, &rop);
            }
        }
    }
}

/* ---- data from the processor --------------------------------------------- */
static void fed_begin(Cirrus *c) MACHINE_CALL;
static void fed_begin(Cirrus *c)
{
    Blit *b = &c->blit;

    if (b->mode & BLT_PATTERN) {
        b->need = tile_bytes(b);
        b->row = b->src & 7;
    } else if (b->mode & BLT_EXPAND) {
        b->need = expand_bytes(c);
    } else {
        b->need = (b->width + 3) & ~3u;
    }
    if (b->need > BLT_LINE_MAX || !b->need) {
        cirrus_blit_stop(c);
        return;
    }
    b->have = 0;
    b->fed = true;
    c->vga.gfx[GR_BLT] |= BLT_BUSY;
    vga_remap(&c->vga);
}

void cirrus_blit_feed(Cirrus *c, uint8_t val)
{
    Blit *b = &c->blit;
    Rop rop;
    Line l;

    b->line[b->have++] = val;
    if (b->have < b->need) {
        return;
    }
    rop = rop_make(b->rop);
    b->have = 0;
    l.first = 0;
    if (b->mode & BLT_PATTERN) {
        blit_pattern(c, &l, &rop, b->line);
    } else {
        if (b->mode & BLT_EXPAND) {
            expand_line(c, &l, &rop, -1);
        } else {
            memcpy(l.src, b->line, b->width);
            memset(l.on, 0xff, b->width);
            l.end = b->width;
            line_store(c, &l, &rop);
        }
        line_next(b);
    }
    if (!b->height) {
        cirrus_blit_stop(c);
    }
}

/* ---- start and end ------------------------------------------------------- */
static uint32_t reg2(const Vga *v, unsigned i)
{
    return v->gfx[i] | (uint32_t)v->gfx[i + 1] << 8;
}

static uint32_t reg3(const Vga *v, unsigned i)
{
    return reg2(v, i) | (uint32_t)v->gfx[i + 2] << 16;
}

void cirrus_blit_stop(Cirrus *c)
{
    bool was = c->blit.fed;

    c->blit.fed = false;
    c->blit.have = 0;
    c->vga.gfx[GR_BLT] &= (uint8_t)~(BLT_START | BLT_BUSY | BLT_FIFO);
    if (was) {
        vga_remap(&c->vga);
    }
}

void cirrus_blit_start(Cirrus *c)
{
    Vga *v = &c->vga;
    Blit *b = &c->blit;

    b->fed = false;
    b->width = reg2(v, GR_WIDTH) + 1;
    b->height = reg2(v, GR_HEIGHT) + 1;
    b->dpitch = (int32_t)reg2(v, GR_DPITCH);
    b->spitch = (int32_t)reg2(v, GR_SPITCH);
    b->dst = reg3(v, GR_DST);
    b->src = reg3(v, GR_SRC);
    b->mode = v->gfx[GR_BLT_MODE];
    b->ext = v->gfx[GR_BLT_EXT];
    b->rop = v->gfx[GR_ROP];
    b->bytes = (uint8_t)((b->mode >> 4 & 3) + 1);
    b->row = 0;
    if (b->mode & BLT_BACK) {
        b->dpitch = -b->dpitch;
        b->spitch = -b->spitch;
    }
    /* Keys have at most 16 bits. */
    if (!c->blitter || b->mode & BLT_TO_HOST || !fits(c, b->dst, b->dpitch) ||
        (is_keyed(b) && b->bytes > 2)) {
        cirrus_blit_stop(c);
    } else if (b->mode & BLT_FROM_HOST) {
        fed_begin(c);
    } else {
        blit_from_memory(c);
        cirrus_blit_stop(c);
    }
}
