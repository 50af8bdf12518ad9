/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-net: two cards at one hub send each other frames through every form of
 * ring; filters, merged buffers, the control queue, what a bad driver does.
 */
#include <stdlib.h>
#include <string.h>
#include "tests/libqvirtio.h"
#include "tests/tern-test.h"

#define NET 1
#define HEAP_A 0x200000
#define HEAP_B 0x600000
#define MAC_A "\x52\x54\x00\xaa\x00\x01"
#define MAC_B "\x52\x54\x00\xaa\x00\x02"

enum { F_CSUM = 0, F_MTU = 3, F_MRG = 15, F_STATUS = 16, F_CTRL = 17,
       F_RX = 18, F_VLAN = 19, F_RX_EXTRA = 20, F_ANNOUNCE = 21, F_MQ = 22,
       F_MAC_ADDR = 23, F_RSS = 60, F_SPEED = 63 };
#define ALL_CTRL (QV_F(F_CTRL) | QV_F(F_RX) | QV_F(F_VLAN) | \
                  QV_F(F_RX_EXTRA) | QV_F(F_MAC_ADDR) | QV_F(F_ANNOUNCE) | \
                  QV_F(F_STATUS))

typedef struct Card {
    QVirtio *d;
    QVirtq *rx, *tx, *ctrl;
    unsigned head;                     /* bytes of the header                 */
    uint64_t buf[1024];                /* of the receive chain by id          */
    unsigned size;
} Card;

typedef struct Lan {
    QTest *q;
    Card a, b;
} Lan;

static QTest *start(const char *a, const char *b)
{
    return qtest_start("-machine pc -nodefaults -m 16 "
        "-netdev hubport,id=h0,hubid=0 -netdev hubport,id=h1,hubid=0 "
        "-device virtio-net-pci,id=na,netdev=h0,mac=52:54:00:aa:00:01%s "
        "-device virtio-net-pci,id=nb,netdev=h1,mac=52:54:00:aa:00:02%s", a, b);
}

static Card card(QTest *q, unsigned n, bool legacy, uint64_t features)
{
    Card c = { qvirtio_find(q, NET, n, legacy, n ? HEAP_B : HEAP_A) };

    CHECK_EQ(qvirtio_offered(c.d) & features, features);
    CHECK(qvirtio_accept(c.d, features));
    c.rx = qvirtq_setup(c.d, 0, 0);
    c.tx = qvirtq_setup(c.d, 1, 0);
    if (features & QV_F(F_CTRL)) {
        c.ctrl = qvirtq_setup(c.d, 2, 0);
    }
    c.head = !legacy || (features & QV_F(F_MRG)) ? 12 : 10;
    qvirtio_ready(c.d);
    return c;
}

static void offer(Card *c, unsigned count, unsigned size)
{
    for (unsigned i = 0; i < count; i++) {
        uint64_t at = qvirtio_alloc(c->d, size, 16);
        QVirtBuf b = { at, size, true };

        c->buf[qvirtq_add(c->rx, &b, 1, false)] = at;
    }
    c->size = size;
    qvirtq_kick(c->rx);
}

static Lan lan(const char *more, bool legacy, uint64_t features)
{
    Lan l = { start(more, more) };

    l.a = card(l.q, 0, legacy, features);
    l.b = card(l.q, 1, legacy, features);
    return l;
}

static void part(Lan *l)
{
    qvirtio_free(l->a.d);
    qvirtio_free(l->b.d);
    qtest_quit(l->q);
}

static void frame_make(uint8_t *f, unsigned len, const char *to, unsigned seed)
{
    for (unsigned i = 0; i < len; i++) {
        f[i] = i * 13 + seed;
    }
    memcpy(f, to, 6);
    memcpy(f + 6, MAC_A "\x88\xb5", 8);
}

/* In `parts` descriptors after the header's own. */
static void send(Card *c, const uint8_t *f, unsigned len, unsigned parts)
{
    uint64_t at = qvirtio_alloc(c->d, c->head + len, 16);
    QVirtBuf b[4] = { { at, c->head, false } };
    unsigned n = 1, done = 0, id;

    qtest_memset(c->d->q, at, 0, c->head);
    qtest_write(c->d->q, at + c->head, f, len);
    if (!parts) {
        b[0].len += len;
    }
    for (unsigned i = 0; i < parts; i++) {
        unsigned take = i + 1 == parts ? len - done : len / parts;

        b[n++] = (QVirtBuf){ at + c->head + done, take, false };
        done += take;
    }
    qvirtq_add(c->tx, b, n, false);
    qvirtq_kick(c->tx);
    CHECK_EQ(qvirtq_wait(c->tx, &id), 0u);
}

/* The next frame: its length without header; *buffers: how many it took. */
static unsigned received(Card *c, uint8_t *f, unsigned *buffers)
{
    unsigned id, done = 0, want = 1;
    uint32_t len;

    for (unsigned i = 0; i < want; i++) {
        unsigned skip = i ? 0 : c->head;

        if (i || !qvirtq_used(c->rx, &id, &len)) {
            len = qvirtq_wait(c->rx, &id);
        }
        if (!i && c->head == 12) {
            want = qtest_readw(c->d->q, c->buf[id] + 10);
        }
        qtest_read(c->d->q, c->buf[id] + skip, f + done, len - skip);
        done += len - skip;
    }
    if (buffers) {
        *buffers = want;
    }
    return done;
}

/* Nothing has come, seen by a marker frame sent afterwards. */
static bool next_is_marker(Lan *l)
{
    uint8_t f[2048], m[64];

    frame_make(m, sizeof(m), MAC_B, 0x77);
    send(&l->a, m, sizeof(m), 0);
    return received(&l->b, f, NULL) == sizeof(m) && !memcmp(f, m, sizeof(m));
}

static void passes(Lan *l, unsigned len, const char *to, unsigned parts)
{
    uint8_t f[70000], got[70000];

    frame_make(f, len, to, len);
    send(&l->a, f, len, parts);
    CHECK_EQ(received(&l->b, got, NULL), len);
    CHECK(!memcmp(f, got, len));
}

static void frames(const char *more, bool legacy, uint64_t features)
{
    Lan l = lan(more, legacy, features);

    offer(&l.b, 60, 2048);
    for (unsigned i = 0; i < 20; i++) {
        passes(&l, 60 + i * 70, i % 3 ? MAC_B : "\xff\xff\xff\xff\xff\xff",
               legacy && !i ? 1 : i % 3);
    }
    part(&l);
}

TEST(frames_modern)
{
    frames("", false, QV_F(QV_VERSION_1));
    frames("", false, QV_F(QV_VERSION_1) | QV_F(F_MRG) | QV_F(QV_EVENT_IDX));
}

TEST(frames_legacy)
{
    frames("", true, 0);
    frames("", true, QV_F(F_MRG));
}

TEST(frames_packed)
{
    frames(",packed=on", false, QV_F(QV_VERSION_1) | QV_F(QV_PACKED) |
           QV_F(F_MRG));
}

TEST(merged_buffers)
{
    static const char *const more[2] = { "", ",packed=on" };

    for (unsigned i = 0; i < 2; i++) {
        Lan l = lan(more[i], false, QV_F(QV_VERSION_1) | QV_F(F_MRG) |
                    (i ? QV_F(QV_PACKED) : 0));
        uint8_t f[9014], got[9100];
        unsigned n;

        offer(&l.b, 100, 256);
        frame_make(f, 1012, MAC_B, 5);
        send(&l.a, f, 1012, 2);
        CHECK_EQ(received(&l.b, got, &n), 1012u);
        CHECK_EQ(n, 4u);
        CHECK(!memcmp(f, got, 1012));
        frame_make(f, 9014, MAC_B, 9);  /* jumbo */
        send(&l.a, f, 9014, 3);
        CHECK_EQ(received(&l.b, got, &n), 9014u);
        CHECK_EQ(n, 36u);
        CHECK(!memcmp(f, got, 9014));
        part(&l);
    }
}

TEST(frames_wait_for_buffers)
{
    Lan l = lan("", false, QV_F(QV_VERSION_1) | QV_F(F_MRG));
    uint8_t f[3][100], got[300];

    for (unsigned i = 0; i < 3; i++) {
        frame_make(f[i], 100, MAC_B, i);
        send(&l.a, f[i], 100, 0);
    }
    offer(&l.b, 8, 2048);
    for (unsigned i = 0; i < 3; i++) {
        CHECK_EQ(received(&l.b, got, NULL), 100u);
        CHECK(!memcmp(f[i], got, 100));
    }
    part(&l);
}

/* The driver kicks only past the event index: it must lie behind the buffers that
 * were there and too few. */
TEST(a_frame_waits_for_more_buffers)
{
    static const char *const more[2] = { "", ",packed=on" };

    for (unsigned i = 0; i < 2; i++) {
        Lan l = lan(more[i], false, QV_F(QV_VERSION_1) | QV_F(F_MRG) |
                    QV_F(QV_EVENT_IDX) | (i ? QV_F(QV_PACKED) : 0));
        uint8_t f[1012], got[1100];
        unsigned n;

        offer(&l.b, 3, 256);
        frame_make(f, sizeof(f), MAC_B, 7);
        send(&l.a, f, sizeof(f), 0);
        if (i == 0) {                  /* the available event: 3, not 0       */
            unsigned event = qtest_readw(l.q, l.b.rx->used + 4 +
                                         8 * l.b.rx->num);

            CHECK_EQ(event, 3u);
        }
        offer(&l.b, 1, 256);
        CHECK_EQ(received(&l.b, got, &n), sizeof(f));
        CHECK_EQ(n, 4u);
        CHECK(!memcmp(f, got, sizeof(f)));
        part(&l);
    }
}

TEST(too_short_buffers_lose_the_frame)
{
    Lan l = lan("", false, QV_F(QV_VERSION_1));
    uint8_t f[1000];

    offer(&l.b, 8, 256);
    frame_make(f, sizeof(f), MAC_B, 1);
    send(&l.a, f, sizeof(f), 0);
    CHECK(next_is_marker(&l));
    part(&l);
}

/* ---- control queue ------------------------------------------------------- */

static unsigned command(Card *c, unsigned class, unsigned cmd, const void *data,
                        unsigned n)
{
    uint64_t at = qvirtio_alloc(c->d, n + 16, 16);
    QVirtBuf b[3] = { { at, 2, false }, { at + 2, n, false },
                      { at + 2 + n, 1, true } };
    unsigned id;

    qtest_writeb(c->d->q, at, class);
    qtest_writeb(c->d->q, at + 1, cmd);
    if (n) {
        qtest_write(c->d->q, at + 2, data, n);
    } else {
        b[1] = b[2];
    }
    qtest_writeb(c->d->q, at + 2 + n, 0x55);
    qvirtq_add(c->ctrl, b, n ? 3 : 2, false);
    qvirtq_kick(c->ctrl);
    qvirtq_wait(c->ctrl, &id);
    return qtest_readb(c->d->q, at + 2 + n);
}

static void lost(Lan *l, const uint8_t *f, unsigned n)
{
    send(&l->a, f, n, 0);
    CHECK(next_is_marker(l));
}

TEST(filters)
{
    Lan l = lan("", false, QV_F(QV_VERSION_1) | ALL_CTRL);
    static const char uni[] = "\x52\x54\x00\x01\x02\x03";
    static const char multi[] = "\x01\x00\x5e\x01\x02\x03";
    static const char all[] = "\xff\xff\xff\xff\xff\xff";
    uint8_t f[80], table[8 + 70 * 6] = { 1, 0, 0, 0 };
    uint8_t vid[2] = { 5, 0 };

    offer(&l.b, 100, 2048);
    passes(&l, 80, uni, 0);            /* promiscuous at first                */
    CHECK_EQ(command(&l.b, 0, 0, "\0", 1), 0u);
    frame_make(f, 80, uni, 1);
    lost(&l, f, 80);
    frame_make(f, 80, multi, 1);
    lost(&l, f, 80);
    passes(&l, 80, all, 0);
    memcpy(table + 4, uni, 6);
    table[10] = 1;
    memcpy(table + 14, multi, 6);
    CHECK_EQ(command(&l.b, 1, 0, table, 20), 0u);
    passes(&l, 80, uni, 0);
    passes(&l, 80, multi, 0);
    memset(table, 0, 8);
    CHECK_EQ(command(&l.b, 1, 0, table, 8), 0u);
    frame_make(f, 80, uni, 2);
    lost(&l, f, 80);
    CHECK_EQ(command(&l.b, 0, 2, "\1", 1), 0u);     /* all unicast            */
    passes(&l, 80, uni, 0);
    CHECK_EQ(command(&l.b, 0, 1, "\1", 1), 0u);     /* all multicast          */
    passes(&l, 80, multi, 0);
    CHECK_EQ(command(&l.b, 0, 3, "\1", 1), 0u);     /* no multicast           */
    frame_make(f, 80, multi, 3);
    lost(&l, f, 80);
    CHECK_EQ(command(&l.b, 0, 5, "\1", 1), 0u);     /* no broadcast           */
    frame_make(f, 80, all, 3);
    lost(&l, f, 80);
    frame_make(f, 80, MAC_B, 4);
    memcpy(f + 12, "\x81\x00\x00\x05", 4);
    lost(&l, f, 80);
    CHECK_EQ(command(&l.b, 2, 0, vid, 2), 0u);      /* VLAN 5                 */
    send(&l.a, f, 80, 0);
    CHECK_EQ(received(&l.b, table, NULL), 80u);
    CHECK_EQ(command(&l.b, 2, 1, vid, 2), 0u);
    lost(&l, f, 80);
    CHECK_EQ(command(&l.b, 1, 1, MAC_A, 6), 0u);    /* another address        */
    CHECK_EQ(qvirtio_config(l.b.d, 5, 1), 1u);
    part(&l);
}

TEST(filter_tables_overflow)
{
    Lan l = lan("", false, QV_F(QV_VERSION_1) | ALL_CTRL);
    uint8_t table[8 + 70 * 6] = { 70 };
    char *r;

    for (unsigned i = 0; i < 70; i++) {
        memcpy(table + 4 + i * 6, "\x52\x54\x00\x00\x00", 5);
        table[4 + i * 6 + 5] = i;
    }
    CHECK_EQ(command(&l.b, 1, 0, table, sizeof(table)), 0u);
    CHECK_EQ(command(&l.b, 0, 0, "\0", 1), 0u);
    r = qtest_event(l.q, "NIC_RX_FILTER_CHANGED");
    CHECK(strstr(r, "\"name\": \"nb\""));
    CHECK(strstr(r, "\"path\": \"/machine/peripheral/nb/virtio-backend\""));
    free(r);
    CHECK(!qtest_event_seen(l.q, "NIC_RX_FILTER_CHANGED"));
    r = qtest_qmp(l.q, "{'execute':'query-rx-filter',"
                       "'arguments':{'name':'nb'}}");
    CHECK(strstr(r, "\"unicast-overflow\": true"));
    CHECK(strstr(r, "\"promiscuous\": false"));
    CHECK(strstr(r, "\"unicast-table\": []"));
    CHECK(strstr(r, "\"vlan\": \"none\""));
    free(r);
    offer(&l.b, 8, 2048);
    passes(&l, 80, "\x52\x54\x00\x00\x00\x45", 0);
    command(&l.b, 0, 1, "\1", 1);
    free(qtest_event(l.q, "NIC_RX_FILTER_CHANGED"));
    part(&l);
}

TEST(commands_that_make_no_sense)
{
    Lan l = lan("", false, QV_F(QV_VERSION_1) | ALL_CTRL);
    uint8_t table[20] = { 0xff, 0xff, 0xff, 0xff };

    CHECK_EQ(command(&l.b, 99, 0, table, 4), 1u);
    CHECK_EQ(command(&l.b, 0, 99, table, 1), 1u);
    CHECK_EQ(command(&l.b, 0, 0, NULL, 0), 1u);
    CHECK_EQ(command(&l.b, 1, 0, table, 20), 1u);
    CHECK_EQ(command(&l.b, 1, 0, table, 3), 1u);
    CHECK_EQ(command(&l.b, 1, 1, table, 5), 1u);
    CHECK_EQ(command(&l.b, 2, 0, table, 2), 1u);
    CHECK_EQ(command(&l.b, 4, 0, "\x09", 2), 1u);
    CHECK_EQ(command(&l.b, 5, 0, table, 8), 1u);
    part(&l);
}

TEST(link_and_announcement)
{
    Lan l = lan("", false, QV_F(QV_VERSION_1) | ALL_CTRL);

    CHECK_EQ(qvirtio_config(l.a.d, 6, 2), 1u);
    qvirtio_isr(l.a.d);
    qtest_qmp_ok(l.q, "{'execute':'set_link','arguments':"
                      "{'name':'na','up':false}}");
    CHECK(qvirtio_isr(l.a.d) & 2);
    CHECK_EQ(qvirtio_config(l.a.d, 6, 2), 0u);
    qtest_qmp_ok(l.q, "{'execute':'set_link','arguments':"
                      "{'name':'na','up':true}}");
    CHECK_EQ(qvirtio_config(l.a.d, 6, 2), 1u);
    qtest_qmp_ok(l.q, "{'execute':'announce-self','arguments':{'initial':50,"
                      "'max':550,'rounds':1,'step':100}}");
    for (unsigned i = 0; i < 1000 && qvirtio_config(l.a.d, 6, 2) != 3; i++) {
    }
    CHECK_EQ(qvirtio_config(l.a.d, 6, 2), 3u);
    CHECK_EQ(command(&l.a, 3, 0, NULL, 0), 0u);
    CHECK_EQ(qvirtio_config(l.a.d, 6, 2), 1u);
    CHECK_EQ(command(&l.a, 3, 0, NULL, 0), 1u);
    part(&l);
}

TEST(mtu_speed_sizes)
{
    QTest *q = start(",host_mtu=1400,speed=2500,duplex=half",
                     ",rx_queue_size=1024,rss=on");
    QVirtio *a = qvirtio_find(q, NET, 0, false, HEAP_A);
    QVirtio *b = qvirtio_find(q, NET, 1, false, HEAP_B);

    CHECK(qvirtio_offered(a) & QV_F(F_MTU));
    CHECK(qvirtio_offered(a) & QV_F(F_SPEED));
    CHECK(!(qvirtio_offered(a) & QV_F(F_CSUM)));    /* hubs know no offloads  */
    CHECK_EQ(qvirtio_config(a, 10, 2), 1400u);
    CHECK_EQ(qvirtio_config(a, 12, 4), 2500u);
    CHECK_EQ(qvirtio_config(a, 16, 1), 0u);
    CHECK_EQ(qvirtq_max(b, 0), 1024u);
    CHECK_EQ(qvirtq_max(b, 1), 256u);
    CHECK(qvirtio_offered(b) & QV_F(F_RSS));
    CHECK_EQ(qvirtio_config(b, 17, 1), 40u);
    CHECK_EQ(qvirtio_config(b, 18, 2), 128u);
    qvirtio_free(a);
    qvirtio_free(b);
    qtest_quit(q);
}

TEST(receive_side_scaling_is_checked)
{
    QTest *q = start("", ",rss=on,mq=on");
    Card c = card(q, 1, false, QV_F(QV_VERSION_1) | QV_F(F_CTRL) |
                  QV_F(F_RSS));
    uint8_t d[16 + 40] = { 0x3f, 0, 0, 0,  0, 0,  0, 0,  0, 0,  1, 0,  40 };

    CHECK_EQ(command(&c, 4, 1, d, 53), 0u);
    CHECK_EQ(command(&c, 4, 1, d, 52), 1u);
    d[12] = 41;
    CHECK_EQ(command(&c, 4, 1, d, 54), 1u);
    d[12] = 40;
    d[8] = 1;                          /* queue that is not there             */
    CHECK_EQ(command(&c, 4, 1, d, 53), 1u);
    d[8] = 0;
    d[4] = 2;                          /* not a power of two                  */
    CHECK_EQ(command(&c, 4, 1, d, 53), 1u);
    qvirtio_free(c.d);
    qtest_quit(q);
}

TEST(sending_later)
{
    QTest *q = start(",tx=timer,x-txtimer=100000000", "");
    uint64_t f = QV_F(QV_VERSION_1);
    Lan l = { q, card(q, 0, false, f), card(q, 1, false, f) };
    uint64_t at = qvirtio_alloc(l.a.d, 112, 16);
    QVirtBuf b = { at, 112, false };
    unsigned id;
    uint32_t len;
    uint8_t got[200];

    offer(&l.b, 4, 2048);
    qtest_memset(q, at, 0, 12);
    qtest_write(q, at + 12, MAC_B MAC_A, 12);
    qvirtq_add(l.a.tx, &b, 1, false);
    qvirtq_kick(l.a.tx);
    if (qtest_has_clock(q)) {
        qtest_clock_step(q, 50000000);
        CHECK(!qvirtq_used(l.a.tx, &id, &len));
        qtest_clock_step(q, 60000000);
    }
    qvirtq_wait(l.a.tx, &id);
    CHECK_EQ(received(&l.b, got, NULL), 100u);
    part(&l);
}

/* ---- bad drivers --------------------------------------------------------- */

static void broken(unsigned queue, QVirtBuf b)
{
    Lan l = lan("", false, QV_F(QV_VERSION_1) | QV_F(F_CTRL));
    QVirtq *vq = queue == 0 ? l.b.rx : queue == 1 ? l.b.tx : l.b.ctrl;

    qvirtq_add(vq, &b, 1, false);
    qvirtq_kick(vq);
    if (!queue) {
        uint8_t f[100];

        frame_make(f, 100, MAC_B, 1);
        send(&l.a, f, 100, 0);
    }
    for (unsigned i = 0; i < 1000 && !(qvirtio_status(l.b.d) & 64); i++) {
    }
    CHECK(qvirtio_status(l.b.d) & 64);
    qvirtio_set_status(l.b.d, 0);
    CHECK_EQ(qvirtio_status(l.b.d), 0u);
    part(&l);
}

TEST(bad_chains_stop_the_card)
{
    broken(1, (QVirtBuf){ HEAP_B + 0x100000, 4, false });
    broken(1, (QVirtBuf){ HEAP_B + 0x100000, 400, true });
    broken(1, (QVirtBuf){ 0xffffffff00000000, 64, false });
    broken(2, (QVirtBuf){ HEAP_B + 0x100000, 1, false });
    broken(2, (QVirtBuf){ HEAP_B + 0x100000, 400, true });
}

static uint64_t dice(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

/* Chains, indices and commands of random bits while frames come in: the machine
 * goes on, and after a reset the card works. */
TEST(nonsense_is_survived)
{
    static const uint32_t lens[] = { 0, 1, 11, 12, 26, 60, 1526, 65550,
                                     0xffffffff };
    uint64_t x = 0x9e3779b97f4a7c15ull;

    for (unsigned packed = 0; packed < 2; packed++) {
        Lan l = lan(packed ? ",packed=on" : "", false, QV_F(QV_VERSION_1) |
                    QV_F(F_MRG) | ALL_CTRL | QV_F(QV_INDIRECT) |
                    (packed ? QV_F(QV_PACKED) : 0));
        QVirtq *queues[3] = { l.b.rx, l.b.tx, l.b.ctrl };
        uint8_t f[100];
        bool seen = false;

        frame_make(f, sizeof(f), MAC_B, 1);
        for (unsigned i = 0; i < 600; i++) {
            QVirtq *vq = queues[dice(&x) % 3];
            uint64_t at = vq->desc + dice(&x) % 32 * 16;

            qtest_writeq(l.q, at, HEAP_B + dice(&x) % 0xa00000);
            qtest_writel(l.q, at + 8, lens[dice(&x) % 9]);
            qtest_writel(l.q, at + 12, dice(&x) & (i % 4 ? 0x001f0003
                                                         : 0xffffffff));
            if (!packed) {
                qtest_writew(l.q, vq->avail + 4 + dice(&x) % 32 * 2,
                             dice(&x) % 33);
                qtest_writew(l.q, vq->avail + 2, dice(&x) % 40);
            }
            qvirtq_kick(vq);
            if (i % 8 == 0) {
                send(&l.a, f, sizeof(f), 0);
            }
            if (qvirtio_status(l.b.d) & 64) {
                qvirtio_free(l.b.d);
                l.b = card(l.q, 1, false, QV_F(QV_VERSION_1) | QV_F(F_MRG) |
                           ALL_CTRL | QV_F(QV_INDIRECT) |
                           (packed ? QV_F(QV_PACKED) : 0));
                queues[0] = l.b.rx;
                queues[1] = l.b.tx;
                queues[2] = l.b.ctrl;
            }
        }
        qvirtio_free(l.b.d);
        l.b = card(l.q, 1, false, QV_F(QV_VERSION_1));
        offer(&l.b, 200, 2048);
        frame_make(f, sizeof(f), MAC_B, 2);
        send(&l.a, f, sizeof(f), 0);
        for (unsigned i = 0; i < 150; i++) {
            uint8_t got[2048];

            /* Those that waited come first. */
            seen = received(&l.b, got, NULL) == sizeof(f) &&
                   !memcmp(got, f, sizeof(f));
            if (seen) {
                break;
            }
        }
        CHECK(seen);
        part(&l);
    }
}

TEST(settings_that_are_refused)
{
    static const char *const bad[] = { "rx_queue_size=100", "rx_queue_size=2048",
        "tx_queue_size=100", "speed=-2", "duplex=quarter" };

    for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        char *text;

        CHECK_EQ(qtest_run(&text, "-machine pc -nodefaults -device "
                           "virtio-net-pci,%s", bad[i]), 1);
        free(text);
    }
}
