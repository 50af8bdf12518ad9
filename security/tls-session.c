/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls-session.c - a TLS session: handshake, then authorization, then data.
 *
 * Thread class: its owner's, whose hold keeps the creds; MACHINE_CALL with authz.
 *
 * Invariants
 * 1. No data before `ready`: the handshake is done, the other side verified and
 *    let in.
 * 2. A failed session stays failed.
 */
#include <glib.h>
#include "authz.h"
#include "security/tls-creds.h"

struct TlsSession {
    TlsCreds *creds;
    TlsLink *link;
    char *authz, *name;
    bool ready, failed;
};

/* The module is loaded: credentials are. No lock is needed to find it. */
static NO_TSA const TlsOps *loaded_ops(void)
{
    return tls_ops(NULL);
}

TlsSession *tls_session_new(Obj *creds, const TlsIo *io, void *arg,
                            const char *hostname, const char *authz,
                            Error **errp)
{
    TlsCreds *c = (TlsCreds *)creds;
    TlsLink *link;
    TlsSession *s;

    if (!c->keys) {
        error_set(errp, "TLS credentials '%s' are not loaded", creds->name);
        return NULL;
    }
    link = loaded_ops()->link_new(c->keys, io, arg, hostname, errp);
    if (!link) {
        return NULL;
    }
    s = g_new0(TlsSession, 1);
    s->creds = c;
    s->link = link;
    s->authz = g_strdup(authz);
    g_atomic_int_inc(&c->users);
    return s;
}

void tls_session_free(TlsSession *s)
{
    if (s) {
        loaded_ops()->link_free(s->link);
        tls_creds_put(&s->creds->obj);
        g_free(s->authz);
        g_free(s->name);
        g_free(s);
    }
}

static NO_TSA bool let_in(TlsSession *s, Error **errp)
{
    int r;

    if (!s->authz) {
        return true;
    }
    if (!s->name) {
        return error_set(errp, "TLS authz check by '%s': the other side showed "
                         "no identity", s->authz);
    }
    machine_assert_locked();
    r = authz_check(s->authz, s->name, errp);
    return r == 1 || (r < 0 ? false :
                      error_set(errp, "TLS x509 authz check for %s is denied",
                                s->name));
}

TlsStatus tls_handshake(TlsSession *s, Error **errp)
{
    TlsStatus st;
    char *name = NULL;

    if (s->ready) {
        return TLS_DONE;
    }
    if (s->failed) {
        error_set(errp, "TLS handshake failed before");
        return TLS_FAILED;
    }
    st = loaded_ops()->handshake(s->link, &name, errp);
    if (name) {
        g_free(s->name);
        s->name = name;
    }
    if (st == TLS_DONE && !let_in(s, errp)) {
        st = TLS_FAILED;
    }
    s->ready = st == TLS_DONE;
    s->failed = st == TLS_FAILED;
    return st;
}

static bool may_move(const TlsSession *s, Error **errp)
{
    return s->ready || error_set(errp, "TLS session is not established");
}

ssize_t tls_read(TlsSession *s, void *buf, size_t n, Error **errp)
{
    return may_move(s, errp) ? loaded_ops()->read(s->link, buf, n, errp)
                             : -ENOTCONN;
}

ssize_t tls_write(TlsSession *s, const void *buf, size_t n, Error **errp)
{
    return may_move(s, errp) ? loaded_ops()->write(s->link, buf, n, errp)
                             : -ENOTCONN;
}

size_t tls_pending(const TlsSession *s)
{
    return s->ready ? loaded_ops()->pending(s->link) : 0;
}

TlsStatus tls_bye(TlsSession *s)
{
    return s->ready ? loaded_ops()->bye(s->link) : TLS_DONE;
}

const char *tls_peer_name(const TlsSession *s)
{
    return s->name;
}

int tls_cipher_bits(const TlsSession *s)
{
    return s->ready ? loaded_ops()->cipher_bits(s->link) : 0;
}
