/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * driver.h - what a block format, protocol or filter declares. Only block/ and
 * introspection look inside.
 */
#ifndef TERN_BLOCK_DRIVER_H
#define TERN_BLOCK_DRIVER_H

#include "blk.h"

struct BlkDriver {
    const char *name;                  /* "qcow2"                             */
    const char *desc, *doc;
    size_t size;                       /* of the struct; BlkNode first        */
    const Prop *props;                 /* its branch of blockdev-add          */
    const char *const *children;       /* "file", "backing"; NULL-terminated  */
    bool protocol, filter;
};
#define BLK_DRIVER(sym, ...) SET_MEMBER(blk_drivers, BlkDriver, sym, __VA_ARGS__)

#endif
