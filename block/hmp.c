/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hmp.c - block commands of the monitor for people.
 *
 * Thread class: MACHINE_CALL.
 */
#include <glib.h>
#include "block/commands.h"
#include "block/image-text.h"
#include "opt.h"

static void complain(Error *err)
{
    if (err) {
        error_prepend(&err, "Error: ");
        mon_printf("%s\n", error_text(err));
        mon_puts(error_hint_text(err));
        error_free(err);
    }
}

/* ---- info block ---------------------------------------------------------- */

static void limits_print(const BlockDeviceInfo *i)
{
    if (!(i->bps || i->bps_rd || i->bps_wr || i->iops || i->iops_rd ||
          i->iops_wr)) {
        return;
    }
    mon_printf("    I/O throttling:   bps=%" PRId64 " bps_rd=%" PRId64
               " bps_wr=%" PRId64 " bps_max=%" PRId64 " bps_rd_max=%" PRId64
               " bps_wr_max=%" PRId64 " iops=%" PRId64 " iops_rd=%" PRId64
               " iops_wr=%" PRId64 " iops_max=%" PRId64 " iops_rd_max=%" PRId64
               " iops_wr_max=%" PRId64 " iops_size=%" PRId64 " group=%s\n",
               i->bps, i->bps_rd, i->bps_wr, i->bps_max, i->bps_rd_max,
               i->bps_wr_max, i->iops, i->iops_rd, i->iops_wr, i->iops_max,
               i->iops_rd_max, i->iops_wr_max, i->iops_size,
               i->group ? i->group : "");
}

static void snapshots_print(const SnapshotInfoList *l)
{
    g_autofree BlkSnapshot *v = g_new0(BlkSnapshot, l->n);
    g_autoptr(GString) text = g_string_new(NULL);

    for (size_t i = 0; i < l->n; i++) {
        const SnapshotInfo *s = &l->v[i];

        g_strlcpy(v[i].id, s->id, sizeof(v[i].id));
        g_strlcpy(v[i].name, s->name, sizeof(v[i].name));
        v[i].vm_state_size = (uint64_t)s->vm_state_size;
        v[i].date_s = s->date_sec;
        v[i].vm_clock_ns = (uint64_t)s->vm_clock_sec * NS_PER_S +
                           (uint64_t)s->vm_clock_nsec;
        v[i].icount = s->has_icount ? (uint64_t)s->icount : UINT64_MAX;
    }
    blk_snapshots_text(text, v, (int)l->n);
    mon_puts(text->str);
}

static void specific_print(const Json *v)
{
    g_autoptr(GString) text = g_string_new("Format specific information:\n");

    blk_specific_text(text, json_get(v, "data"), 1);
    mon_puts(text->str);
}

static void image_print(const ImageInfo *i)
{
    g_autofree char *virtual = blk_size_text((uint64_t)i->virtual_size);
    g_autofree char *actual = blk_size_text((uint64_t)i->actual_size);

    mon_printf("image: %s\nfile format: %s\n", i->filename, i->format);
    mon_printf("virtual size: %s (%" PRId64 " bytes)\n", virtual,
               i->virtual_size);
    mon_printf("disk size: %s\n", i->has_actual_size ? actual
                                                     : "unavailable");
    if (i->has_encrypted && i->encrypted) {
        mon_printf("encrypted: yes\n");
    }
    if (i->has_cluster_size) {
        mon_printf("cluster_size: %" PRId64 "\n", i->cluster_size);
    }
    if (i->has_dirty_flag && i->dirty_flag) {
        mon_printf("cleanly shut down: no\n");
    }
    if (i->backing_filename) {
        mon_printf("backing file: %s\n", i->backing_filename);
        if (i->backing_filename_format) {
            mon_printf("backing file format: %s\n",
                       i->backing_filename_format);
        }
    }
    if (i->has_snapshots) {
        snapshots_print(&i->snapshots);
    }
    if (i->has_format_specific) {
        specific_print(i->format_specific.obj);
    }
}

static void inserted_print(const BlockDeviceInfo *i, bool verbose)
{
    mon_printf("    Cache mode:       %s%s%s\n",
               i->cache.writeback ? "writeback" : "writethrough",
               i->cache.direct ? ", direct" : "",
               i->cache.no_flush ? ", ignore flushes" : "");
    if (i->backing_file) {
        mon_printf("    Backing file:     %s (chain depth: %" PRId64 ")\n",
                   i->backing_file, i->backing_file_depth);
    }
    if (i->detect_zeroes) {
        mon_printf("    Detect zeroes:    %s\n", i->detect_zeroes == 1 ? "on"
                                                                       : "unmap");
    }
    limits_print(i);
    if (verbose) {
        mon_printf("\nImages:\n");
        for (const ImageInfo *k = &i->image; k; k = k->backing_image) {
            image_print(k);
        }
    }
}

static void name_print(const char *device, const BlockDeviceInfo *i)
{
    if (!i) {
        mon_printf("%s: [not inserted]\n", device);
        return;
    }
    if (i->node_name && (!device || strcmp(device, i->node_name))) {
        mon_printf(device ? "%s (%s)" : "%s%s", device ? device : "",
                   i->node_name);
    } else {
        mon_printf("%s", device);
    }
    mon_printf(": %s (%s%s%s)\n", i->file, i->drv, i->ro ? ", read-only" : "",
               i->encrypted ? ", encrypted" : "");
}

static void device_print(const BlockInfo *b, bool verbose)
{
    const char *dev = b->device && b->device[0] ? b->device : NULL;
    const BlockDeviceInfo *i = b->inserted;

    name_print(dev || i ? dev : "", i);
    if (b->qdev) {
        mon_printf("    Attached to:      %s\n", b->qdev);
    }
    if (b->has_io_status && b->io_status) {
        mon_printf("    I/O status:       %s\n",
                   b->io_status == BLOCK_DEVICE_IO_STATUS_FAILED ? "failed"
                                                                 : "nospace");
    }
    if (b->removable) {
        mon_printf("    Removable device: %slocked, tray %s\n",
                   b->locked ? "" : "not ", b->tray_open ? "open" : "closed");
    }
    if (i) {
        inserted_print(i, verbose);
    }
}

static MACHINE_CALL bool nodes_print(const char *device, bool verbose)
{
    QueryNamedBlockNodesArg a = { 0 };
    BlockDeviceInfoList l = { 0 };
    bool any = false;

    cmd_query_named_block_nodes(&a, &l, NULL);
    for (size_t i = 0; i < l.n; i++) {
        if (!device || !strcmp(device, l.v[i].node_name)) {
            if (any) {
                mon_printf("\n");
            }
            name_print(NULL, &l.v[i]);
            inserted_print(&l.v[i], verbose);
            any = true;
        }
    }
    schema_free(&qt_BlockDeviceInfoList, &l);
    return any;
}

static bool flag(const Json *args, const char *name)
{
    const Json *v = json_get(args, name);

    return v && json_kind(v) == JSON_BOOL && json_bool_of(v);
}

void hmp_info_block(const Json *args)
{
    const char *device = json_get_str(args, "device");
    bool verbose = flag(args, "verbose"), any = false;
    BlockInfoList l = { 0 };

    machine_assert_locked();
    if (flag(args, "nodes")) {
        nodes_print(device, verbose);
        return;
    }
    cmd_query_block(NULL, &l, NULL);
    for (size_t i = 0; i < l.n; i++) {
        if (!device || !strcmp(device, l.v[i].device)) {
            if (i) {
                mon_printf("\n");
            }
            device_print(&l.v[i], verbose);
            any = true;
        }
    }
    schema_free(&qt_BlockInfoList, &l);
    if (device && !any) {
        nodes_print(device, verbose);
    }
}

/* ---- acting -------------------------------------------------------------- */

void hmp_eject(const Json *args)
{
    EjectArg a = { .device = (char *)(uintptr_t)json_get_str(args, "device"),
                   .has_force = true, .force = flag(args, "force") };
    Error *err = NULL;

    machine_assert_locked();
    cmd_eject(&a, NULL, &err);
    complain(err);
}

/* Only programs with a display have it. */
extern __typeof__(cmd_change_vnc_password) cmd_change_vnc_password
    __attribute__((weak));

static void change_vnc(const char *target, const char *value)
{
    ChangeVncPasswordArg a = { (char *)(uintptr_t)(value ? value : "") };
    Error *err = NULL;

    machine_assert_locked();
    if (strcmp(target, "password") && strcmp(target, "passwd")) {
        error_set(&err, "Expected 'password' after 'vnc'");
    } else if (!cmd_change_vnc_password) {
        error_set(&err, "no VNC display");
    } else {
        cmd_change_vnc_password(&a, NULL, &err);
    }
    complain(err);
}

void hmp_change(const Json *args)
{
    BlockdevChangeMediumArg a = {
        .device = (char *)(uintptr_t)json_get_str(args, "device"),
        .filename = (char *)(uintptr_t)json_get_str(args, "target"),
        .format = (char *)(uintptr_t)json_get_str(args, "arg"),
        .has_force = true, .force = flag(args, "force"),
    };
    const char *mode = json_get_str(args, "read-only-mode");
    Error *err = NULL;
    int m = mode ? schema_enum(&qt_BlockdevChangeReadOnlyMode, mode) : 0;

    machine_assert_locked();
    if (!strcmp(a.device, "vnc")) {
        change_vnc(a.filename, a.format);
        return;
    }
    if (m < 0) {
        error_set(&err, "invalid parameter value: %s", mode);
    } else {
        a.has_read_only_mode = mode != NULL;
        a.read_only_mode = (BlockdevChangeReadOnlyMode)m;
        cmd_blockdev_change_medium(&a, NULL, &err);
    }
    complain(err);
}

static int64_t number(const Json *args, const char *name)
{
    const Json *v = json_get(args, name);

    return v && json_kind(v) == JSON_INT ? json_int_of(v) : 0;
}

void hmp_block_set_io_throttle(const Json *args)
{
    const char *device = json_get_str(args, "device");
    BlockIOThrottle t = {
        .bps = number(args, "bps"), .bps_rd = number(args, "bps_rd"),
        .bps_wr = number(args, "bps_wr"), .iops = number(args, "iops"),
        .iops_rd = number(args, "iops_rd"), .iops_wr = number(args, "iops_wr"),
    };
    Error *err = NULL;

    machine_assert_locked();
    if (blk_find(device)) {
        t.device = (char *)(uintptr_t)device;
    } else {
        t.id = (char *)(uintptr_t)device;
    }
    cmd_block_set_io_throttle(&t, NULL, &err);
    complain(err);
}

void hmp_snapshot_delete_blkdev_internal(const Json *args)
{
    BlockdevSnapshotDeleteInternalSyncArg a = {
        .device = (char *)(uintptr_t)json_get_str(args, "device"),
        .name = (char *)(uintptr_t)json_get_str(args, "name"),
        .id = (char *)(uintptr_t)json_get_str(args, "id"),
    };
    SnapshotInfo s = { 0 };
    Error *err = NULL;

    machine_assert_locked();
    cmd_blockdev_snapshot_delete_internal_sync(&a, &s, &err);
    schema_free(&qt_SnapshotInfo, &s);
    complain(err);
}

static MACHINE_CALL void node_add(const char *text)
{
    Error *err = NULL;
    Opts o;

    if (opts_parse(&o, text, NULL, OPT_FLAT, &err)) {
        if (!json_get(o.obj, "node-name")) {
            error_set(&err, "'node-name' needs to be specified");
        } else {
            blk_blockdev_add(o.obj, true, &err);
        }
        opts_free(&o);
    }
    if (err) {
        error_report(err);
    }
}

void hmp_drive_add(const Json *args)
{
    const char *opts = json_get_str(args, "opts");
    Error *err = NULL;
    Drive *d;

    machine_assert_locked();
    if (flag(args, "node")) {
        node_add(opts ? opts : "");
        return;
    }
    d = drive_add(opts ? opts : "", IF_NONE, NULL, &err);
    if (d && d->type != IF_NONE) {
        mon_printf("Can't hot-add drive to type %d\n", d->type);
        if (blk_has_medium(d->blk)) {
            blk_eject_quietly(d->blk);
        }
        drive_forget(d->blk);
    } else if (d) {
        mon_printf("OK\n");
    } else {
        error_report(err);
    }
}

void hmp_drive_del(const Json *args)
{
    const char *id = json_get_str(args, "id");
    BlkBackend *b;
    Error *err = NULL;

    machine_assert_locked();
    b = blk_find(id);
    if (!b && blk_node_find(id)) {
        BlockdevDelArg a = { .node_name = (char *)(uintptr_t)id };

        cmd_blockdev_del(&a, NULL, &err);
    } else if (!b) {
        error_set(&err, "Device '%s' not found", id);
    }
    if (!b) {
        if (err) {
            error_report(err);
        }
        return;
    }
    if (b->node) {
        blk_eject_quietly(b);
    }
    if (b->dev) {
        blk_on_error(b, BLKA_REPORT, BLKA_REPORT);     /* nobody can retry    */
    }
    drive_forget(b);
}
