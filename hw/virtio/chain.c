/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * chain.c - descriptor chains: from guest addresses to an iovec (virtio 1.2,
 * sections 2.7.5 and 2.8.5).
 *
 * Thread class: LOOP_CALL(queue's loop).
 *
 * Invariants
 * 1. An element's iov holds nout readable parts, then nin writable ones, each
 *    mapped and pinned; nout + nin <= VIRTQ_SIZE_MAX.
 * 2. A chain that fails a check leaves nothing mapped.
 * 3. Each word of a descriptor is read once.
 */
#include <glib.h>
#include "hw/virtio/ring.h"

void chain_read(const uint8_t *table, unsigned i, VirtqDesc *d)
{
    const uint64_t *p = (const uint64_t *)(table + 16 * (size_t)i);
    uint64_t w = le64toh(__atomic_load_n(p + 1, __ATOMIC_RELAXED));

    d->addr = le64toh(__atomic_load_n(p, __ATOMIC_RELAXED));
    d->len = w;
    d->flags = w >> 32;
    d->next = w >> 48;
}

/* Id and flags stand the other way round there. */
void chain_read_packed(const uint8_t *table, unsigned i, VirtqDesc *d)
{
    uint16_t id;

    chain_read(table, i, d);
    id = d->flags;
    d->flags = d->next;
    d->next = id;
}

bool chain_begin(VirtqElem *e, Virtq *q)
{
    if (e->busy) {
        virtio_broken(q->v, "queue %u: the driver reuses a chain that is in "
                      "use", q->index);
        return false;
    }
    if (!e->iov) {
        e->q = q;
        e->iov = e->inline_iov;
        e->iov_cap = VIRTQ_IOV;
    }
    e->nout = e->nin = 0;
    e->out_len = e->in_len = 0;
    return true;
}

static void release(VirtqElem *e, uint64_t written)
{
    MemSpace *as = e->q->v->dma;

    for (unsigned i = 0; i < e->nout; i++) {
        mem_unmap_ram(as, e->iov[i].iov_base, e->iov[i].iov_len, false, 0);
    }
    for (unsigned i = e->nout; i < e->nout + e->nin; i++) {
        uint64_t n = MIN2(written, e->iov[i].iov_len);

        mem_unmap_ram(as, e->iov[i].iov_base, e->iov[i].iov_len, true, n);
        written -= n;
    }
    e->nout = e->nin = 0;
}

void chain_end(VirtqElem *e, uint64_t written)
{
    release(e, written);
    e->busy = false;
}

/* A longer chain than this head has seen so far: its iovec grows once. */
static bool grow(VirtqElem *e)
{
    unsigned n = e->iov_cap * 2;
    struct iovec *v;

    if (e->iov_cap >= VIRTQ_SIZE_MAX) {
        return false;
    }
    n = MIN2(n, VIRTQ_SIZE_MAX);
    v = g_new(struct iovec, n);
    memcpy(v, e->iov, sizeof(*v) * e->iov_cap);
    if (e->iov != e->inline_iov) {
        g_free(e->iov);
    }
    e->iov = v;
    e->iov_cap = n;
    return true;
}

static bool refuse(VirtqElem *e, const char *why)
{
    release(e, 0);
    virtio_broken(e->q->v, "queue %u: %s", e->q->index, why);
    return false;
}

bool chain_add(VirtqElem *e, const VirtqDesc *d)
{
    bool write = d->flags & VRING_DESC_F_WRITE;
    uint64_t addr = d->addr, left = d->len;

    if (!left) {
        return refuse(e, "zero sized buffers are not allowed");
    }
    if (!write && e->nin) {
        return refuse(e, "Incorrect order for descriptors");
    }
    if (addr + left - 1 < addr) {
        return refuse(e, "a buffer wraps around");
    }
    while (left) {
        uint64_t n = left;
        void *host;

        if (e->nout + e->nin == e->iov_cap && !grow(e)) {
            return refuse(e, "too many write descriptors in indirect table");
        }
        host = mem_map_ram(e->q->v->dma, addr, &n, write);
        if (!host) {
            return refuse(e, "bogus descriptor or out of resources");
        }
        e->iov[e->nout + e->nin] = (struct iovec){ host, n };
        if (write) {
            e->nin++;
            e->in_len += n;
        } else {
            e->nout++;
            e->out_len += n;
        }
        addr += n;
        left -= n;
    }
    return true;
}

static bool add_table(VirtqElem *e, const uint8_t *table, unsigned n,
                      bool linked)
{
    unsigned i = 0;

    for (unsigned seen = 0; seen < n; seen++) {
        VirtqDesc d;

        if (linked) {
            chain_read(table, i, &d);
        } else {
            chain_read_packed(table, i, &d);
        }
        if (d.flags & VRING_DESC_F_INDIRECT) {
            return refuse(e, "an indirect table inside an indirect table");
        }
        if (!chain_add(e, &d)) {
            return false;
        }
        if (!linked) {
            i++;
            continue;
        }
        if (!(d.flags & VRING_DESC_F_NEXT)) {
            return true;
        }
        i = d.next;
        if (i >= n) {
            return refuse(e, "an indirect descriptor leads out of its table");
        }
    }
    return !linked || refuse(e, "Looped descriptor");
}

bool chain_add_indirect(VirtqElem *e, const VirtqDesc *d, bool linked)
{
    uint64_t len = d->len;
    uint8_t *table;
    bool ok;

    if (!len || len % 16) {
        return refuse(e, "Invalid size for indirect buffer table");
    }
    if (len / 16 > VIRTQ_SIZE_MAX) {
        return refuse(e, "an indirect table is too long");
    }
    if (d->addr % 8) {
        return refuse(e, "an indirect table is not aligned");
    }
    table = mem_map_ram(e->q->v->dma, d->addr, &len, false);
    if (!table || len != d->len) {
        if (table) {
            mem_unmap_ram(e->q->v->dma, table, len, false, 0);
        }
        return refuse(e, "Cannot map indirect buffer");
    }
    ok = add_table(e, table, len / 16, linked);
    mem_unmap_ram(e->q->v->dma, table, len, false, 0);
    return ok;
}

/* ---- copies -------------------------------------------------------------- */

static size_t copy(const struct iovec *iov, unsigned n, size_t off, void *buf,
                   size_t len, bool in)
{
    uint8_t *b = buf;
    size_t done = 0;

    for (unsigned i = 0; i < n && done < len; i++) {
        size_t part;
        uint8_t *at;

        if (off >= iov[i].iov_len) {
            off -= iov[i].iov_len;
            continue;
        }
        at = (uint8_t *)iov[i].iov_base + off;
        part = MIN2(iov[i].iov_len - off, len - done);
        if (in) {
            ram_copy_in(at, b + done, part);
        } else {
            ram_copy_out(b + done, at, part);
        }
        done += part;
        off = 0;
    }
    return done;
}

size_t virtq_read(const VirtqElem *e, size_t off, void *buf, size_t n)
{
    return copy(e->iov, e->nout, off, buf, n, false);
}

size_t virtq_write(VirtqElem *e, size_t off, const void *buf, size_t n)
{
    return copy(e->iov + e->nout, e->nin, off, (void *)(uintptr_t)buf, n, true);
}

unsigned virtq_cut(const struct iovec *iov, unsigned n, size_t skip, size_t trim,
                   struct iovec *to)
{
    unsigned m = 0;

    for (unsigned i = 0; i < n; i++) {
        size_t head = MIN2(skip, iov[i].iov_len);
        size_t len = iov[i].iov_len - head - (i + 1 == n ? trim : 0);

        skip -= head;
        if (len) {
            to[m++] = (struct iovec){ (uint8_t *)iov[i].iov_base + head, len };
        }
    }
    return m;
}
