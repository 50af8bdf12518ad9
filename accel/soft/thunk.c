/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * thunk.c - short pieces of machine code, each around one host instruction
 * that does the arithmetic of a guest instruction.
 *
 * Thread class: ANY_THREAD (one mutex).
 * Invariant: the memory that is executed is never writable through the same
 * mapping; thunks are never changed or freed once they were handed out.
 */
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>
#include "soft.h"
#include "thunk.h"

#define POOL (4u << 20)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static Thunk *table[4096];
static uint8_t *writable, *executable;
static size_t used;

static bool pool_open(void)
{
    int fd;

    if (writable) {
        return true;
    }
    fd = memfd_create("thunks", MFD_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    if (ftruncate(fd, POOL) == 0) {
        void *w = mmap(NULL, POOL, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        void *x = mmap(NULL, POOL, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);

        if (w != MAP_FAILED && x != MAP_FAILED) {
            writable = w;
            executable = x;
        }
    }
    close(fd);
    return writable != NULL;
}

static bool same(const Thunk *a, const Thunk *b)
{
    return a->len == b->len && !memcmp(a->code, b->code, a->len) &&
        a->reg == b->reg && a->rm == b->rm && a->v == b->v && a->x == b->x &&
        a->mem == b->mem && a->mem_rd == b->mem_rd && a->mem_wr == b->mem_wr &&
        a->mxcsr == b->mxcsr && a->flags == b->flags && a->vex == b->vex &&
        a->mmx == b->mmx && a->sse == b->sse && a->size == b->size &&
        a->align == b->align && a->reads_flags == b->reads_flags &&
        a->waits == b->waits && a->xi == b->xi && a->mm_wr == b->mm_wr;
}

const Thunk *soft_thunk(const Thunk *like)
{
    uint32_t h = 2166136261u;
    Thunk *t;

    for (unsigned i = 0; i < like->len; i++) {
        h = (h ^ like->code[i]) * 16777619u;
    }
    h = (h ^ h >> 12) & (ARRAY_SIZE(table) - 1);
    pthread_mutex_lock(&lock);
    for (t = table[h]; t && !same(t, like); t = t->next) {
    }
    if (!t && pool_open() && used + like->len <= POOL) {
        t = malloc(sizeof(*t));
        if (t) {
            *t = *like;
            memcpy(writable + used, t->code, t->len);
            t->fn = (ThunkFn *)(executable + used);
            used = ALIGN_UP(used + t->len, 16);
            t->next = table[h];
            table[h] = t;
        }
    }
    pthread_mutex_unlock(&lock);
    return t;
}
