/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * e1000-phy.c - the 8254x cards' serial EEPROM (a 93C46, by EECD bits and by EERD;
 * Software Developer's Manual 5.2 to 5.5, 13.4.3, 13.4.4) and their PHY by the
 * management interface (13.4.7 MDIC; IEEE 802.3 clause 22).
 *
 * Thread class: machine lock.
 *
 * Invariants
 * 1. The EEPROM's 64 words add up to 0xbaba.
 */
#include "hw/net/e1000.h"

enum { EECD_SK = 1, EECD_CS = 2, EECD_DI = 4, EECD_DO = 8, EECD_PRES = 0x100,
       EECD_GNT = 0x80 };
enum { MDIC_READY = 1u << 28, MDIC_INTERRUPT = 1u << 29, MDIC_ERROR = 1u << 30 };

/* As the cards of this family leave the factory; address and checksum follow. */
static const uint16_t eeprom_template[64] = {
    0x0000, 0x0000, 0x0000, 0x0000, 0xffff, 0x0000, 0x0000, 0x0000,
    0x3000, 0x1000, 0x6403, 0x0000, 0x8086, 0x0000, 0x8086, 0x3040,
    0x0008, 0x2000, 0x7e14, 0x0048, 0x1000, 0x00d8, 0x0000, 0x2700,
    0x6cc9, 0x3150, 0x0722, 0x040b, 0x0984, 0x0000, 0xc000, 0x0706,
    0x1008, 0x0000, 0x0f04, 0x7fff, 0x4d01, 0xffff, 0xffff, 0xffff,
    0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff,
    0x0100, 0x4000, 0x121c, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff,
    0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0x0000,
};

void e1000_eeprom_make(E1000 *s, uint16_t device_id)
{
    uint16_t sum = 0;

    memcpy(s->eeprom, eeprom_template, sizeof(s->eeprom));
    for (unsigned i = 0; i < 3; i++) {
        s->eeprom[i] = ld_le16(s->net.mac + 2 * i);
    }
    s->eeprom[11] = s->eeprom[13] = device_id;
    for (unsigned i = 0; i < 63; i++) {
        sum += s->eeprom[i];
    }
    s->eeprom[63] = 0xbaba - sum;
}

/* ---- serial interface ---------------------------------------------------- */

uint32_t e1000_eecd_read(const E1000 *s)
{
    bool out = true;                   /* pulled up while nothing drives it   */

    if (s->ee.reading) {
        unsigned word = s->ee.shift & 63;

        out = s->eeprom[word] >> (15 - s->ee.out_bits % 16) & 1;
    }
    return (REG(s, R_EECD) & (EECD_SK | EECD_CS | EECD_DI | 0x70)) |
           (out ? EECD_DO : 0) | EECD_PRES | EECD_GNT;
}

/* A rising clock with chip select: start bit, two bits of opcode, six of
 * address; then data comes out, word after word. */
static void clocked(E1000 *s, bool in)
{
    if (s->ee.reading) {
        if (++s->ee.out_bits && s->ee.out_bits % 16 == 0) {
            s->ee.shift++;
        }
        return;
    }
    if (!s->ee.bits_in && !in) {
        return;                        /* before the start bit                */
    }
    s->ee.shift = s->ee.shift << 1 | in;
    if (++s->ee.bits_in == 9) {
        s->ee.reading = (s->ee.shift >> 6 & 7) == 6;
        s->ee.shift &= 63;
        s->ee.out_bits = UINT32_MAX;   /* a dummy 0 comes first               */
        s->ee.bits_in = 0;
    }
}

void e1000_eecd_write(E1000 *s, uint32_t v)
{
    uint32_t old = REG(s, R_EECD);

    REG(s, R_EECD) = v;
    if (!(v & EECD_CS)) {
        s->ee.bits_in = s->ee.shift = s->ee.out_bits = 0;
        s->ee.reading = false;
        return;
    }
    if (!(old & EECD_CS)) {
        s->ee.bits_in = s->ee.shift = 0;
        s->ee.reading = false;
    }
    if (!(old & EECD_SK) && (v & EECD_SK)) {
        clocked(s, v & EECD_DI);
    }
}

uint32_t e1000_eerd_read(const E1000 *s)
{
    uint32_t v = REG(s, R_EERD);
    unsigned addr = v >> 8 & 0xff;

    if (!(v & 1)) {
        return v;
    }
    if (addr >= 64) {
        return (v & 0xffff) | 0x10;
    }
    return (v & 0xff00) | 0x10 | (uint32_t)s->eeprom[addr] << 16;
}

/* ---- PHY ----------------------------------------------------------------- */

/* Registers that may be read (1) and written (2). */
static const uint8_t phy_access[32] = {
    [0] = 3, [1] = 1, [2] = 1, [3] = 1, [4] = 3, [5] = 1, [6] = 1, [9] = 3,
    [10] = 1, [16] = 3, [17] = 1, [20] = 3, [21] = 1,
};

void e1000_phy_reset(E1000 *s)
{
    bool gc = ((const PciInfo *)s->pci.dev.type->on_info)->device == 0x100c;

    memset(s->phy, 0, sizeof(s->phy));
    s->phy[PHY_CTRL] = 0x1140;
    s->phy[PHY_STATUS] = 0x794d;
    s->phy[2] = 0x0141;
    s->phy[3] = gc ? 0x0c30 : 0x0c20;
    s->phy[PHY_ADV] = 0x0de1;
    s->phy[PHY_LPA] = 0x01e0;
    s->phy[PHY_1000T_CTRL] = 0x0e00;
    s->phy[PHY_1000T_STATUS] = 0x3c00;
    s->phy[16] = 0x0360;
    s->phy[PHY_SPEC_STATUS] = 0xac00;
    s->phy[20] = 0x0d60;
}

static void phy_write(E1000 *s, unsigned reg, uint16_t v)
{
    if (reg != PHY_CTRL) {
        s->phy[reg] = v;
        return;
    }
    if (v & 0x8000) {
        e1000_phy_reset(s);
        e1000_link_changed(s);
        v = s->phy[PHY_CTRL];
    }
    s->phy[PHY_CTRL] = v & ~0x8200;    /* reset and restart clear themselves  */
    if (s->autonegotiation && (v & 0x1200) == 0x1200) {
        /* The link is down while partners negotiate. */
        REG(s, R_STATUS) &= ~STATUS_LU;
        s->phy[PHY_STATUS] &= ~0x0024;
        s->phy[PHY_LPA] &= ~0x4000;
        timer_set(&s->autoneg, clock_ns(CLOCK_VM) + 500 * NS_PER_MS);
    }
}

void e1000_mdic_write(E1000 *s, uint32_t v)
{
    unsigned reg = v >> 16 & 31, phy = v >> 21 & 31, op = v >> 26 & 3;
    uint32_t done = v & ~(MDIC_ERROR | MDIC_READY);

    if (phy != 1) {
        done = REG(s, R_MDIC) | MDIC_ERROR;
    } else if (op == 2) {
        if (phy_access[reg] & 1) {
            done = (done & 0xffff0000) | s->phy[reg];
        } else {
            done |= MDIC_ERROR;
        }
    } else if (op == 1) {
        if (phy_access[reg] & 2) {
            phy_write(s, reg, v);
        } else {
            done |= MDIC_ERROR;
        }
    }
    REG(s, R_MDIC) = done | MDIC_READY;
    if (v & MDIC_INTERRUPT) {
        e1000_cause(s, ICR_MDAC);
    }
}
