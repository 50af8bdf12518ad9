/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * secret.h - passwords and keys that the user keeps in objects of type secret
 * and secret_keyring; other options name them by id. MACHINE_CALL.
 */
#ifndef TERN_SECRET_H
#define TERN_SECRET_H

#include "error.h"

/* A copy of the secret's bytes, followed by a NUL that *len does not count; the
 * caller gives it back with secret_free. */
bool secret_lookup(const char *id, uint8_t **data, size_t *len, Error **errp)
    MACHINE_CALL;
/* The same as text: refused unless it is UTF-8 without NUL. Caller
 * secret_frees it with its strlen. NULL with *errp. */
char *secret_lookup_text(const char *id, Error **errp) MACHINE_CALL;
/* In base64, as ciphers' own options want it. Caller secret_frees. */
char *secret_lookup_base64(const char *id, Error **errp) MACHINE_CALL;
/* Overwrites before giving the memory back. NULL is fine. ANY_THREAD. */
void secret_free(void *data, size_t len) ANY_THREAD;

#endif
