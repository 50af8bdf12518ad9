/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * print-config.c - -print-config: the machine that stands, with everything that
 * was not said spelt out, as a file for -readconfig that makes the same machine.
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. Nothing is left to defaults: the file begins with nodefaults.
 * 2. A value that the form cannot hold (quotation marks, line ends) is an error,
 *    not a file that means something else.
 */
#include <glib.h>
#include <stdio.h>
#include "accel.h"
#include "blk.h"
#include "device.h"
#include "hw/machine/startup.h"
#include "machine.h"

typedef struct Out {
    FILE *f;
    Error **errp;
    bool ok;
} Out;

static void pair(Out *o, const char *key, const char *value)
{
    if (!o->ok || !value) {
        return;
    }
    if (strpbrk(value, "\"\n")) {
        o->ok = error_set(o->errp, "a configuration file cannot hold the value "
                          "of '%s': it has a quotation mark or a line end",
                          key);
        return;
    }
    fprintf(o->f, "  %s = \"%s\"\n", key, value);
}

static void number(Out *o, const char *key, uint64_t n)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRIu64, n);
    pair(o, key, text);
}

/* Links are told by the target's id; what a device made for itself is made
 * again. */
static char *text_value(const Prop *p, const char *s)
{
    if (p->kind == PK_REF && *s == '/') {
        return g_str_has_prefix(s, "/objects/")
            ? g_strdup(s + strlen("/objects/")) : NULL;
    }
    return *s ? g_strdup(s) : NULL;
}

/* A property's value as an option's text; NULL: none, or nothing that a text
 * stands for. Caller g_frees. */
static MACHINE_CALL char *value_text(const Obj *obj, const Prop *p)
{
    Json *v;
    char *s = NULL;

    if (p->kind == PK_PCI_ADDR && !p->get) {
        s = prop_print(obj, p);
        if (*s == '<') {
            g_free(s);
            return NULL;
        }
        return s;
    }
    v = obj_get((Obj *)(uintptr_t)obj, p->name, NULL);
    if (!v) {
        return NULL;
    }
    switch (json_kind(v)) {
    case JSON_BOOL:
        s = g_strdup(json_bool_of(v) ? "on" : "off");
        break;
    case JSON_STR:
        s = text_value(p, json_str_of(v));
        break;
    case JSON_INT:
    case JSON_UINT:
    case JSON_DOUBLE:
        s = json_text(v, false, NULL);
        break;
    default:
        break;
    }
    json_free(v);
    return s;
}

static MACHINE_CALL void props(Out *o, const Obj *obj, const Prop *t,
                               const Json *skip)
{
    for (; t->name; t++) {
        g_autofree char *s = NULL;

        if (t->flags & (PF_READONLY | PF_HIDDEN) || json_get(skip, t->name) ||
            g_str_has_prefix(t->name, "legacy-")) {
            continue;
        }
        s = value_text(obj, t);
        pair(o, t->name, s);
    }
}

/* ---- the machine --------------------------------------------------------- */

static MACHINE_CALL void machine_section(Out *o)
{
    const Machine *m = machine;
    g_autofree char *type = g_strdup_printf("%s-machine", m->type->name);
    Json *skip = json_obj();
    const Prop *t;

    json_set_bool(skip, "smp", true);
    json_set_bool(skip, "boot", true);
    json_set_bool(skip, "memory", true);
    fprintf(o->f, "[machine]\n");
    pair(o, "type", m->type->name);
    pair(o, "accel", accel->type->alias ? accel->type->alias
                                        : accel->type->name);
    for (unsigned i = 0; (t = type_props(type, i)); i++) {
        props(o, &machine->obj, t, skip);
    }
    json_free(skip);
}

static void sizes(Out *o)
{
    const Machine *m = machine;
    char text[32];

    if (m->ram_size) {
        snprintf(text, sizeof(text), "%" PRIu64 "%s", m->ram_size % MiB
                 ? m->ram_size / KiB : m->ram_size / MiB,
                 m->ram_size % MiB ? "K" : "M");
        fprintf(o->f, "\n[memory]\n");
        pair(o, "size", text);
        if (m->ram_slots) {
            number(o, "slots", m->ram_slots);
            snprintf(text, sizeof(text), "%" PRIu64 "K",
                     m->maxram_size / KiB);
            pair(o, "maxmem", text);
        }
    }
    if (m->type->no_cpus) {
        return;
    }
    fprintf(o->f, "\n[smp-opts]\n");
    number(o, "cpus", m->cpus);
    number(o, "maxcpus", m->max_cpus);
    number(o, "sockets", m->sockets);
    number(o, "dies", m->dies);
    number(o, "cores", m->cores);
    number(o, "threads", m->threads);
    fprintf(o->f, "\n[boot-opts]\n");
    pair(o, "order", m->boot_order ? m->boot_order : "cad");
    pair(o, "once", m->boot_once);
    pair(o, "menu", m->boot_menu ? "on" : "off");
    pair(o, "strict", m->boot_strict ? "on" : "off");
    pair(o, "splash", m->boot_splash);
    if (m->boot_splash_time >= 0) {
        number(o, "splash-time", m->boot_splash_time);
    }
    if (m->boot_reboot_timeout >= 0) {
        number(o, "reboot-timeout", m->boot_reboot_timeout);
    }
}

/* ---- options without a group --------------------------------------------- */

/* Members of JSON as dotted keys: "file.filename=x". */
static void flatten(const Json *v, const char *key, GString *to)
{
    if (json_kind(v) == JSON_OBJ || json_kind(v) == JSON_LIST) {
        for (size_t i = 0; i < json_count(v); i++) {
            bool list = json_kind(v) == JSON_LIST;
            g_autofree char *index = g_strdup_printf("%zu", i);
            g_autofree char *name = g_strdup_printf("%s%s%s", key,
                *key ? "." : "", list ? index : json_key_at(v, i));

            flatten(list ? json_at(v, i) : json_value_at(v, i), name, to);
        }
        return;
    }
    if (json_kind(v) != JSON_NULL) {
        g_autofree char *text = json_kind(v) == JSON_STR
            ? opt_escape(json_str_of(v)) : json_kind(v) == JSON_BOOL
            ? g_strdup(json_bool_of(v) ? "on" : "off")
            : json_text(v, false, NULL);

        g_string_append_printf(to, "%s%s=%s", to->len ? "," : "", key, text);
    }
}

static void uses(Out *o, const GivenList *l)
{
    for (unsigned i = 0; i < l->n; i++) {
        const Given *g = &l->v[i];
        Opts opts;

        if (g->arg && *g->arg == '{' && opts_parse(&opts, g->arg, NULL, 0,
                                                   NULL)) {
            g_autoptr(GString) s = g_string_new(NULL);

            flatten(opts.obj, "", s);
            pair(o, g->kind, s->str);
            opts_free(&opts);
        } else {
            pair(o, g->kind, g->arg);
        }
    }
}

static void options_section(Out *o)
{
    fprintf(o->f, "[options]\n");
    pair(o, "nodefaults", "on");
    pair(o, "no-user-config", "on");
    pair(o, "name", guest_name);
    if (guest_uuid_set) {
        char text[37];
        const uint8_t *u = guest_uuid;

        snprintf(text, sizeof(text), "%02x%02x%02x%02x-%02x%02x-%02x%02x-"
                 "%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1], u[2], u[3],
                 u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12],
                 u[13], u[14], u[15]);
        pair(o, "uuid", text);
    }
    if (!machine->type->no_cpus) {
        pair(o, "cpu", machine->cpu_model ? machine->cpu_model :
             machine->type->default_cpu ? machine->type->default_cpu
                                        : "qemu64");
        pair(o, "vga", settings.vga.n
             ? settings.vga.v[settings.vga.n - 1].arg
             : settings.no_default_vga ? "none" : "std");
    }
    pair(o, "mem-path", settings.mem_path);
    if (settings.stopped) {
        pair(o, "S", "on");
    }
    pair(o, "d", settings.log_items);
    pair(o, "D", settings.log_file);
    uses(o, &settings.global);
    uses(o, &settings.display);
    uses(o, &settings.vnc);
    uses(o, &settings.audiodev);
    uses(o, &settings.blockdev);
    uses(o, &settings.netdev);
    uses(o, &settings.serial);
    uses(o, &settings.parallel);
    uses(o, &settings.debugcon);
    uses(o, &settings.mon);
    uses(o, &settings.gdb);
}

/* ---- drives and devices -------------------------------------------------- */

static MACHINE_CALL void drives_as_given(void)
{
    const Drive *cd = drive_find(IF_IDE, 1, 0), *a = drive_find(IF_FLOPPY, 0, 0);

    if (cd && cd->is_default) {
        given_add(&settings.drive, "drive", "if=ide,index=2,media=cdrom");
    }
    if (a && a->is_default) {
        given_add(&settings.drive, "drive", "if=floppy,index=0");
    }
}

static MACHINE_CALL void device_section(Out *o, const Given *g,
                                        unsigned *nameless)
{
    Opts opts;
    const char *id, *driver;
    g_autofree char *path = NULL;
    Obj *obj;
    Json *skip;
    const Prop *t;

    if (!opts_parse(&opts, g->arg, "driver", OPT_FLAT | OPT_BARE | OPT_QUIET,
                    o->errp)) {
        o->ok = false;
        return;
    }
    id = json_get_str(opts.obj, "id");
    path = id ? g_strdup_printf("/machine/peripheral/%s", id)
              : g_strdup_printf("/machine/peripheral-anon/device[%u]",
                                (*nameless)++);
    obj = obj_resolve(path, NULL);
    driver = obj ? obj_type(obj) : json_get_str(opts.obj, "driver");
    if (id) {
        fprintf(o->f, "[device \"%s\"]\n", id);
    } else {
        fprintf(o->f, "[device]\n");
    }
    pair(o, "driver", driver);
    pair(o, "bus", json_get_str(opts.obj, "bus"));
    skip = json_obj();
    for (unsigned i = 0; obj && (t = device_type_options(
                             device_type_find(driver), i)); i++) {
        props(o, obj, t, skip);
    }
    json_free(skip);
    fprintf(o->f, "\n");
    opts_free(&opts);
}

bool print_config(Error **errp)
{
    Out o = { stdout, errp, true };
    unsigned nameless = 0;

    fprintf(o.f, "# %s as it stands\n\n", machine->type->name);
    options_section(&o);
    fprintf(o.f, "\n");
    machine_section(&o);
    sizes(&o);
    fprintf(o.f, "\n");
    drives_as_given();
    o.ok = o.ok && groups_write(o.f, true, errp);
    for (unsigned i = 0; o.ok && i < settings.device.n; i++) {
        device_section(&o, &settings.device.v[i], &nameless);
    }
    fflush(o.f);
    return o.ok;
}
