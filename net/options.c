/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * options.c - -netdev, -nic, -net, the network that a machine has when nothing is
 * said, and the cards that the older options ask for.
 *
 * Thread class: machine lock.
 *
 * Invariants
 * 1. A backend of -net is always on hub 0; one of -nic has its card for itself.
 */
#include <glib.h>
#include "hw/machine/startup.h"
#include "machine.h"
#include "monitor.h"
#include "net/net-priv.h"
#include "pci.h"
#include "schema/schema.h"

typedef struct WantedCard {            /* -net nic, -nic                      */
    NetPort *to;
    char *model, *name, *addr;
    uint8_t mac[6];
    int64_t vectors;                   /* -1: not given                       */
} WantedCard;

static WantedCard wanted[8];
static unsigned nwanted;

/* ---- texts --------------------------------------------------------------- */

static bool nested(const char *type)
{
    return type && (!strcmp(type, "stream") || !strcmp(type, "dgram"));
}

static void list_backends(void)
{
    static const char *const order[] = {
        "socket", "stream", "dgram", "hubport", "tap", "user", "l2tpv3", "vde",
        "bridge", "vhost-user", "vhost-vdpa",
    };

    printf("Available netdev backend types:\n");
    for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
        if (net_driver_find(order[i])) {
            printf("%s\n", order[i]);
        }
    }
}

Json *net_options(const char *text, bool bare, Error **errp)
{
    unsigned flags = OPT_REPEAT | OPT_FLAT | (bare ? OPT_BARE : 0);
    Json *obj;
    Opts o;

    if (!opts_parse(&o, text, "type", flags, errp)) {
        return NULL;
    }
    if (nested(json_get_str(o.obj, "type")) && o.text) {
        opts_free(&o);
        if (!opts_parse(&o, text, "type", 0, errp)) {
            return NULL;
        }
    }
    obj = json_copy(o.obj);
    opts_free(&o);
    return obj;
}

bool cli_netdev(const char *arg, Error **errp)
{
    if (!strcmp(arg, "help") || !strcmp(arg, "?") ||
        !strcmp(arg, "type=help")) {
        list_backends();
        exit(0);
    }
    settings.no_default_net = true;
    given_add(&settings.netdev, "netdev", arg);
    return true;
}

bool cli_nic(const char *arg, Error **errp)
{
    settings.no_default_net = true;
    given_add(&settings.netdev, "nic", arg);
    return true;
}

bool cli_net(const char *arg, Error **errp)
{
    settings.no_default_net = true;
    given_add(&settings.netdev, "net", arg);
    return true;
}

/* ---- cards that are asked for -------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool is_nic(const DeviceType *t)
{
    return t->category && !strcmp(t->category, "network") && t->on == &bus_pci &&
           !(t->flags & (DT_INTERNAL | DT_ABSTRACT));
}

static void list_models(void)
{
    const char *names[64];
    size_t n = 0;

    SET_EACH(device_types, DeviceType, t) {
        if (is_nic(*t) && n < ARRAY_SIZE(names)) {
            names[n++] = (*t)->name;
        }
    }
    qsort(names, n, sizeof(names[0]), by_name);
    printf("Supported NIC models:\n");
    for (size_t i = 0; i < n; i++) {
        printf("%s\n", names[i]);
    }
}

/* Takes the members that are the card's out of opts. */
static MACHINE_CALL WantedCard *take_card(Json *opts, Error **errp)
{
    WantedCard *w = &wanted[nwanted];
    const char *mac = json_get_str(opts, "macaddr");
    const char *vectors = json_get_str(opts, "vectors");
    uint64_t num;

    if (nwanted == ARRAY_SIZE(wanted)) {
        error_set(errp, "too many NICs");
        return NULL;
    }
    *w = (WantedCard){ .vectors = -1 };
    mac = mac ? mac : json_get_str(opts, "mac");
    if (mac && !opt_mac(mac, w->mac, NULL)) {
        error_set(errp, "invalid syntax for ethernet address");
        return NULL;
    }
    if (w->mac[0] & 1) {
        error_set(errp, "NIC cannot have multicast MAC address");
        return NULL;
    }
    if (vectors) {
        if (!opt_u64("vectors", vectors, &num, errp)) {
            return NULL;
        }
        if (num > 0x7ffffff) {
            error_set(errp, "invalid # of vectors: %s", vectors);
            return NULL;
        }
        w->vectors = (int64_t)num;
    }
    w->model = g_strdup(json_get_str(opts, "model"));
    w->addr = g_strdup(json_get_str(opts, "addr"));
    json_free(json_take(opts, "macaddr"));
    json_free(json_take(opts, "mac"));
    json_free(json_take(opts, "vectors"));
    json_free(json_take(opts, "model"));
    json_free(json_take(opts, "addr"));
    nwanted++;
    return w;
}

/* vlan=N of old guides was the number of a hub. */
static MACHINE_CALL unsigned take_vlan(Json *opts)
{
    Json *v = json_take(opts, "vlan");
    uint64_t hub = 0;

    if (v) {
        opt_u64("vlan", json_str_of(v), &hub, NULL);
        warn_report("'vlan' is an old name: use -netdev hubport,hubid=%s, or "
                    "-nic for a card with a network of its own",
                    json_str_of(v));
        json_free(v);
    }
    return hub <= INT32_MAX ? hub : 0;
}

void net_take_vlan(Json *opts)
{
    const char *driver = json_get_str(opts, "driver");
    const DeviceType *t = driver ? device_type_find(driver) : NULL;

    if (json_get(opts, "vlan") && !json_get(opts, "netdev") && t &&
        t->category && !strcmp(t->category, "network")) {
        json_set_str(opts, "netdev", net_hub_port(take_vlan(opts), NULL)->name);
    }
}

static MACHINE_CALL bool net_nic(Json *opts, Error **errp)
{
    const char *netdev = json_get_str(opts, "netdev");
    unsigned hub = take_vlan(opts);
    WantedCard *w = take_card(opts, errp);

    if (!w) {
        return false;
    }
    if (netdev) {
        w->to = net_find(netdev);
        if (!w->to || w->to->card) {
            return error_set(errp, "netdev '%s' not found", netdev);
        }
    } else {
        w->to = net_hub_port(hub, NULL);
    }
    w->name = g_strdup(json_get_str(opts, "name"));
    for (size_t i = 0; i < json_count(opts); i++) {
        const char *k = json_key_at(opts, i);

        if (strcmp(k, "type") && strcmp(k, "id") && strcmp(k, "name") &&
            strcmp(k, "netdev")) {
            return error_set(errp, "Invalid parameter '%s'", k);
        }
    }
    return true;
}

static bool type_known(const char *type, Error **errp)
{
    return net_driver_find(type) || schema_enum(&qt_NetClientDriver, type) >= 0 ||
           error_set(errp, "Parameter 'type' does not accept value '%s'",
                     type) || net_type_suggest(type, errp);
}

/* A name for a backend that has none, which no user can have given. */
static void name_it(Json *opts, const char *name)
{
    static unsigned count;
    char id[32];

    if (json_get(opts, "id")) {
        return;
    }
    snprintf(id, sizeof(id), "#net%03u", count++);
    json_set_str(opts, "id", name ? name : id);
}

static MACHINE_CALL bool net_old(Json *opts, const char *type, Error **errp)
{
    unsigned hub;
    NetPort *p;

    if (!strcmp(type, "none")) {
        return true;
    }
    if (!strcmp(type, "nic")) {
        return net_nic(opts, errp);
    }
    hub = take_vlan(opts);
    name_it(opts, json_get_str(opts, "name"));
    json_free(json_take(opts, "name"));
    p = netdev_add(opts, true, errp);
    if (p && p->drv != &net_hub_driver) {
        net_hub_port(hub, p);
    }
    return p != NULL;
}

static MACHINE_CALL bool net_new(Json *opts, const char *type, Error **errp)
{
    WantedCard *w;

    if (!strcmp(type, "none")) {
        return true;
    }
    w = take_card(opts, errp);
    if (!w) {
        return false;
    }
    name_it(opts, NULL);
    w->to = netdev_add(opts, true, errp);
    return w->to != NULL;
}

/* What is looked at before a backend or a card is made. */
static MACHINE_CALL bool sane(const char *arg, const char *kind,
                              const Json *opts, Error **errp)
{
    const char *type = json_get_str(opts, "type");
    const char *id = json_get_str(opts, "id");
    bool netdev = !strcmp(kind, "netdev");

    if (netdev && !id) {
        return error_set(errp, "Parameter 'id' is missing");
    }
    if (!type && (!strcmp(arg, "help") || !strcmp(arg, "?"))) {
        type = arg;
    }
    if (!type) {
        return error_set(errp, "Parameter 'type' is missing");
    }
    if (!type_known(type, errp)) {
        return false;
    }
    if (id && !opt_id_ok(id)) {
        error_set(errp, "Parameter 'id' expects an identifier");
        error_hint(errp, "Identifiers consist of letters, digits, '-', '.', "
                   "'_', starting with a letter.");
        return false;
    }
    return netdev || !id || !net_find(id) ||
           error_set(errp, "Duplicate ID '%s' for %s", id, kind);
}

static MACHINE_CALL bool do_net(const char *arg, const char *kind, Error **errp)
{
    Json *opts = net_options(arg, strcmp(kind, "netdev") != 0, errp);
    const char *model;
    bool ok;

    if (!opts) {
        return false;
    }
    model = json_get_str(opts, "model");
    if (model && (!strcmp(model, "help") || !strcmp(model, "?"))) {
        list_models();
        exit(0);
    }
    if (!sane(arg, kind, opts, errp)) {
        ok = false;
    } else if (!strcmp(kind, "netdev")) {
        ok = netdev_add(opts, *arg != '{', errp) != NULL;
    } else {
        g_autofree char *t = g_strdup(json_get_str(opts, "type"));

        ok = !strcmp(kind, "nic") ? net_new(opts, t, errp)
                                  : net_old(opts, t, errp);
    }
    json_free(opts);
    return ok;
}

static MACHINE_CALL bool of_kind(const char *kind, Error **errp)
{
    GivenList some = { 0 };
    bool ok;

    for (unsigned i = 0; i < settings.netdev.n; i++) {
        if (!strcmp(settings.netdev.v[i].kind, kind)) {
            some.v = g_renew(Given, some.v, some.n + 1);
            some.v[some.n++] = settings.netdev.v[i];
        }
    }
    ok = given_each(&some, do_net, errp);
    g_free(some.v);
    return ok;
}

bool start_net(Error **errp)
{
    if (!settings.no_default_net && !machine->type->no_pci &&
        net_driver_find("user") && device_type_find("e1000")) {
        given_add(&settings.netdev, "net", "nic");
        given_add(&settings.netdev, "net", "user");
    }
    return of_kind("netdev", errp) && of_kind("nic", errp) &&
           of_kind("net", errp);
}

/* ---- the cards themselves ------------------------------------------------ */

static MACHINE_CALL bool make_card(WantedCard *w, Error **errp)
{
    const char *model = w->model ? w->model : "e1000";
    const DeviceType *t;
    Device *d;

    model = !strcmp(model, "virtio") ? "virtio-net-pci" : model;
    t = device_type_find(model);
    if (!t || !is_nic(t)) {
        return error_set(errp, "Unsupported NIC model: %s", model);
    }
    d = device_new(t->name, errp);
    if (!d) {
        return false;
    }
    if (w->name) {
        d->id = g_strdup(w->name);
    }
    if (memcmp(w->mac, "\0\0\0\0\0\0", 6)) {
        char mac[18];

        snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", w->mac[0],
                 w->mac[1], w->mac[2], w->mac[3], w->mac[4], w->mac[5]);
        if (!device_set(d, "mac", mac, errp)) {
            device_free(d);
            return false;
        }
    }
    if (w->addr && !device_set(d, "addr", w->addr, NULL)) {
        device_free(d);
        return error_set(errp, "Invalid PCI device address %s for device %s",
                         w->addr, model);
    }
    if (w->vectors >= 0 && obj_prop(&d->obj, "vectors")) {
        device_set_int(d, "vectors", w->vectors);
    }
    if (!device_set(d, "netdev", w->to->name, errp) ||
        !device_realize(d, &pci_root()->bus, errp)) {
        device_free(d);
        return false;
    }
    return true;
}

bool net_make_cards(Error **errp)
{
    for (unsigned i = 0; i < nwanted; i++) {
        WantedCard *w = &wanted[i];
        bool ok = pci_root() ? make_card(w, errp)
            : error_set(errp, "Unsupported NIC model: %s",
                        w->model ? w->model : "e1000");

        g_free(w->model);
        g_free(w->name);
        g_free(w->addr);
        if (!ok) {
            return false;
        }
    }
    nwanted = 0;
    return true;
}

/* What is likely to be a mistake. */
void net_check(void)
{
    if (!settings.no_default_net) {
        return;                        /* nobody has asked for anything       */
    }
    for (NetPort *p = net_first(); p; p = p->next) {
        int hub = net_hub_of(p);
        bool nics = false, hosts = false;

        if (p->drv == &net_hub_driver) {
            bool seen = false;

            for (NetPort *o = net_first(); o; o = o->next) {
                if (o->drv != p->drv || net_hub_of(o) != hub) {
                    continue;
                }
                seen = seen || o == p;
                if (!seen) {
                    hosts = nics = true;           /* told at the first       */
                    break;
                }
                nics = nics || (o->peer && o->peer->card);
                hosts = hosts || (o->peer && !o->peer->card);
            }
            if (hosts && !nics) {
                warn_report("hub %d with no nics", hub);
            }
            if (nics && !hosts) {
                warn_report("hub %d is not connected to host network", hub);
            }
        } else if (!p->peer && !p->queue) {
            warn_report("%s %s has no peer", p->card ? "nic" : "netdev",
                        p->name);
        }
    }
}
