/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * config.c - -machine members, -boot, -m, and configuration files (-readconfig):
 * sections `[group "id"]` with `key = "value"` lines, each section standing for
 * one use of the option that has the group.
 *
 * Thread class: machine lock.
 */
#include <glib.h>
#include "accel.h"
#include "machine-opts.h"
#include "mem-opts.h"
#include "monitor.h"
#include "numa.h"
#include "settings.h"
#include "startup.h"
#include "schema/schema.h"

/* ---- -machine ------------------------------------------------------------ */

/* Later mentions win; objects (smp.cpus=, smp.cores=) gather their members. */
void json_merge(Json *into, const char *key, Json *v)
{
    Json *old = json_get(into, key);

    if (old && v && json_kind(old) == JSON_OBJ && json_kind(v) == JSON_OBJ) {
        while (json_count(v)) {
            char *k = g_strdup(json_key_at(v, 0));

            json_merge(old, k, json_take(v, k));
            g_free(k);
        }
        json_free(v);
    } else {
        json_set(into, key, v);
    }
}

/* Members that older command lines put here and that mean something else. */
static MACHINE_CALL
bool machine_sugar(Machine *m, const char *key, const Json *v,
                          bool *done, Error **errp)
{
    const char *s = json_kind(v) == JSON_STR ? json_str_of(v) : "";
    Error *err = NULL;

    *done = true;
    if (!strcmp(key, "accel")) {
        g_free(m->accel_list);
        m->accel_list = g_strdup(s);
        return true;
    }
    if (accel_machine_option(key, s, &err)) {
        return true;
    }
    if (err) {
        error_move(errp, err);
        return false;
    }
    *done = false;
    return true;
}

bool machine_apply(Machine *m, const Json *opts, Error **errp)
{
    for (size_t i = 0; i < json_count(opts); i++) {
        const char *key = json_key_at(opts, i);
        const Json *v = json_value_at(opts, i);
        bool done;

        if (!machine_go_on(machine_sugar(m, key, v, &done, errp) &&
                           (done || obj_set(&m->obj, key, v, true, errp)),
                           errp)) {
            return false;
        }
    }
    return true;
}

void machine_props_help(const MachineType *t)
{
    char type[80];
    const Prop *p;

    snprintf(type, sizeof(type), "%s-machine", t->name);
    printf("%s options:\n", type);
    for (unsigned i = 0; (p = type_props(type, i)); i++) {
        for (; p->name; p++) {
            char *line = prop_help_line(p);

            printf("%s\n", line);
            g_free(line);
        }
    }
}

/* ---- -boot --------------------------------------------------------------- */

bool boot_order_ok(const char *s, Error **errp)
{
    unsigned seen = 0;

    for (const char *p = s; *p; p++) {
        if (*p < 'a' || *p > 'p') {
            return error_set(errp, "Invalid boot device '%c'", *p);
        }
        if (seen >> (*p - 'a') & 1) {
            return error_set(errp, "Boot device '%c' was given twice", *p);
        }
        seen |= 1u << (*p - 'a');
    }
    return true;
}

static bool boot_text(char **to, const char *s, bool order, Error **errp)
{
    if (order && !boot_order_ok(s, errp)) {
        return false;
    }
    g_free(*to);
    *to = g_strdup(s);
    return true;
}

static bool boot_number(const char *key, const char *s, int64_t most,
                        int64_t *to, Error **errp)
{
    if (!opt_i64(key, s, to, errp)) {
        return false;
    }
    if (*to > most || *to < -1) {
        return !strcmp(key, "splash-time")
            ? error_set(errp, "splash-time is invalid,it should be a value "
                        "between 0 and %" PRId64, most)
            : error_set(errp, "reboot timeout is invalid,it should be a value "
                        "between -1 and %" PRId64, most);
    }
    return true;
}

static bool boot_member(Machine *m, const char *k, const char *s, Error **errp)
{
    if (!strcmp(k, "order")) {
        return boot_text(&m->boot_order, s, true, errp);
    }
    if (!strcmp(k, "once")) {
        return boot_text(&m->boot_once, s, true, errp);
    }
    if (!strcmp(k, "splash")) {
        return boot_text(&m->boot_splash, s, false, errp);
    }
    if (!strcmp(k, "menu")) {
        m->boot_menu_set = true;
        return opt_bool(k, s, &m->boot_menu, errp);
    }
    if (!strcmp(k, "strict")) {
        return opt_bool(k, s, &m->boot_strict, errp);
    }
    if (!strcmp(k, "splash-time")) {
        return boot_number(k, s, 65535, &m->boot_splash_time, errp);
    }
    if (!strcmp(k, "reboot-timeout")) {
        return boot_number(k, s, 65535, &m->boot_reboot_timeout, errp);
    }
    return error_set(errp, "Invalid parameter '%s'", k);
}

bool machine_boot_set(Machine *m, const char *arg, Error **errp)
{
    Opts o;
    bool ok = true;

    if (!opts_parse(&o, arg, "order", OPT_FLAT | OPT_BARE, errp)) {
        return false;
    }
    for (size_t i = 0; ok && i < json_count(o.obj); i++) {
        ok = boot_member(m, json_key_at(o.obj, i),
                         json_str_of(json_value_at(o.obj, i)), errp);
    }
    opts_free(&o);
    return ok;
}

#define RAM_SLOTS_MAX 256              /* as ACPI memory devices are made      */

/* ---- -m ------------------------------------------------------------------ */

bool machine_memory_set(Machine *m, const char *arg, Error **errp)
{
    return mem_parse_m(arg, &m->ram_size, &m->ram_slots, &m->maxram_size,
                       errp);
}

bool machine_memory_make(Machine *m, Error **errp)
{
    MemMain main_mem = {
        .id = m->type->default_ram_id ? m->type->default_ram_id : "ram",
        .backend = m->memory_backend, .path = m->mem_path,
        .prealloc = m->mem_prealloc,
    };
    Obj *backend = NULL;

    if (!m->ram_size && !m->memory_backend) {
        m->ram_size = m->type->default_ram;
    }
    if (m->ram_size && !mem_check_sizes(m->ram_size, m->ram_slots,
                                        &m->maxram_size, errp)) {
        return false;
    }
    if (!m->ram_size && !m->memory_backend) {
        return true;
    }
    if (!m->type->no_cpus && m->ram_slots > RAM_SLOTS_MAX) {
        return error_set(errp, "unsupported amount of memory slots: %" PRIu64,
                         m->ram_slots);
    }
    if (!numa_complete(m, errp)) {
        return false;
    }
    if (numa_by_backends()) {
        return true;
    }
    mem_merge_default = m->mem_merge;
    mem_dump_default = m->dump_guest_core;
    main_mem.size = m->ram_size;
    m->ram = mem_make_main(&main_mem, &backend, errp);
    if (m->ram && m->memory_backend) {
        m->ram_size = m->maxram_size = m->ram->used;
    }
    return m->ram != NULL;
}

/* ---- configuration files ------------------------------------------------- */

static MACHINE_CALL const OptionRow *option_of_group(const char *group)
{
    for (const OptionRow *r = option_rows; r->name; r++) {
        if (r->group && !strcmp(r->group, group) && r->has_arg &&
            r->handle) {
            return r;
        }
    }
    return NULL;
}

/* [options]: each key is an option, which need not have a group. */
static const OptionRow any_option = { .name = "options" };

static MACHINE_CALL
bool section_end(const OptionRow *row, GString *text, Error **errp)
{
    bool ok = true;

    if (row && row != &any_option) {
        char *arg = g_strdup(text->str);

        ok = option_use(row, arg, errp);
        g_free(arg);
    }
    g_string_truncate(text, 0);
    return ok;
}

static MACHINE_CALL
bool config_line(char *line, const OptionRow **row, GString *text,
                        const char *file, unsigned n, Error **errp)
{
    char group[64], id[64], key[64], value[4096];
    char *esc;
    int got;

    g_strstrip(line);
    if (!*line || *line == '#') {
        return true;
    }
    value[0] = id[0] = '\0';
    if (sscanf(line, "[%63s \"%63[^\"]\"]", group, id) == 2 ||
        sscanf(line, "[%63[^]]]", group) == 1) {
        if (!section_end(*row, text, errp)) {
            return false;
        }
        *row = !strcmp(group, "options") ? &any_option
                                         : option_of_group(group);
        if (!*row) {
            return error_set(errp, "%s:%u: There is no option group '%s'",
                             file, n, group);
        }
        if (*id) {
            g_string_append_printf(text, "id=%s", id);
        }
        return true;
    }
    got = sscanf(line, "%63s = \"%4095[^\"]\"", key, value);
    if (got != 2 && !(got == 1 && g_str_has_suffix(line, "\"\""))) {
        return error_set(errp, "%s:%u: parse error", file, n);
    }
    if (*row == &any_option) {
        const OptionRow *o = option_find(key);

        return o ? option_use(o, o->has_arg ? value : NULL, errp)
                 : error_set(errp, "%s:%u: there is no option -%s", file, n,
                             key);
    }
    if (!*row) {
        return error_set(errp, "%s:%u: no group defined", file, n);
    }
    esc = opt_escape(value);
    g_string_append_printf(text, "%s%s=%s", text->len ? "," : "", key, esc);
    g_free(esc);
    return true;
}

bool settings_read_config(const char *file, Error **errp)
{
    g_autofree char *data = NULL;
    g_auto(GStrv) lines = NULL;
    GString *text;
    GError *gerr = NULL;
    const OptionRow *row = NULL;
    bool ok = true;

    if (!g_file_get_contents(file, &data, NULL, &gerr)) {
        error_set(errp, "Could not open '%s': %s", file, gerr->code ==
                  G_FILE_ERROR_NOENT ? "No such file or directory" :
                  gerr->message);
        g_error_free(gerr);
        return false;
    }
    lines = g_strsplit(data, "\n", -1);
    text = g_string_new(NULL);
    for (unsigned i = 0; ok && lines[i]; i++) {
        ok = config_line(lines[i], &row, text, file, i + 1, errp);
    }
    ok = ok && section_end(row, text, errp);
    g_string_free(text, TRUE);
    return ok;
}

char *opt_escape(const char *s)
{
    GString *g = g_string_new(NULL);

    for (; *s; s++) {
        g_string_append_c(g, *s);
        if (*s == ',') {
            g_string_append_c(g, ',');
        }
    }
    return g_string_free(g, FALSE);
}
