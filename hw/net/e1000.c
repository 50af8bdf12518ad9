/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * e1000.c - Intel 8254x gigabit cards: 82540EM (e1000), 82544GC, 82545EM. The
 * registers, interrupts and their moderation, the link (PCI/PCI-X Family of
 * Gigabit Ethernet Controllers Software Developer's Manual, section 13).
 *
 * Thread class: machine lock.
 *
 * Invariants
 * 1. The interrupt line is up exactly while ICR & IMS is not 0, but for the time
 *    that moderation keeps it down.
 * 2. autoneg is armed only while the link is down for it.
 */
#include <glib.h>
#include "hw/net/e1000.h"

TYPE_NAME(e1000_base_type, { "e1000-base", "pci-device", true });

/* ---- interrupts ---------------------------------------------------------- */

/* Time until the next interrupt may come, ns. */
static int64_t pause_of(const E1000 *s, uint32_t causes)
{
    int64_t ns = (int64_t)(REG(s, R_ITR) & 0xffff) * 256;
    int64_t wait = 0;

    if (causes & ICR_TXDW) {
        wait = (int64_t)REG(s, R_TADV) * 1024;
    }
    if ((causes & ICR_RXT0) && REG(s, R_RDTR)) {
        int64_t rx = (int64_t)REG(s, R_RADV) * 1024;

        wait = wait && wait < rx ? wait : rx;
    }
    return MAX2(ns, MIN2(wait, 1 * NS_PER_MS));
}

static MACHINE_CALL void irq_update(E1000 *s)
{
    uint32_t causes = REG(s, R_ICR) & REG(s, R_IMS);
    int64_t pause;

    if (!causes) {
        pci_irq(&s->pci, 0);
        return;
    }
    if (s->throttled || s->pci.irq_state) {
        return;
    }
    pause = s->mitigation ? pause_of(s, causes) : 0;
    if (pause) {
        s->throttled = true;
        timer_set(&s->throttle, clock_ns(CLOCK_VM) + pause);
    }
    pci_irq(&s->pci, 1);
}

static void throttle_over(void *arg)
{
    machine_assert_locked();
    E1000 *s = arg;

    s->throttled = false;
    irq_update(s);
}

void e1000_cause(E1000 *s, uint32_t causes)
{
    machine_assert_locked();
    REG(s, R_ICR) |= causes;
    irq_update(s);
}

/* ---- statistics ---------------------------------------------------------- */

void e1000_count(E1000 *s, unsigned reg, uint32_t n)
{
    REG(s, reg) += MIN2(n, UINT32_MAX - REG(s, reg));
}

void e1000_count64(E1000 *s, unsigned reg, uint64_t n)
{
    uint64_t v = REG(s, reg) | (uint64_t)REG(s, reg + 4) << 32;

    v += MIN2(n, UINT64_MAX - v);
    REG(s, reg) = v;
    REG(s, reg + 4) = v >> 32;
}

void e1000_count_size(E1000 *s, unsigned reg, size_t n)
{
    static const uint16_t upto[] = { 64, 127, 255, 511, 1023 };
    unsigned i = 0;

    while (i < ARRAY_SIZE(upto) && n > upto[i]) {
        i++;
    }
    e1000_count(s, reg + i * 4, 1);
}

/* ---- link ---------------------------------------------------------------- */

static MACHINE_CALL void link_set(E1000 *s, bool up)
{
    if (up) {
        REG(s, R_STATUS) |= STATUS_LU;
        s->phy[PHY_STATUS] |= 0x0024;  /* link, negotiation complete          */
        s->phy[PHY_LPA] |= 0x4000;
    } else {
        REG(s, R_STATUS) &= ~STATUS_LU;
        s->phy[PHY_STATUS] &= ~0x0024;
        s->phy[PHY_LPA] &= ~0x4000;
    }
}

void e1000_link_changed(E1000 *s)
{
    machine_assert_locked();
    bool was = REG(s, R_STATUS) & STATUS_LU;
    bool up = net_card_link_up(&s->net);

    if (up && s->autonegotiation && !was) {
        timer_set(&s->autoneg, clock_ns(CLOCK_VM) + 500 * NS_PER_MS);
        return;
    }
    timer_clear(&s->autoneg);
    link_set(s, up);
    if (up != was) {
        e1000_cause(s, ICR_LSC);
    }
}

static void autoneg_over(void *arg)
{
    machine_assert_locked();
    E1000 *s = arg;

    if (net_card_link_up(&s->net)) {
        link_set(s, true);
        e1000_cause(s, ICR_LSC);
        net_resume(&s->net.port[0]);
    }
}

static MACHINE_CALL void port_link(NetPort *p)
{
    E1000 *s = p->arg;

    if (s->pci.dev.realized) {
        e1000_link_changed(s);
    }
}

static MACHINE_CALL ssize_t port_send(NetPort *p, const struct iovec *iov,
                                      int niov)
{
    return e1000_receive(p->arg, iov, niov);
}

static const NetDriver e1000_port = {
    .name = "nic", .internal = true, .send = port_send, .link = port_link,
};

/* ---- registers ----------------------------------------------------------- */

/* Bits of plain registers that the guest may write; by first and last offset. */
static const struct {
    uint16_t first, last;
    uint32_t mask;
} plain[] = {
    { 0x0028, 0x0030, ~0u }, { R_VET, R_VET, ~0u }, { 0x0018, 0x0018, ~0u },
    { R_ITR, R_ITR, 0xffff }, { 0x0170, 0x0178, ~0u }, { R_TCTL, R_TCTL, ~0u },
    { 0x0410, 0x0410, 0x3fffffff }, { R_LEDCTL, R_LEDCTL, ~0u },
    { R_PBA, R_PBA, ~0u }, { 0x2160, 0x2168, ~0u }, { 0x2410, 0x2428, 0x1fff },
    { R_RDBAL, R_RDBAH, ~0u }, { R_RDLEN, R_RDLEN, 0xfff80 },
    { R_RDH, R_RDH, 0xffff }, { R_RDTR, R_RDTR, 0xffff }, { 0x2828, 0x2828, ~0u },
    { R_RADV, R_RADV, 0xffff }, { 0x2c00, 0x2c00, 0xfff }, { 0x3410, 0x3430, 0x7ff },
    { R_TDBAL, R_TDBAH, ~0u }, { R_TDLEN, R_TDLEN, 0xfff80 },
    { R_TDH, R_TDH, 0xffff }, { R_TIDV, R_TIDV, 0xffff }, { 0x3828, 0x3828, ~0u },
    { R_TADV, R_TADV, 0xffff }, { 0x3830, 0x3830, ~0u },
    { R_RXCSUM, R_RXCSUM, 0x7ff }, { R_MTA, R_MTA + 0x1fc, ~0u },
    { R_VFTA, R_VFTA + 0x1fc, ~0u }, { 0x5800, 0x5810, ~0u },
    { 0x5838, 0x5838, ~0u }, { 0x5840, 0x5880, ~0u }, { 0x5b50, 0x5b50, ~0u },
    { 0x5f00, 0x5f28, 0x7ff },
};

static uint32_t plain_mask(uint32_t off)
{
    for (unsigned i = 0; i < ARRAY_SIZE(plain); i++) {
        if (off >= plain[i].first && off <= plain[i].last) {
            return plain[i].mask;
        }
    }
    return 0;
}

static uint64_t e1000_read(void *dev, uint64_t off, unsigned size)
{
    machine_assert_locked();
    E1000 *s = dev;
    uint32_t v;

    if (off >= R_END) {
        return 0;
    }
    off &= ~3ull;
    v = REG(s, off);
    switch (off) {
    case R_EECD:
        return e1000_eecd_read(s);
    case R_EERD:
        return e1000_eerd_read(s);
    case R_ICR:
        REG(s, R_ICR) = 0;
        irq_update(s);
        return v;
    case R_ICS:
        return REG(s, R_ICR);
    case R_IMC:
        return 0;
    default:
        if (off >= R_STATS && off < R_STATS_END) {
            REG(s, off) = 0;           /* statistics start anew               */
        }
        return v;
    }
}

static MACHINE_CALL void reset_registers(E1000 *s)
{
    timer_clear(&s->throttle);
    timer_clear(&s->autoneg);
    s->throttled = false;
    memset(s->reg, 0, sizeof(s->reg));
    memset(&s->ee, 0, sizeof(s->ee));
    memset(&s->tx, 0, offsetof(E1000Tx, data));
    s->io_addr = 0;
    REG(s, R_CTRL) = 0x00140240;
    REG(s, R_STATUS) = 0x80080783;
    REG(s, R_VET) = s->init_vet ? 0x8100 : 0;
    REG(s, R_LEDCTL) = 0x602;
    REG(s, R_PBA) = 0x00100030;
    REG(s, R_MANC) = 0x00222300;
    REG(s, R_RAL) = ld_le32(s->net.mac);
    REG(s, R_RAH) = ld_le16(s->net.mac + 4) | 1u << 31;
    e1000_phy_reset(s);
    if (!net_card_link_up(&s->net)) {
        link_set(s, false);
    }
    pci_irq(&s->pci, 0);
}

static MACHINE_CALL void rx_changed(E1000 *s)
{
    if (REG(s, R_RCTL) & RCTL_EN) {
        net_resume(&s->net.port[0]);
    }
}

static MACHINE_CALL void address_write(E1000 *s, uint32_t off, uint32_t v)
{
    uint8_t mac[6];

    REG(s, off) = v;
    if (off == R_RAH && s->net.nports) {
        st_le32(mac, REG(s, R_RAL));
        st_le16(mac + 4, v);
        net_card_info(&s->net, mac);
    }
}

static void e1000_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    machine_assert_locked();
    E1000 *s = dev;
    uint32_t v = val;

    if (off >= R_END) {
        return;
    }
    off &= ~3ull;
    switch (off) {
    case R_CTRL:
        if (v & CTRL_RST) {
            reset_registers(s);
        }
        REG(s, R_CTRL) = v & ~(CTRL_RST | CTRL_PHY_RST);
        if (v & CTRL_PHY_RST) {
            e1000_phy_reset(s);
            link_set(s, REG(s, R_STATUS) & STATUS_LU);
        }
        break;
    case R_EECD:
        e1000_eecd_write(s, v);
        break;
    case R_EERD:
        REG(s, R_EERD) = v & 0xff01;
        break;
    case R_MDIC:
        e1000_mdic_write(s, v);
        break;
    case R_ICR:
        REG(s, R_ICR) &= ~v;
        irq_update(s);
        break;
    case R_ICS:
        e1000_cause(s, v);
        break;
    case R_IMS:
        REG(s, R_IMS) |= v;
        irq_update(s);
        break;
    case R_IMC:
        REG(s, R_IMS) &= ~v;
        irq_update(s);
        break;
    case R_RCTL:
        REG(s, R_RCTL) = v;
        rx_changed(s);
        break;
    case R_RDT:
        REG(s, R_RDT) = v & 0xffff;
        rx_changed(s);
        break;
    case R_TDT:
        REG(s, R_TDT) = v & 0xffff;
        e1000_transmit(s);
        break;
    case R_TCTL:
        REG(s, R_TCTL) = v;
        e1000_transmit(s);
        break;
    default:
        if (off >= R_RAL && off < R_RAL + 0x80) {
            address_write(s, off, v);
        } else {
            uint32_t mask = plain_mask(off);

            REG(s, off) = (REG(s, off) & ~mask) | (v & mask);
        }
    }
}

static const MemOps e1000_ops = {
    .read = e1000_read, .write = e1000_write, .min = 4, .max = 4,
};

/* The I/O BAR: an address register and a window (13.2.2). */
static uint64_t io_read(void *dev, uint64_t off, unsigned size)
{
    E1000 *s = dev;

    return off == 0 ? s->io_addr : off == 4 ? e1000_read(s, s->io_addr, 4) : 0;
}

static void io_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    E1000 *s = dev;

    if (off == 0) {
        s->io_addr = val & 0x1fffc;
    } else if (off == 4) {
        e1000_write(s, s->io_addr, val, 4);
    }
}

static const MemOps io_ops = { .read = io_read, .write = io_write,
                               .min = 4, .max = 4 };

/* ---- life ---------------------------------------------------------------- */

static MACHINE_CALL bool e1000_realize(Device *dev, Error **errp)
{
    E1000 *s = (E1000 *)dev;
    uint16_t id = ((const PciInfo *)dev->type->on_info)->device;

    timer_init(&s->throttle, NULL, CLOCK_VM, throttle_over, s);
    timer_init(&s->autoneg, NULL, CLOCK_VM, autoneg_over, s);
    if (!net_card_open(&s->net, dev, &e1000_port, 1, errp)) {
        return false;
    }
    pci_set_pin(&s->pci, 1);
    mem_init_io(&s->mmio, "e1000-mmio", 0x20000, &e1000_ops, s);
    mem_init_io(&s->io, "e1000-io", 64, &io_ops, s);
    pci_bar(&s->pci, 0, PCI_BAR_MEM32, &s->mmio);
    pci_bar(&s->pci, 1, PCI_BAR_IO, &s->io);
    e1000_eeprom_make(s, id);
    return true;
}

static MACHINE_CALL void e1000_unrealize(Device *dev)
{
    E1000 *s = (E1000 *)dev;

    timer_clear(&s->throttle);
    timer_clear(&s->autoneg);
    net_card_close(&s->net);
    mem_fini(&s->mmio);
    mem_fini(&s->io);
}

static MACHINE_CALL void e1000_reset(Device *dev, ResetKind kind)
{
    E1000 *s = (E1000 *)dev;

    reset_registers(s);
    net_card_info(&s->net, s->net.mac);
}

static bool e1000_loaded(void *opaque, int version, Error **errp)
{
    machine_assert_locked();
    E1000 *s = opaque;

    if (s->tx.len > E1000_FRAME_MAX || s->io_addr > 0x1fffc ||
        (s->io_addr & 3)) {
        return error_set(errp, "e1000: frame of %u bytes, I/O address 0x%x",
                         s->tx.len, s->io_addr);
    }
    if (s->throttled != timer_armed(&s->throttle)) {
        return error_set(errp, "e1000: moderation does not fit its timer");
    }
    return true;
}

static char *fw_name(const Device *dev)
{
    return g_strdup("ethernet");
}

static const VmState context_state = {
    .name = "context", .version = 1, .oldest = 1,
    .fields = (const VmField[]){
        VM_U8(E1000Context, ipcss), VM_U8(E1000Context, ipcso),
        VM_U16(E1000Context, ipcse), VM_U8(E1000Context, tucss),
        VM_U8(E1000Context, tucso), VM_U16(E1000Context, tucse),
        VM_U8(E1000Context, hdr_len), VM_U8(E1000Context, tucmd),
        VM_U16(E1000Context, mss), VM_U32(E1000Context, paylen), VM_END
    },
};

static const VmState e1000_state = {
    .name = "e1000", .version = 1, .oldest = 1, .after_load = e1000_loaded,
    .fields = (const VmField[]){
        VM_ARRAY(E1000, reg, VK_U32), VM_ARRAY(E1000, phy, VK_U16),
        VM_ARRAY(E1000, eeprom, VK_U16), VM_U32(E1000, io_addr),
        VM_U32(E1000, ee.bits_in), VM_U32(E1000, ee.shift),
        VM_U32(E1000, ee.out_bits), VM_BOOL(E1000, ee.reading),
        VM_STRUCTS(E1000, tx.ctx, &context_state), VM_U32(E1000, tx.len),
        VM_U8(E1000, tx.popts), VM_BOOL(E1000, tx.tse),
        VM_BOOL(E1000, tx.tagged), VM_U16(E1000, tx.tag),
        VM_BYTES(E1000, tx.data), VM_TIMER(E1000, throttle),
        VM_TIMER(E1000, autoneg), VM_BOOL(E1000, throttled), VM_END
    },
};

static const Prop e1000_props[] = {
    PROP_NET_CARD(E1000, net),
    PROP_BOOL("mitigation", E1000, mitigation, true,
              .desc = "on/off"),
    PROP_BOOL("autonegotiation", E1000, autonegotiation, true,
              .desc = "on/off"),
    PROP_BOOL("extra_mac_registers", E1000, extra_mac_registers, true,
              .desc = "on/off"),
    PROP_BOOL("init-vet", E1000, init_vet, true,
              .desc = "on/off",
              .compat = (const PropCompat[]){ { 601, "off" }, { 0 } }),
    PROP_BOOL("migrate_tso_props", E1000, migrate_tso, true,
              .desc = "on/off"),
    PROP_BOOTINDEX,
    PROP_END
};

#define E1000_CARD(sym, nm, id, text) \
DEVICE(sym, { \
    .name = nm, .category = "network", .size = sizeof(E1000), \
    .parent = "e1000-base", .desc = text, \
    .doc = "A gigabit card that every system has a driver for: descriptor " \
           "rings, checksum and TCP segmentation offload, VLAN and multicast " \
           "filters, interrupt moderation.", \
    .on = &bus_pci, \
    .on_info = &(const PciInfo){ \
        .vendor = 0x8086, .device = id, .class_code = 0x020000, \
        .revision = 3, .romfile = "efi-e1000.rom", \
    }, \
    .props = e1000_props, .vmstate = &e1000_state, .fw_name = fw_name, \
    .fw_below = "ethernet-phy@0", \
    .realize = e1000_realize, .unrealize = e1000_unrealize, \
    .reset = e1000_reset, \
})

E1000_CARD(e1000_82540em, "e1000", 0x100e, "Intel Gigabit Ethernet");
E1000_CARD(e1000_82544gc, "e1000-82544gc", 0x100c, "Intel Gigabit Ethernet");
E1000_CARD(e1000_82545em, "e1000-82545em", 0x100f, "Intel Gigabit Ethernet");
