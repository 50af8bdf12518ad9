/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tool.c - option tables of the image programs: reading arguments by getopt_long,
 * usage and manual from the same rows.
 *
 * Thread class: MACHINE_CALL (main thread).
 *
 * Invariants
 * 1. What a table does not have is refused; what it has is in help and manual.
 */
#include <getopt.h>
#include "obj.h"
#include "opt.h"
#include "tools/tool.h"
#include "config.h"

#define LONG_BASE 256

static const ToolOpt *opt_at(const ToolOpt *const *tables, unsigned i)
{
    for (; *tables; tables++) {
        for (const ToolOpt *o = *tables; o->name || o->letter; o++) {
            if (!i--) {
                return o;
            }
        }
    }
    return NULL;
}

static const ToolOpt *opt_of_letter(const ToolOpt *const *tables, int c)
{
    const ToolOpt *o;

    for (unsigned i = 0; (o = opt_at(tables, i)); i++) {
        if (o->letter == c) {
            return o;
        }
    }
    return NULL;
}

int tool_usage_error(const char *fmt, ...)
{
    va_list ap;
    char *s;

    va_start(ap, fmt);
    s = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    error_reportf("%s\nTry '%s --help' for more information", s,
                  report_name());
    g_free(s);
    return 1;
}

int tool_fail(const char *file, Error *err)
{
    if (file) {
        error_prepend(&err, "%s: ", file);
    }
    error_report(err);
    return 1;
}

void tool_version(void)
{
    /* Under the peer's name scripts look for the peer's number. */
    if (g_str_has_prefix(report_name(), "qemu-")) {
        printf("%s%s 7.2.22 (Tern %s)\n", report_name(),
               !strcmp(report_name(), "qemu-nbd") ||
               !strcmp(report_name(), "qemu-pr-helper") ? "" : " version",
               TERN_VERSION);
    } else {
        printf("%s version %s\n", report_name(), TERN_VERSION);
    }
}

/* ---- objects -------------------------------------------------------------- */

static int by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void objects_list(void)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();

    SET_EACH(user_types, UserType, t) {
        g_ptr_array_add(names, (void *)(uintptr_t)(*t)->name);
    }
    g_ptr_array_sort(names, by_name);
    printf("List of user creatable objects:\n");
    for (guint i = 0; i < names->len; i++) {
        printf("  %s\n", (const char *)names->pdata[i]);
    }
}

static void object_help(const UserType *t)
{
    const Prop *const tables[] = { t->props, t->base_props };

    printf("%s options:\n", t->name);
    for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
        for (const Prop *p = tables[i]; p && p->name; p++) {
            g_autofree char *line = prop_help_line(p);

            printf("%s\n", line);
        }
    }
}

static MACHINE_CALL bool object_make(Opts *o, Error **errp)
{
    g_autofree char *type = g_strdup(json_get_str(o->obj, "qom-type"));
    g_autofree char *id = g_strdup(json_get_str(o->obj, "id"));

    if (!type || !user_type_find(type)) {
        return type ? error_set(errp, "Parameter 'qom-type' does not accept "
                                "value '%s'", type)
                    : error_set(errp, "Parameter 'qom-type' is missing");
    }
    if (!id) {
        return error_set(errp, "Parameter 'id' is missing");
    }
    json_free(json_take(o->obj, "qom-type"));
    json_free(json_take(o->obj, "id"));
    return user_obj_add(type, id, o->obj, o->text, errp) != NULL;
}

bool tool_object(const char *text)
{
    Error *err = NULL;
    Opts o = { 0 };
    const UserType *t;
    bool ok = opts_parse(&o, text, "qom-type", OPT_QUIET, &err);

    if (ok && o.help) {
        t = user_type_find(json_get_str(o.obj, "qom-type") ?
                           json_get_str(o.obj, "qom-type") : "");
        if (t) {
            object_help(t);
        } else {
            objects_list();
        }
        exit(0);
    }
    ok = ok && object_make(&o, &err);
    opts_free(&o);
    if (!ok && g_str_has_prefix(error_text(err), "Invalid parameter '")) {
        /* The tools have their own words for it. */
        g_autofree char *key = g_strdup(error_text(err) +
                                        strlen("Invalid parameter '"));

        key[strcspn(key, "'")] = 0;
        error_free(err);
        err = NULL;
        error_set(&err, "Parameter '%s' is unexpected", key);
    }
    if (!ok) {
        error_report(err);
    }
    return ok;
}

/* ---- reading -------------------------------------------------------------- */

/* What TK_OPTS put together: as long-lived as the arguments. */
static GPtrArray *joined;

static MACHINE_CALL bool opt_take(const ToolOpt *o, void *args, char *value)
{
    void *field = (char *)args + o->offset;
    char *old;

    switch ((ToolKind)o->kind) {
    case TK_FLAG:
        *(bool *)field = true;
        break;
    case TK_STR:
        *(const char **)field = value;
        break;
    case TK_LIST:
        if (!*(GPtrArray **)field) {
            *(GPtrArray **)field = g_ptr_array_new();
        }
        g_ptr_array_add(*(GPtrArray **)field, value);
        break;
    case TK_CHOICE:
        *(int *)field = o->set;
        break;
    case TK_STEP:
        if (!*(GArray **)field) {
            *(GArray **)field = g_array_new(false, false, sizeof(ToolStep));
        }
        g_array_append_vals(*(GArray **)field,
                            &(ToolStep){ o->set, o->arg ? value : NULL }, 1);
        break;
    case TK_OPTS:
        old = *(char **)field;
        if (!value[0] || value[0] == ',' ||
            (value[strlen(value) - 1] == ',' &&
             !g_str_has_suffix(value, ",,"))) {
            error_reportf("Invalid option list: %s", value);
            return false;
        }
        *(char **)field = old ? g_strdup_printf("%s,%s", old, value)
                              : g_strdup(value);
        if (!joined) {
            joined = g_ptr_array_new();
        }
        g_ptr_array_add(joined, *(char **)field);
        break;
    case TK_OBJECT:
        return tool_object(value);
    }
    return true;
}

bool tool_parse(const ToolOpt *const *tables, int argc, char **argv, void *args,
                int *rest)
{
    char letters[TOOL_OPTS_MAX * 2 + 8] = ":";
    struct option longs[TOOL_OPTS_MAX + 1] = { { 0 } };
    size_t n = 1, m = 0;
    const ToolOpt *o;
    int c;

    for (unsigned i = 0; (o = opt_at(tables, i)) && i < TOOL_OPTS_MAX; i++) {
        if (o->letter) {
            letters[n++] = o->letter;
            letters[n] = o->arg ? ':' : 0;
            n += o->arg != NULL;
        }
        if (o->name) {
            longs[m++] = (struct option){ o->name, o->arg != NULL, NULL,
                                          LONG_BASE + (int)i };
        }
    }
    letters[n] = 0;
    opterr = 0;
    optind = 0;
    while ((c = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
        if (c == '?' || c == ':') {
            tool_usage_error(c == '?' ? "unrecognized option '%s'"
                             : "missing argument for option '%s'",
                             argv[optind - 1]);
            return false;
        }
        o = c >= LONG_BASE ? opt_at(tables, c - LONG_BASE)
                           : opt_of_letter(tables, c);
        if (!opt_take(o, args, optarg)) {
            return false;
        }
    }
    *rest = optind;
    return true;
}

/* ---- help ----------------------------------------------------------------- */

static char *opt_syntax(const ToolOpt *o)
{
    g_autofree char *key = o->name ? g_strdup_printf("--%s", o->name)
                                   : g_strdup_printf("-%c", o->letter);
    g_autofree char *arg = !o->arg ? g_strdup("")
                         : g_strdup_printf("%c%s", o->name ? '=' : ' ', o->arg);

    return o->name && o->letter ? g_strdup_printf("-%c|%s%s", o->letter, key,
                                                  arg)
                                : g_strdup_printf("%s%s", key, arg);
}

void tool_print_syntax(const ToolOpt *const *tables)
{
    const ToolOpt *o;

    for (unsigned i = 0; (o = opt_at(tables, i)); i++) {
        g_autofree char *s = o->desc ? opt_syntax(o) : NULL;

        if (s) {
            printf(" [%s]", s);
        }
    }
}

void tool_print_options(const ToolOpt *const *tables)
{
    const ToolOpt *o;

    for (unsigned i = 0; (o = opt_at(tables, i)); i++) {
        char key[4] = "";

        if (!o->desc) {
            continue;
        }
        if (o->letter) {
            snprintf(key, sizeof(key), "-%c%s", o->letter, o->name ? "," : "");
        }
        g_autofree char *left = g_strdup_printf("  %-3s %s%s%s%s", key,
                                                o->name ? "--" : "",
                                                o->name ? o->name : "",
                                                o->arg ? " " : "",
                                                o->arg ? o->arg : "");

        printf("%-29s %s\n", left, o->desc);
    }
}

void tool_print_formats(void)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();

    SET_EACH(blk_drivers, BlkDriver, d) {
        g_ptr_array_add(names, (void *)(uintptr_t)(*d)->name);
    }
    g_ptr_array_sort(names, by_name);
    printf("Supported formats:");
    for (guint i = 0; i < names->len; i++) {
        printf(" %s", (const char *)names->pdata[i]);
    }
    printf("\n");
}

/* ---- manual: troff with the man macros ------------------------------------ */

void man_text(const char *text)
{
    bool start = true;

    for (; *text; text++) {
        if (start && (*text == '.' || *text == '\'')) {
            printf("\\&");
        }
        start = *text == '\n';
        if (*text == '\\') {
            printf("\\e");
        } else if (*text == '-') {
            printf("\\-");
        } else {
            putchar(*text);
        }
    }
}

void man_head(const char *name, const char *summary)
{
    printf(".TH %s 1 \"\" \"Tern %s\" \"Tern\"\n.SH NAME\n%s \\- ", name,
           TERN_VERSION, name);
    man_text(summary);
    printf("\n");
}

void man_options(const ToolOpt *const *tables)
{
    const ToolOpt *o;

    for (unsigned i = 0; (o = opt_at(tables, i)); i++) {
        if (!o->desc) {
            continue;
        }
        printf(".TP\n.B ");
        if (o->letter) {
            printf("\\-%c", o->letter);
        }
        if (o->letter && o->name) {
            printf(", ");
        }
        if (o->name) {
            printf("\\-\\-");
            man_text(o->name);
        }
        if (o->arg) {
            printf(" \\fI");
            man_text(o->arg);
            printf("\\fR");
        }
        printf("\n");
        man_text(o->desc);
        printf("\n");
    }
}
