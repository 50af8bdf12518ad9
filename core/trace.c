/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * trace.c - trace points: switching, listing, writing to the log.
 *
 * Thread class: ANY_THREAD for writing; switching when options are read, or
 * under the machine lock.
 * Invariants:
 *  1. Places that share a name are switched together, and listed once.
 */
#include <sys/time.h>
#include <unistd.h>
#include <glib.h>
#include "opt.h"
#include "trace.h"

void trace_emit(const TracePoint *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    if (report_timestamps) {
        struct timeval tv;
        gettimeofday(&tv, NULL);
        log_printf("%d@%lld.%06ld:%s %s\n", (int)getpid(),
                   (long long)tv.tv_sec, (long)tv.tv_usec, t->name, text);
    } else {
        log_printf("%s %s\n", t->name, text);
    }
    g_free(text);
}

unsigned trace_enable(const char *pattern, bool on)
{
    unsigned n = 0;
    SET_EACH(trace_points, TracePoint, p) {
        TracePoint *t = (TracePoint *)*p;
        if (g_pattern_match_simple(pattern, t->name)) {
            __atomic_store_n(&t->on, on, __ATOMIC_RELAXED);
            n++;
        }
    }
    return n;
}

void trace_each(void (*fn)(TracePoint *t, void *arg), void *arg)
{
    SET_EACH(trace_points, TracePoint, p) {
        bool seen = false;
        for (const TracePoint *const *q = __start_trace_points; q < p; q++) {
            seen |= !strcmp((*q)->name, (*p)->name);
        }
        if (!seen) {
            fn((TracePoint *)*p, arg);
        }
    }
}

/* ---- the option --------------------------------------------------------- */

static void name_print(TracePoint *t, void *arg)
{
    printf("%s\n", t->name);
}

/* One "[-]PATTERN". */
static void pattern_apply(const char *text)
{
    bool on = *text != '-';
    const char *pattern = on ? text : text + 1;
    if (!trace_enable(pattern, on) && !strpbrk(pattern, "*?")) {
        warn_report("trace event '%s' does not exist", pattern);
    }
}

static bool events_read(const char *path, Error **errp)
{
    FILE *f = fopen(path, "re");
    char *line = NULL;
    size_t cap = 0;
    if (!f) {
        return error_set_errno(errp, errno, "could not open trace events file "
                               "'%s'", path);
    }
    while (getline(&line, &cap, f) >= 0) {
        char *word = g_strstrip(line);
        if (*word && *word != '#') {
            pattern_apply(word);
        }
    }
    bool ok = !ferror(f);
    free(line);
    fclose(f);
    return ok || error_set(errp, "could not read trace events file '%s'",
                           path);
}

static bool key_check(const Opts *o, Error **errp)
{
    static const char *const keys[] = { "enable", "events", "file" };
    for (size_t i = 0; i < json_count(o->obj); i++) {
        const char *key = json_key_at(o->obj, i);
        bool known = false;
        for (size_t j = 0; j < ARRAY_SIZE(keys); j++) {
            known |= !strcmp(key, keys[j]);
        }
        if (!known) {
            return error_set(errp, "Invalid parameter '%s'", key);
        }
    }
    return true;
}

bool trace_option(const char *text, Error **errp)
{
    Opts o;
    if (!opts_parse(&o, text, "enable", OPT_FLAT, errp)) {
        return false;
    }
    bool ok = key_check(&o, errp);
    const char *enable = json_get_str(o.obj, "enable");
    const char *events = json_get_str(o.obj, "events");
    const char *file = json_get_str(o.obj, "file");
    if (ok && (o.help || (enable && (!strcmp(enable, "help") ||
                                     !strcmp(enable, "?"))))) {
        trace_each(name_print, NULL);
    } else if (ok) {
        ok = (!file || log_set_file(file, errp)) &&
             (!events || events_read(events, errp));
        if (ok && enable) {
            pattern_apply(enable);
        }
    }
    opts_free(&o);
    return ok;
}
