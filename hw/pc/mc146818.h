/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mc146818.h - what -rtc asked for. MACHINE_CALL. */
#ifndef TERN_HW_PC_MC146818_H
#define TERN_HW_PC_MC146818_H

#include "loop.h"

typedef struct RtcConfig {
    Clock clock;                       /* CLOCK_HOST, CLOCK_RT or CLOCK_VM    */
    int64_t offset_ns;                 /* guest time - host UTC at start      */
    bool slew, has_date;
    int64_t date;                      /* has_date: seconds since 1970        */
} RtcConfig;
extern RtcConfig rtc_config;
/* Tells clients that the guest has set its clock, by so many seconds against
 * the host's. */
void rtc_changed_event(int64_t offset, const char *qom_path) MACHINE_CALL;
/* Ticks that wait to be delivered again are dropped. */
void rtc_forget_lost(void) MACHINE_CALL;
/* base=utc|localtime|DATE, clock=host|rt|vm, driftfix=none|slew */
bool rtc_option(const char *arg, Error **errp) MACHINE_CALL;

#endif
