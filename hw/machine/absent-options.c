/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * absent-options.c - options of parts that this version does not have, which
 * say so by the part's name, and options that have nothing to act upon, which
 * warn.
 *
 * Thread class: machine lock.
 */
#include <glib.h>
#include "lock-profile.h"
#include "monitor.h"
#include "runstate.h"
#include "schema/schema.h"
#include "settings.h"

#define OPT_ABSENT(name, part) \
    bool cli_##name(const char *arg, Error **errp) \
    { \
        return error_set(errp, part " in this version"); \
    }
#define OPT_IDLE(name, why) \
    bool cli_##name(const char *arg, Error **errp) \
    { \
        warn_report("no effect: " why); \
        return true; \
    }

OPT_ABSENT(soundhw, "sound cards are not")
OPT_ABSENT(audio, "sound cards are not")
OPT_ABSENT(audio_help, "sound cards are not")
OPT_ABSENT(usbdevice, "USB is not")
OPT_ABSENT(usb, "USB is not")
OPT_ABSENT(spice, "SPICE is not")
OPT_ABSENT(fsdev, "shared folders (9p) are not")
OPT_ABSENT(virtfs, "shared folders (9p) are not")
OPT_ABSENT(iscsi, "iSCSI is not")
OPT_ABSENT(plugin, "plugins are not")
OPT_ABSENT(tpmdev, "TPM devices are not")
OPT_ABSENT(incoming, "migration is not")
OPT_ABSENT(loadvm, "saved states are not")
OPT_ABSENT(dump_vmstate, "saved states are not")
OPT_ABSENT(xen_domid, "Xen is not")
OPT_ABSENT(xen_attach, "Xen is not")
OPT_ABSENT(xen_domid_restrict, "Xen is not")

OPT_IDLE(no_frame, "there is no window")
OPT_IDLE(no_quit, "there is no window; -no-shutdown keeps the machine")
OPT_IDLE(alt_grab, "there is no window")
OPT_IDLE(ctrl_grab, "there is no window")
OPT_IDLE(portrait, "there is no window")
OPT_IDLE(rotate, "there is no window")
OPT_IDLE(async_teardown, "memory is given back when the program ends")
OPT_IDLE(dfilter, "no log item tells of single addresses")

bool cli_enable_sync_profile(const char *arg, Error **errp)
{
    lock_profile_set(true);
    return true;
}

bool cli_seed(const char *arg, Error **errp)
{
    uint64_t n;

    if (!opt_u64("seed", arg, &n, NULL)) {
        return error_set(errp, "Invalid seed number: %s", arg);
    }
    warn_report("no effect: random numbers come from the host");
    return true;
}

bool cli_singlestep(const char *arg, Error **errp)
{
    run_singlestep = true;
    return true;
}

void hmp_singlestep(const Json *args)
{
    const char *s = json_get_str(args, "option");

    if (!s || !strcmp(s, "on")) {
        run_singlestep = true;
    } else if (!strcmp(s, "off")) {
        run_singlestep = false;
    } else {
        mon_printf("unexpected option %s\n", s);
    }
}

bool cli_realtime(const char *arg, Error **errp)
{
    const OptionRow *row = option_find("overcommit");
    g_autofree char *text = NULL;

    if (!g_str_has_prefix(arg, "mlock=")) {
        return error_set(errp, "Invalid parameter '%.*s'",
                         (int)strcspn(arg, "="), arg);
    }
    text = g_strdup_printf("mem-lock=%s", arg + strlen("mlock="));
    warn_report("an old option: use -overcommit %s", text);
    return row && row->handle(text, errp);
}
