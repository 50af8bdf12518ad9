/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmdk-desc.c - descriptors and sparse headers of VMDK images (VMware Virtual
 * Disk Format 1.1 and 5.0).
 *
 * Thread class: MACHINE_CALL; vmdk_cid_renew LOOP_CALL(node's loop).
 *
 * Invariants
 * 1. No table is trusted to be where a header says: entries are read through the
 *    cache one by one, and places are checked when they are used.
 */
#include <glib.h>
#include "block/vmdk.h"

char *vmdk_desc_get(const char *desc, const char *key)
{
    size_t n = strlen(key);

    for (const char *p = desc; p; p = strchr(p, '\n') ? strchr(p, '\n') + 1
                                                      : NULL) {
        const char *v = p + n, *end;

        if (strncmp(p, key, n)) {
            continue;
        }
        v += strspn(v, " \t");
        if (*v != '=') {
            continue;
        }
        v++;
        v += strspn(v, " \t");
        if (*v == '"') {
            v++;
            end = v + strcspn(v, "\"\n");
        } else {
            end = v + strcspn(v, " \t\r\n");
        }
        return g_strndup(v, (gsize)(end - v));
    }
    return NULL;
}

static bool known_type(const char *t)
{
    static const char *const types[] = { "FLAT", "VMFS", "SPARSE", "VMFSSPARSE",
                                         "SESPARSE" };

    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        if (!strcmp(t, types[i])) {
            return true;
        }
    }
    return false;
}

static bool line_ok(VmdkLine *l, int fields, long long sectors,
                    long long offset)
{
    bool flat = !strcmp(l->type, "FLAT"), vmfs = !strcmp(l->type, "VMFS");

    if (fields < 4 || sectors <= 0 || sectors > INT64_MAX / 512 ||
        !known_type(l->type)) {
        return false;
    }
    if (flat ? fields != 5 || offset < 0 || offset > INT64_MAX / 512
             : vmfs ? fields == 5 && offset : fields != 4) {
        return false;
    }
    l->sectors = (uint64_t)sectors;
    l->offset = flat ? (uint64_t)offset : 0;
    return true;
}

int vmdk_desc_line(const char **at, VmdkLine *l, Error **errp)
{
    while (**at) {
        size_t n = strcspn(*at, "\n");
        g_autofree char *line = g_strndup(*at, n);
        long long sectors = 0, offset = 0;
        int fields;

        *at += n + ((*at)[n] == '\n');
        g_strchomp(line);
        *l = (VmdkLine){ .sectors = 0 };
        fields = sscanf(line, "%15s %lld %15s \"%1023[^\n\r\"]\" %lld",
                        l->access, &sectors, l->type, l->name, &offset);
        if (fields < 4 || strcmp(l->access, "RW")) {
            continue;
        }
        if (!line_ok(l, fields, sectors, offset)) {
            error_set(errp, "Invalid extent line: %s", line);
            return -1;
        }
        return 1;
    }
    return 0;
}

/* ---- sparse headers ------------------------------------------------------ */

static bool footer_read(VmdkExtent *e, uint8_t *h, Error **errp)
{
    uint8_t f[1536];

    if (e->file->length < sizeof(f) ||
        blk_co_pread(e->file, e->file->length - sizeof(f), f, sizeof(f)) < 0 ||
        ld_le32(f + 512) != VMDK_MAGIC || ld_le32(f + 8) || ld_le32(f + 12) != 3 ||
        ld_le32(f + 1024 + 8) || ld_le32(f + 1024 + 12)) {
        return error_set(errp, "Invalid footer");
    }
    memcpy(h, f + 512, 512);
    return true;
}

static bool sizes_check(VmdkExtent *e, const uint8_t *h, Error **errp)
{
    uint64_t grain = ld_le64(h + 20), reach, size = ld_le64(h + 12);

    e->gtes = ld_le32(h + 44);
    if (ld_le32(h + 4) < 1 || ld_le32(h + 4) > 3) {
        return error_set(errp, "Unsupported VMDK version %u", ld_le32(h + 4));
    }
    if (e->gtes > 512) {
        return error_set(errp, "L2 table size too big");
    }
    if (!e->gtes || !grain || grain > 0x200000) {
        return error_set(errp, grain > 0x200000 ? "Invalid granularity, image "
                         "may be corrupt" : "L1 entry size is invalid");
    }
    if (!IS_POW2(grain)) {
        return error_set(errp, "Grain sizes that are not powers of two are not "
                         "supported");
    }
    if (size > INT64_MAX / 1024) {
        return error_set(errp, "Extent is too large");
    }
    reach = e->gtes * grain;
    if ((size + reach - 1) / reach > 512 * MiB / 4) {
        return error_set(errp, "L1 size too big");
    }
    e->grain = grain * 512;
    e->gd_entries = (uint32_t)((size + reach - 1) / reach);
    e->len = size * 512;
    return true;
}

bool vmdk_sparse_open(VmdkExtent *e, bool read_only, uint64_t *desc_off,
                      uint64_t *desc_len, Error **errp)
{
    uint8_t h[512];
    uint64_t gd, rgd, data;
    uint32_t flags;
    int ret = blk_co_pread(e->file, 0, h, sizeof(h));

    if (ret < 0) {
        return error_set_errno(errp, -ret, "Could not read header from file "
                               "'%s'", e->file->filename);
    }
    if (ld_le32(h) != VMDK_MAGIC) {
        return error_set(errp, "Image not in VMDK format");
    }
    *desc_off = ld_le64(h + 28) * 512;
    *desc_len = ld_le64(h + 36) * 512;
    if (ld_le64(h + 56) == UINT64_MAX && !footer_read(e, h, errp)) {
        return false;
    }
    if (!sizes_check(e, h, errp)) {
        return false;
    }
    flags = ld_le32(h + 8);
    e->packed = ld_le16(h + 77) == 1;
    e->markers = flags & VMDK_F_MARKERS;
    e->zeroed = flags & VMDK_F_ZERO;
    gd = ld_le64(h + 56);
    rgd = flags & VMDK_F_RGD ? ld_le64(h + 48) : 0;
    data = ld_le64(h + 64);
    if (gd > INT64_MAX / 1024 || rgd > INT64_MAX / 1024) {
        return error_set(errp, "Invalid grain directory");
    }
    e->gd = gd * 512;
    e->rgd = rgd * 512;
    if (data > INT64_MAX / 1024 || e->file->length < data * 512) {
        return error_set(errp, "File truncated, expecting at least %" PRId64
                         " bytes", (int64_t)(data * 512));
    }
    e->next = MAX2(e->file->length, data * 512);
    e->tab.file = e->file;
    return true;
}

/* ---- content identifiers ------------------------------------------------- */

int vmdk_cid_renew(Vmdk *v)
{
    uint32_t cid = g_random_int_range(1, INT32_MAX);
    char *at = v->desc ? strstr(v->desc, "CID=") : NULL;
    g_autofree char *tail = NULL, *text = NULL;
    size_t len;
    int ret;

    while (at && at > v->desc && at[-1] != '\n') {     /* not parentCID       */
        at = strstr(at + 4, "CID=");
    }
    if (!at) {
        return 0;
    }
    tail = g_strdup(at + strcspn(at, "\n"));
    text = g_strdup_printf("%.*sCID=%08x%s", (int)(at - v->desc), v->desc, cid,
                           tail);
    len = strlen(text) + 1;
    if (v->desc_room) {
        char *padded = g_malloc0(v->desc_room);

        if (len > v->desc_room) {
            g_free(padded);
            return -ENOSPC;
        }
        memcpy(padded, text, len);
        ret = blk_co_pwrite(v->m.node.file, v->desc_off, padded, v->desc_room,
                            0);
        g_free(padded);
    } else {
        ret = blk_co_pwrite(v->m.node.file, v->desc_off, text, len - 1, 0);
    }
    if (ret >= 0) {
        g_free(v->desc);
        v->desc = g_steal_pointer(&text);
        v->cid = cid;
        v->cid_new = true;
    }
    return ret;
}
