/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qcow2-create.h - the options of a new image, private to the driver. */
#ifndef TERN_BLOCK_QCOW2_CREATE_H
#define TERN_BLOCK_QCOW2_CREATE_H

#include "block/qcow2.h"

typedef struct Q2Create {
    BlkCreate b;
    uint64_t cluster_size, refcount_bits, iter_time;
    int compat;                        /* 0, 2: version 2; 1, 3: version 3    */
    int compression, preallocation;
    char *data_file;
    bool data_file_raw, extended_l2, lazy_refcounts, encryption;
    char *encrypt_format, *key_secret, *cipher_alg, *cipher_mode, *ivgen_alg,
         *ivgen_hash_alg, *hash_alg;
} Q2Create;

bool q2_create_ok(Q2Create *c, Error **errp);
/* The layout of a new image: fields of s, its refcount blocks. */
bool q2_data_file_create(const Q2Create *c, Error **errp) MACHINE_CALL;
/* Reserves clusters of the range, and space for them as mode says. */
bool q2_prealloc_range(Qcow2 *s, uint64_t off, uint64_t len, BlkPrealloc mode,
                       Error **errp) MACHINE_CALL;

#endif
