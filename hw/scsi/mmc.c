/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mmc.c - answers of CD and DVD drives (MMC-6, sections 5.3, 6.6, 6.7, 6.22,
 * 6.26), for ATAPI and SCSI alike.
 *
 * Thread class: its caller's; it knows its arguments only.
 */
#include "hw/scsi/mmc.h"

enum { CD_MAX = 80 * 60 * 75 };        /* blocks of a CD                      */

bool mmc_is_dvd(const MmcDrive *d)
{
    return d->blocks > CD_MAX;
}

/* ---- table of contents --------------------------------------------------- */

static uint8_t *put_address(uint8_t *p, uint64_t lba, bool msf)
{
    p[0] = 0;
    if (msf) {
        lba += 150;
        p[1] = (uint8_t)(lba / 75 / 60);
        p[2] = (uint8_t)(lba / 75 % 60);
        p[3] = (uint8_t)(lba % 75);
    } else {
        st_be32(p, (uint32_t)lba);
    }
    return p + 4;
}

static uint8_t *put_track(uint8_t *p, uint8_t control, uint8_t number,
                          uint64_t lba, bool msf)
{
    p[0] = 0;
    p[1] = control;
    p[2] = number;
    p[3] = 0;
    return put_address(p + 4, lba, msf);
}

static uint8_t *put_raw(uint8_t *p, uint8_t point, uint64_t lba, bool msf,
                        bool with_lba)
{
    memset(p, 0, 11);
    p[0] = 1;
    p[1] = 0x14;
    p[3] = point;
    if (with_lba) {
        put_address(p + 7, lba, msf);
    } else {
        p[8] = 1;
    }
    return p + 11;
}

uint32_t mmc_read_toc(const MmcDrive *d, bool atapi, const uint8_t *c,
                      uint8_t *b)
{
    bool msf = c[1] & 2;
    uint8_t format = c[2] & 15 && !atapi ? c[2] & 15 : c[9] >> 6, *p = b + 4;

    b[2] = b[3] = 1;
    if (format == 0 && (c[6] <= 1 || c[6] == 0xaa)) {
        if (c[6] <= 1) {
            p = put_track(p, 0x14, 1, 0, msf);
        }
        p = put_track(p, 0x16, 0xaa, d->blocks, msf);
    } else if (format == 1) {          /* one session                         */
        memset(p, 0, 8);
        p[1] = 0x14;
        p[2] = 1;
        p += 8;
    } else if (format == 2) {
        p = put_raw(p, 0xa0, 0, msf, false);
        p = put_raw(p, 0xa1, 0, msf, false);
        p = put_raw(p, 0xa2, d->blocks, msf, true);
        p = put_raw(p, 1, 0, msf, true);
    } else {
        return 0;
    }
    st_be16(b, (uint16_t)(p - b - 2));
    return (uint32_t)(p - b);
}

/* ---- configuration, events, discs ---------------------------------------- */

uint32_t mmc_configuration(const MmcDrive *d, bool atapi, uint8_t *b)
{
    bool dvd = mmc_is_dvd(d);

    st_be32(b, atapi ? 16 : 36);
    st_be16(b + 6, !d->blocks ? 0 : dvd ? 0x10 : 0x08);
    b[10] = 0x03;                      /* profile list, present               */
    b[11] = 8;
    st_be16(b + 12, 0x10);
    b[14] = dvd;
    st_be16(b + 16, 0x08);
    b[18] = d->blocks && !dvd;
    if (atapi) {
        return 20;                     /* no more is told there               */
    }
    st_be16(b + 20, 1);                /* core feature                        */
    b[22] = 0x0b;
    b[23] = 8;
    st_be32(b + 24, 1);                /* by SCSI                             */
    b[28] = 1;
    st_be16(b + 32, 3);                /* removable medium: tray              */
    b[34] = 0x0b;
    b[35] = 4;
    b[36] = 0x39;
    return 40;
}

uint32_t mmc_events(const MmcDrive *d, const uint8_t *c, uint8_t *b)
{
    if (!(c[1] & 1)) {                 /* asynchronous: not offered           */
        return 0;
    }
    b[3] = 1 << 4;                     /* media events                        */
    if (!(c[4] & 1 << 4)) {
        b[2] = 0x80;
        return 4;
    }
    st_be16(b, 4);
    b[2] = 4;
    if (d->tray_open) {                /* what there is to tell waits         */
        b[5] = 1;
        return 8;
    }
    b[4] = *d->event_eject ? 1 : *d->event_new ? 2 : 0;
    b[5] = d->present ? 2 : 0;
    if (*d->event_eject) {
        *d->event_eject = false;
    } else {
        *d->event_new = false;
    }
    return 8;
}

uint32_t mmc_disc_info(const uint8_t *c, uint8_t *b)
{
    if (c[1] & 7) {
        return 0;
    }
    b[1] = 32;
    b[2] = 0x0e;                       /* complete                            */
    b[3] = b[4] = b[5] = b[6] = 1;
    b[7] = 0x20;
    return 34;
}

uint32_t mmc_mechanism(uint8_t *b)
{
    b[5] = 1;
    return 8;
}

static uint32_t structures(uint8_t *b)
{
    static const uint8_t list[] = { 0x00, 0x40, 0x08, 0x04,
                                    0x01, 0x40, 0x00, 0x08,
                                    0x03, 0x40, 0x00, 0xc0,
                                    0x04, 0x40, 0x08, 0x04 };

    memcpy(b + 4, list, sizeof(list));
    return 4 + sizeof(list);
}

uint32_t mmc_dvd_structure(const MmcDrive *d, const uint8_t *c, uint8_t *b)
{
    uint32_t len;

    if (c[1] || (c[7] != 0xff && !mmc_is_dvd(d))) {
        return 0;
    }
    switch (c[7]) {
    case 0x00:                         /* physical format                     */
        b[4] = 1;
        b[5] = 0x0f;
        b[6] = 1;
        st_be32(b + 12, (uint32_t)d->blocks - 1);
        st_be32(b + 16, (uint32_t)d->blocks - 1);
        len = 2052;
        break;
    case 0x01:                         /* copyright: none                     */
        len = 8;
        break;
    case 0x04:                         /* manufacturer                        */
        len = 2052;
        break;
    case 0xff:
        len = structures(b);
        break;
    default:
        return 0;
    }
    st_be16(b, (uint16_t)(len - 2));
    return len;
}
