/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libqvirtio.c - see libqvirtio.h. virtio 1.2: 2.7 (split), 2.8 (packed), 4.1
 * (PCI).
 *
 * Thread: one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "tests/libqvirtio.h"

#define VENDOR 0x1af4
#define CAP_VENDOR 9
#define CAP_MSIX 0x11

static void fail(const char *what)
{
    printf("# libqvirtio: %s\n", what);
    abort();
}

/* ---- registers ----------------------------------------------------------- */

static uint32_t common_read(QVirtio *d, unsigned off, unsigned size)
{
    return size == 1 ? qtest_readb(d->q, d->common + off)
         : size == 2 ? qtest_readw(d->q, d->common + off)
                     : qtest_readl(d->q, d->common + off);
}

static void common_write(QVirtio *d, unsigned off, unsigned size, uint32_t v)
{
    if (size == 1) {
        qtest_writeb(d->q, d->common + off, v);
    } else if (size == 2) {
        qtest_writew(d->q, d->common + off, v);
    } else {
        qtest_writel(d->q, d->common + off, v);
    }
}

static void find_areas(QVirtio *d)
{
    uint64_t bars[6] = { 0 };
    unsigned off = qpci_read(d->q, d->devfn, 0x34, 1);

    for (; off; off = qpci_read(d->q, d->devfn, off + 1, 1)) {
        unsigned type, bar;
        uint64_t at;

        if (qpci_read(d->q, d->devfn, off, 1) != CAP_VENDOR) {
            continue;
        }
        type = qpci_read(d->q, d->devfn, off + 3, 1);
        bar = qpci_read(d->q, d->devfn, off + 4, 1);
        if (type < 1 || type > 4 || bar > 5) {
            continue;
        }
        if (!bars[bar]) {
            bars[bar] = qpci_map(d->q, d->devfn, bar, NULL);
        }
        at = bars[bar] + qpci_read(d->q, d->devfn, off + 8, 4);
        if (type == 1) {
            d->common = at;
        } else if (type == 2 &&
                   (qpci_read(d->q, d->devfn, 0x10 + 4 * bar, 4) & 1)) {
            d->notify_port = at;
        } else if (type == 2) {
            d->notify = at;
            d->notify_step = qpci_read(d->q, d->devfn, off + 16, 4);
        } else if (type == 3) {
            d->isr = at;
        } else {
            d->config = at;
        }
    }
    if (!d->common || !d->notify || !d->isr) {
        fail("an area is missing");
    }
}

static int find(QTest *q, unsigned type, unsigned n)
{
    for (unsigned devfn = 0; devfn < 256; devfn++) {
        uint32_t id = qpci_read(q, devfn, 0, 4);
        unsigned device = id >> 16;

        if ((id & 0xffff) != VENDOR || device < 0x1000 || device > 0x107f) {
            continue;
        }
        if (device < 0x1040) {
            device = 0x1040 + qpci_read(q, devfn, 0x2e, 2);
        }
        if (device == 0x1040 + type && n-- == 0) {
            return devfn;
        }
    }
    return -1;
}

QVirtio *qvirtio_find(QTest *q, unsigned type, unsigned n, bool legacy,
                      uint64_t heap)
{
    QVirtio *d = calloc(1, sizeof(*d));
    int devfn = find(q, type, n);

    if (devfn < 0 || !d) {
        fail("no such device");
    }
    d->q = q;
    d->devfn = devfn;
    d->legacy = legacy;
    d->heap = heap;
    if (legacy) {
        d->io = qpci_map(q, devfn, 0, NULL);
    } else {
        find_areas(d);
    }
    qvirtio_set_status(d, 0);
    qvirtio_set_status(d, 1);
    qvirtio_set_status(d, 3);
    return d;
}

void qvirtio_free(QVirtio *d)
{
    free(d);
}

uint64_t qvirtio_alloc(QVirtio *d, uint64_t size, uint64_t align)
{
    uint64_t at = (d->heap + align - 1) / align * align;

    d->heap = at + size;
    return at;
}

uint8_t qvirtio_status(QVirtio *d)
{
    return d->legacy ? qtest_inb(d->q, d->io + 18) : common_read(d, 20, 1);
}

void qvirtio_set_status(QVirtio *d, uint8_t status)
{
    if (d->legacy) {
        qtest_outb(d->q, d->io + 18, status);
    } else {
        common_write(d, 20, 1, status);
    }
}

uint64_t qvirtio_offered(QVirtio *d)
{
    uint64_t low;

    if (d->legacy) {
        return qtest_inl(d->q, d->io);
    }
    common_write(d, 0, 4, 0);
    low = common_read(d, 4, 4);
    common_write(d, 0, 4, 1);
    return low | (uint64_t)common_read(d, 4, 4) << 32;
}

bool qvirtio_accept(QVirtio *d, uint64_t features)
{
    d->features = features;
    if (d->legacy) {
        qtest_outl(d->q, d->io + 4, features);
        return true;
    }
    common_write(d, 8, 4, 0);
    common_write(d, 12, 4, features);
    common_write(d, 8, 4, 1);
    common_write(d, 12, 4, features >> 32);
    qvirtio_set_status(d, 11);
    return qvirtio_status(d) & 8;
}

void qvirtio_ready(QVirtio *d)
{
    qvirtio_set_status(d, d->legacy ? 7 : 15);
}

uint32_t qvirtio_config(QVirtio *d, unsigned off, unsigned size)
{
    uint64_t at = d->config + off;

    if (d->legacy) {
        uint16_t port = d->io + (d->msix_table ? 24 : 20) + off;

        return size == 1 ? qtest_inb(d->q, port)
             : size == 2 ? qtest_inw(d->q, port) : qtest_inl(d->q, port);
    }
    return size == 1 ? qtest_readb(d->q, at)
         : size == 2 ? qtest_readw(d->q, at) : qtest_readl(d->q, at);
}

void qvirtio_config_set(QVirtio *d, unsigned off, unsigned size, uint32_t v)
{
    uint64_t at = d->config + off;

    if (d->legacy) {
        uint16_t port = d->io + (d->msix_table ? 24 : 20) + off;

        if (size == 1) {
            qtest_outb(d->q, port, v);
        } else if (size == 2) {
            qtest_outw(d->q, port, v);
        } else {
            qtest_outl(d->q, port, v);
        }
    } else if (size == 1) {
        qtest_writeb(d->q, at, v);
    } else if (size == 2) {
        qtest_writew(d->q, at, v);
    } else {
        qtest_writel(d->q, at, v);
    }
}

uint8_t qvirtio_isr(QVirtio *d)
{
    return d->legacy ? qtest_inb(d->q, d->io + 19)
                     : qtest_readb(d->q, d->isr);
}

/* ---- MSI-X --------------------------------------------------------------- */

void qvirtio_msix(QVirtio *d, unsigned vectors)
{
    unsigned cap = qpci_cap(d->q, d->devfn, CAP_MSIX);
    uint32_t table = qpci_read(d->q, d->devfn, cap + 4, 4);
    uint64_t words = qvirtio_alloc(d, 4 * vectors, 64);

    d->msix_table = qpci_map(d->q, d->devfn, table & 7, NULL) + (table & ~7u);
    qtest_memset(d->q, words, 0, 4 * vectors);
    d->msix_words = words;
    for (unsigned i = 0; i < vectors; i++) {
        qtest_writel(d->q, d->msix_table + 16 * i, words + 4 * i);
        qtest_writel(d->q, d->msix_table + 16 * i + 4, 0);
        qtest_writel(d->q, d->msix_table + 16 * i + 8, i + 1);
        qtest_writel(d->q, d->msix_table + 16 * i + 12, 0);
    }
    qpci_write(d->q, d->devfn, cap + 2, 2, 0x8000);
}

void qvirtio_vector(QVirtio *d, int queue, uint16_t vec)
{
    if (d->legacy) {
        if (queue >= 0) {
            qtest_outw(d->q, d->io + 14, queue);
        }
        qtest_outw(d->q, d->io + (queue >= 0 ? 22 : 20), vec);
        return;
    }
    if (queue >= 0) {
        common_write(d, 22, 2, queue);
    }
    common_write(d, queue >= 0 ? 26 : 16, 2, vec);
}

/* ---- queues -------------------------------------------------------------- */

unsigned qvirtq_max(QVirtio *d, unsigned index)
{
    if (d->legacy) {
        qtest_outw(d->q, d->io + 14, index);
        return qtest_inw(d->q, d->io + 12);
    }
    common_write(d, 22, 2, index);
    return common_read(d, 24, 2);
}

static void set_address(QVirtio *d, unsigned off, uint64_t v)
{
    common_write(d, off, 4, v);
    common_write(d, off + 4, 4, v >> 32);
}

QVirtq *qvirtq_setup(QVirtio *d, unsigned index, unsigned num)
{
    QVirtq *vq = &d->vq[index];
    uint64_t bytes;

    memset(vq, 0, sizeof(*vq));
    vq->d = d;
    vq->index = index;
    vq->num = num && !d->legacy ? num : qvirtq_max(d, index);
    vq->packed = d->features >> QV_PACKED & 1;
    vq->wrap = vq->used_wrap = true;
    bytes = 16 * vq->num + 6 + 2 * vq->num + 4096 + 6 + 8 * vq->num;
    vq->desc = qvirtio_alloc(d, bytes, 4096);
    qtest_memset(d->q, vq->desc, 0, bytes);
    vq->avail = vq->desc + 16 * vq->num;
    vq->used = (vq->avail + 6 + 2 * vq->num + 4095) / 4096 * 4096;
    qvirtq_max(d, index);
    if (d->legacy) {
        qtest_outl(d->q, d->io + 8, vq->desc / 4096);
        return vq;
    }
    common_write(d, 24, 2, vq->num);
    set_address(d, 32, vq->desc);
    set_address(d, 40, vq->avail);
    set_address(d, 48, vq->used);
    vq->notify = d->notify + common_read(d, 30, 2) * d->notify_step;
    common_write(d, 28, 2, 1);
    return vq;
}

static void put_desc(QVirtq *vq, uint64_t at, const QVirtBuf *b,
                     uint16_t flags, uint16_t next)
{
    QTest *q = vq->d->q;
    uint8_t raw[16];

    for (unsigned i = 0; i < 8; i++) {
        raw[i] = b->addr >> 8 * i;
    }
    for (unsigned i = 0; i < 4; i++) {
        raw[8 + i] = b->len >> 8 * i;
    }
    if (vq->packed) {
        raw[12] = next, raw[13] = next >> 8;
        raw[14] = flags, raw[15] = flags >> 8;
    } else {
        raw[12] = flags, raw[13] = flags >> 8;
        raw[14] = next, raw[15] = next >> 8;
    }
    qtest_write(q, at, raw, 16);
}

static QVirtBuf make_table(QVirtq *vq, const QVirtBuf *b, unsigned n)
{
    QVirtBuf t = { qvirtio_alloc(vq->d, 16 * n, 16), 16 * n, false };

    for (unsigned i = 0; i < n; i++) {
        bool last = i + 1 == n;

        put_desc(vq, t.addr + 16 * i, &b[i],
                 (b[i].write ? 2 : 0) | (last || vq->packed ? 0 : 1),
                 vq->packed || last ? 0 : i + 1);
    }
    return t;
}

static unsigned add_packed(QVirtq *vq, const QVirtBuf *b, unsigned n,
                           bool indirect)
{
    uint16_t first = vq->pos, id = vq->pos, first_flags = 0;

    vq->chain[id % 1024] = n;
    for (unsigned i = 0; i < n; i++) {
        uint16_t flags = (b[i].write ? 2 : 0) | (i + 1 < n ? 1 : 0) |
                         (indirect ? 4 : 0) | (vq->wrap ? 1 << 7 : 1 << 15);

        put_desc(vq, vq->desc + 16 * vq->pos, &b[i],
                 i ? flags : flags ^ (1 << 7 | 1 << 15), id);
        if (!i) {
            first_flags = flags;
        }
        if (++vq->pos == vq->num) {
            vq->pos = 0;
            vq->wrap = !vq->wrap;
        }
    }
    qtest_writew(vq->d->q, vq->desc + 16 * first + 14, first_flags);
    return id;
}

static unsigned add_split(QVirtq *vq, const QVirtBuf *b, unsigned n,
                          bool indirect)
{
    uint16_t head = vq->next;

    for (unsigned i = 0; i < n; i++) {
        uint16_t at = vq->next, next = (at + 1) % vq->num;

        put_desc(vq, vq->desc + 16 * at, &b[i],
                 (b[i].write ? 2 : 0) | (i + 1 < n ? 1 : 0) |
                 (indirect ? 4 : 0), next);
        vq->next = next;
    }
    qtest_writew(vq->d->q, vq->avail + 4 + 2 * (vq->avail_idx % vq->num), head);
    vq->avail_idx++;
    qtest_writew(vq->d->q, vq->avail + 2, vq->avail_idx);
    return head;
}

unsigned qvirtq_add(QVirtq *vq, const QVirtBuf *b, unsigned n, bool indirect)
{
    QVirtBuf table;

    if (indirect) {
        table = make_table(vq, b, n);
        b = &table;
        n = 1;
    }
    return vq->packed ? add_packed(vq, b, n, indirect)
                      : add_split(vq, b, n, indirect);
}

void qvirtq_kick(QVirtq *vq)
{
    if (vq->d->legacy) {
        qtest_outw(vq->d->q, vq->d->io + 16, vq->index);
    } else if (vq->d->notify_port && vq->d->kicks++ % 2) {
        qtest_outw(vq->d->q, vq->d->notify_port, vq->index);
    } else {
        qtest_writew(vq->d->q, vq->notify, vq->index);
    }
}

bool qvirtq_used(QVirtq *vq, unsigned *id, uint32_t *len)
{
    QTest *q = vq->d->q;
    uint64_t at;

    if (vq->packed) {
        uint16_t flags;
        uint16_t got;

        at = vq->desc + 16 * vq->used_pos;
        flags = qtest_readw(q, at + 14);
        if (!(flags & 1 << 7) == vq->used_wrap ||
            !(flags & 1 << 15) == vq->used_wrap) {
            return false;
        }
        *len = qtest_readl(q, at + 8);
        got = qtest_readw(q, at + 12);
        *id = got;
        vq->used_pos += vq->chain[got % 1024];
        if (vq->used_pos >= vq->num) {
            vq->used_pos -= vq->num;
            vq->used_wrap = !vq->used_wrap;
        }
        return true;
    }
    if (qtest_readw(q, vq->used + 2) == vq->seen) {
        return false;
    }
    at = vq->used + 4 + 8 * (vq->seen % vq->num);
    *id = qtest_readl(q, at);
    *len = qtest_readl(q, at + 4);
    vq->seen++;
    return true;
}

uint32_t qvirtq_wait(QVirtq *vq, unsigned *id)
{
    struct timespec ms = { 0, 1000000 };
    unsigned dummy;
    uint32_t len;

    for (unsigned i = 0; i < 10000; i++) {
        if (qvirtq_used(vq, id ? id : &dummy, &len)) {
            return len;
        }
        nanosleep(&ms, NULL);
    }
    fail("nothing comes back");
    return 0;
}
