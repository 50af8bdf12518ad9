/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd-yank.c - query-yank and yank.
 *
 * Thread class: ANY_THREAD, for both may be sent out of band.
 */
#include <glib.h>
#include "mon-impl.h"
#include "schema/schema.h"
#include "yank.h"

_Static_assert((int)YANK_NODE == (int)YANK_INSTANCE_TYPE_BLOCK_NODE &&
               (int)YANK_CHARDEV == (int)YANK_INSTANCE_TYPE_CHARDEV &&
               (int)YANK_MIGRATION == (int)YANK_INSTANCE_TYPE_MIGRATION,
               "kinds are the protocol's");

static void tell(const YankPoint *y, void *arg)
{
    YankInstanceList *l = arg;
    YankInstance *i = SCHEMA_ADD(l);

    i->type = (YankInstanceType)y->kind;
    if (y->kind == YANK_NODE) {
        i->u.block_node.node_name = g_strdup(y->name);
    } else if (y->kind == YANK_CHARDEV) {
        i->u.chardev.id = g_strdup(y->name);
    }
}

bool cmd_query_yank(const void *arg, void *ret, Error **errp)
{
    yank_each(tell, ret);
    return true;
}

bool cmd_yank(const void *arg, void *ret, Error **errp)
{
    const YankArg *a = arg;
    g_autofree YankName *names = g_new(YankName, a->instances.n);

    for (size_t i = 0; i < a->instances.n; i++) {
        const YankInstance *y = &a->instances.v[i];

        names[i] = (YankName){ (YankKind)y->type, y->type ==
            YANK_INSTANCE_TYPE_BLOCK_NODE ? y->u.block_node.node_name :
            y->u.chardev.id };
    }
    return yank_pull(names, a->instances.n) ||
           error_set_class(errp, ERROR_DEVICE_NOT_FOUND, "Instance not found");
}
