/* SPDX-License-Identifier: GPL-2.0-or-later */
/* dump.h - a dump of the guest's memory, private to this folder and target/x86. */
#ifndef TERN_HW_MACHINE_DUMP_H
#define TERN_HW_MACHINE_DUMP_H

#include <glib.h>
#include "mem.h"

/* Guest memory that is contiguous here too. */
typedef struct DumpBlock {
    uint64_t first, len;               /* physical address, bytes             */
    const uint8_t *host;
    RamBlock *ram;                     /* pinned                              */
} DumpBlock;

/* Virtual addresses of a part of the blocks. */
typedef struct DumpMap {
    uint64_t va, pa, len;
} DumpMap;

typedef struct Dump {
    int fd;                            /* may be a pipe                       */
    int format;                        /* DumpGuestMemoryFormat               */
    GArray *blocks;                    /* DumpBlock, ascending                */
    GArray *maps;                      /* DumpMap, for program headers        */
    GByteArray *notes;
    unsigned info_at, info_len;        /* of VMCOREINFO's text in notes; or 0  */
    uint64_t phys_base;                /* from there                          */
    bool long_mode;                    /* of the first vCPU                   */
    unsigned cpus;
    uint64_t total, done;              /* bytes; done is atomic               */
    bool cancel;                       /* atomic                              */
} Dump;

/* All of it to d->fd; counts nothing. In a worker. */
bool dump_put(Dump *d, const void *buf, size_t len, Error **errp);
bool dump_elf(Dump *d, Error **errp);
bool dump_kdump(Dump *d, Error **errp);
static inline DumpBlock *dump_block(const Dump *d, unsigned i)
{
    return &g_array_index(d->blocks, DumpBlock, i);
}

#endif
