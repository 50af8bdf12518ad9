/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * smbus.c - the PIIX4's SMBus host interface (Intel 82371AB data sheet, section
 * 11.3) with eight serial EEPROMs at 0x50..0x57, which are blank on this board.
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. A transaction is done when the start bit is written: the status register
 *    never shows a busy host.
 */
#include "hw/acpi/smbus.h"

enum { STS_INTR = 0x02, STS_DEV_ERR = 0x04 };
enum { CTL_KILL = 0x02, CTL_START = 0x40 };
enum { AUX_BLK_BUFFER = 0x02 };

static uint8_t *eeprom_at(Smbus *s, uint8_t addr, unsigned *n)
{
    uint8_t dev = addr >> 1;

    if (dev < 0x50 || dev >= 0x50 + SMBUS_EEPROMS) {
        return NULL;
    }
    *n = dev - 0x50;
    return s->eeprom[*n];
}

static void byte_data(Smbus *s, uint8_t *mem, unsigned n, bool read)
{
    if (read) {
        s->data0 = mem[s->cmd];
    } else {
        mem[s->cmd] = s->data0;
    }
    s->eeprom_at[n] = s->cmd + 1;
}

static void block(Smbus *s, uint8_t *mem, unsigned n, bool read)
{
    unsigned len = read ? sizeof(s->data) : MIN2(s->data0, sizeof(s->data));

    for (unsigned i = 0; i < len; i++) {
        uint8_t at = s->cmd + i;

        if (read) {
            s->data[i] = mem[at];
        } else {
            mem[at] = s->data[i];
        }
    }
    if (read) {
        s->data0 = len;
    }
    s->eeprom_at[n] = s->cmd + len;
    s->index = 0;
}

static void transaction(Smbus *s)
{
    bool read = s->addr & 1;
    unsigned n = 0;
    uint8_t *mem = eeprom_at(s, s->addr, &n);

    if (!mem) {
        s->stat |= STS_DEV_ERR;
        return;
    }
    switch (s->ctl >> 2 & 7) {
    case 0:                            /* quick                               */
        break;
    case 1:                            /* byte                                */
        if (read) {
            s->data0 = mem[s->eeprom_at[n]++];
        } else {
            s->eeprom_at[n] = s->cmd;
        }
        break;
    case 2:
        byte_data(s, mem, n, read);
        break;
    case 3:                            /* word                                */
        byte_data(s, mem, n, read);
        if (read) {
            s->data1 = mem[(uint8_t)(s->cmd + 1)];
        } else {
            mem[(uint8_t)(s->cmd + 1)] = s->data1;
        }
        break;
    case 5:
        block(s, mem, n, read);
        break;
    default:
        s->stat |= STS_DEV_ERR;
        return;
    }
    s->stat |= STS_INTR;
}

static uint64_t smb_read(void *dev, uint64_t off, unsigned size)
{
    Smbus *s = dev;

    switch (off) {
    case 0:
        return s->stat;
    case 2:
        s->index = 0;
        return s->ctl & 0x1f;
    case 3:
        return s->cmd;
    case 4:
        return s->addr;
    case 5:
        return s->data0;
    case 6:
        return s->data1;
    case 7:
        s->index %= sizeof(s->data);
        return s->data[s->index++];
    case 0x0d:
        return s->auxctl;
    default:
        return 0;
    }
}

static void smb_write(void *dev, uint64_t off, uint64_t v, unsigned size)
{
    Smbus *s = dev;

    switch (off) {
    case 0:
        s->stat &= ~v;
        s->index = 0;
        break;
    case 2:
        s->ctl = v & ~CTL_START;
        if (v & CTL_KILL) {
            s->stat = 0;
            s->index = 0;
        } else if (v & CTL_START) {
            transaction(s);
        }
        break;
    case 3:
        s->cmd = v;
        break;
    case 4:
        s->addr = v;
        break;
    case 5:
        s->data0 = v;
        break;
    case 6:
        s->data1 = v;
        break;
    case 7:
        s->index %= sizeof(s->data);
        s->data[s->index++] = v;
        break;
    case 0x0d:
        s->auxctl = v & (AUX_BLK_BUFFER | 1);
        break;
    default:
        break;
    }
}

static const MemOps smb_ops = { .read = smb_read, .write = smb_write,
                                .max = 1 };

void smbus_init(Smbus *s, Device *owner)
{
    mem_init_io(&s->io, "pm-smbus", 64, &smb_ops, s);
    device_region(owner, &s->io);
}

void smbus_fini(Smbus *s)
{
    mem_fini(&s->io);
}

void smbus_reset(Smbus *s)
{
    s->stat = s->ctl = s->cmd = s->addr = s->data0 = s->data1 = 0;
    s->index = s->blkdata = s->auxctl = 0;
    memset(s->data, 0, sizeof(s->data));
}

const VmState smbus_state = {
    .name = "smbus", .version = 1, .oldest = 1,
    .fields = (const VmField[]){
        VM_U8(Smbus, stat), VM_U8(Smbus, ctl), VM_U8(Smbus, cmd),
        VM_U8(Smbus, addr), VM_U8(Smbus, data0), VM_U8(Smbus, data1),
        VM_BYTES(Smbus, data), VM_U8(Smbus, index), VM_U8(Smbus, auxctl),
        VM_BYTES(Smbus, eeprom), VM_BYTES(Smbus, eeprom_at),
        VM_END
    },
};
