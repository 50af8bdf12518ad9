/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tls-lib.h - private to the module "tls". MACHINE_CALL. */
#ifndef TERN_SECURITY_TLS_LIB_H
#define TERN_SECURITY_TLS_LIB_H

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include "security/tls-ops.h"

struct TlsKeys {
    TlsKind kind;
    bool server, verify_peer;
    char *priority;                    /* as the library takes it             */
    gnutls_certificate_credentials_t x509;
    gnutls_anon_server_credentials_t anon_server;
    gnutls_anon_client_credentials_t anon_client;
    gnutls_psk_server_credentials_t psk_server;
    gnutls_psk_client_credentials_t psk_client;
    gnutls_dh_params_t dh;
};

#define TLS_CA_CERT "ca-cert.pem"
#define TLS_CA_CRL "ca-crl.pem"
#define TLS_DH_PARAMS "dh-params.pem"
#define TLS_PSK_FILE "keys.psk"

/* "dir/name" in *path (g_free) when it is there; false with *errp when it is not
 * and required. *path NULL: not there. */
bool tls_file(const TlsSpec *s, const char *name, bool required, char **path,
              Error **errp);
/* A whole file of credentials; g_free out->data. */
bool tls_file_read(const char *path, gnutls_datum_t *out, Error **errp);
/* Certificates, key and revocations of dir into k->x509. */
bool tls_x509_load(TlsKeys *k, const TlsSpec *s, Error **errp);
/* The other side's certificates after a handshake: trusted, of this time, and
 * for hostname (NULL: any). *name receives the distinguished name. */
bool tls_x509_verify(gnutls_session_t session, const TlsKeys *k,
                     const char *hostname, char **name, Error **errp);

#endif
