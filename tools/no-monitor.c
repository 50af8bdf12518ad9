/* SPDX-License-Identifier: GPL-2.0-or-later */
/* no-monitor.c - what a program without a monitor answers. Thread class:
 * ANY_THREAD. */
#include "monitor.h"

__thread Monitor *mon_current;

int mon_take_fd(const char *name, Error **errp)
{
    error_set(errp, "No file descriptor named %s found", name);
    return -1;
}
