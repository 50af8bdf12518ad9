/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls.h - TLS sessions over any transport, with the credentials of objects
 * tls-creds-anon, tls-creds-psk and tls-creds-x509; for character devices, VNC,
 * NBD and block drivers.
 *
 * Credentials: MACHINE_CALL. A session belongs to whoever made it: one thread at
 * a time.
 */
#ifndef TERN_TLS_H
#define TERN_TLS_H

#include "obj.h"

typedef enum TlsStatus {
    TLS_FAILED,                        /* *errp says why                      */
    TLS_DONE,
    TLS_WANT_READ, TLS_WANT_WRITE,     /* call again when the transport can   */
} TlsStatus;

/* The transport, whose calls never block: bytes moved, 0 at the end (read), or
 * -errno; -EAGAIN: nothing now. */
typedef struct TlsIo {
    ssize_t (*read)(void *arg, void *buf, size_t n);
    ssize_t (*write)(void *arg, const void *buf, size_t n);
} TlsIo;

typedef struct TlsSession TlsSession;

/* The credentials named id, which must be for that side ("Expected TLS
 * credentials for a server endpoint"); NULL with *errp. They cannot be deleted
 * until tls_creds_put. */
Obj *tls_creds_get(const char *id, bool server, Error **errp) MACHINE_CALL;
void tls_creds_put(Obj *creds);        /* ANY_THREAD; NULL is fine            */
/* Reads keys and certificates again, for sessions from now on; when that fails
 * the old ones stay. */
bool tls_creds_reload(Obj *creds, Error **errp) MACHINE_CALL;
bool tls_creds_is_server(const Obj *creds);
/* "tls-creds-x509": for those who speak of the kind in their protocol (VNC). */
const char *tls_creds_kind(const Obj *creds);

/*
 * A session over io(arg). hostname: what a client expects in the server's
 * certificate; NULL: does not care. authz: id of an authz-* object that decides
 * about the other side's distinguished name; NULL: anybody. Takes its own hold
 * of creds, on which the caller has one.
 */
TlsSession *tls_session_new(Obj *creds, const TlsIo *io, void *arg,
                            const char *hostname, const char *authz,
                            Error **errp);
void tls_session_free(TlsSession *s);  /* NULL is fine                        */
/* Until TLS_DONE or TLS_FAILED; then the other side is verified and let in. With
 * authz under the machine lock. */
TlsStatus tls_handshake(TlsSession *s, Error **errp);
/* Bytes; 0: the end (read only); -EAGAIN; another -errno with *errp. A write
 * that gave -EAGAIN is repeated with the same bytes. */
ssize_t tls_read(TlsSession *s, void *buf, size_t n, Error **errp);
ssize_t tls_write(TlsSession *s, const void *buf, size_t n, Error **errp);
/* Decrypted bytes that are here already, for which the transport shows no
 * event. */
size_t tls_pending(const TlsSession *s);
/* Tells the other side that this is the end. */
TlsStatus tls_bye(TlsSession *s);
/* The other side's distinguished name; NULL: it showed none, or no handshake. */
const char *tls_peer_name(const TlsSession *s);
int tls_cipher_bits(const TlsSession *s);          /* of the key; 0: unknown  */

/* The cipher suites of object tls-cipher-suites `id`, two bytes each, as firmware
 * takes them (UEFI 2.8, EFI_TLS_CIPHER). Caller g_frees. */
bool tls_cipher_suites(const char *id, uint8_t **data, size_t *len,
                       Error **errp) MACHINE_CALL;

#endif
