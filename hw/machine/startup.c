/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * startup.c - carries out the settings in the order that things depend on each
 * other: log, daemon, early objects, character devices, machine, accelerator,
 * memory, block, monitors, board, devices, tables, privileges.
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. A failure anywhere reports one line and leaves no socket, pid file or
 *    child behind: shutdown_all() undoes whatever has been done.
 */
#include <fcntl.h>
#include <glib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "accel.h"
#include "blk.h"
#include "chr.h"
#include "cpu.h"
#include "gdbstub.h"
#include "machine.h"
#include "machine-opts.h"
#include "hw/pc/mc146818.h"
#include "monitor.h"
#include "numa.h"
#include "settings.h"
#include "ui.h"
#include "net.h"
#include "x86.h"
#include "startup.h"
#include "trace.h"

/* ---- lists --------------------------------------------------------------- */

bool given_each(const GivenList *l, bool (*fn)(const char *arg,
                const char *kind, Error **errp), Error **errp)
{
    for (unsigned i = 0; i < l->n; i++) {
        const char *before = report_where(l->v[i].where);

        if (!machine_go_on(fn(l->v[i].arg, l->v[i].kind, errp), errp)) {
            /* The place stays set: the report that follows names it. */
            return false;
        }
        report_where(before);
    }
    return true;
}

static const char *given_last(const GivenList *l)
{
    return l->n ? l->v[l->n - 1].arg : NULL;
}

static void print_line(void *arg, const char *line)
{
    fprintf(arg, "%s\n", line);
}

/* ---- objects, chardevs, devices ------------------------------------------ */

typedef enum ObjPhase { OBJ_EARLY, OBJ_LATE, OBJ_AFTER_NET } ObjPhase;

static ObjPhase phase_of(const UserType *t)
{
    return t->early ? OBJ_EARLY : t->after_net ? OBJ_AFTER_NET : OBJ_LATE;
}

static MACHINE_CALL bool add_object(const char *arg, ObjPhase when, Error **errp)
{
    Opts o;
    const UserType *t;
    const char *type, *id;
    char *tname = NULL, *oid = NULL;
    bool ok = false;

    if (!opts_parse(&o, arg, "qom-type",
                    OPT_FLAT | OPT_BARE | OPT_REPEAT |
                    (when == OBJ_EARLY ? 0 : OPT_QUIET), errp)) {
        return false;
    }
    if (o.help) {
        object_help(o.obj);
        fflush(stdout);
        _exit(0);
    }
    type = json_get_str(o.obj, "qom-type");
    id = json_get_str(o.obj, "id");
    t = type ? user_type_find(type) : NULL;
    if (t ? phase_of(t) != when : when != OBJ_LATE) {
        ok = true;                     /* unknown ones: told by the late pass */
    } else if (!type) {
        ok = error_set(errp, "Parameter 'qom-type' is missing");
    } else if (!id) {
        ok = error_set(errp, "Parameter 'id' is missing");
    } else {
        tname = g_strdup(type);
        oid = g_strdup(id);
        json_free(json_take(o.obj, "qom-type"));
        json_free(json_take(o.obj, "id"));
        ok = user_obj_add(tname, oid, o.obj, o.text, errp) != NULL;
    }
    g_free(tname);
    g_free(oid);
    opts_free(&o);
    return ok;
}

static MACHINE_CALL
bool do_object_early(const char *arg, const char *kind, Error **errp)
{
    return add_object(arg, OBJ_EARLY, errp);
}

static MACHINE_CALL
bool do_object_late(const char *arg, const char *kind, Error **errp)
{
    return add_object(arg, OBJ_LATE, errp);
}

static MACHINE_CALL
bool do_object_after_net(const char *arg, const char *kind, Error **errp)
{
    return add_object(arg, OBJ_AFTER_NET, errp);
}

static MACHINE_CALL
bool do_chardev(const char *arg, const char *kind, Error **errp)
{
    Opts o;
    bool ok;

    if (!opts_parse(&o, arg, "backend", OPT_FLAT | OPT_BARE, errp)) {
        return false;
    }
    if (o.help) {
        chr_help();
        fflush(stdout);
        _exit(0);
    }
    ok = chr_add(o.obj, o.text, errp) != NULL;
    opts_free(&o);
    return ok;
}

static MACHINE_CALL
bool do_device(const char *arg, const char *kind, Error **errp)
{
    Opts o;
    bool ok;

    if (!opts_parse(&o, arg, "driver", OPT_FLAT | OPT_BARE, errp)) {
        return false;
    }
    net_take_vlan(o.obj);
    ok = device_add(o.obj, o.text, errp) != NULL;
    opts_free(&o);
    return ok;
}

/* Help needs no machine, and must not wait for one that cannot be built. */
static MACHINE_CALL
bool do_device_help(const char *arg, const char *kind, Error **errp)
{
    Opts o;
    bool ok = true;

    if (!opts_parse(&o, arg, "driver", OPT_FLAT | OPT_BARE | OPT_QUIET, errp)) {
        return false;
    }
    if (o.help) {
        Error *err = NULL;

        json_set_str(o.obj, json_get(o.obj, "driver") ? "help" : "driver",
                     "help");
        device_help(o.obj, print_line, stdout, &err);
        if (!err) {
            fflush(stdout);
            _exit(0);
        }
        error_move(errp, err);
        ok = false;
    }
    opts_free(&o);
    return ok;
}

static MACHINE_CALL
bool do_global(const char *arg, const char *kind, Error **errp)
{
    Opts o;
    const char *driver, *prop, *value;
    char *d = NULL, *p = NULL;
    bool ok;

    /* "driver.property=value" or driver=,property=,value=. */
    if (sscanf(arg, "%m[^.=].%m[^=]", &d, &p) == 2 && strchr(arg, '=') &&
        strchr(arg, '.') < strchr(arg, '=')) {
        device_global_add(d, p, strchr(arg, '=') + 1);
        free(d);
        free(p);
        return true;
    }
    free(d);
    free(p);
    if (!opts_parse(&o, arg, NULL, OPT_FLAT, errp)) {
        return false;
    }
    driver = json_get_str(o.obj, "driver");
    prop = json_get_str(o.obj, "property");
    value = json_get_str(o.obj, "value");
    ok = driver && prop && value;
    if (ok) {
        device_global_add(driver, prop, value);
    } else {
        error_set(errp, "Parameter '%s' is missing",
                  !driver ? "driver" : !prop ? "property" : "value");
    }
    opts_free(&o);
    return ok;
}

static MACHINE_CALL
bool do_drive(const char *arg, const char *kind, Error **errp)
{
    static const struct {
        const char *kind;
        DriveIf type;
        const char *extra;
    } rows[] = {
        { "hda", IF_IDE, "index=0,media=disk" },
        { "hdb", IF_IDE, "index=1,media=disk" },
        { "hdc", IF_IDE, "index=2,media=disk" },
        { "hdd", IF_IDE, "index=3,media=disk" },
        { "cdrom", IF_IDE, "index=2,media=cdrom" },
        { "fda", IF_FLOPPY, "index=0" },
        { "fdb", IF_FLOPPY, "index=1" },
        { "pflash", IF_PFLASH, NULL },
        { "mtdblock", IF_MTD, NULL },
        { "sd", IF_SD, NULL },
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (!strcmp(rows[i].kind, kind)) {
            char *esc = opt_escape(arg);
            char *text = g_strdup_printf("file=%s%s", esc, settings.snapshot
                                         ? ",snapshot=on" : "");
            bool ok = drive_add(text, rows[i].type, rows[i].extra, errp);

            g_free(esc);
            g_free(text);
            return ok;
        }
    }
    /* A drive that says snapshot=off keeps that. */
    return drive_add(arg, IF_DEFAULT, settings.snapshot &&
                     !strstr(arg, "snapshot=") ? "snapshot=on" : NULL,
                     errp) != NULL;
}

static MACHINE_CALL
bool do_blockdev(const char *arg, const char *kind, Error **errp)
{
    Opts o;
    bool ok;

    if (!opts_parse(&o, arg, "driver", 0, errp)) {
        return false;
    }
    ok = blk_blockdev_add(o.obj, o.text, errp);
    opts_free(&o);
    return ok;
}

static MACHINE_CALL bool do_mon(const char *arg, const char *kind, Error **errp)
{
    return mon_option(kind, arg, errp);
}

/* ---- log, daemon, pid file ----------------------------------------------- */

static int daemon_pipe = -1;
static char *pidfile_made;

static bool do_trace(const char *arg, const char *kind, Error **errp)
{
    return trace_option(arg, errp);
}

static MACHINE_CALL bool start_log(Error **errp)
{
    if (settings.log_items && (!strcmp(settings.log_items, "help") ||
                               !strcmp(settings.log_items, "?"))) {
        log_set_mask("help", NULL);
        fflush(stdout);
        _exit(1);
    }
    return machine_go_on(!settings.log_file ||
                         log_set_file(settings.log_file, errp), errp) &&
           machine_go_on(!settings.log_items ||
                         log_set_mask(settings.log_items, errp), errp) &&
           given_each(&settings.trace, do_trace, errp);
}

/* The parent stays until the child says that the machine stands, so that its
 * exit status tells a script whether it does. */
static bool daemon_start(Error **errp)
{
    int fds[2];
    pid_t pid;
    uint8_t status = 1;

    if (pipe2(fds, O_CLOEXEC) < 0) {
        return error_set_errno(errp, errno, "cannot make a pipe");
    }
    pid = fork();
    if (pid < 0) {
        return error_set_errno(errp, errno, "cannot fork");
    }
    if (pid > 0) {
        ssize_t n;

        close(fds[1]);
        do {
            n = read(fds[0], &status, 1);
        } while (n < 0 && errno == EINTR);
        _exit(n == 1 && status == 0 ? 0 : 1);
    }
    close(fds[0]);
    daemon_pipe = fds[1];
    setsid();
    pid = fork();
    if (pid > 0) {
        _exit(0);
    }
    if (pid < 0) {
        return error_set_errno(errp, errno, "cannot fork");
    }
    umask(027);
    return true;
}

static void daemon_done(void)
{
    uint8_t status = 0;
    int fd;

    if (daemon_pipe < 0) {
        return;
    }
    if (chdir("/")) {
        warn_report("cannot change to /: %s", strerror(errno));
    }
    fd = open("/dev/null", O_RDWR);
    if (fd >= 0) {
        dup2(fd, 0);
        dup2(fd, 1);
        if (!settings.log_file) {
            dup2(fd, 2);
        }
        if (fd > 2) {
            close(fd);
        }
    }
    while (write(daemon_pipe, &status, 1) < 0 && errno == EINTR) {
    }
    close(daemon_pipe);
    daemon_pipe = -1;
}

/* Locked so that two machines never share one; rewritten when stale. */
static bool pidfile_make(const char *path, Error **errp)
{
    char text[24];
    int fd, n;
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

    fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) {
        return error_set(errp, "cannot create PID file: Could not create '%s': "
                         "%s", path, strerror(errno));
    }
    if (fcntl(fd, F_SETLK, &lock) < 0) {
        close(fd);
        return error_set(errp, "cannot create PID file: Cannot lock pid file: "
                         "%s", strerror(errno));
    }
    n = snprintf(text, sizeof(text), "%d\n", getpid());
    if (ftruncate(fd, 0) < 0 || write(fd, text, n) != n) {
        close(fd);
        unlink(path);
        return error_set(errp, "cannot create PID file: Failed to write pid "
                         "file: %s", strerror(errno));
    }
    pidfile_made = realpath(path, NULL);
    return true;
}

/* ---- machine ------------------------------------------------------------- */

static MACHINE_CALL bool machine_choose(Json **opts, Error **errp)
{
    const MachineType *t;
    Json *all = json_obj();
    const char *name;
    bool ok = true;

    for (unsigned i = 0; ok && i < settings.machine.n; i++) {
        Opts o;

        report_where(settings.machine.v[i].where);
        ok = opts_parse(&o, settings.machine.v[i].arg, "type", 0, errp);
        if (!ok) {
            ok = machine_go_on(false, errp);
            continue;
        }
        name = json_get_str(o.obj, "type");
        if (o.help || (name && !strcmp(name, "help"))) {
            if (name && machine_type_find(name)) {
                machine_props_help(machine_type_find(name));
            } else {
                machine_help();
            }
            fflush(stdout);
            _exit(0);
        }
        while (json_count(o.obj)) {
            char *k = g_strdup(json_key_at(o.obj, 0));

            json_merge(all, k, json_take(o.obj, k));
            g_free(k);
        }
        opts_free(&o);
        report_where(NULL);
    }
    if (!ok) {
        json_free(all);
        return false;
    }
    name = json_get_str(all, "type");
    t = name ? machine_type_find(name) : machine_type_default();
    if (!t && (g_str_has_prefix(name, "rhel5.") ||
               g_str_has_prefix(name, "rhel6."))) {
        t = machine_type_find("pc");
        warn_report("machine type '%s' is another product's: '%s' is used",
                    name, t->name);
    }
    if (!t) {
        OptWords w = { .n = 0 };

        SET_EACH(machine_types, MachineType, m) {
            opt_word_add(&w, (*m)->name);
            opt_word_add(&w, (*m)->alias);
        }
        error_set(errp, "unsupported machine type");
        opt_suggest(&w, name ? name : "", errp);
        error_hint(errp, "Use -machine help to list supported machines");
        t = machine_type_default();
        if (!machine_go_on(false, errp) || !t) {
            json_free(all);
            return false;
        }
    }
    json_free(json_take(all, "type"));
    machine = machine_new(t);
    obj_put(obj_root(), "machine", &machine->obj);
    *opts = all;
    return true;
}

static MACHINE_CALL bool do_rtc(const char *arg, const char *kind, Error **errp)
{
    return rtc_option(arg, errp);
}

static bool set_boot(const char *arg, const char *kind, Error **errp)
    MACHINE_CALL;
static bool set_boot(const char *arg, const char *kind, Error **errp)
{
    report_where(NULL);
    if (machine_boot_set(machine, arg, errp)) {
        return true;
    }
    option_suggest("-boot", *errp);
    return false;
}

static bool set_memory(const char *arg, const char *kind, Error **errp)
    MACHINE_CALL;
static bool set_memory(const char *arg, const char *kind, Error **errp)
{
    return machine_memory_set(machine, arg, errp);
}

static bool set_topology(Error **errp) MACHINE_CALL;
static bool set_topology(Error **errp)
{
    if (!settings.smp.n) {
        return true;
    }
    report_where(settings.smp.v[settings.smp.n - 1].where);
    if (!machine_smp_set(machine, given_last(&settings.smp), errp)) {
        return machine_go_on(false, errp);
    }
    report_where(NULL);
    return true;
}

/* The short options that are properties of the machine. */
static bool set_short(Error **errp) MACHINE_CALL;
static bool set_short(Error **errp)
{
    const struct { bool given; const char *name; } rows[] = {
        { settings.no_acpi, "acpi" }, { settings.no_hpet, "hpet" },
        { settings.no_fd_bootchk, "fd-bootchk" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (!machine_go_on(!rows[i].given ||
                           obj_set_text(&machine->obj, rows[i].name, "off",
                                        errp), errp)) {
            return false;
        }
    }
    return true;
}

static MACHINE_CALL bool machine_configure(Json *opts, Error **errp)
{
    Machine *m = machine;

    if (settings.kernel) {
        m->kernel = g_strdup(settings.kernel);
    }
    if (settings.initrd) {
        m->initrd = g_strdup(settings.initrd);
    }
    if (settings.append) {
        m->append = g_strdup(settings.append);
    }
    if (settings.bios) {
        m->firmware = g_strdup(settings.bios);
    }
    if (settings.nographic) {
        m->graphics = false;
    }
    if (!set_short(errp) || !given_each(&settings.boot, set_boot, errp) ||
        !set_topology(errp) ||
        !given_each(&settings.m, set_memory, errp)) {
        return false;
    }
    if (settings.cpu.n) {
        g_free(m->cpu_model);
        m->cpu_model = g_strdup(given_last(&settings.cpu));
    }
    m->mem_path = g_strdup(settings.mem_path);
    m->mem_prealloc = settings.mem_prealloc;
    return machine_apply(m, opts, errp);
}

/* Monitors are there before the machine, which waits for x-exit-preconfig. */
static MACHINE_CALL bool serve_early(Error **errp)
{
    if (!settings.preconfig || settings.dry_run || settings.print_config) {
        return true;
    }
    if (!given_each(&settings.mon, do_mon, errp)) {
        return false;
    }
    settings.mon.n = 0;
    if (!mon_preconfig()) {
        shutdown_all();
        exit(exit_status);
    }
    return true;
}

/* An accelerator; under -dry-run one that always works in the place of one that
 * does not. */
static MACHINE_CALL bool start_accel(Error **errp)
{
    bool help;

    if (accel_start(machine, errp)) {
        start_idle_options();
        return true;
    }
    if (!machine_go_on(false, errp)) {
        return false;
    }
    accel_stop();
    g_free(machine->accel_list);
    machine->accel_list = NULL;
    return accel_option("qtest", &help, errp) && accel_start(machine, errp);
}

/* The same: as much memory as the machine has by itself. */
static MACHINE_CALL bool start_memory(Error **errp)
{
    Machine *m = machine;

    if (machine_memory_make(m, errp)) {
        return true;
    }
    if (!machine_go_on(false, errp)) {
        return false;
    }
    m->ram_size = m->maxram_size = m->type->default_ram;
    m->ram_slots = 0;
    g_free(m->memory_backend);
    g_free(m->mem_path);
    m->memory_backend = m->mem_path = NULL;
    return machine_memory_make(m, errp);
}

/* ---- the whole of it ----------------------------------------------------- */

static void on_signal(void *arg, int signo, pid_t from)
{
    request_shutdown(WHY_HOST_SIGNAL);
}

static MACHINE_CALL
bool do_accel(const char *arg, const char *kind, Error **errp)
{
    bool help;

    if (!accel_option(arg, &help, errp)) {
        return false;
    }
    if (help) {
        fflush(stdout);
        _exit(0);
    }
    return true;
}

/* Only the last -cpu counts, but each may ask for help. */
static MACHINE_CALL
bool do_cpu_help(const char *arg, const char *kind, Error **errp)
{
    bool help = false;

    if ((strcmp(arg, "help") == 0 || strcmp(arg, "?") == 0) &&
        x86_cpu_option(arg, &help, errp) && help) {
        fflush(stdout);
        _exit(0);
    }
    return true;
}

static MACHINE_CALL bool do_display(const char *arg, const char *kind,
                                    Error **errp)
{
    return display_option(arg, errp);
}

static MACHINE_CALL bool do_vnc(const char *arg, const char *kind, Error **errp)
{
    return vnc_option(arg, errp);
}

static MACHINE_CALL bool do_audiodev(const char *arg, const char *kind,
                                     Error **errp)
{
    return audiodev_option(arg, errp);
}

static MACHINE_CALL bool start_backends(Error **errp)
{
    return given_each(&settings.blockdev, do_blockdev, errp) &&
           given_each(&settings.drive, do_drive, errp) &&
           machine_go_on(default_drives(errp), errp) &&
           given_each(&settings.mon, do_mon, errp) &&
           machine_go_on(start_serials(errp), errp) &&
           machine_go_on(start_qtest(errp), errp) &&
           machine_go_on(start_net(errp), errp) &&
           given_each(&settings.object, do_object_after_net, errp);
}

static MACHINE_CALL bool start_boards(Json *mopts, Error **errp)
{
    const char *accel_list = json_get_str(mopts, "accel");

    machine->accel_list = g_strdup(accel_list);
    if ((settings.enable_kvm &&
         !machine_go_on(do_accel("kvm", NULL, errp), errp)) ||
        !given_each(&settings.accel, do_accel, errp) ||
        !machine_configure(mopts, errp)) {
        return false;
    }
    obj_dir("machine/peripheral");
    obj_dir("machine/peripheral-anon");
    obj_dir("machine/unattached");
    if (!start_accel(errp) ||
        !given_each(&settings.object, do_object_late, errp) ||
        !given_each(&settings.numa, numa_option, errp) ||
        !serve_early(errp) || !start_memory(errp) || !start_backends(errp) ||
        !machine->type->build(machine, errp)) {
        return false;
    }
    return machine_go_on(net_make_cards(errp), errp) &&
           given_each(&settings.device, do_device, errp) &&
           machine_go_on(start_virtio_drives(errp), errp) &&
           machine_go_on(start_leftovers(errp), errp) &&
           given_each(&settings.vnc, do_vnc, errp) &&
           machine_go_on(display_start(!settings.nographic, errp), errp) &&
           (!machine->type->ready || machine->type->ready(machine, errp));
}

static MACHINE_CALL bool do_gdb(const char *arg, const char *kind, Error **errp)
{
    return gdbserver_start(arg, errp);
}

/* The machine is built and goes again. */
static bool only_check(void)
{
    return settings.dry_run || settings.print_config;
}

bool startup(Error **errp)
{
    Json *mopts = NULL;
    bool ok;

    if (!start_writeconfig(errp) || !start_log(errp) ||
        (settings.daemonize && !only_check() && !daemon_start(errp)) ||
        (settings.pidfile && !only_check() && !pidfile_make(settings.pidfile, errp)) ||
        !machine_choose(&mopts, errp) ||
        !machine_go_on(start_refusals(errp), errp) ||
        !machine_go_on(start_contradictions(errp), errp)) {
        json_free(mopts);
        return false;
    }
    if (settings.nodefaults || machine->type->no_cpus) {
        settings.no_default_serial = settings.no_default_parallel =
            settings.no_default_monitor = settings.no_default_net =
            settings.no_default_floppy = settings.no_default_cdrom =
            settings.no_default_vga = true;
    }
    ok = given_each(&settings.cpu, do_cpu_help, errp) &&
         given_each(&settings.device, do_device_help, errp) &&
         given_each(&settings.global, do_global, errp) &&
         given_each(&settings.object, do_object_early, errp) &&
         given_each(&settings.display, do_display, errp) &&
         given_each(&settings.audiodev, do_audiodev, errp) &&
         given_each(&settings.rtc, do_rtc, errp) &&
         machine_go_on(default_chardevs(errp), errp) &&
         given_each(&settings.chardev, do_chardev, errp) &&
         start_boards(mopts, errp);
    json_free(mopts);
    if (!ok) {
        return false;
    }
    device_globals_check();
    net_check();
    if (only_check()) {
        return !settings.print_config || print_config(errp);
    }
    machine->ready = true;
    devices_reset(RESET_COLD);
    loop_signal(SIGTERM, on_signal, NULL);
    loop_signal(SIGINT, on_signal, NULL);
    loop_signal(SIGHUP, on_signal, NULL);
    if (!given_each(&settings.gdb, do_gdb, errp) || !start_confined(errp)) {
        return false;
    }
    daemon_done();
    return settings.stopped || vm_start(errp);
}

void shutdown_all(void)
{
    if (machine) {
        vm_stop_for_exit();
    }
    notify_call(&exit_notify, NULL);
    display_exit();
    mon_fini();
    blk_drain_all();
    blk_flush_all();
    net_exit();
    chr_close_all();
    if (pidfile_made) {
        unlink(pidfile_made);
        free(pidfile_made);
        pidfile_made = NULL;
    }
}
