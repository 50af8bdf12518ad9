/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * trace.h - trace points and the -d log. A trace point is declared where it
 * happens and costs one predictable branch when off; -trace, `info trace-events`
 * and trace-event-set-state read the same linker set. ANY_THREAD.
 */
#ifndef TERN_TRACE_H
#define TERN_TRACE_H

#include "error.h"

typedef struct TracePoint {
    const char *name, *fmt;
    bool on;                           /* atomic                              */
} TracePoint;

void trace_emit(const TracePoint *t, const char *fmt, ...) PRINTF_LIKE(2, 3);

#define TRACE(nm, fmt_, ...) do { \
    static TracePoint tp_ = { .name = #nm, .fmt = fmt_ }; \
    IN_SET(trace_points) static TracePoint *const tpp_ = &tp_; \
    if (UNLIKELY(__atomic_load_n(&tp_.on, __ATOMIC_RELAXED))) { \
        trace_emit(&tp_, fmt_, ##__VA_ARGS__); \
    } \
} while (0)

/* Applies `[enable=]PATTERN` (glob, '-' prefix disables). Returns how many
 * points matched. */
unsigned trace_enable(const char *pattern, bool on);
/* -trace [enable=]P,events=FILE,file=FILE */
bool trace_option(const char *text, Error **errp);
void trace_each(void (*fn)(TracePoint *t, void *arg), void *arg);

/* The -d items, by the peer's names. */
typedef enum LogItem {
    LOG_OUT_ASM = 1 << 0, LOG_IN_ASM = 1 << 1, LOG_OP = 1 << 2,
    LOG_OP_OPT = 1 << 3, LOG_INT = 1 << 4, LOG_EXEC = 1 << 5,
    LOG_PCALL = 1 << 6, LOG_OP_IND = 1 << 7, LOG_CPU = 1 << 8,
    LOG_RESET = 1 << 9, LOG_UNIMP = 1 << 10,
    LOG_GUEST_ERRORS = 1 << 11, LOG_MMU = 1 << 12, LOG_ACCEL = 1 << 13,
    LOG_NOCHAIN = 1 << 14, LOG_PAGE = 1 << 15, LOG_STRACE = 1 << 16,
    LOG_FPU = 1 << 17, LOG_PLUGIN = 1 << 18, LOG_TID = 1 << 19,
} LogItem;
extern unsigned log_mask;              /* read without a lock                 */
#define LOG(item, fmt, ...) do { \
    if (UNLIKELY(__atomic_load_n(&log_mask, __ATOMIC_RELAXED) & (item))) { \
        log_printf(fmt, ##__VA_ARGS__); \
    } \
} while (0)
void log_printf(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* Comma-separated names ("int,cpu_reset,trace:PATTERN", "all", "none",
 * "help" prints the list). */
bool log_set_mask(const char *items, Error **errp);
bool log_set_file(const char *path, Error **errp); /* NULL: stderr            */

#endif
