/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hmp-snapshots.c - info snapshots and delvm: the snapshots inside images of all
 * disks at once. One that every disk has is whole; of others, the disk that has
 * them is named.
 *
 * Thread class: MACHINE_CALL.
 */
#include <glib.h>
#include "block/commands.h"
#include "block/image-text.h"

typedef struct Disk {                  /* one that has room for snapshots     */
    const char *name;
    BlkSnapshot *v;
    int n;
} Disk;

static void disk_clear(void *p)
{
    g_free(((Disk *)p)->v);
}

static const char *name_of(const BlkBackend *b)
{
    return *b->name ? b->name : b->node->name;
}

static GArray *disks(void) MACHINE_CALL;
static GArray *disks(void)
{
    GArray *list = g_array_new(FALSE, TRUE, sizeof(Disk));

    g_array_set_clear_func(list, disk_clear);
    for (BlkBackend *b = blk_next(NULL); b; b = blk_next(b)) {
        Disk d = { .name = b->node ? name_of(b) : NULL };

        if (b->node && !b->node->read_only && b->node->drv->snapshots) {
            d.n = MAX2(b->node->drv->snapshots->list(b->node, &d.v), 0);
            g_array_append_val(list, d);
        }
    }
    return list;
}

static bool has(const Disk *d, const char *name)
{
    for (int i = 0; i < d->n; i++) {
        if (!strcmp(d->v[i].name, name)) {
            return true;
        }
    }
    return false;
}

/* Whether all disks have the snapshot of that name. */
static bool whole(const GArray *list, const char *name)
{
    for (guint i = 0; i < list->len; i++) {
        if (!has(&g_array_index(list, Disk, i), name)) {
            return false;
        }
    }
    return true;
}

/* Those of d that are whole, or that are not. */
static GArray *choose(const GArray *list, const Disk *d, bool want)
{
    GArray *rows = g_array_new(FALSE, FALSE, sizeof(BlkSnapshot));

    for (int i = 0; i < d->n; i++) {
        BlkSnapshot s = d->v[i];

        if (whole(list, s.name) == want) {
            if (want) {
                strcpy(s.id, "--");    /* each disk has its own               */
            }
            g_array_append_val(rows, s);
        }
    }
    return rows;
}

static void print_rows(const char *head, GArray *rows)
{
    g_autoptr(GString) text = g_string_new(NULL);

    blk_snapshots_text(text, (BlkSnapshot *)(void *)rows->data, (int)rows->len);
    mon_printf("%s%s", head, strchr(text->str, '\n') + 1);
}

void hmp_info_snapshots(const Json *args)
{
    g_autoptr(GArray) list = disks();
    guint any = 0;

    for (guint i = 0; i < list->len; i++) {
        any += (guint)g_array_index(list, Disk, i).n;
    }
    if (!list->len) {
        mon_puts("no block device can store vmstate for snapshot\n");
        return;
    }
    if (!any) {
        mon_puts("There is no snapshot available.\n");
        return;
    }
    for (guint i = 0; i <= list->len; i++) {
        const Disk *d = &g_array_index(list, Disk, i ? i - 1 : 0);
        g_autoptr(GArray) rows = choose(list, d, !i);
        g_autofree char *head = i ? g_strdup_printf(
            "\nList of partial (non-loadable) snapshots on '%s':\n", d->name)
            : g_strdup("List of snapshots present on all disks:\n");

        if (rows->len) {
            print_rows(head, rows);
        } else if (!i) {
            mon_printf("%sNone\n", head);
        }
    }
}

void hmp_delvm(const Json *args)
{
    const char *name = json_get_str(args, "name");

    for (BlkBackend *b = blk_next(NULL); b; b = blk_next(b)) {
        if (b->node && !b->node->read_only && !b->node->drv->snapshots) {
            mon_printf("Error: Device '%s' is writable but does not support "
                       "snapshots\n", name_of(b));
            return;
        }
    }
    g_autoptr(GArray) list = disks();
    for (guint i = 0; i < list->len; i++) {
        const Disk *d = &g_array_index(list, Disk, i);
        BlockdevSnapshotDeleteInternalSyncArg a = {
            .device = (char *)(uintptr_t)d->name,
            .name = (char *)(uintptr_t)name,
        };
        SnapshotInfo s = { 0 };
        Error *err = NULL;

        if (has(d, name) &&
            !cmd_blockdev_snapshot_delete_internal_sync(&a, &s, &err)) {
            mon_printf("Error: %s\n", error_text(err));
            error_free(err);
            return;
        }
        schema_free(&qt_SnapshotInfo, &s);
    }
}
