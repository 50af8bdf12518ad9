/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio-balloon: pages, commands and events, statistics, reporting. */
#include <stdlib.h>
#include <string.h>
#include "tests/libqvirtio.h"
#include "tests/tern-test.h"

#define BALLOON 5
#define HEAP 0x200000
#define PAGE 0x600000                  /* given up by the tests               */

static void kick_pages(QVirtio *d, unsigned queue, uint32_t first, unsigned n)
{
    uint64_t at = qvirtio_alloc(d, 4 * n, 4);
    QVirtBuf b = { at, 4 * n, false };
    unsigned id;

    for (unsigned i = 0; i < n; i++) {
        qtest_writel(d->q, at + 4 * i, first + i);
    }
    qvirtq_add(&d->vq[queue], &b, 1, false);
    qvirtq_kick(&d->vq[queue]);
    CHECK_EQ(qvirtq_wait(&d->vq[queue], &id), 0u);
}

static bool reply_has(QTest *q, const char *command, const char *text)
{
    char *r = qtest_qmp(q, "%s", command);
    bool has = strstr(r, text) != NULL;

    if (!has) {
        printf("# %s\n", r);
    }
    free(r);
    return has;
}

TEST(inflate_and_deflate)
{
    QTest *q = qtest_start("-machine pc -nodefaults -m 16 -device "
                           "virtio-balloon-pci,id=b");
    QVirtio *d = qvirtio_find(q, BALLOON, 0, false, HEAP);

    CHECK_EQ(qvirtio_offered(d) & 0xffffff, 0x12u);
    CHECK(qvirtio_accept(d, QV_F(QV_VERSION_1)));
    for (unsigned i = 0; i < 2; i++) {
        qvirtq_setup(d, i, 0);
    }
    CHECK_EQ(d->vq[0].num, 128u);
    qvirtio_ready(d);
    CHECK_EQ(qvirtio_config(d, 0, 4), 0u);
    qtest_qmp_ok(q, "{'execute': 'balloon', 'arguments': {'value': 8388608}}");
    CHECK_EQ(qvirtio_config(d, 0, 4), 2048u);
    CHECK_EQ(qvirtio_isr(d) & 2, 2);
    qtest_memset(q, PAGE, 0x55, 8192);
    kick_pages(d, 0, PAGE >> 12, 1);
    CHECK_EQ(qtest_readl(q, PAGE), 0u);
    CHECK_EQ(qtest_readl(q, PAGE + 4096), 0x55555555u);
    qvirtio_config_set(d, 4, 4, 1);
    free(qtest_event(q, "BALLOON_CHANGE"));
    CHECK(reply_has(q, "{'execute': 'query-balloon'}", "16773120"));
    kick_pages(d, 1, PAGE >> 12, 1);
    qvirtio_config_set(d, 4, 4, 0);
    CHECK(reply_has(q, "{'execute': 'query-balloon'}", "16777216"));
    /* Pages that are none: ignored. */
    kick_pages(d, 0, 0xfffff000, 4);
    kick_pages(d, 0, 0xa0, 1);
    qvirtio_free(d);
    qtest_quit(q);
}

TEST(statistics)
{
    static const char get[] = "{'execute': 'qom-get', 'arguments': {'path': "
                              "'/machine/peripheral/b', 'property': "
                              "'guest-stats'}}";
    QTest *q = qtest_start("-machine pc -nodefaults -m 16 -device "
                           "virtio-balloon-pci,id=b");
    QVirtio *d = qvirtio_find(q, BALLOON, 0, false, HEAP);
    QVirtBuf b = { 0, 20, false };
    unsigned id;

    CHECK(qvirtio_accept(d, QV_F(QV_VERSION_1) | QV_F(1)));
    for (unsigned i = 0; i < 3; i++) {
        qvirtq_setup(d, i, 0);
    }
    qvirtio_ready(d);
    b.addr = qvirtio_alloc(d, 64, 16);
    qtest_writew(q, b.addr, 4);                            /* free memory     */
    qtest_writeq(q, b.addr + 2, 123456);
    qtest_writew(q, b.addr + 10, 0xffff);                  /* no such tag     */
    qtest_writeq(q, b.addr + 12, 99);
    qvirtq_add(&d->vq[2], &b, 1, false);
    qvirtq_kick(&d->vq[2]);
    qtest_qmp_ok(q, "{'execute': 'qom-set', 'arguments': {'path': "
                 "'/machine/peripheral/b', 'property': "
                 "'guest-stats-polling-interval', 'value': 1}}");
    CHECK(reply_has(q, get, "\"stat-free-memory\": 123456"));
    CHECK(reply_has(q, get, "\"stat-swap-in\": 18446744073709551615"));
    if (qtest_has_clock(q)) {
        qtest_clock_step(q, 1100 * 1000000ll);
        CHECK_EQ(qvirtq_wait(&d->vq[2], &id), 0u);         /* please again    */
        qtest_writeq(q, b.addr + 2, 777);
        qvirtq_add(&d->vq[2], &b, 1, false);
        qvirtq_kick(&d->vq[2]);
        for (unsigned i = 0; i < 100; i++) {
            qvirtio_status(d);
        }
        CHECK(reply_has(q, get, "\"stat-free-memory\": 777"));
    }
    qvirtio_free(d);
    qtest_quit(q);
}

TEST(free_page_reporting)
{
    QTest *q = qtest_start("-machine pc -nodefaults -m 16 -device "
                           "virtio-balloon-pci,free-page-reporting=on");
    QVirtio *d = qvirtio_find(q, BALLOON, 0, false, HEAP);
    QVirtBuf b = { PAGE, 4 * 4096, true };
    unsigned id;

    CHECK(qvirtio_accept(d, QV_F(QV_VERSION_1) | QV_F(5)));
    for (unsigned i = 0; i < 4; i++) {
        qvirtq_setup(d, i, 0);
    }
    CHECK_EQ(d->vq[3].num, 32u);
    qvirtio_ready(d);
    qtest_memset(q, PAGE - 4096, 0x66, 6 * 4096);
    qvirtq_add(&d->vq[3], &b, 1, false);
    qvirtq_kick(&d->vq[3]);
    qvirtq_wait(&d->vq[3], &id);
    CHECK_EQ(qtest_readl(q, PAGE - 4), 0x66666666u);
    CHECK_EQ(qtest_readl(q, PAGE), 0u);
    CHECK_EQ(qtest_readl(q, PAGE + 4 * 4096 - 4), 0u);
    CHECK_EQ(qtest_readl(q, PAGE + 4 * 4096), 0x66666666u);
    qvirtio_free(d);
    qtest_quit(q);
}

/* What is offered for each property; 0x12: statistics and, here, no more. */
TEST(properties_are_features)
{
    static const struct {
        const char *prop;
        uint64_t bits;
    } rows[] = {
        { "", 0x12 }, { "deflate-on-oom=on", 0x16 },
        { "free-page-reporting=on", 0x32 }, { "page-poison=off", 0x02 },
        { "free-page-reporting=on,deflate-on-oom=on", 0x36 },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        QTest *q = qtest_start("-machine pc -nodefaults -m 16 -device "
                               "virtio-balloon-pci,%s", rows[i].prop);
        QVirtio *d = qvirtio_find(q, BALLOON, 0, false, HEAP);

        CHECK_EQ(qvirtio_offered(d) & 0xffffff, rows[i].bits);
        CHECK(qvirtio_accept(d, QV_F(QV_VERSION_1) | rows[i].bits));
        qvirtio_free(d);
        qtest_quit(q);
    }
}
