/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mon-impl.h - one monitor session, private to monitor/.
 *
 * A monitor's front runs in the main loop until a QMP client negotiates
 * out-of-band execution; from then on it runs in the monitors' own thread, and
 * commands that are not out-of-band are handed to the main loop.
 */
#ifndef TERN_MON_IMPL_H
#define TERN_MON_IMPL_H

#include <glib.h>
#include "chr.h"
#include "monitor.h"

#define MON_QUEUE_MAX   8              /* requests waiting: then input stops  */
#define MON_OUT_SOFT    (1 * MiB)      /* unsent output: then input stops     */
#define MON_OUT_HARD    (64 * MiB)     /* ... then events are dropped         */
#define MON_REPLY_MAX   (64 * MiB)     /* longer replies become an error      */

typedef struct MonBuf {
    char *p;
    size_t n, cap;
} MonBuf;

typedef struct MonFd {                 /* getfd                               */
    struct MonFd *next;
    char *name;
    int fd;
} MonFd;

typedef struct QmpRequest {
    Json *v;                           /* NULL: err tells why                 */
    Error *err;
} QmpRequest;

typedef struct Hmp Hmp;                /* hmp.c                               */

struct Monitor {
    CharFront front;
    Monitor *next;                     /* guarded by mon_lock                 */
    bool qmp, pretty;
    bool capture;                      /* no port: output is collected        */
    Loop *loop;                        /* of front's callbacks                */
    unsigned session;                  /* counts connections; atomic          */

    /* Output. pend is guarded by mon_lock, send belongs to loop. */
    MonBuf pend, send;
    size_t sent;
    bool watching;                     /* waits for room                      */
    Work flush_work;

    /* QMP */
    JsonParser *parser;
    bool offers_oob;
    bool negotiated, oob;              /* guarded by mon_lock                 */
    bool threaded;                     /* front runs in the monitors' thread  */
    bool busy, in_receive, refused;    /* refused: input was turned away      */
    bool stale;                        /* the rest of the input is old        */
    GQueue queue;                      /* QmpRequest; guarded by mon_lock     */
    Work run_work, move_work;
    JsonOut reply;

    MonFd *fds;                        /* guarded by mon_lock                 */
    Hmp *hmp;
};

extern pthread_mutex_t mon_lock;       /* leaf                                */
extern Monitor *mon_first;

/* Appends output; any thread. mon_kick has it sent soon, mon_flush now (in the
 * monitor's loop). */
void mon_append(Monitor *m, const char *p, size_t n);
void mon_append_locked(Monitor *m, const char *p, size_t n);
void mon_kick(Monitor *m);
void mon_flush(Monitor *m);
bool mon_output_full(Monitor *m);
Loop *mon_thread_loop(void);           /* starts the thread; NULL: cannot     */
void mon_close_fds(Monitor *m);

/* events.c */
void events_start(void);
void events_stop(void);

/* qmp.c */
void qmp_init(Monitor *m);
void qmp_fini(Monitor *m);
/* dispatch.c: carries out one request and writes the reply. False: a coroutine
 * goes on with it and calls done. oob: in the monitors' thread, no machine
 * lock. */
typedef struct QmpCall QmpCall;
bool qmp_dispatch(Monitor *m, Json *req, bool oob,
                  void (*done)(Monitor *m, unsigned session, JsonOut *reply));
void qmp_reply_error(JsonOut *o, const Json *id, const Error *err);
/* Runs a command's handler and fills ret; for HMP too. */
bool command_call(const Command *c, const Json *args, bool text, void *ret,
                  Error **errp) MACHINE_CALL;

/* hmp.c */
/* Prints err and what it advises, and frees it; nothing for NULL. */
void hmp_error(Error *err);
void hmp_init(Monitor *m);
void hmp_fini(Monitor *m);
void hmp_run_line(Monitor *m, const char *line) MACHINE_CALL;
/* Row for the words at *p, which is moved behind them; shown gets the words as
 * typed. NULL: unknown (then shown says what). */
const Command *hmp_find(const char **p, GString *shown);
const char *hmp_history_get(unsigned i);
/* A command that is the HMP one for QMP clients: what that prints is the text
 * returned; of one that returns nothing, the error. */
bool command_is_twin(const Command *c);
/* -preconfig: nothing but commands for that time is carried out. */
extern bool mon_early;
bool hmp_twin(const Command *c, const Json *args, void *ret, Error **errp)
    MACHINE_CALL;
extern const char hmp_prompt[];

/* hmp-args.c: args as the pattern says; false: message printed. name is shown in
 * messages. */
Json *hmp_args_parse(const char *pattern, const char *name, const char *text,
                     GString *why);
/* One argument of a pattern, for completion: kind and completer of number i;
 * false: none. */
typedef struct HmpArg {
    char name[40], kind[16], extra[80];
    char flag;                         /* -f: 'f'                             */
    bool optional, has_value;
} HmpArg;
bool hmp_arg_at(const char **pattern, HmpArg *a);
/* Next word, quotes undone; NULL at the end or (with *why) when malformed. */
char *hmp_word(const char **p, GString *why);
/* hmp-expr.c: false: why is set. */
bool hmp_expr(const char **p, int64_t *v, GString *why);

/* complete.c: all completions of the line's last word, sorted; *start gets its
 * offset. */
GPtrArray *hmp_complete(const char *line, size_t *start) MACHINE_CALL;

#endif
