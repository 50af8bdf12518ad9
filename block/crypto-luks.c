/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * crypto-luks.c - headers of LUKS version 1 (LUKS On-Disk Format Specification
 * 1.2.3): what they say, and the way from a password to the master key through
 * PBKDF2, a key slot and the anti-forensic splitter.
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. Nothing of a header is used before luks_parse has found it in bounds: key
 *    lengths from the table of ciphers, 4000 stripes, areas that do not overlap.
 */
#include <glib.h>
#include "block/crypto-ops.h"
#include "secret.h"

#define KEY_ENABLED  0x00AC71F3u
#define KEY_DISABLED 0x0000DEADu
/* Minutes on a fast machine: more is a header that wants to stop the program. */
#define ITERS_MAX (1u << 29)

static const uint8_t magic[6] = { 'L', 'U', 'K', 'S', 0xba, 0xbe };

bool crypto_luks_probe(const uint8_t *buf, size_t n)
{
    return n >= 8 && !memcmp(buf, magic, 6) && ld_be16(buf + 6) == 1;
}

int luks_io(const CryptoIo *io, bool write, uint64_t off, void *buf, size_t n)
{
    if (io->len && (off > io->len || n > io->len - off)) {
        return -EIO;
    }
    return write ? blk_co_pwrite(io->node, io->base + off, buf, n, 0)
                 : blk_co_pread(io->node, io->base + off, buf, n);
}

/* ---- names --------------------------------------------------------------- */

static int name_find(const PropEnum *e, const char *name)
{
    for (int i = 0; e->names[i]; i++) {
        if (!strcmp(e->names[i], name)) {
            return i;
        }
    }
    return -1;
}

static const char *family_of(CryptoAlg alg)
{
    return alg <= CIPHER_AES_256 ? "aes"
         : alg >= CIPHER_TWOFISH_128 ? "twofish"
         : alg >= CIPHER_SERPENT_128 ? "serpent"
         : alg == CIPHER_CAST5_128 ? "cast5" : crypto_alg_enum.names[alg];
}

static bool alg_parse(const char *name, Luks *l, Error **errp)
{
    uint32_t len = l->mode == MODE_XTS ? l->key_bytes / 2 : l->key_bytes;

    for (CryptoAlg a = 0; a < CIPHER__COUNT; a++) {
        if (a != CIPHER_DES && a != CIPHER_3DES &&
            !strcmp(family_of(a), name) && crypto_key_len(a, MODE_ECB) == len &&
            crypto_key_len(a, l->mode) == l->key_bytes) {
            l->alg = a;
            return true;
        }
    }
    return error_set(errp, "Algorithm '%s' with key size %u bytes not "
                     "supported", name, len);
}

static bool hash_parse(const char *name, CryptoHash *h, Error **errp)
{
    int i = name_find(&crypto_hash_enum, name);

    *h = i < 0 ? 0 : (CryptoHash)i;
    return i >= 0 || error_set(errp, "Hash algorithm '%s' not supported", name);
}

/* "xts-plain64", "cbc-essiv:sha256" */
static bool mode_parse(const char *text, Luks *l, Error **errp)
{
    g_autofree char *s = g_strdup(text);
    char *iv = strchr(s, '-'), *h;
    int i;

    if (!iv) {
        return error_set(errp, "Unexpected cipher mode string format '%s'",
                         text);
    }
    *iv++ = 0;
    h = strchr(iv, ':');
    if (h) {
        *h++ = 0;
        l->has_ivhash = true;
        if (!hash_parse(h, &l->ivhash, errp)) {
            return false;
        }
    }
    i = name_find(&crypto_mode_enum, s);
    if (i < 0) {
        return error_set(errp, "Cipher mode '%s' not supported", s);
    }
    l->mode = (CryptoMode)i;
    i = name_find(&crypto_ivgen_enum, iv);
    if (i < 0) {
        return error_set(errp, "IV generator '%s' not supported", iv);
    }
    l->ivgen = (CryptoIvgen)i;
    return true;
}

/* ---- the header ---------------------------------------------------------- */

static uint64_t key_sectors(const Luks *l)
{
    return ((uint64_t)l->key_bytes * LUKS_STRIPES + CRYPTO_SECTOR - 1) /
           CRYPTO_SECTOR;
}

static bool slots_check(const Luks *l, Error **errp)
{
    uint64_t n = key_sectors(l);

    for (unsigned i = 0; i < LUKS_SLOTS; i++) {
        const LuksSlot *s = &l->slot[i];

        if (s->stripes != LUKS_STRIPES) {
            return error_set(errp, "Keyslot %u is corrupted (stripes %u != %d)",
                             i, s->stripes, LUKS_STRIPES);
        }
        if (s->offset < (LUKS_HEADER + CRYPTO_SECTOR - 1) / CRYPTO_SECTOR) {
            return error_set(errp, "Keyslot %u is overlapping with the LUKS "
                             "header", i);
        }
        if (s->active && !s->iters) {
            return error_set(errp, "Keyslot %u iteration count is zero", i);
        }
        if (s->offset + n > l->payload) {
            return error_set(errp, "Keyslot %u is overlapping with the "
                             "encrypted payload", i);
        }
        for (unsigned j = i + 1; j < LUKS_SLOTS; j++) {
            uint64_t o = l->slot[j].offset;

            if (s->offset < o + n && o < s->offset + n) {
                return error_set(errp, "Keyslots %u and %u are overlapping in "
                                 "the header", i, j);
            }
        }
    }
    return true;
}

static bool slots_parse(const uint8_t *buf, Luks *l, Error **errp)
{
    for (unsigned i = 0; i < LUKS_SLOTS; i++) {
        const uint8_t *at = buf + 208 + i * 48;
        uint32_t state = ld_be32(at);
        LuksSlot *s = &l->slot[i];

        if (state != KEY_ENABLED && state != KEY_DISABLED) {
            return error_set(errp, "Keyslot %u state (active/disable) is "
                             "corrupted", i);
        }
        s->active = state == KEY_ENABLED;
        s->iters = ld_be32(at + 4);
        memcpy(s->salt, at + 8, 32);
        s->offset = ld_be32(at + 40);
        s->stripes = ld_be32(at + 44);
    }
    return slots_check(l, errp);
}

static bool names_parse(const uint8_t *buf, Luks *l, Error **errp)
{
    static const struct {
        const char *what;
        unsigned at;
    } names[] = { { "cipher name", 8 }, { "cipher mode", 40 },
                  { "hash spec", 72 } };

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (!memchr(buf + names[i].at, 0, 32)) {
            return error_set(errp, "LUKS header %s is not NUL terminated",
                             names[i].what);
        }
    }
    if (l->payload < (LUKS_HEADER + CRYPTO_SECTOR - 1) / CRYPTO_SECTOR) {
        return error_set(errp, "LUKS payload is overlapping with the header");
    }
    if (!l->mk_iters) {
        return error_set(errp, "LUKS key iteration count is zero");
    }
    return true;
}

bool luks_parse(const uint8_t *buf, Luks *l, Error **errp)
{
    CryptoAlg a;

    *l = (Luks){ .payload = ld_be32(buf + 104), .key_bytes = ld_be32(buf + 108),
                 .mk_iters = ld_be32(buf + 164) };
    memcpy(l->mk_digest, buf + 112, LUKS_DIGEST);
    memcpy(l->mk_salt, buf + 132, 32);
    memcpy(l->uuid, buf + 168, 40);
    if (memcmp(buf, magic, 6)) {
        return error_set(errp, "Volume is not in LUKS format");
    }
    if (ld_be16(buf + 6) != 1) {
        return error_set(errp, "LUKS version %u is not supported",
                         ld_be16(buf + 6));
    }
    if (!names_parse(buf, l, errp)) {
        return false;
    }
    /* Overlaps are in terms of the key's length, which the cipher bounds. */
    if (l->key_bytes > KEY_MAX) {
        return mode_parse((const char *)buf + 40, l, errp) &&
               alg_parse((const char *)buf + 8, l, errp);
    }
    if (!slots_parse(buf, l, errp) ||
        !mode_parse((const char *)buf + 40, l, errp) ||
        !hash_parse((const char *)buf + 72, &l->hash, errp) ||
        !alg_parse((const char *)buf + 8, l, errp)) {
        return false;
    }
    if (l->ivgen != IVGEN_ESSIV) {
        return true;
    }
    if (!l->has_ivhash) {
        return error_set(errp, "Missing IV generator hash specification");
    }
    a = crypto_essiv_alg(l->alg, l->ivhash, errp);
    return a != CIPHER__COUNT;
}

void luks_format(const Luks *l, uint8_t *buf)
{
    memset(buf, 0, LUKS_HEADER);
    memcpy(buf, magic, 6);
    st_be16(buf + 6, 1);
    snprintf((char *)buf + 8, 32, "%s", family_of(l->alg));
    snprintf((char *)buf + 40, 32, "%s-%s%s%s", crypto_mode_enum.names[l->mode],
             crypto_ivgen_enum.names[l->ivgen], l->has_ivhash ? ":" : "",
             l->has_ivhash ? crypto_hash_enum.names[l->ivhash] : "");
    snprintf((char *)buf + 72, 32, "%s", crypto_hash_enum.names[l->hash]);
    st_be32(buf + 104, l->payload);
    st_be32(buf + 108, l->key_bytes);
    memcpy(buf + 112, l->mk_digest, LUKS_DIGEST);
    memcpy(buf + 132, l->mk_salt, 32);
    st_be32(buf + 164, l->mk_iters);
    memcpy(buf + 168, l->uuid, 40);
    for (unsigned i = 0; i < LUKS_SLOTS; i++) {
        const LuksSlot *s = &l->slot[i];
        uint8_t *at = buf + 208 + i * 48;

        st_be32(at, s->active ? KEY_ENABLED : KEY_DISABLED);
        st_be32(at + 4, s->iters);
        memcpy(at + 8, s->salt, 32);
        st_be32(at + 40, s->offset);
        st_be32(at + 44, s->stripes);
    }
}

/* ---- key slots ----------------------------------------------------------- */

static bool iters_ok(uint32_t iters, const char *what, Error **errp)
{
    return iters <= ITERS_MAX ||
           error_set(errp, "%s asks for %u iterations of PBKDF2, more than %u",
                     what, iters, ITERS_MAX);
}

/* Is it the master key whose digest the header has? */
static int key_check(const CryptoOps *ops, const Luks *l, const uint8_t *key)
{
    uint8_t digest[LUKS_DIGEST];

    if (!ops->pbkdf2(l->hash, key, l->key_bytes, l->mk_salt, 32, l->mk_iters,
                     digest, sizeof(digest))) {
        return -1;
    }
    return !memcmp(digest, l->mk_digest, sizeof(digest));
}

bool luks_af_diffuse(const CryptoOps *ops, CryptoHash h, uint8_t *block,
                     size_t len)
{
    uint8_t out[HASH_MAX], index[4];
    size_t n = crypto_hash_len(h);

    for (size_t i = 0; i * n < len; i++) {
        size_t part = MIN2(n, len - i * n);

        st_be32(index, (uint32_t)i);
        if (!ops->hash(h, index, 4, block + i * n, part, out)) {
            return false;
        }
        memcpy(block + i * n, out, part);
    }
    explicit_bzero(out, sizeof(out));
    return true;
}

/* The specification's AFmerge. */
static bool af_merge(const CryptoOps *ops, const Luks *l, const uint8_t *split,
                     uint8_t *key)
{
    size_t n = l->key_bytes;

    memset(key, 0, n);
    for (unsigned i = 0; i < LUKS_STRIPES; i++) {
        for (size_t j = 0; j < n; j++) {
            key[j] ^= split[i * n + j];
        }
        if (i < LUKS_STRIPES - 1 && !luks_af_diffuse(ops, l->hash, key, n)) {
            return false;
        }
    }
    return true;
}

int luks_slot_open(const CryptoIo *io, const Luks *l, unsigned index,
                   const void *pass, size_t npass, uint8_t *key, Error **errp)
{
    const CryptoOps *ops = crypto_ops(errp);
    const LuksSlot *s = &l->slot[index];
    size_t n = (size_t)l->key_bytes * LUKS_STRIPES;
    CryptoSectors c = { 0 };
    uint8_t derived[KEY_MAX];
    uint8_t *split;
    int ret = -1;

    if (!ops || !iters_ok(s->iters, "Keyslot", errp) ||
        !iters_ok(l->mk_iters, "The master key", errp)) {
        return -1;
    }
    split = g_malloc(n);
    if (luks_io(io, false, s->offset * (uint64_t)CRYPTO_SECTOR, split, n) < 0) {
        error_set(errp, "Failed to read key material");
    } else if (!ops->pbkdf2(l->hash, pass, npass, s->salt, 32, s->iters,
                            derived, l->key_bytes)) {
        error_set(errp, "Hash algorithm '%s' not supported",
                  crypto_hash_enum.names[l->hash]);
    } else if (crypto_sectors_init(&c, l->alg, l->mode, l->ivgen, l->ivhash,
                                   derived, errp)) {
        ret = crypto_sectors_run(&c, false, 0, split, split, n) &&
              af_merge(ops, l, split, key) ? key_check(ops, l, key) : -1;
        if (ret < 0) {
            error_set(errp, "Cannot decrypt the key material");
        }
    }
    crypto_sectors_fini(&c);
    explicit_bzero(derived, sizeof(derived));
    secret_free(split, n);
    return ret;
}

/* The first active slot that the password opens. */
static MACHINE_CALL bool unlock(const CryptoIo *io, const Luks *l,
                                const char *secret, uint8_t *key, Error **errp)
{
    char *pass = secret_lookup_text(secret, errp);
    int ret = 0;

    if (!pass) {
        return false;
    }
    for (unsigned i = 0; i < LUKS_SLOTS && !ret; i++) {
        if (l->slot[i].active) {
            ret = luks_slot_open(io, l, i, pass, strlen(pass), key, errp);
        }
    }
    secret_free(pass, strlen(pass));
    if (!ret) {
        error_set(errp, "Invalid password, cannot unlock any keyslot");
    }
    return ret > 0;
}

CryptoBlk *crypto_luks_open(const CryptoIo *io, const char *key_secret,
                            const char *prefix, bool locked, Error **errp)
{
    CryptoBlk *c = g_new0(CryptoBlk, 1);
    uint8_t buf[LUKS_HEADER], key[KEY_MAX];
    int ret;
    bool ok;

    c->is_luks = true;
    c->io = *io;
    c->key_secret = g_strdup(key_secret);
    c->prefix = g_strdup(prefix);
    if (!locked && !key_secret) {
        ok = error_set(errp, "Parameter '%skey-secret' is required for cipher",
                       prefix);
    } else if ((ret = luks_io(io, false, 0, buf, sizeof(buf))) < 0) {
        ok = error_set_errno(errp, -ret, "Unable to read LUKS header");
    } else {
        ok = luks_parse(buf, &c->luks, errp);
    }
    if (ok && !locked) {
        const Luks *l = &c->luks;

        ok = unlock(io, l, key_secret, key, errp) &&
             crypto_sectors_init(&c->data, l->alg, l->mode, l->ivgen,
                                 l->ivhash, key, errp);
        explicit_bzero(key, sizeof(key));
    }
    if (!ok) {
        crypto_free(c);
        return NULL;
    }
    return c;
}

/* ---- for people ---------------------------------------------------------- */

Json *crypto_luks_info(const CryptoBlk *c)
{
    const Luks *l = &c->luks;
    Json *v, *slots;

    if (!c->is_luks) {
        return NULL;
    }
    v = json_obj();
    json_set_str(v, "ivgen-alg", crypto_ivgen_enum.names[l->ivgen]);
    json_set_str(v, "hash-alg", crypto_hash_enum.names[l->hash]);
    json_set_str(v, "cipher-alg", crypto_alg_enum.names[l->alg]);
    json_set_str(v, "uuid", l->uuid);
    if (l->ivgen == IVGEN_ESSIV) {
        json_set_str(v, "ivgen-hash-alg", crypto_hash_enum.names[l->ivhash]);
    }
    json_set_str(v, "cipher-mode", crypto_mode_enum.names[l->mode]);
    slots = json_list();
    for (unsigned i = 0; i < LUKS_SLOTS; i++) {
        const LuksSlot *s = &l->slot[i];
        Json *o = json_obj();

        json_set_bool(o, "active", s->active);
        if (s->active) {
            json_set_int(o, "iters", s->iters);
        }
        json_set_int(o, "key-offset", s->offset * (int64_t)CRYPTO_SECTOR);
        if (s->active) {
            json_set_int(o, "stripes", s->stripes);
        }
        json_add(slots, o);
    }
    json_set(v, "slots", slots);
    json_set_int(v, "payload-offset", l->payload * (int64_t)CRYPTO_SECTOR);
    json_set_int(v, "master-key-iters", l->mk_iters);
    return v;
}
