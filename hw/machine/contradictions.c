/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * contradictions.c - options that cannot both be meant are refused; one that
 * takes another's place, or has nothing to act upon, warns once. What concerns
 * one option alone is said where that option is carried out.
 *
 * Thread class: machine lock (before any other thread exists).
 */
#include <glib.h>
#include "accel.h"
#include "machine.h"
#include "runstate.h"
#include "schema/schema.h"
#include "settings.h"
#include "startup.h"

/* ---- given twice --------------------------------------------------------- */

/* Of these the last one counts. */
static const char *const once[] = {
    "bios", "kernel", "initrd", "append", "uuid", "k", "vga", "pidfile", "D",
    "dfilter", "chroot", "runas", "mem-path", "echr", "watchdog-action", "cpu",
};
static char *said[ARRAY_SIZE(once)];

/* Of these the last value of each member counts. */
static const struct {
    const char *name, *implied;
} merged[] = {
    { "machine", "type" }, { "m", "size" }, { "smp", "cpus" },
    { "name", "guest" }, { "boot", "order" }, { "rtc", NULL },
    { "action", NULL }, { "msg", NULL }, { "overcommit", NULL },
};
static Json *members[ARRAY_SIZE(merged)];

static void member_again(size_t i, const char *key, const char *value)
{
    const char *old = json_get_str(members[i], key);

    if (!old || !strcmp(old, value)) {
        /* nothing is lost */
    } else if (merged[i].implied && !strcmp(key, merged[i].implied)) {
        warn_report("takes the place of -%s %s", merged[i].name, old);
    } else {
        warn_report("%s=%s takes the place of %s=%s", key, value, key, old);
    }
    json_set_str(members[i], key, value);
}

static void merged_again(const char *name, const char *arg)
{
    size_t i = 0;
    Opts o;

    while (i < ARRAY_SIZE(merged) && strcmp(merged[i].name, name)) {
        i++;
    }
    if (i == ARRAY_SIZE(merged) || *arg == '{' ||
        !opts_parse(&o, arg, merged[i].implied,
                    OPT_FLAT | OPT_BARE | OPT_QUIET | OPT_PLAIN, NULL)) {
        return;
    }
    if (!members[i]) {
        members[i] = json_obj();
    }
    for (size_t k = 0; k < json_count(o.obj); k++) {
        member_again(i, json_key_at(o.obj, k),
                     json_str_of(json_value_at(o.obj, k)));
    }
    opts_free(&o);
}

void option_again(const char *name, const char *arg)
{
    size_t i = 0;

    if (!strcmp(name, "no-reboot")) {
        merged_again("action", "reboot=shutdown");
    } else if (!strcmp(name, "no-shutdown")) {
        merged_again("action", "shutdown=pause");
    } else if (arg) {
        merged_again(name, arg);
    }
    while (i < ARRAY_SIZE(once) && strcmp(once[i], name)) {
        i++;
    }
    if (i == ARRAY_SIZE(once) || !arg) {
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

/* A machine without processors. */
static bool bare_machine(Error **errp)
{
    const GivenList *ports[] = { &settings.serial, &settings.parallel,
                                 &settings.debugcon };

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
    for (size_t i = 0; i < ARRAY_SIZE(ports); i++) {
        if (ports[i]->n && strcmp(ports[i]->v[0].arg, "none")) {
            warn_at(ports[i], "this machine has no such ports");
        }
    }
    if (settings.vga.n && strcmp(settings.vga.v[0].arg, "none")) {
        warn_report("A -vga option was passed but this machine type does not "
                    "use that option; No VGA device has been created");
    }
    return true;
}

static bool one_debugger(Error **errp)
{
    if (settings.gdb.n > 1) {
        report_where(settings.gdb.v[1].where);
        return error_set(errp, "a debugger is served already: %s",
                         settings.gdb.v[0].where);
    }
    return true;
}

static void warn_uuid(void)
{
    for (unsigned i = 0; guest_uuid_set && i < settings.smbios.n; i++) {
        const Given *g = &settings.smbios.v[i];
        const char *at = strstr(g->arg, "uuid=");
        uint8_t uuid[16];
        g_autofree char *text = at ? g_strndup(at + 5, 36) : NULL;

        if (text && opt_uuid(text, uuid, NULL) &&
            memcmp(uuid, guest_uuid, sizeof(uuid))) {
            const char *old = report_where(g->where);

            warn_report("the guest finds this UUID in its tables, not that of "
                        "-uuid");
            report_where(old);
        }
    }
}

static void warn_acpi_on(void)
{
    for (unsigned i = 0; i < settings.machine.n; i++) {
        const Given *g = &settings.machine.v[i];

        if (has_member(g->arg, "acpi=on")) {
            const char *old = report_where(g->where);

            warn_report("acpi=on: no effect: this machine has no ACPI");
            report_where(old);
        }
    }
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
        !refuse_stdio(errp) || !bare_machine(errp) || !one_debugger(errp)) {
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
    if (!settings.no_acpi && no_acpi) {
        warn_acpi_on();
    }
    warn_sandbox();
    warn_uuid();
    return true;
}

void start_idle_options(void)
{
    if (run_singlestep && !accel_is("soft")) {
        const char *old = report_where("-singlestep");

        warn_report("no effect: processors are not of software");
        report_where(old);
    }
}
