/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vpc-create.c - making VHD images (Virtual Hard Disk Image Format Specification
 * 1.0; the geometry is its appendix).
 *
 * Thread class: MACHINE_CALL.
 */
#include <time.h>
#include "block/mapped.h"
#include "block/vpc.h"

#define BLOCK (2 * MiB)
#define TABLE 1536                     /* after footer copy and header        */
#define EPOCH_2000 946684800

static const PropEnum subformat_enum = {
    .type = "BlockdevVpcSubformat",
    .names = (const char *const[]){ "dynamic", "fixed", NULL },
};
enum { SUB_DYNAMIC, SUB_FIXED };

const Prop vpc_create_props[] = {
    PROP_BOOL("force_size", VpcCreate, force_size, false,
              .flags = PF_NO_DEFAULT,
              .desc = "Force disk size calculation to use the actual size "
                      "specified, rather than using the nearest CHS-based "
                      "calculation"),
    PROP_ENUM("subformat", VpcCreate, subformat, &subformat_enum, SUB_DYNAMIC,
              .flags = PF_NO_DEFAULT,
              .desc = "Type of virtual hard disk format. Supported formats are "
                      "{dynamic (default) | fixed} "),
    PROP_END
};

typedef struct Chs {
    uint32_t cyls, heads, secs;
} Chs;

static Chs geometry(uint64_t sectors)
{
    uint32_t cth;
    Chs g;

    sectors = MIN2(sectors, VPC_CHS_MAX);
    if (sectors >= 65535u * 16 * 63) {
        g.secs = 255;
        g.heads = 16;
        cth = (uint32_t)(sectors / g.secs);
    } else {
        g.secs = 17;
        cth = (uint32_t)(sectors / g.secs);
        g.heads = MAX2((cth + 1023) / 1024, 4);
        if (cth >= g.heads * 1024 || g.heads > 16) {
            g.secs = 31;
            g.heads = 16;
            cth = (uint32_t)(sectors / g.secs);
        }
        if (cth >= g.heads * 1024) {
            g.secs = 63;
            g.heads = 16;
            cth = (uint32_t)(sectors / g.secs);
        }
    }
    g.cyls = cth / g.heads;
    return g;
}

/* The smallest geometry that holds them; the biggest there is otherwise. */
static Chs geometry_over(uint64_t sectors)
{
    Chs g = geometry(sectors);

    for (uint64_t s = sectors; s <= VPC_CHS_MAX &&
         (uint64_t)g.cyls * g.heads * g.secs < sectors;) {
        g = geometry(++s);
    }
    return g;
}

static bool size_choose(const VpcCreate *c, uint64_t *size, Chs *g, Error **errp)
{
    uint64_t sectors = (c->base.size + 511) / 512;

    if (c->force_size) {
        *g = (Chs){ 65535, 16, 255 };
        *size = sectors * 512;
    } else {
        *g = geometry_over(sectors);
        *size = (uint64_t)g->cyls * g->heads * g->secs * 512;
        if (*size >= VPC_CHS_MAX * UINT64_C(512)) {
            *size = sectors * 512;
        }
    }
    if (*size / 512 > VPC_SECTORS_MAX) {
        return error_set(errp, "The image size is too large for file "
                         "format 'vpc'");
    }
    return true;
}

static void footer_fill(const VpcCreate *c, uint64_t size, Chs g, uint8_t *f)
{
    bool fixed = c->subformat == SUB_FIXED;

    memcpy(f, "conectix", 8);
    st_be32(f + 8, 2);
    st_be32(f + 12, 0x10000);
    st_be64(f + 16, fixed ? UINT64_MAX : VPC_FOOTER);
    st_be32(f + 24, (uint32_t)(time(NULL) - EPOCH_2000));
    memcpy(f + 28, c->force_size ? "qem2" : "qemu", 4);
    st_be16(f + 32, 5);
    st_be16(f + 34, 3);
    memcpy(f + 36, "Wi2k", 4);
    st_be64(f + 40, size);
    st_be64(f + 48, size);
    st_be16(f + 56, (uint16_t)g.cyls);
    f[58] = (uint8_t)g.heads;
    f[59] = (uint8_t)g.secs;
    st_be32(f + 60, fixed ? VPC_TYPE_FIXED : VPC_TYPE_DYNAMIC);
    map_uuid(f + 68);
    st_be32(f + 64, vpc_checksum(f, VPC_FOOTER, 64));
}

static int dynamic_write(BlkNode *file, uint64_t size, const uint8_t *footer)
{
    uint32_t entries = (uint32_t)((size + BLOCK - 1) / BLOCK);
    uint64_t table = ALIGN_UP(entries * UINT64_C(4), 512);
    uint8_t h[1024] = { 0 }, ones[512];
    int ret;

    memset(ones, 0xff, sizeof(ones));
    memcpy(h, "cxsparse", 8);
    st_be64(h + 8, UINT64_MAX);
    st_be64(h + 16, TABLE);
    st_be32(h + 24, 0x10000);
    st_be32(h + 28, entries);
    st_be32(h + 32, (uint32_t)BLOCK);
    st_be32(h + 36, vpc_checksum(h, sizeof(h), 36));
    ret = blk_co_pwrite(file, TABLE + table, footer, VPC_FOOTER, 0);
    for (uint64_t at = 0; ret >= 0 && at < table; at += 512) {
        ret = blk_co_pwrite(file, TABLE + at, ones, sizeof(ones), 0);
    }
    ret = ret < 0 ? ret : blk_co_pwrite(file, VPC_FOOTER, h, sizeof(h), 0);
    return ret < 0 ? ret : blk_co_pwrite(file, 0, footer, VPC_FOOTER, 0);
}

bool vpc_create(BlkCreate *b, Error **errp)
{
    VpcCreate *c = (VpcCreate *)b;
    uint8_t f[VPC_FOOTER] = { 0 };
    uint64_t size;
    Chs g;
    int ret;

    if (!size_choose(c, &size, &g, errp)) {
        return false;
    }
    footer_fill(c, size, g, f);
    if (c->subformat == SUB_DYNAMIC) {
        ret = dynamic_write(b->file, size, f);
    } else {
        if (!blk_node_truncate(b->file, size + VPC_FOOTER, PREALLOC_OFF, false,
                               errp)) {
            return false;
        }
        ret = blk_co_pwrite(b->file, size, f, sizeof(f), 0);
    }
    return ret >= 0 || error_set_errno(errp, -ret, "Could not write the image");
}
