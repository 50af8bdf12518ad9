/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * machine-opts.h - the parts of start-up that other folders supply or tests
 * call on their own. MACHINE_CALL.
 */
#ifndef TERN_MACHINE_OPTS_H
#define TERN_MACHINE_OPTS_H

#include "machine.h"

const MachineType *machine_type_find(const char *name);
const MachineType *machine_type_default(void);     /* NULL: none built in     */
void machine_help(void);               /* -machine help, on stdout            */
Machine *machine_new(const MachineType *t) MACHINE_CALL;
/* -smp, -boot, -m: the option's text, or the object's members as text. */
bool machine_smp_set(Machine *m, const char *arg, Error **errp) MACHINE_CALL;
bool machine_boot_set(Machine *m, const char *arg, Error **errp) MACHINE_CALL;
bool machine_memory_set(Machine *m, const char *arg, Error **errp)
    MACHINE_CALL;
/* What a step of start-up came to: under -dry-run a failure is told, taken out
 * of *errp, and the rest is looked at nevertheless (true). */
bool machine_go_on(bool ok, Error **errp) MACHINE_CALL;
/* -preconfig: serves the monitors until they let the machine be made; false: the
 * program is to end instead. */
bool mon_preconfig(void) MACHINE_CALL;
/* -machine: members other than type and the accelerator's. */
bool machine_apply(Machine *m, const Json *opts, Error **errp) MACHINE_CALL;

#endif
