/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2-resize.c - the size of the disk and what goes with it; emptying an image;
 * the name of its backing file.
 *
 * Thread class: MACHINE_CALL, the node drained.
 *
 * Invariants
 * 1. Growing: space and tables first, the header's size last. Shrinking: what
 *    lies behind is given up first.
 */
#include "block/bitmap.h"
#include "block/qcow2-create.h"

static uint64_t l1_entries(const Qcow2 *s, uint64_t size)
{
    return size / q2_l1_covers(s) + !!(size % q2_l1_covers(s));
}

static int size_write(Qcow2 *s, uint64_t size)
{
    uint64_t old = s->disk_size, l1 = l1_entries(s, size);
    int ret;

    q2_lock(s);
    ret = q2_l1_grow(s, l1);
    ret = ret < 0 ? ret : q2_flush(s);
    if (ret >= 0) {
        s->disk_size = size;
        ret = q2_header_turn(s);
        if (ret < 0) {
            s->disk_size = old;
            q2_header_back(s);
        }
    }
    if (ret >= 0) {
        s->vm_state_off = l1 * q2_l1_covers(s);
        s->node.length = ALIGN_UP(size, 512);
    }
    q2_unlock(s);
    return ret;
}

/* Zeroes where the old last cluster goes on behind the old end. */
static int clear_tail(Qcow2 *s, uint64_t old, uint64_t size)
{
    uint64_t end = MIN2(ALIGN_UP(old, s->cluster_size), size);

    if (end <= old) {
        return 0;
    }
    /* What lies there is part of a cluster: it is written where allocated, and
     * hidden where the backing file would show through. */
    return q2_zero_or_write(s, old, end - old);
}

static MACHINE_CALL bool grow(Qcow2 *s, uint64_t size, BlkPrealloc prealloc,
                              Error **errp)
{
    uint64_t old = s->disk_size, first = ALIGN_UP(old, s->cluster_size);
    BlkNode *b = s->node.backing;
    int ret = size_write(s, size);

    ret = ret < 0 ? ret : clear_tail(s, old, size);
    /* A longer backing file must not show what was never there. */
    if (ret >= 0 && b && b->length > first && !prealloc) {
        ret = q2_zero_or_write(s, first,
                               MIN2(b->length, size) - first);
    }
    if (ret >= 0 && s->data_ext && s->data_raw && s->data->length < size &&
        !blk_node_truncate(s->data, size, PREALLOC_OFF, false, errp)) {
        return false;
    }
    if (ret < 0) {
        return error_set_errno(errp, -ret, "Failed to grow the L1 table");
    }
    return (!prealloc && !s->data_raw) || size <= first ||
           q2_prealloc_range(s, first, size - first,
                             prealloc ? prealloc : PREALLOC_METADATA, errp);
}

static MACHINE_CALL bool shrink(Qcow2 *s, uint64_t size, Error **errp)
{
    uint64_t first = ALIGN_UP(size, s->cluster_size);
    uint64_t end = ALIGN_UP(s->disk_size, s->cluster_size);
    int ret;

    q2_event(s, "l1_shrink_free_l2_clusters");
    ret = first < end ? q2_discard(s, first, end - first, true) : 0;

    ret = ret < 0 ? ret : size_write(s, size);
    if (ret < 0) {
        return error_set_errno(errp, -ret, "Failed to discard cropped clusters");
    }
    return true;
}

/* Those that are stored must be ones that can follow. */
static MACHINE_CALL bool bitmaps_ok(const Qcow2 *s, Error **errp)
{
    if (s->bitmaps && !s->bitmaps_loaded) {
        return error_set(errp, "Can't resize an image which has bitmaps");
    }
    for (const BlkBitmap *b = s->node.bitmaps; b; b = b->next) {
        if (!b->persistent || !(b->busy || b->read_only || b->inconsistent)) {
            continue;
        }
        return error_set(errp, b->busy
                         ? "Bitmap '%s' is currently in use by another "
                           "operation and cannot be used"
                         : b->read_only
                         ? "Bitmap '%s' is readonly and cannot be modified"
                         : "Bitmap '%s' is inconsistent and cannot be used",
                         b->name);
    }
    return true;
}

bool q2_truncate(BlkNode *n, uint64_t size, BlkPrealloc prealloc, bool exact,
                 Error **errp)
{
    Qcow2 *s = q2_of(n);

    if (size % 512) {
        return error_set(errp, "The new size must be a multiple of %d", 512);
    }
    if (s->n_snaps && s->version < 3) {
        return error_set(errp, "Can't resize a v2 image which has snapshots");
    }
    if (!bitmaps_ok(s, errp)) {
        return false;
    }
    if (l1_entries(s, size) > Q2_L1_BYTES_MAX / 8) {
        error_set_errno(errp, EFBIG, "Failed to grow the L1 table");
        error_hint(errp, "A larger cluster size would do.");
        return false;
    }
    if (size < s->disk_size) {
        if (prealloc) {
            return error_set(errp, "Preallocation can't be used for shrinking "
                             "an image");
        }
        return shrink(s, size, errp);
    }
    return size == s->disk_size || grow(s, size, prealloc, errp);
}

int q2_make_empty(BlkNode *n)
{
    Qcow2 *s = q2_of(n);
    int ret;

    q2_event(s, "empty_image_prepare");
    ret = q2_discard(s, 0, ALIGN_UP(s->disk_size, s->cluster_size), true);

    if (ret >= 0) {
        q2_lock(s);
        ret = q2_flush(s);
        q2_unlock(s);
    }
    return ret;
}

bool q2_set_backing(BlkNode *n, const char *file, const char *fmt, Error **errp)
{
    Qcow2 *s = q2_of(n);
    char *old = n->backing_name, *old_fmt = n->backing_format;
    int ret;

    if (file && s->data_raw) {
        return error_set(errp, "Cannot set a backing file for an image with a "
                         "raw external data file");
    }
    if (file && strlen(file) > 1023) {
        return error_set(errp, "Backing file name too long");
    }
    n->backing_name = g_strdup(file);
    n->backing_format = g_strdup(file ? fmt : NULL);
    q2_lock(s);
    ret = q2_header_write(s);
    q2_unlock(s);
    if (ret < 0) {
        g_free(n->backing_name);
        g_free(n->backing_format);
        n->backing_name = old;
        n->backing_format = old_fmt;
        return error_set_errno(errp, -ret, "Could not write the backing file's "
                               "name");
    }
    g_free(old);
    g_free(old_fmt);
    return true;
}
