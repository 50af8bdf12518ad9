/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rtl8139.c - Realtek RTL8139C+ network card (datasheet, section 5): registers,
 * EEPROM (a 93C46), PHY registers, timer.
 *
 * Thread class: machine lock.
 *
 * Invariants
 * 1. The interrupt line is up exactly while isr & imr.
 * 2. TSD_OWN of a slot is set while the driver may fill it.
 */
#include <glib.h>
#include "hw/net/rtl8139.h"

#define TCTR_NS 30                     /* a tick of the PCI clock, 33 MHz     */
#define CFG_LOCKED(s) (((s)->reg[R_9346CR] & 0xc0) != 0xc0)

static const uint16_t eeprom_ids[3] = { 0x8129, 0x10ec, 0x8139 };

void rtl8139_cause(Rtl8139 *s, unsigned causes)
{
    s->isr |= causes;
    pci_irq(&s->pci, (s->isr & s->imr) != 0);
}

/* ---- EEPROM -------------------------------------------------------------- */

static uint16_t ee_word(const Rtl8139 *s, unsigned i)
{
    return i < 3 ? eeprom_ids[i]
         : i >= 7 && i < 10 ? ld_le16(s->net.mac + (i - 7) * 2) : 0;
}

enum { EE_DO = 1, EE_DI = 2, EE_SK = 4, EE_CS = 8 };

/* Start bit, opcode, six bits of address; a word read comes out after them. */
static void ee_write(Rtl8139 *s, uint8_t v)
{
    uint8_t was = s->reg[R_9346CR];

    s->reg[R_9346CR] = v & ~EE_DO;
    if (!(v & EE_CS)) {
        s->ee_bits = s->ee_left = 0;
        s->ee_last = false;
        return;
    }
    if ((was & EE_SK) || !(v & EE_SK)) {
        return;
    }
    if (s->ee_left) {
        s->ee_last = s->ee_out >> 15;
        s->ee_out <<= 1;
        s->ee_left--;
    } else if (s->ee_bits || (v & EE_DI)) {
        s->ee_shift = s->ee_shift << 1 | ((v & EE_DI) != 0);
        if (++s->ee_bits == 9) {
            s->ee_bits = 0;
            if ((s->ee_shift >> 6 & 7) == 6) {
                s->ee_out = ee_word(s, s->ee_shift & 63);
                s->ee_left = 16;
                s->ee_last = false;    /* a 0 comes first                     */
            }
        }
    }
}

/* ---- timer --------------------------------------------------------------- */

static uint32_t ticks(const Rtl8139 *s)
{
    return (clock_ns(CLOCK_VM) - s->timer_base) / TCTR_NS;
}

static MACHINE_CALL void timer_plan(Rtl8139 *s)
{
    uint32_t left = s->timer_at - ticks(s);

    if (!s->timer_at) {
        timer_clear(&s->timer);
    } else {
        timer_set(&s->timer, clock_ns(CLOCK_VM) + (int64_t)(left ? left : 1) *
                  TCTR_NS);
    }
}

static void timer_over(void *arg)
{
    machine_assert_locked();
    Rtl8139 *s = arg;

    rtl8139_cause(s, ISR_TIMEOUT);
    timer_set(&s->timer, clock_ns(CLOCK_VM) + (INT64_C(1) << 32) * TCTR_NS);
}

/* ---- reset --------------------------------------------------------------- */

static MACHINE_CALL void soft_reset(Rtl8139 *s)
{
    s->cr = 0;
    s->isr = s->imr = 0;
    s->rx_at = s->rx_read = 0;
    s->turn = 0;
    for (unsigned i = 0; i < 4; i++) {
        s->tsd[i] = TSD_OWN;
        s->tsad[i] = 0;
    }
    s->rx_desc = s->tx_desc = s->len = 0;
    s->cpcr = 0;
    s->tcr = 0x74800000;
    s->rcr = 0;
    s->bmcr = 0x1000;
    s->anar = 0x05e1;
    s->timer_at = 0;
    timer_clear(&s->timer);
    s->reg[R_9346CR] = 0;
    st_le32(s->reg + R_RBSTART, 0);
    pci_irq(&s->pci, 0);
}

static MACHINE_CALL void rtl_reset(Device *dev, ResetKind kind)
{
    Rtl8139 *s = (Rtl8139 *)dev;

    memset(s->reg, 0, sizeof(s->reg));
    memcpy(s->reg, s->net.mac, 6);
    s->reg[R_CONFIG1] = 0x0c;
    s->reg[R_CONFIG3] = 0x01;
    s->missed = 0;
    s->rx_ring = s->tx_ring = s->high_ring = s->tally = 0;
    s->tx_ok = s->rx_ok = s->tx_err = s->rx_phys = s->rx_broad = 0;
    s->rx_err = s->rx_multi = 0;
    s->ee_bits = s->ee_left = 0;
    s->ee_last = false;
    s->timer_base = 0;
    soft_reset(s);
    net_card_info(&s->net, s->net.mac);
}

/* ---- tally counters (C+) ------------------------------------------------- */

static MACHINE_CALL void tally_dump(Rtl8139 *s)
{
    uint8_t c[64] = { 0 };

    st_le64(c, s->tx_ok);
    st_le64(c + 8, s->rx_ok);
    st_le64(c + 16, s->tx_err);
    st_le32(c + 24, s->rx_err);
    st_le16(c + 28, s->missed);
    st_le64(c + 40, s->rx_phys);
    st_le64(c + 48, s->rx_broad);
    st_le32(c + 56, s->rx_multi);
    pci_dma_write(&s->pci, s->tally & ~UINT64_C(63), c, sizeof(c));
}

/* ---- reading ------------------------------------------------------------- */

static uint16_t slots_summary(const Rtl8139 *s)
{
    uint16_t v = 0;

    for (unsigned i = 0; i < 4; i++) {
        v |= (s->tsd[i] & TSD_OWN ? 1u : 0) << i |
             (s->tsd[i] & TSD_ABORT ? 0x10u : 0) << i |
             (s->tsd[i] & TSD_TUN ? 0x100u : 0) << i |
             (s->tsd[i] & TSD_TOK ? 0x1000u : 0) << i;
    }
    return v;
}

/* The register file as it is now. */
static MACHINE_CALL void refresh(Rtl8139 *s)
{
    bool up = net_card_link_up(&s->net);
    uint8_t *r = s->reg;

    for (unsigned i = 0; i < 4; i++) {
        st_le32(r + R_TSD + 4 * i, s->tsd[i]);
        st_le32(r + R_TSAD + 4 * i, s->tsad[i]);
    }
    r[R_CR] = s->cr | (rtl8139_ring_empty(s) ? CR_BUFE : 0);
    st_le16(r + R_CAPR, s->rx_read - 16);
    st_le16(r + R_CBR, s->rx_at);
    st_le16(r + R_IMR, s->imr);
    st_le16(r + R_ISR, s->isr);
    st_le32(r + R_TCR, s->tcr);
    st_le32(r + R_RCR, s->rcr);
    st_le32(r + R_TCTR, ticks(s));
    st_le32(r + R_MPC, s->missed);
    r[R_9346CR] = (r[R_9346CR] & ~EE_DO) | (s->ee_last ? EE_DO : 0);
    st_le32(r + R_TIMERINT, s->timer_at);
    r[R_MSR] = up ? 0xd0 : 0xd4;
    st_le16(r + R_RERID, 0x20);
    st_le16(r + R_TSUM, slots_summary(s));
    st_le16(r + R_BMCR, s->bmcr);
    st_le16(r + R_BMSR, up ? 0x782d : 0x7809);
    st_le16(r + R_ANAR, s->anar);
    st_le16(r + R_ANLPAR, up ? 0x05e1 : 0);
    st_le16(r + R_ANER, 1);
    st_le16(r + R_CSCR, up ? 0x0340 : 0x0100);
    r[R_5B] = 1;
    st_le16(r + R_CPCR, s->cpcr);
    st_le64(r + R_RDSAR, s->rx_ring);
}

static uint64_t rtl_read(void *dev, uint64_t off, unsigned size)
{
    machine_assert_locked();
    Rtl8139 *s = dev;
    uint64_t v = 0;

    if (off + size > sizeof(s->reg)) {
        return 0;
    }
    refresh(s);
    for (unsigned i = 0; i < size; i++) {
        v |= (uint64_t)s->reg[off + i] << 8 * i;
    }
    return v;
}

/* ---- writing ------------------------------------------------------------- */

static MACHINE_CALL void command(Rtl8139 *s, uint8_t v)
{
    if (v & CR_RST) {
        soft_reset(s);
        return;
    }
    if ((v & CR_RE) && !(s->cr & CR_RE)) {
        s->rx_desc = 0;
    }
    if ((v & CR_TE) && !(s->cr & CR_TE)) {
        s->tx_desc = 0;
        s->turn = 0;
    }
    s->cr = v & (CR_TE | CR_RE);
    if (s->cr & CR_RE) {
        net_resume(&s->net.port[0]);
    }
}

static MACHINE_CALL void slot_write(Rtl8139 *s, unsigned off, uint32_t v)
{
    unsigned i = off >> 2 & 3;

    if (s->cpcr & CP_TX) {             /* the address of the tally counters   */
        if (off == R_TSD) {
            s->tally = (s->tally & ~UINT64_C(0xffffffff)) | v;
            if (v & 8) {
                tally_dump(s);
                s->tally &= ~UINT64_C(8);
            }
        } else if (off == R_TSD + 4) {
            s->tally = (uint32_t)s->tally | (uint64_t)v << 32;
        }
        return;
    }
    s->tsd[i] = v & ~(0xff00c000u | TSD_ABORT);
    rtl8139_send_slot(s, i);
}

static void half(uint64_t *to, bool upper, uint32_t v)
{
    *to = upper ? (uint32_t)*to | (uint64_t)v << 32
                : (*to & ~UINT64_C(0xffffffff)) | v;
}

static MACHINE_CALL void write32(Rtl8139 *s, unsigned off, uint32_t v)
{
    switch (off) {
    case R_TSD: case R_TSD + 4: case R_TSD + 8: case R_TSD + 12:
        slot_write(s, off, v);
        break;
    case R_TSAD: case R_TSAD + 4: case R_TSAD + 8: case R_TSAD + 12:
        s->tsad[(off - R_TSAD) / 4] = v;
        half(off < R_TSAD + 8 ? &s->tx_ring : &s->high_ring, off & 4, v);
        if (off == R_TSAD) {
            s->tx_desc = 0;
        }
        break;
    case R_RBSTART:
        st_le32(s->reg + R_RBSTART, v);
        s->rx_at = s->rx_read = 0;
        break;
    case R_TCR:
        s->tcr = (s->tcr & ~0x030f07f0u) | (v & 0x030f07f0u);
        break;
    case R_RCR:
        s->rcr = v & 0x0f03ffbf;
        s->rx_at = s->rx_read = 0;
        break;
    case R_TCTR:
        s->timer_base = clock_ns(CLOCK_VM);
        timer_plan(s);
        break;
    case R_MPC:
        s->missed = 0;
        break;
    case R_TIMERINT:
        s->timer_at = v;
        timer_plan(s);
        break;
    case R_RDSAR: case R_RDSAR + 4:
        half(&s->rx_ring, off != R_RDSAR, v);
        s->rx_desc = 0;
        break;
    default:
        if (off == R_IDR || off == R_IDR + 4 || off == R_MAR ||
            off == R_MAR + 4) {
            st_le32(s->reg + off, v);
        }
    }
}

static MACHINE_CALL void write16(Rtl8139 *s, unsigned off, uint16_t v)
{
    switch (off) {
    case R_CAPR:
        s->rx_read = (v + 16u) % rtl8139_rx_size(s);
        net_resume(&s->net.port[0]);
        break;
    case R_IMR:
        s->imr = v & 0xe1ff;
        rtl8139_cause(s, 0);
        break;
    case R_ISR:
        s->isr &= ~v;
        rtl8139_cause(s, 0);
        break;
    case R_BMCR:
        s->bmcr = v & 0x1200;
        break;
    case R_ANAR:
        s->anar = v;
        break;
    case R_MULINT:
        st_le16(s->reg + off, v & 0xfff);
        break;
    case R_CPCR:
        s->cpcr = v & 0x7b;
        break;
    default:
        break;
    }
}

static MACHINE_CALL void write8(Rtl8139 *s, unsigned off, uint8_t v)
{
    switch (off) {
    case R_IDR ... R_IDR + 5:
        s->reg[off] = v;
        if (off == R_IDR + 5) {
            net_card_info(&s->net, s->reg + R_IDR);
        }
        break;
    case R_MAR ... R_MAR + 7:
    case R_MTPS:
        s->reg[off] = v;
        break;
    case R_CR:
        command(s, v);
        break;
    case R_9346CR:
        ee_write(s, v);
        break;
    case R_CONFIG0:
    case R_CONFIG1:
    case R_CONFIG3:
    case R_CONFIG4:
        if (!CFG_LOCKED(s)) {
            s->reg[off] = off == R_CONFIG0 ? v & 7
                        : off == R_CONFIG3 ? (v & 0x70) | 1
                        : off == R_CONFIG4 ? v & 0xf5 : v | 0x0c;
        }
        break;
    case R_CONFIG5:
        s->reg[off] = v & 0x7f;
        break;
    case R_TPPOLL:
        if (v & 0x80) {
            rtl8139_send_ring(s, true);
        }
        if (v & 0x40) {
            rtl8139_send_ring(s, false);
        }
        if (v & 1) {
            rtl8139_cause(s, ISR_SWINT);
        }
        break;
    default:
        break;
    }
}

/* Each register at its own width; a wider access is several, a narrower one of a
 * wide register replaces its part. */
static unsigned width_at(unsigned off)
{
    if (off < R_TSD || off == R_CR || (off >= R_9346CR && off < R_TIMERINT) ||
        (off >= R_MSR && off < R_MULINT) || off == R_CONFIG5 ||
        off == R_TPPOLL || off >= R_MTPS) {
        return 1;
    }
    return (off >= R_CAPR && off < R_TCR) || (off >= R_MULINT && off < 0x78) ||
           (off >= R_CPCR && off < R_RDSAR) ? 2 : 4;
}

static void rtl_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    machine_assert_locked();
    Rtl8139 *s = dev;

    while (size && off < sizeof(s->reg)) {
        unsigned w = width_at(off), base = off & ~(w - 1);
        unsigned n = MIN2(size, w - (unsigned)(off - base)), sh;
        uint32_t v, mask = n == 4 ? UINT32_MAX : (1u << n * 8) - 1;

        sh = (off - base) * 8;
        v = (val & mask) << sh;
        if (n < w && base != R_ISR) {
            v |= rtl_read(s, base, w) & ~(mask << sh);
        }
        if (w == 4) {
            write32(s, base, v);
        } else if (w == 2) {
            write16(s, base, v);
        } else {
            write8(s, base, v);
        }
        off += n;
        size -= n;
        val >>= n * 8;
    }
}

static const MemOps rtl_ops = {
    .read = rtl_read, .write = rtl_write, .min = 1, .max = 4,
};

/* ---- life ---------------------------------------------------------------- */

static MACHINE_CALL ssize_t port_send(NetPort *p, const struct iovec *iov,
                                      int niov)
{
    return rtl8139_receive(p->arg, iov, niov);
}

static MACHINE_CALL void port_link(NetPort *p)
{
    Rtl8139 *s = p->arg;

    if (s->pci.dev.realized) {
        rtl8139_cause(s, ISR_LINK);
    }
}

static const NetDriver rtl_port = {
    .name = "nic", .internal = true, .send = port_send, .link = port_link,
};

static MACHINE_CALL bool rtl_realize(Device *dev, Error **errp)
{
    Rtl8139 *s = (Rtl8139 *)dev;

    timer_init(&s->timer, NULL, CLOCK_VM, timer_over, s);
    if (!net_card_open(&s->net, dev, &rtl_port, 1, errp)) {
        return false;
    }
    pci_set_pin(&s->pci, 1);
    s->pci.config[0x34] = 0xdc;
    mem_init_io(&s->io, "rtl8139", 256, &rtl_ops, s);
    mem_init_io(&s->mmio, "rtl8139", 256, &rtl_ops, s);
    pci_bar(&s->pci, 0, PCI_BAR_IO, &s->io);
    pci_bar(&s->pci, 1, PCI_BAR_MEM32, &s->mmio);
    return true;
}

static MACHINE_CALL void rtl_unrealize(Device *dev)
{
    Rtl8139 *s = (Rtl8139 *)dev;

    timer_clear(&s->timer);
    net_card_close(&s->net);
    mem_fini(&s->io);
    mem_fini(&s->mmio);
}

static bool rtl_loaded(void *opaque, int version, Error **errp)
{
    Rtl8139 *s = opaque;
    uint32_t size = rtl8139_rx_size(s);

    return (s->rx_at < size && s->rx_read < size && s->turn < 4 &&
            s->rx_desc < RTL_RING && s->tx_desc < RTL_RING &&
            s->len <= RTL_FRAME_MAX && s->ee_bits < 9 && s->ee_left <= 16) ||
           error_set(errp, "rtl8139: buffer at %u and %u of %u, descriptors %u "
                     "and %u", s->rx_at, s->rx_read, size, s->rx_desc,
                     s->tx_desc);
}

static char *fw_name(const Device *dev)
{
    return g_strdup("ethernet");
}

static const VmState rtl_state = {
    .name = "rtl8139", .version = 1, .oldest = 1, .after_load = rtl_loaded,
    .fields = (const VmField[]){
        VM_BYTES(Rtl8139, reg), VM_U16(Rtl8139, isr), VM_U16(Rtl8139, imr),
        VM_U16(Rtl8139, cpcr), VM_U16(Rtl8139, bmcr), VM_U16(Rtl8139, anar),
        VM_U32(Rtl8139, rcr), VM_U32(Rtl8139, tcr), VM_U32(Rtl8139, missed),
        VM_U32(Rtl8139, timer_at), VM_ARRAY(Rtl8139, tsd, VK_U32),
        VM_ARRAY(Rtl8139, tsad, VK_U32), VM_U32(Rtl8139, rx_at),
        VM_U32(Rtl8139, rx_read), VM_U8(Rtl8139, cr), VM_U8(Rtl8139, turn),
        VM_U8(Rtl8139, ee_bits), VM_U16(Rtl8139, ee_shift),
        VM_U16(Rtl8139, ee_out), VM_U8(Rtl8139, ee_left),
        VM_BOOL(Rtl8139, ee_last), VM_U64(Rtl8139, rx_ring),
        VM_U64(Rtl8139, tx_ring), VM_U64(Rtl8139, high_ring),
        VM_U64(Rtl8139, tally), VM_U32(Rtl8139, rx_desc),
        VM_U32(Rtl8139, tx_desc), VM_U64(Rtl8139, tx_ok),
        VM_U64(Rtl8139, rx_ok), VM_U64(Rtl8139, tx_err),
        VM_U32(Rtl8139, rx_err), VM_U32(Rtl8139, rx_multi),
        VM_U64(Rtl8139, rx_phys), VM_U64(Rtl8139, rx_broad),
        VM_I64(Rtl8139, timer_base), VM_TIMER(Rtl8139, timer),
        VM_U32(Rtl8139, len), VM_BYTES(Rtl8139, frame), VM_END
    },
};

static const Prop rtl_props[] = {
    PROP_NET_CARD(Rtl8139, net),
    PROP_BOOTINDEX,
    PROP_END
};

DEVICE(rtl8139, {
    .name = "rtl8139", .category = "network", .size = sizeof(Rtl8139),
    .doc = "A card for 100 Mbit/s that old systems have drivers for: a receive "
           "buffer and four slots to send from, or descriptor rings with "
           "checksums and segmentation (C+ mode).",
    .on = &bus_pci,
    .on_info = &(const PciInfo){
        .vendor = 0x10ec, .device = 0x8139, .class_code = 0x020000,
        .revision = 0x20, .romfile = "efi-rtl8139.rom",
    },
    .props = rtl_props, .vmstate = &rtl_state, .fw_name = fw_name,
    .fw_below = "ethernet-phy@0",
    .realize = rtl_realize, .unrealize = rtl_unrealize, .reset = rtl_reset,
});
