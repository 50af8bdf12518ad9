/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * file-io.c - requests to host files: by worker threads, or by Linux native
 * asynchronous I/O for files opened with O_DIRECT; io_uring is in file-uring.c.
 *
 * Thread class: LOOP_CALL(node's loop); file_run in a worker, which touches the
 * request alone.
 *
 * Invariants
 * 1. What a request needs on its way is inside it: drv holds the pool's task or
 *    the kernel's iocb.
 * 2. native: queued + in the kernel is the number of requests not yet completed;
 *    the queue is handed over at the end of the loop's turn or at unplug, and
 *    again after completions when the kernel had no room.
 * 3. A short transfer of the kernel's is finished by a worker.
 * 4. What is in the page cache is read without a worker.
 */
#include <fcntl.h>
#include <glib.h>
#include <libaio.h>
#include <limits.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <scsi/sg.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "block/file.h"
#include "block/pr.h"
#include "config.h"

#define AIO_DEPTH 128
#define ZERO_CHUNK (64 * KiB)
#define NOWAIT_BYTES (256 * KiB)       /* reads that are tried on the spot    */

_Static_assert(sizeof(struct iocb) <= sizeof(((BlkReq *)0)->drv), "iocb fits");

typedef struct FileAioContext {
    FileNode *file;
    io_context_t ctx;
    int efd;
    unsigned queued, inside, plugged;
    struct iocb *queue[AIO_DEPTH];
    BlkReq *waiting, **waiting_last;   /* no room in queue                    */
    Work submit;
} FileAioContext;

/* ---- by workers ---------------------------------------------------------- */

/* iov from `skip` bytes on, at most max entries, into out. */
static unsigned iov_rest(const BlkReq *req, uint64_t skip, struct iovec *out,
                         unsigned max)
{
    unsigned k = 0;

    for (unsigned i = 0; i < req->niov && k < max; i++) {
        if (skip >= req->iov[i].iov_len) {
            skip -= req->iov[i].iov_len;
            continue;
        }
        out[k].iov_base = (char *)req->iov[i].iov_base + skip;
        out[k++].iov_len = req->iov[i].iov_len - skip;
        skip = 0;
    }
    return k;
}

static int transfer(FileNode *f, BlkReq *req)
{
    struct iovec iov[64];
    uint64_t done = 0;

    while (done < req->len) {
        unsigned n = iov_rest(req, done, iov, ARRAY_SIZE(iov));
        off_t at = (off_t)(req->off + done);
        ssize_t r;

        if (!n) {
            return -EINVAL;
        }
        r = req->op == BLK_READ
            ? preadv(f->fd, iov, n, at)
            : pwritev2(f->fd, iov, n, at,
                       req->flags & BLKF_FUA ? RWF_DSYNC : 0);
        if (r < 0 && errno == EINTR) {
            continue;
        }
        if (r < 0 && errno == EINVAL && done && req->op == BLK_READ) {
            r = 0;                     /* O_DIRECT, after an end off alignment */
        }
        if (r < 0) {
            return -errno;
        }
        if (r == 0 && req->op == BLK_WRITE) {
            return -ENOSPC;
        }
        if (r == 0) {
            /* Behind the end: zeroes up to the length that was promised. */
            for (unsigned i = 0; i < n; i++) {
                memset(iov[i].iov_base, 0, iov[i].iov_len);
                done += iov[i].iov_len;
            }
            continue;
        }
        done += (uint64_t)r;
    }
    return 0;
}

static int write_zeroes(FileNode *f, const BlkReq *req)
{
    static uint8_t zeroes[ZERO_CHUNK] __attribute__((aligned(4096)));
    uint64_t done = 0;

    while (done < req->len) {
        size_t n = MIN2(req->len - done, sizeof(zeroes));
        ssize_t r = pwrite(f->fd, zeroes, n, (off_t)(req->off + done));

        if (r < 0 && errno == EINTR) {
            continue;
        }
        if (r <= 0) {
            return r < 0 ? -errno : -ENOSPC;
        }
        done += (uint64_t)r;
    }
    return 0;
}

static bool unsupported(int err)
{
    return err == EOPNOTSUPP || err == ENOSYS || err == ENODEV ||
           err == ENOTTY || err == EINVAL;
}

static int punch(FileNode *f, const BlkReq *req, int mode)
{
    uint64_t range[2] = { req->off, req->len };
    int r;

    do {
        r = f->regular
            ? fallocate(f->fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)req->off,
                        (off_t)req->len)
            : ioctl(f->fd, mode & FALLOC_FL_PUNCH_HOLE ? BLKDISCARD
                                                       : BLKZEROOUT, range);
    } while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : 0;
}

static int zero(FileNode *f, const BlkReq *req)
{
    int r = -EOPNOTSUPP;

    if (f->regular && req->flags & BLKF_MAY_UNMAP &&
        __atomic_load_n(&f->can_punch, __ATOMIC_RELAXED)) {
        r = punch(f, req, FALLOC_FL_PUNCH_HOLE);
        if (!r) {
            return 0;
        }
    }
    if (__atomic_load_n(&f->can_zero, __ATOMIC_RELAXED)) {
        r = punch(f, req, FALLOC_FL_ZERO_RANGE);
        if (r < 0 && unsupported(-r)) {
            __atomic_store_n(&f->can_zero, false, __ATOMIC_RELAXED);
        }
    }
    if (r < 0 && unsupported(-r)) {
        r = req->flags & BLKF_NO_FALLBACK ? -ENOTSUP : write_zeroes(f, req);
    }
    if (!r && req->flags & BLKF_FUA && fdatasync(f->fd)) {
        r = -errno;
    }
    return r;
}

static int discard(FileNode *f, const BlkReq *req)
{
    int r;

    if (!f->node.discard || !__atomic_load_n(&f->can_punch, __ATOMIC_RELAXED)) {
        return 0;
    }
    r = punch(f, req, FALLOC_FL_PUNCH_HOLE);
    __atomic_add_fetch(r < 0 ? &f->discard_failed : &f->discards, 1,
                       __ATOMIC_RELAXED);
    if (!r) {
        __atomic_add_fetch(&f->discard_bytes, req->len, __ATOMIC_RELAXED);
    }
    if (r < 0 && unsupported(-r)) {
        __atomic_store_n(&f->can_punch, false, __ATOMIC_RELAXED);
        return 0;                      /* a hint may be ignored               */
    }
    return r;
}

int file_sync(BlkNode *n, BlkReq *req)
{
    FileNode *f = (FileNode *)n;

    switch (req->op) {
    case BLK_READ:
    case BLK_WRITE:
        return transfer(f, req);
    case BLK_FLUSH:
        return fdatasync(f->fd) ? -errno : 0;
    case BLK_DISCARD:
        return discard(f, req);
    case BLK_ZERO:
        return zero(f, req);
    case BLK_IOCTL:                    /* off: its number                     */
        if (f->pr && req->off == SG_IO &&
            pr_manager_takes(req->iov[0].iov_base)) {
            return pr_manager_run(f->pr, f->fd, req->iov[0].iov_base);
        }
        if (!f->regular) {
            return ioctl(f->fd, (unsigned long)req->off,
                         req->iov[0].iov_base) < 0 ? -errno : 0;
        }
        break;
    }
    return -ENOTSUP;
}

static int64_t file_run(void *arg)
{
    BlkReq *req = arg;

    return file_sync(&((FileTask *)req->drv)->file->node, req);
}

static void file_ran(void *arg, int64_t ret)
{
    blk_complete(arg, (int)ret);
}

void file_by_worker(FileNode *f, BlkReq *req)
{
    FileTask *t = (FileTask *)req->drv;

    *t = (FileTask){ .task = { .run = file_run, .done = file_ran, .arg = req },
                     .file = f };
    pool_submit(&t->task);
}

/* ---- native -------------------------------------------------------------- */

static void aio_prepare(FileAioContext *a, BlkReq *req)
{
    struct iocb *cb = (struct iocb *)req->drv;

    if (req->op == BLK_READ) {
        io_prep_preadv(cb, a->file->fd, req->iov, (int)req->niov,
                       (long long)req->off);
    } else {
        io_prep_pwritev(cb, a->file->fd, req->iov, (int)req->niov,
                        (long long)req->off);
        cb->aio_rw_flags = req->flags & BLKF_FUA ? RWF_DSYNC : 0;
    }
    io_set_eventfd(cb, a->efd);
    cb->data = req;
    a->queue[a->queued++] = cb;
}

static void aio_refill(FileAioContext *a)
{
    while (a->waiting && a->queued + a->inside < AIO_DEPTH) {
        BlkReq *req = a->waiting;

        a->waiting = req->next;
        aio_prepare(a, req);
    }
}

static void aio_flush(void *arg)
{
    FileAioContext *a = arg;

    while (a->queued) {
        int r = io_submit(a->ctx, a->queued, a->queue);

        if (r == -EINTR) {
            continue;
        }
        if (r == -EAGAIN && a->inside) {
            return;                    /* completions bring us back           */
        }
        if (r <= 0) {
            /* The first was refused: a worker does it. */
            BlkReq *req = a->queue[0]->data;

            memmove(a->queue, a->queue + 1, --a->queued * sizeof(*a->queue));
            file_by_worker(a->file, req);
            continue;
        }
        a->inside += (unsigned)r;
        a->queued -= (unsigned)r;
        memmove(a->queue, a->queue + r, a->queued * sizeof(*a->queue));
    }
}

static void aio_submit(FileAioContext *a, BlkReq *req)
{
    if (a->waiting || a->queued + a->inside >= AIO_DEPTH) {
        if (!a->waiting) {
            a->waiting_last = &a->waiting;
        }
        req->next = NULL;
        *a->waiting_last = req;
        a->waiting_last = &req->next;
        return;
    }
    aio_prepare(a, req);
    if (!a->plugged) {
        loop_post(a->file->node.loop, &a->submit);
    }
}

static void aio_reaped(void *arg, unsigned events)
{
    FileAioContext *a = arg;
    struct io_event ev[64];
    uint64_t count;
    int n;

    if (events && read(a->efd, &count, sizeof(count)) < 0 && errno != EAGAIN) {
        return;
    }
    do {
        n = io_getevents(a->ctx, 0, ARRAY_SIZE(ev), ev,
                         &(struct timespec){ 0 });
        for (int i = 0; i < n; i++) {
            BlkReq *req = ev[i].data;
            long res = (long)ev[i].res;

            a->inside--;
            if (res == (long)req->len || (res < 0 && res != -EAGAIN)) {
                blk_complete(req, res < 0 ? (int)res : 0);
            } else {
                file_by_worker(a->file, req);
            }
        }
    } while (n == (int)ARRAY_SIZE(ev));
    aio_refill(a);
    if (a->queued) {
        aio_flush(a);
    }
}

#ifndef CONFIG_LIBURING
/* Without the library, threads serve aio=io_uring: f->uring is always NULL. */
bool file_uring_init(FileNode *f, Error **errp)
{
    return true;
}

void file_uring_fini(FileNode *f)
{
}

void file_uring_submit(FileNode *f, BlkReq *req)
{
}

void file_uring_plug(FileNode *f, bool on)
{
}

void file_uring_set_loop(FileNode *f, Loop *to)
{
}
#endif

void file_plug(BlkNode *n)
{
    FileNode *f = (FileNode *)n;

    if (f->native) {
        f->native->plugged++;
    } else if (f->uring) {
        file_uring_plug(f, true);
    }
}

void file_unplug(BlkNode *n)
{
    FileNode *f = (FileNode *)n;

    if (f->native && !--f->native->plugged) {
        aio_flush(f->native);
    } else if (f->uring) {
        file_uring_plug(f, false);
    }
}

/* ---- reads from the page cache ------------------------------------------- */

static void read_work(void *arg)
{
    BlkReq *req = arg;

    blk_complete(req, req->ret);
}

/* Without waiting for the disk. False: it takes a worker. */
static bool read_now(FileNode *f, BlkReq *req)
{
    ssize_t r;

    if (f->node.flags & BLKO_DIRECT || req->len > NOWAIT_BYTES || !req->len ||
        req->niov > IOV_MAX || (f->read_misses > 16 && f->read_misses++ % 64)) {
        return false;
    }
    r = preadv2(f->fd, req->iov, (int)req->niov, (off_t)req->off,
                f->in_memory ? 0 : RWF_NOWAIT);
    if (r != (ssize_t)req->len) {
        f->read_misses++;
        return false;
    }
    f->read_misses = 0;
    req->ret = 0;
    /* Never in the submitter's stack: done may submit again. */
    req->work = (Work){ .fn = read_work, .arg = req };
    loop_post(f->node.loop, &req->work);
    return true;
}

/* ---- entry --------------------------------------------------------------- */

void file_submit(BlkNode *n, BlkReq *req)
{
    FileNode *f = (FileNode *)n;

    if (f->native && (req->op == BLK_READ || req->op == BLK_WRITE)) {
        aio_submit(f->native, req);
    } else if (f->uring && (req->op == BLK_READ || req->op == BLK_WRITE ||
                            req->op == BLK_FLUSH)) {
        file_uring_submit(f, req);
    } else if (req->op == BLK_WRITE || req->op == BLK_ZERO ||
               req->op == BLK_DISCARD) {
        file_write_queue(f, req);
    } else if (req->op != BLK_READ || !read_now(f, req)) {
        file_by_worker(f, req);
    }
}

bool file_io_init(FileNode *f, Error **errp)
{
    FileAioContext *a;
    int r;

    if (f->aio == AIO_URING) {
        return file_uring_init(f, errp);
    }
    if (f->aio != AIO_NATIVE) {
        return true;
    }
    a = g_new0(FileAioContext, 1);
    r = io_setup(AIO_DEPTH, &a->ctx);
    a->efd = r < 0 ? -1 : eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (a->efd < 0) {
        if (r >= 0) {
            r = -errno;
            io_destroy(a->ctx);
        }
        g_free(a);
        return error_set_errno(errp, -r, "Unable to use native AIO for '%s'",
                               f->path);
    }
    a->file = f;
    a->submit = (Work){ .fn = aio_flush, .arg = a };
    f->native = a;
    loop_fd(f->node.loop, a->efd, EPOLLIN, aio_reaped, a);
    return true;
}

void file_io_fini(FileNode *f)
{
    FileAioContext *a = f->native;

    file_write_fini(f);
    file_uring_fini(f);
    if (a) {
        loop_fd(f->node.loop, a->efd, 0, NULL, NULL);
        work_cancel(f->node.loop, &a->submit);
        io_destroy(a->ctx);
        close(a->efd);
        g_free(a);
        f->native = NULL;
    }
}

typedef struct Move {
    FileAioContext *a;
    Loop *loop;
    bool on;
} Move;

static void move_fd(void *arg)
{
    Move *m = arg;

    loop_fd(m->loop, m->a->efd, m->on ? EPOLLIN : 0, m->on ? aio_reaped : NULL,
            m->a);
}

void file_set_loop(BlkNode *n, Loop *to)
{
    FileNode *f = (FileNode *)n;
    Move m = { f->native, n->loop, false };

    if (f->uring) {
        file_uring_set_loop(f, to);
    }
    if (f->native) {
        loop_run_sync(n->loop, move_fd, &m);
        m.loop = to;
        m.on = true;
        loop_run_sync(to, move_fd, &m);
    }
}
