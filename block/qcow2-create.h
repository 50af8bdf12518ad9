/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qcow2-create.h - the options of a new image, private to the driver. */
#ifndef TERN_BLOCK_QCOW2_CREATE_H
#define TERN_BLOCK_QCOW2_CREATE_H

#include "block/crypto.h"
#include "block/qcow2.h"

typedef struct Q2Create {
    BlkCreate b;
    uint64_t cluster_size, refcount_bits;
    int compat;                        /* 0, 2: version 2; 1, 3: version 3    */
    int compression, preallocation;
    char *data_file;
    bool data_file_raw, extended_l2, lazy_refcounts, encryption;
    char *encrypt_format;              /* NULL, "luks", "aes"                */
    CryptoSpec luks;
} Q2Create;

typedef struct Q2Amend {
    CryptoAmend luks;
    uint64_t size, refcount_bits;
    char *compat, *backing_file, *backing_fmt, *data_file;
    bool data_file_raw, lazy_refcounts;
} Q2Amend;
extern const Prop q2_amend_props[];

bool q2_create_ok(Q2Create *c, Error **errp);
bool q2_data_file_create(const Q2Create *c, Error **errp) MACHINE_CALL;
bool q2_crypt_create_ok(const Q2Create *c, Error **errp);
/* Encrypts a new image, before there is data in it. */
bool q2_crypt_create(Q2Create *c, Error **errp) MACHINE_CALL;
/* Reserves clusters of the range, and space for them as mode says. */
bool q2_prealloc_range(Qcow2 *s, uint64_t off, uint64_t len, BlkPrealloc mode,
                       Error **errp) MACHINE_CALL;

#endif
