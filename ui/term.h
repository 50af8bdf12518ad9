/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * term.h - a terminal's screen in memory: takes what programs write to a VT100
 * (ECMA-48), keeps cells and lines that have scrolled away. Pure.
 */
#ifndef UI_TERM_H
#define UI_TERM_H

#include "base.h"

#define TERM_HISTORY 1024              /* lines, those shown among them       */
#define TERM_PARAMS 8

/* A cell: CP437 in bits 0-7, foreground 8-11, background 12-15. */
typedef struct Term {
    int cols, rows;
    uint16_t *cells;                   /* TERM_HISTORY lines, used as a ring  */
    int top;                           /* ring line of the screen's first     */
    int kept;                          /* lines above it that still exist     */
    int back;                          /* how far the view has been scrolled  */
    int x, y;                          /* cursor; x == cols: wraps next       */
    int saved_x, saved_y;
    uint16_t color, saved_color;       /* bits 8-15 of a cell                 */
    bool inverse;
    uint8_t state;
    unsigned params[TERM_PARAMS], n_params;
    uint32_t utf8, utf8_left;
    /* Answers to what the program asks (cursor position); may be NULL. */
    void (*answer)(void *arg, const char *text);
    void *arg;
} Term;

/* cols 1 to 512, rows 1 to 256. */
void term_init(Term *t, int cols, int rows);
void term_fini(Term *t);
void term_write(Term *t, const uint8_t *p, size_t n);
/* Cell of the view, history included. */
uint16_t term_cell(const Term *t, int x, int y);
/* Scrolls the view by lines, negative: back into history. */
void term_scroll(Term *t, int lines);

#endif
