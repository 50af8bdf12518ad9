/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * identify.c - the 256 words of IDENTIFY DEVICE and IDENTIFY PACKET DEVICE
 * (ATA/ATAPI-7, T13 1532D volume 1, sections 6.17 and 6.18).
 *
 * Thread class: MACHINE_CALL.
 */
#include "hw/ide/ide.h"

static void put(uint8_t *id, unsigned word, uint16_t v)
{
    st_le16(id + word * 2, v);
}

/* Text, space-padded, the bytes of each word exchanged. */
static void put_text(uint8_t *id, unsigned word, unsigned words, const char *s)
{
    size_t n = strlen(s);

    for (unsigned i = 0; i < words * 2; i++) {
        id[word * 2 + (i ^ 1)] = i < n ? (uint8_t)s[i] : ' ';
    }
}

static void put_names(IdeDrive *d)
{
    uint8_t *id = d->identify;

    put_text(id, 10, 10, d->serial);
    put(id, 20, 3);
    put(id, 21, 512);
    put(id, 22, 4);
    put_text(id, 23, 4, d->ver);
    put_text(id, 27, 20, d->model ? d->model
             : d->cdrom ? "QEMU DVD-ROM" : "QEMU HARDDISK");
}

static void put_transfer_modes(uint8_t *id)
{
    put(id, 53, 7);
    put(id, 62, 7);                    /* single word DMA 0-2                 */
    put(id, 63, 7);                    /* multiword DMA 0-2                   */
    put(id, 64, 3);                    /* PIO 3-4                             */
    put(id, 88, 0x3f | 1 << 13);       /* UDMA 0-5, 5 chosen                  */
}

static void put_queueing(IdeDrive *d)
{
    if (ide_bus(d)->sata) {
        put(d->identify, 75, 31);      /* depth                               */
        put(d->identify, 76, 0x100);
    }
}

void ide_identify_size(IdeDrive *d)
{
    uint8_t *id = d->identify;
    uint64_t lba28 = MIN2(d->sectors, (1u << 28) - 1);

    put(id, 60, (uint16_t)lba28);
    put(id, 61, (uint16_t)(lba28 >> 16));
    st_le64(id + 200, d->sectors);
}

void ide_identify_disk(IdeDrive *d)
{
    uint8_t *id = d->identify;
    uint32_t chs = d->conf.cyls * d->conf.heads * d->conf.secs;
    unsigned shift = (unsigned)__builtin_ctzll(d->conf.physical / 512);

    memset(id, 0, 512);
    put(id, 0, 0x0040);
    put(id, 1, (uint16_t)d->conf.cyls);
    put(id, 3, (uint16_t)d->conf.heads);
    put(id, 4, (uint16_t)(512 * d->conf.secs));
    put(id, 5, 512);
    put(id, 6, (uint16_t)d->conf.secs);
    put_names(d);
    put(id, 47, 0x8000 | IDE_MULT);
    put(id, 48, 1);
    put(id, 49, 0x0b00);               /* IORDY, LBA, DMA                     */
    put(id, 51, 0x200);
    put(id, 52, 0x200);
    put(id, 54, (uint16_t)d->conf.cyls);
    put(id, 55, (uint16_t)d->conf.heads);
    put(id, 56, (uint16_t)d->conf.secs);
    put(id, 57, (uint16_t)chs);
    put(id, 58, (uint16_t)(chs >> 16));
    put(id, 59, (uint16_t)(d->mult ? 0x100 | d->mult : 0));
    put_transfer_modes(id);
    for (unsigned w = 65; w <= 68; w++) {
        put(id, w, 120);
    }
    put(id, 69, 1 << 14);              /* reads after TRIM are determined     */
    put_queueing(d);
    put(id, 80, 0xf0);                 /* ATA-4 to 7                          */
    put(id, 81, 0x16);
    put(id, 82, 0x4021);               /* NOP, write cache, SMART             */
    put(id, 83, 0x7400);               /* flush both, 48-bit addresses        */
    put(id, 84, d->wwn ? 0x4100 : 0x4000);
    put(id, 85, blk_write_cache(d->conf.blk) ? 0x4021 : 0x4001);
    put(id, 86, 0x3400);
    put(id, 87, d->wwn ? 0x4100 : 0x4000);
    put(id, 93, 0x6001);
    ide_identify_size(d);
    put(id, 106, (uint16_t)(0x6000 | shift));
    for (unsigned i = 0; d->wwn && i < 4; i++) {
        put(id, 108 + i, (uint16_t)(d->wwn >> (48 - 16 * i)));
    }
    put(id, 169, d->conf.discard_granularity ? 1 : 0);
    put(id, 217, d->rotation);
}

void ide_identify_cdrom(IdeDrive *d)
{
    uint8_t *id = d->identify;

    memset(id, 0, 512);
    put(id, 0, 0x85c0);                /* removable CD-ROM, 12-byte packets   */
    put_names(d);
    put(id, 48, 1);
    put(id, 49, 0x0300);
    put_transfer_modes(id);
    put(id, 65, 0xb4);
    put(id, 66, 0xb4);
    put(id, 67, 0x12c);
    put(id, 68, 0xb4);
    put(id, 71, 30);
    put(id, 72, 30);
    put_queueing(d);
    put(id, 80, 0x1e);
    if (d->wwn) {
        put(id, 84, 0x0100);
        put(id, 87, 0x0100);
        for (unsigned i = 0; i < 4; i++) {
            put(id, 108 + i, (uint16_t)(d->wwn >> (48 - 16 * i)));
        }
    }
}
