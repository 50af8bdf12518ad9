/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * event.c - where events go. Code that emits them is also linked into programs
 * without monitors; there nobody listens.
 *
 * ANY_THREAD; monitor_event_sink is set once, before other threads run.
 */
#include "monitor.h"

void (*monitor_event_sink)(const Event *ev, const void *data);

void monitor_event(const Event *ev, const void *data)
{
    if (monitor_event_sink) {
        monitor_event_sink(ev, data);
    }
}
