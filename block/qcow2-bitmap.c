/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2-bitmap.c - persistent dirty bitmaps: their directory and tables as they
 * are on disk. (the specification: Bitmaps extension, Bitmaps)
 *
 * Thread class: MACHINE_CALL; counting as co_run.
 *
 * Invariants
 * 1. No field of the directory is used before it was compared with its bounds.
 */
#include "block/qcow2-bitmap.h"
#include "block/qcow2-check.h"

#define ENTRY 24                       /* fixed part of an entry              */

void q2_bitmap_free(Q2Bitmap *b)
{
    if (b) {
        g_free(b->name);
        g_free(b->extra);
        g_free(b);
    }
}

void q2_bitmaps_free(Qcow2 *s)
{
    while (s->bitmaps) {
        Q2Bitmap *b = s->bitmaps;

        s->bitmaps = b->next;
        q2_bitmap_free(b);
    }
}

uint64_t q2_bitmap_entry_size(size_t name, uint32_t extra)
{
    return ALIGN_UP((uint64_t)ENTRY + name + extra, 8);
}

uint64_t q2_bitmap_bytes(uint64_t size, unsigned bits)
{
    uint64_t n = (size >> bits) + !!(size & ((UINT64_C(1) << bits) - 1));

    return (n + 7) / 8;
}

/* ---- the directory ------------------------------------------------------- */

/* An entry at p, where `left` bytes remain. NULL: it is bad. */
static Q2Bitmap *entry_parse(const Qcow2 *s, const uint8_t *p, uint64_t left)
{
    uint32_t name, extra;
    Q2Bitmap *b;

    if (left < ENTRY) {
        return NULL;
    }
    name = ld_be16(p + 18);
    extra = ld_be32(p + 20);
    if (extra > left || name > BLK_BITMAP_NAME_MAX || !name ||
        q2_bitmap_entry_size(name, extra) > left || p[17] > 63 ||
        ld_be32(p + 8) > Q2_BITMAP_TABLE_MAX ||
        !q2_area_ok(s, ld_be64(p), ld_be32(p + 8), 8)) {
        return NULL;
    }
    b = g_new0(Q2Bitmap, 1);
    b->table = ld_be64(p);
    b->entries = ld_be32(p + 8);
    b->flags = ld_be32(p + 12);
    b->type = p[16];
    b->bits = p[17];
    b->extra_size = extra;
    b->extra = g_memdup2(p + ENTRY, extra);
    b->name = g_strndup((const char *)p + ENTRY + extra, name);
    return b;
}

static MACHINE_CALL bool entries_parse(Qcow2 *s, const uint8_t *dir,
                                       Error **errp)
{
    Q2Bitmap **last = &s->bitmaps;
    uint64_t at = 0;
    uint32_t n = 0;

    while (at < s->bitmap_dir_size) {
        Q2Bitmap *b = entry_parse(s, dir + at, s->bitmap_dir_size - at);

        if (!b || ++n > s->n_bitmaps) {
            q2_bitmap_free(b);
            return error_set(errp, "Could not read the directory of bitmaps: "
                             "broken entry at byte %" PRIu64, at);
        }
        b->at = at;
        *last = b;
        last = &b->next;
        at += q2_bitmap_entry_size(strlen(b->name), b->extra_size);
    }
    return n == s->n_bitmaps ||
           error_set(errp, "More bitmaps specified in header than there are in "
                     "the directory");
}

bool q2_bitmaps_read(Qcow2 *s, Error **errp)
{
    g_autofree uint8_t *dir = NULL;
    int ret;

    if (!s->n_bitmaps) {
        return true;
    }
    dir = g_try_malloc0(MAX2(s->bitmap_dir_size, 1));
    if (!dir) {
        return error_set(errp, "No memory for the directory of bitmaps");
    }
    ret = blk_co_pread(s->node.file, s->bitmap_dir_off, dir,
                       s->bitmap_dir_size);
    if (ret < 0) {
        return error_set_errno(errp, -ret, "Could not read the directory of "
                               "bitmaps");
    }
    return entries_parse(s, dir, errp);
}

int q2_bitmap_table(Qcow2 *s, const Q2Bitmap *b, uint64_t **table)
{
    const uint64_t reserved = ~Q2_OFFSET | (s->cluster_size - 512);
    int ret;

    *table = g_try_new0(uint64_t, MAX2(b->entries, 1));
    ret = *table ? blk_co_pread(s->node.file, b->table, *table,
                                (size_t)b->entries * 8) : -ENOMEM;
    for (uint32_t i = 0; ret >= 0 && i < b->entries; i++) {
        uint64_t v = ld_be64(&(*table)[i]);

        (*table)[i] = v;
        /* Without a cluster bit 0 says that all bits are set. */
        if (v & reserved && v != 1) {
            ret = -EINVAL;
        }
    }
    if (ret < 0) {
        g_clear_pointer(table, g_free);
    }
    return ret;
}

/* ---- what is told -------------------------------------------------------- */

Json *q2_bitmaps_info(const Qcow2 *s)
{
    Json *list = s->bitmaps ? json_list() : NULL;

    for (const Q2Bitmap *b = s->bitmaps; b; b = b->next) {
        Json *o = json_obj(), *flags = json_list();

        if (b->flags & Q2B_IN_USE) {
            json_add(flags, json_str("in-use"));
        }
        if (b->flags & Q2B_AUTO) {
            json_add(flags, json_str("auto"));
        }
        json_set(o, "flags", flags);
        json_set_str(o, "name", b->name);
        json_set_int(o, "granularity", INT64_C(1) << MIN2(b->bits, 62));
        json_add(list, o);
    }
    return list;
}

int64_t q2_bitmaps_measure(BlkNode *in, uint64_t cluster)
{
    uint64_t sum = 0, dir = 0;

    if (!in || !in->drv->bitmaps || strcmp(in->drv->name, "qcow2") ||
        q2_of(in)->version < 3) {
        return -1;
    }
    for (const BlkBitmap *b = in->bitmaps; b; b = b->next) {
        uint64_t data;

        if (!b->persistent || b->inconsistent) {
            continue;
        }
        data = q2_bitmap_bytes(b->size,
                               (unsigned)__builtin_ctz(b->granularity));
        data = (data + cluster - 1) / cluster;
        sum += data * cluster + ALIGN_UP(data * 8, cluster);
        dir += q2_bitmap_entry_size(strlen(b->name), 0);
    }
    return (int64_t)(sum + ALIGN_UP(dir, cluster));
}

/* ---- check --------------------------------------------------------------- */

static int count_one(Q2Check *k, const Q2Bitmap *b)
{
    Qcow2 *s = k->s;
    g_autofree uint64_t *t = NULL;
    int ret;

    q2_check_count(k, b->table, (uint64_t)b->entries * 8);
    if (b->table + (uint64_t)b->entries * 8 >
        s->node.file->length + s->cluster_size) {
        return 0;                      /* said so: it is behind the end       */
    }
    ret = q2_bitmap_table(s, b, &t);
    if (ret == -EINVAL) {
        q2_say(k, "ERROR bitmap '%s': bad entry in its table", b->name);
        k->c->corruptions++;
        return 0;
    }
    for (uint32_t i = 0; ret >= 0 && i < b->entries; i++) {
        if (t[i] & Q2_OFFSET) {
            q2_check_count(k, t[i] & Q2_OFFSET, s->cluster_size);
        }
    }
    if (ret < 0) {
        k->c->check_errors++;
    }
    return ret;
}

/* What the bitmaps of the file occupy. */
int q2_bitmaps_count(Q2Check *k)
{
    Qcow2 *s = k->s;
    int ret = 0;

    if (s->n_bitmaps) {
        q2_check_count(k, s->bitmap_dir_off, s->bitmap_dir_size);
    }
    for (const Q2Bitmap *b = s->bitmaps; ret >= 0 && b; b = b->next) {
        ret = count_one(k, b);
    }
    return ret;
}
