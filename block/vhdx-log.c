/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vhdx-log.c - applying the log of a VHDX image ([MS-VHDX] sections 2.3 and 3.2).
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. Only an entry whose checksum is right, and that belongs to the header's log,
 *    is believed; the sequence with the highest number that holds its own tail is
 *    applied, from the tail on.
 * 2. However the log is made up, at most WORK_MAX times its length is read.
 */
#include <glib.h>
#include "block/vhdx.h"

#define WORK_MAX 8
#define SECTOR VHDX_LOG_SECTOR

typedef struct Entry {
    uint64_t at, len;                  /* in the log                          */
    uint64_t seq, tail, last_file;
    uint32_t descs;
} Entry;

typedef struct Log {
    Vhdx *v;
    uint64_t work;                     /* bytes that may still be read        */
} Log;

static bool sector_read(Log *l, uint64_t at, uint8_t *buf)
{
    if (l->work < SECTOR) {
        return false;
    }
    l->work -= SECTOR;
    return blk_co_pread(l->v->m.node.file, l->v->log + at % l->v->log_len, buf,
                        SECTOR) >= 0;
}

/* The entry that begins at `at`, if it is one. */
static bool entry_read(Log *l, uint64_t at, Entry *e)
{
    uint8_t buf[SECTOR];
    uint32_t want, crc = UINT32_MAX;
    uint64_t room;

    if (!sector_read(l, at, buf) || memcmp(buf, "loge", 4) ||
        memcmp(buf + 32, l->v->header + 48, 16)) {
        return false;
    }
    *e = (Entry){ .at = at, .len = ld_le32(buf + 8), .tail = ld_le32(buf + 12),
                  .seq = ld_le64(buf + 16), .descs = ld_le32(buf + 24),
                  .last_file = ld_le64(buf + 56) };
    room = e->len / SECTOR;
    if (!e->seq || e->len % SECTOR || !room || e->len > l->v->log_len ||
        e->tail % SECTOR || e->tail >= l->v->log_len ||
        64 + e->descs * UINT64_C(32) > e->len) {
        return false;
    }
    want = ld_le32(buf + 4);
    memset(buf + 4, 0, 4);
    for (uint64_t i = 0; i < room; i++) {
        if (i && !sector_read(l, at + i * SECTOR, buf)) {
            return false;
        }
        crc = vhdx_crc(crc, buf, SECTOR);
    }
    return ~crc == want;
}

/* The sequence from `at` on: its last entry in *head. */
static bool sequence_read(Log *l, uint64_t at, Entry *head)
{
    Entry e, next;
    uint64_t total;
    bool holds;

    if (!entry_read(l, at, &e)) {
        return false;
    }
    total = e.len;
    for (;;) {
        uint64_t to = (e.at + e.len) % l->v->log_len;

        if (total >= l->v->log_len || !entry_read(l, to, &next) ||
            next.seq != e.seq + 1 || total + next.len > l->v->log_len) {
            break;
        }
        total += next.len;
        e = next;
    }
    /* The tail must be within what was walked. */
    holds = (e.tail + l->v->log_len - at) % l->v->log_len < total;
    *head = e;
    return holds;
}

static int write_zeroes(BlkNode *file, uint64_t off, uint64_t len)
{
    uint64_t in = off < file->length ? MIN2(len, file->length - off) : 0;

    return blk_co_zero(file, off, in, 0);
}

/* One descriptor; data: the sector that follows for it. */
static int desc_apply(Vhdx *v, const Entry *e, const uint8_t *d,
                      const uint8_t *data)
{
    BlkNode *file = v->m.node.file;
    uint64_t off = ld_le64(d + 16);
    uint8_t out[SECTOR];

    if (ld_le64(d + 24) != e->seq || off % SECTOR || off > INT64_MAX / 2) {
        return -EINVAL;
    }
    if (!memcmp(d, "zero", 4)) {
        uint64_t len = ld_le64(d + 8);

        return len % SECTOR || len > INT64_MAX / 2 ? -EINVAL
                                                   : write_zeroes(file, off,
                                                                  len);
    }
    if (memcmp(data, "data", 4) ||
        ((uint64_t)ld_le32(data + 4) << 32 | ld_le32(data + 4092)) != e->seq) {
        return -EINVAL;
    }
    memcpy(out, d + 8, 8);             /* leading bytes                       */
    memcpy(out + 8, data + 8, 4084);
    memcpy(out + 4092, d + 4, 4);      /* trailing bytes                      */
    return blk_co_pwrite(file, off, out, SECTOR, 0);
}

static int entry_apply(Log *l, const Entry *e)
{
    uint64_t desc_sectors = (64 + e->descs * UINT64_C(32) + SECTOR - 1) / SECTOR;
    uint64_t data_at = desc_sectors;
    uint8_t descs[SECTOR], data[SECTOR];
    int ret = 0;

    for (uint32_t i = 0; i < e->descs && ret >= 0; i++) {
        uint64_t pos = 64 + i * UINT64_C(32);
        const uint8_t *d = descs + pos % SECTOR;

        if ((!i || pos % SECTOR == 0) &&
            !sector_read(l, e->at + pos / SECTOR * SECTOR, descs)) {
            return -EIO;
        }
        if (!memcmp(d, "desc", 4)) {
            if ((data_at + 1) * SECTOR > e->len ||
                !sector_read(l, e->at + data_at * SECTOR, data)) {
                return -EINVAL;
            }
            data_at++;
        } else if (memcmp(d, "zero", 4)) {
            return -EINVAL;
        }
        ret = desc_apply(l->v, e, d, data);
    }
    return ret;
}

static MACHINE_CALL bool sequence_apply(Log *l, const Entry *head, Error **errp)
{
    BlkNode *file = l->v->m.node.file;
    uint64_t at = head->tail;
    Entry e;
    int ret = 0;

    do {
        if (!entry_read(l, at, &e)) {
            return error_set(errp, "The log of the image is damaged");
        }
        ret = entry_apply(l, &e);
        at = (e.at + e.len) % l->v->log_len;
    } while (ret >= 0 && e.seq != head->seq);
    if (ret >= 0 && head->last_file > file->length &&
        head->last_file < VHDX_SIZE_MAX + 4 * GiB &&
        !blk_node_truncate(file, head->last_file, PREALLOC_OFF, false, errp)) {
        return false;
    }
    ret = ret < 0 ? ret : blk_co_flush(file);
    return ret >= 0 || error_set_errno(errp, -ret, "Could not apply the log");
}

bool vhdx_log_replay(Vhdx *v, Error **errp)
{
    Log l = { .v = v, .work = v->log_len * WORK_MAX };
    Entry best = { .seq = 0 }, head;
    int ret;

    if (!map_inside(v->m.node.file, v->log, v->log_len)) {
        return error_set(errp, "The log of the image is not where it may be");
    }
    for (uint64_t at = 0; at < v->log_len; at += SECTOR) {
        if (sequence_read(&l, at, &head) && head.seq > best.seq) {
            best = head;
        }
    }
    l.work = v->log_len * WORK_MAX;
    if (best.seq && !sequence_apply(&l, &best, errp)) {
        return false;
    }
    ret = vhdx_header_write(v, false, false);
    return ret >= 0 || error_set_errno(errp, -ret, "Could not write the header");
}
