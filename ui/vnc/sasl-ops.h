/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sasl-ops.h - what the module "ui-sasl" offers: server sides of SASL exchanges
 * (RFC 4422). MACHINE_CALL.
 */
#ifndef UI_VNC_SASL_OPS_H
#define UI_VNC_SASL_OPS_H

#include "error.h"

typedef struct SaslLink SaslLink;
typedef enum SaslStep { SASL_STEP_FAILED, SASL_STEP_MORE, SASL_STEP_DONE } SaslStep;

typedef struct SaslOps {
    /* local, remote: "address;port", or NULL. tls_bits: of the TLS around it, 0:
     * none, so that the exchange must bring encryption of its own. */
    SaslLink *(*open)(const char *local, const char *remote, int tls_bits,
                      Error **errp);
    void (*close)(SaslLink *l);
    /* Names, with commas between them; the link owns them. */
    const char *(*mechanisms)(SaslLink *l);
    /* mechanism: the client's choice, NULL in later steps. in NULL: none. *out
     * is the library's until the next call; may be NULL. */
    SaslStep (*step)(SaslLink *l, const char *mechanism, const void *in,
                     unsigned n, const char **out, unsigned *n_out);
    /* After SASL_STEP_DONE. */
    const char *(*user)(SaslLink *l);
    int (*bits)(SaslLink *l);          /* of its own encryption, 0: none      */
    /* Own encryption; *out is the library's until the next call. */
    bool (*encode)(SaslLink *l, const void *in, unsigned n, const char **out,
                   unsigned *n_out);
    bool (*decode)(SaslLink *l, const void *in, unsigned n, const char **out,
                   unsigned *n_out);
} SaslOps;
extern const SaslOps sasl_ops_table;

#endif
