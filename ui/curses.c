/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * curses.c - -display curses: consoles with characters on the terminal that the
 * program was started from. Alt-1 to Alt-9 choose the console.
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. Nothing is drawn in pixels for this display: it asks for characters.
 */
#include <glib.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "console.h"
#include "input.h"
#include "loop.h"
#include "module.h"
#include "schema/schema.h"
#include "settings.h"
#include "ui/curses-ops.h"
#include "ui/curses.h"
#include "ui/keymaps.h"

static const CursesOps *ops;
static const Keymap *keymap;
static Display display;
static uint32_t unicode[256];
static char shown_note[64];            /* in place of a picture; "": none     */

/* ---- the screen ---------------------------------------------------------- */
static void line_put(int x, int y, const uint16_t *cells, int n)
{
    uint32_t *chars = g_new(uint32_t, n);
    uint8_t *attrs = g_new(uint8_t, n);

    for (int i = 0; i < n; i++) {
        chars[i] = unicode[cells[i] & 0xff];
        attrs[i] = (uint8_t)(cells[i] >> 8);
    }
    ops->put(x, y, chars, attrs, n);
    g_free(chars);
    g_free(attrs);
}

/* A screen without characters: its size, in the middle. */
static void note(int cols, int rows) MACHINE_CALL;
static void note(int cols, int rows)
{
    const Surface *s = display.con->surface;
    uint32_t chars[sizeof(shown_note)];
    uint8_t attrs[sizeof(shown_note)];
    char text[sizeof(shown_note)];
    int n;

    n = snprintf(text, sizeof(text), "%d x %d Graphic mode", s->width,
                 s->height);
    if (!strcmp(text, shown_note)) {
        return;
    }
    memcpy(shown_note, text, sizeof(text));
    for (int i = 0; i < n; i++) {
        chars[i] = (uint8_t)text[i];
        attrs[i] = 7;
    }
    ops->clear();
    ops->put(MAX2((cols - n) / 2, 0), rows / 2, chars, attrs, n);
    ops->show(-1, -1);
}

static void refreshed(Display *d)
{
    ConsoleText t;
    int cols, rows, left, above;

    machine_assert_locked();
    ops->size(&cols, &rows);
    if (!d->con->ops->text || !d->con->ops->text(d->con->arg, &t)) {
        console_refresh(d->con);        /* its size may have changed          */
        note(cols, rows);
        return;
    }
    if (shown_note[0]) {
        shown_note[0] = 0;
        ops->clear();
    }
    /* A large screen in the middle; of what does not fit, the upper left. */
    left = MAX2((cols - t.columns) / 2, 0);
    above = MAX2((rows - t.rows) / 2, 0);
    for (int y = 0; y < MIN2(t.rows, rows); y++) {
        line_put(left, above + y, t.cells + y * t.columns,
                 MIN2(t.columns, cols));
    }
    if (t.cursor_x >= 0 && t.cursor_x < cols && t.cursor_y < rows) {
        ops->show(left + t.cursor_x, above + t.cursor_y);
    } else {
        ops->show(-1, -1);
    }
}

static void switched(Display *d)
{
    ops->clear();
    shown_note[0] = 0;
}

static const DisplayOps display_ops = {
    .switched = switched, .refreshed = refreshed,
};

/* ---- keys ---------------------------------------------------------------- */
static void press(int qcode, bool down) MACHINE_CALL;
static void press(int qcode, bool down)
{
    input_key(qcode, down);
    input_sync();
}

static void guest_key(uint32_t sym, bool ctrl, bool alt) MACHINE_CALL;
static void guest_key(uint32_t sym, bool ctrl, bool alt)
{
    int level, number = keymap_key(keymap, sym, &level);
    int held[4], n = 0;

    if (!number) {
        return;
    }
    if (ctrl) {
        held[n++] = Q_KEY_CODE_CTRL;
    }
    if (alt) {
        held[n++] = Q_KEY_CODE_ALT;
    }
    if (level > 0 && level & 1) {
        held[n++] = Q_KEY_CODE_SHIFT;
    }
    if (level > 0 && level & 2) {
        held[n++] = Q_KEY_CODE_ALT_R;
    }
    for (int i = 0; i < n; i++) {
        press(held[i], true);
    }
    press(input_key_of_number(number), true);
    press(input_key_of_number(number), false);
    while (n > 0) {
        press(held[--n], false);
    }
}

static void key_typed(uint32_t sym, bool alt) MACHINE_CALL;
static void key_typed(uint32_t sym, bool alt)
{
    Console *con = display.con, *other;
    bool ctrl = sym >= 1 && sym <= 26;

    if (alt && sym >= '1' && sym <= '9') {
        other = console_by_index((int)sym - '1');
        if (other) {
            console_select(other);
        }
        return;
    }
    if (ctrl) {
        sym += 'a' - 1;
    }
    if (con && !console_is_graphic(con)) {
        unsigned k = keymap_text_key(sym, ctrl);

        if (k) {
            con->ops->key(con->arg, k);
        }
        return;
    }
    input_source(con);
    guest_key(sym, ctrl, alt);
    input_source(NULL);
}

static void keys_ready(void *arg, unsigned events)
{
    int k = ops->key();

    machine_assert_locked();
    if (k == CURSES_NONE) {             /* the terminal is gone               */
        if (events & (EPOLLHUP | EPOLLERR)) {
            loop_fd(loop_main, STDIN_FILENO, 0, NULL, NULL);
        }
        return;
    }
    while (k != CURSES_NONE) {
        if (k == CURSES_RESIZED) {
            switched(&display);
        } else if (k == 0xff1b) {       /* Escape before a key is Alt         */
            int next = ops->key();

            key_typed(next == CURSES_NONE ? 0xff1b : (uint32_t)next,
                      next != CURSES_NONE);
        } else {
            key_typed((uint32_t)k, false);
        }
        k = ops->key();
    }
}

/* ---- life ---------------------------------------------------------------- */
static bool charset_load(const char *name, Error **errp)
{
    for (unsigned i = 0; i < 256; i++) {
        char byte = (char)i, *utf8;

        unicode[i] = console_unicode((uint8_t)i);
        if (!name || i < 0x20) {
            continue;
        }
        utf8 = g_convert(&byte, 1, "UTF-8", name, NULL, NULL, NULL);
        unicode[i] = utf8 && *utf8 ? g_utf8_get_char(utf8) : '?';
        if (i == 'A' && unicode[i] != 'A') {
            g_free(utf8);
            return error_set(errp, "Could not convert to character set %s",
                             name);
        }
        g_free(utf8);
    }
    return true;
}

bool curses_display_start(const char *charset, Error **errp)
{
    const CursesOps *o;

    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
        return error_set(errp, "We need a terminal output");
    }
    keymap = keymap_find(settings.keyboard ? settings.keyboard : "en-us");
    if (!keymap) {
        return error_set(errp, "could not read keymap file: '%s'",
                         settings.keyboard);
    }
    o = module_symbol("ui-curses", "curses_ops", errp);
    if (!o || !charset_load(charset, errp)) {
        return false;
    }
    ops = o;
    ops->start();
    display.ops = &display_ops;
    display.text = true;
    display_add(&display, NULL);
    display_set_interval(&display, DISPLAY_INTERVAL_MS);
    loop_fd(loop_main, STDIN_FILENO, EPOLLIN, keys_ready, NULL);
    return true;
}

void curses_display_stop(void)
{
    if (ops) {
        loop_fd(loop_main, STDIN_FILENO, 0, NULL, NULL);
        display_remove(&display);
        ops->stop();
        ops = NULL;
    }
}
