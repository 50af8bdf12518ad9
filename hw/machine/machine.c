/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * machine.c - the machine object: choice of type, common -machine properties,
 * the object tree's /machine.
 *
 * Thread class: machine lock.
 */
#include <glib.h>
#include "machine.h"
#include "opt.h"
#include "machine-opts.h"

Machine *machine;
unsigned machine_version;
char *guest_name, *guest_process_name;
uint8_t guest_uuid[16];
bool guest_uuid_set;

/* ---- the catalogue ------------------------------------------------------- */

const MachineType *machine_type_find(const char *name)
{
    SET_EACH(machine_types, MachineType, t) {
        if (!strcmp((*t)->name, name) ||
            ((*t)->alias && !strcmp((*t)->alias, name))) {
            return *t;
        }
    }
    return NULL;
}

const MachineType *machine_type_default(void)
{
    SET_EACH(machine_types, MachineType, t) {
        if ((*t)->is_default) {
            return *t;
        }
    }
    return NULL;
}

/* Descending version inside a family, as people look for the newest first. */
static int type_order(const void *a, const void *b)
{
    const MachineType *x = *(const MachineType *const *)a;
    const MachineType *y = *(const MachineType *const *)b;
    const char *fx = x->version ? x->name : "zz";
    const char *fy = y->version ? y->name : "zz";

    if (strncmp(fx, fy, 4)) {
        return strcmp(fx, fy);
    }
    if (!x->version) {
        return strcmp(x->name, y->name);
    }
    return strcmp(y->name, x->name);
}

void machine_help(void)
{
    const MachineType *v[256];
    unsigned n = 0;

    SET_EACH(machine_types, MachineType, t) {
        if (n < ARRAY_SIZE(v)) {
            v[n++] = *t;
        }
    }
    qsort(v, n, sizeof(v[0]), type_order);
    printf("Supported machines are:\n");
    for (unsigned i = 0; i < n; i++) {
        if (v[i]->alias) {
            printf("%-20s %s (alias of %s)\n", v[i]->alias, v[i]->desc,
                   v[i]->name);
        }
        printf("%-20s %s%s%s\n", v[i]->name, v[i]->desc,
               v[i]->is_default ? " (default)" : "",
               v[i]->deprecated ? " (deprecated)" : "");
    }
}

/* ---- properties all machines have ---------------------------------------- */

static bool set_opt(Obj *o, const Prop *p, const Json *v, bool (*fn)(
                    Machine *, const char *, Error **), Error **errp)
{
    Opts opts = { 0 };
    char *text = opts_text(v);
    bool ok = fn((Machine *)o, text, errp);

    g_free(text);
    opts_free(&opts);
    return ok;
}

static bool smp_set(Obj *o, const Prop *p, const Json *v, Error **errp)
{
    return set_opt(o, p, v, machine_smp_set, errp);
}

static Json *smp_get(const Obj *o, const Prop *p, Error **errp)
{
    const Machine *m = (const Machine *)o;
    Json *j = json_obj();

    json_set_int(j, "cores", m->cores);
    json_set_int(j, "threads", m->threads);
    json_set_int(j, "clusters", 1);
    json_set_int(j, "cpus", m->cpus);
    json_set_int(j, "sockets", m->sockets);
    json_set_int(j, "dies", m->dies);
    json_set_int(j, "maxcpus", m->max_cpus);
    return j;
}

static bool boot_set(Obj *o, const Prop *p, const Json *v, Error **errp)
{
    return set_opt(o, p, v, machine_boot_set, errp);
}

static Json *boot_get(const Obj *o, const Prop *p, Error **errp)
{
    const Machine *m = (const Machine *)o;
    Json *j = json_obj();

    json_set_str(j, "order", m->boot_order ? m->boot_order : "cad");
    if (m->boot_once) {
        json_set_str(j, "once", m->boot_once);
    }
    if (m->boot_menu_set) {
        json_set_bool(j, "menu", m->boot_menu);
    }
    if (m->boot_splash) {
        json_set_str(j, "splash", m->boot_splash);
    }
    if (m->boot_splash_time >= 0) {
        json_set_int(j, "splash-time", m->boot_splash_time);
    }
    if (m->boot_reboot_timeout >= 0) {
        json_set_int(j, "reboot-timeout", m->boot_reboot_timeout);
    }
    json_set_bool(j, "strict", m->boot_strict);
    return j;
}

static bool memory_set(Obj *o, const Prop *p, const Json *v, Error **errp)
{
    return set_opt(o, p, v, machine_memory_set, errp);
}

static Json *memory_get(const Obj *o, const Prop *p, Error **errp)
{
    const Machine *m = (const Machine *)o;
    Json *j = json_obj();

    json_set_int(j, "max-size", m->maxram_size);
    json_set_int(j, "size", m->ram_size);
    json_set_int(j, "slots", m->ram_slots);
    return j;
}

static bool usb_set(Obj *o, const Prop *p, const Json *v, Error **errp)
{
    ((Machine *)o)->usb_set = true;
    return true;
}

static const Prop machine_props[] = {
    PROP_STR("kernel", Machine, kernel, .type = "string",
             .desc = "Linux kernel image file"),
    PROP_STR("initrd", Machine, initrd, .type = "string",
             .desc = "Linux initial ramdisk file"),
    PROP_STR("append", Machine, append, .type = "string",
             .desc = "Linux kernel command line"),
    PROP_STR("dtb", Machine, dtb, .type = "string",
             .desc = "Linux kernel device tree file"),
    PROP_STR("firmware", Machine, firmware, .type = "string",
             .desc = "Firmware image"),
    PROP_BOOL("mem-merge", Machine, mem_merge, true,
              .desc = "Enable/disable memory merge support"),
    PROP_BOOL("dump-guest-core", Machine, dump_guest_core, true,
              .desc = "Include guest memory in a core dump"),
    PROP_BOOL("usb", Machine, usb, false, .set = usb_set,
              .desc = "Set on/off to enable/disable usb"),
    PROP_BOOL("graphics", Machine, graphics, true,
              .desc = "Set on/off to enable/disable graphics emulation"),
    PROP_BOOL("suppress-vmdesc", Machine, suppress_vmdesc, false,
              .desc = "Set on to disable self-describing migration"),
    PROP_STR("memory-backend", Machine, memory_backend,
             .type = "link<memory-backend>",
             .desc = "Set RAM backend"),
    PROP_STR("memory-encryption", Machine, memory_encryption,
             .type = "string",
             .desc = "Set memory encryption object to use"),
    PROP_CALL("smp", "SMPConfiguration", smp_get, smp_set,
              .desc = "CPU topology"),
    PROP_CALL("boot", "BootConfiguration", boot_get, boot_set,
              .desc = "Boot configuration"),
    PROP_CALL("memory", "MemorySizeConfiguration", memory_get, memory_set,
              .desc = "Memory size configuration"),
    PROP_END
};

/* ---- the object ---------------------------------------------------------- */

static const char *machine_type_name(const Obj *o)
{
    static char name[80];

    snprintf(name, sizeof(name), "%s-machine",
             ((const Machine *)o)->type->name);
    return name;
}

static const Prop *machine_type_props(const Obj *o, unsigned i)
{
    const Machine *m = (const Machine *)o;

    return i == 0 && m->type->props ? m->type->props :
           i == (m->type->props ? 1 : 0) ? machine_props : NULL;
}

static bool machine_may_set(const Obj *o, const Prop *p, Error **errp)
{
    const Machine *m = (const Machine *)o;

    return !m->ready || (p->flags & PF_LIVE) ||
           error_set(errp, "Property '%s.%s' cannot be set once the machine "
                     "is built", machine_type_name(o), p->name);
}

static const ObjKind machine_kind = {
    .type_name = machine_type_name, .props = machine_type_props,
    .may_set = machine_may_set,
};

Machine *machine_new(const MachineType *t)
{
    Machine *m = g_malloc0(t->size);

    m->obj.kind = &machine_kind;
    m->type = t;
    m->boot_splash_time = m->boot_reboot_timeout = -1;
    m->cpus = m->max_cpus = m->sockets = m->dies = m->cores = m->threads = 1;
    machine_version = t->version;
    obj_defaults(&m->obj, t->version);
    return m;
}

/* ---- types for qom-list-types -------------------------------------------- */

static void machine_types_each(void (*fn)(const char *, const char *, bool,
                                          void *), void *arg)
{
    char name[80];

    SET_EACH(machine_types, MachineType, t) {
        snprintf(name, sizeof(name), "%s-machine", (*t)->name);
        fn(name, (*t)->parent ? (*t)->parent : "machine", false, arg);
    }
}

static const Prop *machine_types_props(const char *type, unsigned i)
{
    char name[80];

    SET_EACH(machine_types, MachineType, t) {
        snprintf(name, sizeof(name), "%s-machine", (*t)->name);
        if (!strcmp(name, type)) {
            return i == 0 && (*t)->props ? (*t)->props :
                   i == ((*t)->props ? 1 : 0) ? machine_props : NULL;
        }
    }
    return NULL;
}

TYPE_SOURCE(machine_type_source, {
    .each = machine_types_each, .props = machine_types_props,
});
TYPE_NAME(machine_type_row, { "machine", "object", true });
TYPE_NAME(pc_machine_type_row, { "generic-pc-machine", "x86-machine", true });
TYPE_NAME(x86_machine_type_row, { "x86-machine", "machine", true });

/* ---- none ---------------------------------------------------------------- */

static bool none_build(Machine *m, Error **errp)
{
    return true;
}

MACHINE(machine_none, {
    .name = "none", .desc = "empty machine", .size = sizeof(Machine),
    .max_cpus = 1, .no_cpus = true, .default_ram_id = "ram", .no_pci = true,
    .build = none_build,
});
