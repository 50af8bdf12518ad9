/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The real-time clock: time of day, alarms, periodic interrupts, CMOS memory.
 */
#include <stdlib.h>
#include "tests/libqtest.h"
#include "tests/tern-test.h"

#define SECOND 1000000000ll

static uint8_t get(QTest *q, uint8_t reg)
{
    qtest_outb(q, 0x70, reg);
    return qtest_inb(q, 0x71);
}

static void set(QTest *q, uint8_t reg, uint8_t v)
{
    qtest_outb(q, 0x70, reg);
    qtest_outb(q, 0x71, v);
}

static QTest *start(const char *base)
{
    QTest *q = qtest_start("-machine pc -nodefaults -m 16 -rtc clock=vm,"
                           "base=%s", base);
    char *path;

    if (!qtest_has_clock(q)) {
        qtest_quit(q);
        SKIP("the clock runs freely");
    }
    path = qtest_path(q, "mc146818rtc", 0);
    qtest_irq_intercept_out(q, path);
    free(path);
    /* The interval timer would stop the clock 36 times a second. */
    qtest_outb(q, 0x43, 0x30);
    return q;
}

/* "19700101 000000 5", in whatever form the registers have. */
static const char *now(QTest *q)
{
    static char s[40];

    snprintf(s, sizeof(s), "%02x%02x%02x%02x %02x%02x%02x %x", get(q, 0x32),
             get(q, 9), get(q, 8), get(q, 7), get(q, 4), get(q, 2), get(q, 0),
             get(q, 6));
    return s;
}

TEST(time_passes)
{
    QTest *q = start("2024-02-28T23:59:58");

    CHECK_STR(now(q), "20240228 235958 4");
    qtest_clock_step(q, SECOND);
    CHECK_STR(now(q), "20240228 235959 4");
    qtest_clock_step(q, SECOND);
    CHECK_STR(now(q), "20240229 000000 5");
    qtest_clock_step(q, 86400 * SECOND);
    CHECK_STR(now(q), "20240301 000000 6");
    qtest_clock_step(q, 306 * 86400 * SECOND);
    CHECK_STR(now(q), "20250101 000000 4");
    CHECK_EQ(get(q, 0x37), 0x20);
    qtest_quit(q);
}

TEST(before_1970)
{
    QTest *q = start("1969-12-31T23:59:59");

    CHECK_STR(now(q), "19691231 235959 4");
    qtest_clock_step(q, SECOND);
    CHECK_STR(now(q), "19700101 000000 5");
    qtest_quit(q);
}

TEST(binary_and_twelve_hours)
{
    QTest *q = start("2026-11-21T00:30:45");

    CHECK_EQ(get(q, 11), 0x02);
    set(q, 11, 0x06);
    CHECK_STR(now(q), "141a0b15 001e2d 7");
    set(q, 11, 0x00);
    CHECK_EQ(get(q, 4), 0x12);         /* midnight is 12 am                   */
    qtest_clock_step(q, 12 * 3600 * SECOND);
    CHECK_EQ(get(q, 4), 0x92);
    qtest_clock_step(q, 11 * 3600 * SECOND);
    CHECK_EQ(get(q, 4), 0x91);
    set(q, 11, 0x04);
    CHECK_EQ(get(q, 4), 0x8b);
    qtest_quit(q);
}

TEST(setting)
{
    QTest *q = start("2000-01-01");

    set(q, 11, 0x82);                  /* hold                                */
    set(q, 0x32, 0x19);
    set(q, 9, 0x99);
    set(q, 8, 0x12);
    set(q, 7, 0x31);
    set(q, 4, 0x23);
    set(q, 2, 0x59);
    set(q, 0, 0x50);
    qtest_clock_step(q, 100 * SECOND);
    CHECK_EQ(get(q, 0), 0x50);
    CHECK_EQ(get(q, 10) & 0x80, 0);
    set(q, 11, 0x02);
    qtest_clock_step(q, 9 * SECOND);
    CHECK_STR(now(q), "19991231 235959 6");
    qtest_clock_step(q, SECOND);
    CHECK_STR(now(q), "20000101 000000 7");
    CHECK(qtest_event_seen(q, "RTC_CHANGE"));
    /* Byte by byte while it runs. */
    set(q, 2, 0x34);
    CHECK_EQ(get(q, 2), 0x34);
    qtest_clock_step(q, 60 * SECOND);
    CHECK_EQ(get(q, 2), 0x35);
    qtest_quit(q);
}

TEST(far_years)
{
    QTest *q = start("9998-12-31T23:59:59");

    CHECK_STR(now(q), "99981231 235959 5");
    qtest_clock_step(q, SECOND);
    CHECK_STR(now(q), "99990101 000000 6");
    set(q, 9, 0x00);
    set(q, 0x32, 0x03);
    CHECK_STR(now(q), "03000101 000000 2");
    set(q, 11, 0x82);                  /* nonsense in every register          */
    for (int i = 0; i < 10; i++) {
        set(q, i, 0xff);
    }
    set(q, 0x32, 0xff);
    set(q, 11, 0x02);
    qtest_clock_step(q, SECOND);
    get(q, 9);
    qtest_quit(q);
}

TEST(divider_holds)
{
    QTest *q = start("2001-02-03T04:05:06");

    set(q, 10, 0x66);                  /* held in reset                       */
    qtest_clock_step(q, 10 * SECOND);
    CHECK_EQ(get(q, 0), 0x06);
    set(q, 10, 0x26);                  /* the first second is a half          */
    qtest_clock_step(q, SECOND / 2 - 1000);
    CHECK_EQ(get(q, 0), 0x06);
    CHECK_EQ(get(q, 10), 0xa6);        /* about to                            */
    qtest_clock_step(q, 2000);
    CHECK_EQ(get(q, 0), 0x07);
    CHECK_EQ(get(q, 10), 0x26);
    qtest_quit(q);
}

TEST(update_flag)
{
    QTest *q = start("2001-02-03T04:05:06");

    get(q, 12);
    CHECK_EQ(get(q, 12), 0);
    qtest_clock_step(q, SECOND);
    CHECK_EQ(get(q, 12), 0x10);        /* no interrupt was asked for          */
    CHECK_EQ(get(q, 12), 0);
    CHECK(!qtest_irq(q, 0));
    set(q, 11, 0x12);
    qtest_clock_step(q, SECOND);
    CHECK(qtest_irq(q, 0));
    CHECK_EQ(get(q, 12), 0x90);
    CHECK(!qtest_irq(q, 0));
    qtest_clock_step(q, 10 * SECOND);  /* unread, it stays one                */
    CHECK(qtest_irq(q, 0));
    CHECK_EQ(qtest_irq_raised(q, 0), 2u);
    qtest_quit(q);
}

TEST(alarm_of_day)
{
    QTest *q = start("2001-02-03T04:05:06");

    set(q, 5, 0x04);
    set(q, 3, 0x06);
    set(q, 1, 0x00);
    set(q, 11, 0x22);
    qtest_clock_step(q, 53 * SECOND);
    CHECK(!qtest_irq(q, 0));
    qtest_clock_step(q, SECOND);
    CHECK(qtest_irq(q, 0));
    CHECK_EQ(get(q, 12), 0xb0);
    qtest_clock_step(q, 86399 * SECOND);
    CHECK(!qtest_irq(q, 0));
    qtest_clock_step(q, SECOND);
    CHECK(qtest_irq(q, 0));
    get(q, 12);
    /* Any hour, any minute, at 30 seconds. */
    set(q, 5, 0xc0);
    set(q, 3, 0xff);
    set(q, 1, 0x30);
    for (int i = 0; i < 3; i++) {
        qtest_clock_step(q, 60 * SECOND);
        CHECK_EQ(get(q, 12) & 0xa0, 0xa0);
    }
    /* Off, but the flag still tells. */
    set(q, 11, 0x02);
    qtest_clock_step(q, 60 * SECOND);
    CHECK(!qtest_irq(q, 0));
    CHECK_EQ(get(q, 12), 0x30);
    qtest_quit(q);
}

TEST(periodic)
{
    QTest *q = start("2001-02-03T04:05:06");
    unsigned n = 0;

    set(q, 11, 0x42);                  /* 1024 Hz                             */
    for (int i = 0; i < 200; i++) {
        qtest_clock_step(q, SECOND / 1024 + 1);
        n += (get(q, 12) & 0xc0) == 0xc0;
    }
    CHECK_EQ(n, 200u);
    set(q, 10, 0x2f);                  /* 2 Hz                                */
    get(q, 12);
    n = qtest_irq_raised(q, 0);
    qtest_clock_step(q, SECOND / 4);
    CHECK_EQ(qtest_irq_raised(q, 0), n + (get(q, 12) >> 7));
    for (int i = 0; i < 4; i++) {
        qtest_clock_step(q, SECOND / 2);
        CHECK_EQ(get(q, 12) & 0xc0, 0xc0);
    }
    set(q, 10, 0x20);                  /* off                                 */
    qtest_clock_step(q, 10 * SECOND);
    CHECK_EQ(get(q, 12) & 0x40, 0);
    qtest_quit(q);
}

TEST(slewing)
{
    QTest *q = qtest_start("-machine pc -nodefaults -m 16 -rtc clock=vm,"
                           "driftfix=slew");
    unsigned n = 0;

    if (!qtest_has_clock(q)) {
        qtest_quit(q);
        SKIP("the clock runs freely");
    }
    set(q, 10, 0x2a);                  /* 64 Hz                               */
    set(q, 11, 0x42);
    qtest_clock_step(q, SECOND);       /* 63 of them unseen                   */
    for (int i = 0; i < 400; i++) {
        n += (get(q, 12) & 0x40) != 0;
        qtest_clock_step(q, SECOND / 640);
    }
    /* 64 of the first second and 40 of these 0.625 seconds. */
    CHECK_GE(n, 102u);
    CHECK_LE(n, 105u);
    /* What waits can be forgotten. */
    qtest_clock_step(q, SECOND);
    qtest_qmp_ok(q, "{'execute': 'rtc-reset-reinjection'}");
    n = 0;
    for (int i = 0; i < 40; i++) {
        n += (get(q, 12) & 0x40) != 0;
        qtest_clock_step(q, SECOND / 640);
    }
    CHECK_LE(n, 6u);
    qtest_quit(q);
}

TEST(memory_and_reset)
{
    QTest *q = start("2001-02-03T04:05:06");

    for (unsigned i = 0x40; i < 0x5b; i++) {
        set(q, i, i ^ 0x5a);
    }
    set(q, 13, 0);                     /* the battery is not the guest's      */
    CHECK_EQ(get(q, 13), 0x80);
    set(q, 11, 0x7a);
    qtest_clock_step(q, SECOND);
    CHECK(qtest_irq(q, 0));
    qtest_qmp_ok(q, "{'execute': 'system_reset'}");
    free(qtest_event(q, "RESET"));
    CHECK(!qtest_irq(q, 0));
    CHECK_EQ(get(q, 11), 0x02);
    CHECK_EQ(get(q, 12), 0);
    for (unsigned i = 0x40; i < 0x5b; i++) {
        CHECK_EQ(get(q, i), i ^ 0x5a);
    }
    CHECK_EQ(get(q, 0), 0x07);
    CHECK_EQ(qtest_inb(q, 0x70), 0xff);
    CHECK_EQ(get(q, 0xbf), get(q, 0x3f));          /* bit 7 masks NMI         */
    qtest_quit(q);
}

TEST(date_property)
{
    QTest *q = start("2001-02-03T04:05:06");
    char *path = qtest_path(q, "mc146818rtc", 0), *reply;

    reply = qtest_qmp(q, "{'execute': 'qom-get', 'arguments': {'path': '%s', "
                      "'property': 'date'}}", path);
    CHECK(strstr(reply, "\"tm_year\": 101"));
    CHECK(strstr(reply, "\"tm_mon\": 1"));
    CHECK(strstr(reply, "\"tm_sec\": 6"));
    free(reply);
    free(path);
    qtest_quit(q);
}

TEST(option_errors)
{
    static const char *const bad[][2] = {
        { "base=yesterday", "invalid datetime format" },
        { "base=2001-02-30", "invalid datetime format" },
        { "base=2001-02-03T24:00:00", "invalid datetime format" },
        { "base=2001-02-03T04:05", "invalid datetime format" },
        { "clock=sun", "invalid option value 'sun'" },
        { "driftfix=maybe", "invalid option value 'maybe'" },
        { "epoch=1", "Invalid parameter 'epoch'" },
    };

    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char *text;

        CHECK_EQ(qtest_run(&text, "-machine pc -nodefaults -display none "
                           "-rtc %s", bad[i][0]), 1);
        CHECK(strstr(text, bad[i][1]));
        free(text);
    }
}
