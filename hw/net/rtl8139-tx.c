/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rtl8139-tx.c - transmission by the RTL8139C+: the four slots (datasheet 6.3),
 * the C+ ring with checksums, segmentation and VLAN tags (9).
 *
 * Thread class: machine lock.
 *
 * Invariants
 * 1. One call looks at no more descriptors than a ring has.
 * 2. Every offset into a frame is compared with its length before use.
 */
#include "hw/net/rtl8139.h"

enum { T_LGSEN = 1 << 27, T_IPCS = 1 << 18, T_UDPCS = 1 << 17,
       T_TCPCS = 1 << 16, T_TAGC = 1 << 17 };
#define TCR_LOOPBACK 0x60000u

static MACHINE_CALL void frame_out(Rtl8139 *s, const uint8_t *f, uint32_t n)
{
    uint8_t padded[60];
    struct iovec v = { (void *)(uintptr_t)f, n };

    if (n < 60) {
        memcpy(padded, f, n);
        memset(padded + n, 0, 60 - n);
        v = (struct iovec){ padded, 60 };
    }
    if ((s->tcr & TCR_LOOPBACK) == TCR_LOOPBACK) {
        rtl8139_receive(s, &v, 1);
    } else {
        net_card_send(&s->net, 0, &v, 1);
    }
}

void rtl8139_send_slot(Rtl8139 *s, unsigned i)
{
    uint32_t n = s->tsd[i] & 0x1fff;

    if (!(s->cr & CR_TE) || (s->tsd[i] & TSD_OWN)) {
        return;
    }
    if (n > 1792 ||
        pci_dma_read(&s->pci, s->tsad[i], s->frame, n) != MEM_OK) {
        s->tx_err++;
        s->tsd[i] |= TSD_OWN | TSD_ABORT;
        rtl8139_cause(s, ISR_TER);
        return;
    }
    if (n >= 14) {
        frame_out(s, s->frame, n);
    }
    s->tx_ok++;
    s->tsd[i] |= TSD_OWN | TSD_TOK;
    s->turn = (i + 1) & 3;
    rtl8139_cause(s, ISR_TOK);
}

/* ---- C+: what is done to a frame ----------------------------------------- */

static void ip_sum(uint8_t *ip, unsigned hlen)
{
    st_be16(ip + 10, 0);
    st_be16(ip + 10, net_csum_fold(net_csum_add(0, ip, hlen)));
}

static void l4_sum(uint8_t *ip, unsigned hlen, unsigned len, unsigned at)
{
    uint32_t sum = net_csum_add(ip[9] + len, ip + 12, 8);

    st_be16(ip + hlen + at, 0);
    sum = net_csum_fold(net_csum_add(sum, ip + hlen, len));
    st_be16(ip + hlen + at, sum || ip[9] == 6 ? sum : 0xffff);
}

static void sums(uint8_t *f, uint32_t n, uint32_t word)
{
    uint8_t *ip = f + 14;
    unsigned hlen, total;

    if (n < 34 || ld_be16(f + 12) != 0x0800 || ip[0] >> 4 != 4) {
        return;
    }
    hlen = (ip[0] & 15) * 4u;
    total = ld_be16(ip + 2);
    if (hlen < 20 || total < hlen || total > n - 14) {
        return;
    }
    if (word & T_IPCS) {
        ip_sum(ip, hlen);
    }
    if ((word & T_TCPCS) && ip[9] == 6 && total - hlen >= 20) {
        l4_sum(ip, hlen, total - hlen, 16);
    } else if ((word & T_UDPCS) && ip[9] == 17 && total - hlen >= 8) {
        l4_sum(ip, hlen, total - hlen, 6);
    }
}

static MACHINE_CALL void tagged_out(Rtl8139 *s, uint8_t *f, uint32_t n,
                                    uint32_t vlan)
{
    uint8_t with[RTL_FRAME_MAX / 4];

    if (!(vlan & T_TAGC) || n + 4 > sizeof(with)) {
        frame_out(s, f, n);
        return;
    }
    memcpy(with, f, 12);
    st_be16(with + 12, 0x8100);
    st_le16(with + 14, vlan);
    memcpy(with + 16, f + 12, n - 12);
    frame_out(s, with, n + 4);
}

static MACHINE_CALL void segments_out(Rtl8139 *s, uint32_t word, uint32_t vlan)
{
    uint8_t *ip = s->frame + 14, seg[256 + 2048];
    unsigned mss = word >> 16 & 0x7ff, hlen = (ip[0] & 15) * 4u, head, id;
    uint32_t seq, off = 0, data;

    if (s->len < 54 || ip[0] >> 4 != 4 || ip[9] != 6 || !mss ||
        14 + hlen + 20 > s->len) {
        guest_fault("rtl8139", "segmentation of what is not TCP over IPv4");
        return;
    }
    head = 14 + hlen + (ip[hlen + 12] >> 4) * 4u;
    if (head < 14 + hlen + 20 || head > 256 || head >= s->len) {
        guest_fault("rtl8139", "segmentation with a header of %u bytes", head);
        return;
    }
    data = s->len - head;
    id = ld_be16(ip + 4);
    seq = ld_be32(ip + hlen + 4);
    for (; off < data; id++) {
        uint32_t n = MIN2(data - off, mss);

        memcpy(seg, s->frame, head);
        memcpy(seg + head, s->frame + head + off, n);
        st_be16(seg + 16, head - 14 + n);
        st_be16(seg + 18, id);
        st_be32(seg + 14 + hlen + 4, seq + off);
        if (off + n < data) {
            seg[14 + hlen + 13] &= ~9; /* PSH, FIN: of the last one           */
        }
        sums(seg, head + n, T_IPCS | T_TCPCS);
        tagged_out(s, seg, head + n, vlan);
        off += n;
    }
}

static MACHINE_CALL void packet_out(Rtl8139 *s, uint32_t word, uint32_t vlan)
{
    if (word & T_LGSEN) {
        segments_out(s, word, vlan);
    } else if (s->len >= 14) {
        sums(s->frame, s->len, word);
        tagged_out(s, s->frame, s->len, vlan);
    }
    s->tx_ok++;
}

/* ---- C+: the ring -------------------------------------------------------- */

/* One descriptor; false: none is there. */
static MACHINE_CALL bool one(Rtl8139 *s, uint64_t ring, uint32_t *index)
{
    uint64_t at = ring + *index * 16, addr;
    uint8_t raw[16];
    uint32_t word, vlan, n;

    if (pci_dma_read(&s->pci, at, raw, 16) != MEM_OK) {
        return false;
    }
    word = ld_le32(raw);
    vlan = ld_le32(raw + 4);
    if (!(word & D_OWN)) {
        return false;
    }
    addr = ld_le64(raw + 8);
    n = word & 0xffff;
    if (word & D_FS) {
        s->len = 0;
    }
    n = MIN2(n, RTL_FRAME_MAX - s->len);
    if (pci_dma_read(&s->pci, addr, s->frame + s->len, n) == MEM_OK) {
        s->len += n;
    } else {
        s->tx_err++;
    }
    *index = word & D_EOR ? 0 : (*index + 1) % RTL_RING;
    st_le32(raw, word & ~(uint32_t)D_OWN);
    pci_dma_write(&s->pci, at, raw, 4);
    if (word & D_LS) {
        packet_out(s, word, vlan);
        s->len = 0;
    }
    return true;
}

void rtl8139_send_ring(Rtl8139 *s, bool high)
{
    uint32_t other = 0;
    unsigned n = 0;

    if (!(s->cr & CR_TE) || !(s->cpcr & CP_TX)) {
        return;
    }
    while (n < RTL_RING * 4 && one(s, high ? s->high_ring : s->tx_ring,
                                   high ? &other : &s->tx_desc)) {
        n++;
    }
    rtl8139_cause(s, n ? ISR_TOK : ISR_TDU);
}
