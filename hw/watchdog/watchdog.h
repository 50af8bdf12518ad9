/* SPDX-License-Identifier: GPL-2.0-or-later */
/* watchdog.h - what watchdog devices share. MACHINE_CALL. */
#ifndef TERN_HW_WATCHDOG_WATCHDOG_H
#define TERN_HW_WATCHDOG_WATCHDOG_H

#include "base.h"

/* A watchdog's time is over: event WATCHDOG and what -action watchdog= says. */
void watchdog_fired(void) MACHINE_CALL;

#endif
