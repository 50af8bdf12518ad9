/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tls-module.c - finds the module "tls", once. Thread class: MACHINE_CALL. */
#include "config.h"
#include "module.h"
#include "security/tls-ops.h"

const TlsOps *tls_ops(Error **errp)
{
#ifdef CONFIG_GNUTLS
    static const TlsOps *ops;
    Error *err = NULL;

    if (!ops) {
        ops = module_symbol("tls", "tls_ops_table", &err);
        if (!ops) {
            error_prepend(&err, "TLS credentials support requires GNUTLS: ");
            error_move(errp, err);
        }
    }
    return ops;
#else
    error_set(errp, "TLS credentials support requires GNUTLS");
    return NULL;
#endif
}
