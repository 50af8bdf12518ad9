/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * man.c - the manual page, made from the tables that the program itself works
 * by: options, devices, objects, character devices, monitor commands. Output
 * is in the language of man(7).
 *
 * Thread class: machine lock. Invariant: text from a table never starts a
 * request: each line is escaped.
 */
#include <glib.h>
#include <unistd.h>
#include "accel.h"
#include "chr.h"
#include "config.h"
#include "device.h"
#include "machine.h"
#include "monitor.h"
#include "net.h"
#include "schema/schema.h"

/* ---- roff ---------------------------------------------------------------- */

static void put(const char *s)
{
    bool start = true;

    for (; *s; s++) {
        if (start && (*s == '.' || *s == '\'')) {
            fputs("\\&", stdout);
        }
        start = *s == '\n';
        switch (*s) {
        case '\\': fputs("\\e", stdout); break;
        case '-': fputs("\\-", stdout); break;
        case '\'': fputs("\\(aq", stdout); break;
        case '`': fputs("\\(ga", stdout); break;
        case '^': fputs("\\(ha", stdout); break;
        case '~': fputs("\\(ti", stdout); break;
        default: putchar(*s);
        }
    }
}

/* A paragraph: begins with a capital, ends with a stop. */
static void put_sentence(const char *s)
{
    g_autofree char *t = g_strstrip(g_strdup(s ? s : ""));
    size_t n = strlen(t);

    if (!n) {
        return;
    }
    put(t);
    printf("%s\n", strchr(".:!?", t[n - 1]) ? "" : ".");
}

static void put_lines(const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);

    for (unsigned i = 0; lines[i]; i++) {
        if (*lines[i]) {
            if (i) {
                printf(".br\n");
            }
            put(lines[i]);
            putchar('\n');
        }
    }
}

static void put_head(const char *title)
{
    g_autofree char *up = g_ascii_strup(title, -1);

    printf(".SH \"%s\"\n", up);
}

static void put_term(const char *word, const char *rest)
{
    printf(".TP\n\\fB");
    put(word);
    printf("\\fR");
    if (rest && *rest) {
        putchar(' ');
        put(rest);
    }
    putchar('\n');
}

static void put_props(const Prop *p)
{
    for (; p && p->name; p++) {
        g_autofree char *line = NULL;

        if (p->flags & (PF_READONLY | PF_HIDDEN)) {
            continue;
        }
        line = prop_help_line(p);
        printf(".br\n");
        put(g_strstrip(line));
        putchar('\n');
    }
}

/* ---- sections ------------------------------------------------------------ */

/* One form a line, the option's name before each. */
static void put_option(const OptionRow *r)
{
    g_auto(GStrv) forms = g_strsplit(r->params ? r->params : "", "\n", -1);
    g_autofree char *name = g_strdup_printf("-%s", r->name);

    put_term(name, forms[0]);
    for (unsigned i = 1; forms[0] && forms[i]; i++) {
        printf(".TQ\n\\fB");
        put(name);
        printf("\\fR ");
        put(forms[i]);
        putchar('\n');
    }
    if (r->alias) {
        printf("Also \\fB\\-%s\\fR.\n.br\n", r->alias);
    }
    put_lines(r->help);
    put_sentence(r->doc);
}

static MACHINE_CALL void put_options(void)
{
    const char *section = "";

    put_head("Options");
    put("A value of the form key=value has a comma written as two.\n");
    for (const OptionRow *r = option_rows; r->name; r++) {
        if (r->hidden || !r->handle) {
            continue;
        }
        if (r->section && strcmp(r->section, section)) {
            section = r->section;
            printf(".SS \"%s\"\n", section);
        }
        put_option(r);
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void put_machines(void)
{
    put_head("Machines");
    SET_EACH(machine_types, MachineType, t) {
        put_term((*t)->name, NULL);
        put_sentence((*t)->desc);
        if ((*t)->alias) {
            printf("Also \\fB%s\\fR.\n", (*t)->alias);
        }
    }
}

/* Sorted by name, whatever the order of linking. */
static void put_devices(void)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    unsigned cpus = 0;

    SET_EACH(device_types, DeviceType, t) {
        if (!((*t)->flags & (DT_ABSTRACT | DT_INTERNAL))) {
            g_ptr_array_add(names, (void *)(uintptr_t)(*t)->name);
        }
    }
    g_ptr_array_sort(names, by_name);
    put_head("Devices");
    put("Given to -device and to device_add; those of a bus have its "
        "properties\nas well (-device TYPE,help shows them all).\n");
    for (unsigned i = 0; i < names->len; i++) {
        const DeviceType *t = device_type_find(names->pdata[i]);
        g_autofree char *on = t->on ? g_strdup_printf("(bus %s)", t->on->name)
                                    : NULL;

        put_term(t->name, on);
        if (t->alias) {
            printf("Also \\fB");
            put(t->alias);
            printf("\\fR.\n");
        }
        put_sentence(t->desc);
        put_sentence(t->doc);
        /* CPU models share one long list of features. */
        if (!strcmp(t->category ? t->category : "", "cpu") && cpus++) {
            put("Properties as above.\n");
        } else {
            put_props(t->base_props);
            put_props(t->props);
        }
    }
}

static void put_kind(const char *name, const char *desc, const char *doc)
{
    put_term(name, NULL);
    put_sentence(desc);
    put_sentence(doc);
}

static void put_objects(void)
{
    put_head("Objects");
    put("Given to -object and to object-add, with an id.\n");
    SET_EACH(user_types, UserType, t) {
        put_kind((*t)->name, (*t)->desc, (*t)->doc);
        put_props((*t)->base_props);
        put_props((*t)->props);
    }
}

static void put_chardevs(void)
{
    put_head("Character devices");
    put("Given to -chardev and to chardev-add, with an id.\n");
    SET_EACH(char_drivers, CharDriver, d) {
        if ((*d)->internal) {
            continue;
        }
        put_kind((*d)->name, (*d)->desc, (*d)->doc);
        put_props((*d)->props);
    }
}

static void put_netdevs(void)
{
    put_head("Network backends");
    put("Given to -netdev, -nic, -net and netdev_add, with an id.\n");
    SET_EACH(net_drivers, NetDriver, d) {
        if ((*d)->internal) {
            continue;
        }
        put_kind((*d)->name, (*d)->desc, (*d)->doc);
        put_props((*d)->props);
    }
}

static void put_accels(void)
{
    put_head("Accelerators");
    SET_EACH(accel_types, AccelType, t) {
        put_term((*t)->name, NULL);
        put_sentence((*t)->desc);
    }
}

static MACHINE_CALL void put_hmp(void)
{
    put_head("Monitor for people");
    for (const Command *c = commands; c < commands + command_count; c++) {
        if (!c->hmp || (!c->call && !c->hmp_run)) {
            continue;
        }
        put_term(c->hmp, c->hmp_params);
        if (c->hmp_alias) {
            printf("Also \\fB%s\\fR.\n", c->hmp_alias);
        }
        put_sentence(c->hmp_help ? c->hmp_help : c->doc);
    }
}

static void put_args(const QType *t)
{
    for (const QMember *m = t ? t->members : NULL; m && m->name; m++) {
        g_autofree char *line = NULL;

        line = g_strdup_printf("%s%s%s%s", m->name,
                               m->flags & QF_OPT ? " (optional)" : "",
                               m->doc && *m->doc ? " - " : "",
                               m->doc ? m->doc : "");
        printf(".br\n");
        put(line);
        putchar('\n');
    }
}

static MACHINE_CALL void put_qmp(void)
{
    put_head("Monitor protocol");
    put("Commands of QMP with their arguments.\n");
    for (const Command *c = commands; c < commands + command_count; c++) {
        if (!c->name || !command_find(c->name)) {
            continue;
        }
        put_term(c->name, NULL);
        put_sentence(c->doc);
        if (c->features && *c->features) {
            put_sentence(c->features);
        }
        put_args(c->arg);
    }
}

/* ---- the page ------------------------------------------------------------ */

static void put_top(void)
{
    printf(".\\\" Made by tern \\-\\-x\\-man; changes belong into the "
           "tables.\n"
           ".TH TERN 1 \"\" \"Tern %s\" \"User commands\"\n"
           ".ad l\n.nh\n"
           ".SH NAME\ntern \\- machine emulator\n"
           ".SH SYNOPSIS\n.B tern\n[\\fIoption\\fR]... [\\fIdisk image\\fR]\n"
           ".SH DESCRIPTION\n", TERN_VERSION);
    put("Runs a virtual machine: a PC whose processors are run by KVM or by "
        "a software\nCPU. It takes the command lines, monitor protocols and "
        "disk images of QEMU 7.2.\nStarted through a link named "
        "qemu-system-x86_64 it prints that program's\nversion text.\n");
    put_head("Exit status");
    put("0 when the guest or the user ended the machine; 1 after a message "
        "on standard\nerror; another status when the guest chose it by "
        "isa-debug-exit.\n");
}

bool cli_x_man(const char *arg, Error **errp)
{
    put_top();
    put_options();
    put_machines();
    put_accels();
    put_devices();
    put_objects();
    put_chardevs();
    put_netdevs();
    put_hmp();
    put_qmp();
    put_head("See also");
    put("docs/ in the source: accelerators.md, threads.md, add-a-device.md\n");
    fflush(stdout);
    _exit(ferror(stdout) ? 1 : 0);
}
