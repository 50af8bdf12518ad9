/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * groups.c - uses of options as groups of key and value: -set changes one,
 * -writeconfig writes them in the form that -readconfig takes, -add-fd; and
 * refusals of what the rest of the program would pass over in silence.
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. No option is accepted without an effect: it is carried out, refused with
 *    an error, or answered with a warning.
 */
#include <fcntl.h>
#include <glib.h>
#include <unistd.h>
#include "accel.h"
#include "blk.h"
#include "core/fdset.h"
#include "machine.h"
#include "mem-opts.h"
#include "monitor.h"
#include "startup.h"
#include "schema/schema.h"

static GivenList *const lists[] = {
    &settings.machine, &settings.accel, &settings.smp, &settings.m,
    &settings.boot, &settings.rtc, &settings.object, &settings.chardev,
    &settings.drive, &settings.netdev, &settings.device, &settings.mon,
    &settings.global, &settings.fw_cfg, &settings.acpitable, &settings.smbios,
    &settings.option_rom, &settings.sandbox, &settings.trace, &settings.numa,
};

/* ---- text of one use ----------------------------------------------------- */

typedef bool PieceFn(const char *key, const char *value, void *arg,
                     Error **errp);

/* Calls fn for each key=value of option text; values have single commas. */
static bool pieces(const char *text, const char *implied, PieceFn *fn,
                   void *arg, Error **errp)
{
    bool ok = true;

    while (ok && *text) {
        g_autoptr(GString) s = g_string_new(NULL);
        char *eq;

        for (; *text && (*text != ',' || text[1] == ','); text++) {
            g_string_append_c(s, *text);
            text += *text == ',';
        }
        text += *text == ',';
        eq = strchr(s->str, '=');
        if (eq) {
            *eq = '\0';
            ok = fn(s->str, eq + 1, arg, errp);
        } else if (implied) {
            ok = fn(implied, s->str, arg, errp);
        } else {
            ok = fn(s->str, "on", arg, errp);
        }
        implied = NULL;
    }
    return ok;
}

static bool take_id(const char *key, const char *value, void *arg,
                    Error **errp)
{
    char **id = arg;

    if (!strcmp(key, "id")) {
        g_free(*id);
        *id = g_strdup(value);
    }
    return true;
}

/* The option whose group the use belongs to; NULL: none, or JSON. */
static const OptionRow *use_row(const Given *g)
{
    const OptionRow *row = g->kind ? option_find(g->kind) : NULL;

    return row && row->group && g->arg && *g->arg != '{' ? row : NULL;
}

static char *use_id(const Given *g, const OptionRow *row)
{
    char *id = NULL;

    pieces(g->arg, row->implied, take_id, &id, NULL);
    return id;
}

/* ---- -set ---------------------------------------------------------------- */

static Given *use_find(const char *group, const char *id)
{
    for (size_t k = 0; k < ARRAY_SIZE(lists); k++) {
        for (unsigned i = 0; i < lists[k]->n; i++) {
            Given *g = &lists[k]->v[i];
            const OptionRow *row = use_row(g);
            g_autofree char *have = NULL;

            if (!row || strcmp(row->group, group)) {
                continue;
            }
            have = use_id(g, row);
            if (have && !strcmp(have, id)) {
                return g;
            }
        }
    }
    return NULL;
}

static bool group_known(const char *group)
{
    for (const OptionRow *r = option_rows; r->name; r++) {
        if (r->group && !strcmp(r->group, group)) {
            return true;
        }
    }
    return false;
}

/* The later mention of a key counts, so the value is put at the end. */
bool cli_set(const char *arg, Error **errp)
{
    char group[64], id[64], key[64], *esc, *text;
    int at = 0;
    Given *g;

    if (sscanf(arg, "%63[^.].%63[^.].%63[^=]%n", group, id, key, &at) < 3 ||
        arg[at] != '=') {
        return error_set(errp, "can't parse: \"%s\"", arg);
    }
    if (!group_known(group)) {
        return error_set(errp, "There is no option group '%s'", group);
    }
    g = use_find(group, id);
    if (!g) {
        return error_set(errp, "there is no %s \"%s\" defined", group, id);
    }
    esc = opt_escape(arg + at + 1);
    text = g_strdup_printf("%s,%s=%s", g->arg, key, esc);
    g_free(esc);
    g_free(g->arg);
    g->arg = text;
    return true;
}

/* ---- -writeconfig -------------------------------------------------------- */

static bool write_piece(const char *key, const char *value, void *arg,
                        Error **errp)
{
    if (strpbrk(value, "\"\n")) {
        return error_set(errp, "a configuration file cannot hold the value of "
                         "'%s': it has a quotation mark or a line end", key);
    }
    if (strcmp(key, "id")) {
        fprintf(arg, "  %s = \"%s\"\n", key, value);
    }
    return true;
}

/* -hda FILE and its like stand for -drive. */
static const char *drive_short(const char *kind)
{
    static const char *const rows[][2] = {
        { "hda", "if=ide,index=0,media=disk" },
        { "hdb", "if=ide,index=1,media=disk" },
        { "hdc", "if=ide,index=2,media=disk" },
        { "hdd", "if=ide,index=3,media=disk" },
        { "cdrom", "if=ide,index=2,media=cdrom" },
        { "fda", "if=floppy,index=0" }, { "fdb", "if=floppy,index=1" },
        { "pflash", "if=pflash" }, { "sd", "if=sd" }, { "mtdblock", "if=mtd" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (!strcmp(rows[i][0], kind)) {
            return rows[i][1];
        }
    }
    return NULL;
}

static bool write_use(FILE *f, const Given *g, Error **errp)
{
    const OptionRow *row = use_row(g);
    const char *drive = drive_short(g->kind ? g->kind : "");
    g_autofree char *id = NULL;
    bool ok;

    if (drive) {
        fprintf(f, "[drive]\n");
        ok = write_piece("file", g->arg, f, errp) &&
             pieces(drive, NULL, write_piece, f, errp);
    } else if (!row) {
        warn_report("%s: not in the configuration file, which holds options "
                    "of the form key=value", g->where);
        return true;
    } else {
        id = use_id(g, row);
        if (id) {
            fprintf(f, "[%s \"%s\"]\n", row->group, id);
        } else {
            fprintf(f, "[%s]\n", row->group);
        }
        ok = pieces(g->arg, row->implied, write_piece, f, errp);
    }
    fprintf(f, "\n");
    return ok;
}

/* Lists that print_config tells from the machine itself. */
static bool list_effective(const GivenList *l)
{
    return l != &settings.machine && l != &settings.smp && l != &settings.m &&
           l != &settings.boot && l != &settings.accel &&
           l != &settings.device && l != &settings.netdev &&
           l != &settings.mon && l != &settings.global;
}

bool groups_write(FILE *f, bool effective, Error **errp)
{
    bool ok = true;

    for (size_t k = 0; ok && k < ARRAY_SIZE(lists); k++) {
        for (unsigned i = 0; ok && i < lists[k]->n &&
                             (!effective || list_effective(lists[k])); i++) {
            ok = write_use(f, &lists[k]->v[i], errp);
        }
    }
    return ok;
}

static MACHINE_CALL bool write_config(const char *name, const char *kind,
                                      Error **errp)
{
    bool to_stdout = !strcmp(name, "-"), ok = true;
    FILE *f = to_stdout ? stdout : fopen(name, "w");

    if (!f) {
        return error_set(errp, "Could not open '%s': %s", name,
                         strerror(errno));
    }
    fprintf(f, "# qemu config file\n\n");
    ok = groups_write(f, false, errp);
    if (ok && (fflush(f) || ferror(f))) {
        ok = error_set(errp, "Could not write '%s': %s", name,
                       strerror(errno));
    }
    if (!to_stdout) {
        fclose(f);
    }
    return ok;
}

bool start_writeconfig(Error **errp)
{
    return given_each(&settings.writeconfig, write_config, errp);
}

/* ---- -add-fd ------------------------------------------------------------- */

/* A descriptor that this program opened itself closes on exec; one that was
 * inherited does not. */
static bool fd_inherited(int64_t fd)
{
    int flags = fd <= INT32_MAX ? fcntl(fd, F_GETFD) : -1;

    return flags >= 0 && !(flags & FD_CLOEXEC);
}

bool cli_add_fd(const char *arg, Error **errp)
{
    Opts o;
    int64_t fd = -1, set = -1, got;
    const char *s, *opaque;
    int copy;
    bool ok = true;

    if (!opts_parse(&o, arg, NULL, OPT_FLAT, errp)) {
        return false;
    }
    for (size_t i = 0; ok && i < json_count(o.obj); i++) {
        const char *k = json_key_at(o.obj, i);

        s = json_str_of(json_value_at(o.obj, i));
        if (!strcmp(k, "fd") || !strcmp(k, "set")) {
            ok = opt_i64(k, s, *k == 'f' ? &fd : &set, errp);
        } else if (strcmp(k, "opaque")) {
            ok = error_set(errp, "Invalid parameter '%s'", k);
        }
    }
    if (ok && fd < 0) {
        ok = error_set(errp, "fd option is required and must be non-negative");
    } else if (ok && fd <= STDERR_FILENO) {
        ok = error_set(errp, "fd cannot be a standard I/O stream");
    } else if (ok && !fd_inherited(fd)) {
        ok = error_set(errp, "fd is not valid or already in use");
    } else if (ok && set < 0) {
        ok = error_set(errp, "set option is required and must be "
                       "non-negative");
    }
    opaque = json_get_str(o.obj, "opaque");
    copy = ok ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (ok && copy < 0) {
        ok = error_set(errp, "error duplicating fd: %s", strerror(errno));
    }
    if (ok && !fdset_add(copy, true, set, opaque, &got, errp)) {
        close(copy);
        ok = false;
    }
    opts_free(&o);
    return ok;
}

/* ---- what has no effect, and must not pass ------------------------------- */

static bool refuse_icount(const char *arg, const char *kind, Error **errp)
{
    return accel_is("kvm")
        ? error_set(errp, "-icount is not allowed with hardware "
                    "virtualization")
        : error_set(errp, "the accelerator does not count instructions");
}

bool cli_compat(const char *arg, Error **errp)
{
    static const char *const names[] = {
        "deprecated-input", "deprecated-output", "unstable-input",
        "unstable-output",
    };
    Opts o;
    bool ok = true;

    if (!opts_parse(&o, arg, NULL, OPT_FLAT, errp)) {
        return false;
    }
    for (size_t i = 0; ok && i < json_count(o.obj); i++) {
        const char *k = json_key_at(o.obj, i);
        const char *s = json_str_of(json_value_at(o.obj, i));
        size_t n = 0;

        while (n < ARRAY_SIZE(names) && strcmp(names[n], k)) {
            n++;
        }
        if (n == ARRAY_SIZE(names)) {
            ok = error_set(errp, "Parameter '%s' is unexpected", k);
        } else if (strcmp(s, "accept")) {
            ok = error_set(errp, "Parameter '%s' does not accept value '%s'",
                           k, s);
            error_hint(errp, "The only policy is 'accept'.");
        }
    }
    opts_free(&o);
    return ok;
}

bool cli_win2k_hack(const char *arg, Error **errp)
{
    warn_report("no effect: the IDE disk has no such mode");
    return true;
}

bool cli_full_screen(const char *arg, Error **errp)
{
    warn_report("no effect: there is no window");
    return true;
}

/* Before anything is built. */
bool start_refusals(Error **errp)
{
    if (settings.l_help) {
        firmware_print_path();
        _exit(0);
    }
    if (settings.dtb) {
        report_where("-dtb");
        return error_set(errp, "a PC passes no device tree to its kernel");
    }
    if (settings.cpu_pm) {
        warn_report("-overcommit cpu-pm=on: no effect: guests' HLT and MWAIT "
                    "always return to the host");
    }
    return !settings.mem_lock || mem_lock_all(errp);
}

static MACHINE_CALL bool plug_virtio_drive(Drive *d, void *arg)
{
    const char *before;
    Json *opts;
    bool ok;

    if (d->type != IF_VIRTIO) {
        return true;
    }
    opts = json_obj();
    json_set_str(opts, "driver", "virtio-blk-pci");
    json_set_str(opts, "drive", d->id);
    if (d->addr) {
        json_set_str(opts, "addr", d->addr);
    }
    before = report_where(d->where);
    ok = device_add(opts, true, arg) != NULL;
    d->claimed = true;
    json_free(opts);
    if (ok) {                          /* else the report names the option    */
        report_where(before);
    }
    return ok;
}

/* -drive if=virtio is a -device as well, after those that were given. */
bool start_virtio_drives(Error **errp)
{
    Error *err = NULL;

    drive_each(plug_virtio_drive, &err);
    if (err) {
        error_move(errp, err);
        return false;
    }
    return true;
}

static bool drive_used(Drive *d, void *arg)
{
    static const char *const names[IF_COUNT] = {
        "none", "ide", "scsi", "floppy", "pflash", "mtd", "sd", "virtio",
        "xen",
    };

    if (d->type == IF_NONE || d->claimed || d->is_default) {
        return true;
    }
    report_where(d->where);            /* the report names the option         */
    return error_set(arg, "machine type does not support if=%s,bus=%d,unit=%d",
                     names[d->type], d->bus, d->unit);
}

static bool device_saved(Device *d, void *arg)
{
    if (d->type->vmstate) {
        return true;
    }
    return error_set(arg, "Device %s is not migratable, but "
                     "--only-migratable was specified", d->type->name);
}

/* After the board and -device. */
bool start_leftovers(Error **errp)
{
    Error *err = NULL;

    if (!given_each(&settings.icount, refuse_icount, errp)) {
        return false;
    }
    if (!machine->type->no_cpus) {
        drive_each(drive_used, &err);
    }
    if (!err && settings.only_migratable) {
        device_each(device_saved, &err);
    }
    if (err) {
        error_move(errp, err);
        return false;
    }
    return true;
}
