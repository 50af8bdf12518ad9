/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls-gnutls.c - sessions and credentials by GnuTLS (TLS 1.3, RFC 8446; 1.2, RFC
 * 5246; PSK, RFC 4279). The module "tls": loaded when credentials are made.
 *
 * Thread class: credentials MACHINE_CALL; a session that of its owner.
 *
 * Invariants
 * 1. A session whose handshake is not done moves no data: tls-session.c keeps
 *    that, and asks about the other side only after TLS_DONE here.
 * 2. Lists in files and strings are read in bounded buffers.
 */
#include <unistd.h>
#include <fcntl.h>
#include <glib.h>
#include <gnutls/crypto.h>
#include "security/tls-lib.h"

#define FILE_MAX (1u << 20)
#define PSK_LINE_MAX 512

struct TlsLink {
    gnutls_session_t session;
    TlsKeys *keys;
    const TlsIo *io;
    void *arg;
    char *hostname;
    int err;                           /* of the transport's last call        */
};

/* ---- files -------------------------------------------------------------- */

bool tls_file(const TlsSpec *s, const char *name, bool required, char **path,
              Error **errp)
{
    int err;

    *path = g_strdup_printf("%s/%s", s->dir, name);
    if (access(*path, R_OK) == 0) {
        return true;
    }
    err = errno;
    if (err == ENOENT && !required) {
        g_free(*path);
        *path = NULL;
        return true;
    }
    return error_set_errno(errp, err, "Unable to access credentials %s",
                           *path);
}

bool tls_file_read(const char *path, gnutls_datum_t *out, Error **errp)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t r = 1;
    size_t n = 0;

    if (fd < 0) {
        return error_set_errno(errp, errno, "Unable to read %s", path);
    }
    out->data = g_malloc(FILE_MAX);
    while (n < FILE_MAX && (r = read(fd, out->data + n, FILE_MAX - n)) > 0) {
        n += r;
    }
    close(fd);
    out->size = n;
    if (r == 0) {
        return true;
    }
    g_free(out->data);
    out->data = NULL;
    return r < 0 ? error_set_errno(errp, errno, "Unable to read %s", path)
                 : error_set(errp, "Unable to read %s: more than %u bytes",
                             path, FILE_MAX);
}

/* ---- credentials -------------------------------------------------------- */

static bool library_fault(int r, Error **errp)
{
    return r >= 0 || error_set(errp, "Cannot allocate credentials: '%s'",
                               gnutls_strerror(r));
}

/* Diffie-Hellman parameters of the user's, where there is a file. */
static bool dh_load(TlsKeys *k, const TlsSpec *s, Error **errp)
{
    char *path = NULL;
    gnutls_datum_t d;
    int r;

    if (!s->server || !s->dir) {
        return true;
    }
    if (!tls_file(s, TLS_DH_PARAMS, false, &path, errp)) {
        g_free(path);
        return false;
    }
    if (!path) {
        return true;
    }
    if (!tls_file_read(path, &d, errp)) {
        g_free(path);
        return false;
    }
    r = gnutls_dh_params_init(&k->dh);
    if (r >= 0) {
        r = gnutls_dh_params_import_pkcs3(k->dh, &d, GNUTLS_X509_FMT_PEM);
    }
    g_free(d.data);
    if (r < 0) {
        error_set(errp, "Unable to load DH parameters from %s: %s", path,
                  gnutls_strerror(r));
    }
    g_free(path);
    return r >= 0;
}

static bool anon_load(TlsKeys *k, const TlsSpec *s, Error **errp)
{
    if (!s->server) {
        return library_fault(
            gnutls_anon_allocate_client_credentials(&k->anon_client), errp);
    }
    if (!library_fault(
            gnutls_anon_allocate_server_credentials(&k->anon_server), errp)) {
        return false;
    }
    if (k->dh) {
        gnutls_anon_set_server_dh_params(k->anon_server, k->dh);
    } else {
        gnutls_anon_set_server_known_dh_params(k->anon_server,
                                               GNUTLS_SEC_PARAM_MEDIUM);
    }
    return true;
}

/* The key of a line "name:hex" of the file, in hex (g_free). */
static char *psk_find(const char *path, const char *user, Error **errp)
{
    FILE *f = fopen(path, "re");
    char line[PSK_LINE_MAX], *key = NULL;
    size_t n = strlen(user);

    if (!f) {
        error_set_errno(errp, errno, "Unable to read %s", path);
        return NULL;
    }
    while (!key && fgets(line, sizeof(line), f)) {
        line[strcspn(line, "\r\n")] = 0;
        if (!strncmp(line, user, n) && line[n] == ':') {
            key = g_strdup(line + n + 1);
        }
    }
    explicit_bzero(line, sizeof(line));
    fclose(f);
    if (!key) {
        error_set(errp, "Username %s not found in PSK file %s", user, path);
    }
    return key;
}

static bool psk_client(TlsKeys *k, const char *path, const char *user,
                       Error **errp)
{
    char *hex = psk_find(path, user, errp);
    gnutls_datum_t d;
    int r;

    if (!hex) {
        return false;
    }
    d = (gnutls_datum_t){ (unsigned char *)hex, strlen(hex) };
    r = gnutls_psk_allocate_client_credentials(&k->psk_client);
    if (r >= 0) {
        r = gnutls_psk_set_client_credentials(k->psk_client, user, &d,
                                              GNUTLS_PSK_KEY_HEX);
    }
    explicit_bzero(hex, d.size);
    g_free(hex);
    return r >= 0 || error_set(errp, "Unable to use the key of %s in PSK file "
                               "%s: %s", user, path, gnutls_strerror(r));
}

static bool psk_server(TlsKeys *k, const char *path, Error **errp)
{
    if (!library_fault(gnutls_psk_allocate_server_credentials(&k->psk_server),
                       errp)) {
        return false;
    }
    if (gnutls_psk_set_server_credentials_file(k->psk_server, path) < 0) {
        return error_set(errp, "Cannot load PSK file '%s'", path);
    }
    if (k->dh) {
        gnutls_psk_set_server_dh_params(k->psk_server, k->dh);
    } else {
        gnutls_psk_set_server_known_dh_params(k->psk_server,
                                              GNUTLS_SEC_PARAM_MEDIUM);
    }
    return true;
}

static bool psk_load(TlsKeys *k, const TlsSpec *s, Error **errp)
{
    char *path;
    bool ok;

    if (s->server && s->username) {
        return error_set(errp, "username should not be set when "
                         "endpoint=server");
    }
    ok = tls_file(s, TLS_PSK_FILE, true, &path, errp) &&
         (s->server ? psk_server(k, path, errp)
                    : psk_client(k, path, s->username ? s->username : "qemu",
                                 errp));
    g_free(path);
    return ok;
}

static void keys_free(TlsKeys *k)
{
    if (k->x509) {
        gnutls_certificate_free_credentials(k->x509);
    }
    if (k->anon_server) {
        gnutls_anon_free_server_credentials(k->anon_server);
    }
    if (k->anon_client) {
        gnutls_anon_free_client_credentials(k->anon_client);
    }
    if (k->psk_server) {
        gnutls_psk_free_server_credentials(k->psk_server);
    }
    if (k->psk_client) {
        gnutls_psk_free_client_credentials(k->psk_client);
    }
    if (k->dh) {
        gnutls_dh_params_deinit(k->dh);
    }
    g_free(k->priority);
    g_free(k);
}

static TlsKeys *keys_new(const TlsSpec *s, Error **errp)
{
    static const char *const more[] = {
        [TLS_ANON] = ":+ANON-DH", [TLS_PSK] = ":+ECDHE-PSK:+DHE-PSK:+PSK",
        [TLS_X509] = "",
    };
    TlsKeys *k;

    if (s->kind != TLS_ANON && !s->dir) {
        error_set(errp, "Missing 'dir' property value");
        return NULL;
    }
    k = g_new0(TlsKeys, 1);
    k->kind = s->kind;
    k->server = s->server;
    k->verify_peer = s->verify_peer;
    k->priority = g_strconcat(s->priority ? s->priority : "NORMAL",
                              more[s->kind], NULL);
    if (!dh_load(k, s, errp) ||
        !(s->kind == TLS_ANON ? anon_load(k, s, errp)
          : s->kind == TLS_PSK ? psk_load(k, s, errp)
                               : tls_x509_load(k, s, errp))) {
        keys_free(k);
        return NULL;
    }
    if (k->x509 && s->server) {
        if (k->dh) {
            gnutls_certificate_set_dh_params(k->x509, k->dh);
        } else {
            gnutls_certificate_set_known_dh_params(k->x509,
                                                   GNUTLS_SEC_PARAM_MEDIUM);
        }
    }
    return k;
}

/* ---- sessions ----------------------------------------------------------- */

static ssize_t moved(TlsLink *l, ssize_t r)
{
    l->err = r < 0 ? (int)-r : 0;
    if (r < 0) {
        gnutls_transport_set_errno(l->session, (int)-r);
        return -1;
    }
    return r;
}

static ssize_t pull(gnutls_transport_ptr_t p, void *buf, size_t n)
{
    TlsLink *l = p;

    return moved(l, l->io->read(l->arg, buf, n));
}

static ssize_t push(gnutls_transport_ptr_t p, const void *buf, size_t n)
{
    TlsLink *l = p;

    return moved(l, l->io->write(l->arg, buf, n));
}

static int credentials_set(TlsLink *l)
{
    TlsKeys *k = l->keys;

    switch (k->kind) {
    case TLS_ANON:
        return gnutls_credentials_set(l->session, GNUTLS_CRD_ANON,
                                      k->server ? (void *)k->anon_server
                                                : (void *)k->anon_client);
    case TLS_PSK:
        return gnutls_credentials_set(l->session, GNUTLS_CRD_PSK,
                                      k->server ? (void *)k->psk_server
                                                : (void *)k->psk_client);
    case TLS_X509:
        break;
    }
    if (k->server && k->verify_peer) {
        gnutls_certificate_server_set_request(l->session, GNUTLS_CERT_REQUEST);
    }
    return gnutls_credentials_set(l->session, GNUTLS_CRD_CERTIFICATE, k->x509);
}

static void link_free(TlsLink *l)
{
    if (l->session) {
        gnutls_deinit(l->session);
    }
    g_free(l->hostname);
    g_free(l);
}

static TlsLink *link_new(TlsKeys *k, const TlsIo *io, void *arg,
                         const char *hostname, Error **errp)
{
    TlsLink *l = g_new0(TlsLink, 1);
    const char *at = NULL;
    int r = gnutls_init(&l->session, (k->server ? GNUTLS_SERVER
                                                : GNUTLS_CLIENT) |
                        GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL);

    l->keys = k;
    l->io = io;
    l->arg = arg;
    l->hostname = g_strdup(hostname);
    if (r < 0) {
        l->session = NULL;
        error_set(errp, "Failed to initialize TLS session: %s",
                  gnutls_strerror(r));
    } else if ((r = gnutls_priority_set_direct(l->session, k->priority,
                                               &at)) < 0) {
        error_set(errp, "Unable to set TLS session priority %s: %s",
                  k->priority, gnutls_strerror(r));
    } else if ((r = credentials_set(l)) < 0) {
        error_set(errp, "Cannot set session credentials: %s",
                  gnutls_strerror(r));
    }
    if (r < 0) {
        link_free(l);
        return NULL;
    }
    if (!k->server && hostname && *hostname) {
        gnutls_server_name_set(l->session, GNUTLS_NAME_DNS, hostname,
                               strlen(hostname));
    }
    gnutls_transport_set_ptr(l->session, l);
    gnutls_transport_set_pull_function(l->session, pull);
    gnutls_transport_set_push_function(l->session, push);
    return l;
}

static bool again(int r)
{
    return r == GNUTLS_E_AGAIN || r == GNUTLS_E_INTERRUPTED;
}

static TlsStatus wanting(const TlsLink *l)
{
    return gnutls_record_get_direction(l->session) ? TLS_WANT_WRITE
                                                   : TLS_WANT_READ;
}

static TlsStatus handshake(TlsLink *l, char **name, Error **errp)
{
    int r;

    *name = NULL;
    do {
        r = gnutls_handshake(l->session);
    } while (r < 0 && !again(r) && !gnutls_error_is_fatal(r));
    if (r < 0 && again(r)) {
        return wanting(l);
    }
    if (r < 0) {
        error_set(errp, "TLS handshake failed: %s", r == GNUTLS_E_PULL_ERROR &&
                  l->err ? strerror(l->err) : gnutls_strerror(r));
        return TLS_FAILED;
    }
    if (l->keys->kind == TLS_X509 &&
        !tls_x509_verify(l->session, l->keys,
                         l->keys->server ? NULL : l->hostname, name, errp)) {
        return TLS_FAILED;
    }
    if (l->keys->psk_server) {
        *name = g_strdup(gnutls_psk_server_get_username(l->session));
    }
    return TLS_DONE;
}

static ssize_t fault(const TlsLink *l, ssize_t r, const char *what,
                     Error **errp)
{
    if (again((int)r)) {
        return -EAGAIN;
    }
    if (l->err && l->err != EAGAIN) {
        error_set_errno(errp, l->err, "Cannot %s TLS channel", what);
        return -l->err;
    }
    error_set(errp, "Cannot %s TLS channel: %s", what,
              gnutls_strerror((int)r));
    return r == GNUTLS_E_PREMATURE_TERMINATION ? -ECONNABORTED : -EIO;
}

static ssize_t link_read(TlsLink *l, void *buf, size_t n, Error **errp)
{
    ssize_t r;

    /* Renegotiation and key updates are told in between; a few are plenty. */
    for (int i = 0; i < 8; i++) {
        r = gnutls_record_recv(l->session, buf, n);
        if (r >= 0) {
            return r;
        }
        if (r == GNUTLS_E_REHANDSHAKE || gnutls_error_is_fatal((int)r) ||
            again((int)r)) {
            break;
        }
    }
    return fault(l, r, "read from", errp);
}

static ssize_t link_write(TlsLink *l, const void *buf, size_t n, Error **errp)
{
    ssize_t r = gnutls_record_send(l->session, buf, n);

    return r >= 0 ? r : fault(l, r, "write to", errp);
}

static size_t link_pending(TlsLink *l)
{
    return gnutls_record_check_pending(l->session);
}

static TlsStatus link_bye(TlsLink *l)
{
    int r = gnutls_bye(l->session, GNUTLS_SHUT_WR);

    return r >= 0 ? TLS_DONE : again(r) ? wanting(l) : TLS_FAILED;
}

static int cipher_bits(TlsLink *l)
{
    return (int)gnutls_cipher_get_key_size(gnutls_cipher_get(l->session)) * 8;
}

/* ---- the rest ----------------------------------------------------------- */

static bool aes256_cbc_decrypt(const uint8_t key[32], const uint8_t iv[16],
                               const uint8_t *in, uint8_t *out, size_t len,
                               Error **errp)
{
    gnutls_datum_t k = { (unsigned char *)key, 32 },
                   v = { (unsigned char *)iv, 16 };
    gnutls_cipher_hd_t h;
    int r = gnutls_cipher_init(&h, GNUTLS_CIPHER_AES_256_CBC, &k, &v);

    if (r >= 0) {
        r = len ? gnutls_cipher_decrypt2(h, in, len, out, len) : 0;
        gnutls_cipher_deinit(h);
    }
    return r >= 0 || error_set(errp, "AES decryption failed: %s",
                               gnutls_strerror(r));
}

static int suites(const char *priority, uint8_t *out, size_t max,
                  Error **errp)
{
    gnutls_priority_t p;
    const char *at;
    size_t n = 0;
    int r = gnutls_priority_init(&p, priority, &at);

    if (r < 0) {
        error_set(errp, "Syntax error using priority '%s': %s", priority,
                  gnutls_strerror(r));
        return -1;
    }
    for (unsigned i = 0; n < max; i++) {
        unsigned index;
        unsigned char id[2];

        r = gnutls_priority_get_cipher_suite_index(p, i, &index);
        if (r == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE) {
            break;
        }
        if (r == 0 && gnutls_cipher_suite_info(index, id, NULL, NULL, NULL,
                                               NULL)) {
            memcpy(out + 2 * n++, id, 2);
        }
    }
    gnutls_priority_deinit(p);
    return (int)n;
}

extern const TlsOps tls_ops_table;
const TlsOps tls_ops_table = {
    .aes256_cbc_decrypt = aes256_cbc_decrypt,
    .keys_new = keys_new, .keys_free = keys_free,
    .link_new = link_new, .link_free = link_free, .handshake = handshake,
    .read = link_read, .write = link_write, .pending = link_pending,
    .bye = link_bye, .cipher_bits = cipher_bits, .suites = suites,
};
