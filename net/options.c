/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * options.c - -nic, -net, -netdev: looked up among the backends that are linked
 * in; "none" asks for no card.
 *
 * Thread class: machine lock.
 */
#include <glib.h>
#include "hw/machine/startup.h"
#include "monitor.h"
#include "net.h"
#include "schema/schema.h"

static bool driver_known(const char *name)
{
    extern const NetDriver *const __start_net_drivers[] __attribute__((weak));
    extern const NetDriver *const __stop_net_drivers[] __attribute__((weak));

    for (const NetDriver *const *d = __start_net_drivers;
         d < __stop_net_drivers; d++) {
        if (!strcmp((*d)->name, name)) {
            return true;
        }
    }
    return false;
}

static bool net_option(const char *arg, Error **errp)
{
    Opts o;
    const char *type;
    bool ok;

    settings.no_default_net = true;
    if (!opts_parse(&o, arg, "type", OPT_FLAT | OPT_BARE | OPT_REPEAT, errp)) {
        return false;
    }
    type = json_get_str(o.obj, "type");
    if (!type) {
        ok = error_set(errp, "Parameter 'type' is missing");
    } else if (!strcmp(type, "none")) {
        ok = true;
    } else if (!driver_known(type)) {
        ok = error_set(errp, "Parameter 'type' does not accept value '%s'",
                       type);
        error_hint(errp, "This program is built without that network "
                   "backend.");
    } else {
        given_add(&settings.netdev, "netdev", arg);
        ok = true;
    }
    opts_free(&o);
    return ok;
}

bool cli_nic(const char *arg, Error **errp)
{
    return net_option(arg, errp);
}

bool cli_net(const char *arg, Error **errp)
{
    return net_option(arg, errp);
}

bool start_net(Error **errp)
{
    return true;
}
