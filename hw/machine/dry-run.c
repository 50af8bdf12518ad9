/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dry-run.c - -dry-run: the configuration is carried out as far as it goes, each
 * problem is told, as text or as a JSON list, and nothing runs.
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. No vCPU runs, no process is made, nothing waits for a client, and no file
 *    but those of images and sockets is opened.
 */
#include <glib.h>
#include <stdio.h>
#include "chr.h"
#include "hw/machine/startup.h"
#include "json.h"
#include "machine-opts.h"
#include "monitor.h"
#include "schema/schema.h"

static unsigned problems;
static Json *told;                     /* list; NULL: text                    */

/* "where: warning: text\nhint" as the report made it. */
static void tell(ReportSink *sink, const char *text)
{
    const char *where = report_where(NULL);
    const char *kind = "error", *end;
    g_autofree char *prefix = g_strdup_printf("%s: ", where ? where : "");
    Json *row = json_obj();

    report_where(where);
    if (where && g_str_has_prefix(text, prefix)) {
        text += strlen(prefix);
    }
    for (unsigned i = 0; i < 2; i++) {
        const char *const kinds[] = { "warning", "info" };

        if (g_str_has_prefix(text, kinds[i]) && text[strlen(kinds[i])] == ':') {
            kind = kinds[i];
            text += strlen(kinds[i]) + 2;
        }
    }
    end = strchrnul(text, '\n');
    json_set_str(row, "severity", kind);
    if (where && *where) {
        json_set_str(row, "where", where);
    }
    json_set(row, "message", json_strf("%.*s", (int)(end - text), text));
    if (*end && end[1]) {
        json_set(row, "hint", json_strf("%.*s", (int)strlen(end + 1) - 1,
                                        end + 1));
    }
    json_add(told, row);
}

static ReportSink to_json = { tell };

bool dry_run_wanted(const char *word, Error **errp)
{
    if (*word == '=') {
        word++;
    }
    if (!strcmp(word, "json")) {
        told = told ? told : json_list();
        report_sink(&to_json);
    } else if (*word && strcmp(word, "text")) {
        return error_set(errp, "'%s' is neither text nor json", word);
    }
    settings.dry_run = true;
    chr_never_wait = true;
    return true;
}

void dry_run_problem(Error *err)
{
    problems++;
    option_report(err);
}

bool machine_go_on(bool ok, Error **errp)
{
    Error *err;

    if (ok || !settings.dry_run) {
        return ok;
    }
    err = *errp;
    *errp = NULL;
    dry_run_problem(err);
    report_where(NULL);
    return true;
}

int dry_run_end(void)
{
    if (told) {
        char *s = json_text(told, true, NULL);

        report_sink(NULL);
        printf("%s\n", s);
        g_free(s);
        json_free(told);
        told = NULL;
    } else if (!problems) {
        printf("no problem found\n");
    }
    fflush(stdout);
    return problems != 0;
}

bool cli_dry_run(const char *arg, Error **errp)
{
    return dry_run_wanted("", errp);
}
