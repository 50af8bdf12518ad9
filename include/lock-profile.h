/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lock-profile.h - who waits for the machine lock, and how long (sync-profile). */
#ifndef TERN_LOCK_PROFILE_H
#define TERN_LOCK_PROFILE_H

#include "base.h"

typedef struct LockSite {
    const char *where;                 /* file:line                           */
    uint64_t count, wait_ns;           /* acquisitions, time until them       */
} LockSite;

/* Off at the start, and then an acquisition costs one test more. */
void lock_profile_set(bool on) MACHINE_CALL;
bool lock_profile_get(void) ANY_THREAD;
void lock_profile_reset(void) MACHINE_CALL;
/* At most room sites, in any order; returns how many. */
size_t lock_profile_read(LockSite *out, size_t room) MACHINE_CALL;
const void *lock_profile_object(void) ANY_THREAD;  /* the lock, to name it    */

#endif
