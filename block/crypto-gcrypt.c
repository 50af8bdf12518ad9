/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * crypto-gcrypt.c - the module "crypto": ciphers, digests and PBKDF2 (RFC 8018)
 * by libgcrypt.
 *
 * Thread class: ANY_THREAD; a Cipher is used by one thread at a time.
 */
#include <gcrypt.h>
#include <glib.h>
#include "block/crypto-ops.h"

struct Cipher {
    gcry_cipher_hd_t h;
    CryptoMode mode;
};

static const int algs[CIPHER__COUNT] = {
    [CIPHER_AES_128] = GCRY_CIPHER_AES128,
    [CIPHER_AES_192] = GCRY_CIPHER_AES192,
    [CIPHER_AES_256] = GCRY_CIPHER_AES256,
    [CIPHER_DES] = GCRY_CIPHER_NONE,   /* the peer's library has none either  */
    [CIPHER_3DES] = GCRY_CIPHER_NONE,
    [CIPHER_CAST5_128] = GCRY_CIPHER_CAST5,
    [CIPHER_SERPENT_128] = GCRY_CIPHER_SERPENT128,
    [CIPHER_SERPENT_192] = GCRY_CIPHER_SERPENT192,
    [CIPHER_SERPENT_256] = GCRY_CIPHER_SERPENT256,
    [CIPHER_TWOFISH_128] = GCRY_CIPHER_TWOFISH128,
    [CIPHER_TWOFISH_192] = GCRY_CIPHER_NONE,
    [CIPHER_TWOFISH_256] = GCRY_CIPHER_TWOFISH,
};
static const int modes[] = {
    [MODE_ECB] = GCRY_CIPHER_MODE_ECB, [MODE_CBC] = GCRY_CIPHER_MODE_CBC,
    [MODE_XTS] = GCRY_CIPHER_MODE_XTS, [MODE_CTR] = GCRY_CIPHER_MODE_CTR,
};
static const int hashes[HASH__COUNT] = {
    [HASH_MD5] = GCRY_MD_MD5, [HASH_SHA1] = GCRY_MD_SHA1,
    [HASH_SHA224] = GCRY_MD_SHA224, [HASH_SHA256] = GCRY_MD_SHA256,
    [HASH_SHA384] = GCRY_MD_SHA384, [HASH_SHA512] = GCRY_MD_SHA512,
    [HASH_RIPEMD160] = GCRY_MD_RMD160,
};

static void library_start(void)
{
    static gsize once;

    if (g_once_init_enter(&once)) {
        gcry_check_version(NULL);
        gcry_control(GCRYCTL_DISABLE_SECMEM, 0);
        gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
        g_once_init_leave(&once, 1);
    }
}

static bool cipher_ok(CryptoAlg alg, CryptoMode mode)
{
    library_start();
    return algs[alg] != GCRY_CIPHER_NONE && !gcry_cipher_test_algo(algs[alg]);
}

static Cipher *cipher_new(CryptoAlg alg, CryptoMode mode, const uint8_t *key,
                          size_t len)
{
    Cipher *c = g_new0(Cipher, 1);

    library_start();
    c->mode = mode;
    if (gcry_cipher_open(&c->h, algs[alg], modes[mode], 0)) {
        g_free(c);
        return NULL;
    }
    if (gcry_cipher_setkey(c->h, key, len)) {
        gcry_cipher_close(c->h);
        g_free(c);
        return NULL;
    }
    return c;
}

static void cipher_free(Cipher *c)
{
    gcry_cipher_close(c->h);
    g_free(c);
}

static bool cipher_crypt(Cipher *c, bool encrypt, const uint8_t *iv,
                         size_t ivlen, void *dst, const void *src, size_t len)
{
    gcry_error_t e = 0;

    if (ivlen && c->mode == MODE_CTR) {
        e = gcry_cipher_setctr(c->h, iv, ivlen);
    } else if (ivlen && c->mode != MODE_ECB) {
        e = gcry_cipher_setiv(c->h, iv, ivlen);
    }
    if (e) {
        return false;
    }
    if (dst == src) {
        src = NULL;
    }
    e = encrypt ? gcry_cipher_encrypt(c->h, dst, len, src, src ? len : 0)
                : gcry_cipher_decrypt(c->h, dst, len, src, src ? len : 0);
    return !e;
}

static bool hash_ok(CryptoHash h)
{
    library_start();
    return !gcry_md_test_algo(hashes[h]);
}

static bool hash(CryptoHash h, const void *a, size_t na, const void *b,
                 size_t nb, uint8_t *out)
{
    gcry_buffer_t parts[2] = {
        { .data = (void *)(uintptr_t)a, .len = na },
        { .data = (void *)(uintptr_t)b, .len = nb },
    };

    library_start();
    return !gcry_md_hash_buffers(hashes[h], 0, out, parts, nb ? 2 : 1);
}

static bool pbkdf2(CryptoHash h, const void *pass, size_t npass,
                   const uint8_t *salt, size_t nsalt, uint32_t iters,
                   uint8_t *out, size_t nout)
{
    library_start();
    return !gcry_kdf_derive(pass, npass, GCRY_KDF_PBKDF2, hashes[h], salt,
                            nsalt, iters, nout, out);
}

extern const CryptoOps crypto_ops_table;
const CryptoOps crypto_ops_table = {
    .cipher_ok = cipher_ok, .cipher_new = cipher_new,
    .cipher_free = cipher_free, .crypt = cipher_crypt, .hash_ok = hash_ok,
    .hash = hash, .pbkdf2 = pbkdf2,
};
