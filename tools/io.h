/* SPDX-License-Identifier: GPL-2.0-or-later */
/* io.h - the commands of tern-io. Main thread, under the machine lock. */
#ifndef TERN_TOOLS_IO_H
#define TERN_TOOLS_IO_H

#include "tools/tool.h"

#define IO_MAX_BYTES INT64_C(2147483136)

typedef struct IoOpt {
    char letter;
    bool arg;
    const char *desc;
} IoOpt;
typedef struct IoArgs {                /* of one command                      */
    bool set[128];
    const char *value[128];
    int n;                             /* operands                            */
    char **v;
} IoArgs;
typedef struct IoCmd {
    const char *name, *alias;          /* alias NULL: none                    */
    const char *syntax;                /* "[-Cq] off len"; NULL: no arguments */
    const char *brief;
    const char *doc;                   /* after the options; NULL: none       */
    const IoOpt *opts;                 /* NULL: none                          */
    int min, max;                      /* words after the name; max -1: any   */
    bool no_file;                      /* needs no open image                 */
    bool writes;
    /* 0 or -errno (the text has been printed). */
    int (*run)(const struct IoCmd *cmd, const IoArgs *a) MACHINE_PTR;
} IoCmd;
#define IO_CMD(sym, ...) SET_MEMBER(io_cmds, IoCmd, sym, __VA_ARGS__)

typedef struct IoState {
    BlkBackend *blk;                   /* NULL: no file                       */
    char *name;
    bool misalign, quit;
    unsigned aio;                      /* requests under way                  */
    /* Asks for leave to read or write blk; NULL: it has. Prints.             */
    bool (*permit)(bool writes) MACHINE_PTR;
} IoState;
extern IoState io;

/* Runs one line; 0 or -errno. */
int io_line(const char *line) MACHINE_CALL;
int io_syntax(const IoCmd *cmd);       /* prints it; -EINVAL                  */
const IoCmd **io_cmds_sorted(size_t *n);           /* g_free               */
void io_aio_flush(void) MACHINE_CALL;

/* ---- numbers and what is shown -------------------------------------------- */
/* With suffix; negative after a text on stdout. */
int64_t io_number(const char *text);
/* As a length of a request. */
int64_t io_length(const char *text);
/* 0..255, else -1 after a text. */
int io_pattern(const char *text);
char *io_size(double v);               /* "4 KiB"; g_free                     */
int64_t io_now_ns(void);
typedef struct IoReport {
    const char *op;
    int64_t ns, off;
    int64_t done, asked;               /* bytes                               */
    bool terse;
} IoReport;
void io_report(const IoReport *r);
void io_dump(const uint8_t *buf, int64_t off, int64_t len);

/* ---- buffers and requests -------------------------------------------------- */
void *io_buf(size_t n, int pattern);
void io_buf_free(void *p);
/* Its done is called in the main loop. */
void io_send(BlkReq *req) MACHINE_CALL;
/* Waits for it. 0 or -errno. */
int io_request(BlkReq req) MACHINE_CALL;
/* Where the first byte differs from what is wanted; -1: nowhere. */
bool io_verify(const uint8_t *buf, int pattern, size_t n);

/* ---- opening ---------------------------------------------------------------- */
typedef struct IoOpen {
    const char *format, *cache, *discard, *aio, *options;
    bool read_only, snapshot, nocache, native, cow, share, image_opts;
} IoOpen;
/* Are the words that name modes right? Prints. */
bool io_open_check(const IoOpen *o);
bool io_open(const char *name, const IoOpen *o) MACHINE_CALL;
void io_close(void) MACHINE_CALL;

#endif
