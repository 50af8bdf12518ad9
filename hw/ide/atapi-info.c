/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * atapi-info.c - packets that ask a CD-ROM drive what it is and what it has
 * (MMC-6, section 6; SPC-4, sections 6.6 and 6.39).
 *
 * Thread class: MACHINE_CALL.
 */
#include "hw/ide/ide.h"

enum { CD_MAX = 80 * 60 * 75 * 2048 / 2048 };      /* blocks of a CD          */

static MACHINE_CALL void bad_field(IdeDrive *d)
{
    atapi_error(d, 5, 0x24);
}

static void put_padded(uint8_t *to, size_t n, const char *s)
{
    size_t len = strlen(s);

    for (size_t i = 0; i < n; i++) {
        to[i] = i < len ? (uint8_t)s[i] : ' ';
    }
}

static MACHINE_CALL void inquiry(IdeDrive *d)
{
    uint8_t *b = d->buf;

    if (d->packet[1] & 1) {            /* vital product data                  */
        if (d->packet[2]) {
            bad_field(d);
            return;
        }
        memset(b, 0, 6);
        b[0] = 5;
        b[3] = 2;
        b[5] = 0x83;
        atapi_reply(d, 6, d->packet[4]);
        return;
    }
    memset(b, 0, 36);
    b[0] = 5;                          /* CD-ROM                              */
    b[1] = 0x80;                       /* removable                           */
    b[3] = 0x21;
    b[4] = 31;
    put_padded(b + 8, 8, "QEMU");
    put_padded(b + 16, 16, "QEMU DVD-ROM");
    put_padded(b + 32, 4, d->ver);
    atapi_reply(d, 36, d->packet[4]);
}

static MACHINE_CALL void request_sense(IdeDrive *d)
{
    uint8_t *b = d->buf;

    memset(b, 0, 18);
    b[0] = 0xf0;
    b[2] = d->sense;
    b[7] = 10;
    b[12] = d->asc;
    b[13] = d->ascq;
    if (d->sense == 6) {
        d->sense = d->asc = d->ascq = 0;
    }
    atapi_reply(d, 18, d->packet[4]);
}

static MACHINE_CALL void mode_sense(IdeDrive *d)
{
    uint8_t *b = d->buf, page = d->packet[2] & 0x3f;
    uint32_t n;

    memset(b, 0, 64);
    b[2] = 0x70;                       /* medium type: tray and disc unknown  */
    if (d->packet[2] >> 6) {
        if (d->packet[2] >> 6 == 3) {
            atapi_error(d, 5, 0x39);   /* saved pages: there are none         */
        } else {
            bad_field(d);
        }
        return;
    }
    if (page == 0x01) {                /* error recovery                      */
        b[8] = 0x01;
        b[9] = 6;
        b[11] = 5;
        n = 16;
    } else if (page == 0x0e) {         /* audio control                       */
        b[8] = 0x0e;
        b[9] = 0x0e;
        n = 24;
    } else if (page == 0x2a) {         /* capabilities                        */
        b[8] = 0x2a;
        b[9] = 0x14;
        b[10] = 0x3b;                  /* reads CD-R, CD-RW, DVD              */
        b[12] = 0x70;
        b[13] = 3 << 5;
        b[14] = 1 | 1 << 3 | 1 << 5 | (d->tray_locked ? 2 : 0);
        st_be16(b + 16, 706);
        b[19] = 2;
        st_be16(b + 20, 512);
        st_be16(b + 22, 706);
        n = 30;
    } else {
        bad_field(d);
        return;
    }
    st_be16(b, (uint16_t)(n - 2));
    atapi_reply(d, n, ld_be16(d->packet + 7));
}

static MACHINE_CALL void capacity(IdeDrive *d)
{
    uint64_t n = atapi_blocks(d);

    st_be32(d->buf, n ? (uint32_t)(n - 1) : 0);
    st_be32(d->buf + 4, 2048);
    atapi_reply(d, 8, 8);
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

static MACHINE_CALL void read_toc(IdeDrive *d)
{
    const uint8_t *c = d->packet;
    bool msf = c[1] & 2;
    uint8_t format = c[9] >> 6, *b = d->buf, *p = b + 4;
    uint64_t all = atapi_blocks(d);

    b[2] = b[3] = 1;
    if (format == 0 && (c[6] <= 1 || c[6] == 0xaa)) {
        if (c[6] <= 1) {
            p = put_track(p, 0x14, 1, 0, msf);
        }
        p = put_track(p, 0x16, 0xaa, all, msf);
    } else if (format == 1) {          /* one session                         */
        memset(p, 0, 8);
        p[1] = 0x14;
        p[2] = 1;
        p += 8;
    } else if (format == 2) {
        p = put_raw(p, 0xa0, 0, msf, false);
        p = put_raw(p, 0xa1, 0, msf, false);
        p = put_raw(p, 0xa2, all, msf, true);
        p = put_raw(p, 1, 0, msf, true);
    } else {
        bad_field(d);
        return;
    }
    st_be16(b, (uint16_t)(p - b - 2));
    atapi_reply(d, (uint32_t)(p - b), ld_be16(c + 7));
}

/* ---- configuration, events, discs ---------------------------------------- */

static MACHINE_CALL void configuration(IdeDrive *d)
{
    uint64_t n = atapi_blocks(d);
    bool dvd = n > CD_MAX;
    uint8_t *b = d->buf;

    if (d->packet[2] || d->packet[3]) {
        bad_field(d);
        return;
    }
    memset(b, 0, 40);
    st_be16(b + 6, !n ? 0 : dvd ? 0x10 : 0x08);
    b[10] = 0x03;                      /* profile list, present               */
    b[11] = 8;
    st_be16(b + 12, 0x10);
    b[14] = dvd;
    st_be16(b + 16, 0x08);
    b[18] = n && !dvd;
    st_be16(b + 20, 1);                /* core feature: ATAPI                 */
    b[22] = 0x0b;
    b[23] = 8;
    st_be32(b + 24, 2);
    b[28] = 1;
    st_be16(b + 32, 3);                /* removable medium: tray              */
    b[34] = 0x03;
    b[35] = 4;
    b[36] = 0x39;
    st_be32(b, 36);
    atapi_reply(d, 40, ld_be16(d->packet + 7));
}

static MACHINE_CALL void events(IdeDrive *d)
{
    uint8_t *b = d->buf;
    uint32_t n = 4;

    if (!(d->packet[1] & 1)) {         /* asynchronous: not offered           */
        bad_field(d);
        return;
    }
    memset(b, 0, 8);
    b[3] = 1 << 4;                     /* media events                        */
    if (d->packet[4] & 1 << 4) {
        b[2] = 4;
        b[4] = d->event_eject ? 1 : d->event_new ? 2 : 0;
        b[5] = (d->tray_open ? 1 : 0) |
               (blk_has_medium(d->conf.blk) && !d->tray_open ? 2 : 0);
        if (d->event_eject) {
            d->event_eject = false;
        } else {
            d->event_new = false;
        }
        n = 8;
    } else {
        b[2] = 0x80;
    }
    st_be16(b, (uint16_t)(n - 4));
    atapi_reply(d, n, ld_be16(d->packet + 7));
}

static MACHINE_CALL void disc_info(IdeDrive *d)
{
    uint8_t *b = d->buf;

    if (d->packet[1] & 7) {
        bad_field(d);
        return;
    }
    memset(b, 0, 34);
    b[1] = 32;
    b[2] = 0x0e;                       /* complete                            */
    b[3] = b[4] = b[5] = b[6] = 1;
    b[7] = 0x20;
    atapi_reply(d, 34, ld_be16(d->packet + 7));
}

static MACHINE_CALL void mechanism(IdeDrive *d)
{
    memset(d->buf, 0, 8);
    d->buf[5] = 1;
    atapi_reply(d, 8, ld_be16(d->packet + 8));
}

static MACHINE_CALL void dvd_structure(IdeDrive *d)
{
    const uint8_t *c = d->packet;
    uint8_t *b = d->buf;
    uint64_t n = atapi_blocks(d);
    uint32_t len;

    if (c[1] || c[6] || n <= CD_MAX) {
        bad_field(d);
        return;
    }
    memset(b, 0, 2052);
    switch (c[7]) {
    case 0:                            /* physical format                     */
        b[4] = 1;
        b[5] = 0x0f;
        b[6] = 1;
        st_be32(b + 8, 0x30000);
        st_be32(b + 12, 0x30000 + (uint32_t)n - 1);
        st_be32(b + 16, 0x30000 + (uint32_t)n - 1);
        len = 2052;
        break;
    case 1:                            /* copyright: none                     */
        len = 8;
        break;
    case 4:                            /* manufacturer                        */
        len = 2052;
        break;
    default:
        bad_field(d);
        return;
    }
    st_be16(b, (uint16_t)(len - 2));
    atapi_reply(d, len, ld_be16(c + 8));
}

bool atapi_info(IdeDrive *d)
{
    static const struct {
        uint8_t op;
        void (*run)(IdeDrive *d);
    } rows[] = {
        { 0x03, request_sense }, { 0x12, inquiry }, { 0x5a, mode_sense },
        { 0x25, capacity }, { 0x43, read_toc }, { 0x46, configuration },
        { 0x4a, events }, { 0x51, disc_info }, { 0xbd, mechanism },
        { 0xad, dvd_structure },
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i].op == d->packet[0]) {
            rows[i].run(d);
            return true;
        }
    }
    return false;
}
