/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * readline.c - line editing (control sequences: ECMA-48; keys as Emacs has
 * them).
 *
 * Invariants:
 *  1. cursor <= text->len <= READLINE_MAX.
 *  2. The terminal's cursor stands behind the prompt and text[0..cursor).
 */
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "readline.h"

#define CTRL(c) ((c) & 31)

static void put(Readline *r, const char *s)
{
    r->put(r->arg, s, strlen(s));
}

static void put_back(Readline *r, size_t n)        /* cursor left              */
{
    char s[32];

    if (n) {
        snprintf(s, sizeof(s), "\033[%zuD", n);
        put(r, s);
    }
}

/* Text from the cursor on changed. */
static void redraw_tail(Readline *r)
{
    put(r, "\033[K");
    r->put(r->arg, r->text->str + r->cursor, r->text->len - r->cursor);
    put_back(r, r->text->len - r->cursor);
}

static void move_to(Readline *r, size_t to)
{
    if (to < r->cursor) {
        put_back(r, r->cursor - to);
    } else if (to > r->cursor) {
        r->put(r->arg, r->text->str + r->cursor, to - r->cursor);
    }
    r->cursor = to;
}

static void insert(Readline *r, const char *s, size_t n)
{
    if (r->text->len + n > READLINE_MAX) {
        put(r, "\a");
        return;
    }
    g_string_insert_len(r->text, r->cursor, s, n);
    r->put(r->arg, r->text->str + r->cursor, n);
    r->cursor += n;
    if (r->cursor < r->text->len) {
        redraw_tail(r);
    }
}

static void erase(Readline *r, size_t from, size_t to, bool keep)
{
    if (from == to) {
        return;
    }
    if (keep) {
        g_string_truncate(r->killed, 0);
        g_string_append_len(r->killed, r->text->str + from, to - from);
    }
    move_to(r, from);
    g_string_erase(r->text, from, to - from);
    redraw_tail(r);
}

static size_t word_left(const Readline *r)
{
    size_t i = r->cursor;

    while (i && isspace((unsigned char)r->text->str[i - 1])) {
        i--;
    }
    while (i && !isspace((unsigned char)r->text->str[i - 1])) {
        i--;
    }
    return i;
}

static size_t word_right(const Readline *r)
{
    size_t i = r->cursor;

    while (i < r->text->len && isspace((unsigned char)r->text->str[i])) {
        i++;
    }
    while (i < r->text->len && !isspace((unsigned char)r->text->str[i])) {
        i++;
    }
    return i;
}

static void replace(Readline *r, const char *s)
{
    move_to(r, 0);
    g_string_assign(r->text, s);
    put(r, "\033[K");
    put(r, r->text->str);
    r->cursor = r->text->len;
}

/* ---- history -- */
static void history_add(Readline *r, const char *s)
{
    if (!*s) {
        return;
    }
    for (unsigned i = 0; i < r->count; i++) {      /* a line is there once    */
        if (!strcmp(r->history[i], s)) {
            char *same = r->history[i];

            memmove(&r->history[i], &r->history[i + 1],
                    (r->count - i - 1) * sizeof(char *));
            r->history[r->count - 1] = same;
            return;
        }
    }
    if (r->count == READLINE_HISTORY) {
        g_free(r->history[0]);
        memmove(&r->history[0], &r->history[1], --r->count * sizeof(char *));
    }
    r->history[r->count++] = g_strdup(s);
}

static void history_step(Readline *r, bool up)
{
    if (up ? r->place == 0 : r->place == r->count) {
        return;
    }
    if (r->place == r->count) {
        g_free(r->draft);
        r->draft = g_strdup(r->text->str);
    }
    r->place += up ? -1 : 1;
    replace(r, r->place < r->count ? r->history[r->place] : r->draft);
}

/* ---- completion -- */
static size_t common(GPtrArray *a)
{
    const char *first = a->pdata[0];
    size_t n = strlen(first);

    for (unsigned i = 1; i < a->len; i++) {
        const char *s = a->pdata[i];
        size_t k = 0;

        while (k < n && s[k] == first[k]) {
            k++;
        }
        n = k;
    }
    return n;
}

static void list(Readline *r, GPtrArray *a)
{
    size_t width = 0, col = 0;

    for (unsigned i = 0; i < a->len; i++) {
        size_t n = strlen(a->pdata[i]);

        width = n > width ? n : width;
    }
    width = width + 2 > 80 ? 80 : width + 2;
    put(r, "\r\n");
    for (unsigned i = 0; i < a->len; i++) {
        char *s = g_strdup_printf("%-*s", (int)width, (char *)a->pdata[i]);

        put(r, s);
        g_free(s);
        col += width;
        if (col + width > 80 || i + 1 == a->len) {
            put(r, "\r\n");
            col = 0;
        }
    }
    readline_show(r);
}

static void complete(Readline *r)
{
    char *head = g_strndup(r->text->str, r->cursor);
    size_t start = r->cursor, have;
    GPtrArray *a = r->complete ? r->complete(r->arg, head, &start) : NULL;

    g_free(head);
    if (!a || !a->len || start > r->cursor) {
        if (a) {
            g_ptr_array_free(a, true);
        }
        return;
    }
    have = r->cursor - start;
    if (common(a) > have) {
        insert(r, (char *)a->pdata[0] + have, common(a) - have);
    }
    if (a->len == 1) {
        const char *s = a->pdata[0];

        if (*s && s[strlen(s) - 1] != '/' && s[strlen(s) - 1] != '=') {
            insert(r, " ", 1);
        }
    } else if (common(a) <= have) {
        list(r, a);
    }
    g_ptr_array_free(a, true);
}

/* ---- keys -- */
static void enter(Readline *r)
{
    char *s = g_strdup(r->text->str);

    put(r, "\r\n");
    history_add(r, s);
    readline_reset(r);
    r->line(r->arg, s);
    g_free(s);
}

static void plain(Readline *r, unsigned char c)
{
    switch (c) {
    case CTRL('A'):
        move_to(r, 0);
        break;
    case CTRL('B'):
        move_to(r, r->cursor - (r->cursor > 0));
        break;
    case CTRL('C'):
        put(r, "^C\r\n");
        readline_reset(r);
        readline_show(r);
        break;
    case CTRL('D'):
        erase(r, r->cursor, r->cursor + (r->cursor < r->text->len), false);
        break;
    case CTRL('E'):
        move_to(r, r->text->len);
        break;
    case CTRL('F'):
        move_to(r, r->cursor + (r->cursor < r->text->len));
        break;
    case CTRL('H'):
    case 127:
        erase(r, r->cursor - (r->cursor > 0), r->cursor, false);
        break;
    case '\t':
        complete(r);
        break;
    case '\r':
    case '\n':
        enter(r);
        break;
    case CTRL('K'):
        erase(r, r->cursor, r->text->len, true);
        break;
    case CTRL('L'):
        put(r, "\033[H\033[2J");
        readline_show(r);
        break;
    case CTRL('N'):
        history_step(r, false);
        break;
    case CTRL('P'):
        history_step(r, true);
        break;
    case CTRL('U'):
        erase(r, 0, r->cursor, true);
        break;
    case CTRL('W'):
        erase(r, word_left(r), r->cursor, true);
        break;
    case CTRL('Y'):
        insert(r, r->killed->str, r->killed->len);
        break;
    case 27:
        r->state = 1;
        break;
    default:
        if (c >= 32) {
            insert(r, (char *)&c, 1);
        }
        break;
    }
}

static void escape(Readline *r, unsigned char c)   /* behind ESC               */
{
    r->state = 0;
    switch (c) {
    case '[':
        r->state = 2;
        r->csi = 0;
        break;
    case 'O':
        r->state = 3;
        break;
    case 'b':
        move_to(r, word_left(r));
        break;
    case 'f':
        move_to(r, word_right(r));
        break;
    case 'd':
        erase(r, r->cursor, word_right(r), true);
        break;
    case 127:
        erase(r, word_left(r), r->cursor, true);
        break;
    default:
        break;
    }
}

static void control(Readline *r, unsigned char c)  /* end of CSI or SS3        */
{
    /* CSI 1~ and 7~ Home, 3~ Delete, 4~ and 8~ End */
    static const char by_number[] = { 0, 'H', 0, 'X', 'F', 0, 0, 'H', 'F' };

    if (c == '~') {
        c = r->csi < sizeof(by_number) ? by_number[r->csi] : 0;
    }
    r->state = 0;
    switch (c) {
    case 'A':
        history_step(r, true);
        break;
    case 'B':
        history_step(r, false);
        break;
    case 'C':
        plain(r, CTRL('F'));
        break;
    case 'D':
        plain(r, CTRL('B'));
        break;
    case 'H':
        move_to(r, 0);
        break;
    case 'F':
        move_to(r, r->text->len);
        break;
    case 'X':
        plain(r, CTRL('D'));
        break;
    default:
        break;
    }
}

void readline_byte(Readline *r, unsigned char c)
{
    switch (r->state) {
    case 0:
        plain(r, c);
        break;
    case 1:
        escape(r, c);
        break;
    default:
        if (isdigit(c)) {
            r->csi = r->csi < 1000 ? r->csi * 10 + (c - '0') : r->csi;
        } else if (c == ';') {
            r->csi = 1000;             /* a modified key: ignored             */
        } else if (c < 32 || c == 127) {
            r->state = 0;
            plain(r, c);
        } else {
            control(r, c);
        }
        break;
    }
}

void readline_show(Readline *r)
{
    put(r, r->prompt);
    r->put(r->arg, r->text->str, r->text->len);
    put_back(r, r->text->len - r->cursor);
}

void readline_reset(Readline *r)
{
    g_string_truncate(r->text, 0);
    r->cursor = 0;
    r->place = r->count;
    r->state = 0;
}

void readline_init(Readline *r, const char *prompt)
{
    memset(r, 0, sizeof(*r));
    r->prompt = prompt;
    r->text = g_string_new(NULL);
    r->killed = g_string_new(NULL);
}

void readline_fini(Readline *r)
{
    g_string_free(r->text, true);
    g_string_free(r->killed, true);
    for (unsigned i = 0; i < r->count; i++) {
        g_free(r->history[i]);
    }
    g_free(r->draft);
}
