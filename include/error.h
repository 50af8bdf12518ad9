/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * error.h - errors that reach a person. Functions that can fail return bool
 * (true = fine), a pointer or a count, and take `Error **errp` last. errp may be
 * NULL: the error is dropped. A set error is never set again.
 */
#ifndef TERN_ERROR_H
#define TERN_ERROR_H

#include <stdarg.h>
#include "base.h"

typedef struct Error Error;

/* QMP error classes, as the protocol names them. */
typedef enum ErrorClass {
    ERROR_GENERIC,                     /* "GenericError"                      */
    ERROR_COMMAND_NOT_FOUND,           /* "CommandNotFound"                   */
    ERROR_DEVICE_NOT_ACTIVE,           /* "DeviceNotActive"                   */
    ERROR_DEVICE_NOT_FOUND,            /* "DeviceNotFound"                    */
    ERROR_KVM_MISSING_CAP,             /* "KVMMissingCap"                     */
} ErrorClass;

/* Sets *errp; returns false so that a refusal is one line. Text: no newline,
 * no program name; starts with the object. ANY_THREAD. */
bool error_set(Error **errp, const char *fmt, ...) PRINTF_LIKE(2, 3);
bool error_set_class(Error **errp, ErrorClass cls, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* Text, then ": strerror(err)"; err is a positive errno value. */
bool error_set_errno(Error **errp, int err, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* A further line that says what to do; printed after the message, and not part
 * of the QMP description, unless it begins with "Did you mean". No effect when
 * errp or *errp is NULL. */
void error_hint(Error **errp, const char *fmt, ...) PRINTF_LIKE(2, 3);
void error_prepend(Error **errp, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Moves err into *errp, or frees it when errp is NULL or already set. */
void error_move(Error **errp, Error *err);
Error *error_copy(const Error *err);
void error_free(Error *err);                       /* NULL is fine            */
const char *error_text(const Error *err);          /* first line, no hint     */
const char *error_hint_text(const Error *err);     /* "" when there is none   */
ErrorClass error_class(const Error *err);
const char *error_class_name(ErrorClass cls);

/*
 * Reports to the person: "tern: text" and hint lines on stderr, or on the HMP
 * monitor that is running a command in this thread. While an option is being
 * handled (see report_where) its words stand between name and text, as the peer
 * prints them: "tern: -device foo: text". error_report frees err.
 */
void error_report(Error *err) ANY_THREAD;
void error_reportf(const char *fmt, ...) PRINTF_LIKE(1, 2) ANY_THREAD;
void warn_report(const char *fmt, ...) PRINTF_LIKE(1, 2) ANY_THREAD;
void warn_report_err(Error *err) ANY_THREAD;       /* frees err               */
void info_report(const char *fmt, ...) PRINTF_LIKE(1, 2) ANY_THREAD;
/* Text that was asked for (help): to the monitor, or to stdout; no prefix. */
void report_text(const char *fmt, ...) PRINTF_LIKE(1, 2) ANY_THREAD;
/* Base name of argv[0], set first thing in main. */
void report_name_set(const char *argv0);
const char *report_name(void);
/* What is being handled ("-device foo", "file:12"); NULL for nothing. Keeps the
 * pointer; per thread. Returns the previous value. */
const char *report_where(const char *where);
/* -msg timestamp=on, guest-name=on. */
extern bool report_timestamps;
extern const char *report_guest_name;
/* Where this thread's reports go instead of stderr (HMP); NULL: stderr. */
typedef struct ReportSink {
    void (*print)(struct ReportSink *sink, const char *text);
} ReportSink;
ReportSink *report_sink(ReportSink *sink);         /* returns the previous    */

/*
 * A guest did what hardware would not have understood. Logged under
 * `-d guest_errors`, rate-limited per call site, never fatal.
 */
#define guest_fault(who, fmt, ...) do { \
    static GuestFault gf_; \
    guest_fault_emit(&gf_, who, fmt, ##__VA_ARGS__); \
} while (0)
typedef struct GuestFault {
    int64_t window_ns;
    uint32_t count;
} GuestFault;
void guest_fault_emit(GuestFault *site, const char *who, const char *fmt, ...)
    PRINTF_LIKE(3, 4) ANY_THREAD;

#endif
