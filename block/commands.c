/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * commands.c - commands that make, change and remove nodes, and act on images.
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. A node that anything else uses is not removed.
 */
#include <glib.h>
#include "block/backend.h"
#include "block/bitmap.h"
#include "block/commands.h"

/* ---- what is asked about ------------------------------------------------- */

char *blk_dev_path(const BlkBackend *b)
{
    machine_assert_locked();
    return b->dev_obj ? obj_path(b->dev_obj) : NULL;
}

char *blk_dev_id(const BlkBackend *b)
{
    char *path = blk_dev_path(b);
    const char *at = "/machine/peripheral/";

    if (path && g_str_has_prefix(path, at) && !strchr(path + strlen(at), '/')) {
        memmove(path, path + strlen(at), strlen(path) - strlen(at) + 1);
    }
    return path;
}

static MACHINE_CALL bool dev_is(const BlkBackend *b, const char *id)
{
    g_autofree char *own = blk_dev_id(b), *path = blk_dev_path(b);

    return own && (!strcmp(own, id) || !strcmp(path, id));
}

static MACHINE_CALL BlkBackend *by_device(const char *id, Error **errp)
{
    for (BlkBackend *b = blk_next(NULL); b; b = blk_next(b)) {
        if (dev_is(b, id)) {
            return b;
        }
    }
    if (obj_resolve(id, NULL)) {
        error_set(errp, "Device '%s' has no block device backend", id);
    } else {
        error_set_class(errp, ERROR_DEVICE_NOT_FOUND, "Device '%s' not found",
                        id);
    }
    return NULL;
}

BlkBackend *blk_lookup(const char *device, const char *id, Error **errp)
{
    BlkBackend *b;

    if (!device == !id) {
        error_set(errp, "Need exactly one of 'device' and 'id'");
        return NULL;
    }
    if (id) {
        return by_device(id, errp);
    }
    b = blk_find(device);
    if (!b) {
        error_set_class(errp, ERROR_DEVICE_NOT_FOUND, "Device '%s' not found",
                        device);
    }
    return b;
}

static void drivers_each(OpenSetFn *fn, void *arg)
{
    SET_EACH(blk_drivers, BlkDriver, d) {
        const Prop *const rows[3] = { (*d)->props };

        fn(arg, (*d)->name, rows);
    }
}

static void specific_each(OpenSetFn *fn, void *arg)
{
    static const Prop *const none[3];

    SET_EACH(blk_drivers, BlkDriver, d) {
        if ((*d)->specific) {
            fn(arg, (*d)->name, none);
        }
    }
}

OPEN_SET(blk_driver_set, { "blk_drivers", drivers_each });
OPEN_SET(blk_specific_set, { "blk_specific", specific_each });

/* ---- nodes --------------------------------------------------------------- */

bool cmd_blockdev_add(const void *arg, void *ret, Error **errp)
{
    const OpenArg *a = arg;

    return blk_blockdev_add(a->obj, a->text, errp);
}

/* A backing file is its overlay's until that lets it go. */
static MACHINE_CALL bool not_backing(const BlkNode *n, Error **errp)
{
    for (const BlkParent *p = n->parents; p; p = p->next) {
        if (p->node && p->node->backing == n) {
            return error_set(errp, "Node '%s' is busy: node is used as backing "
                             "hd of '%s'", n->name, p->node->name);
        }
    }
    return true;
}

bool cmd_blockdev_del(const void *arg, void *ret, Error **errp)
{
    const BlockdevDelArg *a = arg;
    BlkNode *n = blk_node_find(a->node_name);

    if (!n) {
        return error_set(errp, "Failed to find node with node-name='%s'",
                         a->node_name);
    }
    for (BlkParent *p = n->parents; p; p = p->next) {
        if (p->blk) {
            return error_set(errp, "Node %s is in use", a->node_name);
        }
    }
    if (!not_backing(n, errp)) {
        return false;
    }
    if (!n->owned) {
        return error_set(errp, "Node %s is not owned by the monitor",
                         a->node_name);
    }
    if (n->refs > 1) {
        return error_set(errp, "Block device %s is in use", n->name);
    }
    n->owned = false;
    blk_node_unref(n);
    return true;
}

bool cmd_blockdev_reopen(const void *arg, void *ret, Error **errp)
{
    const BlockdevReopenArg *a = arg;
    Json *list = json_list();
    bool ok = true;

    for (size_t i = 0; i < a->options.n; i++) {
        json_add(list, json_copy(a->options.v[i].obj));
    }
    ok = blk_reopen(list, errp);
    json_free(list);
    return ok;
}

/* ---- images -------------------------------------------------------------- */

static MACHINE_CALL bool resize_user_ok(BlkNode *n, Error **errp)
{
    for (BlkParent *p = n->parents; p; p = p->next) {
        if (!(p->shared & BLKP_RESIZE) && !p->blk) {
            return error_set(errp, "Conflicts with use by %s as '%s', which "
                             "does not allow 'resize' on %s", p->who(p->arg),
                             p->role, n->name);
        }
    }
    return true;
}

bool cmd_block_resize(const void *arg, void *ret, Error **errp)
{
    const BlockResizeArg *a = arg;
    BlkDrain *d;
    BlkNode *n;
    bool ok;

    if (a->node_name && !a->device) {
        n = blk_node_find(a->node_name);
        if (!n) {
            return error_set_class(errp, ERROR_GENERIC, "Cannot find device='' "
                                   "nor node-name='%s'", a->node_name);
        }
    } else {
        n = a->device && blk_find(a->device)
            ? blk_node_lookup(a->device, errp) : NULL;
        if (!n) {
            return errp && *errp ? false
                : error_set(errp, "Cannot find device='%s' nor node-name='%s'",
                            a->device ? a->device : "",
                            a->node_name ? a->node_name : "");
        }
    }
    if (a->size < 0) {
        return error_set(errp, "Parameter 'size' expects a >0 size");
    }
    d = blk_node_drain_begin(n);
    ok = resize_user_ok(n, errp) &&
         blk_node_truncate(n, (uint64_t)a->size, PREALLOC_OFF, false, errp);
    blk_node_drain_end(d);
    return ok;
}

BlkNode *blk_node_lookup(const char *name, Error **errp)
{
    BlkBackend *b = blk_find(name);
    BlkNode *n = b ? b->node : blk_node_find(name);

    if (b && !n) {
        error_set_class(errp, ERROR_GENERIC, "Device '%s' has no medium", name);
    } else if (!n) {
        error_set(errp, "Cannot find device='%s' nor node-name='%s'", name,
                  name);
    }
    return n;
}

bool cmd_block_set_write_threshold(const void *arg, void *ret, Error **errp)
{
    const BlockSetWriteThresholdArg *a = arg;
    BlkNode *n = blk_node_find(a->node_name);
    BlkDrain *d;

    if (!n) {
        return error_set(errp, "Device '%s' not found", a->node_name);
    }
    d = blk_node_drain_begin(n);
    n->write_threshold = a->write_threshold;
    blk_node_drain_end(d);
    return true;
}

/* ---- snapshots inside an image ------------------------------------------- */

static MACHINE_CALL const BlkSnapshotOps *snapshot_ops(const char *device,
                                                       BlkNode **n,
                                                       Error **errp)
{
    *n = blk_node_lookup(device, errp);
    if (!*n) {
        return NULL;
    }
    if (!(*n)->drv->snapshots || !(*n)->drv->snapshots->create) {
        error_set(errp, "Block format '%s' used by device '%s' does not "
                  "support internal snapshots", (*n)->drv->name, device);
        return NULL;
    }
    return (*n)->drv->snapshots;
}

/* By id and name, of which one may be NULL. */
static MACHINE_CALL bool snapshot_find(BlkNode *n, const char *id,
                                       const char *name, BlkSnapshot *out)
{
    BlkSnapshot *list = NULL;
    int count = n->drv->snapshots->list(n, &list);
    bool found = false;

    for (int i = 0; i < count && !found; i++) {
        found = (!id || !strcmp(list[i].id, id)) &&
                (!name || !strcmp(list[i].name, name));
        if (found) {
            *out = list[i];
        }
    }
    g_free(list);
    return found;
}

bool blk_snapshot_take(const char *device, const char *name, Error **errp)
{
    BlkNode *n;
    const BlkSnapshotOps *ops = snapshot_ops(device, &n, errp);
    BlkSnapshot s = { .icount = UINT64_MAX };
    int64_t now = clock_ns(CLOCK_HOST);
    BlkDrain *d;
    int ret;

    if (!ops) {
        return false;
    }
    if (n->read_only) {
        return error_set(errp, "Device '%s' is read only", device);
    }
    if (!name[0]) {
        return error_set(errp, "Name is empty");
    }
    if (snapshot_find(n, NULL, name, &s)) {
        return error_set(errp, "Snapshot with name '%s' already exists on "
                         "device '%s'", name, device);
    }
    g_strlcpy(s.name, name, sizeof(s.name));
    s.disk_size = n->length;
    s.date_s = now / NS_PER_S;
    s.date_ns = (uint32_t)(now % NS_PER_S);
    s.vm_clock_ns = (uint64_t)clock_ns(CLOCK_VM);
    d = blk_node_drain_begin(n);
    ret = ops->create(n, &s, errp);
    blk_node_drain_end(d);
    if (ret < 0 && errp && !*errp) {
        error_set_errno(errp, -ret, "Failed to create snapshot '%s' on device "
                        "'%s'", name, device);
    }
    return ret >= 0;
}

bool cmd_blockdev_snapshot_internal_sync(const void *arg, void *ret,
                                         Error **errp)
{
    const BlockdevSnapshotInternal *a = arg;

    return blk_snapshot_take(a->device, a->name, errp);
}

bool cmd_blockdev_snapshot_delete_internal_sync(const void *arg, void *ret,
                                                Error **errp)
{
    const BlockdevSnapshotDeleteInternalSyncArg *a = arg;
    const BlkSnapshotOps *ops;
    BlkSnapshot s;
    BlkDrain *d;
    BlkNode *n;
    int r;

    n = blk_node_lookup(a->device, errp);
    if (!n) {
        return false;
    }
    if (!a->id && !a->name) {
        return error_set(errp, "Name or id must be provided");
    }
    ops = n->drv->snapshots;
    if (!ops) {
        return error_set_errno(errp, EOPNOTSUPP,
                               "Failed to get a snapshot list");
    }
    if (!snapshot_find(n, a->id, a->name, &s)) {
        return error_set(errp, "Snapshot with id '%s' and name '%s' does not "
                         "exist on device '%s'", a->id ? a->id : "null",
                         a->name ? a->name : "null", a->device);
    }
    d = blk_node_drain_begin(n);
    r = ops->del(n, s.id, s.name, errp);
    blk_node_drain_end(d);
    if (r < 0) {
        return errp && *errp ? false : error_set_errno(errp, -r, "Failed to "
                                                       "delete snapshot");
    }
    blk_snapshot_info(&s, ret);
    return true;
}
