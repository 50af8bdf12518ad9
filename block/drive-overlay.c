/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * drive-overlay.c - snapshot=on: writes go to a temporary image that vanishes with
 * the program.
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. The temporary file has no name from the end of opening on.
 */
#include <glib.h>
#include <unistd.h>
#include "block/drive.h"

static MACHINE_CALL BlkNode *overlay_open(const char *path, BlkNode *base,
                                          unsigned rdwr, Error **errp)
{
    Json *opts = json_obj(), *file = json_obj(), *cache = json_obj();

    json_set_str(file, "driver", "file");
    json_set_str(file, "filename", path);
    json_set_bool(cache, "no-flush", true);
    json_set_str(opts, "driver", "qcow2");
    json_set(opts, "file", file);
    json_set(opts, "cache", cache);
    json_set_str(opts, "backing", base->name);
    if (base->discard) {
        json_set_str(opts, "discard", "unmap");
    }
    return blk_node_open(opts, false, rdwr | BLKO_UNMAP, errp);
}

BlkNode *drive_overlay(BlkNode *n, unsigned rdwr, Error **errp)
{
    const char *dir = getenv("TMPDIR");
    g_autofree char *path = g_strdup_printf("%s/vl.XXXXXX",
                                            dir ? dir : "/var/tmp");
    BlkNode *top = NULL;
    int fd;

    if (!blk_driver_find("qcow2")) {
        error_set(errp, "snapshot=on: temporary overlays need the qcow2 "
                  "format, which this program does not have");
        error_hint(errp, "Copy the image, or use readonly=on.");
        blk_node_unref(n);
        return NULL;
    }
    fd = g_mkstemp(path);
    if (fd < 0) {
        error_set_errno(errp, errno, "Could not get temporary filename");
        blk_node_unref(n);
        return NULL;
    }
    close(fd);
    if (blk_image_create(path, "qcow2", NULL, false, n->length, errp)) {
        top = overlay_open(path, n, rdwr, errp);
    }
    unlink(path);
    blk_node_unref(n);
    return top;
}
