/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * crypto.c - sectors to ciphertext and back: keys, initialisation vectors
 * (plain, plain64, ESSIV as dm-crypt names them) and the bare AES of old qcow
 * images.
 *
 * Thread class: opening MACHINE_CALL; encrypt and decrypt one thread at a time.
 *
 * Invariants
 * 1. A key that is no longer used is overwritten.
 */
#include <glib.h>
#include "config.h"
#include "block/crypto-ops.h"
#include "module.h"
#include "secret.h"

const PropEnum crypto_alg_enum = {
    .type = "QCryptoCipherAlgorithm",
    .names = (const char *const[]){
        "aes-128", "aes-192", "aes-256", "des", "3des", "cast5-128",
        "serpent-128", "serpent-192", "serpent-256", "twofish-128",
        "twofish-192", "twofish-256", NULL },
};
const PropEnum crypto_mode_enum = {
    .type = "QCryptoCipherMode",
    .names = (const char *const[]){ "ecb", "cbc", "xts", "ctr", NULL },
};
const PropEnum crypto_ivgen_enum = {
    .type = "QCryptoIVGenAlgorithm",
    .names = (const char *const[]){ "plain", "plain64", "essiv", NULL },
};
const PropEnum crypto_hash_enum = {
    .type = "QCryptoHashAlgorithm",
    .names = (const char *const[]){ "md5", "sha1", "sha224", "sha256", "sha384",
                                    "sha512", "ripemd160", NULL },
};
const PropEnum crypto_keyslot_enum = {
    .type = "QCryptoBlockLUKSKeyslotState",
    .names = (const char *const[]){ "inactive", "active", NULL },
};

static const struct {
    uint8_t key, block;                /* bytes                               */
} ciphers[CIPHER__COUNT] = {
    [CIPHER_AES_128] = { 16, 16 }, [CIPHER_AES_192] = { 24, 16 },
    [CIPHER_AES_256] = { 32, 16 }, [CIPHER_DES] = { 8, 8 },
    [CIPHER_3DES] = { 24, 8 }, [CIPHER_CAST5_128] = { 16, 8 },
    [CIPHER_SERPENT_128] = { 16, 16 }, [CIPHER_SERPENT_192] = { 24, 16 },
    [CIPHER_SERPENT_256] = { 32, 16 }, [CIPHER_TWOFISH_128] = { 16, 16 },
    [CIPHER_TWOFISH_192] = { 24, 16 }, [CIPHER_TWOFISH_256] = { 32, 16 },
};

const CryptoOps *crypto_ops(Error **errp)
{
#ifdef CONFIG_GCRYPT
    static const CryptoOps *ops;
    const CryptoOps *got = __atomic_load_n(&ops, __ATOMIC_ACQUIRE);

    if (!got) {
        got = module_symbol("crypto", "crypto_ops_table", errp);
        __atomic_store_n(&ops, got, __ATOMIC_RELEASE);
    }
    return got;
#else
    error_set(errp, "Encryption requires libgcrypt, which this program was "
              "built without");
    return NULL;
#endif
}

size_t crypto_key_len(CryptoAlg alg, CryptoMode mode)
{
    return ciphers[alg].key * (mode == MODE_XTS ? 2u : 1u);
}

size_t crypto_block_len(CryptoAlg alg)
{
    return ciphers[alg].block;
}

size_t crypto_hash_len(CryptoHash h)
{
    static const uint8_t len[HASH__COUNT] = { 16, 20, 28, 32, 48, 64, 20 };

    return len[h];
}

CryptoAlg crypto_essiv_alg(CryptoAlg alg, CryptoHash h, Error **errp)
{
    CryptoAlg first = alg <= CIPHER_AES_256 ? CIPHER_AES_128
                    : alg >= CIPHER_TWOFISH_128 ? CIPHER_TWOFISH_128
                    : alg >= CIPHER_SERPENT_128 ? CIPHER_SERPENT_128
                    : CIPHER__COUNT;
    CryptoAlg end = first == CIPHER__COUNT ? first : first + 3;

    for (CryptoAlg a = first; a < end; a++) {
        if (ciphers[a].key == crypto_hash_len(h)) {
            return a;
        }
    }
    if (first == CIPHER__COUNT) {
        error_set(errp, "Algorithm '%s' not supported",
                  crypto_alg_enum.names[alg]);
    } else {
        error_set(errp, "No %s cipher with key size %zu available",
                  first == CIPHER_AES_128 ? "AES"
                  : first == CIPHER_SERPENT_128 ? "Serpent" : "Twofish",
                  crypto_hash_len(h));
    }
    return CIPHER__COUNT;
}

/* ---- sectors ------------------------------------------------------------- */

static bool cipher_allowed(const CryptoOps *ops, CryptoAlg alg, CryptoMode mode,
                           Error **errp)
{
    if (!ops->cipher_ok(alg, mode)) {
        return error_set(errp, "Algorithm '%s' not supported",
                         crypto_alg_enum.names[alg]);
    }
    if (mode == MODE_XTS && ciphers[alg].block != 16) {
        return error_set(errp, "Unsupported cipher mode %s",
                         crypto_mode_enum.names[mode]);
    }
    return true;
}

static bool essiv_init(CryptoSectors *s, CryptoAlg alg, CryptoMode mode,
                       CryptoHash h, const uint8_t *key, Error **errp)
{
    CryptoAlg ealg = crypto_essiv_alg(alg, h, errp);
    uint8_t salt[HASH_MAX];

    if (ealg == CIPHER__COUNT || !cipher_allowed(s->ops, ealg, MODE_ECB, errp)) {
        return false;
    }
    if (s->ops->hash(h, key, crypto_key_len(alg, mode), NULL, 0, salt)) {
        s->essiv = s->ops->cipher_new(ealg, MODE_ECB, salt,
                                      crypto_hash_len(h));
    }
    explicit_bzero(salt, sizeof(salt));
    return s->essiv || error_set(errp, "Cannot set up the IV generator");
}

bool crypto_sectors_init(CryptoSectors *s, CryptoAlg alg, CryptoMode mode,
                         CryptoIvgen ivgen, CryptoHash ivhash,
                         const uint8_t *key, Error **errp)
{
    *s = (CryptoSectors){ .ops = crypto_ops(errp), .ivgen = ivgen,
                          .ivlen = mode == MODE_ECB ? 0 : ciphers[alg].block };
    if (!s->ops || !cipher_allowed(s->ops, alg, mode, errp)) {
        return false;
    }
    s->cipher = s->ops->cipher_new(alg, mode, key, crypto_key_len(alg, mode));
    if (!s->cipher) {
        return error_set(errp, "Cannot set up cipher '%s'",
                         crypto_alg_enum.names[alg]);
    }
    if (ivgen == IVGEN_ESSIV && s->ivlen &&
        !essiv_init(s, alg, mode, ivhash, key, errp)) {
        crypto_sectors_fini(s);
        return false;
    }
    return true;
}

void crypto_sectors_fini(CryptoSectors *s)
{
    if (s->cipher) {
        s->ops->cipher_free(s->cipher);
    }
    if (s->essiv) {
        s->ops->cipher_free(s->essiv);
    }
    s->cipher = s->essiv = NULL;
}

static bool iv_make(const CryptoSectors *s, uint64_t sector, uint8_t *iv)
{
    memset(iv, 0, 16);
    if (s->ivgen == IVGEN_PLAIN) {
        st_le32(iv, (uint32_t)sector);
    } else {
        st_le64(iv, sector);
    }
    return !s->essiv || s->ops->crypt(s->essiv, true, NULL, 0, iv, iv, 16);
}

bool crypto_sectors_run(CryptoSectors *s, bool encrypt, uint64_t sector,
                        void *dst, const void *src, size_t len)
{
    uint8_t iv[16];

    for (size_t done = 0; done < len; done += CRYPTO_SECTOR, sector++) {
        size_t part = MIN2(len - done, CRYPTO_SECTOR);

        if (!iv_make(s, sector, iv) ||
            !s->ops->crypt(s->cipher, encrypt, iv, s->ivlen,
                           (uint8_t *)dst + done, (const uint8_t *)src + done,
                           part)) {
            return false;
        }
    }
    return true;
}

/* ---- for formats --------------------------------------------------------- */

static int run(CryptoBlk *c, bool encrypt, uint64_t off, void *dst,
               const void *src, size_t len)
{
    if (!c->data.cipher) {
        return -ENOKEY;
    }
    if ((off | len) % CRYPTO_SECTOR) {
        return -EINVAL;
    }
    return crypto_sectors_run(&c->data, encrypt, off / CRYPTO_SECTOR, dst, src,
                              len) ? 0 : -EIO;
}

int crypto_encrypt(CryptoBlk *c, uint64_t off, void *dst, const void *src,
                   size_t len)
{
    return run(c, true, off, dst, src, len);
}

int crypto_decrypt(CryptoBlk *c, uint64_t off, void *dst, const void *src,
                   size_t len)
{
    return run(c, false, off, dst, src, len);
}

uint64_t crypto_payload_offset(const CryptoBlk *c)
{
    return c->is_luks ? c->luks.payload * (uint64_t)CRYPTO_SECTOR : 0;
}

CryptoBlk *crypto_aes_open(const char *key_secret, const char *prefix,
                           bool locked, Error **errp)
{
    CryptoBlk *c;
    uint8_t key[16] = { 0 };
    char *text;
    bool ok;

    if (locked) {
        return g_new0(CryptoBlk, 1);
    }
    if (!key_secret) {
        error_set(errp, "Parameter '%skey-secret' is required for cipher",
                  prefix);
        return NULL;
    }
    text = secret_lookup_text(key_secret, errp);
    if (!text) {
        return NULL;
    }
    memcpy(key, text, MIN2(strlen(text), sizeof(key)));
    secret_free(text, strlen(text));
    c = g_new0(CryptoBlk, 1);
    ok = crypto_sectors_init(&c->data, CIPHER_AES_128, MODE_CBC, IVGEN_PLAIN64,
                             HASH_SHA256, key, errp);
    explicit_bzero(key, sizeof(key));
    if (!ok) {
        g_free(c);
        return NULL;
    }
    return c;
}

void crypto_free(CryptoBlk *c)
{
    if (c) {
        crypto_sectors_fini(&c->data);
        g_free(c->key_secret);
        g_free(c->prefix);
        g_free(c);
    }
}
