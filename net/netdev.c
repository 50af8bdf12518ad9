/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * netdev.c - backends from options: -netdev and netdev_add, and their commands.
 *
 * Thread class: machine lock.
 *
 * Invariants
 * 1. A backend whose opening failed leaves nothing behind, further queues
 *    included.
 */
#include <glib.h>
#include "monitor.h"
#include "net/net-priv.h"
#include "opt.h"
#include "schema/schema.h"

bool net_take_strings(GPtrArray *to, const char *name, const Json *v,
                      Error **errp)
{
    if (json_kind(v) == JSON_LIST) {
        for (size_t i = 0; i < json_count(v); i++) {
            if (!net_take_strings(to, name, json_at(v, i), errp)) {
                return false;
            }
        }
        return true;
    }
    if (json_kind(v) == JSON_OBJ && json_get_str(v, "str")) {
        v = json_get(v, "str");
    }
    if (json_kind(v) != JSON_STR) {
        return error_set(errp, "Invalid parameter type for '%s', expected: "
                         "string", name);
    }
    g_ptr_array_add(to, g_strdup(json_str_of(v)));
    return true;
}

/* The option's own wording, not a property's. */
static bool text_ok(const Prop *row, const char *s, Error **errp)
{
    const char *want = NULL;
    uint64_t num;
    char *end;
    bool on;

    switch (row->kind) {
    case PK_BOOL:
        return opt_bool(row->name, s, &on, errp);
    case PK_U16:
    case PK_U32:
        want = opt_u64(row->name, s, &num, NULL) ? NULL : "a uint64";
        break;
    case PK_U64:
    case PK_SIZE:
        want = opt_size(row->name, s, 1, &num, NULL) ? NULL : "a size";
        break;
    case PK_I32:
    case PK_I64:
        g_ascii_strtoll(s, &end, 0);
        want = end != s && !*end ? NULL : "an int64";
        break;
    default:
        break;
    }
    return !want || error_set(errp, "Parameter '%s' expects %s value",
                              row->name, want);
}

static MACHINE_CALL bool set_options(NetPort *p, const Json *opts, bool text,
                                     Error **errp)
{
    const Prop *table = p->drv->props;

    for (size_t i = 0; i < json_count(opts); i++) {
        const char *key = json_key_at(opts, i);
        const Json *v = json_value_at(opts, i);
        const Prop *row;

        if (!strcmp(key, "id") || !strcmp(key, "type")) {
            continue;
        }
        row = table ? prop_find(table, key) : NULL;
        if (!row) {
            OptWords w = { .n = 0 };

            for (row = table; row && row->name; row++) {
                opt_word_add(&w, row->name);
            }
            error_set(errp, text ? "Invalid parameter '%s'"
                      : "Parameter '%s' is unexpected", key);
            return opt_suggest(&w, key, errp);
        }
        if (text && json_kind(v) == JSON_STR &&
            !text_ok(row, json_str_of(v), errp)) {
            return false;
        }
        if (!prop_set((Obj *)p, row, v, text, p->drv->name, errp)) {
            return false;
        }
    }
    for (const Prop *row = table; row && row->name; row++) {
        if ((row->flags & PF_REQUIRED) && !json_get(opts, row->name)) {
            return error_set(errp, "Parameter '%s' is missing", row->name);
        }
    }
    return true;
}

static MACHINE_CALL void port_free(NetPort *p)
{
    const NetDriver *d = p->drv;

    net_port_fini(p);
    if (d->props) {
        prop_release((Obj *)p, d->props);
    }
    g_free(p);
}

/* All queues of the backend, the last first. */
static MACHINE_CALL void close_all(NetPort *p)
{
    NetPort *q;

    for (unsigned i = 1024; i > 0; i--) {
        q = net_queue(p, i);
        if (q) {
            if (q->drv->close) {
                q->drv->close(q);
            }
            port_free(q);
        }
    }
    if (p->drv->close) {
        p->drv->close(p);
    }
    port_free(p);
}

static const NetDriver *driver_of(const char *type, Error **errp)
{
    const NetDriver *d = net_driver_find(type);
    int n = schema_enum(&qt_NetClientDriver, type);

    if (!d) {
        error_set(errp, n < 0 ? "Parameter 'type' does not accept value '%s'"
                  : "network backend '%s' is not compiled into this binary",
                  type);
        if (n < 0) {
            net_type_suggest(type, errp);
        }
    }
    return d;
}

NetPort *netdev_add(const Json *opts, bool text, Error **errp)
{
    const char *id = json_get_str(opts, "id");
    const char *type = json_get_str(opts, "type");
    const NetDriver *d;
    NetPort *p;

    if (!id) {
        error_set(errp, "Parameter 'id' is missing");
        return NULL;
    }
    if (!type) {
        error_set(errp, "Parameter 'type' is missing");
        return NULL;
    }
    d = driver_of(type, errp);
    if (!d) {
        return NULL;
    }
    if (net_find(id)) {
        error_set(errp, "Duplicate ID '%s'%s", id, text ? " for netdev" : "");
        return NULL;
    }
    p = g_malloc0(d->size);
    p->drv = d;
    if (d->props) {
        prop_defaults((Obj *)p, d->props, 0);
    }
    net_port_init(p, d, id);
    if (!set_options(p, opts, text, errp)) {
        port_free(p);
        return NULL;
    }
    if (!d->open(p, errp)) {
        close_all(p);
        return NULL;
    }
    return p;
}

bool netdev_del(const char *id, Error **errp)
{
    NetPort *p = net_find(id);

    if (!p || p->card) {
        return error_set_class(errp, ERROR_DEVICE_NOT_FOUND,
                               "Device '%s' not found", id);
    }
    close_all(p);
    return true;
}

void net_exit(void)
{
    for (NetPort *p = net_first(); p;) {
        if (p->card || p->queue) {
            p = p->next;
            continue;
        }
        close_all(p);
        p = net_first();
    }
}

/* ---- QMP ----------------------------------------------------------------- */

bool cmd_netdev_add(const void *arg, void *ret, Error **errp)
{
    const OpenArg *a = arg;
    const char *id = json_get_str(a->obj, "id");

    if (id && !opt_id_ok(id)) {
        error_set(errp, "Parameter 'id' expects an identifier");
        return false;
    }
    return netdev_add(a->obj, a->text, errp) != NULL;
}

bool cmd_netdev_del(const void *arg, void *ret, Error **errp)
{
    return netdev_del(((const NetdevDelArg *)arg)->id, errp);
}

bool cmd_set_link(const void *arg, void *ret, Error **errp)
{
    const SetLinkArg *a = arg;

    return net_link_set(a->name, a->up, errp);
}

bool cmd_query_rx_filter(const void *arg, void *ret, Error **errp)
{
    const QueryRxFilterArg *a = arg;
    RxFilterInfoList *l = ret;
    bool found = false;

    for (NetPort *p = net_first(); p; p = p->next) {
        Json *v;
        bool ok;

        if (a->name && strcmp(a->name, p->name)) {
            continue;
        }
        if (!p->card) {
            if (a->name) {
                return error_set(errp, "net client(%s) isn't a NIC", a->name);
            }
            continue;
        }
        found = true;
        if (!p->drv->rx_filter || p->queue) {
            if (a->name) {
                return error_set(errp, "net client(%s) doesn't support "
                                 "rx-filter querying", a->name);
            }
            continue;
        }
        v = p->drv->rx_filter(p);
        ok = schema_parse(&qt_RxFilterInfo, v, false, SCHEMA_ADD(l), errp);
        json_free(v);
        if (!ok) {
            return false;
        }
    }
    return found || !a->name ||
           error_set(errp, "invalid net client name: %s", a->name);
}

/* ---- HMP ----------------------------------------------------------------- */

void hmp_netdev_add(const Json *args)
{
    const char *text = json_get_str(args, "netdev");
    Error *err = NULL;
    Json *opts = net_options(text ? text : "", false, &err);

    if (opts) {
        if (json_get_str(opts, "id") && !opt_id_ok(json_get_str(opts, "id"))) {
            error_set(&err, "Parameter 'id' expects an identifier");
        } else {
            netdev_add(opts, true, &err);
        }
        json_free(opts);
    }
    if (err) {
        mon_printf("Error: %s\n%s", error_text(err), error_hint_text(err));
        error_free(err);
    }
}

static void print_port(const char *indent, const NetPort *p)
{
    mon_printf("%s%s: index=%u,type=%s,%s\n", indent, p->name, p->queue,
               p->card ? "nic" : p->drv->name, p->info);
}

/* The youngest port first. */
static MACHINE_CALL void print_hub(int hub)
{
    g_autoptr(GPtrArray) l = g_ptr_array_new();

    mon_printf("hub %d\n", hub);
    for (NetPort *p = net_first(); p; p = p->next) {
        if (p->drv == &net_hub_driver && net_hub_of(p) == hub) {
            g_ptr_array_add(l, p);
        }
    }
    for (guint i = l->len; i-- > 0;) {
        const NetPort *p = g_ptr_array_index(l, i);

        mon_printf(" \\ %s", p->name);
        if (p->peer) {
            print_port(": ", p->peer);
        } else {
            mon_puts("\n");
        }
    }
}

void hmp_info_network(const Json *args)
{
    for (int last = -1, hub = 0; hub >= 0; last = hub) {
        hub = -1;
        for (NetPort *p = net_first(); p; p = p->next) {
            int n = p->drv == &net_hub_driver ? net_hub_of(p) : -1;

            hub = n > last && (hub < 0 || n < hub) ? n : hub;
        }
        if (hub >= 0) {
            print_hub(hub);
        }
    }
    for (NetPort *p = net_first(); p; p = p->next) {
        if (net_hub_of(p) >= 0 || (p->peer && !p->card)) {
            continue;
        }
        print_port("", p);
        if (p->peer) {
            print_port(" \\ ", p->peer);
        }
    }
}
