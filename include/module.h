/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * module.h - code that is loaded when first used, because the library behind it
 * is large: its tables (properties, help, introspection) stay in the program,
 * only the functions are in the module.
 *
 * A module is listed in a build.mk:
 *
 *     modules-$(CONFIG_CURL) += block-curl
 *     module-block-curl-objs = block/curl-ops.o
 *     uses-block/curl-ops.o = CURL
 *
 * and defines what the program asks for by name:
 *
 *     const CurlOps curl_ops = { … };
 */
#ifndef TERN_MODULE_H
#define TERN_MODULE_H

#include "error.h"

/* The object `symbol` of module `name`, which stays loaded. NULL: not built or
 * not installed, said in *errp. ANY_THREAD; call it before -sandbox, -chroot
 * take hold, or the file cannot be opened. */
const void *module_symbol(const char *name, const char *symbol, Error **errp)
    ANY_THREAD;
/* Is the module's file there? Without loading it. */
bool module_present(const char *name) ANY_THREAD;

#endif
