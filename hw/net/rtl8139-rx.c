/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rtl8139-rx.c - reception by the RTL8139C+: address filters, the receive buffer
 * (datasheet 6.1), the C+ descriptor ring (6.2, 9).
 *
 * Thread class: machine lock.
 *
 * Invariants
 * 1. rx_at and rx_read are below the buffer's size.
 * 2. A frame is stored whole or not at all.
 */
#include "hw/net/rtl8139.h"

enum { RX_OK = 1, RX_BROAD = 1 << 13, RX_PHYS = 1 << 14, RX_MULTI = 1 << 15 };
enum { C_MULTI = 1 << 27, C_PHYS = 1 << 26, C_BROAD = 1 << 25, C_IPF = 1 << 16,
       C_UDPF = 1 << 15, C_TCPF = 1 << 14, C_TAVA = 1 << 16 };

/* IEEE 802.3, as it lies behind a frame. */
static uint32_t fcs(const uint8_t *p, size_t n)
{
    static const uint32_t nibble[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
        0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    uint32_t c = ~0u;

    for (size_t i = 0; i < n; i++) {
        c ^= p[i];
        c = c >> 4 ^ nibble[c & 15];
        c = c >> 4 ^ nibble[c & 15];
    }
    return ~c;
}

/* Status bits of a frame that is wanted; 0: it is not. */
static unsigned wanted(Rtl8139 *s, const uint8_t *f)
{
    if (!memcmp(f, "\xff\xff\xff\xff\xff\xff", 6)) {
        s->rx_broad++;
        return s->rcr & (RCR_AB | RCR_AAP) ? RX_OK | RX_BROAD : 0;
    }
    if (f[0] & 1) {
        unsigned h = net_crc32(f, 6) >> 26;
        bool hit = s->reg[R_MAR + h / 8] >> h % 8 & 1;

        return (s->rcr & RCR_AAP) || ((s->rcr & RCR_AM) && hit)
            ? RX_OK | RX_MULTI : 0;
    }
    if (!memcmp(f, s->reg + R_IDR, 6) && (s->rcr & RCR_APM)) {
        s->rx_phys++;
        return RX_OK | RX_PHYS;
    }
    return s->rcr & RCR_AAP ? RX_OK : 0;
}

static void overflow(Rtl8139 *s) MACHINE_CALL;
static void overflow(Rtl8139 *s)
{
    s->missed = (s->missed + 1) & 0xffffff;
    rtl8139_cause(s, ISR_RXOVW);
}

/* ---- the buffer ---------------------------------------------------------- */

bool rtl8139_ring_empty(const Rtl8139 *s)
{
    return s->rx_at == s->rx_read;
}

static MACHINE_CALL void buffer_put(Rtl8139 *s, const void *p, uint32_t n)
{
    uint32_t size = rtl8139_rx_size(s), first = MIN2(n, size - s->rx_at);
    uint64_t base = ld_le32(s->reg + R_RBSTART);
    bool on = (s->rcr & RCR_WRAP) && size < 65536;

    if (on) {                          /* may go on behind the end            */
        first = n;
    }
    pci_dma_write(&s->pci, base + s->rx_at, p, first);
    if (first < n) {
        pci_dma_write(&s->pci, base, (const uint8_t *)p + first, n - first);
    }
    s->rx_at += n;
    if (s->rx_at >= size && !on) {
        s->rx_at -= size;
    }
}

static MACHINE_CALL void to_buffer(Rtl8139 *s, const uint8_t *f, uint32_t n,
                                   unsigned status)
{
    uint32_t size = rtl8139_rx_size(s);
    uint32_t room = (size + s->rx_read - s->rx_at) % size;
    uint8_t head[4], tail[4];

    room = room ? room : size;
    if (n + 8 + 3 >= room || n + 8 > 8192) {
        overflow(s);
        return;
    }
    st_le16(head, status);
    st_le16(head + 2, n + 4);
    st_le32(tail, fcs(f, n));
    buffer_put(s, head, 4);
    buffer_put(s, f, n);
    buffer_put(s, tail, 4);
    s->rx_at = ((s->rx_at + 3) & ~3u) % size;
    s->rx_ok++;
    rtl8139_cause(s, ISR_ROK);
}

/* ---- the C+ ring --------------------------------------------------------- */

static bool ip_sum_bad(const uint8_t *ip, unsigned hlen)
{
    return net_csum_fold(net_csum_add(0, ip, hlen)) != 0;
}

/* Verdict of the checksum logic about a frame. */
static uint32_t verdict(const uint8_t *f, uint32_t n)
{
    const uint8_t *ip = f + 14;
    unsigned hlen, total, proto;
    uint32_t r, sum;

    if (n < 34 || ld_be16(f + 12) != 0x0800 || ip[0] >> 4 != 4) {
        return 0;
    }
    hlen = (ip[0] & 15) * 4u;
    total = ld_be16(ip + 2);
    if (hlen < 20 || total < hlen || total > n - 14) {
        return 0;
    }
    r = ip_sum_bad(ip, hlen) ? C_IPF : 0;
    proto = ip[9];
    if ((ld_be16(ip + 6) & 0x3fff) || (proto != 6 && proto != 17) ||
        total - hlen < (proto == 6 ? 20u : 8u)) {
        return r | 3u << 17;
    }
    r |= proto == 6 ? 1u << 17 : 2u << 17;
    if (proto == 17 && !ld_be16(ip + hlen + 6)) {
        return r;
    }
    sum = net_csum_add(proto + (total - hlen), ip + 12, 8);
    sum = net_csum_add(sum, ip + hlen, total - hlen);
    if (net_csum_fold(sum)) {
        r |= proto == 6 ? C_TCPF : C_UDPF;
    }
    return r;
}

static MACHINE_CALL void to_ring(Rtl8139 *s, uint8_t *f, uint32_t n,
                                 unsigned status)
{
    uint64_t at = s->rx_ring + s->rx_desc * 16;
    uint32_t d[4], word, vlan;
    uint8_t raw[16], tail[4];

    if (pci_dma_read(&s->pci, at, raw, 16) != MEM_OK) {
        overflow(s);
        return;
    }
    for (unsigned i = 0; i < 4; i++) {
        d[i] = ld_le32(raw + i * 4);
    }
    if (!(d[0] & D_OWN)) {
        overflow(s);
        return;
    }
    vlan = 0;
    st_le32(tail, fcs(f, n));
    word = s->cpcr & CP_RXSUM ? verdict(f, n) : 0;
    if ((s->cpcr & CP_RXVLAN) && n >= 18 && ld_be16(f + 12) == 0x8100) {
        vlan = C_TAVA | ld_le16(f + 14);
        memmove(f + 4, f, 12);
        f += 4;
        n -= 4;
    }
    if (n + 4 > (d[0] & 0x1fff)) {     /* no frame goes over two descriptors  */
        s->rx_err++;
        overflow(s);
        return;
    }
    pci_dma_write(&s->pci, d[2] | (uint64_t)d[3] << 32, f, n);
    pci_dma_write(&s->pci, (d[2] | (uint64_t)d[3] << 32) + n, tail, 4);
    word |= (d[0] & D_EOR) | D_FS | D_LS | (n + 4) |
            (status & RX_MULTI ? C_MULTI : 0) |
            (status & RX_PHYS ? C_PHYS : 0) |
            (status & RX_BROAD ? C_BROAD : 0);
    st_le32(raw, word);
    st_le32(raw + 4, vlan);
    pci_dma_write(&s->pci, at + 4, raw + 4, 4);
    pci_dma_write(&s->pci, at, raw, 4);
    s->rx_desc = d[0] & D_EOR ? 0 : (s->rx_desc + 1) % RTL_RING;
    s->rx_ok++;
    rtl8139_cause(s, ISR_ROK);
}

ssize_t rtl8139_receive(Rtl8139 *s, const struct iovec *iov, int niov)
{
    size_t n = net_iov_len(iov, niov);
    uint8_t f[8192 + 64];
    unsigned status;
    uint32_t len;

    if (!(s->cr & CR_RE) || n < 14 || n > 8192) {
        return n;
    }
    net_iov_read(iov, niov, 0, f, n);
    status = wanted(s, f);
    if (!status) {
        return n;
    }
    s->rx_multi += status & RX_MULTI ? 1 : 0;
    len = n;
    if (len < 60) {
        memset(f + len, 0, 60 - len);
        len = 60;
    }
    if (s->cpcr & CP_RX) {
        to_ring(s, f, len, status);
    } else {
        to_buffer(s, f, len, status);
    }
    return n;
}
