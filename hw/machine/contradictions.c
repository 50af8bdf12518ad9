/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * contradictions.c - options that cannot both be meant are refused; one that
 * takes another's place, or has nothing to act upon, warns once. What concerns
 * one option alone is said where that option is carried out.
 *
 * Thread class: machine lock (before any other thread exists).
 */
#include <glib.h>
#include "machine.h"
#include "schema/schema.h"
#include "settings.h"
#include "startup.h"

/* ---- given twice --------------------------------------------------------- */

/* Of these the last one counts; `plain`: only where neither has members. */
static const struct Once {
    const char *name;
    bool plain;
} once[] = {
    { "bios", false }, { "kernel", false }, { "initrd", false },
    { "append", false }, { "uuid", false }, { "k", false }, { "vga", false },
    { "pidfile", false }, { "D", false }, { "dfilter", false },
    { "chroot", false }, { "runas", false }, { "mem-path", false },
    { "echr", false }, { "watchdog-action", false }, { "m", true },
    { "smp", true }, { "cpu", false }, { "machine", true }, { "name", true },
};
static char *said[ARRAY_SIZE(once)];

void option_again(const char *name, const char *arg)
{
    size_t i = 0;

    while (i < ARRAY_SIZE(once) && strcmp(once[i].name, name)) {
        i++;
    }
    if (i == ARRAY_SIZE(once) || !arg ||
        (once[i].plain && strpbrk(arg, "=,"))) {
        return;
    }
    if (said[i] && strcmp(said[i], arg)) {
        warn_report("takes the place of -%s %s", name, said[i]);
    }
    g_free(said[i]);
    said[i] = g_strdup(arg);
}

/* ---- against each other -------------------------------------------------- */

/* "on" for hpet in "pc,hpet=on". */
static bool has_member(const char *text, const char *member)
{
    g_auto(GStrv) words = g_strsplit(text, ",", -1);

    return g_strv_contains((const char *const *)words, member);
}

static bool refuse_machine(bool flag, const char *option, const char *member,
                           Error **errp)
{
    for (unsigned i = 0; flag && i < settings.machine.n; i++) {
        if (has_member(settings.machine.v[i].arg, member)) {
            report_where(settings.machine.v[i].where);
            return error_set(errp, "%s contradicts -%s", member, option);
        }
    }
    return true;
}

static bool refuse_stdio(Error **errp)
{
    const GivenList *lists[] = { &settings.serial, &settings.parallel,
                                 &settings.mon, &settings.debugcon,
                                 &settings.chardev };

    for (size_t k = 0; settings.daemonize && k < ARRAY_SIZE(lists); k++) {
        for (unsigned i = 0; i < lists[k]->n; i++) {
            const Given *g = &lists[k]->v[i];

            if (g_str_has_prefix(g->arg, "stdio") ||
                g_str_has_prefix(g->arg, "mon:stdio")) {
                report_where(g->where);
                return error_set(errp, "cannot use stdio with -daemonize");
            }
        }
    }
    return true;
}

static void warn_at(const GivenList *l, const char *why)
{
    const char *old;

    if (l->n) {
        old = report_where(l->v[0].where);
        warn_report("no effect: %s", why);
        report_where(old);
    }
}

static void warn_sandbox(void)
{
    for (unsigned i = 0; i < settings.sandbox.n; i++) {
        const Given *g = &settings.sandbox.v[i];

        if (!g_str_has_prefix(g->arg, "on") && strcmp(g->arg, "off") &&
            !has_member(g->arg, "enable=on")) {
            const char *old = report_where(g->where);

            warn_report("no effect: the sandbox is off");
            report_where(old);
        }
    }
}

static bool bare_machine(Error **errp)
{
    if (!machine->type->no_cpus) {
        return true;
    }
    if (settings.kernel) {
        report_where("-kernel");
        return error_set(errp, "The -kernel parameter is not supported (use "
                         "the generic 'loader' device instead).");
    }
    warn_at(&settings.boot, "this machine has no firmware");
    warn_at(&settings.smbios, "this machine has no firmware");
    warn_at(&settings.fw_cfg, "this machine has no firmware");
    return true;
}

bool start_contradictions(Error **errp)
{
    bool no_acpi = settings.no_acpi || !strcmp(machine->type->name, "isapc") ||
                   machine->type->no_cpus;

    if (settings.enable_kvm && settings.accel.n) {
        return error_set(errp, "The -accel and \"-machine accel=\" options are "
                         "incompatible");
    }
    if (!refuse_machine(settings.no_acpi, "no-acpi", "acpi=on", errp) ||
        !refuse_machine(settings.no_hpet, "no-hpet", "hpet=on", errp) ||
        !refuse_machine(settings.no_fd_bootchk, "no-fd-bootchk",
                        "fd-bootchk=on", errp) ||
        !refuse_stdio(errp) || !bare_machine(errp)) {
        return false;
    }
    if (settings.snapshot && !settings.drive.n) {
        const char *old = report_where("-snapshot");

        warn_report("no effect: no drive is given by -drive or the like");
        report_where(old);
    }
    if (no_acpi) {
        warn_at(&settings.acpitable, "this machine has no ACPI");
    }
    warn_sandbox();
    return true;
}
