/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libqvirtio.h - the driver's side of virtio over PCI, for tests over qtest:
 * discovery, features, split and packed rings, by the old and the new interface.
 * Everything goes through guest memory and registers; nothing of the emulator is
 * shared.
 */
#ifndef TESTS_LIBQVIRTIO_H
#define TESTS_LIBQVIRTIO_H

#include "tests/libqtest.h"

#define QV_QUEUES 16
#define QV_F(bit) (1ull << (bit))
enum { QV_INDIRECT = 28, QV_EVENT_IDX = 29, QV_VERSION_1 = 32, QV_PACKED = 34 };

typedef struct QVirtq {
    struct QVirtio *d;
    unsigned index, num;
    uint64_t desc, avail, used, notify;
    bool packed;
    uint16_t next, avail_idx, seen;    /* split: next free descriptor         */
    uint16_t pos, used_pos;            /* packed                              */
    bool wrap, used_wrap;
    uint16_t chain[1024];              /* descriptors of a packed chain, by id */
} QVirtq;

typedef struct QVirtio {
    QTest *q;
    unsigned devfn;
    bool legacy;
    uint64_t io;                       /* legacy BAR                          */
    uint64_t common, isr, config, notify;
    uint32_t notify_step;
    uint16_t notify_port;              /* 0: none; else each second kick's    */
    unsigned kicks;
    uint64_t msix_table;               /* 0: not used                         */
    uint64_t msix_words;               /* where the vectors are stored        */
    uint64_t features;
    uint64_t heap;                     /* next free guest byte                */
    QVirtq vq[QV_QUEUES];
} QVirtio;

typedef struct QVirtBuf {
    uint64_t addr;
    uint32_t len;
    bool write;                        /* by the device                       */
} QVirtBuf;

/* Finds the n-th function of a virtio type, resets it, ACKNOWLEDGE and DRIVER.
 * Guest memory from heap up is the library's. Aborts when there is none. */
QVirtio *qvirtio_find(QTest *q, unsigned type, unsigned n, bool legacy,
                      uint64_t heap);
void qvirtio_free(QVirtio *d);
uint64_t qvirtio_alloc(QVirtio *d, uint64_t size, uint64_t align);
uint64_t qvirtio_offered(QVirtio *d);
/* Accepts; true when the device agrees (FEATURES_OK, with the new interface). */
bool qvirtio_accept(QVirtio *d, uint64_t features);
uint8_t qvirtio_status(QVirtio *d);
void qvirtio_set_status(QVirtio *d, uint8_t status);
void qvirtio_ready(QVirtio *d);        /* DRIVER_OK                           */
uint32_t qvirtio_config(QVirtio *d, unsigned off, unsigned size);
void qvirtio_config_set(QVirtio *d, unsigned off, unsigned size, uint32_t v);
uint8_t qvirtio_isr(QVirtio *d);
/* Turns MSI-X on: vector n stores data n to an own word of guest memory. */
void qvirtio_msix(QVirtio *d, unsigned vectors);
void qvirtio_vector(QVirtio *d, int queue, uint16_t vec);  /* -1: config      */

unsigned qvirtq_max(QVirtio *d, unsigned index);
/* num 0: as large as the device offers. */
QVirtq *qvirtq_setup(QVirtio *d, unsigned index, unsigned num);
/* Makes a chain available (as an indirect table when indirect); returns its
 * head or id. Does not kick. */
unsigned qvirtq_add(QVirtq *vq, const QVirtBuf *b, unsigned n, bool indirect);
void qvirtq_kick(QVirtq *vq);
/* The next used element, if there: its id and length. */
bool qvirtq_used(QVirtq *vq, unsigned *id, uint32_t *len);
/* Waits (wall clock, up to 10 s) for it; aborts when none comes. */
uint32_t qvirtq_wait(QVirtq *vq, unsigned *id);

#endif
