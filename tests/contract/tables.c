/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What every declaration of a device or a bus says, and how help and
 * introspection follow from it. No device is made here, but for the values of
 * properties.
 */
#include "tests/contract/bench.h"

/* Patterns of types; reasons are for the reader. */
static const struct Exempt {
    const char *type, *check, *reason;
} exempt[] = {
    { "*-x86_64-cpu", "doc", "the manual has one chapter for all models" },
    { "rtl8139", "desc", "the peer's list has none" },
    { "virtio-*-device", "desc", "the peer's list has none" },
    { "virtserialport", "desc", "the peer's list has none" },
    { "virtconsole", "desc", "the peer's list has none" },
    { NULL, NULL, NULL },
};

static bool is_exempt(const DeviceType *t, const char *check)
{
    for (const struct Exempt *e = exempt; e->type; e++) {
        if (fnmatch(e->type, t->name, 0) == 0 &&
            strcmp(e->check, check) == 0) {
            return true;
        }
    }
    return false;
}

#define EACH_TYPE(t) \
    SET_EACH(device_types, DeviceType, t##_p) \
        for (const DeviceType *t = *t##_p; t; t = NULL)
#define NEED(t, cond, ...) do { \
    if (!(cond)) { \
        FAIL("%s: " #cond ": " __VA_ARGS__, (t)->name); \
    } \
} while (0)

TEST(exemptions_name_types_that_exist)
{
    for (const struct Exempt *e = exempt; e->type; e++) {
        unsigned n = 0;

        EACH_TYPE(t) {
            n += fnmatch(e->type, t->name, 0) == 0;
        }
        CHECK_GT(n, 0u);
    }
}

TEST(declarations_are_complete)
{
    static const char *const categories[] = {
        "bridge", "usb", "storage", "network", "input", "display", "sound",
        "misc", "cpu", "watchdog",
    };
    unsigned n = 0;

    EACH_TYPE(t) {
        bool known = false;

        n++;
        REQUIRE(t->name);
        NEED(t, t->name[0], "a name");
        NEED(t, (t->desc && t->desc[0]) || t->inner || is_exempt(t, "desc"),
             "one line of help");
        NEED(t, (t->flags & DT_INTERNAL) || (t->doc && t->doc[0]) ||
             is_exempt(t, "doc"), "a paragraph for the manual");
        for (size_t i = 0; i < ARRAY_SIZE(categories); i++) {
            known |= t->category && strcmp(t->category, categories[i]) == 0;
        }
        NEED(t, known || is_exempt(t, "category"), "category");
        NEED(t, t->vmstate, "state: &vm_none when there is none");
        NEED(t, t->reset, "reset");
        NEED(t, t->size >= sizeof(Device), "size");
        NEED(t, !t->unrealize || t->realize, "the reverse of nothing");
        if (t->on == &bus_pci || t->on == &bus_pcie) {
            const PciInfo *info = t->on_info;

            NEED(t, info, "PciInfo");
            NEED(t, t->size >= sizeof(PciDevice), "PciDevice first");
            NEED(t, info && info->vendor && info->vendor != 0xffff, "vendor");
            NEED(t, !info || !info->bridge || t->size >= sizeof(PciBridge),
                 "PciBridge first");
        }
        if (t->on == &bus_isa) {
            NEED(t, t->size >= sizeof(IsaDevice), "IsaDevice first");
        }
    }
    printf("# %u types\n", n);
    CHECK_GT(n, 2u);
}

TEST(names_are_unique)
{
    EACH_TYPE(a) {
        EACH_TYPE(b) {
            if (a != b) {
                NEED(a, strcmp(a->name, b->name) != 0, "twice");
                NEED(a, !b->alias || strcmp(a->name, b->alias) != 0,
                     "also an alias of %s", b->name);
                NEED(a, !a->alias || !b->alias ||
                     strcmp(a->alias, b->alias) != 0, "alias twice");
            }
        }
        NEED(a, type_is_a(a->name, "device"), "no way up to 'device'");
    }
}

/* ---- properties --------------------------------------------------------- */

static uint64_t kind_max(const Prop *p)
{
    switch (p->kind) {
    case PK_U8: return UINT8_MAX;
    case PK_U16: return UINT16_MAX;
    case PK_U32: case PK_SIZE32: return UINT32_MAX;
    case PK_U64: case PK_SIZE: return UINT64_MAX;
    default: return 0;
    }
}

static void check_row(const DeviceType *t, const Prop *p, const Prop *table)
{
    bool stored = p->kind != PK_CALL;

    for (const Prop *q = table; q < p; q++) {
        NEED(t, strcmp(p->name, q->name) != 0, "%s twice", p->name);
    }
    NEED(t, prop_type_name(p), "%s: type", p->name);
    NEED(t, !stored || p->offset >= offsetof(Device, type), "%s: offset",
         p->name);
    NEED(t, !stored || p->offset < t->size, "%s: offset", p->name);
    NEED(t, p->kind != PK_ENUM || p->aux, "%s: names", p->name);
    NEED(t, p->kind != PK_REF || p->aux, "%s: what it refers to", p->name);
    if (p->max) {
        NEED(t, p->kind == PK_I32 || p->kind == PK_I64 || p->min <= p->max,
             "%s: range", p->name);
        NEED(t, !kind_max(p) || p->max <= kind_max(p), "%s: range", p->name);
        NEED(t, !kind_max(p) || (p->def >= p->min && p->def <= p->max),
             "%s: the default is out of range", p->name);
    }
    if (p->compat) {
        uint16_t before = 0;

        for (const PropCompat *c = p->compat; c->value; c++) {
            NEED(t, c->upto >= before, "%s: order of old values", p->name);
            before = c->upto;
        }
    }
}

TEST(property_rows_are_sound)
{
    EACH_TYPE(t) {
        const Prop *table;

        for (unsigned i = 0; (table = device_type_props(t, i)); i++) {
            for (const Prop *p = table; p->name; p++) {
                check_row(t, p, table);
            }
        }
    }
}

/* Old defaults are values that the row itself takes. */
NO_TSA TEST(old_defaults_are_taken)
{
    bench_start();
    EACH_TYPE(t) {
        const Prop *table;

        for (unsigned i = 0; (table = device_type_props(t, i)); i++) {
            for (const Prop *p = table; p->name; p++) {
                for (const PropCompat *c = p->compat; c && c->value; c++) {
                    Error *err = NULL;
                    Device *dev;

                    if (t->flags & DT_ABSTRACT) {
                        continue;
                    }
                    dev = device_make(t->name);
                    if (!device_set(dev, p->name, c->value, &err)) {
                        FAIL("%s.%s up to %u: %s", t->name, p->name, c->upto,
                             error_text(err));
                        error_free(err);
                    }
                    device_free(dev);
                }
            }
        }
    }
}

static NO_TSA void try_value(Device *dev, const Prop *p, bool fits,
                             const char *fmt, ...) PRINTF_LIKE(4, 5);
static void try_value(Device *dev, const Prop *p, bool fits, const char *fmt,
                      ...)
{
    Error *err = NULL;
    va_list ap;
    char *text;
    bool ok;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    ok = device_set(dev, p->name, text, &err);
    if (ok != fits) {
        FAIL("%s.%s = %s: %s", dev->type->name, p->name, text,
             ok ? "taken" : error_text(err));
    }
    if (!ok && !strstr(error_text(err), p->name) &&
        !(p->kind == PK_REF && strstr(error_text(err), text))) {
        FAIL("%s.%s = %s: the refusal \"%s\" does not name it",
             dev->type->name, p->name, text, error_text(err));
    }
    error_free(err);
    g_free(text);
}

static NO_TSA void try_unsigned(Device *dev, const Prop *p)
{
    uint64_t top = kind_max(p), max = p->max ? p->max : top;

    try_value(dev, p, true, "%" PRIu64, p->max ? p->min : 0);
    try_value(dev, p, true, "%" PRIu64, max);
    if (p->max && p->min) {
        try_value(dev, p, false, "%" PRIu64, p->min - 1);
    }
    if (max < UINT64_MAX) {
        try_value(dev, p, false, "%" PRIu64, max + 1);
    }
    try_value(dev, p, false, "99999999999999999999999");
    try_value(dev, p, false, "x");
    try_value(dev, p, false, "%s", "");
    try_value(dev, p, false, "1 ");
}

static NO_TSA void try_row(Device *dev, const Prop *p)
{
    if (p->set && (p->flags & PF_LIVE)) {
        return;                        /* its hook wants a realized device    */
    }
    switch (p->kind) {
    case PK_U8: case PK_U16: case PK_U32: case PK_U64: case PK_SIZE:
    case PK_SIZE32:
        try_unsigned(dev, p);
        break;
    case PK_BOOL: case PK_BIT32: case PK_BIT64:
        try_value(dev, p, true, "on");
        try_value(dev, p, true, "off");
        try_value(dev, p, false, "2");
        break;
    case PK_ENUM: {
        const PropEnum *e = p->aux;

        for (int i = 0; e->names[i]; i++) {
            if (*e->names[i]) {
                try_value(dev, p, true, "%s", e->names[i]);
            }
        }
        try_value(dev, p, false, "no-such-name");
        break;
    }
    case PK_AUTO:
        try_value(dev, p, true, "auto");
        try_value(dev, p, true, "on");
        try_value(dev, p, false, "perhaps");
        break;
    case PK_MAC:
        try_value(dev, p, true, "52:54:00:12:34:56");
        try_value(dev, p, false, "52:54:00:12:34");
        break;
    case PK_UUID:
        try_value(dev, p, true, "8af2a1f8-58b8-4d0a-9ea5-1f2a3b4c5d6e");
        try_value(dev, p, false, "8af2");
        break;
    case PK_PCI_ADDR:
        try_value(dev, p, true, "1f.7");
        try_value(dev, p, false, "20");
        try_value(dev, p, false, "1f.8");
        break;
    case PK_REF:
        try_value(dev, p, false, "no-such-thing");
        break;
    default:
        break;
    }
}

NO_TSA TEST(properties_keep_their_limits)
{
    TEST_LIMIT(120);
    bench_start();
    EACH_TYPE(t) {
        const Prop *table;
        Device *dev;

        if (t->flags & DT_ABSTRACT) {
            continue;
        }
        dev = device_make(t->name);
        for (unsigned i = 0; (table = device_type_props(t, i)); i++) {
            for (const Prop *p = table; p->name; p++) {
                if (!(p->flags & PF_READONLY)) {
                    try_row(dev, p);
                }
            }
        }
        device_free(dev);
    }
}

/* A value set and read is the same value. */
NO_TSA TEST(defaults_are_what_introspection_says)
{
    bench_start();
    EACH_TYPE(t) {
        const Prop *table;
        Device *dev;

        if ((t->flags & DT_ABSTRACT) || t->init) {
            continue;
        }
        dev = device_make(t->name);
        for (unsigned i = 0; (table = device_type_props(t, i)); i++) {
            for (const Prop *p = table; p->name; p++) {
                Json *def = prop_default(p), *now;

                if (!def || p->kind == PK_CALL) {
                    json_free(def);
                    continue;
                }
                now = prop_get(&dev->obj, p, NULL);
                if (!now || !json_equal(now, def)) {
                    FAIL("%s.%s: the default is not what a new one has",
                         t->name, p->name);
                }
                json_free(now);
                json_free(def);
            }
        }
        device_free(dev);
    }
}

/* ---- help --------------------------------------------------------------- */

static void collect(void *arg, const char *line)
{
    g_ptr_array_add(arg, g_strdup(line));
}

static NO_TSA GPtrArray *help_of(const char *driver, bool one)
{
    GPtrArray *a = g_ptr_array_new_with_free_func(g_free);
    Json *o = json_obj();

    json_set_str(o, "driver", one ? driver : "help");
    if (one) {
        json_set_str(o, "help", "on");
    }
    CHECK(device_help(o, collect, a, NULL));
    json_free(o);
    return a;
}

static bool has_option(GPtrArray *lines, const char *name)
{
    char *start = g_strdup_printf("  %s=<", name);
    bool found = false;

    for (guint i = 0; i < lines->len && !found; i++) {
        found = g_str_has_prefix(g_ptr_array_index(lines, i), start);
    }
    g_free(start);
    return found;
}

NO_TSA TEST(help_is_introspection)
{
    bench_start();
    EACH_TYPE(t) {
        Json *list;
        GPtrArray *help;
        Error *err = NULL;
        size_t shown = 0;

        if (t->flags & DT_ABSTRACT) {
            continue;
        }
        list = device_list_properties(t->name, &err);
        help = help_of(t->name, true);
        REQUIRE(list);
        for (size_t i = 0; i < json_count(list); i++) {
            const char *name = json_get_str(json_at(list, i), "name");
            const Prop *table, *p = NULL;

            for (unsigned k = 0; !p && (table = device_type_options(t, k));
                 k++) {
                p = prop_find(table, name);
            }
            if (!p && t->inner && strcmp(name, t->inner_name) == 0) {
                continue;
            }
            if (!p) {
                FAIL("%s: introspection shows '%s', which is no row", t->name,
                     name);
                continue;
            }
            if (p->flags & (PF_HIDDEN | PF_READONLY)) {
                continue;
            }
            shown++;
            if (!has_option(help, name)) {
                FAIL("%s: help lacks '%s'", t->name, name);
            }
        }
        CHECK_EQ((size_t)help->len, shown + 1);
        json_free(list);
        g_ptr_array_free(help, true);
    }
}

NO_TSA TEST(device_help_lists_each_once)
{
    GPtrArray *all;

    bench_start();
    all = help_of(NULL, false);
    EACH_TYPE(t) {
        char *start = g_strdup_printf("name \"%s\"", t->name);
        unsigned n = 0;

        for (guint i = 0; i < all->len; i++) {
            n += g_str_has_prefix(g_ptr_array_index(all, i), start);
        }
        if (n != !(t->flags & (DT_INTERNAL | DT_ABSTRACT))) {
            FAIL("%s is in the help %u times", t->name, n);
        }
        g_free(start);
    }
    g_ptr_array_free(all, true);
}

/* ---- saved state -------------------------------------------------------- */

static void check_state(const char *type, const VmState *v, unsigned depth)
{
    if (!v->name || depth > 8) {
        FAIL("%s: a state without a name, or nested without end", type);
        return;
    }
    if (v->oldest > v->version) {
        FAIL("%s: %s: oldest version %u above version %u", type, v->name,
             v->oldest, v->version);
    }
    for (const VmField *f = v->fields; f && f->name; f++) {
        for (const VmField *g = v->fields; g < f; g++) {
            if (strcmp(f->name, g->name) == 0) {
                FAIL("%s: %s.%s twice", type, v->name, f->name);
            }
        }
        if (f->since > v->version) {
            FAIL("%s: %s.%s is from the future", type, v->name, f->name);
        }
        if ((f->kind == VK_VBYTES || f->kind == VK_VSTRUCT) && !f->count_max) {
            FAIL("%s: %s.%s has no bound", type, v->name, f->name);
        }
        if (f->sub) {
            check_state(type, f->sub, depth + 1);
        }
    }
    for (const VmState *const *s = v->sections; s && *s; s++) {
        check_state(type, *s, depth + 1);
    }
}

TEST(state_tables_are_sound)
{
    EACH_TYPE(t) {
        if (t->vmstate) {
            check_state(t->name, t->vmstate, 0);
        }
    }
    SET_EACH(bus_types, BusType, b) {
        if ((*b)->vmstate) {
            check_state((*b)->name, (*b)->vmstate, 0);
        }
    }
}
