/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * geometry.c - cylinders, heads and sectors of an image: as the partition table in
 * its first sector was made with, else by size.
 *
 * Thread class: MACHINE_CALL.
 */
#include <glib.h>
#include "blk.h"

/* Heads and sectors that the end of a partition implies; false: none does. */
static bool geometry_from_table(const uint8_t *mbr, uint64_t sectors,
                                BlkGeometry *g)
{
    if (mbr[510] != 0x55 || mbr[511] != 0xaa) {
        return false;
    }
    for (int i = 0; i < 4; i++) {
        const uint8_t *p = mbr + 0x1be + i * 16;
        uint32_t heads = p[5] + 1u, secs = p[6] & 63;
        uint64_t cyls;

        if (!ld_le32(p + 12) || !p[5] || !secs) {
            continue;
        }
        cyls = sectors / (heads * secs);
        if (cyls >= 1 && cyls <= 16383) {
            *g = (BlkGeometry){ (uint32_t)cyls, heads, secs };
            return true;
        }
    }
    return false;
}

static void geometry_by_size(uint64_t sectors, BlkGeometry *g)
{
    uint64_t cyls = sectors / (16 * 63);

    *g = (BlkGeometry){ (uint32_t)(cyls > 16383 ? 16383 : cyls < 2 ? 2 : cyls),
                        16, 63 };
}

void blk_guess_geometry(BlkBackend *b, BlkGeometry *g, BlkTrans *trans)
{
    uint8_t mbr[512];
    int64_t len = blk_length(b);
    uint64_t sectors = len > 0 ? (uint64_t)len / 512 : 0;
    BlkTrans t;

    if (len < 512 || blk_pread(b, 0, mbr, sizeof(mbr)) < 0 ||
        !geometry_from_table(mbr, sectors, g)) {
        geometry_by_size(sectors, g);
        t = (uint64_t)g->cyls * g->heads <= 131072 ? TRANS_LARGE : TRANS_LBA;
        if (g->cyls <= 1024 && g->heads <= 16) {
            t = TRANS_NONE;
        }
    } else if (g->heads > 16) {
        /* The table was made behind a firmware that translated. */
        geometry_by_size(sectors, g);
        t = (uint64_t)g->cyls * g->heads <= 131072 ? TRANS_LARGE : TRANS_LBA;
    } else {
        t = TRANS_NONE;
    }
    if (trans) {
        *trans = t;
    }
}
