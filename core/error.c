/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * error.c - error values and reports to the person.
 * QMP error classes: QMP specification, "Error classes".
 *
 * Thread class: ANY_THREAD. An Error has one owner; the report state (place,
 * sink) is per thread.
 * Invariants:
 *  1. *errp is NULL whenever error_set* is called with a non-NULL errp.
 *  2. A report is one write to its sink, so that threads do not mix lines.
 */
#include <glib.h>
#include "error.h"

struct Error {
    ErrorClass cls;
    char *text;
    GString *hint;                     /* NULL until the first hint           */
};

bool report_timestamps;
const char *report_guest_name;

static const char *prog_name = "tern";
static __thread const char *where_now;
static __thread ReportSink *sink_now;

static void set_v(Error **errp, ErrorClass cls, int err, const char *fmt,
                  va_list ap) PRINTF_LIKE(4, 0);
static void set_v(Error **errp, ErrorClass cls, int err, const char *fmt,
                  va_list ap)
{
    if (!errp) {
        return;
    }
    g_assert(!*errp);
    Error *e = g_new0(Error, 1);
    e->cls = cls;
    e->text = g_strdup_vprintf(fmt, ap);
    if (err) {
        char *t = g_strdup_printf("%s: %s", e->text, g_strerror(err));
        g_free(e->text);
        e->text = t;
    }
    *errp = e;
}

bool error_set(Error **errp, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    set_v(errp, ERROR_GENERIC, 0, fmt, ap);
    va_end(ap);
    return false;
}

bool error_set_class(Error **errp, ErrorClass cls, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    set_v(errp, cls, 0, fmt, ap);
    va_end(ap);
    return false;
}

bool error_set_errno(Error **errp, int err, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    set_v(errp, ERROR_GENERIC, err, fmt, ap);
    va_end(ap);
    return false;
}

void error_hint(Error **errp, const char *fmt, ...)
{
    if (!errp || !*errp) {
        return;
    }
    Error *e = *errp;
    va_list ap;
    va_start(ap, fmt);
    if (!e->hint) {
        e->hint = g_string_new(NULL);
    }
    g_string_append_vprintf(e->hint, fmt, ap);
    va_end(ap);
    if (e->hint->len && e->hint->str[e->hint->len - 1] != '\n') {
        g_string_append_c(e->hint, '\n');
    }
}

void error_prepend(Error **errp, const char *fmt, ...)
{
    if (!errp || !*errp) {
        return;
    }
    va_list ap;
    va_start(ap, fmt);
    GString *s = g_string_new(NULL);
    g_string_vprintf(s, fmt, ap);
    va_end(ap);
    g_string_append(s, (*errp)->text);
    g_free((*errp)->text);
    (*errp)->text = g_string_free(s, FALSE);
}

void error_move(Error **errp, Error *err)
{
    if (errp && !*errp) {
        *errp = err;
    } else {
        error_free(err);
    }
}

Error *error_copy(const Error *err)
{
    Error *e = g_new0(Error, 1);
    e->cls = err->cls;
    e->text = g_strdup(err->text);
    if (err->hint) {
        e->hint = g_string_new(err->hint->str);
    }
    return e;
}

void error_free(Error *err)
{
    if (!err) {
        return;
    }
    g_free(err->text);
    if (err->hint) {
        g_string_free(err->hint, TRUE);
    }
    g_free(err);
}

const char *error_text(const Error *err)
{
    return err->text;
}

const char *error_hint_text(const Error *err)
{
    return err->hint ? err->hint->str : "";
}

ErrorClass error_class(const Error *err)
{
    return err->cls;
}

const char *error_class_name(ErrorClass cls)
{
    static const char *const names[] = {
        [ERROR_GENERIC] = "GenericError",
        [ERROR_COMMAND_NOT_FOUND] = "CommandNotFound",
        [ERROR_DEVICE_NOT_ACTIVE] = "DeviceNotActive",
        [ERROR_DEVICE_NOT_FOUND] = "DeviceNotFound",
        [ERROR_KVM_MISSING_CAP] = "KVMMissingCap",
    };
    return names[cls];
}

/* ---- reports ------------------------------------------------------------ */

void report_name_set(const char *argv0)
{
    const char *slash = argv0 ? strrchr(argv0, '/') : NULL;
    if (argv0 && *argv0) {
        prog_name = slash ? slash + 1 : argv0;
    }
}

const char *report_name(void)
{
    return prog_name;
}

const char *report_where(const char *where)
{
    const char *old = where_now;
    where_now = where;
    return old;
}

ReportSink *report_sink(ReportSink *sink)
{
    ReportSink *old = sink_now;
    sink_now = sink;
    return old;
}

void report_text(const char *fmt, ...)
{
    va_list ap;
    char *text;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    if (sink_now) {
        sink_now->print(sink_now, text);
    } else {
        fputs(text, stdout);
    }
    g_free(text);
}

/* `kind` is "", "warning: " or "info: ". */
static void report_line(const char *kind, const char *text, const char *hint)
{
    GString *s = g_string_new(NULL);
    if (!sink_now) {
        if (report_timestamps) {
            GDateTime *now = g_date_time_new_now_utc();
            char *t = g_date_time_format(now, "%Y-%m-%dT%H:%M:%S");
            g_string_append_printf(s, "%s.%06dZ ", t,
                                   g_date_time_get_microsecond(now));
            g_free(t);
            g_date_time_unref(now);
        }
        if (report_guest_name) {
            g_string_append_printf(s, "%s ", report_guest_name);
        }
        g_string_append_printf(s, "%s: ", prog_name);
    }
    if (where_now) {
        g_string_append_printf(s, "%s: ", where_now);
    }
    g_string_append_printf(s, "%s%s\n%s", kind, text, hint);
    if (sink_now) {
        sink_now->print(sink_now, s->str);
    } else {
        fflush(stdout);
        fputs(s->str, stderr);
    }
    g_string_free(s, TRUE);
}

void error_report(Error *err)
{
    report_line("", err->text, error_hint_text(err));
    error_free(err);
}

void warn_report_err(Error *err)
{
    report_line("warning: ", err->text, error_hint_text(err));
    error_free(err);
}

static void report_v(const char *kind, const char *fmt, va_list ap)
    PRINTF_LIKE(2, 0);
static void report_v(const char *kind, const char *fmt, va_list ap)
{
    char *t = g_strdup_vprintf(fmt, ap);
    report_line(kind, t, "");
    g_free(t);
}

void error_reportf(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    report_v("", fmt, ap);
    va_end(ap);
}

void warn_report(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    report_v("warning: ", fmt, ap);
    va_end(ap);
}

void info_report(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    report_v("info: ", fmt, ap);
    va_end(ap);
}
