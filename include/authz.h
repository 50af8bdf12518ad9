/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * authz.h - who is let in: objects authz-simple, authz-list, authz-list-file.
 * MACHINE_CALL.
 */
#ifndef TERN_AUTHZ_H
#define TERN_AUTHZ_H

#include "error.h"

/* Asks object id about identity (a distinguished name, a SASL user): 1 allowed,
 * 0 denied, -1 with *errp when there is no such object. */
int authz_check(const char *id, const char *identity, Error **errp)
    MACHINE_CALL;

#endif
