/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * base.h - what every file may rely on: thread domains, linker sets, small
 * arithmetic. Includes nothing of Tern.
 */
#ifndef TERN_BASE_H
#define TERN_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <inttypes.h>
#include <errno.h>
#include <sys/types.h>

/*
 * Thread classes. MACHINE_CALL: the caller holds the machine lock.
 * LOOP_CALL(l): only in loop l's thread (for the main loop, holding the machine
 * lock counts); asserted at run time. ANY_THREAD: no lock needed.
 * clang -Wthread-safety checks MACHINE_CALL; MACHINE_PTR marks a callback member
 * that is only called by a holder.
 */
#ifdef __clang__
# define TSA(x) __attribute__((x))
#else
# define TSA(x)
#endif
typedef struct TSA(capability("domain")) Domain {
    int unused;
} Domain;
extern Domain machine_domain;
#define MACHINE_CALL TSA(requires_capability(machine_domain))
#define MACHINE_PTR  TSA(guarded_by(machine_domain))
#define ANY_THREAD
#define LOOP_CALL(l)
#define NO_TSA       TSA(no_thread_safety_analysis)

/* The machine lock (recursive acquisition is a bug). See docs/threads.md. `where`
 * is for lock-profile.h. */
#define BASE_TEXT_(x) #x
#define BASE_TEXT(x) BASE_TEXT_(x)
#define machine_lock() machine_lock_at(__FILE__ ":" BASE_TEXT(__LINE__))
void machine_lock_at(const char *where) TSA(acquire_capability(machine_domain));
void machine_unlock(void) TSA(release_capability(machine_domain));
bool machine_locked(void) ANY_THREAD;          /* by the calling thread       */
/* Tells clang what a callback's contract already promises; asserts it. */
void machine_assert_locked(void) TSA(assert_capability(machine_domain));

/*
 * Linker sets: a declaration in any file of the program joins the set by being
 * linked. SET_EACH iterates in link order; users that show it to people sort.
 */
#define IN_SET(set) __attribute__((used, retain, section(#set)))
#define SET_MEMBER(set, T, sym, ...) \
    static const T sym = __VA_ARGS__; \
    IN_SET(set) static const T *const sym##_in_##set = &sym
#define SET_EACH(set, T, p) \
    extern const T *const __start_##set[] __attribute__((weak)), \
                 *const __stop_##set[] __attribute__((weak)); \
    for (const T *const *p = __start_##set; p < __stop_##set; p++)

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(p, T, m) \
    ((T *)((char *)(p) - offsetof(T, m)))
#define MIN2(a, b) ((a) < (b) ? (a) : (b))
#define MAX2(a, b) ((a) > (b) ? (a) : (b))
#define ALIGN_UP(x, a)   (((x) + (a) - 1) / (a) * (a))
#define ALIGN_DOWN(x, a) ((x) / (a) * (a))
#define IS_POW2(x)       ((x) && !((x) & ((x) - 1)))
#define LIKELY(x)   __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))

#define KiB UINT64_C(1024)
#define MiB (UINT64_C(1024) * KiB)
#define GiB (UINT64_C(1024) * MiB)
#define TiB (UINT64_C(1024) * GiB)

/* Unaligned little/big-endian access for guest structures. */
static inline uint16_t ld_le16(const void *p)
{
    const uint8_t *b = p;
    return b[0] | b[1] << 8;
}
static inline uint32_t ld_le32(const void *p)
{
    const uint8_t *b = p;
    return b[0] | b[1] << 8 | b[2] << 16 | (uint32_t)b[3] << 24;
}
static inline uint64_t ld_le64(const void *p)
{
    return ld_le32(p) | (uint64_t)ld_le32((const uint8_t *)p + 4) << 32;
}
static inline void st_le16(void *p, uint16_t v)
{
    uint8_t *b = p;
    b[0] = v, b[1] = v >> 8;
}
static inline void st_le32(void *p, uint32_t v)
{
    st_le16(p, v), st_le16((uint8_t *)p + 2, v >> 16);
}
static inline void st_le64(void *p, uint64_t v)
{
    st_le32(p, v), st_le32((uint8_t *)p + 4, v >> 32);
}
static inline uint16_t ld_be16(const void *p)
{
    return __builtin_bswap16(ld_le16(p));
}
static inline uint32_t ld_be32(const void *p)
{
    return __builtin_bswap32(ld_le32(p));
}
static inline uint64_t ld_be64(const void *p)
{
    return __builtin_bswap64(ld_le64(p));
}
static inline void st_be16(void *p, uint16_t v)
{
    st_le16(p, __builtin_bswap16(v));
}
static inline void st_be32(void *p, uint32_t v)
{
    st_le32(p, __builtin_bswap32(v));
}
static inline void st_be64(void *p, uint64_t v)
{
    st_le64(p, __builtin_bswap64(v));
}

#endif
