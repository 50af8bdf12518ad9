/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * crypto-luks-edit.c - making LUKS headers, and adding and erasing key slots
 * (LUKS On-Disk Format Specification 1.2.3, sections 4 and 5).
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. A slot's material is on the disk before the header calls it active, and is
 *    overwritten before the header calls it inactive.
 * 2. The last active slot is erased only by force.
 */
#include <glib.h>
#include <sys/random.h>
#include <time.h>
#include "block/crypto-ops.h"
#include "secret.h"

#define SLOT_ALIGN 8                   /* sectors                             */
#define ITERS_MIN 1000
#define ERASE_ROUNDS 3

bool luks_random(void *buf, size_t n, Error **errp)
{
    uint8_t *p = buf;

    while (n) {
        ssize_t got = getrandom(p, n, 0);

        if (got < 0 && errno != EINTR) {
            return error_set_errno(errp, errno, "Unable to get random bytes");
        }
        if (got > 0) {
            p += got;
            n -= (size_t)got;
        }
    }
    return true;
}

static uint64_t cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* How many iterations this machine does in ms. */
bool luks_pbkdf2_iters(CryptoHash h, size_t nout, uint64_t ms, uint32_t *iters,
                       Error **errp)
{
    const CryptoOps *ops = crypto_ops(errp);
    uint8_t out[KEY_MAX], salt[32] = { 0 };
    uint64_t n = 1u << 13, ns = 0;
    double want;

    if (!ops) {
        return false;
    }
    for (;; n *= 2) {
        uint64_t start = cpu_ns();

        if (!ops->pbkdf2(h, "password", 8, salt, sizeof(salt), (uint32_t)n, out,
                         nout)) {
            return error_set(errp, "PBKDF does not support hash algorithm %s",
                             crypto_hash_enum.names[h]);
        }
        ns = cpu_ns() - start;
        if (ns > 50 * 1000000u || n >= 1u << 28) {
            break;
        }
    }
    want = (double)n * 1e6 / (double)MAX2(ns, 1u) * (double)ms;
    if (want > UINT32_MAX) {
        return error_set(errp, "PBKDF iterations %.0f larger than %u", want,
                         UINT32_MAX);
    }
    *iters = (uint32_t)want;
    return true;
}

/* ---- slots --------------------------------------------------------------- */

/* The specification's AFsplit. */
static bool af_split(const CryptoOps *ops, const Luks *l, const uint8_t *key,
                     uint8_t *split, Error **errp)
{
    size_t n = l->key_bytes;
    uint8_t d[KEY_MAX] = { 0 };

    if (!luks_random(split, n * (LUKS_STRIPES - 1), errp)) {
        return false;
    }
    for (unsigned i = 0; i < LUKS_STRIPES - 1; i++) {
        for (size_t j = 0; j < n; j++) {
            d[j] ^= split[i * n + j];
        }
        if (!luks_af_diffuse(ops, l->hash, d, n)) {
            return error_set(errp, "Cannot split the key");
        }
    }
    for (size_t j = 0; j < n; j++) {
        split[(LUKS_STRIPES - 1) * n + j] = d[j] ^ key[j];
    }
    explicit_bzero(d, sizeof(d));
    return true;
}

/* Encrypts the split key by the password and writes it. */
static MACHINE_CALL bool material_write(const CryptoIo *io, const Luks *l,
                                        const LuksSlot *s, const char *pass,
                                        uint8_t *split, Error **errp)
{
    const CryptoOps *ops = crypto_ops(errp);
    size_t n = (size_t)l->key_bytes * LUKS_STRIPES;
    CryptoSectors c = { 0 };
    uint8_t derived[KEY_MAX];
    bool ok = false;
    int ret;

    if (!ops->pbkdf2(l->hash, pass, strlen(pass), s->salt, 32, s->iters,
                     derived, l->key_bytes)) {
        return error_set(errp, "PBKDF does not support hash algorithm %s",
                         crypto_hash_enum.names[l->hash]);
    }
    if (crypto_sectors_init(&c, l->alg, l->mode, l->ivgen, l->ivhash, derived,
                            errp)) {
        ok = crypto_sectors_run(&c, true, 0, split, split, n) ||
             error_set(errp, "Cannot encrypt the key material");
    }
    crypto_sectors_fini(&c);
    explicit_bzero(derived, sizeof(derived));
    if (!ok) {
        return false;
    }
    ret = luks_io(io, true, s->offset * (uint64_t)CRYPTO_SECTOR, split, n);
    ret = ret < 0 ? ret : blk_co_flush(io->node);
    return ret >= 0 ||
           error_set_errno(errp, -ret, "Unable to write to key slot");
}

bool luks_slot_store(const CryptoIo *io, Luks *l, unsigned index,
                     const uint8_t *key, const char *secret, uint64_t iter_ms,
                     Error **errp)
{
    const CryptoOps *ops = crypto_ops(errp);
    LuksSlot s = l->slot[index];
    size_t n = (size_t)l->key_bytes * LUKS_STRIPES;
    uint8_t *split;
    char *pass;
    bool ok;

    if (!ops || !luks_random(s.salt, sizeof(s.salt), errp) ||
        !luks_pbkdf2_iters(l->hash, l->key_bytes, iter_ms, &s.iters, errp)) {
        return false;
    }
    s.iters = MAX2(s.iters, ITERS_MIN);
    pass = secret_lookup_text(secret, errp);
    if (!pass) {
        return false;
    }
    split = g_malloc(n);
    ok = af_split(ops, l, key, split, errp) &&
         material_write(io, l, &s, pass, split, errp);
    secret_free(split, n);
    secret_free(pass, strlen(pass));
    if (ok) {
        s.active = true;
        s.stripes = LUKS_STRIPES;
        l->slot[index] = s;
    }
    return ok;
}

bool luks_slot_erase(const CryptoIo *io, Luks *l, unsigned index, Error **errp)
{
    size_t n = (size_t)l->key_bytes * LUKS_STRIPES;
    LuksSlot *s = &l->slot[index];
    uint8_t *junk = g_malloc(n);
    bool ok = true;
    int ret = 0;

    for (int i = 0; ok && i < ERASE_ROUNDS; i++) {
        ok = luks_random(junk, n, errp);
        if (ok) {
            ret = luks_io(io, true, s->offset * (uint64_t)CRYPTO_SECTOR, junk,
                          n);
            ret = ret < 0 ? ret : blk_co_flush(io->node);
        }
        if (ret < 0) {
            ok = error_set_errno(errp, -ret, "Unable to erase the key");
        }
    }
    g_free(junk);
    if (ok) {
        s->active = false;
        s->iters = 0;
        memset(s->salt, 0, sizeof(s->salt));
    }
    return ok;
}

bool luks_header_write(const CryptoIo *io, const Luks *l, Error **errp)
{
    uint8_t buf[LUKS_HEADER];
    int ret;

    luks_format(l, buf);
    ret = luks_io(io, true, 0, buf, sizeof(buf));
    ret = ret < 0 ? ret : blk_co_flush(io->node);
    return ret >= 0 ||
           error_set_errno(errp, -ret, "Unable to write encryption header");
}

/* ---- new headers --------------------------------------------------------- */

static bool spec_check(const CryptoSpec *spec, Luks *l, Error **errp)
{
    const CryptoOps *ops = crypto_ops(errp);
    const char *bad = NULL;

    if (!ops) {
        return false;
    }
    if (l->alg == CIPHER_DES || l->alg == CIPHER_3DES ||
        !ops->cipher_ok(l->alg, l->mode)) {
        bad = crypto_alg_enum.names[l->alg];
    }
    if (bad) {
        return error_set(errp, "Algorithm '%s' not supported", bad);
    }
    if (l->mode == MODE_XTS && crypto_block_len(l->alg) != 16) {
        return error_set(errp, "Unsupported cipher mode xts");
    }
    if (l->ivgen == IVGEN_ESSIV &&
        crypto_essiv_alg(l->alg, l->ivhash, errp) == CIPHER__COUNT) {
        return false;
    }
    return true;
}

static bool spec_layout(const CryptoSpec *spec, Luks *l, Error **errp)
{
    uint32_t area;

    *l = (Luks){ .alg = (CryptoAlg)spec->alg, .mode = (CryptoMode)spec->mode,
                 .ivgen = (CryptoIvgen)spec->ivgen, .ivhash = HASH_SHA256,
                 .hash = (CryptoHash)spec->hash,
                 .has_ivhash = spec->ivgen_hash || spec->ivgen == IVGEN_ESSIV };
    for (int i = 0; spec->ivgen_hash; i++) {
        if (!crypto_hash_enum.names[i]) {
            return error_set(errp, "Parameter 'ivgen-hash-alg' does not accept "
                             "value '%s'", spec->ivgen_hash);
        }
        if (!strcmp(crypto_hash_enum.names[i], spec->ivgen_hash)) {
            l->ivhash = (CryptoHash)i;
            break;
        }
    }
    l->key_bytes = (uint32_t)crypto_key_len(l->alg, l->mode);
    area = (l->key_bytes * LUKS_STRIPES + CRYPTO_SECTOR - 1) / CRYPTO_SECTOR;
    area = ALIGN_UP(area, SLOT_ALIGN);
    for (uint32_t i = 0; i < LUKS_SLOTS; i++) {
        l->slot[i].offset = SLOT_ALIGN + i * area;
        l->slot[i].stripes = LUKS_STRIPES;
    }
    l->payload = SLOT_ALIGN + LUKS_SLOTS * area;
    return true;
}

bool crypto_luks_header_size(const CryptoSpec *spec, uint64_t *size,
                             Error **errp)
{
    Luks l;

    if (!spec_layout(spec, &l, errp)) {
        return false;
    }
    *size = l.payload * (uint64_t)CRYPTO_SECTOR;
    return true;
}

static bool uuid_make(char *out, Error **errp)
{
    uint8_t u[16];

    if (!luks_random(u, sizeof(u), errp)) {
        return false;
    }
    u[6] = (uint8_t)((u[6] & 0x0f) | 0x40);
    u[8] = (uint8_t)((u[8] & 0x3f) | 0x80);
    for (int i = 0; i < 16; i++) {
        out += sprintf(out, "%s%02x",
                       i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", u[i]);
    }
    return true;
}

/* Digest, first slot, and last the header that makes them valid. */
static MACHINE_CALL bool header_fill(CryptoBlk *c, const CryptoSpec *spec,
                                     uint8_t *key, Error **errp)
{
    Luks *l = &c->luks;

    if (!luks_random(key, l->key_bytes, errp) ||
        !luks_random(l->mk_salt, sizeof(l->mk_salt), errp) ||
        !uuid_make(l->uuid, errp) ||
        !luks_pbkdf2_iters(l->hash, LUKS_DIGEST, spec->iter_time, &l->mk_iters,
                           errp)) {
        return false;
    }
    l->mk_iters = MAX2(l->mk_iters / 8, ITERS_MIN);
    if (!c->data.ops->pbkdf2(l->hash, key, l->key_bytes, l->mk_salt,
                             sizeof(l->mk_salt), l->mk_iters, l->mk_digest,
                             LUKS_DIGEST)) {
        return error_set(errp, "PBKDF does not support hash algorithm %s",
                         crypto_hash_enum.names[l->hash]);
    }
    return luks_slot_store(&c->io, l, 0, key, spec->key_secret, spec->iter_time,
                           errp) &&
           luks_header_write(&c->io, l, errp) &&
           crypto_sectors_init(&c->data, l->alg, l->mode, l->ivgen, l->ivhash,
                               key, errp);
}

CryptoBlk *crypto_luks_create(const CryptoIo *io, const CryptoSpec *spec,
                              const char *prefix, Error **errp)
{
    CryptoBlk *c = g_new0(CryptoBlk, 1);
    uint8_t key[KEY_MAX];
    bool ok;

    c->is_luks = true;
    c->io = *io;
    c->key_secret = g_strdup(spec->key_secret);
    c->prefix = g_strdup(prefix);
    ok = spec->key_secret ||
         error_set(errp, "Parameter '%skey-secret' is required for cipher",
                   prefix);
    ok = ok && spec_layout(spec, &c->luks, errp) &&
         spec_check(spec, &c->luks, errp);
    c->data.ops = ok ? crypto_ops(errp) : NULL;
    ok = ok && header_fill(c, spec, key, errp);
    explicit_bzero(key, sizeof(key));
    if (!ok) {
        crypto_free(c);
        return NULL;
    }
    return c;
}

/* ---- amend --------------------------------------------------------------- */

static MACHINE_CALL bool slot_add(CryptoBlk *c, const CryptoAmend *a,
                                  bool force, Error **errp)
{
    Luks *l = &c->luks;
    int slot = a->keyslot < 0 ? -1 : (int)a->keyslot, ret = 0;
    uint8_t key[KEY_MAX];
    char *pass;
    bool ok;

    if (!a->new_secret) {
        return error_set(errp, "'new-secret' is required to activate a "
                         "keyslot");
    }
    if (a->old_secret) {
        return error_set(errp, "'old-secret' must not be given when activating "
                         "keyslots");
    }
    for (int i = 0; slot < 0 && i < LUKS_SLOTS; i++) {
        slot = l->slot[i].active ? -1 : i;
    }
    if (slot < 0) {
        return error_set(errp, "Can't add a keyslot - all keyslots are in use");
    }
    if (l->slot[slot].active && !force) {
        return error_set(errp, "Refusing to overwrite active keyslot %d - "
                         "please erase it first", slot);
    }
    if (!c->key_secret) {
        return error_set(errp, "Parameter '%skey-secret' is required for cipher",
                         c->prefix);
    }
    pass = secret_lookup_text(c->key_secret, errp);
    if (!pass) {
        return false;
    }
    for (unsigned i = 0; i < LUKS_SLOTS && !ret; i++) {
        ret = l->slot[i].active ? luks_slot_open(&c->io, l, i, pass,
                                                 strlen(pass), key, errp) : 0;
    }
    secret_free(pass, strlen(pass));
    if (!ret) {
        error_set(errp, "Failed to retrieve the master key");
    }
    ok = ret > 0 && luks_slot_store(&c->io, l, (unsigned)slot, key,
                                    a->new_secret, a->iter_time, errp) &&
         luks_header_write(&c->io, l, errp);
    explicit_bzero(key, sizeof(key));
    return ok;
}

/* Which active slots the old password opens; -1: error. */
static MACHINE_CALL int slots_matching(CryptoBlk *c, const char *secret,
                                       Error **errp)
{
    char *pass = secret_lookup_text(secret, errp);
    uint8_t key[KEY_MAX];
    int set = 0, ret = 0;

    if (!pass) {
        return -1;
    }
    for (unsigned i = 0; i < LUKS_SLOTS && ret >= 0; i++) {
        if (c->luks.slot[i].active) {
            ret = luks_slot_open(&c->io, &c->luks, i, pass, strlen(pass), key,
                                 errp);
            set |= ret > 0 ? 1 << i : 0;
        }
    }
    explicit_bzero(key, sizeof(key));
    secret_free(pass, strlen(pass));
    return ret < 0 ? -1 : set;
}

/* The slots that the options choose, as a set; -1: refused. */
static MACHINE_CALL int erase_choose(CryptoBlk *c, const CryptoAmend *a,
                                     bool force, Error **errp)
{
    const Luks *l = &c->luks;
    int slot = a->keyslot < 0 ? -1 : (int)a->keyslot;
    int active = 0, match = -1;

    for (int i = 0; i < LUKS_SLOTS; i++) {
        active |= l->slot[i].active ? 1 << i : 0;
    }
    if (a->old_secret) {
        match = slots_matching(c, a->old_secret, errp);
        if (match < 0) {
            return -1;
        }
    }
    if (slot >= 0) {
        if (match >= 0 && !(match & 1 << slot)) {
            error_set(errp, "Given keyslot %d doesn't contain the given old "
                      "password for erase operation", slot);
            return -1;
        }
        if (!(active & 1 << slot)) {
            error_set(errp, "Given keyslot %d is already erased (inactive) ",
                      slot);
            return -1;
        }
        if (active == 1 << slot && !force) {
            error_set(errp, "Attempt to erase the only active keyslot %d which "
                      "will erase all the data in the image irreversibly - "
                      "refusing operation", slot);
            return -1;
        }
        return 1 << slot;
    }
    if (match < 0) {
        error_set(errp, "To erase keyslot(s), either explicit keyslot index or "
                  "the password currently contained in them must be given");
    } else if (!match) {
        error_set(errp, "No keyslots match given (old) password for erase "
                  "operation");
        match = -1;
    } else if (match == active && !force) {
        error_set(errp, "All the active keyslots match the (old) password that "
                  "was given and erasing them will erase all the data in the "
                  "image irreversibly - refusing operation");
        match = -1;
    }
    return match;
}

bool crypto_luks_amend(CryptoBlk *c, const CryptoAmend *a, bool force,
                       Error **errp)
{
    int set;

    if (a->state == KEYSLOT_UNSET) {
        return error_set(errp, "Parameter 'state' is missing");
    }
    if (a->keyslot != CRYPTO_NO_KEYSLOT &&
        (a->keyslot < 0 || a->keyslot >= LUKS_SLOTS)) {
        return error_set(errp, "Invalid keyslot %" PRId64 " specified, must be "
                         "between 0 and %d", a->keyslot, LUKS_SLOTS - 1);
    }
    if (a->state == KEYSLOT_ACTIVE) {
        return slot_add(c, a, force, errp);
    }
    if (a->new_secret) {
        return error_set(errp, "'new-secret' must not be given when erasing "
                         "keyslots");
    }
    set = erase_choose(c, a, force, errp);
    for (unsigned i = 0; set > 0 && i < LUKS_SLOTS; i++) {
        if (set & 1 << i && (!luks_slot_erase(&c->io, &c->luks, i, errp) ||
                             !luks_header_write(&c->io, &c->luks, errp))) {
            return false;
        }
    }
    return set > 0;
}
