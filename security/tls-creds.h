/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tls-creds.h - private to this folder. MACHINE_CALL. */
#ifndef TERN_SECURITY_TLS_CREDS_H
#define TERN_SECURITY_TLS_CREDS_H

#include <glib.h>
#include "security/tls-ops.h"

typedef struct TlsCreds {
    Obj obj;
    int endpoint;                      /* properties                          */
    char *dir, *priority, *username, *passwordid;
    bool verify_peer, sanity_check, loaded;
    TlsKeys *keys;                     /* the module's; NULL: not loaded      */
    GSList *retired;                   /* keys that sessions may still use    */
    int users;                         /* changed by g_atomic_int_*: sessions
                                        * of any thread                      */
} TlsCreds;

#endif
