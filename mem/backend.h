/* SPDX-License-Identifier: GPL-2.0-or-later */
/* backend.h - memory backends: what their files share. */
#ifndef TERN_MEM_BACKEND_H
#define TERN_MEM_BACKEND_H

#include "mem-impl.h"

#define NODES_MAX  128
#define NODE_WORDS (NODES_MAX / (8 * sizeof(unsigned long)))

/* Switches; a default may depend on the type or the machine. */
typedef enum BackendFlag {
    BF_SHARE, BF_DUMP, BF_MERGE, BF_PREALLOC, BF_RESERVE, BF_CANONICAL,
    BF_READONLY, BF_PMEM, BF_DISCARD, BF_HUGETLB, BF_SEAL,
} BackendFlag;

/* As MPOL_* of mbind(2). */
typedef enum BackendPolicy {
    POLICY_DEFAULT, POLICY_PREFERRED, POLICY_BIND, POLICY_INTERLEAVE,
} BackendPolicy;
extern const char *const backend_policy_names[];

typedef struct MemBackend {
    Obj obj;
    uint64_t size;
    uint32_t given, flags;             /* by BackendFlag: set by user; value  */
    uint32_t threads;                  /* 0: one                              */
    int policy;
    unsigned long nodes[NODE_WORDS];
    Obj *context;                      /* thread-context                      */
    /* -file */
    char *path;
    uint64_t align;
    /* -memfd */
    uint64_t huge_size;

    RamBlock *rb;                      /* NULL until complete                 */
    MemRegion mr;
    char *label;
    bool busy;
} MemBackend;

bool backend_flag(const MemBackend *b, BackendFlag f);
/* Backs all pages, by the threads asked for. */
bool backend_prealloc(MemBackend *b, Error **errp) MACHINE_CALL;
bool backend_has_nodes(const MemBackend *b);

extern const Prop backend_props[], backend_file_props[], backend_memfd_props[];

#endif
