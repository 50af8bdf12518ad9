/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libfuzz.h - a guest that scribbles, for tests/fuzz: a generator that a seed
 * repeats, the PCI functions that there are with their BARs mapped, nonsense
 * written to them, and the loop around it all. One thread.
 */
#ifndef TESTS_LIBFUZZ_H
#define TESTS_LIBFUZZ_H

#include "tests/libqtest.h"

#define FUZZ_RAM (32u << 20)           /* start the machine with -m 32        */
#define FUZZ_RINGS 0x100000u           /* pages of rings and what they name   */
#define FUZZ_PAGES 64u
#define FUZZ_DEVICES 24

typedef struct FuzzDev {
    unsigned devfn;
    uint16_t vendor, device;
    uint32_t regs[6];                  /* BARs as mapped                      */
    struct { uint64_t addr, size; } bar[6];
} FuzzDev;

typedef struct Fuzz {
    QTest *q;
    uint64_t state;                    /* of the generator                    */
    FuzzDev dev[FUZZ_DEVICES];
    unsigned ndev;
    void *arg;                         /* the test's                          */
} Fuzz;

/* Seeds the generator from FUZZ_SEED or the time, and says so. */
void fuzz_init(Fuzz *f);
/* Finds and maps every function but the board's bridges. */
void fuzz_find(Fuzz *f);
/* Steps for FUZZ_SECONDS (20; 600 with TEST_SLOW), resetting the machine now and
 * then. Returns KiB that the process grew by; aborts when it stops answering. */
long fuzz_run(Fuzz *f, void (*step)(Fuzz *f));

uint64_t fuzz_rnd(Fuzz *f);
uint32_t fuzz_below(Fuzz *f, uint32_t n);
/* Numbers that break things more often than others. */
uint64_t fuzz_value(Fuzz *f);
/* One of the pages of rings. */
uint32_t fuzz_page(Fuzz *f);
/* n descriptors of virtio, 16 bytes each, most of which make sense. */
void fuzz_descriptors(Fuzz *f, uint8_t *p, unsigned n);
/* Reads or writes anywhere in a BAR; writes there. */
void fuzz_poke(Fuzz *f, const FuzzDev *d);
void fuzz_poke_at(Fuzz *f, const FuzzDev *d, unsigned bar, uint64_t off,
                  unsigned size, uint64_t v);
/* Writes anywhere in configuration space, then maps the BARs again. */
void fuzz_config(Fuzz *f, FuzzDev *d);
/* Does what a driver of virtio does, on `queues` queues with rings anywhere;
 * scribble is called between the kicks. */
void fuzz_virtio(Fuzz *f, const FuzzDev *d, unsigned queues,
                 void (*scribble)(Fuzz *f));

#endif
