/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * curses-ops.h - a terminal's screen and keyboard, of a module that is loaded
 * when -display curses is used. Main thread, machine lock.
 */
#ifndef UI_CURSES_OPS_H
#define UI_CURSES_OPS_H

#include "base.h"

typedef struct CursesOps {
    void (*start)(void);
    void (*stop)(void);
    /* Characters that the terminal has room for. */
    void (*size)(int *cols, int *rows);
    /* n characters from place (x, y): Unicode, and VGA attributes. Those
     * outside are left out. */
    void (*put)(int x, int y, const uint32_t *chars, const uint8_t *attrs,
                int n);
    void (*clear)(void);
    /* Shows what was put, with the cursor there; x < 0: without. */
    void (*show)(int x, int y);
    /* The next key as X11 keysym (letters with Ctrl as 1 to 26), or: */
    int (*key)(void);
} CursesOps;
enum { CURSES_NONE = -1, CURSES_RESIZED = -2 };

#endif
