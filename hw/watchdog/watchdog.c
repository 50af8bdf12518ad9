/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * watchdog.c - what happens when a watchdog was not fed in time: -action
 * watchdog=, set-action, watchdog-set-action.
 *
 * Thread class: machine lock.
 */
#include "hw/watchdog/watchdog.h"
#include "loop.h"
#include "monitor.h"
#include "runstate.h"
#include "schema/schema.h"

static MACHINE_CALL void tell(WatchdogAction action)
{
    WatchdogEvent data = { .action = action };

    monitor_event(&event_WATCHDOG, &data);
}

void watchdog_fired(void)
{
    WatchdogAction action = actions.watchdog;

    tell(action);
    switch (action) {
    case WATCHDOG_ACTION_RESET:
        request_reset(WHY_GUEST_RESET);
        break;
    case WATCHDOG_ACTION_SHUTDOWN:
        request_powerdown();
        break;
    case WATCHDOG_ACTION_POWEROFF:             /* whatever -no-shutdown says  */
        loop_quit();
        break;
    case WATCHDOG_ACTION_PAUSE:
        request_stop(RS_WATCHDOG);
        break;
    case WATCHDOG_ACTION_DEBUG:
        error_reportf("watchdog: timer fired");
        break;
    case WATCHDOG_ACTION_INJECT_NMI:
        cmd_inject_nmi(NULL, NULL, NULL);
        break;
    default:
        break;
    }
}
