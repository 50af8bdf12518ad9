/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * e1000: registers, EEPROM by both interfaces, PHY, frames through the loopback:
 * plain, with checksums, segmented, tagged; filters, full rings, nonsense.
 */
#include <string.h>
#include "tests/libqtest.h"
#include "tests/tern-test.h"

#define RX_RING 0x100000ull
#define TX_RING 0x101000ull
#define TX_DATA 0x110000ull
#define RX_DATA 0x140000ull
#define NRX 64
#define NTX 32

enum { CTRL = 0, STATUS = 8, EECD = 0x10, EERD = 0x14, MDIC = 0x20, ICR = 0xc0,
       ITR = 0xc4, ICS = 0xc8, IMS = 0xd0, IMC = 0xd8, RCTL = 0x100,
       TCTL = 0x400, RDBAL = 0x2800, RDLEN = 0x2808, RDH = 0x2810,
       RDT = 0x2818, TDBAL = 0x3800, TDLEN = 0x3808, TDH = 0x3810,
       TDT = 0x3818, GPRC = 0x4074, GPTC = 0x4080, RXCSUM = 0x5000,
       VFTA = 0x5600 };

typedef struct Nic {
    QTest *q;
    uint64_t bar;
    unsigned tail, next;               /* transmit, receive                   */
} Nic;

static uint32_t rd(Nic *n, unsigned reg)
{
    return qtest_readl(n->q, n->bar + reg);
}

static void wr(Nic *n, unsigned reg, uint32_t v)
{
    qtest_writel(n->q, n->bar + reg, v);
}

static Nic start(const char *more)
{
    Nic n = { qtest_start("-machine pc -nodefaults -m 16 -device e1000,"
                          "mac=52:54:00:aa:bb:cc%s", more), 0, 0, 0 };
    int devfn = qpci_find(n.q, 0x8086, 0x100e, 0);

    if (devfn >= 0) {
        n.bar = qpci_map(n.q, devfn, 0, NULL);
        qpci_write(n.q, devfn, 4, 2, qpci_read(n.q, devfn, 4, 2) | 7);
    }
    return n;
}

/* The PHY's loopback, which all know. */
static void phy_loop(Nic *n, bool on)
{
    wr(n, MDIC, 1u << 26 | 1u << 21 | (on ? 0x4140 : 0x0140));
}

static void rctl_set(Nic *n, uint32_t v)
{
    wr(n, RCTL, v);
    if (!qtest_has_clock(n->q)) {
        sleep(2);                      /* the peer's card takes a second      */
    }
}

/* Rings and loopback; rctl: further bits. */
static void rings(Nic *n, uint32_t rctl)
{
    phy_loop(n, true);
    qtest_memset(n->q, RX_RING, 0, NRX * 16);
    for (unsigned i = 0; i < NRX; i++) {
        qtest_writeq(n->q, RX_RING + i * 16, RX_DATA + i * 2048);
    }
    wr(n, RDBAL, RX_RING);
    wr(n, RDLEN, NRX * 16);
    wr(n, RDH, 0);
    wr(n, RDT, NRX - 1);
    wr(n, TDBAL, TX_RING);
    wr(n, TDLEN, NTX * 16);
    wr(n, TDH, 0);
    wr(n, TDT, 0);
    rctl_set(n, 2 | 0xc0 | 0x8000 | 0x4000000 | rctl);
    wr(n, TCTL, 2 | 8);
    n->tail = n->next = 0;
}

static void descriptor(Nic *n, uint64_t lo, uint64_t hi)
{
    uint64_t at = TX_RING + n->tail * 16;

    qtest_writeq(n->q, at, lo);
    qtest_writeq(n->q, at + 8, hi);
    n->tail = (n->tail + 1) % NTX;
}

static void go(Nic *n)
{
    wr(n, TDT, n->tail);
}

static void legacy(Nic *n, unsigned len, unsigned cmd, uint64_t more)
{
    descriptor(n, TX_DATA, len | (uint64_t)cmd << 24 | more);
}

static void frame_make(Nic *n, uint8_t *f, unsigned len)
{
    for (unsigned i = 0; i < len; i++) {
        f[i] = i * 7 + 3;
    }
    memcpy(f, "\x52\x54\x00\xaa\xbb\xcc\x52\x54\x00\x11\x22\x33\x08\x00", 14);
    qtest_write(n->q, TX_DATA, f, len);
}

/* Length of the next frame that came, 0: none. *status: word 12. */
static unsigned received(Nic *n, uint8_t *f, uint32_t *status)
{
    uint64_t at = RX_RING + n->next * 16;
    uint32_t st = qtest_readl(n->q, at + 12);
    unsigned len = qtest_readw(n->q, at + 8);

    if (!(st & 1)) {
        return 0;
    }
    qtest_read(n->q, RX_DATA + n->next * 2048, f, len);
    n->next = (n->next + 1) % NRX;
    if (status) {
        *status = st;
    }
    return len;
}

static uint16_t sum16(const uint8_t *p, unsigned n, uint32_t s)
{
    for (unsigned i = 0; i + 1 < n; i += 2) {
        s += p[i] << 8 | p[i + 1];
    }
    if (n & 1) {
        s += p[n - 1] << 8;
    }
    while (s >> 16) {
        s = (s & 0xffff) + (s >> 16);
    }
    return s;
}

TEST(eeprom_sums_up)
{
    Nic n = start("");
    uint16_t sum = 0;

    REQUIRE(n.bar);
    for (unsigned i = 0; i < 64; i++) {
        wr(&n, EERD, i << 8 | 1);
        CHECK_EQ(rd(&n, EERD) & 0x10, 0x10u);
        sum += rd(&n, EERD) >> 16;
    }
    CHECK_EQ(sum, 0xbabau);
    qtest_quit(n.q);
}

/* The three cards tell themselves apart by their ids, in configuration space and
 * in the EEPROM, and by their PHY's. */
TEST(sister_cards)
{
    static const struct {
        const char *name;
        uint16_t device, phy;
    } t[] = {
        { "e1000", 0x100e, 0x0c20 }, { "e1000-82544gc", 0x100c, 0x0c30 },
        { "e1000-82545em", 0x100f, 0x0c20 },
    };

    for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        Nic n = { qtest_start("-machine pc -nodefaults -m 16 -device %s",
                              t[i].name), 0, 0, 0 };
        int devfn = qpci_find(n.q, 0x8086, t[i].device, 0);

        REQUIRE(devfn >= 0);
        n.bar = qpci_map(n.q, devfn, 0, NULL);
        CHECK_EQ(qpci_read(n.q, devfn, 8, 4), 0x02000003u);
        for (unsigned w = 11; w <= 13; w += 2) {
            wr(&n, EERD, w << 8 | 1);
            CHECK_EQ(rd(&n, EERD) >> 16, (uint32_t)t[i].device);
        }
        wr(&n, MDIC, 2u << 26 | 1 << 21 | 3 << 16);
        CHECK_EQ(rd(&n, MDIC) & 0xffff, (uint32_t)t[i].phy);
        qtest_quit(n.q);
    }
}

/* Does the card pull its line? */
static bool asks(Nic *n)
{
    return qpci_read(n->q, qpci_find(n->q, 0x8086, 0x100e, 0), 6, 2) & 8;
}

TEST(interrupts_keep_their_distance)
{
    static const char *const more[2] = { "", ",mitigation=off" };

    for (unsigned i = 0; i < 2; i++) {
        Nic n = start(more[i]);

        REQUIRE(n.bar);
        if (!qtest_has_clock(n.q)) {
            qtest_quit(n.q);
            SKIP("the clock runs by itself");
        }
        wr(&n, ITR, 1000);             /* of 256 ns                           */
        wr(&n, IMS, 4);
        wr(&n, ICS, 4);
        CHECK(asks(&n));
        CHECK_EQ(rd(&n, ICR), 4u);
        CHECK(!asks(&n));
        qtest_clock_step(n.q, 100000);
        wr(&n, ICS, 4);
        CHECK_EQ(asks(&n), i == 1);    /* 100 us are too few                  */
        qtest_clock_step(n.q, 160000);
        CHECK(asks(&n));
        qtest_quit(n.q);
    }
}

static void clock_bit(Nic *n, uint32_t base, unsigned bit)
{
    wr(n, EECD, base | bit << 2);
    wr(n, EECD, base | bit << 2 | 1);
    wr(n, EECD, base | bit << 2);
}

TEST(eeprom_by_its_wires)
{
    static const uint16_t want[3] = { 0x5452, 0xaa00, 0xccbb };
    Nic n = start("");

    REQUIRE(n.bar);
    for (unsigned w = 0; w < 3; w++) {
        unsigned cmd = 6 << 6 | w, v = 0;

        wr(&n, EECD, 2);
        for (int i = 8; i >= 0; i--) {
            clock_bit(&n, 2, cmd >> i & 1);
        }
        for (unsigned i = 0; i < 16; i++) {
            wr(&n, EECD, 2 | 1);
            v = v << 1 | (rd(&n, EECD) >> 3 & 1);
            wr(&n, EECD, 2);
        }
        wr(&n, EECD, 0);
        CHECK_EQ(v, want[w]);
    }
    qtest_quit(n.q);
}

TEST(phy_tells_its_identity)
{
    Nic n = start("");

    REQUIRE(n.bar);
    wr(&n, MDIC, 2u << 26 | 1 << 21 | 2 << 16);
    CHECK_EQ(rd(&n, MDIC) & 0x1000ffff, 0x10000141u);
    wr(&n, MDIC, 2u << 26 | 2 << 21 | 2 << 16);
    CHECK_EQ(rd(&n, MDIC) & 0x50000000, 0x50000000u);   /* no such PHY */
    wr(&n, MDIC, 2u << 26 | 1 << 21 | 31 << 16);
    CHECK_EQ(rd(&n, MDIC) & 0x50000000, 0x50000000u);
    qtest_quit(n.q);
}

TEST(causes_and_masks)
{
    Nic n = start("");

    REQUIRE(n.bar);
    wr(&n, ICS, 0x80);
    CHECK_EQ(rd(&n, ICR) & 0xffff, 0x80u);
    CHECK_EQ(rd(&n, ICR), 0u);
    wr(&n, IMS, 0x84);
    wr(&n, IMC, 0x80);
    CHECK_EQ(rd(&n, IMS), 4u);
    qtest_quit(n.q);
}

TEST(frames_loop_back)
{
    Nic n = start("");
    uint8_t f[1514], g[2048];
    uint32_t st;

    REQUIRE(n.bar);
    rings(&n, 0);
    for (unsigned len = 60; len <= 1514; len += 727) {
        frame_make(&n, f, len);
        legacy(&n, len, 1 | 2 | 8, 0);
        go(&n);
        REQUIRE(received(&n, g, &st) == len);
        CHECK(!memcmp(f, g, len));
        CHECK_EQ(st & 0x03, 3u);
    }
    CHECK_EQ(rd(&n, TDH), n.tail);
    CHECK_EQ(qtest_readb(n.q, TX_RING + 12) & 1u, 1u);
    CHECK_EQ(rd(&n, GPRC), 3u);
    CHECK_EQ(rd(&n, GPRC), 0u);        /* read clears */
    CHECK_EQ(rd(&n, GPTC), 3u);
    CHECK_EQ(rd(&n, ICR) & 0x83, 0x83u);
    if (qtest_has_clock(n.q)) {        /* the peer knows no RCTL.LBM          */
        phy_loop(&n, false);
        legacy(&n, 1514, 1 | 2 | 8, 0);
        go(&n);
        CHECK_EQ(received(&n, g, &st), 1514u);
    }
    qtest_quit(n.q);
}

TEST(short_frames_are_padded)
{
    Nic n = start("");
    uint8_t f[60] = { 0 }, g[2048];

    REQUIRE(n.bar);
    rings(&n, 0);
    frame_make(&n, f, 20);
    legacy(&n, 20, 1 | 2 | 8, 0);
    go(&n);
    REQUIRE(received(&n, g, NULL) == 60);
    memset(f + 20, 0, 40);
    CHECK(!memcmp(f, g, 60));
    qtest_quit(n.q);
}

TEST(legacy_checksum)
{
    Nic n = start("");
    uint8_t f[200], g[2048];

    REQUIRE(n.bar);
    rings(&n, 0);
    frame_make(&n, f, 200);
    f[50] = f[51] = 0;
    qtest_write(n.q, TX_DATA, f, 200);
    legacy(&n, 200, 1 | 2 | 4 | 8, 50ull << 16 | 34ull << 40);
    go(&n);
    REQUIRE(received(&n, g, NULL) == 200);
    CHECK_EQ(sum16(g + 34, 166, 0), 0xffffu);
    /* Beyond the frame: nothing is stored. */
    legacy(&n, 200, 1 | 2 | 4 | 8, 250ull << 16 | 34ull << 40);
    go(&n);
    REQUIRE(received(&n, g, NULL) == 200);
    CHECK(!memcmp(f, g, 200));
    qtest_quit(n.q);
}

/* An IPv4 TCP frame as a driver hands it over for segmentation. */
static void tcp_make(Nic *n, unsigned payload)
{
    uint8_t h[54] = { 0 };
    uint16_t pseudo;

    memcpy(h, "\x52\x54\x00\xaa\xbb\xcc\x52\x54\x00\x11\x22\x33\x08\x00", 14);
    h[14] = 0x45;
    h[19] = 9;
    h[22] = 64;
    h[23] = 6;
    memcpy(h + 26, "\x0a\x00\x02\x0f\x0a\x00\x02\x02", 8);
    h[41] = 100;                       /* sequence number 100 */
    h[46] = 0x50;
    h[47] = 0x19;                      /* ACK, PSH, FIN */
    pseudo = sum16(h + 26, 8, 6);
    h[50] = pseudo >> 8;
    h[51] = pseudo;
    qtest_write(n->q, TX_DATA, h, 54);
    for (unsigned i = 0; i < payload; i++) {
        qtest_writeb(n->q, TX_DATA + 54 + i, i);
    }
}

TEST(tcp_segments)
{
    Nic n = start("");
    uint8_t g[2048];
    uint32_t st;

    REQUIRE(n.bar);
    rings(&n, 0);
    wr(&n, RXCSUM, 0x300);
    tcp_make(&n, 250);
    /* context: IP 14, 24..33; TCP 34, 50; header 54, MSS 100, payload 250 */
    descriptor(&n, 14 | 24ull << 8 | 33ull << 16 | 34ull << 32 | 50ull << 40,
               250 | 0x27ull << 24 | 54ull << 40 | 100ull << 48);
    descriptor(&n, TX_DATA, 304 | 1ull << 20 | 0x2full << 24 | 3ull << 40);
    go(&n);
    for (unsigned i = 0; i < 3; i++) {
        unsigned len = i < 2 ? 100 : 50, got = received(&n, g, &st);

        REQUIRE(got == (len + 54u < 60u ? 60u : len + 54u));
        CHECK_EQ((unsigned)(g[16] << 8 | g[17]), 40u + len);
        CHECK_EQ((unsigned)(g[18] << 8 | g[19]), 9u + i);
        CHECK_EQ((unsigned)g[41], (100 + i * 100u) & 0xffu);
        CHECK_EQ((unsigned)g[47], i < 2 ? 0x10u : 0x19u);
        CHECK_EQ(sum16(g + 14, 20, 0), 0xffffu);
        CHECK_EQ(sum16(g + 34, 20 + len, sum16(g + 26, 8, 6 + 20 + len)),
                 0xffffu);
        CHECK_EQ((unsigned)g[54], (i * 100u) & 0xffu);
        /* The receiving side found both sums right. */
        CHECK_EQ(st & 0x6064, 0x0060u);
    }
    CHECK_EQ(received(&n, g, NULL), 0u);
    qtest_quit(n.q);
}

TEST(wrong_sums_are_seen)
{
    Nic n = start("");
    uint8_t f[60] = { 0 }, g[2048];
    uint32_t st;

    REQUIRE(n.bar);
    rings(&n, 0);
    wr(&n, RXCSUM, 0x300);
    memcpy(f, "\x52\x54\x00\xaa\xbb\xcc\x52\x54\x00\x11\x22\x33\x08\x00"
           "\x45\x00\x00\x28\x00\x00\x00\x00\x40\x06\x12\x34", 26);
    qtest_write(n.q, TX_DATA, f, 60);
    legacy(&n, 60, 1 | 2 | 8, 0);
    go(&n);
    REQUIRE(received(&n, g, &st) == 60);
    CHECK_EQ(st & 0x6064, 0x6060u);
    qtest_quit(n.q);
}

TEST(vlan_tags)
{
    Nic n = start("");
    uint8_t f[100], g[2048];
    uint32_t st;

    REQUIRE(n.bar);
    rings(&n, 0);
    wr(&n, CTRL, rd(&n, CTRL) | 1u << 30);
    frame_make(&n, f, 100);
    legacy(&n, 100, 1 | 2 | 8 | 0x40, 0x0123ull << 48);
    go(&n);
    /* Inserted, and taken out again: into the descriptor. */
    REQUIRE(received(&n, g, &st) == 100);
    CHECK(!memcmp(f, g, 100));
    CHECK_EQ(st & 8, 8u);
    CHECK_EQ(st >> 16, 0x0123u);
    /* Without stripping it is in the frame. */
    rctl_set(&n, rd(&n, RCTL) | 0x40000);
    legacy(&n, 100, 1 | 2 | 8 | 0x40, 0x0123ull << 48);
    go(&n);
    CHECK_EQ(received(&n, g, NULL), 0u);       /* filtered: not in the table */
    wr(&n, VFTA + (0x123 >> 5) * 4, 1u << (0x123 & 31));
    legacy(&n, 100, 1 | 2 | 8 | 0x40, 0x0123ull << 48);
    go(&n);
    CHECK_EQ(received(&n, g, NULL), 100u);
    qtest_quit(n.q);
}

TEST(foreign_addresses_are_filtered)
{
    Nic n = start("");
    uint8_t f[60], g[2048];

    REQUIRE(n.bar);
    rings(&n, 0);
    frame_make(&n, f, 60);
    qtest_writeb(n.q, TX_DATA + 5, 0x99);
    legacy(&n, 60, 1 | 2 | 8, 0);
    go(&n);
    CHECK_EQ(received(&n, g, NULL), 0u);
    rctl_set(&n, rd(&n, RCTL) | 8);            /* promiscuous */
    legacy(&n, 60, 1 | 2 | 8, 0);
    go(&n);
    CHECK_EQ(received(&n, g, NULL), 60u);
    qtest_write(n.q, TX_DATA, "\x01\x00\x5e\x00\x00\x05", 6);
    legacy(&n, 60, 1 | 2 | 8, 0);
    go(&n);
    CHECK_EQ(received(&n, g, NULL), 0u);
    {   /* 12 upper bits of the last two octets choose the bit */
        unsigned h = (0x0500 >> 4) & 0xfff;

        wr(&n, 0x5200 + (h >> 5) * 4, 1u << (h & 31));
    }
    legacy(&n, 60, 1 | 2 | 8, 0);
    go(&n);
    CHECK_EQ(received(&n, g, NULL), 60u);
    qtest_quit(n.q);
}

TEST(a_full_ring_loses_nothing_it_holds)
{
    Nic n = start("");
    uint8_t f[60], g[2048];

    REQUIRE(n.bar);
    rings(&n, 0);
    wr(&n, RDT, 2);
    frame_make(&n, f, 60);
    for (unsigned i = 0; i < 4; i++) {
        legacy(&n, 60, 1 | 2 | 8, 0);
    }
    go(&n);
    CHECK_EQ(received(&n, g, NULL), 60u);
    CHECK_EQ(received(&n, g, NULL), 60u);
    CHECK_EQ(received(&n, g, NULL), 0u);
    CHECK_EQ(rd(&n, RDH), 2u);
    CHECK_EQ(rd(&n, ICR) & 0x40, 0x40u);       /* overrun */
    qtest_quit(n.q);
}

TEST(nonsense_is_survived)
{
    Nic n = start("");
    uint32_t seed = 1;

    REQUIRE(n.bar);
    rings(&n, 0x18);
    for (unsigned i = 0; i < 400; i++) {
        uint64_t lo, hi;

        seed = seed * 1664525 + 1013904223;
        lo = seed % 3 ? TX_DATA : (uint64_t)seed << 20;
        seed = seed * 1664525 + 1013904223;
        hi = (uint64_t)seed << 32 | (seed * 2654435761u);
        descriptor(&n, lo, hi);
        if (i % 7 == 0) {
            go(&n);
        }
        if (i % 50 == 0) {
            wr(&n, TDLEN, seed);
            wr(&n, TDH, seed >> 3);
            wr(&n, RDT, seed >> 5);
            rings(&n, 0x18 | (seed & 0x2030000));
        }
    }
    CHECK_EQ(rd(&n, STATUS), 0x80080783u);
    qtest_quit(n.q);
}

TEST(reset_restores_registers)
{
    Nic n = start("");

    REQUIRE(n.bar);
    rings(&n, 0);
    wr(&n, CTRL, 1u << 26);
    CHECK_EQ(rd(&n, RCTL), 0u);
    CHECK_EQ(rd(&n, RDLEN), 0u);
    CHECK_EQ(rd(&n, 0x5400), 0xaa005452u);
    CHECK_EQ(rd(&n, 0x5404), 0x8000ccbbu);
    qtest_quit(n.q);
}
