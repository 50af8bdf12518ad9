/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blkdebug-rules.c - rules of the fault injector, from options and from a file of
 * groups [inject-error] and [set-state].
 *
 * Thread class: MACHINE_CALL.
 */
#include <glib.h>
#include "block/blkdebug.h"
#include "opt.h"
#include "schema/schema.h"

#define IO_DEFAULT (1u << BLKDEBUG_IO_TYPE_READ | \
    1u << BLKDEBUG_IO_TYPE_WRITE | 1u << BLKDEBUG_IO_TYPE_WRITE_ZEROES | \
    1u << BLKDEBUG_IO_TYPE_DISCARD | 1u << BLKDEBUG_IO_TYPE_FLUSH)

static bool get_int(const Json *o, const char *key, int64_t *out, Error **errp)
{
    const Json *v = json_get(o, key);

    if (v && json_kind(v) == JSON_INT) {
        *out = json_int_of(v);
        return true;
    }
    return !v || (json_kind(v) == JSON_STR
                  ? opt_i64(key, json_str_of(v), out, errp)
                  : error_set(errp, "Invalid parameter type for '%s', "
                              "expected: integer", key));
}

static bool get_bool(const Json *o, const char *key, bool *out, Error **errp)
{
    const Json *v = json_get(o, key);

    if (v && json_kind(v) == JSON_BOOL) {
        *out = json_bool_of(v);
        return true;
    }
    return !v || (json_kind(v) == JSON_STR
                  ? opt_bool(key, json_str_of(v), out, errp)
                  : error_set(errp, "Invalid parameter type for '%s', "
                              "expected: boolean", key));
}

static bool get_enum(const Json *o, const char *key, const QType *t, int *out,
                     Error **errp)
{
    const char *s = json_get_str(o, key);

    *out = s ? schema_enum(t, s) : -1;
    return !s || *out >= 0 ||
           error_set(errp, "invalid parameter value: %s", s);
}

static bool known_keys(const Json *o, bool inject, Error **errp)
{
    static const char *const names[2][8] = {
        { "event", "state", "new_state" },
        { "event", "state", "iotype", "errno", "sector", "once",
          "immediately" },
    };

    for (size_t i = 0; i < json_count(o); i++) {
        bool found = false;

        for (int k = 0; k < 8 && names[inject][k]; k++) {
            found |= !strcmp(names[inject][k], json_key_at(o, i));
        }
        if (!found) {
            return error_set(errp, "Invalid parameter '%s'",
                             json_key_at(o, i));
        }
    }
    return true;
}

static bool rule_fill(DebugRule *r, bool inject, const Json *o, Error **errp)
{
    int64_t state = 0, error = EIO, new_state = 0;
    int iotype = -1;

    if (!known_keys(o, inject, errp) ||
        !get_enum(o, "event", &qt_BlkdebugEvent, &r->event, errp)) {
        return false;
    }
    if (r->event < 0) {
        return error_set(errp, "Missing event name for rule");
    }
    r->sector = -1;
    if (!get_int(o, "state", &state, errp) ||
        !get_int(o, "errno", &error, errp) ||
        !get_int(o, "new_state", &new_state, errp) ||
        !get_int(o, "sector", &r->sector, errp) ||
        !get_bool(o, "once", &r->once, errp) ||
        !get_bool(o, "immediately", &r->immediately, errp) ||
        !get_enum(o, "iotype", &qt_BlkdebugIOType, &iotype, errp)) {
        return false;
    }
    if (error < 0 || error > 4095) {
        return error_set(errp, "errno is no error number");
    }
    r->action = inject ? DEBUG_INJECT : DEBUG_STATE;
    r->state = (int)state;
    r->error = (int)error;
    r->new_state = (int)new_state;
    r->iotypes = iotype < 0 ? IO_DEFAULT : 1u << iotype;
    r->active = inject && r->event == BLKDEBUG_EVENT_NONE;
    return true;
}

bool debug_rules_add(Blkdebug *d, bool inject, const Json *list, Error **errp)
{
    for (size_t i = 0; i < json_count(list); i++) {
        const Json *o = json_at(list, i);
        DebugRule *r = g_new0(DebugRule, 1);

        if (json_kind(o) != JSON_OBJ) {
            g_free(r);
            return error_set(errp, "Invalid parameter type for '%s', expected: "
                             "object", inject ? "inject-error" : "set-state");
        }
        if (!rule_fill(r, inject, o, errp)) {
            g_free(r);
            return false;
        }
        r->next = d->rules;
        d->rules = r;
    }
    return true;
}

void debug_rules_free(Blkdebug *d)
{
    while (d->rules) {
        DebugRule *r = d->rules;

        d->rules = r->next;
        g_free(r->tag);
        g_free(r);
    }
}

/* ---- the file ------------------------------------------------------------ */

typedef struct Config {
    Blkdebug *d;
    Json *group;                       /* being read; NULL: none              */
    bool inject;
} Config;

static bool group_end(Config *c, Error **errp)
{
    Json *list = json_list();
    bool ok = true;

    if (c->group) {
        json_add(list, c->group);
        c->group = NULL;
        ok = debug_rules_add(c->d, c->inject, list, errp);
    }
    json_free(list);
    return ok;
}

static bool line_take(Config *c, const char *line, Error **errp)
{
    char key[64], value[1024];

    if (sscanf(line, "[%63[^] ]", key) == 1) {
        if (!group_end(c, errp)) {
            return false;
        }
        c->inject = !strcmp(key, "inject-error");
        if (!c->inject && strcmp(key, "set-state")) {
            return error_set(errp, "There is no option group '%s'", key);
        }
        c->group = json_obj();
        return true;
    }
    value[0] = 0;
    if (sscanf(line, " %63[^ =\t] = \"%1023[^\"]\"", key, value) == 2 &&
        c->group) {
        json_set_str(c->group, key, value);
        return true;
    }
    return error_set(errp, "Could not parse blkdebug config file");
}

bool debug_config_read(Blkdebug *d, Error **errp)
{
    Config c = { .d = d };
    char line[2048];
    FILE *f = fopen(d->config, "re");
    bool ok = true;

    if (!f) {
        return error_set_errno(errp, errno,
                               "Could not read blkdebug config file");
    }
    while (ok && fgets(line, sizeof(line), f)) {
        char *s = g_strstrip(line);

        ok = !*s || *s == '#' || line_take(&c, s, errp);
    }
    fclose(f);
    ok = ok && group_end(&c, errp);
    json_free(c.group);
    return ok;
}
