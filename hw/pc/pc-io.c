/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pc-io.c - the pc's ports to people and disks: serial, parallel, debug console,
 * floppy, display, ISA disks, as the options ask.
 *
 * Thread class: machine lock.
 */
#include "blk.h"
#include "chr.h"
#include "opt.h"
#include "pc-board.h"
#include "settings.h"

/* Creates a board device on the ISA bus with its chardev. */
static MACHINE_CALL
bool isa_chr(Pc *p, const char *type, CharPort *port, int index,
                    Error **errp)
{
    Device *d = device_new(type, errp);

    if (!d) {
        return false;
    }
    if (index >= 0) {
        device_set_int(d, "index", index);
    }
    if (!device_set(d, "chardev", port->label, errp) ||
        !device_realize(d, &p->isa->bus, errp)) {
        device_free(d);
        return false;
    }
    return true;
}

bool pc_serials(Pc *p, Error **errp)
{
    for (int i = 0; i < 4; i++) {
        if (serial_ports[i] &&
            !isa_chr(p, "isa-serial", serial_ports[i], i, errp)) {
            return false;
        }
    }
    for (int i = 0; i < 3; i++) {
        if (parallel_ports[i] &&
            !isa_chr(p, "isa-parallel", parallel_ports[i], i, errp)) {
            return false;
        }
    }
    return !debugcon_port ||
           isa_chr(p, "isa-debugcon", debugcon_port, -1, errp);
}

bool pc_floppies(Pc *p, Error **errp)
{
    Device *d;
    Drive *drive;

    if (!device_type_find("isa-fdc")) {
        return true;
    }
    d = device_make("isa-fdc");
    if (!device_realize(d, &p->isa->bus, errp)) {
        device_free(d);
        return false;
    }
    for (int i = 0; i < 2; i++) {
        Device *f;

        drive = drive_find(IF_FLOPPY, 0, i);
        if (!drive) {
            continue;
        }
        f = device_make("floppy");
        device_set_int(f, "unit", i);
        if (!device_set(f, "drive", drive->id, errp) ||
            !device_realize(f, d->children, errp)) {
            device_free(f);
            return false;
        }
        drive->claimed = true;
    }
    return true;
}

bool pc_display(Pc *p, Error **errp)
{
    const char *name = settings.vga.n
        ? settings.vga.v[settings.vga.n - 1].arg
        : settings.no_default_vga ? "none" : "std";
    static const struct {
        const char *name, *pci, *isa;
    } rows[] = {
        { "std", "VGA", "isa-vga" }, { "cirrus", "cirrus-vga",
          "isa-cirrus-vga" }, { "virtio", "virtio-vga", NULL },
        { "qxl", "qxl-vga", NULL }, { "vmware", "vmware-svga", NULL },
    };

    OptWords w = { .n = 0 };

    if (!strcmp(name, "none")) {
        return true;
    }
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const char *type = p->is_isapc ? rows[i].isa : rows[i].pci;
        Device *d;

        if (strcmp(rows[i].name, name)) {
            continue;
        }
        if (!type || !device_type_find(type)) {
            return !settings.vga.n ||
                   error_set(errp, "%s not available", name);
        }
        d = device_make(type);
        if (!device_realize(d, p->is_isapc ? &p->isa->bus : &p->pci->bus,
                            errp)) {
            device_free(d);
            return false;
        }
        return true;
    }
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        opt_word_add(&w, rows[i].name);
    }
    error_set(errp, "unknown vga type: %s", name);
    return opt_suggest(&w, name, errp);
}

bool pc_isa_disks(Pc *p, Error **errp)
{
    for (int i = 0; i < 2; i++) {
        if (!isa_ide_create(p->isa, i, errp)) {
            return false;
        }
    }
    return true;
}
