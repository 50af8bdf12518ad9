/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * secret.c - objects secret and secret_keyring: bytes given in place, in a file
 * or in the kernel's keyring (keyctl(2)), raw or in base64 (RFC 4648), and
 * decrypted by another secret when keyid= names one (AES-256 in CBC mode,
 * padded as in PKCS #7, RFC 5652 section 6.3).
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. `bytes` is complete exactly while the object is: nobody sees a secret that
 *    is not decoded.
 * 2. Memory that held a secret is overwritten before it is given back, but for
 *    the text of the option itself.
 */
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <glib.h>
#include <linux/keyctl.h>
#include "obj.h"
#include "secret.h"
#include "security/tls-ops.h"

#define SECRET_MAX (1u << 20)          /* bytes of a file or key              */
#define KEY_LEN 32
#define BLOCK_LEN 16
enum { FORMAT_RAW, FORMAT_BASE64 };

typedef struct Secret {
    Obj obj;
    char *data, *file;                 /* properties                          */
    char *keyid, *iv;
    int32_t serial;
    int format;
    bool loaded;
    uint8_t *bytes;                    /* decoded; a NUL follows              */
    size_t len;
} Secret;

void secret_free(void *data, size_t len)
{
    if (data) {
        explicit_bzero(data, len);
        g_free(data);
    }
}

/* ---- decoding ----------------------------------------------------------- */

/* Line ends may stand anywhere, other space may not. */
static bool base64_decode(const uint8_t *in, size_t n, uint8_t **out,
                          size_t *len, Error **errp)
{
    char *text = g_malloc(n + 1);
    size_t m = 0, data;

    for (size_t i = 0; i < n; i++) {
        if (in[i] != '\n' && in[i] != '\r') {
            text[m++] = in[i];
        }
    }
    text[m] = 0;
    data = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                        "0123456789+/");
    if (data + strspn(text + data, "=") != m || m - data > 2 ||
        (m % 4 && m != data) || data % 4 == 1) {
        secret_free(text, n + 1);
        return error_set(errp, "Base64 data contains invalid characters");
    }
    *out = g_malloc0(m / 4 * 3 + 4);
    *len = 0;
    for (size_t i = 0, bits = 0; i < data; i++) {
        const char c = text[i];
        unsigned v = c >= 'a' ? c - 'a' + 26 : c >= 'A' ? c - 'A'
                   : c >= '0' ? c - '0' + 52 : c == '+' ? 62 : 63;

        bits = bits << 6 | v;
        if (i % 4) {
            (*out)[(*len)++] = bits >> (6 - i % 4 * 2);
        }
    }
    (*out)[*len] = 0;
    secret_free(text, n + 1);
    return true;
}

/* The padding is checked whole; what is wrong with it is told as the peer does. */
static bool unpad(uint8_t *p, size_t *len, Error **errp)
{
    unsigned pad = *len ? p[*len - 1] : 0;

    if (!pad || pad > BLOCK_LEN || pad > *len) {
        return error_set(errp, "Incorrect number of padding bytes (%u) found "
                         "on decrypted data", pad);
    }
    for (unsigned i = 1; i <= pad; i++) {
        if (p[*len - i] != pad) {
            return error_set(errp, "Incorrect padding byte found on decrypted "
                             "data");
        }
    }
    *len -= pad;
    p[*len] = 0;
    return true;
}

typedef struct Cipher {
    uint8_t *key, *iv;
    size_t key_len, iv_len;
} Cipher;

static MACHINE_CALL bool cipher_get(const Secret *s, Cipher *c, Error **errp)
{
    if (!secret_lookup(s->keyid, &c->key, &c->key_len, errp)) {
        return false;
    }
    if (c->key_len != KEY_LEN) {
        return error_set(errp, "Key should be %d bytes in length", KEY_LEN);
    }
    if (!s->iv) {
        return error_set(errp, "IV is required to decrypt secret");
    }
    if (!base64_decode((const uint8_t *)s->iv, strlen(s->iv), &c->iv,
                       &c->iv_len, errp)) {
        return false;
    }
    return c->iv_len == BLOCK_LEN ||
           error_set(errp, "IV should be %d bytes in length not %zu",
                     BLOCK_LEN, c->iv_len);
}

/* Decrypts p in place. */
static MACHINE_CALL bool decrypt(const Secret *s, uint8_t *p, size_t *len,
                                 Error **errp)
{
    Cipher c = { NULL };
    uint8_t *plain = g_malloc0(*len + 1);
    const TlsOps *ops = tls_ops(NULL);
    size_t size = *len;
    bool ok = cipher_get(s, &c, errp);

    if (ok && !ops) {
        ok = error_set(errp, "secret '%s': keyid needs AES, which this program "
                       "is built or installed without", s->obj.name);
    }
    if (ok && size % BLOCK_LEN) {
        ok = error_set(errp, "Length %zu must be a multiple of block size %d",
                       size, BLOCK_LEN);
    }
    ok = ok && ops->aes256_cbc_decrypt(c.key, c.iv, p, plain, size, errp) &&
         unpad(plain, len, errp);
    if (ok) {
        memcpy(p, plain, size);
        p[*len] = 0;
    }
    secret_free(plain, size + 1);
    secret_free(c.key, c.key_len);
    secret_free(c.iv, c.iv_len);
    return ok;
}

/* Takes over raw; fills bytes. */
static MACHINE_CALL bool settle(Secret *s, uint8_t *raw, size_t n,
                                Error **errp)
{
    uint8_t *p = NULL;
    size_t len = 0;
    bool ok = true;

    if (s->format == FORMAT_BASE64) {
        ok = base64_decode(raw, n, &p, &len, errp);
        secret_free(raw, n);
    } else {
        p = raw;
        len = n;
    }
    if (ok && s->keyid) {
        size_t room = len;

        ok = decrypt(s, p, &len, errp);
        if (!ok) {
            len = room;
        }
    }
    if (!ok) {
        secret_free(p, len);
        return false;
    }
    s->bytes = p;
    s->len = len;
    s->loaded = true;
    return true;
}

/* ---- sources ------------------------------------------------------------ */

/* Regular file or pipe. */
static bool file_load(const char *path, uint8_t **out, size_t *len,
                      Error **errp)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    uint8_t *p;
    ssize_t r = 1;

    if (fd < 0) {
        return error_set(errp, "Unable to read %s: Failed to open file “%s”: %s",
                         path, path, strerror(errno));
    }
    p = g_malloc(SECRET_MAX + 1);
    *len = 0;
    while (*len <= SECRET_MAX && r != 0) {
        r = read(fd, p + *len, SECRET_MAX + 1 - *len);
        if (r < 0 && errno != EINTR) {
            break;
        }
        *len += r > 0 ? r : 0;
    }
    if (r < 0) {
        error_set_errno(errp, errno, "Unable to read %s", path);
    } else if (*len > SECRET_MAX) {
        r = -1;
        error_set(errp, "Unable to read %s: more than %u bytes", path,
                  SECRET_MAX);
    } else {
        *out = g_malloc(*len + 1);
        memcpy(*out, p, *len);
        (*out)[*len] = 0;
    }
    close(fd);
    secret_free(p, SECRET_MAX + 1);
    return r >= 0;
}

static MACHINE_CALL bool secret_complete(Obj *o, Error **errp)
{
    Secret *s = (Secret *)o;
    uint8_t *raw = NULL;
    size_t n = 0;

    if (s->data && s->file) {
        return error_set(errp, "'file' and 'data' are mutually exclusive");
    }
    if (s->file) {
        return file_load(s->file, &raw, &n, errp) && settle(s, raw, n, errp);
    }
    if (!s->data) {
        return error_set(errp, "Either 'file' or 'data' must be provided");
    }
    return settle(s, (uint8_t *)g_strdup(s->data), strlen(s->data), errp);
}

static MACHINE_CALL bool keyring_complete(Obj *o, Error **errp)
{
    Secret *s = (Secret *)o;
    uint8_t *raw;
    long n = syscall(SYS_keyctl, KEYCTL_READ, s->serial, NULL, 0), got;

    if (n < 0) {
        return error_set_errno(errp, errno, "Unable to read serial key %08x",
                               s->serial);
    }
    n = MIN2(n, (long)SECRET_MAX);
    raw = g_malloc0(n + 1);
    got = syscall(SYS_keyctl, KEYCTL_READ, s->serial, raw, n);
    if (got < 0 || got > n) {
        int err = got < 0 ? errno : EFBIG;

        secret_free(raw, n);
        return error_set_errno(errp, err, "Unable to read serial key %08x",
                               s->serial);
    }
    raw[got] = 0;
    return settle(s, raw, got, errp);
}

static void secret_finish(Obj *o)
{
    Secret *s = (Secret *)o;

    secret_free(s->bytes, s->len);
    s->bytes = NULL;
}

/* ---- objects ------------------------------------------------------------ */

static const PropEnum secret_format = {
    "QCryptoSecretFormat", (const char *const[]){ "raw", "base64", NULL },
};

static const Prop common_props[] = {
    PROP_STR("iv", Secret, iv, .type = "string",
             .desc = "initialization vector for keyid, in base64"),
    PROP_STR("keyid", Secret, keyid, .type = "string",
             .desc = "secret that decrypts this one"),
    PROP_BOOL("loaded", Secret, loaded, false, .flags = PF_READONLY),
    PROP_ENUM("format", Secret, format, &secret_format, FORMAT_RAW,
              .desc = "raw or base64"),
    PROP_END
};

static const Prop secret_props[] = {
    PROP_STR("file", Secret, file, .type = "string",
             .desc = "a file with the secret"),
    PROP_STR("data", Secret, data, .type = "string",
             .desc = "the secret; others on the host may see it"),
    PROP_END
};

static const Prop keyring_props[] = {
    PROP_I32("serial", Secret, serial, 0, .type = "int32_t",
             .flags = PF_REQUIRED, .desc = "number in the kernel's keyring"),
    PROP_END
};

USER_TYPE(secret_type, {
    .name = "secret", .parent = "secret_common",
    .desc = "a password or key",
    .doc = "Named by options that need a password or key. Its text is better "
           "kept in a file than on the command line; in either place it may be "
           "encrypted with a secret that keyid names.",
    .size = sizeof(Secret), .props = secret_props, .base_props = common_props,
    .early = true, .complete = secret_complete, .finish = secret_finish,
});

USER_TYPE(secret_keyring_type, {
    .name = "secret_keyring", .parent = "secret_common",
    .desc = "a password or key in the kernel's keyring",
    .doc = "As secret, from the key with a serial number.",
    .size = sizeof(Secret), .props = keyring_props, .base_props = common_props,
    .early = true, .complete = keyring_complete, .finish = secret_finish,
});

TYPE_NAME(secret_common_type, { "secret_common", "object", true });

/* ---- for others --------------------------------------------------------- */

bool secret_lookup(const char *id, uint8_t **data, size_t *len, Error **errp)
{
    Obj *o = user_obj_find(id);
    const UserType *t = user_obj_type(o);
    const Secret *s = (const Secret *)o;

    if (!o) {
        return error_set(errp, "No secret with id '%s'", id);
    }
    if (t != &secret_type && t != &secret_keyring_type) {
        return error_set(errp, "Object with id '%s' is not a secret", id);
    }
    if (!s->loaded) {
        return error_set(errp, "Secret with id '%s' has no data", id);
    }
    *data = g_malloc(s->len + 1);
    memcpy(*data, s->bytes, s->len);
    (*data)[s->len] = 0;
    *len = s->len;
    return true;
}

char *secret_lookup_text(const char *id, Error **errp)
{
    uint8_t *p;
    size_t n;

    if (!secret_lookup(id, &p, &n, errp)) {
        return NULL;
    }
    if (!g_utf8_validate((char *)p, n, NULL)) {
        secret_free(p, n);
        error_set(errp, "Data from secret %s is not valid UTF-8", id);
        return NULL;
    }
    return (char *)p;
}

char *secret_lookup_base64(const char *id, Error **errp)
{
    uint8_t *p;
    size_t n;
    char *text;

    if (!secret_lookup(id, &p, &n, errp)) {
        return NULL;
    }
    text = g_base64_encode(p, n);
    secret_free(p, n);
    return text;
}
