/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * drive-ref.c - a device's property "drive": the id of a -drive or the name of a
 * node.
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. A backend has one device; a node may have several backends, as far as their
 *    permissions allow.
 */
#include <glib.h>
#include "block/driver.h"

static void *drive_claim(Obj *owner, const char *prop, const char *id,
                         Error **errp)
{
    BlkBackend *b;
    BlkNode *n;
    Drive *d;

    machine_assert_locked();
    b = blk_find(id);
    if (!b) {
        n = blk_node_find(id);
        if (!n) {
            error_set(errp, "Property '%s.%s' can't find value '%s'",
                      obj_type(owner), prop, id);
            return NULL;
        }
        b = blk_new(NULL);
        if (!blk_insert(b, n, errp)) {
            blk_unref(b);
            return NULL;
        }
        blk_dev_claim(b, owner);
        return b;
    }
    d = drive_of(b);
    if (blk_dev(b)) {
        error_set(errp, d && d->claimed
                  ? "Drive '%s' is already in use because it has been "
                    "automatically connected to another device (did you need "
                    "'if=none' in the drive options?)"
                  : "Drive '%s' is already in use by another device", id);
        return NULL;
    }
    blk_dev_claim(b, owner);
    blk_ref(b);
    return b;
}

static void drive_release(Obj *owner, void *target)
{
    machine_assert_locked();
    blk_detach_dev(target);
    blk_unref(target);
}

static const char *drive_id(const void *target)
{
    BlkBackend *b = (BlkBackend *)(uintptr_t)target;
    const char *name = blk_name(b);

    return name[0] || !blk_root(b) ? name : blk_node_name(blk_root(b));
}

const PropRef prop_ref_drive = {
    .type = "str", .claim = drive_claim, .release = drive_release,
    .id = drive_id,
};
