/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reader.c - sequential reading with the next part under way while one is looked
 * at.
 *
 * Thread class: MACHINE_CALL.
 *
 * Invariants
 * 1. A part's buffer is not written to from the moment it was handed out to the
 *    next reader_next.
 */
#include "tools/reader.h"

#define AHEAD 2

typedef struct Part {
    BlkReq req;
    struct iovec iov;
    uint8_t *buf;
    bool busy;
} Part;
struct Reader {
    BlkBackend *b;
    size_t size;
    uint64_t off, end;                 /* of what is not yet asked for        */
    Part part[AHEAD];
    unsigned head, n;                  /* parts asked for                     */
    bool held;                         /* the head is with the caller         */
};

void *buf_alloc(size_t n)
{
    void *p = NULL;

    if (posix_memalign(&p, 4096, MAX2(n, 1))) {
        error_reportf("no memory");
        exit(1);
    }
    return p;
}

size_t zero_prefix(const void *buf, size_t len)
{
    const uint8_t *p = buf;
    size_t at = 0;

    while (len - at >= 128) {
        uint64_t w[16], any = 0;

        memcpy(w, p + at, sizeof(w));
        for (int i = 0; i < 16; i++) {
            any |= w[i];
        }
        if (any) {
            break;
        }
        at += 128;
    }
    while (at < len && !p[at]) {
        at++;
    }
    return at;
}

Reader *reader_new(BlkBackend *b, size_t part)
{
    Reader *r = g_new0(Reader, 1);

    r->b = b;
    r->size = part;
    for (int i = 0; i < AHEAD; i++) {
        r->part[i].buf = buf_alloc(part);
    }
    return r;
}

static void part_done(BlkReq *req)
{
    container_of(req, Part, req)->busy = false;
}

static MACHINE_CALL void part_wait(Part *p)
{
    while (p->busy) {
        loop_step(true);
    }
}

static MACHINE_CALL void ask(Reader *r)
{
    Part *p = &r->part[(r->head + r->n) % AHEAD];

    p->iov = (struct iovec){ p->buf, MIN2(r->size, r->end - r->off) };
    p->req = (BlkReq){ .op = BLK_READ, .off = r->off, .len = p->iov.iov_len,
                       .iov = &p->iov, .niov = 1, .done = part_done };
    p->busy = true;
    r->off += p->iov.iov_len;
    r->n++;
    blk_submit(r->b, &p->req);
}

static MACHINE_CALL void reader_stop(Reader *r)
{
    for (int i = 0; i < AHEAD; i++) {
        part_wait(&r->part[i]);
    }
    r->head = r->n = 0;
    r->held = false;
}

void reader_start(Reader *r, uint64_t off, uint64_t len)
{
    reader_stop(r);
    r->off = off;
    r->end = off + len;
}

int reader_next(Reader *r, uint8_t **p, size_t *n)
{
    Part *head;

    if (r->held) {
        r->head = (r->head + 1) % AHEAD;
        r->n--;
    }
    while (r->n < AHEAD && r->off < r->end) {
        ask(r);
    }
    head = &r->part[r->head];
    r->held = true;
    part_wait(head);
    *p = head->buf;
    *n = head->iov.iov_len;
    return head->req.ret < 0 ? head->req.ret : 0;
}

void reader_free(Reader *r)
{
    if (!r) {
        return;
    }
    reader_stop(r);
    for (int i = 0; i < AHEAD; i++) {
        free(r->part[i].buf);
    }
    g_free(r);
}
