/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vc.c - text consoles: character devices whose other end is a screen and the
 * keyboard of whoever looks at it.
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. shown holds cols * rows cells: what the surface has.
 */
#include <glib.h>
#include "chr.h"
#include "console.h"
#include "ui/term.h"

#define CELL_W 8
#define CELL_H 16
#define UNSEEN 0xffff0000u             /* differs from every cell             */

typedef struct VcChr {
    CharPort p;
    uint16_t width, height, cols, rows;
    Console *con;
    Term term;
    uint32_t *shown;                   /* cell, bit 16: with the cursor       */
    uint16_t *cells;                   /* as told last to who wants text      */
} VcChr;

/* ---- the screen ---------------------------------------------------------- */
static void vc_invalidate(void *arg)
{
    VcChr *c = arg;

    for (int i = 0; i < c->term.cols * c->term.rows; i++) {
        c->shown[i] = UNSEEN;
    }
}

static void draw(VcChr *c, int x, int y, uint32_t cell)
{
    uint32_t fg = console_palette[cell >> 8 & 15];
    uint32_t bg = console_palette[cell >> 12 & 15];
    bool cursor = cell >> 16 & 1;

    console_glyph(c->con->surface, x * CELL_W, y * CELL_H, (uint8_t)cell,
                  cursor ? bg : fg, cursor ? fg : bg);
}

static void vc_update(void *arg)
{
    VcChr *c = arg;
    const Term *t = &c->term;

    machine_assert_locked();
    for (int y = 0; y < t->rows; y++) {
        int left = t->cols, right = -1;

        for (int x = 0; x < t->cols; x++) {
            uint32_t cell = term_cell(t, x, y);

            if (!t->back && y == t->y && x == MIN2(t->x, t->cols - 1)) {
                cell |= 1u << 16;
            }
            if (cell != c->shown[y * t->cols + x]) {
                c->shown[y * t->cols + x] = cell;
                draw(c, x, y, cell);
                left = MIN2(left, x);
                right = x;
            }
        }
        if (right >= 0) {
            console_changed(c->con, left * CELL_W, y * CELL_H,
                            (right - left + 1) * CELL_W, CELL_H);
        }
    }
}

static bool vc_text(void *arg, ConsoleText *out)
{
    VcChr *c = arg;
    const Term *t = &c->term;

    for (int y = 0; y < t->rows; y++) {
        for (int x = 0; x < t->cols; x++) {
            c->cells[y * t->cols + x] = term_cell(t, x, y);
        }
    }
    *out = (ConsoleText){
        .columns = t->cols, .rows = t->rows, .cells = c->cells,
        .cursor_x = t->back ? -1 : MIN2(t->x, t->cols - 1),
        .cursor_y = t->back ? -1 : t->y,
    };
    return true;
}

/* ---- keys ---------------------------------------------------------------- */
static void send(VcChr *c, const char *s)
{
    int n = (int)strlen(s);

    if (chr_can_receive(&c->p) >= n) {
        chr_receive(&c->p, (const uint8_t *)s, n);
    }
}

static void vc_answer(void *arg, const char *text)
{
    send(arg, text);
}

static void vc_key(void *arg, unsigned key)
{
    VcChr *c = arg;
    static const char *const codes[] = {
        [CONSOLE_KEY_UP - CONSOLE_KEY_UP] = "\033[A",
        [CONSOLE_KEY_DOWN - CONSOLE_KEY_UP] = "\033[B",
        [CONSOLE_KEY_LEFT - CONSOLE_KEY_UP] = "\033[D",
        [CONSOLE_KEY_RIGHT - CONSOLE_KEY_UP] = "\033[C",
        [CONSOLE_KEY_HOME - CONSOLE_KEY_UP] = "\033[1~",
        [CONSOLE_KEY_END - CONSOLE_KEY_UP] = "\033[4~",
        [CONSOLE_KEY_PAGEUP - CONSOLE_KEY_UP] = "\033[5~",
        [CONSOLE_KEY_PAGEDOWN - CONSOLE_KEY_UP] = "\033[6~",
        [CONSOLE_KEY_DELETE - CONSOLE_KEY_UP] = "\033[3~",
        [CONSOLE_KEY_INSERT - CONSOLE_KEY_UP] = "\033[2~",
        [CONSOLE_KEY_BACKSPACE - CONSOLE_KEY_UP] = "\177",
    };
    char utf8[8] = "";

    switch (key) {
    case CONSOLE_KEY_CTRL_UP: term_scroll(&c->term, -1); return;
    case CONSOLE_KEY_CTRL_DOWN: term_scroll(&c->term, 1); return;
    case CONSOLE_KEY_CTRL_PAGEUP: term_scroll(&c->term, -10); return;
    case CONSOLE_KEY_CTRL_PAGEDOWN: term_scroll(&c->term, 10); return;
    default: break;
    }
    if (key < CONSOLE_KEY_UP) {
        utf8[g_unichar_to_utf8(key, utf8)] = 0;
        send(c, utf8);
    } else if (key - CONSOLE_KEY_UP < ARRAY_SIZE(codes)) {
        send(c, codes[key - CONSOLE_KEY_UP]);
    }
}

static const ConsoleOps vc_console = {
    .update = vc_update, .invalidate = vc_invalidate, .text = vc_text,
    .key = vc_key,
};

/* ---- the port ------------------------------------------------------------ */
static bool vc_open(CharPort *p, Error **errp)
{
    VcChr *c = (VcChr *)p;
    int cols = c->cols ? c->cols : c->width ? c->width / CELL_W : 80;
    int rows = c->rows ? c->rows : c->height ? c->height / CELL_H : 24;

    machine_assert_locked();
    term_init(&c->term, cols, rows);
    c->term.answer = vc_answer;
    c->term.arg = c;
    c->shown = g_new(uint32_t, (size_t)c->term.cols * (size_t)c->term.rows);
    c->cells = g_new(uint16_t, (size_t)c->term.cols * (size_t)c->term.rows);
    vc_invalidate(c);
    c->con = console_new(NULL, 0, p->label, &vc_console, c);
    console_show(c->con, surface_new(c->term.cols * CELL_W,
                                     c->term.rows * CELL_H), "no memory");
    chr_event(p, CHR_OPENED);
    return true;
}

static void vc_close(CharPort *p)
{
    VcChr *c = (VcChr *)p;

    machine_assert_locked();
    if (c->con) {
        console_free(c->con);
        c->con = NULL;
    }
    term_fini(&c->term);
    g_free(c->shown);
    g_free(c->cells);
    c->shown = NULL;
    c->cells = NULL;
}

static ssize_t vc_write(CharPort *p, const void *buf, size_t n)
{
    term_write(&((VcChr *)p)->term, buf, n);
    return (ssize_t)n;
}

/* vc, vc:WxH in pixels, vc:WCxHC in characters */
static bool vc_short(const char *text, Json *opts, Error **errp)
{
    unsigned w, h;
    int n = 0;
    char num[16];

    if (!strcmp(text, "vc")) {
        return true;
    }
    if (strncmp(text, "vc:", 3)) {
        return false;
    }
    if (sscanf(text + 3, "%5ux%5u%n", &w, &h, &n) == 2 && !text[3 + n]) {
        snprintf(num, sizeof(num), "%u", w);
        json_set_str(opts, "width", num);
        snprintf(num, sizeof(num), "%u", h);
        json_set_str(opts, "height", num);
        return true;
    }
    if (sscanf(text + 3, "%5uCx%5u%n", &w, &h, &n) == 2 &&
        (!text[3 + n] || !strcmp(text + 3 + n, "C"))) {
        snprintf(num, sizeof(num), "%u", w);
        json_set_str(opts, "cols", num);
        snprintf(num, sizeof(num), "%u", h);
        json_set_str(opts, "rows", num);
        return true;
    }
    return error_set(errp, "'%s' is not of the form vc:800x600 or vc:80Cx24C",
                     text);
}

static const Prop vc_props[] = {
    PROP_U16("width", VcChr, width, 0, .desc = "in pixels"),
    PROP_U16("height", VcChr, height, 0, .desc = "in pixels"),
    PROP_U16("cols", VcChr, cols, 0, .desc = "in characters"),
    PROP_U16("rows", VcChr, rows, 0, .desc = "in characters"),
    PROP_END
};

CHAR_DRIVER(chr_vc, {
    .name = "vc", .type = "chardev-vc", .size = sizeof(VcChr),
    .desc = "text console on the display",
    .doc = "A text console of the display.", .props = vc_props,
    .short_form = vc_short, .open = vc_open, .close = vc_close,
    .write = vc_write,
});
