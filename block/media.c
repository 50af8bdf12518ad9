/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * media.c - trays and media: eject, change and the commands they are made of.
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. DEVICE_TRAY_MOVED is sent when a tray's position has changed, and only then.
 * 2. A medium changes only while the tray, if there is one, is open.
 */
#include <glib.h>
#include "block/commands.h"

void blk_tray_moved(BlkBackend *b, bool open)
{
    g_autofree char *path = blk_dev_id(b);
    DeviceTrayMovedEvent e = { .device = b->name, .id = path ? path : (char[]){ 0 },
                               .tray_open = open };

    monitor_event(&event_DEVICE_TRAY_MOVED, &e);
}

NO_TSA bool blk_has_tray(const BlkBackend *b)
{
    return b->ops && b->ops->tray_open;
}

bool blk_tray_is_open(const BlkBackend *b)
{
    return blk_has_tray(b) && b->ops->tray_open(b->dev);
}

void blk_tray_move(BlkBackend *b, bool load)
{
    bool was = blk_tray_is_open(b);

    if (b->ops && b->ops->change_media) {
        b->ops->change_media(b->dev, load);
    }
    if (was != blk_tray_is_open(b)) {
        blk_tray_moved(b, !was);
    }
}

static bool removable(const BlkBackend *b, const char *what, Error **errp)
{
    if (b->dev_obj && !(b->ops && b->ops->removable)) {
        return error_set(errp, "Device '%s' is not removable", what);
    }
    return true;
}

/* *stay: no tray, or the guest has to let it go first. */
static MACHINE_CALL bool tray_open(BlkBackend *b, const char *what, bool force,
                                   bool *stay, Error **errp)
{
    bool locked;

    *stay = false;
    if (!removable(b, what, errp)) {
        return false;
    }
    if (!blk_has_tray(b)) {
        *stay = true;
        return true;
    }
    if (blk_tray_is_open(b)) {
        return true;
    }
    locked = b->ops->locked && b->ops->locked(b->dev);
    if (locked && b->ops->eject_request) {
        b->ops->eject_request(b->dev, force);
    }
    if (!locked || force) {
        blk_tray_move(b, false);
    } else {
        *stay = true;
    }
    return true;
}

static const char *name_of(const char *device, const char *id)
{
    return id ? id : device;
}

bool cmd_blockdev_open_tray(const void *arg, void *ret, Error **errp)
{
    const BlockdevOpenTrayArg *a = arg;
    BlkBackend *b = blk_lookup(a->device, a->id, errp);
    bool stay;

    return b && tray_open(b, name_of(a->device, a->id), a->has_force &&
                          a->force, &stay, errp);
}

bool cmd_blockdev_close_tray(const void *arg, void *ret, Error **errp)
{
    const BlockdevCloseTrayArg *a = arg;
    BlkBackend *b = blk_lookup(a->device, a->id, errp);

    if (!b || !removable(b, name_of(a->device, a->id), errp)) {
        return false;
    }
    if (blk_has_tray(b) && blk_tray_is_open(b)) {
        blk_tray_move(b, true);
    }
    return true;
}

static MACHINE_CALL bool tray_ready(const BlkBackend *b)
{
    return !blk_has_tray(b) || blk_tray_is_open(b);
}

static MACHINE_CALL bool medium_remove(BlkBackend *b, const char *what,
                                       Error **errp)
{
    if (!removable(b, what, errp)) {
        return false;
    }
    if (!tray_ready(b)) {
        return error_set(errp, "Tray of device '%s' is not open", what);
    }
    if (b->node) {
        blk_eject_quietly(b);
        if (!blk_has_tray(b)) {
            blk_tray_move(b, false);
        }
    }
    return true;
}

static MACHINE_CALL bool medium_insert(BlkBackend *b, const char *what,
                                       BlkNode *n, Error **errp)
{
    if (!removable(b, what, errp)) {
        return false;
    }
    if (!tray_ready(b)) {
        return error_set(errp, "Tray of the device is not open");
    }
    if (b->node) {
        return error_set(errp, "There already is a medium in device '%s'",
                         what);
    }
    if (!blk_insert_quietly(b, n, errp)) {
        return false;
    }
    if (!blk_has_tray(b)) {
        blk_tray_move(b, true);
    }
    return true;
}

bool cmd_blockdev_remove_medium(const void *arg, void *ret, Error **errp)
{
    const BlockdevRemoveMediumArg *a = arg;
    BlkBackend *b = blk_lookup(NULL, a->id, errp);

    return b && medium_remove(b, a->id, errp);
}

bool cmd_blockdev_insert_medium(const void *arg, void *ret, Error **errp)
{
    const BlockdevInsertMediumArg *a = arg;
    BlkBackend *b = blk_lookup(NULL, a->id, errp);
    BlkNode *n;

    if (!b) {
        return false;
    }
    n = blk_node_find(a->node_name);
    if (!n) {
        return error_set(errp, "Node '%s' not found", a->node_name);
    }
    for (BlkParent *p = n->parents; p; p = p->next) {
        if (p->blk) {
            return error_set(errp, "Node '%s' is already in use",
                             a->node_name);
        }
    }
    return medium_insert(b, a->id, n, errp);
}

bool cmd_eject(const void *arg, void *ret, Error **errp)
{
    const EjectArg *a = arg;
    BlkBackend *b = blk_lookup(a->device, a->id, errp);
    const char *what = name_of(a->device, a->id);
    bool stay;

    if (!b || !tray_open(b, what, a->has_force && a->force, &stay, errp)) {
        return false;
    }
    if (stay && blk_has_tray(b)) {
        return error_set(errp, "Device '%s' is locked and force was not "
                         "specified, wait for tray to open and try again",
                         what);
    }
    return medium_remove(b, what, errp);
}

/* ---- another image ------------------------------------------------------- */

static MACHINE_CALL BlkNode *medium_open(const BlkBackend *b,
                                         const BlockdevChangeMediumArg *a,
                                         Error **errp)
{
    bool ro = b->node ? b->node->read_only : b->empty_ro;
    Json *opts;
    BlkNode *n;

    if (a->has_read_only_mode) {
        ro = a->read_only_mode == BLOCKDEV_CHANGE_READ_ONLY_MODE_READ_ONLY
            ? true : a->read_only_mode ==
              BLOCKDEV_CHANGE_READ_ONLY_MODE_READ_WRITE ? false : ro;
    }
    opts = json_obj();
    if (a->format) {
        json_set_str(opts, "driver", a->format);
    }
    n = blk_open(a->filename, opts, (ro ? 0 : BLKO_RDWR) |
                 (b->node ? b->node->flags & (BLKO_DIRECT | BLKO_NO_FLUSH)
                          : 0) | BLKO_AUTO_RDONLY, errp);
    json_free(opts);
    return n;
}

bool cmd_blockdev_change_medium(const void *arg, void *ret, Error **errp)
{
    const BlockdevChangeMediumArg *a = arg;
    BlkBackend *b = blk_lookup(a->device, a->id, errp);
    const char *what = name_of(a->device, a->id);
    BlkNode *n;
    bool stay, ok;

    if (!b) {
        return false;
    }
    n = medium_open(b, a, errp);
    if (!n) {
        return false;
    }
    ok = tray_open(b, what, a->has_force && a->force, &stay, errp);
    if (ok && stay && blk_has_tray(b)) {
        ok = error_set(errp, "Device '%s' is locked and force was not "
                       "specified, wait for tray to open and try again", what);
    }
    ok = ok && medium_remove(b, what, errp) &&
         medium_insert(b, what, n, errp);
    blk_node_unref(n);
    if (ok && blk_has_tray(b)) {
        blk_tray_move(b, true);
    }
    return ok;
}
