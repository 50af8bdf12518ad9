/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * curses-term.c - the terminal, by ncurses with wide characters.
 *
 * Thread class: machine lock.
 */
#define _XOPEN_SOURCE_EXTENDED 1
#define NCURSES_WIDECHAR 1
#include <curses.h>
#include <locale.h>
#include "ui/curses-ops.h"

extern const CursesOps curses_ops;

/* VGA's order of colours is blue, green, red; the terminal's the reverse. */
static int color_of(unsigned vga)
{
    static const short map[8] = {
        COLOR_BLACK, COLOR_BLUE, COLOR_GREEN, COLOR_CYAN,
        COLOR_RED, COLOR_MAGENTA, COLOR_YELLOW, COLOR_WHITE,
    };

    return map[vga & 7];
}

static void start(void)
{
    setlocale(LC_CTYPE, "");
    initscr();
    noecho();
    raw();
    nonl();
    intrflush(stdscr, FALSE);
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    set_escdelay(25);
    start_color();
    for (unsigned i = 1; i < 64; i++) {
        init_pair((short)i, (short)color_of(i & 7), (short)color_of(i >> 3));
    }
    setlocale(LC_CTYPE, "C.UTF-8");
}

static void stop(void)
{
    endwin();
}

static void size(int *cols, int *rows)
{
    getmaxyx(stdscr, *rows, *cols);
}

/* Pair 0 is the terminal's own: white on black. */
static short pair_of(uint8_t attr)
{
    unsigned pair = (attr & 7u) | (attr >> 4 & 7u) << 3;

    return (short)(pair == 7 ? 0 : pair ? pair : 7);
}

static void put(int x, int y, const uint32_t *chars, const uint8_t *attrs,
                int n)
{
    for (int i = 0; i < n; i++) {
        wchar_t text[2] = { (wchar_t)(chars[i] >= 0x20 ? chars[i] : ' '), 0 };
        attr_t bold = attrs[i] & 8 ? A_BOLD : 0;
        cchar_t c;

        setcchar(&c, text, bold, pair_of(attrs[i]), NULL);
        mvadd_wch(y, x + i, &c);
    }
}

static void clear_screen(void)
{
    clear();
}

static void show(int x, int y)
{
    curs_set(x >= 0);
    if (x >= 0) {
        move(y, x);
    }
    refresh();
}

static int special(wint_t k)
{
    static const struct { uint16_t key, sym; } rows[] = {
        { KEY_BACKSPACE, 0xff08 }, { KEY_ENTER, 0xff0d }, { KEY_HOME, 0xff50 },
        { KEY_LEFT, 0xff51 }, { KEY_UP, 0xff52 }, { KEY_RIGHT, 0xff53 },
        { KEY_DOWN, 0xff54 }, { KEY_PPAGE, 0xff55 }, { KEY_NPAGE, 0xff56 },
        { KEY_END, 0xff57 }, { KEY_IC, 0xff63 }, { KEY_DC, 0xffff },
        { KEY_BTAB, 0xff09 },
    };

    if (k >= KEY_F(1) && k <= KEY_F(12)) {
        return (int)(0xffbe + k - KEY_F(1));
    }
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i].key == k) {
            return rows[i].sym;
        }
    }
    return CURSES_NONE;
}

static int key(void)
{
    wint_t k;

    switch (get_wch(&k)) {
    case KEY_CODE_YES:
        return k == KEY_RESIZE ? CURSES_RESIZED : special(k);
    case OK:
        break;
    default:
        return CURSES_NONE;
    }
    switch (k) {
    case '\r': case '\n': return 0xff0d;
    case '\t': return 0xff09;
    case 8: case 127: return 0xff08;
    case 27: return 0xff1b;
    default: return (int)(k <= 0xff ? k : 0x01000000 | k);
    }
}

const CursesOps curses_ops = {
    .start = start, .stop = stop, .size = size, .put = put,
    .clear = clear_screen, .show = show, .key = key,
};
