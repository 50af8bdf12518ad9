/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nbd-holes.c - an NBD server's structured replies to reads of ranges that hold
 * holes: a chunk for each part, of which holes carry no data (NBD protocol,
 * "Structured reply chunk message").
 *
 * Thread class: LOOP_CALL(main loop), in a coroutine.
 *
 * Invariants
 * 1. What reads as zeroes when the request comes is answered as a hole, whatever
 *    is written there meanwhile: the two are under way together.
 * 2. A reply has at most PARTS chunks; what would need more is read.
 * 3. An extent of data is remembered, and may be out of date: then zeroes are sent.
 */
#include <glib.h>
#include "block/backend.h"
#include "block/nbd-server.h"

#define PARTS 32u
#define HOLES_MIN (32u * 1024)         /* shorter reads are not looked into   */
#define HOLE_MIN 4096u                 /* shorter holes are data              */
#define LOOK GiB                       /* how far an extent is asked for      */

typedef struct Part {
    BlkReq req;
    struct iovec iov;
    struct Mixed *m;
    uint64_t off;
    uint32_t len;
    bool zero;
} Part;
typedef struct Mixed {
    NbdJob *job;
    Co *co;
    Part part[PARTS];
    unsigned n, reading;
    int ret;
} Mixed;

static void part_add(Mixed *m, uint64_t off, uint64_t len, bool zero)
{
    Part *last = m->n ? &m->part[m->n - 1] : NULL;

    if (last && (last->zero == zero || m->n == PARTS ||
                 (!last->zero && len < HOLE_MIN))) {
        last->len += (uint32_t)len;
        last->zero = last->zero && zero;
        return;
    }
    m->part[m->n++] = (Part){ .m = m, .off = off, .len = (uint32_t)len,
                              .zero = zero && len >= HOLE_MIN };
}

/* False: an error, which the read will tell of. */
static bool parts_find(Mixed *m)
{
    NbdJob *j = m->job;
    NbdExport *e = j->client->exp;
    uint64_t end = j->off + j->len, len;

    for (uint64_t at = j->off; at < end; at += len) {
        BlkExtent x = { .len = 0 };
        uint32_t depth;
        int ret = nbd_server_extent(e, at, MIN2(e->size - at, LOOK), &x,
                                    &depth);

        if (ret < 0 || !x.len) {
            return false;
        }
        len = MIN2(x.len, end - at);
        if (!(x.flags & BLKX_ZERO)) {
            e->data_from = at;
            e->data_to = at + x.len;
        }
        part_add(m, at, len, x.flags & BLKX_ZERO);
    }
    return true;
}

static void chunk(uint8_t *h, const NbdJob *j, const Part *p, bool last)
{
    st_be32(h, NBD_CHUNK_MAGIC);
    st_be16(h + 4, last ? NBD_CHUNK_DONE : 0);
    st_be16(h + 6, p->zero ? NBD_CHUNK_HOLE : NBD_CHUNK_DATA);
    st_be64(h + 8, j->handle);
    st_be32(h + 16, p->zero ? 12 : p->len + 8);
    st_be64(h + 20, p->off);
    st_be32(h + 28, p->len);           /* of a hole                           */
}

static void chunks_make(const Mixed *m)
{
    NbdJob *j = m->job;
    struct iovec *to = j->chunks = g_new(struct iovec, m->n * 2);
    uint8_t *head = j->extra = g_malloc(m->n * 32);

    for (unsigned i = 0; i < m->n; i++, head += 32) {
        const Part *p = &m->part[i];

        chunk(head, j, p, i + 1 == m->n);
        *to++ = (struct iovec){ head, p->zero ? 32 : 28 };
        if (!p->zero) {
            *to++ = p->iov;
        }
    }
    j->n_chunks = (unsigned)(to - j->chunks);
}

static void part_done(BlkReq *req)
{
    Mixed *m = container_of(req, Part, req)->m;

    m->ret = req->ret < 0 ? req->ret : m->ret;
    if (!--m->reading) {
        co_wake(m->co);
    }
}

/* In a coroutine of its own: the client's goes on with the next request. */
static void mixed_co(void *arg)
{
    Mixed *m = arg;
    NbdJob *j = m->job;

    m->co = co_self();
    m->reading = 1;                    /* until all are submitted             */
    for (unsigned i = 0; i < m->n; i++) {
        Part *p = &m->part[i];

        if (!p->zero) {
            p->iov = (struct iovec){ j->buf + (p->off - j->off), p->len };
            p->req = (BlkReq){ .op = BLK_READ, .off = p->off, .len = p->len,
                               .iov = &p->iov, .niov = 1, .done = part_done };
            m->reading++;
            blk_submit(j->client->exp->blk, &p->req);
        }
    }
    m->reading--;
    while (m->reading) {
        co_yield();
    }
    j->ret = m->ret;
    if (m->ret < 0) {
        nbd_server_reply(j);
    } else {
        chunks_make(m);
        nbd_server_answer(j);
    }
    g_free(m);
}

bool nbd_server_holes(NbdJob *j)
{
    const NbdClient *c = j->client;
    const NbdExport *e = c->exp;
    Mixed *m;

    if (!c->structured || j->type != NBD_CMD_READ || j->len < HOLES_MIN ||
        j->flags & NBD_CMDF_DF || !blk_root(e->blk) ||
        (j->off >= e->data_from && j->off + j->len <= e->data_to)) {
        return false;
    }
    m = g_new0(Mixed, 1);
    m->job = j;
    if (!parts_find(m) || (m->n == 1 && !m->part[0].zero)) {
        g_free(m);
        return false;
    }
    if (m->n == 1) {
        chunk(j->head, j, m->part, true);
        j->head_len = 32;
        nbd_server_answer(j);
        g_free(m);
    } else if (!nbd_server_buffer(j)) {
        g_free(m);
        return false;
    } else {
        co_enter(co_new(mixed_co, m));
    }
    return true;
}
