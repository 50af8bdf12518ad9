/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd-profile.c - sync-profile: how long the machine lock was waited for, by
 * where it was taken.
 *
 * MACHINE_CALL.
 */
#include <glib.h>
#include "lock-profile.h"
#include "mon-impl.h"
#include "schema/schema.h"

#define SITES 256
#define SITE_WIDTH 21                  /* its end is shown                    */

void hmp_sync_profile(const Json *args)
{
    const char *op = json_get_str(args, "op");

    machine_assert_locked();
    if (!op) {
        mon_printf("sync-profile is %s\n", lock_profile_get() ? "on" : "off");
    } else if (!strcmp(op, "on") || !strcmp(op, "off")) {
        lock_profile_set(!strcmp(op, "on"));
    } else if (!strcmp(op, "reset")) {
        lock_profile_reset();
    } else {
        mon_printf("Error: Invalid parameter '%s'\n", op);
    }
}

static double mean(const LockSite *s)
{
    return (double)s->wait_ns / s->count;
}

static int by_total(const void *a, const void *b)
{
    uint64_t x = ((const LockSite *)a)->wait_ns;
    uint64_t y = ((const LockSite *)b)->wait_ns;

    return (x < y) - (x > y);
}

static int by_mean(const void *a, const void *b)
{
    double x = mean(a), y = mean(b);

    return (x < y) - (x > y);
}

static const char *short_site(const char *where)
{
    size_t n = strlen(where);

    return n > SITE_WIDTH ? where + n - SITE_WIDTH : where;
}

static void print_table(const LockSite *s, size_t n)
{
    g_autofree char *line = NULL;
    int width = 0;

    for (size_t i = 0; i < n; i++) {
        width = MAX2(width, (int)strlen(short_site(s[i].where)) + 1);
    }
    width = MAX2(width, (int)strlen("Call site"));
    line = g_strnfill(width + 70, '-');
    mon_printf("%-9s  %14s  %-*s%15s%14s%14s\n%s\n", "Type", "Object", width,
               "Call site", "Wait Time (s)", "Count", "Average (us)", line);
    for (size_t i = 0; i < n; i++) {
        mon_printf("%-9s  %14p  %-*s%15.5f%14" PRIu64 "%14.2f\n", "BQL mutex",
                   lock_profile_object(), width, short_site(s[i].where),
                   s[i].wait_ns / 1e9, s[i].count, mean(&s[i]) / 1e3);
    }
    mon_printf("%s\n", line);
}

static bool flag(const Json *args, const char *name)
{
    const Json *v = json_get(args, name);

    return v && json_bool_of(v);
}

void hmp_info_sync_profile(const Json *args)
{
    g_autofree LockSite *s = g_new(LockSite, SITES);
    const Json *max = json_get(args, "max");
    int64_t most = max ? json_int_of(max) : 10;
    size_t n;

    machine_assert_locked();
    n = lock_profile_read(s, SITES);
    qsort(s, n, sizeof(*s), flag(args, "mean") ? by_mean : by_total);
    print_table(s, MIN2(n, (size_t)MAX2(most, 0)));
}
