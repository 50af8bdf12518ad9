/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qed.c - the QED format (QEMU Enhanced Disk, its published specification): two
 * levels of tables, a backing file, no reference counts.
 *
 * Thread class: LOOP_CALL(node's loop); open, close and create MACHINE_CALL.
 *
 * Invariants
 * 1. A table that is new is written whole before the entry that points to it.
 * 2. From the first new cluster on until a clean close the header says that the
 *    image wants a check; opening for writing makes one.
 */
#include <glib.h>
#include "block/mapped.h"

#define MAGIC 0x00444551u              /* "QED\0"                             */
enum { F_BACKING = 1, F_CHECK = 2, F_RAW_BACKING = 4, F_ALL = 7 };
#define CLUSTER_MIN (4 * KiB)
#define CLUSTER_MAX (64 * MiB)
#define ZERO_ENTRY 1

typedef struct Qed {
    MapNode m;
    uint64_t features, l1_off, entries, table, next;
} Qed;
typedef struct QedCreate {
    BlkCreate base;
    uint64_t cluster, table;
} QedCreate;

/* ---- the map ------------------------------------------------------------- */

static bool place_ok(const Qed *q, uint64_t at, uint64_t len)
{
    return at % q->m.cluster == 0 && at && at <= INT64_MAX - len &&
           map_inside(q->m.node.file, at, 1);
}

static int entry_at(Qed *q, uint64_t off, uint64_t *at)
{
    uint64_t cluster = off / q->m.cluster, l1 = cluster / q->entries, table;
    int ret;

    *at = 0;
    if (l1 >= q->entries) {
        return -EIO;
    }
    ret = tab_le64(&q->m.tab, q->l1_off + l1 * 8, &table);
    if (ret < 0 || !table) {
        return ret;
    }
    if (!place_ok(q, table, q->table)) {
        return -EIO;
    }
    *at = table + cluster % q->entries * 8;
    return 0;
}

static int qed_find(BlkNode *n, uint64_t off, MapAt *at)
{
    Qed *q = (Qed *)n;
    uint64_t e = 0, where;
    int ret = entry_at(q, off, &where);

    if (ret >= 0 && where) {
        ret = tab_le64(&q->m.tab, where, &e);
    }
    if (ret < 0 || !e) {
        return ret;
    }
    if (e == ZERO_ENTRY) {
        at->state = MAP_ZERO;
        return 0;
    }
    at->state = MAP_DATA;
    at->map = e + off % q->m.cluster;
    return place_ok(q, e, q->m.cluster) ? 0 : -EIO;
}

static int features_set(Qed *q, uint64_t f)
{
    uint8_t b[8];
    int ret;

    st_le64(b, f);
    ret = tab_write(&q->m.tab, 16, b, 8);
    ret = ret < 0 ? ret : blk_co_flush(q->m.node.file);
    if (ret >= 0) {
        q->features = f;
    }
    return ret;
}

static int qed_place(BlkNode *n, uint64_t off, BlkNode **file, uint64_t *map)
{
    Qed *q = (Qed *)n;
    int ret = q->features & F_CHECK ? 0 : features_set(q, q->features | F_CHECK);

    *map = q->next;
    q->next += q->m.cluster;
    return ret;
}

static int entry_set(Qed *q, uint64_t off, uint64_t e)
{
    uint64_t at;
    uint8_t b[8];
    int ret = entry_at(q, off, &at);

    if (ret >= 0 && !at) {
        g_autofree uint8_t *zero = g_try_malloc0(q->table);
        uint64_t table = q->next;

        q->next += q->table;
        ret = zero ? tab_write(&q->m.tab, table, zero, q->table) : -ENOMEM;
        if (ret >= 0) {
            st_le64(b, table);
            ret = tab_write(&q->m.tab, q->l1_off + off / q->m.cluster /
                            q->entries * 8, b, 8);
        }
        at = table + off / q->m.cluster % q->entries * 8;
    }
    st_le64(b, e);
    return ret < 0 ? ret : tab_write(&q->m.tab, at, b, 8);
}

static int qed_link(BlkNode *n, uint64_t off, uint64_t map)
{
    return entry_set((Qed *)n, off, map);
}

static int qed_zero(BlkNode *n, uint64_t off, bool unmap)
{
    Qed *q = (Qed *)n;
    MapAt at = { .state = MAP_NONE };
    int ret = qed_find(n, off, &at);

    if (ret >= 0 && at.state == MAP_DATA) {
        return -ENOTSUP;               /* the cluster would be lost           */
    }
    if (ret >= 0 && !(q->features & F_CHECK)) {
        ret = features_set(q, q->features | F_CHECK);
    }
    return ret < 0 ? ret : entry_set(q, off, ZERO_ENTRY);
}

static const MapOps qed_ops = { .find = qed_find, .place = qed_place,
                                .link = qed_link, .zero = qed_zero };

/* ---- check --------------------------------------------------------------- */

typedef struct Walk {
    Qed *q;
    BlkCheck *c;
    uint8_t *seen;                     /* a bit for each cluster of the file  */
    uint64_t clusters, used;
    bool fix;
} Walk;

/* Is it a place that nothing else has? Else a corruption, and the entry goes. */
static bool claim(Walk *w, uint64_t entry, uint64_t at, uint64_t len)
{
    const Qed *q = w->q;
    uint64_t first = at / q->m.cluster, n = len / q->m.cluster;
    bool ok = place_ok(q, at, len) && first + n <= w->clusters;
    uint8_t zero[8] = { 0 };

    for (uint64_t i = first; ok && i < first + n; i++) {
        ok = !(w->seen[i / 8] & 1 << i % 8);
    }
    for (uint64_t i = first; ok && i < first + n; i++) {
        w->seen[i / 8] |= (uint8_t)(1 << i % 8);
        w->used++;
    }
    if (!ok) {
        w->c->corruptions++;
        if (w->fix && tab_write(&w->q->m.tab, entry, zero, 8) >= 0) {
            w->c->corruptions_fixed++;
        }
    }
    return ok;
}

static int table_walk(Walk *w, uint64_t table)
{
    Qed *q = w->q;
    uint64_t prev = 0;
    int ret = 0;

    for (uint64_t i = 0; i < q->entries && ret >= 0; i++) {
        uint64_t e;

        ret = tab_le64(&q->m.tab, table + i * 8, &e);
        if (ret < 0 || e <= ZERO_ENTRY ||
            !claim(w, table + i * 8, e, q->m.cluster)) {
            continue;
        }
        w->c->allocated_clusters++;
        w->c->fragmented_clusters += prev && e != prev + q->m.cluster;
        prev = e;
    }
    return ret;
}

static int qed_check(BlkNode *n, BlkCheck *c, int fix, Error **errp)
{
    Qed *q = (Qed *)n;
    Walk w = { .q = q, .c = c, .fix = fix & BLKC_FIX_ERRORS };
    int ret = 0;

    w.clusters = (n->file->length + q->m.cluster - 1) / q->m.cluster;
    w.seen = g_try_malloc0(w.clusters / 8 + 1);
    if (!w.seen) {
        return -ENOMEM;
    }
    c->total_clusters = (n->length + q->m.cluster - 1) / q->m.cluster;
    w.seen[0] |= 1;
    w.used = 1;
    for (uint64_t i = 1; i < q->l1_off / q->m.cluster && i < w.clusters; i++) {
        w.seen[i / 8] |= (uint8_t)(1 << i % 8);    /* the header, if longer   */
        w.used++;
    }
    if (!claim(&w, 0, q->l1_off, q->table)) {
        g_free(w.seen);
        return 0;
    }
    for (uint64_t i = 0; i < q->entries && ret >= 0; i++) {
        uint64_t table;

        ret = tab_le64(&q->m.tab, q->l1_off + i * 8, &table);
        if (ret >= 0 && table && claim(&w, q->l1_off + i * 8, table, q->table)) {
            ret = table_walk(&w, table);
        }
    }
    c->check_errors += ret < 0;
    c->leaks += w.clusters - MIN2(w.used, w.clusters);
    g_free(w.seen);
    if (fix && ret >= 0 && c->corruptions == c->corruptions_fixed &&
        q->features & F_CHECK) {
        features_set(q, q->features & ~(uint64_t)F_CHECK);
    }
    return 0;
}

/* ---- opening ------------------------------------------------------------- */

static bool sizes_ok(uint64_t cluster, uint64_t table)
{
    return cluster >= CLUSTER_MIN && cluster <= CLUSTER_MAX &&
           IS_POW2(cluster) && table >= 1 && table <= 16 && IS_POW2(table);
}

static bool header_check(Qed *q, const uint8_t *h, Error **errp)
{
    BlkNode *n = &q->m.node;
    uint64_t cluster = ld_le32(h + 4), table = ld_le32(h + 8), reach;

    if (ld_le32(h) != MAGIC) {
        return error_set(errp, "Image not in QED format");
    }
    q->features = ld_le64(h + 16);
    if (q->features & ~(uint64_t)F_ALL) {
        return error_set(errp, "Unsupported QED features: %" PRIx64,
                         q->features & ~(uint64_t)F_ALL);
    }
    if (!sizes_ok(cluster, 1)) {
        return error_set(errp, "QED cluster size is invalid");
    }
    if (!sizes_ok(cluster, table)) {
        return error_set(errp, "QED table size is invalid");
    }
    q->m.cluster = cluster;
    q->table = table * cluster;
    q->entries = q->table / 8;
    q->l1_off = ld_le64(h + 40);
    /* 2^50 entries of 2^26 bytes at the most. */
    reach = q->entries > UINT64_MAX / q->entries / cluster
          ? UINT64_MAX : q->entries * q->entries * cluster;
    n->length = ld_le64(h + 48);
    if (n->length % 512 || n->length > INT64_MAX - 511 || n->length > reach) {
        return error_set(errp, "QED image size is invalid");
    }
    if (!place_ok(q, q->l1_off, q->table)) {
        return error_set(errp, "QED table offset is invalid");
    }
    return true;
}

static bool backing_read(Qed *q, const uint8_t *h, Error **errp)
{
    BlkNode *n = &q->m.node;
    uint32_t off = ld_le32(h + 56), len = ld_le32(h + 60);
    uint64_t header = ld_le32(h + 12) * q->m.cluster;
    int ret;

    if (!(q->features & F_BACKING)) {
        return true;
    }
    if (off + (uint64_t)len > header) {
        return error_set(errp, "QED backing filename offset is invalid");
    }
    if (len > 1023) {
        return error_set(errp, "QED backing filename is too long");
    }
    n->backing_name = g_malloc0(len + 1);
    ret = blk_co_pread(n->file, off, n->backing_name, len);
    if (q->features & F_RAW_BACKING) {
        n->backing_format = g_strdup("raw");
    }
    return ret >= 0 || error_set_errno(errp, -ret, "Failed to read backing "
                                       "filename");
}

static MACHINE_CALL bool qed_start(Qed *q, Error **errp)
{
    BlkNode *n = &q->m.node;
    BlkCheck c = { .corruptions = 0 };
    uint8_t h[64];
    int ret = blk_co_pread(n->file, 0, h, sizeof(h));

    if (ret < 0) {
        return error_set_errno(errp, -ret, "Failed to read QED header");
    }
    if (!header_check(q, h, errp) || !backing_read(q, h, errp)) {
        return false;
    }
    q->m.ops = &qed_ops;
    q->next = ALIGN_UP(n->file->length, q->m.cluster);
    n->limits.align = 512;
    if (!n->read_only && !(n->flags & (BLKO_CHECK | BLKO_INACTIVE)) &&
        q->features & F_CHECK) {
        ret = qed_check(n, &c, BLKC_FIX_ERRORS | BLKC_FIX_LEAKS, errp);
        if (ret < 0 || c.check_errors) {
            return error_set(errp, "Could not check the image");
        }
    }
    return blk_backing_open(n, n->backing_format, errp);
}

static MACHINE_CALL bool qed_open(BlkNode *n, Error **errp)
{
    Qed *q = (Qed *)n;

    q->m.tab.file = n->file;
    if (qed_start(q, errp)) {
        return true;
    }
    tab_free(&q->m.tab);
    return false;
}

static MACHINE_CALL void qed_close(BlkNode *n)
{
    Qed *q = (Qed *)n;

    if (q->features & F_CHECK && !n->read_only && blk_co_flush(n->file) >= 0) {
        features_set(q, q->features & ~(uint64_t)F_CHECK);
    }
    tab_free(&q->m.tab);
}

static int qed_probe(const uint8_t *buf, size_t n, const char *filename)
{
    return n >= 64 && ld_le32(buf) == MAGIC ? 100 : 0;
}

static void qed_info(BlkNode *n, BlkNodeInfo *i)
{
    const Qed *q = (const Qed *)n;

    i->cluster_size = q->m.cluster;
    i->dirty = q->features & F_CHECK;
    i->unallocated_are_zero = !n->backing;
}

static MACHINE_CALL bool qed_truncate(BlkNode *n, uint64_t len,
                                      BlkPrealloc prealloc, bool exact,
                                      Error **errp)
{
    Qed *q = (Qed *)n;
    uint64_t reach = q->entries > UINT64_MAX / q->entries / q->m.cluster
                   ? UINT64_MAX : q->entries * q->entries * q->m.cluster;
    uint8_t b[8];
    int ret;

    if (prealloc != PREALLOC_OFF) {
        return error_set(errp, "Unsupported preallocation mode '%s'",
                         blk_prealloc_enum.names[prealloc]);
    }
    if (len % 512 || len > reach) {
        return error_set(errp, "Invalid image size specified");
    }
    if (len < n->length) {
        return error_set(errp, "Shrinking images is currently not supported");
    }
    st_le64(b, len);
    ret = tab_write(&q->m.tab, 48, b, 8);
    if (ret < 0) {
        return error_set_errno(errp, -ret, "Failed to update the image size");
    }
    n->length = len;
    return true;
}

static MACHINE_CALL bool qed_set_backing(BlkNode *n, const char *file,
                                         const char *fmt, Error **errp)
{
    Qed *q = (Qed *)n;
    size_t len = file ? strlen(file) : 0;
    uint64_t f = q->features & ~(uint64_t)(F_BACKING | F_RAW_BACKING);
    uint8_t h[64];
    int ret;

    if (len > 1023 || 64 + len > q->m.cluster) {
        return error_set(errp, "Backing file name too long");
    }
    f |= len ? F_BACKING : 0;
    f |= len && fmt && !strcmp(fmt, "raw") ? F_RAW_BACKING : 0;
    ret = len ? tab_write(&q->m.tab, 64, file, len) : 0;
    ret = ret < 0 ? ret : tab_read(&q->m.tab, 0, h, sizeof(h));
    st_le64(h + 16, f);
    st_le32(h + 56, len ? 64 : 0);
    st_le32(h + 60, (uint32_t)len);
    ret = ret < 0 ? ret : tab_write(&q->m.tab, 0, h, sizeof(h));
    if (ret < 0) {
        return error_set_errno(errp, -ret, "Could not update the header");
    }
    q->features = f;
    g_free(n->backing_name);
    g_free(n->backing_format);
    n->backing_name = g_strdup(file);
    n->backing_format = g_strdup(file ? fmt : NULL);
    return true;
}

/* ---- making images ------------------------------------------------------- */

static MACHINE_CALL bool qed_create(BlkCreate *b, Error **errp)
{
    QedCreate *c = (QedCreate *)b;
    size_t name = b->backing_file ? strlen(b->backing_file) : 0;
    uint64_t table = c->table ? c->table : 4, entries, max, features = 0;
    uint8_t h[64] = { 0 };
    int ret;

    if (!sizes_ok(c->cluster, 1)) {
        return error_set(errp, "QED cluster size must be within range [%u, %u] "
                         "and power of 2", (unsigned)CLUSTER_MIN,
                         (unsigned)CLUSTER_MAX);
    }
    if (!sizes_ok(c->cluster, table)) {
        return error_set(errp, "QED table size must be within range [1, 16] "
                         "and power of 2");
    }
    entries = table * c->cluster / 8;
    max = MIN2(entries > UINT64_MAX / entries / c->cluster ? INT64_MAX
               : entries * entries * c->cluster, INT64_MAX - 511);
    if (b->size % 512 || b->size > max) {
        return error_set(errp, "QED image size must be a non-zero multiple of "
                         "cluster size and less than %" PRIu64 " bytes", max);
    }
    if (64 + name > c->cluster || name > 1023) {
        return error_set(errp, "Backing file name too long");
    }
    if (name) {
        features = F_BACKING | (b->backing_fmt && !strcmp(b->backing_fmt, "raw")
                                ? F_RAW_BACKING : 0);
    }
    st_le32(h, MAGIC);
    st_le32(h + 4, (uint32_t)c->cluster);
    st_le32(h + 8, (uint32_t)table);
    st_le32(h + 12, 1);
    st_le64(h + 16, features);
    st_le64(h + 40, c->cluster);
    st_le64(h + 48, b->size);
    st_le32(h + 56, name ? 64 : 0);
    st_le32(h + 60, (uint32_t)name);
    if (!blk_node_truncate(b->file, c->cluster + table * c->cluster,
                           PREALLOC_OFF, false, errp)) {
        return false;
    }
    ret = blk_co_pwrite(b->file, 64, b->backing_file, name, 0);
    ret = ret < 0 ? ret : blk_co_pwrite(b->file, 0, h, sizeof(h), 0);
    return ret >= 0 || error_set_errno(errp, -ret, "Could not write the header");
}

static const Prop qed_create_props[] = {
    PROP_STR("backing_file", QedCreate, base.backing_file,
             .desc = "File name of a base image"),
    PROP_STR("backing_fmt", QedCreate, base.backing_fmt,
             .desc = "Image format of the base image"),
    PROP_SIZE("cluster_size", QedCreate, cluster, 64 * KiB,
              .desc = "Cluster size (in bytes)"),
    PROP_SIZE("table_size", QedCreate, table, 0, .flags = PF_NO_DEFAULT,
              .desc = "L1/L2 table size (in clusters)"),
    PROP_END
};
static const BlkChildRow qed_children[] = {
    { .name = "file", .role = ROLE_STORAGE },
    { .name = "backing", .role = ROLE_BACKING, .by_driver = true },
    { .name = NULL }
};

BLK_DRIVER(qed_driver, {
    .name = "qed", .desc = "QEMU enhanced disk", .size = sizeof(Qed),
    .doc = "A format that qcow2 version 3 has replaced.",
    .children = qed_children, .open = qed_open, .close = qed_close,
    .co_run = map_run, .probe = qed_probe, .extent = map_extent,
    .allocated = map_allocated, .truncate = qed_truncate, .info = qed_info,
    .check = qed_check, .set_backing = qed_set_backing, .backing = true,
    .create_props = qed_create_props, .create_size = sizeof(QedCreate),
    .create = qed_create,
});
