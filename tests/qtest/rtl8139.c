/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rtl8139: registers, EEPROM, timer; frames through its loopback by the four slots
 * and the receive buffer, and by the C+ rings with checksums, segmentation, VLAN
 * tags; filters; full buffers; nonsense.
 */
#include <string.h>
#include "tests/libqtest.h"
#include "tests/tern-test.h"

#define RX_BUF 0x100000ull
#define TX_DATA 0x120000ull
#define TX_RING 0x140000ull
#define RX_RING 0x141000ull
#define RX_DATA 0x150000ull
#define NRX 16

enum { TSD = 0x10, TSAD = 0x20, RBSTART = 0x30, CR = 0x37, CAPR = 0x38,
       CBR = 0x3a, IMR = 0x3c, ISR = 0x3e, TCR = 0x40, RCR = 0x44,
       TCTR = 0x48, EECR = 0x50, TIMERINT = 0x54, BMCR = 0x62, BMSR = 0x64,
       TPPOLL = 0xd9, CPCR = 0xe0, RDSAR = 0xe4 };

typedef struct Nic {
    QTest *q;
    uint16_t io;
    unsigned slot, at, next;           /* to send; in the buffer; in the ring */
} Nic;

static Nic start(void)
{
    Nic n = { qtest_start("-machine pc -nodefaults -m 16 -device rtl8139,"
                          "mac=52:54:00:aa:bb:cc") };
    int devfn = qpci_find(n.q, 0x10ec, 0x8139, 0);

    if (devfn >= 0) {
        n.io = qpci_map(n.q, devfn, 0, NULL);
        qpci_write(n.q, devfn, 4, 2, 7);
        qtest_outb(n.q, n.io + CR, 0x10);
    }
    return n;
}

static unsigned isr(Nic *n)
{
    unsigned v = qtest_inw(n->q, n->io + ISR);

    qtest_outw(n->q, n->io + ISR, v);
    return v;
}

static void frame_make(uint8_t *f, unsigned len, const char *to)
{
    for (unsigned i = 0; i < len; i++) {
        f[i] = i * 7 + len;
    }
    memcpy(f, to, 6);
    memcpy(f + 6, "\x52\x54\x00\xaa\xbb\xcc\x88\xb5", 8);
}

#define OWN_MAC "\x52\x54\x00\xaa\xbb\xcc"

/* ---- registers ----------------------------------------------------------- */

TEST(registers_after_reset)
{
    Nic n = start();

    REQUIRE(n.io);
    CHECK_EQ(qtest_inl(n.q, n.io), 0xaa005452u);
    CHECK_EQ(qtest_inw(n.q, n.io + 4), 0xccbbu);
    CHECK_EQ(qtest_inb(n.q, n.io + CR), 1u);
    CHECK_EQ(qtest_inl(n.q, n.io + TCR), 0x74800000u);
    CHECK_EQ(qtest_inl(n.q, n.io + TSD), 0x2000u);
    CHECK_EQ(qtest_inw(n.q, n.io + CAPR), 0xfff0u);
    CHECK_EQ(qtest_inw(n.q, n.io + BMSR) & 4u, 4u);
    qtest_outw(n.q, n.io + IMR, 0xffff);
    CHECK_EQ(qtest_inw(n.q, n.io + IMR), 0xe1ffu);
    qtest_outb(n.q, n.io + 0x52, 0x55);              /* locked */
    CHECK_EQ(qtest_inb(n.q, n.io + 0x52), 0x0cu);
    qtest_outb(n.q, n.io + EECR, 0xc0);
    qtest_outb(n.q, n.io + 0x52, 0x55);
    CHECK_EQ(qtest_inb(n.q, n.io + 0x52), 0x5du);
    qtest_quit(n.q);
}

static unsigned eeprom(Nic *n, unsigned word)
{
    unsigned cmd = 6 << 6 | word, v = 0;

    qtest_outb(n->q, n->io + EECR, 0x80);
    qtest_outb(n->q, n->io + EECR, 0x88);
    for (int i = 8; i >= 0; i--) {
        unsigned di = cmd >> i & 1 ? 2 : 0;

        qtest_outb(n->q, n->io + EECR, 0x88 | di);
        qtest_outb(n->q, n->io + EECR, 0x8c | di);
    }
    qtest_outb(n->q, n->io + EECR, 0x88);
    for (unsigned i = 0; i < 16; i++) {
        qtest_outb(n->q, n->io + EECR, 0x8c);
        v = v << 1 | (qtest_inb(n->q, n->io + EECR) & 1);
        qtest_outb(n->q, n->io + EECR, 0x88);
    }
    qtest_outb(n->q, n->io + EECR, 0x80);
    return v;
}

TEST(eeprom_by_its_wires)
{
    Nic n = start();

    REQUIRE(n.io);
    CHECK_EQ(eeprom(&n, 0), 0x8129u);
    CHECK_EQ(eeprom(&n, 1), 0x10ecu);
    CHECK_EQ(eeprom(&n, 7), 0x5452u);
    CHECK_EQ(eeprom(&n, 8), 0xaa00u);
    CHECK_EQ(eeprom(&n, 9), 0xccbbu);
    qtest_quit(n.q);
}

TEST(timer_raises_its_cause)
{
    Nic n = start();

    REQUIRE(n.io);
    if (qtest_has_clock(n.q)) {
        qtest_outl(n.q, n.io + TCTR, 0);
        qtest_outl(n.q, n.io + TIMERINT, 33333);     /* 1 ms */
        qtest_clock_step(n.q, 500000);
        CHECK_EQ(isr(&n) & 0x4000, 0u);
        qtest_clock_step(n.q, 600000);
        CHECK_EQ(isr(&n) & 0x4000, 0x4000u);
    }
    qtest_quit(n.q);
}

/* ---- the buffer ---------------------------------------------------------- */

static void buffer_mode(Nic *n, uint32_t rcr)
{
    qtest_outb(n->q, n->io + CR, 0);
    qtest_outb(n->q, n->io + CR, 0x0c);
    qtest_outl(n->q, n->io + RBSTART, RX_BUF);
    qtest_outl(n->q, n->io + RCR, rcr);
    qtest_outl(n->q, n->io + TCR, 0x60700);          /* loopback */
    n->slot = n->at = 0;
}

static void send(Nic *n, const uint8_t *f, unsigned len)
{
    uint64_t at = TX_DATA + n->slot * 2048;

    qtest_write(n->q, at, f, len);
    qtest_outl(n->q, n->io + TSAD + n->slot * 4, at);
    qtest_outl(n->q, n->io + TSD + n->slot * 4, len);
    for (unsigned i = 0; i < 1000; i++) {
        if (qtest_inl(n->q, n->io + TSD + n->slot * 4) & 0x8000) {
            break;
        }
    }
    CHECK_EQ(qtest_inl(n->q, n->io + TSD + n->slot * 4) & 0xa000, 0xa000u);
    n->slot = (n->slot + 1) & 3;
}

/* Length without FCS, 0: empty. */
static unsigned received(Nic *n, uint8_t *f, unsigned size, bool wrap)
{
    uint16_t status, len;

    if (qtest_inb(n->q, n->io + CR) & 1) {
        return 0;
    }
    status = qtest_readw(n->q, RX_BUF + n->at);
    len = qtest_readw(n->q, RX_BUF + n->at + 2);
    CHECK_EQ(status & 1u, 1u);
    for (unsigned i = 0; i + 4 < len; i++) {
        unsigned off = n->at + 4 + i;

        f[i] = qtest_readb(n->q, RX_BUF + (wrap ? off : off % size));
    }
    n->at = ((n->at + 4 + len + 3) & ~3u) % size;
    qtest_outw(n->q, n->io + CAPR, n->at - 16);
    return len - 4;
}

static void around(bool wrap)
{
    Nic n = start();
    uint8_t f[1514], got[2048];

    REQUIRE(n.io);
    buffer_mode(&n, 0xf | (wrap ? 0x80 : 0));
    for (unsigned i = 0; i < 20; i++) {              /* around the end */
        unsigned len = 60 + i * 70;

        frame_make(f, len, OWN_MAC);
        send(&n, f, len);
        CHECK_EQ(isr(&n) & 5, 5u);
        CHECK_EQ(received(&n, got, 8192, wrap), len);
        CHECK(!memcmp(f, got, len));
    }
    CHECK_EQ(received(&n, got, 8192, wrap), 0u);
    qtest_quit(n.q);
}

TEST(frames_through_the_buffer)
{
    around(false);
    around(true);
}

TEST(a_full_buffer)
{
    Nic n = start();
    uint8_t f[1514], got[2048];
    unsigned kept = 0;

    REQUIRE(n.io);
    buffer_mode(&n, 0xf);
    frame_make(f, sizeof(f), OWN_MAC);
    for (unsigned i = 0; i < 8; i++) {
        send(&n, f, sizeof(f));
    }
    CHECK_EQ(isr(&n) & 0x10, 0x10u);
    while (received(&n, got, 8192, false)) {
        CHECK(!memcmp(f, got, sizeof(f)));
        kept++;
    }
    CHECK_EQ(kept, 5u);
    qtest_quit(n.q);
}

TEST(filters)
{
    Nic n = start();
    static const char other[] = "\x52\x54\x00\x01\x02\x03";
    static const char multi[] = "\x01\x00\x5e\x00\x00\x01";
    static const char all[] = "\xff\xff\xff\xff\xff\xff";
    static const struct { const char *to; uint32_t rcr; unsigned in; } t[] = {
        { other, 0x2, 0 }, { other, 0x1, 1 }, { OWN_MAC, 0x2, 1 },
        { OWN_MAC, 0x8, 0 }, { all, 0x2, 0 }, { all, 0x8, 1 },
        { multi, 0x2, 0 }, { multi, 0x4, 1 },
    };
    uint8_t f[100], got[2048];

    REQUIRE(n.io);
    for (unsigned i = 0; i < 8; i++) {
        qtest_outb(n.q, n.io + 8 + i, 0xff);
    }
    for (unsigned i = 0; i < sizeof(t) / sizeof(*t); i++) {
        buffer_mode(&n, t[i].rcr);
        frame_make(f, sizeof(f), t[i].to);
        send(&n, f, sizeof(f));
        CHECK_EQ(received(&n, got, 8192, false) ? 1u : 0u, t[i].in);
    }
    for (unsigned i = 0; i < 8; i++) {
        qtest_outb(n.q, n.io + 8 + i, 0);
    }
    buffer_mode(&n, 4);
    frame_make(f, sizeof(f), multi);
    send(&n, f, sizeof(f));
    CHECK_EQ(received(&n, got, 8192, false), 0u);
    qtest_quit(n.q);
}

/* ---- C+ ------------------------------------------------------------------ */

static void rings(Nic *n, unsigned cpcr)
{
    qtest_memset(n->q, TX_RING, 0, 1024);
    for (unsigned i = 0; i < NRX; i++) {
        uint64_t at = RX_RING + i * 16;

        qtest_writel(n->q, at, 1u << 31 | 2048 | (i + 1 == NRX ? 1u << 30 : 0));
        qtest_writel(n->q, at + 4, 0);
        qtest_writeq(n->q, at + 8, RX_DATA + i * 2048);
    }
    qtest_outw(n->q, n->io + CPCR, 3 | cpcr);
    qtest_outb(n->q, n->io + CR, 0x0c);
    qtest_outl(n->q, n->io + RDSAR, RX_RING);
    qtest_outl(n->q, n->io + RDSAR + 4, 0);
    qtest_outl(n->q, n->io + TSAD, TX_RING);
    qtest_outl(n->q, n->io + TSAD + 4, 0);
    qtest_outl(n->q, n->io + RCR, 0xf);
    qtest_outl(n->q, n->io + TCR, 0x60700);
    n->slot = n->next = 0;
}

static void put(Nic *n, uint64_t from, unsigned len, uint32_t flags,
                uint32_t vlan)
{
    uint64_t at = TX_RING + n->slot * 16;

    qtest_writel(n->q, at + 4, vlan);
    qtest_writeq(n->q, at + 8, from);
    qtest_writel(n->q, at, 1u << 31 | flags | len);
    n->slot++;
}

static unsigned taken(Nic *n, uint8_t *f, uint32_t *status, uint32_t *vlan)
{
    uint64_t at = RX_RING + n->next * 16;
    uint32_t w = qtest_readl(n->q, at);

    for (unsigned i = 0; i < 200 && (w >> 31); i++) {
        w = qtest_readl(n->q, at);
    }
    if (w >> 31) {
        return 0;
    }
    *status = w;
    *vlan = qtest_readl(n->q, at + 4);
    qtest_read(n->q, RX_DATA + n->next * 2048, f, (w & 0x3fff) - 4);
    n->next++;
    return (w & 0x3fff) - 4;
}

TEST(frames_through_the_rings)
{
    Nic n = start();
    uint8_t f[1400], got[2048];
    uint32_t st, vlan;

    REQUIRE(n.io);
    rings(&n, 0);
    frame_make(f, sizeof(f), OWN_MAC);
    qtest_write(n.q, TX_DATA, f, sizeof(f));
    put(&n, TX_DATA, 600, 1u << 29, 0);
    put(&n, TX_DATA + 600, 800, 1u << 28, 0);
    put(&n, TX_DATA, 100, 3u << 28 | 1u << 30, 0);
    qtest_outb(n.q, n.io + TPPOLL, 0x40);
    CHECK_EQ(taken(&n, got, &st, &vlan), 1400u);
    CHECK(!memcmp(f, got, 1400));
    CHECK_EQ(st >> 24 & 0x37, 0x34u);                /* whole, to our address */
    CHECK_EQ(taken(&n, got, &st, &vlan), 100u);
    CHECK_EQ(taken(&n, got, &st, &vlan), 0u);
    CHECK_EQ(isr(&n) & 5, 5u);
    qtest_quit(n.q);
}

static uint16_t sum16(const uint8_t *p, unsigned n, uint32_t s)
{
    for (unsigned i = 0; i < n; i++) {
        s += p[i] << (i & 1 ? 0 : 8);
    }
    while (s >> 16) {
        s = (s & 0xffff) + (s >> 16);
    }
    return s;
}

/* TCP over IPv4 with `data` bytes and no checksums. */
static unsigned tcp_make(uint8_t *f, unsigned data)
{
    unsigned total = 40 + data;

    frame_make(f, 54 + data, OWN_MAC);
    memcpy(f + 12, "\x08\x00\x45\x00", 4);
    memset(f + 16, 0, 38);
    f[16] = total >> 8;
    f[17] = total;
    f[19] = 7;
    f[22] = 64;
    f[23] = 6;
    memcpy(f + 26, "\x0a\0\0\1\x0a\0\0\2\x04\xd2\0\x50\0\0\1\0", 16);
    f[46] = 0x50;
    f[47] = 0x19;                                    /* FIN, PSH, ACK */
    return 54 + data;
}

static bool sums_right(const uint8_t *f)
{
    unsigned len = (f[16] << 8 | f[17]) - 20;

    return sum16(f + 14, 20, 0) == 0xffff &&
           sum16(f + 34, len, sum16(f + 26, 8, 6 + len)) == 0xffff;
}

TEST(checksums_both_ways)
{
    Nic n = start();
    uint8_t f[600], got[2048];
    uint32_t st, vlan;
    unsigned len = tcp_make(f, 333);

    REQUIRE(n.io);
    rings(&n, 0x20);
    qtest_write(n.q, TX_DATA, f, len);
    put(&n, TX_DATA, len, 3u << 28 | 5u << 16, 0);
    put(&n, TX_DATA, len, 3u << 28 | 1u << 30, 0);
    qtest_outb(n.q, n.io + TPPOLL, 0x40);
    CHECK_EQ(taken(&n, got, &st, &vlan), len);
    CHECK(sums_right(got));
    CHECK_EQ(st & 0x7c000, 1u << 17);                /* TCP, no fault */
    CHECK_EQ(taken(&n, got, &st, &vlan), len);
    CHECK_EQ(st & 0x14000, 0x14000u);                /* both are wrong */
    qtest_quit(n.q);
}

TEST(segments)
{
    Nic n = start();
    uint8_t f[4000], got[2048];
    uint32_t st, vlan;
    unsigned len = tcp_make(f, 3000), off = 0;

    REQUIRE(n.io);
    rings(&n, 0);
    qtest_write(n.q, TX_DATA, f, len);
    put(&n, TX_DATA, len, 3u << 28 | 1u << 30 | 1u << 27 | 1400 << 16, 0);
    qtest_outb(n.q, n.io + TPPOLL, 0x40);
    for (unsigned i = 0; i < 3; i++) {
        unsigned data = i < 2 ? 1400 : 200;

        CHECK_EQ(taken(&n, got, &st, &vlan), 54u + data);
        CHECK(sums_right(got));
        CHECK_EQ((got[40] << 8 | got[41]) + 0u, 0x100 + off);
        CHECK_EQ(got[19] + 0u, 7 + i);
        CHECK_EQ(got[47] + 0u, i < 2 ? 0x10u : 0x19u);
        CHECK(!memcmp(got + 54, f + 54 + off, data));
        off += data;
    }
    qtest_quit(n.q);
}

TEST(vlan_tags)
{
    Nic n = start();
    uint8_t f[200], got[2048];
    uint32_t st, vlan;

    REQUIRE(n.io);
    rings(&n, 0);
    frame_make(f, sizeof(f), OWN_MAC);
    qtest_write(n.q, TX_DATA, f, sizeof(f));
    put(&n, TX_DATA, 200, 3u << 28, 1u << 17 | 0x0520);
    qtest_outb(n.q, n.io + TPPOLL, 0x40);
    CHECK_EQ(taken(&n, got, &st, &vlan), 204u);
    CHECK(!memcmp(got + 12, "\x81\x00\x20\x05\x88\xb5", 6));
    qtest_outw(n.q, n.io + CPCR, 0x43);              /* tags are taken off */
    put(&n, TX_DATA, 200, 3u << 28 | 1u << 30, 1u << 17 | 0x0520);
    qtest_outb(n.q, n.io + TPPOLL, 0x40);
    CHECK_EQ(taken(&n, got, &st, &vlan), 200u);
    CHECK_EQ(vlan, 1u << 16 | 0x0520u);
    CHECK(!memcmp(got, f, 200));
    qtest_quit(n.q);
}

TEST(no_descriptors)
{
    Nic n = start();
    uint8_t f[100], got[2048];
    uint32_t st, vlan;

    REQUIRE(n.io);
    rings(&n, 0);
    qtest_writel(n.q, RX_RING, 0);
    frame_make(f, sizeof(f), OWN_MAC);
    qtest_write(n.q, TX_DATA, f, sizeof(f));
    put(&n, TX_DATA, 100, 3u << 28 | 1u << 30, 0);
    qtest_outb(n.q, n.io + TPPOLL, 0x40);
    for (unsigned i = 0; i < 200 && !(qtest_inw(n.q, n.io + ISR) & 0x10); i++) {
    }
    CHECK_EQ(qtest_inw(n.q, n.io + ISR) & 0x10u, 0x10u);
    qtest_writel(n.q, RX_RING, 0);
    n.next = 1;
    CHECK_EQ(taken(&n, got, &st, &vlan), 0u);
    qtest_quit(n.q);
}

/* Descriptors and registers of random bits: it goes on, and in the end works. */
TEST(nonsense_is_survived)
{
    Nic n = start();
    uint64_t x = 88172645463325252ull;
    uint8_t f[100], got[2048];

    REQUIRE(n.io);
    for (unsigned i = 0; i < 3000; i++) {
        unsigned reg;

        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        reg = x & 0xff;
        if (i % 3 == 0) {
            qtest_writeq(n.q, TX_RING + (x >> 8 & 0x1ff8), x | 1u << 31);
        } else if (i % 3 == 1) {
            qtest_outl(n.q, n.io + (reg & 0xfc), x >> 16);
        } else {
            qtest_outb(n.q, n.io + reg, x >> 16);
        }
        if (i % 100 == 0) {
            rings(&n, x >> 40 & 0x60);
            qtest_outb(n.q, n.io + TPPOLL, 0xc0);
        }
    }
    qtest_outb(n.q, n.io + CR, 0x10);
    for (unsigned i = 0; i < 6; i++) {
        qtest_outb(n.q, n.io + i, OWN_MAC[i]);
    }
    buffer_mode(&n, 0xf);
    frame_make(f, sizeof(f), OWN_MAC);
    send(&n, f, sizeof(f));
    CHECK_EQ(received(&n, got, 8192, false), 100u);
    CHECK(!memcmp(f, got, 100));
    qtest_quit(n.q);
}
