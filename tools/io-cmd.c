/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * io-cmd.c - the lines of tern-io: words, options, number of arguments, help; and
 * how sizes and times are read and shown.
 *
 * Thread class: MACHINE_CALL.
 */
#include <getopt.h>
#include <time.h>
#include "tools/io.h"
#include "tools/reader.h"

IoState io;

/* ---- numbers -------------------------------------------------------------- */

int64_t io_number(const char *text)
{
    int64_t v = tool_size(text);

    if (v == -ERANGE) {
        printf("Parsing error: argument too large -- %s\n", text);
    } else if (v < 0) {
        printf("Parsing error: non-numeric argument, or extraneous/unrecognized "
               "suffix -- %s\n", text);
    }
    return v;
}

int64_t io_length(const char *text)
{
    int64_t v = io_number(text);

    if (v > IO_MAX_BYTES) {
        printf("length cannot exceed %" PRId64 ", given %s\n", IO_MAX_BYTES,
               text);
        return -EINVAL;
    }
    return v;
}

int io_pattern(const char *text)
{
    char *end;
    long v;

    errno = 0;
    v = strtol(text, &end, 0);
    if (end == text || *end || errno || v < 0 || v > 255) {
        printf("%s is not a valid pattern byte\n", text);
        return -1;
    }
    return (int)v;
}

char *io_size(double v)
{
    static const char *const units[] = {
        "bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB",
    };
    unsigned i = 0;
    char *s, *end;

    for (; v >= 1024 && i + 1 < ARRAY_SIZE(units); i++) {
        v /= 1024;
    }
    s = g_strdup_printf(i ? "%.3f" : "%f", v);
    end = strchr(s, '.');
    if (end && !strcmp(end, i ? ".000" : ".000000")) {
        *end = 0;
    }
    end = g_strdup_printf("%s %s", s, units[i]);
    g_free(s);
    return end;
}

int64_t io_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

void io_report(const IoReport *r)
{
    int64_t cs = r->ns / 10000000, s = cs / 100;
    double secs = MAX2(r->ns, 1) / 1e9;
    g_autofree char *total = io_size((double)r->done);
    g_autofree char *speed = io_size((double)r->done / secs);

    if (r->terse) {
        printf("%" PRId64 ",1,%u:%02u:%02u.%02u,%.3f,%.3f\n", r->done,
               (unsigned)(s / 3600), (unsigned)(s / 60 % 60),
               (unsigned)(s % 60), (unsigned)(cs % 100), (double)r->done / secs,
               1 / secs);
        return;
    }
    printf("%s %" PRId64 "/%" PRId64 " bytes at offset %" PRId64 "\n", r->op,
           r->done, r->asked, r->off);
    printf("%s, 1 ops; ", total);
    if (s >= 3600) {
        printf("%u:%02u:%02u.%02u", (unsigned)(s / 3600),
               (unsigned)(s / 60 % 60), (unsigned)(s % 60),
               (unsigned)(cs % 100));
    } else if (s >= 60) {
        printf("%02u:%02u.%02u", (unsigned)(s / 60), (unsigned)(s % 60),
               (unsigned)(cs % 100));
    } else {
        printf("%02u.%02u sec", (unsigned)s, (unsigned)(cs % 100));
    }
    printf(" (%s/sec and %.4f ops/sec)\n", speed, 1 / secs);
}

void io_dump(const uint8_t *buf, int64_t off, int64_t len)
{
    for (int64_t at = 0; at < len; at += 16) {
        int64_t n = MIN2(16, len - at);

        printf("%08" PRIx64 ":  ", (uint64_t)(off + at));
        for (int64_t i = 0; i < n; i++) {
            printf("%02x ", buf[at + i]);
        }
        printf(" ");
        for (int64_t i = 0; i < n; i++) {
            putchar(g_ascii_isalnum(buf[at + i]) ? buf[at + i] : '.');
        }
        printf("\n");
    }
}

/* ---- buffers and requests ------------------------------------------------- */

#define MISALIGNED 16

void *io_buf(size_t n, int pattern)
{
    uint8_t *p = buf_alloc(n + MISALIGNED);

    memset(p, pattern, n + MISALIGNED);
    return p + (io.misalign ? MISALIGNED : 0);
}

void io_buf_free(void *p)
{
    if (p) {
        free((uint8_t *)p - (io.misalign ? MISALIGNED : 0));
    }
}

bool io_verify(const uint8_t *buf, int pattern, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (buf[i] != pattern) {
            return false;
        }
    }
    return true;
}

/* A request of a backend whose loop is another thread's: done is called here. */
typedef struct Hop {
    BlkReq req;
    BlkReq *outer;
} Hop;

static void hop_back(void *arg)
{
    Hop *h = arg;

    h->outer->ret = h->req.ret;
    h->outer->done(h->outer);
    g_free(h);
}

static void hop_done(BlkReq *req)
{
    loop_post_fn(loop_main, hop_back, container_of(req, Hop, req));
}

static void hop_submit(void *arg)
{
    BlkReq *req = arg;

    blk_submit(req->blk, req);
}

void io_send(BlkReq *req)
{
    Hop *h;

    if (blk_loop(io.blk) == loop_main) {
        blk_submit(io.blk, req);
        return;
    }
    h = g_new0(Hop, 1);
    h->req = *req;
    h->req.blk = io.blk;
    h->req.done = hop_done;
    h->outer = req;
    loop_run_sync(blk_loop(io.blk), hop_submit, &h->req);
}

typedef struct Wait {
    BlkReq req;
    bool over;
} Wait;

static void wait_done(BlkReq *req)
{
    container_of(req, Wait, req)->over = true;
}

int io_request(BlkReq req)
{
    Wait w = { .req = req };

    w.req.done = wait_done;
    io_send(&w.req);
    while (!w.over) {
        loop_step(true);
    }
    return w.req.ret < 0 ? w.req.ret : 0;
}

/* ---- help ----------------------------------------------------------------- */

static void brief(const IoCmd *c)
{
    printf("%s ", c->name);
    if (c->syntax) {
        printf("%s ", c->syntax);
    }
    printf("-- %s\n", c->brief);
}

int io_syntax(const IoCmd *cmd)
{
    brief(cmd);
    return -EINVAL;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const IoCmd *const *)a)->name,
                  (*(const IoCmd *const *)b)->name);
}

const IoCmd **io_cmds_sorted(size_t *n)
{
    GPtrArray *all = g_ptr_array_new();

    SET_EACH(io_cmds, IoCmd, c) {
        g_ptr_array_add(all, (void *)(uintptr_t)*c);
    }
    g_ptr_array_sort(all, by_name);
    *n = all->len;
    return (const IoCmd **)g_ptr_array_free(all, FALSE);
}

static const IoCmd *cmd_find(const char *name)
{
    SET_EACH(io_cmds, IoCmd, c) {
        if (!strcmp((*c)->name, name) ||
            ((*c)->alias && !strcmp((*c)->alias, name))) {
            return *c;
        }
    }
    return NULL;
}

static MACHINE_CALL int help_run(const IoCmd *cmd, const IoArgs *a)
{
    const IoCmd *c;
    size_t n;

    if (!a->n) {
        g_autofree const IoCmd **all = io_cmds_sorted(&n);

        for (size_t i = 0; i < n; i++) {
            brief(all[i]);
        }
        printf("\nUse 'help commandname' for extended help.\n");
        return 0;
    }
    c = cmd_find(a->v[0]);
    if (!c) {
        printf("command %s not found\n", a->v[0]);
        return -EINVAL;
    }
    brief(c);
    if (c->doc) {
        printf("\n%s\n", c->doc);
    }
    for (const IoOpt *o = c->opts; o && o->letter; o++) {
        printf(" -%c, -- %s\n", o->letter, o->desc);
    }
    return 0;
}

IO_CMD(io_help, {
    .name = "help", .alias = "?", .syntax = "[command]",
    .brief = "help for one or all commands", .max = 1, .no_file = true,
    .run = help_run,
});

/* ---- running -------------------------------------------------------------- */

/* Reads options as getopt does; operands are what is left. */
static bool opts_read(const IoCmd *c, int argc, char **argv, IoArgs *a)
{
    char letters[64] = "";
    size_t n = 0;
    int ch;

    for (const IoOpt *o = c->opts; o && o->letter && n < 60; o++) {
        letters[n++] = o->letter;
        if (o->arg) {
            letters[n++] = ':';
        }
    }
    opterr = 1;
    optind = 0;
    while ((ch = getopt(argc, argv, letters)) != -1) {
        if (ch == '?') {
            return false;
        }
        a->set[ch & 127] = true;
        a->value[ch & 127] = optarg;
    }
    a->n = argc - optind;
    a->v = argv + optind;
    return true;
}

static bool count_ok(const IoCmd *c, int n)
{
    if (n >= c->min && (c->max < 0 || n <= c->max)) {
        return true;
    }
    fprintf(stderr, "bad argument count %d to %s, expected ", n, c->name);
    if (c->max < 0) {
        fprintf(stderr, "at least %d arguments\n", c->min);
    } else if (c->min == c->max) {
        fprintf(stderr, "%d arguments\n", c->min);
    } else {
        fprintf(stderr, "between %d and %d arguments\n", c->min, c->max);
    }
    return false;
}

static MACHINE_CALL int run(int argc, char **argv)
{
    const IoCmd *c = cmd_find(argv[0]);
    IoArgs a = { .n = 0 };

    if (!c) {
        fprintf(stderr, "command \"%s\" not found\n", argv[0]);
        return -EINVAL;
    }
    if (!c->no_file && !io.blk) {
        fprintf(stderr, "no file open, try 'help open'\n");
        return -EINVAL;
    }
    if (!count_ok(c, argc - 1)) {
        return -EINVAL;
    }
    if (c->writes && !blk_writable(io.blk)) {
        error_reportf("Block node is read-only");
        return -EACCES;
    }
    if (io.blk && io.permit && !io.permit(c->writes)) {
        return -EPERM;
    }
    fflush(stdout);
    if (!opts_read(c, argc, argv, &a)) {
        return io_syntax(c);
    }
    return c->run(c, &a);
}

int io_line(const char *line)
{
    g_auto(GStrv) words = g_strsplit_set(line, " ", -1);
    g_autofree char **argv = NULL;
    int argc = 0, ret;

    argv = g_new0(char *, g_strv_length(words) + 1);
    for (char **w = words; *w; w++) {
        if (**w) {
            argv[argc++] = *w;
        }
    }
    ret = argc ? run(argc, argv) : 0;
    fflush(stdout);
    return ret;
}
