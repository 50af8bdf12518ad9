/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls-creds.c - objects tls-creds-anon, tls-creds-psk, tls-creds-x509 and
 * tls-cipher-suites: what the user says; the module "tls" makes keys of it.
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. keys is set exactly while credentials are loaded; sessions hold `users`, so
 *    that keys outlive them.
 */
#include <glib.h>
#include "secret.h"
#include "security/tls-creds.h"

enum { ENDPOINT_CLIENT, ENDPOINT_SERVER };
#define SUITES_MAX 512

static const UserType anon_type, psk_type, x509_type, suites_type;

static bool kind_of(const Obj *o, TlsKind *kind)
{
    const UserType *t = user_obj_type(o);

    *kind = t == &anon_type ? TLS_ANON : t == &psk_type ? TLS_PSK : TLS_X509;
    return t == &anon_type || t == &psk_type || t == &x509_type;
}

static MACHINE_CALL bool creds_complete(Obj *o, Error **errp)
{
    TlsCreds *c = (TlsCreds *)o;
    const TlsOps *ops = tls_ops(errp);
    TlsSpec spec = {
        .server = c->endpoint == ENDPOINT_SERVER,
        .verify_peer = c->verify_peer, .sanity_check = c->sanity_check,
        .dir = c->dir, .priority = c->priority, .username = c->username,
    };
    char *password = NULL;

    if (!ops || !kind_of(o, &spec.kind)) {
        return false;
    }
    if (c->passwordid) {
        password = secret_lookup_text(c->passwordid, errp);
        if (!password) {
            return false;
        }
    }
    spec.password = password;
    c->keys = ops->keys_new(&spec, errp);
    c->loaded = c->keys != NULL;
    secret_free(password, password ? strlen(password) : 0);
    return c->loaded;
}

bool tls_creds_reload(Obj *creds, Error **errp)
{
    TlsCreds *c = (TlsCreds *)creds;
    TlsKeys *old = c->keys;

    if (!creds_complete(creds, errp)) {
        c->keys = old;
        c->loaded = true;
        return false;
    }
    c->retired = g_slist_prepend(c->retired, old);
    return true;
}

static bool creds_can_delete(Obj *o, Error **errp)
{
    return g_atomic_int_get(&((TlsCreds *)o)->users) == 0 ||
           error_set(errp, "object '%s' is in use, can not be deleted",
                     o->name);
}

static MACHINE_CALL void creds_finish(Obj *o)
{
    TlsCreds *c = (TlsCreds *)o;

    if (c->keys) {
        tls_ops(NULL)->keys_free(c->keys);
        c->keys = NULL;
    }
    while (c->retired) {
        tls_ops(NULL)->keys_free(c->retired->data);
        c->retired = g_slist_delete_link(c->retired, c->retired);
    }
}

static MACHINE_CALL bool suites_complete(Obj *o, Error **errp)
{
    return ((TlsCreds *)o)->priority != NULL ||
           error_set(errp, "'priority' property is not set");
}

/* ---- rows --------------------------------------------------------------- */

static const PropEnum endpoints = {
    "QCryptoTLSCredsEndpoint",
    (const char *const[]){ "client", "server", NULL },
};

static const Prop common_props[] = {
    PROP_ENUM("endpoint", TlsCreds, endpoint, &endpoints, ENDPOINT_CLIENT,
              .desc = "client or server"),
    PROP_STR("dir", TlsCreds, dir, .type = "string",
             .desc = "folder with certificates and keys"),
    PROP_BOOL("verify-peer", TlsCreds, verify_peer, true,
              .desc = "a server asks clients for their certificates"),
    PROP_STR("priority", TlsCreds, priority, .type = "string",
             .desc = "GnuTLS priority string"),
    PROP_END
};

#define LOADED PROP_BOOL("loaded", TlsCreds, loaded, false, \
                         .flags = PF_READONLY)
static const Prop anon_props[] = { LOADED, PROP_END };
static const Prop psk_props[] = {
    PROP_STR("username", TlsCreds, username, .type = "string",
             .desc = "a client's name in keys.psk, \"qemu\" by default"),
    LOADED, PROP_END
};
static const Prop x509_props[] = {
    PROP_BOOL("sanity-check", TlsCreds, sanity_check, true,
              .desc = "look at the certificates first"),
    PROP_STR("passwordid", TlsCreds, passwordid, .type = "string",
             .desc = "secret with the private key's password"),
    LOADED, PROP_END
};

#define CREDS(sym, nm, pr, ...) \
    USER_TYPE(sym, { .name = nm, .parent = "tls-creds", \
                     .size = sizeof(TlsCreds), .base_props = common_props, \
                     .props = pr, .early = true, \
                     .can_delete = creds_can_delete, \
                     .finish = creds_finish, ##__VA_ARGS__ })

CREDS(anon_type, "tls-creds-anon", anon_props, .complete = creds_complete,
      .desc = "TLS without identities",
      .doc = "Encrypts, but nobody knows with whom one speaks.");
CREDS(psk_type, "tls-creds-psk", psk_props, .complete = creds_complete,
      .desc = "TLS with shared keys",
      .doc = "Keys by user in dir/keys.psk, as psktool writes them.");
CREDS(x509_type, "tls-creds-x509", x509_props, .complete = creds_complete,
      .desc = "TLS with certificates",
      .doc = "dir holds ca-cert.pem, perhaps ca-crl.pem, and server-cert.pem "
             "with server-key.pem, or client-cert.pem with client-key.pem.");
CREDS(suites_type, "tls-cipher-suites", NULL, .complete = suites_complete,
      .desc = "list of ciphers for firmware",
      .doc = "The cipher suites that priority permits, for a firmware's "
             "https, by -fw_cfg name=etc/edk2/https/ciphers,gen_id=ID.");

TYPE_NAME(tls_creds_type, { "tls-creds", "object", true });

/* ---- for others --------------------------------------------------------- */

bool tls_creds_is_server(const Obj *creds)
{
    return ((const TlsCreds *)creds)->endpoint == ENDPOINT_SERVER;
}

const char *tls_creds_kind(const Obj *creds)
{
    return obj_type(creds);
}

Obj *tls_creds_get(const char *id, bool server, Error **errp)
{
    Obj *o = user_obj_find(id);
    TlsKind kind;

    if (!o) {
        error_set(errp, "No TLS credentials with id '%s'", id);
        return NULL;
    }
    if (!kind_of(o, &kind)) {
        error_set(errp, "Object with id '%s' is not TLS credentials", id);
        return NULL;
    }
    if (tls_creds_is_server(o) != server) {
        error_set(errp, "Expected TLS credentials for a %s endpoint",
                  server ? "server" : "client");
        return NULL;
    }
    g_atomic_int_inc(&((TlsCreds *)o)->users);
    return o;
}

void tls_creds_put(Obj *creds)
{
    if (creds) {
        g_atomic_int_add(&((TlsCreds *)creds)->users, -1);
    }
}

bool tls_cipher_suites(const char *id, uint8_t **data, size_t *len,
                       Error **errp)
{
    Obj *o = user_obj_find(id);
    const TlsOps *ops = tls_ops(errp);
    uint8_t *p;
    int n;

    if (!ops) {
        return false;
    }
    if (!o || user_obj_type(o) != &suites_type) {
        return error_set(errp, "Object '%s' is not tls-cipher-suites", id);
    }
    p = g_malloc(SUITES_MAX * 2);
    n = ops->suites(((TlsCreds *)o)->priority, p, SUITES_MAX, errp);
    if (n < 0) {
        g_free(p);
        return false;
    }
    *data = p;
    *len = (size_t)n * 2;
    return true;
}
