/* SPDX-License-Identifier: GPL-2.0-or-later */
/* img-snapshot.c - `snapshot`: those inside an image. MACHINE_CALL. */
#include "tools/img-info.h"

typedef struct SnapshotArgs {
    ImgArgs base;
    bool list;
    const char *apply, *create, *del;
} SnapshotArgs;
#define AT(f) offsetof(SnapshotArgs, f)

static const ToolOpt snapshot_opts[] = {
    { NULL, 'l', TK_FLAG, 0, AT(list), NULL, "Lists them; the default." },
    { NULL, 'a', TK_STR, 0, AT(apply), "snapshot",
      "The image becomes what it was." },
    { NULL, 'c', TK_STR, 0, AT(create), "snapshot", "Makes one." },
    { NULL, 'd', TK_STR, 0, AT(del), "snapshot", "Removes one." },
    { .name = NULL }
};

static int list_of(BlkNode *n, BlkSnapshot **list)
{
    *list = NULL;
    return n->drv->snapshots ? n->drv->snapshots->list(n, list) : -ENOTSUP;
}

static MACHINE_CALL int snapshot_list(BlkNode *n)
{
    BlkSnapshot *list;
    int count = list_of(n, &list);

    if (count > 0) {
        img_snapshots_print(list, count);
    }
    g_free(list);
    return 0;
}

static MACHINE_CALL int snapshot_create(BlkNode *n, const char *name)
{
    BlkSnapshot s = { .icount = UINT64_MAX };
    struct timespec now;
    Error *err = NULL;
    int ret = -ENOTSUP;

    clock_gettime(CLOCK_REALTIME, &now);
    g_strlcpy(s.name, name, sizeof(s.name));
    s.date_s = now.tv_sec;
    s.date_ns = (uint32_t)(now.tv_nsec / 1000 * 1000);
    s.icount = 0;
    if (n->drv->snapshots && n->drv->snapshots->create) {
        ret = n->drv->snapshots->create(n, &s, &err);
    }
    if (ret < 0) {
        error_free(err);
        error_reportf("Could not create snapshot '%s': %d (%s)", name, ret,
                      strerror(-ret));
    }
    return ret < 0;
}

/* By id, else (either) by name. */
static bool snapshot_find(BlkNode *n, const char *text, bool by_id,
                          BlkSnapshot *found)
{
    BlkSnapshot *list;
    int count = list_of(n, &list);
    bool hit = false;

    for (int pass = by_id ? 0 : 1; pass < 2 && !hit; pass++) {
        for (int i = 0; i < count && !hit; i++) {
            hit = !strcmp(pass ? list[i].name : list[i].id, text);
            if (hit) {
                *found = list[i];
            }
        }
    }
    g_free(list);
    return hit;
}

static MACHINE_CALL int snapshot_apply(BlkNode *n, const char *name)
{
    Error *err = NULL;
    BlkSnapshot s;
    int ret;

    if (!n->drv->snapshots || !n->drv->snapshots->go) {
        error_set(&err, "Block driver does not support snapshots");
    } else if (!snapshot_find(n, name, true, &s)) {
        error_set_errno(&err, ENOENT, "Failed to load snapshot");
    } else {
        ret = n->drv->snapshots->go(n, s.id, &err);
        if (ret < 0 && !err) {
            error_set_errno(&err, -ret, "Failed to load snapshot");
        }
    }
    if (err) {
        error_prepend(&err, "Could not apply snapshot '%s': ", name);
        error_report(err);
    }
    return err != NULL;
}

static MACHINE_CALL int snapshot_delete(BlkNode *n, const char *name)
{
    Error *err = NULL;
    BlkSnapshot s;
    int ret;

    if (!snapshot_find(n, name, false, &s)) {
        error_reportf("Could not delete snapshot '%s': snapshot not found",
                      name);
        return 1;
    }
    ret = n->drv->snapshots->del(n, s.id, s.name, &err);
    if (ret < 0) {
        if (!err) {
            error_set_errno(&err, -ret, "Failed to remove it");
        }
        error_prepend(&err, "Could not delete snapshot '%s': ", name);
        error_report(err);
    }
    return ret < 0;
}

static MACHINE_CALL int snapshot_run(const ImgCmd *cmd, int argc, char **argv)
{
    SnapshotArgs a = { 0 };
    ToolOpen o = { 0 };
    BlkBackend *b;
    int at, status;

    if (!img_args(cmd, argc, argv, &a, &at, &status)) {
        return status;
    }
    if (a.list + !!a.apply + !!a.create + !!a.del > 1) {
        return tool_usage_error("Cannot mix '-l', '-a', '-c', '-d'");
    }
    if (at + 1 != argc) {
        return tool_usage_error("Expecting one image file name");
    }
    o.format = a.base.fmt;
    o.image_opts = a.base.image_opts;
    o.share = a.base.share;
    if (a.apply || a.create || a.del) {
        o.flags = BLKO_RDWR | BLKO_UNMAP;
    }
    b = tool_open(argv[at], &o);
    if (!b) {
        return 1;
    }
    if (a.create) {
        status = snapshot_create(blk_root(b), a.create);
    } else if (a.apply) {
        status = snapshot_apply(blk_root(b), a.apply);
    } else if (a.del) {
        status = snapshot_delete(blk_root(b), a.del);
    } else {
        status = snapshot_list(blk_root(b));
    }
    tool_close(b);
    return status;
}

IMG_CMD(img_snapshot, {
    .name = "snapshot", .operands = "filename",
    .summary = "Lists, makes, applies and removes snapshots inside an image.",
    .tables = { img_opt_help, img_opt_object, img_opt_image_opts, img_opt_share,
                img_opt_quiet, img_opt_fmt, snapshot_opts, NULL },
    .run = snapshot_run,
});
