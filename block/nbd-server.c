/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nbd-server.c - an NBD server's transmission phase, its clients and exports.
 *
 * Thread class: LOOP_CALL(main loop): MACHINE_CALL.
 *
 * Invariants
 * 1. A client has at most NBD_JOBS requests in flight, whose buffers are what it
 *    costs; what it sends beyond that waits in its socket.
 * 2. Answers are sent in the order of completion, as many as there are in one
 *    call; a job ends when its answer has been sent or its client is gone.
 * 3. A client is freed when its coroutines have ended and nothing is in flight.
 * 4. Spare buffers are at most NBD_SPARE, of NBD_SPARE_MAX bytes.
 * 5. What is sent from the page cache is asked for again after each wait, as the
 *    node may have changed; where it is not there any more it is read.
 * 6. A client has one buffer of COPY_PART bytes beside those of its jobs.
 */
#include <fcntl.h>
#include <glib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "block/bitmap.h"
#include "block/backend.h"
#include "block/nbd-server.h"
#include "chardev/addr.h"

#define BATCH 16                       /* answers in one call                 */
#define EXACT_MIN (32u * 1024)         /* writes that are not read ahead      */
#define LEND_MIN (32u * 1024)          /* smaller reads are quicker copied    */
#define COPY_PART (128u * 1024)        /* stays in the processor's cache      */

/* ---- clients come and go ------------------------------------------------- */

static void listen_update(NbdServer *s);

static MACHINE_CALL void client_free(NbdClient *c)
{
    NbdServer *s = c->server;
    NbdClient **at = &s->clients;

    while (*at != c) {
        at = &(*at)->next;
    }
    *at = c->next;
    s->n_clients--;
    if (c->exp) {
        c->exp->clients--;
    }
    chan_close(&c->chan);
    work_cancel(loop_main, &c->kick);
    g_free(c->bitmap);
    free(c->part);
    g_free(c);
    listen_update(s);
    if (!s->n_clients && s->idle) {
        s->idle(s);
    }
}

/* Invariant 3. */
static void client_check(NbdClient *c)
{
    machine_assert_locked();
    if (c->gone && !c->in_flight && !c->sending) {
        client_free(c);
    }
}

/* Fresh pages cost more than a copy: buffers are used again (invariant 4). */
bool nbd_server_buffer(NbdJob *j)
{
    NbdServer *s = j->client->server;
    uint32_t room = MAX2(ALIGN_UP(j->len, 4096u), 64u * 1024);
    void *p;

    for (unsigned i = s->n_spare; i--; ) {
        struct NbdSpare *x = &s->spare[i];

        if (x->room >= room && x->room / 4 <= room) {
            j->buf = x->buf;
            j->room = x->room;
            *x = s->spare[--s->n_spare];
            return true;
        }
    }
    if (posix_memalign(&p, 4096, room)) {
        return false;
    }
    j->buf = p;
    j->room = room;
    return true;
}

static void buffer_put(NbdServer *s, NbdJob *j)
{
    if (!j->buf) {
        return;
    }
    if (j->room > NBD_SPARE_MAX) {
        free(j->buf);
        return;
    }
    if (s->n_spare == NBD_SPARE) {     /* the one that was used longest ago   */
        free(s->spare[0].buf);
        memmove(s->spare, s->spare + 1, --s->n_spare * sizeof(s->spare[0]));
    }
    s->spare[s->n_spare++] = (struct NbdSpare){ j->buf, j->room };
}

static void job_free(NbdJob *j)
{
    NbdClient *c = j->client;

    buffer_put(c->server, j);
    g_free(j->extra);
    g_free(j->chunks);
    g_free(j);
    c->in_flight--;
    co_queue_next(&c->room);
}

/* ---- answers ------------------------------------------------------------- */

typedef struct LateRead {
    BlkReq req;
    Co *co;
    bool over;
} LateRead;

static void late_done(BlkReq *req)
{
    LateRead *r = container_of(req, LateRead, req);

    r->over = true;
    co_wake(r->co);
}

/* The rest of what was to be lent, from `done` bytes on. */
static int send_read(NbdJob *j, uint32_t done)
{
    NbdClient *c = j->client;
    LateRead r = { .co = co_self() };

    if (!j->buf && !nbd_server_buffer(j)) {
        return -ENOMEM;
    }
    j->iov = (struct iovec){ j->buf, j->len - done };
    r.req = (BlkReq){ .op = BLK_READ, .off = j->off + done,
                      .len = j->len - done, .iov = &j->iov, .niov = 1,
                      .done = late_done };
    blk_submit(c->exp->blk, &r.req);
    while (!r.over) {
        co_yield();
    }
    return r.req.ret < 0 ? r.req.ret : chan_writev(&c->chan, &j->iov, 1);
}

/* Through a buffer that is used again at once, where the data must not be lent
 * for as long as the client takes. How many bytes, or -errno. */
static int send_part(NbdJob *j, uint32_t done)
{
    NbdClient *c = j->client;
    struct iovec iov = { c->part, MIN2(j->len - done, COPY_PART) };
    uint64_t at;
    int fd = blk_lend(c->exp->blk, j->off + done, iov.iov_len, &at, true), ret;

    if (fd < 0 ||
        pread(fd, c->part, iov.iov_len, (off_t)at) != (ssize_t)iov.iov_len) {
        return -ENODATA;
    }
    ret = chan_writev(&c->chan, &iov, 1);
    return ret < 0 ? ret : (int)iov.iov_len;
}

/* Invariant 5. */
static int send_lent(NbdJob *j)
{
    NbdClient *c = j->client;
    uint32_t done = 0;

    while (done < j->len) {
        uint64_t at;
        int fd = j->copied ? -1
               : blk_lend(c->exp->blk, j->off + done, j->len - done, &at,
                          false);
        int ret = j->copied ? send_part(j, done) : fd < 0 ? -ENODATA
                : chan_sendfile(&c->chan, fd, at, j->len - done);

        if (ret == -ENODATA) {
            return send_read(j, done);
        }
        if (ret < 0) {
            return ret;
        }
        done += (uint32_t)ret;
    }
    j->req.ret = 0;
    blk_account(c->exp->blk, &j->req);
    return 0;
}

/* Answers in one call, up to one whose data is lent or that has many parts. */
static int send_batch(NbdClient *c, NbdJob **jobs, unsigned n)
{
    struct iovec iov[BATCH * 3];
    unsigned k = 0;
    int ret = 0;

    for (unsigned i = 0; i < n; i++) {
        NbdJob *j = jobs[i];

        if (j->head_len) {
            iov[k++] = (struct iovec){ j->head, j->head_len };
        }
        if (j->extra_len) {
            iov[k++] = (struct iovec){ j->extra, j->extra_len };
        }
        if (j->chunks) {
            ret = ret < 0 ? ret : chan_writev(&c->chan, iov, k);
            ret = ret < 0 ? ret : chan_writev(&c->chan, j->chunks, j->n_chunks);
            k = 0;
        } else if (j->lent) {
            ret = ret < 0 ? ret : chan_writev(&c->chan, iov, k);
            ret = ret < 0 ? ret : send_lent(j);
            k = 0;
        } else if (j->data_len) {
            iov[k++] = (struct iovec){ j->buf, j->data_len };
        }
    }
    return ret < 0 || !k ? ret : chan_writev(&c->chan, iov, k);
}

static void sender(void *arg)
{
    NbdClient *c = arg;

    while (c->first) {
        NbdJob *jobs[BATCH];
        unsigned n = 0;

        while (c->first && n < BATCH) {
            jobs[n++] = c->first;
            c->first = c->first->next;
        }
        if (send_batch(c, jobs, n) < 0) {
            chan_shutdown(&c->chan);
        }
        for (unsigned i = 0; i < n; i++) {
            job_free(jobs[i]);
        }
    }
    c->sending = false;
    client_check(c);
}

static void kick(void *arg)
{
    NbdClient *c = arg;

    if (!c->sending && c->first) {
        c->sending = true;
        co_enter(co_new(sender, c));
    }
}

void nbd_server_answer(NbdJob *j)
{
    NbdClient *c = j->client;

    if (!c->first) {
        c->last = &c->first;
    }
    j->next = NULL;
    *c->last = j;
    c->last = &j->next;
    loop_post(loop_main, &c->kick);
}

static void chunk_head(NbdJob *j, uint16_t type, uint32_t len)
{
    st_be32(j->head, NBD_CHUNK_MAGIC);
    st_be16(j->head + 4, NBD_CHUNK_DONE);
    st_be16(j->head + 6, type);
    st_be64(j->head + 8, j->handle);
    st_be32(j->head + 16, len);
    j->head_len = 20;
}

/* The result as a simple or a structured reply. */
void nbd_server_reply(NbdJob *j)
{
    uint32_t err = (uint32_t)nbd_errno_to_wire(j->ret < 0 ? -j->ret : 0);
    bool read = j->type == NBD_CMD_READ;

    j->data_len = !err && read ? j->len : 0;
    if (!j->client->structured || (!read && j->type != NBD_CMD_STATUS)) {
        st_be32(j->head, NBD_SIMPLE_MAGIC);
        st_be32(j->head + 4, err);
        st_be64(j->head + 8, j->handle);
        j->head_len = 16;
    } else if (err) {
        chunk_head(j, NBD_CHUNK_ERROR, 6);
        st_be32(j->head + 20, err);
        st_be16(j->head + 24, 0);
        j->head_len = 26;
    } else if (!j->len) {
        chunk_head(j, NBD_CHUNK_NONE, 0);
    } else {
        chunk_head(j, NBD_CHUNK_DATA, j->len + 8);
        st_be64(j->head + 20, j->off);
        j->head_len = 28;
    }
    nbd_server_answer(j);
}

/* ---- requests ------------------------------------------------------------ */

static void job_done(BlkReq *req)
{
    NbdJob *j = container_of(req, NbdJob, req);

    j->ret = req->ret;
    nbd_server_reply(j);
}

static void status_co(void *arg)
{
    NbdJob *j = arg;

    nbd_server_status(j);
    if (j->ret < 0) {
        nbd_server_reply(j);
    } else {
        nbd_server_answer(j);
    }
}

/* What the protocol forbids, as a positive errno; 0: nothing. */
static int job_check(const NbdClient *c, const NbdJob *j)
{
    uint16_t allowed = j->type == NBD_CMD_READ && c->structured ? NBD_CMDF_DF
        : j->type == NBD_CMD_ZEROES
            ? NBD_CMDF_FUA | NBD_CMDF_NO_HOLE | NBD_CMDF_FAST_ZERO
        : j->type == NBD_CMD_WRITE || j->type == NBD_CMD_TRIM ? NBD_CMDF_FUA
        : j->type == NBD_CMD_STATUS ? NBD_CMDF_REQ_ONE : 0;
    bool writes = j->type == NBD_CMD_WRITE || j->type == NBD_CMD_ZEROES ||
                  j->type == NBD_CMD_TRIM;

    if (writes && c->exp->read_only) {
        return EPERM;
    }
    if (j->off > c->exp->size || j->len > c->exp->size - j->off) {
        return j->type == NBD_CMD_WRITE || j->type == NBD_CMD_ZEROES ? ENOSPC
                                                                     : EINVAL;
    }
    if (j->flags & ~allowed && !(j->flags & NBD_CMDF_FUA &&
                                 !(j->flags & ~(allowed | NBD_CMDF_FUA)))) {
        return EINVAL;
    }
    if (j->type == NBD_CMD_STATUS &&
        (!j->len || c->context_of != c->exp)) {
        return EINVAL;
    }
    return 0;
}

static bool translate(NbdJob *j)
{
    BlkReq *r = &j->req;

    *r = (BlkReq){ .off = j->off, .len = j->len, .done = job_done };
    r->flags = j->flags & NBD_CMDF_FUA ? BLKF_FUA : 0;
    switch (j->type) {
    case NBD_CMD_READ:
    case NBD_CMD_WRITE:
        r->op = j->type == NBD_CMD_READ ? BLK_READ : BLK_WRITE;
        r->flags = j->type == NBD_CMD_READ ? 0 : r->flags;
        j->iov = (struct iovec){ j->buf, j->len };
        r->iov = &j->iov;
        r->niov = 1;
        return j->len;
    case NBD_CMD_FLUSH:
        r->op = BLK_FLUSH;
        r->off = r->len = 0;
        return true;
    case NBD_CMD_TRIM:
        r->op = BLK_DISCARD;
        return j->len;
    case NBD_CMD_ZEROES:
        r->op = BLK_ZERO;
        r->flags |= (j->flags & NBD_CMDF_NO_HOLE ? 0 : BLKF_MAY_UNMAP) |
                    (j->flags & NBD_CMDF_FAST_ZERO ? BLKF_NO_FALLBACK : 0);
        return j->len;
    case NBD_CMD_CACHE:
        return false;
    default:
        j->ret = -EINVAL;
        return false;
    }
}

/* Can the data be sent from where it is? Then there is nothing to read. */
static bool job_lend(NbdClient *c, NbdJob *j)
{
    uint64_t at;

    if (j->type != NBD_CMD_READ || j->len < LEND_MIN || job_check(c, j)) {
        return false;
    }
    j->copied = c->chan.tls ||
                blk_lend(c->exp->blk, j->off, j->len, &at, false) < 0;
    if (j->copied) {
        if (blk_lend(c->exp->blk, j->off, j->len, &at, true) < 0) {
            return false;
        }
        if (!c->part && posix_memalign(&c->part, 4096, COPY_PART)) {
            c->part = NULL;
            return false;
        }
    }
    j->lent = true;
    j->req = (BlkReq){ .op = BLK_READ, .off = j->off, .len = j->len,
                       .start_ns = clock_ns(CLOCK_RT) };
    nbd_server_reply(j);
    return true;
}

/* Reads what belongs to the request; starts it. false: the client is broken. */
static bool job_run(NbdClient *c, NbdJob *j)
{
    bool data = j->type == NBD_CMD_READ || j->type == NBD_CMD_WRITE;
    int err;

    if (data && j->len > NBD_BUFFER_MAX) {
        if (j->type == NBD_CMD_WRITE) {
            return false;              /* its data cannot be told from requests */
        }
        j->ret = -EINVAL;
        nbd_server_reply(j);
        return true;
    }
    if ((!job_check(c, j) && nbd_server_holes(j)) || job_lend(c, j)) {
        return true;
    }
    if (data && j->len && !nbd_server_buffer(j)) {
        return false;
    }
    if (j->type == NBD_CMD_WRITE && chan_read(&c->chan, j->buf, j->len) < 0) {
        return false;
    }
    err = job_check(c, j);
    if (err) {
        j->ret = -err;
        nbd_server_reply(j);
    } else if (j->type == NBD_CMD_STATUS) {
        co_enter(co_new(status_co, j));
    } else if (translate(j)) {
        blk_submit(c->exp->blk, &j->req);
    } else {
        nbd_server_reply(j);
    }
    return true;
}

static bool request_read(NbdClient *c)
{
    uint8_t h[28];
    NbdJob *j;

    while (c->in_flight >= NBD_JOBS) {
        co_queue_wait(&c->room);
    }
    if (c->chan.dead || chan_read(&c->chan, h, sizeof(h)) < 0 ||
        ld_be32(h) != NBD_REQUEST_MAGIC || ld_be16(h + 6) == NBD_CMD_DISC) {
        return false;
    }
    j = g_new0(NbdJob, 1);
    j->client = c;
    j->flags = ld_be16(h + 4);
    j->type = ld_be16(h + 6);
    j->handle = ld_be64(h + 8);
    j->off = ld_be64(h + 16);
    j->len = ld_be32(h + 24);
    c->in_flight++;
    /* Most likely such as the next. */
    c->chan.exact = j->type == NBD_CMD_WRITE && j->len >= EXACT_MIN;
    if (!job_run(c, j)) {
        job_free(j);
        return false;
    }
    return true;
}

static void client_co(void *arg)
{
    NbdClient *c = arg;

    if (nbd_server_negotiate(c)) {
        while (request_read(c)) {
        }
        /* What was asked for is answered before the connection ends. */
        while (c->in_flight && !c->chan.dead) {
            co_queue_wait(&c->room);
        }
    }
    chan_shutdown(&c->chan);
    c->gone = true;
    client_check(c);
}

/* ---- listening ----------------------------------------------------------- */

void nbd_server_client(NbdServer *s, int fd)
{
    NbdClient *c = g_new0(NbdClient, 1);

    c->server = s;
    c->kick = (Work){ .fn = kick, .arg = c };
    c->next = s->clients;
    s->clients = c;
    s->n_clients++;
    chan_init(&c->chan, loop_main, fd);
    co_enter(co_new(client_co, c));
}

static void incoming(void *arg, unsigned events)
{
    NbdServer *s = arg;

    machine_assert_locked();
    for (unsigned i = 0; i < s->n_fds; i++) {
        int fd = addr_accept(s->fds[i]);

        if (fd >= 0) {
            nbd_server_client(s, fd);
            listen_update(s);
        }
    }
}

static void listen_update(NbdServer *s)
{
    bool want = s->n_fds &&
                (!s->max_clients || s->n_clients < s->max_clients);

    if (want == s->listening) {
        return;
    }
    s->listening = want;
    for (unsigned i = 0; i < s->n_fds; i++) {
        loop_fd(loop_main, s->fds[i], want ? EPOLLIN : 0, want ? incoming : NULL,
                s);
    }
}

void nbd_server_listen(NbdServer *s, const int *fds, unsigned n)
{
    for (unsigned i = 0; i < n && s->n_fds < ARRAY_SIZE(s->fds); i++) {
        fcntl(fds[i], F_SETFL, fcntl(fds[i], F_GETFL) | O_NONBLOCK);
        s->fds[s->n_fds++] = fds[i];
    }
    listen_update(s);
}

void nbd_server_stop(NbdServer *s)
{
    unsigned n = s->n_fds;

    s->n_fds = 0;
    for (unsigned i = 0; i < n; i++) {
        if (s->listening) {
            loop_fd(loop_main, s->fds[i], 0, NULL, NULL);
        }
        close(s->fds[i]);
    }
    s->listening = false;
    for (NbdClient *c = s->clients, *next; c; c = next) {
        next = c->next;
        chan_shutdown(&c->chan);
    }
    while (s->clients) {
        loop_step(true);
    }
    while (s->exports) {
        nbd_export_del(s, s->exports, true, NULL);
    }
    while (s->n_spare) {
        free(s->spare[--s->n_spare].buf);
    }
}

/* ---- exports ------------------------------------------------------------- */

NbdExport *nbd_export_find(NbdServer *s, const char *name)
{
    for (NbdExport *e = s->exports; e; e = e->next) {
        if (!strcmp(e->name, name)) {
            return e;
        }
    }
    return NULL;
}

NbdExport *nbd_export_add(NbdServer *s, const char *name, BlkBackend *blk)
{
    NbdExport *e = g_new0(NbdExport, 1), **at = &s->exports;

    e->name = g_strdup(name);
    e->blk = blk;
    e->size = (uint64_t)MAX2(blk_length(blk), 0);
    blk_ref(blk);
    while (*at) {
        at = &(*at)->next;
    }
    *at = e;
    return e;
}

bool nbd_export_bitmap(NbdExport *e, const char *name, Error **errp)
{
    unsigned n = e->bitmaps ? g_strv_length(e->bitmaps) : 0;
    BlkBitmap *b = NULL;
    BlkNode *at = blk_root(e->blk);

    for (; at && !(b = blk_bitmap_find(at, name));
         at = at->drv->filter && !at->backing ? at->file : at->backing) {
    }
    if (!b) {
        return error_set(errp, "Bitmap '%s' is not found", name);
    }
    if (e->bitmaps && g_strv_contains((const char *const *)e->bitmaps, name)) {
        return true;
    }
    /* It may be read-only, as nobody changes it here. */
    if ((!b->read_only || b->busy || b->inconsistent) &&
        !blk_bitmap_usable(b, true, errp)) {
        return false;
    }
    if (e->read_only && !at->read_only && b->enabled) {
        return error_set(errp, "Enabled bitmap '%s' incompatible with readonly "
                         "export", name);
    }
    b->busy = true;
    e->bitmaps = g_renew(char *, e->bitmaps, n + 2);
    e->maps = g_renew(BlkBitmap *, e->maps, n + 2);
    memmove(e->bitmaps + 1, e->bitmaps, n * sizeof(char *));
    memmove(e->maps + 1, e->maps, n * sizeof(BlkBitmap *));
    e->bitmaps[0] = g_strdup(name);
    e->bitmaps[n + 1] = NULL;
    e->maps[0] = b;
    e->maps[n + 1] = NULL;
    return true;
}

static void bitmaps_free(NbdExport *e)
{
    for (unsigned i = 0; e->maps && e->maps[i]; i++) {
        e->maps[i]->busy = false;
    }
    g_free(e->maps);
    g_strfreev(e->bitmaps);
}

bool nbd_export_del(NbdServer *s, NbdExport *e, bool force, Error **errp)
{
    NbdExport **at = &s->exports;

    if (e->clients && !force) {
        return error_set(errp, "export '%s' still in use", e->name);
    }
    for (NbdClient *c = s->clients, *next; c; c = next) {
        next = c->next;
        if (c->exp == e) {
            chan_shutdown(&c->chan);
        }
    }
    while (e->clients) {
        loop_step(true);
    }
    while (*at != e) {
        at = &(*at)->next;
    }
    *at = e->next;
    bitmaps_free(e);
    blk_unref(e->blk);
    g_free(e->name);
    g_free(e->desc);
    g_free(e);
    return true;
}
