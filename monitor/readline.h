/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * readline.h - line editing on a VT100 terminal: what is typed comes in byte by
 * byte, what the terminal must show goes out through `put`. Emacs keys, cursor
 * keys, history, completion. One thread.
 */
#ifndef TERN_READLINE_H
#define TERN_READLINE_H

#include <glib.h>

#define READLINE_MAX     4096          /* bytes of a line                     */
#define READLINE_HISTORY 64

typedef struct Readline {
    void (*put)(void *arg, const char *s, size_t n);
    void (*line)(void *arg, const char *line);     /* Enter                   */
    /* Completions of the line's last word, sorted; *start: its offset. Takes
     * nothing, caller frees the array. NULL: none. */
    GPtrArray *(*complete)(void *arg, const char *line, size_t *start);
    void *arg;
    const char *prompt;

    GString *text;
    size_t cursor;
    GString *killed;                   /* what Ctrl-K, -U, -W cut             */
    char *history[READLINE_HISTORY];   /* oldest first                        */
    unsigned count, place;             /* place == count: the new line        */
    char *draft;                       /* new line while history is shown     */
    int state;                         /* 0 plain, 1 ESC, 2 CSI, 3 SS3        */
    unsigned csi;                      /* number in a CSI sequence            */
} Readline;

void readline_init(Readline *r, const char *prompt);
void readline_fini(Readline *r);
void readline_byte(Readline *r, unsigned char c);
void readline_show(Readline *r);       /* prompt and the line so far          */
void readline_reset(Readline *r);      /* forgets the line, not the history   */

#endif
