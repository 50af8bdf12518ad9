/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * convert-copy.c - the copying of `convert`: some workers each take the next
 * piece, read it, and write what is not zero.
 *
 * Thread class: MACHINE_CALL; workers are coroutines of the main loop.
 *
 * Invariants
 * 1. Pieces are taken in order of their offset; without any_order their writes
 *    are submitted in that order too, though they may end in any.
 * 2. A piece lies in one source and in one state, which was asked for in a
 *    coroutine, one at a time.
 * 3. After an error nobody takes another piece.
 */
#include "tools/convert.h"
#include "tools/reader.h"

/* Small enough to stay in the processor's cache from reading to writing. Where
 * nothing goes through the page cache, or nothing is done meanwhile, what counts
 * is how often one waits for the other. */
#define PIECE      (256 * KiB)
#define PIECE_MAX  (2 * MiB)
#define PIECE_COMP (2 * MiB)          /* qcow2 has no larger clusters          */

typedef enum State { IS_DATA, IS_ZERO, IS_BACKING } State;

typedef struct Job {
    const Copy *c;
    BlkNode *to;
    CoMutex lock;                      /* of the next four                    */
    uint64_t next;                     /* first byte that nobody has taken    */
    uint64_t state_end;                /* of the state that was asked for     */
    State state;
    int src;
    uint64_t written;                  /* what has been submitted, in order   */
    CoQueue turn;
    unsigned running;
    uint64_t done, moved;
    int64_t begun_ns;
    uint32_t grain;                    /* bytes looked at for zeroes          */
    size_t piece;                      /* bytes; whole clusters of the target */
    bool by_host;                      /* the host has not refused to copy    */
    int ret;
} Job;

typedef struct Sub {
    BlkReq req;
    struct iovec iov;
    struct Worker *w;
} Sub;
typedef struct Worker {
    Job *j;
    Co *co;
    uint8_t *buf;
    Sub *subs;
    unsigned nsubs, pending;
    bool waiting;
    int ret;
} Worker;

static void job_fail(Job *j, int ret)
{
    if (!j->ret) {
        j->ret = ret;
    }
}

/* ---- requests of one worker ----------------------------------------------- */

static void sub_done(BlkReq *req)
{
    Worker *w = container_of(req, Sub, req)->w;

    if (req->ret < 0 && !w->ret) {
        w->ret = req->ret;
    }
    if (!--w->pending && w->waiting) {
        co_wake(w->co);
    }
}

static void sub_add(Worker *w, BlkReq req, void *buf)
{
    Sub *s = &w->subs[w->nsubs++];

    s->w = w;
    s->iov = (struct iovec){ buf, req.len };
    s->req = req;
    s->req.done = sub_done;
    if (buf) {
        s->req.iov = &s->iov;
        s->req.niov = 1;
    }
}

static void subs_submit(Worker *w, BlkBackend *b)
{
    unsigned n = w->nsubs;

    w->ret = 0;
    w->pending = n;
    w->nsubs = 0;
    blk_plug(b);
    for (unsigned i = 0; i < n; i++) {
        blk_submit(b, &w->subs[i].req);
    }
    blk_unplug(b);
}

static int subs_wait(Worker *w)
{
    w->waiting = true;
    while (w->pending) {
        co_yield();
    }
    w->waiting = false;
    return w->ret;
}

/* ---- what lies where ------------------------------------------------------ */

static MACHINE_CALL int state_ask(Job *j, uint64_t off)
{
    const Copy *c = j->c;
    const CopySource *s;
    BlkNode *n;
    ImgExtent x;
    int ret;

    while (off >= c->src[j->src].start + c->src[j->src].len) {
        j->src++;
    }
    s = &c->src[j->src];
    n = blk_root(s->b);
    ret = img_extent(n, c->over_backing ? img_backing(n) : NULL, off - s->start,
                     s->len - (off - s->start), &x);
    if (ret < 0 && c->salvage) {
        if (!c->quiet) {
            warn_report("error while reading block status at offset %" PRIu64
                        ": %s", off, strerror(-ret));
        }
        x = (ImgExtent){ .len = MIN2(s->len - (off - s->start), PIECE),
                         .present = true, .data = true };
    } else if (ret < 0) {
        error_reportf("error while reading block status at offset %" PRIu64
                      ": %s", off, strerror(-ret));
        return ret;
    }
    j->state_end = off + x.len;
    if (!x.present && c->over_backing) {
        j->state = IS_BACKING;
    } else {
        j->state = x.zero || !x.present ? IS_ZERO : IS_DATA;
    }
    /* What lies past a short backing file is zeroes without being written. */
    if (c->over_backing && j->state == IS_ZERO && off >= c->backed) {
        j->state = IS_BACKING;
    } else if (c->over_backing && j->state == IS_ZERO &&
               j->state_end > c->backed) {
        j->state_end = c->backed;
    }
    return 0;
}

typedef struct Piece {
    uint64_t off, len;
    State state;
    int src;
} Piece;

/* The next piece; len 0: there is none. */
static MACHINE_CALL int piece_take(Job *j, Piece *p)
{
    const Copy *c = j->c;
    uint64_t max = j->piece;
    int ret = 0;

    co_mutex_lock(&j->lock);
    *p = (Piece){ .len = 0 };
    if (j->next < c->total && !j->ret) {
        if (j->next >= j->state_end) {
            ret = state_ask(j, j->next);
        }
        if (!ret) {
            uint64_t end = j->state_end;

            /* A compressed cluster is all data when any of it is. */
            if (c->compress && end % c->compress_align && end < c->total) {
                end = j->state == IS_DATA
                    ? ALIGN_UP(end, c->compress_align)
                    : ALIGN_DOWN(end, c->compress_align);
                if (end <= j->next) {
                    end = j->next + c->compress_align;
                    j->state = IS_DATA;
                }
                end = MIN2(end, c->src[j->src].start + c->src[j->src].len);
            }
            if (j->state == IS_DATA) {
                /* Pieces end at multiples, so that clusters stay whole. */
                end = MIN2(end, ALIGN_DOWN(j->next, max) + max);
            } else {
                end = MIN2(end, j->next + GiB);
            }
            *p = (Piece){ .off = j->next, .len = end - j->next,
                          .state = j->state, .src = j->src };
            j->next = end;
        }
    }
    co_mutex_unlock(&j->lock);
    return ret;
}

/* ---- reading -------------------------------------------------------------- */

/* Sector by sector; what cannot be read becomes zeroes. */
static MACHINE_CALL int read_salvage(Worker *w, const Piece *p)
{
    const CopySource *s = &w->j->c->src[p->src];

    for (uint64_t at = 0; at < p->len; at += 512) {
        uint64_t n = MIN2(512, p->len - at);

        sub_add(w, (BlkReq){ .op = BLK_READ, .off = p->off - s->start + at,
                             .len = n }, w->buf + at);
        subs_submit(w, s->b);
        if (subs_wait(w) < 0) {
            if (!w->j->c->quiet) {
                warn_report("error while reading offset %" PRIu64 ": %s",
                            p->off + at, strerror(-w->ret));
            }
            memset(w->buf + at, 0, n);
        }
    }
    return 0;
}

static MACHINE_CALL int piece_read(Worker *w, const Piece *p)
{
    const CopySource *s = &w->j->c->src[p->src];
    int ret;

    sub_add(w, (BlkReq){ .op = BLK_READ, .off = p->off - s->start,
                         .len = p->len }, w->buf);
    subs_submit(w, s->b);
    ret = subs_wait(w);
    if (ret < 0 && w->j->c->salvage) {
        return read_salvage(w, p);
    }
    if (ret < 0) {
        error_reportf("error while reading at byte %" PRIu64 ": %s", p->off,
                      strerror(-ret));
    }
    return ret;
}

/* ---- writing -------------------------------------------------------------- */

static void add_zero(Worker *w, uint64_t off, uint64_t len)
{
    const Copy *c = w->j->c;

    if (!c->zero_init || off < c->backed) {
        sub_add(w, (BlkReq){ .op = BLK_ZERO, .off = off, .len = len,
                             .flags = c->sparse ? BLKF_MAY_UNMAP : 0 }, NULL);
    }
}

/* Runs of grains that are zeroes or not. */
static void add_data(Worker *w, const Piece *p)
{
    const Job *j = w->j;
    bool look = j->c->sparse && !j->c->offload;
    uint64_t at = 0;

    while (at < p->len) {
        uint64_t from = at, n = 0;
        bool zero = false;

        while (at < p->len) {
            n = MIN2(j->grain - (p->off + at) % j->grain, p->len - at);

            bool z = look && is_zero(w->buf + at, n);

            if (at > from && z != zero) {
                break;
            }
            zero = z;
            at += n;
        }
        if (zero) {
            add_zero(w, p->off + from, at - from);
        } else {
            sub_add(w, (BlkReq){ .op = BLK_WRITE, .off = p->off + from,
                                 .len = at - from }, w->buf + from);
        }
    }
}

static void add_compressed(Worker *w, const Piece *p)
{
    uint32_t align = w->j->c->compress_align;

    for (uint64_t at = 0; at < p->len; at += align) {
        uint64_t n = MIN2(align, p->len - at);

        if (w->j->c->sparse && is_zero(w->buf + at, n)) {
            add_zero(w, p->off + at, n);
        } else {
            sub_add(w, (BlkReq){ .op = BLK_WRITE, .off = p->off + at, .len = n,
                                 .flags = BLKF_COMPRESSED }, w->buf + at);
        }
    }
}

/* Until the time is over that the pieces before this one were given. */
static MACHINE_CALL void rate_wait(Job *j, uint64_t bytes)
{
    int64_t due = j->begun_ns, now = clock_ns(CLOCK_RT);

    if (j->c->rate > 0) {
        due += (int64_t)((double)j->moved / (double)j->c->rate * 1e9);
        j->moved += bytes;
        if (due > now) {
            co_sleep_ns(due - now);
        }
    }
}

/* Waits for the writes of what lies before (invariant 1). */
static void turn_wait(Job *j, uint64_t off)
{
    while (!j->c->any_order && j->written < off && !j->ret) {
        co_queue_wait(&j->turn);
    }
}

static void turn_over(Job *j, uint64_t end)
{
    j->written = end;
    co_queue_all(&j->turn);
}

static MACHINE_CALL int piece_write(Worker *w, const Piece *p)
{
    Job *j = w->j;
    int ret;

    if (p->state == IS_ZERO) {
        add_zero(w, p->off, p->len);
    } else if (p->state == IS_DATA && j->c->compress) {
        add_compressed(w, p);
    } else if (p->state == IS_DATA) {
        add_data(w, p);
    }
    turn_wait(j, p->off);
    if (j->ret) {
        w->nsubs = 0;
        return j->ret;
    }
    subs_submit(w, j->c->target);
    turn_over(j, p->off + p->len);
    ret = subs_wait(w);
    if (ret < 0 && !j->ret) {
        error_reportf("error while writing at byte %" PRIu64 ": %s", p->off,
                      strerror(-ret));
    }
    return ret;
}

/* By the host, without looking at the data. Where it cannot it is not asked
 * again. */
static MACHINE_CALL bool piece_offload(Worker *w, const Piece *p)
{
    const CopySource *s = &w->j->c->src[p->src];

    turn_wait(w->j, p->off);
    if (w->j->by_host &&
        blk_co_copy_host(blk_root(s->b), p->off - s->start, w->j->to, p->off,
                         p->len) < 0) {
        w->j->by_host = false;
    }
    if (w->j->by_host) {
        turn_over(w->j, p->off + p->len);
    }
    return w->j->by_host;
}

static MACHINE_CALL int piece_copy(Worker *w, const Piece *p)
{
    int ret = 0;

    if (p->state == IS_DATA && w->j->by_host && piece_offload(w, p)) {
        return 0;
    }
    if (p->state == IS_DATA) {
        ret = piece_read(w, p);
    }
    return ret < 0 ? ret : piece_write(w, p);
}

static void worker_body(void *arg)
{
    Worker *w = arg;
    Job *j = w->j;
    Piece p;
    int ret;

    machine_assert_locked();
    w->co = co_self();
    for (;;) {
        ret = piece_take(j, &p);
        if (ret < 0 || !p.len) {
            break;
        }
        if (p.state == IS_DATA) {
            rate_wait(j, p.len);
        }
        ret = piece_copy(w, &p);
        if (ret < 0) {
            break;
        }
        j->done += p.len;
        progress_set((double)j->done / (double)j->c->total);
    }
    if (ret < 0) {
        job_fail(j, ret);
    }
    co_queue_all(&j->turn);
    j->running--;
}

static size_t piece_size(const Copy *c)
{
    bool direct = blk_root(c->target)->flags & BLKO_DIRECT;

    for (int i = 0; i < c->nsrc; i++) {
        direct |= (blk_root(c->src[i].b)->flags & BLKO_DIRECT) != 0;
    }
    if (c->compress) {
        return PIECE_COMP;
    }
    return direct || c->workers == 1 ? PIECE_MAX
                                     : MAX2(PIECE, MIN2(c->cluster, PIECE_MAX));
}

int copy_run(const Copy *c)
{
    Job j = { .c = c, .to = blk_root(c->target),
              .begun_ns = clock_ns(CLOCK_RT) };
    unsigned n = c->workers;
    g_autofree Worker *workers = g_new0(Worker, n);
    size_t room = piece_size(c), least;

    j.grain = MAX2(c->sparse, 512);
    if (c->sparse && c->cluster > j.grain && c->cluster <= room) {
        j.grain = c->cluster;
    }
    j.piece = room;
    j.by_host = c->offload;
    least = c->compress ? c->compress_align : j.grain;
    j.running = n;
    for (unsigned i = 0; i < n; i++) {
        workers[i].j = &j;
        workers[i].buf = buf_alloc(room);
        workers[i].subs = g_new0(Sub, room / least + 2);
    }
    for (unsigned i = 0; i < n; i++) {
        co_enter(co_new(worker_body, &workers[i]));
    }
    while (j.running) {
        loop_step(true);
    }
    for (unsigned i = 0; i < n; i++) {
        free(workers[i].buf);
        g_free(workers[i].subs);
    }
    return j.ret;
}
