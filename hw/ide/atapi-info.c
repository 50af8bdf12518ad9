/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * atapi-info.c - packets that ask a CD-ROM drive what it is and what it has
 * (MMC-6, section 6; SPC-4, sections 6.6 and 6.39).
 *
 * Thread class: MACHINE_CALL.
 */
#include "hw/ide/ide.h"
#include "hw/scsi/mmc.h"

enum { ASC_DATA_PHASE = 0x4b };

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

/* The head of one of the page's designators; where its text begins. */
static uint8_t *put_designator(uint8_t **p, uint8_t code, uint8_t kind,
                               uint8_t len)
{
    uint8_t *to = *p;

    to[0] = code;
    to[1] = kind;
    to[2] = 0;
    to[3] = len;
    *p = to + 4 + len;
    return to + 4;
}

/* Page 83h: who it is, by each name for which the guest has room. */
static MACHINE_CALL void identification(IdeDrive *d)
{
    uint8_t *b = d->buf, *p = b + 4, *to, max = d->packet[4];
    const char *model = d->model ? d->model : "QEMU DVD-ROM";

    if (max < 28) {                    /* not even for the first              */
        atapi_error(d, 5, ASC_DATA_PHASE);
        return;
    }
    put_padded(put_designator(&p, 2, 0, 20), 20, d->serial);
    if (max >= p - b + 72) {
        to = put_designator(&p, 2, 1, 68);
        put_padded(to, 8, "ATA");
        put_padded(to + 8, 40, model);
        put_padded(to + 48, 20, d->serial);
    }
    if (d->wwn && max >= p - b + 12) {
        st_be64(put_designator(&p, 1, 3, 8), d->wwn);
    }
    b[0] = 5;
    b[1] = 0x83;
    st_be16(b + 2, (uint16_t)(p - b - 4));
    atapi_reply(d, (uint32_t)(p - b), max);
}

static MACHINE_CALL void inquiry(IdeDrive *d)
{
    uint8_t *b = d->buf;

    if (d->packet[1] & 1) {            /* vital product data                  */
        if (d->packet[2] == 0x83) {
            identification(d);
            return;
        }
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
        b[12] = 0x71;
        b[13] = 3 << 5;
        b[14] = 1 | 1 << 3 | 1 << 5 | (d->tray_locked ? 2 : 0);
        st_be16(b + 16, 704);
        b[19] = 2;
        st_be16(b + 20, 512);
        st_be16(b + 22, 704);
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

/* ---- what is the same on every bus --------------------------------------- */

static MACHINE_CALL MmcDrive drive_view(IdeDrive *d)
{
    return (MmcDrive){
        .blocks = atapi_blocks(d), .present = blk_has_medium(d->conf.blk),
        .tray_open = d->tray_open, .event_new = &d->event_new,
        .event_eject = &d->event_eject,
    };
}

static MACHINE_CALL void answer(IdeDrive *d, uint32_t n, uint32_t max)
{
    if (n) {
        atapi_reply(d, n, max);
    } else {
        bad_field(d);
    }
}

static MACHINE_CALL void shared(IdeDrive *d)
{
    const uint8_t *c = d->packet;
    uint8_t *b = d->buf;
    MmcDrive v = drive_view(d);

    memset(b, 0, MMC_ROOM);
    switch (c[0]) {
    case 0x43:
        answer(d, mmc_read_toc(&v, true, c, b), ld_be16(c + 7));
        break;
    case 0x46:
        answer(d, c[2] || c[3] ? 0 : mmc_configuration(&v, true, b),
               ld_be16(c + 7));
        break;
    case 0x4a:
        answer(d, mmc_events(&v, c, b), ld_be16(c + 7));
        break;
    case 0x51:
        answer(d, mmc_disc_info(c, b), ld_be16(c + 7));
        break;
    case 0xbd:
        answer(d, mmc_mechanism(b), ld_be16(c + 8));
        break;
    default:
        if (!mmc_is_dvd(&v) && c[7] != 0xff) {
            atapi_error(d, 5, 0x30);   /* another format of medium            */
            break;
        }
        answer(d, mmc_dvd_structure(&v, c, b), ld_be16(c + 8));
        break;
    }
}

bool atapi_info(IdeDrive *d)
{
    static const struct {
        uint8_t op;
        void (*run)(IdeDrive *d);
    } rows[] = {
        { 0x03, request_sense }, { 0x12, inquiry }, { 0x5a, mode_sense },
        { 0x25, capacity }, { 0x43, shared }, { 0x46, shared },
        { 0x4a, shared }, { 0x51, shared }, { 0xbd, shared },
        { 0xad, shared },
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i].op == d->packet[0]) {
            rows[i].run(d);
            return true;
        }
    }
    return false;
}
