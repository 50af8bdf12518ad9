/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vhdx-create.c - making VHDX images ([MS-VHDX]). Thread class: MACHINE_CALL. */
#include <glib.h>
#include "block/vhdx.h"

enum { SUB_DYNAMIC, SUB_FIXED };
static const PropEnum subformat_enum = {
    .type = "BlockdevVhdxSubformat",
    .names = (const char *const[]){ "dynamic", "fixed", NULL },
};

const Prop vhdx_create_props[] = {
    { .name = "size", .kind = PK_SIZE, .flags = PF_NO_DEFAULT,
      .offset = offsetof(VhdxCreate, base.size),
      .desc = "Virtual disk size; max of 64TB." },
    PROP_SIZE("log_size", VhdxCreate, log, MiB, .desc = "Log size; min 1MB."),
    PROP_SIZE("block_size", VhdxCreate, block, 0,
              .desc = "Block Size; min 1MB, max 256MB. 0 means auto-calculate "
                      "based on image size."),
    PROP_ENUM("subformat", VhdxCreate, subformat, &subformat_enum, SUB_DYNAMIC,
              .flags = PF_NO_DEFAULT,
              .desc = "VHDX format type, can be either 'dynamic' or 'fixed'. "
                      "Default is 'dynamic'."),
    PROP_BOOL("block_state_zero", VhdxCreate, state_zero, true,
              .flags = PF_NO_DEFAULT,
              .desc = "Force use of payload blocks of type 'ZERO'. "
                      "Non-standard, but default.  Do not set to 'off' when "
                      "using 'qemu-img convert' with subformat=dynamic."),
    PROP_END
};

typedef struct Layout {
    uint64_t block, blocks, ratio, bat, bat_len, meta, data;
    uint64_t log_len;
} Layout;

static bool layout_make(const VhdxCreate *c, Layout *y, Error **errp)
{
    uint64_t size = c->base.size, entries;

    if (size > VHDX_SIZE_MAX) {
        return error_set(errp, "Image size too large; max of 64TB");
    }
    y->log_len = ALIGN_UP(MAX2(c->log, MiB), MiB);
    if (c->log > UINT32_MAX - MiB) {
        return error_set(errp, "Log size must be 4 GB or less");
    }
    y->block = c->block ? c->block
             : size > 32 * TiB ? 64 * MiB : size > 100 * GiB ? 32 * MiB
             : size > 1 * GiB ? 16 * MiB : 8 * MiB;
    y->block = MIN2(ALIGN_UP(y->block, MiB), VHDX_BLOCK_MAX);
    if (!IS_POW2(y->block)) {
        return error_set(errp, "Block size must be a power of two");
    }
    y->ratio = (UINT64_C(1) << 23) * 512 / y->block;
    y->blocks = (size + y->block - 1) / y->block;
    entries = y->blocks + (y->blocks ? (y->blocks - 1) / y->ratio : 0);
    y->bat = MiB + y->log_len;
    y->bat_len = ALIGN_UP(MAX2(entries * 8, 1), MiB);
    y->meta = y->bat + y->bat_len;
    y->data = y->meta + MiB;
    return true;
}

static int headers_write(BlkNode *file, const Layout *y)
{
    static const char creator[] = "Tern";
    uint8_t h[4096] = { 0 }, id[520] = { 0 };
    uint64_t seq = g_random_int();
    int ret;

    memcpy(id, "vhdxfile", 8);
    for (size_t i = 0; creator[i]; i++) {
        st_le16(id + 8 + i * 2, (uint8_t)creator[i]);
    }
    ret = blk_co_pwrite(file, 0, id, sizeof(id), 0);
    memcpy(h, "head", 4);
    map_uuid(h + 16);
    map_uuid(h + 32);
    st_le16(h + 66, 1);
    st_le32(h + 68, (uint32_t)y->log_len);
    st_le64(h + 72, MiB);
    for (int i = 0; i < 2 && ret >= 0; i++) {
        st_le64(h + 8, ++seq);
        st_le32(h + 4, vhdx_sum(h, sizeof(h)));
        ret = blk_co_pwrite(file, i ? VHDX_HEADER2 : VHDX_HEADER1, h, sizeof(h),
                            0);
    }
    return ret;
}

static int regions_write(BlkNode *file, const Layout *y)
{
    g_autofree uint8_t *t = g_malloc0(VHDX_TABLE);
    int ret;

    memcpy(t, "regi", 4);
    st_le32(t + 8, 2);
    memcpy(t + 16, vhdx_guid_bat, 16);
    st_le64(t + 32, y->bat);
    st_le32(t + 40, (uint32_t)y->bat_len);
    st_le32(t + 44, 1);
    memcpy(t + 48, vhdx_guid_meta, 16);
    st_le64(t + 64, y->meta);
    st_le32(t + 72, (uint32_t)MiB);
    st_le32(t + 76, 1);
    st_le32(t + 4, vhdx_sum(t, VHDX_TABLE));
    ret = blk_co_pwrite(file, VHDX_REGION1, t, VHDX_TABLE, 0);
    return ret < 0 ? ret : blk_co_pwrite(file, VHDX_REGION2, t, VHDX_TABLE, 0);
}

static int metadata_write(const VhdxCreate *c, const Layout *y)
{
    enum { USER = 1, DISK = 2, REQUIRED = 4 };
    const struct {
        const uint8_t *guid;
        uint32_t off, len, bits;
    } items[] = {
        { vhdx_guid_params, 0, 8, REQUIRED },
        { vhdx_guid_size, 8, 8, REQUIRED | DISK },
        { vhdx_guid_page83, 16, 16, REQUIRED | DISK },
        { vhdx_guid_logical, 32, 4, REQUIRED | DISK },
        { vhdx_guid_physical, 36, 4, REQUIRED | DISK },
    };
    g_autofree uint8_t *t = g_malloc0(VHDX_TABLE + 40);
    uint8_t *data = t + VHDX_TABLE;

    memcpy(t, "metadata", 8);
    st_le16(t + 10, ARRAY_SIZE(items));
    for (size_t i = 0; i < ARRAY_SIZE(items); i++) {
        uint8_t *e = t + 32 + i * 32;

        memcpy(e, items[i].guid, 16);
        st_le32(e + 16, (uint32_t)VHDX_TABLE + items[i].off);
        st_le32(e + 20, items[i].len);
        st_le32(e + 24, items[i].bits);
    }
    st_le32(data, (uint32_t)y->block);
    st_le32(data + 4, c->subformat == SUB_FIXED);
    st_le64(data + 8, c->base.size);
    map_uuid(data + 16);
    st_le32(data + 32, 512);
    st_le32(data + 36, 512);
    return blk_co_pwrite(c->base.file, y->meta, t, VHDX_TABLE + 40, 0);
}

static int bat_write(const VhdxCreate *c, const Layout *y)
{
    bool fixed = c->subformat == SUB_FIXED;
    uint64_t entries = y->blocks + (y->blocks ? (y->blocks - 1) / y->ratio : 0);
    g_autofree uint8_t *t = NULL;
    uint64_t block = 0;
    int ret = 0;

    if (!fixed && !c->state_zero) {
        return 0;                      /* not present: as the file is         */
    }
    t = g_malloc(64 * KiB);
    for (uint64_t i = 0; i < entries && ret >= 0;) {
        uint64_t first = i;

        for (; i < entries && i - first < 8192; i++) {
            bool bitmap = (i + 1) % (y->ratio + 1) == 0;
            uint64_t e = bitmap ? 0 : fixed
                ? (y->data + block * y->block) / MiB << 20 | BAT_PRESENT
                : BAT_ZERO;

            block += !bitmap;
            st_le64(t + (i - first) * 8, e);
        }
        ret = blk_co_pwrite(c->base.file, y->bat + first * 8, t,
                            (i - first) * 8, 0);
    }
    return ret;
}

bool vhdx_create(BlkCreate *b, Error **errp)
{
    const VhdxCreate *c = (const VhdxCreate *)b;
    uint64_t end;
    Layout y = { 0 };
    int ret;

    if (!layout_make(c, &y, errp)) {
        return false;
    }
    end = y.data + (c->subformat == SUB_FIXED ? y.blocks * y.block : 0);
    if (!blk_node_truncate(b->file, end, PREALLOC_OFF, false, errp)) {
        return false;
    }
    ret = regions_write(b->file, &y);
    ret = ret < 0 ? ret : metadata_write(c, &y);
    ret = ret < 0 ? ret : bat_write(c, &y);
    ret = ret < 0 ? ret : headers_write(b->file, &y);
    return ret >= 0 || error_set_errno(errp, -ret, "Could not write the image");
}
