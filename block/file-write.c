/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * file-write.c - writes, zeroes and discards of host files by worker threads.
 *
 * Through the page cache a file is written by one at a time, whatever the number
 * of threads: so one worker does what there is, as long as there is something,
 * and is given more meanwhile without being woken. With O_DIRECT, on devices and
 * for FUA each run of requests has a worker of its own.
 *
 * Thread class: LOOP_CALL(node's loop); batch_run and writer_run in a worker.
 *
 * Invariants
 * 1. Requests of one turn that follow each other in the file are one call; when
 *    it fails each is done by itself.
 * 2. A FileWriter outlives its worker, which touches the node only while it has
 *    requests of it.
 * 3. While `busy`, a worker will look at the list again; both under the lock.
 */
#include <glib.h>
#include "block/file.h"

#define MERGE_IOV 256                  /* of writes done as one               */
#define BATCH 32                       /* requests that end together          */
#define RUN_BYTES (2 * MiB)            /* of writes done as one               */
#define BATCH_BYTES (512 * KiB)        /* so that the loop has work meanwhile */

typedef struct FileWriter {
    FileNode *file;
    int refs;                          /* atomic: the node's, workers'        */
    pthread_mutex_t lock;              /* a leaf; of the rest                 */
    BlkReq *first, **last;             /* handed over, not begun              */
    bool busy;
} FileWriter;
typedef struct WriterTask {
    PoolTask task;
    FileWriter *w;
} WriterTask;

/* ---- batches ------------------------------------------------------------- */

/* The requests from first on that one call can do; *niov: of all. */
static BlkReq *run_end(BlkReq *first, unsigned *niov, uint64_t *len)
{
    BlkReq *last = first;

    *niov = first->niov;
    *len = first->len;
    while (last->next && last->next->op == last->op &&
           last->next->off == last->off + last->len &&
           last->next->flags == first->flags &&
           *niov + last->next->niov <= MERGE_IOV &&
           *len + last->next->len <= RUN_BYTES) {
        last = last->next;
        *niov += last->niov;
        *len += last->len;
    }
    return last;
}

static int run_do(FileNode *f, BlkReq *first, unsigned niov, uint64_t len)
{
    struct iovec iov[MERGE_IOV];
    BlkReq all = { .op = first->op, .flags = first->flags, .off = first->off,
                   .len = len, .iov = iov, .niov = niov };

    for (unsigned k = 0; k < niov; first = first->next) {
        memcpy(iov + k, first->iov, first->niov * sizeof(*iov));
        k += first->niov;
    }
    return file_sync(&f->node, &all);
}

/* In a worker. Each request's result is in it. */
static void batch_do(FileNode *f, BlkReq *req)
{
    while (req) {
        unsigned niov;
        uint64_t len;
        BlkReq *end = run_end(req, &niov, &len)->next;
        int ret = end == req->next ? -1 : run_do(f, req, niov, len);

        for (; req != end; req = req->next) {
            /* When all of them failed: which was it? */
            req->ret = ret < 0 ? file_sync(&f->node, req) : 0;
        }
    }
}

static void batch_over(void *arg)
{
    BlkReq *req = arg;

    while (req) {
        BlkReq *next = req->next;

        blk_complete(req, req->ret);
        req = next;
    }
}

/* ---- one worker for the file --------------------------------------------- */

static void writer_unref(FileWriter *w)
{
    if (w && __atomic_sub_fetch(&w->refs, 1, __ATOMIC_ACQ_REL) == 0) {
        pthread_mutex_destroy(&w->lock);
        g_free(w);
    }
}

static BlkReq *writer_take(FileWriter *w)
{
    BlkReq *first, *last;
    uint64_t len;

    pthread_mutex_lock(&w->lock);
    first = last = w->first;
    if (!first) {
        w->busy = false;
    } else {
        len = first->len;
        for (unsigned n = 1; n < BATCH && last->next; n++) {
            len += last->next->len;
            if (len > BATCH_BYTES) {
                break;
            }
            last = last->next;
        }
        w->first = last->next;
        last->next = NULL;
    }
    pthread_mutex_unlock(&w->lock);
    return first;
}

static int64_t writer_run(void *arg)
{
    FileWriter *w = ((WriterTask *)arg)->w;
    BlkReq *first;

    while ((first = writer_take(w))) {
        Loop *home = w->file->node.loop;

        batch_do(w->file, first);
        first->work = (Work){ .fn = batch_over, .arg = first };
        loop_post(home, &first->work);
    }
    return 0;
}

static void writer_done(void *arg, int64_t ret)
{
    WriterTask *t = arg;

    writer_unref(t->w);
    g_free(t);
}

/* A list that ends at *last. */
static void writer_give(FileNode *f, BlkReq *first, BlkReq **last)
{
    FileWriter *w = f->writer;
    WriterTask *t;
    bool busy;

    if (!w) {
        w = f->writer = g_new0(FileWriter, 1);
        pthread_mutex_init(&w->lock, NULL);
        w->file = f;
        w->refs = 1;
    }
    pthread_mutex_lock(&w->lock);
    if (!w->first) {
        w->last = &w->first;
    }
    *w->last = first;
    w->last = last;
    busy = w->busy;
    w->busy = true;
    pthread_mutex_unlock(&w->lock);
    if (busy) {
        return;
    }
    __atomic_add_fetch(&w->refs, 1, __ATOMIC_RELAXED);
    t = g_new(WriterTask, 1);
    *t = (WriterTask){ .task = { .run = writer_run, .done = writer_done,
                                 .arg = t }, .w = w };
    pool_submit(&t->task);
}

/* ---- a worker for each run ----------------------------------------------- */

static int64_t batch_run(void *arg)
{
    BlkReq *req = arg;

    batch_do(((FileTask *)req->drv)->file, req);
    return 0;
}

static void batch_done(void *arg, int64_t ret)
{
    batch_over(arg);
}

static void run_start(FileNode *f, BlkReq *first)
{
    FileTask *t = (FileTask *)first->drv;

    *t = (FileTask){ .task = { .run = batch_run, .done = batch_done,
                               .arg = first }, .file = f };
    pool_submit(&t->task);
}

/* ---- what a turn of the loop has gathered -------------------------------- */

static void writes_go(void *arg)
{
    FileNode *f = arg;
    BlkReq *req = f->writes, *mine = NULL, **mine_last = &mine;
    bool one = f->regular && !(f->node.flags & BLKO_DIRECT);

    f->writes = NULL;
    while (req) {
        unsigned niov;
        uint64_t len;
        BlkReq *last = run_end(req, &niov, &len), *next = last->next;

        last->next = NULL;
        if (one && !(req->flags & BLKF_FUA)) {
            *mine_last = req;
            mine_last = &last->next;
        } else {
            run_start(f, req);
        }
        req = next;
    }
    if (mine) {
        writer_give(f, mine, mine_last);
    }
}

void file_write_queue(FileNode *f, BlkReq *req)
{
    if (!f->writes) {
        f->writes_last = &f->writes;
        f->write = (Work){ .fn = writes_go, .arg = f };
        loop_post(f->node.loop, &f->write);
    }
    req->next = NULL;
    *f->writes_last = req;
    f->writes_last = &req->next;
}

void file_write_fini(FileNode *f)
{
    writer_unref(f->writer);
    f->writer = NULL;
}
