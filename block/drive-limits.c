/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * drive-limits.c - limits and figures of a drive, as its text asks for them.
 *
 * Thread class: MACHINE_CALL.
 */
#include <glib.h>
#include "block/drive.h"
#include "block/stats.h"
#include "block/throttle.h"
#include "opt.h"

/* Older names of what throttling.* says. */
static const struct {
    const char *old, *name;
} renamed[] = {
    { "bps", "bps-total" }, { "bps_rd", "bps-read" }, { "bps_wr", "bps-write" },
    { "iops", "iops-total" }, { "iops_rd", "iops-read" },
    { "iops_wr", "iops-write" }, { "bps_max", "bps-total-max" },
    { "bps_rd_max", "bps-read-max" }, { "bps_wr_max", "bps-write-max" },
    { "iops_max", "iops-total-max" }, { "iops_rd_max", "iops-read-max" },
    { "iops_wr_max", "iops-write-max" }, { "iops_size", "iops-size" },
    { "group", "group" },
};

bool drive_text_rename(Json *opts, Error **errp)
{
    for (size_t i = 0; i < ARRAY_SIZE(renamed); i++) {
        Json *v = json_take(opts, renamed[i].old);
        g_autofree char *name = g_strconcat("throttling.", renamed[i].name,
                                            NULL);

        if (v && json_get(opts, name)) {
            json_free(v);
            return error_set(errp, "'%s' and its alias '%s' can't be used at "
                             "the same time", name, renamed[i].old);
        }
        if (v) {
            json_set(opts, name, v);
        }
    }
    return true;
}

static bool take_number(Json *opts, const char *name, const char *tail,
                        int64_t *out, Error **errp)
{
    g_autofree char *key = g_strconcat("throttling.", name, tail, NULL);
    Json *v = json_take(opts, key);
    const char *s = v && json_kind(v) == JSON_STR ? json_str_of(v) : NULL;
    char *end;
    bool ok = true;

    if (s) {
        *out = g_ascii_strtoll(s, &end, 0);
        if (end == s || *end) {
            ok = error_set(errp, "Parameter '%s' expects a number", key);
        }
    }
    json_free(v);
    return ok;
}

bool drive_limits_take(Json *opts, BlkLimitsSet *s, char **group, Error **errp)
{
    Json *v = json_take(opts, "throttling.group");

    *group = v && json_kind(v) == JSON_STR ? g_strdup(json_str_of(v)) : NULL;
    json_free(v);
    for (int i = 0; i < BUCKETS; i++) {
        BlkBucket *b = &s->bucket[i];

        b->length = 1;
        if (!take_number(opts, blk_bucket_names[i], "", &b->avg, errp) ||
            !take_number(opts, blk_bucket_names[i], "-max", &b->max, errp) ||
            !take_number(opts, blk_bucket_names[i], "-max-length", &b->length,
                         errp)) {
            return false;
        }
    }
    return take_number(opts, "iops-size", "", &s->iops_size, errp) &&
           blk_limits_check(s, errp);
}

static bool take_switch(Json *opts, const char *key, bool *out, Error **errp)
{
    Json *v = json_take(opts, key);
    bool ok = !v || json_kind(v) != JSON_STR ||
              opt_bool(key, json_str_of(v), out, errp);

    json_free(v);
    return ok;
}

static bool interval_take(BlkBackend *b, const char *text, Error **errp)
{
    uint64_t s;

    machine_assert_locked();
    if (!opt_u64("stats-intervals", text, &s, NULL) || !s || s > UINT32_MAX) {
        return error_set(errp, "Invalid interval length: %s", text);
    }
    blk_interval_add(b, (unsigned)s);
    return true;
}

/* "a:b:c", or keys stats-intervals.0 and on. */
static bool intervals_take(Json *opts, BlkBackend *b, Error **errp)
{
    Json *v = json_take(opts, "stats-intervals");
    g_auto(GStrv) list = v && json_kind(v) == JSON_STR
        ? g_strsplit(json_str_of(v), ":", 0) : NULL;
    bool ok = true;

    for (char **s = list; ok && s && *s; s++) {
        ok = interval_take(b, *s, errp);
    }
    json_free(v);
    for (int i = 0; ok; i++) {
        g_autofree char *key = g_strdup_printf("stats-intervals.%d", i);

        v = json_take(opts, key);
        if (!v) {
            break;
        }
        ok = json_kind(v) == JSON_STR &&
             interval_take(b, json_str_of(v), errp);
        json_free(v);
    }
    for (size_t i = 0; ok && i < json_count(opts); i++) {
        const char *key = json_key_at(opts, i);

        if (g_str_has_prefix(key, "stats-intervals.")) {
            ok = error_set(errp, "Invalid option %s", key);
        }
    }
    return ok;
}

bool drive_stats_take(Json *opts, BlkBackend *b, Error **errp)
{
    bool invalid = true, failed = true;

    if (!take_switch(opts, "stats-account-invalid", &invalid, errp) ||
        !take_switch(opts, "stats-account-failed", &failed, errp) ||
        !intervals_take(opts, b, errp)) {
        return false;
    }
    blk_account_set(b, invalid, failed);
    return true;
}
