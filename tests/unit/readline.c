/* SPDX-License-Identifier: GPL-2.0-or-later */
/* monitor/readline.c against a terminal of our own. */
#include "tests/tern-test.h"
#include "monitor/readline.h"

/* One row of a VT100: what the user would see. */
static char row[8192];
static int col;
static char last[5000];                /* the line that Enter gave            */
static Readline rl;

static void clear(void)
{
    memset(row, 0, sizeof(row));
    col = 0;
}

static void terminal(void *arg, const char *s, size_t n)
{
    static char seq[16];
    static int len = -1;

    for (size_t i = 0; i < n; i++) {
        char c = s[i];

        if (len >= 0) {                /* inside ESC [                        */
            seq[len++] = c;
            seq[len] = 0;
            if (len > 1 && c >= '@') {
                int k = atoi(seq + 1) ? atoi(seq + 1) : 1;

                if (c == 'D') {
                    col -= k;
                    CHECK_GE(col, 0);
                } else if (c == 'K') {
                    memset(row + col, 0, sizeof(row) - col);
                } else if (c == 'H' || c == 'J') {
                    clear();
                }
                len = -1;
            }
        } else if (c == 27) {
            len = 0;
        } else if (c == '\n') {
            clear();
        } else if (c == '\r') {
            col = 0;
        } else if (c != '\a') {
            if (col && !row[col - 1]) {
                FAIL("a hole in the row");
            }
            row[col++] = c;
        }
    }
}

static void entered(void *arg, const char *line)
{
    snprintf(last, sizeof(last), "%s", line);
    readline_show(&rl);
}

static GPtrArray *complete(void *arg, const char *line, size_t *start)
{
    static const char *const names[] = { "info", "input", "quit" };
    GPtrArray *a = g_ptr_array_new_with_free_func(g_free);
    const char *word = strrchr(line, ' ');

    word = word ? word + 1 : line;
    *start = word - line;
    for (int i = 0; i < 3; i++) {
        if (g_str_has_prefix(names[i], word)) {
            g_ptr_array_add(a, g_strdup(names[i]));
        }
    }
    return a;
}

static void type(const char *s)
{
    while (*s) {
        readline_byte(&rl, *s++);
    }
}

static void begin(void)
{
    clear();
    readline_init(&rl, "> ");
    rl.put = terminal;
    rl.line = entered;
    rl.complete = complete;
    readline_show(&rl);
}

/* The row shows the text, the cursor is `behind` columns before its end. */
#define SHOWS(text, behind) do { \
    CHECK_STR(row, "> " text); \
    CHECK_EQ(col, (int)strlen("> " text) - (behind)); \
} while (0)

TEST(typing_and_erasing)
{
    begin();
    type("stop");
    SHOWS("stop", 0);
    type("\x7f\x08");
    SHOWS("st", 0);
    type("ep\033[D\033[D");
    SHOWS("step", 2);
    type("X");
    SHOWS("stXep", 2);
    type("\033[3~");
    SHOWS("stXp", 1);
    type("\x01i");
    SHOWS("istXp", 4);
    type("\x05!");
    SHOWS("istXp!", 0);
    type("\r");
    CHECK_STR(last, "istXp!");
    SHOWS("", 0);
    readline_fini(&rl);
}

TEST(words_and_kill)
{
    begin();
    type("one two  three");
    type("\x17");
    SHOWS("one two  ", 0);
    type("\033b\033b");
    SHOWS("one two  ", 9);
    type("\033f");
    SHOWS("one two  ", 6);
    type("\x0b");
    SHOWS("one", 0);
    type("\x19\x19");
    SHOWS("one two   two  ", 0);
    type("\x15");
    SHOWS("", 0);
    type("\033[H\033[F\033OH\033OF\033[1~\033[4~\033[1;5Cx");
    SHOWS("x", 0);
    readline_fini(&rl);
}

TEST(history)
{
    begin();
    type("a\rb\rc\rb\r");
    type("draft\033[A");
    SHOWS("b", 0);
    type("\033[A");
    SHOWS("c", 0);
    type("\033[A\033[A\033[A");
    SHOWS("a", 0);
    type("\033[B\033[B\033[B");
    SHOWS("draft", 0);
    type("\033[B");
    SHOWS("draft", 0);
    type("\x10\x10\r");
    CHECK_STR(last, "c");
    for (int i = 0; i < 200; i++) {
        char s[20];

        snprintf(s, sizeof(s), "line %d\r", i);
        type(s);
    }
    CHECK_EQ((int)rl.count, READLINE_HISTORY);
    for (int i = 0; i < 300; i++) {
        type("\033[A");
    }
    SHOWS("line 136", 0);
    readline_fini(&rl);
}

TEST(completion)
{
    begin();
    type("q\t");
    SHOWS("quit ", 0);
    type("\x15i\t");
    SHOWS("in", 0);
    type("\t");                        /* list, then the line again           */
    SHOWS("in", 0);
    type("f\t");
    SHOWS("info ", 0);
    type("zzz\t");
    SHOWS("info zzz", 0);
    readline_fini(&rl);
}

TEST(limits)
{
    begin();
    for (int i = 0; i < READLINE_MAX + 100; i++) {
        readline_byte(&rl, 'x');
    }
    CHECK_EQ((int)rl.text->len, READLINE_MAX);
    type("\r");
    CHECK_EQ((int)strlen(last), READLINE_MAX);
    readline_fini(&rl);
}

TEST(random_keys)
{
    uint32_t seed = 3;

    begin();
    for (int i = 0; i < 300000; i++) {
        static const char keys[] = "ab \033[ABCDHFO~13478;\x01\x02\x04\x05\x06"
                                   "\x08\x0b\x0e\x10\x15\x17\x19\t\r\x7f";

        seed = seed * 1664525 + 1013904223;
        readline_byte(&rl, keys[(seed >> 16) % (sizeof(keys) - 1)]);
        if (rl.cursor > rl.text->len || rl.text->len > READLINE_MAX) {
            FAIL("cursor out of the line");
            break;
        }
    }
    readline_fini(&rl);
}
