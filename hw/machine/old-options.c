/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * old-options.c - options that old guides and scripts use: each does what its
 * modern form does, and says once which that is, or says that what it wants is
 * not in this version.
 *
 * Thread class: machine lock.
 */
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "device.h"
#include "hw/machine/startup.h"
#include "monitor.h"
#include "schema/schema.h"
#include "settings.h"

static MACHINE_CALL bool modern(const char *option, const char *arg,
                                Error **errp)
{
    const OptionRow *row = option_find(option);

    warn_report("an old option: use -%s %s", option, arg);
    return row ? option_use(row, arg, errp)
               : error_set(errp, "there is no option -%s", option);
}

bool cli_localtime(const char *arg, Error **errp)
{
    return modern("rtc", "base=localtime", errp);
}

bool cli_startdate(const char *arg, Error **errp)
{
    g_autofree char *text = g_strdup_printf("base=%s", strcmp(arg, "now")
                                            ? arg : "utc");

    return modern("rtc", text, errp);
}

bool cli_rtc_td_hack(const char *arg, Error **errp)
{
    return modern("rtc", "driftfix=slew", errp);
}

bool cli_tdf(const char *arg, Error **errp)
{
    warn_report("no effect: ticks that were lost come later in any case "
                "(-global kvm-pit.lost_tick_policy=delay)");
    return true;
}

bool cli_no_kvm(const char *arg, Error **errp)
{
    return modern("accel", "tcg", errp);
}

bool cli_no_kvm_irqchip(const char *arg, Error **errp)
{
    return modern("machine", "kernel-irqchip=off", errp);
}

bool cli_no_kvm_pit(const char *arg, Error **errp)
{
    warn_report("no effect: the PIT is where the other interrupt controllers "
                "are (-machine kernel-irqchip=)");
    return true;
}

bool cli_no_kvm_pit_reinjection(const char *arg, Error **errp)
{
    return modern("global", "kvm-pit.lost_tick_policy=discard", errp);
}

bool cli_watchdog(const char *arg, Error **errp)
{
    if (strcmp(arg, "help") && strcmp(arg, "?")) {
        return modern("device", arg, errp);
    }
    SET_EACH(device_types, DeviceType, t) {
        if ((*t)->category && !strcmp((*t)->category, "watchdog")) {
            printf("%s\t%s\n", (*t)->name, (*t)->desc);
        }
    }
    fflush(stdout);
    _exit(0);
}

bool cli_balloon(const char *arg, Error **errp)
{
    g_autofree char *text = NULL;

    if (!strcmp(arg, "none")) {
        return true;
    }
    if (!g_str_has_prefix(arg, "virtio") || (arg[6] && arg[6] != ',')) {
        return error_set(errp, "neither none nor virtio");
    }
    text = g_strdup_printf("virtio-balloon-pci%s", arg + 6);
    return modern("device", text, errp);
}
