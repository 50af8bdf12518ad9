/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * curses.h - the display on a terminal. MACHINE_CALL.
 */
#ifndef UI_CURSES_H
#define UI_CURSES_H

#include "error.h"

/* charset: of the guest's characters; NULL: CP437. */
bool curses_display_start(const char *charset, Error **errp) MACHINE_CALL;
void curses_display_stop(void) MACHINE_CALL;       /* when it runs            */

#endif
