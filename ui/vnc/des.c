/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * des.c - the cipher of VNC's passwords, by libgcrypt: the module "ui-des".
 *
 * Thread class: any.
 */
#include <gcrypt.h>
#include "base.h"
#include "ui/vnc/des.h"

static bool encrypt(const uint8_t key[8], const uint8_t in[16], uint8_t out[16])
{
    gcry_cipher_hd_t h;
    gcry_error_t rc;

    if (gcry_cipher_open(&h, GCRY_CIPHER_DES, GCRY_CIPHER_MODE_ECB, 0)) {
        return false;
    }
    /* a weak key is as good as the others here */
    gcry_cipher_ctl(h, GCRYCTL_SET_ALLOW_WEAK_KEY, NULL, 1);
    rc = gcry_cipher_setkey(h, key, 8);
    rc = rc ? rc : gcry_cipher_encrypt(h, out, 16, in, 16);
    gcry_cipher_close(h);
    return !rc;
}

const DesOps des_ops_table = { encrypt };
