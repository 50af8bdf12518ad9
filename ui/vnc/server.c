/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * server.c - VNC displays: -vnc, their sockets, their passwords.
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. A server is in the list exactly while its Display is with the consoles.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "input.h"
#include "module.h"
#include "opt.h"
#include "secret.h"
#include "settings.h"
#include "ui.h"
#include "ui/vnc/vnc.h"

#define FIRST_PORT 5900
#define FIRST_WS_PORT 5700

VncServer *vnc_servers;
const PictureOps *vnc_pictures;

VncServer *vnc_find(const char *id)
{
    VncServer *s = vnc_servers;

    while (s && id && strcmp(s->id, id)) {
        s = s->next;
    }
    return s;
}

/* ---- addresses ----------------------------------------------------------- */
static bool number(const char *text, long *out, Error **errp)
{
    char *end;

    *out = strtol(text, &end, 10);
    if (end == text || *end || *out < 0) {
        return error_set(errp, "can't convert to a number: %s", text);
    }
    return true;
}

typedef struct VncPlace {              /* the options that addresses share    */
    bool websocket, reverse;
    long to;
    OnOffAuto ipv4, ipv6;
} VncPlace;

/* "host:display", "unix:path"; for websockets "on", a port or "host:port". */
static bool place_parse(const char *text, const VncPlace *p, SockAddr *a,
                        const SockAddr *main_addr, Error **errp)
{
    const char *colon = strrchr(text, ':');
    long base = FIRST_PORT, n;

    *a = (SockAddr){ .kind = ADDR_INET, .ipv4 = p->ipv4, .ipv6 = p->ipv6 };
    if (g_str_has_prefix(text, "unix:")) {
        if (p->to >= 0) {
            return error_set(errp, "Port range not support with UNIX socket");
        }
        a->kind = ADDR_UNIX;
        a->path = g_strdup(text + 5);
        return true;
    }
    if (p->websocket && !strcmp(text, "on")) {
        if (main_addr->kind != ADDR_INET) {
            a->host = g_strdup("");
            a->port = g_strdup_printf("%d", FIRST_WS_PORT);
            return true;
        }
        a->host = g_strdup(main_addr->host);
        a->port = g_strdup_printf("%ld", strtol(main_addr->port, NULL, 10) -
                                  FIRST_PORT + FIRST_WS_PORT);
        a->to = main_addr->to ? (uint16_t)(main_addr->to - FIRST_PORT +
                                           FIRST_WS_PORT) : 0;
        return true;
    }
    if (!colon && !p->websocket) {
        return error_set(errp, "no vnc port specified");
    }
    if (colon && colon > text && text[0] == '[' && colon[-1] == ']') {
        a->host = g_strndup(text + 1, (gsize)(colon - text) - 2);
    } else {
        a->host = colon ? g_strndup(text, (gsize)(colon - text))
                        : g_strdup(main_addr->host);
    }
    text = colon ? colon + 1 : text;
    if (!*text) {
        return error_set(errp, p->websocket ? "websocket port cannot be empty"
                         : "vnc port cannot be empty");
    }
    if (p->websocket) {                 /* or a service's name                */
        a->port = g_strdup(text);
        return true;
    }
    if (!number(text, &n, errp)) {
        return false;
    }
    if (p->reverse) {
        base = 0;
    }
    if (n + base > 65535) {
        return error_set(errp, "port %ld out of range", n);
    }
    a->port = g_strdup_printf("%ld", n + base);
    if (p->to >= 0) {
        a->to = (uint16_t)MIN2(p->to + FIRST_PORT, 65535);
    }
    return true;
}

/* ---- listening ----------------------------------------------------------- */
static void incoming(void *arg, unsigned events)
{
    VncListener *l = arg;

    machine_assert_locked();
    int fd = addr_accept(l->fd);

    if (fd >= 0) {
        vnc_client_new(l->srv, fd, l->websocket, false);
    }
}

static bool listen_on(VncServer *s, const SockAddr *a, bool websocket,
                      Error **errp) MACHINE_CALL;
static bool listen_on(VncServer *s, const SockAddr *a, bool websocket,
                      Error **errp)
{
    int fds[ADDR_LISTENERS], n = addr_listen(a, fds, errp);

    for (int i = 0; i < n; i++) {
        VncListener *l;

        if (s->n_listeners == VNC_LISTENERS) {
            close(fds[i]);
            continue;
        }
        l = &s->listeners[s->n_listeners++];
        *l = (VncListener){ .srv = s, .fd = fds[i], .websocket = websocket };
        addr_of_socket(fds[i], false, &l->local);
        loop_fd(loop_main, fds[i], EPOLLIN, incoming, l);
    }
    if (n > 0 && a->kind == ADDR_UNIX) {
        g_free(s->unix_path[websocket]);
        s->unix_path[websocket] = g_strdup(a->path);
    }
    return n > 0;
}

static void stop_listening(VncServer *s) MACHINE_CALL;
static void stop_listening(VncServer *s)
{
    for (unsigned i = 0; i < s->n_listeners; i++) {
        loop_fd(loop_main, s->listeners[i].fd, 0, NULL, NULL);
        close(s->listeners[i].fd);
        addr_clear(&s->listeners[i].local);
    }
    s->n_listeners = 0;
    for (int i = 0; i < 2; i++) {
        if (s->unix_path[i]) {
            unlink(s->unix_path[i]);
            g_free(s->unix_path[i]);
            s->unix_path[i] = NULL;
        }
    }
}

/* ---- lamps --------------------------------------------------------------- */
static void leds_changed(unsigned leds) MACHINE_CALL;
static void leds_changed(unsigned leds)
{
    for (VncServer *s = vnc_servers; s; s = s->next) {
        s->num_lock = leds & 2;
        for (VncClient *c = s->clients; c; c = c->next_client) {
            c->led_due = true;
            vnc_update_try(c);
        }
    }
}

/* ---- options ------------------------------------------------------------- */
typedef struct VncOptions {
    Json *o;
    Error **errp;
    bool bad;
} VncOptions;

static const char *str(VncOptions *v, const char *key)
{
    return json_get_str(v->o, key);
}

static bool flag(VncOptions *v, const char *key, bool usual)
{
    const char *t = str(v, key);
    bool out = usual;

    if (t && !v->bad && !opt_bool(key, t, &out, v->errp)) {
        v->bad = true;
    }
    return out;
}

static long count(VncOptions *v, const char *key, long usual)
{
    const char *t = str(v, key);
    uint64_t out = (uint64_t)usual;

    if (t && !v->bad && !opt_u64(key, t, &out, v->errp)) {
        v->bad = true;
    }
    return (long)out;
}

static bool known(const Json *o, Error **errp)
{
    static const char *const names[] = {
        "vnc", "websocket", "tls-creds", "share", "display", "head",
        "connections", "to", "ipv4", "ipv6", "password", "password-secret",
        "reverse", "lock-key-sync", "key-delay-ms", "sasl", "tls-authz",
        "sasl-authz", "lossy", "non-adaptive", "audiodev", "power-control",
        "id", "tls", "x509", "x509verify",
    };

    for (size_t i = 0; i < json_count(o); i++) {
        const char *key = json_key_at(o, i);
        size_t k = 0;

        while (k < ARRAY_SIZE(names) && strcmp(names[k], key)) {
            k++;
        }
        if (k == ARRAY_SIZE(names)) {
            return error_set(errp, "Invalid parameter '%s'", key);
        }
    }
    return true;
}

static bool set_share(VncServer *s, const char *how, Error **errp)
{
    static const char *const names[] = {
        [SHARE_FORCE] = "force-shared", [SHARE_EXCLUSIVE] = "allow-exclusive",
        [SHARE_IGNORE] = "ignore",
    };

    s->share = SHARE_EXCLUSIVE;
    for (unsigned i = 0; how && i < ARRAY_SIZE(names); i++) {
        if (!strcmp(names[i], how)) {
            s->share = (VncShare)i;
            return true;
        }
    }
    return !how || error_set(errp, "unknown vnc share= option");
}

/* The way from before there were objects: "tls" alone has no certificates,
 * "x509=" says where the server's are, "x509verify=" asks clients for theirs. */
static bool set_old_tls(VncServer *s, VncOptions *v, Error **errp) MACHINE_CALL;
static bool set_old_tls(VncServer *s, VncOptions *v, Error **errp)
{
    const char *verify = str(v, "x509verify");
    const char *dir = verify ? verify : str(v, "x509");
    Json *props;
    bool ok;

    if (!flag(v, "tls", false)) {
        return !v->bad && (!dir || error_set(errp, "'x509' provided but TLS is "
                                             "not enabled"));
    }
    if (str(v, "tls-creds")) {
        return error_set(errp, "'tls' is redundant with 'tls-creds'");
    }
    if (dir && !strcmp(dir, "on")) {    /* said without a folder              */
        dir = "/etc/pki/qemu";
    }
    props = json_obj();
    json_set_str(props, "endpoint", "server");
    if (dir) {
        json_set_str(props, "dir", dir);
        json_set_str(props, "verify-peer", verify ? "on" : "off");
    }
    s->own_creds = g_strdup_printf("vnc-%s-tls", s->id);
    ok = user_obj_add(dir ? "tls-creds-x509" : "tls-creds-anon", s->own_creds,
                      props, true, errp);
    json_free(props);
    if (!ok) {
        g_free(s->own_creds);
        s->own_creds = NULL;
        return false;
    }
    s->creds = tls_creds_get(s->own_creds, true, errp);
    return s->creds != NULL;
}

static bool set_security(VncServer *s, VncOptions *v, Error **errp) MACHINE_CALL;
static bool set_security(VncServer *s, VncOptions *v, Error **errp)
{
    bool password = flag(v, "password", false), sasl = flag(v, "sasl", false);
    const char *secret = str(v, "password-secret");

    if (v->bad) {
        return false;
    }
    if (secret) {
        if (str(v, "password")) {
            return error_set(errp, "'password' flag is redundant with "
                             "'password-secret'");
        }
        s->password = secret_lookup_text(secret, errp);
        if (!s->password) {
            return false;
        }
        password = true;
    }
    /* loaded now: later, the program may no longer see its file */
    if (password && !module_symbol("ui-des", "des_ops_table", NULL)) {
        return error_set(errp, "Cipher backend does not support DES algorithm");
    }
    if (sasl && !vnc_sasl_ready()) {
        return error_set(errp, "VNC SASL auth requires cyrus-sasl support");
    }
    if (str(v, "tls-creds")) {
        s->creds = tls_creds_get(str(v, "tls-creds"), true, errp);
        if (!s->creds) {
            return false;
        }
    }
    if (!set_old_tls(s, v, errp)) {
        return false;
    }
    if (str(v, "tls-authz") && !s->creds) {
        return error_set(errp, "'tls-authz' provided but TLS is not enabled");
    }
    if (str(v, "sasl-authz") && !sasl) {
        return error_set(errp, "'sasl-authz' provided but SASL auth is not "
                         "enabled");
    }
    s->tls_authz = g_strdup(str(v, "tls-authz"));
    s->sasl_authz = g_strdup(str(v, "sasl-authz"));
    s->password_used = password;
    vnc_auth_setup(s, password, sasl);
    return true;
}

static bool set_rest(VncServer *s, VncOptions *v, Error **errp) MACHINE_CALL;
static bool set_rest(VncServer *s, VncOptions *v, Error **errp)
{
    const char *dev = str(v, "display"), *audio = str(v, "audiodev");
    Console *con = NULL;

    if (audio && !audiodev_exists(audio)) {
        return error_set(errp, "Audiodev '%s' not found", audio);
    }
    s->keymap = keymap_find(settings.keyboard ? settings.keyboard : "en-us");
    if (!s->keymap) {
        return error_set(errp, "could not read keymap file: '%s'",
                         settings.keyboard);
    }
    if (!set_share(s, str(v, "share"), errp) ||
        !set_security(s, v, errp)) {
        return false;
    }
    s->connections = (unsigned)count(v, "connections", 32);
    s->lossy = flag(v, "lossy", false);
    s->non_adaptive = flag(v, "non-adaptive", false);
    s->power_control = flag(v, "power-control", false);
    s->lock_key_sync = flag(v, "lock-key-sync", true);
    s->key_delay_ms = (unsigned)count(v, "key-delay-ms", 10);
    if (dev) {
        con = console_find(dev, (unsigned)count(v, "head", 0), errp);
        if (!con) {
            return false;
        }
        s->display_id = g_strdup(dev);
    }
    vnc_pictures = picture_ops(NULL);
    s->display.ops = &vnc_display_ops;
    s->display.arg = s;
    display_add(&s->display, con);
    return !v->bad;
}

static bool connect_out(VncServer *s, const SockAddr *a, Error **errp)
    MACHINE_CALL;
static bool connect_out(VncServer *s, const SockAddr *a, Error **errp)
{
    int fd = addr_connect(a, 30000, errp);

    return fd >= 0 && vnc_client_new(s, fd, false, false);
}

static bool open_sockets(VncServer *s, VncOptions *v, Error **errp)
    MACHINE_CALL;
static bool open_sockets(VncServer *s, VncOptions *v, Error **errp)
{
    const char *where = str(v, "vnc"), *ws = str(v, "websocket");
    VncPlace p = { .reverse = flag(v, "reverse", false),
                   .to = count(v, "to", -1) };
    SockAddr a = { 0 }, b = { 0 };
    bool ok;

    p.ipv4 = str(v, "ipv4") ? flag(v, "ipv4", true) ? OOA_ON : OOA_OFF
                            : OOA_AUTO;
    p.ipv6 = str(v, "ipv6") ? flag(v, "ipv6", true) ? OOA_ON : OOA_OFF
                            : OOA_AUTO;
    if (v->bad) {
        return false;
    }
    if (!where || !strcmp(where, "none")) {
        return true;
    }
    s->enabled = true;
    ok = place_parse(where, &p, &a, NULL, errp);
    if (ok && ws && strcmp(ws, "off")) {
        p.websocket = true;
        ok = p.reverse
            ? error_set(errp, "Cannot use websockets in reverse mode")
            : place_parse(ws, &p, &b, &a, errp);
    }
    if (ok) {
        ok = p.reverse ? connect_out(s, &a, errp)
                       : listen_on(s, &a, false, errp);
    }
    if (ok && p.websocket) {
        ok = listen_on(s, &b, true, errp);
    }
    if (ok && p.to >= 0 && s->n_listeners && !settings.dry_run &&
        !settings.print_config) {
        const SockAddr *at = &s->listeners[0].local;

        /* Which of the ports it has become. */
        fprintf(stderr, "VNC server running on %s:%s\n", at->host, at->port);
    }
    addr_clear(&a);
    addr_clear(&b);
    return ok;
}

static void server_free(VncServer *s) MACHINE_CALL;
static void server_free(VncServer *s)
{
    VncServer **p = &vnc_servers;

    while (*p && *p != s) {
        p = &(*p)->next;
    }
    if (*p) {
        *p = s->next;
    }
    stop_listening(s);
    while (s->clients) {
        vnc_client_end(s->clients);
    }
    display_remove(&s->display);
    vnc_server_drop_surface(s);
    tls_creds_put(s->creds);
    if (s->own_creds) {
        user_obj_del(s->own_creds, NULL);
        g_free(s->own_creds);
    }
    if (s->password) {
        secret_free(s->password, strlen(s->password));
    }
    g_free(s->tls_authz);
    g_free(s->sasl_authz);
    g_free(s->display_id);
    g_free(s->id);
    g_free(s);
}

static char *free_id(void)
{
    char *id = g_strdup("default");

    for (int i = 2; vnc_find(id); i++) {
        g_free(id);
        id = g_strdup_printf("vnc%d", i);
    }
    return id;
}

bool vnc_option(const char *arg, Error **errp)
{
    VncServer *s, **p = &vnc_servers;
    Opts o;
    VncOptions v = { .errp = errp };
    bool ok;

    if (!opts_parse(&o, arg, "vnc", OPT_FLAT | OPT_BARE, errp)) {
        return false;
    }
    v.o = o.obj;
    if (str(&v, "id") && !opt_id_ok(str(&v, "id"))) {
        error_set(errp, "Parameter 'id' expects an identifier");
        error_hint(errp, "Identifiers consist of letters, digits, '-', '.', "
                   "'_', starting with a letter.");
        opts_free(&o);
        return false;
    }
    if (!known(o.obj, errp)) {
        opts_free(&o);
        return false;
    }
    s = g_new0(VncServer, 1);
    s->expires = INT64_MAX;
    s->num_lock = input_leds() & 2;
    input_leds_changed = leds_changed;
    s->id = str(&v, "id") ? g_strdup(str(&v, "id")) : free_id();
    while (*p) {
        p = &(*p)->next;
    }
    *p = s;
    ok = set_rest(s, &v, errp) && open_sockets(s, &v, errp);
    opts_free(&o);
    if (!ok) {
        server_free(s);
    }
    return ok;
}

bool vnc_add_client(int fd, bool skip_auth, Error **errp)
{
    if (!vnc_servers) {
        close(fd);
        return error_set(errp, "VNC is not running");
    }
    vnc_client_new(vnc_servers, fd, false, skip_auth);
    return true;
}

bool vnc_update_addresses(const SockAddr *a, unsigned n, Error **errp)
{
    VncServer *s = vnc_servers;
    bool ok = true;

    machine_assert_locked();
    if (!s) {
        return error_set(errp, "VNC is not running");
    }
    stop_listening(s);
    for (unsigned i = 0; i < n && ok; i++) {
        ok = listen_on(s, &a[i], false, errp);
    }
    return ok;
}

void vnc_exit(void)
{
    while (vnc_servers) {
        server_free(vnc_servers);
    }
}
