/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * query.c - what clients are told of devices and nodes: query-block,
 * query-named-block-nodes, the graph.
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. Nothing is read from an image that its driver does not hold in memory, but
 *    for the list of snapshots.
 */
#include <glib.h>
#include "block/backend.h"
#include "block/bitmap.h"
#include "block/throttle.h"
#include "block/commands.h"

/* ---- images -------------------------------------------------------------- */

static MACHINE_CALL void snapshots_fill(BlkNode *n, ImageInfo *i)
{
    BlkSnapshot *list = NULL;
    int count = n->drv->snapshots ? n->drv->snapshots->list(n, &list) : 0;

    for (int k = 0; k < count; k++) {
        SnapshotInfo *s = SCHEMA_ADD(&i->snapshots);

        i->has_snapshots = true;
        blk_snapshot_info(&list[k], s);
    }
    g_free(list);
}

void blk_snapshot_info(const BlkSnapshot *from, SnapshotInfo *s)
{
    s->id = g_strdup(from->id);
    s->name = g_strdup(from->name);
    s->vm_state_size = (int64_t)from->vm_state_size;
    s->date_sec = from->date_s;
    s->date_nsec = from->date_ns;
    s->vm_clock_sec = (int64_t)(from->vm_clock_ns / NS_PER_S);
    s->vm_clock_nsec = (int64_t)(from->vm_clock_ns % NS_PER_S);
    s->icount = (int64_t)from->icount;
    s->has_icount = from->icount != UINT64_MAX;
}

static MACHINE_CALL void backing_names(BlkNode *n, ImageInfo *i)
{
    if (n->backing_name && n->backing_name[0]) {
        i->backing_filename = g_strdup(n->backing_name);
        i->full_backing_filename =
            blk_path_combine(n->file ? n->file->filename : "",
                             n->backing_name);
        i->backing_filename_format = g_strdup(n->backing_format);
    }
}

static MACHINE_CALL void specific_fill(BlkNode *n, ImageInfo *i)
{
    Json *data = n->drv->specific ? n->drv->specific(n) : NULL;

    if (data && n->drv->running) {
        n->drv->running(n, data);
    }
    if (data) {
        i->has_format_specific = true;
        i->format_specific.obj = json_obj();
        json_set_str(i->format_specific.obj, "type", n->drv->name);
        json_set(i->format_specific.obj, "data", data);
    }
}

static int64_t allocated(BlkNode *n)
{
    return n->drv->allocated ? n->drv->allocated(n)
         : n->file && !n->drv->protocol ? allocated(n->file) : -ENOTSUP;
}

/* What shines through n: a backing file, or what a filter filters. */
static BlkNode *below(const BlkNode *n)
{
    return n->backing ? n->backing
         : n->drv->filter && strcmp(n->drv->name, "raw") ? n->file : NULL;
}

/* What a filter shows is the file's. */
static bool info_of(BlkNode *n, BlkNodeInfo *x)
{
    while (!n->drv->info && n->drv->filter && n->file) {
        n = n->file;
    }
    if (n->drv->info) {
        n->drv->info(n, x);
    }
    return n->drv->info != NULL;
}

static MACHINE_CALL void image_fill(BlkNode *n, bool flat, ImageInfo *i)
{
    BlkNodeInfo x = { 0 };
    int64_t size = allocated(n);

    i->has_dirty_flag = info_of(n, &x);
    i->filename = g_strdup(n->filename);
    i->format = g_strdup(n->drv->name);
    i->virtual_size = (int64_t)n->length;
    i->actual_size = size;
    i->has_actual_size = size >= 0;
    i->cluster_size = (int64_t)x.cluster_size;
    i->has_cluster_size = x.cluster_size != 0;
    i->dirty_flag = x.dirty;
    i->encrypted = i->has_encrypted = x.encrypted;
    i->compressed = i->has_compressed = x.compressed;
    backing_names(n, i);
    snapshots_fill(n, i);
    specific_fill(n, i);
    if (!flat && below(n)) {
        i->backing_image = SCHEMA_NEW(ImageInfo);
        image_fill(below(n), false, i->backing_image);
    }
}

/* ---- nodes --------------------------------------------------------------- */

static MACHINE_CALL void bitmaps_fill(BlkNode *n, BlockDeviceInfo *i)
{
    for (BlkBitmap *b = n->bitmaps; b; b = b->next) {
        BlockDirtyInfo *d = SCHEMA_ADD(&i->dirty_bitmaps);

        i->has_dirty_bitmaps = true;
        d->name = g_strdup(b->name);
        d->count = (int64_t)blk_bitmap_count(b);
        d->granularity = b->granularity;
        d->recording = b->enabled;
        d->busy = b->busy;
        d->persistent = b->persistent;
        d->inconsistent = d->has_inconsistent = b->inconsistent;
    }
}

static bool encrypted(const BlkNode *n)
{
    BlkNodeInfo x = { 0 };

    if (n->drv->info) {
        n->drv->info((BlkNode *)(uintptr_t)n, &x);
    }
    return x.encrypted;
}

static MACHINE_CALL void node_fill(BlkNode *n, const BlkBackend *b, bool flat,
                                   BlockDeviceInfo *i)
{
    i->file = g_strdup(n->filename);
    i->node_name = g_strdup(n->name);
    i->ro = n->read_only;
    i->drv = g_strdup(n->drv->name);
    i->encrypted = encrypted(n);
    i->detect_zeroes = (BlockdevDetectZeroesOptions)n->detect_zeroes;
    i->write_threshold = (int64_t)n->write_threshold;
    i->cache.writeback = b ? b->write_cache : true;
    i->cache.direct = n->flags & BLKO_DIRECT;
    i->cache.no_flush = n->flags & BLKO_NO_FLUSH;
    if (n->backing) {
        i->backing_file = g_strdup(n->backing->filename);
    }
    for (BlkNode *k = below(n); k && !flat; k = below(k)) {
        i->backing_file_depth++;
    }
    image_fill(n, flat, &i->image);
    bitmaps_fill(n, i);
    if (b) {
        blk_limits_fill(b, i);
    }
}

/* Newest first, as clients are used to. */
static MACHINE_CALL void nodes_fill(BlkNode *n, bool flat,
                                    BlockDeviceInfoList *l)
{
    if (n) {
        nodes_fill(n->next, flat, l);
        node_fill(n, NULL, flat, SCHEMA_ADD(l));
    }
}

bool cmd_query_named_block_nodes(const void *arg, void *ret, Error **errp)
{
    const QueryNamedBlockNodesArg *a = arg;

    nodes_fill(blk_node_first(), a->has_flat && a->flat, ret);
    return true;
}

/* ---- devices ------------------------------------------------------------- */

static MACHINE_CALL void device_fill(BlkBackend *b, BlockInfo *i)
{
    const BlkDevOps *ops = b->ops;

    i->device = g_strdup(b->name);
    i->type = g_strdup("unknown");
    i->qdev = blk_dev_id(b);
    i->removable = !b->dev_obj || (ops && ops->removable);
    i->locked = ops && ops->locked && ops->locked(b->dev);
    i->has_tray_open = blk_has_tray(b);
    i->tray_open = blk_tray_is_open(b);
    i->has_io_status = blk_has_io_status(b);
    i->io_status = b->io_nospace ? BLOCK_DEVICE_IO_STATUS_NOSPACE
        : b->io_error ? BLOCK_DEVICE_IO_STATUS_FAILED
        : BLOCK_DEVICE_IO_STATUS_OK;
    if (b->node) {
        i->inserted = SCHEMA_NEW(BlockDeviceInfo);
        node_fill(b->node, b, false, i->inserted);
    }
}

bool cmd_query_block(const void *arg, void *ret, Error **errp)
{
    BlockInfoList *l = ret;

    for (BlkBackend *b = blk_next(NULL); b; b = blk_next(b)) {
        if (b->name[0] || b->dev_obj) {
            device_fill(b, SCHEMA_ADD(l));
        }
    }
    return true;
}

/* ---- graph --------------------------------------------------------------- */

typedef struct Graph {
    XDbgBlockGraph *g;
    GHashTable *ids;
} Graph;

static uint64_t number(Graph *g, const void *p)
{
    uint64_t id = (uintptr_t)g_hash_table_lookup(g->ids, p);

    if (!id) {
        id = g_hash_table_size(g->ids) + 1;
        g_hash_table_insert(g->ids, (void *)(uintptr_t)p, (void *)id);
    }
    return id;
}

static void perms_fill(BlockPermissionList *l, uint64_t perm)
{
    for (unsigned i = 4; i-- > 0;) {
        if (perm >> i & 1) {
            *SCHEMA_ADD(l) = (BlockPermission)i;
        }
    }
}

static void edge(Graph *g, const BlkParent *p, const void *user,
                 const BlkNode *n)
{
    XDbgBlockGraphEdge *e = SCHEMA_ADD(&g->g->edges);

    e->parent = number(g, user);
    e->child = number(g, n);
    e->name = g_strdup(p->role);
    perms_fill(&e->perm, p->perm);
    perms_fill(&e->shared_perm, p->shared);
}

static void vertex(Graph *g, const void *p, XDbgBlockGraphNodeType type,
                   char *name)
{
    XDbgBlockGraphNode *n = SCHEMA_ADD(&g->g->nodes);

    n->id = number(g, p);
    n->type = type;
    n->name = name;
}

bool cmd_x_debug_query_block_graph(const void *arg, void *ret, Error **errp)
{
    Graph g = { ret, g_hash_table_new(NULL, NULL) };

    for (BlkBackend *b = blk_next(NULL); b; b = blk_next(b)) {
        vertex(&g, b, X_DBG_BLOCK_GRAPH_NODE_TYPE_BLOCK_BACKEND,
               b->name[0] || !b->dev_obj ? g_strdup(b->name)
                                         : blk_dev_id(b));
        if (b->node) {
            edge(&g, &b->parent, b, b->node);
        }
    }
    for (BlkNode *n = blk_node_first(); n; n = n->next) {
        vertex(&g, n, X_DBG_BLOCK_GRAPH_NODE_TYPE_BLOCK_DRIVER,
               g_strdup(n->name));
        for (BlkChild *c = n->children; c; c = c->next) {
            edge(&g, &c->parent, n, c->node);
        }
    }
    g_hash_table_destroy(g.ids);
    return true;
}
