/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log.c - the log behind -d and -D, and what guests did wrong.
 *
 * Thread class: ANY_THREAD for writing; log_set_* when options are read, or
 * under the machine lock. `mutex` is a leaf.
 * Invariants:
 *  1. A call of log_printf is one write, so that threads do not mix lines.
 *  2. `file` is only used and changed under the mutex; NULL means stderr.
 *  3. With the item `tid` each thread writes to a file of its own, whose name
 *     has the thread's number for %d.
 */
#include <pthread.h>
#include <time.h>
#include <unistd.h>
#include <glib.h>
#include "opt.h"
#include "trace.h"

#define FAULTS_MAX 10                  /* from one place in one second        */

unsigned log_mask;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static FILE *file;
static char *template;                 /* as given, with its %d               */
static pthread_key_t own_key;          /* FILE of this thread, under `tid`    */
static pthread_once_t own_once = PTHREAD_ONCE_INIT;

typedef struct LogName {
    unsigned mask;
    const char *name, *help;
} LogName;

static const LogName names[] = {
    { LOG_OUT_ASM, "out_asm",
      "show generated host assembly code for each compiled TB" },
    { LOG_IN_ASM, "in_asm",
      "show target assembly code for each compiled TB" },
    { LOG_OP, "op", "show micro ops for each compiled TB" },
    { LOG_OP_OPT, "op_opt", "show micro ops after optimization" },
    { LOG_OP_IND, "op_ind", "show micro ops before indirect lowering" },
    { LOG_INT, "int", "show interrupts/exceptions in short format" },
    { LOG_EXEC, "exec",
      "show trace before each executed TB (lots of logs)" },
    { LOG_CPU, "cpu",
      "show CPU registers before entering a TB (lots of logs)" },
    { LOG_FPU, "fpu", "include FPU registers in the 'cpu' logging" },
    { LOG_MMU, "mmu", "log MMU-related activities" },
    { LOG_PCALL, "pcall",
      "x86 only: show protected mode far calls/returns/exceptions" },
    { LOG_RESET, "cpu_reset", "show CPU state before CPU resets" },
    { LOG_UNIMP, "unimp", "log accesses that nothing answers" },
    { LOG_GUEST_ERRORS, "guest_errors",
      "log when the guest does something invalid" },
    { LOG_PAGE, "page", "dump pages at beginning of user mode emulation" },
    { LOG_NOCHAIN, "nochain",
      "do not chain compiled TBs, so that 'exec' and 'cpu' are complete" },
    { LOG_ACCEL, "accel", "log what the accelerator does" },
    { LOG_PLUGIN, "plugin", "output of plugins" },
    { LOG_STRACE, "strace", "log every user-mode system call" },
    { LOG_TID, "tid",
      "a log file for each thread; its name must contain '%d'" },
};

/* ---- items -------------------------------------------------------------- */

static void help_print(void)
{
    report_text("Log items (comma separated):\n");
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        report_text("%-15s %s\n", names[i].name, names[i].help);
    }
    report_text("%-15s %s\n\nUse \"-d trace:help\" to get a list of trace "
           "events.\n\n", "trace:PATTERN", "enable trace events");
}

static bool item_read(const char *item, unsigned *mask, Error **errp)
{
    OptWords w = { .n = 0 };

    if (!strcmp(item, "all")) {
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
            *mask |= names[i].mask & ~LOG_TID;
        }
        return true;
    }
    if (!strcmp(item, "trace:help")) {
        return trace_option("help", errp);
    }
    if (g_str_has_prefix(item, "trace:") && item[6]) {
        return trace_option(item + 6, errp);
    }
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (!strcmp(item, names[i].name)) {
            *mask |= names[i].mask;
            return true;
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        opt_word_add(&w, names[i].name);
    }
    error_set(errp, "'%s' is not a log item", item);
    opt_suggest(&w, item, errp);
    error_hint(errp, "'help' lists the items.");
    return false;
}

bool log_set_mask(const char *items, Error **errp)
{
    unsigned mask = 0;
    bool ok = true;
    if (!strcmp(items, "help") || !strcmp(items, "?")) {
        help_print();
        return true;
    }
    if (strcmp(items, "none")) {
        char **list = g_strsplit(items, ",", -1);
        ok = *list || item_read("", &mask, errp);
        for (char **item = list; ok && *item; item++) {
            ok = item_read(*item, &mask, errp);
        }
        g_strfreev(list);
    }
    if (ok && (mask & LOG_TID) && !(template && strstr(template, "%d"))) {
        ok = error_set(errp, "the log item 'tid' needs a log file name with "
                       "'%%d'");
    }
    if (ok) {
        __atomic_store_n(&log_mask, mask, __ATOMIC_RELAXED);
    }
    return ok;
}

/* ---- file --------------------------------------------------------------- */

/* The template with n for its %d. Caller frees. */
static char *file_name(const char *tmpl, long n)
{
    const char *at = strstr(tmpl, "%d");
    return !at ? g_strdup(tmpl) :
        g_strdup_printf("%.*s%ld%s", (int)(at - tmpl), tmpl, n, at + 2);
}

static FILE *file_open(const char *tmpl, long n)
{
    char *name = file_name(tmpl, n);
    FILE *f = fopen(name, "we");
    g_free(name);
    if (f) {
        setvbuf(f, NULL, _IOLBF, BUFSIZ);
    }
    return f;
}

bool log_set_file(const char *path, Error **errp)
{
    FILE *fresh = NULL;
    if (path) {
        const char *at = strchr(path, '%');
        if (at && (at[1] != 'd' || strchr(at + 1, '%'))) {
            return error_set(errp, "Bad logfile template: %s", path);
        }
        fresh = file_open(path, getpid());
        if (!fresh) {
            return error_set_errno(errp, errno, "Error opening logfile %s",
                                   path);
        }
    }
    pthread_mutex_lock(&mutex);
    FILE *old = file;
    char *old_template = template;
    file = fresh;
    template = g_strdup(path);
    pthread_mutex_unlock(&mutex);
    if (old) {
        fclose(old);
    }
    g_free(old_template);
    return true;
}

/* ---- writing ------------------------------------------------------------ */

static void own_close(void *f)
{
    fclose(f);
}

static void own_key_make(void)
{
    pthread_key_create(&own_key, own_close);
}

/* This thread's file under `tid`; NULL: the common one. Holds the mutex. */
static FILE *own_file(void)
{
    pthread_once(&own_once, own_key_make);
    FILE *f = pthread_getspecific(own_key);
    if (!f && template && strstr(template, "%d")) {
        f = file_open(template, gettid());
        pthread_setspecific(own_key, f);
    }
    return f;
}

void log_printf(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    pthread_mutex_lock(&mutex);
    FILE *to = __atomic_load_n(&log_mask, __ATOMIC_RELAXED) & LOG_TID ?
               own_file() : NULL;
    fputs(text, to ? to : file ? file : stderr);
    pthread_mutex_unlock(&mutex);
    g_free(text);
}

void guest_fault_emit(GuestFault *site, const char *who, const char *fmt, ...)
{
    if (!(__atomic_load_n(&log_mask, __ATOMIC_RELAXED) & LOG_GUEST_ERRORS)) {
        return;
    }
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    int64_t now = ts.tv_sec * 1000000000ll + ts.tv_nsec;
    int64_t from = __atomic_load_n(&site->window_ns, __ATOMIC_RELAXED);
    uint32_t missed = 0;
    if ((!from || now - from >= 1000000000ll) &&
        __atomic_compare_exchange_n(&site->window_ns, &from, now, false,
                                    __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
        uint32_t n = __atomic_exchange_n(&site->count, 0, __ATOMIC_RELAXED);
        missed = n > FAULTS_MAX ? n - FAULTS_MAX : 0;
    }
    if (missed) {
        log_printf("%s: %u more like the last\n", who, missed);
    }
    if (__atomic_fetch_add(&site->count, 1, __ATOMIC_RELAXED) >= FAULTS_MAX) {
        return;
    }
    va_list ap;
    va_start(ap, fmt);
    char *text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    log_printf("%s: %s\n", who, text);
    g_free(text);
}
