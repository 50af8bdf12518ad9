/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * monitor.h - QMP and HMP: rows generated from schema/, the walkers over them,
 * events, and the handle of a monitor that is running a command.
 */
#ifndef TERN_MONITOR_H
#define TERN_MONITOR_H

#include "json.h"

/* ---- schema tables (generated) ------------------------------------------- */
typedef enum QMeta { QM_BUILTIN, QM_ENUM, QM_STRUCT, QM_UNION, QM_ALTERNATE,
                     QM_LIST, QM_ANY } QMeta;
typedef enum QBuiltin { QB_STR, QB_INT, QB_I8, QB_I16, QB_I32, QB_I64, QB_U8,
                        QB_U16, QB_U32, QB_U64, QB_SIZE, QB_BOOL, QB_NUMBER,
                        QB_NULL, QB_ANY } QBuiltin;
typedef struct QType QType;
/* An optional member is absent when its has_x is false or, where there is none
 * (has_offset 0), when its pointer is NULL: str, any, and QF_PTR. */
enum { QF_OPT = 1,
       QF_PTR = 2 };                   /* the struct is pointed at            */
typedef struct QMember {
    const char *name;
    const QType *type;
    uint32_t offset;
    uint32_t has_offset;               /* of bool has_x; 0: none              */
    uint16_t flags;                    /* QF_*                                */
    const char *features;              /* "deprecated unstable", NULL: none   */
    const char *doc;
} QMember;
typedef struct QVariant {
    const char *name;                  /* tag value                           */
    const QType *type;
    uint32_t offset;
} QVariant;
struct QType {
    const char *name;
    QMeta meta;
    QBuiltin builtin;
    uint32_t size;
    const QMember *members;            /* name NULL at the end                */
    const char *const *values;         /* enum, NULL-terminated               */
    const char *const *value_features; /* enum: as many; NULL: none at all    */
    const QType *element;              /* list                                */
    const char *tag;                   /* union: member that selects          */
    const QVariant *variants;          /* union, alternate                    */
    const char *open_set;              /* rest of the members: registry's;
                                          in C an OpenArg                     */
    const char *features, *doc;
};
/* In C a list is a struct of `T *v; size_t n;` in this layout. */
typedef struct QList {
    void *v;
    size_t n;
} QList;
/* A value of a type with an open set: kept as JSON, checked as far as the schema
 * knows it; the registry's rows check the rest. */
typedef struct OpenArg {
    Json *obj;
    bool text;                         /* leaves may be strings to convert    */
} OpenArg;
typedef enum CmdFlags {
    CMD_OOB = 1 << 0, CMD_PRECONFIG = 1 << 1, CMD_CO = 1 << 2,
    CMD_NO_REPLY = 1 << 3, CMD_HMP_ONLY = 1 << 4,
    CMD_RAW = 1 << 5,                  /* ret is a JsonOut to write the value to */
} CmdFlags;
typedef struct Command {
    const char *name;                  /* QMP name; NULL: HMP only            */
    const QType *arg, *ret;
    uint16_t flags;
    /* arg and ret point at the generated structs (char *, Json *, a list where
     * the type is no struct); ret is zeroed before, freed by the walker after.
     * NULL: the part that would handle it is not in this program, and the
     * command does not exist. */
    bool (*call)(const void *arg, void *ret, Error **errp) MACHINE_PTR;
    const char *features;
    const char *doc, *since;
    /* HMP: command word(s) ("info status"), argument pattern, shown params. */
    const char *hmp, *hmp_alias, *hmp_args, *hmp_params, *hmp_help;
    /* Prints the reply for people, or handles the whole HMP command (args as a
     * JSON object by hmp_args) when the command has no QMP twin. */
    void (*hmp_print)(const void *ret, const Json *args) MACHINE_PTR;
    void (*hmp_run)(const Json *args) MACHINE_PTR;
} Command;
typedef struct Event {
    const char *name;
    const QType *arg;                  /* NULL: no data                       */
    int64_t rate_ns;                   /* 0: not limited                      */
    const char *rate_key;              /* member that separates streams       */
    const char *features, *doc;
} Event;
typedef struct OptionParam {
    const char *name, *type;           /* type: string boolean number size    */
    const char *help, *def;            /* def: what it is when not given      */
} OptionParam;
typedef struct OptionRow {             /* command line                        */
    const char *name;                  /* "device"; also without dash         */
    const char *alias;                 /* "h"                                 */
    const char *section;               /* heading in -help                    */
    const char *group;                 /* query-command-line-options name     */
    const char *implied;               /* first key                           */
    bool has_arg, hidden;              /* hidden: not in -help                */
    const char *params, *help, *doc;   /* one line each, '\n' between forms   */
    const OptionParam *args;           /* of the group; NULL: none listed     */
    bool (*handle)(const char *arg, Error **errp) MACHINE_PTR;
} OptionRow;

/* ---- walkers ------------------------------------------------------------- */
/* JSON -> struct; text: leaves are strings. Errors as the peer's ("Parameter 'x'
 * is missing", "Invalid parameter type for 'x', expected: string", "Parameter 'x'
 * is unexpected"). Members of an open set stay in the JSON given. */
bool schema_parse(const QType *t, const Json *v, bool text, void *out,
                  Error **errp);
void schema_emit(const QType *t, const void *p, JsonOut *out);
Json *schema_json(const QType *t, const void *p);
void schema_free(const QType *t, void *p);         /* what p points at        */
bool schema_check(const QType *t, const Json *v, Error **errp);
int schema_enum(const QType *t, const char *name);            /* -1: none      */
/* Appends a zeroed element to a list of the generated form and returns it. */
#define SCHEMA_ADD(list) \
    ((__typeof__((list)->v))schema_list_add(list, sizeof(*(list)->v)))
void *schema_list_add(void *list, size_t size);
/* A struct for an optional member (g_free'd by the walker). */
#define SCHEMA_NEW(T) g_new0(T, 1)
/* Table rows by name; NULL: no such row, or nothing there handles it. */
const Command *command_find(const char *name);
const OptionRow *option_find(const char *name);   /* "device", "-device", "--x" */

/* A registry whose rows are the branches of an open set: calls fn for each name
 * with up to three tables of its properties (NULL where there are fewer). */
typedef struct Prop Prop;
typedef void OpenSetFn(void *arg, const char *name, const Prop *const rows[3]);
typedef struct OpenSet {
    const char *name;                  /* as in `open NAME`: "user_types"     */
    void (*each)(OpenSetFn *fn, void *arg);
} OpenSet;
#define OPEN_SET(sym, ...) SET_MEMBER(open_sets, OpenSet, sym, __VA_ARGS__)
void open_set_each(const char *set, OpenSetFn *fn, void *arg);
bool open_set_has(const char *set, const char *name);

/* ---- events -------------------------------------------------------------- */
/* data: the generated struct of ev->arg, or NULL. May be called with or without
 * the machine lock. ANY_THREAD. */
void monitor_event(const Event *ev, const void *data);
extern void (*monitor_event_sink)(const Event *ev, const void *data);

/* ---- the monitor that runs the command --- */
typedef struct Monitor Monitor;
extern __thread Monitor *mon_current;  /* NULL: not in a command              */
void mon_printf(const char *fmt, ...) PRINTF_LIKE(1, 2);   /* HMP              */
void mon_puts(const char *s);
bool mon_is_hmp(void);
/* Runs one HMP line, output to a string (human-monitor-command). */
char *mon_hmp_line(const char *line, int cpu_index) MACHINE_CALL;
int mon_cpu_index(void);               /* of the current HMP session          */
void mon_cpu_index_set(int index);
/* Set by whoever makes vCPUs; NULL: there are none. */
extern bool (*mon_cpu_exists)(int64_t index);
/* For $name in HMP expressions; set by the target. False: no such register. */
extern bool (*mon_register_get)(int cpu_index, const char *name,
                                uint64_t *value);
/* getfd: takes the named fd out of the current monitor; -1 with *errp. A name
 * that is a number is an inherited descriptor. */
int mon_take_fd(const char *name, Error **errp) MACHINE_CALL;
/* The same of names alone: a number is none of the client's to give. */
int mon_take_named_fd(const char *name, Error **errp) MACHINE_CALL;
/* /dev/fdset/N: a descriptor duplicated with fitting access mode. */
int fdset_open(int64_t set, int flags, Error **errp);
void fdset_close(int fd);
/* open(), where /dev/fdset/N stands for a descriptor of a set; closed by
 * fdset_close. -1 with errno, and sometimes with *errp too. */
int host_open(const char *path, int flags, unsigned mode, Error **errp);
/* -mon / -monitor / -qmp: qmp false: HMP. */
typedef struct CharPort CharPort;
bool mon_add(CharPort *p, bool qmp, bool pretty, Error **errp) MACHINE_CALL;
void mon_fini(void) MACHINE_CALL;      /* flushes and closes all              */

#endif
