/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vga-text.c - VGA's text modes: cells of a character and an attribute, fonts
 * in plane 2, the blinking cursor.
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. cells holds columns * rows entries of the mode in `shown`.
 */
#include <glib.h>
#include "hw/display/vga.h"

#define BLINK_NS (16 * NS_PER_S / 70)  /* 16 frames at 70 Hz                  */
#define CELL_NONE 0xffffffffu

void vga_font_copy(const Vga *v, uint8_t out[2][8192])
{
    unsigned r = v->seq[SEQ_FONTS];
    unsigned at[2] = {
        (r & 3) << 14 | (r >> 4 & 1) << 13,        /* attribute bit 3 clear   */
        (r >> 2 & 3) << 14 | (r >> 5 & 1) << 13,
    };

    for (unsigned f = 0; f < 2; f++) {
        for (unsigned i = 0; i < 8192; i++) {
            out[f][i] = v->mem[((at[f] + i) * 4 + 2) & (v->size - 1)];
        }
    }
}

static uint16_t cell_at(const Vga *v, const VgaMode *m, int col, int row)
{
    uint32_t start = m->start, at;
    int line = row * m->cell_h * m->yscale;

    if (line > m->compare) {
        start = 0;
        row -= (m->compare + 1) / (m->cell_h * m->yscale);
    }
    at = (start + (uint32_t)row * m->stride + (uint32_t)col * 4) &
        (v->size - 1);
    return (uint16_t)(v->mem[at] | v->mem[at + 1] << 8);
}

/* The cell that the cursor is in; -1: none. */
static int cursor_cell(const Vga *v, const VgaMode *m)
{
    uint32_t at = ((uint32_t)v->crtc[CRTC_CURSOR_HIGH] << 8 |
                   v->crtc[CRTC_CURSOR_LOW]) * 4;
    uint32_t off = at - m->start, row, col;

    if (at < m->start || !m->stride) {
        return -1;
    }
    row = off / m->stride;
    col = off % m->stride / 4;
    if (row >= (uint32_t)m->rows || col >= (uint32_t)m->columns) {
        return -1;
    }
    return (int)(row * (uint32_t)m->columns + col);
}

/* First and last line of the cursor in bits 8.. and 0..; CELL_NONE: it is off,
 * or in the dark half of its blinking. */
static uint32_t cursor_form(const Vga *v)
{
    unsigned first = v->crtc[CRTC_CURSOR_START];
    unsigned last = v->crtc[CRTC_CURSOR_END];

    if (first & 0x20 || (first & 31) > (last & 31) ||
        clock_ns(CLOCK_VM) / BLINK_NS % 2) {
        return CELL_NONE;
    }
    return (first & 31) << 8 | (last & 31);
}

static unsigned glyph_line(const Vga *v, const VgaMode *m, uint16_t cell, int y)
{
    unsigned ch = cell & 0xff, font = cell >> 11 & 1;
    unsigned bits = (unsigned)v->fonts[font][ch * 32 + (unsigned)y] << 1;

    if (v->attr[ATTR_MODE] & 4 && ch >= 0xb0 && ch <= 0xdf) {
        bits |= bits >> 1 & 1;          /* lines run through the ninth dot    */
    }
    return m->cell_w == 9 ? bits : bits & ~1u;
}

static void draw_cell(Vga *v, const VgaMode *m, int i, uint16_t cell,
                      uint32_t form)
{
    Surface *s = v->con->surface;
    int x0 = i % m->columns * m->cell_w * m->xscale;
    int y0 = i / m->columns * m->cell_h * m->yscale;
    uint32_t fg = v->palette[cell >> 8 & 15], bg = v->palette[cell >> 12 & 15];

    for (int y = 0; y < m->cell_h * m->yscale && y0 + y < s->height; y++) {
        int line = y / m->yscale;
        unsigned bits = glyph_line(v, m, cell, line);
        uint32_t *out = surface_line(s, y0 + y) + x0;

        if (form != CELL_NONE && line >= (int)(form >> 8) &&
            line <= (int)(form & 0xff)) {
            bits = 0x1ff;
        }
        for (int x = 0; x < m->cell_w * m->xscale && x0 + x < s->width; x++) {
            out[x] = bits & 0x100u >> x / m->xscale ? fg : bg;
        }
    }
}

static void fonts_now(Vga *v)
{
    uint8_t (*now)[8192] = g_malloc(2 * 8192);

    vga_font_copy(v, now);
    if (memcmp(now, v->fonts, sizeof(v->fonts))) {
        memcpy(v->fonts, now, sizeof(v->fonts));
        v->redraw = true;
    }
    g_free(now);
}

static void row_update(Vga *v, const VgaMode *m, int row, int cursor,
                       uint32_t form) MACHINE_CALL;
static void row_update(Vga *v, const VgaMode *m, int row, int cursor,
                       uint32_t form)
{
    int left = m->columns, right = -1;

    for (int col = 0; col < m->columns; col++) {
        int i = row * m->columns + col;
        uint16_t cell = cell_at(v, m, col, row);
        bool moved = (i == cursor || i == v->cursor_at) &&
            (cursor != v->cursor_at || form != v->cursor_form);

        if (!v->redraw && cell == v->cells[i] && !moved) {
            continue;
        }
        v->cells[i] = cell;
        draw_cell(v, m, i, cell, i == cursor ? form : CELL_NONE);
        left = MIN2(left, col);
        right = col;
    }
    if (right >= 0) {
        int w = m->cell_w * m->xscale, h = m->cell_h * m->yscale;

        console_changed(v->con, left * w, row * h, (right - left + 1) * w, h);
    }
}

void vga_text_update(Vga *v, const VgaMode *m, bool touched)
{
    int cursor = cursor_cell(v, m);
    uint32_t form = cursor_form(v);

    if (v->redraw) {
        g_free(v->cells);
        v->cells = g_new0(uint16_t, (size_t)m->columns * (size_t)m->rows);
    }
    if (touched || v->redraw) {
        fonts_now(v);
    }
    for (int row = 0; row < m->rows; row++) {
        row_update(v, m, row, cursor, form);
    }
    v->cursor_at = cursor;
    v->cursor_form = form;
}

bool vga_text_cells(Vga *v, ConsoleText *out)
{
    VgaMode m;
    int cursor;

    vga_mode(v, &m);
    if (m.kind != VGA_TEXT) {
        return false;
    }
    out->columns = m.columns;
    out->rows = m.rows;
    v->cells = g_renew(uint16_t, v->cells,
                       (size_t)m.columns * (size_t)m.rows);
    for (int i = 0; i < m.columns * m.rows; i++) {
        v->cells[i] = cell_at(v, &m, i % m.columns, i / m.columns);
    }
    cursor = cursor_cell(v, &m);
    if (v->crtc[CRTC_CURSOR_START] & 0x20 || cursor < 0) {
        out->cursor_x = out->cursor_y = -1;
    } else {
        out->cursor_x = cursor % m.columns;
        out->cursor_y = cursor / m.columns;
    }
    out->cells = v->cells;
    v->redraw = true;
    return true;
}
