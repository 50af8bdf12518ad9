/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * crypto.h - encryption of image data by sectors: LUKS version 1 headers with
 * key slots, and the bare AES of old qcow images. The ciphers are in the module
 * "crypto", loaded when first used.
 *
 * Opening, creating and amending: MACHINE_CALL; they may use blk_co_*.
 * crypto_encrypt and crypto_decrypt: one thread at a time for each CryptoBlk.
 */
#ifndef TERN_BLOCK_CRYPTO_H
#define TERN_BLOCK_CRYPTO_H

#include "block/driver.h"

#define CRYPTO_SECTOR 512              /* unit of IVs; offsets are multiples  */

typedef enum CryptoAlg {               /* QCryptoCipherAlgorithm              */
    CIPHER_AES_128, CIPHER_AES_192, CIPHER_AES_256, CIPHER_DES, CIPHER_3DES,
    CIPHER_CAST5_128, CIPHER_SERPENT_128, CIPHER_SERPENT_192,
    CIPHER_SERPENT_256, CIPHER_TWOFISH_128, CIPHER_TWOFISH_192,
    CIPHER_TWOFISH_256, CIPHER__COUNT
} CryptoAlg;
typedef enum CryptoMode { MODE_ECB, MODE_CBC, MODE_XTS, MODE_CTR } CryptoMode;
typedef enum CryptoIvgen { IVGEN_PLAIN, IVGEN_PLAIN64, IVGEN_ESSIV } CryptoIvgen;
typedef enum CryptoHash { HASH_MD5, HASH_SHA1, HASH_SHA224, HASH_SHA256,
                          HASH_SHA384, HASH_SHA512, HASH_RIPEMD160,
                          HASH__COUNT } CryptoHash;
extern const PropEnum crypto_alg_enum, crypto_mode_enum, crypto_ivgen_enum,
                      crypto_hash_enum;
/* Of amend: state=active|inactive. */
enum { KEYSLOT_INACTIVE, KEYSLOT_ACTIVE, KEYSLOT_UNSET };
extern const PropEnum crypto_keyslot_enum;

/* Options of a new LUKS header. */
typedef struct CryptoSpec {
    char *key_secret;                  /* id of a secret object               */
    int alg, mode, ivgen, hash;
    char *ivgen_hash;                  /* NULL: as fits                       */
    uint64_t iter_time;                /* ms                                  */
} CryptoSpec;
/* Rows for a struct T with a CryptoSpec f; p: "" or "encrypt.". */
#define CRYPTO_CREATE_PROPS(p, T, f) \
    PROP_ENUM(p "cipher-alg", T, f.alg, &crypto_alg_enum, CIPHER_AES_256, \
              .flags = PF_NO_DEFAULT, \
              .desc = "Name of encryption cipher algorithm"), \
    PROP_ENUM(p "cipher-mode", T, f.mode, &crypto_mode_enum, MODE_XTS, \
              .flags = PF_NO_DEFAULT, \
              .desc = "Name of encryption cipher mode"), \
    PROP_ENUM(p "ivgen-alg", T, f.ivgen, &crypto_ivgen_enum, IVGEN_PLAIN64, \
              .flags = PF_NO_DEFAULT, \
              .desc = "Name of IV generator algorithm"), \
    PROP_STR(p "ivgen-hash-alg", T, f.ivgen_hash, \
             .desc = "Name of IV generator hash algorithm"), \
    PROP_ENUM(p "hash-alg", T, f.hash, &crypto_hash_enum, HASH_SHA256, \
              .flags = PF_NO_DEFAULT, \
              .desc = "Name of encryption hash algorithm"), \
    PROP_U64(p "iter-time", T, f.iter_time, 2000, \
             .flags = PF_NO_DEFAULT, \
             .desc = "Time to spend in PBKDF in milliseconds")

/* Options of a change of key slots. */
typedef struct CryptoAmend {
    int state;
    char *new_secret, *old_secret;     /* ids; NULL: not given                */
    int64_t keyslot;                   /* CRYPTO_NO_KEYSLOT: not given        */
    uint64_t iter_time;                /* ms                                  */
} CryptoAmend;
#define CRYPTO_NO_KEYSLOT INT64_MIN
#define CRYPTO_AMEND_PROPS(p, T, f) \
    PROP_U64(p "iter-time", T, f.iter_time, 2000, \
             .desc = "Time to spend in PBKDF in milliseconds"), \
    PROP_I64(p "keyslot", T, f.keyslot, CRYPTO_NO_KEYSLOT, \
             .desc = "Select a single keyslot to modify explicitly"), \
    PROP_STR(p "new-secret", T, f.new_secret, \
             .desc = "New secret to set in the matching keyslots. Empty " \
                     "string to erase"), \
    PROP_STR(p "old-secret", T, f.old_secret, \
             .desc = "Select all keyslots that match this password"), \
    PROP_ENUM(p "state", T, f.state, &crypto_keyslot_enum, KEYSLOT_UNSET, \
              .desc = "Select new state of affected keyslots " \
                      "(active/inactive)")

/* Where a header lies: len bytes (0: to the end) of node from base on. */
typedef struct CryptoIo {
    BlkNode *node;
    uint64_t base, len;
} CryptoIo;

typedef struct CryptoBlk CryptoBlk;

/* A LUKS header. prefix: of option names in messages ("encrypt."). locked: for
 * looking at only; no key is needed or tried. */
CryptoBlk *crypto_luks_open(const CryptoIo *io, const char *key_secret,
                            const char *prefix, bool locked, Error **errp)
    MACHINE_CALL;
/* Writes a new header; io is zero from crypto_luks_header_size on. */
CryptoBlk *crypto_luks_create(const CryptoIo *io, const CryptoSpec *spec,
                              const char *prefix, Error **errp) MACHINE_CALL;
/* Bytes of header and key slots: where the payload begins. */
bool crypto_luks_header_size(const CryptoSpec *spec, uint64_t *size,
                             Error **errp);
/* force: active slots are overwritten, and the last one erased. */
bool crypto_luks_amend(CryptoBlk *c, const CryptoAmend *a, bool force,
                       Error **errp) MACHINE_CALL;
/* Old qcow and qcow2: AES-128-CBC, the password itself as key. */
CryptoBlk *crypto_aes_open(const char *key_secret, const char *prefix,
                           bool locked, Error **errp) MACHINE_CALL;
void crypto_free(CryptoBlk *c);        /* overwrites keys; NULL is fine       */

/* Where the payload begins, from the header's start; 0 without a header. */
uint64_t crypto_payload_offset(const CryptoBlk *c);
/* off decides the IV; off and len multiples of CRYPTO_SECTOR. dst may be src.
 * 0 or -errno: -ENOKEY when opened locked. */
int crypto_encrypt(CryptoBlk *c, uint64_t off, void *dst, const void *src,
                   size_t len);
int crypto_decrypt(CryptoBlk *c, uint64_t off, void *dst, const void *src,
                   size_t len);
/* QCryptoBlockInfoLUKS; NULL for AES. */
Json *crypto_luks_info(const CryptoBlk *c);
/* For probe functions: is this a LUKS 1 header? */
bool crypto_luks_probe(const uint8_t *buf, size_t n);

#endif
