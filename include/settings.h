/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * settings.h - what the command line said, as recorded by the option handlers
 * and carried out by start-up (hw/machine/startup.c). MACHINE_CALL.
 */
#ifndef TERN_SETTINGS_H
#define TERN_SETTINGS_H

#include "opt.h"

/* One use of an option; `where` is "-device foo", for messages. */
typedef struct Given {
    char *where, *arg;
    const char *kind;                  /* the option's name                   */
} Given;
typedef struct GivenList {
    Given *v;
    unsigned n;
} GivenList;
void given_add(GivenList *l, const char *kind, const char *arg);

typedef struct Settings {
    GivenList machine, accel, object, chardev, blockdev, drive, device, netdev,
              serial, parallel, mon, debugcon, fw_cfg, acpitable, smbios,
              option_rom, global, numa, trace, plugin, vnc, spice,
              display, qtest, incoming, loadvm, audiodev, tpmdev, fsdev, virtfs,
              usbdevice, sandbox, gdb, l_dirs, snapshot_files, cpu, m, smp, rtc,
              boot, icount, watchdog, vga, iscsi, writeconfig;
    char *bios, *kernel, *initrd, *append, *dtb, *mem_path;
    bool mem_prealloc, mem_lock, cpu_pm;
    char *pidfile, *chroot, *runas, *log_items, *log_file;
    char *qtest_log, *keyboard;
    bool daemonize, nodefaults, no_user_config, nographic, stopped, preconfig,
         only_migratable, no_acpi, no_hpet, enable_kvm, usb, snapshot,
         no_fd_bootchk, l_help, dry_run, print_config, curses;
    /* Which defaults remain: cleared by options that replace them. */
    bool no_default_serial, no_default_parallel, no_default_monitor,
         no_default_net, no_default_floppy, no_default_cdrom, no_default_vga;
} Settings;
extern Settings settings;

/* Parses argv into `settings`; 0: go on, else exit with that code - 1. */
int settings_parse(int argc, char **argv) MACHINE_CALL;
bool settings_read_config(const char *file, Error **errp) MACHINE_CALL;
/* Carries them out: returns when the machine is built and its state decided. */
bool startup(Error **errp) MACHINE_CALL;
void shutdown_all(void) MACHINE_CALL;
extern int exit_status;

#endif
