/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hashes of received frames against the published values of receive-side scaling
 * ("Verifying the RSS Hash Calculation", Microsoft), which virtio 1.2, section
 * 5.1.6.4.3 refers to by its key and function.
 */
#include "hw/net/virtio-net.h"
#include "tests/tern-test.h"

enum { IP4 = 1, TCP4 = 2, UDP4 = 4, IP6 = 8, TCP6 = 16, UDP6 = 32, IP6_EX = 64,
       TCP6_EX = 128, UDP6_EX = 256 };

static const uint8_t key[VNET_KEY] = {
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d,
    0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4,
    0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b,
    0xbe, 0xac, 0x01, 0xfa,
};

static const struct {
    uint8_t src[4], dst[4];
    uint16_t sport, dport;
    uint32_t ip, tcp;
} v4[] = {
    { { 66, 9, 149, 187 }, { 161, 142, 100, 80 }, 2794, 1766,
      0x323e8fc2, 0x51ccc178 },
    { { 199, 92, 111, 2 }, { 65, 69, 140, 83 }, 14230, 4739,
      0xd718262a, 0xc626b0ea },
    { { 24, 19, 198, 95 }, { 12, 22, 207, 184 }, 12898, 38024,
      0xd2d0a5de, 0x5c2b394a },
    { { 38, 27, 205, 30 }, { 209, 142, 163, 6 }, 48228, 2217,
      0x82989176, 0xafc7327f },
    { { 153, 39, 163, 191 }, { 202, 188, 127, 2 }, 44251, 1303,
      0x5d1809c5, 0x10e828a2 },
};

static const struct {
    uint16_t src[8], dst[8], sport, dport;
    uint32_t ip, tcp;
} v6[] = {
    { { 0x3ffe, 0x2501, 0x200, 0x1fff, 0, 0, 0, 7 },
      { 0x3ffe, 0x2501, 0x200, 3, 0, 0, 0, 1 }, 2794, 1766,
      0x2cc18cd5, 0x40207d3d },
    { { 0x3ffe, 0x501, 8, 0, 0x260, 0x97ff, 0xfe40, 0xefab },
      { 0xff02, 0, 0, 0, 0, 0, 0, 1 }, 14230, 4739, 0x0f0c461c, 0xdde51bbf },
    { { 0x3ffe, 0x1900, 0x4545, 3, 0x200, 0xf8ff, 0xfe21, 0x67cf },
      { 0xfe80, 0, 0, 0, 0x200, 0xf8ff, 0xfe21, 0x67cf }, 44251, 38024,
      0x4b61e985, 0x02d1feef },
};

static VnetHash hash_of(uint32_t types)
{
    VnetHash h = { .on = true, .types = types };

    memcpy(h.key, key, sizeof(key));
    return h;
}

static void hashes(uint32_t types, const uint8_t *f, size_t n, uint32_t value,
                   unsigned report)
{
    VnetHash h = hash_of(types);
    uint16_t got;

    CHECK_EQ(vnet_hash(&h, f, n, &got), value);
    CHECK_EQ(got, report);
}

/* A frame with a packet of IPv4 and protocol. */
static size_t make4(uint8_t *f, unsigned i, uint8_t proto)
{
    memset(f, 0, 64);
    st_be16(f + 12, 0x0800);
    f[14] = 0x45;
    f[23] = proto;
    memcpy(f + 26, v4[i].src, 4);
    memcpy(f + 30, v4[i].dst, 4);
    st_be16(f + 34, v4[i].sport);
    st_be16(f + 36, v4[i].dport);
    return 64;
}

static void put6(uint8_t *to, const uint16_t *words)
{
    for (unsigned i = 0; i < 8; i++) {
        st_be16(to + 2 * i, words[i]);
    }
}

/* IPv6, with `ex` bytes at `more` between it and the ports. */
static size_t make6(uint8_t *f, unsigned i, uint8_t proto, const void *more,
                    size_t ex)
{
    memset(f, 0, 160);
    st_be16(f + 12, 0x86dd);
    f[14] = 0x60;
    f[20] = proto;
    put6(f + 22, v6[i].src);
    put6(f + 38, v6[i].dst);
    if (ex) {
        memcpy(f + 54, more, ex);
    }
    st_be16(f + 54 + ex, v6[i].sport);
    st_be16(f + 56 + ex, v6[i].dport);
    return 54 + ex + 20;
}

TEST(ipv4)
{
    uint8_t f[64];

    for (unsigned i = 0; i < ARRAY_SIZE(v4); i++) {
        size_t n = make4(f, i, 6);

        hashes(IP4 | TCP4 | UDP4, f, n, v4[i].tcp, 2);
        hashes(IP4 | UDP4, f, n, v4[i].ip, 1);
        hashes(UDP4, f, n, 0, 0);
        f[23] = 17;
        hashes(IP4 | TCP4 | UDP4, f, n, v4[i].tcp, 3);
        hashes(IP4 | TCP4, f, n, v4[i].ip, 1);
        f[23] = 1;
        hashes(IP4 | TCP4 | UDP4, f, n, v4[i].ip, 1);
    }
}

TEST(ipv4_options_tags_and_fragments)
{
    uint8_t f[72], g[72];
    size_t n = make4(f, 0, 6);

    memcpy(g, f, 12);                  /* behind a VLAN tag                   */
    memcpy(g + 12, "\x81\x00\x00\x05", 4);
    memcpy(g + 16, f + 12, n - 12);
    hashes(IP4 | TCP4, g, n + 4, v4[0].tcp, 2);
    memmove(f + 42, f + 34, 22);       /* eight bytes of options              */
    f[14] = 0x47;
    hashes(IP4 | TCP4, f, n, v4[0].tcp, 2);
    make4(f, 0, 6);
    f[20] = 0x20;                      /* more fragments: ports do not count  */
    hashes(IP4 | TCP4, f, n, v4[0].ip, 1);
    hashes(TCP4, f, n, 0, 0);
    make4(f, 0, 6);
    hashes(IP4 | TCP4, f, 36, v4[0].ip, 1);    /* cut off                     */
    hashes(IP4 | TCP4, f, 33, 0, 0);
    st_be16(f + 12, 0x0806);
    hashes(0x1ff, f, n, 0, 0);
}

TEST(ipv6)
{
    uint8_t f[160];

    for (unsigned i = 0; i < ARRAY_SIZE(v6); i++) {
        size_t n = make6(f, i, 6, NULL, 0);

        hashes(IP6 | TCP6 | UDP6, f, n, v6[i].tcp, 5);
        hashes(0x1ff, f, n, v6[i].tcp, 5);
        hashes(IP6, f, n, v6[i].ip, 4);
        f[20] = 17;
        hashes(IP6 | TCP6 | UDP6, f, n, v6[i].tcp, 6);
        f[20] = 58;
        hashes(IP6 | TCP6 | UDP6, f, n, v6[i].ip, 4);
        hashes(IP4 | TCP4 | UDP4, f, n, 0, 0);
    }
}

/* Extension headers: the addresses of the mobile node, where there are any. */
TEST(ipv6_extended)
{
    uint8_t f[160], home[24] = { 6, 2, 1, 2, 0, 0, 0xc9, 16 };
    uint8_t route[24] = { 6, 2, 2, 1 }, hop[8] = { 6, 0, 1, 4 };
    uint8_t fragment[8] = { 6, 0, 0, 1 };
    size_t n = make6(f, 0, 0, hop, 8);

    hashes(IP6 | TCP6, f, n, v6[0].tcp, 5);
    hashes(IP6_EX | TCP6_EX, f, n, v6[0].tcp, 8);
    put6(home + 8, v6[0].src);         /* the sender's is the option's        */
    n = make6(f, 0, 60, home, 24);
    put6(f + 22, v6[1].src);
    hashes(IP6_EX | TCP6_EX, f, n, v6[0].tcp, 8);
    hashes(IP6_EX, f, n, v6[0].ip, 7);
    put6(route + 8, v6[0].dst);        /* the receiver's is the route's       */
    n = make6(f, 0, 43, route, 24);
    put6(f + 38, v6[1].dst);
    hashes(0x1ff, f, n, v6[0].tcp, 8);
    f[54] = 17;
    hashes(0x1ff, f, n, v6[0].tcp, 9);
    n = make6(f, 0, 44, fragment, 8);
    hashes(IP6 | TCP6, f, n, v6[0].ip, 4);
}
