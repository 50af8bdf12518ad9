/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * img.c - tern-img: looks up the subcommand; the options that all have; help and
 * manual from the commands' tables.
 *
 * Thread class: main thread.
 */
#include <signal.h>
#include "trace.h"
#include "tools/img.h"

#define ROW(sym, ...) const ToolOpt sym[] = { __VA_ARGS__, { .name = NULL } }
#define AT(f) offsetof(ImgArgs, f)

ROW(img_opt_help, { "help", 'h', TK_FLAG, 0, AT(help), NULL,
    "Prints the options of all commands." });
ROW(img_opt_object, { "object", 0, TK_OBJECT, 0, 0, "objectdef",
    "Makes an object, such as a secret that other options name by its id." });
ROW(img_opt_image_opts, { "image-opts", 0, TK_FLAG, 0, AT(image_opts), NULL,
    "The file name is a list of options, as driver=qcow2,file.filename=x." });
ROW(img_opt_fmt, { "format", 'f', TK_STR, 0, AT(fmt), "fmt",
    "Format of the image; found by its contents when not given." });
ROW(img_opt_cache, { NULL, 't', TK_STR, 0, AT(cache), "cache",
    "Cache mode of the image that is written: none, writeback, writethrough, "
    "directsync or unsafe." });
ROW(img_opt_src_cache, { NULL, 'T', TK_STR, 0, AT(src_cache), "src_cache",
    "Cache mode of images that are read." });
ROW(img_opt_output, { "output", 0, TK_STR, 0, AT(output), "ofmt",
    "human or json." });
ROW(img_opt_share, { "force-share", 'U', TK_FLAG, 0, AT(share), NULL,
    "Reads the image although another program may be writing it." });
ROW(img_opt_quiet, { "quiet", 'q', TK_FLAG, 0, AT(quiet), NULL,
    "Prints errors only." });
ROW(img_opt_progress, { "progress", 'p', TK_FLAG, 0, AT(progress), NULL,
    "Shows how far the command has come. Without it, SIGUSR1 prints that." });

static int by_cmd(const void *a, const void *b)
{
    return strcmp((*(const ImgCmd *const *)a)->name,
                  (*(const ImgCmd *const *)b)->name);
}

/* All commands by name; *n: how many. g_free. */
static const ImgCmd **cmds_sorted(size_t *n)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new();

    SET_EACH(img_cmds, ImgCmd, c) {
        g_ptr_array_add(all, (void *)(uintptr_t)*c);
    }
    g_ptr_array_sort(all, by_cmd);
    *n = all->len;
    return (const ImgCmd **)g_ptr_array_steal(all, NULL);
}

void img_help(void)
{
    size_t n;
    g_autofree const ImgCmd **cmds = cmds_sorted(&n);

    tool_version();
    printf("usage: %s [standard options] command [command options]\n"
           "Makes, converts, checks and describes disk images.\n\n"
           "    '-h', '--help'       prints this\n"
           "    '-V', '--version'    prints the version\n"
           "    '-T', '--trace'      [[enable=]<pattern>][,events=<file>]"
           "[,file=<file>]\n"
           "                         turns trace points on\n\n"
           "Command syntax:\n", report_name());
    for (size_t i = 0; i < n; i++) {
        printf("  %s", cmds[i]->name);
        tool_print_syntax(cmds[i]->tables);
        printf(" %s\n", cmds[i]->operands);
    }
    printf("\nThe manual page tern-img(1) explains them.\n\n");
    tool_print_formats();
}

typedef struct Standard {
    bool help, version, man;
    GPtrArray *trace;
} Standard;

static const ToolOpt standard_opts[] = {
    { "help", 'h', TK_FLAG, 0, offsetof(Standard, help), NULL,
      "Prints the options of all commands." },
    { "version", 'V', TK_FLAG, 0, offsetof(Standard, version), NULL,
      "Prints the version." },
    { "trace", 'T', TK_LIST, 0, offsetof(Standard, trace), "spec",
      "Turns trace points on: [[enable=]pattern][,events=file][,file=file]." },
    { "x-man", 0, TK_FLAG, 0, offsetof(Standard, man), NULL, NULL },
    { .name = NULL }
};
static const ToolOpt *const standard_tables[] = { standard_opts, NULL };

static void img_man(void)
{
    size_t n;
    g_autofree const ImgCmd **cmds = cmds_sorted(&n);

    man_head("tern-img", "disk image tool");
    printf(".SH SYNOPSIS\n.B tern\\-img\n[standard options] command "
           "[command options]\n.SH DESCRIPTION\n"
           "Makes, converts, checks and describes disk images. An image that "
           "a machine writes must not be changed meanwhile.\n"
           "Sizes are bytes, with an optional suffix k, M, G, T, P or E.\n"
           ".SH STANDARD OPTIONS\n");
    man_options(standard_tables);
    printf(".SH COMMANDS\n");
    for (size_t i = 0; i < n; i++) {
        printf(".SS %s [options] ", cmds[i]->name);
        man_text(cmds[i]->operands);
        printf("\n");
        man_text(cmds[i]->summary);
        printf("\n");
        if (cmds[i]->doc) {
            printf(".PP\n");
            man_text(cmds[i]->doc);
            printf("\n");
        }
        man_options(cmds[i]->tables);
    }
    printf(".SH EXIT STATUS\n0: fine, 1: an error. compare: 0 the same, 1 "
           "different, 2 or more an error. check: 0 no fault, 1 not "
           "completed, 2 corruptions, 3 leaks only, 63 the format cannot be "
           "checked.\n.SH SEE ALSO\n.BR tern (1),\n.BR tern\\-io (1),\n"
           ".BR tern\\-nbd (1)\n");
}

bool img_args(const ImgCmd *cmd, int argc, char **argv, void *args, int *rest,
              int *status)
{
    ImgArgs *a = args;

    *status = 1;
    if (!tool_parse(cmd->tables, argc, argv, args, rest)) {
        return false;
    }
    if (a->help) {
        img_help();
        *status = 0;
        return false;
    }
    if (a->output && strcmp(a->output, "human") && strcmp(a->output, "json")) {
        error_reportf("--output must be used with human or json as argument.");
        return false;
    }
    a->json = a->output && !strcmp(a->output, "json");
    return true;
}

void img_say(const ImgArgs *a, const char *fmt, ...)
{
    va_list ap;

    if (!a->quiet) {
        va_start(ap, fmt);
        vprintf(fmt, ap);
        va_end(ap);
    }
}

static MACHINE_CALL int run(int argc, char **argv)
{
    if (argc < 1) {
        return tool_usage_error("Not enough arguments");
    }
    SET_EACH(img_cmds, ImgCmd, c) {
        if (!strcmp((*c)->name, argv[0])) {
            return (*c)->run(*c, argc, argv);
        }
    }
    return tool_usage_error("Command not found: %s", argv[0]);
}

/* The command's options are its own: only those before it are read here. */
static int standard_count(int argc, char **argv)
{
    int n = 1;

    while (n < argc && argv[n][0] == '-' && argv[n][1]) {
        n += !strcmp(argv[n], "-T") || !strcmp(argv[n], "--trace") ? 2 : 1;
    }
    return MIN2(n, argc);
}

int main(int argc, char **argv)
{
    Standard s = { 0 };
    Error *err = NULL;
    int n = standard_count(argc, argv), rest, ret = 1;

    report_name_set(argv[0]);
    signal(SIGPIPE, SIG_IGN);
    machine_lock();
    if (tool_parse(standard_tables, n, argv, &s, &rest)) {
        for (guint i = 0; s.trace && i < s.trace->len && !err; i++) {
            trace_option(s.trace->pdata[i], &err);
        }
        if (err) {
            error_report(err);
        } else if (s.man) {
            img_man();
            ret = 0;
        } else if (s.help) {
            img_help();
            ret = 0;
        } else if (s.version) {
            tool_version();
            ret = 0;
        } else {
            ret = run(argc - n, argv + n);
        }
    }
    machine_unlock();
    if (fflush(stdout) && !ret) {
        ret = 1;
    }
    return ret;
}
