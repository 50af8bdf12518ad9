/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nbd-status.c - an NBD server's answers about what is allocated: the contexts
 * base:allocation (NBD protocol), qemu:allocation-depth, qemu:dirty-bitmap:NAME.
 *
 * Thread class: LOOP_CALL(main loop), in a coroutine.
 *
 * Invariants
 * 1. An answer has at most EXTENTS_MAX extents for each context.
 */
#include <glib.h>
#include "block/bitmap.h"
#include "block/nbd-server.h"

#define EXTENTS_MAX 2048u
#define DEPTH_MAX 1000u

int nbd_server_extent(const NbdExport *e, uint64_t off, uint64_t len,
                      BlkExtent *x, uint32_t *depth)
{
    BlkNode *n = blk_root(e->blk);
    uint64_t most = len;

    for (*depth = 1; n && *depth < DEPTH_MAX; ++*depth) {
        int ret;

        if (off >= n->length) {        /* a backing file that is shorter      */
            x->len = most;
            x->flags = BLKX_ZERO;
            return 0;
        }
        ret = blk_node_extent(n, off, most, x);
        if (ret < 0) {
            return ret;
        }
        most = x->len;
        if (x->flags & (BLKX_ALLOCATED | BLKX_DATA)) {
            return 0;
        }
        while (n->drv->filter && n->file && !n->backing) {
            n = n->file;
        }
        n = n->backing;
    }
    *depth = 0;
    x->len = most;
    x->flags = BLKX_ZERO;
    return 0;
}

typedef struct List {
    uint8_t *data;                     /* chunk: header, id, pairs            */
    uint32_t n, last;
} List;

static void list_add(List *l, uint64_t len, uint32_t flags)
{
    uint8_t *at = l->data + 24 + (l->n - 1) * 8;

    if (l->n && l->last == flags && ld_be32(at) + len <= UINT32_MAX) {
        st_be32(at, (uint32_t)(ld_be32(at) + len));
        return;
    }
    at = l->data + 24 + l->n++ * 8;
    st_be32(at, (uint32_t)len);
    st_be32(at + 4, flags);
    l->last = flags;
}

/* What one context says of a part: its length and flags. */
static int part_of(const NbdJob *j, uint32_t id, uint64_t off, uint64_t len,
                   BlkExtent *x)
{
    const NbdExport *e = j->client->exp;
    uint32_t level;
    int ret;

    if (id >= NBD_ID_BITMAP) {
        const BlkBitmap *b = e->maps[id - NBD_ID_BITMAP];
        uint64_t in = off < b->size ? MIN2(len, b->size - off) : 0;
        bool dirty = in && blk_bitmap_get(b, off);

        x->flags = dirty ? NBD_STATE_DIRTY : 0;
        x->len = in ? MIN2(in, blk_bitmap_next(b, off, !dirty) - off) : len;
        return 0;
    }
    ret = nbd_server_extent(e, off, len, x, &level);
    x->flags = id == NBD_ID_DEPTH ? level
             : (x->flags & BLKX_DATA ? 0u : NBD_STATE_HOLE) |
               (x->flags & BLKX_ZERO ? NBD_STATE_ZERO : 0u);
    return ret;
}

static int gather(NbdJob *j, uint32_t id, List *l, uint32_t most)
{
    uint64_t done = 0;

    while (done < j->len && l->n <= most) {
        BlkExtent x = { .len = 0 };
        int ret = part_of(j, id, j->off + done, j->len - done, &x);

        if (ret < 0 || !x.len) {
            return ret < 0 ? ret : -EIO;
        }
        if (l->n == most && x.flags != l->last) {
            break;
        }
        list_add(l, x.len, x.flags);
        done += x.len;
    }
    return 0;
}

static int context_add(NbdJob *j, GByteArray *out, uint32_t id, guint *last)
{
    uint32_t most = j->flags & NBD_CMDF_REQ_ONE ? 1 : EXTENTS_MAX;
    List l = { .data = g_malloc(24 + (EXTENTS_MAX + 1) * 8) };
    int ret = gather(j, id, &l, most);

    if (ret >= 0) {
        st_be32(l.data, NBD_CHUNK_MAGIC);
        st_be16(l.data + 4, 0);
        st_be16(l.data + 6, NBD_CHUNK_STATUS);
        st_be64(l.data + 8, j->handle);
        st_be32(l.data + 16, 4 + l.n * 8);
        st_be32(l.data + 20, id);
        *last = out->len;
        g_byte_array_append(out, l.data, 24 + l.n * 8);
    }
    g_free(l.data);
    return ret;
}

void nbd_server_status(NbdJob *j)
{
    GByteArray *out = g_byte_array_new();
    const NbdClient *c = j->client;
    guint last = 0;
    int ret = 0;

    if (c->context[CTX_BASE]) {
        ret = context_add(j, out, NBD_ID_BASE, &last);
    }
    if (ret >= 0 && c->context[CTX_DEPTH]) {
        ret = context_add(j, out, NBD_ID_DEPTH, &last);
    }
    for (uint32_t i = 0; ret >= 0 && c->exp->maps && c->exp->maps[i]; i++) {
        if (c->bitmap[i]) {
            ret = context_add(j, out, NBD_ID_BITMAP + i, &last);
        }
    }
    if (ret >= 0 && !out->len) {
        ret = -EINVAL;
    }
    j->ret = ret;
    if (ret < 0) {
        g_byte_array_free(out, TRUE);
        return;
    }
    st_be16(out->data + last + 4, NBD_CHUNK_DONE);
    j->extra_len = out->len;
    j->extra = g_byte_array_free(out, FALSE);
}
