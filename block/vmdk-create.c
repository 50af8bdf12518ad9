/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmdk-create.c - making VMDK images of five kinds (Virtual Disk Format 1.1).
 *
 * Thread class: MACHINE_CALL.
 */
#include <glib.h>
#include "block/vmdk.h"

#define EXTENT_MAX (2 * GiB)
#define SPARSE_LIMIT (256 * TiB)       /* beyond, tables need 32 bits of sectors */
#define GRAIN 128u                     /* sectors                             */
#define GTES  512u
#define DESC_SECTORS 20u
#define TABLE_SECTORS (GTES * 4 / 512)

enum { SUB_SPARSE, SUB_FLAT, SUB_SPLIT_SPARSE, SUB_SPLIT_FLAT, SUB_STREAM };
static const PropEnum subformat_enum = {
    .type = "BlockdevVmdkSubformat",
    .names = (const char *const[]){ "monolithicSparse", "monolithicFlat",
                                    "twoGbMaxExtentSparse",
                                    "twoGbMaxExtentFlat", "streamOptimized",
                                    NULL },
};
static const PropEnum adapter_enum = {
    .type = "BlockdevVmdkAdapterType",
    .names = (const char *const[]){ "ide", "buslogic", "lsilogic", "legacyESX",
                                    NULL },
};

const Prop vmdk_create_props[] = {
    PROP_ENUM("adapter_type", VmdkCreate, adapter, &adapter_enum, 0,
              .flags = PF_NO_DEFAULT,
              .desc = "Virtual adapter type, can be one of ide (default), "
                      "lsilogic, buslogic or legacyESX"),
    PROP_STR("backing_file", VmdkCreate, base.backing_file,
             .desc = "File name of a base image"),
    PROP_STR("backing_fmt", VmdkCreate, base.backing_fmt,
             .desc = "Must be 'vmdk' if present"),
    PROP_BOOL("compat6", VmdkCreate, compat6, false,
              .desc = "VMDK version 6 image"),
    PROP_STR("hwversion", VmdkCreate, hwversion, .def_str = "undefined",
             .desc = "VMDK hardware version"),
    PROP_ENUM("subformat", VmdkCreate, subformat, &subformat_enum, 0,
              .flags = PF_NO_DEFAULT,
              .desc = "VMDK flat extent format, can be one of "
                      "{monolithicSparse (default) | monolithicFlat | "
                      "twoGbMaxExtentSparse | twoGbMaxExtentFlat | "
                      "streamOptimized} "),
    PROP_STR("toolsversion", VmdkCreate, toolsversion,
             .desc = "VMware guest tools version"),
    PROP_BOOL("zeroed_grain", VmdkCreate, zeroed_grain, false,
              .flags = PF_NO_DEFAULT,
              .desc = "Enable efficient zero writes using the zeroed-grain GTE "
                      "feature"),
    PROP_END
};

static bool is_flat(const VmdkCreate *c)
{
    return c->subformat == SUB_FLAT || c->subformat == SUB_SPLIT_FLAT;
}

static bool is_split(const VmdkCreate *c)
{
    return c->subformat == SUB_SPLIT_SPARSE || c->subformat == SUB_SPLIT_FLAT;
}

/* ---- sparse extents ------------------------------------------------------ */

/* A directory whose tables follow it. */
static int directory_write(BlkNode *file, uint64_t at, uint32_t tables,
                           uint32_t dir_sectors)
{
    g_autofree uint8_t *dir = g_malloc0(dir_sectors * 512);

    for (uint32_t i = 0; i < tables; i++) {
        st_le32(dir + i * 4, (uint32_t)(at + dir_sectors + i * TABLE_SECTORS));
    }
    return blk_co_pwrite(file, at * 512, dir, dir_sectors * 512, 0);
}

static MACHINE_CALL bool sparse_write(const VmdkCreate *c, BlkNode *file,
                                      uint64_t size, Error **errp)
{
    bool packed = c->subformat == SUB_STREAM;
    uint64_t grains = (size / 512 + GRAIN - 1) / GRAIN;
    uint32_t tables = (uint32_t)((grains + GTES - 1) / GTES);
    uint32_t dir = (tables * 4 + 511) / 512;
    uint64_t rgd = 1 + DESC_SECTORS, gd = rgd + dir + tables * TABLE_SECTORS;
    uint64_t data = ALIGN_UP(gd + dir + tables * TABLE_SECTORS, GRAIN);
    uint8_t h[512] = { 0 };
    int ret;

    st_le32(h, VMDK_MAGIC);
    st_le32(h + 4, c->zeroed_grain ? 2 : packed ? 3 : 1);
    st_le32(h + 8, VMDK_F_NL | VMDK_F_RGD |
            (packed ? VMDK_F_PACKED | VMDK_F_MARKERS : 0u) |
            (c->zeroed_grain ? VMDK_F_ZERO : 0u));
    st_le64(h + 12, size / 512);
    st_le64(h + 20, GRAIN);
    st_le64(h + 28, 1);
    st_le64(h + 36, DESC_SECTORS);
    st_le32(h + 44, GTES);
    st_le64(h + 48, rgd);
    st_le64(h + 56, gd);
    st_le64(h + 64, data);
    memcpy(h + 73, "\n \r\n", 4);
    st_le16(h + 77, packed);
    if (!blk_node_truncate(file, data * 512, PREALLOC_OFF, false, errp)) {
        return false;
    }
    ret = blk_co_pwrite(file, 0, h, sizeof(h), 0);
    ret = ret < 0 ? ret : directory_write(file, rgd, tables, dir);
    ret = ret < 0 ? ret : directory_write(file, gd, tables, dir);
    return ret >= 0 || error_set_errno(errp, -ret, "Could not write the header");
}

/* ---- extents beside the descriptor --------------------------------------- */

/* "dir/disk.vmdk" -> "disk", ".vmdk" */
static void name_split(const char *path, char **stem, char **suffix)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    const char *dot = strrchr(base, '.');

    *stem = dot ? g_strndup(base, (gsize)(dot - base)) : g_strdup(base);
    *suffix = g_strdup(dot ? dot : "");
}

static char *extent_name(const VmdkCreate *c, unsigned index)
{
    g_autofree char *stem = NULL, *suffix = NULL;

    name_split(c->base.filename ? c->base.filename : c->base.file->filename,
               &stem, &suffix);
    return c->subformat == SUB_FLAT
        ? g_strdup_printf("%s-flat%s", stem, suffix)
        : g_strdup_printf("%s-%c%03u%s", stem, is_flat(c) ? 'f' : 's',
                          index + 1, suffix);
}

static MACHINE_CALL bool extent_make(const VmdkCreate *c, const char *name,
                                     uint64_t size, Error **errp)
{
    g_autofree char *path = blk_path_combine(c->base.file->filename, name);
    const char *rest;
    g_autofree char *drv = blk_filename_driver(path, &rest, errp);
    const BlkDriver *d = drv ? blk_driver_find(drv) : NULL;
    BlkCreate *pc;
    Json *opts;
    BlkNode *n;
    BlkBackend *b;
    bool ok = false;

    if (!d || !d->create) {
        return d ? error_set(errp, "Protocol '%s' does not make files", drv)
                 : false;
    }
    pc = g_malloc0(MAX2(d->create_size, sizeof(*pc)));
    prop_defaults((Obj *)pc, d->create_props, 0);
    pc->filename = g_strdup(rest);
    pc->size = is_flat(c) ? size : 0;
    ok = d->create(pc, errp);
    prop_release((Obj *)pc, d->create_props);
    g_free(pc->filename);
    g_free(pc);
    if (!ok || is_flat(c)) {
        return ok;
    }
    opts = json_obj();
    json_set_str(opts, "driver", drv);
    n = blk_open(rest, opts, BLKO_RDWR, errp);
    json_free(opts);
    b = blk_new(NULL);
    ok = n && blk_set_perm(b, BLKP_CONSISTENT_READ | BLKP_WRITE | BLKP_RESIZE,
                           BLKP_CONSISTENT_READ, errp) &&
         blk_insert(b, n, errp) && sparse_write(c, n, size, errp);
    blk_unref(b);
    blk_node_unref(n);
    return ok;
}

static MACHINE_CALL bool extents_make(const VmdkCreate *c, GString *lines,
                                      Error **errp)
{
    uint64_t left = c->base.size;

    for (unsigned i = 0; left || !i; i++) {
        uint64_t part = is_split(c) ? MIN2(left, EXTENT_MAX) : left;
        g_autofree char *name = extent_name(c, i);

        if (!extent_make(c, name, part, errp)) {
            return false;
        }
        g_string_append_printf(lines, "RW %" PRIu64 " %s \"%s\"%s\n",
                               part / 512, is_flat(c) ? "FLAT" : "SPARSE",
                               name, is_flat(c) ? " 0" : "");
        left -= part;
    }
    return true;
}

/* ---- descriptor ---------------------------------------------------------- */

static char *descriptor(const VmdkCreate *c, const char *lines,
                        uint32_t parent_cid)
{
    uint64_t heads = c->adapter ? 255 : 16;
    const char *back = c->base.backing_file;
    g_autofree char *hint = back
        ? g_strdup_printf("parentFileNameHint=\"%s\"\n", back) : g_strdup("");

    return g_strdup_printf(
        "# Disk DescriptorFile\nversion=1\nCID=%x\nparentCID=%x\n"
        "createType=\"%s\"\n%s\n# Extent description\n%s\n"
        "# The Disk Data Base\n#DDB\n\nddb.virtualHWVersion = \"%s\"\n"
        "ddb.geometry.cylinders = \"%" PRIu64 "\"\n"
        "ddb.geometry.heads = \"%u\"\nddb.geometry.sectors = \"63\"\n"
        "ddb.adapterType = \"%s\"\nddb.toolsVersion = \"%s\"\n",
        (unsigned)g_random_int_range(1, INT32_MAX), parent_cid,
        subformat_enum.names[c->subformat], hint, lines,
        c->compat6 ? "6" : c->hwversion && strcmp(c->hwversion, "undefined")
                           ? c->hwversion : "4",
        c->base.size / (63 * heads * 512), (unsigned)heads,
        adapter_enum.names[c->adapter],
        c->toolsversion ? c->toolsversion : "2147483647");
}

static MACHINE_CALL bool parent_read(const VmdkCreate *c, uint32_t *cid,
                                     Error **errp)
{
    const char *back = c->base.backing_file;
    g_autofree char *path = NULL;
    Json *opts, *info;
    BlkNode *n;

    *cid = UINT32_MAX;
    if (!back) {
        return true;
    }
    path = blk_path_combine(c->base.file->filename, back);
    opts = json_obj();
    n = blk_open(path, opts, BLKO_FORCE_SHARE | BLKO_NO_BACKING, errp);
    json_free(opts);
    if (!n) {
        return false;
    }
    if (strcmp(n->drv->name, "vmdk")) {
        blk_node_unref(n);
        return error_set(errp, "backing_file must be a vmdk image");
    }
    info = n->drv->specific(n);
    *cid = (uint32_t)json_int_of(json_get(info, "cid"));
    json_free(info);
    blk_node_unref(n);
    return true;
}

static bool options_check(const VmdkCreate *c, Error **errp)
{
    if (c->compat6 && c->hwversion && strcmp(c->hwversion, "undefined")) {
        return error_set(errp, "compat6 cannot be enabled with hwversion set");
    }
    if (is_flat(c) && c->base.backing_file) {
        return error_set(errp, "Flat image can't have backing file");
    }
    if (is_flat(c) && c->zeroed_grain) {
        return error_set(errp, "Flat image can't enable zeroed grain");
    }
    if (c->base.size >= SPARSE_LIMIT ||
        (is_split(c) && c->base.size > EXTENT_MAX * VMDK_EXTENTS_MAX)) {
        return error_set(errp, "The image size is too large for file format "
                         "'vmdk'");
    }
    return true;
}

bool vmdk_create(BlkCreate *b, Error **errp)
{
    VmdkCreate *c = (VmdkCreate *)b;
    bool alone = c->subformat == SUB_SPARSE || c->subformat == SUB_STREAM;
    GString *lines = g_string_new(NULL);
    g_autofree char *text = NULL;
    uint32_t cid = 0;
    bool ok;
    int ret;

    ok = options_check(c, errp) && parent_read(c, &cid, errp);
    if (ok && alone) {
        const char *path = b->filename ? b->filename : b->file->filename;
        const char *slash = strrchr(path, '/');

        g_string_printf(lines, "RW %" PRIu64 " SPARSE \"%s\"\n", b->size / 512,
                        slash ? slash + 1 : path);
        ok = sparse_write(c, b->file, b->size, errp);
    } else if (ok) {
        ok = extents_make(c, lines, errp);
    }
    if (ok) {
        text = descriptor(c, lines->str, cid);
        ret = alone && strlen(text) > DESC_SECTORS * 512 ? -ENOSPC
            : blk_co_pwrite(b->file, alone ? 512 : 0, text, strlen(text), 0);
        if (ret >= 0 && !alone) {
            ok = blk_node_truncate(b->file, strlen(text), PREALLOC_OFF, true,
                                   errp);
        } else if (ret < 0) {
            ok = error_set_errno(errp, -ret, "Could not write the descriptor");
        }
    }
    g_string_free(lines, TRUE);
    return ok;
}
