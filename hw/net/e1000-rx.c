/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * e1000-rx.c - reception by the 8254x cards: address, multicast and VLAN filters,
 * the descriptor ring, checksum verdicts (Software Developer's Manual 3.2, 13.4
 * RCTL, 13.5 filters).
 *
 * Thread class: machine lock.
 *
 * Invariants
 * 1. A frame is stored whole or not at all.
 */
#include "hw/net/e1000.h"

enum { ST_DD = 1, ST_EOP = 2, ST_IXSM = 4, ST_VP = 8, ST_TCPCS = 0x20,
       ST_IPCS = 0x40, ST_PIF = 0x80, ERR_TCPE = 0x20, ERR_IPE = 0x40 };

typedef struct Frame {
    const struct iovec *iov;
    int niov;
    size_t n;                          /* bytes without FCS                   */
    uint8_t head[18];                  /* addresses, tag, type                */
    bool tagged;                       /* with the card's VLAN type           */
    bool strip;
    uint8_t status, errors;
} Frame;

/* ---- filters ------------------------------------------------------------- */

static bool hashed(const E1000 *s, const uint8_t *mac)
{
    static const uint8_t shift[] = { 4, 3, 2, 0 };
    unsigned h = (ld_le16(mac + 4) >> shift[REG(s, R_RCTL) >> 12 & 3]) & 0xfff;

    return REG(s, R_MTA + (h >> 5) * 4) >> (h & 31) & 1;
}

static bool exact(const E1000 *s, const uint8_t *mac)
{
    for (unsigned i = 0; i < 16; i++) {
        uint32_t low = REG(s, R_RAL + i * 8), high = REG(s, R_RAH + i * 8);

        if ((high >> 31) && ld_le32(mac) == low &&
            ld_le16(mac + 4) == (high & 0xffff)) {
            return true;
        }
    }
    return false;
}

static bool wanted(E1000 *s, const Frame *f)
{
    uint32_t rctl = REG(s, R_RCTL);
    const uint8_t *mac = f->head;
    bool broadcast = !memcmp(mac, "\xff\xff\xff\xff\xff\xff", 6);

    if (f->tagged && (rctl & RCTL_VFE)) {
        unsigned vid = ld_be16(f->head + 14) & 0xfff;

        if (!(REG(s, R_VFTA + (vid >> 5) * 4) >> (vid & 31) & 1)) {
            return false;
        }
    }
    if (broadcast && (rctl & RCTL_BAM)) {
        return true;
    }
    if (mac[0] & 1 ? rctl & RCTL_MPE : rctl & RCTL_UPE) {
        return true;
    }
    return exact(s, mac) || hashed(s, mac);
}

static void counted(E1000 *s, const Frame *f)
{
    size_t n = f->n + 4;

    e1000_count(s, R_TPR, 1);
    e1000_count(s, R_GPRC, 1);
    e1000_count64(s, R_TORL, n);
    e1000_count64(s, R_GORCL, n);
    e1000_count_size(s, R_PRC64, n);
    if (f->head[0] & 1) {
        e1000_count(s, memcmp(f->head, "\xff\xff\xff\xff\xff\xff", 6)
                    ? R_MPRC : R_BPRC, 1);
    }
}

/* ---- checksums ----------------------------------------------------------- */

static uint32_t sum_from(const Frame *f, size_t off, size_t n, uint32_t sum)
{
    uint8_t buf[2048];

    while (n) {
        size_t part = net_iov_read(f->iov, f->niov, off, buf,
                                   MIN2(n, sizeof(buf)));

        if (!part) {
            break;
        }
        sum = net_csum_add(sum, buf, part);
        off += part;
        n -= part;
    }
    return sum;
}

/* Of an IPv4 packet: what the card found out. */
static void verdicts(const E1000 *s, Frame *f)
{
    size_t at = f->tagged ? 18 : 14;
    uint32_t want = REG(s, R_RXCSUM);
    uint8_t ip[60];
    unsigned hlen, total, proto;

    if (!(want & (RXCSUM_IPOFL | RXCSUM_TUOFL)) ||
        ld_be16(f->head + at - 2) != 0x0800 ||
        net_iov_read(f->iov, f->niov, at, ip, 60) < 20) {
        return;
    }
    hlen = (ip[0] & 15) * 4;
    total = ld_be16(ip + 2);
    if (ip[0] >> 4 != 4 || hlen < 20 || total < hlen || at + total > f->n) {
        return;
    }
    f->status &= ~ST_IXSM;
    if (want & RXCSUM_IPOFL) {
        f->status |= ST_IPCS;
        f->errors |= net_csum_fold(net_csum_add(0, ip, hlen)) ? ERR_IPE : 0;
    }
    proto = ip[9];
    if (!(want & RXCSUM_TUOFL) || (ld_be16(ip + 6) & 0x3fff) ||
        (proto != 6 && proto != 17)) {
        return;
    }
    if (proto == 17) {
        uint8_t sum[2];

        if (net_iov_read(f->iov, f->niov, at + hlen + 6, sum, 2) < 2 ||
            !ld_be16(sum)) {
            return;                    /* none given                          */
        }
    }
    f->status |= ST_TCPCS;
    want = net_csum_add(proto + (total - hlen), ip + 12, 8);
    want = sum_from(f, at + hlen, total - hlen, want);
    f->errors |= net_csum_fold(want) ? ERR_TCPE : 0;
}

/* ---- the ring ------------------------------------------------------------ */

static unsigned buffer_size(const E1000 *s)
{
    static const uint16_t sizes[8] = { 2048, 1024, 512, 256, 0, 16384, 8192,
                                       4096 };
    uint32_t rctl = REG(s, R_RCTL);
    unsigned n = sizes[(rctl >> 16 & 3) + (rctl & RCTL_BSEX ? 4 : 0)];

    return n ? n : 2048;
}

static uint32_t free_buffers(const E1000 *s)
{
    uint32_t ring = REG(s, R_RDLEN) / 16;
    uint32_t head = REG(s, R_RDH), tail = REG(s, R_RDT);

    if (!ring || head >= ring || tail >= ring) {
        return 0;
    }
    return head <= tail ? tail - head : ring - head + tail;
}

/* Part of the frame as stored, which lacks a stripped tag. What lies in one piece
 * goes from there. */
static MACHINE_CALL void copy_out(E1000 *s, const Frame *f, size_t off,
                                  uint64_t to, size_t n)
{
    uint8_t buf[2048];

    while (n) {
        const uint8_t *from = buf;
        size_t at = off, want = n;

        if (f->strip) {
            if (off < 12) {
                want = MIN2(want, 12 - off);
            } else {
                at = off + 4;
            }
        }
        if (f->niov == 1 && at < f->n) {
            want = MIN2(want, f->n - at);
            from = (const uint8_t *)f->iov->iov_base + at;
        } else {
            size_t part;

            want = MIN2(want, sizeof(buf));
            part = net_iov_read(f->iov, f->niov, at, buf, want);
            memset(buf + part, 0, want - part);        /* check sequence      */
        }
        pci_dma_write(&s->pci, to, from, want);
        to += want;
        off += want;
        n -= want;
    }
}

static MACHINE_CALL bool store(E1000 *s, const Frame *f)
{
    uint64_t base = (uint64_t)REG(s, R_RDBAH) << 32 |
                    (REG(s, R_RDBAL) & ~15u);
    size_t size = f->n - (f->strip ? 4 : 0), off = 0;
    unsigned buf = buffer_size(s);
    size_t total = size + (REG(s, R_RCTL) & RCTL_SECRC ? 0 : 4);

    while (off < total) {
        uint64_t at = base + (uint64_t)REG(s, R_RDH) * 16;
        size_t n = MIN2(total - off, buf);
        uint8_t d[16];

        if (pci_dma_read(&s->pci, at, d, 16) != MEM_OK) {
            return false;
        }
        if (ld_le64(d)) {
            copy_out(s, f, off, ld_le64(d), n);
        }
        off += n;
        st_le16(d + 8, n);
        st_le16(d + 10, 0);
        d[12] = f->status | ST_DD | (off == total ? ST_EOP : 0);
        d[13] = off == total ? f->errors : 0;
        st_le16(d + 14, f->strip ? ld_be16(f->head + 14) : 0);
        pci_dma_write(&s->pci, at + 8, d + 8, 8);      /* one store           */
        if (++REG(s, R_RDH) >= REG(s, R_RDLEN) / 16) {
            REG(s, R_RDH) = 0;
        }
    }
    return true;
}

static bool too_long(const E1000 *s, size_t n)
{
    return n > 16384 - 4 || (n > 1518 && !(REG(s, R_RCTL) & RCTL_LPE));
}

ssize_t e1000_receive(E1000 *s, const struct iovec *iov, int niov)
{
    machine_assert_locked();
    static const uint8_t pad[60];
    struct iovec padded[17];
    size_t n = net_iov_len(iov, niov), got;
    Frame f = { .status = ST_IXSM };
    uint32_t causes = ICR_RXT0, ring = REG(s, R_RDLEN) / 16;

    if (!(REG(s, R_RCTL) & RCTL_EN) || !(REG(s, R_STATUS) & STATUS_LU) ||
        n < 14) {
        return n;
    }
    got = n;
    if (n < 60 && niov <= 16) {
        memcpy(padded, iov, niov * sizeof(*iov));
        padded[niov] = (struct iovec){ (void *)(uintptr_t)pad, 60 - n };
        iov = padded;
        niov++;
        n = 60;
    }
    f.iov = iov;
    f.niov = niov;
    f.n = n;
    net_iov_read(iov, niov, 0, f.head, sizeof(f.head));
    f.tagged = ld_be16(f.head + 12) == (REG(s, R_VET) & 0xffff);
    if (!wanted(s, &f)) {
        return got;
    }
    if (too_long(s, n)) {
        e1000_count(s, R_ROC, 1);
        return got;
    }
    f.strip = f.tagged && (REG(s, R_CTRL) & CTRL_VME);
    f.status |= f.strip ? ST_VP : 0;
    if ((uint64_t)free_buffers(s) * buffer_size(s) < n + 4) {
        e1000_count(s, R_RNBC, 1);
        e1000_cause(s, ICR_RXO);
        return 0;
    }
    verdicts(s, &f);
    if (!exact(s, f.head)) {
        f.status |= ST_PIF;
    }
    if (!store(s, &f)) {
        e1000_count(s, R_MPC, 1);
        return got;
    }
    counted(s, &f);
    if (free_buffers(s) <= ring >> ((REG(s, R_RCTL) >> 8 & 3) + 1)) {
        causes |= ICR_RXDMT0;
    }
    e1000_cause(s, causes);
    return got;
}
