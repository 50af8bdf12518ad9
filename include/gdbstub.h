/* SPDX-License-Identifier: GPL-2.0-or-later */
/* gdbstub.h - the debugger's server: -gdb, -s, gdbserver. MACHINE_CALL. */
#ifndef TERN_GDBSTUB_H
#define TERN_GDBSTUB_H

#include "error.h"

/* Serves on a character device ("tcp::1234", "chardev:ID"; "none": no longer),
 * instead of one before. After the vCPUs are made. */
bool gdbserver_start(const char *dev, Error **errp) MACHINE_CALL;
void gdbserver_stop(void) MACHINE_CALL;

#endif
