/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmdk.c - VMware's disk images (Virtual Disk Format 1.1 and 5.0): a descriptor
 * and extents, which are flat, sparse, or streams of compressed grains.
 *
 * Thread class: LOOP_CALL(node's loop); open and close MACHINE_CALL.
 *
 * Invariants
 * 1. Extents cover the disk from 0 on without a gap, in order.
 * 2. All sparse extents have one grain size, on whose borders they begin.
 * 3. The content identifier changes before the first write of an opening: an
 *    image that names this one as its parent notices.
 */
#include <glib.h>
#include "block/iov.h"
#include "block/vmdk.h"


/* ---- the map ------------------------------------------------------------- */

static VmdkExtent *extent_of(const Vmdk *v, uint64_t off)
{
    unsigned lo = 0, hi = v->n_extents;

    while (hi - lo > 1) {
        unsigned mid = (lo + hi) / 2;

        if (v->extents[mid]->start <= off) {
            lo = mid;
        } else {
            hi = mid;
        }
    }
    return v->extents[lo];
}

/* Where the grain's entry is by this directory; 0: there is no table. */
static int entry_at(VmdkExtent *e, uint64_t dir, uint64_t in, uint64_t *at)
{
    uint64_t grain = in / e->grain;
    uint32_t table;
    int ret = grain / e->gtes < e->gd_entries
            ? tab_le32(&e->tab, dir + grain / e->gtes * 4, &table) : -EIO;

    *at = ret < 0 || !table ? 0 : table * UINT64_C(512) + grain % e->gtes * 4;
    return ret;
}

static int entry_get(VmdkExtent *e, uint64_t in, uint32_t *value)
{
    uint64_t at;
    int ret = entry_at(e, e->gd, in, &at);

    *value = 0;
    return ret < 0 || !at ? ret : tab_le32(&e->tab, at, value);
}

static int vmdk_find(BlkNode *n, uint64_t off, MapAt *at)
{
    VmdkExtent *e = extent_of((Vmdk *)n, off);
    uint64_t in = off - e->start;
    uint32_t value;
    int ret;

    at->file = e->file;
    at->len = MIN2(at->len, e->len - in);
    if (e->flat) {
        at->state = MAP_DATA;
        at->map = e->flat_off + in;
        return 0;
    }
    ret = entry_get(e, in, &value);
    if (ret < 0 || !value) {
        return ret;
    }
    if (value == 1 && e->zeroed) {
        at->state = MAP_ZERO;
    } else if (e->packed) {
        at->state = MAP_PACKED;
    } else {
        at->state = MAP_DATA;
        at->map = value * UINT64_C(512) + in % e->grain;
    }
    return 0;
}

static int vmdk_place(BlkNode *n, uint64_t off, BlkNode **file, uint64_t *map)
{
    VmdkExtent *e = extent_of((Vmdk *)n, off);

    if (e->flat) {
        return -EIO;
    }
    *map = ALIGN_UP(e->next, e->packed ? 512 : e->grain);
    *file = e->file;
    if (*map / 512 > UINT32_MAX) {
        return -EFBIG;
    }
    e->next = *map + e->grain;
    return 0;
}

/* A directory without a table for this grain gets one. */
static int table_new(VmdkExtent *e, uint64_t dir, uint64_t in, uint64_t *at)
{
    g_autofree uint8_t *zero = g_malloc0(e->gtes * 4);
    uint64_t table = ALIGN_UP(e->next, 512), grain = in / e->grain;
    uint8_t b[4];
    int ret = table / 512 > UINT32_MAX
            ? -EFBIG : tab_write(&e->tab, table, zero, e->gtes * 4);

    if (ret >= 0) {
        e->next = table + ALIGN_UP(e->gtes * UINT64_C(4), 512);
        st_le32(b, (uint32_t)(table / 512));
        ret = tab_write(&e->tab, dir + grain / e->gtes * 4, b, 4);
    }
    *at = table + grain % e->gtes * 4;
    return ret;
}

static int entry_set(VmdkExtent *e, uint64_t in, uint32_t value)
{
    const uint64_t dirs[2] = { e->rgd, e->gd };
    uint8_t b[4];
    int ret = 0;

    st_le32(b, value);
    for (int i = e->rgd ? 0 : 1; i < 2 && ret >= 0; i++) {
        uint64_t at;

        ret = entry_at(e, dirs[i], in, &at);
        if (ret >= 0 && !at) {
            ret = table_new(e, dirs[i], in, &at);
        }
        ret = ret < 0 ? ret : tab_write(&e->tab, at, b, 4);
    }
    return ret;
}

static int vmdk_link(BlkNode *n, uint64_t off, uint64_t map)
{
    VmdkExtent *e = extent_of((Vmdk *)n, off);

    return entry_set(e, off - e->start, (uint32_t)(map / 512));
}

static int vmdk_zero(BlkNode *n, uint64_t off, bool unmap)
{
    VmdkExtent *e = extent_of((Vmdk *)n, off);

    return e->flat || !e->zeroed ? -ENOTSUP : entry_set(e, off - e->start, 1);
}

/* ---- compressed grains --------------------------------------------------- */

static bool vmdk_must_pack(BlkNode *n, uint64_t off)
{
    return extent_of((Vmdk *)n, off)->packed;
}

static int vmdk_unpack(BlkNode *n, uint64_t off, uint8_t *buf, size_t len)
{
    VmdkExtent *e = extent_of((Vmdk *)n, off);
    uint64_t at, size = e->grain * 2;
    g_autofree uint8_t *in = NULL;
    uint8_t mark[12];
    uint32_t value;
    int ret = entry_get(e, off - e->start, &value);

    at = value * UINT64_C(512);
    if (ret >= 0 && e->markers) {
        ret = blk_co_pread(e->file, at, mark, sizeof(mark));
        size = ld_le32(mark + 8);
        at += sizeof(mark);
    }
    if (ret < 0 || !size || size > e->grain * 2) {
        return ret < 0 ? ret : -EINVAL;
    }
    in = g_try_malloc(size);
    ret = in ? blk_co_pread(e->file, at, in, size) : -ENOMEM;
    /* The last grain may be shorter than others. */
    memset(buf, 0, len);
    return ret < 0 ? ret : map_inflate(in, size, buf,
                                       MIN2(len, e->start + e->len - off), 15);
}

static int vmdk_pack(BlkNode *n, uint64_t off, const uint8_t *buf, size_t len)
{
    VmdkExtent *e = extent_of((Vmdk *)n, off);
    size_t room = len + len / 8 + 512, head = e->markers ? 12 : 0;
    g_autofree uint8_t *out = NULL;
    uint64_t at = ALIGN_UP(e->next, 512);
    int64_t size;
    int ret;

    if (!e->packed || e->flat) {
        return -ENOTSUP;
    }
    if (at / 512 > UINT32_MAX) {
        return -EFBIG;
    }
    out = g_malloc0(room + head + 512);
    size = map_deflate(buf, len, out + head, room, 15);
    if (size < 0) {
        return (int)size;
    }
    if (head) {
        st_le64(out, (off - e->start) / 512);
        st_le32(out + 8, (uint32_t)size);
    }
    size = ALIGN_UP(size + (int64_t)head, 512);
    e->next = at + (uint64_t)size;
    ret = blk_co_pwrite(e->file, at, out, (size_t)size, 0);
    return ret < 0 ? ret : entry_set(e, off - e->start, (uint32_t)(at / 512));
}

static int vmdk_flush(BlkNode *n)
{
    Vmdk *v = (Vmdk *)n;
    int ret = 0;

    for (unsigned i = 0; i < v->n_extents; i++) {
        int r = blk_co_flush(v->extents[i]->file);

        ret = ret < 0 ? ret : r;
    }
    return ret < 0 ? ret : blk_co_flush(n->file);
}

static const MapOps vmdk_ops = {
    .find = vmdk_find, .place = vmdk_place, .link = vmdk_link,
    .zero = vmdk_zero, .unpack = vmdk_unpack, .pack = vmdk_pack,
    .must_pack = vmdk_must_pack, .flush = vmdk_flush,
};

static int vmdk_run(BlkNode *n, BlkReq *req)
{
    Vmdk *v = (Vmdk *)n;
    int ret = 0;

    if (UNLIKELY(!v->cid_new) &&
        (req->op == BLK_WRITE || req->op == BLK_ZERO)) {
        co_mutex_lock(&v->m.lock);
        ret = v->cid_new ? 0 : vmdk_cid_renew(v);
        v->cid_new = true;
        co_mutex_unlock(&v->m.lock);
    }
    return ret < 0 ? ret : map_run(n, req);
}

/* ---- opening ------------------------------------------------------------- */

static VmdkExtent *extent_add(Vmdk *v, BlkNode *file, const char *name,
                              const char *type)
{
    VmdkExtent *e = g_new0(VmdkExtent, 1);

    e->file = file;
    e->name = g_strdup(name);
    e->type = g_strdup(type);
    e->start = v->m.node.length;
    v->extents = g_renew(VmdkExtent *, v->extents, v->n_extents + 1);
    v->extents[v->n_extents++] = e;
    return e;
}

/* Invariants 1 and 2. */
static bool extent_done(Vmdk *v, VmdkExtent *e, Error **errp)
{
    BlkNode *n = &v->m.node;

    if (e->len > INT64_MAX - 512 - n->length) {
        return error_set(errp, "The image is too large");
    }
    if (!e->flat) {
        bool first = true;

        for (unsigned i = 0; i + 1 < v->n_extents; i++) {
            first = first && v->extents[i]->flat;
        }
        if (first) {
            v->m.cluster = e->grain;
        }
        if (e->grain != v->m.cluster || e->start % e->grain) {
            return error_set(errp, "Extents of different grain sizes are not "
                             "supported");
        }
    }
    n->length += e->len;
    return true;
}

static MACHINE_CALL BlkNode *extent_file(Vmdk *v, const char *name, bool flat,
                                         Error **errp)
{
    BlkNode *n = &v->m.node, *node = NULL;
    g_autofree char *path = blk_path_combine(n->file->filename, name);
    g_autofree char *drv = NULL, *key = NULL;
    const char *rest, *child;

    drv = blk_filename_driver(path, &rest, errp);
    if (!drv) {
        return NULL;
    }
    key = g_strdup_printf("extents.%u", v->n_extents);
    child = g_intern_string(key);
    if (!blk_child_open(n, child, rest, drv, &node, errp)) {
        return NULL;
    }
    if (!node) {
        error_set(errp, "Could not open '%s'", path);
        return NULL;
    }
    return blk_child_attach(n, node, child, flat ? ROLE_DATA : ROLE_STORAGE,
                            errp) ? node : NULL;
}

static MACHINE_CALL bool line_open(Vmdk *v, const VmdkLine *l, Error **errp)
{
    BlkNode *n = &v->m.node, *file;
    bool flat = !strcmp(l->type, "FLAT") || !strcmp(l->type, "VMFS");
    VmdkExtent *e;
    uint64_t skip;

    if (v->n_extents >= VMDK_EXTENTS_MAX) {
        return error_set(errp, "The image has more than %d extents",
                         VMDK_EXTENTS_MAX);
    }
    if (!flat && strcmp(l->type, "SPARSE")) {
        return error_set(errp, "Unsupported extent type '%s'", l->type);
    }
    file = extent_file(v, l->name, flat, errp);
    if (!file) {
        return false;
    }
    e = extent_add(v, file, file->filename, l->type);
    e->flat = flat;
    if (flat) {
        e->len = l->sectors * 512;
        e->flat_off = l->offset * 512;
        e->grain = v->m.cluster;
    } else if (!vmdk_sparse_open(e, n->read_only, &skip, &skip, errp)) {
        return false;
    } else {
        e->len = MIN2(e->len, l->sectors * 512);
    }
    return extent_done(v, e, errp);
}

static MACHINE_CALL bool desc_parse(Vmdk *v, bool embedded, Error **errp)
{
    BlkNode *n = &v->m.node;
    const char *at = v->desc;
    char *cid, *parent;
    VmdkLine l;
    int got;

    v->create_type = vmdk_desc_get(v->desc, "createType");
    cid = vmdk_desc_get(v->desc, "CID");
    parent = vmdk_desc_get(v->desc, "parentCID");
    v->cid = cid ? (uint32_t)strtoul(cid, NULL, 16) : UINT32_MAX;
    v->parent_cid = parent ? (uint32_t)strtoul(parent, NULL, 16) : UINT32_MAX;
    g_free(cid);
    g_free(parent);
    n->backing_name = vmdk_desc_get(v->desc, "parentFileNameHint");
    if (n->backing_name && !*n->backing_name) {
        g_clear_pointer(&n->backing_name, g_free);
    }
    n->backing_format = g_strdup(n->backing_name ? "vmdk" : NULL);
    if (embedded) {
        return true;
    }
    if (!v->create_type) {
        return error_set(errp, "invalid VMDK image descriptor");
    }
    if (strcmp(v->create_type, "monolithicFlat") &&
        strcmp(v->create_type, "vmfs") &&
        strcmp(v->create_type, "twoGbMaxExtentSparse") &&
        strcmp(v->create_type, "twoGbMaxExtentFlat")) {
        return error_set(errp, "Unsupported image type '%s'", v->create_type);
    }
    while ((got = vmdk_desc_line(&at, &l, errp)) > 0) {
        if (!line_open(v, &l, errp)) {
            return false;
        }
    }
    return got == 0 && (v->n_extents ||
                        error_set(errp, "The image has no extents"));
}

static MACHINE_CALL bool layout_open(Vmdk *v, const uint8_t *head,
                                     Error **errp)
{
    BlkNode *n = &v->m.node;
    uint64_t len = MIN2(n->file->length, VMDK_DESC_MAX);
    VmdkExtent *e;
    int ret;

    if (ld_le32(head) == VMDK_MAGIC) {
        e = extent_add(v, n->file, n->file->filename, "");
        if (!vmdk_sparse_open(e, n->read_only, &v->desc_off, &len, errp) ||
            !extent_done(v, e, errp)) {
            return false;
        }
        v->desc_room = len = v->desc_off ? MIN2(len, VMDK_DESC_MAX) : 0;
    }
    v->desc = g_malloc0(len + 1);
    ret = len && v->desc_off <= n->file->length
        ? blk_co_pread(n->file, v->desc_off, v->desc, len) : 0;
    if (ret < 0) {
        return error_set_errno(errp, -ret, "Could not read the descriptor");
    }
    return desc_parse(v, v->n_extents, errp);
}

static MACHINE_CALL bool vmdk_start(Vmdk *v, Error **errp)
{
    BlkNode *n = &v->m.node;
    uint8_t head[32] = { 0 };
    int ret = blk_co_pread(n->file, 0, head, sizeof(head));

    v->m.ops = &vmdk_ops;
    v->m.cluster = 64 * KiB;
    if (ret < 0) {
        return error_set_errno(errp, -ret, "Could not read the header");
    }
    if (ld_le32(head) != VMDK_MAGIC && memcmp(head, "# Disk DescriptorFile",
                                              21)) {
        return error_set(errp, ld_le32(head) == 0x44574f43
                         ? "Unsupported image type 'COWD'"
                         : "invalid VMDK image descriptor");
    }
    if (!layout_open(v, head, errp)) {
        return false;
    }
    n->limits.align = 512;
    return blk_backing_open(n, n->backing_format, errp);
}

static MACHINE_CALL void vmdk_close(BlkNode *n)
{
    Vmdk *v = (Vmdk *)n;

    for (unsigned i = 0; i < v->n_extents; i++) {
        tab_free(&v->extents[i]->tab);
        g_free(v->extents[i]->name);
        g_free(v->extents[i]->type);
        g_free(v->extents[i]);
    }
    g_free(v->extents);
    g_free(v->desc);
    g_free(v->create_type);
}

static MACHINE_CALL bool vmdk_open(BlkNode *n, Error **errp)
{
    if (vmdk_start((Vmdk *)n, errp)) {
        return true;
    }
    vmdk_close(n);
    return false;
}

static int vmdk_probe(const uint8_t *buf, size_t n, const char *filename)
{
    const char *p = (const char *)buf, *end = p + n;

    if (n >= 4 && (ld_le32(buf) == VMDK_MAGIC || ld_le32(buf) == 0x44574f43)) {
        return 100;
    }
    /* A descriptor: comments and blank lines before "version=1" to 3. */
    while (p < end) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        size_t len = (size_t)((nl ? nl : end) - p);

        size_t blank = 0;

        if (len && p[len - 1] == '\r') {
            len--;
        }
        while (blank < len && p[blank] == ' ') {
            blank++;
        }
        if (len && *p != '#' && blank < len) {
            return len == 9 && !memcmp(p, "version=", 8) && p[8] >= '1' &&
                   p[8] <= '3' ? 100 : 0;
        }
        p = nl ? nl + 1 : end;
    }
    return 0;
}

static int64_t vmdk_allocated(BlkNode *n)
{
    Vmdk *v = (Vmdk *)n;
    int64_t sum = map_allocated(n);

    for (unsigned i = 0; i < v->n_extents && sum >= 0; i++) {
        BlkNode *f = v->extents[i]->file;
        int64_t one = f != n->file && f->drv->allocated ? f->drv->allocated(f)
                                                        : 0;

        sum = one < 0 ? one : sum + one;
    }
    return sum;
}

static void vmdk_info(BlkNode *n, BlkNodeInfo *i)
{
    Vmdk *v = (Vmdk *)n;

    for (unsigned k = 0; k < v->n_extents; k++) {
        if (!v->extents[k]->flat) {
            i->cluster_size = v->m.cluster;
        }
        if (v->extents[k]->packed) {
            i->compress_align = (uint32_t)v->m.cluster;
        }
    }
    i->unallocated_are_zero = !n->backing;
}

static Json *vmdk_specific(BlkNode *n)
{
    Vmdk *v = (Vmdk *)n;
    Json *o = json_obj(), *list = json_list();

    json_set_int(o, "cid", v->cid);
    json_set_int(o, "parent-cid", v->parent_cid);
    json_set_str(o, "create-type", v->create_type ? v->create_type : "");
    for (unsigned i = 0; i < v->n_extents; i++) {
        const VmdkExtent *e = v->extents[i];
        Json *x = json_obj();

        if (e->packed) {
            json_set_bool(x, "compressed", true);
        }
        json_set_int(x, "virtual-size", (int64_t)e->len);
        json_set_str(x, "filename", e->name);
        if (!e->flat) {
            json_set_int(x, "cluster-size", (int64_t)e->grain);
        }
        json_set_str(x, "format", e->type);
        json_add(list, x);
    }
    json_set(o, "extents", list);
    return o;
}

static int vmdk_check(BlkNode *n, BlkCheck *c, int fix, Error **errp)
{
    Vmdk *v = (Vmdk *)n;

    if (fix) {
        error_set(errp, "This image format does not support repairing");
        return -ENOTSUP;
    }
    for (uint64_t off = 0; off < n->length;) {
        VmdkExtent *e = extent_of(v, off);
        uint64_t at = 0, span = (uint64_t)e->gtes * e->grain;
        uint32_t value = 0;

        if (e->flat) {
            off = e->start + e->len;
            continue;
        }
        if (entry_at(e, e->gd, off - e->start, &at) < 0 ||
            (at && tab_le32(&e->tab, at, &value) < 0)) {
            c->check_errors++;
            return 0;
        }
        if (!at) {                     /* no table: nothing as far as it goes */
            off = e->start + MIN2((off - e->start) / span * span + span, e->len);
            continue;
        }
        if (value > 1 && !map_inside(e->file, value * UINT64_C(512), 1)) {
            g_autofree char *line = g_strdup_printf("ERROR: cluster offset "
                "after file size: offset=%" PRIu64, value * UINT64_C(512));

            if (c->say) {
                c->say(c->arg, line);
            }
            c->corruptions++;
        }
        off += e->grain;
    }
    return 0;
}

static const BlkChildRow vmdk_children[] = {
    { .name = "file", .role = ROLE_STORAGE },
    { .name = "backing", .role = ROLE_BACKING, .by_driver = true },
    { .name = NULL }
};

BLK_DRIVER(vmdk_driver, {
    .name = "vmdk", .desc = "VMware disk image", .size = sizeof(Vmdk),
    .doc = "Images of VMware, as one file or several, flat, sparse or a stream "
           "of compressed grains.",
    .children = vmdk_children, .open = vmdk_open, .close = vmdk_close,
    .co_run = vmdk_run, .probe = vmdk_probe, .extent = map_extent,
    .allocated = vmdk_allocated, .info = vmdk_info, .check = vmdk_check,
    .specific = vmdk_specific, .backing = true,
    .create_props = vmdk_create_props, .create_size = sizeof(VmdkCreate),
    .create = vmdk_create,
});
