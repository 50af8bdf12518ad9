/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * convert-bitmap.c - `convert --bitmaps`: the dirty bitmaps that the source stores
 * come into the target.
 *
 * Thread class: MACHINE_CALL.
 */
#include "block/bitmap.h"
#include "tools/convert.h"

bool bitmaps_check(BlkNode *from, bool skip_broken)
{
    if (!from->drv->bitmaps) {
        error_reportf("Source lacks bitmap support");
        return false;
    }
    for (BlkBitmap *b = from->bitmaps; b; b = b->next) {
        if (b->persistent && b->inconsistent && !skip_broken) {
            error_reportf("Cannot copy inconsistent bitmap '%s'\n"
                          "Try --skip-broken-bitmaps, or use 'qemu-img bitmap "
                          "--remove' to delete it", b->name);
            return false;
        }
    }
    return true;
}

bool bitmaps_fit(BlkNode *to)
{
    const BlkBitmapOps *ops = to->drv->bitmaps;

    /* An image of an older version cannot hold even the smallest. */
    return ops && ops->can_store(to, "b", 1u << 31, NULL);
}

static MACHINE_CALL bool copy_one(const BlkBitmap *b, BlkNode *to)
{
    Error *err = NULL;
    BlkBitmap *made = blk_bitmap_add(to, b->name, b->granularity, true,
                                     to->name, &err);

    if (!made) {
        error_prepend(&err, "Failed to create bitmap %s: ", b->name);
    } else {
        made->enabled = b->enabled;
        if (!blk_bitmap_merge_checked(made, b, &err)) {
            error_prepend(&err, "Failed to populate bitmap %s: ", b->name);
            blk_bitmap_free(to, made);
        }
    }
    if (err) {
        error_report(err);
        return false;
    }
    return true;
}

bool bitmaps_copy(BlkNode *from, BlkNode *to)
{
    for (BlkBitmap *b = from->bitmaps; b; b = b->next) {
        if (b->persistent && b->inconsistent) {
            warn_report("Skipping inconsistent bitmap '%s'", b->name);
        } else if (b->persistent && !copy_one(b, to)) {
            return false;
        }
    }
    return true;
}
