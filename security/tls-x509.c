/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls-x509.c - certificates of a folder and of the other side (RFC 5280; files
 * ca-cert.pem, ca-crl.pem, server-cert.pem, server-key.pem, client-cert.pem,
 * client-key.pem). Part of the module "tls".
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. A list of certificates is bounded by CERTS_MAX, whatever a file or the other
 *    side holds.
 */
#include <time.h>
#include <glib.h>
#include "security/tls-lib.h"

#define CERTS_MAX 16

/* ---- sanity of our own -------------------------------------------------- */

typedef struct Role {
    const char *word;                  /* "server", "CA"                      */
    bool ca, server;
} Role;

static bool check_times(gnutls_x509_crt_t c, const char *file,
                        const Role *role, Error **errp)
{
    time_t now = time(NULL);

    if (gnutls_x509_crt_get_expiration_time(c) < now) {
        return error_set(errp, "The %s certificate %s has expired", role->word,
                         file);
    }
    return gnutls_x509_crt_get_activation_time(c) <= now ||
           error_set(errp, "The %s certificate %s is not yet active",
                     role->word, file);
}

static bool check_constraints(gnutls_x509_crt_t c, const char *file,
                              const Role *role, Error **errp)
{
    int r = gnutls_x509_crt_get_basic_constraints(c, NULL, NULL, NULL);

    if (r < 0 && r != GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE) {
        return error_set(errp, "Unable to query certificate %s basic "
                         "constraints: %s", file, gnutls_strerror(r));
    }
    if (role->ca) {
        return r > 0 || error_set(errp, "The certificate %s basic constraints "
                                  "do not show a CA", file);
    }
    return r <= 0 || error_set(errp, "The certificate %s basic constraints "
                               "show a CA, but we need one for a %s", file,
                               role->word);
}

static bool check_usage(gnutls_x509_crt_t c, const char *file,
                        const Role *role, Error **errp)
{
    unsigned usage = 0, critical = 0;
    int r = gnutls_x509_crt_get_key_usage(c, &usage, &critical);

    if (r < 0) {
        return r == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE ||
               error_set(errp, "Unable to query certificate %s key usage: %s",
                         file, gnutls_strerror(r));
    }
    return !role->ca || !critical || usage & GNUTLS_KEY_KEY_CERT_SIGN ||
           error_set(errp, "Certificate %s usage does not permit certificate "
                     "signing", file);
}

static bool check_purpose(gnutls_x509_crt_t c, const char *file,
                          const Role *role, Error **errp)
{
    const char *want = role->server ? GNUTLS_KP_TLS_WWW_SERVER
                                    : GNUTLS_KP_TLS_WWW_CLIENT;
    bool any = false, must = false;

    for (unsigned i = 0; i < CERTS_MAX && !role->ca; i++) {
        char oid[64];
        size_t n = sizeof(oid);
        unsigned critical = 0;

        if (gnutls_x509_crt_get_key_purpose_oid(c, i, oid, &n,
                                                &critical) < 0) {
            break;
        }
        must |= critical != 0;
        any |= !strcmp(oid, want) || !strcmp(oid, GNUTLS_KP_ANY);
    }
    return any || !must ||
           error_set(errp, "Certificate %s purpose does not allow use with a "
                     "TLS %s", file, role->word);
}

static bool check_one(gnutls_x509_crt_t c, const char *file, const Role *role,
                      Error **errp)
{
    return check_times(c, file, role, errp) &&
           check_constraints(c, file, role, errp) &&
           check_usage(c, file, role, errp) &&
           check_purpose(c, file, role, errp);
}

static const char *fault_text(unsigned status)
{
    return status & GNUTLS_CERT_REVOKED
         ? "The certificate has been revoked"
         : status & GNUTLS_CERT_SIGNER_NOT_FOUND
         ? "The certificate hasn't got a known issuer"
         : status & GNUTLS_CERT_INSECURE_ALGORITHM
         ? "The certificate uses an insecure algorithm"
         : status & GNUTLS_CERT_EXPIRED ? "The certificate has expired"
         : status & GNUTLS_CERT_NOT_ACTIVATED
         ? "The certificate is not yet activated"
         : "The certificate is not trusted";
}

static bool check_pair(gnutls_x509_crt_t own, const char *own_file,
                       gnutls_x509_crt_t *ca, unsigned nca,
                       const char *ca_file, Error **errp)
{
    unsigned status = 0;
    int r = gnutls_x509_crt_list_verify(&own, 1, ca, nca, NULL, 0, 0, &status);

    if (r < 0) {
        return error_set(errp, "Unable to verify certificate %s against CA "
                         "certificate %s", own_file, ca_file);
    }
    return !status ||
           error_set(errp, "Our own certificate %s failed validation against "
                     "%s: %s", own_file, ca_file, fault_text(status));
}

static bool own_import(const char *file, const Role *role,
                       gnutls_x509_crt_t *out, Error **errp)
{
    gnutls_datum_t d;
    int r;

    if (!tls_file_read(file, &d, errp)) {
        return false;
    }
    gnutls_x509_crt_init(out);
    r = gnutls_x509_crt_import(*out, &d, GNUTLS_X509_FMT_PEM);
    g_free(d.data);
    return r >= 0 || error_set(errp, "Unable to import %s certificate %s: %s",
                               role->word, file, gnutls_strerror(r));
}

static bool ca_import(const char *file, gnutls_x509_crt_t *v, unsigned *n,
                      Error **errp)
{
    gnutls_datum_t d;
    int r;

    if (!tls_file_read(file, &d, errp)) {
        return false;
    }
    *n = CERTS_MAX;
    r = gnutls_x509_crt_list_import(v, n, &d, GNUTLS_X509_FMT_PEM, 0);
    g_free(d.data);
    if (r < 0) {
        *n = 0;
        return error_set(errp, "Unable to import CA certificate list %s",
                         file);
    }
    *n = r;
    return true;
}

static bool sanity(const TlsSpec *s, const char *ca_file,
                   const char *own_file, Error **errp)
{
    const Role ca_role = { "CA", .ca = true };
    const Role role = { s->server ? "server" : "client",
                        .server = s->server };
    gnutls_x509_crt_t own = NULL, ca[CERTS_MAX];
    unsigned nca = 0;
    bool ok = (!own_file || own_import(own_file, &role, &own, errp)) &&
              ca_import(ca_file, ca, &nca, errp) &&
              (!own || check_one(own, own_file, &role, errp));

    for (unsigned i = 0; ok && i < nca; i++) {
        ok = check_one(ca[i], ca_file, &ca_role, errp);
    }
    ok = ok && (!own || check_pair(own, own_file, ca, nca, ca_file, errp));
    for (unsigned i = 0; i < nca; i++) {
        gnutls_x509_crt_deinit(ca[i]);
    }
    if (own) {
        gnutls_x509_crt_deinit(own);
    }
    return ok;
}

/* ---- loading ------------------------------------------------------------ */

typedef struct Files {
    char *ca, *crl, *cert, *key;
} Files;

static bool files_find(const TlsSpec *s, Files *f, Error **errp)
{
    return tls_file(s, TLS_CA_CERT, true, &f->ca, errp) &&
           tls_file(s, TLS_CA_CRL, false, &f->crl, errp) &&
           tls_file(s, s->server ? "server-cert.pem" : "client-cert.pem",
                    s->server, &f->cert, errp) &&
           tls_file(s, s->server ? "server-key.pem" : "client-key.pem",
                    s->server, &f->key, errp);
}

static bool files_load(TlsKeys *k, const TlsSpec *s, const Files *f,
                       Error **errp)
{
    int r = gnutls_certificate_set_x509_trust_file(k->x509, f->ca,
                                                   GNUTLS_X509_FMT_PEM);

    if (r < 0) {
        return error_set(errp, "Cannot load CA certificate '%s': %s", f->ca,
                         gnutls_strerror(r));
    }
    if (f->cert && f->key) {
        r = gnutls_certificate_set_x509_key_file2(k->x509, f->cert, f->key,
                                                  GNUTLS_X509_FMT_PEM,
                                                  s->password, 0);
        if (r < 0) {
            return error_set(errp, "Cannot load certificate '%s' & key '%s': "
                             "%s", f->cert, f->key, gnutls_strerror(r));
        }
    }
    if (f->crl) {
        r = gnutls_certificate_set_x509_crl_file(k->x509, f->crl,
                                                 GNUTLS_X509_FMT_PEM);
        if (r < 0) {
            return error_set(errp, "Cannot load CRL '%s': %s", f->crl,
                             gnutls_strerror(r));
        }
    }
    return true;
}

bool tls_x509_load(TlsKeys *k, const TlsSpec *s, Error **errp)
{
    Files f = { NULL };
    bool ok;
    int r = gnutls_certificate_allocate_credentials(&k->x509);

    if (r < 0) {
        return error_set(errp, "Cannot allocate credentials: '%s'",
                         gnutls_strerror(r));
    }
    ok = files_find(s, &f, errp) &&
         (!s->sanity_check || sanity(s, f.ca, f.cert, errp)) &&
         files_load(k, s, &f, errp);
    g_free(f.ca);
    g_free(f.crl);
    g_free(f.cert);
    g_free(f.key);
    return ok;
}

/* ---- the other side ----------------------------------------------------- */

static bool peer_one(const gnutls_datum_t *raw, bool first,
                     const char *hostname, char **name, Error **errp)
{
    gnutls_x509_crt_t c;
    time_t now = time(NULL);
    gnutls_datum_t dn = { NULL, 0 };
    bool ok = true;

    if (gnutls_x509_crt_init(&c) < 0) {
        return error_set(errp, "No memory for a certificate");
    }
    if (gnutls_x509_crt_import(c, raw, GNUTLS_X509_FMT_DER) < 0) {
        ok = error_set(errp, "Cannot import the other side's certificate");
    } else if (gnutls_x509_crt_get_expiration_time(c) < now) {
        ok = error_set(errp, "The certificate has expired");
    } else if (gnutls_x509_crt_get_activation_time(c) > now) {
        ok = error_set(errp, "The certificate is not yet activated");
    } else if (first && gnutls_x509_crt_get_dn3(c, &dn, 0) < 0) {
        ok = error_set(errp, "Cannot get the other side's distinguished name");
    } else if (first && hostname &&
               !gnutls_x509_crt_check_hostname(c, hostname)) {
        ok = error_set(errp, "Certificate does not match the hostname %s",
                       hostname);
    }
    if (dn.data) {
        *name = g_strndup((char *)dn.data, dn.size);
        gnutls_free(dn.data);
    }
    gnutls_x509_crt_deinit(c);
    return ok;
}

bool tls_x509_verify(gnutls_session_t session, const TlsKeys *k,
                     const char *hostname, char **name, Error **errp)
{
    const gnutls_datum_t *list;
    unsigned status = 0, n = 0;
    int r;

    if (k->server && !k->verify_peer) {
        return true;
    }
    r = gnutls_certificate_verify_peers2(session, &status);
    if (r < 0) {
        return error_set(errp, "Verify failed: %s", gnutls_strerror(r));
    }
    if (status) {
        return error_set(errp, "%s", fault_text(status));
    }
    list = gnutls_certificate_get_peers(session, &n);
    if (!list || !n || n > CERTS_MAX) {
        return error_set(errp, "%s", n ? "Too many certificate peers"
                                       : "No certificate peers");
    }
    for (unsigned i = 0; i < n; i++) {
        if (!peer_one(&list[i], i == 0, hostname, name, errp)) {
            return false;
        }
    }
    return true;
}
