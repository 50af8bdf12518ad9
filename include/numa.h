/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * numa.h - the guest's memory nodes (-numa): which memory, which vCPUs, how far
 * apart. MACHINE_CALL; fixed once the machine is built.
 */
#ifndef TERN_NUMA_H
#define TERN_NUMA_H

#include "machine.h"

#define NUMA_NODES_MAX 128
#define NUMA_LOCAL 10                  /* distance of a node to itself        */

typedef struct NumaNode {
    bool present;
    uint64_t size;                     /* bytes                               */
    Obj *backend;                      /* NULL: part of main memory           */
    uint8_t distance[NUMA_NODES_MAX];  /* 0: not told                         */
} NumaNode;

extern unsigned numa_count;            /* 0: no NUMA                          */
extern bool numa_has_distances;
NumaNode *numa_node(unsigned i) MACHINE_CALL;

/* One -numa; before memory is made. */
bool numa_option(const char *arg, const char *kind, Error **errp) MACHINE_CALL;
/* Is memory given by nodes (memdev=)? Then there is no main block. */
bool numa_by_backends(void) MACHINE_CALL;
/* After all options: sizes, distances, vCPUs without a node. */
bool numa_complete(Machine *m, Error **errp) MACHINE_CALL;
/* The node of the vCPU with that index (< max_cpus); -1: no NUMA. */
int numa_of_cpu(unsigned index) MACHINE_CALL;
/* Puts the nodes' backends one after the other into an empty region. */
void numa_fill_region(MemRegion *all) MACHINE_CALL;

#endif
