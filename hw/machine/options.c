/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * options.c - command-line options into `settings`. Handlers only record; what
 * they recorded is carried out by startup.c in the order that things depend on
 * each other, whatever the order on the command line.
 *
 * Thread class: machine lock (before any other thread exists).
 */
#include <glib.h>
#include <unistd.h>
#include "config.h"
#include "machine.h"
#include "machine-opts.h"
#include "monitor.h"
#include "settings.h"
#include "startup.h"
#include "schema/schema.h"

Settings settings;

static const char *now_where = "";     /* the option being handled            */
static const char *now_kind;

void given_add(GivenList *l, const char *kind, const char *arg)
{
    if (!(l->n & (l->n - 1))) {
        l->v = g_renew(Given, l->v, l->n ? l->n * 2 : 1);
    }
    l->v[l->n++] = (Given){
        .where = g_strdup(now_where), .arg = g_strdup(arg), .kind = kind,
    };
}

#define OPT_LIST(name, list) \
    bool cli_##name(const char *arg, Error **errp) \
    { \
        given_add(&settings.list, now_kind, arg); \
        return true; \
    }
#define OPT_LIST_REPLACES(name, list, flag) \
    bool cli_##name(const char *arg, Error **errp) \
    { \
        given_add(&settings.list, now_kind, arg); \
        settings.flag = true; \
        return true; \
    }
#define OPT_TEXT(name, field) \
    bool cli_##name(const char *arg, Error **errp) \
    { \
        g_free(settings.field); \
        settings.field = g_strdup(arg); \
        return true; \
    }
#define OPT_FLAG(name, field) \
    bool cli_##name(const char *arg, Error **errp) \
    { \
        settings.field = true; \
        return true; \
    }

OPT_LIST(machine, machine)
OPT_LIST(accel, accel)
OPT_LIST(cpu, cpu)
OPT_LIST(smp, smp)
OPT_LIST(m, m)
OPT_LIST(object, object)
OPT_LIST(chardev, chardev)
OPT_LIST(blockdev, blockdev)
OPT_LIST(device, device)
OPT_LIST(global, global)
OPT_LIST(numa, numa)
OPT_LIST(trace, trace)
OPT_LIST(fw_cfg, fw_cfg)
OPT_LIST(acpitable, acpitable)
OPT_LIST(smbios, smbios)
OPT_LIST(option_rom, option_rom)
OPT_LIST(boot, boot)
OPT_LIST(rtc, rtc)
OPT_LIST(icount, icount)
OPT_LIST(sandbox, sandbox)
OPT_LIST(gdb, gdb)
OPT_LIST(writeconfig, writeconfig)
OPT_LIST(drive, drive)
OPT_LIST(hda, drive)
OPT_LIST(hdb, drive)
OPT_LIST(hdc, drive)
OPT_LIST(hdd, drive)
OPT_LIST(pflash, drive)
OPT_LIST(sd, drive)
OPT_LIST(mtdblock, drive)
OPT_LIST_REPLACES(fda, drive, no_default_floppy)
OPT_LIST(fdb, drive)
OPT_LIST_REPLACES(cdrom, drive, no_default_cdrom)
OPT_LIST_REPLACES(serial, serial, no_default_serial)
OPT_LIST_REPLACES(parallel, parallel, no_default_parallel)
OPT_LIST_REPLACES(monitor, mon, no_default_monitor)
OPT_LIST_REPLACES(mon, mon, no_default_monitor)
OPT_LIST_REPLACES(qmp, mon, no_default_monitor)
OPT_LIST_REPLACES(qmp_pretty, mon, no_default_monitor)
OPT_LIST(debugcon, debugcon)
OPT_LIST(qtest, qtest)
OPT_LIST(display, display)
OPT_LIST(vnc, vnc)
OPT_LIST(audiodev, audiodev)
OPT_LIST_REPLACES(vga, vga, no_default_vga)

OPT_TEXT(bios, bios)
OPT_TEXT(kernel, kernel)
OPT_TEXT(initrd, initrd)
OPT_TEXT(append, append)
OPT_TEXT(dtb, dtb)
OPT_TEXT(mem_path, mem_path)
OPT_TEXT(pidfile, pidfile)
OPT_TEXT(chroot, chroot)
OPT_TEXT(runas, runas)
OPT_TEXT(d, log_items)
OPT_TEXT(D, log_file)
OPT_TEXT(qtest_log, qtest_log)
OPT_TEXT(k, keyboard)

OPT_FLAG(mem_prealloc, mem_prealloc)
OPT_FLAG(daemonize, daemonize)
OPT_FLAG(nodefaults, nodefaults)
OPT_FLAG(no_user_config, no_user_config)
OPT_FLAG(nographic, nographic)
OPT_FLAG(S, stopped)
OPT_FLAG(print_config, print_config)
OPT_FLAG(preconfig, preconfig)
OPT_FLAG(only_migratable, only_migratable)
OPT_FLAG(no_acpi, no_acpi)
OPT_FLAG(no_hpet, no_hpet)
OPT_FLAG(enable_kvm, enable_kvm)
OPT_FLAG(snapshot, snapshot)
OPT_FLAG(no_fd_bootchk, no_fd_bootchk)

/* Also "help": where firmware is looked for. */
bool cli_L(const char *arg, Error **errp)
{
    if (!strcmp(arg, "help") || !strcmp(arg, "?")) {
        settings.l_help = true;
    } else {
        given_add(&settings.l_dirs, now_kind, arg);
    }
    return true;
}

bool cli_s(const char *arg, Error **errp)
{
    given_add(&settings.gdb, now_kind, "tcp::1234");
    return true;
}

bool cli_no_reboot(const char *arg, Error **errp)
{
    actions.reboot = 1;
    return true;
}

bool cli_no_shutdown(const char *arg, Error **errp)
{
    actions.shutdown = 1;
    return true;
}

/* -action and set-action share the names. */
bool action_set(const char *what, const char *value, Error **errp)
{
    static const struct {
        const char *what;
        int *field;
        const char *const names[8];
    } rows[] = {
        { "reboot", &actions.reboot, { "reset", "shutdown" } },
        { "shutdown", &actions.shutdown, { "poweroff", "pause" } },
        { "panic", &actions.panic,
          { "pause", "shutdown", "exit-failure", "none" } },
        { "watchdog", &actions.watchdog,
          { "reset", "shutdown", "poweroff", "pause", "debug", "none",
            "inject-nmi" } },
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (strcmp(rows[i].what, what)) {
            continue;
        }
        for (int k = 0; k < 8 && rows[i].names[k]; k++) {
            if (!strcmp(rows[i].names[k], value)) {
                *rows[i].field = k;
                return true;
            }
        }
        return error_set(errp, "Parameter '%s' does not accept value '%s'",
                         what, value);
    }
    return error_set(errp, "Invalid parameter '%s'", what);
}

bool cli_action(const char *arg, Error **errp)
{
    Opts o;
    bool ok;

    if (!opts_parse(&o, arg, NULL, OPT_FLAT, errp)) {
        return false;
    }
    ok = true;
    for (size_t i = 0; ok && i < json_count(o.obj); i++) {
        ok = action_set(json_key_at(o.obj, i),
                        json_str_of(json_value_at(o.obj, i)), errp);
    }
    opts_free(&o);
    return ok;
}

bool cli_watchdog_action(const char *arg, Error **errp)
{
    if (!action_set("watchdog", arg, NULL)) {
        return error_set(errp, "Unknown -watchdog-action parameter");
    }
    return true;
}

bool cli_uuid(const char *arg, Error **errp)
{
    if (!opt_uuid(arg, guest_uuid, NULL)) {
        return error_set(errp, "failed to parse UUID string: wrong format");
    }
    guest_uuid_set = true;
    return true;
}

bool cli_name(const char *arg, Error **errp)
{
    Opts o;
    const char *s;
    bool names = false, ok = true;

    if (!opts_parse(&o, arg, "guest", OPT_FLAT | OPT_BARE | OPT_PLAIN, errp)) {
        return false;
    }
    for (size_t i = 0; ok && i < json_count(o.obj); i++) {
        const char *k = json_key_at(o.obj, i);

        s = json_str_of(json_value_at(o.obj, i));
        if (!strcmp(k, "guest")) {
            g_free(guest_name);
            guest_name = g_strdup(s);
        } else if (!strcmp(k, "process")) {
            g_free(guest_process_name);
            guest_process_name = g_strdup(s);
        } else if (!strcmp(k, "debug-threads")) {
            ok = opt_bool(k, s, &names, errp);
            if (ok) {
                thread_names(names);
            }
        } else {
            ok = error_set(errp, "Invalid parameter '%s'", k);
        }
    }
    opts_free(&o);
    return ok;
}

bool cli_msg(const char *arg, Error **errp)
{
    Opts o;
    bool ok = true, with_name = false;

    if (!opts_parse(&o, arg, NULL, OPT_FLAT | OPT_BARE, errp)) {
        return false;
    }
    for (size_t i = 0; ok && i < json_count(o.obj); i++) {
        const char *k = json_key_at(o.obj, i);
        const char *s = json_str_of(json_value_at(o.obj, i));

        if (!strcmp(k, "timestamp")) {
            ok = opt_bool(k, s, &report_timestamps, errp);
        } else if (!strcmp(k, "guest-name")) {
            ok = opt_bool(k, s, &with_name, errp);
            report_guest_name = with_name ? (guest_name ? guest_name : "")
                                          : NULL;
        } else {
            ok = error_set(errp, "Invalid parameter '%s'", k);
        }
    }
    opts_free(&o);
    return ok;
}

bool cli_overcommit(const char *arg, Error **errp)
{
    Opts o;
    bool ok = true;

    if (!opts_parse(&o, arg, NULL, OPT_FLAT | OPT_BARE, errp)) {
        return false;
    }
    for (size_t i = 0; ok && i < json_count(o.obj); i++) {
        const char *k = json_key_at(o.obj, i);
        const char *s = json_str_of(json_value_at(o.obj, i));

        if (!strcmp(k, "mem-lock")) {
            ok = opt_bool(k, s, &settings.mem_lock, errp);
        } else if (!strcmp(k, "cpu-pm")) {
            ok = opt_bool(k, s, &settings.cpu_pm, errp);
        } else {
            ok = error_set(errp, "Invalid parameter '%s'", k);
        }
    }
    opts_free(&o);
    return ok;
}

bool cli_readconfig(const char *arg, Error **errp)
{
    return settings_read_config(arg, errp);
}

static void version_line(void)
{
    if (g_str_has_prefix(report_name(), "tern")) {
        printf("tern version %s\n", TERN_VERSION);
    } else {
        printf("QEMU emulator version 7.2.22 (Tern %s)\n", TERN_VERSION);
    }
}

bool cli_version(const char *arg, Error **errp)
{
    version_line();
    fflush(stdout);
    _exit(0);
}

bool cli_help(const char *arg, Error **errp)
{
    version_line();
    printf("usage: %s [options] [disk_image]\n\n"
           "'disk_image' is a raw hard disk image for IDE hard disk 0\n\n",
           report_name());
    for (const OptionRow *r = option_rows; r->name; r++) {
        if (r->handle && !r->hidden && r->help && *r->help) {
            printf("-%s%s%s\n                %s\n", r->name,
                   r->params && *r->params ? " " : "",
                   r->params ? r->params : "", r->help);
        }
    }
    printf("\nDuring emulation, the following keys are useful:\n"
           "ctrl-alt-n      switch to virtual console 'n'\n\n"
           "When using -nographic, press 'ctrl-a h' to get some help.\n");
    fflush(stdout);
    _exit(0);
}

/* ---- argv ---------------------------------------------------------------- */

static const char *option_nearest(const char *name)
{
    const char *names[512];
    size_t n = 0;

    for (const OptionRow *r = option_rows; r->name && n < 512; r++) {
        names[n++] = r->name;
    }
    return opt_nearest(name, names, n);
}

/* In the table, whether or not something here handles it. */
static bool option_listed(const char *name)
{
    for (const OptionRow *r = option_rows; r->name; r++) {
        if (!strcmp(r->name, name)) {
            return true;
        }
    }
    return false;
}

static int by_name(const void *a, const void *b)
{
    const OptionParam *const *x = a, *const *y = b;

    return strcmp((*x)->name, (*y)->name);
}

/* "-rtc help": the members of the group. */
static void group_help(const OptionRow *row)
{
    g_autoptr(GPtrArray) args = g_ptr_array_new();

    for (const OptionParam *p = row->args; p->name; p++) {
        g_ptr_array_add(args, (void *)p);
    }
    g_ptr_array_sort(args, by_name);
    printf("%s options:\n", row->group);
    for (unsigned i = 0; i < args->len; i++) {
        const OptionParam *p = args->pdata[i];
        g_autofree char *text = g_strdup_printf("%s=<%s>", p->name,
            !strcmp(p->type, "boolean") ? "bool (on/off)" :
            !strcmp(p->type, "number") ? "num" :
            !strcmp(p->type, "size") ? "size" : "str");

        if (p->help && *p->help) {
            printf("  %-22s - %s\n", text, p->help);
        } else {
            printf("  %s\n", text);
        }
    }
    fflush(stdout);
}

/* Does the option list its members when asked? Others take the word as the value
 * of their first member, or have a list of their own. *status: to exit with. */
static bool wants_group_help(const OptionRow *row, const char *arg,
                             int *status)
{
    static const struct { const char *name; int status; } rows[] = {
        { "boot", 0 }, { "smp", 0 }, { "action", 1 }, { "rtc", 1 },
        { "global", 1 }, { "msg", 1 }, { "overcommit", 1 }, { "add-fd", 1 },
    };

    if (!arg || !row->args || (strcmp(arg, "help") && strcmp(arg, "?"))) {
        return false;
    }
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (!strcmp(rows[i].name, row->name)) {
            *status = rows[i].status;
            return true;
        }
    }
    return false;
}

bool option_use(const OptionRow *row, const char *arg, Error **errp)
{
    now_kind = row->name;
    return row->handle(arg, errp);
}

void option_report(Error *err)
{
    const char *where = report_where(NULL);

    option_suggest(where, err);
    report_where(where);
    error_report(err);
}

void option_suggest(const char *where, Error *err)
{
    static const char *const heads[] = { "Invalid parameter '", "Parameter '" };
    const char *text = error_text(err);
    g_autofree char *name = where && *where == '-'
        ? g_strndup(where + 1, strcspn(where + 1, " ")) : NULL;
    const OptionRow *row = name ? option_find(name) : NULL;
    OptWords w = { .n = 0 };

    if (!row || !row->args || *error_hint_text(err)) {
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
        const char *key = text + strlen(heads[i]);
        size_t n;

        if (!g_str_has_prefix(text, heads[i]) ||
            (n = strcspn(key, "'"), !key[n]) ||
            (i && strcmp(key + n, "' is unexpected"))) {
            continue;
        }
        g_autofree char *word = g_strndup(key, n);
        const char *last = strrchr(word, '.');

        for (const OptionParam *p = row->args; p->name; p++) {
            opt_word_add(&w, p->name);
        }
        opt_suggest(&w, last ? last + 1 : word, &err);
        return;
    }
}

/* Before the others, as it says what becomes of their errors. */
static MACHINE_CALL bool find_dry_run(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i] + strspn(argv[i], "-");
        Error *err = NULL;

        if (word != argv[i] && (!strcmp(word, "dry-run") ||
                                g_str_has_prefix(word, "dry-run="))) {
            report_where(argv[i]);
            if (!dry_run_wanted(word + strlen("dry-run"), &err)) {
                error_report(err);
                return false;
            }
            report_where(NULL);
        }
    }
    return true;
}

/* Told; true: the rest is looked at nevertheless. */
static MACHINE_CALL bool tell_bad_option(const char *where, Error *err)
{
    report_where(where);
    if (!settings.dry_run) {
        option_report(err);
        return false;
    }
    dry_run_problem(err);
    report_where(NULL);
    return true;
}

int settings_parse(int argc, char **argv)
{
    if (!find_dry_run(argc, argv)) {
        return 2;
    }
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i], *arg = NULL;
        const OptionRow *row;
        char *where;
        Error *err = NULL;
        int status;
        bool ok;

        if (word[0] != '-' || !word[1]) {
            now_where = word;
            given_add(&settings.drive, "hda", word);
            continue;
        }
        word += word[1] == '-' ? 2 : 1;
        if (g_str_has_prefix(word, "dry-run=")) {
            continue;                  /* looked for before                   */
        }
        row = option_find(word);
        if (!row) {
            const char *near = option_nearest(word);

            report_where(argv[i]);
            if (option_listed(word)) {
                error_set(&err, "this build has no part that handles this "
                          "option");
                near = NULL;
            } else {
                error_set(&err, "invalid option");
            }
            if (near) {
                error_hint(&err, "Did you mean '-%s'? -help lists all "
                           "options.", near);
            }
            if (!tell_bad_option(argv[i], err)) {
                return 2;
            }
            i += i + 1 < argc && argv[i + 1][0] != '-';    /* its argument    */
            continue;
        }
        if (row->has_arg) {
            if (i + 1 >= argc) {
                report_where(argv[i]);
                error_reportf("requires an argument");
                return 2;
            }
            arg = argv[++i];
        }
        if (wants_group_help(row, arg, &status)) {
            group_help(row);
            _exit(status);
        }
        where = arg ? g_strdup_printf("-%s %s", row->name, arg)
                    : g_strdup_printf("-%s", row->name);
        now_where = where;
        report_where(where);
        option_again(row->name, arg);
        ok = option_use(row, arg, &err);
        report_where(NULL);
        if (!ok) {
            if (!tell_bad_option(where, err)) {
                return 2;
            }
        }
        now_where = "";
        g_free(where);
    }
    return 0;
}
