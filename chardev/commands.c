/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * commands.c - monitor commands of character ports.
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. A command that fails leaves the ports as they were; chardev-change of a
 *    port that nobody uses is a removal and an addition.
 */
#include <glib.h>
#include "chardev/chr-priv.h"
#include "monitor.h"
#include "opt.h"
#include "schema/schema.h"

/* ---- queries ------------------------------------------------------------- */

static void port_name(const CharPort *p, char *buf, size_t n)
{
    if (p->drv->filename) {
        p->drv->filename(p, buf, n);
    } else {
        snprintf(buf, n, "%s", p->drv->type + strlen("chardev-"));
    }
}

static void add_info(CharPort *p, void *arg)
{
    ChardevInfo *i = SCHEMA_ADD((ChardevInfoList *)arg);
    char name[1024];

    port_name(p, name, sizeof(name));
    i->label = g_strdup(p->label);
    i->filename = g_strdup(name);
    i->frontend_open = p->front && p->front->open;
}

bool cmd_query_chardev(const void *arg, void *ret, Error **errp)
{
    chr_each(add_info, ret);
    return true;
}

void hmp_print_info_chardev(const void *ret, const Json *args)
{
    const ChardevInfoList *l = ret;

    for (size_t i = 0; i < l->n; i++) {
        mon_printf("%s: filename=%s\n", l->v[i].label, l->v[i].filename);
    }
}

bool cmd_query_chardev_backends(const void *arg, void *ret, Error **errp)
{
    SET_EACH(char_drivers, CharDriver, d) {
        if (!(*d)->internal) {
            ChardevBackendInfo *i =
                SCHEMA_ADD((ChardevBackendInfoList *)ret);

            i->name = g_strdup((*d)->name);
        }
    }
    return true;
}

/* ---- making and exchanging ----------------------------------------------- */

/* {type, data} of the protocol as the options of the driver. */
static Json *options_of(const char *id, const Json *backend, Error **errp)
{
    const char *type = json_get_str(backend, "type");
    const Json *data = json_get(backend, "data");
    const CharDriver *d = type ? chr_driver_find(type) : NULL;
    Json *o;

    if (!d || d->internal) {
        error_set(errp, "'%s' is not a valid char driver name",
                  type ? type : "");
        return NULL;
    }
    o = json_obj();
    json_set_str(o, "id", id);
    json_set_str(o, "backend", type);
    for (size_t i = 0; data && i < json_count(data); i++) {
        const char *k = json_key_at(data, i);

        for (const char *const *r = d->renamed; r && *r; r += 2) {
            if (!strcmp(r[0], k)) {
                k = r[1];
                break;
            }
        }
        json_set(o, k, json_copy(json_value_at(data, i)));
    }
    for (const char *const *r = d->qmp_defaults; r && *r; r += 2) {
        if (!json_get(o, r[0])) {
            json_set_bool(o, r[0], !strcmp(r[1], "on"));
        }
    }
    return o;
}

static void answer(const CharPort *p, ChardevReturn *ret)
{
    char name[256];

    if (!strcmp(p->drv->name, "pty")) {
        port_name(p, name, sizeof(name));
        ret->pty = g_strdup(name + strlen("pty:"));
    }
}

static bool failed(const char *id, Error **errp)
{
    error_prepend(errp, "Failed to add chardev '%s': ", id);
    return false;
}

bool cmd_chardev_add(const void *arg, void *ret, Error **errp)
{
    const ChardevAddArg *a = arg;
    Json *opts;
    CharPort *p;

    if (chr_find(a->id)) {
        return error_set(errp, "Chardev with id '%s' already exists", a->id);
    }
    opts = options_of(a->id, a->backend.obj, errp);
    if (!opts) {
        return failed(a->id, errp);
    }
    p = chr_add(opts, a->backend.text, errp);
    json_free(opts);
    if (!p) {
        return failed(a->id, errp);
    }
    answer(p, ret);
    return true;
}

bool cmd_chardev_change(const void *arg, void *ret, Error **errp)
{
    const ChardevChangeArg *a = arg;
    Json *opts;
    bool ok;

    if (!chr_find(a->id)) {
        return error_set(errp, "Chardev '%s' does not exist", a->id);
    }
    opts = options_of(a->id, a->backend.obj, errp);
    if (!opts) {
        return failed(a->id, errp);
    }
    ok = chr_change(a->id, opts, a->backend.text, errp);
    json_free(opts);
    if (ok) {
        answer(chr_find(a->id), ret);
    }
    return ok;
}

bool cmd_chardev_remove(const void *arg, void *ret, Error **errp)
{
    return chr_remove(((const ChardevRemoveArg *)arg)->id, errp);
}

bool cmd_chardev_send_break(const void *arg, void *ret, Error **errp)
{
    const char *id = ((const ChardevSendBreakArg *)arg)->id;
    CharPort *p = chr_find(id);

    if (!p) {
        return error_set(errp, "Chardev '%s' not found", id);
    }
    chr_event(p, CHR_BREAK);
    return true;
}

/* ---- the same for people ------------------------------------------------- */

static void complain(Error *err)
{
    mon_printf("Error: %s\n%s", error_text(err), error_hint_text(err));
    error_free(err);
}

/* Options as after -chardev; NULL: said why, or gave help. */
static Json *typed(const Json *args, Error **errp)
{
    const char *text = json_get_str(args, "args");
    Opts o;
    Json *obj;

    if (!opts_parse(&o, text ? text : "", "backend", OPT_FLAT | OPT_BARE,
                    errp)) {
        return NULL;
    }
    if (o.help) {
        mon_puts("Available chardev backend types: \n");
        SET_EACH(char_drivers, CharDriver, d) {
            if (!(*d)->internal) {
                mon_printf("  %s\n", (*d)->name);
            }
        }
        opts_free(&o);
        return NULL;
    }
    obj = json_copy(o.obj);
    opts_free(&o);
    return obj;
}

void hmp_chardev_add(const Json *args)
{
    Error *err = NULL;
    Json *opts = typed(args, &err);

    if (opts) {
        chr_add(opts, true, &err);
        json_free(opts);
    }
    if (err) {
        complain(err);
    }
}

void hmp_chardev_change(const Json *args)
{
    const char *id = json_get_str(args, "id");
    Error *err = NULL;
    Json *opts = typed(args, &err);

    if (opts) {
        const char *type = json_get_str(opts, "backend");

        if (!chr_find(id)) {
            error_set(&err, "Chardev '%s' does not exist", id);
        } else if (!type) {
            error_set(&err, "chardev: \"%s\" missing backend", id);
        } else {
            json_set_str(opts, "id", id);
            chr_change(id, opts, true, &err);
        }
        json_free(opts);
    }
    if (err) {
        complain(err);
    }
}
