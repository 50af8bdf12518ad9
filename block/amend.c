/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * amend.c - other options for an image that exists, from the text of `amend -o`.
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. The driver gets values that fit its rows; what it does not list is refused.
 */
#include <glib.h>
#include "block/driver.h"
#include "opt.h"

static bool unknown(const BlkDriver *d, const char *key, Error **errp)
{
    error_set(errp, "Invalid parameter '%s'", key);
    if (prop_find(d->create_props, key)) {
        error_hint(errp, "This option is only supported for image creation");
    }
    return false;
}

static MACHINE_CALL bool rows_set(const BlkDriver *d, void *c, uint8_t *given,
                                  Json *opts, Error **errp)
{
    const Prop *rows = d->amend_props;

    for (size_t i = 0; i < json_count(opts); i++) {
        const char *key = json_key_at(opts, i);
        const Prop *p = prop_find(rows, key);

        if (!p) {
            return unknown(d, key, errp);
        }
        if (!blk_row_text_ok(p, json_get_str(opts, key), errp) ||
            !prop_set(c, p, json_value_at(opts, i), true, d->name, errp)) {
            return false;
        }
        given[p - rows] = 1;
    }
    return true;
}

bool blk_image_amend(BlkNode *n, const char *options, const BlkAmend *how,
                     Error **errp)
{
    const BlkDriver *d = n->drv;
    Opts o = { 0 };
    g_autofree uint8_t *given = NULL;
    g_autofree void *c = NULL;
    BlkAmend a = *how;
    size_t rows = 0;
    bool ok;

    if (!d->amend) {
        return error_set(errp, "Format driver '%s' does not support option "
                         "amendment", d->name);
    }
    if (!opts_parse(&o, options, NULL, OPT_FLAT | OPT_BARE | OPT_QUIET, errp)) {
        return false;
    }
    for (const Prop *p = d->amend_props; p->name; p++) {
        rows++;
    }
    given = g_malloc0(rows + 1);
    c = g_malloc0(d->amend_size);
    a.opts = c;
    a.given = given;
    prop_defaults(c, d->amend_props, 0);
    ok = rows_set(d, c, given, o.obj, errp) &&
         d->amend(n, &a, errp);
    prop_release(c, d->amend_props);
    opts_free(&o);
    return ok;
}

NO_TSA bool blk_image_amend_help(const char *format, Error **errp)
{
    const BlkDriver *d = blk_driver_find(format);

    if (!d) {
        return error_set(errp, "Unknown file format '%s'", format);
    }
    if (!d->amend) {
        return error_set(errp, "Format driver '%s' does not support option "
                         "amendment", d->name);
    }
    printf("Amend options for '%s':\n", d->name);
    blk_rows_help(d->amend_props);
    return true;
}
