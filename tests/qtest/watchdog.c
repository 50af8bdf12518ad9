/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Watchdogs: i6300esb with its stages, lock and unlock sequence; ib700; and what
 * happens when they fire. */
#include <stdlib.h>
#include <string.h>
#include "base.h"
#include "tests/libqtest.h"
#include "tests/tern-test.h"

#define MS 1000000ll

enum { CONFIG = 0x60, LOCK = 0x68 };
enum { STAGE1 = 0, STAGE2 = 4, STATUS = 8, RELOAD = 12 };

typedef struct Esb {
    QTest *q;
    int devfn;
    uint64_t at;
} Esb;

static Esb esb_start(const char *more)
{
    Esb e = { .q = qtest_start("-machine pc -m 16 -nodefaults -device "
                               "i6300esb -action reboot=shutdown,shutdown="
                               "pause %s", more) };

    e.devfn = qpci_find(e.q, 0x8086, 0x25ab, 0);
    if (e.devfn > 0) {
        e.at = qpci_map(e.q, e.devfn, 0, NULL);
    }
    return e;
}

static void esb_put(const Esb *e, uint32_t reg, uint32_t v)
{
    qtest_writew(e->q, e->at + RELOAD, 0x80);
    qtest_writew(e->q, e->at + RELOAD, 0x86);
    if (reg == RELOAD) {
        qtest_writew(e->q, e->at + reg, v);
    } else {
        qtest_writel(e->q, e->at + reg, v);
    }
}

static bool status_is(QTest *q, const char *name)
{
    char *s = qtest_qmp(q, "{'execute': 'query-status'}");
    bool is = strstr(s, name) != NULL;

    free(s);
    return is;
}

/* Two stages of 1024 ticks of the slow clock, 0.993 ms each. */
static void esb_arm(const Esb *e)
{
    qpci_write(e->q, e->devfn, CONFIG, 2, 3);
    esb_put(e, STAGE1, 1023);
    esb_put(e, STAGE2, 1023);
    esb_put(e, RELOAD, 0x100);
    qpci_write(e->q, e->devfn, LOCK, 1, 2);
}

TEST(i6300esb_fires_unless_fed)
{
    Esb e = esb_start("-action watchdog=pause");

    REQUIRE(e.at);
    esb_arm(&e);
    for (int i = 0; i < 3; i++) {
        qtest_clock_step(e.q, 2000 * MS);
        CHECK(status_is(e.q, "running"));
        CHECK_EQ(qtest_readw(e.q, e.at + RELOAD), 0);
        esb_put(&e, RELOAD, 0x100);
    }
    qtest_clock_step(e.q, 2030 * MS);
    CHECK(status_is(e.q, "running"));
    qtest_clock_step(e.q, 10 * MS);
    CHECK(status_is(e.q, "watchdog"));
    CHECK_EQ(qtest_readw(e.q, e.at + RELOAD), 0x200);
    /* It tells so after a reset, until told that it was heard. */
    qtest_qmp_ok(e.q, "{'execute': 'system_reset'}");
    e.at = qpci_map(e.q, e.devfn, 0, NULL);
    CHECK_EQ(qtest_readw(e.q, e.at + RELOAD), 0x200);
    qtest_writew(e.q, e.at + RELOAD, 0x200);       /* still locked            */
    CHECK_EQ(qtest_readw(e.q, e.at + RELOAD), 0x200);
    esb_put(&e, RELOAD, 0x300);
    CHECK_EQ(qtest_readw(e.q, e.at + RELOAD), 0);
    qtest_quit(e.q);
}

TEST(i6300esb_locked_and_stopped)
{
    Esb e = esb_start("-action watchdog=pause");

    REQUIRE(e.at);
    esb_arm(&e);
    qpci_write(e.q, e.devfn, LOCK, 1, 0);
    qtest_clock_step(e.q, 10000 * MS);
    CHECK(status_is(e.q, "running"));
    qpci_write(e.q, e.devfn, LOCK, 1, 3);
    qpci_write(e.q, e.devfn, LOCK, 1, 0);          /* too late                */
    CHECK_EQ(qpci_read(e.q, e.devfn, LOCK, 1), 3u);
    qtest_clock_step(e.q, 3000 * MS);
    CHECK(status_is(e.q, "watchdog"));
    qtest_quit(e.q);
}

TEST(i6300esb_first_stage_and_fast_clock)
{
    Esb e = esb_start("-action watchdog=none");

    REQUIRE(e.at);
    qpci_write(e.q, e.devfn, CONFIG, 2, 0x24);     /* interrupt, fast, quiet  */
    esb_put(&e, STAGE1, 0xffffffff);
    esb_put(&e, STAGE2, 0xffffffff);
    qpci_write(e.q, e.devfn, LOCK, 1, 2);
    qtest_clock_step(e.q, 1016 * MS);              /* 2^20 times 0.97 us      */
    CHECK_EQ(qtest_readl(e.q, e.at + STATUS), 0u);
    qtest_clock_step(e.q, 2 * MS);
    CHECK_EQ(qtest_readl(e.q, e.at + STATUS), 1u);
    qtest_writel(e.q, e.at + STATUS, 1);
    CHECK_EQ(qtest_readl(e.q, e.at + STATUS), 0u);
    qtest_clock_step(e.q, 1018 * MS);
    CHECK_EQ(qtest_readw(e.q, e.at + RELOAD), 0x200);
    CHECK(status_is(e.q, "running"));
    qtest_quit(e.q);
}

TEST(ib700_times)
{
    QTest *q = qtest_start("-machine pc -m 16 -nodefaults -device ib700 "
                           "-action watchdog=pause");

    qtest_outb(q, 0x443, 10);                      /* 10 seconds              */
    qtest_clock_step(q, 9999 * MS);
    qtest_outb(q, 0x443, 0x0a);
    qtest_clock_step(q, 9999 * MS);
    CHECK(status_is(q, "running"));
    qtest_outb(q, 0x441, 0);
    qtest_clock_step(q, 60000 * MS);
    CHECK(status_is(q, "running"));
    qtest_outb(q, 0x443, 0);                       /* 30 seconds              */
    qtest_clock_step(q, 29999 * MS);
    CHECK(status_is(q, "running"));
    qtest_clock_step(q, 1 * MS);
    CHECK(status_is(q, "watchdog"));
    qtest_quit(q);
}

TEST(actions)
{
    static const struct { const char *action, *status; } rows[] = {
        { "reset", "shutdown" },       /* with reboot=shutdown,shutdown=pause */
        { "pause", "watchdog" }, { "debug", "running" }, { "none", "running" },
        { "inject-nmi", "running" }, { "shutdown", "running" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        QTest *q = qtest_start("-machine pc -m 16 -nodefaults -device ib700 "
                               "-action reboot=shutdown,shutdown=pause");

        qtest_qmp_ok(q, "{'execute': 'watchdog-set-action', 'arguments': "
                     "{'action': '%s'}}", rows[i].action);
        qtest_outb(q, 0x443, 15);
        qtest_clock_step(q, 1);
        if (!status_is(q, rows[i].status)) {
            tt_fail(__FILE__, __LINE__, "%s: not %s", rows[i].action,
                    rows[i].status);
        }
        qtest_quit(q);
    }
}
