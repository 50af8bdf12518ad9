/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * file-uring.c - requests to host files by io_uring, cached or not.
 *
 * Thread class: LOOP_CALL(node's loop); init and fini MACHINE_CALL.
 *
 * Invariants
 * 1. queued + inside is the number of requests that the ring holds; it is never
 *    more than its size, so that completions always have room.
 * 2. What is queued goes to the kernel at the end of the loop's turn or at
 *    unplug, by one call.
 * 3. A short transfer, or one that the kernel asks to try again, is finished by a
 *    worker.
 */
#include <glib.h>
#include <liburing.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "block/file.h"

#define DEPTH 128

typedef struct FileUring {
    FileNode *file;
    struct io_uring ring;
    int efd;
    unsigned queued, inside, plugged;
    BlkReq *waiting, **waiting_last;   /* no room in the ring                 */
    Work submit;
} FileUring;

static void prepare(FileUring *u, struct io_uring_sqe *sqe, BlkReq *req)
{
    int fd = u->file->fd;
    const struct iovec *v = req->iov;

    if (req->op == BLK_FLUSH) {
        io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
    } else if (req->op == BLK_READ && req->niov == 1) {
        io_uring_prep_read(sqe, fd, v->iov_base, (unsigned)v->iov_len,
                           req->off);
    } else if (req->op == BLK_READ) {
        io_uring_prep_readv(sqe, fd, v, req->niov, req->off);
    } else {
        io_uring_prep_writev2(sqe, fd, v, req->niov, req->off,
                              req->flags & BLKF_FUA ? RWF_DSYNC : 0);
    }
    io_uring_sqe_set_data(sqe, req);
    u->queued++;
}

static bool has_room(const FileUring *u)
{
    return u->queued + u->inside < DEPTH;
}

static void refill(FileUring *u)
{
    while (u->waiting && has_room(u)) {
        BlkReq *req = u->waiting;
        struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

        if (!sqe) {
            return;
        }
        u->waiting = req->next;
        prepare(u, sqe, req);
    }
}

static void uring_flush(void *arg)
{
    FileUring *u = arg;

    while (u->queued) {
        int r = io_uring_submit(&u->ring);

        if (r == -EINTR) {
            continue;
        }
        if (r <= 0) {
            /* No memory just now: completions or the next turn bring us back. */
            if (!u->inside) {
                loop_post(u->file->node.loop, &u->submit);
            }
            return;
        }
        u->inside += (unsigned)r;
        u->queued -= (unsigned)r;
    }
}

void file_uring_submit(FileNode *f, BlkReq *req)
{
    FileUring *u = f->uring;
    struct io_uring_sqe *sqe = NULL;

    if (!u->waiting && has_room(u)) {
        sqe = io_uring_get_sqe(&u->ring);
    }
    if (!sqe) {
        if (!u->waiting) {
            u->waiting_last = &u->waiting;
        }
        req->next = NULL;
        *u->waiting_last = req;
        u->waiting_last = &req->next;
        return;
    }
    prepare(u, sqe, req);
    if (!u->plugged && u->queued == 1) {
        loop_post(f->node.loop, &u->submit);
    }
}

static void complete(FileUring *u, BlkReq *req, int res)
{
    bool whole = req->op == BLK_FLUSH ? res == 0 : res == (int64_t)req->len;

    if (whole || (res < 0 && res != -EAGAIN && res != -EINTR)) {
        blk_complete(req, res < 0 ? res : 0);
    } else {
        file_by_worker(u->file, req);
    }
}

static void reaped(void *arg, unsigned events)
{
    FileUring *u = arg;
    struct io_uring_cqe *cqe;
    uint64_t count;

    if (events && read(u->efd, &count, sizeof(count)) < 0 && errno != EAGAIN) {
        return;
    }
    while (!io_uring_peek_cqe(&u->ring, &cqe)) {
        BlkReq *req = io_uring_cqe_get_data(cqe);
        int res = cqe->res;

        io_uring_cqe_seen(&u->ring, cqe);
        u->inside--;
        complete(u, req, res);
    }
    refill(u);
    if (u->queued) {
        uring_flush(u);
    }
}

void file_uring_plug(FileNode *f, bool on)
{
    FileUring *u = f->uring;

    if (on) {
        u->plugged++;
    } else if (!--u->plugged) {
        uring_flush(u);
    }
}

bool file_uring_init(FileNode *f, Error **errp)
{
    FileUring *u = g_new0(FileUring, 1);
    int r = io_uring_queue_init(DEPTH, &u->ring, 0);

    u->efd = r < 0 ? -1 : eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (r >= 0) {
        r = u->efd < 0 ? -errno : io_uring_register_eventfd(&u->ring, u->efd);
        if (r < 0) {
            io_uring_queue_exit(&u->ring);
        }
    }
    if (r < 0) {
        if (u->efd >= 0) {
            close(u->efd);
        }
        g_free(u);
        error_set_errno(errp, -r, "Unable to use io_uring for '%s'", f->path);
        error_hint(errp, "Use aio=threads, or aio=native with cache.direct=on.");
        return false;
    }
    u->file = f;
    u->submit = (Work){ .fn = uring_flush, .arg = u };
    f->uring = u;
    loop_fd(f->node.loop, u->efd, EPOLLIN, reaped, u);
    return true;
}

void file_uring_fini(FileNode *f)
{
    FileUring *u = f->uring;

    if (u) {
        loop_fd(f->node.loop, u->efd, 0, NULL, NULL);
        work_cancel(f->node.loop, &u->submit);
        io_uring_queue_exit(&u->ring);
        close(u->efd);
        g_free(u);
        f->uring = NULL;
    }
}

typedef struct Move {
    FileUring *u;
    Loop *loop;
    bool on;
} Move;

static void move_fd(void *arg)
{
    Move *m = arg;

    loop_fd(m->loop, m->u->efd, m->on ? EPOLLIN : 0, m->on ? reaped : NULL,
            m->u);
}

void file_uring_set_loop(FileNode *f, Loop *to)
{
    Move m = { f->uring, f->node.loop, false };

    loop_run_sync(f->node.loop, move_fd, &m);
    m.loop = to;
    m.on = true;
    loop_run_sync(to, move_fd, &m);
}
