/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The terminal of text consoles: printing and wrapping, cursor, erasing,
 * colours, history, and nonsense.
 */
#include <stdlib.h>
#include <string.h>
#include "tests/tern-test.h"
#include "ui/term.h"

static char answers[256];

static void answer(void *arg, const char *text)
{
    strncat(answers, text, sizeof(answers) - strlen(answers) - 1);
}

static Term start(void)
{
    Term t = { .answer = answer };

    term_init(&t, 10, 4);
    answers[0] = 0;
    return t;
}

static void say(Term *t, const char *s)
{
    term_write(t, (const uint8_t *)s, strlen(s));
}

static const char *row(const Term *t, int y)
{
    static char text[64];

    for (int x = 0; x < t->cols; x++) {
        text[x] = (char)(term_cell(t, x, y) & 0xff);
    }
    text[t->cols] = 0;
    return text;
}

TEST(prints_wraps_and_scrolls)
{
    Term t = start();

    say(&t, "hello\r\nworld\b\bXY\r\n0123456789");
    CHECK_STR(row(&t, 0), "hello     ");
    CHECK_STR(row(&t, 1), "worXY     ");
    CHECK_STR(row(&t, 2), "0123456789");
    CHECK_EQ(t.y, 2);
    say(&t, "a\tb");
    CHECK_STR(row(&t, 3), "a       b ");
    say(&t, "\r\nlast");
    CHECK_STR(row(&t, 0), "worXY     ");
    CHECK_STR(row(&t, 3), "last      ");
    term_scroll(&t, -1);
    CHECK_STR(row(&t, 0), "hello     ");
    term_scroll(&t, -100);
    CHECK_STR(row(&t, 0), "hello     ");
    say(&t, "!");
    CHECK_STR(row(&t, 3), "last!     ");
    term_fini(&t);
}

TEST(moves_and_erases)
{
    Term t = start();

    say(&t, "\033[2;3Hab\033[1;1Hc\033[10Bd\033[A\033[5De");
    CHECK_STR(row(&t, 0), "c         ");
    CHECK_STR(row(&t, 1), "  ab      ");
    CHECK_STR(row(&t, 3), " d        ");
    CHECK_STR(row(&t, 2), "e         ");
    say(&t, "\033[2;4H\033[K");
    CHECK_STR(row(&t, 1), "  a       ");
    say(&t, "\033[1K");
    CHECK_STR(row(&t, 1), "          ");
    say(&t, "\033[J");
    CHECK_STR(row(&t, 0), "c         ");
    CHECK_STR(row(&t, 3), "          ");
    say(&t, "\033[2J");
    CHECK_STR(row(&t, 0), "          ");
    say(&t, "\033[3;7H\033[6n\033[5n");
    CHECK_STR(answers, "\033[3;7R\033[0n");
    say(&t, "\033[s\033[H\033[ux");
    CHECK_EQ(term_cell(&t, 6, 2) & 0xff, 'x');
    term_fini(&t);
}

TEST(colours_and_letters)
{
    Term t = start();

    say(&t, "\033[31mr\033[1;44mb\033[7mi\033[0mn\xc3\xa4\xe2\x94\x80");
    CHECK_EQ(term_cell(&t, 0, 0), 'r' | 0x0400);
    CHECK_EQ(term_cell(&t, 1, 0), 'b' | 0x1c00);
    CHECK_EQ(term_cell(&t, 2, 0), 'i' | 0xc100);
    CHECK_EQ(term_cell(&t, 3, 0), 'n' | 0x0700);
    CHECK_EQ(term_cell(&t, 4, 0), 0x84 | 0x0700);
    CHECK_EQ(term_cell(&t, 5, 0), 0xc4 | 0x0700);
    term_fini(&t);
}

TEST(nonsense)
{
    uint8_t buf[512];

    srand(1);
    for (int round = 0; round < 400; round++) {
        Term t = start();

        for (int k = 0; k < 4; k++) {
            for (size_t i = 0; i < sizeof(buf); i++) {
                int r = rand() % 8;

                buf[i] = (uint8_t)(r == 0 ? 27 : r == 1 ? '[' : r == 2
                                   ? '0' + rand() % 11 : rand());
            }
            term_write(&t, buf, sizeof(buf));
            term_scroll(&t, rand() % 200 - 100);
            CHECK(t.x >= 0 && t.x <= t.cols && t.y >= 0 && t.y < t.rows);
            CHECK(t.back >= 0 && t.back <= t.kept);
            for (int y = 0; y < t.rows; y++) {
                row(&t, y);
            }
        }
        term_fini(&t);
    }
}
