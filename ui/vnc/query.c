/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * query.c - VNC in QMP and HMP: who is there, passwords, addresses; its events.
 *
 * Thread class: machine lock.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "chr.h"
#include "monitor.h"
#include "schema/schema.h"
#include "secret.h"
#include "ui.h"
#include "ui/vnc/vnc.h"

/* ---- names --------------------------------------------------------------- */
static const struct {
    int subauth;
    VncVencryptSubAuth nr;
} subauths[] = {
    { VENC_TLS_NONE, VNC_VENCRYPT_SUB_AUTH_TLS_NONE },
    { VENC_TLS_VNC, VNC_VENCRYPT_SUB_AUTH_TLS_VNC },
    { VENC_TLS_PLAIN, VNC_VENCRYPT_SUB_AUTH_TLS_PLAIN },
    { VENC_X509_NONE, VNC_VENCRYPT_SUB_AUTH_X509_NONE },
    { VENC_X509_VNC, VNC_VENCRYPT_SUB_AUTH_X509_VNC },
    { VENC_X509_PLAIN, VNC_VENCRYPT_SUB_AUTH_X509_PLAIN },
    { VENC_X509_SASL, VNC_VENCRYPT_SUB_AUTH_X509_SASL },
    { VENC_TLS_SASL, VNC_VENCRYPT_SUB_AUTH_TLS_SASL },
};

static VncPrimaryAuth primary(int auth)
{
    return auth == VNC_AUTH_VNC ? VNC_PRIMARY_AUTH_VNC
        : auth == VNC_AUTH_VENCRYPT ? VNC_PRIMARY_AUTH_VENCRYPT
        : auth == VNC_AUTH_SASL ? VNC_PRIMARY_AUTH_SASL
        : VNC_PRIMARY_AUTH_NONE;
}

static bool below(int subauth, VncVencryptSubAuth *out)
{
    for (size_t i = 0; i < ARRAY_SIZE(subauths); i++) {
        if (subauths[i].subauth == subauth) {
            *out = subauths[i].nr;
            return true;
        }
    }
    return false;
}

/* "vencrypt+x509+vnc" */
static char *auth_text(int auth, int subauth)
{
    VncVencryptSubAuth nr;
    char *s;

    if (auth != VNC_AUTH_VENCRYPT || !below(subauth, &nr)) {
        return g_strdup(qt_VncPrimaryAuth.values[primary(auth)]);
    }
    s = g_strdup_printf("vencrypt+%s", qt_VncVencryptSubAuth.values[nr]);
    return g_strdelimit(s, "-", '+');
}

/* ---- ends ---------------------------------------------------------------- */
static NetworkAddressFamily family(const SockAddr *a)
{
    return a->kind == ADDR_UNIX ? NETWORK_ADDRESS_FAMILY_UNIX_
        : a->kind != ADDR_INET ? NETWORK_ADDRESS_FAMILY_UNKNOWN
        : a->host && strchr(a->host, ':') ? NETWORK_ADDRESS_FAMILY_IPV6
        : NETWORK_ADDRESS_FAMILY_IPV4;
}

static char *host(const SockAddr *a)
{
    return g_strdup(a->kind == ADDR_INET && a->host ? a->host : "");
}

static char *service(const SockAddr *a)
{
    return g_strdup(a->kind == ADDR_UNIX ? (a->path ? a->path : "")
                    : a->port ? a->port : "");
}

static void fill_client(const VncClient *c, VncClientInfo *i)
{
    i->host = host(&c->remote);
    i->service = service(&c->remote);
    i->family = family(&c->remote);
    i->websocket = c->websocket;
    i->x509_dname = c->tls ? g_strdup(tls_peer_name(c->tls)) : NULL;
    i->sasl_username = g_strdup(c->sasl_user);
}

static void fill_clients(const VncServer *s, VncClientInfoList *l)
{
    for (const VncClient *c = s->clients; c; c = c->next_client) {
        fill_client(c, SCHEMA_ADD(l));
    }
}

bool cmd_query_vnc(const void *arg, void *ret, Error **errp)
{
    const VncServer *s = vnc_servers;
    const SockAddr *a;
    VncInfo *i = ret;

    if (!s || !s->n_listeners) {
        return true;
    }
    a = &s->listeners[0].local;
    i->enabled = true;
    i->host = host(a);
    i->has_family = true;
    i->family = family(a);
    i->service = service(a);
    i->auth = auth_text(s->auth, s->subauth);
    i->has_clients = true;
    fill_clients(s, &i->clients);
    return true;
}

bool cmd_query_vnc_servers(const void *arg, void *ret, Error **errp)
{
    VncInfo2List *l = ret;

    for (const VncServer *s = vnc_servers; s; s = s->next) {
        VncInfo2 *i = SCHEMA_ADD(l);

        i->id = g_strdup(s->id);
        i->auth = primary(s->auth);
        i->has_vencrypt = below(s->subauth, &i->vencrypt);
        i->display = g_strdup(s->display_id);
        fill_clients(s, &i->clients);
        /* The latest comes first, as the peer lists them. */
        for (unsigned k = s->n_listeners; k--; ) {
            const VncListener *p = &s->listeners[k];
            VncServerInfo2 *e = SCHEMA_ADD(&i->server);

            e->host = host(&p->local);
            e->service = service(&p->local);
            e->family = family(&p->local);
            e->websocket = p->websocket;
            e->auth = primary(p->websocket ? s->ws_auth : s->auth);
            e->has_vencrypt = below(p->websocket ? s->ws_subauth : s->subauth,
                                    &e->vencrypt);
        }
    }
    return true;
}

static void print_auth(const char *indent, int auth, int subauth)
{
    VncVencryptSubAuth nr;

    mon_printf("%sAuth: %s (Sub: %s)\n", indent,
               qt_VncPrimaryAuth.values[primary(auth)],
               below(subauth, &nr) ? qt_VncVencryptSubAuth.values[nr] : "none");
}

static void print_end(const char *who, const SockAddr *a, bool websocket)
{
    char *h = host(a), *p = service(a);

    mon_printf("  %s: %s:%s (%s%s)\n", who, h, p,
               qt_NetworkAddressFamily.values[family(a)],
               websocket ? " (Websocket)" : "");
    g_free(h);
    g_free(p);
}

void hmp_info_vnc(const Json *args)
{
    if (!vnc_servers) {
        mon_puts("None\n");
    }
    for (const VncServer *s = vnc_servers; s; s = s->next) {
        mon_printf("%s:\n", s->id);
        if (s->display_id) {
            mon_printf("  Display: %s\n", s->display_id);
        }
        for (unsigned k = s->n_listeners; k--; ) {
            const VncListener *l = &s->listeners[k];

            print_end("Server", &l->local, l->websocket);
            print_auth("    ", l->websocket ? s->ws_auth : s->auth,
                       l->websocket ? s->ws_subauth : s->subauth);
        }
        for (const VncClient *c = s->clients; c; c = c->next_client) {
            const char *name = c->tls ? tls_peer_name(c->tls) : NULL;

            print_end("Client", &c->remote, c->websocket);
            mon_printf("    x509_dname: %s\n", name ? name : "none");
            mon_printf("    username: %s\n",
                       c->sasl_user ? c->sasl_user : "none");
        }
        if (!s->n_listeners) {
            print_auth("  ", s->auth, s->subauth);
        }
    }
}

/* ---- events -------------------------------------------------------------- */
static void server_end(const VncClient *c, VncServerInfo *i)
{
    i->host = host(&c->local);
    i->service = service(&c->local);
    i->family = family(&c->local);
    i->websocket = c->websocket;
    i->auth = auth_text(c->websocket ? c->srv->ws_auth : c->srv->auth,
                        c->websocket ? c->srv->ws_subauth : c->srv->subauth);
}

void vnc_event_connected(VncClient *c)
{
    VncConnectedEvent a = { 0 };

    server_end(c, &a.server);
    a.client.host = host(&c->remote);
    a.client.service = service(&c->remote);
    a.client.family = family(&c->remote);
    a.client.websocket = c->websocket;
    monitor_event(&event_VNC_CONNECTED, &a);
    schema_free(event_VNC_CONNECTED.arg, &a);
}

void vnc_event_initialized(VncClient *c)
{
    VncInitializedEvent a = { 0 };

    server_end(c, &a.server);
    fill_client(c, &a.client);
    monitor_event(&event_VNC_INITIALIZED, &a);
    schema_free(event_VNC_INITIALIZED.arg, &a);
}

void vnc_event_disconnected(VncClient *c)
{
    VncDisconnectedEvent a = { 0 };

    server_end(c, &a.server);
    fill_client(c, &a.client);
    monitor_event(&event_VNC_DISCONNECTED, &a);
    schema_free(event_VNC_DISCONNECTED.arg, &a);
}

/* ---- passwords ----------------------------------------------------------- */
static bool with_password(const char *id, VncServer **out, Error **errp)
{
    *out = vnc_find(id);
    if (!*out || !(*out)->password_used) {
        return error_set(errp, "Could not set password");
    }
    return true;
}

static void put_password(VncServer *s, const char *password)
{
    if (s->password) {
        secret_free(s->password, strlen(s->password));
    }
    s->password = g_strdup(password);
}

bool cmd_change_vnc_password(const void *arg, void *ret, Error **errp)
{
    const ChangeVncPasswordArg *a = arg;
    VncServer *s;

    if (!with_password(NULL, &s, errp)) {
        return false;
    }
    put_password(s, a->password);
    return true;
}

static bool spice_none(Error **errp)
{
    return error_set_class(errp, ERROR_DEVICE_NOT_ACTIVE,
                           "SPICE is not in use");
}

bool cmd_set_password(const void *arg, void *ret, Error **errp)
{
    const SetPasswordOptions *a = arg;
    VncServer *s;

    if (a->protocol == DISPLAY_PROTOCOL_SPICE) {
        return spice_none(errp);
    }
    if (a->has_connected && a->connected != SET_PASSWORD_ACTION_KEEP) {
        return error_set(errp, "parameter 'connected' must be 'keep' when "
                         "'protocol' is 'vnc'");
    }
    if (!with_password(a->u.vnc.display, &s, errp)) {
        return false;
    }
    put_password(s, a->password);
    return true;
}

bool cmd_expire_password(const void *arg, void *ret, Error **errp)
{
    const ExpirePasswordOptions *a = arg;
    VncServer *s;
    int64_t when;

    if (!strcmp(a->time, "now")) {
        when = 0;
    } else if (!strcmp(a->time, "never")) {
        when = INT64_MAX;
    } else if (a->time[0] == '+') {
        when = time(NULL) + strtoll(a->time + 1, NULL, 10);
    } else {
        when = strtoll(a->time, NULL, 10);
    }
    if (a->protocol == DISPLAY_PROTOCOL_SPICE) {
        return spice_none(errp);
    }
    s = vnc_find(a->u.vnc.display);
    if (!s) {
        return error_set(errp, "Could not set password expire time");
    }
    s->expires = when;
    return true;
}

/* HMP: the same by JSON, where -d names the display. */
static MACHINE_CALL void run_json(const QType *t,
                                  bool (*call)(const void *, void *, Error **),
                                  const Json *args, const char *const *keys)
{
    union { SetPasswordOptions set; ExpirePasswordOptions expire; } u;
    Json *o = json_obj();
    Error *err = NULL;

    memset(&u, 0, sizeof(u));
    for (; *keys; keys++) {
        const char *v = json_get_str(args, *keys);

        if (v) {
            json_set_str(o, *keys, v);
        }
    }
    if (!schema_parse(t, o, true, &u, &err) || !call(&u, NULL, &err)) {
        mon_printf("Error: %s\n", error_text(err));
        error_free(err);
    }
    schema_free(t, &u);
    json_free(o);
}

void hmp_set_password(const Json *args)
{
    static const char *const keys[] = { "protocol", "password", "connected",
                                        "display", NULL };

    run_json(&qt_SetPasswordOptions, cmd_set_password, args, keys);
}

void hmp_expire_password(const Json *args)
{
    static const char *const keys[] = { "protocol", "time", "display", NULL };

    run_json(&qt_ExpirePasswordOptions, cmd_expire_password, args, keys);
}

/* ---- clients from elsewhere ---------------------------------------------- */
bool cmd_add_client(const void *arg, void *ret, Error **errp)
{
    const AddClientArg *a = arg;
    int fd = mon_take_named_fd(a->fdname, errp);

    if (fd < 0) {
        return false;
    }
    if (!strcmp(a->protocol, "vnc")) {
        return vnc_add_client(fd, a->has_skipauth && a->skipauth, errp);
    }
    close(fd);
    if (!strcmp(a->protocol, "spice")) {
        return spice_none(errp);
    }
    return error_set(errp, chr_find(a->protocol)
                     ? "failed to add client"
                     : "protocol '%s' is invalid", a->protocol);
}

/* ---- addresses, certificates --------------------------------------------- */
bool cmd_display_reload(const void *arg, void *ret, Error **errp)
{
    const DisplayReloadOptions *a = arg;

    if (a->u.vnc.has_tls_certs && a->u.vnc.tls_certs) {
        if (!vnc_servers) {
            return error_set(errp, "Can not find vnc display");
        }
        if (!vnc_servers->creds) {
            return error_set(errp, "vnc tls is not enabled");
        }
        return tls_creds_reload(vnc_servers->creds, errp);
    }
    return true;
}

bool cmd_display_update(const void *arg, void *ret, Error **errp)
{
    const DisplayUpdateOptions *a = arg;
    SockAddr addr[VNC_LISTENERS] = { { 0 } };
    const SocketAddressList *l = &a->u.vnc.addresses;
    unsigned n = 0;
    bool ok = true;

    if (!a->u.vnc.has_addresses) {
        return true;
    }
    for (; ok && n < l->n && n < VNC_LISTENERS; n++) {
        Json *j = schema_json(&qt_SocketAddress, &l->v[n]);

        ok = addr_from_json(&addr[n], j, errp);
        json_free(j);
    }
    ok = ok && vnc_update_addresses(addr, n, errp);
    for (unsigned i = 0; i < n; i++) {
        addr_clear(&addr[i]);
    }
    return ok;
}
