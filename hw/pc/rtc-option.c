/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rtc-option.c - the real-time clock for people and clients: the option -rtc
 * says where it starts and what drives it; events and commands of QMP.
 *
 * Thread class: machine lock.
 */
#include <glib.h>
#include <time.h>
#include "hw/pc/mc146818.h"
#include "opt.h"
#include "schema/schema.h"

RtcConfig rtc_config = { .clock = CLOCK_HOST };

static bool set_date(const char *text, Error **errp)
{
    struct tm tm = { 0 }, check;
    int n = 0;
    time_t t;

    if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon,
               &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &n) != 6 ||
        text[n]) {
        n = 0;
        tm = (struct tm){ 0 };
        if (sscanf(text, "%4d-%2d-%2d%n", &tm.tm_year, &tm.tm_mon,
                   &tm.tm_mday, &n) != 3 || text[n]) {
            goto bad;
        }
    }
    tm.tm_year -= 1900;
    tm.tm_mon--;
    check = tm;
    t = timegm(&check);
    /* A day that the calendar lacks has become another one. */
    if (check.tm_mday != tm.tm_mday || check.tm_mon != tm.tm_mon ||
        check.tm_hour != tm.tm_hour || check.tm_min != tm.tm_min ||
        check.tm_sec != tm.tm_sec) {
        goto bad;
    }
    rtc_config.has_date = true;
    rtc_config.date = t;
    return true;

bad:
    error_set(errp, "invalid datetime format");
    error_hint(errp, "valid formats: '2006-06-17T16:01:21' or '2006-06-17'");
    return false;
}

static bool set_base(const char *v, Error **errp)
{
    time_t now = clock_ns(CLOCK_HOST) / NS_PER_S;
    struct tm tm;

    rtc_config.has_date = false;
    rtc_config.offset_ns = 0;
    if (strcmp(v, "utc") == 0) {
        return true;
    }
    if (strcmp(v, "localtime") == 0) {
        localtime_r(&now, &tm);
        rtc_config.offset_ns = (int64_t)(timegm(&tm) - now) * NS_PER_S;
        return true;
    }
    return set_date(v, errp);
}

static bool set_clock(const char *v, Error **errp)
{
    static const struct {
        const char *name;
        Clock clock;
    } names[] = {
        { "host", CLOCK_HOST }, { "rt", CLOCK_RT }, { "vm", CLOCK_VM },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        if (strcmp(v, names[i].name) == 0) {
            rtc_config.clock = names[i].clock;
            return true;
        }
    }
    return error_set(errp, "invalid option value '%s'", v);
}

static bool set_drift(const char *v, Error **errp)
{
    if (strcmp(v, "slew") && strcmp(v, "none")) {
        return error_set(errp, "invalid option value '%s'", v);
    }
    rtc_config.slew = v[0] == 's';
    return true;
}

static bool set_one(const char *key, const char *v, Error **errp)
{
    if (strcmp(key, "base") == 0) {
        return set_base(v, errp);
    }
    if (strcmp(key, "clock") == 0) {
        return set_clock(v, errp);
    }
    if (strcmp(key, "driftfix") == 0) {
        return set_drift(v, errp);
    }
    return error_set(errp, "Invalid parameter '%s'", key);
}

bool rtc_option(const char *arg, Error **errp)
{
    Opts o;
    bool ok = true;

    if (!opts_parse(&o, arg, NULL, OPT_FLAT | OPT_BARE, errp)) {
        return false;
    }
    for (size_t i = 0; ok && i < json_count(o.obj); i++) {
        const Json *v = json_value_at(o.obj, i);

        ok = json_kind(v) == JSON_STR
             ? set_one(json_key_at(o.obj, i), json_str_of(v), errp)
             : error_set(errp, "Parameter '%s' expects a string",
                         json_key_at(o.obj, i));
    }
    opts_free(&o);
    return ok;
}

/* ---- QMP ---------------------------------------------------------------- */

void rtc_changed_event(int64_t offset, const char *qom_path)
{
    monitor_event(&event_RTC_CHANGE, &(RtcChangeEvent){
        .offset = offset, .qom_path = (char *)qom_path });
}

bool cmd_rtc_reset_reinjection(const void *arg, void *ret, Error **errp)
{
    rtc_forget_lost();
    return true;
}
