/* SPDX-License-Identifier: GPL-2.0-or-later */
/* image-text.c - see image-text.h. Thread class: ANY_THREAD. */
#include <time.h>
#include "block/image-text.h"

char *blk_size_text(uint64_t bytes)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB",
                                         "PiB", "EiB" };
    double v = (double)bytes;
    unsigned i = 0;

    while (v >= 1000 && i + 1 < ARRAY_SIZE(units)) {
        v /= 1024;
        i++;
    }
    return g_strdup_printf("%0.3g %s", v, units[i]);
}

void blk_snapshots_text(GString *out, const BlkSnapshot *s, int n)
{
    g_string_append_printf(out, "Snapshot list:\n%-9s %-16s %8s %19s %12s "
                           "%10s\n", "ID", "TAG", "VM SIZE", "DATE", "VM CLOCK",
                           "ICOUNT");
    for (int i = 0; i < n; i++) {
        g_autofree char *size = blk_size_text(s[i].vm_state_size);
        uint64_t ms = s[i].vm_clock_ns / 1000000;
        time_t t = (time_t)s[i].date_s;
        char date[64] = "", clock[64], icount[24] = "";
        struct tm tm;

        if (localtime_r(&t, &tm)) {
            strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &tm);
        }
        snprintf(clock, sizeof(clock), "%02u:%02u:%02u.%03u",
                 (unsigned)(ms / 3600000), (unsigned)(ms / 60000 % 60),
                 (unsigned)(ms / 1000 % 60), (unsigned)(ms % 1000));
        if (s[i].icount != UINT64_MAX) {
            snprintf(icount, sizeof(icount), "%" PRIu64, s[i].icount);
        }
        g_string_append_printf(out, "%-9s %-16s %8s %19s %12s %10s\n", s[i].id,
                               s[i].name, size, date, clock, icount);
    }
}

static void member_text(GString *out, const char *key, const Json *v, int depth)
{
    bool inner = json_kind(v) == JSON_LIST || json_kind(v) == JSON_OBJ;

    g_string_append_printf(out, "%*s%s:%c", depth * 4, "", key,
                           inner ? '\n' : ' ');
    blk_specific_text(out, v, depth + 1);
    if (!inner) {
        g_string_append_c(out, '\n');
    }
}

void blk_specific_text(GString *out, const Json *v, int depth)
{
    g_autofree char *text = NULL;
    char key[24];

    switch (json_kind(v)) {
    case JSON_OBJ:
        for (size_t i = 0; i < json_count(v); i++) {
            g_autofree char *name = g_strdelimit(g_strdup(json_key_at(v, i)),
                                                 "-", ' ');

            member_text(out, name, json_value_at(v, i), depth);
        }
        break;
    case JSON_LIST:
        for (size_t i = 0; i < json_count(v); i++) {
            snprintf(key, sizeof(key), "[%zu]", i);
            member_text(out, key, json_at(v, i), depth);
        }
        break;
    case JSON_STR:
        g_string_append(out, json_str_of(v));
        break;
    default:
        text = json_text(v, false, NULL);
        g_string_append(out, text);
        break;
    }
}
