/* SPDX-License-Identifier: GPL-2.0-or-later */
/* img.h - the subcommands of tern-img. Main thread, under the machine lock. */
#ifndef TERN_TOOLS_IMG_H
#define TERN_TOOLS_IMG_H

#include "tools/tool.h"

typedef struct ImgCmd {
    const char *name;                  /* "create"                            */
    const char *operands;              /* "filename [size]"                   */
    const char *summary;               /* one line                            */
    const char *doc;                   /* for the manual                      */
    const ToolOpt *tables[12];         /* NULL-terminated                     */
    /* argv[0] is the command's name. Returns the exit status. */
    int (*run)(const struct ImgCmd *cmd, int argc, char **argv) MACHINE_PTR;
} ImgCmd;
#define IMG_CMD(sym, ...) SET_MEMBER(img_cmds, ImgCmd, sym, __VA_ARGS__)

/* Head of every command's arguments. */
typedef struct ImgArgs {
    const char *fmt, *cache, *src_cache, *output;
    bool image_opts, share, quiet, progress, help;
    bool json;                         /* by img_args                         */
} ImgArgs;
/* Rows that commands share. */
extern const ToolOpt img_opt_help[], img_opt_object[], img_opt_image_opts[],
    img_opt_fmt[], img_opt_cache[], img_opt_src_cache[], img_opt_output[],
    img_opt_share[], img_opt_quiet[], img_opt_progress[];

/* Options into args (ImgArgs first); *rest as tool_parse. false: *status is the
 * exit status. */
bool img_args(const ImgCmd *cmd, int argc, char **argv, void *args, int *rest,
              int *status) MACHINE_CALL;
void img_help(void);
/* Prints unless quiet. */
void img_say(const ImgArgs *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* What a file name's creation options are, for `-o help`; exit status. */
int img_options_help(const char *fmt, const char *filename) MACHINE_CALL;
/* Is "help" or "?" among the options of -o? */
bool img_wants_help(const char *options);

/* img-extent.c: what a chain of images shows. */
typedef struct ImgExtent {
    uint64_t start, len;               /* bytes                               */
    int depth;                         /* layers above the one that holds it  */
    bool present, zero, data, compressed, has_offset;
    uint64_t offset;
    BlkNode *file;                     /* has_offset: where                   */
} ImgExtent;
/* The state of the bytes from off, at least one and at most len; base NULL: all
 * layers, else those above base. 0 or -errno. */
int img_extent(BlkNode *n, const BlkNode *base, uint64_t off, uint64_t len,
               ImgExtent *x) MACHINE_CALL;
/* -l: the node shows an internal snapshot from here on. *errp is not set when
 * the text itself was wrong, which has been printed. */
bool img_snapshot_show(BlkNode *n, const char *text, Error **errp) MACHINE_CALL;
/* n, or the first node below it that is not a filter. */
BlkNode *img_skip_filters(BlkNode *n);
/* What n lies on, past filters; NULL: nothing. */
BlkNode *img_backing(BlkNode *n);
/* "1.5 GiB" */

#endif
