/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ata.c - the commands of disks and the ones that CD-ROM drives share (ATA/
 * ATAPI-7, T13 1532D volume 1, section 6).
 *
 * Thread class: MACHINE_CALL.
 */
#include "hw/ide/ide.h"

enum { FOR_DISK = 1, FOR_CD = 2, FOR_ALL = 3 };

void ide_good(IdeDrive *d)
{
    d->status = ST_READY | ST_SEEK;
    ide_irq(d);
}

void ide_bad(IdeDrive *d)
{
    ide_abort(d);
    ide_irq(d);
}

/* ---- addresses ----------------------------------------------------------- */

uint64_t ide_address(const IdeDrive *d)
{
    if (d->lba48 && d->select & 0x40) {
        return (uint64_t)d->hob_hcyl << 40 | (uint64_t)d->hob_lcyl << 32 |
               (uint64_t)d->hob_sector << 24 | (uint64_t)d->hcyl << 16 |
               (uint64_t)d->lcyl << 8 | d->sector;
    }
    if (d->select & 0x40) {
        return (uint64_t)(d->select & 15) << 24 | (uint64_t)d->hcyl << 16 |
               (uint64_t)d->lcyl << 8 | d->sector;
    }
    /* Sector 0 does not exist: it wraps to an address out of range. */
    return ((uint64_t)(d->hcyl << 8 | d->lcyl) * d->heads + (d->select & 15)) *
           d->secs + d->sector - 1;
}

/* ---- words in the task file ---------------------------------------------- */

static MACHINE_CALL void cmd_identify(IdeDrive *d, uint8_t cmd)
{
    if (d->cdrom != (cmd == 0xa1)) {
        if (d->cdrom) {
            ide_signature(d);
        }
        ide_bad(d);
        return;
    }
    ide_security_identify(d);
    memcpy(d->buf, d->identify, 512);
    d->status = ST_READY | ST_SEEK;
    ide_pio(d, 512, END_DONE);
    ide_irq(d);
}

static MACHINE_CALL void cmd_diagnose(IdeDrive *d, uint8_t cmd)
{
    IdeBus *b = ide_bus(d);

    for (int i = 0; i < 2; i++) {
        IdeDrive *o = b->drive[i];

        if (o) {
            ide_signature(o);
            o->error = 1;
            o->select = 0xa0;
            o->status = o->cdrom ? 0 : ST_READY | ST_SEEK;
        }
    }
    b->unit = 0;
    ide_irq(d);
}

static MACHINE_CALL void cmd_device_reset(IdeDrive *d, uint8_t cmd)
{
    ide_cancel(d);
    d->pos = d->end = 0;
    d->sense = d->asc = d->ascq = 0;
    atapi_tray_reset(d);
    d->select = 0xa0;
    ide_signature(d);
    d->status = 0;
}

static MACHINE_CALL void cmd_nothing(IdeDrive *d, uint8_t cmd)
{
    ide_good(d);
}

static MACHINE_CALL void cmd_nop(IdeDrive *d, uint8_t cmd)
{
    ide_bad(d);
}

static MACHINE_CALL void cmd_parameters(IdeDrive *d, uint8_t cmd)
{
    uint32_t heads = (d->select & 15) + 1u, secs = d->count;

    if (!secs) {
        ide_bad(d);
        return;
    }
    d->heads = heads;
    d->secs = secs;
    ide_good(d);
}

static MACHINE_CALL void cmd_set_multiple(IdeDrive *d, uint8_t cmd)
{
    if (d->count > IDE_MULT || (d->count && !IS_POW2(d->count))) {
        ide_bad(d);
        return;
    }
    d->mult = d->count;
    st_le16(d->identify + 118, d->mult ? 0x100 | d->mult : 0);
    ide_good(d);
}

static MACHINE_CALL void cmd_native_max(IdeDrive *d, uint8_t cmd)
{
    uint64_t last = d->sectors - 1;

    if (!d->sectors) {
        ide_bad(d);
        return;
    }
    if (cmd == 0xf8) {
        last = MIN2(last, (1u << 28) - 1);
        d->select = (d->select & 0xf0) | (last >> 24 & 15);
    } else {
        d->hob_sector = last >> 24;
        d->hob_lcyl = last >> 32;
        d->hob_hcyl = last >> 40;
    }
    d->sector = last;
    d->lcyl = last >> 8;
    d->hcyl = last >> 16;
    ide_good(d);
}

static MACHINE_CALL void cmd_verify(IdeDrive *d, uint8_t cmd)
{
    uint64_t n;

    d->lba48 = cmd == 0x42;
    n = d->lba48 ? (d->hob_count << 8 | d->count) : d->count;
    n = n ? n : d->lba48 ? 65536 : 256;
    if (ide_address(d) >= d->sectors || n > d->sectors - ide_address(d)) {
        ide_bad(d);
        return;
    }
    ide_good(d);
}

static MACHINE_CALL void cmd_power(IdeDrive *d, uint8_t cmd)
{
    if (cmd == 0xe5 || cmd == 0x98) {
        d->count = 0xff;               /* active or idle                      */
        ide_good(d);
        return;
    }
    d->status = ST_READY;
    ide_irq(d);
}

/* ---- features ------------------------------------------------------------ */

static bool transfer_mode(IdeDrive *d)
{
    uint8_t mode = d->count & 7, *id = d->identify;
    uint16_t word = 0x07, bit = (uint16_t)(1u << (mode + 8));

    switch (d->count >> 3) {
    case 0:                            /* PIO default, with or without IORDY  */
    case 1:
        st_le16(id + 124, 0x07);
        st_le16(id + 126, 0x07);
        st_le16(id + 176, 0x3f);
        return true;
    case 2:
    case 4:
        if (mode > 2) {
            return false;
        }
        st_le16(id + 124, d->count >> 3 == 2 ? word | bit : word);
        st_le16(id + 126, d->count >> 3 == 4 ? word | bit : word);
        st_le16(id + 176, 0x3f);
        return true;
    case 8:
        if (mode > 5) {
            return false;
        }
        st_le16(id + 124, 0x07);
        st_le16(id + 126, 0x07);
        st_le16(id + 176, 0x3f | bit);
        return true;
    default:
        return false;
    }
}

static MACHINE_CALL void cmd_features(IdeDrive *d, uint8_t cmd)
{
    bool ok = true;

    switch (d->feature) {
    case 0x02:
        blk_set_write_cache(d->conf.blk, true);
        st_le16(d->identify + 170, 0x4021);
        break;
    case 0x82:
        blk_set_write_cache(d->conf.blk, false);
        st_le16(d->identify + 170, 0x4001);
        ide_flush(d);
        return;
    case 0x03:
        ok = transfer_mode(d);
        break;
    case 0x05: case 0x85:              /* power management                    */
    case 0x42: case 0xc2:              /* acoustic management                 */
    case 0x55: case 0xaa:              /* look-ahead                          */
    case 0x66: case 0xcc:              /* defaults after reset                */
    case 0x67: case 0x69: case 0x96: case 0x9a:
        break;
    default:
        ok = false;
    }
    if (ok) {
        ide_good(d);
    } else {
        ide_bad(d);
    }
}

static void smart_fill(IdeDrive *d, bool thresholds)
{
    /* number, flags, threshold, value, what it is made of */
    static const struct {
        uint8_t id, flags, least, value, raw[4];
    } rows[] = {
        { 1, 3, 6, 100, { 0 } }, { 3, 3, 0, 100, { 16 } },
        { 4, 2, 20, 100, { 100 } }, { 5, 3, 36, 100, { 0 } },
        { 9, 3, 0, 100, { 1 } }, { 12, 3, 0, 100, { 0 } },
        { 190, 3, 50, 69, { 31, 0, 31, 31 } },             /* temperature     */
    };
    uint8_t sum = 0;

    memset(d->buf, 0, 512);
    d->buf[0] = 1;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint8_t *a = d->buf + 2 + i * 12;

        a[0] = rows[i].id;
        if (thresholds) {
            a[1] = rows[i].least;
        } else {
            a[1] = rows[i].flags;
            a[3] = a[4] = rows[i].value;
            memcpy(a + 5, rows[i].raw, sizeof(rows[i].raw));
        }
    }
    if (!thresholds) {
        d->buf[362] = 0x02;            /* off-line collection has been done   */
        d->buf[364] = 1;
        d->buf[367] = 0x1b;
        d->buf[368] = 3;
        d->buf[370] = 1;
        d->buf[372] = 2;
        d->buf[373] = 54;
    }
    for (int i = 0; i < 511; i++) {
        sum += d->buf[i];
    }
    d->buf[511] = (uint8_t)-sum;
}

static MACHINE_CALL void cmd_smart(IdeDrive *d, uint8_t cmd)
{
    if (d->hcyl != 0xc2 || d->lcyl != 0x4f ||
        (!d->smart && d->feature != 0xd8)) {
        ide_bad(d);
        return;
    }
    switch (d->feature) {
    case 0xd8:
    case 0xd9:
        d->smart = d->feature == 0xd8;
        break;
    case 0xda:                         /* passed: the registers stay          */
    case 0xd2:
    case 0xd4:
        break;
    case 0xd0:
    case 0xd1:
        smart_fill(d, d->feature == 0xd1);
        d->status = ST_READY | ST_SEEK;
        ide_pio(d, 512, END_DONE);
        ide_irq(d);
        return;
    default:
        ide_bad(d);
        return;
    }
    ide_good(d);
}

/* ---- transfers ----------------------------------------------------------- */

static MACHINE_CALL void cmd_transfer(IdeDrive *d, uint8_t cmd)
{
    static const struct {
        uint8_t cmd;
        IdeJob job;
        bool ext, multiple;
    } rows[] = {
        { 0x20, JOB_PIO_READ, false, false },
        { 0x21, JOB_PIO_READ, false, false },
        { 0x24, JOB_PIO_READ, true, false },
        { 0x29, JOB_PIO_READ, true, true },
        { 0xc4, JOB_PIO_READ, false, true },
        { 0x30, JOB_PIO_WRITE, false, false },
        { 0x31, JOB_PIO_WRITE, false, false },
        { 0x3c, JOB_PIO_WRITE, false, false },
        { 0x34, JOB_PIO_WRITE, true, false },
        { 0x39, JOB_PIO_WRITE, true, true },
        { 0xc5, JOB_PIO_WRITE, false, true },
        { 0x25, JOB_DMA_READ, true, false },
        { 0xc8, JOB_DMA_READ, false, false },
        { 0xc9, JOB_DMA_READ, false, false },
        { 0x35, JOB_DMA_WRITE, true, false },
        { 0xca, JOB_DMA_WRITE, false, false },
        { 0xcb, JOB_DMA_WRITE, false, false },
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i].cmd == cmd) {
            ide_rw_start(d, rows[i].job, rows[i].ext, rows[i].multiple);
            return;
        }
    }
    ide_bad(d);
}

static MACHINE_CALL void cmd_flush(IdeDrive *d, uint8_t cmd)
{
    ide_flush(d);
}

/* DATA SET MANAGEMENT: TRIM alone, whose list comes by DMA. */
static MACHINE_CALL void cmd_data_set(IdeDrive *d, uint8_t cmd)
{
    if (!(d->feature & 1) || !ide_bus(d)->dma) {
        ide_bad(d);
        return;
    }
    ide_rw_start(d, JOB_TRIM, true, false);
}

static MACHINE_CALL void cmd_packet(IdeDrive *d, uint8_t cmd)
{
    ide_packet(d);
}

static const struct {
    uint8_t first, last, who;
    void (*run)(IdeDrive *d, uint8_t cmd);
} commands[] = {
    { 0x00, 0x00, FOR_ALL, cmd_nop },
    { 0x06, 0x06, FOR_DISK, cmd_data_set },
    { 0x08, 0x08, FOR_CD, cmd_device_reset },
    { 0x10, 0x10, FOR_DISK, cmd_nothing },          /* recalibrate            */
    { 0x20, 0x20, FOR_CD, cmd_identify },           /* says what it is        */
    { 0x20, 0x21, FOR_DISK, cmd_transfer },
    { 0x24, 0x25, FOR_DISK, cmd_transfer },
    { 0x27, 0x27, FOR_DISK, cmd_native_max },
    { 0x29, 0x29, FOR_DISK, cmd_transfer },
    { 0x30, 0x31, FOR_DISK, cmd_transfer },
    { 0x34, 0x35, FOR_DISK, cmd_transfer },
    { 0x39, 0x39, FOR_DISK, cmd_transfer },
    { 0x3c, 0x3c, FOR_DISK, cmd_transfer },
    { 0x40, 0x42, FOR_DISK, cmd_verify },
    { 0x70, 0x70, FOR_DISK, cmd_nothing },          /* seek                   */
    { 0x90, 0x90, FOR_ALL, cmd_diagnose },
    { 0x91, 0x91, FOR_DISK, cmd_parameters },
    { 0x94, 0x99, FOR_DISK, cmd_power },
    { 0xa0, 0xa0, FOR_CD, cmd_packet },
    { 0xa1, 0xa1, FOR_ALL, cmd_identify },
    { 0xb0, 0xb0, FOR_DISK, cmd_smart },
    { 0xc4, 0xc5, FOR_DISK, cmd_transfer },
    { 0xc6, 0xc6, FOR_DISK, cmd_set_multiple },
    { 0xc8, 0xcb, FOR_DISK, cmd_transfer },
    { 0xe0, 0xe3, FOR_DISK, cmd_power },
    { 0xe5, 0xe6, FOR_DISK, cmd_power },
    { 0xe7, 0xe7, FOR_ALL, cmd_flush },
    { 0xea, 0xea, FOR_DISK, cmd_flush },
    { 0xec, 0xec, FOR_ALL, cmd_identify },
    { 0xef, 0xef, FOR_ALL, cmd_features },
    { 0xf1, 0xf6, FOR_DISK, ide_security_command },
    { 0xf8, 0xf8, FOR_DISK, cmd_native_max },
};

void ide_command(IdeDrive *d, uint8_t cmd)
{
    uint8_t me = d->cdrom ? FOR_CD : FOR_DISK;

    if (d->reset_under_way) {
        return;
    }
    d->command = cmd;
    d->error = 0;
    d->lba48 = false;
    d->pos = d->end = 0;
    d->sec.prepared &= cmd == 0xf4;    /* no other comes between              */
    if (ide_security_refuses(d, cmd)) {
        ide_bad(d);
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        if (commands[i].first <= cmd && cmd <= commands[i].last &&
            commands[i].who & me) {
            d->status = ST_READY | ST_BUSY;
            commands[i].run(d, cmd);
            return;
        }
    }
    ide_bad(d);
}
