/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nbd-connect.c - where the nbd driver's server is: URIs (NBD URI specification),
 * the older "nbd:host:port:exportname=" form and options; and connecting.
 *
 * Thread class: addresses MACHINE_CALL; connecting LOOP_CALL(node's loop), in a
 * coroutine.
 */
#include <glib.h>
#include <unistd.h>
#include "block/nbd-client.h"

#define CONNECT_MS 30000

/* ---- names --------------------------------------------------------------- */

static bool uri_unix(NbdNode *c, GUri *u, Error **errp)
{
    const char *query = g_uri_get_query(u), *path = g_uri_get_path(u);
    g_autoptr(GHashTable) params = query
        ? g_uri_parse_params(query, -1, "&", G_URI_PARAMS_NONE, NULL) : NULL;
    const char *sock = params ? g_hash_table_lookup(params, "socket") : NULL;

    if (!sock || g_hash_table_size(params) != 1 ||
        (g_uri_get_host(u) && *g_uri_get_host(u))) {
        return error_set(errp, "No valid URL specified");
    }
    g_free(c->path);
    c->path = g_strdup(sock);
    g_free(c->export_name);
    c->export_name = g_strdup(path[0] == '/' ? path + 1 : path);
    return true;
}

static bool uri_parse(NbdNode *c, const char *text, Error **errp)
{
    g_autoptr(GUri) u = g_uri_parse(text, G_URI_FLAGS_HAS_PASSWORD, NULL);
    const char *scheme = u ? g_uri_get_scheme(u) : "", *path;

    if (u && !strcmp(scheme, "nbd+unix")) {
        return uri_unix(c, u, errp);
    }
    if (!u || (strcmp(scheme, "nbd") && strcmp(scheme, "nbd+tcp")) ||
        !g_uri_get_host(u) || !*g_uri_get_host(u) || g_uri_get_query(u)) {
        return error_set(errp, "No valid URL specified");
    }
    path = g_uri_get_path(u);
    g_free(c->host);
    g_free(c->port);
    c->host = g_strdup(g_uri_get_host(u));
    c->port = g_uri_get_port(u) > 0 ? g_strdup_printf("%d", g_uri_get_port(u))
                                    : g_strdup_printf("%d", NBD_PORT);
    if (strlen(path) > 1) {
        g_free(c->export_name);
        c->export_name = g_strdup(path + 1);
    }
    return true;
}

/* host:port[:exportname=name], unix:path[:exportname=name] */
static bool old_parse(NbdNode *c, const char *text, Error **errp)
{
    const char *name = strstr(text, ":exportname=");
    g_autofree char *s = name ? g_strndup(text, (gsize)(name - text))
                              : g_strdup(text);
    char *colon;

    if (name) {
        if (!name[12]) {
            return true;
        }
        g_free(c->export_name);
        c->export_name = g_strdup(name + 12);
    }
    if (g_str_has_prefix(s, "unix:")) {
        g_free(c->path);
        c->path = g_strdup(s + 5);
        return true;
    }
    colon = strrchr(s, ':');
    if (!colon || colon == s) {
        return error_set(errp, "File name missing");
    }
    *colon = 0;
    g_free(c->host);
    g_free(c->port);
    c->port = g_strdup(colon + 1);
    c->host = s[0] == '[' && s[strlen(s) - 1] == ']'
            ? g_strndup(s + 1, strlen(s) - 2) : g_strdup(s);
    return true;
}

static bool filename_parse(NbdNode *c, Error **errp)
{
    /* The driver's prefix has been taken off, or not. */
    const char *f = g_str_has_prefix(c->filename, "nbd") ? c->filename + 3
                                                         : c->filename;
    g_autofree char *uri = g_strdup_printf("nbd%s", f);

    if (c->host || c->port || c->path) {
        return error_set(errp, "host/port/path and file names may not be "
                         "specified at the same time");
    }
    if (strstr(f, "://")) {
        return uri_parse(c, uri, errp);
    }
    return old_parse(c, f[0] == ':' ? f + 1 : f, errp);
}

/* ---- address ------------------------------------------------------------- */

/* server.type and so on, as an object. */
static Json *server_object(const NbdNode *c)
{
    const struct {
        const char *key, *value;
    } rows[] = { { "type", c->s_type }, { "host", c->s_host },
                 { "port", c->s_port }, { "path", c->s_path },
                 { "str", c->s_fd } };
    Json *o = NULL;

    if (c->server) {
        return json_copy(c->server);
    }
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i].value) {
            o = o ? o : json_obj();
            json_set_str(o, rows[i].key, rows[i].value);
        }
    }
    return o;
}

static char *name_for_people(const NbdNode *c)
{
    const SockAddr *a = &c->addr;
    const char *name = c->export_name ? c->export_name : "";
    bool colon = a->kind == ADDR_INET && strchr(a->host, ':');

    if (a->kind == ADDR_UNIX) {
        return g_strdup_printf("nbd+unix:///%s?socket=%s", name, a->path);
    }
    if (a->kind == ADDR_FD) {
        return g_strdup_printf("nbd://fd:%s%s%s", a->fd, *name ? "/" : "", name);
    }
    return g_strdup_printf("nbd://%s%s%s:%s%s%s", colon ? "[" : "", a->host,
                           colon ? "]" : "", a->port, *name ? "/" : "", name);
}

bool nbd_client_address(NbdNode *c, Error **errp)
{
    Json *server;
    bool ok = true;

    if (c->filename && !filename_parse(c, errp)) {
        return false;
    }
    server = server_object(c);
    if (server) {
        ok = addr_from_json(&c->addr, server, errp);
        json_free(server);
    } else if (c->path) {
        if (c->host) {
            return error_set(errp, "path and host may not be used at the same "
                             "time");
        }
        c->addr.kind = ADDR_UNIX;
        c->addr.path = g_strdup(c->path);
    } else if (c->host) {
        c->addr.kind = ADDR_INET;
        c->addr.host = g_strdup(c->host);
        c->addr.port = c->port ? g_strdup(c->port)
                               : g_strdup_printf("%d", NBD_PORT);
    } else {
        return error_set(errp, c->port ? "port may not be used without host"
                                       : "NBD server address missing");
    }
    if (ok && c->export_name && strlen(c->export_name) > NBD_STRING_MAX) {
        return error_set(errp, "export name too long to send to server");
    }
    if (ok) {
        c->node.filename = name_for_people(c);
    }
    return ok;
}

/* ---- connecting ---------------------------------------------------------- */

typedef struct Dial {
    const SockAddr *addr;
    Error *err;
} Dial;

static int64_t dial(void *arg)
{
    Dial *d = arg;

    return addr_connect(d->addr, CONNECT_MS, &d->err);
}

/* A descriptor by its name: only as the node opens, which is under the lock. */
static NO_TSA int64_t fd_given(NbdNode *c, Error **errp)
{
    if (c->lost_ns) {
        return -1;
    }
    machine_assert_locked();
    return addr_take_fd(&c->addr, errp);
}

bool nbd_client_connect(NbdNode *c, Error **errp)
{
    const char *host = c->tls_hostname ? c->tls_hostname
                     : c->addr.kind == ADDR_INET ? c->addr.host : NULL;
    const char *name = c->export_name ? c->export_name : "";
    NbdAsk ask = { .export_name = name, .creds = c->creds, .hostname = host,
                   .context = c->dirty_bitmap ? c->dirty_bitmap
                                              : "base:allocation" };
    Dial d = { .addr = &c->addr };
    NbdInfo info = { .size = 0 };
    int64_t fd;
    bool ok;

    yank_connected(&c->yank, -1);
    chan_close(&c->chan);
    if (c->addr.kind == ADDR_FD) {
        fd = fd_given(c, &d.err);
    } else {
        fd = pool_co_run(dial, &d);
    }
    if (fd < 0) {
        error_move(errp, d.err);
        return false;
    }
    chan_init(&c->chan, c->node.loop, (int)fd);
    yank_connected(&c->yank, (int)fd);
    ok = nbd_client_start(&c->chan, &ask, &info, errp);
    if (ok && c->lost_ns && info.size != c->size) {
        ok = error_set(errp, "Size of the export changed");
    }
    if (!ok) {
        nbd_info_clear(&info);
        yank_connected(&c->yank, -1);
        chan_close(&c->chan);
        return false;
    }
    nbd_info_clear(&c->info);
    c->info = info;
    c->connected = true;
    c->lost_ns = 0;
    return true;
}
