/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2-crypt.c - encrypted images: LUKS, whose header lies in the image, and the
 * bare AES of old ones. (the specification: Full disk encryption header pointer,
 * Data encryption)
 *
 * Thread class: MACHINE_CALL to open; LOOP_CALL(node's loop).
 *
 * Invariants
 * 1. Guest data never reaches the file but through q2_encrypt; metadata never
 *    goes through it.
 * 2. The place that decides the IV is the host's for LUKS, the guest's for AES.
 */
#include "block/crypto.h"
#include "block/qcow2-create.h"

static const char *method_name(const Qcow2 *s)
{
    return s->crypt_method == 2 ? "luks" : "aes";
}

bool q2_crypt_open(Qcow2 *s, Error **errp)
{
    CryptoIo io = { s->node.file, s->crypt_off, s->crypt_len };
    bool locked = s->node.flags & BLKO_NO_IO;
    const char *f = s->encrypt_format;

    if (!s->crypt_method) {
        return !f || error_set(errp, "No encryption in image header, but "
                               "options specified format '%s'", f);
    }
    if (f && strcmp(f, method_name(s)) &&
        !(s->crypt_method == 1 && !strcmp(f, "qcow"))) {
        return error_set(errp, "Header reported '%s' encryption format but "
                         "options specify '%s'", method_name(s), f);
    }
    if (s->crypt_method == 1) {
        s->crypt = crypto_aes_open(s->key_secret, "encrypt.", locked, errp);
    } else if (!s->crypt_off) {
        return error_set(errp, "Missing CRYPTO header for crypt method 2");
    } else {
        s->crypt = crypto_luks_open(&io, s->key_secret, "encrypt.", locked,
                                    errp);
    }
    return s->crypt != NULL;
}

void q2_crypt_free(Qcow2 *s)
{
    crypto_free(s->crypt);
    s->crypt = NULL;
}

int q2_encrypt(Qcow2 *s, uint64_t host, uint64_t guest, uint8_t *buf,
               uint64_t len)
{
    return crypto_encrypt(s->crypt, s->crypt_method == 2 ? host : guest, buf,
                          buf, len);
}

int q2_decrypt(Qcow2 *s, uint64_t host, uint64_t guest, uint8_t *buf,
               uint64_t len)
{
    return crypto_decrypt(s->crypt, s->crypt_method == 2 ? host : guest, buf,
                          buf, len);
}

Json *q2_crypt_info(const Qcow2 *s)
{
    Json *o = s->crypt && s->crypt_method == 2 ? crypto_luks_info(s->crypt)
                                               : NULL;

    if (!s->crypt_method) {
        return NULL;
    }
    o = o ? o : json_obj();
    json_set_str(o, "format", method_name(s));
    return o;
}

/* ---- options ------------------------------------------------------------- */

/* { "format": …, "key-secret": … } of blockdev-add. */
bool q2_encrypt_set(Obj *obj, const Prop *p, const Json *v, Error **errp)
{
    Qcow2 *s = (Qcow2 *)obj;

    if (json_kind(v) != JSON_OBJ) {
        return error_set(errp, "Invalid parameter type for '%s', expected: "
                         "object", p->name);
    }
    for (size_t i = 0; i < json_count(v); i++) {
        const char *k = json_key_at(v, i);
        const Json *x = json_value_at(v, i);
        char **to = !strcmp(k, "format") ? &s->encrypt_format
                  : !strcmp(k, "key-secret") ? &s->key_secret : NULL;

        if (!to || json_kind(x) != JSON_STR) {
            return error_set(errp, "Parameter 'encrypt.%s' is unexpected", k);
        }
        g_free(*to);
        *to = g_strdup(json_str_of(x));
    }
    return true;
}

/* ---- new images ---------------------------------------------------------- */

bool q2_crypt_create_ok(const Q2Create *c, Error **errp)
{
    const char *f = c->encrypt_format;

    if (!f && !c->encryption) {
        return true;
    }
    if (f && c->encryption) {
        return error_set(errp, "Options encryption and encrypt.format are "
                         "mutually exclusive");
    }
    if (f && strcmp(f, "luks") && strcmp(f, "aes")) {
        return error_set(errp, "Parameter 'format' does not accept value "
                         "'%s'", f);
    }
    if (!c->luks.key_secret) {
        return error_set(errp, "Parameter 'encrypt.key-secret' is required for "
                         "cipher");
    }
    return true;
}

static MACHINE_CALL bool luks_make(Q2Create *c, Qcow2 *s, Error **errp)
{
    CryptoBlk *made;
    CryptoIo io = { .node = s->node.file };
    uint64_t size, room;
    int64_t at;
    int ret;

    if (!crypto_luks_header_size(&c->luks, &size, errp)) {
        return false;
    }
    room = ALIGN_UP(size, s->cluster_size);
    q2_lock(s);
    at = q2_alloc(s, room >> s->cluster_bits, true, NULL);
    ret = at < 0 ? (int)at : blk_co_zero(s->node.file, (uint64_t)at, room, 0);
    if (ret >= 0) {
        /* So that the file reaches there. */
        ret = blk_co_pwrite(s->node.file, (uint64_t)at + room - 512,
                            (uint8_t[512]){ 0 }, 512, 0);
    }
    q2_unlock(s);
    if (ret < 0) {
        return error_set_errno(errp, -ret, "Could not make room for the "
                               "encryption header");
    }
    io.base = (uint64_t)at;
    io.len = room;
    made = crypto_luks_create(&io, &c->luks, "encrypt.", errp);
    if (!made) {
        return false;
    }
    crypto_free(made);
    s->crypt_method = 2;
    s->crypt_off = io.base;
    s->crypt_len = size;
    return true;
}

bool q2_crypt_create(Q2Create *c, Error **errp)
{
    bool luks = c->encrypt_format && !strcmp(c->encrypt_format, "luks");
    CryptoBlk *aes;
    Qcow2 *s;
    bool ok;
    int ret;

    if (!c->encrypt_format && !c->encryption) {
        return true;
    }
    if (!luks) {
        aes = crypto_aes_open(c->luks.key_secret, "encrypt.", false, errp);
        if (!aes) {
            return false;
        }
        crypto_free(aes);
    }
    s = q2_private_open(c->b.file, NULL, errp);
    if (!s) {
        return false;
    }
    s->crypt_method = luks ? 0 : 1;
    ok = !luks || luks_make(c, s, errp);
    if (ok) {
        q2_lock(s);
        ret = q2_header_write(s);
        q2_unlock(s);
        ok = ret >= 0 || error_set_errno(errp, -ret, "Could not write qcow2 "
                                         "header");
    }
    s->crypt_method = 0;
    return q2_private_close(s, ok ? errp : NULL) && ok;
}
