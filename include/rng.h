/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rng.h - sources of random bytes, as -object rng-*. MACHINE_CALL throughout.
 */
#ifndef TERN_RNG_H
#define TERN_RNG_H

#include "loop.h"
#include "obj.h"

#define RNG_MAX 4096                   /* bytes that one request may ask for  */

typedef struct RngBackend RngBackend;
typedef struct RngReq {                /* embedded by who asks                */
    size_t want;                       /* 1..RNG_MAX                          */
    void (*done)(struct RngReq *r, const uint8_t *buf, size_t n);  /* n >= 1  */
    RngBackend *from;                  /* private; NULL: not waiting          */
    struct RngReq *next;
} RngReq;

/* done comes later, in the main loop, with at least one byte. */
void rng_request(RngBackend *b, RngReq *r) MACHINE_CALL;
void rng_cancel(RngReq *r) MACHINE_CALL;
/* The system's own source, for a device that was given none; it is a child of
 * the owner's node, "default-backend", until it is freed. */
RngBackend *rng_default(Obj *owner) MACHINE_CALL;
void rng_default_free(RngBackend *b) MACHINE_CALL;
/* For properties of type link<rng-backend>. */
extern const PropRef prop_ref_rng;

#endif
