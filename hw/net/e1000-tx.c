/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * e1000-tx.c - transmission by the 8254x cards: legacy, context and data
 * descriptors, checksums, TCP segmentation, VLAN tags (Software Developer's
 * Manual 3.3 to 3.6).
 *
 * Thread class: machine lock.
 *
 * Invariants
 * 1. One call looks at no more descriptors than the ring has.
 * 2. Offsets of checksums are compared with the frame's length before use; a
 *    segment is never longer than its buffer.
 */
#include "hw/net/e1000.h"

enum { CMD_EOP = 1, CMD_IC = 4, CMD_TSE = 4, CMD_RS = 8, CMD_RPS = 0x10,
       CMD_DEXT = 0x20, CMD_VLE = 0x40 };
enum { TUCMD_TCP = 1, TUCMD_IP4 = 2, TUCMD_TSE = 4 };
enum { POPTS_IP = 1, POPTS_TU = 2 };

static bool looped_back(const E1000 *s)
{
    return (REG(s, R_RCTL) & RCTL_LBM) || (s->phy[PHY_CTRL] & 0x4000);
}

static MACHINE_CALL void frame_out(E1000 *s, const uint8_t *buf, size_t n)
{
    static const uint8_t pad[60];
    struct iovec iov[2] = { { (void *)(uintptr_t)buf, n } };
    int niov = 1;
    size_t total = n + 4;

    if (n < 60 && (REG(s, R_TCTL) & TCTL_PSP)) {
        iov[1] = (struct iovec){ (void *)(uintptr_t)pad, 60 - n };
        niov = 2;
        total = 64;
    }
    e1000_count(s, R_TPT, 1);
    e1000_count(s, R_GPTC, 1);
    e1000_count64(s, R_TOTL, total);
    e1000_count64(s, R_GOTCL, total);
    e1000_count_size(s, R_PTC64, total);
    if (n >= 6 && (buf[0] & 1)) {
        e1000_count(s, memcmp(buf, "\xff\xff\xff\xff\xff\xff", 6)
                    ? R_MPTC : R_BPTC, 1);
    }
    if (looped_back(s)) {
        e1000_receive(s, iov, niov);
    } else {
        net_card_send(&s->net, 0, iov, niov);
    }
}

/* Sums bytes start..end of the frame (end 0: to its end) into place `at`. */
static void checksum(uint8_t *buf, size_t n, unsigned start, unsigned at,
                     unsigned end)
{
    size_t last = end ? MIN2((size_t)end + 1, n) : n;

    if (start < last && at + 2u <= n) {
        uint16_t sum = net_csum_fold(net_csum_add(0, buf + start,
                                                  last - start));

        st_be16(buf + at, sum ? sum : 0xffff);
    }
}

static MACHINE_CALL void frame_tagged(E1000 *s, uint8_t *buf, size_t n)
{
    E1000Tx *t = &s->tx;
    uint8_t with[16384 + 64];

    if (!t->tagged || n < 12 || n + 4 > sizeof(with)) {
        frame_out(s, buf, n);
        return;
    }
    memcpy(with, buf, 12);
    st_be16(with + 12, REG(s, R_VET));
    st_be16(with + 14, t->tag);
    memcpy(with + 16, buf + 12, n - 12);
    frame_out(s, with, n + 4);
}

/* ---- segmentation -------------------------------------------------------- */

/* Fits the headers of a segment: lengths, IP id, TCP sequence and flags, and the
 * checksums' seeds, which the driver left without lengths. */
static void segment_headers(const E1000Context *c, uint8_t *buf, size_t n,
                            uint32_t off, unsigned index, bool last)
{
    unsigned ip = c->ipcss, tu = c->tucss;

    if ((c->tucmd & TUCMD_IP4) && ip + 20u <= n) {
        st_be16(buf + ip + 2, n - ip);
        st_be16(buf + ip + 4, ld_be16(buf + ip + 4) + index);
    } else if (!(c->tucmd & TUCMD_IP4) && ip + 40u <= n) {
        st_be16(buf + ip + 4, n - ip - 40);
    }
    if ((c->tucmd & TUCMD_TCP) && tu + 20u <= n) {
        st_be32(buf + tu + 4, ld_be32(buf + tu + 4) + off);
        if (!last) {
            buf[tu + 13] &= ~9;        /* PSH and FIN belong to the last one  */
        }
    } else if (!(c->tucmd & TUCMD_TCP) && tu + 8u <= n) {
        st_be16(buf + tu + 4, n - tu);
    }
    if (c->tucso + 2u <= n && tu <= n) {
        uint32_t seed = ld_be16(buf + c->tucso) + (uint32_t)(n - tu);

        st_be16(buf + c->tucso, (seed & 0xffff) + (seed >> 16));
    }
}

static MACHINE_CALL void segments_out(E1000 *s)
{
    E1000Tx *t = &s->tx;
    const E1000Context *c = &t->ctx[1];
    uint32_t hdr = c->hdr_len, payload, off = 0;
    uint8_t seg[256 + 16384];

    if (!c->mss || c->mss > 16384 || !hdr || t->len <= hdr) {
        guest_fault("e1000", "segmentation with header %u, MSS %u, frame %u",
                    hdr, c->mss, t->len);
        return;
    }
    payload = t->len - hdr;
    for (unsigned i = 0; off < payload; i++) {
        uint32_t n = MIN2(payload - off, c->mss);

        memcpy(seg, t->data, hdr);
        memcpy(seg + hdr, t->data + hdr + off, n);
        segment_headers(c, seg, hdr + n, off, i, off + n == payload);
        if (t->popts & POPTS_TU) {
            checksum(seg, hdr + n, c->tucss, c->tucso, c->tucse);
        }
        if (t->popts & POPTS_IP) {
            checksum(seg, hdr + n, c->ipcss, c->ipcso, c->ipcse);
        }
        frame_tagged(s, seg, hdr + n);
        off += n;
    }
    e1000_count(s, R_TSCTC, 1);
}

static MACHINE_CALL void packet_out(E1000 *s)
{
    E1000Tx *t = &s->tx;
    const E1000Context *c = &t->ctx[0];

    if (t->tse) {
        segments_out(s);
    } else if (t->len >= 14) {
        if (t->popts & POPTS_TU) {
            checksum(t->data, t->len, c->tucss, c->tucso, c->tucse);
        }
        if (t->popts & POPTS_IP) {
            checksum(t->data, t->len, c->ipcss, c->ipcso, c->ipcse);
        }
        frame_tagged(s, t->data, t->len);
    }
    t->len = 0;
    t->popts = 0;
    t->tse = t->tagged = false;
}

/* ---- descriptors --------------------------------------------------------- */

static void context_take(E1000 *s, const uint8_t *d)
{
    uint32_t dw2 = ld_le32(d + 8);
    uint8_t tucmd = dw2 >> 24;
    E1000Context *c = &s->tx.ctx[(tucmd & TUCMD_TSE) != 0];

    c->ipcss = d[0];
    c->ipcso = d[1];
    c->ipcse = ld_le16(d + 2);
    c->tucss = d[4];
    c->tucso = d[5];
    c->tucse = ld_le16(d + 6);
    c->paylen = dw2 & 0xfffff;
    c->tucmd = tucmd;
    c->hdr_len = d[13];
    c->mss = ld_le16(d + 14);
}

static MACHINE_CALL void data_take(E1000 *s, uint64_t addr, uint32_t n)
{
    E1000Tx *t = &s->tx;
    uint32_t room = E1000_FRAME_MAX - t->len;

    if (n > room) {
        guest_fault("e1000", "frame above %u bytes", E1000_FRAME_MAX);
        n = room;
    }
    if (n && pci_dma_read(&s->pci, addr, t->data + t->len, n) != MEM_OK) {
        memset(t->data + t->len, 0, n);
    }
    t->len += n;
}

static MACHINE_CALL void descriptor_take(E1000 *s, const uint8_t *d)
{
    E1000Tx *t = &s->tx;
    uint64_t addr = ld_le64(d);
    uint32_t lower = ld_le32(d + 8);
    uint8_t cmd = lower >> 24;
    bool first = !t->len;

    if ((cmd & CMD_DEXT) && (lower >> 20 & 15) == 0) {
        context_take(s, d);
        return;
    }
    if (cmd & CMD_DEXT) {
        if (first) {
            t->popts = d[13];
            t->tse = cmd & CMD_TSE;
        }
        data_take(s, addr, lower & 0xfffff);
    } else {
        data_take(s, addr, lower & 0xffff);
    }
    if ((cmd & CMD_VLE) && (REG(s, R_CTRL) & CTRL_VME) && (cmd & CMD_EOP)) {
        t->tagged = true;
        t->tag = ld_le16(d + 14);
    }
    if (!(cmd & CMD_EOP)) {
        return;
    }
    if (!(cmd & CMD_DEXT) && (cmd & CMD_IC)) {
        checksum(t->data, t->len, d[13], lower >> 16 & 0xff, 0);
    }
    packet_out(s);
}

static MACHINE_CALL uint32_t write_back(E1000 *s, uint64_t at, uint8_t *d)
{
    uint8_t cmd = d[11];

    if (!(cmd & (CMD_RS | CMD_RPS))) {
        return 0;
    }
    d[12] = (d[12] & 0xf0) | 1;        /* DD; no errors                       */
    pci_dma_write(&s->pci, at + 12, d + 12, 1);
    return ICR_TXDW;
}

void e1000_transmit(E1000 *s)
{
    machine_assert_locked();
    uint32_t ring = REG(s, R_TDLEN) / 16, causes = ICR_TXQE;
    uint64_t base = (uint64_t)REG(s, R_TDBAH) << 32 |
                    (REG(s, R_TDBAL) & ~15u);

    if (!(REG(s, R_TCTL) & TCTL_EN) || !ring) {
        return;
    }
    for (uint32_t i = 0; i < ring && REG(s, R_TDH) != REG(s, R_TDT); i++) {
        uint64_t at = base + (uint64_t)REG(s, R_TDH) * 16;
        uint8_t d[16];

        if (pci_dma_read(&s->pci, at, d, sizeof(d)) != MEM_OK) {
            guest_fault("e1000", "no descriptor at 0x%" PRIx64, at);
            break;
        }
        if (ld_le64(d) || (d[11] & CMD_DEXT)) {
            descriptor_take(s, d);
        }
        causes |= write_back(s, at, d);
        if (++REG(s, R_TDH) >= ring) {
            REG(s, R_TDH) = 0;
        }
        if (REG(s, R_TDT) >= ring) {
            guest_fault("e1000", "transmit tail %u in a ring of %u",
                        REG(s, R_TDT), ring);
            break;
        }
    }
    e1000_cause(s, causes);
}
