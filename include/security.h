/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * security.h - what confines the program: system-call filter, user, root folder.
 * MACHINE_CALL, at the end of start-up.
 */
#ifndef TERN_SECURITY_H
#define TERN_SECURITY_H

#include "error.h"

/* -sandbox on[,obsolete=,elevateprivileges=,spawn=,resourcecontrol=]: applies to
 * all threads, now and later. */
bool sandbox_option(const char *arg, Error **errp) MACHINE_CALL;
/* -chroot DIR (NULL: none), then -runas USER or UID:GID (NULL: none). */
bool confine(const char *root, const char *user, Error **errp) MACHINE_CALL;

#endif
