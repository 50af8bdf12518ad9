/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qcow-create.c - making qcow images. Thread class: MACHINE_CALL. */
#include <glib.h>
#include "block/crypto.h"
#include "block/qcow-create.h"

const Prop qcow_create_props[] = {
    PROP_STR("backing_file", QcowCreate, base.backing_file,
             .desc = "File name of a base image"),
    PROP_STR("backing_fmt", QcowCreate, base.backing_fmt,
             .desc = "Format of the backing image"),
    PROP_BOOL("encryption", QcowCreate, encryption, false,
              .flags = PF_NO_DEFAULT,
              .desc = "Encrypt the image with format 'aes'. (Deprecated in "
                      "favor of encrypt.format=aes)"),
    PROP_STR("encrypt.format", QcowCreate, format,
             .desc = "Encrypt the image, format choices: 'aes'"),
    PROP_STR("encrypt.key-secret", QcowCreate, key_secret,
             .desc = "ID of the secret that provides the AES encryption key"),
    PROP_END
};

static MACHINE_CALL bool key_check(const QcowCreate *c, bool *aes, Error **errp)
{
    CryptoBlk *crypto;

    *aes = c->encryption || c->format;
    if (!*aes) {
        return true;
    }
    if (c->format && strcmp(c->format, "aes")) {
        return error_set(errp, "Parameter 'encrypt.format' does not accept "
                         "value '%s'", c->format);
    }
    crypto = crypto_aes_open(c->key_secret, "encrypt.", false, errp);
    crypto_free(crypto);
    return crypto != NULL;
}

bool qcow_create(BlkCreate *b, Error **errp)
{
    QcowCreate *c = (QcowCreate *)b;
    size_t name = b->backing_file ? strlen(b->backing_file) : 0;
    unsigned cluster_bits = name ? 9 : 12, l2_bits = name ? 12 : 9;
    uint64_t reach = UINT64_C(1) << (cluster_bits + l2_bits);
    uint64_t l1_off = ALIGN_UP(48 + name, 8), l1_size;
    uint8_t h[48] = { 0 };
    bool aes;
    int ret;

    if (!b->size) {
        return error_set(errp, "Image size is too small, cannot be zero length");
    }
    if (name > 1023) {
        return error_set(errp, "Backing file name too long");
    }
    if (b->size > reach * (INT32_MAX / 8)) {
        return error_set(errp, "Image too large");
    }
    if (!key_check(c, &aes, errp)) {
        return false;
    }
    l1_size = (b->size + reach - 1) / reach * 8;
    st_be32(h, QCOW_MAGIC);
    st_be32(h + 4, 1);
    st_be64(h + 8, name ? 48 : 0);
    st_be32(h + 16, (uint32_t)name);
    st_be64(h + 24, b->size);
    h[32] = (uint8_t)cluster_bits;
    h[33] = (uint8_t)l2_bits;
    st_be32(h + 36, aes);
    st_be64(h + 40, l1_off);
    if (!blk_node_truncate(b->file, l1_off + l1_size, PREALLOC_OFF, false,
                           errp)) {
        return false;
    }
    ret = blk_co_pwrite(b->file, 48, b->backing_file, name, 0);
    ret = ret < 0 ? ret : blk_co_pwrite(b->file, 0, h, sizeof(h), 0);
    return ret >= 0 || error_set_errno(errp, -ret, "Could not write the header");
}
