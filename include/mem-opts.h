/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mem-opts.h - what the command line says of memory: -m, -mem-path,
 * -mem-prealloc, -machine memory-backend=, mem-merge=, dump-guest-core=,
 * -overcommit. Used by option handlers and by the machine.
 */
#ifndef TERN_MEM_OPTS_H
#define TERN_MEM_OPTS_H

#include "mem.h"

/*
 * -m [size=]N[,slots=N][,maxmem=N]: a bare size is in MiB, a bare maxmem in
 * bytes. Members not mentioned keep what *size (0: the machine's default), *slots
 * and *maxmem (0: not given) hold. ANY_THREAD.
 */
bool mem_parse_m(const char *arg, uint64_t *size, uint64_t *slots,
                 uint64_t *maxmem, Error **errp);
/* The rules between them, once the machine's default size is known; fills in
 * *maxmem. */
bool mem_check_sizes(uint64_t size, uint64_t slots, uint64_t *maxmem,
                     Error **errp);

/* -overcommit [mem-lock=on|off][,cpu-pm=on|off]; others keep their value. */
bool mem_parse_overcommit(const char *arg, bool *mem_lock, bool *cpu_pm,
                          Error **errp);
/* Locks all memory of the process, present and future. */
bool mem_lock_all(Error **errp);

/* What new RAM gets, from -machine mem-merge= and dump-guest-core=. Set before
 * the first block is made. */
extern bool mem_merge_default, mem_dump_default;

/* How main memory is to be made. */
typedef struct MemMain {
    const char *id;                    /* "pc.ram"                            */
    uint64_t size;                     /* 0: as the backend's                 */
    const char *backend;               /* -machine memory-backend=, or NULL   */
    const char *path;                  /* -mem-path, or NULL                  */
    bool prealloc;                     /* -mem-prealloc                       */
} MemMain;
/* Makes the backend /objects/<id>, or takes the one named. NULL with an error.
 * *backend: the object, for mem_backend_region. */
RamBlock *mem_make_main(const MemMain *m, Obj **backend, Error **errp)
    MACHINE_CALL;

#endif
