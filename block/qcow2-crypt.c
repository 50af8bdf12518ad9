/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2-crypt.c - encrypted images: LUKS, and the AES of old ones.
 * (the specification: Data encryption)
 *
 * Thread class: MACHINE_CALL to open; LOOP_CALL(node's loop).
 */
#include "block/qcow2.h"

bool q2_crypt_open(Qcow2 *s, Error **errp)
{
    if (!s->crypt_method || (s->node.flags & BLKO_NO_IO)) {
        return true;
    }
    return error_set(errp, "Parameter 'encrypt.key-secret' is required for "
                     "cipher");
}

void q2_crypt_free(Qcow2 *s)
{
}

int q2_encrypt(Qcow2 *s, uint64_t host, uint64_t guest, uint8_t *buf,
               uint64_t len)
{
    return -ENOTSUP;
}

int q2_decrypt(Qcow2 *s, uint64_t host, uint64_t guest, uint8_t *buf,
               uint64_t len)
{
    return -ENOTSUP;
}
