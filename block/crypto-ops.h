/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * crypto-ops.h - what the module "crypto" offers crypto.c, and what the parts of
 * crypto*.c share. MACHINE_CALL unless stated.
 */
#ifndef TERN_BLOCK_CRYPTO_OPS_H
#define TERN_BLOCK_CRYPTO_OPS_H

#include "block/crypto.h"

#define HASH_MAX 64                    /* bytes of the longest digest         */
#define KEY_MAX  64                    /* bytes of the longest key (XTS: two) */

typedef struct Cipher Cipher;
typedef struct CryptoOps {
    bool (*cipher_ok)(CryptoAlg alg, CryptoMode mode);
    Cipher *(*cipher_new)(CryptoAlg alg, CryptoMode mode, const uint8_t *key,
                          size_t len);
    void (*cipher_free)(Cipher *c);
    /* iv: of ivlen bytes; 0 bytes: none. One thread at a time for each. */
    bool (*crypt)(Cipher *c, bool encrypt, const uint8_t *iv, size_t ivlen,
                  void *dst, const void *src, size_t len);
    bool (*hash_ok)(CryptoHash h);
    /* Digest of two buffers, one behind the other. */
    bool (*hash)(CryptoHash h, const void *a, size_t na, const void *b,
                 size_t nb, uint8_t *out);
    bool (*pbkdf2)(CryptoHash h, const void *pass, size_t npass,
                   const uint8_t *salt, size_t nsalt, uint32_t iters,
                   uint8_t *out, size_t nout);
} CryptoOps;

/* NULL: this program was built or installed without it; *errp says so. */
const CryptoOps *crypto_ops(Error **errp) ANY_THREAD;

/* What turns sectors into ciphertext. */
typedef struct CryptoSectors {
    const CryptoOps *ops;
    Cipher *cipher, *essiv;
    CryptoIvgen ivgen;
    size_t ivlen;
} CryptoSectors;
size_t crypto_key_len(CryptoAlg alg, CryptoMode mode);
size_t crypto_hash_len(CryptoHash h);
size_t crypto_block_len(CryptoAlg alg);
/* The cipher whose key is the length of an ESSIV hash. */
CryptoAlg crypto_essiv_alg(CryptoAlg alg, CryptoHash h, Error **errp);
bool crypto_sectors_init(CryptoSectors *s, CryptoAlg alg, CryptoMode mode,
                         CryptoIvgen ivgen, CryptoHash ivhash,
                         const uint8_t *key, Error **errp);
void crypto_sectors_fini(CryptoSectors *s);
bool crypto_sectors_run(CryptoSectors *s, bool encrypt, uint64_t sector,
                        void *dst, const void *src, size_t len);

/* ---- LUKS version 1 ------------------------------------------------------ */
#define LUKS_SLOTS 8
#define LUKS_STRIPES 4000
#define LUKS_HEADER 592                /* bytes                               */
#define LUKS_DIGEST 20

typedef struct LuksSlot {
    bool active;
    uint32_t iters, offset, stripes;   /* offset: sectors                     */
    uint8_t salt[32];
} LuksSlot;
typedef struct Luks {
    CryptoAlg alg;
    CryptoMode mode;
    CryptoIvgen ivgen;
    bool has_ivhash;                   /* named in the header                 */
    CryptoHash ivhash, hash;
    uint32_t payload, key_bytes;       /* payload: sectors                    */
    uint32_t mk_iters;
    uint8_t mk_digest[LUKS_DIGEST], mk_salt[32];
    char uuid[41];
    LuksSlot slot[LUKS_SLOTS];
} Luks;

struct CryptoBlk {
    CryptoSectors data;                /* cipher NULL: locked                 */
    bool is_luks;
    Luks luks;
    CryptoIo io;
    char *key_secret, *prefix;
};

bool luks_parse(const uint8_t *buf, Luks *l, Error **errp);
void luks_format(const Luks *l, uint8_t *buf);
/* The master key by this password, from slot `index`: 1 found, 0 not, -1 error. */
int luks_slot_open(const CryptoIo *io, const Luks *l, unsigned index,
                   const void *pass, size_t npass, uint8_t *key, Error **errp);
/* One round of the anti-forensic splitter's diffusion. */
bool luks_af_diffuse(const CryptoOps *ops, CryptoHash h, uint8_t *block,
                     size_t len);
/* Splits and stores the master key in the slot; the header is not written. */
bool luks_slot_store(const CryptoIo *io, Luks *l, unsigned index,
                     const uint8_t *key, const char *secret, uint64_t iter_ms,
                     Error **errp) MACHINE_CALL;
bool luks_slot_erase(const CryptoIo *io, Luks *l, unsigned index, Error **errp);
bool luks_header_write(const CryptoIo *io, const Luks *l, Error **errp);
bool luks_pbkdf2_iters(CryptoHash h, size_t nout, uint64_t ms, uint32_t *iters,
                       Error **errp);
bool luks_random(void *buf, size_t n, Error **errp);
int luks_io(const CryptoIo *io, bool write, uint64_t off, void *buf, size_t n);

#endif
