/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ui.h - displays as start-up and the protocol know them. MACHINE_CALL.
 */
#ifndef TERN_UI_H
#define TERN_UI_H

#include "error.h"

/* -display TYPE[,...], before the machine is made: checks and remembers it.
 * Prints and leaves for "help". */
bool display_option(const char *arg, Error **errp) MACHINE_CALL;
/* -audiodev [driver=]DRIVER,id=ID[,...]; also JSON. */
bool audiodev_option(const char *arg, Error **errp) MACHINE_CALL;
bool audiodev_exists(const char *id) MACHINE_CALL;
/* -vnc ADDRESS[,...], when the machine's devices are there. */
bool vnc_option(const char *arg, Error **errp) MACHINE_CALL;
/* After all of these: starts what -display has asked for, or the default, which
 * `graphics` (no -nographic) allows. */
bool display_start(bool graphics, Error **errp) MACHINE_CALL;
/* Ends displays, before devices go. */
void display_exit(void) MACHINE_CALL;
/* QMP's add_client: takes fd over; false: there is no VNC server. */
bool vnc_add_client(int fd, bool skip_auth, Error **errp) MACHINE_CALL;

#endif
