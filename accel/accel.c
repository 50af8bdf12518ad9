/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * accel.c - the accelerators: their registry, the user's wishes (-accel,
 * -machine accel=, -enable-kvm) and the choice between them.
 *
 * Thread class: everything here is called by the main thread with the machine
 * lock, before and after vCPUs exist; `accel` and `accel_irq` do not change in
 * between, so that other threads may read them.
 *
 * 1. One explicit name is obeyed: if it does not come up, the program ends.
 * 2. Where Tern is left a choice (a list, or nothing said), an accelerator with
 *    preferred() counts only if that holds; `soft` is the last resort.
 * 3. With -machine none no guest code runs: usable() is enough.
 */
#include <glib.h>
#include "accel.h"
#include "machine.h"
#include "opt.h"
#include "trace.h"

Accel *accel;
AccelIrq accel_irq;
void (*accel_ioapic_eoi)(uint8_t vector);
int (*accel_pic_ack)(void);
uint64_t accel_reserved_base, accel_reserved_size;
bool accel_no_smm;

typedef struct Wish {
    Accel *a;                          /* owned; NULL once taken              */
    char *where;                       /* "-accel kvm", for messages          */
} Wish;
static GArray *wishes;                 /* of Wish, from -accel                */
static GPtrArray *sugar;               /* "key", "value", …                   */
static GPtrArray *strangers;           /* messages of names nobody knows      */

TYPE_NAME(type_accel, { .name = "accel", .parent = "object",
                        .abstract = true });

/* ---- registry ------------------------------------------------------------ */

const AccelType *accel_find(const char *name)
{
    SET_EACH(accel_types, AccelType, p) {
        if (strcmp((*p)->name, name) == 0 ||
            ((*p)->alias && strcmp((*p)->alias, name) == 0)) {
            return *p;
        }
    }
    return NULL;
}

static bool accel_suggest(const char *name, Error **errp)
{
    OptWords w = { .n = 0 };

    SET_EACH(accel_types, AccelType, p) {
        opt_word_add(&w, (*p)->name);
        opt_word_add(&w, (*p)->alias);
    }
    return opt_suggest(&w, name, errp);
}

bool accel_is(const char *name)
{
    return accel && accel->type == accel_find(name);
}

bool accel_has_smm(void)
{
    return accel && !(accel->type->flags & ACCEL_NO_CPU) && !accel_no_smm;
}

static const char *accel_obj_type(const Obj *o)
{
    return container_of(o, Accel, obj)->type->type;
}

static const Prop *accel_obj_props(const Obj *o, unsigned i)
{
    return i == 0 ? container_of(o, Accel, obj)->type->props : NULL;
}

static bool accel_obj_may_set(const Obj *o, const Prop *p, Error **errp)
{
    const Accel *a = container_of(o, Accel, obj);

    if (a == accel) {
        return error_set(errp, "Property '%s.%s' cannot be changed once the "
                         "accelerator runs", a->type->type, p->name);
    }
    return true;
}

const ObjKind obj_accel = {
    .type_name = accel_obj_type,
    .props = accel_obj_props,
    .may_set = accel_obj_may_set,
};

static void accel_types_each(void (*fn)(const char *, const char *, bool,
                                        void *), void *arg)
{
    SET_EACH(accel_types, AccelType, p) {
        fn((*p)->type, "accel", false, arg);
    }
}

static const Prop *accel_type_props(const char *type, unsigned i)
{
    SET_EACH(accel_types, AccelType, p) {
        if (strcmp((*p)->type, type) == 0) {
            return i == 0 ? (*p)->props : NULL;
        }
    }
    return NULL;
}
TYPE_SOURCE(source_accel, { .each = accel_types_each,
                            .props = accel_type_props });

static Accel *accel_new(const AccelType *t) MACHINE_CALL;
static Accel *accel_new(const AccelType *t)
{
    Accel *a = g_malloc0(t->size);

    a->type = t;
    a->obj.kind = &obj_accel;
    obj_defaults(&a->obj, machine_version);
    return a;
}

static void accel_free(Accel *a) MACHINE_CALL;
static void accel_free(Accel *a)
{
    if (a) {
        obj_release(&a->obj);
        g_free(a);
    }
}

/* ---- wishes -------------------------------------------------------------- */

static int name_order(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void accel_print_list(void)
{
    const char *names[32];
    unsigned n = 0;

    SET_EACH(accel_types, AccelType, p) {
        if (n < ARRAY_SIZE(names)) {
            names[n++] = (*p)->alias ? (*p)->alias : (*p)->name;
        }
    }
    qsort(names, n, sizeof(names[0]), name_order);
    puts("Accelerators supported in QEMU binary:");
    for (unsigned i = 0; i < n; i++) {
        puts(names[i]);
    }
}

/* Names that nobody knows: one more -accel may do instead. */
static void strangers_add(const char *text, const char *name) MACHINE_CALL;
static void strangers_add(const char *text, const char *name)
{
    if (!strangers) {
        strangers = g_ptr_array_new_with_free_func(g_free);
    }
    g_ptr_array_add(strangers, g_strdup_printf("-accel %s: invalid accelerator "
                                               "%s", text, name));
}

/* Tells of them; false: there was no other. */
static bool strangers_tell(bool others, Error **errp) MACHINE_CALL;
static bool strangers_tell(bool others, Error **errp)
{
    unsigned n = strangers ? strangers->len : 0;
    bool ok = true;

    for (unsigned i = 0; i < n; i++) {
        const char *text = g_ptr_array_index(strangers, i);

        if (others || i + 1 < n) {
            error_reportf("%s", text);
        } else {
            error_set(errp, "%s", text);
            ok = accel_suggest(strrchr(text, ' ') + 1, errp);
        }
    }
    if (n) {
        g_ptr_array_set_size(strangers, 0);
    }
    return ok;
}

bool accel_option(const char *text, bool *help, Error **errp)
{
    const char *name;
    const AccelType *t;
    Wish w;
    Opts o;

    *help = false;
    if (!opts_parse(&o, text, "accel", OPT_FLAT, errp)) {
        return false;
    }
    name = json_get_str(o.obj, "accel");
    if (!name || !*name || strcmp(name, "help") == 0 ||
        strcmp(name, "?") == 0) {
        opts_free(&o);
        accel_print_list();
        return *help = true;
    }
    t = accel_find(name);
    if (!t) {
        strangers_add(text, name);
        opts_free(&o);
        return true;
    }
    w.a = accel_new(t);
    for (size_t i = 0; i < json_count(o.obj); i++) {
        const char *key = json_key_at(o.obj, i);

        if (strcmp(key, "accel") != 0 &&
            !obj_set(&w.a->obj, key, json_value_at(o.obj, i), o.text, errp)) {
            opts_free(&o);
            accel_free(w.a);
            return false;
        }
    }
    opts_free(&o);
    w.where = g_strdup_printf("-accel %s", text);
    if (!wishes) {
        wishes = g_array_new(FALSE, FALSE, sizeof(Wish));
    }
    g_array_append_val(wishes, w);
    return true;
}

bool accel_machine_option(const char *key, const char *value, Error **errp)
{
    static const char *const keys[] = { "kernel-irqchip", "kvm-shadow-mem" };
    char *k = g_strdelimit(g_strdup(key), "_", '-');

    for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
        if (strcmp(k, keys[i]) == 0) {
            if (!sugar) {
                sugar = g_ptr_array_new_with_free_func(g_free);
            }
            g_ptr_array_add(sugar, k);
            g_ptr_array_add(sugar, g_strdup(value));
            return true;
        }
    }
    g_free(k);
    return false;
}

/* ---- the choice ---------------------------------------------------------- */

static void wishes_add(GArray *list, const AccelType *t) MACHINE_CALL;
static void wishes_add(GArray *list, const AccelType *t)
{
    if (t) {
        Wish w = {
            .a = accel_new(t),
            .where = g_strdup_printf("-accel %s", t->alias ? t->alias
                                                           : t->name),
        };

        g_array_append_val(list, w);
    }
}

static void wishes_free(GArray *list) MACHINE_CALL;
static void wishes_free(GArray *list)
{
    for (unsigned i = 0; list && i < list->len; i++) {
        Wish *w = &g_array_index(list, Wish, i);

        accel_free(w->a);
        g_free(w->where);
    }
    if (list) {
        g_array_free(list, TRUE);
    }
}

/* -machine accel=a:b. A name nobody knows is reported and passed over, so that
 * a script's list may name an accelerator of another host. */
static bool wishes_from_list(GArray *list, const char *names, Error **errp)
    MACHINE_CALL;
static bool wishes_from_list(GArray *list, const char *names, Error **errp)
{
    char **v = g_strsplit(names, ":", -1);
    bool single = !v[0] || !v[1], ok = true;

    for (unsigned i = 0; v[i] && ok; i++) {
        const AccelType *t = accel_find(v[i]);

        if (t) {
            wishes_add(list, t);
        } else if (single) {
            error_set(errp, "invalid accelerator %s", v[i]);
            ok = accel_suggest(v[i], errp);
        } else {
            error_reportf("invalid accelerator %s", v[i]);
        }
    }
    g_strfreev(v);
    if (ok && list->len == 0) {
        ok = error_set(errp, "no accelerator of '%s' is known (see -accel "
                       "help)", names);
    }
    return ok;
}

/* Whether a type takes part where the user left the choice to us. */
static bool accel_worth(const AccelType *t, const Machine *m) MACHINE_CALL;
static bool accel_worth(const AccelType *t, const Machine *m)
{
    const char *why = NULL;

    if (t->usable && !t->usable(&why)) {
        LOG(LOG_ACCEL, "accel: %s passed over: %s\n", t->name,
            why ? why : "not usable here");
        return false;
    }
    if (m->type->no_cpus || !t->preferred || t->preferred()) {
        return true;
    }
    LOG(LOG_ACCEL, "accel: %s passed over: not backed by this host's hardware "
        "(name it alone to insist)\n", t->name);
    return false;
}

static bool accel_apply_sugar(Accel *a, Error **errp) MACHINE_CALL;
static bool accel_apply_sugar(Accel *a, Error **errp)
{
    for (unsigned i = 0; sugar && i < sugar->len; i += 2) {
        const char *key = g_ptr_array_index(sugar, i);
        const char *value = g_ptr_array_index(sugar, i + 1);

        /* Of no accelerator but KVM; off is what others do. */
        if (!obj_prop(&a->obj, key) && strcmp(value, "off")) {
            warn_report("-machine %s=%s: no effect: the accelerator is not KVM",
                        key, value);
        }
        if (obj_prop(&a->obj, key) &&
            !obj_set_text(&a->obj, key, value, errp)) {
            return false;
        }
    }
    return true;
}

static bool accel_up(Wish *w, Machine *m, Error **errp) MACHINE_CALL;
static bool accel_up(Wish *w, Machine *m, Error **errp)
{
    Accel *a = w->a;

    if (!accel_apply_sugar(a, errp) || (a->type->init &&
                                        !a->type->init(a, m, errp))) {
        return false;
    }
    accel = a;
    w->a = NULL;
    obj_put(&m->obj, "accel", &a->obj);
    LOG(LOG_ACCEL, "accel: %s is used\n", a->type->name);
    return true;
}

/* Tries the list in order. `choice`: rule 2 of the file's head applies. */
static bool accel_try(GArray *list, bool choice, Machine *m, Error **errp)
    MACHINE_CALL;
static bool accel_try(GArray *list, bool choice, Machine *m, Error **errp)
{
    Error *failure = NULL;

    for (unsigned i = 0; i < list->len; i++) {
        Wish *w = &g_array_index(list, Wish, i);
        const AccelType *t = w->a->type;
        Error *err = NULL;

        if (choice && !accel_worth(t, m)) {
            continue;
        }
        if (failure) {
            error_report(failure);
            failure = NULL;
            error_reportf("falling back to %s", t->alias ? t->alias : t->name);
        }
        if (accel_up(w, m, &err)) {
            return true;
        }
        error_prepend(&err, "%s: ", w->where);
        failure = err;
    }
    if (!failure) {
        return error_set(errp, "no accelerator found");
    }
    error_move(errp, failure);
    return false;
}

static bool accel_choose(GArray *list, bool choice, Machine *m, Error **errp)
    MACHINE_CALL;
static bool accel_choose(GArray *list, bool choice, Machine *m, Error **errp)
{
    if (choice) {
        bool has_soft = false;

        for (unsigned i = 0; i < list->len; i++) {
            has_soft |= g_array_index(list, Wish, i).a->type ==
                        accel_find("soft");
        }
        if (!has_soft) {
            wishes_add(list, accel_find("soft"));
        }
    }
    return accel_try(list, choice, m, errp);
}

bool accel_start(Machine *m, Error **errp)
{
    GArray *list = g_array_new(FALSE, FALSE, sizeof(Wish));
    bool ok = true, choice = true;

    if (!strangers_tell(wishes && wishes->len, errp)) {
        ok = false;
    } else if (wishes && m->accel_list) {
        ok = error_set(errp, "The -accel and \"-machine accel=\" options are "
                       "incompatible");
    } else if (wishes) {
        choice = wishes->len > 1;
        g_array_append_vals(list, wishes->data, wishes->len);
        g_array_set_size(wishes, 0);
    } else if (m->accel_list) {
        ok = wishes_from_list(list, m->accel_list, errp);
        choice = strchr(m->accel_list, ':') != NULL;
    } else {
        wishes_add(list, accel_find("kvm"));
    }
    ok = ok && accel_choose(list, choice, m, errp);
    wishes_free(list);
    return ok;
}

void accel_stop(void)
{
    Accel *a = accel;

    if (a) {
        if (a->type->fini) {
            a->type->fini(a);
        }
        obj_remove(&a->obj);
        accel = NULL;
        accel_free(a);
    }
    wishes_free(wishes);
    wishes = NULL;
    if (sugar) {
        g_ptr_array_free(sugar, TRUE);
        sugar = NULL;
    }
}
