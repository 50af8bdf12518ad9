/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tool.h - what the image programs share: option tables from which arguments are
 * read and help and manual are printed, opening of images, progress. Everything
 * runs in the main thread under the machine lock.
 */
#ifndef TERN_TOOLS_TOOL_H
#define TERN_TOOLS_TOOL_H

#include <glib.h>
#include "block/driver.h"

/* ---- options ------------------------------------------------------------- */
typedef enum ToolKind {
    TK_FLAG,                           /* bool                                */
    TK_STR,                            /* const char *: the last one          */
    TK_LIST,                           /* GPtrArray *: all, in order          */
    TK_CHOICE,                         /* int: the option's value in `set`;
                                          several options share one field     */
    TK_OPTS,                           /* char *: joined by commas            */
    TK_STEP,                           /* GArray * of ToolStep, in order;
                                          several options share one field     */
    TK_OBJECT,                         /* made at once; no field              */
} ToolKind;
typedef struct ToolStep {
    int what;                          /* the option's `set`                  */
    const char *value;                 /* NULL: it takes none                 */
} ToolStep;
typedef struct ToolOpt {
    const char *name;                  /* long form; NULL: none               */
    char letter;                       /* short form; 0: none                 */
    uint8_t kind;
    int16_t set;                       /* TK_CHOICE, TK_STEP                  */
    uint16_t offset;                   /* of the field in the command's struct */
    const char *arg;                   /* what follows, for people; NULL: none */
    const char *desc;                  /* help and manual; NULL: in neither   */
} ToolOpt;
#define TOOL_OPTS_MAX 40

/* Reads argv[1..]; *rest: index of the first file name (argv is reordered).
 * false: an error has been printed, or help was (*help). Frees nothing. */
bool tool_parse(const ToolOpt *const *tables, int argc, char **argv, void *args,
                int *rest) MACHINE_CALL;
/* "tern-img: text" and where help is found; returns 1. */
int tool_usage_error(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* Reports err as "FILE: text" (file NULL: text); returns 1. */
int tool_fail(const char *file, Error *err) MACHINE_CALL;
void tool_version(void);
/* --object text. */
bool tool_object(const char *text) MACHINE_CALL;

/* One line of usage: "[-f fmt] [-q] …". */
void tool_print_syntax(const ToolOpt *const *tables);
/* A line of usage for each option: "  -f, --format fmt  what it does". */
void tool_print_options(const ToolOpt *const *tables);
void tool_print_formats(void);

/* A value for people, each line `depth` levels in. */
void tool_print_json(const Json *v, int depth);

/* ---- manual --------------------------------------------------------------- */
void man_head(const char *name, const char *summary);
void man_text(const char *text);       /* escapes                             */
void man_options(const ToolOpt *const *tables);

/* ---- images --------------------------------------------------------------- */
/* Cache mode by name: BLKO_* and write-through. */
bool tool_cache(const char *mode, unsigned *flags, bool *writethrough);
typedef struct ToolOpen {
    const char *format;                /* NULL: probed                        */
    const char *options;               /* more of the driver's; NULL: none    */
    const char *aio;                   /* NULL: as the protocol has it        */
    unsigned flags;                    /* BLKO_*                              */
    bool image_opts, writethrough, share, quiet;
    bool alone;                        /* nobody may write it meanwhile       */
} ToolOpen;
/* A backend with the image; NULL: the error has been printed. */
BlkBackend *tool_open(const char *filename, const ToolOpen *o) MACHINE_CALL;
/* As tool_open, but the error is the caller's to print. */
BlkBackend *tool_open_err(const char *filename, const ToolOpen *o, Error **errp)
    MACHINE_CALL;
/* Lets it go: written-back and flushed. */
void tool_close(BlkBackend *b) MACHINE_CALL;
/* Size with suffix as the tools read it: -errno where it is none. */
int64_t tool_size(const char *text);
/* Number with suffix, within min..max; prints what is wrong with `name`, then
 * it is negative. */
int64_t tool_range(const char *name, const char *text, int64_t min,
                   int64_t max);
static inline int64_t tool_number(const char *name, const char *text,
                                  int64_t max)
{
    return tool_range(name, text, 0, max);
}

/* ---- progress -------------------------------------------------------------- */
/* -p: a percentage on stdout, or with SIGUSR1 one line on stderr. */
void progress_begin(bool on, double step) MACHINE_CALL;
void progress_set(double part);        /* 0..1, ANY_THREAD                    */
void progress_end(void);

#endif
