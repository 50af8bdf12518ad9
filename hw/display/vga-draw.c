/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vga-draw.c - the picture: where registers put it, and video memory turned
 * into pixels. Linear modes of 32 bits are shown from video memory itself.
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. A mode's size is 1 to SURFACE_MAX both ways whatever the registers say.
 * 2. Every byte read is at an address masked with size - 1.
 */
#include <glib.h>
#include "hw/display/vga.h"

#define PAGE 4096u

/* ---- where it is --------------------------------------------------------- */
static unsigned crtc_lines(const Vga *v, unsigned reg, unsigned bit8,
                           unsigned bit9)
{
    unsigned o = v->crtc[CRTC_OVERFLOW];

    return v->crtc[reg] | (o >> bit8 & 1) << 8 | (o >> bit9 & 1) << 9;
}

static void mode_vbe(Vga *v, VgaMode *m)
{
    m->vbe = true;
    m->big_endian = v->big_endian;
    m->width = v->vbe[VBE_XRES];
    m->height = v->vbe[VBE_YRES];
    m->start = v->vbe_start;
    m->stride = v->vbe_stride;
    m->compare = INT_MAX;
    switch (v->vbe[VBE_BPP]) {
    case 4:
        m->kind = VGA_PLANAR;
        m->start *= 4;
        m->stride *= 4;
        break;
    case 15: m->kind = VGA_15; break;
    case 16: m->kind = VGA_16; break;
    case 24: m->kind = VGA_24; break;
    case 32: m->kind = VGA_32; break;
    default: m->kind = VGA_256; break;
    }
}

static void mode_text(Vga *v, VgaMode *m)
{
    int lines = (int)crtc_lines(v, CRTC_V_END, 1, 6) + 1;

    m->kind = VGA_TEXT;
    m->fonts = v->seq[SEQ_FONTS];
    m->cell_h = (v->crtc[CRTC_MAX_SCAN] & 31) + 1;
    m->cell_w = v->seq[SEQ_CLOCKING] & 1 ? 8 : 9;
    if (v->seq[SEQ_CLOCKING] & 8) {
        m->xscale = 2;
        m->cell_w = 8;
    }
    if (v->crtc[CRTC_MAX_SCAN] & 0x80) {
        m->yscale = 2;
    }
    m->columns = v->crtc[CRTC_H_END] + 1;
    m->rows = MAX2(lines / (m->cell_h * m->yscale), 1);
    m->width = m->columns * m->cell_w * m->xscale;
    m->height = m->rows * m->cell_h * m->yscale;
}

static void mode_graphics(Vga *v, VgaMode *m)
{
    unsigned shift = v->gfx[GFX_MODE] >> 5 & 3;

    m->width = (v->crtc[CRTC_H_END] + 1) * 8;
    m->height = (int)crtc_lines(v, CRTC_V_END, 1, 6) + 1;
    m->kind = shift == 0 ? VGA_PLANAR : shift == 1 ? VGA_CGA : VGA_256;
    if (v->seq[SEQ_CLOCKING] & 8) {
        m->width *= 2;
        m->xscale = 2;
    }
    if (m->kind == VGA_256) {
        m->xscale = 2;
    }
    m->yscale = ((v->crtc[CRTC_MAX_SCAN] & 31) + 1) *
                (v->crtc[CRTC_MAX_SCAN] & 0x80 ? 2 : 1);
}

void vga_mode(Vga *v, VgaMode *m)
{
    *m = (VgaMode){ .xscale = 1, .yscale = 1 };
    m->start = ((uint32_t)v->crtc[CRTC_START_HIGH] << 8 |
                v->crtc[CRTC_START_LOW]) * 4;
    m->stride = (uint32_t)v->crtc[CRTC_OFFSET] * 8;
    m->compare = (int)(crtc_lines(v, CRTC_LINE_COMPARE, 4, 10) |
                       (v->crtc[CRTC_MAX_SCAN] & 0x40u) << 3);
    if (v->is_vbe && v->vbe[VBE_ENABLE] & VBE_ENABLED) {
        mode_vbe(v, m);
    } else if (v->gfx[GFX_MISC] & 1) {
        mode_graphics(v, m);
    } else {
        mode_text(v, m);
    }
    if (v->mode_hook) {
        v->mode_hook(v, m);
    }
    if (!(v->attr_index & 0x20) && m->kind != VGA_NONE) {
        m->kind = VGA_BLANK;
    }
    m->width = MIN2(MAX2(m->width, 1), SURFACE_MAX);
    m->height = MIN2(MAX2(m->height, 1), SURFACE_MAX);
}

/* ---- colours ------------------------------------------------------------- */
/* Six bits become eight by repeating the lowest, as on the cards that guests
 * know: 2a is a8, 3f is ff. */
static uint32_t dac_color(const Vga *v, unsigned i)
{
    uint32_t rgb = 0;

    i &= v->dac_mask;
    for (int k = 0; k < 3; k++) {
        unsigned c = v->dac[i * 3 + (unsigned)k];

        rgb = rgb << 8 |
            (v->dac_8bit ? c : ((c & 63) << 2 | (c & 1) * 3));
    }
    return rgb;
}

void vga_palette_make(Vga *v, uint32_t *out)
{
    for (unsigned i = 0; i < 256; i++) {
        out[i] = dac_color(v, i);
    }
}

/* Attribute controller: 4 bits of a pixel to a DAC register. */
static unsigned attr_color(const Vga *v, unsigned i)
{
    unsigned c = v->attr[i & 15];

    if (v->attr[ATTR_MODE] & 0x80) {
        return (c & 15) | (v->attr[ATTR_SELECT] & 15u) << 4;
    }
    return (c & 63) | (v->attr[ATTR_SELECT] & 12u) << 4;
}

static void palette_now(Vga *v, const VgaMode *m, uint32_t *out)
{
    if (m->kind == VGA_256) {
        vga_palette_make(v, out);
        return;
    }
    memset(out, 0, 256 * sizeof(*out));
    for (unsigned i = 0; i < 16; i++) {
        out[i] = dac_color(v, attr_color(v, i));
    }
}

/* ---- lines --------------------------------------------------------------- */
static unsigned byte_at(const Vga *v, uint32_t at)
{
    return v->mem[at & (v->size - 1)];
}

static void line_planar(const Vga *v, uint32_t at, uint32_t *out, int n)
{
    unsigned on = v->attr[ATTR_PLANES] & 15;

    for (int x = 0; x < n; x += 8, at += 4) {
        unsigned p[4];

        for (unsigned k = 0; k < 4; k++) {
            p[k] = on & 1u << k ? byte_at(v, at + k) : 0;
        }
        for (int k = 0; k < 8 && x + k < n; k++) {
            int s = 7 - k;

            out[x + k] = v->palette[(p[0] >> s & 1) | (p[1] >> s & 1) << 1 |
                                    (p[2] >> s & 1) << 2 |
                                    (p[3] >> s & 1) << 3];
        }
    }
}

/* Two bits a pixel: planes 0 and 2 give the first four, 1 and 3 the next. */
static void line_cga(const Vga *v, uint32_t at, uint32_t *out, int n)
{
    unsigned on = v->attr[ATTR_PLANES] & 15;

    for (int x = 0; x < n; x += 8, at += 4) {
        for (int k = 0; k < 8 && x + k < n; k++) {
            uint32_t low = (uint32_t)k / 4, s = 6 - (uint32_t)(k & 3) * 2;
            unsigned c = (byte_at(v, at + low) >> s & 3) |
                         (byte_at(v, at + low + 2) >> s & 3) << 2;

            out[x + k] = v->palette[c & on];
        }
    }
}

static uint32_t rgb555(unsigned p)
{
    unsigned r = p >> 10 & 31, g = p >> 5 & 31, b = p & 31;

    return (r << 3 | r >> 2) << 16 | (g << 3 | g >> 2) << 8 | (b << 3 | b >> 2);
}

static uint32_t rgb565(unsigned p)
{
    unsigned r = p >> 11 & 31, g = p >> 5 & 63, b = p & 31;

    return (r << 3 | r >> 2) << 16 | (g << 2 | g >> 4) << 8 | (b << 3 | b >> 2);
}

void vga_line(const Vga *v, const VgaMode *m, uint32_t at, uint32_t *out)
{
    int n = (m->width + m->xscale - 1) / m->xscale;
    unsigned be = v->big_endian;
    uint32_t keep = !m->flat ? ~0u : m->kind == VGA_15 ? 0xf8f8f8 : 0xf8fcf8;

    switch (m->kind) {
    case VGA_PLANAR: line_planar(v, at, out, n); return;
    case VGA_CGA: line_cga(v, at, out, n); return;
    case VGA_256:
        for (int x = 0; x < n; x++) {
            out[x] = v->palette[byte_at(v, at + (uint32_t)x)];
        }
        return;
    case VGA_15: case VGA_16:
        for (int x = 0; x < n; x++, at += 2) {
            unsigned p = byte_at(v, at + be) | byte_at(v, at + !be) << 8;

            out[x] = (m->kind == VGA_15 ? rgb555(p) : rgb565(p)) & keep;
        }
        return;
    case VGA_24:
        for (int x = 0; x < n; x++, at += 3) {
            out[x] = byte_at(v, at) | byte_at(v, at + 1) << 8 |
                     byte_at(v, at + 2) << 16;
        }
        return;
    case VGA_32:
        for (int x = 0; x < n; x++, at += 4) {
            out[x] = v->big_endian
                ? byte_at(v, at + 1) << 16 | byte_at(v, at + 2) << 8 |
                  byte_at(v, at + 3)
                : byte_at(v, at) | byte_at(v, at + 1) << 8 |
                  byte_at(v, at + 2) << 16;
        }
        return;
    default:
        memset(out, 0, (size_t)n * 4);
        return;
    }
}

/* ---- the screen ---------------------------------------------------------- */
static bool mode_same(const VgaMode *a, const VgaMode *b)
{
    return a->kind == b->kind && a->width == b->width &&
           a->height == b->height && a->xscale == b->xscale &&
           a->yscale == b->yscale && a->start == b->start &&
           a->stride == b->stride && a->compare == b->compare &&
           a->columns == b->columns && a->rows == b->rows &&
           a->cell_w == b->cell_w && a->cell_h == b->cell_h &&
           a->fonts == b->fonts && a->big_endian == b->big_endian &&
           a->flat == b->flat;
}

/* Whether the picture can be shown from video memory as it is. */
static bool borrowable(const Vga *v, const VgaMode *m)
{
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ && m->kind == VGA_32 &&
           !v->pointer_line && !v->big_endian &&
           m->stride % 4 == 0 && m->start % 4 == 0 &&
           m->stride >= (uint32_t)m->width * 4 && m->compare >= m->height &&
           m->start + (uint64_t)m->height * m->stride <= v->size;
}

static void new_surface(Vga *v, const VgaMode *m) MACHINE_CALL;
static void new_surface(Vga *v, const VgaMode *m)
{
    Surface *s = v->con->surface;

    if (m->kind == VGA_NONE) {
        s = NULL;
    } else if (m->kind == VGA_BLANK) {
        if (!s->borrowed && !s->placeholder) {
            return;
        }
        s = surface_new(s->width, s->height);      /* dark, of the same size  */
    } else if (borrowable(v, m)) {
        s = surface_borrow(m->width, m->height, (int)m->stride,
                           v->mem + m->start, NULL, NULL);
    } else if (s->borrowed || s->placeholder || s->width != m->width ||
               s->height != m->height) {
        s = surface_new(m->width, m->height);
    } else {
        return;
    }
    console_show(v->con, s, m->kind == VGA_NONE
                 ? NULL : "no memory for this mode's picture");
}

/* CGA and Hercules: bits of the row counter in place of address bits 13, 14. */
static uint32_t bank_lines(const Vga *v, uint32_t at, int row)
{
    unsigned shift = v->crtc[CRTC_MODE] & 0x40 ? 15 : 14;

    if (!(v->crtc[CRTC_MODE] & 1)) {
        at = (at & ~(1u << shift)) | ((uint32_t)row & 1) << shift;
    }
    if (!(v->crtc[CRTC_MODE] & 2)) {
        at = (at & ~(2u << shift)) | ((uint32_t)row & 2) << shift;
    }
    return at;
}

static uint32_t line_address(const Vga *v, const VgaMode *m, int y)
{
    uint32_t start = m->start;
    int row, scan;

    if (m->vbe) {
        return start + (uint32_t)y * m->stride;
    }
    if (y > m->compare) {
        y -= m->compare + 1;
        start = 0;
    }
    row = y / m->yscale;
    scan = row % m->yscale;
    if ((v->crtc[CRTC_MODE] & 3) != 3) {
        /* each address line is shown with scan counter 0, 1, … */
        unsigned scans = (v->crtc[CRTC_MAX_SCAN] & 31) + 1;
        unsigned twice = v->crtc[CRTC_MAX_SCAN] & 0x80 ? 2 : 1;

        row = y / (int)(scans * twice);
        scan = y / (int)twice % (int)scans;
        return bank_lines(v, start + (uint32_t)row * m->stride, scan);
    }
    return start + (uint32_t)row * m->stride;
}

static bool any_dirty(const uint8_t *bits, uint32_t first, uint32_t last)
{
    for (uint32_t p = first / PAGE; p <= last / PAGE; p++) {
        if (bits[p >> 3] & 1 << (p & 7)) {
            return true;
        }
    }
    return false;
}

static uint32_t line_bytes(const VgaMode *m)
{
    uint32_t n = (uint32_t)((m->width + m->xscale - 1) / m->xscale);

    switch (m->kind) {
    case VGA_PLANAR: case VGA_CGA: return (n + 7) / 8 * 4;
    case VGA_15: case VGA_16: return n * 2;
    case VGA_24: return n * 3;
    case VGA_32: return n * 4;
    default: return n;
    }
}

static void draw_line(Vga *v, const VgaMode *m, uint32_t at, uint32_t *line,
                      uint32_t *pixels)
{
    if (m->xscale == 1) {
        vga_line(v, m, at, line);
        return;
    }
    vga_line(v, m, at, pixels);
    for (int x = 0; x < m->width; x++) {
        line[x] = pixels[x / m->xscale];
    }
}

static void graphics_update(Vga *v, const VgaMode *m, const uint8_t *dirty)
    MACHINE_CALL;
static void graphics_update(Vga *v, const VgaMode *m, const uint8_t *dirty)
{
    Surface *s = v->con->surface;
    uint32_t bytes = line_bytes(m), *pixels = g_new(uint32_t, m->width + 8);
    int from = -1;

    for (int y = 0; y <= m->height; y++) {
        uint32_t at = y < m->height ? line_address(v, m, y) : 0;
        uint32_t first = at & (v->size - 1), last = first + bytes - 1;
        bool now = y < m->height &&
            (v->redraw || last >= v->size || any_dirty(dirty, first, last) ||
             (y >= v->again_from && y < v->again_to));

        if (now && !s->borrowed) {
            draw_line(v, m, at, surface_line(s, y), pixels);
            if (v->pointer_line) {
                v->pointer_line(v, y, surface_line(s, y));
            }
        }
        if (now && from < 0) {
            from = y;
        } else if (!now && from >= 0) {
            console_changed(v->con, 0, from, m->width, y - from);
            from = -1;
        }
    }
    g_free(pixels);
}

static void blank(Vga *v, const VgaMode *m) MACHINE_CALL;
static void blank(Vga *v, const VgaMode *m)
{
    Surface *s = v->con->surface;

    if (!v->redraw) {
        return;
    }
    for (int y = 0; y < s->height; y++) {
        memset(surface_line(s, y), 0, (size_t)s->width * 4);
    }
    console_changed(v->con, 0, 0, s->width, s->height);
}

static void vga_update(void *arg)
{
    Vga *v = arg;
    uint32_t palette[256];
    uint8_t *dirty;
    bool any;
    VgaMode m;

    machine_assert_locked();
    vga_mode(v, &m);
    palette_now(v, &m, palette);
    if (!mode_same(&m, &v->shown)) {
        v->redraw = true;
        new_surface(v, &m);
    } else if (v->con->surface->placeholder && m.kind != VGA_NONE) {
        v->redraw = true;
        new_surface(v, &m);
    }
    if (memcmp(palette, v->palette, sizeof(palette))) {
        memcpy(v->palette, palette, sizeof(palette));
        v->redraw |= m.kind <= VGA_256;
    }
    v->shown = m;
    if (v->con->surface->placeholder) {
        return;
    }
    v->again_from = v->again_to = 0;
    if (v->pointer_prepare) {
        v->pointer_prepare(v);
    }
    dirty = g_malloc0(v->size / PAGE / 8 + 8);
    any = mem_log_sync_clear(&v->vram, DIRTY_VGA, 0, v->size, dirty);
    if (m.kind == VGA_BLANK) {
        blank(v, &m);
    } else if (m.kind == VGA_TEXT) {
        vga_text_update(v, &m, any);
    } else if (any || v->redraw || v->again_to) {
        graphics_update(v, &m, dirty);
    }
    g_free(dirty);
    v->redraw = false;
}

static void vga_invalidate(void *arg)
{
    Vga *v = arg;

    v->redraw = true;
}

static bool vga_text(void *arg, ConsoleText *out)
{
    return vga_text_cells(arg, out);
}

const ConsoleOps vga_console = {
    .update = vga_update, .invalidate = vga_invalidate, .text = vga_text,
};
