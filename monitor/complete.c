/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * complete.c - what Tab offers: command names, and by an argument's kind and the
 * '@' note in its pattern (hmp-args.c): @commands, @trace, @device_types,
 * @user_types, @char_drivers, @/path (children of an object), @a|b|c.
 *
 * MACHINE_CALL. Invariant: at most COMPLETE_MAX names come back, each once.
 */
#include <ctype.h>
#include <dirent.h>
#include <sys/stat.h>
#include "device.h"
#include "mon-impl.h"
#include "schema/schema.h"

#define COMPLETE_MAX 2000

typedef struct Found {
    GPtrArray *names;
    const char *want;                  /* what is typed of the word           */
} Found;

static void offer(Found *f, const char *name)
{
    if (g_str_has_prefix(name, f->want) && f->names->len < COMPLETE_MAX) {
        g_ptr_array_add(f->names, g_strdup(name));
    }
}

static bool usable(const Command *c) NO_TSA;
static bool usable(const Command *c)
{
    return c->hmp && (c->hmp_run || c->call);
}

/* Words that may follow group ("" or "info "). */
static void offer_commands(Found *f, const char *group)
{
    size_t g = strlen(group);

    for (unsigned i = 0; i < command_count; i++) {
        const Command *c = &commands[i];

        if (usable(c) && !strncmp(c->hmp, group, g) && !strchr(c->hmp + g, ' ')) {
            offer(f, c->hmp + g);
            if (!g && c->hmp_alias) {
                offer(f, c->hmp_alias);
            }
        }
    }
}

static void offer_files(Found *f)
{
    const char *slash = strrchr(f->want, '/');
    char *dir = slash ? g_strndup(f->want, slash - f->want + 1) : g_strdup("");
    DIR *d = opendir(*dir ? dir : ".");
    struct dirent *e;

    while (d && (e = readdir(d))) {
        char *path = g_strconcat(dir, e->d_name, NULL);
        struct stat st;

        if (e->d_name[0] != '.' || (slash && slash[1] == '.')) {
            bool folder = !stat(path, &st) && S_ISDIR(st.st_mode);
            char *name = g_strconcat(path, folder ? "/" : "", NULL);

            offer(f, name);
            g_free(name);
        }
        g_free(path);
    }
    if (d) {
        closedir(d);
    }
    g_free(dir);
}

static void offer_trace(TracePoint *t, void *arg)
{
    offer(arg, t->name);
}

static void offer_children(Found *f, const char *path) MACHINE_CALL;
static void offer_children(Found *f, const char *path)
{
    Obj *o = obj_resolve(path, NULL);

    for (Obj *c = o ? o->first : NULL; c; c = c->next) {
        offer(f, c->name);
    }
}

static void offer_choices(Found *f, const char *list)
{
    char **v = g_strsplit(list, "|", -1);

    for (int i = 0; v[i]; i++) {
        offer(f, v[i]);
    }
    g_strfreev(v);
}

static void offer_values(Found *f, const char *note, const char *kind,
                         const char *before) MACHINE_CALL;
static void offer_values(Found *f, const char *note, const char *kind,
                         const char *before)
{
    if (!strcmp(note, "commands")) {
        offer_commands(f, !strcmp(before, "info") ? "info " : "");
    } else if (!strcmp(note, "trace")) {
        trace_each(offer_trace, f);
    } else if (!strcmp(note, "device_types")) {
        SET_EACH(device_types, DeviceType, t) {
            if (!((*t)->flags & (DT_INTERNAL | DT_ABSTRACT))) {
                offer(f, (*t)->name);
            }
        }
    } else if (!strcmp(note, "user_types")) {
        SET_EACH(user_types, UserType, t) {
            offer(f, (*t)->name);
        }
    } else if (!strcmp(note, "char_drivers")) {
        SET_EACH(char_drivers, CharDriver, t) {
            if (!(*t)->internal) {
                offer(f, (*t)->name);
            }
        }
    } else if (note[0] == '/') {
        offer_children(f, note);
    } else if (note[0]) {
        offer_choices(f, note);
    } else if (!strcmp(kind, "file")) {
        offer_files(f);
    } else if (!strcmp(kind, "bool")) {
        offer_choices(f, "on|off");
    }
}

/* Argument that the word behind `done` whole words is for. */
static bool arg_for_word(const char *pattern, unsigned done, char **words,
                         HmpArg *h)
{
    unsigned flags = 0;

    while (flags < done && words[flags][0] == '-' && words[flags][1]) {
        flags++;
    }
    done -= flags;
    while (hmp_arg_at(&pattern, h)) {
        if (!h->flag && done-- == 0) {
            return true;
        }
    }
    return false;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void sort_once(GPtrArray *a)
{
    g_ptr_array_sort(a, by_text);
    for (unsigned i = 1; i < a->len;) {
        if (!strcmp(a->pdata[i - 1], a->pdata[i])) {
            g_ptr_array_remove_index(a, i);
        } else {
            i++;
        }
    }
}

GPtrArray *hmp_complete(const char *line, size_t *start)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    GString *shown = g_string_new(NULL);
    const char *p = line;
    size_t n = strlen(line);
    Found f = { names, NULL };
    const Command *c;
    HmpArg h;

    while (n && !isspace((unsigned char)line[n - 1])) {
        n--;
    }
    *start = n;
    f.want = line + n;
    while (isspace((unsigned char)*p)) {
        p++;
    }
    if (p >= f.want) {
        offer_commands(&f, "");
        goto out;
    }
    c = hmp_find(&p, shown);
    if (p >= f.want) {                 /* the word of info is being typed     */
        p = f.want;
        c = NULL;
    }
    char *rest = g_strndup(p, f.want - p);
    for (char *q = rest; *q; q++) {    /* one blank between words             */
        while (isspace((unsigned char)*q) && isspace((unsigned char)q[1])) {
            memmove(q, q + 1, strlen(q));
        }
    }
    char **words = g_strsplit_set(g_strstrip(rest), " \t", -1);
    if (!strncmp(shown->str, "info", 4) && (!c || !strcmp(c->hmp, "info"))) {
        offer_commands(&f, "info ");
    } else if (c && arg_for_word(c->hmp_args, *words ? g_strv_length(words) : 0,
                                 words, &h)) {
        offer_values(&f, h.extra, h.kind, *words ? words[0] : "");
    }
    g_strfreev(words);
    g_free(rest);
out:
    g_string_free(shown, true);
    sort_once(names);
    return names;
}
