/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * display.c - which displays there are: -display, -vnc, and what is shown when
 * nothing was said.
 *
 * Thread class: machine lock.
 */
#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "console.h"
#include "module.h"
#include "opt.h"
#include "settings.h"
#include "ui.h"
#include "ui/curses.h"
#include "ui/vnc/vnc.h"
#include "schema/schema.h"

typedef enum DisplayKind { SHOW_DEFAULT, SHOW_NONE, SHOW_VNC,
                           SHOW_CURSES } DisplayKind;

static DisplayKind kind;
static char *vnc_given;                /* of -display vnc=                    */
static char *charset;                  /* of -display curses                  */

static void help(void)
{
    printf("Available display backend types:\nnone\n%s",
           module_present("ui-curses") ? "curses\n" : "");
    fflush(stdout);
    _exit(0);
}

/* Members that the type does not have are refused; *value gets the one that it
 * has, `name`, if any. */
static bool members(const char *arg, const char *name, char **value,
                    Error **errp)
{
    Opts o;
    bool ok = true;

    if (!opts_parse(&o, arg, "type", OPT_QUIET, errp)) {
        return false;
    }
    for (size_t i = 0; ok && i < json_count(o.obj); i++) {
        const char *key = json_key_at(o.obj, i);

        if (name && !strcmp(key, name)) {
            g_free(*value);
            *value = g_strdup(json_get_str(o.obj, key));
            continue;
        }
        ok = !strcmp(key, "type") ||
            error_set(errp, "Parameter '%s' is unexpected", key);
    }
    opts_free(&o);
    return ok;
}

bool display_option(const char *arg, Error **errp)
{
    static const char *const elsewhere[] = {
        "gtk", "sdl", "egl-headless", "spice-app", "dbus",
    };
    static const OptWords shown = { { "none", "default", "vnc", "curses" }, 4 };
    size_t n = strcspn(arg, ",=");
    g_autofree char *word = NULL;

    if (!strcmp(arg, "help") || !strcmp(arg, "?")) {
        help();
    }
    if (n == 3 && !strncmp(arg, "vnc", 3)) {
        if (arg[3] != '=') {
            return error_set(errp, "VNC requires a display argument "
                             "vnc=<display>");
        }
        g_free(vnc_given);
        vnc_given = g_strdup(arg + 4);
        kind = SHOW_VNC;
        return true;
    }
    for (size_t i = 0; i < ARRAY_SIZE(elsewhere); i++) {
        if (strlen(elsewhere[i]) == n && !strncmp(elsewhere[i], arg, n)) {
            return error_set(errp, "Display '%s' is not available, please "
                             "recompile with it enabled", elsewhere[i]);
        }
    }
    if (n == 4 && !strncmp(arg, "none", n)) {
        kind = SHOW_NONE;
        return members(arg, NULL, NULL, errp);
    }
    if (n == 7 && !strncmp(arg, "default", n)) {
        kind = SHOW_DEFAULT;
        return members(arg, NULL, NULL, errp);
    }
    if (n == 6 && !strncmp(arg, "curses", n)) {
        kind = SHOW_CURSES;
        return members(arg, "charset", &charset, errp);
    }
    error_set(errp, "Parameter 'type' does not accept value '%.*s'", (int)n,
              arg);
    word = g_strndup(arg, n);
    return opt_suggest(&shown, word, errp);
}

bool display_start(bool graphics, Error **errp)
{
    Error *err = NULL;

    if (kind == SHOW_VNC) {
        return vnc_option(vnc_given, errp);
    }
    if (kind == SHOW_CURSES) {
        return curses_display_start(charset, errp);
    }
    if (kind == SHOW_NONE || vnc_servers || !graphics) {
        return true;
    }
    /* There is no window to open: a viewer on this host may look. It is told
     * where. */
    if (!vnc_option("localhost:0,to=99", &err)) {
        error_prepend(&err, "no display: ");
        warn_report_err(err);
        return true;
    }
    return true;
}

bool cmd_query_display_options(const void *arg, void *ret, Error **errp)
{
    ((DisplayOptions *)ret)->type = kind == SHOW_NONE ? DISPLAY_TYPE_NONE
                                                      : DISPLAY_TYPE_DEFAULT_;
    return true;
}

void display_exit(void)
{
    curses_display_stop();
    vnc_exit();
    g_free(vnc_given);
    g_free(charset);
    vnc_given = charset = NULL;
}
