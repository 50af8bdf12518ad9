/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * defaults.c - what a machine has when the user named nothing: console ports,
 * removable drives, a monitor; and the ports named by -serial, -parallel,
 * -debugcon, -qtest.
 *
 * Thread class: machine lock.
 */
#include <glib.h>
#include "blk.h"
#include "chr.h"
#include "machine.h"
#include "monitor.h"
#include "startup.h"

CharPort *serial_ports[4], *parallel_ports[3], *debugcon_port;

bool default_chardevs(Error **errp)
{
    const char *console;
    bool serial = !settings.no_default_serial;
    bool parallel = !settings.no_default_parallel;
    bool monitor = !settings.no_default_monitor;

    /* A -device that is a serial port replaces the default one. */
    for (unsigned i = 0; i < settings.device.n; i++) {
        const char *a = settings.device.v[i].arg;

        if (!strncmp(a, "isa-serial", 10)) {
            serial = false;
        } else if (!strncmp(a, "isa-parallel", 12)) {
            parallel = false;
        } else if (!strncmp(a, "isa-fdc", 7) || !strncmp(a, "floppy", 6)) {
            settings.no_default_floppy = true;
        } else if (!strncmp(a, "ide-cd", 6) || !strncmp(a, "ide-hd", 6) ||
                   !strncmp(a, "scsi-cd", 7)) {
            settings.no_default_cdrom = true;
        } else if (!strncmp(a, "VGA", 3) || strstr(a, "vga")) {
            settings.no_default_vga = true;
        }
    }
    if (settings.nographic) {
        if (serial && monitor) {
            given_add(&settings.serial, "serial", "mon:stdio");
            serial = monitor = false;
        } else if (serial) {
            given_add(&settings.serial, "serial", "stdio");
            serial = false;
        } else if (monitor) {
            given_add(&settings.mon, "monitor", "stdio");
            monitor = false;
        }
        if (parallel) {
            given_add(&settings.parallel, "parallel", "null");
            parallel = false;
        }
    }
    console = "vc:80Cx24C";
    if (serial) {
        given_add(&settings.serial, "serial", console);
    }
    if (parallel) {
        given_add(&settings.parallel, "parallel", console);
    }
    if (monitor) {
        given_add(&settings.mon, "monitor", console);
    }
    return true;
}

static bool drive_given(const char *kind)
{
    for (unsigned i = 0; i < settings.drive.n; i++) {
        if (!strcmp(settings.drive.v[i].kind, kind)) {
            return true;
        }
    }
    return false;
}

bool default_drives(Error **errp)
{
    if (!settings.no_default_cdrom && !drive_find(IF_IDE, 1, 0) &&
        !drive_given("cdrom") && !machine->type->no_cpus) {
        Drive *d = drive_add("media=cdrom,if=ide,index=2", IF_IDE, NULL, errp);

        if (!d) {
            return false;
        }
        d->is_default = true;
    }
    if (!settings.no_default_floppy && !drive_find(IF_FLOPPY, 0, 0) &&
        !machine->type->no_cpus) {
        Drive *d = drive_add("if=floppy,index=0", IF_FLOPPY, NULL, errp);

        if (!d) {
            return false;
        }
        d->is_default = true;
    }
    return true;
}

/* "none" leaves its slot empty, so that the next is COM2. */
static MACHINE_CALL
bool open_ports(GivenList *l, const char *base, CharPort **slots,
                       unsigned nslots, Error **errp)
{
    for (unsigned i = 0; i < l->n; i++) {
        char label[16];

        report_where(l->v[i].where && *l->v[i].where ? l->v[i].where : NULL);
        if (!strcmp(l->v[i].arg, "none")) {
            continue;
        }
        if (i >= nslots) {
            return error_set(errp, "too many %s ports: the board has %u",
                             base, nslots);
        }
        snprintf(label, sizeof(label), "%s%u", base, i);
        slots[i] = chr_new_short(label, l->v[i].arg, true, errp);
        if (!slots[i]) {
            error_hint(errp, "could not connect %s device to character "
                       "backend '%s'", base, l->v[i].arg);
            return false;
        }
    }
    report_where(NULL);
    return true;
}

bool start_serials(Error **errp)
{
    return open_ports(&settings.serial, "serial", serial_ports,
                      ARRAY_SIZE(serial_ports), errp) &&
           open_ports(&settings.parallel, "parallel", parallel_ports,
                      ARRAY_SIZE(parallel_ports), errp) &&
           open_ports(&settings.debugcon, "debugcon", &debugcon_port, 1, errp);
}
