/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls-ops.h - what the module "tls" offers the rest of this folder: GnuTLS,
 * loaded when the first object needs it. MACHINE_CALL unless stated.
 */
#ifndef TERN_SECURITY_TLS_OPS_H
#define TERN_SECURITY_TLS_OPS_H

#include "tls.h"

typedef enum TlsKind { TLS_ANON, TLS_PSK, TLS_X509 } TlsKind;

/* What the user said about credentials; strings may be NULL. */
typedef struct TlsSpec {
    TlsKind kind;
    bool server, verify_peer, sanity_check;
    const char *dir, *priority, *username;
    const char *password;              /* of the private key                  */
} TlsSpec;

typedef struct TlsLink TlsLink;        /* the library's session               */
typedef struct TlsKeys TlsKeys;        /* the library's credentials           */

typedef struct TlsOps {
    /* len: a multiple of 16; out as long as in. */
    bool (*aes256_cbc_decrypt)(const uint8_t key[32], const uint8_t iv[16],
                               const uint8_t *in, uint8_t *out, size_t len,
                               Error **errp);
    TlsKeys *(*keys_new)(const TlsSpec *spec, Error **errp);
    void (*keys_free)(TlsKeys *k);
    TlsLink *(*link_new)(TlsKeys *k, const TlsIo *io, void *arg,
                         const char *hostname, Error **errp);
    void (*link_free)(TlsLink *l);
    /* As tls_handshake without authorization: *name receives the other side's
     * distinguished name (g_free; NULL: it showed none). */
    TlsStatus (*handshake)(TlsLink *l, char **name, Error **errp);
    ssize_t (*read)(TlsLink *l, void *buf, size_t n, Error **errp);
    ssize_t (*write)(TlsLink *l, const void *buf, size_t n, Error **errp);
    size_t (*pending)(TlsLink *l);
    TlsStatus (*bye)(TlsLink *l);
    int (*cipher_bits)(TlsLink *l);
    /* Cipher suites of a priority string, two bytes each (IANA); count or -1. */
    int (*suites)(const char *priority, uint8_t *out, size_t max, Error **errp);
} TlsOps;

/* NULL: this program was built or installed without it; *errp says so. */
const TlsOps *tls_ops(Error **errp) MACHINE_CALL;

#endif
