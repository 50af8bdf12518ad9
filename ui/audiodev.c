/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * audiodev.c - -audiodev: sound systems of the host under names, which sound
 * devices and VNC servers refer to. The only one is "none".
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. Each name is given once.
 */
#include <glib.h>
#include <unistd.h>
#include "monitor.h"
#include "opt.h"
#include "schema/schema.h"
#include "ui.h"

static GHashTable *audiodevs;          /* id -> Audiodev *                    */

bool audiodev_exists(const char *id)
{
    return audiodevs && g_hash_table_contains(audiodevs, id);
}

static bool audiodev_take(Audiodev *a, Error **errp) MACHINE_CALL;
static bool audiodev_take(Audiodev *a, Error **errp)
{
    if (audiodev_exists(a->id)) {
        return error_set(errp, "Duplicate ID '%s' for audiodev", a->id);
    }
    if (!audiodevs) {
        audiodevs = g_hash_table_new(g_str_hash, g_str_equal);
    }
    g_hash_table_insert(audiodevs, a->id, a);
    return true;
}

bool audiodev_option(const char *arg, Error **errp)
{
    Audiodev *a = g_new0(Audiodev, 1);
    Opts o;
    bool ok;

    if (!opts_parse(&o, arg, "driver", 0, errp)) {
        g_free(a);
        return false;
    }
    if (o.help) {
        printf("Available audio drivers:\n");
        for (int i = 0; qt_AudiodevDriver.values[i]; i++) {
            printf("%s\n", qt_AudiodevDriver.values[i]);
        }
        fflush(stdout);
        _exit(0);
    }
    ok = schema_parse(&qt_Audiodev, o.obj, o.text, a, errp) &&
         audiodev_take(a, errp);
    if (!ok) {
        schema_free(&qt_Audiodev, a);
        g_free(a);
    }
    opts_free(&o);
    return ok;
}
