/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * io.c - tern-io: requests to an image, typed or given with -c.
 *
 * Thread class: main thread.
 */
#include <signal.h>
#include <termios.h>
#include <unistd.h>
#include "monitor/readline.h"
#include "trace.h"
#include "tools/io.h"

typedef struct MainArgs {
    IoOpen open;
    GPtrArray *cmds, *trace;
    bool misalign, help, version, man;
} MainArgs;
#define AT(f) offsetof(MainArgs, f)

static const ToolOpt main_opts[] = {
    { "object", 0, TK_OBJECT, 0, 0, "OBJECTDEF",
      "makes an object, such as a secret" },
    { "image-opts", 0, TK_FLAG, 0, AT(open.image_opts), NULL,
      "the file is a list of options" },
    { "cmd", 'c', TK_LIST, 0, AT(cmds), "STRING", "runs a command" },
    { "format", 'f', TK_STR, 0, AT(open.format), "FMT",
      "format of the image" },
    { "read-only", 'r', TK_FLAG, 0, AT(open.read_only), NULL, "only reads it" },
    { "snapshot", 's', TK_FLAG, 0, AT(open.snapshot), NULL,
      "writes go to a file that is removed" },
    { "nocache", 'n', TK_FLAG, 0, AT(open.nocache), NULL, "as -t none" },
    { "copy-on-read", 'C', TK_FLAG, 0, AT(open.cow), NULL,
      "keeps what it reads from backing files" },
    { "misalign", 'm', TK_FLAG, 0, AT(misalign), NULL,
      "buffers are not aligned" },
    { "native-aio", 'k', TK_FLAG, 0, AT(open.native), NULL, "as -i native" },
    { "aio", 'i', TK_STR, 0, AT(open.aio), "MODE",
      "threads, native or io_uring" },
    { "cache", 't', TK_STR, 0, AT(open.cache), "MODE", "cache mode" },
    { "discard", 'd', TK_STR, 0, AT(open.discard), "MODE",
      "unmap or ignore: what becomes of discards" },
    { "trace", 'T', TK_LIST, 0, AT(trace), "SPEC", "turns trace points on" },
    { "force-share", 'U', TK_FLAG, 0, AT(open.share), NULL,
      "although others may be writing it" },
    { "help", 'h', TK_FLAG, 0, AT(help), NULL, "prints this" },
    { "version", 'V', TK_FLAG, 0, AT(version), NULL, "prints the version" },
    { "x-man", 0, TK_FLAG, 0, AT(man), NULL, NULL },
    { .name = NULL }
};
static const ToolOpt *const tables[] = { main_opts, NULL };

static void usage(void)
{
    printf("Usage: %s [OPTIONS]... [-c STRING]... [file]\n"
           "Sends requests to a disk image.\n\n", report_name());
    tool_print_options(tables);
    printf("\n'%s -c help' lists the commands.\n", report_name());
}

static void commands_man(void)
{
    size_t n;
    g_autofree const IoCmd **all = io_cmds_sorted(&n);

    for (size_t i = 0; i < n; i++) {
        printf(".TP\n.B %s ", all[i]->name);
        man_text(all[i]->syntax ? all[i]->syntax : "");
        printf("\n");
        man_text(all[i]->brief);
        printf("\n");
        for (const IoOpt *o = all[i]->opts; o && o->letter; o++) {
            printf(".br\n\\-%c: ", o->letter);
            man_text(o->desc);
            printf("\n");
        }
    }
}

static void manual(void)
{
    man_head("tern-io", "sends requests to a disk image");
    printf(".SH SYNOPSIS\n.B tern\\-io\n[options] [\\-c command]... [file]\n"
           ".SH DESCRIPTION\nReads and writes an image as a guest would, to "
           "try images and formats. Commands come from \\-c, or else are "
           "typed.\n.SH OPTIONS\n");
    man_options(tables);
    printf(".SH COMMANDS\n");
    commands_man();
    printf(".SH EXIT STATUS\n0 when all commands succeeded, else 1.\n"
           ".SH SEE ALSO\n.BR tern\\-img (1)\n");
}

/* ---- typing --------------------------------------------------------------- */

typedef struct Typing {
    Readline r;
    int ret;
    bool end;
    struct termios old;
} Typing;

static void typing_put(void *arg, const char *s, size_t n)
{
    fwrite(s, 1, n, stdout);
    fflush(stdout);
}

static void terminal_raw(Typing *t, bool on)
{
    struct termios raw = t->old;

    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    tcsetattr(0, TCSADRAIN, on ? &raw : &t->old);
}

static void typing_line(void *arg, const char *line)
{
    Typing *t = arg;

    machine_assert_locked();
    terminal_raw(t, false);
    if (io_line(line) < 0) {
        t->ret = 1;
    }
    terminal_raw(t, true);
    if (!io.quit) {
        readline_show(&t->r);
    }
}

static void typing_ready(void *arg, unsigned events)
{
    Typing *t = arg;
    char c;

    if (read(0, &c, 1) != 1 || (c == 4 && !t->r.text->len)) {
        t->end = true;
        printf("\n");
    } else {
        readline_byte(&t->r, (unsigned char)c);
    }
}

static MACHINE_CALL int terminal_run(void)
{
    g_autofree char *prompt = g_strdup_printf("%s> ", report_name());
    Typing t = { .r = { .put = typing_put, .line = typing_line } };

    t.r.arg = &t;
    tcgetattr(0, &t.old);
    readline_init(&t.r, prompt);
    terminal_raw(&t, true);
    readline_show(&t.r);
    loop_fd(loop_main, 0, 1 /* EPOLLIN */, typing_ready, &t);
    while (!t.end && !io.quit) {
        loop_step(true);
    }
    loop_fd(loop_main, 0, 0, NULL, NULL);
    terminal_raw(&t, false);
    readline_fini(&t.r);
    return t.ret;
}

static MACHINE_CALL int stdin_run(void)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    int ret = 0;

    for (;;) {
        printf("%s> ", report_name());
        fflush(stdout);
        n = getline(&line, &room, stdin);
        if (n < 0) {
            break;
        }
        if (n && line[n - 1] == '\n') {
            line[n - 1] = 0;
        }
        if (io_line(line) < 0) {
            ret = 1;
        }
        if (io.quit) {
            break;
        }
    }
    free(line);
    return ret;
}

/* ---- start ---------------------------------------------------------------- */

static MACHINE_CALL int commands_run(const MainArgs *a)
{
    int ret = 0;

    if (!a->cmds) {
        return isatty(0) ? terminal_run() : stdin_run();
    }
    for (guint i = 0; i < a->cmds->len && !io.quit; i++) {
        if (io_line(a->cmds->pdata[i]) < 0) {
            ret = 1;
        }
    }
    return ret;
}

static MACHINE_CALL int run(const MainArgs *a, int n, char **files)
{
    Error *err = NULL;
    int ret;

    for (guint i = 0; a->trace && i < a->trace->len; i++) {
        if (!trace_option(a->trace->pdata[i], &err)) {
            return tool_fail(NULL, err);
        }
    }
    if (n > 1) {
        usage();
        return 1;
    }
    if (a->open.format && a->open.image_opts) {
        error_reportf("--image-opts and -f are mutually exclusive");
        return 1;
    }
    io.misalign = a->misalign;
    if (!io_open_check(&a->open)) {
        return 1;
    }
    if (n && !io_open(files[0], &a->open)) {
        return 1;
    }
    ret = commands_run(a);
    io_close();
    return ret;
}

int main(int argc, char **argv)
{
    MainArgs a = { .misalign = false };
    int rest, ret = 1;

    report_name_set(argv[0]);
    signal(SIGPIPE, SIG_IGN);
    machine_lock();
    if (!tool_parse(tables, argc, argv, &a, &rest)) {
        usage();
    } else if (a.help || a.man || a.version) {
        if (a.man) {
            manual();
        } else if (a.help) {
            usage();
        } else {
            tool_version();
        }
        ret = 0;
    } else {
        ret = run(&a, argc - rest, argv + rest);
    }
    machine_unlock();
    return fflush(stdout) && !ret ? 1 : ret;
}
