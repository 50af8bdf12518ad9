/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hmp.c - the human monitor: finds a line's command, parses its arguments, calls
 * the same handler as QMP and prints the reply for people; help and history.
 *
 * MACHINE_CALL, in the main loop. Invariants:
 *  1. While a command of a session runs or waits, its input is not read.
 *  2. What error_report and warn_report say during a command goes to its monitor.
 */
#include <ctype.h>
#include "mon-impl.h"
#include "obj.h"
#include "opt.h"
#include "readline.h"
#include "schema/schema.h"

struct Hmp {
    Readline rl;
    int cpu_index;
    bool busy, away, greeted;          /* away: the mux has its focus elsewhere */
    bool in_input, refused;            /* in take_input; input was turned away */
    GString *input;                    /* came while a command was running    */
};

const char hmp_prompt[] = "(qemu) ";

/* ---- the table -- */
static bool command_there(const Command *c) NO_TSA;
static bool command_there(const Command *c)
{
    return c->hmp && (c->hmp_run || c->call);
}

static bool word_is(const char *name, const char *w, size_t n)
{
    return name && strlen(name) == n && !strncmp(name, w, n);
}

/* Name without the word in front of it that groups it: "status". */
static const char *last_word(const Command *c)
{
    const char *s = strrchr(c->hmp, ' ');

    return s ? s + 1 : c->hmp;
}

static const Command *find_in(const char *group, const char *w, size_t n)
{
    size_t g = strlen(group);

    for (unsigned i = 0; i < command_count; i++) {
        const Command *c = &commands[i];

        if (command_there(c) && !strncmp(c->hmp, group, g) &&
            !strchr(c->hmp + g, ' ') &&
            (word_is(c->hmp + g, w, n) ||
             (!g && word_is(c->hmp_alias, w, n)))) {
            return c;
        }
    }
    return NULL;
}

static size_t word_length(const char *p)
{
    size_t n = 0;

    while (p[n] && !isspace((unsigned char)p[n])) {
        n++;
    }
    return n;
}

const Command *hmp_find(const char **p, GString *shown)
{
    const char *w, *sub;
    const Command *c, *c2;
    size_t n, n2;

    while (isspace((unsigned char)**p)) {
        (*p)++;
    }
    w = *p;
    n = word_length(w);
    if (memchr(w, '/', n)) {           /* p/x 5                               */
        n = (char *)memchr(w, '/', n) - w;
    }
    c = find_in("", w, n);
    g_string_truncate(shown, 0);
    g_string_append_len(shown, w, c ? n : word_length(w));
    if (!c) {
        return NULL;
    }
    *p = w + n;
    for (sub = *p; isspace((unsigned char)*sub); sub++) {
    }
    if (strcmp(c->hmp, "info") || !*sub) {
        return c;
    }
    n2 = word_length(sub);
    c2 = find_in("info ", sub, n2);
    g_string_append_c(shown, ' ');
    g_string_append_len(shown, sub, n2);
    if (c2) {
        *p = sub + n2;
    }
    return c2;
}

/* ---- help -- */
static void help_line(const Command *c)
{
    mon_printf("%s%s%s%s%s -- %s\n", c->hmp, c->hmp_alias ? "|" : "",
               c->hmp_alias ? c->hmp_alias : "", " ", c->hmp_params,
               c->hmp_help);
}

static int by_hmp_name(const void *a, const void *b)
{
    return strcmp((*(const Command *const *)a)->hmp,
                  (*(const Command *const *)b)->hmp);
}

static void help_group(bool info)
{
    const Command **v = g_new(const Command *, command_count);
    unsigned n = 0;

    for (unsigned i = 0; i < command_count; i++) {
        const Command *c = &commands[i];

        if (command_there(c) && (strchr(c->hmp, ' ') != NULL) == info) {
            v[n++] = c;
        }
    }
    qsort(v, n, sizeof(*v), by_hmp_name);
    for (unsigned i = 0; i < n; i++) {
        help_line(v[i]);
    }
    g_free(v);
}

/* Commands of parts that this version does not have, by how they begin. */
static const char *absent_part(const char *words)
{
    static const struct {
        const char *begin, *part;
    } rows[] = {
        { "savevm", "saved states are" }, { "loadvm", "saved states are" },
        { "migrate", "migration is" }, { "info migrate", "migration is" },
        { "wavcapture", "sound cards are" }, { "stopcapture", "sound cards are" },
        { "info capture", "sound cards are" }, { "info usbhost", "USB is" },
        { "nbd_server_", "exports of block nodes by command are" },
        { "block_job_", "block jobs are" }, { "block_stream", "block jobs are" },
        { "drive_mirror", "block jobs are" }, { "drive_backup", "block jobs are" },
        { "info block-jobs", "block jobs are" },
        { "snapshot_blkdev", "external snapshots of a running machine are" },
        { "pcie_aer_inject_error", "PCI Express is" },
        { "set_vcpu_dirty_limit", "limits of dirty pages are" },
        { "cancel_vcpu_dirty_limit", "limits of dirty pages are" },
        { "info vcpu_dirty_limit", "limits of dirty pages are" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (g_str_has_prefix(words, rows[i].begin)) {
            return rows[i].part;
        }
    }
    return NULL;
}

/* What a command of the other protocol is called here; NULL: nothing. */
static const char *called_here(const char *qmp)
{
    const Command *c = command_find(qmp);

    return c && command_there(c) ? c->hmp : NULL;
}

static void say_unknown(const char *words)
{
    const char *part = absent_part(words), *here = called_here(words);
    OptWords w = { .n = 0 };
    const char *near;

    /* "info" itself counts for nothing. */
    size_t skip = g_str_has_prefix(words, "info ") ? strlen("info ") : 0;

    for (unsigned i = 0; i < command_count; i++) {
        const char *hmp = commands[i].hmp;

        if (command_there(&commands[i]) &&
            (!skip || g_str_has_prefix(hmp, "info "))) {
            opt_word_add(&w, hmp + skip);
        }
    }
    near = opt_nearest(words + skip, w.v, w.n);
    mon_printf("unknown command: '%s'\n", words);
    if (part) {
        mon_printf("%s not in this version\n", part);
    } else if (here) {
        mon_printf("It is a command of QMP; here it is '%s'.\n", here);
    } else if (near) {
        mon_printf("Did you mean '%.*s%s'?\n", (int)skip, words, near);
    }
}

void hmp_help(const Json *args)
{
    const char *text = json_get_str(args, "name");
    GString *shown = g_string_new(NULL);
    const Command *c;

    if (!text) {
        help_group(false);
    } else if (!(c = hmp_find(&text, shown))) {
        say_unknown(shown->str);
    } else if (!strcmp(c->hmp, "info")) {
        help_group(true);
    } else {
        help_line(c);
    }
    g_string_free(shown, true);
}

void hmp_info(const Json *args)
{
    help_group(true);
}

/* ---- one line -- */
static void sink_print(ReportSink *sink, const char *text)
{
    mon_puts(text);
}

/* For a reply that nothing prints nicely. */
static void print_plain(const QType *t, const void *ret)
{
    Json *v = schema_json(t, ret);
    char *s = json_text(v, true, NULL);

    mon_printf("%s\n", s);
    g_free(s);
    json_free(v);
}

void hmp_error(Error *err)
{
    if (err) {
        mon_printf("Error: %s\n%s", error_text(err), error_hint_text(err));
        error_free(err);
    }
}

static void run_qmp(const Command *c, const Json *args) MACHINE_CALL;
static void run_qmp(const Command *c, const Json *args)
{
    void *ret = c->ret ? g_malloc0(c->ret->size) : NULL;
    Error *err = NULL;

    if (!command_call(c, c->arg ? args : NULL, true, ret, &err)) {
        hmp_error(err);
    } else if (c->hmp_print) {
        c->hmp_print(ret, args);
    } else if (ret) {
        print_plain(c->ret, ret);
    }
    if (ret) {
        schema_free(c->ret, ret);
        g_free(ret);
    }
}

static void take_input(Monitor *m)
{
    Hmp *h = m->hmp;
    size_t n = 0;

    h->in_input = true;
    h->refused = false;
    while (n < h->input->len && !h->busy) {
        readline_byte(&h->rl, h->input->str[n++]);
    }
    g_string_erase(h->input, 0, n);
    h->in_input = false;
}

typedef struct HmpCall {
    Monitor *m;
    const Command *c;
    Json *args;
    bool finished, waited;
} HmpCall;

static void call_end(HmpCall *q)
{
    Hmp *h = q->m->hmp;

    q->finished = true;
    json_free(q->args);
    if (q->waited) {
        h->busy = false;
        if (!h->away) {
            readline_show(&h->rl);
        }
        take_input(q->m);
        mon_kick(q->m);
        chr_accept_input(&q->m->front);
        g_free(q);
    }
}

static void call_body(void *arg)
{
    HmpCall *q = arg;
    ReportSink sink = { sink_print }, *old_sink;
    Monitor *before = mon_current;

    machine_assert_locked();
    mon_current = q->m;
    old_sink = report_sink(&sink);
    if (q->c->hmp_run) {
        q->c->hmp_run(q->args);
    } else {
        run_qmp(q->c, q->args);
    }
    report_sink(old_sink);
    mon_current = before;
    call_end(q);
}

void hmp_run_line(Monitor *m, const char *line)
{
    GString *why = g_string_new(NULL), *shown = g_string_new(NULL);
    const char *p = line;
    const Command *c;
    HmpCall *q;
    Json *args = NULL;
    Monitor *before = mon_current;

    mon_current = m;
    while (isspace((unsigned char)*p)) {
        p++;
    }
    if (!*p) {
        goto out;
    }
    c = hmp_find(&p, shown);
    if (!c) {
        say_unknown(shown->str);
        goto out;
    }
    if (mon_early && !(c->flags & CMD_PRECONFIG)) {
        mon_printf("Command '%s' not available with -preconfig until machine "
                   "initialization has completed.\n", shown->str);
        goto out;
    }
    char *name = c->hmp_alias ? g_strdup_printf("%s|%s", c->hmp, c->hmp_alias)
                              : g_strdup(last_word(c));
    args = hmp_args_parse(c->hmp_args, name, p, why);
    g_free(name);
    if (!args) {
        mon_printf("%s\n", why->str);
        if (!g_str_has_prefix(why->str, "Error: ")) {
            mon_printf("Try \"help %s\" for more information\n", shown->str);
        }
        goto out;
    }
    q = g_new0(HmpCall, 1);
    *q = (HmpCall){ .m = m, .c = c, .args = args };
    if (c->flags & CMD_CO && !co_self()) {
        co_enter(co_new(call_body, q));
    } else {
        call_body(q);
    }
    if (!q->finished && !m->capture) {
        q->waited = true;
        m->hmp->busy = true;
    } else {
        while (!q->finished) {         /* the caller wants the text           */
            loop_step(true);
        }
        g_free(q);
    }
out:
    mon_current = before;
    g_string_free(why, true);
    g_string_free(shown, true);
}

/* ---- a session -- */
static void rl_put(void *arg, const char *s, size_t n)
{
    mon_append(arg, s, n);
}

static void rl_line(void *arg, const char *line)
{
    Monitor *m = arg;

    machine_assert_locked();
    hmp_run_line(m, line);
    if (!m->hmp->busy && !m->hmp->away) {
        readline_show(&m->hmp->rl);
    }
}

static GPtrArray *rl_complete(void *arg, const char *line, size_t *start)
{
    Monitor *before = mon_current;
    GPtrArray *a;

    machine_assert_locked();
    mon_current = arg;
    a = hmp_complete(line, start);
    mon_current = before;
    return a;
}

static int hmp_can_receive(void *arg)
{
    Monitor *m = arg;

    Hmp *h = m->hmp;

    /* A command may wait for events in the main loop. */
    if (h->busy || h->in_input || mon_output_full(m)) {
        h->refused = true;
        return 0;
    }
    return 1024;
}

static void hmp_receive(void *arg, const uint8_t *buf, int n)
{
    Monitor *m = arg;

    g_string_append_len(m->hmp->input, (const char *)buf, n);
    take_input(m);
    mon_flush(m);
    if (m->hmp->refused) {
        chr_accept_input(&m->front);
    }
}

static void greet(Monitor *m)
{
    static const char text[] =
        "QEMU 7.2.22 monitor - type 'help' for more information\r\n";

    mon_append(m, text, sizeof(text) - 1);
    m->hmp->greeted = true;
    readline_reset(&m->hmp->rl);
    if (!m->hmp->away) {
        readline_show(&m->hmp->rl);
    }
}

static void hmp_event(void *arg, ChrEvent e)
{
    Monitor *m = arg;
    Hmp *h = m->hmp;

    switch (e) {
    case CHR_OPENED:
        if (!h->away) {
            greet(m);
        }
        break;
    case CHR_CLOSED:
        readline_reset(&h->rl);
        if (!h->in_input) {
            g_string_truncate(h->input, 0);
        }
        mon_close_fds(m);
        h->greeted = false;
        break;
    case CHR_MUX_IN:
        if (h->away && h->greeted && !h->busy) {
            readline_show(&h->rl);
        }
        h->away = false;
        if (!h->greeted && chr_is_open(&m->front)) {
            greet(m);
        }
        break;
    case CHR_MUX_OUT:
        if (!h->away && h->greeted) {
            mon_append(m, "\r\n", 2);
        }
        h->away = true;
        break;
    default:
        return;
    }
    mon_flush(m);
}

static bool hmp_changed(void *arg)
{
    Monitor *m = arg;

    m->watching = false;
    mon_close_fds(m);
    return true;
}

void hmp_init(Monitor *m)
{
    m->hmp = g_new0(Hmp, 1);
    m->hmp->input = g_string_new(NULL);
    readline_init(&m->hmp->rl, hmp_prompt);
    m->hmp->rl.put = rl_put;
    m->hmp->rl.line = rl_line;
    m->hmp->rl.complete = rl_complete;
    m->hmp->rl.arg = m;
    m->front.can_receive = hmp_can_receive;
    m->front.receive = hmp_receive;
    m->front.event = hmp_event;
    m->front.changed = hmp_changed;
}

void hmp_fini(Monitor *m)
{
    readline_fini(&m->hmp->rl);
    g_string_free(m->hmp->input, true);
    g_free(m->hmp);
}

/* ---- for handlers -- */
int mon_cpu_index(void)
{
    return mon_current && mon_current->hmp ? mon_current->hmp->cpu_index : 0;
}

void mon_cpu_index_set(int i)
{
    if (mon_current && mon_current->hmp) {
        mon_current->hmp->cpu_index = i;
    }
}

void hmp_info_history(const Json *args)
{
    const Readline *r = mon_current->hmp ? &mon_current->hmp->rl : NULL;

    for (unsigned i = 0; r && i < r->count; i++) {
        mon_printf("%u: '%s'\n", i, r->history[i]);
    }
}

/* A session without a terminal: what is printed becomes the result. */
char *mon_hmp_line(const char *line, int cpu_index)
{
    Hmp h = { .cpu_index = cpu_index };
    Monitor m = { .capture = true, .hmp = &h };

    hmp_run_line(&m, line);
    mon_append(&m, "", 1);
    return m.pend.p;
}

bool hmp_twin(const Command *c, const Json *args, void *ret, Error **errp)
{
    const Json *cpu = args ? json_get(args, "cpu-index") : NULL;
    Hmp h = { .cpu_index = cpu ? json_int_of(cpu) : 0 };
    Monitor m = { .capture = true, .hmp = &h }, *before = mon_current;
    ReportSink sink = { sink_print }, *old_sink;
    Json *none = args ? NULL : json_obj();
    g_autoptr(GString) text = g_string_new(NULL);
    bool ok = true;

    if (cpu && (!mon_cpu_exists || !mon_cpu_exists(json_int_of(cpu)))) {
        return error_set(errp, "Parameter 'cpu-index' expects a CPU number");
    }
    mon_current = &m;
    old_sink = report_sink(&sink);
    c->hmp_run(args ? args : none);
    report_sink(old_sink);
    mon_current = before;
    for (size_t i = 0; i < m.pend.n; i++) {
        if (m.pend.p[i] != '\r') {
            g_string_append_c(text, m.pend.p[i]);
        }
    }
    if (c->ret) {
        ((HumanReadableText *)ret)->human_readable_text =
            g_strdup(text->str);
    } else if (text->len) {
        const char *said = text->str;

        said += g_str_has_prefix(said, "Error: ") ? strlen("Error: ") : 0;
        ok = error_set(errp, "%.*s", (int)strcspn(said, "\n"), said);
    }
    g_free(m.pend.p);
    json_free(none);
    return ok;
}
