/* SPDX-License-Identifier: GPL-2.0-or-later */
/* startup.h - steps of start-up, private to this folder. MACHINE_CALL. */
#ifndef TERN_HW_MACHINE_STARTUP_H
#define TERN_HW_MACHINE_STARTUP_H

#include "machine-opts.h"
#include "settings.h"
#include <stdio.h>

bool given_each(const GivenList *l, bool (*fn)(const char *arg,
                const char *kind, Error **errp), Error **errp) MACHINE_CALL;
/* Serial, parallel, monitor that the user did not replace, as chardevs named in
 * the lists of `settings`. */
bool default_chardevs(Error **errp) MACHINE_CALL;
bool default_drives(Error **errp) MACHINE_CALL;
bool start_serials(Error **errp) MACHINE_CALL;
bool start_qtest(Error **errp) MACHINE_CALL;
bool start_net(Error **errp) MACHINE_CALL;
/* -machine members gathered: later wins, objects merge. */
void json_merge(Json *into, const char *key, Json *v);
void machine_props_help(const MachineType *t);
bool machine_memory_make(Machine *m, Error **errp) MACHINE_CALL;
/* Commas doubled, as a value inside option text. Caller g_frees. */
char *opt_escape(const char *s);
/* One use of an option, as on the command line or in a configuration file. */
typedef struct OptionRow OptionRow;
bool option_use(const OptionRow *row, const char *arg, Error **errp)
    MACHINE_CALL;
/* To an error about a member of the option `where` ("-name x"): the hint which
 * member may have been meant. */
void option_suggest(const char *where, Error *err);
/* error_report with it, for the option that is being handled. */
void option_report(Error *err);
/* An option is used: what it replaces, it says. start_contradictions: options
 * that cannot both be meant, those without effect; the machine is chosen. */
void option_again(const char *name, const char *arg) MACHINE_CALL;
bool start_contradictions(Error **errp) MACHINE_CALL;
/* Options that the accelerator which came up does nothing with warn. */
void start_idle_options(void) MACHINE_CALL;
/* -writeconfig; options without effect: before and after the board is built. */
bool start_writeconfig(Error **errp) MACHINE_CALL;
bool start_refusals(Error **errp) MACHINE_CALL;
bool start_virtio_drives(Error **errp) MACHINE_CALL;
bool start_leftovers(Error **errp) MACHINE_CALL;
void object_help(const Json *opts) MACHINE_CALL;
bool mon_option(const char *kind, const char *arg, Error **errp) MACHINE_CALL;
/* -dry-run: word is what followed the name ("=json"); a problem was found (takes
 * err); tells the result and gives the status to exit with. */
bool dry_run_wanted(const char *word, Error **errp) MACHINE_CALL;
void dry_run_problem(Error *err) MACHINE_CALL;
int dry_run_end(void) MACHINE_CALL;
/* -print-config: the machine that stands, on stdout. */
bool print_config(Error **errp) MACHINE_CALL;
/* The uses of options that have a group, as sections; `effective`: those that
 * print_config does not write itself. */
bool groups_write(FILE *f, bool effective, Error **errp) MACHINE_CALL;
/* Sandbox, chroot, user; last, when everything is open. */
bool start_confined(Error **errp) MACHINE_CALL;

#endif
