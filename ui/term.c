/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * term.c - the VT100 behind text consoles: printing, wrapping, scrolling,
 * cursor movements, erasing, colours (ECMA-48, 5th edition; DEC VT100 manual).
 *
 * Thread class: its owner's.
 *
 * Invariants:
 * 1. 0 <= x <= cols, 0 <= y < rows, whatever is written.
 * 2. 0 <= back <= kept <= TERM_HISTORY - rows.
 */
#include <glib.h>
#include "console.h"
#include "ui/term.h"

#define NORMAL 0x0700                  /* grey on black                       */
enum { PLAIN, ESCAPE, CSI, CSI_PRIVATE, CHARSET };

static uint16_t *line_at(const Term *t, int y)
{
    int i = ((t->top + y) % TERM_HISTORY + TERM_HISTORY) % TERM_HISTORY;

    return t->cells + (size_t)i * (size_t)t->cols;
}

static void blank(Term *t, int y, int from, int to)
{
    uint16_t *l = line_at(t, y);

    for (int x = MAX2(from, 0); x < MIN2(to, t->cols); x++) {
        l[x] = ' ' | t->color;
    }
}

void term_init(Term *t, int cols, int rows)
{
    t->cols = MIN2(MAX2(cols, 1), 512);
    t->rows = MIN2(MAX2(rows, 1), 256);
    t->cells = g_new(uint16_t, (size_t)t->cols * TERM_HISTORY);
    t->color = t->saved_color = NORMAL;
    for (int y = 0; y < t->rows; y++) {
        blank(t, y, 0, t->cols);
    }
}

void term_fini(Term *t)
{
    g_free(t->cells);
    t->cells = NULL;
}

uint16_t term_cell(const Term *t, int x, int y)
{
    return line_at(t, y - t->back)[x];
}

void term_scroll(Term *t, int lines)
{
    t->back = MIN2(MAX2(t->back - lines, 0), t->kept);
}

static void line_feed(Term *t)
{
    if (t->y < t->rows - 1) {
        t->y++;
        return;
    }
    t->top = (t->top + 1) % TERM_HISTORY;
    if (t->kept < TERM_HISTORY - t->rows) {
        t->kept++;
    }
    blank(t, t->rows - 1, 0, t->cols);
}

static void put(Term *t, uint32_t unicode)
{
    uint16_t color = t->color;

    if (t->inverse) {
        color = (uint16_t)((color & 0xf000) >> 4 | (color & 0x0f00) << 4);
    }
    if (t->x >= t->cols) {
        t->x = 0;
        line_feed(t);
    }
    line_at(t, t->y)[t->x++] = console_cp437(unicode) | color;
}

/* ---- control sequences --------------------------------------------------- */
static int param(const Term *t, unsigned i, unsigned usual)
{
    unsigned v = i < t->n_params ? t->params[i] : 0;

    return (int)(v ? v : usual);
}

static void go(Term *t, int x, int y)
{
    t->x = MIN2(MAX2(x, 0), t->cols - 1);
    t->y = MIN2(MAX2(y, 0), t->rows - 1);
}

static void erase_screen(Term *t)
{
    int how = param(t, 0, 0);
    int first = how == 0 ? t->y + 1 : 0;
    int last = how == 1 ? t->y - 1 : t->rows - 1;

    if (how == 0) {
        blank(t, t->y, t->x, t->cols);
    } else if (how == 1) {
        blank(t, t->y, 0, t->x + 1);
    }
    for (int y = first; y <= last; y++) {
        blank(t, y, 0, t->cols);
    }
}

static void erase_line(Term *t)
{
    int how = param(t, 0, 0);

    blank(t, t->y, how == 0 ? t->x : 0, how == 1 ? t->x + 1 : t->cols);
}

/* ANSI numbers colours red, green, blue from bit 0; cells have blue there. */
static unsigned ansi(unsigned c)
{
    return (c & 1) << 2 | (c & 2) | (c >> 2 & 1);
}

static void attributes(Term *t)
{
    unsigned n = t->n_params ? t->n_params : 1;

    for (unsigned i = 0; i < n; i++) {
        unsigned v = i < t->n_params ? t->params[i] : 0;

        if (v == 0) {
            t->color = NORMAL;
            t->inverse = false;
        } else if (v == 1) {
            t->color |= 0x0800;
        } else if (v == 2 || v == 22) {
            t->color &= (uint16_t)~0x0800u;
        } else if (v == 7 || v == 27) {
            t->inverse = v == 7;
        } else if (v >= 30 && v <= 37) {
            t->color = (uint16_t)((t->color & 0xf800) | ansi(v - 30) << 8);
        } else if (v == 39) {
            t->color = (uint16_t)((t->color & 0xf800) | (NORMAL & 0x0700));
        } else if (v >= 40 && v <= 47) {
            t->color = (uint16_t)((t->color & 0x0f00) | ansi(v - 40) << 12);
        } else if (v == 49) {
            t->color &= 0x0f00;
        } else if (v >= 90 && v <= 97) {
            t->color = (uint16_t)((t->color & 0xf000) |
                                  (8 | ansi(v - 90)) << 8);
        } else if (v >= 100 && v <= 107) {
            t->color = (uint16_t)((t->color & 0x0f00) |
                                  (8 | ansi(v - 100)) << 12);
        }
    }
}

static void report(Term *t)
{
    char text[32];

    if (!t->answer) {
        return;
    }
    if (param(t, 0, 0) == 5) {
        t->answer(t->arg, "\033[0n");
    } else if (param(t, 0, 0) == 6) {
        snprintf(text, sizeof(text), "\033[%d;%dR", t->y + 1,
                 MIN2(t->x, t->cols - 1) + 1);
        t->answer(t->arg, text);
    }
}

static void save(Term *t)
{
    t->saved_x = t->x;
    t->saved_y = t->y;
    t->saved_color = t->color;
}

static void restore(Term *t)
{
    go(t, t->saved_x, t->saved_y);
    t->color = t->saved_color;
}

static void control(Term *t, uint8_t ch)
{
    int n = MIN2(param(t, 0, 1), 4096);

    switch (ch) {
    case 'A': go(t, t->x, t->y - n); break;
    case 'B': go(t, t->x, t->y + n); break;
    case 'C': go(t, t->x + n, t->y); break;
    case 'D': go(t, t->x - n, t->y); break;
    case 'E': go(t, 0, t->y + n); break;
    case 'F': go(t, 0, t->y - n); break;
    case 'G': go(t, n - 1, t->y); break;
    case 'd': go(t, t->x, n - 1); break;
    case 'H': case 'f':
        go(t, MIN2(param(t, 1, 1), 4096) - 1, n - 1);
        break;
    case 'J': erase_screen(t); break;
    case 'K': erase_line(t); break;
    case 'm': attributes(t); break;
    case 'n': report(t); break;
    case 's': save(t); break;
    case 'u': restore(t); break;
    default: break;                     /* others have no effect here         */
    }
}

static void csi(Term *t, uint8_t ch)
{
    if (ch >= '0' && ch <= '9') {
        unsigned i = MAX2(t->n_params, 1u) - 1;

        t->n_params = MAX2(t->n_params, 1u);
        if (i < TERM_PARAMS) {
            t->params[i] = MIN2(t->params[i] * 10 + (ch - '0'), 9999);
        }
    } else if (ch == ';') {
        t->n_params = MAX2(t->n_params, 1u);
        if (t->n_params < TERM_PARAMS) {
            t->params[t->n_params++] = 0;
        }
    } else if (ch == '?' || ch == '>' || ch == '=') {
        t->state = CSI_PRIVATE;
    } else if (ch >= 0x40 && ch <= 0x7e) {
        if (t->state == CSI) {
            control(t, ch);
        }
        t->state = PLAIN;
    }
}

static void escape(Term *t, uint8_t ch)
{
    t->state = PLAIN;
    switch (ch) {
    case '[':
        t->state = CSI;
        t->n_params = 0;
        memset(t->params, 0, sizeof(t->params));
        break;
    case '(': case ')': t->state = CHARSET; break;
    case '7': save(t); break;
    case '8': restore(t); break;
    case 'D': line_feed(t); break;
    case 'E': t->x = 0; line_feed(t); break;
    case 'M': go(t, t->x, t->y - 1); break;
    case 'c':
        t->color = NORMAL;
        t->inverse = false;
        for (int y = 0; y < t->rows; y++) {
            blank(t, y, 0, t->cols);
        }
        go(t, 0, 0);
        break;
    default: break;
    }
}

static void plain(Term *t, uint8_t ch)
{
    if (t->utf8_left && (ch & 0xc0) == 0x80) {
        t->utf8 = t->utf8 << 6 | (ch & 63);
        if (!--t->utf8_left) {
            put(t, t->utf8);
        }
        return;
    }
    t->utf8_left = 0;
    if (ch >= 0xc2 && ch <= 0xf4) {
        t->utf8_left = ch >= 0xf0 ? 3 : ch >= 0xe0 ? 2 : 1;
        t->utf8 = ch & (0x3fu >> t->utf8_left);
        return;
    }
    switch (ch) {
    case '\r': t->x = 0; break;
    case '\n': case '\v': case '\f': line_feed(t); break;
    case '\b': t->x = MAX2(MIN2(t->x, t->cols - 1) - 1, 0); break;
    case '\t': t->x = MIN2((t->x | 7) + 1, t->cols - 1); break;
    case '\033': t->state = ESCAPE; break;
    default:
        if (ch >= ' ' && ch != 0x7f) {
            put(t, ch < 0x80 ? ch : '?');
        }
        break;
    }
}

void term_write(Term *t, const uint8_t *p, size_t n)
{
    t->back = 0;                        /* what comes is to be seen           */
    for (size_t i = 0; i < n; i++) {
        switch (t->state) {
        case PLAIN: plain(t, p[i]); break;
        case ESCAPE: escape(t, p[i]); break;
        case CHARSET: t->state = PLAIN; break;
        default: csi(t, p[i]); break;
        }
    }
}
