/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * io-open.c - open, close, reopen, quit: what a monitor does not have.
 *
 * Thread class: MACHINE_CALL.
 */
#include <unistd.h>
#include "opt.h"
#include "tools/io.h"

/* What an image was opened with, for reopen. */
static struct {
    IoOpen o;
    char *options;
    int overlay;                       /* file descriptor; -1: none           */
} opened = { .overlay = -1 };

/* ---- opening -------------------------------------------------------------- */

static bool flags_read(const IoOpen *o, unsigned *flags, bool *writethrough)
{
    const char *d = o->discard;

    *flags = o->read_only ? 0 : BLKO_RDWR;
    *flags |= o->cow ? BLKO_COPY_ON_READ : 0;
    *writethrough = true;
    if (o->nocache) {
        tool_cache("none", flags, writethrough);
    }
    if (o->cache && !tool_cache(o->cache, flags, writethrough)) {
        error_reportf("Invalid cache option: %s", o->cache);
        return false;
    }
    if (d && strcmp(d, "off") && strcmp(d, "ignore") && strcmp(d, "on") &&
        strcmp(d, "unmap")) {
        error_reportf("Invalid discard option: %s", d);
        return false;
    }
    if (!d || !strcmp(d, "on") || !strcmp(d, "unmap")) {
        *flags |= BLKO_UNMAP;
    }
    if (o->aio && strcmp(o->aio, "threads") && strcmp(o->aio, "native") &&
        strcmp(o->aio, "io_uring")) {
        error_reportf("Invalid aio option: %s", o->aio);
        return false;
    }
    return true;
}

bool io_open_check(const IoOpen *o)
{
    unsigned flags;
    bool wt;

    return flags_read(o, &flags, &wt);
}

static void overlay_drop(void)
{
    if (opened.overlay >= 0) {
        close(opened.overlay);
        opened.overlay = -1;
    }
}

/* An overlay that is gone when the program ends: its name is taken away at once,
 * and the descriptor opens it again. */
static MACHINE_CALL bool overlay_make(const char *name, const char *format,
                                       Error **errp)
{
    const char *dir = g_getenv("TMPDIR") ? g_getenv("TMPDIR") : "/var/tmp";
    g_autofree char *full = g_canonicalize_filename(name, NULL);
    g_autofree char *path = g_strdup_printf("%s/tern-io-XXXXXX", dir);
    BlkImageSpec spec = { .filename = path, .format = "qcow2",
                          .backing = full, .backing_fmt = format, .size = -1 };
    int fd = g_mkstemp(path);

    if (fd < 0) {
        return error_set_errno(errp, errno, "Could not get temporary filename");
    }
    opened.overlay = fd;
    if (!blk_image_make(&spec, errp)) {
        overlay_drop();
    }
    unlink(path);
    return opened.overlay >= 0;
}

static MACHINE_CALL BlkBackend *backend_open(const char *name, const IoOpen *o,
                                             ToolOpen *t, Error **errp)
{
    char overlay[32];

    if (!o->snapshot || !name) {
        return tool_open_err(name, t, errp);
    }
    if (opened.overlay < 0 &&
        !overlay_make(name, t->format ? t->format : "raw", errp)) {
        return NULL;
    }
    snprintf(overlay, sizeof(overlay), "/proc/self/fd/%d", opened.overlay);
    t->format = "qcow2";
    t->flags |= BLKO_NO_FLUSH;
    return tool_open_err(overlay, t, errp);
}

static MACHINE_CALL bool open_it(const char *name, const IoOpen *o,
                                 Error **errp)
{
    ToolOpen t = { .format = o->format, .share = o->share,
                   .aio = o->aio ? o->aio : o->native ? "native" : NULL,
                   .image_opts = o->image_opts, .options = o->options };
    bool file = name && !o->image_opts;

    flags_read(o, &t.flags, &t.writethrough);
    io.blk = backend_open(name, o, &t, errp);
    if (!io.blk) {
        error_prepend(errp, "can't open%s%s: ", file ? " device " : "",
                      file ? name : "");
        return false;
    }
    if (io.name != name) {
        g_free(io.name);
        io.name = g_strdup(name);
    }
    if (opened.options != o->options) {
        g_free(opened.options);
        opened.options = g_strdup(o->options);
    }
    opened.o = *o;
    opened.o.options = opened.options;
    return true;
}

bool io_open(const char *name, const IoOpen *o)
{
    Error *err = NULL;

    if (!io_open_check(o)) {
        return false;
    }
    if (io.blk) {
        error_reportf("file open already, try 'help close'");
        return false;
    }
    overlay_drop();
    if (!open_it(name, o, &err)) {
        error_report(err);
        return false;
    }
    return true;
}

void io_close(void)
{
    if (io.blk) {
        io_aio_flush();
        tool_close(io.blk);
        io.blk = NULL;
    }
}

/* ---- commands ------------------------------------------------------------- */

static MACHINE_CALL int close_run(const IoCmd *c, const IoArgs *a)
{
    io_close();
    return 0;
}

IO_CMD(io_close_cmd, {
    .name = "close", .alias = "c", .brief = "close the current open file",
    .run = close_run,
});

static const IoOpt open_opts[] = {
    { 'r', false, "only reads it" },
    { 's', false, "writes go to a file that is removed" },
    { 'C', false, "keeps what it reads from backing files (copy on read)" },
    { 'n', false, "as -t none" },
    { 'U', false, "although others may be writing it" },
    { 'k', false, "as -i native" },
    { 'i', true, "threads, native or io_uring" },
    { 't', true, "cache mode" },
    { 'd', true, "unmap or ignore: what becomes of discards" },
    { 'o', true, "options of the driver, name=value with commas between" },
    { .letter = 0 }
};

static MACHINE_CALL int open_run(const IoCmd *c, const IoArgs *a)
{
    IoOpen o = {
        .read_only = a->set['r'], .snapshot = a->set['s'], .cow = a->set['C'],
        .nocache = a->set['n'], .share = a->set['U'], .native = a->set['k'],
        .aio = a->value['i'], .cache = a->value['t'], .discard = a->value['d'],
        .options = a->value['o'],
    };

    if (a->n > 1 || (!a->n && !o.options)) {
        return io_syntax(c);
    }
    return io_open(a->n ? a->v[0] : NULL, &o) ? 0 : -EINVAL;
}

IO_CMD(io_open_cmd, {
    .name = "open", .alias = "o",
    .syntax = "[-rsCnkU] [-t cache] [-d discard] [-o options] [path]",
    .brief = "open the file specified by path", .opts = open_opts, .min = 1,
    .max = -1, .no_file = true, .run = open_run,
});

static const IoOpt reopen_opts[] = {
    { 'r', false, "only reads it from here on" },
    { 'w', false, "writes it too" },
    { 'c', true, "another cache mode" },
    { 'o', true, "other options of the driver" },
    { .letter = 0 }
};

/* An option that there is not is one that cannot be changed. */
static void option_report(Error *err)
{
    const char *at = strstr(error_text(err), "does not support the option '");

    if (at) {
        error_reportf("Cannot change the option %s", strchr(at, '\''));
        error_free(err);
    } else {
        error_report(err);
    }
}

/* The image is closed and opened again with what has changed, or as it was. */
static MACHINE_CALL int reopen_run(const IoCmd *c, const IoArgs *a)
{
    IoOpen old = opened.o, o = old;
    g_autofree char *name = g_strdup(io.name);
    g_autofree char *before = g_strdup(old.options);
    g_autofree char *options = NULL;
    Error *err = NULL;
    unsigned flags = 0;
    bool wt;

    if (a->n) {
        return io_syntax(c);
    }
    if (a->set['r'] && a->set['w']) {
        error_reportf("Only one -r/-w option may be given");
        return -EINVAL;
    }
    if (a->set['c'] && !tool_cache(a->value['c'], &flags, &wt)) {
        error_reportf("Invalid cache option: %s", a->value['c']);
        return -EINVAL;
    }
    if (a->set['o'] && (g_str_has_prefix(a->value['o'], "driver=") ||
                        strstr(a->value['o'], ",driver="))) {
        error_reportf("Cannot change the option 'driver'");
        return -EINVAL;
    }
    o.read_only = a->set['r'] || (o.read_only && !a->set['w']);
    o.cache = a->set['c'] ? g_intern_string(a->value['c']) : o.cache;
    options = before && a->set['o']
        ? g_strdup_printf("%s,%s", before, a->value['o'])
        : g_strdup(a->set['o'] ? a->value['o'] : before);
    o.options = options;
    old.options = before;
    io_close();
    if (open_it(name, &o, &err)) {
        return 0;
    }
    option_report(err);
    open_it(name, &old, NULL);
    return -EINVAL;
}

IO_CMD(io_reopen, {
    .name = "reopen", .syntax = "[(-r|-w)] [-c cache] [-o options]",
    .brief = "reopens an image with new options", .opts = reopen_opts, .min = 0,
    .max = -1, .run = reopen_run,
});

static MACHINE_CALL int quit_run(const IoCmd *c, const IoArgs *a)
{
    io.quit = true;
    return 0;
}

IO_CMD(io_quit, {
    .name = "quit", .alias = "q", .brief = "exit the program", .no_file = true,
    .max = -1, .run = quit_run,
});
