/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * disk-info.c - what disk and CD-ROM units say of themselves: INQUIRY and its
 * pages, mode pages, capacities (SPC-4, sections 6.6, 6.11, 7.5 and 7.8; SBC-3,
 * sections 5.15, 5.16 and 6.5).
 *
 * Thread class: LOOP_CALL(bus->loop).
 */
#include <glib.h>
#include "hw/scsi/scsi-impl.h"

void scsi_put_text(uint8_t *to, size_t n, const char *s)
{
    size_t len = strlen(s);

    for (size_t i = 0; i < n; i++) {
        to[i] = i < len ? (uint8_t)s[i] : ' ';
    }
}

void scsi_put_inquiry(uint8_t *b, uint8_t kind, int version, bool tags)
{
    b[0] = kind;
    b[2] = (uint8_t)version;
    b[3] = 0x12;
    b[4] = 31;
    b[7] = 0x10 | (tags ? 2 : 0);
}

/* ---- INQUIRY ------------------------------------------------------------- */

static const char *unit_name(const ScsiDisk *s)
{
    const char *name = blk_name(s->d.conf.blk);

    return s->device_id ? s->device_id : *name ? name : NULL;
}

static uint32_t page_list(const ScsiDisk *s, uint8_t *b)
{
    uint8_t *p = b + 4;

    *p++ = 0x00;
    if (s->serial) {
        *p++ = 0x80;
    }
    *p++ = 0x83;
    if (!s->cd) {
        *p++ = 0xb0;
        *p++ = 0xb1;
        *p++ = 0xb2;
    }
    return (uint32_t)(p - b);
}

static uint8_t *put_wwn(uint8_t *p, uint8_t association, uint64_t wwn)
{
    p[0] = association ? 0x61 : 0x01;
    p[1] = association | 3;
    p[3] = 8;
    st_be64(p + 4, wwn);
    return p + 12;
}

static uint32_t page_identity(const ScsiDisk *s, uint8_t *b)
{
    const char *id = unit_name(s);
    uint8_t *p = b + 4;

    if (id) {
        size_t n = MIN2(strlen(id), 20);

        p[0] = 2;                      /* ASCII                               */
        p[3] = (uint8_t)n;
        memcpy(p + 4, id, n);
        p += 4 + n;
    }
    if (s->wwn) {
        p = put_wwn(p, 0, s->wwn);
    }
    if (s->port_wwn) {
        p = put_wwn(p, 0x90, s->port_wwn);
    }
    if (s->port_index) {
        p[0] = 0x61;
        p[1] = 0x94;
        p[3] = 4;
        st_be32(p + 4, s->port_index);
        p += 8;
    }
    return (uint32_t)(p - b);
}

static uint32_t page_limits(const ScsiDisk *s, uint8_t *b)
{
    const BlkConf *c = &s->d.conf;
    uint64_t unmap = s->max_unmap / c->logical, io = s->max_io / c->logical;

    b[4] = 1;                          /* WRITE SAME of no blocks: refused    */
    st_be16(b + 6, (uint16_t)MIN2(c->min_io / c->logical, 0xffff));
    st_be32(b + 8, (uint32_t)MIN2(io, UINT32_MAX));
    st_be32(b + 12, (uint32_t)(c->opt_io / c->logical));
    st_be32(b + 20, (uint32_t)MIN2(unmap, UINT32_MAX));
    st_be32(b + 24, 255);
    st_be32(b + 28, (uint32_t)(c->discard_granularity / c->logical));
    st_be64(b + 36, io);
    return 64;
}

static bool vital_page(ScsiDisk *s, ScsiReq *r)
{
    uint8_t page = r->cdb[2], *b = scsi_room(r, 512);
    uint32_t n = 64;

    if (page == 0x00) {
        n = page_list(s, b);
    } else if (page == 0x80 && s->serial) {
        n = (uint32_t)MIN2(strlen(s->serial), 36);
        memcpy(b + 4, s->serial, n);
        n += 4;
    } else if (page == 0x83) {
        n = page_identity(s, b);
    } else if (s->cd) {
        return false;
    } else if (page == 0xb0) {
        n = page_limits(s, b);
    } else if (page == 0xb1) {
        st_be16(b + 4, s->rotation);
    } else if (page == 0xb2) {
        n = 8;
        b[5] = 0xe0;                   /* UNMAP, WRITE SAME 16 and 10         */
        b[6] = s->d.conf.discard_granularity ? 2 : 1;
    } else {
        return false;
    }
    b[0] = s->cd ? 5 : 0;
    b[1] = page;
    st_be16(b + 2, (uint16_t)(n - 4));
    scsi_reply(r, n);
    return true;
}

static void inquiry(ScsiDisk *s, ScsiReq *r)
{
    uint8_t *b = scsi_room(r, 36);

    if (r->cdb[1] & 1) {
        if (!vital_page(s, r)) {
            scsi_check(r, SENSE_BAD_FIELD);
        }
        return;
    }
    if (r->cdb[2]) {
        scsi_check(r, SENSE_BAD_FIELD);
        return;
    }
    scsi_put_inquiry(b, s->cd ? 5 : 0, s->scsi_version, r->bus->hba->tags);
    b[1] = s->removable || s->cd ? 0x80 : 0;
    if (r->xfer > 36) {
        b[4] = (uint8_t)MIN2(r->xfer - 5, 251);
    }
    scsi_put_text(b + 8, 8, s->vendor);
    scsi_put_text(b + 16, 16, s->product);
    memset(b + 32, 0, 4);
    memcpy(b + 32, s->ver, MIN2(strlen(s->ver), 4));
    scsi_reply(r, 36);
}

/* ---- mode pages ---------------------------------------------------------- */

static void geometry_page(const ScsiDisk *s, uint8_t *p)
{
    p[3] = (uint8_t)(s->d.conf.cyls >> 8);
    p[4] = (uint8_t)s->d.conf.cyls;
    p[2] = (uint8_t)(s->d.conf.cyls >> 16);
    p[5] = (uint8_t)s->d.conf.heads;
    memcpy(p + 6, p + 2, 3);           /* precompensation, reduced current    */
    memcpy(p + 9, p + 2, 3);
    st_be16(p + 12, 200);              /* step rate                           */
    memset(p + 14, 0xff, 3);
    st_be16(p + 20, 5400);
}

static void flexible_page(const ScsiDisk *s, uint8_t *p)
{
    uint16_t cyls = (uint16_t)s->d.conf.cyls;

    st_be16(p + 2, 5000);
    p[4] = (uint8_t)s->d.conf.heads;
    p[5] = (uint8_t)s->d.conf.secs;
    st_be16(p + 6, (uint16_t)s->d.conf.logical);
    st_be16(p + 8, cyls);
    st_be16(p + 10, cyls);
    st_be16(p + 12, cyls);
    st_be16(p + 14, 1);
    p[16] = 1;
    p[18] = p[19] = p[20] = 1;
    st_be16(p + 28, 5400);
}

static void capabilities_page(const ScsiDisk *s, uint8_t *p)
{
    static const uint8_t fixed[] = {
        0x3b, 0x00, 0x7f, 0xff, 0x2d, 0x00, 0x22, 0x60, 0x00, 0x02, 0x08, 0x00,
        0x0b, 0x00, 0x00, 0x00, 0x0b, 0x00, 0x0b, 0x00,
    };

    memcpy(p + 2, fixed, sizeof(fixed));
    p[6] |= s->locked ? 2 : 0;
}

unsigned disk_mode_page(const ScsiDisk *s, uint8_t page, bool changeable,
                        uint8_t *p)
{
    static const struct {
        uint8_t page, len;
        bool disk, cd;
    } rows[] = {
        { 0x01, 0x0a, true, true }, { 0x04, 0x16, true, false },
        { 0x05, 0x1e, true, false }, { 0x08, 0x12, true, true },
        { 0x0e, 0x0e, false, true }, { 0x2a, 0x14, false, true },
    };
    unsigned i = 0;

    while (i < ARRAY_SIZE(rows) && rows[i].page != page) {
        i++;
    }
    if (i == ARRAY_SIZE(rows) || !(s->cd ? rows[i].cd : rows[i].disk)) {
        return 0;
    }
    memset(p, 0, rows[i].len + 2u);
    p[0] = page;
    p[1] = rows[i].len;
    if (page == 0x08) {
        p[2] = changeable || blk_write_cache(s->d.conf.blk) ? 4 : 0;
    } else if (changeable) {
        return rows[i].len + 2u;
    } else if (page == 0x01) {
        p[2] = 0x80;
        p[3] = s->cd ? 0x20 : 0;
    } else if (page == 0x04) {
        geometry_page(s, p);
    } else if (page == 0x05) {
        flexible_page(s, p);
    } else if (page == 0x2a) {
        capabilities_page(s, p);
    }
    return rows[i].len + 2u;
}

static uint32_t block_descriptor(const ScsiDisk *s, uint8_t *p)
{
    uint64_t n = s->blocks > 0xffffff ? 0 : s->blocks;

    p[1] = (uint8_t)(n >> 16);
    st_be16(p + 2, (uint16_t)n);
    p[5] = (uint8_t)(s->d.conf.logical >> 16);
    st_be16(p + 6, (uint16_t)s->d.conf.logical);
    return 8;
}

static void mode_sense(ScsiDisk *s, ScsiReq *r)
{
    uint8_t *b = scsi_room(r, 512), page = r->cdb[2] & 0x3f;
    bool ten = r->cdb[0] == 0x5a, change = r->cdb[2] >> 6 == 1;
    uint32_t head = ten ? 8 : 4, n = head, desc = 0, before;
    uint8_t *dev = b + (ten ? 3 : 2);

    if (r->cdb[2] >> 6 == 3) {
        scsi_check(r, SENSE_NO_SAVING);
        return;
    }
    if (!s->cd) {
        *dev = (s->dpofua ? 0x10 : 0) |
               (disk_ready(s) && !blk_writable(s->d.conf.blk) ? 0x80 : 0);
        if (!(r->cdb[1] & 8) && s->blocks) {
            desc = block_descriptor(s, b + n);
        }
    }
    n += desc;
    before = n;
    for (unsigned i = 0; i < 0x3f; i++) {
        if (page == 0x3f || page == i) {
            n += disk_mode_page(s, (uint8_t)i, change, b + n);
        }
    }
    if (n == before) {
        scsi_check(r, SENSE_BAD_FIELD);
        return;
    }
    if (ten) {
        st_be16(b, (uint16_t)(n - 2));
        b[7] = (uint8_t)desc;
    } else {
        b[0] = (uint8_t)(n - 1);
        b[3] = (uint8_t)desc;
    }
    scsi_reply(r, n);
}

/* ---- MODE SELECT --------------------------------------------------------- */

/* The pages of a list; changes only what may be changed. false: *why. */
static bool pages_ok(const ScsiDisk *s, const uint8_t *p, uint32_t n,
                     ScsiSense *why)
{
    uint8_t now[64], may[64];

    while (n) {
        unsigned len;

        if (n < 2 || p[0] & 0x40 || p[1] + 2u > n) {
            *why = n < 2 || !(p[0] & 0x40) ? SENSE_BAD_LENGTH
                                           : SENSE_BAD_PARAM;
            return false;
        }
        len = disk_mode_page(s, p[0] & 0x3f, false, now);
        if (!len) {
            *why = SENSE_BAD_PARAM;
            return false;
        }
        if (len != p[1] + 2u) {
            *why = SENSE_BAD_PARAM;
            return false;
        }
        disk_mode_page(s, p[0] & 0x3f, true, may);
        for (unsigned i = 2; i < len; i++) {
            if ((p[i] ^ now[i]) & ~may[i]) {
                *why = SENSE_BAD_PARAM;
                return false;
            }
        }
        p += len;
        n -= len;
    }
    return true;
}

/* The write cache is the machine's to change. */
static MACHINE_CALL void set_cache(ScsiReq *r)
{
    blk_set_write_cache(r->dev->conf.blk, r->step);
}

void disk_mode_select(ScsiDisk *s, ScsiReq *r)
{
    uint8_t b[512];
    uint32_t head = r->cdb[0] == 0x55 ? 8 : 4;
    uint32_t n = scsi_fetch(r, b, sizeof(b)), at;
    ScsiSense why = SENSE_BAD_LENGTH;
    bool on = blk_write_cache(s->d.conf.blk), was = on;

    if (!r->xfer) {
        scsi_good(r);
        return;
    }
    if ((r->cdb[1] & 0x11) != 0x10) {
        scsi_check(r, SENSE_BAD_FIELD);
        return;
    }
    at = n >= head ? head + (head == 8 ? ld_be16(b + 6) : b[3]) : n + 1;
    if (n < head) {
        scsi_check(r, SENSE_BAD_LENGTH);
        return;
    }
    if (at > n || r->xfer > sizeof(b)) {
        scsi_check(r, SENSE_BAD_LENGTH);
        return;
    }
    if (!pages_ok(s, b + at, n - at, &why)) {
        scsi_check(r, why);
        return;
    }
    for (; at < n; at += b[at + 1] + 2u) {
        if ((b[at] & 0x3f) == 0x08) {
            on = b[at + 2] & 4;
        }
    }
    if (on == was) {
        scsi_good(r);
        return;
    }
    r->step = on;
    scsi_in_main(r, set_cache);
}

/* ---- capacities ---------------------------------------------------------- */

static void capacity(ScsiDisk *s, ScsiReq *r)
{
    bool sixteen = r->cdb[0] == 0x9e;
    uint8_t *b = scsi_room(r, 32), exponent = 0;
    uint64_t per = s->d.conf.physical / s->d.conf.logical;

    if (!disk_ready(s) || !s->blocks) {
        scsi_check(r, SENSE_NO_MEDIUM);
        return;
    }
    if (!sixteen) {
        if (!(r->cdb[8] & 1) && scsi_cdb_lba(r->cdb)) {
            scsi_check(r, SENSE_BAD_FIELD);
            return;
        }
        st_be32(b, (uint32_t)MIN2(s->blocks - 1, UINT32_MAX));
        st_be32(b + 4, (uint32_t)s->d.conf.logical);
        scsi_reply(r, 8);
        return;
    }
    for (; per > 1; per /= 2) {
        exponent++;
    }
    st_be64(b, s->blocks - 1);
    st_be32(b + 8, (uint32_t)s->d.conf.logical);
    b[13] = exponent;
    b[14] = s->d.conf.discard_granularity ? 0x80 : 0;
    scsi_reply(r, 32);
}

bool disk_info(ScsiDisk *s, ScsiReq *r)
{
    switch (r->cdb[0]) {
    case 0x12:
        inquiry(s, r);
        return true;
    case 0x1a: case 0x5a:
        mode_sense(s, r);
        return true;
    case 0x15: case 0x55:
        disk_mode_select(s, r);
        return true;
    case 0x25:
        capacity(s, r);
        return true;
    case 0x9e:
        if ((r->cdb[1] & 31) != 0x10) {
            scsi_check(r, SENSE_BAD_FIELD);
        } else {
            capacity(s, r);
        }
        return true;
    default:
        return false;
    }
}
