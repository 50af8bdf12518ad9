/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd-misc.c - trace points, log, actions, command-line options, capabilities of
 * migration, and lists that are empty unless a part fills them.
 *
 * MACHINE_CALL.
 */
#include <glib.h>
#include "mon-impl.h"
#include "runstate.h"
#include "schema/schema.h"
#include "trace.h"

/* ---- trace points -- */
typedef struct TraceWalk {
    const char *pattern;
    TraceEventInfoList *list;
} TraceWalk;

static void trace_one(TracePoint *t, void *arg)
{
    TraceWalk *w = arg;
    TraceEventInfo *i;

    if (g_pattern_match_simple(w->pattern, t->name)) {
        i = SCHEMA_ADD(w->list);
        i->name = g_strdup(t->name);
        i->state = t->on ? TRACE_EVENT_STATE_ENABLED
                         : TRACE_EVENT_STATE_DISABLED;
    }
}

/* A name without '*' must be there. */
static bool trace_known(const char *name, size_t found, Error **errp)
{
    return found || strchr(name, '*') ||
           error_set(errp, "unknown event \"%s\"", name);
}

bool cmd_trace_event_get_state(const void *arg, void *ret, Error **errp)
{
    const TraceEventGetStateArg *a = arg;
    TraceWalk w = { a->name, ret };

    trace_each(trace_one, &w);
    return trace_known(a->name, w.list->n, errp);
}

bool cmd_trace_event_set_state(const void *arg, void *ret, Error **errp)
{
    const TraceEventSetStateArg *a = arg;

    return trace_known(a->name, trace_enable(a->name, a->enable), errp);
}

void hmp_info_trace_events(const Json *args)
{
    const char *name = json_get_str(args, "name");
    TraceEventGetStateArg a = { .name = (char *)(name ? name : "*") };
    TraceEventInfoList l = { 0 };
    Error *err = NULL;

    if (!cmd_trace_event_get_state(&a, &l, &err)) {
        mon_printf("%s\n", error_text(err));
        error_free(err);
    }
    for (size_t i = 0; i < l.n; i++) {
        mon_printf("%s : state %d\n", l.v[i].name,
                   l.v[i].state == TRACE_EVENT_STATE_ENABLED);
    }
    schema_free(&qt_TraceEventInfoList, &l);
}

void hmp_trace_event(const Json *args)
{
    const char *name = json_get_str(args, "name");
    bool on = json_bool_of(json_get(args, "enable"));
    Error *err = NULL;

    if (!trace_known(name, trace_enable(name, on), &err)) {
        mon_printf("%s\n", error_text(err));
        error_free(err);
    }
}

void hmp_log(const Json *args)
{
    Error *err = NULL;

    log_set_mask(json_get_str(args, "items"), &err);
    hmp_error(err);
}

void hmp_logfile(const Json *args)
{
    Error *err = NULL;

    if (!log_set_file(json_get_str(args, "filename"), &err)) {
        mon_printf("%s\n", error_text(err));
        error_free(err);
    }
}

/* ---- actions -- */
bool cmd_set_action(const void *arg, void *ret, Error **errp)
{
    const SetActionArg *a = arg;

    if (a->has_reboot) {
        actions.reboot = a->reboot;
    }
    if (a->has_shutdown) {
        actions.shutdown = a->shutdown;
    }
    if (a->has_panic) {
        actions.panic = a->panic;
    }
    if (a->has_watchdog) {
        actions.watchdog = a->watchdog;
    }
    return true;
}

bool cmd_watchdog_set_action(const void *arg, void *ret, Error **errp)
{
    actions.watchdog = ((const WatchdogSetActionArg *)arg)->action;
    return true;
}

void hmp_watchdog_action(const Json *args)
{
    const char *s = json_get_str(args, "action");
    int i = schema_enum(&qt_WatchdogAction, s);

    if (i < 0) {
        mon_printf("Error: invalid parameter value: %s\n", s);
    } else {
        actions.watchdog = i;
    }
}

/* ---- command-line options -- */
static void list_option(CommandLineOptionInfoList *l, const OptionRow *r)
{
    CommandLineOptionInfo *i = SCHEMA_ADD(l);

    i->option = g_strdup(r->group);
    for (const OptionParam *p = r->args; p && p->name; p++) {
        CommandLineParameterInfo *q = SCHEMA_ADD(&i->parameters);

        q->name = g_strdup(p->name);
        q->type = schema_enum(&qt_CommandLineParameterType, p->type);
        q->help = g_strdup(p->help);
        q->default_ = g_strdup(p->def);
    }
}

bool cmd_query_command_line_options(const void *arg, void *ret, Error **errp)
{
    const QueryCommandLineOptionsArg *a = arg;
    CommandLineOptionInfoList *l = ret;

    for (const OptionRow *r = option_rows; r->name; r++) {
        if (r->group && option_find(r->name) &&
            (!a->option || !strcmp(r->group, a->option))) {
            list_option(l, r);
        }
    }
    return l->n || !a->option ||
           error_set(errp, "invalid option name: %s", a->option);
}

/* ---- migration -- */
static bool capability_on[MIGRATION_CAPABILITY__COUNT];
static const MigrationCapability capabilities[] = {
    MIGRATION_CAPABILITY_EVENTS,
};

bool cmd_query_migrate_capabilities(const void *arg, void *ret, Error **errp)
{
    MigrationCapabilityStatusList *l = ret;

    for (size_t i = 0; i < ARRAY_SIZE(capabilities); i++) {
        *SCHEMA_ADD(l) = (MigrationCapabilityStatus){
            capabilities[i], capability_on[capabilities[i]] };
    }
    return true;
}

static bool capability_known(MigrationCapability c, Error **errp)
{
    for (size_t i = 0; i < ARRAY_SIZE(capabilities); i++) {
        if (capabilities[i] == c) {
            return true;
        }
    }
    return error_set(errp, "Capability '%s' is not supported",
                     qt_MigrationCapability.values[c]);
}

bool cmd_migrate_set_capabilities(const void *arg, void *ret, Error **errp)
{
    const MigrationCapabilityStatusList *l =
        &((const MigrateSetCapabilitiesArg *)arg)->capabilities;

    for (size_t i = 0; i < l->n; i++) {
        if (l->v[i].state && !capability_known(l->v[i].capability, errp)) {
            return false;
        }
    }
    for (size_t i = 0; i < l->n; i++) {
        capability_on[l->v[i].capability] = l->v[i].state;
    }
    return true;
}

void hmp_print_info_migrate_capabilities(const void *ret, const Json *args)
{
    const MigrationCapabilityStatusList *l = ret;

    for (size_t i = 0; i < l->n; i++) {
        mon_printf("%s: %s\n",
                   qt_MigrationCapability.values[l->v[i].capability],
                   l->v[i].state ? "on" : "off");
    }
}

void hmp_migrate_set_capability(const Json *args)
{
    const char *s = json_get_str(args, "capability");
    int i = schema_enum(&qt_MigrationCapability, s);
    bool on = json_bool_of(json_get(args, "state"));
    Error *err = NULL;

    if (i < 0) {
        mon_printf("Error: invalid parameter value: %s\n", s);
    } else if (on && !capability_known(i, &err)) {
        hmp_error(err);
    } else {
        capability_on[i] = on;
    }
}

/* ---- text -- */
void hmp_print_human_text(const void *ret, const Json *args)
{
    mon_puts(((const HumanReadableText *)ret)->human_readable_text);
}

/* ---- lists without entries -- */
bool cmd_query_jobs(const void *arg, void *ret, Error **errp)
{
    return true;
}

bool cmd_query_tpm_models(const void *arg, void *ret, Error **errp)
{
    return true;
}

bool cmd_query_tpm_types(const void *arg, void *ret, Error **errp)
{
    return true;
}

bool cmd_query_tpm(const void *arg, void *ret, Error **errp)
{
    return true;
}

void hmp_print_info_tpm(const void *ret, const Json *args)
{
}
