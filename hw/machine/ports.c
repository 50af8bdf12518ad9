/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ports.c - monitors, the test port, network defaults and the last step of
 * start-up: -monitor, -qmp, -mon, -qtest, -sandbox, -chroot, -runas.
 *
 * Thread class: machine lock.
 */
#include <glib.h>
#include <unistd.h>
#include "chr.h"
#include "machine.h"
#include "monitor.h"
#include "qtest.h"
#include "security.h"
#include "startup.h"

static unsigned monitors;              /* made by -monitor, -qmp: compat_monitorN */

/* -monitor DEV, -qmp DEV: a chardev of its own; -mon [chardev=]ID,mode=,pretty= */
static MACHINE_CALL
bool mon_short(const char *kind, const char *arg, Error **errp)
{
    bool qmp = strcmp(kind, "monitor") != 0;
    char label[32];
    CharPort *port;

    if (!strcmp(arg, "none")) {
        return true;
    }
    snprintf(label, sizeof(label), "compat_monitor%u", monitors++);
    port = chr_new_short(label, arg, !qmp, errp);
    if (!port) {
        return false;
    }
    return mon_add(port, qmp, !strcmp(kind, "qmp-pretty"), errp);
}

static MACHINE_CALL bool mon_long(const char *arg, Error **errp)
{
    Opts o;
    const char *id = NULL, *mode = "readline";
    bool pretty = false, ok = true;
    CharPort *port;

    if (!opts_parse(&o, arg, "chardev", OPT_FLAT | OPT_BARE | OPT_PLAIN, errp)) {
        return false;
    }
    for (size_t i = 0; ok && i < json_count(o.obj); i++) {
        const char *k = json_key_at(o.obj, i);
        const char *s = json_str_of(json_value_at(o.obj, i));

        if (!strcmp(k, "chardev")) {
            id = s;
        } else if (!strcmp(k, "mode")) {
            mode = s;
        } else if (!strcmp(k, "pretty")) {
            ok = opt_bool(k, s, &pretty, errp);
        } else if (strcmp(k, "id")) {
            ok = error_set(errp, "Invalid parameter '%s'", k);
        }
    }
    if (ok && strcmp(mode, "readline") && strcmp(mode, "control")) {
        ok = error_set(errp, "Parameter 'mode' does not accept value '%s'",
                       mode);
    }
    if (ok && pretty && strcmp(mode, "control")) {
        ok = error_set(errp, "'pretty' is not compatible with HMP monitors");
    }
    if (ok && !id) {
        ok = error_set(errp, "Parameter 'chardev' is missing");
    }
    if (ok) {
        port = chr_find(id);
        ok = port ? mon_add(port, !strcmp(mode, "control"), pretty, errp)
                  : error_set(errp, "chardev \"%s\" not found", id);
    }
    opts_free(&o);
    return ok;
}

bool mon_option(const char *kind, const char *arg, Error **errp)
{
    return strcmp(kind, "mon") ? mon_short(kind, arg, errp)
                               : mon_long(arg, errp);
}

bool start_qtest(Error **errp)
{
    return !settings.qtest.n ||
           qtest_server_start(settings.qtest.v[settings.qtest.n - 1].arg,
                              settings.qtest_log, errp);
}

/* The user changes first: the filter may forbid just that. */
bool start_confined(Error **errp)
{
    if (settings.chroot || settings.runas) {
        char *where = settings.runas ? g_strdup_printf("-runas %s",
                                                       settings.runas)
                                     : NULL;

        report_where(where);
        if (!confine(settings.chroot, settings.runas, errp)) {
            return false;
        }
        report_where(NULL);
        g_free(where);
    }
    for (unsigned i = 0; i < settings.sandbox.n; i++) {
        report_where(settings.sandbox.v[i].where);
        if (!sandbox_option(settings.sandbox.v[i].arg, errp)) {
            return false;
        }
        report_where(NULL);
    }
    return true;
}

static bool by_name(const UserType *t, const char *name)
{
    return !strcmp(t->name, name);
}

/* -object help, -object TYPE,help */
void object_help(const Json *opts)
{
    const char *type = json_get_str(opts, "qom-type");

    SET_EACH(user_types, UserType, t) {
        const Prop *p;

        if (type && user_type_find(type)) {
            if (!by_name(*t, type)) {
                continue;
            }
            printf("%s options:\n", type);
            for (unsigned i = 0; (p = type_props(type, i)); i++) {
                for (; p->name; p++) {
                    char *line = prop_help_line(p);

                    printf("%s\n", line);
                    g_free(line);
                }
            }
            return;
        }
        if (t == __start_user_types) {
            printf("List of user creatable objects:\n");
        }
        printf("  %s\n", (*t)->name);
    }
}
