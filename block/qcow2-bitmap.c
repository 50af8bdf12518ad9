/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2-bitmap.c - persistent dirty bitmaps: their directory and tables.
 * (the specification: Bitmaps extension, Bitmaps)
 *
 * Thread class: as co_run.
 */
#include "block/qcow2-check.h"

Json *q2_bitmaps_info(const Qcow2 *s)
{
    return NULL;
}

/* What the bitmaps of the file occupy. */
int q2_bitmaps_count(Q2Check *k)
{
    Qcow2 *s = k->s;
    g_autofree uint8_t *dir = NULL;
    uint64_t at = 0;
    int ret;

    if (!s->n_bitmaps) {
        return 0;
    }
    q2_check_count(k, s->bitmap_dir_off, s->bitmap_dir_size);
    dir = g_try_malloc(MAX2(s->bitmap_dir_size, 1));
    ret = dir ? blk_co_pread(s->node.file, s->bitmap_dir_off, dir,
                             s->bitmap_dir_size) : -ENOMEM;
    while (ret >= 0 && at + 24 <= s->bitmap_dir_size) {
        uint64_t table = ld_be64(dir + at);
        uint32_t n = ld_be32(dir + at + 8);
        g_autofree uint64_t *t = NULL;

        if (n > 128 * MiB / 8 || !q2_area_ok(s, table, n, 8)) {
            q2_say(k, "ERROR bitmap table of bitmap at %" PRIu64 " is bad", at);
            k->c->corruptions++;
            break;
        }
        q2_check_count(k, table, (uint64_t)n * 8);
        t = g_try_new0(uint64_t, MAX2(n, 1));
        ret = t ? blk_co_pread(s->node.file, table, t, (size_t)n * 8)
                : -ENOMEM;
        for (uint32_t i = 0; ret >= 0 && i < n; i++) {
            uint64_t off = ld_be64(&t[i]) & Q2_OFFSET;

            q2_check_count(k, off, off ? s->cluster_size : 0);
        }
        at = ALIGN_UP(at + 24 + ld_be16(dir + at + 18) +
                      (uint64_t)ld_be32(dir + at + 20), 8);
    }
    return ret;
}

int64_t q2_bitmaps_measure(BlkNode *in, uint64_t cluster)
{
    return in && !strcmp(in->drv->name, "qcow2") && q2_of(in)->version > 2
           ? 0 : -1;
}
