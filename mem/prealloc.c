/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * prealloc.c - backing RAM with host pages ahead of time, by several threads,
 * and on chosen NUMA nodes: madvise(2) MADV_POPULATE_WRITE, mbind(2), futex(2).
 *
 * Thread class: the caller owns the block or holds the machine lock; helper
 * threads touch only their own part.
 *
 * Invariants:
 * 1. What a page holds is never changed, not even against a guest that writes it
 *    at the same time.
 * 2. Memory that cannot be had is an error return, never a signal: pages are
 *    only touched by the kernel.
 */
#include <glib.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "mem-impl.h"

#ifndef MADV_POPULATE_WRITE
# define MADV_POPULATE_WRITE 23
#endif
#define MBIND_STRICT 1u                /* MPOL_MF_STRICT                      */
#define MBIND_MOVE   2u                /* MPOL_MF_MOVE                        */
#define THREADS_MAX  256u

typedef struct Part {
    uint8_t *at;
    uint64_t len, page;
    pid_t like;
    int err;                           /* errno value                         */
    pthread_t thread;
} Part;

/* Older kernels: an atomic "add 0" that the kernel does for us faults the page
 * in for writing, and answers EFAULT where the instruction would get SIGBUS. */
static int touch_page(uint8_t *page)
{
    uint32_t own = 0;

    return syscall(SYS_futex, &own, FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 0, 0,
                   page, FUTEX_OP(FUTEX_OP_ADD, 0, FUTEX_OP_CMP_EQ, 0)) < 0
           ? errno : 0;
}

static int part_populate(const Part *p)
{
    if (madvise(p->at, p->len, MADV_POPULATE_WRITE) == 0) {
        return 0;
    }
    if (errno != EINVAL) {
        return errno;
    }
    for (uint64_t i = 0; i < p->len; i += p->page) {
        int err = touch_page(p->at + i);

        if (err) {
            return err;
        }
    }
    return 0;
}

static void *part_run(void *arg)
{
    Part *p = arg;

    if (p->like) {
        cpu_set_t cpus;

        if (sched_getaffinity(p->like, sizeof(cpus), &cpus) == 0) {
            sched_setaffinity(0, sizeof(cpus), &cpus);
        }
    }
    p->err = part_populate(p);
    return NULL;
}

bool ram_prealloc(RamBlock *rb, unsigned threads, pid_t like, Error **errp)
{
    uint64_t pages = rb->max / rb->page_size, each;
    Part *parts;
    int err = 0;

    if (rb->flags & RAM_READONLY) {
        return true;
    }
    threads = MIN2(MAX2(threads, 1), THREADS_MAX);
    threads = MIN2(threads, pages);
    parts = g_new0(Part, threads);
    each = pages / threads * rb->page_size;
    for (unsigned i = 0; i < threads; i++) {
        parts[i] = (Part){
            .at = rb->host + i * each, .page = rb->page_size, .like = like,
            .len = i == threads - 1 ? rb->max - i * each : each,
        };
    }
    if (threads == 1 && !like) {
        part_run(&parts[0]);
    } else {
        for (unsigned i = 0; i < threads; i++) {
            thread_start(&parts[i].thread, "touch_pages", part_run, &parts[i]);
        }
        for (unsigned i = 0; i < threads; i++) {
            pthread_join(parts[i].thread, NULL);
        }
    }
    for (unsigned i = 0; i < threads && !err; i++) {
        err = parts[i].err;
    }
    g_free(parts);
    if (err) {
        error_set_errno(errp, err, "preallocating memory failed");
        error_hint(errp, "'%s' needs %" PRIu64 " free pages of %" PRIu64
                   " KiB on the host.", rb->id, pages, rb->page_size / 1024);
        return false;
    }
    return true;
}

bool ram_bind(RamBlock *rb, int mode, const unsigned long *nodes, unsigned n,
              Error **errp)
{
    unsigned max = n * 8 * sizeof(*nodes);

    /* The kernel takes one bit less than it is told of. */
    if (syscall(SYS_mbind, rb->host, rb->max, mode, n ? nodes : NULL,
                n ? max + 1 : 0, MBIND_STRICT | MBIND_MOVE) == 0) {
        return true;
    }
    /* The default policy needs no NUMA support. */
    if (mode == 0 && errno == ENOSYS) {
        return true;
    }
    return error_set_errno(errp, errno,
                           "cannot bind memory to host NUMA nodes");
}
