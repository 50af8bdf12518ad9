/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2-measure.c - how large an image for given contents would be.
 *
 * Thread class: MACHINE_CALL.
 */
#include "block/qcow2-create.h"

static uint64_t divide_up(uint64_t a, uint64_t b)
{
    return a / b + !!(a % b);
}

/* Clusters of metadata for so many of data. */
static uint64_t metadata(const Q2Create *c, uint64_t data, uint64_t more)
{
    uint64_t cs = c->cluster_size, l2 = cs / (c->extended_l2 ? 16 : 8);
    uint64_t tables = divide_up(data, l2), all, blocks = 0, was, table = 0;
    uint64_t fixed = 1 + more + tables + divide_up(tables * 8, cs);

    do {
        was = blocks;
        all = data + fixed + blocks + table;
        blocks = MAX2(blocks, divide_up(all, cs * 8 / c->refcount_bits));
        table = divide_up(blocks * 8, cs);
    } while (blocks != was);
    return fixed + blocks + table;
}

/* As blk_node_extent, through the chain of backing files. */
static int extent_above(BlkNode *n, uint64_t off, uint64_t len, BlkExtent *x)
{
    int ret = blk_node_extent(n, off, len, x);

    while (ret >= 0 && x->len && !(x->flags & (BLKX_ALLOCATED | BLKX_ZERO)) &&
           n->backing) {
        len = x->len;
        n = n->backing;
        if (off >= n->length) {
            *x = (BlkExtent){ .len = len, .flags = BLKX_ZERO };
            break;
        }
        ret = blk_node_extent(n, off, len, x);
    }
    return ret;
}

/* Bytes in clusters that hold data. */
static int64_t data_bytes(BlkNode *in, uint64_t cs)
{
    uint64_t sum = 0;

    for (uint64_t off = 0; off < in->length;) {
        uint64_t len;
        BlkExtent x;
        int ret = extent_above(in, off, in->length - off, &x);

        if (ret < 0 || !x.len) {
            return ret < 0 ? ret : -EIO;
        }
        len = x.len;
        if (!(x.flags & BLKX_ZERO) && (x.flags & BLKX_DATA)) {
            len = ALIGN_UP(off + len, cs) - off;
            sum += off % cs + len;
        }
        off += len;
    }
    return (int64_t)sum;
}

static MACHINE_CALL bool extra(const Q2Create *c, uint64_t *clusters,
                               Error **errp)
{
    uint64_t size;

    *clusters = 0;
    if (c->encrypt_format && !strcmp(c->encrypt_format, "luks")) {
        if (!crypto_luks_header_size(&c->luks, &size, errp)) {
            return false;
        }
        *clusters = divide_up(size, c->cluster_size);
    }
    return true;
}

bool q2_measure(const BlkCreate *b, BlkNode *in, BlkMeasure *m, Error **errp)
{
    Q2Create c = *container_of(b, Q2Create, b);
    uint64_t size, more, meta;
    int64_t data = 0;

    c.b.size = size = ALIGN_UP(in ? in->length : b->size, 512);
    if (!q2_create_ok(&c, errp) || !extra(&c, &more, errp)) {
        return false;
    }
    if (divide_up(size, c.cluster_size * (c.cluster_size /
                        (c.extended_l2 ? 16 : 8))) > Q2_L1_BYTES_MAX / 8) {
        return error_set(errp, "The image size is too large (try using a larger "
                         "cluster size)");
    }
    if (in && !c.b.backing_file) {
        data = data_bytes(in, c.cluster_size);
        if (data < 0) {
            return error_set_errno(errp, (int)-data,
                                   "Unable to get block status");
        }
    }
    size = ALIGN_UP(size, c.cluster_size);
    meta = metadata(&c, size / c.cluster_size, more) * c.cluster_size;
    m->fully_allocated = meta + size;
    m->required = c.preallocation >= PREALLOC_FALLOC ? m->fully_allocated
                                                     : meta + (uint64_t)data;
    m->bitmaps = q2_bitmaps_measure(in, c.cluster_size);
    if (c.data_file) {
        m->required = meta;
    }
    return true;
}
