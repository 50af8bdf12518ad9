/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Several queues of virtio-net on a TAP interface in a network namespace of the
 * test's own: frames that the kernel sends arrive at the queue that the hash
 * chooses, with the hash in their header; frames of any queue leave.
 */
#include <arpa/inet.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "tests/libqvirtio.h"
#include "tests/tern-test.h"

#define NET 1
#define HEAP 0x200000
#define PAIRS 4
#define BUF 2048
#define HEAD 20                        /* virtio_net_hdr_v1_hash              */

enum { F_CSUM = 0, F_GUEST_CSUM = 1, F_CTRL_OFFLOADS = 2, F_GUEST_TSO4 = 7,
       F_HOST_TSO4 = 11, F_CTRL = 17, F_MQ = 22, F_HASH = 57, F_RSS = 60 };

typedef struct Card {
    QTest *q;
    QVirtio *d;
    QVirtq *rx[PAIRS], *tx[PAIRS], *ctrl;
    uint64_t buf[PAIRS][256];          /* of the chain with that id           */
    int wire;                          /* a packet socket on the interface    */
} Card;

static const uint8_t key[40] = {
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d,
    0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4,
    0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b,
    0xbe, 0xac, 0x01, 0xfa,
};

static int wire_open(void)
{
    struct ifreq r = { .ifr_name = "t0" };
    struct sockaddr_ll a = { .sll_family = AF_PACKET,
                             .sll_protocol = htons(0x0003) };
    int s = socket(AF_PACKET, SOCK_RAW, htons(0x0003));

    if (s < 0 || ioctl(s, SIOCGIFFLAGS, &r)) {
        return -1;
    }
    r.ifr_flags |= IFF_UP;
    ioctl(s, SIOCSIFFLAGS, &r);
    a.sll_ifindex = (int)if_nametoindex("t0");
    return bind(s, (struct sockaddr *)&a, sizeof(a)) ? -1 : s;
}

static void offer(Card *c, unsigned i, unsigned count)
{
    for (unsigned k = 0; k < count; k++) {
        uint64_t at = qvirtio_alloc(c->d, BUF, 16);
        QVirtBuf b = { at, BUF, true };

        c->buf[i][qvirtq_add(c->rx[i], &b, 1, false)] = at;
    }
    qvirtq_kick(c->rx[i]);
}

static bool card_start(Card *c, uint64_t more)
{
    uint64_t f = QV_F(QV_VERSION_1) | QV_F(F_CTRL) | QV_F(F_MQ) | more;

    if (geteuid() || access("/dev/net/tun", R_OK) || unshare(CLONE_NEWNET)) {
        return false;
    }
    c->q = qtest_start("-machine pc -nodefaults -m 16 -netdev tap,id=n,"
        "ifname=t0,script=no,downscript=no,queues=4,vnet_hdr=on -device "
        "virtio-net-pci,netdev=n,mq=on,rss=on,hash=on");
    c->wire = wire_open();
    REQUIRE(c->wire >= 0);
    c->d = qvirtio_find(c->q, NET, 0, false, HEAP);
    CHECK_EQ(qvirtio_offered(c->d) & f, f);
    CHECK(qvirtio_accept(c->d, f));
    for (unsigned i = 0; i < PAIRS; i++) {
        c->rx[i] = qvirtq_setup(c->d, 2 * i, 64);
        c->tx[i] = qvirtq_setup(c->d, 2 * i + 1, 64);
    }
    c->ctrl = qvirtq_setup(c->d, 2 * PAIRS, 0);
    qvirtio_ready(c->d);
    for (unsigned i = 0; i < PAIRS; i++) {
        offer(c, i, 60);
    }
    return true;
}

static void card_stop(Card *c)
{
    close(c->wire);
    qvirtio_free(c->d);
    qtest_quit(c->q);
}

static unsigned command_of(Card *c, unsigned class, unsigned cmd,
                           const void *data, unsigned n)
{
    uint64_t at = qvirtio_alloc(c->d, n + 16, 16);
    QVirtBuf b[3] = { { at, 2, false }, { at + 2, n, false },
                      { at + 2 + n, 1, true } };
    unsigned id;

    qtest_writeb(c->q, at, class);
    qtest_writeb(c->q, at + 1, cmd);
    qtest_write(c->q, at + 2, data, n);
    qvirtq_add(c->ctrl, b, 3, false);
    qvirtq_kick(c->ctrl);
    qvirtq_wait(c->ctrl, &id);
    return qtest_readb(c->q, at + 2 + n);
}

static unsigned command(Card *c, unsigned cmd, const void *data, unsigned n)
{
    return command_of(c, 4, cmd, data, n);
}

/* Table of four queues, others to queue 3. */
static unsigned scaling(Card *c, uint32_t types)
{
    static const uint8_t table[8] = { 2, 0, 0, 0, 3, 0, 1, 0 };
    uint8_t d[64] = { types & 0xff, types >> 8, 0, 0, 3, 0, 3, 0 };

    memcpy(d + 8, table, 8);
    d[16] = PAIRS;
    d[18] = 40;
    memcpy(d + 19, key, 40);
    return command(c, 1, d, 59);
}

static void frame_make(uint8_t *f, uint8_t proto, uint32_t src, uint32_t dst,
                       uint32_t ports)
{
    uint32_t w[3] = { htonl(src), htonl(dst), htonl(ports) };

    memset(f, 0, 64);
    memcpy(f, "\x52\x54\x00\x12\x34\x56\x52\x54\x00\x00\x00\x01\x08\x00", 14);
    f[14] = 0x45;
    f[23] = proto;
    memcpy(f + 26, w, 12);
}

/* Waits for one of the kernel's frames of ours; the queue it came by. */
static int arrives(Card *c, const uint8_t *f, uint8_t *head)
{
    for (unsigned tries = 0; tries < 20000; tries++) {
        for (unsigned i = 0; i < PAIRS; i++) {
            uint8_t got[64];
            uint32_t len;
            unsigned id;

            if (!qvirtq_used(c->rx[i], &id, &len)) {
                continue;
            }
            qtest_read(c->q, c->buf[i][id] + HEAD, got, 64);
            if (!memcmp(got, f, 64)) {
                qtest_read(c->q, c->buf[i][id], head, HEAD);
                return (int)i;
            }
        }
    }
    return -1;
}

static uint32_t get32(const uint8_t *p)
{
    return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

static void lands(Card *c, uint8_t *f, int queue, uint32_t hash, unsigned report)
{
    uint8_t head[HEAD] = { 0 };
    static unsigned count;

    f[60] = (uint8_t)++count;          /* none is like another                */
    CHECK_EQ(write(c->wire, f, 64), 64);
    CHECK_EQ(arrives(c, f, head), queue);
    CHECK_EQ(get32(head + 12), hash);
    CHECK_EQ(get32(head + 16), report);
}

/* The queues are 2, 0, 3, 1 by the last two bits of the hash; values of
 * "Verifying the RSS Hash Calculation". */
TEST(steering_and_reports)
{
    static const struct {
        uint32_t src, dst, ports, ip, tcp;
    } v[] = {
        { 0x420995bb, 0xa18e6450, 2794u << 16 | 1766, 0x323e8fc2, 0x51ccc178 },
        { 0xc75c6f02, 0x41458c53, 14230u << 16 | 4739, 0xd718262a, 0xc626b0ea },
        { 0x1813c65f, 0x0c16cfb8, 12898u << 16 | 38024, 0xd2d0a5de, 0x5c2b394a },
        { 0x261bcd1e, 0xd18ea306, 48228u << 16 | 2217, 0x82989176, 0xafc7327f },
        { 0x9927a3bf, 0xcabc7f02, 44251u << 16 | 1303, 0x5d1809c5, 0x10e828a2 },
    };
    static const int queue[4] = { 2, 0, 3, 1 };
    Card c;
    uint8_t f[64];

    if (!card_start(&c, QV_F(F_RSS) | QV_F(F_HASH))) {
        SKIP("needs root and /dev/net/tun");
    }
    CHECK_EQ(scaling(&c, 7), 0u);
    for (unsigned i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
        frame_make(f, 6, v[i].src, v[i].dst, v[i].ports);
        lands(&c, f, queue[v[i].tcp & 3], v[i].tcp, 2);
        frame_make(f, 17, v[i].src, v[i].dst, v[i].ports);
        lands(&c, f, queue[v[i].tcp & 3], v[i].tcp, 3);
        frame_make(f, 1, v[i].src, v[i].dst, v[i].ports);
        lands(&c, f, queue[v[i].ip & 3], v[i].ip, 1);
    }
    f[12] = 0x88;
    f[13] = 0xb5;
    lands(&c, f, 3, 0, 0);             /* no hash: the queue of the others    */
    CHECK_EQ(scaling(&c, 2), 0u);      /* TCP's alone                         */
    frame_make(f, 17, v[0].src, v[0].dst, v[0].ports);
    lands(&c, f, 3, 0, 0);
    frame_make(f, 6, v[0].src, v[0].dst, v[0].ports);
    lands(&c, f, queue[0], v[0].tcp, 2);
    card_stop(&c);
}

/* Hashes without steering. */
TEST(reports_alone)
{
    uint8_t d[64] = { 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 40 }, f[64];
    uint8_t one[2] = { 1, 0 }, none[2] = { 0, 0 }, many[2] = { 5, 0 };
    Card c;

    if (!card_start(&c, QV_F(F_HASH))) {
        SKIP("needs root and /dev/net/tun");
    }
    memcpy(d + 13, key, 40);
    CHECK_EQ(command(&c, 0, one, 2), 0u);
    CHECK_EQ(command(&c, 0, none, 2), 1u);
    CHECK_EQ(command(&c, 0, many, 2), 1u);
    CHECK_EQ(command(&c, 2, d, 53), 0u);
    CHECK_EQ(command(&c, 1, d, 53), 1u);       /* steering was not agreed on  */
    frame_make(f, 6, 0x420995bb, 0xa18e6450, 2794u << 16 | 1766);
    lands(&c, f, 0, 0x51ccc178, 2);
    card_stop(&c);
}

/* One long segment leaves as it is, for the kernel to cut; the guest turns off
 * what it would be sent, but nothing that it has not agreed on. */
TEST(offloads)
{
    uint8_t head[HEAD] = { 1, 1, 54, 0, 0xe8, 3, 34, 0, 16, 0 }, f[64];
    uint8_t csum[8] = { 1 << F_GUEST_CSUM }, ufo[8] = { 0, 4 }, none[8] = { 0 };
    static uint8_t got[4096];
    struct pollfd p;
    QVirtBuf b;
    Card c;
    ssize_t n = 0;
    unsigned id;
    uint64_t at;

    if (!card_start(&c, QV_F(F_HASH) | QV_F(F_CSUM) | QV_F(F_GUEST_CSUM) |
                    QV_F(F_CTRL_OFFLOADS) | QV_F(F_GUEST_TSO4) |
                    QV_F(F_HOST_TSO4))) {
        SKIP("needs root and /dev/net/tun");
    }
    CHECK_EQ(command_of(&c, 5, 0, csum, 8), 0u);
    CHECK_EQ(command_of(&c, 5, 0, ufo, 8), 1u);
    CHECK_EQ(command_of(&c, 5, 0, none, 8), 0u);
    CHECK_EQ(command_of(&c, 5, 0, none, 4), 1u);
    at = qvirtio_alloc(c.d, HEAD + 3054, 16);
    frame_make(f, 6, 0x0a000001, 0x0a000002, 0);
    f[16] = 3040 >> 8;
    f[17] = 3040 & 0xff;
    f[22] = 64;
    f[46] = 0x50;
    memcpy(f, "\x52\x54\x00\x00\x00\x09", 6);
    qtest_memset(c.q, at, 0x5a, HEAD + 3054);
    qtest_write(c.q, at, head, HEAD);
    qtest_write(c.q, at + HEAD, f, 54);
    b = (QVirtBuf){ at, HEAD + 3054, false };
    qvirtq_add(c.tx[0], &b, 1, false);
    qvirtq_kick(c.tx[0]);
    qvirtq_wait(c.tx[0], &id);
    p = (struct pollfd){ c.wire, POLLIN, 0 };
    for (unsigned i = 0; i < 50 && n != 3054 && poll(&p, 1, 10000) == 1; i++) {
        n = read(c.wire, got, sizeof(got));
    }
    CHECK_EQ(n, 3054);
    CHECK_EQ(got[3053], 0x5a);
    card_stop(&c);
}

/* Whichever queue a frame is given to, it leaves. */
TEST(sending_by_each_queue)
{
    uint8_t four[2] = { 4, 0 }, f[64], got[2048];
    Card c;

    if (!card_start(&c, QV_F(F_RSS) | QV_F(F_HASH))) {
        SKIP("needs root and /dev/net/tun");
    }
    CHECK_EQ(command(&c, 0, four, 2), 0u);
    for (unsigned i = 0; i < PAIRS; i++) {
        uint64_t at = qvirtio_alloc(c.d, HEAD + 64, 16);
        QVirtBuf b = { at, HEAD + 64, false };
        struct pollfd p = { c.wire, POLLIN, 0 };
        unsigned id, tries = 0;

        frame_make(f, 6, i, 1, 2);
        memcpy(f, "\x52\x54\x00\x00\x00\x09", 6);
        qtest_memset(c.q, at, 0, HEAD);
        qtest_write(c.q, at + HEAD, f, 64);
        qvirtq_add(c.tx[i], &b, 1, false);
        qvirtq_kick(c.tx[i]);
        qvirtq_wait(c.tx[i], &id);
        while (poll(&p, 1, 10000) == 1 && tries++ < 50 &&
               (read(c.wire, got, sizeof(got)) < 64 || memcmp(got, f, 64))) {
        }
        CHECK(!memcmp(got, f, 64));
    }
    card_stop(&c);
}
